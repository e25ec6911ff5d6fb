"""The pieces: the part of an artifact that makes one layer's tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...artifact import Artifact, TensorSpec
from ...formats import ONNX, TFLITE, TORCHSCRIPT
from ...inspection.tflite_graph import named_options, read_graph
from ..cutting import onnx as onnx_cutting
from ..cutting import tflite as tflite_cutting
from ..cutting import torchscript as torchscript_cutting
from ..quantization.recipe import Stored, file_recipe
from ..runtime import fed_name


@dataclass(frozen=True, kw_only=True)
class PieceFile:
    """A piece on disk.

    Attributes:
        path: The file.
        inputs: Names of its inputs, in order; fed ones as ``fed_name`` gives them.
        operators: Its operators with their options, for people.
    """

    path: Path
    inputs: tuple[str, ...]
    operators: tuple[str, ...]


def write_piece(
    artifact: Artifact, tensor: TensorSpec, cuts: Sequence[TensorSpec], folder: Path
) -> PieceFile:
    """Write the part of an artifact that makes a tensor of the cut tensors and its inputs.

    Args:
        artifact: A TFLite, ONNX or TorchScript file.
        tensor: What the piece makes.
        cuts: What it may be fed.
        folder: Where the file goes.

    Raises:
        SourceError: The file cannot be cut.
    """
    path = folder / f"piece{artifact.format.suffix}"
    if artifact.format == TFLITE:
        names = [each.name for each in cuts]
        path.write_bytes(tflite_cutting.piece(artifact.path, tensor.name, names))
        graph, stored = read_graph(path), file_recipe(path, TFLITE).tensors
        return PieceFile(
            path=path,
            inputs=tuple(graph.tensors[0][index].name for index in graph.inputs),
            operators=tuple(
                operator_text(each.name, named_options(each.options))
                + _stored_text(stored.get(each.tensor))
                for each in graph.main
            ),
        )
    if artifact.format == ONNX:
        content = onnx_cutting.piece(artifact.path, tensor, cuts)
        path.write_bytes(content)
        return _onnx_piece(path, content)
    assert artifact.format == TORCHSCRIPT
    path.write_bytes(artifact.path.read_bytes())
    operators, read = torchscript_cutting.piece_operators(
        artifact.path, tensor.name, [each.name for each in cuts]
    )
    own = tuple(each.name for each in artifact.signature.inputs)
    return PieceFile(
        path=path,
        inputs=(*own, *(fed_name(each) for each in read)),
        operators=tuple(
            operator_text(kind.replace("::", "."), options) for kind, options in operators
        ),
    )


def _stored_text(stored: Stored | None) -> str:
    """How a result is quantized; nothing for floats."""
    if stored is None:
        return ""
    scales, zero_points = stored.quantization.scales, stored.quantization.zero_points
    scale = f"{scales[0]:.6g}" if len(scales) == 1 else f"{len(scales)} by channel"
    return f" → {stored.dtype}, scale {scale}, zero point {zero_points[0]}"


def _onnx_piece(path: Path, content: bytes) -> PieceFile:
    import onnx

    model, stored = onnx.load_from_string(content), file_recipe(path, ONNX).tensors
    return PieceFile(
        path=path,
        inputs=tuple(each.name for each in model.graph.input),
        operators=tuple(
            onnx_operator(node) + _stored_text(stored.get(node.output[0]))
            for node in model.graph.node
        ),
    )


def onnx_operator(node: Any) -> str:
    """Return an ONNX node with its attributes, for people."""
    return operator_text(node.op_type, {each.name: _value(each) for each in node.attribute})


def _value(attribute: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return float(str(np.float32(value)))  # it is kept as one: 0.01, not 0.009999999776
    return "…" if attribute.HasField("t") or attribute.HasField("g") else value


def operator_text(name: str, options: Mapping[str, Any]) -> str:
    """Return an operator with its options, for people."""
    listed = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name}({listed})"
