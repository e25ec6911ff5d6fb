"""Where the spine's layers are in a TorchScript graph."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from ..layers import LayerMap, Place, Spine, explain_absences

_SCOPE = re.compile(r"__module\.?(?P<path>[\w.]*)$")
_SAME = {"_convolution": "conv", "conv1d": "conv", "conv2d": "conv", "conv3d": "conv"}


def layer_map(scripted: Any, spine: Spine | None) -> LayerMap:
    """Map spine layers to values of a module's inlined graph.

    A trace and ``torch.export`` record the same calls in the same order, so layers correspond
    one to one within each module and operator; where a module's counts differ (a fused fast path,
    a scripted loop), its layers stay unmapped.

    Args:
        scripted: A traced or scripted module.
        spine: The layers; without a spine the map is empty.

    Returns:
        Layer → ``debugName`` of the value in ``scripted.inlined_graph``.
    """
    if spine is None:
        return LayerMap()
    values: dict[tuple[str, str], list[str]] = defaultdict(list)
    for node in scripted.inlined_graph.nodes():
        if node.kind().startswith("aten::"):
            for value in node.outputs():
                if value.type().kind() == "TensorType":
                    values[_module(node), _operator(node.kind())].append(value.debugName())
    layers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for layer in spine.layers:
        layers[layer.module, _operator(layer.op)].append(layer.id)
    mapped = {
        layer: Place(tensor=value)
        for key, ids in layers.items()
        if len(ids) == len(values.get(key, ()))
        for layer, value in zip(ids, values[key], strict=True)
    }
    return explain_absences(spine, mapped)


def _module(node: Any) -> str:
    """Path of the module that a node was recorded in, from its scope ``a/b/__module.features.3``."""
    match = _SCOPE.search(node.scopeName().rpartition("/")[2])
    return match["path"] if match else ""


def _operator(name: str) -> str:
    base = re.split(r"::|\.", name)[-1].rstrip("_")
    return _SAME.get(base, base)
