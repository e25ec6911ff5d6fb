"""Operators on whole matrices and vectors: chains of products, powers, traces, cross products."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import example
from .einsum import main_diagonal
from .linear import matmul, matrix_product


@lowers("aten.kron")
def kron(ctx: Context, x: Value, other: Value) -> Value:
    """kron(Tensor self, Tensor other) -> MUL, RESHAPE."""
    rank = max(x.rank, other.rank)
    x, other = ctx.with_rank(x, rank), ctx.with_rank(other, rank)
    coarse = ctx.reshape(x, [size for each in x.shape for size in (each, 1)])
    fine = ctx.reshape(other, [size for each in other.shape for size in (1, each)])
    return ctx.reshape(ctx.pointwise("MUL", coarse, fine), ctx.shape)


@lowers("aten.linalg_multi_dot", "aten.chain_matmul")
def multi_dot(ctx: Context, tensors: Sequence[Value]) -> Value:
    """linalg_multi_dot(Tensor[] tensors) -> products in the cheapest order."""
    rows = [example(each.shape[0]) for each in tensors[1:]]
    first, last = tensors[0], tensors[-1]
    sizes = [
        example(first.shape[0]) if first.rank == 2 else 1,
        *rows,
        example(last.shape[1]) if last.rank == 2 else 1,
    ]

    @cache
    def cheapest(start: int, end: int) -> tuple[int, int]:
        """Multiplications of a part of the chain, and where to cut it last."""
        if end - start == 1:
            return 0, start
        return min(
            (
                cheapest(start, cut)[0]
                + cheapest(cut, end)[0]
                + sizes[start] * sizes[cut] * sizes[end],
                cut,
            )
            for cut in range(start + 1, end)
        )

    def multiplied(start: int, end: int) -> Value:
        if end - start == 1:
            return tensors[start]
        cut = cheapest(start, end)[1]
        return matmul(ctx, multiplied(start, cut), multiplied(cut, end))

    return multiplied(0, len(tensors))


@lowers("aten.matrix_power", "aten.linalg_matrix_power")
def matrix_power(ctx: Context, x: Value, n: int) -> Value:
    """matrix_power(Tensor self, int n) -> products by repeated squaring."""
    if n < 0:
        raise unsupported("n", n, "TFLite has no matrix inverse")
    if n == 0:
        eye = np.eye(ctx.static(x.shape[-1], "self"), dtype=x.dtype)
        return ctx.expand(ctx.constant(eye), ctx.shape)
    result: Value | None = None
    while n:
        if n & 1:
            result = x if result is None else matrix_product(ctx, result, x)
        n >>= 1
        if n:
            x = matrix_product(ctx, x, x)
    assert result is not None
    return result


@lowers("aten.trace")
def trace(ctx: Context, x: Value) -> Value:
    """trace(Tensor self) -> diagonal, SUM."""
    return ctx.reduce("SUM", ctx.cast(main_diagonal(ctx, x), ctx.dtype), [0])


@lowers("aten.linalg_cross")
def linalg_cross(ctx: Context, x: Value, other: Value, dim: int = -1) -> Value:
    """linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> MUL, SUB on rotated axes."""
    x, other = ctx.promoted(x, other)

    def rotated(value: Value) -> Value:
        return ctx.concat([ctx.slice(value, dim, 1, 2), ctx.slice(value, dim, 0, 1)], dim)

    ahead = ctx.emit("MUL", x, rotated(other))
    behind = ctx.emit("MUL", rotated(x), other)
    return rotated(ctx.emit("SUB", ahead, behind))


@lowers("aten.cross")
def cross(ctx: Context, x: Value, other: Value, dim: int | None = None) -> Value:
    """cross(Tensor self, Tensor other, int? dim=None) -> as linalg_cross."""
    # without dim it is the first axis of size 3
    return linalg_cross(ctx, x, other, ctx.shape.index(3) if dim is None else dim)
