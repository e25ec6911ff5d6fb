"""Cells in another order: flipped, rolled, in windows, by strides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..dtypes import INTEGER
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, example, product
from .shape import permuted

_MOST_STEPS = 4  # of a window that is made of steps


def flipped(ctx: Context, x: Value, axes: Sequence[int]) -> Value:
    """Reverse axes; REVERSE_V2 takes several only if they lie next to each other."""
    order = sorted({axis % x.rank for axis in axes if x.shape[axis] != 1}) if x.rank else []
    while order:
        run = [axis for place, axis in enumerate(order) if axis == order[0] + place]
        order = order[len(run) :]
        x = ctx.emit("REVERSE_V2", x, ctx.integers(run))
    return x


@lowers("aten.flip")
def flip(ctx: Context, x: Value, dims: Sequence[int]) -> Value:
    """flip(Tensor self, int[] dims) -> REVERSE_V2."""
    return flipped(ctx, x, dims)


@lowers("aten.fliplr")
def fliplr(ctx: Context, x: Value) -> Value:
    """fliplr(Tensor self) -> REVERSE_V2."""
    return flipped(ctx, x, [1])


@lowers("aten.flipud")
def flipud(ctx: Context, x: Value) -> Value:
    """flipud(Tensor self) -> REVERSE_V2."""
    return flipped(ctx, x, [0])


@lowers("aten.rot90")
def rot90(ctx: Context, x: Value, k: int = 1, dims: Sequence[int] = (0, 1)) -> Value:
    """rot90(Tensor self, int k=1, int[] dims=[0,1]) -> REVERSE_V2, TRANSPOSE."""
    first, second = dims
    quarter = k % 4
    if quarter == 0:
        return x
    if quarter == 2:
        return flipped(ctx, x, dims)
    order = list(range(x.rank))
    order[first], order[second] = order[second], order[first]
    return permuted(ctx, flipped(ctx, x, [second if quarter == 1 else first]), order)


@lowers("aten.roll")
def roll(
    ctx: Context, x: Value, shifts: Size | Sequence[Size], dims: int | Sequence[int] = ()
) -> Value:
    """roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> SLICE and CONCATENATION per axis."""
    places = [dims] if isinstance(dims, int) else list(dims)
    amounts = list(shifts) if isinstance(shifts, Sequence) else [shifts]
    if x.rank == 0:
        return x
    if not places:
        return ctx.reshape(
            _rolled(ctx, ctx.reshape(x, (product(x.shape),)), 0, amounts[0]), x.shape
        )
    for axis, amount in zip(places, amounts, strict=True):
        x = _rolled(ctx, x, axis % x.rank, amount)
    return x


def _rolled(ctx: Context, x: Value, axis: int, shift: Size) -> Value:
    extent = x.shape[axis]
    if isinstance(extent, int) and isinstance(shift, int):
        cut = -shift % extent
        if cut == 0:
            return x
        parts = ctx.slice(x, axis, cut, extent - cut), ctx.slice(x, axis, 0, cut)
        return ctx.emit("CONCATENATION", *parts, axis=axis, shape=x.shape)
    # how often a shift wraps around a size that changes is known only at run time
    count = ctx.size_scalar(extent)
    zero, one = ctx.scalar(0, INTEGER), ctx.scalar(1, INTEGER)
    rows = ctx.emit("RANGE", zero, count, one, shape=(extent,), dtype=INTEGER)
    moved = ctx.pointwise("SUB", rows, ctx.size_scalar(shift))
    return ctx.emit("GATHER", x, ctx.pointwise("FLOOR_MOD", moved, count), shape=x.shape, axis=axis)


@lowers("aten.unfold", "aten.unfold_copy")
def unfold(ctx: Context, x: Value, dimension: int, size: int, step: int) -> Value:
    """unfold(Tensor self, int dimension, int size, int step) -> CONCATENATION or GATHER."""
    if x.rank == 0:
        return ctx.reshape(x, ctx.shape)
    axis = dimension % x.rank
    count = ctx.shape[axis]
    shape = (*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    if step == size:
        windows = ctx.reshape(ctx.slice(x, axis, 0, count * size), shape)
    elif size <= _MOST_STEPS * step and isinstance(count, int) and isinstance(x.shape[axis], int):
        windows = _of_steps(ctx, x, axis, count, size, step)
    else:
        starts = np.arange(ctx.static(count, "dimension"), dtype=np.int32) * step
        cells = ctx.constant(starts[:, None] + np.arange(size, dtype=np.int32))
        windows = ctx.emit("GATHER", x, cells, shape=shape, axis=axis)
    order = [place for place in range(windows.rank) if place != axis + 1]
    return permuted(ctx, windows, [*order, axis + 1])


def _of_steps(ctx: Context, x: Value, axis: int, count: int, size: int, step: int) -> Value:
    """Windows that overlap: each of a few whole steps, which XNNPACK takes, and GATHER it does not.

    A window is a step from each of several places on; of the last one it may be only the beginning.
    """
    last = -(-size // step) - 1
    missing = (last + count) * step - example(x.shape[axis])
    if missing > 0:
        x = ctx.pad(x, [(0, missing if place == axis else 0) for place in range(x.rank)])
    shape = (*x.shape[:axis], count, step, *x.shape[axis + 1 :])
    steps = [
        ctx.reshape(ctx.slice(x, axis, place * step, count * step), shape)
        for place in range(last + 1)
    ]
    steps[-1] = ctx.slice(steps[-1], axis + 1, 0, size - last * step)
    return ctx.concat(steps, axis + 1)


@lowers("aten.as_strided", "aten.as_strided_copy")
def as_strided(
    ctx: Context,
    x: Value,
    size: Sequence[Size],
    stride: Sequence[Size],
    storage_offset: Size | None = None,
) -> Value:
    """as_strided(self, SymInt[] size, SymInt[] stride, storage_offset) -> SLICE or GATHER."""
    if not ctx.contiguous:
        raise unsupported("self", "a tensor that is not contiguous", "call .contiguous() before it")
    extents = [ctx.static(each, "size") for each in size]
    strides = [ctx.static(each, "stride") for each in stride]
    total = ctx.static(product(x.shape), "self")
    start = 0 if storage_offset is None else ctx.static(storage_offset, "storage_offset")
    cells = np.full([1] * len(extents), start)
    for axis, (extent, step) in enumerate(zip(extents, strides, strict=True)):
        line = np.arange(extent) * step
        cells = cells + line.reshape([-1 if place == axis else 1 for place in range(len(extents))])
    if cells.max() >= total:
        raise unsupported("storage_offset", start, "it reads cells that its operand does not have")
    order = cells.reshape(-1)
    if np.array_equal(order, np.arange(start, start + order.size)):
        flat = ctx.slice(ctx.reshape(x, (total,)), 0, start, order.size)
        return ctx.reshape(flat, extents)
    # whole rows are gathered where the last axes are rows
    row = _row_length(extents, strides, total, start)
    rows = ctx.constant((order[::row] // row).astype(np.int32))
    table = ctx.reshape(x, (total // row, row))
    gathered = ctx.emit("GATHER", table, rows, shape=(order.size // row, row), axis=0)
    return ctx.reshape(gathered, extents)


def _row_length(extents: list[int], strides: list[int], total: int, start: int) -> int:
    """Most trailing cells that always lie next to each other, at a multiple of their number."""
    row = 1
    for axis in reversed(range(len(extents))):
        if strides[axis] != row and extents[axis] != 1:
            break
        longer = row * extents[axis]
        others = [total, start, *strides[:axis]]
        if any(each % longer for each in others):
            break
        row = longer
    return row
