"""``diff``: what got worse between two results, and what only changed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import report_documents

from bridge.report.difference import Change, Judgement, Tolerances, differences

Document = dict[str, Any]
GOOD = report_documents.report()


def changed(edit: Callable[[Document], Any]) -> Document:
    document = copy.deepcopy(GOOD)
    edit(document)
    return document


def regressions(after: Document, before: Document = GOOD) -> list[Change]:
    return [each for each in differences(before, after) if each.judgement is Judgement.REGRESSION]


def facts(document: Document) -> Document:
    found: Document = document["compatibility"]["tflite"]
    return found


def target(document: Document, name: str = "tflite") -> Document:
    found: Document = document["validation"]["targets"][name]
    return found


def test_two_equal_results_differ_in_nothing() -> None:
    assert differences(GOOD, copy.deepcopy(GOOD)) == []
    troubled = report_documents.troubled()
    assert differences(troubled, copy.deepcopy(troubled)) == []
    old = report_documents.first_version(GOOD)
    assert differences(old, copy.deepcopy(old)) == []


def test_a_layer_that_begins_to_fail_is_named_and_mended_it_is_better() -> None:
    bad = report_documents.wrong_epsilon()
    worse = regressions(bad)
    assert ("tflite", "layer_norm_34") in {(each.subject, each.layer) for each in worse}
    assert any(each.kind == "verdict" and each.after == "fail" for each in worse)
    mended = differences(bad, GOOD)
    assert mended
    assert {each.judgement for each in mended} == {Judgement.BETTER}


@pytest.mark.parametrize(
    ("kind", "what", "edit"),
    [
        ("verdict", "target", lambda d: d["validation"]["targets"].pop("tflite")),
        ("verdict", "verdict", lambda d: target(d).update(verdict="warn")),
        ("verdict", "verdict", lambda d: target(d).update(verdict="not run")),
        ("drift", "SQNR", lambda d: target(d)["outputs"]["logits"].update(sqnr_db=101.0)),
        ("drift", "SQNR", lambda d: target(d)["outputs"]["logits"].update(sqnr_db="nan")),
        ("drift", "top-1 agreement", lambda d: target(d).update(top1_agreement=0.98)),
        (
            "layer",
            "ρ alone of relu6_8",
            lambda d: d["layers"][8]["targets"]["tflite"]["isolated"].update(ratio=2.9),
        ),
        ("size", "size +10.0 %", lambda d: d["conversions"][1]["artifact"].update(size=15384723)),
        ("operators", "operators", lambda d: facts(d)["operators"][0].update(count=40)),
        (
            "operators",
            "TRANSPOSE",
            lambda d: facts(d)["operators"].append(
                {"name": "TRANSPOSE", "version": 1, "count": 2, "since": "1.5.0"}
            ),
        ),
        (
            "operators",
            "XNNPACK partitions",
            lambda d: facts(d)["xnnpack"]["partitions"].append({"operators": [], "counts": {}}),
        ),
        (
            "operators",
            "left by XNNPACK",
            lambda d: facts(d)["xnnpack"]["left"].append(
                {"index": 0, "name": "X", "tensor": "", "source": "", "why": ""}
            ),
        ),
        ("runtime", "GPU delegate", lambda d: facts(d)["gpu"].update(compatible=False)),
        ("runtime", "oldest LiteRT", lambda d: facts(d)["min_runtime"].update(needed="2.10.0")),
        (
            "latency",
            "median on 1 thread +25 %",
            lambda d: facts(d)["latency"]["threads"][0].update(median_ms=9.0, p10_ms=8.8),
        ),
    ],
)
def test_each_way_to_get_worse_is_a_regression_and_its_reverse_is_none(
    kind: str, what: str, edit: Callable[[Document], Any]
) -> None:
    worse = changed(edit)
    found = [each for each in regressions(worse) if each.kind == kind and what in each.what]
    assert found, differences(GOOD, worse)
    assert found[0].before != found[0].after
    assert regressions(GOOD, before=worse) == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["versions"].update(torch="2.14.0"),
        lambda d: target(d).update(runtime_version="2.4.0"),
        lambda d: d["validation"]["inputs"].update(samples=32),
        lambda d: d["validation"]["thresholds"]["float32"].update(warn_ratio=5.0),
        lambda d: target(d).update(run_seconds=0.1),  # of a busy machine: told, not judged
        # slower, but within the spread of the earlier run
        lambda d: facts(d)["latency"]["threads"][0].update(median_ms=8.2, p10_ms=7.1),
        # slower on another machine
        lambda d: facts(d)["latency"].update(
            machine="a phone", threads=[{**facts(d)["latency"]["threads"][0], "median_ms": 90.0}]
        ),
        lambda d: d["conversions"][1]["artifact"].update(size=13986112 + 100_000),
        lambda d: target(d, "onnx")["outputs"]["logits"].update(sqnr_db=134.0),
    ],
)
def test_what_is_no_regression_is_still_told(edit: Callable[[Document], Any]) -> None:
    after = changed(edit)
    assert regressions(after) == []
    told = differences(GOOD, after)
    small_loss = target(after, "onnx")["outputs"] != target(GOOD, "onnx")["outputs"]
    assert bool(told) is not small_loss


def test_agreement_on_other_inputs_is_told_and_not_judged() -> None:
    after = changed(lambda d: target(d).update(top1_agreement=0.98))
    assert regressions(after)
    after["validation"]["inputs"].update(samples=32)
    assert regressions(after) == []
    assert "top-1 agreement, on other inputs" in [each.what for each in differences(GOOD, after)]


def test_layers_are_paired_by_their_place_when_their_names_moved() -> None:
    before, after = report_documents.report(), report_documents.wrong_epsilon()
    for layer in after["layers"]:
        layer["id"] = f"moved_{layer['id']}"
    layers = {each.layer for each in regressions(after, before)}
    assert "moved_layer_norm_34" in layers


def test_tolerances_decide() -> None:
    grown = changed(lambda d: d["conversions"][1]["artifact"].update(size=15384723))
    assert regressions(grown)
    loose = differences(GOOD, grown, Tolerances(size=0.2))
    assert [each.judgement for each in loose] == [Judgement.CHANGED]


def test_the_command_exits_with_1_on_a_regression_and_takes_folders_and_files(
    tmp_path: Path,
) -> None:
    names = {"before": GOOD, "after": report_documents.wrong_epsilon()}
    for name, document in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(document))

    def diff(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bridge", "diff", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    worse = diff(tmp_path / "before", tmp_path / "after" / "report.json", "--json")
    assert worse.returncode == 1
    told = json.loads(worse.stdout)
    assert told["regressions"] == sum(each["judgement"] == "regression" for each in told["changes"])
    better = diff(tmp_path / "after", tmp_path / "before")
    assert better.returncode == 0
    assert "nothing got worse" in better.stdout
    missing = diff(tmp_path / "before", tmp_path / "gone")
    assert missing.returncode not in (0, 1)
    assert "cannot be read" in missing.stderr
