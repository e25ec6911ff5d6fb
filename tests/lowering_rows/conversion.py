"""Conversions of type, and copies."""

import torch

from . import Row, f32, i32, i64, truths

FLOATS = torch.tensor([0.0, -0.0, 0.7, -0.7, 1.9, -1.9, 250.0, 300.0, -3.0])
BYTES = torch.tensor([0, 1, 7, 100, 200, 255], dtype=torch.uint8)
TYPES = (torch.float32, torch.int64, torch.int32, torch.uint8, torch.int8, torch.bool)
SOURCES = (FLOATS, i64(2, 3), i32(2, 3, low=-300, high=300), BYTES, truths(2, 3))

ROWS = [
    *(
        Row("aten.to.dtype", source, dtype, label=str(dtype).removeprefix("torch."))
        for source in SOURCES
        for dtype in TYPES
    ),
    Row("aten.to.dtype", f32(2, 3), torch.float64),
    Row("aten.to.dtype", f32(2, 3), torch.float32, False, True, label="copy"),
    Row("aten.to.dtype", f32(2, 3), torch.int32, dynamic={0: [0]}, also=[[f32(5, 3)]]),
    Row("aten.to.device", i64(2, 3), torch.device("cpu"), torch.float32),
    Row("aten.to.other", i64(2, 3), f32(1)),
    Row("aten.to.dtype_layout", i64(2, 3), dtype=torch.float32),
    Row("aten._to_copy", i64(2, 3), dtype=torch.float32),
    Row("aten._to_copy", f32(2, 3)),
    Row("aten.type_as", i64(2, 3), f32(1)),
    *(
        Row(f"aten.{name}", f32(2, 3))
        for name in (
            "clone",
            "contiguous",
            "detach",
            "detach_copy",
            "alias",
            "alias_copy",
            "lift_fresh",
            "lift_fresh_copy",
            "resolve_conj",
            "resolve_neg",
        )
    ),
    Row("aten.clone", f32(2, 3), memory_format=torch.contiguous_format),
    Row("aten.contiguous", f32(2, 3), call=lambda x: x.t().contiguous(), label="of a transpose"),
    Row("aten.copy", f32(2, 3), i64(3)),
    Row("aten.copy", i64(2, 3), f32()),
    Row("aten.copy", f32(2, 3), f32(3), call=lambda x, y: (x + 1).copy_(y), label="in place"),
    *(
        Row(f"aten.{name}dropout", f32(2, 3, 4), 0.5, False)
        for name in ("", "feature_", "alpha_", "feature_alpha_", "native_")
    ),
    Row("aten.dropout", f32(2, 3), 0.0, True),
    Row("aten.dropout", f32(2, 3), 0.5, True, unsupported="train=True"),
]
