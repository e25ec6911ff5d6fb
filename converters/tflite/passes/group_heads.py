"""Lets heads of attention that share a key read that key, not copies of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..ir import Graph, Op, Value, constant, integers
from ..layout.network import is_transpose
from ..layout.rules import POINTWISE
from ..operators import OPERATORS
from ..sizes import Dim, Shape, Size, example, product
from .leave_broadcasts import repeated_operand

Parts = tuple[Size, Size]

_RANK = 4  # of tensors whose heads are split; one axis more is what BATCH_MATMUL takes


def group_heads(graph: Graph) -> None:
    """Split the axis of the heads into groups where each group has a key of its own.

    Keys and values are repeated for all heads of a group, which copies them. With the groups as an
    axis, BATCH_MATMUL broadcasts them instead. Afterwards no BATCH_MATMUL of rank 4 has a second
    operand whose heads were only repeated.
    """
    grouping = _Grouping(graph)
    for op in list(graph.ops):
        grouping.visit(op)


@dataclass
class _Grouping:
    """The rewriting of one graph; old operators are left to die.

    Attributes:
        graph: The graph.
        done: Value, axis and parts → the value with that axis split.
    """

    graph: Graph
    done: dict[tuple[Value, int, Parts], Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = self.graph.producers()
        self.users = self.graph.users()
        self.outputs = set(self.graph.outputs)
        self.added: list[Op] = []

    def visit(self, op: Op) -> None:
        """Regroup a product with repeated heads, and all that leads to it and from it."""
        found = self._repeated_heads(op)
        if found is None or any(key[0] is op.output for key in self.done):
            return
        axis, parts = found
        last, axis, readers = self._follow(op.output, axis)
        self.added = []
        split = self._split(last, axis, parts)
        if all(reader.kind == "RESHAPE" for reader in readers) and last not in self.outputs:
            for reader in readers:
                reader.inputs[0] = split
        else:
            joined = Value(shape=last.shape, dtype=last.dtype, origins=last.origins)
            self._add("RESHAPE", [split, _sizes(last.shape)], joined, op.layers)
            self.graph.replace({last: joined})
        first = min((self.graph.ops.index(reader) for reader in readers), default=None)
        place = len(self.graph.ops) if first is None else first
        self.graph.ops[place:place] = self.added

    def _repeated_heads(self, op: Op) -> tuple[int, Parts] | None:
        """The axis of the heads, and how many keys there are, of how many heads each."""
        if op.kind != "BATCH_MATMUL" or op.output.rank != _RANK or op.inputs[1] is None:
            return None
        joined = self.source.get(op.inputs[1])
        if joined is None or joined.kind != "RESHAPE" or joined.inputs[0] is None:
            return None
        heads = joined.inputs[0]
        axis = 1
        if heads.rank != _RANK + 1 or op.inputs[0] is None or op.inputs[0].rank != _RANK:
            return None
        parts = heads.shape[axis], heads.shape[axis + 1]
        same = (*heads.shape[:axis], product(parts), *heads.shape[axis + 2 :]) == op.inputs[1].shape
        if not same or op.inputs[0].shape[axis] != op.inputs[1].shape[axis]:
            return None
        return (axis, parts) if self._key(heads, axis) is not None else None

    def _key(self, heads: Value, axis: int) -> Value | None:
        """The tensor of which a tensor with groups is a repetition, without the axis of groups."""
        op = self.source.get(heads)
        thin = repeated_operand(op) if op is not None else None
        if thin is None or thin.shape[axis + 1] != 1:
            return None
        if thin.shape != (*heads.shape[: axis + 1], 1, *heads.shape[axis + 2 :]):
            return None
        before = self.source.get(thin)
        shape = (*thin.shape[: axis + 1], *thin.shape[axis + 2 :])
        if before is None or before.kind != "RESHAPE" or before.inputs[0] is None:
            return None
        return before.inputs[0] if before.inputs[0].shape == shape else None

    def _follow(self, value: Value, axis: int) -> tuple[Value, int, list[Op]]:
        """Go on to the last value that still has the heads as an axis of its own."""
        while True:
            readers = list(dict.fromkeys(self.users.get(value, [])))
            if len(readers) != 1 or value in self.outputs or len(readers[0].outputs) != 1:
                return value, axis, readers
            (op,) = readers
            if is_transpose(op):
                axis = self._order(op).index(axis)
            elif not self._continues(op, value, axis):
                return value, axis, readers
            value = op.output

    def _continues(self, op: Op, value: Value, axis: int) -> bool:
        """Whether an operator has its operand's heads as the same axis."""
        if not self._keeps(op, axis) or op.inputs[0] is None:
            return False
        if op.kind == "BATCH_MATMUL":
            return op.inputs[0] is value and op.output.shape[axis] == value.shape[axis]
        return op.output.shape == value.shape

    def _split(self, value: Value, axis: int, parts: Parts) -> Value:
        """The value with an axis split into two."""
        key = (value, axis, parts)
        if key not in self.done:
            self.done[key] = self._made(value, axis, parts)
        return self.done[key]

    def _made(self, value: Value, axis: int, parts: Parts) -> Value:
        shape = (*value.shape[:axis], *parts, *value.shape[axis + 1 :])
        if value.data is not None:
            return constant(value.data.reshape([example(size) for size in shape]))
        made = Value(
            shape=shape,
            dtype=value.dtype,
            origins=[replace(each, reshaped=True) for each in value.origins],
        )
        op = self.source.get(value)
        if op is not None and op.kind == "RESHAPE" and op.inputs[0] is not None:
            key = self._key(op.inputs[0], axis) if op.inputs[0].shape == shape else None
            if key is not None:
                return self._split(key, axis, (parts[0], 1))
            self._add("RESHAPE", [op.inputs[0], _sizes(shape)], made, op.layers)
        elif op is not None and is_transpose(op):
            order = self._order(op)
            assert op.inputs[0] is not None
            operand = self._split(op.inputs[0], order[axis], parts)
            self._add("TRANSPOSE", [operand, _split_order(order, axis)], made, op.layers)
        elif op is not None and not self._only_ones(value, axis) and self._keeps(op, axis):
            options = dict(op.options)
            if op.kind == "CONCATENATION":
                options["axis"] += options["axis"] > axis
            if op.kind == "SLICE":
                inputs = _sliced(op, self._operand(op, op.inputs[0], axis, parts), axis, made)
            else:
                inputs = [self._operand(op, each, axis, parts) for each in op.inputs]
            self._add(op.kind, inputs, made, op.layers, options)
        else:
            self._add("RESHAPE", [value, _sizes(shape)], made, op.layers if op else ())
        return made

    def _only_ones(self, value: Value, axis: int) -> bool:
        """Whether a value broadcasts to any shape with one more axis in front."""
        return all(size == 1 for size in value.shape[: axis + 1])

    def _keeps(self, op: Op, axis: int) -> bool:
        """Whether an operator works for each index of an axis alike, or broadcasts along it."""
        operands = [value for value in op.inputs if value is not None]
        if op.kind in POINTWISE:
            small = all(v.rank == op.output.rank or v.elements == 1 for v in operands)
            return small and op.output.dtype == "float32"
        if op.kind == "SLICE":
            constants = all(value.is_constant for value in operands[1:])
            return constants and operands[0].shape[axis] == op.output.shape[axis]
        if op.kind == "CONCATENATION":
            return bool(axis != op.options["axis"])
        if op.kind == "SOFTMAX":
            return axis != op.output.rank - 1
        return (
            op.kind == "BATCH_MATMUL"
            and axis < op.output.rank - 2
            and all(value.rank == op.output.rank for value in operands)
        )

    def _operand(self, op: Op, value: Value | None, axis: int, parts: Parts) -> Value | None:
        if value is None or value.rank != op.output.rank:
            return value
        return self._split(value, axis, (1, 1) if value.shape[axis] == 1 else parts)

    def _order(self, op: Op) -> list[int]:
        assert op.inputs[1] is not None
        assert op.inputs[1].data is not None
        return [int(axis) for axis in op.inputs[1].data]

    def _add(
        self,
        kind: str,
        inputs: list[Value | None],
        made: Value,
        layers: tuple[str, ...],
        options: dict[str, object] | None = None,
    ) -> None:
        options = dict(options or OPERATORS[kind].defaults)
        if kind == "RESHAPE":
            options["new_shape"] = [-1 if isinstance(s, Dim) else s for s in made.shape]
        infer = OPERATORS[kind].infer
        shape = infer(inputs, options)[0] if infer is not None else made.shape
        if shape != made.shape:  # of a key that is not repeated any more
            made.shape, made.origins = shape, []
        op = Op(kind, inputs, [made], options, layers)
        self.added.append(op)
        self.source[made] = op


def _sizes(shape: Shape) -> Value:
    return integers(-1 if isinstance(size, Dim) else size for size in shape)


def _sliced(op: Op, operand: Value | None, axis: int, made: Value) -> list[Value | None]:
    """The inputs of a slice that takes all of two axes in the place of one."""
    assert op.inputs[1] is not None
    assert op.inputs[1].data is not None
    begin = [int(each) for each in op.inputs[1].data]
    return [operand, integers([*begin[: axis + 1], 0, *begin[axis + 1 :]]), _sizes(made.shape)]


def _split_order(order: list[int], axis: int) -> Value:
    """A permutation after the axis that comes to lie at ``axis`` was split into two."""
    split = order[axis]
    wide: list[int] = []
    for place in order:
        wide.append(place + (place > split))
        if place == split:
            wide.append(place + 1)
    return integers(np.array(wide, dtype=np.int32))
