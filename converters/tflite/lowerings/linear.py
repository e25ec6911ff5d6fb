"""Matrix products."""

from __future__ import annotations

import numpy as np

from ..context import Context
from ..ir import Value
from ..lowering import lowers


@lowers("aten.linear")
def linear(ctx: Context, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """linear(Tensor input, Tensor weight, Tensor? bias=None) -> FULLY_CONNECTED."""
    bias = bias or ctx.constant(np.zeros(int(weight.shape[0]), np.float32))
    return ctx.emit("FULLY_CONNECTED", x, weight, bias, keep_num_dims=x.rank != 2)
