"""Scaled dot-product attention, in the forms in which PyTorch writes it.

A row whose cells are all masked is zero in PyTorch. A softmax cannot give that, so the rows of the
result are multiplied by 0 or 1, unless the mask is known to leave none empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..context import Context
from ..dtypes import FLOAT, INTEGER, is_float
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size, broadcast
from .linear import matrix_product

_MASKED = -1e30  # far below any score, so that its exponential is zero, and not infinite
_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Mask:
    """What to add to the scores.

    Attributes:
        added: Zero for what is attended to, a large negative number for what is not.
        reached: 1 for rows that attend to anything, 0 for others; ``None`` if all rows do.
    """

    added: Value
    reached: Value | None = None


@dataclass(frozen=True)
class Attention:
    """Results of attention.

    Attributes:
        output: The weighted values.
        scores: The scores with the mask, before the softmax.
        weights: The weights of the values.
    """

    output: Value
    scores: Value
    weights: Value


# -- operators -------------------------------------------------------------------------------


@lowers("aten.scaled_dot_product_attention")
def scaled_dot_product_attention(
    ctx: Context,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """scaled_dot_product_attention(query, key, value, …) -> BATCH_MATMUL, SOFTMAX, …."""
    _check_dropout(dropout_p)
    mask = _mask(ctx, attn_mask, is_causal, (query.shape[-2], key.shape[-2]))
    return _attention(ctx, query, key, value, mask, scale, enable_gqa).output


@lowers("aten._scaled_dot_product_flash_attention_for_cpu")
def flash_attention_for_cpu(
    ctx: Context,
    query: Value,
    key: Value,
    value: Value,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    attn_mask: Value | None = None,
    scale: float | None = None,
) -> Sequence[Value]:
    """_scaled_dot_product_flash_attention_for_cpu(query, key, value, …) -> as attention."""
    _check_dropout(dropout_p)
    mask = _mask(ctx, attn_mask, is_causal, (query.shape[-2], key.shape[-2]))
    made = _attention(ctx, query, key, value, mask, scale, False)
    # the second result is dead code unless something reads it
    most = ctx.reduce("REDUCE_MAX", made.scores, [-1], keepdim=True)
    total = ctx.reduce("SUM", ctx.emit("EXP", ctx.emit("SUB", made.scores, most)), [-1], True)
    logsumexp = ctx.emit("ADD", ctx.emit("LOG", total), most)
    return [made.output, ctx.reshape(logsumexp, logsumexp.shape[:-1])]


@lowers("aten._scaled_dot_product_attention_math")
def attention_math(
    ctx: Context,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    dropout_mask: Value | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Sequence[Value]:
    """_scaled_dot_product_attention_math(query, key, value, …) -> attention and its weights."""
    _check_dropout(dropout_p)
    if dropout_mask is not None:
        raise unsupported("dropout_mask", "a tensor")
    if attn_mask is not None:  # truth values are added as numbers here
        attn_mask = ctx.cast(attn_mask, FLOAT)
    mask = _mask(ctx, attn_mask, is_causal, (query.shape[-2], key.shape[-2]))
    made = _attention(ctx, query, key, value, mask, scale, enable_gqa)
    return [made.output, _only_reached(ctx, made.weights, mask)]


# -- attention -------------------------------------------------------------------------------


def _attention(
    ctx: Context,
    query: Value,
    key: Value,
    value: Value,
    mask: Mask | None,
    scale: float | None,
    grouped: bool,
) -> Attention:
    """``softmax(query * scale @ key.mT + mask) @ value``."""
    if not grouped:
        lead = broadcast(*(each.shape[:-2] for each in (query, key, value)))
        query = ctx.expand(query, (*lead, *query.shape[-2:]))
    shape = (*query.shape[:-1], value.shape[-1])
    if scale is None:
        scale = 1 / math.sqrt(ctx.static(query.shape[-1], "query"))
    if scale != 1:
        query = ctx.pointwise("MUL", query, scale)
    # heads that share a key are further rows of one head: [..., heads, group * rows, depth]
    grouped = grouped and query.shape[-3] != key.shape[-3]
    if grouped:
        heads, rows = ctx.static(query.shape[-3], "query"), query.shape[-2]
        rows = rows * (heads // ctx.static(key.shape[-3], "key"))
        query = ctx.reshape(query, (*key.shape[:-2], rows, query.shape[-1]))
    scores = matrix_product(ctx, query, key, adj_y=True)
    joint = scores.shape
    if mask is not None:
        by_head = ctx.reshape(scores, (*shape[:-1], joint[-1]))
        scores = ctx.pointwise("ADD", by_head, mask.added)
    weights = ctx.emit("SOFTMAX", scores)
    output = matrix_product(ctx, ctx.reshape(weights, joint), value)
    output = _only_reached(ctx, ctx.reshape(output, shape), mask)
    weights = ctx.reshape(weights, (*shape[:-1], joint[-1]))  # dead code unless something reads it
    return Attention(output=output, scores=scores, weights=weights)


def _check_dropout(probability: float) -> None:
    if probability:
        raise unsupported("dropout_p", probability, "call .eval() on the module, or pass 0")


# -- masks -----------------------------------------------------------------------------------


def _mask(
    ctx: Context, mask: Value | None, is_causal: bool, sizes: tuple[Size, Size]
) -> Mask | None:
    """What a mask adds to the scores; ``None`` for one that changes nothing."""
    if is_causal:
        return _causal_mask(ctx, *sizes)
    if mask is None:
        return None
    if mask.data is None:
        return _float_mask(ctx, mask) if is_float(mask.dtype) else _bool_mask(ctx, mask)
    added = mask.data if is_float(mask.dtype) else np.where(mask.data, 0.0, -np.inf)
    if not added.any():
        return None
    reached = (added > -np.inf).any(axis=-1, keepdims=True)
    lowest = _LOWEST if is_float(mask.dtype) else _MASKED
    return Mask(
        added=ctx.constant(np.maximum(added, lowest).astype(np.float32)),
        reached=None if reached.all() else ctx.constant(reached.astype(np.float32)),
    )


def _causal_mask(ctx: Context, rows: Size, columns: Size) -> Mask | None:
    """Let each row see the columns up to its own; every row sees the first."""
    if isinstance(rows, int) and isinstance(columns, int):
        return _mask(ctx, ctx.constant(np.tri(rows, columns, dtype=bool)), False, (rows, columns))
    places = [
        ctx.emit(
            "RANGE",
            ctx.scalar(0, INTEGER),
            ctx.size_scalar(size),
            ctx.scalar(1, INTEGER),
            shape=(size,),
            dtype=INTEGER,
        )
        for size in (rows, columns)
    ]
    row = ctx.reshape(places[0], (rows, 1))
    seen = ctx.emit("LESS_EQUAL", ctx.reshape(places[1], (1, columns)), row)
    return Mask(added=_bool_mask(ctx, seen).added)


def _bool_mask(ctx: Context, mask: Value) -> Mask:
    """A computed mask of truth values.

    Zero is selected and not computed: quantizers of weights would make a large number of it.
    """
    rank = (1,) * mask.rank
    zero, lowest = (ctx.constant(np.full(rank, each, np.float32)) for each in (0.0, _MASKED))
    added = ctx.emit("SELECT_V2", mask, zero, lowest)
    reached = ctx.reduce("REDUCE_MAX", ctx.cast(mask, FLOAT), [-1], keepdim=True)
    return Mask(added=added, reached=reached)


def _float_mask(ctx: Context, mask: Value) -> Mask:
    """A computed mask that may hold minus infinity.

    The largest number of a row, clamped and shifted, is 0 only if it is minus infinity: XNNPACK has
    no comparisons, and the most negative finite number is a legitimate mask of its own.
    """
    most = ctx.reduce("REDUCE_MAX", mask, [-1], keepdim=True)
    small = ctx.pointwise("MAXIMUM", ctx.pointwise("MUL", most, 2.0**-120), -512.0)
    reached = ctx.pointwise("MINIMUM", ctx.pointwise("ADD", small, 512.0), 1.0)
    return Mask(added=ctx.pointwise("MAXIMUM", mask, _LOWEST), reached=reached)


def _only_reached(ctx: Context, x: Value, mask: Mask | None) -> Value:
    if mask is None or mask.reached is None:
        return x
    return ctx.pointwise("MUL", x, mask.reached)
