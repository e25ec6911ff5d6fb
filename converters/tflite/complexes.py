"""Complex numbers, of which TFLite has none: pairs of real and imaginary part on a last axis.

An operator that reads or makes complex numbers is lowered by ``complex.aten.…``, so that no
lowering ever takes the axis of parts for one of the tensor's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .dtypes import FLOAT, ir_dtype
from .inference import Result
from .sizes import shape_of

if TYPE_CHECKING:
    import torch

PREFIX = "complex."


def is_complex(value: Any) -> bool:
    """Whether something is a tensor of complex numbers."""
    import torch

    return isinstance(value, torch.Tensor) and value.is_complex()


def lowered_name(node: torch.fx.Node, packet: str) -> str:
    """Return the name under which an operator's lowering is found."""
    import torch

    values = [each.meta.get("val") for each in node.all_input_nodes]
    values += torch.utils._pytree.tree_leaves(node.meta.get("val"))
    return PREFIX + packet if any(is_complex(value) for value in values) else packet


def result_of(tensor: torch.Tensor) -> Result:
    """Return the shape and type that a captured tensor becomes."""
    if is_complex(tensor):
        return (*shape_of(tensor.shape), 2), FLOAT
    return shape_of(tensor.shape), ir_dtype(tensor.dtype)
