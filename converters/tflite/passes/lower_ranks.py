"""Gives tensors of many axes fewer where XNNPACK takes an operator and then cannot run it."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from ..ir import Graph, Op, Value, constant, integers, reshape_op
from ..sizes import Dim, Shape, example, product

_MOST = 6
_REDUCTIONS = frozenset({"SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN"})


def lower_ranks(graph: Graph) -> None:
    """Group axes around operators that XNNPACK accepts at any rank but prepares only up to six.

    The interpreter refuses such a file as a whole. Afterwards no float SOFTMAX, reduction,
    CONCATENATION or SPLIT has a tensor of more axes, unless several of its sizes change.
    """
    ops: list[Op] = []
    for op in graph.ops:
        ops += _lowered(op) if _is_high(op) else [op]
    graph.ops = ops


def _is_high(op: Op) -> bool:
    if op.kind not in _REDUCTIONS | {"SOFTMAX", "CONCATENATION", "SPLIT"}:
        return False
    values = [value for value in (*op.inputs, *op.outputs) if value is not None]
    changing = max(sum(isinstance(size, Dim) for size in value.shape) for value in values)
    return (
        op.output.dtype == "float32"
        and max(value.rank for value in values) > _MOST
        and changing <= 1
    )


def _lowered(op: Op) -> list[Op]:
    if op.kind in _REDUCTIONS:
        return _reduced(op)
    made: list[Op] = []
    rank = op.output.rank
    axis = {"SOFTMAX": rank - 1, "CONCATENATION": op.options.get("axis", 0)}.get(op.kind)
    if axis is None:  # of SPLIT, whose first input tells
        assert op.inputs[0] is not None
        assert op.inputs[0].data is not None
        axis = int(op.inputs[0].data)
    axis %= rank
    options = {**op.options, "axis": 1} if op.kind == "CONCATENATION" else dict(op.options)
    inputs: list[Value | None] = [
        value
        if value is None or value.rank <= 1
        else _reshaped(value, _around(value.shape, axis), made, op)
        for value in op.inputs
    ]
    if op.kind == "SPLIT":
        inputs[0] = constant(np.array(1, np.int32))
    outputs = [Value(shape=_around(each.shape, axis), dtype=each.dtype) for each in op.outputs]
    made.append(Op(op.kind, inputs, outputs, options, op.layers))
    for output, given in zip(outputs, op.outputs, strict=True):
        made.append(reshape_op(output, given, op.layers))
    return made


def _around(shape: Shape, axis: int) -> Shape:
    """An axis between all before it and, if it is not the last, all behind it."""
    behind = shape[axis + 1 :]
    return (product(shape[:axis]), shape[axis], *([product(behind)] if behind else []))


def _reduced(op: Op) -> list[Op]:
    """One reduction for each run of adjacent axes, the last first; means are of equal counts."""
    value, axes = op.inputs
    assert value is not None
    assert axes is not None
    assert axes.data is not None
    places = sorted(int(axis) % value.rank for axis in axes.data.reshape(-1))
    runs = [
        [place for _, place in run]
        for _, run in groupby(enumerate(places), key=lambda each: each[1] - each[0])
    ]
    made: list[Op] = []
    shape = value.shape
    for run in reversed(runs):
        first, last = run[0], run[-1] + 1
        sides = (product(shape[:first]), product(shape[first:last]), product(shape[last:]))
        operand = _reshaped(value, sides, made, op)
        value = Value(shape=(sides[0], sides[2]), dtype=op.output.dtype)
        made.append(Op(op.kind, [operand, integers([1])], [value], {"keep_dims": False}, op.layers))
        shape = (*shape[:first], *shape[last:])
    made.append(reshape_op(value, op.output, op.layers))
    return made


def _reshaped(value: Value, shape: Shape, made: list[Op], op: Op) -> Value:
    if value.data is not None:
        return constant(value.data.reshape([example(size) for size in shape]))
    result = Value(shape=shape, dtype=value.dtype)
    made.append(reshape_op(value, result, op.layers))
    return result
