"""What is to blame in the failing targets of a folder, found when they are compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import BridgeError
from ..samples import Samples
from ..validators.reproduction.scripts import SCRIPT
from ..worker import Limits, WorkFailure
from .culprits import blame_drift, drifting_targets
from .reporting import read_report, record_blame


def attribute_failures(
    folder: Path,
    *,
    samples: Samples | None = None,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Mapping[str, Any]:
    """Name in the report what computes each layer that introduced a failure, and reproduce it.

    Args:
        folder: A result folder; the reproduction of a target is its subfolder ``blame-TARGET``.
        samples: What it was compared on, if those are not the folder's own.
        limits: Time and memory of each run.
        say: Called with lines of progress.

    Returns:
        The report, with what was found. Where a reproduction fails, the report has the reason.

    Raises:
        SourceError: The folder has no report.
        StorageError: It cannot be written.
    """
    report = read_report(folder)
    drifting = drifting_targets(folder)
    for target in (report["validation"] or {"targets": {}})["targets"]:
        out = reproduction_folder(folder, target)
        if (out / SCRIPT).is_file():  # of an earlier comparison
            shutil.rmtree(out)
        if target not in drifting:
            continue
        try:
            blame = blame_drift(folder, target, out=out, samples=samples, limits=limits, say=say)
        except (BridgeError, WorkFailure) as error:
            say(f"{target}: no reproduction: {error}")
            report = record_blame(folder, target, {"layer": drifting[target], "error": str(error)})
        else:
            report = record_blame(folder, target, blame.to_json())
    return report


def reproduction_folder(folder: Path, target: str) -> Path:
    """Return where the reproduction of a target lies if no other place is asked for."""
    return folder / f"blame-{target.replace('@', '-')}"
