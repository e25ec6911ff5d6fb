"""``report.sarif``: the findings at the user's own lines, for code scanning (SARIF 2.1.0)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from .findings import KINDS, Finding, findings

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif_report(document: Mapping[str, Any]) -> str:
    """Return the findings of a report as a SARIF log with one run."""
    found = findings(document)
    run = {
        "tool": {
            "driver": {
                "name": "driftbridge",
                "version": document["driftbridge"],
                "rules": [
                    {"id": kind, "shortDescription": {"text": text}} for kind, text in KINDS.items()
                ],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(document, each) for each in found],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, ensure_ascii=False) + "\n"


def _result(document: Mapping[str, Any], finding: Finding) -> dict[str, Any]:
    logical = [{"name": name, "kind": "module"} for name in finding.targets]
    if finding.layer:
        logical.append({"name": finding.layer, "kind": "member"})
    location: dict[str, Any] = {"logicalLocations": logical}
    physical = _physical(finding.source or _own_file(document))
    if physical:
        location["physicalLocation"] = physical
    return {
        "ruleId": finding.kind,
        "ruleIndex": list(KINDS).index(finding.kind),
        "level": finding.level,
        "message": {"text": _message(finding)},
        "locations": [location],
        "partialFingerprints": {"driftbridge/v1": _fingerprint(document, finding)},
    }


def _message(finding: Finding) -> str:
    details = (f"{name}: {text}" for name, text in finding.details)
    return "\n".join([f"{finding.title}. {finding.text}", *details])


def _own_file(document: Mapping[str, Any]) -> str:
    """The file of the model's code, for what has no line: scanners drop results without a file."""
    text = str(document["source"]["text"])
    file, _, _ = text.rpartition(":")
    return file if file.endswith(".py") else ""


def _physical(source: str) -> dict[str, Any] | None:
    """Return a place in a file, relative to where the command was run if it was given so."""
    file, _, line = source.rpartition(":")
    if not line.isdecimal() or int(line) < 1:
        file, line = source, ""
    if not file:
        return None
    windows = PureWindowsPath(file)
    if windows.drive:
        uri = windows.as_uri()
    elif file.startswith("/"):
        uri = PurePosixPath(file).as_uri()
    else:
        uri = quote(file.replace("\\", "/"))
    place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if line:
        place["region"] = {"startLine": int(line)}
    return place


def _fingerprint(document: Mapping[str, Any], finding: Finding) -> str:
    """The same for the same finding of a later run, whatever its figures."""
    parts = (document["source"]["text"], finding.kind, finding.layer or finding.title)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
