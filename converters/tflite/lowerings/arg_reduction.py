"""Where the extremes are, alone or with their values.

On equal values the first index is taken, as in PyTorch; a NaN is not found as PyTorch finds it.
"""

from __future__ import annotations

from ..context import Context
from ..dtypes import INTEGER
from ..ir import Value
from ..lowering import lowers
from ..sizes import Shape, product
from .reduction import extreme


def _index(ctx: Context, kind: str, x: Value, dim: int | None, keepdim: bool) -> Value:
    """ARG_MAX or ARG_MIN; without an axis it is over the flattened tensor."""
    if x.rank == 0:
        return ctx.filled((), 0, INTEGER)
    if dim is None:
        kept: Shape = (1,) * x.rank
        x, axis = ctx.reshape(x, (product(x.shape),)), 0
    else:
        axis = dim % x.rank
        kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    reduced = (*x.shape[:axis], *x.shape[axis + 1 :])
    found = ctx.emit(
        kind, x, ctx.integers([axis]), shape=reduced, dtype=INTEGER, output_type="INT32"
    )
    return ctx.reshape(found, kept) if keepdim else found


@lowers("aten.argmax")
def argmax(ctx: Context, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """argmax(self, int? dim=None, bool keepdim=False) -> ARG_MAX."""
    return _index(ctx, "ARG_MAX", x, dim, keepdim)


@lowers("aten.argmin")
def argmin(ctx: Context, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """argmin(self, int? dim=None, bool keepdim=False) -> ARG_MIN."""
    return _index(ctx, "ARG_MIN", x, dim, keepdim)


@lowers("aten.max.default")
def max_(ctx: Context, x: Value) -> Value:
    """max(self) -> REDUCE_MAX."""
    return extreme(ctx, "REDUCE_MAX", x, None)


@lowers("aten.min.default")
def min_(ctx: Context, x: Value) -> Value:
    """min(self) -> REDUCE_MIN."""
    return extreme(ctx, "REDUCE_MIN", x, None)


@lowers("aten.max.dim")
def max_dim(ctx: Context, x: Value, dim: int, keepdim: bool = False) -> list[Value]:
    """max.dim(self, int dim, bool keepdim=False) -> REDUCE_MAX and ARG_MAX."""
    return [extreme(ctx, "REDUCE_MAX", x, dim, keepdim), _index(ctx, "ARG_MAX", x, dim, keepdim)]


@lowers("aten.min.dim")
def min_dim(ctx: Context, x: Value, dim: int, keepdim: bool = False) -> list[Value]:
    """min.dim(self, int dim, bool keepdim=False) -> REDUCE_MIN and ARG_MIN."""
    return [extreme(ctx, "REDUCE_MIN", x, dim, keepdim), _index(ctx, "ARG_MIN", x, dim, keepdim)]


@lowers("aten.max.other")
def max_other(ctx: Context, x: Value, other: Value) -> Value:
    """max.other(self, Tensor other) -> MAXIMUM."""
    result: Value = ctx.call("aten.maximum", x, other)
    return result


@lowers("aten.min.other")
def min_other(ctx: Context, x: Value, other: Value) -> Value:
    """min.other(self, Tensor other) -> MINIMUM."""
    result: Value = ctx.call("aten.minimum", x, other)
    return result
