"""Slices, and cells by their numbers along axes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..context import Context
from ..dtypes import INTEGER
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Dim, Shape, Size, broadcast, example, product
from .shape import permuted

_FEW_RUNS = 4  # more slices than this cost more than a GATHER outside of XNNPACK
_PAD_RANK = 5  # of the tensors that PAD takes

# -- slices ----------------------------------------------------------------------------------


@lowers("aten.select", "aten.select_copy")
def select(ctx: Context, x: Value, dim: int, index: Size) -> Value:
    """select.int(Tensor self, int dim, SymInt index) -> SLICE, RESHAPE."""
    start = index + x.shape[dim] if example(index) < 0 else index
    return ctx.reshape(ctx.slice(x, dim, start, 1), ctx.shape)


@lowers("aten.slice", "aten.slice_copy")
def slice_(
    ctx: Context,
    x: Value,
    dim: int = 0,
    start: Size | None = None,
    end: Size | None = None,
    step: Size = 1,
) -> Value:
    """slice.Tensor(self, dim=0, SymInt? start, SymInt? end, SymInt step=1) -> SLICE or RESHAPEs."""
    axis = dim % x.rank
    extent, count, stride = x.shape[axis], ctx.shape[axis], ctx.static(step, "step")
    if stride == 1:
        return ctx.slice(x, axis, slice_start(extent, start, end, count), count)
    if isinstance(extent, int) and isinstance(count, int):
        first = ctx.static(slice_start(extent, start, end, count), "start")
        return taken_every(ctx, x, axis, first, count, stride)
    begin = ctx.static(start or 0, "start")
    stop = 0 if end is None or is_open(extent, end) else ctx.static(end, "end")
    return _strided(ctx, x, axis, (begin, stop, stride), count)


def is_open(extent: Size, end: Size | None) -> bool:
    """Whether a slice goes on to the end of its axis."""
    return end is None or end == extent or (isinstance(end, int) and end >= sys.maxsize)


def slice_start(extent: Size, start: Size | None, end: Size | None, count: Size) -> Size:
    """Where a slice begins, counted from the front.

    Args:
        extent: Size of the axis.
        start: As given to the operator.
        end: As given to the operator.
        count: How many cells it takes; without steps if the size changes.
    """
    if start is None:
        return 0
    if example(start) >= 0:
        return start
    if isinstance(start, Dim):
        return start + extent
    if isinstance(extent, int):
        return max(extent + start, 0)
    # the start may lie before the front for small sizes: only what is taken tells
    if is_open(extent, end):
        return extent - count
    assert end is not None
    return (end if example(end) >= 0 else end + extent) - count


def taken_every(ctx: Context, x: Value, axis: int, start: int, count: int, step: int) -> Value:
    """Take ``count`` cells, each ``step`` after the last one.

    XNNPACK has no strides: there an axis of groups is split off, of which one cell is kept.
    """
    extent, span = x.shape[axis], count * step
    if count == 1 or step == 1:
        return ctx.slice(x, axis, start, count)
    if x.dtype != "float32" or isinstance(extent, Dim) or x.rank > _PAD_RANK:
        return _strided(ctx, x, axis, (start, start + (count - 1) * step + 1, step), count)
    place = min(max(start + span - extent, 0), start, step - 1)
    begin = start - place
    missing = max(begin + span - extent, 0)
    body = ctx.slice(x, axis, begin, span - missing)
    body = ctx.pad(body, [(0, missing if at == axis else 0) for at in range(x.rank)])
    lead, rest = x.shape[:axis], x.shape[axis + 1 :]
    groups = ctx.reshape(body, (*lead, count, step, *rest))
    return ctx.reshape(ctx.slice(groups, axis + 1, place, 1), (*lead, count, *rest))


def _strided(ctx: Context, x: Value, axis: int, bounds: tuple[int, int, int], count: Size) -> Value:
    """One STRIDED_SLICE; negative bounds count from the end, and an end of 0 is the end."""
    vectors = [
        ctx.integers([bound if at == axis else rest for at in range(x.rank)])
        for bound, rest in zip(bounds, (0, 0, 1), strict=True)
    ]
    whole = (1 << x.rank) - 1 - (1 << axis)
    return ctx.emit(
        "STRIDED_SLICE",
        x,
        *vectors,
        shape=(*x.shape[:axis], count, *x.shape[axis + 1 :]),
        begin_mask=whole,
        end_mask=whole | (1 << axis) * (bounds[1] == 0),
    )


@lowers("aten.narrow", "aten.narrow_copy")
def narrow(ctx: Context, x: Value, dim: int, start: Size, length: Size) -> Value:
    """narrow(Tensor self, int dim, SymInt start, SymInt length) -> SLICE."""
    first = start + x.shape[dim] if example(start) < 0 else start
    return ctx.slice(x, dim, first, length)


# -- numbers of cells ------------------------------------------------------------------------


def calculated(ctx: Context, kind: str, left: Value, right: Value) -> Value:
    """An operator on int32 numbers; of constants it is calculated now."""
    if left.data is None or right.data is None:
        return ctx.pointwise(kind, left, right)
    function = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply, "FLOOR_MOD": np.mod}[kind]
    return ctx.constant(np.asarray(function(left.data, right.data), np.int32))


def wrapped(ctx: Context, index: Value, extent: Size) -> Value:
    """Numbers of cells counted from the front; kernels read foreign memory for negative ones."""
    if index.data is not None and index.data.size and index.data.min() >= 0:
        return ctx.cast(index, INTEGER)
    return calculated(ctx, "FLOOR_MOD", ctx.cast(index, INTEGER), ctx.size_scalar(extent))


def counted(ctx: Context, size: Size) -> Value:
    """The int32 numbers from zero to below a size."""
    if isinstance(size, int):
        return ctx.constant(np.arange(size, dtype=np.int32))
    bounds = ctx.scalar(0, INTEGER), ctx.size_scalar(size), ctx.scalar(1, INTEGER)
    return ctx.emit("RANGE", *bounds, shape=(size,), dtype=INTEGER)


def taken(ctx: Context, x: Value, axis: int, rows: Value) -> Value:
    """The cells of an axis with these numbers, whose axes take the axis's place."""
    shape = (*x.shape[:axis], *rows.shape, *x.shape[axis + 1 :])
    if rows.data is None:
        return ctx.emit("GATHER", x, rows, shape=shape, axis=axis)
    order = rows.data.reshape(-1)
    steps = np.diff(order)
    runs = np.split(order, np.flatnonzero(steps != 1) + 1)
    if len(runs) == 1 or (len(runs) <= _FEW_RUNS and x.dtype == "float32"):
        pieces = [ctx.slice(x, axis, int(run[0]), len(run)) for run in runs]
        return ctx.reshape(ctx.concat(pieces, axis), shape)
    if (steps == steps[0]).all() and steps[0] > 1:
        every = taken_every(ctx, x, axis, int(order[0]), len(order), int(steps[0]))
        return ctx.reshape(every, shape)
    return ctx.emit("GATHER", x, rows, shape=shape, axis=axis)


@lowers("aten.index_select")
def index_select(ctx: Context, x: Value, dim: int, index: Value) -> Value:
    """index_select(Tensor self, int dim, Tensor index) -> GATHER."""
    line = ctx.reshape(x, x.shape or (1,))
    rows = ctx.reshape(ctx.cast(index, INTEGER), index.shape or (1,))
    return ctx.reshape(taken(ctx, line, dim % line.rank, rows), ctx.shape)


# -- masks -----------------------------------------------------------------------------------


def true_cells(ctx: Context, mask: Value, count: Size) -> Value:
    """Numbers of the cells of a mask that are true, as if it had one axis."""
    if mask.data is not None:
        return ctx.constant(np.flatnonzero(mask.data).astype(np.int32))
    flat = ctx.reshape(ctx.cast(mask, "bool"), (product(mask.shape),))
    places = ctx.emit("WHERE", flat, shape=(count, 1), dtype="int64")
    return ctx.reshape(ctx.cast(places, INTEGER), (count,))


def counting(ctx: Context, value: Value) -> Value:
    """Let later operators know the sizes of a value that depend on data by that value's shape."""
    for axis, size in enumerate(value.shape):
        if isinstance(size, Dim):
            ctx.symbols.setdefault(size.expr, (value, axis))
    return value


@lowers("aten.masked_select")
def masked_select(ctx: Context, x: Value, mask: Value) -> Value:
    """masked_select(Tensor self, Tensor mask) -> WHERE, GATHER."""
    shape = broadcast(x.shape, mask.shape)
    total = product(shape)
    (count,) = ctx.shape
    flat = ctx.reshape(ctx.expand(x, shape), (total,))
    rows = true_cells(ctx, ctx.expand(mask, shape), count)
    return counting(ctx, ctx.emit("GATHER", flat, rows, shape=ctx.shape, axis=0))


@lowers("aten.nonzero", "aten.argwhere")
def nonzero(ctx: Context, x: Value) -> Value:
    """nonzero(Tensor self) -> WHERE."""
    places = ctx.emit("WHERE", ctx.cast(x, "bool"), shape=ctx.shape, dtype="int64")
    return counting(ctx, ctx.cast(places, INTEGER))


# -- several indices -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What ``x[i, :, j]`` names.

    Attributes:
        order: Order of the axes of ``x`` that puts the indexed ones next to each other.
        axis: The first of the indexed axes in that order.
        extents: Their sizes.
        rows: Numbers of the cells, once those axes are one, of the indices' common shape.
    """

    order: list[int]
    axis: int
    extents: Shape
    rows: Value

    def table(self, ctx: Context, x: Value) -> Value:
        """``x`` with the indexed axes in one."""
        x = permuted(ctx, x, self.order)
        behind = self.axis + len(self.extents)
        shape = (*x.shape[: self.axis], product(self.extents), *x.shape[behind:])
        return ctx.reshape(x, shape)


def cells_of(ctx: Context, x: Value, indices: Sequence[Value | None], count: Size) -> Cells:
    """Resolve indices into the numbers of the cells that they name.

    Args:
        ctx: The context.
        x: What is indexed.
        indices: An index, a mask of several axes, or nothing for the axes of ``x`` in turn.
        count: How many cells a computed mask names.
    """
    axes: list[int] = []
    rows: Value | None = None
    axis = 0
    for index in indices:
        if index is None:
            axis += 1
            continue
        masks = index.dtype in ("bool", "uint8")
        extents = x.shape[axis : axis + (index.rank if masks else 1)]
        extent = product(extents)
        cell = true_cells(ctx, index, count) if masks else wrapped(ctx, index, extent)
        if rows is not None:
            rows = calculated(ctx, "MUL", rows, ctx.size_scalar(extent))
            cell = calculated(ctx, "ADD", rows, cell)
        rows = cell
        axes += range(axis, axis + len(extents))
        axis += len(extents)
    assert rows is not None
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    others = [place for place in range(x.rank) if place not in axes]
    return Cells(
        order=list(range(x.rank)) if together else axes + others,
        axis=axes[0] if together else 0,
        extents=tuple(x.shape[place] for place in axes),
        rows=rows,
    )


@lowers("aten.index", "aten._unsafe_index")
def index(ctx: Context, x: Value, indices: Sequence[Value | None]) -> Value:
    """index.Tensor(Tensor self, Tensor?[] indices) -> GATHER; WHERE first for a mask."""
    masks = [each for each in indices if each is not None and each.dtype in ("bool", "uint8")]
    if not masks:
        cells = cells_of(ctx, x, indices, 0)
        return ctx.reshape(taken(ctx, cells.table(ctx, x), cells.axis, cells.rows), ctx.shape)
    if len([each for each in indices if each is not None]) > 1:
        raise unsupported("indices", "a mask beside other indices", "index in two steps")
    count = ctx.shape[indices.index(masks[0])]
    cells = cells_of(ctx, x, indices, count)
    table = cells.table(ctx, x)
    # PyTorch does not know the number of cells, not even of a constant mask
    return counting(ctx, ctx.emit("GATHER", table, cells.rows, shape=ctx.shape, axis=cells.axis))
