"""Layers that a quantized file computes in several steps: what its noise is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_quantizer import quantizer, recipe
from torch import nn
from torch.nn import functional as F

import bridge.api.validating as api
from bridge.api.converting import convert
from bridge.api.opening import SourceOptions
from bridge.validators.drift.integer_rounding import StepRanges, norm, norm_of_rounded

X = torch.randn(2, 8, 6, 5, generator=torch.Generator().manual_seed(1))
SCALE, SHIFT = torch.linspace(0.5, 2.0, 8), torch.linspace(-1.0, 1.0, 8)
ROWS = X.permute(0, 2, 3, 1).contiguous()
CASES: list[tuple[str, list[Any], torch.Tensor]] = [
    (
        "layer_norm",
        [ROWS, [8], SCALE, SHIFT, 1e-3],
        F.layer_norm(ROWS, [8], SCALE, SHIFT, 1e-3),
    ),
    ("layer_norm", [X, [6, 5]], F.layer_norm(X, [6, 5])),
    ("group_norm", [X, 4, SCALE, SHIFT, 1e-3], F.group_norm(X, 4, SCALE, SHIFT, 1e-3)),
    (
        "instance_norm",
        [X, SCALE, SHIFT, None, None, True, 0.1, 1e-3, False],
        F.instance_norm(X, weight=SCALE, bias=SHIFT, eps=1e-3),
    ),
]


@pytest.mark.parametrize(("operator", "arguments", "expected"), CASES)
def test_a_norm_in_steps_is_the_norm(
    operator: str, arguments: list[Any], expected: torch.Tensor
) -> None:
    exact = norm(operator, arguments, lambda each: each)
    torch.testing.assert_close(exact, expected, rtol=1e-4, atol=1e-5)

    def rounded(bits: int) -> torch.Tensor:
        steps = StepRanges(bits)
        norm(operator, arguments, steps.begin(learning=True))
        made: torch.Tensor = norm(operator, arguments, steps.begin(learning=False))
        return made

    coarse = rounded(8)
    error = float((coarse - expected).square().mean().sqrt() / expected.square().mean().sqrt())
    assert 0.002 < error < 0.1
    assert (rounded(16) - expected).abs().max() < (coarse - expected).abs().max() / 50


@pytest.mark.parametrize(("operator", "arguments", "expected"), CASES)
def test_a_scale_in_integers_rounds_what_it_scales(
    operator: str, arguments: list[Any], expected: torch.Tensor
) -> None:
    made = norm_of_rounded(operator, arguments, expected, 8)
    if operator == "layer_norm" and len(arguments) == 2:
        assert made is expected  # nothing is scaled
        return
    assert 0 < (made - expected).abs().max() < 0.05


class Norms(nn.Module):
    """A convolution and norms whose scales are no layer's; a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 8, 3, padding=1)
        self.group = nn.GroupNorm(4, 8)
        self.batch = nn.BatchNorm2d(8)
        self.layer = nn.LayerNorm(8)
        self.lstm = nn.LSTM(8, 6, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.group(self.enter(x)))
        x = self.batch(x + torch.tanh(x))
        rows = self.layer(x.mean(2).transpose(1, 2))
        states: torch.Tensor = self.lstm(rows * rows)[0]
        return states


@pytest.mark.parametrize("kind", ["dynamic_wi8_afp32", "weight_only_wi8_afp32"])
def test_scales_and_recurrent_weights_in_integers_are_no_error(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Norms().eval()
    for each in (net.group, net.batch, net.layer):
        each.weight.data.uniform_(0.5, 1.5)
    example = (torch.randn(1, 3, 12, 12),)
    convert(net, example, to="tflite", out=tmp_path / "float", validate=False)
    made = quantizer.Quantizer(str(tmp_path / "float" / "model.tflite"))
    made.load_quantization_recipe(getattr(recipe, kind)())
    content = made.quantize().quantized_model
    assert content is not None
    (tmp_path / "its.tflite").write_bytes(content)
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, x=torch.randn(8, 3, 12, 12).numpy())
    report = api.validate(
        tmp_path / "its.tflite",
        against=net,
        inputs=example,
        source_options=SourceOptions(real=inputs),
        latency=False,
    ).report
    for target in report["validation"]["targets"].values():
        assert target["layers"]["introduced"] is None, target["reason"]
