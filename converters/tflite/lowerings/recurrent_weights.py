"""Weights of recurrent layers: PyTorch's list of parameters, by layer and direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..context import Context
from ..errors import unsupported
from ..ir import Array, Value, constant
from .linear import fully_connected
from .recurrent_cells import Cell


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
    """``W·h + b`` by one matrix, or by one for each of several directions or layers.

    The state is ``[..., batch, in]``, of several ``[..., count, batch, in]``.

    Attributes:
        weights: ``[out, in]``, or ``[..., count, out, in]``.
        bias: ``[out]``, or ``[..., count, 1, out]`` if it is not zero.
    """

    weights: Value
    bias: Value | None

    @classmethod
    def of(cls, weights: Sequence[Array], biases: Sequence[Array], rank: int) -> Product:
        """Make the constants, once for all steps; of several they have a rank."""
        if len(weights) == 1:
            return cls(weights=constant(weights[0]), bias=constant(biases[0]))
        front = (None,) * (rank - 3)
        bias = constant(np.stack(biases)[*front, :, None]) if np.any(biases) else None
        return cls(weights=constant(np.stack(weights)[*front, :]), bias=bias)

    def apply(self, ctx: Context, state: Value) -> Value:
        """Multiply: by a single matrix with FULLY_CONNECTED, by several with BATCH_MATMUL."""
        assert self.weights.data is not None
        if state.data is not None:  # the zeros that a sequence starts with
            made = state.data @ self.weights.data.swapaxes(-1, -2)
            made = made if self.bias is None else made + self.bias.data
            return ctx.constant(made.astype(np.float32))
        if self.weights.rank == 2:
            return fully_connected(ctx, state, self.weights, self.bias)
        product = ctx.emit("BATCH_MATMUL", state, self.weights, adj_y=True)
        return product if self.bias is None else ctx.emit("ADD", product, self.bias)


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """One step of some directions or layers, which have an axis if there are several.

    Attributes:
        cell: The cell.
        hidden: The state's part of the gates.
        projection: From the cell's output to the state that goes on, if there is one.
    """

    cell: Cell
    hidden: Product
    projection: Product | None

    @classmethod
    def of(cls, cell: Cell, each: Sequence[Direction], rank: int) -> Recurrence:
        """Make the constants, once for all steps, for states of a rank."""
        matrices = [one.w_hr for one in each if one.w_hr is not None]
        zeros = [np.zeros(len(matrix), np.float32) for matrix in matrices]
        return cls(
            cell=cell,
            hidden=Product.of([one.w_hh for one in each], [one.hidden_bias for one in each], rank),
            projection=Product.of(matrices, zeros, rank) if matrices else None,
        )

    @property
    def weights(self) -> int:
        """Number of weights that a step reads."""
        return self.hidden.weights.elements + (
            self.projection.weights.elements if self.projection else 0
        )

    def apply(self, ctx: Context, gates: Value, states: Sequence[Value]) -> list[Value]:
        """The next states, of which the first is the output, from the inputs' part of the gates."""
        output, *others = self.cell(ctx, gates, self.hidden.apply(ctx, states[0]), states)
        return [self.projection.apply(ctx, output) if self.projection else output, *others]


def layers_of(
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
