"""Rounding to integers."""

import torch

from . import Row, f32, i64

HALVES = torch.arange(-7, 8) / 2
EDGES = torch.tensor([0.0, -0.5, 0.49999997, 8388609.0, -4194305.5, 1e30, -1e30])
INFINITE = torch.tensor([float("inf"), -float("inf"), float("nan"), 1.5])

ROWS = [
    *(
        Row(f"aten.{name}", values, label=label)
        for name in ("floor", "ceil", "round", "trunc", "fix")
        for label, values in (
            ("halves", HALVES),
            ("edges", EDGES),
            ("infinite", INFINITE),
            ("integers", i64(2, 3)),
        )
    ),
    Row("aten.round.decimals", f32(2, 3), decimals=2),
    Row("aten.round.decimals", f32(2, 3, high=2000.0), decimals=-2),
    Row("aten.frac", HALVES),
    Row("aten.frac", f32(2, 3), dynamic={0: [0]}, also=[[f32(4, 3)]]),
    Row("aten.frac", EDGES, label="edges"),
]
