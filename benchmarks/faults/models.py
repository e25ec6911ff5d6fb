"""The models that faults are injected into: small, alive, and converted once to every format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import zoo
from zoo.signals import image
from zoo.torchvision_operators import prepare_torchvision

import bridge
from bridge.artifact import Artifact
from bridge.report import stored_artifacts
from bridge.samples import Samples, draw_samples

from . import nets
from .quantizing import RECIPES, quantized_files

FORMATS = ("onnx", "tflite", "torchscript")
EXPORTED = "exported"
FLOAT16 = "tflite-float16"
SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A converted model.

    Attributes:
        model: Its name.
        source: The capture, which is the reference.
        artifacts: Format → the good artifact.
        samples: The inputs that it is judged on.
        inner_samples: Those that quantized files are judged on: without the edges of what an input
            can be, which no range that is an average over a calibration's samples holds.
        refused: Format → why there is no artifact of it.
    """

    model: str
    source: Artifact
    artifacts: Mapping[str, Artifact]
    samples: Samples
    inner_samples: Samples | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

    def samples_of(self, format_: str) -> Samples:
        """Return the inputs that the artifact of a format is judged on."""
        inner = self.inner_samples if format_ in RECIPES else None
        return inner or self.samples


def _images(size: int, kind: zoo.Kind) -> zoo.Inputs:
    return zoo.Inputs(args=(image(kind, 1, 3, size, size),))


def _steps(kind: zoo.Kind) -> zoo.Inputs:
    return zoo.Inputs(args=(image(kind, 1, 1, 16, 8)[:, 0],))


def _built(build: Callable[[], object]) -> Callable[[], object]:
    def prepared() -> object:
        prepare_torchvision()
        return build()

    return prepared


def _own(name: str, build: Callable[[], object], inputs: Callable[..., zoo.Inputs]) -> zoo.Model:
    return zoo.Model(name=name, group="other", source="own", build=_built(build), inputs=inputs)


def models() -> dict[str, zoo.Model]:
    """Return the models by name, in the order of the scoreboard."""
    found = [
        _own("resnet", nets.resnet, partial(_images, 64)),
        _own("mobilenet_v2", nets.mobilenet_v2, partial(_images, 64)),
        _own("mobilenet_v3", nets.mobilenet_v3, partial(_images, 64)),
        _own("shufflenet_v2", nets.shufflenet_v2, partial(_images, 64)),
        _own("efficientnet", nets.efficientnet, partial(_images, 64)),
        _own("convnext", nets.convnext, partial(_images, 64)),
        _own("vit", nets.vit, partial(_images, 32)),
        _own("swin", nets.swin, partial(_images, 64)),
        *(zoo.find(name) for name in ("bert_eager", "gpt2", "unet_even", "lstm_tagger")),
        *(zoo.find(name) for name in ("gru_classifier", "audio_net", "keyword_net")),
        _own("pieces", nets.Pieces, partial(_images, 24)),
        _own("encoder", nets.Encoder, _steps),
    ]
    return {model.name: model for model in found}


def prepare(name: str, folder: Path) -> Subject:
    """Convert a model to every format and quantize it; what the folder holds is taken over.

    Args:
        name: One of ``models()``.
        folder: Where all models lie, each in a folder of its name.

    Raises:
        RuntimeError: A format could not be reached.
    """
    model = models()[name]
    given = model.inputs("random")
    result = bridge.convert(
        model.load(),
        given.args or given.kwargs,
        to=[EXPORTED, *FORMATS],
        out=folder / name,
        validate=False,
    )
    failed = [each.format for each in result.conversions if each.artifact is None]
    if failed:
        raise RuntimeError(f"{name} could not be converted to {', '.join(failed)}")
    subject = read(name, folder / name)
    return quantized(_halved(subject, folder / name / "halved"), folder / name / "quantized")


def _halved(subject: Subject, folder: Path) -> Subject:
    """Return a model with a TFLite file of float16 weights too, which no fault is put into."""
    result = bridge.convert(
        subject.source.path,
        to="tflite",
        out=folder,
        validate=False,
        options=bridge.api.ConvertOptions(hop_options={"precision": "fp16"}),
    )
    return replace(subject, artifacts={**subject.artifacts, FLOAT16: result.artifacts["tflite"]})


def quantized(subject: Subject, folder: Path) -> Subject:
    """Return a model with the quantized files that can be made of its TFLite file.

    Args:
        subject: The model.
        folder: Where they lie.
    """
    domain = subject.samples.domain
    assert domain is not None
    inner = draw_samples(subject.samples.first(), SAMPLES, replace(domain, edges=()))
    files = quantized_files(subject.artifacts["tflite"], subject.source, inner, folder)
    return replace(
        subject,
        artifacts={**subject.artifacts, **files.artifacts},
        inner_samples=inner,
        refused=files.refused,
    )


def read(name: str, out: Path) -> Subject:
    """Read a converted model's folder."""
    manifest = json.loads((out / "manifest.json").read_text())
    artifacts = {
        each.artifact.format.name: each.artifact for each in stored_artifacts(out, manifest)
    }
    with np.load(out / "examples.npz") as stored:
        examples = {key: stored[key] for key in stored.files}
    return Subject(
        model=name,
        source=artifacts[EXPORTED],
        artifacts={each: artifacts[each] for each in FORMATS},
        samples=draw_samples(examples, SAMPLES),
    )
