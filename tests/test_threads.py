"""Sixteen threads that share one problem and one trajectory find what one thread finds.

What is shared is immutable, or is a cache whose entry is the same whoever computes it: the tables of the
kernel, filled when it is imported; derived arrays; powers of ten; schedules. A kernel belongs to the call
that made it.
"""

import pickle
import sys
import threading

import numpy as np
import pytest

import twonn
from twonn.problem import horizon

THREADS = 16

PROBLEM = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
STARTS = twonn.initializers.sample("he_normal_bias", THREADS, seed=5)
SHARED = (
    "w",
    "b",
    "v",
    "preactivations",
    "margins",
    "log_loss",
    "loss",
    "sawtooth",
    "distances",
    "robust_margin",
)
MORE = ("gap", "gap_error", "boundary", "final", "message", "error_estimate")


@pytest.fixture(autouse=True)
def frequent_switches():
    """Let threads that take turns do so as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work) -> list:
    """What sixteen threads return that begin together; each is given its number."""
    barrier = threading.Barrier(THREADS)
    found = [None] * THREADS
    faults = []

    def one(number):
        try:
            barrier.wait()
            found[number] = work(number)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults
    return found


def bits(value) -> bytes:
    return value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()


def derived(traj) -> dict[str, bytes]:
    return {name: bits(getattr(traj, name)) for name in SHARED + MORE}


def test_derived_arrays_of_one_trajectory():
    """Each thread asks for them in another order, and all before any is there."""
    for start in STARTS[:3]:
        traj = twonn.run(PROBLEM, start, 10**9)
        alone = derived(pickle.loads(pickle.dumps(traj)))

        def ask(number, traj=traj):
            names = SHARED + MORE
            turned = names[number:] + names[:number]
            return {name: bits(getattr(traj, name)) for name in turned}

        for found in at_once(ask):
            assert found == alone


def test_runs_of_one_problem():
    alone = [twonn.run(PROBLEM, start, 10**9) for start in STARTS]
    for _ in range(3):
        horizon._log_spaced.cache_clear()
        horizon._mantissa.cache_clear()
        together = at_once(lambda number: twonn.run(PROBLEM, STARTS[number], 10**9))
        assert together == alone
        assert all(
            one.states.tobytes() == other.states.tobytes() for one, other in zip(together, alone, strict=True)
        )


def test_whatever_else_is_done_with_one_trajectory(tmp_path):
    paper = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    traj = twonn.run(paper, twonn.Params(w=[0.4309350268754409, -1.470759627697770]), 10**12)
    same = pickle.loads(pickle.dumps(traj))
    fit, limit = twonn.fit_rate(same), twonn.asymptote(paper, same)

    def work(number):
        path = tmp_path / f"{number}.npz"
        traj.save(path)
        traj.save(tmp_path / "shared.npz")
        assert repr(traj) == repr(same) and hash(traj.problem) == hash(paper)
        twonn.run(paper, traj.params, 10**6, checkpoint=tmp_path / f"{number}.twonn", engine="direct")
        gone_on = twonn.resume(tmp_path / f"{number}.twonn", 10**7)
        return twonn.load(path), pickle.loads(pickle.dumps(traj)), twonn.fit_rate(traj), limit, gone_on

    direct = twonn.run(paper, traj.params, 10**7, engine="direct")
    for loaded, pickled, fitted, known, gone_on in at_once(work):
        assert loaded == pickled == traj == same
        assert fitted == fit and known == twonn.asymptote(paper, traj)
        assert gone_on == direct
    assert twonn.load(tmp_path / "shared.npz") == traj
