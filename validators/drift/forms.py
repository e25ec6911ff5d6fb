"""A layer's values in the source's form and in that of an artifact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...layers import Place
from ..running import Run


def in_source_form(place: Place, run: Run) -> NDArray[Any]:
    """Return a layer's tensor ``[K, *shape]`` in the source's axes."""
    return run.tap(str(place.tensor), place.permutation)


def in_artifact_form(
    place: Place, values: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[Any] | None:
    """Return a layer's values ``[K, *shape]`` as its artifact holds them.

    Args:
        place: Where the layer is.
        values: In the source's axes.
        shape: ``[K, *shape]`` of the artifact's tensor.

    Returns:
        The values; ``None`` if they do not fit that shape.
    """
    if values.size != int(np.prod(shape)):
        return None
    permutation = place.permutation
    if permutation is None or len(shape) != len(permutation) + 1:
        return values.reshape(shape) if place.reshaped or values.shape == shape else None
    own = [shape[0], *(0 for _ in permutation)]
    for position, axis in enumerate(permutation):
        own[axis + 1] = shape[position + 1]
    if tuple(own) != values.shape and not place.reshaped:
        return None
    return values.reshape(own).transpose(0, *(axis + 1 for axis in permutation))
