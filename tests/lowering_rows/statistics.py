"""Rows of variances, deviations and bins."""

from __future__ import annotations

import torch

from . import Row, const, f32, i32, i64

INF = float("inf")
NAN = float("nan")
OFFSET = f32(4, 64, low=99, high=101)
EDGES = torch.tensor([-1.0, 0.0, 0.5, 1.0])
PROBES = torch.tensor([[-2.0, -1.0, 0.25], [0.5, 1.0, 3.0], [INF, -INF, NAN]])

ROWS = [
    *(
        row
        for name in ("var", "std", "var_mean", "std_mean")
        for row in (
            Row(f"aten.{name}.correction", f32(2, 3, 4), [1]),
            Row(f"aten.{name}.correction", f32(2, 3, 4), [0, -1], correction=0, keepdim=True),
            Row(f"aten.{name}.correction", f32(2, 3, 4), None, correction=1.5),
            Row(f"aten.{name}.correction", f32(2, 3, 4), [], correction=2),
            Row(f"aten.{name}.correction", f32(2, 1, 4), [1], label="of one"),
            Row(f"aten.{name}.correction", f32(), [0], correction=0),
            Row(
                f"aten.{name}.correction",
                f32(2, 3, 4),
                [1],
                keepdim=True,
                dynamic={0: [0, 1]},
                also=[[f32(3, 9, 4)]],
            ),
            Row(f"aten.{name}.default", f32(3, 4)),
            Row(f"aten.{name}.default", f32(3, 4), False),
            Row(f"aten.{name}.dim", f32(3, 4), [1]),
            Row(f"aten.{name}.dim", f32(3, 4), [0], False, True),
            Row(f"aten.{name}.dim", OFFSET, [1], label="mean 100"),
        )
    ),
    Row("aten.bucketize.Tensor", PROBES, const(EDGES)),
    Row("aten.bucketize.Tensor", PROBES, const(EDGES), right=True, out_int32=True),
    Row("aten.bucketize.Tensor", i64(3, 4), const(torch.tensor([-2, 0, 3]))),
    Row("aten.bucketize.Tensor", i32(3, 4), const(EDGES)),
    Row("aten.bucketize.Tensor", f32(), const(EDGES)),
    Row("aten.bucketize.Tensor", f32(3), const(EDGES), dynamic={0: [0]}, also=[[f32(8)]]),
    Row("aten.searchsorted.Tensor", f32(6).sort().values, f32(2, 3, seed=1)),
    Row("aten.searchsorted.Tensor", f32(2, 6).sort(-1).values, f32(2, 3), side="right"),
    Row("aten.searchsorted.Tensor", f32(2, 6).sort(-1).values, f32(2, 3), right=True),
    Row("aten.searchsorted.Scalar", f32(9).sort().values, 0.5),
    Row("aten.searchsorted.Scalar", i32(9).sort().values, 0.5),
    Row("aten.searchsorted.Scalar", i64(9).sort().values, 2, right=True),
    Row("aten.searchsorted.Tensor", const(EDGES), PROBES, out_int32=True),
    Row(
        "aten.searchsorted.Tensor",
        f32(2, 6),
        f32(2, 3),
        sorter=const(f32(2, 6).sort(-1).indices),
        unsupported="sorter",
    ),
    Row("aten.histc", f32(40), 4, -1, 1.5),
    Row("aten.histc", f32(3, 7), 5, label="of its own range"),
    Row("aten.histc", torch.ones(6), 5, label="all equal"),
    Row("aten.histc", torch.tensor([0.0, 1, 2, 3, 3, -1, 4]), 4, 0, 3, label="at the edges"),
]
