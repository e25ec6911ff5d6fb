"""Views and permutations."""

from __future__ import annotations

from ..context import Context
from ..ir import Value
from ..lowering import lowers


@lowers("aten.flatten")
def flatten(ctx: Context, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """flatten(Tensor self, int start_dim=0, int end_dim=-1) -> RESHAPE."""
    return ctx.reshape(x, ctx.shape)
