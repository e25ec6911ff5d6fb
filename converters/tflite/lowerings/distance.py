"""Norms of vectors and matrices, and distances and similarities that are made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..context import Context, Number
from ..dtypes import FLOAT
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import broadcast, example
from .reduction import Dims, accumulated, axes_of, extreme, sum_

if TYPE_CHECKING:
    import torch

# From as many rows on, PyTorch computes Euclidean distances through a matrix product.
_MATRIX_ROWS = 25


def _norm(
    ctx: Context, x: Value, order: Number, axes: Sequence[int], keepdim: bool = False
) -> Value:
    """The norm of an order, an infinite one included, over axes."""
    if order == 0:
        different = ctx.cast(ctx.cast(x, "bool"), FLOAT)
        return ctx.reduce("SUM", different, axes, keepdim)
    if order == 2:
        return ctx.emit("SQRT", ctx.reduce("SUM", ctx.emit("SQUARE", x), axes, keepdim))
    size = ctx.emit("ABS", x)
    if math.isinf(order):
        return extreme(ctx, "REDUCE_MAX" if order > 0 else "REDUCE_MIN", size, axes, keepdim)
    if order == 1:
        return ctx.reduce("SUM", size, axes, keepdim)
    total = ctx.reduce("SUM", ctx.pointwise("POW", size, float(order)), axes, keepdim)
    return ctx.pointwise("POW", total, 1 / float(order))


@lowers("aten.linalg_vector_norm")
def linalg_vector_norm(
    ctx: Context,
    x: Value,
    order: Number = 2,
    dim: Dims = None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """linalg_vector_norm(self, ord=2, dim=None, keepdim=False, *, dtype) -> SQUARE, SUM, SQRT.

    ABS and SUM for order 1, ABS and an extreme for the infinite ones, POW for others.
    """
    return _norm(ctx, accumulated(ctx, x, dtype), order, axes_of(x, dim), keepdim)


@lowers("aten.norm")
def norm(
    ctx: Context,
    x: Value,
    p: Number | None = 2,
    dim: Dims = None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """norm.ScalarOpt_dim_dtype(self, p, dim, keepdim, *, dtype) -> as linalg_vector_norm."""
    return linalg_vector_norm(ctx, x, 2 if p is None else p, dim, keepdim, dtype=dtype)


def _matrix_norm(
    ctx: Context, x: Value, order: Number | str, dim: Sequence[int], keepdim: bool
) -> Value:
    """Frobenius, and the largest or smallest sum of a column or a row."""
    rows, columns = (axis % x.rank for axis in dim)
    if order == "fro":
        return _norm(ctx, x, 2, sorted((rows, columns)), keepdim)
    if isinstance(order, str) or abs(order) not in (1, math.inf):
        raise unsupported("ord", order, "singular values are not expressible")
    summed, ranked = (rows, columns) if abs(order) == 1 else (columns, rows)
    if x.shape[ranked] == 0:  # the kernel begins with the lowest number
        return ctx.filled(ctx.shape, 0, FLOAT)
    sums = ctx.reduce("SUM", ctx.emit("ABS", x), [summed], keepdim=True)
    kind = "REDUCE_MAX" if order > 0 else "REDUCE_MIN"
    found = extreme(ctx, kind, sums, ranked, keepdim=True)
    kept = [size for axis, size in enumerate(x.shape) if axis not in (rows, columns)]
    return found if keepdim else ctx.reshape(found, kept)


@lowers("aten.linalg_matrix_norm")
def linalg_matrix_norm(
    ctx: Context,
    x: Value,
    order: Number | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """linalg_matrix_norm(self, ord, int[] dim=[-2, -1], bool keepdim, *, dtype) -> SUM, extreme."""
    return _matrix_norm(ctx, accumulated(ctx, x, dtype), order, dim, keepdim)


@lowers("aten.linalg_norm")
def linalg_norm(
    ctx: Context,
    x: Value,
    order: Number | str | None = None,
    dim: Dims = None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Value:
    """linalg_norm(self, ord=None, dim=None, keepdim=False, *, dtype) -> of a vector or a matrix."""
    x = accumulated(ctx, x, dtype)
    axes = [dim] if isinstance(dim, int) else list(dim or range(x.rank))
    if order is None:
        return _norm(ctx, x, 2, axes_of(x, dim), keepdim)
    if isinstance(order, str) or len(axes) == 2:
        return _matrix_norm(ctx, x, order, axes, keepdim)
    return _norm(ctx, x, order, axes_of(x, dim), keepdim)


@lowers("aten.dist")
def dist(ctx: Context, x: Value, other: Value, p: Number = 2) -> Value:
    """dist(self, Tensor other, Scalar p=2) -> SUB, the norm."""
    difference = ctx.pointwise("SUB", x, other)
    return _norm(ctx, difference, p, axes_of(difference, None))


@lowers("aten.pairwise_distance")
def pairwise_distance(
    ctx: Context,
    x1: Value,
    x2: Value,
    p: float = 2.0,
    eps: float = 1e-6,
    keepdim: bool = False,
) -> Value:
    """pairwise_distance(x1, x2, float p=2, float eps=1e-6, bool keepdim) -> SUB, ADD, the norm."""
    difference = ctx.pointwise("ADD", ctx.pointwise("SUB", x1, x2), eps)
    return _norm(ctx, difference, p, axes_of(difference, -1), keepdim)


@lowers("aten.cosine_similarity")
def cosine_similarity(ctx: Context, x1: Value, x2: Value, dim: int = 1, eps: float = 1e-8) -> Value:
    """cosine_similarity(x1, x2, int dim=1, float eps=1e-08) -> the product of two unit vectors."""
    left, right = ctx.promoted(x1, x2, dtype=FLOAT)
    axes = axes_of(left, dim)
    for axis in axes:  # the lengths are those of vectors of one size
        shapes = [each.shape for each in (left, right)]
        size = broadcast(*((shape[axis],) for shape in shapes))
        left, right = (
            ctx.expand(each, (*each.shape[:axis], *size, *each.shape[axis + 1 :]))
            for each in (left, right)
        )
    units = [
        ctx.pointwise(
            "DIV", each, ctx.pointwise("MAXIMUM", _norm(ctx, each, 2, axes, keepdim=True), eps)
        )
        for each in (left, right)
    ]
    return sum_(ctx, ctx.pointwise("MUL", *units), axes)


@lowers("aten.cdist", "aten._cdist_forward")
def cdist(
    ctx: Context, x1: Value, x2: Value, p: float = 2.0, compute_mode: int | None = None
) -> Value:
    """cdist(x1, x2, float p=2, int? compute_mode=None) -> SUB of all pairs, the norm.

    Where PyTorch takes the way through a matrix product (``compute_mode`` 1, or more than 25 rows)
    so does this.
    """
    rows, columns = x1.shape[-2], x2.shape[-2]
    many = example(rows) > _MATRIX_ROWS or example(columns) > _MATRIX_ROWS
    if p == 2 and (compute_mode == 1 or (compute_mode in (None, 0) and many)):
        return euclidean_dist(ctx, x1, x2)
    left = ctx.reshape(x1, (*x1.shape[:-2], rows, 1, x1.shape[-1]))
    right = ctx.reshape(x2, (*x2.shape[:-2], 1, columns, x2.shape[-1]))
    difference = ctx.pointwise("SUB", left, right)
    return _norm(ctx, difference, p, [difference.rank - 1])


@lowers("aten._euclidean_dist")
def euclidean_dist(ctx: Context, x1: Value, x2: Value) -> Value:
    """_euclidean_dist(x1, x2) -> |x1|² + |x2|² - 2·x1·x2ᵀ, SQRT.

    Constant rows ``x2`` (prototypes, a codebook) are the weight and the bias of a FULLY_CONNECTED.
    """
    left, right = ctx.promoted(x1, x2)
    own = ctx.reduce("SUM", ctx.emit("SQUARE", left), [-1], keepdim=True)
    if x2.data is not None and x2.rank == 2:
        bias = np.square(x2.data.astype(np.float64)).sum(axis=1).astype(np.float32)
        product = ctx.emit(
            "FULLY_CONNECTED",
            left,
            ctx.constant(x2.data * np.float32(-2)),
            ctx.constant(bias),
            keep_num_dims=left.rank != 2,
        )
    else:
        powers = ctx.reduce("SUM", ctx.emit("SQUARE", right), [-1], keepdim=True)
        across = ctx.reshape(powers, (*right.shape[:-2], 1, right.shape[-2]))
        product = ctx.emit("BATCH_MATMUL", ctx.pointwise("MUL", left, -2.0), right, adj_y=True)
        product = ctx.pointwise("ADD", product, across)
    total = ctx.pointwise("ADD", product, own)
    return ctx.emit("SQRT", ctx.pointwise("MAXIMUM", total, 0.0))
