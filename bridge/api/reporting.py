"""``report``: the report of a folder in the forms that people and CI systems read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..report.forms import Form, form_named
from ..report.html import html_report
from ..report.reading import check_report, targets_of
from ..validators.reproduction.scripts import SCRIPT
from .folder import PAGE, REPORT, ResultFolder, read_json, storage_errors

STANDARD_OUTPUT = Path("-")


def read_report(path: str | Path) -> Mapping[str, Any]:
    """Return the report of a result folder, or of a ``report.json``.

    Raises:
        SourceError: There is none, it is damaged, or a newer driftbridge made it.
    """
    path = Path(path)
    file = path / REPORT if path.is_dir() else path
    return check_report(read_json(file), str(file))


def report(
    path: str | Path, *, formats: Sequence[str] = ("html",), out: str | Path | None = None
) -> dict[str, Path]:
    """Write the report of a result folder in other forms.

    Args:
        path: The folder, or its ``report.json``.
        formats: Names of the forms: html, md, json, junit, sarif.
        out: A folder, or for a single form a file; by default the folder itself.

    Returns:
        For each form the file that was written.

    Raises:
        UsageError: A form is unknown, or several are asked for in one file.
        SourceError: There is no report, or it cannot be read.
        StorageError: A file cannot be written.
    """
    forms = [form_named(name) for name in dict.fromkeys(formats)]
    if not forms:
        raise UsageError("no report format was given", hint="--format html,md")
    path = Path(path)
    document = read_report(path)
    own = path if path.is_dir() else path.parent
    files = _places(forms, own if out is None else Path(out))
    texts = {form.name: form.write(document) for form in forms}
    for name, file in files.items():
        if file.resolve() != (own / REPORT).resolve():  # it is there already, and is the source
            _write(file, texts[name])
    return files


def report_text(path: str | Path, form: str) -> str:
    """Return the report of a result folder in one form, as text; raises as ``report`` does."""
    return form_named(form).write(read_report(path))


def record_blame(folder: str | Path, target: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put what ``blame`` found into a folder's report: both sides' operator, the reproduction.

    Args:
        folder: The result folder.
        target: One of its targets.
        found: The finding: ``layer``, ``call``, ``operators`` and ``reproduction``, which has
            ``folder`` and ``confirmed``; or ``layer`` and ``error``, why there is none.

    Returns:
        The report as it is now.

    Raises:
        SourceError: The folder has no report.
        UsageError: It has no such target.
        StorageError: It cannot be written.
    """
    folder = Path(folder)
    document = dict(read_report(folder))
    targets = targets_of(document)
    if target not in targets:
        raise UsageError(f"{folder} has no target {target!r}", hint=", ".join(targets))
    targets[target]["blame"] = _blame(folder, found)
    with ResultFolder.open(folder) as results:
        page = results.new_text(PAGE, html_report(document))
        results.publish({PAGE: page}, {REPORT: document})
    return document


def _blame(folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in found:
        return {"layer": found["layer"], "error": found["error"]}
    script = Path(found["reproduction"]["folder"]).resolve() / SCRIPT
    inside = script.is_relative_to(folder.resolve())
    return {
        "layer": found["layer"],
        "call": found["call"],
        "operators": list(found["operators"]),
        "script": script.relative_to(folder.resolve()).as_posix() if inside else str(script),
        "confirmed": bool(found["reproduction"]["confirmed"]),
    }


def _places(forms: Sequence[Form], out: Path) -> dict[str, Path]:
    single = len(forms) == 1 and out.suffix and not out.is_dir()
    if single:
        return {forms[0].name: out}
    if out.is_file():
        raise UsageError(f"{out} is a file, and {len(forms)} formats need a folder")
    return {form.name: out / form.filename for form in forms}


def _write(file: Path, text: str) -> None:
    """Write aside and rename, so that a reader never sees half a file."""
    with storage_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        new = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            new.chmod(0o644)
            os.replace(new, file)
        finally:
            new.unlink(missing_ok=True)
