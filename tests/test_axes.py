"""Layouts in the contract: what the layers beside an input or output tell of its axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bridge
from bridge.api import ConvertOptions

FORMATS = ["exported", "torchscript", "onnx", "tflite"]


class Segments(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grow, self.end, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1), nn.Linear(8, 4)

    def forward(self, image: torch.Tensor, shift: torch.Tensor) -> Any:
        x = torch.relu(self.grow((image - 0.5) / 0.25))
        return torch.sigmoid(self.end(x)) * 2, self.head(x.mean((2, 3))) + shift


class Listens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(2, 4, 3), nn.Linear(6, 5)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.conv(sound))
        return result


class Attends(nn.Module):
    def forward(self, q: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(q, q, q) + 1


def layouts(module: nn.Module, inputs: Any, folder: Path, **options: Any) -> dict[str, Any]:
    """Format → layouts of its inputs and outputs by their shapes."""
    result = bridge.convert(
        module.eval(),
        inputs,
        to=FORMATS,
        out=folder,
        options=ConvertOptions(hop_options=options),
        validate=False,
    )
    assert result.ok
    return {
        name: {tuple(each["shape"]): each["layout"] for each in (*side["inputs"], *side["outputs"])}
        for name, side in result.report["contract"].items()
    }


def test_convolutions_beside_them_tell_the_axes_of_inputs_and_outputs(tmp_path: Path) -> None:
    found = layouts(Segments(), (torch.rand(1, 3, 8, 8), torch.rand(4)), tmp_path)
    assert len(found) >= 3
    for format_, known in found.items():
        assert known[(1, 3, 8, 8)] == known[(1, 2, 6, 6)] == "NCHW", format_
        assert known[(4,)] is known[(1, 4)] is None, format_


def test_a_file_with_channels_last_says_so(tmp_path: Path) -> None:
    given = (torch.rand(1, 3, 8, 8), torch.rand(4))
    found = layouts(Segments(), given, tmp_path, io_layout=["nhwc"])
    assert found["tflite"][(1, 8, 8, 3)] == found["tflite"][(1, 6, 6, 2)] == "NHWC"
    assert found["onnx"][(1, 3, 8, 8)] == "NCHW"


@pytest.mark.parametrize(
    ("module", "given", "known"),
    [
        (Listens(), torch.rand(1, 2, 8), {(1, 2, 8): "NCW", (1, 4, 5): None}),
        (Attends(), torch.rand(1, 2, 8, 4), {(1, 2, 8, 4): None}),
    ],
    ids=["sound", "heads"],
)
def test_what_no_layer_tells_is_left_open(
    module: nn.Module, given: torch.Tensor, known: dict[Any, Any], tmp_path: Path
) -> None:
    for format_, found in layouts(module, (given,), tmp_path).items():
        assert found == known, format_
