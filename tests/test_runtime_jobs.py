"""Runs of many samples where a runtime belongs: results on disk, failures with their stage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_files import NETS, Array, runtime, write
from tflite_files import artifact, cnn, cnn_signature

from bridge.artifact import Artifact
from bridge.errors import InputError, SourceError
from bridge.formats import EXPORTED, MOBILE, ONNX, TORCHSCRIPT
from bridge.outcome import Stage, Symptom
from bridge.validators import recording
from bridge.validators.recording import Recording, read_recording
from bridge.validators.runtime import (
    read_results,
    run_runtime,
    runtime_job,
    store_inputs,
)
from bridge.worker import Job, WorkFailure, WorkPool

NAMES = (
    "eager-float32",
    "eager-float64",
    "lite-interpreter",
    "litert-builtin",
    "litert-xnnpack",
    "onnxruntime",
    "torchscript",
)


def job(
    name: str, its: Artifact, folder: Path, inputs: dict[str, Array], taps: tuple[str, ...] = ()
) -> Job:
    store_inputs(folder / "inputs", inputs)
    return runtime_job(
        runtime(name),
        its,
        inputs=folder / "inputs",
        samples=len(next(iter(inputs.values()))),
        results=folder / "results",
        taps=taps,
    )


def stacked(net: str, count: int) -> dict[str, Array]:
    samples = [NETS[net].inputs(seed) for seed in range(count)]
    return {name: np.stack([each[name] for each in samples]) for name in samples[0]}


def images(count: int) -> dict[str, Array]:
    return {"image": np.random.default_rng(0).normal(size=(count, 1, 8, 8, 3)).astype(np.float32)}


def file_for(name: str, folder: Path) -> tuple[Artifact, dict[str, Array], tuple[str, ...]]:
    """A small file for a runtime, samples for it, and names of tensors in it."""
    if name.startswith("litert"):
        its = artifact(folder / "model.tflite", cnn().finish(), cnn_signature())
        return its, images(4), ("conv", "sum")
    forms = {"onnxruntime": ONNX, "torchscript": TORCHSCRIPT, "lite-interpreter": MOBILE}
    its = write("reader", forms.get(name, EXPORTED), folder)
    taps = {"onnxruntime": ("embedding",), "torchscript": ("tokens.1",), "lite-interpreter": ()}
    return its, stacked("reader", 4), taps.get(name, ("embedding", "linear"))


@pytest.fixture(scope="module")
def pool() -> Any:
    with WorkPool() as opened:
        yield opened


@pytest.mark.parametrize("name", NAMES)
def test_a_job_gives_what_the_session_gives(tmp_path: Path, name: str, pool: WorkPool) -> None:
    its, inputs, taps = file_for(name, tmp_path)
    facts = pool.call(job(name, its, tmp_path, inputs, taps))
    assert facts["version"] == runtime(name).version()
    assert len(facts["seconds"]) == 4
    assert min(facts["seconds"]) > 0
    assert facts["load_seconds"] > 0
    results = read_results(tmp_path / "results")
    session = runtime(name).open(its, taps)
    for index in range(4):
        direct = session.run({key: array[index] for key, array in inputs.items()})
        for stored, given in ((results.outputs, direct.outputs), (results.taps, direct.taps)):
            assert list(stored) == list(given)
            for key in given:
                np.testing.assert_array_equal(stored[key][index], given[key], strict=True)
    assert list(results.taps) == list(taps)


def test_hundreds_of_samples_take_a_moment(tmp_path: Path, pool: WorkPool) -> None:
    its, _, taps = file_for("litert-xnnpack", tmp_path)
    request = job("litert-xnnpack", its, tmp_path, images(360), taps)
    pool.call(request)  # imports the framework
    before = time.perf_counter()
    pool.call(request)
    assert time.perf_counter() - before < 1


@pytest.mark.parametrize("tapped", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_fails_while_loading(
    tmp_path: Path, name: str, tapped: bool, pool: WorkPool
) -> None:
    its, inputs, names = file_for(name, tmp_path)
    its.path.write_bytes(its.path.read_bytes()[: its.size // 2])
    with pytest.raises(WorkFailure) as caught:
        pool.call(job(name, its, tmp_path, inputs, names if tapped else ()))
    assert (caught.value.stage, caught.value.symptom) == (Stage.LOAD, Symptom.ERROR)
    assert caught.value.message


def test_inputs_that_do_not_fit_fail_while_running(tmp_path: Path, pool: WorkPool) -> None:
    its, _, _ = file_for("litert-xnnpack", tmp_path)
    with pytest.raises(WorkFailure, match="does not take float64") as caught:
        pool.call(job("litert-xnnpack", its, tmp_path, {"image": np.zeros((2, 1, 8, 8, 3))}))
    assert (caught.value.stage, caught.value.symptom) == (Stage.RUN, Symptom.ERROR)
    assert not (tmp_path / "results" / "index.json").exists()


def test_a_worker_that_dies_while_running_is_a_crash(tmp_path: Path) -> None:
    its, _, _ = file_for("litert-builtin", tmp_path)
    with WorkPool() as pool:
        request = job("litert-builtin", its, tmp_path, images(20_000))
        victim = pool.worker(request.place).pid
        results = tmp_path / "results"

        def kill() -> None:
            while not results.exists():  # it is made when the first sample begins
                time.sleep(0.002)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(WorkFailure, match="killed by SIGKILL") as caught:
            pool.call(request)
        killer.join()
        assert (caught.value.stage, caught.value.symptom) == (Stage.RUN, Symptom.CRASH)
        with pytest.raises(FileNotFoundError):
            read_results(results)
        again = job("litert-builtin", its, tmp_path / "again", images(2))
        assert len(pool.call(again)["seconds"]) == 2


@pytest.mark.parametrize("count", [0, 3])
def test_more_samples_than_there_are_cannot_be_run(tmp_path: Path, count: int) -> None:
    its, _, _ = file_for("litert-builtin", tmp_path)
    request = job("litert-builtin", its, tmp_path, images(2))
    with pytest.raises(InputError, match="samples were asked for, and 2 are stored"):
        run_runtime({**request.arguments, "samples": count}, lambda _: None, lambda _: None)


@pytest.mark.parametrize("budget", [1, 100, 10**9])
def test_recordings_hold_every_type_and_shape(
    tmp_path: Path, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_BUFFERED_BYTES", budget)
    draw = np.random.default_rng(0)
    samples = [
        {
            "outputs": {
                f"a/b:{dtype}": draw.normal(size=(2, 3)).astype(dtype) for dtype in "fdeqilbBH?"
            },
            "taps": {
                "scalar": np.array(draw.normal()),
                "turned": draw.normal(size=(4, 2)).T,
                "empty": np.zeros((0, 3), np.float32),
            },
        }
        for _ in range(5)
    ]
    with Recording(tmp_path / "new" / "folder", 5) as writer:
        for sample in samples:
            writer.add(sample)
    read = read_recording(tmp_path / "new" / "folder")
    for group in ("outputs", "taps"):
        assert list(read[group]) == list(samples[0][group])
        for name, array in read[group].items():
            np.testing.assert_array_equal(array, [s[group][name] for s in samples])
            assert array.dtype == samples[0][group][name].dtype


def test_shapes_that_depend_on_values_are_refused(tmp_path: Path) -> None:
    writer = Recording(tmp_path, 2)
    writer.add({"outputs": {"found": np.zeros(2, np.int64)}})
    with pytest.raises(SourceError, match=r"'found' is int64\[3\] in sample 1, and int64\[2\]"):
        writer.add({"outputs": {"found": np.zeros(3, np.int64)}})
    assert not (tmp_path / "index.json").exists()


def test_runtimes_import_no_framework() -> None:
    program = (
        "import sys; from bridge.validators.runtime import RUNTIMES; "
        "import bridge.validators.taps.exported; print(*RUNTIMES.names()); "
        "print(*{'torch', 'onnx', 'onnxruntime', 'ai_edge_litert', 'flatbuffers'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    names, loaded = done.stdout.splitlines()
    assert {"litert-xnnpack", "litert-builtin", "onnxruntime"} <= set(names.split())
    assert loaded == ""
