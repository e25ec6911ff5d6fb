"""The tensors of an artifact that hold a value."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ...layers import Layer
from .graph import Graph
from .layouts import Array, Layout, ambiguous, layouts
from .operators import kind_of
from .pairs import Evidence, Pair, likeness
from .probes import Probes, Signature, difference


@dataclass(frozen=True)
class Search:
    """Looks for values among an artifact's tensors.

    Attributes:
        graph: The artifact.
        probes: Its tensors' values.
    """

    graph: Graph
    probes: Probes

    def agreeing(
        self, layer: Layer, value: Array, given: Collection[str], likely: Collection[Layout] = ()
    ) -> tuple[list[Pair], list[Pair]]:
        """Find the tensors that hold a layer's value.

        Args:
            layer: The layer.
            value: What it makes of the artifact's own values.
            given: Tensors that hold its inputs.
            likely: Layouts to try first.

        Returns:
            Those that are computed from what is given, and the others.
        """
        signature = Signature.of(value)
        inside: list[Pair] = []
        outside: list[Pair] = []
        tolerance = self.graph.tolerance
        number = (layer.dtype or "float").startswith(("float", "bfloat"))
        for key in self.probes.of_count(value.size):
            if not self.probes.signature(key).near(signature, tolerance.moments):
                continue
            if number != (self.probes.kind(key) == "f"):
                continue
            pair = self.fitted(value, key, likely)
            if pair is not None and pair.error <= tolerance.agrees:
                made = self.graph.region(key, given) is not None
                (inside if made else outside).append(pair)
        return inside, outside

    def fitted(self, value: Array, key: str, likely: Collection[Layout] = ()) -> Pair | None:
        """Return a tensor in the first layout in which it agrees, or else in the likeliest."""
        fitting = self.layouts(value.shape, key, likely)
        if not fitting:
            return None
        stored = self.probes.read(key, 0)
        first = None
        for layout in fitting:
            error = difference(value, layout.restore(stored, value.shape))
            pair = Pair(
                key=key,
                layout=layout,
                error=error,
                evidence=Evidence.VALUES,
                open_layout=ambiguous(fitting),
            )
            if error <= self.graph.tolerance.agrees:
                return pair
            first = first or pair
        return first

    def layouts(
        self, shape: tuple[int, ...], key: str, likely: Collection[Layout] = ()
    ) -> list[Layout]:
        """Return the layouts that fit the shapes, the likeliest first."""
        permutations = {each.permutation for each in likely}
        return sorted(
            layouts(shape, self.probes.shape(key)),
            key=lambda each: each.permutation not in permutations,
        )

    def candidates(
        self, layer: Layer, value: Array, given: Collection[str], likely: Collection[Layout] = ()
    ) -> Iterator[Pair]:
        """Yield the tensors that could hold a layer's result if their values are left aside."""
        for key in self.probes.of_count(value.size):
            if key in given or self.probes.kind(key) != "f":
                continue
            possible = likeness(kind_of(layer.op), self.graph.producer.get(key))
            if possible and self.graph.region(key, given) is not None:
                pair = self.fitted(value, key, likely)
                if pair is not None:
                    yield pair
