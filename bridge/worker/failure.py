"""How work fails: exceptions become a symptom and a detail, in a worker and in process alike."""

from __future__ import annotations

import re
from typing import Any

from ..errors import BridgeError, MismatchError, UnavailableError, UnsupportedError, UsageError
from ..outcome import Stage, Symptom
from .limits import TimeLimitError

# native libraries say it in their own words, in an exception of no particular kind
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|bad_alloc|failed to allocate", re.I
)


class WorkFailure(BridgeError):
    """A piece of work that did not end well.

    Attributes:
        stage: The last stage that it entered.
        symptom: How it ended.
        traceback: The traceback of where it happened, for a log; may be empty.
        usage: Whether what was asked for is wrong itself.
    """

    code = "work"

    def __init__(
        self,
        message: str,
        *,
        stage: Stage,
        symptom: Symptom,
        where: str | None = None,
        hint: str | None = None,
        user_traceback: str | None = None,
        traceback: str = "",
        usage: bool = False,
    ) -> None:
        super().__init__(message, where=where, hint=hint, user_traceback=user_traceback)
        self.stage = stage
        self.symptom = symptom
        self.traceback = traceback
        self.usage = usage


def describe(error: BaseException) -> dict[str, Any]:
    """Return symptom, message, place and hint of an exception as plain JSON data."""
    symptom = Symptom.ERROR
    for kind, its_symptom in (
        (UnsupportedError, Symptom.UNSUPPORTED),
        (MismatchError, Symptom.MISMATCH),
        (UnavailableError, Symptom.UNAVAILABLE),
        (TimeLimitError, Symptom.TIMEOUT),
        (MemoryError, Symptom.OUT_OF_MEMORY),
    ):
        if isinstance(error, kind):
            symptom = its_symptom
    if isinstance(error, BridgeError):
        return {
            "symptom": symptom.value,
            "message": error.message,
            "where": error.where,
            "hint": error.hint,
            "user_traceback": error.user_traceback,
            "usage": isinstance(error, UsageError),
        }
    message = str(error).strip() or "no message"
    if isinstance(error, RuntimeError) and _NO_MEMORY.search(message):
        symptom = Symptom.OUT_OF_MEMORY
    if symptom is Symptom.ERROR:
        message = f"{type(error).__name__}: {message}"
    return {
        "symptom": symptom.value,
        "message": message,
        "where": None,
        "hint": None,
        "user_traceback": None,
    }


def failure(description: dict[str, Any], stage: Stage) -> WorkFailure:
    """Return the exception for what ``describe`` returned, possibly in another process."""
    return WorkFailure(
        description["message"],
        stage=stage,
        symptom=Symptom(description["symptom"]),
        where=description["where"],
        hint=description["hint"],
        user_traceback=description["user_traceback"],
        traceback=description.get("traceback", ""),
        usage=description.get("usage", False),
    )
