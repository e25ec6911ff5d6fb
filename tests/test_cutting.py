"""Artifacts cut apart: each piece runs on what it is fed, and gives what it gives in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bridge
from bridge.api import Result
from bridge.artifact import Artifact, TensorSpec
from bridge.errors import InputError, UsageError
from bridge.inspection.tflite_graph import read_graph
from bridge.report import stored_artifacts
from bridge.validators.cutting import onnx as onnx_cutting
from bridge.validators.cutting import tflite as tflite_cutting
from bridge.validators.runtime import RUNTIMES, fed_name

X = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


class Net(nn.Module):
    """Three pieces in a row, a residual, and an activation in place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.sigmoid(self.first(x))
        x = torch.relu_(self.norm(self.second(x))) + x
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("cut")
    return bridge.convert(
        Net().eval(), (X,), to=["onnx", "tflite", "torchscript"], out=folder, validate=False
    )


def artifact_of(converted: Result, format_: str) -> Artifact:
    manifest = json.loads((converted.folder / "manifest.json").read_text())
    stored = stored_artifacts(converted.folder, manifest)
    return next(each.artifact for each in stored if each.artifact.format.name == format_)


CASES = [
    ("onnx", "onnxruntime"),
    ("tflite", "litert-xnnpack"),
    ("tflite", "litert-builtin"),
    ("torchscript", "torchscript"),
    ("exported", "eager-float32"),
]


def inner(artifact: Artifact) -> list[str]:
    """Tensors of the layers before the last one, in order."""
    tensors = [str(place.tensor) for place in artifact.layer_map.mapped().values()]
    return list(dict.fromkeys(tensors))[:-1]


@pytest.mark.parametrize(("format_", "runtime"), CASES)
def test_a_piece_fed_its_own_values_gives_the_same_bits(
    converted: Result, format_: str, runtime: str
) -> None:
    artifact = artifact_of(converted, format_)
    native = RUNTIMES.get(runtime)()
    tensors = inner(artifact)
    given = {artifact.signature.inputs[0].name: X.numpy()}
    whole = native.open(artifact, tensors).run(given)
    cuts = [
        TensorSpec(name=name, shape=array.shape, dtype=array.dtype.name)
        for name, array in whole.taps.items()
    ]
    fed = {fed_name(name): array for name, array in whole.taps.items()}
    pieces = native.open(artifact, tensors, cuts).run({**given, **fed})
    for name, array in whole.taps.items():
        np.testing.assert_array_equal(pieces.taps[name], array, err_msg=name)
    for name, array in whole.outputs.items():
        np.testing.assert_allclose(pieces.outputs[name], array, rtol=1e-6)


@pytest.mark.parametrize(("format_", "runtime"), CASES)
def test_what_a_piece_is_fed_reaches_its_readers_and_nobody_else(
    converted: Result, format_: str, runtime: str
) -> None:
    artifact = artifact_of(converted, format_)
    native = RUNTIMES.get(runtime)()
    tensors = inner(artifact)
    given = {artifact.signature.inputs[0].name: X.numpy()}
    whole = native.open(artifact, tensors).run(given)
    last = tensors[-1]
    spec = TensorSpec(name=last, shape=whole.taps[last].shape, dtype="float32")
    fed = {**given, fed_name(last): np.zeros_like(whole.taps[last])}
    pieces = native.open(artifact, tensors, [spec]).run(fed)
    for name in tensors:
        np.testing.assert_allclose(pieces.taps[name], whole.taps[name], rtol=1e-5, atol=1e-6)
    (output,) = pieces.outputs.values()
    bias = Net().head.bias.detach().numpy()
    np.testing.assert_allclose(output, np.broadcast_to(bias, output.shape), rtol=1e-6)


def test_feeds_are_checked_as_inputs_are(converted: Result) -> None:
    artifact = converted.artifacts["onnx"]
    (name, *_) = inner(artifact)
    spec = TensorSpec(name=name, shape=(2, 4, 8, 8), dtype="float32")
    session = RUNTIMES.get("onnxruntime")().open(artifact, [], [spec])
    with pytest.raises(InputError, match="is missing"):
        session.run({artifact.signature.inputs[0].name: X.numpy()})


def test_a_runtime_that_cannot_cut_says_so(tmp_path: Path) -> None:
    result = bridge.convert(
        nn.Linear(3, 2).eval(), (torch.ones(1, 3),), to="mobile", out=tmp_path, validate=False
    )
    spec = TensorSpec(name="x", shape=(1,), dtype="float32")
    runtime = RUNTIMES.get("lite-interpreter")()
    with pytest.raises(UsageError, match="cannot run the pieces"):
        runtime.open(result.artifacts["mobile"], [], [spec])


def test_a_piece_of_a_tflite_file_is_a_file_of_its_own(converted: Result, tmp_path: Path) -> None:
    artifact = converted.artifacts["tflite"]
    tensors = inner(artifact)
    file = tmp_path / "piece.tflite"
    file.write_bytes(tflite_cutting.piece(artifact.path, tensors[-1], tensors[:-1]))
    whole, alone = read_graph(artifact.path), read_graph(file)
    assert 0 < len(alone.main) < len(whole.main)
    assert file.stat().st_size < artifact.path.stat().st_size
    assert [alone.tensors[0][index].name for index in alone.outputs] == [tensors[-1]]
    assert all(alone.tensors[0][index].name.startswith("cut:") for index in alone.inputs)


def test_a_piece_of_an_onnx_file_is_a_file_of_its_own(converted: Result) -> None:
    import onnx
    import onnxruntime

    artifact = converted.artifacts["onnx"]
    tensors = inner(artifact)
    cuts = [
        TensorSpec(name=name, shape=(2, 4, 8, 8), dtype="float32")
        for name in tensors
        if name.startswith(("sigmoid", "batch", "relu", "add"))
    ]
    last = cuts.pop()
    model: Any = onnx.load_from_string(onnx_cutting.piece(artifact.path, last, cuts))
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    inputs = [each.name for each in session.get_inputs()]
    assert inputs
    assert all(name.startswith("cut:") for name in inputs)
    (result,) = session.run(None, {name: np.ones((2, 4, 8, 8), np.float32) for name in inputs})
    assert result.shape == (2, 4, 8, 8)
