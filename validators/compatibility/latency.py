"""Latency of an artifact on this machine, which is not a phone."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...formats import ONNX, TFLITE, Format

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, kw_only=True)
class ThreadLatency:
    """Times with a number of threads.

    Attributes:
        threads: The number.
        load_ms: Opening the file.
        first_ms: The first run, at which a runtime still allocates and packs weights.
        runs: Later runs, in milliseconds, in their order; at least one.
    """

    threads: int
    load_ms: float
    first_ms: float
    runs: Sequence[float]

    def to_json(self) -> dict[str, Any]:
        """Return it as the report has it."""
        low, median, high = np.percentile(self.runs, [10, 50, 90])
        return {
            "threads": self.threads,
            "load_ms": self.load_ms,
            "first_ms": self.first_ms,
            "median_ms": float(median),
            "p10_ms": float(low),
            "p90_ms": float(high),
            "runs": len(self.runs),
        }


def thread_counts(format_: Format) -> tuple[int, ...]:
    """Return the numbers of threads that a format is timed with."""
    return (1, 2, 4) if format_ in (TFLITE, ONNX) else (1,)


def machine() -> str:
    """Return what this machine is, and that it is not a phone."""
    cores = os.cpu_count() or 1
    processors = f"{cores} logical processor" + ("" if cores == 1 else "s")
    return f"{_processor()}, {processors}, {platform.system()} {platform.machine()} (not a phone)"


def _processor() -> str:
    """Name of the processor, as far as the system knows it."""
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
