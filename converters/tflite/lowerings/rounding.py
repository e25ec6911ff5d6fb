"""Rounding to integers; of integers nothing is left to do."""

from __future__ import annotations

from ..context import Context
from ..dtypes import is_float
from ..ir import Value
from ..lowering import lowers


@lowers("aten.floor")
def floor(ctx: Context, x: Value) -> Value:
    """floor(Tensor self) -> FLOOR."""
    return ctx.emit("FLOOR", x) if is_float(x.dtype) else x


@lowers("aten.ceil")
def ceil(ctx: Context, x: Value) -> Value:
    """ceil(Tensor self) -> CEIL."""
    return ctx.emit("CEIL", x) if is_float(x.dtype) else x


@lowers("aten.round")
def round_(ctx: Context, x: Value, decimals: int = 0) -> Value:
    """round(Tensor self, *, int decimals=0) -> ROUND, which also rounds halves to even."""
    if not is_float(x.dtype):
        return x
    if not decimals:
        return ctx.emit("ROUND", x)
    # multiply or divide by a positive power of ten, as PyTorch does: a negative one is not exact
    scale = 10.0 ** abs(decimals)
    there, back = ("MUL", "DIV") if decimals > 0 else ("DIV", "MUL")
    return ctx.pointwise(back, ctx.emit("ROUND", ctx.pointwise(there, x, scale)), scale)


@lowers("aten.trunc", "aten.fix")
def trunc(ctx: Context, x: Value) -> Value:
    """trunc(Tensor self) -> MAXIMUM(FLOOR(x), MINIMUM(0, CEIL(x)))."""
    if not is_float(x.dtype):
        return x
    below = ctx.pointwise("MINIMUM", 0.0, ctx.emit("CEIL", x))
    return ctx.pointwise("MAXIMUM", ctx.emit("FLOOR", x), below)


@lowers("aten.frac")
def frac(ctx: Context, x: Value) -> Value:
    """frac(Tensor self) -> x - trunc(x)."""
    return ctx.pointwise("SUB", x, trunc(ctx, x))
