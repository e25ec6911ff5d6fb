"""The operators of an ONNX file's main graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .graph import Graph, Operation
from .operators import kind_of

# operators whose results are lists of tensors, which cannot be shown
_LISTS = ("Sequence", "SplitToSequence", "Optional")


def read_onnx(path: Path) -> Graph:
    """Read a file; weights in files of their own are left there."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    constants = {each.name for each in graph.initializer}
    inputs = [each.name for each in graph.input if each.name not in constants]
    operations = tuple(_operation(node, index) for index, node in enumerate(graph.node))
    names = {name: name for name in inputs}
    for node, each in zip(graph.node, operations, strict=True):
        if not node.op_type.startswith(_LISTS):
            names.update((key, key) for key in each.outputs)
    return Graph(
        operations=operations,
        inputs={name: name for name in inputs},
        outputs={each.name: each.name for each in graph.output},
        names=names,
        shapes={
            each.name: tuple(size.dim_value for size in each.type.tensor_type.shape.dim)
            for each in (*graph.input, *graph.value_info, *graph.output)
        },
    )


def _operation(node: Any, index: int) -> Operation:
    return Operation(
        index=index,
        kind=kind_of(node.op_type),
        name=node.op_type,
        inputs=tuple(name for name in (*node.input, *_captured(node)) if name),
        outputs=tuple(name for name in node.output if name),
    )


def _captured(node: Any) -> list[str]:
    """What the bodies of a branch or loop read; names of the body's own tensors do no harm."""
    bodies = [each.g for each in node.attribute if each.HasField("g")]
    return [name for body in bodies for inner in body.node for name in inner.input]
