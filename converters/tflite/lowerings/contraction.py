"""Linear maps along one axis: what resampling and adaptive pooling share. Registers no lowering."""

from __future__ import annotations

import numpy as np

from ..context import Context
from ..ir import Array, Value
from ..sizes import product


def contract(ctx: Context, x: Value, axis: int, matrix: Array) -> Value:
    """Map the cells of an axis by a constant matrix of shape ``[out, in]``.

    The matrix stands on the left, so that no axis has to move.
    """
    axis %= x.rank
    out = matrix.shape[0]
    weight = ctx.constant(np.ascontiguousarray(matrix, dtype=np.float32))
    if axis == x.rank - 1:
        bias = ctx.constant(np.zeros(out, np.float32))
        return ctx.emit("FULLY_CONNECTED", x, weight, bias, keep_num_dims=x.rank != 2)
    lead, inner = x.shape[:axis], x.shape[axis + 1 :]
    flat = ctx.reshape(x, (product(lead), x.shape[axis], product(inner)))
    made = ctx.emit("BATCH_MATMUL", ctx.with_rank(weight, 3), flat)
    return ctx.reshape(made, (*lead, out, *inner))
