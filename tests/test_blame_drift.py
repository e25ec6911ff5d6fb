"""``blame`` names the layer that introduced a drift, and writes a script that shows it alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

import bridge
from bridge.api import ConvertOptions, attribution
from bridge.api.culprits import blame_drift, drifting_targets
from bridge.api.reporting import read_report
from bridge.artifact import digest
from bridge.cli.blame import blame
from bridge.errors import SourceError, UsageError
from bridge.report.findings import findings


class Net(nn.Module):
    """Two blocks of the same form, so that a fault in one must not be seen in the other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh()) for _ in range(2))
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x))


def rehash(folder: Path) -> None:
    """Let the manifest say what the files are now."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    for each in manifest["artifacts"]:
        each["sha256"] = digest(folder / each["path"])
        each["size"] = (folder / each["path"]).stat().st_size
    file.write_text(json.dumps(manifest))


def spoil_onnx(path: Path) -> None:
    """Give the second layer norm another epsilon."""
    model = onnx.load(path)
    (_, second) = (each for each in model.graph.node if each.op_type == "LayerNormalization")
    (epsilon,) = (each for each in second.attribute if each.name == "epsilon")
    epsilon.f = 1e-4
    onnx.save(model, path)


def spoil_torchscript(path: Path) -> None:
    module = torch.jit.load(path)
    with torch.no_grad():
        dict(module.named_parameters())["blocks.1.1.bias"][2] += 1e-3
    torch.jit.save(module, path)


def spoil_tflite(path: Path) -> None:
    """Change one number of the second block's bias, which stands in the file as it is."""
    torch.manual_seed(5)
    bias = Net().blocks[1][0].bias.detach().numpy().tobytes()
    content = path.read_bytes()
    assert content.count(bias) == 1
    wrong = np.frombuffer(bias, np.float32).copy()
    wrong[3] += 1e-3
    path.write_bytes(content.replace(bias, wrong.tobytes()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder in which one layer of each file was spoilt."""
    made = tmp_path_factory.mktemp("made")
    bridge.convert(
        Net().eval(),
        (torch.randn(4, 8),),
        to=["onnx", "torchscript", "tflite"],
        out=made,
        options=ConvertOptions(latency=False),
    )
    spoil_onnx(made / "model.onnx")
    spoil_torchscript(made / "model.pt")
    spoil_tflite(made / "model.tflite")
    rehash(made)
    bridge.validate(made, latency=False)
    return made


INTRODUCED = {
    "onnx": "layer_norm_1",
    "torchscript": "layer_norm_1",
    "tflite": "linear_1",
    "tflite@litert-builtin": "linear_1",
}


def test_the_layer_that_introduced_it_is_found_in_every_runtime(folder: Path) -> None:
    assert drifting_targets(folder) == INTRODUCED


def test_a_comparison_that_fails_names_both_sides_and_reproduces_it(folder: Path) -> None:
    report = read_report(folder)  # validate wrote it
    for name, target in report["validation"]["targets"].items():
        blame = target["blame"]
        assert blame["layer"] == INTRODUCED[name]
        assert blame["call"].startswith("aten.linear(" if "tflite" in name else "aten.layer_norm(")
        assert blame["operators"], name
        assert blame["confirmed"]
        assert blame["script"] == f"blame-{name.replace('@', '-')}/reproduce.py"
        assert (folder / blame["script"]).is_file()


@pytest.mark.parametrize("target", INTRODUCED)
def test_the_script_shows_the_difference_without_this_package(
    folder: Path, target: str, tmp_path: Path
) -> None:
    found = blame_drift(folder, target, out=tmp_path)
    assert found.layer.id == INTRODUCED[target]
    assert found.layer.module == ("blocks.1.0" if "linear" in found.layer.id else "blocks.1.1")
    assert found.layer.source.startswith("tests/test_blame_drift.py:")
    assert found.confirmed
    assert "bridge" not in (tmp_path / "reproduce.py").read_text()
    done = subprocess.run(
        [sys.executable, "-I", "reproduce.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "times that" in done.stdout


def test_a_layer_that_is_all_right_has_a_script_that_ends_well(
    folder: Path, tmp_path: Path
) -> None:
    found = blame_drift(folder, "onnx", layer="layer_norm", out=tmp_path)
    assert not found.confirmed
    assert "eps=1e-05" in found.call
    assert any("epsilon=1e-05" in each for each in found.operators)
    done = subprocess.run([sys.executable, "reproduce.py"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0


def test_both_sides_options_are_told(folder: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(blame)
    arguments = [str(folder), "--target", "onnx", "--out", str(tmp_path / "it")]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "250"})
    assert done.exit_code == 0
    assert "layer layer_norm_1 introduces an error of" in done.output
    assert "blocks.1.1" in done.output
    assert "eps=1e-05" in done.output
    assert "LayerNormalization(" in done.output
    assert "epsilon=0.0001" in done.output


def test_a_reproduction_that_cannot_be_made_has_its_reason_in_the_report(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)

    def refuse(*_: object, **__: object) -> None:
        raise SourceError("the file is <gone>")

    monkeypatch.setattr(attribution, "blame_drift", refuse)
    report = attribution.attribute_failures(copy)
    assert report["validation"]["targets"]["onnx"]["blame"] == {
        "layer": "layer_norm_1",
        "error": "the file is <gone>",
    }
    assert not list(copy.glob("blame-*"))
    assert ("no reproduction", "the file is <gone>") in findings(report)[0].details


def test_a_target_or_layer_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no target 'tflight'"):
        blame_drift(folder, "tflight", out=tmp_path)
    with pytest.raises(UsageError, match="layer 'lenear' was not run alone"):
        blame_drift(folder, "onnx", layer="lenear", out=tmp_path)


class Branching(nn.Module):
    """What torch.export cannot capture."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x


def test_a_conversion_that_makes_nothing_reports_itself_and_not_what_the_folder_holds(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    before = (copy / "report.json").read_bytes()
    result = bridge.convert(Branching(), (torch.rand(2, 3),), to="onnx", out=copy)
    assert not result.artifacts
    assert [each["ok"] for each in result.report["conversions"]] == [False]
    assert result.report["validation"] is None
    assert (copy / "report.json").read_bytes() == before


def test_the_report_says_who_introduced_it_and_who_passed_it_on(folder: Path) -> None:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    rows = {each["id"]: each["targets"]["onnx"] for each in report["layers"]}
    assert [name for name, row in rows.items() if row["isolated"]["verdict"] == "fail"] == [
        "layer_norm_1"
    ]
    assert rows["tanh_1"]["accumulated"]["ratio"] > 10
    assert rows["tanh_1"]["isolated"]["verdict"] == "pass"
