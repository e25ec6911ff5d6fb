"""Special functions, and those of the sign bit."""

import torch

from . import Row, f32, i64

SMALL = torch.tensor([1e-6, -1e-4, 1e-20, 0.0])
ZEROS = torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, float("inf"), -float("inf"), 3e38])
OUTSIDE = torch.tensor(
    [1.0, -1.0, 1.0000001, -3.0, float("inf"), -float("inf"), float("nan"), -0.0]
)

ROWS = [
    Row("aten.erf", f32(5, 7, low=-5.0, high=5.0)),
    Row("aten.erf", SMALL, label="small"),
    Row("aten.erf", torch.tensor([float("inf"), -float("inf"), float("nan")]), label="infinite"),
    Row("aten.erf", i64(2, 3)),
    Row("aten.erf", f32(2, 3), dynamic={0: [0]}, also=[[f32(5, 3)]]),
    Row("aten.special_erf", f32(2, 3)),
    Row("aten.erfc", f32(5, 7, low=-5.0, high=5.0)),
    Row("aten.erfc", f32(9, low=3.0, high=5.0), label="tail"),
    Row("aten.erfc", SMALL, label="small"),
    Row("aten.special_erfc", f32(2, 3)),
    Row("aten.erfinv", f32(5, 7, low=-1.0, high=1.0)),
    Row("aten.erfinv", 1 - torch.logspace(-1, -7.2, 40), label="tail"),
    Row("aten.erfinv", SMALL, label="small"),
    Row("aten.erfinv", OUTSIDE, label="edges"),
    Row("aten.erfinv", i64(2, 3, low=-2, high=3)),
    Row("aten.erfinv", f32(2, 3, low=-0.9, high=0.9), dynamic={0: [0]}, also=[[f32(5, 3) / 2.5]]),
    Row("aten.special_erfinv", torch.tensor(0.3), label="0-d"),
    Row("aten.copysign", f32(3, 3), ZEROS.reshape(3, 3), label="zeros"),
    Row("aten.copysign", f32(2, 3), -1.0),
    Row("aten.copysign", i64(2, 3), f32(3)),
    Row("aten.angle", ZEROS),
    Row("aten.angle", OUTSIDE, label="edges"),
    Row("aten.angle", i64(2, 3)),
    Row("aten.signbit", ZEROS),
    Row("aten.signbit", i64(2, 3)),
    Row("aten.heaviside", torch.tensor([-1.0, 0.0, -0.0, 2.0]), f32(4)),
    Row("aten.heaviside", i64(2, 3), i64(1)),
    Row("aten.heaviside", f32(2, 3).round(), f32()),
]
