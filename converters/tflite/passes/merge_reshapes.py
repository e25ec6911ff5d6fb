"""Merges reshapes of reshapes."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Op, Value


def merge_reshapes(graph: Graph) -> None:
    """Let each reshape read what is no reshape itself.

    Afterwards no RESHAPE reads another's result, and none keeps the shape unless its result is an
    output of the graph.
    """
    source = graph.producers()
    outputs = set(graph.outputs)
    same: dict[Value, Value] = {}
    gone: set[Op] = set()
    for op in graph.ops:
        if op.kind != "RESHAPE" or op.inputs[0] is None or op.inputs[0].is_constant:
            continue
        before = source.get(op.inputs[0])
        while before is not None and before.kind == "RESHAPE" and before.inputs[0] is not None:
            _keep_origins(before)
            op.inputs[0] = before.inputs[0]
            op.layers = before.layers + op.layers
            before = source.get(op.inputs[0])
        value = op.inputs[0]
        if value.shape == op.output.shape and op.output not in outputs:
            value.origins += op.output.origins
            same[op.output] = value
            gone.add(op)
    graph.ops = [op for op in graph.ops if op not in gone]
    graph.replace(same)


def _keep_origins(reshape: Op) -> None:
    """Let a reshape's operand stand for the layers of its result, in another shape."""
    value = reshape.inputs[0]
    assert value is not None
    known = {origin.layer for origin in value.origins}
    value.origins += [
        replace(origin, reshaped=True)
        for origin in reshape.output.origins
        if origin.permutation is None and origin.layer not in known
    ]
