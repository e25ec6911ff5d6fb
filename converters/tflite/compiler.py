"""The direct compiler: a captured program in, a TFLite graph out.

program → constants and mutation → lowerings, node by node → optimising passes → serializer.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import ConversionError, UnsupportedError, UnsupportedOperator
from ...mutation import kept_state, written
from ...program import operator_name, output_nodes, user_frame
from .complexes import is_complex, lowered_name, result_of
from .constants import Constants
from .context import CompileOptions, Context
from .decompose import alternative, decomposed
from .dtypes import INTEGER, array_of, ir_dtype
from .errors import Unsupported
from .functionalize import without_writes
from .inference import Result
from .ir import Graph, Origin, Value, constant
from .lowering import find_lowering
from .origins import Origins, own_origins
from .sizes import Dim, is_static, shape_of, size_of

if TYPE_CHECKING:
    import torch

Node = Any  # torch.fx.Node: its arguments are not typed any further

# They check something at run time and make nothing.
_ASSERTIONS = (
    "aten._assert",
    "aten.sym_constrain",
    "aten._functional_assert",
    "aten._functional_sym",
)


@dataclass
class Lowerer:
    """Walks a captured program and lowers its nodes into one graph.

    Attributes:
        program: The program.
        constants: What of it is constant.
        origins: The layers that its nodes belong to.
        options: What the user asks of the compiler.
        graph: The graph that is made.
        failures: Operator → why it cannot be expressed.
    """

    program: torch.export.ExportedProgram
    constants: Constants
    origins: Origins
    options: CompileOptions
    graph: Graph = field(default_factory=Graph)
    failures: dict[str, UnsupportedOperator] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values: dict[Node, Any] = {}
        self.context = Context(graph=self.graph, call=self._call, options=self.options)

    def lower(self, input_names: Sequence[str], output_names: Sequence[str]) -> Graph:
        """Lower the whole program.

        Args:
            input_names: Name of each tensor input, in order.
            output_names: Name of each tensor output, in order.

        Raises:
            UnsupportedError: All operators that cannot be expressed.
        """
        self._add_inputs(input_names)
        for node in self.program.graph.nodes:
            if node.op == "call_function" and node not in self.constants:
                self._lower_node(node)
        self._add_outputs(output_names)
        if self.failures:
            raise UnsupportedError("exported → tflite", list(self.failures.values()))
        return self.graph

    # -- inputs and outputs ------------------------------------------------------------------

    def _add_inputs(self, names: Sequence[str]) -> None:
        import torch

        user_inputs = set(self.program.graph_signature.user_inputs)
        given = iter(names)
        for node in self.program.graph.nodes:
            if node.op != "placeholder" or node in self.constants:
                continue
            fake = node.meta.get("val")
            if node.name not in user_inputs or not isinstance(fake, torch.Tensor):
                continue
            name = next(given)
            value = _placeholder(fake)
            value.name = name
            try:
                ir_dtype(fake.dtype)
            except ConversionError as error:
                self._refuse(f"input {name}", error)
            self.graph.inputs.append(value)
            self.values[node] = value
            if self.options.keep_int64 and _is_int64(fake):
                value.dtype = "int64"
                self.values[node] = self.context.cast(value, INTEGER)
            for axis, size in enumerate(value.shape):
                if isinstance(size, Dim) and size.expr.is_Symbol:
                    self.context.symbols.setdefault(size.expr, (value, axis))

    def _add_outputs(self, names: Sequence[str]) -> None:
        nodes = {node.name: node for node in self.program.graph.nodes}
        for name, output in zip(names, output_nodes(self.program), strict=True):
            try:
                if is_complex(nodes[output].meta.get("val")):
                    raise Unsupported("it is complex", hint="return torch.view_as_real of it")
                value = self._value(nodes[output])
            except ConversionError as error:
                self._refuse(f"output {name}", error)
                continue
            if self.options.keep_int64 and _is_int64(nodes[output].meta["val"]):
                value = self.context.emit("CAST", value, shape=value.shape, dtype="int64")
            self.graph.outputs.append(value)
            self.graph.output_names.append(name)

    # -- nodes -------------------------------------------------------------------------------

    def _lower_node(self, node: Node) -> None:
        import torch

        if str(node.target).startswith(_ASSERTIONS) or not _makes_tensors(node.meta.get("val")):
            return
        if node.target is operator.getitem:
            self.values[node] = self._value(node.args[0])[node.args[1]]
        else:
            try:
                self.values[node] = self._lower_call(node)
            except ConversionError as error:
                self._record(node, error)
                self.values[node] = _placeholder(node.meta["val"])
            except Exception as error:
                where = user_frame(node.meta.get("stack_trace") or "")
                error.add_note(f"while lowering {node.name}: {node.target}, {where}")
                raise
            for target in written(node):
                self.values[target] = self.values[node]
        value = self.values[node]
        if is_complex(node.meta["val"]):
            return  # its tensor has one more axis than the layer
        layer = self.origins.results.get(node)
        if layer and isinstance(value, Value) and isinstance(node.meta["val"], torch.Tensor):
            self._mark(value, layer)

    def _mark(self, value: Value, layer: str) -> None:
        """Note that a value holds a layer's result; LiteRT shows none without elements."""
        if value.is_constant or 0 in value.shape:
            return
        if all(origin.layer != layer for origin in value.origins):
            value.origins.append(Origin(layer))

    def _lower_call(self, node: Node) -> Any:
        self.context.layer = self.origins.parts.get(node, "")
        results = _results(node.meta["val"])
        if all(0 in shape for shape, _ in results):
            return self._empty(node.meta["val"])
        self.context.results = results
        self.context.contiguous = _reads_contiguous(node)
        packet, overload = _names(node.target)
        lowering = find_lowering(lowered_name(node, packet), overload)
        _check_types(node)
        if lowering is None:
            return self._decompose(node)
        args, kwargs = self._arguments(node)
        made = lowering.function(self.context, *args, **kwargs)
        self._note_complex(node, made)
        return _checked(made, node.meta["val"], packet)

    def _empty(self, value: Any) -> Any:
        """What a node without any elements stands for."""
        if isinstance(value, list | tuple):
            return [self._empty(each) for each in value]
        return self.context.filled(shape_of(value.shape), 0, ir_dtype(value.dtype))

    def _note_complex(self, node: Node, made: Any) -> None:
        """Let lowerings know which values are of complex numbers."""
        if is_complex(node.meta.get("val")):
            self.context.complexes.add(made)

    def _decompose(self, node: Node) -> Any:
        module = decomposed(node)
        if module is None:
            raise Unsupported("there is no lowering for it", hint=alternative(node))
        inputs = [each for each in module.graph.nodes if each.op == "placeholder"]
        for placeholder, argument in zip(inputs, node.all_input_nodes, strict=True):
            self.values[placeholder] = self._value(argument)
        for each in module.graph.nodes:
            if each.op == "get_attr":
                self.values[each] = constant(array_of(getattr(module, each.target)))
            elif each.op == "call_function":
                self._lower_part(each)
        (result,) = module.graph.output_node().args
        return self._resolve(result)

    def _lower_part(self, node: Node) -> None:
        """Lower one node of a decomposed operator; its results belong to the operator's layer."""
        if not _makes_tensors(node.meta.get("val")):
            return
        if node.target is operator.getitem:
            self.values[node] = self._value(node.args[0])[node.args[1]]
            return
        layer, results = self.context.layer, self.context.results
        packet, overload = _names(node.target)
        lowering = find_lowering(lowered_name(node, packet), overload)
        if lowering is None:
            raise Unsupported(
                f"it decomposes into {packet}, which has no lowering", hint=alternative(node)
            )
        self.context.results = _results(node.meta["val"])
        self.context.contiguous = _reads_contiguous(node)
        args, kwargs = self._arguments(node)
        made = lowering.function(self.context, *args, **kwargs)
        self._note_complex(node, made)
        self.values[node] = _checked(made, node.meta["val"], packet)
        self.context.layer, self.context.results = layer, results

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Lower another operator within the one that is being lowered."""
        packet, _, overload = name.partition(":")
        lowering = find_lowering(packet, overload)
        assert lowering is not None, f"{name} has no lowering"
        return lowering.function(self.context, *args, **kwargs)

    # -- arguments ---------------------------------------------------------------------------

    def _arguments(self, node: Node) -> tuple[list[Any], dict[str, Any]]:
        """A node's arguments by its schema: positional ones in order, keyword-only ones by name."""
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            raise Unsupported("it is not an operator with a schema")
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for index, argument in enumerate(schema.arguments):
            if index < len(node.args):
                value = node.args[index]
            elif argument.name in node.kwargs:
                value = node.kwargs[argument.name]
            else:
                value = argument.default_value
            if argument.kwarg_only:
                keywords[argument.name] = self._resolve(value)
            else:
                positional.append(self._resolve(value))
        for name in ("device", "layout", "pin_memory", "memory_format", "generator"):
            keywords.pop(name, None)
        return positional, keywords

    def _resolve(self, argument: Any) -> Any:
        import torch

        if isinstance(argument, torch.fx.Node):
            return self._value(argument)
        if isinstance(argument, list | tuple):
            return [self._resolve(each) for each in argument]
        if isinstance(argument, torch.SymInt):
            return size_of(argument)
        return argument

    def _value(self, node: Node) -> Any:
        """What a node stands for: a value, several, or a size."""
        import torch

        if node in self.values:
            return self.values[node]
        if node in self.constants:
            tensor = self.constants[node]
            if isinstance(tensor, list | tuple):
                self.values[node] = [constant(array_of(each)) for each in tensor]
            elif isinstance(tensor, torch.Tensor):
                self.values[node] = constant(array_of(tensor), name=node.name)
                if is_complex(tensor):
                    self.context.complexes.add(self.values[node])
            else:
                return tensor
            return self.values[node]
        meta = node.meta.get("val")
        if isinstance(meta, torch.SymInt | int):
            return size_of(meta)
        raise Unsupported(f"it reads {node.name}, whose value is known only at run time")

    # -- failures ----------------------------------------------------------------------------

    def _record(self, node: Node, error: ConversionError) -> None:
        where = user_frame(node.meta.get("stack_trace") or "") or None
        self._refuse(operator_name(node.target), error, where)

    def _refuse(self, name: str, error: ConversionError, where: str | None = None) -> None:
        known = self.failures.get(name)
        hint = error.message + (f" ({error.hint})" if error.hint else "")
        self.failures[name] = UnsupportedOperator(
            operator=name,
            count=known.count + 1 if known else 1,
            where=known.where if known else where,
            hint=known.hint if known else hint,
        )


def lower_program(
    program: torch.export.ExportedProgram,
    options: CompileOptions,
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> Graph:
    """Lower a captured program to a TFLite graph in PyTorch's own layout.

    Raises:
        UnsupportedError: All operators that cannot be expressed.
    """
    failures = {each.operator: each for each in kept_state(program)}
    constants, origins = Constants(program), own_origins(program)
    rewritten = without_writes(program, constants)
    if rewritten is not None:
        program, origins = rewritten
        constants = Constants(program)
    lowerer = Lowerer(
        program=program, constants=constants, origins=origins, options=options, failures=failures
    )
    return lowerer.lower(input_names, output_names)


def _names(target: Any) -> tuple[str, str]:
    """Operator and overload: ``aten.add`` and ``Tensor``."""
    packet = getattr(target, "overloadpacket", None)
    if packet is None:
        return str(target), ""
    return str(packet), str(target._overloadname)


def _reads_contiguous(node: Node) -> bool:
    """Whether all tensors that a node reads lie in memory as their shapes say, from its start."""
    import torch

    values = (each.meta.get("val") for each in node.all_input_nodes)
    return all(
        is_static(shape_of(value.shape)) and value.is_contiguous() and value.storage_offset() == 0
        for value in values
        if isinstance(value, torch.Tensor)
    )


def _check_types(node: Node) -> None:
    """Raise ``ConversionError`` if TFLite has nothing for the type of an operand."""
    import torch

    for each in node.all_input_nodes:
        value = each.meta.get("val")
        if isinstance(value, torch.Tensor) and not is_complex(value):
            ir_dtype(value.dtype)


def _is_int64(value: Any) -> bool:
    return str(value.dtype) == "torch.int64"


def _makes_tensors(value: Any) -> bool:
    import torch

    if isinstance(value, list | tuple):
        return any(_makes_tensors(each) for each in value)
    return isinstance(value, torch.Tensor)


def _results(value: Any) -> list[Result]:
    import torch

    values = value if isinstance(value, list | tuple) else [value]
    return [result_of(each) for each in values if isinstance(each, torch.Tensor)]


def _placeholder(value: Any) -> Any:
    """Values of a failed node's shapes, so that what reads them can be tried too."""
    if isinstance(value, list | tuple):
        return [_placeholder(each) for each in value]
    if value is None:
        return None
    try:
        return Value(shape=shape_of(value.shape), dtype=ir_dtype(value.dtype))
    except ConversionError:
        return Value(shape=shape_of(value.shape), dtype="float32")


def _checked(made: Any, value: Any, operator: str) -> Any:
    """The result of a lowering, after a look at its shapes and types."""
    results = _results(value)
    values = [made] if isinstance(made, Value) else [each for each in made if each is not None]
    for (shape, dtype), each in zip(results, values, strict=False):
        if each.shape != shape or each.dtype != dtype:
            raise ConversionError(
                f"the lowering of {operator} makes {each.dtype}{list(map(str, each.shape))} "
                f"instead of {dtype}{list(map(str, shape))}"
            )
    return made
