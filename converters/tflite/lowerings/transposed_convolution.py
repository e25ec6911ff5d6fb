"""Transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..context import Context
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import Size
from .convolution import convolve, convolve_live, require_float
from .windows import Window, add_batch, crop, drop_batch, from_nhwc, per_axis, spread, to_nhwc


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What one input cell reaches along one axis of a transposed convolution.

    Attributes:
        kernel: Cells that it adds to.
        stride: Cells between what two neighbours reach first.
        dilation: Cells between two that it adds to.
        cut: Cells cut off in front, and behind but for ``extra``.
        extra: Cells of the result that are not cut off behind, or added.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    cut: int = 0
    extra: int = 0

    @property
    def extent(self) -> int:
        """Cells from the first that an input cell adds to to the last."""
        return (self.kernel - 1) * self.dilation + 1

    def size(self, size: Size) -> Size:
        """Size of the result."""
        return (size - 1) * self.stride + (self.extent + self.extra - 2 * self.cut)

    def fits_same(self, size: Size) -> bool:
        """Whether TFLite's SAME cuts alike."""
        made = self.size(size)
        return isinstance(made, int) and -(-made // self.stride) == size and self.extra == 0

    def window(self) -> Window:
        """The window that gives the same over cells that are spread by the stride."""
        return Window(
            kernel=self.kernel,
            dilation=self.dilation,
            before=self.extent - 1 - self.cut,
            after=self.extent - self.cut + self.extra - self.stride,
        )


@lowers("aten.conv_transpose1d", "aten.conv_transpose2d")
def conv_transpose2d(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Value:
    """conv_transpose2d(input, weight, bias, stride, padding, …) -> TRANSPOSE_CONV, SLICE."""
    require_float(x)
    axes = weight.rank - 2
    reaches = _reaches(weight, stride, padding, output_padding, dilation)
    batch = add_batch(ctx, x, axes)
    if weight.data is None:
        made = _transpose_live(ctx, batch, weight, bias, reaches, groups)
        return drop_batch(ctx, made, x, axes)
    flat = weight.data if axes == 2 else weight.data[:, :, None]
    reaches = [Reach()] * (2 - axes) + reaches
    made = transpose_convolve(ctx, to_nhwc(ctx, batch), flat, bias, reaches, groups)
    return drop_batch(ctx, from_nhwc(ctx, made, axes), x, axes)


@lowers("aten.conv_transpose3d")
def conv_transpose3d(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Value:
    """conv_transpose3d(input, weight, bias, stride, padding, …) -> TRANSPOSE_CONV over slices."""
    require_float(x)
    reaches = _reaches(weight, stride, padding, output_padding, dilation)
    batch = add_batch(ctx, x, 3)
    if weight.data is None:
        made = _transpose_live(ctx, batch, weight, bias, reaches, groups)
    else:
        made = _transpose_depth(ctx, ctx.channels_last(batch), weight.data, reaches, groups)
        if bias is not None:
            made = ctx.pointwise("ADD", made, bias)
        made = ctx.channels_first(made)
    return drop_batch(ctx, made, x, 3)


def transpose_convolve(
    ctx: Context,
    nhwc: Value,
    weight: Array,
    bias: Value | None,
    reaches: Sequence[Reach],
    groups: int,
) -> Value:
    """Convolve NHWC backwards with weights of shape ``[in, out / groups, height, width]``.

    TRANSPOSE_CONV knows neither groups nor dilation, and without a stride it is a convolution.
    """
    if bias is not None and bias.data is None:
        made = transpose_convolve(ctx, nhwc, weight, None, reaches, groups)
        return ctx.pointwise("ADD", made, ctx.with_rank(bias, 4))
    if groups > 1 or any(each.dilation > 1 for each in reaches) or _is_plain(reaches):
        nhwc, windows = _spread(ctx, nhwc, reaches, first=1)
        return convolve(ctx, nhwc, _turned(weight, groups), bias, windows, groups)
    channels = weight.shape[1]
    sizes = [each.size(size) for each, size in zip(reaches, nhwc.shape[1:3], strict=True)]
    same = all(each.fits_same(size) for each, size in zip(reaches, nhwc.shape[1:3], strict=True))
    whole = sizes
    if not same:
        # nothing that an input cell reaches may lie outside; what none reaches is the bias
        whole = [
            size + each.cut + max(each.cut - each.extra, 0)
            for size, each in zip(sizes, reaches, strict=True)
        ]
    shape = (nhwc.shape[0], *whole, channels)
    made = ctx.emit(
        "TRANSPOSE_CONV",
        ctx.shape_vector(shape),
        ctx.constant(weight.transpose(1, 2, 3, 0)),
        nhwc,
        bias or ctx.constant(np.zeros(channels, np.float32)),
        shape=shape,
        dtype=nhwc.dtype,
        padding="SAME" if same else "VALID",
        stride_h=reaches[0].stride,
        stride_w=reaches[1].stride,
    )
    return made if same else crop(ctx, made, 1, [each.cut for each in reaches], sizes)


def _transpose_depth(
    ctx: Context, ndhwc: Value, weight: Array, reaches: Sequence[Reach], groups: int
) -> Value:
    """Convolve NDHWC backwards: planes by TRANSPOSE_CONV, and their sums along the depth.

    Slices of the kernel that meet the same remainder of the result's depth by the stride are added
    up; the remainders are then laid side by side.
    """
    along, *plane = reaches
    batch, depth, height, width, channels = ndhwc.shape
    flat = ctx.reshape(ndhwc, (batch * depth, height, width, channels))
    reached = (along.extent - 1) // along.stride
    wanted = (along.extent + along.extra - along.cut) // along.stride
    blocks = depth + max(reached, wanted)
    sums: list[Value | None] = [None] * along.stride
    for place in range(along.kernel):
        part = transpose_convolve(ctx, flat, weight[:, :, place], None, plane, groups)
        block, phase = divmod(place * along.dilation, along.stride)
        cells = ctx.reshape(part, (batch, depth, *part.shape[1:]))
        behind = max(reached, wanted) - block
        placed = ctx.pad(cells, [(0, 0), (block, behind), (0, 0), (0, 0), (0, 0)])
        before = sums[phase]
        sums[phase] = placed if before is None else ctx.pointwise("ADD", before, placed)
    rest = placed.shape[2:]
    phases = [ctx.filled(placed.shape, 0, ndhwc.dtype) if each is None else each for each in sums]
    rows = [ctx.reshape(each, (batch, blocks, 1, *rest)) for each in phases]
    whole = ctx.reshape(ctx.concat(rows, 2), (batch, blocks * along.stride, *rest))
    return ctx.slice(whole, 1, along.cut, along.size(depth))


def _transpose_live(
    ctx: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    reaches: Sequence[Reach],
    groups: int,
) -> Value:
    """Convolve ``[N, C, *sizes]`` backwards with weights that are computed."""
    inputs, out, *kernel = (ctx.static(size, "weight") for size in weight.shape)
    spatial = range(3, 3 + len(kernel))
    split = ctx.reshape(weight, (groups, inputs // groups, out, *kernel))
    swapped = ctx.transpose(split, (0, 2, 1, *spatial))
    turned = ctx.reshape(swapped, (groups * out, inputs // groups, *kernel))
    for axis in range(2, turned.rank):
        turned = ctx.emit("REVERSE_V2", turned, ctx.integers([axis]))
    x, windows = _spread(ctx, x, reaches, first=2)
    return convolve_live(ctx, x, turned, bias, windows, groups)


def _reaches(
    weight: Value,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
) -> list[Reach]:
    kernel = [int(size) for size in weight.shape[2:] if isinstance(size, int)]
    axes = len(kernel)
    return [
        Reach(kernel=size, stride=step, dilation=apart, cut=cut, extra=extra)
        for size, step, apart, cut, extra in zip(
            kernel,
            *(per_axis(each, axes) for each in (stride, dilation, padding, output_padding)),
            strict=True,
        )
    ]


def _is_plain(reaches: Sequence[Reach]) -> bool:
    return all(each.stride == 1 for each in reaches)


def _spread(
    ctx: Context, x: Value, reaches: Sequence[Reach], first: int
) -> tuple[Value, list[Window]]:
    """Put zeros between cells, and return what then is convolved, with which windows.

    Padding that is negative is cut off.
    """
    x = spread(ctx, x, first, [reach.stride for reach in reaches])
    windows: list[Window] = []
    starts: list[int] = []
    sizes: list[Size] = []
    for axis, reach in enumerate(reaches, start=first):
        window = reach.window()
        starts.append(max(-window.before, 0))
        sizes.append(x.shape[axis] - starts[-1] - max(-window.after, 0))
        windows.append(
            Window(
                kernel=window.kernel,
                dilation=window.dilation,
                before=max(window.before, 0),
                after=max(window.after, 0),
            )
        )
    return crop(ctx, x, first, starts, sizes), windows


def _turned(weight: Array, groups: int) -> Array:
    """``[in, out / groups, …]`` as the weight of the convolution that is its transpose."""
    inputs, out, *kernel = weight.shape
    split = weight.reshape(groups, inputs // groups, out, *kernel).swapaxes(1, 2)
    turned = split.reshape(groups * out, inputs // groups, *kernel)
    return np.flip(turned, axis=tuple(range(2, turned.ndim)))
