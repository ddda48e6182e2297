"""Horizons that only stepping could reach: refused before they begin, with the time that they would take."""

import math
import re

import numpy as np
import pytest

import twonn
from twonn.engine import execution
from twonn.engine.reach import duration
from twonn.problem.runspec import RunOptions, RunSpec

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.initializers.sample("he_normal", 1, 42)[0]
DEAD = twonn.Params(w=[-1.0, 1.0], b=[-5.0, -5.0])

TIME = (
    r"which would take about [\d.,^]+ (years|days|hours|minutes|seconds?|ms|µs) at [\d.]+ (ns|µs|ms) a step"
)


@pytest.fixture
def short_trial(monkeypatch):
    monkeypatch.setattr(execution, "TRIAL_STEPS", 1000)


def test_what_max_direct_forbids(short_trial):
    sentence = (
        rf"^steps: got 10\^16 steps, {TIME}; expected at most 10,000,000,000 \(max_direct\) with the "
        r"optimizer adam, which takes every step, unless the run ends by itself within 1,000 steps\. Ask for "
        r"fewer steps, or for a larger max_direct if you want to wait so long\.$"
    )
    with pytest.raises(ValueError, match=sentence):
        twonn.run(PAPER, START, 10**16, optimizer="adam")
    # No max_direct lets anybody count beyond 2^63.
    with pytest.raises(ValueError, match=r"years at .*at most 10,000,000,000 .*Ask for fewer steps\.$"):
        twonn.run(PAPER, START, log10_steps=1000.0, optimizer="momentum")


def test_what_cannot_be_counted(short_trial):
    sentence = (
        r"^steps: got 10\^30 steps, which .*at most 2\^63 - 1 with the engine direct, .*engine=\"auto\""
    )
    with pytest.raises(ValueError, match=sentence):
        twonn.run(PAPER, START, 10**30, engine="direct")


@pytest.mark.parametrize("optimizer", ["momentum", "normalized_gd", "adam"])
def test_the_limit_is_the_horizon_that_is_still_run(optimizer, short_trial):
    """The trial does not reach beyond it, however long it is."""
    for limit in (1, 500, 4000):
        options = {"optimizer": optimizer, "max_direct": limit}
        traj = twonn.run(PAPER, START, limit, **options)
        assert traj.status is twonn.Status.COMPLETED and traj.end_step == limit
        with pytest.raises(ValueError, match=rf"at most {limit:,} \(max_direct\)"):
            twonn.run(PAPER, START, limit + 1, **options)
        direct = twonn.run(PAPER, START, limit + 1, engine="direct", **options)
        assert direct.end_step == limit + 1


def test_a_run_that_ends_by_itself_is_no_matter_of_its_horizon(short_trial):
    assert twonn.run(PAPER, DEAD, 10**16, optimizer="adam").status is twonn.Status.STATIONARY
    wild = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e50, train_output=True)
    start = twonn.Params(w=[2.0, -2.0], b=[3.0, 3.0], v=[-3.0, -3.0])
    assert twonn.run(wild, start, 10**16, optimizer="momentum").status is twonn.Status.DIVERGED


def test_the_trial_does_not_show_in_the_bits(monkeypatch):
    """Whatever its length: it is a part of the run."""
    wild = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e50, train_output=True)
    start = twonn.Params(w=[2.0, -2.0], b=[3.0, 3.0], v=[-3.0, -3.0])
    short = twonn.run(wild, start, 10**6, optimizer="momentum")
    long = twonn.run(wild, start, 10**16, optimizer="momentum")
    assert np.array_equal(short.states[-1], long.states[-1]) and short.end_step == long.end_step


def test_the_trial_ends_before_a_horizon_that_is_near(short_trial):
    """Where a run goes on from a file, that may be nearer than the trial is long."""
    options = RunOptions(1001, optimizer=twonn.Adam(), max_direct=1000)
    run = execution.Execution(RunSpec(PAPER, START, options))
    run.advance(900)
    with pytest.raises(ValueError, match=r"at most 1,000 \(max_direct\)"):
        run.try_to_end()
    assert run.steps_taken == 1000


def test_no_more_is_tried_than_may_be_taken(short_trial):
    with pytest.raises(ValueError, match="by itself within 500 steps"):
        twonn.run(PAPER, START, 10**6, optimizer="adam", max_direct=500)


def test_a_function_is_not_called_for_a_horizon_that_is_refused():
    def rule(step, params, gradient):
        raise AssertionError("it is called")

    sentence = (
        r"^steps: got 10\^16; expected at most 10,000,000,000 \(max_direct\) with the optimizer rule, which"
    )
    with pytest.raises(ValueError, match=sentence):
        twonn.run(PAPER, START, 10**16, optimizer=rule)
    with pytest.raises(AssertionError, match="it is called"):
        twonn.run(PAPER, START, 10**16, optimizer=rule, max_direct=10**16)


def test_in_many_dimensions_fewer_steps_are_tried(short_trial):
    seed = 5
    print("seed", seed)
    points = np.random.default_rng(seed).normal(size=(2, 100))
    problem = twonn.Problem(x=points, y=[-1, 1], step_size=0.01)
    start = twonn.initializers.sample("he_normal", 1, 42, 100)[0]
    with pytest.raises(ValueError, match="by itself within 10 steps"):
        twonn.run(problem, start, 10**12, optimizer="adam")


def test_a_sweep_is_refused_as_a_whole(short_trial):
    starts = twonn.initializers.sample("he_normal", 3, 42)
    sentence = (
        rf"^steps: got 1,000,000,000 steps, {TIME}; expected at most 100,000,000 \(max_direct\) with the "
        r"optimizer adam, which takes every step\. Ask for fewer steps, or for a larger max_direct"
    )
    with pytest.raises(ValueError, match=sentence):
        twonn.sweep(PAPER, starts, 10**9, optimizer="adam")
    with pytest.raises(ValueError, match=r"steps: got 1,001 steps, .*at most 1,000 \(max_direct\)"):
        twonn.sweep(PAPER, starts, 1001, optimizer="adam", max_direct=1000)
    assert twonn.sweep(PAPER, starts, 1000, optimizer="adam", max_direct=1000).complete
    assert twonn.sweep(PAPER, starts, 1001, engine="direct", optimizer="adam", max_direct=1000).complete
    # A first run that takes no step tells nothing of its cost.
    with pytest.raises(ValueError, match=r"^steps: got 10\^16; expected at most 100,000,000"):
        twonn.sweep(PAPER, DEAD, 10**16, optimizer="adam")


def test_a_checkpoint_is_not_touched_by_a_refused_horizon(tmp_path, short_trial):
    path = tmp_path / "run.twonn"
    with pytest.raises(ValueError, match=re.escape("(max_direct)")):
        twonn.run(PAPER, START, 10**16, optimizer="adam", checkpoint=path)
    assert not list(tmp_path.iterdir())
    twonn.run(PAPER, START, 5000, optimizer="adam", max_direct=6000, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"steps: got 7,000 steps, .*at most 6,000 \(max_direct\)"):
        twonn.resume(path, 7000)
    assert path.read_bytes() == before
    traj = twonn.resume(path, 7000, max_direct=7000)
    expected = twonn.run(PAPER, START, 7000, optimizer="adam")
    assert np.array_equal(traj.states, expected.states)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e-9, "1 ns"),
        (2.51e-7, "250 ns"),
        (1e-6, "1 µs"),
        (1e-3, "1 ms"),
        (0.5, "500 ms"),
        (1, "1 second"),
        (110, "110 seconds"),
        (7200, "2 hours"),
        (86_400 * 1.5, "36 hours"),
        (86_400 * 100, "100 days"),
        (31_557_600, "1 year"),
        (2.5e9, "79 years"),
        (3.1e12, "98,000 years"),
        (3.2e13, "10^6 years"),
    ],
)
def test_times_are_told_to_two_digits(seconds, text):
    assert duration(math.log10(seconds)) == text


def test_times_beyond_all_numbers():
    assert duration(1000.0) == "10^993 years"
