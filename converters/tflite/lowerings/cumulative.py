"""Running sums, products and extremes.

A sum is one CUMSUM. What has no operator of its own is a scan by doubling: after the step of width
w each cell holds the result of the 2·w cells up to it, so that n cells take log2(n) steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..context import Context
from ..dtypes import FLOAT, INTEGER
from ..ir import Array, Value
from ..lowering import lowers
from .reduction import accumulated, finite

if TYPE_CHECKING:
    import torch


def _scan(
    ctx: Context, x: Value, axis: int, neutral: float, join: Callable[[Value, Value], Value]
) -> Value:
    """Join each cell with all before it; ``join`` is associative and ``neutral`` its identity."""
    length = ctx.static(x.shape[axis], "dim")
    width = 1
    while width < length:
        before = (*x.shape[:axis], width, *x.shape[axis + 1 :])
        earlier = ctx.slice(x, axis, 0, length - width)
        shifted = ctx.concat([ctx.filled(before, neutral, x.dtype), earlier], axis)
        x = join(x, shifted)
        width *= 2
    return x


@lowers("aten.cumsum")
def cumsum(ctx: Context, x: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """cumsum(self, int dim, *, ScalarType? dtype=None) -> CUMSUM."""
    x = accumulated(ctx, x, dtype)
    if x.rank == 0:
        return x
    return ctx.emit("CUMSUM", x, ctx.scalar(dim % x.rank, INTEGER))


@lowers("aten.cumprod")
def cumprod(ctx: Context, x: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """cumprod(self, int dim, *, ScalarType? dtype=None) -> log2(n) MULs of shifted tensors."""
    x = accumulated(ctx, x, dtype)
    if x.rank == 0:
        return x
    return _scan(ctx, x, dim % x.rank, 1, lambda now, earlier: ctx.emit("MUL", now, earlier))


def _running_extreme(ctx: Context, kind: str, x: Value, dim: int, limit: float) -> list[Value]:
    """Running MAXIMUM or MINIMUM, and the last place at which the extreme was met."""
    if x.rank == 0:
        return [x, ctx.filled((), 0, INTEGER)]
    axis = dim % x.rank
    keys = x if x.dtype == FLOAT else ctx.cast(x, INTEGER)
    neutral = limit if keys.dtype == FLOAT else _integer_limit(limit)
    values = _scan(ctx, keys, axis, neutral, lambda now, earlier: ctx.emit(kind, now, earlier))
    length = ctx.static(x.shape[axis], "dim")
    places = ctx.constant(_along(np.arange(length, dtype=np.int32), x.rank, axis))
    # a cell that equals the extreme so far is where it was met last
    met = ctx.emit(
        "SELECT_V2", ctx.emit("EQUAL", keys, values), places, ctx.filled((1,) * x.rank, 0, INTEGER)
    )
    indices = _scan(ctx, met, axis, 0, lambda now, earlier: ctx.emit("MAXIMUM", now, earlier))
    return [ctx.cast(values, x.dtype), indices]


def _integer_limit(limit: float) -> int:
    return int(np.iinfo(np.int32).max if limit > 0 else np.iinfo(np.int32).min)


def _along(values: Array, rank: int, axis: int) -> Array:
    """Lay a vector along one axis."""
    return values.reshape([-1 if place == axis else 1 for place in range(rank)])


@lowers("aten.cummax")
def cummax(ctx: Context, x: Value, dim: int) -> list[Value]:
    """cummax(self, int dim) -> log2(n) MAXIMUMs of shifted tensors, twice."""
    return _running_extreme(ctx, "MAXIMUM", x, dim, -np.inf)


@lowers("aten.cummin")
def cummin(ctx: Context, x: Value, dim: int) -> list[Value]:
    """cummin(self, int dim) -> log2(n) MINIMUMs of shifted tensors, MAXIMUMs of the indices."""
    return _running_extreme(ctx, "MINIMUM", x, dim, np.inf)


@lowers("aten.logcumsumexp")
def logcumsumexp(ctx: Context, x: Value, dim: int) -> Value:
    """logcumsumexp(self, int dim) -> log2(n) times the logarithm of a sum of two powers."""
    if x.rank == 0:
        return x

    def join(now: Value, earlier: Value) -> Value:
        larger = finite(ctx, ctx.emit("MAXIMUM", now, earlier))
        powers = [ctx.emit("EXP", ctx.emit("SUB", each, larger)) for each in (now, earlier)]
        return ctx.emit("ADD", larger, ctx.emit("LOG", ctx.emit("ADD", *powers)))

    return _scan(ctx, x, dim % x.rank, -np.inf, join)
