"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...artifact import Artifact, Signature, TensorSpec
from ...formats import ONNX
from ..cutting.onnx import cut
from ..runtime import Arrays, RunResult, Runtime, Session, cut_signature, register_runtime
from ..taps.names import require_names
from ..taps.onnx import expose

_ERRORS_ONLY = 3


@register_runtime
class OnnxRuntime(Runtime):
    """ONNX Runtime with all graph optimisations, as it runs by default for whoever gets the file.

    Taps run at the same level. A value that is shown cannot be fused away, though, so the tapped
    model's outputs may differ from the shipped one's by rounding (``Conv + Add + Relu`` becomes
    three kernels); the untapped run is the authority on outputs.

    One thread, so that sums are made in one order and timings compare on machines of any size.
    """

    name = "onnxruntime"
    title = "ONNX Runtime (CPU)"
    formats = (ONNX,)
    packages = ("onnxruntime", "onnx")
    taps = True
    cuts = True

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        if not taps:
            return _OnnxSession(artifact, artifact.signature, self._load(artifact.path), taps)
        native = self._load(artifact.path, expose(artifact.path, taps))
        return _OnnxSession(artifact, artifact.signature, native, taps)

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        native = self._load(artifact.path, cut(artifact.path, taps, cuts))
        return _OnnxSession(artifact, cut_signature(artifact, cuts), native, taps)

    def _load(self, path: Path, instrumented: bytes | None = None) -> Any:
        """Load a file, or an instrumented model in its place."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # a model in memory has no folder of its own to find weights in
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(path.resolve().parent)
        )
        model = str(path) if instrumented is None else instrumented
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class _OnnxSession(Session):
    def __init__(
        self, artifact: Artifact, signature: Signature, native: Any, taps: list[str]
    ) -> None:
        super().__init__(signature)
        self._native = native
        self._outputs = [spec.name for spec in self.signature.outputs]
        self._taps = taps
        self._fetched = list(dict.fromkeys((*self._outputs, *taps)))
        inputs = [spec.name for spec in self.signature.inputs]
        known = [each.name for each in native.get_inputs()]
        require_names("input", inputs, known, artifact.path)
        outputs = [each.name for each in native.get_outputs()]
        require_names("output", self._outputs, outputs, artifact.path)

    def _run(self, inputs: Arrays) -> RunResult:
        values = dict(zip(self._fetched, self._native.run(self._fetched, inputs), strict=True))
        return RunResult(
            outputs={name: values[name] for name in self._outputs},
            taps={name: values[name] for name in self._taps},
        )
