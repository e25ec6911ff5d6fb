"""Recognizes activation functions that a model writes out.

``0.5 * x * (1 + tanh(...))`` is GELU, in any of the ways in which it can be written. The pattern is
not matched by its form: what the operators compute of one number is evaluated on a grid, and
compared with the functions that TFLite has an operator for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..ir import Array, Graph, Op, Value

Function: TypeAlias = Callable[[Array], Array]

_ENDS = frozenset({"MUL", "DIV"})
_LEAST, _MOST = 3, 40  # operators of one activation
_GRID = np.concatenate([np.linspace(-14, 14, 1401), [-60.0, -30.0, 30.0, 60.0]])
_CLOSE = 4e-6  # float32 rounding of a polynomial erf, on numbers of the order of 1

_FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": np.divide,
    "POW": np.power,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "SQUARE": np.square,
    "ABS": np.abs,
    "NEG": np.negative,
    "EXP": np.exp,
    "TANH": np.tanh,
    "SQRT": np.sqrt,
    "SIGN": np.sign,
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
}


def _gelu(x: Array) -> Array:
    return np.array([0.5 * each * math.erfc(-each / math.sqrt(2)) for each in x])


def _gelu_tanh(x: Array) -> Array:
    inner: Array = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    result: Array = 0.5 * x * (1 + np.tanh(inner))
    return result


_ACTIVATIONS: tuple[tuple[str, dict[str, Any], Array], ...] = (
    ("GELU", {"approximate": False}, _gelu(_GRID)),
    ("GELU", {"approximate": True}, _gelu_tanh(_GRID)),
    ("HARD_SWISH", {}, _GRID * np.clip(_GRID + 3, 0, 6) / 6),
)


def recognize_activations(graph: Graph) -> None:
    """Put one operator in the place of those that compute a known function of one value.

    Afterwards no product of the graph equals GELU or hard-swish of some value that it is computed
    from by operators on single elements.
    """
    source = graph.producers()
    for op in graph.ops:
        if op.kind in _ENDS and op.output.dtype == "float32":
            found = _recognized(op, source)
            if found is not None:
                kind, options, value, layers = found
                op.kind, op.options, op.inputs, op.layers = kind, dict(options), [value], layers


def _recognized(
    end: Op, source: dict[Value, Op]
) -> tuple[str, dict[str, Any], Value, tuple[str, ...]] | None:
    """The activation that an operator is the end of: kind, options, operand and layers."""
    if not _is_elementwise(end):
        return None
    region = [end]
    open_values = {value for _, value in end.live_inputs()}
    while len(region) <= _MOST:
        if len(open_values) == 1 and len(region) >= _LEAST:
            (value,) = open_values
            known = _known(region, value)
            if known is not None and value.shape == end.output.shape:
                layers = tuple(dict.fromkeys(x for op in reversed(region) for x in op.layers))
                return *known, value, layers
        inner = [each for each in open_values if each in source and _is_elementwise(source[each])]
        if not inner:
            return None
        # a value that another open one is computed from must wait until that one is opened
        chosen = next(
            (each for each in inner if not _reads(open_values - {each}, each, source)), None
        )
        if chosen is None:
            return None
        open_values.discard(chosen)
        region.append(source[chosen])
        open_values.update(value for _, value in source[chosen].live_inputs())
    return None


def _reads(values: set[Value], wanted: Value, source: dict[Value, Op]) -> bool:
    """Whether one of some values is computed from another, a few operators back."""
    waiting, seen = [(value, 0) for value in values], set(values)
    while waiting:
        value, depth = waiting.pop()
        op = source.get(value)
        if op is None or depth > _MOST or not _is_elementwise(op):
            continue
        for _, operand in op.live_inputs():
            if operand is wanted:
                return True
            if operand not in seen:
                seen.add(operand)
                waiting.append((operand, depth + 1))
    return False


def _is_elementwise(op: Op) -> bool:
    return (
        op.kind in _FUNCTIONS
        and op.options.get("fused_activation_function", "NONE") == "NONE"
        and all(v is not None and (v.data is None or v.data.size == 1) for v in op.inputs)
        and all(value.shape == op.output.shape for _, value in op.live_inputs())
    )


def _known(region: list[Op], value: Value) -> tuple[str, dict[str, Any]] | None:
    numbers: dict[Value, Array] = {value: _GRID}
    with np.errstate(all="ignore"):
        for op in reversed(region):
            operands = [
                each.data.reshape(()).astype(np.float64) if each.data is not None else numbers[each]
                for each in op.inputs
                if each is not None
            ]
            numbers[op.output] = _FUNCTIONS[op.kind](*operands)
        result = numbers[region[0].output]
        for kind, options, wanted in _ACTIVATIONS:
            scale = np.maximum(np.abs(wanted), 1.0)
            if (np.abs(result - wanted) <= _CLOSE * scale).all():
                return kind, options
    return None
