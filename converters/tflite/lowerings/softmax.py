"""Softmax and its logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..context import Context
from ..dtypes import FLOAT, ir_dtype
from ..ir import Value
from ..lowering import lowers
from .reduction import LARGEST, axes_of, extreme

if TYPE_CHECKING:
    import torch

_TINIEST = 1.1754943508222875e-38  # normal float32


def _converted(ctx: Context, x: Value, dtype: torch.dtype | None) -> Value:
    return ctx.cast(x, ir_dtype(dtype) if dtype is not None else FLOAT)


@lowers("aten.softmax.int", "aten.special_softmax")
def softmax(ctx: Context, x: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """softmax.int(self, int dim, ScalarType? dtype=None) -> SOFTMAX over the last axis."""
    x = _converted(ctx, x, dtype)
    if x.rank == 0:
        return ctx.reshape(ctx.emit("SOFTMAX", ctx.reshape(x, (1,))), ())
    axis = dim % x.rank
    last = [*range(axis), *range(axis + 1, x.rank), axis]
    back = [*range(axis), x.rank - 1, *range(axis, x.rank - 1)]
    return ctx.transpose(ctx.emit("SOFTMAX", ctx.transpose(x, last)), back)


@lowers("aten._softmax")
def core_softmax(ctx: Context, x: Value, dim: int, half_to_float: bool) -> Value:
    """_softmax(self, int dim, bool half_to_float) -> SOFTMAX; half precision is float32 here."""
    return softmax(ctx, x, dim)


@lowers("aten._safe_softmax")
def safe_softmax(ctx: Context, x: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """_safe_softmax(self, int dim, dtype=None) -> softmax in the open; 0 for a row of -inf."""
    x, axes = _converted(ctx, x, dtype), axes_of(x, dim)
    largest = ctx.pointwise("MAXIMUM", extreme(ctx, "REDUCE_MAX", x, axes, keepdim=True), -LARGEST)
    powers = ctx.emit("EXP", ctx.pointwise("SUB", x, largest))
    total = ctx.pointwise("MAXIMUM", ctx.reduce("SUM", powers, axes, keepdim=True), _TINIEST)
    return ctx.pointwise("DIV", powers, total)


@lowers("aten.log_softmax.int", "aten.special_log_softmax")
def log_softmax(ctx: Context, x: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """log_softmax.int(self, int dim, dtype=None) -> REDUCE_MAX, SUB, EXP, SUM, LOG, SUB.

    XNNPACK takes each of these and refuses LOG_SOFTMAX.
    """
    x, axes = _converted(ctx, x, dtype), axes_of(x, dim)
    shifted = ctx.pointwise("SUB", x, extreme(ctx, "REDUCE_MAX", x, axes, keepdim=True))
    total = ctx.reduce("SUM", ctx.emit("EXP", shifted), axes, keepdim=True)
    return ctx.pointwise("SUB", shifted, ctx.emit("LOG", total))


@lowers("aten._log_softmax")
def core_log_softmax(ctx: Context, x: Value, dim: int, half_to_float: bool) -> Value:
    """_log_softmax(self, int dim, bool half_to_float) -> as log_softmax.int."""
    return log_softmax(ctx, x, dim)
