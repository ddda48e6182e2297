"""What `run` accepts and refuses, and how it is watched and interrupted."""

import math
import os
import signal
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import twonn

PROBLEM = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.43, -1.47])
CHATTER = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({}, ValueError, "steps: got steps=None, log10_steps=None; expected exactly one"),
        ({"steps": 10, "log10_steps": 1.0}, ValueError, "expected exactly one of steps"),
        ({"steps": -1}, ValueError, "steps: got -1; expected a whole number >= 0"),
        ({"steps": 1e6}, TypeError, r"steps: got 1000000.0; .* such as 10\*\*6"),
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


def test_numpy_integers_and_arrays_are_steps():
    traj = twonn.run(PROBLEM, START, steps=np.int64(1000), sample_steps=np.array([1, 10, 100]))
    assert traj.t.tolist() == [0, 1, 10, 100, 1000]


def test_no_bias_means_no_bias():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, bias=False)
    traj = twonn.run(problem, START, steps=1000)
    assert np.all(traj.b == 0)


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
