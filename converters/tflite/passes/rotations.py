"""Writes rotations of channels with as few operators as they need.

Rotary embeddings compute ``x * cos + concat(-x2, x1) * sin`` for the halves ``x1`` and ``x2``.
"""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Op, Value, constant
from ..sizes import Dim

_MOST_PARTS = 4  # of a SPLIT that XNNPACK takes


def simplify_rotations(graph: Graph) -> None:
    """Let a product by constants change the signs of what it multiplies.

    Afterwards no concatenation that is read by products by constants alone joins parts that only
    it reads and whose sign a NEG has changed.
    """
    source, users = graph.producers(), graph.users()
    outputs = set(graph.outputs)
    known: dict[tuple[int, int, tuple[int, ...]], Value] = {}
    gone: set[Op] = set()
    for op in graph.ops:
        if op.kind != "CONCATENATION" or op.output in outputs:
            continue
        negated = [_negated(value, source, users, outputs) for value in op.inputs]
        readers = users.get(op.output, [])
        if not any(negated) or not all(_multiplies(each, op.output) for each in readers):
            continue
        axis = op.options["axis"] % op.output.rank
        sizes = [value.shape[axis] for value in op.inputs if value is not None]
        if not readers or any(isinstance(size, Dim) for size in sizes):
            continue
        signs = np.concatenate(
            [
                np.full(size, -1.0 if sign else 1.0)
                for size, sign in zip(sizes, negated, strict=True)
            ]
        ).astype(np.float32)
        for reader in readers:
            place = next(i for i, each in enumerate(reader.inputs) if each is not op.output)
            factor = reader.inputs[place]
            assert factor is not None
            key = (id(factor), axis - op.output.rank, tuple(signs))
            if key not in known:
                known[key] = _signed(factor, signs, op.output.rank - axis)
            reader.inputs[place] = known[key]
        for place, before in enumerate(negated):
            if before is not None:
                op.inputs[place] = before.inputs[0]
                op.layers = before.layers + op.layers
                gone.add(before)
        op.output.origins = []
    graph.ops = [op for op in graph.ops if op not in gone]


def _negated(
    value: Value | None, source: dict[Value, Op], users: dict[Value, list[Op]], outputs: set[Value]
) -> Op | None:
    op = source.get(value) if value is not None else None
    if op is None or op.kind != "NEG" or value in outputs:
        return None
    return op if len(users[op.output]) == 1 else None


def _multiplies(op: Op, value: Value) -> bool:
    """Whether an operator is a product of a value and a constant."""
    others = [each for each in op.inputs if each is not value]
    return (
        op.kind == "MUL"
        and op.output.dtype == "float32"
        and len(others) == 1
        and others[0] is not None
        and others[0].is_constant
        and op.output.shape == value.shape
    )


def _signed(factor: Value, signs: np.ndarray, from_end: int) -> Value:
    """A constant times signs along an axis, which is counted from the end."""
    assert factor.data is not None
    shape = (len(signs), *(1,) * (from_end - 1))
    return constant(np.asarray(factor.data * signs.reshape(shape), dtype=np.float32))


def split_evenly(graph: Graph) -> None:
    """Take a tensor apart by one SPLIT where slices of equal size do it.

    Afterwards no two to four SLICEs of a float tensor cover an axis of it in equal parts.
    """
    users = graph.users()
    changed: dict[Op, Op | None] = {}
    for value, readers in users.items():
        slices = list(dict.fromkeys(op for op in readers if _slices(op, value)))
        for axis in range(value.rank):
            parts = sorted(
                (op for op in slices if op not in changed and _along(op, value) == axis),
                key=lambda op: int(op.inputs[1].data[axis]),  # type: ignore[union-attr, index]
            )
            if not _is_even(parts, value, axis):
                continue
            first = min(parts, key=graph.ops.index)
            changed.update(dict.fromkeys(parts))
            changed[first] = Op(
                "SPLIT",
                [constant(np.array(axis, np.int32)), value],
                [op.output for op in parts],
                {"num_splits": len(parts)},
                tuple(dict.fromkeys(layer for op in parts for layer in op.layers)),
            )
    graph.ops = [each for op in graph.ops if (each := changed.get(op, op)) is not None]


def _slices(op: Op, value: Value) -> bool:
    return (
        op.kind == "SLICE"
        and op.inputs[0] is value
        and value.dtype == "float32"
        and all(each is not None and each.is_constant for each in op.inputs[1:])
    )


def _along(op: Op, value: Value) -> int | None:
    """The one axis that a slice takes a part of."""
    axes = [axis for axis in range(value.rank) if op.output.shape[axis] != value.shape[axis]]
    return axes[0] if len(axes) == 1 else None


def _is_even(parts: list[Op], value: Value, axis: int) -> bool:
    size = value.shape[axis]
    if not 2 <= len(parts) <= _MOST_PARTS or isinstance(size, Dim) or size % len(parts):
        return False
    step = size // len(parts)
    return all(
        int(op.inputs[1].data[axis]) == place * step and op.output.shape[axis] == step  # type: ignore[union-attr, index]
        for place, op in enumerate(parts)
    )
