"""Pools whose result has a given size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..context import Context
from ..dtypes import is_float
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import Size
from .contraction import contract
from .pooling import argmax_over, max_over, pool
from .windows import Window, add_batch, drop_batch, lowers_axes


@lowers("aten._adaptive_avg_pool2d")
def core_adaptive_avg_pool2d(ctx: Context, x: Value, output_size: Sequence[Size]) -> Value:
    """_adaptive_avg_pool2d(self, output_size) -> adaptive_avg_pool2d."""
    return adaptive_avg_pool(ctx, x, output_size, axes=2)


@lowers("aten._adaptive_avg_pool3d")
def core_adaptive_avg_pool3d(ctx: Context, x: Value, output_size: Sequence[Size]) -> Value:
    """_adaptive_avg_pool3d(self, output_size) -> adaptive_avg_pool3d."""
    return adaptive_avg_pool(ctx, x, output_size, axes=3)


@lowers_axes("aten.adaptive_avg_pool{}d")
def adaptive_avg_pool(ctx: Context, x: Value, output_size: Sequence[Size], *, axes: int) -> Value:
    """adaptive_avg_pool2d(self, output_size) -> MEAN, AVERAGE_POOL_2D or BATCH_MATMUL."""
    if not is_float(x.dtype):
        raise unsupported("self", x.dtype, "convert it with .float() first")
    targets = _targets(output_size, axes)
    if targets == [1] * axes:
        return ctx.reduce("MEAN", x, range(-axes, 0), keepdim=True)
    last = ctx.channels_last(add_batch(ctx, x, axes))
    sizes = last.shape[1:-1]
    windows = [_even_window(ctx, size, out) for size, out in zip(sizes, targets, strict=True)]
    even = [window or Window() for window in windows]
    last = pool(ctx, "AVERAGE_POOL_2D", last, even)
    for axis, (window, size, out) in enumerate(zip(windows, sizes, targets, strict=True), start=1):
        if window is None:
            last = contract(ctx, last, axis, _means(int(size), int(out)))  # type: ignore[arg-type]
    return drop_batch(ctx, ctx.channels_first(last), x, axes)


@lowers_axes("aten.adaptive_max_pool{}d")
def adaptive_max_pool(
    ctx: Context, x: Value, output_size: Sequence[int], *, axes: int
) -> list[Value]:
    """adaptive_max_pool2d(self, output_size) -> MAX_POOL_2D or SLICE, REDUCE_MAX; ARG_MAX."""
    targets = _targets(output_size, axes)
    batch = add_batch(ctx, x, axes)
    sizes = [ctx.static(size, "self") for size in batch.shape[2:]]
    spans = [_spans(size, int(out)) for size, out in zip(sizes, targets, strict=True)]  # type: ignore[arg-type]
    windows = [_even_window(ctx, size, out) for size, out in zip(sizes, targets, strict=True)]
    made = max_over(ctx, batch, [window or Window() for window in windows])
    for axis, (window, span) in enumerate(zip(windows, spans, strict=True), start=2):
        if window is None:
            parts = [
                ctx.reduce("REDUCE_MAX", ctx.slice(made, axis, start, end - start), [axis], True)
                for start, end in span
            ]
            made = ctx.concat(parts, axis)
    indices = argmax_over(ctx, batch, [_cells(span) for span in spans])
    return [drop_batch(ctx, each, x, axes) for each in (made, indices)]


def _targets(output_size: Sequence[Size], axes: int) -> list[Size]:
    given = list(output_size)
    return given * axes if len(given) == 1 else given


def _spans(size: int, out: int) -> list[tuple[int, int]]:
    """First cell of each window, and the one behind its last."""
    return [(index * size // out, -(-(index + 1) * size // out)) for index in range(out)]


def _even_window(ctx: Context, size: Size, out: Size) -> Window | None:
    """The window that an axis is pooled with, if all of them have one size and distance."""
    if size == out:
        return Window()
    spans = _spans(ctx.static(size, "self"), ctx.static(out, "output_size"))
    kernels = {end - start for start, end in spans}
    strides = {after - start for (start, _), (after, _) in pairwise(spans)}
    if len(kernels) > 1 or len(strides) > 1:
        return None
    return Window(kernel=kernels.pop(), stride=strides.pop() if strides else 1)


def _means(size: int, out: int) -> Array:
    matrix = np.zeros((out, size))
    for row, (start, end) in zip(matrix, _spans(size, out), strict=True):
        row[start:end] = 1 / (end - start)
    return matrix


def _cells(spans: Sequence[tuple[int, int]]) -> Array:
    """Cells of each window, the last one repeated in windows that are smaller."""
    kernel = max(end - start for start, end in spans)
    return np.array(
        [[min(start + place, end - 1) for place in range(kernel)] for start, end in spans]
    )
