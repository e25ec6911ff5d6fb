"""Regions of interest: parts of a feature map, sampled to one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..context import Context
from ..dtypes import FLOAT, INTEGER, is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import product

_LEAST = 1e-30  # size of a bin that has no samples anyway


@lowers("torchvision.roi_align")
def roi_align(
    ctx: Context,
    x: Value,
    rois: Value,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Value:
    """roi_align(input, rois, spatial_scale, …) -> GATHER, MUL, SUM; by size BATCH_MATMUL."""
    if not is_float(x.dtype):
        raise unsupported("input", x.dtype, "convert it with .float() first")
    sizes = [ctx.static(size, "input") for size in x.shape[2:]]
    image = ctx.cast(ctx.slice(rois, 1, 0, 1), INTEGER)
    corners = ctx.pointwise("MUL", ctx.slice(rois, 1, 1, 4), spatial_scale)
    if aligned:
        corners = ctx.pointwise("SUB", corners, 0.5)
    axes = []
    for place, (size, bins) in enumerate(
        zip(sizes, (pooled_height, pooled_width), strict=True)
    ):  # a region has x before y
        start, end = (ctx.slice(corners, 1, first - place, 1) for first in (1, 3))
        extent = ctx.emit("SUB", end, start)
        if not aligned:
            extent = ctx.pointwise("MAXIMUM", extent, 1.0)
        step = ctx.pointwise("DIV", extent, float(bins))
        axes.append(_Axis(size=size, bins=bins, start=start, step=step))
    if sampling_ratio > 0:
        return _sampled(ctx, x, image, axes, sampling_ratio)
    return _covered(ctx, x, image, axes)


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """The bins of all regions along one axis.

    Attributes:
        size: Cells of the feature map.
        bins: Bins of a region.
        start: Where each region begins, ``[regions, 1]``.
        step: Size of its bins, ``[regions, 1]``.
    """

    size: int
    bins: int
    start: Value
    step: Value

    def edges(self, ctx: Context) -> Value:
        """Where each bin begins, ``[regions, bins, 1]``."""
        number = ctx.constant(np.arange(self.bins, dtype=np.float32)[None])
        edges = ctx.emit("ADD", self.start, ctx.emit("MUL", self.step, number))
        return ctx.reshape(edges, (*edges.shape, 1))

    def column(self, ctx: Context, value: Value) -> Value:
        """A number for each region, ``[regions, 1, 1]``."""
        return ctx.reshape(value, (self.start.shape[0], 1, 1))


# -- a fixed number of samples ---------------------------------------------------------------


def _sampled(ctx: Context, x: Value, image: Value, axes: list[_Axis], samples: int) -> Value:
    """Read the four cells around each sample, and weigh them, one axis after the other."""
    batch, channels, height, width = x.shape
    flat = ctx.reshape(ctx.channels_last(x), (product((batch, height, width)), channels))
    (rows, row_weights), (columns, column_weights) = (_taps(ctx, axis, samples) for axis in axes)
    count, tall, taps = rows.shape
    wide = columns.shape[1]
    first = ctx.pointwise("MUL", image, int(axes[0].size))
    rows = ctx.pointwise("ADD", ctx.reshape(rows, (count, tall * taps)), first)
    rows = ctx.pointwise("MUL", ctx.reshape(rows, (count, tall * taps, 1)), int(axes[1].size))
    cells = ctx.pointwise("ADD", rows, ctx.reshape(columns, (count, 1, wide * taps)))
    cells = ctx.reshape(cells, (count, tall * taps * wide * taps))
    shape = (count, cells.shape[1], channels)
    read = ctx.emit("GATHER", flat, cells, shape=shape, axis=0, batch_dims=0)
    read = ctx.reshape(read, (count, tall * taps, wide, taps, channels))
    weights = ctx.reshape(column_weights, (count, 1, wide, taps, 1))
    made = ctx.reduce("SUM", ctx.emit("MUL", read, weights), [3])
    made = ctx.reshape(made, (count, tall, taps, wide * channels))
    weights = ctx.reshape(row_weights, (count, tall, taps, 1))
    made = ctx.reduce("SUM", ctx.emit("MUL", made, weights), [2])
    return ctx.channels_first(ctx.reshape(made, (count, tall, wide, channels)))


def _taps(ctx: Context, axis: _Axis, samples: int) -> tuple[Value, Value]:
    """Cells that are read, int32, and their weights: ``[regions, bins, 2 * samples]``."""
    middle = ctx.constant(np.arange(samples, dtype=np.float32)[None, None] + np.float32(0.5))
    within = ctx.emit("MUL", axis.column(ctx, axis.step), middle)
    place = ctx.emit("ADD", axis.edges(ctx), ctx.pointwise("DIV", within, float(samples)))
    inside = ctx.emit(
        "LOGICAL_AND",
        ctx.pointwise("GREATER_EQUAL", place, -1.0),
        ctx.pointwise("LESS_EQUAL", place, float(axis.size)),
    )
    last = float(axis.size - 1)
    place = ctx.pointwise("MINIMUM", ctx.pointwise("MAXIMUM", place, 0.0), last)
    low = ctx.emit("FLOOR", place)
    high = ctx.pointwise("MINIMUM", ctx.pointwise("ADD", low, 1.0), last)
    part = ctx.emit("SUB", place, low)
    weights = ctx.concat([ctx.pointwise("SUB", 1.0, part), part], 2)
    counted = ctx.pointwise("MUL", ctx.cast(inside, FLOAT), 1 / samples)
    weights = ctx.emit("MUL", weights, ctx.concat([counted, counted], 2))
    return ctx.cast(ctx.concat([low, high], 2), INTEGER), weights


# -- as many samples as a bin has cells ------------------------------------------------------


def _covered(ctx: Context, x: Value, image: Value, axes: list[_Axis]) -> Value:
    """Multiply each region's map by the weights of its rows and of its columns."""
    count = image.shape[0]
    if x.shape[0] != 1:
        shape = (count, *x.shape[1:])
        places = ctx.reshape(image, (count,))
        x = ctx.emit("GATHER", x, places, shape=shape, axis=0, batch_dims=0)
    rows, columns = (_cover(ctx, axis) for axis in axes)
    rows = ctx.reshape(rows, (count, 1, *rows.shape[1:]))
    columns = ctx.reshape(columns, (count, 1, *columns.shape[1:]))
    made = ctx.emit("BATCH_MATMUL", rows, x)
    return ctx.emit("BATCH_MATMUL", made, columns, adj_y=True)


def _cover(ctx: Context, axis: _Axis) -> Value:
    """How much each cell weighs in each bin: ``[regions, bins, cells]``.

    Sample s of a bin is at a + s·d. Of ``count`` samples between two cells, the first of number n,
    the second cell gets what these are beyond the first, count·(a + (n + (count - 1)/2)·d - cell),
    and the first cell the rest. However many a bin has, nothing is a loop over them.
    """
    size, edges = axis.size, axis.edges(ctx)
    whole = ctx.emit("CEIL", axis.step)
    samples = axis.column(ctx, ctx.pointwise("MAXIMUM", whole, 0.0))
    divisor = axis.column(ctx, ctx.pointwise("MAXIMUM", whole, 1.0))
    step = axis.column(ctx, ctx.pointwise("MAXIMUM", axis.step, _LEAST))
    apart = ctx.emit("DIV", step, divisor)
    first = ctx.emit("ADD", edges, ctx.pointwise("MUL", apart, 0.5))
    cells = np.arange(-1, size + 1, dtype=np.float32)[None, None]
    near = ctx.emit("ROUND", ctx.emit("DIV", ctx.emit("SUB", ctx.constant(cells), first), apart))
    # the sample next to a cell is placed as PyTorch does: by a hair it is inside of the map or not
    place = ctx.emit("DIV", ctx.emit("MUL", ctx.pointwise("ADD", near, 0.5), step), divisor)
    place = ctx.emit("ADD", edges, place)
    limits = cells.copy()
    limits[..., -1] = np.nextafter(np.float32(size), np.float32(np.inf))
    less = ctx.cast(ctx.emit("LESS", place, ctx.constant(limits)), FLOAT)
    before = ctx.pointwise("MAXIMUM", ctx.emit("ADD", near, less), 0.0)
    before = ctx.emit("MINIMUM", before, samples)
    low, high = (ctx.slice(before, 2, place, size + 1) for place in (0, 1))
    count = ctx.emit("SUB", high, low)
    middle = ctx.pointwise("MUL", ctx.pointwise("SUB", ctx.emit("ADD", low, high), 1.0), 0.5)
    middle = ctx.emit("ADD", first, ctx.emit("MUL", middle, apart))
    beyond = ctx.emit("SUB", middle, ctx.constant(cells[..., :-1]))
    # outside of the map, the outermost cell counts in full
    inner = np.ones((1, 1, size + 1), np.float32)
    inner[..., [0, -1]] = 0
    outer = np.zeros_like(inner)
    outer[..., 0] = 1
    beyond = ctx.emit("ADD", ctx.emit("MUL", beyond, ctx.constant(inner)), ctx.constant(outer))
    second = ctx.emit("DIV", ctx.emit("MUL", count, beyond), divisor)
    rest = ctx.emit("SUB", ctx.emit("DIV", count, divisor), second)
    return ctx.emit("ADD", ctx.slice(rest, 2, 1, size), ctx.slice(second, 2, 0, size))
