"""Whether what onnx2tf made is the model at all; how far it drifts is for the validators to say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConversionError, MismatchError
from .axes import Graph, inverse
from .graphs import value_made_with
from .source import Source

# float32 rounding stays orders of magnitude below; a wrong layout is orders above
_GROSS = 1e-2


def does_not_run(
    error: Exception, source: Source, graph: Graph, tensors: Mapping[str, str]
) -> ConversionError:
    """Return the failure of a model that TensorFlow refuses, with the operator if it is told."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    layer = re.search(r"calling layer '([^']+)'", str(error))
    inside = f"/{layer[1]}/" if layer else "/"
    start = [each for node in graph.nodes for each in node.outputs if inside in each]
    value = value_made_with(graph, tensors, start) if layer else ""
    place = f" at operator {source.producers[value].op_type} (value {value!r})" if value else ""
    return ConversionError(f"onnx2tf's model does not run{place}: {' '.join(lines[:2])}")


def compare(
    source: Source, computed: Mapping[str, NDArray[Any]], layouts: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse a result that is not the model; how far it drifts is for validators to say."""
    apart = {
        value: _distance(source.reference[value], computed[value].transpose(inverse(layout)))
        for value, layout in layouts.items()
        if value in source.reference
    }
    wrong = [name for name in source.outputs if apart.get(name, 0.0) > _GROSS]
    unknown = [name for name in source.outputs if name not in layouts]
    first = next((name for name in source.producers if apart.get(name, 0.0) > _GROSS), None)
    if not first or not (wrong or unknown):
        return
    if wrong:
        output = f"output {wrong[0]!r} is {apart[wrong[0]]:.0%} off"
    else:
        output = f"the layout of output {unknown[0]!r} cannot be known"
    raise MismatchError(
        f"onnx2tf's result computes something else than the ONNX model: {output}, and value "
        f"{first!r} ({source.producers[first].op_type}) is the first that is wrong, "
        f"{apart[first]:.0%} off (RMS, against ONNX Runtime)",
        hint="another route may do better",
    )


def _distance(reference: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return RMS(actual - reference) / RMS(reference); 0 for what is not to be compared."""
    if reference.dtype.kind != "f" or not reference.size or not np.isfinite(reference).all():
        return 0.0
    if not np.isfinite(actual).all():
        return float("inf")
    wide = reference.astype(np.float64)
    scale = float(np.sqrt(np.mean(wide**2))) or 1.0
    return float(np.sqrt(np.mean((actual.astype(np.float64) - wide) ** 2))) / scale
