"""Pools whose result has a given size."""

from torch.nn import functional

from . import Row, f32, i64

ROWS = [
    Row("aten.adaptive_avg_pool2d", f32(2, 3, 8, 9), [1, 1]),
    Row("aten.adaptive_avg_pool2d", f32(2, 3, 8, 9), [4, 3], label="even"),
    Row("aten.adaptive_avg_pool2d", f32(2, 3, 13, 9), [6, 9], label="overlap"),
    Row("aten.adaptive_avg_pool2d", f32(2, 3, 10, 11), [4, 3], label="uneven"),
    Row("aten.adaptive_avg_pool2d", f32(1, 3, 10, 12), [4, 3], label="one uneven"),
    Row("aten.adaptive_avg_pool2d", f32(1, 3, 3, 4), [7, 7], label="larger"),
    Row("aten.adaptive_avg_pool2d", f32(1, 3, 7, 7), [7, 7], label="equal"),
    Row("aten.adaptive_avg_pool2d", f32(1, 3, 7, 8), [1, 8], label="one axis"),
    Row("aten.adaptive_avg_pool2d", f32(3, 7, 9), [2, 4], label="no batch"),
    Row("aten.adaptive_avg_pool2d", f32(3, 7, 9), [1, 1], label="no batch"),
    Row(
        "aten.adaptive_avg_pool2d",
        f32(2, 3, 7, 8),
        [1, 1],
        label="dynamic",
        dynamic={0: [0, 2, 3]},
        also=[[f32(3, 3, 4, 5)]],
    ),
    Row(
        "aten.adaptive_avg_pool2d",
        f32(2, 3, 7, 8),
        [3, 4],
        label="dynamic",
        dynamic={0: [0]},
        also=[[f32(3, 3, 7, 8)]],
    ),
    Row(
        "aten.adaptive_avg_pool2d",
        f32(2, 3, 7, 8),
        [3, 4],
        dynamic={0: [2]},
        unsupported="self depends on a size that changes",
    ),
    Row(
        "aten.adaptive_avg_pool2d", f32(1, 3, 7, 9), (None, 4), call=functional.adaptive_avg_pool2d
    ),
    Row(
        "aten.adaptive_avg_pool2d",
        f32(1, 3, 7, 9),
        size=(3, 4),
        mode="area",
        call=functional.interpolate,
    ),
    Row("aten._adaptive_avg_pool2d", f32(1, 3, 10, 12), [4, 3]),
    Row("aten.adaptive_avg_pool1d", f32(2, 3, 10), [5]),
    Row("aten.adaptive_avg_pool1d", f32(2, 3, 10), [4]),
    Row("aten.adaptive_avg_pool1d", f32(3, 10), [1], label="no batch"),
    Row("aten.adaptive_avg_pool3d", f32(2, 3, 6, 7, 8), [1, 1, 1]),
    Row("aten.adaptive_avg_pool3d", f32(2, 3, 6, 7, 8), [3, 2, 5]),
    Row("aten.adaptive_avg_pool3d", f32(3, 6, 7, 8), [1, 7, 4], label="no batch"),
    Row("aten._adaptive_avg_pool3d", f32(2, 3, 6, 7, 8), [3, 2, 5]),
    Row("aten.adaptive_max_pool1d", f32(2, 3, 10), [4]),
    Row("aten.adaptive_max_pool1d", f32(3, 10), [5], label="no batch"),
    Row("aten.adaptive_max_pool2d", f32(2, 3, 8, 9), [4, 3], label="even"),
    Row("aten.adaptive_max_pool2d", f32(2, 3, 10, 11), [4, 3], label="uneven"),
    Row("aten.adaptive_max_pool2d", f32(2, 3, 10, 11).round(), [4, 3], label="ties"),
    Row("aten.adaptive_max_pool2d", f32(2, 3, 4, 3), [6, 7], label="larger"),
    Row("aten.adaptive_max_pool2d", f32(2, 3, 10, 11), 1, call=functional.adaptive_max_pool2d),
    Row("aten.adaptive_max_pool3d", f32(2, 3, 5, 6, 7), [2, 6, 4]),
    Row(
        "aten.adaptive_max_pool2d",
        f32(2, 3, 7, 8),
        [3, 4],
        dynamic={0: [2]},
        unsupported="self depends on a size that changes",
    ),
    Row("aten.adaptive_avg_pool2d", i64(2, 3, 7, 8), [3, 4], unsupported="self=int32"),
]
