"""Writes the chosen orders into the graph: shapes, options, constants, and the transposes left."""

from __future__ import annotations

from ..ir import (
    Graph,
    Op,
    Origin,
    Permutation,
    Value,
    compose,
    identity,
    integers,
    inverse,
)
from ..sizes import Dim
from .axes import same_memory
from .network import Network, Node, is_transpose


def rewrite(graph: Graph, network: Network) -> None:
    """Apply the labels of a network to its graph.

    Afterwards every value lies in the order that its writer gives it, and every reader gets the
    order that it wants: directly, through a reshape that moves axes of size 1, or through a
    transpose.
    """
    _Writer(graph, network).write()


class _Writer:
    def __init__(self, graph: Graph, network: Network) -> None:
        self.graph = graph
        self.network = network
        self.nodes: dict[Op, Node] = {
            node.rule.op: node for node in network.nodes if node.rule is not None
        }
        self.lies: dict[Value, Permutation] = {}  # order in which each written value lies
        self.shapes = {value: value.shape for op in graph.ops for value in op.outputs}
        self.shapes.update((value, value.shape) for value in graph.inputs)
        self.variants: dict[tuple[Value, Permutation], Value] = {}
        self.ops: list[Op] = []

    def write(self) -> None:
        for value, node in zip(self.graph.inputs, self.network.nodes, strict=False):
            self._lay(value, node.bound)
        for op in self.graph.ops:
            if is_transpose(op):
                self._note_view(op.output)
            else:
                self._write_op(op)
        self.graph.outputs = [
            self._in_order(value, node.bound, ())
            for value, node in zip(self.graph.outputs, self.network.outputs, strict=True)
        ]
        self.graph.ops = self.ops

    def _lay(self, value: Value, order: Permutation) -> None:
        """Note that a value lies in an order of the axes it was given."""
        self.lies[value] = order
        if order != identity(len(order)):
            value.shape = tuple(value.shape[axis] for axis in order)
            value.origins = [_moved(origin, order) for origin in value.origins]

    def _note_view(self, value: Value) -> None:
        """Give the layers of a transpose that is gone to the value that it viewed."""
        root, view = self.network.views[value]
        if root not in self.lies:
            return
        order = compose(inverse(view), self.lies[root])
        root.origins += [_moved(origin, order) for origin in value.origins]

    def _write_op(self, op: Op) -> None:
        node = self.nodes[op]
        rule = node.rule
        assert rule is not None
        ruled = {index for index, _ in rule.operands()}
        chosen: dict[int, Permutation] = {}
        inputs = list(op.inputs)
        for index, value in enumerate(inputs):
            if value is None or value.is_constant:
                continue
            wanted = node.accepts(index, node.label) if index in ruled else (identity(value.rank),)
            chosen[index] = self._preferred(value, wanted)
            inputs[index] = self._in_order(value, chosen[index], op.layers)
        results = [node.result(index, node.label) for index in range(len(op.outputs))]
        rule.apply(node.label, chosen)
        op.inputs = [
            old if index not in chosen else new
            for index, (old, new) in enumerate(zip(op.inputs, inputs, strict=True))
        ]
        for value, order in zip(op.outputs, results, strict=True):
            self._lay(value, order)
        self.ops.append(op)

    def _preferred(self, value: Value, wanted: tuple[Permutation, ...]) -> Permutation:
        """The order, of those that a reader takes, in which a value lies already."""
        root, view = self._root(value)
        for order in wanted:
            if root in self.lies and same_memory(
                self.shapes[root], self.lies[root], compose(view, order)
            ):
                return order
        return wanted[0]

    def _root(self, value: Value) -> tuple[Value, Permutation]:
        return self.network.views.get(value, (value, identity(value.rank)))

    def _in_order(self, value: Value, order: Permutation, layers: tuple[str, ...]) -> Value:
        """The value with its axes in an order, made if there is none yet."""
        root, view = self._root(value)
        if root not in self.lies:  # a constant: views of those are folded when they are made
            return root
        target, lies = compose(view, order), self.lies[root]
        if target == lies:
            return root
        if (root, target) not in self.variants:
            self.variants[root, target] = self._variant(root, lies, target, layers)
        return self.variants[root, target]

    def _variant(
        self, root: Value, lies: Permutation, target: Permutation, layers: tuple[str, ...]
    ) -> Value:
        shape = tuple(self.shapes[root][axis] for axis in target)
        made = Value(shape=shape, dtype=root.dtype)
        changing = sum(isinstance(size, Dim) for size in shape)
        if same_memory(self.shapes[root], lies, target) and changing <= 1:
            sizes = [-1 if isinstance(size, Dim) else size for size in shape]
            op = Op("RESHAPE", [root, integers(sizes)], [made], {"new_shape": sizes}, layers)
        else:
            order = compose(inverse(lies), target)
            op = Op("TRANSPOSE", [root, integers(order)], [made], {}, layers)
        self.ops.append(op)
        return made


def _moved(origin: Origin, order: Permutation) -> Origin:
    """An origin after its value's axes were put into an order."""
    before = origin.permutation or identity(len(order))
    after = compose(before, order)
    moved = None if after == identity(len(after)) else after
    return Origin(origin.layer, moved, origin.reshaped)
