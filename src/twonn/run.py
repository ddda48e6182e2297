"""Runs a problem: drives the kernel chunk by chunk, with progress and Ctrl-C between chunks."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from twonn import _core, config
from twonn.problem import (
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
    written_steps,
)
from twonn.trajectory import (
    SEGMENT,
    SLIDE,
    TRANSITION,
    Status,
    Trajectory,
)

#: Steps between two looks at the keyboard: some tens of milliseconds.
_CHUNK = 1 << 21

#: The kernel counts steps in 64 bits.
_LARGEST_COUNT = 2**63 - 1

#: How long a run whose horizon cannot be reached by stepping is given to end by itself.
_TRIAL_STEPS = 1 << 20

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
    optimizer: str = "gd",
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
    engine : {"auto", "direct"}
        "direct" takes every step. "auto" chooses the fastest engine that follows the same trajectory; in
        this version that is the direct one.
    sliding : {"average", "step"}
        Whether endless chatter of the activation pattern may be averaged. The direct engine steps through
        it either way.
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
    optimizer : {"gd"}
        Full-batch gradient descent with constant step size.

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
    The bits of a run depend on problem and start alone: not on where it is sampled, or how it is watched.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    check_compatible(problem, params)
    start = single_run(params)
    asked = horizon(steps, log10_steps)
    one_of("engine", engine, ("auto", "direct"))
    one_of("sliding", sliding, ("average", "step"))
    one_of("optimizer", optimizer, ("gd",))
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
    reachable = min(asked, _LARGEST_COUNT)
    schedule = sample_schedule(reachable, samples_per_decade, sample_steps)
    config.require_sound_arithmetic()
    kernel = _kernel(problem, start, schedule)
    if asked > reachable:
        _try_to_end(kernel, asked)
    with _first_ctrl_c() as interrupted, _reporting(progress, reachable) as report:
        while kernel.status == _core.RUNNING and not interrupted():
            kernel.advance(_CHUNK)
            report(kernel.step, reachable)
    if kernel.status == _core.RUNNING:
        kernel.interrupt()
    return _trajectory(problem, start, asked, kernel)


def _kernel(problem: Problem, params: Params, schedule: list[int]) -> _core.DirectRun:
    return _core.DirectRun(
        problem.x,
        problem.y.astype(np.float64),
        problem.rate,
        problem.bias,
        problem.loss == "logistic",
        problem.train_output,
        params.w,
        params.b,
        params.v,
        np.array(schedule, dtype=np.int64),
    )


def _try_to_end(kernel: _core.DirectRun, asked: int) -> None:
    """Step on to see whether the run comes to rest or diverges by itself; else refuse the horizon."""
    kernel.advance(_TRIAL_STEPS)
    if kernel.status == _core.RUNNING:
        raise ValueError(
            refusal(
                "steps",
                Verbatim(written_steps(asked)),
                "at most 2^63 - 1 steps for the direct engine, unless the run comes to rest within "
                f"its first {_TRIAL_STEPS:,}",
                "Ask for fewer steps.",
            )
        )


def _trajectory(problem: Problem, params: Params, asked: int, kernel: _core.DirectRun) -> Trajectory:
    # The kernel counts the steps taken; divergence shows in the step after the last finite one.
    end = kernel.step + (kernel.status == _core.DIVERGED)
    t = kernel.sample_steps.astype(np.float64)
    with np.errstate(divide="ignore"):
        log_t = np.log(t)
    return Trajectory(
        problem=problem,
        params=params,
        horizon=asked,
        status=_STATUS[kernel.status],
        end_step=end,
        t=t,
        log_t=log_t,
        states=kernel.sample_states,
        pattern=kernel.sample_patterns,
        transitions=_transitions(kernel),
        n_transitions=kernel.n_transitions,
        n_transitions_exact=True,
        transition_counts=kernel.transition_counts,
        slides=np.empty(0, SLIDE),
        segments=np.array([("direct", 0.0, float(kernel.step), 0, 0)], SEGMENT),
        error_estimate=0.0,
        provenance=config.provenance(),
    )


def _transitions(kernel: _core.DirectRun) -> np.ndarray:
    t = kernel.transition_steps.astype(np.float64)
    transitions = np.empty(len(t), TRANSITION)
    transitions["t"] = transitions["t_low"] = transitions["t_high"] = t
    transitions["log_t"] = np.log(t)
    transitions["before"] = kernel.transition_before
    transitions["after"] = kernel.transition_after
    return transitions


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
def _reporting(
    progress: bool | Callable[[int, int], None], steps: int
) -> Iterator[Callable[[int, int], None]]:
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda taken, asked: None
    else:
        with LateProgress() as bar:
            task = bar.add_task("steps", total=steps)
            yield lambda taken, asked: bar.update(task, completed=taken)


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
