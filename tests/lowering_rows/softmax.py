"""Rows of softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from . import Row, const, f32, i32, truths

INF = float("inf")
LARGE = f32(3, 5, low=-2e4, high=2e4)
MASKED = torch.tensor([[0.5, -INF, 2.0, 1.0], [-INF, 1.0, -INF, -INF]])
DEAD = torch.tensor([[0.5, -INF, 2.0], [-INF, -INF, -INF]])
LOWEST = torch.finfo(torch.float32).min
SCORES = f32(1, 2, 4, 6)
SEEN = truths(1, 1, 4, 6) & (torch.arange(4) != 1).reshape(4, 1)  # the second row sees nothing
SPACES = torch.where(SEEN, 0.0, -INF)
# Masks of which a row is empty, as models write them: NaN, equal weights or 0 there, as in PyTorch.
EMPTY_ROWS = {
    "filled": lambda x, seen: x.masked_fill(~seen, -INF).softmax(-1),
    "filled with the lowest": lambda x, seen: x.masked_fill(~seen, LOWEST).softmax(-1),
    "selected": lambda x, seen: torch.where(seen, x, -1e30).softmax(-1),
    "added": lambda x, seen: (x + torch.where(seen, 0.0, -INF)).softmax(-1),
    "added lowest": lambda x, seen: (torch.where(seen, 0.0, LOWEST) + x).softmax(-1),
    "then zero": lambda x, seen: x.masked_fill(~seen, -INF).softmax(-1).nan_to_num(0.0),
    "selected zero": lambda x, seen: torch.where(
        seen.any(-1, True), x.masked_fill(~seen, -INF).softmax(-1), 0.0
    ),
}

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
    *(
        Row("aten.softmax.int", SCORES, SEEN, call=call, label=f"empty row {label}")
        for label, call in EMPTY_ROWS.items()
    ),
    Row("aten.softmax.int", SCORES, const(SEEN), call=EMPTY_ROWS["filled"], label="empty row"),
    Row("aten.softmax.int", SCORES, const(SPACES), call=lambda x, y: (x + y).softmax(-1)),
    Row(
        "aten._safe_softmax",
        *(SCORES, SEEN),
        call=lambda x, seen: torch.ops.aten._safe_softmax(x.masked_fill(~seen, -INF), -1),
        label="empty row",
    ),
    Row("aten.softmax.int", f32(2, 3), call=lambda x: F.softmax(x, dim=1, dtype=torch.float64)),
    # seven axes: XNNPACK takes such an operator, and then cannot run it
    Row("aten.softmax.int", f32(2, 3, 2, 2, 2, 2, 3), -1),
    Row("aten.softmax.int", f32(2, 3, 2, 2, 2, 2, 3), 2),
    Row("aten.log_softmax.int", f32(2, 3, 2, 2, 2, 2, 3), 1),
]
