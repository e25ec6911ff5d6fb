"""Reader of PyTorch Mobile files in flatbuffer form; it needs no PyTorch, and loads no weights.

The layout is ``torch/csrc/jit/serialization/mobile_bytecode.fbs`` of PyTorch. A field is named
here by its position in its table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dtypes import C10_TYPES, bytes_of, name_of
from .facts import DamagedError, Facts, operator_counts, signature_of
from .flatbuffer import mapped

if TYPE_CHECKING:
    from flatbuffers.table import Table

# Module
_BYTECODE_VERSION, _EXTRA_FILES, _METHODS, _STATE, _IVALUES = 0, 1, 2, 3, 4
_STORAGES, _OPERATOR_VERSION = 6, 10
# Function
_QUALIFIED_NAME, _INSTRUCTIONS, _OPERATORS, _CONSTANTS, _SCHEMA = 0, 1, 2, 3, 6
# TensorMetadata
_STORAGE, _SCALAR_TYPE, _STORAGE_OFFSET, _SIZES = 0, 1, 2, 3

# IValueUnion, and the positions of the fields that hold indices of other values
_TENSOR, _OBJECT = 5, 10
_HELD_VALUES = {7: 0, 8: 0, 9: 1, _OBJECT: 2}  # List, Tuple, Dict, Object

_OBJECT_STATE = 1

# struct Instruction { op: byte; n: ushort; x: int; } and torch::jit::OpCode
_INSTRUCTION_BYTES = 8
_INSTRUCTION_X = 4
_OP, _OPN = 0, 1


def inspect_mobile(path: Path) -> Facts:
    """Read a flatbuffer file of the lite interpreter.

    Raises:
        DamagedError: It refers to something that is not in the file.
    """
    from flatbuffers.table import Table

    with mapped(path) as data:
        module = Table(data, int.from_bytes(data[:4], "little"))
        for storage in _tables(module, _STORAGES):
            _check_bytes(storage, len(data))
        values = [_union(each) for each in _tables(module, _IVALUES)]
        methods = [values[index][1] for index in _indices(module, _METHODS)]
        weights = _weights(values, _number(module, _STATE), methods)
        names = [_text(method, _QUALIFIED_NAME).rpartition(".")[2] for method in methods]
        details = {
            "bytecode_version": str(_number(module, _BYTECODE_VERSION)),
            "operator_version": str(_number(module, _OPERATOR_VERSION)),
            "methods": ", ".join(names),
            "extra_files": ", ".join(_text(each, 0) for each in _tables(module, _EXTRA_FILES)),
        }
        entry = methods[names.index("forward")] if "forward" in names else None
        inputs, outputs = _sides(entry) if entry else ([], [])
        return Facts(
            signature=signature_of(inputs, outputs, details),
            operators=operator_counts(use for method in methods for use in _uses(method)),
            parameters=sum(elements for elements, _ in weights.values()),
            parameter_bytes=sum(bytes_of(*weight) for weight in weights.values()),
            producer="PyTorch",
            details={key: text for key, text in details.items() if text},
        )


def _uses(method: Table) -> Iterator[tuple[str, None]]:
    """Name of the operator of every instruction that calls one."""
    from flatbuffers import number_types as numbers

    names = [
        ".".join(filter(None, (_text(each, 0), _text(each, 1))))
        for each in _tables(method, _OPERATORS)
    ]
    start, length = _vector(method, _INSTRUCTIONS)
    for position in range(start, start + length * _INSTRUCTION_BYTES, _INSTRUCTION_BYTES):
        if method.Get(numbers.Int8Flags, position) in (_OP, _OPN):
            yield names[method.Get(numbers.Int32Flags, position + _INSTRUCTION_X)], None


def _weights(
    values: list[tuple[int, Table]], state: int, methods: Iterable[Table]
) -> dict[tuple[int, ...], tuple[int, str]]:
    """Elements and type of each tensor of the state, and of each constant that is not a scalar.

    They are keyed by where they are stored. A scalar constant is a number of the source code,
    which tracing turned into a tensor.
    """
    from flatbuffers import number_types as numbers

    found = {}
    seen: set[int] = set()
    constants = [index for method in methods for index in _indices(method, _CONSTANTS)]
    pending = [(state, True), *((index, False) for index in constants)]
    while pending:
        index, scalars = pending.pop()
        kind, value = values[index]
        if kind == _TENSOR:
            sizes = _numbers(value, _SIZES, numbers.Int32Flags)
            if sizes or scalars:
                stored_at = (_number(value, _STORAGE), _number(value, _STORAGE_OFFSET), *sizes)
                dtype = name_of(_number(value, _SCALAR_TYPE, numbers.Int8Flags), C10_TYPES)
                found[stored_at] = (math.prod(sizes), dtype)
        elif kind in _HELD_VALUES and index not in seen:
            seen.add(index)
            pending += [(held, scalars) for held in _indices(value, _HELD_VALUES[kind])]
            if kind == _OBJECT and _field(value, _OBJECT_STATE):  # packed weights
                pending.append((_number(value, _OBJECT_STATE), scalars))
    return found


def _sides(method: Table) -> tuple[list[str], list[str]]:
    """Names and types of a method's arguments, and types of what it returns."""
    schema = _table(method, _SCHEMA)
    if schema is None:
        return ["unknown"], ["unknown"]
    _module, *arguments = (f"{_text(each, 0)}: {_text(each, 1)}" for each in _tables(schema, 0))
    return arguments, [_text(each, 1) for each in _tables(schema, 1)]


def _check_bytes(storage: Table, size: int) -> None:
    start, length = _vector(storage, 0)
    if start + length > size:
        raise DamagedError(f"at least {start + length - size} bytes are missing at its end")


def _union(value: Table) -> tuple[int, Table]:
    """Kind and table of an IValue; ``None`` is kind 0, with the IValue itself for a table."""
    from flatbuffers import number_types as numbers

    return _number(value, 0, numbers.Uint8Flags), _table(value, 1) or value


def _field(table: Table, slot: int) -> int:
    """Position of a field; 0 if the table does not have it."""
    offset: int = table.Offset(4 + 2 * slot)
    return table.Pos + offset if offset else 0


def _number(table: Table, slot: int, kind: Any = None) -> int:
    """An unsigned 32-bit number of a table, or one of another kind; 0 if it is not stored."""
    from flatbuffers import number_types as numbers

    position = _field(table, slot)
    return int(table.Get(kind or numbers.Uint32Flags, position)) if position else 0


def _text(table: Table, slot: int) -> str:
    position = _field(table, slot)
    return str(table.String(position), "utf-8") if position else ""


def _table(table: Table, slot: int) -> Table | None:
    from flatbuffers.table import Table

    position = _field(table, slot)
    return Table(table.Bytes, table.Indirect(position)) if position else None


def _vector(table: Table, slot: int) -> tuple[int, int]:
    """Position of a vector's first element, and its length."""
    position = _field(table, slot)
    if not position:
        return 0, 0
    return table.Vector(position - table.Pos), table.VectorLen(position - table.Pos)


def _numbers(table: Table, slot: int, kind: Any) -> list[int]:
    start, length = _vector(table, slot)
    return [int(table.Get(kind, start + index * kind.bytewidth)) for index in range(length)]


def _indices(table: Table, slot: int) -> list[int]:
    from flatbuffers import number_types as numbers

    return _numbers(table, slot, numbers.Uint32Flags)


def _tables(table: Table, slot: int) -> Iterator[Table]:
    from flatbuffers.table import Table

    start, length = _vector(table, slot)
    for position in range(start, start + 4 * length, 4):
        yield Table(table.Bytes, table.Indirect(position))
