"""Joins the axes of pointwise operators that have more of them than XNNPACK takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ..ir import Graph, Op, Value, constant, integers
from ..layout.rules import POINTWISE
from ..sizes import Dim, Shape, example, product

_MOST = 6


def join_axes(graph: Graph) -> None:
    """Let pointwise operators work on tensors of fewer axes, between reshapes.

    Axes are joined along which all operands are alike: each has all cells, or one for all of them.
    Reshapes on both sides merge with those that made so many axes. Afterwards no pointwise operator
    of fixed sizes has more than six axes if joining can help it.
    """
    ops: list[Op] = []
    for op in graph.ops:
        ops += _joined(op) if op.kind in POINTWISE and op.output.rank > _MOST else [op]
    graph.ops = ops


def _joined(op: Op) -> list[Op]:
    """The operator on joined axes, with what reshapes for it; itself alone if that cannot be."""
    values = [value for value in op.inputs if value is not None]
    if any(isinstance(size, Dim) for value in (op.output, *values) for size in value.shape):
        return [op]
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
        made.append(_reshape(value, operand, op))
    joined = Value(shape=_of_runs(op.output.shape, runs), dtype=op.output.dtype)
    made.append(Op(op.kind, operands, [joined], dict(op.options), op.layers))
    made.append(_reshape(joined, op.output, op))
    return made


def _runs(shape: Shape, operands: Sequence[Shape]) -> list[list[int]]:
    """Adjacent axes along which each operand has all cells or each has one, without single ones."""
    wide = [axis for axis, size in enumerate(shape) if size != 1]
    runs = groupby(wide, key=lambda axis: [operand[axis] == shape[axis] for operand in operands])
    return [list(run) for _, run in runs]


def _of_runs(shape: Shape, runs: Sequence[Sequence[int]]) -> Shape:
    return tuple(product([shape[axis] for axis in run]) for run in runs)


def _reshape(value: Value, result: Value, op: Op) -> Op:
    sizes = [example(size) for size in result.shape]
    return Op("RESHAPE", [value, integers(sizes)], [result], {"new_shape": sizes}, op.layers)
