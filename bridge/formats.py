"""The formats a model can be in, and how a file of each is told from the others."""

from __future__ import annotations

import difflib
import importlib.metadata
import mmap
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import RegistryError, SourceError, UsageError

_VARINT = 0
_LENGTH_DELIMITED = 2
_FIXED_WIDTHS = {1: 8, 5: 4}

# Of ModelProto: ir_version and model_version are its integers, ir_version and graph its essentials.
_ONNX_INTEGERS = {1, 5}
_ONNX_ESSENTIALS = {1, 7}

# A pickle of protocol 2 to 5: torch.save before 1.6, or any other pickled object.
_PICKLES = {bytes((0x80, protocol)) for protocol in range(2, 6)}


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format of a model.

    Attributes:
        name: Its name on the command line and in reports.
        suffix: Suffix of its file, with the dot; empty for what has no file.
        title: What it is, for people.
    """

    name: str
    suffix: str
    title: str

    def __str__(self) -> str:
        return self.name

    @property
    def filename(self) -> str:
        """Name of this format's artifact in a result folder."""
        return f"model{self.suffix}"


TORCH = Format(name="torch", suffix="", title="live PyTorch module")
EXPORTED = Format(name="exported", suffix=".pt2", title="torch.export program")
TORCHSCRIPT = Format(name="torchscript", suffix=".pt", title="TorchScript")
MOBILE = Format(name="mobile", suffix=".ptl", title="PyTorch Mobile flatbuffer (lite interpreter)")
ONNX = Format(name="onnx", suffix=".onnx", title="ONNX")
SAVED_MODEL = Format(name="saved_model", suffix=".savedmodel", title="TensorFlow SavedModel")
TFLITE = Format(name="tflite", suffix=".tflite", title="TensorFlow Lite (LiteRT)")
EXECUTORCH = Format(name="executorch", suffix=".pte", title="ExecuTorch program")

FORMATS: dict[str, Format] = {
    each.name: each
    for each in (TORCH, EXPORTED, TORCHSCRIPT, MOBILE, ONNX, SAVED_MODEL, TFLITE, EXECUTORCH)
}


def register_format(format_: Format) -> Format:
    """Add a format of somebody else's; ``RegistryError`` if the name is taken.

    A distribution names the module that calls this under the entry point group
    ``driftbridge.formats``, so that the format is known before any hop is looked up.
    """
    if FORMATS.get(format_.name, format_) != format_:
        raise RegistryError(f"two formats are called {format_.name!r}")
    FORMATS[format_.name] = format_
    return format_


def format_named(name: str) -> Format:
    """Return the format called ``name``; ``UsageError`` if there is none."""
    if name not in FORMATS:
        for entry in importlib.metadata.entry_points(group="driftbridge.formats"):
            entry.load()
    try:
        return FORMATS[name]
    except KeyError:
        near = difflib.get_close_matches(name, FORMATS, n=2)
        raise UsageError(
            f"there is no format {name!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else f"formats: {', '.join(FORMATS)}",
        ) from None


def sniff(path: Path) -> Format:
    """Tell the format of a file (or SavedModel folder) by its content; the suffix is not trusted.

    Args:
        path: A file or folder.

    Returns:
        The format whose structure the content has.

    Raises:
        SourceError: No such file, an empty or truncated one, or none of the known formats.
    """
    try:
        if path.is_dir():
            return _sniff_folder(path)
        if not path.is_file():
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise SourceError(f"{path} {what}")
        return _sniff_file(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error})") from error


def protobuf_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk the fields of one protobuf message in the order of the file; nothing is copied.

    Args:
        message: The message in wire format
            (https://protobuf.dev/programming-guides/encoding/).

    Yields:
        Field number and value: an ``int`` for a varint or a fixed-width field (its bits), a view
        for a length-delimited one (text, bytes, packed numbers or a message).

    Raises:
        TruncatedFieldError: The message ends within a field.
        ValueError: It is not in wire format.
    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position, 0)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(message, position, number)
            yield number, value
            continue
        if wire == _LENGTH_DELIMITED:
            length, position = _varint(message, position, number)
        elif wire in _FIXED_WIDTHS:
            length = _FIXED_WIDTHS[wire]
        else:
            raise ValueError(f"no protobuf field has wire type {wire}")
        end = position + length
        if end > len(message):
            raise TruncatedFieldError(number, end - len(message))
        content = message[position:end]
        yield number, content if wire == _LENGTH_DELIMITED else int.from_bytes(content, "little")
        position = end


class TruncatedFieldError(ValueError):
    """A protobuf message that ends within a field.

    Attributes:
        field: Number of that field; 0 if it ends within a tag.
    """

    def __init__(self, field: int, missing: int) -> None:
        super().__init__(f"at least {missing} bytes are missing at its end")
        self.field = field


def map_file(path: Path) -> memoryview:
    """Return a view of a file that is not empty; it is read as it is used, and never copied."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _sniff_folder(path: Path) -> Format:
    if (path / "saved_model.pb").is_file():
        return SAVED_MODEL
    raise SourceError(f"{path} is a folder, and not a SavedModel (no saved_model.pb in it)")


def _sniff_file(path: Path) -> Format:
    size = path.stat().st_size
    if not size:
        raise SourceError(f"{path} is empty")
    with path.open("rb") as file:
        head = file.read(16)
    identified = {b"TFL3": TFLITE, b"PTMF": MOBILE, b"ET12": EXECUTORCH}.get(head[4:8])
    if identified:
        return identified
    if head[:4] == b"PK\x03\x04":
        return _sniff_zip(path)
    if _is_onnx(path):
        return ONNX
    if head[:2] in _PICKLES or _is_safetensors(head, size):
        raise _only_weights(path)
    if path.name == "saved_model.pb":
        raise SourceError(
            f"{path} is one file of a SavedModel", hint=f"give its folder: {path.parent}"
        )
    raise SourceError(
        f"{path} is not a model that driftbridge can read ({size} bytes, "
        f"it begins with {head[:8]!r}); it may be truncated",
        hint="readable: .pt2, TorchScript .pt, .ptl, .onnx, .tflite, a SavedModel folder",
    )


def _sniff_zip(path: Path) -> Format:
    """Tell what a PyTorch archive holds; its files lie in one folder, except in old ``.pt2``."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise SourceError(f"{path} is a truncated or damaged archive ({error})") from error
    if "serialized_exported_program.json" in names:
        return EXPORTED
    if "archive_format" in names:
        if any(name.startswith("models/") and name.endswith(".json") for name in names):
            return EXPORTED
        raise SourceError(
            f"{path} is a .pt2 package without an exported program: it holds compiled code only",
            hint="save the program itself with torch.export.save",
        )
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return TORCHSCRIPT
    if "data.pkl" in names:
        raise _only_weights(path)
    raise SourceError(f"{path} is a zip archive of no known model format")


def _is_onnx(path: Path) -> bool:
    """Whether the top-level protobuf fields are a ModelProto's; what they hold is not parsed.

    Raises:
        SourceError: They are, and the file ends within one.
    """
    seen: set[int] = set()
    try:
        for number, value in protobuf_fields(map_file(path)):
            if isinstance(value, int) != (number in _ONNX_INTEGERS):
                return False
            seen.add(number)
    except TruncatedFieldError as error:
        if seen | {error.field} >= _ONNX_ESSENTIALS:
            raise SourceError(f"{path} is a truncated ONNX file ({error})") from error
        return False
    except ValueError:
        return False
    return seen >= _ONNX_ESSENTIALS


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether the head is a safetensors file's: the length of a JSON object, and its brace."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _only_weights(path: Path) -> SourceError:
    return SourceError(
        f"{path} holds weights or a pickled object, not a model that can be run by itself",
        hint="give the module as package.module:callable and this file with --weights",
    )


def _varint(message: memoryview, position: int, field: int) -> tuple[int, int]:
    """Read a varint; return it and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise TruncatedFieldError(field, 1)
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a varint has at most 10 bytes")
