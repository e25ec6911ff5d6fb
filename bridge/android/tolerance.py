"""How far an output may be from its golden value: derived from the drift that was measured.

The formulas are explained in docs/android.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConversionError
from ..validators.verdict import THRESHOLDS

CPU, GPU = "cpu", "gpu"
BACKENDS = (CPU, GPU)

# Other processors sum in other orders: their errors are of the measured size, not the same.
SAFETY = 4.0
FLOOR_UNITS = 4.0

# the GPU delegate computes with quantized weights in its own precision, whose error is smaller
# than that of their steps
_UNIT_ROUNDOFF = {
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "int8": 2.0**-11,
    "int8-weights": 2.0**-11,
}
_GPU_PRECISION = "float16"  # of the GPU delegate, unless it is told otherwise


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Errors of an output against the reference, in the output's own units.

    Attributes:
        max_abs: Largest absolute error.
        rmse: Root of the mean squared error.
    """

    max_abs: float
    rmse: float


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What a device may be off by.

    Attributes:
        max_abs: Largest absolute error of one element.
        rmse: Largest root of the mean squared error over the elements of one sample.
    """

    max_abs: float
    rmse: float

    def to_json(self) -> dict[str, float]:
        """Return it as plain JSON data."""
        return {"max_abs": self.max_abs, "rmse": self.rmse}


def tolerances(
    reference: NDArray[np.float64], dtype: str, precision: str, measured: Iterable[Drift]
) -> dict[str, Tolerance]:
    """Return the tolerance for each backend.

    Args:
        reference: ``[K, *shape]`` golden values before they were rounded to ``dtype``; for a
            quantized output in its steps.
        dtype: Element type of the output.
        precision: Precision of the model, such as ``float32`` or ``int8``.
        measured: Drift on each runtime and set of inputs that it was measured on.

    Raises:
        ConversionError: The measured drift is not finite.
    """
    drifts = list(measured)
    worst = Drift(
        max_abs=max((each.max_abs for each in drifts), default=math.nan),
        rmse=max((each.rmse for each in drifts), default=math.nan),
    )
    if not math.isfinite(worst.max_abs + worst.rmse):
        raise ConversionError("the drift of an output is not finite, so nothing may be tolerated")
    if np.dtype(dtype).kind != "f":
        return dict.fromkeys(BACKENDS, _of_integers(worst))
    finite = reference[np.isfinite(reference)]
    peak = float(np.abs(finite).max(initial=0.0))
    signal = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    single, half = _UNIT_ROUNDOFF["float32"], _UNIT_ROUNDOFF[_GPU_PRECISION]
    growth = SAFETY * half / _UNIT_ROUNDOFF[precision]
    failing = signal * 10 ** (-THRESHOLDS[_GPU_PRECISION].fail_db / 20)
    gpu = Tolerance(
        max_abs=max(growth * worst.max_abs, FLOOR_UNITS * half * peak),
        rmse=max(min(growth * worst.rmse, failing), FLOOR_UNITS * half * signal),
    )
    cpu = Tolerance(
        max_abs=max(SAFETY * worst.max_abs, FLOOR_UNITS * single * peak),
        rmse=max(SAFETY * worst.rmse, FLOOR_UNITS * single * signal),
    )
    return {CPU: cpu, GPU: gpu}


def _of_integers(worst: Drift) -> Tolerance:
    """Steps of a quantized output, or whole numbers: exact if they were exact here."""
    steps = math.ceil(SAFETY * worst.max_abs)
    return Tolerance(max_abs=float(steps), rmse=float(steps))
