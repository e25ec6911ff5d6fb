"""Works out between which bounds numbers lie, and removes what those bounds make needless."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from ..ir import Graph, Op, Value, constant
from ..layout.rules import POINTWISE
from ..sizes import broadcast, example

Interval: TypeAlias = tuple[float, float]

_MOVING = frozenset({"RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "TILE", "BROADCAST_TO"})
_REDUCING = frozenset({"REDUCE_MAX", "REDUCE_MIN", "MEAN"})


def apply_bounds(graph: Graph) -> None:
    """Remove limits that are never reached, and compute no number that is known.

    What is not computed from constants and truth values alone has no bounds here, so that neither
    NaN nor infinity can hide in what has. Afterwards no MAXIMUM or MINIMUM by a constant leaves its
    operand as it is for all numbers that it can hold, and no value that is one number everywhere is
    read.
    """
    bounds: dict[Value, Interval] = {}
    replaced: dict[Value, Value] = {}
    known: dict[Value, float] = {}
    kept = []
    outputs = set(graph.outputs)
    for op in graph.ops:
        op.inputs = [replaced.get(value, value) if value else None for value in op.inputs]
        if len(op.outputs) == 1 and op.output.dtype == "float32":
            found = _interval(op, bounds)
            if found is not None:
                bounds[op.output] = found
            same = _unlimited(op, bounds)
            if same is not None and op.output not in outputs:
                same.origins += op.output.origins
                replaced[op.output] = same
                continue
            if found is not None and found[0] == found[1] and op.output not in outputs:
                known[op.output] = found[0]
        if op.output not in known:
            _read_constants(op, known)
        kept.append(op)
    graph.ops = kept


def _read_constants(op: Op, known: Mapping[Value, float]) -> None:
    """Let an operator read constants: of one number where that broadcasts to the same result."""
    for place, value in enumerate(op.inputs):
        if value is None or value not in known:
            continue
        beside = [each.shape for each in op.inputs if each is not None and each is not value]
        thin = (1,) * value.rank
        if op.kind in POINTWISE and op.output.shape == broadcast(thin, *beside):
            op.inputs[place] = constant(np.full(thin, known[value], np.float32))
        elif value.is_static:
            shape = [example(size) for size in value.shape]
            op.inputs[place] = constant(np.full(shape, known[value], np.float32))


def _interval(op: Op, bounds: Mapping[Value, Interval]) -> Interval | None:
    """Bounds of an operator's result, if those of its operands are known."""
    if op.kind == "CAST" and op.inputs[0] is not None and op.inputs[0].dtype == "bool":
        return (0.0, 1.0)
    if op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    operands = [_known(value, bounds) for value in op.inputs]
    first = operands[0] if operands else None
    if op.kind in _MOVING or op.kind in _REDUCING:
        return first
    if op.kind == "SELECT_V2":
        operands = operands[1:]
    if len(operands) != 2 or operands[0] is None or operands[1] is None:
        return None
    (a, b), (c, d) = operands[0], operands[1]
    if op.kind == "SELECT_V2":
        made = (min(a, c), max(b, d))
    elif op.kind == "ADD":
        made = (a + c, b + d)
    elif op.kind == "SUB":
        made = (a - d, b - c)
    elif op.kind == "MUL":
        products = (a * c, a * d, b * c, b * d)
        made = (min(products), max(products))
    elif op.kind == "MAXIMUM":
        made = (max(a, c), max(b, d))
    elif op.kind == "MINIMUM":
        made = (min(a, c), min(b, d))
    else:
        return None
    largest = float(np.finfo(np.float32).max)
    return made if all(abs(each) <= largest for each in made) else None


def _known(value: Value | None, bounds: Mapping[Value, Interval]) -> Interval | None:
    if value is None or value.data is None:
        return bounds.get(value) if value is not None else None
    if value.dtype != "float32" or not value.data.size:
        return None
    least, most = float(value.data.min()), float(value.data.max())
    return (least, most) if math.isfinite(least) and math.isfinite(most) else None


def _unlimited(op: Op, bounds: Mapping[Value, Interval]) -> Value | None:
    """The operand of a limit that it never reaches."""
    if op.kind not in ("MAXIMUM", "MINIMUM"):
        return None
    for value, limit in (op.inputs, op.inputs[::-1]):
        if value is None or limit is None or value.is_constant or value.shape != op.output.shape:
            continue
        inner, outer = _known(value, bounds), _known(limit, bounds)
        if inner is None or outer is None:
            continue
        if inner[0] >= outer[1] if op.kind == "MAXIMUM" else inner[1] <= outer[0]:
            return value
    return None
