"""Look-ups in tables: gather, take, embeddings, one-hot vectors."""

import torch

from . import Row, const, f32, i64, truths

NUMBERS = torch.tensor([4, 0, 2, 2, 1, 4])

ROWS = [
    Row("aten.gather", f32(4, 5), 1, i64(4, 3, low=0, high=5)),
    Row("aten.gather", f32(4, 5), 0, i64(3, 5, low=0, high=4)),
    Row("aten.gather", f32(4, 5), -1, i64(2, 3, low=0, high=5), label="fewer rows"),
    Row("aten.gather", f32(2, 4, 5), 1, i64(2, 3, 4, low=0, high=4)),
    Row("aten.gather", f32(2, 4, 5), 1, const(i64(2, 3, 5, low=0, high=4))),
    Row("aten.gather", i64(4, 5), 1, i64(4, 3, low=0, high=5)),
    Row("aten.gather", truths(4, 5), 1, i64(4, 3, low=0, high=5)),
    Row("aten.gather", f32(5), 0, i64(3, low=0, high=5)),
    Row("aten.gather", f32(), 0, torch.tensor(0)),
    Row(
        "aten.gather",
        f32(2, 6, 4),
        i64(2, 3, low=0, high=6),
        call=lambda x, i: x.gather(1, i[..., None].expand(-1, -1, 4)),
        label="whole rows",
    ),
    Row(
        "aten.gather",
        f32(6, 4),
        i64(3, low=0, high=6),
        call=lambda x, i: x.gather(0, i[:, None].repeat(1, 4)),
        label="whole rows of the first axis",
    ),
    Row(
        "aten.gather",
        f32(2, 6, 4),
        i64(2, 3, low=0, high=6),
        call=lambda x, i: x.gather(1, i[..., None].expand(-1, -1, x.shape[-1])),
        dynamic={0: [0, 1], 1: [0, 1]},
        also=[[f32(3, 8, 4), i64(3, 5, low=0, high=8)]],
    ),
    Row(
        "aten.gather",
        f32(4, 5),
        0,
        i64(3, 5, low=0, high=4),
        dynamic={0: [0, 1], 1: [0, 1]},
        also=[[f32(6, 7), i64(2, 7, low=0, high=6)]],
    ),
    Row("aten.take", f32(2, 3), torch.tensor([[0, -1], [5, -6]])),
    Row("aten.take", f32(2, 3), const(torch.tensor([1, 2, 3]))),
    Row("aten.take_along_dim", f32(4, 5), i64(4, 3, low=0, high=5), 1),
    Row("aten.take_along_dim", f32(4, 5), i64(1, 3, low=0, high=5), -1),
    Row("aten.take_along_dim", f32(1, 5), i64(3, 2, low=0, high=5), 1),
    Row("aten.take_along_dim", f32(4, 5), torch.tensor([3, 19])),
    Row("aten.embedding", f32(5, 4), i64(2, 3, low=0, high=5)),
    Row("aten.embedding", const(f32(4, 5).t()), i64(2, 3, low=0, high=5), 1, True, False),
    Row("aten.embedding", const(f32(5, 4)), torch.tensor(3)),
    Row(
        "aten.embedding",
        const(f32(5, 4)),
        i64(2, 3, low=0, high=5),
        dynamic={0: [0, 1]},
        also=[[i64(1, 7, low=0, high=5)]],
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        i64(2, 3, low=0, high=5),
        call=lambda w, i: torch.nn.functional.embedding_bag(i, w, mode="sum"),
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        i64(2, 3, low=0, high=5),
        call=lambda w, i: torch.nn.functional.embedding_bag(i, w),
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        i64(2, 3, low=0, high=5),
        call=lambda w, i: torch.nn.functional.embedding_bag(i, w, mode="max"),
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        i64(2, 3, low=0, high=5),
        f32(2, 3),
        call=lambda w, i, f: torch.nn.functional.embedding_bag(
            i, w, mode="sum", per_sample_weights=f
        ),
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        NUMBERS,
        const(torch.tensor([0, 3, 6])),
        call=lambda w, i, o: torch.nn.functional.embedding_bag(i, w, o, include_last_offset=True),
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        NUMBERS,
        const(torch.tensor([0, 2])),
        call=lambda w, i, o: torch.nn.functional.embedding_bag(i, w, o),
        unsupported="bags of one size",
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        NUMBERS,
        torch.tensor([0, 2]),
        call=lambda w, i, o: torch.nn.functional.embedding_bag(i, w, o),
        unsupported="indices with two axes",
    ),
    Row(
        "aten.embedding_bag",
        const(f32(5, 4)),
        i64(2, 3, low=0, high=5),
        call=lambda w, i: torch.nn.functional.embedding_bag(i, w, padding_idx=1),
        unsupported="padding_idx",
    ),
    Row(
        "aten._embedding_bag",
        const(f32(5, 4)),
        NUMBERS,
        const(torch.tensor([0, 3])),
        call=lambda w, i, o: torch.ops.aten._embedding_bag(w, i, o)[0],
    ),
    Row(
        "aten._embedding_bag_forward_only",
        const(f32(5, 4)),
        NUMBERS,
        const(torch.tensor([0, 3])),
        call=lambda w, i, o: torch.ops.aten._embedding_bag_forward_only(w, i, o)[0],
    ),
    Row("aten.one_hot", i64(2, 3, low=0, high=5), 5),
    Row("aten.one_hot", torch.tensor(3), 5),
    Row("aten.one_hot", i64(2, low=0, high=5), 5, dynamic={0: [0]}, also=[[i64(7, low=0, high=5)]]),
]
