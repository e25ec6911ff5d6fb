"""Activation functions."""

from __future__ import annotations

import math

import numpy as np

from ..approximations import log1p_exp
from ..context import Context
from ..dtypes import FLOAT, is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946
# Beyond, softplus(x) and x are the same float32: log1p(exp(-x)) < 2⁻²⁴.
_SOFTPLUS_IS_LINEAR = 24 * math.log(2)
_MISH_IS_LINEAR = 20.0  # likewise 1 - tanh(softplus(x)), while exp(2x) is still finite


@lowers("aten.relu")
def relu(ctx: Context, x: Value) -> Value:
    """relu(Tensor self) -> RELU; of integers MAXIMUM."""
    return ctx.emit("RELU", x) if is_float(x.dtype) else ctx.pointwise("MAXIMUM", 0, x)


@lowers("aten.relu6")
def relu6(ctx: Context, x: Value) -> Value:
    """relu6(Tensor self) -> RELU6."""
    return ctx.call("aten.clamp", x, 0, 6)  # type: ignore[no-any-return]


@lowers("aten.hardtanh")
def hardtanh(ctx: Context, x: Value, min_val: float = -1, max_val: float = 1) -> Value:
    """hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> as clamp does."""
    return ctx.call("aten.clamp", x, min_val, max_val)  # type: ignore[no-any-return]


@lowers("aten.hardsigmoid")
def hardsigmoid(ctx: Context, x: Value) -> Value:
    """hardsigmoid(Tensor self) -> RELU6(x + 3) / 6."""
    return ctx.pointwise("MUL", ctx.emit("RELU6", ctx.pointwise("ADD", x, 3.0)), 1 / 6)


@lowers("aten.hardswish")
def hardswish(ctx: Context, x: Value) -> Value:
    """hardswish(Tensor self) -> HARD_SWISH."""
    return ctx.emit("HARD_SWISH", x)


@lowers("aten.sigmoid", "aten.special_expit")
def sigmoid(ctx: Context, x: Value) -> Value:
    """sigmoid(Tensor self) -> LOGISTIC."""
    return ctx.emit("LOGISTIC", ctx.cast(x, FLOAT))


@lowers("aten.silu")
def silu(ctx: Context, x: Value) -> Value:
    """silu(Tensor self) -> MUL(x, LOGISTIC)."""
    return ctx.pointwise("MUL", x, ctx.emit("LOGISTIC", x))


@lowers("aten.mish")
def mish(ctx: Context, x: Value) -> Value:
    """mish(Tensor self) -> x · n / (n + 2) with n = e(e + 2), e = EXP(x): tanh(softplus(x))."""
    grown = ctx.emit("EXP", ctx.pointwise("MINIMUM", _MISH_IS_LINEAR, x))
    part = ctx.pointwise("MUL", grown, ctx.pointwise("ADD", grown, 2.0))
    ratio = ctx.pointwise("DIV", part, ctx.pointwise("ADD", part, 2.0))
    return ctx.pointwise("MUL", x, ratio)


@lowers("aten.gelu")
def gelu(ctx: Context, x: Value, approximate: str = "none") -> Value:
    """gelu(Tensor self, *, str approximate='none') -> GELU."""
    if approximate not in ("none", "tanh"):
        raise unsupported("approximate", approximate)
    return ctx.emit("GELU", x, approximate=approximate == "tanh")


@lowers("aten.elu")
def elu(
    ctx: Context, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1
) -> Value:
    """elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> ELU, RELU."""
    if input_scale < 0:
        raise unsupported("input_scale", input_scale, "ELU is expm1 of negative numbers only")
    if alpha == scale == input_scale == 1:
        return ctx.emit("ELU", x)
    above, below = ctx.emit("RELU", x), ctx.pointwise("MINIMUM", 0.0, x)
    if input_scale != 1:
        below = ctx.pointwise("MUL", below, float(input_scale))
    below = ctx.pointwise("MUL", ctx.emit("ELU", below), float(alpha * scale))
    if scale != 1:
        above = ctx.pointwise("MUL", above, float(scale))
    return ctx.pointwise("ADD", above, below)


@lowers("aten.celu")
def celu(ctx: Context, x: Value, alpha: float = 1.0) -> Value:
    """celu(Tensor self, Scalar alpha=1.0) -> alpha · ELU(x / alpha)."""
    if alpha < 0:
        raise unsupported("alpha", alpha, "ELU is expm1 of negative numbers only")
    if alpha == 1:
        return ctx.emit("ELU", x)
    scaled = ctx.pointwise("MUL", x, 1 / alpha)
    return ctx.pointwise("MUL", ctx.emit("ELU", scaled), float(alpha))


@lowers("aten.selu")
def selu(ctx: Context, x: Value) -> Value:
    """selu(Tensor self) -> ELU, RELU and their factors."""
    return elu(ctx, x, _SELU_ALPHA, _SELU_SCALE)


@lowers("aten.leaky_relu")
def leaky_relu(ctx: Context, x: Value, negative_slope: float = 0.01) -> Value:
    """leaky_relu(Tensor self, Scalar negative_slope=0.01) -> LEAKY_RELU."""
    return ctx.emit("LEAKY_RELU", x, alpha=float(negative_slope))


@lowers("aten.rrelu")
def rrelu(
    ctx: Context,
    x: Value,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: None = None,
) -> Value:
    """rrelu(Tensor self, Scalar lower, Scalar upper, bool training=False) -> LEAKY_RELU."""
    if training:
        raise unsupported("training", training, "call .eval() on the module")
    return leaky_relu(ctx, x, (lower + upper) / 2)


@lowers("aten.rrelu_with_noise_functional")
def rrelu_with_noise_functional(
    ctx: Context,
    x: Value,
    noise: Value,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: None = None,
) -> list[Value]:
    """rrelu_with_noise_functional(self, noise, lower, upper, training) -> LEAKY_RELU, noise."""
    return [rrelu(ctx, x, lower, upper, training), noise]


@lowers("aten.prelu")
def prelu(ctx: Context, x: Value, weight: Value) -> Value:
    """prelu(Tensor self, Tensor weight) -> PRELU, with one number for each channel of axis 1."""
    if weight.elements == 1:
        return _prelu_kernel(ctx, x, ctx.reshape(weight, (1,) * x.rank))
    return _prelu_kernel(ctx, x, ctx.reshape(weight, (1, *weight.shape, *(1,) * (x.rank - 2))))


@lowers("aten._prelu_kernel")
def _prelu_kernel(ctx: Context, x: Value, weight: Value) -> Value:
    """_prelu_kernel(Tensor self, Tensor weight) -> PRELU; RELU, MINIMUM of a computed weight."""
    if weight.data is None:
        below = ctx.pointwise("MUL", ctx.pointwise("MINIMUM", 0.0, x), weight)
        return ctx.pointwise("ADD", ctx.emit("RELU", x), below)
    if weight.data.size == 1:
        return leaky_relu(ctx, x, weight.data.item())
    return ctx.pointwise("PRELU", x, weight)


@lowers("aten.softplus")
def softplus(ctx: Context, x: Value, beta: float = 1, threshold: float = 20) -> Value:
    """softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> RELU + log1p(EXP(-|x|))."""
    scaled = x if beta == 1 else ctx.pointwise("MUL", x, float(beta))
    smooth = ctx.pointwise("ADD", ctx.emit("RELU", scaled), log1p_exp(ctx, scaled))
    if beta != 1:
        smooth = ctx.pointwise("MUL", smooth, 1 / beta)
    if threshold >= _SOFTPLUS_IS_LINEAR:
        return smooth
    return ctx.emit("SELECT_V2", ctx.pointwise("GREATER", scaled, float(threshold)), x, smooth)


@lowers("aten.log_sigmoid")
def log_sigmoid(ctx: Context, x: Value) -> Value:
    """log_sigmoid(Tensor self) -> MINIMUM(0, x) - log1p(EXP(-|x|))."""
    return ctx.pointwise("SUB", ctx.pointwise("MINIMUM", 0.0, x), log1p_exp(ctx, x))


@lowers("aten.log_sigmoid_forward")
def log_sigmoid_forward(ctx: Context, x: Value) -> list[Value]:
    """log_sigmoid_forward(Tensor self) -> (log_sigmoid, what only its gradient reads: EXP)."""
    buffer = ctx.emit("EXP", ctx.emit("NEG", ctx.emit("ABS", x)))
    return [log_sigmoid(ctx, x), buffer]


@lowers("aten.softshrink")
def softshrink(ctx: Context, x: Value, lambd: float = 0.5) -> Value:
    """softshrink(Tensor self, Scalar lambd=0.5) -> x less what of it lies within ±lambd."""
    inner = ctx.pointwise("MAXIMUM", -float(lambd), x)
    return ctx.pointwise("SUB", x, ctx.pointwise("MINIMUM", float(lambd), inner))


@lowers("aten.hardshrink")
def hardshrink(ctx: Context, x: Value, lambd: float = 0.5) -> Value:
    """hardshrink(Tensor self, Scalar lambd=0.5) -> SELECT_V2(|x| <= lambd, 0, x)."""
    inside = ctx.pointwise("LESS_EQUAL", ctx.emit("ABS", x), float(lambd))
    zero = ctx.constant(np.zeros((1,) * x.rank, np.float32))
    return ctx.emit("SELECT_V2", inside, zero, x)


@lowers("aten.threshold")
def threshold_(ctx: Context, x: Value, threshold: float, value: float) -> Value:
    """threshold(Tensor self, Scalar threshold, Scalar value) -> RELU, MAXIMUM or SELECT_V2."""
    if threshold == value:
        return relu(ctx, x) if value == 0 else ctx.pointwise("MAXIMUM", value, x, dtype=x.dtype)
    below = ctx.pointwise("LESS_EQUAL", x, threshold)
    filler = ctx.with_rank(ctx.scalar(value, x.dtype), x.rank)
    return ctx.emit("SELECT_V2", below, filler, x)


@lowers("aten.glu")
def glu(ctx: Context, x: Value, dim: int = -1) -> Value:
    """glu(Tensor self, int dim=-1) -> SPLIT, LOGISTIC, MUL."""
    half = [(ctx.shape, x.dtype)] * 2
    axis = ctx.scalar(dim % x.rank, "int32")
    value, gate = ctx.emit_many("SPLIT", [axis, x], half, num_splits=2)
    return ctx.pointwise("MUL", value, ctx.emit("LOGISTIC", gate))
