"""Many starts of one problem through the kernel: where sweeps meet it, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twonn import _core, config
from twonn.optimizers import Optimizer, kernel_of
from twonn.problem import LARGEST_COUNT, Params, Problem

Floats = NDArray[np.float64]

#: Raised by whatever changes the bits of a run, so that no store mixes runs of two kinds.
BITS = 5

#: How many of its first transitions and slides a run of a batch keeps; all of them are counted.
TRANSITIONS_KEPT, SLIDES_KEPT = 8, 4

#: Steps, or leaps that cost as much, between two looks at whether to stop: some tens of milliseconds.
_LOOK = 1 << 21

#: Steps and logarithms of steps to record, as `problem.sample_schedule` gives them.
Schedule = tuple[NDArray[np.int64], Floats]


class Stopped(Exception):  # noqa: N818 - asked for, not an error
    """The batch was told to stop; nothing of it is kept."""


@dataclass(frozen=True)
class Batch:
    """What the kernel knows of n runs after their ends; m is the length of the schedule.

    Attributes
    ----------
    status : ndarray of uint8, shape (n,)
        COMPLETED, STATIONARY, DIVERGED, OBSTRUCTED or CONVERGED of the kernel.
    obstacle : ndarray of uint8, shape (n,)
        Why an obstructed run could not leap.
    end_step, end_log : ndarray of int64 and float64, shape (n,)
        Steps taken; −1 beyond 2^63 − 1, where the natural logarithm counts.
    converged_step, converged_log : ndarray of int64 and float64, shape (n,)
        Likewise the step from which a run that has converged does not change; −1 and −inf for others.
    error, averaging_error : ndarray, shape (n,)
        Bounds on what leaping and averaging added to the parameters, in their Euclidean norm.
    counted : ndarray of bool, shape (n,)
        Whether every transition was counted.
    n_transitions, n_slides, n_samples : ndarray of int64, shape (n,)
        How many there were. Only the samples, and the first of the others, are here.
    transition_times : ndarray, shape (n, TRANSITIONS_KEPT, 4)
        Step, its logarithm, and the bounds within which rounding leaves the step; nan where there is none.
    transition_patterns : ndarray of uint8, shape (n, TRANSITIONS_KEPT, 2)
        Before and after; 255 where there is none.
    slides : ndarray, shape (n, SLIDES_KEPT, 5)
        Neuron, sample, step entered, step left, active fraction; nan where there is none.
    open_slides : ndarray, shape (n, 2, 5)
        Likewise the episode in which neuron [row] is at the end, if it slides then.
    sample_steps, sample_logs : ndarray of int64 and float64, shape (n, m)
        Sampled steps, like `end_step` and `end_log`. A run that ends early has fewer samples than m, the last
        of them its end; what follows is −1 and nan.
    states : ndarray, shape (n, m, 12) or (n, m, 4 d + 8)
        Reduced coordinates at the samples, of other optimizers the parameters; nan after the last.
    patterns, unphased : ndarray of uint8, shape (n, m)
        Activation patterns, and pairs that slide since a leap averaged over them; 255 and 0 after the last.
    """

    status: NDArray[np.uint8]
    obstacle: NDArray[np.uint8]
    end_step: NDArray[np.int64]
    end_log: Floats
    converged_step: NDArray[np.int64]
    converged_log: Floats
    error: Floats
    averaging_error: Floats
    counted: NDArray[np.bool_]
    n_transitions: NDArray[np.int64]
    n_slides: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    transition_times: Floats
    transition_patterns: NDArray[np.uint8]
    slides: Floats
    open_slides: Floats
    sample_steps: NDArray[np.int64]
    sample_logs: Floats
    states: Floats
    patterns: NDArray[np.uint8]
    unphased: NDArray[np.uint8]


def run_batch(
    problem: Problem,
    params: Params,
    schedule: Schedule,
    engine: int,
    average: bool,
    stop: Callable[[], bool] | None = None,
    optimizer: Optimizer | None = None,
    max_direct: int = LARGEST_COUNT,
) -> Batch:
    """Run every start to its end.

    Parameters
    ----------
    problem : Problem
    params : Params
        With a run axis of length n.
    schedule : pair of ndarray
        Steps to record and logarithms of later ones; the last is the horizon.
    engine : int
        DIRECT, AUTO or LEAP of the kernel.
    average : bool
        Whether leaps average over the teeth of neurons that slide.
    stop : callable, optional
        Asked every few milliseconds whether to give up.
    optimizer : Optimizer, optional
        None for gradient descent. Others take every step, so that `engine`, `average` and `max_direct` do not
        matter.
    max_direct : int
        Steps that AUTO takes one by one before a run ends as OBSTRUCTED.

    Returns
    -------
    Batch
        A run's numbers depend on the problem, its start, the schedule and the engine, not on its neighbours.

    Raises
    ------
    Stopped
        If `stop` said so.
    RuntimeError
        If the floating-point arithmetic of this thread is not IEEE binary64.
    """
    config.require_sound_arithmetic()
    if optimizer is not None:
        return _optimized(problem, params, schedule[0], optimizer, stop)
    kernel = _core.Batch(
        problem.x,
        problem.y.astype(np.float64),
        problem.rate,
        problem.bias,
        problem.loss == "logistic",
        problem.train_output,
        params.w,
        params.b,
        params.v,
        *schedule,
        engine,
        average,
        TRANSITIONS_KEPT,
        SLIDES_KEPT,
        max_direct,
    )
    while kernel.advance(_LOOK):
        if stop is not None and stop():
            raise Stopped
    samples = len(schedule[0]) + len(schedule[1])
    return Batch(
        status=kernel.status,
        obstacle=kernel.obstacle,
        end_step=kernel.last_step,
        end_log=kernel.last_log,
        converged_step=kernel.converged_step,
        converged_log=kernel.converged_log,
        error=kernel.error,
        averaging_error=kernel.averaging_error,
        counted=kernel.counted,
        n_transitions=kernel.n_transitions,
        n_slides=kernel.n_slides,
        n_samples=kernel.n_samples,
        transition_times=kernel.transition_times,
        transition_patterns=kernel.transition_patterns,
        slides=kernel.slides,
        open_slides=kernel.open_slides,
        sample_steps=kernel.sample_steps[:, :samples],
        sample_logs=kernel.sample_logs[:, :samples],
        states=kernel.sample_states[:, :samples],
        patterns=kernel.sample_patterns[:, :samples],
        unphased=kernel.sample_unphased[:, :samples],
    )


def _optimized(
    problem: Problem,
    params: Params,
    schedule: NDArray[np.int64],
    optimizer: Optimizer,
    stop: Callable[[], bool] | None,
) -> Batch:
    """Run the starts in turn; there are neither leaps nor slides."""
    runs, samples = len(params), len(schedule)
    end_step, n_transitions, n_samples = np.zeros((3, runs), np.int64)
    status, times = np.zeros(runs, np.uint8), np.full((runs, TRANSITIONS_KEPT, 4), np.nan)
    changes = np.full((runs, TRANSITIONS_KEPT, 2), 255, np.uint8)
    steps, patterns = np.full((runs, samples), -1), np.full((runs, samples), 255, np.uint8)
    states = np.full((runs, samples, 4 * problem.dimension + 8), np.nan)
    for r in range(runs):
        kernel = kernel_of(problem, params[r], schedule, optimizer)
        while kernel.status == _core.RUNNING:
            kernel.advance(_LOOK >> 3)  # its steps cost as much as several of gradient descent
            if stop is not None and stop():
                raise Stopped
        count = kernel.n_samples
        status[r], end_step[r], n_samples[r] = kernel.status, kernel.step, count
        steps[r, :count], patterns[r, :count] = kernel.sample_steps, kernel.sample_patterns
        states[r, :count] = kernel.sample_states
        n_transitions[r] = kernel.n_transitions
        kept = min(kernel.n_transitions, TRANSITIONS_KEPT)
        times[r, :kept] = kernel.transition_times[:kept]
        changes[r, :kept, 0] = kernel.transition_before[:kept]
        changes[r, :kept, 1] = kernel.transition_after[:kept]
    return Batch(
        status=status,
        obstacle=np.zeros(runs, np.uint8),
        end_step=end_step,
        end_log=np.full(runs, -np.inf),
        converged_step=np.full(runs, -1),
        converged_log=np.full(runs, -np.inf),
        error=np.zeros(runs),
        averaging_error=np.zeros(runs),
        counted=np.ones(runs, np.bool_),
        n_transitions=n_transitions,
        n_slides=np.zeros(runs, np.int64),
        n_samples=n_samples,
        transition_times=times,
        transition_patterns=changes,
        slides=np.full((runs, SLIDES_KEPT, 5), np.nan),
        open_slides=np.full((runs, 2, 5), np.nan),
        sample_steps=steps,
        sample_logs=np.full((runs, samples), np.nan),
        states=states,
        patterns=patterns,
        unphased=np.zeros((runs, samples), np.uint8),
    )
