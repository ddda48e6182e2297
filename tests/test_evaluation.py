"""The network at any points, against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from cases import random_problem

import twonn


def _exactly(params, point):
    """Return f at a point, as a fraction, and the size of its terms."""
    terms = []
    for w, b, v in zip(params.w.tolist(), params.b.tolist(), params.v.tolist(), strict=True):
        z = sum((Fraction(a) * Fraction(c) for a, c in zip(w, point, strict=True)), Fraction(b))
        terms.append(Fraction(v) * max(z, Fraction(0)))
    return sum(terms), sum(map(abs, terms))


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_values_are_those_of_exact_arithmetic(d):
    rng = np.random.default_rng(d)
    for _ in range(50):
        params = twonn.Params(w=rng.normal(size=(2, d)), b=rng.normal(size=2), v=rng.normal(size=2))
        points = rng.normal(size=(20, d)) * 10 ** rng.uniform(-3, 3)
        for point, value in zip(points, params(points), strict=True):
            exact, size = _exactly(params, point.tolist())
            # Pre-activations are rounded once, 2^-53 of each term, and their weighted sum once more. What
            # twice the precision loses is below 2^-100 of the terms.
            assert abs(Fraction(float(value)) - exact) <= Fraction(2**-53) * (size + abs(exact)) * Fraction(
                1.01
            )


def test_terms_that_cancel_lose_no_digits():
    params = twonn.Params(w=[[3.0, 1e16, -1e16], [0.0, 0.0, 0.0]], b=[0.5, 0.0])
    assert params([1.0, 1.0, 1.0]) == 3.5
    alike = twonn.Params(w=[1 + 2**-52, 1.0], v=[1.0, -1.0])
    assert alike(1.0) == 2**-52


def test_at_the_points_of_a_problem_it_is_the_margin_to_the_last_bit():
    for seed in range(60):
        problem, params = random_problem(seed)
        margins = problem.y * params(problem.x)
        assert np.array_equal(margins, twonn.run(problem, params, steps=0).margins[0])


def test_every_shape_of_points_gives_its_shape_of_values():
    line, plane = twonn.Params(w=[1.0, -2.0]), twonn.Params(w=[[1.0, 2.0], [3.0, 4.0]], b=[0.5, -0.5])
    assert line(2.0) == 2.0 and line(-2) == -4.0 and np.ndim(line(2.0)) == 0
    for shape in [(0,), (1,), (5,), (5, 1), (3, 4), (3, 4, 1), (0, 1), (2, 0)]:
        x = np.arange(np.prod(shape), dtype=float).reshape(shape) - 1
        expected = x[..., 0] if x.ndim > 1 and shape[-1] == 1 else x
        values = line(x)
        assert values.shape == expected.shape, shape
        assert np.array_equal(values, np.where(expected > 0, expected, 2 * expected)), shape
    for shape in [(2,), (1, 2), (5, 2), (3, 4, 2), (0, 2)]:
        x = np.random.default_rng(0).normal(size=shape)
        values = plane(x)
        assert np.shape(values) == shape[:-1]
        for index in np.ndindex(shape[:-1]):
            assert values[index] == plane(x[index])
    assert line([0, 1]).tolist() == [0.0, 1.0]


def test_the_run_axis_comes_first_and_each_run_has_its_own_bits():
    many = twonn.initializers.sample("torch_default", 7, 3, d=3)
    x = np.random.default_rng(1).normal(size=(4, 5, 3))
    values = many(x)
    assert values.shape == (7, 4, 5)
    assert all(np.array_equal(values[r], one(x)) for r, one in enumerate(many))
    assert many(x[0, 0]).shape == (7,)
    line = twonn.initializers.sample("he_normal", 3, 0)
    assert line(0.5).shape == (3,) and line([[0.5], [1.0]]).shape == (3, 2)


def test_what_a_run_has_reached_can_be_evaluated():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    traj = twonn.run(problem, twonn.Params(w=[0.43, -1.47]), steps=10**6)
    # Rounding of the final parameters only.
    assert np.allclose(problem.y * traj.final(problem.x), traj.margins[-1], rtol=1e-14, atol=0)
    assert traj.final(traj.boundary[-1]) == pytest.approx(0, abs=1e-14)


def test_huge_networks_are_evaluated_as_far_as_binary64_goes():
    huge = twonn.Params.of_finite_state(np.array([[1e300], [0.0]]), np.zeros(2), np.array([1.0, -1.0]))
    assert huge(1e5) == 1e300 * 1e5 and huge([1e10]).tolist() == [np.inf]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([np.nan], "x: got [nan]; expected finite real numbers. Remove the NaN or infinite entries."),
        ([[np.inf, 0.0]], "expected finite real numbers. Remove"),
        (3.0, "x: got shape (); expected shape (..., 2), as the weights are those of points of dimension 2."),
        ([1.0, 2.0, 3.0], "x: got shape (3,); expected shape (..., 2)"),
        (np.zeros((2, 1)), "x: got shape (2, 1); expected shape (..., 2)"),
        ("far", "x: got 'far'"),
        ([True, False], "x: got [True, False]"),
        (None, "x: got None"),
        ([[1.0, 2.0], [3.0]], "Give rows of equal length"),
        ([2**53 + 1, 0], "numbers that binary64 holds exactly"),
    ],
)
def test_what_is_not_points_is_refused(x, message):
    plane = twonn.Params(w=[[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises((ValueError, TypeError)) as error:
        plane(x)
    assert message in str(error.value)
