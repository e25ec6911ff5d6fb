"""Removes operators that change nothing."""

from __future__ import annotations

from ..ir import Graph, Op, Value

_NEUTRAL = {"ADD": 0, "SUB": 0, "MUL": 1, "DIV": 1, "LOGICAL_AND": 1, "LOGICAL_OR": 0}
_COMMUTING = frozenset({"ADD", "MUL", "LOGICAL_AND", "LOGICAL_OR"})
_SAME_SHAPE = frozenset({"RESHAPE", "SLICE", "TILE", "BROADCAST_TO", "PAD", "CONCATENATION"})


def remove_identities(graph: Graph) -> None:
    """Let readers read the operand of an operator whose result is that operand.

    Afterwards nothing multiplies by one, adds zero, or reshapes, slices, tiles or pads to the shape
    that is there already. An operator whose result is an output of the graph stays.
    """
    outputs = set(graph.outputs)
    same: dict[Value, Value] = {}
    kept = []
    for op in graph.ops:
        value = _unchanged(op)
        if value is None or value.is_constant or op.output in outputs:
            kept.append(op)
            continue
        same[op.output] = value
        root = value
        while root in same:
            root = same[root]
        root.origins += op.output.origins
    graph.ops = kept
    graph.replace(same)


def _unchanged(op: Op) -> Value | None:
    """The operand that an operator's result equals, if it does."""
    if len(op.outputs) != 1 or not op.inputs or op.inputs[0] is None:
        return None
    if op.kind in _SAME_SHAPE:
        single = op.kind != "CONCATENATION" or len(op.inputs) == 1
        value = op.inputs[0]
        return value if single and value.shape == op.output.shape else None
    if op.kind == "CAST":
        return op.inputs[0] if op.inputs[0].dtype == op.output.dtype else None
    if op.kind not in _NEUTRAL or op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    left, right = op.inputs[0], op.inputs[1]
    assert right is not None
    if _is_number(right, _NEUTRAL[op.kind]):
        return left if left.shape == op.output.shape else None
    if op.kind in _COMMUTING and _is_number(left, _NEUTRAL[op.kind]):
        return right if right.shape == op.output.shape else None
    return None


def _is_number(value: Value, number: int) -> bool:
    return value.data is not None and bool((value.data == number).all())
