"""TorchScript with values of its graph as further results of ``forward``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import SourceError
from .names import require_names


def expose(module: Any, taps: Sequence[str], path: Path) -> Callable[..., tuple[Any, ...]]:
    """Return ``forward`` of a loaded module with values of its inlined graph shown.

    Each value is cloned right after the node that makes it: a ``relu_`` further down may write to
    the same memory, and what is wanted is what the layer gave.

    Args:
        module: A ``ScriptModule`` as ``torch.jit.load`` returns it. Saving renames values, so the
            names are those of the loaded module's ``inlined_graph``, not of the traced one's.
        taps: Names (``debugName``) of values that hold a tensor; at least one.
        path: The file, for messages.

    Returns:
        A function of ``forward``'s own arguments that returns its result, then the values.

    Raises:
        SourceError: There is no such value, it holds no tensor, or it is made in the body of a
            branch or loop, which may run never or many times.
    """
    # a graph of our own: each access inlines a fresh one (and copying it would renumber its values)
    graph: Any = module.inlined_graph
    expose_graph(graph, taps, path)
    return function_of(module, graph)


def expose_graph(graph: Any, taps: Sequence[str], path: Path) -> None:
    """Register values of a graph, which is changed, as further results; raises as ``expose``."""
    values = tensor_values(graph, taps, path)
    show(graph, [values[name] for name in taps])


def tensor_values(graph: Any, names: Sequence[str], path: Path) -> dict[str, Any]:
    """Return the values of a graph by name.

    Raises:
        SourceError: There is no such value, it holds no tensor, or it is made in a body.
    """
    values = {
        value.debugName(): value
        for value in (*graph.inputs(), *(each for node in graph.nodes() for each in node.outputs()))
    }
    inner = set(names) & (_names_in_bodies(graph) - set(values))
    if inner:
        raise SourceError(
            f"values in the bodies of branches or loops cannot be shown: {', '.join(sorted(inner))}"
        )
    tensors = {name for name, value in values.items() if value.type().kind() == "TensorType"}
    require_names("tensor", names, tensors, path)
    return {name: values[name] for name in names}


def show(graph: Any, values: Sequence[Any]) -> dict[str, Any]:
    """Register a copy of each value as a further result; return the copies by the value's name."""
    copies = {value.debugName(): _cloned(graph, value) for value in values}
    for each in copies.values():
        graph.registerOutput(each)
    return copies


def function_of(module: Any, graph: Any) -> Callable[..., tuple[Any, ...]]:
    """Return a function that runs a graph of a module with the module's own attributes."""
    import torch

    graph.makeMultiOutputIntoTuple()
    function = torch._C._create_function_from_graph("forward", graph)

    def forward(*arguments: Any) -> tuple[Any, ...]:
        results: tuple[Any, ...] = function(module._c, *arguments)
        return results

    return forward


def _cloned(graph: Any, value: Any) -> Any:
    import torch

    none = graph.create("prim::Constant", 1)
    none.output().setType(torch._C.NoneType.get())
    clone = graph.create("aten::clone", [value, none.output()], 1)
    clone.output().setType(torch._C.TensorType.get())
    if value.node().kind() == "prim::Param":
        first = next(iter(graph.nodes()))
        none.insertBefore(first)
    else:
        none.insertAfter(value.node())
    clone.insertAfter(none)
    return clone.output()


def _names_in_bodies(block: Any) -> set[str]:
    """Names of all values that are made inside a block of a node, at any depth."""
    names: set[str] = set()
    for node in block.nodes():
        for inner in node.blocks():
            names |= {each.debugName() for one in inner.nodes() for each in one.outputs()}
            names |= _names_in_bodies(inner)
    return names
