"""Memory of an artifact: its file, its weights, LiteRT's arena, and what a process grows by."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # Documentation/filesystems/proc.rst

PEAK_BY_KERNEL = (
    "peak: growth of this process's resident memory from before loading to the highest point of "
    "loading and running once on one thread, as the kernel counts it; pages of the file that were "
    "read are in it"
)
PEAK_BY_SAMPLES = (
    "peak: growth of this process's resident memory, looked at after loading and after running "
    "once on one thread; what was freed in between is not in it"
)
ARENA = (
    "arena: bytes of the tensors that LiteRT itself lays out, shared ones once; XNNPACK's own "
    "memory is in the peak only"
)


class Growth:
    """How much the resident memory of this process grows from now on.

    Freed memory is given back to the system first, so that what an earlier model left behind does
    not hide what this one takes.
    """

    def __init__(self) -> None:
        _give_back()
        self.by_kernel = _reset_peak()
        self._before = _resident()
        self._seen = 0

    def look(self) -> None:
        """Look at it once, for systems that keep no peak."""
        self._seen = max(self._seen, _resident() - self._before)

    def peak(self) -> int:
        """Return the highest growth so far, in bytes."""
        self.look()
        if self.by_kernel:
            return max(self._seen, _status("VmHWM") - self._before)
        return self._seen

    @property
    def method(self) -> str:
        """How it is measured."""
        return PEAK_BY_KERNEL if self.by_kernel else PEAK_BY_SAMPLES


def arena_bytes(interpreter: Any, constants: frozenset[int]) -> int:
    """Return the bytes that LiteRT laid the tensors of the main graph out in.

    Tensors that are never alive together share bytes, which count once. Those inside of a
    delegate's partition have none here.

    Args:
        interpreter: A LiteRT interpreter that has run.
        constants: Indices of the tensors whose elements the file holds.
    """
    spans = []
    for each in interpreter.get_tensor_details():
        if each["index"] in constants:
            continue
        with contextlib.suppress(ValueError, RuntimeError):  # it has no memory, or holds texts
            view = interpreter.tensor(each["index"])()
            spans.append((view.ctypes.data, view.nbytes))
    total = end = 0
    for start, size in sorted(spans):
        total += max(0, start + size - max(end, start))
        end = max(end, start + size)
    return total


def _give_back() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    """Let the kernel count the peak from now on; ``False`` where it does not do that."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
        return _status("VmHWM") > 0
    except OSError:
        return False


def _resident() -> int:
    if _STATUS.exists():
        return _status("VmRSS")
    import psutil

    return int(psutil.Process().memory_info().rss)


def _status(name: str) -> int:
    """A figure of the process's status, in bytes; 0 if it is not there."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
