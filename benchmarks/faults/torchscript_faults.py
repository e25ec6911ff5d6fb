"""Faults in TorchScript files, by editing the graphs of a loaded module and saving it again."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .arguments import changed_arguments
from .changes import changed_array
from .edits import TORCHSCRIPT, Edit, FaultKind
from .sites import Apply, FaultyFile, Injected, Operator

_CONVERSIONS = ("aten::Int", "aten::ScalarImplicit")


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A call of an operator.

    Attributes:
        place: The code that calls it: type of the module, method, place of the node.
        graph: The method's graph.
        node: The node in it.
        tensors: Values of the graph that are parameters or buffers → their tensors.
    """

    place: tuple[str, str, int]
    graph: Any
    node: Any
    tensors: Mapping[str, torch.Tensor]


class TorchScriptFile(FaultyFile):
    """A TorchScript file; an operator's node is in the graph of the method that calls it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.module: Any = torch.jit.load(path)  # type: ignore[no-untyped-call]
        self.operators = _operators(self.module)
        inner = list(_calls(self.module, "forward", {}))
        outer = [each.index for each in self.operators if _computes(each.kind)]
        if [call.node.kind() for call in inner] != [self.operators[i].kind for i in outer]:
            raise ValueError(f"the methods of {path.name} do not tell its inlined graph")
        self._places = dict(zip(outer, inner, strict=True))
        self._times = Counter(call.place for call in inner)

    def edits(self, kind: FaultKind) -> Sequence[Edit]:
        """Return how a kind is made in TorchScript."""
        return kind.edits.get(TORCHSCRIPT, ())

    def plan(self, operator: Operator, edit: Edit, rng: np.random.Generator) -> Apply | None:
        """Return what makes the edit, or ``None``; never of a node that is called twice."""
        if edit.feeds and not self._feeds(operator, edit.feeds):
            return None
        call = self._places.get(operator.index)
        if call is None or self._times[call.place] != 1:
            return None
        return getattr(_Editor(call, rng), edit.how)(edit)  # type: ignore[no-any-return]

    def _feeds(self, operator: Operator, kinds: Sequence[str]) -> bool:
        readers = (each for each in self.operators if each.kind in kinds)
        return any(set(each.inputs) & set(operator.outputs) for each in readers)

    def save(self) -> Injected:
        """Return the file as it is now, with the names that loading it gives."""
        buffer = io.BytesIO()
        torch.jit.save(self.module, buffer)  # type: ignore[no-untyped-call]
        content = buffer.getvalue()
        buffer.seek(0)
        again = _operators(torch.jit.load(buffer))  # type: ignore[no-untyped-call]
        pairs = zip(_computing(self.operators), _computing(again), strict=True)
        renamed = {
            old: new
            for before, after in pairs
            for old, new in zip(before.outputs, after.outputs, strict=True)
        }
        return Injected(content=content, renamed=renamed)


def _calls(module: Any, method: str, given: Mapping[int, Any]) -> Iterator[_Call]:
    """The operators that a method calls, also through others, in the order of inlining."""
    graph = module._c._get_method(method).graph
    objects: dict[str, Any] = {}
    for index, value in enumerate(graph.inputs()):
        objects[value.debugName()] = module if index == 0 else given.get(index)
    tensors: dict[str, torch.Tensor] = {}
    for index, node in enumerate(graph.nodes()):
        inputs = [each.debugName() for each in node.inputs()]
        if node.kind() == "prim::GetAttr":
            name = node.output().debugName()
            objects[name] = getattr(objects[inputs[0]], node.s("name"))
            if isinstance(objects[name], torch.Tensor):
                tensors[name] = objects[name]
        elif node.kind() == "prim::CallMethod":
            handed = {place: objects.get(each) for place, each in enumerate(inputs)}
            yield from _calls(objects[inputs[0]], node.s("name"), handed)
        elif _computes(node.kind()):
            place = (module._c._type().qualified_name(), method, index)
            yield _Call(place=place, graph=graph, node=node, tensors=tensors)


def _operators(module: Any) -> list[Operator]:
    return [
        Operator(
            index=index,
            kind=node.kind(),
            inputs=tuple(each.debugName() for each in node.inputs()),
            outputs=tuple(each.debugName() for each in node.outputs()),
        )
        for index, node in enumerate(module.inlined_graph.nodes())
    ]


def _computing(operators: Sequence[Operator]) -> list[Operator]:
    return [each for each in operators if _computes(each.kind)]


def _computes(kind: str) -> bool:
    """Whether a node is an operator; inlining takes conversions of sizes back and forth away."""
    return kind.startswith("aten::") and kind not in _CONVERSIONS


class _Editor:
    """Makes edits of one node."""

    def __init__(self, call: _Call, rng: np.random.Generator) -> None:
        self.graph, self.node, self.tensors = call.graph, call.node, call.tensors
        self.rng = rng

    def attribute(self, edit: Edit) -> Apply | None:
        """Another constant for an argument."""
        arguments = self._arguments()
        values = {name: _constant_of(value) for name, (_, value) in arguments.items()}
        made = changed_arguments(edit, values)
        if made is None:
            return None

        def apply() -> None:
            for name, value in made.items():
                self._put(arguments[name][0], value)

        return apply

    def constant(self, edit: Edit) -> Apply | None:
        """Another tensor for a parameter, a buffer or a constant of the graph."""
        place = int(edit.at)
        inputs = list(self.node.inputs())
        held = inputs[place] if place < len(inputs) else None
        if held is None:
            return None
        owner = self.node
        if held.node().kind() == "prim::ListConstruct":  # the weights of a recurrent layer
            owner, place = held.node(), 0
            if not list(owner.inputs()):
                return None
            held = next(iter(owner.inputs()))
        tensor = self._tensor(held)
        if tensor is None or not (tensor.is_floating_point() or edit.change == "roll"):
            return None
        made = changed_array(
            edit.change,
            tensor.detach().numpy(),
            axis=edit.axis,
            by=0.0 if edit.by is None else float(edit.by),
            rng=self.rng,
        )
        if made is None:
            return None
        return lambda: self._put(place, torch.from_numpy(made), owner)

    def operator(self, edit: Edit) -> Apply | None:
        """Another operator of the same tensor."""
        inputs = list(self.node.inputs())
        kept = inputs if edit.by in ("aten::add", "aten::sub") else inputs[:1]
        if any(each.type().kind() != "TensorType" for each in kept[:2]):
            return None

        def apply() -> None:
            made = self.graph.create(edit.by, kept, 1)
            made.insertBefore(self.node)
            if edit.by == "aten::clone":
                self.graph.setInsertPoint(made)
                made.addInput(self.graph.insertConstant(None))
            made.output().setType(self.node.output().type())
            self.node.output().replaceAllUsesWith(made.output())
            self.node.destroy()

        return apply

    def operands(self, edit: Edit) -> Apply | None:
        """The first two tensors exchanged."""
        owner = self.node
        inputs = list(owner.inputs())
        if inputs[0].node().kind() == "prim::ListConstruct":
            owner = inputs[0].node()
            inputs = list(owner.inputs())
        if len(inputs) < 2 or any(each.type().kind() != "TensorType" for each in inputs[:2]):
            return None
        if inputs[0] == inputs[1] or self._tensor(inputs[1]) is not None:
            return None

        def apply() -> None:
            owner.replaceInput(0, inputs[1])
            owner.replaceInput(1, inputs[0])

        return apply

    slice = attribute

    def _arguments(self) -> dict[str, tuple[int, Any]]:
        """Name → place and value of each argument."""
        schema = torch._C.parse_schema(self.node.schema())
        values = list(self.node.inputs())
        return {
            each.name: (place, value)
            for place, (each, value) in enumerate(zip(schema.arguments, values, strict=False))
        }

    def _tensor(self, value: Any) -> torch.Tensor | None:
        """The tensor of a value that is stored; ``None`` if it is computed."""
        if value.debugName() in self.tensors:
            return self.tensors[value.debugName()]
        constant = value.node().kind() == "prim::Constant"
        stored = value.toIValue() if constant else None
        return stored if isinstance(stored, torch.Tensor) else None

    def _put(self, place: int, value: Any, owner: Any = None) -> None:
        owner = owner or self.node
        self.graph.setInsertPoint(owner)
        owner.replaceInput(place, self.graph.insertConstant(value))


def _constant_of(value: Any) -> Any:
    """A constant argument, or a list of constants; ``None`` for all else."""
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        values = [_constant_of(each) for each in node.inputs()]
        return None if None in values else values
    return value.toIValue() if node.kind() == "prim::Constant" else None
