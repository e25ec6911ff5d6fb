"""Arithmetic on elements."""

from . import Row, const, f32, i64, truths

ROWS = [
    Row("aten.add", f32(2, 3), f32(3), alpha=0.5),
    Row("aten.add", f32(2, 3), 1.5),
    Row("aten.add", i64(2, 3), 1.5),
    Row("aten.add", i64(2, 3), f32(2, 1)),
    Row("aten.add", truths(2, 3), truths(2, 3)),
    Row("aten.add", f32(2, 3), const(f32(3, 2).t()), label="constant that is not contiguous"),
    Row("aten.add", f32(2, 3), f32(1, 3), dynamic={0: [0]}, also=[[f32(5, 3), f32(1, 3)]]),
]
