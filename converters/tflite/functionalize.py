"""In-place writes: which of them a graph without mutation can follow, and what to do otherwise.

``relu_`` on a fresh result is ``relu``: later readers of the operand read the new value. A write
through a view (``x[:, 0] = y``), or to a tensor of which views are read later, is more than that:
``view_writes`` writes the program without it, and what that cannot follow is functionalised by
PyTorch, which costs a second capture. That also opens the regions that ``torch.autocast`` and
``torch.no_grad`` leave as graphs of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...mutation import alias_groups, written
from ...quiet import quiet_torch
from .constants import Constants
from .origins import Origins, origins_before
from .view_writes import without_view_writes

if TYPE_CHECKING:
    import torch
    from torch.fx import Node

_REGIONS = frozenset({"wrap_with_autocast", "wrap_with_set_grad_enabled"})


def without_writes(
    program: torch.export.ExportedProgram, constants: Constants
) -> tuple[torch.export.ExportedProgram, Origins] | None:
    """Return a program whose writes lowering can follow, and the origins of its nodes.

    Args:
        program: The captured program; it is not changed.
        constants: Its nodes that depend on no input; PyTorch has run these itself.

    Returns:
        Both; ``None`` if the captured program is so already.
    """
    nodes = program.graph.nodes
    if not any(str(node.target) in _REGIONS for node in nodes):
        if not any(written(node) for node in nodes):
            return None
        group = alias_groups(program)
        roots = _entangled(group, constants)
        if not roots:
            return None
        rewritten = without_view_writes(program, group, roots)
        if rewritten is not None:
            return rewritten
    functional = functionalized(program)
    return functional, origins_before(program, functional)


def functionalized(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return the program without mutation; its nodes tell in ``from_node`` what they were."""
    with quiet_torch():
        functional: torch.export.ExportedProgram = program.run_decompositions({})
    return functional


def _entangled(group: Mapping[Node, Node], constants: Constants) -> set[Node]:
    """The groups of tensors sharing memory of which others than the written one are read later."""
    place = {node: index for index, node in enumerate(group)}
    members: dict[Node, list[Node]] = {}
    for node in group:
        members.setdefault(group[node], []).append(node)
    return {
        group[target]
        for node in group
        for target in written(node)
        if _reaches_others(node, target, members[group[target]], constants, place)
    }


def _reaches_others(
    write: Node,
    target: Node,
    aliases: list[Node],
    constants: Constants,
    place: Mapping[Node, int],
) -> bool:
    """Whether a write has to be seen through another tensor than the written one."""
    if target in constants and write in constants:
        return _read_before(write, aliases, constants, place)
    return any(
        place[user] > place[write]
        for other in aliases
        # readers of the operand itself are given the new value
        if other not in (target, write) and place[other] <= place[write]
        for user in other.users
    )


def _read_before(
    write: Node,
    aliases: list[Node],
    constants: Constants,
    place: Mapping[Node, int],
) -> bool:
    """Whether what is computed at run time reads a constant before PyTorch, by now, wrote to it."""
    return any(
        place[user] < place[write] and user not in constants
        for each in aliases
        for user in each.users
    )
