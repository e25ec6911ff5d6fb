"""Zip archives as PyTorch writes them: all files in one folder, tensors in folders within it."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from .facts import DamagedError

_TENSOR_FOLDERS = ("data/", "constants/")


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the files of an archive but the tensors, by their names within its folder.

    Reading checks their checksums. PyTorch's own reader does not, and asks for any amount of
    memory when a pickle that was overwritten says so.

    Raises:
        DamagedError: A checksum or the archive's directory is wrong.
    """
    files = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                inside = name.partition("/")[2] or name
                in_folder = inside.startswith(_TENSOR_FOLDERS) and not inside.endswith(".json")
                if not in_folder and not inside.endswith(".pt"):
                    files[inside] = archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise DamagedError(str(error)) from error
    return files
