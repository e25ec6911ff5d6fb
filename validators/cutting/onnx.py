"""ONNX models cut apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...artifact import TensorSpec
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
    import onnx
    from onnx import helper

    model = load(path)
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
    content: bytes = model.SerializeToString()
    return content


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
