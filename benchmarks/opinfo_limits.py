"""Where LiteRT's kernels differ from PyTorch by design: deviations that no lowering can mend.

A deviation counts as the runtime's limit only where it is proved to be exactly this one, element by
element; all other differences stay mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
from direct import Array, tensors_in

CLAMPED = "the plain kernels clamp infinities to the largest number"
NOT_A_NUMBER = "the kernels of extremes, and XNNPACK's EXP, lose NaN"

_LARGEST = np.finfo(np.float32).max
# Those whose kernels compare: in some orders a NaN is lost, and all that was compared before it.
_COMPARING = {
    f"aten.{name}"
    for name in ("amax", "amin", "argmax", "argmin", "linalg_vector_norm", "logsumexp")
}
_FILLERS = (-np.inf, 0.0, np.inf)


def dependent_on_nan(
    call: Callable[..., Any], inputs: Sequence[torch.Tensor], aten: Collection[str]
) -> list[Array]:
    """Which elements of each result change with what stands in the place of NaN in the inputs.

    Args:
        call: What is tested.
        inputs: Its tensors.
        aten: The operators that it consists of; nothing is returned if none of them compares.
    """
    found = any(each.is_floating_point() and bool(each.isnan().any()) for each in inputs)
    if not found or not _COMPARING.intersection(aten):
        return []
    first, *others = ([each.numpy() for each in _called(call, inputs, one)] for one in _FILLERS)
    return [
        np.logical_or.reduce([one != other[index] for other in others])
        for index, one in enumerate(first)
    ]


def _called(
    call: Callable[..., Any], inputs: Sequence[torch.Tensor], filler: float
) -> list[torch.Tensor]:
    filled = [
        torch.where(each.isnan(), filler, each) if each.is_floating_point() else each.clone()
        for each in inputs
    ]
    return tensors_in(call(*filled))


def limit_of(
    want: Array, got: Array, dependent: Array | None, equal: Callable[[Array, Array], bool]
) -> str:
    """Return the limit that explains all differences of two arrays of a shape; empty if none does.

    Args:
        want: What eager mode gives.
        got: What the file gives.
        dependent: Which elements depend on a NaN that is compared.
        equal: Whether two arrays are as good as each other.
    """
    clamped = np.isinf(want) & (got == np.copysign(_LARGEST, want))
    if clamped.any() and equal(want, np.where(clamped, want, got)):
        return CLAMPED
    if dependent is not None and equal(want, np.where(dependent, want, got)):
        return NOT_A_NUMBER
    return ""
