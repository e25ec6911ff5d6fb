"""Sliding blocks as columns, and back."""

from __future__ import annotations

from collections.abc import Sequence

from ..context import Context
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, product
from .windows import (
    Window,
    add_batch,
    convolution_windows,
    crop,
    drop_batch,
    every,
    per_axis,
    spread,
)


@lowers("aten.im2col")
def im2col(
    ctx: Context,
    x: Value,
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """im2col(self, kernel_size, dilation, padding, stride) -> SLICE, CONCATENATION by axes."""
    windows = convolution_windows(per_axis(kernel_size, 2), stride, padding, dilation)
    batched = add_batch(ctx, x, 2)
    batch, channels, *sizes = batched.shape
    pads = [window.pads(size) for window, size in zip(windows, sizes, strict=True)]
    padded = ctx.pad(batched, [(0, 0), (0, 0), *pads])
    height, width = padded.shape[2:]
    rows, columns = (each.positions(size) for each, size in zip(windows, sizes, strict=True))
    if _tiles(windows[0], height) and _tiles(windows[1], width):
        split = (batch * channels, rows, windows[0].kernel, columns, windows[1].kernel)
        made = ctx.transpose(ctx.reshape(padded, split), (0, 2, 4, 1, 3))
    else:
        # along the width first: the slices along the height then hold all of its cells
        planes = ctx.reshape(padded, (batch * channels, 1, height, width))
        stacked = _stack(ctx, planes, 3, windows[1], columns)
        made = _stack(ctx, stacked, 2, windows[0], rows)
    kernel = windows[0].kernel * windows[1].kernel
    flat = ctx.reshape(made, (batch, channels * kernel, rows * columns))
    return drop_batch(ctx, flat, x, 2)


@lowers("aten.col2im")
def col2im(
    ctx: Context,
    x: Value,
    output_size: Sequence[Size],
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """col2im(self, output_size, kernel_size, dilation, …) -> PAD, ADD for each cell, by axes."""
    windows = convolution_windows(per_axis(kernel_size, 2), stride, padding, dilation)
    columns = ctx.with_rank(x, 3)
    counts = [each.positions(size) for each, size in zip(windows, output_size, strict=True)]
    kernels = [window.kernel for window in windows]
    planes = product(ctx.shape[:-2])
    blocks = ctx.reshape(columns, (planes, *kernels, *counts))
    starts = [window.before for window in windows]
    wanted = [size + start for size, start in zip(output_size, starts, strict=True)]
    if all(
        _tiles(window, count * window.kernel) and window.before == 0
        for window, count in zip(windows, counts, strict=True)
    ):
        sizes = [count * kernel for count, kernel in zip(counts, kernels, strict=True)]
        plane = ctx.reshape(ctx.transpose(blocks, (0, 3, 1, 4, 2)), (planes, *sizes))
    else:
        rows = _unstack(ctx, blocks, 2, windows[1])
        plane = _unstack(ctx, rows, 1, windows[0])
    missing = [
        (0, max(ctx.static(end - size, "output_size"), 0))
        for end, size in zip(wanted, plane.shape[1:], strict=True)
    ]
    made = crop(ctx, ctx.pad(plane, [(0, 0), *missing]), 1, starts, output_size)
    return ctx.reshape(made, ctx.shape)


def _tiles(window: Window, size: Size) -> bool:
    """Whether the windows stand side by side and cover everything."""
    side_by_side = window.stride == window.kernel and window.dilation == 1
    return side_by_side and isinstance(size, int) and size % window.kernel == 0


def _stack(ctx: Context, x: Value, axis: int, window: Window, count: Size) -> Value:
    """Slices of ``[planes, cells, height, width]`` for each cell of a window, as more cells."""
    parts = [
        every(ctx, x, axis, place * window.dilation, count, window.stride)
        for place in range(window.kernel)
    ]
    return ctx.concat(parts, 1)


def _unstack(ctx: Context, x: Value, axis: int, window: Window) -> Value:
    """Add up the slices of an axis, one for each cell of a window, where the window reads them.

    That is along the second axis behind it: ``[planes, kh, kw, rows, columns]``, first the last.
    """
    along = axis + 2 if x.rank == 5 else axis + 1
    spaced = spread(ctx, x, along, [window.stride])
    total: Value | None = None
    for place in range(window.kernel):
        part = ctx.slice(spaced, axis, place, 1)
        cells = ctx.reshape(part, (*part.shape[:axis], *part.shape[axis + 1 :]))
        pads = [(0, 0)] * cells.rank
        before = place * window.dilation
        pads[along - 1] = (before, window.extent - 1 - before)
        placed = ctx.pad(cells, pads)
        total = placed if total is None else ctx.pointwise("ADD", total, placed)
    assert total is not None
    return total
