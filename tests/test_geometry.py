"""Distances, margins, gap and boundary against oracles that share no code with the library.

On the line the oracle enumerates the pieces of f in exact rational arithmetic; in more dimensions
it minimises over the four activation polyhedra by enumerating active constraints. Nets are drawn
with few significant bits, so that the pre-activations are exact and every error seen is one of
`twonn.geometry`.
"""

from __future__ import annotations

import functools
import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import twonn
from twonn.geometry.boundary import boundary_of
from twonn.geometry.distances import distances_of, functional_margins, gap_of

pytestmark = pytest.mark.filterwarnings("error")

EPS = float(np.finfo(np.float64).eps)
LINE_SHAPES = [(30, 2, 1), (30, 2), (30, 2)]


def problem(x, y=(-1, 1), **options):
    return twonn.Problem(x=x, y=list(y), step_size=0.01, **options)


def dyadic(rng, shape, bits):
    """Numbers in (−2, 2) with `bits` bits after the point: their products and sums are exact."""
    return rng.integers(-(2 ** (bits + 1)) + 1, 2 ** (bits + 1), shape) / 2.0**bits


def assert_close(got, exact, relative, absolute=0.0):
    """Compare a float with a Fraction, an mpf, or None for inf, in that number type."""
    if exact is None:
        assert got == math.inf
        return
    number = type(exact)
    error = abs(number(float(got)) - exact)
    assert error <= number(relative) * abs(exact) + number(absolute), (got, float(exact))


@pytest.fixture(autouse=True)
def _digits():
    with mpmath.workdps(60):
        yield


# --------------------------------------------------------------------------------------------------
# Oracle on the line: exact


class Line:
    """The network f(x) = Σ v_j max(0, w_j x + b_j) in rational numbers."""

    def __init__(self, w, b, v):
        self.w, self.b, self.v = ([Fraction(float(c)) for c in np.ravel(values)] for values in (w, b, v))

    def __call__(self, x):
        return sum(v * max(Fraction(0), w * x + b) for w, b, v in zip(self.w, self.b, self.v, strict=True))

    def kinks(self):
        return sorted({-b / w for w, b in zip(self.w, self.b, strict=True) if w != 0})

    @functools.cached_property
    def zeros(self):
        """All kinks and isolated zeros: every end of every interval of constant sign."""
        kinks = self.kinks()
        ends = [None, *kinks, None]
        found = set(kinks)
        for low, high in itertools.pairwise(ends):
            if low is None and high is None:
                inside = Fraction(0)
            elif low is None:
                inside = high - 1
            elif high is None:
                inside = low + 1
            else:
                inside = (low + high) / 2
            active = [j for j in range(2) if self.w[j] * inside + self.b[j] > 0]
            slope = sum(self.v[j] * self.w[j] for j in active)
            if slope != 0:
                zero = -sum(self.v[j] * self.b[j] for j in active) / slope
                if (low is None or low <= zero) and (high is None or zero <= high):
                    found.add(zero)
        return sorted(found)

    def distance(self, x, label):
        """To the closed set {label·f ≤ 0}; None if it is empty."""
        wrong = [c for c in [x, *self.zeros] if label * self(c) <= 0]
        return min((abs(c - x) for c in wrong), default=None)

    def boundary(self, x):
        low, high = sorted(x)
        ends = [low, *(c for c in self.zeros if low < c < high), high]
        signs = [np.sign(self((left + right) / 2)) for left, right in itertools.pairwise(ends)]
        changes = [ends[k + 1] for k in range(len(signs) - 1) if int(signs[k]) * int(signs[k + 1]) < 0]
        assert len(changes) <= 1
        return changes[0] if changes else None


def check_line(x, y, w, b, v):
    """Compare everything on nets (n, 2, 1) whose pre-activations are exact in binary64."""
    data, params = problem(x, y), twonn.Params(w=w, b=b, v=v)
    points = [Fraction(float(c)) for c in x]
    middle, half = sum(points) / 2, abs(points[0] - points[1]) / 2
    distances, gaps = twonn.distances(data, params), twonn.gap(data, params)
    boundaries = twonn.boundary(data, params)
    np.testing.assert_array_equal(twonn.robust_margin(data, params), distances.min(axis=1))
    for r in range(len(params)):
        net = Line(w[r], b[r], v[r])
        exact = [net.distance(points[i], int(y[i])) for i in range(2)]
        for i in range(2):
            # Numerator, norm and quotient are each rounded once: 3 roundings of EPS/2.
            assert_close(distances[r, i], exact[i], 2 * EPS)
        if y[0] == y[1]:
            assert math.isnan(gaps[r])
        else:
            # Absolute here, since the nearest zero may lie behind the sample, where the gap is a
            # difference of independent numbers. Small gaps are tested for relative accuracy below.
            margin = min(d for d in exact if d is not None)
            assert_close(gaps[r], half - margin, 0, 4 * EPS * float(half))
        expected = net.boundary(points)
        if expected is None:
            assert math.isnan(boundaries[r])
        else:
            # The offset from the midpoint errs like a distance; midpoint and sum are rounded.
            absolute = 2 * EPS * float(abs(expected - middle)) + EPS / 2 * float(abs(middle))
            assert_close(boundaries[r], expected, EPS / 2, absolute)
        yield exact, expected


@pytest.mark.parametrize("seed", [1, 2])
def test_line_against_rational_oracle_on_degenerate_integer_nets(seed):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    seen = {"inf": 0, "zero": 0, "boundary": 0, "none": 0}
    for _ in range(60):
        x = rng.choice(np.arange(-3.0, 4.0), 2, replace=False)
        y = rng.choice([-1, 1], 2)
        w, b, v = (rng.integers(-2, 3, shape).astype(float) for shape in LINE_SHAPES)
        for exact, boundary in check_line(x, y, w, b, v):
            seen["inf"] += None in exact
            seen["zero"] += 0 in exact
            seen["boundary"] += boundary is not None
            seen["none"] += boundary is None
    # The draw must keep visiting every kind of answer.
    assert min(seen.values()) > 50, seen


@pytest.mark.parametrize("seed", [3, 4])
def test_line_against_rational_oracle_on_generic_nets(seed):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for trial in range(40):
        origin = 1000.0 * (trial % 2)
        x = origin + rng.choice(np.arange(-(2**13), 2**13), 2, replace=False) / 2.0**12
        w, b, v = (dyadic(rng, shape, 14) for shape in LINE_SHAPES)
        assert all(True for _ in check_line(x, rng.choice([-1, 1], 2), w, b - w[..., 0] * origin, v))


# --------------------------------------------------------------------------------------------------
# Oracle in R^d: the four activation polyhedra


def polyhedra_distances(x, y, w, b, v):
    """Return min ‖δ‖ over {y f ≤ 0}, shape (n, 2), for nets (n, 2, d).

    On each polyhedron the minimiser is the shortest solution of its active constraints, held as
    equations: so try every set of constraints and keep what is feasible.
    """
    n, _, d = w.shape
    best = np.full((n, 2), np.inf)
    for i, pattern in itertools.product(range(2), itertools.product([0, 1], repeat=2)):
        z = np.einsum("njd,d->nj", w, x[i]) + b
        # Rows a·δ ≤ c: each neuron on its side, then y f ≤ 0 with that activation pattern.
        side = np.where(np.array(pattern) == 1, -1.0, 1.0)
        output = y[i] * v * pattern
        a = np.concatenate([side[:, None] * w, np.einsum("nj,njd->nd", output, w)[:, None]], 1)
        c = np.concatenate([-side * z, -np.einsum("nj,nj->n", output, z)[:, None]], 1)
        for size in range(4):
            for active in itertools.combinations(range(3), size):
                delta = np.zeros((n, d))
                if active:
                    rows = a[:, list(active)]
                    delta = np.einsum("ndk,nk->nd", np.linalg.pinv(rows), c[:, list(active)])
                # Integer nets are exactly feasible or miss by far more than this; a generic one
                # would have to miss by less than 1e-10 by chance.
                slack = 1e-10 * (1 + np.abs(c) + np.linalg.norm(delta, axis=1)[:, None])
                feasible = (np.einsum("nkd,nd->nk", a, delta) <= c + slack).all(axis=1)
                length = np.linalg.norm(delta, axis=1)
                best[:, i] = np.where(feasible, np.minimum(best[:, i], length), best[:, i])
    return best


def random_nets(rng, n, d, integer):
    """Nets of which a quarter are made rank-deficient: zero, parallel or antiparallel rows."""
    draw = (
        (lambda shape: rng.integers(-2, 3, shape).astype(float))
        if integer
        else (lambda shape: dyadic(rng, shape, 14))
    )
    w, b, v = draw((n, 2, d)), draw((n, 2)), draw((n, 2))
    for r in range(0, n, 4):
        factor = rng.choice([0.0, 0.5, 1.0, 2.0, -0.5, -1.0, -2.0])
        w[r, 1] = factor * w[r, 0]
    return w, b, v


@pytest.mark.parametrize("integer", [True, False], ids=["integer", "generic"])
@pytest.mark.parametrize(("d", "seed"), [(1, 10), (2, 11), (3, 12), (5, 13)])
def test_distances_and_gap_against_polyhedra(d, seed, integer):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    counts = np.zeros(3, dtype=int)
    for y in ([-1, 1], [1, 1], [1, -1], [-1, -1]):
        x = rng.integers(-2, 3, (2, d)).astype(float) if integer else dyadic(rng, (2, d), 14)
        if np.array_equal(x[0], x[1]):
            x[1, 0] += 1
        w, b, v = random_nets(rng, 400, d, integer)
        data, params = problem(x, y), twonn.Params(w=w, b=b, v=v)
        expected = polyhedra_distances(x, y, w, b, v)
        got = twonn.distances(data, params)
        np.testing.assert_array_equal(np.isinf(got), np.isinf(expected))
        finite = np.isfinite(expected)
        # The oracle's pseudo-inverses have condition numbers up to about 1e4 (1e-12), and it
        # accepts points that are infeasible by 1e-10, times the same condition number.
        np.testing.assert_allclose(got[finite], expected[finite], rtol=1e-6, atol=1e-9)
        counts += [np.isinf(expected).sum(), (expected == 0).sum(), (finite & (expected > 0)).sum()]
        if y[0] != y[1]:
            half = np.linalg.norm(x[0] - x[1]) / 2
            gap = twonn.gap(data, params)
            np.testing.assert_allclose(gap, half - expected.min(axis=1), rtol=1e-6, atol=1e-6)
            # And against the library's own margin, to rounding: two routes to the same number.
            np.testing.assert_allclose(gap, half - got.min(axis=1), rtol=0, atol=8 * EPS * half)
    assert counts.min() > 20, counts


# --------------------------------------------------------------------------------------------------
# Relative accuracy of small gaps


def exact_linear_gap(data, params):
    """D/2 − min_i L_i/‖g‖, D/2 and ‖g_⊥‖/‖g‖ in 60 digits, of a net with both neurons active."""
    exact = np.vectorize(lambda c: mpmath.mpf(float(c)), otypes=[object])
    x, w, b, v, y = (exact(a) for a in (data.x, params.w, params.b, params.v, data.y))
    gradient = v @ w
    norm = mpmath.sqrt(gradient @ gradient)
    half = mpmath.sqrt((x[1] - x[0]) @ (x[1] - x[0])) / 2
    along = gradient @ (x[1] - x[0]) / (2 * half)
    across = mpmath.sqrt(abs(norm**2 - along**2))
    return half - min(y * (x @ gradient + v @ b)) / norm, half, across / norm


def exact_preactivations(data, params):
    """z, shape (2, 2), of a net for which binary64 holds it."""
    z = np.empty((2, 2))
    for j, i in np.ndindex(2, 2):
        exact = Fraction(float(params.b[j])) + sum(
            Fraction(float(weight)) * Fraction(float(c))
            for weight, c in zip(params.w[j], data.x[i], strict=True)
        )
        z[j, i] = float(exact)
        assert Fraction(z[j, i]) == exact, "the net must have exact pre-activations"
    return z


def check_small_gap(data, params, smallness, origin=0.0):
    """Check the gap after a shift to `origin`; return whether plain subtraction passes too."""
    z = exact_preactivations(data, params)
    exact, half, tilt = exact_linear_gap(data, params)
    assert smallness / 30 < exact / half < 30 * smallness
    # Error bound. The numerator is a sum of two non-negative terms, one rounding each, so it keeps
    # its relative accuracy, as do norm and quotient: 4 EPS of the gap. g_⊥ (on the line exactly 0)
    # is left by subtracting nearly all of g, an error of at most 4 EPS ‖g‖ (roundings of g, of the
    # direction, of the projection), and enters as ‖g_⊥‖² D/(4‖g‖²): 2 EPS tilt D = 4 EPS tilt D/2.
    # optimal − margin errs by about EPS D/4, which is more than this for all gaps tested.
    bound = 4 * EPS * float(exact) + 4 * EPS * float(tilt * half)
    shifted = problem(data.x + origin, data.y)
    gap = gap_of(shifted, params.w, params.v, z)
    assert_close(gap, exact, 0, bound)
    assert twonn.gap(data, params) == gap
    margin = distances_of(shifted, params.w, params.v, z).min()
    return abs(twonn.optimal_margin(shifted) - margin - exact) <= bound


SMALLNESS = [1e-3, 1e-6, 1e-10, 1e-14]


@pytest.mark.parametrize("smallness", SMALLNESS)
@pytest.mark.parametrize("origin", [0.0, 1000.0], ids=["centred", "offset"])
def test_small_gap_keeps_its_digits_on_the_line(smallness, origin):
    seed = 20
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    subtraction_passes = 0
    for _ in range(100):
        # Neurons w_j (x − origin) + size (+ small) that open to opposite sides, active throughout.
        # Around 1000, binary64 has no b to match: only z still knows the gap.
        half, size = rng.integers(8, 16) / 16, float(rng.integers(2, 4))
        w = rng.integers(4, 8, 2) / 8 * np.array([1.0, -1.0]) * rng.choice([-1.0, 1.0])
        small = math.ldexp(float(rng.integers(4, 8)), round(math.log2(smallness)) - 3)
        data = problem([-half, half], np.sign(w[::-1]))
        # Output weights with all their bits, so that no rounding is avoided by luck.
        v = rng.uniform(1, 2) * np.array([1.0, -1.0])
        params = twonn.Params(w=w, b=[size + small, size], v=v)
        subtraction_passes += check_small_gap(data, params, smallness, origin)
    # The naive formula has to fail, or the bound would prove nothing; it can be right by luck.
    assert subtraction_passes < 50


@pytest.mark.parametrize("smallness", SMALLNESS)
def test_small_gap_keeps_its_digits_in_space(smallness):
    seed = 21
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    subtraction_passes = 0
    for trial in range(100):
        # Both gradients point along the samples, but for a small tilt of the first.
        along = np.array([[2.0, 3.0, 6.0], [1.0, 4.0, 8.0], [2.0, 6.0, 9.0]][trial % 3])
        across = np.array([-along[1], along[0], 0.0])
        sign = rng.choice([-1.0, 1.0])
        w = sign * np.array([[rng.integers(1, 4)], [-rng.integers(1, 4)]]) * along
        w[0] += math.ldexp(float(rng.integers(4, 8)), round(math.log2(smallness) / 2) + 1) * across
        # Every other net has no offset at the midpoint: there the tilt alone makes the gap.
        small = math.ldexp(float(rng.integers(4, 8)), round(math.log2(smallness)) + 2)
        data = problem(np.array([-along, along]) / 8, [-sign, sign])
        params = twonn.Params(w=w, b=[64.0 + small * (trial % 2), 64.0], v=[1.0, -1.0])
        subtraction_passes += check_small_gap(data, params, smallness)
    assert subtraction_passes < 50


def test_small_gap_of_large_terms_that_cancel():
    # At the midpoint f = (1 + EPS)² − (1 + 2 EPS) = EPS², which plain products round to 0.
    data = problem([-1.0, 1.0])
    v = [1 + EPS, -(1 + 2 * EPS)]
    params = twonn.Params(w=[0.25, -0.25], b=[1 + EPS, 1.0], v=v)
    exact_preactivations(data, params)
    exact, _, _ = exact_linear_gap(data, params)
    assert_close(twonn.gap(data, params), exact, 2 * EPS)
    # Here the products are exact, but 3 + (1 + EPS) is not.
    data = problem([-1.0, 1.0], [1, -1])
    w, v = np.array([[-1 + EPS / 2], [1.0]]), np.array([1.0, -1.0])
    z = np.array([[3.0, 1 + EPS], [1.0, 3.0]])
    exact = Fraction(EPS) / 2 / (2 - Fraction(EPS) / 2)
    assert_close(gap_of(data, w, v, z), exact, 2 * EPS)


def test_rounding_leaves_no_gap_or_boundary_outside_its_bounds():
    seed = 22
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for _ in range(20):
        # f(x_1) = 0 up to rounding: the gap is the optimal margin, the boundary is at x_1.
        x = rng.normal(size=2)
        w = np.exp(rng.normal(size=(50, 2))) * [1, -1] * np.sign(x[1] - x[0])
        v = np.exp(rng.normal(size=(50, 2))) * [1, -1]
        b = np.full((50, 2), 5.0)
        b[:, 1] = -((v * w).sum(axis=1) * x[1] + v[:, 0] * b[:, 0]) / v[:, 1]
        data, params = problem(x), twonn.Params(w=w[..., None], b=b, v=v)
        gap, boundary = twonn.gap(data, params), twonn.boundary(data, params)
        assert gap.min() >= 0
        assert gap.max() <= twonn.optimal_margin(data)
        assert np.nanmin(boundary) >= x.min()
        assert np.nanmax(boundary) <= x.max()


def test_parallel_neurons_far_from_their_kinks_keep_a_finite_gap():
    # f = z_0 − z_1 has no gradient, and only rounding of z gives it the sign of both labels.
    data = problem([-(2.0**-54), 2.0**-54])
    w, v = np.array([[1.0], [1.0]]), np.array([1.0, -1.0])
    z = np.array([[1.0, 1 + EPS], [1 + EPS, 1.0]])
    assert 0 <= gap_of(data, w, v, z) <= twonn.optimal_margin(data)


# --------------------------------------------------------------------------------------------------
# Defined answers, exactly


def answers(x, w, b, v, y=(-1, 1)):
    data, params = problem(x, y), twonn.Params(w=w, b=b, v=v)
    return twonn.distances(data, params).tolist(), float(twonn.gap(data, params))


def boundary(x, w, b, v, y=(-1, 1)):
    return float(twonn.boundary(problem(x, y), twonn.Params(w=w, b=b, v=v)))


def test_optimal_margin():
    assert twonn.optimal_margin(problem([-1.0, 3.0])) == 2.0
    assert twonn.optimal_margin(problem([[0.0, 0.0], [3.0, 4.0]])) == 2.5
    assert twonn.optimal_margin(problem([-1.0, 3.0], [1, 1])) == math.inf
    for unit in (1e49, 1e-49):
        got = twonn.optimal_margin(problem([[0.0, 0.0], [3 * unit, 4 * unit]]))
        # The two coordinates and the result are rounded.
        assert_close(got, Fraction(5, 2) * Fraction(unit), EPS)
    assert twonn.optimal_margin(problem([-1e50, 1e50])) == 1e50


def test_linear_network_is_the_most_robust():
    # f(x) = x: the boundary is the midpoint and nothing is lost.
    assert answers([-1.0, 1.0], w=[1.0, -1.0], b=[0.0, 0.0], v=[1.0, -1.0]) == ([1.0, 1.0], 0.0)
    assert boundary([-1.0, 1.0], w=[1.0, -1.0], b=[0.0, 0.0], v=[1.0, -1.0]) == 0.0


def test_misclassified_samples_have_distance_zero():
    assert answers([-1.0, 1.0], w=[-1.0, 1.0], b=[0.0, 0.0], v=[1.0, -1.0]) == ([0.0, 0.0], 1.0)
    # f(x_1) = 0 exactly is not classified either.
    assert answers([-1.0, 1.0], w=[1.0, -1.0], b=[-1.0, 0.0], v=[1.0, -1.0]) == ([1.0, 0.0], 1.0)


def test_dead_zone_is_not_robust_and_no_boundary():
    # f = max(0, x − 1/2) − max(0, −x − 1/4): f ≡ 0 on [−1/4, 1/2].
    net = {"w": [1.0, -1.0], "b": [-0.5, -0.25], "v": [1.0, -1.0]}
    assert answers([-1.0, 1.0], **net) == ([0.75, 0.5], 0.5)
    assert math.isnan(boundary([-1.0, 1.0], **net))
    # Both neurons serve equally labelled samples, f ≡ 0 between the kinks.
    net["v"] = [1.0, 1.0]
    assert answers([-1.0, 1.0], **net, y=(1, 1))[0] == [0.75, 0.5]


def test_boundary_away_from_the_midpoint():
    # f = 2 (x + 1) − (3 − x) = 3 x − 1 on [−1, 3].
    net = {"w": [1.0, -1.0], "b": [1.0, 3.0], "v": [2.0, -1.0]}
    # Midpoint minus offset, 1/2 − 1/6: two roundings.
    assert_close(boundary([-0.5, 1.5], **net), Fraction(1, 3), EPS)
    assert boundary([1.5, -0.5], **net) == boundary([-0.5, 1.5], **net)
    assert boundary([-0.5, 1.5], **net, y=(1, 1)) == boundary([-0.5, 1.5], **net)
    # Equal to an ulp of the *offset* far from the origin: 1000.5 + 2^-40, of which 1000 is common.
    far = {"w": [1.0, -1.0], "b": [-999.0, 1002.0 + 2.0**-39], "v": [1.0, -1.0]}
    assert boundary([1000.0, 1001.0], **far) == 1000.5 + 2.0**-40
    assert answers([1000.0, 1001.0], **far)[1] == 2.0**-40


def test_touching_zero_is_no_boundary():
    # f = |x| touches 0; nothing changes sign.
    net = {"w": [1.0, -1.0], "b": [0.0, 0.0], "v": [1.0, 1.0]}
    assert math.isnan(boundary([-1.0, 1.0], **net))
    assert answers([-1.0, 1.0], **net, y=(1, 1))[0] == [1.0, 1.0]
    # In space the same: the slab f = 0 has shrunk to a plane, though the rows are rank-deficient.
    space = {"w": [[1.0, 2.0, 2.0], [-3.0, -6.0, -6.0]], "b": [0.0, 0.0], "v": [1.0, 1.0]}
    assert answers([[3.0, 3.0, 3.0], [-3.0, -3.0, -3.0]], **space, y=(1, 1))[0] == [5.0, 5.0]
    # Also where the norm of the second row is not 3 times that of the first after rounding.
    plane = {"w": [[1.0, 5.0], [-3.0, -15.0]], "b": [0.0, 0.0], "v": [1.0, 1.0]}
    distance = answers([[1.0, 5.0], [-1.0, -5.0]], **plane, y=(1, 1))[0]
    for i in range(2):
        assert_close(distance[i], mpmath.sqrt(26), 2 * EPS)


def test_zero_at_a_sample():
    # f = 0 at x_0 and positive beyond: no sign change between the samples.
    assert math.isnan(boundary([0.0, 1.0], w=[1.0, 0.0], b=[0.0, 0.0], v=[1.0, -1.0]))
    # f = 0 at x_0, then −x, then −x + 3 (x − 1/2): a sign change strictly between.
    net = {"w": [3.0, 1.0], "b": [-1.5, 0.0], "v": [1.0, -1.0]}
    assert boundary([0.0, 1.0], **net) == 0.75
    # f = 0 at both samples, one sign between.
    net = {"w": [1.0, 2.0], "b": [0.0, -1.0], "v": [1.0, -1.0]}
    assert math.isnan(boundary([0.0, 1.0], **net))


def test_both_neurons_off_on_the_far_side_of_a_common_kink_is_no_boundary():
    # f = 2 max(0, x) − max(0, x): zero for x ≤ 0, although v_0 z_0 + v_1 z_1 = x changes sign.
    assert math.isnan(boundary([-1.0, 1.0], w=[2.0, 1.0], b=[0.0, 0.0], v=[1.0, -1.0]))


def test_no_zero_anywhere_is_an_infinite_distance():
    # Antiparallel, both positive, overlapping: f > 0 on the whole line.
    net = {"w": [1.0, -1.0], "b": [1.0, 1.0], "v": [1.0, 1.0]}
    assert answers([-1.0, 1.0], **net, y=(1, 1))[0] == [math.inf, math.inf]
    # In space, antiparallel only to rounding.
    row = np.array([0.1, 0.7, 0.3])
    space = {"w": [row, -row / 3], "b": [1.0, 1.0], "v": [1.0, 1.0]}
    assert answers([[0.0, 0, 0], [1.0, 0, 0]], **space, y=(1, 1))[0] == [math.inf, math.inf]
    # Constant networks. With opposite labels the other sample is then misclassified.
    constant = {"w": [0.0, 0.0], "b": [1.0, -1.0], "v": [1.0, 1.0]}
    assert answers([-1.0, 1.0], **constant, y=(1, 1))[0] == [math.inf, math.inf]
    assert answers([-1.0, 1.0], **constant) == ([0.0, math.inf], 1.0)
    cancelling = {"w": [1.0, 2.0], "b": [3.0, 4.0], "v": [2.0, -1.0]}
    # f = 2 (x + 3)⁺ − (2 x + 4)⁺ is 2 for x ≥ −2 and falls to 0 at −3.
    assert answers([-1.0, 1.0], **cancelling, y=(1, 1))[0] == [2.0, 4.0]


def test_zero_output_weights():
    # A neuron without output does not count, on either side.
    net = {"w": [1.0, -1.0], "b": [0.5, 0.5], "v": [1.0, 0.0]}
    assert answers([-1.0, 1.0], **net) == ([0.0, 1.5], 1.0)
    assert answers([-1.0, 1.0], **net, y=(1, 1))[0] == [0.0, 1.5]
    assert math.isnan(boundary([-1.0, 1.0], **net))
    net["v"] = [0.0, 0.0]
    assert answers([-1.0, 1.0], **net) == ([0.0, 0.0], 1.0)
    assert math.isnan(boundary([-1.0, 1.0], **net))


def test_zero_input_weights():
    # The second neuron is the constant −1: f = max(0, x) − 1.
    net = {"w": [1.0, 0.0], "b": [0.0, 1.0], "v": [1.0, -1.0]}
    assert answers([0.0, 4.0], **net) == ([1.0, 3.0], 1.0)
    assert boundary([0.0, 4.0], **net) == 1.0
    # Off for ever: it neither hurts nor helps.
    net["b"] = [0.0, -1.0]
    assert answers([0.0, 4.0], **net) == ([0.0, 4.0], 2.0)
    # Two serving neurons, one constant: f > 0 for ever if it is on, else the other one's kink.
    net = {"w": [1.0, 0.0], "b": [0.0, 1.0], "v": [1.0, 1.0]}
    assert answers([3.0, 4.0], **net, y=(1, 1))[0] == [math.inf, math.inf]
    net["b"] = [0.0, -1.0]
    assert answers([3.0, 4.0], **net, y=(1, 1))[0] == [3.0, 4.0]
    net["b"] = [0.0, 0.0]
    assert answers([3.0, 4.0], **net, y=(1, 1))[0] == [3.0, 4.0]


def test_two_serving_neurons_in_the_plane():
    def to_dead_region(w, b, x):
        return answers([x, [9.0, 9.0]], w=w, b=b, v=[1.0, 1.0], y=(1, 1))[0][0]

    quadrant = [[1.0, 0.0], [0.0, 1.0]]
    # The corner, 3-4-5, after a few roundings; then the edges, where one projection suffices.
    assert_close(to_dead_region(quadrant, [0.0, 0.0], [3.0, 4.0]), Fraction(5), 2 * EPS)
    assert to_dead_region(quadrant, [0.0, 0.0], [3.0, -4.0]) == 3.0
    assert to_dead_region(quadrant, [0.0, 0.0], [-3.0, 4.0]) == 4.0
    assert to_dead_region(quadrant, [0.0, 0.0], [-3.0, -4.0]) == 0.0
    # Parallel rows: the farther of the two half-planes contains the other.
    assert to_dead_region([[3.0, 4.0], [6.0, 8.0]], [0.0, 10.0], [3.0, 4.0]) == 6.0
    # Nearly parallel rows: the edge is far away, and the corner must not be taken for the answer.
    almost = [[1.0, 0.0], [1.0, 1e-15]]
    assert to_dead_region(almost, [0.0, 0.0], [2.0, 0.0]) == 2.0
    assert to_dead_region(almost, [0.0, 1.0], [2.0, 0.0]) == 3.0
    # Antiparallel rows: a strip {1 ≤ x ≤ 2}, seen from both sides and inside; no strip: inf.
    strip = [[1.0, 0.0], [-1.0, 0.0]]
    assert to_dead_region(strip, [-2.0, 1.0], [4.0, 5.0]) == 2.0
    assert to_dead_region(strip, [-2.0, 1.0], [-3.0, 5.0]) == 4.0
    assert to_dead_region(strip, [-2.0, 1.0], [1.5, 5.0]) == 0.0
    assert to_dead_region(strip, [-1.0, 2.0], [4.0, 5.0]) == math.inf


@pytest.mark.parametrize("angle", [1e-3, 1e-6, 1e-9, 1e-12])
def test_edges_of_narrow_and_wide_wedges(angle):
    # z_0 = y + angle·x, z_1 = ±y + angle·x. Wide wedge (+): from (0, r) the edge (0, 0) is not
    # needed, but from just beside the bisector it is. Narrow (−): the edge is at 1/angle.
    t = mpmath.mpf(angle)
    narrow = {"w": [[angle, 1.0], [angle, -1.0]], "b": [1.0, 1.0], "v": [1.0, 1.0]}
    got = answers([[0.0, 0.0], [0.0, 0.25]], **narrow, y=(1, 1))[0]
    # Apex at (−1/angle, 0). Roundings of ‖w‖ do not matter at first order; 4 for the rest.
    assert_close(got[0], 1 / t, 4 * EPS)
    assert_close(got[1], mpmath.hypot(1 / t, mpmath.mpf(0.25)), 4 * EPS)
    wide = {"w": [[angle, 1.0], [-angle, 1.0]], "b": [1.0, 1.0], "v": [1.0, 1.0]}
    got = answers([[0.0, 0.0], [angle / 4, 0.0]], **wide, y=(1, 1))[0]
    assert_close(got[0], mpmath.mpf(1), 4 * EPS)
    assert_close(got[1], mpmath.hypot(mpmath.mpf(angle / 4), 1), 4 * EPS)


def test_edge_just_beyond_the_reach_of_one_projection():
    # Rows (t, ±1), and near and far along ∓ the second axis: the half-planes meet at (far − near)/(2 t)
    # to the left and (far + near)/2 up. Here far − near is k EPS, a few units of the last place.
    t = 2.0**-40
    for near, k in itertools.product([1.0, 1 + EPS], [1, 2, 3]):
        far = near + k * EPS
        net = {"w": [[t, 1.0], [t, -1.0]], "b": [far, -near], "v": [1.0, 1.0]}
        got = answers([[0.0, 0.0], [9.0, 9.0]], **net, y=(1, 1))[0][0]
        edge = mpmath.hypot((far - near) / (2 * t), near + k * EPS / 2)
        assert edge > far + 2.0**-28
        assert_close(got, edge, 4 * EPS)


def test_margins_are_label_times_output():
    data = problem([-1.0, 2.0], [-1, 1])
    v, z = np.array([2.0, -1.0]), np.array([[-3.0, 5.0], [4.0, 1.0]])
    assert functional_margins(data, v, z).tolist() == [4.0, 9.0]
    # The sign of a margin is right even where the plain sum of products is 0 or worse.
    third = 1 / 3
    z = np.array([[third, third], [3.0, 1 + EPS]])
    v = np.array([3.0, -third])
    assert functional_margins(data, v, z)[0] == 0.0
    assert (
        functional_margins(data, np.array([1 + EPS, -(1 + 2 * EPS)]), np.array([[1 + EPS, 1.0], [1.0, 1.0]]))[
            0
        ]
        == -EPS * EPS
    )


def test_equal_labels_have_no_gap():
    distance, gap = answers([-1.0, 1.0], [1.0, -1.0], [0.0, 0.0], [1.0, 1.0], y=(-1, -1))
    assert distance == [0.0, 0.0]
    assert math.isnan(gap)


# --------------------------------------------------------------------------------------------------
# Scales, batches, non-finite numbers, refusals


@pytest.mark.parametrize("power", [-490, 0, 490])
@pytest.mark.parametrize("powers", list(itertools.product([-490, 0, 490], repeat=2)))
def test_results_do_not_depend_on_the_scales_of_neurons_and_output(powers, power):
    seed = 30
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for d in (1, 3):
        w, b, v = random_nets(rng, 200, d, integer=False)
        data = problem(dyadic(rng, (2, d), 14))
        z = np.einsum("njd,id->nji", w, data.x) + b[..., None]
        neuron, output = np.ldexp(1.0, powers), np.ldexp(1.0, power)
        scaled = w * neuron[:, None], v / neuron * output, z * neuron[:, None]
        functions = [distances_of, gap_of]
        functions += [boundary_of] if d == 1 else []
        for function in functions:
            # Powers of two change no rounding: equal unless something over- or underflows.
            np.testing.assert_array_equal(function(data, *scaled), function(data, w, v, z))


@pytest.mark.parametrize("unit", [2.0**-150, 2.0**150])
def test_distances_scale_with_the_points(unit):
    seed = 31
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for d in (1, 3):
        w, b, v = random_nets(rng, 200, d, integer=False)
        x = dyadic(rng, (2, d), 14)
        small, large = twonn.Params(w=w, b=b, v=v), twonn.Params(w=w, b=b * unit, v=v)
        for function in (twonn.distances, twonn.gap):
            np.testing.assert_array_equal(
                function(problem(x * unit), large), function(problem(x), small) * unit
            )


@pytest.mark.parametrize("exponents", list(itertools.product([-49, 49], repeat=3)))
def test_largest_and_smallest_inputs(exponents):
    w, v, x = (10.0**e for e in exponents)
    data = problem([[-3 * x / 8, -4 * x / 8], [3 * x / 8, 4 * x / 8]])
    params = twonn.Params(w=[[3 * w / 8, 4 * w / 8], [-3 * w / 8, -4 * w / 8]], b=[0.0, 0.0], v=[v, -v])
    # f = v w·x: boundary through the midpoint at right angles. 4 roundings.
    np.testing.assert_allclose(twonn.distances(data, params), 5 * x / 8, rtol=2 * EPS, atol=0)
    # The tilt of w is its rounding, so the gap is below EPS² of the margin.
    assert twonn.gap(data, params) <= 4 * EPS**2 * x


@pytest.mark.parametrize("d", [1, 3, 17, 130])
def test_batch_equals_one_by_one(d):
    seed = 40 + d
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 24
    w, b, v = rng.normal(size=(n, 2, d)), rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
    data, params = problem(rng.normal(size=(2, d))), twonn.Params(w=w, b=b, v=v)
    functions = [twonn.distances, twonn.gap, twonn.robust_margin]
    functions += [twonn.boundary] if d == 1 else []
    for function in functions:
        batch = function(data, params)
        for r in range(n):
            np.testing.assert_array_equal(function(data, params[r]), batch[r])
    # Any leading axes, and any memory layout.
    z = np.einsum("njd,id->nji", w, data.x) + b[..., None]
    flat = distances_of(data, w, v, z), gap_of(data, w, v, z)
    assert flat[0].shape == (n, 2)
    assert flat[1].shape == (n,)
    folded = [a.reshape(3, 8, *a.shape[1:]) for a in (w, v, z)]
    fortran = [np.asfortranarray(a) for a in (w, v, z)]
    for k, function in enumerate((distances_of, gap_of)):
        np.testing.assert_array_equal(function(data, *folded), flat[k].reshape(3, 8, *flat[k].shape[1:]))
        np.testing.assert_array_equal(function(data, *fortran), flat[k])
    margins = functional_margins(data, v, z)
    np.testing.assert_array_equal(functional_margins(data, v[7], z[7]), margins[7])


def test_shapes_of_one_run_many_runs_and_none():
    data = problem([-1.0, 1.0])
    one = twonn.Params(w=[1.0, -1.0])
    assert twonn.distances(data, one).shape == (2,)
    for function in (twonn.gap, twonn.robust_margin, twonn.boundary):
        assert isinstance(function(data, one), float)
    for runs in (0, 1, 3):
        many = twonn.Params(w=np.ones((runs, 2, 1)))
        assert twonn.distances(data, many).shape == (runs, 2)
        for function in (twonn.gap, twonn.robust_margin, twonn.boundary):
            assert function(data, many).shape == (runs,)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["w", "v", "z"])
@pytest.mark.parametrize("d", [1, 2])
def test_non_finite_numbers_give_nan_only_where_they_are(d, which, bad):
    rng = np.random.default_rng(50)
    arrays = {
        "w": rng.normal(size=(8, 2, d)),
        "v": rng.normal(size=(8, 2)),
        "z": rng.normal(size=(8, 2, 2)),
    }
    # The net to be broken has a boundary, so that nan is never the answer already.
    arrays["w"][3], arrays["v"][3] = [[1.0] * d, [-1.0] * d], [1.0, -1.0]
    arrays["z"][3] = [[0.5, 2.5], [2.5, 0.5]]
    data = problem(rng.normal(size=(2, d)))
    functions = [distances_of, gap_of]
    functions += [boundary_of] if d == 1 else []
    for position in np.ndindex(*arrays[which].shape[1:]):
        broken = {name: array.copy() for name, array in arrays.items()}
        broken[which][(3, *position)] = bad
        for function in functions:
            expected = function(data, **arrays)
            assert np.isfinite(expected[3]).all()
            expected[3] = math.nan
            np.testing.assert_array_equal(function(data, **broken), expected)
        if which != "w":
            margins = functional_margins(data, broken["v"], broken["z"])
            assert np.isnan(margins[3]).all()
            assert np.isfinite(np.delete(margins, 3, axis=0)).all()


def test_boundary_is_refused_off_the_line():
    data = problem([[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match=r"problem: got dimension 2; expected dimension 1"):
        twonn.boundary(data, twonn.Params(w=np.eye(2)))


@pytest.mark.parametrize("function", [twonn.distances, twonn.gap, twonn.robust_margin, twonn.boundary])
def test_incompatible_arguments_are_refused(function):
    data = problem([-1.0, 1.0])
    with pytest.raises(ValueError, match="dimension 2; expected dimension 1"):
        function(data, twonn.Params(w=np.eye(2)))
    with pytest.raises(TypeError, match=r"a twonn\.Params"):
        function(data, [1.0, -1.0])
    with pytest.raises(TypeError, match=r"a twonn\.Problem"):
        function([-1.0, 1.0], twonn.Params(w=[1.0, -1.0]))
    with pytest.raises(ValueError, match="bias=False"):
        function(problem([-1.0, 1.0], bias=False), twonn.Params(w=[1.0, -1.0], b=[1.0, 0.0]))
