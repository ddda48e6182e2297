"""A signal ends whatever the kernel is doing within a moment, and costs no bit of the rest."""

import os
import signal
import threading

import numpy as np
import pytest

import twonn
from twonn import _core
from twonn.engine import pace
from twonn.engine.execution import TRIAL_STEPS, Execution
from twonn.engine.kernel import prepared
from twonn.engine.watching import first_signal
from twonn.problem.runspec import RunOptions, RunSpec

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])


def kernel_of(problem, params, steps, samples_per_decade=20.0, optimizer=None):
    options = RunOptions(steps, samples_per_decade=samples_per_decade, optimizer=optimizer)
    return prepared(RunSpec(problem, params, options))


def dense():
    """A kernel one leap before its end, with two million samples to record in it: half a second."""
    kernel = kernel_of(PAPER, START, 10**100_000)
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
    """A kernel of which a step takes so many seconds of the clock that `Pace` reads."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.now, self.asked = seconds, 0.0, []
        monkeypatch.setattr(pace.time, "perf_counter", lambda: self.now)

    def advance(self, steps):
        self.asked.append(steps)
        self.now += steps * self.seconds


@pytest.mark.parametrize("seconds", [1e-9, 3e-8, 1e-6, 1e-4, 1e-2])
def test_chunks_take_some_tens_of_milliseconds(seconds, monkeypatch):
    kernel = Costly(monkeypatch, seconds)
    spec = RunSpec(PAPER, START, RunOptions(10, samples_per_decade=20.0))
    driver = pace.Pace(spec)
    for _ in range(40):
        driver.advance(kernel)
    took = kernel.asked[-1] * seconds
    assert took <= 2 * pace.CHUNK_SECONDS
    assert took >= pace.CHUNK_SECONDS / 2 or kernel.asked[-1] == pace.LONGEST_CHUNK
    driver.advance(kernel, 3)
    assert kernel.asked[-1] <= 3
    settled = kernel.asked[-2]
    driver.advance(kernel)
    assert kernel.asked[-1] == settled  # a short one tells nothing


def test_the_trial_of_a_horizon_beyond_counting_is_as_long_as_before(monkeypatch):
    """Taken in chunks, it ends at the block where it ended in one piece."""
    whole = prepared(RunSpec(PAPER, START, RunOptions(2**63 - 1, "direct", samples_per_decade=20.0)))
    whole.advance(TRIAL_STEPS)
    for chunk in (1, 3 * 4096, 1 << 21):
        monkeypatch.setattr(pace, "LONGEST_CHUNK", chunk)
        spec = RunSpec(PAPER, START, RunOptions(10**30, "direct", samples_per_decade=20.0))
        run = Execution(spec)
        with pytest.raises(ValueError, match="at most 2"):
            run.try_to_end()
        assert run.steps_taken == whole.step
