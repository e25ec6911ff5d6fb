"""Verdicts: where pass, warn and fail begin, for outputs and for layers."""

from __future__ import annotations

import math

import pytest

from bridge.validators.metrics import Metrics
from bridge.validators.verdict import (
    THRESHOLDS,
    Thresholds,
    Verdict,
    judge_layer,
    judge_output,
    worst,
)

LIMITS = Thresholds(warn_db=90, fail_db=70, warn_ratio=3, fail_ratio=10, top1=0.999)
PASS, WARN, FAIL, NOT_RUN = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.NOT_RUN


def metrics(sqnr_db: float, *, same_nonfinite: bool = True) -> Metrics:
    return Metrics(
        sqnr_db=sqnr_db,
        max_abs=0,
        mean_abs=0,
        rmse=0,
        relative_rms=10 ** (-sqnr_db / 20),
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
    assert judge_layer(metrics(math.inf, same_nonfinite=False), 1.0, LIMITS)[0] is FAIL


@pytest.mark.parametrize(
    ("sqnr_db", "ratio", "verdict"),
    [
        (120, 1, PASS),
        (120, 1000, PASS),  # far above the floor, and still far too small to matter
        (90, 1000, PASS),
        (89, 3, PASS),  # large, and what any float32 implementation has here
        (20, 2.9, PASS),
        (20, 1e-3, PASS),
        (89, 3.1, WARN),
        (71, 1000, WARN),
        (69, 9.9, WARN),
        (69, 10.1, FAIL),
        (-20, 1000, FAIL),
        (120, None, PASS),
        (89, None, WARN),
        (70, None, WARN),
        (69, None, FAIL),
    ],
)
def test_a_layer_is_judged_by_its_sqnr_and_its_ratio_to_the_noise_floor(
    sqnr_db: float, ratio: float | None, verdict: Verdict
) -> None:
    measured = metrics(sqnr_db)
    floor = None if ratio is None else measured.relative_rms / ratio
    limited = floor is not None and floor < 2**-24 / math.sqrt(3)
    judged, shown = judge_layer(measured, floor, LIMITS)
    assert judged is verdict
    if limited:
        assert shown is not None
        assert shown < (ratio or 0), "no floor is below that of rounding once"
    else:
        assert shown == pytest.approx(ratio)


def test_an_exact_layer_passes_on_a_floor_of_zero() -> None:
    assert judge_layer(metrics(math.inf), 0.0, LIMITS) == (PASS, 0.0)


def test_a_floor_of_zero_counts_as_rounding_once() -> None:
    once = 20 * math.log10(math.sqrt(3) * 2**24)  # uniform error of one unit roundoff
    assert judge_layer(metrics(once), 0.0, LIMITS)[1] == pytest.approx(1)


def test_a_layer_whose_reference_is_zero_has_no_ratio_that_is_no_number() -> None:
    for floor in (math.inf, 0.0, 1e-7, None):
        judged, ratio = judge_layer(metrics(-math.inf), floor, LIMITS)
        assert ratio is None or not math.isnan(ratio)
        assert judged is (WARN if floor == math.inf else FAIL)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], NOT_RUN),
        ([PASS], PASS),
        ([PASS, WARN, PASS], WARN),
        ([WARN, FAIL], FAIL),
        ([PASS, NOT_RUN], NOT_RUN),
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
