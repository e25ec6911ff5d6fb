"""Splits depthwise convolutions of so many channels that LiteRT's own kernel never ends."""

from __future__ import annotations

import math

from ..ir import Graph, Op, Value, channels_op, constant

# Cells of the accumulator of LiteRT's plain kernel: of more channels it takes no step forward.
MOST_CHANNELS = 4832
_STEP = 8  # channels that are computed at once


def split_depthwise(graph: Graph) -> None:
    """Convolve the channels of too wide a DEPTHWISE_CONV_2D in several parts, and join them.

    It needs NHWC. Afterwards none has more channels than LiteRT's plain kernel ends with.
    """
    ops: list[Op] = []
    for op in graph.ops:
        channels = op.output.shape[-1] if op.kind == "DEPTHWISE_CONV_2D" else 0
        assert isinstance(channels, int)
        ops += _parts(op, channels) if channels > MOST_CHANNELS else [op]
    graph.ops = ops


def _parts(op: Op, channels: int) -> list[Op]:
    value = op.inputs[0]
    assert value is not None
    read = value.shape[-1]
    assert isinstance(read, int)
    each = channels // read  # that are made of one that is read
    parts = math.ceil(channels / MOST_CHANNELS)
    width = _STEP * math.ceil(read / parts / _STEP)
    if width * each > MOST_CHANNELS:
        width = MOST_CHANNELS // each
    ops: list[Op] = []
    made: list[Value | None] = []
    for start in range(0, read, width):
        count = min(width, read - start)
        inputs: list[Value | None] = [_sliced(value, start, count, op, ops)]
        inputs += [
            None if given is None else _sliced(given, start * each, count * each, op, ops)
            for given in op.inputs[1:]
        ]
        result = Value(shape=(*op.output.shape[:-1], count * each), dtype=op.output.dtype)
        ops.append(Op(op.kind, inputs, [result], dict(op.options), op.layers))
        made.append(result)
    options = {"axis": op.output.rank - 1, "fused_activation_function": "NONE"}
    ops.append(Op("CONCATENATION", made, op.outputs, options, op.layers))
    return ops


def _sliced(value: Value, start: int, count: int, op: Op, ops: list[Op]) -> Value:
    """Some channels of a value."""
    if value.data is not None:
        return constant(value.data[..., start : start + count], name=value.name)
    ops.append(channels_op(value, start, count, op.layers))
    return ops[-1].output
