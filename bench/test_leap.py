"""What a leap costs: beside the direct engine, and what "auto" costs where there is nothing to leap over.

No time is asserted. What is asserted, before any time is taken, is that the result is right: against the
exact solution where there is one, and against the direct engine elsewhere.
"""

import time

import numpy as np
import pytest
from cases import difference, parameters, random_problem
from measuring import PAPER_START, Exact, paper, size
from peers import parameters_of

import twonn
from twonn import _core

ROUNDS = size(301, 2)
YARDSTICK = 100_000  # direct steps, timed in turns with every leap

MICRO, MILLI = 1e-6, 1e-3


def assert_exact(trajectory):
    """Fixed output: every parameter to a few roundings of the largest."""
    exact = Exact(trajectory.problem, trajectory.params)
    assert exact.error(parameters_of(trajectory), exact.descent(trajectory.horizon)) <= 1e-15


def assert_like_stepping(problem, params):
    """Trained output: no exact solution, but many steps of the direct engine."""
    steps = size(10**7, 10**5)
    truth, leapt = (twonn.run(problem, params, steps=steps, engine=engine) for engine in ("direct", "auto"))
    assert difference(leapt, truth).norm <= 1e-15


def kernel(problem, params, late=()):
    return _core.Run(
        problem.x,
        problem.y.astype(float),
        problem.point_step,
        problem.bias,
        problem.loss == "logistic",
        problem.train_output,
        params.w,
        params.b,
        params.v,
        np.array([0, 10**16] if len(late) == 0 else [0]),
        np.array(late, dtype=float),
        _core.AUTO,
    )


@pytest.mark.parametrize(
    ("case", "trained", "options", "target"),
    [
        ("run to 10^16, 20 samples a decade, fixed", False, {"steps": 10**16}, 500 * MICRO),
        ("run to 10^16, 20 samples a decade, trained", True, {"steps": 10**16}, 500 * MICRO),
        (
            "run to 10^1000, 2 samples a decade, fixed",
            False,
            {"log10_steps": 1000.0, "samples_per_decade": 2},
            2 * MILLI,
        ),
        (
            "run to 10^1000, 2 samples a decade, trained",
            True,
            {"log10_steps": 1000.0, "samples_per_decade": 2},
            10 * MILLI,
        ),
    ],
)
def test_run(case, trained, options, target, benchmark, add_leap):
    problem = paper(train_output=trained)
    trajectory = twonn.run(problem, PAPER_START, **options)
    if trained:
        assert_like_stepping(problem, PAPER_START)
    else:
        assert_exact(trajectory)
    add_leap(benchmark, case, lambda: twonn.run(problem, PAPER_START, **options), target)


@pytest.mark.parametrize(
    ("case", "trained", "target"),
    [
        ("kernel alone to 10^16, fixed", False, 50 * MICRO),
        ("kernel alone to 10^16, trained", True, 150 * MICRO),
    ],
)
def test_kernel(case, trained, target, benchmark, add_leap):
    problem = paper(train_output=trained)
    run = kernel(problem, PAPER_START)
    run.advance(1 << 62)
    assert run.status == _core.COMPLETED
    whole = twonn.run(problem, PAPER_START, steps=10**16, sample_steps=[])
    assert run.sample_states[-1].tobytes() == whole.states[-1].tobytes()
    waiting = [kernel(problem, PAPER_START) for _ in range(ROUNDS + 1)]
    add_leap(benchmark, case, lambda: waiting.pop().advance(1 << 62), target)


def assert_universal(trajectory):
    """Fixed output, x = (2, 1): neuron 0 slides at point 1, and the law that has no memory of the start.

    H with G_00 − G_01²/G_11 = 1/2 for the neuron that slides: [[5, 3], [3, 2]] + [[1/2, 0], [0, 0]], less the
    signs of the labels; what is left of the approach to it falls like 1/t.
    """
    coupling = np.array([[5.5, -3.0], [-3.0, 2.0]])
    u = np.linalg.solve(coupling, np.ones(2))
    log_t, rate = trajectory.log_t[-1], trajectory.problem.point_step
    assert np.allclose(trajectory.margins[-1], log_t + np.log(rate / u), rtol=1e-12, atol=0)
    law = 0.5 * abs(np.log(u[0] / u[1])) / (2 * log_t + np.log(rate * rate / (u[0] * u[1])))
    assert abs(trajectory.gap[-1] / law - 1) < 1e-9


@pytest.mark.parametrize(
    ("case", "trained", "options", "target"),
    [
        ("sliding to 10^16, fixed", False, {"steps": 10**16}, 5 * MILLI),
        ("sliding to 10^16, trained", True, {"steps": 10**16}, 5 * MILLI),
        ("sliding to 10^1000, fixed", False, {"log10_steps": 1000.0, "samples_per_decade": 2}, 20 * MILLI),
        ("sliding to 10^1000, trained", True, {"log10_steps": 1000.0, "samples_per_decade": 2}, 20 * MILLI),
    ],
)
def test_sliding(case, trained, options, target, benchmark, add_leap):
    problem = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum", train_output=trained)
    start = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[1.0, -1.0])
    trajectory = twonn.run(problem, start, **options)
    assert np.isinf(trajectory.slides["t_exit"][-1])
    if trained:
        truth, leapt = (
            twonn.run(problem, start, steps=10**7, engine=engine) for engine in ("direct", "auto")
        )
        assert np.abs(truth.v[-1] - leapt.v[-1]).max() <= 1e-8
    else:
        assert_universal(trajectory)
    add_leap(benchmark, case, lambda: twonn.run(problem, start, **options), target)


@pytest.fixture
def add_leap(add_time):
    """Time something in turns with a stretch of direct steps, and add a line to the table."""
    problem = paper()

    def add(benchmark, case, function, target):
        ours, other = [], []

        def timed(action, seconds):
            start = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - start)

        benchmark.pedantic(
            lambda: timed(function, ours),
            setup=lambda: timed(
                lambda: twonn.run(problem, PAPER_START, steps=YARDSTICK, engine="direct", sample_steps=[]),
                other,
            ),
            rounds=ROUNDS,
        )
        benchmark.extra_info["target_seconds"] = target
        add_time(case, np.array(ours), np.array(other) / YARDSTICK, target)

    return add


@pytest.mark.parametrize("steps", size([100, 3_000, 30_000, 300_000], [1_000]))
def test_auto_is_never_much_slower(steps, benchmark, add_note):
    """The whole call by "auto" against that by "direct", on random problems of every kind."""
    seeds = range(size(40, 2))
    problems = [random_problem(seed, sliding=sliding) for seed in seeds for sliding in (False, True)]
    rounds = size(6 if steps > 10_000 else 20, 2)
    ratios = []

    def once(problem, params, engine):
        start = time.perf_counter()
        traj = twonn.run(problem, params, steps=steps, engine=engine)
        return time.perf_counter() - start, traj

    def compare():
        for problem, params in problems:
            seconds = {"auto": [], "direct": []}
            for n in range(rounds):  # either one first in turns
                for engine in ("auto", "direct")[:: 1 if n % 2 else -1]:
                    seconds[engine].append(once(problem, params, engine)[0])
            ratios.append(np.median(seconds["auto"]) / np.median(seconds["direct"]))

    for problem, params in problems[:20]:
        (_, auto), (_, direct) = (once(problem, params, engine) for engine in ("auto", "direct"))
        assert auto.error_estimate > 1e-12 or np.allclose(
            parameters(auto)[-1],
            parameters(direct)[-1],
            rtol=0,
            atol=1e-13 * np.abs(parameters(direct)[-1]).max(),
        )
    benchmark.pedantic(compare)
    ordered = np.sort(ratios)
    benchmark.extra_info["ratios"] = ordered.tolist()
    add_note(
        f"auto against direct, {steps:,} steps, {len(problems)} problems: median {np.median(ratios):.3f}, "
        f"largest {ordered[-1]:.3f}, {ordered[-2]:.3f}, {ordered[-3]:.3f} (target 1.10)"
    )
