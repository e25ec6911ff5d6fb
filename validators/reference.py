"""The reference: what every artifact is compared with, and how noisy its own precision is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..artifact import Artifact, Signature, TensorSpec
from ..formats import EXPORTED, ONNX, TORCHSCRIPT, Format
from ..layers import LayerMap, Spine
from ..live import LiveModel, output_names, tensors_of
from ..samples import Samples
from .metrics import measure
from .running import Run, Runner
from .runtime import RUNTIMES, RunResult

_RUNTIME_OF: dict[Format, str] = {
    EXPORTED: "eager-float64",
    ONNX: "onnxruntime",
    TORCHSCRIPT: "torchscript",
}
_BASELINE = "eager-float32"
_TAP_BUDGET_BYTES = 2**28
_MOST_LAYER_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The truth of one validation.

    Attributes:
        runtime: What made it.
        outputs: The source's outputs, in order.
        spine: The layers; without any if the source could not be captured.
        whole: Outputs of all samples.
        tapped: Outputs and layers of the first ``layer_samples``; ``None`` without a spine.
        layer_samples: How many samples the layers are compared on.
        layer_map: Where the layers are in ``tapped``.
        noise_floors: Layer → relative RMS error there of the source model in float32, which is
            what a legitimate implementation has; empty where it cannot be had.
    """

    runtime: str
    outputs: tuple[TensorSpec, ...]
    spine: Spine
    whole: Run
    tapped: Run | None = None
    layer_samples: int = 0
    layer_map: LayerMap = field(default_factory=LayerMap)
    noise_floors: Mapping[str, float] = field(default_factory=dict)


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
    count = _layer_samples(artifact.spine, samples)
    head = samples.head(count)
    taps = _taps(artifact)
    whole = runner.run(runtime, artifact, samples)
    tapped = runner.run(runtime, artifact, head, taps)
    return Reference(
        runtime=runtime.name,
        outputs=artifact.signature.outputs,
        spine=artifact.spine,
        whole=whole,
        tapped=tapped,
        layer_samples=count,
        layer_map=artifact.layer_map,
        noise_floors=_noise_floors(runner, artifact, head, tapped),
    )


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


def _taps(artifact: Artifact) -> list[str]:
    return [place.tensor for place in artifact.layer_map.mapped().values() if place.tensor]


def _noise_floors(
    runner: Runner, artifact: Artifact, samples: Samples, truth: Run
) -> dict[str, float]:
    if artifact.format != EXPORTED:
        return {}
    baseline = runner.run(RUNTIMES.get(_BASELINE)(), artifact, samples, _taps(artifact))
    return {
        layer: measure(truth.tap(place.tensor), baseline.tap(place.tensor)).relative_rms
        for layer, place in artifact.layer_map.mapped().items()
        if place.tensor is not None
    }


def _layer_samples(spine: Spine, samples: Samples) -> int:
    """As many samples as the layers fit the budget for, in float64; at least one."""
    elements = sum(int(np.prod(layer.shape or ())) for layer in spine.layers)
    fitting = _TAP_BUDGET_BYTES // max(1, elements * 8)
    return max(1, min(samples.count, _MOST_LAYER_SAMPLES, fitting))
