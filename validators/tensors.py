"""PyTorch tensors as NumPy arrays and back, under the names of a signature."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..artifact import Signature
from ..errors import SourceError
from ..live import tensors_of

if TYPE_CHECKING:
    import torch

_ALIGNMENT = 64  # bytes


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run PyTorch's operators in the block on one thread, and without gradients.

    Sums are then made in one order on machines of any size. It also costs less than it seems: on a
    machine that is busy otherwise, threads that wait for each other after each small operator make
    a run a hundred times slower.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)


def to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a copy of a tensor in C order, whatever its strides.

    NumPy has no bfloat16: it becomes float32, which holds all of its values.
    """
    import torch

    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    return np.array(tensor.numpy(force=True), order="C")


def to_torch(array: NDArray[Any], *, share: bool = False) -> torch.Tensor:
    """Return a copy of an array: models may write to their inputs.

    The copy is in torch's own memory, which begins at a multiple of 64 bytes. NumPy's need not, and
    MKL's matrix products round differently there: the same input would give other bits.

    Args:
        array: What to copy.
        share: Whether an array that begins at such an address already may be used as it is.
    """
    import torch

    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    return tensor if share and tensor.data_ptr() % _ALIGNMENT == 0 else tensor.clone()


def empty_aligned(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return an array that ``to_torch`` may share."""
    import torch

    return torch.empty(shape, dtype=getattr(torch, dtype)).numpy()


def named_outputs(result: Any, signature: Signature) -> dict[str, NDArray[Any]]:
    """Return the tensors of a nested result under the signature's names, in order.

    Raises:
        SourceError: There are more or fewer tensors than the signature has outputs.
    """
    tensors = tensors_of(result)
    names = [spec.name for spec in signature.outputs]
    if len(tensors) != len(names):
        raise SourceError(
            f"the model returns {len(tensors)} tensor(s), and its signature has {len(names)} "
            f"output(s): {', '.join(names)}"
        )
    return {name: to_numpy(tensor) for name, tensor in zip(names, tensors, strict=True)}
