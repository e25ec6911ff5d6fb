"""From a report to an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FAILING = {"fail": ("fail", "not run"), "warn": ("fail", "not run", "warn")}


def verdict_exit_code(report: Mapping[str, Any]) -> int:
    """Return 1 if a report's comparison is bad enough to fail, or could not be made, else 0."""
    validation = report["validation"]
    failing = _FAILING[report["options"].get("drift", {}).get("fail_on", "fail")]
    return int(validation is not None and validation["verdict"] in failing)
