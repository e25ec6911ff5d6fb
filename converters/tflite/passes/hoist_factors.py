"""Moves a number that a tensor is multiplied by into the weights that the tensor comes from."""

from __future__ import annotations

import numpy as np

from ..ir import Array, Graph, Op, Value, constant
from .fold_affine import OUTPUT_AXIS, affine_of, has_weights, scale_weights

# A number commutes with these; it then multiplies their first operand.
_MOVES = frozenset(
    {"RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "TILE", "NEG", "PAD", "BATCH_MATMUL"}
)
# ... or all of their operands.
_JOINS = frozenset({"ADD", "SUB", "CONCATENATION", "SPLIT"})
_MOST = 24  # operators that a number may pass
_LARGE = 1 << 18  # elements of a constant that is not copied for the sake of a factor


def hoist_factors(graph: Graph) -> None:
    """Multiply weights by a number instead of what is computed with them.

    The scale of attention moves from the scores or the query, through the rotation of channels
    and the split into heads, to the projection, or to the angles of the rotation, which are
    constants too. Afterwards no MUL or DIV by one number has an operand that is made of linear
    layers, convolutions and products by constants by operators that a number commutes with. What
    lies between holds no layer's result any more.
    """
    source, users = graph.producers(), graph.users()
    outputs = set(graph.outputs)
    replaced: dict[Value, Value] = {}
    kept = []
    for op in graph.ops:
        op.inputs = [replaced.get(value, value) if value else None for value in op.inputs]
        kept.append(op)
        found = affine_of(op)
        if found is None or op.kind not in ("MUL", "DIV") or found[1].size != 1:
            continue
        value, factor, _ = found
        if value.shape != op.output.shape or outputs.intersection((value, op.output)):
            continue
        region = _region(op, value, source, users, outputs)
        if region is None or not np.isfinite(factor).all():
            continue
        for each in region:
            _multiply(each, factor.reshape(()))
            if has_weights(each):
                each.layers += op.layers
            for made in each.outputs:
                made.origins = []
        value.origins = op.output.origins
        replaced[op.output] = value
        users[value] = users.pop(op.output, [])
        kept.pop()
    graph.ops = kept


def _region(
    end: Op,
    value: Value,
    source: dict[Value, Op],
    users: dict[Value, list[Op]],
    outputs: set[Value],
) -> set[Op] | None:
    """The operators between a product and the weights that take its factor, if they can."""
    region: set[Op] = set()
    passed: set[Value] = set()  # what is multiplied
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current in passed:
            continue
        passed.add(current)
        op = source.get(current)
        if op is None or len(region) > _MOST:
            return None
        operands = [] if _takes(op) else _passes(op)
        if operands is None:
            return None
        region.add(op)
        waiting += operands
    for op in region:
        for made in op.outputs:
            passed.add(made)
            if made in outputs or any(
                user is not end and user not in region for user in users.get(made, ())
            ):
                return None
    # each operand is either multiplied, or no operator that relies on its own number reads it
    for op in region:
        wanted = set() if _takes(op) else set(_passes(op) or ())
        if any((operand in passed) != (operand in wanted) for _, operand in op.live_inputs()):
            return None
    return region


def _takes(op: Op) -> bool:
    """Whether an operator has constants to which a number can go."""
    if op.kind in OUTPUT_AXIS:
        return has_weights(op)
    found = affine_of(op)
    if found is None or op.kind not in ("MUL", "DIV"):
        return False
    return bool(found[1].size <= _LARGE)


def _passes(op: Op) -> list[Value] | None:
    """What a number multiplies if it is moved in front of an operator; ``None`` if it cannot be."""
    if op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    if op.kind in _MOVES:
        first = op.inputs[0]
        alone = first is not None and not first.is_constant and op.inputs.count(first) == 1
        return [first] if alone and first is not None else None
    if op.kind in _JOINS or (op.kind == "MUL" and affine_of(op) is not None):
        return [value for _, value in op.live_inputs()]
    return None


def _multiply(op: Op, factor: Array) -> None:
    """Let an operator of the region do its part."""
    if op.kind in OUTPUT_AXIS:
        scale_weights(op, factor, np.zeros(1))
    elif _takes(op) or op.kind in ("ADD", "SUB", "CONCATENATION"):
        for place, value in enumerate(op.inputs):
            if value is not None and value.data is not None:
                data = value.data / factor if op.kind == "DIV" else value.data * factor
                op.inputs[place] = constant(data.astype(np.float32))
