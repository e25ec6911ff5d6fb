"""Removes operators whose results nothing reads."""

from __future__ import annotations

from ..ir import Graph


def remove_dead_code(graph: Graph) -> None:
    """Keep only what the graph's outputs depend on.

    After it every operator has a result that is read or is an output.
    """
    needed = set(graph.outputs)
    kept = []
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            kept.append(op)
            needed.update(value for value in op.inputs if value is not None)
    graph.ops = kept[::-1]
