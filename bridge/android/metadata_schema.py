"""The tables of TFLite Metadata, packed as a flatbuffer.

The schema is ``metadata_schema.fbs`` of TensorFlow Lite Support (file identifier ``M001``). Its
generated classes come with packages of hundreds of megabytes only, and need half a dozen of its
tables: so the fields are listed here, in the schema's order, which is what a flatbuffer knows them
by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FILE_IDENTIFIER = b"M001"

# types: text, byte, uint, float; [T] is a vector of T; a union takes two places, the first for
# its kind, and anything else is the name of a table
_TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "ModelMetadata": (
        ("name", "text"),
        ("description", "text"),
        ("version", "text"),
        ("subgraph_metadata", "[SubGraphMetadata]"),
        ("author", "text"),
        ("license", "text"),
        ("associated_files", "[AssociatedFile]"),
        ("min_parser_version", "text"),
    ),
    "SubGraphMetadata": (
        ("name", "text"),
        ("description", "text"),
        ("input_tensor_metadata", "[TensorMetadata]"),
        ("output_tensor_metadata", "[TensorMetadata]"),
    ),
    "TensorMetadata": (
        ("name", "text"),
        ("description", "text"),
        ("dimension_names", "[text]"),
        ("content", "Content"),
        ("process_units", "[ProcessUnit]"),
        ("stats", "Stats"),
        ("associated_files", "[AssociatedFile]"),
    ),
    "AssociatedFile": (("name", "text"), ("description", "text"), ("type", "byte")),
    "Content": (("content_properties_type", "byte"), ("content_properties", "union")),
    "FeatureProperties": (),
    "ImageProperties": (("color_space", "byte"), ("default_size", "ImageSize")),
    "ImageSize": (("width", "uint"), ("height", "uint")),
    "ProcessUnit": (("options_type", "byte"), ("options", "union")),
    "NormalizationOptions": (("mean", "[float]"), ("std", "[float]")),
    "Stats": (("max", "[float]"), ("min", "[float]")),
}
# the kind of a union's member: its place among them, from 1
_KINDS = {"FeatureProperties": 1, "ImageProperties": 2, "NormalizationOptions": 1}

TENSOR_AXIS_LABELS = 2
RGB, GRAYSCALE = 1, 2

Table = Mapping[str, Any]


def union(field: str, table: str, content: Table) -> dict[str, Any]:
    """Return the two fields of a union: its kind, and the table.

    Args:
        field: Name of the union's field.
        table: Name of the table that it holds.
        content: The fields of that.
    """
    return {f"{field}_type": _KINDS[table], field: (table, content)}


def pack(metadata: Table) -> bytes:
    """Pack a ``ModelMetadata`` table, given as nested dictionaries of its fields."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, "ModelMetadata", metadata), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, name: str, content: Table) -> int:
    """Write a table after everything that it points to, and return its offset."""
    fields = _TABLES[name]
    unknown = set(content) - {field for field, _ in fields}
    if unknown:
        raise ValueError(f"{name} has no field {', '.join(sorted(unknown))}")
    written = [
        (slot, kind, _value(builder, kind, content[field]))
        for slot, (field, kind) in enumerate(fields)
        if field in content
    ]
    builder.StartObject(len(fields))
    for slot, kind, value in written:
        if kind == "byte":
            builder.PrependByteSlot(slot, value, 0)
        elif kind == "uint":
            builder.PrependUint32Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _value(builder: Any, kind: str, value: Any) -> int:
    """Return a number as it is, and of anything else the offset where it was written."""
    if kind in ("byte", "uint"):
        return int(value)
    if kind == "text":
        return int(builder.CreateString(value))
    if kind == "union":
        return _table(builder, *value)
    if kind == "[float]":
        return _floats(builder, value)
    if kind.startswith("["):
        return _offsets(builder, [_value(builder, kind[1:-1], each) for each in value])
    return _table(builder, kind, value)


def _floats(builder: Any, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
