"""What the validator made of the faults: hits, ranks, misses and false alarms."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .formats import target_of
from .judging import Judge, Judgement, Row, at
from .seeding import Fault, Seeder

_TOP = 3
_BATCH = 10  # artifacts that share one run of the reference


@dataclass(frozen=True, kw_only=True)
class Score:
    """What the validator made of one fault.

    Attributes:
        fault: The fault.
        verdict: On the whole artifact.
        caught: Whether anything failed.
        blamed: The layer that is named as the cause; empty if none is.
        rank: Place of the first of the fault's layers among the worst ones; ``None`` if none of
            them was measured.
        ratio: Isolated drift ratio of that layer.
        why: Why it is no hit; empty for one.
    """

    fault: Fault
    verdict: str
    caught: bool
    blamed: str
    rank: int | None
    ratio: float
    why: str

    @property
    def first(self) -> bool:
        """Whether the layer that is named is one of the fault's (top-1)."""
        return self.blamed in self.fault.layers

    @property
    def among(self) -> bool:
        """Whether it is, or one of the fault's is among the three worst (top-3)."""
        return self.first or (self.rank is not None and self.rank <= _TOP)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            **self.fault.to_json(),
            "verdict": self.verdict,
            "caught": self.caught,
            "blamed": self.blamed,
            "rank": self.rank,
            "ratio": number(self.ratio),
            "top1": self.first,
            "top3": self.among,
            "why": self.why,
        }


def scores(
    seeder: Seeder, faults: Sequence[Fault], known: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a record for each of a model's good artifacts and faults, as they come.

    Args:
        seeder: The model's.
        faults: Its faults.
        known: Names of what was judged before; it is left out.
    """
    subject = seeder.subject
    wanted: dict[str, Fault | None] = {f"good|{subject.model}|{each}": None
                                       for each in subject.artifacts}  # fmt: skip
    wanted |= {each.name: each for each in faults}
    left = {name: fault for name, fault in wanted.items() if name not in known}
    for samples in (subject.samples, subject.inner_samples):
        some = {
            name: fault
            for name, fault in left.items()
            if subject.samples_of(_format(name, fault)) is samples
        }
        if samples is not None and some:
            with Judge(subject.source, samples) as judge:
                yield from _judged(seeder, some, judge)


def _format(name: str, fault: Fault | None) -> str:
    return name.rpartition("|")[2] if fault is None else fault.format


def _judged(
    seeder: Seeder, wanted: Mapping[str, Fault | None], judge: Judge
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of good artifacts and faults, some at a time."""
    subject, left = seeder.subject, list(wanted)
    with tempfile.TemporaryDirectory() as scratch:
        for start in range(0, len(left), _BATCH):
            names = left[start : start + _BATCH]
            artifacts = []
            for place, name in enumerate(names):
                fault = wanted[name]
                if fault is None:
                    artifacts.append(subject.artifacts[_format(name, fault)])
                    continue
                good = subject.artifacts[target_of(fault.format)]
                injected = seeder.injected(fault)
                path = Path(scratch) / f"{place}{good.path.suffix}"
                path.write_bytes(injected.content)
                artifacts.append(at(injected.artifact(good), path))
            for name, judgement in zip(names, judge.judge(artifacts), strict=True):
                fault = wanted[name]
                if fault is not None:
                    yield name, score(fault, judgement).to_json()
                    continue
                format_ = _format(name, fault)
                precision = subject.artifacts[format_].precision
                yield name, _good(subject.model, format_, precision, judgement)


def score(fault: Fault, judgement: Judgement) -> Score:
    """Return what a judgement is worth, given the fault."""
    worst = judgement.worst()
    ranks = [worst.index(layer) + 1 for layer in fault.layers if layer in worst]
    rows = {row.layer: row for row in judgement.rows}
    mine = [rows[layer] for layer in fault.layers if layer in rows]
    made = Score(
        fault=fault,
        verdict=judgement.verdict,
        caught=judgement.verdict == "fail" or judgement.blamed() is not None,
        blamed=judgement.blamed() or "",
        rank=min(ranks, default=None),
        ratio=max((row.isolated for row in mine if not math.isnan(row.isolated)), default=math.nan),
        why="",
    )
    return made if made.first else replace(made, why=_why(made, mine, rows, judgement))


def number(value: float) -> float | str | None:
    """A number as JSON has it: NaN is null, infinity a text."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"


def _why(made: Score, mine: Sequence[Row], rows: Mapping[str, Row], judgement: Judgement) -> str:
    """Say why a fault was not named."""
    if not judgement.rows or not judgement.judged():
        return f"no layer was compared: {judgement.reason or judgement.verdict}"
    measured = [row for row in mine if row.verdict]
    if measured:
        own = max(measured, key=lambda row: row.isolated)
        text = f"{own.layer} alone is {own.verdict} (ratio {own.isolated:.3g}, from {own.low:.3g})"
    else:
        text = "none of its layers was run alone"
    if not made.blamed:
        return f"nothing failed; {text}"
    other = rows[made.blamed]
    figure = other.isolated if other.verdict else other.accumulated
    return f"{made.blamed} was named (ratio {figure:.3g}); {text}"


def _good(model: str, format_: str, precision: str, judgement: Judgement) -> dict[str, Any]:
    rows = {row.layer: row for row in judgement.rows}
    return {
        "model": model,
        "format": format_,
        "precision": precision,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "judged": judgement.judged(),
        "ratios": _known(row.isolated for row in judgement.rows),
        "accumulated": _known(row.accumulated for row in judgement.rows),
        "alarms": [
            {
                "layer": layer,
                "verdict": rows[layer].verdict,
                "isolated": number(rows[layer].isolated),
                "accumulated_verdict": rows[layer].accumulated_verdict,
                "accumulated": number(rows[layer].accumulated),
            }
            for layer in judgement.alarms()
        ],
    }


def _known(ratios: Iterable[float]) -> list[float]:
    return sorted(round(ratio, 3) for ratio in ratios if math.isfinite(ratio))
