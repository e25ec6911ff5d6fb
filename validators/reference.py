"""The reference: what every artifact is compared with, and how noisy its own precision is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..artifact import Artifact, Signature, TensorSpec
from ..formats import EXPORTED, ONNX, TORCHSCRIPT, Format
from ..layers import Spine
from ..live import LiveModel, output_names, tensors_of
from ..samples import Samples
from ..worker import WorkFailure
from .drift.plan import separable
from .running import Run, Runner
from .runtime import RUNTIMES, RunResult
from .runtimes.torchscript import load
from .taps.exported import load_program
from .taps.torchscript_double import separable_values

# the first that runs makes the truth; those that are not of float64 only where no other does
_RUNTIMES_OF: dict[Format, tuple[str, ...]] = {
    EXPORTED: ("eager-float64",),
    ONNX: ("onnxruntime-float64", "onnx-evaluator-float64", "onnxruntime"),
    TORCHSCRIPT: ("torchscript-float64", "torchscript"),
}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The truth of one validation.

    Attributes:
        runtime: What made it.
        outputs: The source's outputs, in order.
        spine: The layers; without any if the source could not be captured.
        whole: Outputs of all samples.
        source: The artifact whose layers the spine's are; ``None`` if the source could not be
            captured.
        separable: Layers that may be run alone; empty if the reference is not in float64.
    """

    runtime: str
    outputs: tuple[TensorSpec, ...]
    spine: Spine
    whole: Run
    source: Artifact | None = None
    separable: frozenset[str] = frozenset()


def reference_runtime(format_: Format) -> str:
    """Return the runtime that makes the truth for a source of a format, if it can."""
    return _RUNTIMES_OF[format_][0]


def artifact_reference(
    runner: Runner,
    artifact: Artifact,
    samples: Samples,
    say: Callable[[str], None] = lambda text: None,
) -> Reference:
    """Run a source artifact in float64; an ONNX or TorchScript file that cannot, as it is.

    Args:
        runner: Runs it.
        artifact: The source.
        samples: Inputs.
        say: Told why a way to run it in float64 is not taken.

    Raises:
        WorkFailure: It does not run.
    """
    assert artifact.spine is not None
    *wide, last = (RUNTIMES.get(name)() for name in _RUNTIMES_OF[artifact.format])
    chosen, whole = last, None
    for runtime in wide:
        try:
            chosen, whole = runtime, runner.run(runtime, artifact, samples)
            break
        except WorkFailure as error:
            say(f"reference: not in {runtime.title}: {error.message}")
            chosen = last
    return Reference(
        runtime=chosen.name,
        outputs=artifact.signature.outputs,
        spine=artifact.spine,
        whole=whole or runner.run(chosen, artifact, samples),
        source=artifact,
        separable=separable_layers(artifact) if chosen.reference_only else frozenset(),
    )


def separable_layers(artifact: Artifact) -> frozenset[str]:
    """Return the layers of a source that may be run alone."""
    if artifact.format == ONNX:  # nothing in it writes to what it reads
        return frozenset(artifact.spine.ids() if artifact.spine else ())
    if artifact.format == TORCHSCRIPT:
        return frozenset(separable_values(load(artifact)))
    return frozenset(separable(load_program(artifact.path)))


def live_reference(
    runner: Runner, live: LiveModel, signature: Signature, samples: Samples
) -> Reference:
    """Run a live module that cannot be captured, in float64; it has no layers to compare."""
    import torch

    module = copy.deepcopy(live.module).double()
    stacked: dict[str, list[Any]] = {}
    with torch.no_grad():
        for index in range(samples.count):
            arrays = {name: array[index] for name, array in samples.arrays.items()}
            wide = {
                n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()
            }
            args, kwargs = live.with_inputs(wide)
            result = module(*args, **kwargs)
            for name, tensor in zip(output_names(result), tensors_of(result), strict=True):
                stacked.setdefault(name, []).append(tensor.numpy())
    outputs = {name: np.stack(rows) for name, rows in stacked.items()}
    return Reference(
        runtime="eager-float64",
        outputs=signature.outputs,
        spine=Spine(origin="torch", layers=()),
        whole=Run(arrays=RunResult(outputs=outputs), version=torch.__version__),
    )
