"""Pairs of layers and tensors, found by running the source on the artifact's own values.

The source runs node by node in float64. As soon as a layer is paired, its value is replaced by what
the artifact's tensor holds, so that every layer is looked for with the artifact's own inputs of it:
a defect upstream hides nothing, and what a layer makes of its inputs must be found, up to rounding,
in a tensor that the artifact computes from the very same ones. Where it is not, the layer is fused
with those after it, or it is defective: see missing.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...layers import Layer, Spine
from ..taps.exported import NodeRunner
from .graph import INTEGERS, Graph
from .layouts import Array, Layout
from .missing import Missing
from .operators import ACTIVATIONS, BIJECTIVE, COMPUTE, FOLDABLE, MOVEMENT, kind_of
from .pairs import Evidence, Pair, array_of, likeness, restored
from .probes import Probes, difference
from .search import Search

if TYPE_CHECKING:
    import torch

_PASSING = ACTIVATIONS | FOLDABLE | MOVEMENT  # what leaves the order of axes as it comes


class Matcher:
    """Pairs layers with tensors while the source runs; a visitor of ``NodeRunner``.

    Args:
        spine: The source's layers.
        runner: What runs the source.
        graph: The artifact.
        probes: Its tensors' values, for the input that the source runs on.
        inputs: Name of the source's input → key of the artifact's.

    Attributes:
        pairs: Layer → its tensor, in the order in which they were found.
        same: Layer → tensor that holds its result and stands for another layer already.
        reordered: Layer → tensor that holds its elements in an order that no axes explain.
    """

    def __init__(
        self,
        spine: Spine,
        runner: NodeRunner,
        graph: Graph,
        probes: Probes,
        inputs: Mapping[str, str],
    ) -> None:
        self.runner = runner
        self.graph = graph
        self.probes = probes
        self.search = Search(graph, probes)
        self.layers = {layer.id: layer for layer in spine.layers}
        self.kinds = {layer.id: kind_of(layer.op) for layer in spine.layers}
        self.nodes: dict[str, torch.fx.Node] = {}
        self.pairs: dict[str, Pair] = {}
        self.same: dict[str, str] = {}
        self.reordered: dict[str, str] = {}
        self._given = {name: graph.copies(key) for name, key in inputs.items()}
        self._support: dict[str, frozenset[str]] = {name: frozenset([name]) for name in inputs}
        self._equal: dict[str, set[str]] = {}
        self._claimed: dict[str, str] = {}
        self._missing = Missing(self)

    def before(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Nothing is to be done before a node."""

    def after(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Look for a layer's tensor, and let the source go on with what it holds."""
        layer = self.layers.get(node.name)
        if layer is None:
            return
        self.nodes[layer.id] = node
        self._support[layer.id] = self.support_of(layer)
        if not self._support[layer.id] or self.kinds[layer.id] == "identity":
            return
        value = array_of(values[node])
        if value is None or not value.size:
            return
        pair = self._missing.expected(layer, value) or self.found(layer, value)
        if pair is None and self.kinds[layer.id] in COMPUTE and layer.id not in self.same:
            pair = self._missing.resolve(layer, node, values)
        if pair is not None and not self._missing.is_of_later(node, pair, values):
            is_view = self.runner.writes and self.kinds[layer.id] in MOVEMENT
            pair = replace(pair, replaces=not is_view)
            self._accept(layer, pair)
            if pair.replaces:
                values[node] = restored(self.probes, pair, values[node])

    def support_of(self, layer: Layer) -> frozenset[str]:
        """Return the nearest layers and inputs with a tensor that a layer is computed from."""
        none: frozenset[str] = frozenset()
        return none.union(*(self._support.get(name, none) for name in layer.inputs))

    def is_live(self, name: str) -> bool:
        """Whether a layer that ran depends on the model's inputs."""
        return bool(self._support.get(name))

    def is_claimed(self, key: str) -> bool:
        """Whether a tensor stands for a layer."""
        return key in self._claimed

    def given_of(self, layer: Layer) -> set[str]:
        """Return the tensors that hold what a layer is computed from."""
        return set().union(*(self._given[name] for name in self.support_of(layer)))

    def tensors_of(self, name: str) -> set[str]:
        """Return the tensors that hold a layer or input, or what it was computed from."""
        return set().union(*(self._given[each] for each in self._support.get(name, ())))

    def likely(self, layer: Layer) -> list[Layout]:
        """Return the layouts in which a layer's inputs are stored."""
        return [self.pairs[name].layout for name in self.support_of(layer) if name in self.pairs]

    def found(self, layer: Layer, value: Array) -> Pair | None:
        """Return the tensor that holds a layer's value and stands for no other."""
        given = self.given_of(layer)
        inside, outside = self.search.agreeing(layer, value, given, self.likely(layer))
        inside = inside or [each for each in outside if self._made_of_equals(layer, each.key)]
        if inside:
            return self._chosen(layer, inside, given)
        free = [each for each in outside if each.key not in self._claimed]
        telling = len(np.unique(value)) > min(16, value.size // 2)
        if len(free) == 1 and len(outside) == 1 and telling:
            return replace(free[0], evidence=Evidence.ALONE)
        return None

    def _made_of_equals(self, layer: Layer, key: str) -> bool:
        """Whether a tensor is computed from such as hold the values of a layer's inputs as well.

        A product with ones, say, is one tensor more that holds what a layer makes.
        """
        equal = self.given_of(layer).union(
            *(self._equal.get(name, ()) for name in self.support_of(layer))
        )
        return self.graph.region(key, equal - {key}) is not None

    def _chosen(
        self, layer: Layer, agreeing: Sequence[Pair], given: Collection[str]
    ) -> Pair | None:
        """Of tensors that all hold a layer's value, the one that stands for it."""
        kind = self.kinds[layer.id]
        # a fused activation that changes nothing here has the tensor all the same
        own = [
            each for each in agreeing if each.key not in given or self._hands_on(layer, each.key)
        ]
        if kind in MOVEMENT:
            own = [each for each in agreeing if each.key not in self._claimed]
            if kind in BIJECTIVE:  # a tensor of its own, in the very shape that the layer makes
                own = [each for each in own if each.layout == Layout() and self._moves(each.key)]
        if not own:
            self.same[layer.id] = agreeing[0].key
            return None
        least = min(each.error for each in own)
        alike = max(self.graph.tolerance.alike * least, 1e-6)
        near = [each for each in own if each.error <= alike]

        def rank(pair: Pair) -> tuple[int, bool, int, int]:
            region = self.graph.region(pair.key, given) or set()
            alike = likeness(kind, self.graph.producer.get(pair.key))
            place = self.graph.position(pair.key)
            return -alike, self._taken(kind, pair.key), len(region), place

        best = self._with_bias(layer, min(near, key=rank), near)
        if self._taken(kind, best.key):
            self.same[layer.id] = best.key
            return None
        self._equal[layer.id] = set().union(*(self.graph.copies(each.key) for each in near))
        return best

    def _with_bias(self, layer: Layer, best: Pair, near: Sequence[Pair]) -> Pair:
        """The tensor behind constants that are added, where integers do not tell the two apart.

        A bias may be smaller than the steps of what it is added to; unless the source adds it in a
        layer of its own, it belongs to this one.
        """
        follower = self._missing.folded_into(self.nodes[layer.id])
        if self.graph.tolerance is not INTEGERS or follower is not None:
            return best
        by_key = {each.key: each for each in near}
        while True:
            after = [
                made
                for each in self.graph.going_on_by_constants(best.key)
                for made in each.outputs
                if made in by_key
            ]
            if len(after) != 1 or by_key[after[0]] is best:
                return best
            best = by_key[after[0]]

    def _moves(self, key: str) -> bool:
        made = self.graph.producer.get(key)
        return made is not None and made.kind in MOVEMENT

    def _taken(self, kind: str, key: str) -> bool:
        """Whether a tensor stands for another layer that is not merely fused with this one."""
        return key in self._claimed and self._fused_activation(key) != kind

    def _hands_on(self, layer: Layer, key: str) -> bool:
        """Whether a tensor that was found for what an activation reads is the activation's."""
        kind, claimant = self.kinds[layer.id], self._claimed.get(key)
        return (
            claimant in layer.inputs
            and self.kinds[claimant] != kind
            and self._fused_activation(key) == kind
        )

    def _fused_activation(self, key: str) -> str | None:
        made = self.graph.producer.get(key)
        return None if made is None else made.activation

    def _accept(self, layer: Layer, pair: Pair) -> None:
        before = self._claimed.get(pair.key)
        if before is not None:
            del self.pairs[before]
        self.pairs[layer.id] = pair
        self._claimed[pair.key] = layer.id
        self._given[layer.id] = self.graph.copies(pair.key)
        self._support[layer.id] = frozenset([layer.id])

    def lay_out_again(self, name: str, layout: Layout) -> None:
        """Give a layer another layout, and the layers before it that only passed theirs on."""
        pair = self.pairs[name]
        before = pair.layout
        self.pairs[name] = self._laid_out(name, pair.key, before, layout)
        if self.kinds[name] not in ACTIVATIONS | FOLDABLE:
            return
        for read in self.layers[name].inputs:
            its = self.pairs.get(read)
            if its is not None and self.kinds[read] in _PASSING and its.layout == before:
                if self.probes.shape(its.key) == self.probes.shape(pair.key):
                    self.lay_out_again(read, layout)
            elif read in self.same:  # what only moves data has the blame for how it moved it
                for key in self._read_by(pair.key):
                    self.pairs[read] = self._laid_out(read, key, before, layout)

    def _laid_out(self, name: str, key: str, before: Layout, after: Layout) -> Pair:
        """A layer and its tensor in another layout than the one in which its values agree."""
        stored, shape = self.probes.read(key, 0), self.layers[name].shape or ()
        error = difference(before.restore(stored, shape), after.restore(stored, shape))
        return Pair(key=key, layout=after, error=error, evidence=Evidence.ROLE, open_layout=True)

    def _read_by(self, key: str) -> list[str]:
        """The tensor of the same shape that a tensor is made of, if it stands for no layer."""
        made = self.graph.producer.get(key)
        read = [
            each
            for each in (made.inputs if made is not None else ())
            if each in self.graph.live
            and each in self.probes
            and each not in self._claimed
            and self._moves(each)
            and self.probes.shape(each) == self.probes.shape(key)
        ]
        return read if len(read) == 1 else []
