"""Folds multiplications and additions of constants into the weights beside them.

Batch norm arrives as MUL and ADD after a convolution, the scale and shift of a layer norm as MUL
and ADD before linear layers, a layer scale as MUL after one.
"""

from __future__ import annotations

import numpy as np

from ..ir import Array, Graph, Op, ScaledConstant, Value, constant
from ..sizes import Dim

# Operator → axis of the weights that belongs to the output channels.
OUTPUT_AXIS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}
_BIAS = {"CONV_2D": 2, "FULLY_CONNECTED": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3}


def fold_affine(graph: Graph) -> None:
    """Fold constants into weights.

    It needs channels on the last axis, as the layout pass leaves them. Afterwards no MUL, DIV, ADD
    or SUB by a constant per channel follows a convolution or a FULLY_CONNECTED, nor the sum or the
    joined channels of such, that nothing else reads, and none stands before FULLY_CONNECTED
    operators that alone read it.
    """
    _fold_into_source(graph)
    _fold_into_readers(graph)


def _fold_into_source(graph: Graph) -> None:
    users = graph.users()
    source = graph.producers()
    alone = {each for each, readers in users.items() if len(readers) == 1} - set(graph.outputs)
    gone: set[Op] = set()
    for op in graph.ops:
        found = affine_of(op)
        if found is None:
            continue
        value, factor, term = found
        before = source.get(value)
        if before is None or op.output.shape != value.shape:
            continue
        if not (_per_channel(factor, value) and _per_channel(term, value)):
            continue
        changed = _changed(value, factor.reshape(-1), term.reshape(-1), source, alone)
        for each, scale, shift in changed or ():
            if each.kind in OUTPUT_AXIS:
                scale_weights(each, scale, shift)
            each.output.origins = []  # it held what was not scaled yet
        if not changed:
            continue
        before.outputs = op.outputs
        before.layers += op.layers
        source[op.output] = before
        gone.add(op)
    graph.ops = [op for op in graph.ops if op not in gone]


def _changed(
    value: Value, factor: Array, term: Array, source: dict[Value, Op], alone: set[Value]
) -> list[tuple[Op, Array, Array]]:
    """What to change so that a value becomes ``value * factor + term``.

    Through sums and joined channels these are several operators with weights, and what they lead
    to. Of a sum one summand takes the term.

    Returns:
        Each operator with its own factor and term; none if it cannot be done.
    """
    before = source.get(value)
    if before is None or value not in alone:
        return []
    if has_weights(before):
        return [(before, factor, term)]
    parts: list[list[tuple[Op, Array, Array]]] = []
    if before.options.get("fused_activation_function", "NONE") != "NONE":
        return []
    if before.kind == "ADD":
        for each in before.inputs:
            if each is not None and each.shape == value.shape:
                parts.append(_changed(each, factor, term, source, alone))
                term = np.zeros(1) if parts[-1] else term
        if (factor == 1).all() and any(parts):
            parts = [next(part for part in parts if part)]
        elif len(parts) != len(before.inputs):
            return []
    elif before.kind == "CONCATENATION" and before.options["axis"] % value.rank == value.rank - 1:
        start = 0
        for each in before.inputs:
            size = each.shape[-1] if each is not None else 0
            if each is None or isinstance(size, Dim):
                return []
            taken = slice(start, start + size)
            scale, shift = (x if x.size == 1 else x[taken] for x in (factor, term))
            parts.append(_changed(each, scale, shift, source, alone))
            start += size
    if not parts or not all(parts):
        return []
    return [*(change for part in parts for change in part), (before, factor, term)]


def has_weights(op: Op) -> bool:
    """Whether an operator is linear in constant weights, whose bias can be changed."""
    if op.kind not in OUTPUT_AXIS or op.options.get("fused_activation_function", "NONE") != "NONE":
        return False
    weights, place = op.inputs[1], _BIAS[op.kind]
    bias = op.inputs[place] if len(op.inputs) > place else None
    return weights is not None and weights.is_constant and (bias is None or bias.is_constant)


def scale_weights(op: Op, factor: Array, term: Array) -> None:
    """Multiply what an operator computes by a factor, and add a term."""
    weights, place = op.inputs[1], _BIAS[op.kind]
    assert weights is not None
    assert weights.data is not None
    channels = weights.data.shape[OUTPUT_AXIS[op.kind]]
    while len(op.inputs) <= place:
        op.inputs.append(None)
    old = op.inputs[place]
    bias = np.zeros(channels) if old is None or old.data is None else old.data.astype(np.float64)
    factors = np.broadcast_to(factor.reshape(-1), channels)
    if (factor != 1).any():
        shape = [1] * weights.data.ndim
        shape[OUTPUT_AXIS[op.kind]] = channels
        scales = factors.astype(np.float32).reshape(shape)
        op.inputs[1] = ScaledConstant(weights.data, scales, name=weights.name)
    op.inputs[place] = constant((bias * factors + term.reshape(-1)).astype(np.float32))


def affine_of(op: Op) -> tuple[Value, Array, Array] | None:
    """The operand, factor and term of an operator that is ``operand * factor + term``."""
    if op.kind not in ("MUL", "ADD", "SUB", "DIV") or op.output.dtype != "float32":
        return None
    if op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    left, right = op.inputs
    assert left is not None
    assert right is not None
    if left.data is not None and right.data is None and op.kind in ("MUL", "ADD"):
        left, right = right, left
    if right.data is None or left.data is not None:
        return None
    number = right.data.astype(np.float64)
    if op.kind == "MUL":
        return left, number, np.zeros(1)
    if op.kind == "DIV":
        return None if (number == 0).any() else (left, 1 / number, np.zeros(1))
    return left, np.ones(1), number if op.kind == "ADD" else -number


def _per_channel(number: Array, output: Value) -> bool:
    """Whether a constant is finite and changes only along the last axis of a result."""
    if not np.isfinite(number).all():
        return False
    return number.size == 1 or number.size == number.shape[-1] == output.shape[-1]


def _fold_into_readers(graph: Graph) -> None:
    """Fold a layer norm's scale and shift into the linear layers that alone read it."""
    users = graph.users()
    outputs = set(graph.outputs)
    gone: set[Op] = set()
    for op in reversed(graph.ops):
        found = affine_of(op)
        if found is None or op.output in outputs:
            continue
        value, factor, term = found
        if op.output.shape != value.shape or not _per_channel(factor, op.output):
            continue
        if not _per_channel(term, op.output):
            continue
        reached = _reached(op.output, users, outputs, pads=not term.any())
        if reached is None:
            continue
        moving, readers = reached
        for reader, operand in readers:
            _absorb(reader, value if operand is op.output else operand, factor, term)
            reader.layers = op.layers + sum((each.layers for each in moving), ()) + reader.layers
        for each in moving:
            each.inputs = [value if operand is op.output else operand for operand in each.inputs]
            each.output.origins = []  # it holds what was not scaled yet
        users[value] = [each for each in users[value] if each is not op] + users[op.output]
        gone.add(op)
    graph.ops = [op for op in graph.ops if op not in gone]


def _reached(
    value: Value, users: dict[Value, list[Op]], outputs: set[Value], *, pads: bool
) -> tuple[list[Op], list[tuple[Op, Value]]] | None:
    """Follow a value through operators that only move its channels as a whole.

    Returns:
        Those operators, and the linear layers at their ends with the operand of each; ``None`` if
        anything else reads the value, or what it is moved to.
    """
    moving: dict[Op, None] = {}
    readers: list[tuple[Op, Value]] = []
    waiting = [value]
    within = {value}
    while waiting:
        current = waiting.pop()
        following = users.get(current, [])
        if current in outputs or not following:
            return None
        for op in following:
            if _takes(op, current):
                readers.append((op, current))
            elif op in moving:
                continue
            elif _moves_channels(op, pads=pads):
                moving[op] = None
                waiting += op.outputs
                within.update(op.outputs)
            else:
                return None
    if any(operand not in within for op in moving for _, operand in op.live_inputs()):
        return None
    return list(moving), readers


def _moves_channels(op: Op, *, pads: bool) -> bool:
    """Whether an operator moves cells, each with all of its channels (the last axis)."""
    operand = op.inputs[0]
    assert operand is not None
    if op.kind != "CONCATENATION" and any(v is not None and v.data is None for v in op.inputs[1:]):
        return False
    last = operand.rank - 1
    if op.kind == "RESHAPE" or op.kind == "SLICE":
        return operand.shape[-1:] == op.output.shape[-1:]
    if op.kind == "TRANSPOSE":
        return int(op.inputs[1].data[-1]) == last  # type: ignore[union-attr, index]
    if op.kind == "CONCATENATION":
        constants = any(each is not None and each.is_constant for each in op.inputs)
        return op.options["axis"] % operand.rank != last and not constants
    return pads and op.kind == "PAD" and not op.inputs[1].data[-1].any()  # type: ignore[union-attr, index]


def _takes(reader: Op, value: Value) -> bool:
    if reader.kind != "FULLY_CONNECTED" or reader.inputs[0] is not value:
        return False
    weights, bias = reader.inputs[1], reader.inputs[2] if len(reader.inputs) > 2 else None
    return (
        reader.inputs.count(value) == 1
        and weights is not None
        and weights.is_constant
        and (bias is None or bias.is_constant)
    )


def _absorb(reader: Op, value: Value, factor: Array, term: Array) -> None:
    weights = reader.inputs[1]
    assert weights is not None
    assert weights.data is not None
    inputs = weights.data.shape[1]
    terms = np.broadcast_to(term.reshape(-1), inputs)
    if terms.any():
        old = reader.inputs[2] if len(reader.inputs) > 2 else None
        # in double precision, and without BLAS, whose threads cost more than this little product
        shifted = np.einsum("ij,j->i", weights.data, terms, dtype=np.float64)
        if old is not None and old.data is not None:
            shifted = shifted + old.data
        reader.inputs = [*reader.inputs[:2], constant(shifted.astype(np.float32))]
    if (factor != 1).any():
        factors = np.broadcast_to(factor.reshape(-1), inputs).astype(np.float32)
        reader.inputs[1] = ScaledConstant(weights.data, factors, name=weights.name)
    reader.inputs[0] = value
