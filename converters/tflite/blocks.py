"""Constants as bytes: block by block, so that hundreds of MB are not laid out a second time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from .ir import Array, ScaledConstant, Value

_BLOCK = 1 << 18  # bytes that are laid out at once; they stay in the cache of a core
_SAMPLED = 64  # elements that stand for all


def blocks(value: Value) -> Iterator[memoryview]:
    """Yield the bytes of a constant in the order of its elements, whatever the array's strides.

    A block is to be used before the next one is asked for, which may take its place.
    """
    data, factors = _parts(value)
    if factors is None and data.flags.c_contiguous:
        yield _bytes(data)
        return
    rows = max(1, _BLOCK * len(data) // max(data.nbytes, 1))
    room = np.empty((min(rows, len(data)), *data.shape[1:]), data.dtype)
    for start in range(0, len(data), rows):
        part = data[start : start + rows]
        block = room[: len(part)]
        if factors is None:
            np.copyto(block, part)
        else:
            np.multiply(part, factors[start : start + rows], out=block)
        yield _bytes(block)


def sample(value: Value) -> tuple[int, bytes]:
    """Return what is equal for constants whose bytes are equal, and cheap: a few elements."""
    data, factors = _parts(value)
    chosen = slice(None, None, max(1, data.size // _SAMPLED))
    few = np.asarray(data.flat[chosen])
    if factors is not None:
        few = few * factors.flat[chosen]
    return value.nbytes, few.tobytes()


def same_bytes(one: Value, other: Value) -> bool:
    """Whether the bytes of two constants are equal."""
    if one is other or _place(one) == _place(other):
        return True
    if one.nbytes != other.nbytes:
        return False
    pairs = itertools.zip_longest(_evenly(one), _evenly(other))
    return all(first == second for first, second in pairs)


def _evenly(value: Value) -> Iterator[bytes]:
    """The bytes of a constant in blocks of one size."""
    left = b""
    for block in blocks(value):
        for start in range(0, len(block), _BLOCK):
            left += bytes(block[start : start + _BLOCK])
            while len(left) >= _BLOCK:
                yield left[:_BLOCK]
                left = left[_BLOCK:]
    yield left


def _place(value: Value) -> object:
    """What tells two constants in the same memory: one weight that a model uses twice."""
    data, factors = _parts(value)
    if factors is not None:
        return value
    return data.__array_interface__["data"][0], data.shape, data.strides, data.dtype


def _parts(value: Value) -> tuple[Array, Array | None]:
    """The elements of a constant, and what they are still to be multiplied by."""
    if isinstance(value, ScaledConstant) and value.is_open:
        return value.source, value.factors
    assert value.data is not None
    return value.data, None


def _bytes(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
