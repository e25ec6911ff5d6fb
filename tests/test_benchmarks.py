"""The measuring instruments: that they notice what they are there to notice."""

from __future__ import annotations

import math
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import coverage_model
import opinfo_limits
import opinfo_worker
import zoo
from direct import LiteRT, compile_program, distance
from zoo.lively import enliven
from zoo.torchvision_operators import non_maximum_suppression

from bridge.converters._capture import capture
from bridge.layers import Place

OWN = [model for model in zoo.models().values() if model.source == "own" and not model.packages]


@pytest.mark.parametrize("model", OWN, ids=lambda model: model.name)
def test_a_model_is_the_same_every_time_and_alive_on_both_kinds_of_inputs(model: zoo.Model) -> None:
    first, second = model.load(), model.load()
    for kind in zoo.KINDS:
        given = model.inputs(kind)
        with torch.no_grad():
            pairs = zip(
                torch.utils._pytree.tree_leaves(first(*given.args, **given.kwargs)),
                torch.utils._pytree.tree_leaves(second(*given.args, **given.kwargs)),
                strict=True,
            )
        for one, other in pairs:
            assert torch.equal(one, other)
            assert one.min() < one.max()
            assert one.float().isfinite().all()


def test_nothing_that_training_starts_at_zero_or_one_stays_there() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GroupNorm(2, 8))
    module.register_parameter("scale", nn.Parameter(torch.full((8, 1, 1), 1e-6)))
    nn.init.zeros_(module[2].weight)
    images = [torch.randn(1, 3, 12, 12), torch.randn(1, 3, 12, 12) * 3 + 1]
    enliven(module.eval(), [((each,), {}) for each in images])
    for name, each in module.named_parameters():
        assert each.std() > 1e-2, name
    norm = module[1]
    assert norm.running_mean.std() > 0.05
    assert norm.running_var.std() > 0.05


def test_a_layer_is_told_from_its_transpose_and_its_other_shape() -> None:
    eager = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    moved = eager.transpose(0, 2, 1)
    figure = coverage_model._layer_distance
    assert figure(eager, moved, Place(tensor="t", permutation=(0, 2, 1))) == math.inf
    assert figure(eager, moved, Place(tensor="t")) == -math.inf
    assert figure(eager, moved, Place(tensor="t", permutation=(2, 1, 0))) == -math.inf
    assert figure(eager, eager.reshape(6, 4), Place(tensor="t", reshaped=True)) == math.inf
    assert figure(eager, eager.reshape(6, 4), Place(tensor="t")) == -math.inf
    assert figure(eager, eager + 1e-3, Place(tensor="t")) < 90.0


def test_a_difference_of_value_type_and_finiteness_is_a_distance() -> None:
    ones = np.ones(3, np.float32)
    assert distance(ones, ones) == math.inf
    assert distance(ones, np.array([1, 1, np.nan], np.float32)) == -math.inf
    assert distance(ones, np.ones(3, np.int32)) == -math.inf
    assert distance(np.arange(3), np.arange(3).astype(np.int32)) == math.inf
    assert distance(np.arange(3), np.zeros(3, np.int32)) == -math.inf


def test_partitions_and_what_is_left_out_of_them(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.cumsum(torch.relu(x) * 2.0, 1) * 3.0)

    program = capture(Net().eval(), (torch.randn(2, 5),), {})
    compiled = compile_program(program, tmp_path / "m.tflite")
    assert LiteRT(compiled.path, plain=False).partitions() == (2, ["CUMSUM"])
    assert LiteRT(compiled.path, plain=True).partitions()[0] == 0


def test_a_wrong_lowering_is_wrong_and_a_refusal_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.linspace(-1.0, 1.0, 6)
    sample = SimpleNamespace(input=x, args=(), kwargs={})
    path = tmp_path / "m.tflite"

    def judged(function: object) -> opinfo_worker.Outcome:
        operator = SimpleNamespace(name="test", op=function)
        return opinfo_worker.judge(operator, opinfo_worker.Call(function, sample), path)

    assert judged(torch.relu).status == "passed"
    assert judged(torch.bernoulli).status in ("unsupported", "skipped")
    monkeypatch.setattr(opinfo_worker, "compile_program", _fails)
    assert judged(torch.relu).status == "wrong"
    monkeypatch.undo()
    runs = opinfo_worker.LiteRT.run
    monkeypatch.setattr(
        opinfo_worker.LiteRT, "run", lambda self, inputs: [runs(self, inputs)[0] + 1e-3]
    )
    assert judged(torch.relu).status == "wrong"


def test_only_what_is_proved_to_be_the_kernels_own_counts_as_the_runtimes_limit() -> None:
    largest, inf, nan = np.finfo(np.float32).max, np.inf, np.nan
    lost = opinfo_limits.Limits(dependent=[np.array([True, False])])
    masked = opinfo_limits.Limits(masked_softmax=True)
    none = opinfo_limits.Limits()

    def limit(want: list[float], got: list[float], limits: opinfo_limits.Limits = none) -> str:
        pair = np.array(want, np.float32), np.array(got, np.float32)
        return opinfo_limits.explained(limits, 0, *pair, partial(np.array_equal, equal_nan=True))

    assert limit([inf, -inf, 1], [largest, -largest, 1]) == opinfo_limits.CLAMPED
    assert not limit([inf, 1], [-largest, 1])
    assert not limit([inf, 1], [largest, 2])
    assert not limit([largest, 1], [inf, 1])
    assert not limit([nan, 1], [largest, 1])
    assert limit([nan, 1], [3, 1], lost) == opinfo_limits.NOT_A_NUMBER
    assert not limit([nan, 1], [3, 2], lost)
    assert not limit([nan, 1], [3, 1])
    assert limit([nan, nan, 1], [0.5, 0.5, 1], masked) == opinfo_limits.CLAMPED
    assert not limit([nan, nan, 1], [0.5, 2, 1], masked)
    assert not limit([0, 1], [0.5, 1], masked)


def test_a_result_depends_on_nan_only_where_one_is_compared() -> None:
    x = torch.tensor([[1.0, float("nan")], [3.0, 2.0]])
    limits = opinfo_limits.limits_of
    (found,) = limits(lambda given: given.amax(1), [x], ["aten.amax"]).dependent
    assert found.tolist() == [True, False]
    assert not limits(torch.exp, [x], ["aten.exp"]).dependent
    assert not limits(lambda given: given.amax(1), [x.nan_to_num()], ["aten.amax"]).dependent


def _fails(program: object, path: Path) -> None:
    raise KeyError("a bug of ours")


def test_indices_of_equal_elements_are_as_good_as_each_other() -> None:
    values = np.array([[3, 1, 3, 2]], np.float32)
    alike = opinfo_worker._choose_alike
    assert alike(values, np.array([[0, 2]]), np.array([[2, 0]]))
    assert not alike(values, np.array([[0, 2]]), np.array([[0, 0]]))
    assert not alike(values, np.array([[0, 2]]), np.array([[0, 3]]))


def test_non_maximum_suppression_keeps_the_best_of_what_overlaps() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30], [0, 0, 10, 9.5]])
    kept = non_maximum_suppression(boxes, torch.tensor([0.5, 0.9, 0.3, 0.7]), 0.5)
    assert kept.tolist() == [1, 2]
