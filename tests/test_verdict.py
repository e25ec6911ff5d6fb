"""Verdicts: where pass, warn and fail begin, for outputs and for layers."""

from __future__ import annotations

import math

import pytest

from bridge.validators.metrics import Metrics
from bridge.validators.ratio import Ratio
from bridge.validators.verdict import (
    THRESHOLDS,
    Thresholds,
    Verdict,
    judge_accumulated,
    judge_isolated,
    judge_output,
    worst,
)

LIMITS = Thresholds(
    warn_db=90, fail_db=70, isolated_db=100, warn_ratio=3, fail_ratio=10, top1=0.999
)
PASS, WARN, FAIL, NOT_RUN = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.NOT_RUN
INCONCLUSIVE = Verdict.INCONCLUSIVE


def metrics(sqnr_db: float, *, same_nonfinite: bool = True) -> Metrics:
    return Metrics(
        sqnr_db=sqnr_db,
        max_abs=0,
        mean_abs=0,
        rmse=0,
        relative_rms=10 ** (-sqnr_db / 20),
        reference_rms=1,
        actual_rms=1,
        cosine=1,
        max_ulp=None,
        elements=8,
        nonfinite_reference=0,
        nonfinite_actual=0 if same_nonfinite else 1,
        same_nonfinite=same_nonfinite,
    )


@pytest.mark.parametrize(
    ("sqnr_db", "verdict", "reason"),
    [
        (math.inf, PASS, ""),
        (120.0, PASS, ""),
        (90.0, PASS, ""),
        (89.9, WARN, "SQNR 89.9 dB is below 90 dB"),
        (70.0, WARN, "SQNR 70.0 dB is below 90 dB"),
        (69.9, FAIL, "SQNR 69.9 dB is below 70 dB"),
        (-3.0, FAIL, "SQNR -3.0 dB is below 70 dB"),
        (-math.inf, FAIL, "SQNR -inf dB is below 70 dB"),
    ],
)
def test_an_output_is_judged_by_its_sqnr(sqnr_db: float, verdict: Verdict, reason: str) -> None:
    assert judge_output(metrics(sqnr_db), LIMITS) == (verdict, reason)


def test_a_nan_is_a_failure_however_good_the_rest_is() -> None:
    verdict, reason = judge_output(metrics(math.inf, same_nonfinite=False), LIMITS)
    assert verdict is FAIL
    assert "NaN or infinity" in reason
    assert "1 here, 0 in the reference" in reason
    broken = metrics(math.inf, same_nonfinite=False)
    assert judge_accumulated(broken, ratio(1), LIMITS) is FAIL
    assert judge_isolated(broken, ratio(1), LIMITS) is FAIL


def ratio(value: float, low: float | None = None, high: float | None = None) -> Ratio:
    return Ratio(
        value=value, low=value if low is None else low, high=value if high is None else high
    )


@pytest.mark.parametrize(
    ("sqnr_db", "drift", "verdict"),
    [
        (120, ratio(1), PASS),
        (120, ratio(1000), PASS),  # far above the floor, and still far too small to matter
        (90, ratio(1000), PASS),
        (89, ratio(3), PASS),  # large, and what any float32 implementation has here
        (20, ratio(2.9), PASS),
        (20, ratio(1e-3), PASS),
        (89, ratio(3.1), WARN),
        (71, ratio(1000), WARN),
        (69, ratio(9.9), WARN),
        (69, ratio(10.1), FAIL),
        (69, ratio(12, 9, 14), INCONCLUSIVE),
        (89, ratio(3, 2, 4), INCONCLUSIVE),
        (-20, ratio(math.inf), FAIL),
        (120, None, PASS),
        (89, None, WARN),
        (70, None, WARN),
        (69, None, FAIL),
    ],
)
def test_what_has_accumulated_is_judged_by_its_sqnr_and_by_the_noise_there(
    sqnr_db: float, drift: Ratio | None, verdict: Verdict
) -> None:
    assert judge_accumulated(metrics(sqnr_db), drift, LIMITS) is verdict


@pytest.mark.parametrize(
    ("sqnr_db", "drift", "verdict"),
    [
        (140, ratio(1), PASS),
        (20, ratio(3), PASS),  # where numbers cancel, a right layer is that far off
        (120, ratio(3.1), WARN),
        (120, ratio(10), WARN),
        (120, ratio(10.1), FAIL),  # an epsilon of 1.05e-5 for 1e-5 looks like this
        (120, ratio(4, 2.9, 5), INCONCLUSIVE),
        (120, ratio(30, 9, 80), INCONCLUSIVE),
        (120, ratio(math.inf, 2, math.inf), INCONCLUSIVE),
        (100, None, PASS),
        (99, None, WARN),
    ],
)
def test_a_layer_alone_is_judged_by_its_ratio_on_all_of_the_interval(
    sqnr_db: float, drift: Ratio | None, verdict: Verdict
) -> None:
    assert judge_isolated(metrics(sqnr_db), drift, LIMITS) is verdict


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], NOT_RUN),
        ([PASS], PASS),
        ([PASS, WARN, PASS], WARN),
        ([WARN, FAIL], FAIL),
        ([PASS, NOT_RUN], NOT_RUN),
        ([PASS, INCONCLUSIVE], INCONCLUSIVE),
        ([WARN, INCONCLUSIVE], WARN),
    ],
)
def test_the_worst_verdict_stands_and_what_did_not_run_is_never_a_pass(
    verdicts: list[Verdict], expected: Verdict
) -> None:
    assert worst(verdicts) is expected
    assert worst(reversed(verdicts)) is expected


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_are_in_order(name: str) -> None:
    limits = THRESHOLDS[name]
    assert limits.warn_db > limits.fail_db
    assert limits.warn_ratio < limits.fail_ratio
    assert 0 < limits.top1 <= 1
