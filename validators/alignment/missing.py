"""Layers that no tensor agrees with: fused ones, other layouts, and defects.

If the source, going on with the value that the layer should have, meets the artifact again, the
layer is computed somewhere within what follows. If it does not, an input may be in another layout
than values alone said: what reads a tensor knows the order of its axes. Else the layer is
defective, and it is the tensor that, put in its place, makes the source go on as the artifact does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...layers import Layer
from .graph import INTEGERS
from .layouts import Array, layouts
from .operators import ACTIVATIONS, BIJECTIVE, FOLDABLE, MOVEMENT
from .outlook import Outlook
from .pairs import Evidence, Pair, array_of, likeness, restored
from .probes import difference, same_elements

if TYPE_CHECKING:
    import torch

    from .matching import Matcher

_NEAR = 0.35  # relative RMS error of a defect that leaves a layer recognisable
_FARTHEST = 0.75  # and of one that is the only operator of its kind; unlike values are at 1 or more
_VERY_NEAR = 0.03  # and of one whose operator is of another kind
_CLEARER = 3.0  # the next best tensor must be that much further away
_LONGEST_CHAIN = 6
_MOST_TRIED = 6

Values = Mapping["torch.fx.Node", Any]


class Missing:
    """Deals with the layers that no tensor agrees with.

    Args:
        matcher: What is known of the others.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._expected: dict[str, Pair] = {}
        self._defects = 0

    def expected(self, layer: Layer, value: Array) -> Pair | None:
        """Return the tensor that was found for a layer when one was resolved that it is fused with.

        Args:
            layer: The layer.
            value: Its value.
        """
        pair = self._expected.get(layer.id)
        if pair is None or self._matcher.is_claimed(pair.key):
            return None
        actual = pair.layout.restore(self._matcher.probes.read(pair.key, 0), value.shape)
        error = difference(value, actual)
        evidence = (
            Evidence.VALUES if error <= self._matcher.graph.tolerance.agrees else pair.evidence
        )
        return replace(pair, error=error, evidence=evidence)

    def resolve(
        self, layer: Layer, node: torch.fx.Node, values: dict[torch.fx.Node, Any]
    ) -> Pair | None:
        """Return the tensor of a layer that none agrees with, if it has one.

        Args:
            layer: The layer.
            node: Its node.
            values: Values that there are; those of layers whose layout changes are replaced.
        """
        chain = list(self._chain(node, values))
        if self._is_reordered(layer, chain):
            return None
        agreement = self._outlook(values).agreement(node)
        tolerance = self._matcher.graph.tolerance
        if agreement <= tolerance.rounding:
            return None
        # each costs several layers; in a file of other weights, say, no role can be told
        if self._defects >= tolerance.defects:
            return None
        self._defects += 1
        if math.isinf(agreement):
            pair = self._in_another_layout(layer, node, values)
            if pair is not None:
                return pair
        tried = [
            (each, pair) for each, made in chain for pair in self._candidates(each, made, layer)
        ]
        least: dict[str, float] = {}
        for _, pair in tried:
            least[pair.key] = min(pair.error, least.get(pair.key, math.inf))
        # what is near to a fused activation is not that of what the activation reads
        tried = [each for each in tried if each[1].error <= 2 * least[each[1].key]]
        tried.sort(key=lambda each: (-self._likeness(*each), each[1].error))
        for each, pair in tried[:_MOST_TRIED]:
            proven = self._with_role(each, pair, values, agreement / tolerance.closer)
            if proven is not None:
                return self._of(layer, each, proven)
        return self._only_one(layer, tried) if math.isinf(agreement) else None

    def is_of_later(self, node: torch.fx.Node, pair: Pair, values: Values) -> bool:
        """Whether a tensor is nearer to a layer that is folded into the one it was found for.

        A norm that changes next to nothing may be folded into the convolution before it; the tensor
        is then the norm's. Integers do not tell the two apart: there it is the norm's unless the
        artifact goes on with what may be a norm.
        """
        follower = self.folded_into(node)
        if follower is None:
            return False
        try:
            value = array_of(self._matcher.runner.evaluate(follower, values))
        except KeyError:  # it reads a layer that has not run yet
            return False
        shape = self._matcher.layers[node.name].shape
        if value is None or value.shape != shape:
            return False
        actual = pair.layout.restore(self._matcher.probes.read(pair.key, 0), value.shape)
        error = difference(value, actual)
        folded = (
            self._matcher.graph.tolerance is INTEGERS
            and self._matcher.kinds[follower.name] == "batch_norm"
            and error <= self._matcher.graph.tolerance.agrees
            and not self._matcher.graph.going_on_by_constants(pair.key)
        )
        if not (error < pair.error / 2 or folded):
            return False
        self._expected[follower.name] = pair
        return True

    def folded_into(self, node: torch.fx.Node) -> torch.fx.Node | None:
        """Return the layer with constants alone that may be folded into a node, if there is one."""
        follower = self._follower(node)
        if follower is None or self._matcher.kinds[follower.name] not in FOLDABLE - {"identity"}:
            return None
        return follower

    def _outlook(
        self,
        values: Values,
        others: Values | None = None,
        given: Mapping[str, set[str]] | None = None,
    ) -> Outlook:
        matcher = self._matcher
        return Outlook(
            runner=matcher.runner,
            search=matcher.search,
            layers=matcher.layers,
            tensors_of=matcher.tensors_of,
            values={**values, **(others or {})},
            given=given or {},
        )

    def _of(self, layer: Layer, node: torch.fx.Node, pair: Pair) -> Pair | None:
        """A pair, if it is the layer's own; that of a later one is kept until it runs."""
        if node.name == layer.id:
            return pair
        self._expected[node.name] = pair
        return None

    def _chain(self, node: torch.fx.Node, values: Values) -> Iterator[tuple[torch.fx.Node, Any]]:
        """A node and those that may be fused with it, each with its value."""
        known: dict[torch.fx.Node, Any] = dict(values)
        current: torch.fx.Node | None = node
        for _ in range(_LONGEST_CHAIN):
            if current is None:
                return
            if current not in known:
                try:
                    known[current] = self._matcher.runner.evaluate(current, known)
                except KeyError:
                    return
            yield current, known[current]
            current = self._follower(current)

    def _follower(self, node: torch.fx.Node) -> torch.fx.Node | None:
        """The one reader of a node, if an artifact may fuse it with the node."""
        matcher, readers = self._matcher, list(node.users)
        if len(readers) != 1 or readers[0].name not in matcher.layers:
            return None
        reader = readers[0]
        if matcher.kinds[reader.name] not in FOLDABLE | ACTIVATIONS | BIJECTIVE:
            return None
        others = [each for each in matcher.layers[reader.name].inputs if each != node.name]
        return None if any(matcher.is_live(each) for each in others) else reader

    def _is_reordered(self, layer: Layer, chain: Sequence[tuple[torch.fx.Node, Any]]) -> bool:
        """Whether the elements are all there, in an order that no order of axes explains.

        Channels may be in another order, say, to which the weights that read them were brought.
        """
        matcher = self._matcher
        for node, made in chain:
            value = array_of(made)
            for pair in self._candidates(node, made, layer):
                if value is not None and same_elements(value, matcher.probes.read(pair.key, 0)):
                    matcher.reordered[node.name] = pair.key
                    return True
        return False

    def _in_another_layout(
        self, layer: Layer, node: torch.fx.Node, values: dict[torch.fx.Node, Any]
    ) -> Pair | None:
        """Try the layouts of inputs that shapes leave open, until a layer agrees."""
        matcher = self._matcher
        for name in matcher.support_of(layer):
            pair = matcher.pairs.get(name)
            if pair is None or not pair.open_layout or matcher.nodes[name] not in values:
                continue
            like = values[matcher.nodes[name]]
            for layout in layouts(tuple(like.shape), matcher.probes.shape(pair.key)):
                if layout == pair.layout:
                    continue
                others = {
                    matcher.nodes[name]: restored(
                        matcher.probes, replace(pair, layout=layout), like
                    )
                }
                others |= self._between(name, layer, {**values, **others})
                others[node] = matcher.runner.evaluate(node, {**values, **others})
                value = array_of(others[node])
                own = matcher.found(layer, value) if value is not None else None
                if own is None and math.isinf(self._outlook(values, others).agreement(node)):
                    continue
                matcher.lay_out_again(name, layout)
                values.update(others)
                return own
        return None

    def _between(self, name: str, layer: Layer, values: Values) -> dict[torch.fx.Node, Any]:
        """Values, anew, of the layers through which one reads another."""
        matcher = self._matcher
        found: dict[torch.fx.Node, Any] = {}
        for each, node in matcher.nodes.items():
            reads = name in matcher.support_of(matcher.layers[each])
            if reads and each not in matcher.pairs and each != layer.id and node in values:
                try:
                    found[node] = matcher.runner.evaluate(node, {**values, **found})
                except KeyError:
                    continue
        return found

    def _candidates(self, node: torch.fx.Node, value: Any, layer: Layer) -> Iterator[Pair]:
        """Tensors without a layer that could hold a value, were it not for a defect."""
        matcher, array = self._matcher, array_of(value)
        its = matcher.layers.get(node.name)
        if array is None or its is None or array.size < 2 or matcher.kinds[its.id] in BIJECTIVE:
            return
        given, likely = matcher.given_of(layer), matcher.likely(layer)
        for pair in matcher.search.candidates(its, array, given, likely):
            if not matcher.is_claimed(pair.key):
                yield pair

    def _likeness(self, node: torch.fx.Node, pair: Pair) -> int:
        matcher = self._matcher
        return likeness(matcher.kinds[node.name], matcher.graph.producer.get(pair.key))

    def _with_role(
        self, node: torch.fx.Node, pair: Pair, values: Values, enough: float
    ) -> Pair | None:
        """A pair, if with it in a layer's place the source goes on as the artifact does."""
        import torch

        matcher = self._matcher
        shape = matcher.layers[node.name].shape
        if shape is None:
            return None
        like = torch.empty(shape, dtype=torch.float64)
        given = {node.name: matcher.graph.copies(pair.key)}
        for layout in matcher.search.layouts(shape, pair.key, [pair.layout]):
            placed = replace(pair, layout=layout, evidence=Evidence.ROLE)
            others = {node: restored(matcher.probes, placed, like)}
            if self._outlook(values, others, given).agreement(node, computed=True) < enough:
                # where what follows hardly depends on the layer, anything has its role
                nothing = {node: torch.zeros_like(like)}
                outlook = self._outlook(values, nothing, given)
                return placed if outlook.agreement(node, computed=True) >= enough else None
        return None

    def _only_one(self, layer: Layer, tried: Sequence[tuple[torch.fx.Node, Pair]]) -> Pair | None:
        """A pair that stands out though nothing proves it: near in value, or alone of its kind."""
        alike = [each for each in tried if self._likeness(*each) == 2]
        ranked = sorted(
            (each for each in alike or tried if self._in_its_shape(*each)),
            key=lambda each: each[1].error,
        )
        if not ranked:
            return None
        node, best = ranked[0]
        copies = self._matcher.graph.copies(best.key)
        rivals = [pair for _, pair in ranked[1:] if pair.key not in copies]
        clear = not rivals or rivals[0].error > _CLEARER * best.error
        near = clear and best.error <= (_NEAR if alike else _VERY_NEAR)
        alone = bool(alike) and len({pair.key for _, pair in alike}) == 1
        alone = alone and best.error <= _FARTHEST and self._is_next(layer, best.key)
        if not near and not alone:
            return None
        return self._of(layer, node, replace(best, evidence=Evidence.STRUCTURE))

    def _in_its_shape(self, node: torch.fx.Node, pair: Pair) -> bool:
        """Whether a tensor has a layer's very axes, in whatever order."""
        shape = self._matcher.layers[node.name].shape or ()
        stored = self._matcher.probes.shape(pair.key)
        return sorted(each for each in shape if each != 1) == sorted(
            each for each in stored if each != 1
        )

    def _is_next(self, layer: Layer, key: str) -> bool:
        """Whether one operator makes a tensor of a layer's inputs, but for what moves data."""
        graph = self._matcher.graph
        region = graph.region(key, self._matcher.given_of(layer)) or set()
        return sum(graph.operations[each].kind not in MOVEMENT for each in region) == 1
