"""Limits of time and memory for one piece of work."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from ..errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one piece of work may take.

    Attributes:
        seconds: Wall-clock time.
        memory: Resident bytes of the worker process; ``None`` for no limit. Work in the caller's
            own process is not limited in memory.
    """

    seconds: float = 1800.0
    memory: int | None = None


class TimeLimitError(BaseException):
    """The work took longer than its limit.

    Like ``KeyboardInterrupt`` it is no ``Exception``: tracers and exporters catch those broadly,
    and would take the interruption for a failure of the model.
    """


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``TimeLimitError`` in the block if it takes longer than ``seconds``.

    It interrupts Python code, and native code as soon as that returns to Python. It needs the
    main thread and a platform with interval timers; elsewhere the block runs without a limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimitError(f"no result after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def parse_bytes(text: str) -> int:
    """Read an amount of memory such as ``512M`` or ``4G``; ``UsageError`` if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"{text!r} is no amount of memory", hint="such as 512M or 4G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
