"""Comparisons, logic, and operators on bits."""

from __future__ import annotations

import numpy as np

from ..context import Context, Number
from ..dtypes import FLOAT, INTEGER, is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers

_LARGEST = float(np.finfo(np.float32).max)
_BITS = 32


@lowers("aten.eq")
def eq(ctx: Context, x: Value, other: Value | Number) -> Value:
    """eq(Tensor self, Tensor other) -> EQUAL."""
    return ctx.pointwise("EQUAL", x, other)


@lowers("aten.ne")
def ne(ctx: Context, x: Value, other: Value | Number) -> Value:
    """ne(Tensor self, Tensor other) -> NOT_EQUAL."""
    return ctx.pointwise("NOT_EQUAL", x, other)


@lowers("aten.lt")
def lt(ctx: Context, x: Value, other: Value | Number) -> Value:
    """lt(Tensor self, Tensor other) -> LESS."""
    return ctx.pointwise("LESS", x, other)


@lowers("aten.le")
def le(ctx: Context, x: Value, other: Value | Number) -> Value:
    """le(Tensor self, Tensor other) -> LESS_EQUAL."""
    return ctx.pointwise("LESS_EQUAL", x, other)


@lowers("aten.gt")
def gt(ctx: Context, x: Value, other: Value | Number) -> Value:
    """gt(Tensor self, Tensor other) -> GREATER."""
    return ctx.pointwise("GREATER", x, other)


@lowers("aten.ge")
def ge(ctx: Context, x: Value, other: Value | Number) -> Value:
    """ge(Tensor self, Tensor other) -> GREATER_EQUAL."""
    return ctx.pointwise("GREATER_EQUAL", x, other)


@lowers("aten.isclose")
def isclose(
    ctx: Context,
    x: Value,
    other: Value,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Value:
    """isclose(self, other, rtol, atol, equal_nan) -> x == y or |x - y| <= atol + rtol · |y|."""
    equal = ctx.pointwise("EQUAL", x, other)
    x, y = ctx.promoted(x, other, dtype=FLOAT)
    if equal_nan:
        both = [ctx.pointwise("NOT_EQUAL", each, each) for each in (x, y)]
        equal = ctx.pointwise("LOGICAL_OR", equal, ctx.pointwise("LOGICAL_AND", *both))
    allowed = ctx.pointwise("ADD", ctx.emit("ABS", ctx.pointwise("MUL", y, rtol)), atol)
    distance = ctx.emit("ABS", ctx.pointwise("SUB", x, y))
    near = ctx.pointwise("LESS_EQUAL", distance, allowed)
    # the plain kernels put the largest number for infinity
    finite = ctx.pointwise("LESS", distance, _LARGEST)
    return ctx.pointwise("LOGICAL_OR", equal, ctx.pointwise("LOGICAL_AND", near, finite))


@lowers("aten.isnan")
def isnan(ctx: Context, x: Value) -> Value:
    """isnan(Tensor self) -> NOT_EQUAL(x, x)."""
    return ctx.emit("NOT_EQUAL", x, x) if is_float(x.dtype) else _all(ctx, False)


@lowers("aten.isinf")
def isinf(ctx: Context, x: Value) -> Value:
    """isinf(Tensor self) -> EQUAL(ABS(x), inf)."""
    if not is_float(x.dtype):
        return _all(ctx, False)
    return ctx.pointwise("EQUAL", ctx.emit("ABS", x), float("inf"))


@lowers("aten.isfinite")
def isfinite(ctx: Context, x: Value) -> Value:
    """isfinite(Tensor self) -> LESS(ABS(x), inf)."""
    if not is_float(x.dtype):
        return _all(ctx, True)
    return ctx.pointwise("LESS", ctx.emit("ABS", x), float("inf"))


@lowers("aten.isposinf")
def isposinf(ctx: Context, x: Value) -> Value:
    """isposinf(Tensor self) -> EQUAL(x, inf)."""
    return ctx.pointwise("EQUAL", x, float("inf")) if is_float(x.dtype) else _all(ctx, False)


@lowers("aten.isneginf")
def isneginf(ctx: Context, x: Value) -> Value:
    """isneginf(Tensor self) -> EQUAL(x, -inf)."""
    return ctx.pointwise("EQUAL", x, float("-inf")) if is_float(x.dtype) else _all(ctx, False)


def _all(ctx: Context, truth: bool) -> Value:
    return ctx.filled(ctx.shape, truth, "bool")


# -- logic -------------------------------------------------------------------------------------


@lowers("aten.logical_not")
def logical_not(ctx: Context, x: Value) -> Value:
    """logical_not(Tensor self) -> LOGICAL_NOT; of numbers EQUAL to 0."""
    return ctx.emit("LOGICAL_NOT", x) if x.dtype == "bool" else ctx.pointwise("EQUAL", x, 0)


@lowers("aten.logical_and")
def logical_and(ctx: Context, x: Value, other: Value) -> Value:
    """logical_and(Tensor self, Tensor other) -> LOGICAL_AND."""
    return ctx.pointwise("LOGICAL_AND", x, other, dtype="bool")


@lowers("aten.logical_or")
def logical_or(ctx: Context, x: Value, other: Value) -> Value:
    """logical_or(Tensor self, Tensor other) -> LOGICAL_OR."""
    return ctx.pointwise("LOGICAL_OR", x, other, dtype="bool")


@lowers("aten.logical_xor")
def logical_xor(ctx: Context, x: Value, other: Value) -> Value:
    """logical_xor(Tensor self, Tensor other) -> NOT_EQUAL."""
    return ctx.pointwise("NOT_EQUAL", x, other, dtype="bool")


# -- bits --------------------------------------------------------------------------------------


@lowers("aten.bitwise_not")
def bitwise_not(ctx: Context, x: Value) -> Value:
    """bitwise_not(Tensor self) -> LOGICAL_NOT; of integers BITWISE_XOR(x, -1)."""
    if x.dtype == "bool":
        return ctx.emit("LOGICAL_NOT", x)
    ones = np.full((1,) * x.rank, -1).astype(x.dtype)
    return ctx.pointwise("BITWISE_XOR", x, ctx.constant(ones))


@lowers("aten.bitwise_xor", "aten.__xor__", "aten.__ixor__")
def bitwise_xor(ctx: Context, x: Value | Number, other: Value | Number) -> Value:
    """bitwise_xor(Tensor self, Tensor other) -> BITWISE_XOR; of truth values NOT_EQUAL."""
    kind = "NOT_EQUAL" if ctx.dtype == "bool" else "BITWISE_XOR"
    return ctx.pointwise(kind, x, other, dtype=ctx.dtype)


@lowers("aten.bitwise_and", "aten.__and__", "aten.__iand__")
def bitwise_and(ctx: Context, x: Value | Number, other: Value | Number) -> Value:
    """bitwise_and(Tensor self, Tensor other) -> LOGICAL_AND; of integers from XOR and shifts."""
    if ctx.dtype == "bool":
        return ctx.pointwise("LOGICAL_AND", x, other, dtype="bool")
    return ctx.cast(_and(ctx, *ctx.promoted(x, other, dtype=INTEGER)), ctx.dtype)


@lowers("aten.bitwise_or", "aten.__or__", "aten.__ior__")
def bitwise_or(ctx: Context, x: Value | Number, other: Value | Number) -> Value:
    """bitwise_or(Tensor self, Tensor other) -> LOGICAL_OR; of integers XOR + AND."""
    if ctx.dtype == "bool":
        return ctx.pointwise("LOGICAL_OR", x, other, dtype="bool")
    x, y = ctx.promoted(x, other, dtype=INTEGER)
    differing = ctx.pointwise("BITWISE_XOR", x, y)
    return ctx.cast(ctx.pointwise("ADD", differing, _and(ctx, x, y)), ctx.dtype)


def _and(ctx: Context, x: Value, y: Value) -> Value:
    """The bits that two integers share.

    ``x + y = (x ^ y) + 2(x & y)``, and half of it: (x >> 1) + (y >> 1) + (both odd) - (x ^ y >> 1),
    in which nothing overflows.
    """
    (x_half, x_odd), (y_half, y_odd) = _halved(ctx, x), _halved(ctx, y)
    halves = ctx.pointwise("ADD", x_half, y_half)
    total = ctx.pointwise("ADD", halves, ctx.pointwise("MUL", x_odd, y_odd))
    differing, _ = _halved(ctx, ctx.pointwise("BITWISE_XOR", x, y))
    return ctx.pointwise("SUB", total, differing)


def _halved(ctx: Context, x: Value) -> tuple[Value, Value]:
    """All bits but the lowest, and that one."""
    if x.data is not None:
        return ctx.constant(x.data >> 1), ctx.constant(x.data & 1)
    return ctx.pointwise("RIGHT_SHIFT", x, 1), ctx.pointwise("FLOOR_MOD", x, 2)


@lowers("aten.bitwise_left_shift", "aten.__lshift__")
def bitwise_left_shift(ctx: Context, x: Value | Number, other: Value | Number) -> Value:
    """bitwise_left_shift(Tensor self, Tensor other) -> MUL by a power of 2 (POW if live)."""
    places = _places(other)
    if places is None:
        factor = ctx.pointwise("POW", 2, other, dtype=INTEGER)
    else:
        factor = ctx.constant(np.left_shift(1, places).astype(np.int32))
    return ctx.cast(ctx.pointwise("MUL", x, factor, dtype=INTEGER), ctx.dtype)


@lowers("aten.bitwise_right_shift", "aten.__rshift__")
def bitwise_right_shift(ctx: Context, x: Value | Number, other: Value | Number) -> Value:
    """bitwise_right_shift(Tensor self, Tensor other) -> RIGHT_SHIFT."""
    _places(other)
    return ctx.cast(ctx.pointwise("RIGHT_SHIFT", x, other, dtype=INTEGER), ctx.dtype)


def _places(other: Value | Number) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None:
    """By how many bits to shift; ``None`` if that is computed."""
    data = other.data if isinstance(other, Value) else np.asarray(other)
    if data is not None and bool(np.any((data < 0) | (data >= _BITS))):
        raise unsupported("other", data.tolist(), "integers have 32 bits in TFLite")
    return None if data is None else data.astype(np.int64)
