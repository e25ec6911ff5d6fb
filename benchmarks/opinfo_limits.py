"""Where LiteRT's kernels differ from PyTorch by design: deviations that no lowering can mend.

A deviation counts as the runtime's limit only where it is proved to be exactly this one, element by
element; all other differences stay mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may deviate in the results of a call.

    Attributes:
        dependent: Which elements of each result depend on a NaN that is compared; empty if none is.
        masked_softmax: Whether a NaN can only be the softmax of a row of minus infinities, which
            is one of equal numbers where these are clamped.
    """

    dependent: Sequence[Array] = ()
    masked_softmax: bool = False


def limits_of(
    call: Callable[..., Any], inputs: Sequence[torch.Tensor], aten: Collection[str]
) -> Limits:
    """Return what may deviate.

    Args:
        call: What is tested.
        inputs: Its tensors.
        aten: The operators that it consists of.
    """
    floats = [each for each in inputs if each.is_floating_point()]
    if not any(bool(each.isnan().any()) for each in floats):
        return Limits(masked_softmax="aten.softmax" in aten)
    if not _COMPARING.intersection(aten):
        return Limits()
    first, *others = ([each.numpy() for each in _called(call, inputs, one)] for one in _FILLERS)
    dependent = [
        np.logical_or.reduce([one != other[index] for other in others])
        for index, one in enumerate(first)
    ]
    return Limits(dependent=dependent)


def _called(
    call: Callable[..., Any], inputs: Sequence[torch.Tensor], filler: float
) -> list[torch.Tensor]:
    """Results with a number in the place of NaN."""
    filled = [
        torch.where(each.isnan(), filler, each) if each.is_floating_point() else each.clone()
        for each in inputs
    ]
    return tensors_in(call(*filled))


def explained(
    limits: Limits, index: int, want: Array, got: Array, equal: Callable[[Array, Array], bool]
) -> str:
    """Return the limit that explains all differences of two arrays of a shape; empty if none does.

    Args:
        limits: What may deviate.
        index: Number of the result.
        want: What eager mode gives.
        got: What the file gives.
        equal: Whether two arrays are as good as each other.
    """
    clamped = np.isinf(want) & (got == np.copysign(_LARGEST, want))
    if limits.masked_softmax:
        clamped |= np.isnan(want) & (got > 0) & (got <= 1)
    if clamped.any() and equal(want, np.where(clamped, want, got)):
        return CLAMPED
    if limits.dependent and equal(want, np.where(limits.dependent[index], want, got)):
        return NOT_A_NUMBER
    return ""
