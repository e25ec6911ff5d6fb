"""How errors are spread: a rounding error is a bell around 0, a defect seldom is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 31


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of errors in bins of one width.

    Attributes:
        low: Least error.
        high: Greatest error.
        counts: Elements in each bin between them.
    """

    low: float
    high: float
    counts: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        return {**asdict(self), "counts": list(self.counts)}


def error_histogram(reference: NDArray[Any], actual: NDArray[Any]) -> Histogram | None:
    """Return the spread of ``actual - reference`` over the elements that are finite in both.

    Returns:
        The histogram; ``None`` if there are no such elements, or all errors are equal.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        error = actual.astype(np.float64).ravel() - reference.astype(np.float64).ravel()
    error = error[np.isfinite(error)]
    if not error.size or error.min() == error.max():
        return None
    counts, edges = np.histogram(error, bins=_BINS)
    return Histogram(
        low=float(edges[0]), high=float(edges[-1]), counts=tuple(int(each) for each in counts)
    )
