"""Minimum cut of a small network (Dinic's algorithm, 1970)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from itertools import pairwise

Capacities = Mapping[tuple[Hashable, Hashable], int]


def minimum_cut(capacities: Capacities, source: Hashable, sink: Hashable) -> set[Hashable]:
    """Return the nodes on the source's side of a minimum cut.

    Args:
        capacities: Directed edge → capacity, not negative.
        source: Where the flow starts.
        sink: Where it ends.
    """
    residual: dict[Hashable, dict[Hashable, int]] = {source: {}, sink: {}}
    for (start, end), capacity in capacities.items():
        forward = residual.setdefault(start, {})
        forward[end] = forward.get(end, 0) + capacity
        residual.setdefault(end, {}).setdefault(start, 0)
    while True:
        levels = _levels(residual, source)
        if sink not in levels:
            return set(levels)
        remaining = {node: list(ends) for node, ends in residual.items()}
        while _push(residual, levels, remaining, source, sink):
            pass


def _levels(residual: dict[Hashable, dict[Hashable, int]], source: Hashable) -> dict[Hashable, int]:
    levels = {source: 0}
    waiting = deque([source])
    while waiting:
        node = waiting.popleft()
        for end, capacity in residual[node].items():
            if capacity > 0 and end not in levels:
                levels[end] = levels[node] + 1
                waiting.append(end)
    return levels


def _push(
    residual: dict[Hashable, dict[Hashable, int]],
    levels: dict[Hashable, int],
    remaining: dict[Hashable, list[Hashable]],
    source: Hashable,
    sink: Hashable,
) -> int:
    """Send flow along one path of rising levels; return how much."""
    path = [source]
    while path[-1] != sink:
        node = path[-1]
        while remaining[node]:
            end = remaining[node][-1]
            if residual[node][end] > 0 and levels.get(end, -1) == levels[node] + 1:
                path.append(end)
                break
            remaining[node].pop()
        else:
            path.pop()
            if not path:
                return 0
            remaining[path[-1]].pop()
    edges = list(pairwise(path))
    amount = min(residual[start][end] for start, end in edges)
    for start, end in edges:
        residual[start][end] -= amount
        residual[end][start] += amount
    return amount
