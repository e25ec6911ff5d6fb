"""Discrete Fourier transforms, as products by constant matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Array, Value
from ..lowering import lowers
from ..sizes import Size
from .linear import fully_connected

_MOST = 2048  # points: the matrix of as many complex ones takes 64 MB
_BY_ROOT, _BY_SIZE = 1, 2  # PyTorch's ways of normalising a transform


def _scale(sizes: Sequence[int], normalization: int) -> float:
    points = float(np.prod(sizes))
    return {_BY_ROOT: points**-0.5, _BY_SIZE: 1 / points}.get(normalization, 1.0)


def _points(ctx: Context, size: Size) -> int:
    points = ctx.static(size, "self")
    if points > _MOST:
        raise unsupported("self", f"{points} points along an axis", f"at most {_MOST}")
    return points


def _angles(rows: int, columns: int, points: int) -> Array:
    # the product is reduced before it is multiplied by 2 pi, which keeps all digits
    product = np.outer(np.arange(rows), np.arange(columns)) % points
    return 2 * np.pi / points * product


def _along(
    ctx: Context, x: Value, axis: int, inner: int, matrix: Array, outer: int, rank: int
) -> Value:
    """Multiply an axis, together with the axis of parts if there is one, by a matrix.

    Args:
        ctx: The context.
        x: Real numbers, or complex ones with their axis of parts.
        axis: The axis.
        inner: Numbers of the operand for each point: 1, or 2 if it is complex.
        matrix: ``[rows * outer, columns * inner]``.
        outer: Numbers of the result for each point.
        rank: Rank without the axis of parts.
    """
    order = [*(each for each in range(rank) if each != axis), axis]
    parts = [rank] if inner == 2 else []
    moved = ctx.transpose(x, [*order, *parts])
    rows, columns = matrix.shape[0], matrix.shape[1]
    flat = ctx.reshape(moved, (*(x.shape[each] for each in order[:-1]), columns))
    product = fully_connected(ctx, flat, ctx.constant(matrix.astype(np.float32)))
    apart = (*product.shape[:-1], rows // outer, *([2] if outer == 2 else []))
    back = [order.index(each) for each in range(rank)]
    return ctx.transpose(ctx.reshape(product, apart), [*back, *([rank] if outer == 2 else [])])


def _complex_matrix(points: int, forward: bool, scale: float) -> Array:
    """``[2 points, 2 points]``: pairs to pairs."""
    angles = _angles(points, points, points) * (-1 if forward else 1)
    turned = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    matrix: Array = turned.transpose(2, 0, 3, 1).reshape(2 * points, 2 * points) * scale
    return matrix


@lowers("complex.aten._fft_c2c")
def fft_c2c(
    ctx: Context, x: Value, dim: Sequence[int], normalization: int, forward: bool
) -> Value:
    """_fft_c2c(Tensor self, SymInt[] dim, int normalization, bool forward) -> FULLY_CONNECTED."""
    rank = x.rank - 1
    sizes = [_points(ctx, x.shape[axis % rank]) for axis in dim]
    scale = _scale(sizes, normalization)
    for axis, points in zip(dim, sizes, strict=True):
        matrix = _complex_matrix(points, forward, scale)
        x, scale = _along(ctx, x, axis % rank, 2, matrix, 2, rank), 1.0
    return x


@lowers("complex.aten._fft_r2c")
def fft_r2c(
    ctx: Context, x: Value, dim: Sequence[int], normalization: int, onesided: bool
) -> Value:
    """_fft_r2c(Tensor self, int[] dim, int normalization, bool onesided) -> FULLY_CONNECTED."""
    rank, last = x.rank, dim[-1] % x.rank
    sizes = [_points(ctx, x.shape[axis % rank]) for axis in dim]
    points = sizes[-1]
    rows = points // 2 + 1 if onesided else points
    angles = _angles(rows, points, points)
    matrix = np.stack([np.cos(angles), -np.sin(angles)], axis=1).reshape(2 * rows, points)
    x = _along(ctx, x, last, 1, matrix * _scale(sizes, normalization), 2, rank)
    return fft_c2c(ctx, x, dim[:-1], 0, True)


@lowers("complex.aten._fft_c2r")
def fft_c2r(
    ctx: Context, x: Value, dim: Sequence[int], normalization: int, last_dim_size: Size
) -> Value:
    """_fft_c2r(Tensor self, int[] dim, int normalization, SymInt last_dim_size) -> the inverse."""
    rank = x.rank - 1
    points = _points(ctx, last_dim_size)
    sizes = [*(_points(ctx, x.shape[axis % rank]) for axis in dim[:-1]), points]
    x = fft_c2c(ctx, x, dim[:-1], 0, False)
    half = points // 2 + 1
    angles = _angles(points, half, points)
    # all but the first frequency, and the last of an even number, stand for their mirror image too
    weight = np.where((np.arange(half) == 0) | (2 * np.arange(half) == points), 1.0, 2.0)
    matrix = np.stack([np.cos(angles) * weight, -np.sin(angles) * weight], axis=2)
    matrix = matrix.reshape(points, 2 * half) * _scale(sizes, normalization)
    x = ctx.slice(x, dim[-1] % rank, 0, half)
    return _along(ctx, x, dim[-1] % rank, 2, matrix, 1, rank)
