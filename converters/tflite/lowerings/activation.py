"""Activation functions."""

from __future__ import annotations

from ..context import Context
from ..ir import Value
from ..lowering import lowers


@lowers("aten.relu")
def relu(ctx: Context, x: Value) -> Value:
    """relu(Tensor self) -> RELU."""
    return ctx.emit("RELU", x) if x.dtype == "float32" else ctx.pointwise("MAXIMUM", x, 0)


@lowers("aten.leaky_relu")
def leaky_relu(ctx: Context, x: Value, negative_slope: float = 0.01) -> Value:
    """leaky_relu(Tensor self, Scalar negative_slope=0.01) -> LEAKY_RELU."""
    return ctx.emit("LEAKY_RELU", x, alpha=float(negative_slope))
