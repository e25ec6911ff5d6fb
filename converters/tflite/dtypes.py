"""Element types: what a PyTorch type becomes in TFLite.

Inside a file there is one floating type and one wide integer type: 64-bit integers become 32-bit
ones (LiteRT has few kernels for them), and half and double precision compute in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConversionError
from .ir import Array

if TYPE_CHECKING:
    import torch

_NARROWED = {
    "float64": "float32",
    "float16": "float32",
    "bfloat16": "float32",
    "int64": "int32",
    "int16": "int32",
}
_KEPT = frozenset({"float32", "int32", "uint8", "int8", "bool"})

FLOAT = "float32"
INTEGER = "int32"


def ir_dtype(dtype: torch.dtype | str) -> str:
    """Return the type that a PyTorch type becomes.

    Raises:
        ConversionError: TFLite has nothing for it (complex numbers, quantized types).
    """
    name = str(dtype).removeprefix("torch.")
    name = _NARROWED.get(name, name)
    if name not in _KEPT:
        raise ConversionError(f"TFLite has no operators on {name}")
    return name


def is_float(dtype: str) -> bool:
    """Whether a type of this graph is a floating one."""
    return dtype == FLOAT


def common_dtype(*dtypes: str) -> str:
    """Return the type that operands are promoted to: floating over integers over truth values.

    Of two different integer types it is int32, as PyTorch's int64 is narrowed to that.
    """
    kinds = set(dtypes)
    if FLOAT in kinds:
        return FLOAT
    kinds.discard("bool")
    if not kinds:
        return "bool"
    return kinds.pop() if len(kinds) == 1 else INTEGER


def array_of(tensor: torch.Tensor) -> Array:
    """Return a tensor's elements in the type that they become; no copy where none is needed.

    Complex ones become pairs of numbers on a further axis.

    Raises:
        ConversionError: An integer does not fit into 32 bits, or TFLite has nothing for the type.
    """
    import torch

    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    dtype = ir_dtype(tensor.dtype)
    plain = tensor.detach().resolve_neg()
    if plain.dtype is torch.bfloat16:
        plain = plain.float()
    return narrowed(plain.numpy(), dtype)


def narrowed(array: Array, dtype: str) -> Array:
    """Return an array in a type of this graph.

    Raises:
        ConversionError: An integer does not fit.
    """
    if array.dtype.name == dtype:
        return array
    if dtype == INTEGER and array.size and array.dtype.kind in "iu":
        limits = np.iinfo(np.int32)
        if array.max() > limits.max or array.min() < limits.min:
            raise ConversionError(
                f"an integer constant ({int(np.abs(array).max())}) does not fit into 32 bits",
                hint="TFLite computes with 32-bit integers",
            )
    return array.astype(dtype)


def numpy_scalar(number: Any, dtype: str) -> Array:
    """Return a number as a 0-d array of a type of this graph, checked as ``narrowed`` does."""
    if dtype == INTEGER and isinstance(number, int):
        return narrowed(np.array(number, dtype=np.int64), dtype)
    return np.array(number).astype(dtype)
