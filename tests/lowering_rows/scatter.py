"""Writing into slices and rows of a tensor."""

import sys

import torch

from . import Row, const, f32, i64, truths

LAST = sys.maxsize


def at(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


def write(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x[:, 1:3] = y
    x[:, ::2] *= 2
    return x


OFTEN = i64(2048, low=0, high=1000)  # many cells more than once

ROWS = [
    Row("aten.copy", f32(2, 3), f32(3)),
    Row("aten.copy", f32(2, 3), i64(2, 1)),
    Row("aten.slice_scatter", f32(5), call=torch.vander, label="inside of vander"),
    Row("aten.slice_scatter", f32(4), call=lambda x: torch.vander(x, 3, True), label="rising"),
    Row("aten.slice_scatter", f32(4, 5), f32(2, 5), 0, 1, 3),
    Row("aten.slice_scatter", f32(4, 5), f32(4, 2), 1, -2, LAST),
    Row("aten.slice_scatter", f32(4, 5), f32(4, 5), 1),
    Row("aten.slice_scatter", f32(4, 5), f32(4, 2), 1, 0, 2),
    Row("aten.slice_scatter", f32(4, 6), f32(4, 3), 1, 0, LAST, 2),
    Row("aten.slice_scatter", i64(4, 7), i64(4, 3), 1, 1, LAST, 2),
    Row(
        "aten.slice_scatter",
        f32(4, 5),
        f32(4, 1),
        -1,
        -1,
        LAST,
        dynamic={0: [0], 1: [0]},
        also=[[f32(6, 5), f32(6, 1)]],
    ),
    Row(
        "aten.slice_scatter",
        f32(4, 5),
        f32(2, 5),
        0,
        1,
        3,
        dynamic={0: [0]},
        also=[[f32(7, 5), f32(2, 5)]],
    ),
    Row("aten.slice_scatter", f32(4, 5), f32(4, 2), call=write, label="in place"),
    Row(
        "aten.slice_scatter",
        f32(4, 5),
        f32(4, 2),
        call=write,
        label="in place",
        dynamic={0: [0], 1: [0]},
        also=[[f32(7, 5), f32(7, 2)]],
    ),
    Row("aten.select_scatter", f32(4, 5), f32(4), 1, 2),
    Row("aten.select_scatter", f32(4, 5), f32(5), 0, -1),
    Row("aten.select_scatter", truths(4, 5), truths(5), 0, 0),
    Row(
        "aten.select_scatter",
        f32(4, 5),
        f32(4),
        1,
        2,
        dynamic={0: [0], 1: [0]},
        also=[[f32(6, 5), f32(6)]],
    ),
    Row("aten.index_copy", f32(4, 5), 1, at(3, 1), f32(4, 2)),
    Row("aten.index_copy", f32(4, 5), 0, at(2), f32(1, 5)),
    Row("aten.index_copy", f32(2, 4, 5), 1, at(2), f32(2, 1, 5)),
    Row("aten.index_copy", f32(4, 5), 0, const(at(1, 2)), f32(2, 5)),
    Row("aten.index_copy", f32(4, 5), 0, const(at(3, 1)), f32(2, 5)),
    Row("aten.index_copy", i64(4, 5), 0, at(3, 1), i64(2, 5)),
    Row("aten.index_copy", f32(), 0, torch.tensor(0), f32(1)),
    Row(
        "aten.index_copy",
        f32(4096, 2),
        0,
        torch.arange(2048),
        f32(2048, 2),
        label="many",
        unsupported="add to zeros",
    ),
    Row(
        "aten.index_copy",
        f32(2, 4, 5),
        2,
        at(3),
        f32(2, 4, 1),
        dynamic={0: [0], 2: [0]},
        also=[[f32(3, 4, 5), at(0), f32(3, 4, 1)]],
    ),
    Row("aten.index_add", f32(4, 5), 1, at(3, 1, 3), f32(4, 3)),
    Row("aten.index_add", f32(4, 5), 0, at(3, 1, 3), f32(3, 5), alpha=-0.5),
    Row("aten.index_add", i64(4, 5), 0, const(at(3, 1, 3)), i64(3, 5), alpha=2),
    Row(
        "aten.index_add",
        f32(4, 5),
        0,
        at(3, 1, 3),
        f32(3, 5),
        dynamic={0: [0]},
        also=[[f32(6, 5), at(5, 1, 3), f32(3, 5)]],
    ),
    Row("aten.index_fill.int_Scalar", f32(4, 5), 1, at(3, 1), 2.5),
    Row("aten.index_fill.int_Scalar", f32(4, 5), 0, const(at(3, 1)), float("-inf")),
    Row("aten.index_fill.int_Tensor", i64(4, 5), 1, at(3, -1), torch.tensor(7)),
    Row("aten.index_put", f32(4, 5), [at(3, -2)], f32(2, 5)),
    Row("aten.index_put", f32(4, 5), [at(3)], f32(5), label="one row"),
    Row("aten.index_put", f32(2, 4, 5), [None, at(-1)], f32(2, 1, 5), label="one row"),
    Row("aten.index_put", f32(4, 5), [None, at(3, 0)], torch.tensor(1.5)),
    Row("aten.index_put", f32(4, 5), [at(3, 1), at(-1, 0)], f32(2)),
    Row("aten.index_put", f32(4, 5, 3), [at(3, 1), None, at(-1, 0)], f32(2, 5)),
    Row("aten.index_put", f32(4, 5), [const(at(3, 1, 3))], f32(3, 5)),
    Row("aten.index_put", f32(4, 5), [const(at(1, 2))], f32(5)),
    Row("aten.index_put", f32(4, 5), [const(truths(4, 5))], torch.tensor(1.5)),
    Row("aten.index_put", f32(4, 5), [truths(4, 5)], torch.tensor(1.5)),
    Row("aten.index_put", f32(4, 5), [truths(4)], f32(5)),
    Row("aten.index_put", f32(4, 5), [None, truths(5)], f32(1)),
    Row("aten.index_put", f32(4, 5), [truths(4)], f32(5), True),
    Row(
        "aten.index_put",
        f32(4, 5),
        [None, truths(5)],
        f32(4, int(truths(5).sum())),
        unsupported="behind other axes",
    ),
    Row(
        "aten.index_put",
        f32(4, 5),
        [truths(4)],
        f32(int(truths(4).sum()), 5),
        label="row after row",
    ),
    Row("aten.index_put", f32(4, 5), [at(3, 3, -1, 0)], f32(4, 5), True),
    Row("aten.index_put", f32(4, 5), [at(3, 3), at(1, -4)], f32(2), True),
    Row("aten.index_put", f32(4, 5), [const(at(3, 3)), at(1, -4)], f32(2), True),
    Row("aten.index_put", f32(2, 4, 5), [None, at(3, 3)], f32(2, 2, 5), True),
    Row("aten.index_put", i64(4, 5), [at(3, 1)], i64(2, 5)),
    Row("aten.index_put", truths(4, 5), [at(3, 1)], truths(2, 5)),
    Row("aten.index_put", truths(4, 5), [at(3, 1)], truths(2, 5), True),
    Row("aten.index_put", f32(4096, 2), [torch.arange(2048).flip(0)], f32(2048, 2), label="many"),
    Row("aten.index_put", f32(4096, 2), [OFTEN], torch.tensor(1.5), label="one number"),
    Row("aten.index_put", i64(4096, 2), [OFTEN], torch.tensor(-3), label="one number"),
    Row("aten.index_put", truths(4096, 2), [OFTEN], torch.tensor(True), label="one number"),
    Row(
        "aten.index_put",
        f32(4, 5),
        [at(3, -2)],
        f32(2, 5),
        dynamic={0: [0]},
        also=[[f32(6, 5), at(5, -6), f32(2, 5)]],
    ),
    Row("aten._unsafe_index_put", f32(4, 5), [at(3, 2)], f32(2, 5)),
    Row("aten._index_put_impl", f32(4, 5), [at(3, 2)], f32(2, 5)),
    Row("aten.index_put", f32(4, 5), [truths(4), at(2)], f32(1), unsupported="in two steps"),
    Row("aten.put", f32(4, 5), torch.tensor([[3, -1]]), f32(1, 2)),
    Row("aten.put", f32(4, 5), torch.tensor([3, -1, 3]), f32(3), True),
    Row("aten.masked_scatter", f32(4, 5), truths(4, 5), f32(30)),
    Row("aten.masked_scatter", f32(4, 5), truths(4, 1), f32(4, 5)),
    Row(
        "aten.masked_scatter",
        f32(4, 5),
        truths(4, 5),
        f32(30),
        dynamic={0: [0], 1: [0]},
        also=[[f32(6, 5), truths(6, 5), f32(30)]],
    ),
    Row("aten.masked_scatter", f32(4, 5), torch.zeros(4, 5, dtype=torch.bool), f32(0)),
    Row(
        "aten.masked_scatter",
        f32(4, 5),
        truths(4, 5),
        call=lambda x, mask: x.masked_scatter(mask, -x[mask]),
        also=[[f32(4, 5), torch.zeros(4, 5, dtype=torch.bool)]],
        label="of as many as there are, or none",
    ),
    Row(
        "aten.index_put",
        f32(4, 5),
        truths(4),
        call=lambda x, mask: x.index_put([mask], -x[mask]),
        also=[[f32(4, 5), torch.zeros(4, dtype=torch.bool)]],
        label="of rows, or none",
    ),
]
