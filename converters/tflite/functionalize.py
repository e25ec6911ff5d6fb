"""In-place writes: which of them a graph without mutation can follow, and what to do otherwise.

``relu_`` on a fresh result is ``relu``: later readers of the operand read the new value. A write
through a view (``x[:, 0] = y``), or to a tensor of which views are read later, is more than that;
then the whole program is functionalised by PyTorch, which costs a second capture. That also opens
the regions that ``torch.autocast`` and ``torch.no_grad`` leave as graphs of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...mutation import alias_groups, written
from ...program import operator_name
from ...quiet import quiet_torch
from .constants import Constants
from .sizes import shape_of

if TYPE_CHECKING:
    import torch

_REGIONS = frozenset({"wrap_with_autocast", "wrap_with_set_grad_enabled"})


def needs_functionalizing(program: torch.export.ExportedProgram, constants: Constants) -> bool:
    """Tell whether only functionalising can express a write to a tensor, or opens a region.

    Args:
        program: The captured program.
        constants: Its nodes that depend on no input; PyTorch has run these itself.
    """
    nodes = list(program.graph.nodes)
    if any(str(node.target) in _REGIONS for node in nodes):
        return True
    if not any(written(node) for node in nodes):
        return False
    place = {node: index for index, node in enumerate(nodes)}
    group = alias_groups(program)
    members: dict[torch.fx.Node, list[torch.fx.Node]] = {}
    for node in nodes:
        members.setdefault(group[node], []).append(node)
    for node in nodes:
        for target in written(node):
            if target in constants and node in constants:
                if _read_before(node, members[group[target]], constants, place):
                    return True
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
    with quiet_torch():
        functional: torch.export.ExportedProgram = program.run_decompositions({})
    return functional


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Which layer of the program that was captured a node belongs to.

    Attributes:
        parts: Node → layer that it helps to compute; some that make a view anew have none.
        results: Node → layer whose result it is.
    """

    parts: dict[torch.fx.Node, str]
    results: dict[torch.fx.Node, str]


def own_origins(program: torch.export.ExportedProgram) -> Origins:
    """Return the origins in the captured program itself: each node is a layer."""
    names = {node: node.name for node in program.graph.nodes}
    return Origins(parts=names, results=names)


def origins_before(
    program: torch.export.ExportedProgram, functional: torch.export.ExportedProgram
) -> Origins:
    """Return what the nodes of a functionalised program were before.

    ``x[0].add_(y)`` became an ``add``, and operators that make a new ``x`` of its result. Only the
    ``add`` has the result of the node that it was; of a composite operator it is the last part.
    """
    before = {node.name: node for node in program.graph.nodes}
    parts: dict[torch.fx.Node, str] = {}
    exact: dict[str, torch.fx.Node] = {}
    alike: dict[str, torch.fx.Node] = {}
    for node in functional.graph.nodes:
        name = next((each for each in _ancestors(node) if each in before), "")
        if node.op != "call_function" or not name:
            continue
        parts[node] = name
        if _functional_name(before[name]) == _functional_name(node):
            exact[name] = node
        elif _same_kind(before[name].meta.get("val"), node.meta.get("val")):
            alike[name] = node
    results = {node: name for name, node in (alike | exact).items()}
    return Origins(parts=parts, results=results)


def _ancestors(node: torch.fx.Node) -> Iterator[str]:
    """Names that a node had before each pass, the latest first."""
    source = node.meta.get("from_node")
    while source:
        yield str(source[-1].name)
        source = source[-1].from_node


def _functional_name(node: torch.fx.Node) -> str:
    return operator_name(node.target).removesuffix("_")


def _same_kind(first: Any, second: Any) -> bool:
    import torch

    tensors = isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
    # sizes that only data tells cannot be compared as numbers
    return (
        tensors and first.dtype == second.dtype and shape_of(first.shape) == shape_of(second.shape)
    )


def _read_before(
    write: torch.fx.Node,
    aliases: list[torch.fx.Node],
    constants: Constants,
    place: dict[torch.fx.Node, int],
) -> bool:
    """Whether what is computed at run time reads a constant before PyTorch, by now, wrote to it."""
    return any(
        place[user] < place[write] and user not in constants
        for each in aliases
        for user in each.users
    )
