"""Comparing a file that this program did not make with its source."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import Artifact, Signature, TensorSpec, data_file
from ..axes import AXES
from ..errors import BridgeError, ConversionError, InputError, UsageError
from ..formats import EXPORTED, ONNX, TORCH, format_named
from ..inspection import inspect
from ..report import html_report, manifest_document, report_document, stored_artifacts
from ..report.manifest import ManifestEntry
from ..samples import Samples
from ..validators.alignment import align, can_align
from ..validators.quantization.recipe import file_recipe
from ..validators.running import Runner
from ..worker import WorkFailure, WorkPool
from .assessing import assess
from .comparing import DriftOptions, compare
from .converting import Conversion
from .execution import Execution, Reached
from .folder import EXAMPLES, MANIFEST, MEASURED, PAGE, REPORT, ResultFolder, read_json
from .opening import Opened, SourceOptions, open_source
from .recorded import recorded_inputs

if TYPE_CHECKING:
    import torch

Say = Callable[[str], None]


def validate_foreign(
    path: Path,
    against: torch.nn.Module | str | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    options: SourceOptions,
    pool: WorkPool,
    drift: DriftOptions,
    *,
    out: Path | None,
    latency: bool,
    say: Say,
) -> tuple[dict[str, Any], Samples]:
    """Compare a file with its source, and keep both with the report if a folder is given.

    Args:
        path: The file, or the folder of a SavedModel.
        against: Its source: a module, a callable's name, or a model file.
        inputs: Example inputs of a module.
        options: Weights, declared and real inputs.
        pool: Where the runtimes run.
        drift: How drift is judged.
        out: Result folder: a copy of the file, the source as it was captured, the report.
        latency: Whether the file is timed.
        say: Called with lines of progress.

    Returns:
        The report, and what the file was compared on.

    Raises:
        UsageError: The folder cannot hold the results.
        SourceError: The file or the source cannot be read.
        ConversionError: The source cannot be captured.
        InputError: The inputs do not fit.
        StorageError: The folder cannot be written.
    """
    if out is not None and (out / MANIFEST).is_file() and path.resolve().parent == out.resolve():
        raise UsageError(
            f"{path} is part of the results in {out}, which would be replaced",
            hint=f"choose another folder with --out, or validate {out}",
        )
    opened = open_source(against, inputs, options, pool.limits.seconds)
    with ResultFolder.temporary() if out is None else ResultFolder.open(out) as folder:
        execution = Execution(source=opened.source, pool=pool, scratch=folder.scratch, say=say)
        reference = _captured(execution, opened)
        opened = opened.settled(reference, {}, pool.limits.seconds)
        origin = opened.source.artifact
        if reference is not None and reference.made is not None:
            origin = reference.made.artifact
        assert origin is not None
        artifact = foreign_artifact(path, origin.signature)
        if out is not None:
            _check_fits(artifact, reference)
        if can_align(artifact, origin):
            runner = Runner(pool=pool, scratch=folder.scratch, inputs=origin.signature.inputs)
            artifact = _aligned(artifact, origin, runner, opened.samples, say)
        comparison = _Comparison(
            artifact=artifact,
            origin=origin,
            opened=opened,
            reference=reference,
            drift=drift,
            latency=latency,
        )
        report = comparison.report(pool, folder, say, kept=out is not None)
        if out is not None:
            comparison.publish(folder, report)
    return report, opened.samples


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """A file beside its source.

    Attributes:
        artifact: The file.
        origin: The source, as it was captured if it is a live module.
        opened: What the user gave as the source.
        reference: The capture of a live module.
        drift: How drift is judged.
        latency: Whether the file is timed.
    """

    artifact: Artifact
    origin: Artifact
    opened: Opened
    reference: Reached | None
    drift: DriftOptions
    latency: bool

    def report(
        self, pool: WorkPool, folder: ResultFolder, say: Say, *, kept: bool
    ) -> dict[str, Any]:
        """Run everything and return the report."""
        validation = compare(
            source=self.opened.source,
            reference=self.reference,
            artifacts=[self.artifact],
            samples=self.opened.samples,
            pool=pool,
            scratch=folder.scratch,
            say=say,
            drift=self.drift,
            store=folder.path / MEASURED if kept else None,
        )
        assessment = assess(
            [self.artifact],
            source=self.opened.source,
            samples=self.opened.samples,
            declared=self.opened.options.declared,
            spine=self.origin.spine,
            pool=pool,
            scratch=folder.scratch,
            latency=self.latency,
            say=say,
        )
        return report_document(
            source=self.opened.to_json(),
            options=self._options(),
            conversions=[
                Conversion(format=self.artifact.format.name, routes=(), artifact=self.artifact)
            ],
            spine=self.origin.spine,
            validation=validation,
            key=None,
            assessment=assessment,
        )

    def publish(self, folder: ResultFolder, report: Mapping[str, Any]) -> None:
        """Put the file, its source and the report into the folder."""
        name = self.artifact.path.name
        files = {each.name: each for each in _copies(self.artifact, folder.scratch / "given")}
        kept = [replace(self.artifact, path=folder.path / name)]
        if self.reference is not None:
            captured = EXPORTED.filename
            files[captured] = self.origin.path
            kept.insert(0, replace(self.origin, path=folder.path / captured))
        examples = folder.scratch / EXAMPLES
        np.savez(examples, **self.opened.samples.first())  # type: ignore[arg-type]
        files |= {EXAMPLES: examples, PAGE: folder.new_text(PAGE, html_report(report))}
        manifest = manifest_document(
            source=self.opened.to_json(),
            options=self._options(),
            entries=[ManifestEntry(artifact=each, key=None, seconds=0.0) for each in kept],
            outcomes=(),
            stale=(),
            domain=self.opened.domain_json(),
        )
        folder.publish(files, {REPORT: report, MANIFEST: manifest})

    def _options(self) -> dict[str, Any]:
        return {
            "validated": str(self.artifact.path),
            "drift": self.drift.to_json(),
            "latency": self.latency,
            **recorded_inputs(self.opened.options),
        }


def _captured(execution: Execution, opened: Opened) -> Reached | None:
    """The capture of a live module; ``None`` for a file, which is its own reference."""
    if opened.source.format != TORCH:
        return None
    reached = execution.reach(EXPORTED)
    if reached.made is None:
        failed = [o.detail for each in reached.tried for o in each.outcomes if o.detail]
        raise ConversionError(
            "the source cannot be captured, so it is no reference: " + "; ".join(failed)
        )
    return reached


def _check_fits(artifact: Artifact, reference: Reached | None) -> None:
    """``UsageError`` if a folder cannot hold a file and its source."""
    if reference is not None and artifact.format == EXPORTED:
        raise UsageError(
            f"{artifact.path} and the captured source are both {EXPORTED}, and a folder of results "
            "holds one file of each format",
            hint="leave --out away",
        )
    for name in _data_files(artifact):
        if Path(name).name != name:
            raise UsageError(
                f"{artifact.path} keeps weights in {name}, which does not lie beside it",
                hint="leave --out away",
            )


def _data_files(artifact: Artifact) -> set[str]:
    """Names of the files beside an artifact that its weights lie in."""
    if artifact.format == ONNX:
        from ..inspection.onnx_file import external_files

        return set(external_files(artifact.path))
    return {data_file(artifact.path).name}


def _copies(artifact: Artifact, folder: Path) -> Iterator[Path]:
    """Copy an artifact with the files beside it that belong to it into a new folder."""
    folder.mkdir()
    for name in (artifact.path.name, *sorted(_data_files(artifact))):
        file = artifact.path.parent / name
        if file.is_dir():
            yield shutil.copytree(file, folder / name)
        elif file.is_file():
            yield shutil.copyfile(file, folder / name)


def _aligned(
    artifact: Artifact, origin: Artifact, runner: Runner, samples: Samples, say: Say
) -> Artifact:
    """Look for the layers; an artifact whose layers cannot be looked for says why."""
    say(f"{artifact.path.name}: looking for the layers of the source in it")
    try:
        return align(artifact, origin, runner=runner, samples=samples).applied(artifact)
    except (WorkFailure, BridgeError) as error:
        return replace(artifact, notes=(*artifact.notes, f"its layers were not found: {error}"))


def foreign_artifact(path: Path, source: Signature) -> Artifact:
    """Return a file as an artifact of a source.

    A file that lies in a result folder has its layer map from there; any other file has none.
    Inputs and outputs correspond to the source's by name if the names are the same, else by order;
    a tensor whose shape is the source's with the channels last is taken to be just that.

    Raises:
        SourceError: The file cannot be read.
        InputError: Its inputs or outputs cannot be the source's.
    """
    manifest = path.parent / MANIFEST
    if manifest.is_file():
        for stored in stored_artifacts(path.parent, read_json(manifest)):
            if stored.artifact.path.name == path.name:
                return stored.artifact
    found = inspect(path)
    signature = Signature(
        inputs=_corresponding("input", path, source.inputs, found.signature.inputs),
        outputs=_corresponding("output", path, source.outputs, found.signature.outputs),
    )
    artifact = Artifact(
        format=format_named(found.format.name),
        path=path,
        sha256=found.sha256,
        size=found.size,
        signature=signature,
        producer=found.producer,
        producer_version=found.producer_version,
    )
    return replace(artifact, precision=file_recipe(path, artifact.format).precision)


def _corresponding(
    kind: str, path: Path, source: tuple[TensorSpec, ...], its: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    if not its:  # a format that stores no signature takes and gives what the source does
        return source
    if len(its) != len(source):
        raise InputError(
            f"{path} has {len(its)} {kind}(s), the source {len(source)}: "
            f"{', '.join(map(str, its))} and {', '.join(map(str, source))}"
        )
    by_name = {spec.name: spec for spec in its}
    if set(by_name) == {spec.name for spec in source}:
        its = tuple(by_name[spec.name] for spec in source)
    return tuple(_placed(kind, path, *pair) for pair in zip(source, its, strict=True))


def _placed(kind: str, path: Path, source: TensorSpec, its: TensorSpec) -> TensorSpec:
    rank = len(source.shape)
    if _same_sizes(source.shape, its.shape):
        return replace(its, layout=source.layout)
    if rank >= 3 and rank == len(its.shape):
        last = (0, *range(2, rank), 1)
        if _same_sizes(tuple(source.shape[axis] for axis in last), its.shape):
            _, channels_last = AXES.get(rank, ("", None))
            return replace(its, permutation=last, layout=channels_last)
    raise InputError(f"{path}: its {kind} {its} cannot be the source's {source}")


def _same_sizes(first: tuple[int | None, ...], second: tuple[int | None, ...]) -> bool:
    return len(first) == len(second) and all(
        one is None or other is None or one == other
        for one, other in zip(first, second, strict=True)
    )
