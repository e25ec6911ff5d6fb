"""Mixtures of experts: rows that are sorted by expert, each multiplied by its expert's matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..context import Context
from ..dtypes import FLOAT, INTEGER
from ..ir import Value
from ..lowering import lowers
from ..sizes import Dim, example
from .scan import while_below


@lowers("transformers.grouped_mm_fallback")
def grouped_mm(ctx: Context, x: Value, weight: Value, offs: Value) -> Value:
    """grouped_mm_fallback(input, weight, offs) -> a WHILE over experts, or GATHER, BATCH_MATMUL.

    Rows ``[s, in]`` of the first expert come first: ``offs`` has where those of each one end.
    With few rows each takes a copy of its expert's matrix; with more than there are experts, a
    turn of a loop multiplies all rows of an expert, so that each matrix is read once.
    """
    matrices = ctx.transpose(weight, (0, 2, 1))  # [experts, out, in], as kernels read it
    ends = ctx.cast(offs, INTEGER)
    rows, experts = x.shape[0], ctx.static(weight.shape[0], "weight")
    if isinstance(rows, int) and rows <= experts:
        return _matrix_by_row(ctx, x, matrices, ends)
    return _rows_by_expert(ctx, x, matrices, ends)


def _matrix_by_row(ctx: Context, x: Value, matrices: Value, ends: Value) -> Value:
    rows = ctx.static(x.shape[0], "input")
    experts, out, _ = (ctx.static(size, "weight") for size in matrices.shape)
    places = ctx.constant(np.arange(rows, dtype=np.int32)[:, None])
    passed = ctx.pointwise("LESS_EQUAL", ctx.with_rank(ends, 2), places)
    owner = ctx.reduce("SUM", ctx.cast(passed, INTEGER), [1])
    # behind the last end no expert is left: PyTorch writes zeros there
    last = ctx.pointwise("MINIMUM", owner, experts - 1)
    own = ctx.emit("GATHER", matrices, last, shape=(rows, *matrices.shape[1:]), axis=0)
    made = ctx.emit("BATCH_MATMUL", ctx.reshape(x, (rows, 1, x.shape[1])), own, adj_y=True)
    there = ctx.reshape(ctx.pointwise("LESS", owner, experts), (rows, 1))
    zeros = ctx.filled((1, 1), 0, FLOAT)
    return ctx.emit("SELECT_V2", there, ctx.reshape(made, (rows, out)), zeros)


def _rows_by_expert(ctx: Context, x: Value, matrices: Value, ends: Value) -> Value:
    import sympy

    experts, out, width = (ctx.static(size, "weight") for size in matrices.shape)
    count = Dim(sympy.Symbol(f"rows_of_an_expert_{ctx.layer}"), max(example(x.shape[0]) // 2, 1))
    bias = ctx.constant(np.zeros(out, np.float32))

    def body(place: Value, carried: Sequence[Value]) -> list[Value]:
        start, rows, bounds, *computed, made = carried
        every = computed[0] if computed else matrices
        end = ctx.emit("SLICE", bounds, place, ctx.integers([1]), shape=(1,))
        zero = ctx.integers([0])
        corner = ctx.emit("CONCATENATION", start, zero, axis=0)
        size = ctx.emit("CONCATENATION", ctx.emit("SUB", end, start), ctx.integers([width]), axis=0)
        part = ctx.emit("SLICE", rows, corner, size, shape=(count, width))
        matrix = ctx.emit("GATHER", every, ctx.reshape(place, ()), shape=(out, width), axis=0)
        done = ctx.emit("FULLY_CONNECTED", part, matrix, bias, keep_num_dims=False)
        made = ctx.emit("DYNAMIC_UPDATE_SLICE", made, done, corner)
        return [end, rows, bounds, *computed, made]

    buffer = ctx.filled((x.shape[0], out), 0, FLOAT)
    computed = [] if matrices.is_constant else [matrices]
    carried = [ctx.integers([0]), x, ends, *computed, buffer]
    return while_below(ctx, ctx.integers([0]), experts, 1, carried, body)[-1]
