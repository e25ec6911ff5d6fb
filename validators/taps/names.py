"""Names of tensors that a file does not have."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path

from ...errors import SourceError

_LISTED = 8


def require_names(kind: str, wanted: Iterable[str], known: Collection[str], path: Path) -> None:
    """Raise ``SourceError`` if any wanted name is not known; all such names are listed at once.

    Args:
        kind: What the names are of, for the message: ``"tensor"``.
        wanted: Names that are asked for.
        known: Names that there are.
        path: The file, for the message.
    """
    missing = [name for name in wanted if name not in known]
    if not missing:
        return
    near = list(
        dict.fromkeys(
            match
            for name in missing
            for match in difflib.get_close_matches(name, known, cutoff=0.5)
        )
    )
    listed = ", ".join(map(repr, missing[:_LISTED])) + (" …" if len(missing) > _LISTED else "")
    shown = ", ".join((near or sorted(known))[:_LISTED])
    raise SourceError(
        f"{path.name} has no {kind} {listed}",
        hint=f"did you mean {shown}?" if near else f"it has: {shown or 'none'}",
    )
