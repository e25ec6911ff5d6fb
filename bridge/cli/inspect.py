"""``driftbridge inspect``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Quiet, Terminal, errors_as_exit_codes

if TYPE_CHECKING:
    from rich.table import Table

    from ..api import Look
    from ..inspection import Inspection


def inspect(
    file: Annotated[Path, typer.Argument(help="A model file, or the folder of a SavedModel.")],
    timeout: Annotated[
        float, typer.Option(help="Seconds that loading a TFLite file may take.", min=0.1)
    ] = 120.0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show what a model file holds: signature, operators, parameters, who made it.

    Of a TFLite file also its transposes, what XNNPACK takes of it on this machine, and what it
    leaves; with the source line of each operator if the file lies where convert put it.
    """
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..formats import TFLITE
        from ..inspection import inspect as read

        look = None
        with terminal.progress() as say:
            say(f"reading {file}")
            inspection = read(file)
            if inspection.format == TFLITE:
                look = _look(inspection, timeout, say)
        terminal.show(_facts(inspection), _operators(inspection))
        document = inspection.to_json()
        if look is not None:
            from .graph_tables import graph_tables

            terminal.show(*graph_tables(look))
            document["graph"] = look.to_json()
        terminal.emit(document)


def _look(inspection: Inspection, timeout: float, say: Callable[[str], None]) -> Look:
    from ..api import look
    from ..worker import Limits

    return look(inspection, limits=Limits(seconds=timeout), say=say)


def _facts(inspection: Inspection) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from ..report.wording import size_text

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
