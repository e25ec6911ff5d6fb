"""The file that a graph becomes: what LiteRT and other readers find in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import sympy
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from compile_torch import compile_module, run
from numpy.typing import NDArray

from bridge.converters.tflite.ir import Graph, Op, ScaledConstant, Value, constant, integers
from bridge.converters.tflite.serialize import write
from bridge.converters.tflite.sizes import Dim
from bridge.inspection import inspect

Array = NDArray[Any]
BATCH = Dim(sympy.Symbol("s0"), 3)


class Small(torch.nn.Module):
    """Convolution, activation, a constant that is used twice, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(7)
        self.convolution = torch.nn.Conv2d(3, 4, 3)
        for parameter in self.parameters():
            parameter.data = torch.rand(parameter.shape, generator=draw)
        self.register_buffer("shift", torch.rand(1, 4, 1, 1, generator=draw))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made = torch.relu(self.convolution(image) + self.shift)
        return made, made + self.shift


def compiled(path: Path) -> bytes:
    compile_module(Small(), (torch.ones(1, 3, 8, 8),), path)
    return path.read_bytes()


def read(path: Path) -> Any:
    return schema.Model.GetRootAs(path.read_bytes(), 0)


def stored(path: Path) -> Iterator[tuple[int, bytes]]:
    """Place in the file and content of every buffer but the first."""
    content = path.read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    for index in range(1, model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataIsNone():
            place, size = buffer.Offset(), buffer.Size()
        else:
            table = buffer._tab
            place, size = table.Vector(table.Offset(4)), buffer.DataLength()
        yield place, content[place : place + size]


def value(dtype: str, *shape: Any, name: str) -> Value:
    return Value(shape=shape, dtype=dtype, name=name)


def pointwise(kind: str, *inputs: Value, **options: Any) -> Op:
    shape = max((each.shape for each in inputs), key=len)
    return Op(kind, list(inputs), [value(inputs[0].dtype, *shape, name=kind.lower())], options)


def chain(path: Path, *ops: Op) -> Path:
    """Write a graph: its inputs are what no operator makes, its output is the last result."""
    made = {each for op in ops for each in op.outputs}
    read_ = [each for op in ops for each in op.inputs if each is not None and not each.is_constant]
    inputs = [each for each in dict.fromkeys(read_) if each not in made]
    graph = Graph(inputs=inputs, outputs=list(ops[-1].outputs), ops=list(ops))
    names = [each.name for each in inputs], [each.name for each in graph.outputs]
    write(graph, path, names)
    return path


def invoke(path: Path, *inputs: Array) -> list[Array]:
    return run(path, [torch.from_numpy(np.asarray(each)) for each in inputs], plain=True)


# -- bytes -------------------------------------------------------------------------------------


def test_the_same_module_gives_the_same_bytes(tmp_path: Path) -> None:
    assert compiled(tmp_path / "a.tflite") == compiled(tmp_path / "b.tflite")


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        code = (
            "import sys, pathlib, test_tflite_serialize as t; t.compiled(pathlib.Path(sys.argv[1]))"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{seed}.tflite")],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
    assert (tmp_path / "1.tflite").read_bytes() == (tmp_path / "2.tflite").read_bytes()
    assert (tmp_path / "1.tflite").read_bytes() == compiled(tmp_path / "3.tflite")


def test_identifier_version_and_first_buffer_are_the_formats(tmp_path: Path) -> None:
    content = compiled(tmp_path / "m.tflite")
    model = schema.Model.GetRootAs(content, 0)
    assert content[4:8] == b"TFL3"
    assert model.Version() == 3
    first = model.Buffers(0)
    assert first.DataIsNone()
    assert (first.Offset(), first.Size()) == (0, 0)


# -- constants ---------------------------------------------------------------------------------


def doubled(first: Array, second: Array, path: Path) -> list[bytes]:
    """Contents of the constants of a file that adds two to its input."""
    x = value("float32", *first.shape, name="x")
    one = pointwise("ADD", x, constant(first, name="first"))
    two = pointwise("MUL", one.output, constant(second, name="second"))
    chain(path, one, two)
    (result,) = invoke(path, np.ones(first.shape, np.float32))
    np.testing.assert_array_equal(result, (first + 1) * second)
    return [content for _, content in stored(path) if len(content) == first.nbytes]


@pytest.mark.parametrize("size", [5, 70_000])
def test_equal_constants_are_stored_once(size: int, tmp_path: Path) -> None:
    first = np.arange(size, dtype=np.float32)
    assert len(doubled(first, first, tmp_path / "same.tflite")) == 1
    assert len(doubled(first, first.copy(), tmp_path / "equal.tflite")) == 1


@pytest.mark.parametrize("size", [5, 70_000])
def test_constants_that_differ_in_one_element_are_two(size: int, tmp_path: Path) -> None:
    first = np.arange(size, dtype=np.float32)
    for place in (0, size // 2 + 1, -1):
        second = first.copy()
        second[place] += 1
        assert len(doubled(first, second, tmp_path / "m.tflite")) == 2


def test_negative_zero_is_not_zero(tmp_path: Path) -> None:
    zero = np.zeros(5, np.float32)
    assert len(doubled(zero, -zero, tmp_path / "m.tflite")) == 2


@pytest.mark.parametrize("size", [4, 300])
def test_a_constant_of_any_strides_is_stored_in_its_own_order(size: int, tmp_path: Path) -> None:
    square = np.arange(size * size, dtype=np.float32).reshape(size, size)
    for given in (square.T, square[::-1], np.broadcast_to(square[:, :1], square.shape)):
        x = value("float32", size, size, name="x")
        path = chain(tmp_path / "m.tflite", pointwise("ADD", x, constant(given, name="c")))
        (result,) = invoke(path, np.zeros((size, size), np.float32))
        np.testing.assert_array_equal(result, given)
    # a matrix and its transpose begin at the same address
    assert len(doubled(square, square.T, tmp_path / "m.tflite")) == 2


@pytest.mark.parametrize("size", [4, 300])
def test_factors_are_multiplied_on_the_way_to_the_file(size: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    square = draw.random((size, size), dtype=np.float32)
    factors = draw.random(size, dtype=np.float32)
    for source in (square, square.T, square[::-1]):
        for each in (factors, factors[:, None], factors[:1]):
            scaled = ScaledConstant(source, each, name="scaled")
            x = value("float32", size, size, name="x")
            path = chain(tmp_path / "m.tflite", pointwise("ADD", x, scaled))
            (result,) = invoke(path, np.zeros((size, size), np.float32))
            np.testing.assert_array_equal(result, source * each)
            assert scaled.is_open  # the product was nowhere as a whole


@pytest.mark.parametrize("size", [4, 300])
def test_a_product_is_stored_once_with_what_it_equals(size: int, tmp_path: Path) -> None:
    square = np.arange(size * size, dtype=np.float32).reshape(size, size)
    double = np.full(size, 2, np.float32)
    x = value("float32", size, size, name="x")
    one = pointwise("ADD", x, ScaledConstant(square, double, name="first"))
    for second, count in (
        (ScaledConstant(square * 2, double / 2, name="second"), 1),
        (constant(square * 2, name="second"), 1),
        (constant(square, name="second"), 2),
    ):
        path = chain(tmp_path / "m.tflite", one, pointwise("SUB", one.output, second))
        assert sum(len(content) == square.nbytes for _, content in stored(path)) == count


def test_a_file_that_is_mapped_stays_as_it_was(tmp_path: Path) -> None:
    path = chain(tmp_path / "m.tflite", pointwise("EXP", value("float32", 2, name="x")))
    interpreter = Interpreter(str(path))
    compiled(path)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.zeros(2, np.float32))
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(1), [1, 1])


def test_constants_lie_at_multiples_of_16_bytes(tmp_path: Path) -> None:
    compile_module(
        torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 7)),
        (torch.ones(1, 3),),
        tmp_path / "m.tflite",
    )
    places = [place for place, _ in stored(tmp_path / "m.tflite")]
    assert len(places) >= 4
    assert all(place % 16 == 0 for place in places)


def test_constants_lie_in_the_flatbuffer_where_every_runtime_looks(tmp_path: Path) -> None:
    compiled(tmp_path / "m.tflite")
    model = read(tmp_path / "m.tflite")
    for index in range(1, model.BuffersLength()):
        assert not model.Buffers(index).DataIsNone()


def test_a_file_runs_from_its_path_and_from_memory(tmp_path: Path) -> None:
    content = compiled(tmp_path / "m.tflite")
    image = np.random.default_rng(1).random((1, 3, 8, 8), dtype=np.float32)
    expected = [each.detach().numpy() for each in Small()(torch.from_numpy(image))]
    for where in ({"model_path": str(tmp_path / "m.tflite")}, {"model_content": content}):
        interpreter = Interpreter(**where)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        for detail, want in zip(interpreter.get_output_details(), expected, strict=True):
            np.testing.assert_allclose(interpreter.get_tensor(detail["index"]), want, rtol=1e-5)


def test_an_empty_constant_has_no_buffer(tmp_path: Path) -> None:
    x = value("float32", 2, 3, name="x")
    empty = constant(np.zeros(0, np.int32), name="no_axes")
    mean = Op("MEAN", [x, empty], [value("float32", 2, 3, name="y")], {"keep_dims": True})
    chain(tmp_path / "m.tflite", mean)
    model = read(tmp_path / "m.tflite")
    assert model.Subgraphs(0).Tensors(1).Buffer() == 0


# -- tensors and signature ---------------------------------------------------------------------


def test_the_signature_has_the_names_that_were_given(tmp_path: Path) -> None:
    x, y = value("float32", 2, name="module/x"), value("float32", 2, name="module/y")
    total = Op("ADD", [x, y], [value("float32", 2, name="module/add")])
    graph = Graph(inputs=[x, y], outputs=[total.output], ops=[total])
    write(graph, tmp_path / "m.tflite", (["left", "right"], ["total"]))
    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["left", "right"], "outputs": ["total"]}
    }
    runner = interpreter.get_signature_runner()
    made = runner(left=np.ones(2, np.float32), right=np.full(2, 2, np.float32))
    np.testing.assert_array_equal(made["total"], [3, 3])
    assert [each["name"] for each in interpreter.get_input_details()] == ["module/x", "module/y"]


def test_a_changing_size_is_in_the_shape_signature(tmp_path: Path) -> None:
    x = value("float32", BATCH, 4, name="x")
    path = chain(tmp_path / "m.tflite", pointwise("EXP", x))
    graph = read(path).Subgraphs(0)
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        assert tensor.ShapeAsNumpy().tolist() == [1, 4]
        assert tensor.ShapeSignatureAsNumpy().tolist() == [-1, 4]
    for batch in (1, 5):
        (result,) = invoke(path, np.zeros((batch, 4), np.float32))
        np.testing.assert_array_equal(result, np.ones((batch, 4)))
    assert inspect(path).signature.inputs[0].shape == (None, 4)


def test_a_fixed_shape_has_no_shape_signature(tmp_path: Path) -> None:
    path = chain(tmp_path / "m.tflite", pointwise("EXP", value("float32", 2, name="x")))
    assert read(path).Subgraphs(0).Tensors(0).ShapeSignatureIsNone()


def test_a_scalar_has_a_rank_and_no_axes(tmp_path: Path) -> None:
    path = chain(tmp_path / "m.tflite", pointwise("EXP", value("float32", name="x")))
    graph = read(path).Subgraphs(0)
    for index in range(graph.TensorsLength()):
        assert graph.Tensors(index).HasRank()
        assert graph.Tensors(index).ShapeLength() == 0
    (result,) = invoke(path, np.float32(0))
    assert result.shape == ()
    assert result == 1
    assert inspect(path).signature.inputs[0].shape == ()


def test_every_tensor_has_a_rank(tmp_path: Path) -> None:
    compiled(tmp_path / "m.tflite")
    graph = read(tmp_path / "m.tflite").Subgraphs(0)
    assert all(graph.Tensors(index).HasRank() for index in range(graph.TensorsLength()))


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "bool", "uint8", "int8"])
def test_types_are_kept(dtype: str, tmp_path: Path) -> None:
    x = value(dtype, 3, name="x")
    shape = integers([3, 1])
    shape.name = "shape"
    reshape = Op("RESHAPE", [x, shape], [value(dtype, 3, 1, name="y")], {"new_shape": [3, 1]})
    path = chain(tmp_path / "m.tflite", reshape)
    given = np.array([0, 1, 1]).astype(dtype)
    (result,) = invoke(path, given)
    assert result.dtype == given.dtype
    np.testing.assert_array_equal(result[:, 0], given)


def test_an_input_that_is_left_out_is_minus_one(tmp_path: Path) -> None:
    x = value("float32", 1, 3, name="x")
    weight = constant(np.ones((2, 3), np.float32), name="weight")
    linear = Op("FULLY_CONNECTED", [x, weight, None], [value("float32", 1, 2, name="y")])
    path = chain(tmp_path / "m.tflite", linear)
    assert read(path).Subgraphs(0).Operators(0).InputsAsNumpy().tolist() == [0, 1, -1]
    np.testing.assert_array_equal(invoke(path, np.ones((1, 3), np.float32))[0], [[3, 3]])


# -- operators ---------------------------------------------------------------------------------


def test_an_operator_above_127_has_both_codes(tmp_path: Path) -> None:
    x = value("float32", 2, name="x")
    gelu = pointwise("GELU", x, approximate=True)
    path = chain(tmp_path / "m.tflite", gelu, pointwise("EXP", gelu.output))
    codes = [read(path).OperatorCodes(index) for index in range(2)]
    assert [each.BuiltinCode() for each in codes] == [150, schema.BuiltinOperator.EXP]
    assert [each.DeprecatedBuiltinCode() for each in codes] == [127, schema.BuiltinOperator.EXP]


def test_operators_of_one_kind_share_a_code_if_their_version_is_one(tmp_path: Path) -> None:
    x, five = value("float32", 2, name="x"), value("float32", 1, 1, 1, 1, 2, name="five")
    ops = [
        pointwise("SUB", x, x),
        pointwise("SUB", x, constant(np.ones(2, np.float32), name="one")),
        pointwise("SUB", x, five),
    ]
    write(
        Graph(inputs=[x, five], outputs=[op.output for op in ops], ops=ops),
        tmp_path / "m.tflite",
        (["x", "five"], ["a", "b", "c"]),
    )
    model = read(tmp_path / "m.tflite")
    versions = [model.OperatorCodes(index).Version() for index in range(2)]
    assert model.OperatorCodesLength() == 2
    assert versions == [1, 3]
    assert [model.Subgraphs(0).Operators(index).OpcodeIndex() for index in range(3)] == [0, 0, 1]


def test_an_option_that_the_schema_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SoftmaxOptions of SOFTMAX has no field gamma"):
        chain(tmp_path / "m.tflite", pointwise("SOFTMAX", value("float32", 2, name="x"), gamma=1.0))


def test_enumerations_are_given_by_name(tmp_path: Path) -> None:
    x = value("float32", 1, 4, 4, 1, name="x")
    pool = Op(
        "MAX_POOL_2D",
        [x],
        [value("float32", 1, 2, 2, 1, name="y")],
        {
            "padding": "VALID",
            "filter_height": 2,
            "filter_width": 2,
            "stride_h": 2,
            "stride_w": 2,
            "fused_activation_function": "RELU6",
        },
    )
    path = chain(tmp_path / "m.tflite", pool)
    (result,) = invoke(path, np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1))
    assert result.reshape(-1).tolist() == [5, 6, 6, 6]


def test_the_first_release_that_runs_it_is_in_the_metadata(tmp_path: Path) -> None:
    path = chain(tmp_path / "m.tflite", pointwise("GELU", value("float32", 2, name="x")))
    model = read(path)
    assert model.MetadataLength() == 1
    assert model.Metadata(0).Name() == b"min_runtime_version"
    # inside: FlatBufferModel::GetMinimumRuntime follows no offset, and ends at a zero byte
    content = model.Buffers(model.Metadata(0).Buffer()).DataAsNumpy()
    assert bytes(content) == b"2.9.0" + bytes(11)
    assert inspect(path).details["min_runtime_version"] == "2.9.0"


# -- subgraphs ---------------------------------------------------------------------------------


def test_a_loop_runs_its_subgraphs(tmp_path: Path) -> None:
    def state(name: str) -> list[Value]:
        return [value("int32", name=f"{name}/count"), value("float32", 2, name=f"{name}/x")]

    inputs, cond_inputs, body_inputs = state("main"), state("cond"), state("body")
    three = constant(np.array(3, np.int32), name="cond/three")
    less = Op("LESS", [cond_inputs[0], three], [value("bool", name="cond/less")])
    one = constant(np.array(1, np.int32), name="body/one")
    counted = Op("ADD", [body_inputs[0], one], [value("int32", name="body/next")])
    added = Op("ADD", [body_inputs[1]] * 2, [value("float32", 2, name="body/sum")])
    options = {
        "cond_subgraph_index": Graph(
            name="cond", inputs=cond_inputs, outputs=[less.output], ops=[less]
        ),
        "body_subgraph_index": Graph(
            name="body",
            inputs=body_inputs,
            outputs=[counted.output, added.output],
            ops=[counted, added],
        ),
    }
    loop = Op("WHILE", list(inputs), state("result"), options)
    write(
        Graph(inputs=inputs, outputs=[loop.outputs[1]], ops=[loop]),
        tmp_path / "m.tflite",
        (["count", "x"], ["x8"]),
    )
    model = read(tmp_path / "m.tflite")
    assert [model.Subgraphs(index).Name() for index in range(3)] == [b"main", b"cond", b"body"]
    (result,) = invoke(tmp_path / "m.tflite", np.int32(0), np.array([1, 2], np.float32))
    np.testing.assert_array_equal(result, [8, 16])


def test_an_output_may_be_an_input_a_constant_or_another_output(tmp_path: Path) -> None:
    x = value("float32", 2, name="x")
    fixed = constant(np.array([5, 6], np.float32), name="fixed")
    exp = pointwise("EXP", x)
    graph = Graph(inputs=[x], outputs=[exp.output, fixed, exp.output, x], ops=[exp])
    write(graph, tmp_path / "m.tflite", (["x"], ["a", "b", "c", "d"]))
    made = invoke(tmp_path / "m.tflite", np.zeros(2, np.float32))
    assert [each.tolist() for each in made] == [[1, 1], [5, 6], [1, 1], [0, 0]]


# -- size --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_file_of_more_than_2_gb_runs_from_its_path(tmp_path: Path) -> None:
    rows, columns, tables = 3 << 13, 1 << 13, 3  # 768 MB each
    needed = 4 * rows * columns * tables
    if shutil.disk_usage(tmp_path).free < 2 * needed:
        pytest.skip("not enough room on the disk")
    if psutil.virtual_memory().available < 2 * needed:
        pytest.skip("not enough memory")
    which = value("int32", 1, name="which")
    gathers = []
    for number in range(tables):
        table = np.zeros((rows, columns), np.float32)  # pages that nobody writes take no memory
        table[-1] = np.arange(columns) + number
        made = value("float32", 1, columns, name=f"row_{number}")
        gathers.append(
            Op(
                "GATHER",
                [which, constant(table, name=f"table_{number}")][::-1],
                [made],
                {"axis": 0},
            )
        )
    outputs = [op.output for op in gathers]
    path = tmp_path / "m.tflite"
    names = [each.name for each in outputs]
    write(Graph(inputs=[which], outputs=outputs, ops=gathers), path, (["which"], names))
    assert path.stat().st_size > 2**31
    places = [place for place, _ in _places_outside(path)]
    assert len(places) == tables
    assert all(place % 16 == 0 for place in places)
    assert max(place + size for place, size in _places_outside(path)) <= path.stat().st_size
    for row, expected in ((rows - 1, np.arange(columns)), (0, None)):
        for number, made in enumerate(invoke(path, np.array([row], np.int32))):
            want = np.zeros(columns) if expected is None else expected + number
            np.testing.assert_array_equal(made[0], want)
    inspection = inspect(path)
    assert inspection.parameter_bytes >= needed
    # runtimes before it do not follow offsets
    assert inspection.details["min_runtime_version"] == "2.14.0"
    assert inspection.details["metadata"] == "min_runtime_version, buffer_location"
    path.unlink()


def _places_outside(path: Path) -> list[tuple[int, int]]:
    """Place and size of each constant that lies behind the flatbuffer; the file is not read."""
    mapped = np.memmap(path, np.uint8, "r")
    model = schema.Model.GetRootAs(memoryview(mapped), 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    return [(each.Offset(), each.Size()) for each in buffers if each.Offset() > 1]
