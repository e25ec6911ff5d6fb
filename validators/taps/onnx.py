"""ONNX models with values inside them as further outputs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import SourceError
from .names import require_names


def expose(path: Path, taps: Iterable[str]) -> bytes:
    """Return a model file with values of its graph as outputs, after those that it has.

    Types and shapes of the new outputs are left out: ONNX Runtime infers them for values of every
    type. Weights in files of their own stay there, so that the result is small whatever their size;
    the session must be told the folder.

    Args:
        path: An ONNX file; it is not changed.
        taps: Values that a node of the top-level graph makes, or inputs. A value that is an output
            already is not added again.

    Raises:
        SourceError: There is no such value, or the file is damaged.
    """
    import onnx

    model = load(path)
    graph = model.graph
    made = {name for node in graph.node for name in node.output if name}
    known = made | {each.name for each in graph.input}
    wanted = list(taps)
    require_names("tensor", wanted, known, path)
    outputs = {each.name for each in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in outputs)
    content: bytes = model.SerializeToString()
    return content


def load(path: Path) -> Any:
    """Return a model without the weights that lie in files of their own.

    Raises:
        SourceError: The file is damaged.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise SourceError(f"{path.name} is no ONNX model, or it is truncated: {error}") from error
