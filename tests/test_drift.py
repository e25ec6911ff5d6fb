"""Drift of layers: what is rounding, what is a defect, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from validation_bench import Bench, X, export, samples

from bridge.layers import Layer, LayerMap, Place, Spine
from bridge.validators.drift import measuring
from bridge.validators.drift.noise import perturbed, rms_errors
from bridge.validators.drift.plan import chunks, separable
from bridge.validators.drift.records import RecordStore
from bridge.validators.results import TargetResult
from bridge.validators.taps.summation import with_error
from bridge.validators.verdict import Verdict
from bridge.worker import WorkPool


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with WorkPool() as pool:
        yield Bench(pool, tmp_path)


def introduced(target: TargetResult) -> list[str]:
    """The layers that fail on their own."""
    return [
        layer
        for layer, row in target.layers.rows.items()
        if row.isolated is not None and row.isolated.verdict is Verdict.FAIL
    ]


class Blocks(nn.Module):
    """Twelve blocks alike; one of them may be wrong."""

    def __init__(self, wrong: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.GELU()) for _ in range(12)
        )
        if wrong is not None:
            self.blocks[wrong][0].eps = 1e-4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


@pytest.mark.parametrize("wrong", [0, 7, 11])
def test_of_twelve_blocks_alike_the_wrong_one_is_named(bench: Bench, wrong: int) -> None:
    source = export(Blocks(), bench.folder)
    target = bench.compare(source, export(Blocks(wrong), bench.folder, "wrong"))
    name = "layer_norm" + (f"_{wrong}" if wrong else "")
    assert introduced(target) == [name]
    assert target.layers.introduced == name
    rows = target.layers.rows
    later = rows["add_11"].accumulated
    assert later is not None
    assert later.ratio is not None
    assert later.ratio.low > 10, "it has accumulated up to the end"


class Mixing(nn.Module):
    """Axes of one size, which a wrong order of axes does not show in."""

    def __init__(self, swapped: bool = False) -> None:
        super().__init__()
        self.swapped = swapped

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(x)
        x = x.transpose(1, 2) if self.swapped else x.transpose(2, 3)
        return torch.sigmoid(x)


def test_a_swap_of_axes_of_one_size_is_a_defect(bench: Bench) -> None:
    inputs = samples(3, 1, 8, 8, 8, scale=1.0)
    source = export(Mixing(), bench.folder, like=inputs)
    wrong = export(Mixing(swapped=True), bench.folder, "wrong", like=inputs)
    target = bench.compare(source, wrong, inputs=inputs)
    assert target.verdict is Verdict.FAIL
    assert introduced(target) == ["transpose"]


class Dead(nn.Module):
    """A layer that gives zeros only, whatever comes in."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.leak = nn.Linear(6, 6), leak

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.leaky_relu(-(self.first(x).abs()), self.leak)
        return x + 1


def test_a_dead_layer_passes_if_it_is_dead_in_the_artifact_too(bench: Bench) -> None:
    source = export(Dead(), bench.folder)
    target = bench.compare(source, source)
    row = target.layers.rows["leaky_relu"]
    assert row.verdict is Verdict.PASS
    assert row.metrics is not None
    assert row.metrics.reference_rms == 0
    alive = bench.compare(source, export(Dead(leak=1e-6), bench.folder, "alive"))
    assert introduced(alive) == ["leaky_relu"]


class Root(nn.Module):
    """A square root of numbers that are negative for some inputs only."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nan_to_num(torch.sqrt(x + self.shift), nan=0.5) + 1


def test_a_nan_on_rare_inputs_fails_though_it_is_gone_in_the_output(bench: Bench) -> None:
    inputs = replace(X, arrays={"x": np.abs(X.arrays["x"]) + 0.01})
    inputs.arrays["x"][3, 0, 2] = 0.001
    source = export(Root(0.0), bench.folder, like=inputs)
    wrong = export(Root(-0.002), bench.folder, "wrong", like=inputs)
    target = bench.compare(source, wrong, inputs=inputs)
    row = target.layers.rows["sqrt"]
    assert row.metrics is not None
    assert (row.metrics.nonfinite_reference, row.metrics.nonfinite_actual) == (0, 1)
    assert row.verdict is Verdict.FAIL
    assert target.verdict is Verdict.FAIL


def test_a_nan_in_the_reference_is_no_excuse_for_another_one(bench: Bench) -> None:
    inputs = replace(X, arrays={"x": X.arrays["x"].copy()})  # half of it is negative
    source = export(Root(0.0), bench.folder, like=inputs)
    assert bench.compare(source, source, inputs=inputs).verdict is Verdict.PASS
    wrong = export(Root(-0.01), bench.folder, "wrong", like=inputs)
    target = bench.compare(source, wrong, inputs=inputs)
    assert target.layers.rows["sqrt"].verdict is Verdict.FAIL


def test_gain_tells_who_amplifies(bench: Bench) -> None:
    class Amplifying(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.exp(8 * torch.tanh(x))

    inputs = samples(4, 1, 50, scale=1.0)
    source = export(Amplifying(), bench.folder, like=inputs)

    class Off(Amplifying):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * 1.00001)

    wrong = export(Off(), bench.folder, "wrong", like=inputs)
    # the operator in front has no partner in the source, whose layers are tanh, mul, exp
    places = {"tanh": "tanh", "mul": "mul_1", "exp": "exp"}
    layers = LayerMap(places={layer: Place(tensor=name) for layer, name in places.items()})
    rows = bench.compare(source, replace(wrong, layer_map=layers), inputs=inputs).layers.rows
    assert rows["tanh"].isolated is not None
    assert rows["tanh"].isolated.verdict is Verdict.FAIL
    assert rows["exp"].gain is not None
    assert rows["exp"].gain < 1


def test_looking_in_parts_gives_the_same_figures(bench: Bench) -> None:
    source = export(Blocks(), bench.folder)
    wrong = export(Blocks(4), bench.folder, "wrong")
    whole = bench.compare(source, wrong)
    said: list[str] = []
    parts = bench.compare(source, wrong, memory=2_000, say=said.append)
    assert sum("layers:" in line for line in said) > 10
    for layer, row in whole.layers.rows.items():
        other = parts.layers.rows[layer]
        assert (row.isolated, row.accumulated) == (other.isolated, other.accumulated), layer
    assert parts.layers.introduced == "layer_norm_4"


def test_an_interrupted_comparison_goes_on_where_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = export(Blocks(), bench.folder)
    store = RecordStore(folder=bench.folder / "store")
    runs: list[int] = []
    measured = measuring._ChunkMeasurer._measured

    def interrupted(chunk: Any, subject: Any) -> Any:
        if len(runs) == 3:
            raise KeyboardInterrupt
        runs.append(chunk.chunk.start)
        return measured(chunk, subject)

    monkeypatch.setattr(measuring._ChunkMeasurer, "_measured", interrupted)
    options: dict[str, Any] = {"memory": 20_000, "store": store}
    with pytest.raises(KeyboardInterrupt):
        bench.compare(source, source, **options)
    first = list(runs)
    monkeypatch.setattr(
        measuring._ChunkMeasurer,
        "_measured",
        lambda chunk, subject: runs.append(chunk.chunk.start) or measured(chunk, subject),
    )
    target = bench.compare(source, source, **options)
    assert target.verdict is Verdict.PASS
    assert not set(runs[len(first) :]) & set(first), "nothing is measured twice"
    plain = bench.compare(source, source)
    assert plain.layers.rows == target.layers.rows


def test_layers_are_split_only_where_one_sample_is_too_much() -> None:
    layers = tuple(
        Layer(id=name, op="aten.relu", inputs=(before,), shape=(100,))
        for before, name in (("x", "a"), ("a", "b"), ("b", "c"), ("c", "d"))
    )
    spine = Spine(origin="exported", layers=layers, inputs=("x",))
    size = 100 * 24
    (everything,) = chunks(spine, ["a", "b", "c", "d"], 0, 5, 20 * size)
    assert (everything.layers, everything.start, everything.stop) == (("a", "b", "c", "d"), 0, 5)
    by_samples = chunks(spine, ["a", "b", "c", "d"], 0, 5, 8 * size)
    assert [(each.start, each.stop) for each in by_samples] == [(0, 2), (2, 4), (4, 5)]
    by_layers = chunks(spine, ["a", "c", "d"], 0, 1, 2 * size)
    assert [(each.layers, each.feeding) for each in by_layers] == [
        (("a", "c"), ()),
        (("d",), ("c",)),
    ]


def test_what_is_written_in_place_through_a_view_belongs_together() -> None:
    class Writes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = torch.sin(x)
            torch.relu_(first)  # by the tensor itself
            second = torch.cos(x)
            second[:, 0].mul_(2)  # through a view
            return first + second

    program = torch.export.export(Writes(), (torch.ones(2, 3),), strict=False)
    names = separable(program)
    assert {"sin", "relu_", "add"} <= names
    assert not {"cos", "select", "mul_"} & names


def test_moved_inputs_are_the_next_numbers_and_zeros_stay() -> None:
    array = np.array([0.0, 1.0, -3.0, np.inf, np.nan], np.float32)
    moved = perturbed({"x": array, "ids": np.array([1, 2])})
    assert moved["x"][0] == 0
    assert abs(moved["x"][1] - 1) in (np.float32(2**-23), np.float32(2**-24))
    assert np.array_equal(moved["x"][3:], array[3:], equal_nan=True)
    assert moved["ids"].tolist() == [1, 2]


def test_errors_of_what_is_not_finite_do_not_count_as_noise() -> None:
    truth = np.array([[1.0, np.inf, 3.0], [1.0, 2.0, np.nan]])
    actual = truth + np.array([[0.3, 0.0, 0.0], [0.0, 0.3, 0.0]])
    np.testing.assert_allclose(rms_errors(truth, actual), 0.3 / np.sqrt(3))


def test_the_error_of_long_sums_grows_with_their_root() -> None:
    """Against sums that are really made one term after another in float32."""
    rng = np.random.default_rng(0)
    for terms in (256, 4096):
        x = rng.normal(size=(400, terms)).astype(np.float32)
        exact = x.astype(np.float64).sum(axis=1)
        total = np.zeros(400, np.float32)
        for column in x.T:
            total += column
        real = np.sqrt(np.mean((total - exact) ** 2))
        value = torch.tensor(exact, dtype=torch.float32)
        simulated = with_error(value.clone(), terms, "seed") - value
        assert 0.4 < float(simulated.double().square().mean().sqrt()) / real < 2.5
