"""What the integers of an ONNX graph stand for, and which of its values they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifact import Quantization

_RESULT = -1
# operator → places of a value, its scale and its zero point among its inputs
_TRIPLES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "QuantizeLinear": ((_RESULT, 1, 2),),
    "DequantizeLinear": ((0, 1, 2),),
    "QGemm": ((0, 1, 2), (3, 4, 5), (_RESULT, 7, 8)),
    **dict.fromkeys(
        ("QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul"),
        ((0, 1, 2), (3, 4, 5), (_RESULT, 6, 7)),
    ),
    **dict.fromkeys(
        (
            "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QLinearAveragePool",
            "QLinearGlobalAveragePool", "QLinearReduceMean",
        ),
        ((0, 1, 2), (_RESULT, 3, 4)),
    ),
}  # fmt: skip
_LISTING = "QLinearConcat"  # scale and zero point of the result, and then triples


@dataclass(frozen=True)
class OnnxScales:
    """Scales and zero points of a graph; those that are computed are unknown.

    Attributes:
        graph: The graph.
    """

    graph: Any

    @cached_property
    def of(self) -> Mapping[str, Quantization]:
        """Value of integers → what they stand for."""
        found: dict[str, Quantization] = {}
        for node in self.graph.node:
            for value, scale, zero_point in _triples(node):
                known = self._quantization(node, scale, zero_point)
                if known is not None:
                    found[value] = known
        return found

    @cached_property
    def stored(self) -> Mapping[str, str]:
        """Value of floats → value of integers that holds it, and that other operators compute with.

        What DequantizeLinear makes is held by what it reads. What QuantizeLinear reads is held by
        what it makes, if nothing else reads it: whoever runs the file may then compute the integers
        at once.
        """
        readers: dict[str, int] = {each.name: 1 for each in self.graph.output}
        for node in self.graph.node:
            for name in node.input:
                readers[name] = readers.get(name, 0) + 1
        given = {each.name for each in self.graph.input}
        found: dict[str, str] = {}
        for node in self.graph.node:
            read, made = node.input[0] if node.input else "", node.output[0] if node.output else ""
            if node.op_type == "DequantizeLinear":
                found[made] = read
            elif node.op_type == "QuantizeLinear" and readers[read] == 1 and read not in given:
                found[read] = made
        return found

    def resolved(self, name: str) -> str:
        """Return the value of integers that holds a value; the value itself if there is none."""
        seen = set()
        while name in self.stored and name not in seen:
            seen.add(name)
            name = self.stored[name]
        return name

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return a constant's elements; ``None`` if it is none, or lies in a file of its own."""
        import onnx

        tensor = self._constants.get(name)
        if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        array: NDArray[Any] = onnx.numpy_helper.to_array(tensor)
        return array

    def dtype(self, name: str) -> str | None:
        """Return the type of a constant's elements, as NumPy or ml_dtypes names it."""
        import onnx

        tensor = self._constants.get(name)
        if tensor is None:
            return None
        return str(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))

    @cached_property
    def _constants(self) -> dict[str, Any]:
        found = {each.name: each for each in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant":
                for attribute in node.attribute:
                    if attribute.name == "value":
                        found[node.output[0]] = attribute.t
        return found

    def _quantization(self, node: Any, scale: str, zero_point: str) -> Quantization | None:
        scales = self.constant(scale)
        if scales is None or scales.ndim > 1:  # blocks of a channel have more
            return None
        zeros = self.constant(zero_point) if zero_point else None
        flat = np.zeros(scales.size) if zeros is None else zeros.astype(np.int64).ravel()
        axes = [each.i for each in node.attribute if each.name == "axis"]
        default = 0 if node.op_type.startswith("QLinear") else 1
        return Quantization(
            scales=tuple(float(each) for each in scales.ravel()),
            zero_points=tuple(int(each) for each in np.broadcast_to(flat, scales.size)),
            axis=(axes or [default])[0] if scales.size > 1 else None,
        )


def _triples(node: Any) -> Iterator[tuple[str, str, str]]:
    """Names of a value, its scale and its zero point, where an operator has them."""
    names = [*node.input, *([""] * 3)]
    places = list(_TRIPLES.get(node.op_type, ()))
    if node.op_type == _LISTING:
        yield node.output[0], names[0], names[1]
        places = [(place, place + 1, place + 2) for place in range(2, len(node.input), 3)]
    for value, scale, zero_point in places:
        if scale < len(node.input) and names[scale]:
            its = node.output[0] if value == _RESULT else names[value]
            zero = names[zero_point] if zero_point < len(node.input) else ""
            yield its, names[scale], zero
