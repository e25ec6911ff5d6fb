"""Makes one operator of a scale and a shift for each channel."""

from __future__ import annotations

import numpy as np

from ..ir import Array, Graph, Op, Value, constant
from .fold_affine import affine_of
from .split_depthwise import MOST_CHANNELS

_WINDOW = {
    "padding": "VALID",
    "stride_h": 1,
    "stride_w": 1,
    "depth_multiplier": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "fused_activation_function": "NONE",
}


def scale_and_shift(graph: Graph) -> None:
    """Write MUL and ADD by constants for each channel as a depthwise convolution of one cell.

    A batch norm that no convolution takes in (before an activation, after a sum) is one pass over
    the data instead of two: on XNNPACK as fast as before for many channels, and three times as
    fast for few. It needs NHWC. Afterwards no ADD by a constant per channel follows a MUL by one
    that nothing else reads, on values of rank 4 and no more channels than LiteRT convolves so.
    """
    source = graph.producers()
    users = graph.users()
    outputs = set(graph.outputs)
    gone: set[Op] = set()
    for op in graph.ops:
        shift = _per_channel(op)
        if shift is None:
            continue
        middle, factor, term = shift
        before = source.get(middle)
        scale = _per_channel(before) if before is not None else None
        if before is None or scale is None or middle in outputs or len(users[middle]) != 1:
            continue
        value, inner, added = scale
        factor, term = factor * inner, term + factor * added
        if (factor == 1).all() or not term.any():
            continue
        op.kind, op.options = "DEPTHWISE_CONV_2D", dict(_WINDOW)
        weights = factor.astype(np.float32).reshape(1, 1, 1, -1)
        op.inputs = [value, constant(weights), constant(term.astype(np.float32))]
        op.layers = before.layers + op.layers
        gone.add(before)
    graph.ops = [op for op in graph.ops if op not in gone]


def _per_channel(op: Op) -> tuple[Value, Array, Array] | None:
    """Operand, factor and term, each of several channels, if that is what an operator does."""
    found = affine_of(op)
    if found is None or op.output.rank != 4 or found[0].shape != op.output.shape:
        return None
    channels = op.output.shape[-1]
    if not isinstance(channels, int) or not 2 <= channels <= MOST_CHANNELS:
        return None
    for number in found[1:]:
        whole = number.size == number.shape[-1] == channels if number.ndim else False
        if not (whole or number.size == 1) or not np.isfinite(number).all():
            return None
    factor, term = (np.broadcast_to(number.reshape(-1), channels) for number in found[1:])
    return found[0], factor, term
