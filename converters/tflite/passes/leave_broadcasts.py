"""Leaves broadcasting to the operators that broadcast anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ir import Graph, Op, Value, integers
from ..layout.axes import regrouped
from ..layout.rules import POINTWISE
from ..operators import OPERATORS
from ..sizes import Dim, Shape, broadcast, product

# Operator → the number that leaves its other operand as it is.
_NEUTRAL = {"MUL": 1, "ADD": 0, "LOGICAL_AND": True, "LOGICAL_OR": False}
_COPIES = frozenset({"TILE", "BROADCAST_TO"})
# A reduction of which over equal numbers is that number.
_IDEMPOTENT = frozenset({"MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL"})
# What broadcasts up to rank 6 in XNNPACK and in the plain kernels; the others only up to 4.
_WIDE = frozenset({"ADD", "SUB", "MUL", "DIV"})
_RANK = 4
_UNIFORM = "ATAN2"  # whose kernel does not broadcast at all


def leave_broadcasts(graph: Graph) -> None:
    """Drop operators that only repeat a tensor along axes of size 1.

    It needs operands of one rank. Afterwards no product by ones, conjunction with true, TILE or
    BROADCAST_TO is read by operators alone that would broadcast its operand, directly or by way of
    operators that are as well off with it: a mask of one row stays one row. A layer whose result
    is not repeated any more has no tensor of its own.
    """
    thin = _thin_shapes(graph)
    replaced: dict[Value, Value] = {}
    kept = []
    for op in graph.ops:
        if thin.get(op.output, op.output.shape) == op.output.shape:
            kept.append(op)
            continue
        operand = repeated_operand(op)
        if operand is not None:
            replaced[op.output] = operand
            continue
        _narrow(op, thin[op.output])
        kept.append(op)
    graph.ops = kept
    graph.replace(replaced)


def _thin_shapes(graph: Graph) -> dict[Value, Shape]:
    """Value → its shape if nothing is repeated before it must be.

    What an operator cannot take in its thin shape is asked to stay as it is, until all agree.
    """
    whole = set(graph.outputs)
    while True:
        thin: dict[Value, Shape] = {}
        refused: set[Value] = set()
        for op in graph.ops:
            narrow = [value for _, value in op.live_inputs() if value in thin]
            operand = None if op.output in whole else repeated_operand(op)
            if operand is not None:
                shape: Shape | None = thin.get(operand, operand.shape)
            elif narrow:
                shape = _result(op, thin)
            else:
                continue
            if shape is None or (shape != op.output.shape and op.output in whole):
                refused.update(narrow)
            elif shape != op.output.shape:
                thin[op.output] = shape
        if not refused:
            return thin
        whole |= refused


def repeated_operand(op: Op) -> Value | None:
    """The operand that an operator only repeats along axes of size 1."""
    value: Value | None = None
    if op.kind in _COPIES:
        value = op.inputs[0]
    elif op.kind in _NEUTRAL and op.options.get("fused_activation_function", "NONE") == "NONE":
        for number, other in (op.inputs, op.inputs[::-1]):
            if number is not None and number.data is not None:
                neutral = number.data.size and bool((number.data == _NEUTRAL[op.kind]).all())
                value = other if neutral else None
    if value is None or value.is_constant or value.rank != op.output.rank:
        return None
    sizes = zip(value.shape, op.output.shape, strict=True)
    return value if all(have in (1, size) for have, size in sizes) else None


def _result(op: Op, thin: dict[Value, Shape]) -> Shape | None:
    """Shape of an operator's result from thin operands; ``None`` if it cannot take them."""
    shapes = [thin.get(value, value.shape) if value is not None else () for value in op.inputs]
    if len(op.outputs) != 1:
        return None
    if op.kind in POINTWISE:
        if op.kind == _UNIFORM and len(set(shapes)) > 1:
            return None
        equal = len({shape for shape in shapes if product(shape) != 1}) <= 1
        if not equal and op.kind not in _WIDE and op.output.rank > _RANK:
            return None
        return broadcast(*shapes)
    if op.kind == "BATCH_MATMUL":
        return _product(op, shapes)
    old = op.inputs[0]
    if old is None or any(value in thin for value in op.inputs[1:] if value is not None):
        return None
    if op.kind == "SOFTMAX":
        return shapes[0] if shapes[0][-1] == old.shape[-1] else None
    if op.kind in _IDEMPOTENT:
        return _reduced(op, old, shapes[0])
    if op.kind == "RESHAPE" and op.inputs[1] is not None and op.inputs[1].is_constant:
        return _regrouped(old.shape, shapes[0], op.output.shape)
    if op.kind == "TRANSPOSE" and op.inputs[1] is not None and op.inputs[1].data is not None:
        return tuple(shapes[0][int(axis)] for axis in op.inputs[1].data)
    return None


def _product(op: Op, shapes: Sequence[Shape]) -> Shape | None:
    """A product whose batch axes broadcast."""
    for value, shape in zip(op.inputs, shapes, strict=True):
        if value is None or shape[-2:] != value.shape[-2:]:
            return None
    return (*broadcast(*(shape[:-2] for shape in shapes)), *op.output.shape[-2:])


def _reduced(op: Op, old: Value, shape: Shape) -> Shape | None:
    if op.inputs[1] is None or not op.inputs[1].is_constant:
        return None
    infer = OPERATORS[op.kind].infer
    assert infer is not None
    thinner = Value(shape=shape, dtype=old.dtype)
    return infer([thinner, op.inputs[1]], op.options)[0]


def _regrouped(before: Shape, thin: Shape, after: Shape) -> Shape | None:
    """A reshape's result from a thin operand, if each of its groups is whole or all of size 1."""
    groups = regrouped(before, after)
    shape = list(after)
    for left, right in zip(groups.before, groups.after, strict=True):
        if all(thin[axis] == before[axis] for axis in left):
            continue
        if any(thin[axis] != 1 for axis in left):
            return None
        for axis in right:
            shape[axis] = 1
    return tuple(shape)


def _narrow(op: Op, shape: Sequence[int | Dim]) -> None:
    op.output.shape = tuple(shape)
    op.output.origins = []
    if op.kind == "RESHAPE":
        sizes = [-1 if isinstance(size, Dim) else size for size in shape]
        op.inputs[1] = integers(np.array(sizes, dtype=np.int32))
        op.options["new_shape"] = sizes
