"""Stores weights in half precision; computing stays in float32."""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Op, Value, constant

_LEAST = 32  # elements below which the operator that widens them costs more than the bytes saved


def halve_weights(graph: Graph) -> None:
    """Put a DEQUANTIZE of a float16 constant in the place of float32 constants.

    XNNPACK and the plain kernels widen such a constant once, when the model is loaded. Constants
    that float16 cannot hold stay as they are: a finite number must not become infinite.
    """
    widened: dict[Value, Value] = {}
    added: list[Op] = []
    for op in graph.ops:
        for place, value in enumerate(op.inputs):
            if value is None or value.data is None or value.dtype != "float32":
                continue
            if value not in widened:
                if value.elements < _LEAST or not _fits(value):
                    continue
                half = constant(value.data.astype(np.float16), name=value.name)
                widened[value] = Value(shape=value.shape, dtype="float32")
                added.append(Op("DEQUANTIZE", [half], [widened[value]], {}, op.layers))
            op.inputs[place] = widened[value]
    graph.ops = added + graph.ops


def _fits(value: Value) -> bool:
    assert value.data is not None
    finite = value.data[np.isfinite(value.data)]
    return not finite.size or float(np.abs(finite).max()) <= float(np.finfo(np.float16).max)
