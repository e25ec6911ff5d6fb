"""Rows of reductions to indices."""

from __future__ import annotations

import torch

from . import Row, f32, i32, i64, truths

INF = float("inf")
TIES = torch.tensor([[1.0, 3.0, 3.0, 0.0, 0.0], [-INF, -INF, -INF, -INF, -INF]])
WIDE = i32(3, 70, low=0, high=4)

ROWS = [
    *(
        row
        for name in ("argmax", "argmin")
        for row in (
            Row(f"aten.{name}", f32(3, 4)),
            Row(f"aten.{name}", f32(3, 4), None, True),
            Row(f"aten.{name}", f32(2, 3, 4), -1),
            Row(f"aten.{name}", f32(2, 3, 4, 5), 1, True),
            Row(f"aten.{name}", f32()),
            Row(f"aten.{name}", f32(), 0),
            Row(f"aten.{name}", TIES, 1),
            Row(f"aten.{name}", TIES, 0),
            Row(f"aten.{name}", WIDE, -1, label="ties"),
            Row(f"aten.{name}", WIDE.float(), -1, label="ties"),
            Row(f"aten.{name}", i64(3, 4), 0),
            Row(f"aten.{name}", i32(3, 4, low=0).to(torch.uint8), 1),
            Row(f"aten.{name}", f32(2, 3, 4), 1, dynamic={0: [0, 1]}, also=[[f32(3, 9, 4)]]),
            Row(f"aten.{name}", f32(2, 3), dynamic={0: [0]}, also=[[f32(5, 3)]]),
        )
    ),
    *(
        row
        for name in ("max", "min")
        for row in (
            Row(f"aten.{name}.default", f32(3, 4)),
            Row(f"aten.{name}.default", f32()),
            Row(f"aten.{name}.default", i64(3, 4)),
            Row(f"aten.{name}.default", truths(3, 4)),
            Row(f"aten.{name}.dim", f32(2, 3, 4), 1),
            Row(f"aten.{name}.dim", f32(2, 3, 4), -1, True),
            Row(f"aten.{name}.dim", TIES, 1),
            Row(f"aten.{name}.dim", f32(), 0),
            Row(f"aten.{name}.dim", i32(3, 4), 0),
            Row(f"aten.{name}.dim", truths(3, 4), 1),
            Row(
                f"aten.{name}.dim",
                f32(2, 3, 4),
                1,
                call=lambda x, dim, name=name: getattr(x, name)(dim).indices,
                label="indices",
            ),
            Row(f"aten.{name}.dim", f32(2, 3), 1, dynamic={0: [0]}, also=[[f32(5, 3)]]),
            Row(f"aten.{name}.other", f32(2, 3), f32(3)),
            Row(f"aten.{name}.other", i64(2, 3), f32(1)),
        )
    ),
]
