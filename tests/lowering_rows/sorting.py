"""Rows of sorting and of selecting by rank."""

from __future__ import annotations

import torch

from . import Row, f32, i32, i64, truths

INF = float("inf")
TIES = i32(3, 40, low=0, high=5)
LIMITS = torch.tensor([[3, -(2**31), 2**31 - 1, 0, -1]], dtype=torch.int32)
INFINITE = torch.tensor([[0.5, INF, -INF, 3.0, -2.0]])
BYTES = torch.tensor([[7, 0, 255, 128]], dtype=torch.uint8)
SHORT = torch.tensor([[7, 0, -128, 127]], dtype=torch.int8)

ROWS = [
    Row("aten.topk", f32(3, 8), 3),
    Row("aten.topk", f32(3, 8), 8),
    Row("aten.topk", f32(3, 8), 2, largest=False),
    Row("aten.topk", f32(8, 3, 4), 3, 0, False, True),
    Row("aten.topk", f32(2, 8, 4), 3, -2),
    Row("aten.topk", f32(8), 1),
    Row("aten.topk", f32(), 1),
    Row("aten.topk", LIMITS, 3),
    Row("aten.topk", LIMITS, 3, largest=False),
    Row("aten.topk", BYTES, 2),
    Row("aten.topk", SHORT, 2, largest=False),
    Row("aten.topk", f32(3, 8), 3, call=lambda x, k: x.topk(k).indices, label="indices"),
    Row(
        "aten.topk",
        f32(3, 8),
        3,
        call=lambda x, k: x.topk(k, sorted=False).values.sort().values,
        label="unsorted",
    ),
    Row("aten.topk", f32(3, 8), 3, dynamic={0: [0, 1]}, also=[[f32(5, 12)]]),
    Row("aten.sort.default", f32(3, 8)),
    Row("aten.sort.default", f32(3, 8), 0, True),
    Row("aten.sort.default", f32(2, 5, 3), -2),
    Row("aten.sort.default", f32()),
    Row("aten.sort.default", INFINITE),
    Row("aten.sort.default", LIMITS),
    Row("aten.sort.default", i64(3, 4).sort(-1, descending=True).values),
    Row("aten.sort.stable", TIES, stable=True),
    Row("aten.sort.stable", TIES, stable=True, descending=True),
    Row("aten.sort.stable", TIES.float(), stable=True, dim=0),
    Row("aten.sort.stable", truths(3, 9), stable=True, dim=1),
    Row("aten.sort.stable", BYTES, stable=False),
    Row("aten.sort.default", f32(3, 8), dynamic={0: [0]}, also=[[f32(5, 8)]]),
    Row("aten.sort.default", f32(3, 8), dynamic={0: [1]}, also=[[f32(3, 11)]]),
    Row("aten.argsort.default", f32(3, 8)),
    Row("aten.argsort.default", f32(3, 8), 0, True),
    Row("aten.argsort.stable", TIES, stable=True, dim=1, descending=True),
    Row("aten.msort", f32(5, 3)),
    Row("aten.msort", i32(5)),
    Row("aten.kthvalue", f32(3, 8), 2),
    Row("aten.kthvalue", f32(3, 8), 8, 1, True),
    Row("aten.kthvalue", f32(8, 3), 3, 0),
    Row("aten.kthvalue", f32(), 1),
    Row("aten.kthvalue", LIMITS, 1),
    Row("aten.median.default", f32(3, 5)),
    Row("aten.median.default", f32(2, 3), label="lower of two"),
    Row("aten.median.default", f32()),
    Row("aten.median.dim", f32(3, 5), 1),
    Row("aten.median.dim", f32(4, 5), 0, True),
    Row("aten.median.dim", f32(3, 5), -1, dynamic={0: [0]}, also=[[f32(7, 5)]]),
    Row("aten.median.dim", f32(3, 5), -1, dynamic={0: [1]}, unsupported="depends on a size"),
]
