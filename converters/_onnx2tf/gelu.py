"""GELU as one operator, where an ONNX model spells it out with Erf."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def fuse_gelu(model: onnx.ModelProto) -> dict[str, str]:
    """Replace every GELU that is spelled out with Erf by one Gelu node, in place.

    TensorFlow's converter turns a bare Erf into FlexErf, which LiteRT cannot run, while a GELU
    becomes the builtin operator, and computes the same.

    Returns:
        Each value that went away → the Gelu's output.
    """
    from onnx import helper

    graph = model.graph
    fused: dict[str, str] = {}
    native = any(
        each.domain in ("", "ai.onnx") and each.version >= 20 for each in model.opset_import
    )
    for erf in [node for node in graph.node if node.op_type == "Erf"]:
        found = _Gelu(graph).match(erf)
        if found is None:
            continue
        operand, nodes = found
        last = nodes[-1]
        position = list(graph.node).index(last)
        gelu = helper.make_node(
            "Gelu",
            [operand],
            list(last.output),
            name=f"{last.name}_Gelu",
            domain="" if native else "com.microsoft",
        )
        graph.node.insert(position, gelu)
        for node in nodes:
            graph.node.remove(node)
        fused.update((node.output[0], last.output[0]) for node in nodes[:-1])
    domains = {each.domain for each in model.opset_import}
    if fused and not native and "com.microsoft" not in domains:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return fused


class _Gelu:
    """Finds ``0.5 * x * (1 + erf(x / sqrt(2)))`` around an Erf, however its factors are ordered."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._producers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {each.name for each in graph.output}
        self._scalars = dict(_scalars(graph))

    def match(self, erf: onnx.NodeProto) -> tuple[str, list[onnx.NodeProto]] | None:
        """Return the operand and the nodes to replace, the last one last."""
        scaled = self._producers.get(erf.input[0])
        operand = scaled and self._scaled(scaled, math.sqrt(0.5))
        one = self._only_reader(erf)
        if not scaled or not operand or not one or one.op_type != "Add":
            return None
        if self._other(one, erf.output[0])[1] != 1.0:
            return None
        nodes = [erf, one]
        if self._only_reader(scaled) is not None:
            nodes.insert(0, scaled)
        missing = {"half", "operand"}
        last = one
        while missing:
            product = self._only_reader(last)
            if product is None or product.op_type != "Mul":
                return None
            name, value = self._other(product, last.output[0])
            factor = self._producers.get(name)
            halved = factor is not None and self._scaled(factor, 0.5) == operand
            seen = {"half"} if value == 0.5 else {"operand"} if name == operand else set()
            seen = {"half", "operand"} if halved else seen
            if not seen or not seen <= missing:
                return None
            if halved and factor is not None and self._only_reader(factor) is not None:
                nodes.append(factor)
            missing -= seen
            nodes.append(product)
            last = product
        return operand, nodes

    def _only_reader(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Return who reads a result, if it is one node and the result can go away."""
        readers = self._readers.get(node.output[0], [])
        alone = len(readers) == 1 and node.output[0] not in self._outputs
        return readers[0] if alone else None

    def _other(self, node: onnx.NodeProto, name: str) -> tuple[str, float | None]:
        others = [each for each in node.input if each != name]
        other = others[0] if len(others) == 1 else ""
        return other, self._scalars.get(other)

    def _scaled(self, node: onnx.NodeProto, factor: float) -> str | None:
        """Return ``x`` if ``node`` is ``x * factor``."""
        for index, name in enumerate(node.input):
            value = self._scalars.get(name)
            if value and node.op_type == "Div" and index == 1:
                value = 1 / value
            elif node.op_type != "Mul":
                continue
            if value is not None and math.isclose(value, factor, rel_tol=1e-6):
                return str(node.input[1 - index])
        return None


def _scalars(graph: onnx.GraphProto) -> Iterator[tuple[str, float]]:
    from onnx import numpy_helper

    for each in graph.initializer:
        if math.prod(each.dims) == 1:
            yield each.name, float(numpy_helper.to_array(each).reshape(()))
