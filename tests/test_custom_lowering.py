"""Lowerings from outside the package: of an operator of one's own, through the public functions."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import bridge
from bridge.api import look
from bridge.converters.tflite import LOWERINGS, Context, Value, lowers, unsupported
from bridge.errors import RegistryError

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "adding-a-lowering.md"

# the first example of the guide, as a module of a user's
OPERATORS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]

MODEL = """
import torch
from operators import scaled_tanh


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        return scaled_tanh(self.linear(x), 2.0)


def net():
    torch.manual_seed(0)
    return Net(), (torch.randn(1, 4),)
"""

ENTRY_POINT = """
[driftbridge.lowerings]
mylib = operators
"""


@pytest.fixture(scope="module")
def operators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module of the guide, imported into this process."""
    file = tmp_path_factory.mktemp("mylib") / "operators.py"
    file.write_text(OPERATORS)
    spec = importlib.util.spec_from_file_location("operators", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    LOWERINGS.unregister("mylib.scaled_tanh")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the operators and a model that uses them."""
    (tmp_path / "operators.py").write_text(OPERATORS)
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


@pytest.fixture
def installed(project: Path) -> Path:
    """The same, with the operators as an installed distribution."""
    info = project / "mylib-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mylib\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    return project


def driftbridge(
    project: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the project, where its modules are found, or elsewhere, where not."""
    path = {"PYTHONPATH": str(project)} if cwd is None else {}
    return subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        cwd=cwd or project,
        env={**os.environ, **path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_python(project: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_model_with_an_operator_of_ones_own_converts(
    operators: ModuleType, tmp_path: Path
) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = operators.scaled_tanh(self.linear(x), 2.0)
            return made

    result = bridge.convert(Net(), (torch.randn(1, 4),), to="tflite", out=tmp_path / "out")
    assert result.ok
    assert result.artifacts["tflite"].producer == "tflite-direct"
    target = result.report["validation"]["targets"]["tflite"]
    assert target["verdict"] == "pass"
    assert float(target["outputs"]["output"]["sqnr_db"]) > 120
    (layer,) = (each for each in result.report["layers"] if each["op"] == "mylib.scaled_tanh")
    assert layer["targets"]["tflite"]["mapped"]
    delegation = look(tmp_path / "out" / "model.tflite").delegation
    assert [[each.name for each in part] for part in delegation.partitions] == [
        ["FULLY_CONNECTED", "TANH", "MUL"]
    ]


def test_a_refusal_is_told_with_the_argument_and_the_hint(tmp_path: Path) -> None:
    @torch.library.custom_op("mylib_refused::shift", mutates_args=())
    def shift(x: torch.Tensor, by: int) -> torch.Tensor:
        return x + by

    @shift.register_fake
    def _(x: torch.Tensor, by: int) -> torch.Tensor:
        return torch.empty_like(x)

    @lowers("mylib_refused.shift")
    def lower_shift(ctx: Context, x: Value, by: int) -> Value:
        """shift(Tensor x, int by) -> nothing yet."""
        raise unsupported("by", by, "shift by nothing")

    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = shift(x, 3)
            return made

    try:
        result = bridge.convert(
            Net(),
            (torch.randn(1, 4),),
            to="tflite",
            out=tmp_path / "out",
            options=bridge.api.ConvertOptions(route="tflite-direct"),
        )
    finally:
        LOWERINGS.unregister("mylib_refused.shift")
    assert not result.ok
    (outcome,) = (each for each in result.outcomes if each.subject == "tflite-direct")
    assert outcome.symptom == "unsupported"
    assert "mylib_refused.shift (used 1×)" in outcome.detail
    assert "by=3 is not supported (shift by nothing)" in outcome.detail
    assert Path(__file__).name in outcome.detail


def test_the_command_line_takes_what_the_models_file_registers(project: Path) -> None:
    done = driftbridge(project, "convert", "net.py:net", "--to", "tflite", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["conversions"][0]["artifact"]["producer"] == "tflite-direct"
    assert report["validation"]["targets"]["tflite"]["verdict"] == "pass"


def test_a_stored_program_knows_who_registers_its_operators(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out = str(tmp_path / "out")
    model = f"{project / 'net.py'}:net"
    converted = driftbridge(
        project, "convert", model, "--to", "tflite", "--out", out, "--no-validate", cwd=elsewhere
    )
    assert converted.returncode == 0, converted.stderr
    validated = driftbridge(project, "validate", out, "--json", cwd=elsewhere)
    assert validated.returncode == 0, validated.stderr
    assert json.loads(validated.stdout)["validation"]["targets"]["tflite"]["verdict"] == "pass"
    blamed = driftbridge(
        project, "blame", out, "--target", "tflite", "--layer", "scaled_tanh", cwd=elsewhere
    )
    assert blamed.returncode == 0, blamed.stderr

    (project / "operators.py").rename(project / "moved.py")
    lost = driftbridge(project, "validate", out, cwd=elsewhere)
    assert lost.returncode == 2
    said = lost.stdout + lost.stderr
    assert "has the operator mylib::scaled_tanh, which is not registered here" in said
    assert "the module operators" in said
    assert "Traceback" not in said


SCRIPT = (
    OPERATORS
    + """
import bridge

class Net(torch.nn.Module):
    def forward(self, x):
        return scaled_tanh(x, 2.0)

print("the script runs")
assert bridge.convert(Net(), (torch.ones(1, 4),), to="tflite", out="out", validate=False).ok
"""
)


def test_a_script_is_not_run_again_for_its_operators(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    made = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert made.stdout == "the script runs\n"
    done = driftbridge(tmp_path, "validate", "out")
    assert done.returncode == 2
    assert "the script runs" not in done.stdout
    assert f"the script {tmp_path / 'script.py'} registered it" in done.stderr


def test_an_installed_plug_in_is_found_by_commands_that_do_not_import_the_model(
    installed: Path,
) -> None:
    listed = driftbridge(installed, "lowerings", "mylib", "--json")
    assert json.loads(listed.stdout)["lowerings"] == [
        {
            "operator": "mylib.scaled_tanh",
            "summary": "scaled_tanh(Tensor x, float scale=1.0) -> TANH, MUL.",
            "module": "operators",
        }
    ]
    converted = driftbridge(installed, "convert", "net.py:net", "--to", "tflite", "--quiet")
    assert converted.returncode == 0, converted.stderr
    validated = driftbridge(installed, "validate", "out", "--json")
    assert validated.returncode == 0, validated.stderr
    assert json.loads(validated.stdout)["validation"]["targets"]["tflite"]["verdict"] == "pass"
    again = driftbridge(
        installed, "convert", "out/model.pt2", "--to", "tflite", "--out", "again", "--json"
    )
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["validation"]["targets"]["tflite"]["verdict"] == "pass"


def test_a_plug_in_that_cannot_be_imported_is_named(installed: Path) -> None:
    (installed / "operators.py").write_text("import no_such_module\n")
    done = driftbridge(installed, "lowerings")
    assert done.returncode == 2
    assert "the plug-in 'mylib' of mylib cannot be loaded" in done.stderr
    assert "No module named 'no_such_module'" in done.stderr
    assert "mend or uninstall mylib" in done.stderr


def test_two_lowerings_of_one_operator_are_an_error_that_names_both(operators: ModuleType) -> None:
    with pytest.raises(RegistryError) as raised:

        @lowers("mylib.scaled_tanh")
        def second(ctx: Context, x: Value, scale: float = 1.0) -> Value:
            return x

    assert "'mylib.scaled_tanh'" in raised.value.message
    assert "one in operators" in raised.value.message
    assert f"one in {__name__}" in raised.value.message
    assert LOWERINGS.home("mylib.scaled_tanh") == "operators"


def test_a_second_lowering_of_an_operator_of_pytorchs_is_an_error(project: Path) -> None:
    with (project / "operators.py").open("a") as file:
        file.write("\n\nlowers('aten.linear')(lower_scaled_tanh)\n")
    done = driftbridge(
        project, "convert", "net.py:net", "--to", "tflite", "--route", "tflite-direct"
    )
    assert done.returncode == 2
    shown = done.stdout + done.stderr
    assert "two lowerings are called 'aten.linear'" in shown
    assert "bridge.converters.tflite.lowerings.linear" in shown
    assert "operators" in shown


def test_an_override_replaces_the_lowering() -> None:
    before = LOWERINGS.get("aten.relu")
    home = LOWERINGS.home("aten.relu")

    def own(ctx: Context, x: Value) -> Value:
        """relu(Tensor self) -> RELU6."""
        return ctx.emit("RELU6", x)

    try:
        lowers("aten.relu", override=True)(own)
        assert LOWERINGS.get("aten.relu").function is own
        assert LOWERINGS.home("aten.relu") == __name__
    finally:
        LOWERINGS.unregister("aten.relu")
        LOWERINGS.register("aten.relu", before, home=home)


OVERRIDE = """
import json
import torch, bridge
from bridge.converters.tflite import lowers

{lowering}

made = bridge.convert("relu.pt2", to="tflite", out="out", validate=False)
conversion = made.conversions[0]
kinds = [each.name for each in bridge.inspect("out/model.tflite").operators]
print(json.dumps([conversion.reused, kinds]))
"""


def test_an_override_is_used_from_the_first_line_and_nothing_of_before_is_reused(
    tmp_path: Path,
) -> None:
    program = torch.export.export(torch.nn.ReLU(), (torch.ones(1, 4),))
    torch.export.save(program, tmp_path / "relu.pt2")

    def run(kind: str) -> list[object]:
        lowering = (
            f"lowers('aten.relu', override=True)(lambda ctx, x: ctx.emit('{kind}', x))"
            if kind
            else ""
        )
        (tmp_path / "script.py").write_text(OVERRIDE.format(lowering=lowering))
        done = run_python(tmp_path, "import script")
        assert done.returncode == 0, done.stderr
        answer: list[object] = json.loads(done.stdout)
        return answer

    assert run("") == [False, ["RELU"]]
    assert run("") == [True, ["RELU"]]
    assert run("RELU6") == [False, ["RELU6"]]
    assert run("RELU6") == [True, ["RELU6"]]
    assert run("RELU_0_TO_1") == [False, ["RELU_0_TO_1"]]
    assert run("") == [False, ["RELU"]]
