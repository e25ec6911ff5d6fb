"""What inspection finds in real files of every format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from inspection_files import Branching, Conditional, Tied, make_files, make_onnx, tflite_bytes
from onnx import TensorProto, helper
from torch import nn

import bridge
from bridge.artifact import Quantization, Signature, TensorSpec, digest
from bridge.inspection import Inspection, inspect

# PyTorch's own notice that TorchScript and the lite interpreter are old
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file, and the truth about it."""

    format: str
    operators: list[tuple[str, int | None, int]]
    parameters: int
    parameter_bytes: int
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    producer: str = ""
    details: dict[str, str]


def f32(name: str, *shape: int | None) -> TensorSpec:
    return TensorSpec(name=name, shape=shape, dtype="float32")


ROWS = [
    Row(
        format="exported",
        operators=[
            ("aten.add.Tensor", None, 2),
            ("aten.linear.default", None, 1),
            ("aten.relu.default", None, 1),
            ("aten.sum.default", None, 1),
        ],
        parameters=23,
        parameter_bytes=15 * 4 + 8 * 8,
        inputs=(f32("x", None, 4),),
        outputs=(f32("add_1", None, 3),),
        producer=f"torch.export {torch.__version__}",
        details={"dialect": "TRAINING"},
    ),
    Row(
        format="torchscript",
        operators=[
            ("aten::add", None, 2),
            ("aten::linear", None, 1),
            ("aten::relu", None, 1),
            ("aten::sum", None, 1),
        ],
        parameters=23,
        parameter_bytes=15 * 4 + 8 * 8,
        inputs=(f32("x", 2, 4),),
        producer="PyTorch",
        details={"methods": "forward", "outputs": "Tensor", "archive_version": "3"},
    ),
    Row(
        format="mobile",
        operators=[
            ("aten::add.Tensor", None, 2),
            ("aten::linear", None, 1),
            ("aten::relu", None, 1),
            ("aten::sum", None, 1),
        ],
        parameters=23,
        parameter_bytes=15 * 4 + 8 * 8,
        producer="PyTorch",
        details={"bytecode_version": "9", "inputs": "x: Tensor", "outputs": "Tensor"},
    ),
    Row(
        format="onnx",
        operators=[
            ("Add", 13, 1),
            ("Add", 14, 1),
            ("Constant", 13, 1),
            ("Exp", 13, 1),
            ("Gelu", 20, 1),
            ("If", 19, 1),
            ("MatMul", 13, 1),
            ("com.microsoft.FusedGelu", None, 1),
            ("local.Shifted", None, 1),
        ],
        parameters=17,
        parameter_bytes=15 * 4 + 1,
        inputs=(f32("x", None, 4), TensorSpec(name="flag", shape=(), dtype="bool")),
        outputs=(TensorSpec(name="out", shape=(None, 3), dtype="float16"),),
        producer="tests 7",
        details={
            "opset_imports": "ai.onnx 20, com.microsoft 1, local 1",
            "symbolic_dimensions": "x[0] = batch",
            "functions": "Shifted",
        },
    ),
    Row(
        format="tflite",
        operators=[("ADD", 2, 2), ("FULLY_CONNECTED", 4, 1), ("custom:Mystery", 1, 1)],
        parameters=12,
        parameter_bytes=48,
        inputs=(
            TensorSpec(
                name="x",
                shape=(None, 4),
                dtype="int8",
                quantization=Quantization(scales=(0.5,), zero_points=(-3,)),
            ),
        ),
        outputs=(f32("y", None, 3),),
        details={
            "schema_version": "3",
            "description": "tests",
            "signatures": "serving_default",
            "custom_operators": "custom:Mystery",
            "min_runtime_version": "1.14.0",
            "subgraphs": "1",
        },
    ),
]
BY_FORMAT = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.format)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_files(tmp_path_factory.mktemp("inspection"))


@BY_FORMAT
def test_what_a_file_holds(row: Row, files: dict[str, Path]) -> None:
    found = inspect(files[row.format])
    assert found.format.name == row.format
    assert [(each.name, each.version, each.count) for each in found.operators] == row.operators
    assert (found.parameters, found.parameter_bytes) == (row.parameters, row.parameter_bytes)
    assert found.signature.inputs == row.inputs
    assert found.signature.outputs == row.outputs
    assert f"{found.producer} {found.producer_version}".strip() == row.producer
    assert found.details.items() >= row.details.items()
    assert found.size == files[row.format].stat().st_size
    assert found.sha256 == digest(files[row.format])


@BY_FORMAT
@pytest.mark.parametrize("suffix", [".onnx", ".json", ".pt", ".tflite", ""])
def test_a_wrong_suffix_does_not_matter(
    row: Row, suffix: str, files: dict[str, Path], tmp_path: Path
) -> None:
    moved = shutil.copy(files[row.format], tmp_path / f"model{suffix}")
    assert inspect(moved).operators == inspect(files[row.format]).operators


@BY_FORMAT
def test_json(row: Row, files: dict[str, Path]) -> None:
    found = inspect(str(files[row.format]))
    data = json.loads(json.dumps(found.to_json()))
    assert data["format"] == row.format
    assert Signature.from_json(data["signature"]) == found.signature
    assert data["operators"][0] == {
        "name": row.operators[0][0],
        "version": row.operators[0][1],
        "count": row.operators[0][2],
    }


def test_the_package_itself_offers_it() -> None:
    assert bridge.inspect is inspect


def test_importing_it_loads_no_framework() -> None:
    code = "import sys, bridge.inspection; print(*{each.partition('.')[0] for each in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "onnx", "numpy", "flatbuffers", "ai_edge_litert"} & set(loaded)


def test_exported_agrees_with_pytorch(files: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copy(files["exported"], tmp_path / "model.pt2")
    program = torch.export.load(copy)
    found = inspect(copy)
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    assert sum(each.count for each in found.operators) == len(calls)
    assert [spec.name for spec in found.signature.inputs] == list(
        program.graph_signature.user_inputs
    )
    assert found.parameters == sum(each.numel() for each in program.state_dict.values())
    assert "2 to 32" in found.details["symbolic_dimensions"]


def test_exported_branches_constants_and_several_outputs(tmp_path: Path) -> None:
    program = torch.export.export(Conditional(), (torch.ones(3, 2), 2.0))
    torch.export.save(program, tmp_path / "model.pt2")
    found = inspect(tmp_path / "model.pt2")
    counts = {each.name: each.count for each in found.operators}
    assert counts["higher_order.cond"] == 1
    assert counts["aten.sin.default"] == counts["aten.cos.default"] == 1
    assert found.details["constant_inputs"] == "scale = 2.0"
    assert [spec.shape for spec in found.signature.outputs] == [(3, 2), (3, 2)]


@pytest.mark.parametrize("kind", ["exported", "torchscript", "mobile"])
def test_a_weight_with_two_names_counts_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("model.pt2" if kind == "exported" else "model")
    if kind == "exported":
        torch.export.save(torch.export.export(Tied(), (torch.ones(1, 2),)), path)
    elif kind == "torchscript":
        torch.jit.script(Tied()).save(path)
    else:
        torch.jit.script(Tied())._save_for_lite_interpreter(str(path), _use_flatbuffer=True)
    assert inspect(path).parameters == 4


def test_scripted_torchscript_claims_no_shapes(tmp_path: Path) -> None:
    torch.jit.script(Branching()).save(tmp_path / "model.pt")
    found = inspect(tmp_path / "model.pt")
    assert found.signature.inputs == ()
    assert found.details["inputs"] == "x: Tensor, n: int"
    assert found.details["outputs"] == "Tuple[Tensor, int]"
    counts = {each.name: each.count for each in found.operators}
    assert counts["prim::Loop"] == counts["prim::If"] == counts["aten::sin"] == 1
    assert "prim::Constant" not in counts


@pytest.mark.parametrize("lite", [False, True])
def test_frozen_weights_are_counted(lite: bool, tmp_path: Path) -> None:
    frozen = torch.jit.freeze(torch.jit.script(nn.Linear(4, 3).eval()))
    if lite:
        frozen._save_for_lite_interpreter(str(tmp_path / "model"), _use_flatbuffer=True)
    else:
        frozen.save(tmp_path / "model")
    assert inspect(tmp_path / "model").parameters == 15


def test_mobile_agrees_with_pytorch(files: dict[str, Path], tmp_path: Path) -> None:
    from torch.jit.mobile import _export_operator_list, _load_for_lite_interpreter

    copy = shutil.copy(files["mobile"], tmp_path / "model.ptl")
    operators = _export_operator_list(_load_for_lite_interpreter(str(copy)))
    assert {each.name for each in inspect(copy).operators} == operators


def test_a_zipped_lite_module_tells_its_bytecode_version(tmp_path: Path) -> None:
    scripted = torch.jit.script(nn.Linear(4, 3))
    scripted._save_for_lite_interpreter(str(tmp_path / "model.ptl"))
    found = inspect(tmp_path / "model.ptl")
    assert found.format.name == "torchscript"
    assert int(found.details["bytecode_version"]) >= 5


def test_onnx_external_data_is_not_read_and_its_state_is_told(tmp_path: Path) -> None:
    make_onnx(tmp_path / "whole.onnx")
    onnx.save_model(
        onnx.load(tmp_path / "whole.onnx"),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=16,
    )
    file = tmp_path / "weights.bin"
    found = inspect(tmp_path / "model.onnx")
    assert found.parameters == 17
    assert found.details["external_data"] == f"weights.bin ({file.stat().st_size} bytes)"
    os.truncate(file, 4)
    assert "4 bytes, 60 are needed" in inspect(tmp_path / "model.onnx").details["external_data"]
    file.unlink()
    assert inspect(tmp_path / "model.onnx").details["external_data"] == "weights.bin (missing)"


def test_onnx_of_unknown_rank_claims_no_shape(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    found = inspect(tmp_path / "model.onnx")
    assert found.signature.inputs == ()
    assert found.details["inputs"] == "x: tensor of float32, rank unknown"
    assert found.signature.outputs == (f32("y", 1),)


def test_tflite_without_signatures_goes_by_its_tensors(
    files: dict[str, Path], tmp_path: Path
) -> None:
    model = schema.ModelT.InitFromPackedBuf(files["tflite"].read_bytes())
    model.signatureDefs = None
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "model").write_bytes(builder.Output())
    found = inspect(tmp_path / "model").signature
    assert [spec.name for spec in (*found.inputs, *found.outputs)] == ["x_0", "y_0"]


def test_the_weights_of_a_big_tflite_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(np.ones((2048, 4096), np.float32)))
    inspect(path)  # the framework is imported here
    tracemalloc.start()
    begun = time.perf_counter()
    found = inspect(path)
    seconds = time.perf_counter() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.parameters == 2048 * 4096
    assert peak < 2 * 2**20 < found.size
    assert seconds < 1


def test_an_inspection_is_frozen(files: dict[str, Path]) -> None:
    found = inspect(files["onnx"])
    assert isinstance(found, Inspection)
    with pytest.raises(AttributeError):
        found.size = 0  # type: ignore[misc]
