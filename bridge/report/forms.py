"""The forms that a report can be written in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from .html import html_report
from .junit import junit_report
from .markdown import markdown_report
from .sarif import sarif_report


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of the report.

    Attributes:
        name: As the user asks for it.
        filename: Its file in a result folder.
        write: Makes its text of a report document.
    """

    name: str
    filename: str
    write: Callable[[Mapping[str, Any]], str]


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMS = {
    form.name: form
    for form in (
        Form(name="html", filename="report.html", write=html_report),
        Form(name="md", filename="report.md", write=markdown_report),
        Form(name="json", filename="report.json", write=_json),
        Form(name="junit", filename="report.junit.xml", write=junit_report),
        Form(name="sarif", filename="report.sarif", write=sarif_report),
    )
}


def form_named(name: str) -> Form:
    """Return a form; ``UsageError`` if there is none of that name."""
    if name not in FORMS:
        raise UsageError(f"there is no report format {name!r}", hint=f"formats: {', '.join(FORMS)}")
    return FORMS[name]
