"""Sliding blocks as columns, and back."""

from . import Row, f32

ROWS = [
    Row("aten.im2col", f32(2, 3, 6, 7), [3, 3], [1, 1], [0, 0], [1, 1]),
    Row("aten.im2col", f32(1, 3, 6, 7), [3, 2], [1, 2], [1, 1], [2, 1]),
    Row("aten.im2col", f32(1, 3, 9, 9), [3, 3], [2, 2], [2, 2], [2, 3]),
    Row("aten.im2col", f32(2, 3, 6, 8), [2, 4], [1, 1], [0, 0], [2, 4], label="tiles"),
    Row("aten.im2col", f32(2, 3, 7, 9), [2, 4], [1, 1], [0, 0], [2, 4], label="cut tiles"),
    Row("aten.im2col", f32(3, 6, 7), [3, 3], [1, 1], [1, 1], [1, 1], label="no batch"),
    Row("aten.im2col", f32(1, 3, 9, 10), [7, 7], [1, 1], [3, 3], [1, 1], label="wide"),
    Row(
        "aten.im2col",
        f32(2, 3, 6, 8),
        [3, 3],
        [1, 1],
        [1, 1],
        [1, 1],
        label="dynamic",
        dynamic={0: [0]},
        also=[[f32(3, 3, 6, 8)]],
    ),
    Row("aten.col2im", f32(2, 12, 12), [6, 8], [2, 2], [1, 1], [0, 0], [2, 2], label="tiles"),
    Row("aten.col2im", f32(2, 12, 12), [7, 9], [2, 2], [1, 1], [0, 0], [2, 2], label="cut tiles"),
    Row("aten.col2im", f32(2, 27, 20), [6, 7], [3, 3], [1, 1], [0, 0], [1, 1], label="overlap"),
    Row("aten.col2im", f32(1, 18, 21), [6, 7], [3, 2], [1, 2], [1, 1], [2, 1]),
    Row("aten.col2im", f32(1, 27, 15), [9, 9], [3, 3], [2, 2], [2, 2], [2, 3]),
    Row("aten.col2im", f32(12, 12), [6, 8], [2, 2], [1, 1], [0, 0], [2, 2], label="no batch"),
    Row(
        "aten.col2im",
        f32(2, 27, 42),
        [6, 7],
        [3, 3],
        [1, 1],
        [1, 1],
        [1, 1],
        label="dynamic",
        dynamic={0: [0]},
        also=[[f32(3, 27, 42)]],
    ),
]
