"""The graph without its transposes: operators that demand orders, and the edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..ir import Graph, Op, Permutation, Value, compose, identity, inverse
from .axes import same_memory
from .rules import Label, Reshaping, Rule, rule_of

# What a transpose costs beside its elements: it is an operator of its own.
_PER_TRANSPOSE = 64
# A reshape that moves axes of size 1 copies, but in order; beside another one it is none.
_PER_RESHAPE = 8


@dataclass(eq=False)
class Node:
    """An operator, a graph input or a graph output, with the label that is chosen for it.

    Attributes:
        rule: The operator's rule; ``None`` for an input or output.
        label: The label.
        bound: For an input or output, the order in which it must lie.
        edges: The edges at it, in both directions.
    """

    rule: Rule | None
    label: Label = ()
    bound: Permutation = ()
    edges: list[Edge] = field(default_factory=list)

    def result(self, index: int, label: Label) -> Permutation:
        """Order in which a result lies under a label."""
        return self.rule.result(index, label) if self.rule else self.bound

    def accepts(self, index: int, label: Label) -> tuple[Permutation, ...]:
        """Orders in which an operand may lie under a label."""
        return tuple(self.rule.accepts(index, label)) if self.rule else (self.bound,)


@dataclass(eq=False)
class Edge:
    """A result that is read.

    Attributes:
        root: The value that is written.
        source: Who writes it, as which result.
        output: Which result it is.
        reader: Who reads it.
        operand: As which operand.
        view: ``operand = transpose(root, view)``.
    """

    root: Value
    source: Node
    output: int
    reader: Node
    operand: int
    view: Permutation
    _known: dict[tuple[Label, Label], int] = field(default_factory=dict)

    def cost(self, source: Label, reader: Label) -> int:
        """What it costs under labels of both ends: nothing, a reshape, or a transpose."""
        known = self._known.get((source, reader))
        if known is None:
            written = self.source.result(self.output, source)
            wanted = [
                compose(self.view, each) for each in self.reader.accepts(self.operand, reader)
            ]
            known = self.root.elements + _PER_TRANSPOSE
            if written in wanted:
                known = 0
            elif any(same_memory(self.root.shape, written, order) for order in wanted):
                rules = (self.source.rule, self.reader.rule)
                merges = any(isinstance(rule, Reshaping) for rule in rules)
                known = 0 if merges else _PER_RESHAPE
            self._known[source, reader] = known
        return known

    def label_for_reader(self, source: Label) -> Label | None:
        """The reader's label that takes what the source writes under its label."""
        if self.reader.rule is None:
            return None
        order = compose(inverse(self.view), self.source.result(self.output, source))
        return self.reader.rule.from_operand(self.operand, order, self.reader.label)

    def label_for_source(self, reader: Label) -> Label | None:
        """The source's label that writes what the reader takes under its label."""
        if self.source.rule is None:
            return None
        order = compose(self.view, self.reader.accepts(self.operand, reader)[0])
        return self.source.rule.from_result(self.output, order, self.source.label)


@dataclass
class Network:
    """All nodes and edges, and what each value of the graph is a view of.

    Attributes:
        nodes: The nodes, operators in the order of the graph.
        edges: The edges.
        views: Result of a transpose → the value that is written and the permutation between them.
        outputs: The nodes of the graph's outputs, in order.
    """

    nodes: list[Node]
    edges: list[Edge]
    views: Mapping[Value, tuple[Value, Permutation]]
    outputs: list[Node]

    def cost(self) -> int:
        """What all transposes that are left cost."""
        return sum(edge.cost(edge.source.label, edge.reader.label) for edge in self.edges)


def is_transpose(op: Op) -> bool:
    """Whether an operator is a transpose by a constant permutation."""
    return op.kind == "TRANSPOSE" and op.inputs[1] is not None and op.inputs[1].is_constant


def network_of(
    graph: Graph,
    input_orders: Mapping[Value, Permutation],
    output_orders: Sequence[Permutation | None],
) -> Network:
    """Build the network of a graph.

    Args:
        graph: The graph.
        input_orders: Inputs that must lie in another order than their own.
        output_orders: For each output the order in which it must lie; ``None`` for its own.
    """
    views: dict[Value, tuple[Value, Permutation]] = {}
    written: dict[Value, tuple[Node, int]] = {}
    nodes: list[Node] = []
    edges: list[Edge] = []
    for value in graph.inputs:
        node = Node(None, bound=input_orders.get(value, identity(value.rank)))
        nodes.append(node)
        written[value] = (node, 0)

    def connect(value: Value, reader: Node, operand: int) -> None:
        root, view = views.get(value, (value, identity(value.rank)))
        if root in written:
            source, output = written[root]
            edge = Edge(root, source, output, reader, operand, view)
            edges.append(edge)
            source.edges.append(edge)
            reader.edges.append(edge)

    for op in graph.ops:
        if is_transpose(op):
            assert op.inputs[0] is not None
            assert op.inputs[1] is not None
            assert op.inputs[1].data is not None
            order = tuple(int(axis) for axis in op.inputs[1].data)
            root, view = views.get(op.inputs[0], (op.inputs[0], identity(len(order))))
            views[op.output] = (root, compose(view, order))
            continue
        rule = rule_of(op)
        node = Node(rule, label=rule.start)
        nodes.append(node)
        for index, value in rule.operands():
            connect(value, node, index)
        written.update((value, (node, index)) for index, value in enumerate(op.outputs))
    outputs = []
    for value, wanted in zip(graph.outputs, output_orders, strict=True):
        node = Node(None, bound=wanted or identity(value.rank))
        nodes.append(node)
        outputs.append(node)
        connect(value, node, 0)
    return Network(nodes, edges, views, outputs)
