"""``blame`` for a conversion that failed: the operators at fault, and a script that shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SourceError, UsageError
from ..formats import EXPORTED, TORCH
from ..hop import HOPS
from ..outcome import Outcome, Stage, Symptom
from ..planning import Route
from ..report import stored_artifacts
from ..worker import Limits, WorkPool
from .failures import Failure, first_failure
from .folder import MANIFEST, REPORT, ResultFolder, read_json, storage_errors
from .reproduction import Reproduction, write_reproduction
from .shrinking import Shrunk, shrink


@dataclass(frozen=True, kw_only=True)
class FailedRoute:
    """A route of a result folder that did not come to its end.

    Attributes:
        target: Format that was asked for.
        name: The route's name.
        route: Its hops from the captured program to the one that failed.
        failure: How that failed.
        replaced: Whether another route reached the target.
    """

    target: str
    name: str
    route: Route
    failure: Failure
    replaced: bool


@dataclass(frozen=True, kw_only=True)
class ConversionBlame:
    """What is to blame for a failed conversion.

    Attributes:
        failed: The route that was followed up.
        shrunk: The smallest part of the model that fails the same way.
        reproduction: The folder that reruns it.
    """

    failed: FailedRoute
    shrunk: Shrunk
    reproduction: Reproduction

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain JSON data."""
        failure = self.failed.failure  # with the places of the user's own code
        return {
            "target": self.failed.target,
            "route": self.failed.name,
            "hop": failure.hop,
            "stage": failure.stage.value,
            "symptom": failure.symptom.value,
            "message": failure.message,
            "operators": [
                {"id": unit.id, "op": unit.op, "module": unit.module, "source": unit.source}
                for unit in self.shrunk.piece.units
            ],
            "total": self.shrunk.total,
            "trials": self.shrunk.trials,
            "minimal": self.shrunk.minimal,
            "reproduction": {
                "folder": str(self.reproduction.folder),
                "confirmed": self.reproduction.confirmed,
                "said": self.reproduction.said,
            },
        }


def blame_conversion(
    folder: Path,
    failed: FailedRoute,
    *,
    out: Path,
    limits: Limits | None = None,
    seconds: float = 900.0,
    say: Callable[[str], None] = lambda text: None,
) -> ConversionBlame:
    """Find the smallest part of a model that a conversion fails on, and write it down.

    Args:
        folder: What ``convert`` made.
        failed: One of its ``failed_routes``.
        out: Folder for the reproduction.
        limits: Time and memory of each try. A hop that hung needs that time for each part.
        seconds: When to stop looking for something smaller.
        say: Called with lines of progress.

    Raises:
        SourceError: There is no captured program to cut.
        ConversionError: The captured program alone does not fail that way.
        StorageError: The reproduction cannot be written.
    """
    manifest = read_json(folder / MANIFEST)
    options = manifest["options"]
    with (
        ResultFolder.temporary() as scratch,
        WorkPool(limits=limits or Limits(), progress=say) as pool,
    ):
        shrunk = shrink(
            captured_program(folder, manifest),
            failed.route,
            failed.failure,
            pool=pool,
            scratch=scratch.scratch,
            options=options,
            seconds=seconds,
            say=say,
        )
        say(f"writing {out}")
        with storage_errors(out):
            reproduction = write_reproduction(
                shrunk, out, text=manifest["source"]["text"], pool=pool, options=options
            )
    return ConversionBlame(failed=failed, shrunk=shrunk, reproduction=reproduction)


def failed_routes(folder: Path) -> list[FailedRoute]:
    """Return the routes of a result folder that failed, those of unreached targets first.

    Routes that could not be tried here are not among them, nor those that were passed over because
    they take no such options.

    Raises:
        UsageError: It is no result folder.
    """
    if not (folder / REPORT).is_file() or not (folder / MANIFEST).is_file():
        raise UsageError(
            f"{folder} is not a folder that driftbridge made (no {REPORT} in it)",
            hint="give the folder that convert wrote to with --out",
        )
    found = []
    for conversion in read_json(folder / REPORT)["conversions"]:
        for route in conversion["routes"]:
            failed = _failed_route(conversion, route)
            if failed is not None:
                found.append(failed)
    return sorted(found, key=lambda each: each.replaced)


def captured_program(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Return the captured program that a folder's conversions began with.

    Raises:
        SourceError: There is none: the capture failed, or the source is of another format.
    """
    source = manifest["source"]
    if source["format"] == EXPORTED.name:
        path = Path(source["artifact"]["path"])
        if path.is_file():
            return path
        raise SourceError(f"{path}, which this folder was made from, is gone")
    for stored in stored_artifacts(folder, manifest):
        if stored.artifact.format == EXPORTED:
            return stored.artifact.path
    raise SourceError(
        f"{folder} holds no captured program, and only such a one can be cut into parts",
        hint="the conversion's own message says where the capture failed"
        if source["format"] == TORCH.name
        else f"convert from the PyTorch model, not from {source['format']}",
    )


def _failed_route(conversion: Mapping[str, Any], route: Mapping[str, Any]) -> FailedRoute | None:
    names = route["name"].split("/")
    outcomes = [_outcome(each) for each in route["outcomes"]]
    if len(outcomes) != len(names) or any(name not in HOPS.names() for name in names):
        return None
    hops = tuple(HOPS.get(name) for name in names)
    found = first_failure(hops, outcomes)
    if found is None or found[1].symptom is Symptom.UNAVAILABLE:
        return None
    place, failure = found
    first = max((i + 1 for i, hop in enumerate(hops[:place]) if hop.target == EXPORTED), default=0)
    followed = hops[first : place + 1]
    return FailedRoute(
        target=conversion["format"],
        name=route["name"],
        route=Route(source=followed[0].source, target=followed[-1].target, hops=followed),
        failure=failure,
        replaced=conversion["ok"],
    )


def _outcome(data: Mapping[str, Any]) -> Outcome:
    return Outcome(
        subject=data["subject"],
        target=data["target"],
        stage=Stage(data["stage"]),
        symptom=Symptom(data["symptom"]),
        detail=data["detail"],
    )
