"""Linear layers joined with the reshapes beside them, while layouts are chosen.

``flatten`` before a linear layer binds its operand to NCHW only as long as the columns of the
weights are taken as given. Joined, the layer contracts several axes, which may come in any order:
the columns follow. The same holds for the rows, and a reshape that splits the features afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import Graph, Op, Permutation, Value, constant, identity, reshape_op
from ..sizes import Shape
from .axes import Groups, regrouped, same_memory
from .rules import Label, Rule, register_rule

TENSOR_LINEAR = "TENSOR_LINEAR"  # exists only within the layout pass


@dataclass
class TensorLinear(Rule):
    """Rows, then contracted axes → rows, then features; each part in any order of its own.

    The label is the orders of the three parts, one after another, each counting from 0.
    """

    @property
    def rows(self) -> int:
        return int(self.op.options["rows"])

    @property
    def contracted(self) -> int:
        assert self.op.inputs[0] is not None
        return self.op.inputs[0].rank - self.rows

    @property
    def features(self) -> int:
        return self.op.output.rank - self.rows

    @property
    def start(self) -> Label:
        return self._label(identity(self.rows), identity(self.contracted), identity(self.features))

    def _label(self, rows: Permutation, contracted: Permutation, features: Permutation) -> Label:
        return (*rows, *contracted, *features)

    def parts(self, label: Label) -> tuple[Permutation, Permutation, Permutation]:
        """Orders of the rows, of the contracted axes and of the features."""
        middle = self.rows + self.contracted
        return label[: self.rows], label[self.rows : middle], label[middle:]

    def operands(self):  # type: ignore[no-untyped-def]
        return iter([(0, self.op.inputs[0])])

    def accepts(self, index: int, label: Label) -> list[Permutation]:
        rows, contracted, _ = self.parts(label)
        return [(*rows, *(self.rows + axis for axis in contracted))]

    def result(self, index: int, label: Label) -> Permutation:
        rows, _, features = self.parts(label)
        return (*rows, *(self.rows + axis for axis in features))

    def from_operand(self, index: int, order: Permutation, current: Label) -> Label | None:
        assert self.op.inputs[0] is not None
        split = self._split(order, self.op.inputs[0].shape)
        return None if split is None else self._label(*split, self.parts(current)[2])

    def from_result(self, index: int, order: Permutation, current: Label) -> Label | None:
        split = self._split(order, self.op.output.shape)
        if split is None:
            return None
        return self._label(split[0], self.parts(current)[1], split[1])

    def _split(self, order: Permutation, shape: Shape) -> tuple[Permutation, Permutation] | None:
        """Orders of the rows and of the rest, if all rows that matter come first."""
        rows = tuple(axis for axis in order if axis < self.rows)
        rest = tuple(axis for axis in order if axis >= self.rows)
        if not same_memory(shape, order, (*rows, *rest)):
            return None
        return rows, tuple(axis - self.rows for axis in rest)

    def apply(self, label: Label, chosen: dict[int, Permutation]) -> None:
        _, contracted, features = self.parts(label)
        operand, weights, bias = self.op.inputs
        assert operand is not None
        assert weights is not None
        assert weights.data is not None
        self.op.options["moved"] = (
            contracted != identity(self.contracted),
            features != identity(self.features),
        )
        inner: tuple[int, ...] = self.op.options["inner"]
        outer: tuple[int, ...] = self.op.options["outer"]
        if any(self.op.options["moved"]):
            data = weights.data.reshape(*outer, *inner)
            data = data.transpose(*features, *(len(outer) + axis for axis in contracted))
            self.op.inputs[1] = constant(data.reshape(weights.data.shape), name=weights.name)
        if self.op.options["moved"][1] and bias is not None:
            assert bias.data is not None
            self.op.inputs[2] = constant(bias.data.reshape(outer).transpose(features).reshape(-1))


register_rule(TENSOR_LINEAR, TensorLinear)


def join_linear(graph: Graph) -> None:
    """Join each FULLY_CONNECTED with the reshapes that only it reads, or that only read it."""
    source = graph.producers()
    users = graph.users()
    outputs = set(graph.outputs)
    gone: set[Op] = set()
    for op in graph.ops:
        if op.kind != "FULLY_CONNECTED" or not _is_plain(op):
            continue
        operand, result = op.inputs[0], op.output
        assert operand is not None
        before = source.get(operand)
        if before is not None and not _merges_last(before, len(users[operand]), operand in outputs):
            before = None
        readers = users.get(result, [])
        after = readers[0] if len(readers) == 1 and result not in outputs else None
        if after is not None and not _splits_last(after):
            after = None
        if before is None and after is None:
            continue
        _join(op, before, after)
        gone.update(each for each in (before, after) if each is not None)
        source.update((value, op) for value in op.outputs)
    graph.ops = [op for op in graph.ops if op not in gone]


def part_linear(graph: Graph) -> None:
    """Write joined linear layers as operators that exist."""
    ops: list[Op] = []
    for op in graph.ops:
        ops += _parted(op) if op.kind == TENSOR_LINEAR else [op]
    graph.ops = ops


def _is_plain(op: Op) -> bool:
    operand, weights = op.inputs[0], op.inputs[1]
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    return (
        operand is not None
        and weights is not None
        and weights.is_constant
        and not operand.is_constant
        and operand.rank == op.output.rank
        and (bias is None or bias.is_constant)
        and len(op.inputs) == 3
    )


def _rows_alike(groups: Groups, before: bool) -> bool:
    """Whether all groups but the last are one axis each, and the last is one on the other side."""
    *rows, last = zip(groups.before, groups.after, strict=True)
    single = last[1] if before else last[0]
    return all(len(a) == len(b) == 1 for a, b in rows) and len(single) == 1


def _merges_last(op: Op, readers: int, is_output: bool) -> bool:
    if op.kind != "RESHAPE" or readers != 1 or is_output or op.inputs[0] is None:
        return False
    if op.inputs[0].is_constant or op.inputs[0].rank <= op.output.rank:
        return False
    groups = regrouped(op.inputs[0].shape, op.output.shape)
    static = all(isinstance(op.inputs[0].shape[axis], int) for axis in groups.before[-1])
    return static and _rows_alike(groups, before=True)


def _splits_last(op: Op) -> bool:
    if op.kind != "RESHAPE" or op.inputs[0] is None or op.inputs[0].rank >= op.output.rank:
        return False
    groups = regrouped(op.inputs[0].shape, op.output.shape)
    static = all(isinstance(op.output.shape[axis], int) for axis in groups.after[-1])
    return static and _rows_alike(groups, before=False)


def _join(op: Op, before: Op | None, after: Op | None) -> None:
    rows = op.output.rank - 1
    op.options = {
        "options": dict(op.options),
        "rows": rows,
        "flat": op.inputs[0],
        "made": op.output,
    }
    op.kind = TENSOR_LINEAR
    if before is not None:
        op.inputs[0] = before.inputs[0]
        op.layers = before.layers + op.layers
    if after is not None:
        op.outputs = after.outputs
        op.layers += after.layers
    assert op.inputs[0] is not None
    op.options["inner"] = op.inputs[0].shape[rows:]
    op.options["outer"] = op.output.shape[rows:]


def _parted(op: Op) -> list[Op]:
    ops: list[Op] = []
    inside, outside = op.options["moved"]
    flat, made = op.options["flat"], op.options["made"]
    rows = op.options["rows"]
    operand, result = op.inputs[0], op.output
    assert operand is not None
    if operand is not flat:
        joined = _like(flat, (*operand.shape[:rows], flat.shape[-1]), keep=not inside)
        ops.append(reshape_op(operand, joined, op.layers))
        operand = joined
    linear = Op(
        "FULLY_CONNECTED", [operand, *op.inputs[1:]], [result], op.options["options"], op.layers
    )
    ops.append(linear)
    if result is not made:
        whole = _like(made, (*result.shape[:rows], made.shape[-1]), keep=not outside)
        linear.outputs = [whole]
        ops.append(reshape_op(whole, result, op.layers))
    return ops


def _like(value: Value, shape: Shape, *, keep: bool) -> Value:
    """A value of a shape, which is the given one's own layer unless its elements were moved."""
    keep = keep and value.shape == shape
    return Value(shape=shape, dtype=value.dtype, origins=list(value.origins) if keep else [])
