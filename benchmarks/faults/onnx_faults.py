"""Faults in ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

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
from .edits import ONNX, Edit, FaultKind
from .sites import Apply, FaultyFile, Injected, Operator

# what another operator needs beside the inputs that it takes over
_EXTRA_ATTRIBUTES: dict[str, dict[str, Any]] = {"HardSigmoid": {"alpha": 1 / 6, "beta": 0.5}}


class OnnxFile(FaultyFile):
    """An ONNX file whose weights lie in it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.model = onnx.load(path)
        self.graph = self.model.graph
        self.constants = {each.name: each for each in self.graph.initializer}
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.types = {each.name: each.type.tensor_type.elem_type for each in values}
        self.shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in values
            if value.type.tensor_type.HasField("shape")
        }
        self.shapes |= {name: tuple(each.dims) for name, each in self.constants.items()}
        self.operators = [
            Operator(
                index=index, kind=node.op_type, inputs=tuple(node.input), outputs=tuple(node.output)
            )
            for index, node in enumerate(self.graph.node)
        ]

    def edits(self, kind: FaultKind) -> Sequence[Edit]:
        """Return how a kind is made in ONNX."""
        return kind.edits.get(ONNX, ())

    def plan(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        """Return what makes the edit, or ``None``."""
        node = self.graph.node[operator.index]
        if edit.feeds and not self._feeds(node, edit.feeds):
            return None
        return getattr(self, f"_{edit.how}")(node, edit, rng)  # type: ignore[no-any-return]

    def save(self) -> Injected:
        """Return the file as it is now."""
        return Injected(content=self.model.SerializeToString())

    def _feeds(self, node: Any, kinds: Sequence[str]) -> bool:
        return any(
            set(each.input) & set(node.output) for each in self.graph.node if each.op_type in kinds
        )

    def _attribute(self, node: Any, edit: Edit, rng: np.random.Generator) -> Apply | None:
        stored = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        before = stored.get(str(edit.at), edit.default)
        before = before.decode() if isinstance(before, bytes) else before
        made = self._changed(node, edit, before, stored)
        if made is None or all(stored.get(name) == value for name, value in made.items()):
            return None

        def apply() -> None:
            kept = [each for each in node.attribute if each.name not in made]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.extend(helper.make_attribute(*each) for each in made.items())

        return apply

    def _changed(
        self, node: Any, edit: Edit, before: Any, stored: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The attributes that a change sets."""
        name, shape = str(edit.at), self.shapes.get(node.input[0])
        if edit.change == "to":
            return {name: edit.by}
        if edit.change == "times":
            return {name: before * edit.by}
        if edit.change == "flip":
            return {name: 1 - before}
        if edit.change == "other":
            first, second = edit.by
            return {name: second if before == first else first}
        if edit.change == "one side":
            return _one_side(before)
        if edit.change == "dilated":
            return _dilated(before, stored)
        if edit.change == "equal sizes" and before is not None and shape is not None:
            pairs = equal_axes(tuple(shape[axis] for axis in before))
            return {name: exchanged(before, *pairs[0])} if pairs else None
        if edit.change == "other axis" and shape is not None:
            axis = before % len(shape)
            others = [each for each, size in enumerate(shape) if each != axis and size > 1]
            return {name: moved_axis(axis, shape) or others[-1]} if others else None
        return None

    def _constant(self, node: Any, edit: Edit, rng: np.random.Generator) -> Apply | None:
        place = int(edit.at)
        if edit.change == "other broadcast" or node.op_type in ("Mul", "Div", "Add"):
            place = next((n for n, name in enumerate(node.input) if name in self.constants), place)
        if place >= len(node.input) or node.input[place] not in self.constants:
            return None
        array = numpy_helper.to_array(self.constants[node.input[place]])
        made = self._changed_constant(node, edit, array, rng)
        if made is None:
            return None

        def apply() -> None:
            name = f"{node.input[place]}_with_fault"
            self.graph.initializer.append(numpy_helper.from_array(made, name))
            node.input[place] = name

        return apply

    def _changed_constant(
        self, node: Any, edit: Edit, array: Array, rng: np.random.Generator
    ) -> Array | None:
        shape = self.shapes.get(node.input[0])
        if edit.change == "equal size":
            if array.size != 1 or shape is None:
                return None
            axis = moved_axis(int(array.item()), shape)
            return None if axis is None else np.full_like(array, axis)
        if edit.change == "other broadcast":
            return other_broadcast(array, self.shapes.get(node.output[0]))
        if array.dtype.kind != "f" and edit.change != "roll":
            return None
        axis = edit.axis
        if node.op_type == "Gemm" and edit.at == 1:
            stored = {each.name: each.i for each in node.attribute}
            axis = 0 if stored.get("transB") else 1
        by = 0.0 if edit.by is None else float(edit.by)
        return changed_array(edit.change, array, axis=min(axis, array.ndim - 1), by=by, rng=rng)

    def _slice(self, node: Any, edit: Edit, rng: np.random.Generator) -> Apply | None:
        shape = self.shapes.get(node.input[0])
        stored = [self.constants.get(name) for name in node.input[1:]]
        if shape is None or len(stored) < 3 or None in stored:
            return None
        starts, ends, axes, *steps = (numpy_helper.to_array(each).copy() for each in stored)
        if starts.size != 1 or (steps and steps[0].item() != 1):
            return None
        moved = shifted_slice(int(starts[0]), int(ends[0]), shape[int(axes[0])])
        if moved is None:
            return None

        def apply() -> None:
            for place, value in enumerate(moved, 1):
                name = f"{node.input[place]}_with_fault_{place}"
                self.graph.initializer.append(
                    numpy_helper.from_array(np.array([value], np.int64), name)
                )
                node.input[place] = name

        return apply

    def _operator(self, node: Any, edit: Edit, rng: np.random.Generator) -> Apply | None:
        def apply() -> None:
            node.op_type, node.domain = edit.by, ""
            del node.attribute[:]
            extra = _EXTRA_ATTRIBUTES.get(edit.by, {})
            node.attribute.extend(helper.make_attribute(*each) for each in extra.items())
            if edit.by not in ("Add", "Sub"):
                del node.input[1:]

        return apply

    def _logarithm(self, node: Any, edit: Edit, rng: np.random.Generator) -> Apply | None:
        """The result plus 0 · log(result + by): NaN where that is negative."""
        name = node.output[0]
        if self.types.get(name) != onnx.TensorProto.FLOAT:
            return None

        def apply() -> None:
            given, moved, root, nothing = (f"{name}_with_fault_{step}" for step in range(4))
            constants = f"{name}_with_fault_by", f"{name}_with_fault_zero"
            for each, value in zip(constants, (edit.by, 0.0), strict=True):
                array = np.array(value, np.float32)
                self.graph.initializer.append(numpy_helper.from_array(array, each))
            node.output[0] = given
            place = list(self.graph.node).index(node) + 1
            for kind, inputs, output in (
                ("Add", (given, nothing), name),
                ("Mul", (root, constants[1]), nothing),
                ("Log", (moved,), root),
                ("Add", (given, constants[0]), moved),
            ):
                self.graph.node.insert(place, helper.make_node(kind, inputs, [output]))

        return apply

    def _operands(self, node: Any, edit: Edit, rng: np.random.Generator) -> Apply | None:
        first, second = node.input[0], node.input[1] if len(node.input) > 1 else ""
        shapes = self.shapes.get(first), self.shapes.get(second)
        if first == second or None in shapes or shapes[0] != shapes[1]:
            return None

        def apply() -> None:
            node.input[0], node.input[1] = second, first

        return apply


def _one_side(pads: list[int] | None) -> dict[str, Any] | None:
    """Padding of the last axis that has any, moved to one side."""
    half = len(pads or ()) // 2
    for axis in reversed(range(half)):
        moved = one_sided(pads[axis], pads[half + axis])
        if moved is not None:
            made = list(pads)
            made[axis], made[half + axis] = moved
            return {"pads": made, "auto_pad": "NOTSET"}
    return None


def _dilated(before: list[int] | None, stored: dict[str, Any]) -> dict[str, Any] | None:
    """Dilation 2 and the padding that keeps the shape, of a kernel wider than 1."""
    kernel, pads = stored.get("kernel_shape", []), stored.get("pads", [])
    if any(each != 1 for each in before or ()) or max(kernel, default=1) == 1 or not any(pads):
        return None
    wide = [size - 1 for size in kernel]
    if any(size % 2 for size in wide):
        return None
    half = [size // 2 for size in wide]
    return {
        "dilations": [2] * len(kernel),
        "pads": [pad + more for pad, more in zip(pads, half * 2, strict=True)],
    }
