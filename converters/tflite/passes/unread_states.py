"""Drops what loops carry for nobody."""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import Graph, Op, Value
from .dead_code import remove_dead_code


def drop_unread_states(graph: Graph) -> None:
    """Let loops carry only what is read after them, and what that depends on.

    Of a recurrent layer often the last state alone is read: the buffer of all steps goes, and what
    filled it. It needs loops whose graphs are their own. Afterwards every value that a WHILE
    carries is read after it, or decides on something that is; so in the loops inside of it.
    """
    remove_dead_code(graph)
    read = {value for op in graph.ops for value in op.inputs} | set(graph.outputs)
    for op in graph.ops:
        if op.kind == "WHILE":
            _drop(op, {place for place, value in enumerate(op.outputs) if value in read})
            drop_unread_states(op.options["body_subgraph_index"])
    remove_dead_code(graph)  # what made the first values of what is gone


def _drop(op: Op, read: set[int]) -> None:
    condition, body = op.options["cond_subgraph_index"], op.options["body_subgraph_index"]
    kept = read | _inputs_behind(condition, condition.outputs)
    while True:
        more = kept | _inputs_behind(body, [body.outputs[place] for place in kept])
        if more == kept:
            break
        kept = more
    places = sorted(kept)
    op.inputs, op.outputs = (
        [op.inputs[each] for each in places],
        [op.outputs[each] for each in places],
    )
    body.outputs = [body.outputs[each] for each in places]
    for inner in (condition, body):
        inner.inputs = [inner.inputs[each] for each in places]
        remove_dead_code(inner)


def _inputs_behind(graph: Graph, outputs: Iterable[Value]) -> set[int]:
    """Places of the inputs that outputs depend on."""
    needed = set(outputs)
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            needed.update(value for value in op.inputs if value is not None)
    return {place for place, value in enumerate(graph.inputs) if value in needed}
