"""Writing element by element: scatter, scatter_add, scatter_reduce."""

from __future__ import annotations

import numpy as np

from ..context import Context, Number
from ..dtypes import INTEGER
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Shape, example, product
from .gathering import before_expanding, cropped
from .indexing import calculated, counted, taken
from .scatter import added, chosen, sums_at
from .shape import permuted

_MOST_COMPARISONS = 1 << 22
_NAMES = {"add": "sum", "multiply": "prod"}
_REDUCERS = {"prod": "REDUCE_PROD", "amax": "REDUCE_MAX", "amin": "REDUCE_MIN", "mean": "SUM"}
_COMBINERS = {"prod": "MUL", "amax": "MAXIMUM", "amin": "MINIMUM", "mean": "ADD"}


# -- replacing -------------------------------------------------------------------------------


@lowers("aten.scatter.src", "aten.scatter.value")
def scatter(ctx: Context, x: Value, dim: int, index: Value, src: Value | Number) -> Value:
    """scatter.src(self, int dim, Tensor index, Tensor src) -> EQUAL, GATHER or SELECT_V2."""
    if index.rank == 0 or x.rank == 0:
        return ctx.reshape(_value_of(ctx, src, index, x.dtype), x.shape)
    axis = dim % x.rank
    index = ctx.cast(index, INTEGER)
    order, back = _to_end(x.rank, axis)
    region = permuted(ctx, cropped(ctx, x, index, axis), order)
    rows = permuted(ctx, index, order)
    if isinstance(src, Value) and src.rank and rows.shape[-1] != 1:
        updates = permuted(ctx, _as_index(ctx, src, index, x.dtype), order)
        changed = _last_of(ctx, region, rows, updates)
    else:
        values = _value_of(ctx, src, index, x.dtype)
        values = permuted(ctx, values, order) if values.rank == x.rank else values
        changed = chosen(ctx, _any_hit(ctx, region, rows), values, region)
    return _back_in_place(ctx, x, permuted(ctx, changed, back))


def _to_end(rank: int, axis: int) -> tuple[list[int], list[int]]:
    """The order of the axes that puts one last, and the one that undoes it."""
    order = [*(place for place in range(rank) if place != axis), axis]
    return order, [order.index(place) for place in range(rank)]


def _as_index(ctx: Context, src: Value, index: Value, dtype: str) -> Value:
    """The part of a source that an index reads."""
    return ctx.cast(cropped(ctx, src, index, -1), dtype)


def _value_of(ctx: Context, src: Value | Number, index: Value, dtype: str) -> Value:
    if not isinstance(src, Value):
        return ctx.scalar(src, dtype)
    return _as_index(ctx, src, index, dtype) if src.rank else ctx.cast(src, dtype)


def _back_in_place(ctx: Context, x: Value, part: Value) -> Value:
    """A tensor with another first part of each axis."""
    for axis in range(x.rank):
        size = part.shape[axis]
        if size != x.shape[axis]:
            rest = cropped(ctx, x, part, axis)
            rest = ctx.slice(rest, axis, size, x.shape[axis] - size)
            part = ctx.concat([part, rest], axis)
    return part


def _hits(ctx: Context, region: Value, rows: Value) -> Value:
    """For each cell of the last axis and each number: whether they are equal."""
    extent, count = region.shape[-1], rows.shape[-1]
    if example(product((*rows.shape, extent))) > _MOST_COMPARISONS:
        raise unsupported(
            "index", f"{count} numbers of {extent} cells", "scatter_add takes this many"
        )
    cells = ctx.reshape(counted(ctx, extent), (*(1,) * (rows.rank - 1), extent, 1))
    return ctx.emit("EQUAL", cells, ctx.reshape(rows, (*rows.shape[:-1], 1, count)))


def _any_hit(ctx: Context, region: Value, rows: Value) -> Value:
    """For each cell of the last axis: whether a number names it."""
    if rows.data is not None and isinstance(region.shape[-1], int):
        numbers = np.arange(region.shape[-1])[:, None]
        return ctx.constant((numbers == rows.data[..., None, :]).any(axis=-1))
    if rows.shape[-1] == 1:
        cells = counted(ctx, region.shape[-1])
        return ctx.emit("EQUAL", ctx.with_rank(cells, rows.rank), rows, shape=region.shape)
    return ctx.reduce("REDUCE_ANY", _hits(ctx, region, rows), [-1])


def _last_of(ctx: Context, region: Value, rows: Value, updates: Value) -> Value:
    """Along the last axis, the last update of each cell, or the cell itself."""
    extent, count = region.shape[-1], rows.shape[-1]
    turns = calculated(ctx, "ADD", counted(ctx, count), ctx.scalar(1, INTEGER))
    weighted = ctx.pointwise("MUL", ctx.cast(_hits(ctx, region, rows), INTEGER), turns)
    last = ctx.reduce("REDUCE_MAX", weighted, [-1])
    behind = calculated(ctx, "SUB", ctx.size_scalar(extent), ctx.scalar(1, INTEGER))
    source = chosen(
        ctx,
        ctx.pointwise("GREATER", last, 0),
        ctx.pointwise("ADD", last, behind),
        ctx.expand(counted(ctx, extent), last.shape),
    )
    axis = region.rank - 1
    both = ctx.emit("CONCATENATION", region, updates, axis=axis)
    if axis == 0:
        return taken(ctx, both, 0, source)
    return ctx.emit("GATHER", both, source, shape=region.shape, axis=axis, batch_dims=axis)


# -- accumulating ----------------------------------------------------------------------------


@lowers("aten.scatter_add")
def scatter_add(ctx: Context, x: Value, dim: int, index: Value, src: Value) -> Value:
    """scatter_add(self, int dim, Tensor index, Tensor src) -> SCATTER_ND, ADD."""
    if x.rank == 0 or index.rank == 0:
        line, index, src = (ctx.reshape(each, (1,)) for each in (x, index, src))
        return ctx.reshape(scatter_add(ctx, line, 0, index, src), x.shape)
    axis = dim % x.rank
    index = ctx.cast(index, INTEGER)
    updates = _as_index(ctx, src, index, x.dtype)
    source = before_expanding(ctx, index)
    if product(source.shape) == source.shape[axis] and _same_beside(x.shape, index.shape, axis):
        # one index for a whole row, as messages are added to the nodes of a graph
        return added(ctx, x, axis, ctx.reshape(source, (source.shape[axis],)), updates)
    return ctx.pointwise("ADD", x, _sums(ctx, x.shape, axis, index, updates))


def _same_beside(left: Shape, right: Shape, axis: int) -> bool:
    """Whether two shapes differ along one axis at most."""
    pairs = enumerate(zip(left, right, strict=True))
    return all(place == axis or one == other for place, (one, other) in pairs)


def _sums(ctx: Context, shape: Shape, axis: int, index: Value, updates: Value) -> Value:
    """Zeros of a shape with updates added where the index says."""
    place: Value | None = None
    for at in reversed(range(len(shape))):
        cells = counted(ctx, index.shape[at])
        line = [index.shape[at] if other == at else 1 for other in range(len(shape))]
        number = index if at == axis else ctx.reshape(cells, line)
        stride = ctx.size_scalar(product(shape[at + 1 :]))
        step = calculated(ctx, "MUL", number, stride)
        place = step if place is None else calculated(ctx, "ADD", place, step)
    assert place is not None
    total = product(shape)
    flat = ctx.reshape(updates, (product(updates.shape),))
    rows = ctx.reshape(place, (product(index.shape),))
    return ctx.reshape(sums_at(ctx, rows, flat, (total,)), shape)


@lowers("aten.scatter.reduce", "aten.scatter.value_reduce")
def scatter_with(
    ctx: Context, x: Value, dim: int, index: Value, src: Value | Number, reduce: str
) -> Value:
    """scatter.reduce(self, int dim, index, src, *, str reduce) -> as scatter_reduce."""
    value = src if isinstance(src, Value) else ctx.filled(index.shape, src, x.dtype)
    return scatter_reduce(ctx, x, dim, index, value, _NAMES[reduce])


@lowers("aten.scatter_reduce")
def scatter_reduce(
    ctx: Context,
    x: Value,
    dim: int,
    index: Value,
    src: Value,
    reduce: str,
    include_self: bool = True,
) -> Value:
    """scatter_reduce.two(self, dim, index, src, reduce, *, include_self) -> EQUAL, REDUCE_*."""
    if reduce == "sum" and include_self:
        return scatter_add(ctx, x, dim, index, src)
    if reduce == "mean" and x.dtype != "float32":
        raise unsupported("reduce", reduce, "the mean of integers is rounded; cast to float")
    if x.dtype not in ("float32", INTEGER):  # of these the reductions have no kernels
        numbers = [ctx.cast(each, INTEGER) for each in (x, src)]
        made = scatter_reduce(ctx, numbers[0], dim, index, numbers[1], reduce, include_self)
        return ctx.cast(made, x.dtype)
    if x.rank == 0 or index.rank == 0:
        line, index, src = (ctx.reshape(each, (1,)) for each in (x, index, src))
        return ctx.reshape(scatter_reduce(ctx, line, 0, index, src, reduce, include_self), x.shape)
    axis = dim % x.rank
    index = ctx.cast(index, INTEGER)
    order, back = _to_end(x.rank, axis)
    region = permuted(ctx, cropped(ctx, x, index, axis), order)
    rows = permuted(ctx, index, order)
    updates = permuted(ctx, _as_index(ctx, src, index, x.dtype), order)
    changed = _reduced(ctx, region, rows, updates, reduce, include_self)
    return _back_in_place(ctx, x, permuted(ctx, changed, back))


def _reduced(
    ctx: Context, region: Value, rows: Value, updates: Value, reduce: str, include_self: bool
) -> Value:
    """Reduce the updates of each cell of the last axis, with the cell itself or without."""
    kind = _REDUCERS.get(reduce, "SUM")
    hits = _hits(ctx, region, rows)
    rank, shape = hits.rank, hits.shape
    spread = ctx.reshape(updates, (*updates.shape[:-1], 1, updates.shape[-1]))
    neutral = ctx.with_rank(ctx.scalar(_neutral(reduce, region.dtype), region.dtype), rank)
    kept = ctx.emit("SELECT_V2", hits, spread, neutral, shape=shape, dtype=region.dtype)
    total = ctx.reduce(kind, kept, [-1])
    if include_self:
        total = ctx.pointwise(_COMBINERS[reduce], region, total)
    if reduce == "mean":
        count = ctx.reduce("SUM", ctx.cast(hits, region.dtype), [-1])
        if include_self:
            return ctx.pointwise("DIV", total, ctx.pointwise("ADD", count, 1.0))
        total = ctx.pointwise("DIV", total, ctx.pointwise("MAXIMUM", count, 1.0))
    if include_self:
        return total
    return chosen(ctx, ctx.reduce("REDUCE_ANY", hits, [-1]), total, region)


def _neutral(reduce: str, dtype: str) -> Number:
    """What changes nothing in a reduction."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype == "float32":
        return -np.inf if reduce == "amax" else np.inf
    limits = np.iinfo(dtype)
    return int(limits.min if reduce == "amax" else limits.max)
