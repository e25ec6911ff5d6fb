"""Matrix products: by a constant FULLY_CONNECTED, of two computed tensors BATCH_MATMUL."""

from __future__ import annotations

import numpy as np

from ..context import Context, Number
from ..dtypes import INTEGER, is_float
from ..ir import Value
from ..lowering import lowers
from ..sizes import broadcast, example, is_static, product

_MOST_AXES = 5  # of FULLY_CONNECTED and BATCH_MATMUL, in LiteRT's kernels and on XNNPACK
_LONG = 2048  # numbers to add up before it is done in parts,
_PART = 512  # of so many at most,
_SMALL = 8  # for a result with this many rows and columns, and as many times fewer than numbers


@lowers("aten.linear")
def linear(ctx: Context, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """linear(Tensor input, Tensor weight, Tensor? bias=None) -> FULLY_CONNECTED."""
    if x.rank == 1:
        row = linear(ctx, ctx.reshape(x, (1, x.shape[0])), weight, bias)
        return ctx.reshape(row, row.shape[1:])
    if weight.rank == 1:
        column = linear(ctx, x, ctx.with_rank(weight, 2))
        flat = ctx.reshape(column, column.shape[:-1])
        return flat if bias is None else ctx.pointwise("ADD", flat, bias)
    constant = weight.data is not None and (bias is None or bias.data is not None)
    if constant and is_float(x.dtype) and (bias is None or bias.rank == 1):
        return fully_connected(ctx, x, weight, bias)
    result = matrix_product(ctx, x, weight, adj_y=True)
    return result if bias is None else ctx.pointwise("ADD", result, bias)


@lowers("aten.matmul", "aten.linalg_matmul", "aten.mm", "aten.bmm", "aten.mv")
def matmul(ctx: Context, x: Value, y: Value) -> Value:
    """matmul(Tensor self, Tensor other) -> FULLY_CONNECTED or BATCH_MATMUL."""
    if x.rank == y.rank == 1:
        return dot(ctx, x, y)
    left = ctx.with_rank(x, 2)
    if y.rank == 1:  # a row by adj_y instead of a column: a constant is a weight as it is
        result = matrix_product(ctx, left, ctx.with_rank(y, 2), adj_y=True)
        return ctx.reshape(result, result.shape[:-1])
    result = matrix_product(ctx, left, y)
    if x.rank == 1:
        return ctx.reshape(result, (*result.shape[:-2], result.shape[-1]))
    return result


@lowers("aten.dot", "aten.vdot")
def dot(ctx: Context, x: Value, y: Value) -> Value:
    """dot(Tensor self, Tensor tensor) -> MUL, SUM."""
    return ctx.reduce("SUM", ctx.pointwise("MUL", x, y), [0])


@lowers("aten.linalg_vecdot")
def linalg_vecdot(ctx: Context, x: Value, y: Value, dim: int = -1) -> Value:
    """linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> MUL, SUM."""
    return ctx.reduce("SUM", ctx.pointwise("MUL", x, y), [dim])


@lowers("aten.addmm")
def addmm(
    ctx: Context, x: Value, mat1: Value, mat2: Value, beta: Number = 1, alpha: Number = 1
) -> Value:
    """addmm(Tensor self, Tensor mat1, Tensor mat2, *, beta=1, alpha=1) -> FULLY_CONNECTED."""
    bias = x.data is not None and x.elements == x.shape[-1] == mat2.shape[1] if x.rank else False
    if bias and mat2.data is not None and is_float(x.dtype) and alpha == beta == 1:
        weight = ctx.transpose(mat2, (1, 0))
        return fully_connected(ctx, mat1, weight, ctx.reshape(x, x.shape[-1:]))
    return weighted_sum(ctx, x, matrix_product(ctx, mat1, mat2), beta, alpha)


@lowers("aten.addmv")
def addmv(
    ctx: Context, x: Value, mat: Value, vec: Value, beta: Number = 1, alpha: Number = 1
) -> Value:
    """addmv(Tensor self, Tensor mat, Tensor vec, *, beta=1, alpha=1) -> product, ADD."""
    return weighted_sum(ctx, x, matmul(ctx, mat, vec), beta, alpha)


@lowers("aten.baddbmm")
def baddbmm(
    ctx: Context, x: Value, batch1: Value, batch2: Value, beta: Number = 1, alpha: Number = 1
) -> Value:
    """baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, beta=1, alpha=1) -> product, ADD."""
    return weighted_sum(ctx, x, matrix_product(ctx, batch1, batch2), beta, alpha)


@lowers("aten.addbmm")
def addbmm(
    ctx: Context, x: Value, batch1: Value, batch2: Value, beta: Number = 1, alpha: Number = 1
) -> Value:
    """addbmm(Tensor self, Tensor batch1, Tensor batch2, *, beta, alpha) -> product, SUM, ADD."""
    total = ctx.reduce("SUM", matrix_product(ctx, batch1, batch2), [0])
    return weighted_sum(ctx, x, total, beta, alpha)


@lowers("aten.outer", "aten.ger")
def outer(ctx: Context, x: Value, vec2: Value) -> Value:
    """outer(Tensor self, Tensor vec2) -> MUL."""
    return ctx.pointwise("MUL", ctx.reshape(x, (x.shape[0], 1)), ctx.with_rank(vec2, 2))


@lowers("aten.addr")
def addr(
    ctx: Context, x: Value, vec1: Value, vec2: Value, beta: Number = 1, alpha: Number = 1
) -> Value:
    """addr(Tensor self, Tensor vec1, Tensor vec2, *, beta=1, alpha=1) -> MUL, ADD."""
    if ctx.dtype == "bool":
        column = ctx.reshape(vec1, (vec1.shape[0], 1))
        both = ctx.pointwise("LOGICAL_AND", column, ctx.pointwise("LOGICAL_AND", vec2, bool(alpha)))
        return ctx.pointwise("LOGICAL_OR", ctx.pointwise("LOGICAL_AND", x, bool(beta)), both)
    return weighted_sum(ctx, x, outer(ctx, vec1, vec2), beta, alpha)


def weighted_sum(ctx: Context, x: Value, total: Value, beta: Number, alpha: Number) -> Value:
    """``beta * x + alpha * total``; with ``beta=0`` PyTorch does not read ``x``, NaN or not."""
    if alpha != 1:
        total = ctx.pointwise("MUL", total, alpha, dtype=ctx.dtype)
    if beta == 0:
        return ctx.expand(total, ctx.shape)
    if beta != 1:
        x = ctx.pointwise("MUL", x, beta, dtype=ctx.dtype)
    return ctx.pointwise("ADD", x, total, dtype=ctx.dtype)


def fully_connected(ctx: Context, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """Multiply ``[..., in]`` by a constant ``[out, in]``."""
    bias = bias or ctx.constant(np.zeros(ctx.static(weight.shape[0], "weight"), np.float32))
    rows = x
    if not 2 <= x.rank <= _MOST_AXES:
        rows = ctx.reshape(x, (product(x.shape[:-1]), x.shape[-1]))
    result = ctx.emit("FULLY_CONNECTED", rows, weight, bias, keep_num_dims=rows.rank != 2)
    return ctx.reshape(result, (*x.shape[:-1], weight.shape[0]))


def matrix_product(ctx: Context, x: Value, y: Value, *, adj_y: bool = False) -> Value:
    """Multiply ``[..., m, k]`` by ``[..., k, n]``, or by ``[..., n, k]`` if it is adjoint.

    Leading axes broadcast, and both tensors have at least two axes.
    """
    columns = y.shape[-2 if adj_y else -1]
    shape = (*broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], columns)
    if x.shape[-1] == 0:
        return ctx.filled(shape, 0, x.dtype)
    if not is_float(x.dtype):
        return _integer_product(ctx, x, y, adj_y)
    if y.data is not None and all(size == 1 for size in y.shape[:-2]):
        matrix = ctx.reshape(y, y.shape[-2:])
        weight = matrix if adj_y else ctx.transpose(matrix, (1, 0))
        return ctx.reshape(fully_connected(ctx, x, weight), shape)
    rank = max(x.rank, y.rank)
    if rank > _MOST_AXES:
        x, y = (
            ctx.reshape(
                ctx.expand(each, (*shape[:-2], *each.shape[-2:])),
                (product(shape[:-2]), *each.shape[-2:]),
            )
            for each in (x, y)
        )
        rank = 3
    result = batch_matmul(ctx, ctx.with_rank(x, rank), ctx.with_rank(y, rank), adj_y=adj_y)
    return ctx.reshape(result, shape)


def batch_matmul(
    ctx: Context, x: Value, y: Value, *, adj_x: bool = False, adj_y: bool = False
) -> Value:
    """Multiply matrices of the same rank, of which each may lie the other way round.

    LiteRT's kernels add up one product after the other. Where channels attend to each other over
    all pixels of an image, a softmax makes the rounding of so many additions a thousand times
    larger; PyTorch adds up in parts, and so does the file, if the result is small beside the sums.
    """
    left, right = (-2 if adj_x else -1), (-1 if adj_y else -2)
    sizes = (x.shape[-3 - left], y.shape[-3 - right], x.shape[left])
    parts = _parts(*map(example, sizes)) if is_static(sizes) and x.rank < _MOST_AXES else 1
    if parts == 1:
        return ctx.emit("BATCH_MATMUL", x, y, adj_x=adj_x, adj_y=adj_y)
    x, y = _in_parts(ctx, x, left, parts), _in_parts(ctx, y, right, parts)
    return ctx.reduce("SUM", ctx.emit("BATCH_MATMUL", x, y, adj_x=adj_x, adj_y=adj_y), [-3])


def _parts(rows: int, columns: int, summed: int) -> int:
    """In how many parts to add up."""
    small = min(rows, columns) >= _SMALL and max(rows, columns) * _SMALL <= summed
    if summed < _LONG or not small:
        return 1
    return next((n for n in range(2, _LONG) if summed % n == 0 and summed // n <= _PART), 1)


def _in_parts(ctx: Context, x: Value, axis: int, parts: int) -> Value:
    """``[..., m, k]`` as ``[..., parts, m, k / parts]``; ``k`` is one of the last two axes."""
    axis += x.rank
    shape = (*x.shape[:axis], parts, x.shape[axis] // parts, *x.shape[axis + 1 :])
    order = [*range(x.rank + 1)]
    order.insert(x.rank - 2, order.pop(axis))
    return ctx.transpose(ctx.reshape(x, shape), order)


def _integer_product(ctx: Context, x: Value, y: Value, adj_y: bool) -> Value:
    """LiteRT's matrix products take no plain integers: MUL and SUM are exact."""
    order = (*range(y.rank - 2), y.rank - 1, y.rank - 2)
    rows = y if adj_y else ctx.transpose(y, order)
    left = ctx.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
    right = ctx.reshape(rows, (*rows.shape[:-2], 1, *rows.shape[-2:]))
    # LiteRT multiplies 8-bit integers as quantized numbers only
    total = ctx.reduce("SUM", ctx.pointwise("MUL", left, right, dtype=INTEGER), [-1])
    return ctx.cast(total, x.dtype)
