"""The orders of axes in which a layer's result may be stored."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_MOST_AXES = 5  # beyond single ones; 120 orders of axes, of which few fit a shape


@dataclass(frozen=True)
class Layout:
    """How a tensor of the artifact holds a layer's result (see ``bridge.layers.Place``).

    Attributes:
        permutation: ``artifact_axes = transpose(source_axes, permutation)``.
        reshaped: Whether it is in another shape once its axes are in the source's order.
    """

    permutation: tuple[int, ...] | None = None
    reshaped: bool = False

    def restore(self, stored: Array, shape: tuple[int, ...]) -> Array:
        """Return a tensor in the source's axes and shape."""
        if self.permutation is not None:
            stored = stored.transpose(np.argsort(self.permutation))
        return stored.reshape(shape)


def layouts(source: Sequence[int], stored: Sequence[int]) -> list[Layout]:
    """Return the layouts in which a tensor can hold a layer's result, the plainest first.

    The plainest is the source's own order of axes, then channels last. Axes of size one do not
    count: where they go changes no element's place.

    Args:
        source: The layer's shape.
        stored: The tensor's shape; of as many elements.
    """
    source, stored = tuple(source), tuple(stored)
    if math.prod(source) != math.prod(stored):
        return []
    wide = [axis for axis, size in enumerate(stored) if size != 1]
    wanted = [size for size in source if size != 1]
    same = sorted(stored[axis] for axis in wide) == sorted(wanted)
    if len(wide) > _MOST_AXES:
        return [Layout(reshaped=source != stored)] if wanted == [stored[a] for a in wide] else []
    found: list[Layout] = []
    for order in _orders(len(wide)):
        sizes = [stored[wide[place]] for place in order]
        if same and sizes != wanted:
            continue
        layout = _layout([wide[place] for place in order], source, stored)
        if layout not in found:
            found.append(layout)
    return found


def _orders(count: int) -> Iterator[tuple[int, ...]]:
    """Which axis of the tensor is the source's first one, second one, and so on."""
    plain = tuple(range(count))
    moved = {
        plain: 0,
        (*plain[-1:], *plain[:-1]): 1,  # channels last, without a batch
        (*plain[:1], *plain[-1:], *plain[1:-1]): 2,  # and with one
    }
    yield from sorted(itertools.permutations(plain), key=lambda each: moved.get(each, 3))


def _layout(order: list[int], source: tuple[int, ...], stored: tuple[int, ...]) -> Layout:
    """The layout in which the source's axes of more than one element are ``order`` of the tensor.

    If both ranks are equal, axes of one element are put where the source has them, so that the
    restored shape is the source's; else they come first, and the restored tensor is reshaped.
    """
    single = [axis for axis in range(len(stored)) if stored[axis] == 1]
    restored: list[int]
    if sorted(source) == sorted(stored):
        wide, ones = iter(order), iter(single)
        restored = [next(ones) if size == 1 else next(wide) for size in source]
    elif order == sorted(order):
        restored = list(range(len(stored)))
    else:
        restored = [*single, *order]
    shape = tuple(stored[axis] for axis in restored)
    permutation = tuple(int(place) for place in np.argsort(restored))
    plain = permutation == tuple(range(len(stored)))
    return Layout(permutation=None if plain else permutation, reshaped=shape != source)


def ambiguous(found: Sequence[Layout]) -> bool:
    """Whether the shapes alone leave several layouts."""
    return len(found) > 1
