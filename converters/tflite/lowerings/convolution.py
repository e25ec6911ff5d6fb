"""Convolutions of one and two axes, and the general form that core ATen has for all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..dtypes import is_float
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import product
from .windows import (
    Window,
    add_batch,
    both,
    convolution_windows,
    drop_batch,
    every,
    from_nhwc,
    slide,
    to_nhwc,
)

_MOST_CELLS = 225  # 15 × 15, about a thousand operators


def convolve(
    ctx: Context,
    nhwc: Value,
    weight: Array,
    bias: Value | None,
    windows: Sequence[Window],
    groups: int,
) -> Value:
    """Convolve NHWC with constant weights.

    Args:
        ctx: The context.
        nhwc: The input.
        weight: PyTorch's weight, of shape ``[out, in / groups, height, width]``.
        bias: One number for each channel of the result.
        windows: The windows along height and width.
        groups: Groups of channels.
    """
    if bias is not None and bias.data is None:
        made = convolve(ctx, nhwc, weight, None, windows, groups)
        return ctx.pointwise("ADD", made, ctx.with_rank(bias, 4))
    channels, per_group = weight.shape[:2]
    bias = bias or ctx.constant(np.zeros(channels, np.float32))
    options = {
        "dilation_h_factor": windows[0].dilation,
        "dilation_w_factor": windows[1].dilation,
    }
    if groups > 1 and per_group == 1:
        # OIHW with I = 1 → 1HW(C·M): torch orders the outputs of a channel next to each other too
        kind, order = "DEPTHWISE_CONV_2D", (1, 2, 3, 0)
        options["depth_multiplier"] = channels // groups
    else:
        kind, order = "CONV_2D", (0, 2, 3, 1)
    kernel = ctx.constant(weight.transpose(order))
    return slide(ctx, kind, nhwc, kernel, bias, windows=windows, channels=channels, **options)


@lowers("aten.conv1d", "aten.conv2d")
def conv2d(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: str | Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """conv2d(input, weight, bias, stride, padding, dilation, groups) -> (DEPTHWISE_)CONV_2D."""
    require_float(x)
    axes = weight.rank - 2
    kernel = [ctx.static(size, "weight") for size in weight.shape[2:]]
    windows = convolution_windows(kernel, stride, padding, dilation)
    batch = add_batch(ctx, x, axes)
    if weight.data is None:
        made = convolve_live(ctx, batch, weight, bias, windows, groups)
        return drop_batch(ctx, made, x, axes)
    flat = weight.data if axes == 2 else weight.data[:, :, None]
    made = convolve(ctx, to_nhwc(ctx, batch), flat, bias, both(windows), groups)
    return drop_batch(ctx, from_nhwc(ctx, made, axes), x, axes)


def require_float(x: Value) -> None:
    """Refuse integers.

    Raises:
        Unsupported: The elements are not floating point numbers.
    """
    if not is_float(x.dtype):
        raise unsupported("input", x.dtype, "convert it with .float() first")


def convolve_live(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    windows: Sequence[Window],
    groups: int,
) -> Value:
    """Convolve ``[N, C, *sizes]`` with weights that are computed.

    One matrix product for each cell of the kernel, which XNNPACK runs: two to eight times as fast
    as CONV_2D with such weights, which it does not run.

    Raises:
        Unsupported: The kernel is so large that the operators would be too many.
    """
    kernel = [window.kernel for window in windows]
    if math.prod(kernel) > _MOST_CELLS:
        raise unsupported(
            "weight",
            f"computed, of size {kernel}",
            f"a computed kernel may have {_MOST_CELLS} cells",
        )
    batch, _, *sizes = x.shape
    counts = [window.positions(size) for window, size in zip(windows, sizes, strict=True)]
    pads = [window.pads(size) for window, size in zip(windows, sizes, strict=True)]
    x = ctx.pad(x, [(0, 0), (0, 0), *pads])
    out = ctx.static(weight.shape[0], "weight")
    per_group = ctx.static(weight.shape[1], "weight")
    total: Value | None = None
    for cell in np.ndindex(*(window.kernel for window in windows)):
        values, factors = x, weight
        for axis, (place, window) in enumerate(zip(cell, windows, strict=True), start=2):
            start = place * window.dilation
            values = every(ctx, values, axis, start, counts[axis - 2], window.stride)
            factors = ctx.slice(factors, axis, place, 1)
        flat = ctx.reshape(values, (batch, groups, per_group, product(counts)))
        matrix = ctx.reshape(factors, (1, groups, out // groups, per_group))
        # of one channel a group, a product of matrices is one of elements
        kind = "MUL" if per_group == 1 else "BATCH_MATMUL"
        part = ctx.emit(kind, matrix, flat)
        total = part if total is None else ctx.pointwise("ADD", total, part)
    assert total is not None
    made = ctx.reshape(total, (batch, out, *counts))
    if bias is None:
        return made
    return ctx.pointwise("ADD", made, ctx.reshape(bias, (1, out, *(1,) * len(sizes))))


@lowers("aten.convolution", "aten._convolution")
def convolution(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    benchmark: bool = False,
    deterministic: bool = False,
    cudnn_enabled: bool = False,
    allow_tf32: bool = False,
) -> Value:
    """convolution(input, weight, bias, …, transposed, …) -> conv1d to 3d or conv_transpose."""
    axes = weight.rank - 2
    made: Value
    if transposed:
        name = f"aten.conv_transpose{axes}d"
        made = ctx.call(name, x, weight, bias, stride, padding, output_padding, groups, dilation)
    else:
        name = f"aten.conv{axes}d"
        made = ctx.call(name, x, weight, bias, stride, padding, dilation, groups)
    return made
