"""Flatbuffers that end where their file ends."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .facts import DamagedError


class StrictMap(mmap.mmap):
    """A mapped file that refuses slices beyond its end.

    The accessors of the ``flatbuffers`` package check numbers and arrays against the end of the
    buffer, and silently cut text off there.
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and key.stop is not None and key.stop > len(self):
            raise DamagedError(f"it refers to byte {key.stop - 1} of {len(self)}")
        return super().__getitem__(key)


@contextmanager
def mapped(path: Path) -> Iterator[StrictMap]:
    """Map a flatbuffer file and read from it in the block.

    Nothing is copied, so that the weights cost nothing. What refers to bytes outside of the file,
    or to fields that are not there, raises ``DamagedError``.
    """
    with path.open("rb") as file:
        data = StrictMap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield data
    except DamagedError:
        raise
    # what the accessors raise on offsets and indices that lead nowhere
    except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
        raise DamagedError(f"its offsets lead outside of its {len(data)} bytes: {error}") from error
