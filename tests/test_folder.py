"""The result folder: either the new results are there, or the old ones as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bridge.api.folder import MANIFEST, ResultFolder, read_json
from bridge.errors import SourceError, StorageError


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, by its relative path."""
    return {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file()
    }


def new_file(results: ResultFolder, name: str, text: str) -> Path:
    """A file as a hop makes it: in a folder of its own in the scratch folder."""
    path = results.scratch / f"0-{name}" / name
    path.parent.mkdir()
    path.write_text(text)
    return path


def new_folder(results: ResultFolder, name: str, **files: str) -> Path:
    path = results.scratch / f"0-{name}" / name
    (path / "variables").mkdir(parents=True)
    for each, text in files.items():
        (path / "variables" / each).write_text(text)
    return path


def publish_first(folder: Path) -> dict[str, bytes]:
    """A first result of a file, a folder and a document."""
    with ResultFolder.open(folder) as results:
        files = {
            "model.onnx": new_file(results, "model.onnx", "old onnx"),
            "model.savedmodel": new_folder(results, "model.savedmodel", one="old", two="old"),
        }
        results.publish(files, {MANIFEST: {"run": 1}})
    return content(folder)


def test_files_folders_and_documents_are_published_and_nothing_else_remains(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    assert publish_first(folder) == {
        "model.onnx": b"old onnx",
        "model.savedmodel/variables/one": b"old",
        "model.savedmodel/variables/two": b"old",
        MANIFEST: b'{\n "run": 1\n}\n',
    }
    assert sorted(os.listdir(folder)) == [MANIFEST, "model.onnx", "model.savedmodel"]


def test_a_second_run_replaces_files_and_folders_and_leaves_others_alone(tmp_path: Path) -> None:
    publish_first(tmp_path)
    (tmp_path / "notes.txt").write_text("the user's own")
    with ResultFolder.open(tmp_path) as results:
        assert results.manifest() == {"run": 1}
        files = {
            "model.onnx": new_file(results, "model.onnx", "new onnx"),
            "model.savedmodel": new_folder(results, "model.savedmodel", one="new"),
        }
        results.publish(files, {MANIFEST: {"text": "«ü»"}})
    assert content(tmp_path) == {
        "model.onnx": b"new onnx",
        "model.savedmodel/variables/one": b"new",
        "notes.txt": b"the user's own",
        MANIFEST: '{\n "text": "«ü»"\n}\n'.encode(),
    }


def test_a_file_and_a_folder_may_take_each_others_place(tmp_path: Path) -> None:
    publish_first(tmp_path)
    with ResultFolder.open(tmp_path) as results:
        files = {
            "model.savedmodel": new_file(results, "model.savedmodel", "now a file"),
            "model.onnx": new_folder(results, "model.onnx", data="now a folder"),
        }
        results.publish(files, {})
    assert set(content(tmp_path)) == {"model.savedmodel", "model.onnx/variables/data", MANIFEST}


def test_an_exception_before_publishing_leaves_everything_as_it_was(tmp_path: Path) -> None:
    before = publish_first(tmp_path)

    def run() -> None:
        with ResultFolder.open(tmp_path) as results:
            new_file(results, "model.onnx", "half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert content(tmp_path) == before


@pytest.mark.parametrize("missing", ["model.onnx", "model.savedmodel", "model.tflite"])
def test_a_result_that_is_not_there_replaces_nothing(tmp_path: Path, missing: str) -> None:
    before = publish_first(tmp_path)
    with ResultFolder.open(tmp_path) as results:
        files = {
            "model.onnx": new_file(results, "model.onnx", "new onnx"),
            "model.savedmodel": new_folder(results, "model.savedmodel", one="new"),
            missing: results.scratch / "nothing",
        }
        with pytest.raises(StorageError, match="nothing"):
            results.publish(files, {MANIFEST: {"run": 2}})
    assert content(tmp_path) == before


def test_a_document_that_is_no_json_replaces_nothing(tmp_path: Path) -> None:
    before = publish_first(tmp_path)
    with ResultFolder.open(tmp_path) as results:
        files = {"model.onnx": new_file(results, "model.onnx", "new onnx")}
        with pytest.raises(TypeError):
            results.publish(files, {MANIFEST: {"run": object()}})
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("where", "reason"), [("file", "it is not a folder"), ("file/below/it", "it is not a folder")]
)
def test_a_place_that_cannot_be_a_folder_is_refused_with_the_reason(
    tmp_path: Path, where: str, reason: str
) -> None:
    (tmp_path / "file").write_text("a regular file")
    with pytest.raises(StorageError, match=reason) as raised:
        ResultFolder.open(tmp_path / where)
    assert str(tmp_path / where) in raised.value.message
    assert raised.value.code == "storage"
    assert raised.value.hint == "choose another folder with --out"
    assert content(tmp_path) == {"file": b"a regular file"}


def test_a_disk_that_takes_no_more_leaves_everything_as_it_was(tmp_path: Path) -> None:
    before = publish_first(tmp_path)
    code = """
    import resource, sys
    from pathlib import Path
    from bridge.api.folder import ResultFolder
    from bridge.errors import StorageError

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        with ResultFolder.open(Path(sys.argv[1])) as results:
            model = results.scratch / "model.onnx"
            model.write_text("new onnx")
            results.publish({"model.onnx": model}, {"manifest.json": {"run": "x" * 10_000}})
    except StorageError as error:
        print(error.message)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True
    )
    assert "File too large" in done.stdout, done.stderr
    assert content(tmp_path) == before


def test_nothing_remains_of_a_temporary_folder() -> None:
    with ResultFolder.temporary() as results:
        results.publish({"model.onnx": new_file(results, "model.onnx", "x")}, {"a.json": {}})
        assert (results.path / "model.onnx").read_text() == "x"
    assert not results.path.exists()


def test_a_folder_without_results_has_an_empty_manifest(tmp_path: Path) -> None:
    with ResultFolder.open(tmp_path) as results:
        assert results.manifest() == {}


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"", "is damaged"),
        (b'{"run": 1', "is damaged"),
        (b"\xff\xfe\x00", "is damaged"),
        (b"[1]", "not an object"),
    ],
)
def test_a_damaged_document_is_named(tmp_path: Path, damaged: bytes, reason: str) -> None:
    (tmp_path / MANIFEST).write_bytes(damaged)
    with ResultFolder.open(tmp_path) as results, pytest.raises(SourceError, match=reason) as raised:
        results.manifest()
    assert str(tmp_path / MANIFEST) in raised.value.message


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    data = {"text": "«ü» \u2028", "numbers": [1, 2.5, None, True], "deep": {"a": []}}
    with ResultFolder.open(tmp_path) as results:
        results.publish({}, {"report.json": data})
    assert read_json(tmp_path / "report.json") == data
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == data
    with pytest.raises(SourceError, match="cannot be read"):
        read_json(tmp_path / "nothing.json")
