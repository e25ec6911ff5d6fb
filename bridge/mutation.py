"""In-place writes of a captured program: to what, what shares its memory, and what outlives a call.

Both forms of programs are understood: the training IR, in which operators write to buffers, and
the functional one, in which new values of buffers are outputs of their own.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .errors import UnsupportedOperator
from .program import operator_name, output_nodes, user_frame

if TYPE_CHECKING:
    import torch

# Composite operators whose schema does not say that they may return a view of their operand.
_MAY_ALIAS = frozenset(
    f"aten.{name}"
    for name in (
        "reshape", "flatten", "contiguous", "to", "type_as", "dropout", "chunk", "tensor_split",
        "float", "unflatten", "expand_as", "view_as", "reshape_as", "narrow", "movedim", "swapaxes",
        "swapdims", "ravel", "unsafe_chunk", "lift_fresh", "atleast_1d", "atleast_2d", "meshgrid",
        "feature_dropout", "alpha_dropout", "conj", "real", "resolve_conj", "resolve_neg", "T",
        "numpy_T", "mT", "matrix_H", "adjoint", "hsplit", "vsplit", "dsplit", "moveaxis", "unbind",
    )
)  # fmt: skip
# What they make has their operand's numbers in its shape.
_UNCHANGING = frozenset(
    f"aten.{name}" for name in ("to", "clone", "contiguous", "detach", "alias", "lift_fresh")
)
# Nothing of what was in their first operand is in their result.
_OVERWRITING = frozenset(
    f"aten.{name}"
    for name in (
        "copy", "zero", "fill", "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros",
        "new_ones", "new_full", "new_empty",
    )
)  # fmt: skip


def written(node: torch.fx.Node) -> list[torch.fx.Node]:
    """Return the arguments that an in-place operator writes to."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable:
        return []
    found = []
    for index, argument in enumerate(schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        value = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name)
        found += [each for each in (value if isinstance(value, list | tuple) else [value]) if each]
    return found  # type: ignore[return-value]


def alias_groups(program: torch.export.ExportedProgram) -> dict[torch.fx.Node, torch.fx.Node]:
    """Return for each node the first of those that may share its memory."""
    group: dict[torch.fx.Node, torch.fx.Node] = {}
    for node in program.graph.nodes:
        base = _viewed(node)
        group[node] = group[base] if base is not None and base in group else node
    return group


def kept_state(program: torch.export.ExportedProgram) -> list[UnsupportedOperator]:
    """Return the writes to buffers on which the results of later calls depend.

    A file without state cannot hold such a model: a cache of keys and values, say. A counter that
    nothing reads, or a buffer that is overwritten before it is read, does no harm.
    """
    group = alias_groups(program)
    writes: dict[torch.fx.Node, tuple[str, torch.fx.Node]] = {}
    for buffer, write in _buffer_writes(program, group):
        writes.setdefault(buffer, write)
    earlier = set(writes)  # memory whose content depends on earlier calls
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        targets = written(node)
        overwrites = operator_name(node.target).removesuffix("_") in _OVERWRITING
        read = [each for each in node.all_input_nodes if not (overwrites and each is node.args[0])]
        depends = any(group[each] in earlier for each in read)
        if depends:
            earlier.update([group[each] for each in targets] or [group[node]])
        elif overwrites:
            earlier.difference_update(each for each in targets if each is group[each])
    results = set(output_nodes(program))
    if not any(node.name in results and group[node] in earlier for node in group):
        return []
    named: dict[str, list[str]] = {}
    where: dict[str, str | None] = {}
    for name, node in writes.values():
        kind = operator_name(node.target)
        named.setdefault(kind, []).append(name)
        where.setdefault(kind, user_frame(node.meta.get("stack_trace") or "") or None)
    return [
        UnsupportedOperator(
            operator=kind,
            count=len(names),
            where=where[kind],
            hint=f"it writes to {', '.join(names)}, which the next call reads, and the file keeps "
            "nothing from call to call (make that an input and an output)",
        )
        for kind, names in named.items()
    ]


def _buffer_writes(
    program: torch.export.ExportedProgram, group: dict[torch.fx.Node, torch.fx.Node]
) -> Iterator[tuple[torch.fx.Node, tuple[str, torch.fx.Node]]]:
    """The placeholder of a buffer that is written to, its name and what writes to it, in order."""
    signature = program.graph_signature
    buffers = signature.inputs_to_buffers
    nodes = {node.name: node for node in program.graph.nodes}
    for node in nodes.values():
        if _writes_the_same(node):
            continue
        for target in written(node):
            if group[target].name in buffers:
                yield group[target], (buffers[group[target].name], node)
    places = {name: place for place, name in buffers.items()}
    for output, name in signature.buffers_to_mutate.items():
        yield nodes[places[name]], (name, nodes[output])


def _writes_the_same(node: torch.fx.Node) -> bool:
    """Whether a tensor is given its own numbers: ``self.table = self.table.to(x.device)``."""
    if operator_name(node.target) != "aten.copy_":
        return False
    target, source = node.all_input_nodes[0], node.all_input_nodes[-1]
    while source is not target and operator_name(source.target) in _UNCHANGING:
        before = source.all_input_nodes[0]
        if before.meta["val"].dtype != source.meta["val"].dtype:
            return False
        source = before
    return source is target


def _viewed(node: torch.fx.Node) -> torch.fx.Node | None:
    """The operand whose memory a node's result may share."""
    if node.op != "call_function" or not node.all_input_nodes:
        return None
    if node.target is operator.getitem:
        results = node.all_input_nodes[0]
        return results if _viewed(results) is not None else None  # those of topk are its own
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return None
    aliasing = any(argument.alias_info is not None for argument in schema.arguments)
    name = str(getattr(node.target, "overloadpacket", ""))
    return node.all_input_nodes[0] if aliasing or name in _MAY_ALIAS else None
