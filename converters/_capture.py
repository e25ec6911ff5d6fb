"""``torch.export`` as this project wants it: recurrent layers whole, modes and vmap opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..quiet import quiet_torch
from ._recurrent_shapes import recurrent_shapes
from ._regions import open_regions

if TYPE_CHECKING:
    import torch


def capture(
    module: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    dynamic_shapes: Any = None,
) -> torch.export.ExportedProgram:
    """Capture a module as it computes without gradients.

    Args:
        module: The module, in evaluation mode.
        args: Positional example inputs.
        kwargs: Keyword example inputs.
        dynamic_shapes: Axes of changing size, in the structure that ``torch.export`` wants.

    Raises:
        Exception: What ``torch.export`` raises for a module that it cannot capture.
    """
    import torch

    with torch.no_grad(), quiet_torch(), recurrent_shapes():
        program = torch.export.export(
            module, args, dict(kwargs) or None, dynamic_shapes=dynamic_shapes, strict=False
        )
    open_regions(program)
    return _without_vmap(program)


def _without_vmap(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return a program whose operators see the axes that ``torch.vmap`` hides from them.

    It is captured as calls that begin and end it, between which no value has its own shape.
    """
    from torch._functorch import predispatch

    if not any(
        getattr(node.target, "__module__", "") == predispatch.__name__
        for node in program.graph.nodes
    ):
        return program
    with quiet_torch():
        expanded: torch.export.ExportedProgram = program.run_decompositions({})
    return expanded
