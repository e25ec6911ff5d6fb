"""``driftbridge report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import UsageError
from .console import Json, Quiet, Terminal, errors_as_exit_codes


def report(
    path: Annotated[
        Path,
        typer.Argument(help="A folder that convert or validate --out made, or its report.json."),
    ],
    format_: Annotated[
        str, typer.Option("--format", help="With commas: html, md, json, junit, sarif.")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(help="A folder, or a file for one format; - is standard output."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the report of a folder as a page, for a pull request, or for a CI system."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..api.reporting import STANDARD_OUTPUT, report_text
        from ..api.reporting import report as write

        formats = [each.strip() for each in format_.split(",") if each.strip()]
        if out == STANDARD_OUTPUT:
            if len(formats) != 1 or json:
                raise UsageError("standard output takes one format, and no --json beside it")
            sys.stdout.write(report_text(path, formats[0]))
            return
        files = write(path, formats=formats, out=out)
        terminal.show(*(escape(f"{name}: {file}") for name, file in files.items()))
        terminal.emit({name: str(file) for name, file in files.items()})
