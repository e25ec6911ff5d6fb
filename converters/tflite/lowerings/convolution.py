"""Convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size


def _pair(values: int | Sequence[int], count: int) -> list[int]:
    given = [values] if isinstance(values, int) else list(values)
    return given * count if len(given) == 1 else given


def _same_pads(size: Size, kernel: int, stride: int, dilation: int) -> tuple[int, int] | None:
    """Cells that SAME padding adds before and after; ``None`` if the size changes."""
    if not isinstance(size, int):
        return (0, 0) if stride == kernel == 1 else None
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


@lowers("aten.conv2d")
def conv2d(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Value:
    """conv2d(input, weight, bias, stride, padding, dilation, groups) -> (DEPTHWISE_)CONV_2D."""
    if weight.data is None:
        raise unsupported("weight", "computed at run time")
    stride, padding, dilation = _pair(stride, 2), _pair(padding, 2), _pair(dilation, 2)
    out_channels, per_group, *kernel = weight.data.shape
    nhwc = ctx.channels_last(x)
    same = [
        _same_pads(nhwc.shape[1 + axis], kernel[axis], stride[axis], dilation[axis])
        for axis in (0, 1)
    ]
    rule = "SAME" if same == [(pad, pad) for pad in padding] else "VALID"
    if rule == "VALID":
        nhwc = ctx.pad(nhwc, [(0, 0), *((pad, pad) for pad in padding), (0, 0)])
    bias = bias or ctx.constant(np.zeros(out_channels, np.float32))
    options = {
        "padding": rule,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
    }
    in_channels = per_group * groups
    if groups == in_channels and out_channels % in_channels == 0 and groups > 1:
        # OIHW with I = 1 → 1HW(C·M): torch orders the outputs of a channel next to each other too
        depthwise = ctx.constant(weight.data.transpose(1, 2, 3, 0))
        result = ctx.emit(
            "DEPTHWISE_CONV_2D",
            nhwc,
            depthwise,
            bias,
            depth_multiplier=out_channels // in_channels,
            **options,
        )
    else:
        result = ctx.emit(
            "CONV_2D", nhwc, ctx.constant(weight.data.transpose(0, 2, 3, 1)), bias, **options
        )
    return ctx.channels_first(result)
