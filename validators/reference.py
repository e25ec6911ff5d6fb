"""The reference: what every artifact is compared with, and how noisy its own precision is."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..artifact import Artifact, Signature, TensorSpec
from ..formats import EXPORTED, ONNX, TORCHSCRIPT, Format
from ..layers import Spine
from ..live import LiveModel, output_names, tensors_of
from ..samples import Samples
from .drift.plan import separable
from .running import Run, Runner
from .runtime import RUNTIMES, RunResult
from .taps.exported import load_program

_RUNTIME_OF: dict[Format, str] = {
    EXPORTED: "eager-float64",
    ONNX: "onnxruntime",
    TORCHSCRIPT: "torchscript",
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
    """Return the runtime that makes the truth for a source of a format."""
    return _RUNTIME_OF[format_]


def artifact_reference(runner: Runner, artifact: Artifact, samples: Samples) -> Reference:
    """Run a source artifact: an exported program in float64, an ONNX or TorchScript file as it is.

    Raises:
        WorkFailure: It does not run.
    """
    assert artifact.spine is not None
    runtime = RUNTIMES.get(reference_runtime(artifact.format))()
    return Reference(
        runtime=runtime.name,
        outputs=artifact.signature.outputs,
        spine=artifact.spine,
        whole=runner.run(runtime, artifact, samples),
        source=artifact,
        separable=_separable(artifact),
    )


def _separable(artifact: Artifact) -> frozenset[str]:
    if artifact.format != EXPORTED:
        return frozenset()
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
