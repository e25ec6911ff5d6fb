"""Layers found in files that this program did not make."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import typer
from onnx import helper
from torch import nn
from typer.testing import CliRunner

import bridge
from bridge.api import SourceOptions, validate
from bridge.api.foreign import foreign_artifact
from bridge.api.opening import open_source
from bridge.artifact import Artifact
from bridge.cli.validate import validate as command
from bridge.layers import Absence, LayerMap
from bridge.validators.alignment import Alignment, align
from bridge.validators.alignment.tflite_graph import read_tflite
from bridge.validators.running import Runner
from bridge.worker import Limits, WorkPool

app = typer.Typer()
app.command()(command)

Align = Callable[[nn.Module, tuple[torch.Tensor, ...], Path | Artifact], Alignment]


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkPool]:
    with WorkPool(limits=Limits(), progress=lambda text: None) as made:
        yield made


@pytest.fixture
def aligned(tmp_path: Path, pool: WorkPool) -> Align:
    """Align a file with a module."""

    def run(
        module: nn.Module, inputs: tuple[torch.Tensor, ...], file: Path | Artifact
    ) -> Alignment:
        source = captured(module, inputs, tmp_path / "source.pt2")
        opened = open_source(str(source), None, SourceOptions(), 60)
        origin = opened.source.artifact
        assert origin is not None
        artifact = foreign_artifact(file, origin.signature) if isinstance(file, Path) else file
        runner = Runner(pool=pool, scratch=tmp_path / "runs", inputs=origin.signature.inputs)
        return align(artifact, origin, runner=runner, samples=opened.samples)

    return run


def captured(module: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> Path:
    torch.export.save(torch.export.export(module.eval(), inputs, strict=False), path)
    return path


def converted(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path, target: str = "tflite"
) -> Artifact:
    """A file of ours; what it says about its layers is the truth."""
    source = captured(module, inputs, folder / "converted.pt2")
    result = bridge.convert(str(source), to=[target], out=folder / target, validate=False)
    return result.artifacts[target]


def stripped(artifact: Artifact) -> Artifact:
    return replace(artifact, layer_map=LayerMap())


def places(layer_map: LayerMap) -> dict[str, tuple[str | None, tuple[int, ...] | None]]:
    return {layer: (place.tensor, place.permutation) for layer, place in layer_map.mapped().items()}


class Stack(nn.Module):
    """Convolutions with norms and activations, a residual, and a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(8, 5)
        for norm in self.norms:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.enter(x))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.relu(norm(conv(x)) + x)
        return self.head(self.pool(x).mean((2, 3)))


class Blocks(nn.Module):
    """A transformer of twelve blocks that are all alike."""

    def __init__(self, count: int = 12, width: int = 16) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(count))
        self.attend = nn.ModuleList(
            nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(count)
        )
        self.grow = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(count))
        self.shrink = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, attend, grow, shrink in zip(
            self.norms, self.attend, self.grow, self.shrink, strict=True
        ):
            y = norm(x)
            x = x + attend(y, y, y, need_weights=False)[0]
            x = x + shrink(nn.functional.gelu(grow(x)))
        return x


def test_fused_convolutions_are_found_where_they_are(tmp_path: Path, aligned: Align) -> None:
    module, inputs = Stack(), (torch.randn(1, 3, 12, 12),)
    file = converted(module, inputs, tmp_path)
    found = aligned(module, inputs, stripped(file))
    assert places(found.layer_map) == places(file.layer_map)
    assert found.coverage == 1.0
    fused = found.layer_map.place("conv2d")
    assert (fused.absence, fused.into) == (Absence.FUSED, "relu")
    assert min(found.confidence.values()) > 0.9


def test_equal_blocks_are_not_shifted(tmp_path: Path, aligned: Align) -> None:
    module, inputs = Blocks(), (torch.randn(1, 6, 16),)
    file = converted(module, inputs, tmp_path)
    found = aligned(module, inputs, stripped(file))
    assert found.coverage == 1.0
    exact, its = file.layer_map.mapped(), found.layer_map.mapped()
    kinds = ("layer_norm", "linear", "gelu", "add")
    layers = [each for each in its if each.startswith(kinds) and each in exact]
    assert len(layers) > 60
    graph = read_tflite(file.path)
    keys = {name: key for key, name in graph.names.items()}
    for layer in layers:  # a tensor or a reshaped copy of it
        copies = graph.copies(keys[str(exact[layer].tensor)])
        assert keys[str(its[layer].tensor)] in copies, layer


def altered(artifact: Artifact, operator: str, place: int, alter: Callable[[Any], None]) -> Path:
    """An ONNX file with one of its operators altered."""
    model = onnx.load(artifact.path)
    alter([node for node in model.graph.node if node.op_type == operator][place])
    path = artifact.path.with_name("altered.onnx")
    onnx.save(model, path)
    return path


def attribute(name: str, value: Any) -> Callable[[Any], None]:
    def alter(node: Any) -> None:
        kept = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return alter


@pytest.mark.parametrize(
    ("operator", "place", "alter", "layer"),
    [
        ("LayerNormalization", 2, attribute("epsilon", 0.3), "layer_norm_2"),
        ("Gelu", 1, attribute("approximate", "tanh"), "gelu_1"),
        ("Softmax", 1, attribute("axis", 1), "scaled_dot_product_attention_1"),
    ],
)
def test_a_defect_takes_no_layer_from_its_tensor(
    tmp_path: Path, aligned: Align, operator: str, place: int, alter: Any, layer: str
) -> None:
    module, inputs = Blocks(3), (torch.randn(1, 6, 16),)
    file = converted(module, inputs, tmp_path, "onnx")
    right = aligned(module, inputs, stripped(file))
    wrong = aligned(module, inputs, altered(file, operator, place, alter))
    assert wrong.layer_map.place(layer).tensor is not None
    assert places(wrong.layer_map) == places(right.layer_map)
    assert wrong.coverage == 1.0


class Pools(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = nn.functional.max_pool2d(torch.relu(conv(x)), 3, 2, 1)
        return x


def test_a_severe_defect_takes_no_layer_from_its_tensor(tmp_path: Path, aligned: Align) -> None:
    module, inputs = Pools(), (torch.randn(1, 4, 40, 40),)
    file = converted(module, inputs, tmp_path, "onnx")
    right = aligned(module, inputs, stripped(file))
    shifted = altered(file, "MaxPool", 1, attribute("pads", [2, 2, 0, 0]))
    wrong = aligned(module, inputs, shifted)
    assert places(wrong.layer_map) == places(right.layer_map)


def test_a_changed_weight_takes_no_layer_from_its_tensor(tmp_path: Path, aligned: Align) -> None:
    module, inputs = Stack(), (torch.randn(1, 3, 12, 12),)
    file = converted(module, inputs, tmp_path)
    content = bytearray(file.path.read_bytes())
    kernel = module.convs[1].weight * (
        module.norms[1].weight / (module.norms[1].running_var + 1e-5).sqrt()
    ).reshape(-1, 1, 1, 1)
    stored = kernel.detach().permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    at = content.find(stored[:8])
    assert at > 0
    content[at : at + 4] = np.float32(5.0).tobytes()
    file.path.write_bytes(content)
    found = aligned(module, inputs, stripped(file))
    assert places(found.layer_map) == places(file.layer_map)


class Turned(nn.Module):
    """Three equal sizes: no shape tells one axis from another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, (3, 1), padding=(1, 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.sigmoid(self.first(x).transpose(2, 3)))


def test_a_real_swap_of_equal_axes_is_a_defect(tmp_path: Path, aligned: Align) -> None:
    module, inputs = Turned(), (torch.randn(1, 8, 8, 8),)
    file = converted(module, inputs, tmp_path, "onnx")
    right = aligned(module, inputs, stripped(file))
    wrong_file = altered(file, "Transpose", 0, attribute("perm", [0, 2, 1, 3]))
    wrong = aligned(module, inputs, wrong_file)
    assert places(wrong.layer_map) == places(right.layer_map)
    assert {place.permutation for place in wrong.layer_map.mapped().values()} == {None}
    report = validate(wrong_file, against=module, inputs=inputs).report
    assert verdicts(report, "onnx")["transpose"] == "fail"
    assert verdicts(report, "onnx")["conv2d"] == "pass"


def verdicts(report: Any, target: str) -> dict[str, str]:
    """Layer → verdict."""
    return {row["id"]: row["targets"][target]["verdict"] for row in report["layers"]}


class Written(nn.Module):
    """Writes to a part of what it computed, and to a view of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x[:, 2:4] = torch.tanh(x[:, 2:4])
        x.relu_()
        return self.second(x)


def test_a_program_that_writes_to_views_is_aligned(tmp_path: Path, aligned: Align) -> None:
    module, inputs = Written(), (torch.randn(3, 6),)
    file = tmp_path / "written.onnx"
    torch.onnx.export(Written.eval(module), inputs, str(file), dynamo=False)
    found = aligned(module, inputs, file)
    assert found.coverage == 1.0
    for layer in ("linear", "tanh", "relu_", "linear_1"):
        assert found.layer_map.place(layer).tensor is not None, layer


class Dead(nn.Module):
    """Two layers of zeros between others."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
        for conv in (self.convs[1], self.convs[2]):
            nn.init.constant_(conv.bias, -100.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = torch.relu(conv(x))
        return x


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_dead_layers_are_told_apart(tmp_path: Path, aligned: Align, target: str) -> None:
    module, inputs = Dead(), (torch.randn(1, 4, 6, 7),)
    file = converted(module, inputs, tmp_path, target)
    found = aligned(module, inputs, stripped(file))
    assert places(found.layer_map) == places(file.layer_map)


class Bright(nn.Module):
    """A ReLU that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
        nn.init.constant_(self.first.bias, 100.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def test_a_fused_relu_that_changes_nothing_here_has_the_tensor(
    tmp_path: Path, aligned: Align
) -> None:
    module, inputs = Bright(), (torch.randn(1, 3, 8, 9),)
    file = converted(module, inputs, tmp_path, "tflite")
    found = aligned(module, inputs, stripped(file))
    assert places(found.layer_map) == places(file.layer_map)
    assert found.layer_map.place("conv2d").into == "relu"


THEIRS = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.conv = torch.nn.Conv2d(3, 4, 3, bias=False)
        self.norm = torch.nn.BatchNorm2d(4)
        self.head = torch.nn.Linear(4, 5)

    def forward(self, x):
        x = torch.nn.functional.silu(self.norm(self.conv(x)))
        return self.head(x.mean((2, 3)))
"""


def test_a_file_of_another_toolchain_is_validated_layer_by_layer(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS)
    space: dict[str, Any] = {}
    exec(THEIRS, space)
    file, real = tmp_path / "their.onnx", tmp_path / "real.npz"
    example = (torch.rand(1, 3, 9, 8),)
    torch.onnx.export(space["Net"]().eval(), example, str(file), dynamo=False)
    np.savez(real, x=np.random.default_rng(0).random((4, 3, 9, 8), dtype=np.float32))
    against = ["--against", f"{tmp_path / 'theirs.py'}:Net", "--inputs", str(real)]
    result = CliRunner().invoke(app, [str(file), *against, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    found = verdicts(report, "onnx")
    for layer in ("batch_norm", "silu", "mean", "linear"):
        assert found[layer] == "pass", layer
    rows = {row["id"]: row["targets"]["onnx"] for row in report["layers"]}
    assert "fused into batch_norm" in rows["conv2d"]["reason"]
