"""What a result folder holds: its artifacts, their source, and the inputs they were compared on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..artifact import Artifact
from ..errors import SourceError
from ..formats import EXPORTED, TORCH
from ..inspection import inspect
from ..report import stored_artifacts
from ..samples import Domain, ImageOptions, Samples, draw_samples
from ..sources import Source
from .folder import EXAMPLES
from .opening import SourceOptions
from .sampling import DEFAULT_SAMPLES, find_real, program_of, read_real, settle


def folder_artifacts(path: Path, manifest: Mapping[str, Any]) -> dict[str, Artifact]:
    """Return format → artifact; ``SourceError`` if a file is not what the manifest says."""
    artifacts = {}
    for stored in stored_artifacts(path, manifest):
        artifacts[stored.artifact.format.name] = stored.artifact
    for entry in manifest["artifacts"]:
        if entry["format"] not in artifacts:
            raise SourceError(
                f"{path / entry['path']} is missing or not what the manifest says",
                hint="convert again",
            )
    return artifacts


def folder_source(manifest: Mapping[str, Any], artifacts: Mapping[str, Artifact]) -> Source:
    """Return what the folder was made from: the capture of a live module, or the user's file."""
    origin = manifest["source"]
    if origin["format"] == TORCH.name:
        if EXPORTED.name not in artifacts:
            raise SourceError(
                "the model of this folder could not be captured, so nothing in the folder is its "
                "reference",
                hint="validate an artifact with --against the module",
            )
        return Source(text=origin["text"], artifact=artifacts[EXPORTED.name])
    artifact = Artifact.from_json(origin["artifact"])
    if not artifact.path.exists() or inspect(artifact.path).sha256 != artifact.sha256:
        raise SourceError(
            f"{artifact.path}, which this folder was made from, is gone or has changed",
            hint="convert again",
        )
    return Source(text=origin["text"], artifact=artifact)


def folder_samples(
    path: Path,
    manifest: Mapping[str, Any],
    source: Artifact,
    options: SourceOptions,
    seconds: float,
) -> Samples:
    """Return the samples of a folder: other ones if the user gives some, else its own again."""
    origin = manifest["source"]
    with np.load(path / EXAMPLES) as stored:
        examples = {name: stored[name] for name in stored.files}
    given = options.real or origin["inputs"]
    if given is not None:
        images = options.images
        if options.real is None and origin.get("images"):
            images = ImageOptions.from_json(origin["images"])
        return read_real(
            find_real(given, options.samples),
            source.signature.inputs,
            images=images,
            examples=examples,
            most=options.samples,
        )
    count, declared = options.samples or DEFAULT_SAMPLES, options.ranges(source.signature.inputs)
    if manifest.get("domain") and not declared:
        return draw_samples(examples, count, Domain.from_json(manifest["domain"]))
    return settle(
        draw_samples(examples, count),
        program_of(source, None, None),
        file=source,
        declared=declared,
        made_up=(),
        seconds=seconds,
    )
