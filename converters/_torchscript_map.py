"""Where the spine's layers are in a TorchScript graph."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from ..layers import LayerMap, Place, Spine, explain_absences

_SCOPE = re.compile(r"__module\.?(?P<path>[\w.]*)$")
_SAME = {"_convolution": "conv", "conv1d": "conv", "conv2d": "conv", "conv3d": "conv"}


def layer_map(scripted: Any, loaded: Any, spine: Spine | None, root: str = "") -> LayerMap:
    """Map spine layers to values of the inlined graph of a saved module.

    A trace and ``torch.export`` record the same calls in the same order, so layers correspond
    one to one within each module and operator; where a module's counts differ (a fused fast path,
    a scripted loop), its layers stay unmapped. Saving drops the modules and renames the values but
    keeps the order of the operators, by which the saved graph corresponds to the one in memory.

    Args:
        scripted: A traced or scripted module.
        loaded: The same module, saved and loaded.
        spine: The layers; without a spine the map is empty.
        root: Name of the source's module within ``scripted``, if it is not that module itself.

    Returns:
        Layer → ``debugName`` of the value in ``loaded.inlined_graph``.
    """
    if spine is None:
        return LayerMap()
    before, after = _operators(scripted), _operators(loaded)
    if [node.kind() for node in before] != [node.kind() for node in after]:
        return explain_absences(spine, {})
    values: dict[tuple[str, str], list[str]] = defaultdict(list)
    for node, saved in zip(before, after, strict=True):
        for value in saved.outputs():
            if value.type().kind() == "TensorType":
                values[_module(node, root), _operator(node.kind())].append(value.debugName())
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


def _operators(module: Any) -> list[Any]:
    return [node for node in module.inlined_graph.nodes() if node.kind().startswith("aten::")]


def _module(node: Any, root: str) -> str:
    """Path of the module that a node was recorded in: ``0.3`` of ``__module.0/__module.0.3``."""
    match = _SCOPE.search(node.scopeName().rpartition("/")[2])
    path = match["path"] if match else ""
    return path if not root else path.removeprefix(root).lstrip(".")


def _operator(name: str) -> str:
    base = re.split(r"::|\.", name)[-1].rstrip("_")
    return _SAME.get(base, base)
