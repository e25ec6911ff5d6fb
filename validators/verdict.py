"""Verdicts: the thresholds of drift, and how a measurement is judged by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from .metrics import Metrics
from .ratio import Ratio


class Verdict(StrEnum):
    """What a comparison says. ``NOT_RUN`` is never a pass."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    WARN = "warn"
    FAIL = "fail"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits for one numerical precision (docs/drift.md says where they come from).

    Attributes:
        warn_db: Least SQNR without a remark.
        fail_db: Least SQNR that is not a failure.
        isolated_db: Least SQNR of a layer alone, where its noise is not known.
        warn_ratio: Largest drift ratio without a remark.
        fail_ratio: Largest drift ratio that is not a failure.
        top1: Least share of samples with the reference's top-1 class, for a classifier.
    """

    warn_db: float
    fail_db: float
    isolated_db: float
    warn_ratio: float
    fail_ratio: float
    top1: float


THRESHOLDS: dict[str, Thresholds] = {
    "float32": Thresholds(
        warn_db=90.0, fail_db=70.0, isolated_db=100.0, warn_ratio=3.0, fail_ratio=10.0, top1=0.999
    ),
    "float16": Thresholds(
        warn_db=45.0, fail_db=30.0, isolated_db=55.0, warn_ratio=3.0, fail_ratio=10.0, top1=0.995
    ),
    "int8": Thresholds(
        warn_db=20.0, fail_db=10.0, isolated_db=30.0, warn_ratio=1.5, fail_ratio=3.0, top1=0.98
    ),
    "int8-weights": Thresholds(
        warn_db=25.0, fail_db=15.0, isolated_db=35.0, warn_ratio=1.5, fail_ratio=3.0, top1=0.99
    ),
}

_ORDER = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.NOT_RUN, Verdict.FAIL)


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


def judge_accumulated(metrics: Metrics, ratio: Ratio | None, limits: Thresholds) -> Verdict:
    """Judge what has accumulated up to a layer.

    It fails if its error is large both for a model's result and beside the noise that a legitimate
    implementation has at this place; each alone may be the nature of the model.

    Args:
        metrics: Of the layer's tensor against the float64 reference.
        ratio: The drift ratio; ``None`` where the noise is not known.
        limits: The thresholds.
    """
    if not metrics.same_nonfinite:
        return Verdict.FAIL
    if metrics.sqnr_db >= limits.warn_db:
        return Verdict.PASS
    small = metrics.sqnr_db < limits.fail_db
    if ratio is None:
        return Verdict.FAIL if small else Verdict.WARN
    verdict = _judge_ratio(ratio, limits)
    return Verdict.WARN if verdict is Verdict.FAIL and not small else verdict


def judge_isolated(metrics: Metrics, ratio: Ratio | None, limits: Thresholds) -> Verdict:
    """Judge what a layer introduces on its own.

    Args:
        metrics: Of the layer's tensor, when it was fed the reference's own values.
        ratio: The drift ratio; ``None`` where the noise is not known.
        limits: The thresholds.
    """
    if not metrics.same_nonfinite:
        return Verdict.FAIL
    if ratio is None:
        return Verdict.PASS if metrics.sqnr_db >= limits.isolated_db else Verdict.WARN
    return _judge_ratio(ratio, limits)


def _judge_ratio(ratio: Ratio, limits: Thresholds) -> Verdict:
    """A verdict only where the whole interval is on one side of a limit."""
    if ratio.low > limits.fail_ratio:
        return Verdict.FAIL
    if ratio.high <= limits.warn_ratio:
        return Verdict.PASS
    if ratio.low > limits.warn_ratio and ratio.high <= limits.fail_ratio:
        return Verdict.WARN
    return Verdict.INCONCLUSIVE


def _nonfinite(metrics: Metrics) -> str:
    return (
        f"NaN or infinity where the reference has none, or the reverse "
        f"({metrics.nonfinite_actual} here, {metrics.nonfinite_reference} in the reference)"
    )
