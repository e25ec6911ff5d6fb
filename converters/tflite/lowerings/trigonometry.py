"""Circular and hyperbolic functions, their inverses, and conversions of angles.

TFLite has SIN, COS, TANH and ATAN2; the other ones are made of these.
"""

from __future__ import annotations

import math

from .. import approximations as approximate
from ..context import Context
from ..dtypes import FLOAT
from ..ir import Value
from ..lowering import lowers

# π and π/2 in parts that are short enough for their products with, and differences from, float32
# numbers to be exact.
_PI = (3.140625, 0.0009675025939941406, 1.5099579897537296e-07)
_HALF_PI = (1.5703125, 0.000483826794896558)
_SMALL = 1 << 10  # elements up to which a constant is stored rather than filled when it runs


@lowers("aten.sin")
def sin(ctx: Context, x: Value) -> Value:
    """sin(Tensor self) -> SIN."""
    return ctx.emit("SIN", ctx.cast(x, FLOAT))


@lowers("aten.cos")
def cos(ctx: Context, x: Value) -> Value:
    """cos(Tensor self) -> COS."""
    return ctx.emit("COS", ctx.cast(x, FLOAT))


@lowers("aten.tan")
def tan(ctx: Context, x: Value) -> Value:
    """tan(Tensor self) -> SIN(r) / (SIN(π/2 - |r|) - e · SIN(r)) with r + e = x - kπ.

    A COS is exact to the last place of 1, which is nothing near a pole.
    """
    x = ctx.cast(x, FLOAT)
    turns = ctx.emit("ROUND", ctx.pointwise("MUL", x, 1 / math.pi))
    for part in _PI[:2]:
        x = ctx.pointwise("SUB", x, ctx.pointwise("MUL", turns, part))
    last = ctx.pointwise("MUL", turns, _PI[2])
    rest = ctx.pointwise("SUB", x, last)
    rounded_off = ctx.pointwise("SUB", ctx.pointwise("SUB", x, rest), last)
    short = ctx.pointwise("SUB", _HALF_PI[0], ctx.emit("ABS", rest))
    up, across = ctx.emit("SIN", rest), ctx.emit("SIN", ctx.pointwise("ADD", short, _HALF_PI[1]))
    across = ctx.pointwise("SUB", across, ctx.pointwise("MUL", rounded_off, up))
    return ctx.pointwise("DIV", up, across)


@lowers("aten.sinc")
def sinc(ctx: Context, x: Value) -> Value:
    """sinc(Tensor self) -> SIN(a) / a with a = max(|πx|, 1e-20), so that it is 1 at 0."""
    angle = ctx.emit("ABS", ctx.pointwise("MUL", x, math.pi, dtype=FLOAT))
    angle = ctx.pointwise("MAXIMUM", 1e-20, angle)
    return ctx.pointwise("DIV", ctx.emit("SIN", angle), angle)


@lowers("aten.atan2", "aten.arctan2")
def atan2(ctx: Context, y: Value, x: Value) -> Value:
    """atan2(Tensor self, Tensor other) -> ATAN2, whose kernel does not broadcast."""
    pair = [ctx.expand(each, ctx.shape) for each in ctx.promoted(y, x, dtype=FLOAT)]
    return ctx.emit("ATAN2", *pair)


@lowers("aten.atan", "aten.arctan")
def atan(ctx: Context, x: Value) -> Value:
    """atan(Tensor self) -> ATAN2(x, 1)."""
    x = ctx.cast(x, FLOAT)
    if x.is_static and x.elements <= _SMALL:
        ones = ctx.filled(x.shape, 1, FLOAT)
    else:
        one = ctx.scalar(1, FLOAT)
        ones = ctx.emit("FILL", ctx.shape_vector(x.shape), one, shape=x.shape, dtype=FLOAT)
    return ctx.emit("ATAN2", x, ones)


@lowers("aten.asin", "aten.arcsin")
def asin(ctx: Context, x: Value) -> Value:
    """asin(Tensor self) -> ATAN2(x, SQRT((1 - x)(1 + x)))."""
    x = ctx.cast(x, FLOAT)
    return ctx.emit("ATAN2", x, _leg(ctx, x))


@lowers("aten.acos", "aten.arccos")
def acos(ctx: Context, x: Value) -> Value:
    """acos(Tensor self) -> ATAN2(SQRT((1 - x)(1 + x)), x)."""
    x = ctx.cast(x, FLOAT)
    return ctx.emit("ATAN2", _leg(ctx, x), x)


def _leg(ctx: Context, x: Value) -> Value:
    """The other leg of a right triangle with hypotenuse 1, without cancellation near 1."""
    factors = ctx.pointwise("SUB", 1.0, x), ctx.pointwise("ADD", x, 1.0)
    return ctx.emit("SQRT", ctx.pointwise("MUL", *factors))


@lowers("aten.tanh")
def tanh(ctx: Context, x: Value) -> Value:
    """tanh(Tensor self) -> TANH."""
    return ctx.emit("TANH", ctx.cast(x, FLOAT))


@lowers("aten.cosh")
def cosh(ctx: Context, x: Value) -> Value:
    """cosh(Tensor self) -> (EXP(x - 1) + EXP(-x - 1)) · e/2."""
    return approximate.cosh(ctx, ctx.cast(x, FLOAT))


@lowers("aten.sinh")
def sinh(ctx: Context, x: Value) -> Value:
    """sinh(Tensor self) -> TANH(x/2) · (cosh(x) + 1), which is exact near 0 too."""
    x = ctx.cast(x, FLOAT)
    half = ctx.emit("TANH", ctx.pointwise("MUL", x, 0.5))
    return ctx.pointwise("MUL", half, ctx.pointwise("ADD", approximate.cosh(ctx, x), 1.0))


@lowers("aten.asinh", "aten.arcsinh")
def asinh(ctx: Context, x: Value) -> Value:
    """asinh(Tensor self) -> sign(x) · log1p(|x| + |x| / (r + SQRT(r² + 1))) with r = 1/|x|."""
    x = ctx.cast(x, FLOAT)
    size = ctx.emit("ABS", x)
    inverse = ctx.pointwise("DIV", 1.0, size)
    root = ctx.emit("SQRT", ctx.pointwise("ADD", ctx.emit("SQUARE", inverse), 1.0))
    rest = ctx.pointwise("DIV", size, ctx.pointwise("ADD", inverse, root))
    grown = approximate.log1p(ctx, ctx.pointwise("ADD", size, rest))
    return ctx.pointwise("MUL", approximate.sign(ctx, x), grown)


@lowers("aten.acosh", "aten.arccosh")
def acosh(ctx: Context, x: Value) -> Value:
    """acosh(Tensor self) -> log1p(t + SQRT(t) · SQRT(t + 2)) with t = x - 1."""
    above = ctx.pointwise("SUB", x, 1.0, dtype=FLOAT)
    roots = ctx.emit("SQRT", above), ctx.emit("SQRT", ctx.pointwise("ADD", above, 2.0))
    return approximate.log1p(ctx, ctx.pointwise("ADD", above, ctx.pointwise("MUL", *roots)))


@lowers("aten.atanh", "aten.arctanh")
def atanh(ctx: Context, x: Value) -> Value:
    """atanh(Tensor self) -> a polynomial near 0, LOG elsewhere."""
    return approximate.atanh(ctx, ctx.cast(x, FLOAT))


@lowers("aten.deg2rad")
def deg2rad(ctx: Context, x: Value) -> Value:
    """deg2rad(Tensor self) -> MUL."""
    return ctx.pointwise("MUL", x, math.pi / 180, dtype=FLOAT)


@lowers("aten.rad2deg")
def rad2deg(ctx: Context, x: Value) -> Value:
    """rad2deg(Tensor self) -> MUL."""
    return ctx.pointwise("MUL", x, 180 / math.pi, dtype=FLOAT)
