"""Pairs of a layer and the tensor that holds its result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import Operation
from .layouts import Array, Layout
from .operators import MOVEMENT
from .probes import Probes

if TYPE_CHECKING:
    import torch


class Evidence(StrEnum):
    """What a pair is accepted for."""

    VALUES = "values"  # equal values, computed from the same tensors
    ROLE = "role"  # other values, with which the source goes on as the artifact does
    STRUCTURE = "structure"  # the only tensor there that can stand for the layer
    ALONE = "values alone"  # equal values, computed from other tensors


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A layer's tensor.

    Attributes:
        key: The tensor.
        layout: How it holds the layer's result.
        error: Relative RMS error with the artifact's own inputs of the layer.
        evidence: Why they were paired.
        open_layout: Whether the shapes alone leave several layouts.
        replaces: Whether the source goes on with what the tensor holds. Where operators write to
            views of other values, a view must stay one.
    """

    key: str
    layout: Layout
    error: float
    evidence: Evidence
    open_layout: bool = False
    replaces: bool = True


def restored(probes: Probes, pair: Pair, like: torch.Tensor, probe: int = 0) -> torch.Tensor:
    """Return the artifact's values as the source has them, in memory of their own."""
    import torch

    values = pair.layout.restore(probes.read(pair.key, probe), tuple(like.shape))
    return torch.tensor(np.ascontiguousarray(values)).to(like.dtype)


def array_of(value: Any) -> Array | None:
    """Return a tensor as float64; nothing for what is no tensor of numbers."""
    import torch

    if not isinstance(value, torch.Tensor) or value.is_complex():
        return None
    return value.detach().to(torch.float64).numpy()


def likeness(kind: str, made: Operation | None) -> int:
    """Say how well an operator's result can stand for a layer.

    An operator with a fused activation makes the activation's result.

    Returns:
        2 if it is of the layer's kind, 1 if it is not but computes something, else 0.
    """
    if made is None:
        return 0
    if made.activation is not None:
        return 2 if made.activation == kind else 0
    if made.kind == kind:
        return 2
    return 0 if made.kind in MOVEMENT else 1
