"""Where faults can go: a file's operators, the sites among them, and the layers they are of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bridge.artifact import Artifact, Signature
from bridge.layers import LayerMap

from .edits import Edit, FaultKind

Apply = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operator of a file.

    Attributes:
        index: Its place in the file's main graph.
        kind: Its operator, as the format calls it.
        inputs: Names of the tensors it reads.
        outputs: Names of the tensors it writes.
    """

    index: int
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place in a file that can carry a fault.

    Attributes:
        kind: Name of the fault's kind.
        edit: How it is made in this format.
        operator: The operator that gets it.
        label: The site for people.
    """

    kind: str
    edit: Edit
    operator: Operator
    label: str


@dataclass(frozen=True, kw_only=True)
class Injected:
    """A file with a fault.

    Attributes:
        content: The file.
        renamed: Tensors of the good file → their names in this one, where those differ.
        layer_map: Where the layers are in this one, if it is not by that.
        signature: Inputs and outputs of this one, in the order of the good file's, if a conversion
            may have named them otherwise.
    """

    content: bytes
    renamed: Mapping[str, str] = field(default_factory=dict)
    layer_map: LayerMap | None = None
    signature: Signature | None = None

    def artifact(self, good: Artifact) -> Artifact:
        """Return the good artifact with the tensors of this file; the path is still the good one's.

        Args:
            good: The good artifact.
        """
        return replace(
            good,
            layer_map=self.places(good.layer_map),
            signature=self.signature or good.signature,
        )

    def places(self, good: LayerMap) -> LayerMap:
        """Return where the layers are in this file, from where they are in the good one."""
        return self.layer_map or LayerMap(
            places={
                layer: place
                if place.tensor is None
                else replace(place, tensor=self.renamed.get(place.tensor, place.tensor))
                for layer, place in good.places.items()
            }
        )


class FaultyFile(ABC):
    """A file that faults are injected into. It is read again for each fault.

    Args:
        path: The good file.
    """

    operators: Sequence[Operator]

    def __init__(self, path: Path) -> None:
        self.path = path

    def sites(self, kind: FaultKind, rng: np.random.Generator) -> Iterator[Site]:
        """Yield the sites that can carry a kind, in a random order.

        Args:
            kind: The kind.
            rng: What the order depends on.
        """
        offers = [
            (edit, operator)
            for edit in self.edits(kind)
            for operator in self.operators
            if operator.kind in edit.operators
        ]
        for number in rng.permutation(len(offers)):
            edit, operator = offers[number]
            if self.plan(operator, edit, np.random.default_rng(0)) is not None:
                yield Site(
                    kind=kind.name,
                    edit=edit,
                    operator=operator,
                    label=f"{operator.kind} → {', '.join(operator.outputs)}",
                )

    @abstractmethod
    def edits(self, kind: FaultKind) -> Sequence[Edit]:
        """Return how a kind is made in this format."""

    @abstractmethod
    def plan(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        """Return what makes the edit in this object, or ``None`` if the operator cannot have it."""

    def seeded(self, operator: Operator, places: LayerMap) -> tuple[str, ...]:
        """Return the tensors of layers at which a fault of an operator first shows.

        Args:
            operator: The operator.
            places: Where the layers are in the good file.
        """
        return seeded_tensors(self.operators, operator.outputs, places)

    @abstractmethod
    def save(self) -> Injected:
        """Return the file as it is now."""


def inject(open_file: Callable[[], FaultyFile], site: Site, seed: int) -> Injected:
    """Return a file with a fault at a site: the same for the same seed.

    Args:
        open_file: Reads the good file, which is not changed.
        site: One of its sites.
        seed: Of the choices within the site, such as the element of a weight.
    """
    file = open_file()
    apply = file.plan(file.operators[site.operator.index], site.edit, np.random.default_rng(seed))
    if apply is None:
        raise ValueError(f"{file.path.name} has no site for {site.kind} at {site.label}")
    apply()
    return file.save()


def seeded_tensors(
    operators: Iterable[Operator], outputs: Iterable[str], places: LayerMap
) -> tuple[str, ...]:
    """Tensors of layers at which a fault first shows: its operator's own, or the next ones down.

    Args:
        operators: All operators of the file.
        outputs: What the operator with the fault writes.
        places: Where the layers are in the file.
    """
    mapped = {place.tensor for place in places.mapped().values()}
    readers: dict[str, list[Operator]] = {}
    for operator in operators:
        for tensor in operator.inputs:
            readers.setdefault(tensor, []).append(operator)
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop(0)
        if tensor in seen:
            continue
        seen.add(tensor)
        if tensor in mapped:
            found[tensor] = None
        else:
            waiting += [each for reader in readers.get(tensor, ()) for each in reader.outputs]
    return tuple(found)


def seeded_layers(tensors: Iterable[str], places: LayerMap) -> tuple[str, ...]:
    """Layers that carry a fault: those of its tensors, and all that are fused into these."""
    wanted = set(tensors)
    own = {layer for layer, place in places.mapped().items() if place.tensor in wanted}
    return tuple(
        layer for layer, place in places.resolved().places.items()
        if layer in own or (place.tensor is None and place.into in own)
    )  # fmt: skip
