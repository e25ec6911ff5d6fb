"""``driftbridge doctor``: everything is run once, and what is broken does not stop the rest."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from bridge.api import doctor as examination
from bridge.api.doctor import Diagnosis, diagnose
from bridge.artifact import Artifact
from bridge.cli.doctor import doctor
from bridge.formats import EXECUTORCH, EXPORTED, ONNX, TORCH
from bridge.hop import HOPS, Hop, HopResult, HopTask, register_hop
from bridge.outcome import Stage, Symptom
from bridge.toolchain import toolchains
from bridge.validators.runtime import RUNTIMES, Arrays, RunResult, Runtime, Session
from bridge.worker import IN_PROCESS, Limits

# one examination serves the whole module: with --dist loadgroup it is made in one process only
pytestmark = pytest.mark.xdist_group("doctor")

ONLY_CRASHES = "iniconfig"  # it is there, because pytest needs it

app = typer.Typer()
app.command()(doctor)


class Wrong(Session):
    def _run(self, inputs: Arrays) -> RunResult:
        (spec,) = self.signature.outputs
        return RunResult(outputs={spec.name: np.full((1, 3), np.nan, np.float32)})


class Miscounts(Runtime):
    """It runs, and its results are not numbers."""

    name = "test-miscounts"
    title = "a runtime that miscounts"
    formats = (EXPORTED,)
    packages = ("torch",)

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        return Wrong(artifact.signature)


class KillsItself(Runtime):
    """Its process dies when it opens a file."""

    name = "test-kills-itself"
    title = "a runtime that kills its process"
    formats = (ONNX,)

    def _open(self, artifact: Artifact, taps: list[str]) -> Session:
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError("it is dead")


def crash(task: HopTask) -> HopResult:
    """A hop in process: a conversion would die with it, the doctor must not."""
    assert task.live is not None
    task.enter(Stage.LOWER)
    os.kill(os.getpid(), signal.SIGABRT)
    raise AssertionError("it is dead")


def garble(task: HopTask) -> HopResult:
    """A hop that writes a file which no runtime can open."""
    assert task.source is not None
    task.out.write_bytes(b"not an onnx file")
    return HopResult(signature=task.source.signature)


FAKES = (
    Hop(
        name="test-crashes",
        title="a hop that crashes",
        source=TORCH,
        target=EXECUTORCH,
        convert=crash,
        place=IN_PROCESS,
        packages=(ONLY_CRASHES,),
    ),
    Hop(
        name="test-garbles",
        title="a hop that writes nonsense",
        source=EXPORTED,
        target=ONNX,
        convert=garble,
        loss=9,
    ),
    Hop(
        name="test-missing",
        title="a hop whose package is not there",
        source=EXPORTED,
        target=EXECUTORCH,
        convert=crash,
        packages=("no-such-distribution",),
    ),
)


@pytest.fixture(scope="module")
def diagnoses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Diagnosis]]:
    """One examination of all that is ours, with broken things among it and no toolchain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTBRIDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        for hop in FAKES:
            register_hop(hop)
        for runtime in (KillsItself, Miscounts):
            RUNTIMES.register(runtime.name, runtime, home=__name__)
        try:
            yield diagnose()
        finally:
            for hop in FAKES:
                HOPS.unregister(hop.name)
            for runtime in (KillsItself, Miscounts):
                RUNTIMES.unregister(runtime.name)


def find(diagnoses: list[Diagnosis], kind: str, name: str) -> Diagnosis:
    (found,) = [each for each in diagnoses if (each.kind, each.name) == (kind, name)]
    return found


def ours(diagnoses: list[Diagnosis]) -> list[Diagnosis]:
    return [
        each
        for each in diagnoses
        if not each.name.startswith("test-") and each.name != ONLY_CRASHES
    ]


def test_everything_has_a_row(diagnoses: list[Diagnosis]) -> None:
    rows = [(each.kind, each.name) for each in diagnoses]
    assert len(rows) == len(set(rows))
    assert {name for kind, name in rows if kind == "hop"} == set(HOPS.names())
    assert {name for kind, name in rows if kind == "runtime"} == set(RUNTIMES.names())
    assert {name for kind, name in rows if kind == "toolchain"} == {
        each.name for each in toolchains()
    }
    assert {"torch", "onnx", "onnxruntime"} <= {name for kind, name in rows if kind == "framework"}


def test_all_that_is_installed_works(diagnoses: list[Diagnosis]) -> None:
    assert [each for each in ours(diagnoses) if each.broken] == []
    for name in ("torch-export", "torch-trace", "lite-interpreter", "onnxsim"):
        row = find(diagnoses, "hop", name)
        assert row.works
        assert row.version
        assert row.reason == ""
    for name in ("eager-float32", "torchscript", "lite-interpreter", "onnxruntime"):
        row = find(diagnoses, "runtime", name)
        assert row.works
        assert row.version
        assert row.seconds > 0
    assert find(diagnoses, "framework", "torch").version == importlib.metadata.version("torch")


def test_what_was_not_tried_says_why(diagnoses: list[Diagnosis]) -> None:
    formats = {hop.target.name for hop in HOPS if find(diagnoses, "hop", hop.name).works}
    for each in diagnoses:
        if each.works:
            continue
        assert each.reason
        if each.kind == "runtime" and each.symptom is Symptom.NOT_REACHED:
            assert formats.isdisjoint(map(str, RUNTIMES.get(each.name).formats))


def test_a_toolchain_is_not_installed_on_the_way(diagnoses: list[Diagnosis]) -> None:
    for toolchain in toolchains():
        row = find(diagnoses, "toolchain", toolchain.name)
        assert row.symptom is Symptom.UNAVAILABLE
        assert row.mend == f"driftbridge toolchain install {toolchain.name}"
        for hop in HOPS:
            if hop.place == toolchain.name:
                assert find(diagnoses, "hop", hop.name).symptom is Symptom.UNAVAILABLE


def test_a_missing_package_is_told_with_the_command(diagnoses: list[Diagnosis]) -> None:
    for row in (
        find(diagnoses, "hop", "test-missing"),
        find(diagnoses, "framework", "no-such-distribution"),
    ):
        assert row.symptom is Symptom.UNAVAILABLE
        assert not row.broken
        assert "not installed: no-such-distribution" in row.reason
        assert row.mend.startswith("pip install")


def test_a_runtime_that_kills_its_process_is_a_crash(diagnoses: list[Diagnosis]) -> None:
    row = find(diagnoses, "runtime", KillsItself.name)
    assert (row.symptom, row.stage) == (Symptom.CRASH, Stage.LOAD)
    assert "SIGSEGV" in row.reason
    assert row.broken


def test_a_hop_that_kills_its_process_is_a_crash(diagnoses: list[Diagnosis]) -> None:
    row = find(diagnoses, "hop", "test-crashes")
    assert (row.symptom, row.stage) == (Symptom.CRASH, Stage.LOWER)
    assert "SIGABRT" in row.reason


def test_a_framework_that_nothing_works_with_does_not_work(diagnoses: list[Diagnosis]) -> None:
    row = find(diagnoses, "framework", ONLY_CRASHES)
    assert row.symptom is Symptom.CRASH
    assert "can be imported" in row.reason
    assert "test-crashes" in row.reason
    assert find(diagnoses, "framework", "torch").works


def test_a_wrong_result_is_a_mismatch_of_the_runtime(diagnoses: list[Diagnosis]) -> None:
    row = find(diagnoses, "runtime", Miscounts.name)
    assert (row.symptom, row.stage) == (Symptom.MISMATCH, Stage.COMPARE)
    assert "torch-export" in row.reason  # the file it was tried on; it runs elsewhere
    assert find(diagnoses, "hop", "torch-export").works


def test_a_file_that_runs_nowhere_is_the_hops_fault(diagnoses: list[Diagnosis]) -> None:
    row = find(diagnoses, "hop", "test-garbles")
    assert row.broken
    assert "onnxruntime" in row.reason
    assert find(diagnoses, "runtime", "onnxruntime").works


def cli(monkeypatch: pytest.MonkeyPatch, rows: list[Diagnosis], *arguments: str) -> tuple[int, str]:
    """Run the command on an examination that was made already."""

    def answer(say: object, *, limits: Limits) -> list[Diagnosis]:
        return rows

    monkeypatch.setattr(examination, "diagnose", answer)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "250"})
    return result.exit_code, result.stdout


def test_exit_code_tells_whether_something_is_broken(
    monkeypatch: pytest.MonkeyPatch, diagnoses: list[Diagnosis]
) -> None:
    assert cli(monkeypatch, diagnoses)[0] == 1
    assert cli(monkeypatch, ours(diagnoses))[0] == 0  # not installed is not broken


def test_table_names_everything_and_tells_reasons(
    monkeypatch: pytest.MonkeyPatch, diagnoses: list[Diagnosis]
) -> None:
    _, out = cli(monkeypatch, diagnoses)
    for each in diagnoses:
        assert each.name in out
        assert each.reason in out
        assert each.mend in out
    assert "crash at load" in out
    assert f"{sum(each.broken for each in diagnoses)} broken" in out


def test_json_is_one_document(monkeypatch: pytest.MonkeyPatch, diagnoses: list[Diagnosis]) -> None:
    _, out = cli(monkeypatch, diagnoses, "--json")
    document = json.loads(out)
    assert document["ok"] is False
    rows = {(each["kind"], each["name"]): each for each in document["diagnoses"]}
    row = rows["runtime", KillsItself.name]
    assert (row["works"], row["symptom"], row["stage"]) == (False, "crash", "load")


def test_without_torch_everything_that_needs_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    installed = importlib.metadata.distribution

    def distribution(name: str) -> importlib.metadata.Distribution:
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    monkeypatch.setenv("DRIFTBRIDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
    rows = diagnose()
    assert [each for each in rows if each.broken] == []
    for each in rows:
        if each.kind in ("hop", "runtime"):
            assert not each.works
            assert each.symptom in (Symptom.UNAVAILABLE, Symptom.NOT_REACHED)
            assert each.reason
    for hop in HOPS:
        if "torch" in hop.packages:
            row = find(rows, "hop", hop.name)
            assert "not installed: torch" in row.reason
            assert row.mend.startswith("pip install")
    assert find(rows, "framework", "onnxruntime").works
