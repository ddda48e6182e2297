"""Gradient descent in binary32 against NumPy's binary32 numbers, one operation at a time."""

import math

import numpy as np
import pytest

from twonn import _core, initializers

ONE = np.float32


def exponential(x: np.float32) -> np.float32:
    """The binary64 exponential rounded to binary32.

    The two exponentials differ by a unit in the last place of binary64 at most, which is seen after rounding
    to binary32 once in 2^28 times: never in these runs, or a test fails.
    """
    return ONE(math.exp(float(x)))


def textbook(x, y, w, b, v, step_size, schedule):
    """States at scheduled steps, and the step after which nothing changes: forward, backward, update."""
    x, y, w, b, v = ([ONE(value) for value in row] for row in (x, y, w, b, v))
    rate, half, zero = ONE(step_size), ONE(0.5), ONE(0)
    found, frozen = [], -1
    for t in range(schedule[-1] + 1):
        if t in schedule:
            found.append([*w, *b])
        z = [[w[j] * x[i] + b[j] for i in (0, 1)] for j in (0, 1)]
        hidden = [[max(entry, zero) for entry in row] for row in z]
        f = [v[0] * hidden[0][i] + v[1] * hidden[1][i] for i in (0, 1)]
        loss_slope = [-(half * exponential(-(y[i] * f[i])) * y[i]) for i in (0, 1)]
        back = [[loss_slope[i] * v[j] if z[j][i] > 0 else zero for i in (0, 1)] for j in (0, 1)]
        new_w = [w[j] - rate * (back[j][0] * x[0] + back[j][1] * x[1]) for j in (0, 1)]
        new_b = [b[j] - rate * (back[j][0] + back[j][1]) for j in (0, 1)]
        if (new_w, new_b) == (w, b) and frozen < 0 and t < schedule[-1]:
            frozen = t
        w, b = new_w, new_b
    return np.array(found, dtype=ONE), frozen


def kernel(x, y, w, b, v, step_size, schedule):
    arrays = [np.array(row, dtype=ONE) for row in (x, y, w, b, v)]
    return _core.descend_in_float32(*arrays, step_size, np.array(schedule, dtype=np.int64))


PAPER = initializers.sample("he_normal", 1, 42)[0]


def both(*question):
    states, frozen = kernel(*question)
    expected, expected_frozen = textbook(*question)
    assert states.dtype == ONE
    assert states.tobytes() == expected.tobytes()
    assert frozen == expected_frozen
    return states, frozen


def test_the_papers_first_run_to_the_last_bit():
    start = PAPER.w[:, 0], PAPER.b, PAPER.v
    _, frozen = both([-1, 1], [-1, 1], *start, 0.01, [0, 1, 2, 17, 1000, 20_000])
    assert frozen == -1


def test_random_questions_to_the_last_bit():
    seed = 20261127
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        x, w, b, v = rng.normal(size=(4, 2))
        y = rng.choice([[-1, 1], [1, -1], [1, 1]])
        both(x, y, w, b, v, 0.1, [0, 3, 400])


def test_a_large_margin_freezes_at_once():
    # The slope e^-40/2 times the step is far below half a unit in the last place of 20.
    states, frozen = both([-1, 1], [-1, 1], [20, -20], [20, 20], [1, -1], 0.01, [0, 5, 9])
    assert frozen == 0
    assert (states == states[0]).all()


def test_it_freezes_when_the_increments_no_longer_move_it():
    # Half a unit in the last place of 1024 is 2^-14, which the increments 8/2 e^-m fall below at m = 11.
    start = [1036, -1036], [-1026, -1026]
    _, frozen = both([-1, 1], [-1, 1], *start, [1, -1], 8.0, [0, 10_000])
    assert 1000 < frozen < 10_000


def test_no_unit_that_is_active_moves_nothing():
    _, frozen = both([-1, 1], [-1, 1], [0, 0], [-1, -1], [1, -1], 0.01, [0, 3])
    assert frozen == 0


def test_an_overflow_shows():
    states, _ = kernel([-1, 1], [1, -1], [30, -30], [0, 0], [1, -1], 1e30, [0, 50])
    assert not np.isfinite(states[-1]).all()


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected shape \(2,\)"):
        kernel([-1, 1, 2], [-1, 1], [1, 1], [0, 0], [1, -1], 0.01, [0, 1])
