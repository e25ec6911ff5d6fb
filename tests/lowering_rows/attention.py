"""Attention."""

import torch

from . import Row, const, f32, truths

INF = float("inf")
LOWEST = torch.finfo(torch.float32).min
Q, K, V = f32(2, 3, 4, 8), f32(2, 3, 5, 8, seed=1), f32(2, 3, 5, 6, seed=2)
SQUARE = [f32(2, 3, 4, 8, seed=seed) for seed in range(3)]

EMPTY_ROW = torch.ones(4, 5, dtype=torch.bool)
EMPTY_ROW[1] = False
EMPTY_ROW[2, 3:] = False
MINUS_INF = torch.zeros(4, 5).masked_fill(~EMPTY_ROW, -INF)
LEAST = torch.zeros(4, 5).masked_fill(~EMPTY_ROW, LOWEST)
PADDING = torch.tensor([[True, True, True, False, False], [True] * 5])[:, None, None]
BIASED = f32(3, 4, 5)

encoder = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True).eval()
encoder.requires_grad_(False)
heads = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval().requires_grad_(False)

ATTENTION = "aten.scaled_dot_product_attention"
FLASH = "aten._scaled_dot_product_flash_attention_for_cpu"
MATH = "aten._scaled_dot_product_attention_math"

ROWS = [
    Row(ATTENTION, Q, K, V),
    Row(ATTENTION, Q[0], K[0], V[0], label="rank 3"),
    Row(ATTENTION, Q[0], K, V, is_causal=True, label="one query for all"),
    Row(ATTENTION, Q[:, :1], K, V, label="one head of queries"),
    Row(ATTENTION, Q[0, 0], K[0, 0], V[0, 0], label="rank 2"),
    Row(ATTENTION, Q[None], K[None], V[None], label="rank 5"),
    Row(ATTENTION, Q, K[:, :1], V[:, :1], label="one head for all"),
    Row(ATTENTION, 30 * Q, 30 * K, V, label="large scores"),
    Row(ATTENTION, Q, K, V, scale=0.25),
    Row(ATTENTION, Q, K, V, scale=1.0),
    Row(ATTENTION, *SQUARE, is_causal=True),
    Row(ATTENTION, Q, K, V, is_causal=True, label="more columns"),
    Row(ATTENTION, K, Q, f32(2, 3, 4, 6), is_causal=True, label="more rows"),
    Row(ATTENTION, Q, const(K), const(V), label="constant keys"),
    Row(ATTENTION, Q, const(K[:1, :1]), const(V[:1, :1]), label="constant keys"),
    Row(ATTENTION, Q, K, V, const(torch.ones(4, 5, dtype=torch.bool)), label="all true"),
    Row(ATTENTION, Q, K, V, const(torch.zeros(4, 5)), label="all zero"),
    Row(ATTENTION, Q, K, V, const(PADDING), label="padding"),
    Row(ATTENTION, Q, K, V, const(EMPTY_ROW), label="empty row"),
    Row(ATTENTION, Q, K, V, const(EMPTY_ROW.t().contiguous().t()), label="strided"),
    Row(ATTENTION, Q, K, V, const(MINUS_INF), label="minus infinity"),
    Row(ATTENTION, Q, K, V, const(LEAST), label="lowest number"),
    Row(ATTENTION, Q, K, V, const(BIASED), label="position bias"),
    Row(ATTENTION, Q, K, V, PADDING, label="live padding"),
    Row(ATTENTION, Q, K, V, EMPTY_ROW, label="live empty row"),
    Row(ATTENTION, Q, K, V, truths(2, 1, 4, 5), label="live"),
    Row(ATTENTION, Q, K, V, MINUS_INF, label="live minus infinity"),
    Row(ATTENTION, Q, K, V, LEAST, label="live lowest number"),
    Row(ATTENTION, Q, K, V, BIASED, label="live position bias"),
    Row(ATTENTION, f32(2, 6, 4, 8), K, V, enable_gqa=True),
    Row(ATTENTION, f32(6, 4, 8), K[0], V[0], enable_gqa=True, label="rank 3"),
    Row(ATTENTION, Q, K, V, enable_gqa=True, label="no groups"),
    Row(ATTENTION, f32(2, 6, 4, 8), K, V, const(EMPTY_ROW), enable_gqa=True),
    Row(ATTENTION, f32(2, 6, 4, 8), K, V, f32(2, 6, 4, 5), enable_gqa=True),
    Row(ATTENTION, f32(2, 6, 4, 8), f32(2, 2, 4, 8), f32(2, 2, 4, 8), is_causal=True,
        enable_gqa=True),
    Row(ATTENTION, Q, K, V, dropout_p=0.5, unsupported="dropout_p=0.5"),
    Row(ATTENTION, Q, K, V, dynamic={0: [0], 1: [0], 2: [0]},
        also=[[f32(5, 3, 4, 8), f32(5, 3, 5, 8), f32(5, 3, 5, 6)]]),
    Row(ATTENTION, *SQUARE, dynamic={0: [0, 2], 1: [0, 2], 2: [0, 2]}, is_causal=True,
        also=[[f32(3, 3, 7, 8, seed=seed) for seed in range(3)],
              [f32(1, 3, 1, 8, seed=seed) for seed in range(3)]]),
    Row(ATTENTION, f32(2, 6, 4, 8), SQUARE[1], SQUARE[2], enable_gqa=True,
        dynamic={0: [0, 2], 1: [0, 2], 2: [0, 2]},
        also=[[f32(3, 6, 7, 8), f32(3, 3, 7, 8), f32(3, 3, 7, 8)]]),
    Row(ATTENTION, *SQUARE, truths(2, 1, 1, 4) | (torch.arange(4) == 0),
        dynamic={0: [0, 2], 1: [0, 2], 2: [0, 2], 3: [0, 3]},
        also=[[*(f32(3, 3, 7, 8, seed=seed) for seed in range(3)),
               truths(3, 1, 1, 7) | (torch.arange(7) == 0)]]),
    Row(ATTENTION, SQUARE[0][0], call=encoder, label="encoder layer"),
    Row(ATTENTION, SQUARE[0][0], call=lambda x: heads(x, x, x), label="need_weights"),
    Row(ATTENTION, SQUARE[0][0], torch.tensor([[False] * 4, [True] + 3 * [False], [False] * 4]),
        call=lambda x, mask: encoder(x, src_key_padding_mask=mask), label="padded encoder layer"),
    Row(FLASH, Q, K, f32(2, 3, 5, 8)),
    Row(FLASH, *SQUARE, 0.0, True),
    Row(FLASH, Q, K, f32(2, 3, 5, 8), attn_mask=BIASED[0], scale=0.5),
    Row(FLASH, Q, K, V, 0.5, unsupported="dropout_p=0.5"),
    Row(MATH, Q, K, V),
    Row(MATH, Q, K, V, EMPTY_ROW),
    Row(MATH, Q, K, V, const(MINUS_INF), scale=0.5),
    Row(MATH, f32(2, 6, 4, 8), K, V, enable_gqa=True),
    Row(MATH, Q, K, V, None, 0.0, False, truths(2, 3, 4, 5), unsupported="dropout_mask"),
]  # fmt: skip
