"""In-place writes: which of them a graph without mutation can follow, and what to do otherwise.

``relu_`` on a fresh result is ``relu``: later readers of the operand read the new value. A write
through a view (``x[:, 0] = y``), or to a tensor of which views are read later, is more than that;
then the whole program is functionalised by PyTorch, which costs a second capture.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from .constants import Constants, written

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


def needs_functionalizing(program: torch.export.ExportedProgram, constants: Constants) -> bool:
    """Tell whether a program writes to a tensor in a way that only functionalising can express.

    Args:
        program: The captured program.
        constants: Its nodes that depend on no input; PyTorch has run these itself.
    """
    nodes = list(program.graph.nodes)
    if not any(written(node) for node in nodes):
        return False
    place = {node: index for index, node in enumerate(nodes)}
    group = _alias_groups(nodes)
    members: dict[torch.fx.Node, list[torch.fx.Node]] = {}
    for node in nodes:
        members.setdefault(group[node], []).append(node)
    for node in nodes:
        for target in written(node):
            if target in constants and node in constants:
                continue
            for other in members[group[target]]:
                # readers of the operand itself are given the new value
                if other in (target, node) or place[other] > place[node]:
                    continue
                if any(place[user] > place[node] for user in other.users):
                    return True
    return False


def functionalized(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return the program without mutation; its nodes tell in ``from_node`` what they were."""
    functional: torch.export.ExportedProgram = program.run_decompositions({})
    return functional


def origin_of(node: torch.fx.Node) -> str:
    """Return the name that a node had before its program was functionalised."""
    source = node.meta.get("from_node")
    if not source:
        return node.name
    last = source[-1]
    while last.from_node:
        last = last.from_node[-1]
    return str(last.name)


def _alias_groups(nodes: list[torch.fx.Node]) -> dict[torch.fx.Node, torch.fx.Node]:
    """Node → representative of the nodes that may share its memory."""
    group: dict[torch.fx.Node, torch.fx.Node] = {}
    for node in nodes:
        base = _viewed(node)
        group[node] = group[base] if base is not None and base in group else node
    return group


def _viewed(node: torch.fx.Node) -> torch.fx.Node | None:
    """The operand whose memory a node's result may share."""
    if node.op != "call_function" or not node.all_input_nodes:
        return None
    if node.target is operator.getitem:
        return node.all_input_nodes[0]
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return None
    aliasing = any(argument.alias_info is not None for argument in schema.arguments)
    name = str(getattr(node.target, "overloadpacket", ""))
    return node.all_input_nodes[0] if aliasing or name in _MAY_ALIAS else None
