"""Compatibility and contract of the artifacts in the report of a conversion and of a validation."""

from __future__ import annotations

import json
import shutil
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import typer
from tflite_files import artifact, cnn, cnn_signature
from typer.testing import CliRunner

from bridge.api import ConvertOptions, SourceOptions, convert, validate
from bridge.artifact import Quantization, Signature, TensorSpec
from bridge.cli.compatibility_lines import compatibility_lines
from bridge.cli.convert import convert as convert_command
from bridge.samples import InputSpec, Samples
from bridge.validators.compatibility.assessment import Assessor
from bridge.validators.compatibility.contract import contract
from bridge.validators.compatibility.measuring import Measurement
from bridge.worker import WorkPool

MODEL = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, image):
        flipped = torch.flip(self.conv(image), [3])
        return torch.relu(flipped).mean((2, 3))


def net():
    torch.manual_seed(3)
    return Net(), (torch.rand(1, 3, 8, 8),)
"""


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(MODEL.splitlines(), 1) if text in line)


def made(folder: Path, **options: Any) -> Any:
    (folder / "net.py").write_text(MODEL)
    return convert(
        f"{folder / 'net.py'}:net",
        to="tflite",
        out=folder / "out",
        source_options=SourceOptions(
            declared=[InputSpec(name="image", shape=(1, 3, 8, 8), low=0.0, high=1.0)], samples=4
        ),
        options=ConvertOptions(route="tflite-direct", **options),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted net with an operator that the GPU delegate and XNNPACK refuse."""
    path = tmp_path_factory.mktemp("assessed")
    assert made(path).ok
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> Any:
    return json.loads((folder / "out" / "report.json").read_text())


def schema() -> Any:
    text = files("bridge.report.schema").joinpath("report.schema.json").read_text()
    return json.loads(text)


def test_the_report_is_what_its_schema_says(report: Any) -> None:
    jsonschema.validate(report, schema())


def test_a_refused_operator_leads_to_its_line(report: Any) -> None:
    found = report["compatibility"]["tflite"]
    assert found["reason"] == ""
    assert not found["gpu"]["compatible"]
    (refused,) = found["gpu"]["operators"]
    (left,) = found["xnnpack"]["left"]
    for row in (refused, left):
        assert (row["name"], row["layer"]) == ("REVERSE_V2", "flip")
        assert row["source"].endswith(f"net.py:{line_of('torch.flip')}")
    assert "no kernel for REVERSE_V2" in refused["reason"]
    assert left["why"] == "XNNPACK has no kernel for it"
    assert len(found["xnnpack"]["partitions"]) == 2
    assert "deprecated since Android 15" in found["nnapi"]


def test_the_operators_of_a_recurrent_layer_lead_to_its_line(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n\n\ndef net():\n"
        "    return torch.nn.LSTM(4, 8, batch_first=True), (torch.rand(1, 32, 4),)\n"
    )
    result = convert(
        f"{tmp_path / 'net.py'}:net",
        to="tflite",
        out=tmp_path / "out",
        options=ConvertOptions(route="tflite-direct"),
        validate=False,
    )
    refused = result.report["compatibility"]["tflite"]["gpu"]["operators"]
    (loop,) = (row for row in refused if row["name"] == "WHILE")
    assert loop["layer"]
    assert all(row["layer"] for row in refused)


def test_the_declared_runtime_is_the_needed_one(report: Any) -> None:
    found = report["compatibility"]["tflite"]
    assert found["min_runtime"]["enough"]
    assert found["min_runtime"]["declared"] == found["min_runtime"]["needed"]
    assert all(row["needs"] is None and row["since"] for row in found["operators"])


def test_memory_and_times_are_there(report: Any, folder: Path) -> None:
    found = report["compatibility"]["tflite"]
    size = (folder / "out" / "model.tflite").stat().st_size
    assert found["memory"]["file"] == size
    assert 0 < found["memory"]["weights"] < size
    assert found["memory"]["arena"] > 0
    assert [row["threads"] for row in found["latency"]["threads"]] == [1, 2, 4]


def test_the_contract_names_values_and_where_they_come_from(report: Any) -> None:
    found = report["contract"]["tflite"]
    (image,), (scores,) = found["inputs"], found["outputs"]
    assert (image["name"], image["shape"], image["dtype"]) == ("image", [1, 3, 8, 8], "float32")
    assert (image["range"], image["meaning"]) == ([0.0, 1.0], "0..1, as declared")
    assert scores["shape"] == [1, 4]
    assert scores["range"][0] < scores["range"][1]
    assert scores["meaning"].startswith("observed in 4 samples")


def test_an_unchanged_run_takes_all_of_it_over(folder: Path, report: Any) -> None:
    again = made(folder)
    assert again.reused
    assert again.report["compatibility"] == report["compatibility"]


def test_times_can_be_left_out_and_that_is_another_report(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    result = made(tmp_path / "copy", latency=False)
    assert not result.reused
    assert result.artifacts["tflite"]
    found = result.report["compatibility"]["tflite"]
    assert found["latency"] is None
    assert found["memory"]["arena"] > 0
    assert found["xnnpack"]["partitions"]


def test_without_validation_nothing_native_runs(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    result = convert(
        f"{tmp_path / 'copy' / 'net.py'}:net",
        to="tflite",
        out=tmp_path / "copy" / "out",
        options=ConvertOptions(route="tflite-direct"),
        validate=False,
    )
    found = result.report["compatibility"]["tflite"]
    assert found["reason"] == found["xnnpack"]["reason"] == "it was not run (--no-validate)"
    assert found["latency"] is None
    assert found["memory"]["peak"] is None
    assert not found["gpu"]["compatible"]  # that is told by the file alone
    assert found["min_runtime"]["enough"]
    (scores,) = result.report["contract"]["tflite"]["outputs"]
    assert scores["range"] is None
    assert "not run" in scores["meaning"]
    jsonschema.validate(dict(result.report), schema())


def test_a_folder_is_assessed_again_and_a_colleagues_file_as_well(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    again = validate(tmp_path / "copy" / "out", latency=False)
    found = again.report["compatibility"]["tflite"]
    assert [row["layer"] for row in found["xnnpack"]["left"]] == ["flip"]
    jsonschema.validate(dict(again.report), schema())

    theirs = tmp_path / "theirs.tflite"
    shutil.copy(folder / "out" / "model.tflite", theirs)
    foreign = validate(theirs, against=f"{folder / 'net.py'}:net", latency=False)
    found = foreign.report["compatibility"]["tflite"]
    assert [row["name"] for row in found["gpu"]["operators"]] == ["REVERSE_V2"]
    assert foreign.report["contract"]["tflite"]["inputs"][0]["name"] == "image"


def test_the_command_line_sums_it_up_and_leaves_times_out_if_asked(
    folder: Path, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(convert_command)
    arguments = [f"{folder / 'net.py'}:net", "--to", "tflite", "--out", str(tmp_path / "out")]
    arguments += ["--route", "tflite-direct", "--samples", "2", "--no-latency"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "500"})
    assert result.exit_code == 0, result.output
    (line,) = (each for each in result.output.splitlines() if "needs the TFLite runtime" in each)
    assert "XNNPACK takes" in line
    assert "in 2 partitions, leaves REVERSE_V2" in line
    assert "the GPU delegate refuses REVERSE_V2" in line
    assert "at the peak" in line
    assert "ms with one thread" not in line


def test_a_timed_artifact_has_its_time_in_the_line(report: Any) -> None:
    (line,) = compatibility_lines(report)
    median = report["compatibility"]["tflite"]["latency"]["threads"][0]["median_ms"]
    assert f"{median:.3g} ms with one thread here" in line
    lying = json.loads(json.dumps(report))
    lying["compatibility"]["tflite"]["min_runtime"] |= {"declared": "1.5.0", "enough": False}
    (line,) = compatibility_lines(lying)
    assert "(it declares 1.5.0)" in line
    assert list(compatibility_lines({})) == []  # a report of an earlier release


@pytest.mark.parametrize("native", [True, False])
def test_a_damaged_file_is_a_reason_and_no_green_figure(native: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    made_up = artifact(path, cnn().finish()[:5000], cnn_signature())
    with WorkPool() as pool:
        found = Assessor(
            inputs=made_up.signature.inputs,
            samples=Samples(arrays={"image": np.ones((1, 1, 8, 8, 3), np.float32)}, origin="made"),
            pool=pool if native else None,
            scratch=tmp_path,
        ).assess([made_up])
    facts = found.compatibility["tflite"]
    assert "truncated or damaged" in facts["reason"]
    assert facts["gpu"] is facts["xnnpack"] is facts["latency"] is facts["min_runtime"] is None
    assert facts["memory"]["peak"] is None
    assert facts["memory"]["file"] == 5000
    assert found.contract["tflite"]["outputs"][0]["range"] is None
    jsonschema.validate(facts, {**schema()["$defs"]["compatibility"], "$defs": schema()["$defs"]})


# -- contracts of made-up artifacts ------------------------------------------------------------


def contract_of(folder: Path, *, labels: str = "", outputs: Any = None) -> Any:
    from bridge.artifact import Artifact
    from bridge.formats import TFLITE

    path = folder / "m.tflite"
    path.write_bytes(b"TFL3 and so on")
    if labels:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("labels.txt", labels)
    scale = Quantization(scales=(0.5,), zero_points=(-3,))
    artifact = Artifact(
        format=TFLITE,
        path=path,
        sha256="0" * 64,
        size=1,
        signature=Signature(
            inputs=(
                TensorSpec(
                    name="image", shape=(None, 4, 4, 3), dtype="int8", layout="NHWC",
                    quantization=scale,
                ),
            ),
            outputs=(TensorSpec(name="scores", shape=(1, 3), dtype="float32"),),
        ),
    )  # fmt: skip
    return contract(
        artifact,
        inputs=(TensorSpec(name="x", shape=(None, 3, 4, 4), dtype="float32"),),
        samples=Samples(
            arrays={"x": np.array([[[-1.0]], [[np.inf]], [[2.5]]])},
            origin="3 real samples of a.npz",
        ),
        declared={},
        measurement=Measurement(
            runtime="LiteRT 9", samples=3, outputs={"scores": (0.0, 1.0)} if outputs else {}
        ),
    )


def test_a_quantized_input_has_its_scale_and_the_finite_values(tmp_path: Path) -> None:
    (image,) = contract_of(tmp_path)["inputs"]
    assert (image["scale"], image["zero_point"], image["layout"]) == (0.5, -3, "NHWC")
    assert image["shape"] == [None, 4, 4, 3]
    assert image["range"] == [-1.0, 2.5]
    assert "3 real samples of a.npz" in image["meaning"]
    assert "before quantization" in image["meaning"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [("cat\ndog\nbird\n", ["cat", "dog", "bird"]), ("cat\ndog\n", None), ("", None)],
)
def test_labels_in_the_file_are_the_outputs_if_their_count_fits(
    labels: str, expected: list[str] | None, tmp_path: Path
) -> None:
    (scores,) = contract_of(tmp_path, labels=labels, outputs=True)["outputs"]
    assert scores["labels"] == expected
    assert scores["range"] == [0.0, 1.0]


def test_an_output_without_a_finite_value_says_so(tmp_path: Path) -> None:
    (scores,) = contract_of(tmp_path)["outputs"]
    assert (scores["range"], scores["meaning"]) == (None, "no finite value in 3 samples")
