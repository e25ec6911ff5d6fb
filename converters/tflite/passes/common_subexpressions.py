"""Computes once what is computed alike more than once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..ir import Graph, ScaledConstant, Value

_SMALL = 1 << 12  # bytes up to which constants are compared by content


def share_subexpressions(graph: Graph) -> None:
    """Let one operator stand for all that have the same operands and options.

    Afterwards no two operators compute the same; random or stateful ones do not exist here.
    """
    known: dict[Hashable, tuple[Value, ...]] = {}
    replaced: dict[Value, Value] = {}
    kept = []
    outputs = set(graph.outputs)
    for op in graph.ops:
        op.inputs = [replaced.get(value, value) if value else None for value in op.inputs]
        key = (
            op.kind,
            tuple(_identity(value) for value in op.inputs),
            tuple((name, _option(value)) for name, value in sorted(op.options.items())),
            tuple(value.dtype for value in op.outputs),  # a cast has it nowhere else
        )
        first = known.setdefault(key, tuple(op.outputs))
        if first == tuple(op.outputs) or outputs.intersection(op.outputs):
            kept.append(op)
            continue
        for value, same in zip(op.outputs, first, strict=True):
            same.origins += value.origins
            replaced[value] = same
    graph.ops = kept


def _identity(value: Value | None) -> Hashable:
    if value is None:
        return None
    if not value.is_constant or (isinstance(value, ScaledConstant) and value.nbytes > _SMALL):
        return id(value)
    assert value.data is not None
    if value.nbytes <= _SMALL:
        return (value.dtype, value.data.shape, value.data.tobytes())
    pointer = value.data.__array_interface__["data"][0]
    return (value.dtype, value.data.shape, value.data.strides, pointer)


def _option(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value
