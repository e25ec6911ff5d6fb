"""``driftbridge routes``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Json, Quiet, Terminal, errors_as_exit_codes

if TYPE_CHECKING:
    from ..availability import Availability
    from ..formats import Format
    from ..hop import Hop
    from ..planning import Route


def routes(
    source: Annotated[str | None, typer.Option("--from", help="Format to begin at.")] = None,
    target: Annotated[str | None, typer.Option("--to", help="Format to end at.")] = None,
    svg: Annotated[Path | None, typer.Option(help="File to draw the converter graph in.")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show the converter graph, or the routes between formats with the best one first."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..hop import HOPS
        from ..report.graph import graph_svg, graph_text, probed

        edges = probed(HOPS)
        listed = _listed(source, target) if source or target else None
        if svg is not None:
            _write(svg, graph_svg(edges))
        if not quiet and not json:
            text = graph_text(edges) if listed is None else "\n".join(_lines(listed))
            terminal.out.print(text, markup=False, soft_wrap=True)
            if svg is not None:
                terminal.out.print(f"\npicture: {svg}", markup=False, soft_wrap=True)
        document: dict[str, Any] = {
            "hops": [_hop_json(edge.hop, edge.availability) for edge in edges]
        }
        if listed is not None:
            document["routes"] = [_route_json(each) for each in listed]
        terminal.emit(document)


@dataclass(frozen=True, kw_only=True)
class ListedRoute:
    """A route, and what keeps it or its refinements from running here.

    Attributes:
        route: The route.
        missing: Hop → why it cannot run here, for the hops that the route cannot do without.
        without: The same for refinements, which it can.
    """

    route: Route
    missing: dict[str, Availability]
    without: dict[str, Availability]


def _listed(source: str | None, target: str | None) -> list[ListedRoute]:
    """Return the routes in the planner's order, those that cannot run here after the others.

    Raises:
        UsageError: There is no such format, or no route at all.
    """
    from ..errors import UsageError
    from ..formats import FORMATS, format_named

    begins = [format_named(source)] if source else list(FORMATS.values())
    ends = [format_named(target)] if target else list(FORMATS.values())
    listed = [
        route for begin in begins for end in ends if begin != end for route in _between(begin, end)
    ]
    if not listed:
        between = (f" from {source}" if source else "") + (f" to {target}" if target else "")
        raise UsageError(
            f"there is no route{between}", hint="driftbridge routes shows all hops that there are"
        )
    return listed


def _between(begin: Format, end: Format) -> Iterator[ListedRoute]:
    from ..hop import HOPS
    from ..planning import routes as planned

    probes = {hop.name: hop.probe() for hop in HOPS}
    refinements = [hop for hop in HOPS if hop.refines and not probes[hop.name].available]
    usable = [hop for hop in HOPS if not hop.refines or probes[hop.name].available]
    every = planned(begin, end, hops=usable)
    best = planned(begin, end)
    for route in (*best, *(each for each in every if each not in best)):
        arrived = {hop.target for hop in route.hops}
        yield ListedRoute(
            route=route,
            missing={
                hop.name: probes[hop.name] for hop in route.hops if not probes[hop.name].available
            },
            without={hop.name: probes[hop.name] for hop in refinements if hop.source in arrived},
        )


def _lines(listed: Sequence[ListedRoute]) -> Iterator[str]:
    pair: tuple[Format, Format] | None = None
    number = 0
    for each in listed:
        route = each.route
        if pair != (route.source, route.target):
            if pair is not None:
                yield ""
            pair, number = (route.source, route.target), 0
            yield f"{route.source} to {route.target}, best first"
        number += 1
        yield f"{number:3}. {route.name}: loss {route.loss}, about {route.cost:g} s"
        yield f"     {route}"
        for name, availability in each.missing.items():
            yield f"     NOT AVAILABLE, {name}: {availability.reason}"
            if availability.mend:
                yield f"       to have it: {availability.mend}"
        for name, availability in each.without.items():
            yield f"     without {name}: {availability.reason}"


def _write(path: Path, text: str) -> None:
    """Write a file aside and rename it into place; ``StorageError`` if the system refuses."""
    from ..errors import StorageError

    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # it may not be there, and the first error is the cause
            aside.unlink()
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def _hop_json(hop: Hop, availability: Availability) -> dict[str, Any]:
    return {
        "name": hop.name,
        "title": hop.title,
        "from": hop.source.name,
        "to": hop.target.name,
        "place": hop.place,
        "loss": hop.loss,
        "cost": hop.cost,
        "options": list(hop.options),
        "available": availability.available,
        "reason": availability.reason,
        "mend": availability.mend,
    }


def _route_json(listed: ListedRoute) -> dict[str, Any]:
    route = listed.route
    return {
        "name": route.name,
        "from": route.source.name,
        "to": route.target.name,
        "hops": [hop.name for hop in route.hops],
        "loss": route.loss,
        "cost": route.cost,
        "available": not listed.missing,
        "missing": {name: each.reason for name, each in listed.missing.items()},
        "without": {name: each.reason for name, each in listed.without.items()},
    }
