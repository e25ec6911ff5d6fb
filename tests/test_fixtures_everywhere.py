"""The trained fixtures in every format and every runtime, on the real data that was held out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from conftest import EVERY_FORMAT, FIXTURES, Converted, fixture_options

from bridge.api import ConvertOptions, SourceOptions, convert, validate
from bridge.artifact import digest
from bridge.report import load_schema

CLASSIFIERS = ("digits_cnn", "digits_vit", "digits_gru", "cancer_mlp")
ALL = (*CLASSIFIERS, "diabetes_mlp")
RUNTIMES = {
    "torchscript": "torchscript",
    "mobile": "lite-interpreter",
    "onnx": "onnxruntime",
    "saved_model": "tensorflow",
    "tflite": "litert-xnnpack",
    "tflite@litert-builtin": "litert-builtin",
}

Get = Callable[[str], Converted]


def each(*names: str) -> list[object]:
    """One parameter a fixture; all tests of a fixture run in one process, which converts it."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]


@pytest.mark.parametrize("name", each(*ALL))
def test_every_format_is_made_and_passes_in_every_runtime(name: str, converted: Get) -> None:
    result = converted(name).result
    assert sorted(result.artifacts) == sorted(EVERY_FORMAT)
    assert result.artifacts["tflite"].producer == "tflite-direct"
    targets = result.report["validation"]["targets"]
    assert {name: each["runtime"] for name, each in targets.items()} == RUNTIMES
    for target in targets.values():
        assert target["outcome"]["symptom"] == "ok"
        assert target["verdict"] == "pass", target["reason"]
        assert float(target["outputs"]["output"]["sqnr_db"]) >= 120
        assert target["layers"]["first_failure"] is None
    assert result.exit_code == 0


@pytest.mark.parametrize("name", each("digits_cnn"))
def test_tflite_is_made_by_way_of_onnx_too(name: str, converted: Get, tmp_path: Path) -> None:
    result = convert(
        f"{FIXTURES / 'models.py'}:{name}",
        to="tflite",
        out=tmp_path,
        source_options=fixture_options(name),
        options=ConvertOptions(route="onnx2tf-tflite"),
    )
    assert result.exit_code == 0
    assert result.artifacts["tflite"].producer == "onnx2tf-tflite"
    target = result.report["validation"]["targets"]["tflite"]
    assert target["top1_agreement"] == 1.0
    assert target["accuracy"] == pytest.approx(converted(name).measured["accuracy"], abs=5e-5)


@pytest.mark.parametrize("name", each(*CLASSIFIERS))
def test_accuracy_is_the_trained_models_in_every_runtime(name: str, converted: Get) -> None:
    made = converted(name)
    validation = made.result.report["validation"]
    wanted = pytest.approx(made.measured["accuracy"], abs=5e-5)
    assert validation["reference_accuracy"] == wanted
    for target in validation["targets"].values():
        assert target["accuracy"] == wanted
        assert target["top1_agreement"] == 1.0


@pytest.mark.parametrize("name", each(*ALL))
def test_each_layer_is_compared_or_has_a_reason(name: str, converted: Get) -> None:
    report = converted(name).result.report
    assert report["layers"]
    for layer in report["layers"]:
        assert "fixtures/models.py:" in layer["source"]
        assert sorted(layer["targets"]) == sorted(RUNTIMES)
        assert not layer["targets"]["tflite"]["reason"].startswith("unexplained")
        for row in layer["targets"].values():
            assert row["mapped"] == (row["metrics"] is not None)
            assert row["mapped"] or row["reason"]
            assert row["verdict"] in ("pass", "not run")
    compared = [
        sum(layer["targets"][target]["mapped"] for layer in report["layers"])
        for target in ("torchscript", "onnx", "tflite")
    ]
    assert min(compared) >= min(4, len(report["layers"]) // 2)


@pytest.mark.parametrize("name", each(*ALL))
def test_documents_follow_their_schemas_and_tell_the_truth(name: str, converted: Get) -> None:
    folder = converted(name).result.folder
    manifest = json.loads((folder / "manifest.json").read_text())
    report = json.loads((folder / "report.json").read_text())
    jsonschema.validate(manifest, load_schema("manifest"))
    jsonschema.validate(report, load_schema("report"))
    assert report == converted(name).result.report
    for artifact in manifest["artifacts"]:
        assert digest(folder / artifact["path"]) == artifact["sha256"]
    assert not list(folder.glob(".new-*"))


@pytest.mark.parametrize("name", each("digits_cnn"))
def test_a_second_run_reuses_everything(name: str, converted: Get) -> None:
    before = converted(name).result
    again = convert(
        f"{FIXTURES / 'models.py'}:{name}",
        to=EVERY_FORMAT,
        out=before.folder,
        source_options=fixture_options(name),
    )
    assert again.reused
    assert all(outcome.reused for outcome in again.outcomes)
    assert again.report == before.report


@pytest.mark.parametrize("name", each("cancer_mlp"))
def test_one_more_target_reuses_the_shared_hops(name: str, tmp_path: Path) -> None:
    source = f"{FIXTURES / 'models.py'}:{name}"
    first = convert(source, to="onnx", out=tmp_path, source_options=fixture_options(name))
    more = convert(
        source,
        to=["onnx", "torchscript"],
        out=tmp_path,
        source_options=fixture_options(name),
        validate=False,
    )
    assert not more.reused
    reused = {outcome.subject: outcome.reused for outcome in more.outcomes}
    assert reused == {
        "torch-export": True,
        "torch-onnx": True,
        "onnxsim": True,
        "torch-trace": False,
    }
    assert more.artifacts["onnx"].sha256 == first.artifacts["onnx"].sha256


@pytest.mark.parametrize("name", each("digits_cnn"))
def test_validating_the_folder_again_says_the_same(name: str, converted: Get) -> None:
    before = converted(name).result
    comparison = validate(before.folder)
    assert comparison.exit_code == 0
    for target, row in comparison.report["validation"]["targets"].items():
        earlier = before.report["validation"]["targets"][target]
        assert row["outputs"] == earlier["outputs"]
        assert row["layers"]["mapped"] == earlier["layers"]["mapped"]


@pytest.mark.parametrize("name", each("digits_cnn"))
def test_an_artifact_elsewhere_is_validated_against_its_source(
    name: str, converted: Get, tmp_path: Path
) -> None:
    stray = tmp_path / "theirs.tflite"
    stray.write_bytes((converted(name).result.folder / "model.tflite").read_bytes())
    comparison = validate(
        stray, against=f"{FIXTURES / 'models.py'}:{name}", source_options=fixture_options(name)
    )
    assert comparison.exit_code == 0
    assert comparison.report["validation"]["targets"]["tflite"]["top1_agreement"] == 1.0


@pytest.mark.parametrize("name", each("digits_cnn"))
def test_an_artifact_of_other_weights_fails(name: str, converted: Get) -> None:
    untrained = validate(
        converted(name).result.folder / "model.onnx",
        against=f"{FIXTURES / 'models.py'}:{name}",
        source_options=WITHOUT_WEIGHTS,
    )
    assert untrained.exit_code == 1
    target = untrained.report["validation"]["targets"]["onnx"]
    assert target["verdict"] == "fail"
    assert target["layers"]["first_failure"] == "batch_norm"


WITHOUT_WEIGHTS = SourceOptions(real=FIXTURES / "digits_cnn.npz")
