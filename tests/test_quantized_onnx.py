"""ONNX files by ONNX Runtime's quantizer against their source."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from quantized_files import images, net

import bridge
from bridge.api.opening import SourceOptions
from bridge.formats import ONNX
from bridge.validators.quantization.recipe import file_recipe

Report = Mapping[str, Any]


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._left = iter(images(64, 1))

    def get_next(self) -> dict[str, Any] | None:
        return next(({"x": each[None]} for each in self._left), None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("quantized")
    bridge.convert(net(), (torch.zeros(1, 3, 16, 16),), to="onnx", out=folder, validate=False)
    plain = folder / "plain.onnx"
    quant_pre_process(str(folder / "model.onnx"), str(plain))
    found = {name: folder / f"{name}.onnx" for name in ("pairs", "operators", "dynamic")}
    integers = {"weight_type": QuantType.QInt8, "activation_type": QuantType.QUInt8}
    quantize_static(
        str(plain), str(found["pairs"]), Calibration(), per_channel=True,
        quant_format=QuantFormat.QDQ, **integers,
    )  # fmt: skip
    quantize_static(
        str(plain), str(found["operators"]), Calibration(),
        quant_format=QuantFormat.QOperator, **integers,
    )  # fmt: skip
    quantize_dynamic(str(plain), str(found["dynamic"]), weight_type=QuantType.QInt8)
    return found


def compared(file: Path, out: Path | None = None) -> Report:
    inputs = file.with_name("images.npz")
    np.savez(inputs, x=images(32, 2))
    return bridge.validate(
        file,
        against=net(),
        inputs=(torch.tensor(images(1, 3)),),
        source_options=SourceOptions(real=inputs),
        latency=False,
        out=out,
    ).report


def rows(report: Report) -> dict[str, Any]:
    shown = {each["id"]: each["targets"]["onnx"] for each in report["layers"]}
    return {layer: row for layer, row in shown.items() if row["isolated"]}


@pytest.mark.parametrize("kind", ["pairs", "operators", "dynamic"])
def test_a_good_file_passes_in_every_layer(files: dict[str, Path], kind: str) -> None:
    report = compared(files[kind])
    target = report["validation"]["targets"]["onnx"]
    assert target["verdict"] == "pass", target["reason"]
    found = rows(report)
    assert {"relu", "relu6", "conv2d_2", "add", "mean", "linear", "softmax"} <= set(found)
    assert {row["verdict"] for row in found.values()} == {"pass"}
    assert {row["isolated"]["verdict"] for row in found.values()} == {"pass"}
    assert min(float(row["metrics"]["sqnr_db"]) for row in found.values()) > 25
    assert not target["layers"]["unexplained"]
    if kind != "dynamic":  # the integers themselves were looked at, and nothing else was computed
        assert not target["layers"]["observer_effect"]
        assert all("uantize" in row["tensor"] for row in found.values() if row["tensor"] != "mean")


def edited(file: Path, scale: str, change: Callable[[Any], Any]) -> Path:
    """Return a copy with one constant changed wherever it is read."""
    model = onnx.load(file)
    (constant,) = (each for each in model.graph.initializer if each.name == scale)
    array = change(numpy_helper.to_array(constant))
    constant.CopyFrom(numpy_helper.from_array(np.asarray(array), scale))
    path = file.with_name(f"edited-{file.name}")
    onnx.save(model, path)
    return path


WIDE = ("relu", "relu_scale", lambda scale: np.float32(64 * scale))
NARROW = ("mean", "mean_scale", lambda scale: np.float32(scale / 4))
SHIFTED = ("conv2d_2", "conv2d_2_zero_point", lambda zero: np.uint8(int(zero) // 4))
WEIGHTS = ("conv2d_2", "project.weight_scale", lambda scale: (1.3 * scale).astype(np.float32))


@pytest.mark.parametrize(("layer", "constant", "change"), [WIDE, NARROW, SHIFTED, WEIGHTS])
def test_a_collapse_is_found_at_its_layer_and_reproduced(
    files: dict[str, Path], tmp_path: Path, layer: str, constant: str, change: Callable[[Any], Any]
) -> None:
    report = compared(edited(files["pairs"], constant, change), out=tmp_path / "kept")
    target = report["validation"]["targets"]["onnx"]
    assert target["verdict"] == "fail"
    assert target["layers"]["introduced"] == layer
    assert target["blame"]["confirmed"], target["blame"]
    assert any("→ uint8, scale" in each for each in target["blame"]["operators"])
    script = tmp_path / "kept" / target["blame"]["script"]
    done = subprocess.run([sys.executable, "-I", script], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    times = float(done.stdout.partition(": ")[2].partition(" times")[0].rpartition(" ")[2])
    judged = rows(report)[layer]["isolated"]["ratio"]  # on more inputs
    assert times == pytest.approx(judged, rel=0.3)


def test_the_file_says_how_it_is_quantized(files: dict[str, Path]) -> None:
    found = {name: file_recipe(path, ONNX) for name, path in files.items()}
    assert {name: each.precision for name, each in found.items()} == {
        "pairs": "int8",
        "operators": "int8",
        "dynamic": "int8-weights",
    }
    pairs = found["pairs"]
    assert set(pairs.inputs) == {"x"}
    weights, roundings = pairs.piece("relu6_QuantizeLinear_Output", {"relu_QuantizeLinear_Output"})
    assert weights is not None
    assert (weights.bits, weights.per_channel, weights.dynamic) == (8, True, False)
    assert roundings == 1
    assert pairs.tensors["max_pool2d_QuantizeLinear_Output"].settled  # it has its input's scale
    assert not pairs.tensors["relu_QuantizeLinear_Output"].settled
    weights, _ = found["dynamic"].piece("relu6", {"relu"})
    assert weights is not None
    assert weights.dynamic
