"""Deformable convolution: each tap of the kernel reads beside its cell, by a computed offset."""

from __future__ import annotations

import numpy as np

from ..context import Context
from ..dtypes import is_float
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from .grid import read_between
from .linear import fully_connected


@lowers("torchvision.deform_conv2d")
def deform_conv2d(
    ctx: Context,
    x: Value,
    weight: Value,
    offset: Value,
    mask: Value,
    bias: Value,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> Value:
    """deform_conv2d(input, weight, offset, mask, bias, …) -> GATHER, MUL, SUM, FULLY_CONNECTED."""
    if not is_float(x.dtype):
        raise unsupported("input", x.dtype, "convert it with .float() first")
    if weight.data is None:
        raise unsupported("weight", "computed at run time")
    batch, channels = x.shape[0], ctx.static(x.shape[1], "input")
    rows, columns = (ctx.static(size, "offset") for size in ctx.shape[2:])
    kernel = weight.data.shape[2:]
    taps, cells = kernel[0] * kernel[1], rows * columns
    # where the taps are without offsets, x before y: [1, cells * taps, 2]
    along = [
        _places(count, size, stride, pad, dilation)
        for count, size, stride, pad, dilation in (
            (rows, kernel[0], stride_h, pad_h, dilation_h),
            (columns, kernel[1], stride_w, pad_w, dilation_w),
        )
    ]
    y = np.broadcast_to(along[0][:, None, :, None], (rows, columns, *kernel))
    x_ = np.broadcast_to(along[1][None, :, None, :], (rows, columns, *kernel))
    regular = ctx.constant(np.stack([x_, y], axis=-1).reshape(1, 1, -1, 2).astype(np.float32))
    offsets = ctx.reshape(offset, (batch, offset_groups * taps, 2, cells))
    width = channels // offset_groups
    read = []
    for group in range(offset_groups):
        own = ctx.slice(offsets, 1, group * taps, taps)
        turned = ctx.concat([ctx.slice(own, 2, 1, 1), ctx.slice(own, 2, 0, 1)], 2)
        moved = ctx.reshape(ctx.transpose(turned, (0, 3, 1, 2)), (batch, 1, cells * taps, 2))
        part = ctx.slice(x, 1, group * width, width)
        part = read_between(ctx, part, ctx.emit("ADD", moved, regular))
        if use_mask:
            factors = ctx.reshape(mask, (batch, offset_groups * taps, cells))
            factors = ctx.slice(factors, 1, group * taps, taps)
            factors = ctx.reshape(ctx.transpose(factors, (0, 2, 1)), (batch, cells * taps, 1))
            part = ctx.emit("MUL", part, factors)
        read.append(part)
    patches = ctx.reshape(ctx.concat(read, 2), (batch, cells, taps * channels))
    whole = _ungrouped(weight.data, groups).transpose(0, 2, 3, 1)
    made = fully_connected(ctx, patches, ctx.constant(whole.reshape(len(whole), -1)), bias)
    return ctx.channels_first(ctx.reshape(made, (batch, rows, columns, len(whole))))


def _places(count: int, kernel: int, stride: int, pad: int, dilation: int) -> Array:
    """Where along an axis each tap reads for each cell of the result, ``[count, kernel]``."""
    return (np.arange(count) * stride - pad)[:, None] + (np.arange(kernel) * dilation)[None]


def _ungrouped(weight: Array, groups: int) -> Array:
    """``[out, in / groups, height, width]`` with zeros for the channels of the other groups."""
    if groups == 1:
        return weight
    out, inner = weight.shape[:2]
    whole = np.zeros((out, inner * groups, *weight.shape[2:]), weight.dtype)
    each = out // groups
    for group in range(groups):
        own = slice(group * each, (group + 1) * each)
        whole[own, group * inner : (group + 1) * inner] = weight[own]
    return whole
