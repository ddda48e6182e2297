"""The kernel's own exponential against mpmath."""

import math

import mpmath
import numpy as np

from twonn import _core

mpmath.mp.prec = 120


def error_in_ulps(x: float, value: float) -> float:
    exact = mpmath.exp(mpmath.mpf(x))
    return float(abs(mpmath.mpf(value) - exact) / math.ulp(float(exact)))


def worst_error(arguments: np.ndarray) -> float:
    values = _core.exp(arguments)
    return max(error_in_ulps(x, value) for x, value in zip(arguments, values, strict=True))


def test_error_is_below_one_ulp_over_the_whole_range():
    seed = 20260302
    print("seed", seed)
    rng = np.random.default_rng(seed)
    # The rounding of the last addition is 1/2 ulp, the polynomial's own error at most 0.2: below 1.
    assert worst_error(rng.uniform(-708, 709, 20_000)) < 0.7
    assert worst_error(rng.uniform(-1, 1, 20_000)) < 0.7
    assert worst_error(rng.normal(size=5_000) * 1e-8) < 0.7


def test_error_where_results_are_subnormal():
    seed = 7
    print("seed", seed)
    # The second scaling rounds once more, to a unit that no longer shrinks: 1/2 ulp on top.
    assert worst_error(np.random.default_rng(seed).uniform(-745.1, -708, 5_000)) < 1.0


def test_error_where_the_reduced_argument_is_largest():
    multiples = np.arange(-1000, 1000) + 0.5
    arguments = multiples * math.log(2)
    assert worst_error(np.concatenate([arguments, np.nextafter(arguments, 0)])) < 0.7


def test_special_values():
    x = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 710.0, 1e300, -746.0, -1e300])
    expected = [1.0, 1.0, math.inf, 0.0, math.nan, math.inf, math.inf, 0.0, 0.0]
    np.testing.assert_array_equal(_core.exp(x), expected)


def test_the_largest_finite_result_does_not_overflow():
    largest = math.log(float(np.finfo(float).max))  # 709.78...
    assert math.isfinite(_core.exp(np.array([largest]))[0])
