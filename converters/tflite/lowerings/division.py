"""Quotients and remainders."""

from __future__ import annotations

import numpy as np

from ..context import Context, Number
from ..dtypes import is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers


@lowers("aten.div", "aten.divide")
def div(ctx: Context, x: Value, other: Value | Number, rounding_mode: str | None = None) -> Value:
    """div(Tensor self, Tensor other, *, str? rounding_mode) -> DIV, rounded as asked."""
    if rounding_mode == "floor":
        return floor_divide(ctx, x, other)
    if rounding_mode not in (None, "trunc"):
        raise unsupported("rounding_mode", rounding_mode)
    # the integer kernel truncates
    ratio = ctx.pointwise("DIV", x, other, dtype=ctx.dtype)
    return ctx.call("aten.trunc", ratio) if rounding_mode else ratio


@lowers("aten.true_divide")
def true_divide(ctx: Context, x: Value, other: Value | Number) -> Value:
    """true_divide(Tensor self, Tensor other) -> DIV."""
    return ctx.pointwise("DIV", x, other, dtype=ctx.dtype)


@lowers("aten.floor_divide")
def floor_divide(ctx: Context, x: Value, other: Value | Number) -> Value:
    """floor_divide(Tensor self, Tensor other) -> FLOOR_DIV; of floats (x - x mod y) / y."""
    if not is_float(ctx.dtype):
        return ctx.pointwise("FLOOR_DIV", x, other, dtype=ctx.dtype)
    x, y = ctx.promoted(x, other, dtype=ctx.dtype)
    ratio = ctx.pointwise("DIV", x, y)
    if y.data is not None and bool(np.all(np.abs(np.frexp(y.data)[0]) == 0.5)):
        return ctx.emit("FLOOR", ratio)
    # A quotient may round up to an integer that it does not reach, which FLOOR_DIV ignores (it
    # also refuses to divide by zero): 1 // 0.1 is 9, and floor(1 / 0.1) is 10.
    reached = ctx.pointwise("SUB", x, ctx.pointwise("FLOOR_MOD", x, y))
    floored = ctx.emit("ROUND", ctx.pointwise("DIV", reached, y))
    if y.data is not None and bool(np.all(y.data)):
        return floored
    return ctx.emit("SELECT_V2", ctx.pointwise("EQUAL", y, 0.0), ratio, floored)


@lowers("aten.remainder")
def remainder(ctx: Context, x: Value | Number, other: Value | Number) -> Value:
    """remainder(Tensor self, Tensor other) -> FLOOR_MOD: the sign is the divisor's."""
    return ctx.pointwise("FLOOR_MOD", x, other, dtype=ctx.dtype)


@lowers("aten.fmod")
def fmod(ctx: Context, x: Value, other: Value | Number) -> Value:
    """fmod(Tensor self, Tensor other) -> FLOOR_MOD of the sizes: the sign is the dividend's."""
    if not is_float(ctx.dtype):
        x, y = ctx.promoted(x, other, dtype="int32")
        whole = ctx.pointwise("MUL", ctx.pointwise("DIV", x, y), y)
        return ctx.cast(ctx.pointwise("SUB", x, whole), ctx.dtype)
    x, y = ctx.promoted(x, other, dtype=ctx.dtype)
    size = ctx.constant(np.abs(y.data)) if y.data is not None else ctx.emit("ABS", y)
    rest = ctx.pointwise("FLOOR_MOD", ctx.emit("ABS", x), size)
    return ctx.pointwise("MUL", rest, ctx.emit("SIGN", x))


@lowers("aten.reciprocal")
def reciprocal(ctx: Context, x: Value) -> Value:
    """reciprocal(Tensor self) -> DIV(1, x)."""
    return ctx.pointwise("DIV", 1.0, x)
