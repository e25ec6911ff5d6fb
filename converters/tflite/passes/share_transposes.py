"""Lets products of matrices read one transpose of a tensor instead of two."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Op, Permutation, Value, identity
from ..layout.network import is_transpose


def share_transposes(graph: Graph) -> None:
    """Read a matrix the other way round (``adj_y``) where it is there already.

    Attention whose keys are its values as well lays the same tensor out as rows for one product
    and as columns for the other. It needs transposes that are final. Afterwards no transpose is
    read only as a second operand of BATCH_MATMUL while an earlier one of the same tensor differs
    from it by the last two axes.
    """
    users = graph.users()
    outputs = set(graph.outputs)
    known: dict[tuple[Value, Permutation], Value] = {}
    kept: list[Op] = []
    for op in graph.ops:
        if not is_transpose(op) or op.inputs[0] is None:
            kept.append(op)
            continue
        order = _order(op)
        other = known.get((op.inputs[0], _turned(order)))
        readers = users.get(op.output, [])
        if other is None or op.output in outputs or not all(_multiplies(op, by) for by in readers):
            known.setdefault((op.inputs[0], order), op.output)
            kept.append(op)
            continue
        for reader in readers:
            reader.inputs[1] = other
            reader.options["adj_y"] = not reader.options.get("adj_y", False)
        other.origins += [
            replace(origin, permutation=_turned(origin.permutation or identity(op.output.rank)))
            for origin in op.output.origins
            if not origin.reshaped
        ]
    graph.ops = kept


def _multiplies(op: Op, reader: Op) -> bool:
    """Whether a reader takes a result as its second matrix, and not as its first as well."""
    return reader.kind == "BATCH_MATMUL" and reader.inputs[0] is not op.output


def _turned(order: Permutation) -> Permutation:
    """The permutation of the matrices that lie the other way round."""
    return (*order[:-2], order[-1], order[-2])


def _order(op: Op) -> Permutation:
    assert op.inputs[1] is not None
    assert op.inputs[1].data is not None
    return tuple(int(axis) for axis in op.inputs[1].data)
