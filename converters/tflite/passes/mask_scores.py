"""Masks scores by a minimum, which XNNPACK takes, instead of a selection, which it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..ir import Array, Graph, Op, Value, constant
from ..sizes import product

# Scores are above this fill and all below it.
_FILL = -1e30
_PASSES = frozenset({"RESHAPE", "TRANSPOSE", "ADD"})
_Choices = tuple[Value, Array, Array]  # condition, what is chosen where it holds, and elsewhere


def mask_scores(graph: Graph) -> None:
    """Take the minimum of scores and a mask instead of selecting, or of adding minus infinity.

    ``where(mask, fill, scores)`` is ``minimum(scores, where(mask, fill, inf))`` for a fill of minus
    infinity, and for one of -1e30 and below beside scores as they go into a softmax. The mask is
    small, and one for all layers. Adding 0 and minus infinity is the same minimum; LiteRT's own
    kernels make the infinity of a sum finite, so that a row without any score would have a softmax
    instead of NaN. Afterwards no SELECT_V2 between a computed float tensor and such a number leads
    to softmax operators alone, and no such mask is added.
    """
    users = graph.users()
    made_by = graph.producers()
    outputs = set(graph.outputs)
    limits = _Limits()
    ops: list[Op] = []
    for op in graph.ops:
        selected = _selected(op)
        if selected is not None and _only_softmax(op.output, users, outputs):
            scores, choices = selected
            limit = limits.chosen(choices, op)
        elif (added := _added(op, made_by)) is not None:
            scores, mask = added
            limit = limits.chosen(mask, op) if isinstance(mask, tuple) else limits.of(mask)
        else:
            ops.append(op)
            continue
        ops += limits.pending()
        ops.append(Op("MINIMUM", [scores, limit], op.outputs, {}, op.layers))
    graph.ops = ops


class _Limits:
    """Masks as numbers that scores may not exceed, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], Value] = {}
        self._ops: list[Op] = []

    def chosen(self, choices: _Choices, op: Op) -> Value:
        """Select between two numbers by a condition."""
        condition, *numbers = choices
        key = (condition, *(float(each) for each in numbers), op.output.rank)
        if key not in self._made:
            rank = (1,) * op.output.rank
            filled = [constant(np.full(rank, each, np.float32)) for each in numbers]
            self._made[key] = Value(shape=condition.shape, dtype="float32")
            select = Op("SELECT_V2", [condition, *filled], [self._made[key]], {}, op.layers)
            self._ops.append(select)
        return self._made[key]

    def of(self, mask: Value) -> Value:
        """Turn a constant that is added into a limit."""
        if (mask,) not in self._made:
            assert mask.data is not None
            self._made[mask,] = constant(_limit(mask.data))
        return self._made[mask,]

    def pending(self) -> Iterator[Op]:
        """Operators that have not been taken yet."""
        while self._ops:
            yield self._ops.pop()


def _limit(added: Array) -> Array:
    """What the minimum must be of, for 0 or minus infinity that is added."""
    return np.where(added == 0, np.float32(np.inf), np.float32(-np.inf))


def _selected(op: Op) -> tuple[Value, _Choices] | None:
    """Scores, and the fill as a limit, of a selection."""
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
            numbers = (fill[0], np.float32(np.inf))
            return scores, (condition, *(numbers if where else numbers[::-1]))
    return None


def _added(op: Op, made_by: dict[Value, Op]) -> tuple[Value, Value | _Choices] | None:
    """Scores, and a mask of 0 and minus infinity that is added to them."""
    if op.kind != "ADD" or op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    for mask, scores in (op.inputs, op.inputs[::-1]):
        if mask is None or scores is None or scores.is_constant or scores.shape != op.output.shape:
            continue
        if mask.data is not None:
            if _is_mask(mask.data):
                return scores, mask
            continue
        select = made_by.get(mask)
        if select is None or select.kind != "SELECT_V2" or mask.dtype != "float32":
            continue
        condition, *numbers = select.inputs
        data = [None if each is None else each.data for each in numbers]
        if condition is None or condition.rank != op.output.rank:
            continue
        if all(each is not None and each.size == 1 for each in data) and _is_mask(
            np.concatenate([each.reshape(1) for each in data if each is not None])
        ):
            first, second = (_limit(each.reshape(())) for each in data if each is not None)
            return scores, (condition, first, second)
    return None


def _is_mask(data: Array) -> bool:
    lowest = data == -np.inf
    return data.dtype == np.float32 and bool(lowest.any() and (lowest | (data == 0)).all())


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
