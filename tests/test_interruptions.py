"""Crashes, hangs and interruptions: each is an outcome, and nothing else is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import deadly_hops
import deadly_runtimes
import psutil
import pytest
import torch

from bridge.api import ConvertOptions, convert
from bridge.cli.console import Terminal
from bridge.formats import EXPORTED, ONNX
from bridge.hop import HOPS, Hop, HopResult, HopTask, register_hop
from bridge.outcome import Stage, Symptom
from bridge.validators.runtime import RUNTIMES, register_runtime
from bridge.worker import Limits

Register = Callable[[Callable[[HopTask], HopResult]], None]


def net() -> tuple[torch.nn.Module, tuple[torch.Tensor]]:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
    return layers.eval(), (torch.randn(1, 3, 6, 6),)


@pytest.fixture
def register() -> Iterator[Register]:
    """Register a hop that the planner prefers to torch.onnx, for one test."""

    def add(run: Callable[[HopTask], HopResult]) -> None:
        register_hop(
            Hop(
                name="deadly",
                title="ends badly",
                source=EXPORTED,
                target=ONNX,
                convert=run,
                cost=0.0,
            )
        )

    HOPS.names()
    yield add
    HOPS.unregister("deadly")


@pytest.mark.parametrize("stage", deadly_hops.STAGES)
def test_a_killed_hop_has_its_stage_and_the_others_finish(
    stage: Stage, register: Register, tmp_path: Path
) -> None:
    register(deadly_hops.DYING[stage])
    module, inputs = net()
    result = convert(module, inputs, to=["onnx", "torchscript", "mobile"], out=tmp_path)
    died = next(each for each in result.outcomes if each.subject == "deadly")
    assert (died.stage, died.symptom) == (stage, Symptom.CRASH)
    assert "SIGKILL" in died.detail
    # the next best route was taken, and everything was compared all the same
    assert [name for name, _ in result.conversions[0].routes] == [
        "torch-export/deadly/onnxsim",
        "torch-export/torch-onnx/onnxsim",
    ]
    assert {name: each["verdict"] for name, each in _targets(result.report).items()} == {
        "onnx": "pass",
        "torchscript": "pass",
        "mobile": "pass",
    }
    assert result.exit_code == 0


def test_without_another_route_the_target_fails_and_the_rest_stands(
    register: Register, tmp_path: Path
) -> None:
    register(deadly_hops.die_in_lower)
    module, inputs = net()
    options = ConvertOptions(route="deadly")
    result = convert(module, inputs, to="onnx", out=tmp_path, options=options)
    assert result.exit_code == 2
    assert [each.symptom for each in result.outcomes] == [
        Symptom.OK,
        Symptom.CRASH,
        Symptom.NOT_REACHED,
    ]
    assert not (tmp_path / "model.onnx").exists()
    assert result.report["validation"] is None


@pytest.mark.parametrize(
    ("run", "symptom"),
    [
        (deadly_hops.hang, Symptom.TIMEOUT),
        (deadly_hops.write_nothing, Symptom.ERROR),
    ],
)
def test_other_ends_are_outcomes_too(
    run: Callable[[HopTask], HopResult], symptom: Symptom, register: Register, tmp_path: Path
) -> None:
    register(run)
    module, inputs = net()
    options = ConvertOptions(limits=Limits(seconds=15))
    result = convert(module, inputs, to="onnx", out=tmp_path, options=options)
    assert next(o for o in result.outcomes if o.subject == "deadly").symptom is symptom
    assert _targets(result.report)["onnx"]["verdict"] == "pass"


def test_a_file_that_the_runtime_refuses_is_a_failed_target(
    register: Register, tmp_path: Path
) -> None:
    register(deadly_hops.write_something_else)
    module, inputs = net()
    result = convert(module, inputs, to=["onnx", "torchscript"], out=tmp_path)
    # onnxsim cannot read it either, so the unsimplified file stands, and does not pass
    onnx = _targets(result.report)["onnx"]
    assert (onnx["outcome"]["stage"], onnx["outcome"]["symptom"]) == ("load", "error")
    assert onnx["verdict"] == "fail"
    assert _targets(result.report)["torchscript"]["verdict"] == "pass"
    assert result.exit_code == 1


def test_a_worker_killed_from_outside(tmp_path: Path) -> None:
    def kill_at_the_moment(text: str) -> None:
        if "onnxsim" in text:
            for child in psutil.Process().children(recursive=True):
                child.kill()

    module, inputs = net()
    result = convert(
        module, inputs, to=["onnx", "torchscript"], out=tmp_path, say=kill_at_the_moment
    )
    assert result.exit_code == 0
    assert {name: each["verdict"] for name, each in _targets(result.report).items()} == {
        "onnx": "pass",
        "torchscript": "pass",
    }


def test_a_runtime_that_dies_fails_its_row_alone(tmp_path: Path) -> None:
    RUNTIMES.names()
    register_runtime(deadly_runtimes.Deadly)
    try:
        module, inputs = net()
        result = convert(module, inputs, to=["onnx", "torchscript"], out=tmp_path)
    finally:
        RUNTIMES.unregister("deadly")
    targets = _targets(result.report)
    assert {name: each["verdict"] for name, each in targets.items()} == {
        "onnx": "pass",
        "onnx@deadly": "fail",
        "torchscript": "pass",
    }
    outcome = targets["onnx@deadly"]["outcome"]
    assert (outcome["stage"], outcome["symptom"]) == ("run", "crash")  # type: ignore[index]
    assert result.exit_code == 1


def test_ctrl_c_leaves_the_earlier_results_and_no_process(tmp_path: Path) -> None:
    module = tmp_path / "net.py"
    module.write_text(
        "import torch\n"
        "class Slow(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        for _ in range(4000):\n"
        "            x = x * 1.0001\n"
        "        return x\n"
        "def quick(): return torch.nn.Linear(3, 2), (torch.randn(1, 3),)\n"
        "def slow(): return Slow(), (torch.randn(1, 3),)\n"
    )
    command = [sys.executable, "-m", "bridge", "convert", "--out", "out", "--to", "onnx"]
    done = subprocess.run([*command, "net.py:quick"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    process = subprocess.Popen([*command, "net.py:slow"], cwd=tmp_path, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while b"torch.export" not in process.stderr.readline():
        pass
    children = psutil.Process(process.pid).children(recursive=True)
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert b"interrupted" in process.stderr.read()
    assert not [each for each in children if each.is_running() and each.status() != "zombie"]
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_an_interruption_that_a_library_swallowed_counts_at_the_next_step() -> None:
    terminal = Terminal(quiet=True)
    with terminal.progress() as say:
        say("one step")
        with contextlib.suppress(KeyboardInterrupt):  # as in a destructor
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        with pytest.raises(KeyboardInterrupt):
            say("the next one")


def _targets(report: dict[str, object]) -> dict[str, dict[str, dict[str, str]]]:
    return report["validation"]["targets"]  # type: ignore[index]
