"""Bad input gets a clear error with the right exit code, and costs nothing that was there."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent
SOURCES = ROOT / "sources.py"


class Payload:
    """Pickles into a call of whatever it likes."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo you have been served",)


def driftbridge(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def convert(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Convert a model of ``sources.py`` (or of another place) to TorchScript."""
    place = source if ":" in source or "." in source else f"{SOURCES}:{source}"
    if "--to" not in arguments:
        arguments = ("--to", "torchscript", *arguments)
    return driftbridge(folder, "convert", place, *arguments)


# source, further arguments, exit code, what the message says
CASES = [
    ("Needs", (), 2, "needs arguments to be called", "missing a required argument: 'width'"),
    ("raises", (), 64, "shape '[3, 5, 7]' is invalid", "sources.py:"),
    ("broken", (), 2, "KeyError: 'my own mistake'", "sources.py:"),
    ("not_a_module", (), 2, "returned int, not a module"),
    ("nothing_here", (), 2, "has no 'nothing_here'", "linear"),
    ("with_nan", (), 2, "NaN", "weight"),
    ("forever", ("--timeout", "3"), 2, "no result within 3 s"),
    ("linear", (), 64, "no example inputs", "--input"),
    ("linear", ("--input", "y=1x4"), 64, "missing a required argument: 'input'"),
    ("linear", ("--input", "input=1x5"), 64, "cannot be multiplied"),
    ("linear", ("--input", "input=1x4:int64"), 64, "dtype"),
    ("linear", ("--input", "input=1x4:float33"), 64, "float33"),
    ("linear", ("--input", "input=1xx4"), 64, "does not declare an input"),
    ("linear", ("--input", "input=1x4", "--to", "tflight"), 64, "did you mean tflite"),
    ("linear", ("--input", "input=1x4", "--to", "torch"), 64, "is a source, not a target"),
    ("linear", ("--input", "input=1x4", "--route", "teleport"), 64, "through 'teleport'"),
    ("linear", ("--input", "input=1x4", "--memory", "much"), 64, "no amount of memory"),
    ("linear", ("--input", "input=1x4", "--inputs", "absent.npz"), 64, "absent.npz"),
    ("linear", ("--input", "input=1x4", "--weights", "absent.pt"), 2, "absent.pt"),
    ("no_such_package.module:net", (), 2, "No module named 'no_such_package'"),
    ("absent.py:net", (), 2, "there is no file absent.py"),
    ("absent.onnx", (), 2, "absent.onnx does not exist"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'-'.join(case[1])}"[:60])
def test_the_message_names_the_mistake(
    case: tuple[str, tuple[str, ...], int, str], tmp_path: Path
) -> None:
    source, arguments, code, *texts = case
    done = convert(tmp_path, source, *arguments)
    assert done.returncode == code, done.stderr
    text = " ".join(done.stderr.split())
    for part in texts:
        assert part in text
    assert "bridge/" not in done.stderr.replace(str(ROOT), ""), "our own frames are hidden"
    assert not list(tmp_path.glob("out/.new-*"))


def test_the_users_traceback_is_kept(tmp_path: Path) -> None:
    done = convert(tmp_path, "broken")
    assert 'raise KeyError("my own mistake")' in done.stderr


def test_errors_are_json_too(tmp_path: Path) -> None:
    done = convert(tmp_path, "linear", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "input"


def test_all_unsupported_operators_are_listed_with_their_lines(tmp_path: Path) -> None:
    done = convert(tmp_path, "rare", "--to", "onnx,torchscript")
    assert done.returncode == 2
    text = " ".join((done.stdout + done.stderr).split())
    assert "aten.special_bessel_j0 (used 2×) first at" in text
    assert "aten.special_airy_ai (used 1×) first at" in text
    assert "sources.py:" in text
    assert (tmp_path / "out" / "model.pt").exists()  # the other target was made


def test_control_flow_is_scripted_and_never_traced_wrongly(tmp_path: Path) -> None:
    done = convert(tmp_path, "branch", "--json")
    assert done.returncode == 0, done.stderr
    target = json.loads(done.stdout)["validation"]["targets"]["torchscript"]
    assert target["verdict"] == "pass"
    refused = convert(tmp_path, "unscriptable_branch", "--out", "other")
    assert refused.returncode == 2
    assert "disagrees with the module on the example inputs mirrored" in " ".join(
        refused.stdout.split()
    )
    assert not (tmp_path / "other" / "model.pt").exists()


@pytest.mark.parametrize("source", ["nested", "with_none"])
def test_nested_inputs_and_outputs(source: str, tmp_path: Path) -> None:
    done = convert(tmp_path, source, "--to", "torchscript,mobile,onnx", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {each["verdict"] for each in report["validation"]["targets"].values()} == {"pass"}
    wanted = {"nested": ["logits", "states_0", "states_1"], "with_none": ["output_0"]}[source]
    signature = report["conversions"][2]["artifact"]["signature"]
    assert [each["name"] for each in signature["outputs"]] == wanted


class TestWeights:
    """Weights files that are not what they should be."""

    @pytest.fixture
    def linear(self, tmp_path: Path) -> Path:
        torch.manual_seed(1)
        torch.save(torch.nn.Linear(4, 3).state_dict(), tmp_path / "good.pt")
        return tmp_path

    def convert(self, folder: Path, weights: str, *more: str) -> subprocess.CompletedProcess[str]:
        return convert(folder, "linear", "--input", "input=1x4", "--weights", weights, *more)

    def test_good_ones_are_loaded(self, linear: Path) -> None:
        assert self.convert(linear, "good.pt").returncode == 0

    def test_a_pickle_that_runs_code_is_refused(self, linear: Path) -> None:
        (linear / "evil.pt").write_bytes(pickle.dumps({"weight": Payload()}))
        done = self.convert(linear, "evil.pt")
        assert done.returncode == 2
        assert "untrusted-pickle" in done.stderr
        assert "--trust-pickle" in done.stderr
        assert "you have been served" not in done.stdout + done.stderr

    def test_truncated(self, linear: Path) -> None:
        content = (linear / "good.pt").read_bytes()
        (linear / "half.pt").write_bytes(content[: len(content) // 2])
        done = self.convert(linear, "half.pt")
        assert (done.returncode, "half.pt" in done.stderr) == (2, True)

    def test_names_and_shapes_of_another_model(self, linear: Path) -> None:
        torch.save({"weight": torch.zeros(3, 4), "extra": torch.zeros(1)}, linear / "names.pt")
        done = self.convert(linear, "names.pt")
        assert "missing: bias; unknown: extra" in " ".join(done.stderr.split())
        torch.save(torch.nn.Linear(5, 3).state_dict(), linear / "shapes.pt")
        done = self.convert(linear, "shapes.pt")
        assert "weight is [3, 5] instead of [3, 4]" in " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder of a linear layer."""
    folder = tmp_path_factory.mktemp("made")
    arguments = ("--input", "input=1x4", "--to", "torchscript,onnx", "--no-validate")
    assert convert(folder, "linear", *arguments).returncode == 0
    return folder / "out"


class TestFiles:
    """Model files that are truncated, or of another format than their suffix says."""

    @pytest.mark.parametrize("name", ["model.pt", "model.pt2", "model.onnx"])
    def test_truncated(self, name: str, made: Path, tmp_path: Path) -> None:
        content = (made / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        to = "tflite" if name == "model.onnx" else "onnx"
        done = convert(tmp_path, name, "--to", to, "--input", "input=1x4")
        assert done.returncode == 2
        assert name in done.stderr

    def test_the_content_counts_and_not_the_suffix(self, made: Path, tmp_path: Path) -> None:
        (tmp_path / "really.pt").write_bytes((made / "model.pt2").read_bytes())
        done = convert(tmp_path, "really.pt", "--to", "onnx", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["source"]["format"] == "exported"

    def test_torchscript_enters_with_declared_inputs(self, made: Path, tmp_path: Path) -> None:
        file = str(made / "model.pt")
        done = convert(tmp_path, file, "--to", "mobile", "--input", "input=1x4", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["validation"]["verdict"] == "pass"
        done = convert(tmp_path, file, "--to", "mobile")
        assert done.returncode == 64
        assert "--input input=" in done.stderr

    @pytest.mark.parametrize("name", ["empty.onnx", "text.pt2", "picture.pt"])
    def test_no_model_at_all(self, name: str, tmp_path: Path) -> None:
        content = {
            "empty.onnx": b"",
            "text.pt2": b"hello " * 99,
            "picture.pt": b"\x89PNG\r\n\x1a\n",
        }
        (tmp_path / name).write_bytes(content[name])
        done = convert(tmp_path, name)
        assert done.returncode == 2
        assert name in done.stderr


def test_real_inputs_that_do_not_fit(tmp_path: Path) -> None:
    for name, arrays, text in (
        ("name", {"image": np.zeros((3, 4), np.float32)}, "unknown: image"),
        ("shape", {"input": np.zeros((3, 5), np.float32)}, "the model takes"),
        ("dtype", {"input": np.zeros((3, 4))}, "float64"),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        done = convert(tmp_path, "linear", "--input", "input=1x4", "--inputs", f"{name}.npz")
        assert done.returncode == 64
        assert text in " ".join(done.stderr.split())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = convert(tmp_path, "linear", "--input", "input=1x4", "--out", "file/out")
    assert done.returncode == 2
    assert "it is not a folder" in done.stderr
    assert (tmp_path / "file").read_text() == "not a folder"


# the first limit is met by the first file of all, the second by the model
@pytest.mark.parametrize("limit", [100, 2000])
def test_a_full_disk_leaves_the_earlier_results(limit: int, tmp_path: Path) -> None:
    arguments = ("--input", "input=1x4", "--no-validate")
    assert convert(tmp_path, "linear", *arguments).returncode == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    # a limit on the size of files makes every larger write fail as a full disk does
    code = (
        "import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "sys.argv[0] = 'driftbridge';"
        "runpy.run_module('bridge', run_name='__main__')"
    )
    source = f"{SOURCES}:nested"
    command = [sys.executable, "-c", code, "convert", source, "--to", "torchscript", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert ("[storage]" in done.stderr) == (limit == 100)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_a_failed_target_leaves_the_earlier_file_and_says_so(tmp_path: Path) -> None:
    arguments = ("--input", "input=1x4", "--to", "onnx", "--no-validate")
    assert convert(tmp_path, "linear", *arguments).returncode == 0
    before = (tmp_path / "out" / "model.onnx").read_bytes()
    done = convert(tmp_path, "rare", "--to", "onnx,torchscript", "--no-validate")
    assert done.returncode == 2
    assert (tmp_path / "out" / "model.onnx").read_bytes() == before
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["stale"] == ["model.onnx"]
    assert "is from an earlier run of something else" in " ".join(done.stderr.split())
