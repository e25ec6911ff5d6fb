"""Arithmetic on elements."""

from __future__ import annotations

from ..context import Context, Number
from ..ir import Value
from ..lowering import lowers


@lowers("aten.add")
def add(ctx: Context, x: Value, other: Value | Number, alpha: Number = 1) -> Value:
    """add(Tensor self, Tensor other, *, Scalar alpha=1) -> ADD, with MUL for another alpha."""
    if ctx.dtype == "bool":
        return ctx.pointwise("LOGICAL_OR", x, other)
    if alpha != 1:
        other = ctx.pointwise("MUL", other, alpha, dtype=ctx.dtype)
    return ctx.pointwise("ADD", x, other, dtype=ctx.dtype)
