"""``driftbridge lowerings``: what the direct compiler knows, without any framework."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import typer
from typer.testing import CliRunner

from bridge.cli.lowerings import lowerings
from bridge.converters.tflite import LOWERINGS, Context, Value, lowers

app = typer.Typer()
app.command()(lowerings)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "250"})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def listed(*arguments: str) -> dict[str, dict[str, str]]:
    code, out, err = run(*arguments, "--json")
    assert code == 0
    assert err == ""
    return {each["operator"]: each for each in json.loads(out)["lowerings"]}


@pytest.fixture
def own() -> Iterator[Callable[[str], None]]:
    """Register a lowering for one test."""
    added = []

    def add(name: str) -> None:
        @lowers(name)
        def lowering(ctx: Context, x: Value) -> Value:
            """twist(Tensor self) -> [RESHAPE], TRANSPOSE.

            The axes are [bold]twisted[/bold].
            """
            return x

        added.append(name)

    LOWERINGS.names()
    yield add
    for name in added:
        LOWERINGS.unregister(name)


def test_a_person_sees_every_operator_and_what_it_becomes() -> None:
    code, out, _ = run()
    assert code == 0
    for name in LOWERINGS.names():
        assert f" {name} " in out
    (line,) = (line for line in out.splitlines() if " aten.leaky_relu " in line)
    assert "LEAKY_RELU" in line
    assert "bridge.converters.tflite.lowerings.activation" in line
    count = len(LOWERINGS.names())
    assert f"{count} of {count} lowerings" in out


def test_a_program_gets_all_of_them() -> None:
    rows = listed()
    assert list(rows) == LOWERINGS.names()
    assert all(each["summary"] for each in rows.values())
    assert rows["aten.relu"]["module"] == "bridge.converters.tflite.lowerings.activation"


def test_a_plug_in_is_listed_with_its_own_module(own: Callable[[str], None]) -> None:
    own("mylib.twist")
    row = listed("mylib")["mylib.twist"]
    assert row["summary"] == "twist(Tensor self) -> [RESHAPE], TRANSPOSE."
    assert row["module"] == __name__
    assert "[RESHAPE], TRANSPOSE" in run("mylib")[1]


@pytest.mark.parametrize("text", ["relu", "RELU", "Relu"])
def test_a_text_selects_by_name_and_summary_in_any_case(text: str) -> None:
    rows = listed(text)
    assert {"aten.relu", "aten.leaky_relu"} <= set(rows)
    assert len(rows) < len(LOWERINGS.names())
    for name, row in rows.items():
        assert "relu" in f"{name} {row['summary']}".lower()
    assert f"{len(rows)} of {len(LOWERINGS.names())} lowerings" in run(text)[1]


@pytest.mark.parametrize("text", ["leaky_rleu", "aten.leaky_rleu", "LEAKY_RLEU"])
def test_a_misspelt_name_is_wrong_usage_and_gets_a_hint(text: str) -> None:
    code, out, err = run(text)
    assert code == 64
    assert out == ""
    assert text in err
    assert "did you mean" in err
    assert "aten.leaky_relu" in err.partition("did you mean")[2]


def test_a_name_like_no_other_leads_to_the_whole_list() -> None:
    code, _, err = run("qqqqqqqqqqq")
    assert code == 64
    assert "driftbridge lowerings shows all" in err


def test_quiet_prints_nothing() -> None:
    assert run("--quiet") == (0, "", "")


def test_no_framework_is_imported() -> None:
    code = """
import sys
from bridge.cli import commands
from bridge.cli.app import app
commands.register(app)
app(["lowerings", "--json"], standalone_mode=False)
frameworks = {"torch", "ai_edge_litert", "flatbuffers", "onnx"} & set(sys.modules)
print(sorted(frameworks), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert json.loads(done.stdout)["lowerings"]
