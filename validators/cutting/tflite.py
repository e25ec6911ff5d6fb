"""TFLite files cut apart."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError
from ..runtime import fed_name
from ..taps.tflite import LARGEST_FLATBUFFER, Instrumented, choose, computed


def cut(path: Path, taps: Sequence[str], cuts: Iterable[str]) -> Instrumented:
    """Cut the first subgraph of a file.

    The new file's inputs, also those of its signatures, are the old ones and one for each cut
    tensor; its outputs are the old ones and the shown tensors.

    Args:
        path: A valid TFLite file; it is not changed.
        taps: Names of tensors to show.
        cuts: Names of tensors whose readers are fed.

    Raises:
        SourceError: There is no such tensor, a name belongs to two, or the file is above 2 GB.
    """
    model, shown = _cut(path, taps, cuts)
    return Instrumented(content=packed(model), tensors=shown)


def piece(path: Path, tensor: str, cuts: Iterable[str]) -> bytes:
    """Return a file with only what makes one tensor of the cut tensors and the file's inputs.

    Its inputs are named as in ``cut``; its one output is the tensor.

    Args:
        path: A valid TFLite file; it is not changed.
        tensor: Name of the tensor.
        cuts: Names of tensors whose readers are fed.

    Raises:
        SourceError: As ``cut``.
    """
    model, shown = _cut(path, [tensor], cuts)
    graph = model.subgraphs[0]
    needed = {shown[tensor]}
    kept: list[Any] = []
    for operator in reversed(graph.operators):
        if needed.intersection(int(each) for each in operator.outputs):
            kept.insert(0, operator)
            needed.update(int(each) for each in operator.inputs if each >= 0)
    graph.operators = kept
    graph.inputs = [each for each in graph.inputs if each in needed]
    graph.outputs = [shown[tensor]]
    model.signatureDefs = []
    used = {graph.tensors[index].buffer for index in needed}
    used |= {each.buffer for other in model.subgraphs[1:] for each in other.tensors}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
    return packed(model)


def _cut(path: Path, taps: Sequence[str], cuts: Iterable[str]) -> tuple[Any, dict[str, int]]:
    """The model in the schema's object classes, cut, and the index of each shown tensor."""
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    if len(content) > LARGEST_FLATBUFFER:
        raise SourceError(f"{path.name} cannot be cut apart: it is larger than 2 GB")
    model = unpacked(content)
    graph = model.subgraphs[0]
    known = computed(schema.Model.GetRootAs(content, 0).Subgraphs(0))
    shown = choose(path, known, list(taps))
    instead = {}
    fed = []
    for name, index in choose(path, known, list(cuts)).items():
        tensor = copy.copy(graph.tensors[index])
        tensor.name = fed_name(name).encode()
        place = schema.TensorMapT()
        place.name, place.tensorIndex = tensor.name, len(graph.tensors)
        fed.append(place)
        instead[index] = len(graph.tensors)
        graph.tensors.append(tensor)
    for operator in graph.operators:
        if operator.inputs is not None:
            operator.inputs = [instead.get(int(each), int(each)) for each in operator.inputs]
    graph.inputs = [*(int(each) for each in graph.inputs), *instead.values()]
    outputs = [int(each) for each in graph.outputs]
    graph.outputs = list(dict.fromkeys((*outputs, *shown.values())))
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex == 0:
            signature.inputs = [*(signature.inputs or []), *fed]
    return model, shown


def unpacked(content: bytes) -> Any:
    """Return a file as a model of the schema's object classes, which may be changed and packed.

    Constants that lie behind the flatbuffer, where the classes do not follow them, are taken into
    it: ai-edge-quantizer writes all but small files so.

    Args:
        content: A valid TFLite file of no more than 2 GB.
    """
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 stand for none
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    for operator in (each for graph in model.subgraphs for each in graph.operators):
        place, size = operator.largeCustomOptionsOffset, operator.largeCustomOptionsSize
        if place > 1:
            operator.customOptions = np.frombuffer(content, np.uint8, size, place)
        operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0
    return model


def packed(model: Any) -> bytes:
    """Return a model of the schema's object classes as a file."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
