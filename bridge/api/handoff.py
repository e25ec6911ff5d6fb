"""``android_bundle``: what an Android engineer needs to ship the TFLite file of a result folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..android import (
    Bundle,
    Contract,
    Golden,
    Normalization,
    check_destination,
    check_package,
    class_names,
    labelled_output,
    make_golden,
    normalized_input,
    plain_artifact,
    read_contract,
    read_labels,
    refusal,
    replace_inputs,
    reported_drift,
    stored,
    write_bundle,
    write_model,
)
from ..artifact import Artifact, digest
from ..errors import GateError, MismatchError, SourceError, UsageError
from ..formats import TFLITE
from ..inspection import inspect
from ..samples import Samples, draw_like
from ..sources import Source
from ..validators.reference import reference_runtime
from ..validators.running import Runner
from ..validators.runtime import RUNTIMES
from ..worker import Limits, WorkPool
from .folder import MANIFEST, REPORT, ResultFolder, read_json, storage_errors
from .inspecting import look
from .opening import SourceOptions
from .plug_ins import import_operators
from .stored import folder_artifacts, folder_samples, folder_source

DEFAULT_PACKAGE = "com.example.model"
DEFAULT_GOLDEN_SAMPLES = 8
LEAST_GOLDEN_SAMPLES = 4

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class AndroidOptions:
    """What goes into a bundle beside the model.

    Attributes:
        package: Package of the Kotlin classes.
        labels: File with the names of an output's entries, one a line.
        normalization: How raw values become those of the image input.
        samples: How many golden samples; at least 4.
        force: Whether to make a bundle of a model that failed, or was not compared.
    """

    package: str = DEFAULT_PACKAGE
    labels: Path | None = None
    normalization: Normalization | None = None
    samples: int = DEFAULT_GOLDEN_SAMPLES
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class AndroidBundle:
    """A bundle that was written.

    Attributes:
        folder: Where.
        files: Paths of its files, relative to the folder.
        forced: Why it should not be shipped, if it was made all the same; empty otherwise.
        golden: Its golden vectors.
    """

    folder: Path
    files: tuple[str, ...]
    forced: str
    golden: Golden


def android_bundle(
    path: str | Path,
    *,
    out: str | Path | None = None,
    options: AndroidOptions | None = None,
    limits: Limits | None = None,
    say: Say = lambda text: None,
) -> AndroidBundle:
    """Write the Android hand-off of a result folder that has a TFLite file.

    Args:
        path: A folder that ``convert`` made.
        out: The bundle's folder; ``android`` in the result folder if it is not given.
        options: What goes into it.
        limits: Time and memory of each run of the model.
        say: Called with lines of progress.

    Raises:
        GateError: The model failed its comparison, or was not compared.
        UsageError: The folder is none of ours, a shape is not fixed, or the package's name is none.
        InputError: Labels or normalisation do not fit the model.
        SourceError: The folder's files are missing or have changed.
        ConversionError: The model does not run.
        MismatchError: It gives other results with metadata.
        StorageError: The bundle cannot be written.
    """
    chosen, folder = options or AndroidOptions(), Path(path)
    destination = Path(out) if out is not None else folder / "android"
    check_package(chosen.package)
    check_destination(destination)
    if chosen.samples < LEAST_GOLDEN_SAMPLES:
        raise UsageError(f"a bundle has at least {LEAST_GOLDEN_SAMPLES} golden samples")
    opened = _open(folder)
    forced = refusal(opened.report, opened.artifact)
    if forced and not chosen.force:
        raise GateError(
            f"{folder} is not fit to be handed on: {forced}",
            hint=f"see {folder / REPORT}; after a change: driftbridge validate {folder}; "
            "--force makes a bundle all the same",
        )
    contract = _told(read_contract(opened.artifact), chosen)
    with (
        WorkPool(limits=limits or Limits(), progress=say) as pool,
        ResultFolder.temporary() as aside,
    ):
        assert opened.source.artifact is not None
        samples = folder_samples(
            folder,
            opened.manifest,
            opened.source.artifact,
            SourceOptions(),
            pool.limits.seconds,
        )
        runner = Runner(pool=pool, scratch=aside.scratch, inputs=opened.source.signature.inputs)
        say(f"golden vectors: {chosen.samples} samples in float64 and in LiteRT")
        golden = _golden(runner, opened, _spread(samples, chosen.samples))
        contract = _seen(contract, opened, samples, golden)
        compatibility = _compatibility(opened, limits, say)
        bundle = _bundle(opened, contract, golden, chosen.package, compatibility)
        model = aside.scratch / "with-metadata.tflite"
        write_model(bundle, model)
        say("comparing the model with metadata")
        _check_same(runner, opened.artifact, model, golden)
        with storage_errors(destination):
            files = write_bundle(bundle, model, destination)
    return AndroidBundle(folder=destination, files=tuple(files), forced=forced, golden=golden)


def _bundle(
    opened: _Opened,
    contract: Contract,
    golden: Golden,
    package: str,
    compatibility: Mapping[str, Any],
) -> Bundle:
    title = _title(opened.source.text)
    return Bundle(
        artifact=opened.artifact,
        contract=contract,
        golden=golden,
        names=class_names(title),
        package=package,
        source=_without_folders(opened.source.text),
        title=title,
        report=opened.report,
        compatibility=compatibility,
    )


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A result folder.

    Attributes:
        manifest: Its manifest.
        report: Its report.
        source: What it was made from, as a file.
        artifact: Its TFLite file.
    """

    manifest: Mapping[str, Any]
    report: Mapping[str, Any]
    source: Source
    artifact: Artifact


def _open(folder: Path) -> _Opened:
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is not a folder that driftbridge made (no {MANIFEST} in it)")
    import_operators()
    manifest, report = read_json(folder / MANIFEST), read_json(folder / REPORT)
    artifacts = folder_artifacts(folder, manifest)
    if TFLITE.name not in artifacts:
        raise UsageError(f"{folder} has no TFLite file", hint="convert --to tflite")
    source = folder_source(manifest, artifacts)
    if source.artifact is None or source.artifact.format == TFLITE:
        raise SourceError(f"{folder} has nothing that its TFLite file could be compared with")
    return _Opened(manifest=manifest, report=report, source=source, artifact=artifacts[TFLITE.name])


def _golden(runner: Runner, opened: _Opened, samples: Samples) -> Golden:
    source = opened.source.artifact
    assert source is not None
    return make_golden(
        runner=runner,
        source=source,
        reference=reference_runtime(source.format),
        artifact=opened.artifact,
        samples=samples,
        reported=reported_drift(opened.report, opened.artifact),
    )


def _spread(samples: Samples, count: int) -> Samples:
    """Choose samples from the whole range of them; what is missing is drawn like the first."""
    chosen = np.unique(np.linspace(0, samples.count - 1, count).astype(int))
    arrays = {name: stacked[chosen] for name, stacked in samples.arrays.items()}
    origin = f"{len(chosen)} of the {samples.origin}"
    missing = count - len(chosen)
    if missing:
        rows = [draw_like(samples.first(), seed) for seed in range(1, missing + 1)]
        arrays = {
            name: np.concatenate([array, np.stack([row[name] for row in rows])])
            for name, array in arrays.items()
        }
        origin += f", and {missing} drawn from their ranges"
    return Samples(arrays=arrays, origin=origin)


def _told(contract: Contract, options: AndroidOptions) -> Contract:
    """Add to the inputs and outputs what the user says of them."""
    inputs, outputs = list(contract.inputs), list(contract.outputs)
    if options.normalization:
        index = normalized_input(inputs, options.normalization)
        inputs[index] = replace(inputs[index], normalization=options.normalization)
    if options.labels:
        labels = read_labels(options.labels)
        index = labelled_output(outputs, labels)
        outputs[index] = replace(outputs[index], labels=labels)
    return Contract(inputs=tuple(inputs), outputs=tuple(outputs))


def _seen(contract: Contract, opened: _Opened, samples: Samples, golden: Golden) -> Contract:
    """Add to the inputs and outputs the range of their values."""
    inputs = [
        replace(
            each,
            range=_range(stored(samples.arrays[spec.name], each.spec)),
            seen=f"the {samples.origin}" if samples.labels is not None else samples.origin,
        )
        for spec, each in zip(opened.source.signature.inputs, contract.inputs, strict=True)
    ]
    outputs = [
        replace(each, range=_range(values.values), seen="the golden vectors")
        for each, values in zip(contract.outputs, golden.outputs, strict=True)
    ]
    return Contract(inputs=tuple(inputs), outputs=tuple(outputs))


def _range(values: NDArray[Any]) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _title(source: str) -> str:
    """Name of a model: that of its callable, or of its file."""
    name = source.rpartition(":")[2]
    return Path(name).stem if re.search(r"[/\\.]", name) else name


def _without_folders(source: str) -> str:
    """A source without the folders that it lies in: the bundle goes into other people's apps."""
    return re.split(r"[/\\]", source)[-1]


def _compatibility(opened: _Opened, limits: Limits | None, say: Say) -> Mapping[str, Any]:
    """What the report says of where the file runs, or what can be seen here."""
    reported: Mapping[str, Any] = opened.report.get("compatibility") or {}
    if TFLITE.name in reported:
        found: Mapping[str, Any] = reported[TFLITE.name]
        return found
    inspection = inspect(opened.artifact.path)
    delegation = look(inspection, limits=limits or Limits(), say=say).delegation
    return {
        "xnnpack": delegation.to_json(),
        "gpu": None,
        "min_runtime": {
            "declared": inspection.details.get("min_runtime_version"),
            "needed": None,
        },
    }


def _check_same(runner: Runner, artifact: Artifact, model: Path, golden: Golden) -> None:
    """Run the model with metadata: its outputs must be bit for bit those of the model without."""
    plain = plain_artifact(artifact)
    written = replace(plain, path=model, sha256=digest(model), size=model.stat().st_size)
    found = replace_inputs(runner, plain).run(
        RUNTIMES.get("litert-xnnpack")(),
        written,
        Samples(arrays=golden.inputs, origin=golden.origin),
    )
    for name, expected in golden.actual.items():
        if found.arrays.outputs[name].tobytes() != np.ascontiguousarray(expected).tobytes():
            raise MismatchError(f"output {name} is another with metadata in the file")
