"""Quantized TFLite files of a small network, good ones and such with one wrong scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import quantizer, recipe
from torch import nn

from bridge.api.converting import convert
from bridge.validators.cutting.tflite import packed

RECIPES: dict[str, Callable[[], Any]] = {
    "int8": recipe.static_wi8_ai8,
    "int16": recipe.static_wi8_ai16,
    "dynamic": recipe.dynamic_wi8_afp32,
    "weights": recipe.weight_only_wi8_afp32,
}
_CALIBRATED_ON = 64


class Net(nn.Module):
    """A stem, a residual block with a depthwise convolution, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.project = nn.Conv2d(12, 12, 1)
        self.head = nn.Linear(12, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = x + self.project(nn.functional.relu6(self.norm(self.depthwise(x))))
        x = self.head(nn.functional.max_pool2d(x, 2).mean((2, 3)))
        return torch.softmax(4 * x, -1)


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def images(count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Smooth and bright enough that a few of them show the range of all: ``[count, 3, 16, 16]``."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3, 16, 16)).astype(np.float32)


def write_files(folder: Path) -> dict[str, Path]:
    """Write a file for each recipe, and the float one that they are made of."""
    convert(net(), (torch.zeros(1, 3, 16, 16),), to="tflite", out=folder, validate=False)
    files = {"float": folder / "model.tflite"}
    for name, make in RECIPES.items():
        made = quantizer.Quantizer(str(files["float"]))
        made.load_quantization_recipe(make())
        calibrated = None
        if made.need_calibration:
            samples = [{"x": each[None]} for each in images(_CALIBRATED_ON, 1)]
            calibrated = made.calibrate({"serving_default": samples}, num_threads=1)
        files[name] = folder / f"{name}.tflite"
        content = made.quantize(calibrated).quantized_model
        assert content is not None
        files[name].write_bytes(content)
    return files


def edited(file: Path, name: str, edit: Callable[[Any, Any], None]) -> Path:
    """Return a copy of a file with one tensor's quantization changed.

    Args:
        file: A quantized file.
        name: Name of the tensor.
        edit: Given the model and the tensor, in the schema's object classes.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    (tensor,) = [each for each in model.subgraphs[0].tensors if each.name.decode() == name]
    edit(model, tensor)
    path = file.with_name(f"edited-{file.name}")
    path.write_bytes(packed(model))
    return path


def weights_of(model: Any, tensor: Any) -> Any:
    """The weights of the operator that makes a tensor."""
    graph = model.subgraphs[0]
    place = next(i for i, each in enumerate(graph.tensors) if each is tensor)
    (made,) = [each for each in graph.operators if place in list(each.outputs)]
    return graph.tensors[made.inputs[1]]
