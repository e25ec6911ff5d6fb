"""Discrete Fourier transforms, as products by constant matrices."""

from __future__ import annotations

import math
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
    points = float(math.prod(sizes))
    scales = {_BY_ROOT: 1 / math.sqrt(points), _BY_SIZE: 1 / points}
    return scales.get(normalization, 1.0)


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
        matrix: ``[outer * rows, inner * columns]``: all real parts come before the others, so that
            what reads one of both takes half of the matrix.
        outer: Numbers of the result for each point.
        rank: Rank without the axis of parts.
    """
    rest = [each for each in range(rank) if each != axis]
    moved = ctx.transpose(x, [*rest, *([rank] if inner == 2 else []), axis])
    rows, columns = matrix.shape
    flat = ctx.reshape(moved, (*(x.shape[each] for each in rest), columns))
    product = fully_connected(ctx, flat, ctx.constant(matrix.astype(np.float32)))
    parts = [2] if outer == 2 else []
    apart = ctx.reshape(product, (*product.shape[:-1], *parts, rows // outer))
    last = apart.rank - 1
    back = [last if each == axis else rest.index(each) for each in range(rank)]
    return ctx.transpose(apart, [*back, *([last - 1] if parts else [])])


def _complex_matrix(points: int, forward: bool, scale: float) -> Array:
    """``[2 points, 2 points]``: pairs to pairs."""
    angles = _angles(points, points, points) * (-1 if forward else 1)
    turned = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    matrix: Array = turned.transpose(0, 2, 1, 3).reshape(2 * points, 2 * points) * scale
    return matrix


@lowers("complex.aten._fft_c2c")
def fft_c2c(ctx: Context, x: Value, dim: Sequence[int], normalization: int, forward: bool) -> Value:
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
    matrix = np.concatenate([np.cos(angles), -np.sin(angles)])
    x = _along(ctx, x, last, 1, matrix * _scale(sizes, normalization), 2, rank)
    return fft_c2c(ctx, x, dim[:-1], 0, True)


@lowers("complex.aten.fft_fftn", "complex.aten.fft_fft2")
def fft_fftn(
    ctx: Context,
    x: Value,
    s: Sequence[Size] | None = None,
    dim: Sequence[int] | None = None,
    norm: str | None = None,
) -> Value:
    """fft_fftn(Tensor self, SymInt[1]? s, int[1]? dim, str? norm) -> as the transforms below it.

    PyTorch would make a real tensor complex first, and transform the zeros too.
    """
    rank = x.rank - (x in ctx.complexes)
    axes = [each % rank for each in (dim or range(rank))]
    if s is not None:
        axes = [each % rank for each in (dim or range(rank - len(s), rank))]
        for axis, size in zip(axes, s, strict=True):
            x = _resized(ctx, x, axis, ctx.static(size, "s"))
    normalization = {"ortho": _BY_ROOT, "forward": _BY_SIZE}.get(norm or "", 0)
    if x in ctx.complexes:
        return fft_c2c(ctx, x, axes, normalization, True)
    return fft_r2c(ctx, ctx.cast(x, "float32"), axes, normalization, False)


def _resized(ctx: Context, x: Value, axis: int, size: int) -> Value:
    """Cut an axis, or fill it up with zeros."""
    have = ctx.static(x.shape[axis], "self")
    if size <= have:
        made = ctx.slice(x, axis, 0, size)
    else:
        made = ctx.pad(x, [(0, size - have if each == axis else 0) for each in range(x.rank)])
    if x in ctx.complexes:
        ctx.complexes.add(made)
    return made


@lowers("complex.aten._fft_c2r")
def fft_c2r(
    ctx: Context, x: Value, dim: Sequence[int], normalization: int, last_dim_size: Size
) -> Value:
    """_fft_c2r(Tensor self, int[] dim, int normalization, SymInt last_dim_size) -> the inverse."""
    rank = x.rank - 1
    points = _points(ctx, last_dim_size)
    sizes = [*(_points(ctx, x.shape[axis % rank]) for axis in dim[:-1]), points]
    x = fft_c2c(ctx, x, dim[:-1], 0, False)
    matrix = inverse_real_matrix(points, 0) * _scale(sizes, normalization)
    x = ctx.slice(x, dim[-1] % rank, 0, points // 2 + 1)
    return _along(ctx, x, dim[-1] % rank, 2, matrix, 1, rank)


def inverse_real_matrix(points: int, normalization: int) -> Array:
    """From the first half of all frequencies, real parts first, to that many real points.

    All but the first frequency, and the last of an even number, stand for their mirror image too.
    """
    half = points // 2 + 1
    angles = _angles(points, half, points)
    weight = np.where((np.arange(half) == 0) | (2 * np.arange(half) == points), 1.0, 2.0)
    weight = weight * _scale([points], normalization)
    return np.concatenate([np.cos(angles) * weight, -np.sin(angles) * weight], axis=1)
