"""Small models of every format, made by hand or by PyTorch, for the tests of inspection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from bridge.formats import FORMATS

BATCH = torch.export.Dim("batch", min=2, max=32)


class Net(nn.Module):
    """23 stored elements: 4x3 weights and 3 biases, and the 8 of a table that is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("table", torch.arange(8, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.linear(x)) + self.table.sum() + 1.0


class Tied(nn.Module):
    """Two names of one weight of 2x2."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Branching(nn.Module):
    def forward(self, x: Tensor, n: int) -> tuple[Tensor, int]:
        for _ in range(n):
            x = x.sin() if bool(x.sum() > 0) else x.cos()
        return x, n


class Conditional(nn.Module):
    def forward(self, x: Tensor, scale: float) -> dict[str, Tensor]:
        y = torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))
        return {"y": y * scale, "x": x + 1}


def make_exported(path: Path) -> None:
    program = torch.export.export(
        Net().eval(), (torch.ones(2, 4),), dynamic_shapes={"x": {0: BATCH}}
    )
    torch.export.save(program, path)


def make_torchscript(path: Path) -> None:
    torch.jit.trace(Net().eval(), torch.ones(2, 4)).save(path)


def make_mobile(path: Path) -> None:
    torch.jit.trace(Net().eval(), torch.ones(2, 4))._save_for_lite_interpreter(
        str(path), _use_flatbuffer=True
    )


def make_onnx(path: Path) -> None:
    """Two MatMuls and a branch, of which one leg calls a function: 12 + 3 + 2 elements."""
    branch = {}
    for name, operator in (("then_branch", "Exp"), ("else_branch", "Shifted")):
        domain = "local" if operator == "Shifted" else ""
        branch[name] = helper.make_graph(
            [helper.make_node(operator, ["h"], [f"{operator}_out"], domain=domain)],
            name,
            [],
            [helper.make_tensor_value_info(f"{operator}_out", TensorProto.FLOAT, None)],
        )
    shifted = helper.make_function(
        "local",
        "Shifted",
        ["a"],
        ["b"],
        [
            helper.make_node("Constant", [], ["one"], value_float=1.0),
            helper.make_node("Add", ["a", "one"], ["b"]),
        ],
        [helper.make_opsetid("", 13)],
    )
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["h"]),
            helper.make_node("If", ["flag"], ["y"], **branch),
            helper.make_node("Gelu", ["y"], ["z"]),
            helper.make_node("FusedGelu", ["z"], ["out"], domain="com.microsoft"),
        ],
        "net",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT16, [None, 3])],
        [
            numpy_helper.from_array(np.ones((4, 3), np.float32), "w"),
            numpy_helper.from_array(np.ones(3, np.float32), "b"),
            helper.make_tensor("unused", TensorProto.INT4, [2], [1, -1]),
        ],
    )
    opsets = [helper.make_opsetid(*each) for each in (("", 20), ("com.microsoft", 1), ("local", 1))]
    model = helper.make_model(
        graph, opset_imports=opsets, functions=[shifted], producer_name="tests"
    )
    model.producer_version = "7"
    onnx.save(model, path)


def make_tflite(path: Path) -> None:
    path.write_bytes(tflite_bytes(np.ones((3, 4), np.float32)))


def tflite_bytes(weights: np.ndarray) -> bytes:
    """ADD of x to itself, FULLY_CONNECTED, and a custom operator."""
    model = schema.ModelT()
    model.version, model.description = 3, "tests"
    model.operatorCodes = [
        operator_code(schema.BuiltinOperator.ADD, 2),
        operator_code(schema.BuiltinOperator.FULLY_CONNECTED, 4),
        operator_code(schema.BuiltinOperator.CUSTOM, 1, "Mystery"),
    ]
    rows, columns = weights.shape
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("x_0", [1, columns], quantized=True),
        tensor("sum", [1, columns]),
        tensor("w", [rows, columns], buffer=1),
        tensor("fc", [1, rows]),
        tensor("y_0", [1, rows]),
    ]
    graph.operators = [
        operator(0, [0, 0], [1]),
        operator(1, [1, 2, -1], [3]),
        operator(2, [3], [4]),
        operator(0, [4, 4], [4]),
    ]
    graph.inputs, graph.outputs = [0], [4]
    model.subgraphs = [graph]
    buffer = schema.BufferT()
    buffer.data = weights.view(np.uint8).ravel()
    version = schema.BufferT()
    version.data = np.frombuffer(b"1.14.0\0\0", np.uint8)
    model.buffers = [schema.BufferT(), buffer, version]
    entry = schema.SignatureDefT()
    entry.signatureKey, entry.subgraphIndex = "serving_default", 0
    entry.inputs, entry.outputs = [tensor_map("x", 0)], [tensor_map("y", 4)]
    model.signatureDefs = [entry]
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = "min_runtime_version", 2
    model.metadata = [metadata]
    builder = flatbuffers.Builder(weights.nbytes + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operator_code(builtin: int, version: int, custom: str = "") -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version, code.customCode = version, custom or None
    return code


def operator(code: int, inputs: list[int], outputs: list[int]) -> schema.OperatorT:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
    return made


def tensor(
    name: str, shape: list[int], *, buffer: int = 0, quantized: bool = False
) -> schema.TensorT:
    made = schema.TensorT()
    made.name, made.shape, made.buffer = name, shape, buffer
    if not buffer:
        made.shapeSignature = [-1, *shape[1:]]
    if quantized:
        made.type = schema.TensorType.INT8
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [0.5], [-3]
    return made


def tensor_map(name: str, index: int) -> schema.TensorMapT:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made


MAKERS: dict[str, Callable[[Path], None]] = {
    "exported": make_exported,
    "torchscript": make_torchscript,
    "mobile": make_mobile,
    "onnx": make_onnx,
    "tflite": make_tflite,
}


def make_files(folder: Path) -> dict[str, Path]:
    """Make one file of each format, under names that say nothing."""
    found = {}
    for name, make in MAKERS.items():
        suffixed = folder / f"model{FORMATS[name].suffix}"  # which some of the makers want
        make(suffixed)
        found[name] = suffixed.rename(folder / f"{name}.bin")
    return found
