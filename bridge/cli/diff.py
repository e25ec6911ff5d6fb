"""``driftbridge diff``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import EXIT_GATE, EXIT_OK, Json, Quiet, Terminal, errors_as_exit_codes

if TYPE_CHECKING:
    from rich.table import Table

    from ..report.difference import Change

_ROWS = 30
_STYLE = {"regression": "bold red", "better": "green", "changed": "dim"}
_MARK = {"regression": "✗ worse", "better": "✓ better", "changed": "· changed"}


def diff(
    before: Annotated[Path, typer.Argument(help="The measure: a result folder or a report.json.")],
    after: Annotated[Path, typer.Argument(help="What is judged by it: the same.")],
    size_tolerance: Annotated[
        float, typer.Option(help="Percent by which a file may grow.", min=0.0)
    ] = 1.0,
    latency_tolerance: Annotated[
        float, typer.Option(help="Percent by which the median latency may grow.", min=0.0)
    ] = 10.0,
    sqnr_tolerance: Annotated[
        float, typer.Option(help="Decibels that an output may lose.", min=0.0)
    ] = 6.0,
    ratio_tolerance: Annotated[
        float, typer.Option(help="Factor by which a drift ratio may grow.", min=1.0)
    ] = 2.0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show what changed between two results; exit with 1 if anything got worse."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..api.reporting import read_report
        from ..report.difference import Judgement, Tolerances, differences

        tolerances = Tolerances(
            size=size_tolerance / 100,
            latency=latency_tolerance / 100,
            sqnr=sqnr_tolerance,
            ratio=ratio_tolerance,
        )
        changes = differences(read_report(before), read_report(after), tolerances)
        worse = sum(each.judgement is Judgement.REGRESSION for each in changes)
        if changes:
            terminal.show(_table(changes[:_ROWS]))
        terminal.show(*_summary(changes, worse))
        terminal.emit({"regressions": worse, "changes": [each.to_json() for each in changes]})
        raise typer.Exit(EXIT_GATE if worse else EXIT_OK)


def _table(changes: Sequence[Change]) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for title in ("", "kind", "of", "what", "before", "after"):
        table.add_column(title, overflow="fold", no_wrap=title in ("", "kind"))
    for each in changes:
        table.add_row(
            f"[{_STYLE[each.judgement]}]{_MARK[each.judgement]}[/]",
            each.kind,
            *(escape(text) for text in (each.subject, each.what, each.before, each.after)),
        )
    return table


def _summary(changes: Sequence[Change], worse: int) -> Iterator[str]:
    hidden = len(changes) - _ROWS
    if hidden > 0:
        yield f"and {hidden} more changes; --json shows all"
    if not changes:
        yield "nothing changed"
    elif not worse:
        yield "nothing got worse"
    else:
        yield f"[bold red]{worse} got worse[/]"
