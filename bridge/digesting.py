"""Files that are digested while they are written, instead of being read again."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any


class DigestedFile(io.BufferedWriter):
    """A file for bytes that are written one after another.

    Its ``sha256`` is what ``artifact.digest`` gives once the file is closed. What is digested still
    lies in the processor's cache; a thread for it would need a copy, which takes as long.

    Args:
        path: The file; an old one is overwritten.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("wb", buffering=0))
        self._total = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Digest of what is written so far."""
        return self._total.hexdigest()

    def write(self, data: Any, /) -> int:
        """Write bytes, of any buffer."""
        written = super().write(data)
        self._total.update(memoryview(data).cast("B")[:written])
        return written
