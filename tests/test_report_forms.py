"""The report as Markdown, JUnit and SARIF, what it points at, and the command that writes it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import report_documents
from markdown_it import MarkdownIt

from bridge.api.reporting import read_report, record_blame, report
from bridge.errors import SourceError, UsageError
from bridge.report import html_report, load_schema
from bridge.report.command import command
from bridge.report.findings import findings
from bridge.report.forms import FORMS
from bridge.report.junit import junit_report
from bridge.report.layer_columns import layer_columns
from bridge.report.markdown import markdown_report
from bridge.report.sarif import sarif_report
from bridge.report.view import overall, target_lines
from bridge.report.wording import range_text

SEEDED = "layer_norm_34"
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}
HOSTILE = "</script><b>|`@me[x](y)\n# z\x00"


def folder_of(path: Path, document: dict[str, Any]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "report.json").write_text(json.dumps(document))
    return path


def driftbridge(*arguments: object) -> subprocess.CompletedProcess[str]:
    command_ = [sys.executable, "-m", "bridge", *map(str, arguments)]
    return subprocess.run(command_, capture_output=True, text=True)


def test_the_made_up_reports_are_what_the_schema_describes() -> None:
    schema = load_schema("report")
    validation = schema["properties"]["validation"]["oneOf"][1]["properties"]
    target = validation["targets"]["additionalProperties"]["properties"]
    target.setdefault("reproduction", {"type": ["string", "null"]})  # of blame
    documents = [
        report_documents.report(),
        report_documents.wrong_epsilon(),
        report_documents.int8_collapse(),
        report_documents.gpu_refusal(),
    ]
    if schema["properties"]["version"]["const"] == 1:
        documents = [report_documents.first_version(document) for document in documents]
    else:
        documents.append(report_documents.troubled())
    for document in documents:
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("make", ["wrong_epsilon", "int8_collapse", "troubled"])
def test_the_first_finding_is_the_layer_that_a_fault_was_seeded_in(make: str) -> None:
    document = getattr(report_documents, make)()
    seeded = {
        "wrong_epsilon": (SEEDED, "models/net.py:25", ("tflite", "tflite@litert-builtin")),
        "int8_collapse": ("relu6_20", "models/net.py:23", ("tflite",)),
        "troubled": ("relu6_8", "models/net.py:21", ("onnx",)),
    }[make]
    first = findings(document)[0]
    assert (first.layer, first.source, first.targets) == seeded
    assert first.level == "error"
    assert seeded[0] in first.title


def test_a_layer_that_stands_for_several_names_them() -> None:
    document = report_documents.int8_collapse()
    row = next(each for each in document["layers"] if each["id"] == "relu6_20")
    row["targets"]["tflite"]["cluster"] = ["add_19", "conv2d_20", "relu6_20"]
    assert "the file computes it in one with add_19, conv2d_20" in findings(document)[0].text


def test_an_operator_that_the_gpu_delegate_refuses_is_pointed_at_with_its_line() -> None:
    document = report_documents.gpu_refusal()
    assert overall(document)[0] == "pass"
    first, second = findings(document)
    assert (first.kind, first.level, first.source) == ("gpu-refused", "warning", "models/net.py:77")
    assert "GATHER_ND" in first.title
    assert "2 uses" in first.text
    assert second.kind == "xnnpack-left"
    assert findings(report_documents.report()) == []


def test_no_target_is_left_out_and_none_passes_that_did_not_run() -> None:
    document = report_documents.troubled()
    lines = {line.name: line for line in target_lines(document)}
    assert lines["torchscript"].verdict == "not run"
    assert lines["torchscript"].unavailable
    assert lines["saved_model"].verdict == "fail"
    assert "SIGSEGV" in lines["saved_model"].reason  # not the route that is not installed
    assert overall(document) == ("fail", "4 of 4 targets failed, 1 cannot run here.")
    document["validation"] = None
    assert {line.verdict for line in target_lines(document)} == {"not run", "fail"}


def test_markdown_has_the_verdicts_and_the_layers_and_holds_no_markup_of_the_model() -> None:
    text = markdown_report(report_documents.wrong_epsilon())
    assert text.startswith("## ✗ FAIL: `models/net.py:Net`")
    assert "| ✗ fail | `tflite` |" in text
    assert f"`{SEEDED}`" in text
    bad = markdown_report(report_documents.hostile(HOSTILE))
    page = MarkdownIt("commonmark").enable("table").render(bad)
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {"h2", "h3", "p", "strong", "ul", "li", "code", "details", "summary"} | TABLE
    assert "&lt;/script&gt;&lt;b&gt;" in page
    assert not re.search(r"(?<!\w)@me", re.sub(r"<code>.*?</code>", "", page))
    assert not any(line.startswith("# z") for line in bad.splitlines())
    widths = {line.count(" | ") for line in bad.splitlines() if line.startswith("| ✗ fail")}
    assert len(widths) == 1  # a bar in a name makes no cell


def test_junit_counts_a_pass_only_for_what_ran_and_passed() -> None:
    root = ElementTree.fromstring(junit_report(report_documents.troubled()))
    suites = {suite.get("name"): suite for suite in root}
    assert suites["tflite"].get("failures") == str(1 + 14)  # its outputs and the layers
    failed = [case.get("name") for case in suites["tflite"] if case.find("failure") is not None]
    assert SEEDED in failed
    case = next(case for case in suites["tflite"] if case.get("name") == SEEDED)
    assert (case.get("file"), case.get("line")) == ("models/net.py", "25")
    (skipped,) = suites["torchscript"].findall("testcase/skipped")
    assert "no torch" in str(skipped.get("message"))
    assert suites["saved_model"].get("errors") == "1"
    assert suites["onnx"].get("skipped") == "2"  # one inconclusive, one unexplained
    assert root.get("tests") == str(sum(len(suite) for suite in root))
    ElementTree.fromstring(junit_report(report_documents.hostile(HOSTILE)))


def test_sarif_puts_findings_at_the_lines_of_the_user() -> None:
    log = json.loads(sarif_report(report_documents.wrong_epsilon()))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    first = run["results"][0]
    place = first["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "models/net.py"},
        "region": {"startLine": 25},
    }
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == "drift-introduced"
    assert {each["level"] for each in run["results"]} <= {"error", "warning", "note"}
    worse = report_documents.wrong_epsilon()
    worse["layers"][34]["targets"]["tflite"]["isolated"]["ratio"] = 50.0
    (again,) = json.loads(sarif_report(worse))["runs"]
    assert again["results"][0]["partialFingerprints"] == first["partialFingerprints"]
    json.loads(sarif_report(report_documents.hostile(HOSTILE)))


def test_the_page_holds_what_the_android_engineer_needs_without_any_script() -> None:
    text = html_report(report_documents.gpu_refusal())
    for part in (
        "GATHER_ND",
        "models/net.py:77",
        "which is not a phone",
        "Xeon, 2 cores",
        "1.14.0",
        "deprecated since Android 15",
        "an image, each value divided by 255",
        "driftbridge convert models/net.py:Net --to onnx,tflite,torchscript",
        "drawn uniformly from 0..1 (declared)",
    ):
        assert part in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert len(text) < 6_000_000


def test_ranges_of_whole_numbers_are_whole() -> None:
    assert range_text([5.0, 10.0], "int64") == "5 … 10"
    assert range_text([0.0, 255.0], "uint8") == "0 … 255"
    assert range_text([1.3e-6, 0.5], "int8") == "1.30e-06 … 0.500"  # real values
    assert range_text(["-inf", 1.0], "float32") == "−∞ … 1.00"


def test_the_page_of_a_huge_model_keeps_the_drift_of_every_layer_and_stays_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = report_documents.wrong_epsilon(300)
    whole = layer_columns(document)
    assert not whole["reduced"]
    monkeypatch.setattr("bridge.report.layer_columns.LIMIT", 100_000)
    columns = layer_columns(document)
    assert columns["reduced"]
    assert len(json.dumps(columns)) < 0.7 * len(json.dumps(whole))
    cells, before = columns["targets"][0]["cells"], whole["targets"][0]["cells"]
    for kept in ("acc", "iso", "sqnr_db", "verdict"):
        assert cells[kept] == before[kept]
    failing = columns["targets"][1]
    assert failing["cells"]["rmse"][failing["first"]] is not None
    assert "passing layers show less" in html_report(document)


def test_the_command_of_a_report_is_quoted_for_a_shell() -> None:
    document = report_documents.report()
    document["source"] |= {"text": "my nets/ü.py:Net", "weights": "a'b.pt"}
    document["options"] |= {"keep_int64": True, "io_layout": ["nhwc"], "opset": 18}
    assert command(document) == (
        "driftbridge convert 'my nets/ü.py:Net' --to onnx,tflite,torchscript "
        "--weights 'a'\"'\"'b.pt' --opset 18 --keep-int64 --io-layout nhwc"
    )


def test_every_form_is_written_into_the_folder_or_where_it_is_asked_for(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "ein Ordner", report_documents.wrong_epsilon(12))
    before = (folder / "report.json").read_bytes()
    files = report(folder, formats=list(FORMS))
    assert {file.name for file in files.values()} == {file.name for file in folder.iterdir()}
    assert (folder / "report.json").read_bytes() == before
    one = report(folder / "report.json", formats=["md"], out=tmp_path / "new" / "pr.md")
    assert one == {"md": tmp_path / "new" / "pr.md"}
    assert one["md"].read_text().startswith("## ✗ FAIL")
    with pytest.raises(UsageError, match="need a folder"):
        report(folder, formats=["md", "sarif"], out=tmp_path / "new" / "pr.md")
    with pytest.raises(UsageError, match="no report format 'pdf'"):
        report(folder, formats=["pdf"])


def test_what_blame_found_is_in_the_report_and_on_the_page(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out", report_documents.wrong_epsilon())
    found = {
        "layer": SEEDED,
        "call": "aten.layer_norm(relu6_32, normalized_shape=[28], eps=1e-05)",
        "operators": ["RSQRT()", "ADD(fused_activation_function=0)"],
        "reproduction": {"folder": str(folder / "blame-tflite"), "confirmed": True},
    }
    record_blame(folder, "tflite", found)
    document = read_report(folder)
    assert document["validation"]["targets"]["tflite"]["blame"]["script"] == (
        "blame-tflite/reproduce.py"
    )
    first = findings(document)[0]
    assert first.details == (
        ("in the source", found["call"]),
        ("in tflite", "RSQRT(); ADD(fused_activation_function=0)"),
        ("reproduction", "blame-tflite/reproduce.py"),
        ("reproduction", f"reproduction/{SEEDED}/run.py"),  # of the other runtime
    )
    for form in FORMS.values():
        if form.name != "junit":
            assert "eps=1e-05" in form.write(document)
    assert "eps=1e-05" in (folder / "report.html").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="no target 'other'"):
        record_blame(folder, "other", found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"schema": "other"}', "not a report"),
        ('{"schema": "driftbridge/report", "version": 99}', "version 99"),
        ('{"schema": "driftbridge/report", "version": 1, "source": {}}', "no conversions"),
    ],
)
def test_what_is_no_report_is_refused_with_the_reason(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        read_report(tmp_path)


def test_the_commands_write_forms_and_refuse_what_they_cannot(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out", report_documents.wrong_epsilon(12))
    done = driftbridge("report", folder, "--format", "html,sarif", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "html": str(folder / "report.html"),
        "sarif": str(folder / "report.sarif"),
    }
    done = driftbridge("report", folder, "--format", "md", "--out", "-")
    assert done.stdout.startswith("## ✗ FAIL")
    done = driftbridge("report", tmp_path / "nowhere")
    assert done.returncode != 0
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
