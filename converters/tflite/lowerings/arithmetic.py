"""Sums, products and what is made of them."""

from __future__ import annotations

from ..approximations import sign as signs
from ..context import Context, Number
from ..dtypes import is_float
from ..ir import Value
from ..lowering import lowers


@lowers("aten.add")
def add(ctx: Context, x: Value, other: Value | Number, alpha: Number = 1) -> Value:
    """add(Tensor self, Tensor other, *, Scalar alpha=1) -> ADD, with MUL for another alpha."""
    if ctx.dtype == "bool":
        both = [ctx.cast(each, "bool") for each in ctx.promoted(x, other)]
        return ctx.pointwise("LOGICAL_OR", *both) if alpha else both[0]
    return ctx.pointwise("ADD", x, _scaled(ctx, other, alpha), dtype=ctx.dtype)


@lowers("aten.sub", "aten.subtract")
def sub(ctx: Context, x: Value, other: Value | Number, alpha: Number = 1) -> Value:
    """sub(Tensor self, Tensor other, *, Scalar alpha=1) -> SUB, with MUL for another alpha."""
    return ctx.pointwise("SUB", x, _scaled(ctx, other, alpha), dtype=ctx.dtype)


@lowers("aten.rsub")
def rsub(ctx: Context, x: Value, other: Value | Number, alpha: Number = 1) -> Value:
    """rsub(Tensor self, Tensor other, *, Scalar alpha=1) -> SUB with its operands swapped."""
    return ctx.pointwise("SUB", other, _scaled(ctx, x, alpha), dtype=ctx.dtype)


def _scaled(ctx: Context, x: Value | Number, alpha: Number) -> Value | Number:
    if alpha == 1:
        return x
    if isinstance(x, Value):
        return ctx.pointwise("MUL", x, alpha, dtype=ctx.dtype)
    return x * alpha


@lowers("aten.mul", "aten.multiply")
def mul(ctx: Context, x: Value, other: Value | Number) -> Value:
    """mul(Tensor self, Tensor other) -> MUL; of truth values LOGICAL_AND."""
    kind = "LOGICAL_AND" if ctx.dtype == "bool" else "MUL"
    return ctx.pointwise(kind, x, other, dtype=ctx.dtype)


@lowers("aten.addcmul")
def addcmul(ctx: Context, x: Value, left: Value, right: Value, value: Number = 1) -> Value:
    """addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> MUL, ADD."""
    product = ctx.pointwise("MUL", _scaled(ctx, left, value), right, dtype=ctx.dtype)
    return ctx.pointwise("ADD", x, product, dtype=ctx.dtype)


@lowers("aten.addcdiv")
def addcdiv(ctx: Context, x: Value, left: Value, right: Value, value: Number = 1) -> Value:
    """addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> DIV, ADD."""
    ratio = ctx.pointwise("DIV", _scaled(ctx, left, value), right, dtype=ctx.dtype)
    return ctx.pointwise("ADD", x, ratio, dtype=ctx.dtype)


@lowers("aten.lerp")
def lerp(ctx: Context, start: Value, end: Value, weight: Value | Number) -> Value:
    """lerp(Tensor self, Tensor end, Tensor weight) -> MUL, MUL, ADD: exact at both ends."""
    rest = ctx.pointwise("SUB", 1.0, weight) if isinstance(weight, Value) else 1 - weight
    return ctx.pointwise(
        "ADD", ctx.pointwise("MUL", start, rest), ctx.pointwise("MUL", end, weight)
    )


@lowers("aten.neg", "aten.negative")
def neg(ctx: Context, x: Value) -> Value:
    """neg(Tensor self) -> NEG; of 8 bits 0 - x."""
    if x.dtype in ("float32", "int32"):
        return ctx.emit("NEG", x)
    return ctx.pointwise("SUB", 0, x, dtype=ctx.dtype)


@lowers("aten.abs", "aten.absolute")
def absolute(ctx: Context, x: Value) -> Value:
    """abs(Tensor self) -> ABS; of 8 bits the larger of x and -x."""
    if x.dtype in ("float32", "int32"):
        return ctx.emit("ABS", x)
    if x.dtype == "int8":
        return ctx.pointwise("MAXIMUM", x, neg(ctx, x))
    return x


@lowers("aten.sign", "aten.sgn")
def sign(ctx: Context, x: Value) -> Value:
    """sign(Tensor self) -> clamped products; of integers SIGN."""
    if is_float(x.dtype):
        return signs(ctx, x)
    if x.dtype in ("bool", "uint8"):
        return ctx.cast(ctx.cast(x, "bool"), x.dtype)
    return ctx.cast(ctx.emit("SIGN", ctx.cast(x, "int32")), x.dtype)


@lowers("aten.positive")
def positive(ctx: Context, x: Value) -> Value:
    """positive(Tensor(a) self) -> nothing."""
    return x
