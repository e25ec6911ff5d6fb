"""Stacked recurrent layers in one loop. Registers no lowering.

In each turn every layer takes a step, one behind the layer below it: the first layer takes step
``t`` while the second takes step ``t - 1``, whose input is the state that the first has reached.
The layers have an axis, as the directions of a layer do, so that a turn has hardly more operators
than one of a single layer, and there are as many turns as steps instead of that times the layers.
The first turns, in which upper layers have nothing to read yet, come before the loop, and the last
ones, in which lower layers have nothing to do any more, come after it: all layers compute in them
too, and what does not count is left.

What was measured on LiteRT 2.3 (one thread, two layers, 32 steps, batch 1) decides when: upper
layers read their input's weights in each turn, which a layer on its own multiplies by all steps at
once. At 32 cells the wavefront takes half of the time, at 96 cells 0.8 of it, as long as the
weights of a turn stay in the core's cache: a GRU of 160 cells takes 1.08 of it, an LSTM of 128
cells 1.09, of 192 cells 1.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..context import Context
from ..ir import Value
from .linear import fully_connected
from .recurrent_cells import Cell
from .recurrent_weights import Direction, Product, Recurrence
from .scan import is_unrolled, joined, looped

_RANK = 3  # of states: layers, batch, cells
_LEAST_STEPS_OF_A_LAYER = 2  # below, most turns would lie outside of the loop
_MOST_WEIGHTS = 1 << 17  # of a turn: 512 KB, half of what a core's cache holds


def suits_wavefront(ctx: Context, x: Value, layers: Sequence[Sequence[Direction]]) -> bool:
    """Whether layers run together in one loop.

    Args:
        ctx: The context.
        x: ``[steps, batch, in]``.
        layers: Their weights; layers of two directions read the whole of what is below them.
    """
    steps = x.shape[0]
    if len(layers) == 1 or len(layers[0]) > 1 or not isinstance(steps, int):
        return False
    if steps < _LEAST_STEPS_OF_A_LAYER * len(layers):
        return False
    own = [sum(each.size for each in (layer.w_hh, layer.w_hr) if each is not None)
           for (layer,) in layers]  # fmt: skip
    inputs = sum(layer.w_ih.size for (layer,) in layers[1:])
    return not is_unrolled(ctx, steps, own[0]) and sum(own) + inputs <= _MOST_WEIGHTS


def stacked(
    ctx: Context, x: Value, initial: Sequence[Value], layers: Sequence[Direction], cell: Cell
) -> tuple[Value, list[Value]]:
    """Run layers of one direction together.

    Args:
        ctx: The context.
        x: ``[steps, batch, in]``; there are more steps than layers.
        initial: First states, each ``[layers, batch, cells]``.
        layers: Weights.
        cell: Their cell.

    Returns:
        The outputs of the last layer, ``[steps, batch, out]``, and the last states.
    """
    steps, depth = x.shape[0], len(layers)
    stack = _Stack.of(cell, layers)
    rows = fully_connected(ctx, x, ctx.constant(layers[0].w_ih), ctx.constant(layers[0].input_bias))
    states = list(initial)
    before = [ctx.slice(rows, 0, turn, 1) for turn in range(depth - 1)]
    for turn, row in enumerate(before, 1):
        states = _either(ctx, turn, stack.turn(ctx, row, states), states)

    def step(ctx: Context, row: Value, now: Sequence[Value]) -> tuple[Value, list[Value]]:
        made = stack.turn(ctx, row, now)
        return _top(ctx, made), made

    body = ctx.slice(rows, 0, depth - 1, steps - depth + 1)
    output, states = looped(ctx, body, states, step, stack.weights)
    outputs = [output]
    for turn in range(1, depth):
        made = stack.turn(ctx, before[0], states)  # any row will do for the first layer
        states = _either(ctx, turn, states, made)
        outputs.append(_top(ctx, states))
    return joined(ctx, outputs, 0), states


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """What a turn computes.

    Attributes:
        inputs: The input's part of the gates of all layers but the first.
        recurrence: The step of all layers.
    """

    inputs: Product
    recurrence: Recurrence

    @classmethod
    def of(cls, cell: Cell, layers: Sequence[Direction]) -> _Stack:
        """Make the constants, once for all turns."""
        upper = layers[1:]
        biases = [each.input_bias for each in upper]
        return cls(
            inputs=Product.of([each.w_ih for each in upper], biases, _RANK),
            recurrence=Recurrence.of(cell, layers, _RANK),
        )

    @property
    def weights(self) -> int:
        """Number of weights that a turn reads."""
        return self.inputs.weights.elements + self.recurrence.weights

    def turn(self, ctx: Context, row: Value, states: Sequence[Value]) -> list[Value]:
        """A step of every layer; the row has the gates of the first, ``[1, batch, gates]``."""
        below = ctx.slice(states[0], 0, 0, states[0].shape[0] - 1)
        gates = ctx.concat([row, self.inputs.apply(ctx, below)], 0)
        return self.recurrence.apply(ctx, gates, states)


def _either(
    ctx: Context, count: int, lower: Sequence[Value], upper: Sequence[Value]
) -> list[Value]:
    """States of which those of the first layers are from one turn, the others from another."""
    chosen = []
    for below, above in zip(lower, upper, strict=True):
        parts = [
            ctx.slice(below, 0, 0, count),
            ctx.slice(above, 0, count, above.shape[0] - count),
        ]
        chosen.append(ctx.concat(parts, 0))
    return chosen


def _top(ctx: Context, states: Sequence[Value]) -> Value:
    """The output of the last layer."""
    return ctx.slice(states[0], 0, states[0].shape[0] - 1, 1)
