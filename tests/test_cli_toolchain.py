"""``driftbridge toolchain``: environments that are made whole, used, listed and removed."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge import toolchain
from bridge.cli.toolchain import toolchain_app
from bridge.toolchain import install, python_of, toolchain_named

TAG = toolchain._PYTHON_TAG


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(toolchain_app, arguments, env={"COLUMNS": "250"})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def listed() -> dict[str, dict[str, object]]:
    code, out, _ = run("list", "--json")
    assert code == 0
    return {each["name"]: each for each in json.loads(out)["toolchains"]}


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of requirements of its own, and a cache of its own."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    monkeypatch.setattr(toolchain, "_REQUIREMENTS", folder)
    monkeypatch.setenv("DRIFTBRIDGE_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def tiny(requirements: Path, tmp_path: Path) -> Path:
    """Requirements that a wheel on disk satisfies; no network is needed."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    info = "tiny_tool-1.5.dist-info"
    with zipfile.ZipFile(wheels / "tiny_tool-1.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_tool.py", "VALUE = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-tool\nVersion: 1.5\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    file = requirements / f"tiny-{TAG}.txt"
    file.write_text(f"--no-index\n--find-links {wheels}\ntiny-tool==1.5\n")
    return file


def in_cache(tmp_path: Path) -> list[str]:
    root = tmp_path / "cache" / "toolchains"
    return [each.name for each in root.iterdir()] if root.exists() else []


def test_a_toolchain_is_installed_listed_used_and_removed(tiny: Path, tmp_path: Path) -> None:
    assert listed()["tiny"]["installed"] is False
    code, out, err = run("install", "tiny")
    assert code == 0
    assert "tiny is installed in" in out
    assert "making an environment" in err  # what goes on is said while it goes on

    entry = listed()["tiny"]
    assert entry["installed"] is True
    folder = str(entry["folder"])
    assert Path(folder).parent == tmp_path / "cache" / "toolchains"
    assert isinstance(entry["size"], int)
    assert entry["size"] > 1_000_000
    table = run("list")[1]
    assert "tiny" in table
    assert folder in table
    assert "MB" in table

    said: list[str] = []
    python = python_of("tiny", said.append)
    assert said == []  # nothing is made a second time
    program = (
        "import tiny_tool, importlib.util;print(tiny_tool.VALUE, importlib.util.find_spec('numpy'))"
    )
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "42 None", done.stderr

    assert "was installed already" in run("install", "tiny")[1]
    assert json.loads(run("remove", "tiny", "--json")[1]) == {"name": "tiny", "removed": True}
    assert in_cache(tmp_path) == []
    assert listed()["tiny"]["installed"] is False
    assert "was not installed" in run("remove", "tiny")[1]


def test_requirements_that_cannot_be_had_leave_nothing_behind(
    requirements: Path, tmp_path: Path
) -> None:
    (requirements / f"tiny-{TAG}.txt").write_text("--no-index\nnothing-of-this-name==9.9\n")
    code, out, err = run("install", "tiny")
    assert code == 2
    assert out == ""
    assert "the toolchain tiny could not be made" in err
    assert "No matching distribution found for nothing-of-this-name==9.9" in err
    assert in_cache(tmp_path) == []
    assert not toolchain_named("tiny").installed


def test_an_interrupted_installation_leaves_nothing_behind(tiny: Path, tmp_path: Path) -> None:
    def interrupt(text: str) -> None:
        if "Installing" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install("tiny", interrupt)
    assert in_cache(tmp_path) == []
    assert not toolchain_named("tiny").installed


def test_new_requirements_are_another_environment(tiny: Path) -> None:
    before = toolchain_named("tiny").folder
    tiny.write_text(tiny.read_text() + "# changed\n")
    assert toolchain_named("tiny").folder != before


@pytest.mark.parametrize("command", ["install", "remove"])
def test_an_unknown_name_is_wrong_usage(tiny: Path, command: str) -> None:
    code, out, err = run(command, "tinny")
    assert code == 64
    assert out == ""
    assert "there is no toolchain 'tinny'" in err
    assert "toolchains: tiny" in err


def test_requirements_of_another_python_are_told(requirements: Path) -> None:
    (requirements / "old-py20.txt").write_text("anything==1\n")
    assert listed()["old"]["installed"] is False
    assert "for this Python" in str(listed()["old"]["reason"])
    code, _, err = run("install", "old")
    assert code == 2
    assert TAG in err
