"""``driftbridge doctor``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .console import EXIT_GATE, EXIT_OK, Json, Quiet, Terminal, errors_as_exit_codes

if TYPE_CHECKING:
    from rich.table import Table

    from ..api.doctor import Diagnosis


def doctor(
    timeout: Annotated[
        float, typer.Option(help="Seconds that each trial may take.", min=0.1)
    ] = 120.0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run every framework, hop, runtime and toolchain once on a toy, and say what is broken."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..api.doctor import diagnose
        from ..worker import Limits

        with terminal.progress() as say:
            diagnoses = diagnose(say, limits=Limits(seconds=timeout))
        broken = [each for each in diagnoses if each.broken]
        terminal.show(_table(diagnoses), *_remarks(diagnoses), _summary(diagnoses))
        terminal.emit({"ok": not broken, "diagnoses": [each.to_json() for each in diagnoses]})
        if quiet:
            for each in broken:
                text = f"{each.kind} {each.name}: {each.symptom} at {each.stage}: {each.reason}"
                terminal.err.print(text, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_GATE if broken else EXIT_OK)


def _table(diagnoses: Sequence[Diagnosis]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for title in ("kind", "name", "version", "state"):
        table.add_column(title, overflow="fold")
    table.add_column("seconds", justify="right")
    for each in diagnoses:
        seconds = f"{each.seconds:.1f}" if each.seconds else ""
        table.add_row(each.kind, escape(each.name), escape(each.version), _state(each), seconds)
    return table


def _remarks(diagnoses: Sequence[Diagnosis]) -> Iterator[str]:
    """Yield why each thing does not work, and then the commands that help, each one once."""
    from rich.markup import escape

    for each in diagnoses:
        if not each.works:
            yield f"{_state(each)}: {each.kind} {escape(each.name)}: {escape(each.reason)}"
    for mend in dict.fromkeys(each.mend for each in diagnoses if each.mend):
        yield f"to mend: [bold]{escape(mend)}[/bold]"


def _state(diagnosis: Diagnosis) -> str:
    if diagnosis.works:
        return "[green]works[/green]"
    if diagnosis.broken:
        return f"[bold red]{diagnosis.symptom} at {diagnosis.stage}[/bold red]"
    absent = diagnosis.symptom == "unavailable"
    return f"[dim]{'not installed' if absent else diagnosis.symptom}[/dim]"


def _summary(diagnoses: Sequence[Diagnosis]) -> str:
    works = sum(each.works for each in diagnoses)
    broken = sum(each.broken for each in diagnoses)
    rest = len(diagnoses) - works - broken
    return f"{works} work, {rest} not installed or not tried, {broken} broken"
