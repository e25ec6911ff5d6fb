"""TorchScript graphs cut apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..taps.torchscript import function_of, show, tensor_values

_OPERATORS = ("aten::", "torchvision::")


def cut(
    module: Any, taps: Sequence[str], cuts: Sequence[str], path: Path
) -> Callable[..., tuple[Any, ...]]:
    """Return ``forward`` of a loaded module with values shown, and readers of others fed.

    Args:
        module: A ``ScriptModule`` as ``torch.jit.load`` returns it.
        taps: Names of values to show.
        cuts: Names of values whose readers are fed. What an operator writes to in place belongs
            to one piece with all that shares its memory; such values are the caller's to leave out.
        path: The file, for messages.

    Returns:
        A function of ``forward``'s own arguments and one tensor for each cut, which returns its
        result, then the shown values.

    Raises:
        SourceError: There is no such value, or it holds no tensor.
    """
    graph: Any = module.inlined_graph
    cut_graph(graph, taps, cuts, path)
    return function_of(module, graph)


def cut_graph(graph: Any, taps: Sequence[str], cuts: Sequence[str], path: Path) -> None:
    """Cut a graph, which is changed; arguments and errors are those of ``cut``."""
    values = tensor_values(graph, [*taps, *cuts], path)
    shown = show(graph, [values[name] for name in taps])
    feed(graph, {name: values[name] for name in cuts}, shown)


def piece_operators(
    file: Path, tensor: str, cuts: Sequence[str]
) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """Return what makes a value of cut values: kind and constant options of each operator.

    Args:
        file: A TorchScript file.
        tensor: Name of the value.
        cuts: Names of the values that are not looked behind.

    Returns:
        The operators in order, and the cut values that they read.

    Raises:
        SourceError: There is no such value, or it holds no tensor.
    """
    import torch

    graph: Any = torch.jit.load(file, map_location="cpu").inlined_graph  # type: ignore[no-untyped-call]
    (value,) = tensor_values(graph, [tensor], file).values()
    found: set[Any] = set()
    waiting, stop = [value.node()], {*cuts} - {tensor}
    read = set()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            names = {each.debugName() for each in node.inputs()}
            read |= names & stop
            waiting += [each.node() for each in node.inputs() if each.debugName() not in stop]
    operators = [
        (node.kind(), _options(node))
        for node in graph.nodes()
        if node in found and node.kind().startswith(_OPERATORS)
    ]
    return operators, [each for each in cuts if each in read]


def _options(node: Any) -> dict[str, Any]:
    """The arguments of an operator that are constants, by the names of its schema."""
    import torch

    if node.schema() == "(no schema)":
        return {}
    names = [each.name for each in torch._C.parse_schema(node.schema()).arguments]
    constants = {name: _constant(value) for name, value in zip(names, node.inputs(), strict=True)}
    return {name: constant for name, constant in constants.items() if constant is not None}


def _constant(value: Any) -> Any:
    """A number, a flag or a list of them; ``None`` for anything else, such as weights."""
    kind, node = value.node().kind(), value.node()
    if kind == "prim::Constant":
        constant = value.toIValue()
        return constant if isinstance(constant, bool | int | float | str) else None
    if kind == "prim::ListConstruct":
        parts = [_constant(each) for each in node.inputs()]
        return None if None in parts else parts
    return None


def feed(graph: Any, cuts: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    """Let the readers of values read new inputs of the graph, which come after its own.

    Args:
        graph: The graph, which is changed.
        cuts: Name → value.
        shown: Name → the copy of a value that is shown; it stays that of the value itself.
    """
    import torch

    for number, (name, value) in enumerate(cuts.items()):
        fed = graph.addInput(f"cut_{number}")
        fed.setType(torch._C.TensorType.get())
        after = shown[name].node() if name in shown else value.node()
        value.replaceAllUsesAfterNodeWith(after, fed)
