"""Many starts of one problem through the kernel: where sweeps meet it, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twonn import config
from twonn.engine.kernel import batch_run, optimizer_batch
from twonn.optimizers import Optimizer
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.problem.runspec import RunOptions, Schedule
from twonn.results.states import pairs_of
from twonn.values import Floats

#: Raised by whatever changes the bits of a run, so that no store mixes runs of two kinds.
BITS = 6

#: How many of its first transitions and slides a run of a batch keeps; all of them are counted.
TRANSITIONS_KEPT, SLIDES_KEPT = 8, 4

#: Steps, or leaps that cost as much, between two looks at whether to stop: some tens of milliseconds.
_LOOK = 1 << 21

#: What a batch under way holds, by name: what it goes on from to the same bits.
State = Mapping[str, NDArray[Any]]


class Stopped(Exception):  # noqa: N818 - asked for, not an error
    """The batch was told to stop; what is kept of it is what its watch has taken."""


class Watch(Protocol):
    """Whoever looks at a batch under way, between blocks."""

    @property
    def steps(self) -> int | None:
        """The most steps between two looks, of all runs together, if that matters."""

    def look(self, spent: int, state: Callable[[], State]) -> None:
        """Learn of some more steps, or leaps that cost as much; take the state, if it is wanted.

        Raises
        ------
        Stopped
            To give up.
        """


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
    patterns : ndarray of uint8, shape (n, m)
        Activation patterns; 255 after the last.
    phase_unknown : ndarray of bool, shape (n, m, 2, 2)
        Pairs of neuron and point whose z_ji is the mean of a sawtooth since a leap averaged over them.
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
    phase_unknown: NDArray[np.bool_]


def run_batch(
    problem: Problem,
    params: Params,
    options: RunOptions,
    schedule: Schedule,
    *,
    watch: Watch | None = None,
    state: State | None = None,
) -> Batch:
    """Run every start to its end.

    Parameters
    ----------
    problem : Problem
    params : Params
        With a run axis of length n.
    options : RunOptions
    schedule : (ndarray of int64, ndarray of float64)
        Steps to record, up to the last one; and logarithms of those too many to be counted.
    watch : Watch, optional
        Looks at the batch every few milliseconds.
    state : mapping, optional
        What a watch of the same batch has taken, to go on from there.

    Returns
    -------
    Batch
        A run's numbers depend on the problem, its start, the schedule and the engine, not on its neighbours.

    Raises
    ------
    Stopped
        If `watch` said so.
    KeyError, ValueError
        If `state` is not that of such a batch.
    RuntimeError
        If the floating-point arithmetic of this thread is not IEEE binary64.
    """
    config.require_sound_arithmetic()
    if options.optimizer is not None:
        return _optimized(problem, params, schedule[0], options.optimizer, watch, state)
    kernel = batch_run(problem, params, schedule, options, TRANSITIONS_KEPT, SLIDES_KEPT)
    if state is not None:
        kernel.restore(state)
    stride = _stride(watch, _LOOK)
    while kernel.advance(stride):
        if watch is not None:
            watch.look(stride, kernel.state)
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
        phase_unknown=pairs_of(kernel.sample_phase_unknown[:, :samples]),
    )


def _stride(watch: Watch | None, most: int) -> int:
    """Return the steps to take before the next look."""
    return most if watch is None or watch.steps is None else max(1, min(most, watch.steps))


def _optimized(
    problem: Problem,
    params: Params,
    schedule: NDArray[np.int64],
    optimizer: Optimizer,
    watch: Watch | None,
    state: State | None,
) -> Batch:
    """Run the starts with another optimizer; there are neither leaps nor slides."""
    kernel = optimizer_batch(problem, params, schedule, optimizer, TRANSITIONS_KEPT)
    if state is not None:
        kernel.restore(state)
    stride = _stride(watch, _LOOK >> 3)  # its steps cost as much as several of gradient descent
    while kernel.advance(stride):
        if watch is not None:
            watch.look(stride, kernel.state)
    runs, samples = len(params), len(schedule)
    return Batch(
        status=kernel.status,
        obstacle=np.zeros(runs, np.uint8),
        end_step=kernel.last_step,
        end_log=np.full(runs, -np.inf),
        converged_step=np.full(runs, -1),
        converged_log=np.full(runs, -np.inf),
        error=np.zeros(runs),
        averaging_error=np.zeros(runs),
        counted=np.ones(runs, np.bool_),
        n_transitions=kernel.n_transitions,
        n_slides=np.zeros(runs, np.int64),
        n_samples=kernel.n_samples,
        transition_times=kernel.transition_times,
        transition_patterns=kernel.transition_patterns,
        slides=np.full((runs, SLIDES_KEPT, 5), np.nan),
        open_slides=np.full((runs, 2, 5), np.nan),
        sample_steps=kernel.sample_steps[:, :samples],
        sample_logs=np.full((runs, samples), np.nan),
        states=kernel.sample_states[:, :samples],
        patterns=kernel.sample_patterns[:, :samples],
        phase_unknown=np.zeros((runs, samples, 2, 2), np.bool_),
    )
