"""The result folder: written aside, renamed into place, and never left half made."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from ..errors import SourceError, StorageError

MANIFEST = "manifest.json"
REPORT = "report.json"
PAGE = "report.html"
EXAMPLES = "examples.npz"
MEASURED = ".measured"  # what an interrupted comparison has measured so far

_SCRATCH = ".new-"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, kw_only=True)
class ResultFolder:
    """A folder of results, and a scratch folder in it for what is being made.

    Attributes:
        path: The folder.
        scratch: Where new files are written; on the same file system, so that they can be renamed.
    """

    path: Path
    scratch: Path

    @classmethod
    def open(cls, path: Path) -> ResultFolder:
        """Make the folder if there is none; ``StorageError`` if it cannot be written."""
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            _remove_orphans(path)
            prefix = f"{_SCRATCH}{os.getpid()}-"
            return cls(path=path, scratch=Path(tempfile.mkdtemp(prefix=prefix, dir=path)))

    @classmethod
    def temporary(cls) -> ResultFolder:
        """Make a folder of which nothing remains."""
        path = Path(tempfile.mkdtemp(prefix="driftbridge-"))
        return cls(path=path, scratch=path)

    def __enter__(self) -> ResultFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            with storage_errors(self.path):  # whatever is written in a run is written in here
                raise error

    def manifest(self) -> dict[str, Any]:
        """Return the manifest of the results that are there; an empty one if there are none."""
        file = self.path / MANIFEST
        if not file.is_file():
            return {}
        return read_json(file)

    def new_text(self, name: str, text: str) -> Path:
        """Write a text file for ``publish`` and return its path."""
        with storage_errors(self.path):
            path = self.scratch / name
            path.write_text(text, encoding="utf-8")
        return path

    def publish(self, files: Mapping[str, Path], documents: Mapping[str, Any]) -> None:
        """Put new files and JSON documents in place of the old ones.

        Everything is on disk before the first old file is replaced, and the documents that
        describe the files come last.
        """
        with storage_errors(self.path):
            for name, data in documents.items():
                text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
                (self.scratch / name).write_text(text, encoding="utf-8")
            for new in files.values():
                new.stat()
            for name, new in files.items():
                _replace(new, self.path / name)
            for name in documents:
                _replace(self.scratch / name, self.path / name)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses in the block into an error on a result folder."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EACCES: "it cannot be written: permission denied",
            errno.EPERM: "it cannot be written: permission denied",
            errno.EROFS: "it is on a read-only file system",
            errno.ENOTDIR: "it is not a folder",
            errno.EEXIST: "it is not a folder",
        }
        reason = reasons.get(error.errno or 0, str(error))
        raise StorageError(f"{path}: {reason}", hint="choose another folder with --out") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON document; ``SourceError`` if it is missing or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{path} is damaged: {error}") from error
    if not isinstance(data, dict):
        raise SourceError(f"{path} is damaged: not an object")
    return data


def _remove_orphans(path: Path) -> None:
    """Remove the scratch folders of processes that were killed."""
    for folder in path.glob(f"{_SCRATCH}*"):
        pid = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _replace(new: Path, old: Path) -> None:
    if old.is_dir() or (new.is_dir() and old.exists()):  # a folder cannot be replaced in one step
        aside = new.with_name(f"{new.name}.old")
        os.replace(old, aside)
        try:
            os.replace(new, old)
        except OSError:
            os.replace(aside, old)
            raise
    else:
        os.replace(new, old)
