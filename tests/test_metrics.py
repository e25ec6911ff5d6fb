"""Metrics: right figures for known errors, and no way for a NaN or an overflow to look good."""

from __future__ import annotations

import json
import math
import warnings
import zlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.validators.metrics import Metrics, accuracy, combined, measure, top1_agreement
from bridge.validators.verdict import THRESHOLDS, Verdict, judge_accumulated, judge_output

LIMITS = THRESHOLDS["float32"]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Overflows and divisions by zero are dealt with, not warned about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def of(reference: Any, actual: Any) -> Metrics:
    return measure(np.asarray(reference), np.asarray(actual))


def seeded(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


@pytest.mark.parametrize("share", [1.0, 0.1, 1e-3, 1e-6, 1e-12])
def test_the_sqnr_of_an_error_of_known_share(share: float) -> None:
    rng = seeded("known share")
    reference = rng.normal(size=(4, 1000))
    noise = rng.choice([-1.0, 1.0], reference.shape) * np.sqrt((reference**2).mean()) * share
    metrics = measure(reference, reference + noise)
    assert metrics.sqnr_db == pytest.approx(-20 * math.log10(share), abs=1e-3)
    assert metrics.relative_rms == pytest.approx(share, rel=1e-4)
    assert metrics.rmse == pytest.approx(np.abs(noise).max(), rel=1e-4)
    assert metrics.elements == 4000


def test_the_figures_of_a_small_example() -> None:
    metrics = of([3.0, 4.0, 0.0], [3.0, 2.0, 1.0])
    assert metrics.max_abs == 2
    assert metrics.mean_abs == 1
    assert metrics.rmse == pytest.approx(math.sqrt(5 / 3))
    assert metrics.relative_rms == pytest.approx(math.sqrt(5) / 5)
    assert metrics.sqnr_db == pytest.approx(10 * math.log10(25 / 5))
    assert metrics.cosine == pytest.approx(17 / (5 * math.sqrt(14)))
    assert metrics.same_nonfinite


def test_equal_arrays_have_no_error() -> None:
    metrics = of([1.0, -2.0], [1.0, -2.0])
    assert metrics.sqnr_db == math.inf
    assert (metrics.max_abs, metrics.rmse, metrics.relative_rms) == (0, 0, 0)
    assert metrics.cosine == pytest.approx(1)


def test_an_error_on_a_reference_of_zeros_is_infinitely_bad() -> None:
    metrics = of([0.0, 0.0], [0.0, 1e-30])
    assert metrics.sqnr_db == -math.inf
    assert metrics.relative_rms == math.inf
    assert metrics.cosine == 0
    assert judge_output(metrics, LIMITS)[0] is Verdict.FAIL


def test_zeros_on_a_reference_of_zeros_are_right() -> None:
    metrics = of([0.0, 0.0], [-0.0, 0.0])
    assert (metrics.sqnr_db, metrics.relative_rms, metrics.cosine) == (math.inf, 0, 1)


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_empty_arrays_are_equal(shape: tuple[int, ...]) -> None:
    metrics = of(np.zeros(shape), np.zeros(shape, np.float32))
    assert metrics.elements == 0
    assert metrics.sqnr_db == math.inf
    assert (metrics.max_abs, metrics.mean_abs, metrics.rmse, metrics.cosine) == (0, 0, 0, 1)
    assert metrics.max_ulp is None
    assert metrics.same_nonfinite


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes differ: \(2, 3\) and \(3, 2\)"):
        of(np.zeros((2, 3)), np.zeros((3, 2)))


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-38, 1.0, 1e38, 1e200, 1e308])
def test_figures_do_not_depend_on_the_scale(scale: float) -> None:
    reference, actual = np.array([1.0, -0.5, 0.25]), np.array([1.0, -0.5, 0.5])
    plain, scaled = measure(reference, actual), measure(reference * scale, actual * scale)
    exactness = 1e-2 if scale < 1e-300 else 1e-9  # denormals have few digits
    assert scaled.sqnr_db == pytest.approx(plain.sqnr_db, rel=exactness)
    assert scaled.relative_rms == pytest.approx(plain.relative_rms, rel=exactness)
    assert scaled.cosine == pytest.approx(plain.cosine, rel=exactness)
    assert scaled.max_abs == pytest.approx(plain.max_abs * scale, rel=exactness)


@pytest.mark.parametrize(
    ("reference", "actual"),
    [
        ([1e308, 1.0], [-1e308, 1.0]),  # their difference is no float64
        ([1e308, 1e308], [-1e308, -1e308]),
        ([1e-300, 0.0], [1e300, 0.0]),  # neither is their ratio
        ([1e-320, 0.0], [1e308, 1e308]),
        ([5e-324], [1e308]),
    ],
)
def test_an_error_beyond_float64_is_bad_and_not_nan(
    reference: list[float], actual: list[float]
) -> None:
    metrics = of(reference, actual)
    assert metrics.sqnr_db < 0
    assert metrics.relative_rms > 1
    assert not any(math.isnan(value) for value in vars(metrics).values() if value is not None)
    assert judge_output(metrics, LIMITS)[0] is Verdict.FAIL
    assert judge_accumulated(metrics, None, LIMITS) is Verdict.FAIL


FINITE, NAN, UP, DOWN = 1.0, math.nan, math.inf, -math.inf


@pytest.mark.parametrize(("reference", "actual"), list(product([FINITE, NAN, UP, DOWN], repeat=2)))
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite_passes_only_where_the_reference_is_the_same(
    reference: float, actual: float, dtype: str
) -> None:
    others = np.arange(1.0, 8.0)
    metrics = of([*others, reference], np.array([*others, actual], dtype))
    same = reference == actual or (math.isnan(reference) and math.isnan(actual))
    assert metrics.same_nonfinite == same
    assert metrics.nonfinite_reference == (not math.isfinite(reference))
    assert metrics.nonfinite_actual == (not math.isfinite(actual))
    assert metrics.sqnr_db == math.inf, "the figures are over what is finite in both"
    expected = Verdict.PASS if same else Verdict.FAIL
    verdict, reason = judge_output(metrics, LIMITS)
    assert verdict is expected
    assert bool(reason) == (not same)
    assert judge_accumulated(metrics, None, LIMITS) is expected
    assert judge_accumulated(metrics, None, LIMITS) is expected


def test_a_nan_anywhere_in_a_large_array_fails() -> None:
    rng = seeded("a NaN anywhere")
    reference = rng.normal(size=(3, 500))
    for _ in range(50):
        actual = reference.astype(np.float32)
        actual[tuple(rng.integers(0, actual.shape))] = rng.choice([NAN, UP, DOWN])
        metrics = measure(reference, actual)
        assert metrics.nonfinite_actual == 1
        assert not metrics.same_nonfinite
        assert judge_output(metrics, LIMITS)[0] is Verdict.FAIL
        assert judge_accumulated(metrics, None, LIMITS) is Verdict.FAIL


def test_a_nan_that_moved_to_another_place_fails() -> None:
    metrics = of([NAN, 1.0, 2.0], [1.0, NAN, 2.0])
    assert metrics.nonfinite_actual == metrics.nonfinite_reference == 1
    assert judge_output(metrics, LIMITS)[0] is Verdict.FAIL


@pytest.mark.parametrize(
    ("reference", "actual", "dtype", "ulp"),
    [
        ([1.0], [1 + 2**-23], "float32", 1),
        ([1.0], [1 + 3 * 2**-23], "float32", 3),
        ([1.0], [1 - 2**-24], "float32", 0.5),
        ([1.5], [1.5 + 2**-10], "float16", 1),
        ([-1024.0], [-1025.0], "float16", 1),
        ([2.0, 1.0], [2.0, 1 + 2**-23], "float32", 1),
        ([0.0], [2.0**-149], "float32", 1),
        ([1 + 2**-25], [1.0], "float32", 0.25),  # a fraction of the reference's own digits
        ([5.0], [5.0], "float32", 0),
        ([UP, 1.0], [UP, 1 + 2**-23], "float32", 1),
    ],
)
def test_the_error_in_units_of_the_last_place(
    reference: list[float], actual: list[float], dtype: str, ulp: float
) -> None:
    assert of(reference, np.array(actual, dtype)).max_ulp == ulp


def test_rounding_to_a_type_is_half_a_unit_at_most() -> None:
    reference = seeded("rounding").normal(size=5000) * 10.0 ** seeded("scale").integers(-4, 5, 5000)
    for dtype in (np.float16, np.float32):
        with np.errstate(over="ignore"):
            rounded = reference.astype(dtype)
        metrics = measure(
            np.where(np.isfinite(rounded), reference, np.inf),
            np.abs(rounded) * np.sign(reference).astype(dtype),
        )
        assert metrics.max_ulp is not None
        assert 0.45 < metrics.max_ulp <= 0.5


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_other_types_have_no_last_place(dtype: str) -> None:
    assert of([1.0, 0.0], np.array([1, 0], dtype)).max_ulp is None


@pytest.mark.parametrize(
    ("reference", "actual"),
    [
        (np.array([250], np.uint8), np.array([5], np.uint8)),
        (np.array([-128], np.int8), np.array([127], np.int8)),
        (np.array([True, False]), np.array([False, False])),
        (np.array([2**40], np.int64), np.array([0], np.int32)),
    ],
)
def test_integers_do_not_wrap_around(reference: NDArray[Any], actual: NDArray[Any]) -> None:
    metrics = measure(reference, actual)
    expected = abs(int(reference[0]) - int(actual[0]))
    assert metrics.max_abs == expected


def test_the_imaginary_part_counts() -> None:
    reference = np.array([3 + 4j, 1 - 1j])
    assert measure(reference, reference.astype(np.complex64)).sqnr_db == math.inf
    metrics = measure(reference, reference.conj().astype(np.complex64))
    assert metrics.max_abs == 8
    assert judge_output(metrics, LIMITS)[0] is Verdict.FAIL
    broken = measure(reference, np.array([complex(3, NAN), 1 - 1j]))
    assert judge_output(broken, LIMITS)[0] is Verdict.FAIL


def test_the_cosine_is_of_the_angle() -> None:
    rng = seeded("cosine")
    for _ in range(20):
        r, t = rng.normal(size=(2, 50))
        expected = r @ t / np.sqrt((r @ r) * (t @ t))
        assert measure(r, t).cosine == pytest.approx(expected, abs=1e-12)
    assert of([1.0, 2.0], [-2.0, -4.0]).cosine == pytest.approx(-1)


def test_every_figure_is_plain_json() -> None:
    for reference, actual in [([0.0], [1.0]), ([1.0], [1.0]), ([1.0], [NAN]), ([], [])]:
        text = json.dumps(of(reference, actual).to_json(), allow_nan=False)
        assert set(json.loads(text)) == set(Metrics.__dataclass_fields__)
    assert of([0.0], [1.0]).to_json()["sqnr_db"] == "-inf"
    assert of([1.0], [1.0]).to_json()["sqnr_db"] == "inf"


def test_top1_agreement_is_the_share_of_rows_with_the_same_class() -> None:
    reference = np.array([[[0.1, 0.9], [0.8, 0.2]], [[0.3, 0.7], [0.6, 0.4]]])
    actual = reference.copy()
    actual[1, 1] = [0.1, 0.2]
    assert top1_agreement(reference, actual) == 0.75
    actual[0, 0] = [NAN, 0.9]
    assert top1_agreement(reference, actual) == 0.5, "a row with a NaN agrees with nothing"
    assert top1_agreement(actual, actual) == 0.75


def test_accuracy_is_the_share_of_rows_with_the_true_class() -> None:
    outputs = np.array([[[0.1, 0.9], [0.8, 0.2]], [[0.3, 0.7], [NAN, 0.9]]])
    assert accuracy(outputs, np.array([[1, 0], [0, 1]])) == 0.5
    assert accuracy(outputs, np.array([[[1], [0]], [[0], [1]]])) == 0.5, "a column of labels"
    with pytest.raises(ValueError, match="reshape"):
        accuracy(outputs, np.array([[1], [0]]))


def test_metrics_of_parts_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(3, 100)) * np.array([[1e-3], [1.0], [50.0]])
    actual = (reference + 1e-4 * rng.normal(size=reference.shape)).astype(np.float32)
    whole = measure(reference, actual)
    joined = combined([measure(*pair) for pair in zip(reference, actual, strict=True)])
    for name, value in vars(whole).items():
        assert getattr(joined, name) == pytest.approx(value, rel=1e-9), name


def test_a_nan_in_one_part_is_not_hidden_by_the_others() -> None:
    good = np.ones(4)
    broken = np.array([1.0, NAN, 1.0, 1.0])
    joined = combined([measure(good, good), measure(good, broken), measure(broken, broken)])
    assert not joined.same_nonfinite
    assert (joined.nonfinite_reference, joined.nonfinite_actual) == (1, 2)
