"""Rows of norms, distances and similarities."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from . import Row, const, f32

INF = float("inf")
ROUNDED = "both round differences of squares: distances are small beside the lengths"
WITH_ZEROS = torch.tensor([[0.0, -0.0, 3.0], [-4.0, 0.0, 0.5]])
TRANSPOSED = f32(6, 30, seed=1).t()

ROWS = [
    Row("aten.linalg_vector_norm", f32(2, 3, 4)),
    Row("aten.linalg_vector_norm", f32(2, 3, 4), 2, [1], True),
    *(
        Row("aten.linalg_vector_norm", WITH_ZEROS, order, [-1], label=str(order))
        for order in (0, 0.5, 1, 2, 3, 2.5, INF, -INF)
    ),
    Row("aten.linalg_vector_norm", f32(3, 4, low=1), -1.5, [0]),
    Row("aten.linalg_vector_norm", f32(), 3),
    Row("aten.linalg_vector_norm", f32(), 2, [-1]),
    Row("aten.linalg_vector_norm", f32(2, 3), 1, []),
    Row("aten.linalg_vector_norm", f32(2, 3), 2, [1], dtype=torch.float64),
    Row("aten.linalg_vector_norm", f32(2, 3), 2, [1], dynamic={0: [0]}, also=[[f32(5, 3)]]),
    Row("aten.norm.Scalar", f32(2, 3)),
    Row("aten.norm.Scalar", f32(2, 3), 1),
    Row("aten.norm.ScalarOpt_dim", f32(2, 3), None, [1]),
    Row("aten.norm.ScalarOpt_dim", f32(2, 3), INF, [0], True),
    Row("aten.norm.ScalarOpt_dim_dtype", f32(2, 3), 2, [0], True, dtype=torch.float64),
    Row("aten.norm.ScalarOpt_dtype", f32(2, 3), 2, dtype=torch.float64),
    Row("aten.linalg_norm", f32(5)),
    Row("aten.linalg_norm", f32(2, 3, 4)),
    Row("aten.linalg_norm", f32(5), 1),
    Row("aten.linalg_norm", f32(3, 4), 1),
    Row("aten.linalg_norm", f32(3, 4), -INF, [1, 0], True),
    Row("aten.linalg_norm", f32(3, 4), 3, 1, True),
    Row("aten.linalg_norm", f32(0, 0), INF, None, True, label="empty"),
    Row("aten.linalg_norm.ord_str", f32(3, 4), "fro"),
    Row("aten.linalg_norm", f32(3, 4), 2, unsupported="ord=2"),
    Row("aten.linalg_norm.ord_str", f32(3, 4), "nuc", unsupported="ord=nuc"),
    Row("aten.linalg_matrix_norm", f32(2, 3, 4), INF),
    Row("aten.linalg_matrix_norm", f32(2, 3, 4), -1, [2, 0], True),
    Row("aten.linalg_matrix_norm.str_ord", f32(2, 3, 4), "fro", [0, 2]),
    Row("aten.dist", f32(2, 3), f32(3)),
    Row("aten.dist", f32(2, 3), const(f32(2, 3, seed=1)), 1.0),
    Row("aten.pairwise_distance", f32(4, 6), f32(4, 6, seed=1)),
    Row("aten.pairwise_distance", f32(4, 6), f32(6), 1.0, 1e-3, True),
    Row("aten.cosine_similarity", f32(4, 6), f32(4, 6, seed=1)),
    Row("aten.cosine_similarity", f32(4, 6), f32(1, 6), -1, 1e-3),
    Row("aten.cosine_similarity", f32(2, 4, 6), const(f32(4, 6)), 1),
    Row("aten.cosine_similarity", torch.zeros(2, 3), f32(2, 3), 1),
    Row("aten.cosine_similarity", f32(1, 2, 3), f32(2, 1, 3), -2, label="broadcast axis"),
    Row("aten.cosine_similarity", f32(), f32(seed=1), 0),
    Row("aten.cdist", f32(2, 4, 6), f32(2, 5, 6, seed=1)),
    Row("aten.cdist", f32(2, 4, 6), f32(5, 6, seed=1), 1.0),
    Row("aten.cdist", f32(4, 6), f32(5, 6, seed=1), INF),
    Row("aten.cdist", f32(4, 6), f32(5, 6, seed=1), 0.0),
    Row("aten.cdist", f32(4, 6), f32(5, 6, seed=1), 2.0, 1, sqnr=105.0, reason=ROUNDED),
    Row("aten.cdist", f32(30, 6), f32(5, 6, seed=1), 2.0, 2, label="pairs"),
    Row("aten.cdist", f32(2, 30, 6), f32(2, 40, 6, seed=1), sqnr=105.0, reason=ROUNDED),
    Row("aten.cdist", f32(2, 4, 6), const(TRANSPOSED), sqnr=105.0, reason=ROUNDED),
    Row("aten.cdist", f32(4, 6), f32(5, 6), dynamic={0: [0]}, also=[[f32(7, 6), f32(5, 6)]]),
    Row("aten._euclidean_dist", f32(4, 6), f32(5, 6, seed=1), sqnr=105.0, reason=ROUNDED),
    Row("aten._cdist_forward", f32(4, 6), f32(5, 6, seed=1), 3.0, None),
    Row("aten.linalg_vector_norm", f32(2, 6), call=F.normalize, label="normalize"),
]
