"""The noise floor: how far legitimate implementations are from the truth.

Eager PyTorch in the artifact's precision, in several orders of sums, the last of them with its
inputs rounded another way: where numbers cancel, one implementation may happen to be exact.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...samples import Samples
from ..metrics import dot

_BLOCK = 2**15


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One legitimate implementation.

    Attributes:
        runtime: Name of the runtime of captured programs that it is.
        perturbed: Whether what it is fed is moved by one unit roundoff, up or down at random.
        averaged: Of integers, whether the range of a layer is the average of what the inputs need,
            as calibration by a moving average gives it, and not what all of them need.
    """

    runtime: str
    perturbed: bool = False
    averaged: bool = False


BASELINES: dict[str, tuple[Baseline, ...]] = {
    "float32": (
        Baseline(runtime="eager-float32"),
        Baseline(runtime="eager-float32-native"),
        Baseline(runtime="eager-float32-sequential", perturbed=True),
    ),
    "float16": (Baseline(runtime="eager-float16-weights", perturbed=True),),
    # what they round to is in the file: see emulation.py
    "int8": (
        Baseline(runtime="eager-float32-sequential"),
        Baseline(runtime="eager-float32-sequential", averaged=True),
    ),
    "int8-weights": (Baseline(runtime="eager-float32-sequential"),),
}


# of a source that is no captured program: its own runtime, and what it makes of other roundings
OWN_BASELINES: dict[str, tuple[Baseline, ...]] = {
    "onnx": (Baseline(runtime="onnxruntime"), Baseline(runtime="onnxruntime", perturbed=True)),
    "torchscript": (
        Baseline(runtime="torchscript"),
        Baseline(runtime="torchscript", perturbed=True),
    ),
}


def perturbed_samples(samples: Samples) -> Samples:
    """Return samples with each floating point input moved by one unit roundoff."""
    return replace(samples, arrays=perturbed(samples.arrays))


def perturbed(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays with each floating point element times ``1 + u`` or ``1 - u`` at random."""
    return {name: _moved(name, array) for name, array in arrays.items()}


def _moved(name: str, array: NDArray[Any]) -> NDArray[Any]:
    return np.stack([moved_row(name, row) for row in array])


def moved_row(name: str, row: NDArray[Any]) -> NDArray[Any]:
    """Return one sample, moved if it is of floating point numbers.

    What is drawn depends on the sample alone, and not on those that it is run with.
    """
    if row.dtype.kind != "f":
        return row
    seed = [zlib.crc32(name.encode()), zlib.crc32(np.ascontiguousarray(row).data)]
    signs = np.random.default_rng(seed).integers(0, 2, row.shape, np.int8)
    moved = np.nextafter(row, np.where(signs, np.inf, -np.inf).astype(row.dtype))
    # the neighbours of 0 are far smaller than any rounding error, and infinities stay
    kept: NDArray[Any] = np.where((row == 0) | ~np.isfinite(row), row, moved)
    return kept


def rms_errors(truth: NDArray[Any], actual: NDArray[Any]) -> list[float]:
    """Return the RMS error of each sample, over the elements that are finite in both.

    Args:
        truth: ``[K, *shape]``.
        actual: Likewise.
    """
    return [rms_error(*pair) for pair in zip(truth, actual, strict=True)]


def rms_error(truth: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return the RMS error over the elements that are finite in both."""
    first, second = np.asarray(truth).reshape(-1), np.asarray(actual).reshape(-1)
    total = 0.0
    for start in range(0, first.size, _BLOCK):
        error = second[start : start + _BLOCK].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            error -= first[start : start + _BLOCK]
            square = dot(error, error)
        if not np.isfinite(square):
            error = error[np.isfinite(error)]
            with np.errstate(over="ignore"):
                square = dot(error, error)
        total += square
    return float(np.sqrt(total / max(1, first.size)))
