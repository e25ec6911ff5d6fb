"""The errors a user can meet: a stable code, what happened, where in their code, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BridgeError(Exception):
    """Base of every error that driftbridge raises on purpose.

    Attributes:
        code: Stable identifier, such as ``"usage"``; safe to match on.
        message: What happened, in one or a few sentences.
        where: The user's own ``file:line``, if one is known.
        hint: What to do about it, if that is known.
        user_traceback: The traceback of the user's own code, without our frames, if it raised.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        user_traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.user_traceback = user_traceback

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class UsageError(BridgeError):
    """The request itself is wrong: an option, a name, a shape (exit code 64)."""

    code = "usage"


class SourceError(BridgeError):
    """The model cannot be read: a missing, truncated or foreign file, a callable that raises."""

    code = "source"


class InputError(UsageError):
    """The example or real inputs do not fit the model."""

    code = "input"


class UntrustedPickleError(SourceError):
    """A weights file wants to run code when it is loaded."""

    code = "untrusted-pickle"


class CaptureError(BridgeError):
    """The model could not be captured as a graph."""

    code = "capture"


class MismatchError(BridgeError):
    """A conversion finished, and its result computes something else."""

    code = "mismatch"


class GateError(BridgeError):
    """What was asked for is not done because a comparison failed (exit code 1)."""

    code = "gate"


class UnavailableError(BridgeError):
    """A package or a toolchain that the request needs is not installed here."""

    code = "unavailable"


class ConversionError(BridgeError):
    """A hop failed; the message is the converter's own."""

    code = "conversion"


class StorageError(BridgeError):
    """The output folder cannot be written: permissions or a full disk."""

    code = "storage"


class RegistryError(BridgeError):
    """Two things registered under one name, or a name that nobody registered."""

    code = "registry"


@dataclass(frozen=True, kw_only=True)
class UnsupportedOperator:
    """One operator that a hop has no rule for.

    Attributes:
        operator: Its name in the source format, such as ``aten.grid_sampler_3d``.
        count: How many times the model uses it.
        where: The first use, as the user's ``file:line``, if known.
        hint: The nearest alternative, if there is one.
    """

    operator: str
    count: int = 1
    where: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.operator} (used {self.count}×)"
        text += f" first at {self.where}" if self.where else ""
        return text + (f": {self.hint}" if self.hint else "")


class UnsupportedError(ConversionError):
    """A hop met operators that it cannot convert; all of them are listed at once."""

    code = "unsupported"

    def __init__(self, hop: str, operators: Sequence[UnsupportedOperator]) -> None:
        self.operators = tuple(operators)
        listed = "\n".join(f"  - {operator}" for operator in self.operators)
        super().__init__(
            f"{hop} supports all but {len(self.operators)} operator(s):\n{listed}",
            where=next((operator.where for operator in self.operators if operator.where), None),
        )
