"""Writing element by element: scatter, scatter_add, scatter_reduce."""

import torch

from . import Row, const, f32, i64, truths

ROWS_OF = i64(4, 3, low=0, high=5)  # with equal numbers in a row
FEW = i64(2, 3, low=0, high=4)

ROWS = [
    Row("aten.scatter.value", f32(1, 5, 3, 6), 0, i64(3, 5, 1, 4, low=0, high=1), 1.5),
    Row("aten.scatter.src", f32(4, 5), 1, ROWS_OF, f32(4, 3)),
    Row("aten.scatter.src", f32(4, 5), 0, FEW, f32(3, 6), label="smaller index"),
    Row("aten.scatter.src", f32(2, 4, 3), 1, i64(2, 2, 3, low=0, high=4), f32(2, 2, 3)),
    Row("aten.scatter.src", f32(4, 5), 1, const(ROWS_OF), f32(4, 3)),
    Row("aten.scatter.src", f32(4, 5), 1, ROWS_OF[:, :1], f32(4, 1), label="one of each row"),
    Row("aten.scatter.src", i64(4, 5), 1, ROWS_OF, i64(4, 3)),
    Row("aten.scatter.src", f32(5), 0, torch.tensor([1, 1, 4]), f32(3)),
    Row("aten.scatter.src", f32(), 0, torch.tensor(0), f32()),
    Row(
        "aten.scatter.src",
        f32(4, 5),
        1,
        ROWS_OF,
        f32(4, 3),
        dynamic={0: [0], 1: [0], 2: [0]},
        also=[[f32(6, 5), i64(6, 3, low=0, high=5), f32(6, 3)]],
    ),
    Row(
        "aten.scatter.src",
        f32(4096),
        0,
        i64(2048, low=0, high=4096),
        f32(2048),
        unsupported="scatter_add takes this many",
    ),
    Row("aten.scatter.value", f32(4, 5), 1, ROWS_OF, 1.5),
    Row("aten.scatter.value", f32(4, 5), 0, FEW, float("-inf"), label="smaller index"),
    Row("aten.scatter.value", f32(4, 5), 1, const(ROWS_OF), 1.5),
    Row("aten.scatter.value", i64(4, 5), -1, ROWS_OF[:, :1], 1),
    Row(
        "aten.scatter.value",
        f32(4, 5),
        1,
        ROWS_OF,
        1.0,
        dynamic={0: [0], 1: [0]},
        also=[[f32(6, 5), i64(6, 3, low=0, high=5)]],
    ),
    Row("aten.scatter.reduce", f32(4, 5), 1, ROWS_OF, f32(4, 3), reduce="add"),
    Row("aten.scatter.reduce", f32(4, 5), 1, ROWS_OF, f32(4, 3), reduce="multiply"),
    Row("aten.scatter.value_reduce", f32(4, 5), 1, ROWS_OF, 2.0, reduce="add"),
    Row("aten.scatter.value_reduce", f32(4, 5), 1, ROWS_OF, 2, reduce="multiply"),
    Row("aten.scatter_add", f32(4, 5), 1, ROWS_OF, f32(4, 3)),
    Row("aten.scatter_add", f32(4, 5), 0, FEW, f32(3, 6), label="smaller index"),
    Row("aten.scatter_add", i64(4, 5), 1, ROWS_OF, i64(4, 3)),
    Row("aten.scatter_add", f32(4, 5), 1, const(ROWS_OF), f32(4, 3)),
    Row("aten.scatter_add", f32(), 0, torch.tensor(0), f32()),
    Row(
        "aten.scatter_add",
        f32(4, 5),
        torch.tensor([3, 1, 3]),
        f32(3, 5),
        call=lambda x, i, s: x.scatter_add(0, i[:, None].expand(-1, 5), s),
        label="whole rows",
    ),
    Row(
        "aten.scatter_add",
        f32(4, 5),
        1,
        ROWS_OF,
        f32(4, 3),
        dynamic={0: [0], 1: [0], 2: [0]},
        also=[[f32(6, 5), i64(6, 3, low=0, high=5), f32(6, 3)]],
    ),
    *(
        Row(
            "aten.scatter_reduce.two",
            f32(4, 5),
            1,
            ROWS_OF,
            f32(4, 3),
            reduce,
            include_self=own,
            label=f"{reduce} {own}",
        )
        for reduce in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    ),
    Row("aten.scatter_reduce.two", i64(4, 5), 0, FEW, i64(2, 3), "amax"),
    Row("aten.scatter_reduce.two", i64(4, 5), 0, FEW, i64(2, 3), "prod", include_self=False),
    Row("aten.scatter_reduce.two", f32(), 0, torch.tensor(0), f32(), "amin"),
    Row("aten.scatter_reduce.two", i64(4, 5), 0, FEW, i64(2, 3), "mean", unsupported="rounded"),
    *(
        Row(
            "aten.scatter_reduce",
            truths(4, 5),
            1,
            ROWS_OF,
            truths(4, 3),
            reduce=reduce,
            include_self=include_self,
            label=f"{reduce} {include_self}",
        )
        for reduce in ("sum", "prod", "amax", "amin")
        for include_self in (True, False)
    ),
]
