"""Quantized TFLite files of the models: what ai-edge-quantizer makes of their float ones.

Their layers are found as those of any file that this program did not make.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.api.foreign import foreign_artifact
from bridge.api.reuse import own_code
from bridge.artifact import Artifact
from bridge.errors import BridgeError
from bridge.layers import LayerMap
from bridge.samples import Samples, draw_samples
from bridge.validators.alignment import align
from bridge.validators.cutting.tflite import unpacked
from bridge.validators.running import Runner, artifact_inputs
from bridge.worker import Limits, WorkFailure, WorkPool

from . import effects
from .edits import INT8

INT16, DYNAMIC, WEIGHTS = "tflite-int16", "tflite-dynamic", "tflite-weights"
RECIPES = {  # precision of weights and activations → name of the recipe
    INT8: "static_wi8_ai8",
    INT16: "static_wi8_ai16",
    DYNAMIC: "dynamic_wi8_afp32",
    WEIGHTS: "weight_only_wi8_afp32",
}
CALIBRATED_ON = 64
SPOILT = 0.5  # relative RMS to the float file at any layer
COLLAPSED = (255, 2)  # of more different values no more than so few are left
_MOST_TEXT = 160


@dataclass(frozen=True, kw_only=True)
class QuantizedFiles:
    """The quantized files of one model.

    Attributes:
        artifacts: Name of the recipe's format → the file, with its layers.
        refused: Likewise → why there is none.
    """

    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def quantized_files(
    float_file: Artifact, source: Artifact, samples: Samples, folder: Path
) -> QuantizedFiles:
    """Quantize a file in every way; what the folder holds already is taken over.

    Args:
        float_file: The TFLite file.
        source: The captured program.
        samples: Inputs that the files are judged on: calibration is on others, drawn likewise.
        folder: Where the files lie.
    """
    key = sha256(
        "|".join(
            (
                float_file.sha256,
                source.sha256,
                version("ai-edge-quantizer"),
                own_code(),
                *(sha256(each.tobytes()).hexdigest() for each in samples.arrays.values()),
            )
        ).encode()
        + Path(__file__).read_bytes()
    ).hexdigest()
    stored = folder / "layers.json"
    known = json.loads(stored.read_text()) if stored.exists() else {"key": ""}
    if known["key"] != key:
        folder.mkdir(parents=True, exist_ok=True)
        known = {"key": key, **_made(float_file, source, samples, folder)}
        stored.write_text(json.dumps(known))
    return QuantizedFiles(
        artifacts={
            name: _with_layers(folder / f"{name}.tflite", source, LayerMap.from_json(places))
            for name, places in known["layers"].items()
        },
        refused=known["refused"],
    )


def _with_layers(path: Path, source: Artifact, places: LayerMap) -> Artifact:
    return replace(foreign_artifact(path, source.signature), layer_map=places)


def _made(
    float_file: Artifact, source: Artifact, samples: Samples, folder: Path
) -> dict[str, dict[str, Any]]:
    """Write the files; the layers of each, or why there is none."""
    given = list(calibration_samples(float_file, source, samples))
    layers: dict[str, Any] = {}
    refused: dict[str, str] = {}
    with WorkPool(limits=Limits(), progress=lambda text: None) as pool:
        for name, recipe in RECIPES.items():
            path = folder / f"{name}.tflite"
            try:
                path.write_bytes(_quantized(float_file.path, recipe, given))
                made = foreign_artifact(path, source.signature)
                places = _layers(made, source, samples, pool)
                made = replace(made, layer_map=places)
                spoilt = _spoilt(float_file, made, source, samples)
                if spoilt:
                    refused[name] = spoilt
                else:
                    layers[name] = places.to_json()
            except (WorkFailure, BridgeError) as error:
                refused[name] = f"it is made and does not run: {_brief(error)}"
            except (ValueError, RuntimeError, KeyError) as error:  # the quantizer's own
                refused[name] = _brief(error)
    return {"layers": layers, "refused": refused}


def _layers(artifact: Artifact, source: Artifact, samples: Samples, pool: WorkPool) -> LayerMap:
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(pool=pool, scratch=Path(scratch), inputs=source.signature.inputs)
        return align(artifact, source, runner=runner, samples=samples).layer_map


def _spoilt(float_file: Artifact, made: Artifact, source: Artifact, samples: Samples) -> str:
    """Say where a file is no good one; nothing if it is.

    The two files run side by side in the native runtime: nothing of the validator decides.
    """
    files = (float_file, made)
    layers = set.intersection(*map(_tensors, files))
    names = sorted(set.intersection(*map(_computed, files)) | layers)
    good, its = (
        effects.run(each, each.path.read_bytes(), source.signature.inputs, samples, names)
        for each in files
    )
    many, few = COLLAPSED
    for name in names:
        before, after = (len(np.unique(np.stack(each[name]))) for each in (good, its))
        if before > many and after <= few:
            return f"it is made and is no good file: of {before} values of {name}, {after} are left"
    off = {each: effects.effect({each: good[each]}, {each: its[each]}) for each in sorted(layers)}
    worst = max(off, key=lambda each: off[each])
    if off[worst] <= SPOILT:
        return ""
    how = f"off by {100 * off[worst]:.0f} % of RMS" if off[worst] < math.inf else "NaN or infinite"
    return f"it is made and is no good file: {worst} is {how}"


def _tensors(artifact: Artifact) -> set[str]:
    """Tensors that are layers."""
    return {str(place.tensor) for place in artifact.layer_map.mapped().values()}


def _computed(artifact: Artifact) -> set[str]:
    """All tensors that operators of the main graph make."""
    graph = unpacked(artifact.path.read_bytes()).subgraphs[0]
    return {graph.tensors[index].name.decode() for op in graph.operators for index in op.outputs}


def calibration_samples(
    float_file: Artifact, source: Artifact, samples: Samples
) -> Iterator[dict[str, NDArray[Any]]]:
    """The samples that would be drawn after those that the files are judged on."""
    more = draw_samples(samples.first(), samples.count + CALIBRATED_ON, samples.domain)
    stacked = artifact_inputs(source.signature.inputs, float_file.signature, more)
    for index in range(samples.count, more.count):
        yield {name: np.ascontiguousarray(each[index]) for name, each in stacked.items()}


def _quantized(path: Path, recipe: str, given: list[dict[str, NDArray[Any]]]) -> bytes:
    """Return the quantized file; what the quantizer prints is not shown."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from ai_edge_quantizer import quantizer
        from ai_edge_quantizer import recipe as recipes

        made = quantizer.Quantizer(str(path))
        chosen: Callable[[], Any] = getattr(recipes, recipe)
        made.load_quantization_recipe(chosen())
        calibrated = None
        if made.need_calibration:
            calibrated = made.calibrate({"serving_default": given}, num_threads=1)
        content = made.quantize(calibrated).quantized_model
    if content is None:
        raise ValueError("the quantizer returned no file")
    return bytes(content)


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT].rsplit(" ", 1)[0] + " …"
