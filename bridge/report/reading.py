"""Reading a report: every version that there has been, and a clear refusal of any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import SourceError
from .report import REPORT_VERSION

SCHEMA = "driftbridge/report"
NEWEST = max(REPORT_VERSION, 2)

_PARTS = {"source": dict, "conversions": list, "layers": list, "options": dict, "versions": dict}


def check_report(document: Any, name: str) -> Mapping[str, Any]:
    """Return a document that is a report.

    Args:
        document: What a file held.
        name: What to call the file in an error.

    Raises:
        SourceError: It is no report, or one of a newer driftbridge.
    """
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise SourceError(
            f"{name} is not a report of driftbridge",
            hint="give the folder that convert made, or its report.json",
        )
    version = document.get("version")
    if not isinstance(version, int) or not 1 <= version <= NEWEST:
        raise SourceError(
            f"{name} is a report of version {version}; this driftbridge reads up to {NEWEST}",
            hint="update driftbridge, or convert again with this one",
        )
    for part, kind in _PARTS.items():
        if not isinstance(document.get(part), kind):
            raise SourceError(f"{name} is damaged: it has no {part}", hint="convert again")
    return document


def targets_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the validated targets by name; none if nothing was validated."""
    validation = document.get("validation")
    return validation["targets"] if validation else {}


def accumulated(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a layer's accumulated drift; that of a version 1 report has no interval."""
    if row.get("accumulated") is not None:
        drift: Mapping[str, Any] = row["accumulated"]
        return drift
    if row.get("drift_ratio") is None:
        return None
    return {"ratio": row["drift_ratio"], "verdict": row["verdict"]}


def isolated(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a layer introduces alone, where its runtime can tell."""
    drift: Mapping[str, Any] | None = row.get("isolated")
    return drift


def reproduction_of(target: Mapping[str, Any]) -> str:
    """Return the path of a target's reproduction in the folder; empty if none was made."""
    blame = target.get("blame") or {}
    return str(blame.get("script") or target.get("reproduction") or "")


def limits_of(document: Mapping[str, Any], target: str) -> tuple[float, float]:
    """Return the largest drift ratios of a target's layers without a remark and without failure."""
    thresholds = (document.get("validation") or {}).get("thresholds") or {}
    limits = thresholds.get(precision_of(document, target)) or {}
    return float(limits.get("warn_ratio", 3.0)), float(limits.get("fail_ratio", 10.0))


def precision_of(document: Mapping[str, Any], target: str) -> str:
    """Return the precision that a target is judged by."""
    format_ = targets_of(document)[target]["format"]
    for conversion in document["conversions"]:
        if conversion["format"] == format_ and conversion["artifact"]:
            return str(conversion["artifact"]["precision"])
    return "float32"
