"""The formats a model can be in, and how a file of each is told from the others."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from .errors import SourceError, UsageError


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


def format_named(name: str) -> Format:
    """Return the format called ``name``; ``UsageError`` if there is none."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(
            f"there is no format {name!r}", hint=f"formats: {', '.join(FORMATS)}"
        ) from None


def sniff(path: Path) -> Format:
    """Tell the format of a file (or SavedModel folder) by its content; the suffix is not trusted.

    Args:
        path: An existing file or folder.

    Returns:
        The format whose structure the content has.

    Raises:
        SourceError: No such file, an empty or truncated one, or none of the known formats.
    """
    if not path.exists():
        raise SourceError(f"there is no file {path}")
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return SAVED_MODEL
        raise SourceError(f"{path} is a folder, and not a SavedModel (no saved_model.pb in it)")
    with path.open("rb") as file:
        head = file.read(16)
    identified = {b"TFL3": TFLITE, b"PTMF": MOBILE, b"ET12": EXECUTORCH}.get(head[4:8])
    if identified:
        return identified
    if head[:4] == b"PK\x03\x04":
        return _sniff_zip(path)
    if head[:1] == b"\x08" and _is_onnx(path):
        return ONNX
    size = path.stat().st_size
    raise SourceError(
        f"{path} is not a model that driftbridge can read ({size} bytes, "
        f"it begins with {head[:8]!r}); it may be truncated",
        hint="readable: .pt2, TorchScript .pt, .ptl, .onnx, .tflite, .pte, a SavedModel folder",
    )


def _sniff_zip(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceError(f"{path} is a truncated or damaged archive ({error})") from error
    if any(name.endswith("archive_format") or "/models/" in name for name in names) or any(
        name.endswith("serialized_exported_program.json") for name in names
    ):
        return EXPORTED
    if any(name.endswith("constants.pkl") for name in names) and any(
        "/code/" in name for name in names
    ):
        return TORCHSCRIPT
    if any(name.endswith("data.pkl") for name in names):
        raise SourceError(
            f"{path} holds weights or a pickled object, not a model that can be run by itself",
            hint="give the module as package.module:callable and this file with --weights",
        )
    raise SourceError(f"{path} is a zip archive of no known model format")


def _is_onnx(path: Path) -> bool:
    """Whether the top-level protobuf fields are a ModelProto's, without parsing all of it."""
    with path.open("rb") as file:
        return file.read(2)[1:2] < b"\x80" and path.stat().st_size > 16
