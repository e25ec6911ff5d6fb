"""Choosing between elements: by a mask, by bounds, by size.

The kernels of MAXIMUM and MINIMUM give the second operand where one is not a number, so that a
constant bound comes first: NaN then passes, as in PyTorch. Of two computed operands a NaN in the
first one is lost.
"""

from __future__ import annotations

import numpy as np

from ..context import Context, Number
from ..dtypes import FLOAT, is_float, numpy_scalar
from ..ir import Array, Value
from ..lowering import lowers

_LOWEST, _LARGEST = float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)
_FUSED = {(0, 6): "RELU6", (-1, 1): "RELU_N1_TO_1"}


@lowers("aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther", "aten.where.Scalar")
def where(ctx: Context, condition: Value, x: Value | Number, other: Value | Number) -> Value:
    """where(Tensor condition, Tensor self, Tensor other) -> SELECT_V2."""
    x, other = ctx.promoted(x, other, dtype=ctx.dtype)
    rank = len(ctx.shape)
    condition, x, other = (ctx.with_rank(each, rank) for each in (condition, x, other))
    if condition.data is not None:
        for chosen, filler, mask in ((x, other, ~condition.data), (other, x, condition.data)):
            if not mask.any():
                return ctx.expand(chosen, ctx.shape)
            if chosen.data is None and filler.data is not None:
                bounded = _filled_by_bounds(ctx, chosen, mask, filler.data)
                if bounded is not None:
                    return bounded
    return ctx.emit("SELECT_V2", condition, x, other)


def _filled_by_bounds(ctx: Context, x: Value, mask: Array, filler: Array) -> Value | None:
    """Fill where a constant mask is true by raising and lowering the rest by nothing.

    XNNPACK takes it, and refuses SELECT_V2. A NaN stays one under the mask, so that this is not for
    filling with 0, which often replaces NaN; nor for what is filled with a NaN.
    """
    if not is_float(x.dtype) or np.isnan(filler).any() or not filler.all():
        return None
    lower = np.where(mask, filler, np.float32(-np.inf))
    upper = np.where(mask, filler, np.float32(np.inf))
    # nothing lies below the lowest number, nor above the largest, but infinity
    if (lower > _LOWEST).any():
        x = ctx.pointwise("MAXIMUM", ctx.constant(lower), x)
    if (upper < _LARGEST).any():
        x = ctx.pointwise("MINIMUM", ctx.constant(upper), x)
    return ctx.expand(x, ctx.shape)


@lowers("aten.masked_fill")
def masked_fill(ctx: Context, x: Value, mask: Value, value: Value | Number) -> Value:
    """masked_fill(Tensor self, Tensor mask, Scalar value) -> SELECT_V2(mask, value, x)."""
    return where(ctx, mask, value, x)


@lowers("aten.clamp", "aten.clip")
def clamp(
    ctx: Context,
    x: Value,
    min: Value | Number | None = None,  # noqa: A002 - the schema's names
    max: Value | Number | None = None,  # noqa: A002
) -> Value:
    """clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> RELU…, or MAXIMUM, MINIMUM."""
    x = ctx.cast(x, ctx.dtype)
    computed = isinstance(min, Value) or isinstance(max, Value)
    if is_float(x.dtype) and not computed:
        if (min, max) in _FUSED:
            return ctx.emit(_FUSED[min, max], x)  # type: ignore[index]
        if min == 0:  # unlike MAXIMUM, it can be fused into what computes x
            x, min = ctx.emit("RELU", x), None  # noqa: A001
    for kind, bound in (("MAXIMUM", min), ("MINIMUM", max)):
        if bound is not None:
            x = _extreme(ctx, kind, x, _saturated(bound, x.dtype))
    return x


def _saturated(bound: Value | Number, dtype: str) -> Value | Number:
    """A bound within what a type holds: beyond, it bounds nothing."""
    if isinstance(bound, Value) or is_float(dtype):
        return bound
    limits = np.iinfo(dtype)
    return int(np.clip(int(bound), limits.min, limits.max))


@lowers("aten.clamp_min")
def clamp_min(ctx: Context, x: Value, min: Value | Number) -> Value:  # noqa: A002
    """clamp_min(Tensor self, Scalar min) -> RELU or MAXIMUM."""
    return clamp(ctx, x, min)


@lowers("aten.clamp_max")
def clamp_max(ctx: Context, x: Value, max: Value | Number) -> Value:  # noqa: A002
    """clamp_max(Tensor self, Scalar max) -> MINIMUM."""
    return clamp(ctx, x, None, max)


@lowers("aten.maximum")
def maximum(ctx: Context, x: Value, other: Value) -> Value:
    """maximum(Tensor self, Tensor other) -> MAXIMUM; of truth values LOGICAL_OR."""
    return _extreme(ctx, "LOGICAL_OR" if ctx.dtype == "bool" else "MAXIMUM", x, other)


@lowers("aten.minimum")
def minimum(ctx: Context, x: Value, other: Value) -> Value:
    """minimum(Tensor self, Tensor other) -> MINIMUM; of truth values LOGICAL_AND."""
    return _extreme(ctx, "LOGICAL_AND" if ctx.dtype == "bool" else "MINIMUM", x, other)


def _extreme(ctx: Context, kind: str, x: Value, other: Value | Number) -> Value:
    computed = isinstance(other, Value) and other.data is None
    first, second = (x, other) if computed else (other, x)
    return ctx.pointwise(kind, first, second, dtype=ctx.dtype)


@lowers("aten.fmax")
def fmax(ctx: Context, x: Value, other: Value) -> Value:
    """fmax(Tensor self, Tensor other) -> MAXIMUM of what is a number."""
    return _extreme(ctx, "MAXIMUM", *_numbers(ctx, x, other))


@lowers("aten.fmin")
def fmin(ctx: Context, x: Value, other: Value) -> Value:
    """fmin(Tensor self, Tensor other) -> MINIMUM of what is a number."""
    return _extreme(ctx, "MINIMUM", *_numbers(ctx, x, other))


def _numbers(ctx: Context, x: Value, other: Value) -> tuple[Value, Value]:
    """Both operands, each with the other one's elements where its own are not numbers."""
    x, other = ctx.promoted(x, other, dtype=ctx.dtype)
    if not is_float(ctx.dtype):
        return x, other
    missing = ctx.emit("NOT_EQUAL", x, x)
    first = ctx.emit("SELECT_V2", missing, other, x)
    return first, ctx.emit("SELECT_V2", ctx.emit("NOT_EQUAL", other, other), x, other)


@lowers("aten.nan_to_num")
def nan_to_num(
    ctx: Context,
    x: Value,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Value:
    """nan_to_num(Tensor self, float? nan, float? posinf, float? neginf) -> SELECT_V2, bounds."""
    if not is_float(x.dtype):
        return x
    x = _replaced(ctx, ctx.emit("NOT_EQUAL", x, x), nan or 0.0, x)
    for kind, infinity, given in (
        ("MINIMUM", float("inf"), _LARGEST if posinf is None else posinf),
        ("MAXIMUM", float("-inf"), _LOWEST if neginf is None else neginf),
    ):
        if given in (_LARGEST, _LOWEST):
            x = ctx.pointwise(kind, given, x)
        else:
            x = _replaced(ctx, ctx.pointwise("EQUAL", x, infinity), given, x)
    return x


def _replaced(ctx: Context, mask: Value, number: float, x: Value) -> Value:
    filler = ctx.constant(numpy_scalar(number, FLOAT).reshape((1,) * x.rank))
    return ctx.emit("SELECT_V2", mask, filler, x)
