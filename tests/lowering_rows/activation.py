"""Activation functions."""

from . import Row, f32

ROWS = [
    Row("aten.relu", f32(2, 3, 4)),
    Row("aten.relu", f32(), label="0-d"),
    Row("aten.leaky_relu", f32(2, 3, 4)),
    Row("aten.leaky_relu", f32(2, 3, 4), 0.2),
]
