"""ONNX models in float64: the reference of a user's ONNX file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...artifact import Artifact, Signature, TensorSpec
from ...formats import ONNX
from ..cutting.onnx import cut
from ..runtime import Arrays, RunResult, Runtime, Session, cut_signature, register_runtime
from ..taps.onnx import expose
from ..taps.onnx_double import promoted

_ERRORS_ONLY = 3


class _OnnxFloat64(Runtime):
    """What both ways share.

    Inputs are of the model's own types; floating point outputs and taps are float64.
    """

    formats = (ONNX,)
    taps = True
    cuts = True
    reference_only = True

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        return self._session(artifact.path, artifact.signature, expose(artifact.path, taps), taps)

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        content = cut(artifact.path, taps, cuts)
        return self._session(artifact.path, cut_signature(artifact, cuts), content, taps)

    def _session(
        self, path: Path, signature: Signature, content: bytes, taps: list[str]
    ) -> Session:
        return _Float64Session(signature, self._load(promoted(content, path.parent)), taps)

    @abstractmethod
    def _load(self, model: Any) -> Any:
        """Load a promoted model; what it returns has ``run(names, inputs)``."""


@register_runtime
class OnnxRuntimeFloat64(_OnnxFloat64):
    """ONNX Runtime, with all numbers double; it has no such kernels for some operators."""

    name = "onnxruntime-float64"
    title = "ONNX Runtime (float64)"
    packages = ("onnxruntime", "onnx")

    def _load(self, model: Any) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # a fusion may have a kernel for float32 only
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


@register_runtime
class OnnxEvaluatorFloat64(_OnnxFloat64):
    """The reference evaluator of the onnx package, with all numbers double; it is slow."""

    name = "onnx-evaluator-float64"
    title = "ONNX reference evaluator (float64)"
    packages = ("onnx",)

    def _load(self, model: Any) -> Any:
        from onnx.reference import ReferenceEvaluator

        from .onnx_convolution import convolutions

        return ReferenceEvaluator(model, new_ops=convolutions())


class _Float64Session(Session):
    def __init__(self, signature: Signature, native: Any, taps: list[str]) -> None:
        super().__init__(signature)
        self._native = native
        self._outputs = [spec.name for spec in signature.outputs]
        self._taps = taps
        self._fetched = list(dict.fromkeys((*self._outputs, *taps)))

    def _run(self, inputs: Arrays) -> RunResult:
        wide = {
            name: array.astype(np.float64) if array.dtype.kind == "f" else array
            for name, array in inputs.items()
        }
        # no operator warns of what it makes infinite or NaN: that is compared
        with np.errstate(all="ignore"):
            made = self._native.run(self._fetched, wide)
        values = {name: np.asarray(each) for name, each in zip(self._fetched, made, strict=True)}
        return RunResult(
            outputs={name: values[name] for name in self._outputs},
            taps={name: values[name] for name in self._taps},
        )
