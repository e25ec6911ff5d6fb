"""``look``: the graph of a TFLite file, as it runs here, with the source line of each operator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..availability import version_of
from ..errors import SourceError, UsageError
from ..formats import TFLITE
from ..inspection import Inspection, inspect
from ..inspection.facts import DamagedError
from ..inspection.tflite_graph import GraphOperator, graph_operators
from ..layers import Layer, LayerMap, Spine
from ..report import MANIFEST_VERSION
from ..worker import WORKER, Job, Limits, WorkFailure, WorkPool
from .folder import MANIFEST, read_json

DEFAULT_LIMITS = Limits(seconds=120.0)

_DIRECT = "tflite-direct"  # the hop whose tensor names say which layer an operator belongs to
_COUNTED = re.compile(r"_\d+$")


@dataclass(frozen=True, kw_only=True)
class PlacedOperator:
    """An operator of a file, and where it comes from.

    Attributes:
        graph: Index of its subgraph; 0 is the one that runs.
        index: Its place in that.
        name: Its name: ``TRANSPOSE``.
        tensor: Name of its result. In a file of the direct compiler it is ``module.path/layer``,
            or ``module.path/layer/operator`` for one of several that make a layer.
        layer: The layer that it belongs to; ``None`` if that is not known.
    """

    graph: int
    index: int
    name: str
    tensor: str
    layer: Layer | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        layer = self.layer
        return {
            "graph": self.graph,
            "index": self.index,
            "name": self.name,
            "tensor": self.tensor,
            "layer": layer.id if layer else None,
            "module": layer.module if layer else None,
            "source": layer.source if layer else None,
        }


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What XNNPACK takes of a file here.

    Attributes:
        version: Version of the runtime.
        partitions: The operators of each partition.
        left: Operators that run in LiteRT's own kernels.
        unread: Operators whose results nothing reads: of them it cannot be told.
        reason: Why nothing of it is known; empty if it is.
    """

    version: str
    partitions: tuple[tuple[PlacedOperator, ...], ...] = ()
    left: tuple[PlacedOperator, ...] = ()
    unread: tuple[PlacedOperator, ...] = ()
    reason: str = ""

    @property
    def taken(self) -> int:
        """Number of operators in partitions."""
        return sum(map(len, self.partitions))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            "version": self.version,
            "reason": self.reason,
            "partitions": [
                {
                    "operators": [each.index for each in partition],
                    "counts": dict(Counter(each.name for each in partition).most_common()),
                }
                for partition in self.partitions
            ],
            "left": [each.to_json() for each in self.left],
            "unread": [each.to_json() for each in self.unread],
        }


@dataclass(frozen=True, kw_only=True)
class Look:
    """The graph of a TFLite file.

    Attributes:
        operators: Its operators, those of the bodies of loops and branches too.
        delegation: What XNNPACK takes.
        origin: The document that the layers are from; ``None`` if there is none beside the file.
    """

    operators: tuple[PlacedOperator, ...]
    delegation: Delegation
    origin: Path | None = None

    @property
    def transposes(self) -> tuple[PlacedOperator, ...]:
        """The operators that only move data."""
        return tuple(each for each in self.operators if each.name == "TRANSPOSE")

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            "layers_from": str(self.origin) if self.origin else None,
            "operators": [each.to_json() for each in self.operators],
            "transposes": [each.to_json() for each in self.transposes],
            "xnnpack": self.delegation.to_json(),
        }


def look(
    file: Inspection | str | Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    say: Callable[[str], None] = lambda text: None,
) -> Look:
    """Return the graph of a TFLite file, what XNNPACK takes of it here, and from which lines it is.

    The file is loaded by LiteRT, in a process of its own, and not run. The lines are those that the
    manifest beside it has, if it lies in a result folder.

    Args:
        file: What ``inspect`` found, or the file itself.
        limits: Time and memory of loading the file.
        say: Called with lines of progress.

    Raises:
        UsageError: It is not a TFLite file.
        SourceError: It is damaged.
    """
    inspection = file if isinstance(file, Inspection) else inspect(file)
    if inspection.format != TFLITE:
        raise UsageError(f"{inspection.path} is a file of format {inspection.format}, not tflite")
    try:
        operators = graph_operators(inspection.path)
    except DamagedError as error:
        raise SourceError(f"{inspection.path} is a truncated or damaged file ({error})") from error
    origins = _origins(inspection)
    placed = tuple(
        PlacedOperator(
            graph=each.graph,
            index=each.index,
            name=each.name,
            tensor=each.tensor,
            layer=origins.layer_of(each),
        )
        for each in operators
    )
    say(f"loading {inspection.path} with XNNPACK")
    main = [each for each in placed if each.graph == 0]
    return Look(
        operators=placed,
        delegation=_delegation(inspection.path, main, limits),
        origin=origins.document,
    )


def _delegation(path: Path, operators: Sequence[PlacedOperator], limits: Limits) -> Delegation:
    job = Job(
        place=WORKER,
        function="bridge.validators.delegation:delegate",
        arguments={"path": str(path)},
    )
    version = version_of("ai-edge-litert") or ""
    try:
        with WorkPool(limits=limits) as pool:
            found = pool.call(job)
    except WorkFailure as failure:
        return Delegation(version=version, reason=f"{failure.symptom}: {failure.message}")

    def chosen(indices: Sequence[int]) -> tuple[PlacedOperator, ...]:
        return tuple(operators[index] for index in indices)

    return Delegation(
        version=version,
        partitions=tuple(chosen(each) for each in found["partitions"]),
        left=chosen(found["left"]),
        unread=chosen(found["unread"]),
    )


# -- layers ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Origins:
    """Which layer the tensors of a file belong to.

    Attributes:
        document: Where that is from.
        tensors: Tensor → the layer whose result it holds.
        paths: ``module.path/layer`` → layer, for a file whose names are made of them.
        modules: The module paths.
    """

    document: Path | None = None
    tensors: Mapping[str, Layer] = field(default_factory=dict)
    paths: Mapping[str, Layer] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()

    def layer_of(self, operator: GraphOperator) -> Layer | None:
        """Return the layer of an operator, if it is sure."""
        name = operator.tensor
        if name in self.tensors:
            return self.tensors[name]
        if operator.graph:
            name = name.removeprefix(f"{operator.graph_name}/")
        layer, _, _ = name.rpartition("/")
        if (
            layer in self.paths and layer not in self.modules
        ):  # layer/operator, and not module/layer
            return self.paths[layer]
        # a second tensor of a layer has a number behind its name, as some layers have themselves
        return None if name in self.paths else self.paths.get(_COUNTED.sub("", name))


def _origins(inspection: Inspection) -> _Origins:
    """Read the manifest beside a file, if it is about this very file."""
    document = inspection.path.parent / MANIFEST
    artifacts = _artifacts(document)
    entry = next((each for each in artifacts if each["sha256"] == inspection.sha256), None)
    if entry is None:
        return _Origins()
    places = LayerMap.from_json(entry["layer_map"]).mapped()
    spines = [Spine.from_json(each["spine"]) for each in artifacts if each["spine"]]
    spine = next((each for each in spines if set(entry["layer_map"]) <= set(each.ids())), None)
    if spine is None:
        return _Origins()
    # of several layers in one tensor the last one: it is what the tensor is named after
    tensors = {places[layer.id].tensor or "": layer for layer in spine.layers if layer.id in places}
    if entry["producer"] != _DIRECT:  # names of other converters prove nothing (ADR 0004)
        return _Origins(document=document, tensors=tensors)
    return _Origins(
        document=document,
        tensors=tensors,
        paths={f"{each.module}/{each.id}".removeprefix("/"): each for each in spine.layers},
        modules=frozenset(each.module for each in spine.layers),
    )


def _artifacts(document: Path) -> list[dict[str, Any]]:
    """What a manifest lists; nothing if it is not one that we can read."""
    if not document.is_file():
        return []
    try:
        manifest = read_json(document)
    except SourceError:  # what lies beside a model file and has this name need not be ours
        return []
    ours = (
        manifest.get("schema") == "driftbridge/manifest" and manifest["version"] == MANIFEST_VERSION
    )
    return manifest["artifacts"] if ours else []
