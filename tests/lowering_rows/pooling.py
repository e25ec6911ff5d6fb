"""Pools with given windows."""

from collections.abc import Callable

import torch
from torch.nn import functional

from . import Row, f32, i64


def _indices(x: torch.Tensor) -> torch.Tensor:
    return functional.max_pool2d(x, 3, 2, 1, return_indices=True)[1]


def _first(*args: object) -> torch.Tensor:
    return torch.ops.aten.max_pool2d_with_indices(*args)[0]


def pooled_and_back(*window: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Greatest cells, changed, in their places: kernel, stride and padding of the pool."""

    def call(x: torch.Tensor) -> torch.Tensor:
        best, places = functional.max_pool2d(x, *window, return_indices=True)
        return functional.max_unpool2d(best * 2, places, *window, output_size=x.shape)

    return call


CELLS = torch.tensor([[0, 3], [9, 5]])  # of a plane, none twice

ROWS = [
    Row("aten.max_pool2d", f32(2, 3, 8, 9), [2, 2]),
    Row("aten.max_pool2d", f32(2, 3, 8, 9), [2], label="one number"),
    Row("aten.max_pool2d", f32(1, 3, 8, 8, high=-1.0), [3, 3], [2, 2], [1, 1], label="negative"),
    Row("aten.max_pool2d", f32(1, 3, 7, 7, high=-1.0), [3, 3], [2, 2], [1, 1], label="same"),
    Row("aten.max_pool2d", f32(1, 3, 8, 8) - 1e30, [3, 3], [2, 2], [1, 1], label="very low"),
    Row("aten.max_pool2d", f32(1, 3, 8, 9), [3, 2], [2, 1], [1, 0], [1, 1], True, label="ceil"),
    Row("aten.max_pool2d", f32(1, 3, 6, 6), [2, 2], [2, 2], [1, 1], [1, 1], True, label="ceil"),
    Row("aten.max_pool2d", f32(1, 3, 10, 11), [3, 3], [3, 3], [0, 0], [1, 1], True, label="ceil"),
    Row("aten.max_pool2d", f32(1, 3, 10, 9, high=-1.0), [3, 2], [2, 1], [1, 1], [2, 3]),
    Row("aten.max_pool2d", f32(1, 3, 10, 9), [3, 3], [2, 2], [1, 1], [2, 2], True, label="ceil"),
    Row("aten.max_pool2d", f32(1, 3, 9, 9), [1, 1], [2, 2], label="one cell"),
    Row("aten.max_pool2d", f32(3, 9, 9), [3, 3], label="no batch"),
    Row("aten.max_pool2d", f32(1, 3, 13, 13), [5, 5], [1, 1], [2, 2]),
    Row("aten.max_pool2d", i64(1, 3, 9, 9), [3, 3], [2, 2], [1, 1]),
    Row(
        "aten.max_pool2d",
        f32(2, 3, 8, 8),
        [3, 3],
        [2, 2],
        [1, 1],
        label="dynamic",
        dynamic={0: [0, 2]},
        also=[[f32(3, 3, 11, 8)]],
    ),
    Row(
        "aten.max_pool2d",
        f32(2, 3, 8, 8),
        [3, 3],
        [2, 2],
        [1, 1],
        [1, 1],
        True,
        dynamic={0: [2]},
        unsupported="ceil_mode depends on a size that changes",
    ),
    Row("aten.max_pool1d", f32(2, 3, 9), [3], [2], [1]),
    Row("aten.max_pool1d", f32(3, 9), [2], label="no batch"),
    Row("aten.max_pool1d", f32(2, 3, 10), [3], [2], [1], [2], True),
    Row("aten.max_pool3d", f32(2, 3, 6, 7, 8), [2, 2, 2]),
    Row("aten.max_pool3d", f32(1, 3, 6, 7, 8, high=-1.0), [3, 3, 3], [2, 2, 2], [1, 1, 1]),
    Row("aten.max_pool3d", f32(1, 3, 6, 7, 8), [1, 3, 3], [1, 2, 2], [0, 1, 1], [1], True),
    Row("aten.max_pool3d", f32(1, 3, 7, 7, 8), [2, 3, 2], [1, 2, 2], [0, 1, 1], [2, 1, 3]),
    Row("aten.max_pool3d", f32(3, 6, 7, 8), [2, 1, 1], label="no batch"),
    Row("aten.max_pool2d_with_indices", f32(2, 3, 8, 9), [2, 2]),
    Row("aten.max_pool2d_with_indices", f32(1, 3, 8, 9), [3, 3], [2, 2], [1, 1], [1, 1], True),
    Row("aten.max_pool2d_with_indices", f32(3, 8, 9), [3, 2], [2, 1], [1, 1], [2, 3]),
    Row("aten.max_pool2d_with_indices", f32(1, 3, 8, 9).round(), [3, 3], label="ties"),
    Row("aten.max_pool2d_with_indices", f32(1, 3, 8, 9), call=_indices, label="indices only"),
    Row("aten.max_pool2d_with_indices", f32(1, 3, 8, 9), [3, 3], call=_first, label="values only"),
    Row(
        "aten.max_pool2d_with_indices",
        f32(2, 3, 8, 9),
        [2, 2],
        label="dynamic",
        dynamic={0: [0]},
        also=[[f32(3, 3, 8, 9)]],
    ),
    Row(
        "aten.max_pool2d_with_indices",
        f32(2, 3, 8, 9),
        [2, 2],
        dynamic={0: [2]},
        unsupported="self depends on a size that changes",
    ),
    Row("aten.max_pool1d_with_indices", f32(2, 3, 9), [3], [2], [1]),
    Row("aten.max_pool3d_with_indices", f32(2, 3, 5, 7, 6), [3, 2, 3], [2, 2, 2], [1, 1, 0]),
    Row("aten.max_unpool2d", f32(2, 3, 2, 2), CELLS.repeat(2, 3, 1, 1), [5, 4]),
    Row("aten.max_unpool2d", f32(3, 2, 2), CELLS.repeat(3, 1, 1), [4, 4]),
    Row(
        "aten.max_unpool3d",
        *(f32(2, 1, 1, 2, 2), CELLS.repeat(2, 1, 1, 1, 1), [2, 3, 4], [2, 2, 2], [0, 0, 0]),
    ),
    Row("aten.max_unpool2d", f32(2, 3, 8, 6), call=pooled_and_back(2), label="of its own pool"),
    Row("aten.max_unpool2d", f32(2, 3, 7, 9), call=pooled_and_back(2, 3), label="spread"),
    Row("aten.max_unpool2d", f32(1, 3, 7, 9), call=pooled_and_back(3, 2, 1), label="overlapping"),
    Row(
        "aten.max_unpool2d",
        f32(2, 3, 8, 6),
        call=pooled_and_back(2),
        dynamic={0: [0]},
        also=[[f32(5, 3, 8, 6)]],
    ),
    Row("aten.max_unpool2d", f32(1, 64, 56, 56), call=pooled_and_back(3, 2), label="overlapping"),
    Row("aten.max_unpool2d", f32(1, 64, 56, 56), call=pooled_and_back(2), label="large"),
    Row("aten.avg_pool2d", f32(2, 3, 8, 9), [2, 2]),
    Row("aten.avg_pool2d", f32(1, 3, 8, 8), [3, 3], [2, 2], [1, 1]),
    Row("aten.avg_pool2d", f32(1, 3, 7, 7), [3, 3], [2, 2], [1, 1], False, False, label="same"),
    Row("aten.avg_pool2d", f32(1, 3, 7, 7), [3, 3], [1, 1], [1, 1], False, False, label="same"),
    Row("aten.avg_pool2d", f32(1, 3, 8, 7), [3, 3], [2, 2], [1, 1], False, False, label="uneven"),
    Row("aten.avg_pool2d", f32(1, 3, 8, 9), [3, 2], [2, 1], [1, 0], True, True, label="ceil"),
    Row("aten.avg_pool2d", f32(1, 3, 8, 9), [3, 3], [2, 3], [1, 1], True, False, label="ceil"),
    Row("aten.avg_pool2d", f32(1, 3, 7, 8), [2, 2], [2, 2], [0, 0], True, True, label="ceil"),
    Row("aten.avg_pool2d", f32(1, 3, 7, 8), [2, 2], [2, 2], [0, 0], True, False, label="ceil"),
    Row("aten.avg_pool2d", f32(1, 3, 7, 8), [3, 3], [2, 2], [1, 1], True, True, 7),
    Row("aten.avg_pool2d", f32(1, 3, 7, 7), [3, 3], [2, 2], [1, 1], False, False, 5),
    Row("aten.avg_pool2d", f32(3, 7, 7), [3, 3], label="no batch"),
    Row("aten.avg_pool2d", f32(1, 3, 7, 7), [1, 1], [2, 2], label="one cell"),
    Row("aten.avg_pool2d", f32(1, 3, 7, 7), [7, 7], label="whole"),
    Row(
        "aten.avg_pool2d",
        f32(2, 3, 8, 8),
        [3, 3],
        [2, 2],
        [1, 1],
        label="dynamic",
        dynamic={0: [0, 2]},
        also=[[f32(3, 3, 11, 8)]],
    ),
    Row(
        "aten.avg_pool2d",
        f32(2, 3, 8, 8),
        [3, 3],
        [2, 2],
        [1, 1],
        False,
        False,
        dynamic={0: [2]},
        unsupported="count_include_pad depends on a size that changes",
    ),
    Row("aten.avg_pool2d", i64(1, 3, 7, 7), [2, 2], unsupported="self=int32"),
    Row("aten.avg_pool1d", f32(2, 3, 9), [3], [2], [1]),
    Row("aten.avg_pool1d", f32(2, 3, 10), [3], [2], [1], True, False),
    Row("aten.avg_pool1d", f32(3, 10), [2], label="no batch"),
    Row("aten.avg_pool3d", f32(2, 3, 6, 7, 8), [2, 2, 2]),
    Row("aten.avg_pool3d", f32(1, 3, 6, 7, 8), [3, 3, 3], [2, 2, 2], [1, 1, 1]),
    Row("aten.avg_pool3d", f32(1, 3, 5, 7, 9), [3, 3, 3], [2, 2, 2], [1, 1, 1], False, False),
    Row("aten.avg_pool3d", f32(1, 3, 6, 7, 8), [3, 2, 3], [2, 2, 1], [1, 0, 1], True, False),
    Row("aten.avg_pool3d", f32(3, 6, 7, 8), [1, 2, 2], [2], [0], True, True, 3),
    Row("aten.avg_pool2d", f32(1, 3, 8, 8), 2.0, [2, 2], call=functional.lp_pool2d, label="lp"),
]
