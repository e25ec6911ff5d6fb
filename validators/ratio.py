"""The drift ratio: error over noise, with an interval that says how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# of quantized files, twice that of the floats within them, whose limits are twice as wide: the
# steps of integers are in the noise
UNIT_ROUNDOFF = {
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "int8": 2.0**-23,
    "int8-weights": 2.0**-23,
}

_RESAMPLES = 1000
_SEED = 20_240_229


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A drift ratio rho = D / N, and its 95 % interval over the inputs.

    Attributes:
        value: ``RMS(t - r) / RMS(b - r)`` over all inputs; 0 for equal arrays, infinite for an
            error where a legitimate implementation has none.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data; infinity is the text inf."""
        named = {"ratio": self.value, "low": self.low, "high": self.high}
        return {name: value if math.isfinite(value) else "inf" for name, value in named.items()}


def drift_ratio(
    errors: NDArray[np.float64],
    noises: NDArray[np.float64],
    signals: NDArray[np.float64],
    unit_roundoff: float = UNIT_ROUNDOFF["float32"],
) -> Ratio:
    """Return the drift ratio over K inputs with a percentile bootstrap interval.

    The noise is the largest of the legitimate implementations, and not below the error of rounding
    the result itself to the artifact's type, ``u / sqrt(3) * RMS(r)``.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        errors: ``[K]`` RMS of the artifact's error on each input.
        noises: ``[V, K]`` RMS of the error of V legitimate implementations.
        signals: ``[K]`` RMS of the reference.
        unit_roundoff: u of the artifact's nominal type.
    """
    largest = max(float(np.max(each, initial=0.0)) for each in (errors, noises, signals))
    if not largest or not math.isfinite(largest):
        value = 0.0 if not largest else math.inf
        return Ratio(value=value, low=value, high=value)
    # squares of numbers around 1 neither overflow nor vanish
    error = (errors / largest) ** 2
    floor = (signals / largest * (unit_roundoff / math.sqrt(3))) ** 2
    noise = np.maximum((noises / largest) ** 2, floor).max(axis=0)
    count = len(error)
    drawn = np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))
    resampled = _ratios(error[drawn].sum(axis=1), noise[drawn].sum(axis=1))
    # "lower" and "higher" take a resample as it is: one may be infinite
    return Ratio(
        value=float(_ratios(error.sum(keepdims=True), noise.sum(keepdims=True))[0]),
        low=float(np.quantile(resampled, 0.025, method="lower")),
        high=float(np.quantile(resampled, 0.975, method="higher")),
    )


def _ratios(error: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, np.sqrt(error / noise), 0.0)
