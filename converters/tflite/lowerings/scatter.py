"""Writing into slices and rows of a tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context, Number
from ..dtypes import INTEGER, is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Shape, Size, example, product
from .indexing import (
    calculated,
    cells_of,
    counted,
    is_open,
    slice_start,
    taken,
    wrapped,
)
from .shape import permuted

_MOST_COMPARISONS = 1 << 22  # of cells with indices, of which each costs about a nanosecond

# -- slices ----------------------------------------------------------------------------------


@lowers("aten.slice_scatter")
def slice_scatter(
    ctx: Context,
    x: Value,
    src: Value,
    dim: int = 0,
    start: Size | None = None,
    end: Size | None = None,
    step: Size = 1,
) -> Value:
    """slice_scatter(self, src, dim=0, start=None, end=None, step=1) -> SLICE, CONCATENATION."""
    axis, stride = dim % x.rank, ctx.static(step, "step")
    src = ctx.cast(src, x.dtype)
    if stride == 1:
        count = src.shape[axis]
        first = slice_start(x.shape[axis], start, end, count)
        # the last part of an open slice is empty, whatever the sizes are
        behind = 0 if is_open(x.shape[axis], end) else x.shape[axis] - first - count
        return _written(ctx, x, src, axis, (first, behind))
    extent = ctx.static(x.shape[axis], "self")
    first = ctx.static(slice_start(extent, start, end, src.shape[axis]), "start")
    rows = np.arange(first, extent, stride)[: ctx.static(src.shape[axis], "src")]
    return replaced(ctx, x, axis, ctx.constant(rows.astype(np.int32)), src)


def _written(ctx: Context, x: Value, src: Value, axis: int, around: tuple[Size, Size]) -> Value:
    """A tensor with other cells between the first and the last ones of an axis."""
    before, behind = around
    extent = x.shape[axis]
    pieces = [src]
    if before != 0:
        pieces.insert(0, ctx.slice(x, axis, 0, before))
    if behind != 0:
        pieces.append(ctx.slice(x, axis, extent - behind, behind))
    if len(pieces) == 1:
        return src
    return ctx.emit("CONCATENATION", *pieces, axis=axis, shape=x.shape)


@lowers("aten.select_scatter")
def select_scatter(ctx: Context, x: Value, src: Value, dim: int, index: Size) -> Value:
    """select_scatter(self, src, int dim, SymInt index) -> RESHAPE, SLICE, CONCATENATION."""
    axis = dim % x.rank
    first = index + x.shape[axis] if example(index) < 0 else index
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    row = ctx.reshape(ctx.cast(src, x.dtype), shape)
    return _written(ctx, x, row, axis, (first, x.shape[axis] - first - 1))


# -- rows ------------------------------------------------------------------------------------


def replaced(ctx: Context, x: Value, axis: int, rows: Value, updates: Value) -> Value:
    """Put updates in the place of the cells of an axis that ``rows`` numbers; the last one wins.

    Args:
        ctx: The context.
        x: The tensor.
        axis: The axis.
        rows: A vector of int32 numbers, counted from the front.
        updates: A tensor with as many cells along the axis, otherwise of the same shape.
    """
    if rows.data is not None:
        order = rows.data
        if (np.diff(order) == 1).all():
            around = int(order[0]), x.shape[axis] - (int(order[-1]) + 1)
            return _written(ctx, x, updates, axis, around)
        extent = ctx.static(x.shape[axis], "self")
        source = np.arange(extent, dtype=np.int32)
        source[order] = extent + np.arange(len(order), dtype=np.int32)
        both = ctx.concat([x, updates], axis)
        return taken(ctx, both, axis, ctx.constant(source))
    if rows.shape == (1,):
        # one row, as in a cache of keys and values
        start = ctx.concat(
            [rows if place == axis else ctx.integers([0]) for place in range(x.rank)], 0
        )
        return ctx.emit("DYNAMIC_UPDATE_SLICE", x, updates, start)
    return _last_of(ctx, x, axis, rows, updates)


def _last_of(ctx: Context, x: Value, axis: int, rows: Value, updates: Value) -> Value:
    """Compare every cell with every index: SCATTER_ND would add up what comes twice."""
    extent, count = x.shape[axis], rows.shape[0]
    if example(extent * count) > _MOST_COMPARISONS:
        raise unsupported(
            "index", f"{count} numbers of {extent} cells", "add to zeros if no two are equal"
        )
    cells = counted(ctx, extent)
    hit = ctx.emit("EQUAL", ctx.reshape(cells, (extent, 1)), ctx.reshape(rows, (1, count)))
    turns = calculated(ctx, "ADD", counted(ctx, count), ctx.scalar(1, INTEGER))
    weighted = ctx.pointwise("MUL", ctx.cast(hit, INTEGER), ctx.reshape(turns, (1, count)))
    last = ctx.reduce("REDUCE_MAX", weighted, [1])
    behind = calculated(ctx, "SUB", ctx.size_scalar(extent), ctx.scalar(1, INTEGER))
    source = ctx.emit(
        "SELECT_V2",
        ctx.pointwise("GREATER", last, 0),
        ctx.pointwise("ADD", last, behind),
        cells,
        shape=(extent,),
        dtype=INTEGER,
    )
    both = ctx.emit("CONCATENATION", x, updates, axis=axis)
    return ctx.emit("GATHER", both, source, shape=x.shape, axis=axis)


def sums_at(ctx: Context, rows: Value, updates: Value, shape: Shape) -> Value:
    """Zeros of a shape, to whose rows updates are added."""
    if updates.dtype == "bool":  # whose sum is whether any is true
        return ctx.cast(sums_at(ctx, rows, ctx.cast(updates, INTEGER), shape), "bool")
    places = ctx.reshape(rows, (product(rows.shape), 1))
    return ctx.emit(
        "SCATTER_ND", places, updates, ctx.shape_vector(shape), shape=shape, dtype=updates.dtype
    )


def _to_front(rank: int, axis: int) -> tuple[list[int], list[int]]:
    """The order of the axes that puts one first, and the one that undoes it."""
    order = [axis, *(place for place in range(rank) if place != axis)]
    return order, [order.index(place) for place in range(rank)]


def added(ctx: Context, x: Value, axis: int, rows: Value, updates: Value) -> Value:
    """Add updates to the cells of an axis that ``rows`` numbers."""
    order, back = _to_front(x.rank, axis)
    front = permuted(ctx, updates, order)
    shape = tuple(x.shape[place] for place in order)
    return ctx.pointwise("ADD", x, permuted(ctx, sums_at(ctx, rows, front, shape), back))


@lowers("aten.index_copy")
def index_copy(ctx: Context, x: Value, dim: int, index: Value, source: Value) -> Value:
    """index_copy(self, int dim, Tensor index, Tensor source) -> DYNAMIC_UPDATE_SLICE or GATHER."""
    line, rows, updates, axis = _along(ctx, x, dim, index, source)
    return ctx.reshape(replaced(ctx, line, axis, rows, updates), x.shape)


@lowers("aten.index_add")
def index_add(
    ctx: Context, x: Value, dim: int, index: Value, source: Value, alpha: Number = 1
) -> Value:
    """index_add(self, int dim, Tensor index, Tensor source, *, alpha=1) -> SCATTER_ND, ADD."""
    line, rows, updates, axis = _along(ctx, x, dim, index, source)
    if alpha != 1:
        updates = ctx.pointwise("MUL", updates, alpha, dtype=x.dtype)
    return ctx.reshape(added(ctx, line, axis, rows, updates), x.shape)


def _along(
    ctx: Context, x: Value, dim: int, index: Value, source: Value
) -> tuple[Value, Value, Value, int]:
    """Operands with an axis at least; the source with as many cells as the index has."""
    axis = dim % max(x.rank, 1)
    line = ctx.reshape(x, x.shape or (1,))
    rows = ctx.reshape(ctx.cast(index, INTEGER), index.shape or (1,))
    shape = (*line.shape[:axis], rows.shape[0], *line.shape[axis + 1 :])
    return line, rows, ctx.reshape(ctx.cast(source, x.dtype), shape), axis


@lowers("aten.index_fill")
def index_fill(ctx: Context, x: Value, dim: int, index: Value, value: Number | Value) -> Value:
    """index_fill.int_Scalar(self, int dim, Tensor index, Scalar value) -> EQUAL, SELECT_V2."""
    axis = dim % max(x.rank, 1)
    line = ctx.reshape(x, x.shape or (1,))
    extent = line.shape[axis]
    rows = ctx.reshape(wrapped(ctx, index, extent), index.shape or (1,))
    if rows.data is not None:
        there = ctx.constant(np.isin(np.arange(ctx.static(extent, "self")), rows.data))
    else:
        cells = ctx.reshape(counted(ctx, extent), (extent, 1))
        hit = ctx.emit("EQUAL", cells, ctx.reshape(rows, (1, rows.shape[0])))
        there = ctx.reduce("REDUCE_ANY", hit, [1])
    mask = ctx.reshape(there, [extent if at == axis else 1 for at in range(line.rank)])
    filled = chosen(ctx, mask, value, line)
    return ctx.reshape(filled, x.shape)


def chosen(ctx: Context, mask: Value, there: Value | Number, elsewhere: Value) -> Value:
    """SELECT_V2 of operands brought to the rank and type of the last."""
    value = there if isinstance(there, Value) else ctx.scalar(there, elsewhere.dtype)
    value = ctx.with_rank(ctx.cast(value, elsewhere.dtype), elsewhere.rank)
    mask = ctx.with_rank(mask, elsewhere.rank)
    return ctx.emit(
        "SELECT_V2", mask, value, elsewhere, shape=elsewhere.shape, dtype=elsewhere.dtype
    )


# -- several indices -------------------------------------------------------------------------


@lowers("aten.index_put", "aten._unsafe_index_put")
def index_put(
    ctx: Context,
    x: Value,
    indices: Sequence[Value | None],
    values: Value,
    accumulate: bool = False,
) -> Value:
    """index_put(self, Tensor?[] indices, values, accumulate) -> SCATTER_ND, GATHER or SELECT_V2."""
    values = ctx.cast(values, x.dtype)
    mask = _computed_mask(indices)
    if mask is not None:
        return _masked_put(ctx, x, mask, values, accumulate)
    cells = cells_of(ctx, x, indices, 0)
    table = cells.table(ctx, x)
    lead, rest = table.shape[: cells.axis], table.shape[cells.axis + 1 :]
    count = product(cells.rows.shape)
    updates = ctx.expand(values, (*lead, *cells.rows.shape, *rest))
    updates = ctx.reshape(updates, (*lead, count, *rest))
    rows = ctx.reshape(cells.rows, (count,))
    change = added if accumulate else _put_at
    changed = change(ctx, table, cells.axis, rows, updates)
    ordered = ctx.reshape(changed, tuple(x.shape[axis] for axis in cells.order))
    back = [cells.order.index(axis) for axis in range(x.rank)]
    return permuted(ctx, ordered, back)


def _put_at(ctx: Context, x: Value, axis: int, rows: Value, updates: Value) -> Value:
    """As ``replaced``; of many rows, those of one cell give the mean.

    PyTorch says which it is only if they are equal.
    """
    extent, count = x.shape[axis], rows.shape[0]
    if rows.data is not None or example(extent * count) <= _MOST_COMPARISONS:
        return replaced(ctx, x, axis, rows, updates)
    order, back = _to_front(x.rank, axis)
    front, table = permuted(ctx, updates, order), permuted(ctx, x, order)
    column = (extent, *(1,) * (x.rank - 1))
    times = sums_at(ctx, rows, ctx.filled(rows.shape, 1, INTEGER), (extent,))
    times = ctx.reshape(times, column)
    made = sums_at(ctx, rows, front, table.shape)
    if x.dtype != "bool":
        divisor = ctx.cast(ctx.pointwise("MAXIMUM", times, 1), x.dtype)
        made = ctx.pointwise("DIV" if is_float(x.dtype) else "FLOOR_DIV", made, divisor)
    return permuted(ctx, chosen(ctx, ctx.pointwise("GREATER", times, 0), made, table), back)


@lowers("aten._index_put_impl")
def index_put_impl(
    ctx: Context,
    x: Value,
    indices: Sequence[Value | None],
    values: Value,
    accumulate: bool = False,
    unsafe: bool = False,
) -> Value:
    """_index_put_impl(self, indices, values, accumulate, unsafe) -> as index_put."""
    return index_put(ctx, x, indices, values, accumulate)


def _computed_mask(indices: Sequence[Value | None]) -> tuple[Value, int] | None:
    """A mask that is computed, and its first axis."""
    given = [(axis, each) for axis, each in enumerate(indices) if each is not None]
    masks = [
        (each, axis)
        for axis, each in given
        if each.dtype in ("bool", "uint8") and each.data is None
    ]
    if masks and len(given) > 1:
        raise unsupported("indices", "a computed mask beside others", "index in two steps")
    return masks[0] if masks else None


def _masked_put(
    ctx: Context, x: Value, place: tuple[Value, int], values: Value, accumulate: bool
) -> Value:
    """``x[mask] = values``, where the mask is computed."""
    mask, axis = place
    behind = x.rank - axis - mask.rank
    lead = (1,) * axis
    condition = ctx.reshape(ctx.cast(mask, "bool"), (*lead, *mask.shape, *(1,) * behind))
    # along the axes of the mask, the values have one axis for all of the cells that are true
    own = values.shape[max(values.rank - behind, 0) :]
    count = product(values.shape[: values.rank - len(own)])
    if count != 1:
        if axis:
            raise unsupported("indices", "a mask behind other axes", "use torch.where")
        flat = ctx.reshape(condition, (product(mask.shape),))
        values = _in_turn(ctx, flat, ctx.reshape(values, (count, *own)))
        values = ctx.reshape(values, (*mask.shape, *own))
    else:
        values = ctx.reshape(values, ((1,) * (x.rank - len(own)) + own))
    if accumulate:
        values = ctx.pointwise("ADD", x, values)
    return chosen(ctx, condition, values, x)


@lowers("aten.put")
def put(ctx: Context, x: Value, index: Value, source: Value, accumulate: bool = False) -> Value:
    """put(self, Tensor index, Tensor source, bool accumulate) -> RESHAPE, as index_put."""
    flat = ctx.reshape(x, (product(x.shape),))
    rows = ctx.reshape(index, (product(index.shape),))
    values = ctx.reshape(source, rows.shape)
    return ctx.reshape(index_put(ctx, flat, [rows], values, accumulate), x.shape)


@lowers("aten.masked_scatter")
def masked_scatter(ctx: Context, x: Value, mask: Value, source: Value) -> Value:
    """masked_scatter(Tensor self, Tensor mask, Tensor source) -> CUMSUM, GATHER, SELECT_V2."""
    total = product(ctx.shape)
    flat = ctx.reshape(ctx.expand(mask, ctx.shape), (total,))
    line = ctx.reshape(source, (product(source.shape),))
    found = ctx.reshape(_in_turn(ctx, flat, line), ctx.shape)
    return chosen(ctx, ctx.reshape(flat, ctx.shape), found, ctx.expand(x, ctx.shape))


def _in_turn(ctx: Context, mask: Value, source: Value) -> Value:
    """The next row of a source for each true cell of a vector; something for the others."""
    rank = ctx.emit("CUMSUM", ctx.cast(mask, INTEGER), ctx.scalar(0, INTEGER))
    if not isinstance(source.shape[0], int) or source.shape[0] == 0:
        # there may be no row, which nothing could be taken from
        source = ctx.concat([source, ctx.filled((1, *source.shape[1:]), 0, source.dtype)], 0)
    last = calculated(ctx, "SUB", ctx.size_scalar(source.shape[0]), ctx.scalar(1, INTEGER))
    row = ctx.pointwise("MAXIMUM", ctx.pointwise("SUB", rank, 1), 0)
    return taken(ctx, source, 0, ctx.pointwise("MINIMUM", row, last))
