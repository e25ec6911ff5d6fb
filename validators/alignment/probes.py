"""What an artifact's tensors hold for a few inputs, and signatures to find equal ones by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import FLOATS, Graph

Array = NDArray[Any]

_SORTED_AGREE = 1e-5  # sorting alone brings unlike values near each other


@dataclass(frozen=True)
class Signature:
    """What does not depend on the order of a tensor's elements."""

    mean: float
    rms: float
    finite: bool

    @classmethod
    def of(cls, values: Array) -> Signature:
        """Return an array's signature; what is not finite is left out."""
        flat = np.asarray(values, dtype=np.float64).ravel()
        kept = np.isfinite(flat)
        finite = bool(kept.all())
        flat = flat if finite else flat[kept]
        if not flat.size:
            return cls(0.0, 0.0, finite)
        return cls(float(flat.mean()), math.sqrt(float(flat @ flat) / flat.size), finite)

    def near(self, other: Signature, moments: float) -> bool:
        """Whether tensors of both may hold the same elements.

        Args:
            other: The other one.
            moments: How far they may differ, as a share of the root mean square.
        """
        slack = moments * max(self.rms, other.rms)
        return abs(self.rms - other.rms) <= slack and abs(self.mean - other.mean) <= slack


class Probes:
    """Values of an artifact's tensors, read from disk one at a time.

    Args:
        graph: The artifact.
        taps: Name of a tensor → its values ``[K, *shape]`` for K inputs.
    """

    def __init__(self, graph: Graph, taps: Mapping[str, Array]) -> None:
        self._graph = graph
        self._taps = {key: taps[name] for key, name in graph.names.items() if name in taps}
        self.count = min((len(each) for each in self._taps.values()), default=0)
        self._signatures: dict[str, Signature] = {}
        self._by_count: dict[int, list[str]] = {}
        for key, stacked in self._taps.items():
            if stacked.dtype.kind in "fiub":
                self._by_count.setdefault(math.prod(stacked.shape[1:]), []).append(key)

    def __contains__(self, key: object) -> bool:
        return key in self._taps

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the sizes of a tensor."""
        return tuple(self._taps[key].shape[1:])

    def kind(self, key: str) -> str:
        """Return the kind of a tensor's elements, as NumPy names it; numbers count as ``f``."""
        stored = self._taps[key].dtype.kind
        return "f" if key in self._graph.scales else {"u": "i"}.get(stored, stored)

    def read(self, key: str, probe: int) -> Array:
        """Return what a tensor holds for one input, in float64; quantized ones are dequantized."""
        stored = np.asarray(self._taps[key][probe], dtype=np.float64)
        if key in self._graph.scales and self._taps[key].dtype.kind != "f":
            scale, zero_point = self._graph.scales[key]
            stored = (stored - zero_point) * scale
        return stored

    def of_count(self, elements: int) -> Sequence[str]:
        """Return the tensors of a number of elements, in execution order."""
        return self._by_count.get(elements, ())

    def signature(self, key: str) -> Signature:
        """Return the signature of a tensor's values for the first input."""
        if key not in self._signatures:
            self._signatures[key] = Signature.of(self.read(key, 0))
        return self._signatures[key]


def difference(expected: Array, actual: Array) -> float:
    """Return ``RMS(actual - expected) / RMS(expected)`` of two arrays of one shape.

    It is infinite if what is not finite is not the same in both, if nothing is finite (any two
    arrays of NaN would agree), or if only one is all zeros.
    """
    expected, actual = expected.ravel(), actual.ravel()
    if not (np.isfinite(expected).all() and np.isfinite(actual).all()):
        kept = np.isfinite(expected)
        same = np.array_equal(expected[~kept], actual[~kept], equal_nan=True)
        if not same or not kept.any() or not np.isfinite(actual[kept]).all():
            return math.inf
        expected, actual = expected[kept], actual[kept]
    error = actual - expected
    noise, signal = float(error @ error), float(expected @ expected)
    if not noise:
        return 0.0
    return math.sqrt(noise / signal) if signal else math.inf


def same_elements(expected: Array, actual: Array) -> bool:
    """Whether two arrays hold the same elements up to rounding, in whatever order."""
    if not Signature.of(expected).near(Signature.of(actual), FLOATS.moments):
        return False
    return difference(np.sort(expected, axis=None), np.sort(actual, axis=None)) <= _SORTED_AGREE
