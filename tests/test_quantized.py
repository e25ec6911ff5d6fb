"""Quantized TFLite files against their source: good ones pass, a collapse is found at its layer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quantized_files import edited, images, net, weights_of, write_files

import bridge.api.validating as api
from bridge.api.culprits import blame_drift
from bridge.api.opening import SourceOptions
from bridge.artifact import Quantization
from bridge.formats import TFLITE
from bridge.report.reading import limits_of
from bridge.validators.quantization.affine import dequantized, quantized, representable
from bridge.validators.quantization.recipe import file_recipe

Report = Mapping[str, Any]
Q8 = Quantization(scales=(0.5,), zero_points=(3,))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_files(tmp_path_factory.mktemp("quantized"))


def compared(file: Path, out: Path | None = None) -> Report:
    inputs = file.with_name("images.npz")
    np.savez(inputs, x=images(12, 2))
    options = SourceOptions(real=inputs)
    example = (images(1, 3),)
    return api.validate(
        file,
        against=net(),
        inputs=_tensors(example),
        source_options=options,
        latency=False,
        out=out,
    ).report


def _tensors(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    import torch

    return tuple(torch.tensor(each) for each in arrays)


def targets(report: Report) -> Mapping[str, Any]:
    found: Mapping[str, Any] = report["validation"]["targets"]
    return found


def rows(report: Report, target: str) -> dict[str, Any]:
    shown = {each["id"]: each["targets"].get(target, {}) for each in report["layers"]}
    return {layer: row for layer, row in shown.items() if row.get("isolated")}


@pytest.mark.parametrize("kind", ["int8", "int16", "dynamic", "weights"])
def test_a_good_file_passes_in_every_layer(files: dict[str, Path], kind: str) -> None:
    report = compared(files[kind])
    assert set(targets(report)) == {"tflite", "tflite@litert-builtin"}
    for name, target in targets(report).items():
        assert target["verdict"] == "pass", target["reason"]
        shown = rows(report, name)
        assert {"relu", "relu6", "add", "softmax"} <= set(shown)
        assert {row["verdict"] for row in shown.values()} == {"pass"}
        assert {row["isolated"]["verdict"] for row in shown.values()} == {"pass"}
        # real values, not integers, were compared
        assert min(float(row["metrics"]["sqnr_db"]) for row in shown.values()) > 25
        assert min(float(row["isolated"]["metrics"]["sqnr_db"]) for row in shown.values()) > 25


def test_an_int8_kernel_computes_what_is_emulated(files: dict[str, Path]) -> None:
    report = compared(files["int8"])
    ratios = [row["accumulated"]["ratio"] for row in rows(report, "tflite").values()]
    assert min(ratios) > 0.9
    assert max(ratios) < 1.1


def _wide(model: Any, tensor: Any) -> None:
    tensor.quantization.scale = [64 * tensor.quantization.scale[0]]


def _narrow(model: Any, tensor: Any) -> None:
    tensor.quantization.scale = [tensor.quantization.scale[0] / 4]


def _shifted(model: Any, tensor: Any) -> None:
    tensor.quantization.zeroPoint = [tensor.quantization.zeroPoint[0] + 90]


def _wrong_weights(model: Any, tensor: Any) -> None:
    weights = weights_of(model, tensor)
    weights.quantization.scale = [1.3 * each for each in weights.quantization.scale]


@pytest.mark.parametrize(
    ("layer", "tensor", "edit"),
    [
        ("relu", "relu", _wide),
        ("relu6", "relu6", _narrow),
        ("conv2d_2", "project/conv2d_2", _shifted),
        ("conv2d_2", "project/conv2d_2", _wrong_weights),
        ("mean", "mean", _narrow),
        ("mul", "mul", _wide),
    ],
)
def test_a_collapse_is_found_at_its_layer(
    files: dict[str, Path], layer: str, tensor: str, edit: Callable[[Any, Any], None]
) -> None:
    report = compared(edited(files["int8"], tensor, edit))
    for target in targets(report).values():
        assert target["verdict"] == "fail"
        assert target["layers"]["introduced"] == layer


def test_layers_of_a_file_that_xnnpack_refuses_are_found_in_the_plain_kernels(
    files: dict[str, Path],
) -> None:
    refused = edited(files["int8"], "stem/conv2d/pad", _narrow)  # unlike the scale of what it pads
    verdicts = targets(compared(refused))
    assert verdicts["tflite"]["outcome"]["symptom"] == "error"
    plain = verdicts["tflite@litert-builtin"]
    assert (plain["verdict"], plain["layers"]["introduced"]) == ("fail", "relu")


def test_a_collapse_is_reproduced_by_a_script_of_its_own(
    files: dict[str, Path], tmp_path: Path
) -> None:
    report = compared(edited(files["int8"], "relu", _wide), out=tmp_path / "kept")
    for name, target in targets(report).items():
        blame = target["blame"]
        assert blame["layer"] == "relu"
        assert blame["confirmed"]
        assert blame["operators"][-1].startswith("CONV_2D(")
        assert "padding=VALID" in blame["operators"][-1]
        assert "→ int8, scale 0.27" in blame["operators"][-1]  # 64 times too wide
        done = subprocess.run(
            [sys.executable, "-I", tmp_path / "kept" / blame["script"]],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, (name, done.stderr)
        times = float(done.stdout.partition(": ")[2].partition(" times")[0].rpartition(" ")[2])
        alone = rows(report, name)["relu"]["isolated"]["ratio"]
        assert times == pytest.approx(alone, rel=0.05)  # it shows what was judged
    assert limits_of(report, "tflite")[1] < 10  # those of int8


def test_a_layer_that_is_all_right_has_a_script_that_ends_well(
    files: dict[str, Path], tmp_path: Path
) -> None:
    compared(files["int8"], out=tmp_path / "kept")
    for layer in ("relu6", "add", "mean", "softmax"):
        found = blame_drift(tmp_path / "kept", "tflite", layer=layer, out=tmp_path / layer)
        assert not found.confirmed
        assert "times that" in found.said


def test_the_file_says_how_it_is_quantized(files: dict[str, Path]) -> None:
    found = {name: file_recipe(path, TFLITE).precision for name, path in files.items()}
    assert found == {
        "float": "float32",
        "int8": "int8",
        "int16": "int8",
        "dynamic": "int8-weights",
        "weights": "int8-weights",
    }
    weights, roundings = file_recipe(files["int8"], TFLITE).piece("relu6", {"relu"})
    assert weights is not None
    assert (weights.bits, weights.per_channel, weights.dynamic) == (8, True, False)
    assert roundings == 1


def test_integers_stand_for_real_values() -> None:
    stored = np.array([[-128, 3, 4, 127]], np.int8)
    assert dequantized(stored, Q8).tolist() == [[-65.5, 0.0, 0.5, 62.0]]
    plain = np.array([[1, 2]])
    assert dequantized(plain, None) is plain


def test_halves_are_rounded_away_from_zero_and_what_is_outside_is_clamped() -> None:
    real = np.array([[0.25, -0.25, 0.24, 1e9, -1e9, np.inf, np.nan]], np.float32)
    assert quantized(real, Q8, np.int8).tolist() == [[4, 2, 3, 127, -128, 127, 3]]
    assert representable(real[:, :3], Q8, np.int8).tolist() == [[0.5, -0.5, 0.0]]


def test_scales_may_lie_along_an_axis() -> None:
    along = Quantization(scales=(1.0, 0.1), zero_points=(0, 10), axis=1)
    stored = np.array([[[1, 20], [2, 30]]], np.int8)
    expected = np.array([[[1.0, 1.0], [2.0, 2.0]]])
    np.testing.assert_allclose(dequantized(stored, along), expected)
    assert np.array_equal(quantized(expected, along, np.int8), stored)
