"""Removes reshapes that other operators make needless."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Op, Value
from ..layout.rules import POINTWISE
from .merge_reshapes import merge_reshapes

_REDUCTIONS = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"})


def simplify_shapes(graph: Graph) -> None:
    """Merge reshapes with their neighbours.

    Afterwards no RESHAPE reads another's result, none keeps the shape, none only puts axes of size
    1 in front of an operand that broadcasts anyway, and none only drops the axes that a reduction
    has kept.
    """
    merge_reshapes(graph)
    source = graph.producers()
    users = graph.users()
    outputs = set(graph.outputs)
    gone: set[Op] = set()
    for op in graph.ops:
        if op.kind != "RESHAPE" or op.inputs[0] is None:
            continue
        before = source.get(op.inputs[0])
        if before is not None and _drops_reduced(before, op, users, outputs):
            before.options["keep_dims"] = False
            before.outputs = op.outputs
            before.layers += op.layers
            source[op.output] = before
            gone.add(op)
    graph.ops = [op for op in graph.ops if op not in gone]
    _drop_leading_ones(graph)


def _drops_reduced(before: Op, op: Op, users: dict[Value, list[Op]], outputs: set[Value]) -> bool:
    if before.kind not in _REDUCTIONS or not before.options.get("keep_dims"):
        return False
    if len(users[before.output]) != 1 or before.output in outputs:
        return False
    operand, axes = before.inputs[0], before.inputs[1]
    assert operand is not None
    if axes is None or axes.data is None:
        return False
    reduced = {int(axis) % operand.rank for axis in axes.data.reshape(-1)}
    kept = tuple(size for axis, size in enumerate(operand.shape) if axis not in reduced)
    return kept == op.output.shape


def _drop_leading_ones(graph: Graph) -> None:
    """Let operators broadcast by themselves; the layout pass wanted operands of one rank."""
    source = graph.producers()
    for op in graph.ops:
        if op.kind not in POINTWISE or len(op.inputs) < 2:
            continue
        for index, value in enumerate(op.inputs):
            before = source.get(value) if value is not None else None
            if before is None or before.kind != "RESHAPE" or before.inputs[0] is None:
                continue
            inner, outer = before.inputs[0], before.output
            others = [each for place, each in enumerate(op.inputs) if place != index and each]
            extra = outer.rank - inner.rank
            if (
                extra > 0
                and outer.shape == (1,) * extra + inner.shape
                and any(each.rank == outer.rank for each in others)
            ):
                op.inputs[index] = inner
                inner.origins += [
                    replace(origin, reshaped=True)
                    for origin in outer.origins
                    if origin.permutation is None and origin not in inner.origins
                ]
