"""How an ONNX file is quantized: with QuantizeLinear and DequantizeLinear, or by its operators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .onnx_scales import OnnxScales
from .recipe import Made, Recipe, Stored, Weights

_BITS = {"int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16}
_FLOAT16 = 10  # of onnx.TensorProto
_WITHIN_ONE = ("Softmax", "Sigmoid")
_DYNAMIC = {"ConvInteger": 1, "MatMulInteger": 1, "DynamicQuantizeMatMul": 1}


def onnx_recipe(path: Path) -> Recipe:
    """Return how an ONNX file is quantized; constants in files of their own are not looked into."""
    import onnx

    return _Reader(onnx.load(path, load_external_data=False).graph).recipe()


class _Reader:
    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._scales = OnnxScales(graph)
        constants = {each.name for each in graph.initializer}
        self._inputs = [each.name for each in graph.input if each.name not in constants]
        self._live = self._computed()
        self._makers = {name: node for node in graph.node for name in node.output if name}

    def recipe(self) -> Recipe:
        numbers: dict[str, int] = {}
        makers: dict[int, Made] = {}
        weights: dict[int, Weights] = {}
        stored: dict[str, Stored] = {}

        def number(name: str) -> int:
            return numbers.setdefault(name, len(numbers))

        for node in self._graph.node:
            made = Made(
                name=node.op_type,
                inputs=tuple(number(each) for each in node.input if each),
                outputs=tuple(number(each) for each in node.output if each),
            )
            makers |= dict.fromkeys(made.outputs, made)
            found = self._weights(node)
            if found is not None:
                weights |= dict.fromkeys(made.outputs, found)
            for name in node.output:
                its = self._stored(name, node)
                if its is not None:
                    stored[name] = its
        return Recipe(
            tensors=stored,
            inputs=self._entered(stored),
            float16=any(each.data_type == _FLOAT16 for each in self._graph.initializer),
            _names={index: name for name, index in numbers.items()},
            _makers=makers,
            _weights=weights,
        )

    def _computed(self) -> set[str]:
        live = set(self._inputs)
        for node in self._graph.node:
            if live.intersection(node.input):
                live.update(node.output)
        return live

    def _stored(self, name: str, node: Any) -> Stored | None:
        found = self._scales.of.get(name)
        if found is None or name not in self._live or node.op_type == "DequantizeLinear":
            return None
        return Stored(
            quantization=found, dtype=self._dtype(node), settled=self._settled(name, node)
        )

    def _dtype(self, node: Any) -> str:
        """Type of the integers that an operator makes: that of its zero point, the last input."""
        for name in reversed(node.input):
            dtype = self._scales.dtype(name)
            if dtype in _BITS:
                return dtype
        types = [each.i for each in node.attribute if each.name == "output_dtype"]
        return "int8" if 3 in types else "uint8"

    def _settled(self, name: str, node: Any) -> bool:
        """Whether a result has the scale of what it is made of, or that of all from 0 to 1."""
        if node.op_type == "QuantizeLinear":  # look at what makes the floats
            node = self._makers.get(node.input[0], node)
        own = self._scales.of[name]
        if node.op_type.removeprefix("QLinear") in _WITHIN_ONE and own.axis is None:
            return 1 / 257 < own.scales[0] < 1 / 254
        read = (self._scales.resolved(each) for each in node.input if each in self._live)
        return any(each != name and self._scales.of.get(each) == own for each in read)

    def _entered(self, stored: Mapping[str, Stored]) -> dict[str, Stored]:
        """How the file rounds its inputs, where that is the first thing that it does to them."""
        found = {}
        for node in self._graph.node:
            if node.op_type == "QuantizeLinear" and node.input[0] in self._inputs:
                found[node.input[0]] = stored[node.output[0]]
        return {name: each for name, each in found.items() if each is not None}

    def _weights(self, node: Any) -> Weights | None:
        """The quantized constants of an operator that reads what is computed too."""
        if not self._live.intersection(node.input) or node.op_type == "QuantizeLinear":
            return None
        if node.op_type in _DYNAMIC:
            name = node.input[_DYNAMIC[node.op_type]]
            bits = _BITS.get(self._scales.dtype(name) or "")
            if bits is None:
                return None
            return Weights(bits=bits, per_channel=self._by_channel(node), dynamic=True)
        found = []
        for name in node.input:
            source = self._scales.resolved(name)
            known, bits = self._scales.of.get(source), _BITS.get(self._scales.dtype(source) or "")
            if known is not None and bits is not None:
                found.append(Weights(bits=bits, per_channel=len(known.scales) > 1, dynamic=False))
        return min(found, key=lambda each: (each.bits, each.per_channel), default=None)

    def _by_channel(self, node: Any) -> bool:
        """Whether integers that are multiplied out are scaled by channel afterwards."""
        quantizer = self._makers.get(node.input[0])
        if quantizer is None or quantizer.op_type != "DynamicQuantizeLinear":
            return False
        scale = quantizer.output[1]
        products = (each for each in self._graph.node if each.op_type == "Mul")
        factors = (each.input for each in products if scale in each.input)
        others = (self._scales.constant(name) for read in factors for name in read)
        return any(each is not None and each.size > 1 for each in others)
