"""A file that somebody else made, compared with its source into a result folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import typer
from onnx import numpy_helper
from torch import nn
from typer.testing import CliRunner

import bridge
from bridge.api.handoff import android_bundle
from bridge.api.reporting import report_text
from bridge.cli.validate import validate as command
from bridge.errors import GateError, UsageError

MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.first, self.norm, self.last = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.norm(self.first(x))))


def net():
    return Net().eval()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a space and an accent, with a source and real inputs in it."""
    folder = tmp_path / "their modèle"
    folder.mkdir()
    (folder / "net.py").write_text(MODEL)
    rng = np.random.default_rng(3)
    np.savez(folder / "real.npz", x=rng.normal(size=(6, 8)).astype(np.float32))
    monkeypatch.chdir(folder)
    return folder


def theirs(folder: Path, wrong: float = 0.0, **options: object) -> Path:
    """An ONNX file as a colleague would export it, one bias of which may be wrong."""
    scope: dict[str, type[nn.Module]] = {}
    exec(compile(MODEL, "net.py", "exec"), scope)
    exported = torch.onnx.export(scope["net"](), (torch.zeros(1, 8),), dynamo=True, verbose=False)
    assert exported is not None
    model = exported.model_proto
    for each in model.graph.initializer:
        if each.name == "last.bias":
            array = numpy_helper.to_array(each).copy()
            array[1] += wrong
            each.CopyFrom(numpy_helper.from_array(array, each.name))
    path = folder / "theirs.onnx"
    onnx.save(model, path, **options)
    return path


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return done.exit_code, done.output


AGAINST = ("--against", "net.py:net", "--inputs", "real.npz", "--no-latency")


def test_the_report_names_the_layer_and_its_reproduction_runs(here: Path) -> None:
    theirs(here, wrong=0.01)
    code, output = run("theirs.onnx", *AGAINST, "--out", "to look at")
    assert code == 1
    assert "reproduction: blame-onnx/reproduce.py" in output
    assert "given" in output  # no route made it
    assert "report: to look at/report.html" in output
    made = here / "to look at"
    (target,) = json.loads((made / "report.json").read_text())["validation"]["targets"].values()
    assert target["layers"]["introduced"] == target["blame"]["layer"] == "linear_1"
    assert target["blame"]["confirmed"]
    assert any(each.startswith("Gemm(") for each in target["blame"]["operators"])
    script = made / "blame-onnx" / "reproduce.py"
    done = subprocess.run([sys.executable, "-I", script], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "largest error at" in done.stdout
    text = report_text(made, "md")
    assert "driftbridge validate theirs.onnx --against net.py:net --inputs" in text
    assert "`theirs.onnx`" in text
    assert 'name="conversion"' not in report_text(made, "junit")  # there was none
    assert "linear_1" in (made / "report.html").read_text()


def test_a_folder_can_be_validated_again_and_handed_on(here: Path) -> None:
    bridge.convert("net.py:net", (torch.zeros(1, 8),), to="tflite", out="made", validate=False)
    file = here / "received.tflite"
    (here / "made" / "model.tflite").rename(file)
    options = ("--out", "theirs")
    assert run("received.tflite", *AGAINST, *options)[0] == 0
    file.unlink()  # the folder has a copy
    code, output = run("theirs", "--no-latency")
    assert code == 0, output
    report = json.loads((here / "theirs" / "report.json").read_text())
    assert report["validation"]["targets"]["tflite"]["verdict"] == "pass"
    assert report["conversions"][0]["artifact"]["path"] == "received.tflite"
    bundle = android_bundle("theirs")
    assert (bundle.folder / "README.md").is_file()


def test_a_failing_file_is_not_handed_on(here: Path) -> None:
    bridge.convert("net.py:net", (torch.zeros(1, 8),), to="tflite", out="made", validate=False)
    path = here / "made" / "model.tflite"
    scope: dict[str, type[nn.Module]] = {}
    exec(compile(MODEL, "net.py", "exec"), scope)
    bias = scope["net"]().last.bias.detach().numpy()
    content = path.read_bytes()
    assert content.count(bias.tobytes()) == 1
    received = here / "received.tflite"
    received.write_bytes(content.replace(bias.tobytes(), (bias + np.float32(0.01)).tobytes()))
    assert run("received.tflite", *AGAINST, "--out", "theirs")[0] == 1
    with pytest.raises(GateError):
        android_bundle("theirs")


def test_weights_beside_the_file_are_copied_with_it(here: Path) -> None:
    given = {"save_as_external_data": True, "location": "all of them.bin", "size_threshold": 64}
    theirs(here, **given)
    assert run("theirs.onnx", *AGAINST, "--out", "kept")[0] == 0
    assert (here / "kept" / "all of them.bin").is_file()
    (here / "all of them.bin").unlink()
    assert run("kept", "--no-latency")[0] == 0


def test_without_a_folder_nothing_is_kept(here: Path) -> None:
    theirs(here, wrong=0.01)
    before = sorted(here.iterdir())
    assert run("theirs.onnx", *AGAINST)[0] == 1
    assert [each for each in sorted(here.iterdir()) if each.name != "__pycache__"] == before


def test_a_folder_that_cannot_hold_the_results_is_refused(here: Path) -> None:
    theirs(here)
    assert run("theirs.onnx", *AGAINST, "--out", "kept")[0] == 0
    again = here / "kept" / "theirs.onnx"
    with pytest.raises(UsageError, match="is part of the results"):
        bridge.validate(again, against="net.py:net", inputs=(torch.zeros(1, 8),), out="kept")
    with pytest.raises(UsageError, match="validated where they are"):
        bridge.validate("kept", out="elsewhere")


def test_a_torchscript_source_takes_its_shapes_from_real_inputs(here: Path) -> None:
    theirs(here)
    scope: dict[str, type[nn.Module]] = {}
    exec(compile(MODEL, "net.py", "exec"), scope)
    torch.jit.trace(scope["net"](), (torch.zeros(1, 8),)).save("net.pt")
    arguments = ("--against", "net.pt", "--inputs", "real.npz", "--no-latency", "--out", "kept")
    code, output = run("theirs.onnx", *arguments)
    assert code == 0, output
    assert sorted(each.name for each in (here / "kept").iterdir()) == [
        "examples.npz",
        "manifest.json",
        "report.html",
        "report.json",
        "theirs.onnx",
    ]
