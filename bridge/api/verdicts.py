"""From a report to an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def verdict_exit_code(report: Mapping[str, Any]) -> int:
    """Return 1 if a report's comparison failed or could not be made, else 0."""
    validation = report["validation"]
    return int(validation is not None and validation["verdict"] in ("fail", "not run"))
