"""Merges what only moves data: reshapes and transposes in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..ir import Graph, Op, Origin, Permutation, Value, compose, identity, integers, inverse
from ..layout.network import is_transpose
from ..sizes import Dim, Shape, Size

_LEAST = 3  # moves in a row that two or three others can replace
_RANK = 6  # of a tensor that XNNPACK transposes


def merge_moves(graph: Graph) -> None:
    """Let one transpose do what several in a row do, with a reshape on either side.

    Patches, windows and blocks are cut out by reshapes and transposes in turn. Together they are
    one permutation of the factors of the axes. Afterwards no chain of moves, each read by the next
    alone, is longer than a reshape, a transpose and a reshape, if its permutation has at most six
    axes.
    """
    source, users = graph.producers(), graph.users()
    outputs = set(graph.outputs)
    replaced: dict[Op, list[Op]] = {}
    for op in graph.ops:
        if not _is_move(op):
            continue
        readers = users.get(op.output, [])
        if len(readers) == 1 and _is_move(readers[0]) and op.output not in outputs:
            continue
        chain = _chain(op, source, users, outputs)
        made = _merged(chain) if len(chain) >= _LEAST else None
        if made is not None and len(made) < len(chain):
            _keep_origins(chain)
            replaced.update((each, []) for each in chain)
            replaced[op] = made
    graph.ops = [each for op in graph.ops for each in replaced.get(op, [op])]


def _is_move(op: Op) -> bool:
    if op.kind == "RESHAPE":
        return op.inputs[0] is not None and not op.inputs[0].is_constant
    return is_transpose(op)


def _chain(
    op: Op, source: dict[Value, Op], users: dict[Value, list[Op]], outputs: set[Value]
) -> list[Op]:
    """The moves that lead to one, each read by the next alone; the first one first."""
    chain = [op]
    while True:
        value = chain[0].inputs[0]
        before = source.get(value) if value is not None else None
        if before is None or not _is_move(before):
            return chain
        if before.output in outputs or len(users[before.output]) != 1:
            return chain
        chain.insert(0, before)


def _keep_origins(chain: list[Op]) -> None:
    """Let what is at the ends of a chain stand for the layers between.

    What holds a layer is a transpose of it, or a transpose of a reshape of it.
    """
    start, end = chain[0].inputs[0], chain[-1].output
    assert start is not None
    order, reshaped = identity(start.rank), False
    for op in chain[:-1]:  # op.output = reshape(transpose(start, order))
        if op.kind == "RESHAPE":
            reshaped = True
        elif reshaped:
            break
        else:
            order = compose(order, _order(op))
        _stand_for(op.output, start, inverse(order), reshaped)
    order, reshaped = identity(end.rank), False
    for op in reversed(chain[1:]):  # end = transpose(reshape(operand), order)
        if op.kind == "RESHAPE":
            reshaped = True
        elif reshaped:
            break
        else:
            order = compose(_order(op), order)
        assert op.inputs[0] is not None
        _stand_for(op.inputs[0], end, order, reshaped)


def _stand_for(value: Value, holder: Value, order: Permutation, reshaped: bool) -> None:
    """Note in a holder the layers of a value of which it is a reshape, transposed."""
    known = {origin.layer for origin in holder.origins}
    for origin in value.origins:
        if origin.layer in known or (reshaped and origin.permutation is not None):
            continue
        whole = order if origin.permutation is None else compose(origin.permutation, order)
        permutation = None if whole == identity(len(whole)) else whole
        holder.origins.append(Origin(origin.layer, permutation, reshaped or origin.reshaped))


def _order(op: Op) -> Permutation:
    assert op.inputs[1] is not None
    assert op.inputs[1].data is not None
    return tuple(int(axis) for axis in op.inputs[1].data)


@dataclass
class _Factors:
    """The axes of a moved tensor as products of factors of the axes that it had at first.

    Attributes:
        sizes: Size of each factor.
        first: The factors in their order at first.
        axes: The factors of each axis now.
    """

    sizes: list[Size] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    axes: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, shape: Shape) -> _Factors:
        numbers = list(range(len(shape)))
        return cls(list(shape), numbers, [[number] for number in numbers])

    def transpose(self, order: Sequence[int]) -> None:
        self.axes = [self.axes[axis] for axis in order]

    def reshape(self, shape: Shape) -> bool:
        """Regroup the factors, which may have to be factored further; tell whether they can be."""
        waiting = [factor for axis in self.axes for factor in axis]
        axes: list[list[int]] = []
        for size in shape:
            axis: list[int] = []
            rest = size
            while rest != 1:
                if not waiting:
                    return False
                factor = waiting.pop(0)
                have = self.sizes[factor]
                if have == rest:
                    rest = 1
                elif isinstance(have, Dim) or isinstance(rest, Dim):
                    return False
                elif rest % have == 0:
                    rest //= have
                elif have % rest == 0:
                    waiting.insert(0, self._divide(factor, rest))
                    rest = 1
                else:
                    return False
                axis.append(factor)
            axes.append(axis)
            if not axis and waiting and self.sizes[waiting[0]] == 1:
                axis.append(waiting.pop(0))
        if any(self.sizes[factor] != 1 for factor in waiting):
            return False
        axes[-1] += waiting
        self.axes = axes
        return True

    def _divide(self, factor: int, size: int) -> int:
        """Make a factor one of a smaller size, followed by a new one."""
        have = self.sizes[factor]
        assert isinstance(have, int)
        new = len(self.sizes)
        self.sizes[factor] = size
        self.sizes.append(have // size)
        self.first.insert(self.first.index(factor) + 1, new)
        return new

    def join(self) -> None:
        """Make one factor of those that have stayed side by side."""
        last = [factor for axis in self.axes for factor in axis]
        after = dict(pairwise(last))
        joined: list[int] = []
        for factor in self.first:
            if joined and after.get(joined[-1]) == factor:
                self.sizes[factor] = self.sizes[joined[-1]] * self.sizes[factor]
                gone = joined.pop()
                self.axes = [[each for each in axis if each != gone] for axis in self.axes]
            joined.append(factor)
        self.first = joined


def _merged(chain: list[Op]) -> list[Op] | None:
    """The fewest moves that do what a chain does."""
    start, end = chain[0].inputs[0], chain[-1].output
    assert start is not None
    if any(not isinstance(size, int) for size in end.shape[1:]) or not end.shape:
        return None
    factors = _Factors.of(start.shape)
    for op in chain:
        if op.kind == "RESHAPE":
            if not factors.reshape(op.output.shape):
                return None
        else:
            factors.transpose(_order(op))
    if len(factors.first) > _RANK:
        factors.join()
    if len(factors.first) > _RANK or sum(_changes(factors.sizes[f]) for f in factors.first) > 1:
        return None
    layers = tuple(dict.fromkeys(layer for op in chain for layer in op.layers))
    last = [factor for axis in factors.axes for factor in axis]
    order = tuple(factors.first.index(factor) for factor in last)
    shapes = [tuple(factors.sizes[factor] for factor in each) for each in (factors.first, last)]
    made: list[Op] = []
    value = start
    if order != identity(len(order)):
        value = _reshaped(value, shapes[0], made, layers)
        moved = Value(shape=shapes[1], dtype=end.dtype)
        made.append(Op("TRANSPOSE", [value, integers(order)], [moved], {}, layers))
        value = moved
    if value.shape != end.shape or not made:
        _reshaped(value, end.shape, made, layers, always=True)
    made[-1].outputs = [end]
    return made


def _changes(size: Size) -> bool:
    return isinstance(size, Dim)


def _reshaped(
    value: Value, shape: Shape, made: list[Op], layers: tuple[str, ...], *, always: bool = False
) -> Value:
    if value.shape == shape and not always:
        return value
    sizes = [-1 if isinstance(size, Dim) else size for size in shape]
    result = Value(shape=shape, dtype=value.dtype)
    made.append(Op("RESHAPE", [value, integers(sizes)], [result], {"new_shape": sizes}, layers))
    return result
