"""TorchScript graphs with every floating point constant and type in float64."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

# numbers of torch.half, torch.float, torch.bfloat16 and torch.double in a graph
_SHORT, _DOUBLE = (5, 6, 15), 7
_TYPES = frozenset({"dtype", "output_dtype"})


def promoted(graph: Any) -> Any:
    """Return a graph with constants, and the types that its operators are told, in float64.

    Args:
        graph: One of our own, which is changed.
    """
    _promote(graph, graph)
    return graph


def _promote(graph: Any, block: Any) -> None:
    for node in list(block.nodes()):
        if node.kind() == "prim::Constant":
            _promote_constant(node)
        for inner in node.blocks():
            _promote(graph, inner)
        schema = node.schema()
        if schema == "(no schema)":
            continue
        for place, name in enumerate(_arguments(node)):
            if name in _TYPES:
                _promote_type(graph, node, place)


def _arguments(node: Any) -> list[str]:
    """Names of an operator's arguments, for as many as it has inputs."""
    import torch

    schema = torch._C.parse_schema(node.schema())
    return [each.name for each in schema.arguments][: len(list(node.inputs()))]


def _promote_constant(node: Any) -> None:
    output = node.output()
    if output.type().kind() != "TensorType" or not node.hasAttribute("value"):
        return
    value = node.t("value")
    if value.is_floating_point():
        node.t_("value", value.double())


def _promote_type(graph: Any, node: Any, place: int) -> None:
    """Tell an operator another type; the constant that said it may be read elsewhere as well."""
    given = list(node.inputs())[place].node()
    if given.kind() != "prim::Constant" or not given.hasAttribute("value"):
        return
    if given.kindOf("value") != "i" or given.i("value") not in _SHORT:
        return
    other = graph.create("prim::Constant", 1)
    other.i_("value", _DOUBLE)
    other.output().setType(given.output().type())
    other.insertBefore(node)
    node.replaceInput(place, other.output())


@contextlib.contextmanager
def default_double() -> Iterator[None]:
    """Give float64 where no type is said, by factories and by division of integers."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def separable_values(module: Any) -> set[str]:
    """Return the values that readers may be fed instead of: those that nothing writes to.

    Args:
        module: A ``ScriptModule`` as ``torch.jit.load`` returns it.
    """
    graph: Any = module.inlined_graph
    aliases = graph.alias_db()
    return {
        value.debugName()
        for node in graph.nodes()
        for value in node.outputs()
        if value.type().kind() == "TensorType" and not aliases.has_writers(value)
    }
