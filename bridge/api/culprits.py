"""``blame`` for drift: the layer that introduced it, and a folder that shows it alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..artifact import Artifact
from ..availability import version_of
from ..errors import UsageError
from ..layers import Layer
from ..samples import Samples
from ..validators.drift.emulation import float_layers
from ..validators.reproduction.calls import layer_call
from ..validators.reproduction.isolating import IsolatedLayer, Isolator
from ..validators.reproduction.scripts import GOLDEN, SCRIPT, script
from ..validators.running import Runner
from ..validators.runtime import RUNTIMES
from ..validators.validation import FLOATS
from ..worker import Limits, WorkPool
from .folder import MANIFEST, REPORT, ResultFolder, read_json, storage_errors
from .opening import SourceOptions
from .plug_ins import import_operators
from .stored import folder_artifacts, folder_samples, folder_source

_CONFIRMING_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class DriftBlame:
    """The layer that introduced a target's drift.

    Attributes:
        target: Name of the target.
        runtime: Where it runs.
        layer: The layer.
        call: Its operator with the options of the source, for people.
        cluster: Layers that the artifact computes in one with it.
        figures: The layer's row of the report for this target.
        operators: What the artifact computes it with.
        folder: The reproduction.
        confirmed: Whether its script, run here, shows the difference.
        said: What that printed.
    """

    target: str
    runtime: str
    layer: Layer
    call: str
    cluster: tuple[str, ...]
    figures: Mapping[str, Any]
    operators: tuple[str, ...]
    folder: Path
    confirmed: bool
    said: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain JSON data."""
        return {
            "target": self.target,
            "runtime": self.runtime,
            "layer": self.layer.id,
            "op": self.layer.op,
            "module": self.layer.module,
            "source": self.layer.source,
            "call": self.call,
            "cluster": list(self.cluster),
            "isolated": self.figures["isolated"],
            "accumulated": self.figures["accumulated"],
            "operators": list(self.operators),
            "reproduction": {
                "folder": str(self.folder),
                "confirmed": self.confirmed,
                "said": self.said,
            },
        }


def drifting_targets(folder: Path) -> dict[str, str]:
    """Return the targets of a folder in which a layer fails on its own, with that layer."""
    report = read_json(folder / REPORT)
    targets = (report["validation"] or {"targets": {}})["targets"]
    return {
        name: each["layers"]["introduced"]
        for name, each in targets.items()
        if each["layers"].get("introduced")
    }


def blame_drift(
    folder: Path,
    target: str,
    *,
    layer: str | None = None,
    out: Path,
    samples: Samples | None = None,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> DriftBlame:
    """Write a reproduction of the drift that one layer introduces.

    Args:
        folder: A result folder.
        target: One of its targets, such as ``tflite@litert-builtin``.
        layer: A layer of the model; the first one that fails on its own, if it is not given.
        out: Folder for the reproduction.
        samples: The inputs that show it; the folder's own, if they are not given.
        limits: Time and memory of each run.
        say: Called with lines of progress.

    Raises:
        UsageError: There is no such target or layer, or it cannot be run alone.
        SourceError: The folder's files are missing or have changed.
        StorageError: The reproduction cannot be written.
    """
    import_operators()
    manifest, report = read_json(folder / MANIFEST), read_json(folder / REPORT)
    chosen, figures = _chosen(folder, report, target, layer)
    artifacts = folder_artifacts(folder, manifest)
    source = folder_source(manifest, artifacts).artifact
    assert source is not None
    assert source.spine is not None  # a layer of it was run alone
    validation = report["validation"]
    judged = validation["targets"][target]
    artifact, runtime = artifacts[judged["format"]], judged["runtime"]
    with (
        WorkPool(limits=limits or Limits(), progress=say) as pool,
        ResultFolder.temporary() as scratch,
    ):
        if samples is None:
            seconds = pool.limits.seconds
            samples = folder_samples(folder, manifest, source, SourceOptions(), seconds)
        isolator = Isolator(
            runner=Runner(pool=pool, scratch=scratch.scratch, inputs=source.signature.inputs),
            source=source,
            truth=validation["reference"],
            artifact=artifact,
            runtime=runtime,
            samples=samples,
        )
        say(f"{target}: layer {chosen} alone in {runtime}")
        with storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            isolated = isolator.isolate(chosen, out)
            blame = DriftBlame(
                target=target,
                runtime=runtime,
                layer=source.spine.layers[source.spine.ids().index(chosen)],
                call=layer_call(source, chosen),
                cluster=tuple(figures.get("cluster") or (chosen,)),
                figures=figures,
                operators=isolated.piece.operators,
                folder=out,
                confirmed=False,
                said="",
            )
            computes_floats = chosen in float_layers(artifact, source)
            precision = FLOATS if computes_floats else artifact.precision
            limit = validation["thresholds"][precision]["fail_ratio"]
            _write(blame, isolated, artifact, limit)
    confirmed, said = _confirm(out)
    return replace(blame, confirmed=confirmed, said=said)


def _chosen(
    folder: Path, report: Mapping[str, Any], target: str, layer: str | None
) -> tuple[str, dict[str, Any]]:
    """The layer to blame, and the report's figures of it.

    Raises:
        UsageError: There is no such target or layer, or it was not run alone.
    """
    targets = (report["validation"] or {"targets": {}})["targets"]
    if target not in targets:
        raise UsageError(f"{folder} has no target {target!r}", hint=", ".join(targets))
    chosen = layer or targets[target]["layers"]["introduced"]
    if chosen is None:
        raise UsageError(f"no layer of {target} fails on its own", hint="name one with --layer")
    rows = {each["id"]: each["targets"].get(target) for each in report["layers"]}
    if rows.get(chosen) is None or rows[chosen]["isolated"] is None:
        raise UsageError(f"layer {chosen!r} was not run alone in {target}")
    return chosen, rows[chosen]


def _write(blame: DriftBlame, isolated: IsolatedLayer, artifact: Artifact, limit: float) -> None:
    """Write the golden tensors and the script beside the piece."""
    arrays: dict[str, Any] = {
        "expected": isolated.expected,
        **{f"input/{name}": array for name, array in isolated.inputs.items()},
        "noise": np.float64(isolated.noise),
    }
    np.savez(blame.folder / GOLDEN, **arrays)
    text = script(
        artifact.format,
        blame.runtime,
        comments=list(_comments(blame, artifact)),
        piece=isolated.piece.path.name,
        tensor=isolated.tensor,
        fed=isolated.fed,
        limit=limit,
        scale=isolated.scale,
        zero_point=isolated.zero_point,
    )
    (blame.folder / SCRIPT).write_text(text, encoding="utf-8")


def _comments(blame: DriftBlame, artifact: Artifact) -> list[str]:
    layer, runtime = blame.layer, RUNTIMES.get(blame.runtime)
    packages = " ".join(f"{name}=={version_of(name)}" for name in (*runtime.packages, "numpy"))
    where = f"module {layer.module or 'root'}" + (f", {layer.source}" if layer.source else "")
    together = [each for each in blame.cluster if each != layer.id]
    return [
        f"Layer {layer.id} ({where})",
        f"  in the source: {blame.call}",
        *([f"  computed in one with: {', '.join(together)}"] if together else []),
        f"  in {artifact.path.name}: {'; '.join(blame.operators) or layer.op}",
        f"  runs in {runtime.title}; it needs {packages}",
        "It is fed the values of the source model in float64, rounded to the file's type.",
        f"{SCRIPT} ends with 1 as long as the difference is more than rounding.",
    ]


def _confirm(folder: Path) -> tuple[bool, str]:
    """Run the script as the reader will, and say whether it shows the difference."""
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    try:
        done = subprocess.run(
            [sys.executable, SCRIPT],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_CONFIRMING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no result after {_CONFIRMING_SECONDS:g} s"
    said = (done.stdout or done.stderr).strip()
    return done.returncode == 1 and bool(done.stdout.strip()), said
