"""What `run` accepts and refuses, and how it is watched and interrupted."""

import math
import os
import re
import signal
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from cases import BALANCED, BALANCING, CYCLE, CYCLING

import twonn
from twonn.engine import pace

PROBLEM = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.43, -1.47])
CHATTER = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
SWITCHING, SWITCHER = CHATTER, twonn.Params(w=[1.0, 0.0], b=[0.0, -1.0])


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({}, ValueError, "steps: got steps=None, log10_steps=None; expected exactly one"),
        ({"steps": 10, "log10_steps": 1.0}, ValueError, "expected exactly one of steps"),
        ({"steps": -1}, ValueError, "steps: got -1; expected a whole number >= 0"),
        ({"steps": 1.5}, ValueError, r"steps: got 1.5; expected a whole number"),
        ({"steps": True}, TypeError, "steps: got True"),
        ({"log10_steps": math.nan}, ValueError, "log10_steps: got nan"),
        ({"log10_steps": "6"}, TypeError, "log10_steps: got '6'"),
        ({"steps": 10, "engine": "dirct"}, ValueError, "engine: got 'dirct'.*mean 'direct'"),
        ({"steps": 10, "sliding": "averge"}, ValueError, "sliding: .*mean 'average'"),
        ({"steps": 10, "optimizer": "adan"}, ValueError, "optimizer: got 'adan'"),
        ({"steps": 10, "checkpoint": 3}, TypeError, "checkpoint: got 3; expected a file name"),
        ({"steps": 10, "checkpoint_every": "often"}, ValueError, "checkpoint_every: got 'often'.*'60s'"),
        ({"steps": 10, "on_block": 3}, TypeError, "on_block: got 3; expected a function"),
        ({"steps": 10, "progress": 1}, TypeError, "progress: got 1; expected True or False"),
        ({"steps": 10, "samples_per_decade": 0}, ValueError, "samples_per_decade: got 0"),
        ({"steps": 10, "sample_steps": [3, 2]}, ValueError, r"sample_steps\[1\]: got 2"),
        ({"steps": 10, "sample_steps": [3, 11]}, ValueError, r"sample_steps\[1\]: got 11"),
        ({"steps": 10, "max_direct": 0}, ValueError, "max_direct: got 0; expected a whole number >= 1"),
        ({"steps": 10, "max_direct": 1.5}, ValueError, r"max_direct: got 1.5; expected a whole number"),
        ({"steps": 10, "max_direct": True}, TypeError, "max_direct: got True"),
        ({"steps": 10, "max_direct": None}, TypeError, "max_direct: got None"),
    ],
)
def test_bad_arguments_are_refused_with_a_sentence(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        twonn.run(PROBLEM, START, **arguments)


def test_problem_and_params_have_to_belong_together():
    with pytest.raises(TypeError, match="problem: got"):
        twonn.run([-1, 1], START, steps=1)
    with pytest.raises(TypeError, match="params: got"):
        twonn.run(PROBLEM, [0.4, -1.4], steps=1)
    with pytest.raises(ValueError, match=r"params\.w: got dimension 2; expected dimension 1"):
        twonn.run(PROBLEM, twonn.Params(w=np.ones((2, 2))), steps=1)
    without = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, bias=False)
    with pytest.raises(ValueError, match=r"params\.b: .*bias=False"):
        twonn.run(without, twonn.Params(w=[1.0, -1.0], b=[0.1, 0.0]), steps=1)
    with pytest.raises(ValueError, match=r"params: got 5 runs; expected one network.*params\[r\]"):
        twonn.run(PROBLEM, twonn.initializers.sample("he_normal", 5, seed=0), steps=1)


def test_log10_steps_is_the_same_horizon():
    one = twonn.run(PROBLEM, START, steps=10_000)
    other = twonn.run(PROBLEM, START, log10_steps=4.0)
    assert one.states.tobytes() == other.states.tobytes()
    assert twonn.run(PROBLEM, START, log10_steps=0.0).horizon == 1
    assert twonn.run(PROBLEM, START, log10_steps=2.5).horizon == 316


def test_horizons_beyond_the_longest_are_refused_by_name():
    for run in (twonn.run, twonn.sweep):
        with pytest.raises(ValueError, match=r"^steps: got about 10\^1043000; expected .* to 10\^1000000"):
            run(PROBLEM, START, steps=10**1_043_000)


def test_far_horizons_have_no_more_than_20001_samples_unless_asked_for():
    """The samples are some of those at 20 per decade, with their bits, and `repr` says so."""
    traj = twonn.run(PROBLEM, START, log10_steps=5000)
    assert 10_000 < len(traj.t) <= 20_001
    assert "0.4 decades apart, thinned to at most 20,001" in repr(traj)
    assert "0.4 decades apart, thinned to at most 20,001" in traj._repr_html_()
    dense = twonn.run(PROBLEM, START, log10_steps=5000, samples_per_decade=20)
    assert len(dense.t) > 99_000 and "thinned" not in repr(dense)
    same = np.isin(dense.log_t, traj.log_t)
    assert dense.states[same].tobytes() == traj.states.tobytes()
    for options in ({"samples_per_decade": 1}, {"sample_steps": [1, 10, 10**4000]}):
        assert "thinned" not in repr(twonn.run(PROBLEM, START, log10_steps=5000, **options))
    assert "thinned" not in repr(twonn.run(PROBLEM, START, log10_steps=1000))
    assert len(twonn.run(PROBLEM, START, log10_steps=1e5).t) <= 20_001


def test_a_thinned_trajectory_says_so_from_a_file(tmp_path):
    traj = twonn.run(PROBLEM, START, log10_steps=1001)
    traj.save(tmp_path / "far.npz")
    assert "0.1 decades apart" in repr(traj) == repr(twonn.load(tmp_path / "far.npz"))


def test_numpy_integers_and_arrays_are_steps():
    traj = twonn.run(PROBLEM, START, steps=np.int64(1000), sample_steps=np.array([1, 10, 100]))
    assert traj.t.tolist() == [0, 1, 10, 100, 1000]


def test_no_bias_means_no_bias():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, bias=False)
    traj = twonn.run(problem, START, steps=1000)
    assert np.all(traj.b == 0)


# --------------------------------------------------------------------------------------------------
# Runs that cannot end


def test_a_run_that_cannot_end_gives_what_there_is():
    traj = twonn.run(CYCLE, CYCLING, 10**400, max_direct=100_000)
    assert traj.status is twonn.Status.OBSTRUCTED
    # What tries of a leap cost counts, too: a sixteenth of the steps, and the 2,048 of the beginning.
    assert 90_000 < traj.end_step < 100_000
    truth = twonn.run(CYCLE, CYCLING, traj.end_step, engine="direct")
    assert traj.horizon == 10**400 and traj.t.tolist() == truth.t.tolist()
    assert traj.states.tobytes() == truth.states.tobytes()
    assert traj.n_transitions_exact and traj.error_bound == 0.0
    assert traj.obstacle.startswith("max_direct = 100,000 is used up, and ")
    expected = (
        rf"At step {traj.end_step:,} of 10\^400 .*single steps still change.*fewer steps.*larger max_direct\."
    )
    assert re.fullmatch(expected, traj.message), traj.message


@pytest.mark.parametrize("steps", [10**7, 2**63 - 1, 2**63, 10**1000], ids=("near", "last", "next", "far"))
def test_where_it_ends_depends_on_max_direct_alone(steps, monkeypatch):
    options = {"max_direct": 30_000, "sample_steps": [7, 400]}
    first = twonn.run(CYCLE, CYCLING, 10**400, **options)
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 1)
    traj = twonn.run(CYCLE, CYCLING, steps, **options)
    assert traj.end_step == first.end_step and traj.obstacle == first.obstacle
    assert traj.states.tobytes() == first.states.tobytes()
    later = twonn.run(CYCLE, CYCLING, steps, max_direct=30_001 + first.end_step)
    assert later.end_step > first.end_step


def test_leaps_are_paid_for_too():
    """A misclassified sample without a neuron of its own: transitions at geometrically growing times."""
    options = {"log10_steps": 1e5, "samples_per_decade": 0.01}
    traj = twonn.run(SWITCHING, SWITCHER, max_direct=300_000, **options)
    assert traj.status is twonn.Status.OBSTRUCTED and "leap" in traj.segments["engine"]
    assert traj.end_step > 300_000
    longer = twonn.run(SWITCHING, SWITCHER, max_direct=1_000_000, **options)
    assert longer.status is twonn.Status.OBSTRUCTED
    assert longer.end_step > 2 * traj.end_step


def test_what_is_enough_changes_nothing():
    traj = twonn.run(PROBLEM, START, 10**16)
    spared = twonn.run(PROBLEM, START, 10**16, max_direct=10_000)
    assert traj.status is spared.status is twonn.Status.COMPLETED
    assert traj.states.tobytes() == spared.states.tobytes()
    assert traj.message == spared.message and spared.obstacle == ""
    beyond = twonn.run(PROBLEM, START, 10**16, max_direct=10**30)
    assert traj.states.tobytes() == beyond.states.tobytes()


@pytest.mark.parametrize(
    "options", [{"engine": "direct"}, {"engine": "leap"}, {"engine": "direct", "optimizer": "momentum"}]
)
def test_only_auto_has_a_limit(options):
    assert twonn.run(CYCLE, CYCLING, 2000, max_direct=1, **options).status is twonn.Status.COMPLETED
    assert twonn.run(CYCLE, CYCLING, 2000, max_direct=1).status is twonn.Status.OBSTRUCTED


@pytest.mark.parametrize("step_size", [1e-18, 1e-20])
def test_a_minimiser_may_be_reached_beyond_counting_from_a_counted_step(step_size):
    """There is no leap before the last, and what is left of the way decays in some 1/step_size steps."""
    problem = twonn.Problem(x=BALANCED.x, y=BALANCED.y, step_size=step_size, bias=False)
    params = twonn.Params(w=[math.log(2) / 3 + 1e-15, -1.0])
    traj = twonn.run(problem, params, 10**30)
    assert traj.status is twonn.Status.CONVERGED
    assert 1 < traj.end_step * step_size < 10


def test_a_run_at_a_finite_minimiser_has_converged():
    traj = twonn.run(BALANCED, BALANCING, log10_steps=1000.0, max_direct=10**6)
    assert traj.status is twonn.Status.CONVERGED
    assert traj.horizon == 10**1000 and traj.log_t[-1] == math.log(10**1000)
    assert 100 < traj.end_step < 10**6
    assert f"converged: from step {traj.end_step:,} on the parameters no longer change" in traj.message
    # Either push is right to 2^-52 of itself and a little more, from the rounding of its margin. Their
    # logarithms part by 3 for 1 of w, so where they seem to balance, w is off by 2/3 of 2^-52 at most; and by
    # its own rounding, 2^-56, when it ceases to change.
    there = traj.t >= traj.end_step
    assert there.sum() > 19_000 and np.all(np.abs(traj.w[there, 0, 0] - math.log(2) / 3) < 2.0**-52)
    assert np.all(traj.w[:, 1] == -1.0)
    stepped = twonn.run(BALANCED, BALANCING, traj.end_step, engine="direct")
    assert abs(stepped.w[-1, 0, 0] - traj.w[-1, 0, 0]) <= 2.0**-53


def test_convergence_is_dated_alike_whatever_the_horizon():
    ends = set()
    for steps in (10**6, 2**63 - 1, 2**63, 10**400):
        traj = twonn.run(BALANCED, BALANCING, steps, max_direct=10**6)
        assert traj.status is twonn.Status.CONVERGED
        ends.add(traj.end_step)
    assert len(ends) == 1
    assert twonn.run(BALANCED, BALANCING, min(ends) // 2).status is twonn.Status.COMPLETED


def test_memory_does_not_grow_with_the_number_of_steps():
    def peak(steps: int) -> int:
        tracemalloc.start()
        try:
            twonn.run(CHATTER, twonn.Params(w=[0.6, -0.4], b=[0.3, 0.3]), steps=steps, sample_steps=[10])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20_000)  # what is kept for ever is allocated at the first call
    assert peak(4_000_000) <= peak(40_000) + 4096


INTERRUPTED = """
import os, signal, twonn
signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent may ignore it
problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
start = twonn.Params(w=[0.43, -1.47])
def press(taken, asked):
    if taken > 3_000_000 and not pressed:
        pressed.append(taken)
        os.kill(os.getpid(), signal.SIGINT)
pressed = []
traj = twonn.run(problem, start, steps=2**62, engine="direct", progress=press)
assert traj.status is twonn.Status.INTERRUPTED, traj
assert traj.t[-1] == traj.end_step >= 3_000_000
again = twonn.run(problem, start, steps=traj.end_step, engine="direct")
assert again.states[-1].tobytes() == traj.states[-1].tobytes()
assert again.gap[-1] == traj.gap[-1]
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print(traj.message)
"""

INTERRUPTED_TWICE = """
import os, signal, twonn
signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent may ignore it
problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
def press(taken, asked):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
try:
    twonn.run(problem, twonn.Params(w=[0.43, -1.47]), steps=2**62, engine="direct", progress=press)
except KeyboardInterrupt:
    print("stopped at once")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_first_ctrl_c_gives_what_there_is():
    done = python(INTERRUPTED)
    assert done.returncode == 0, done.stderr
    assert "interrupted after" in done.stdout


def test_the_second_ctrl_c_stops_at_once():
    done = python(INTERRUPTED_TWICE)
    assert done.returncode == 0, done.stderr
    assert "stopped at once" in done.stdout


def test_a_handler_of_the_users_own_is_left_alone():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        traj = twonn.run(PROBLEM, START, steps=100, progress=lambda *_: os.kill(os.getpid(), signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen and traj.status is twonn.Status.COMPLETED


def test_threads_run_side_by_side_and_give_the_same_bits():
    results = {}

    def work(name: int) -> None:
        results[name] = twonn.run(CHATTER, START, steps=200_000)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {traj.states.tobytes() for traj in results.values()} == {
        twonn.run(CHATTER, START, steps=200_000).states.tobytes()
    }


def test_a_progress_bar_shows_only_on_long_work(monkeypatch):
    shown = []
    monkeypatch.setattr("rich.progress.Progress.start", lambda self: shown.append(1))
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    twonn.run(PROBLEM, START, steps=1000, progress=True)
    assert not shown
    ticks = iter(range(0, 10**6, 10))
    monkeypatch.setattr("time.monotonic", lambda: next(ticks))
    twonn.run(PROBLEM, START, steps=1000, progress=True)
    assert shown
