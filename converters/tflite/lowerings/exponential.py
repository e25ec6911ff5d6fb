"""Exponentials, logarithms, powers and roots."""

from __future__ import annotations

import math

import numpy as np

from .. import approximations as approximate
from ..context import Context, Number
from ..dtypes import FLOAT, INTEGER, is_float
from ..ir import Value
from ..lowering import lowers

_LOWEST = float(np.finfo(np.float32).min)


@lowers("aten.exp")
def exp(ctx: Context, x: Value) -> Value:
    """exp(Tensor self) -> EXP."""
    return ctx.emit("EXP", ctx.cast(x, FLOAT))


@lowers("aten.exp2")
def exp2(ctx: Context, x: Value) -> Value:
    """exp2(Tensor self) -> POW(2, x): the exponent times ln 2 would round, and EXP magnify it."""
    return ctx.pointwise("POW", 2.0, x)


@lowers("aten.expm1")
def expm1(ctx: Context, x: Value) -> Value:
    """expm1(Tensor self) -> TANH(x/2) · (EXP(x) + 1)."""
    return approximate.expm1(ctx, ctx.cast(x, FLOAT))


@lowers("aten.log")
def log(ctx: Context, x: Value) -> Value:
    """log(Tensor self) -> LOG."""
    return ctx.emit("LOG", ctx.cast(x, FLOAT))


@lowers("aten.log2")
def log2(ctx: Context, x: Value) -> Value:
    """log2(Tensor self) -> LOG / ln 2."""
    return ctx.pointwise("MUL", log(ctx, x), 1 / math.log(2))


@lowers("aten.log10")
def log10(ctx: Context, x: Value) -> Value:
    """log10(Tensor self) -> LOG / ln 10."""
    return ctx.pointwise("MUL", log(ctx, x), 1 / math.log(10))


@lowers("aten.log1p")
def log1p(ctx: Context, x: Value) -> Value:
    """log1p(Tensor self) -> a polynomial near 0, LOG elsewhere."""
    return approximate.log1p(ctx, ctx.cast(x, FLOAT))


@lowers("aten.logit")
def logit(ctx: Context, x: Value, eps: float | None = None) -> Value:
    """logit(Tensor self, float? eps=None) -> LOG(x / (1 - x))."""
    x = ctx.cast(x, FLOAT)
    if eps is not None:
        x = ctx.pointwise("MINIMUM", 1 - eps, ctx.pointwise("MAXIMUM", eps, x))
    return ctx.emit("LOG", ctx.pointwise("DIV", x, ctx.pointwise("SUB", 1.0, x)))


@lowers("aten.logaddexp")
def logaddexp(ctx: Context, x: Value, other: Value) -> Value:
    """logaddexp(Tensor self, Tensor other) -> MAXIMUM + log1p(EXP(-|x - y|))."""
    smooth = approximate.log1p_exp(ctx, _distance(ctx, x, other))
    return ctx.pointwise("ADD", ctx.pointwise("MAXIMUM", x, other), smooth)


@lowers("aten.logaddexp2")
def logaddexp2(ctx: Context, x: Value, other: Value) -> Value:
    """logaddexp2(Tensor self, Tensor other) -> MAXIMUM + log1p(EXP(-|x - y| ln 2)) / ln 2."""
    distance = ctx.pointwise("MUL", _distance(ctx, x, other), math.log(2))
    smooth = ctx.pointwise("MUL", approximate.log1p_exp(ctx, distance), 1 / math.log(2))
    return ctx.pointwise("ADD", ctx.pointwise("MAXIMUM", x, other), smooth)


def _distance(ctx: Context, x: Value, other: Value) -> Value:
    """``x - y``, and 0 where both are the logarithm of 0."""
    finite = [ctx.pointwise("MAXIMUM", _LOWEST, each) for each in (x, other)]
    return ctx.pointwise("SUB", *finite)


@lowers("aten.xlogy")
def xlogy(ctx: Context, x: Value | Number, other: Value | Number) -> Value:
    """xlogy(Tensor self, Tensor other) -> MUL(x, LOG(y)), 0 where x is."""
    x, y = ctx.promoted(x, other, dtype=FLOAT)
    if y.data is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            product = ctx.pointwise("MUL", x, ctx.constant(np.log(y.data)))
    else:
        product = ctx.pointwise("MUL", x, ctx.emit("LOG", y))
    if x.data is not None and bool(np.all(x.data)):
        return product
    zero = ctx.with_rank(ctx.scalar(0.0, FLOAT), x.rank)
    return ctx.emit("SELECT_V2", ctx.pointwise("EQUAL", x, 0.0), zero, product)


@lowers("aten.sqrt")
def sqrt(ctx: Context, x: Value) -> Value:
    """sqrt(Tensor self) -> SQRT."""
    return ctx.emit("SQRT", ctx.cast(x, FLOAT))


@lowers("aten.rsqrt")
def rsqrt(ctx: Context, x: Value) -> Value:
    """rsqrt(Tensor self) -> RSQRT of what had an epsilon added to it, else 1 / SQRT."""
    x = ctx.cast(x, FLOAT)
    if _has_epsilon(ctx, x):
        return ctx.emit("RSQRT", x)
    # XNNPACK's RSQRT of 0 is not a number
    return ctx.pointwise("DIV", 1.0, ctx.emit("SQRT", x))


def _has_epsilon(ctx: Context, x: Value) -> bool:
    producer = next((op for op in reversed(ctx.graph.ops) if x in op.outputs), None)
    return (
        producer is not None
        and producer.kind == "ADD"
        and any(
            each is not None and each.data is not None and bool(np.all(each.data > 0))
            for each in producer.inputs
        )
    )


@lowers("aten.square")
def square(ctx: Context, x: Value) -> Value:
    """square(Tensor self) -> SQUARE; of integers MUL."""
    if is_float(ctx.dtype):
        return ctx.emit("SQUARE", ctx.cast(x, FLOAT))
    return ctx.pointwise("MUL", x, x, dtype=ctx.dtype)


@lowers("aten.pow", "aten.float_power")
def power(ctx: Context, base: Value | Number, exponent: Value | Number) -> Value:
    """pow(Tensor self, Tensor exponent) -> SQUARE, SQRT, MUL, DIV where these do, else POW."""
    if isinstance(base, Value):
        number = _number(exponent) if base.shape == ctx.shape else None
        x = ctx.cast(base, ctx.dtype)
        simple = None if number is None else _simple_power(ctx, x, number)
        if simple is not None:
            return simple
    elif float(base) == math.e and isinstance(exponent, Value):
        return exp(ctx, exponent)
    # XNNPACK refuses POW, but EXP(p · LOG(x)) would lose digits, negative bases and NaN
    if is_float(ctx.dtype) or not isinstance(exponent, Value):
        return ctx.pointwise("POW", base, exponent, dtype=ctx.dtype)
    return _integer_power(ctx, base, exponent)


def _integer_power(ctx: Context, base: Value | Number, exponent: Value) -> Value:
    """POW, whose kernel refuses negative exponents: only of 1 and -1 are these powers not 0."""
    x, power = ctx.promoted(base, exponent, dtype=INTEGER)
    if power.data is None or bool((power.data < 0).any()):
        size = ctx.constant(np.abs(x.data)) if x.data is not None else ctx.emit("ABS", x)
        vanishing = ctx.pointwise(
            "LOGICAL_AND", ctx.pointwise("LESS", power, 0), ctx.pointwise("GREATER", size, 1)
        )
        zero = ctx.with_rank(ctx.scalar(0, INTEGER), x.rank)
        x = ctx.emit("SELECT_V2", vanishing, zero, x)
        power = (
            ctx.constant(np.abs(power.data)) if power.data is not None else ctx.emit("ABS", power)
        )
    return ctx.cast(ctx.pointwise("POW", x, power), ctx.dtype)


def _number(exponent: Value | Number) -> Number | None:
    """An exponent that is one number."""
    if not isinstance(exponent, Value):
        return exponent
    if exponent.data is None or exponent.data.size != 1:
        return None
    return exponent.data.item()  # type: ignore[no-any-return]


def _simple_power(ctx: Context, x: Value, exponent: Number) -> Value | None:
    """A power by other operators than POW; ``None`` if there is none."""
    if exponent == 0:
        return ctx.filled(x.shape, 1, x.dtype)
    if exponent == 1:
        return x
    if exponent == 2:
        return square(ctx, x)
    if exponent == 3:
        return ctx.pointwise("MUL", square(ctx, x), x)
    if exponent == 4:
        return square(ctx, square(ctx, x))
    if not is_float(x.dtype):
        return None
    if exponent == 0.5:
        return sqrt(ctx, x)
    if exponent == -0.5:
        return rsqrt(ctx, x)
    if exponent == -1:
        return ctx.pointwise("DIV", 1.0, x)
    return ctx.pointwise("DIV", 1.0, square(ctx, x)) if exponent == -2 else None


@lowers("aten.ldexp")
def ldexp(ctx: Context, x: Value, other: Value) -> Value:
    """ldexp(Tensor self, Tensor other) -> MUL(x, POW(2, y))."""
    factor = ctx.pointwise("POW", 2.0, other, dtype=FLOAT)
    return ctx.pointwise("MUL", x, factor, dtype=FLOAT)


@lowers("aten.hypot")
def hypot(ctx: Context, x: Value, other: Value) -> Value:
    """hypot(Tensor self, Tensor other) -> max · SQRT(1 + (min/max)²), which does not overflow."""
    sizes = [
        ctx.emit("ABS", each) if each.data is None else ctx.constant(np.abs(each.data))
        for each in (x, other)
    ]
    larger, smaller = (ctx.pointwise(kind, *sizes) for kind in ("MAXIMUM", "MINIMUM"))
    safe = ctx.pointwise("MAXIMUM", float(np.finfo(np.float32).tiny), larger)
    ratio = ctx.emit("SQUARE", ctx.pointwise("DIV", smaller, safe))
    return ctx.pointwise("MUL", larger, ctx.emit("SQRT", ctx.pointwise("ADD", ratio, 1.0)))
