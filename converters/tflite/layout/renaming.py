"""Rewrites what of an operator names axes when its operands lie in another order.

Axes are named by options, by constant operands with one entry for each axis, and by constants that
are laid out like the other operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..ir import Op, Permutation, Value, constant

Renaming = Callable[[Op, Permutation], None]


def renaming_of(op: Op) -> Renaming | None:
    """Return how an operator along all axes is rewritten for an order; ``None`` if it cannot be."""
    rename = _RENAMING.get(op.kind)
    inputs = [value for value in op.inputs if value is not None]
    rank = op.outputs[0].rank if op.outputs else 0
    if rename is None or not all(v.is_constant for v in inputs if v.rank != rank):
        return None
    return rename if _can_rename(op, inputs) else None


def _can_rename(op: Op, inputs: Sequence[Value]) -> bool:
    if op.kind == "CONCATENATION":
        return True
    if op.kind == "SPLIT":
        return inputs[0].is_constant
    if op.kind == "STRIDED_SLICE" and any(
        op.options.get(name) for name in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    ):
        return False
    if op.kind == "GATHER" and (op.options.get("batch_dims") or inputs[1].rank != 1):
        return False
    return not inputs[0].is_constant and all(v.is_constant for v in inputs[1:])


def names_no_axes(op: Op, order: Permutation) -> None:
    """Weights and bias belong to the last axis, which stays."""


def move_constants(op: Op, order: Permutation) -> None:
    """Lay constant operands out like the others."""
    for index, value in enumerate(op.inputs):
        if value is not None and value.data is not None and value.elements > 1:
            full = value.data.reshape((1,) * (len(order) - value.rank) + value.data.shape)
            op.inputs[index] = constant(full.transpose(order), name=value.name)


def _rename_concatenation(op: Op, order: Permutation) -> None:
    move_constants(op, order)
    op.options["axis"] = order.index(op.options["axis"] % len(order))


def _rename_gather(op: Op, order: Permutation) -> None:
    op.options["axis"] = order.index(op.options.get("axis", 0) % len(order))


def _rename_split(op: Op, order: Permutation) -> None:
    axis = op.inputs[0]
    assert axis is not None
    assert axis.data is not None
    op.inputs[0] = constant(
        np.array(order.index(int(axis.data.reshape(-1)[0]) % len(order)), np.int32)
    )


def _reorder_rows(*indices: int) -> Renaming:
    """For operands that have one entry (or one row) for each axis."""

    def reorder(op: Op, order: Permutation) -> None:
        for index in indices:
            value = op.inputs[index]
            assert value is not None
            assert value.data is not None
            op.inputs[index] = constant(value.data[list(order)])

    return reorder


def _rename_axis_operand(op: Op, order: Permutation) -> None:
    value = op.inputs[1]
    assert value is not None
    assert value.data is not None
    axes = [order.index(int(axis) % len(order)) for axis in value.data.reshape(-1)]
    op.inputs[1] = constant(np.array(axes, np.int32).reshape(value.data.shape))


def _rename_strided_slice(op: Op, order: Permutation) -> None:
    _reorder_rows(1, 2, 3)(op, order)
    for name in ("begin_mask", "end_mask"):
        mask = op.options.get(name, 0)
        op.options[name] = sum(1 << place for place, axis in enumerate(order) if mask >> axis & 1)


_RENAMING: dict[str, Renaming] = {
    "CONCATENATION": _rename_concatenation,
    "SPLIT": _rename_split,
    "SLICE": _reorder_rows(1, 2),
    "STRIDED_SLICE": _rename_strided_slice,
    "PAD": _reorder_rows(1),
    "PADV2": _reorder_rows(1),
    "MIRROR_PAD": _reorder_rows(1),
    "TILE": _reorder_rows(1),
    "BROADCAST_TO": _reorder_rows(1),
    "REVERSE_V2": _rename_axis_operand,
    "CUMSUM": _rename_axis_operand,
    "GATHER": _rename_gather,
}
