"""Recurrent layers: LSTM, GRU and Elman networks over whole sequences.

Both directions of a layer run together, as a batch of two matrices. The second reads the sequence
reversed, and what it makes is reversed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Array, Value, constant
from ..lowering import lowers
from ..sizes import Size
from .joining import parts
from .linear import fully_connected
from .recurrent_cells import Cell, gru_step, lstm_step, relu_step, tanh_step
from .scan import joined, scanned


@dataclass(frozen=True, kw_only=True)
class Direction:
    """Weights of one direction of a layer.

    Attributes:
        w_ih: ``[gates * hidden, in]``.
        w_hh: ``[gates * hidden, out]``.
        input_bias: What is added to the input's gates.
        hidden_bias: What is added to the state's gates, where it cannot be added to the input's.
        w_hr: ``[out, hidden]`` of a projection.
    """

    w_ih: Array
    w_hh: Array
    input_bias: Array
    hidden_bias: Array
    w_hr: Array | None


@dataclass(frozen=True, kw_only=True)
class Product:
    """``W·h + b`` for each direction, of a state ``[1, batch, in]`` or ``[1, 2, batch, in]``.

    Attributes:
        weights: ``[out, in]``, or ``[1, 2, out, in]``.
        bias: ``[out]``, or ``[1, 2, 1, out]`` if it is not zero.
    """

    weights: Value
    bias: Value | None

    @classmethod
    def of(cls, weights: Sequence[Array], biases: Sequence[Array]) -> Product:
        """Make the constants, once for all steps."""
        if len(weights) == 1:
            return cls(weights=constant(weights[0]), bias=constant(biases[0]))
        bias = constant(np.stack(biases)[None, :, None]) if np.any(biases) else None
        return cls(weights=constant(np.stack(weights)[None]), bias=bias)

    def apply(self, ctx: Context, state: Value) -> Value:
        """Multiply: a single direction by FULLY_CONNECTED, two by BATCH_MATMUL."""
        assert self.weights.data is not None
        if state.data is not None:  # the zeros that a sequence starts with
            made = state.data @ self.weights.data.swapaxes(-1, -2)
            made = made if self.bias is None else made + self.bias.data
            return ctx.constant(made.astype(np.float32))
        if self.weights.rank == 2:
            return fully_connected(ctx, state, self.weights, self.bias)
        product = ctx.emit("BATCH_MATMUL", state, self.weights, adj_y=True)
        return product if self.bias is None else ctx.emit("ADD", product, self.bias)


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
    layers = _layers(params, has_biases, num_layers, bidirectional)
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
    layers = _layers(params, has_biases, num_layers, bidirectional, gated_reset=True)
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
    layers = _layers(params, has_biases, num_layers, bidirectional)
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
    layers = _layers(params, has_biases, num_layers, bidirectional)
    return _network(ctx, x, [hx], layers, relu_step, batch_first)


# -- weights ---------------------------------------------------------------------------------


def _check_dropout(dropout: float, train: bool) -> None:
    if dropout and train:
        raise unsupported("dropout", dropout, "call .eval() on the module")


def _layers(
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    *,
    gated_reset: bool = False,
) -> list[list[Direction]]:
    """Weights by layer and direction.

    Args:
        params: For each direction ``w_ih, w_hh``, ``b_ih, b_hh`` with biases, and ``w_hr`` with a
            projection.
        has_biases: Whether there are biases.
        num_layers: Number of layers.
        bidirectional: Whether a layer has two directions.
        gated_reset: Whether the last third of the state's gates is multiplied before it is added
            to the input's, so that its bias stays with it.
    """
    arrays = [_array(param) for param in params]
    directions = 2 if bidirectional else 1
    each = len(params) // (num_layers * directions)
    found: list[list[Direction]] = [[] for _ in range(num_layers)]
    for place in range(num_layers * directions):
        own = arrays[place * each : (place + 1) * each]
        w_ih, w_hh = own[:2]
        zeros = np.zeros(len(w_ih), np.float32)
        b_ih, b_hh = own[2:4] if has_biases else (zeros, zeros)
        fresh = gated_reset & (np.arange(len(b_hh)) >= len(b_hh) * 2 // 3)
        found[place // directions].append(
            Direction(
                w_ih=w_ih,
                w_hh=w_hh,
                input_bias=b_ih + np.where(fresh, zeros, b_hh),
                hidden_bias=np.where(fresh, b_hh, zeros),
                w_hr=own[-1] if each % 2 else None,
            )
        )
    return found


def _array(param: Value) -> Array:
    if param.data is None:
        raise unsupported("params", "computed at run time")
    return param.data


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
    return [
        _swapped(ctx, output) if batch_first else output,
        *(joined(ctx, final, 0) for final in finals),
    ]


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
    recurrent = Product.of([each.w_hh for each in layer], [each.hidden_bias for each in layer])
    matrices = [each.w_hr for each in layer if each.w_hr is not None]
    zeros = [np.zeros(len(matrix), np.float32) for matrix in matrices]
    projection = Product.of(matrices, zeros) if matrices else None

    def step(ctx: Context, row: Value, now: Sequence[Value]) -> list[Value]:
        output, *others = cell(ctx, row, recurrent.apply(ctx, now[0]), now)
        return [projection.apply(ctx, output) if projection else output, *others]

    weights = recurrent.weights.elements + (projection.weights.elements if projection else 0)
    return scanned(ctx, ctx.concat(gates, 1), states, step, weights)


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
