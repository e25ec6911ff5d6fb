"""Verdicts: the thresholds of drift, and how a measurement is judged by them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from .metrics import Metrics

UNIT_ROUNDOFF_FLOAT32 = 2.0**-24


class Verdict(StrEnum):
    """What a comparison says. ``NOT_RUN`` is never a pass."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits for one numerical precision (docs/drift.md says where they come from).

    Attributes:
        warn_db: Least SQNR without a remark.
        fail_db: Least SQNR that is not a failure.
        warn_ratio: Largest ratio of drift to the noise floor without a remark.
        fail_ratio: Largest ratio that is not a failure.
        top1: Least share of samples with the reference's top-1 class, for a classifier.
    """

    warn_db: float
    fail_db: float
    warn_ratio: float
    fail_ratio: float
    top1: float


THRESHOLDS: dict[str, Thresholds] = {
    "float32": Thresholds(warn_db=90.0, fail_db=70.0, warn_ratio=3.0, fail_ratio=10.0, top1=0.999),
    "float16": Thresholds(warn_db=45.0, fail_db=30.0, warn_ratio=3.0, fail_ratio=10.0, top1=0.995),
}

_ORDER = (Verdict.PASS, Verdict.WARN, Verdict.NOT_RUN, Verdict.FAIL)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of some verdicts; of none at all, ``NOT_RUN``."""
    return max(verdicts, key=_ORDER.index, default=Verdict.NOT_RUN)


def judge_output(metrics: Metrics, limits: Thresholds) -> tuple[Verdict, str]:
    """Judge one output of a whole model.

    Returns:
        The verdict and its reason.
    """
    if not metrics.same_nonfinite:
        return Verdict.FAIL, _nonfinite(metrics)
    if metrics.sqnr_db < limits.fail_db:
        return Verdict.FAIL, f"SQNR {metrics.sqnr_db:.1f} dB is below {limits.fail_db:g} dB"
    if metrics.sqnr_db < limits.warn_db:
        return Verdict.WARN, f"SQNR {metrics.sqnr_db:.1f} dB is below {limits.warn_db:g} dB"
    return Verdict.PASS, ""


def judge_layer(
    metrics: Metrics, floor: float | None, limits: Thresholds
) -> tuple[Verdict, float | None]:
    """Judge the accumulated drift of one layer.

    A layer fails if its error is large both for a model's result and beside the noise that a
    legitimate implementation has at this place; each alone may be the nature of the layer.

    Args:
        metrics: Of the layer's tensor against the float64 reference.
        floor: Relative RMS error there of the source model in the artifact's precision; ``None``
            where it is not known.
        limits: The thresholds.

    Returns:
        The verdict and the drift ratio (``None`` without a floor).
    """
    ratio = None
    if floor is not None:
        least = UNIT_ROUNDOFF_FLOAT32 / 3**0.5
        ratio = metrics.relative_rms / max(floor, least)
        if math.isnan(ratio):  # both err on a reference of zeros
            return Verdict.WARN if metrics.same_nonfinite else Verdict.FAIL, None
    if not metrics.same_nonfinite:
        return Verdict.FAIL, ratio
    if metrics.sqnr_db >= limits.warn_db or (ratio is not None and ratio <= limits.warn_ratio):
        return Verdict.PASS, ratio
    if metrics.sqnr_db < limits.fail_db and (ratio is None or ratio > limits.fail_ratio):
        return Verdict.FAIL, ratio
    return Verdict.WARN, ratio


def _nonfinite(metrics: Metrics) -> str:
    return (
        f"NaN or infinity where the reference has none, or the reverse "
        f"({metrics.nonfinite_actual} here, {metrics.nonfinite_reference} in the reference)"
    )
