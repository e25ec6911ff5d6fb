"""Cells of recurrent networks: one step from one state to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..context import Context
from ..ir import Value
from ..lowering import lowers
from .joining import parts
from .linear import linear

# (ctx, W_ih·x + b_ih, W_hh·h + b_hh, states) → new states, of which the first is the output
Cell: TypeAlias = Callable[[Context, Value, Value, Sequence[Value]], list[Value]]


# -- operators -------------------------------------------------------------------------------


@lowers("aten.lstm_cell")
def lstm_cell(
    ctx: Context,
    x: Value,
    hx: Sequence[Value],
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> Sequence[Value]:
    """lstm_cell(input, Tensor[] hx, w_ih, w_hh, b_ih, b_hh) -> FULLY_CONNECTED, gates."""
    hidden = linear(ctx, hx[0], w_hh, b_hh)
    return lstm_step(ctx, linear(ctx, x, w_ih, b_ih), hidden, hx)


@lowers("aten.gru_cell")
def gru_cell(
    ctx: Context,
    x: Value,
    hx: Value,
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> Value:
    """gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh) -> FULLY_CONNECTED, gates."""
    hidden = linear(ctx, hx, w_hh, b_hh)
    return gru_step(ctx, linear(ctx, x, w_ih, b_ih), hidden, [hx])[0]


@lowers("aten.rnn_tanh_cell")
def rnn_tanh_cell(
    ctx: Context,
    x: Value,
    hx: Value,
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> Value:
    """rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih, b_hh) -> FULLY_CONNECTED, ADD, TANH."""
    hidden = linear(ctx, hx, w_hh, b_hh)
    return tanh_step(ctx, linear(ctx, x, w_ih, b_ih), hidden, [hx])[0]


@lowers("aten.rnn_relu_cell")
def rnn_relu_cell(
    ctx: Context,
    x: Value,
    hx: Value,
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> Value:
    """rnn_relu_cell(input, hx, w_ih, w_hh, b_ih, b_hh) -> FULLY_CONNECTED, ADD, RELU."""
    hidden = linear(ctx, hx, w_hh, b_hh)
    return relu_step(ctx, linear(ctx, x, w_ih, b_ih), hidden, [hx])[0]


# -- steps -----------------------------------------------------------------------------------


def lstm_step(ctx: Context, gates: Value, hidden: Value, states: Sequence[Value]) -> list[Value]:
    """Long short-term memory; the gates are the input's, the forget's, the cell's, the output's."""
    entry, forget, fresh, exit_ = _gates(ctx, ctx.pointwise("ADD", gates, hidden), 4)
    kept = ctx.emit("MUL", ctx.emit("LOGISTIC", forget), states[1])
    added = ctx.emit("MUL", ctx.emit("LOGISTIC", entry), ctx.emit("TANH", fresh))
    cell = ctx.emit("ADD", kept, added)
    return [ctx.emit("MUL", ctx.emit("LOGISTIC", exit_), ctx.emit("TANH", cell)), cell]


def gru_step(ctx: Context, gates: Value, hidden: Value, states: Sequence[Value]) -> list[Value]:
    """Gated recurrent unit; the gates are the reset's, the update's, the new state's."""
    reset, update, fresh = _gates(ctx, gates, 3)
    reset_hidden, update_hidden, fresh_hidden = _gates(ctx, hidden, 3)
    reset = ctx.emit("LOGISTIC", ctx.pointwise("ADD", reset, reset_hidden))
    update = ctx.emit("LOGISTIC", ctx.pointwise("ADD", update, update_hidden))
    inner = ctx.pointwise("ADD", fresh, ctx.emit("MUL", reset, fresh_hidden))
    new = ctx.emit("TANH", inner)
    difference = ctx.emit("SUB", states[0], new)
    return [ctx.emit("ADD", ctx.emit("MUL", difference, update), new)]


def tanh_step(ctx: Context, gates: Value, hidden: Value, states: Sequence[Value]) -> list[Value]:
    """Elman network with tanh."""
    del states
    return [ctx.emit("TANH", ctx.pointwise("ADD", gates, hidden))]


def relu_step(ctx: Context, gates: Value, hidden: Value, states: Sequence[Value]) -> list[Value]:
    """Elman network with ReLU."""
    del states
    return [ctx.emit("RELU", ctx.pointwise("ADD", gates, hidden))]


def _gates(ctx: Context, x: Value, count: int) -> list[Value]:
    """Cut the last axis; SPLIT is on XNNPACK even with sizes that change, SLICE is not."""
    size = ctx.static(x.shape[-1], "input") // count
    if x.is_constant:
        return [ctx.slice(x, -1, place * size, size) for place in range(count)]
    return parts(ctx, x, -1, [size] * count)
