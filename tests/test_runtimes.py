"""Runtimes: what a file computes, what is seen inside it, and how bad files and inputs end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runtime_files import NETS, Array, described, onnx_of, program_of, tensors, write
from torch import nn

from bridge.artifact import Artifact, Signature, TensorSpec
from bridge.errors import InputError, SourceError, UnsupportedError, UsageError
from bridge.formats import EXPORTED, MOBILE, ONNX, TORCHSCRIPT, Format
from bridge.live import tensors_of
from bridge.outcome import Stage, Symptom
from bridge.validators.runtime import (
    RUNTIMES,
    RunResult,
    Runtime,
    read_results,
    runtime_job,
    store_inputs,
)
from bridge.validators.runtimes.eager import EagerFloat32
from bridge.validators.taps.exported import NodeRunner
from bridge.worker import IN_PROCESS, Limits, WorkFailure, WorkPool

ROUNDING = 2e-6  # of the largest value: a few units of float32, summed in another order

FORMATS: dict[str, Format] = {
    "eager-float32": EXPORTED,
    "eager-float64": EXPORTED,
    "onnxruntime": ONNX,
    "torchscript": TORCHSCRIPT,
    "lite-interpreter": MOBILE,
}
TAPPED = {name: form for name, form in FORMATS.items() if RUNTIMES.get(name).taps}


def runtime(name: str) -> Runtime:
    return RUNTIMES.get(name)()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Format], Artifact]:
    """Files of the nets, each written on first use."""
    written: dict[tuple[str, str], Artifact] = {}

    def file(net: str, form: Format) -> Artifact:
        key = (net, form.name)
        if key not in written:
            written[key] = write(net, form, tmp_path_factory.mktemp(f"{net}-{form}"))
        return written[key]

    return file


def assert_close(actual: Array, expected: Array) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype.kind == expected.dtype.kind
    if expected.dtype.kind == "f":
        scale = np.abs(expected).max(initial=1e-30)
        assert np.abs(actual - expected).max(initial=0) <= ROUNDING * scale
    else:
        np.testing.assert_array_equal(actual, expected)


def assert_same(actual: dict[str, Array], expected: dict[str, Array]) -> None:
    assert list(actual) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], strict=True)


def inner_tensors(artifact: Artifact) -> list[str]:
    """All tensors of a file that can be shown."""
    if artifact.format is EXPORTED:
        nodes = torch.export.load(artifact.path).graph.nodes
        return [each.name for each in nodes if isinstance(each.meta.get("val"), torch.Tensor)]
    if artifact.format is ONNX:
        import onnx

        graph = onnx.load(artifact.path).graph
        return [name for node in graph.node for name in node.output if name]
    graph = torch.jit.load(artifact.path).inlined_graph
    values = [value for node in graph.nodes() for value in node.outputs()]
    return [each.debugName() for each in values if each.type().kind() == "TensorType"]


def values_of(program: torch.export.ExportedProgram, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every tensor of a program by PyTorch's own interpreter, copied right after its node."""

    class Observer(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor) and n.op == "call_function":
                seen[n.name] = value.numpy(force=True).copy()
            return value

    seen: dict[str, Array] = {}
    with torch.no_grad():
        Observer(program.module(check_guards=False)).run(*tensors(inputs))
    return seen


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", FORMATS)
def test_outputs_are_the_modules_own(
    files: Callable[[str, Format], Artifact], name: str, net: str
) -> None:
    artifact = files(net, FORMATS[name])
    session = runtime(name).open(artifact)
    for seed in (0, 1):
        inputs = NETS[net].inputs(seed)
        before = {key: array.copy() for key, array in inputs.items()}
        with torch.no_grad():
            expected = tensors_of(NETS[net].module()(*tensors(inputs)))
        outputs = session.run(inputs).outputs
        assert list(outputs) == [spec.name for spec in artifact.signature.outputs]
        for actual, wanted in zip(outputs.values(), expected, strict=True):
            assert_close(actual, wanted.numpy())
        assert_same(inputs, before)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", TAPPED)
def test_tapping_does_not_change_the_outputs(
    files: Callable[[str, Format], Artifact], name: str, net: str
) -> None:
    artifact = files(net, FORMATS[name])
    inputs = NETS[net].inputs(3)
    plain = runtime(name).open(artifact).run(inputs).outputs
    names = inner_tensors(artifact)
    tapped = runtime(name).open(artifact, [*names, names[0]]).run(inputs)
    assert list(tapped.taps) == names
    if name == "onnxruntime":  # a value that is shown cannot be fused away
        for key, expected in plain.items():
            assert_close(tapped.outputs[key], expected)
    else:
        assert_same(tapped.outputs, plain)


@pytest.mark.parametrize("net", NETS)
def test_eager_taps_are_the_values_of_the_nodes(
    files: Callable[[str, Format], Artifact], net: str
) -> None:
    artifact, inputs = files(net, EXPORTED), NETS[net].inputs(3)
    expected = values_of(torch.export.load(artifact.path), inputs)
    result = runtime("eager-float32").open(artifact, list(expected)).run(inputs)
    assert_same(result.taps, expected)
    double = runtime("eager-float64").open(artifact, list(expected)).run(inputs)
    assert {each.dtype.name for each in double.taps.values()} <= {"float64", "int64", "bool"}
    for name, value in expected.items():
        assert_close(double.taps[name], value)


@pytest.mark.parametrize("net", NETS)
def test_onnx_taps_are_the_values_of_the_nodes(
    files: Callable[[str, Format], Artifact], net: str
) -> None:
    artifact, inputs = files(net, ONNX), NETS[net].inputs(3)
    expected = values_of(onnx_of(net).exported_program, inputs)
    named = [name for name in inner_tensors(artifact) if name in expected]
    assert len(named) >= 3
    result = runtime("onnxruntime").open(artifact, named).run(inputs)
    for name in named:
        assert_close(result.taps[name], expected[name])


@pytest.mark.parametrize("net", NETS)
def test_torchscript_taps_are_the_values_of_the_nodes(
    files: Callable[[str, Format], Artifact], net: str
) -> None:
    """The n-th call of an operator in the trace is the n-th one in the captured program."""
    artifact, inputs = files(net, TORCHSCRIPT), NETS[net].inputs(3)
    program = program_of(net)
    expected: dict[str, list[Array]] = {}
    captured = values_of(program, inputs)
    for node in program.graph.nodes:
        if node.name in captured and isinstance(node.target, torch._ops.OpOverload):
            expected.setdefault(node.target._schema.name, []).append(captured[node.name])
    found: dict[str, list[str]] = {}
    for node in torch.jit.load(artifact.path).inlined_graph.nodes():
        if node.outputsSize() == 1 and node.output().type().kind() == "TensorType":
            kind = node.kind().replace("_convolution", "conv2d")
            found.setdefault(kind, []).append(node.output().debugName())
    pairs = {
        name: value
        for kind, names in found.items()
        if len(names) == len(expected.get(kind, ()))
        for name, value in zip(names, expected[kind], strict=True)
    }
    assert len(pairs) >= 1
    result = runtime("torchscript").open(artifact, list(pairs)).run(inputs)
    for name, value in pairs.items():
        assert_close(result.taps[name], value)


class Everything(nn.Module):
    """What a captured graph may hold beside plain operators."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor, unused: int | None = None) -> tuple[Any, ...]:
        with torch.no_grad():
            ramp = torch.arange(0, 1, 0.25) + torch.ones(x.shape[0], 4) * x.shape[0]
            y = self.linear(x) * ramp
        self.calls.add_(1)
        chosen = torch.cond(x.sum() > 0, lambda t: t * 0.1, lambda t: t.to(torch.float32) - 1, (y,))
        kept = chosen + 0
        kept.relu_()
        left, _ = torch.split(kept, 2, dim=-1)
        values, places = kept.topk(2)
        return kept * self.calls, left, None, values, places


def everything(folder: Path, *, dynamic: bool) -> Artifact:
    torch.manual_seed(5)
    module = Everything().eval()
    shapes = ({0: torch.export.Dim("batch", min=2, max=64)}, None) if dynamic else None
    program = torch.export.export(module, (torch.randn(3, 4), None), dynamic_shapes=shapes)
    torch.export.save(program, folder / "model.pt2")
    batch = None if dynamic else 3
    names = ("kept", "left", "values", "places")
    spec = TensorSpec(name="x", shape=(batch, 4), dtype="float32")
    outputs = tuple(replace(spec, name=name) for name in names)
    return described(EXPORTED, folder / "model.pt2", Signature(inputs=(spec,), outputs=outputs))


@pytest.mark.parametrize("dynamic", [False, True])
def test_eager_runs_branches_sizes_and_state(tmp_path: Path, dynamic: bool) -> None:
    artifact = everything(tmp_path, dynamic=dynamic)
    x = np.random.default_rng(0).normal(size=(5 if dynamic else 3, 4)).astype(np.float32)
    with torch.no_grad():
        module = torch.export.load(artifact.path).module()
        expected = tensors_of(module(torch.from_numpy(x), None))
    taps = ["add_3", "relu_"] if "add_3" in inner_tensors(artifact) else ["relu_"]
    session = runtime("eager-float32").open(artifact, taps)
    for _ in range(2):  # the state begins anew
        result = session.run({"x": x})
        for actual, wanted in zip(result.outputs.values(), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted.numpy(), strict=True)
    double = runtime("eager-float64").open(artifact).run({"x": x}).outputs
    for name, wanted in zip(double, expected, strict=True):
        assert_close(double[name], wanted.numpy())
        assert double[name].dtype == (np.int64 if name == "places" else np.float64)
