"""``make alignment``: layers found in files that this program did not make, and how many wrongly.

Files of litert-torch and onnx2tf come from benchmarks/peers.py; files of PyTorch's own ONNX
exporters are made here, and simplified where onnxsim is installed. The files of this program's own
converters are aligned with their layer maps taken away.

Every pair is audited on an input that the alignment has not seen: the layer in float64 against the
tensor that was found for it, by the map alone. A pair of more than 1 % relative error is wrong,
unless the file itself is off there: unless it agrees as soon as the layer is computed from what the
file has for its inputs.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zoo
from direct import in_order
from peers import CACHE

import bridge
from bridge.api.foreign import foreign_artifact
from bridge.api.opening import SourceOptions, open_source
from bridge.artifact import Artifact
from bridge.converters._capture import capture
from bridge.errors import InputError
from bridge.layers import Absence, LayerMap
from bridge.samples import Samples
from bridge.validators.alignment import Alignment, align, compute_layers, measured_again
from bridge.validators.metrics import measure
from bridge.validators.running import Run, Runner, to_source_axes
from bridge.validators.runtime import RUNTIMES
from bridge.worker import Limits, WorkPool

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("litert-torch", "onnx2tf")
OWN = ("direct", "onnx")
EXPORTERS = ("dynamo", "torchscript")
WRONG = 1e-2  # relative RMS error of a pair on an input that the alignment has not seen
STALE = 0.1  # of an output: the file is of other weights
USUAL = (
    "bert,distilbert,gpt2,llama,t5_encoder,hf_vit,clip_vision,whisper_encoder,audio_net,einsums,"
    "gru_classifier,detector_topk,squeezenet1_1,mobilenet_v3_small,resnet18,mobilenet_v2,"
    "shufflenet_v2_x1_0,efficientnet_b0,regnet_y_400mf,mnasnet1_0,mobilenet_v3_large,densenet121,"
    "googlenet,segformer,swin_t,convnext_tiny,vit_b_16"
)
HEADER = (
    "| model | file | layers that compute | with a tensor | explained | unexplained | found, % | "
    "wrong | seconds |\n|---|---|---|---|---|---|---|---|---|"
)
INTRODUCTION = (
    "# Alignment of foreign files\n\n"
    "`make alignment` makes this page. Each file is a model of benchmarks/zoo in a form that this "
    "program did not make (or whose layer map was taken away: `direct` and `onnx`), and "
    "`driftbridge validate FILE --against` its source looks for the layers in it by structure and "
    "values. Counted are the layers that compute (convolutions, products, norms, activations, "
    "pooling, arithmetic), not those that only move data. *Explained* ones have no tensor for a "
    "stated reason, such as being fused. *Wrong* pairs are found by an audit on an input that the "
    "alignment has not seen.\n"
)


@dataclass(frozen=True)
class Row:
    """What became of one file."""

    model: str
    file: str
    compute: int
    found: int
    unexplained: int
    wrong: tuple[str, ...]
    pairs: int
    seconds: float

    def __str__(self) -> str:
        explained = self.compute - self.found - self.unexplained
        share = 100 * (1 - self.unexplained / max(1, self.compute))
        return (
            f"| {self.model} | {self.file} | {self.compute} | {self.found} | {explained} | "
            f"{self.unexplained} | {share:.1f} | {len(self.wrong)} of {self.pairs} | "
            f"{self.seconds:.1f} |"
        )


class Bench:
    """One model, its source in a file, and what runs its artifacts.

    Args:
        model: The model.
        folder: For files.
        pool: Runs the artifacts.
    """

    def __init__(self, model: zoo.Model, folder: Path, pool: WorkPool) -> None:
        self.model, self.folder, self.pool = model, folder, pool
        self.module, self.given = model.load(), model.inputs("random")
        self.program = capture(self.module, self.given.args, self.given.kwargs)
        self.source = folder / "model.pt2"
        torch.export.save(self.program, self.source)
        self.opened = open_source(str(self.source), None, SourceOptions(), 600)
        assert self.opened.source.artifact is not None
        self.origin: Artifact = self.opened.source.artifact
        self.runner = Runner(
            pool=pool, scratch=folder / "scratch", inputs=self.origin.signature.inputs
        )

    def unseen(self) -> Samples:
        """An input that the alignment does not see."""
        given = self.model.inputs("structured")
        tensors = in_order(self.program, given.args, given.kwargs)
        arrays = {
            spec.name: tensor.numpy()[None]
            for spec, tensor in zip(self.origin.signature.inputs, tensors, strict=True)
        }
        return replace(self.opened.samples, arrays=arrays, labels=None)

    def row(self, name: str, artifact: Artifact, verbose: bool) -> Row:
        """Align one file and audit what was found."""
        started = time.perf_counter()
        alignment = align(artifact, self.origin, runner=self.runner, samples=self.opened.samples)
        seconds = time.perf_counter() - started
        assert self.origin.spine is not None
        compute = compute_layers(self.origin.spine)
        places = [alignment.layer_map.place(each) for each in compute]
        wrong = self.audit(artifact, alignment)
        if verbose:
            self.show(alignment, compute, wrong)
        return Row(
            self.model.name,
            name,
            len(compute),
            sum(each.tensor is not None for each in places),
            sum(each.absence is Absence.UNEXPLAINED for each in places),
            tuple(wrong),
            len(alignment.layer_map.mapped()),
            seconds,
        )

    def audit(self, artifact: Artifact, alignment: Alignment) -> dict[str, float]:
        """Wrong pairs with their errors on an input that the alignment has not seen."""
        samples, mapped = self.unseen(), alignment.layer_map.mapped()
        taps = list(dict.fromkeys(place.tensor for place in mapped.values() if place.tensor))
        truth = self._run("eager-float64", self.origin, samples, list(mapped))
        name = "litert-xnnpack" if artifact.format.name == "tflite" else "onnxruntime"
        actual = self._run(name, artifact, samples, taps)
        for index, spec in enumerate(self.origin.signature.outputs):
            pair = truth.output(spec), actual.output(artifact.signature.outputs[index])
            if pair[0].dtype.kind == "f" and measure(*pair).relative_rms > STALE:
                raise ValueError(f"output {spec.name} differs: the file is of other weights")
        errors = {}
        for layer, place in mapped.items():
            stored = to_source_axes(actual.arrays.taps[str(place.tensor)], place.permutation)
            expected = truth.arrays.taps[layer]
            if place.reshaped:
                stored = stored.reshape(expected.shape)
            same = stored.shape == expected.shape
            errors[layer] = measure(expected, stored).relative_rms if same else math.inf
        wrong = {layer: error for layer, error in errors.items() if not error <= WRONG}
        if wrong:  # the file itself may be off, from another layer on
            own = measured_again(
                artifact, self.origin, alignment, runner=self.runner, samples=samples
            )
            wrong = {layer: error for layer, error in wrong.items() if not own[layer] <= WRONG}
        return wrong

    def _run(self, runtime: str, artifact: Artifact, samples: Samples, taps: list[str]) -> Run:
        return self.runner.run(RUNTIMES.get(runtime)(), artifact, samples, taps)

    def show(self, alignment: Alignment, compute: list[str], wrong: Mapping[str, float]) -> None:
        """Print the layers that are worth a look."""
        assert self.origin.spine is not None
        print(
            "  ",
            dict(Counter(map(str, (each.evidence for each in alignment.pairs.values())))),
            file=sys.stderr,
        )
        for layer in self.origin.spine.layers:
            place = alignment.layer_map.place(layer.id)
            pair = alignment.pairs.get(layer.id)
            evidence = pair.evidence if pair else None
            missing = place.absence is Absence.UNEXPLAINED and layer.id in compute
            if missing or layer.id in wrong or evidence not in (None, "values"):
                print("  ", layer.id, layer.op, layer.shape, place, evidence, wrong.get(layer.id),
                      file=sys.stderr)  # fmt: skip

    def files(self, kinds: list[str], peers: Path) -> Iterator[tuple[str, Artifact]]:
        """The model's files of some kinds, as artifacts without a layer map."""
        signature = self.origin.signature
        for kind in kinds:
            if kind in PEERS:
                path = peers / kind / f"{self.model.name}.tflite"
                if path.exists() and path.stat().st_size:
                    yield kind, foreign_artifact(path, signature)
            elif kind in OWN:
                artifact = self._converted("tflite" if kind == "direct" else kind)
                if artifact is not None:
                    yield kind, replace(artifact, layer_map=LayerMap())
            else:
                path = self.folder / f"{kind}.onnx"
                if not self._exported(path, dynamo=kind == "dynamo"):
                    continue
                try:
                    yield f"torch.onnx, {kind}", foreign_artifact(path, signature)
                    if importlib.util.find_spec("onnxsim"):
                        yield f"onnxsim of {kind}", foreign_artifact(_simplified(path), signature)
                except InputError as error:  # it is not the same model: an argument is an input
                    print(f"   {self.model.name}: {kind}: {error}", file=sys.stderr)

    def _converted(self, target: str) -> Artifact | None:
        options = bridge.api.ConvertOptions()
        result = bridge.convert(
            str(self.source), to=[target], out=self.folder / target, validate=False, options=options
        )
        return result.artifacts.get(target)

    def _exported(self, path: Path, *, dynamo: bool) -> bool:
        given = (self.given.args, dict(self.given.kwargs))
        model: Any = self.program if dynamo else self.module
        try:
            torch.onnx.export(
                model, given[0], str(path), kwargs=given[1] or None, dynamo=dynamo, verbose=False
            )
        except Exception as error:  # noqa: BLE001 - what the exporter refuses is not ours
            print(f"   {self.model.name}: not exported: {str(error)[:200]!r}", file=sys.stderr)
            return False
        return True


def _simplified(path: Path) -> Path:
    import onnx
    import onnxsim  # type: ignore[import-not-found,unused-ignore]

    simplified, _ = onnxsim.simplify(onnx.load(path))
    target = path.with_name(f"{path.stem}-sim.onnx")
    onnx.save(simplified, target)
    return target


def main() -> None:
    """Align the files that were asked for, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default=USUAL, help="names, separated by commas")
    parser.add_argument("--files", default=",".join((*PEERS, *OWN, *EXPORTERS)))
    parser.add_argument("--peers", type=Path, default=CACHE, help="what peers.py wrote to")
    parser.add_argument("--verbose", action="store_true", help="show what was not found, or wrong")
    parser.add_argument("--write", type=Path, help="file of the published table")
    asked = parser.parse_args()
    rows: list[Row] = []
    print(HEADER, flush=True)
    for model in zoo.select(asked.models.split(",")):
        with tempfile.TemporaryDirectory() as folder, _pool() as pool:
            bench = Bench(model, Path(folder), pool)
            for name, artifact in bench.files(asked.files.split(","), asked.peers):
                try:
                    rows.append(bench.row(name, artifact, asked.verbose))
                    print(rows[-1], flush=True)
                    if asked.write:
                        page = [INTRODUCTION, HEADER, *map(str, rows), ""]
                        asked.write.write_text("\n".join(page))
                except Exception:  # noqa: BLE001 - the other files are measured all the same
                    print(f"   {model.name} {name}:", file=sys.stderr)
                    traceback.print_exc(limit=-3)


def _pool() -> WorkPool:
    return WorkPool(limits=Limits(), progress=lambda text: None)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.random.seed(0)
    main()
