"""Layouts that the user asks for at the file's inputs and outputs."""

from __future__ import annotations

from ..ir import Graph, Permutation, Value

CHANNELS_LAST: Permutation = (0, 2, 3, 1)


def boundary_orders(
    graph: Graph, wanted: frozenset[str]
) -> tuple[dict[Value, Permutation], list[Permutation | None]]:
    """Return the order of the axes of inputs and outputs that do not lie in PyTorch's own.

    Args:
        graph: The graph.
        wanted: Names of those that are NHWC in the file, if they have four axes.

    Returns:
        Input → order, and for each output its order or ``None``.
    """

    def order(value: Value, name: str) -> Permutation | None:
        return CHANNELS_LAST if name in wanted and value.rank == len(CHANNELS_LAST) else None

    if not wanted:  # the graph of a loop's body has no names for its outputs
        return {}, [None] * len(graph.outputs)
    inputs = {value: found for value in graph.inputs if (found := order(value, value.name))}
    return inputs, [
        order(value, name) for value, name in zip(graph.outputs, graph.output_names, strict=True)
    ]
