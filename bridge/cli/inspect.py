"""``driftbridge inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Quiet, Terminal, errors_as_exit_codes

if TYPE_CHECKING:
    from rich.table import Table

    from ..inspection import Inspection


def inspect(
    file: Annotated[Path, typer.Argument(help="A model file, or the folder of a SavedModel.")],
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show what a model file holds: signature, operators, parameters, who made it."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..inspection import inspect as read

        with terminal.progress() as say:
            say(f"reading {file}")
            inspection = read(file)
        terminal.show(_facts(inspection), _operators(inspection))
        terminal.emit(inspection.to_json())


def _facts(inspection: Inspection) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from .tables import size_text

    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    signature = inspection.signature
    rows = [
        ("file", str(inspection.path)),
        ("format", f"{inspection.format} ({inspection.format.title})"),
        ("size", f"{size_text(inspection.size)} ({inspection.size:,} bytes)"),
        ("sha256", inspection.sha256),
        ("producer", f"{inspection.producer} {inspection.producer_version}".strip() or "unknown"),
        (
            "parameters",
            f"{inspection.parameters:,} ({size_text(inspection.parameter_bytes)})",
        ),
        *(("input", str(spec)) for spec in signature.inputs),
        *(("output", str(spec)) for spec in signature.outputs),
        *inspection.details.items(),
    ]
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    return table


def _operators(inspection: Inspection) -> Table:
    from rich.markup import escape
    from rich.table import Table

    total = sum(each.count for each in inspection.operators)
    versioned = any(each.version is not None for each in inspection.operators)
    table = Table(title=f"\n{total} operators", title_justify="left")
    table.add_column("operator", overflow="fold")
    table.add_column("count", justify="right")
    if versioned:
        table.add_column("version", justify="right")
    for each in inspection.operators:
        version = "" if each.version is None else str(each.version)
        table.add_row(escape(each.name), str(each.count), *([version] if versioned else []))
    return table
