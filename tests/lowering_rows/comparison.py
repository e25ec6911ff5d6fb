"""Comparisons, logic, and operators on bits."""

import torch

from . import Row, const, f32, i32, i64, truths

INFINITE = torch.tensor([float("inf"), -float("inf"), float("nan"), 0.0, 1.5])
SHIFTED = torch.tensor([float("inf"), 1.0, float("nan"), 1e-9, 1.5])
BYTES = torch.tensor([0, 1, 7, 100, 200, 255], dtype=torch.uint8)
SIGNED_BYTES = torch.tensor([0, 1, -1, 100, -128, 127], dtype=torch.int8)
WIDE = torch.tensor([0, 1, -1, 5, -7, 2**31 - 1, -(2**31), 65536, -65537], dtype=torch.int32)
ORDERS = ("eq", "ne", "lt", "le", "gt", "ge")
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__", "__xor__")

ROWS = [
    *(Row(f"aten.{name}", f32(2, 3).round(), f32(3, seed=1).round()) for name in ORDERS),
    *(Row(f"aten.{name}", f32(2, 3).round(), 1) for name in ORDERS),
    *(Row(f"aten.{name}", i64(2, 3), i64(2, 1)) for name in ORDERS),
    *(Row(f"aten.{name}", i64(2, 3), 0.5) for name in ORDERS),
    *(Row(f"aten.{name}", i64(2, 3), f32(3).round(), label="mixed") for name in ORDERS),
    *(Row(f"aten.{name}", truths(2, 3), truths(3)) for name in ORDERS),
    *(Row(f"aten.{name}", truths(2, 3), 1) for name in ORDERS),
    *(Row(f"aten.{name}", BYTES, BYTES.flip(0)) for name in ORDERS),
    *(Row(f"aten.{name}", SIGNED_BYTES, 1) for name in ORDERS),
    *(Row(f"aten.{name}", INFINITE, INFINITE, label="infinite") for name in ORDERS),
    *(Row(f"aten.{name}", f32(), 0.0, label="0-d") for name in ORDERS),
    Row("aten.lt", f32(2, 1, 3, 2, 2), f32(2, 1, 1, 2), label="rank 5"),
    Row("aten.eq", i64(2, 3), 0, dynamic={0: [0]}, also=[[i64(5, 3)]]),
    Row("aten.gt", f32(2, 3), const(f32(3, 2).t()), label="constant that is not contiguous"),
    Row("aten.isclose", INFINITE, SHIFTED),
    Row("aten.isclose", INFINITE, SHIFTED, 0.0, 1e-3, True, label="equal_nan"),
    Row("aten.isclose", f32(2, 3), f32(3), 0.5),
    Row("aten.isclose", i64(2, 3), i64(3)),
    *(
        Row(f"aten.{name}", values)
        for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf")
        for values in (INFINITE, i64(2, 3))
    ),
    Row("aten.isfinite", i64(2, 3), dynamic={0: [0]}, also=[[i64(5, 3)]]),
    *(
        Row(f"aten.logical_{name}", *values)
        for name in ("and", "or", "xor")
        for values in (
            (truths(2, 3), truths(3)),
            (i64(2, 3, low=-1, high=2), i64(3, low=-1, high=2)),
            (f32(2, 3).round(), truths(2, 1)),
            (BYTES, BYTES.flip(0)),
        )
    ),
    Row("aten.logical_not", truths(2, 3)),
    Row("aten.logical_not", i64(2, 3, low=-1, high=2)),
    Row("aten.logical_not", INFINITE),
    Row("aten.logical_not", BYTES),
    *(Row(f"aten.{name}", truths(2, 3), truths(3)) for name in BITS),
    *(Row(f"aten.{name}", WIDE, WIDE.reshape(-1, 1)) for name in BITS),
    *(Row(f"aten.{name}", WIDE, 12) for name in BITS),
    *(Row(f"aten.{name}", BYTES, BYTES.flip(0)) for name in BITS),
    *(Row(f"aten.{name}", i64(2, 3), const(i64(3))) for name in BITS),
    Row("aten.__iand__", i32(4), i32(4, seed=1), call=lambda x, y: (x + 0).__iand__(y)),
    Row("aten.__ior__", i32(4), i32(4, seed=1), call=lambda x, y: (x + 0).__ior__(y)),
    Row("aten.__ixor__", i32(4), i32(4, seed=1), call=lambda x, y: (x + 0).__ixor__(y)),
    Row("aten.bitwise_and.Scalar_Tensor", 6, i64(2, 3)),
    Row("aten.bitwise_and", truths(2, 3), i64(3)),
    *(
        Row("aten.bitwise_not", values)
        for values in (truths(2, 3), WIDE, BYTES, SIGNED_BYTES, i64(2, 3))
    ),
    Row("aten.bitwise_left_shift", i32(2, 3), 4),
    Row("aten.bitwise_left_shift", i32(2, 3), i32(3, low=0)),
    Row("aten.bitwise_left_shift", BYTES, 3),
    Row("aten.bitwise_left_shift", i32(2, 3), 40, unsupported="32 bits"),
    Row("aten.__lshift__", i64(2, 3), 2),
    Row("aten.bitwise_right_shift", WIDE, 3),
    Row("aten.bitwise_right_shift", WIDE, i32(9, low=0)),
    Row("aten.bitwise_right_shift", BYTES, 3),
    Row("aten.bitwise_right_shift", WIDE, -1, unsupported="other=-1"),
    Row("aten.__rshift__", i64(2, 3), 1),
]
