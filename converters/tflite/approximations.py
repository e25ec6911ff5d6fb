"""Functions that TFLite has no operator for, from operators that XNNPACK takes.

Each is accurate to a few units in the last place of float32, also where its result is small: the
plain formula (``log(1 + x)``) would lose everything there. The coefficients are minimax fits made
for this file; the errors stated are relative, of the polynomial alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .context import Context
from .ir import Value

# 2·atanh(w)/w in w² on |w| ≤ 1/3: 4e-9
_ATANH = (2.000000008078635, 0.6666631014807656, 0.40025114179967686, 0.2795766785938497,
          0.2819153795326232)  # fmt: skip
# atanh(erf(x))/x in x² on |x| ≤ 3.9, weighted for erf: 1e-7
_ERF = (1.12837927, 0.102769056, -0.000191830753, -0.000619784689, 8.76373361e-05, -5.66847673e-06,
        1.41852275e-07)  # fmt: skip
_ERF_LIMIT = 3.9**2  # erf rounds to 1 beyond
# log(erfc(x)·exp(x²)/t) in t = 1/(1 + x/2) on 0 ≤ x ≤ 9.4: 4e-8
_ERFC = (-1.26542366, 0.998139883, 0.390861926, 0.0144854718, 0.0602310029, -0.190883085,
         -0.563020077, 1.05702132, -0.63862566, 0.137212917)  # fmt: skip

# erfinv(x)/x in -log(1 - x²) up to 16, where float32 ends: numerator and denominator, 1e-8
_ERFINV = (
    (0.8862269520759583, 0.30654260516166687, 0.05958949029445648, 0.0077656167559325695,
     0.0006438930286094546, 2.4311440938618034e-05),
    (1.0, 0.08409726619720459, 0.03218924626708031, 0.0018770721508190036, 0.0001795284333638847,
     1.290759314542811e-06),
)  # fmt: skip


def polynomial(ctx: Context, x: Value, coefficients: Sequence[float]) -> Value:
    """Evaluate a polynomial by Horner's rule; the coefficient of the lowest power comes first."""
    *rest, result = coefficients
    value = ctx.pointwise("MUL", x, float(result))
    for place, coefficient in enumerate(reversed(rest)):
        if place:
            value = ctx.pointwise("MUL", value, x)
        value = ctx.pointwise("ADD", value, float(coefficient))
    return value


def _twice_atanh(ctx: Context, x: Value) -> Value:
    """``2·atanh(x)`` for |x| ≤ 1/3."""
    return ctx.pointwise("MUL", x, polynomial(ctx, ctx.emit("SQUARE", x), _ATANH))


def _clamped(ctx: Context, x: Value, low: float, high: float) -> Value:
    return ctx.pointwise("MINIMUM", high, ctx.pointwise("MAXIMUM", low, x))


def atanh(ctx: Context, x: Value) -> Value:
    """``atanh(x)``: of x clamped to ±1/3, plus the logarithm of what that leaves."""
    near = _clamped(ctx, x, -1 / 3, 1 / 3)
    one_more = [ctx.pointwise("ADD", each, 1.0) for each in (x, near)]
    one_less = [ctx.pointwise("SUB", 1.0, each) for each in (x, near)]
    rest = ctx.pointwise(
        "DIV",
        ctx.pointwise("MUL", one_more[0], one_less[1]),
        ctx.pointwise("MUL", one_less[0], one_more[1]),
    )
    small = ctx.pointwise("MUL", _twice_atanh(ctx, near), 0.5)
    return ctx.pointwise("ADD", small, ctx.pointwise("MUL", ctx.emit("LOG", rest), 0.5))


def log1p_near(ctx: Context, x: Value) -> Value:
    """``log(1 + x)`` for -0.5 ≤ x ≤ 1: 2·atanh(x/(x + 2))."""
    return _twice_atanh(ctx, ctx.pointwise("DIV", x, ctx.pointwise("ADD", x, 2.0)))


def log1p(ctx: Context, x: Value) -> Value:
    """``log(1 + x)``: near 0 as above, plus the logarithm of what that leaves, elsewhere of 1."""
    near = _clamped(ctx, x, -0.5, 1.0)
    rest = ctx.pointwise("DIV", ctx.pointwise("ADD", x, 1.0), ctx.pointwise("ADD", near, 1.0))
    return ctx.pointwise("ADD", log1p_near(ctx, near), ctx.emit("LOG", rest))


def log1p_exp(ctx: Context, x: Value) -> Value:
    """``log(1 + exp(-|x|))``, the smooth part of softplus and of logaddexp."""
    return log1p_near(ctx, ctx.emit("EXP", ctx.emit("NEG", ctx.emit("ABS", x))))


def expm1(ctx: Context, x: Value) -> Value:
    """``exp(x) - 1`` = tanh(x/2)·(exp(x) + 1)."""
    half = ctx.emit("TANH", ctx.pointwise("MUL", x, 0.5))
    return ctx.pointwise("MUL", half, ctx.pointwise("ADD", ctx.emit("EXP", x), 1.0))


def cosh(ctx: Context, x: Value) -> Value:
    """``cosh(x)`` = (exp(x - 1) + exp(-x - 1))·e/2, so that nothing overflows before it does."""
    rising = ctx.emit("EXP", ctx.pointwise("SUB", x, 1.0))
    falling = ctx.emit("EXP", ctx.pointwise("SUB", -1.0, x))
    return ctx.pointwise("MUL", ctx.pointwise("ADD", rising, falling), math.e / 2)


def sign(ctx: Context, x: Value) -> Value:
    """Sign of a float32 tensor, 0 at 0: XNNPACK refuses SIGN.

    It takes two steps, as no one factor lifts the smallest number to 1 without overflow. The clamp
    before keeps them out of the weights of an operator that computes x.
    """
    lifted = ctx.emit("RELU_N1_TO_1", x)
    for factor in (2.0**126, 2.0**24):
        lifted = ctx.emit("RELU_N1_TO_1", ctx.pointwise("MUL", lifted, factor))
    return lifted


def signed_one(ctx: Context, x: Value) -> Value:
    """1 or -1 by the sign bit, which -0 has too: x + 1/x, of size 2 at least, clamped."""
    spread = ctx.pointwise("ADD", x, ctx.pointwise("DIV", 1.0, x))
    return ctx.emit("RELU_N1_TO_1", spread)


def erf(ctx: Context, x: Value) -> Value:
    """``erf(x)`` = tanh(x·P(x²))."""
    square = ctx.pointwise("MINIMUM", _ERF_LIMIT, ctx.emit("SQUARE", x))
    return ctx.emit("TANH", ctx.pointwise("MUL", x, polynomial(ctx, square, _ERF)))


def erfc(ctx: Context, x: Value) -> Value:
    """``1 - erf(x)``, accurate in its tail: (1 - s) + s·erfc(|x|) with s = sign(x)."""
    size = ctx.emit("ABS", x)
    inner = ctx.pointwise("DIV", 1.0, ctx.pointwise("ADD", ctx.pointwise("MUL", size, 0.5), 1.0))
    exponent = ctx.pointwise("SUB", polynomial(ctx, inner, _ERFC), ctx.emit("SQUARE", x))
    tail = ctx.pointwise("MUL", inner, ctx.emit("EXP", exponent))
    side = sign(ctx, x)
    return ctx.pointwise("ADD", ctx.pointwise("SUB", 1.0, side), ctx.pointwise("MUL", side, tail))


def erfinv(ctx: Context, x: Value) -> Value:
    """``erf⁻¹(x)`` = x·P(w)/Q(w) with w = -log(1 - x²), infinite at ±1 and NaN beyond."""
    rest = ctx.pointwise("MUL", ctx.pointwise("SUB", 1.0, x), ctx.pointwise("ADD", x, 1.0))
    w = ctx.emit("NEG", ctx.emit("LOG", rest))
    ratio = ctx.pointwise("DIV", *(polynomial(ctx, w, each) for each in _ERFINV))
    inner = ctx.pointwise("MUL", x, ratio)
    # selected, as LiteRT's own arithmetic makes infinities finite
    for edge in (1.0, -1.0):
        endless = ctx.filled((1,) * x.rank, edge * math.inf, x.dtype)
        inner = ctx.emit("SELECT_V2", ctx.pointwise("EQUAL", x, edge), endless, inner)
    return inner
