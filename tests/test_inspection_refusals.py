"""What inspection says of files that are cut off, damaged, or no models at all."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from inspection_files import MAKERS, Net, make_files, make_onnx

from bridge.errors import SourceError, UnavailableError
from bridge.inspection import inspect

# PyTorch's own notice that TorchScript and the lite interpreter are old
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")

BY_FORMAT = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_files(tmp_path_factory.mktemp("inspection"))


@BY_FORMAT
def test_a_truncated_file_is_refused_wherever_it_ends(
    name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    content = files[name].read_bytes()
    cut = tmp_path / "cut"
    for length in (len(content) // 2, len(content) // 3, len(content) - 1, 24, 9):
        cut.write_bytes(content[:length])
        with pytest.raises(SourceError, match="truncated"):
            inspect(cut)


def test_an_onnx_file_that_ends_with_its_graph_is_refused(tmp_path: Path) -> None:
    make_onnx(tmp_path / "model")
    model = onnx.load(tmp_path / "model", format="protobuf")
    del model.opset_import[:], model.functions[:]
    (tmp_path / "model").write_bytes(model.SerializeToString())
    with pytest.raises(SourceError, match="truncated"):
        inspect(tmp_path / "model")


@BY_FORMAT
def test_overwritten_bytes_never_end_in_anything_but_an_answer_or_a_source_error(
    name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    content = files[name].read_bytes()
    damaged = tmp_path / "damaged"
    positions = np.random.default_rng(0).integers(8, len(content), (25, 2))
    refused = 0
    for positions_of_one in positions:
        bytes_of_one = bytearray(content)
        for position in positions_of_one:
            bytes_of_one[position] ^= 0xFF
        damaged.write_bytes(bytes_of_one)
        try:
            inspect(damaged)
        except SourceError:
            refused += 1
    assert refused


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "mobile", "torchscript"])
def test_a_missing_package_is_named(
    format_name: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.availability.version_of", lambda name: None)
    with pytest.raises(UnavailableError, match="not installed: ") as raised:
        inspect(files[format_name])
    assert "pip install" in str(raised.value.hint)


def random_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(4096))


def legacy_weights(path: Path) -> None:
    torch.save(Net().state_dict(), path, _use_new_zipfile_serialization=False)


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app/models/readme.txt", "nothing")


def compiled_package(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/data/aotinductor/model/kernel.so", b"\x7fELF")


FOREIGN: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty", lambda path: path.write_bytes(b""), "is empty"),
    ("text", lambda path: path.write_text("ir_version: 8\n" * 50), "not a model"),
    ("png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64)), "not a model"),
    ("random", random_bytes, "not a model"),
    ("zeros", lambda path: path.write_bytes(bytes(64)), "not a model"),
    ("pickle", lambda path: path.write_bytes(pickle.dumps([1, 2])), "holds weights"),
    ("state dict", lambda path: torch.save(Net().state_dict(), path), "holds weights"),
    ("legacy state dict", legacy_weights, "holds weights"),
    ("pickled module", lambda path: torch.save(Net(), path), "holds weights"),
    (
        "safetensors",
        lambda path: safetensors.torch.save_file(Net().state_dict(), path),
        "holds weights",
    ),
    ("another zip", other_zip, "zip archive of no known model format"),
    ("compiled package", compiled_package, "compiled code only"),
    ("folder", lambda path: path.mkdir(), "no saved_model.pb"),
    ("missing", lambda path: None, "does not exist"),
]


@pytest.mark.parametrize(
    ("make", "message"), [each[1:] for each in FOREIGN], ids=[each[0] for each in FOREIGN]
)
@pytest.mark.parametrize("name", ["model.tflite", "model.onnx"])
def test_what_is_not_a_model_is_refused(
    make: Callable[[Path], object], message: str, name: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(SourceError, match=message) as raised:
        inspect(tmp_path / name)
    assert name in raised.value.message


def test_executorch_is_identified_and_not_inspected(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x10\0\0\0ET12" + bytes(64))
    with pytest.raises(UnavailableError, match="ExecuTorch"):
        inspect(tmp_path / "model.bin")
