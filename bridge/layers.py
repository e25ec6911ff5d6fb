"""Spine and layer map: the layers of the source model, and where each one is in an artifact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of the source model.

    Attributes:
        id: Unique name; for PyTorch the node's name in the captured graph.
        op: Operator, such as ``aten.conv2d`` or ``onnx.Conv``.
        module: Path of the module that it belongs to (``features.3.conv.1``); empty for the root.
        source: The user's own ``file:line``, or empty.
        inputs: Ids of the layers and names of the model inputs that it reads, in order.
        shape: Shape of its result with the example inputs; ``None`` where it is not one tensor.
        dtype: Type of its result's elements, such as ``float32``.
    """

    id: str
    op: str
    module: str = ""
    source: str = ""
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True, kw_only=True)
class Spine:
    """The layers of the source model in execution order.

    Attributes:
        origin: Format that the layers are the nodes of (``exported``, ``torchscript``, ``onnx``).
        layers: The layers; ids are unique.
        inputs: Names of the model's inputs.
        outputs: For each output of the model, in order, the layer that makes it (or the input that
            is passed through, or an empty text for a constant).
    """

    origin: str
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({layer.id for layer in self.layers}) != len(self.layers):
            raise ValueError("two layers of a spine have one id")

    def ids(self) -> list[str]:
        """Return the layer ids in order."""
        return [layer.id for layer in self.layers]

    def to_json(self) -> dict[str, Any]:
        """Return the spine as plain JSON data."""
        return {
            "origin": self.origin,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "layers": [
                {
                    "id": layer.id,
                    "op": layer.op,
                    "module": layer.module,
                    "source": layer.source,
                    "inputs": list(layer.inputs),
                    "shape": None if layer.shape is None else list(layer.shape),
                    "dtype": layer.dtype,
                }
                for layer in self.layers
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spine:
        """Rebuild a spine from what ``to_json`` returned."""
        return cls(
            origin=data["origin"],
            inputs=tuple(data["inputs"]),
            outputs=tuple(data["outputs"]),
            layers=tuple(
                Layer(
                    id=each["id"],
                    op=each["op"],
                    module=each["module"],
                    source=each["source"],
                    inputs=tuple(each["inputs"]),
                    shape=None if each["shape"] is None else tuple(each["shape"]),
                    dtype=each["dtype"],
                )
                for each in data["layers"]
            ),
        )


class Absence(StrEnum):
    """Why a layer has no tensor of its own in an artifact."""

    FUSED = "fused"
    FOLDED = "folded"
    ELIMINATED = "eliminated"
    OPAQUE = "opaque"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one layer is in an artifact: a tensor, or the reason why there is none.

    Attributes:
        tensor: Name of the artifact's tensor that holds the layer's result.
        permutation: ``artifact_axes = transpose(source_axes, permutation)``; ``None`` if the axes
            are the source's own.
        reshaped: Whether the tensor, once its axes are the source's, holds the layer's elements in
            the same order but in another shape.
        absence: Why there is no tensor; exactly one of ``tensor`` and ``absence`` is set.
        into: The layer that it was fused into, or that reads on behalf of an eliminated one.
        detail: More on the absence, for people.
        confidence: How sure the pair is, from 0 to 1, if it was found by structure and values;
            ``None`` for a recorded origin.
    """

    tensor: str | None = None
    permutation: tuple[int, ...] | None = None
    reshaped: bool = False
    absence: Absence | None = None
    into: str | None = None
    detail: str = ""
    confidence: float | None = None

    def __post_init__(self) -> None:
        if (self.tensor is None) == (self.absence is None):
            raise ValueError("a place has either a tensor or the reason why there is none")


@dataclass(frozen=True, kw_only=True)
class LayerMap:
    """Spine layer → place in one artifact. A layer that is not listed is unexplained."""

    places: Mapping[str, Place] = field(default_factory=dict)

    def place(self, layer: str) -> Place:
        """Return where ``layer`` is."""
        return self.places.get(layer) or Place(absence=Absence.UNEXPLAINED)

    def mapped(self) -> dict[str, Place]:
        """Return the layers that have a tensor, in the map's order."""
        return {layer: place for layer, place in self.places.items() if place.tensor is not None}

    def carry(
        self,
        renamed: Mapping[str, str],
        *,
        permutations: Mapping[str, tuple[int, ...]] | None = None,
        lost: Mapping[str, tuple[Absence, str]] | None = None,
    ) -> LayerMap:
        """Carry the map through a hop.

        Args:
            renamed: Tensor of the parent artifact → tensor of the new artifact.
            permutations: New tensor → permutation that the hop applied to the parent's axes.
            lost: Tensor of the parent → why it has no partner; otherwise it is unexplained.

        Returns:
            The map from the same spine to the new artifact.
        """
        permutations = permutations or {}
        lost = lost or {}
        places: dict[str, Place] = {}
        for layer, place in self.places.items():
            if place.tensor is None:
                places[layer] = place
            elif place.tensor in renamed:
                tensor = renamed[place.tensor]
                places[layer] = replace(
                    place,
                    tensor=tensor,
                    permutation=_compose(place.permutation, permutations.get(tensor)),
                )
            else:
                absence, detail = lost.get(place.tensor, (Absence.UNEXPLAINED, ""))
                places[layer] = Place(absence=absence, detail=detail)
        return LayerMap(places=places)

    def resolved(self) -> LayerMap:
        """Return the map with every fused layer fused into one that has a tensor, if there is one.

        A hop may fuse the layer that an earlier hop fused another one into.
        """

        def end(place: Place) -> Place:
            into = place.into
            for _ in self.places:  # a chain is no longer than that
                met = self.places.get(into) if into is not None else None
                if met is None or met.tensor is not None or met.into is None:
                    break
                into = met.into
            return replace(place, into=into)

        return LayerMap(
            places={
                layer: end(place) if place.absence is Absence.FUSED else place
                for layer, place in self.places.items()
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return the map as plain JSON data, without empty fields."""
        return {
            layer: {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in (
                    ("tensor", place.tensor),
                    ("permutation", place.permutation),
                    ("reshaped", place.reshaped or None),
                    ("absence", place.absence),
                    ("into", place.into),
                    ("detail", place.detail or None),
                    ("confidence", place.confidence),
                )
                if value is not None
            }
            for layer, place in self.places.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LayerMap:
        """Rebuild a map from what ``to_json`` returned."""
        return cls(
            places={
                layer: Place(
                    tensor=each.get("tensor"),
                    permutation=tuple(each["permutation"]) if "permutation" in each else None,
                    reshaped=each.get("reshaped", False),
                    absence=Absence(each["absence"]) if "absence" in each else None,
                    into=each.get("into"),
                    detail=each.get("detail", ""),
                    confidence=each.get("confidence"),
                )
                for layer, each in data.items()
            }
        )


def identity_map(layers: Iterable[str]) -> LayerMap:
    """Return the map of an artifact whose tensors carry the names of the layers."""
    return LayerMap(places={layer: Place(tensor=layer) for layer in layers})


_IDENTITIES = {"dropout", "clone", "contiguous", "alias", "detach", "lift_fresh_copy", "identity"}
_CALLER = ""  # whoever runs the model reads its outputs; no layer has this id


def explain_absences(spine: Spine, mapped: Mapping[str, Place]) -> LayerMap:
    """Complete a map: give each layer without a tensor the reason that the graph shows.

    A layer that depends on no input was folded into a constant; one that changes nothing was
    eliminated; one whose only reader has a tensor was fused into that reader (or, through readers
    that are fused or eliminated themselves, into the next that has one). Whatever remains is
    unexplained.

    Args:
        spine: The layers.
        mapped: The layers that have a place already.

    Returns:
        A place for every layer of the spine, in its order.
    """
    readers: dict[str, list[str]] = {}
    live = set(spine.inputs)
    for layer in spine.layers:
        if live.intersection(layer.inputs):
            live.add(layer.id)
        for read in layer.inputs:
            readers.setdefault(read, []).append(layer.id)
    for output in spine.outputs:
        readers.setdefault(output, []).append(_CALLER)
    places: dict[str, Place] = {}
    for layer in reversed(spine.layers):
        places[layer.id] = mapped.get(layer.id) or _reason(layer, readers, live, places)
    return LayerMap(places={layer: places[layer] for layer in spine.ids()})


def _reason(
    layer: Layer, readers: Mapping[str, list[str]], live: set[str], places: Mapping[str, Place]
) -> Place:
    if layer.id not in live:
        return Place(absence=Absence.FOLDED, detail="it depends on no input")
    reading = set(readers.get(layer.id, ()))
    into = None
    if len(reading) == 1 and _CALLER not in reading:
        (reader,) = reading
        into = reader if places[reader].tensor is not None else places[reader].into
    if layer.op.rpartition(".")[2] in _IDENTITIES:
        return Place(absence=Absence.ELIMINATED, into=into, detail="it changes nothing")
    if not reading:
        return Place(absence=Absence.ELIMINATED, detail="nothing reads it")
    if into is not None:
        return Place(absence=Absence.FUSED, into=into)
    return Place(absence=Absence.UNEXPLAINED)


def _compose(
    first: tuple[int, ...] | None, second: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """Permutation of doing ``first`` and then ``second``; ``None`` is the identity."""
    if first is None or second is None:
        return first if second is None else second
    composed = tuple(first[axis] for axis in second)
    return None if composed == tuple(range(len(composed))) else composed
