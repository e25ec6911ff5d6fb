"""The limits of drift as a user may change them: a TOML file that gives a reason for each.

::

    [float32.warn_db]
    value = 80
    reason = "the model ends in an exponential; agreed with the app team on 2026-03-02"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError
from .verdict import THRESHOLDS, Thresholds


@dataclass(frozen=True, kw_only=True)
class Override:
    """One limit that the user changed.

    Attributes:
        name: Precision and limit, such as ``float32.warn_db``.
        value: The new value.
        reason: Why.
    """

    name: str
    value: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class ThresholdTable:
    """The limits of a run.

    Attributes:
        limits: Precision → its limits.
        overrides: Which of them are the user's own.
    """

    limits: Mapping[str, Thresholds] = field(default_factory=lambda: THRESHOLDS)
    overrides: tuple[Override, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain JSON data."""
        return {
            **{precision: asdict(limits) for precision, limits in self.limits.items()},
            "overrides": [asdict(each) for each in self.overrides],
        }


def read_thresholds(path: Path) -> ThresholdTable:
    """Read a file of overrides.

    Raises:
        InputError: The file cannot be read, or is no TOML.
        UsageError: There is no such limit, a value is no number, a reason is missing, or a limit
            for a warning is looser than the one for a failure.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    limits = dict(THRESHOLDS)
    overrides = tuple(_overrides(path, data))
    for each in overrides:
        precision, _, name = each.name.partition(".")
        limits[precision] = replace(limits[precision], **{name: each.value})
    for precision, chosen in limits.items():
        if chosen.warn_db < chosen.fail_db or chosen.warn_ratio > chosen.fail_ratio:
            raise UsageError(f"{path}: in {precision}, a warning would come after the failure")
    return ThresholdTable(limits=limits, overrides=overrides)


def _overrides(path: Path, data: Mapping[str, Any]) -> Iterator[Override]:
    names = [each.name for each in fields(Thresholds)]
    for precision, table in data.items():
        if precision not in THRESHOLDS or not isinstance(table, dict):
            raise UsageError(
                f"{path}: there is no precision {precision!r}",
                hint=f"precisions: {', '.join(THRESHOLDS)}",
            )
        for name, entry in table.items():
            if name not in names:
                raise UsageError(
                    f"{path}: there is no limit {precision}.{name}",
                    hint=f"limits: {', '.join(names)}",
                )
            entry = entry if isinstance(entry, dict) else {"value": entry}
            value, reason = entry.get("value"), entry.get("reason")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"{path}: {precision}.{name} has no number as its value")
            if not isinstance(reason, str) or not reason.strip():
                raise UsageError(
                    f"{path}: {precision}.{name} is changed without a reason",
                    hint=f'[{precision}.{name}]\nvalue = {value}\nreason = "…"',
                )
            yield Override(name=f"{precision}.{name}", value=float(value), reason=reason.strip())
