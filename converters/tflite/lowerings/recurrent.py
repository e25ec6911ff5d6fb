"""Recurrent layers: LSTM, GRU and Elman networks over whole sequences.

Both directions of a layer run together, as a batch of two matrices. The second reads the sequence
reversed, and what it makes is reversed again. Layers of one direction run together as well, if they
are small enough (``wavefront.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..context import Context
from ..errors import unsupported
from ..ir import Value
from ..lowering import lowers
from ..sizes import Size
from .joining import parts
from .linear import fully_connected
from .recurrent_cells import Cell, gru_step, lstm_step, relu_step, tanh_step
from .recurrent_weights import Direction, Recurrence, layers_of
from .scan import joined, scanned
from .wavefront import stacked, suits_wavefront

# -- operators -------------------------------------------------------------------------------


@lowers("aten.lstm.input")
def lstm(
    ctx: Context,
    x: Value,
    hx: Sequence[Value],
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Sequence[Value]:
    """lstm.input(input, Tensor[] hx, Tensor[] params, …) -> FULLY_CONNECTED, WHILE."""
    _check_dropout(dropout, train)
    layers = layers_of(params, has_biases, num_layers, bidirectional)
    return _network(ctx, x, hx, layers, lstm_step, batch_first)


@lowers("aten.gru.input")
def gru(
    ctx: Context,
    x: Value,
    hx: Value,
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Sequence[Value]:
    """gru.input(input, hx, Tensor[] params, …) -> FULLY_CONNECTED, WHILE."""
    _check_dropout(dropout, train)
    layers = layers_of(params, has_biases, num_layers, bidirectional, gated_reset=True)
    return _network(ctx, x, [hx], layers, gru_step, batch_first)


@lowers("aten.rnn_tanh.input")
def rnn_tanh(
    ctx: Context,
    x: Value,
    hx: Value,
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Sequence[Value]:
    """rnn_tanh.input(input, hx, Tensor[] params, …) -> FULLY_CONNECTED, WHILE."""
    _check_dropout(dropout, train)
    layers = layers_of(params, has_biases, num_layers, bidirectional)
    return _network(ctx, x, [hx], layers, tanh_step, batch_first)


@lowers("aten.rnn_relu.input")
def rnn_relu(
    ctx: Context,
    x: Value,
    hx: Value,
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Sequence[Value]:
    """rnn_relu.input(input, hx, Tensor[] params, …) -> FULLY_CONNECTED, WHILE."""
    _check_dropout(dropout, train)
    layers = layers_of(params, has_biases, num_layers, bidirectional)
    return _network(ctx, x, [hx], layers, relu_step, batch_first)


# -- weights ---------------------------------------------------------------------------------


def _check_dropout(dropout: float, train: bool) -> None:
    if dropout and train:
        raise unsupported("dropout", dropout, "call .eval() on the module")


# -- layers ----------------------------------------------------------------------------------


def _network(
    ctx: Context,
    x: Value,
    initial: Sequence[Value],
    layers: Sequence[Sequence[Direction]],
    cell: Cell,
    batch_first: bool,
) -> list[Value]:
    """All layers; returns the outputs of the last one, and the last states of all."""
    if batch_first:
        x = _swapped(ctx, x)
    if suits_wavefront(ctx, x, layers):
        output, finals = stacked(ctx, x, initial, [layer for (layer,) in layers], cell)
    else:
        output, finals = _one_by_one(ctx, x, initial, layers, cell)
    return [_swapped(ctx, output) if batch_first else output, *finals]


def _one_by_one(
    ctx: Context,
    x: Value,
    initial: Sequence[Value],
    layers: Sequence[Sequence[Direction]],
    cell: Cell,
) -> tuple[Value, list[Value]]:
    """Each layer over all steps, then the next."""
    steps, batch = x.shape[:2]
    directions = len(layers[0])
    both = (directions,) if directions > 1 else ()
    if both:  # an axis for the directions
        x = ctx.reshape(x, (steps, 1, batch, x.shape[-1]))
    inputs = [x, _reversed(ctx, x)] if both else [x]
    finals: list[list[Value]] = [[] for _ in initial]
    for place, layer in enumerate(layers):
        states = [
            ctx.reshape(
                ctx.slice(state, 0, place * directions, directions),
                (1, *both, batch, state.shape[-1]),
            )
            for state in initial
        ]
        made, last = _layer(ctx, inputs, states, layer, cell)
        inputs = _joined_directions(ctx, made) if both else [made]
        for final, state in zip(finals, last, strict=True):
            final.append(ctx.reshape(state, (directions, batch, state.shape[-1])))
    output = ctx.reshape(inputs[0], (steps, batch, inputs[0].shape[-1]))
    return output, [joined(ctx, final, 0) for final in finals]


def _layer(
    ctx: Context,
    inputs: Sequence[Value],
    states: Sequence[Value],
    layer: Sequence[Direction],
    cell: Cell,
) -> tuple[Value, list[Value]]:
    """One layer: its inputs' part of the gates for all steps at once, then step by step."""
    gates = [
        fully_connected(ctx, x, ctx.constant(each.w_ih), ctx.constant(each.input_bias))
        for x, each in zip(inputs, layer, strict=True)
    ]
    recurrence = Recurrence.of(cell, layer, states[0].rank)

    def step(ctx: Context, row: Value, now: Sequence[Value]) -> tuple[Value, list[Value]]:
        made = recurrence.apply(ctx, row, now)
        return made[0], made

    return scanned(ctx, ctx.concat(gates, 1), states, step, recurrence.weights)


def _joined_directions(ctx: Context, made: Value) -> list[Value]:
    """``[steps, 2, batch, out]`` → ``[steps, 1, batch, 2 * out]`` in both orders of the steps."""
    there, back = parts(ctx, made, 1, [1, 1]), parts(ctx, _reversed(ctx, made), 1, [1, 1])
    return [ctx.concat([there[0], back[1]], -1), ctx.concat([back[0], there[1]], -1)]


def _reversed(ctx: Context, x: Value) -> Value:
    """The steps from the last to the first."""
    if x.shape[0] == 1:
        return x
    return ctx.emit("REVERSE_V2", x, ctx.integers([0]))


def _swapped(ctx: Context, x: Value) -> Value:
    """Swap batch and steps; of a single one it is a reshape."""
    shape: tuple[Size, ...] = (x.shape[1], x.shape[0], *x.shape[2:])
    return ctx.reshape(x, shape) if 1 in shape[:2] else ctx.transpose(x, (1, 0, 2))
