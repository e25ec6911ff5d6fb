"""``blame`` for drift: the layer that introduced it, and a folder that shows it alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import Artifact, TensorSpec
from ..availability import version_of
from ..errors import SourceError, UsageError
from ..formats import EXPORTED
from ..layers import Layer, Spine
from ..program import operator_name
from ..samples import Samples
from ..validators.drift.forms import in_artifact_form
from ..validators.drift.noise import BASELINES, rms_errors
from ..validators.drift.plan import separable
from ..validators.reference import reference_runtime
from ..validators.reproduction.pieces import PieceFile, write_piece
from ..validators.reproduction.scripts import GOLDEN, SCRIPT, script
from ..validators.running import Run, Runner, artifact_inputs
from ..validators.runtime import RUNTIMES, fed_name
from ..worker import Limits, WorkPool
from .folder import MANIFEST, REPORT, ResultFolder, read_json, storage_errors
from .opening import SourceOptions
from .plug_ins import import_operators
from .stored import folder_artifacts, folder_samples, folder_source

if TYPE_CHECKING:
    import torch

_SAMPLES = 4
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
    targets = (report["validation"] or {"targets": {}})["targets"]
    if target not in targets:
        raise UsageError(f"{folder} has no target {target!r}", hint=", ".join(targets))
    chosen = layer or targets[target]["layers"]["introduced"]
    rows = {each["id"]: each["targets"].get(target) for each in report["layers"]}
    if chosen is None:
        raise UsageError(f"no layer of {target} fails on its own", hint="name one with --layer")
    if rows.get(chosen) is None or rows[chosen]["isolated"] is None:
        raise UsageError(f"layer {chosen!r} was not run alone in {target}")
    artifacts = folder_artifacts(folder, manifest)
    source = folder_source(manifest, artifacts)
    precision = artifacts[targets[target]["format"]].precision
    if precision.startswith("int8"):
        raise UsageError(f"{target} is quantized ({precision}): its pieces cannot be written yet")
    if source.artifact is None or source.artifact.format != EXPORTED:
        raise SourceError(f"{folder} has no captured program, so layers have no reference alone")
    with (
        WorkPool(limits=limits or Limits(), progress=say) as pool,
        ResultFolder.temporary() as scratch,
    ):
        if samples is None:
            samples = folder_samples(
                folder, manifest, source.artifact, SourceOptions(), pool.limits.seconds
            )
        cutter = _Cutter(
            runner=Runner(
                pool=pool, scratch=scratch.scratch, inputs=source.artifact.signature.inputs
            ),
            source=source.artifact,
            artifact=artifacts[targets[target]["format"]],
            runtime=targets[target]["runtime"],
            samples=samples.head(_SAMPLES),
        )
        say(f"{target}: layer {chosen} alone in {cutter.runtime}")
        with storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            limit = report["validation"]["thresholds"][cutter.artifact.precision]["fail_ratio"]
            blame = cutter.write(chosen, rows[chosen], target, limit, out)
    confirmed, said = _confirm(out)
    return replace(blame, confirmed=confirmed, said=said)


@dataclass(frozen=True, kw_only=True)
class _Cutter:
    """Cuts one layer out of an artifact, with the reference's values around it."""

    runner: Runner
    source: Artifact
    artifact: Artifact
    runtime: str
    samples: Samples

    def write(
        self, layer: str, row: Mapping[str, Any], target: str, limit: float, out: Path
    ) -> DriftBlame:
        import torch

        spine = self.source.spine
        assert spine is not None
        program = torch.export.load(self.source.path)
        places = self.artifact.layer_map.mapped()
        tensor = str(places[layer].tensor)
        ids, apart = spine.ids(), separable(program)
        before = [
            each
            for each in ids[: ids.index(layer)]
            if each in places and each in apart and places[each].tensor != tensor
        ]
        shown = self._shown([*before, layer])
        truth = self.runner.run(
            RUNTIMES.get(reference_runtime(self.source.format))(),
            self.source,
            self.samples,
            [*before, layer],
        )
        specs = {
            each: _spec(str(places[each].tensor), shown.arrays.taps[str(places[each].tensor)])
            for each in (*before, layer)
        }
        # several layers may share a tensor
        cuts = {specs[each].name: specs[each] for each in before}
        piece = write_piece(self.artifact, specs[layer], list(cuts.values()), out)
        arrays = self._golden(piece, layer, before, shown, truth)
        noise = self._noise(layer, before, truth)
        np.savez(out / GOLDEN, **arrays, noise=np.float64(noise))
        found = spine.layers[ids.index(layer)]
        blame = DriftBlame(
            target=target,
            runtime=self.runtime,
            layer=found,
            call=_call(program, layer),
            cluster=tuple(row.get("cluster") or (layer,)),
            figures=row,
            operators=piece.operators,
            folder=out,
            confirmed=False,
            said="",
        )
        fed = [name for name in cuts if fed_name(name) in piece.inputs]
        text = script(
            self.artifact.format,
            self.runtime,
            comments=list(self._comments(blame, spine)),
            piece=piece.path.name,
            tensor=tensor,
            fed=fed,
            limit=limit,
        )
        (out / SCRIPT).write_text(text, encoding="utf-8")
        return blame

    def _shown(self, layers: list[str]) -> Run:
        places = self.artifact.layer_map.mapped()
        taps = list(dict.fromkeys(str(places[each].tensor) for each in layers))
        return self.runner.run(RUNTIMES.get(self.runtime)(), self.artifact, self.samples, taps)

    def _golden(
        self, piece: PieceFile, layer: str, before: list[str], shown: Run, truth: Run
    ) -> dict[str, Any]:
        """What the piece is fed, and what it should give, both in the artifact's form."""
        places = self.artifact.layer_map.mapped()
        own = artifact_inputs(self.runner.inputs, self.artifact.signature, self.samples)
        values = dict(own)
        for each in before:
            tensor = str(places[each].tensor)
            like = shown.arrays.taps[tensor]
            shaped = in_artifact_form(places[each], truth.tap(each), like.shape)
            if shaped is not None:
                values.setdefault(fed_name(tensor), shaped.astype(like.dtype))
        missing = [name for name in piece.inputs if name not in values]
        # a file without a signature names its inputs by its tensors, in the signature's order
        values |= dict(zip(missing, own.values(), strict=False))
        like = shown.arrays.taps[str(places[layer].tensor)]
        expected = in_artifact_form(places[layer], truth.tap(layer), like.shape)
        return {"expected": expected} | {f"input/{name}": values[name] for name in piece.inputs}

    def _noise(self, layer: str, before: list[str], truth: Run) -> float:
        """RMS error of the worst legitimate implementation of the same piece."""
        spine = self.source.spine
        assert spine is not None
        types = {each.id: each.dtype for each in spine.layers}
        feeds = {each: truth.tap(each).astype(types[each]) for each in before}
        worst = 0.0
        for baseline in BASELINES[self.artifact.precision]:
            runtime = RUNTIMES.get(baseline.runtime)()
            run = self.runner.run(runtime, self.source, self.samples, [layer], feeds)
            errors = rms_errors(truth.tap(layer), run.tap(layer))
            worst = max(worst, float(np.sqrt(np.mean(np.square(errors)))))
        return worst

    def _comments(self, blame: DriftBlame, spine: Spine) -> list[str]:
        layer, runtime = blame.layer, RUNTIMES.get(self.runtime)
        packages = " ".join(f"{name}=={version_of(name)}" for name in (*runtime.packages, "numpy"))
        where = f"module {layer.module or 'root'}" + (f", {layer.source}" if layer.source else "")
        together = [each for each in blame.cluster if each != layer.id]
        return [
            f"Layer {layer.id} ({where})",
            f"  in the source: {blame.call}",
            *([f"  computed in one with: {', '.join(together)}"] if together else []),
            f"  in {self.artifact.path.name}: {'; '.join(blame.operators) or layer.op}",
            f"  runs in {runtime.title}; it needs {packages}",
            "It is fed the values of the source model in float64, rounded to the file's type.",
            f"{SCRIPT} ends with 1 as long as the difference is more than rounding.",
        ]


def _spec(name: str, array: Any) -> TensorSpec:
    return TensorSpec(name=name, shape=array.shape[1:], dtype=array.dtype.name)


def _call(program: torch.export.ExportedProgram, layer: str) -> str:
    """An operator with what it reads by name and its options, as in Python."""
    import torch

    node = next(each for each in program.graph.nodes if each.name == layer)
    schema = getattr(node.target, "_schema", None)
    names = [each.name for each in schema.arguments] if schema else []
    shown = []
    for index, value in enumerate(node.args):
        text = value.name if isinstance(value, torch.fx.Node) else str(value)
        prefix = f"{names[index]}=" if index < len(names) else ""
        shown.append(text if isinstance(value, torch.fx.Node) else f"{prefix}{text}")
    shown += [f"{name}={value}" for name, value in node.kwargs.items()]
    return f"{operator_name(node.target)}({', '.join(shown)})"


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
