"""Rows of running sums, products and extremes."""

from __future__ import annotations

import torch

from . import Row, f32, i32, i64, truths

INF = float("inf")
ROUNDED = "products are joined in another order: one rounding for each of 100 factors"
PARTLY = torch.tensor([[0.5, -INF, 2.0], [1.0, -INF, -INF]])
PEAKS = torch.tensor([[1.0, INF, 3.0, INF, -INF], [-INF, -INF, 2.0, 2.0, 1.0]])

ROWS = [
    Row("aten.cumsum", f32(2, 3, 4), 1),
    Row("aten.cumsum", f32(2, 3, 4), -1),
    Row("aten.cumsum", i64(2, 3, 4), 0),
    Row("aten.cumsum", truths(3, 4), 1),
    Row("aten.cumsum", i32(3, 4), 1, dtype=torch.float32),
    Row("aten.cumsum", f32(), 0),
    Row("aten.cumsum", f32(2, 3), 1, dynamic={0: [0, 1]}, also=[[f32(4, 9)]]),
    Row("aten.cumprod", f32(2, 7, 3), 1),
    Row("aten.cumprod", f32(2, 1), 1),
    Row("aten.cumprod", f32(3, 100, low=0.9, high=1.1), -1, sqnr=105.0, reason=ROUNDED),
    Row("aten.cumprod", i64(3, 5), 1),
    Row("aten.cumprod", truths(3, 5), 0),
    Row("aten.cumprod", i32(3, 4), 1, dtype=torch.float32),
    Row("aten.cumprod", f32(), 0),
    Row("aten.cumprod", f32(2, 3), 1, dynamic={0: [0]}, also=[[f32(4, 3)]]),
    Row("aten.cumprod", f32(2, 3), 1, dynamic={0: [1]}, unsupported="depends on a size"),
    *(
        row
        for name in ("cummax", "cummin")
        for row in (
            Row(f"aten.{name}", f32(2, 9, 3), 1),
            Row(f"aten.{name}", i32(3, 33, low=-3, high=4), -1, label="ties"),
            Row(f"aten.{name}", i64(6), 0),
            Row(f"aten.{name}", PEAKS, 1),
            Row(f"aten.{name}", truths(3, 5), 1),
            Row(f"aten.{name}", i32(3, 5, low=0).to(torch.uint8), 1),
            Row(f"aten.{name}", f32(), 0),
            Row(f"aten.{name}", f32(2, 3), 1, dynamic={0: [0]}, also=[[f32(4, 3)]]),
            Row(f"aten.{name}", f32(2, 3), 1, dynamic={0: [1]}, unsupported="depends on a size"),
        )
    ),
    Row("aten.logcumsumexp", f32(2, 7, 3), 1),
    Row("aten.logcumsumexp", f32(3, 20, low=-200, high=200), -1),
    Row("aten.logcumsumexp", PARTLY, 1),
    Row("aten.logcumsumexp", f32(), 0),
]
