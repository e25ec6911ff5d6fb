"""Normalizations: by running statistics, and by the statistics of the tensor itself.

The scale and the shift are a MUL and an ADD by constants at the end, for passes to fold into the
convolution or the linear layer beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..dtypes import FLOAT
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import Shape, Size
from .statistics import moments

_FLOAT_EPSILON = 1.1920928955078125e-07  # torch.finfo(torch.float32).eps


def _affine(
    ctx: Context, x: Value, weight: Value | None, bias: Value | None, shape: Sequence[Size]
) -> Value:
    """Scale and shift by tensors that are given a shape first."""
    if weight is not None:
        x = ctx.pointwise("MUL", x, ctx.reshape(weight, shape))
    if bias is not None:
        x = ctx.pointwise("ADD", x, ctx.reshape(bias, shape))
    return x


def _per_channel(x: Value) -> Shape:
    """Shape in which a vector lies along axis 1."""
    return (1, x.shape[1], *(1,) * (x.rank - 2))


def _reciprocal(ctx: Context, variance: Value, eps: float) -> Value:
    """1 / sqrt(variance + eps)."""
    return ctx.emit("RSQRT", ctx.pointwise("ADD", variance, eps))


def _standardized(
    ctx: Context, x: Value, axes: Sequence[int], eps: float
) -> tuple[Value, Value, Value]:
    """Bring to mean 0 and variance 1 over axes; also the mean and the reciprocal deviation."""
    centred, mean = moments(ctx, x, list(axes))
    variance = ctx.reduce("MEAN", ctx.emit("SQUARE", centred), axes, keepdim=True)
    reciprocal = _reciprocal(ctx, variance, eps)
    return ctx.pointwise("MUL", centred, reciprocal), mean, reciprocal


# -- batch norm ----------------------------------------------------------------------------------


def _by_constants(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Array,
    variance: Array,
    eps: float,
) -> Value:
    """One MUL and one ADD where the statistics, the scale and the shift are constant."""
    scale = 1 / np.sqrt(variance.astype(np.float64) + eps)
    if weight is not None and weight.data is not None:
        scale = scale * weight.data
    shift = -mean.astype(np.float64) * scale
    if bias is not None and bias.data is not None:
        shift = shift + bias.data
    factor, offset = (ctx.constant(each.astype(np.float32)) for each in (scale, shift))
    return _affine(ctx, x, factor, offset, _per_channel(x))


@lowers("aten.batch_norm")
def batch_norm(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Value:
    """batch_norm(input, weight, bias, running_mean, running_var, …) -> MUL, ADD; folded later.

    Without running statistics those of the batch are taken.
    """
    shape = _per_channel(x)
    if running_mean is None or running_var is None:
        axes = [axis for axis in range(x.rank) if axis != 1]
        return _affine(ctx, _standardized(ctx, x, axes, eps)[0], weight, bias, shape)
    if training:
        raise unsupported("training", training, "call .eval() on the module")
    constant = [each.data is not None for each in (weight, bias, running_mean, running_var) if each]
    if all(constant):
        assert running_mean.data is not None
        assert running_var.data is not None
        return _by_constants(ctx, x, weight, bias, running_mean.data, running_var.data, eps)
    centred = ctx.pointwise("SUB", x, ctx.reshape(running_mean, shape))
    if running_var.data is not None:
        factors = 1 / np.sqrt(running_var.data.astype(np.float64) + eps)
        reciprocal = ctx.constant(factors.astype(np.float32))
    else:
        reciprocal = _reciprocal(ctx, running_var, eps)
    scaled = ctx.pointwise("MUL", centred, ctx.reshape(reciprocal, shape))
    return _affine(ctx, scaled, weight, bias, shape)


@lowers("aten.native_batch_norm", "aten._native_batch_norm_legit")
def native_batch_norm(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> list[Value | None]:
    """native_batch_norm(input, weight, bias, running_mean, running_var, …) -> as batch_norm.

    The statistics are empty unless they are the batch's.
    """
    args = (x, weight, bias, running_mean, running_var, training, momentum, eps)
    normal = batch_norm(ctx, *args)
    if running_mean is not None and running_var is not None:
        return [normal, *[ctx.filled((0,), 0, FLOAT)] * 2]
    axes = [axis for axis in range(x.rank) if axis != 1]
    _, *saved = _standardized(ctx, x, axes, eps)  # dead code unless something reads it
    return [normal, *(ctx.reshape(each, (x.shape[1],)) for each in saved)]


@lowers("aten._native_batch_norm_legit.no_stats")
def native_batch_norm_no_stats(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> list[Value | None]:
    """_native_batch_norm_legit.no_stats(input, weight, bias, …) -> by the batch's statistics."""
    return native_batch_norm(ctx, x, weight, bias, None, None, training, momentum, eps)


@lowers("aten._native_batch_norm_legit_no_training")
def native_batch_norm_no_training(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value,
    running_var: Value,
    momentum: float,
    eps: float,
) -> list[Value | None]:
    """_native_batch_norm_legit_no_training(input, weight, bias, …) -> as batch_norm."""
    return native_batch_norm(ctx, x, weight, bias, running_mean, running_var, False, momentum, eps)


@lowers("aten.instance_norm")
def instance_norm(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    """instance_norm(input, weight, bias, …) -> MEAN, SUB, SQUARE, MEAN, ADD, RSQRT, MUL; affine.

    With ``use_input_stats=False`` it is a batch norm by the running statistics.
    """
    if not use_input_stats:
        args = (weight, bias, running_mean, running_var, False, momentum, eps)
        return batch_norm(ctx, x, *args)
    if running_mean is not None:
        raise unsupported("use_input_stats", True, "call .eval() on the module")
    normal = _standardized(ctx, x, range(2, x.rank), eps)[0]
    return _affine(ctx, normal, weight, bias, _per_channel(x))


# -- norms of the last axes ----------------------------------------------------------------------


@lowers("aten.native_layer_norm")
def native_layer_norm(
    ctx: Context,
    x: Value,
    normalized_shape: Sequence[Size],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> list[Value]:
    """native_layer_norm(input, normalized_shape, weight, …) -> as layer_norm, statistics."""
    axes = range(x.rank - len(normalized_shape), x.rank)
    normal, mean, reciprocal = _standardized(ctx, x, axes, eps)
    return [_affine(ctx, normal, weight, bias, normalized_shape), mean, reciprocal]


@lowers("aten.layer_norm")
def layer_norm(
    ctx: Context,
    x: Value,
    normalized_shape: Sequence[Size],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Value:
    """layer_norm(input, …) -> MEAN, SUB, SQUARE, MEAN, ADD, RSQRT, MUL, affine."""
    return native_layer_norm(ctx, x, normalized_shape, weight, bias, eps)[0]


@lowers("aten._fused_rms_norm")
def fused_rms_norm(
    ctx: Context,
    x: Value,
    normalized_shape: Sequence[Size],
    weight: Value | None,
    eps: float | None,
) -> list[Value]:
    """_fused_rms_norm(input, normalized_shape, weight, eps) -> as rms_norm; the reciprocal."""
    axes = range(x.rank - len(normalized_shape), x.rank)
    power = ctx.reduce("MEAN", ctx.emit("SQUARE", x), axes, keepdim=True)
    reciprocal = _reciprocal(ctx, power, _FLOAT_EPSILON if eps is None else eps)
    scaled = ctx.pointwise("MUL", x, reciprocal)
    return [_affine(ctx, scaled, weight, None, normalized_shape), reciprocal]


@lowers("aten.rms_norm")
def rms_norm(
    ctx: Context,
    x: Value,
    normalized_shape: Sequence[Size],
    weight: Value | None = None,
    eps: float | None = None,
) -> Value:
    """rms_norm(input, normalized_shape, weight=None, eps=None) -> SQUARE, MEAN, ADD, RSQRT, MUL."""
    return fused_rms_norm(ctx, x, normalized_shape, weight, eps)[0]


# -- norms of groups of channels -----------------------------------------------------------------


def _grouped(
    ctx: Context, x: Value, groups: int, weight: Value | None, bias: Value | None, eps: float
) -> list[Value]:
    """The group norm, and the mean and the reciprocal deviation of each group."""
    batch, channels, *spatial = x.shape
    if groups == 1:
        split = x
        axes = range(1, x.rank)
    elif groups == channels and spatial:
        split = x
        axes = range(2, x.rank)
    else:
        split = ctx.reshape(x, (batch, groups, channels // groups, *spatial))
        axes = range(2, split.rank)
    normal, mean, reciprocal = _standardized(ctx, split, axes, eps)
    joined = _affine(ctx, ctx.reshape(normal, x.shape), weight, bias, _per_channel(x))
    return [joined, *(ctx.reshape(each, (batch, groups)) for each in (mean, reciprocal))]


@lowers("aten.group_norm")
def group_norm(
    ctx: Context,
    x: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Value:
    """group_norm(input, int num_groups, …) -> RESHAPE, standardized, RESHAPE; affine."""
    return _grouped(ctx, x, num_groups, weight, bias, eps)[0]


@lowers("aten.native_group_norm")
def native_group_norm(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    batch: Size,
    channels: Size,
    cells: Size,
    group: int,
    eps: float,
) -> list[Value]:
    """native_group_norm(input, weight, bias, N, C, HxW, …) -> as group_norm, statistics."""
    return _grouped(ctx, x, group, weight, bias, eps)
