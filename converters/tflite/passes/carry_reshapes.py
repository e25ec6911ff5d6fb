"""Lets operators work on the rows of their neighbours, so that fewer reshapes are between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..ir import Graph, Op, Origin, Value, constant, identity, integers, reshape_op
from ..layout.axes import regrouped
from ..layout.rules import POINTWISE
from ..sizes import Dim, Shape, example

_MOST_AXES = 5  # of what XNNPACK's FULLY_CONNECTED takes
_REDUCTIONS = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"})


def carry_reshapes(graph: Graph) -> None:
    """Give regions of operators that treat all rows alike the rows of what is around them.

    Rows are all axes but the last. The frames of a clip are a batch to the convolutions, and an
    axis of their own to the norms and sums between them; cells are a plane to some operators, and
    a sequence to others. Afterwards no such region would need fewer reshapes with the rows that a
    reshape at its border has on the other side.
    """
    while _carry(graph):
        pass


def _carry(graph: Graph) -> bool:
    """Convert regions that have nothing to do with each other; tell whether there were any."""
    around = _Surroundings(graph.producers(), graph.users(), set(graph.outputs))
    touched: set[Value] = set()
    for region, rows in list(_wanting(graph, around)):
        reach = around.reach(region)
        if touched.isdisjoint(reach):
            _convert(graph, region, rows, around)
            touched |= reach
    return bool(touched)


@dataclass
class _Region:
    """Connected operators that treat rows alike.

    Attributes:
        rows: Sizes of all axes but the last.
        ops: The operators.
        written: What they write.
        read: What they read that others write.
    """

    rows: Shape
    ops: set[Op] = field(default_factory=set)
    written: set[Value] = field(default_factory=set)
    read: set[Value] = field(default_factory=set)


@dataclass
class _Surroundings:
    """What a graph tells of the neighbours of a value."""

    source: dict[Value, Op]
    users: dict[Value, list[Op]]
    outputs: set[Value]

    def is_free(self, value: Value, region: _Region) -> bool:
        """Whether nothing but reshapes and the region itself reads a value."""
        return value not in self.outputs and all(
            op in region.ops or op.kind == "RESHAPE" for op in self.users.get(value, ())
        )

    def reshapes(self, value: Value, rows: Shape) -> list[Op]:
        """The reshapes of a value that give it other rows, and no more."""
        return [
            op
            for op in self.users.get(value, ())
            if op.kind == "RESHAPE" and op.output.shape == (*rows, value.shape[-1])
        ]

    def origin(self, value: Value) -> Value | None:
        """What a value is a reshape of."""
        op = self.source.get(value)
        return op.inputs[0] if op is not None and op.kind == "RESHAPE" else None

    def reach(self, region: _Region) -> set[Value]:
        """All values whose shapes, readers or writers a conversion of the region may change."""
        own = region.read | region.written
        views = (
            op.output for each in own for op in self.users.get(each, ()) if op.kind == "RESHAPE"
        )
        origins = {origin for each in own if (origin := self.origin(each)) is not None}
        return own.union(views, origins)


def _wanting(graph: Graph, around: _Surroundings) -> Iterator[tuple[_Region, Shape]]:
    """Regions, and the rows that would save reshapes."""
    regions: dict[Value, _Region] = {}
    for op in graph.ops:
        if op.kind != "RESHAPE" or op.inputs[0] is None or op.inputs[0].is_constant:
            continue
        before, after = op.inputs[0], op.output
        if not before.shape or not after.shape or before.shape[-1] != after.shape[-1]:
            continue
        for value, rows in ((after, before.shape[:-1]), (before, after.shape[:-1])):
            if value not in regions:
                region = _region(value, around)
                regions.update(dict.fromkeys((value, *region.written, *region.read), region))
            region = regions[value]
            if region.ops and _saved(region, rows, around) > 0:
                yield region, rows


def _region(start: Value, around: _Surroundings) -> _Region:
    """All operators that treat rows alike and are connected with a value by others that do."""
    region = _Region(start.shape[:-1])
    waiting, seen = [start], {start}
    while waiting:
        value = waiting.pop()
        source = around.source.get(value)
        for op in ([source] if source else []) + around.users.get(value, []):
            if op in region.ops or not _treats_alike(op, region.rows):
                continue
            region.ops.add(op)
            region.written.update(op.outputs)
            region.read.update(each for _, each in op.live_inputs() if each.rank)
            for each in (*op.outputs, *(v for _, v in op.live_inputs() if v.rank)):
                if each not in seen:
                    seen.add(each)
                    waiting.append(each)
    region.read -= region.written
    return region


def _treats_alike(op: Op, rows: Shape) -> bool:
    """Whether an operator computes each row from the same row of what it reads."""
    if not all(value.rank and value.shape[:-1] == rows for value in op.outputs):
        return False
    live = [value for _, value in op.live_inputs()]
    if not live or any(value.rank and value.shape[:-1] != rows for value in live):
        return False
    if op.kind in POINTWISE:
        return all(_has_rows(each, rows) for each in op.inputs if each is not None)
    if op.kind == "FULLY_CONNECTED":
        keeps = bool(op.options.get("keep_num_dims")) and live == [op.inputs[0]]
        return keeps and live[0].rank > 2
    if op.kind in _REDUCTIONS:
        axes = op.inputs[1]
        if axes is None or axes.data is None or not op.options.get("keep_dims"):
            return False
        return {int(axis) % len((*rows, 0)) for axis in axes.data.reshape(-1)} == {len(rows)}
    if op.kind == "CONCATENATION":
        return len(live) == len(op.inputs) and op.options["axis"] % len((*rows, 0)) == len(rows)
    return op.kind == "SOFTMAX"


def _has_rows(value: Value, rows: Shape) -> bool:
    """Whether a constant is alike for all rows, or has one for each."""
    if value.data is None or value.rank == 0:
        return True
    own = value.shape[:-1]
    return all(size == 1 for size in own) or own == rows


def _saved(region: _Region, rows: Shape, around: _Surroundings) -> int:
    """How many reshapes fewer there are if a region gets other rows."""
    if rows == region.rows or len(rows) >= _MOST_AXES:
        return 0
    saved, entering, leaving = 0, False, False
    for value in region.read:
        origin = around.origin(value)
        if origin is None:
            saved, entering = saved - 1 + len(around.reshapes(value, rows)), True
        elif origin.shape == (*rows, value.shape[-1]):
            saved += around.is_free(value, region)
        elif not around.is_free(value, region):
            saved -= 1
    for value in region.written:
        saved += len(around.reshapes(value, rows))
        if not around.is_free(value, region):
            saved, leaving = saved - 1, True
    for needed, shape in ((entering, rows), (leaving, region.rows)):
        if needed and sum(isinstance(size, Dim) for size in shape) > 1:
            return 0
    return saved


def _convert(graph: Graph, region: _Region, rows: Shape, around: _Surroundings) -> None:
    """Give the operators of a region other rows."""
    first: list[Op] = []
    after: dict[Op, list[Op]] = {}
    same: dict[Value, Value] = {}
    entered: dict[Value, Value] = {}
    for op in (each for each in graph.ops if each in region.ops):
        for index, value in enumerate(op.inputs):
            if value is None or not value.rank:
                continue
            if value.data is not None:
                if op.kind in POINTWISE:
                    op.inputs[index] = _constant(value, region.rows, rows)
            elif value in region.read:
                if value not in entered:
                    source = around.source.get(value)
                    made = first if source is None else after.setdefault(source, [])
                    entered[value] = _entering(value, rows, around, made)
                    views = around.reshapes(value, rows)
                    same.update((each.output, entered[value]) for each in views)
                op.inputs[index] = entered[value]
        _rename(op, len(rows))
    for op in region.ops:
        for value in op.outputs:
            old = value.shape
            readers = around.users.get(value, ())
            value.shape = (*rows, old[-1])
            if not around.is_free(value, region):
                back = Value(shape=old, dtype=value.dtype, origins=value.origins)
                after.setdefault(op, []).append(reshape_op(value, back, op.layers))
                outside = [each for each in readers if each not in region.ops]
                for each in outside:
                    if each.kind != "RESHAPE":
                        each.inputs = [back if v is value else v for v in each.inputs]
                graph.outputs = [back if each is value else each for each in graph.outputs]
            value.origins = list(_reshaped(value.origins, old, value.shape))
            same.update((each.output, value) for each in around.reshapes(value, rows))
    gone = set(same)
    for old_value, new_value in same.items():
        new_value.origins += [o for o in old_value.origins if o not in new_value.origins]
    graph.ops = [
        each
        for each in (*first, *(x for op in graph.ops for x in (op, *after.get(op, ()))))
        if not gone.intersection(each.outputs)
    ]
    graph.replace(same)
    read = {value for op in graph.ops for value in op.inputs} | set(graph.outputs)
    graph.ops = [op for op in graph.ops if op.kind != "RESHAPE" or op.output in read]


def _entering(value: Value, rows: Shape, around: _Surroundings, made: list[Op]) -> Value:
    """The value with other rows: what it is a reshape of, or a reshape."""
    origin = around.origin(value)
    shape = (*rows, value.shape[-1])
    if origin is not None and origin.shape == shape:
        origin.origins += list(_reshaped(value.origins, value.shape, shape))
        return origin
    result = Value(shape=shape, dtype=value.dtype)
    layers = around.users[value][0].layers
    made.append(reshape_op(value if origin is None else origin, result, layers))
    return result


def _constant(value: Value, old: Shape, rows: Shape) -> Value:
    assert value.data is not None
    whole = value.shape[:-1] == old and any(size != 1 for size in old)
    shape: Shape = (*(rows if whole else (1,) * len(rows)), value.shape[-1])
    return constant(value.data.reshape([example(size) for size in shape]), name=value.name)


def _rename(op: Op, last: int) -> None:
    """Let an operator's options name the last axis."""
    if op.kind == "CONCATENATION":
        op.options["axis"] = last
    elif op.kind in _REDUCTIONS:
        op.inputs[1] = integers([last])


def _reshaped(origins: list[Origin], old: Shape, new: Shape) -> Iterator[Origin]:
    """What is known of a value's layers once it is reshaped."""
    groups = regrouped(old, new)
    for origin in origins:
        order = origin.permutation or identity(len(old))
        if len(order) != len(old):
            continue
        if order == identity(len(old)):
            yield Origin(origin.layer, None, reshaped=True)
            continue
        # each group of axes must be one of neighbours in the layer too
        mattering = [[order[axis] for axis in group if old[axis] != 1] for group in groups.before]
        whole = [axis for axis in range(len(old)) if old[order.index(axis)] != 1]
        place = sorted(range(len(mattering)), key=lambda number: (mattering[number] or [-1])[0])
        if [axis for number in place for axis in mattering[number]] != whole:
            continue
        # the layer's axes in its own order, as the groups of the reshaped value
        laid = [axis for number in place for axis in groups.after[number]]
        yield Origin(
            origin.layer, tuple(laid.index(axis) for axis in range(len(new))), reshaped=True
        )
