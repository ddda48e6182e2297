"""Whether a run has learned to classify both points, and what is said of it, against the recurrence."""

import dataclasses
import math

import numpy as np
import pytest
from cases import CYCLE, CYCLING, random_problem, recurrence

import twonn
from twonn.engine.batch import run_batch
from twonn.problem.horizon import written_steps, written_time
from twonn.results.outcome import Failure, failures, inactive_since, successes
from twonn.results.trajectory import times

LINE = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
SLIDING = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.01)

#: What is said of runs on LINE: start, steps, outcome.
SAID = {
    "classified": ({"w": [0.43, -1.47]}, "both points are classified"),
    "dead from the start": (
        {"w": [-0.43, -1.47]},
        "point 1 is not classified: no neuron was ever active on it",
    ),
    "no neuron at all": (
        {"w": [0.0, 0.0]},
        "neither point is classified: no neuron was ever active on either of them",
    ),
    "switched off one after the other": (
        {"w": [-0.43, 1.47]},
        "point 0 is not classified: no neuron has been active on it since step 35; "
        "point 1 is not classified: no neuron has been active on it since step 77",
    ),
    "switched off together": (
        {"w": [-0.43, 0.43]},
        "neither point is classified: no neuron has been active on either of them since step 35",
    ),
    "an output weight of 0": (
        {"w": [0.2, 0.3], "b": [0.5, 0.5], "v": [1.0, 0.0]},
        "point 0 is not classified: its margin is exactly 0, with neuron 1 active on it",
    ),
}


@pytest.mark.parametrize(("start", "outcome"), SAID.values(), ids=SAID)
@pytest.mark.parametrize("engine", ["auto", "direct"])
def test_the_outcome_is_said_with_its_reason(start, outcome, engine):
    traj = twonn.run(LINE, twonn.Params(**start), steps=10**5, engine=engine)
    assert traj.outcome == outcome
    assert traj.success is (outcome == "both points are classified")
    assert f"outcome     {outcome}\n" in repr(traj)
    assert f"<td style='text-align:left'>{outcome}</td>" in traj._repr_html_()


def test_a_margin_below_zero_is_explained_by_the_output_weights():
    wrong = twonn.run(LINE, twonn.Params(w=[-1.0, 2.0], b=[0.0, 0.0]), steps=0)
    assert wrong.outcome == (
        "point 0 is not classified: its margin is -1, because only neurons with output weights of the wrong "
        "sign are active on it: neuron 0; point 1 is not classified: its margin is -2, because only neurons "
        "with output weights of the wrong sign are active on it: neuron 1"
    )
    outweighed = twonn.run(LINE, twonn.Params(w=[1.0, 1.0], b=[0.0, 1.0]), steps=0)
    assert outweighed.outcome.endswith(
        "point 1 is not classified: its margin is -1, because neuron 1 outweighs neuron 0"
    )
    both = twonn.run(LINE, twonn.Params(w=[1.0, 1.0], v=[-1.0, -2.0]), steps=0)
    assert both.outcome.endswith("of the wrong sign are active on it: neurons 0 and 1")
    cancelled = twonn.run(LINE, twonn.Params(w=[1.0, 1.0]), steps=0)
    assert cancelled.outcome.endswith("its margin is exactly 0, with neurons 0 and 1 active on it")
    assert not any(traj.success for traj in (wrong, outweighed, both, cancelled))


def test_equal_labels_count_by_their_margins():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[1, 1], step_size=0.01)
    assert twonn.run(problem, twonn.Params(w=[1.0, -1.0], v=[1.0, 1.0]), steps=100).success
    lost = twonn.run(problem, twonn.Params(w=[1.0, -1.0], v=[1.0, -1.0]), steps=0)
    assert not lost.success
    assert lost.outcome.startswith("point 0 is not classified: its margin is -1,")


def test_a_run_that_diverged_classifies_nothing():
    problem = dataclasses.replace(LINE, step_size=1.0)
    traj = twonn.run(problem, twonn.Params(w=[2000.0, -2000.0], v=[-1.0, 1.0]), steps=1000)
    assert traj.status is twonn.Status.DIVERGED and not traj.success
    assert traj.outcome == f"no point is classified: the run diverged at step {traj.end_step}"
    # The last sample is the step before; its margins may still be positive.
    won = twonn.run(LINE, twonn.Params(w=[0.43, -1.47]), steps=10)
    assert won.success and not dataclasses.replace(won, status=twonn.Status.DIVERGED).success


def test_a_run_that_ended_early_is_judged_where_it_ended():
    interrupted = twonn.run(
        LINE, twonn.Params(w=[0.43, -1.47]), steps=10**9, engine="direct", on_block=lambda *_: True
    )
    assert interrupted.status is twonn.Status.INTERRUPTED and interrupted.success
    step = written_steps(interrupted.end_step)
    assert (
        interrupted.outcome == f"both points are classified (at step {step}, where the run was interrupted)"
    )
    obstructed = twonn.run(CYCLE, CYCLING, steps=10**9, max_direct=1000)
    assert obstructed.status is twonn.Status.OBSTRUCTED
    assert obstructed.outcome.endswith(f"(at step {obstructed.end_step}, where the engine gave up)")
    assert obstructed.success is bool(np.all(obstructed.margins[-1] > 0))


# --------------------------------------------------------------------------------------------------
# The step since which no neuron has been active


def _since(patterns):
    """For each point the first step from which on no neuron is active on it; None where one is at the end."""
    steps = []
    for i in (0, 1):
        shown = [t for t, pattern in patterns.items() if pattern >> i & 0b101]
        ended_active = bool(shown) and shown[-1] == max(patterns)
        steps.append(None if ended_active else shown[-1] + 1 if shown else 0)
    return steps


def _said(i, since):
    if since == 0:
        return f"point {i} is not classified: no neuron was ever active on it"
    return f"point {i} is not classified: no neuron has been active on it since step {since:,}"


def test_the_step_is_that_of_the_recurrence():
    dates = []
    for seed in range(60):
        problem, params = random_problem(seed)
        traj = twonn.run(problem, params, steps=300, samples_per_decade=1)
        if traj.status is twonn.Status.DIVERGED:
            continue
        since = _since(recurrence(problem, params, 300, range(301)).pattern)
        assert traj.success is bool(np.all(traj.margins[-1] > 0))
        if None not in since and since[0] == since[1]:
            assert traj.outcome.startswith("neither point is classified: no neuron")
            assert since[0] == 0 or traj.outcome.endswith(f"since step {since[0]:,}")
            continue
        clauses = traj.outcome.split("; ")
        for i, step in enumerate(since):
            assert step is None or _said(i, step) in clauses
            dates.append(step)
    assert {None, 0} < set(dates) and max(step or 0 for step in dates) > 10  # each case was met


def _known_of(traj, kept):
    """The outcome of a run of which only the first transitions are kept."""
    return dataclasses.replace(traj, transitions=traj.transitions[:kept]).outcome


def test_a_step_that_is_no_longer_listed_is_not_claimed():
    params = twonn.Params(w=[-0.43, 1.47])
    traj = twonn.run(LINE, params, steps=100, samples_per_decade=20)
    assert traj.transitions["t"].tolist() == [35, 77]
    first, second = _said(0, 35), _said(1, 77)
    assert _known_of(traj, 2) == f"{first}; {second}"
    # The transition at 77 switches off point 1 only: the date of the other is still known.
    seen = int(min(traj.t[traj.t >= 77]))
    unlisted = f"no sample from step {seen} on has a neuron active on it"
    assert _known_of(traj, 1) == f"{first}; point 1 is not classified: {unlisted}"
    assert "since" not in _known_of(traj, 0)
    coarse = twonn.run(LINE, params, steps=100, samples_per_decade=1)
    assert coarse.outcome == traj.outcome
    expected = "neither point is classified: no sample from step 77 on has a neuron active on either of them"
    assert _known_of(coarse, 0) == expected


def test_a_run_with_more_transitions_than_are_kept():
    """A neuron that flips at every other step for ever; the step at which point 1 was left is early."""
    params = twonn.initializers.sample("he_normal_bias", 1, 6)[0]
    calm = twonn.run(SLIDING, params, steps=10**6, engine="direct")
    assert "since step 105" in calm.outcome
    many = twonn.run(SLIDING, twonn.initializers.sample("he_normal_bias", 1, 0)[0], 10**5, engine="direct")
    assert many.n_transitions > len(many.transitions) == 10_000
    assert many.success and many.outcome == "both points are classified"


def test_a_step_beyond_2_to_the_53_is_written_as_far_as_it_is_known():
    """The flow takes 1/h steps: 35 and 77 of step size 0.01 are some 10^19 times as many."""
    problem = dataclasses.replace(LINE, step_size=1e-21)
    traj = twonn.run(problem, twonn.Params(w=[-0.43, 1.47]), log10_steps=21)
    assert np.all(traj.transitions["t"] > 2.0**63)
    assert traj.outcome == (
        "point 0 is not classified: no neuron has been active on it since step 3.49e+20; "
        "point 1 is not classified: no neuron has been active on it since step 7.7e+20"
    )
    assert [f"{t:.3g}" for t in traj.transitions["t"]] == ["3.49e+20", "7.7e+20"]
    assert written_time(math.inf, 310 * math.log(10)) == "1e+310"


def test_parameters_from_elsewhere_are_judged_by_their_samples():
    networks = twonn.Params(w=[[[0.5], [0.5]], [[-0.5], [0.5]], [[-0.5], [-0.75]], [[-0.5], [-0.75]]])
    traj = twonn.Trajectory.from_params(LINE, [0, 0.25, 1.5, 7], networks)
    assert traj.outcome == ("point 1 is not classified: no sample from step 1.5 on has a neuron active on it")
    assert not traj.success
    assert twonn.Trajectory.from_params(LINE, [0, 1], twonn.Params(w=[[[1], [-1]], [[1], [-1]]])).success


# --------------------------------------------------------------------------------------------------
# Many runs at once


@pytest.mark.parametrize("problem", [LINE, SLIDING], ids=["line", "sliding"])
def test_all_runs_of_a_batch_are_judged_like_each_alone(problem):
    starts = twonn.initializers.sample("he_normal_bias", 40, 7)
    trajs = [twonn.run(problem, start, steps=10**5) for start in starts]
    options = trajs[0].spec.options
    batch = run_batch(problem, starts, options, options.schedule())
    margins = np.array([traj.margins[-1] for traj in trajs])
    v, pattern = np.array([traj.v[-1] for traj in trajs]), np.array([traj.pattern[-1] for traj in trajs])
    sliding = np.array([traj._is_sliding() for traj in trajs])
    won = successes(margins, False)
    assert won.tolist() == [traj.success for traj in trajs] and 0 < won.sum() < len(trajs)
    codes = failures(problem, margins, v, pattern, sliding, np.zeros(len(trajs), bool))
    complete = batch.counted & (batch.n_transitions <= batch.transition_patterns.shape[-2])
    t, log_t = times(batch.sample_steps, batch.sample_logs)
    inactive = inactive_since(
        t,
        log_t,
        batch.patterns,
        batch.transition_times[..., 0],
        np.log(batch.transition_times[..., 0]),
        batch.transition_patterns[..., 0],
        batch.transition_patterns[..., 1],
        complete[:, None],
    )
    for r, traj in enumerate(trajs):
        for i in np.flatnonzero(codes[r] == Failure.INACTIVE):
            alone = traj._inactive_since()
            assert inactive.is_dated[r, i] <= alone.is_dated[i]
            if inactive.is_dated[r, i]:
                assert inactive.t[r, i] == alone.t[i] and inactive.log_t[r, i] == alone.log_t[i]
            assert "no neuron" in traj.outcome or "no sample" in traj.outcome
        assert np.all(codes[r] == Failure.NONE) == traj.success
        assert np.isnan(inactive.t[r]).tolist() == [bool(traj.pattern[-1] >> i & 0b101) for i in (0, 1)]
    assert np.any(codes == Failure.INACTIVE) and np.any(inactive.t > 0)


def test_what_was_handed_over_is_judged_as_far_as_it_goes():
    """Files and parameters from elsewhere may hold what no run reaches."""
    traj = twonn.run(LINE, twonn.Params(w=[-1.0, 2.0]), steps=0)
    huge = dataclasses.replace(traj, states=np.full_like(traj.states, 3e299))
    assert np.isnan(huge.margins).any() and not huge.success
    assert "is not classified: its margin is beyond the range of binary64" in huge.outcome
    other = dataclasses.replace(traj, pattern=np.array([0b0100], np.uint8))
    assert other.outcome.startswith("point 0 is not classified: its margin is -1; point 1 is not classified")
    assert written_time(math.inf, 1e300) == "e^1e+300" and written_time(math.inf, math.inf) == "e^inf"


def test_runs_that_have_no_end_are_not_judged():
    margins = np.array([[np.nan, np.nan], [1.0, 2.0], [1.0, 2.0], [np.inf, 0.0], [1.0, -0.0]])
    diverged = np.array([False, False, True, False, False])
    assert successes(margins, diverged).tolist() == [False, True, False, False, False]
    pattern, v = np.array([255, 15, 15, 5, 2], np.uint8), np.ones((5, 2))
    codes = failures(LINE, margins, v, pattern, np.zeros((5, 2, 2), bool), diverged)
    expected = [
        [Failure.UNKNOWN] * 2,
        [Failure.NONE] * 2,
        [Failure.DIVERGED] * 2,
        [Failure.NONE, Failure.INACTIVE],
        [Failure.NONE, Failure.ZERO_MARGIN],
    ]
    assert codes.tolist() == expected


@pytest.mark.parametrize("engine", ["auto", "direct"])
def test_a_neuron_that_slides_is_named_with_every_engine(engine):
    params = twonn.initializers.sample("he_normal_bias", 1, 1)[0]
    traj = twonn.run(SLIDING, params, steps=10**6, engine=engine)
    assert traj.outcome == (
        "point 0 is not classified: it is only reached by neuron 0, sliding along its kink there"
    )
    assert not traj.success
