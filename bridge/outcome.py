"""What became of a conversion or of a run: how far it came, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """A step of the work; it is recorded before it is entered, so that a crash has a stage."""

    CAPTURE = "capture"
    LOWER = "lower"
    SERIALIZE = "serialize"
    LOAD = "load"
    RUN = "run"
    COMPARE = "compare"


class Symptom(StrEnum):
    """How the work ended.

    ``NOT_REACHED`` means that something before it failed, and ``UNAVAILABLE`` that it cannot run
    on this machine: neither is a failure of its own, and neither is ever a success.
    """

    OK = "ok"
    UNSUPPORTED = "unsupported"
    ERROR = "error"
    CRASH = "crash"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out of memory"
    MISMATCH = "mismatch"
    NOT_REACHED = "not reached"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one piece of work.

    Attributes:
        subject: What worked: the name of a hop or of a runtime.
        target: Format that it was done for.
        stage: The last stage that was entered.
        symptom: How it ended.
        detail: The message of a failure, or a remark on a success.
        seconds: Wall-clock time that it took.
        reused: Whether an earlier run's result was taken instead.
    """

    subject: str
    target: str
    stage: Stage
    symptom: Symptom
    detail: str = ""
    seconds: float = 0.0
    reused: bool = False

    @property
    def ok(self) -> bool:
        """Whether the work was done and its result stands."""
        return self.symptom is Symptom.OK
