"""Runs a problem: drives the kernel chunk by chunk, with progress and Ctrl-C between chunks."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from twonn import _core, config
from twonn.optimizers import Optimizer, chosen, kernel_of, require_steps
from twonn.problem import (
    LARGEST_COUNT,
    Params,
    Problem,
    Verbatim,
    check_compatible,
    flag,
    horizon,
    one_of,
    refusal,
    sample_schedule,
    single_run,
    steps_of_log,
    written_steps,
)
from twonn.trajectory import (
    SEGMENT,
    SLIDE,
    TRANSITION,
    Status,
    Trajectory,
)

#: Steps, or leaps that cost as much, between two looks at the keyboard: some tens of milliseconds.
_CHUNK = 1 << 21

#: How long a run whose horizon cannot be reached by stepping is given to end by itself.
_TRIAL_STEPS = 1 << 20

_ENGINES = {"auto": _core.AUTO, "direct": _core.DIRECT, "leap": _core.LEAP}

_KINDS = {_core.STEPPED: "direct", _core.LEAPT: "leap", _core.AVERAGED: "slide"}

#: Why the kernel could not leap.
_OBSTACLES = {
    _core.LARGE_STEPS: "single steps go on changing a margin by more than 1/256",
    _core.NEAR_KINK: "a unit stays so near its kink that the activation pattern may change every few steps",
    _core.UNRESOLVED: "no long stretch of it can be solved to rounding accuracy",
}

_STATUS = {
    _core.COMPLETED: Status.COMPLETED,
    _core.STATIONARY: Status.STATIONARY,
    _core.DIVERGED: Status.DIVERGED,
    _core.INTERRUPTED: Status.INTERRUPTED,
}


def run(
    problem: Problem,
    params: Params,
    steps: int | None = None,
    *,
    log10_steps: float | None = None,
    engine: str = "auto",
    sliding: str = "average",
    samples_per_decade: float = 20,
    sample_steps: Sequence[int] | None = None,
    checkpoint: None = None,
    progress: bool | Callable[[int, int], None] = False,
    optimizer: str | Optimizer | Mapping[str, Any] = "gd",
) -> Trajectory:
    """Run gradient descent and return the sampled trajectory.

    Parameters
    ----------
    problem : Problem
    params : Params
        The start: one network.
    steps : int
        Number of steps, >= 0. Exactly one of `steps` and `log10_steps` is given.
    log10_steps : float
        Its decimal logarithm; rounded to the nearest whole number of steps.
    engine : {"auto", "direct", "leap"}
        "direct" takes every step. "auto" leaps over smooth stretches, with errors of the size of rounding,
        and steps where the map is not smooth: in the early phase, around transitions, and at large step
        sizes. "leap" is "auto" that refuses a run which it would have to step through for long (16,777,216
        steps in a row). "auto" does so only where the horizon is beyond 2^63, out of the reach of stepping,
        and where `sliding` says so.
    sliding : {"average", "step"}
        Where data pushes a neuron back and forth across its kink at a sample, the activation pattern flips
        every few steps for ever, while the neuron slides along the kink. "average" leaps over that, with the
        mean in place of the sawtooth, as soon as this is accurate to second order in 1/t. "step" takes every
        step and refuses horizons beyond 10^12 for a run that slides.
    samples_per_decade : float
        Density of the recorded steps, 10^(k/samples_per_decade) rounded. Step 0 and the last step are
        always recorded.
    sample_steps : sequence of int, optional
        Steps to record instead, increasing; step 0 and the last step are added.
    checkpoint : None
        Files for resuming are not part of this version.
    progress : bool or callable
        True shows a progress bar on work that takes over a second; a callable is called between chunks of
        the run with the steps taken and the steps asked for.
    optimizer : {"gd", "momentum", "normalized_gd", "adam"}, Optimizer or mapping
        Full-batch gradient descent with constant step size, or another optimizer: its name, an instance of
        `Momentum`, `NormalizedGD` or `Adam`, or a table with ``name`` and options. These are stepped
        directly, whatever the horizon, in the parameters' own coordinates: "auto" does not leap for them, and
        "leap" is refused. With no unit active, momentum and Adam coast on and may wake one; such a run is at
        rest only without velocity.

    Returns
    -------
    Trajectory
        Its ``status`` tells whether all steps were taken, the run came to rest (no unit active on any
        sample), it diverged, or was interrupted: the first Ctrl-C ends it in order and gives what there
        is, a second one raises KeyboardInterrupt at once.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    RuntimeError
        If the floating-point arithmetic of this thread is not IEEE binary64.

    Notes
    -----
    The bits of a run depend on problem, start and engine alone: not on its horizon, where it is sampled, or
    how it is watched. ``segments`` of the result says which engine covered which steps, ``error_estimate``
    what leaping may have added. Steps are counted exactly up to 2^63, and by their logarithm beyond.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    check_compatible(problem, params)
    start = single_run(params)
    asked = horizon(steps, log10_steps)
    one_of("engine", engine, tuple(_ENGINES))
    one_of("sliding", sliding, ("average", "step"))
    other = chosen(optimizer)
    if other is not None:
        require_steps(other, engine)
    if checkpoint is not None:
        raise ValueError(
            refusal(
                "checkpoint",
                checkpoint,
                "None",
                "Save the finished trajectory with traj.save(path).",
            )
        )
    if not callable(progress):
        flag("progress", progress)
    stepped = engine == "direct" or other is not None
    reachable = min(asked, LARGEST_COUNT) if stepped else asked
    schedule = sample_schedule(reachable, samples_per_decade, sample_steps)
    config.require_sound_arithmetic()
    if other is None:
        kernel = _kernel(problem, start, schedule, _ENGINES[engine], sliding == "average")
    else:
        kernel = kernel_of(problem, start, schedule[0], other)
    if asked > reachable:
        _try_to_end(kernel, asked)
    with _first_ctrl_c() as interrupted, _reporting(progress) as report:
        while kernel.status == _core.RUNNING and not interrupted():
            kernel.advance(_CHUNK)
            report(_steps_taken(kernel), reachable)
    if kernel.status == _core.OBSTRUCTED:
        raise ValueError(_refused(kernel, engine, sliding, asked))
    if kernel.status == _core.RUNNING:
        kernel.interrupt()
    return _trajectory(problem, start, asked, kernel, other)


def _kernel(
    problem: Problem, params: Params, schedule: tuple[np.ndarray, np.ndarray], engine: int, average: bool
) -> _core.Run:
    return _core.Run(
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
    )


def _try_to_end(kernel: _core.Run, asked: int) -> None:
    """Step on to see whether the run comes to rest or diverges by itself; else refuse the horizon."""
    kernel.advance(_TRIAL_STEPS)
    if kernel.status == _core.RUNNING:
        raise ValueError(
            refusal(
                "steps",
                Verbatim(written_steps(asked)),
                "at most 2^63 - 1 steps for the direct engine, unless the run comes to rest within "
                f"its first {_TRIAL_STEPS:,}",
                'Ask for fewer steps, or use engine="auto".',
            )
        )


def _refused(kernel: _core.Run, engine: str, sliding: str, asked: int) -> str:
    """Say why a run that has to leap could not."""
    taken = written_steps(_steps_taken(kernel))
    if engine == "leap":
        argument, got, fix = "engine", "'leap'", 'Use engine="auto".'
    else:
        argument, got, fix = "steps", written_steps(asked), f"Ask for fewer steps, such as {taken}."
    if sliding == "step" and kernel.obstacle == _core.NEAR_KINK:
        argument, got, fix = "sliding", "'step'", 'Use sliding="average".'
    expected = f"a run that can be leapt over, but at step {taken} {_OBSTACLES[kernel.obstacle]}"
    return refusal(argument, Verbatim(got), expected, fix)


def _steps_taken(kernel: _core.Run) -> int:
    return kernel.step if kernel.step >= 0 else steps_of_log(kernel.log_step)


def _trajectory(
    problem: Problem, params: Params, asked: int, kernel: _core.Run, optimizer: Optimizer | None
) -> Trajectory:
    # The kernel counts the steps taken; divergence shows in the step after the last finite one.
    end = asked
    if kernel.status != _core.COMPLETED:
        end = _steps_taken(kernel) + (kernel.status == _core.DIVERGED)
    t, log_t = _times(kernel.sample_steps, kernel.sample_logs)
    return Trajectory(
        problem=problem,
        params=params,
        optimizer=optimizer,
        horizon=asked,
        status=_STATUS[kernel.status],
        end_step=end,
        t=t,
        log_t=log_t,
        states=kernel.sample_states,
        pattern=kernel.sample_patterns,
        transitions=_transitions(kernel),
        n_transitions=kernel.n_transitions,
        n_transitions_exact=not kernel.averaged,
        transition_counts=kernel.transition_counts,
        slides=np.array(kernel.slides, SLIDE),
        unphased=kernel.sample_unphased,
        segments=_segments(kernel),
        error_bound=kernel.error + kernel.averaging_error,
        provenance=config.provenance(),
    )


def _times(steps: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return t and ln t of steps that are counted, or, where they are −1, known by their logarithms."""
    with np.errstate(divide="ignore", over="ignore"):
        t = np.where(steps < 0, np.exp(logs), steps.astype(np.float64))
        log_t = np.where(steps < 0, logs, np.log(np.abs(t)))
    # A logarithm knows its step to some 1e-14 of it: not the order of 2^63 - 1 and 2^63.
    return np.maximum.accumulate(t), log_t


def _transitions(kernel: _core.Run) -> np.ndarray:
    times = kernel.transition_times
    transitions = np.empty(len(times), TRANSITION)
    transitions["t"], logs, transitions["t_low"], transitions["t_high"] = times.T
    far = times[:, 0] > LARGEST_COUNT
    transitions["log_t"] = np.where(far, logs, np.log(np.where(far, 1.0, times[:, 0])))
    transitions["before"] = kernel.transition_before
    transitions["after"] = kernel.transition_after
    return transitions


def _segments(kernel: _core.Run) -> np.ndarray:
    rows = kernel.segments
    segments = np.empty(len(rows), SEGMENT)
    segments["engine"] = [_KINDS[row[0]] for row in rows]
    for name, step in (("start", 1), ("stop", 3)):
        steps = np.array([row[step] for row in rows], dtype=np.int64)
        times = _times(steps, np.array([row[step + 1] for row in rows], dtype=np.float64))
        segments[f"t_{name}"], segments[f"log_t_{name}"] = times
    segments["blocks"] = [row[5] for row in rows]
    segments["iterations"] = [row[6] for row in rows]
    if len(rows) == _core.SEGMENTS_KEPT:  # the last one covers all the rest
        segments["engine"][-1] = "mixed"
    return segments


@contextmanager
def _first_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C was pressed; a second press raises as usual.

    Only the main thread may watch for signals, and only where nobody else has claimed this one.
    """
    pressed = False

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _reporting(progress: bool | Callable[[int, int], None]) -> Iterator[Callable[[int, int], None]]:
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda taken, asked: None
    else:
        with LateProgress() as bar:
            task = bar.add_task("steps", total=1.0)
            yield lambda taken, asked: bar.update(task, completed=taken / max(asked, 1))


class LateProgress(Progress):
    """A progress bar that shows itself only on work that takes over a second."""

    def __init__(self, *, disable: bool = False) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} %"),
            TimeRemainingColumn(),
            transient=True,
            disable=disable,
        )
        self._shown_from = time.monotonic() + 1.0

    def __enter__(self) -> LateProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.live.is_started:
            self.stop()

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        watched = self.console.is_terminal or self.console.is_jupyter
        if watched and time.monotonic() > self._shown_from:
            self.start()
