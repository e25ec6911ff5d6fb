"""Users' ONNX and TorchScript files as the source: truth in float64, layers alone, noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from validation_bench import Bench, samples

from bridge.artifact import Artifact
from bridge.samples import Samples
from bridge.sources import onnx_source, torchscript_source
from bridge.validators.reproduction.calls import layer_call
from bridge.validators.reproduction.isolating import Isolator
from bridge.validators.results import TargetResult
from bridge.validators.verdict import Verdict
from bridge.worker import WorkPool


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with WorkPool() as pool:
        yield Bench(pool, tmp_path)


RNG = np.random.default_rng(3)
FIRST = RNG.normal(size=(6, 8)).astype(np.float32)
KERNEL = RNG.normal(size=(4, 2, 3, 3)).astype(np.float32)
VECTORS, IMAGES = samples(4, 2, 6, scale=1.0), samples(4, 1, 2, 9, 8, scale=1.0)


def onnx_file(
    folder: Path,
    name: str,
    *nodes: onnx.NodeProto,
    inputs: Samples,
    shape_of_y: tuple[int, ...] = (2, 8),
) -> Artifact:
    shape = list(inputs.arrays["x"].shape[1:])
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(shape_of_y))],
        [numpy_helper.from_array(FIRST, "first"), numpy_helper.from_array(KERNEL, "kernel")],
    )
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opset))
    model.ir_version = 9
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return onnx_source.read(path)


def perceptron(folder: Path, name: str, factor: float = 0.3) -> Artifact:
    return onnx_file(
        folder,
        name,
        helper.make_node("MatMul", ["x", "first"], ["product"]),
        helper.make_node("Constant", [], ["factor"], value_float=factor),
        helper.make_node("Mul", ["product", "factor"], ["scaled"]),
        helper.make_node("Tanh", ["scaled"], ["bent"]),
        helper.make_node("Softmax", ["bent"], ["y"]),
        inputs=VECTORS,
    )


def convolution(folder: Path, name: str, slope: float = 0.1) -> Artifact:
    return onnx_file(
        folder,
        name,
        helper.make_node(
            "Conv", ["x", "kernel"], ["wide"], strides=[2, 1], pads=[1, 0, 0, 2], dilations=[1, 2]
        ),
        helper.make_node("LeakyRelu", ["wide"], ["bent"], alpha=slope),
        helper.make_node("GlobalAveragePool", ["bent"], ["y"]),
        inputs=IMAGES,
        shape_of_y=(1, 4, 1, 1),
    )


def failing_alone(target: TargetResult) -> list[str]:
    return [
        layer
        for layer, row in target.layers.rows.items()
        if row.isolated is not None and row.isolated.verdict is Verdict.FAIL
    ]


@pytest.mark.parametrize(
    ("make", "inputs", "runtime"),
    [
        (perceptron, VECTORS, "onnxruntime-float64"),
        (convolution, IMAGES, "onnx-evaluator-float64"),
    ],
)
def test_an_onnx_source_runs_in_float64(
    bench: Bench, make: Callable[[Path, str], Artifact], inputs: Samples, runtime: str
) -> None:
    source = make(bench.folder, "source")
    _, reference = bench.reference(source, inputs)
    assert reference.runtime == runtime
    truth = reference.whole.output(reference.outputs[0])
    x = torch.tensor(inputs.arrays["x"]).double()
    if make is perceptron:
        scaled = x @ torch.tensor(FIRST).double() * float(np.float32(0.3))
        expected = torch.softmax(torch.tanh(scaled), -1)
    else:
        padded = nn.functional.pad(x[:, 0], (0, 2, 1, 0))
        kernel = torch.tensor(KERNEL).double()
        wide = nn.functional.conv2d(padded, kernel, stride=(2, 1), dilation=(1, 2))
        bent = nn.functional.leaky_relu(wide, float(np.float32(0.1)))
        expected = bent.mean((2, 3), keepdim=True)[:, None]
    np.testing.assert_allclose(truth, expected.numpy(), rtol=1e-12)

    target = bench.compare(source, source, inputs=inputs)
    assert target.verdict is Verdict.PASS
    for layer, row in target.layers.rows.items():
        assert row.isolated is not None, layer
        assert row.isolated.ratio is not None, layer
        assert row.isolated.verdict is Verdict.PASS, layer


def test_of_an_onnx_source_the_wrong_layer_is_named(bench: Bench) -> None:
    for make, inputs, wrong, layer in (
        (perceptron, VECTORS, 0.3001, "factor"),
        (convolution, IMAGES, 0.1001, "bent"),
    ):
        source, artifact = make(bench.folder, "source"), make(bench.folder, "wrong", wrong)
        target = bench.compare(source, artifact, inputs=inputs)
        assert target.verdict is Verdict.FAIL
        assert failing_alone(target) == [layer]


def test_what_onnx_does_not_define_is_compared_as_it_runs(bench: Bench) -> None:
    source = onnx_file(
        bench.folder,
        "fused",
        helper.make_node("FusedMatMul", ["x", "first"], ["y"], domain="com.microsoft"),
        inputs=VECTORS,
    )
    _, reference = bench.reference(source, VECTORS)
    assert reference.runtime == "onnxruntime"
    target = bench.compare(source, source, inputs=VECTORS)
    assert target.verdict is Verdict.PASS
    assert "no reference in float64" in target.layers.isolation


class Scripted(nn.Module):
    """A constant in the graph, a type in it, a loop-free branchless chain, a write in place."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.norm = nn.Linear(6, 8), nn.LayerNorm(8, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x * 0.01))
        x = x + torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
        x = x + torch.ones(8, dtype=torch.float32) / 3
        y = torch.sin(x)
        y[:, 0].mul_(2.0)
        return torch.tanh(y.to(torch.float32))


def scripted(folder: Path, name: str, eps: float = 1e-5) -> Artifact:
    path = folder / f"{name}.pt"
    example = torch.tensor(VECTORS.first()["x"])
    torch.jit.trace(Scripted(eps).eval(), (example,)).save(str(path))
    return torchscript_source.read(path, {"x": VECTORS.first()["x"]})


def test_a_torchscript_source_runs_in_float64(bench: Bench) -> None:
    source = scripted(bench.folder, "source")
    _, reference = bench.reference(source, VECTORS)
    assert reference.runtime == "torchscript-float64"
    truth = reference.whole.output(reference.outputs[0])
    module = Scripted().double()
    x = torch.tensor(VECTORS.arrays["x"]).double()
    constant = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]).double()
    with torch.no_grad():
        y = torch.sin(module.norm(module.first(x * 0.01)) + constant + torch.ones(8).double() / 3)
    y[..., 0] *= 2
    np.testing.assert_allclose(truth, torch.tanh(y).numpy(), rtol=1e-12)
    target = bench.compare(source, source, inputs=VECTORS)
    assert target.verdict is Verdict.PASS, target.reason
    alone = {layer for layer, row in target.layers.rows.items() if row.isolated is not None}
    assert len(alone) > 5


def test_of_a_torchscript_source_the_wrong_layer_is_named(bench: Bench) -> None:
    source = scripted(bench.folder, "source")
    target = bench.compare(source, scripted(bench.folder, "wrong", 3e-5), inputs=VECTORS)
    assert target.verdict is Verdict.FAIL
    assert source.spine is not None
    operators = {layer.id: layer.op for layer in source.spine.layers}
    assert [operators[each] for each in failing_alone(target)] == ["aten.layer_norm"]


def test_a_layer_of_a_file_source_is_cut_out_with_the_options_of_both_sides(bench: Bench) -> None:
    source = scripted(bench.folder, "source")
    wrong = scripted(bench.folder, "wrong", 3e-5)
    (layer,) = failing_alone(bench.compare(source, wrong, inputs=VECTORS))
    assert "eps=1e-05" in layer_call(source, layer)
    runner, reference = bench.reference(source, VECTORS)
    isolated = Isolator(
        runner=runner,
        source=source,
        truth=reference.runtime,
        artifact=wrong,
        runtime="torchscript",
        samples=VECTORS,
    ).isolate(layer, bench.folder)
    assert [each for each in isolated.piece.operators if "eps=3e-05" in each]
    assert len(isolated.fed) == 1  # what the norm reads, and nothing before that
    assert isolated.noise > 0
    assert isolated.expected.shape[0] == VECTORS.count


def test_an_onnx_operator_is_told_with_its_options(bench: Bench) -> None:
    source = convolution(bench.folder, "source")
    assert source.spine is not None
    (layer,) = (each.id for each in source.spine.layers if each.op == "onnx.Conv")
    assert layer_call(source, layer) == "Conv(dilations=[1, 2], pads=[1, 0, 0, 2], strides=[2, 1])"
