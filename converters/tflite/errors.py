"""What a lowering raises when it cannot honour an argument."""

from __future__ import annotations

from typing import Any

from ...errors import ConversionError


class Unsupported(ConversionError):
    """An operator, or one of its arguments, that this compiler cannot express in TFLite."""


def unsupported(argument: str, value: Any, hint: str | None = None) -> Unsupported:
    """Return the error of a lowering that cannot honour an argument; the caller raises it.

    Args:
        argument: Name of the argument in the operator's schema.
        value: What it is.
        hint: The nearest alternative for the user.
    """
    return Unsupported(f"{argument}={value} is not supported", hint=hint)
