"""Tensors that accelerators find hard: sizes that change, many axes, 64-bit integers."""

from __future__ import annotations

from ...inspection.tflite_graph import TFLiteGraph
from .gpu_rules import MOST_AXES


def notable_tensors(graph: TFLiteGraph) -> dict[str, list[str]]:
    """Return the names of such tensors of all subgraphs, in the file's order.

    Constants count for their type, and not for their axes: an accelerator lays them out anew.
    """
    tensors = [each for subgraph in graph.tensors for each in subgraph]
    computed = [each for each in tensors if not each.constant]
    return {
        "dynamic": [each.name for each in computed if each.dynamic],
        f"rank_above_{MOST_AXES}": [each.name for each in computed if each.rank > MOST_AXES],
        "int64": [each.name for each in tensors if each.dtype == "int64"],
    }
