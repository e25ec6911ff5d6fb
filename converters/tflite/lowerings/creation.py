"""Tensors made from sizes and numbers, where a size changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context, Number
from ..dtypes import FLOAT, INTEGER, is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Dim, Size
from .indexing import counted

# -- filled ----------------------------------------------------------------------------------


def _full(ctx: Context, number: Number | Dim) -> Value:
    """A tensor of one number, which may be a size, in the shape and type of the node."""
    if isinstance(number, Dim):
        return ctx.expand(ctx.cast(ctx.size_scalar(number), ctx.dtype), ctx.shape)
    return ctx.filled(ctx.shape, number, ctx.dtype)


@lowers("aten.zeros", "aten.empty")
def zeros(ctx: Context, size: Sequence[Size], dtype: object = None) -> Value:
    """zeros(SymInt[] size, *, dtype) -> FILL; what is empty is zero too."""
    return _full(ctx, 0)


@lowers("aten.empty_permuted")
def empty_permuted(
    ctx: Context, size: Sequence[Size], physical_layout: Sequence[int], dtype: object = None
) -> Value:
    """empty_permuted(SymInt[] size, int[] physical_layout, *, dtype) -> FILL."""
    return _full(ctx, 0)


@lowers("aten.ones")
def ones(ctx: Context, size: Sequence[Size], dtype: object = None) -> Value:
    """ones(SymInt[] size, *, dtype) -> FILL."""
    return _full(ctx, 1)


@lowers("aten.full")
def full(
    ctx: Context, size: Sequence[Size], fill_value: Number | Dim, dtype: object = None
) -> Value:
    """full(SymInt[] size, Scalar fill_value, *, dtype) -> FILL."""
    return _full(ctx, fill_value)


@lowers("aten.new_zeros", "aten.new_empty")
def new_zeros(ctx: Context, x: Value, size: Sequence[Size], dtype: object = None) -> Value:
    """new_zeros(Tensor self, SymInt[] size, *, dtype) -> FILL."""
    return _full(ctx, 0)


@lowers("aten.new_ones")
def new_ones(ctx: Context, x: Value, size: Sequence[Size], dtype: object = None) -> Value:
    """new_ones(Tensor self, SymInt[] size, *, dtype) -> FILL."""
    return _full(ctx, 1)


@lowers("aten.new_full")
def new_full(
    ctx: Context, x: Value, size: Sequence[Size], fill_value: Number | Dim, dtype: object = None
) -> Value:
    """new_full(Tensor self, SymInt[] size, Scalar fill_value, *, dtype) -> FILL."""
    return _full(ctx, fill_value)


@lowers("aten.zeros_like", "aten.empty_like", "aten.zero")
def zeros_like(ctx: Context, x: Value, dtype: object = None) -> Value:
    """zeros_like(Tensor self, *, dtype) -> FILL."""
    return _full(ctx, 0)


@lowers("aten.ones_like")
def ones_like(ctx: Context, x: Value, dtype: object = None) -> Value:
    """ones_like(Tensor self, *, dtype) -> FILL."""
    return _full(ctx, 1)


@lowers("aten.full_like")
def full_like(ctx: Context, x: Value, fill_value: Number | Dim, dtype: object = None) -> Value:
    """full_like(Tensor self, Scalar fill_value, *, dtype) -> FILL."""
    return _full(ctx, fill_value)


@lowers("aten.fill")
def fill(ctx: Context, x: Value, value: Number | Dim | Value) -> Value:
    """fill.Scalar(Tensor self, Scalar value) -> FILL, or the value expanded."""
    if isinstance(value, Value):
        return ctx.expand(ctx.cast(value, ctx.dtype), ctx.shape)
    return _full(ctx, value)


@lowers("aten.scalar_tensor")
def scalar_tensor(ctx: Context, s: Number | Dim, dtype: object = None) -> Value:
    """scalar_tensor(Scalar s, *, dtype) -> SHAPE of the input that has the size."""
    return _full(ctx, s)


# -- counted ---------------------------------------------------------------------------------


@lowers("aten.arange")
def arange(ctx: Context, end: Number | Dim, dtype: object = None) -> Value:
    """arange(Scalar end, *, dtype) -> RANGE."""
    return _arithmetic(ctx, 0, 1)


@lowers("aten.arange.start", "aten.arange.start_step")
def arange_from(
    ctx: Context,
    start: Number | Dim,
    end: Number | Dim,
    step: Number | Dim = 1,
    dtype: object = None,
) -> Value:
    """arange.start_step(Scalar start, Scalar end, Scalar step=1, *, dtype) -> RANGE, MUL, ADD."""
    return _arithmetic(ctx, start, step)


def _arithmetic(ctx: Context, start: Number | Dim, step: Number | Dim) -> Value:
    """``start + step * i`` for each place: RANGE itself would add up rounding errors of floats."""
    fractional = isinstance(start, float) or isinstance(step, float)
    dtype = FLOAT if fractional else INTEGER
    values = ctx.cast(counted(ctx, ctx.shape[0]), dtype)
    if step != 1:
        values = ctx.pointwise("MUL", values, _number(ctx, step, dtype))
    if start != 0:
        values = ctx.pointwise("ADD", values, _number(ctx, start, dtype))
    return ctx.cast(values, ctx.dtype)


def _number(ctx: Context, number: Number | Dim, dtype: str) -> Value:
    if isinstance(number, Dim):
        return ctx.cast(ctx.size_scalar(number), dtype)
    return ctx.scalar(number, dtype)


@lowers("aten.linspace")
def linspace(
    ctx: Context,
    start: Number | Dim | Value,
    end: Number | Dim | Value,
    steps: int,
    dtype: object = None,
) -> Value:
    """linspace(Scalar start, Scalar end, int steps, *, dtype) -> MUL, ADD."""
    if not is_float(ctx.dtype):
        raise unsupported("dtype", dtype, "its steps are of double precision; cast from float")
    first, last = (
        ctx.cast(each, FLOAT) if isinstance(each, Value) else _number(ctx, each, FLOAT)
        for each in (start, end)
    )
    places = ctx.constant((np.arange(steps) / max(steps - 1, 1)).astype(np.float32))
    way = ctx.pointwise("MUL", places, ctx.pointwise("SUB", last, first))
    return ctx.cast(ctx.pointwise("ADD", way, first), ctx.dtype)


@lowers("aten.eye")
def eye(ctx: Context, n: Size, m: Size | None = None, dtype: object = None) -> Value:
    """eye.m(SymInt n, SymInt m, *, dtype) -> RANGE, EQUAL, CAST."""
    rows, columns = ctx.shape
    down = ctx.reshape(counted(ctx, rows), (rows, 1))
    across = ctx.reshape(counted(ctx, columns), (1, columns))
    return ctx.cast(ctx.emit("EQUAL", down, across), ctx.dtype)
