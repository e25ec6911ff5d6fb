"""Rows of softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from . import Row, f32, i32

INF = float("inf")
LARGE = f32(3, 5, low=-2e4, high=2e4)
MASKED = torch.tensor([[0.5, -INF, 2.0, 1.0], [-INF, 1.0, -INF, -INF]])
DEAD = torch.tensor([[0.5, -INF, 2.0], [-INF, -INF, -INF]])

ROWS = [
    *(
        row
        for name in ("softmax.int", "log_softmax.int", "_safe_softmax")
        for row in (
            Row(f"aten.{name}", f32(2, 5), 1),
            Row(f"aten.{name}", f32(2, 3, 4, 5), -3),
            Row(f"aten.{name}", f32(2, 3, 4), 0),
            Row(f"aten.{name}", f32(7), -1),
            Row(f"aten.{name}", f32(), 0),
            Row(f"aten.{name}", f32(1, 2, 1, 3, 2, 4), 3),
            Row(f"aten.{name}", LARGE, 1),
            Row(f"aten.{name}", i32(2, 5), 1, torch.float32),
            Row(f"aten.{name}", f32(2, 3, 4), 1, dynamic={0: [0, 2]}, also=[[f32(3, 3, 7)]]),
            Row(f"aten.{name}", f32(2, 3), 1, dynamic={0: [1]}, also=[[f32(2, 9)]]),
        )
    ),
    # of log_softmax -inf is kept on XNNPACK only: the plain SUB saturates
    Row("aten.softmax.int", MASKED, 1),
    Row("aten._safe_softmax", MASKED, 1),
    Row("aten._safe_softmax", DEAD, 1),
    Row("aten.special_softmax", f32(2, 3, 4), 1),
    Row("aten.special_log_softmax", i32(2, 3, 4), 0, dtype=torch.float32),
    Row("aten._softmax", f32(2, 3, 4), 1, False),
    Row("aten._log_softmax", f32(2, 3, 4), -1, False),
    Row("aten.softmax.int", DEAD, 1),
    Row("aten.softmax.int", f32(2, 3), call=lambda x: F.softmax(x, dim=1, dtype=torch.float64)),
    # seven axes: XNNPACK takes such an operator, and then cannot run it
    Row("aten.softmax.int", f32(2, 3, 2, 2, 2, 2, 3), -1),
    Row("aten.softmax.int", f32(2, 3, 2, 2, 2, 2, 3), 2),
    Row("aten.log_softmax.int", f32(2, 3, 2, 2, 2, 2, 3), 1),
]
