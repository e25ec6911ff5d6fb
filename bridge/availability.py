"""Whether something can be used on this machine, and why not."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a hop, a runtime or a toolchain can be used here.

    Attributes:
        available: Whether it can.
        reason: Why not; empty if it can.
        mend: The command that makes it available; empty if there is none or none is needed.
    """

    available: bool
    reason: str = ""
    mend: str = ""


AVAILABLE = Availability(available=True)
_VERSION = re.compile(r"^Version:[ \t]*(\S+)", re.MULTILINE)


def packages_installed(distributions: Sequence[str]) -> Availability:
    """Tell whether all of ``distributions`` are installed, without importing any."""
    missing = [name for name in distributions if version_of(name) is None]
    if not missing:
        return AVAILABLE
    return Availability(
        available=False,
        reason=f"not installed: {', '.join(missing)}",
        mend="pip install 'driftbridge[all]'",
    )


def version_of(distribution: str) -> str | None:
    """Return the installed version of a distribution, or ``None``."""
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    # found.version parses the whole description, which is some milliseconds for a large one
    headers, _, _ = (found.read_text("METADATA") or "").partition("\n\n")
    version = _VERSION.search(headers)
    return version[1] if version else found.version
