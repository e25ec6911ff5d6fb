"""What ``convert`` and ``validate`` put into the folder beside report.json."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from bridge.api import SourceOptions, convert, validate
from bridge.api.recorded import recorded_inputs
from bridge.report import html_report
from bridge.report.command import command
from bridge.samples import InputSpec


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 8)
        self.last = torch.nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results")
    assert convert(Net().eval(), (torch.rand(1, 4),), to="torchscript", out=path).ok
    return path


def test_the_page_lies_beside_the_report_and_shows_the_same(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "test_report_folder.py" in page
    assert "aten.linear" in page
    assert not list(folder.glob(".new-*"))


def test_validate_makes_the_page_anew(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "report.html").write_text("old")
    comparison = validate(copy, source_options=SourceOptions(samples=3))
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert page == html_report(comparison.report)
    assert "of 3 samples" in page


def test_a_page_that_was_lost_comes_back_though_nothing_is_converted_again(tmp_path: Path) -> None:
    net = Net().eval()
    inputs = (torch.rand(1, 4),)
    convert(net, inputs, to="torchscript", out=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "report.html").unlink()
    assert convert(net, inputs, to="torchscript", out=tmp_path).reused
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    "text", ["x=1x?4:float32", "?2x3:int64:0..9", "scalar:float32", "a=1x3x8x8:float32:-1.5..1.5"]
)
def test_a_declared_input_is_recorded_as_it_can_be_given_again(text: str) -> None:
    spec = InputSpec.parse(text)
    (recorded,) = recorded_inputs(SourceOptions(declared=[spec]))["input"]
    assert InputSpec.parse(recorded) == spec


def test_the_command_of_a_report_gives_the_declared_inputs(tmp_path: Path) -> None:
    model = tmp_path / "net.py"
    model.write_text("import torch\ndef net():\n    return torch.nn.Linear(4, 2)\n")
    result = convert(
        f"{model}:net",
        to="torchscript",
        out=tmp_path / "out",
        source_options=SourceOptions(declared=[InputSpec.parse("1x4")], samples=3),
    )
    assert command(result.report) == (
        f"driftbridge convert {model}:net --to torchscript --input 1x4:float32 --samples 3"
    )
