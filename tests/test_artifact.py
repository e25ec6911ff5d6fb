"""Artifacts: digests that tell any change of content, and descriptions that survive JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bridge.artifact import Artifact, Quantization, Signature, TensorSpec, digest, size_of
from bridge.formats import FORMATS, SAVED_MODEL, TFLITE
from bridge.layers import Absence, Layer, LayerMap, Place, Spine

TREE = {"saved_model.pb": b"graph", "variables/variables.index": b"", "variables/data": b"\0" * 9}


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"weights" * 100_000)
    assert digest(file) == hashlib.sha256(b"weights" * 100_000).hexdigest()
    assert size_of(file) == 700_000


def test_the_digest_of_a_folder_is_that_of_its_content_wherever_it_lies(tmp_path: Path) -> None:
    one = write_tree(tmp_path / "one", TREE)
    reverse = dict(reversed(TREE.items()))  # the order in which files were made is no content
    other = write_tree(tmp_path / "deep" / "other", reverse)
    assert digest(one) == digest(other)
    assert size_of(one) == 14


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({**TREE, "saved_model.pb": b"Graph"}, id="a changed byte"),
        pytest.param({**TREE, "assets/x": b""}, id="an added empty file"),
        pytest.param({"saved_model.pb": b"graph"}, id="missing files"),
        pytest.param({**{f"a{k}": v for k, v in TREE.items()}}, id="renamed files"),
        pytest.param(
            {"saved_model.pb": b"", "variables/variables.index": b"graph"}, id="moved content"
        ),
    ],
)
def test_any_change_of_a_folder_changes_its_digest(tmp_path: Path, files: dict[str, bytes]) -> None:
    before = digest(write_tree(tmp_path / "before", TREE))
    assert digest(write_tree(tmp_path / "after", files)) != before


@pytest.mark.parametrize("function", [digest, size_of])
def test_what_is_not_there_has_neither_digest_nor_size(tmp_path: Path, function: object) -> None:
    assert callable(function)
    with pytest.raises(FileNotFoundError):
        function(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((None, 3, 224), "x: float32[?x3x224]"),
        ((5,), "x: float32[5]"),
        ((), "x: float32[scalar]"),
    ],
)
def test_a_spec_reads_as_it_is_declared(shape: tuple[int | None, ...], text: str) -> None:
    assert str(TensorSpec(name="x", shape=shape, dtype="float32")) == text


def artifact(path: Path) -> Artifact:
    image = TensorSpec(
        name="serving_default_image:0",
        shape=(None, 224, 224, 3),
        dtype="int8",
        layout="NHWC",
        permutation=(0, 2, 3, 1),
        quantization=Quantization(scales=(0.1, 0.25), zero_points=(0, -128), axis=3),
    )
    scalar = TensorSpec(name="loss", shape=(), dtype="float32")
    return Artifact(
        format=TFLITE,
        path=path,
        sha256="ab" * 32,
        size=123,
        signature=Signature(inputs=(image,), outputs=(scalar, image)),
        producer="onnx2tf",
        producer_version="onnx2tf 1.29.24",
        parent="cd" * 32,
        layer_map=LayerMap(
            places={"conv": Place(tensor="t"), "relu": Place(absence=Absence.FUSED, into="conv")}
        ),
        spine=Spine(origin="onnx", layers=(Layer(id="conv", op="onnx.Conv"),), inputs=("x",)),
        notes=("one dimension was guessed",),
    )


def test_an_artifact_survives_json(tmp_path: Path) -> None:
    whole = artifact(tmp_path / "model.tflite")
    assert Artifact.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def test_an_artifact_with_nothing_optional_survives_json(tmp_path: Path) -> None:
    bare = Artifact(
        format=SAVED_MODEL,
        path=tmp_path,
        sha256="",
        size=0,
        signature=Signature(inputs=(), outputs=()),
    )
    assert Artifact.from_json(json.loads(json.dumps(bare.to_json()))) == bare


def test_every_format_has_a_file_name_of_its_own() -> None:
    names = [each.filename for each in FORMATS.values()]
    assert len(set(names)) == len(names)
