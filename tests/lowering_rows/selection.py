"""Choosing between elements."""

import torch

from . import Row, const, f32, i32, i64, truths

INFINITE = torch.tensor([float("inf"), -float("inf"), float("nan"), 0.0, 1.5])
OTHERS = torch.tensor([1.0, 2.0, 3.0, float("nan"), 1.0])
BYTES = torch.tensor([0, 1, 7, 100, 200, 255], dtype=torch.uint8)
CAUSAL = torch.ones(4, 4, dtype=torch.bool).triu(1)
LOWEST = torch.finfo(torch.float32).min
NUMBERS = torch.tensor([-1e30, -2.0, 0.0, 3.0, 1e30])
DOWN = torch.tensor([False, True, True, False, True])

ROWS = [
    Row("aten.where.self", truths(2, 3), f32(2, 3), f32(3)),
    Row("aten.where.self", truths(2, 1), f32(3), f32()),
    Row("aten.where.self", truths(2, 3), i64(2, 3), f32(3)),
    Row("aten.where.self", truths(2, 3), truths(3), truths(2, 3, seed=1)),
    Row("aten.where.self", truths(2, 3, 2, 2, 2), f32(2, 2), f32(2, 1, 2, 1, 2), label="rank 5"),
    Row("aten.where.self", truths(6), BYTES, BYTES.flip(0)),
    Row("aten.where.self", truths(2, 3), f32(2, 3), const(f32(3))),
    Row("aten.where.self", const(CAUSAL), f32(4, 4), f32(4, 4, seed=1), label="constant mask"),
    Row("aten.where.self", const(CAUSAL), const(f32(4)), f32(4, 4), label="constant filler"),
    Row("aten.where.self", const(torch.tensor(True)), f32(4), f32(3, 4), label="all true"),
    Row("aten.where.self", const(torch.tensor([False])), f32(4), f32(1), label="all false"),
    Row(
        "aten.where.self",
        truths(2, 3),
        f32(2, 3),
        f32(3),
        dynamic={0: [0], 1: [0]},
        also=[[truths(5, 3), f32(5, 3), f32(3)]],
    ),
    Row("aten.where.ScalarSelf", truths(2, 3), 1.5, f32(3)),
    Row("aten.where.ScalarOther", truths(2, 3), f32(3), 2),
    Row("aten.where.Scalar", truths(2, 3), 1.0, 0.0),
    Row("aten.where.Scalar", truths(2, 3), 1, -1),
    Row("aten.masked_fill.Scalar", f32(2, 3), truths(3), 7),
    Row("aten.masked_fill.Scalar", f32(2, 3), truths(2, 3), float("-inf")),
    Row("aten.masked_fill.Scalar", i64(2, 3), truths(2, 1), -100),
    Row("aten.masked_fill.Scalar", truths(2, 3), truths(2, 1), True),
    Row("aten.masked_fill.Tensor", f32(2, 3), truths(3), f32()),
    Row("aten.masked_fill.Tensor", f32(2, 3), truths(3), const(torch.tensor(-1e9))),
    *(
        Row("aten.masked_fill.Scalar", f32(2, 4, 4), const(CAUSAL), value, label=f"{value}")
        for value in (float("-inf"), float("inf"), LOWEST, -1e4, 0.0, float("nan"))
    ),
    Row("aten.masked_fill.Scalar", NUMBERS, const(DOWN), -1.0, label="between"),
    Row("aten.masked_fill.Scalar", INFINITE, const(~DOWN), 2.0, label="infinite"),
    Row(
        "aten.masked_fill.Scalar",
        f32(2, 4, 4),
        const(CAUSAL),
        float("-inf"),
        dynamic={0: [0]},
        also=[[f32(3, 4, 4)]],
    ),
    Row(
        "aten.masked_fill.Scalar",
        f32(2, 3),
        truths(3),
        0.5,
        dynamic={0: [0]},
        also=[[f32(5, 3), truths(3)]],
    ),
    Row("aten.clamp", f32(2, 3), -0.5, 0.75),
    Row("aten.clamp", f32(2, 3), 0),
    Row("aten.clamp", f32(2, 3) * 5, 0, 6, label="relu6"),
    Row("aten.clamp", f32(2, 3), -1, 1, label="relu_n1_to_1"),
    Row("aten.clamp", f32(2, 3), None, 0.5),
    Row("aten.clamp", f32(2, 3), 1.0, -1.0, label="crossed"),
    Row("aten.clamp", INFINITE, -2.0, 2.0, label="infinite"),
    Row("aten.clamp", i64(2, 3), -2, 3),
    Row("aten.clamp", i64(2, 3), -0.5, 2**40, label="far bounds"),
    Row("aten.clamp", i64(2, 3), -(2**40), 2, label="far bounds"),
    Row("aten.clamp", BYTES, 3, 120),
    Row("aten.clamp.Tensor", f32(2, 3), f32(3), f32(2, 1)),
    Row("aten.clamp.Tensor", f32(2, 3), None, const(f32(3))),
    Row("aten.clamp.Tensor", i64(2, 3), f32(3), None),
    Row("aten.clip", f32(2, 3), -0.5, 0.75),
    Row("aten.clamp", f32(2, 3), -0.5, 0.75, dynamic={0: [0]}, also=[[f32(5, 3)]]),
    Row("aten.clamp_min", f32(2, 3), 0.5),
    Row("aten.clamp_min", i64(2, 3), 1),
    Row("aten.clamp_min.Tensor", f32(2, 3), f32(3)),
    Row("aten.clamp_max", f32(2, 3), 0.5),
    Row("aten.clamp_max.Tensor", f32(2, 3), f32(3)),
    *(
        Row(f"aten.{name}", *values)
        for name in ("maximum", "minimum", "fmax", "fmin")
        for values in (
            (f32(2, 3), f32(3)),
            (f32(2, 3), const(f32(3))),
            (i64(2, 3), i64(2, 1)),
            (i32(2, 3), f32(3)),
            (BYTES, BYTES.flip(0)),
        )
    ),
    Row("aten.maximum", truths(2, 3), truths(3)),
    Row("aten.minimum", truths(2, 3), truths(3)),
    Row("aten.maximum", INFINITE, const(f32(5)), label="not a number"),
    Row("aten.maximum", f32(5), INFINITE, label="not a number"),
    Row("aten.fmax", INFINITE, OTHERS, label="not a number"),
    Row("aten.fmin", INFINITE, OTHERS, label="not a number"),
    Row("aten.nan_to_num", INFINITE),
    Row("aten.nan_to_num", INFINITE, 2.0, 100.0, -50.0),
    Row("aten.nan_to_num", INFINITE, None, 3.0),
    Row("aten.nan_to_num", i64(2, 3)),
]
