"""The operators of an ONNX file's main graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...formats import ONNX
from ..quantization.onnx_scales import OnnxScales
from ..quantization.recipe import file_recipe
from .graph import FLOATS, INTEGERS, Graph, Operation
from .operators import kind_of

# operators whose results are lists of tensors, which cannot be shown
_LISTS = ("Sequence", "SplitToSequence", "Optional")


def read_onnx(path: Path) -> Graph:
    """Read a file; weights in files of their own are left there.

    Where values are stored in integers (QuantizeLinear and DequantizeLinear around an operator),
    those are the tensors of the operators: whoever runs the file computes with them.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    scales = OnnxScales(graph)
    constants = {each.name for each in graph.initializer}
    inputs = [each.name for each in graph.input if each.name not in constants]
    nodes = [each for each in graph.node if not _only_stores(each, scales)]
    operations = tuple(_operation(node, index, scales) for index, node in enumerate(nodes))
    names = {name: name for name in inputs}
    for node, each in zip(nodes, operations, strict=True):
        if not node.op_type.startswith(_LISTS):
            names.update((key, key) for key in each.outputs)
    return Graph(
        operations=operations,
        inputs={name: name for name in inputs},
        outputs={each.name: scales.resolved(each.name) for each in graph.output},
        names=names,
        shapes={
            each.name: tuple(size.dim_value for size in each.type.tensor_type.shape.dim)
            for each in (*graph.input, *graph.value_info, *graph.output)
        },
        scales={
            name: (each.scales[0], each.zero_points[0])
            for name, each in scales.of.items()
            if each.axis is None
        },
        tolerance=INTEGERS if file_recipe(path, ONNX).precision.startswith("int8") else FLOATS,
    )


def _only_stores(node: Any, scales: OnnxScales) -> bool:
    """Whether an operator only brings a value into integers, or back."""
    if node.op_type == "DequantizeLinear":
        return True
    return node.op_type == "QuantizeLinear" and node.input[0] in scales.stored


def _operation(node: Any, index: int, scales: OnnxScales) -> Operation:
    return Operation(
        index=index,
        kind=kind_of(node.op_type),
        name=node.op_type,
        inputs=tuple(scales.resolved(name) for name in (*node.input, *_captured(node)) if name),
        outputs=tuple(scales.resolved(name) for name in node.output if name),
    )


def _captured(node: Any) -> list[str]:
    """What the bodies of a branch or loop read; names of the body's own tensors do no harm."""
    bodies = [each.g for each in node.attribute if each.HasField("g")]
    return [name for body in bodies for inner in body.node for name in inner.input]
