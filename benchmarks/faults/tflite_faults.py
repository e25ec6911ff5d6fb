"""Faults in TFLite files, by the object API of LiteRT's schema."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from bridge.validators.cutting.tflite import packed, unpacked

from .changes import (
    Array,
    changed_array,
    equal_axes,
    exchanged,
    moved_axis,
    one_sided,
    other_broadcast,
    shifted_slice,
)
from .edits import TFLITE, Edit, FaultKind
from .sites import Apply, FaultyFile, Injected, Operator

_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}
_NONE = schema.ActivationFunctionType.NONE
_RELU_N1_TO_1 = schema.ActivationFunctionType.RELU_N1_TO_1
_OPTIONS: dict[str, Any] = {
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "RESIZE_NEAREST_NEIGHBOR": schema.ResizeNearestNeighborOptionsT,
}


class TfliteFile(FaultyFile):
    """A TFLite file; faults go to its main graph."""

    carrier = TFLITE
    dtypes: Mapping[int, Any] = _DTYPES
    changeable = "f"  # kinds of numbers that a change of values makes sense for

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.model = unpacked(path.read_bytes())
        self.graph = self.model.subgraphs[0]
        computed = {int(each) for each in self.graph.inputs}
        computed |= {int(each) for op in self.graph.operators for each in op.outputs}
        self.names = [
            each.name.decode() if index in computed else f"constant {index}"
            for index, each in enumerate(self.graph.tensors)
        ]
        self.operators = [
            Operator(
                index=index,
                kind=_NAMES[self.model.operatorCodes[op.opcodeIndex].builtinCode],
                inputs=tuple(self.names[each] for each in op.inputs if each >= 0),
                outputs=tuple(self.names[each] for each in op.outputs),
            )
            for index, op in enumerate(self.graph.operators)
        ]

    def edits(self, kind: FaultKind) -> Sequence[Edit]:
        """Return how a kind is made in TFLite."""
        return kind.edits.get(self.carrier, ())

    def plan(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        """Return what makes the edit, or ``None``."""
        if edit.feeds and not self._feeds(operator, edit.feeds):
            return None
        return getattr(self, f"_{edit.how}")(operator, edit, rng)  # type: ignore[no-any-return]

    def save(self) -> Injected:
        """Return the file as it is now."""
        return Injected(content=packed(self.model))

    def _feeds(self, operator: Operator, kinds: Sequence[str]) -> bool:
        return any(
            set(each.inputs) & set(operator.outputs)
            for each in self.operators
            if each.kind in kinds
        )

    def _op(self, operator: Operator) -> Any:
        return self.graph.operators[operator.index]

    def _shape(self, index: int) -> tuple[int, ...]:
        shape = self.graph.tensors[index].shape
        return tuple(int(size) for size in (shape if shape is not None else ()))

    def _array(self, index: int) -> Array | None:
        """A constant's elements; ``None`` if the tensor is computed or of another type."""
        if index < 0:
            return None
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or not len(data) or tensor.type not in self.dtypes:
            return None
        return np.frombuffer(bytes(data), self.dtypes[tensor.type]).reshape(self._shape(index))

    def _attribute(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        op, name = self._op(operator), str(edit.at)
        options = op.builtinOptions
        if edit.change == "dilated":
            made = self._dilated(op)
        else:
            made = _changed(options, edit, getattr(options, name, None))
        if made is None or all(getattr(options, each) == made[each] for each in made):
            return None

        def apply() -> None:
            for each, value in made.items():
                setattr(options, each, value)

        return apply

    def _dilated(self, op: Any) -> dict[str, Any] | None:
        """Dilation 2, where SAME padding of a stride of 1 keeps the shape."""
        options, weight = op.builtinOptions, self._shape(op.inputs[1])
        same = options.padding == schema.Padding.SAME
        plain = options.strideH == options.strideW == 1 == options.dilationHFactor
        if not (same and plain and options.dilationWFactor == 1 and max(weight[1:3]) > 1):
            return None
        return {
            "dilationHFactor": 2 if weight[1] > 1 else 1,
            "dilationWFactor": 2 if weight[2] > 1 else 1,
        }

    def _constant(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        op, place = self._op(operator), int(edit.at)
        if operator.kind in ("MUL", "DIV", "ADD", "MINIMUM"):
            arrays = [self._array(each) for each in op.inputs]
            place = next((n for n, each in enumerate(arrays) if each is not None), place)
        array = self._array(op.inputs[place]) if place < len(op.inputs) else None
        if array is None:
            return None
        made = self._changed_constant(op, edit, array, rng)
        if made is None or (np.array_equal(made, array) and made.shape == array.shape):
            return None
        return lambda: self._replace(op, place, made)

    def _changed_constant(
        self, op: Any, edit: Edit, array: Array, rng: np.random.Generator
    ) -> Array | None:
        shape, written = self._shape(op.inputs[0]), self._shape(op.outputs[0])
        if edit.change == "one side":
            for axis in reversed(range(len(array))):
                moved = one_sided(*array[axis].tolist())
                if moved is not None:
                    made = array.copy()
                    made[axis] = moved
                    return made
            return None
        if edit.change == "equal sizes":
            pairs = equal_axes(written)
            return np.array(exchanged(array.tolist(), *pairs[0]), array.dtype) if pairs else None
        if edit.change == "equal size":
            axis = moved_axis(int(array.reshape(-1)[0]), shape) if array.size == 1 else None
            return None if axis is None else np.full_like(array, axis)
        if edit.change == "other broadcast":
            return other_broadcast(array, written)
        if array.dtype.kind not in self.changeable and edit.change != "roll":
            return None
        by = 0.0 if edit.by is None else float(edit.by)
        axis = min(edit.axis, array.ndim - 1)
        return changed_array(edit.change, array, axis=axis, by=by, rng=rng)

    def _replace(self, op: Any, place: int, array: Array) -> None:
        """Give an operator a constant of its own; others may read the old one."""
        tensor = copy.copy(self.graph.tensors[op.inputs[place]])
        tensor.shape = np.array(array.shape, np.int32)
        tensor.buffer = len(self.model.buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        op.inputs = [*op.inputs[:place], len(self.graph.tensors) - 1, *op.inputs[place + 1 :]]

    def _slice(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        op = self._op(operator)
        begin, size = (self._array(each) for each in op.inputs[1:3])
        if begin is None or size is None:
            return None
        for axis, whole in enumerate(self._shape(op.inputs[0])):
            start = int(begin[axis])
            end = whole if size[axis] < 0 else start + int(size[axis])
            moved = shifted_slice(start, end, whole)
            if moved is not None:
                begins, sizes = begin.copy(), size.copy()
                begins[axis], sizes[axis] = moved[0], moved[1] - moved[0]

                return partial(self._replace_slice, op, begins, sizes)
        return None

    def _replace_slice(self, op: Any, begins: Array, sizes: Array) -> None:
        self._replace(op, 1, begins)
        self._replace(op, 2, sizes)

    def _operator(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        op = self._op(operator)

        def apply() -> None:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, edit.by)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = 3 if edit.by == "RESIZE_NEAREST_NEIGHBOR" else 1
            self.model.operatorCodes.append(code)
            op.opcodeIndex = len(self.model.operatorCodes) - 1
            before, made = op.builtinOptions, _OPTIONS.get(edit.by)
            op.builtinOptions = made() if made else None
            name = made.__name__.removesuffix("T") if made else "NONE"
            op.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            for each in vars(op.builtinOptions) if made else ():
                setattr(op.builtinOptions, each, getattr(before, each))

        return apply

    def _operands(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        op = self._op(operator)
        if len(op.inputs) < 2 or op.inputs[0] == op.inputs[1]:
            return None
        if self._shape(op.inputs[0]) != self._shape(op.inputs[1]):
            return None

        def apply() -> None:
            op.inputs = [op.inputs[1], op.inputs[0], *op.inputs[2:]]

        return apply


def _changed(options: Any, edit: Edit, before: Any) -> dict[str, Any] | None:
    """The options that a change sets."""
    name = str(edit.at)
    if edit.change == "to":
        return {name: edit.by}
    if edit.change == "flip":
        return {name: not before}
    if edit.change == "dropped":
        return {name: _NONE} if before != _NONE else None
    if edit.change == "bounded":  # ReLU6 is cut lower, and so is ReLU
        return {name: _RELU_N1_TO_1} if before != _NONE else None
    if edit.change == "corners":
        return {"alignCorners": not before, "halfPixelCenters": before}
    if edit.change == "asymmetric":
        return {"alignCorners": False, "halfPixelCenters": not before}
    return None
