"""Sampling at computed places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..context import Context
from ..dtypes import is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, product

_BILINEAR, _NEAREST, _BICUBIC = 0, 1, 2
_ZEROS, _BORDER, _REFLECTION = 0, 1, 2
_CUBIC = -0.75  # PyTorch's coefficient of cubic convolution
_EXACT = 1 << 24  # integers up to this are exact in float32


@lowers("aten.grid_sampler", "aten.grid_sampler_2d", "aten.grid_sampler_3d")
def grid_sampler(
    ctx: Context,
    x: Value,
    grid: Value,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> Value:
    """grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners) -> GATHER, …."""
    if not is_float(x.dtype):
        raise unsupported("input", x.dtype, "convert it with .float() first")
    batch, channels = x.shape[:2]
    sizes = [ctx.static(size, "input") for size in x.shape[2:]]
    outs = grid.shape[1:-1]
    points = ctx.reshape(grid, (batch, 1, product(outs), len(sizes)))
    last = ctx.channels_last(x)
    shift = 0
    if padding_mode == _ZEROS:
        # one cell of zeros around stands for everything outside
        last, shift = ctx.pad(last, [(0, 0), *[(1, 1)] * len(sizes), (0, 0)]), 1
    if int(np.prod([size + 2 for size in sizes])) > _EXACT:
        raise unsupported("input", sizes, f"with padding it may have at most {_EXACT} cells")
    # the grid's first coordinate is along the last axis
    rule = _Rule(sizes=sizes[::-1], padding=padding_mode, align_corners=align_corners)
    cells, weights = _taps(ctx, points, rule, interpolation_mode)
    if shift:
        cells = ctx.pointwise("ADD", cells, float(shift))
    sampled = _sample(ctx, last, cells, weights)
    return ctx.channels_first(ctx.reshape(sampled, (batch, *outs, channels)))


@lowers("aten.affine_grid_generator")
def affine_grid_generator(
    ctx: Context, theta: Value, size: Sequence[Size], align_corners: bool
) -> Value:
    """affine_grid_generator(theta, size, align_corners) -> BATCH_MATMUL with a constant grid."""
    sizes = [ctx.static(each, "size") for each in size[2:]]
    axes = [
        np.linspace(-1, 1, each) * (1 if align_corners else (each - 1) / each)
        if each > 1
        else np.zeros(1)
        for each in sizes
    ]
    places = np.meshgrid(*axes, indexing="ij")[::-1]
    base = np.stack([*places, np.ones(sizes)], axis=-1).reshape(1, -1, len(sizes) + 1)
    made = ctx.emit("BATCH_MATMUL", ctx.constant(base, "float32"), theta, adj_y=True)
    return ctx.reshape(made, ctx.shape)


def read_between(ctx: Context, x: Value, place: Value) -> Value:
    """Read between cells, of which those outside are zero.

    Args:
        ctx: The context.
        x: Of shape ``[N, C, height, width]``.
        place: Where, counted in cells, x before y: ``[N, 1, points, 2]``.

    Returns:
        ``[N, points, C]``.
    """
    sizes = [ctx.static(size, "input") for size in x.shape[2:]]
    rule = _Rule(sizes=sizes[::-1], padding=_ZEROS, align_corners=False)
    cells, weights = _bilinear(ctx, rule.inside(ctx, place), rule)
    last = ctx.pad(ctx.channels_last(x), [(0, 0), (1, 1), (1, 1), (0, 0)])
    return _sample(ctx, last, ctx.pointwise("ADD", cells, 1.0), weights)


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """Where the cells are, along all axes in the grid's order.

    Attributes:
        sizes: Size of each axis.
        padding: What lies outside.
        align_corners: Whether -1 and 1 are the middles of the outermost cells, not their edges.
    """

    sizes: list[int]
    padding: int
    align_corners: bool

    def place(self, ctx: Context, points: Value) -> Value:
        """Coordinates from -1 to 1 as places among the cells."""
        moved = ctx.pointwise("ADD", points, 1.0)
        if self.align_corners:
            return ctx.pointwise(
                "MUL", moved, _vector(ctx, [(size - 1) / 2 for size in self.sizes])
            )
        scaled = ctx.pointwise("MUL", moved, _vector(ctx, [size / 2 for size in self.sizes]))
        return ctx.pointwise("SUB", scaled, 0.5)

    def inside(self, ctx: Context, place: Value) -> Value:
        """Bring places to where there are cells: of the border for zeros, else of the image."""
        if self.padding == _REFLECTION:
            place = self._reflected(ctx, place)
        start = -1.0 if self.padding == _ZEROS else 0.0
        return self.until_end(ctx, ctx.pointwise("MAXIMUM", place, start))

    def until_end(self, ctx: Context, place: Value) -> Value:
        """Bring places behind the last cell to it."""
        beyond = 0 if self.padding == _ZEROS else 1
        return ctx.pointwise("MINIMUM", place, _vector(ctx, [size - beyond for size in self.sizes]))

    def _reflected(self, ctx: Context, place: Value) -> Value:
        """Fold places between two mirrors, by a triangle wave."""
        low = 0.0 if self.align_corners else -0.5
        # a single cell has no span between corners; its place is clamped afterwards anyway
        spans = [max(size - self.align_corners, 1) for size in self.sizes]
        span, period = _vector(ctx, spans), _vector(ctx, [2 * each for each in spans])
        away = ctx.emit("ABS", ctx.pointwise("SUB", place, low))
        periods = ctx.emit("FLOOR", ctx.pointwise("DIV", away, period))
        within = ctx.pointwise("SUB", away, ctx.pointwise("MUL", periods, period))
        folded = ctx.emit("ABS", ctx.pointwise("SUB", within, span))
        return ctx.pointwise("SUB", _vector(ctx, [low + each for each in spans]), folded)


def _vector(ctx: Context, numbers: Sequence[float]) -> Value:
    return ctx.constant(np.array(numbers, np.float32).reshape(1, 1, 1, -1))


def _taps(
    ctx: Context, points: Value, rule: _Rule, interpolation_mode: int
) -> tuple[Value, Value | None]:
    """Cells that samples are made of, and how much of each: ``[N, taps, points, axes]``."""
    place = rule.place(ctx, points)
    if interpolation_mode == _BICUBIC:
        first = ctx.emit("FLOOR", place)
        weights = _cubic_weights(ctx, ctx.pointwise("SUB", place, first))
        cells = [ctx.pointwise("ADD", first, float(step)) for step in (-1, 0, 1, 2)]
        return rule.inside(ctx, ctx.concat(cells, 1)), ctx.concat(weights, 1)
    place = rule.inside(ctx, place)
    if interpolation_mode == _NEAREST:
        return ctx.emit("ROUND", place), None
    return _bilinear(ctx, place, rule)


def _bilinear(ctx: Context, place: Value, rule: _Rule) -> tuple[Value, Value]:
    """The cells on both sides of places, and how much of each."""
    first = ctx.emit("FLOOR", place)
    second = rule.until_end(ctx, ctx.pointwise("ADD", first, 1.0))
    part = ctx.pointwise("SUB", place, first)
    weights = [ctx.pointwise("SUB", 1.0, part), part]
    return ctx.concat([first, second], 1), ctx.concat(weights, 1)


def _cubic_weights(ctx: Context, t: Value) -> list[Value]:
    """Weights of the cells at -1, 0, 1 and 2 by cubic convolution."""
    rest = ctx.pointwise("SUB", 1.0, t)
    far = [_cubic_far(ctx, ctx.pointwise("ADD", each, 1.0)) for each in (t, rest)]
    near = [_cubic_near(ctx, each) for each in (t, rest)]
    return [far[0], near[0], near[1], far[1]]


def _cubic_near(ctx: Context, distance: Value) -> Value:
    """``((a + 2) d - (a + 3)) d² + 1``, for distances up to 1."""
    slope = ctx.pointwise("SUB", ctx.pointwise("MUL", distance, _CUBIC + 2), _CUBIC + 3)
    square = ctx.pointwise("MUL", distance, distance)
    return ctx.pointwise("ADD", ctx.pointwise("MUL", slope, square), 1.0)


def _cubic_far(ctx: Context, distance: Value) -> Value:
    """``((a d - 5 a) d + 8 a) d - 4 a``, for distances from 1 to 2."""
    made = ctx.pointwise("SUB", ctx.pointwise("MUL", distance, _CUBIC), 5 * _CUBIC)
    made = ctx.pointwise("ADD", ctx.pointwise("MUL", made, distance), 8 * _CUBIC)
    return ctx.pointwise("SUB", ctx.pointwise("MUL", made, distance), 4 * _CUBIC)


def _sample(ctx: Context, last: Value, cells: Value, weights: Value | None) -> Value:
    """Read ``[N, *sizes, C]`` at all combinations of the axes' taps, and add up what is read.

    Args:
        ctx: The context.
        last: What is read.
        cells: Where, ``[N, taps, points, axes]`` in the grid's order.
        weights: How much of it, of the same shape; ``None`` for all.
    """
    batch, *sizes, channels = last.shape
    points = cells.shape[2]
    steps = [ctx.static(product(sizes[axis + 1 :]), "input") for axis in range(len(sizes))]
    places = _combined(ctx, "ADD", ctx.pointwise("MUL", cells, _vector(ctx, steps[::-1])))
    flat = ctx.reshape(last, (batch, product(sizes), channels))
    indices = ctx.cast(ctx.reshape(places, (batch, places.shape[1] * points)), "int32")
    shape = (batch, indices.shape[1], channels)
    read = ctx.emit("GATHER", flat, indices, shape=shape, axis=1, batch_dims=1)
    if weights is None:
        return read
    combined = _combined(ctx, "MUL", weights)
    spread = ctx.reshape(read, (batch, combined.shape[1], points, channels))
    return ctx.reduce("SUM", ctx.pointwise("MUL", spread, combined), [1])


def _combined(ctx: Context, kind: str, values: Value) -> Value:
    """Combine ``[N, taps, points, axes]`` over the axes: ``[N, taps ** axes, points, 1]``."""
    batch, taps, points, axes = values.shape
    total = ctx.slice(values, 3, 0, 1)
    for axis in range(1, ctx.static(axes, "grid")):
        along = ctx.reshape(ctx.slice(values, 3, axis, 1), (batch, taps, 1, points))
        before = ctx.reshape(total, (batch, 1, total.shape[1], points))
        joined = ctx.emit(kind, along, before)
        total = ctx.reshape(joined, (batch, taps * total.shape[1], points, 1))
    return total
