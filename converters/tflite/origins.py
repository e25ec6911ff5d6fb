"""Which layer of the captured program each node of a rewritten one belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...program import operator_name
from .sizes import shape_of

if TYPE_CHECKING:
    import torch


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
