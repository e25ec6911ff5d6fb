"""Nets as ONNX models, and a bench that converts and runs them in the toolchain of onnx2tf."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import onnxsim
import torch
from numpy.typing import NDArray
from onnx import helper
from safetensors.torch import load_file
from torch import Tensor, nn

from bridge.artifact import Artifact, Signature, TensorSpec, digest, size_of
from bridge.converters.onnx2tf import to_saved_model, to_tflite
from bridge.formats import ONNX
from bridge.hop import HOPS, reference_of
from bridge.layers import LayerMap, identity_map
from bridge.live import tensors_of
from bridge.validators.runtime import RUNTIMES, RunResult, read_results, runtime_job, store_inputs
from bridge.worker import Job, WorkPool

Array = NDArray[Any]
Model = Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]

FIXTURES = Path(__file__).parent.parent / "fixtures"
CLOSE = 1e-4  # of the largest value


class Convolutions(nn.Module):
    """Odd padding with stride 2, a bound that must survive fusion, a pool, a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.bound = nn.ReLU6()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.same = nn.Conv2d(8, 8, 5, padding=2)
        self.head = nn.Linear(8 * 5 * 4, 10)
        nn.init.normal_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)
        nn.init.uniform_(self.norm.weight, 2.0, 4.0)

    def forward(self, image: Tensor) -> Tensor:
        x = self.pool(self.bound(self.norm(self.down(image))))
        return self.head((x + self.same(x)).flatten(1))


class EqualSizes(nn.Module):
    """Channels, height and width are all 8: no shape tells one axis from another."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Conv2d(8, 8, 3, padding=1)
        self.mix = nn.Conv2d(8, 8, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mixed = self.mix(torch.sigmoid(self.spread(image))) * image
        return mixed, mixed.mean(dim=1)


class Turned(nn.Module):
    """Equal sizes, and a sum with its own transpose behind a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Linear(8, 8)

    def forward(self, image: Tensor) -> Tensor:
        x = self.spread(image)
        x = self.last(x) + x.transpose(2, 3)
        return torch.cat([x.sum(1), x.amax(2), x.mean(3)], 1)


class Sequence1d(nn.Module):
    """Convolutions over time with as many channels as steps."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(8, 8, 3, padding=1)
        self.second = nn.Conv1d(8, 8, 3, stride=2, padding=1)

    def forward(self, signal: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(signal))) + 1


class Block(nn.Module):
    """A transformer block with GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp(self.norm(tokens))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 8, batch_first=True, bidirectional=True)

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        states, last = self.gru(sequence)
        return states, last


class Grouped(nn.Module):
    """Dilation, groups and depth-wise convolution with equal sizes, and several kinds of result."""

    def __init__(self) -> None:
        super().__init__()
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.slope = nn.PReLU(8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = self.deep(self.norm(self.grouped(self.slope(self.dilated(image)))))
        first, second = x.chunk(2, 1)
        return first * second.sigmoid(), x.pow(2).sum((2, 3)).sqrt(), x.argmax(1), x.softmax(2)


class Words(nn.Module):
    """An embedding, an LSTM and a convolution over its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.memory = nn.LSTM(8, 8, batch_first=True)
        self.window = nn.Conv1d(8, 8, 3, padding=1)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        states, _ = self.memory(self.words(tokens))
        return self.window(states.transpose(1, 2)).amax(2), states


class Elementwise(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def made(build: Callable[[], nn.Module], *shapes: tuple[int, ...]) -> Model:
    """The module in eval mode with weights and inputs that are the same every time."""

    def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build().eval(), tuple(torch.randn(shape) for shape in shapes)

    return model


def words() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """``Words`` with six of its twenty words."""
    module, _ = made(Words)()
    return module, (torch.tensor([[3, 19, 0, 7, 7, 12]]),)


def trained(name: str) -> Model:
    """A model of the fixtures with its trained weights."""

    def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
        spec = importlib.util.spec_from_file_location("fixture_models", FIXTURES / "models.py")
        assert spec is not None
        assert spec.loader is not None
        models = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(models)
        module, inputs = getattr(models, name)()
        module.load_state_dict(load_file(FIXTURES / f"{name}.safetensors"))
        return module, inputs

    return model


GOOD: dict[str, Model] = {
    "convolutions": made(Convolutions, (1, 3, 19, 15)),
    "equal sizes": made(EqualSizes, (1, 8, 8, 8)),
    "turned": made(Turned, (1, 8, 8, 8)),
    "sequence": made(Sequence1d, (1, 8, 8)),
    "transformer": made(Block, (1, 5, 8)),
    "recurrent": made(Recurrent, (1, 5, 8)),
    "grouped": made(Grouped, (1, 8, 8, 8)),
    "words": words,
    "erf": made(lambda: Elementwise(lambda x: torch.erf(x) * x), (2, 6)),
    "digits_cnn": trained("digits_cnn"),
    "digits_vit": trained("digits_vit"),
    "digits_gru": trained("digits_gru"),
    "cancer_mlp": trained("cancer_mlp"),
}
OTHERS: dict[str, Model] = {
    # the same block on as many tokens as features: onnx2tf 1.29.24 takes one axis for the other
    "square transformer": made(Block, (1, 8, 8)),
    "trigonometry": made(lambda: Elementwise(lambda x: x.tan() + x.sinh() + (2 * x).tan()), (2, 6)),
}


@cache
def exported(name: str) -> tuple[onnx.ModelProto, tuple[Array, ...], list[Array]]:
    """The ONNX model, its inputs, and what PyTorch computes from them."""
    module, inputs = {**GOOD, **OTHERS}[name]()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, inputs, dynamo=True, opset_version=18, verbose=False)
        assert program is not None
        expected = [each.numpy() for each in tensors_of(module(*inputs))]
    model, checked = onnxsim.simplify(program.model_proto)
    assert checked
    return model, tuple(each.numpy() for each in inputs), expected


def described(model: onnx.ModelProto, folder: Path) -> Artifact:
    path = folder / "model.onnx"
    onnx.save(model, path)

    def spec(value: onnx.ValueInfoProto) -> TensorSpec:
        kind = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        shape = tuple(size.dim_value or None for size in kind.shape.dim)
        return TensorSpec(name=value.name, shape=shape, dtype=dtype)

    values = [name for node in model.graph.node for name in node.output]
    return Artifact(
        format=ONNX,
        path=path,
        sha256=digest(path),
        size=size_of(path),
        signature=Signature(
            inputs=tuple(map(spec, model.graph.input)), outputs=tuple(map(spec, model.graph.output))
        ),
        layer_map=identity_map([*(each.name for each in model.graph.input), *values]),
    )


@dataclass(kw_only=True)
class Bench:
    """The toolchain's worker and the folders of this test run."""

    pool: WorkPool
    folder: Path
    said: list[str] = field(default_factory=list)
    results: dict[tuple[str, str], tuple[Artifact, Artifact]] = field(default_factory=dict)

    def run(
        self,
        convert: Callable[..., Any],
        source: Artifact,
        examples: Path | None = None,
        **options: Any,
    ) -> Artifact:
        """Convert in the toolchain, and return the artifact that it made."""
        hop = next(each for each in HOPS if each.convert is convert)
        scratch = new_folder(self.folder)
        out = scratch / hop.target.filename
        answer = self.pool.call(
            Job(
                place=hop.place,
                function="bridge.hop:run_hop",
                arguments={
                    "convert": reference_of(convert),
                    "source": source.to_json(),
                    "out": str(out),
                    "options": options,
                    "examples": str(examples) if examples else None,
                },
            )
        )
        assert [each.name for each in scratch.iterdir()] == [out.name]
        return Artifact(
            format=hop.target,
            path=out,
            sha256=digest(out),
            size=size_of(out),
            signature=Signature.from_json(answer["signature"]),
            layer_map=LayerMap.from_json(answer["layer_map"]),
            producer=hop.name,
            producer_version=answer["producer_version"],
            notes=tuple(answer["notes"]),
        )

    def converted(self, name: str, io_layout: str = "nchw") -> tuple[Artifact, Artifact]:
        """The TFLite file and the SavedModel of a net."""
        if (name, io_layout) not in self.results:
            model, inputs, _ = exported(name)
            folder = new_folder(self.folder)
            source = described(model, folder)
            examples = folder / "examples.npz"
            np.savez(examples, *inputs)
            self.results[name, io_layout] = (
                self.run(to_tflite, source, examples, io_layout=[io_layout]),
                self.run(to_saved_model, source, examples, io_layout=[io_layout]),
            )
        return self.results[name, io_layout]

    def ran(
        self,
        runtime: str,
        artifact: Artifact,
        inputs: tuple[Array, ...],
        taps: list[str] | None = None,
    ) -> RunResult:
        """Run an artifact on one sample; by default all its mapped tensors are shown."""
        if taps is None:
            taps = [str(place.tensor) for place in artifact.layer_map.mapped().values()]
        folder = new_folder(self.folder)
        feed = {
            spec.name: permuted(array, spec.permutation)[np.newaxis]
            for spec, array in zip(artifact.signature.inputs, inputs, strict=True)
        }
        store_inputs(folder / "inputs", feed)
        job = runtime_job(
            RUNTIMES.get(runtime)(),
            artifact,
            inputs=folder / "inputs",
            samples=1,
            results=folder / "results",
            taps=taps,
        )
        self.pool.call(job)
        return read_results(folder / "results")


def new_folder(root: Path) -> Path:
    folder = root / f"{len(list(root.iterdir()))}"
    folder.mkdir()
    return folder


def permuted(array: Array, permutation: tuple[int, ...] | None) -> Array:
    return array if permutation is None else array.transpose(permutation)


def values_of(model: onnx.ModelProto, inputs: tuple[Array, ...]) -> dict[str, Array]:
    """Every value of an ONNX model, as ONNX Runtime computes it."""
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    outputs = {each.name for each in model.graph.output}
    tapped.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in outputs
    )
    session = onnxruntime.InferenceSession(
        tapped.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {each.name: array for each, array in zip(model.graph.input, inputs, strict=True)}
    return {**feed, **dict(zip(names, session.run(names, feed), strict=True))}


def assert_close(actual: Array, expected: Array) -> None:
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=CLOSE * np.abs(expected).max())
