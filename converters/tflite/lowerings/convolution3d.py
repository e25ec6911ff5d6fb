"""Convolutions of three axes, as ones of two: XNNPACK has none of three.

The sum of one CONV_2D for each slice of the kernel takes half the time of CONV_3D on the layers of
a 3-D ResNet-18 (16×112×112), and never more than one CONV_2D over concatenated slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..context import Context
from ..ir import Array, Value
from ..lowering import lowers
from .convolution import convolve, convolve_live, require_float
from .windows import Window, add_batch, convolution_windows, drop_batch, every


@lowers("aten.conv3d")
def conv3d(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: str | Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """conv3d(input, weight, bias, stride, padding, dilation, groups) -> CONV_2D of slices, ADD."""
    require_float(x)
    kernel = [ctx.static(size, "weight") for size in weight.shape[2:]]
    windows = convolution_windows(kernel, stride, padding, dilation)
    batch = add_batch(ctx, x, 3)
    if weight.data is None:
        made = convolve_live(ctx, batch, weight, bias, windows, groups)
    else:
        ndhwc = ctx.channels_last(batch)
        made = ctx.channels_first(convolve_depth(ctx, ndhwc, weight.data, bias, windows, groups))
    return drop_batch(ctx, made, x, 3)


def convolve_depth(
    ctx: Context,
    ndhwc: Value,
    weight: Array,
    bias: Value | None,
    windows: Sequence[Window],
    groups: int,
) -> Value:
    """Convolve NDHWC with weights of shape ``[out, in / groups, depth, height, width]``."""
    along, *plane = windows
    batch, depth, height, width, channels = ndhwc.shape
    if plane[0].is_trivial and plane[1].is_trivial:
        flat = ctx.reshape(ndhwc, (batch, depth, height * width, channels))
        made = convolve(ctx, flat, weight[..., 0], bias, (along, Window()), groups)
        return ctx.reshape(made, (batch, made.shape[1], height, width, made.shape[3]))
    # the frames of a single clip are a batch already
    frames, axis = (ctx.reshape(ndhwc, ndhwc.shape[1:]), 0) if batch == 1 else (ndhwc, 1)
    pads = [along.pads(depth), (0, 0), (0, 0)]
    sizes = (height, width)
    if not all(each.fits_same(size) for each, size in zip(plane, sizes, strict=True)):
        # once for all slices, not for each
        pads[1:] = [each.pads(size) for each, size in zip(plane, sizes, strict=True)]
        plane = [replace(each, before=0, after=0) for each in plane]
    padded = ctx.pad(frames, [*[(0, 0)] * axis, *pads, (0, 0)])
    positions = along.positions(depth)
    total: Value | None = None
    for place in range(along.kernel):
        cells = every(ctx, padded, axis, place * along.dilation, positions, along.stride)
        flat = ctx.reshape(cells, (batch * positions, *cells.shape[-3:]))
        part = convolve(
            ctx, flat, weight[:, :, place], bias if total is None else None, plane, groups
        )
        total = part if total is None else ctx.pointwise("ADD", total, part)
    assert total is not None
    return ctx.reshape(total, (batch, positions, *total.shape[1:]))
