"""ONNX models cut apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...artifact import TensorSpec
from ...errors import SourceError
from ..runtime import fed_name
from ..taps.names import require_names
from ..taps.onnx import load


def cut(path: Path, taps: Sequence[str], cuts: Sequence[TensorSpec]) -> bytes:
    """Cut the top-level graph of a model file.

    Weights in files of their own stay there, as for taps.

    Args:
        path: An ONNX file; it is not changed.
        taps: Values to show, as further outputs.
        cuts: Values whose readers are fed, through further inputs.

    Raises:
        SourceError: There is no such value, or the file is damaged.
    """
    content: bytes = _cut(load(path), path, taps, cuts).SerializeToString()
    return content


def piece(path: Path, tensor: TensorSpec, cuts: Sequence[TensorSpec]) -> bytes:
    """Return a model with only what makes one value of the cut values and the model's inputs.

    Its inputs are named as in ``cut``; its one output is the value.

    Args:
        path: An ONNX file; it is not changed.
        tensor: The value.
        cuts: Values whose readers are fed.

    Raises:
        SourceError: As ``cut``.
    """
    import onnx
    from onnx import helper

    try:
        whole = onnx.load(path)  # with the weights that lie in files of their own
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error}") from error
    model = _cut(whole, path, [tensor.name], cuts)
    graph = model.graph
    needed = {tensor.name}
    kept: list[Any] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.insert(0, node)
            needed.update(node.input)
            needed.update(_read_in_bodies(node))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    output = helper.make_tensor_value_info(tensor.name, kind, tensor.shape)
    for field, chosen in (
        ("node", kept),
        ("input", [each for each in graph.input if each.name in needed]),
        ("output", [output]),
        ("initializer", [each for each in graph.initializer if each.name in needed]),
        ("value_info", []),
    ):
        copies = [type(each).FromString(each.SerializeToString()) for each in chosen]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
    content: bytes = model.SerializeToString()
    return content


def _read_in_bodies(node: Any) -> set[str]:
    found: set[str] = set()
    for attribute in node.attribute:
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
            for inner in body.node:
                found.update(inner.input)
                found |= _read_in_bodies(inner)
            found.update(each.name for each in body.output)
    return found


def _cut(model: Any, path: Path, taps: Sequence[str], cuts: Sequence[TensorSpec]) -> Any:
    import onnx
    from onnx import helper

    graph = model.graph
    known = {name for node in graph.node for name in node.output if name}
    known |= {each.name for each in graph.input}
    require_names("tensor", [*taps, *(each.name for each in cuts)], known, path)
    instead = {each.name: fed_name(each.name) for each in cuts}
    for node in graph.node:
        _rename(node, instead)
    for each in cuts:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(each.dtype))
        graph.input.append(helper.make_tensor_value_info(instead[each.name], kind, each.shape))
    outputs = {each.name for each in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in taps if name not in outputs)
    return model


def _rename(node: Any, instead: Mapping[str, str]) -> None:
    """Let a node, and those in its bodies, read other values; a body may hide some names."""
    node.input[:] = [instead.get(name, name) for name in node.input]
    for attribute in node.attribute:
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
            own = {each.name for each in (*body.input, *body.initializer)}
            own |= {name for inner in body.node for name in inner.output}
            outer = {name: other for name, other in instead.items() if name not in own}
            for inner in body.node:
                _rename(inner, outer)
            for output in body.output:
                output.name = outer.get(output.name, output.name)
