"""Many starts of one problem through the kernel: where sweeps meet it, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twonn import _core, config
from twonn.problem import Params, Problem

Floats = NDArray[np.float64]

#: Raised by whatever changes the bits of a run, so that no store mixes runs of two kinds.
BITS = 1

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
        COMPLETED, STATIONARY, DIVERGED or OBSTRUCTED of the kernel.
    obstacle : ndarray of uint8, shape (n,)
        Why an obstructed run could not leap.
    end_step, end_log : ndarray of int64 and float64, shape (n,)
        Steps taken; −1 beyond 2^63 − 1, where the natural logarithm counts.
    error, averaging_error : ndarray, shape (n,)
        Bounds on what leaping and averaging added to the parameters, in their Euclidean norm.
    averaged : ndarray of bool, shape (n,)
        Whether a leap averaged, so that not every transition was counted.
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
    states : ndarray, shape (n, m, 12)
        Reduced coordinates at the samples; nan after the last.
    patterns, unphased : ndarray of uint8, shape (n, m)
        Activation patterns, and pairs that slide since a leap averaged over them; 255 and 0 after the last.
    """

    status: NDArray[np.uint8]
    obstacle: NDArray[np.uint8]
    end_step: NDArray[np.int64]
    end_log: Floats
    error: Floats
    averaging_error: Floats
    averaged: NDArray[np.bool_]
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

    @classmethod
    def empty(cls, runs: int, samples: int) -> Batch:
        """Return a batch of runs about which nothing is known yet."""

        def floats(*shape: int) -> Floats:
            return np.full((runs, *shape), np.nan)

        def counts(*shape: int, fill: int = 0) -> NDArray[np.int64]:
            return np.full((runs, *shape), fill, dtype=np.int64)

        def codes(*shape: int, fill: int = 0) -> NDArray[np.uint8]:
            return np.full((runs, *shape), fill, dtype=np.uint8)

        return cls(
            status=codes(),
            obstacle=codes(),
            end_step=counts(),
            end_log=floats(),
            error=floats(),
            averaging_error=floats(),
            averaged=np.zeros(runs, dtype=np.bool_),
            n_transitions=counts(),
            n_slides=counts(),
            n_samples=counts(),
            transition_times=floats(TRANSITIONS_KEPT, 4),
            transition_patterns=codes(TRANSITIONS_KEPT, 2, fill=255),
            slides=floats(SLIDES_KEPT, 5),
            open_slides=floats(2, 5),
            sample_steps=counts(samples, fill=-1),
            sample_logs=floats(samples),
            states=floats(samples, _core.STATE_SIZE),
            patterns=codes(samples, fill=255),
            unphased=codes(samples),
        )


def run_batch(
    problem: Problem,
    params: Params,
    schedule: Schedule,
    engine: int,
    average: bool,
    stop: Callable[[], bool] | None = None,
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
    runs, samples = len(params), len(schedule[0]) + len(schedule[1])
    batch = Batch.empty(runs, samples)
    for index in range(runs):
        _record(batch, index, _finished(problem, params, index, schedule, engine, average, stop))
    return batch


def _finished(
    problem: Problem,
    params: Params,
    index: int,
    schedule: Schedule,
    engine: int,
    average: bool,
    stop: Callable[[], bool] | None,
) -> _core.Run:
    kernel = _core.Run(
        problem.x,
        problem.y.astype(np.float64),
        problem.rate,
        problem.bias,
        problem.loss == "logistic",
        problem.train_output,
        params.w[index],
        params.b[index],
        params.v[index],
        *schedule,
        engine,
        average,
    )
    while kernel.status == _core.RUNNING:
        if stop is not None and stop():
            raise Stopped
        kernel.advance(_LOOK)
    return kernel


def _record(batch: Batch, index: int, kernel: _core.Run) -> None:
    batch.status[index] = kernel.status
    batch.obstacle[index] = kernel.obstacle
    batch.end_step[index] = kernel.step
    batch.end_log[index] = kernel.log_step
    batch.error[index] = kernel.error
    batch.averaging_error[index] = kernel.averaging_error
    batch.averaged[index] = kernel.averaged
    batch.n_samples[index] = samples = kernel.n_samples
    batch.sample_steps[index, :samples] = kernel.sample_steps
    batch.sample_logs[index, :samples] = kernel.sample_logs
    batch.states[index, :samples] = kernel.sample_states
    batch.patterns[index, :samples] = kernel.sample_patterns
    batch.unphased[index, :samples] = kernel.sample_unphased
    batch.n_transitions[index] = kernel.n_transitions
    if kernel.n_transitions:
        kept = min(kernel.n_transitions, TRANSITIONS_KEPT)
        batch.transition_times[index, :kept] = kernel.transition_times[:kept]
        batch.transition_patterns[index, :kept, 0] = kernel.transition_before[:kept]
        batch.transition_patterns[index, :kept, 1] = kernel.transition_after[:kept]
        slides = kernel.slides
        batch.n_slides[index] = len(slides)
        for row, slide in enumerate(slides[:SLIDES_KEPT]):
            batch.slides[index, row] = slide
        for slide in slides:
            if slide[3] == np.inf:
                batch.open_slides[index, int(slide[0])] = slide


# --------------------------------------------------------------------------------------------------
# From reduced coordinates to networks


def weights(problem: Problem, params: Params, states: Floats) -> tuple[Floats, Floats]:
    """Return w, shape (n, m, 2, d), and b, shape (n, m, 2), of states of shape (n, m, 12)."""
    runs, samples = states.shape[:2]
    w, b = np.empty((runs, samples, 2, problem.dimension)), np.empty((runs, samples, 2))
    for index in range(runs):
        w[index], b[index] = _core.state_weights(
            problem.x, problem.bias, params.w[index], params.b[index], states[index]
        )
    return w, b


def preactivations(problem: Problem, params: Params, states: Floats) -> Floats:
    """Return z_ji, shape (n, m, 2, 2), of states of shape (n, m, 12)."""
    z = np.empty((*states.shape[:2], 2, 2))
    for index in range(len(states)):
        z[index] = _core.state_preactivations(
            problem.x, problem.bias, params.w[index], params.b[index], states[index]
        )
    return z
