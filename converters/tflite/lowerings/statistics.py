"""Variances and standard deviations, and the bins that values fall into."""

from __future__ import annotations

import numpy as np

from ..context import Context, Number
from ..dtypes import FLOAT, INTEGER, is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Dim, Size, product
from .reduction import Dims, axes_of, count


def moments(ctx: Context, x: Value, axes: list[int]) -> tuple[Value, Value]:
    """Return ``x`` without its mean, and the mean; all axes are kept.

    What follows computes with centred values: a difference of squares loses all digits of a small
    variance beside a large mean.
    """
    mean = ctx.reduce("MEAN", x, axes, keepdim=True)
    return ctx.pointwise("SUB", x, mean), mean


def _degrees(ctx: Context, cells: Size, correction: Number) -> Value:
    """Number of cells less the correction, at least 0, as float32."""
    if not isinstance(cells, Dim):
        return ctx.scalar(max(float(cells - correction), 0.0), FLOAT)
    number = ctx.cast(ctx.size_scalar(cells), FLOAT)
    return ctx.pointwise("MAXIMUM", ctx.pointwise("SUB", number, float(correction)), 0.0)


def _variance(
    ctx: Context, x: Value, dim: Dims, correction: Number, keepdim: bool
) -> tuple[Value, Value]:
    """The variance and the mean."""
    axes = axes_of(x, dim)
    centred, mean = moments(ctx, x, axes)
    squares = ctx.emit("SQUARE", centred)
    if correction == 0:
        variance = ctx.reduce("MEAN", squares, axes, keepdim)
    else:
        total = ctx.reduce("SUM", squares, axes, keepdim)
        variance = ctx.pointwise("DIV", total, _degrees(ctx, count(x, axes), correction))
    return variance, ctx.reshape(mean, variance.shape)


@lowers("aten.var.correction")
def var_correction(
    ctx: Context,
    x: Value,
    dim: Dims = None,
    correction: Number | None = None,
    keepdim: bool = False,
) -> Value:
    """var.correction(self, int[1]? dim, *, correction, keepdim) -> MEAN, SUB, SQUARE, SUM, DIV."""
    return _variance(ctx, x, dim, 1 if correction is None else correction, keepdim)[0]


@lowers("aten.std.correction")
def std_correction(
    ctx: Context,
    x: Value,
    dim: Dims = None,
    correction: Number | None = None,
    keepdim: bool = False,
) -> Value:
    """std.correction(self, int[1]? dim, *, correction, keepdim) -> the variance, SQRT."""
    return ctx.emit("SQRT", var_correction(ctx, x, dim, correction=correction, keepdim=keepdim))


@lowers("aten.var_mean.correction")
def var_mean_correction(
    ctx: Context,
    x: Value,
    dim: Dims = None,
    correction: Number | None = None,
    keepdim: bool = False,
) -> list[Value]:
    """var_mean.correction(self, int[1]? dim, *, correction, keepdim) -> both of one pass."""
    return list(_variance(ctx, x, dim, 1 if correction is None else correction, keepdim))


@lowers("aten.std_mean.correction")
def std_mean_correction(
    ctx: Context,
    x: Value,
    dim: Dims = None,
    correction: Number | None = None,
    keepdim: bool = False,
) -> list[Value]:
    """std_mean.correction(self, int[1]? dim, *, correction, keepdim) -> the variance, SQRT."""
    variance, mean = _variance(ctx, x, dim, 1 if correction is None else correction, keepdim)
    return [ctx.emit("SQRT", variance), mean]


@lowers("aten.var.default")
def var(ctx: Context, x: Value, unbiased: bool = True) -> Value:
    """var(self, bool unbiased=True) -> as var.correction."""
    return var_correction(ctx, x, None, correction=int(unbiased))


@lowers("aten.std.default")
def std(ctx: Context, x: Value, unbiased: bool = True) -> Value:
    """std(self, bool unbiased=True) -> as std.correction."""
    return std_correction(ctx, x, None, correction=int(unbiased))


@lowers("aten.var_mean.default")
def var_mean(ctx: Context, x: Value, unbiased: bool = True) -> list[Value]:
    """var_mean(self, bool unbiased=True) -> as var_mean.correction."""
    return var_mean_correction(ctx, x, None, correction=int(unbiased))


@lowers("aten.std_mean.default")
def std_mean(ctx: Context, x: Value, unbiased: bool = True) -> list[Value]:
    """std_mean(self, bool unbiased=True) -> as std_mean.correction."""
    return std_mean_correction(ctx, x, None, correction=int(unbiased))


@lowers("aten.var.dim")
def var_dim(
    ctx: Context, x: Value, dim: Dims, unbiased: bool = True, keepdim: bool = False
) -> Value:
    """var.dim(self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> as var.correction."""
    return var_correction(ctx, x, dim, correction=int(unbiased), keepdim=keepdim)


@lowers("aten.std.dim")
def std_dim(
    ctx: Context, x: Value, dim: Dims, unbiased: bool = True, keepdim: bool = False
) -> Value:
    """std.dim(self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> as std.correction."""
    return std_correction(ctx, x, dim, correction=int(unbiased), keepdim=keepdim)


@lowers("aten.var_mean.dim")
def var_mean_dim(
    ctx: Context, x: Value, dim: Dims, unbiased: bool = True, keepdim: bool = False
) -> list[Value]:
    """var_mean.dim(self, int[1]? dim, unbiased=True, keepdim=False) -> as var_mean.correction."""
    return var_mean_correction(ctx, x, dim, correction=int(unbiased), keepdim=keepdim)


@lowers("aten.std_mean.dim")
def std_mean_dim(
    ctx: Context, x: Value, dim: Dims, unbiased: bool = True, keepdim: bool = False
) -> list[Value]:
    """std_mean.dim(self, int[1]? dim, unbiased=True, keepdim=False) -> as std_mean.correction."""
    return std_mean_correction(ctx, x, dim, correction=int(unbiased), keepdim=keepdim)


def _places(ctx: Context, values: Value, sequence: Value, right: bool) -> Value:
    """Count the entries of the last axis of a sorted sequence that lie before each value.

    ``sequence`` has an axis more than ``values``. A NaN is behind every entry.
    """
    values = ctx.reshape(values, (*values.shape, 1))
    # there are no comparisons of 8-bit integers
    common = FLOAT if is_float(values.dtype) or is_float(sequence.dtype) else INTEGER
    behind = ctx.pointwise("GREATER" if right else "GREATER_EQUAL", sequence, values, dtype=common)
    before = ctx.cast(ctx.emit("LOGICAL_NOT", behind), INTEGER)
    return ctx.reduce("SUM", before, [-1])


@lowers("aten.bucketize.Tensor")
def bucketize(
    ctx: Context, x: Value, boundaries: Value, out_int32: bool = False, right: bool = False
) -> Value:
    """bucketize.Tensor(self, boundaries, *, out_int32=False, right=False) -> comparison, SUM.

    Both integer widths of the result are int32 in the file.
    """
    return _places(ctx, x, boundaries, right)


@lowers("aten.searchsorted")
def searchsorted(
    ctx: Context,
    sequence: Value,
    x: Value | Number,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Value | None = None,
) -> Value:
    """searchsorted.Tensor(sorted_sequence, self, *, right, side, sorter) -> comparison, SUM."""
    if not isinstance(x, Value):
        x = ctx.scalar(x, sequence.dtype if isinstance(x, int) else FLOAT)
    if sorter is not None:
        raise unsupported("sorter", "a tensor", "sort the sequence itself")
    if sequence.rank > 1:
        sequence = ctx.reshape(sequence, (*sequence.shape[:-1], 1, sequence.shape[-1]))
    return _places(ctx, x, sequence, right or side == "right")


@lowers("aten.histc")
def histc(
    ctx: Context,
    x: Value,
    bins: int = 100,
    min: Number = 0,  # noqa: A002
    max: Number = 0,  # noqa: A002
) -> Value:
    """histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> FLOOR, EQUAL, SUM."""
    cells = ctx.reshape(x, (product(x.shape),))
    low, high = ctx.scalar(min, FLOAT), ctx.scalar(max, FLOAT)
    if min == max:  # then the numbers themselves say, with room on both sides if all are equal
        low, high = ctx.reduce("REDUCE_MIN", cells, []), ctx.reduce("REDUCE_MAX", cells, [])
        room = ctx.cast(ctx.emit("EQUAL", low, high), FLOAT)
        low, high = ctx.emit("SUB", low, room), ctx.emit("ADD", high, room)
    scaled = ctx.pointwise("MUL", ctx.pointwise("SUB", cells, low), float(bins))
    place = ctx.emit("FLOOR", ctx.pointwise("DIV", scaled, ctx.emit("SUB", high, low)))
    within = ctx.pointwise("MINIMUM", place, float(bins - 1))  # the last bin has its right edge
    outside = ctx.pointwise(
        "LOGICAL_OR", ctx.pointwise("LESS", cells, low), ctx.pointwise("GREATER", cells, high)
    )
    kept = ctx.emit("SELECT_V2", outside, ctx.filled((1,), -1, FLOAT), within)
    numbers = ctx.constant(np.arange(bins, dtype=np.float32)[:, None])
    met = ctx.pointwise("EQUAL", kept, numbers)
    return ctx.reduce("SUM", ctx.cast(met, FLOAT), [1])
