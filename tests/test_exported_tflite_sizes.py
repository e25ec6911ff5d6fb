"""Sizes that change from call to call, in the files of the direct compiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from tflite_nets import (
    Classifier,
    Encoder,
    Segmenter,
    Tagger,
    computes,
    convert,
    follows,
    passed,
    tokens,
)
from typer.testing import CliRunner

import bridge
from bridge.api import SourceOptions
from bridge.cli.validate import validate
from bridge.inspection.tflite_graph import read_graph


@pytest.mark.parametrize(
    ("declared", "batches", "heights", "widths"),
    [
        ("x=?x3x32x32", (1, 2, 5), (32,), (32,)),
        ("x=?x3x?32x32", (1, 3), (32, 48, 64), (32,)),
        ("x=1x3x?32x?32", (1,), (32, 64), (32, 96)),
    ],
)
def test_batch_and_image_size(
    declared: str,
    batches: tuple[int, ...],
    heights: tuple[int, ...],
    widths: tuple[int, ...],
    tmp_path: Path,
) -> None:
    module = Classifier()
    result = convert(module, None, tmp_path, declared=[declared])
    path = follows(result, {"x": torch.randn(batches[-1], 3, heights[-1], widths[-1])}).path
    for batch in batches:
        for height in heights:
            for width in widths:
                computes(path, module, {"x": torch.randn(batch, 3, height, width)})


class Masking(torch.nn.Module):
    """Adds a constant of the type of a batch, as shifted windows do with their mask."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = x.new_zeros((3, 4))
        mask[:, 0] = -100
        return x + mask


def test_a_constant_of_the_type_of_what_changes(tmp_path: Path) -> None:
    module = Masking()
    result = convert(module, None, tmp_path, declared=["x=?x3x4"])
    path = follows(result, {"x": torch.randn(2, 3, 4)}).path
    for batch in (1, 5):
        computes(path, module, {"x": torch.randn(batch, 3, 4)})


class Empty(torch.nn.Module):
    """Leaves nothing as it is, as rotations of a whole head do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turned, kept = x[..., :4], x[..., 4:]
        return torch.cat([turned * 2, kept], -1) + kept.sum()


def test_a_tensor_without_elements_of_a_size_that_changes(tmp_path: Path) -> None:
    module = Empty()
    result = convert(module, None, tmp_path, declared=["x=?x3x4"])
    path = follows(result, {"x": torch.randn(2, 3, 4)}).path
    for batch in (1, 5):
        computes(path, module, {"x": torch.randn(batch, 3, 4)})


class Shuffling(torch.nn.Module):
    """Two units of ShuffleNet."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = torch.nn.Conv2d(3, 8, 1)
        self.branches = torch.nn.ModuleList(torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.leave = torch.nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        for branch in self.branches:
            kept, changed = x.chunk(2, dim=1)
            x = torch.cat([kept, branch(changed)], dim=1)
            batch, _, height, width = x.shape
            x = x.view(batch, 2, 4, height, width).transpose(1, 2).reshape(batch, 8, height, width)
        return self.leave(x)


def test_channels_are_shuffled_within_the_partition_of_xnnpack(tmp_path: Path) -> None:
    """XNNPACK takes no SLICE with a size of -1."""
    module = Shuffling()
    result = convert(module, None, tmp_path, declared=["x=?x3x8x8"])
    path = follows(result, {"x": torch.randn(2, 3, 8, 8)}).path
    for batch in (1, 3):
        computes(path, module, {"x": torch.randn(batch, 3, 8, 8)})
    names = [operator.name for operator in read_graph(path).operators]
    assert "STRIDED_SLICE" in names
    assert "SLICE" not in names


def test_a_picture_of_any_size_goes_down_and_up(tmp_path: Path) -> None:
    module = Segmenter()
    result = convert(module, None, tmp_path, declared=["image=?x3x?16x16"])
    path = follows(result, {"image": torch.randn(2, 3, 24, 16)}).path
    for batch, height in ((1, 16), (3, 40)):
        computes(path, module, {"image": torch.randn(batch, 3, height, 16)})


@pytest.mark.parametrize("shape", ["?x16", "1x?16", "?x?16"])
def test_batch_and_length_of_a_sequence(shape: str, tmp_path: Path) -> None:
    module = Encoder()
    declared = [f"ids={shape}:int64:0..49", f"mask={shape}:int64:0..1"]
    result = convert(module, None, tmp_path, declared=declared)
    path = follows(result, tokens(5 if shape.startswith("?") else 1, 16)).path
    for batch in (1, 2, 5) if shape.startswith("?") else (1,):
        for steps in (1, 5, 16, 33) if shape.endswith("?16") else (16,):
            computes(path, module, tokens(batch, steps))


@pytest.mark.parametrize("shape", ["?x12", "1x?12", "?x?12"])
def test_batch_and_length_of_a_recurrent_layer(shape: str, tmp_path: Path) -> None:
    module = Tagger()
    result = convert(module, None, tmp_path, declared=[f"ids={shape}:int64:0..49"])
    path = follows(result, {"ids": torch.randint(0, 50, (1, 12))}).path
    for batch in (1, 3) if shape.startswith("?") else (1,):
        for steps in (1, 12, 70) if shape.endswith("?12") else (12,):
            ids = torch.randint(0, 50, (batch, steps))
            computes(path, module, {"ids": ids})


def test_a_size_is_changing_in_the_signature_and_in_the_file(tmp_path: Path) -> None:
    result = convert(Classifier(), None, tmp_path, declared=["x=?x3x?32x32"])
    artifact = result.artifacts["tflite"]
    assert [spec.shape for spec in artifact.signature.inputs] == [(None, 3, None, 32)]
    assert [spec.shape for spec in artifact.signature.outputs] == [(None, 5), (None, 8, None, 16)]
    found = bridge.inspect(artifact.path).signature
    assert [spec.shape for spec in found.inputs] == [(None, 3, None, 32)]


def test_a_size_that_the_model_needs_as_a_number_is_named(tmp_path: Path) -> None:
    class Fixed(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.shape[1] == 8 else x + 1

    result = convert(Fixed(), None, tmp_path, declared=["x=2x?8"])
    assert result.exit_code == 2
    (detail,) = [each.detail for each in result.outcomes if each.subject == "torch-export"]
    assert "specialized it to be a constant (8)" in detail
    assert "give that dimension a fixed size" in detail
    assert "bridge/" not in detail


def test_a_folder_is_validated_at_another_size(tmp_path: Path) -> None:
    """``driftbridge validate`` on real inputs of a size that the conversion never saw."""
    declared = ["ids=?x?16:int64:0..49", "mask=?x?16:int64:0..1"]
    passed(convert(Encoder(), None, tmp_path / "out", declared=declared, validate=True))
    samples = {name: each.numpy() for name, each in tokens(3, 23).items()}
    np.savez(tmp_path / "real.npz", **samples)  # type: ignore[arg-type]
    comparison = bridge.validate(
        tmp_path / "out", source_options=SourceOptions(real=tmp_path / "real.npz")
    )
    assert comparison.exit_code == 0
    validation = comparison.report["validation"]
    assert validation["inputs"]["samples"] == 3
    for target in validation["targets"].values():
        assert target["verdict"] == "pass"
        assert target["layers"]["mapped"] > 0
    app = typer.Typer()
    app.command()(validate)
    done = CliRunner().invoke(
        app, [str(tmp_path / "out"), "--inputs", str(tmp_path / "real.npz"), "--samples", "1"]
    )
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("unroll", "loops"), [(0, True), (12, False)])
def test_recurrent_layers_are_unrolled_as_far_as_asked(
    unroll: int, loops: bool, tmp_path: Path
) -> None:
    ids = torch.randint(0, 50, (1, 12))
    artifact = follows(convert(Tagger(), (ids,), tmp_path, unroll=unroll), {"ids": ids})
    kinds = {each.name for each in bridge.inspect(artifact.path).operators}
    assert ("WHILE" in kinds) == loops
