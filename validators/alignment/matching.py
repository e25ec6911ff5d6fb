"""Pairs of layers and tensors, found by running the source on the artifact's own values.

The source runs node by node in float64. As soon as a layer is paired, its value is replaced by what
the artifact's tensor holds, so that every layer is looked for with the artifact's own inputs of it:
a defect upstream hides nothing, and what a layer makes of its inputs must be found, up to rounding,
in a tensor that the artifact computes from the very same ones. Where it is not, the layer is fused
with those after it, or it is defective; a defective layer is the tensor that, put in its place,
makes the source go on as the artifact does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from ...layers import Layer, Spine
from ..taps.exported import NodeRunner
from .graph import Graph, Operation
from .layouts import Array, Layout, ambiguous, layouts
from .operators import ACTIVATIONS, BIJECTIVE, COMPUTE, FOLDABLE, MOVEMENT, kind_of
from .probes import Probes, Signature, difference

if TYPE_CHECKING:
    import torch

AGREES = 2e-3  # relative RMS of a layer on the artifact's own inputs: float16 weights, fast kernels
_NEAR = 0.35  # a defect that leaves a layer recognisable
_CLEARER = 3.0  # the next best tensor must be that much further away
_SAME_ROUNDING = 30.0  # tensors whose errors differ by less than that agree equally well
_LONGEST_CHAIN = 8
_MOST_TRIED = 6


class Evidence(StrEnum):
    """What a pair is accepted for."""

    VALUES = "values"  # equal values, computed from the same tensors
    ROLE = "role"  # other values, with which the source goes on as the artifact does
    STRUCTURE = "structure"  # the only operator of its kind there
    OUTPUT = "output"  # the signature says so
    ALONE = "values alone"  # equal values, computed from other tensors


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A layer and the tensor that holds its result.

    Attributes:
        key: The tensor.
        layout: How it holds it.
        error: Relative RMS error with the artifact's own inputs of the layer.
        evidence: Why they were paired.
        open_layout: Whether the shapes alone leave several layouts.
    """

    key: str
    layout: Layout
    error: float
    evidence: Evidence
    open_layout: bool = False


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
    """

    def __init__(
        self,
        spine: Spine,
        runner: NodeRunner,
        graph: Graph,
        probes: Probes,
        inputs: Mapping[str, str],
    ) -> None:
        self._runner = runner
        self._graph = graph
        self._probes = probes
        self._layers = {layer.id: layer for layer in spine.layers}
        self._kinds = {layer.id: kind_of(layer.op) for layer in spine.layers}
        self._nodes: dict[str, torch.fx.Node] = {}
        self._given = {name: graph.copies(key) for name, key in inputs.items()}
        self._support: dict[str, frozenset[str]] = {name: frozenset([name]) for name in inputs}
        self._expected: dict[str, Pair] = {}
        self._claimed: dict[str, str] = {}
        self.pairs: dict[str, Pair] = {}
        self.same: dict[str, str] = {}

    def before(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Nothing is to be done before a node."""

    def after(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Look for a layer's tensor, and let the source go on with what it holds."""
        layer = self._layers.get(node.name)
        if layer is None:
            return
        self._nodes[layer.id] = node
        self._support[layer.id] = self._support_of(layer)
        if not self._support[layer.id] or self._kinds[layer.id] == "identity":
            return
        value = array_of(values[node])
        if value is None or not value.size:
            return
        pair = self._expected.get(layer.id)
        if pair is None:
            pair = self._found(layer, value, self._given_of(layer))
        elif pair.key in self._claimed:
            pair = None
        else:
            actual = pair.layout.restore(self._probes.read(pair.key, 0), value.shape)
            pair = replace(pair, error=difference(value, actual))
        if pair is None and self._kinds[layer.id] in COMPUTE and layer.id not in self.same:
            pair = self._missing(layer, node, value, values)
        if pair is not None:
            self._accept(layer, pair)
            values[node] = restored(self._probes, pair, values[node])

    def _support_of(self, layer: Layer) -> frozenset[str]:
        """The nearest layers and inputs that have a tensor and that a layer is computed from."""
        none: frozenset[str] = frozenset()
        return none.union(*(self._support.get(name, none) for name in layer.inputs))

    def _given_of(self, layer: Layer) -> set[str]:
        return self._tensors_of(self._support_of(layer))

    def _tensors_of(self, names: Iterable[str]) -> set[str]:
        return set().union(*(self._given[name] for name in names))

    def _accept(self, layer: Layer, pair: Pair) -> None:
        before = self._claimed.get(pair.key)
        if before is not None:
            del self.pairs[before]
        self.pairs[layer.id] = pair
        self._claimed[pair.key] = layer.id
        self._given[layer.id] = self._graph.copies(pair.key)
        self._support[layer.id] = frozenset([layer.id])

    def _found(self, layer: Layer, value: Array, given: set[str]) -> Pair | None:
        """The tensor that holds a value and is computed from what is given."""
        inside, outside = self._agreeing(layer, value, given)
        if inside:
            return self._chosen(layer, inside, given)
        free = [each for each in outside if each.key not in self._claimed]
        telling = len(np.unique(value)) > min(16, value.size // 2)
        if len(free) == 1 and len(outside) == 1 and telling:
            return replace(free[0], evidence=Evidence.ALONE)
        return None

    def _agreeing(
        self, layer: Layer, value: Array, given: set[str]
    ) -> tuple[list[Pair], list[Pair]]:
        """Tensors that hold a value: those that are computed from what is given, and others."""
        signature = Signature.of(value)
        inside, outside = [], []
        number = (layer.dtype or "float").startswith(("float", "bfloat"))
        for key in self._probes.of_count(value.size):
            if not self._probes.signature(key).near(signature):
                continue
            if number != (self._probes.kind(key) == "f"):
                continue
            pair = self._fitted(layer, value, key)
            if pair is not None and pair.error <= AGREES:
                made = self._graph.region(key, given) is not None
                (inside if made else outside).append(pair)
        return inside, outside

    def _fitted(self, layer: Layer, value: Array, key: str) -> Pair | None:
        """A tensor in the first layout in which it agrees, or else in the likeliest."""
        fitting = self._layouts(layer, value.shape, key)
        stored = self._probes.read(key, 0)
        errors = []
        for layout in fitting:
            errors.append(difference(value, layout.restore(stored, value.shape)))
            if errors[-1] <= AGREES:
                break
        if not errors:
            return None
        place = len(errors) - 1 if errors[-1] <= AGREES else 0
        return Pair(
            key=key,
            layout=fitting[place],
            error=errors[place],
            evidence=Evidence.VALUES,
            open_layout=ambiguous(fitting),
        )

    def _layouts(self, layer: Layer, shape: tuple[int, ...], key: str) -> list[Layout]:
        """Layouts that fit the shapes; first those in which the layer's inputs are stored."""
        inherited = {
            self.pairs[name].layout.permutation
            for name in self._support_of(layer)
            if name in self.pairs
        }
        return sorted(
            layouts(shape, self._probes.shape(key)),
            key=lambda each: each.permutation not in inherited,
        )

    def _chosen(self, layer: Layer, agreeing: Sequence[Pair], given: set[str]) -> Pair | None:
        """Of tensors that all hold a layer's value, the one that stands for it."""
        kind = self._kinds[layer.id]
        own = [each for each in agreeing if each.key not in given]
        if kind in MOVEMENT:
            own = [each for each in agreeing if each.key not in self._claimed]
            if kind in BIJECTIVE:  # a tensor of its own, in the very shape that the layer makes
                own = [each for each in own if each.layout == Layout() and self._moves(each.key)]
        if not own:
            self.same[layer.id] = agreeing[0].key
            return None
        least = min(each.error for each in own)
        near = [each for each in own if each.error <= max(_SAME_ROUNDING * least, 1e-6)]

        def rank(pair: Pair) -> tuple[int, bool, int, int]:
            region = self._graph.region(pair.key, given) or set()
            likeness = _likeness(kind, self._graph.producer.get(pair.key))
            return (
                -likeness,
                self._taken(kind, pair.key),
                len(region),
                self._graph.position(pair.key),
            )

        best = min(near, key=rank)
        if self._taken(kind, best.key):
            self.same[layer.id] = best.key
            return None
        return best

    def _moves(self, key: str) -> bool:
        made = self._graph.producer.get(key)
        return made is not None and made.kind in MOVEMENT

    def _taken(self, kind: str, key: str) -> bool:
        """Whether a tensor stands for another layer that is not merely fused with this one."""
        made = self._graph.producer.get(key)
        return key in self._claimed and (made is None or made.activation != kind)

    def _missing(
        self, layer: Layer, node: torch.fx.Node, value: Array, values: dict[torch.fx.Node, Any]
    ) -> Pair | None:
        """Deal with a layer that no tensor agrees with.

        Nothing is wrong if it is fused with layers after it. Else an input may be in another layout
        than the values alone said, or the layer is defective and is known by its role.
        """
        chain = list(self._chain(node, values, {}))
        if self._agrees_ahead(chain, self._given_of(layer)):
            return None
        pair = self._with_other_layouts(layer, node, values)
        if pair is not None:
            return pair
        return self._defective(layer, chain, values)

    def _chain(
        self,
        node: torch.fx.Node,
        values: Mapping[torch.fx.Node, Any],
        others: Mapping[torch.fx.Node, Any],
    ) -> Iterator[tuple[torch.fx.Node, Any]]:
        """A node and the ones that may be fused with it, each with its value.

        Args:
            node: The first one.
            values: Values that there are; the node's own is among them unless it is in ``others``'
                wake.
            others: Values to use in place of those.
        """
        known: dict[torch.fx.Node, Any] = {**values, **others}
        current: torch.fx.Node | None = node
        for _ in range(_LONGEST_CHAIN):
            if current is None:
                return
            if current not in known or others:
                try:
                    known[current] = self._runner.evaluate(current, known)
                except (KeyError, RuntimeError, TypeError, ValueError, IndexError):
                    return
            yield current, known[current]
            current = self._follower(current)

    def _follower(self, node: torch.fx.Node) -> torch.fx.Node | None:
        """The one reader of a node, if an artifact may fuse it with the node."""
        readers = list(node.users)
        if len(readers) != 1 or readers[0].name not in self._layers:
            return None
        reader = readers[0]
        kind = self._kinds[reader.name]
        if kind not in FOLDABLE | ACTIVATIONS | BIJECTIVE:
            return None
        live = [name for name in self._layers[reader.name].inputs if self._is_live(name, node)]
        return reader if len(live) <= 1 else None

    def _is_live(self, name: str, made: torch.fx.Node) -> bool:
        return name == made.name or bool(self._support.get(name, name not in self._support))

    def _agrees_ahead(self, chain: Sequence[tuple[torch.fx.Node, Any]], given: set[str]) -> bool:
        for node, value in chain:
            array = array_of(value)
            if array is None or node.name not in self._layers:
                continue
            inside, _ = self._agreeing(self._layers[node.name], array, given)
            if any(each.key not in given for each in inside):
                return True
        return False

    def _with_other_layouts(
        self, layer: Layer, node: torch.fx.Node, values: dict[torch.fx.Node, Any]
    ) -> Pair | None:
        """Try the layouts of inputs that their shapes leave open: what reads a tensor knows it."""
        for name in self._support_of(layer):
            pair = self.pairs.get(name)
            if pair is None or not pair.open_layout or self._nodes[name] not in values:
                continue
            like = values[self._nodes[name]]
            for layout in layouts(tuple(like.shape), self._probes.shape(pair.key)):
                if layout == pair.layout:
                    continue
                other = replace(pair, layout=layout, evidence=Evidence.ROLE)
                others = {self._nodes[name]: restored(self._probes, other, like)}
                others |= self._moved_again(name, layer, values, others)
                chain = list(self._chain(node, values, others))
                if not self._agrees_ahead(chain, self._given_of(layer)):
                    continue
                self._lay_out_again(name, pair.layout, layout)
                values.update(others)
                values[node] = chain[0][1]
                return self._found(layer, array_of(chain[0][1]), self._given_of(layer))
        return None

    def _moved_again(
        self,
        name: str,
        layer: Layer,
        values: Mapping[torch.fx.Node, Any],
        others: Mapping[torch.fx.Node, Any],
    ) -> dict[torch.fx.Node, Any]:
        """Values of layers without a tensor between a layer and one that reads it through them."""
        found: dict[torch.fx.Node, Any] = {}
        for each in self._nodes:
            between = each not in self.pairs and name in self._support[each] and each != layer.id
            if between and self._nodes[each] in values:
                try:
                    known = {**values, **others, **found}
                    found[self._nodes[each]] = self._runner.evaluate(self._nodes[each], known)
                except KeyError:
                    continue
        return found

    def _lay_out_again(self, name: str, before: Layout, after: Layout) -> None:
        """Give a layer another layout, and the layers before it that only passed theirs on."""
        pair = self.pairs[name]
        error = self._error_in(name, pair.key, after)
        self.pairs[name] = replace(pair, layout=after, error=error, evidence=Evidence.ROLE)
        layer = self._layers[name]
        if self._kinds[name] not in ACTIVATIONS | FOLDABLE:
            return
        for read in layer.inputs:
            if read in self.pairs and self.pairs[read].layout == before:
                shape = self._probes.shape(self.pairs[read].key)
                if shape == self._probes.shape(pair.key) and self._passes_on(read):
                    self._lay_out_again(read, before, after)

    def _passes_on(self, name: str) -> bool:
        """Whether a layer's layout is what came to it, and not of its own making."""
        return self._kinds[name] in ACTIVATIONS | FOLDABLE | MOVEMENT

    def _error_in(self, name: str, key: str, layout: Layout) -> float:
        pair, shape = self.pairs[name], self._layers[name].shape
        if shape is None:
            return pair.error
        stored = self._probes.read(key, 0)
        return difference(pair.layout.restore(stored, shape), layout.restore(stored, shape))

    def _defective(
        self,
        layer: Layer,
        chain: Sequence[tuple[torch.fx.Node, Any]],
        values: Mapping[torch.fx.Node, Any],
    ) -> Pair | None:
        """Find the tensor of a layer, or of one that it is fused with, by its place and role."""
        tried = [
            (node, pair)
            for node, value in chain
            for pair in self._candidates(node, value, self._given_of(layer))
        ]
        tried.sort(key=lambda each: (-self._likeness(*each), each[1].error))
        for node, pair in tried[:_MOST_TRIED]:
            proven = self._with_role(node, pair, values)
            if proven is not None:
                return self._expect(layer, node, proven)
        return self._only_one(layer, tried)

    def _likeness(self, node: torch.fx.Node, pair: Pair) -> int:
        return _likeness(self._kinds[node.name], self._graph.producer.get(pair.key))

    def _expect(self, layer: Layer, node: torch.fx.Node, pair: Pair) -> Pair | None:
        if node.name == layer.id:
            return pair
        self._expected[node.name] = pair
        return None

    def _candidates(self, node: torch.fx.Node, value: Any, given: set[str]) -> Iterator[Pair]:
        """Tensors without a layer that could hold a value, were it not for a defect."""
        array = array_of(value)
        layer = self._layers.get(node.name)
        if array is None or layer is None or array.size < 2 or self._kinds[layer.id] in BIJECTIVE:
            return
        for key in self._probes.of_count(array.size):
            if key in given or key in self._claimed or self._probes.kind(key) != "f":
                continue
            made = self._graph.producer.get(key)
            if not _likeness(self._kinds[layer.id], made):
                continue
            if self._graph.region(key, given) is not None:
                pair = self._fitted(layer, array, key)
                if pair is not None:
                    yield pair

    def _with_role(
        self, node: torch.fx.Node, pair: Pair, values: Mapping[torch.fx.Node, Any]
    ) -> Pair | None:
        """A pair, if with it in a layer's place the source goes on as the artifact does."""
        import torch

        layer = self._layers[node.name]
        if layer.shape is None:
            return None
        like = torch.empty(layer.shape, dtype=torch.float64)
        copies = self._graph.copies(pair.key)
        for layout in self._layouts(layer, layer.shape, pair.key):
            placed = replace(pair, layout=layout, evidence=Evidence.ROLE)
            others = {node: restored(self._probes, placed, like)}
            for reader in list(node.users)[:3]:
                read = self._layers.get(reader.name)
                if read is None:
                    continue
                known = [name for name in read.inputs if name != node.name]
                given = copies.union(
                    *(self._tensors_of(self._support.get(name, ())) for name in known)
                )
                ahead = list(self._chain(reader, values, others))
                if self._agrees_ahead(ahead, given):
                    return placed
        return None

    def _only_one(self, layer: Layer, tried: Sequence[tuple[torch.fx.Node, Pair]]) -> Pair | None:
        """A pair that stands out though nothing proves it: near in value, or alone of its kind."""
        alike = [each for each in tried if self._likeness(*each) == 2]
        ranked = sorted(alike or tried, key=lambda each: each[1].error)
        if not ranked:
            return None
        node, best = ranked[0]
        rivals = [pair for _, pair in ranked[1:] if pair.key not in self._graph.copies(best.key)]
        clear = not rivals or rivals[0].error > _CLEARER * best.error
        near = best.error <= _NEAR and clear
        alone = bool(alike) and len({pair.key for _, pair in alike}) == 1
        if not near and not alone:
            return None
        return self._expect(layer, node, replace(best, evidence=Evidence.STRUCTURE))


def restored(probes: Probes, pair: Pair, like: torch.Tensor, probe: int = 0) -> torch.Tensor:
    """Return the artifact's values as the source has them, in memory of their own."""
    import torch

    values = pair.layout.restore(probes.read(pair.key, probe), tuple(like.shape))
    return torch.tensor(np.ascontiguousarray(values)).to(like.dtype)


def array_of(value: Any) -> Array | None:
    """Return a tensor as float64; nothing for what is no tensor of numbers."""
    import torch

    if not isinstance(value, torch.Tensor) or value.is_complex():
        return None
    return value.detach().to(torch.float64).numpy()


def _likeness(kind: str, made: Operation | None) -> int:
    """How well an operator's result can stand for a layer: 2 by its kind, 1 by none, 0 not at all.

    An operator with a fused activation makes the activation's result.
    """
    if made is None:
        return 0
    if made.activation is not None:
        return 2 if made.activation == kind else 0
    if made.kind == kind:
        return 2
    if made.kind in MOVEMENT:
        return 0
    return 1
