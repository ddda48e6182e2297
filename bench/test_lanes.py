"""What a step of many runs costs: twonn's lanes against the vectorised C program in simd_loop.c.

What is asserted, before any time is taken, is that both sides computed the same thing.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from measuring import alternate, flat, size

import twonn
from twonn.engine import batch
from twonn.problem.runspec import RunOptions
from twonn.results.states import parameters_of

RUNS, STEPS, PAIRS = 128, size(1_000_000, 2_000), size(7, 1)
TARGET = 0.5  # cost of a step of a run relative to the C program, with trained output


def question(train_output, loss):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=train_output, loss=loss)
    return problem, twonn.initializers.sample("he_normal", RUNS, seed=3)


def step(problem, params):
    schedule = (np.array([0, STEPS]), np.empty(0))
    return batch.run_batch(problem, params, RunOptions(int(schedule[0][-1]), "direct"), schedule)


def assert_same_runs(problem, params, together, others):
    """Assert agreement within the rounding of the C program's sums; see assert_same_run in test_speed.py.

    Of its error estimate `steps` u ‖p‖ times 10 is allowed, with 1 for the norm of small networks. A run
    that is stationary early stays where it is.
    """
    last = together.states[np.arange(RUNS), together.n_samples - 1][:, None]
    ends = [array[:, 0] for array in parameters_of(problem, params.w, params.b, None, last)]
    theirs, ours = flat(others), flat(ends)
    size = np.maximum(np.linalg.norm(ours, axis=1), 1.0)
    assert np.all(np.abs(ours - theirs).max(axis=1) <= 10 * STEPS * 2.0**-53 * size)


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
def test_lanes(train_output, loss, benchmark, simd_loop, add_row):
    problem, params = question(train_output, loss)
    assert_same_runs(problem, params, step(problem, params), simd_loop(problem, params, STEPS))
    ours, other = alternate(
        benchmark, lambda: step(problem, params), lambda: simd_loop(problem, params, STEPS), PAIRS
    )
    target = TARGET if train_output and loss == "exponential" else None
    name = f"{RUNS} runs, {'trained' if train_output else 'fixed'}, {loss}"
    add_row(name, ours / STEPS / RUNS, other / STEPS / RUNS, target, peer="vectorised C")


def test_two_threads(benchmark, add_row):
    """Half of the runs on either of two threads, against all of them on one."""
    problem, params = question(True, "exponential")
    halves = [
        twonn.Params(w=params.w[part], b=params.b[part], v=params.v[part])
        for part in (slice(0, RUNS, 2), slice(1, RUNS, 2))
    ]
    with ThreadPoolExecutor(2) as threads:
        parts = list(threads.map(lambda half: step(problem, half), halves))
        states = np.stack([part.states for part in parts], axis=1).reshape(RUNS, *parts[0].states.shape[1:])
        assert states.tobytes() == step(problem, params).states.tobytes()
        ours, other = alternate(
            benchmark,
            lambda: list(threads.map(lambda half: step(problem, half), halves)),
            lambda: step(problem, params),
            PAIRS,
        )
    add_row("two threads", ours / STEPS / RUNS, other / STEPS / RUNS, 1 / 1.8, peer="one thread")
