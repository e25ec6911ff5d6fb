"""Where the operators of a TFLite file come from: the layers of its source, with their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...inspection.tflite_graph import GraphOperator
from ...layers import Layer, LayerMap, Spine

DIRECT = "tflite-direct"  # the hop whose tensor names say which layer an operator belongs to

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

    def row(self) -> dict[str, Any]:
        """Return it as a row of the report."""
        data = self.to_json()
        del data["graph"]  # rows are about the subgraph that runs
        return data


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Which layer the tensors of a file belong to.

    Attributes:
        tensors: Tensor → the layer whose result it holds.
        paths: ``module.path/layer`` → layer, for a file whose names are made of them.
        modules: The module paths.
    """

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

    def place(self, operators: Sequence[GraphOperator]) -> tuple[PlacedOperator, ...]:
        """Return operators with their layers."""
        nodes = self._nodes(operators)
        return tuple(
            PlacedOperator(
                graph=each.graph,
                index=each.index,
                name=each.name,
                tensor=each.tensor,
                layer=self.layer_of(each) or nodes.get(_node(each)),
            )
            for each in operators
        )

    def _nodes(self, operators: Sequence[GraphOperator]) -> dict[str, Layer]:
        """Nodes of the source that are no layer, and a layer that holds a result of each.

        A recurrent layer has several results, each a layer of its own, and operators that are named
        after none of them: one of those operators writes the results.
        """
        if not self.paths:
            return {}
        found: dict[str, Layer] = {}
        for each in operators:
            written = (self.tensors.get(result.name) for result in each.outputs[1:])
            layer = next(filter(None, written), None)
            if layer is not None and _node(each) and self.layer_of(each) is None:
                found.setdefault(_node(each), layer)
        return found


def _node(operator: GraphOperator) -> str:
    """The node that an operator is named after: ``lstm`` of ``lstm/while``."""
    return operator.tensor.rpartition("/")[0]


def origins_of(layer_map: LayerMap, spines: Sequence[Spine | None], producer: str) -> Origins:
    """Return what a layer map says about the tensors of its file.

    Args:
        layer_map: Where the layers are in the file.
        spines: Layers of the source; the first list that has all of the map's counts.
        producer: The hop that made the file.
    """
    placed = layer_map.mapped()
    known = set(layer_map.places)
    spine = next((each for each in spines if each and known <= set(each.ids())), None)
    if spine is None:
        return Origins()
    # of several layers in one tensor the last one: it is what the tensor is named after
    tensors = {placed[layer.id].tensor or "": layer for layer in spine.layers if layer.id in placed}
    if producer != DIRECT:  # names of other converters prove nothing (ADR 0004)
        return Origins(tensors=tensors)
    return Origins(
        tensors=tensors,
        paths={f"{each.module}/{each.id}".removeprefix("/"): each for each in spine.layers},
        modules=frozenset(each.module for each in spine.layers),
    )
