"""Golden vectors and tolerances: what a device is allowed, and what it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from compile_torch import compile_module
from conftest import FIXTURES, fixture_options
from numpy.typing import NDArray
from safetensors.torch import load_file

from bridge.android.golden import stored
from bridge.android.tolerance import Drift, Tolerance, tolerances
from bridge.api import AndroidBundle, AndroidOptions, SourceOptions, android_bundle, convert
from bridge.artifact import Quantization, TensorSpec
from bridge.errors import ConversionError

sys.path.append(str(FIXTURES))

pytestmark = pytest.mark.xdist_group("android-golden")  # what its tests share is made once

Array = NDArray[Any]


def digits_cnn() -> torch.nn.Module:
    from models import digits_cnn as build

    module: torch.nn.Module = build()[0]
    module.load_state_dict(load_file(FIXTURES / "digits_cnn.safetensors"))
    return module.eval()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> AndroidBundle:
    folder = tmp_path_factory.mktemp("digits")
    convert(
        f"{FIXTURES / 'models.py'}:digits_cnn",
        to=["tflite"],
        out=folder,
        source_options=fixture_options("digits_cnn"),
    )
    return android_bundle(folder)


def within(bundle: AndroidBundle, backend: str, outputs: Array) -> bool:
    """What the device's test decides."""
    (golden,) = bundle.golden.outputs
    limits = golden.tolerance[backend]
    errors = np.abs(outputs.astype(np.float64) - golden.values)
    rmse = np.sqrt(np.mean(errors**2, axis=tuple(range(1, errors.ndim))))
    return bool(errors.max() <= limits.max_abs and rmse.max() <= limits.rmse)


def test_float16_arithmetic_fits_the_gpu_and_not_the_cpu(bundle: AndroidBundle) -> None:
    half = digits_cnn().half()
    with torch.no_grad():
        images = torch.from_numpy(bundle.golden.inputs["image"]).half()
        outputs = torch.stack([half(image) for image in images]).float().numpy()
    assert within(bundle, "gpu", outputs)
    assert not within(bundle, "cpu", outputs)


@pytest.mark.parametrize("epsilon", [1e-4, 2e-5])
def test_a_wrong_epsilon_is_beyond_the_cpu_tolerance(
    bundle: AndroidBundle, tmp_path: Path, epsilon: float
) -> None:
    module = digits_cnn()
    last = [each for each in module.modules() if isinstance(each, torch.nn.BatchNorm2d)][-1]
    assert last.eps == 1e-5
    last.eps = epsilon
    path = compile_module(module, (torch.zeros(1, 1, 8, 8),), tmp_path / "m.tflite").path
    runner = Interpreter(str(path)).get_signature_runner()
    images = bundle.golden.inputs["image"]
    (name,) = runner.get_input_details()
    outputs = np.stack([next(iter(runner(**{name: each}).values())) for each in images])
    assert not within(bundle, "cpu", outputs)


def test_compiledmodel_takes_the_names_of_the_bundle(bundle: AndroidBundle) -> None:
    """The API that the Kotlin class uses, in Python, on the file with metadata."""
    code = """
import sys
import numpy as np
from ai_edge_litert.compiled_model import CompiledModel

model = CompiledModel.from_file(sys.argv[1] + "/model.tflite")
(key,) = model.get_signature_list()
image = model.create_input_buffer_by_name(key, "image")
output = model.create_output_buffer_by_name(key, "output")
image.write(np.fromfile(sys.argv[1] + "/golden/00.input0.bin", "<f4"))
model.run_by_name(key, {"image": image}, {"output": output})
expected = np.fromfile(sys.argv[1] + "/golden/00.output0.bin", "<f4")
print("off by", float(np.abs(output.read(expected.size, np.float32) - expected).max()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle.folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    error = float(done.stdout.rpartition("off by")[2])
    assert error <= bundle.golden.outputs[0].tolerance["cpu"].max_abs


def test_too_few_real_inputs_are_topped_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "real.npz", input=rng.uniform(3, 4, (2, 5)).astype(np.float32))
    convert(
        torch.nn.Linear(5, 3),
        (torch.zeros(1, 5),),
        to=["tflite"],
        out=tmp_path / "out",
        source_options=SourceOptions(real=tmp_path / "real.npz"),
    )
    made = android_bundle(tmp_path / "out", options=AndroidOptions(samples=4)).golden
    assert made.count == 4
    assert made.origin == "2 of the 2 real samples of real.npz, and 2 drawn from their ranges"
    assert len({each.tobytes() for each in made.inputs["input"]}) == 4


REFERENCE = np.array([[3.0, -4.0], [0.0, 5.0]])  # RMS 3.54
SINGLE, HALF = 2.0**-24, 2.0**-11


@pytest.mark.parametrize(
    ("dtype", "precision", "drifts", "cpu", "gpu"),
    [
        # four times the worst of each kind
        (
            "float32",
            "float32",
            [Drift(max_abs=1e-5, rmse=1e-6), Drift(max_abs=8e-6, rmse=2e-6)],
            Tolerance(max_abs=4e-5, rmse=8e-6),
            Tolerance(max_abs=4e-5 * 2**13, rmse=8e-6 * 2**13),
        ),
        # exact here: four roundings of the largest value, and of the RMS
        (
            "float32",
            "float32",
            [Drift(max_abs=0.0, rmse=0.0)],
            Tolerance(max_abs=4 * SINGLE * 5, rmse=4 * SINGLE * 12.5**0.5),
            Tolerance(max_abs=4 * HALF * 5, rmse=4 * HALF * 12.5**0.5),
        ),
        # weights in float16 are off by as much as the GPU's arithmetic already
        (
            "float32",
            "float16",
            [Drift(max_abs=0.01, rmse=0.005)],
            Tolerance(max_abs=0.04, rmse=0.02),
            Tolerance(max_abs=0.04, rmse=0.02),
        ),
        # a GPU's RMSE may not fail by the validator's own measure: 30 dB
        (
            "float32",
            "float32",
            [Drift(max_abs=1e-4, rmse=1e-4)],
            Tolerance(max_abs=4e-4, rmse=4e-4),
            Tolerance(max_abs=4e-4 * 2**13, rmse=12.5**0.5 * 10**-1.5),
        ),
        ("int32", "float32", [Drift(max_abs=0.0, rmse=0.0)], Tolerance(max_abs=0, rmse=0), None),
        ("int8", "float32", [Drift(max_abs=1.0, rmse=0.1)], Tolerance(max_abs=4, rmse=4), None),
    ],
)
def test_limits_follow_from_the_drift(
    dtype: str, precision: str, drifts: list[Drift], cpu: Tolerance, gpu: Tolerance | None
) -> None:
    made = tolerances(REFERENCE, dtype, precision, drifts)
    for backend, expected in (("cpu", cpu), ("gpu", gpu or cpu)):
        assert made[backend].max_abs == pytest.approx(expected.max_abs)
        assert made[backend].rmse == pytest.approx(expected.rmse)


@pytest.mark.parametrize("drifts", [[], [Drift(max_abs=np.inf, rmse=1.0)]])
def test_without_a_finite_drift_nothing_is_tolerated(drifts: list[Drift]) -> None:
    with pytest.raises(ConversionError, match="not finite"):
        tolerances(REFERENCE, "float32", "float32", drifts)


def test_infinite_golden_values_do_not_widen_the_limits() -> None:
    drift = [Drift(max_abs=0.0, rmse=0.0)]
    wide = np.concatenate([REFERENCE, [[np.inf, np.nan]]])
    assert tolerances(wide, "float32", "float32", drift) == tolerances(
        REFERENCE, "float32", "float32", drift
    )


def test_values_are_stored_in_the_axes_the_steps_and_the_type_of_the_file() -> None:
    values = np.arange(24.0).reshape(1, 1, 2, 3, 4)
    spec = TensorSpec(
        name="x",
        shape=(1, 3, 4, 2),
        dtype="int8",
        permutation=(0, 2, 3, 1),
        quantization=Quantization(scales=(0.1,), zero_points=(-28,)),
    )
    made = stored(values, spec)
    assert made.shape == (1, 1, 3, 4, 2)
    assert made.dtype == np.int8
    assert made[0, 0, 0, 1, 0] == -18  # 1.0 is 10 steps above the zero point
    assert made[0, 0, 2, 3, 1] == 127  # 23.0 is beyond the range
    assert made.flags.c_contiguous


def test_a_scale_per_channel_is_no_scale_for_an_app() -> None:
    steps = Quantization(scales=(0.1, 0.2), zero_points=(0, 0), axis=1)
    spec = TensorSpec(name="x", shape=(1, 2), dtype="int8", quantization=steps)
    with pytest.raises(ConversionError, match="one scale per channel"):
        stored(np.zeros((1, 1, 2)), spec)
