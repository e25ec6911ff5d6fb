"""``driftbridge inspect``: what a person and a program are told about a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from bridge.cli.inspect import inspect

app = typer.Typer()
app.command()(inspect)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "250"})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two matrix products with a Relu between them, under a suffix that says nothing."""
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "weight")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["data", "weight"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "weight"], ["result"]),
        ],
        "net",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", 4])],
        [weight],
    )
    opset = helper.make_opsetid("", 17)
    made = helper.make_model(graph, producer_name="pen [and] paper", opset_imports=[opset])
    onnx.save(made, tmp_path / "model.bin")
    return tmp_path / "model.bin"


def test_a_person_sees_what_the_file_holds(model: Path) -> None:
    code, out, _ = run(str(model))
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "onnx (ONNX)" in rows["format"]
    assert "pen [and] paper" in rows["producer"]
    assert "16 (64 B)" in rows["parameters"]
    assert "data: float32[?x4]" in rows["input"]
    assert "result: float32[?x4]" in rows["output"]
    assert f"{model.stat().st_size:,} bytes" in rows["size"]
    assert "3 operators" in out
    cells = {
        line.split("│")[1].strip(): line.split("│") for line in out.splitlines() if "│" in line
    }
    assert [cell.strip() for cell in cells["MatMul"][2:4]] == ["2", "13"]
    assert [cell.strip() for cell in cells["Relu"][2:4]] == ["1", "14"]


def test_a_program_gets_json_and_nothing_else(model: Path) -> None:
    code, out, err = run(str(model), "--json")
    assert code == 0
    assert err == ""
    document = json.loads(out)
    assert document["format"] == "onnx"
    assert document["parameters"] == 16
    assert {"name": "MatMul", "version": 13, "count": 2} in document["operators"]
    assert document["signature"]["inputs"][0]["shape"] == [None, 4]


def test_quiet_prints_nothing(model: Path) -> None:
    assert run(str(model), "--quiet") == (0, "", "")


@pytest.mark.parametrize("content", [None, b"", b"not a model at all, by any means"])
def test_what_is_no_model_is_refused_with_the_reason(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "[a] file.onnx"
    if content is not None:
        file.write_bytes(content)
    code, out, err = run(str(file))
    assert code == 2
    assert out == ""
    assert "error [source]" in err
    assert "[a] file.onnx" in err


def test_a_cut_off_file_is_refused(model: Path) -> None:
    content = model.read_bytes()
    model.write_bytes(content[: len(content) // 2])
    code, out, err = run(str(model), "--json")
    assert code == 2
    assert "truncated" in err
    assert json.loads(out)["error"]["code"] == "source"
