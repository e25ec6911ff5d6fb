"""Takes parts of a tensor before it is transposed or reshaped, not afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir import Graph, Op, Permutation, Value, constant, integers, inverse, reshape_op
from ..layout.axes import regrouped
from ..layout.network import is_transpose
from ..sizes import Dim, Shape


def hoist_slices(graph: Graph) -> None:
    """Move SLICE and SPLIT in front of the transposes and reshapes that they read.

    A fused projection is reshaped, transposed and split into query, key and value; once the split
    comes first, it can move into the weights. Afterwards no SLICE or SPLIT by constants reads a
    transpose, nor a reshape that leaves the axis whole that it takes a part of. Transposes cost
    nothing before the layout pass.
    """
    source = graph.producers()
    ops: list[Op] = []
    for op in graph.ops:
        ops.append(op)
        after: list[Op] = []
        while op.kind in _OPERAND:
            value = op.inputs[_OPERAND[op.kind]]
            before = source.get(value) if value is not None else None
            views = _moved(op, before) if before is not None and _is_constant(op) else None
            if views is None:
                break
            after = views + after
            source.update((view.output, view) for view in views)
        ops += after
        source.update((value, op) for value in op.outputs)
    graph.ops = ops


_OPERAND = {"SLICE": 0, "SPLIT": 1}


def _moved(op: Op, before: Op) -> list[Op] | None:
    """Move an operator in front of the view that it reads; return a view for each result."""
    if is_transpose(before):
        order = _order(before)
        _rename(op, order)
        op.inputs[_OPERAND[op.kind]] = before.inputs[0]
        back = inverse(order)
        return _viewed(
            op,
            lambda shape: tuple(shape[axis] for axis in back),
            lambda value, output: Op(
                "TRANSPOSE", [value, before.inputs[1]], [output], {}, op.layers
            ),
        )
    if before.kind != "RESHAPE" or before.inputs[0] is None:
        return None
    inner, outer = before.inputs[0].shape, before.output.shape
    axis = _sliced_axis(op, outer)
    origin = None if axis is None else _same_axis(inner, outer, axis)
    if axis is None or origin is None:
        return None
    _take_along(op, origin, axis, inner)
    op.inputs[_OPERAND[op.kind]] = before.inputs[0]
    return _viewed(
        op,
        lambda shape: (*inner[:origin], shape[axis], *inner[origin + 1 :]),
        lambda value, output: reshape_op(value, output, op.layers),
    )


def _viewed(
    op: Op, inner_shape: Callable[[Shape], Shape], view: Callable[[Value, Value], Op]
) -> list[Op]:
    """Let an operator write its results before they are viewed, and view each."""
    views = []
    for index, output in enumerate(op.outputs):
        value = Value(shape=inner_shape(output.shape), dtype=output.dtype)
        op.outputs[index] = value
        views.append(view(value, output))
    return views


def _is_constant(op: Op) -> bool:
    indices = (1, 2) if op.kind == "SLICE" else (0,)
    return all((value := op.inputs[index]) is not None and value.is_constant for index in indices)


def _vector(op: Op, index: int) -> list[int]:
    value = op.inputs[index]
    assert value is not None
    assert value.data is not None
    return [int(each) for each in value.data.reshape(-1)]


def _order(op: Op) -> Permutation:
    return tuple(_vector(op, 1))


def _rename(op: Op, order: Permutation) -> None:
    """Let an operator on a transposed tensor work on the tensor itself."""
    if op.kind == "SPLIT":
        op.inputs[0] = constant(np.array(order[_vector(op, 0)[0] % len(order)], np.int32))
        return
    back = inverse(order)
    for index in (1, 2):
        vector = _vector(op, index)
        op.inputs[index] = integers(vector[axis] for axis in back)


def _sliced_axis(op: Op, shape: Shape) -> int | None:
    """The one axis that an operator takes a part of."""
    if op.kind == "SPLIT":
        return _vector(op, 0)[0] % len(shape)
    axes = [axis for axis, size in enumerate(shape) if op.output.shape[axis] != size]
    return axes[0] if len(axes) == 1 else None


def _same_axis(inner: Shape, outer: Shape, axis: int) -> int | None:
    """The axis of a reshape's operand that an axis of its result is, if it is one."""
    groups = regrouped(inner, outer)
    for before, after in zip(groups.before, groups.after, strict=True):
        if axis in after:
            mattering = [each for each in before if inner[each] != 1]
            alone = all(outer[each] == 1 for each in after if each != axis)
            return mattering[0] if alone and len(mattering) == 1 else None
    return None


def _take_along(op: Op, axis: int, old: int, shape: Shape) -> None:
    """Let an operator take its part along an axis of a tensor of another shape."""
    if op.kind == "SPLIT":
        op.inputs[0] = constant(np.array(axis, np.int32))
        return
    begin, size = _vector(op, 1)[old], _vector(op, 2)[old]
    op.inputs[1] = integers(begin if each == axis else 0 for each in range(len(shape)))
    whole = [-1 if isinstance(each, Dim) else each for each in shape]
    op.inputs[2] = integers(size if each == axis else whole[each] for each in range(len(shape)))
