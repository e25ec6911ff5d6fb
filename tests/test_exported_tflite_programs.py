"""Programs of every form through the direct compiler: in-place writes, state, decomposed ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tflite_nets import (
    Attention,
    Calls,
    Classifier,
    Encoder,
    Segmenter,
    Tagger,
    computes,
    convert,
    follows,
    run,
    tokens,
    why_not,
)
from torch import nn
from torch.nn import functional

import bridge
from bridge.api import ConvertOptions, SourceOptions
from bridge.errors import InputError, SourceError
from bridge.inspection.tflite_graph import read_graph
from bridge.layers import Absence

X, Y = torch.randn(2, 4), torch.randn(2, 4)


def activation(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    functional.relu_(a)
    return a + y


def chain(linear: nn.Linear, x: Any, y: Any) -> Any:
    return linear(x).clamp_(0, 1).sub_(y).div_(2).neg_().exp_()


def another_name(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    b = a
    c = a * 3
    b.add_(y)
    return a, b * c


def column(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    a[:, 0] = y[:, 1]
    return a


def columns_that_are_read(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    b = a[:, 1:3]
    b += 1
    return a, b


def everything(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    b = a * 2
    a[:] = y
    return a + b, b


def of_an_input(linear: nn.Linear, x: Any, y: Any) -> Any:
    x[:, 0] = y[:, 0]
    view = y[:, 1:]
    view.zero_()
    return linear(x) + y


def view_before_and_after(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    before = a.view(4, 2)
    a.tanh_()
    return a.view(4, 2) * before, before


def transposed_view(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    view = a.t()
    early = view * 2
    a[0] = 0
    return view + 1, early


def view_of_a_view(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    view = a.view(2, 2, 2)
    deeper = view.transpose(1, 2)
    deeper[0].add_(y[0].view(2, 2))
    return torch.relu_(a), view, linear(deeper.reshape(2, 4))


def constant_mask(linear: nn.Linear, x: Any, y: Any) -> Any:
    mask = torch.zeros(4, 4)
    mask[:2, :2] = 1
    mask[2:, 2:] = 1
    mask[0].fill_(-1)
    return linear(x) @ mask + y


def constant_that_changes(linear: nn.Linear, x: Any, y: Any) -> Any:
    shift = torch.zeros(4)
    a = x + shift
    shift.fill_(1)
    b = x + shift
    shift[0] = 5
    return a, b, x + shift


def mask_of_inputs(linear: nn.Linear, x: Any, y: Any) -> Any:
    mask = torch.zeros_like(x)
    mask[:, 1:] = y[:, 1:]
    mask[:, 0] = -1
    return linear(x) * mask


def list_of_indices(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    a[torch.tensor([0, 1]), torch.tensor([2, 3])] = y[0, 0]
    a.index_put_((torch.tensor([1, 0]),), y, accumulate=True)
    return a


def where_positive(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    a[a > 0] = 0.5
    return a.masked_fill_(y > 0, -3)


def copies(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = torch.empty_like(x)
    a.copy_(linear(x))
    a[1].copy_(y[0])
    return a


def steps_into_a_buffer(linear: nn.Linear, x: Any, y: Any) -> Any:
    states, state = torch.zeros(3, 2, 4), torch.zeros(2, 4)
    for step in range(3):
        state = torch.tanh(linear(x) + state)
        states[step] = state
    return states


WRITES: list[Callable[..., Any]] = [
    activation, chain, another_name, column, columns_that_are_read, everything, of_an_input,
    view_before_and_after, transposed_view, view_of_a_view, constant_mask, constant_that_changes,
    mask_of_inputs, list_of_indices, where_positive, copies, steps_into_a_buffer,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES, ids=lambda each: each.__name__)
def test_in_place_writes_mean_what_they_mean_in_pytorch(
    write: Callable[..., Any], tmp_path: Path
) -> None:
    module = Calls(write)
    result = convert(module, (X.clone(), Y.clone()), tmp_path)
    for scale in (1, -1):
        inputs = {"x": scale * X, "y": scale * Y}
        computes(follows(result, inputs).path, module, inputs)


def test_a_write_through_a_view_keeps_the_layers(tmp_path: Path) -> None:
    """The program is written without it, and each new operator knows the node that it was."""
    artifact = convert(Calls(view_of_a_view), (X, Y), tmp_path).artifacts["tflite"]
    places = artifact.layer_map.places
    assert {"linear", "add_", "relu_", "linear_1"} <= set(artifact.layer_map.mapped())
    assert places["transpose"].absence is Absence.ELIMINATED
    assert not any("scatter" in layer for layer in places)


def without_gradients(linear: nn.Linear, x: Any, y: Any) -> Any:
    with torch.set_grad_enabled(not torch.is_grad_enabled()):
        return linear(x) * y


def in_full_precision(linear: nn.Linear, x: Any, y: Any) -> Any:
    a = linear(x)
    with torch.autocast(device_type="cpu", enabled=False):
        b = a.float() * torch.arange(4)
        return b + a, torch.tanh(b) * y


def one_in_another(linear: nn.Linear, x: Any, y: Any) -> Any:
    with torch.set_grad_enabled(not torch.is_grad_enabled()):
        with torch.autocast(device_type="cpu", enabled=False):
            a = linear(x)
        return a + y


@pytest.mark.parametrize("region", [without_gradients, in_full_precision, one_in_another])
def test_regions_of_another_mode_are_opened(region: Callable[..., Any], tmp_path: Path) -> None:
    module = Calls(region)
    result = convert(module, (X, Y), tmp_path)
    artifact = follows(result, {"x": X, "y": Y})
    computes(artifact.path, module, {"x": X, "y": Y})
    assert any(layer.startswith("linear") for layer in artifact.layer_map.mapped())
    assert not any("wrap" in layer for layer in artifact.layer_map.places)


def row_by_row(linear: nn.Linear, x: Any, y: Any) -> Any:
    return torch.vmap(lambda one, other: linear(one) * other.sum())(x, y) + 1


def test_functions_of_one_row_are_opened(tmp_path: Path) -> None:
    module = Calls(row_by_row)
    artifact = follows(convert(module, (X, Y), tmp_path), {"x": X, "y": Y})
    computes(artifact.path, module, {"x": X, "y": Y})
    assert {"mul", "add_1"} <= set(artifact.layer_map.mapped())


class Cache(nn.Module):
    """Keys and values of earlier calls, in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("keys", torch.zeros(1, 8, 4))
        self.register_buffer("values", torch.zeros(1, 8, 4))

    def forward(self, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        self.keys.index_copy_(1, place, self.linear(x))
        self.values.index_copy_(1, place, x * 2)
        return (self.keys * self.values).sum(1)


class Explicit(nn.Module):
    """The same with the cache as an input and an output."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, place: torch.Tensor, cache: torch.Tensor) -> Any:
        cache.index_copy_(1, place, self.linear(x))
        return (cache * 2).sum(1), cache


class Harmless(nn.Module):
    """Buffers that are written to, and that no result depends on across calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(2, 4))
        self.register_buffer("scratch", torch.zeros(2, 4))
        self.register_buffer("table", torch.rand(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.table = self.table.to(x.dtype)
        self.mean.mul_(0.9).add_(x * 0.1)
        self.scratch.copy_(self.linear(x))
        self.scratch[0, 1] = 2
        return self.scratch * 3 + self.table


CACHE_INPUTS = (torch.randn(1, 1, 4), torch.tensor([3]))


class TestState:
    """What a model remembers from call to call."""

    @pytest.mark.parametrize("to", ["tflite", "onnx"])
    def test_a_cache_in_buffers_is_refused_by_name(self, to: str, tmp_path: Path) -> None:
        options = ConvertOptions(route="tflite-direct" if to == "tflite" else None)
        result = bridge.convert(
            Cache(), CACHE_INPUTS, to=to, out=tmp_path, options=options, validate=False
        )
        told = why_not(result)
        assert "aten.index_copy_ (used 2×) first at" in told
        assert "it writes to keys, values, which the next call reads" in told
        assert "make that an input and an output" in told

    def test_a_decomposed_one_is_too(self, tmp_path: Path) -> None:
        program = torch.export.export(Cache().eval(), CACHE_INPUTS).run_decompositions()
        torch.export.save(program, tmp_path / "cache.pt2")
        told = why_not(convert(tmp_path / "cache.pt2", None, tmp_path / "out"))
        assert "it writes to keys, values, which the next call reads" in told

    def test_an_explicit_cache_works_over_several_calls(self, tmp_path: Path) -> None:
        module, cache = Explicit().eval(), torch.zeros(1, 8, 4)
        result = convert(module, (*CACHE_INPUTS, cache), tmp_path)
        path = result.artifacts["tflite"].path
        for place in (0, 5, 2):
            inputs = {
                "x": torch.randn(1, 1, 4), "place": torch.tensor([place]), "cache": cache
            }  # fmt: skip
            computes(path, module, inputs)
            cache = torch.from_numpy(run(path, inputs, plain=False)["output_1"])
        assert (cache != 0).any(-1).sum() == 3

    def test_buffers_that_no_later_call_reads_are_no_state(self, tmp_path: Path) -> None:
        follows(convert(Harmless(), (X,), tmp_path), {"x": X})


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (Classifier, {"x": torch.randn(2, 3, 32, 32)}),
        (Encoder, tokens(2, 16)),
        (Attention, {"x": torch.randn(2, 5, 16)}),
        (Segmenter, {"image": torch.randn(1, 3, 16, 16)}),
        (Tagger, {"ids": torch.randint(0, 50, (2, 12))}),
    ],
)
def test_every_layer_is_where_the_map_says_or_has_a_reason(
    module: type[nn.Module], inputs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    artifact = follows(convert(module(), inputs, tmp_path), inputs)
    assert len(artifact.layer_map.mapped()) >= len(artifact.layer_map.places) / 3


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (Classifier, {"x": torch.randn(2, 3, 32, 32)}),
        (Encoder, tokens(2, 16)),
        (Attention, {"x": torch.randn(2, 5, 16)}),
    ],
)
def test_a_program_in_core_aten_form_gives_the_same(
    module: type[nn.Module], inputs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    net = module().eval()
    with torch.no_grad():
        program = torch.export.export(net, (), inputs)
    torch.export.save(program.run_decompositions(), tmp_path / "core.pt2")
    made = convert(tmp_path / "core.pt2", None, tmp_path / "core")
    # the sum of scores and a mask is infinite, which LiteRT's own ADD makes finite
    core = follows(made, inputs, kernels=["litert-xnnpack"])
    whole = convert(net, inputs, tmp_path / "whole").artifacts["tflite"]
    assert [str(each) for each in core.signature.outputs] == [
        str(each) for each in whole.signature.outputs
    ]
    for plain in (False, True):
        one, other = (run(each.path, inputs, plain=plain) for each in (core, whole))
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-5)


class TestWeights:
    """Where weights come from."""

    def test_parametrizations_become_the_weights_that_they_compute(self, tmp_path: Path) -> None:
        from torch.nn.utils import parametrizations

        module = nn.Sequential(
            parametrizations.weight_norm(nn.Linear(4, 8)),
            parametrizations.orthogonal(nn.Linear(8, 8)),
            parametrizations.spectral_norm(nn.Linear(8, 3)),
        )
        artifact = follows(convert(module, (X,), tmp_path), {"input": X})
        found = bridge.inspect(artifact.path)
        assert {each.name: each.count for each in found.operators} == {"FULLY_CONNECTED": 3}

    def test_tied_weights_are_stored_once(self, tmp_path: Path) -> None:
        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(1000, 64)
                self.head = nn.Linear(64, 1000, bias=False)
                self.head.weight = self.embedding.weight

            def forward(self, ids: torch.Tensor) -> torch.Tensor:
                return self.head(self.embedding(ids))

        ids = torch.randint(0, 1000, (1, 5))
        artifact = follows(convert(Tied(), (ids,), tmp_path), {"ids": ids})
        assert 4 * 64_000 < artifact.size < 4 * 65_500 + 5000

    def test_a_module_without_weights_is_refused_and_takes_a_file_of_them(
        self, tmp_path: Path
    ) -> None:
        from safetensors.torch import save_file

        with torch.device("meta"):
            module = nn.Linear(4, 4)
        with pytest.raises(SourceError, match=r"no weights, but only their shapes.*weight, bias"):
            convert(module, (X,), tmp_path / "out")
        real = nn.Linear(4, 4)
        save_file(real.state_dict(), tmp_path / "w.safetensors")
        result = bridge.convert(
            module,
            (X,),
            to="tflite",
            out=tmp_path / "out",
            source_options=SourceOptions(weights=tmp_path / "w.safetensors"),
            options=ConvertOptions(route="tflite-direct"),
            validate=False,
        )
        computes(result.artifacts["tflite"].path, real, {"input": X})

    def test_bfloat16_inputs_are_refused_with_a_way_out(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"'input' is bfloat16") as refused:
            convert(nn.Linear(4, 4).bfloat16(), (X.bfloat16(),), tmp_path)
        assert "module.float()" in str(refused.value.hint)


def test_two_conversions_give_the_same_bytes(tmp_path: Path) -> None:
    module, inputs = Encoder(), tokens(2, 16)
    files = [
        convert(module, inputs, tmp_path / name).artifacts["tflite"].path.read_bytes()
        for name in ("one", "two")
    ]
    assert files[0] == files[1]


MEMORY = """
import resource, sys
import torch
import bridge
from bridge.api import ConvertOptions

def peak():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used

module = torch.nn.Sequential(*(torch.nn.Linear(2048, 2048) for _ in range(12))).eval()
x = torch.randn(1, 2048)
torch.export.export(module, (x,), strict=False)
before = peak()
options = ConvertOptions(route="tflite-direct")
result = bridge.convert(module, (x,), to="tflite", out="out", options=options, validate=False)
assert result.exit_code == 0
print(result.artifacts["tflite"].size, peak() - before)
"""


def test_memory_is_that_of_exporting_and_twice_the_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    size, more = (int(each) for each in done.stdout.split())
    assert size > 200_000_000
    assert more < 2 * size


class Tied(nn.Module):
    """One weight that is looked up in and multiplied with: two constants in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 4)
        self.head = nn.Linear(4, 12, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(ids) * 1.5) @ self.embedding.weight


class Stacked(nn.Module):
    """Two recurrent layers in one loop, whose weights are read before it and in it."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 6, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(x)[0][:, -1]


def test_every_tensor_has_a_name_of_its_own(tmp_path: Path) -> None:
    ids = torch.randint(0, 12, (1, 6))
    for module, given in ((Tied(), ids), (Tagger(), ids), (Stacked(), torch.randn(1, 12, 4))):
        folder = tmp_path / type(module).__name__
        result = convert(module.eval(), (given,), folder)
        names = [
            tensor.name
            for graph in read_graph(result.artifacts["tflite"].path).tensors
            for tensor in graph
        ]
        assert len(names) > 5
        assert len(set(names)) == len(names)
