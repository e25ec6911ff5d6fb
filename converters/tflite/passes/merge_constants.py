"""Merges additions to additions, and products to products, where constants are added or factors."""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Op, Value, constant

_SUMS = frozenset({"ADD", "SUB"})
_PRODUCTS = frozenset({"MUL", "DIV"})


def merge_constants(graph: Graph) -> None:
    """Let one operator add what two add, and one multiply by what two multiply by.

    Afterwards no float ADD or SUB of a constant reads the result of another that nothing else
    reads, and no MUL or DIV by a constant that of another, unless the two constants together would
    have more elements than either.
    """
    users = graph.users()
    source = graph.producers()
    outputs = set(graph.outputs)
    gone: set[Op] = set()
    for op in graph.ops:
        own = _constant_of(op)
        before = source.get(own[0]) if own is not None else None
        inner = _constant_of(before) if before is not None else None
        if own is None or before is None or inner is None or before.output in outputs:
            continue
        if len(users[before.output]) != 1 or (op.kind in _SUMS) != (before.kind in _SUMS):
            continue
        joined = _joined(op, before)
        if joined is None:
            continue
        op.kind = "ADD" if op.kind in _SUMS else "MUL"
        op.inputs = [inner[0], joined]
        op.layers = before.layers + op.layers
        gone.add(before)
    graph.ops = [op for op in graph.ops if op not in gone]


def _constant_of(op: Op) -> tuple[Value, Value] | None:
    """The computed and the constant operand of an operator that can be merged."""
    if op.kind not in _SUMS | _PRODUCTS or op.output.dtype != "float32":
        return None
    if op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    left, right = op.inputs
    assert left is not None
    assert right is not None
    if left.is_constant and op.kind in ("ADD", "MUL"):
        left, right = right, left
    return None if left.is_constant or not right.is_constant else (left, right)


def _joined(op: Op, before: Op) -> Value | None:
    """The constant that stands for both."""
    numbers = []
    for each in (before, op):
        found = _constant_of(each)
        assert found is not None
        assert found[1].data is not None
        number = found[1].data.astype(np.float64)
        if each.kind == "DIV" and (number == 0).any():
            return None
        signs = {"SUB": np.negative, "DIV": np.reciprocal}
        numbers.append(signs.get(each.kind, np.positive)(number))
    if not all(np.isfinite(number).all() for number in numbers):
        return None
    made = numbers[0] + numbers[1] if op.kind in _SUMS else numbers[0] * numbers[1]
    made = made.astype(np.float32)
    within = made.size <= max(number.size for number in numbers) and np.isfinite(made).all()
    return constant(made) if within else None
