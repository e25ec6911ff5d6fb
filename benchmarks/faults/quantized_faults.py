"""Faults in TFLite files of integers: wrong scales and zero points, and wrong integers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .edits import INT8, Edit
from .sites import Apply, Operator
from .tflite_faults import TfliteFile

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
# what reads any scale; other kernels need that of their result, or a fixed one
_READERS = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "ADD", "SUB", "MUL"),
    *("MEAN", "SUM", "DEQUANTIZE", "QUANTIZE", "GELU", "HARD_SWISH", "PRELU", "LEAKY_RELU", "ELU"),
    *("LOGISTIC", "TANH", "SOFTMAX", "SQUARED_DIFFERENCE", "SQUARE"),
}
_DTYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}


class QuantizedFile(TfliteFile):
    """A TFLite file whose activations are integers of 8 bits."""

    carrier = INT8
    dtypes = _DTYPES
    changeable = "i"

    def _quantization(
        self, operator: Operator, edit: Edit, rng: np.random.Generator
    ) -> Apply | None:
        op = self._op(operator)
        if edit.at == "result":
            return self._of_result(op, edit)
        if edit.at == "inputs":
            return self._exchanged(op)
        return self._of_constant(op, int(edit.at), edit, rng)

    def _stored(self, index: int) -> Any:
        """Scales and zero points of a tensor; ``None`` if it has none."""
        found = self.graph.tensors[index].quantization if index >= 0 else None
        return found if found is not None and found.scale is not None else None

    def _of_result(self, op: Any, edit: Edit) -> Apply | None:
        (index,) = op.outputs
        stored = self._stored(index)
        readers = [each for each in self.graph.operators if index in list(each.inputs)]
        kinds = {self.operators[self.graph.operators.index(each)].kind for each in readers}
        if stored is None or not readers or not kinds <= _READERS:
            return None

        def apply() -> None:
            if edit.change == "shift":
                before = int(stored.zeroPoint[0])
                stored.zeroPoint = [before + edit.by if before <= 0 else before - edit.by]
                return
            stored.scale = [float(stored.scale[0]) * edit.by]
            for each in readers:
                self._rescale_bias(each, index, 1 / edit.by)

        return apply

    def _rescale_bias(self, op: Any, read: int, factor: float) -> None:
        """Store a bias in the steps that follow from the scale of what is read."""
        kind = self.operators[self.graph.operators.index(op)].kind
        if kind not in _WEIGHTED or op.inputs[0] != read:
            return
        bias = self._array(op.inputs[2]) if len(op.inputs) > 2 else None
        if bias is None:
            return
        self._replace(op, 2, np.rint(bias * factor).astype(bias.dtype))
        self._give_scales(op, 2, lambda scales: scales / factor)

    def _give_scales(self, op: Any, place: int, change: Callable[[Any], Any]) -> None:
        """Give a constant of its own to an operator, with other scales."""
        tensor = copy.copy(self.graph.tensors[op.inputs[place]])
        tensor.quantization = copy.copy(tensor.quantization)
        scales = np.asarray(change(np.asarray(tensor.quantization.scale, np.float64)))
        tensor.quantization.scale = scales.astype(np.float32)
        tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
        self.graph.tensors.append(tensor)
        op.inputs = [*op.inputs[:place], len(self.graph.tensors) - 1, *op.inputs[place + 1 :]]

    def _of_constant(
        self, op: Any, place: int, edit: Edit, rng: np.random.Generator
    ) -> Apply | None:
        """Other scales of a weight, or a bias in other steps."""
        array = self._array(op.inputs[place]) if place < len(op.inputs) else None
        stored = self._stored(op.inputs[place]) if array is not None else None
        if array is None or stored is None:
            return None
        if edit.change == "of result":
            (index,) = op.outputs
            ratio = np.asarray(stored.scale, np.float64) / float(self._stored(index).scale[0])
            made = np.rint(array * ratio).astype(array.dtype)
            return None if np.array_equal(made, array) else lambda: self._replace(op, place, made)
        scales = np.asarray(stored.scale, np.float64)
        if edit.change != "all" and len(scales) < 2:
            return None
        changed = {
            "all": lambda: scales * edit.by,
            "channel": lambda: (
                scales * np.where(np.arange(len(scales)) == rng.integers(len(scales)), edit.by, 1.0)
            ),
            "roll": lambda: np.roll(scales, edit.by),
            "merged": lambda: np.full_like(scales, scales.mean()),
        }[edit.change]()
        return lambda: self._give_scales(op, place, lambda _: changed)

    def _exchanged(self, op: Any) -> Apply | None:
        """Read the first of two inputs as if its integers were in the steps of the second."""
        inputs = [int(each) for each in op.inputs]
        computed = {int(each) for other in self.graph.operators for each in other.outputs}
        if len(inputs) < 2 or inputs[0] not in computed or inputs[1] not in computed:
            return None
        one, other = (self._stored(each) for each in inputs[:2])
        if one is None or other is None or float(one.scale[0]) == float(other.scale[0]):
            return None

        def apply() -> None:
            tensor = copy.copy(self.graph.tensors[inputs[0]])
            tensor.name = tensor.name + b"/as_the_other"
            tensor.quantization = other
            self.graph.tensors.append(tensor)
            read = len(self.graph.tensors) - 1
            self.graph.operators.insert(
                self.graph.operators.index(op), self._reshape(inputs[0], read)
            )
            op.inputs = [read, *inputs[1:]]

        return apply

    def _reshape(self, index: int, made: int) -> Any:
        """An operator that hands on a tensor's integers as they are."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
        code.version = 1
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = [index], [made]
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema.ReshapeOptionsT()
        operator.builtinOptions.newShape = np.array(self._shape(index), np.int32)
        return operator
