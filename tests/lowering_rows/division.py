"""Quotients and remainders."""

import torch

from . import Row, const, f32, i32, i64, truths

SIGNS = torch.tensor([7.0, -7.0, 7.0, -7.0, 6.0, -6.0, 0.0, 1.0, -1.0, 5.5])
DIVISORS = torch.tensor([2.0, 2.0, -2.0, -2.0, 3.0, -3.0, 3.0, 0.1, 0.1, -2.0])
WHOLE = torch.tensor([7, -7, 7, -7, 6, -6, 0, 1, -1])
WHOLE_DIVISORS = torch.tensor([2, 2, -2, -2, 3, -3, 3, 5, 5])
ODD = i64(3, 3) * 2 + 1
TENTHS = torch.arange(-30, 31) / 10
BYTES = torch.tensor([0, 1, 7, 100, 200, 255], dtype=torch.uint8)
SIGNED_BYTES = torch.tensor([0, 1, -1, 100, -128, 127], dtype=torch.int8)

ROWS = [
    Row("aten.div.Tensor", f32(2, 3), f32(3, low=0.5)),
    Row("aten.div.Tensor", f32(2, 3), 4),
    Row("aten.div.Tensor", i64(3, 3), ODD, label="integers"),
    Row("aten.div.Tensor", i64(3, 3), 3),
    Row("aten.div.Tensor", truths(2, 3), 2),
    Row("aten.div.Tensor", const(f32(3)), f32(2, 3, low=1.0), label="of a constant"),
    Row("aten.div.Tensor", f32(2, 3), 3, dynamic={0: [0]}, also=[[f32(5, 3)]]),
    Row("aten.div.Tensor_mode", SIGNS, DIVISORS, rounding_mode="trunc"),
    Row("aten.div.Tensor_mode", SIGNS, DIVISORS, rounding_mode="floor"),
    Row("aten.div.Tensor_mode", SIGNS, DIVISORS, rounding_mode=None),
    Row("aten.div.Tensor_mode", WHOLE, WHOLE_DIVISORS, rounding_mode="trunc"),
    Row("aten.div.Tensor_mode", WHOLE, WHOLE_DIVISORS, rounding_mode="floor"),
    Row("aten.div.Tensor_mode", WHOLE, WHOLE_DIVISORS, rounding_mode=None),
    Row("aten.div.Scalar_mode", SIGNED_BYTES, 7, rounding_mode="trunc"),
    Row("aten.div.Scalar_mode", SIGNED_BYTES, 7, rounding_mode="floor"),
    Row("aten.div.Scalar_mode", TENTHS, 0.1, rounding_mode="floor", label="tenths"),
    Row("aten.div.Scalar_mode", TENTHS, 0.25, rounding_mode="floor", label="power of two"),
    Row("aten.div.Scalar_mode", i64(3, 3), 2.5, rounding_mode="floor"),
    Row("aten.divide", f32(2, 3), f32(3, low=0.5)),
    Row("aten.divide.Tensor_mode", SIGNS, DIVISORS, rounding_mode="floor"),
    Row("aten.true_divide", i64(2, 3), 3),
    Row("aten.true_divide", f32(2, 3), f32(2, 1, low=0.5)),
    Row("aten.floor_divide", SIGNS, DIVISORS),
    Row("aten.floor_divide", WHOLE, WHOLE_DIVISORS),
    Row("aten.floor_divide", i64(2, 3), 2),
    Row("aten.floor_divide", BYTES, 7),
    Row("aten.floor_divide", const(f32(3)), f32(2, 3, low=0.5), label="of a constant"),
    Row("aten.floor_divide", TENTHS, -0.3),
    Row("aten.remainder", SIGNS, DIVISORS),
    Row("aten.remainder", WHOLE, WHOLE_DIVISORS),
    Row("aten.remainder", i64(2, 3), 3),
    Row("aten.remainder", TENTHS, -0.7),
    Row("aten.remainder", BYTES, 7),
    Row("aten.remainder", SIGNED_BYTES, -7),
    Row("aten.remainder.Scalar_Tensor", 7, ODD),
    Row("aten.remainder", f32(2, 3), f32(3, low=0.5), dynamic={0: [0]}, also=[[f32(4, 3), f32(3)]]),
    Row("aten.fmod", SIGNS, DIVISORS),
    Row("aten.fmod", WHOLE, WHOLE_DIVISORS),
    Row("aten.fmod", i32(2, 3), 3),
    Row("aten.fmod", TENTHS, -0.7),
    Row("aten.fmod", f32(2, 3), const(f32(3))),
    Row("aten.fmod", SIGNED_BYTES, 7),
    Row("aten.reciprocal", f32(2, 3, low=0.1)),
    Row("aten.reciprocal", ODD),
    Row("aten.reciprocal", f32(low=1.0)),
]
