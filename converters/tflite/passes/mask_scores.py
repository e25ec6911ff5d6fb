"""Masks scores by an addition, which XNNPACK takes, instead of a selection, which it refuses."""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Op, Value, constant
from ..sizes import product

# Beside this fill no score leaves a trace: half the spacing of float32 is 10^22 there.
_FILL = -1e30
_PASSES = frozenset({"RESHAPE", "TRANSPOSE", "ADD"})


def mask_scores(graph: Graph) -> None:
    """Add a large negative number to scores instead of putting it in their place.

    ``where(mask, fill, scores)`` is ``scores + where(mask, fill, 0)`` for a fill of minus infinity,
    and to the last bit for one of -1e30 and below beside scores as they go into a softmax. The mask
    is small, and one for all layers. Afterwards no SELECT_V2 between a computed float tensor and
    such a number leads to softmax operators alone.
    """
    users = graph.users()
    outputs = set(graph.outputs)
    made: dict[tuple[Value, float, bool, int], Value] = {}
    ops: list[Op] = []
    for op in graph.ops:
        found = _masked(op)
        if found is None or not _only_softmax(op.output, users, outputs):
            ops.append(op)
            continue
        condition, scores, fill, filled_where = found
        key = (condition, fill, filled_where, op.output.rank)
        if key not in made:
            rank = (1,) * op.output.rank
            numbers = [constant(np.full(rank, each, np.float32)) for each in (fill, 0.0)]
            made[key] = Value(shape=condition.shape, dtype="float32")
            choices = numbers if filled_where else numbers[::-1]
            ops.append(Op("SELECT_V2", [condition, *choices], [made[key]], {}, op.layers))
        ops.append(Op("ADD", [scores, made[key]], op.outputs, _UNFUSED.copy(), op.layers))
    graph.ops = ops


_UNFUSED = {"fused_activation_function": "NONE"}


def _masked(op: Op) -> tuple[Value, Value, float, bool] | None:
    """Condition, scores, fill, and whether it fills where the condition holds."""
    if op.kind != "SELECT_V2" or op.output.dtype != "float32":
        return None
    condition, first, second = op.inputs
    assert condition is not None
    if condition.is_constant or condition.rank != op.output.rank:
        return None
    for number, scores, where in ((first, second, True), (second, first, False)):
        if number is None or scores is None or number.data is None or scores.is_constant:
            continue
        fill = number.data.reshape(-1)[:1]
        if scores.shape != op.output.shape or not (number.data == fill).all():
            continue
        if fill[0] <= _FILL and product(condition.shape) != 0:
            return condition, scores, float(fill[0]), where
    return None


def _only_softmax(value: Value, users: dict[Value, list[Op]], outputs: set[Value]) -> bool:
    """Whether all that is made of a value goes through softmax operators."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        readers = users.get(current, [])
        if current in outputs or not readers:
            return False
        for op in readers:
            if op.kind in _PASSES:
                waiting += op.outputs
            elif op.kind != "SOFTMAX":
                return False
    return True
