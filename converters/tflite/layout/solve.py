"""Chooses a label for every operator so that the transposes left cost least.

The labels are improved by fusion moves (Lempitsky et al., 2010): a *proposal* gives some operators
another label, and a minimum cut tells which of them should take it. The first proposal is the
channels-last order of every operator that is bound to it, carried as far as it goes; the others
come from the transposes that are left, carried forwards or backwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from .flow import minimum_cut
from .network import Edge, Network, Node
from .rules import Label, Rule

Proposal = Mapping[Node, Label]

_REGION = 60  # operators that a proposal from a single transpose may change
_ROUNDS = 3


def solve(network: Network) -> None:
    """Set the label of every node."""
    bound = [node for node in network.nodes if _is_bound(node)]
    computing = [node for node in bound if node.rule is not None]
    _fuse(network, _carried({node: node.label for node in computing}, len(network.nodes)))
    if network.cost():
        everything = {node: node.label for node in bound}
        _fuse(network, _carried(everything, len(network.nodes)))
    for _ in range(_ROUNDS):
        before = network.cost()
        if not before:
            return
        for edge in network.edges:
            if edge.cost(edge.source.label, edge.reader.label):
                for proposal in _proposals(edge):
                    _fuse(network, proposal)
        if network.cost() == before:
            return


def _is_bound(node: Node) -> bool:
    return node.rule is None or type(node.rule) is Rule


def _proposals(edge: Edge) -> Iterable[Proposal]:
    """Move one transpose forwards through its reader, or backwards through its source."""
    forwards = edge.label_for_reader(edge.source.label)
    if forwards is not None and forwards != edge.reader.label:
        yield _carried({edge.reader: forwards}, _REGION, besides={edge.source})
    backwards = edge.label_for_source(edge.reader.label)
    if backwards is not None and backwards != edge.source.label:
        yield _carried({edge.source: backwards}, _REGION, besides={edge.reader})


def _carried(seeds: Proposal, limit: int, besides: Iterable[Node] = ()) -> Proposal:
    """Carry labels from some nodes to their neighbours, breadth first.

    Args:
        seeds: Where to begin.
        limit: Largest number of nodes beside the seeds.
        besides: Nodes that keep their label.
    """
    labels = dict(seeds)
    kept = set(besides)
    waiting = deque(labels)
    limit += len(labels)
    while waiting and len(labels) < limit:
        node = waiting.popleft()
        for edge in node.edges:
            if edge.source is node:
                other, label = edge.reader, edge.label_for_reader(labels[node])
            else:
                other, label = edge.source, edge.label_for_source(labels[node])
            if label is not None and other not in labels and other not in kept:
                labels[other] = label
                waiting.append(other)
    return labels


def _fuse(network: Network, proposal: Proposal) -> None:
    """Give those nodes the proposed label for which that costs least in all."""
    changed = {node: label for node, label in proposal.items() if label != node.label}
    if not changed:
        return
    edges = dict.fromkeys(edge for node in changed for edge in node.edges)
    before = sum(edge.cost(edge.source.label, edge.reader.label) for edge in edges)
    if not before:
        return
    taking = _cut(changed, edges)
    old = {node: node.label for node in taking}
    for node in taking:
        node.label = changed[node]
    if sum(edge.cost(edge.source.label, edge.reader.label) for edge in edges) >= before:
        for node, label in old.items():
            node.label = label


def _cut(changed: Proposal, edges: Iterable[Edge]) -> list[Node]:
    """The nodes that take their new label in the cheapest mixture of old and new ones."""
    capacities: dict[tuple[object, object], int] = {}

    def add(start: object, end: object, cost: int) -> None:
        if cost > 0:
            capacities[start, end] = capacities.get((start, end), 0) + cost
        elif cost < 0:  # the opposite choice pays instead: a constant apart, the same
            raise AssertionError

    def choice(node: Node, keeping: int, taking: int) -> None:
        """Costs of a node's two sides; those on the source's side keep their label."""
        least = min(keeping, taking)
        add("keep", node, taking - least)
        add(node, "take", keeping - least)

    for edge in edges:
        source, reader = edge.source, edge.reader
        old = (source.label, reader.label)
        new = (changed.get(source, source.label), changed.get(reader, reader.label))
        if source in changed and reader in changed and source is not reader:
            keep_keep, keep_take = edge.cost(old[0], old[1]), edge.cost(old[0], new[1])
            take_keep, take_take = edge.cost(new[0], old[1]), edge.cost(new[0], new[1])
            choice(source, 0 + keep_keep, take_keep)
            choice(reader, 0 + take_keep, take_take)
            # (1 - x) y; not negative where labels answer one another one to one
            add(source, reader, max(0, keep_take + take_keep - keep_keep - take_take))
        elif source in changed:
            choice(source, edge.cost(old[0], old[1]), edge.cost(new[0], old[1]))
        else:
            choice(reader, edge.cost(old[0], old[1]), edge.cost(old[0], new[1]))
    keeping = minimum_cut(capacities, "keep", "take")
    return [node for node in changed if node not in keeping]
