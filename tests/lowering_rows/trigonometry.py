"""Circular and hyperbolic functions."""

import torch

from . import Row, f32, i64

SMALL = torch.tensor([1e-6, -1e-4, 1e-20, 0.0])
LARGE = torch.tensor([1e4, -1e10, 1e19, -1e30])
UNIT = torch.tensor([-1.0, -0.9999, -0.5, 0.0, 1e-4, 0.3, 0.9999, 1.0])
NEAR_OVERFLOW = "XNNPACK's EXP is off by 4e-6 where its result nears the largest float32"
NOT_A_NUMBER = torch.tensor([float("nan"), 0.5])

ROWS = [
    *(
        Row(f"aten.{name}", f32(2, 3, low=low, high=high))
        for name, low, high in (
            ("sin", -6.0, 6.0),
            ("cos", -6.0, 6.0),
            ("tan", -1.2, 1.2),
            ("sinc", -3.0, 3.0),
            ("atan", -9.0, 9.0),
            ("arctan", -9.0, 9.0),
            ("asin", -1.0, 1.0),
            ("arcsin", -1.0, 1.0),
            ("acos", -1.0, 1.0),
            ("arccos", -1.0, 1.0),
            ("tanh", -6.0, 6.0),
            ("cosh", -6.0, 6.0),
            ("sinh", -6.0, 6.0),
            ("asinh", -6.0, 6.0),
            ("arcsinh", -6.0, 6.0),
            ("acosh", 1.0, 6.0),
            ("arccosh", 1.0, 6.0),
            ("atanh", -1.0, 1.0),
            ("arctanh", -1.0, 1.0),
            ("deg2rad", -180.0, 180.0),
            ("rad2deg", -3.0, 3.0),
        )
    ),
    *(
        Row(f"aten.{name}", i64(2, 3))
        for name in ("sin", "cos", "atan", "tanh", "cosh", "sinh", "asinh", "deg2rad")
    ),
    *(
        Row(f"aten.{name}", SMALL, label="small")
        for name in ("sin", "tan", "sinc", "atan", "asin", "tanh", "sinh", "asinh", "atanh")
    ),
    *(
        Row(f"aten.{name}", NOT_A_NUMBER, label="not a number")
        for name in ("sin", "sinc", "atan", "asin", "acos", "tanh", "asinh", "acosh", "atanh")
    ),
    Row("aten.tan", f32(400, low=-100.0, high=100.0), label="turns"),
    Row("aten.tan", torch.tensor([1.5707, 1.5709, -4.7123, 10.99557]), label="near poles"),
    Row("aten.sinc", torch.tensor([0, 1, -2])),
    Row("aten.asin", UNIT, label="unit"),
    Row("aten.acos", UNIT, label="unit"),
    Row("aten.atanh", UNIT[1:-1], label="unit"),
    Row("aten.asin", torch.tensor([2.0, 0.0, 0.5]), label="outside"),
    Row("aten.asinh", LARGE, label="large"),
    Row("aten.acosh", LARGE.abs(), label="large"),
    Row("aten.acosh", 1 + SMALL.abs(), label="near 1"),
    Row("aten.acosh", torch.tensor([0.5, 2.0]), label="outside"),
    Row("aten.cosh", f32(5, low=80.0, high=89.3), label="large", sqnr=105, reason=NEAR_OVERFLOW),
    Row("aten.sinh", f32(5, low=-89.3, high=-80.0), label="large", sqnr=105, reason=NEAR_OVERFLOW),
    Row("aten.atan", LARGE, label="large"),
    Row("aten.atan", f32(40, 30), label="many"),
    Row("aten.atan", f32(), label="0-d"),
    Row("aten.atan", f32(2, 3), dynamic={0: [0]}, also=[[f32(5, 3)]]),
    Row("aten.atan2", f32(2, 3), f32(2, 3, seed=1)),
    Row("aten.atan2", f32(2, 1), f32(3)),
    Row("aten.atan2", i64(2, 3), f32(1)),
    Row("aten.atan2", torch.tensor([0.0, 0.0, 1.0, -1.0]), torch.tensor([1.0, -1.0, 0.0, 0.0])),
    Row("aten.arctan2", f32(2, 3), f32(3)),
]
