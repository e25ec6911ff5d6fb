"""Sorting and selecting by rank, all through TOPK_V2.

TOPK_V2 puts the first of equal values first, which is PyTorch's stable order. It compares NaN as
neither smaller nor greater, so that tensors with NaN come out in another order than PyTorch's.
"""

from __future__ import annotations

from ..context import Context
from ..dtypes import INTEGER, is_float
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, product


def _reversed(ctx: Context, x: Value) -> Value:
    """Return values whose order is the opposite one; twice gives them back.

    The complement of an integer, unlike its negative, exists for the smallest one too.
    """
    return ctx.emit("NEG", x) if is_float(x.dtype) else ctx.pointwise("SUB", -1, x)


def _ranked(ctx: Context, x: Value, k: Size, dim: int, descending: bool) -> list[Value]:
    """The first ``k`` values and their indices along an axis."""
    if x.rank == 0:
        return [x, ctx.filled((), 0, INTEGER)]
    axis = dim % x.rank
    last = [*range(axis), *range(axis + 1, x.rank), axis]
    back = [*range(axis), x.rank - 1, *range(axis, x.rank - 1)]
    # there is no kernel for truth values, and none that reverses 8-bit integers
    keys = ctx.transpose(x if is_float(x.dtype) else ctx.cast(x, INTEGER), last)
    keys = keys if descending else _reversed(ctx, keys)
    shape = (*keys.shape[:-1], k)
    values, indices = ctx.emit_many(
        "TOPK_V2", [keys, ctx.size_scalar(k)], [(shape, keys.dtype), (shape, INTEGER)]
    )
    values = values if descending else _reversed(ctx, values)
    return [ctx.cast(ctx.transpose(values, back), x.dtype), ctx.transpose(indices, back)]


def _at(ctx: Context, ranked: list[Value], k: int, dim: int, keepdim: bool) -> list[Value]:
    """The k-th of ranked values, counted from 0, and its index."""
    if ranked[0].rank == 0:
        return ranked
    axis = dim % ranked[0].rank
    cells = [ctx.slice(each, axis, k, 1) for each in ranked]
    if keepdim:
        return cells
    shape = (*cells[0].shape[:axis], *cells[0].shape[axis + 1 :])
    return [ctx.reshape(each, shape) for each in cells]


@lowers("aten.topk")
def topk(
    ctx: Context, x: Value, k: Size, dim: int = -1, largest: bool = True, in_order: bool = True
) -> list[Value]:
    """topk(self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> TOPK_V2.

    The result is sorted either way, which is one of the orders that ``sorted=False`` allows.
    """
    return _ranked(ctx, x, k, dim, descending=largest)


@lowers("aten.sort")
def sort(
    ctx: Context,
    x: Value,
    dim: int = -1,
    descending: bool = False,
    stable: bool | None = None,
) -> list[Value]:
    """sort.stable(self, *, bool? stable, int dim=-1, bool descending=False) -> TOPK_V2."""
    return _ranked(ctx, x, x.shape[dim] if x.rank else 1, dim, descending)


@lowers("aten.argsort")
def argsort(
    ctx: Context, x: Value, dim: int = -1, descending: bool = False, stable: bool = False
) -> Value:
    """argsort.stable(self, *, bool stable, int dim=-1, bool descending=False) -> TOPK_V2."""
    return sort(ctx, x, dim, descending)[1]


@lowers("aten.msort")
def msort(ctx: Context, x: Value) -> Value:
    """msort(self) -> TOPK_V2 over the first axis."""
    return sort(ctx, x, 0)[0]


@lowers("aten.kthvalue")
def kthvalue(ctx: Context, x: Value, k: Size, dim: int = -1, keepdim: bool = False) -> list[Value]:
    """kthvalue(self, SymInt k, int dim=-1, bool keepdim=False) -> TOPK_V2, SLICE."""
    rank = ctx.static(k, "k")
    return _at(ctx, _ranked(ctx, x, rank, dim, descending=False), rank - 1, dim, keepdim)


@lowers("aten.median.dim")
def median_dim(ctx: Context, x: Value, dim: int, keepdim: bool = False) -> list[Value]:
    """median.dim(self, int dim, bool keepdim=False) -> TOPK_V2, SLICE; the lower of two."""
    cells = ctx.static(x.shape[dim], "dim") if x.rank else 1
    return kthvalue(ctx, x, (cells + 1) // 2, dim, keepdim)


@lowers("aten.median.default")
def median(ctx: Context, x: Value) -> Value:
    """median(self) -> TOPK_V2, SLICE over all elements."""
    return median_dim(ctx, ctx.reshape(x, (product(x.shape),)), 0)[0]
