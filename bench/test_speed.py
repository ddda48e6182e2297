"""What a step costs: twonn's direct engine against the plain C loop in plain_loop.c.

No time is asserted, for a busy machine must not fail a build. What is asserted, before any time is
taken, is that both sides computed the same thing.
"""

import pickle
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from measuring import PAPER_START, alternate, paper, size

import twonn

STEPS = size(2_000_000, 200_000)  # the early phase, a few thousand steps, is then less than 1 % of a run
PAIRS = size(31, 2)  # many short ones rather than few long ones: load comes and goes

LATE, GENERAL = 0.40, 0.80  # targets: cost of a step relative to the plain loop


def chattering(x, y, w, b, **options):
    """A problem whose pattern flips every few steps for ever, and a start off the kinks.

    A start on a kink would leave it to the last bit which of two trajectories is followed.
    """
    problem = twonn.Problem(x=x, y=y, step_size=0.05, reduction="sum", **options)
    return problem, twonn.Params(w=w, b=b, v=[1.0, -1.0])


SKEW = {"x": [2.0, 1.0], "y": [1, -1], "w": [0.6, -0.4], "b": [0.3, 0.9]}
HALVES = {"x": [-0.5, 0.5], "y": [-1, 1], "w": [0.7, -0.4], "b": [0.2, 0.9]}

CASES = {
    "late phase, exponential": (paper(), PAPER_START, LATE),
    "late phase, logistic": (paper(loss="logistic"), PAPER_START, LATE),
    "trained output, exponential": (paper(train_output=True), PAPER_START, GENERAL),
    "trained output, logistic": (
        paper(train_output=True, loss="logistic"),
        PAPER_START,
        GENERAL,
    ),
    "chatter x=(2, 1), exponential": (*chattering(**SKEW), GENERAL),
    "chatter x=(2, 1), logistic": (*chattering(**SKEW, loss="logistic"), GENERAL),
    "chatter x=(2, 1), trained, exp.": (*chattering(**SKEW, train_output=True), GENERAL),
    "chatter x=(2, 1), trained, logistic": (
        *chattering(**SKEW, train_output=True, loss="logistic"),
        GENERAL,
    ),
    "chatter x=(-.5, .5), exponential": (*chattering(**HALVES), GENERAL),
}


def direct(problem, params, steps=STEPS, **options):
    return twonn.run(problem, params, steps=steps, engine="direct", **options)


def assert_same_run(trajectory, plain):
    """Assert that parameters and transitions agree as far as the plain loop's rounding lets them.

    Parameters: the plain loop rounds every parameter at every step, by up to u = 2^-53 of it,
    always the same way at worst: `steps` u ‖p‖ in all, twice that with room for the increments' own
    rounding. With fixed output weights and a constant pattern the loss is convex and a step brings
    two trajectories no further apart, so this is also the error at the end. With trained ones
    perturbed starts came out up to 7 times as far apart; 10 is allowed.

    Where the pattern chatters, a pre-activation within rounding of 0 may count as active on one
    side and inactive on the other. Two steps then happen in the opposite order, which leaves the
    pattern and, but for second-order terms, the parameters as they were; only a run that ends
    between the two shows it, by one step's move. Each such swap changes the number of transitions
    by 2 at most. The teeth shrink like 1/t while rounding grows like √t, so a few swaps are
    expected in some 10^6 steps. Counts differed by up to 5 in 4e6; 1e-5 of all steps is allowed.
    """
    steps = trajectory.t[-1]
    assert steps == STEPS
    transitions, w, b, v = plain
    assert transitions >= 0, "the plain loop diverged"
    ours = np.concatenate([trajectory.w[-1, :, 0], trajectory.b[-1], trajectory.v[-1]])
    problem = trajectory.problem
    bound = (10 if problem.train_output else 2) * steps * 2.0**-53 * np.linalg.norm(ours)
    if trajectory.n_transitions > 0.01 * steps:
        assert abs(trajectory.n_transitions - transitions) <= 1e-5 * steps
        # Per unit of h Σ s_i, w_j moves by v_j x_i at most, b_j by v_j, and v_j by z_ji.
        x, v = problem.x[:, 0], trajectory.v[-1]
        reach = max(np.abs(v).max() * max(1, np.abs(x).max()), np.abs(trajectory.preactivations[-1]).max())
        slopes = np.exp(-trajectory.margins[-1]).sum()  # those of the logistic loss are smaller
        bound += problem.point_step * slopes * reach
    else:
        assert trajectory.n_transitions == transitions
    assert np.abs(ours - np.concatenate([w[:, 0], b, v])).max() <= bound


@pytest.mark.parametrize("case", CASES)
def test_step(case, benchmark, plain_loop, add_row):
    """The cost of a step, early phase included, against the plain loop."""
    problem, params, target = CASES[case]
    trajectory = direct(problem, params)
    assert_same_run(trajectory, plain_loop(problem, params, STEPS))
    chatters = trajectory.n_transitions > 0.01 * STEPS
    assert chatters == case.startswith("chatter"), "the case is not what its name says"
    ours, plain = alternate(
        benchmark,
        lambda: direct(problem, params),
        lambda: plain_loop(problem, params, STEPS),
        PAIRS,
    )
    benchmark.extra_info["target"] = target
    add_row(case, ours / STEPS, plain / STEPS, target)


def test_memory(benchmark, add_note):
    """Peak memory does not grow with the number of steps, nor with the number of transitions."""
    problem, params = chattering(**SKEW)

    def peak(steps):
        tracemalloc.start()
        trajectory = direct(problem, params, steps, sample_steps=[])
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Both runs have more transitions than are kept in full.
        assert trajectory.n_transitions > 2 * len(trajectory.transitions)
        return size

    peak(100_000)  # what is allocated once and kept, such as caches, is no run's
    short = peak(100_000)
    long = benchmark.pedantic(peak, args=(size(10_000_000, 1_000_000),))
    benchmark.extra_info["peak_bytes"] = {"short": short, "long": long}
    add_note(f"peak memory: {short:,} bytes for 1e5 steps, {long:,} bytes for {size(100, 10)} times as many")
    assert long <= short + 1024  # room for objects of Python, none for one byte a step


def test_call(benchmark, add_note):
    """What one call costs: 1,000 steps with their samples, against no step at all."""
    problem = paper()
    ours, none = alternate(
        benchmark,
        lambda: direct(problem, PAPER_START, 1000),
        lambda: direct(problem, PAPER_START, 0),
        pairs=size(1000, 10),
    )
    add_note(
        f"one call: {np.median(ours) * 1e6:.0f} µs for 1,000 steps, {np.median(none) * 1e6:.0f} µs for none"
    )


def test_gap(benchmark, plain_loop, add_record, add_note):
    """What the gap of a run costs when it is first asked for, beside steps of the plain loop.

    Checked against the distances, and in rational numbers: on the line, where both neurons are active, the
    gap is |f(midpoint)/slope|.
    """
    problem, target = paper(), 6000
    trajectory = twonn.run(problem, PAPER_START, steps=10**16)
    n = len(trajectory.t)
    gap = trajectory.gap
    least = np.abs(twonn.optimal_margin(problem) - trajectory.distances.min(axis=1) - gap)
    assert n == 311
    assert least.max() <= 4 * 2.0**-53  # of a difference of two numbers up to 1, each rounded
    w, b, v = (exactly(array[-1]) for array in (trajectory.w[..., 0], trajectory.b, trajectory.v))
    exact = abs((v @ b) / (v @ w))
    # The gap has the pre-activations of the run, beside which b is rounded once more.
    assert abs(float(exact) - gap[-1]) <= 2.0**-52 * float(np.abs(v) @ np.abs(b) / abs(v @ w))
    pairs, stored = size(300, 10), pickle.dumps(trajectory)  # without what has been derived from it
    copies = iter([pickle.loads(stored) for _ in range(pairs)])
    ours, plain = alternate(
        benchmark,
        lambda: next(copies).gap,
        lambda: plain_loop(problem, PAPER_START, target),
        pairs,
    )
    case, beside = f"gap of {n} samples, first access", f"{target:,} steps of plain C"
    add_record("geometry", case, beside, ours, plain, unit="call", target=1.0)
    steps = np.median(ours / plain) * target
    add_note(f"{case}: {np.median(ours) * 1e6:.0f} µs, {steps:,.0f} steps of plain C")


def exactly(array):
    return np.vectorize(Fraction, otypes=[object])(array)
