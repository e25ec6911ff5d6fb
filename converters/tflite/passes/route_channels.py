"""Lets channel shuffles disappear into the order in which convolutions write their channels.

A ShuffleNet unit joins two branches, shuffles the channels and splits them again. None of that has
to happen to the data: each channel is read by known convolutions later on, and a convolution may
write its channels in any order, and read them in any, if its weights follow. Each convolution
writes channels that are read together next to one another, and each reader joins the parts it
needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..ir import Array, Graph, Op, Value, channels_op, constant
from ..layout.network import is_transpose

_MOST_PARTS = 12  # of one operand; more would cost more than the shuffle
_CARRIERS = frozenset(
    {"PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH",
     "GELU", "LEAKY_RELU", "ELU", "DEPTHWISE_CONV_2D"}
)  # fmt: skip


def route_channels(graph: Graph) -> None:
    """Replace channel shuffles, and what joins and splits around them, by slices of their sources.

    It needs channels on the last axis. Afterwards no TRANSPOSE only shuffles channels between
    convolutions whose weights can follow. A layer whose channels were reordered has no tensor of
    its own any more.
    """
    routes = _Routes(graph)
    for region in routes.regions():
        plan = routes.plan(region)
        if plan is not None:
            plan.apply(graph)
            routes = _Routes(graph)


@dataclass(frozen=True)
class _Channels:
    """For each channel of a value, which channel of which source it is."""

    sources: tuple[Value, ...]
    numbers: Array  # [channels, 2]: place in ``sources``, index there


@dataclass
class _Reader:
    """An operand that may have its channels in any order."""

    op: Op
    place: int
    value: Value
    parts: list[tuple[Value, int, int]] = field(default_factory=list)  # source, start, size


class _Routes:
    """What moves channels in a graph, and where they come from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.source = graph.producers()
        self.users = graph.users()
        self.outputs = set(graph.outputs)
        self.shuffles = dict(self._shuffles())

    def _shuffles(self) -> Iterable[tuple[Op, tuple[Op, Op, int]]]:
        """Last operator of each shuffle → the two before it, and the number of groups."""
        for op in self.graph.ops:
            if op.kind != "RESHAPE" or op.inputs[0] is None:
                continue
            middle = self.source.get(op.inputs[0])
            if middle is None or not is_transpose(middle) or middle.inputs[0] is None:
                continue
            first = self.source.get(middle.inputs[0])
            if first is None or first.kind != "RESHAPE" or first.inputs[0] is None:
                continue
            split, whole = middle.inputs[0].shape, first.inputs[0].shape
            order = [int(axis) for axis in middle.inputs[1].data]  # type: ignore[union-attr]
            rank = len(split)
            swapped = [*range(rank - 2), rank - 1, rank - 2]
            alone = len(self.users[middle.inputs[0]]) == len(self.users[middle.output]) == 1
            if order == swapped and alone and whole == op.output.shape and whole[:-1] == split[:-2]:
                groups = split[-2]
                if isinstance(groups, int):
                    yield op, (first, middle, groups)

    def moves(self, op: Op | None) -> bool:
        """Whether an operator only joins, splits or shuffles channels."""
        if op is None:
            return False
        if op in self.shuffles:
            return True
        last = op.outputs[0].rank - 1
        if op.kind == "CONCATENATION":
            return op.options["axis"] % (last + 1) == last and all(
                value is not None and not value.is_constant for value in op.inputs
            )
        if op.kind == "SPLIT":
            axis = op.inputs[0]
            return (
                axis is not None and axis.data is not None and int(axis.data.reshape(-1)[0]) == last
            )
        if op.kind == "SLICE" and op.inputs[0] is not None:
            return op.inputs[0].shape[:-1] == op.output.shape[:-1] and op.inputs[1] is not None
        return False

    def operands(self, op: Op) -> list[Value]:
        """What an operator moves the channels of."""
        if op in self.shuffles:
            value = self.shuffles[op][0].inputs[0]
            assert value is not None
            return [value]
        return [value for _, value in op.live_inputs()]

    def regions(self) -> list[list[Op]]:
        """Moving operators that are connected, if there is a shuffle among them."""
        found: list[list[Op]] = []
        seen: set[Op] = set()
        readers: dict[Value, list[Op]] = {}
        moving = [op for op in self.graph.ops if self.moves(op)]
        for op in moving:
            for value in self.operands(op):
                readers.setdefault(value, []).append(op)
        for start in moving:
            if start in seen:
                continue
            region, waiting = [], [start]
            seen.add(start)
            while waiting:
                op = waiting.pop()
                region.append(op)
                near = [self.source.get(value) for value in self.operands(op)]
                for value in (*self.operands(op), *op.outputs):
                    near += readers.get(value, [])
                for other in near:
                    if other is not None and other not in seen and self.moves(other):
                        seen.add(other)
                        waiting.append(other)
            if any(op in self.shuffles for op in region):
                found.append(region)
        return found

    def channels(self, value: Value, known: dict[Value, _Channels]) -> _Channels:
        """Where the channels of a value come from."""
        if value not in known:
            op = self.source.get(value)
            known[value] = self._moved(op, value, known) if op and self.moves(op) else _own(value)
        return known[value]

    def _moved(self, op: Op, value: Value, known: dict[Value, _Channels]) -> _Channels:
        operands = [self.channels(each, known) for each in self.operands(op)]
        if op.kind == "CONCATENATION":
            return _joined(operands)
        numbers = operands[0].numbers
        if op in self.shuffles:
            groups = self.shuffles[op][2]
            numbers = numbers.reshape(groups, -1, 2).swapaxes(0, 1).reshape(-1, 2)
        else:
            start = 0
            if op.kind == "SPLIT":
                start = _width(value) * op.outputs.index(value)
            elif op.inputs[1] is not None and op.inputs[1].data is not None:
                start = int(op.inputs[1].data[-1])
            numbers = numbers[start : start + _width(value)]
        return _Channels(operands[0].sources, numbers)

    def flexible(self, op: Op, place: int) -> bool:
        """Whether an operand may have its channels in any order."""
        weights = op.inputs[1] if len(op.inputs) > 1 else None
        if place != 0 or op.inputs[0] is None:
            return False
        if op.kind in ("CONV_2D", "FULLY_CONNECTED"):
            whole = weights is not None and weights.is_constant
            return whole and weights.shape[-1] == op.inputs[0].shape[-1]  # type: ignore[union-attr]
        if op.kind not in _CARRIERS or op.output in self.outputs:
            return False
        if op.kind == "PAD" and (weights is None or weights.data is None or weights.data[-1].any()):
            return False
        if op.kind == "DEPTHWISE_CONV_2D" and (
            weights is None or not weights.is_constant or op.options.get("depth_multiplier", 1) != 1
        ):
            return False
        return all(
            self.flexible(user, user.inputs.index(op.output)) for user in self.users[op.output]
        )

    def plan(self, region: list[Op]) -> _Plan | None:
        """Work out a new order for each source and the parts that each reader joins."""
        known: dict[Value, _Channels] = {}
        inside = set(region) | {
            part for op in region if op in self.shuffles for part in self.shuffles[op][:2]
        }
        values = dict.fromkeys(value for op in region for value in op.outputs)
        sources = dict.fromkeys(
            source for value in values for source in self.channels(value, known).sources
        )
        readers: list[_Reader] = []
        for value in (*values, *sources):
            if value in self.outputs:
                return None
            for op in dict.fromkeys(self.users.get(value, ())):
                if op not in inside:
                    place = op.inputs.index(value)
                    if op.inputs.count(value) != 1 or not self.flexible(op, place):
                        return None
                    readers.append(_Reader(op, place, value))
        if any(not isinstance(source.shape[-1], int) for source in sources):
            return None
        orders = self._orders(list(sources), readers, known)
        plan = _Plan(
            inside, orders, readers, {r.value: self.channels(r.value, known) for r in readers}
        )
        return plan if plan.cut() else None

    def _orders(
        self, sources: list[Value], readers: list[_Reader], known: dict[Value, _Channels]
    ) -> dict[Value, Array]:
        """Source → order in which its channels are written: those that are read together adjoin."""
        marks: dict[Value, list[list[int]]] = {
            source: [[] for _ in range(_width(source))] for source in sources
        }
        for number, reader in enumerate(readers):
            channels = self.channels(reader.value, known)
            for place, index in channels.numbers:
                marks[channels.sources[place]][index].append(number)
        orders = {}
        for source in sources:
            order = np.arange(_width(source))
            if self._may_reorder(source):
                order = np.array(sorted(order, key=lambda index: marks[source][index]))
            orders[source] = order
        return orders

    def _may_reorder(self, source: Value) -> bool:
        op = self.source.get(source)
        return (
            op is not None
            and op.kind == "CONV_2D"
            and all(value is not None and value.is_constant for value in op.inputs[1:])
        )


@dataclass
class _Plan:
    """A region without its moving operators."""

    inside: set[Op]
    orders: dict[Value, Array]
    readers: list[_Reader]
    channels: dict[Value, _Channels]

    def cut(self) -> bool:
        """Find the parts that each reader joins; tell whether there are few enough."""
        for reader in self.readers:
            channels = self.channels[reader.value]
            if len({tuple(each) for each in channels.numbers}) != len(channels.numbers):
                return False
            for place, source in enumerate(channels.sources):
                wanted = channels.numbers[channels.numbers[:, 0] == place, 1]
                at = np.sort(np.argsort(self.orders[source])[wanted])
                for run in np.split(at, np.flatnonzero(np.diff(at) != 1) + 1):
                    if len(run):
                        reader.parts.append((source, int(run[0]), len(run)))
            if len(reader.parts) > _MOST_PARTS:
                return False
        return True

    def apply(self, graph: Graph) -> None:
        """Reorder the weights and join the parts."""
        source, users = graph.producers(), graph.users()
        for value, order in self.orders.items():
            if (order != np.arange(len(order))).any():
                _write_in_order(source[value], order)
                value.origins = []
        made: dict[tuple[tuple[Value, int, int], ...], Value] = {}
        before: dict[Op, list[Op]] = {}
        for reader in self.readers:
            _read_in_order(reader.op, self._order(reader), users)
        for op in sorted({id(r.op): r.op for r in self.readers}.values(), key=graph.ops.index):
            for reader in self.readers:
                if reader.op is op:
                    new = before.setdefault(op, [])
                    op.inputs[reader.place] = self._operand(tuple(reader.parts), reader, made, new)
        graph.ops = [
            each for op in graph.ops if op not in self.inside for each in (*before.get(op, ()), op)
        ]

    def _order(self, reader: _Reader) -> Array:
        """For each channel of the joined parts, which one of the reader's operand it was."""
        channels = self.channels[reader.value]
        at = {
            (channels.sources[place], int(index)): number
            for number, (place, index) in enumerate(channels.numbers)
        }
        return np.array(
            [
                at[source, int(index)]
                for source, start, size in reader.parts
                for index in self.orders[source][start : start + size]
            ]
        )

    def _operand(
        self,
        parts: tuple[tuple[Value, int, int], ...],
        reader: _Reader,
        made: dict[tuple[tuple[Value, int, int], ...], Value],
        ops: list[Op],
    ) -> Value:
        if parts in made:
            return made[parts]
        if len(parts) == 1:
            (source, start, size) = parts[0]
            if size == _width(source):
                return source
            ops.append(channels_op(source, start, size, reader.op.layers[:1]))
            result = ops[-1].output
        else:
            inputs: list[Value | None] = [
                self._operand((part,), reader, made, ops) for part in parts
            ]
            result = Value(shape=reader.value.shape, dtype=reader.value.dtype)
            options = {"axis": result.rank - 1}
            ops.append(Op("CONCATENATION", inputs, [result], options, reader.op.layers[:1]))
        made[parts] = result
        return result


def _own(value: Value) -> _Channels:
    width = _width(value)
    return _Channels((value,), np.stack([np.zeros(width, int), np.arange(width)], axis=1))


def _joined(operands: list[_Channels]) -> _Channels:
    sources = tuple(dict.fromkeys(source for each in operands for source in each.sources))
    numbers = []
    for each in operands:
        places = np.array([sources.index(source) for source in each.sources])
        numbers.append(np.stack([places[each.numbers[:, 0]], each.numbers[:, 1]], axis=1))
    return _Channels(sources, np.concatenate(numbers))


def _width(value: Value) -> int:
    size = value.shape[-1]
    return size if isinstance(size, int) else 0


def _write_in_order(op: Op, order: Array) -> None:
    """Let a convolution write its channels in another order."""
    for place in (1, 2):
        value = op.inputs[place]
        assert value is not None
        assert value.data is not None
        op.inputs[place] = constant(value.data[order], name=value.name)


def _read_in_order(op: Op, order: Array, users: dict[Value, list[Op]]) -> None:
    """Let an operator, and what reads its channels in turn, take them in another order."""
    if (order == np.arange(len(order))).all():
        return
    weights = op.inputs[1] if len(op.inputs) > 1 else None
    if weights is not None and weights.data is not None and op.kind != "PAD":
        op.inputs[1] = constant(weights.data[..., order], name=weights.name)
    if op.kind not in _CARRIERS:
        return
    if op.kind == "DEPTHWISE_CONV_2D" and len(op.inputs) > 2:
        bias = op.inputs[2]
        if bias is not None and bias.data is not None:
            op.inputs[2] = constant(bias.data[order])
    op.output.origins = []
    for user in users[op.output]:
        _read_in_order(user, order, users)
