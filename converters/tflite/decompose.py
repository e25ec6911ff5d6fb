"""One operator as the smaller ones that PyTorch itself would run for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...mutation import written
from .errors import Unsupported

if TYPE_CHECKING:
    import torch


def decomposed(node: torch.fx.Node) -> torch.fx.GraphModule | None:
    """Trace a node's operator into core operators.

    Args:
        node: A call of an operator, with its example values in ``meta["val"]``.

    Returns:
        A module whose placeholders are ``node.all_input_nodes``, in order; ``None`` if PyTorch has
        no decomposition of it.

    Raises:
        Unsupported: The decomposition is another one for other data.
    """
    import torch
    from torch._decomp import core_aten_decompositions
    from torch._subclasses.fake_tensor import DataDependentOutputException
    from torch.fx.experimental.proxy_tensor import make_fx

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    inputs = node.all_input_nodes
    fakes = [each.meta["val"] for each in inputs]

    def run(*values: Any) -> Any:
        given = dict(zip(inputs, values, strict=True))
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), given.__getitem__)
        return target(*args, **kwargs)

    tensors = [each for each in fakes if isinstance(each, torch.Tensor)]
    mode = getattr(tensors[0], "fake_mode", None) if tensors else None
    if mode is None:
        return None
    table: Any = core_aten_decompositions()
    try:
        with torch.no_grad(), mode:
            module = make_fx(run, decomposition_table=table)(*fakes)
            if any(written(each) for each in module.graph.nodes):
                # to views of what is read later, which a graph without mutation cannot follow
                module = make_fx(torch.func.functionalize(module))(*fakes)
                _drop_writes(module)
    except DataDependentOutputException as error:
        raise Unsupported("what PyTorch runs for it depends on the numbers it is given") from error
    calls = [each for each in module.graph.nodes if each.op == "call_function"]
    return None if any(each.target == target for each in calls) else module


def _drop_writes(module: torch.fx.GraphModule) -> None:
    """Remove dead views, and what copies results back to operands, which the caller does."""
    for node in list(module.graph.nodes):
        if written(node) and not node.users:
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()


def alternative(node: torch.fx.Node) -> str | None:
    """Return what the user can do about an operator that nothing expresses, where that is known."""
    import torch

    draws = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    return "draw the random numbers outside and make them an input" if draws else None
