"""Small nets as files of every format that PyTorch itself writes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bridge.artifact import Artifact, Signature, TensorSpec, digest
from bridge.formats import EXPORTED, MOBILE, ONNX, TORCHSCRIPT, Format
from bridge.live import dtype_name, output_names, tensors_of
from bridge.validators.runtime import RUNTIMES, Runtime
from bridge.validators.tensors import one_thread

Array = NDArray[Any]

ROUNDING = 2e-6  # of the largest value: a few units of float32, summed in another order


# torch declares none of these with types
load_script: Callable[..., Any] = torch.jit.load
save_script: Callable[..., Any] = torch.jit.save
trace: Callable[..., Any] = torch.jit.trace


class Residual(nn.Module):
    """Convolutions and batch norms with a residual sum; activations in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 5)
        for norm in (self.norm1, self.norm2):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            nn.init.normal_(norm.running_mean, 0, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, image: Tensor) -> Tensor:
        first = self.relu(self.norm1(self.conv1(image)))
        second = self.norm2(self.conv2(first))
        second += first
        logits: Tensor = self.head(self.relu(second).mean((2, 3)))
        return logits


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        attended = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        mixed: Tensor = attended + self.mlp(self.norm2(attended))
        return mixed


class Recurrent(nn.Module):
    """A GRU, both of whose results are returned."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 8, batch_first=True, bidirectional=True)

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        states, last = self.gru(sequence)
        return torch.tanh(states), last


class Reader(nn.Module):
    """Two inputs, one of them of tokens; a dictionary of a float, an int64 and a bool result."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.score = nn.Linear(8, 8)

    def forward(self, tokens: Tensor, weight: Tensor) -> dict[str, Tensor]:
        scores = self.score(self.embed(tokens) * weight.unsqueeze(-1))
        return {"scores": scores, "best": scores.argmax(-1), "positive": scores > 0}


class Square(nn.Module):
    """All dimensions are equal, so that a swapped axis has the right shape."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x).transpose(1, 2)
        return F.softmax(y @ x, dim=1).permute(2, 0, 1) + x


@dataclass(frozen=True, kw_only=True)
class Net:
    """A net and its example inputs."""

    make: Callable[[], nn.Module]
    draw: Callable[[], dict[str, Tensor]]

    def module(self) -> nn.Module:
        torch.manual_seed(11)
        return self.make().eval()

    def inputs(self, seed: int = 0) -> dict[str, Array]:
        torch.manual_seed(seed)
        return {name: tensor.numpy() for name, tensor in self.draw().items()}


NETS = {
    "residual": Net(make=Residual, draw=lambda: {"image": torch.randn(2, 3, 10, 10)}),
    "block": Net(make=Block, draw=lambda: {"tokens": torch.randn(2, 5, 16)}),
    "recurrent": Net(make=Recurrent, draw=lambda: {"sequence": torch.randn(2, 7, 6)}),
    "reader": Net(
        make=Reader,
        draw=lambda: {"tokens": torch.randint(0, 20, (3, 5)), "weight": torch.rand(3, 5)},
    ),
    "square": Net(make=Square, draw=lambda: {"x": torch.randn(4, 4, 4)}),
}


def tensors(inputs: dict[str, Array]) -> tuple[Tensor, ...]:
    """Copies of inputs as tensors, in order."""
    return tuple(torch.tensor(array) for array in inputs.values())


def signature(module: nn.Module, inputs: dict[str, Array]) -> Signature:
    """The signature that a run of a module shows."""
    with torch.no_grad():
        result = module(*tensors(inputs))
    outputs = zip(output_names(result), tensors_of(result), strict=True)
    return Signature(
        inputs=tuple(
            TensorSpec(name=name, shape=array.shape, dtype=array.dtype.name)
            for name, array in inputs.items()
        ),
        outputs=tuple(
            TensorSpec(name=name, shape=tuple(each.shape), dtype=dtype_name(each.dtype))
            for name, each in outputs
        ),
    )


def described(form: Format, path: Path, its: Signature) -> Artifact:
    """The artifact of a file."""
    size = path.stat().st_size
    return Artifact(format=form, path=path, sha256=digest(path), size=size, signature=its)


def write(name: str, form: Format, folder: Path) -> Artifact:
    """Write a net in a format, without any of our own hops."""
    net = NETS[name]
    module, inputs = net.module(), net.inputs()
    its = signature(module, inputs)
    path = folder / form.filename
    if form is ONNX:
        exported = onnx_of(name)
        exported.save(str(path))
        outputs = zip(its.outputs, exported.model.graph.outputs, strict=True)
        its = replace(its, outputs=tuple(replace(spec, name=its.name) for spec, its in outputs))
    elif form is EXPORTED:
        torch.export.save(program_of(name), path)
    elif form is TORCHSCRIPT:
        traced(module, inputs).save(str(path))
    else:
        assert form is MOBILE
        script = traced(module, inputs)
        script._save_for_lite_interpreter(str(path), _use_flatbuffer=True)
        # what it was made from lies beside it, as in a result folder
        origin = folder / TORCHSCRIPT.filename
        script.save(str(origin))
        return replace(described(form, path, its), parent=digest(origin))
    return described(form, path, its)


def program_of(name: str) -> torch.export.ExportedProgram:
    """The captured program of a net."""
    net = NETS[name]
    return torch.export.export(net.module(), tensors(net.inputs()))


def traced(module: nn.Module, inputs: dict[str, Array]) -> Any:
    """The TorchScript trace of a module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trace(module, tensors(inputs), strict=False, check_trace=False)


@cache
def onnx_of(name: str) -> Any:
    """The ONNX export of a net, made once for all tests because it takes seconds.

    It is not optimised, so that its values are named after the nodes of its decomposed program.
    """
    return torch.onnx.export(program_of(name), dynamo=True, optimize=False, verbose=False)


def runtime(name: str) -> Runtime:
    return RUNTIMES.get(name)()


def inner_tensors(artifact: Artifact) -> list[str]:
    """All tensors of a file that can be shown."""
    if artifact.format is EXPORTED:
        nodes = torch.export.load(artifact.path).graph.nodes
        return [each.name for each in nodes if isinstance(each.meta.get("val"), torch.Tensor)]
    if artifact.format is ONNX:
        import onnx

        graph = onnx.load(artifact.path).graph
        return [name for node in graph.node for name in node.output if name]
    file = artifact.path.with_name(TORCHSCRIPT.filename)
    graph = load_script(file).inlined_graph
    values = [value for node in graph.nodes() for value in node.outputs()]
    return [each.debugName() for each in values if each.type().kind() == "TensorType"]


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


def values_of(program: torch.export.ExportedProgram, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every tensor of a program by PyTorch's own interpreter, copied right after its node."""

    class Observer(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor) and n.op == "call_function":
                seen[n.name] = value.numpy(force=True).copy()
            return value

    seen: dict[str, Array] = {}
    with one_thread():
        Observer(program.module(check_guards=False)).run(*tensors(inputs))
    return seen
