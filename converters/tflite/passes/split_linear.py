"""Splits a linear layer whose features are read in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir import Graph, Op, Value, constant, integers
from ..layout.axes import regrouped
from ..sizes import Dim, Shape


@dataclass(frozen=True)
class _Part:
    """One part of the features: the operator that takes it, and which features it takes."""

    op: Op
    output: Value
    start: int
    size: int


def split_linear(graph: Graph) -> None:
    """Give each reader of a part of a layer's features a layer of its own.

    A fused projection to query, key and value becomes three, and a gated unit two: the slices that
    took them apart are gone, and so are the copies that they made. It applies where all readers
    are slices of the features (of the last axis, or of one that a reshape made of it) and no
    feature is computed twice; features that nothing reads are not computed at all.
    """
    users = graph.users()
    outputs = set(graph.outputs)
    ops: list[Op] = []
    gone: set[Op] = set()
    for op in graph.ops:
        if op in gone:
            continue
        parts = _parts(op, users, outputs)
        if parts is None:
            ops.append(op)
            continue
        for part in parts:
            ops += _layer(op, part)
            gone.add(part.op)
        reshape = users[op.output][0]
        if reshape.kind == "RESHAPE":
            gone.add(reshape)
    graph.ops = [op for op in ops if op not in gone]


def _parts(op: Op, users: dict[Value, list[Op]], outputs: set[Value]) -> list[_Part] | None:
    if op.kind != "FULLY_CONNECTED" or op.output in outputs or len(op.inputs) != 3:
        return None
    weights, bias = op.inputs[1], op.inputs[2]
    if weights is None or not weights.is_constant or bias is None or not bias.is_constant:
        return None
    if op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    readers = users.get(op.output, [])
    value, axis, unit = op.output, op.output.rank - 1, 1
    if len(readers) == 1 and readers[0].kind == "RESHAPE" and readers[0].output not in outputs:
        value = readers[0].output
        split = _first_of_features(op.output.shape, value.shape)
        if split is None:
            return None
        readers, (axis, unit) = users.get(value, []), split
    found: list[_Part] = []
    for reader in readers:
        taken = _taken(reader, value, axis, unit)
        if taken is None:
            return None
        found += taken
    total, features = sum(part.size for part in found), int(weights.data.shape[0])  # type: ignore[union-attr]
    return found if total < features or (total == features and len(found) > 1) else None


def _first_of_features(features: Shape, shape: Shape) -> tuple[int, int] | None:
    """The first of the axes that a reshape splits the last one into, and its stride in features."""
    groups = regrouped(features, shape)
    last = groups.before[-1]
    if last != (len(features) - 1,) or any(
        isinstance(shape[axis], Dim) for axis in groups.after[-1]
    ):
        return None
    sizes = [(axis, int(size)) for axis in groups.after[-1] if (size := shape[axis]) != 1]  # type: ignore[arg-type]
    if not sizes:
        return None
    return sizes[0][0], int(np.prod([size for _, size in sizes[1:]], dtype=int))


def _taken(reader: Op, value: Value, axis: int, unit: int) -> list[_Part] | None:
    """The parts of the features that a reader takes, if that is all it does."""
    if reader.kind == "SLICE" and reader.inputs[0] is value:
        begin = reader.inputs[1]
        whole = _without(reader.output.shape, axis) == _without(value.shape, axis)
        if begin is None or begin.data is None or not whole:
            return None
        size = reader.output.shape[axis]
        if isinstance(size, Dim):
            return None
        return [_Part(reader, reader.output, int(begin.data[axis]) * unit, size * unit)]
    if reader.kind == "SPLIT" and reader.inputs[1] is value and reader.inputs[0] is not None:
        along = reader.inputs[0].data
        if along is None or int(along.reshape(-1)[0]) % value.rank != axis:
            return None
        sizes = [output.shape[axis] for output in reader.outputs]
        if any(isinstance(size, Dim) for size in sizes):
            return None
        parts, start = [], 0
        for output, size in zip(reader.outputs, sizes, strict=True):
            assert isinstance(size, int)
            parts.append(_Part(reader, output, start * unit, size * unit))
            start += size
        return parts
    return None


def _layer(op: Op, part: _Part) -> list[Op]:
    weights, bias = op.inputs[1], op.inputs[2]
    assert weights is not None
    assert weights.data is not None
    assert bias is not None
    assert bias.data is not None
    chosen = slice(part.start, part.start + part.size)
    inputs = [op.inputs[0], constant(weights.data[chosen]), constant(bias.data[chosen])]
    shape = (*op.output.shape[:-1], part.size)
    layers = op.layers + part.op.layers
    if part.output.shape == shape:
        return [Op("FULLY_CONNECTED", inputs, [part.output], dict(op.options), layers)]
    made = Value(shape=shape, dtype=op.output.dtype)
    sizes = [-1 if isinstance(size, Dim) else size for size in part.output.shape]
    return [
        Op("FULLY_CONNECTED", inputs, [made], dict(op.options), layers),
        Op("RESHAPE", [made, integers(sizes)], [part.output], {"new_shape": sizes}, layers),
    ]


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]
