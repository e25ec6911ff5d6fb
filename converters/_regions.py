"""Opening of the graphs within a graph that ``torch.no_grad`` and ``torch.autocast`` leave.

At inference a region without gradients is the same as its operators, and so is one that switches
autocast off where nothing had switched it on.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def open_regions(program: torch.export.ExportedProgram) -> None:
    """Put the operators of such regions where the regions stand, in place.

    Regions that switch autocast on stay: their operators compute in another type.
    """
    renamed = _open_all(program.graph_module)
    for spec in program.graph_signature.output_specs:
        name = getattr(spec.arg, "name", None)
        if name in renamed:
            spec.arg.name = renamed[name]


def _open_all(module: torch.fx.GraphModule) -> dict[str, str]:
    """Open what can be opened, and return the new names of the regions' results."""
    renamed: dict[str, str] = {}
    for node in list(module.graph.nodes):
        operands = _operands(node)
        if not operands:
            continue
        body: Any = getattr(module, str(operands[0].target))
        _open_all(body)
        if not any(each.op == "get_attr" for each in body.graph.nodes):
            renamed |= _open(node, body, operands[1:])
    if renamed:
        module.recompile()
    return renamed


def _operands(node: torch.fx.Node) -> list[Any]:
    """The body and the operands of a region that means the same without its mode, else nothing."""
    kind = str(node.target)
    if any(user.target is not operator.getitem for user in node.users):
        return []
    if kind == "wrap_with_set_grad_enabled":
        return list(node.args[1:])
    if kind == "wrap_with_autocast" and node.args[2] is False:
        return list(node.args[4:])
    return []


def _open(region: torch.fx.Node, body: torch.fx.GraphModule, operands: list[Any]) -> dict[str, str]:
    """Copy the operators of a region before it, and return the new names of its results."""
    graph = region.graph
    values: dict[torch.fx.Node, Any] = {}
    given = iter(operands)
    with graph.inserting_before(region):
        for node in body.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(given)
            elif node.op != "output":
                values[node] = graph.node_copy(node, values.__getitem__)
    results: Any = body.graph.output_node().args[0]
    renamed = {}
    for user in list(region.users):
        result = values[results[user.args[1]]]
        renamed[user.name] = result.name
        user.replace_all_uses_with(result)
        graph.erase_node(user)
    handle: Any = next(each for each in region.all_input_nodes if each.op == "get_attr")
    graph.erase_node(region)
    if not handle.users:
        graph.erase_node(handle)
    return renamed
