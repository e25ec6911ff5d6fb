"""The drift ratio and its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bridge.validators.ratio import UNIT_ROUNDOFF, drift_ratio

ONES = np.ones(16)


def test_the_ratio_is_that_of_the_root_mean_squares_over_all_inputs() -> None:
    errors, noises = np.array([3.0, 4.0]), np.array([[1.0, 0.0]])
    assert drift_ratio(errors, noises, np.zeros(2)).value == pytest.approx(5)


def test_the_noise_is_the_worst_legitimate_one_on_each_input() -> None:
    noises = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert drift_ratio(np.array([2.0, 2.0]), noises, np.zeros(2)).value == pytest.approx(1)


def test_no_floor_is_below_that_of_rounding_the_result_once() -> None:
    once = UNIT_ROUNDOFF["float32"] / math.sqrt(3)
    exact = np.zeros((1, 16))
    assert drift_ratio(once * ONES, exact, ONES).value == pytest.approx(1)
    assert drift_ratio(0 * ONES, exact, ONES).value == 0


def test_an_error_on_a_reference_of_zeros_is_infinitely_more_than_rounding() -> None:
    ratio = drift_ratio(ONES, np.zeros((1, 16)), 0 * ONES)
    assert (ratio.value, ratio.low, ratio.high) == (math.inf, math.inf, math.inf)
    nothing = drift_ratio(0 * ONES, np.zeros((1, 16)), 0 * ONES)
    assert (nothing.value, nothing.high) == (0, 0)


def test_an_interval_is_as_wide_as_the_inputs_differ() -> None:
    noise = ONES[None]
    assert drift_ratio(5 * ONES, noise, ONES).low == drift_ratio(5 * ONES, noise, ONES).high
    uneven = np.array([1.0] * 15 + [100.0])
    ratio = drift_ratio(uneven, noise, ONES)
    assert ratio.low == pytest.approx(1)
    assert ratio.low < ratio.value < ratio.high < 100


def test_an_error_on_one_input_of_many_is_not_sure_to_be_seen_again() -> None:
    ratio = drift_ratio(np.array([0.0] * 15 + [1.0]), np.zeros((1, 16)), np.zeros(16))
    assert (ratio.low, ratio.high) == (0, math.inf)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e200])
def test_the_ratio_does_not_depend_on_the_unit(scale: float) -> None:
    rng = np.random.default_rng(1)
    errors, noises = rng.uniform(1, 2, 16), rng.uniform(1, 2, (3, 16))
    plain = drift_ratio(errors, noises, ONES)
    scaled = drift_ratio(scale * errors, scale * noises, scale * ONES)
    assert scaled.value == pytest.approx(plain.value)
    assert scaled.high == pytest.approx(plain.high)


def test_the_interval_is_the_same_every_time() -> None:
    rng = np.random.default_rng(2)
    arrays = rng.uniform(1, 2, 16), rng.uniform(1, 2, (1, 16)), ONES
    assert drift_ratio(*arrays) == drift_ratio(*arrays)
