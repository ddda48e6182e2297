"""The kernel's own exponential and logarithms against mpmath."""

import math

import mpmath
import numpy as np
import pytest

from twonn import _core

mpmath.mp.prec = 120


def error_in_ulps(x: float, value: float, function: str) -> float:
    exact = getattr(mpmath, function)(mpmath.mpf(x))
    return float(abs(mpmath.mpf(value) - exact) / math.ulp(float(exact)))


def worst_error(arguments: np.ndarray, function: str = "exp") -> float:
    values = getattr(_core, function)(arguments)
    return max(error_in_ulps(x, value, function) for x, value in zip(arguments, values, strict=True))


def test_logarithms_err_by_a_few_ulps_at_most():
    seed = 1103
    print("seed", seed)
    rng = np.random.default_rng(seed)
    near = 1 + rng.normal(size=5_000) * 10.0 ** rng.integers(-16, -1, size=5_000)
    everywhere = 10 ** rng.uniform(-323, 308, 5_000)
    root = np.nextafter(math.sqrt(0.5), [0, 1])  # where the reduction changes its mind
    log = np.concatenate([near, everywhere, rng.uniform(0.5, 2, 5_000), root, [5e-324]])
    # The rounding of the last subtraction, 1/2 ulp, and that of the small correction before it.
    assert worst_error(log[log != 1], "log") < 1.0
    small = rng.normal(size=5_000) * 10.0 ** rng.integers(-20, -1, size=5_000)
    # A logarithm, the rounding of 1 + x undone to first order, and their sum.
    assert worst_error(np.concatenate([small, everywhere, rng.uniform(-0.9, 2, 5_000)]), "log1p") < 2.0
    # Above 1/2 the rounding of e^x counts e^x/(e^x − 1) < 2.6 times.
    assert worst_error(np.concatenate([np.abs(small), rng.uniform(0, 40, 5_000)]), "expm1") < 3.0


def test_logarithms_of_special_values():
    x = np.array([0.0, -0.0, 1.0, math.inf, -1.0, math.nan])
    np.testing.assert_array_equal(_core.log(x), [-math.inf, -math.inf, 0.0, math.inf, math.nan, math.nan])
    np.testing.assert_array_equal(_core.log1p(np.array([0.0, 1e-300, math.inf])), [0.0, 1e-300, math.inf])
    np.testing.assert_array_equal(_core.expm1(np.array([0.0, 1e-300, 800.1])), [0.0, 1e-300, math.inf])


def test_error_of_exp_is_below_one_ulp_over_the_whole_range():
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


def test_norms_are_correctly_rounded():
    """Unless the exact value is within 2^-40 of the middle of two doubles, which random numbers are not."""
    seed = 1104
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for spread, k in ((1, 2), (30, 2), (60, 6), (1000, 2), (3, 50)):
        rows = np.ldexp(rng.normal(size=(2_000, k)), rng.integers(-spread, spread, (2_000, k)))
        for row, value in zip(rows.tolist(), _core.norms(rows).tolist(), strict=True):
            with mpmath.workprec(2500 if spread > 100 else 300):
                exact = mpmath.sqrt(sum(mpmath.mpf(a) ** 2 for a in row))
                # Half a unit of the last place; one more rounding where it is no longer a normal number.
                unit = 0.5 if value > 2.3e-308 else 1.0
                assert abs(value - exact) <= unit * math.ulp(value)


def test_norms_of_special_values():
    x = [3.0, -3.0, 0.0, -0.0, math.inf, math.nan, math.nan, 5e-324, 1e308, 1.5e308]
    y = [4.0, -4.0, 0.0, -2.0, math.nan, -math.inf, 1.0, 0.0, 0.0, 1.5e308]
    expected = [5.0, 5.0, 0.0, 2.0, math.inf, math.inf, math.nan, 5e-324, 1e308, math.inf]
    np.testing.assert_array_equal(_core.norms(np.stack([x, y], axis=1)), expected)
    np.testing.assert_array_equal(_core.norms(np.array([[-7.0], [0.0]])), [7.0, 0.0])
    with pytest.raises(ValueError, match="expected shape"):
        _core.norms(np.empty((3, 0)))
