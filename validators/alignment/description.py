"""What an alignment says of every layer: its tensor, or why it has none, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ...artifact import Artifact
from ...layers import Absence, Layer, LayerMap, Place, Spine
from .confirmation import Confirmation
from .graph import Graph
from .matching import Matcher
from .operators import COMPUTE, MOVEMENT, kind_of
from .pairs import Evidence, Pair

# how sure a pair is by what it was accepted for, if a second input confirms it
_CONFIDENCE = {
    Evidence.VALUES: 0.99,
    Evidence.ROLE: 0.95,
    Evidence.ALONE: 0.8,
    Evidence.STRUCTURE: 0.7,
}
_DEFECTIVE = (Evidence.ROLE, Evidence.STRUCTURE)
_UNCONFIRMED = 0.8  # of that, without a second input
_MODEL = ""  # whoever runs the model; no layer has this id


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where the layers of a source are in an artifact, as far as that can be found.

    Attributes:
        layer_map: A place for every layer.
        confidence: Layer that has a tensor → how sure that is, from 0 to 1.
        coverage: Share of the compute layers that have a tensor, or a reason why they have none.
        pairs: Layer that has a tensor → the pair, with what it was accepted for.
        notes: What is to be said about it, for the report.
    """

    layer_map: LayerMap = field(default_factory=LayerMap)
    confidence: Mapping[str, float] = field(default_factory=dict)
    coverage: float = 0.0
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def applied(self, artifact: Artifact) -> Artifact:
        """Return the artifact with the layer map, the confidence of each pair, and the notes."""
        places = {
            layer: replace(place, confidence=self.confidence.get(layer))
            for layer, place in self.layer_map.places.items()
        }
        notes = (*artifact.notes, *self.notes)
        return replace(artifact, layer_map=LayerMap(places=places), notes=notes)


def compute_layers(spine: Spine) -> list[str]:
    """Return the layers that coverage is stated over."""
    return [layer.id for layer in spine.layers if kind_of(layer.op) in COMPUTE]


def described(
    spine: Spine, graph: Graph, matcher: Matcher, confirmed: Confirmation | None
) -> Alignment:
    """Complete the pairs with reasons, confidence and coverage.

    Args:
        spine: The layers.
        graph: The artifact.
        matcher: What found the pairs.
        confirmed: Their errors on another input, if there was one.
    """
    errors = confirmed.errors if confirmed is not None else {}
    pairs = {
        layer: pair
        for layer, pair in matcher.pairs.items()
        if not _contradicted(pair, errors.get(layer), graph.tolerance.contradicts)
    }
    layer_map = _explained(spine, graph, pairs, matcher)
    compute = compute_layers(spine)
    missing = [each for each in compute if layer_map.place(each).absence is Absence.UNEXPLAINED]
    found = sum(each in pairs for each in compute)
    coverage = 1 - len(missing) / len(compute) if compute else 1.0
    return Alignment(
        layer_map=layer_map,
        confidence={
            layer: _CONFIDENCE[pair.evidence] * (1.0 if layer in errors else _UNCONFIRMED)
            for layer, pair in pairs.items()
        },
        coverage=coverage,
        pairs=pairs,
        notes=(
            f"layers were found by structure and values: {found} of {len(compute)} compute layers "
            f"have a tensor, {len(compute) - found - len(missing)} a reason why not, "
            f"{len(missing)} are unexplained",
        ),
    )


def _contradicted(pair: Pair, error: float | None, most: float) -> bool:
    """Whether values that agreed on one input do not on another."""
    by_values = pair.evidence in (Evidence.VALUES, Evidence.ALONE)
    return by_values and error is not None and error > most


def _explained(spine: Spine, graph: Graph, pairs: Mapping[str, Pair], matcher: Matcher) -> LayerMap:
    readers: dict[str, list[str]] = {}
    live = set(spine.inputs)
    for layer in spine.layers:
        if live.intersection(layer.inputs):
            live.add(layer.id)
        for read in layer.inputs:
            readers.setdefault(read, []).append(layer.id)
    for output in spine.outputs:
        readers.setdefault(output, []).append(_MODEL)
    ends: dict[str, list[str]] = {_MODEL: [_MODEL]}
    places: dict[str, Place] = {}
    for layer in reversed(spine.layers):
        read_by = readers.get(layer.id, [])
        if layer.id in pairs:
            ends[layer.id] = [layer.id]
            places[layer.id] = _place(graph, pairs[layer.id])
            continue
        ends[layer.id] = list(dict.fromkeys(end for each in read_by for end in ends[each]))
        if layer.id not in live:
            places[layer.id] = Place(absence=Absence.FOLDED, detail="it depends on no input")
        else:
            places[layer.id] = _reason(layer, ends[layer.id], pairs, matcher)
    return LayerMap(places={layer: places[layer] for layer in spine.ids()})


def _place(graph: Graph, pair: Pair) -> Place:
    return Place(
        tensor=graph.names[pair.key],
        permutation=pair.layout.permutation,
        reshaped=pair.layout.reshaped,
    )


def _reason(layer: Layer, ends: list[str], pairs: Mapping[str, Pair], matcher: Matcher) -> Place:
    """Why a layer has no tensor.

    Args:
        layer: The layer.
        ends: The layers with tensors that it leads to, at once or through others without.
        pairs: The layers with tensors.
        matcher: What found them.
    """
    kind = kind_of(layer.op)
    into = ends[0] if ends and ends[0] != _MODEL else None
    names = matcher.graph.names
    if layer.id in matcher.reordered:
        detail = f"{names[matcher.reordered[layer.id]]} holds its elements in another order"
        return Place(absence=Absence.OPAQUE, detail=detail)
    if layer.id in matcher.same:
        detail = f"{names[matcher.same[layer.id]]} holds its result, which is that of its input"
        return Place(absence=Absence.ELIMINATED, into=into, detail=detail)
    if kind == "identity":
        return Place(absence=Absence.ELIMINATED, into=into, detail="it changes nothing")
    if not ends:
        return Place(absence=Absence.ELIMINATED, detail="nothing reads it")
    if not _all_agree(ends, pairs, matcher.graph.tolerance.agrees):
        return Place(absence=Absence.UNEXPLAINED)
    if kind in MOVEMENT:
        detail = "it only moves data, which its readers take from elsewhere"
        return Place(absence=Absence.ELIMINATED, into=into, detail=detail)
    detail = "" if len(ends) == 1 else f"as into {len(ends) - 1} more"
    return Place(absence=Absence.FUSED, into=into, detail=detail)


def _all_agree(ends: Iterable[str], pairs: Mapping[str, Pair], agrees: float) -> bool:
    """Whether what a layer leads to has the right values, so that its work is done somewhere.

    What was found though its values are wrong is judged together with what it is computed in one
    with: the fault may lie in either.
    """
    return all(
        each in pairs and (pairs[each].error <= agrees or pairs[each].evidence in _DEFECTIVE)
        for each in ends
    )
