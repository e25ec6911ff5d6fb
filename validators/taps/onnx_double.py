"""ONNX models with every floating point number in float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceError

# what rounds is the model's meaning; in float64 it would be another model
_ROUNDING = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


def promoted(content: bytes, folder: Path) -> Any:
    """Return a model whose floating point inputs, constants and results are all of float64.

    Where an operator takes or gives float32 alone, such as the scales of Resize, its inputs are
    rounded just before it.

    Args:
        content: The model.
        folder: Where weights in files of their own lie.

    Raises:
        SourceError: The model rounds to integers, or has operators that ONNX does not define.
    """
    import onnx
    from onnx.external_data_helper import load_external_data_for_model
    from onnx.inliner import inline_local_functions

    model = onnx.load_model_from_string(content)
    load_external_data_for_model(model, str(folder))
    if model.functions:
        model = inline_local_functions(model)
    versions = {each.domain or "ai.onnx": each.version for each in model.opset_import}
    _Promotion(versions).promote(model.graph)
    return model


class _Promotion:
    """Promotes a graph with its bodies in place.

    Args:
        versions: Domain → version of its operators.
    """

    def __init__(self, versions: dict[str, int]) -> None:
        self._versions = versions
        self._casts = 0

    def promote(self, graph: Any) -> None:
        """Promote what a graph declares, stores and computes."""
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.HasField("tensor_type"):  # a value that is shown says no type
                tensor = value.type.tensor_type
                tensor.elem_type = _wide_type(tensor.elem_type)
        for each in graph.initializer:
            each.CopyFrom(_wide(each))
        nodes = [made for node in graph.node for made in self._promoted(node)]
        graph.ClearField("node")
        graph.node.extend(nodes)

    def _promoted(self, node: Any) -> Iterator[Any]:
        import onnx

        if node.op_type in _ROUNDING:
            raise SourceError(f"the model rounds to integers ({node.op_type})")
        for attribute in node.attribute:
            if attribute.HasField("g"):
                self.promote(attribute.g)
            for body in attribute.graphs:
                self.promote(body)
            if attribute.HasField("t"):
                attribute.t.CopyFrom(_wide(attribute.t))
            if attribute.name in ("to", "dtype") and attribute.type == onnx.AttributeProto.INT:
                attribute.i = _wide_type(attribute.i)
        if node.op_type == "Constant":
            _widen_constant(node)
        if node.op_type == "ConstantOfShape" and not node.attribute:
            zero = onnx.numpy_helper.from_array(np.zeros(1))
            node.attribute.append(onnx.helper.make_attribute("value", zero))
        yield from self._with_casts(node)

    def _with_casts(self, node: Any) -> Iterator[Any]:
        """A node, between casts where it knows float32 only."""
        import onnx

        domain = node.domain or "ai.onnx"
        try:
            schema = onnx.defs.get_schema(node.op_type, self._versions.get(domain, 1), node.domain)
        except onnx.defs.SchemaError as error:
            raise SourceError(f"ONNX does not define {node.domain}.{node.op_type}") from error
        after = []
        for place, name in enumerate(node.input):
            formal = schema.inputs[min(place, len(schema.inputs) - 1)]
            if name and _float32_only(formal):
                node.input[place] = self._fresh(name)
                yield onnx.helper.make_node(
                    "Cast", [name], [node.input[place]], to=onnx.TensorProto.FLOAT
                )
        for place, name in enumerate(node.output):
            formal = schema.outputs[min(place, len(schema.outputs) - 1)]
            if name and _float32_only(formal):
                node.output[place] = self._fresh(name)
                after.append(
                    onnx.helper.make_node(
                        "Cast", [node.output[place]], [name], to=onnx.TensorProto.DOUBLE
                    )
                )
        yield node
        yield from after

    def _fresh(self, name: str) -> str:
        self._casts += 1
        return f"{name}:float32:{self._casts}"


def _float32_only(formal: Any) -> bool:
    return "tensor(float)" in formal.types and "tensor(double)" not in formal.types


def _wide_type(kind: int) -> int:
    import onnx

    short = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    return int(onnx.TensorProto.DOUBLE) if kind in short else kind


def _wide(tensor: Any) -> Any:
    import onnx

    if _wide_type(tensor.data_type) == tensor.data_type:
        return tensor
    array = onnx.numpy_helper.to_array(tensor).astype(np.float64)
    return onnx.numpy_helper.from_array(array, tensor.name)


def _widen_constant(node: Any) -> None:
    """Let a constant that is given as numbers be a tensor, whose type can be said."""
    import onnx

    for attribute in list(node.attribute):
        if attribute.name in ("value_float", "value_floats"):
            values = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            tensor = onnx.numpy_helper.from_array(np.array(values, np.float64))
            node.attribute.remove(attribute)
            node.attribute.append(onnx.helper.make_attribute("value", tensor))
