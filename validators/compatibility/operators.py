"""Operators with their versions, and the first release of the runtime that runs all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...inspection.facts import OperatorCount
from ...inspection.tflite_graph import GraphOperator, TFLiteGraph
from ...tflite_releases import RELEASES
from ...tflite_versions import RULES, operator_version

_WITH_OFFSETS = "2.14.0"  # the first release that reads constants behind the flatbuffer


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """Operators of one name and version.

    Attributes:
        name: The name.
        version: The version that the file states; ``None`` in formats without.
        count: How many there are.
        since: The first release that has what they are; ``None`` if that is not known.
        needs: The version that their types and options need, if it is above the stated one.
    """

    name: str
    version: int | None
    count: int
    since: str | None = None
    needs: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            "name": self.name,
            "version": self.version,
            "count": self.count,
            "since": self.since,
            "needs": self.needs,
        }


def plain_rows(operators: Iterable[OperatorCount]) -> list[OperatorRow]:
    """Return the operators of a format whose runtime has no versions of its own to compare."""
    return [
        OperatorRow(name=each.name, version=each.version, count=each.count) for each in operators
    ]


def tflite_rows(graph: TFLiteGraph) -> list[OperatorRow]:
    """Return the operators of all subgraphs, the most frequent first.

    The version that counts is worked out from types, ranks and options, by LiteRT's own rules; the
    file's is what the loader believes. The higher of the two decides.
    """
    groups = Counter((each.name, each.version, _needed(each)) for each in graph.operators)
    rows = [
        OperatorRow(
            name=name,
            version=version,
            count=count,
            since=release_of(name, max(version, needed or 1)),
            needs=needed if needed and needed > version else None,
        )
        for (name, version, needed), count in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.name, row.version or 0, row.needs or 0))


def release_of(name: str, version: int) -> str | None:
    """Return the first release that has a version of an operator, if it is known."""
    releases = RELEASES.get(name, ())
    return (releases[version - 1] or None) if 0 < version <= len(releases) else None


def minimum_runtime(
    rows: Sequence[OperatorRow], declared: str | None, *, outside: bool
) -> dict[str, Any]:
    """Compare the release that a file declares with the one that it needs.

    Args:
        rows: Its operators.
        declared: What its metadata says.
        outside: Whether constants lie behind the flatbuffer.

    Returns:
        ``declared``, ``needed``, ``enough`` (whether the first covers the second; ``None`` if one
        is missing), ``unknown``: operators whose release is not known, so that more may be needed.
    """
    known = [row.since for row in rows if row.since] + ([_WITH_OFFSETS] if outside else [])
    needed = max(known, key=_order, default=None)
    return {
        "declared": declared,
        "needed": needed,
        "enough": _order(declared) >= _order(needed) if declared and needed else None,
        "unknown": sorted({row.name for row in rows if row.since is None}),
    }


def _needed(operator: GraphOperator) -> int | None:
    if operator.name not in RULES or not operator.outputs:
        return None
    try:
        return operator_version(operator)
    except (AssertionError, IndexError):  # it lacks an operand or an axis that its rule is about
        return None


def _order(release: str) -> list[int]:
    return [int(part) for part in release.split(".") if part.isdecimal()]
