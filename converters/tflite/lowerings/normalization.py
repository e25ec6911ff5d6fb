"""Normalizations."""

from __future__ import annotations

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers


@lowers("aten.batch_norm")
def batch_norm(
    ctx: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    """batch_norm(input, weight, bias, running_mean, running_var, …) -> MUL, ADD; folded later."""
    if training or running_mean is None or running_var is None:
        raise unsupported("training", training, "call .eval() on the module")
    assert running_mean.data is not None
    assert running_var.data is not None
    scale = 1 / np.sqrt(running_var.data.astype(np.float64) + eps)
    if weight is not None:
        assert weight.data is not None
        scale = scale * weight.data
    shift = -running_mean.data.astype(np.float64) * scale
    if bias is not None:
        assert bias.data is not None
        shift = shift + bias.data
    shape = (1, -1, *(1,) * (x.rank - 2))
    scaled = ctx.pointwise("MUL", x, ctx.constant(scale.astype(np.float32).reshape(shape)))
    return ctx.pointwise("ADD", scaled, ctx.constant(shift.astype(np.float32).reshape(shape)))
