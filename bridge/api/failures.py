"""Failures of hops, as far as two of them are the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..hop import Hop
from ..outcome import Outcome, Stage, Symptom

_OPERATOR = re.compile(r"^\s*- (\S+) \(used", re.MULTILINE)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.\-+ ]+){2,}")
_NAME = re.compile(r"'[\w./:;-]*'")  # of a value or a node, which another part calls otherwise
_NUMBER = re.compile(r"_?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_LINES = 3  # of a message; what follows are graphs, traces and advice


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a hop failed.

    Attributes:
        hop: Its name.
        stage: The last stage that it entered.
        symptom: How it ended.
        message: What it said.
    """

    hop: str
    stage: Stage
    symptom: Symptom
    message: str

    @classmethod
    def of(cls, outcome: Outcome) -> Failure:
        """Return the failure that an outcome tells."""
        return cls(
            hop=outcome.subject,
            stage=outcome.stage,
            symptom=outcome.symptom,
            message=outcome.detail,
        )

    @property
    def operators(self) -> frozenset[str]:
        """The operators that the hop listed as unsupported."""
        return frozenset(_OPERATOR.findall(self.message))

    def same(self, other: Failure) -> bool:
        """Whether another failure is this one: of the same hop, stage, symptom and message.

        Numbers, quoted names, paths and places in the user's code may differ; of several
        unsupported operators one is enough.
        """
        if (self.hop, self.stage, self.symptom) != (other.hop, other.stage, other.symptom):
            return False
        if self.operators:
            return bool(other.operators & self.operators)
        return normalised(self.message) == normalised(other.message)


def normalised(message: str) -> str:
    """Return a message without what changes from one model to another: numbers, paths, places."""
    lines = [
        line.strip()
        for line in message.splitlines()
        if line.strip() and not line.startswith(("  at ", "  hint:"))
    ]
    text = "\n".join(lines[:_LINES])
    for pattern in (_ADDRESS, _NAME, _PATH, _NUMBER):
        text = pattern.sub("", text)
    return text


def first_failure(hops: Sequence[Hop], outcomes: Sequence[Outcome]) -> tuple[int, Failure] | None:
    """Return the place of the hop that a route failed at, and how; ``None`` if it did not."""
    for place, (hop, outcome) in enumerate(zip(hops, outcomes, strict=False)):
        if not outcome.ok and not hop.refines and outcome.symptom is not Symptom.NOT_REACHED:
            return place, Failure.of(outcome)
    return None
