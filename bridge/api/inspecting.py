"""``look``: the graph of a TFLite file, as it runs here, with the source line of each operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SourceError, UsageError
from ..formats import TFLITE
from ..inspection import Inspection, inspect
from ..inspection.facts import DamagedError
from ..inspection.tflite_graph import graph_operators
from ..layers import LayerMap, Spine
from ..report import MANIFEST_VERSION
from ..validators.compatibility.origins import Origins, PlacedOperator, origins_of
from ..validators.compatibility.xnnpack import Delegation, delegation
from ..worker import Limits, WorkPool
from .folder import MANIFEST, read_json

DEFAULT_LIMITS = Limits(seconds=120.0)


@dataclass(frozen=True, kw_only=True)
class Look:
    """The graph of a TFLite file.

    Attributes:
        operators: Its operators, those of the bodies of loops and branches too.
        delegation: What XNNPACK takes.
        origin: The document that the layers are from; ``None`` if there is none beside the file.
    """

    operators: tuple[PlacedOperator, ...]
    delegation: Delegation
    origin: Path | None = None

    @property
    def transposes(self) -> tuple[PlacedOperator, ...]:
        """The operators that only move data."""
        return tuple(each for each in self.operators if each.name == "TRANSPOSE")

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            "layers_from": str(self.origin) if self.origin else None,
            "operators": [each.to_json() for each in self.operators],
            "transposes": [each.to_json() for each in self.transposes],
            "xnnpack": self.delegation.to_json(),
        }


def look(
    file: Inspection | str | Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    say: Callable[[str], None] = lambda text: None,
) -> Look:
    """Return the graph of a TFLite file, what XNNPACK takes of it here, and from which lines it is.

    The file is loaded by LiteRT, in a process of its own, and not run. The lines are those that the
    manifest beside it has, if it lies in a result folder.

    Args:
        file: What ``inspect`` found, or the file itself.
        limits: Time and memory of loading the file.
        say: Called with lines of progress.

    Raises:
        UsageError: It is not a TFLite file.
        SourceError: It is damaged.
    """
    inspection = file if isinstance(file, Inspection) else inspect(file)
    if inspection.format != TFLITE:
        raise UsageError(f"{inspection.path} is a file of format {inspection.format}, not tflite")
    try:
        operators = graph_operators(inspection.path)
    except DamagedError as error:
        raise SourceError(f"{inspection.path} is a truncated or damaged file ({error})") from error
    origins, document = _origins(inspection)
    placed = origins.place(operators)
    say(f"loading {inspection.path} with XNNPACK")
    with WorkPool(limits=limits) as pool:
        found = delegation(inspection.path, [each for each in placed if each.graph == 0], pool)
    return Look(operators=placed, delegation=found, origin=document)


def _origins(inspection: Inspection) -> tuple[Origins, Path | None]:
    """Read the manifest beside a file, if it is about this very file."""
    document = inspection.path.parent / MANIFEST
    artifacts = _artifacts(document)
    entry = next((each for each in artifacts if each["sha256"] == inspection.sha256), None)
    if entry is None:
        return Origins(), None
    spines = [Spine.from_json(each["spine"]) for each in artifacts if each["spine"]]
    found = origins_of(LayerMap.from_json(entry["layer_map"]), spines, entry["producer"])
    return found, document if found.tensors or found.paths else None


def _artifacts(document: Path) -> list[dict[str, Any]]:
    """What a manifest lists; nothing if it is not one that we can read."""
    if not document.is_file():
        return []
    try:
        manifest = read_json(document)
    except SourceError:  # what lies beside a model file and has this name need not be ours
        return []
    ours = (
        manifest.get("schema") == "driftbridge/manifest" and manifest["version"] == MANIFEST_VERSION
    )
    return manifest["artifacts"] if ours else []
