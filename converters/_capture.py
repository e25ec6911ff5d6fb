"""``torch.export`` as this project wants it: recurrent layers whole, modes opened."""

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
    return program
