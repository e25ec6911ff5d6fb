"""Golden vectors: inputs, and the outputs that a right model gives for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Artifact, TensorSpec
from ..errors import ConversionError
from ..samples import Samples
from ..validators.metrics import Metrics, measure
from ..validators.running import Runner
from ..validators.runtime import RUNTIMES
from ..worker import WorkFailure
from .tolerance import Drift, Tolerance, tolerances

INDEX = "index.json"
SCHEMA, VERSION = "driftbridge/golden", 1
RUNTIMES_MEASURED = ("litert-xnnpack", "litert-builtin")

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class GoldenOutput:
    """One output's golden values.

    Attributes:
        spec: The output.
        values: ``[K, *shape]`` in its own type, axes and steps.
        measured: Runtime → how far it was off on these inputs here.
        tolerance: Backend → how far a device may be off.
    """

    spec: TensorSpec
    values: Array
    measured: Mapping[str, Metrics]
    tolerance: Mapping[str, Tolerance]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Golden vectors of a model.

    Attributes:
        inputs: Name of an input → ``[K, *shape]`` in its own type, axes and steps.
        outputs: In the order of the source.
        reference: What made the outputs.
        origin: Where the inputs come from.
        actual: Name of an output → what LiteRT gives here with XNNPACK, ``[K, *shape]``.
    """

    inputs: Mapping[str, Array]
    outputs: tuple[GoldenOutput, ...]
    reference: str
    origin: str
    actual: Mapping[str, Array]

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.inputs.values())))


def make_golden(
    *,
    runner: Runner,
    source: Artifact,
    reference: str,
    artifact: Artifact,
    samples: Samples,
    reported: Mapping[str, Sequence[Drift]],
) -> Golden:
    """Run the source and the artifact, and derive the tolerances.

    Args:
        runner: Runs artifacts; its inputs are the source's.
        source: The source as a file that runs.
        reference: Name of the runtime that makes the truth of it.
        artifact: The TFLite file.
        samples: The inputs, in the source's names, axes and types.
        reported: Output of the artifact → drift that an earlier validation measured.

    Raises:
        ConversionError: A runtime fails, or a result is NaN or infinite where the reference is not.
    """
    truth = _run(runner, reference, source, samples)
    signature = artifact.signature
    inputs = {
        its.name: stored(samples.arrays[spec.name], its)
        for spec, its in zip(runner.inputs, signature.inputs, strict=True)
    }
    wide = {
        its.name: steps(truth.output(spec), its)
        for spec, its in zip(source.signature.outputs, signature.outputs, strict=True)
    }
    plain = plain_artifact(artifact)
    own = replace_inputs(runner, plain)
    found = {
        name: _run(own, name, plain, Samples(arrays=inputs, origin=samples.origin)).arrays.outputs
        for name in RUNTIMES_MEASURED
    }
    return Golden(
        inputs=inputs,
        outputs=tuple(
            _output(spec, wide[spec.name], found, artifact.precision, reported)
            for spec in signature.outputs
        ),
        reference=reference,
        origin=samples.origin,
        actual={name: np.asarray(each) for name, each in found[RUNTIMES_MEASURED[0]].items()},
    )


def plain_artifact(artifact: Artifact) -> Artifact:
    """Return the artifact as one whose source has its own axes and types."""
    bare = {
        side: tuple(
            replace(spec, permutation=None, quantization=None)
            for spec in getattr(artifact.signature, side)
        )
        for side in ("inputs", "outputs")
    }
    return replace(artifact, signature=replace(artifact.signature, **bare))


def replace_inputs(runner: Runner, artifact: Artifact) -> Runner:
    """Return a runner that takes the inputs as an artifact does."""
    return Runner(
        pool=runner.pool,
        scratch=runner.scratch / artifact.format.name,
        inputs=artifact.signature.inputs,
    )


def stored(values: Array, spec: TensorSpec) -> Array:
    """Return ``[K, *shape]`` in the source's axes as a tensor stores it: its axes, steps, type."""
    made = steps(values, spec)
    kind = np.dtype(spec.dtype)
    if kind.kind in "iu" and made.dtype.kind == "f":
        limits = np.iinfo(kind)
        made = np.clip(np.rint(made), limits.min, limits.max)
    with np.errstate(over="ignore"):  # a reference beyond the type's range is infinite in it
        return np.ascontiguousarray(made.astype(kind, copy=False))


def steps(values: Array, spec: TensorSpec) -> Array:
    """Return ``[K, *shape]`` in a tensor's axes, and in its steps if it is quantized."""
    if spec.permutation is not None:
        values = values.transpose(0, *(axis + 1 for axis in spec.permutation))
    if spec.quantization is None:
        return values
    if spec.quantization.axis is not None:
        raise ConversionError(f"{spec} has one scale per channel, which an app cannot be given")
    scale, zero = spec.quantization.scales[0], spec.quantization.zero_points[0]
    return values.astype(np.float64) / scale + zero


def write_golden(golden: Golden, folder: Path, model: Mapping[str, Any]) -> None:
    """Write the vectors as raw little-endian files, and ``index.json``.

    Args:
        golden: The vectors.
        folder: Where; it is made.
        model: What the index says of the model: ``file`` and ``sha256``.
    """
    folder.mkdir(parents=True)
    inputs = [
        _entry(folder, f"input{index}", name, array)
        for index, (name, array) in enumerate(golden.inputs.items())
    ]
    outputs = [
        _entry(folder, f"output{index}", each.spec.name, each.values)
        | {
            "tolerance": {name: limit.to_json() for name, limit in each.tolerance.items()},
            "measured": {
                name: {"max_abs": metrics.max_abs, "rmse": metrics.rmse}
                for name, metrics in each.measured.items()
            },
        }
        for index, each in enumerate(golden.outputs)
    ]
    document = {
        "schema": SCHEMA,
        "version": VERSION,
        "model": dict(model),
        "byte_order": "little",
        "samples": golden.count,
        "origin": golden.origin,
        "reference": golden.reference,
        "inputs": inputs,
        "outputs": outputs,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8")


def _entry(folder: Path, stem: str, name: str, array: Array) -> dict[str, Any]:
    """Write each sample of a tensor to a file and return its entry in the index."""
    files = []
    for index, sample in enumerate(array):
        files.append(f"{index:02d}.{stem}.bin")
        little = np.ascontiguousarray(sample, sample.dtype.newbyteorder("<"))
        (folder / files[-1]).write_bytes(little.tobytes())
    return {
        "name": name,
        "dtype": array.dtype.name,
        "shape": list(array.shape[1:]),
        "files": files,
    }


def _run(runner: Runner, runtime: str, artifact: Artifact, samples: Samples) -> Any:
    runner.scratch.mkdir(exist_ok=True)
    try:
        return runner.run(RUNTIMES.get(runtime)(), artifact, samples)
    except WorkFailure as error:
        raise ConversionError(
            f"{artifact.path.name} does not run in {runtime}: {error.message}"
        ) from error


def _output(
    spec: TensorSpec,
    wide: Array,
    found: Mapping[str, Mapping[str, Array]],
    precision: str,
    reported: Mapping[str, Sequence[Drift]],
) -> GoldenOutput:
    values = stored(wide, replace(spec, permutation=None, quantization=None))
    # of a whole number the reference is the number; of a float the value before it was rounded
    reference = wide if values.dtype.kind == "f" else values
    measured = {name: measure(reference, outputs[spec.name]) for name, outputs in found.items()}
    for name, metrics in measured.items():
        if not metrics.same_nonfinite:
            raise ConversionError(
                f"output {spec.name} of {name} is NaN or infinite where the reference is not, or "
                "the reverse"
            )
    here = [Drift(max_abs=each.max_abs, rmse=each.rmse) for each in measured.values()]
    drifts = [*here, *reported.get(spec.name, ())]
    return GoldenOutput(
        spec=spec,
        values=values,
        measured=measured,
        tolerance=tolerances(wide.astype(np.float64), spec.dtype, precision, drifts),
    )
