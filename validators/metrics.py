"""How far an array is from its reference, and how many values of it are not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2**15
_SMALL = 1e-250  # below it, squares have lost digits to underflow


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The distance of an actual array from its reference, over all their elements.

    Every figure but the counts is over the elements that are finite in both; ``same_nonfinite``
    says whether that leaves anything out that matters.

    Attributes:
        sqnr_db: Signal to quantization noise ratio, ``20 log10(RMS(r) / RMS(t - r))`` in dB;
            infinite for equal arrays, minus infinite for an error on a reference of zeros.
        max_abs: Largest absolute error.
        mean_abs: Mean absolute error.
        rmse: Root of the mean squared error.
        relative_rms: ``RMS(t - r) / RMS(r)``; 0 for equal arrays.
        reference_rms: ``RMS(r)``.
        actual_rms: ``RMS(t)``.
        cosine: Cosine of the angle between both; 1 for two arrays of zeros.
        max_ulp: Largest error in units in the last place of the actual's float type at the
            reference's value; ``None`` for other types.
        elements: How many there are.
        nonfinite_reference: NaN and infinities in the reference.
        nonfinite_actual: NaN and infinities in the actual.
        same_nonfinite: Whether NaN, +inf and -inf stand at the same places in both.
    """

    sqnr_db: float
    max_abs: float
    mean_abs: float
    rmse: float
    relative_rms: float
    reference_rms: float
    actual_rms: float
    cosine: float
    max_ulp: float | None
    elements: int
    nonfinite_reference: int
    nonfinite_actual: int
    same_nonfinite: bool

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON data; infinities become the texts inf and -inf."""
        return {name: finite_or_text(value) for name, value in asdict(self).items()}


def finite_or_text(value: Any) -> Any:
    """Return a value for JSON, which has no infinities and no NaN: those become texts."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")


def measure(reference: NDArray[Any], actual: NDArray[Any]) -> Metrics:
    """Measure how far ``actual`` is from ``reference``; both are of one shape.

    Raises:
        ValueError: The shapes differ.
    """
    if reference.shape != actual.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {actual.shape}")
    plain = not {reference.dtype.kind, actual.dtype.kind} - set("fiub")
    if plain:
        with np.errstate(over="ignore", invalid="ignore"):  # it stops there, and care is taken
            metrics = _measure_in_blocks(reference.ravel(), actual.ravel())
        if metrics is not None:
            return metrics
    return _measure_with_care(reference, actual)


def combined(parts: Sequence[Metrics]) -> Metrics:
    """Return the metrics of arrays that were measured in parts, such as one sample each.

    Raises:
        ValueError: There are no parts.
    """
    if not parts:
        raise ValueError("nothing was measured")
    if len(parts) == 1:
        return parts[0]
    counts = [each.elements for each in parts]
    signal = _joint_rms([each.reference_rms for each in parts], counts)
    actual = _joint_rms([each.actual_rms for each in parts], counts)
    noise = _joint_rms([each.rmse for each in parts], counts)
    ulps = [each.max_ulp for each in parts if each.max_ulp is not None]
    return Metrics(
        sqnr_db=_decibels(signal, noise),
        max_abs=max(each.max_abs for each in parts),
        mean_abs=_mean([each.mean_abs for each in parts], counts),
        rmse=noise,
        relative_rms=_ratio(noise, signal),
        reference_rms=signal,
        actual_rms=actual,
        cosine=_joint_cosine(parts, signal, actual),
        max_ulp=max(ulps) if ulps else None,
        elements=sum(counts),
        nonfinite_reference=sum(each.nonfinite_reference for each in parts),
        nonfinite_actual=sum(each.nonfinite_actual for each in parts),
        same_nonfinite=all(each.same_nonfinite for each in parts),
    )


def _joint_rms(values: Sequence[float], counts: Sequence[int]) -> float:
    largest = max(values)
    if not largest or math.isinf(largest):
        return largest
    return largest * math.sqrt(_mean([(each / largest) ** 2 for each in values], counts))


def _joint_cosine(parts: Sequence[Metrics], signal: float, actual: float) -> float:
    if not signal or not actual:
        return 1.0 if signal == actual else 0.0
    shares = [
        each.cosine * (each.reference_rms / signal) * (each.actual_rms / actual) for each in parts
    ]
    return _mean(shares, [each.elements for each in parts])


def _mean(values: Sequence[float], counts: Sequence[int]) -> float:
    total = sum(counts)
    if not total:
        return sum(values) / len(values)
    return sum(value * (count / total) for value, count in zip(values, counts, strict=True))


def _measure_in_blocks(reference: NDArray[Any], actual: NDArray[Any]) -> Metrics | None:
    """Measure in blocks that fit the processor's cache, several times faster than as a whole.

    Returns:
        The metrics; ``None`` if a value is not finite or a sum of squares leaves the middle of
        float64's range, which need care.
    """
    limits = np.finfo(actual.dtype) if actual.dtype in (np.float16, np.float32) else None
    rr = tt = ee = rt = total = largest = ulp = 0.0
    for start in range(0, reference.size, _BLOCK):
        r = reference[start : start + _BLOCK].astype(np.float64, copy=False)
        t = actual[start : start + _BLOCK].astype(np.float64)
        rr, tt, rt = rr + dot(r, r), tt + dot(t, t), rt + dot(r, t)
        e = np.subtract(t, r, out=t)
        ee += dot(e, e)
        if not math.isfinite(rr + tt + ee):
            return None
        np.abs(e, out=e)
        total += float(e.sum())
        largest = max(largest, float(e.max()))
        if limits is not None:
            magnitude = np.abs(r)
            if float(magnitude.max()) > limits.max:
                return None
            np.divide(e, _powers_of_two(magnitude.astype(actual.dtype)), out=e)
            ulp = max(ulp, float(e.max()))
    if any(0.0 < square < _SMALL for square in (rr, tt, ee)) or (largest and not ee):
        return None
    if (not rr and reference.any()) or (not tt and actual.any()):
        return None
    count = max(1, reference.size)
    signal, noise = math.sqrt(rr / count), math.sqrt(ee / count)
    same_zeros = 1.0 if rr == tt else 0.0
    return Metrics(
        sqnr_db=_decibels(signal, noise),
        max_abs=largest,
        mean_abs=total / count,
        rmse=noise,
        relative_rms=_ratio(noise, signal),
        reference_rms=signal,
        actual_rms=math.sqrt(tt / count),
        cosine=rt / math.sqrt(rr) / math.sqrt(tt) if rr and tt else same_zeros,
        max_ulp=ulp / float(limits.eps) if limits is not None and reference.size else None,
        elements=reference.size,
        nonfinite_reference=0,
        nonfinite_actual=0,
        same_nonfinite=True,
    )


def _powers_of_two(values: NDArray[Any]) -> NDArray[Any]:
    """The power of two at or below each of some magnitudes; 1 / eps of their spacing.

    Below the smallest normal number spacing stays the same. ``np.spacing`` takes ten times as long.
    """
    limits = np.finfo(values.dtype)
    integer = np.dtype(f"i{values.dtype.itemsize}")
    exponent = np.array(np.inf, values.dtype).view(integer)
    powers: NDArray[Any] = (values.view(integer) & exponent).view(values.dtype)
    powers[powers < limits.tiny] = limits.tiny
    return powers


def dot(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the inner product of two vectors, on the caller's thread alone.

    BLAS would share even short ones among threads, which wait for each other where the machine is
    busy otherwise: hundreds of times the time of the sum itself.
    """
    return float(np.einsum("i,i->", first, second))


def _measure_with_care(reference: NDArray[Any], actual: NDArray[Any]) -> Metrics:
    """Measure arrays with values that are not finite, complex, or of extreme magnitude."""
    parts = "c" in (reference.dtype.kind, actual.dtype.kind)
    wide_reference, wide_actual = _wide(reference, parts), _wide(actual, parts)
    finite_reference, finite_actual = np.isfinite(wide_reference), np.isfinite(wide_actual)
    both = finite_reference & finite_actual
    r, t = wide_reference[both], wide_actual[both]
    with np.errstate(over="ignore"):  # an infinite error is one
        error = t - r
    signal, noise = _rms(r), _rms(error)
    return Metrics(
        sqnr_db=_decibels(signal, noise),
        max_abs=float(np.abs(error).max(initial=0.0)),
        mean_abs=_mean_abs(error),
        rmse=noise,
        relative_rms=_ratio(noise, signal),
        reference_rms=signal,
        actual_rms=_rms(t),
        cosine=_cosine(r, t),
        max_ulp=_max_ulp(r, error, actual.dtype),
        elements=int(reference.size),
        nonfinite_reference=int((~finite_reference).sum()),
        nonfinite_actual=int((~finite_actual).sum()),
        same_nonfinite=bool(
            np.array_equal(
                wide_reference[~finite_reference], wide_actual[~finite_reference], equal_nan=True
            )
            and not (finite_reference & ~finite_actual).any()
        ),
    )


def top1_agreement(reference: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return the share of rows ``[..., classes]`` whose largest entry is at the same index.

    A row with a NaN agrees with nothing.
    """
    same = reference.argmax(-1) == actual.argmax(-1)
    return float((same & ~np.isnan(actual).any(-1) & ~np.isnan(reference).any(-1)).mean())


def accuracy(outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of rows ``[..., classes]`` whose largest entry is at the label's index.

    Raises:
        ValueError: There is not one label for each row.
    """
    best = outputs.argmax(-1)
    return float(((best == labels.reshape(best.shape)) & ~np.isnan(outputs).any(-1)).mean())


def _wide(array: NDArray[Any], parts: bool) -> NDArray[np.float64]:
    """The values in one row; of complex numbers, the real and the imaginary parts side by side."""
    if parts:
        return array.astype(np.complex128).reshape(-1).view(np.float64)
    return array.astype(np.float64).ravel()


def _unit(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """The largest magnitude, and the values over it: their squares neither over- nor underflow."""
    largest = float(np.abs(values).max(initial=0.0))
    if not largest or math.isinf(largest):
        return largest, np.zeros(0)
    return largest, values / largest


def _rms(values: NDArray[np.float64]) -> float:
    largest, unit = _unit(values)
    return largest * float(np.sqrt(np.mean(unit**2))) if unit.size else largest


def _mean_abs(values: NDArray[np.float64]) -> float:
    largest, unit = _unit(values)
    return largest * float(np.abs(unit).mean()) if unit.size else largest


def _ratio(noise: float, signal: float) -> float:
    if not noise:
        return 0.0
    return noise / signal if signal else math.inf


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return math.inf
    return 20 * (math.log10(signal) - math.log10(noise)) if signal else -math.inf


def _cosine(r: NDArray[np.float64], t: NDArray[np.float64]) -> float:
    (_, r), (_, t) = _unit(r), _unit(t)
    if not r.size or not t.size:
        return 1.0 if r.size == t.size else 0.0
    return float(np.dot(r, t)) / (float(np.linalg.norm(r)) * float(np.linalg.norm(t)))


def _max_ulp(
    r: NDArray[np.float64], error: NDArray[np.float64], dtype: np.dtype[Any]
) -> float | None:
    if dtype not in (np.float16, np.float32) or not r.size:
        return None
    limits = np.finfo(dtype)
    inside = np.clip(r, limits.min, limits.max).astype(dtype)
    spacing = np.spacing(np.abs(inside)).astype(np.float64)
    with np.errstate(over="ignore"):
        return float((np.abs(error) / spacing)[np.isfinite(spacing)].max(initial=0.0))
