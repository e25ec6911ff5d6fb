"""Special functions, and those of the sign bit."""

from __future__ import annotations

import math

from .. import approximations as approximate
from ..context import Context, Number
from ..dtypes import FLOAT, is_float
from ..ir import Value
from ..lowering import lowers


@lowers("aten.erf", "aten.special_erf")
def erf(ctx: Context, x: Value) -> Value:
    """erf(Tensor self) -> TANH of a polynomial."""
    return approximate.erf(ctx, ctx.cast(x, FLOAT))


@lowers("aten.erfc", "aten.special_erfc")
def erfc(ctx: Context, x: Value) -> Value:
    """erfc(Tensor self) -> EXP of a polynomial and -x²."""
    return approximate.erfc(ctx, ctx.cast(x, FLOAT))


@lowers("aten.erfinv", "aten.special_erfinv")
def erfinv(ctx: Context, x: Value) -> Value:
    """erfinv(Tensor self) -> a fraction of polynomials in LOG(1 - x²)."""
    return approximate.erfinv(ctx, ctx.cast(x, FLOAT))


@lowers("aten.copysign")
def copysign(ctx: Context, x: Value, other: Value | Number) -> Value:
    """copysign(Tensor self, Tensor other) -> ABS(x) · ±1."""
    size = ctx.emit("ABS", ctx.cast(x, FLOAT))
    signs = ctx.promoted(x, other, dtype=FLOAT)[1]
    return ctx.pointwise("MUL", size, approximate.signed_one(ctx, signs))


@lowers("aten.signbit")
def signbit(ctx: Context, x: Value) -> Value:
    """signbit(Tensor self) -> LESS(x, 0), of floats by ±1 so that -0 has one."""
    return ctx.pointwise("LESS", approximate.signed_one(ctx, x) if is_float(x.dtype) else x, 0)


@lowers("aten.angle")
def angle(ctx: Context, x: Value) -> Value:
    """angle(Tensor self) -> SELECT_V2: pi below 0, NaN of NaN, else 0."""
    x = ctx.cast(x, FLOAT)
    pi, zero = (ctx.filled((1,) * x.rank, number, FLOAT) for number in (math.pi, 0))
    other = ctx.emit("SELECT_V2", ctx.emit("EQUAL", x, x), zero, x)
    return ctx.emit("SELECT_V2", ctx.pointwise("LESS", x, 0.0), pi, other)


@lowers("aten.heaviside")
def heaviside(ctx: Context, x: Value, values: Value) -> Value:
    """heaviside(Tensor self, Tensor values) -> SELECT_V2(x == 0, values, x > 0)."""
    x, values = ctx.promoted(x, values, dtype=ctx.dtype)
    above = ctx.cast(ctx.pointwise("GREATER", x, 0), ctx.dtype)
    return ctx.emit("SELECT_V2", ctx.pointwise("EQUAL", x, 0), values, above)
