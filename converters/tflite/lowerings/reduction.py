"""Reductions: sums, products, extremes and truth values over axes.

TFLite's extremes skip some NaNs where PyTorch propagates every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..context import Context
from ..dtypes import FLOAT, INTEGER, ir_dtype, is_float
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, product

if TYPE_CHECKING:
    import torch

Dims = int | Sequence[int] | None

LARGEST = 3.4028234663852886e38  # finite float32

# The extremes have no kernel for truth values.
_OF_TRUTHS = {"REDUCE_MAX": "REDUCE_ANY", "REDUCE_MIN": "REDUCE_ALL"}


def axes_of(x: Value, dim: Dims) -> list[int]:
    """Return the axes that a ``dim`` argument names; nothing and ``[]`` stand for all of them."""
    given = [dim] if isinstance(dim, int) else list(dim or range(x.rank))
    return sorted({axis % x.rank for axis in given}) if x.rank else []


def count(x: Value, axes: Sequence[int]) -> Size:
    """Return the number of cells that a reduction over axes joins."""
    return product(x.shape[axis] for axis in axes)


def accumulated(ctx: Context, x: Value, dtype: torch.dtype | None) -> Value:
    """Convert to the type that sums and products are in: integers and truth values widen."""
    if dtype is not None:
        return ctx.cast(x, ir_dtype(dtype))
    return x if is_float(x.dtype) else ctx.cast(x, INTEGER)


def extreme(ctx: Context, kind: str, x: Value, dim: Dims, keepdim: bool = False) -> Value:
    """Reduce by ``REDUCE_MAX`` or ``REDUCE_MIN``, of any type."""
    kind = _OF_TRUTHS[kind] if x.dtype == "bool" else kind
    return ctx.reduce(kind, x, axes_of(x, dim), keepdim)


def finite(ctx: Context, x: Value) -> Value:
    """Bring infinities to the largest finite numbers, so that differences are not NaN."""
    return ctx.pointwise("MINIMUM", ctx.pointwise("MAXIMUM", x, -LARGEST), LARGEST)


@lowers("aten.sum")
def sum_(
    ctx: Context,
    x: Value,
    dim: Dims = None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """sum.dim_IntList(self, int[1]? dim, bool keepdim=False, *, dtype=None) -> SUM."""
    return ctx.reduce("SUM", accumulated(ctx, x, dtype), axes_of(x, dim), keepdim)


@lowers("aten.mean")
def mean(
    ctx: Context,
    x: Value,
    dim: Dims = None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """mean.dim(self, int[1]? dim, bool keepdim=False, *, dtype=None) -> MEAN."""
    return ctx.reduce("MEAN", accumulated(ctx, x, dtype), axes_of(x, dim), keepdim)


@lowers("aten.prod")
def prod(
    ctx: Context,
    x: Value,
    dim: int | None = None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """prod.dim_int(self, int dim, bool keepdim=False, *, dtype=None) -> REDUCE_PROD."""
    return ctx.reduce("REDUCE_PROD", accumulated(ctx, x, dtype), axes_of(x, dim), keepdim)


@lowers("aten.nansum")
def nansum(
    ctx: Context,
    x: Value,
    dim: Dims = None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """nansum(self, int[1]? dim=None, bool keepdim=False, *, dtype=None) -> SELECT_V2, SUM."""
    if is_float(x.dtype):
        zero = ctx.filled((1,) * x.rank, 0, x.dtype)
        x = ctx.emit("SELECT_V2", ctx.emit("EQUAL", x, x), x, zero)
    return sum_(ctx, x, dim, keepdim, dtype=dtype)


@lowers("aten.count_nonzero")
def count_nonzero(ctx: Context, x: Value, dim: Dims = None) -> Value:
    """count_nonzero.dim_IntList(self, int[] dim) -> NOT_EQUAL, CAST, SUM."""
    return ctx.reduce("SUM", ctx.cast(ctx.cast(x, "bool"), INTEGER), axes_of(x, dim))


@lowers("aten.amax")
def amax(ctx: Context, x: Value, dim: Dims = (), keepdim: bool = False) -> Value:
    """amax(self, int[1] dim=[], bool keepdim=False) -> REDUCE_MAX."""
    return extreme(ctx, "REDUCE_MAX", x, dim, keepdim)


@lowers("aten.amin")
def amin(ctx: Context, x: Value, dim: Dims = (), keepdim: bool = False) -> Value:
    """amin(self, int[1] dim=[], bool keepdim=False) -> REDUCE_MIN."""
    return extreme(ctx, "REDUCE_MIN", x, dim, keepdim)


@lowers("aten.aminmax")
def aminmax(ctx: Context, x: Value, dim: int | None = None, keepdim: bool = False) -> list[Value]:
    """aminmax(self, *, int? dim=None, bool keepdim=False) -> REDUCE_MIN and REDUCE_MAX."""
    return [extreme(ctx, kind, x, dim, keepdim) for kind in ("REDUCE_MIN", "REDUCE_MAX")]


def _truths(ctx: Context, kind: str, x: Value, dim: Dims, keepdim: bool) -> Value:
    """REDUCE_ANY or REDUCE_ALL; ``dim=[]`` reduces nothing here, and uint8 stays uint8."""
    result = ctx.cast(x, "bool")
    if isinstance(dim, int) or dim is None or list(dim):
        result = ctx.reduce(kind, result, axes_of(x, dim), keepdim)
    return ctx.cast(result, "uint8") if x.dtype == "uint8" else result


@lowers("aten.any")
def any_(ctx: Context, x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """any.dims(self, int[]? dim=None, bool keepdim=False) -> REDUCE_ANY."""
    return _truths(ctx, "REDUCE_ANY", x, dim, keepdim)


@lowers("aten.all")
def all_(ctx: Context, x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """all.dims(self, int[]? dim=None, bool keepdim=False) -> REDUCE_ALL."""
    return _truths(ctx, "REDUCE_ALL", x, dim, keepdim)


@lowers("aten.logsumexp", "aten.special_logsumexp")
def logsumexp(ctx: Context, x: Value, dim: Dims, keepdim: bool = False) -> Value:
    """logsumexp(self, int[1] dim, bool keepdim=False) -> REDUCE_MAX, SUB, EXP, SUM, LOG, ADD."""
    x = ctx.cast(x, FLOAT)
    axes = axes_of(x, dim)
    # of a row of -inf the result is -inf, and of one with inf it is inf
    largest = finite(ctx, extreme(ctx, "REDUCE_MAX", x, axes, keepdim=True))
    powers = ctx.emit("EXP", ctx.pointwise("SUB", x, largest))
    logarithm = ctx.emit("LOG", ctx.reduce("SUM", powers, axes, keepdim))
    return ctx.pointwise("ADD", logarithm, ctx.reshape(largest, logarithm.shape))
