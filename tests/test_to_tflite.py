"""``to_tflite``: the file that ``convert`` makes, without all that ``convert`` does besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bridge
from bridge.api import ConvertOptions, SourceOptions
from bridge.errors import (
    BridgeError,
    CaptureError,
    InputError,
    SourceError,
    StorageError,
    UnsupportedError,
    UsageError,
)
from bridge.samples import InputSpec

IMAGE = torch.rand(1, 3, 8, 8)
ROW = torch.rand(2, 4)


class Net(nn.Module):
    """A convolution, a head, a count of its calls, and a result of several parts."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 5)
        self.runs = 0
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, image: torch.Tensor) -> dict[str, Any]:
        self.runs += type(image) is torch.Tensor
        features = self.stem(image)
        return {"scores": self.head(features.mean((2, 3))), "rest": (features, None, 3)}


class Counting(Net):
    def forward(self, image: torch.Tensor) -> dict[str, Any]:
        self.calls += 1
        return super().forward(image)


class Remembering(nn.Module):
    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += x.sum(0)
        return x + self.seen


class Nan(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)
        nn.init.constant_(self.weight, torch.nan)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"io_layout": ["nhwc"], "precision": "fp16"},
        {"io_layout": ["rest_0=nhwc"], "keep_int64": True, "unroll": 3},
    ],
    ids=["plain", "nhwc-fp16", "named"],
)
def test_the_file_is_the_one_of_convert(options: dict[str, Any], tmp_path: Path) -> None:
    module = Net().eval()
    made = bridge.to_tflite(module, (IMAGE,), tmp_path / "net.tflite", **options)
    assert module.runs == 0, "it was captured only"
    assert [each.name for each in tmp_path.iterdir()] == ["net.tflite"]
    wanted = bridge.convert(
        module,
        (IMAGE,),
        to="tflite",
        out=tmp_path / "out",
        options=ConvertOptions(hop_options=options),
        validate=False,
    ).artifacts["tflite"]
    assert made.path.read_bytes() == wanted.path.read_bytes()
    for name in ("sha256", "size", "signature", "layer_map", "notes", "precision", "producer"):
        assert getattr(made, name) == getattr(wanted, name), name
    assert made.spine is not None
    assert Path(__file__).name in made.spine.layers[0].source


def test_sizes_may_change_and_inputs_have_names(tmp_path: Path) -> None:
    declared = [InputSpec.parse("image=?x3x8x8")]
    made = bridge.to_tflite(Net(), None, tmp_path / "net.tflite", declared=declared)
    assert made.signature.inputs[0].shape == (None, 3, 8, 8)
    assert [spec.name for spec in made.signature.outputs] == ["scores", "rest_0"]
    options = SourceOptions(declared=declared, samples=2)
    comparison = bridge.validate(
        made.path, against=Net().eval(), source_options=options, latency=False
    )
    assert comparison.exit_code == 1, "another module, with weights of its own"


def test_the_file_is_validated_against_its_module(tmp_path: Path) -> None:
    module = Net().eval()
    path = bridge.to_tflite(module, {"image": IMAGE}, tmp_path / "net.tflite").path
    options = SourceOptions(samples=2)
    comparison = bridge.validate(
        path, against=module, inputs=(IMAGE,), source_options=options, latency=False
    )
    assert comparison.exit_code == 0


def test_a_module_that_only_counts_its_calls_is_converted(tmp_path: Path) -> None:
    assert bridge.to_tflite(Counting(), (IMAGE,), tmp_path / "net.tflite").size > 0


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Decomposing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svd(x)[1]


@pytest.mark.parametrize(
    ("module", "inputs", "options", "kind", "text"),
    [
        (Branching(), (ROW,), {}, CaptureError, "torch.export cannot capture"),
        (Decomposing(), (ROW,), {}, UnsupportedError, "svd"),
        (nn.Linear(3, 4), (ROW,), {}, InputError, "does not take these inputs"),
        (nn.Linear(4, 4), (ROW, ROW), {}, InputError, "do not fit Linear.forward"),
        (nn.Linear(4, 4), None, {}, InputError, "has no example inputs"),
        (Remembering(), (ROW,), {}, UnsupportedError, "keeps nothing from call to call"),
        (Nan(), (ROW,), {}, SourceError, "NaN"),
        (nn.Linear(4, 4), (ROW,), {"precision": "int8"}, UsageError, "fp32 or fp16"),
        (nn.Linear(4, 4), (ROW,), {"io_layout": ["input=nhwc"]}, UsageError, "four axes"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_the_old_file(
    module: nn.Module,
    inputs: Any,
    options: dict[str, Any],
    kind: type[BridgeError],
    text: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(b"an older file")
    with pytest.raises(kind) as raised:
        bridge.to_tflite(module, inputs, path, **options)
    assert text in str(raised.value)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"an older file"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="taken: it is not a folder"):
        bridge.to_tflite(nn.Linear(4, 4), (ROW,), tmp_path / "taken" / "net.tflite")
