"""Capture: a program that gives the module's own result, checked on the run that there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bridge
from bridge.artifact import digest
from bridge.converters._capture import capture
from bridge.digesting import DigestedFile
from bridge.live import tensors_of
from bridge.outcome import Stage, Symptom
from bridge.program import run_program, user_frame

REAL_RUNS: list[tuple[int, ...]] = []


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if type(x) is torch.Tensor:
            REAL_RUNS.append(tuple(x.shape))
        result: torch.Tensor = self.linear(x)
        return result


class Remembering(nn.Module):
    """Adds what it has seen so far."""

    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add_(x.sum(0))
        return x + self.seen


class Exporting(nn.Module):
    """Computes something else for ``torch.export``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if torch.compiler.is_exporting() else x * 3


class Noisy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Calibrated(nn.Module):
    """Takes its scale from its first input, and that one as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale: float | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale is None:
            self.scale = float(x.abs().max())
            return x.clone()
        return x / self.scale


class Nested(nn.Module):
    """Nested inputs, tied weights, a buffer that is not stored, a constant, more than tensors."""

    offset: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("offset", torch.arange(3.0), persistent=False)
        self.scale = torch.tensor(0.5)

    def forward(
        self, pair: tuple[torch.Tensor, dict[str, torch.Tensor]], *, mask: torch.Tensor, by: int
    ) -> dict[str, Any]:
        x = self.first(pair[0]) + self.offset
        y = self.second(pair[1]["y"]) * self.scale * mask
        return {"sum": x + y, "by": by, "both": (x, y)}


def test_a_model_runs_once_beside_its_capture(tmp_path: Path) -> None:
    REAL_RUNS.clear()
    result = bridge.convert(
        Counted(), (torch.rand(4, 3),), to="tflite", out=tmp_path, validate=False
    )
    assert result.ok
    assert REAL_RUNS == [(4, 3)]
    entries = json.loads((tmp_path / "manifest.json").read_text())["artifacts"]
    assert {each["path"] for each in entries} == {"model.pt2", "model.tflite"}
    assert all(each["sha256"] == digest(tmp_path / each["path"]) for each in entries)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Remembering(), "the model keeps state or draws random numbers"),
        (Noisy(), "the model keeps state or draws random numbers"),
        (Exporting(), "the model computes something else while torch.compiler.is_exporting()"),
    ],
    ids=["state", "noise", "export"],
)
def test_a_graph_that_gives_another_result_is_refused(
    model: nn.Module, reason: str, tmp_path: Path
) -> None:
    result = bridge.convert(model, (torch.rand(2, 3),), to="tflite", out=tmp_path, validate=False)
    outcome = next(each for each in result.outcomes if each.subject == "torch-export")
    assert (outcome.stage, outcome.symptom) == (Stage.COMPARE, Symptom.MISMATCH)
    assert reason in outcome.detail


def test_a_model_that_computes_something_else_the_first_time_is_captured(tmp_path: Path) -> None:
    x = torch.rand(2, 3)
    result = bridge.convert(Calibrated(), (x,), to="tflite", out=tmp_path, validate=False)
    assert result.ok


def test_a_program_runs_as_its_module_does() -> None:
    module = Nested().eval()
    args: tuple[Any, ...] = ((torch.rand(2, 3), {"y": torch.rand(2, 3)}),)
    kwargs = {"mask": torch.rand(3), "by": 7}
    with torch.no_grad():
        program = capture(module, args, kwargs)
        made = run_program(program, args, kwargs)
        expected = tensors_of(module(*args, **kwargs))
    assert len(made) == len(expected) == 3
    for want, got in zip(expected, made, strict=True):
        torch.testing.assert_close(got, want)


def test_a_file_is_digested_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with DigestedFile(path) as file:
        file.write(b"head")
        file.write(memoryview(torch.arange(10.0).numpy()))
        file.write(b"")
    assert path.stat().st_size == 44
    assert file.sha256 == digest(path)


def test_what_is_made_of_a_text_is_nobodys_line() -> None:
    frames = ["/mine/net.py", "/libs/torch/fx/symbolic.py", "/libs/sympy/core.py", "<string>"]
    trace = "\n".join(f'  File "{file}", line {place}' for place, file in enumerate(frames, 3))
    assert user_frame(trace) == "/mine/net.py:3"
