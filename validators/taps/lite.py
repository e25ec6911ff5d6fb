"""Twins of lite interpreter files: the same program with values of it as further results.

A .ptl file holds bytecode, and nothing inside it can be shown. Its twin is the TorchScript file
that it was made from, instrumented and written in the same form, and runs in the same interpreter.
The shipped file is run beside it: its outputs are the authority.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...artifact import Artifact, digest
from ...errors import SourceError
from ...formats import TORCHSCRIPT
from ..cutting.torchscript import feed
from .torchscript import show, tensor_values


def origin(artifact: Artifact) -> Path:
    """Return the TorchScript file that a .ptl file was made from, which lies beside it.

    Raises:
        SourceError: It is not there, or is another one.
    """
    path = artifact.path.with_name(TORCHSCRIPT.filename)
    if not path.is_file() or digest(path) != artifact.parent:
        raise SourceError(
            f"{artifact.path.name} shows no tensors, and the TorchScript file that it was made "
            f"from is not beside it as {path.name}"
        )
    return path


class Twin:
    """A program of the lite interpreter with values shown, and readers of others fed.

    It is written when it first runs, since its arguments are known then.

    Args:
        path: The TorchScript file.
        taps: Names of values to show.
        cuts: Names of values whose readers are fed.

    Raises:
        SourceError: There is no such value, it holds no tensor, or the program needs the module
            itself.
    """

    def __init__(self, path: Path, taps: Sequence[str], cuts: Sequence[str]) -> None:
        import torch

        module: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        graph: Any = module.inlined_graph
        values = tensor_values(graph, [*taps, *cuts], path)
        shown = show(graph, [values[name] for name in taps])
        feed(graph, {name: values[name] for name in cuts}, shown)
        _embed_attributes(module, graph, path)
        graph.makeMultiOutputIntoTuple()
        graph.eraseInput(0)
        self._function: Any = torch._C._create_function_from_graph("forward", graph)
        self._module: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Run on tensors, those for the cuts last; return the result, then the shown values."""
        if self._module is None:
            self._module = self._written(arguments)
        return self._module(*arguments)

    def _written(self, arguments: Sequence[Any]) -> Any:
        import torch
        from torch.jit.mobile import _load_for_lite_interpreter

        function = self._function

        class Calling(torch.nn.Module):
            def forward(self, *given: Any) -> Any:
                return function(*given)

        copies = tuple(each.clone() for each in arguments)
        trace: Any = torch.jit.trace
        traced = trace(Calling(), copies, check_trace=False, strict=False)
        content = traced._save_to_buffer_for_lite_interpreter(_use_flatbuffer=True)
        return _load_for_lite_interpreter(io.BytesIO(content))  # type: ignore[no-untyped-call]


def _embed_attributes(module: Any, graph: Any, path: Path) -> None:
    """Make constants of the module's parameters, buffers and numbers, so that it is not needed."""
    import torch

    own = next(iter(graph.inputs()))
    for node in list(graph.nodes()):
        if node.kind() != "prim::GetAttr" or node.output().type().kind() == "ClassType":
            continue
        value = _attribute(module, node)
        constant = graph.insertConstant(value.detach() if torch.is_tensor(value) else value)
        constant.node().moveBefore(node)
        node.output().replaceAllUsesWith(constant)
    for node in reversed(list(graph.nodes())):
        if node.kind() == "prim::GetAttr" and not any(each.uses() for each in node.outputs()):
            node.destroy()
    if own.uses():
        raise SourceError(f"{path.name} changes its own state, so it has no twin")


def _attribute(module: Any, node: Any) -> Any:
    path: list[str] = []
    while node.kind() == "prim::GetAttr":
        path.insert(0, node.s("name"))
        node = next(iter(node.inputs())).node()
    value = module
    for name in path:
        value = getattr(value, name)
    return value
