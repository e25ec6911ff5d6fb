"""Drops axes of size 1 before a transpose, not afterwards."""

from __future__ import annotations

from ..ir import Graph, Op, Value, integers
from ..layout.network import is_transpose
from ..sizes import Dim, Shape


def drop_units(graph: Graph) -> None:
    """Move reshapes that only drop axes of size 1 in front of the transposes that they read.

    There they merge with the reshape that made those axes. Afterwards no such reshape reads a
    transpose.
    """
    source = graph.producers()
    ops: list[Op] = []
    for op in graph.ops:
        before = source.get(op.inputs[0]) if op.inputs and op.inputs[0] is not None else None
        kept = (
            _kept_axes(before.output.shape, op.output.shape)
            if op.kind == "RESHAPE" and before is not None and is_transpose(before)
            else None
        )
        if before is None or kept is None:
            ops.append(op)
            continue
        assert before.inputs[0] is not None
        assert before.inputs[1] is not None
        assert before.inputs[1].data is not None
        order = [int(axis) for axis in before.inputs[1].data]
        left = sorted(order[axis] for axis in kept)
        shape = tuple(before.inputs[0].shape[axis] for axis in left)
        dropped = Value(shape=shape, dtype=op.output.dtype)
        sizes = [-1 if isinstance(size, Dim) else size for size in shape]
        first = Op(
            "RESHAPE",
            [before.inputs[0], integers(sizes)],
            [dropped],
            {"new_shape": sizes},
            op.layers,
        )
        permutation = integers(left.index(order[axis]) for axis in kept)
        second = Op("TRANSPOSE", [dropped, permutation], op.outputs, {}, op.layers)
        ops += [first, second]
        source[dropped], source[op.output] = first, second
    graph.ops = ops


def _kept_axes(before: Shape, after: Shape) -> list[int] | None:
    """The axes that are left if only axes of size 1 go; ``None`` if it is another reshape."""
    if len(after) >= len(before) or sum(isinstance(size, Dim) for size in after) > 1:
        return None
    kept: list[int] = []
    for axis, size in enumerate(before):
        rest = len(before) - axis - 1
        wanted = after[len(kept)] if len(kept) < len(after) else None
        # of several axes of size 1 those are kept that the result has last
        if size == wanted and (size != 1 or rest < len(after) - len(kept)):
            kept.append(axis)
        elif size != 1:
            return None
    return kept if len(kept) == len(after) else None
