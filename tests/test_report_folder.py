"""What ``convert`` and ``validate`` put into the folder beside report.json."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from bridge.api import SourceOptions, convert, validate
from bridge.report import html_report


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
