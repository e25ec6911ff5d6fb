"""Metadata and files for a TFLite model, without touching what is in it.

An offset in a flatbuffer leads forward from where it stands, so a table that was added at the end
could point to nothing that is there. The new root table therefore stands at the beginning: it
points to everything of the old one, and the whole old file follows it byte for byte. Only what
counts from the beginning of the file (constants behind the flatbuffer of a model above 2 GB, large
options of custom operators) is moved on by as much.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ..errors import SourceError
from ..inspection.facts import DamagedError
from ..inspection.flatbuffer import mapped
from ..inspection.tflite_file import members

METADATA_NAME = "TFLITE_METADATA"  # by which every reader finds it

_IDENTIFIER = b"TFL3"
_HEAD = 8  # offset of the root table, identifier
# constants keep their place modulo this: kernels read them with vector instructions
_ALIGNMENT = 64
_CONTENT_ALIGNMENT = 16
# places of the fields of Model
_VERSION, _BUFFERS, _METADATA, _FIELDS = 0, 4, 6, 10
_NO_OFFSET = (0, 1)  # of a buffer that lies in the flatbuffer
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip file can say: the same content gives the same bytes


@dataclass(frozen=True, kw_only=True)
class _Old:
    """What the new root table needs of the old one; places count from the old file's beginning.

    Attributes:
        version: Version of the schema.
        targets: Field of Model → where it points to.
        buffers: Places of the buffers' tables.
        metadata: Places of the tables of the metadata that stay.
        absolute: Place of each number that counts from the beginning of the file → the number.
    """

    version: int
    targets: Mapping[int, int]
    buffers: tuple[int, ...]
    metadata: tuple[int, ...]
    absolute: Mapping[int, int]


def attach_metadata(
    model: Path, metadata: bytes, files: Mapping[str, bytes], destination: Path
) -> None:
    """Write a copy of a TFLite model that carries metadata, and files in a zip archive at its end.

    Metadata that the model has already is replaced; so are its files.

    Args:
        model: The model; it stays as it is.
        metadata: A packed ``ModelMetadata``.
        files: Name → content; the metadata should name them.
        destination: The new file.

    Raises:
        SourceError: The model is damaged, or of a newer schema.
    """
    if not model.stat().st_size:
        raise SourceError(f"{model} is damaged: it is empty")
    try:
        with mapped(model) as data:
            old, end = _read(data), _end_of_model(model, len(data))
    except DamagedError as error:
        raise SourceError(f"{model} is damaged: {error}") from error
    head = _Head(old, metadata).pack()
    with model.open("rb") as source, destination.open("w+b") as file:
        file.write(head)
        _copy(source, file, end)
        for place, number in old.absolute.items():
            file.seek(len(head) + place)
            file.write(struct.pack("<Q", number + len(head)))
    if files:
        with zipfile.ZipFile(destination, "a") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, _EARLIEST), content)


def _end_of_model(path: Path, size: int) -> int:
    """Where the files of earlier metadata begin, or the end of the file."""
    if not zipfile.is_zipfile(path):
        return size
    with zipfile.ZipFile(path) as archive:
        return min((each.header_offset for each in archive.infolist()), default=size)


def _copy(source: IO[bytes], destination: IO[bytes], length: int) -> None:
    shutil.copyfileobj(source, destination, 1 << 20)
    destination.truncate(destination.tell() - source.tell() + length)


def _read(data: mmap.mmap) -> _Old:
    from ai_edge_litert import schema_py_generated as schema

    if data[4:8] != _IDENTIFIER:
        raise DamagedError("it is no TFLite file")
    model = schema.Model.GetRootAs(data)
    table = model._tab
    fields = (_vtable_size(table) - 4) // 2
    if any(table.Offset(_slot(number)) for number in range(_FIELDS, fields)):
        raise SourceError("the model's schema is newer than this program's: update ai-edge-litert")
    targets = {
        number: table.Indirect(table.Pos + table.Offset(_slot(number)))
        for number in range(_FIELDS)
        if number != _VERSION and table.Offset(_slot(number))
    }
    return _Old(
        version=model.Version(),
        targets=targets,
        buffers=tuple(each._tab.Pos for each in members(model, "Buffers")),
        metadata=tuple(
            each._tab.Pos
            for each in members(model, "Metadata")
            if each.Name() != METADATA_NAME.encode()
        ),
        absolute=dict(_absolute(model)),
    )


def _absolute(model: Any) -> Iterator[tuple[int, int]]:
    """Place and value of every number that counts from the beginning of the file."""
    for buffer in members(model, "Buffers"):
        if buffer.Offset() not in _NO_OFFSET:
            yield _place(buffer, 1), buffer.Offset()
    for subgraph in members(model, "Subgraphs"):
        for operator in members(subgraph, "Operators"):
            if operator.LargeCustomOptionsOffset() not in _NO_OFFSET:
                yield _place(operator, 9), operator.LargeCustomOptionsOffset()


def _place(table: Any, number: int) -> int:
    return int(table._tab.Pos + table._tab.Offset(_slot(number)))


def _slot(number: int) -> int:
    """Place of a field's entry in a vtable, which begins with two sizes."""
    return 4 + 2 * number


def _vtable_size(table: Any) -> int:
    start = table.Pos - struct.unpack_from("<i", table.Bytes, table.Pos)[0]
    return int(struct.unpack_from("<H", table.Bytes, start)[0])


@dataclass
class _Head:
    """Writes the new beginning; tables and vectors in the order in which they point to each other.

    An offset to something of the old file is known as soon as the length of the beginning is, so
    those are collected and filled in last.
    """

    old: _Old
    metadata: bytes
    content: bytearray = field(default_factory=bytearray)
    into_old: dict[int, int] = field(default_factory=dict)

    def pack(self) -> bytes:
        self.content += bytes(4) + _IDENTIFIER
        pointers = self._model()
        self._point(pointers[_METADATA])
        self._metadata()
        self._point(pointers[_BUFFERS])
        self._buffers()
        self._align(_ALIGNMENT)
        for place, target in self.into_old.items():
            struct.pack_into("<I", self.content, place, len(self.content) + target - place)
        return bytes(self.content)

    def _model(self) -> dict[int, int]:
        """Write the root table and return the places of its fields."""
        numbers = sorted({_VERSION, _BUFFERS, _METADATA, *self.old.targets})
        places = self._table(numbers, root=True)
        struct.pack_into("<I", self.content, places[_VERSION], self.old.version)
        self.into_old |= {
            places[number]: target
            for number, target in self.old.targets.items()
            if number not in (_BUFFERS, _METADATA)
        }
        return places

    def _metadata(self) -> None:
        """Write the vector of metadata and the new entry: its name and its buffer's index."""
        last = self._vector(self.old.metadata)
        places = self._table([0, 1], before=last)
        struct.pack_into("<I", self.content, places[1], len(self.old.buffers))
        self._point(places[0])
        name = METADATA_NAME.encode()
        self.content += struct.pack("<I", len(name)) + name + b"\0"

    def _buffers(self) -> None:
        """Write the vector of buffers and the new one, with the metadata in it."""
        last = self._vector(self.old.buffers)
        places = self._table([0], before=last)
        while (len(self.content) + 4) % _CONTENT_ALIGNMENT:
            self.content.append(0)
        self._point(places[0])
        self.content += struct.pack("<I", len(self.metadata)) + self.metadata

    def _vector(self, old: tuple[int, ...]) -> int:
        """Write a vector of the old tables and of one that follows; return the place for that."""
        self.content += struct.pack("<I", len(old) + 1)
        for target in old:
            self.into_old[len(self.content)] = target
            self.content += bytes(4)
        self.content += bytes(4)
        return len(self.content) - 4

    def _table(
        self, numbers: list[int], *, before: int | None = None, root: bool = False
    ) -> dict[int, int]:
        """Write a vtable and its table of fields of four bytes; return the places of the fields.

        Args:
            numbers: The fields that it has.
            before: Place of the offset that is to point to it.
            root: Whether the offset at the beginning of the file is to.
        """
        self._align(4)
        size = 4 + 2 * (numbers[-1] + 1)
        offsets = {number: 4 + 4 * index for index, number in enumerate(numbers)}
        entries = [offsets.get(number, 0) for number in range(numbers[-1] + 1)]
        start = len(self.content)
        self.content += struct.pack(f"<{2 + len(entries)}H", size, 4 + 4 * len(numbers), *entries)
        self._align(4)
        if root or before is not None:
            self._point(before or 0)
        table = len(self.content)
        self.content += struct.pack("<i", table - start) + bytes(4 * len(numbers))
        return {number: table + offset for number, offset in offsets.items()}

    def _point(self, place: int) -> None:
        """Let an offset point to what is written next."""
        self._align(4)
        struct.pack_into("<I", self.content, place, len(self.content) - place)

    def _align(self, alignment: int) -> None:
        self.content += bytes(-len(self.content) % alignment)
