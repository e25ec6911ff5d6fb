"""Writes through views, written as new values: beside eager PyTorch, on programs made by chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bridge.converters._capture import capture
from bridge.converters.tflite.constants import Constants
from bridge.converters.tflite.functionalize import without_writes
from bridge.converters.tflite.view_writes import without_view_writes
from bridge.mutation import alias_groups, written
from bridge.program import run_program

Forward = Callable[[torch.Tensor], Any]
View = Callable[[], torch.Tensor]


class Chance(nn.Module):
    """Some views of a tensor and of another, writes to them, and reads in between."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        draw = random.Random(self.seed)
        writable = [x * 2, torch.zeros(2, 3, 4)]
        only_read: list[torch.Tensor] = []
        results = []
        for _ in range(14):
            base = draw.choice([each for each in writable if each.numel()])
            action = draw.choice(["view", "view", "write", "read", "view to read"])
            if action == "write":
                self.write(draw, base)
            elif action == "read":
                results.append(draw.choice([base, *only_read]) + 1)
            elif base.dim():
                views = self.views(draw, base) if action == "view" else self.more_views(draw, base)
                (writable if action == "view" else only_read).append(draw.choice(views)())
        return [*results, *writable, *only_read]

    def views(self, draw: random.Random, base: torch.Tensor) -> list[View]:
        """Views that can be written to."""
        axis = draw.randrange(base.dim())
        other = draw.randrange(base.dim())
        views: list[View] = [
            lambda: base.narrow(axis, 0, 1),
            lambda: base[(slice(None),) * axis + (slice(1, None, 2),)],
            lambda: base.select(axis, -1),
            lambda: base.transpose(axis, other),
            lambda: base.permute(*draw.sample(range(base.dim()), base.dim())),
            lambda: base.unsqueeze(axis),
            lambda: base.squeeze(axis),
            lambda: base.squeeze(),
            lambda: base.detach(),
        ]
        if axis != other:
            views.append(lambda: torch.diagonal(base, 0, axis, other))
        if base.is_contiguous():
            views.append(lambda: base.view(-1))
        return views

    def more_views(self, draw: random.Random, base: torch.Tensor) -> list[View]:
        """Views that have no inverse of one tensor."""
        axis = draw.randrange(base.dim())
        return [
            lambda: base.expand(2, *base.shape),
            lambda: base.chunk(2, axis)[-1],
            lambda: base.unbind(axis)[-1],
            lambda: base.split(1, axis)[0],
        ]

    def write(self, draw: random.Random, base: torch.Tensor) -> None:
        number = draw.randrange(1, 5)
        if base.dim() > 1 and draw.random() < 0.3:
            base[..., :1, 0] += number  # in turns, so that other views are in between
            base[0] *= base[0]
            return
        writes: list[Callable[[], Any]] = [
            lambda: base.add_(number),
            lambda: base.mul_(base.clone()),
            lambda: base.copy_(torch.arange(float(base.numel())).reshape(base.shape) / number),
            lambda: base.copy_(torch.ones((), dtype=torch.int64)),
            lambda: base.fill_(number),
            lambda: base.zero_(),
            lambda: base.clamp_(max=number),
            lambda: base.masked_fill_(base > number, -number),
        ]
        draw.choice(writes)()


def rewritten(module: nn.Module, x: torch.Tensor) -> tuple[Any, Any]:
    """The captured program, and what becomes of it if all of its writes are followed."""
    program = capture(module.eval(), (x.clone(),), {})
    group = alias_groups(program)
    roots = {group[target] for node in program.graph.nodes for target in written(node)}
    return program, without_view_writes(program, group, roots)


def agree(module: nn.Module, program: Any, x: torch.Tensor) -> None:
    wanted = module(x.clone())
    wanted = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted)
    made = run_program(program, (x.clone(),), {})
    assert len(made) == len(wanted)
    for index, (want, got) in enumerate(zip(wanted, made, strict=True)):
        torch.testing.assert_close(got, want, rtol=0, atol=0, msg=f"output {index}")


@pytest.mark.parametrize("block", range(8))
def test_programs_made_by_chance(block: int) -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    followed = 0
    for seed in range(25 * block, 25 * block + 25):
        module = Chance(seed)
        program, made = rewritten(module, x)
        assert made is not None, f"seed {seed}"
        functional, origins = made
        assert not any(written(node) for node in functional.graph.nodes), f"seed {seed}"
        agree(module, functional, x)
        agree(module, program, x)  # it was not changed
        followed += len(functional.graph.nodes) > len(program.graph.nodes)
        layers = {node.name: node for node in program.graph.nodes}
        assert {*origins.results.values()} <= {*layers}
        for node, layer in origins.results.items():
            assert node.meta.get("val") is layers[layer].meta.get("val"), f"seed {seed}: {layer}"
    assert followed > 12, "few of these programs read a tensor after a write through another"


class Calls(nn.Module):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.function = forward

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def _changing_batch(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    y[:, 0].add_(y[:, 1])
    y.transpose(1, 2)[..., 1] = 7
    return y


def test_sizes_that_change_stay_so() -> None:
    module = Calls(_changing_batch)
    x = torch.rand(2, 3, 4)
    shapes = {"x": {0: torch.export.Dim.DYNAMIC}}
    program = capture(module, (x,), {}, shapes)
    made = without_writes(program, Constants(program))
    assert made is not None
    assert "slice_scatter" in str(made[0].graph) or "select_scatter" in str(made[0].graph)
    for size in (1, 5):
        agree(module, made[0], torch.rand(size, 3, 4))


def _augmented(x: torch.Tensor) -> Any:
    y = x * 2
    y[:, :2] *= 3
    return y


def _augmented_inside(x: torch.Tensor) -> Any:
    y = x * 2
    y[1][:, 1:3] += x[0, :, 1:3]
    return y


@pytest.mark.parametrize(
    ("forward", "scatters"), [(_augmented, 1), (_augmented_inside, 2)], ids=["one", "two"]
)
def test_an_augmented_assignment_is_one_write(forward: Forward, scatters: int) -> None:
    """``y[0] += 1`` writes to ``y[0]``, and then copies the sum to ``y[0]``."""
    x = torch.arange(24.0).reshape(2, 3, 4)
    module = Calls(forward)
    program, made = rewritten(module, x)
    functional, origins = made
    agree(module, functional, x)
    nodes = [str(node.target) for node in functional.graph.nodes]
    assert len([name for name in nodes if "scatter" in name]) == scatters
    assert not any("copy" in name for name in nodes)
    computed = {node.name for node in program.graph.nodes if node.op == "call_function"}
    assert computed <= {*origins.results.values()}


def _reshaped(x: torch.Tensor) -> Any:
    y = x * 2
    y.reshape(-1).add_(1)  # of another tensor this were a copy
    return y


def _unbound(x: torch.Tensor) -> Any:
    y = x * 2
    first, _ = y.unbind()
    first.add_(1)
    return y


def _promoting(x: torch.Tensor) -> Any:
    y = (x * 2).half()
    y[0].add_(x[1])
    return y


def _comparing(x: torch.Tensor) -> Any:
    y = x * 2
    y[0].gt_(3)
    return y


def _widened(x: torch.Tensor) -> Any:
    y = x * 2
    y.view(torch.int32)[0, 0].zero_()
    return y


@pytest.mark.parametrize(
    "forward", [_reshaped, _unbound, _promoting, _comparing, _widened], ids=lambda f: f.__name__
)
def test_what_is_not_understood_is_left_to_pytorch(forward: Forward) -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    module = Calls(forward)
    program, made = rewritten(module, x)
    assert made is None
    functional = without_writes(program, Constants(program))
    assert functional is not None
    agree(module, functional[0], x)


def test_results_of_one_operator_share_no_memory() -> None:
    def forward(x: torch.Tensor) -> Any:
        values, places = x.topk(2)
        values.div_(values.sum(-1, keepdim=True))
        return values, places + 1

    module = Calls(forward)
    program = capture(module, (torch.rand(2, 3, 4),), {})
    assert without_writes(program, Constants(program)) is None
