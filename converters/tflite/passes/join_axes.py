"""Joins the axes of operators that have more of them than XNNPACK takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ..ir import Graph, Op, Value, constant, integers, reshape_op
from ..layout.network import is_transpose
from ..layout.rules import POINTWISE
from ..sizes import Shape, example, product

_MOST = 6


def join_axes(graph: Graph) -> None:
    """Let pointwise operators and transposes work on tensors of fewer axes, between reshapes.

    Axes are joined along which all operands are alike (each has all cells, or one for all of them)
    or that a transpose keeps together. Reshapes on both sides merge with those that made so many
    axes. Afterwards none of these operators of fixed sizes has more than six axes if joining can
    help it.
    """
    ops: list[Op] = []
    for op in graph.ops:
        if op.output.rank <= _MOST or not _is_fixed(op):
            ops.append(op)
        elif op.kind in POINTWISE:
            ops += _pointwise(op)
        elif is_transpose(op):
            ops += _transpose(op)
        else:
            ops.append(op)
    graph.ops = ops


def _is_fixed(op: Op) -> bool:
    values = [value for value in (*op.inputs, *op.outputs) if value is not None]
    return all(value.is_static for value in values)


def _transpose(op: Op) -> list[Op]:
    """A transpose of runs of axes that stay together."""
    value, order = op.inputs
    assert value is not None
    assert order is not None
    assert order.data is not None
    wide = [int(axis) for axis in order.data if value.shape[int(axis)] != 1]
    place = {axis: index for index, axis in enumerate(sorted(wide))}
    runs = [
        [axis for _, axis in run]
        for _, run in groupby(enumerate(wide), key=lambda each: place[each[1]] - each[0])
    ]
    if len(runs) > _MOST:
        return [op]
    if len(runs) <= 1:
        return [reshape_op(value, op.output, op.layers)]
    before = sorted(runs)
    operand = Value(shape=_of_runs(value.shape, before), dtype=value.dtype)
    result = Value(shape=_of_runs(value.shape, runs), dtype=value.dtype)
    permutation = integers([before.index(run) for run in runs])
    return [
        reshape_op(value, operand, op.layers),
        Op("TRANSPOSE", [operand, permutation], [result], {}, op.layers),
        reshape_op(result, op.output, op.layers),
    ]


def _pointwise(op: Op) -> list[Op]:
    """A pointwise operator on runs of axes."""
    values = [value for value in op.inputs if value is not None]
    padded = {value: (1,) * (op.output.rank - value.rank) + value.shape for value in values}
    runs = _runs(op.output.shape, list(padded.values()))
    if len(runs) > _MOST:
        return [op]
    made: list[Op] = []
    operands: list[Value | None] = []
    for value in op.inputs:
        if value is None or value.elements == 1:
            operands.append(value)
            continue
        shape = _of_runs(padded[value], runs)
        if value.data is not None:
            operands.append(constant(value.data.reshape([example(size) for size in shape])))
            continue
        operand = Value(shape=shape, dtype=value.dtype)
        operands.append(operand)
        made.append(reshape_op(value, operand, op.layers))
    joined = Value(shape=_of_runs(op.output.shape, runs), dtype=op.output.dtype)
    made.append(Op(op.kind, operands, [joined], dict(op.options), op.layers))
    made.append(reshape_op(joined, op.output, op.layers))
    return made


def _runs(shape: Shape, operands: Sequence[Shape]) -> list[list[int]]:
    """Adjacent axes along which each operand has all cells or each has one, without single ones."""
    wide = [axis for axis, size in enumerate(shape) if size != 1]
    runs = groupby(wide, key=lambda axis: [operand[axis] == shape[axis] for operand in operands])
    return [list(run) for _, run in runs]


def _of_runs(shape: Shape, runs: Sequence[Sequence[int]]) -> Shape:
    return tuple(product([shape[axis] for axis in run]) for run in runs)
