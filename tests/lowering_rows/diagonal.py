"""Diagonals and triangles of matrices."""

import torch

from . import Row, f32, i64, truths

BROKEN = torch.tensor([[1.0, float("nan")], [float("inf"), float("-inf")]])

ROWS = [
    Row("aten.diagonal", f32(4, 4)),
    Row("aten.diagonal", f32(3, 5), 1),
    Row("aten.diagonal", f32(5, 3), -2),
    Row("aten.diagonal", f32(2, 3, 4), 1, -1, 1),
    Row("aten.diagonal", i64(3, 3)),
    Row("aten.diagonal", f32(2, 3, 3), 0, 1, 2, dynamic={0: [0]}, also=[[f32(5, 3, 3)]]),
    Row("aten.diagonal_copy", f32(3, 3)),
    Row("aten.linalg_diagonal", f32(2, 3, 4), offset=1),
    Row("aten.diag_embed", f32(2, 3)),
    Row("aten.diag_embed", f32(2, 3), 1),
    Row("aten.diag_embed", f32(2, 3), -2, 0, -1),
    Row("aten.diag_embed", i64(3), 3),
    Row("aten.diag_embed", f32(2, 3), dynamic={0: [0]}, also=[[f32(5, 3)]]),
    Row("aten.diag", f32(3), 1),
    Row("aten.diag", f32(3, 4), -1),
    Row("aten.diagflat", f32(2, 2), -1),
    Row("aten.diagonal_scatter", f32(3, 5), f32(3), 1),
    Row("aten.diagonal_scatter", f32(2, 5, 3), f32(2, 3), -1, 1, 2),
    Row("aten.diagonal_scatter", f32(4, 3, 4), f32(3, 4), 0, 2, 0),
    *(
        Row(
            "aten.fill_diagonal_",
            x,
            call=lambda x, wrap=wrap: x.clone().fill_diagonal_(3, wrap),
            label=f"wrap {wrap}",
        )
        for x in (f32(4, 4), f32(3, 5), f32(9, 3), f32(3, 3, 3), i64(8, 3))
        for wrap in (False, True)
    ),
    Row("aten.tril", f32(3, 4)),
    Row("aten.tril", f32(2, 3, 4), 1),
    Row("aten.tril", BROKEN),
    Row("aten.tril", i64(3, 3), -1),
    Row("aten.tril", truths(3, 3)),
    Row("aten.tril", f32(3, 4), -1, dynamic={0: [0, 1]}, also=[[f32(6, 5)]]),
    Row("aten.triu", f32(3, 4)),
    Row("aten.triu", f32(2, 3, 4), -1),
    Row("aten.triu", BROKEN),
    Row(
        "aten.triu",
        f32(3, 4),
        call=lambda x: torch.full((x.shape[0],) * 2, float("-inf")).triu(1),
        dynamic={0: [0]},
        also=[[f32(6, 4)]],
        label="causal mask of a changing length",
    ),
]
