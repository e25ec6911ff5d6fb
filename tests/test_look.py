"""The graph of a TFLite file: what XNNPACK takes, what it leaves, and from which lines that is."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compile_torch import compile_module, partitions
from tflite_files import TFLiteFile, cnn
from torch import nn

from bridge.api import ConvertOptions, Look, convert, look
from bridge.api.inspecting import PlacedOperator
from bridge.errors import SourceError, UsageError
from bridge.inspection.tflite_graph import graph_operators
from bridge.validators.delegation import Node, divided
from bridge.worker import Limits

MODEL = """
import torch


class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.flip(self.conv(x), [3])


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = Head()

    def forward(self, image):
        return torch.cumsum(torch.relu(self.head(image)), 2)


def net():
    return Net(), (torch.rand(1, 3, 8, 8),)
"""


def chain(*kinds: str) -> TFLiteFile:
    """A file of operators with one input, each of which reads the result of the one before."""
    file = TFLiteFile()
    tensor = file.tensor("x", (1, 4, 4, 2))
    file.inputs = {"x": tensor}
    for place, kind in enumerate(kinds):
        tensor = file.operator(kind, [tensor], file.tensor(f"made_{place}", (1, 4, 4, 2)))
    file.outputs = {"y": tensor}
    return file


def looked(file: TFLiteFile, path: Path) -> Look:
    path.write_bytes(file.finish())
    return look(path)


def names(operators: tuple[PlacedOperator, ...]) -> list[str]:
    return [each.name for each in operators]


def node(inputs: list[int], outputs: list[int]) -> Node:
    return Node(inputs=tuple(inputs), outputs=tuple(outputs))


# -- partitions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operators", "delegates", "outputs", "expected"),
    [
        pytest.param(
            [([0], [1]), ([1], [2]), ([2], [3])],
            [([0], [3])],
            [3],
            ([[0, 1, 2]], [], []),
            id="one partition",
        ),
        pytest.param(
            [([0], [1]), ([1], [2]), ([2], [3])],
            [([0], [1]), ([2], [3])],
            [3],
            ([[0], [2]], [1], []),
            id="an operator between two",
        ),
        pytest.param(
            [([0], [1]), ([1], [2]), ([1], [3]), ([2, 3], [4])],
            [([0], [1, 3]), ([2, 3], [4])],
            [4],
            ([[0, 2], [3]], [1], []),
            id="a tensor of one partition read in another",
        ),
        pytest.param(
            [([0, 9], [1]), ([1, 8], [2])],
            [([0], [2])],
            [2],
            ([[0, 1]], [], []),
            id="constants that the delegate does not list",
        ),
        pytest.param(
            [([0], [1, 2]), ([2], [3])],
            [([0], [1, 3])],
            [1, 3],
            ([[0, 1]], [], []),
            id="two results, both outputs",
        ),
        pytest.param(
            [([0], [1]), ([0], [2]), ([1], [3])],
            [([0], [3])],
            [3],
            ([[0, 2]], [], [1]),
            id="a result that nothing reads",
        ),
        pytest.param([([0], [1]), ([1], [2])], [], [2], ([], [0, 1], []), id="no delegate"),
        pytest.param([], [], [0], ([], [], []), id="no operator"),
    ],
)
def test_a_partition_is_what_lies_between_its_results_and_its_inputs(
    operators: list[tuple[list[int], list[int]]],
    delegates: list[tuple[list[int], list[int]]],
    outputs: list[int],
    expected: tuple[list[list[int]], list[int], list[int]],
) -> None:
    found = divided(
        [node(*each) for each in operators], [node(*each) for each in delegates], outputs
    )
    assert (found["partitions"], found["left"], found["unread"]) == expected


def test_a_file_that_xnnpack_takes_whole_is_one_partition(tmp_path: Path) -> None:
    found = looked(cnn(), tmp_path / "m.tflite")
    assert [names(each) for each in found.delegation.partitions] == [
        ["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "RESHAPE", "FULLY_CONNECTED"]
    ]
    assert found.delegation.left == found.delegation.unread == found.transposes == ()
    assert found.delegation.reason == ""
    assert found.delegation.version
    assert found.origin is None


def test_an_input_that_is_left_out_belongs_to_nobody(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, weight = file.tensor("x", (1, 2)), file.constant("weight", np.ones((2, 2), np.float32))
    made = file.operator(
        "FULLY_CONNECTED", [x, weight, -1], file.tensor("made", (1, 2)), "FullyConnectedOptions"
    )
    file.inputs = {"x": x}
    file.outputs = {"y": file.operator("SIGN", [made], file.tensor("sign", (1, 2)))}
    found = looked(file, tmp_path / "m.tflite").delegation
    assert [names(each) for each in found.partitions] == [["FULLY_CONNECTED"]]
    assert names(found.left) == ["SIGN"]


def test_what_xnnpack_leaves_splits_the_rest(tmp_path: Path) -> None:
    kinds = ("EXP", "NEG", "SIGN", "SQUARE", "LOGISTIC", "ZEROS_LIKE", "ABS")
    found = looked(chain(*kinds), tmp_path / "m.tflite").delegation
    assert [names(each) for each in found.partitions] == [
        ["EXP", "NEG"],
        ["SQUARE", "LOGISTIC"],
        ["ABS"],
    ]
    assert [(each.name, each.tensor, each.index) for each in found.left] == [
        ("SIGN", "made_2", 2),
        ("ZEROS_LIKE", "made_5", 5),
    ]
    assert found.taken == 5


def test_a_file_of_which_xnnpack_takes_nothing_has_no_partition(tmp_path: Path) -> None:
    found = looked(chain("SIGN", "ZEROS_LIKE"), tmp_path / "m.tflite").delegation
    assert (found.partitions, found.taken, found.reason) == ((), 0, "")
    assert names(found.left) == ["SIGN", "ZEROS_LIKE"]


def test_of_an_operator_that_nothing_reads_nothing_is_claimed(tmp_path: Path) -> None:
    file = chain("EXP", "NEG")
    for kind in ("ABS", "SIGN"):
        file.operator(kind, [1], file.tensor(f"unread_{kind}", (1, 4, 4, 2)))
    found = looked(file, tmp_path / "m.tflite").delegation
    assert [names(each) for each in found.partitions] == [["EXP", "NEG"]]
    assert [each.tensor for each in found.unread] == ["unread_ABS", "unread_SIGN"]


def test_a_compiled_module_has_the_partitions_that_the_runtime_makes(tmp_path: Path) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.second(torch.flip(self.first(x), [3])))

    path = tmp_path / "m.tflite"
    compiled = compile_module(Mixed(), (torch.rand(1, 3, 12, 12),), path)
    found = look(path)
    assert names(found.operators) == compiled.kinds()
    assert len(found.delegation.partitions) == partitions(path).count("DELEGATE") == 2
    assert names(found.delegation.left) == ["REVERSE_V2"]
    assert found.delegation.taken == len(compiled.kinds()) - 1
    assert names(found.transposes) == [kind for kind in compiled.kinds() if kind == "TRANSPOSE"]


# -- files that end badly ----------------------------------------------------------------------


def calling_itself() -> TFLiteFile:
    """A loop whose condition is the graph that it is in: preparing it never ends."""
    file = TFLiteFile()
    x = file.tensor("x", (1,), "BOOL")
    result = file.tensor("y", (1,), "BOOL")
    file.operator("WHILE", [x], result, "WhileOptions", condSubgraphIndex=0, bodySubgraphIndex=1)
    body = file.schema.SubGraphT()
    body.name, body.tensors, body.operators = "body", [file.graph.tensors[x]], []
    body.inputs = body.outputs = [0]
    file.model.subgraphs.append(body)
    file.inputs, file.outputs = {"x": x}, {"y": result}
    return file


def test_a_crash_of_the_runtime_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    found = looked(calling_itself(), tmp_path / "m.tflite")
    assert found.delegation.reason == "crash: the worker process was killed by SIGSEGV"
    assert (found.delegation.partitions, found.delegation.left) == ((), ())
    assert names(found.operators) == ["WHILE"]


def test_a_file_that_the_runtime_refuses_says_why(tmp_path: Path) -> None:
    file = chain("EXP", "NEG")
    file.model.operatorCodes[1].version = 99
    found = looked(file, tmp_path / "m.tflite")
    assert "NEG" in found.delegation.reason
    assert "99" in found.delegation.reason
    assert names(found.operators) == ["EXP", "NEG"]


def test_loading_has_a_time_limit(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(cnn().finish())
    found = look(tmp_path / "m.tflite", limits=Limits(seconds=0.01))
    assert found.delegation.reason == "timeout: no result after 0.01 s"


def test_an_operator_that_writes_no_tensor_of_the_file_is_damage(tmp_path: Path) -> None:
    file = chain("EXP")
    file.graph.operators[0].outputs = [77]
    with pytest.raises(SourceError, match="writes a tensor that is not there"):
        looked(file, tmp_path / "m.tflite")


def test_only_tflite_files_have_such_a_graph(tmp_path: Path) -> None:
    torch.export.save(
        torch.export.export(nn.Linear(2, 2).eval(), (torch.ones(1, 2),)), tmp_path / "m.pt2"
    )
    with pytest.raises(UsageError, match="exported, not tflite"):
        look(tmp_path / "m.pt2")


# -- source lines ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the direct compiler makes of a net: a convolution, two refused operators, a RELU."""
    path = tmp_path_factory.mktemp("direct")
    (path / "net.py").write_text(MODEL)
    result = convert(
        f"{path / 'net.py'}:net",
        to="tflite",
        out=path / "out",
        options=ConvertOptions(route="tflite-direct"),
        validate=False,
    )
    assert result.ok
    return path / "out"


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(MODEL.splitlines(), 1) if text in line)


def test_every_operator_has_its_layer_module_and_line(folder: Path) -> None:
    found = look(folder / "model.tflite")
    assert found.origin == folder / "manifest.json"
    left = {each.name: each.layer for each in found.delegation.left}
    assert set(left) == {"REVERSE_V2", "CUMSUM"}
    flip, cumsum = left["REVERSE_V2"], left["CUMSUM"]
    assert flip is not None
    assert cumsum is not None
    assert (flip.id, flip.module) == ("flip", "head")
    assert (cumsum.id, cumsum.module) == ("cumsum", "")
    assert flip.source.endswith(f"net.py:{line_of('torch.flip')}")
    assert cumsum.source.endswith(f"net.py:{line_of('torch.cumsum')}")
    assert all(each.layer for each in found.operators)
    (convolution,) = (each for each in found.operators if each.name == "CONV_2D")
    assert convolution.layer is not None
    assert convolution.layer.module == "head.conv"


def test_the_operators_around_a_layer_belong_to_it(folder: Path) -> None:
    transposes = look(folder / "model.tflite").transposes
    assert transposes
    assert {each.layer.id for each in transposes if each.layer} <= {"conv2d", "flip", "relu"}


def test_without_the_manifest_the_names_of_the_tensors_remain(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "model.tflite", tmp_path)
    found = look(tmp_path / "model.tflite")
    assert found.origin is None
    assert not any(each.layer for each in found.operators)
    assert [each.tensor for each in found.delegation.left] == ["head/flip", "output"]


def test_a_manifest_of_another_file_says_nothing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "out")
    file = tmp_path / "out" / "model.tflite"
    content = bytearray(file.read_bytes())
    content += struct.pack("<4x")
    file.write_bytes(content)
    assert look(file).origin is None


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"icons": []}', "not json", "\udcff"])
def test_a_manifest_that_is_not_ours_is_no_obstacle(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    found = looked(cnn(), tmp_path / "m.tflite")
    assert found.origin is None
    assert found.delegation.taken == 5


def rewritten(folder: Path, to: Path, change: Any) -> Look:
    """Look at a copy of a result folder whose manifest was changed."""
    shutil.copytree(folder, to)
    manifest = json.loads((to / "manifest.json").read_text())
    (entry,) = (each for each in manifest["artifacts"] if each["format"] == "tflite")
    change(entry)
    (to / "manifest.json").write_text(json.dumps(manifest))
    return look(to / "model.tflite")


def test_names_that_another_converter_gave_prove_nothing(folder: Path, tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["producer"] = "onnx2tf"
        del entry["layer_map"]["relu"]

    found = rewritten(folder, tmp_path / "out", change)
    assert found.origin is not None
    left = {each.name: each.layer for each in found.delegation.left}
    assert left["REVERSE_V2"] is not None  # the layer map has it
    assert any(each.layer is None for each in found.operators)


def test_a_name_that_can_be_two_things_is_neither() -> None:
    from bridge.inspection.tflite_graph import GraphOperator
    from bridge.layers import Layer
    from bridge.validators.compatibility.origins import Origins

    layers = [
        Layer(id="linear", op="aten.linear", module="block"),
        Layer(id="add", op="aten.add", module="block"),
        Layer(id="add_1", op="aten.add", module="block"),
        Layer(id="mean", op="aten.mean"),
        Layer(id="softmax", op="aten.softmax"),
        Layer(id="inner", op="aten.mul", module="softmax"),
    ]
    origins = Origins(
        tensors={"block/linear": layers[0]},
        paths={f"{each.module}/{each.id}".removeprefix("/"): each for each in layers},
        modules=frozenset(each.module for each in layers),
    )

    def found(tensor: str, graph: int = 0, graph_name: str = "") -> str | None:
        layer = origins.layer_of(
            GraphOperator(graph=graph, graph_name=graph_name, index=0, name="ADD", tensor=tensor)
        )
        return layer.id if layer else None

    assert found("block/linear") == "linear"
    assert found("block/linear/transpose") == "linear"
    assert found("block/linear/transpose_2") == "linear"
    assert found("mean/div") == "mean"
    assert found("mean_2") == "mean"
    assert found("block/add_2") == "add"
    assert found("block/add_1") is None  # the layer add_1, or a second tensor of add
    assert found("softmax/exp") is None  # of the layer softmax, or a layer of the module softmax
    assert found("other/thing") is None
    assert found("") is None
    assert found("body/block/linear/mul", graph=1, graph_name="body") == "linear"
    assert found("a/b/mean/mul", graph=1, graph_name="a/b") == "mean"


def test_operators_of_loops_are_listed_with_their_graph(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(calling_itself().finish())
    (loop,) = graph_operators(tmp_path / "m.tflite")
    assert (loop.graph, loop.graph_name, loop.name, loop.tensor) == (0, "main", "WHILE", "y")
    file = chain("EXP")
    body = file.schema.SubGraphT()
    body.name, body.tensors = "body", file.graph.tensors
    body.inputs, body.outputs, body.operators = [0], [1], file.graph.operators
    file.model.subgraphs.append(body)
    (tmp_path / "two.tflite").write_bytes(file.finish())
    assert [(each.graph, each.graph_name) for each in graph_operators(tmp_path / "two.tflite")] == [
        (0, "main"),
        (1, "body"),
    ]
    found = look(tmp_path / "two.tflite")
    assert found.delegation.taken == 1
    assert len(found.operators) == 2


def test_json_is_plain_data(folder: Path) -> None:
    document = json.loads(json.dumps(look(folder / "model.tflite").to_json()))
    assert document["layers_from"] == str(folder / "manifest.json")
    assert [each["name"] for each in document["xnnpack"]["left"]] == ["REVERSE_V2", "CUMSUM"]
    for each in document["xnnpack"]["partitions"]:
        assert sum(each["counts"].values()) == len(each["operators"])
    places = np.concatenate([each["operators"] for each in document["xnnpack"]["partitions"]])
    taken = [document["operators"][int(index)]["name"] for index in places]
    assert len(taken) + 2 == len(document["operators"])
    assert all(each["name"] == "TRANSPOSE" for each in document["transposes"])
