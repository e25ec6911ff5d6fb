"""The bundle: a folder with the model, its golden vectors, its Kotlin and what to do with them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..artifact import Artifact, digest
from ..errors import UsageError
from ..validators.verdict import THRESHOLDS
from .attach import attach_metadata
from .contract import BundleTensor, Contract
from .golden import INDEX, SCHEMA, Golden, write_golden
from .kotlin import LITERT_1, LITERT_2, Names, kotlin_sources, not_compiled, render
from .metadata import LABELS_FILE, describe, labels_file, model_metadata
from .tolerance import FLOOR_UNITS, SAFETY
from .verdict import compared_on, gpu_refusal, verdict_of, where_it_runs

MODEL, README, GRADLE, GOLDEN = "model.tflite", "README.md", "dependencies.gradle.kts", "golden"

# as of November 2026, on Google's Maven repository
VERSIONS = {"litert2": "2.3.0", "litert1": "1.4.2", "junit": "1.3.0", "runner": "1.7.0"}
_MIN_SDK = {LITERT_1: 21, LITERT_2: 24}

_REFERENCES = {
    "eager-float64": "float64",
    "onnxruntime": "ONNX Runtime",
    "torchscript": "TorchScript",
}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What goes into a bundle.

    Attributes:
        artifact: The TFLite file.
        contract: Its inputs and outputs.
        golden: Its golden vectors.
        names: Names of the Kotlin classes.
        package: Their package.
        source: What the model was made from: a file and a callable, without its folders.
        title: Name of the model.
        report: The report of the folder.
        compatibility: What the report, or a look at the file, says of where it runs.
    """

    artifact: Artifact
    contract: Contract
    golden: Golden
    names: Names
    package: str
    source: str
    title: str
    report: Mapping[str, Any]
    compatibility: Mapping[str, Any]


def write_model(bundle: Bundle, path: Path) -> None:
    """Write the model with its metadata and labels."""
    metadata = model_metadata(
        bundle.contract,
        name=bundle.title,
        description=f"Made from {bundle.source} by driftbridge {__version__}.",
        version=bundle.artifact.sha256[:16],
    )
    labels = _labels(bundle.contract)
    files = {LABELS_FILE: labels_file(labels)} if labels else {}
    attach_metadata(bundle.artifact.path, metadata, files, path)


def write_bundle(bundle: Bundle, model: Path, destination: Path) -> list[str]:
    """Write a bundle aside and put it in place; an earlier bundle is replaced as a whole.

    Args:
        bundle: What goes into it.
        model: The model with its metadata; it is moved.
        destination: The folder.

    Returns:
        Paths of its files, relative to it.

    Raises:
        UsageError: The folder holds something else.
        StorageError: It cannot be written.
    """
    check_destination(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=destination.parent))
    try:
        made = aside / "bundle"
        made.mkdir()
        shutil.move(model, made / MODEL)
        _write(bundle, made)
        if destination.exists():
            os.replace(destination, aside / "old")
        os.replace(made, destination)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return sorted(
        each.relative_to(destination).as_posix()
        for each in destination.rglob("*")
        if each.is_file()
    )


def check_destination(destination: Path) -> None:
    """Raise ``UsageError`` if a folder holds something other than a bundle."""
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return
    try:
        index = json.loads((destination / GOLDEN / INDEX).read_text(encoding="utf-8"))
        ours = index["schema"] == SCHEMA
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise UsageError(
            f"{destination} is there already and is no bundle", hint="choose another with --out"
        )


def _write(bundle: Bundle, folder: Path) -> None:
    model = {"file": MODEL, "sha256": digest(folder / MODEL)}
    write_golden(bundle.golden, folder / GOLDEN, model)
    labels = _labels(bundle.contract)
    if labels:
        (folder / LABELS_FILE).write_bytes(labels_file(labels))
    refused = gpu_refusal(bundle.compatibility)
    sources = kotlin_sources(bundle.contract, bundle.names, bundle.package, gpu_refusal=refused)
    compiled = not not_compiled(bundle.contract)
    gradle = render(f"{GRADLE}.j2", {"versions": VERSIONS, "compiled": compiled})
    readme = render(f"{README}.j2", _readme(bundle, model["sha256"], gradle, compiled))
    for path, text in {**sources, GRADLE: gradle, README: readme}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _readme(bundle: Bundle, sha256: str, gradle: str, compiled: bool) -> dict[str, Any]:
    title, figures = verdict_of(bundle.report, bundle.artifact)
    flavour = LITERT_2 if compiled else LITERT_1
    contract, golden = bundle.contract, bundle.golden
    return {
        "title": bundle.title,
        "version": __version__,
        "source": bundle.source,
        "reference_text": _REFERENCES.get(golden.reference, golden.reference),
        "verdict": {"title": title, "text": figures},
        "flavour": flavour,
        "min_sdk": _MIN_SDK[flavour],
        "gradle": gradle.rstrip(),
        "compiled": compiled,
        "not_compiled": not_compiled(contract),
        "names": bundle.names,
        "versions": VERSIONS,
        "inputs": contract.inputs,
        "rows": [
            *(_row("input", bundle.names.input, each) for each in contract.inputs),
            *(_row("output", bundle.names.output, each) for each in contract.outputs),
        ],
        "labels": bool(_labels(contract)),
        "samples": golden.count,
        "tolerances": [{"name": each.spec.name, **each.tolerance} for each in golden.outputs],
        "safety": SAFETY,
        "floor_units": FLOOR_UNITS,
        "fail_db": THRESHOLDS["float16"].fail_db,
        "measured_on": compared_on(bundle.report) or golden.origin,
        "where": where_it_runs(bundle.compatibility),
        "hashes": f"SHA-256 of model.tflite: `{sha256}` (without metadata: "
        f"`{bundle.artifact.sha256}`).",
    }


def _row(side: str, holder: str, tensor: BundleTensor) -> dict[str, Any]:
    known = describe(tensor).partition("; ")[2]
    return {
        "side": side,
        "name": tensor.spec.name,
        "kotlin": f"{holder}.{tensor.identifier}",
        "dtype": tensor.spec.dtype,
        "shape": "×".join(map(str, tensor.shape)) or "one value",
        "text": f"{tensor.spec.layout + '; ' if tensor.spec.layout else ''}{known}",
    }


def _labels(contract: Contract) -> Sequence[str]:
    """The labels of the output that has some."""
    return next((each.labels for each in contract.outputs if each.labels), ())
