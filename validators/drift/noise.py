"""The noise floor: how far legitimate implementations are from the truth.

Eager PyTorch in the artifact's precision as it is, and with the error of sums made term by term and
its inputs rounded another way: where numbers cancel, one implementation may happen to be exact.
Other orders of sums (eager PyTorch without oneDNN) are never as far from the truth as the second.
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
from ..tensors import empty_aligned

_BLOCK = 2**15
_SEEDING = 1024  # numbers of a sample that the random signs depend on


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One legitimate implementation.

    Attributes:
        runtime: Name of the runtime of captured programs that it is.
        perturbed: Whether what it is fed is moved by one unit roundoff, up or down at random.
    """

    runtime: str
    perturbed: bool = False


BASELINES: dict[str, tuple[Baseline, ...]] = {
    "float32": (
        Baseline(runtime="eager-float32"),
        Baseline(runtime="eager-float32-sequential", perturbed=True),
    ),
    "float16": (Baseline(runtime="eager-float16-weights", perturbed=True),),
    # what they round to is in the file: see emulation.py
    "int8": (Baseline(runtime="eager-float32-sequential"),),
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


def moved_row(name: str, row: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return one sample, moved if it is of floating point numbers.

    What is drawn depends on the sample alone, and not on those that it is run with.

    Args:
        name: Name of the tensor.
        row: The sample.
        out: Array of its shape and type to write to; a new one by default.
    """
    if row.dtype.kind != "f":
        return row
    flat = np.ascontiguousarray(row).reshape(-1)
    generator = np.random.default_rng(
        [zlib.crc32(name.encode()), zlib.crc32(flat[:_SEEDING].data), flat.size]
    )
    integer = np.dtype(f"i{row.dtype.itemsize}")
    moved = empty_aligned(row.shape, row.dtype.name) if out is None else out
    bits = moved.reshape(-1).view(integer)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        random = np.frombuffer(generator.bytes(-(-block.size // 8)), np.uint8)
        step = np.unpackbits(random, count=block.size).astype(integer)
        step += step
        step -= 1  # the number whose bits are one more is the next one of larger magnitude
        # the neighbours of 0 are far smaller than any rounding error, and infinities stay
        step *= np.isfinite(block) & (block != 0)
        np.add(block.view(integer), step, out=bits[start : start + _BLOCK])
    return moved


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
