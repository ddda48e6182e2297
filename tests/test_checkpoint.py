"""Checkpoints: resumed runs have the bits of uninterrupted ones, whatever happens to process and disk."""

import dataclasses
import errno
import fcntl
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from cases import BALANCED, BALANCING, CYCLE, CYCLING, difference, random_problem
from forging import rewritten, sealed

import twonn
from twonn import _core
from twonn.engine import checkpoint, fields, pace, saver
from twonn.engine.checkpoint import digest, read, read_one
from twonn.engine.fields import FIELDS
from twonn.engine.kernel import prepared
from twonn.engine.run import so_far
from twonn.files import is_checkpoint, locked, make_durable, previous
from twonn.problem.runspec import RunOptions, RunSpec

ROOT = Path(__file__).parent.parent
needs_sources = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs the sources")

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
CHATTER = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
CHATTERING = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.3])


def identical(one: twonn.Trajectory, other: twonn.Trajectory) -> bool:
    """Whether all fields, and what follows from them, are the same to the last bit."""
    names = [field.name for field in dataclasses.fields(one)]
    for name in [*names, "w", "b", "v", "preactivations", "gap", "gap_error", "message"]:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray):
            same = mine.dtype == theirs.dtype and mine.shape == theirs.shape
            same = same and mine.tobytes() == theirs.tobytes()
        else:
            same = mine == theirs
        if not same:
            print(name, "differs")
            return False
    return True


def blocks_of(traj: twonn.Trajectory) -> int:
    """How often the kernel is called for this run, one block at a time."""
    return int(traj.segments["blocks"].sum())


def stopping_at(counts) -> object:
    """A callback that stops the run at these of its calls, counted over all sessions."""
    calls = itertools.count()
    return lambda *_: next(calls) in counts


def in_pieces(path, problem, params, steps, pauses, **options):
    """Run with pauses behind these blocks; return the trajectory and what was in the file at each pause."""
    watch, seen = stopping_at(pauses), []
    traj = twonn.run(problem, params, steps, checkpoint=path, on_block=watch, **options)
    while traj.status is twonn.Status.INTERRUPTED:
        seen.append(read(path)[0])
        traj = twonn.resume(path, on_block=watch)
    return traj, seen


@pytest.fixture
def block_by_block(monkeypatch):
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.twonn"


# --------------------------------------------------------------------------------------------------
# Resumed = uninterrupted

AXES = {
    "loss": ["exponential", "logistic"],
    "reduction": ["mean", "sum"],
    "bias": [True, False],
    "train_output": [False, True],
    "points": ["line", "space"],
    "how": ["direct", "auto", "step", "momentum", "normalized_gd", "adam"],
}
POINTS = {"line": [-1.0, 3.0], "space": [[-1.0, 0.5, 0.25], [0.75, -0.5, 1.0]]}
MATRIX = list(itertools.product(*AXES.values()))


def asked(*case):
    *values, points, how = case
    problem = twonn.Problem(
        x=POINTS[points], y=[-1, 1], step_size=0.05, **dict(zip(AXES, values, strict=False))
    )
    w = [0.9, -1.4] if problem.dimension == 1 else [[-0.3, 0.2, 0.9], [-0.7, 0.4, -0.1]]
    params = twonn.Params(w=w, b=[0.25, 0.5] if problem.bias else None, v=[1.0, -0.875])
    if how in ("direct", "auto"):
        return problem, params, 20_000 if how == "direct" else 10**14, {"engine": how}
    if how == "step":
        return problem, params, 50_000, {"sliding": "step"}
    return problem, params, 300, {"optimizer": how}


@pytest.mark.parametrize("case", MATRIX, ids=lambda case: "-".join(map(str, case)))
def test_resumed_is_uninterrupted(case, path, block_by_block):
    problem, params, steps, options = asked(*case)
    whole = twonn.run(problem, params, steps, **options)
    seed = MATRIX.index(case)
    print("seed", seed)
    calls = steps if "optimizer" in options else blocks_of(whole)
    assert calls > 4
    pauses = set(np.random.default_rng(seed).choice(calls - 1, 3, replace=False).tolist())
    resumed, seen = in_pieces(path, problem, params, steps, pauses, **options)
    assert len(seen) == 3
    assert len({int(values["step"]) for values in seen}) == 3
    assert all(values["step"] > 0 for values in seen)
    assert identical(resumed, whole)
    assert resumed.problem == problem and resumed.params == params


def test_every_axis_of_the_matrix_takes_effect():
    ends = {}
    for case in MATRIX:
        problem, params, steps, options = asked(*case)
        ends[case] = twonn.run(problem, params, min(steps, 1000), sample_steps=[], **options).final
    for case, end in ends.items():
        for axis, (name, values) in enumerate(AXES.items()):
            for value in values:
                other = (*case[:axis], value, *case[axis + 1 :])
                if value == case[axis] or {case[axis], value} <= {"direct", "auto", "step"}:
                    continue
                if name == "reduction" and case[-1] == "normalized_gd":
                    continue  # it divides by the loss
                assert ends[other].w.tobytes() != end.w.tobytes(), (case, other)
    # The engines are told apart by what covers the steps.
    for *rest, how in MATRIX:
        if how == "auto":
            problem, params, steps, options = asked(*rest, how)
            engines = twonn.run(problem, params, steps, **options).segments["engine"].tolist()
            assert "direct" in engines and set(engines) & {"leap", "slide"}


#: Seeds of runs that end within their first block of steps, by whether neurons may slide.
ENDED_AT_ONCE = {False: {0, 11, 14, 17, 18, 19, 20}, True: {2, 13, 15, 19, 20, 21, 26}}


@pytest.mark.parametrize("sliding", [False, True], ids=["plain", "sliding"])
@pytest.mark.parametrize("seed", range(28))
def test_random_runs_are_resumed_to_the_bit(seed, sliding, path, block_by_block):
    problem, params = random_problem(seed, sliding=sliding)
    rng = np.random.default_rng([604, seed])
    options = {"engine": ["auto", "direct"][seed % 2], "samples_per_decade": float(rng.uniform(1, 40))}
    steps = int(10 ** rng.uniform(4, 10 if options["engine"] == "auto" else 5))
    whole = twonn.run(problem, params, steps, **options)
    if blocks_of(whole) > 20_000:  # it cannot be leapt over
        whole = twonn.run(problem, params, steps := 10**6, **options)
    calls = blocks_of(whole)
    pauses = set(rng.integers(0, max(calls - 1, 1), 6).tolist())
    resumed, seen = in_pieces(path, problem, params, steps, pauses, **options)
    assert bool(seen) == (seed not in ENDED_AT_ONCE[sliding])
    assert identical(resumed, whole)
    assert identical(twonn.resume(path), whole)


def late_switch(z):
    """Neuron 1 is active at height z on sample 1, which neuron 0 classifies with margin 1: it dies late."""
    return twonn.Params(w=[(1.75 + z) / 2, (z - 0.75) / 2], b=[(0.25 + z) / 2, (z + 0.75) / 2])


LATE = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, reduction="sum")
SLIDING = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
SLIDER = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])
DEAD = twonn.Params(w=[0.9, -1.4], b=[0.1, 0.2], v=[1.0, 1.0])

#: Stretches of every kind, and every outcome: problem, start, steps, options, and what has to have been seen.
ODD = {
    "a transition behind a leap": (LATE, late_switch(20.0), 10**25, {}, "transition"),
    "beyond counting": (PAPER, START, 10**400, {}, "far"),
    "two neurons slide": (CHATTER, CHATTERING, 10**16, {}, "slide"),
    "one neuron slides": (SLIDING, SLIDER, 10**30, {}, "slide"),
    "trained and sliding": (
        twonn.Problem(x=[-0.3, 0.8], y=[1, -1], step_size=0.05, reduction="sum", train_output=True),
        SLIDER,
        10**12,
        {},
        "slide",
    ),
    "leaps between transitions": (
        CHATTER,
        twonn.Params(w=[1.0, 0.0], b=[0.0, -1.0]),
        10**8,
        {},
        "transition",
    ),
    "wide brackets": (*random_problem(39, sliding=True), 10**10, {}, "transition"),
    "equal labels": (twonn.Problem(x=[-1.0, 2.0], y=[1, 1], step_size=0.1), DEAD, 10**12, {}, "leap"),
    "only leaps": (PAPER, START, 10**50, {"engine": "leap"}, "far"),
    "listed samples": (PAPER, START, 10**30, {"sample_steps": [7, 300, 10**9, 2**63, 10**25]}, "far"),
    "few samples": (CHATTER, CHATTERING, 30_000, {"engine": "direct", "sample_steps": []}, "direct"),
    "comes to rest": (
        twonn.Problem(x=[-1.0, 1.0], y=[-1, -1], step_size=1.0),
        twonn.Params(w=[1.0, 0.0], b=[1e-3 - 1, -1.0], v=[1e-9, 1e-9]),
        10**400,
        {},
        "rest",
    ),
    "diverges": (
        twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=1.8, reduction="sum", train_output=True),
        twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[0.7, -0.6]),
        10**6,
        {},
        "any",
    ),
    "adam": (PAPER, START, 3000, {"optimizer": "adam"}, "any"),
    "gives up": (CYCLE, CYCLING, 10**400, {"max_direct": 50_000}, "obstructed"),
    "gives up leaping": (
        CHATTER,
        twonn.Params(w=[1.0, 0.0], b=[0.0, -1.0]),
        10**40,
        {"max_direct": 300_000},
        "obstructed",
    ),
    "converges": (BALANCED, BALANCING, 10**400, {"max_direct": 10**6}, "converged"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_runs_are_resumed_to_the_bit(name, path, block_by_block):
    problem, params, steps, options, wanted = ODD[name]
    whole = twonn.run(problem, params, steps, **options)
    calls = whole.end_step if "optimizer" in options else blocks_of(whole)
    rng = np.random.default_rng(5)
    # Behind every block where that is quick, and else behind some.
    pauses = set(range(calls)) if calls <= 200 else set(rng.choice(calls - 1, 60, replace=False).tolist())
    resumed, seen = in_pieces(path, problem, params, steps, pauses, **options)
    print(calls, len(seen), whole.segments["engine"].tolist())
    assert len(seen) >= min(len(pauses) - 1, 1)
    assert identical(resumed, whole)
    assert {
        "transition": any(len(values["transition_times"]) for values in seen),
        "far": any(values["step"] == -1 for values in seen),
        "slide": any(values.get("mean_pairs", 0) for values in seen),
        "leap": any(len(values.get("segments", ())) > 1 for values in seen),
        "direct": set(whole.segments["engine"]) == {"direct"},
        "rest": whole.status is twonn.Status.STATIONARY,
        "obstructed": whole.status is twonn.Status.OBSTRUCTED,
        "converged": whole.status is twonn.Status.CONVERGED,
        "any": True,
    }[wanted]


def test_every_field_of_a_run_is_put_back_and_not_by_chance():
    """Each is seen with a value that a new run does not have, and comes back with it."""
    moved, names = set(), set()
    for problem, params, steps, options, _ in ODD.values():
        options = {"engine": "auto", **options}
        if "optimizer" in options:
            options["optimizer"] = twonn.Adam()
        kernel = prepared(spec := spec_for(problem, params, steps, **options))
        new = kernel.state()
        names |= new.keys()
        for block in range(3000):
            kernel.advance(1)
            if kernel.status != _core.RUNNING:
                break
            state = kernel.state()
            moved |= {name for name, value in state.items() if value.tobytes() != new[name].tobytes()}
            if block % 10 == 0:
                other = prepared(spec)
                other.restore(state)
                assert all(back.tobytes() == state[name].tobytes() for name, back in other.state().items())
    # See the next test: one needs 1,024 episodes of sliding, and a run that has converged goes to its horizon
    # at once.
    assert names - moved == {"late_slides", "converged_step", "converged_log"}


def test_what_runs_hardly_ever_hold_is_put_back():
    kernel = prepared(spec := spec_for(CHATTER, CHATTERING, 10**9))
    kernel.advance(100_000)
    state = kernel.state()
    state["n_slides"] = np.array([5000])
    state["slides"] = np.zeros((1024, 5))
    state["episode"] = np.array([1024, 1025])
    state["late_slides"] = np.arange(10.0).reshape(2, 5)
    state["converged_step"], state["converged_log"] = np.array([12345]), np.array([54321.0])
    other = prepared(spec)
    other.restore(state)
    assert all(back.tobytes() == state[name].tobytes() for name, back in other.state().items())
    assert (other.converged_step, other.converged_log) == (12345, 54321.0)
    assert other.n_transitions > _core.TRANSITIONS_KEPT == len(state["transition_times"])


def spec_for(problem, params, steps, **options):
    return RunSpec(problem, params, RunOptions(steps, **{"engine": "direct", **options}))


def test_a_state_is_that_of_a_run_that_goes_on():
    for kernel in (
        prepared(spec_for(PAPER, START, 10)),
        prepared(spec_for(PAPER, START, 10, optimizer=twonn.Adam())),
    ):
        kernel.advance(100)
        with pytest.raises(ValueError, match="ended already"):
            kernel.state()


# --------------------------------------------------------------------------------------------------
# Other horizons

EXTENDED = {
    "direct": (PAPER, START, {"engine": "direct"}, [1000, 5000, 5001, 100_003]),
    "chatter": (CHATTER, CHATTERING, {"engine": "direct"}, [777, 40_000, 100_000]),
    "leap": (PAPER, START, {}, [1234, 10**9, 10**12 + 7, 2**63 - 1, 2**63, 10**30, 10**400, 10**3000]),
    "slide": (CHATTER, CHATTERING, {}, [5000, 10**6, 10**12, 10**100]),
    "walk": (SLIDING, SLIDER, {"sliding": "step"}, [5000, 60_000]),
    "late": (LATE, late_switch(16.0), {}, [10**6, 10**14, 10**15, 10**17, 10**20]),
    "thinned": (PAPER, START, {}, [10**12, 10**900, 10**1500, 10**3000, 10**20_000]),
    "20 asked for": (PAPER, START, {"samples_per_decade": 20}, [10**12, 10**900, 10**1500]),
    "listed": (PAPER, START, {"sample_steps": [10, 1000]}, [1001, 10**6, 10**12]),
    "adam": (PAPER, START, {"optimizer": twonn.Adam(beta1=0.8)}, [100, 101, 3000]),
    "converges": (BALANCED, BALANCING, {"max_direct": 10**6}, [1000, 10**6, 10**9, 2**63, 10**400]),
}


@pytest.mark.parametrize("paused", [False, True], ids=["ended", "paused"])
@pytest.mark.parametrize("name", EXTENDED)
def test_a_longer_horizon_gives_the_run_to_that_horizon(name, paused, path, block_by_block, monkeypatch):
    """From runs that had ended, and from runs paused on the way."""
    problem, params, options, horizons = EXTENDED[name]
    # Look at where the run is behind every block, so that going on starts right before the end.
    monkeypatch.setattr(saver, "LOOK_SECONDS", 0.0)
    first = twonn.run(problem, params, horizons[0], checkpoint=path, **options)
    assert identical(first, twonn.run(problem, params, horizons[0], **options))
    reached = [int(read(path)[0]["step"])]
    for steps in horizons[1:]:
        if paused:
            watch = stopping_at({3})
            traj = twonn.resume(path, steps, on_block=watch)
            assert traj.horizon == steps
            traj = twonn.resume(path) if traj.status is twonn.Status.INTERRUPTED else traj
        else:
            traj = twonn.resume(path, steps)
        assert identical(traj, twonn.run(problem, params, steps, **options))
        reached.append(int(read(path)[0]["step"]))
    assert reached[-1] == -1 or reached == sorted(reached)
    assert len(set(reached)) >= 2


#: Problem, start, options and limits, of runs that use them up.
LIMITS = {
    "cycle": (CYCLE, CYCLING, {}, [30_000, 30_001, 50_000, 200_000]),
    "walk": (SLIDING, SLIDER, {"sliding": "step"}, [1, 5000, 60_000]),
    "leaps": (CHATTER, twonn.Params(w=[1.0, 0.0], b=[0.0, -1.0]), {}, [10_000, 100_000, 300_000]),
}


@pytest.mark.parametrize("look", [0.0, math.inf], ids=["from the end", "from the beginning"])
@pytest.mark.parametrize("name", LIMITS)
def test_a_larger_limit_gives_the_run_with_that_limit(name, look, path, block_by_block, monkeypatch):
    """From files that hold the run right before it gave up, and as it was at the beginning."""
    problem, params, options, limits = LIMITS[name]
    monkeypatch.setattr(saver, "LOOK_SECONDS", look)
    first = twonn.run(problem, params, 10**40, max_direct=limits[0], checkpoint=path, **options)
    ends = {first.end_step}
    for limit in limits[1:]:
        values, _ = read(path)
        assert values["outcome"] == "obstructed"
        assert identical(so_far(path)[0], twonn.resume(path))  # as before, without another limit
        traj = twonn.resume(path, max_direct=limit)
        assert traj.status is twonn.Status.OBSTRUCTED
        assert identical(traj, twonn.run(problem, params, 10**40, max_direct=limit, **options))
        ends.add(traj.end_step)
    assert len(ends) >= len(limits) - 1
    # With another horizon as well.
    steps = traj.end_step + 1000
    both = twonn.resume(path, steps, max_direct=10 * limit)
    assert identical(both, twonn.run(problem, params, steps, max_direct=10 * limit, **options))
    assert both.status is twonn.Status.COMPLETED


def test_a_limit_within_what_the_file_holds_is_refused(path, block_by_block, monkeypatch):
    monkeypatch.setattr(saver, "LOOK_SECONDS", 0.0)
    twonn.run(CYCLE, CYCLING, 10**40, max_direct=30_000, checkpoint=path)
    spent = int(read(path)[0]["spent"])
    assert spent >= 30_000  # it is behind the last block, and gives up before the next one
    for limit in (1, 29_999):
        sentence = (
            rf"max_direct: got {limit:,}; expected more than the {spent:,} that the run in .* has used up"
        )
        with pytest.raises(ValueError, match=sentence):
            twonn.resume(path, max_direct=limit)
    for limit, error in ((0, ValueError), (3.5, ValueError), ("many", ValueError)):
        with pytest.raises(error, match=r"max_direct: got .*expected a whole number (>=|from) 1"):
            twonn.resume(path, max_direct=limit)
    assert int(read(path)[0]["spent"]) == spent  # as before
    assert twonn.resume(path, max_direct=10**30, steps=40_000).status is twonn.Status.COMPLETED
    assert read(path)[0]["max_direct"] == 2**63 - 1


@pytest.mark.parametrize(
    "options",
    [{"engine": "direct"}, {"engine": "leap"}, {"optimizer": "momentum", "engine": "direct"}],
    ids=str,
)
def test_a_run_without_limit_is_given_any(options, path):
    twonn.run(CYCLE, CYCLING, 2000, checkpoint=path, **options)
    traj = twonn.resume(path, 3000, max_direct=1)
    assert traj.status is twonn.Status.COMPLETED
    assert identical(traj, twonn.run(CYCLE, CYCLING, 3000, max_direct=1, **options))


def test_a_run_can_be_ended_earlier(path):
    twonn.run(
        CHATTER, CHATTERING, 10**9, checkpoint=path, engine="direct", on_block=lambda step, _: step > 10**6
    )
    held = int(read(path)[0]["step"])
    assert held > 10**6
    with pytest.raises(ValueError, match=rf"steps: got {held:,}; expected more than the {held:,} steps"):
        twonn.resume(path, held)
    with pytest.raises(ValueError, match="exactly one of steps and log10_steps"):
        twonn.resume(path, 10**7, log10_steps=7.0)
    traj = twonn.resume(path, held + 1)
    assert identical(traj, twonn.run(CHATTER, CHATTERING, held + 1, engine="direct"))
    assert identical(
        twonn.resume(path, log10_steps=7.0), twonn.run(CHATTER, CHATTERING, 10**7, engine="direct")
    )


def test_a_nearer_horizon_that_has_more_samples_than_the_file_is_refused(path, block_by_block):
    """By default, beyond 10^1000 steps, samples are the farther apart the farther the horizon is."""
    traj = twonn.run(PAPER, START, 10**3000, checkpoint=path, on_block=stopping_at({5}))
    assert traj.status is twonn.Status.INTERRUPTED and traj.log_t[-1] < math.log(10**30)
    for steps in (10**1500, 10**30):
        with pytest.raises(ValueError, match=r"steps: got 10\^\d+; expected .* no denser than "):
            twonn.resume(path, steps)
    assert identical(twonn.resume(path, 10**2500), twonn.run(PAPER, START, 10**2500))


def test_a_file_of_a_run_that_has_ended_gives_its_result(path):
    whole = twonn.run(PAPER, START, 10**6, checkpoint=path, engine="direct")
    assert read(path)[0]["outcome"] == "completed"
    assert identical(twonn.resume(path), whole)
    assert identical(so_far(path)[0], whole)
    still = twonn.Params(w=[0.0, 0.0], b=[-1.0, -1.0])
    rest = twonn.run(PAPER, still, 10**400, engine="direct", checkpoint=(other := path.with_name("still")))
    assert rest.status is twonn.Status.STATIONARY
    assert identical(so_far(other)[0], rest) and identical(twonn.resume(other), rest)
    wild = ODD["diverges"]
    traj = twonn.run(*wild[:2], 10**6, checkpoint=(other := path.with_name("wild")))
    assert read(other)[0]["outcome"] == traj.status.value
    assert identical(so_far(other)[0], traj)


def test_digests_tell_whether_runs_are_at_the_same_point(path, block_by_block):
    digests = []
    for number, (steps, calls) in enumerate([(10**6, {9}), (10**9, {2, 9}), (10**6, {8})]):
        place = path.with_name(str(number))
        watch = stopping_at(calls)
        twonn.run(CHATTER, CHATTERING, steps, checkpoint=place, engine="direct", on_block=watch)
        for _ in range(len(calls) - 1):
            twonn.resume(place, on_block=watch)
        digests.append(digest(read(place)[0]))
    assert digests[0] == digests[1] != digests[2]


def test_the_engine_refuses_later_what_it_refuses_at_once(path):
    twonn.run(PAPER, START, 10**6, checkpoint=path, engine="direct")
    with pytest.raises(ValueError, match="with the engine direct"):
        twonn.resume(path, 10**30)
    assert twonn.resume(path).status is twonn.Status.COMPLETED  # as before


def test_a_run_that_is_refused_leaves_no_file(path):
    with pytest.raises(ValueError, match="with the engine direct"):
        twonn.run(PAPER, START, 10**30, engine="direct", checkpoint=path)
    with pytest.raises(ValueError, match="sliding: got 'step'"):
        twonn.run(SLIDING, SLIDER, 10**30, engine="leap", sliding="step", checkpoint=path)
    assert list(path.parent.iterdir()) == []


# --------------------------------------------------------------------------------------------------
# When checkpoints are written


def test_checkpoints_are_due_by_steps(path):
    seen = []

    def watch(step, params):
        seen.append((step, int(read(path)[0]["step"])))
        return step > 10**7

    twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=path, checkpoint_every=10**6, on_block=watch)
    assert all(step - held < 10**6 for step, held in seen)
    assert len({held for _, held in seen}) == 10 or len({held for _, held in seen}) == 11


def test_checkpoints_are_due_by_time(path, monkeypatch):
    now = itertools.count(0, 7)
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    written = []
    genuine = saver.write
    monkeypatch.setattr(saver, "write", lambda *a, **k: (written.append(a), genuine(*a, **k)))
    twonn.run(PAPER, START, 10**9, engine="direct", checkpoint=path, on_block=stopping_at({40}))
    assert 5 < len(written) < 40  # not at every look


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("60s", (60.0, None)),
        ("1.5 h", (5400.0, None)),
        ("10min", (600.0, None)),
        (7, (math.inf, 7)),
        ("7", (math.inf, 7)),
    ],
)
def test_intervals(every, expected):
    assert checkpoint.interval(every) == expected


@pytest.mark.parametrize("every", ["0s", "-1s", "0", "s", "1 day", 0, -3, 1.5, True, None, math.nan])
def test_other_intervals_are_refused(every):
    with pytest.raises((TypeError, ValueError), match=r"checkpoint_every: got .*expected a number of steps"):
        checkpoint.interval(every)


def written(path) -> object:
    return json.loads(read(path)[0]["checkpoint_every"])


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
def test_the_interval_travels_in_the_file(optimizer, path):
    """A run that is killed again and again before the next checkpoint would be due by default."""
    options = {"optimizer": optimizer, "engine": "direct"}
    seen = []

    def watch(step, params):
        seen.append((step, int(read(path)[0]["step"])))
        return step > 10**6 * (1 + len(sessions))

    sessions = [0]
    twonn.run(PAPER, START, 10**12, checkpoint=path, checkpoint_every=300_000, on_block=watch, **options)
    for _ in range(2):
        sessions.append(len(seen))
        twonn.resume(path, on_block=watch)
    assert all(step - held < 300_000 for step, held in seen)
    assert all(len({held for _, held in seen[start:]}) > 2 for start in sessions)
    assert written(path) == 300_000


def test_another_interval_is_kept_from_then_on(path):
    stop = {"on_block": lambda *_: True}
    twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=path, **stop)
    assert written(path) == "60s"
    for every, expected in [("1.5 h", "1.5 h"), (None, "1.5 h"), (10**400, 2**63 - 1), (7, 7), (None, 7)]:
        twonn.resume(path, checkpoint_every=every, **stop)
        assert written(path) == expected
    with pytest.raises(ValueError, match="checkpoint_every: got 0"):
        twonn.resume(path, checkpoint_every=0, **stop)
    assert written(path) == 7


@pytest.mark.parametrize(
    "every", ["null", "0", "-1", "1.5", "true", '"1 day"', '"0s"', '["60s"]', "{", "1" * 5000]
)
def test_an_interval_that_is_none_is_refused(every, path, small):
    values, _ = read(path)
    previous(path).unlink()
    path.write_bytes(rewritten(values, checkpoint_every=every))
    with pytest.raises(twonn.CheckpointError, match=r"run\.twonn: not what a checkpoint has to be"):
        twonn.resume(path)


def test_on_block_is_given_steps_and_parameters(path):
    for optimizer in ("gd", "momentum"):
        seen = []

        def watch(step, params, seen=seen):
            seen.append((step, params))
            return np.bool_(step >= 10**6)

        traj = twonn.run(PAPER, START, 10**9, engine="direct", on_block=watch, optimizer=optimizer)
        assert traj.status is twonn.Status.INTERRUPTED
        step, params = seen[-1]
        assert step == traj.end_step and params == traj.final


def test_a_fault_in_on_block_leaves_the_last_checkpoint(path):
    def fault(step, params):
        if step > 10**7:
            raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        twonn.run(
            PAPER, START, 10**9, engine="direct", checkpoint=path, checkpoint_every=10**6, on_block=fault
        )
    assert read(path)[0]["step"] > 8 * 10**6


@pytest.mark.parametrize("where", ["main thread", "another thread"])
@pytest.mark.parametrize("what", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_exception_loses_nothing_that_was_computed(what, where, path, faults):
    """The next checkpoint is due in a minute."""
    reached, raised = [], []

    def fault(step, params):
        if step > 10**7:
            reached.append(step)
            raise what

    def work():
        try:
            twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=path, on_block=fault)
        except BaseException as error:
            raised.append(type(error))

    if where == "main thread":
        work()
    else:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert raised == [what]
    values, damage = read(path)
    row = faults(PROCESSES, f"a {what.__name__} in {where}")
    row.holds(GOOD, damage is None and values["step"] == reached[0] and values["outcome"] == "interrupted")
    traj = twonn.resume(path, 2 * 10**7)
    row.holds(BITS, identical(traj, twonn.run(PAPER, START, 2 * 10**7, engine="direct")))


def test_an_existing_file_is_not_overwritten(path):
    twonn.run(PAPER, START, 100, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint: got .*does not exist. Continue with twonn\.resume"):
        twonn.run(PAPER, START, 100, checkpoint=path)
    assert path.read_bytes() == before


# --------------------------------------------------------------------------------------------------
# Processes


def forked(work) -> int:
    """Do some work in a process of its own, which need not import anything."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(1)
    return pid


def test_a_job_killed_at_200_moments_loses_no_bit(path, monkeypatch, faults):
    fault = faults(PROCESSES, "it is killed while it runs and writes")
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 20_000)
    seed = 200
    print("seed", seed)
    rng = np.random.default_rng(seed)
    reached, halves, longest = [0], 0, 0.06
    for kill in range(200):

        def job(every=20_000 if kill % 2 else 1_000_000):
            """One that hardly does anything but write, and one that computes; neither comes to an end."""
            if path.exists():
                twonn.resume(path, checkpoint_every=every)
            else:
                twonn.run(
                    CHATTER, CHATTERING, 2**62, engine="direct", checkpoint=path, checkpoint_every=every
                )

        pid = forked(job)
        time.sleep(float(rng.uniform(0.0, longest)))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "it ended by itself"
        if path.exists():
            values, damage = read(path)
            assert damage is None
            reached.append(int(values["step"]))
            # On a busy machine a job takes longer to get anywhere.
            longest = min(1.2 * longest, 1.0) if reached[-1] == reached[-2] else 0.06
        fault.holds(GOOD, path.exists() or kill == 0 or reached == [0])
        halves += path.with_name("run.twonn.part").exists()
    print("reached", reached[-1], "places", len(set(reached)), "half-written files", halves)
    assert reached == sorted(reached) and len(set(reached)) > 10
    assert halves > 0
    steps = reached[-1] + 100_000
    traj = twonn.resume(path, steps)
    fault.holds(BITS, identical(traj, twonn.run(CHATTER, CHATTERING, steps, engine="direct")))
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.twonn", "run.twonn.previous"]


def test_a_second_process_is_refused_with_the_id_of_the_first(path, faults):
    fault = faults(PROCESSES, "a second one goes on with the same file")
    reader, writer = os.pipe()

    def job():
        twonn.run(
            PAPER,
            START,
            2**62,
            engine="direct",
            checkpoint=path,
            on_block=lambda *_: os.write(writer, b"x") < 0,
        )

    pid = forked(job)
    try:
        os.read(reader, 1)
        for attempt in (
            lambda: twonn.resume(path, on_block=lambda *_: True),
            lambda: twonn.resume(path, 10**18, on_block=lambda *_: True),
        ):
            with pytest.raises(twonn.CheckpointError, match=rf"run\.twonn: process {pid} on .* is writing"):
                attempt()
            fault.holds(REFUSED, True)
        assert so_far(path)[0].status is twonn.Status.INTERRUPTED  # looking is allowed
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
    assert path.with_name("run.twonn.lock").read_text().startswith(str(pid))  # what it left
    assert twonn.resume(path, 10**6).status is twonn.Status.COMPLETED
    assert not path.with_name("run.twonn.lock").exists()


def test_a_lock_whose_file_is_removed_meanwhile_is_claimed_again(path, monkeypatch):
    lock = path.with_name("run.twonn.lock")
    genuine, calls = fcntl.flock, []

    def removing(*arguments):
        genuine(*arguments)
        if not calls:  # as its former holder does
            lock.unlink()
        calls.append(1)

    monkeypatch.setattr(fcntl, "flock", removing)
    with locked(path):
        assert lock.exists()
    assert len(calls) == 2


def failing_locks(monkeypatch, code, but=0):
    """Let the file system refuse to lock, as some do on a network, after so many locks."""
    genuine, calls = fcntl.flock, itertools.count()

    def refusing(*arguments):
        if next(calls) >= but:
            raise OSError(code, os.strerror(code))
        genuine(*arguments)

    monkeypatch.setattr(fcntl, "flock", refusing)


def open_files() -> int:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("there is no /proc")
    return len(os.listdir("/proc/self/fd"))


def test_a_lock_that_fails_is_an_error_and_leaves_nothing_open(path, monkeypatch):
    failing_locks(monkeypatch, errno.ENOLCK)
    before = open_files()
    with pytest.raises(OSError, match=os.strerror(errno.ENOLCK)), locked(path):
        pass
    assert open_files() == before


def test_what_is_open_to_be_read_need_not_be_locked(path, monkeypatch):
    """Network file systems lock only what is open to be written: that the name is held is enough."""
    twonn.run(PAPER, START, 1000, checkpoint=path)
    failing_locks(monkeypatch, errno.EBADF, but=1)
    assert identical(twonn.resume(path, 10**6), twonn.run(PAPER, START, 10**6))


def test_a_process_that_has_not_yet_written_its_id_is_waited_for_and_then_unknown(path, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with open(path.with_name("run.twonn.lock"), "wb") as carrier:
        fcntl.flock(carrier, fcntl.LOCK_EX)
        with pytest.raises(twonn.CheckpointError, match=r"run\.twonn: process of unknown id is writing"):
            twonn.run(PAPER, START, 10, checkpoint=path)
    assert pauses == 100 * [0.01]


def test_a_second_run_in_the_same_process_is_refused_too(path):
    errors = []

    def again(*_):
        for attempt in (
            lambda: twonn.resume(path, on_block=lambda *_: True),
            lambda: twonn.run(PAPER, START, 10, checkpoint=path),
        ):
            with pytest.raises((twonn.CheckpointError, ValueError)) as caught:
                attempt()
            errors.append(str(caught.value))
        return True

    twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=path, on_block=again)
    assert f"process {os.getpid()} on " in errors[0]


def under_another_name(path, step, names):
    """Try to go on with the file of a run under way, by its other names; return what is said of each."""
    said = {}
    for name in names:
        try:
            twonn.resume(path.with_name(name), on_block=lambda *_: True)
            said[name] = "went on"
        except twonn.CheckpointError as error:
            said[name] = str(error)
    return said


def test_a_hard_link_is_no_way_around_the_lock(path, faults):
    """Another name of the file under way, made before or meanwhile, and the generation before it."""
    twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=path, on_block=lambda *_: True)
    os.link(path, path.with_name("before"))
    seen, steps = [], itertools.count()

    def watch(step, params):
        number = next(steps)
        names = ["before"] if number == 0 else []
        if number in (3, 4):
            os.link(path, path.with_name(f"meanwhile{number}"))
            names = [f"meanwhile{number}", "run.twonn.previous"]
        seen.append(under_another_name(path, step, names))
        return number == 5

    twonn.resume(path, checkpoint_every=1, on_block=watch)
    said = [text for each in seen for text in each.values()]
    assert len(said) == 5
    fault = faults(PROCESSES, "a second one goes on with a hard link to it, or with the generation before")
    for text in said:
        fault.holds(REFUSED, "another process is writing this file under another name" in text, text)
    # And afterwards each is a file of its own.
    values = read(path)[0]
    assert twonn.resume(path.with_name("meanwhile3"), on_block=lambda *_: True).end_step > 0
    assert read(path)[0]["step"] == values["step"]


def test_two_names_of_one_generation_are_no_second_process(path):
    """As a kill leaves them between two calls."""
    twonn.run(PAPER, START, 10**6, checkpoint=path)
    previous(path).unlink(missing_ok=True)
    os.link(path, previous(path))
    assert twonn.resume(path, 10**7).status is twonn.Status.COMPLETED


def test_no_descriptor_stays_open(path):
    count = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    if count is None:
        pytest.skip("there is no /proc")
    twonn.run(PAPER, START, 10**7, engine="direct", checkpoint=path, checkpoint_every=10**5)
    twonn.resume(path, 2 * 10**7, checkpoint_every=10**5)
    for _ in range(3):
        with pytest.raises(twonn.CheckpointError), locked(path):
            twonn.resume(path)
    assert len(os.listdir("/proc/self/fd")) == count


WITHOUT_LOCKS = """
import sys
sys.modules["fcntl"] = None
import twonn
problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
start = twonn.Params(w=[0.43, -1.47])
traj = twonn.run(problem, start, 1000)
traj.save("a.npz")
assert twonn.load("a.npz").t[-1] == 1000
for attempt in (lambda: twonn.run(problem, start, 1000, checkpoint="b"), lambda: twonn.resume("a.twonn")):
    try:
        attempt()
    except twonn.CheckpointError as error:
        print(error)
from twonn.engine.run import so_far
assert so_far("a.twonn")[0].end_step == 1000
"""


def test_without_posix_locks_all_but_checkpoints_works(tmp_path):
    twonn.run(PAPER, START, 1000, checkpoint=tmp_path / "a.twonn")
    done = python(WITHOUT_LOCKS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(": ", 1)[0] for line in lines] == ["b", "a.twonn"]
    assert all(
        "this system has no POSIX file locks" in line and "Run without checkpoint=" in line for line in lines
    )
    assert {p.name for p in tmp_path.iterdir()} == {"a.npz", "a.twonn", "a.twonn.previous"}


def python(program: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, **options
    )


SIGNALLED = """
import os, signal, sys, twonn
signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent may ignore it
signal.signal(signal.SIGTERM, signal.SIG_DFL)
problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
start = twonn.Params(w=[0.43, -1.47])
first, *second = [getattr(signal, name) for name in sys.argv[1:]]
sent = []
def send(step, params):
    if step > 3_000_000 and not sent:
        sent.append(step)
        for number in (first, *second):
            signal.raise_signal(number)
traj = twonn.run(problem, start, 2**62, engine="direct", checkpoint="a.twonn", on_block=send)
assert traj.status is twonn.Status.INTERRUPTED, traj
assert traj.end_step == sent[0], (traj, sent)
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
traj = twonn.resume("a.twonn", 10**7)
whole = twonn.run(problem, start, 10**7, engine="direct")
assert whole.states.tobytes() == traj.states.tobytes()
print("resumed")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_first_signal_leaves_a_checkpoint(name, tmp_path, faults):
    done = python(SIGNALLED, name, cwd=tmp_path)
    fault = faults(PROCESSES, f"one {name}")
    assert done.returncode == 0, done.stderr
    fault.holds(GOOD, (tmp_path / "a.twonn").exists())
    fault.holds(BITS, done.stdout == "resumed\n")


@pytest.mark.parametrize("names", [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGINT", "SIGTERM")])
def test_the_second_signal_stops_at_once(names, tmp_path, faults):
    done = python(SIGNALLED, *names, cwd=tmp_path)
    assert done.stdout == ""
    if names[1] == "SIGTERM":
        assert done.returncode == -signal.SIGTERM
    else:
        assert "KeyboardInterrupt" in done.stderr
    fault = faults(PROCESSES, f"{names[0]}, and {names[1]} behind it")
    values, damage = read(tmp_path / "a.twonn")
    fault.holds(GOOD, damage is None and values["step"] < 3_000_000)  # the one before


# --------------------------------------------------------------------------------------------------
# Damage


#: Sections of docs/faults.md.
FILES, PROCESSES, DISKS = "Checkpoints: files", "Checkpoints: processes", "Checkpoints: disks"

#: Its promises.
REFUSED = "it is refused, in a sentence"
GOOD = "there is a good file"
BITS = "the run has the same bits"


@pytest.fixture
def small(path, monkeypatch):
    """A small checkpoint with another generation behind it, and the run that it is of.

    The same bytes are in it wherever it is written, but for the time that was spent.
    """
    monkeypatch.setattr("twonn.config.provenance", lambda: {"twonn": "0"})
    watch = stopping_at({0})
    monkeyed = pace.LONGEST_CHUNK
    pace.LONGEST_CHUNK = 1
    try:
        twonn.run(PAPER, START, 3000, sample_steps=[5], checkpoint=path, engine="direct", on_block=watch)
        twonn.resume(path, on_block=stopping_at({3}))
    finally:
        pace.LONGEST_CHUNK = monkeyed
    return twonn.run(PAPER, START, 3000, sample_steps=[5], engine="direct")


def changed(whole: bytes, at: int, byte: int) -> bytes:
    return whole[:at] + bytes([byte]) + whole[at + 1 :]


#: What is done to a file at any of its bytes.
DAMAGES = {
    "it is cut short, at every byte": lambda whole, at: whole[:at],
    "a byte is inverted": lambda whole, at: changed(whole, at, whole[at] ^ 0xFF),
    "a bit is turned": lambda whole, at: changed(whole, at, whole[at] ^ 1),
    "a byte is there twice": lambda whole, at: whole[:at] + whole[at : at + 1] + whole[at:],
}


def is_refused(contents: bytes) -> bool:
    try:
        checkpoint._decoded(contents)
    except twonn.CheckpointError as error:
        return str(error).startswith(("not a twonn checkpoint", "damaged: "))
    return False


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_anywhere_is_noticed(name, path, small, faults):
    whole, fault = path.read_bytes(), faults(FILES, name)
    for at in range(len(whole)):
        fault.holds(REFUSED, is_refused(DAMAGES[name](whole, at)), at)
    for at, byte in enumerate(whole):
        assert byte == 0 or is_refused(changed(whole, at, 0))


def test_a_damaged_file_gives_way_to_the_one_before_with_one_warning(path, small, faults):
    fault = faults(FILES, "it is damaged, and there is the one before")
    whole, before = path.read_bytes(), previous(path).read_bytes()
    seed = 8
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for _ in range(150):
        damage = DAMAGES[list(DAMAGES)[rng.integers(len(DAMAGES))]]
        path.write_bytes(damage(whole, int(rng.integers(len(whole)))))
        previous(path).write_bytes(before)
        with pytest.warns(
            RuntimeWarning, match=r"run\.twonn: .* Using .*previous instead, at step"
        ) as caught:
            traj = twonn.resume(path)
        assert [warning.filename for warning in caught] == [__file__]  # the caller's line
        fault.holds(BITS, identical(traj, small))
        # The damaged one did not take the place of the one that was good.
        fault.holds(GOOD, previous(path).read_bytes() == before)


def test_generations_go_on_after_damage(path, small, block_by_block):
    before = read(previous(path))[0]["step"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match="previous instead"):
        twonn.resume(path, 10**6, checkpoint_every=1, on_block=stopping_at({3}))
    assert read_one(path)["step"] >= read_one(previous(path))["step"] > before


def test_two_damaged_files_are_refused(path, small):
    whole, before = path.read_bytes(), previous(path).read_bytes()
    for size in (0, 3, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        previous(path).write_bytes(before[:size])
        with pytest.raises(twonn.CheckpointError, match=r"run\.twonn: (not a twonn checkpoint|damaged: )"):
            twonn.resume(path)
        assert path.read_bytes() == whole[:size]
    previous(path).unlink()
    with pytest.raises(twonn.CheckpointError, match=r"run\.twonn: damaged"):
        twonn.resume(path)


def test_a_missing_file_gives_way_to_the_one_before(path, small):
    path.unlink()
    with pytest.warns(RuntimeWarning, match=r"run\.twonn: there is no such file\. Using"):
        assert identical(twonn.resume(path), small)


#: Fields that version 1 of the format did not have.
LATER = [field.name for field in FIELDS if field.since > 1]

FORGED = {
    "a field too few": {"walked": None},
    "a field of a later version": {"version": 1},
    "a later field too few": {"spent": None},
    "a field that an earlier version has to have": {"version": 1, **dict.fromkeys(LATER), "averaged": None},
    "a field too many": {"walks": np.zeros(3)},
    "a field by its former name": {"mean_pairs": None, "held": np.array(0, dtype=np.int32)},
    "another type": {"walked": np.array(3.0)},
    "another shape": {"date_error": np.zeros(3)},
    "another number of samples": {"n_samples": np.array(7)},
    "a wild index": {"length_index": np.array(1000, dtype=np.int32)},
    "a wild episode": {"episode": np.array([5000, 0])},
    "a wild pattern": {"sliding_candidates": np.array(99, dtype=np.int32)},
    "a text for a number": {"walked": "3"},
    "a number for a text": {"engine": np.array(3)},
    "no such engine": {"engine": "fast"},
    "no such loss": {"loss": "hinge"},
    "no such optimizer": {"optimizer": '{"name": "sgd"}'},
    "no JSON": {"optimizer": "{"},
    "other samples": {"steps": np.array([0, 6])},
    "other points": {"x": np.array([[math.nan], [1.0]])},
    "no horizon": {"horizon": "many"},
    "a horizon before the samples": {"horizon": "0x3"},
}


@pytest.mark.parametrize("case", FORGED)
def test_a_file_that_twonn_did_not_write_is_refused(case, path, small):
    values, _ = read(path)
    previous(path).unlink()
    path.write_bytes(rewritten(values))
    assert identical(so_far(path)[0], so_far(path)[0])  # rewritten alone is no offence
    path.write_bytes(rewritten(values, **FORGED[case]))
    with pytest.raises(twonn.CheckpointError, match=r"run\.twonn: not what a checkpoint has to be"):
        twonn.resume(path)


def relisted(contents: bytes, change, data=lambda body: body) -> bytes:
    """The bytes of a file with another directory of its fields, and other data behind it."""
    size = struct.unpack_from("<I", contents, 12)[0]
    listed = json.loads(contents[24 : 24 + size])
    change(listed)
    directory = json.dumps(listed, separators=(",", ":")).encode()
    head = contents[:12] + struct.pack("<I", len(directory)) + contents[16:24]
    return sealed(head + directory + data(contents[24 + size : -32]) + bytes(32))


#: What the directory says -> how it is changed, what is changed of the data behind it.
MISLISTED = {
    "x does not fit": (lambda listed: listed[0].update(name="x", shape=[10**6]), lambda body: body),
    "x does not fit (objects)": (lambda listed: listed[0].update(name="x", dtype="|O"), lambda body: body),
    "8 bytes too many": (lambda listed: None, lambda body: body + bytes(8)),
    "walked is there twice": (
        lambda listed: listed.extend(2 * [{"name": "walked", "dtype": "<i8", "shape": [0]}]),
        lambda body: body,
    ),
}


@pytest.mark.parametrize("case", MISLISTED)
def test_a_directory_that_does_not_fit_the_data_is_refused(case, path, small):
    whole = path.read_bytes()
    assert relisted(whole, lambda listed: None) == whole
    with pytest.raises(
        twonn.CheckpointError, match=rf"not what a checkpoint has to be \({case.split(' (')[0]}\)"
    ):
        checkpoint._decoded(relisted(whole, *MISLISTED[case]))


def test_a_file_that_cannot_be_read_is_named_with_the_reason(path, monkeypatch):
    path.touch()

    def failing(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(checkpoint, "regular", failing)
    with pytest.raises(
        twonn.CheckpointError, match=rf"run\.twonn: cannot be read \({os.strerror(errno.EIO)}\)"
    ):
        read_one(path)


def test_a_file_of_an_earlier_version_has_the_names_of_that_time(path, small):
    previous(path).unlink()
    values, _ = read(path)
    contents = bytearray(path.read_bytes())
    contents[8:12] = struct.pack("<I", 2)
    path.write_bytes(sealed(bytes(contents)))
    with pytest.raises(twonn.CheckpointError, match="its fields are not those of its version"):
        twonn.resume(path)
    path.write_bytes(rewritten(values, 2))
    assert b'"length"' in path.read_bytes() and identical(twonn.resume(path), small)


def test_a_newer_version_is_named(path, small):
    contents = bytearray(path.read_bytes())
    contents[8:12] = struct.pack("<I", 99)
    previous(path).unlink()
    path.write_bytes(sealed(bytes(contents)))
    with pytest.raises(
        twonn.CheckpointError, match=f"version 99, while this twonn reads versions up to {fields.VERSION}"
    ):
        twonn.resume(path)


def test_files_of_another_kind_are_told_apart(path, tmp_path):
    traj = twonn.run(PAPER, START, 100, checkpoint=path)
    traj.save(tmp_path / "run.npz")
    with pytest.raises(twonn.CheckpointError, match=r"run\.npz: a saved trajectory, which twonn\.load reads"):
        twonn.resume(tmp_path / "run.npz")
    with pytest.raises(twonn.CheckpointError, match=r"run\.twonn: a checkpoint; twonn\.resume"):
        twonn.load(path)
    with pytest.raises(twonn.CheckpointError, match="nothing: there is no such file"):
        twonn.resume(tmp_path / "nothing")
    with pytest.raises(TypeError, match="path: got 3"):
        twonn.resume(3)


# --------------------------------------------------------------------------------------------------
# The disk


def test_a_pipe_is_refused_rather_than_waited_for(path):
    os.mkfifo(path)
    for opening in (twonn.resume, so_far):
        with pytest.raises(twonn.CheckpointError, match=r"run\.twonn: not a regular file"):
            opening(path)
    assert not is_checkpoint(path)


def test_a_link_stays_a_link(path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "run.twonn"
    path.symlink_to(target)
    whole = twonn.run(PAPER, START, 10**6, checkpoint=path)
    assert path.is_symlink() and target.is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "run.twonn"]
    assert identical(twonn.resume(path), whole)
    assert path.is_symlink()


def test_places_where_no_file_can_be_are_refused_before_the_run(path, tmp_path):
    begun = []
    watch = {"on_block": lambda *_: begun.append(1)}
    with pytest.raises(FileNotFoundError, match="no such folder"):
        twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=tmp_path / "none" / "a", **watch)
    with pytest.raises(IsADirectoryError, match="a folder, not a file"):
        twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=tmp_path, **watch)
    with pytest.raises(IsADirectoryError, match="a folder, not a file"):
        twonn.resume(tmp_path)
    assert not begun


def read_only(monkeypatch):
    """Let the file system refuse to be written to, as the permissions of a folder do not for root."""
    genuine = os.open

    def refusing(name, flags, *rest, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(name))
        return genuine(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refusing)


def test_a_folder_that_cannot_be_opened_is_not_made_durable_but_a_file_is(tmp_path, monkeypatch):
    """Windows opens no folder."""

    def refusing(name, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(name))

    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(os, "open", refusing)
    make_durable(tmp_path)
    with pytest.raises(PermissionError):
        make_durable(file)


def test_a_read_only_folder_is_refused_before_the_run(path, monkeypatch, faults):
    twonn.run(PAPER, START, 10**6, checkpoint=path)
    before = path.read_bytes()
    if os.geteuid() != 0:
        path.parent.chmod(0o555)
        with pytest.raises(PermissionError):
            twonn.resume(path)
        path.parent.chmod(0o755)
    read_only(monkeypatch)
    with pytest.raises(OSError, match="Read-only file system"):
        twonn.run(PAPER, START, 10**6, checkpoint=path.with_name("other"))
    with pytest.raises(OSError, match="Read-only file system"):
        twonn.resume(path)
    fault = faults(DISKS, "it can only be read")
    fault.holds(GOOD, path.read_bytes() == before)
    assert so_far(path)[0].status is twonn.Status.COMPLETED


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


@needs_full
def test_a_full_disk_costs_the_checkpoint_and_not_the_run(path, faults):
    """Every byte goes to a device that is always full."""
    part = path.with_name("run.twonn.part")
    held = []

    def fill(step, params):
        if not held:
            held.append(path.read_bytes())
        if not part.is_symlink():
            part.symlink_to("/dev/full")

    with pytest.warns(
        RuntimeWarning, match=r"run\.twonn could not be written at step .*No space left"
    ) as caught:
        traj = twonn.run(
            PAPER, START, 10**7, engine="direct", checkpoint=path, checkpoint_every=10**6, on_block=fill
        )
    assert len(caught) >= 8
    assert __file__ in {warning.filename for warning in caught}  # the caller's line, but for the last one
    fault = faults(DISKS, "it is full")
    fault.holds(BITS, identical(traj, twonn.run(PAPER, START, 10**7, engine="direct")))
    fault.holds(GOOD, path.read_bytes() == held[0])
    assert not part.is_symlink()
    # With room again, nothing is lost but time.
    fault.holds(BITS, identical(twonn.resume(path), traj))


@needs_full
def test_a_full_disk_at_the_start_is_an_error(path):
    path.with_name("run.twonn.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=path)
    assert list(path.parent.iterdir()) == []


def test_a_limit_to_the_size_of_files_is_told(path, faults):
    """As a quota does: a write that is cut short by the system itself."""
    program = """
import resource, twonn
problem = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
def limit(step, params):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # there are 340,000 bytes of transitions
traj = twonn.run(problem, twonn.Params(w=[0.6, -0.4], b=[0.3, 0.3]), 10**7, engine="direct",
                 checkpoint="a.twonn", checkpoint_every=10**6, on_block=limit)
print(traj.status)
"""
    done = python(program, cwd=path.parent)
    assert done.stdout == "Status.COMPLETED\n", done.stderr
    assert "RuntimeWarning: checkpoint: a.twonn could not be written" in done.stderr
    assert "File too large" in done.stderr
    assert not path.with_name("a.twonn.part").exists()
    fault = faults(DISKS, "a quota is used up")
    fault.holds(GOOD, twonn.resume(path.with_name("a.twonn")).status is twonn.Status.COMPLETED)


def test_a_folder_that_vanishes_costs_the_checkpoint_and_not_the_run(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.warns(RuntimeWarning, match="No such file or directory"):
        traj = twonn.run(
            PAPER,
            START,
            10**7,
            engine="direct",
            checkpoint=folder / "a",
            on_block=lambda *_: shutil.rmtree(folder, ignore_errors=True),
        )
    assert identical(traj, twonn.run(PAPER, START, 10**7, engine="direct"))


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
@pytest.mark.parametrize("times", [1, 2])
def test_whatever_call_fails_there_is_a_good_file(call, times, path, small, monkeypatch, faults):
    values, _ = read(path)
    genuine, calls = getattr(os, call), itertools.count(1)

    def failing(*arguments, **options):
        if next(calls) == times:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return genuine(*arguments, **options)

    monkeypatch.setattr(os, call, failing)
    try:
        with locked(path) as lock:
            checkpoint.write(path, values, lock)
    except OSError as error:
        assert error.errno == errno.EIO
    monkeypatch.undo()
    monkeypatch.setattr("twonn.config.provenance", lambda: {"twonn": "0"})
    fault = faults(DISKS, f"{call} fails, at call {times}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        fault.holds(BITS, identical(twonn.resume(path), small))
    fault.holds(GOOD, read(path)[1] is None)
    assert not path.with_name("run.twonn.part").exists()


def test_what_is_written_is_durable_before_it_takes_its_place(path, small, monkeypatch):
    calls = []
    for name in ("fsync", "link", "replace"):
        genuine = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, genuine=genuine: (calls.append(name), genuine(*a))[1]
        )
    with locked(path) as lock:
        checkpoint.write(path, read(path)[0], lock)
    assert calls == ["fsync", "link", "replace", "fsync"]


# --------------------------------------------------------------------------------------------------
# The format


def foreign_reader(contents: bytes) -> dict:
    """What docs/format.md says, and nothing from the library."""
    magic, version, listed, size = struct.unpack_from("<8sIIQ", contents)
    assert magic == b"TWONN\r\n\x1a" and version == 3 and size == len(contents)
    assert hashlib.sha256(contents[:-32]).digest() == contents[-32:]
    at = 24 + listed
    values = {}
    for entry in json.loads(contents[24:at].decode("utf-8")):
        count = int(np.prod(entry["shape"], dtype=int))
        if entry["dtype"] == "text":
            values[entry["name"]] = contents[at : at + count].decode("utf-8")
            at += count
        else:
            dtype = np.dtype(entry["dtype"])
            values[entry["name"]] = np.frombuffer(contents, dtype, count, at).reshape(entry["shape"])
            at += count * dtype.itemsize
    assert at == len(contents) - 32
    return values


@pytest.mark.parametrize("name", ODD)
def test_a_reader_written_from_the_document_agrees(name, path, block_by_block):
    problem, params, steps, options, _ = ODD[name]
    twonn.run(problem, params, steps, checkpoint=path, on_block=stopping_at({20}), **options)
    mine, theirs = read(path)[0], foreign_reader(path.read_bytes())
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        if isinstance(value, str):
            assert theirs[key] == value
        else:
            assert theirs[key].dtype == value.dtype and theirs[key].tobytes() == value.tobytes()
            assert theirs[key].shape == value.shape
    # And what the numbers mean: the state is that of the run, as its parameters tell.
    traj = so_far(path)[0]
    if "optimizer" in options:
        d = problem.dimension
        assert theirs["moving"][0, : 2 * d].tolist() == traj.w[-1].ravel().tolist()
    else:
        c = theirs["state"].reshape(3, 2, 2)[0]
        w = theirs["start_w"] + c @ theirs["x"]
        # One rounding of each of three terms, less than 50.
        assert np.allclose(w, traj.w[-1] if traj.end_step == theirs["step"] else w, rtol=0, atol=1e-13)


@needs_sources
def test_the_document_has_the_table_of_the_code():
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.*?)` \|(.*)$", text, flags=re.MULTILINE)
    found = [(name, *[cell.strip() for cell in rest.strip(" |").split("|")]) for name, rest in rows]
    assert found == [fields.described(field) for field in FIELDS]
    assert f"version {fields.VERSION}" in text


@pytest.mark.parametrize("kind", _core.STATE_DTYPES)
def test_the_table_has_every_field_of_the_kernel(kind):
    asked = set(checkpoint.values_of(spec_for(PAPER, START, 1)))
    about = {"checkpoint_every", "outcome", "seconds", "provenance"}
    table = {field.name: field for field in FIELDS if field.of in ("all", kind)}
    optimizer = twonn.Adam() if kind == "other" else None
    state = prepared(spec_for(PAPER, START, 1, optimizer=optimizer)).state()
    assert table.keys() - asked - about == state.keys()
    # A run that goes on has no other status.
    assert set(_core.STATE_DTYPES[kind].names) - state.keys() == {"status"}
    for name in set(_core.STATE_DTYPES[kind].names) - {"status"}:
        declared = _core.STATE_DTYPES[kind][name]
        assert (np.dtype(table[name].dtype), table[name].shape) == (declared.base, declared.shape)


#: Written by the first twonn that had each version of the format.
RELEASED = sorted((Path(__file__).parent / "files").glob("checkpoint-*.twonn"))


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_files_of_every_version_are_read(file, path):
    shutil.copy(file, path)
    values, damage = read(path)
    assert damage is None
    spec = checkpoint.spec_of(values)
    asked = spec.options
    options = {name: getattr(asked, name) for name in ("engine", "sliding", "sample_steps", "max_direct")}
    options["optimizer"] = asked.optimizer or "gd"
    if asked.sample_steps is None:
        assert asked.samples_per_decade is not None  # as it was then
        options["samples_per_decade"] = asked.samples_per_decade
    traj = twonn.resume(path)
    whole = twonn.run(spec.problem, spec.params, asked.horizon, **options)
    assert 100 < values["step"] < asked.horizon and traj.status is twonn.Status.COMPLETED
    recorded = values["states"]
    assert traj.states[: len(recorded)].tobytes() == recorded.tobytes()
    # Bits have changed since then. The numbers have not: 1e-14 is what leaps aim at.
    assert difference(traj, whole).norm <= 1e-14
    assert traj.transitions.tobytes() == whole.transitions.tobytes()


def test_a_file_of_the_first_version_has_what_its_run_was_without_later_fields(path, small):
    values, _ = read(path)
    previous(path).unlink()
    earlier = {"version": 1, **dict.fromkeys(LATER), "averaged": np.array(1, dtype=np.int32)}
    path.write_bytes(rewritten(values, **earlier))
    found, _ = read(path)
    assert list(found)[-len(LATER) :] == LATER
    assert found["checkpoint_every"] == '"60s"'
    assert {name: found[name].item() for name in LATER if name != "checkpoint_every"} == {
        "max_direct": 10**10,
        "uncounted": 1,
        "converged_step": -1,
        "converged_log": -math.inf,
        "spent": 0,
    }
    traj = twonn.resume(path)
    assert traj.states.tobytes() == small.states.tobytes() and not traj.n_transitions_exact
    assert path.read_bytes()[8:12] == struct.pack("<I", checkpoint.VERSION)


def test_there_is_a_file_of_every_version_and_kind():
    names = {file.stem for file in RELEASED}
    for version in range(1, checkpoint.VERSION + 1):
        assert {f"checkpoint-{version}-{kind}" for kind in ("gd", "adam")} <= names


def test_another_build_is_told(path, monkeypatch):
    twonn.run(PAPER, START, 10**12, engine="direct", checkpoint=path, on_block=lambda *_: True)
    now = twonn.config.provenance()
    monkeypatch.setattr("twonn.config.provenance", lambda: {**now, "twonn": "7.8.9"})
    traj = twonn.resume(path, 10**7)
    assert traj.provenance == {**now, "twonn": "7.8.9", "earlier": f"twonn {now['twonn']}"}
    assert json.loads(read(path)[0]["provenance"]) == traj.provenance
    monkeypatch.undo()
    again = twonn.resume(path)
    assert again.provenance["earlier"] == f"twonn {now['twonn']}; twonn 7.8.9"


def test_every_instruction_set_goes_on_to_the_same_bits(path):
    sets = _core.usable_instruction_sets() if _core.ISA == "sse2" else None
    program = """
import sys, twonn
from twonn import _core
traj = twonn.resume(sys.argv[1], 3 * 10**6)
print(_core.ISA, traj.states.tobytes().hex())
"""
    whole = twonn.run(CHATTER, CHATTERING, 3 * 10**6, engine="direct")
    twonn.run(CHATTER, CHATTERING, 10**9, engine="direct", checkpoint=path, on_block=lambda *_: True)
    usable = (
        sets
        or python("from twonn import _core_baseline as c; print(*c.usable_instruction_sets())").stdout.split()
    )
    for name in usable:
        copy = path.with_name(name)
        shutil.copy(path, copy)
        done = python(program, str(copy), env={**os.environ, "TWONN_ISA": name})
        assert done.stdout.split() == [name, whole.states.tobytes().hex()], done.stderr


@needs_sources
def test_the_document_has_the_relations_of_the_code():
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (all|gd|other optimizers) \| (.*) \|$", text, flags=re.MULTILINE)
    names = {"all": "all", "gd": "gd", "other": "other optimizers"}
    assert rows == [(names[relation.of], relation.meaning) for relation in checkpoint.RELATIONS]
