"""Closed forms against runs, and against an independent solution in mpmath in w and b themselves."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from cases import random_problem

import twonn
from twonn.analysis.laws import STORED
from twonn.analysis.limits import limits_and_constants
from twonn.problem import gram

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
SLIDING = {"step_size": 0.05, "reduction": "sum", "y": [1, -1]}
START = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])


# --------------------------------------------------------------------------------------------------
# The oracle: parameters at ln t from linear equations in all of them at once, and the gap by its definition


def affine(problem, params, on, sliding, log_t):
    """Parameters at ln t, in mpmath: the fixed-output network of the final region (`on`, `sliding`).

    Unknowns are the sums A_0, A_1 and one C_ji for each pair that slides; equations are
    y_i f(x_i) = ln(h t/u_i) and z_ji = 0. With every right-hand side 1 or 0 they give u.
    """
    x = [[mpmath.mpf(a) for a in point] + [mpmath.mpf(problem.bias)] for point in problem.x.tolist()]
    y = problem.y.tolist()
    v = [mpmath.mpf(a) for a in params.v.tolist()]
    start = [
        [mpmath.mpf(a) for a in row] + [mpmath.mpf(b)]
        for row, b in zip(params.w.tolist(), params.b.tolist(), strict=True)
    ]
    axes, unknowns = range(len(x[0])), 2 + len(sliding)

    def moved(j, n):  # how unknown n moves (w_j, b_j)
        if n < 2:
            on_point = (j, n) in on
            return [y[n] * v[j] * x[n][a] * on_point for a in axes]
        at, i = sliding[n - 2]
        return [x[i][a] * (at == j) for a in axes]

    def dot(p, q):
        return mpmath.fdot(p, q)

    matrix = mpmath.zeros(unknowns, unknowns)
    constant = mpmath.zeros(unknowns, 1)
    for n in range(unknowns):
        for i in (0, 1):
            matrix[i, n] = sum(y[i] * v[j] * dot(moved(j, n), x[i]) for j in (0, 1) if (j, i) in on)
        for row, (j, i) in enumerate(sliding, start=2):
            matrix[row, n] = dot(moved(j, n), x[i])
    for i in (0, 1):
        constant[i] = sum(y[i] * v[j] * dot(start[j], x[i]) for j in (0, 1) if (j, i) in on)
    for row, (j, i) in enumerate(sliding, start=2):
        constant[row] = dot(start[j], x[i])
    u = mpmath.lu_solve(matrix, mpmath.matrix([1, 1] + [0] * len(sliding)))
    log_ht = mpmath.mpf(log_t) + mpmath.log(mpmath.mpf(problem.point_step))
    right = [log_ht - mpmath.log(u[0]), log_ht - mpmath.log(u[1])] + [0] * len(sliding)
    sums = mpmath.lu_solve(matrix, mpmath.matrix(right) - constant)
    lifted = [
        [start[j][a] + sum(sums[n] * moved(j, n)[a] for n in range(unknowns)) for a in axes] for j in (0, 1)
    ]
    return [row[:-1] for row in lifted], [row[-1] for row in lifted], v


def gap_of(problem, w, b, v):
    """The gap by half-spaces (labels opposite, each neuron serving one point)."""
    x = [[mpmath.mpf(a) for a in point] for point in problem.x.tolist()]

    def distance(normal, offset, point):
        return (mpmath.fdot(normal, point) + offset) / mpmath.sqrt(mpmath.fdot(normal, normal))

    distances = []
    for i in (0, 1):
        p = [int(problem.y[i]) * vj for vj in v]
        j = 0 if p[0] > 0 else 1
        joint = [p[0] * a + p[1] * c for a, c in zip(w[0], w[1], strict=True)]
        distances.append(min(distance(w[j], b[j], x[i]), distance(joint, p[0] * b[0] + p[1] * b[1], x[i])))
    apart = [a - c for a, c in zip(x[0], x[1], strict=True)]
    return mpmath.sqrt(mpmath.fdot(apart, apart)) / 2 - min(distances)


def oracle_law(problem, params, on, sliding):
    """Limit, constant and shift of gap = limit + C/(ln t + κ), from the gap at three huge ln t."""
    with mpmath.workdps(150):
        # gap = g0 + g1 e + g2 e² + …, e = 1/ln t, from e = 1e-40, 2e-40, 4e-40.
        step = mpmath.mpf(10) ** -40
        values = [gap_of(problem, *affine(problem, params, on, sliding, 1 / (k * step))) for k in (1, 2, 4)]
        matrix = mpmath.matrix([[1, k * step, (k * step) ** 2] for k in (1, 2, 4)])
        g = mpmath.lu_solve(matrix, mpmath.matrix(values))
        return float(g[0]), float(g[1]), float(-g[2] / g[1])


def pairs(asymptote):
    on = {(j, i) for j in (0, 1) for i in (0, 1) if asymptote.pattern >> (2 * j + i) & 1}
    return on, list(asymptote.sliding)


def agrees(asymptote, problem, params, accuracy=1e-12):
    """Compare with the oracle. Cancellation in H u = 1 and in b costs some digits of 1e-16."""
    limit, constant, shift = oracle_law(problem, params, *pairs(asymptote))
    optimal = twonn.optimal_margin(problem)
    assert asymptote.limit == pytest.approx(limit, abs=accuracy * optimal)
    assert asymptote.constant == pytest.approx(constant, rel=accuracy, abs=accuracy * optimal)
    assert asymptote.shift == pytest.approx(shift, rel=100 * accuracy, abs=100 * accuracy)


# --------------------------------------------------------------------------------------------------
# Fixed output weights


@pytest.mark.parametrize("a", [1.0, 1.5, 4.0])
def test_symmetric_data_without_sliding(a):
    """The formula of the paper's case, for random starts and data x = ±a, a >= 1."""
    rng = np.random.default_rng([7, int(10 * a)])
    print("seed", [7, int(10 * a)])
    problem = twonn.Problem(x=[a, -a], y=[1, -1], step_size=0.02, reduction="sum")
    for _ in range(30):
        params = twonn.Params(w=[rng.uniform(0.2, 2), -rng.uniform(0.2, 2)], b=rng.uniform(-0.15, 0.15, 2))
        (w0, w1), (b0, b1) = params.w[:, 0].tolist(), params.b.tolist()
        got = twonn.asymptote(problem, params)
        assert (got.known, got.is_final, got.law, got.limit) == (True, True, "C/(ln t + κ)", 0.0)
        c = abs(a * (b0 - b1) - (w0 + w1)) / 2
        k = math.log(0.02 * (1 + a * a)) + (w0 - w1) / (2 * a) - (b0 + b1) / 2
        # At most a dozen roundings of numbers up to 10.
        assert got.constant == pytest.approx(c, rel=0, abs=1e-14 * (1 + a))
        assert got.shift == pytest.approx(k, rel=0, abs=2e-14)
        agrees(got, problem, params)


CASES = {
    "paper": (PAPER, twonn.Params(w=[0.4309350268754409, -1.470759627697770])),
    "asymmetric": (
        twonn.Problem(x=[-1.0, 3.0], y=[-1, 1], step_size=0.01),
        twonn.Params(w=[0.43, -1.47], b=[0.1, 0.2]),
    ),
    "orthogonal": (
        twonn.Problem(x=[-2.0, 0.5], y=[-1, 1], step_size=0.01),
        twonn.Params(w=[0.43, -1.47], b=[0.1, 0.2], v=[1.0, -1.5]),
    ),
    "logistic": (twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.1, loss="logistic"), START),
    "both slide": (twonn.Problem(x=[-0.3, 0.8], **SLIDING), START),
    "one slides": (twonn.Problem(x=[2.0, 1.0], **SLIDING), START),
    "uneven output": (
        twonn.Problem(x=[0.5, -0.5], **SLIDING),
        twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[1.0, -1.2]),
    ),
    "plane": (
        twonn.Problem(x=[[1.0, 0.3], [-1.4, 0.5]], **SLIDING),
        twonn.Params(w=[[0.6, 0.2], [-0.4, 0.3]], b=[0.3, 0.9]),
    ),
    "no bias": (
        twonn.Problem(x=[[1.0, 0.3], [0.4, 1.5]], bias=False, **SLIDING),
        twonn.Params(w=[[0.6, 0.2], [0.4, 0.3]]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_runs_end_on_the_closed_form(name):
    """At 10^16 and 10^1000 steps, gap and parameters; and the law itself against the oracle."""
    problem, params = CASES[name]
    for log10_steps in (16.0, 1000.0):
        traj = twonn.run(problem, params, log10_steps=log10_steps, samples_per_decade=1)
        got = twonn.asymptote(problem, traj)
        assert (got.known, got.is_final) == (True, True)
        late = traj.log_t > 15 * math.log(10)
        # Deviations are O(ln t/t) (1e-14 at 10^15), the rounding of z that of ln t; a small gap magnifies it.
        accuracy = 1e-13 * np.abs(traj.preactivations[late]).max()
        assert np.allclose(got.gap(traj.log_t[late]), traj.gap[late], rtol=0, atol=accuracy)
        log_t = traj.log_t[-1]
        assert np.allclose(got.w_slope * log_t + got.w_offset, traj.final.w, rtol=0, atol=accuracy)
        assert np.allclose(got.b_slope * log_t + got.b_offset, traj.final.b, rtol=0, atol=accuracy)
        assert np.array_equal(got.v_slope, [0, 0]) and np.array_equal(got.v_offset, params.v)
        if problem.dimension == 1:
            nearness = abs(traj.boundary[-1] - got.boundary) * traj.log_t[-1]
            assert nearness < 5  # constant/ln t
        agrees(got, problem, traj.final, 1e-9 if log10_steps > 16 else 1e-11)


def test_the_prediction_is_that_of_the_oracle():
    problem, params = CASES["asymmetric"]
    got = twonn.asymptote(problem, params)
    for log_t in (50.0, 1e3, 1e6):
        with mpmath.workdps(60):
            exact = gap_of(problem, *affine(problem, params, *pairs(got), log_t))
        assert float(got.gap(log_t)) == pytest.approx(float(exact), rel=1e-13)


def test_direct_steps_approach_the_closed_form():
    """Every step taken: the deviation falls like ln t/t."""
    problem, params = CASES["paper"]
    traj = twonn.run(problem, params, 10**7, engine="direct", sample_steps=[10**5, 10**6])
    got = twonn.asymptote(problem, params)  # from the start alone
    deviation = np.abs(got.gap(traj.log_t[1:]) / traj.gap[1:] - 1)
    # A constant shift of t, some hundred steps long: each decade divides the deviation by ten and a little.
    assert np.allclose(deviation[:-1] / deviation[1:], 10.2, rtol=0, atol=0.15)
    assert deviation[-1] < 1e-4


def test_the_universal_constant():
    """Sliding data: the formula in G alone, whatever the start."""
    for x, one_slides in (([-0.3, 0.8], False), ([2.0, 1.0], True)):
        problem = twonn.Problem(x=x, **SLIDING)
        g00, g11, g01 = 1 + x[0] ** 2, 1 + x[1] ** 2, 1 + x[0] * x[1]
        det = g00 * g11 - g01**2
        u = [g11 / det, g00 / det]
        if one_slides:  # at point 1: H = [[G00 + G00 − G01²/G11 …]] of a neuron on both, with opposite labels
            h = [[det / g11 + g00, -g01], [-g01, g11]]
            d = h[0][0] * h[1][1] - h[0][1] * h[1][0]
            u = [(h[1][1] - h[0][1]) / d, (h[0][0] - h[1][0]) / d]
        c = abs(x[1] - x[0]) / 4 * abs(math.log(u[0] / u[1]))
        k = math.log(0.05**2 / (u[0] * u[1])) / 2
        for start in (START, twonn.Params(w=[-0.1, 0.35], b=[0.9, 1.2])):
            got = twonn.asymptote(problem, twonn.run(problem, start, 10**12))
            assert got.constant == pytest.approx(c, rel=1e-13)
            assert got.shift == pytest.approx(k, rel=1e-13)
            assert got.limit == 0 and got.boundary == pytest.approx((x[0] + x[1]) / 2, abs=1e-15)


def test_sliding_is_foreseen_from_before_it_begins():
    """Memory of the start that sliding keeps is conserved from the start on."""
    problem, params = CASES["both slide"]
    early, late = (
        twonn.asymptote(problem, params),
        twonn.asymptote(problem, twonn.run(problem, params, 10**15)),
    )
    assert early.sliding == late.sliding == ((0, 1), (1, 0))
    assert early.is_final is None and late.is_final
    for name in ("w_slope", "w_offset", "b_slope", "b_offset", "conditions"):
        assert np.allclose(getattr(early, name), getattr(late, name), rtol=0, atol=1e-12)
    # θ = u_k G_ik/(u_i G_ii) with G = [[1.09, 0.76], [0.76, 1.64]] and u = (G_11, G_00)/det G.
    assert late.conditions[0, 1] == pytest.approx(1 - 0.76 / 1.09, abs=1e-14)
    assert late.conditions[1, 0] == pytest.approx(1 - 0.76 / 1.64, abs=1e-14)


def test_symmetric_sliding_is_faster():
    problem = twonn.Problem(x=[0.5, -0.5], **SLIDING)
    got = twonn.asymptote(problem, twonn.run(problem, START, 10**10))
    assert (got.law, got.limit, got.known) == ("faster than C/ln t", 0.0, True)
    assert math.isnan(got.constant) and math.isnan(got.shift)


def test_an_exactly_marginal_fraction_is_neither_final_nor_not():
    problem = twonn.Problem(x=[0.0, 1.0], **SLIDING)
    got = twonn.asymptote(problem, twonn.run(problem, twonn.Params(w=[-0.6, 1.0], b=[1.0, 0.2]), 10**12))
    assert got.is_final is None and got.conditions[0, 1] == 0
    assert got.constant == pytest.approx(math.log(2) / 4, rel=1e-13)


# --------------------------------------------------------------------------------------------------
# Trained output weights


def test_trained_symmetric_data():
    """The formulas for x = ±a: C = |a(b0−b1)−(w0+w1)|/(2(1+a²)^¼), and B for a = 1."""
    rng = np.random.default_rng(77)
    print("seed 77")
    for a in (1.0, 2.0):
        problem = twonn.Problem(x=[a, -a], y=[1, -1], step_size=0.01, train_output=True)
        for _ in range(20):
            params = twonn.Params(w=[rng.uniform(0.3, 2), -rng.uniform(0.3, 2)], b=rng.uniform(-0.2, 0.2, 2))
            (w0, w1), (b0, b1) = params.w[:, 0].tolist(), params.b.tolist()
            got = twonn.asymptote(problem, params)
            assert (got.law, got.limit, got.variable) == ("C/(√(ln t) + κ)", 0.0, "√(ln t)")
            c = abs(a * (b0 - b1) - (w0 + w1)) / (2 * (1 + a * a) ** 0.25)
            assert got.constant == pytest.approx(c, rel=0, abs=1e-14)
            if a == 1:
                # Wrong pre-activations z_01 and z_10, both negative.
                wrong = (-w0 + b0) + (w1 + b1)
                assert got.shift == pytest.approx(-wrong / 2**1.25, rel=0, abs=1e-13)


@pytest.mark.parametrize("x", [[-1.0, 1.0], [-1.0, 3.0], [-0.3, 0.8], [0.5, -0.5]])
def test_trained_runs_end_on_the_closed_form(x):
    labels = [-1, 1] if x[0] == -1 else [1, -1]
    start = twonn.Params(w=[0.43, -1.47]) if x[0] == -1 else START
    problem = twonn.Problem(x=x, y=labels, step_size=0.05, train_output=True)
    for log10_steps in (16.0, 1000.0):
        traj = twonn.run(problem, start, log10_steps=log10_steps)
        got = twonn.asymptote(problem, traj)
        assert got.known and got.is_final is not False
        m = traj.margins[-1].min()
        # The next term of eq. 16 is 24/m⁴ of a margin, and cancels in part.
        assert float(got.gap(traj.log_t[-1])) == pytest.approx(traj.gap[-1], rel=24 / m**3 + 1e-9)
        root = math.sqrt(traj.log_t[-1])
        w = got.w_slope * root + got.w_offset
        # √m − √ln t = O(ln ln t/√ln t).
        assert np.allclose(w, traj.final.w, rtol=0, atol=4 * math.log(root) / root)


def test_trained_margins_solve_the_flow():
    """The predicted gap against ∫ e^m/√(D² + 4 G m²) dm = h t, solved by quadrature in mpmath."""
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=True)
    params = twonn.Params(w=[0.43, -1.47])
    got = twonn.asymptote(problem, params)
    for log_t in (60.0,):
        with mpmath.workdps(20):
            z, m = [], []
            for j, point in ((0, 1), (1, 0)):
                own = abs(mpmath.mpf(params.w[j, 0].item()))
                invariant = 2 - own**2

                def pace(s, invariant=invariant):
                    return mpmath.exp(s) / mpmath.sqrt(invariant**2 + 8 * s * s)

                goal = mpmath.exp(log_t) * mpmath.mpf(problem.point_step)
                top = mpmath.findroot(
                    lambda s, pace=pace, goal=goal: mpmath.log(
                        mpmath.quad(pace, [s - 60, s - 20, s - 5, s]) / goal
                    ),
                    (log_t, log_t + 1),
                    solver="secant",
                )
                spread = mpmath.sqrt(invariant**2 + 8 * top**2)
                z.append((mpmath.sqrt((spread - invariant) / 2), -own, point))
                m.append(top)
            # f(±1) of the line through both neurons; wrong pre-activations are frozen at −own.
            v = [m[j] / z[j][0] * (1, -1)[j] for j in (0, 1)]
            right, left = m[0] + v[1] * z[1][1], -m[1] + v[0] * z[0][1]
            exact = abs((right + left) / (right - left))
        # Margins are wrong by 24/m⁴, of which half, over m, arrives in 1/√m.
        assert float(got.gap(log_t)) == pytest.approx(float(exact), rel=24 / log_t**5)


def test_trained_sliding_has_a_constant_of_the_data():
    problem = twonn.Problem(x=[-0.3, 0.8], train_output=True, **SLIDING)
    got = twonn.asymptote(problem, twonn.run(problem, START, 10**16))
    assert got.law == "C/ln t" and got.limit == 0
    assert got.constant == pytest.approx(1.1 / 8 * math.log(1.64 / 1.09), rel=1e-13)
    theta = 0.76 / math.sqrt(1.09 * 1.64)
    assert got.conditions[0, 1] == pytest.approx(1 - theta, abs=1e-14)
    symmetric = twonn.Problem(x=[0.5, -0.5], train_output=True, **SLIDING)
    traj = twonn.run(symmetric, START, log10_steps=1000.0)
    got = twonn.asymptote(symmetric, traj)
    assert got.law == "C/(ln t)^3"
    # m = ln t + O(ln ln t).
    assert traj.gap[-1] * traj.log_t[-1] ** 3 == pytest.approx(got.constant, rel=0.02)


# --------------------------------------------------------------------------------------------------
# Any problem


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 220), marks=pytest.mark.long)], ids=len)
def test_random_runs_end_where_they_should(seeds, sliding):
    """Every law that is claimed, for random data of any dimension, starts, losses, output weights."""
    laws = set()
    for seed in seeds:
        problem, params = random_problem(seed, sliding=sliding)
        if twonn.run(problem, params, 10**5).segments["engine"][-1] == "direct":
            continue  # long to be stepped
        traj = twonn.run(problem, params, log10_steps=1000.0, samples_per_decade=0.01, max_direct=1 << 24)
        if traj.status is twonn.Status.OBSTRUCTED:
            continue
        got = twonn.asymptote(problem, traj)
        laws.add(got.law)
        assert got.known == (got.law != "unknown")
        if got.known and got.law != "none":
            predicted = float(got.gap(traj.log_t[-1]))
            assert abs(predicted - traj.gap[-1]) <= traj.gap_error[-1] + 1e-12 * traj.gap[-1]
            assert abs(traj.gap[-1] - got.limit) < 1
        elif got.law == "unknown":
            assert got.reason and math.isnan(got.limit) and np.isnan(got.gap([10.0, 20.0])).all()
        else:
            assert problem.y[0] == problem.y[1] and math.isnan(got.limit)
    print(laws)
    assert {"constant", "limit + C/(ln t + κ)", "limit + C/(√(ln t) + κ)"} <= laws


def test_degenerate_problems_have_a_defined_answer():
    """Zero and parallel points, dead and huge neurons: no warning, no nan that is claimed."""
    print("seed 5")
    rng = np.random.default_rng(5)
    pool = [0.0, 1.0, -1.0, 0.5, 2.0, -0.5, 1e-40, 1e40, -3.0]
    claimed = 0
    for n in range(500):
        x, d = rng.choice(pool, size=(2, n % 2 + 1)), n % 2 + 1
        if np.array_equal(x[0], x[1]):
            continue
        bias, train_output = rng.integers(2, size=2).astype(bool)
        problem = twonn.Problem(
            x=x,
            y=rng.choice([-1, 1], size=2),
            step_size=float(rng.choice([0.01, 1.0, 1e-40])),
            bias=bool(bias),
            train_output=bool(train_output),
        )
        v = rng.choice([0.0, 1.0, -1.0, 0.5, -2.0, 1e40], size=2)
        params = twonn.Params(w=rng.choice(pool, size=(2, d)), b=rng.choice(pool, size=2) * bias, v=v)
        state = twonn.run(problem, params, int(rng.choice([0, 1, 50, 1000]))) if n % 3 else params
        got = twonn.asymptote(problem, state)
        assert got.known == (got.law != "unknown")
        if got.known and got.law != "none":
            claimed += 1
            assert 0 <= got.limit <= twonn.optimal_margin(problem) * (1 + 1e-12)
            assert "C/" not in got.law or "faster" in got.law or math.isfinite(got.constant)
        got.gap([-math.inf, 0.0, 30.0, 1e3])
    assert claimed > 50


def test_many_runs_at_once_are_the_single_ones():
    for problem in (
        PAPER,
        twonn.Problem(x=[-0.3, 0.8], **SLIDING),
        twonn.Problem(x=[-1.0, 3.0], y=[-1, 1], step_size=0.01, train_output=True),
    ):
        starts = twonn.initializers.sample("he_normal_bias", 60, 3)
        trajs = [twonn.run(problem, start, 10**6, sample_steps=[]) for start in starts]
        many = limits_and_constants(
            problem,
            np.array([traj.w[-1] for traj in trajs]),
            np.array([traj.v[-1] for traj in trajs]),
            np.array([traj.preactivations[-1] for traj in trajs]),
            np.array([traj.pattern[-1] for traj in trajs]),
            np.array([traj.phase_unknown[-1] for traj in trajs]),
        )
        assert many.known.any()
        for run, traj in enumerate(trajs):
            if traj.status is twonn.Status.DIVERGED:  # of which the state alone does not tell
                continue
            one = twonn.asymptote(problem, traj)
            assert one.known == many.known[run] and one.law == STORED[many.law[run]].formula
            for name in ("limit", "constant", "shift", "boundary"):
                assert np.array_equal(getattr(many, name)[run], getattr(one, name), equal_nan=True), name


# --------------------------------------------------------------------------------------------------
# What rounding decides


def nearly_orthogonal(seed):
    """Points that are orthogonal, once lifted, but for rounding; of any dimension, with or without bias."""
    print("seed", seed)
    rng = np.random.default_rng([17, seed])
    d = seed % 4
    bias = d != 3
    while True:
        x = rng.normal(size=(2, d or 1)) * 10 ** rng.uniform(-0.4, 0.5)
        x[1] -= (x[0] @ x[1] + bias) / (x[0] @ x[0]) * x[0]
        if d < 2:
            x[1] = -1 / x[0]
        cross = sum(Fraction(a) * Fraction(b) for a, b in zip(*x.tolist(), strict=True)) + bias
        if cross != 0:
            return x, bias


@pytest.mark.parametrize("train_output", [False, True])
def test_points_that_only_rounding_keeps_from_being_orthogonal(train_output):
    """G_01 = ±1e-17 is 0: no neuron slides before the last step that a run can reach."""
    signs = set()
    for seed in range(24):
        x, bias = nearly_orthogonal(seed)
        rng = np.random.default_rng([18, seed])
        problem = twonn.Problem(
            x=x, y=[1, -1], step_size=0.02, reduction="sum", bias=bias, train_output=train_output
        )
        w = 0.4 * x * np.array([[1.0], [1.0]]) + 0.05 * rng.normal(size=x.shape)
        params = twonn.Params(w=w, b=-0.1 * bias * rng.random(2), v=[1.0, -1.2])
        z = w @ x.T + params.b[:, None]
        if not (z[0, 0] > 0 > z[0, 1] and z[1, 1] > 0 > z[1, 0]):
            continue
        signs.add(np.sign(gram.gram_of(problem).cross))
        got = twonn.asymptote(problem, params)
        assert (got.known, got.is_final, got.sliding, got.alternatives) == (True, True, (), ())
        if x.shape[1] == 1:
            assert got.limit == 0
        for log10_steps in (300.0, 1e4):
            traj = twonn.run(problem, params, log10_steps=log10_steps, samples_per_decade=0.01)
            assert len(traj.slides) == 0
            # Fixed: rounding of z in units of ln t. Trained: D is that of the start, not of a late state; its
            # change enters the margins over m², and the gap in units of 1/√m.
            error = 1e-3 if train_output else 1e-12
            for late in (got, twonn.asymptote(traj)):
                predicted = float(late.gap(traj.log_t[-1]))
                assert predicted == pytest.approx(traj.gap[-1], rel=error, abs=1e-14)
                assert late.law == got.law and late.constant == pytest.approx(got.constant, rel=1e-9)
    assert signs == {-1.0, 1.0}


@pytest.mark.parametrize("cross", [1e-3, 1e-7, 1e-11, -1e-7])
def test_a_kink_is_reached_when_it_is_reached(cross):
    """A small G_01 > 0 takes a neuron to its kink in the end; until then it does not slide."""
    problem = twonn.Problem(x=[3.0, -(1 - cross) / 3], y=[1, -1], step_size=0.01)
    params = twonn.Params(w=[0.43, -1.47], b=[0.1, 0.2])
    got = twonn.asymptote(problem, params)
    assert got.sliding == (((0, 1), (1, 0)) if cross > 0 else ())
    reached = -params.w[0, 0] * problem.x[1, 0] - params.b[0]  # how far neuron 0 is from its kink
    for log10_steps in (16.0, 300.0, 1e5):
        traj = twonn.run(problem, params, log10_steps=log10_steps, samples_per_decade=0.001)
        risen = (cross / 10) * traj.log_t[-1]  # G_01/G_00 of its own z, which is ln t
        if 0.5 < risen / reached < 2:
            continue  # about that time the two motions pass into each other
        assert float(got.gap(traj.log_t[-1])) == pytest.approx(traj.gap[-1], rel=1e-12)


def test_nothing_is_predicted_while_a_neuron_is_left_behind_its_kink():
    """G_01 = 1e-7: pushed off its kink at ln t ~ 6, by a part of a sawtooth, it returns at ln t ~ 10^5."""
    problem = twonn.Problem(x=[3.0, -(1 - 1e-7) / 3], y=[1, -1], step_size=0.01)
    params = twonn.Params(w=[0.5, -1.47], b=[0.2, 0.2])
    got = twonn.asymptote(problem, params)
    assert got.known and got.sliding == ((0, 1), (1, 0)) and got.is_final is None
    assert np.isnan(got.gap([40.0, 700.0])).all() and np.isfinite(got.gap(1e12))
    later = twonn.asymptote(problem, twonn.run(problem, params, 10**4).final)
    assert (later.law, later.sliding) == (got.law, got.sliding)
    far = twonn.run(problem, params, log10_steps=300.0)
    assert float(later.gap(far.log_t[-1])) == pytest.approx(far.gap[-1], rel=1e-12)


def test_the_last_bit_may_decide_about_a_kink():
    """G_01 and z_01 are 1e-17: one push across the kink, or none, and the constants of the two differ."""
    problem = twonn.Problem(x=[3.0, -1 / 3], y=[1, -1], step_size=0.05)
    got = twonn.asymptote(problem, twonn.Params(w=[1.0, -1.0], b=[1 / 3, -0.1]))
    assert (got.known, got.is_final, got.law) == (False, None, "unknown") and math.isnan(got.limit)
    assert "last bit of the data decides" in got.reason
    assert [end.known for end in got.alternatives] == [True, True]
    text = repr(got)
    assert "not known" in text and text.count("alternative") == 2 and got.reason in text
    ends = []
    for shift in (0.0, -1e-9):  # the second one stays off the kink
        params = twonn.Params(w=[1.0, -1.0], b=[1 / 3 + shift, -0.1])
        traj = twonn.run(problem, params, log10_steps=300.0, samples_per_decade=0.01)
        ends.append(traj.gap[-1])
    assert len(traj.transitions) == 0
    untouched, kicked = (float(end.gap(traj.log_t[-1])) for end in got.alternatives)
    assert untouched == pytest.approx(ends[1], rel=1e-8)
    # The push is that of the first step, and the run's that of the second.
    assert kicked == pytest.approx(ends[0], rel=1e-3) and abs(ends[0] / ends[1] - 1) > 3e-3


def test_the_last_bit_may_decide_about_a_sign():
    """|v| = |w|, driven to 0 by the point that it does not serve: a saddle at 0."""
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.05, bias=False, train_output=True)
    got = twonn.asymptote(problem, twonn.Params(w=[-0.7, 0.9], v=[0.7, 0.5]))
    assert (got.known, got.is_final) == (False, None) and "last bit of the data decides" in got.reason
    turned, left = got.alternatives
    assert turned.limit == 0 and left.limit == 1
    for size, limit in ((0.7 * (1 + 1e-12), 0.0), (0.7 * (1 - 1e-12), 1.0)):
        params = twonn.Params(w=[-size, 0.9], v=[0.7, 0.5])
        decided = twonn.asymptote(problem, params)
        assert decided.known and decided.limit == limit and decided.is_final is False
        assert twonn.run(problem, params, 10**6).gap[-1] == pytest.approx(limit, abs=1e-6)


def test_points_that_almost_coincide():
    """With one neuron sliding, u = H⁻¹1 (eqs. 5 and 10) has det G in it, which is 1e-13 of its terms."""
    problem = twonn.Problem(x=[1.0, 1 + 1e-6], y=[1, -1], step_size=0.01)
    got = twonn.asymptote(problem, twonn.Params(w=[-1e7, 1.0], b=[1e7 + 5, 1.0], v=[1.0, -0.9]))
    assert got.sliding == ((0, 1),) and got.known
    with mpmath.workdps(50):
        x0, x1 = (mpmath.mpf(a) for a in problem.x[:, 0].tolist())
        g00, g11, g01, square = 1 + x0 * x0, 1 + x1 * x1, 1 + x0 * x1, mpmath.mpf(-0.9) ** 2
        h = mpmath.matrix(
            [[(x1 - x0) ** 2 / g11 + square * g00, -square * g01], [-square * g01, square * g11]]
        )
        u = mpmath.lu_solve(h, mpmath.matrix([1, 1]))
        assert got.u.tolist() == pytest.approx([float(a) for a in u], rel=1e-14)


# --------------------------------------------------------------------------------------------------
# Output weights whose signs change, and what is final


TURNING = twonn.Problem(x=[-1.6, 1.4], y=[-1, 1], step_size=0.01, train_output=True)


def test_an_output_weight_that_changes_its_sign():
    """Neuron 0 is active on point 0 alone, and serves the other one: its output weight passes through 0."""
    params = twonn.Params(w=[-1.8, 1.8], b=[-0.5, -0.3], v=[0.4, 0.9])
    got = twonn.asymptote(TURNING, params)
    assert got.known and got.is_final is False and "passes through 0" in got.reason
    assert got.law == "limit + C/(√(ln t) + κ)" and got.limit == pytest.approx(31 / 810, rel=1e-12)
    traj = twonn.run(TURNING, params, 10**7)
    assert traj.v[0, 0] > 0 > traj.v[-1, 0] and traj.pattern[0] == traj.pattern[-1]
    late = twonn.asymptote(traj)
    assert late.known and late.is_final and late.reason == ""
    assert late.limit == got.limit and late.constant == pytest.approx(got.constant, rel=1e-9)
    # Eq. 18, and D of the start.
    assert float(got.gap(traj.log_t[-1])) == pytest.approx(traj.gap[-1], rel=0.01)
    assert float(late.gap(traj.log_t[-1])) == pytest.approx(
        traj.gap[-1], rel=24 / traj.margins[-1].min() ** 3
    )
    still = twonn.asymptote(TURNING, twonn.Params(w=[-1.8, 1.8], b=[-0.5, -0.3], v=[0.0, 0.9]))
    assert still.known and still.limit == got.limit


def test_a_neuron_that_dies_leaves_a_point():
    """The same, but its output weight is the larger: the point drives it off before the sign changes."""
    params = twonn.Params(w=[-0.3, 1.8], b=[-0.3, -0.3], v=[1.4, 0.9])
    got = twonn.asymptote(TURNING, params)
    assert (got.law, got.limit, got.known, got.is_final) == ("constant", 1.5, True, False)
    assert got.reason.startswith("No neuron that serves a point can be active on it again")
    traj = twonn.run(TURNING, params, 10**6)
    assert traj.gap[-1] == 1.5 and traj.pattern[-1] != traj.pattern[0]
    assert twonn.asymptote(traj).is_final


def test_a_neuron_on_both_points_is_not_said_to_stay():
    params = twonn.Params(w=[-0.3, 0.5], b=[1.0, 1.0], v=[1.0, -1.0])
    got = twonn.asymptote(TURNING, params)
    assert got.is_final is None and not got.known and "not shown" in got.reason


def test_late_sliding_is_shown_to_last():
    """From a state in a trap (lemmas 4 and 5), not from the start, nor where a point is left to no neuron."""
    for name in ("both slide", "one slides"):
        problem, params = CASES[name]
        assert twonn.asymptote(problem, params).is_final is not True
        assert twonn.asymptote(twonn.run(problem, params, 10**6)).is_final
    problem = twonn.Problem(x=[0.5, -0.5], y=[1, -1], step_size=0.05, reduction="sum")
    dead = twonn.Params(w=[1.0, 0.0], b=[0.5, -1.0])
    assert twonn.asymptote(twonn.run(problem, dead, 10**6)).is_final is not True


def on_both_kinks(problem, margins):
    """A state with these margins, each neuron 1e-9 below the kink that it would slide along."""
    lifted = np.column_stack([problem.x[:, 0], np.ones(2)])
    w, b = np.linalg.solve(lifted, np.diag(margins) - 1e-9 * (1 - np.eye(2)))
    return twonn.Params(w=w, b=b)


@pytest.mark.parametrize(
    ("margins", "stays"),
    [
        ((8.0, 8.0), True),
        ((50.0, 50.4), True),
        ((12.0, 6.0), False),
        ((6.0, 12.0), False),
        ((60.0, 40.0), False),
    ],
)
def test_sliding_lasts_where_the_pushes_of_the_points_balance(margins, stays):
    """Lemma 4: θ = g s_k/(G_ii s_i). With margins far apart one point is too weak to undo the other."""
    problem = twonn.Problem(x=[-0.3, 0.8], **SLIDING)
    params = on_both_kinks(problem, margins)
    got = twonn.asymptote(problem, params)
    assert got.sliding == ((0, 1), (1, 0)) and got.is_final is (True if stays else None)
    traj = twonn.run(problem, params, log10_steps=(max(margins) + 6) / math.log(10))
    wrong = traj.preactivations[:, (0, 1), (1, 0)].max()
    height = 0.05 * math.exp(-min(margins)) * 1.64  # of the first sawtooth: h |v| s_i G_ii
    assert wrong < height if stays else wrong > 100 * height


def any_problem(seed):
    """Any labels, signs, dimension; G_01 negative, 0, 0 up to rounding, small, or positive; and a start."""
    print("seed", seed)
    rng = np.random.default_rng([19, seed])
    kind = ("negative", "orthogonal", "rounding", "small", "positive")[seed % 5]
    bias = bool(rng.random() < 0.75)
    d = int(rng.integers(1 if bias else 2, 4))
    while True:
        x = rng.normal(size=(2, d)) * 10 ** rng.uniform(-0.4, 0.5)
        if kind == "orthogonal":
            x = np.zeros((2, d))
            x[0, 0] = 2.0 ** rng.integers(-2, 3)
            x[1, 0] = -bias / x[0, 0]
            x[1, d - 1] += d > 1
        elif kind in ("rounding", "small"):
            excess = 0.0 if kind == "rounding" else 10 ** rng.uniform(-11, -1) * rng.choice([1, -1])
            x[1] -= (x[0] @ x[1] + bias - excess) / (x[0] @ x[0]) * x[0]
        cross = x[0] @ x[1] + bias
        if np.linalg.norm(x[0] - x[1]) > 0.05 and {"negative": cross < 0, "positive": cross > 0}.get(
            kind, True
        ):
            break
    y = np.array([-1, 1] if rng.random() < 0.85 else [1, 1]) * int(rng.choice([-1, 1]))
    v = rng.uniform(-1.5, 1.5, 2) if rng.random() < 0.7 else np.array([1.0, -1.0])
    w, b = (
        rng.normal(size=(2, d)) * rng.choice([0.3, 1.0, 2.0]),
        bias * rng.normal(size=2) * rng.choice([0.0, 0.5]),
    )
    params = twonn.Params(w=w, b=b, v=v)
    options = {
        "loss": ("exponential", "logistic")[int(rng.integers(2))],
        "bias": bias,
        "train_output": bool(rng.integers(2)),
    }
    z = np.maximum(x @ w.T + b, 0)
    curvature = np.exp(-(y * (z @ v)).min()) * (
        (np.linalg.norm(x, axis=1) ** 2 + 1).max() * (v @ v) + (z**2).sum()
    )
    step_size = min(10 ** rng.uniform(-3, 0.3), (20.0 if rng.random() < 0.15 else 1.0) / curvature)
    return twonn.Problem(x=x, y=y, step_size=float(step_size), **options), params


def changes(asymptote, state, traj, since):
    """Whether pattern or signs change after ln t = `since`; pairs that slide are left out."""
    kept = 15 - sum(1 << (2 * j + i) for j, i in asymptote.sliding)
    rows = traj.transitions[traj.transitions["log_t"] > since + 1e-9]
    if ((rows["before"] ^ rows["after"]) & kept).any():
        return True
    later = traj.log_t > since + 1e-9
    unknown = traj.phase_unknown[later].reshape(-1, 4) @ [1, 2, 4, 8]
    codes = traj.pattern[later] & ~unknown
    effective = (traj.preactivations[later] > 0).any(axis=(0, 2)) if later.any() else np.zeros(2, bool)
    turned = (np.sign(traj.v[later]) != np.sign(state.v))[:, effective].any()
    return bool(((codes ^ codes[-1:]) & kept).any() or turned)


@pytest.mark.parametrize("seeds", [range(60), pytest.param(range(60, 900), marks=pytest.mark.long)], ids=len)
def test_what_is_said_to_be_final_is(seeds):
    """From the start and from states along the run: no change afterwards, and the gap that is claimed."""
    said = {True: 0, False: 0, None: 0}
    for seed in seeds:
        problem, params = any_problem(seed)
        direct = twonn.run(
            problem, params, 10**6, engine="direct", sample_steps=[1, 10, 100, 10**3, 10**4, 10**5]
        )
        if direct.status is twonn.Status.DIVERGED:
            continue
        trajs = [direct]
        trajs += far_runs(problem, params)
        for n in range(len(direct.t)):
            state = twonn.Params(w=direct.w[n], b=direct.b[n], v=direct.v[n])
            got = twonn.asymptote(problem, state)
            said[got.is_final] += 1
            assert got.known == (got.law != "unknown") and (got.known or not got.alternatives or got.reason)
            assert (got.is_final is True) or got.reason
            if got.is_final:
                assert not any(changes(got, state, traj, direct.log_t[n]) for traj in trajs)
                for traj in trajs[1:]:
                    follows(problem, got, direct.margins[n], traj)
        for traj in trajs[1:]:
            got = twonn.asymptote(traj)
            if got.known and got.is_final:
                follows(problem, got, direct.margins[0], traj)
    print(said)
    assert min(said.values()) > 0


def far_runs(problem, params):
    """Runs from a start, but for those that would have to be stepped for long."""
    for log10_steps in (16.0, 300.0):
        traj = twonn.run(problem, params, log10_steps=log10_steps, samples_per_decade=0.05, max_direct=10**6)
        if traj.status is twonn.Status.OBSTRUCTED:
            return
        yield traj


def follows(problem, asymptote, margins, traj):
    """Compare the gap at the end of a run, once ln t has left the margins of the state behind."""
    if not asymptote.known or asymptote.law == "none" or traj.log_t[-1] < margins.max() + 30:
        return
    predicted, gap = float(asymptote.gap(traj.log_t[-1])), traj.gap[-1]
    # Fixed: what e^−30 leaves, and rounding of z over ln t. Trained: 24/m³ (eq. 18) of parts that may be
    # larger than the gap, and D of the state, which enters like 1/m².
    error = 1e-3 if problem.train_output and traj.log_t[-1] > 100 else 0.1 if problem.train_output else 1e-9
    assert abs(predicted - gap) <= error * gap + 2 * traj.gap_error[-1] + 1e-13


# --------------------------------------------------------------------------------------------------
# What is not known, and what is refused


def test_equal_labels_have_parameters_but_no_gap():
    problem = twonn.Problem(x=[-1.0, 2.0], y=[1, 1], step_size=0.01)
    params = twonn.Params(w=[0.43, -1.47], v=[1.0, 1.0])
    traj = twonn.run(problem, params, 10**16)
    got = twonn.asymptote(problem, traj)
    assert (got.law, got.known, got.is_final) == ("none", True, True)
    assert math.isnan(got.limit) and "equal" in got.reason and np.isnan(got.gap(30.0))
    assert np.allclose(got.w_slope * traj.log_t[-1] + got.w_offset, traj.final.w, rtol=0, atol=1e-12)


def test_one_point_may_carry_the_other():
    """u_1 < 0, as H_10 > H_00: point 1 is carried, A_1 converges, and only slopes are known."""
    problem = twonn.Problem(x=[0.5, 3.0], y=[1, 1], step_size=0.01)
    traj = twonn.run(problem, twonn.Params(w=[1.0, -1.0], v=[1.0, 1.0]), 10**16)
    got = twonn.asymptote(problem, traj)
    assert not got.known and "support" in got.reason and got.is_final
    assert got.u.tolist() == [0.8, 0.0]  # 1/H_00
    assert got.w_slope[0, 0] == pytest.approx(0.4) and np.isnan(got.w_offset[0, 0])
    late = traj.log_t > 20
    slope = np.polyfit(traj.log_t[late], traj.w[late, 0, 0], 1)[0]
    assert slope == pytest.approx(0.4, rel=1e-6)


def test_unseen_points_keep_the_gap():
    problem = PAPER
    traj = twonn.run(problem, twonn.Params(w=[0.43, 1.47]), 10**8)
    got = twonn.asymptote(problem, traj)
    assert (got.law, got.limit, got.known) == ("constant", 1.0, True)
    assert "seen by no neuron" in got.reason and np.array_equal(got.gap([1.0, 1e3]), [1.0, 1.0])
    resting = twonn.asymptote(problem, twonn.Params(w=[0.0, 0.0]))
    assert (resting.law, resting.limit) == ("constant", 1.0) and "nothing moves" in resting.reason
    assert np.array_equal(resting.w_slope, [[0.0], [0.0]])


def test_a_wrong_point_that_slides_for_ever():
    """Its own neuron is dead; the other one slides along its kink there and never rights it."""
    problem = twonn.Problem(x=[0.5, -0.5], **SLIDING)
    traj = twonn.run(problem, twonn.Params(w=[1.0, 0.0], b=[0.5, -1.0]), 10**6)
    got = twonn.asymptote(problem, traj)
    assert got.law == "constant" and got.limit == 0.5 and traj.gap[-1] == 0.5
    assert "does not decay" in got.reason and np.isnan(got.w_slope).all()


def test_not_yet_there():
    problem, _ = CASES["asymmetric"]
    early = twonn.Params(w=[1.0, -1.47], b=[2.0, 0.2])  # neuron 0 is active on both points
    got = twonn.asymptote(problem, early)
    assert (
        not got.known and got.is_final is False and got.law == "unknown" and "not the final one" in got.reason
    )
    assert (got.conditions < 0).any()
    assert "not known" in repr(got) and "not final" in repr(got) and got.reason in repr(got)


def test_other_outcomes_are_unknown():
    problem, params = CASES["paper"]
    adam = twonn.run(problem, params, 1000, optimizer="adam")
    assert "gradient descent only" in twonn.asymptote(problem, adam).reason
    wild = twonn.Problem(x=[-1.0, 3.0], y=[-1, 1], step_size=0.01, train_output=True)
    diverged = twonn.run(wild, twonn.Params(w=[-1.22, 4.70], b=[2.49, 1.05]), 1000)
    assert diverged.status is twonn.Status.DIVERGED
    got = twonn.asymptote(wild, diverged)
    assert not got.known and "diverged" in got.reason and math.isnan(got.limit)


def test_a_trajectory_brings_its_problem():
    problem, params = CASES["paper"]
    traj = twonn.run(problem, params, 1000)
    assert twonn.asymptote(traj).report() == twonn.asymptote(problem, traj).report()


def test_arguments_are_checked():
    problem, params = CASES["paper"]
    with pytest.raises(TypeError, match="params: got"):
        twonn.asymptote(problem)
    with pytest.raises(TypeError, match="problem: got"):
        twonn.asymptote(None, params)
    with pytest.raises(TypeError, match="params: got"):
        twonn.asymptote(problem, [1, 2])
    with pytest.raises(ValueError, match="expected one network"):
        twonn.asymptote(problem, twonn.initializers.sample("he_normal", 3, 0))
    other = twonn.Problem(x=[-1.0, 1.5], y=[-1, 1], step_size=0.01)
    with pytest.raises(ValueError, match=r"Pass traj.problem"):
        twonn.asymptote(other, twonn.run(problem, params, 10))
    with pytest.raises(ValueError, match=r"w: got shape \(2, 1\)"):
        limits_and_constants(problem, params.w, params.v, np.zeros((2, 2)), np.zeros(1, np.uint8))


def test_times_that_are_too_early_have_no_prediction():
    problem, params = CASES["paper"]
    got = twonn.asymptote(problem, params)
    assert np.isnan(got.gap([-math.inf, 0.0, 3.0])).all()
    assert np.isfinite(got.gap([10.0, 1e6])).all()
    assert math.isnan(float(got.gap(math.nan)))


def test_the_repr_tells_the_law():
    problem, params = CASES["both slide"]
    text = repr(twonn.asymptote(problem, params))
    assert "C/(ln t + κ)" in text and "neuron 0 slides at point 1" in text and "constant" in text
    assert "not shown to be final" in text and "It is not shown that" in text
