"""What each operator demands of the order of its operands' axes, and how it is rewritten for one.

A rule turns a *label* into the order in which each operand must lie in memory, and the order in
which each result then lies. Orders are permutations of the operator's own axes. An operator with a
free choice has many labels; one that is bound to its axes (a convolution is NHWC) has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..ir import Op, Permutation, Value, constant, identity, integers, inverse
from ..sizes import Dim
from .axes import Groups, regrouped, same_memory
from .renaming import Renaming, move_constants, names_no_axes, renaming_of

Label = Permutation


@dataclass
class Rule:
    """The rule of one operator; this one binds every operand and result to its own order.

    Attributes:
        op: The operator.
    """

    op: Op

    @property
    def start(self) -> Label:
        """The label that leaves the operator as it is."""
        return ()

    def operands(self) -> Iterator[tuple[int, Value]]:
        """Index and value of each operand whose order the label decides."""
        return self.op.live_inputs()

    def accepts(self, index: int, label: Label) -> Sequence[Permutation]:
        """Orders in which an operand may lie, the preferred one first."""
        value = self.op.inputs[index]
        assert value is not None
        return [identity(value.rank)]

    def result(self, index: int, label: Label) -> Permutation:
        """Order in which a result lies."""
        return identity(self.op.outputs[index].rank)

    def from_operand(self, index: int, order: Permutation, current: Label) -> Label | None:
        """The label under which an operand may lie in an order, if there is one."""
        return None

    def from_result(self, index: int, order: Permutation, current: Label) -> Label | None:
        """The label under which a result lies in an order, if there is one."""
        return None

    def apply(self, label: Label, chosen: dict[int, Permutation]) -> None:
        """Rewrite options and constants for a label; ``chosen`` has the order of each operand.

        Shapes of the results are changed by the caller.
        """


@dataclass
class Along(Rule):
    """All operands and results have the same axes, in any order; axes in options are renamed.

    Attributes:
        last: Whether the last axis must stay the last one.
        rename: Rewrites the options and constants that name axes.
    """

    last: bool = False
    rename: Renaming | None = None

    @property
    def rank(self) -> int:
        return self.op.output.rank

    @property
    def start(self) -> Label:
        return identity(self.rank)

    def operands(self) -> Iterator[tuple[int, Value]]:
        # a single cell lies in any order
        return ((i, v) for i, v in self.op.live_inputs() if v.rank == self.rank)

    def accepts(self, index: int, label: Label) -> Sequence[Permutation]:
        return [label]

    def result(self, index: int, label: Label) -> Permutation:
        return label

    def from_operand(self, index: int, order: Permutation, current: Label) -> Label | None:
        value = self.op.inputs[index]
        assert value is not None
        shape = self.op.output.shape
        informs = all(value.shape[axis] != 1 or shape[axis] == 1 for axis in range(self.rank))
        return self._allowed(order) if informs else None

    def from_result(self, index: int, order: Permutation, current: Label) -> Label | None:
        return self._allowed(order)

    def _allowed(self, order: Permutation) -> Label | None:
        if not self.last or order[-1] == len(order) - 1:
            return order
        moved = (*(axis for axis in order if axis != len(order) - 1), len(order) - 1)
        return moved if same_memory(self.op.output.shape, order, moved) else None

    def apply(self, label: Label, chosen: dict[int, Permutation]) -> None:
        if self.rename is not None and label != self.start:
            self.rename(self.op, label)


@dataclass
class Reducing(Rule):
    """A reduction: the operand's axes in any order; the result has those that are kept."""

    def _axes(self) -> set[int]:
        axes = self.op.inputs[1]
        assert axes is not None
        assert axes.data is not None
        return {int(axis) % self.rank for axis in axes.data.reshape(-1)}

    @property
    def rank(self) -> int:
        assert self.op.inputs[0] is not None
        return self.op.inputs[0].rank

    @property
    def start(self) -> Label:
        return identity(self.rank)

    def accepts(self, index: int, label: Label) -> Sequence[Permutation]:
        return [label]

    def result(self, index: int, label: Label) -> Permutation:
        if self.op.options.get("keep_dims"):
            return label
        kept = [axis for axis in range(self.rank) if axis not in self._axes()]
        place = {axis: number for number, axis in enumerate(kept)}
        return tuple(place[axis] for axis in label if axis in place)

    def from_operand(self, index: int, order: Permutation, current: Label) -> Label | None:
        return order

    def from_result(self, index: int, order: Permutation, current: Label) -> Label | None:
        if self.op.options.get("keep_dims"):
            return order
        reduced = self._axes()
        kept = [axis for axis in range(self.rank) if axis not in reduced]
        following = iter(kept[place] for place in order)
        return tuple(axis if axis in reduced else next(following) for axis in range(self.rank))

    def apply(self, label: Label, chosen: dict[int, Permutation]) -> None:
        place = inverse(label)
        axes = sorted(place[axis] for axis in self._axes())
        old = self.op.inputs[1]
        assert old is not None
        scalar = old.rank == 0
        self.op.inputs[1] = constant(np.array(axes[0], np.int32)) if scalar else integers(axes)


@dataclass
class Reshaping(Rule):
    """A reshape: groups of axes in any order.

    Attributes:
        groups: The groups.
    """

    groups: Groups

    @property
    def start(self) -> Label:
        return self.groups.identity

    def accepts(self, index: int, label: Label) -> Sequence[Permutation]:
        return [self.groups.operand(label)]

    def result(self, index: int, label: Label) -> Permutation:
        return self.groups.result(label)

    def from_operand(self, index: int, order: Permutation, current: Label) -> Label | None:
        assert self.op.inputs[0] is not None
        return self.groups.from_operand(self.op.inputs[0].shape, order)

    def from_result(self, index: int, order: Permutation, current: Label) -> Label | None:
        return self.groups.from_result(self.op.output.shape, order)

    def apply(self, label: Label, chosen: dict[int, Permutation]) -> None:
        shape = [self.op.output.shape[axis] for axis in self.result(0, label)]
        sizes = [-1 if isinstance(size, Dim) else size for size in shape]
        self.op.inputs[1] = integers(sizes)
        self.op.options["new_shape"] = sizes


@dataclass
class Multiplying(Rule):
    """BATCH_MATMUL: batch axes in any order; adj_x and adj_y tell that the last two are swapped."""

    @property
    def batch(self) -> int:
        return self.op.output.rank - 2

    @property
    def start(self) -> Label:
        return identity(self.batch)

    def accepts(self, index: int, label: Label) -> Sequence[Permutation]:
        n = self.batch
        return [(*label, n, n + 1), (*label, n + 1, n)]

    def result(self, index: int, label: Label) -> Permutation:
        return (*label, self.batch, self.batch + 1)

    def from_operand(self, index: int, order: Permutation, current: Label) -> Label | None:
        return self._batch_order(order)

    def from_result(self, index: int, order: Permutation, current: Label) -> Label | None:
        label = self._batch_order(order)
        return label if label is not None and order[-2] < order[-1] else None

    def _batch_order(self, order: Permutation) -> Label | None:
        label = order[: self.batch]
        return label if all(axis < self.batch for axis in label) else None

    def apply(self, label: Label, chosen: dict[int, Permutation]) -> None:
        for index, name in enumerate(("adj_x", "adj_y")):
            value = self.op.inputs[index]
            assert value is not None
            if index in chosen:
                if chosen[index][-2] > chosen[index][-1]:
                    self.op.options[name] = not self.op.options.get(name, False)
            elif value.data is not None:
                self.op.inputs[index] = constant(
                    value.data.transpose(*label, self.batch, self.batch + 1)
                )


POINTWISE = frozenset(
    [
        "ADD",
        "SUB",
        "MUL",
        "DIV",
        "FLOOR_DIV",
        "FLOOR_MOD",
        "POW",
        "SQUARED_DIFFERENCE",
        "MAXIMUM",
        "MINIMUM",
        "EQUAL",
        "NOT_EQUAL",
        "LESS",
        "LESS_EQUAL",
        "GREATER",
        "GREATER_EQUAL",
        "LOGICAL_AND",
        "LOGICAL_OR",
        "LOGICAL_NOT",
        "SELECT_V2",
        "ABS",
        "NEG",
        "EXP",
        "COS",
        "SIN",
        "LOG",
        "SQRT",
        "RSQRT",
        "SQUARE",
        "SIGN",
        "HARD_SWISH",
        "GELU",
        "LEAKY_RELU",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RELU_0_TO_1",
        "TANH",
        "LOGISTIC",
        "ELU",
        "FLOOR",
        "CEIL",
        "ROUND",
        "PRELU",
        "CAST",
        "ATAN2",
        "BITWISE_XOR",
        "RIGHT_SHIFT",
        "ZEROS_LIKE",
    ]
)
_LAST_AXIS = frozenset({"SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "TOPK_V2"})
_REDUCTIONS = frozenset(
    [
        "MEAN",
        "SUM",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "REDUCE_PROD",
        "REDUCE_ANY",
        "REDUCE_ALL",
        "ARG_MAX",
        "ARG_MIN",
    ]
)


_REGISTERED: dict[str, type[Rule]] = {}


def register_rule(kind: str, rule: type[Rule]) -> None:
    """Add the rule of an operator that is defined elsewhere."""
    _REGISTERED[kind] = rule


def rule_of(op: Op) -> Rule:
    """Return the rule of an operator."""
    if op.kind in _REGISTERED:
        return _REGISTERED[op.kind](op)
    inputs = [value for value in op.inputs if value is not None]
    rank = op.outputs[0].rank if op.outputs else 0
    if op.kind in POINTWISE:
        same = all(v.is_constant or v.rank in (0, rank) for v in inputs)
        return Along(op, rename=move_constants) if same else Rule(op)
    if op.kind in _LAST_AXIS:
        return Along(op, last=True)
    if op.kind in _REDUCTIONS:
        return Reducing(op) if inputs[1].is_constant else Rule(op)
    if op.kind == "RESHAPE":
        if inputs[1].is_constant and not inputs[0].is_constant:
            return Reshaping(op, regrouped(inputs[0].shape, op.output.shape))
        return Rule(op)
    if op.kind == "FULLY_CONNECTED":
        keeps = inputs[0].rank == rank and not inputs[0].is_constant
        return (
            Along(op, last=True, rename=names_no_axes)
            if keeps and inputs[1].is_constant
            else Rule(op)
        )
    if op.kind == "BATCH_MATMUL":
        return Multiplying(op) if all(v.rank == rank for v in inputs) else Rule(op)
    rename = renaming_of(op)
    return Along(op, rename=rename) if rename else Rule(op)
