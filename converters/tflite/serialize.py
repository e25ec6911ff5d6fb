"""A TFLite graph as a file.

The tables are packed with the schema's object API. Constants lie in the flatbuffer, which every
runtime reads; only if they are too large for that (2 GB) they lie behind it, found by
``Buffer.offset`` and ``Buffer.size``, which runtimes read since 2.14. The same graph gives the same
bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...digesting import DigestedFile
from ...tflite_versions import minimum_runtime, operator_version
from .blocks import blocks, same_bytes, sample
from .ir import Graph, Op, Value
from .operators import OPERATORS
from .sizes import Dim

_ALIGNMENT = 16
_PLACEHOLDER = 2  # 0 and 1 mean "no offset"
_LENGTH = 4  # bytes of a vector's length, before it
# in the vtable of Buffer: 4 + 2 * the field's place
_BUFFER_DATA_SLOT, _BUFFER_OFFSET_SLOT, _BUFFER_SIZE_SLOT = 4, 6, 8
_ROOM_FOR_TABLES = 1 << 20  # it grows by doubling, which copies everything
_LARGEST_INSIDE = 2**31 - (1 << 26)  # what is left of 2 GB is for the tables
_RELEASE_WITH_OFFSETS = "2.14.0"
_MINIMUM_RUNTIME = "min_runtime_version"
_MINIMUM_RUNTIME_SIZE = 16
# what the runtime's own converter writes; a loader that is given no file refuses the model by it
_LOCATION, _OUTSIDE = "buffer_location", "outside flatbuffers"

_ENUMS = {
    "padding": "Padding",
    "fused_activation_function": "ActivationFunctionType",
    "mode": "MirrorPadMode",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
    "out_type": "TensorType",
    "output_type": "TensorType",
    "idx_out_type": "TensorType",
}


def write(graph: Graph, path: Path, signature_names: tuple[Sequence[str], Sequence[str]]) -> str:
    """Write a graph to a file.

    The tables are packed first, each constant with a vector of one byte; then the bytes follow, and
    the tables are turned to them. No constant is copied as a whole on its way to the file.

    Args:
        graph: The main graph; every value of it has a name.
        path: The file.
        signature_names: Names of the inputs and of the outputs in ``serving_default``.

    Returns:
        The digest of the file.
    """
    import flatbuffers

    packer = _Packer(graph)
    model = packer.model(signature_names)
    builder = flatbuffers.Builder(_ROOM_FOR_TABLES)
    builder.Finish(model.Pack(builder), b"TFL3")
    tables = memoryview(builder.Bytes)[builder.Head() :]
    point = _point_outside if packer.outside else _point_inside
    places = list(_places(len(tables), packer.constants))
    point(tables, places)
    path.unlink(missing_ok=True)  # a runtime that has mapped the old file keeps it
    with DigestedFile(path) as file:
        file.write(tables)
        for start, content in places:
            head = b"" if packer.outside else struct.pack("<I", content.nbytes)
            file.write(b"\0" * (start - len(head) - file.tell()) + head)
            for block in blocks(content):
                file.write(block)
    return file.sha256


def _places(end: int, constants: Sequence[Value]) -> Iterator[tuple[int, Value]]:
    """Decide where each constant lies: aligned, with room before it for its length."""
    for content in constants:
        end += _LENGTH
        end += -end % _ALIGNMENT
        yield end, content
        end += content.nbytes


def _point_inside(tables: memoryview, places: Sequence[tuple[int, Value]]) -> None:
    """Turn the vector of each buffer to its bytes: an offset from the field to the length."""
    for table, (start, _) in zip(_buffers(tables), places, strict=False):
        position = table.Pos + table.Offset(_BUFFER_DATA_SLOT)
        struct.pack_into("<I", tables, position, start - _LENGTH - position)


def _point_outside(tables: memoryview, places: Sequence[tuple[int, Value]]) -> None:
    """Give each buffer the place of its bytes in the file."""
    for table, (start, content) in zip(_buffers(tables), places, strict=False):
        for slot, number in ((_BUFFER_OFFSET_SLOT, start), (_BUFFER_SIZE_SLOT, content.nbytes)):
            struct.pack_into("<Q", tables, table.Pos + table.Offset(slot), number)


def _buffers(tables: memoryview) -> list[Any]:
    """Tables of all buffers but the empty first one: constants, then metadata."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(tables, 0)
    return [model.Buffers(index)._tab for index in range(1, model.BuffersLength())]


@dataclass
class _Packer:
    """Builds the schema's objects."""

    graph: Graph
    constants: list[Value] = field(default_factory=list)
    outside: bool = False  # whether they are too large for a flatbuffer

    def __post_init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.codes: dict[tuple[str, int], int] = {}
        self.buffers: dict[Any, list[int]] = {}
        self.names: set[str] = set()
        self.graphs = [self.graph, *dict.fromkeys(self.graph.subgraphs())]

    def model(self, signature_names: tuple[Sequence[str], Sequence[str]]) -> Any:
        schema = self.schema
        model = schema.ModelT()
        model.version = 3
        model.description = "driftbridge"
        model.subgraphs = [self._subgraph(each) for each in self.graphs]
        model.operatorCodes = [self._code(*each) for each in self.codes]
        model.signatureDefs = [self._signature(*signature_names)]
        size = sum(each.nbytes + _ALIGNMENT for each in self.constants)
        self.outside = size > _LARGEST_INSIDE
        model.buffers = [schema.BufferT(), *(self._buffer(each) for each in self.constants)]
        model.metadata = []
        release = minimum_runtime(
            self.codes, at_least=_RELEASE_WITH_OFFSETS if self.outside else ""
        )
        self._add_metadata(model, _MINIMUM_RUNTIME, release.ljust(_MINIMUM_RUNTIME_SIZE, "\0"))
        if self.outside:
            self._add_metadata(model, _LOCATION, _OUTSIDE)
        return model

    def _subgraph(self, graph: Graph) -> Any:
        subgraph = self.schema.SubGraphT()
        subgraph.name = graph.name
        index: dict[Value, int] = {}
        for value in _values(graph):
            index.setdefault(value, len(index))
        subgraph.tensors = [self._tensor(value, graph) for value in index]
        subgraph.inputs = [index[value] for value in graph.inputs]
        subgraph.outputs = [index[value] for value in graph.outputs]
        subgraph.operators = [self._operator(op, index) for op in graph.ops]
        if graph is self.graph:
            self.index = index
        return subgraph

    def _tensor(self, value: Value, graph: Graph) -> Any:
        tensor = self.schema.TensorT()
        tensor.name = value.name
        if value.name in self.names:  # a constant that several graphs read is a tensor of each
            tensor.name = f"{graph.name}/{value.name}"
        self.names.add(tensor.name)
        tensor.type = getattr(self.schema.TensorType, value.dtype.upper())
        tensor.hasRank = True
        # the first pass over a changing shape allocates one cell
        tensor.shape = [1 if isinstance(size, Dim) else size for size in value.shape]
        if not value.is_static:
            tensor.shapeSignature = [-1 if isinstance(size, Dim) else size for size in value.shape]
        tensor.buffer = self._constant(value) if value.is_constant else 0
        return tensor

    def _constant(self, value: Value) -> int:
        """Number of the buffer of a constant, which it shares with those of equal bytes."""
        if not value.elements:
            return 0
        alike = self.buffers.setdefault(sample(value), [])
        for index in alike:
            if same_bytes(self.constants[index - 1], value):
                return index
        self.constants.append(value)
        alike.append(len(self.constants))
        return len(self.constants)

    def _buffer(self, value: Value) -> Any:
        buffer = self.schema.BufferT()
        if self.outside:
            buffer.offset, buffer.size = _PLACEHOLDER, max(value.nbytes, _PLACEHOLDER)
        else:
            buffer.data = np.zeros(1, np.uint8)
        return buffer

    def _operator(self, op: Op, index: dict[Value, int]) -> Any:
        operator = self.schema.OperatorT()
        key = (op.kind, operator_version(op))
        operator.opcodeIndex = self.codes.setdefault(key, len(self.codes))
        operator.inputs = [-1 if value is None else index[value] for value in op.inputs]
        operator.outputs = [index[value] for value in op.outputs]
        table = OPERATORS[op.kind].options
        if table:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
            operator.builtinOptions = self._options(table, op)
        return operator

    def _options(self, table: str, op: Op) -> Any:
        options = getattr(self.schema, f"{table}T")()
        for name, value in op.options.items():
            field_name = _camel_case(name)
            if not hasattr(options, field_name):
                raise ValueError(f"{table} of {op.kind} has no field {name}")
            if isinstance(value, Graph):
                value = self.graphs.index(value)
            elif name in _ENUMS:
                value = getattr(getattr(self.schema, _ENUMS[name]), str(value).upper())
            setattr(options, field_name, value)
        return options

    def _code(self, kind: str, version: int) -> Any:
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        return code

    def _signature(self, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
        definition = self.schema.SignatureDefT()
        definition.signatureKey = "serving_default"
        definition.subgraphIndex = 0
        definition.inputs = [
            self._entry(*each) for each in zip(inputs, self.graph.inputs, strict=True)
        ]
        definition.outputs = [
            self._entry(*each) for each in zip(outputs, self.graph.outputs, strict=True)
        ]
        return definition

    def _entry(self, name: str, value: Value) -> Any:
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name, self.index[value]
        return entry

    def _add_metadata(self, model: Any, name: str, text: str) -> None:
        """Add metadata; they always lie in the flatbuffer, where runtimes look for them."""
        metadata = self.schema.MetadataT()
        metadata.name, metadata.buffer = name, len(model.buffers)
        model.metadata.append(metadata)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        model.buffers.append(buffer)


def _values(graph: Graph) -> Iterator[Value]:
    yield from graph.inputs
    for op in graph.ops:
        yield from (value for value in op.inputs if value is not None)
        yield from op.outputs
    yield from graph.outputs


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
