"""The named starts: what they draw, from which stream, in which order, and what they refuse.

Every test is deterministic: seeds are fixed and part of each test's name or code, so that a
statistical test that passes once passes always. Its false-alarm probability, about ALARM, is the
chance that a correct sampler with another stream would have been called wrong.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from twonn.initializers import NAMES, sample
from twonn.problem.params import Params, check_compatible
from twonn.problem.problem import Problem

pytestmark = pytest.mark.filterwarnings("error")

ALARM = 1e-4
RUNS = 4000
SEED = 20260301
EPS = float(np.finfo(np.float64).eps)


def n(variance):
    """N(0, variance), named so that the formulas below read as in the literature."""
    return stats.norm(scale=math.sqrt(variance))


def u(bound):
    """U(−bound, bound)."""
    return stats.uniform(-bound, 2 * bound)


#: For a dimension d: law of w (None: tested by itself), law of b (None: zero), magnitude of ±v
#: (None: (+1, −1), or tested by itself).
LAWS = {
    "he_normal": lambda d: (n(2 / d), None, None),
    "he_normal_bias": lambda d: (n(2 / d), n(2 / d), None),
    "he_uniform": lambda d: (u(math.sqrt(6 / d)), None, None),
    "glorot_normal": lambda d: (n(2 / (d + 2)), None, None),
    "glorot_uniform": lambda d: (u(math.sqrt(6 / (d + 2))), None, None),
    "lecun_normal": lambda d: (n(1 / d), None, None),
    "torch_default": lambda d: (u(1 / math.sqrt(d)), u(1 / math.sqrt(d)), None),
    "small": lambda d: (n(0.25), n(0.25), None),
    "symmetric": lambda d: (n(0.01), n(0.01), None),
    "binary": lambda d: (None, n(0.01), None),
    "ntk": lambda d: (n(1), None, 1 / math.sqrt(2)),
    "mean_field": lambda d: (n(1), None, 1 / 2),
    "balanced": lambda d: (n(1 / 2), n(1 / 2), None),
    "orthogonal": lambda d: (None, None, None),
}
DRAWN_BIAS = [name for name in LAWS if LAWS[name](2)[1] is not None]
SIGNED_OUTPUT = ("ntk", "mean_field", "balanced")
UNIFORM = ("he_uniform", "glorot_uniform", "torch_default")

each_name = pytest.mark.parametrize("name", NAMES)
each_dimension = pytest.mark.parametrize("d", [1, 2, 5])


def start(name, runs=RUNS, seed=SEED, d=2, **options):
    print(f"{name}: {runs} runs, seed {seed}, d = {d}")
    return sample(name, runs, seed, d, **options)


def assert_law(draws, law):
    """Kolmogorov–Smirnov against the whole law, so that scale, centre and shape are all tested."""
    p = stats.kstest(draws.ravel(), law.cdf).pvalue
    assert p > ALARM, p


def assert_fair_signs(values):
    count = int(np.count_nonzero(values > 0))
    p = stats.binomtest(count, values.size).pvalue
    assert p > ALARM, (count, values.size)


def assert_independent_signs(columns):
    """Every pair of columns agrees as often as not."""
    for i in range(columns.shape[1]):
        for j in range(i):
            assert_fair_signs(columns[:, i] * columns[:, j])


# --------------------------------------------------------------------------------------------------
# The stream


def test_names_are_the_fourteen_schemes():
    assert set(NAMES) == set(LAWS)
    assert len(NAMES) == 14


def test_the_papers_first_draw():
    first = sample("he_normal", 1, 42)
    assert first.w[0, 0, 0] == 0.4309350268754409
    assert first.w[0, 1, 0] == -1.4707596276977706
    assert first.w.tolist() == (np.random.default_rng(42).normal(0, math.sqrt(2), (1, 2, 1))).tolist()


def test_the_papers_success_count():
    w = sample("he_normal", 10_000, 42).w[:, :, 0]
    assert np.count_nonzero((w[:, 0] > 0) & (w[:, 1] < 0)) == 2369


@each_name
def test_shapes_and_dtype(name):
    params = start(name, runs=3, d=4)
    assert isinstance(params, Params)
    assert (params.w.shape, params.b.shape, params.v.shape) == ((3, 2, 4), (3, 2), (3, 2))
    assert params.w.dtype == params.b.dtype == params.v.dtype == np.float64
    assert params.runs == 3
    assert params.dimension == 4


@each_name
def test_same_seed_same_bits_and_another_seed_another_start(name):
    assert start(name, runs=50) == start(name, runs=50)
    assert start(name, runs=50) == start(name, runs=np.int32(50), seed=np.uint64(SEED))
    assert start(name, runs=50) != start(name, runs=50, seed=SEED + 1)


@each_dimension
def test_draws_are_all_w_then_all_b_then_all_v_run_major(d):
    """The whole stream of one scheme that draws everything, rebuilt one number at a time."""
    runs = 7
    params = start("balanced", runs, d=d)
    rng = np.random.default_rng(SEED)
    std = math.sqrt(1 / 2)
    for r in range(runs):
        for j in range(2):
            for k in range(d):
                assert params.w[r, j, k] == std * rng.standard_normal()
    for r in range(runs):
        for j in range(2):
            assert params.b[r, j] == std * rng.standard_normal()
    assert np.array_equal(np.sign(params.v), rng.choice([-1, 1], (runs, 2)))


@each_name
def test_w_of_the_first_runs_does_not_depend_on_how_many_follow(name):
    few, many = start(name, runs=10), start(name, runs=25)
    assert np.array_equal(few.w, many.w[:10])
    # 20 draws that agree by chance: below 1e-6 even for the signs, and this stream is fixed.
    assert np.array_equal(few.b, many.b[:10]) == (name not in DRAWN_BIAS)
    assert np.array_equal(few.v, many.v[:10]) == (name not in SIGNED_OUTPUT)


@each_name
def test_without_biases(name):
    free, params = start(name, runs=20), start(name, runs=20, bias=False)
    assert np.array_equal(params.w, free.w)
    assert not params.b.any()
    check_compatible(Problem(x=np.eye(2), y=[-1, 1], step_size=0.01, bias=False), params)


def test_without_biases_the_signs_follow_the_weights():
    params = start("balanced", runs=20, bias=False)
    rng = np.random.default_rng(SEED)
    rng.standard_normal(params.w.size)
    assert np.array_equal(np.sign(params.v), rng.choice([-1, 1], (20, 2)))


# --------------------------------------------------------------------------------------------------
# The laws


@pytest.mark.parametrize(
    ("name", "d"),
    [(name, d) for name in NAMES for d in (1, 2, 5) if (name, d) != ("orthogonal", 1)],
)
def test_laws(name, d):
    w_law, b_law, _ = LAWS[name](d)
    params = start(name, d=d)
    if w_law is not None:
        assert_law(params.w, w_law)
        for j in range(2):  # a law that is right only on average over the neurons would pass above
            assert_law(params.w[:, j], w_law)
    if b_law is None:
        assert not params.b.any()
    else:
        assert_law(params.b, b_law)


@each_dimension
@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_draws_fill_their_interval(name, d):
    bound = LAWS[name](d)[0].support()[1]
    w = start(name, d=d).w
    assert np.abs(w).max() <= bound
    # The largest of 8000 or more |w| stays below bound·(1 − δ) with probability (1 − δ)^8000.
    assert np.abs(w).max() > bound * (1 + math.log(ALARM) / w.size)


@pytest.mark.parametrize("name", ["he_normal_bias", "torch_default", "balanced"])
def test_entries_are_uncorrelated(name):
    params = start(name)
    columns = np.concatenate([params.w.reshape(RUNS, -1), params.b], axis=1)
    correlation = np.corrcoef(columns, rowvar=False)
    off = correlation[np.triu_indices_from(correlation, 1)]
    # Each is asymptotically N(0, 1/RUNS); the two-sided alarm is shared among the pairs.
    bound = stats.norm.isf(ALARM / 2 / off.size) / math.sqrt(RUNS)
    assert np.abs(off).max() < bound


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SIGNED_OUTPUT])
def test_output_weights_are_opposite_unless_drawn(name):
    assert (start(name).v == (1.0, -1.0)).all()


@pytest.mark.parametrize("name", SIGNED_OUTPUT)
def test_output_signs_are_fair_and_independent(name):
    signs = np.sign(start(name).v)
    assert_fair_signs(signs)
    assert_independent_signs(signs)


@pytest.mark.parametrize("name", ["ntk", "mean_field"])
@each_dimension
def test_output_magnitudes(name, d):
    magnitude = LAWS[name](d)[2]
    # One unit in the last place: √½ and 1/√2 round differently.
    assert np.abs(np.abs(start(name, d=d).v) - magnitude).max() <= EPS * magnitude


def test_binary_weights_are_fair_independent_signs():
    w = start("binary", d=2).w.reshape(RUNS, -1)
    assert (np.abs(w) == 1).all()
    for column in w.T:
        assert_fair_signs(column)
    assert_independent_signs(w)


@each_dimension
@pytest.mark.parametrize("bias", [True, False])
def test_balanced_layers(d, bias):
    """v_j² − ‖(w_j, b_j)‖², conserved by gradient flow, starts at zero, measured exactly."""
    params = start("balanced", runs=500, d=d, bias=bias)
    for run in params:
        for w, b, v in zip(run.w.tolist(), run.b.tolist(), run.v.tolist(), strict=True):
            square = sum(Fraction(x) ** 2 for x in (*w, b))
            # Rounding units of EPS/2: 1 for the squares and at most d for their sum, 2 for the
            # rounding of the root, squared; 1 more covers the products of these.
            assert abs(Fraction(v) ** 2 / square - 1) <= (d + 4) * Fraction(EPS) / 2


@pytest.mark.parametrize("d", [2, 3, 10])
def test_orthogonal_rows_are_orthonormal(d):
    w = start("orthogonal", d=d).w
    gram = w @ np.swapaxes(w, -1, -2)
    # Two Householder reflections of length d: a few roundings each, far from growing with d here.
    assert np.abs(gram - np.eye(2)).max() <= 16 * EPS


@pytest.mark.parametrize("d", [2, 3, 10])
def test_orthogonal_rows_are_haar_distributed(d):
    """Any fixed functional of each row has the law of a uniform unit vector's first component."""
    w = start("orthogonal", d=d).w
    directions = np.eye(d)[0], np.full(d, 1 / math.sqrt(d))
    squared = stats.beta(1 / 2, (d - 1) / 2)
    for j in range(2):
        for direction in directions:
            component = w[:, j] @ direction
            assert_law(component**2, squared)
            assert_fair_signs(component)  # fails without the sign fix of QR


def test_orthogonal_second_row_falls_on_both_sides_of_the_first():
    """In the plane the second row is the first turned by +90° or −90°, each with probability ½."""
    assert_fair_signs(np.linalg.det(start("orthogonal", d=2).w))


def test_small_takes_a_scale():
    unit, double = start("small", scale=1), start("small", scale=2.0)
    assert_law(unit.w, stats.norm())
    assert_law(unit.b, stats.norm())
    assert np.array_equal(double.w, 2 * unit.w)
    assert np.array_equal(double.b, 2 * unit.b)
    assert start("small") == start("small", scale=0.5)


# --------------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"name": "he_norml"}, ValueError, ("name: got 'he_norml'", "Did you mean 'he_normal'?")),
        ({"name": "Xavier"}, ValueError, ("name: got 'Xavier'", "'glorot_normal'")),
        ({"name": 3}, TypeError, ("name: got 3", "expected one of", "as a string")),
        ({"runs": 0}, ValueError, ("runs: got 0", ">= 1", "runs=1000")),
        ({"runs": 2.0}, TypeError, ("runs: got 2.0", "whole number")),
        ({"runs": True}, TypeError, ("runs: got True", "whole number")),
        ({"seed": None}, TypeError, ("seed: got None", "whole number >= 0", "seed=42")),
        ({"seed": -1}, ValueError, ("seed: got -1", ">= 0")),
        ({"seed": 1.0}, TypeError, ("seed: got 1.0", "whole number")),
        ({"seed": [1, 2]}, TypeError, ("seed: got [1, 2]", "whole number")),
        ({"d": 0}, ValueError, ("d: got 0", ">= 1", "d=1")),
        ({"d": "2"}, TypeError, ("d: got '2'", "whole number")),
        ({"bias": 1}, TypeError, ("bias: got 1", "True or False")),
        ({"scale": 0.5}, ValueError, ("scale: got 0.5", "'he_normal' has no scale", "'small'")),
        ({"name": "small", "scale": 0}, ValueError, ("scale: got 0;", "> 0", "scale=0.5")),
        ({"name": "small", "scale": math.nan}, ValueError, ("scale: got nan", "finite")),
        ({"name": "small", "scale": "big"}, TypeError, ("scale: got 'big'", "finite number")),
        (
            {"name": "orthogonal"},
            ValueError,
            ("d: got 1", "d >= 2 for 'orthogonal'", "cannot be orthogonal", "'he_normal'"),
        ),
    ],
)
def test_refusals(arguments, error, parts):
    with pytest.raises(error, match=re.escape(parts[0])) as refused:
        sample(**({"name": "he_normal", "runs": 2, "seed": 42, "d": 1} | arguments))
    assert all(part in str(refused.value) for part in parts), str(refused.value)


def test_bias_and_scale_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        sample("small", 2, 42, 1, True)


@pytest.mark.parametrize(("runs", "d"), [(10**13, 1), (10**400, 1), (1, 10**10)])
def test_what_would_not_fit_into_memory_is_refused(runs, d):
    with pytest.raises(ValueError, match=r"runs: got .* at most 1,000,000,000"):
        sample("he_normal", runs, seed=0, d=d)
