"""The converter graph as text and as an SVG picture.

The picture is drawn in layers from left to right (Sugiyama, Tagawa and Toda, 1981): formats stand
in the even columns, and every hop is a box of its own in an odd one, so that no label can lie on
another. A hop that passes formats on its way keeps a lane free in their columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from ..availability import Availability
from ..formats import FORMATS, Format
from ..hop import Hop
from ..worker import IN_PROCESS, WORKER

_TITLE_CHARACTERS = 22
_NAME_WIDTH, _SMALL_WIDTH = 8.3, 6.2  # mean advance of a character in a wide font, in pixels
_LINE, _PADDING = 15, 10
_HOP_HEIGHT, _LANE_HEIGHT = 40, 8
_GAP_X, _GAP_Y = 44, 18
_MARGIN, _LEAST_WIDTH = 24, 480
_ARROW, _SWEEPS = 7, 8
_LEGEND = (
    "solid: can run here; dashed: cannot, for the reason that its tooltip tells",
    "loss: how much a hop may lose, 0 for nothing; s: typical seconds for a small model",
)

_STYLE = """
text { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1b1f24 }
.name { font-size: 13px; font-weight: 600 }
.small { font-size: 11px; fill: #57606a }
.paper { fill: #ffffff }
.format rect { fill: #e3eefb; stroke: #2f6db5; stroke-width: 1.5 }
.hop rect { fill: #ffffff; stroke: #6e7781; stroke-width: 1.2 }
.hop path { fill: none; stroke: #6e7781; stroke-width: 1.4 }
.hop polygon { fill: #6e7781 }
.off rect, .off path { stroke: #9a4a00; stroke-dasharray: 5 4 }
.off polygon, .off .small { fill: #9a4a00 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #a5afba }
  .paper { fill: #0d1117 }
  .format rect { fill: #132a46; stroke: #58a6ff }
  .hop rect { fill: #161b22; stroke: #8b949e }
  .hop path { stroke: #8b949e }
  .hop polygon { fill: #8b949e }
  .off rect, .off path { stroke: #e0a040 }
  .off polygon, .off .small { fill: #e0a040 }
}
"""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A hop, and whether it can run here."""

    hop: Hop
    availability: Availability


def probed(hops: Iterable[Hop]) -> list[Edge]:
    """Return the edges of the converter graph as they are on this machine."""
    return [Edge(hop=hop, availability=hop.probe()) for hop in hops]


def graph_text(edges: Sequence[Edge]) -> str:
    """Return the graph as text: each format with the hops that read it, and why one cannot run."""
    ranks = _ranks(edges)
    lines: list[str] = []
    for format_ in sorted(ranks, key=lambda each: (ranks[each], _place(each))):
        outgoing = [edge for edge in edges if edge.hop.source == format_]
        lines.append(f"{format_} ({_title(format_)})" + ("" if outgoing else ": no hop reads it"))
        for edge in outgoing:
            last = edge is outgoing[-1]
            head, *rest = _edge_lines(edge)
            lines.append(("└─ " if last else "├─ ") + head)
            lines += [("     " if last else "│    ") + line for line in rest]
        lines.append("")
    unwritten = [each.name for each in FORMATS.values() if each not in ranks]
    if unwritten:
        lines.append(f"no hop reads or writes: {', '.join(unwritten)}")
    return "\n".join(lines).rstrip()


def graph_svg(edges: Sequence[Edge]) -> str:
    """Return the graph as an SVG document that needs nothing else, for light and dark pages.

    A hop that cannot run here is dashed; the reason is its ``<title>``, which viewers show as a
    tooltip.
    """
    layout = _lay_out(edges)
    width, height = max(layout.width, _LEAST_WIDTH), layout.height + _LINE * (1 + len(_LEGEND))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}" role="img" '
            'style="max-width: 100%; height: auto">',
            "<title>The converter graph of driftbridge</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>',
            *(_hop_group(layout, edge) for edge in edges),
            *(_format_box(box) for box in layout.boxes if box.format is not None),
            *(
                _text(_MARGIN, layout.height + row * _LINE, "small", line)
                for row, line in enumerate(_LEGEND, 1)
            ),
            "</svg>\n",
        ]
    )


@dataclass(kw_only=True, eq=False)
class _Box:
    """Something that takes room in a column: a format, a hop, or the lane of a passing hop."""

    column: int
    height: float
    width: float = 0.0
    format: Format | None = None
    refinements: tuple[Edge, ...] = ()
    left: float = 0.0
    y: float = 0.0  # of the middle
    before: list[_Box] = field(default_factory=list)
    after: list[_Box] = field(default_factory=list)

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def centre(self) -> float:
        return self.left + self.width / 2

    @property
    def body(self) -> float:
        """Height of a format's own box, without the refinements below it."""
        return self.height - len(self.refinements) * (_HOP_HEIGHT + _GAP_Y)

    @property
    def middle(self) -> float:
        """Where lines arrive: the middle of the body."""
        return self.y - (self.height - self.body) / 2


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Boxes with their places, and for each hop the boxes that its line goes through."""

    boxes: Sequence[_Box]
    chains: Mapping[str, Sequence[_Box]]
    width: float
    height: float


def _ranks(edges: Sequence[Edge]) -> dict[Format, int]:
    """Return the longest way to each format; hops that close a circle do not count."""
    hops = [edge.hop for edge in edges if not edge.hop.refines]
    forward: list[Hop] = []
    entered: dict[Format, bool] = {}  # whether the search is still below it

    def visit(format_: Format) -> None:
        entered[format_] = True
        for hop in hops:
            if hop.source == format_ and not entered.get(hop.target):
                forward.append(hop)
                if hop.target not in entered:
                    visit(hop.target)
        entered[format_] = False

    known = {f for edge in edges for f in (edge.hop.source, edge.hop.target)}
    targets = {hop.target for hop in hops}
    for format_ in sorted(known, key=lambda each: (each in targets, _place(each))):
        if format_ not in entered:
            visit(format_)
    ranks = dict.fromkeys(sorted(known, key=_place), 0)
    for _ in ranks:
        for hop in forward:
            ranks[hop.target] = max(ranks[hop.target], ranks[hop.source] + 1)
    return ranks


def _lay_out(edges: Sequence[Edge]) -> _Layout:
    ranks = _ranks(edges)
    boxes = {format_: _format_of(format_, ranks[format_], edges) for format_ in ranks}
    chains: dict[str, list[_Box]] = {}
    for edge in edges:
        if edge.hop.refines:
            continue
        low, high = sorted((edge.hop.source, edge.hop.target), key=lambda each: ranks[each])
        first = 2 * ranks[low] + 1
        passed = [
            _Box(column=column, height=_HOP_HEIGHT if column == first else _LANE_HEIGHT)
            for column in range(first, 2 * ranks[high])
        ]
        passed[0].width = _hop_width(edge)
        chains[edge.hop.name] = [boxes[low], *passed, boxes[high]]
    for chain in chains.values():
        for left, right in pairwise(chain):
            left.after.append(right)
            right.before.append(left)
    every = [*boxes.values(), *(box for chain in chains.values() for box in chain[1:-1])]
    columns = [
        [box for box in every if box.column == column]
        for column in range(1 + max((box.column for box in every), default=-1))
    ]
    _order(columns)
    width = _set_columns(columns)
    height = _set_heights(columns)
    return _Layout(boxes=every, chains=chains, width=width, height=height)


def _format_of(format_: Format, rank: int, edges: Sequence[Edge]) -> _Box:
    refinements = tuple(e for e in edges if e.hop.refines and e.hop.source == format_)
    lines = textwrap.wrap(_title(format_), _TITLE_CHARACTERS)
    widths = [len(format_.name) * _NAME_WIDTH, *(len(line) * _SMALL_WIDTH for line in lines)]
    return _Box(
        column=2 * rank,
        format=format_,
        refinements=refinements,
        width=max((max(widths) + 2 * _PADDING, *map(_hop_width, refinements))),
        height=(1 + len(lines)) * _LINE + 2 * _PADDING + len(refinements) * (_HOP_HEIGHT + _GAP_Y),
    )


def _order(columns: Sequence[list[_Box]]) -> None:
    """Sort each column by the mean place of its neighbours, from both sides in turn."""
    places = {box: index for column in columns for index, box in enumerate(column)}

    def mean(box: _Box, neighbours: Sequence[_Box]) -> float:
        near = [places[each] for each in neighbours] or [places[box]]
        return sum(near) / len(near)

    for sweep in range(_SWEEPS):
        rightward = sweep % 2 == 0
        for column in columns if rightward else reversed(columns):
            means = {box: mean(box, box.before if rightward else box.after) for box in column}
            column.sort(key=means.__getitem__)
            places.update({box: index for index, box in enumerate(column)})


def _set_columns(columns: Sequence[Sequence[_Box]]) -> float:
    """Set the horizontal places; all boxes of a column are as wide as its widest."""
    x: float = _MARGIN
    for column in columns:
        widest = max(box.width for box in column)
        for box in column:
            box.left, box.width = x, widest
        x += widest + _GAP_X
    return x - _GAP_X + _MARGIN


def _set_heights(columns: Sequence[Sequence[_Box]]) -> float:
    """Pull each box to the middle of its neighbours, with the order and the gaps kept."""
    for _ in range(_SWEEPS):
        for column in (*columns, *reversed(columns)):
            wanted = [_mean_middle(box) for box in column]
            down, up = list(wanted), list(wanted)
            apart = [
                (upper.height + lower.height) / 2 + _GAP_Y for upper, lower in pairwise(column)
            ]
            for index, gap in enumerate(apart):
                down[index + 1] = max(down[index + 1], down[index] + gap)
            for index, gap in reversed(list(enumerate(apart))):
                up[index] = min(up[index], up[index + 1] - gap)
            for box, low, high in zip(column, down, up, strict=True):
                box.y = (low + high) / 2  # a mean of two orders that keep the gaps keeps them too
    every = [box for column in columns for box in column]
    top = min((box.y - box.height / 2 for box in every), default=0.0)
    for box in every:
        box.y += _MARGIN - top
    return max((box.y + box.height / 2 for box in every), default=0.0)


def _mean_middle(box: _Box) -> float:
    lane = box.height == _LANE_HEIGHT  # a lane goes straight on
    near = box.before if lane else [*box.before, *box.after]
    middle = sum(each.middle for each in near) / len(near) if near else box.middle
    return middle + (box.height - box.body) / 2


def _port(box: _Box, neighbour: _Box) -> float:
    """Height at which a line meets a box, so that lines to the same box do not meet each other."""
    side = box.after if neighbour in box.after else box.before
    ordered = sorted(side, key=lambda each: each.middle)
    step = min(12.0, box.body / (len(ordered) + 1))
    return box.middle + (ordered.index(neighbour) - (len(ordered) - 1) / 2) * step


def _format_box(box: _Box) -> str:
    assert box.format is not None
    top = box.middle - box.body / 2
    first = top + _PADDING + 11
    lines = textwrap.wrap(_title(box.format), _TITLE_CHARACTERS)
    parts = [
        _rect(box.left, top, box.width, box.body, 4),
        _text(box.centre, first, "name", box.format.name, centred=True),
        *(
            _text(box.centre, first + row * _LINE, "small", line, centred=True)
            for row, line in enumerate(lines, 1)
        ),
    ]
    return f'<g class="format">{"".join(parts)}</g>'


def _hop_group(layout: _Layout, edge: Edge) -> str:
    drawn = _refinement(layout, edge) if edge.hop.refines else _passage(layout, edge)
    kind = "hop" if edge.availability.available else "hop off"
    tooltip = escape("\n".join(_edge_lines(edge)))
    return f'<g class="{kind}"><title>{tooltip}</title>{"".join(drawn)}</g>'


def _passage(layout: _Layout, edge: Edge) -> Iterator[str]:
    """The line of a hop through its lanes, the arrow at its target, and its box."""
    chain = layout.chains[edge.hop.name]
    for left, right in pairwise(chain):
        x, y, to_x, to_y = left.right, _port(left, right), right.left, _port(right, left)
        if right is chain[-1] and edge.hop.target == right.format:
            to_x -= _ARROW
            yield _arrow(to_x, to_y, _ARROW)
        if left is chain[0] and edge.hop.target == left.format:
            x += _ARROW
            yield _arrow(x, y, -_ARROW)
        bend = (x + to_x) / 2
        lane = f"M{left.left:.1f} {y:.1f}H{x:.1f}" if left in chain[2:] else f"M{x:.1f} {y:.1f}"
        yield f'<path d="{lane}C{bend:.1f} {y:.1f} {bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"/>'
    yield from _hop_box(edge, chain[1].left, chain[1].y, chain[1].width)


def _refinement(layout: _Layout, edge: Edge) -> Iterator[str]:
    """A hop within a format hangs below it, with a line down and an arrow back up."""
    box = next(each for each in layout.boxes if each.format == edge.hop.source)
    index = [each.hop.name for each in box.refinements].index(edge.hop.name)
    top = box.middle + box.body / 2 + index * (_HOP_HEIGHT + _GAP_Y)
    down, up, tip = box.centre - 12, box.centre + 12, top + _ARROW
    yield f'<path d="M{down:.1f} {top:.1f}v{_GAP_Y}M{up:.1f} {top + _GAP_Y:.1f}V{tip:.1f}"/>'
    yield f'<polygon points="{up:.1f},{top:.1f} {up - 4:.1f},{tip:.1f} {up + 4:.1f},{tip:.1f}"/>'
    yield from _hop_box(edge, box.left, top + _GAP_Y + _HOP_HEIGHT / 2, box.width)


def _hop_box(edge: Edge, left: float, y: float, width: float) -> Iterator[str]:
    centre = left + width / 2
    yield _rect(left, y - _HOP_HEIGHT / 2, width, _HOP_HEIGHT, _HOP_HEIGHT / 2)
    yield _text(centre, y - 3, "name", edge.hop.name, centred=True)
    yield _text(centre, y + 12, "small", _small(edge), centred=True)


def _arrow(x: float, y: float, length: float) -> str:
    return f'<polygon points="{x:.1f},{y - 4:.1f} {x + length:.1f},{y:.1f} {x:.1f},{y + 4:.1f}"/>'


def _rect(left: float, top: float, width: float, height: float, radius: float) -> str:
    place = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} rx="{radius:.0f}"/>'


def _text(x: float, y: float, kind: str, text: str, *, centred: bool = False) -> str:
    anchor = ' text-anchor="middle"' if centred else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}"{anchor}>{escape(text)}</text>'


def _small(edge: Edge) -> str:
    if not edge.availability.available:
        return "not available here"
    return f"{edge.hop.place} · loss {edge.hop.loss} · {edge.hop.cost:g} s"


def _hop_width(edge: Edge) -> float:
    widths = (len(edge.hop.name) * _NAME_WIDTH, len(_small(edge)) * _SMALL_WIDTH)
    return max(widths) + 2 * _PADDING


def _edge_lines(edge: Edge) -> list[str]:
    """What there is to say about a hop: what it does, what it takes, why not, what to do."""
    hop, availability = edge.hop, edge.availability
    where = "refines" if hop.refines else f"→ {hop.target}"
    state = "available" if availability.available else "NOT AVAILABLE"
    reason = f": {availability.reason}" if availability.reason else ""
    kind = "" if hop.place.partition(":")[0] in (IN_PROCESS, WORKER) else "toolchain "
    lines = [
        f"{hop.name} {where}: {hop.title}",
        f"{kind}{hop.place}, loss {hop.loss}, about {hop.cost:g} s; {state}{reason}",
    ]
    return [*lines, f"to have it: {availability.mend}"] if availability.mend else lines


def _title(format_: Format) -> str:
    return f"{format_.title}, {format_.suffix}" if format_.suffix else format_.title


def _place(format_: Format) -> tuple[int, str]:
    """Order of formats: that of their definition."""
    return list(FORMATS).index(format_.name) if format_.name in FORMATS else 99, format_.name
