"""The leap engine against stepping, against exact solutions at any number of steps, and its own promises."""

import functools
import math

import mpmath
import numpy as np
import pytest
from cases import CYCLE, CYCLING, INITIALIZERS, dated, difference, outcome, parameters, random_problem
from oracle import Decoupled

import twonn
from twonn import _core
from twonn.engine import pace

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
PAPER_START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
TRAINED = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=True)
SKEW = twonn.Problem(x=[-1.0, 3.0], y=[-1, 1], step_size=0.01)
CHATTER = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
CHATTER_START = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])

#: Rounding the final parameters of two runs to binary64, relative to their norm.
ROUNDED = 2 * 2.0**-53

#: What the issue of the leap is: the same trajectory to this accuracy.
ACCURACY = 1e-14


# --------------------------------------------------------------------------------------------------
# Against the direct engine


@functools.cache
def both(seed: int, steps: int, sliding: bool = False) -> tuple[twonn.Trajectory, twonn.Trajectory]:
    """A random run, stepped and leapt over (not averaged), sampled in the middle of leaps too."""
    problem, params = random_problem(seed, sliding=sliding)
    samples = [s for s in (1, 257, 1000, 3217, 10**5, 314_159, 10**6, 10**7, 10**8) if s < steps]
    return tuple(
        twonn.run(problem, params, steps=steps, sample_steps=samples, engine=engine, sliding="step")
        for engine in ("direct", "auto")
    )


def amplification(truth: twonn.Trajectory) -> float:
    """How much farther apart two stepped runs end than they start, a unit in the last place apart."""
    problem, start = truth.problem, truth.params
    rng = np.random.default_rng(8)
    worst = 0.0
    for _ in range(6):
        w, b = (
            array * (1 + 2.0**-52 * rng.choice([-1, 1], size=array.shape)) for array in (start.w, start.b)
        )
        moved = twonn.run(
            problem,
            twonn.Params(w=w, b=b, v=start.v),
            steps=truth.horizon,
            sample_steps=[],
            engine="direct",
        )
        apart = np.linalg.norm(parameters(moved)[-1] - parameters(truth)[-1])
        worst = max(worst, apart / np.linalg.norm(parameters(truth)[-1]) / 2.0**-52)
    return worst


#: Of the random runs those that rounding decides, by seed: the one that starts at a saddle.
DECIDED_BY_ROUNDING = {191}


def assert_decided_by_rounding(leapt: twonn.Trajectory, truth: twonn.Trajectory) -> None:
    """The estimate says that stepping is no better."""
    assert leapt.error_estimate > 1e-12 and amplification(truth) > 1e3


def assert_same(leapt: twonn.Trajectory, truth: twonn.Trajectory) -> None:
    assert outcome(leapt) is outcome(truth)
    assert leapt.end_step == truth.end_step
    assert dated(leapt) == dated(truth)
    assert leapt.n_transitions == truth.n_transitions
    apart = difference(leapt, truth)
    assert apart.norm <= ACCURACY
    assert apart.norm <= leapt.error_estimate + ROUNDED
    # Each parameter by itself: 1e-14 of it, or what rounding leaves of a far larger one of the same run.
    got, true = parameters(leapt), parameters(truth)
    room = ACCURACY * np.abs(true) + 4e-16 * np.abs(true).max(axis=1, keepdims=True)
    assert np.all(np.abs(got - true) <= room)


@pytest.mark.parametrize("seed", range(210))
def test_random_runs_agree_with_stepping(seed):
    truth, leapt = both(seed, 10**6)
    (assert_decided_by_rounding if seed in DECIDED_BY_ROUNDING else assert_same)(leapt, truth)


def test_the_random_runs_are_what_they_should_be():
    """Every axis is taken, and the runs are leapt over."""
    runs = [both(seed, 10**6)[1] for seed in range(210)]
    problems = [traj.problem for traj in runs]
    for name, values in {
        "loss": {"exponential", "logistic"},
        "reduction": {"mean", "sum"},
        "train_output": {False, True},
        "bias": {False, True},
        "dimension": {1, 2, 3, 10},
    }.items():
        for value in values:
            chosen = [t for t in runs if getattr(t.problem, name) == value]
            assert sum("leap" in t.segments["engine"] for t in chosen) >= 10, (name, value)
    assert len(INITIALIZERS) == len(twonn.initializers.NAMES) == 14
    assert min(p.step_size for p in problems) < 2e-3 and max(p.step_size for p in problems) > 5
    grams = [p.x[0] @ p.x[1] + p.bias for p in problems]
    assert max(grams) == 0 and min(grams) < -5
    assert sum(t.n_transitions > 0 for t in runs) > 50
    assert {t.status for t in runs} > {twonn.Status.COMPLETED, twonn.Status.STATIONARY}
    # Almost every step was leapt over where neither chatter nor large steps forbid it.
    shares = [t.segments["t_stop"][t.segments["engine"] == "leap"].max(initial=0) / 1e6 for t in runs]
    assert sum(share == 1 for share in shares) > 150
    assert np.median([t.error_estimate for t in runs]) < 3e-15


@pytest.mark.parametrize("seed", range(60))
def test_runs_that_chatter_agree_with_stepping_too(seed):
    # G_01 > 0: leaps before the chatter, between its transitions, or after it has ended.
    truth, leapt = both(seed, 200_000, sliding=True)
    assert outcome(leapt) is outcome(truth)
    assert dated(leapt) == dated(truth)
    assert difference(leapt, truth).norm <= ACCURACY


@pytest.mark.long
@pytest.mark.parametrize("steps", [10**8, 10**9], ids=["1e8", "1e9"])
@pytest.mark.parametrize("seed", range(210))
def test_long_random_runs_agree_with_stepping(seed, steps):
    truth, leapt = both(seed, steps)
    (assert_decided_by_rounding if seed in DECIDED_BY_ROUNDING else assert_same)(leapt, truth)
    both.cache_clear()


STARTS = {
    "the paper's": (PAPER, PAPER_START),
    "trained": (TRAINED, PAPER_START),
    "trained, logistic": (
        twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.5, loss="logistic", train_output=True),
        PAPER_START,
    ),
    "on the kink": (PAPER, twonn.Params(w=[1.0, -1.0], b=[1.0, 0.0])),
    "c = 0": (PAPER, twonn.Params(w=[1.0, -1.2], b=[-0.1, 0.1])),
    "one neuron dead": (PAPER, twonn.Params(w=[0.4, 1.0])),
    "a margin of -6": (PAPER, twonn.Params(w=[0.4, -1.4], b=[0.0, 8.0])),
    "a margin of -28, trained, logistic": (
        twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-3, loss="logistic", train_output=True),
        twonn.Params(w=[0.4, -1.4], b=[0.0, 30.0]),
    ),
    "margins of 2000 and 1": (PAPER, twonn.Params(w=[2000.0, -1.0])),
    "margins of 300 and 1, trained": (TRAINED, twonn.Params(w=[300.0, -1.0])),
    "equal labels, one sample supports": (
        twonn.Problem(x=[1.0, 2.0], y=[1, 1], step_size=0.1),
        twonn.Params(w=[1.0, -0.3], b=[0.2, 0.1]),
    ),
    "equal labels, one sample barely supports": (
        twonn.Problem(x=[[1.0, 0.0], [1.0, 1.0]], y=[1, 1], step_size=0.1, bias=False),
        twonn.Params(w=[[1.0, 0.5], [-1.0, -1.0]]),
    ),
    "equal labels, both neurons on both samples": (
        twonn.Problem(x=[[1.0, 0.2], [0.1, 1.0]], y=[1, 1], step_size=0.1, train_output=True),
        twonn.Params(w=[[1.0, 0.5], [0.2, 0.3]], b=[0.3, 0.2], v=[1.0, 0.7]),
    ),
    "coincident points": (twonn.Problem(x=[1.0, 1.0], y=[1, 1], step_size=0.1), PAPER_START),
    "points that almost coincide": (
        twonn.Problem(x=[1.0, 1.0001], y=[1, 1], step_size=0.1),
        PAPER_START,
    ),
    "step size 4": (twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=4.0), PAPER_START),
    "step size 1e-12": (twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-12), PAPER_START),
    "step size 1e-50": (twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-50), PAPER_START),
    "a logistic margin of -800": (
        twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-7, loss="logistic"),
        twonn.Params(w=[0.4, -1.4], b=[0.0, 802.0]),
    ),
    "equal labels, a hundred times as far": (
        twonn.Problem(x=[1.0, 100.0], y=[1, 1], step_size=1e-4, bias=False),
        twonn.Params(w=[0.1, 0.2], v=[1.0, 1.0]),
    ),
    "an output weight that changes its sign": (TRAINED, twonn.Params(w=[-1.7664899, -2.4466085])),
    "an output weight that changes its sign late": (TRAINED, twonn.Params(w=[1.18471411, 1.5319513])),
    "an output weight that reaches 0 without biases": (
        twonn.Problem(x=[2.0, 0.0], y=[1, -1], step_size=0.01, bias=False, train_output=True),
        twonn.Params(w=[7.0, 7.6]),
    ),
    "tiny points": (
        twonn.Problem(x=[-1e-20, 1e-20], y=[-1, 1], step_size=1.0, bias=False),
        twonn.Params(w=[1.0, -1.0]),
    ),
}


@pytest.mark.parametrize("name", STARTS)
def test_odd_starts_agree_with_stepping(name):
    problem, params = STARTS[name]
    samples = [1, 256, 257, 999, 54_321, 10**5]
    truth, leapt = (
        twonn.run(problem, params, steps=10**6, sample_steps=samples, engine=engine)
        for engine in ("direct", "auto")
    )
    assert "leap" in leapt.segments["engine"]
    assert_same(leapt, truth)


@pytest.mark.parametrize("name", STARTS)
def test_odd_starts_go_on_to_any_horizon(name):
    problem, params = STARTS[name]
    traj = twonn.run(problem, params, log10_steps=400.0, samples_per_decade=1)
    assert traj.status is twonn.Status.COMPLETED
    assert np.all(np.isfinite(traj.states)) and np.all(np.isfinite(traj.margins))
    assert np.all(np.diff(traj.log_loss) <= 1e-12 * np.abs(traj.log_loss[1:]))  # gradient descent descends


SMALL_NEURONS = {
    # Margins near 0 leave P constant while the smaller neuron grows by many factors of e.
    "logistic": (
        twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-3, loss="logistic", train_output=True),
        twonn.Params(w=[2.0, -1e-12], v=[2.0, -1e-12]),
    ),
    "logistic, slow": (
        twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-5, loss="logistic", train_output=True),
        twonn.Params(w=[2.5, -1e-3], v=[2.5, -1e-3]),
    ),
    "exponential": (
        twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-3, train_output=True),
        twonn.Params(w=[1e-4, -1e-9], v=[1e-5, -2e-9]),
    ),
}


@pytest.mark.parametrize("name", SMALL_NEURONS)
def test_a_neuron_is_followed_where_its_margin_does_not_tell(name):
    problem, params = SMALL_NEURONS[name]
    samples = [5000, 10_000, 20_000, 30_000, 50_000, 72_733, 100_000]
    truth, leapt = (
        twonn.run(problem, params, steps=300_000, sample_steps=samples, engine=engine)
        for engine in ("direct", "auto")
    )
    small = np.linalg.norm([truth.w[:, 1, 0], truth.b[:, 1], truth.v[:, 1]], axis=0)
    assert leapt.segments["engine"][-1] == "leap"
    assert small[-1] > 2 * small[0]
    apart = difference(leapt, truth).norm
    assert apart <= ACCURACY and apart <= leapt.error_estimate + ROUNDED
    # And relative to the smaller neuron itself: what it grows by, its rounding does.
    assert np.all(np.abs(leapt.v[:, 1] - truth.v[:, 1]) <= ACCURACY * small)
    far = twonn.run(problem, params, steps=10**20, samples_per_decade=1)
    assert far.status is twonn.Status.COMPLETED and np.all(far.margins[-1] > 30)


@pytest.mark.parametrize("seed", range(40))
def test_balanced_starts_are_bounded_by_their_estimate(seed):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e-3, train_output=True)
    params = twonn.initializers.sample("balanced", 1, seed)[0]
    truth, leapt = (twonn.run(problem, params, steps=200_000, engine=engine) for engine in ("direct", "auto"))
    assert difference(leapt, truth).norm <= leapt.error_estimate + ROUNDED


# --------------------------------------------------------------------------------------------------
# Against exact solutions


def exact_parameters(problem, params, steps):
    """Parameters after any number of steps where each neuron serves a sample of its own and sees no other.

    In mpmath numbers, (w_0, w_1, b_0, b_1), d = 1.
    """
    x, w, b = problem.x[:, 0].tolist(), params.w[:, 0].tolist(), params.b.tolist()
    v = params.v.tolist()
    end_w, end_b = [], []
    for j in (0, 1):
        (i,) = (i for i in (0, 1) if w[j] * x[i] + b[j] > 0)
        margin = problem.y[i] * v[j] * (mpmath.mpf(w[j]) * x[i] + b[j])
        one = Decoupled(margin, (mpmath.mpf(x[i]) ** 2 + 1) * mpmath.mpf(v[j]) ** 2, problem.point_step)
        moved = int(problem.y[i]) * v[j] * one.accumulated(steps)
        end_w.append(w[j] + moved * x[i])
        end_b.append(b[j] + moved)
    return [*end_w, *end_b]


def successful_starts(count):
    starts = twonn.initializers.sample("he_normal", 16 * count, seed=42)
    return [p for p in starts if p.w[0, 0] > 0 > p.w[1, 0]][:count]


@pytest.mark.parametrize("x", [[-1.0, 1.0], [-1.0, 3.0]])
def test_the_exact_solution_is_met_after_any_number_of_steps(x):
    problem = twonn.Problem(x=x, y=[-1, 1], step_size=0.01)
    horizons = [10**3, 10**5, 10**8, 10**12, 10**16, 2**63 - 1, 2**63, 10**20, 10**100, 10**400, 10**1000]
    with mpmath.workdps(60):
        for params in successful_starts(6):
            traj = twonn.run(problem, params, steps=horizons[-1], sample_steps=horizons)
            for row, steps in enumerate(horizons, start=1):
                exact = exact_parameters(problem, params, steps)
                got = [*traj.w[row, :, 0], *traj.b[row]]
                largest = max(map(abs, exact))
                for one, true in zip(got, exact, strict=True):
                    # The estimate bounds the leaps; the last rounding of each parameter comes on top.
                    assert abs(one - true) <= traj.error_estimate * largest + abs(true) * 2.0**-53
                    assert abs(one - true) <= 1e-15 * largest


@pytest.mark.parametrize("log10_steps", [16.0, 1000.0, 1e5])
def test_the_boundary_is_right_to_twelve_digits(log10_steps):
    """Where the boundary tends to 0 like c/ln t too: the numerator is a difference of large numbers."""
    smallest = math.inf
    with mpmath.workdps(60):
        for params in successful_starts(40):
            traj = twonn.run(PAPER, params, log10_steps=log10_steps, sample_steps=[])
            w0, w1, b0, b1 = exact_parameters(PAPER, params, traj.horizon)
            exact = -(b0 - b1) / (w0 - w1)
            c = abs(params.w[0, 0] + params.w[1, 0]) / 2
            smallest = min(smallest, c)
            # Closed form: gap = c/(ln t + K), up to O(ln t/t); at 10^16 steps that is 4e-15 of it.
            k = math.log(2 * PAPER.point_step) + (params.w[0, 0] - params.w[1, 0]) / 2
            assert traj.gap[-1] == pytest.approx(c / (traj.log_t[-1] + k), rel=1e-12)
            assert abs(traj.boundary[-1] - exact) <= 1e-12 * abs(exact)
            assert abs(traj.gap[-1] - abs(exact)) <= 1e-12 * abs(exact)
    assert smallest < 0.05  # small c, where this is hardest


@pytest.mark.parametrize(
    "w, b", [([1.0, -1.2], [-0.1, 0.1]), ([1.0, -1.5], [-0.1, 0.4]), ([0.43, -1.47], [0, 0])]
)
def test_a_gap_below_its_error_is_told(w, b):
    # In the first two cases c = 0: the gap decays like ln t/t and drowns in rounding after 10^15 steps.
    params = twonn.Params(w=w, b=b)
    horizons = [10**k for k in (2, 4, 8, 12, 14, 16, 18, 25)]
    traj = twonn.run(PAPER, params, steps=horizons[-1], sample_steps=horizons)
    with mpmath.workdps(60):
        for row, steps in enumerate(horizons, start=1):
            w0, w1, b0, b1 = exact_parameters(PAPER, params, steps)
            exact = abs((b0 - b1) / (w0 - w1))
            assert abs(traj.gap[row] - exact) <= traj.gap_error[row] <= 1e-12
    lost = traj.gap[1:] <= traj.gap_error[1:]
    assert lost.tolist() == [False] * 5 + [True] * 3 if b[0] else not lost.any()
    assert (" ± " in repr(traj)) == bool(b[0])


def test_an_asymmetric_boundary_tends_to_its_limit():
    # (x_0 + x_1)/(1 − x_0 x_1) = 1/2, not the midpoint 1.
    traj = twonn.run(SKEW, twonn.Params(w=[0.4, -1.4]), log10_steps=1000.0, sample_steps=[])
    with mpmath.workdps(60):
        w0, w1, b0, b1 = exact_parameters(SKEW, twonn.Params(w=[0.4, -1.4]), 10**1000)
        assert abs(traj.boundary[-1] + (b0 - b1) / (w0 - w1)) < 1e-15
    assert traj.boundary[-1] == pytest.approx(0.5, abs=1e-2)


def test_two_routes_to_one_place_agree_where_nothing_else_can_tell():
    """With trained output: leaps from step 0, and leaps from a stepped state 5,000 steps on."""
    for problem in (TRAINED, twonn.Problem(x=[-1, 3], y=[-1, 1], step_size=0.3, train_output=True)):
        head = twonn.run(problem, PAPER_START, steps=5000, engine="direct").final
        for steps in (10**6, 10**9, 10**12):
            one = twonn.run(problem, PAPER_START, steps=steps, sample_steps=[])
            other = twonn.run(problem, head, steps=steps - 5000, sample_steps=[])
            ends = [parameters(traj)[-1] for traj in (one, other)]
            # The head is rounded to binary64 once, which the trajectory may carry on.
            room = one.error_estimate + other.error_estimate + 4 * ROUNDED
            assert np.linalg.norm(ends[0] - ends[1]) <= room * np.linalg.norm(ends[0])


def test_trained_output_reaches_its_law():
    # Section 7 of the design: gap = C/(√m + B) with C, B of the wrong samples' pre-activations.
    traj = twonn.run(TRAINED, PAPER_START, log10_steps=1000.0, sample_steps=[10**16])
    for row in (1, 2):
        z = traj.preactivations[row]
        c = abs(z[0, 0] - z[1, 1]) / 2**1.25
        offset = abs(z[0, 0] + z[1, 1]) / 2**1.25
        root = math.sqrt(traj.margins[row].mean())
        assert traj.gap[row] == pytest.approx(c / (root + offset), rel=0.5 / root)


# --------------------------------------------------------------------------------------------------
# Transitions


def late_switch(z):
    """A start whose neuron 1 is active on sample 1, which neuron 0 classifies with margin 1, at `z`."""

    def line(at_minus_one, at_plus_one):
        return (at_plus_one - at_minus_one) / 2, (at_plus_one + at_minus_one) / 2

    (w0, b0), (w1, b1) = line(-0.75, 1.0 + z), line(0.75, z)
    return twonn.Params(w=[w0, w1], b=[b0, b1])


LATE = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, reduction="sum")


def exact_switch(params):
    """The step, a real number, at which neuron 1's pre-activation at sample 1 is 0.

    G_01 = 0, so sample 1 moves by itself: both neurons see it, K = 4; z falls by 2 per unit of A.
    """
    z = mpmath.mpf(params.w[1, 0]) + params.b[1]
    margin = mpmath.mpf(params.w[0, 0]) + params.b[0] - z
    return Decoupled(margin, 4, LATE.point_step).steps(z / 2)


@pytest.mark.parametrize("z", [3, 4, 9, 14, 15, 16, 18, 20, 25, 30, 300, 20_000])
def test_a_late_transition_is_dated(z):
    params = late_switch(float(z))
    log10_steps = max(20.0, z)
    traj = twonn.run(LATE, params, log10_steps=log10_steps, sample_steps=[])
    ((t, log_t, before, after, low, high),) = traj.transitions.tolist()
    assert (before, after) == (0b1110, 0b0110)
    with mpmath.workdps(60 + z):
        exact = mpmath.ceil(exact_switch(params))
        assert abs(log_t - mpmath.log(exact)) <= 4e-16 * log_t + 4e-15 * z
        if mpmath.log10(exact) < 308:
            assert low <= exact <= high and low <= t <= high
            # Not wider than what an error of 1.5e-14 of z makes of the date: dt/t = 2 dz, on either side.
            assert high - low <= 6e-14 * z * t
        else:
            assert t == low == high == math.inf
        if exact < 10**13:
            assert t == low == high == exact  # and rounding leaves no doubt
    assert traj.n_transitions == 1 and traj.n_transitions_exact
    assert traj.transition_counts[before, after] == traj.transition_counts.sum() == 1


def test_the_margin_goes_on_rightly_behind_a_late_transition():
    params = late_switch(20.0)
    with mpmath.workdps(60):
        switch = exact_switch(params)
        z = mpmath.mpf(params.w[1, 0]) + params.b[1]
        margin = mpmath.mpf(params.w[0, 0]) + params.b[0] - z
        before = Decoupled(margin, 4, LATE.point_step)
        behind = Decoupled(before.margin(switch), 2, LATE.point_step)  # neuron 0 alone
        traj = twonn.run(LATE, params, log10_steps=100.0, sample_steps=[10**15])
        assert abs(traj.margins[1, 1] - before.margin(10**15)) <= 1e-13
        assert abs(traj.margins[2, 1] - behind.margin(mpmath.mpf(10) ** 100 - switch)) <= 1e-12


def test_a_short_late_transition_is_stepped_through():
    truth, leapt = (
        twonn.run(LATE, late_switch(4.0), steps=10**6, engine=engine) for engine in ("direct", "auto")
    )
    assert len(truth.transitions) == 1 and truth.transitions["t"][0] > 200_000
    assert_same(leapt, truth)
    around = leapt.segments[leapt.segments["engine"] == "direct"][-1]
    assert around["t_start"] < truth.transitions["t"][0] <= around["t_stop"]
    assert around["t_stop"] - around["t_start"] < 2000


def test_a_kink_much_nearer_than_a_leap_is_long_is_dated_to_the_step():
    # What counts is the doubt about the guard at its crossing, not at the end of a leap of 10^15 steps.
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, -1], step_size=1.0)
    params = twonn.Params(w=[1.0, 0.0], b=[1e-3 - 1, -1.0], v=[1e-9, 1e-9])
    for steps in (999_999, 1_000_000, 1_000_300, 3 * 10**7):
        truth, leapt = (twonn.run(problem, params, steps=steps, engine=e) for e in ("direct", "auto"))
        assert_same(leapt, truth)
        assert truth.n_transitions == (steps >= 10**6)
        assert (truth.status is twonn.Status.STATIONARY) == (steps >= 10**6)


def test_the_list_of_transitions_does_not_depend_on_the_horizon():
    # Where the bracket is wide, the run goes on with the new pattern at the very step that is reported.
    problem, params = LATE, late_switch(16.0)
    (row,) = twonn.run(problem, params, steps=10**17).transitions
    assert row["t_high"] - row["t_low"] > 64
    t = int(row["t"])
    for steps in (int(row["t_low"]), t - 1, t, t + 1, int(row["t_high"])):
        traj = twonn.run(problem, params, steps=steps, sample_steps=[])
        assert traj.transitions.tolist() == ([row.tolist()] if steps >= t else [])
        assert traj.pattern[-1] == (row["after"] if steps >= t else row["before"])


def test_a_run_that_dies_at_a_wide_bracket_ends_at_its_date():
    # A negative output weight on a positive sample: the only neuron that moves dies, after 10^22 steps.
    problem = twonn.Problem(x=[-1.0, 1.0], y=[1, 1], step_size=1e-3)
    traj = twonn.run(problem, twonn.Params(w=[10.0, -1e-30], v=[-1e-18, 0.0]), steps=10**40)
    assert traj.status is twonn.Status.COMPLETED  # neuron 1 does not move and stays active
    traj = twonn.run(problem, twonn.Params(w=[10.0, 0.0], v=[-1e-18, 0.0]), steps=10**40)
    assert traj.status is twonn.Status.STATIONARY
    (row,) = traj.transitions
    # z = 10 falls by 2 h v/2 a step: the margin, -1e-17, hardly moves.
    assert row["t_low"] < row["t"] < row["t_high"] and row["t_low"] <= 1e22 <= row["t_high"]
    assert row["after"] == 0
    assert traj.end_step == traj.t[-1] == row["t"]


BEYOND = {
    # A neuron reaches a sample that no neuron saw, after 10^31 and 10^74 steps: steps are large again.
    "10^31": (
        twonn.Problem(x=[-0.8, 0.8], y=[1, 1], step_size=3.78),
        twonn.Params(w=[7.25, 10.06], b=[0.0, 0.2], v=[-0.0087, 1.69]),
        10**60,
    ),
    "10^74": (
        twonn.Problem(x=[1.0, -1.0], y=[-1, 1], step_size=0.0073, bias=False),
        twonn.Params(w=[0.09, -0.046], v=[2.31, -0.00146]),
        10**100,
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_a_transition_beyond_all_counting_starts_is_stepped_through(name):
    problem, params, steps = BEYOND[name]
    traj = twonn.run(problem, params, steps=steps, samples_per_decade=1)
    row = traj.transitions[-1]
    assert row["t"] > 2**63 and row["t_low"] < row["t"] < row["t_high"] < row["t"] * (1 + 1e-8)
    assert traj.segments["engine"].tolist() == ["direct", "leap", "direct", "leap"]
    assert 0 < traj.segments["blocks"][2] < 100
    before = traj.log_t < row["log_t"]
    unseen = int(np.argmin(traj.margins[before][-1]))
    assert traj.margins[before][-1, unseen] == 0 and traj.margins[-1, unseen] > 10
    # The late law m_i = ln(h t/u_i), H u = 1, of the final pattern; corrections fall like t^-0.6.
    seen = np.array([[traj.pattern[-1] >> (2 * j + i) & 1 for i in (0, 1)] for j in (0, 1)])
    gram = problem.x @ problem.x.T + problem.bias
    tangent = np.outer(problem.y, problem.y) * gram * np.einsum("j,ji,jk->ik", params.v**2, seen, seen)
    u = np.linalg.solve(tangent, np.ones(2))
    assert traj.margins[-1] == pytest.approx(np.log(problem.point_step / u) + traj.log_t[-1], rel=1e-9)


def test_times_do_not_decrease_where_counting_ends():
    samples = [2**63 - 2**12, 2**63 - 1, 2**63, 2**63 + 1]
    traj = twonn.run(PAPER, PAPER_START, steps=10**20, sample_steps=samples)
    assert np.all(np.diff(traj.t) >= 0) and traj.t[2:5] == pytest.approx(2.0**63, rel=1e-13)


def test_a_bracket_holds_the_step_that_stepping_gives():
    # After a leap every transition's bracket has to hold the direct engine's date.
    held = wide = 0
    for seed in range(40):
        truth, leapt = both(seed, 200_000, sliding=True)
        if leapt.error_estimate > 1e-12 or not len(leapt.transitions):
            continue
        t = truth.transitions["t"]
        assert np.all((leapt.transitions["t_low"] <= t) & (t <= leapt.transitions["t_high"]))
        held += len(t)
        wide += int(np.sum(leapt.transitions["t_low"] < leapt.transitions["t_high"]))
    assert held > 1000 and wide > 100


# --------------------------------------------------------------------------------------------------
# Bits


KINDS = {
    "fixed": (PAPER, PAPER_START),
    "trained": (TRAINED, PAPER_START),
    "coupled": (
        twonn.Problem(x=[[1.0, 0.2], [0.1, 1.0]], y=[1, 1], step_size=0.1),
        twonn.Params(w=[[1.0, 0.5], [0.2, 0.3]], b=[0.3, 0.2], v=[1.0, 0.7]),
    ),
    "a transition": (LATE, late_switch(4.0)),
    "a late transition": (LATE, late_switch(16.0)),
    "chatter between leaps": random_problem(88),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_horizon_sampling_or_watching(kind, monkeypatch):
    problem, params = KINDS[kind]
    seed = 12
    print("seed", seed)
    rng = np.random.default_rng(seed)
    top = 6.0 if kind.startswith("chatter") else 25.0
    steps = sorted({int(10**e) for e in rng.uniform(0, top, size=30)})
    one = twonn.run(problem, params, steps=steps[-1], sample_steps=steps)
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 1)
    for row, step in enumerate(steps, start=1):
        seen = []
        alone = twonn.run(
            problem,
            params,
            steps=step,
            samples_per_decade=3,
            progress=lambda taken, asked, seen=seen: seen.append(taken),
        )
        assert alone.states[-1].tobytes() == one.states[row].tobytes()
        assert alone.pattern[-1] == one.pattern[row]
        assert seen[-1] == pytest.approx(step, rel=1e-12) and seen == sorted(seen)
    assert "leap" in one.segments["engine"]


def test_dimensions_that_are_zero_change_no_bit():
    x = np.zeros((2, 1000))
    x[:, 0] = PAPER.x[:, 0]
    w = np.zeros((2, 1000))
    w[:, 0] = PAPER_START.w[:, 0]
    wide = twonn.run(twonn.Problem(x=x, y=PAPER.y, step_size=0.01), twonn.Params(w=w), steps=10**16)
    narrow = twonn.run(PAPER, PAPER_START, steps=10**16)
    assert wide.states.tobytes() == narrow.states.tobytes()


def test_a_horizon_can_be_written_either_way():
    one = twonn.run(PAPER, PAPER_START, steps=10**400, samples_per_decade=2)
    other = twonn.run(PAPER, PAPER_START, log10_steps=400.0, samples_per_decade=2)
    assert one.states.tobytes() == other.states.tobytes()
    assert one.horizon == one.end_step == 10**400
    assert one.t[-1] == math.inf and one.log_t[-1] == math.log(10**400)


# --------------------------------------------------------------------------------------------------
# Outcomes, segments, refusals


def test_segments_cover_the_run_without_a_gap():
    for problem, params in KINDS.values():
        traj = twonn.run(problem, params, steps=10**6)
        segments = traj.segments
        assert segments["t_start"][0] == 0 and segments["t_stop"][-1] == 10**6
        assert np.array_equal(segments["t_start"][1:], segments["t_stop"][:-1])
        assert np.all(segments["engine"][1:] != segments["engine"][:-1])
        assert np.all(segments["blocks"] > 0)
        leaps = segments["engine"] == "leap"
        assert np.all((segments["iterations"] > 0) == leaps)
        assert np.array_equal(segments["log_t_stop"], np.log(segments["t_stop"]))


def test_stretches_too_many_to_tell_apart_are_summed_up():
    # A misclassified sample without a neuron of its own: transitions at geometrically growing times.
    problem, params = random_problem(40, sliding=True)
    traj = twonn.run(problem, params, steps=10**9)
    assert len(traj.segments) == _core.SEGMENTS_KEPT
    last = traj.segments[-1]
    assert last["engine"] == "mixed" and last["t_stop"] == 10**9
    assert traj.segments["t_stop"][-2] == last["t_start"]


def test_the_direct_engine_leaps_nowhere():
    traj = twonn.run(PAPER, PAPER_START, steps=10**5, engine="direct")
    assert traj.segments["engine"].tolist() == ["direct"]
    assert traj.error_estimate == 0.0
    assert "every step taken" in repr(traj)


def test_the_cost_does_not_grow_with_the_horizon():
    """In blocks and iterations, which are the same everywhere."""
    for problem, blocks, iterations in ((PAPER, 12, 40), (TRAINED, 45, 450)):
        traj = twonn.run(problem, PAPER_START, log10_steps=1e5, samples_per_decade=0.01)
        (leap,) = traj.segments[traj.segments["engine"] == "leap"]
        assert leap["blocks"] <= blocks and leap["iterations"] <= iterations
        assert leap["t_stop"] == math.inf and leap["log_t_stop"] == traj.log_t[-1]


def test_what_never_moves_reaches_any_horizon():
    for params in (twonn.Params(w=[0.4, -1.4], v=[0.0, 0.0]), twonn.Params(w=[1e50, -1e50])):
        traj = twonn.run(PAPER, params, steps=10**400, sample_steps=[10**300])
        assert traj.status is twonn.Status.COMPLETED  # its units are active: this is not rest
        assert np.all(traj.w == params.w)
        assert traj.error_estimate == 0.0


def test_a_large_margin_moves_when_its_time_has_come():
    # e^2000/(2h) steps: nothing happens before about 10^870.
    traj = twonn.run(PAPER, twonn.Params(w=[2000.0, -2000.0]), log10_steps=1000.0, samples_per_decade=1)
    early = traj.log_t < 2000 - 37 - math.log(2 * PAPER.point_step)
    assert early.sum() > 800
    assert np.all(traj.margins[early] == 2000.0)
    assert traj.margins[-1] == pytest.approx(traj.log_t[-1] + math.log(2 * PAPER.point_step), rel=1e-13)


def test_outcomes_are_those_of_stepping():
    wild = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=30.0, reduction="sum", train_output=True)
    for problem, params in (
        (PAPER, twonn.Params(w=[0.0, 0.0], b=[-1.0, -2.0])),
        (PAPER, twonn.Params(w=[-1.0, 1.0])),
        (wild, twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[0.7, -0.6])),
    ):
        truth = twonn.run(problem, params, steps=10**6, engine="direct")
        assert truth.status is not twonn.Status.COMPLETED
        for options in ({"steps": 10**6}, {"steps": 10**400}, {"steps": 10**6, "engine": "leap"}):
            traj = twonn.run(problem, params, **options)
            assert traj.status is truth.status
            assert traj.end_step == truth.end_step
            assert traj.states[-1].tobytes() == truth.states[-1].tobytes()


def test_a_run_that_cannot_be_leapt_over_is_refused_with_the_reason():
    reason = "single steps still change a margin"
    with pytest.raises(ValueError, match=f"engine: got 'leap'; .*at step .*({reason}).*engine=.auto"):
        twonn.run(CYCLE, CYCLING, steps=10**12, engine="leap")
    traj = twonn.run(CYCLE, CYCLING, steps=10**400, max_direct=10**6)
    assert traj.status is twonn.Status.OBSTRUCTED and reason in traj.obstacle
    assert twonn.run(CYCLE, CYCLING, steps=20_000).status is twonn.Status.COMPLETED


def test_a_run_short_enough_is_stepped_even_by_leap():
    traj = twonn.run(CHATTER, CHATTER_START, steps=10**5, engine="leap", sliding="step")
    truth = twonn.run(CHATTER, CHATTER_START, steps=10**5, engine="direct")
    assert traj.n_transitions == truth.n_transitions > 1000


def test_a_run_can_be_interrupted_beyond_all_counting():
    run = _core.Run(
        TRAINED.x,
        TRAINED.y.astype(float),
        TRAINED.point_step,
        True,
        False,
        True,
        PAPER_START.w,
        PAPER_START.b,
        PAPER_START.v,
        np.array([0]),
        np.array([2300.0]),
        _core.AUTO,
    )
    while run.step >= 0:
        run.advance(1)
    assert run.status == _core.RUNNING and 43.6 < run.log_step < 2300
    run.interrupt()
    assert run.sample_logs[-1] == run.log_step and run.sample_steps[-1] == -1


def test_far_runs_are_saved_and_read_back(tmp_path):
    traj = twonn.run(LATE, late_switch(300.0), log10_steps=500.0, samples_per_decade=1)
    traj.save(tmp_path / "far.npz")
    back = twonn.load(tmp_path / "far.npz")
    for name in ("t", "log_t", "states", "transitions", "segments"):
        assert getattr(back, name).tobytes() == getattr(traj, name).tobytes()
    assert back.horizon == 10**500
    assert back.error_estimate == traj.error_estimate > 0
    assert "10^500" in repr(back) and "leaps in" in repr(back)


def test_the_estimate_grows_where_the_trajectory_amplifies_rounding():
    # The smaller neuron has shrunk by 1e5, and what leaping added has grown by as much.
    truth, leapt = (
        twonn.run(*random_problem(191), steps=20_000, sample_steps=[], engine=engine)
        for engine in ("direct", "auto")
    )
    assert leapt.segments["engine"][-1] == "leap"
    assert 1e-13 < difference(leapt, truth).norm < leapt.error_estimate < 1e-8


def test_accuracy_that_was_missed_is_said():
    # The smaller neuron decays towards a saddle, and rounding decides where it leaves it.
    traj = twonn.run(*random_problem(191), steps=10**5, sliding="step")
    assert traj.error_estimate > 1e-14
    assert "more than the 1e-14 that leaps aim at" in repr(traj)
