"""The captured program, node by node: the reference that everything is compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runtime_files import (
    NETS,
    assert_close,
    assert_same,
    described,
    inner_tensors,
    runtime,
    values_of,
    write,
)
from torch import nn

from bridge.artifact import Artifact, Signature, TensorSpec
from bridge.errors import SourceError, UnsupportedError
from bridge.formats import EXPORTED
from bridge.live import tensors_of
from bridge.validators.tensors import one_thread


@pytest.mark.parametrize("net", NETS)
def test_eager_taps_are_the_values_of_the_nodes(tmp_path: Path, net: str) -> None:
    artifact, inputs = write(net, EXPORTED, tmp_path), NETS[net].inputs(3)
    expected = values_of(torch.export.load(artifact.path), inputs)
    result = runtime("eager-float32").open(artifact, list(expected)).run(inputs)
    assert_same(result.taps, expected)
    double = runtime("eager-float64").open(artifact, list(expected)).run(inputs)
    assert {each.dtype.name for each in double.taps.values()} <= {"float64", "int64", "bool"}
    for name, value in expected.items():
        assert_close(double.taps[name], value)


class Everything(nn.Module):
    """What a captured graph may hold beside plain operators."""

    calls: torch.Tensor

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


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dynamic", [False, True])
def test_eager_runs_branches_sizes_and_state(tmp_path: Path, dynamic: bool, sign: int) -> None:
    artifact = everything(tmp_path, dynamic=dynamic)
    draw = np.random.default_rng(0)
    x = sign * draw.uniform(size=(5 if dynamic else 3, 4)).astype(np.float32)
    with one_thread():
        module = torch.export.load(artifact.path).module()
        expected = tensors_of(module(torch.from_numpy(x), None))
    nodes = torch.export.load(artifact.path).graph.nodes
    before = next(node.args[0].name for node in nodes if node.name == "relu_")
    session = runtime("eager-float32").open(artifact, inner_tensors(artifact))
    for _ in range(2):  # the state begins anew
        result = session.run({"x": x})
        for actual, wanted in zip(result.outputs.values(), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted.numpy(), strict=True)
        assert result.taps[before].min() < 0  # as it was before relu_ wrote to its memory
        np.testing.assert_array_equal(result.taps["relu_"], np.maximum(result.taps[before], 0))
    double = runtime("eager-float64").open(artifact).run({"x": x}).outputs
    for name, wanted in zip(double, expected, strict=True):
        assert_close(double[name], wanted.numpy())
        assert double[name].dtype == (np.int64 if name == "places" else np.float64)


class ShortTypes(nn.Module):
    """Types and defaults that would round a float64 run to float32 or float16 on the way."""

    third: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("third", torch.tensor([1, 3]))
        self.scale = nn.Parameter(torch.tensor([0.5, 0.25], dtype=torch.float16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ramp = torch.arange(0.1, 0.25, 0.1) + torch.full((2,), 0.3)
        ratio = self.third / 3  # of integers: the result has the default type
        halved = (x.half() * self.scale).to(torch.float32)
        return halved * ramp + ratio + torch.zeros(2, dtype=torch.float32)


def one_output(folder: Path, module: nn.Module, x: torch.Tensor) -> Artifact:
    path = folder / "model.pt2"
    torch.export.save(torch.export.export(module.eval(), (x,)), path)
    spec = TensorSpec(name="x", shape=tuple(x.shape), dtype="float32")
    return described(
        EXPORTED, path, Signature(inputs=(spec,), outputs=(replace(spec, name="output"),))
    )


def test_nothing_rounds_in_a_float64_run(tmp_path: Path) -> None:
    x = np.array([0.1, 0.7], np.float32)
    artifact = one_output(tmp_path, ShortTypes(), torch.from_numpy(x))
    ramp = np.arange(0.1, 0.25, 0.1) + 0.3
    expected = x.astype(np.float64) * [0.5, 0.25] * ramp + np.array([1, 3]) / 3
    output = runtime("eager-float64").open(artifact).run({"x": x}).outputs["output"]
    np.testing.assert_allclose(output, expected, rtol=1e-15)
    assert torch.get_default_dtype() is torch.float32


@torch.library.custom_op("driftbridge_tests::float32_only", mutates_args=())
def float32_only(x: torch.Tensor) -> torch.Tensor:
    if x.dtype is not torch.float32:
        raise RuntimeError(f"expected Float but found {x.dtype}: not implemented for 'Double'")
    return x + 1


@float32_only.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Float32Only(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = float32_only(x)
        return added * 2


class OutOfRange(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[(x * 100).long().clamp(0, 5)]


def test_an_operator_without_a_float64_kernel_is_named(tmp_path: Path) -> None:
    artifact = one_output(tmp_path, Float32Only(), torch.ones(3))
    x = {"x": np.ones(3, np.float32)}
    assert runtime("eager-float32").open(artifact).run(x).outputs["output"].tolist() == [4, 4, 4]
    with pytest.raises(UnsupportedError, match=r"float32_only .* first at .*test_eager_runtime"):
        runtime("eager-float64").open(artifact).run(x)


@pytest.mark.parametrize("name", ["eager-float32", "eager-float64"])
def test_a_layer_that_raises_is_named(tmp_path: Path, name: str) -> None:
    artifact = one_output(tmp_path, OutOfRange(), torch.zeros(3))
    with pytest.raises(SourceError, match=r"layer index \(aten\.index\) raised.*out of bounds"):
        runtime(name).open(artifact).run({"x": np.ones(3, np.float32)})


def test_a_layer_that_is_not_one_tensor_cannot_be_shown(tmp_path: Path) -> None:
    artifact = everything(tmp_path, dynamic=True)
    with pytest.raises(SourceError, match=r"'topk' is not one tensor[\s\S]*getitem"):
        runtime("eager-float32").open(artifact, ["topk"])
    with pytest.raises(SourceError, match="'sym_size_int_1' is not one tensor"):
        runtime("eager-float32").open(artifact, ["sym_size_int_1"])


def test_other_outputs_than_the_signatures_are_refused(
    tmp_path: Path,
) -> None:
    artifact = write("recurrent", EXPORTED, tmp_path)
    fewer = replace(artifact.signature, outputs=artifact.signature.outputs[:1])
    with pytest.raises(SourceError, match="returns 2 tensor"):
        runtime("eager-float32").open(replace(artifact, signature=fewer)).run(
            NETS["recurrent"].inputs()
        )
