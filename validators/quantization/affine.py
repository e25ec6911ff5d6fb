"""Real values and the integers that stand for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifact import Quantization

Array = NDArray[Any]


def dequantized(stored: Array, quantization: Quantization | None) -> Array:
    """Return what stored integers stand for, ``(q - zero_point) * scale``, in float64.

    Args:
        stored: ``[K, *shape]``. What is not of integers stands for itself.
        quantization: Of the tensor ``[*shape]``; ``None`` if it is not quantized.
    """
    if quantization is None or stored.dtype.kind not in "iu":
        return stored
    scale, zero_point = _along(quantization, stored.ndim)
    return (stored.astype(np.float64) - zero_point) * scale


def quantized(real: Array, quantization: Quantization | None, dtype: Any) -> Array:
    """Return the integers nearest to real values, clamped to the range of their type.

    Halves are rounded away from zero, as LiteRT's QUANTIZE does (``std::round``); XNNPACK rounds
    them to even, which differs for values exactly in the middle only. NaN becomes the zero point:
    integers have none.

    Args:
        real: ``[K, *shape]``.
        quantization: Of the tensor ``[*shape]``; ``None`` to cast only.
        dtype: Type of the integers; for any other type the values are cast only.
    """
    dtype = np.dtype(dtype)
    if quantization is None or dtype.kind not in "iu" or real.dtype.kind != "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return real.astype(dtype)
    scale, zero_point = _along(quantization, real.ndim)
    with np.errstate(invalid="ignore"):
        steps = real.astype(np.float64) / scale
        rounded = np.copysign(np.floor(np.abs(steps) + 0.5), steps) + zero_point
    limits = np.iinfo(dtype)
    rounded = np.where(np.isnan(rounded), zero_point, rounded)
    clamped: Array = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return clamped


def representable(real: Array, quantization: Quantization | None, dtype: Any) -> Array:
    """Return real values as a quantized tensor keeps them: rounded to its steps, and clamped."""
    if quantization is None or real.dtype.kind != "f":
        return real
    kept = dequantized(quantized(real, quantization, dtype), quantization)
    return kept.astype(real.dtype)


def _along(quantization: Quantization, rank: int) -> tuple[Array, Array]:
    """Scales and zero points in a shape that broadcasts over ``[K, *shape]``."""
    scales = np.array(quantization.scales, np.float64)
    zero_points = np.array(quantization.zero_points, np.float64)
    if quantization.axis is None:
        return scales[0], zero_points[0]
    shape = [1] * rank
    shape[quantization.axis + 1] = -1
    return scales.reshape(shape), zero_points.reshape(shape)
