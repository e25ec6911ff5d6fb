"""Sliding windows: what convolutions, pools and unfolding share.

Registers no lowering. ``Window`` describes one axis; the functions work on the axes that they are
told, mostly on NHWC.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..context import Context, Number
from ..errors import unsupported
from ..ir import Value
from ..lowering import LoweringFunction, lowers
from ..sizes import Shape, Size, example, is_static, product

F = TypeVar("F", bound=LoweringFunction)


def lowers_axes(*patterns: str, axes: Sequence[int] = (1, 2, 3)) -> Callable[[F], F]:
    """Register a lowering for an operator that exists for one, two and three spatial axes.

    Args:
        patterns: Names with a place for their number: ``"aten.max_pool{}d"``.
        axes: The numbers; the function gets each as the keyword ``axes``.
    """

    def add(function: F) -> F:
        for number in axes:
            bound = functools.update_wrapper(functools.partial(function, axes=number), function)
            lowers(*(pattern.format(number) for pattern in patterns))(bound)
        return function

    return add


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window along one axis.

    Attributes:
        kernel: Cells that it reads.
        stride: Cells between two positions.
        dilation: Cells between two that it reads.
        before: Cells of padding in front.
        after: Cells of padding behind.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def extent(self) -> int:
        """Cells from the first that it reads to the last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def is_trivial(self) -> bool:
        """Whether sliding it changes nothing."""
        return (self.kernel, self.stride, self.before, self.after) == (1, 1, 0, 0)

    def positions(self, size: Size) -> Size:
        """Return how many positions it takes."""
        return (size + (self.before + self.after - self.extent)) // self.stride + 1

    def pads(self, size: Size) -> tuple[int, int]:
        """Return the padding that is read: behind often less than is asked for."""
        if not isinstance(size, int):
            return self.before, self.after
        positions = self.positions(size)
        assert isinstance(positions, int)
        last = (positions - 1) * self.stride + self.extent
        return self.before, max(last - size - self.before, 0)

    def fits_same(self, size: Size) -> bool:
        """Whether TFLite's SAME, which puts the odd cell behind, pads alike."""
        if not isinstance(size, int):
            # only of a stride of 1 the padding is the same for every size
            total = self.extent - 1
            return self.stride == 1 and (self.before, self.after) == (
                total // 2,
                total - total // 2,
            )
        positions = -(-size // self.stride)
        total = max((positions - 1) * self.stride + self.extent - size, 0)
        return self.positions(size) == positions and self.before == total // 2


def per_axis(values: int | Sequence[int], axes: int) -> list[int]:
    """Return one number for each axis, as PyTorch repeats a single one."""
    given = [values] if isinstance(values, int) else list(values)
    return given * axes if len(given) == 1 else given


def convolution_windows(
    kernel: Sequence[int],
    stride: int | Sequence[int],
    padding: str | int | Sequence[int],
    dilation: int | Sequence[int],
) -> list[Window]:
    """Return the windows of a convolution, whose padding may be ``"same"`` or ``"valid"``."""
    axes = len(kernel)
    spread = per_axis(dilation, axes)
    if padding == "same":
        # PyTorch puts the odd cell behind, as TFLite does
        totals = [(size - 1) * each for size, each in zip(kernel, spread, strict=True)]
        pads = [(total // 2, total - total // 2) for total in totals]
    elif isinstance(padding, str):
        if padding != "valid":
            raise unsupported("padding", padding)
        pads = [(0, 0)] * axes
    else:
        pads = [(pad, pad) for pad in per_axis(padding, axes)]
    return [
        Window(kernel=int(size), stride=step, dilation=each, before=before, after=after)
        for size, step, each, (before, after) in zip(
            kernel, per_axis(stride, axes), spread, pads, strict=True
        )
    ]


def slide(
    ctx: Context,
    kind: str,
    x: Value,
    *weights: Value,
    windows: Sequence[Window],
    channels: Size,
    fill: Number = 0,
    **options: Any,
) -> Value:
    """Add an operator that slides windows over the two middle axes of NHWC.

    Its padding is SAME where that is PyTorch's, otherwise an operator of its own in front.

    Args:
        ctx: The context.
        kind: TFLite's builtin name.
        x: What it slides over, in NHWC.
        weights: Its further operands.
        windows: The windows along the height and the width.
        channels: Channels of the result.
        fill: What the padding consists of.
        options: Fields of its options table, without padding and strides.
    """
    rows, columns = windows
    sizes = x.shape[1:3]
    shape = (x.shape[0], rows.positions(sizes[0]), columns.positions(sizes[1]), channels)
    pads = [window.pads(size) for window, size in zip(windows, sizes, strict=True)]
    rule = "VALID"
    if any(map(any, pads)):
        if rows.fits_same(sizes[0]) and columns.fits_same(sizes[1]):
            rule = "SAME"
        else:
            x = ctx.pad(x, [(0, 0), *pads, (0, 0)], fill)
    return ctx.emit(
        kind,
        x,
        *weights,
        shape=shape,
        padding=rule,
        stride_h=rows.stride,
        stride_w=columns.stride,
        **options,
    )


def every(ctx: Context, x: Value, axis: int, start: int, count: Size, step: int) -> Value:
    """Take ``count`` cells along an axis, ``step`` apart.

    Whole steps as an axis of their own keep XNNPACK's partition, which a stride would end.
    """
    axis %= x.rank
    if step == 1 or count == 1:
        return ctx.slice(x, axis, start, count)
    size = x.shape[axis]
    if not isinstance(size, int) or not isinstance(count, int) or x.rank > 5:
        return _strided_slice(ctx, x, axis, start, count, step)
    # the last step may reach beyond the end: then all of them begin earlier, or cells are added
    place = max(start + count * step - size, 0)
    if place > start:
        missing = [(0, 0)] * x.rank
        missing[axis] = (0, place)
        x, place = ctx.pad(x, missing), 0
    steps = ctx.slice(x, axis, start - place, count * step)
    following = x.shape[axis + 1] if axis + 1 < x.rank else None
    if isinstance(following, int):
        # the cells of a step follow one another along the next axis
        joined = (*x.shape[:axis], count, step * following, *x.shape[axis + 2 :])
        return ctx.slice(ctx.reshape(steps, joined), axis + 1, place * following, following)
    split = (*x.shape[:axis], count, step, *x.shape[axis + 1 :])
    cells = ctx.slice(ctx.reshape(steps, split), axis + 1, place, 1)
    return ctx.reshape(cells, (*x.shape[:axis], count, *x.shape[axis + 1 :]))


def _strided_slice(ctx: Context, x: Value, axis: int, start: int, count: Size, step: int) -> Value:
    begin, strides = [0] * x.rank, [1] * x.rank
    begin[axis], strides[axis] = start, step
    end = [1] * x.rank  # masked, but for the axis itself
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    mask = sum(1 << each for each in range(x.rank) if each != axis)
    if isinstance(count, int):
        end[axis] = start + (count - 1) * step + 1
        stop = ctx.integers(end)
    else:
        cells = start + (count - 1) * step + 1
        stop = ctx.shape_vector([*end[:axis], cells, *end[axis + 1 :]])
    return ctx.emit(
        "STRIDED_SLICE",
        x,
        ctx.integers(begin),
        stop,
        ctx.integers(strides),
        shape=shape,
        begin_mask=mask,
        end_mask=mask,
    )


def spread(ctx: Context, x: Value, first: int, steps: Sequence[int]) -> Value:
    """Put ``step - 1`` zeros behind every cell, along neighbouring axes from ``first`` on."""
    if set(steps) == {1}:
        return x
    end = first + len(steps)
    sizes = x.shape[first:end]
    following = (*sizes[1:], product(x.shape[end:]))
    shape = (
        *x.shape[:first],
        *(size * step for size, step in zip(sizes, steps, strict=True)),
        *x.shape[end:],
    )
    pads = [(0, 0), (0, 0)]
    for step, size in zip(steps, following, strict=True):
        if step > 1 and not isinstance(size, int):
            return _spread_changing(ctx, x, first, steps, shape)
        # whole rows of zeros behind each row are zeros between the rows
        pads.append((0, (step - 1) * size if isinstance(size, int) else 0))
    flat = ctx.reshape(x, (product(x.shape[:first]), *sizes, following[-1]))
    return ctx.reshape(ctx.pad(flat, pads), shape)


def _spread_changing(
    ctx: Context, x: Value, first: int, steps: Sequence[int], shape: Shape
) -> Value:
    """``spread`` for sizes that change: axis by axis."""
    for axis, step in enumerate(steps, start=first):
        size, inner = x.shape[axis], product(x.shape[axis + 1 :])
        cells = ctx.reshape(x, (product(x.shape[:axis]), size, 1, inner))
        padded = ctx.pad(cells, [(0, 0), (0, 0), (0, step - 1), (0, 0)])
        x = ctx.reshape(padded, (*shape[: axis + 1], *x.shape[axis + 1 :]))
    return x


def crop(ctx: Context, x: Value, first: int, starts: Sequence[int], sizes: Sequence[Size]) -> Value:
    """Take ``sizes`` cells from ``starts`` on, along neighbouring axes from ``first`` on."""
    end = first + len(starts)
    shape = (*x.shape[:first], *sizes, *x.shape[end:])
    if not is_static(shape):
        for axis, (start, size) in enumerate(zip(starts, sizes, strict=True), start=first):
            x = ctx.slice(x, axis, start, size)
        return x
    if shape == x.shape:
        return x
    begin = [0] * first + list(starts) + [0] * (x.rank - end)
    return ctx.emit(
        "SLICE",
        x,
        ctx.integers(begin),
        ctx.integers([example(size) for size in shape]),
        shape=shape,
    )


def add_batch(ctx: Context, x: Value, axes: int) -> Value:
    """Give an input without a batch, of rank ``axes + 1``, a batch of one."""
    return ctx.with_rank(x, axes + 2)


def drop_batch(ctx: Context, y: Value, x: Value, axes: int) -> Value:
    """Undo ``add_batch`` on a result where the input ``x`` had no batch."""
    return ctx.reshape(y, y.shape[1:]) if x.rank == axes + 1 else y


def to_nhwc(ctx: Context, x: Value) -> Value:
    """Return ``[N, C, L]`` or ``[N, C, H, W]`` as NHWC; a length becomes the width."""
    last = ctx.channels_last(x)
    if last.rank == 4:
        return last
    batch, length, channels = last.shape
    return ctx.reshape(last, (batch, 1, length, channels))


def from_nhwc(ctx: Context, y: Value, axes: int) -> Value:
    """Undo ``to_nhwc`` for a result of one or two axes."""
    if axes == 1:
        y = ctx.reshape(y, (y.shape[0], *y.shape[2:]))
    return ctx.channels_first(y)


def both(windows: Sequence[Window]) -> list[Window]:
    """Return windows along height and width for one or two axes."""
    return [Window()] * (2 - len(windows)) + list(windows)
