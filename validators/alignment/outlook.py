"""Looking ahead: what a value leads to in the source, and whether the artifact agrees there."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...layers import Layer
from ..taps.exported import NodeRunner
from .operators import COMPUTE, kind_of
from .pairs import array_of
from .search import Search

if TYPE_CHECKING:
    import torch

_FARTHEST = 10  # layers that are computed ahead before it is given up
# what operators raise of their own accord
_OPERATOR_ERRORS = (RuntimeError, TypeError, ValueError, IndexError)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What the source makes of some values, if it goes on with them.

    Attributes:
        runner: Runs the source's nodes.
        search: Looks in the artifact.
        layers: The source's layers by id.
        tensors_of: Tensors that hold what a layer, or input, was computed from or is.
        values: Values that there are.
        given: Node → tensors that stand for a value that is put in place of the node's own.
    """

    runner: NodeRunner
    search: Search
    layers: Mapping[str, Layer]
    tensors_of: Callable[[str], Collection[str]]
    values: Mapping[torch.fx.Node, Any]
    given: Mapping[str, Collection[str]] = field(default_factory=dict)

    def agreement(self, start: torch.fx.Node, *, computed: bool = False) -> float:
        """Return the error of the first layer after a node that agrees, or infinity.

        Args:
            start: The node.
            computed: Whether only layers count that compute something out of the node's value, or
                out of what computes something of it: moved about, any value agrees with itself.
        """
        computing: set[str] = set()
        for layer, value, given in self._following(start):
            array = array_of(value)
            if kind_of(layer.op) in COMPUTE or not computing.isdisjoint(layer.inputs):
                computing.add(layer.id)
            if array is None or not array.size or (computed and layer.id not in computing):
                continue
            inside, _ = self.search.agreeing(layer, array, given)
            errors = [each.error for each in inside if each.key not in given]
            if errors:
                return min(errors)
        return math.inf

    def _following(self, start: torch.fx.Node) -> Iterator[tuple[Layer, Any, Collection[str]]]:
        """Layers after a node that can be computed, nearest first, with what they are made of."""
        known = dict(self.values)
        made_of = dict(self.given)
        waiting = list(start.users)
        for _ in range(_FARTHEST):
            if not waiting:
                return
            node = waiting.pop(0)
            if node in known:
                continue
            try:
                known[node] = self.runner.evaluate(node, known)
            except (KeyError, *_OPERATOR_ERRORS):
                continue
            waiting += list(node.users)
            layer = self.layers.get(node.name)
            if layer is not None:
                given = set().union(
                    *(made_of.get(name) or self.tensors_of(name) for name in layer.inputs)
                )
                made_of[layer.id] = given
                yield layer, known[node], given
