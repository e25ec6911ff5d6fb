"""Tensors made from sizes and numbers, where a size changes."""

from collections.abc import Callable
from typing import Any

import torch

from . import Row, f32


def made(operator: str, function: Callable[..., Any], label: str = "") -> Row:
    """A row of an operator that is given the changing size of its operand, once 3, then 7."""
    return Row(
        operator,
        f32(3, 2),
        call=lambda x: function(x, x.shape[0]),
        dynamic={0: [0]},
        also=[[f32(7, 2)]],
        label=label,
    )


ROWS = [
    made("aten.zeros", lambda x, n: torch.zeros(n, 2) + x),
    made("aten.zeros", lambda x, n: torch.zeros(n, dtype=torch.int64), "int64"),
    made("aten.zeros", lambda x, n: torch.zeros(n, dtype=torch.bool), "bool"),
    made("aten.empty", lambda x, n: torch.empty(n, 2).fill_(2.0)),
    made(
        "aten.empty_permuted",
        lambda x, n: torch.empty_permuted((n, 2), (1, 0)).fill_(2.0),
        "filled",
    ),
    made("aten.ones", lambda x, n: torch.ones(n, n)),
    made("aten.full", lambda x, n: torch.full((n, 3), 2.5)),
    made("aten.full", lambda x, n: torch.full((n, 3), -1), "int64"),
    made("aten.full", lambda x, n: torch.full((n, 3), float("-inf")), "infinite"),
    made("aten.full", lambda x, n: torch.full((2, 3), n), "of a size"),
    made("aten.new_zeros", lambda x, n: x.new_zeros(n, 4)),
    made("aten.new_empty", lambda x, n: x.new_empty(n, 4).fill_(1)),
    made("aten.new_ones", lambda x, n: x.new_ones(2, n, dtype=torch.int32)),
    made("aten.new_full", lambda x, n: x.new_full((n,), 3.5)),
    made("aten.zeros_like", lambda x, n: torch.zeros_like(x)),
    made("aten.empty_like", lambda x, n: torch.empty_like(x).fill_(1.5)),
    made("aten.zero", lambda x, n: torch.ops.aten.zero(x)),
    made("aten.ones_like", lambda x, n: torch.ones_like(x, dtype=torch.bool)),
    made("aten.full_like", lambda x, n: torch.full_like(x, 4.5)),
    made("aten.fill.Scalar", lambda x, n: torch.ops.aten.fill(x, 2)),
    made("aten.fill.Tensor", lambda x, n: torch.ops.aten.fill(x, x[0, 0])),
    made("aten.scalar_tensor", lambda x, n: torch.scalar_tensor(n, dtype=torch.float32) * x),
    made("aten.arange", lambda x, n: torch.arange(n)),
    made("aten.arange", lambda x, n: torch.arange(n, dtype=torch.float32), "float"),
    made("aten.arange.start", lambda x, n: torch.arange(2, n + 5)),
    made("aten.arange.start", lambda x, n: torch.arange(n, 2 * n), "changing start"),
    made("aten.arange.start_step", lambda x, n: torch.arange(n, -n, -2)),
    made("aten.arange.start", lambda x, n: torch.arange(0.0, n), "float"),
    made("aten.arange.start_step", lambda x, n: torch.arange(0, n, 0.5), "float"),
    made("aten.linspace", lambda x, n: torch.linspace(-1, n, 5) * x[0, 0], "changing end"),
    Row(
        "aten.linspace",
        f32(),
        call=lambda x: torch.linspace(0, x, 4, dtype=torch.int64),
        unsupported="double precision",
    ),
    made("aten.eye", lambda x, n: torch.eye(n)),
    made("aten.eye.m", lambda x, n: torch.eye(n, 4, dtype=torch.int64)),
    Row("aten.rand_like", f32(3), unsupported="draw the random numbers outside"),
    Row("aten.bernoulli", f32(3, low=0.0, high=1.0), unsupported="draw the random numbers outside"),
]
