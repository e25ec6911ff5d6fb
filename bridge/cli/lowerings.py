"""``driftbridge lowerings``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Quiet, Terminal, errors_as_exit_codes

if TYPE_CHECKING:
    from rich.table import Table

    from ..converters.tflite import Lowering

_NEAR = 4


def lowerings(
    text: Annotated[
        str | None,
        typer.Argument(help="Show only those with this in their name or summary: conv, GATHER."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """List the PyTorch operators that the direct compiler knows, and what each becomes in TFLite.

    An operator that is not here is converted too if PyTorch decomposes it into some that are.
    """
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..converters.tflite import LOWERINGS

        known = sorted(LOWERINGS, key=lambda each: each.operator)
        shown = _with(text, known) if text else known
        terminal.show(_table(shown), f"{len(shown)} of {len(known)} lowerings")
        terminal.emit(
            {
                "lowerings": [
                    {
                        "operator": each.operator,
                        "summary": each.summary,
                        "module": LOWERINGS.home(each.operator),
                    }
                    for each in shown
                ]
            }
        )


def _with(text: str, known: Sequence[Lowering]) -> list[Lowering]:
    """The lowerings with a text in them; ``UsageError`` with near matches if there is none."""
    import difflib

    from ..errors import UsageError

    sought = text.lower()
    shown = [each for each in known if sought in f"{each.operator} {each.summary}".lower()]
    if shown:
        return shown
    # without the library's name: it is what most names begin with, and what nobody misspells
    names = {each.operator.partition(".")[2]: each.operator for each in known}
    name = sought.removeprefix("aten.")
    near = difflib.get_close_matches(name, names, n=_NEAR, cutoff=0.6)
    raise UsageError(
        f"no lowering has {text!r} in its name or summary",
        hint="did you mean " + " or ".join(names[each] for each in near) + "?"
        if near
        else "driftbridge lowerings shows all",
    )


def _table(shown: Sequence[Lowering]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from ..converters.tflite import LOWERINGS

    table = Table()
    for title in ("operator", "lowering", "module"):
        table.add_column(title, overflow="fold")
    for each in shown:
        home = LOWERINGS.home(each.operator)
        table.add_row(escape(each.operator), escape(each.summary), escape(home))
    return table
