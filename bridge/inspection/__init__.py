"""What a model file holds, by its content: signature, operators, parameters, who made it.

Each format has a reader in a module of its own; a framework is imported when a file needs it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..artifact import digest, size_of
from ..availability import packages_installed
from ..errors import SourceError, UnavailableError
from ..formats import EXPORTED, MOBILE, ONNX, SAVED_MODEL, TFLITE, TORCHSCRIPT, Format, sniff
from .facts import DamagedError, Facts, OperatorCount, facts_to_json

__all__ = ["Facts", "Inspection", "OperatorCount", "inspect", "read_facts"]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Module and function that read a format, and the distributions that they import."""

    module: str
    function: str
    packages: tuple[str, ...] = ()


_READERS = {
    EXPORTED: _Reader(module="exported_file", function="inspect_exported"),
    TORCHSCRIPT: _Reader(
        module="torchscript_file", function="inspect_torchscript", packages=("torch",)
    ),
    MOBILE: _Reader(module="mobile_file", function="inspect_mobile", packages=("flatbuffers",)),
    ONNX: _Reader(module="onnx_file", function="inspect_onnx", packages=("onnx",)),
    SAVED_MODEL: _Reader(module="saved_model_dir", function="inspect_saved_model"),
    TFLITE: _Reader(
        module="tflite_file",
        function="inspect_tflite",
        packages=("ai-edge-litert", "flatbuffers"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Inspection(Facts):
    """What a file is and holds.

    Attributes:
        format: Its format, told by its content.
        path: Where it lies.
        size: Bytes on disk.
        sha256: Digest of its content, as in the manifest of a conversion.
    """

    format: Format
    path: Path
    size: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the inspection as plain JSON data."""
        return {
            "format": self.format.name,
            "path": str(self.path),
            "size": self.size,
            "sha256": self.sha256,
            **facts_to_json(self),
        }


def inspect(path: str | Path) -> Inspection:
    """Tell what a model file (or SavedModel folder) holds, without running the model.

    Args:
        path: The file; its suffix does not matter.

    Raises:
        SourceError: It does not exist, is empty, truncated or damaged, or is not a model.
        UnavailableError: The package that reads this format is not installed.
    """
    path = Path(path)
    file_format, facts = read_facts(path)
    return Inspection(
        format=file_format, path=path, size=size_of(path), sha256=digest(path), **vars(facts)
    )


def read_facts(path: Path) -> tuple[Format, Facts]:
    """Tell format and facts of a model file, as ``inspect`` does, without digesting it."""
    file_format = sniff(path)
    read = _reader_of(file_format, path)
    try:
        return file_format, read(path)
    except DamagedError as error:
        raise SourceError(
            f"{path} is a truncated or damaged file of format {file_format} ({error})"
        ) from error


def _reader_of(file_format: Format, path: Path) -> Callable[[Path], Facts]:
    reader = _READERS.get(file_format)
    if reader is None:
        raise UnavailableError(
            f"{path} is an {file_format.title}, which driftbridge {__version__} can identify, "
            "and not inspect"
        )
    availability = packages_installed(reader.packages)
    if not availability.available:
        raise UnavailableError(
            f"{path} is a file of format {file_format}; what reads it is {availability.reason}",
            hint=availability.mend,
        )
    module = importlib.import_module(f".{reader.module}", __name__)
    read: Callable[[Path], Facts] = getattr(module, reader.function)
    return read
