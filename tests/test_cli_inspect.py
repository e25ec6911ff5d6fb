"""``driftbridge inspect``: what a person and a program are told about a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper
from tflite_files import TFLiteFile
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


@pytest.fixture
def tflite(tmp_path: Path) -> Path:
    """EXP, a transpose and SIGN, which XNNPACK leaves; the tensor's name is markup to rich."""
    file = TFLiteFile()
    x = file.tensor("x", (2, 3))
    exp = file.operator("EXP", [x], file.tensor("block/exp", (2, 3)))
    order = file.constant("order", np.array([1, 0], np.int32))
    turned = file.operator(
        "TRANSPOSE", [exp, order], file.tensor("block/exp/transpose", (3, 2)), "TransposeOptions"
    )
    sign = file.operator("SIGN", [turned], file.tensor("[red]sign", (3, 2)))
    file.inputs, file.outputs = {"x": x}, {"y": sign}
    (tmp_path / "m.tflite").write_bytes(file.finish())
    return tmp_path / "m.tflite"


def test_a_person_sees_what_xnnpack_takes_and_leaves(tflite: Path) -> None:
    code, out, _ = run(str(tflite))
    assert code == 0
    assert "3 operators" in out
    transposes, _, rest = out.partition("1 transpose\n")[2].partition("XNNPACK (ai-edge-litert ")
    assert "block/exp/transpose" in transposes
    assert "takes 2 of 3 operators in 1 partition\n" in rest
    partitions, _, left = rest.partition("1 operator not delegated")
    assert "EXP, TRANSPOSE" in partitions
    assert "SIGN" in left
    assert "[red]sign" in left
    assert "source" not in left  # there is no manifest that could tell it


def test_a_program_gets_the_graph_of_a_tflite_file(tflite: Path) -> None:
    code, out, err = run(str(tflite), "--json")
    assert (code, err) == (0, "")
    graph = json.loads(out)["graph"]
    assert [each["tensor"] for each in graph["transposes"]] == ["block/exp/transpose"]
    assert [each["name"] for each in graph["xnnpack"]["left"]] == ["SIGN"]
    (partition,) = graph["xnnpack"]["partitions"]
    assert partition == {"operators": [0, 1], "counts": {"EXP": 1, "TRANSPOSE": 1}}


def test_other_formats_have_no_such_graph(model: Path) -> None:
    assert "graph" not in json.loads(run(str(model), "--json")[1])


def test_what_cannot_be_loaded_is_shown_with_the_reason(tmp_path: Path) -> None:
    file = TFLiteFile()
    x = file.tensor("x", (2, 3))
    file.inputs = {"x": x}
    file.outputs = {"y": file.operator("EXP", [x, x], file.tensor("y", (2, 3)))}
    (tmp_path / "m.tflite").write_bytes(file.finish())
    code, out, _ = run(str(tmp_path / "m.tflite"))
    assert code == 0
    assert "what XNNPACK takes is not known: error: RuntimeError" in out
    assert "EXP" in out
