"""The converter graph as this run went through it: a tree of hops from the source to runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .view import TargetLine
from .wording import seconds_text

_GONE_WELL = {"ok": "ok", "not reached": "not reached", "unavailable": "unavailable"}


@dataclass(kw_only=True)
class Step:
    """A hop that was taken or would have been, and what follows it.

    Attributes:
        hop: Its name.
        format: What it makes.
        state: ``ok``, ``failed``, ``not reached`` or ``unavailable``.
        symptom: How it ended, in a word.
        detail: What it said, if it did not end well.
        time: Its time for people; empty if it was not entered.
        asked: Whether its result is one of the formats that were asked for.
        then: The hops that read its result.
        runs: The targets that ran its result.
    """

    hop: str
    format: str
    state: str
    symptom: str
    detail: str
    time: str
    asked: bool = False
    then: list[Step] = field(default_factory=list)
    runs: list[TargetLine] = field(default_factory=list)


def route_tree(document: Mapping[str, Any], lines: list[TargetLine]) -> list[Step]:
    """Return the first hops of all routes that were tried; hops that routes share are one step."""
    roots: list[Step] = []
    for conversion in document["conversions"]:
        for index, route in enumerate(conversion["routes"]):
            steps, step = roots, None
            for outcome in route["outcomes"]:
                step = _joined(steps, outcome)
                steps = step.then
            made = conversion["ok"] and index == len(conversion["routes"]) - 1
            if step is not None and made:
                step.asked = True
                step.runs = [
                    each for each in lines if each.format == conversion["format"] and each.runtime
                ]
    return roots


def _joined(steps: list[Step], outcome: Mapping[str, Any]) -> Step:
    for step in steps:
        if (step.hop, step.format) == (outcome["subject"], outcome["target"]):
            return step
    entered = outcome["symptom"] not in ("not reached", "unavailable")
    time = seconds_text(outcome["seconds"]) if entered else ""
    steps.append(
        Step(
            hop=outcome["subject"],
            format=outcome["target"],
            state=_GONE_WELL.get(outcome["symptom"], "failed"),
            symptom=outcome["symptom"],
            detail=outcome["detail"].strip(),
            time=f"{time}, reused" if outcome["reused"] else time,
        )
    )
    return steps[-1]
