"""The network at any step of a run that was made: a sample of it, or the run taken again up to there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from twonn.arguments import ArgumentValueError
from twonn.engine.bars import LateProgress
from twonn.engine.execution import Execution
from twonn.engine.kernel import prepared
from twonn.optimizers import Custom, NormalizedGD
from twonn.problem.horizon import LARGEST_COUNT, horizon, written_steps
from twonn.problem.params import Params
from twonn.results.records import Status
from twonn.results.sample import Sample
from twonn.results.trajectory import Trajectory, times

#: Steps up to here are binary64 numbers, so that a trajectory's `t` tells them apart.
_LARGEST_EXACT = 2**53


def sample_at(traj: Trajectory, t: object, log10_t: object) -> Sample:
    """Return the network at a step, as `Trajectory.at` does."""
    step = horizon(t, log10_t, ("t", "log10_t"))
    name, got = ("log10_t", log10_t) if t is None else ("t", t)
    if traj.status is Status.EXTERNAL:
        expected = "a trajectory whose steps twonn has taken, not one of parameters from elsewhere"
        raise ArgumentValueError(name, got, expected, "Its samples are t, w, b and v.")
    if not _is_reached(traj, step):
        expected = f"a step from 0 to {written_steps(_last_step(traj))}, the last one of the run"
        raise ArgumentValueError(name, got, expected, _way_on(traj))
    index = _index_of(traj, step)
    if index is None and isinstance(traj.optimizer, Custom):
        expected = f"a sample, because the function {traj.optimizer} is not kept in the trajectory"
        raise ArgumentValueError(name, got, expected, "Run it again with this step in sample_steps.")
    if index is None:
        traj = _taken_again(traj, step)
        index = -1
    return Sample(
        problem=traj.problem,
        t=step,
        params=Params.of_finite_state(traj.w[index], traj.b[index], traj.v[index]),
        preactivations=traj.preactivations[index],
        pattern=int(traj.pattern[index]),
    )


def _last_step(traj: Trajectory) -> int:
    """Return the last step at which the run has a state."""
    if traj.status in (Status.COMPLETED, Status.CONVERGED):
        return traj.horizon
    return traj.end_step - (traj.status is Status.DIVERGED)


def _is_reached(traj: Trajectory, step: int) -> bool:
    """Whether a step is not behind the end of the run."""
    last = _last_step(traj)
    if last > LARGEST_COUNT and last != traj.horizon:  # where the run ended is known by its logarithm only
        return step == 0 or math.log(step) <= traj.log_t[-1]
    return step <= last


def _way_on(traj: Trajectory) -> str:
    """Say what can be done about a run that ended too early."""
    if traj.status in (Status.COMPLETED, Status.CONVERGED):
        return "Run it to a longer horizon."
    if traj.status is Status.STATIONARY:
        return "Nothing moves after that step."
    return traj.message


def _index_of(traj: Trajectory, step: int) -> int | None:
    """Return the index of the sample of exactly this step, if there is one."""
    if step > LARGEST_COUNT:
        found = (traj.t > LARGEST_COUNT) & (traj.log_t == math.log(step))
    elif step <= _LARGEST_EXACT:
        found = traj.t == step
    else:
        found = _counted(traj) == step
    indices = np.flatnonzero(found)
    return int(indices[0]) if len(indices) else None


def _counted(traj: Trajectory) -> np.ndarray:
    """Return the steps of the samples as integers, −1 where they are not known exactly."""
    n = len(traj.t)
    steps, logs = traj.spec.options.schedule()
    scheduled = np.append(steps, np.full(len(logs), -1))[:n]
    counted = np.full(n, -1, np.int64)
    counted[: len(scheduled)] = scheduled
    if _last_step(traj) <= LARGEST_COUNT:
        counted[-1] = _last_step(traj)
    # Files of the former format do not say which steps were asked for.
    counted[times(counted, traj.log_t)[0] != traj.t] = -1
    return counted


# --------------------------------------------------------------------------------------------------
# Taken again


def _taken_again(traj: Trajectory, step: int) -> Trajectory:
    """Return the same run up to a step, which is its last sample.

    It passes a sample of the trajectory shortly before that step, with the same bits if it is the same run.
    """
    exact = traj.t[traj.t <= min(step - 1, _LARGEST_EXACT)].astype(np.int64).tolist()
    passed = exact[-1]
    options = replace(traj.spec.options, horizon=step, samples_per_decade=None, sample_steps=(passed, step))
    spec = replace(traj.spec, options=options)
    run = Execution(spec, _state_at(traj, len(exact) - 2))
    with LateProgress() as bar:
        task = bar.add_task(f"taking the steps to {written_steps(step)}", total=1.0)
        while run.status is None:
            run.advance()
            bar.update(task, completed=run.steps_taken / step)
    again = run.trajectory(dict(traj.provenance))
    reached = again.status in (Status.COMPLETED, Status.CONVERGED)
    here = np.searchsorted(again.t, passed)
    if not reached or not np.array_equal(again.states[here], traj.states[len(exact) - 1]):
        raise RuntimeError(_other_bits(traj, passed))
    return again


def _state_at(traj: Trajectory, index: int) -> Mapping[str, Any] | None:
    """Return all that a run holds at a sample, if the trajectory has all of it; None to begin at step 0.

    Gradient descent goes by blocks, and a sample does not tell where in its block it is. The moments of
    `Momentum` and `Adam` are not among the samples. Only the steps of normalized gradient descent depend on
    nothing but the parameters.
    """
    if index < 1 or not isinstance(traj.optimizer, NormalizedGD):
        return None
    state = traj.states[index]
    moving = np.zeros((4, len(state) // 2))
    moving[:2] = state.reshape(2, -1)
    return {
        **prepared(traj.spec).state(),  # at step 0, without records
        "step": int(traj.t[index]),
        "last_pattern": traj.pattern[index],
        "moving": moving,
        "n_samples": 1,
        "steps": np.zeros(1, np.int64),
        "states": traj.states[:1],
        "patterns": traj.pattern[:1],
    }


def _other_bits(traj: Trajectory, step: int) -> str:
    return (
        f"The run cannot be taken again: at step {written_steps(step)} its bits are not those of the "
        f"trajectory, which twonn {traj.provenance.get('twonn', 'of another version')} has computed. "
        "Take the nearest sample instead, or run it anew."
    )
