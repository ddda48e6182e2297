"""Sliding: averaged leaps against stepping, against the universal law, and what is told of them."""

import functools
import math
import re

import numpy as np
import pytest
from cases import outcome

import twonn
from twonn import _core

ISSUE = {"x": [2.0, 1.0], "y": [1, -1]}
HALVES = {"x": [0.5, -0.5], "y": [1, -1]}
UNEVEN = {"x": [-0.3, 0.8], "y": [1, -1]}
START = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])


def sum_problem(**options) -> twonn.Problem:
    return twonn.Problem(**{"step_size": 0.05, "reduction": "sum", **options})


SLIDING = sum_problem(**ISSUE)


def random_sliding(seed: int) -> tuple[twonn.Problem, twonn.Params]:
    """Opposite labels, points at an angle of less than 84 degrees (lifted), each served by a neuron."""
    print("seed", seed)
    rng = np.random.default_rng(seed)
    cosine = 0.0
    while cosine < 0.1:
        d = int(rng.integers(1, 4))
        x = rng.normal(size=(2, d)) * rng.choice([0.3, 1.0, 2.0])
        cosine = (x[0] @ x[1] + 1) / math.sqrt((x[0] @ x[0] + 1) * (x[1] @ x[1] + 1))
    problem = sum_problem(
        x=x,
        y=[1, -1],
        step_size=float(10 ** rng.uniform(-2.5, -0.7)),
        loss=str(rng.choice(["exponential", "logistic"])),
        train_output=bool(rng.random() < 0.5),
    )
    while True:
        w, b = rng.normal(size=(2, d)), 0.3 * rng.normal(size=2)
        z = w @ x.T + b[:, None]
        if z[0, 0] > 0 and z[1, 1] > 0:
            return problem, twonn.Params(w=w, b=b, v=[1.0, -1.0])


def slow_difference(one: twonn.Trajectory, other: twonn.Trajectory, n: int) -> float:
    """The distance of two runs at sample n in all that does not saw.

    A tooth moves (w_j, b_j) along (x_i, 1): that direction is left out for neurons that slide.
    """
    problem = one.problem
    lifted = np.column_stack([problem.x, np.full(2, float(problem.bias))])
    difference = np.column_stack([one.w[n] - other.w[n], one.b[n] - other.b[n]])
    for j in range(2):
        for i in range(2):
            if other.phase_unknown[n, j, i]:
                along = difference[j] @ lifted[i] / (lifted[i] @ lifted[i])
                difference[j] -= along * lifted[i]
    return math.hypot(*difference.ravel(), *(one.v[n] - other.v[n]))


@functools.cache
def both(seed: int, steps: int) -> tuple[twonn.Trajectory, twonn.Trajectory]:
    problem, params = random_sliding(seed)
    return tuple(
        twonn.run(problem, params, steps, samples_per_decade=5, engine=engine)
        for engine in ("direct", "auto")
    )


def averaged(traj: twonn.Trajectory) -> np.ndarray:
    return np.flatnonzero(traj.phase_unknown.any(axis=(1, 2)))


# --------------------------------------------------------------------------------------------------
# Against the direct engine, which takes every step


@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("data", [ISSUE, HALVES, UNEVEN], ids=["(2, 1)", "+-0.5", "(-0.3, 0.8)"])
def test_the_slow_variables_are_those_of_stepping(data, loss, train_output):
    problem = sum_problem(**data, loss=loss, train_output=train_output)
    truth = twonn.run(problem, START, 10**6, engine="direct")
    traj = twonn.run(problem, START, 10**6)
    slide = traj.segments[traj.segments["engine"] == "slide"]
    assert slide["t_start"][0] < (1e5 if train_output else 2e4)  # so early
    assert traj.segments["engine"].tolist() == ["direct", "slide"]
    for n in averaged(traj):
        assert slow_difference(truth, traj, n) <= traj.error_bound
    # What the phase at the beginning changed is a shift of time by a fraction of a step, whose effect falls
    # like 1/t: at 10^6 of the order of 1e-2/t. Without the terms of second order it is a hundred times that.
    assert slow_difference(truth, traj, -1) < 3e-8
    assert np.array_equal(traj.slides[["neuron", "point", "t_enter", "t_exit"]],
                          truth.slides[["neuron", "point", "t_enter", "t_exit"]])  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("data", [ISSUE, HALVES], ids=["(2, 1)", "+-0.5"])
def test_the_slow_variables_at_1e8_steps(data, loss, train_output):
    problem = sum_problem(**data, loss=loss, train_output=train_output)
    truth = twonn.run(problem, START, 10**8, engine="direct", sample_steps=[])
    traj = twonn.run(problem, START, 10**8, sample_steps=[])
    assert slow_difference(truth, traj, -1) < 1e-9
    reach = np.sqrt(np.sum(problem.x**2, axis=1) + 1)
    sawtooth = float((traj.sawtooth[-1] / reach).sum())
    assert abs(traj.gap[-1] - truth.gap[-1]) < 10 * sawtooth
    assert abs(traj.gap[-1] - truth.gap[-1]) <= traj.gap_error[-1]


@pytest.mark.parametrize("seed", range(60))
def test_random_runs_agree_with_stepping(seed):
    assert_close(*both(seed, 200_000))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_long_random_runs_agree_with_stepping(seed):
    assert_close(*both(seed, 10**7))
    both.cache_clear()


def assert_close(truth: twonn.Trajectory, traj: twonn.Trajectory) -> None:
    assert outcome(traj) is outcome(truth)
    for n in averaged(traj):
        assert slow_difference(truth, traj, n) <= traj.error_bound
        # The tooth that z_ji is in, with a quarter for its shrinking during one.
        off = np.abs(truth.preactivations[n] - traj.preactivations[n])
        slides = traj.sawtooth[n] > 0
        assert np.all(off[slides] <= 0.75 * traj.sawtooth[n][slides] + traj.error_bound)
        assert abs(truth.gap[n] - traj.gap[n]) <= traj.gap_error[n]


def test_the_random_runs_are_of_all_kinds():
    runs = [both(seed, 200_000)[1] for seed in range(60)]
    slid = [traj for traj in runs if traj.phase_unknown[-1].any()]
    assert len(slid) > 30
    assert {traj.problem.loss for traj in slid} == {"exponential", "logistic"}
    assert {traj.problem.train_output for traj in slid} == {False, True}
    assert {int(traj.phase_unknown[-1].sum()) for traj in slid} == {1, 2}
    assert np.median([traj.error_estimate for traj in slid]) < 3e-5


def test_averaging_is_of_second_order():
    # First-order averaging is off by O(1) teeth; what is left is of their square, and of the entry's.
    runs = [both(seed, 200_000) for seed in range(60)]
    parts = [
        slow_difference(*pair, -1) / pair[1].sawtooth[-1].sum()
        for pair in runs
        if pair[1].phase_unknown[-1].any()
    ]
    assert np.median(parts) < 1e-3 and max(parts) < 1e-2


# --------------------------------------------------------------------------------------------------
# The universal law: no memory of the start


def late_coupling(problem: twonn.Problem, slides: list[tuple[int, int]], v: np.ndarray) -> np.ndarray:
    """H, to which a sliding neuron contributes v²(G_kk − G_ik²/G_ii), to H_kk only; from the formula."""
    gram = problem.x @ problem.x.T + 1
    h = np.zeros((2, 2))
    for j in range(2):
        sample = [s for n, s in slides if n == j]
        if sample:
            i, k = sample[0], 1 - sample[0]
            h[k, k] += v[j] ** 2 * (gram[k, k] - gram[i, k] ** 2 / gram[i, i])
        else:
            h += v[j] ** 2 * gram * np.outer(problem.y, problem.y)
    return h


def universal_problem(seed: int) -> tuple[twonn.Problem, twonn.Params]:
    """Scalar points with G_01 > 0, away from the marginal cases θ = 1."""
    print("seed", seed)
    rng = np.random.default_rng(seed)
    while True:
        x = np.sort(rng.uniform(-2, 2, size=2))[:: rng.choice([-1, 1])]
        v = np.array([1.0, -1.0]) * rng.uniform(0.7, 1.4, size=2)
        gram = np.outer(x, x) + 1
        if gram[0, 1] < 0.05 or abs(x[0] - x[1]) < 0.3:
            continue
        # Neuron 0 serves sample 0: both slide iff both of these are below 1.
        ratios = np.array([v[1] ** 2 * gram[0, 1] / (v[0] ** 2 * gram[0, 0]),
                           v[0] ** 2 * gram[0, 1] / (v[1] ** 2 * gram[1, 1])])  # fmt: skip
        if np.all(np.abs(ratios - 1) > 0.05):
            break
    problem = twonn.Problem(x=x, y=[1, -1], step_size=0.02, loss=str(rng.choice(["exponential", "logistic"])))
    while True:
        w, b = rng.normal(size=2), rng.normal(size=2)
        z = np.outer(w, x) + b[:, None]
        if z[0, 0] > 0 and z[1, 1] > 0:
            return problem, twonn.Params(w=w, b=b, v=v)


@pytest.mark.parametrize("log10_steps", [16.0, 1000.0])
@pytest.mark.parametrize("seed", range(50))
def test_the_gap_follows_the_universal_law(seed, log10_steps):
    problem, params = universal_problem(seed)
    traj = twonn.run(problem, params, log10_steps=log10_steps, samples_per_decade=1)
    still = traj.slides[np.isinf(traj.slides["t_exit"])]
    assert len(still) >= 1
    coupling = late_coupling(problem, still[["neuron", "point"]].tolist(), params.v)
    u = np.linalg.solve(coupling, np.ones(2))
    assert np.all(u > 0)
    log_t, h = traj.log_t[-1], problem.point_step
    # m_i = ln(h t/u_i), up to deviations that decay like (t/t₀)^−min(1, λ) since the last neuron began to
    # slide; f is linear between the points, so that the law has no other remainder.
    decay = min(1.0, u[0] * u[1] * np.linalg.det(coupling))
    rest = 10 * log_t * math.exp(-decay * (log_t - math.log(max(still["t_enter"]))))
    assert traj.margins[-1] == pytest.approx(log_t + np.log(h / u), rel=1e-13 + rest, abs=1e-12)
    law = abs(problem.x[1, 0] - problem.x[0, 0]) / 2 * abs(math.log(u[0] / u[1]))
    law /= 2 * log_t + math.log(h * h / (u[0] * u[1]))
    assert traj.gap[-1] == pytest.approx(law, rel=1e-11, abs=1e-14 + rest)
    gram = problem.x @ problem.x.T + 1
    for slide in still:
        i = int(slide["point"])
        fraction = u[1 - i] * gram[i, 1 - i] / (u[i] * gram[i, i])
        assert slide["active_fraction"] == pytest.approx(fraction, abs=1e-8 + rest)


def test_the_universal_problems_are_of_both_kinds():
    counts = []
    for seed in range(50):
        problem, params = universal_problem(seed)
        traj = twonn.run(problem, params, steps=10**16, samples_per_decade=1)
        counts.append(int(np.isinf(traj.slides["t_exit"]).sum()))
    assert counts.count(1) > 10 and counts.count(2) > 10


# --------------------------------------------------------------------------------------------------
# Where averaging would be wrong


def test_a_misclassified_sample_whose_neuron_is_dead_is_leapt_over_between_transitions():
    # Its teeth stay as high as they are: switching on happens at times in the ratio
    # exp(h s v² det G/G_01) = exp(0.005 · 1 · 1 · 1/0.75), s = 1: x = ±0.5.
    problem = twonn.Problem(x=[0.5, -0.5], y=[1, -1], step_size=0.01)
    params = twonn.Params(w=[0.5, 0.1], b=[0.5, -1.0])
    traj = twonn.run(problem, params, 10**10, sliding="step")
    assert traj.n_transitions_exact and not traj.phase_unknown.any()
    assert traj.slides[["neuron", "point", "t_exit"]].tolist() == [(0, 1, math.inf)]
    on = traj.transitions[traj.transitions["after"] > traj.transitions["before"]]
    late = on["t"][on["t"] > 1e7]
    assert len(late) > 500
    assert late[1:] / late[:-1] == pytest.approx(math.exp(0.005 / 0.75), rel=1e-5)
    # Their mean is the same course in a few leaps. With strokes of a = h s |G_01| and a rise of κ̂α in all,
    # κ̂ = G_00 − G_01²/G_11 = 0.8, α = h s G_11/G_01, z_00 − (G_01/G_11) z_01 is within a κ̂α/8 of it; a tenth
    # of that for what is of higher order.
    mean = twonn.run(problem, params, 10**10)
    assert not mean.n_transitions_exact and np.argwhere(mean.phase_unknown[-1]).tolist() == [[0, 1]]
    assert mean.segments["blocks"][mean.segments["engine"] == "slide"].sum() < 20
    slow = [run.preactivations[-1, 0] @ [1.0, -0.75 / 1.25] for run in (traj, mean)]
    assert abs(slow[0] - slow[1]) <= 1.1 * (0.005 * 0.75) * 0.8 * (0.005 * 1.25 / 0.75) / 8
    # h s G_11, s = 1
    assert mean.sawtooth[-1, 0, 1] == pytest.approx(0.005 * 1.25, rel=1e-3)


def test_an_active_fraction_of_1_is_the_limit_of_stepping():
    # x = (0, 1): neuron 0 touches its kink at sample 1 ever more rarely, neuron 1 slides with θ = 1/2.
    problem = sum_problem(x=[0.0, 1.0], y=[1, -1])
    truth = twonn.run(problem, START, 10**7, engine="direct")
    traj = twonn.run(problem, START, 10**7)
    assert abs(traj.gap[-1] - truth.gap[-1]) <= traj.gap_error[-1]
    assert slow_difference(truth, traj, -1) < 1e-7  # a tooth of neuron 0
    late = twonn.run(problem, START, log10_steps=1000.0, samples_per_decade=1)
    # The law of one sliding neuron and of two: u = (2, 1).
    assert late.margins[-1] == pytest.approx(late.log_t[-1] + np.log([0.05 / 2, 0.05]), rel=1e-12)


# --------------------------------------------------------------------------------------------------
# What is told


def test_an_averaged_run_says_so():
    traj = twonn.run(SLIDING, START, 10**16)
    assert not traj.n_transitions_exact and traj.n_transitions > 1000
    assert traj.segments["engine"].tolist() == ["direct", "slide"]
    (slide,) = traj.slides
    assert (slide["neuron"], slide["point"], slide["t_exit"]) == (0, 1, math.inf)
    assert 100 < slide["t_enter"] < 1000
    text = repr(traj)
    assert "most of it from averaging" in text and "at least" in text
    assert "neuron 0 at point 1 since step" in text
    # z_01 is its mean, (θ − 1/2) of a tooth, and the pattern holds its sign.
    late = traj.phase_unknown.any(axis=(1, 2))
    mean = traj.preactivations[late, 0, 1]
    # To what is left of the approach to θ, and of the margins' own teeth, when averaging begins.
    assert mean == pytest.approx((15 / 17 - 0.5) * traj.sawtooth[late, 0, 1], rel=1e-3)
    assert np.all(traj.pattern[late] >> 1 & 1)
    assert np.all(traj.sawtooth[~late] == 0)


def test_two_sliding_neurons_and_their_samples():
    traj = twonn.run(sum_problem(**HALVES), START, 10**12)
    assert sorted(traj.slides[["neuron", "point"]].tolist()) == [(0, 1), (1, 0)]
    assert traj.slides["active_fraction"] == pytest.approx(0.6, abs=1e-8)


def test_bits_do_not_depend_on_horizon_sampling_or_watching():
    for problem in (SLIDING, sum_problem(**HALVES, train_output=True, loss="logistic")):
        steps = [3000, 10**4, 31_416, 10**6, 10**9, 10**15]
        one = twonn.run(problem, START, steps[-1], sample_steps=steps)
        for row, step in enumerate(steps, start=1):
            alone = twonn.run(problem, START, step, samples_per_decade=3)
            assert alone.states[-1].tobytes() == one.states[row].tobytes()
            assert alone.pattern[-1] == one.pattern[row]
            assert np.array_equal(alone.phase_unknown[-1], one.phase_unknown[row])


def test_the_cost_does_not_grow_with_the_horizon():
    for train_output, blocks in ((False, 20), (True, 250)):
        problem = sum_problem(**ISSUE, train_output=train_output)
        traj = twonn.run(problem, START, log10_steps=1e5, samples_per_decade=0.01)
        assert traj.segments["engine"].tolist() == ["direct", "slide"]
        assert traj.segments["blocks"][1] <= blocks


def test_forbidden_averaging_steps_or_gives_up():
    truth = twonn.run(SLIDING, START, 10**5, engine="direct")
    traj = twonn.run(SLIDING, START, 10**5, sliding="step")
    assert traj.n_transitions_exact and traj.n_transitions == truth.n_transitions
    assert traj.states[-1].tobytes() == truth.states[-1].tobytes()
    assert traj.slides.tobytes() == truth.slides.tobytes()
    refusal = r"sliding: got 'step'; .*at step 16,777.*a neuron stays so near its kink.*Use sliding=.average"
    with pytest.raises(ValueError, match=refusal):
        twonn.run(SLIDING, START, 10**12, engine="leap", sliding="step")
    for steps in (10**12 + 1, 10**400):
        traj = twonn.run(SLIDING, START, steps, sliding="step", max_direct=10**6)
        assert traj.status is twonn.Status.OBSTRUCTED and 900_000 < traj.end_step < 10**6
        assert re.search(r"a neuron stays so near its kink .*sliding=.step. forbids", traj.obstacle)
    averaged = twonn.run(SLIDING, START, 10**400, max_direct=10**6)
    assert averaged.status is twonn.Status.COMPLETED and not averaged.n_transitions_exact
    assert twonn.run(SLIDING, START, steps=20_000).status is twonn.Status.COMPLETED


def test_slides_and_teeth_survive_a_file(tmp_path):
    traj = twonn.run(SLIDING, START, 10**8)
    traj.save(tmp_path / "slide.npz")
    again = twonn.load(tmp_path / "slide.npz")
    assert again.slides.tobytes() == traj.slides.tobytes()
    assert np.array_equal(again.sawtooth, traj.sawtooth) and again.sawtooth.any()


def test_the_kernel_keeps_averaging_apart():
    traj = twonn.run(SLIDING, START, 10**8)
    run = _core.Run(
        SLIDING.x, SLIDING.y.astype(float), SLIDING.point_step, True, False, False, START.w, START.b, START.v,
        np.array([0, 10**8]), np.empty(0), _core.AUTO,
    )  # fmt: skip
    while run.status == _core.RUNNING:
        run.advance(1 << 20)
    assert run.averaged and run.error < 1e-10 < run.averaging_error
    assert traj.error_bound == run.error + run.averaging_error


def test_a_neuron_left_behind_its_kink_does_not_slide_yet():
    """G_01 = 5e-17: once pushed off its kink, a neuron takes e^(10^10) steps to return: no averaging."""
    problem = twonn.Problem(x=[3.0, -1 / 3], y=[1, -1], step_size=0.01)
    start = twonn.Params(w=[-0.6, -2.1], b=[2.8, 5.3])
    direct = twonn.run(problem, start, 10**6, engine="direct")
    assert direct.transitions["t"].tolist() == [727467]
    for traj in (twonn.run(problem, start, 10**6), twonn.run(problem, start, log10_steps=1e4)):
        assert "slide" not in traj.segments["engine"]
        # It rises by 1e-17 of ln t, and is the sum of pushes of one point, 5 in all, rounded once.
        behind = direct.preactivations[-1, 0, 1] + 5.6e-18 * traj.log_t[-1]
        assert traj.preactivations[-1, 0, 1] == pytest.approx(behind, rel=0, abs=1e-14)
    assert traj.error_estimate < 1e-14
