"""Pools with given windows; see ``adaptive_pooling`` for those with a given result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..context import Context, Number
from ..dtypes import is_float
from ..errors import unsupported
from ..ir import Array, Value
from ..sizes import Size, ceil_div, product
from .indexing import calculated, counted
from .scatter import sums_at
from .windows import Window, add_batch, drop_batch, every, lowers_axes, per_axis, slide


@lowers_axes("aten.max_pool{}d")
def max_pool(
    ctx: Context,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
    *,
    axes: int,
) -> Value:
    """max_pool2d(self, kernel_size, stride, padding, dilation, ceil_mode) -> MAX_POOL_2D."""
    batch = add_batch(ctx, x, axes)
    windows = pool_windows(ctx, batch.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    return drop_batch(ctx, max_over(ctx, batch, windows), x, axes)


@lowers_axes("aten.max_pool{}d_with_indices")
def max_pool_with_indices(
    ctx: Context,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
    *,
    axes: int,
) -> list[Value]:
    """max_pool2d_with_indices(self, kernel_size, …) -> MAX_POOL_2D; GATHER, ARG_MAX, GATHER."""
    batch = add_batch(ctx, x, axes)
    windows = pool_windows(ctx, batch.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    sizes = [ctx.static(size, "self") for size in batch.shape[2:]]
    cells = [_cells(window, size) for window, size in zip(windows, sizes, strict=True)]
    results = [max_over(ctx, batch, windows), argmax_over(ctx, batch, cells)]
    best, places = (drop_batch(ctx, each, x, axes) for each in results)
    if all(window.stride >= window.kernel and window.dilation == 1 for window in windows):
        ctx.distinct.add(places)
    return [best, places]


@lowers_axes("aten.max_unpool{}d", axes=(2, 3))
def max_unpool(
    ctx: Context,
    x: Value,
    indices: Value,
    output_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (),
    *,
    axes: int,
) -> Value:
    """max_unpool2d(self, indices, output_size) -> SCATTER_ND, if no place comes twice."""
    del stride, padding  # PyTorch takes the places from the indices alone
    planes, cells = product(x.shape[:-axes]), product(ctx.shape[-axes:])
    count = product(x.shape[-axes:])
    first = calculated(ctx, "MUL", counted(ctx, planes), ctx.size_scalar(cells))
    rows = ctx.emit("ADD", ctx.reshape(indices, (planes, count)), ctx.reshape(first, (planes, 1)))
    rows, numbers = (ctx.reshape(each, (planes * count,)) for each in (rows, x))
    whole = (planes * cells,)
    if indices in ctx.distinct:
        return ctx.reshape(sums_at(ctx, rows, numbers, whole), ctx.shape)
    zeros = ctx.filled(whole, 0, x.dtype)
    return ctx.reshape(ctx.call("aten.index_put", zeros, [rows], numbers), ctx.shape)


@lowers_axes("aten.avg_pool{}d")
def avg_pool(
    ctx: Context,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    axes: int,
) -> Value:
    """avg_pool2d(self, kernel_size, stride, padding, …) -> AVERAGE_POOL_2D, MUL by counts."""
    if not is_float(x.dtype):
        raise unsupported("self", x.dtype, "convert it with .float() first")
    batch = ctx.channels_last(add_batch(ctx, x, axes))
    sizes = batch.shape[1:-1]
    windows = pool_windows(ctx, sizes, kernel_size, stride, padding, (1,), ceil_mode)
    fits = all(each.fits_same(size) for each, size in zip(windows, sizes, strict=True))
    if fits and not count_include_pad and divisor_override is None:
        made = pool(ctx, "AVERAGE_POOL_2D", batch, windows)  # SAME counts no padding
    else:
        pads = [each.pads(size) for each, size in zip(windows, sizes, strict=True)]
        padded = ctx.pad(batch, [(0, 0), *pads, (0, 0)])
        bare = [replace(window, before=0, after=0) for window in windows]
        made = pool(ctx, "AVERAGE_POOL_2D", padded, bare)
        edges = per_axis(padding, axes) if count_include_pad else [0] * axes
        made = _recounted(ctx, made, sizes, windows, edges, divisor_override)
    return drop_batch(ctx, ctx.channels_first(made), x, axes)


def max_over(ctx: Context, x: Value, windows: Sequence[Window]) -> Value:
    """Return the greatest element of each window over ``[N, C, *sizes]``."""
    last = ctx.channels_last(x)
    if is_float(x.dtype) and all(window.dilation == 1 for window in windows):
        made = pool(ctx, "MAX_POOL_2D", last, windows, fill=_lowest(x.dtype))
        return ctx.channels_first(made)
    counts = [each.positions(size) for each, size in zip(windows, last.shape[1:], strict=False)]
    pads = [each.pads(size) for each, size in zip(windows, last.shape[1:], strict=False)]
    last = ctx.pad(last, [(0, 0), *pads, (0, 0)], _lowest(x.dtype))
    for axis, (window, count) in enumerate(zip(windows, counts, strict=True), start=1):
        found: Value | None = None
        for place in range(window.kernel):
            part = every(ctx, last, axis, place * window.dilation, count, window.stride)
            found = part if found is None else ctx.pointwise("MAXIMUM", found, part)
        assert found is not None
        last = found
    return ctx.channels_first(last)


def argmax_over(ctx: Context, x: Value, cells: Sequence[Array]) -> Value:
    """Return where in its plane the greatest element of each window is.

    Args:
        ctx: The context.
        x: Of shape ``[N, C, *sizes]``.
        cells: For each axis the cells of each window, ``[windows, kernel]``. A window with fewer
            repeats its last, which is never the first of equal ones.
    """
    sizes = [ctx.static(size, "self") for size in x.shape[2:]]
    steps = [int(np.prod(sizes[axis + 1 :])) for axis in range(len(sizes))]
    spans = [each.shape for each in cells]
    places = np.zeros((1, 1), np.int32)
    for each, step in zip(cells, steps, strict=True):
        joined = places[:, None, :, None] + (each * step)[None, :, None, :]
        places = joined.reshape(joined.shape[0] * joined.shape[1], -1)
    batch, channels = x.shape[:2]
    flat = ctx.reshape(x, (batch, channels, int(np.prod(sizes))))
    shape = (batch, channels, *places.shape)
    read = ctx.emit(
        "GATHER", flat, ctx.constant(places.astype(np.int32)), shape=shape, axis=2, batch_dims=0
    )
    best = ctx.emit(
        "ARG_MAX", read, ctx.integers([3]), shape=shape[:3], dtype="int32", output_type="INT32"
    )
    # all windows have the same cells, counted from the first, but for those that repeat one
    widest = places - places[:, :1]
    offsets = ctx.constant(widest.max(axis=0).astype(np.int32))
    within = ctx.emit("GATHER", offsets, best, shape=shape[:3], axis=0, batch_dims=0)
    first = ctx.constant(places[:, 0].astype(np.int32).reshape(1, 1, -1))
    index = ctx.pointwise("ADD", within, first)
    return ctx.reshape(index, (batch, channels, *(count for count, _ in spans)))


def pool(ctx: Context, kind: str, x: Value, windows: Sequence[Window], fill: Number = 0) -> Value:
    """Pool ``[N, *sizes, C]``, one to three axes; the depth after the planes."""
    batch, *sizes, channels = x.shape
    if len(windows) == 1:
        flat = ctx.reshape(x, (batch, 1, *sizes, channels))
        made = _pool_plane(ctx, kind, flat, [Window(), *windows], fill)
        return ctx.reshape(made, (batch, made.shape[2], channels))
    if len(windows) == 2:
        return _pool_plane(ctx, kind, x, windows, fill)
    depth, height, width = sizes
    flat = ctx.reshape(x, (batch * depth, height, width, channels))
    planes = _pool_plane(ctx, kind, flat, windows[1:], fill)
    height, width = planes.shape[1:3]
    flat = ctx.reshape(planes, (batch, depth, height * width, channels))
    made = _pool_plane(ctx, kind, flat, [windows[0], Window()], fill)
    return ctx.reshape(made, (batch, made.shape[1], height, width, channels))


def _pool_plane(
    ctx: Context, kind: str, nhwc: Value, windows: Sequence[Window], fill: Number
) -> Value:
    if all(window.kernel == 1 for window in windows):
        # XNNPACK refuses pools of one cell
        for axis, window in enumerate(windows, start=1):
            count = window.positions(nhwc.shape[axis])
            nhwc = every(ctx, nhwc, axis, 0, count, window.stride)
        return nhwc
    return slide(
        ctx,
        kind,
        nhwc,
        windows=windows,
        channels=nhwc.shape[3],
        fill=fill,
        filter_height=windows[0].kernel,
        filter_width=windows[1].kernel,
    )


def pool_windows(
    ctx: Context,
    sizes: Sequence[Size],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> list[Window]:
    """Return the windows of a pool; with ``ceil_mode`` their padding behind is what is read."""
    axes = len(sizes)
    kernels = per_axis(kernel_size, axes)
    windows = []
    for size, kernel, step, pad, apart in zip(
        sizes,
        kernels,
        per_axis(stride, axes) or kernels,
        per_axis(padding, axes),
        per_axis(dilation, axes),
        strict=True,
    ):
        window = Window(kernel=kernel, stride=step, dilation=apart, before=pad, after=pad)
        if ceil_mode and step > 1:
            fixed = ctx.static(size, "ceil_mode")
            count = int(ceil_div(fixed + 2 * pad - window.extent, step)) + 1  # type: ignore[arg-type]
            if (count - 1) * step >= fixed + pad:
                count -= 1  # a window may not begin in the padding behind
            last = (count - 1) * step + window.extent
            window = replace(window, after=max(pad, last - fixed - pad))
        windows.append(window)
    return windows


def _recounted(
    ctx: Context,
    x: Value,
    sizes: Sequence[Size],
    windows: Sequence[Window],
    edges: Sequence[int],
    divisor: int | None,
) -> Value:
    """Averages over whole windows of ``[N, *sizes, C]`` as ones over the cells that count.

    Args:
        ctx: The context.
        x: The averages.
        sizes: Sizes of the pool's input.
        windows: Its windows.
        edges: Cells of padding that count, for each axis.
        divisor: What the sum is divided by, if not by the number of cells.
    """
    kernel = int(np.prod([window.kernel for window in windows]))
    if divisor is not None:
        return x if divisor == kernel else ctx.pointwise("MUL", x, kernel / divisor)
    counts = np.ones((), np.float64)
    for size, window, edge in zip(sizes, windows, edges, strict=True):
        if window.before == window.after == edge:
            along = np.full(1, window.kernel)  # also for a size that changes
        else:
            fixed = ctx.static(size, "count_include_pad")
            first = np.arange(int(window.positions(fixed))) * window.stride - window.before  # type: ignore[arg-type]
            end = np.minimum(first + window.kernel, fixed + edge)
            along = end - np.maximum(first, -edge)
        counts = np.multiply.outer(counts, along)
    if (counts == kernel).all():
        return x
    factors = (kernel / counts).astype(np.float32)
    return ctx.pointwise("MUL", x, ctx.constant(factors[None, ..., None]))


def _cells(window: Window, size: int) -> Array:
    """Cells of each position of a window that exist, the last repeated: ``[positions, kernel]``."""
    rows = []
    for position in range(int(window.positions(size))):  # type: ignore[arg-type]
        first = position * window.stride - window.before
        cells = [first + place * window.dilation for place in range(window.kernel)]
        inside = [cell for cell in cells if 0 <= cell < size]
        rows.append(inside + inside[-1:] * (window.kernel - len(inside)))
    return np.array(rows, np.int64)


def _lowest(dtype: str) -> Number:
    if is_float(dtype):
        return float(np.finfo(np.float32).min)
    return int(np.iinfo(dtype).min)
