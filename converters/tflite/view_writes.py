"""Writes through views as new values: ``x[:, 0].add_(y)`` makes a new ``x``, and views of it anew.

The program is written once more, in order. A write to a view becomes its functional operator; the
tensor under the view is made again from the result (``slice_scatter`` for a slice, and so on), and
other views of it are made again where they are read afterwards. No shape is computed anew, as each
node that is added has those of one that was there; PyTorch's own functionalisation captures the
whole program a second time. Whatever is not understood here is left to that.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...mutation import written
from ...program import operator_name
from .origins import Origins

if TYPE_CHECKING:
    import torch
    from torch.fx import Node

# Views of which each always shares the memory of its operand.
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        "slice", "select", "view", "permute", "transpose", "t", "unsqueeze", "squeeze", "alias",
        "detach", "diagonal", "expand", "split", "split_with_sizes", "narrow", "chunk", "unbind",
    )
)  # fmt: skip


class NotUnderstoodError(Exception):
    """A write or a view that cannot be followed; PyTorch can."""


def without_view_writes(
    program: torch.export.ExportedProgram, group: Mapping[Node, Node], roots: Collection[Node]
) -> tuple[torch.export.ExportedProgram, Origins] | None:
    """Return a program that does not write to some groups of tensors that share memory.

    Args:
        program: The program; it is not changed.
        group: Node → the first of those that may share its memory.
        roots: The groups, by their first nodes.

    Returns:
        The program and the origins of its nodes, or ``None`` if a write or a view of a group cannot
        be followed.
    """
    writer = _Writer(group=group, roots=frozenset(roots))
    try:
        for node in program.graph.nodes:
            writer.add(node)
    except NotUnderstoodError:
        return None
    return _with_graph(program, writer), Origins(parts=writer.parts, results=writer.results)


@dataclass(kw_only=True)
class _Writer:
    """Writes the new graph.

    Attributes:
        group: Node → the first of those that may share its memory.
        roots: First nodes of the groups that are followed.
        now: Node of the captured graph → the one that has its value, as of its ``age``.
        age: Member of a group → number of writes to the group that its node has seen.
        writes: Root → number of writes to its group so far.
        held: Node into which a view's value was put back → the view's operator and its further
            arguments, and that value.
    """

    group: Mapping[Node, Node]
    roots: frozenset[Node]
    now: dict[Node, Node] = field(default_factory=dict)
    age: dict[Node, int] = field(default_factory=dict)
    writes: dict[Node, int] = field(default_factory=dict)
    held: dict[Node, tuple[Any, tuple[Any, ...], Node]] = field(default_factory=dict)
    parts: dict[Node, str] = field(default_factory=dict)
    results: dict[Node, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import torch

        self.graph = torch.fx.Graph()

    def add(self, node: Node) -> None:
        """Add what becomes of a node of the captured graph, which is the next one."""
        targets = [each for each in written(node) if self.group[each] in self.roots]
        if targets:
            self._write(node, targets)
            return
        made = self._copied(node)
        self.results[made] = node.name
        self._set(node, made)

    def _copied(self, node: Node) -> Node:
        """A node of the new graph that does what a node of the captured one does."""
        import torch

        value = self._put_back_last(node)
        if value is not None:
            return self._same(value, node)
        made = self.graph.node_copy(node, self._current)
        self.parts[made] = node.name
        if node.target is torch.ops.aten.view.default and self.group[node] in self.roots:
            made.target = torch.ops.aten.reshape.default  # the memory of a new value is another
        return made

    def _same(self, value: Node, node: Node) -> Node:
        """A node for a layer whose result is a value that is there already."""
        import torch

        made = self.graph.create_node("call_function", torch.ops.aten.alias.default, (value,))
        made.meta = dict(node.meta)
        self.parts[made] = node.name
        return made

    def _put_back_last(self, view: Node) -> Node | None:
        """The value of a view whose operand was made by putting it back.

        ``y[0] += 1`` views ``y`` once more, to write the sum to where it is already.
        """
        import torch

        if view.op != "call_function" or operator_name(view.target) not in _VIEWS or view.kwargs:
            return None
        args: tuple[Any, ...] = torch.fx.node.map_arg(view.args, self._current)
        function, further, value = self.held.get(_unaliased(args[0]), (None, (), None))
        return value if function is view.target and further == args[1:] else None

    def _set(self, node: Node, made: Node) -> None:
        self.now[node] = made
        if self.group[node] in self.roots:
            self.age[node] = self.writes.setdefault(self.group[node], 0)

    def _write(self, node: Node, targets: list[Node]) -> None:
        import torch

        (target, *others) = targets
        if others or not isinstance(node.meta.get("val"), torch.Tensor):
            raise NotUnderstoodError
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self._current)
        if str(node.target) == "aten.copy_.default" and _unaliased(args[0]) is _unaliased(args[1]):
            same = self._same(self._current(target), node)
            self.results[same] = node.name
            self._set(node, same)
            return
        result = self.graph.create_node("call_function", _functional(node, target), args, kwargs)
        result.meta = dict(node.meta)
        self.parts[result] = self.results[result] = node.name
        steps: list[tuple[Node, Node]] = []
        viewed, value = target, result
        while viewed is not self.group[target]:
            parent = _operand(viewed)
            if not written(viewed):
                value = self._put_back(viewed, parent, value, node)
            steps.append((parent, value))
            viewed = parent
        self.writes[self.group[target]] += 1
        self._set(target, result)
        for member, made in steps:
            self._set(member, made)
        self._set(node, result)

    def _put_back(self, view: Node, parent: Node, value: Node, write: Node) -> Node:
        """The operand of a view with the view's new value in it."""
        import torch

        function, arguments, scatters = _inverse(view, parent)
        if function is None:
            return value
        operands = (self._current(parent), value) if scatters else (value,)
        others = torch.fx.node.map_arg(arguments, self._current)
        made = self.graph.create_node("call_function", function, (*operands, *others))
        made.meta = {**write.meta, "val": parent.meta["val"]}
        self.parts[made] = write.name
        further = torch.fx.node.map_arg(view.args[1:], self._current)
        self.held[made] = (view.target, further, _unaliased(value))
        return made

    def _current(self, node: Node) -> Node:
        """The new graph's node with the value that a node has by now."""
        root = self.group[node]
        if root not in self.roots or self.age[node] == self.writes[root]:
            return self.now[node]
        if written(node):
            written_to = node
            while written(written_to):
                written_to = _operand(written_to)
            made = self._current(written_to)
        elif node.target is operator.getitem or operator_name(node.target) in _VIEWS:
            made = self._copied(node)
        else:
            raise NotUnderstoodError  # it may have been a copy
        self._set(node, made)
        return made


def _unaliased(node: Any) -> Any:
    """The node whose value a node of the new graph repeats."""
    while getattr(node, "target", None) is not None and str(node.target) == "aten.alias.default":
        node = node.args[0]
    return node


def _operand(node: Node) -> Node:
    """What a view views, or what a write has written to."""
    if node.op != "call_function" or not node.args or not hasattr(node.args[0], "meta"):
        raise NotUnderstoodError
    return node.args[0]  # type: ignore[return-value]


def _functional(write: Node, target: Node) -> Any:
    """The operator that gives the result of an in-place operator, and writes nothing."""
    import torch

    packet, _, overload = str(write.target).removeprefix("aten.").partition(".")
    functional = getattr(getattr(torch.ops.aten, packet.removesuffix("_"), None), overload, None)
    if not packet.endswith("_") or functional is None or functional._schema.is_mutable:
        raise NotUnderstoodError
    if write.args[0] is not target:
        raise NotUnderstoodError
    args, kwargs = torch.fx.node.map_arg(
        (write.args, write.kwargs), lambda argument: argument.meta["val"]
    )
    wanted = write.meta["val"]
    try:
        made = functional(*args, **kwargs)
    except Exception as error:  # what a shape is may depend on data
        raise NotUnderstoodError from error
    if made.shape != wanted.shape or made.dtype != wanted.dtype:  # the operand is promoted
        raise NotUnderstoodError
    return functional


def _inverse(view: Node, parent: Node) -> tuple[Any, tuple[Any, ...], bool]:
    """How a view's operand is made of the view's value.

    Returns:
        An operator (``None``: the value is the operand), its further arguments, and whether it
        takes the old operand before the value.
    """
    import torch

    aten = torch.ops.aten
    arguments: tuple[Any, ...] = view.args[1:]
    if view.kwargs or view.target is operator.getitem:
        raise NotUnderstoodError
    target = str(view.target)
    if target in ("aten.alias.default", "aten.detach.default"):
        return None, (), False
    scatters = {
        "aten.slice.Tensor": aten.slice_scatter.default,
        "aten.select.int": aten.select_scatter.default,
        "aten.diagonal.default": aten.diagonal_scatter.default,
    }
    if target in scatters:
        return scatters[target], arguments, True
    if target == "aten.narrow.default" and all(isinstance(each, int) for each in arguments):
        axis, start, length = arguments
        return aten.slice_scatter.default, (axis, start, start + length or None), True
    if target in ("aten.t.default", "aten.transpose.int"):  # each is its own inverse
        return view.target, arguments, False
    shape = parent.meta["val"].shape
    if target == "aten.permute.default":
        order = [axis % len(shape) for axis in arguments[0]]
        return view.target, ([order.index(axis) for axis in range(len(shape))],), False
    flat = target == "aten.view.default" or target.startswith(("aten.squeeze.", "aten.unsqueeze."))
    if flat and all(isinstance(size, int) for size in shape):
        return aten.reshape.default, (list(shape),), False
    raise NotUnderstoodError


def _with_graph(
    program: torch.export.ExportedProgram, writer: _Writer
) -> torch.export.ExportedProgram:
    """The program with another graph, whose outputs may have other names."""
    import torch
    from torch.export.graph_signature import ConstantArgument

    signature = copy.deepcopy(program.graph_signature)
    names = {node.name: made.name for node, made in writer.now.items()}
    for spec in signature.output_specs:
        if not isinstance(spec.arg, ConstantArgument):
            spec.arg.name = names[spec.arg.name]
    return torch.export.ExportedProgram(
        root=program.graph_module,
        graph=writer.graph,
        graph_signature=signature,
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=[program.verifier],
    )
