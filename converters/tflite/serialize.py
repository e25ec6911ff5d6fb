"""A TFLite graph as a file.

The tables are packed with the schema's object API; the constants lie behind the flatbuffer, found
by ``Buffer.offset`` and ``Buffer.size``, which allows files of more than 2 GB and costs one copy
from the arrays to the disk. The same graph gives the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .ir import Array, Graph, Op, Value
from .operators import OPERATORS
from .sizes import Dim
from .versions import minimum_runtime, operator_version

_ALIGNMENT = 16
_PLACEHOLDER = 2  # 0 and 1 mean "no offset"
_BUFFER_OFFSET_SLOT, _BUFFER_SIZE_SLOT = 6, 8  # in the vtable of Buffer: 4 + 2 * the field's place
_METADATA = "min_runtime_version"
_METADATA_SIZE = 16

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


def write(graph: Graph, path: Path, signature_names: tuple[Sequence[str], Sequence[str]]) -> None:
    """Write a graph to a file.

    Args:
        graph: The main graph; every value of it has a name.
        path: The file.
        signature_names: Names of the inputs and of the outputs in ``serving_default``.
    """
    import flatbuffers

    packer = _Packer(graph)
    model = packer.model(signature_names)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    tables = bytearray(builder.Output())
    places = _place(tables, packer.constants)
    with path.open("wb") as file:
        file.write(tables)
        for start, content in places:
            file.write(b"\0" * (start - file.tell()))
            _write_array(file, content)


def _place(tables: bytearray, constants: Sequence[Array]) -> list[tuple[int, Array]]:
    """Decide where each constant lies, and write that into the packed tables."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(tables, 0)
    position = len(tables)
    places = []
    for index, content in enumerate(constants, start=1):
        table = model.Buffers(index)._tab
        position += -position % _ALIGNMENT
        for slot, number in ((_BUFFER_OFFSET_SLOT, position), (_BUFFER_SIZE_SLOT, content.nbytes)):
            struct.pack_into("<Q", tables, table.Pos + table.Offset(slot), number)
        places.append((position, content))
        position += content.nbytes
    return places


def _write_array(file: BinaryIO, array: Array) -> None:
    file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


@dataclass
class _Packer:
    """Builds the schema's objects."""

    graph: Graph
    constants: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.codes: dict[tuple[str, int], int] = {}
        self.buffers: dict[Any, int] = {}
        self.graphs = [self.graph, *dict.fromkeys(self.graph.subgraphs())]

    def model(self, signature_names: tuple[Sequence[str], Sequence[str]]) -> Any:
        schema = self.schema
        model = schema.ModelT()
        model.version = 3
        model.description = "driftbridge"
        model.subgraphs = [self._subgraph(each) for each in self.graphs]
        model.operatorCodes = [self._code(*each) for each in self.codes]
        model.signatureDefs = [self._signature(*signature_names)]
        model.metadata = [self._minimum_runtime()]
        model.buffers = [schema.BufferT(), *(self._buffer(each) for each in self.constants)]
        return model

    def _subgraph(self, graph: Graph) -> Any:
        subgraph = self.schema.SubGraphT()
        subgraph.name = graph.name
        index: dict[Value, int] = {}
        for value in _values(graph):
            index.setdefault(value, len(index))
        subgraph.tensors = [self._tensor(value) for value in index]
        subgraph.inputs = [index[value] for value in graph.inputs]
        subgraph.outputs = [index[value] for value in graph.outputs]
        subgraph.operators = [self._operator(op, index) for op in graph.ops]
        if graph is self.graph:
            self.index = index
        return subgraph

    def _tensor(self, value: Value) -> Any:
        tensor = self.schema.TensorT()
        tensor.name = value.name
        tensor.type = getattr(self.schema.TensorType, value.dtype.upper())
        tensor.hasRank = True
        # the first pass over a changing shape allocates one cell
        tensor.shape = [1 if isinstance(size, Dim) else size for size in value.shape]
        if not value.is_static:
            tensor.shapeSignature = [-1 if isinstance(size, Dim) else size for size in value.shape]
        tensor.buffer = 0 if value.data is None else self._constant(value.data)
        return tensor

    def _constant(self, data: Array) -> int:
        if not data.size:
            return 0
        key = _content_key(data)
        if key not in self.buffers:
            self.constants.append(data)
            self.buffers[key] = len(self.constants)
        return self.buffers[key]

    def _buffer(self, data: Array) -> Any:
        buffer = self.schema.BufferT()
        buffer.offset, buffer.size = _PLACEHOLDER, max(data.nbytes, _PLACEHOLDER)
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

    def _minimum_runtime(self) -> Any:
        text = minimum_runtime(self.codes).encode().ljust(_METADATA_SIZE, b"\0")
        self.constants.append(np.frombuffer(text, np.uint8))
        metadata = self.schema.MetadataT()
        metadata.name, metadata.buffer = _METADATA, len(self.constants)
        return metadata


def _values(graph: Graph) -> Iterator[Value]:
    yield from graph.inputs
    for op in graph.ops:
        yield from (value for value in op.inputs if value is not None)
        yield from op.outputs
    yield from graph.outputs


def _content_key(data: Array) -> Any:
    """Equal for constants whose bytes are equal; large ones are told apart by their memory."""
    if data.nbytes <= 1 << 16:
        return data.tobytes()
    return (data.__array_interface__["data"][0], data.shape, data.strides, data.dtype.str)


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


