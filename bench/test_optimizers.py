"""What a step of another optimizer costs: one run, and many in lanes, against those in plain_optimizers.c.

What is asserted, before any time is taken, is that both sides computed the same thing.
"""

import numpy as np
import pytest
from measuring import PAPER_START, U, alternate, flat, size
from peers import PLAIN_C, plain_optimizer

import twonn
from twonn.engine import batch
from twonn.problem.runspec import RunOptions

STEPS, RUNS, PAIRS = size(2_000_000, 20_000), 64, size(21, 2)
LANE_STEPS, LANE_PAIRS = size(1_000_000, 2_000), size(5, 1)
ALONE, TOGETHER = 0.5, 0.2  # targets: cost of a step relative to the plain loop

OPTIMIZERS = {"momentum": twonn.Momentum(), "normalized": twonn.NormalizedGD(), "Adam": twonn.Adam()}


def question(name, d, trained, steps):
    """Return a problem, and the paper's start or one in the plane."""
    # Normalized steps do not shrink: all of them together make margins of some hundreds, and output weights
    # grow like the exponential of their number.
    step_size = (3.0 if trained else 200.0) / STEPS if name == "normalized" else 0.01
    x = [-1.0, 1.0] if d == 1 else [[-1.0, 0.3], [1.0, 0.2]]
    params = PAPER_START if d == 1 else twonn.Params(w=[[0.43, 0.2], [-1.47, 0.3]])
    return twonn.Problem(x=x, y=[-1, 1], step_size=step_size, train_output=trained), params


def together(problem, params, optimizer, steps):
    options = RunOptions(steps, "direct", optimizer=optimizer)
    return batch.run_batch(problem, params, options, (np.array([0, steps]), np.empty(0)))


def assert_same(ours, n_transitions, plain, steps, step_size):
    """Assert agreement within the rounding of the plain loop, which does not compensate its sums.

    It rounds every parameter at every step by up to U of it; 10 times that is allowed, with 1 for the norm of
    small networks (see assert_same_run in test_speed.py). Where the pattern chatters, a pre-activation within
    rounding of 0 may count as active on one side alone, so that two steps happen in the opposite order.
    """
    transitions, *parameters = plain
    assert transitions >= 0, "the plain loop diverged"
    bound = 10 * steps * U * max(np.linalg.norm(ours), 1.0)
    if n_transitions > 0.001 * steps:
        assert abs(n_transitions - transitions) <= 1e-3 * n_transitions
        bound += step_size
    else:
        assert n_transitions == transitions
    assert np.abs(ours - flat(parameters)).max() <= bound


@pytest.mark.parametrize("trained", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_run(name, d, trained, benchmark, present, add_row):
    present(PLAIN_C)
    optimizer = OPTIMIZERS[name]
    problem, params = question(name, d, trained, STEPS)

    def ours():
        return twonn.run(problem, params, STEPS, optimizer=optimizer, sample_steps=[])

    def plain():
        return plain_optimizer(problem, params, optimizer, STEPS)

    trajectory = ours()
    last = flat((trajectory.w[-1], trajectory.b[-1], trajectory.v[-1]))
    assert_same(last, trajectory.n_transitions, plain(), STEPS, problem.step_size)
    times = alternate(benchmark, ours, plain, PAIRS)
    case = f"{name}, d = {d}, {'trained' if trained else 'fixed'}"
    add_row(case, times[0] / STEPS, times[1] / STEPS, ALONE)


@pytest.mark.parametrize("trained", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lanes(name, d, trained, benchmark, present, add_row):
    """Runs that differ in their starts, per step of a run, against the plain loop of one of them."""
    present(PLAIN_C)
    optimizer = OPTIMIZERS[name]
    problem, start = question(name, d, trained, LANE_STEPS)
    moved = np.random.default_rng(5).uniform(0.5, 1.5, (RUNS, 2, d))
    params = twonn.Params(w=start.w * moved, b=np.zeros((RUNS, 2)), v=np.tile([1.0, -1.0], (RUNS, 1)))

    def ours():
        return together(problem, params, optimizer, LANE_STEPS)

    def plain():
        return plain_optimizer(problem, params[0], optimizer, LANE_STEPS)

    ended = ours()
    for r in (0, RUNS - 1):
        other = plain_optimizer(problem, params[r], optimizer, LANE_STEPS)
        last = ended.states[r, ended.n_samples[r] - 1, : 2 * d + 4]
        assert_same(last, ended.n_transitions[r], other, LANE_STEPS, problem.step_size)
    times = alternate(benchmark, ours, plain, LANE_PAIRS)
    case = f"{RUNS} runs, {name}, d = {d}, {'trained' if trained else 'fixed'}"
    add_row(case, times[0] / ended.end_step.sum(), times[1] / LANE_STEPS, TOGETHER)
