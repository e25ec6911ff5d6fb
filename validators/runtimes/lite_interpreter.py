"""The lite interpreter of PyTorch Mobile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...artifact import Artifact, Signature, TensorSpec
from ...formats import MOBILE
from ..runtime import Arrays, RunResult, Runtime, Session, cut_signature, register_runtime
from ..taps.lite import Twin, origin
from ..tensors import named_outputs, one_thread, to_numpy, to_torch


@register_runtime
class LiteInterpreter(Runtime):
    """The interpreter that phones run .ptl files with.

    It has no way to show inner values: taps run an instrumented twin of the file.
    """

    name = "lite-interpreter"
    title = "PyTorch Mobile lite interpreter"
    formats = (MOBILE,)
    packages = ("torch",)
    taps = True
    cuts = True

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        from torch.jit.mobile import _load_for_lite_interpreter

        if taps:
            return _LiteSession(artifact.signature, Twin(origin(artifact), taps, ()), taps)
        module = _load_for_lite_interpreter(  # type: ignore[no-untyped-call]
            str(artifact.path), map_location="cpu"
        )
        return _LiteSession(artifact.signature, module, ())

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        twin = Twin(origin(artifact), taps, [each.name for each in cuts])
        return _LiteSession(cut_signature(artifact, cuts), twin, taps, cut=True)


class _LiteSession(Session):
    def __init__(
        self,
        signature: Signature,
        module: Callable[..., Any],
        taps: Sequence[str],
        *,
        cut: bool = False,
    ) -> None:
        super().__init__(signature)
        self._module = module
        self._taps = taps
        self._is_twin = bool(taps) or cut

    def _run(self, inputs: Arrays) -> RunResult:
        # the file does not tell its arguments' types, so they are tensors, in order
        with one_thread():
            result = self._module(*(to_torch(array) for array in inputs.values()))
        if not self._is_twin:
            return RunResult(outputs=named_outputs(result, self.signature))
        shown = result[1:] if self._taps else ()
        own = result[0] if self._taps else result
        return RunResult(
            outputs=named_outputs(own, self.signature),
            taps={name: to_numpy(each) for name, each in zip(self._taps, shown, strict=True)},
        )
