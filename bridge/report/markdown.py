"""``report.md``: the report for a pull request. Nothing of the model is markup in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .command import command
from .findings import findings
from .reading import accumulated, isolated
from .view import failing_layers, overall, target_lines
from .wording import MARKS, db_text, figure_text, percent_text, plural, seconds_text, size_text

_ROWS = 20
# What is markup within a line; the last two begin links that are made of plain text.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~$&]|(?<=:)//|(?<=www)\.")
# GitHub looks for these in what was rendered, where no backslash is left.
_MENTION = re.compile(r"(?<!\w)@(?=\w)|#(?=\d)")
_NO_SPACE = "\u200b"


def markdown_report(document: Mapping[str, Any]) -> str:
    """Return the report as Markdown: verdicts, findings, the first failing layers, files."""
    verdict, sentence = overall(document)
    parts = [
        f"## {MARKS[verdict]} {verdict.upper()}: {code(document['source']['text'])}",
        f"{sentence}{_against(document)}",
        "\n".join(_verdicts(document)),
        "\n".join(_findings(document)),
        "\n".join(_failing(document)),
        "\n".join(_files(document)),
        f"Made by driftbridge {plain(document['driftbridge'])}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    line = _MENTION.sub(rf"\g<0>{_NO_SPACE}", " ".join(str(text).split()))
    return _SPECIAL.sub(r"\\\g<0>", line)


def code(text: str) -> str:
    """Return a text as code, with a fence that is longer than any run of backticks in it."""
    line = " ".join(str(text).split()).replace("|", "¦")  # a bar ends a table's cell even in code
    if not line:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def _against(document: Mapping[str, Any]) -> str:
    validation = document.get("validation")
    if not validation:
        return ""
    origin = validation["inputs"]["origin"]
    return f" Against {plain(validation['reference'])} on {plain(origin)}."


def _verdicts(document: Mapping[str, Any]) -> Iterator[str]:
    lines = target_lines(document)
    if not lines:
        return
    names = ("verdict", "target", "runtime", "SQNR", "ρ alone", "ρ accum.", "top-1", "size", "run")
    yield from _head((*names, "why"), right=range(3, 9))
    for line in lines:
        yield _row(
            (
                f"{MARKS.get(line.verdict, '–')} {line.verdict}",
                code(line.name),
                plain(line.runtime),
                db_text(line.sqnr),
                figure_text(line.introduced),
                figure_text(line.ratio),
                percent_text(line.top1),
                size_text(line.size),
                seconds_text(line.seconds),
                plain(line.reason),
            )
        )


def _findings(document: Mapping[str, Any]) -> Iterator[str]:
    found = findings(document)
    if found:
        yield "### Where to look\n"
    for each in found:
        targets = ", ".join(code(name) for name in each.targets)
        yield f"- **{each.level}** {plain(each.title)} ({targets}): {plain(each.text)}"
        for name, text in each.details:
            yield f"  - {plain(name)}: {code(text)}"


def _failing(document: Mapping[str, Any]) -> Iterator[str]:
    failing = list(failing_layers(document))
    if not failing:
        return
    yield "### Failing layers\n"
    names = ("layer", "operator", "module", "source", "target", "ρ alone", "ρ accum.", "SQNR")
    yield from _head(names, right=range(5, 8))
    for layer, name in failing[:_ROWS]:
        row = layer["targets"][name]
        yield _row(
            (
                code(layer["id"]),
                code(layer["op"]),
                code(layer["module"]),
                code(layer["source"]),
                code(name),
                figure_text((isolated(row) or {}).get("ratio")),
                figure_text((accumulated(row) or {}).get("ratio")),
                db_text((row["metrics"] or {}).get("sqnr_db")),
            )
        )
    if len(failing) > _ROWS:
        yield f"\n{plural(len(failing) - _ROWS, 'more row')} in report.json."


def _files(document: Mapping[str, Any]) -> Iterator[str]:
    made = [each["artifact"] for each in document["conversions"] if each["artifact"]]
    if not made:
        return
    yield "<details><summary>Files, versions, command</summary>\n"
    yield from _head(("file", "size", "made by", "sha256"), right=(1,))
    for artifact in made:
        by = f"{artifact['producer']} {artifact['producer_version']}"
        yield _row(
            (
                code(artifact["path"]),
                size_text(artifact["size"]),
                plain(by),
                code(artifact["sha256"]),
            )
        )
    versions = (f"{name} {version}" for name, version in document["versions"].items())
    yield f"\n{plain(', '.join(versions))}\n"
    yield f"{code(command(document))}\n"
    yield "</details>"


def _head(names: Sequence[str], right: Iterable[int]) -> Iterator[str]:
    yield _row(names)
    places = set(right)
    yield _row(["--:" if index in places else "---" for index in range(len(names))])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
