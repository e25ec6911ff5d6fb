"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers


@lowers("aten.adaptive_avg_pool2d")
def adaptive_avg_pool2d(ctx: Context, x: Value, output_size: Sequence[int]) -> Value:
    """adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> MEAN."""
    if list(output_size) != [1, 1]:
        raise unsupported("output_size", output_size)
    return ctx.reduce("MEAN", x, (-2, -1), keepdim=True)
