"""Alignment: where the layers of a source are in an artifact that this program did not make."""

from .align import align, can_align, measured_again
from .description import Alignment, compute_layers

__all__ = ["Alignment", "align", "can_align", "compute_layers", "measured_again"]
