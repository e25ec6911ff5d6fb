"""``manifest.json``: what lies in a result folder, what it was made from, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..artifact import Artifact, digest
from ..availability import version_of
from ..formats import FORMATS
from ..outcome import Outcome

MANIFEST_VERSION = 1

_DISTRIBUTIONS = (
    "numpy",
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxsim",
    "flatbuffers",
    "ai-edge-litert",
)


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """An artifact of the folder.

    Attributes:
        artifact: The artifact; its path is that in the folder.
        key: Key of its content; ``None`` if it cannot be reused.
        seconds: Time of all the hops that made it.
    """

    artifact: Artifact
    key: str | None
    seconds: float


def manifest_document(
    *,
    source: Mapping[str, Any],
    options: Mapping[str, Any],
    entries: Sequence[ManifestEntry],
    outcomes: Iterable[Outcome],
    stale: Sequence[str],
    domain: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the manifest.

    Args:
        source: What the user gave: ``text``, ``format``, ``key`` and, if any, ``weights``.
        options: The options of the conversion.
        entries: The artifacts.
        outcomes: Of every hop that was entered or would have been.
        stale: Files of an earlier run that this run could not make again.
        domain: What the inputs were drawn from; ``None`` for real ones.
    """
    return {
        "schema": "driftbridge/manifest",
        "version": MANIFEST_VERSION,
        "driftbridge": __version__,
        "source": dict(source),
        "options": dict(options),
        "versions": versions(),
        "artifacts": [
            {
                **entry.artifact.to_json(),
                "path": entry.artifact.path.name,
                "key": entry.key,
                "seconds": entry.seconds,
            }
            for entry in entries
        ],
        "outcomes": [outcome_json(outcome) for outcome in outcomes],
        "stale": list(stale),
        "domain": None if domain is None else dict(domain),
    }


def stored_artifacts(folder: Path, manifest: Mapping[str, Any]) -> list[ManifestEntry]:
    """Return the artifacts of a folder whose files are still what its manifest says.

    One whose format is unknown, because it is that of a plug-in that is gone, is left out.
    """
    if manifest.get("version") != MANIFEST_VERSION:
        return []
    entries = []
    for entry in manifest["artifacts"]:
        path = folder / entry["path"]
        known = entry["format"] in FORMATS
        if known and path.exists() and digest(path) == entry["sha256"]:
            artifact = Artifact.from_json({**entry, "path": str(path)})
            entries.append(
                ManifestEntry(artifact=artifact, key=entry["key"], seconds=entry["seconds"])
            )
    return entries


def versions() -> dict[str, str]:
    """Return the versions of the installed libraries that conversions use."""
    found = {name: version_of(name) for name in _DISTRIBUTIONS}
    return {name: version for name, version in found.items() if version is not None}


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain JSON data."""
    return {
        "subject": outcome.subject,
        "target": outcome.target,
        "stage": outcome.stage.value,
        "symptom": outcome.symptom.value,
        "detail": outcome.detail,
        "seconds": outcome.seconds,
        "reused": outcome.reused,
    }
