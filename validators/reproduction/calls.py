"""A layer of the source as people write it: the operator with its options."""

from __future__ import annotations

from typing import Any

from ...artifact import Artifact
from ...formats import EXPORTED, ONNX
from ...program import operator_name
from ..cutting import torchscript as torchscript_cutting
from ..taps.exported import load_program
from .pieces import onnx_operator, operator_text


def layer_call(source: Artifact, layer: str) -> str:
    """Return a layer's operator with its options, and with what it reads where that has names.

    Args:
        source: A captured program, or an ONNX or TorchScript file, whose spine has the layer.
        layer: Its id.
    """
    if source.format == EXPORTED:
        return _node_call(source, layer)
    tensor = str(source.layer_map.place(layer).tensor)
    if source.format == ONNX:
        import onnx

        graph = onnx.load(source.path, load_external_data=False).graph
        return next(onnx_operator(each) for each in graph.node if tensor in each.output)
    others = [str(each.tensor) for each in source.layer_map.mapped().values()]
    operators, _ = torchscript_cutting.piece_operators(source.path, tensor, others)
    return "; ".join(operator_text(kind.replace("::", "."), options) for kind, options in operators)


def _node_call(source: Artifact, layer: str) -> str:
    """A node of a captured program, as in Python."""
    import torch

    node = next(each for each in load_program(source.path).graph.nodes if each.name == layer)
    schema = getattr(node.target, "_schema", None)
    names = [each.name for each in schema.arguments] if schema else []
    shown: list[Any] = []
    for index, value in enumerate(node.args):
        text = value.name if isinstance(value, torch.fx.Node) else str(value)
        prefix = f"{names[index]}=" if index < len(names) else ""
        shown.append(text if isinstance(value, torch.fx.Node) else f"{prefix}{text}")
    shown += [f"{name}={value}" for name, value in node.kwargs.items()]
    return f"{operator_name(node.target)}({', '.join(shown)})"
