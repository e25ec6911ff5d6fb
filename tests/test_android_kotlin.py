"""The Kotlin of a bundle: it compiles, and its test tells right outputs from wrong ones.

One compilation serves all: that of a real bundle, and of a model with every type and the worst of
names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FIXTURES, fixture_options
from kotlin_compiler import Compiled, compile_kotlin, record

from bridge.android.contract import BundleTensor, Contract, Normalization, read_contract
from bridge.android.golden import Golden, GoldenOutput, write_golden
from bridge.android.identifiers import property_names
from bridge.android.kotlin import KINDS, class_names, kotlin_sources, not_compiled
from bridge.android.tolerance import Drift, tolerances
from bridge.api import AndroidOptions, android_bundle, convert
from bridge.artifact import Artifact, TensorSpec

pytestmark = pytest.mark.xdist_group("android-kotlin")  # what its tests share is made once

DIGITS = "com.example.digits"
ODD = "org.odd_names.x1"
REFUSED = "com.example.refused"
REFUSAL = 'the GPU refuses "TOPK_V2" (${it} costs $1)'
NASTY = (
    'a"$b\n\\',
    "class",
    "1x",
    "größe",
    "数",
    "a.b",
    "a_b",
    "*/ fun evil() {} /*",
    "val",
    "toString",
    "${System.exit(1)}",
)


def odd_contract() -> Contract:
    """Every type once among the outputs; names that end strings, comments and identifiers."""
    types = [*KINDS, *["float32"] * (len(NASTY) - len(KINDS))]

    def tensors(names: tuple[str, ...], order: int) -> tuple[BundleTensor, ...]:
        specs = [
            TensorSpec(name=name, shape=(2, index + 1), dtype=dtype)
            for index, (name, dtype) in enumerate(zip(names, types, strict=True))
        ]
        places = range(len(specs))[::order]  # the file's tensors are in another order
        return tuple(
            BundleTensor(spec=spec, identifier=identifier, position=place)
            for spec, identifier, place in zip(specs, property_names(names), places, strict=True)
        )

    return Contract(inputs=tensors(NASTY, -1), outputs=tensors(NASTY[::-1], 1))


def odd_arrays(contract: Contract, side: str) -> dict[str, Any]:
    rng = np.random.default_rng(len(side))
    arrays = {}
    for tensor in getattr(contract, side):
        dtype = np.dtype(tensor.spec.dtype)
        low, high = {"b": (0, 2), "u": (0, 256), "i": (-100, 100), "f": (-9, 9)}[dtype.kind]
        drawn = rng.uniform(low, high, (3, *tensor.shape))
        arrays[tensor.spec.name] = np.floor(drawn).astype(dtype) if dtype.kind != "f" else drawn
    return {
        name: array.astype("float32") if array.dtype == np.float64 else array
        for name, array in arrays.items()
    }


@dataclass(frozen=True)
class Built:
    """Two bundles and their compiled classes."""

    compiled: Compiled
    digits: Path
    golden: Golden
    odd: Path
    odd_contract: Contract
    odd_inputs: dict[str, Any]
    odd_outputs: dict[str, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("bündel mit Leerzeichen")
    convert(
        f"{FIXTURES / 'models.py'}:digits_cnn",
        to=["tflite"],
        out=folder / "result",
        source_options=fixture_options("digits_cnn"),
    )
    made = android_bundle(folder / "result", options=AndroidOptions(package=DIGITS, samples=4))
    contract = odd_contract()
    inputs, outputs = odd_arrays(contract, "inputs"), odd_arrays(contract, "outputs")
    odd = folder / "odd"
    _write_odd(odd, contract, inputs, outputs)
    classes = folder / "classes"
    classes.mkdir()
    refused = folder / "refused"
    digits = read_contract(_artifact(folder / "result"))
    _write(refused, kotlin_sources(digits, class_names("net"), REFUSED, gpu_refusal=REFUSAL))
    compiled = compile_kotlin([made.folder, odd, refused], classes)
    return Built(compiled, made.folder, made.golden, odd, contract, inputs, outputs)


def _write_odd(
    folder: Path, contract: Contract, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    """What a bundle has for the test, made without a model."""
    drift = Drift(max_abs=1e-6, rmse=1e-7)
    exact = Drift(max_abs=0.0, rmse=0.0)
    golden = Golden(
        inputs=inputs,
        outputs=tuple(
            GoldenOutput(
                spec=each.spec,
                values=outputs[each.spec.name],
                measured={},
                tolerance=tolerances(
                    outputs[each.spec.name].astype(np.float64),
                    each.spec.dtype,
                    "float32",
                    [drift if each.spec.dtype == "float32" else exact],
                ),
            )
            for each in contract.outputs
        ),
        reference="drawn",
        origin="drawn",
        actual={},
    )
    folder.mkdir()
    write_golden(golden, folder / "golden", {"file": "model.tflite", "sha256": ""})
    (folder / "model.tflite").write_bytes(b"\0\0\0\0TFL3")
    _write(folder, kotlin_sources(contract, class_names("compiled"), ODD))


def _artifact(folder: Path) -> Artifact:
    manifest = json.loads((folder / "manifest.json").read_text())
    (stored,) = [each for each in manifest["artifacts"] if each["format"] == "tflite"]
    return Artifact.from_json({**stored, "path": str(folder / stored["path"])})


def _write(folder: Path, sources: dict[str, str]) -> None:
    for path, text in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def digits_outcomes(
    built: Built, folder: Path, shift: float, *, gpu: bool = True
) -> dict[str, str]:
    """Run the tests of the digits bundle on LiteRT's own outputs, one of them shifted."""
    outputs = {name: array.copy() for name, array in built.golden.actual.items()}
    outputs["output"][2].flat[3] += shift
    recorded = record(folder / "recorded", built.golden.inputs, outputs)
    classes = ("InterpreterTest", "CompiledTest", "GpuDelegateTest")
    names = [f"{DIGITS}.DigitsCnnModel{each}" for each in classes]
    return built.compiled.run(built.digits, built.digits, recorded, names, gpu=gpu)


CPU_TESTS = {
    "DigitsCnnModelInterpreterTest.xnnpack",
    "DigitsCnnModelInterpreterTest.plainKernels",
    "DigitsCnnModelCompiledTest.cpu",
}
GPU_TESTS = {"DigitsCnnModelCompiledTest.gpu", "DigitsCnnModelGpuDelegateTest.gpu"}


def test_what_litert_gives_here_passes_on_every_backend(built: Built, tmp_path: Path) -> None:
    outcomes = digits_outcomes(built, tmp_path, 0.0)
    assert outcomes == dict.fromkeys(CPU_TESTS | GPU_TESTS, "passed")


@pytest.mark.parametrize("times", [1.5, -1.5])
def test_an_output_beyond_the_tolerance_fails_and_is_named(
    built: Built, tmp_path: Path, times: float
) -> None:
    limits = built.golden.outputs[0].tolerance
    cpu = digits_outcomes(built, tmp_path / "cpu", times * limits["cpu"].max_abs)
    assert {name for name, outcome in cpu.items() if outcome == "passed"} == GPU_TESTS
    for name in CPU_TESTS:
        assert cpu[name].startswith("failed: output 'output' of sample 2 on cpu: element 3 is ")
    gpu = digits_outcomes(built, tmp_path / "gpu", times * limits["gpu"].max_abs)
    assert all(outcome.startswith("failed: ") for outcome in gpu.values())


def test_a_nan_fails_everywhere(built: Built, tmp_path: Path) -> None:
    outcomes = digits_outcomes(built, tmp_path, float("nan"))
    assert all("element 3 is NaN" in outcome for outcome in outcomes.values())
    assert len(outcomes) == len(CPU_TESTS | GPU_TESTS)


def test_a_device_without_a_gpu_skips_and_says_so(built: Built, tmp_path: Path) -> None:
    outcomes = digits_outcomes(built, tmp_path, 0.0, gpu=False)
    assert {name for name, outcome in outcomes.items() if outcome == "passed"} == CPU_TESTS
    assert outcomes["DigitsCnnModelCompiledTest.gpu"] == (
        "skipped: LiteRT finds no GPU accelerator on this device"
    )
    assert outcomes["DigitsCnnModelGpuDelegateTest.gpu"] == (
        "skipped: the GPU delegate does not support this device"
    )


def test_a_gpu_that_the_report_says_refuses_the_model_is_not_asked(
    built: Built, tmp_path: Path
) -> None:
    recorded = record(tmp_path / "recorded", built.golden.inputs, built.golden.actual)
    names = [f"{REFUSED}.NetModelCompiledTest"]
    outcomes = built.compiled.run(built.digits, built.digits, recorded, names)
    assert outcomes == {
        "NetModelCompiledTest.cpu": "passed",
        "NetModelCompiledTest.gpu": f"skipped: {REFUSAL}",
    }


def test_another_model_under_the_name_is_refused(built: Built, tmp_path: Path) -> None:
    inputs = {"image": np.zeros((1, 1, 8, 8, 1), np.float32)}
    recorded = record(tmp_path / "r", inputs, {"output": np.zeros((1, 1, 10), np.float32)})
    names = [f"{DIGITS}.DigitsCnnModelInterpreterTest"]
    outcomes = built.compiled.run(built.digits, built.digits, recorded, names)
    assert all(
        "'image' of this model is [1, 8, 8, 1], not [1, 1, 8, 8]" in each
        for each in outcomes.values()
    )


def odd_outcomes(built: Built, folder: Path, outputs: dict[str, Any]) -> dict[str, str]:
    """Run the test of the odd bundle; tensors lie in the order of the file."""

    def placed(side: tuple[BundleTensor, ...], arrays: dict[str, Any]) -> dict[str, Any]:
        ordered = sorted(side, key=lambda each: each.position)
        return {each.spec.name: arrays[each.spec.name] for each in ordered}

    contract = built.odd_contract
    recorded = record(
        folder / "recorded",
        placed(contract.inputs, built.odd_inputs),
        placed(contract.outputs, outputs),
    )
    names = [f"{ODD}.OwnCompiledModelInterpreterTest"]
    return built.compiled.run(built.odd, built.odd, recorded, names)


def test_every_type_and_the_worst_names_arrive(built: Built, tmp_path: Path) -> None:
    outcomes = odd_outcomes(built, tmp_path, built.odd_outputs)
    assert set(outcomes.values()) == {"passed"}


@pytest.mark.parametrize("dtype", [each for each in KINDS if each != "float32"])
def test_one_wrong_integer_fails(built: Built, tmp_path: Path, dtype: str) -> None:
    name = next(each.spec.name for each in built.odd_contract.outputs if each.spec.dtype == dtype)
    outputs = dict(built.odd_outputs)
    outputs[name] = outputs[name].copy()
    outputs[name][1].flat[0] ^= True if dtype == "bool" else 1
    outcomes = odd_outcomes(built, tmp_path, outputs)
    assert all("of sample 1 on cpu: element 0 is" in each for each in outcomes.values())


def test_a_model_with_types_that_compiledmodel_lacks_has_no_wrapper_for_it(built: Built) -> None:
    assert "uint8" in not_compiled(built.odd_contract)
    assert not (built.odd / "litert2").exists()


def test_normalisation_is_documented_in_kotlin() -> None:
    tensor = BundleTensor(
        spec=TensorSpec(name="image", shape=(1, 3, 2, 2), dtype="float32"),
        identifier="image",
        position=0,
        normalization=Normalization(mean=(127.5,), std=(127.5,)),
    )
    texts = kotlin_sources(Contract(inputs=(tensor,), outputs=(tensor,)), class_names("m"), "a.b")
    assert any("(raw - [127.5]) / [127.5]" in text for text in texts.values())
