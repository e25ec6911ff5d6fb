"""The TorchScript interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...artifact import Artifact, Signature, TensorSpec
from ...errors import SourceError
from ...formats import TORCHSCRIPT
from ..cutting.torchscript import cut
from ..runtime import Arrays, RunResult, Runtime, Session, cut_signature, register_runtime
from ..taps.torchscript import expose
from ..tensors import named_outputs, one_thread, to_numpy, to_torch


@register_runtime
class TorchScript(Runtime):
    """``torch.jit.load`` on the CPU, in the mode (training or not) that the file was saved in.

    Taps run the module's own graph with values of it returned. What ``forward`` writes to a buffer
    stays from run to run of one session, as it does on a phone.
    """

    name = "torchscript"
    title = "TorchScript interpreter"
    formats = (TORCHSCRIPT,)
    packages = ("torch",)
    taps = True
    cuts = True

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        module = load(artifact)
        forward = expose(module, taps, artifact.path) if taps else module.forward
        return TorchScriptSession(artifact.signature, module, forward, taps)

    def _open_cut(self, artifact: Artifact, taps: list[str], cuts: Sequence[TensorSpec]) -> Session:
        module = load(artifact)
        forward = cut(module, taps, [each.name for each in cuts], artifact.path)
        return TorchScriptSession(cut_signature(artifact, cuts), module, forward, taps, len(cuts))


def load(artifact: Artifact) -> Any:
    """Return the module of a file, on the CPU."""
    import torch

    return torch.jit.load(str(artifact.path), map_location="cpu")  # type: ignore[no-untyped-call]


class TorchScriptSession(Session):
    """A module's ``forward``, or a function of its graph that shows values of it."""

    def __init__(
        self,
        signature: Signature,
        module: Any,
        forward: Callable[..., Any],
        taps: list[str],
        fed: int = 0,
    ) -> None:
        super().__init__(signature)
        self._taps = taps
        self._fed = fed
        self._forward = forward
        self._arguments = module.forward.schema.arguments[1:]  # the first one is the module

    def _run(self, inputs: Arrays) -> RunResult:
        tensors = {name: to_torch(array) for name, array in inputs.items()}
        fed = [tensors.pop(name) for name in list(inputs)[len(inputs) - self._fed :]]
        arguments = [_take(each.name, each.type, tensors, each) for each in self._arguments]
        if tensors:
            raise SourceError(f"the module has no arguments for {', '.join(tensors)}")
        with one_thread():
            result = self._forward(*arguments, *fed)
        shown: tuple[Any, ...] = ()
        if self._taps or self._fed:
            result, shown = result[0], result[1:]
        return RunResult(
            outputs=named_outputs(result, self.signature),
            taps={name: to_numpy(each) for name, each in zip(self._taps, shown, strict=True)},
        )


def _take(name: str, kind: Any, tensors: dict[str, Any], argument: Any = None) -> Any:
    """Take the value of an argument, nested as its type is, from the tensors that are left.

    A tensor is the one of the argument's name or else the next one; an optional one is left out
    unless its name is there. Lists and dictionaries do not say how many they hold; theirs are named
    after the argument, ``states_0`` or ``batch_mask``.
    """
    form = kind.kind()
    if form == "OptionalType" and name in tensors:
        return tensors.pop(name)
    if form == "TensorType" and tensors:
        return tensors.pop(name if name in tensors else next(iter(tensors)))
    if form == "TupleType":
        return tuple(
            _take(f"{name}_{place}", each, tensors) for place, each in enumerate(kind.elements())
        )
    if form == "ListType" and str(kind.getElementType()) == "Tensor":
        return [tensors.pop(each) for each in list(tensors) if each.startswith(f"{name}_")]
    if form == "DictType" and str(kind.getValueType()) == "Tensor":
        prefix = f"{name}_"
        return {
            each.removeprefix(prefix): tensors.pop(each)
            for each in list(tensors)
            if each.startswith(prefix)
        }
    if argument is not None and argument.has_default_value():
        return argument.default_value
    raise SourceError(f"argument {name!r} is a {kind}: it has no tensor in the signature")
