"""Small networks of different kinds for the direct compiler, and what a user does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compile_torch import sqnr
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

import bridge
from bridge.api import ConvertOptions, Result, SourceOptions
from bridge.api.folder import MANIFEST, read_json
from bridge.artifact import Artifact
from bridge.formats import EXPORTED, Format
from bridge.layers import Absence
from bridge.live import output_names, tensors_of
from bridge.report import stored_artifacts
from bridge.samples import InputSpec
from bridge.validators.runtime import RUNTIMES

DIRECT = "tflite-direct"


class Classifier(nn.Module):
    """Strided, depthwise and grouped convolutions, norms, a padded pool, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.gate = nn.Conv2d(8, 8, 1)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = functional.hardswish(self.depthwise(self.stem(x)))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        features = functional.interpolate(self.pool(x), scale_factor=2.0)
        return {"logits": self.head((features + 1).mean((2, 3))), "map": features}


class Encoder(nn.Module):
    """A transformer encoder over tokens, of which a mask hides some."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.position = nn.Parameter(torch.randn(64, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 7)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids) + self.position[: ids.shape[1]]
        return self.head(self.encoder(x, src_key_padding_mask=mask == 0))


class Attention(nn.Module):
    """Causal attention with one projection for all, and a convolution along the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.project = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.mix = nn.Conv1d(16, 16, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part.view(x.shape[0], -1, 4, 4).transpose(1, 2)
            for part in self.project(self.norm(x)).chunk(3, -1)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = functional.gelu(self.out(y.transpose(1, 2).reshape(x.shape)) + x)
        return self.mix(y.transpose(1, 2)).transpose(1, 2)


class Segmenter(nn.Module):
    """Down and up again, with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.leave = nn.Conv2d(16, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        high = functional.leaky_relu(self.enter(image), 0.1)
        low = functional.silu(self.norm(self.down(high)))
        return self.leave(torch.cat([high, self.up(low)], 1)).softmax(1)


class Tagger(nn.Module):
    """Two recurrent layers in both directions, with their last states."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 12, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, 7)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        states, (hidden, cell) = self.lstm(self.embedding(ids))
        return self.head(states), hidden, cell


class Calls(nn.Module):
    """Any function of tensors and a linear layer as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.function = function

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return self.function(self.linear, x, y)


def convert(
    module: nn.Module | Path,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None,
    out: Path,
    *,
    declared: Sequence[str] = (),
    route: str | None = DIRECT,
    validate: bool = False,
    **hop_options: Any,
) -> Result:
    """Convert to TFLite as a user would, by the direct compiler alone unless told otherwise."""
    return bridge.convert(
        module,
        inputs,
        to="tflite",
        out=out,
        source_options=SourceOptions(declared=[InputSpec.parse(each) for each in declared]),
        options=ConvertOptions(route=route, hop_options=hop_options),
        validate=validate,
    )


def passed(result: Result) -> Result:
    """Check that a conversion succeeded and that everything in its report passes."""
    assert result.exit_code == 0, [each.detail for each in result.outcomes]
    for target in result.report["validation"]["targets"].values():
        assert target["verdict"] == "pass", target["reason"]
        assert target["layers"]["first_failure"] is None
    return result


KERNELS = ("litert-xnnpack", "litert-builtin")


def follows(
    result: Result, inputs: Mapping[str, torch.Tensor], kernels: Sequence[str] = KERNELS
) -> Artifact:
    """Check outputs and every mapped layer of a result, and that all other layers have a reason.

    This is what validation does, without its worker processes.
    """
    assert result.exit_code == 0, [each.detail for each in result.outcomes]
    manifest = read_json(result.folder / MANIFEST)
    given = manifest["source"]["artifact"]
    stored = [each.artifact for each in stored_artifacts(result.folder, manifest)]
    captured = Artifact.from_json(given) if given else _only(EXPORTED, stored)
    artifact = result.artifacts["tflite"]
    assert captured.spine is not None
    arrays = {name: each.numpy() for name, each in inputs.items()}
    truth = RUNTIMES.get("eager-float64")().open(captured, captured.spine.ids()).run(arrays)
    mapped = artifact.layer_map.mapped()
    taps = [str(place.tensor) for place in mapped.values()]
    feeds = {spec.name: arrays[spec.name].astype(spec.dtype) for spec in artifact.signature.inputs}
    for name in kernels:
        run = RUNTIMES.get(name)().open(artifact, taps).run(feeds)
        for output in captured.signature.outputs:
            agree(truth.outputs[output.name], run.outputs[output.name], output.name)
        for layer, place in mapped.items():
            value = run.taps[str(place.tensor)]
            if place.permutation is not None:
                value = value.transpose(np.argsort(place.permutation))
            if place.reshaped:
                value = value.reshape(truth.taps[layer].shape)
            agree(truth.taps[layer], value, f"{layer} in {name}")
    for layer in captured.spine.ids():
        assert artifact.layer_map.place(layer).absence is not Absence.UNEXPLAINED, layer
    return artifact


def _only(format_: Format, artifacts: Sequence[Artifact]) -> Artifact:
    (found,) = [each for each in artifacts if each.format == format_]
    return found


def agree(truth: NDArray[Any], actual: NDArray[Any], name: str) -> None:
    """Check that an array is what it should be, but for float32's rounding."""
    assert actual.shape == truth.shape, name
    if truth.dtype.kind != "f":
        np.testing.assert_array_equal(actual, truth, name)
    elif not np.allclose(actual, truth, rtol=0, atol=1e-6):
        assert sqnr(truth, actual) >= 100, name


def why_not(result: Result) -> str:
    """The message of a conversion that did not succeed."""
    assert result.exit_code == 2
    assert not result.artifacts
    return " ".join(" ".join(each.detail for each in result.outcomes).split())


def run(path: Path, inputs: Mapping[str, Any], *, plain: bool) -> dict[str, NDArray[Any]]:
    """Run a file by the names of its signature; inputs may have other sizes than the file's."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver, num_threads=1)
    signature = interpreter._get_full_signature_list()["serving_default"]
    types = {each["index"]: each["dtype"] for each in interpreter.get_input_details()}
    for name, index in signature["inputs"].items():
        interpreter.resize_tensor_input(index, list(np.shape(inputs[name])))
    interpreter.allocate_tensors()
    for name, index in signature["inputs"].items():
        interpreter.set_tensor(index, np.asarray(inputs[name]).astype(types[index]))
    interpreter.invoke()
    return {name: interpreter.get_tensor(at) for name, at in signature["outputs"].items()}


def computes(path: Path, module: nn.Module, inputs: Mapping[str, torch.Tensor]) -> None:
    """Check a file against its module on some inputs, with both sets of kernels."""
    with torch.no_grad():
        result = module(**{name: each.clone() for name, each in inputs.items()})
    wanted = dict(zip(output_names(result), tensors_of(result), strict=True))
    for plain in (False, True):
        actual = run(path, inputs, plain=plain)
        assert sorted(actual) == sorted(wanted)
        for name, truth in wanted.items():
            assert actual[name].shape == tuple(truth.shape)
            np.testing.assert_allclose(actual[name], truth.detach().numpy(), rtol=1e-4, atol=1e-5)


def tokens(batch: int, steps: int) -> dict[str, torch.Tensor]:
    """Tokens with a mask that hides the last two."""
    mask = torch.ones(batch, steps, dtype=torch.long)
    mask[:, max(1, steps - 2) :] = 0
    return {"ids": torch.randint(0, 50, (batch, steps)), "mask": mask}
