"""The planner: the best routes of available hops from one format to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .errors import UnavailableError, UsageError
from .formats import Format, format_named
from .hop import HOPS, Hop


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path of hops from a source format to a target format.

    Attributes:
        source: Where it begins.
        target: Where it ends.
        hops: The hops in order, refinements included; empty if source and target are the same.
    """

    source: Format
    target: Format
    hops: tuple[Hop, ...]

    @property
    def name(self) -> str:
        """The hops' names, joined: what ``--route`` takes."""
        return "/".join(hop.name for hop in self.hops)

    @property
    def loss(self) -> int:
        """Sum of what its hops may lose."""
        return sum(hop.loss for hop in self.hops)

    @property
    def cost(self) -> float:
        """Sum of its hops' typical seconds."""
        return sum(hop.cost for hop in self.hops)

    def __str__(self) -> str:
        text = self.source.name
        for hop in self.hops:
            text += f" → {hop.name}" if hop.refines else f" → {hop.target} ({hop.name})"
        return text


def routes(
    source: Format, target: Format, *, hops: Iterable[Hop] | None = None, name: str | None = None
) -> list[Route]:
    """Return all routes of available hops, best first: least loss, then least cost.

    Args:
        source: Format to begin at.
        target: Format to end at.
        hops: The hops to use; by default all that are registered and available here.
        name: Only routes of this name, or that contain the hop of this name.
    """
    usable = list(hops) if hops is not None else available_hops()
    refinements = [hop for hop in usable if hop.refines]
    found = [
        Route(source=source, target=target, hops=tuple(_refined(source, path, refinements)))
        for path in _paths(source, target, [hop for hop in usable if not hop.refines], ())
    ]
    if name is not None:
        found = [
            route
            for route in found
            if name == route.name or name in {hop.name for hop in route.hops}
        ]
    return sorted(found, key=lambda route: (route.loss, route.cost, len(route.hops), route.name))


def plan(source: str | Format, target: str | Format, route: str | None = None) -> Route:
    """Return the best route from one format to another with what is available here.

    Args:
        source: Format (or its name) to begin at, such as ``"torch"``.
        target: Format (or its name) to end at, such as ``"tflite"``.
        route: Only consider routes of this name, or through the hop of this name.

    Raises:
        UsageError: There is no such format, or no hop of that name on any route.
        UnavailableError: No route is available here; the reasons are listed.
    """
    begin = source if isinstance(source, Format) else format_named(source)
    end = target if isinstance(target, Format) else format_named(target)
    found = routes(begin, end, name=route)
    if found:
        return found[0]
    every = routes(begin, end, hops=HOPS, name=route)
    if not every:
        through = f" through {route!r}" if route else ""
        raise UsageError(
            f"there is no route from {begin} to {end}{through}",
            hint="driftbridge routes shows all that there are",
        )
    reasons = {
        hop.name: hop.probe() for each in every for hop in each.hops if not hop.probe().available
    }
    raise UnavailableError(
        f"no route from {begin} to {end} is available here: "
        + "; ".join(f"{name}: {availability.reason}" for name, availability in reasons.items()),
        hint=next((each.mend for each in reasons.values() if each.mend), None),
    )


def available_hops() -> list[Hop]:
    """Return the registered hops that can run here."""
    return [hop for hop in HOPS if hop.probe().available]


def _paths(
    source: Format, target: Format, hops: list[Hop], seen: tuple[Format, ...]
) -> Iterator[tuple[Hop, ...]]:
    if source == target:
        yield ()
        return
    for hop in hops:
        if hop.source == source and hop.target not in (*seen, source):
            for rest in _paths(hop.target, target, hops, (*seen, source)):
                yield (hop, *rest)


def _refined(source: Format, path: tuple[Hop, ...], refinements: list[Hop]) -> Iterator[Hop]:
    """Insert the refinements of each format where the path arrives at it.

    A user's own file is not refined where it enters: it is what they want converted.
    """
    for hop in path:
        yield hop
        yield from (each for each in refinements if each.source == hop.target)
