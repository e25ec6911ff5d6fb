"""Diagonals and triangles of matrices."""

from __future__ import annotations

import numpy as np

from ..context import Context, Number
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size
from .indexing import counted, taken_every
from .shape import permuted

# -- diagonals -------------------------------------------------------------------------------


@lowers("aten.diagonal", "aten.diagonal_copy", "aten.linalg_diagonal")
def diagonal(ctx: Context, x: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1) -> RESHAPE and SLICE."""
    return _extracted(ctx, x, offset, dim1, dim2)


def _extracted(ctx: Context, x: Value, offset: int, dim1: int, dim2: int) -> Value:
    """Cells of a diagonal lie ``columns + 1`` apart."""
    rows, columns = (ctx.static(x.shape[dim], "self") for dim in (dim1, dim2))
    last = permuted(ctx, x, _at_the_end(x.rank, dim1, dim2))
    flat = ctx.reshape(last, (*last.shape[:-2], rows * columns))
    start = offset if offset >= 0 else -offset * columns
    count = ctx.static(ctx.shape[-1], "offset")
    return taken_every(ctx, flat, flat.rank - 1, start, count, columns + 1)


@lowers("aten.fill_diagonal_")
def fill_diagonal(ctx: Context, x: Value, fill_value: Number, wrap: bool = False) -> Value:
    """fill_diagonal_(self, Scalar fill_value, bool wrap=False) -> SELECT_V2 by a constant mask."""
    mask = np.zeros([ctx.static(size, "self") for size in x.shape], bool)
    np.fill_diagonal(mask, True, wrap=wrap)
    values = ctx.filled((1,) * x.rank, fill_value, x.dtype)
    return ctx.emit("SELECT_V2", ctx.constant(mask), values, x)


@lowers("aten.diag_embed")
def diag_embed(ctx: Context, x: Value, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Value:
    """diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> PAD and RESHAPE."""
    size = ctx.static(x.shape[-1], "self") + abs(offset)
    matrix = embedded(ctx, x, size, size, offset)
    order = _at_the_end(matrix.rank, dim1, dim2)
    return permuted(ctx, matrix, np.argsort(order).tolist())


@lowers("aten.diag")
def diag(ctx: Context, x: Value, diagonal: int = 0) -> Value:
    """diag(Tensor self, int diagonal=0) -> diag_embed of a vector, diagonal of a matrix."""
    if x.rank == 2:
        return _extracted(ctx, x, diagonal, 0, 1)
    return diag_embed(ctx, x, diagonal)


@lowers("aten.diagflat")
def diagflat(ctx: Context, x: Value, offset: int = 0) -> Value:
    """diagflat(Tensor self, int offset=0) -> PAD and RESHAPE."""
    size = ctx.static(ctx.shape[0], "self")
    return embedded(ctx, ctx.reshape(x, (size - abs(offset),)), size, size, offset)


def embedded(ctx: Context, x: Value, rows: int, columns: int, offset: int) -> Value:
    """Matrices of zeros with the last axis of ``x`` on a diagonal.

    Cells of a diagonal lie ``columns + 1`` apart: each is padded to that many.
    """
    count = ctx.static(x.shape[-1], "self")
    first = offset if offset >= 0 else -offset * columns
    lead = [(0, 0)] * (x.rank - 1)
    spaced = ctx.pad(ctx.reshape(x, (*x.shape, 1)), [*lead, (0, 0), (0, columns)])
    flat = ctx.reshape(spaced, (*x.shape[:-1], count * (columns + 1)))
    missing = rows * columns - first - count * (columns + 1)
    if missing < 0:
        flat = ctx.slice(flat, x.rank - 1, 0, count * (columns + 1) + missing)
    flat = ctx.pad(flat, [*lead, (first, max(missing, 0))])
    return ctx.reshape(flat, (*x.shape[:-1], rows, columns))


def _at_the_end(rank: int, dim1: int, dim2: int) -> list[int]:
    """Order of the axes with two of them moved to the end."""
    first, second = dim1 % rank, dim2 % rank
    return [*(axis for axis in range(rank) if axis not in (first, second)), first, second]


@lowers("aten.diagonal_scatter")
def diagonal_scatter(
    ctx: Context, x: Value, src: Value, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Value:
    """diagonal_scatter(self, src, int offset=0, int dim1=0, int dim2=1) -> PAD, SELECT_V2."""
    order = _at_the_end(x.rank, dim1, dim2)
    rows, columns = (ctx.static(x.shape[dim], "self") for dim in (dim1, dim2))
    there = ctx.constant(np.eye(rows, columns, offset, dtype=np.bool_))
    matrix = embedded(ctx, ctx.cast(src, x.dtype), rows, columns, offset)
    chosen = ctx.emit(
        "SELECT_V2", ctx.with_rank(there, x.rank), matrix, permuted(ctx, x, order), dtype=x.dtype
    )
    return permuted(ctx, chosen, np.argsort(order).tolist())


# -- triangles -------------------------------------------------------------------------------


@lowers("aten.tril")
def tril(ctx: Context, x: Value, diagonal: Size = 0) -> Value:
    """tril(Tensor self, SymInt diagonal=0) -> SELECT_V2."""
    return _selected(ctx, x, "GREATER_EQUAL", diagonal)


@lowers("aten.triu")
def triu(ctx: Context, x: Value, diagonal: Size = 0) -> Value:
    """triu(Tensor self, SymInt diagonal=0) -> SELECT_V2."""
    return _selected(ctx, x, "LESS_EQUAL", diagonal)


def _selected(ctx: Context, x: Value, kind: str, diagonal: Size) -> Value:
    """Zero where ``row + diagonal`` does not compare with the column; never multiplied with NaN."""
    rows, columns = x.shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int) and isinstance(diagonal, int):
        compare = np.greater_equal if kind == "GREATER_EQUAL" else np.less_equal
        shifted = np.arange(rows)[:, None] + diagonal
        mask = ctx.constant(compare(shifted, np.arange(columns)))
    else:
        down = ctx.reshape(counted(ctx, rows), (rows, 1))
        across = ctx.reshape(counted(ctx, columns), (1, columns))
        if diagonal != 0:
            down = ctx.pointwise("ADD", down, ctx.size_scalar(diagonal))
        mask = ctx.emit(kind, down, across)
    zero = ctx.constant(np.zeros((1,) * x.rank, x.dtype))
    return ctx.emit("SELECT_V2", ctx.with_rank(mask, x.rank), x, zero, shape=x.shape, dtype=x.dtype)
