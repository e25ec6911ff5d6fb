"""``driftbridge blame``: what is at fault, and a reproduction of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..errors import UsageError
from .console import Json, Quiet, Terminal, errors_as_exit_codes
from .convert import Memory, limits

Target = Annotated[
    str | None, typer.Option(help="The target in question: tflite, tflite@litert-builtin.")
]
RouteName = Annotated[
    str | None, typer.Option(help="The route in question, or a hop of it, if several failed.")
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for the reproduction: DIR/blame-TARGET if not given.")
]


def blame(
    folder: Annotated[Path, typer.Argument(help="A folder that convert made.", metavar="DIR")],
    target: Target = None,
    route: RouteName = None,
    layer: Annotated[
        str | None, typer.Option(help="A layer, if it is not to be the first that fails alone.")
    ] = None,
    out: Out = None,
    seconds: Annotated[
        float, typer.Option(help="When to stop looking for something smaller.", min=1)
    ] = 900.0,
    timeout: Annotated[float, typer.Option(help="Seconds that each try may take.", min=0.1)] = 60.0,
    memory: Memory = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find the layer that introduced a drift, or the part of a model that a conversion fails on.

    A folder is written that shows it alone: a script, the part, and its inputs.
    """
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..api.blaming import blame_conversion, failed_routes

        failed = None if layer else _chosen(failed_routes(folder), target, route)
        if failed is None:
            _blame_drift(terminal, folder, target, layer, out, limits(timeout, memory))
            return
        with terminal.progress() as say:
            found = blame_conversion(
                folder,
                failed,
                out=out or folder / f"blame-{failed.target}",
                limits=limits(timeout, memory),
                seconds=seconds,
                say=say,
            )
        show_conversion(terminal, found)
        terminal.emit(found.to_json())


def _blame_drift(
    terminal: Terminal,
    folder: Path,
    target: str | None,
    layer: str | None,
    out: Path | None,
    limits: Any,
) -> None:
    from ..api.attribution import reproduction_folder
    from ..api.culprits import blame_drift, drifting_targets
    from ..api.reporting import record_blame

    drifting = drifting_targets(folder)
    chosen = target or next(iter(drifting), None)
    if chosen is None or (layer is None and chosen not in drifting):
        raise UsageError(
            f"no conversion in {folder} failed"
            + (f" to {target}" if target else "")
            + ", and no layer fails on its own",
            hint="--target and --layer choose a layer all the same",
        )
    with terminal.progress() as say:
        found = blame_drift(
            folder,
            chosen,
            layer=layer,
            out=out or reproduction_folder(folder, chosen),
            limits=limits,
            say=say,
        )
    record_blame(folder, chosen, found.to_json())
    show_drift(terminal, found)
    terminal.emit(found.to_json())


def show_drift(terminal: Terminal, found: Any) -> None:
    """Print which layer introduced a drift."""
    layer, alone = found.layer, found.figures["isolated"]
    times = None if alone["ratio"] is None else float(alone["ratio"])
    size = "that is not rounding" if times is None else f"of {times:.3g} × rounding"
    together = [each for each in found.cluster if each != layer.id]
    terminal.show(
        escape(f"{found.target}: layer {layer.id} introduces an error {size}"),
        escape(f"  module    {layer.module or 'root'}"),
        escape(f"  source    {layer.source}"),
        escape(f"  operator  {found.call}"),
        *([escape(f"  with      {', '.join(together)}")] if together else []),
        *(escape(f"  computed  {each}") for each in found.operators),
        "",
        escape(found.said),
        escape(f"reproduction: {found.folder / 'reproduce.py'}")
        + ("" if found.confirmed else " [yellow](its script does not show the difference)[/]"),
    )


def _chosen(found: list[Any], target: str | None, route: str | None) -> Any:
    """The first failed route that is meant: of any target that was not reached, by default."""
    for each in found:
        if target is None and route is None and each.replaced:
            continue
        if target in (None, each.target) and route in (None, each.name, *each.name.split("/")):
            return each
    return None


def show_conversion(terminal: Terminal, found: Any) -> None:
    """Print what a conversion fails on."""
    shrunk, reproduction = found.shrunk, found.reproduction
    failure = found.failed.failure
    count = len(shrunk.piece.units)
    terminal.show(
        escape(f"{found.failed.target}: {failure.hop} fails ({failure.symptom}, {failure.stage})"),
        escape(f"{failure.message}\n"),
        f"{count} of {shrunk.total} operators are enough"
        + (
            ", and each is needed:"
            if shrunk.minimal
            else " (the time was over: there may be a smaller part):"
        ),
        _operators(shrunk.piece.units),
    )
    state = (
        "it fails as recorded"
        if reproduction.confirmed
        else f"not confirmed: it ended with “{reproduction.said}”"
    )
    terminal.show(escape(f"\nreproduction: {reproduction.folder / 'reproduce.py'} ({state})"))


def _operators(units: Any) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("layer", "operator", "module", "source"):
        table.add_column(title)
    for unit in units:
        table.add_row(*(escape(text) for text in (unit.id, unit.op, unit.module, unit.source)))
    return table
