"""What may be wrong about a value: a constant's array, a number, a list, a choice.

A change takes the good value and gives a bad one of the same shape and type, or ``None`` where it
would change nothing. It knows no format.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ArrayChange = Callable[[Array, int, float, np.random.Generator], Array | None]

_LEAST_SIZE = 2


def _element(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """One element times ``by``; one that is large enough to carry weight."""
    flat = array.reshape(-1).copy()
    large = np.flatnonzero(np.abs(flat) >= np.quantile(np.abs(flat), 0.8))
    flat[rng.choice(large)] *= by
    return flat.reshape(array.shape)


def _channel(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """One output channel times ``by``."""
    made = array.copy()
    place = int(rng.integers(array.shape[axis]))
    made[(slice(None),) * (axis % array.ndim) + (place,)] *= by
    return made


def _exchange(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """Two neighbouring output channels exchanged."""
    if array.shape[axis] < _LEAST_SIZE:
        return None
    order = np.arange(array.shape[axis])
    place = int(rng.integers(len(order) - 1))
    order[[place, place + 1]] = order[[place + 1, place]]
    return array.take(order, axis)


def _roll(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    return np.roll(array, int(by), axis) if array.shape[axis] >= _LEAST_SIZE else None


def _all(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    return (array * by).astype(array.dtype)


def _shifted(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """All elements moved by a share of their spread."""
    return (array + by * max(float(array.std()), 0.1)).astype(array.dtype)


def _set(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    return np.full_like(array, by)


def _saturated(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """Cut off at a share of the largest magnitude."""
    limit = by * np.abs(array).max()
    return array.clip(-limit, limit).astype(array.dtype)


def _float16(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    return array.astype(np.float16).astype(array.dtype)


def _bfloat16(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """Rounded to the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32).reshape(array.shape).astype(array.dtype)


def _transposed(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """The first two axes longer than 1 exchanged, if they are of one size and no other is left."""
    matrix = array.squeeze()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        return None
    return np.ascontiguousarray(matrix.T).reshape(array.shape)


def _blocks(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """The second and third quarter (or third) exchanged: gates in another library's order."""
    size = array.shape[axis]
    count = 4 if by == 4 else 3
    if size % count:
        return None
    parts = np.split(array, count, axis)
    parts[1], parts[2] = parts[2], parts[1]
    return np.concatenate(parts, axis)


def _mean(array: Array, axis: int, by: float, rng: np.random.Generator) -> Array | None:
    """One value for all channels."""
    return np.full_like(array, array.mean())


ARRAYS: dict[str, ArrayChange] = {
    "element": _element,
    "channel": _channel,
    "exchange": _exchange,
    "roll": _roll,
    "all": _all,
    "shifted": _shifted,
    "set": _set,
    "saturated": _saturated,
    "float16": _float16,
    "bfloat16": _bfloat16,
    "transposed": _transposed,
    "blocks": _blocks,
    "mean": _mean,
}


def changed_array(
    change: str, array: Array, *, axis: int, by: float, rng: np.random.Generator
) -> Array | None:
    """Return a constant with a change, or ``None`` if it cannot carry it.

    Args:
        change: Name of the change, one of ``ARRAYS``.
        array: The good constant; it is not written to.
        axis: Its axis of output channels.
        by: Parameter of the change.
        rng: Where choices come from.
    """
    if array.size < 1 or (array.ndim == 0 and change in ("channel", "exchange", "roll")):
        return None
    made = ARRAYS[change](array, axis if array.ndim else 0, by, rng)
    if made is None or np.array_equal(made, array):
        return None
    return np.ascontiguousarray(made)


def equal_axes(shape: tuple[int, ...] | None) -> list[tuple[int, int]]:
    """Pairs of axes of one size above 1: what exchanges them keeps the shape."""
    if shape is None:
        return []
    return [
        (one, other)
        for one in range(len(shape))
        for other in range(one + 1, len(shape))
        if shape[one] == shape[other] and isinstance(shape[one], int) and shape[one] > 1
    ]


def moved_axis(axis: int, shape: tuple[int, ...] | None) -> int | None:
    """Another axis of the same size, or ``None``."""
    if shape is None:
        return None
    axis %= len(shape)
    others = [place for place, size in enumerate(shape) if place != axis and size == shape[axis]]
    return others[0] if others and shape[axis] > 1 else None


def one_sided(begin: int, end: int) -> tuple[int, int] | None:
    """Padding moved to one side: the sum stays, and so does the shape."""
    return (begin - 1, end + 1) if begin > 0 else (begin + 1, end - 1) if end > 0 else None


def shifted_slice(start: int, end: int, size: int) -> tuple[int, int] | None:
    """The slice of the same length one element earlier, or later if there is none before it."""
    start, end = (max(0, size + each) if each < 0 else min(each, size) for each in (start, end))
    if start > 0:
        return start - 1, end - 1
    return (start + 1, end + 1) if end < size else None


def exchanged(values: list[int], one: int, other: int) -> list[int]:
    """A list with two of its elements exchanged."""
    made = list(values)
    made[one], made[other] = made[other], made[one]
    return made


def other_broadcast(array: Array, shape: tuple[int, ...] | None) -> Array | None:
    """A constant of one long axis laid along another axis of the same size."""
    if shape is None or array.ndim == 0 or array.size == 1:
        return None
    sizes = (1,) * (len(shape) - array.ndim) + array.shape
    long = [axis for axis, size in enumerate(sizes) if size > 1]
    target = moved_axis(long[0], shape) if len(long) == 1 else None
    if target is None:
        return None
    return array.reshape([array.size if axis == target else 1 for axis in range(len(shape))])
