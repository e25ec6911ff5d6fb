"""Splits concatenations that are too wide for XNNPACK."""

from __future__ import annotations

from ..ir import Graph, Op, Value
from ..sizes import Size

_MOST = 5  # XNNPACK refuses a CONCATENATION of more
_GROUP = 4


def split_wide(graph: Graph) -> None:
    """Nest concatenations of many operands.

    Where an earlier one joins the same first operands (a DenseNet block joins all layers so far),
    its result is used; otherwise operands are joined in groups. Afterwards no float CONCATENATION
    has more operands than XNNPACK takes.
    """
    joined: dict[tuple[int, tuple[int, ...]], Value] = {}
    ops: list[Op] = []
    for op in graph.ops:
        if op.kind == "CONCATENATION":
            operands = tuple(id(value) for value in op.inputs)
            axis = op.options["axis"]
            if len(op.inputs) > _MOST and op.output.dtype == "float32":
                _reuse(op, operands, axis, joined)
                ops += _grouped(op)
            joined.setdefault((axis, operands), op.output)
        ops.append(op)
    graph.ops = ops


def _reuse(
    op: Op,
    operands: tuple[int, ...],
    axis: int,
    joined: dict[tuple[int, tuple[int, ...]], Value],
) -> None:
    for count in range(len(operands) - 1, 1, -1):
        first = joined.get((axis, operands[:count]))
        if first is not None:
            op.inputs = [first, *op.inputs[count:]]
            return


def _grouped(op: Op) -> list[Op]:
    made = []
    while len(op.inputs) > _MOST:
        inputs: list[Value | None] = []
        for start in range(0, len(op.inputs), _GROUP):
            group = [value for value in op.inputs[start : start + _GROUP] if value is not None]
            if len(group) == 1:
                inputs += group
                continue
            inner = Op(
                "CONCATENATION", list(group), [_joined(group, op)], dict(op.options), op.layers
            )
            inner.options["fused_activation_function"] = "NONE"
            made.append(inner)
            inputs.append(inner.output)
        op.inputs = inputs
    return made


def _joined(group: list[Value], op: Op) -> Value:
    axis = op.options["axis"]
    total: Size = 0
    for value in group:
        total = value.shape[axis] + total
    shape = group[0].shape
    return Value(shape=(*shape[:axis], total, *shape[axis + 1 :]), dtype=op.output.dtype)
