"""A signal ends whatever the kernel is doing within a moment, and costs no bit of the rest."""

import os
import signal
import sys
import threading

import numpy as np
import pytest

import twonn
from twonn import _core
from twonn.checkpoint import Question
from twonn.run import first_signal

run_module = sys.modules["twonn.run"]

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])


def prepared(problem, params, steps, samples_per_decade=20.0, optimizer=None):
    return run_module._prepared(
        Question(problem, params, steps, "auto", "average", samples_per_decade, None, optimizer)
    )


def dense():
    """A kernel one leap before its end, with two million samples to record in it: half a second."""
    kernel = prepared(PAPER, START, 10**100_000)
    while kernel.step >= 0:
        kernel.advance(1)
    assert kernel.status == _core.RUNNING
    return kernel


def signal_while_recording(kernel):
    """Send Ctrl-C from another thread, which the kernel lets run, while it is in its last leap."""
    recorded = kernel.n_samples

    def send():
        while kernel.n_samples < recorded + 100:
            pass
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.fixture
def usual_handlers():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("handled", [True, False], ids=["first_signal", "KeyboardInterrupt"])
def test_a_signal_ends_a_leap_with_millions_of_samples(handled, usual_handlers):
    kernel, other = dense(), dense()
    before = other.state()
    thread = signal_while_recording(kernel)
    if handled:
        with first_signal() as came:
            kernel.advance(2**40)
            assert came() == signal.SIGINT
    else:
        with pytest.raises(KeyboardInterrupt):
            kernel.advance(2**40)
    thread.join()
    # As if the leap had not been begun.
    after = kernel.state()
    assert all(value.tobytes() == before[name].tobytes() for name, value in after.items())
    for each in (kernel, other):
        each.advance(2**40)
        assert each.status == _core.COMPLETED
    assert kernel.n_samples > 1_900_000
    assert kernel.sample_states.tobytes() == other.sample_states.tobytes()
    assert kernel.sample_logs.tobytes() == other.sample_logs.tobytes()
    assert kernel.segments == other.segments


def test_a_step_that_costs_much_is_taken_by_itself():
    """With a million numbers for each point, two million steps at once would take hours."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(2, 200_000)) / 1000
    problem = twonn.Problem(x=x, y=[-1, 1], step_size=0.01)
    params = twonn.Params(w=rng.normal(size=(2, 200_000)) / 1000)
    traj = twonn.run(problem, params, 10**9, optimizer="adam", sample_steps=[], on_block=lambda *_: True)
    assert traj.status is twonn.Status.INTERRUPTED
    assert traj.end_step == 1


class Costly:
    """A kernel of which a step takes so many seconds of the clock that `_Pace` reads."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.now, self.asked = seconds, 0.0, []
        monkeypatch.setattr(run_module.time, "perf_counter", lambda: self.now)

    def advance(self, steps):
        self.asked.append(steps)
        self.now += steps * self.seconds


@pytest.mark.parametrize("seconds", [1e-9, 3e-8, 1e-6, 1e-4, 1e-2])
def test_chunks_take_some_tens_of_milliseconds(seconds, monkeypatch):
    kernel = Costly(monkeypatch, seconds)
    question = Question(PAPER, START, 10, "auto", "average", 20.0, None, None)
    pace = run_module._Pace(question)
    for _ in range(40):
        pace.advance(kernel)
    took = kernel.asked[-1] * seconds
    assert took <= 2 * run_module._CHUNK_SECONDS
    assert took >= run_module._CHUNK_SECONDS / 2 or kernel.asked[-1] == run_module._CHUNK
    pace.advance(kernel, 3)
    assert kernel.asked[-1] <= 3
    settled = kernel.asked[-2]
    pace.advance(kernel)
    assert kernel.asked[-1] == settled  # a short one tells nothing


def test_the_trial_of_a_horizon_beyond_counting_is_as_long_as_before(monkeypatch):
    """Taken in chunks, it ends at the block where it ended in one piece."""
    whole = run_module._prepared(Question(PAPER, START, 2**63 - 1, "direct", "average", 20.0, None, None))
    whole.advance(run_module._TRIAL_STEPS)
    for chunk in (1, 3 * 4096, 1 << 21):
        monkeypatch.setattr(run_module, "_CHUNK", chunk)
        question = Question(PAPER, START, 10**30, "direct", "average", 20.0, None, None)
        kernel = run_module._prepared(question)
        with pytest.raises(ValueError, match="at most 2"):
            run_module._try_to_end(kernel, 10**30, run_module._Pace(question))
        assert kernel.step == whole.step
