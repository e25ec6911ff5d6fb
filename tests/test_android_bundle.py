"""``driftbridge android``: what a bundle holds, and when there is none."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from ai_edge_litert.interpreter import Interpreter
from conftest import FIXTURES, fixture_options
from metadata_reader import packed_files, read_metadata
from numpy.typing import NDArray
from safetensors.torch import load_file
from typer.testing import CliRunner

from bridge.api import AndroidOptions, ConvertOptions, SourceOptions, android_bundle, convert
from bridge.cli.android import android
from bridge.errors import InputError, UsageError

sys.path.append(str(FIXTURES))

pytestmark = pytest.mark.xdist_group("android-bundle")  # what its tests share is made once

Array = NDArray[Any]

app = typer.Typer()
app.command()(android)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "250"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits CNN, converted and compared."""
    folder = tmp_path_factory.mktemp("digits")
    convert(
        f"{FIXTURES / 'models.py'}:digits_cnn",
        to=["tflite"],
        out=folder,
        source_options=fixture_options("digits_cnn"),
    )
    return folder


@pytest.fixture
def result(made: Path, tmp_path: Path) -> Path:
    """A copy of it, in a folder with a space and letters beyond ASCII in its name."""
    return Path(shutil.copytree(made, tmp_path / "größe 数"))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("".join(f"ziffer {each}\n" for each in "0123456789"), encoding="utf-8")
    return path


def golden(bundle: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The index, and the vectors ``[K, *shape]`` by name."""
    folder = bundle / "golden"
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    arrays = {}
    for entry in (*index["inputs"], *index["outputs"]):
        dtype = np.dtype(entry["dtype"]).newbyteorder("<")
        files = [np.fromfile(folder / name, dtype) for name in entry["files"]]
        arrays[entry["name"]] = np.stack([each.reshape(entry["shape"]) for each in files])
    return index, arrays


def invoke(model: Path, **inputs: Array) -> dict[str, Array]:
    runner = Interpreter(str(model), num_threads=1).get_signature_runner()
    return {name: np.array(array) for name, array in runner(**inputs).items()}


def test_the_command_writes_a_whole_bundle(result: Path, labels: Path) -> None:
    code, out, _ = run(result, "--labels", labels, "--package", "org.example.digits")
    assert code == 0
    bundle = result / "android"
    assert f"bundle: {bundle}" in out
    sources = {each.name for each in bundle.rglob("*.kt")}
    assert sources == {
        "DigitsCnnModel.kt",
        "DigitsCnnModelCompiled.kt",
        "DigitsCnnModelCompiledTest.kt",
        "DigitsCnnModelGolden.kt",
        "DigitsCnnModelGpuDelegateTest.kt",
        "DigitsCnnModelInterpreterTest.kt",
        "DigitsCnnModelTensors.kt",
        "GoldenVectors.kt",
    }
    for path in bundle.rglob("*.kt"):
        assert path.parent.as_posix().endswith("/kotlin/org/example/digits")
        assert "\npackage org.example.digits\n" in path.read_text()
    assert packed_files(bundle / "model.tflite")["labels.txt"] == labels.read_bytes()
    output = read_metadata(bundle / "model.tflite").subgraphMetadata[0].outputTensorMetadata[0]
    assert output.name == b"output"
    assert output.associatedFiles[0].name == b"labels.txt"
    readme = (bundle / "README.md").read_text(encoding="utf-8")
    assert "of a quantized output, in steps of its scale" in readme
    assert "Made from `models.py:digits_cnn`" in readme  # and not where that lies
    assert "It computes what the original model computes" in readme
    assert 'implementation("com.google.ai.edge.litert:litert:2.3.0")' in readme
    assert (bundle / "dependencies.gradle.kts").read_text().strip() in readme
    assert "10 operators in 1 partition, all of the model" in readme
    assert len(readme.splitlines()) < 90


def test_golden_outputs_are_the_source_in_float64_rounded_once(result: Path) -> None:
    from models import digits_cnn

    module, _ = digits_cnn()
    module.load_state_dict(load_file(FIXTURES / "digits_cnn.safetensors"))
    android_bundle(result, options=AndroidOptions(samples=5))
    index, arrays = golden(result / "android")
    assert index["samples"] == 5
    real = np.load(FIXTURES / "digits_cnn.npz")["image"].reshape(-1, 1, 1, 8, 8)
    with torch.no_grad():
        for image, expected in zip(arrays["image"], arrays["output"], strict=True):
            assert (real == image).all((1, 2, 3, 4)).any()
            truth = module.eval().double()(torch.from_numpy(image).double()).numpy()
            np.testing.assert_array_equal(expected, truth.astype(np.float32))


def test_tolerances_lie_between_the_rounding_and_a_defect(result: Path) -> None:
    android_bundle(result)
    index, arrays = golden(result / "android")
    limits = index["outputs"][0]["tolerance"]
    model = result / "android" / "model.tflite"
    errors = [
        np.abs(invoke(model, image=image)["output"] - expected).max()
        for image, expected in zip(arrays["image"], arrays["output"], strict=True)
    ]
    assert 0 < max(errors) < limits["cpu"]["max_abs"] < 20 * max(errors)
    assert limits["cpu"]["max_abs"] < limits["gpu"]["max_abs"]
    reported = json.loads((result / "report.json").read_text())["validation"]["targets"]
    worst = max(each["outputs"]["output"]["max_abs"] for each in reported.values())
    assert limits["cpu"]["max_abs"] == pytest.approx(4 * worst)


def test_json_tells_where_the_bundle_is(result: Path, tmp_path: Path) -> None:
    code, out, _ = run(result, "--json", "--out", tmp_path / "b")
    document = json.loads(out)
    assert code == 0
    assert document["folder"] == str(tmp_path / "b")
    assert "golden/index.json" in document["files"]
    assert document["tolerance"]["output"]["cpu"]["max_abs"] > 0


def test_an_earlier_bundle_is_replaced_and_nothing_else_is(result: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    assert run(result, "--out", out, "--samples", "6")[0] == 0
    assert run(result, "--out", out, "--samples", "4")[0] == 0
    assert not list(out.glob("golden/05.*"))
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.tex").write_text("years of work")
    code, _, err = run(result, "--out", own)
    assert code == 64
    assert "is no bundle" in err
    assert [each.name for each in own.iterdir()] == ["thesis.tex"]


def change_report(folder: Path, **changes: Any) -> None:
    report = json.loads((folder / "report.json").read_text())
    for target in report["validation"]["targets"].values():
        target |= changes
    (folder / "report.json").write_text(json.dumps(report))


def test_a_model_that_failed_is_not_handed_on(result: Path) -> None:
    change_report(result, verdict="fail", reason="output: SQNR 12.0 dB is below 70 dB")
    code, _, err = run(result)
    assert code == 1
    assert "SQNR 12.0 dB is below 70 dB" in err
    assert "--force" in err
    assert not (result / "android").exists()
    code, _, err = run(result, "--force")
    assert code == 0
    assert "made by force" in err
    assert "NOT the same model" in (result / "android" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"sha256": "0" * 64}, "not of this model"), ({"verdict": "not run"}, "not run")],
)
def test_a_model_that_was_not_compared_is_not_handed_on(
    result: Path, change: dict[str, str], reason: str
) -> None:
    change_report(result, **change)
    code, _, err = run(result)
    assert code == 1
    assert reason in err
    assert "driftbridge validate" in err


def test_a_folder_without_a_comparison_needs_one(tmp_path: Path) -> None:
    convert(
        torch.nn.Linear(3, 2), (torch.zeros(1, 3),), to=["tflite"], out=tmp_path, validate=False
    )
    code, _, err = run(tmp_path)
    assert code == 1
    assert "was not compared" in err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--package", "model", "no package name"),
        ("--mean", "1,2,3", "takes 1 of each"),
        ("--mean", "much", "is not a list of numbers"),
        ("--mean", "nan", "is not finite"),
        ("--std", "0", "must not be 0"),
        ("--labels", "missing.txt", "cannot be read"),
    ],
)
def test_wrong_options_are_named(result: Path, option: str, value: str, message: str) -> None:
    code, _, err = run(result, option, value)
    assert code == 64
    assert message in err
    assert not (result / "android").exists()


def test_labels_that_fit_no_output_are_refused(result: Path, labels: Path) -> None:
    labels.write_text("cat\ndog\n")
    with pytest.raises(InputError, match=r"2 labels, and no output .*output: float32\[1x10\]"):
        android_bundle(result, options=AndroidOptions(labels=labels))
    labels.write_text("\n\n")
    with pytest.raises(InputError, match="no labels"):
        android_bundle(result, options=AndroidOptions(labels=labels))
    labels.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        android_bundle(result, options=AndroidOptions(labels=labels))


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder that driftbridge made"):
        android_bundle(tmp_path)


def test_a_changed_model_is_refused(result: Path) -> None:
    (result / "model.tflite").write_bytes(b"")
    code, _, err = run(result)
    assert code == 2
    assert "is missing or not what the manifest says" in err


def test_normalisation_and_compatibility_reach_the_bundle(result: Path) -> None:
    """The parts that a later report has: operators that the GPU refuses, the oldest runtime."""
    report = json.loads((result / "report.json").read_text())
    report["compatibility"] = {
        "tflite": {
            "xnnpack": {
                "reason": "",
                "partitions": [{"operators": [0, 1], "counts": {"CONV_2D": 2}}],
                "left": [{"index": 2, "name": "TOPK_V2"}],
            },
            "gpu": {
                "compatible": False,
                "operators": [{"index": 2, "name": "TOPK_V2", "reason": 'no "top" $k'}],
                "analyzer": "x",
            },
            "min_runtime": {"declared": "1.5.0", "needed": "2.19.0"},
        }
    }
    (result / "report.json").write_text(json.dumps(report))
    assert run(result, "--mean", "127.5", "--std", "127.5")[0] == 0
    readme = (result / "android" / "README.md").read_text(encoding="utf-8").replace("\\", "")
    assert "2 operators in 1 partition; 1 in LiteRT's own kernels: TOPK_V2" in readme
    assert 'delegate leaves TOPK_V2 (no "top" $k) to the CPU' in readme
    assert "CompiledModel's accelerator refuses TOPK_V2" in readme
    assert "TensorFlow Lite 2.19.0." in readme
    assert "(raw - [127.5]) / [127.5]" in readme
    (test,) = (result / "android").rglob("DigitsCnnModelCompiledTest.kt")
    assert (
        'assumeTrue("skipped: the GPU refuses TOPK_V2 (no \\"top\\" \\$k)", false)'
        in test.read_text()
    )


@pytest.mark.parametrize(
    ("gpu", "text"),
    [
        ({"compatible": True, "operators": []}, "every operator, by the rules"),
        (
            {
                "compatible": False,
                "operators": [{"name": "GELU", "reason": "no kernel", "accelerator": True}],
            },
            "leaves GELU (no kernel) to the CPU; CompiledModel's accelerator takes them",
        ),
    ],
)
def test_a_gpu_that_takes_the_model_is_tried(result: Path, gpu: dict[str, Any], text: str) -> None:
    report = json.loads((result / "report.json").read_text())
    report["compatibility"] = {"tflite": {"gpu": gpu}}
    (result / "report.json").write_text(json.dumps(report))
    assert run(result)[0] == 0
    assert text in (result / "android" / "README.md").read_text(encoding="utf-8")
    (test,) = (result / "android").rglob("DigitsCnnModelCompiledTest.kt")
    assert "false)" not in test.read_text()


class Pair(torch.nn.Module):
    """Token ids and an image; two outputs are one, and one is of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(20, 4)
        self.convolution = torch.nn.Conv2d(3, 4, 3)

    def forward(self, tokens: torch.Tensor, image: torch.Tensor) -> dict[str, torch.Tensor]:
        made = self.words(tokens).mean(1) + self.convolution(image).mean((2, 3))
        return {"scores": made, "same": made, "best": made.argmax(-1)}


def test_the_vectors_are_in_the_layout_and_types_of_the_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tokens = torch.randint(0, 20, (1, 5))
    convert(
        Pair(),
        (tokens, torch.rand(1, 3, 8, 6)),
        to=["tflite"],
        out=tmp_path,
        options=ConvertOptions(hop_options={"io_layout": ["image=nhwc"]}),
    )
    android_bundle(tmp_path)
    index, arrays = golden(tmp_path / "android")
    assert [(each["dtype"], each["shape"]) for each in index["inputs"]] == [
        ("int32", [1, 5]),
        ("float32", [1, 8, 6, 3]),
    ]
    tolerance = {each["name"]: each["tolerance"] for each in index["outputs"]}
    assert tolerance["best"]["cpu"] == {"max_abs": 0.0, "rmse": 0.0}
    np.testing.assert_array_equal(arrays["scores"], arrays["same"])
    model = tmp_path / "android" / "model.tflite"
    for sample in range(index["samples"]):
        found = invoke(model, tokens=arrays["tokens"][sample], image=arrays["image"][sample])
        for name, limits in tolerance.items():
            error = np.abs(found[name].astype(np.float64) - arrays[name][sample]).max()
            assert error <= limits["cpu"]["max_abs"]


def test_shapes_that_change_are_refused(tmp_path: Path) -> None:
    from bridge.samples import InputSpec

    convert(
        torch.nn.Linear(3, 2),
        to=["tflite"],
        out=tmp_path,
        source_options=SourceOptions(declared=[InputSpec.parse("input=?x3")]),
    )
    with pytest.raises(UsageError, match=r"input: float32\[\?x3\].*not fixed"):
        android_bundle(tmp_path)
