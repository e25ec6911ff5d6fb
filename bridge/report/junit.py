"""``report.junit.xml``: a suite per target for the test views of CI systems.

A case is a pass only if it ran and passed: what cannot run here, what was not compared and what is
inconclusive is skipped with its reason, and what should have run and did not is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from .reading import accumulated, isolated, targets_of
from .view import TargetLine, layer_title, row_verdict, target_lines
from .wording import db_text, figure_text

# XML 1.0 cannot hold these at all, however they are written.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def junit_report(document: Mapping[str, Any]) -> str:
    """Return the report as JUnit XML: for each target its file, its outputs and its layers."""
    root = ElementTree.Element("testsuites", name=_text(document["source"]["text"]))
    for line in target_lines(document):
        suite = ElementTree.SubElement(root, "testsuite", name=_text(line.name))
        _conversion(suite, document, line)
        _run(suite, document, line)
        for layer in document["layers"]:
            row = layer["targets"].get(line.name)
            if row is not None and line.ran:
                _layer(suite, line.name, layer, row)
        _count(suite)
    for name in ("tests", *_COUNTED):
        root.set(name, str(sum(int(suite.get(name, 0)) for suite in root)))
    ElementTree.indent(root, " ")
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _conversion(suite: ElementTree.Element, document: Mapping[str, Any], line: TargetLine) -> None:
    for conversion in document["conversions"]:
        if conversion["format"] == line.format and (conversion["routes"] or not conversion["ok"]):
            case = _case(suite, line.name, "conversion", conversion["seconds"])
            if not conversion["ok"]:
                _end(case, "error", line.reason)


def _run(suite: ElementTree.Element, document: Mapping[str, Any], line: TargetLine) -> None:
    target = targets_of(document).get(line.name)
    if target is None:
        if line.verdict == "not run":
            _end(_case(suite, line.name, "outputs"), "skipped", line.reason)
        return
    case = _case(suite, line.name, "outputs", target["outcome"]["seconds"])
    if not line.ran:
        _end(case, "skipped" if line.unavailable else "error", line.reason)
        return
    kinds = {"fail": "failure", "inconclusive": "skipped", "not run": "skipped"}
    if line.verdict in kinds:
        _end(case, kinds[line.verdict], line.reason)
    elif line.reason:
        ElementTree.SubElement(case, "system-out").text = _text(line.reason)


def _layer(
    suite: ElementTree.Element, target: str, layer: Mapping[str, Any], row: Mapping[str, Any]
) -> None:
    verdict = row_verdict(row)
    explained = not row["mapped"] and verdict == "not run"
    if explained and not row["reason"].startswith("unexplained"):
        return  # fused or folded: there is nothing to test
    place = f"{target}.{layer['module']}" if layer["module"] else target
    case = _case(suite, place, layer["id"])
    if layer["source"]:
        file, _, number = layer["source"].rpartition(":")
        case.set("file", _text(file or layer["source"]))
        if number.isdecimal() and file:
            case.set("line", number)
    told = "; ".join(
        part
        for part in (
            f"{verdict} at {layer_title(layer)}",
            _drift("ρ alone", isolated(row)),
            _drift("ρ accumulated", accumulated(row)),
            f"SQNR {db_text(row['metrics']['sqnr_db'])}" if row["metrics"] else "",
            row["reason"],
        )
        if part
    )
    kinds = {"fail": "failure", "inconclusive": "skipped", "not run": "skipped"}
    if verdict in kinds:
        _end(case, kinds[verdict], told)
    elif verdict == "warn":
        ElementTree.SubElement(case, "system-out").text = _text(told)


def _drift(name: str, drift: Mapping[str, Any] | None) -> str:
    return f"{name} {figure_text(drift['ratio'])}" if drift and drift["ratio"] is not None else ""


def _case(
    suite: ElementTree.Element, place: str, name: str, seconds: float = 0.0
) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=_text(place), name=_text(name), time=f"{seconds:.3f}"
    )


def _end(case: ElementTree.Element, kind: str, message: str) -> None:
    ElementTree.SubElement(case, kind, message=_text(message))


def _count(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite)))
    for name, tag in _COUNTED.items():
        suite.set(name, str(sum(case.find(tag) is not None for case in suite)))


def _text(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
