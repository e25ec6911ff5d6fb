"""Cutting a captured program at tensors: any set of its operators as a module of its own."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..program import operator_name, user_frame

if TYPE_CHECKING:
    import torch

_STATE = ("PARAMETER", "BUFFER", "CONSTANT_TENSOR", "CUSTOM_OBJ")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """An operator with the members of its result: what a program is not cut within.

    Attributes:
        nodes: The operator's node, and the ``getitem`` nodes on it.
    """

    nodes: tuple[torch.fx.Node, ...]

    @property
    def id(self) -> str:
        """Name of the node, which is the layer's id unless it has several results."""
        return self.nodes[0].name

    @property
    def op(self) -> str:
        """The operator, such as ``aten.conv2d``."""
        return operator_name(self.nodes[0].target)

    @property
    def module(self) -> str:
        """Path of the module that it belongs to."""
        stack = list((self.nodes[0].meta.get("nn_module_stack") or {}).values())
        return str(stack[-1][0]).removeprefix("L['self'].") if stack else ""

    @property
    def source(self) -> str:
        """The user's ``file:line``, or an empty text."""
        return user_frame(self.nodes[0].meta.get("stack_trace") or "")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some units of a program as a module.

    Attributes:
        module: The module; its ``forward`` takes the inputs in order and returns a tuple.
        inputs: What flows into the piece in the whole program on the example inputs, by name.
        units: The units.
    """

    module: torch.fx.GraphModule
    inputs: Mapping[str, torch.Tensor]
    units: tuple[Unit, ...]


@dataclass(frozen=True, kw_only=True)
class CutProgram:
    """A captured program with the value of every node on its example inputs.

    Attributes:
        program: The program.
        units: Its units, in order.
        values: Node → its value.
    """

    program: torch.export.ExportedProgram
    units: tuple[Unit, ...]
    values: Mapping[torch.fx.Node, Any]

    @classmethod
    def of(
        cls, program: torch.export.ExportedProgram, inputs: Sequence[torch.Tensor] | None = None
    ) -> CutProgram:
        """Run a program once and keep all its values.

        Args:
            program: The program.
            inputs: Its tensor inputs in order; its own example inputs by default.
        """
        import torch

        values: dict[torch.fx.Node, Any] = {}

        class Recorder(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node) -> Any:
                values[n] = result = super().run_node(n)
                if isinstance(result, torch.Tensor) and n.op == "call_function":
                    values[n] = result.clone()  # a later operator may write to it
                return result

        arguments = _arguments(program, inputs)
        with torch.no_grad():
            Recorder(program.graph_module).run(*arguments, enable_io_processing=False)
        return cls(program=program, units=tuple(_units(program.graph)), values=values)

    def piece(self, units: Sequence[Unit]) -> Piece:
        """Return some units as a module; what other units give them becomes its inputs."""
        return _Cut(self, units).piece()


class _Cut:
    """One piece while it is put together."""

    def __init__(self, whole: CutProgram, units: Sequence[Unit]) -> None:
        import torch

        self.whole = whole
        self.units = tuple(units)
        self.graph = torch.fx.Graph()
        self.root = torch.nn.Module()
        self.made: dict[torch.fx.Node, Any] = {}
        self.inputs: dict[str, torch.Tensor] = {}
        self.kinds = {
            spec.arg.name: spec.kind.name for spec in whole.program.graph_signature.input_specs
        }

    def piece(self) -> Piece:
        import torch

        chosen = {node for unit in self.units for node in unit.nodes}
        ordered = [node for node in self.whole.program.graph.nodes if node in chosen]
        needed = dict.fromkeys(source for node in ordered for source in node.all_input_nodes)
        for node in needed:
            if node not in chosen:
                self.made[node] = self._outside(node)
        for node in ordered:
            self.made[node] = self.graph.node_copy(node, lambda each: self.made[each])
        results = [self.made[node] for node in ordered if self._leaves(node, chosen)]
        self.graph.output(tuple(results))
        self.graph.lint()
        module = torch.fx.GraphModule(self.root, self.graph)
        return Piece(module=module.eval(), inputs=self.inputs, units=self.units)

    def _outside(self, node: torch.fx.Node) -> Any:
        """Stand in for a node of another unit: a weight, an input, or a plain number."""
        import torch

        value = self.whole.values[node]
        if node.op == "get_attr" or self.kinds.get(node.name) in _STATE:
            name = node.name
            if isinstance(value, torch.Tensor):
                self.root.register_buffer(name, value.detach())
            else:
                setattr(self.root, name, value)
            made = self.graph.get_attr(name)
        elif isinstance(value, torch.Tensor):
            self.inputs[node.name] = value.detach().clone()
            made = self.graph.placeholder(node.name)
        else:
            return value
        made.meta = dict(node.meta)
        return made

    def _leaves(self, node: torch.fx.Node, chosen: set[torch.fx.Node]) -> bool:
        """Whether a result leaves the piece, or is read by nobody."""
        import torch

        if not isinstance(self.whole.values[node], torch.Tensor):
            return False
        return not node.users or any(user not in chosen for user in node.users)


def _units(graph: torch.fx.Graph) -> Iterator[Unit]:
    """Every operator whose result is a tensor or holds some; sizes are numbers in a piece."""
    members: dict[torch.fx.Node, list[torch.fx.Node]] = {}
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if node.target is operator.getitem and node.args[0] in members:
            members[node.args[0]].append(node)
            members[node] = members[node.args[0]]
        elif _has_tensor(node.meta.get("val")):
            members[node] = [node]
    seen = set()
    for group in members.values():
        if id(group) not in seen:
            seen.add(id(group))
            yield Unit(nodes=tuple(group))


def _has_tensor(value: Any) -> bool:
    import torch

    if isinstance(value, list | tuple):
        return any(_has_tensor(each) for each in value)
    return isinstance(value, torch.Tensor)


def _arguments(
    program: torch.export.ExportedProgram, inputs: Sequence[torch.Tensor] | None
) -> list[Any]:
    """What the placeholders of the graph stand for: state first, and then the inputs."""
    import torch
    from torch.utils import _pytree as pytree

    examples = inputs if inputs is not None else pytree.tree_leaves(program.example_inputs)
    tensors = iter([each for each in examples if isinstance(each, torch.Tensor)])
    state = {**program.state_dict, **program.constants}
    values: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind.name in _STATE:
            values.append(state[spec.target])
        elif hasattr(spec.arg, "value"):
            values.append(spec.arg.value)
        else:
            values.append(next(tensors).clone())
    return values
