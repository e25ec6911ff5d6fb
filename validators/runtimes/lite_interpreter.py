"""The lite interpreter of PyTorch Mobile."""

from __future__ import annotations

from typing import Any

from ...artifact import Artifact
from ...formats import MOBILE
from ..runtime import Arrays, RunResult, Runtime, Session, register_runtime
from ..tensors import named_outputs, one_thread, to_torch


@register_runtime
class LiteInterpreter(Runtime):
    """The interpreter that phones run .ptl files with; it has no way to show inner values."""

    name = "lite-interpreter"
    title = "PyTorch Mobile lite interpreter"
    formats = (MOBILE,)
    packages = ("torch",)

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        from torch.jit.mobile import _load_for_lite_interpreter

        module = _load_for_lite_interpreter(  # type: ignore[no-untyped-call]
            str(artifact.path), map_location="cpu"
        )
        return _LiteSession(artifact, module)


class _LiteSession(Session):
    def __init__(self, artifact: Artifact, module: Any) -> None:
        super().__init__(artifact.signature)
        self._module = module

    def _run(self, inputs: Arrays) -> RunResult:
        # the file does not tell its arguments' types, so they are tensors, in order
        with one_thread():
            result = self._module(*(to_torch(array) for array in inputs.values()))
        return RunResult(outputs=named_outputs(result, self.signature))
