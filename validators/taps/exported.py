"""Captured programs run node by node, in float32 or in float64, with any node's value shown."""

from __future__ import annotations

import contextlib
import copy
import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import SourceError, UnsupportedError, UnsupportedOperator
from ...mutation import alias_groups, written
from ...program import operator_name, user_frame
from ...program_file import load_program_file
from ..tensors import to_numpy
from .names import require_names

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

# What operators raise of their own accord: TypeError and AssertionError come from Python ones.
_OPERATOR_ERRORS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError)
_OF_TYPES = ("Double", "double", "float64", "dtype", "not implemented")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One node, ready to run.

    Attributes:
        node: The node.
        args: Its arguments; nodes in them stand for their values.
        kwargs: Its keyword arguments.
        last: Nodes whose values nobody needs after this one.
    """

    node: torch.fx.Node
    args: Any
    kwargs: Any
    last: tuple[torch.fx.Node, ...]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a placeholder stands for: an input by its name, or a value of the program's own."""

    node: torch.fx.Node
    input: str | None = None
    value: Any = None
    written: bool = False


@dataclass(kw_only=True)
class NodeRun:
    """The values of one run.

    Attributes:
        outputs: The program's outputs in order; mutated buffers are not among them.
        taps: Node name → a copy of its value right after the node ran.
    """

    outputs: list[Any] = field(default_factory=list)
    taps: dict[str, NDArray[Any]] = field(default_factory=dict)


def load_program(path: Path) -> torch.export.ExportedProgram:
    """Return a captured program; whoever asks for the same file again gets the same object.

    It is not to be changed.
    """
    status = path.stat()
    return _loaded(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=1)
def _loaded(path: Path, modified: int, size: int) -> torch.export.ExportedProgram:
    return load_program_file(path)


class Visitor(Protocol):
    """Whoever looks on while a program runs, and may put other values in place of its own."""

    def before(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Called before a node runs, with the values that there are; they may be replaced."""

    def after(self, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> None:
        """Called after a node ran; its value, too, may be replaced."""


class NodeRunner:
    """Runs a captured program node by node.

    The same operators are called on the same values as by ``program.module()``, so that in float32
    (and on as many threads) the results are the same bits. Every run starts from the state that was
    captured: buffers that a run writes to are copied first. Values are freed after their last use.

    Args:
        program: What to run; it is not changed.
        taps: Names of nodes to show.
        path: The program's file, for messages.
        cuts: Names of nodes whose readers are fed what ``run`` is given instead of their values.
        rounding: Type that every floating point weight is rounded to and back.
        after: What to make of each node's value before it is shown and read.
        double: Run in float64: weights, inputs and constants of every floating point type are
            promoted, every such type in an operator's arguments is replaced, and the default type
            is float64 too, so that nothing rounds to a shorter type on the way.

    Attributes:
        inputs: Placeholders of the inputs, in order.
        writes: Whether any operator writes to one of its arguments.
        written: Names of the nodes whose memory an operator may write to.
        see: Called with the name and the value of each node to show, instead of keeping a copy; an
            operator further down may write to the value.

    Raises:
        SourceError: There is no such node, or its value is not one tensor.
    """

    def __init__(
        self,
        program: torch.export.ExportedProgram,
        *,
        taps: Sequence[str] = (),
        cuts: Sequence[str] = (),
        path: Path,
        double: bool = False,
        rounding: torch.dtype | None = None,
        after: Callable[[torch.fx.Node, Any], Any] | None = None,
    ) -> None:
        self._double = double
        self._after = after
        self.see: Callable[[str, Any], None] | None = None
        self._taps = frozenset(taps)
        self._cuts = frozenset(cuts)
        _require_tensors(program, self._taps | self._cuts, path)
        self._given = list(_given(program, double=double, rounding=rounding))
        self._attributes = _attributes(program.graph_module, double=double)
        self._steps = list(_steps(program.graph, double=double))
        self._arguments = {step.node: (step.args, step.kwargs) for step in self._steps}
        specs = program.graph_signature.output_specs
        self.writes = _writes(program.graph_module)
        self.written = _written_names(program) if self.writes else frozenset()
        self._is_output = [spec.kind.name == "USER_OUTPUT" for spec in specs]
        self.inputs = [each.input for each in self._given if each.input is not None]

    def run(
        self,
        inputs: Mapping[str, torch.Tensor],
        feeds: Mapping[str, torch.Tensor] | None = None,
        visitor: Visitor | None = None,
    ) -> NodeRun:
        """Run the program once.

        Args:
            inputs: Placeholder name → value; they may be written to.
            feeds: Value of each node in ``cuts``, as its readers get it; they may be written to.
            visitor: Called before and after each node.
        """
        import torch

        run = NodeRun()
        feeds = feeds or {}
        with torch.no_grad(), _default_dtype(torch.float64 if self._double else None):
            values = {each.node: self._begin(each, inputs, run) for each in self._given}
            for step in self._steps:
                if visitor is not None:
                    visitor.before(step.node, values)
                self._run_step(step, values, run)
                if step.node.name in self._cuts:
                    values[step.node] = feeds[step.node.name]
                if visitor is not None and step.node in values:
                    visitor.after(step.node, values)
                for finished in step.last:
                    values.pop(finished, None)
        return run

    def evaluate(self, node: torch.fx.Node, values: Mapping[torch.fx.Node, Any]) -> Any:
        """Return what a node makes of some values, without writing to any of them.

        Raises:
            KeyError: A value that the node reads is not there.
        """
        import torch
        from torch.fx.node import map_arg

        writes = isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable

        def value_of(read: torch.fx.Node) -> Any:
            value = values[read]
            return value.clone() if writes and isinstance(value, torch.Tensor) else value

        args, kwargs = self._arguments[node]
        return node.target(*map_arg(args, value_of), **map_arg(kwargs, value_of))  # type: ignore[operator]

    def _begin(self, given: Given, inputs: Mapping[str, torch.Tensor], run: NodeRun) -> Any:
        value = given.value
        if given.input is not None:
            value = inputs[given.input]
            value = _promoted(value) if self._double else value
        elif given.written:
            value = value.clone()
        if given.node.name in self._taps:
            self._show(given.node.name, value, run)
        return value

    def _run_step(self, step: Step, values: dict[torch.fx.Node, Any], run: NodeRun) -> None:
        from torch.fx.node import map_arg

        node = step.node
        args = map_arg(step.args, values.__getitem__)
        if node.op == "output":
            returned = zip(args[0], self._is_output, strict=True)
            run.outputs = [value for value, is_output in returned if is_output]
            return
        if node.op == "get_attr":
            values[node] = self._attributes[str(node.target)]
        else:
            kwargs = map_arg(step.kwargs, values.__getitem__)
            try:
                values[node] = node.target(*args, **kwargs)  # type: ignore[operator]
            except _OPERATOR_ERRORS as error:
                raise self._failure(node, error) from error
            if self._after is not None:
                values[node] = self._after(node, values[node])
        if node.name in self._taps:
            self._show(node.name, values[node], run)

    def _show(self, name: str, value: Any, run: NodeRun) -> None:
        if self.see is not None:
            self.see(name, value)
        else:
            # a copy, now: an in-place operator further down may write to this memory
            run.taps[name] = to_numpy(value)

    def _failure(self, node: torch.fx.Node, error: Exception) -> Exception:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "can't allocate memory" in message:
            return MemoryError(f"layer {node.name}: {message}")
        where = user_frame(node.meta.get("stack_trace") or "") or None
        name = operator_name(node.target)
        if self._double and any(word in message for word in _OF_TYPES):
            return UnsupportedError(
                "eager PyTorch in float64",
                [UnsupportedOperator(operator=name, where=where, hint=message)],
            )
        return SourceError(f"layer {node.name} ({name}) raised: {message}", where=where)


def _require_tensors(
    program: torch.export.ExportedProgram, taps: frozenset[str], path: Path
) -> None:
    import torch

    nodes = {node.name: node for node in program.graph.nodes if node.op != "output"}
    require_names("layer", sorted(taps), nodes, path)
    for name in sorted(taps):
        if not isinstance(nodes[name].meta.get("val"), torch.Tensor):
            parts = [user.name for user in nodes[name].users if "getitem" in str(user.target)]
            raise SourceError(
                f"the value of layer {name!r} is not one tensor",
                hint=f"its parts are {', '.join(parts)}" if parts else None,
            )


def _given(
    program: torch.export.ExportedProgram, *, double: bool, rounding: torch.dtype | None
) -> Iterator[Given]:
    """What each placeholder is fed, in order."""
    import torch
    from torch.export.graph_signature import ConstantArgument, InputKind, TensorArgument

    writes = _writes(program.graph_module)
    placeholders = program.graph.find_nodes(op="placeholder")
    for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
        if spec.kind is InputKind.USER_INPUT:
            if isinstance(spec.arg, ConstantArgument):
                yield Given(node=node, value=spec.arg.value)
            elif isinstance(spec.arg, TensorArgument):
                yield Given(node=node, input=node.name)
            else:
                raise SourceError(f"the model takes {node.name!r}, which is not a tensor")
            continue
        target = str(spec.target)
        value = program.state_dict.get(target, program.constants.get(target))
        # In float32 a parameter stays one, with its requires_grad: matmul chooses its kernel by
        # that even where no gradients are kept, and the bits are to be those of the module.
        if rounding is not None and isinstance(value, torch.Tensor) and value.is_floating_point():
            value = value.detach().to(rounding).to(value.dtype)
        if double and isinstance(value, torch.Tensor):
            value = _promoted(value)
        # which buffer an in-place operator writes to is hidden behind views; most are small
        buffer = spec.kind in (InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
        yield Given(node=node, value=value, written=writes and buffer)


def _writes(module: torch.fx.GraphModule) -> bool:
    """Whether any operator, in a submodule too, writes to one of its arguments."""
    import torch

    return any(
        isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable
        for each in module.modules()
        if isinstance(each, torch.fx.GraphModule)
        for node in each.graph.nodes
    )


def _written_names(program: torch.export.ExportedProgram) -> frozenset[str]:
    group = alias_groups(program)
    inside = any(node.op == "get_attr" and _is_module(program, node) for node in group)
    if inside:  # what a submodule writes to is not followed into it
        return frozenset(node.name for node in group)
    targets = {group[target] for node in group for target in written(node)}
    return frozenset(node.name for node, first in group.items() if first in targets)


def _is_module(program: torch.export.ExportedProgram, node: torch.fx.Node) -> bool:
    import torch

    return isinstance(operator.attrgetter(str(node.target))(program.graph_module), torch.nn.Module)


def _steps(graph: torch.fx.Graph, *, double: bool) -> Iterator[Step]:
    """All nodes but the placeholders, each with the values that it is the last to need."""
    nodes = [node for node in graph.nodes if node.op != "placeholder"]
    last_users = {used: node for node in nodes for used in (*node.all_input_nodes, node)}
    finished: dict[torch.fx.Node, list[torch.fx.Node]] = {}
    for used, user in last_users.items():
        finished.setdefault(user, []).append(used)
    for node in nodes:
        args, kwargs = _promoted_arguments(node) if double else (node.args, node.kwargs)
        yield Step(node=node, args=args, kwargs=kwargs, last=tuple(finished.get(node, ())))


def _promoted_arguments(node: torch.fx.Node) -> tuple[Any, Any]:
    """Arguments of an operator with float64 for every shorter floating point type.

    Higher-order operators keep theirs: autocast leaves float64 tensors alone by itself.
    """
    import torch
    from torch.fx.node import map_aggregate

    if not isinstance(node.target, torch._ops.OpOverload):
        return node.args, node.kwargs

    def promote(value: Any) -> Any:
        return _promoted_dtype(value) if isinstance(value, torch.dtype) else value

    return map_aggregate(node.args, promote), map_aggregate(node.kwargs, promote)


def _attributes(module: torch.fx.GraphModule, *, double: bool) -> dict[str, Any]:
    """What the ``get_attr`` nodes stand for: submodules of higher-order operators, constants."""
    import torch

    found: dict[str, Any] = {}
    for node in module.graph.find_nodes(op="get_attr"):
        value = operator.attrgetter(node.target)(module)
        if double and isinstance(value, torch.Tensor):
            value = _promoted(value)
        elif double and isinstance(value, torch.nn.Module):
            value = _promoted_module(value)
        found[str(node.target)] = value
    return found


def _promoted_module(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a higher-order operator's submodule, and of those within it, in float64."""
    import torch

    promoted = copy.deepcopy(module)
    for each in promoted.modules():
        if not isinstance(each, torch.fx.GraphModule):
            continue
        for node in each.graph.nodes:
            node.args, node.kwargs = _promoted_arguments(node)
            if node.op == "get_attr" and isinstance(getattr(each, node.target, None), torch.Tensor):
                setattr(each, node.target, _promoted(getattr(each, node.target)))
        each.recompile()
    return promoted


def _promoted(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to(_promoted_dtype(tensor.dtype))


def _promoted_dtype(dtype: torch.dtype) -> torch.dtype:
    import torch

    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype | None) -> Iterator[None]:
    """Set the type that factories and integer division give where none is said."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype or before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
