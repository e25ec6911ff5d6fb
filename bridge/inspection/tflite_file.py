"""Reader of TensorFlow Lite files; the weights are not read."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..artifact import Quantization, TensorSpec
from .dtypes import name_of
from .facts import DamagedError, Facts, operator_counts, signature_of
from .flatbuffer import mapped

_CONVERSION_METADATA = "CONVERSION_METADATA"
_MIN_RUNTIME_VERSION = "min_runtime_version"
_CUSTOM = "custom:"


def inspect_tflite(path: Path) -> Facts:
    """Read a TensorFlow Lite model; its signature is the first, if it has several.

    Raises:
        DamagedError: It refers to something that is not in the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    with mapped(path) as data:
        model = schema.Model.GetRootAs(data)
        subgraphs = members(model, "Subgraphs")
        if not subgraphs:
            raise DamagedError("it has no subgraph")
        tensors = [members(subgraph, "Tensors") for subgraph in subgraphs]
        lengths = list(_buffer_lengths(model, len(data)))
        sizes = _stored(itertools.chain.from_iterable(tensors), lengths)
        operators = operator_counts(_uses(model, subgraphs))
        entries = members(model, "SignatureDefs")
        metadata = _metadata(model, data)
        details = {
            "schema_version": str(model.Version()),
            "description": text(model.Description()),
            "subgraphs": str(len(subgraphs)),
            "signatures": ", ".join(text(entry.SignatureKey()) for entry in entries),
            "custom_operators": ", ".join(
                each.name for each in operators if each.name.startswith(_CUSTOM)
            ),
            "min_runtime_version": text(metadata.get(_MIN_RUNTIME_VERSION)).rstrip("\0"),
            "metadata": ", ".join(metadata),
        }
        if entries:
            sides = _entry_sides(entries[0], tensors[entries[0].SubgraphIndex()])
        else:
            sides = _bare_sides(subgraphs[0], tensors[0])
        conversion = metadata.get(_CONVERSION_METADATA)
        return Facts(
            signature=signature_of(*sides, details),
            operators=operators,
            parameters=sum(sizes.values()),
            parameter_bytes=sum(lengths[buffer] for buffer in sizes),
            producer=_producer(details["description"], conversion),
            producer_version=_converter_version(conversion) if conversion else "",
            details={key: value for key, value in details.items() if value},
        )


def members(table: Any, name: str) -> list[Any]:
    """The members of one of a table's vectors."""
    member = getattr(table, name)
    return [member(index) for index in range(getattr(table, f"{name}Length")())]


def _entry_sides(entry: Any, tensors: list[Any]) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs of a signature, by the names that it gives them."""
    inputs, outputs = (
        [_spec(tensors[each.TensorIndex()], text(each.Name())) for each in members(entry, side)]
        for side in ("Inputs", "Outputs")
    )
    return inputs, outputs


def _bare_sides(subgraph: Any, tensors: list[Any]) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs of a model without signatures, by the names of the tensors."""
    inputs, outputs = (
        [_spec(tensors[index], text(tensors[index].Name())) for index in members(subgraph, side)]
        for side in ("Inputs", "Outputs")
    )
    return inputs, outputs


def _spec(tensor: Any, name: str) -> TensorSpec:
    """Spec of a tensor; a size of -1 in its shape signature is dynamic."""
    sizes = members(tensor, "ShapeSignature") or members(tensor, "Shape")
    return TensorSpec(
        name=name,
        shape=tuple(None if size < 0 else size for size in sizes),
        dtype=name_of(tensor.Type(), tensor_types()),
        quantization=quantization_of(tensor.Quantization()),
    )


def quantization_of(stored: Any) -> Quantization | None:
    """Scales and zero points; a record of observed ranges only is not a quantization."""
    if stored is None or not stored.ScaleLength():
        return None
    scales = tuple(float(each) for each in members(stored, "Scale"))
    return Quantization(
        scales=scales,
        zero_points=tuple(members(stored, "ZeroPoint")) or (0,) * len(scales),
        axis=stored.QuantizedDimension() if len(scales) > 1 else None,
    )


def _uses(model: Any, subgraphs: list[Any]) -> Iterator[tuple[str, int]]:
    """Name and version of every operator of every subgraph."""
    codes = operator_codes(model)
    for subgraph in subgraphs:
        for operator in members(subgraph, "Operators"):
            yield codes[operator.OpcodeIndex()]


def operator_codes(model: Any) -> list[tuple[str, int]]:
    """Name and version of each operator code of a model."""
    from ai_edge_litert import schema_py_generated as schema

    codes = []
    for code in members(model, "OperatorCodes"):
        # files from before 2020 have only the first field, which ends at 127
        builtin = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        if builtin == schema.BuiltinOperator.CUSTOM:
            name = _CUSTOM + text(code.CustomCode())
        else:
            name = enumeration_names("BuiltinOperator").get(builtin, f"builtin {builtin}")
        codes.append((name, code.Version()))
    return codes


def _buffer_lengths(model: Any, size: int) -> Iterator[int]:
    """Bytes of each buffer; in models above 2 GB they lie behind the flatbuffer."""
    for buffer in members(model, "Buffers"):
        if buffer.Offset() > 1:
            missing = buffer.Offset() + buffer.Size() - size
            if missing > 0:
                raise DamagedError(f"at least {missing} bytes are missing at its end")
            yield buffer.Size()
        else:
            yield len(_content(buffer))


def _content(buffer: Any) -> memoryview:
    """View of a buffer's bytes; it raises if they lie outside of the file."""
    return memoryview(b"" if buffer.DataIsNone() else buffer.DataAsNumpy())


def _stored(tensors: Iterable[Any], lengths: list[int]) -> dict[int, int]:
    """Elements of the constant tensors by their buffers."""
    return {
        tensor.Buffer(): math.prod(members(tensor, "Shape"))
        for tensor in tensors
        if lengths[tensor.Buffer()]
    }


def _metadata(model: Any, data: Any) -> dict[str, bytes]:
    """Metadata by name; TensorFlow's quantizer adds blank ones under names that are taken."""
    buffers = members(model, "Buffers")
    found: dict[str, bytes] = {}
    for entry in members(model, "Metadata"):
        buffer = buffers[entry.Buffer()]
        if buffer.Offset() > 1:
            content = data[buffer.Offset() : buffer.Offset() + buffer.Size()]
        else:
            content = bytes(_content(buffer))
        found.setdefault(text(entry.Name()), content)
    return found


def _producer(description: str, conversion: bytes | None) -> str:
    """What made the file: the direct compiler says so in the description."""
    if conversion:
        return "TensorFlow Lite converter"
    return description if description == "driftbridge" else ""


def _converter_version(content: bytes) -> str:
    """TensorFlow's version in the metadata that its converter leaves.

    See ``tensorflow/compiler/mlir/lite/schema/conversion_metadata.fbs``: the first field of
    ``ConversionMetadata`` is ``environment``, and the first of that ``tensorflow_version``.
    """
    from flatbuffers.table import Table

    root = Table(content, int.from_bytes(content[:4], "little"))
    field = root.Offset(4)
    if not field:
        return ""
    environment = Table(content, root.Indirect(root.Pos + field))
    field = environment.Offset(4)
    return text(environment.String(environment.Pos + field)) if field else ""


def text(content: bytes | None) -> str:
    """A text of the file; empty if there is none."""
    return (content or b"").decode()


@functools.cache
def enumeration_names(name: str) -> dict[int, str]:
    """Number → name of an enumeration of the schema."""
    from ai_edge_litert import schema_py_generated as schema

    members_of = vars(getattr(schema, name))
    return {code: each for each, code in members_of.items() if isinstance(code, int)}


@functools.cache
def tensor_types() -> dict[int, str]:
    """Number → name of each element type."""
    names = enumeration_names("TensorType")
    return {code: "str" if name == "STRING" else name.lower() for code, name in names.items()}
