"""Runs a problem: drives the kernel chunk by chunk, with progress, checkpoints and signals in between."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from twonn import _core, config
from twonn.checkpoint import (
    CHECKPOINT_EVERY,
    ENGINES,
    MAX_DIRECT,
    PER_SAMPLE,
    SLIDING,
    Question,
    fields_of,
    interval,
    provenance_of,
    question_of,
    read,
    write,
)
from twonn.files import CheckpointError, Lock, check_place, locked, previous
from twonn.networks import parameters_of
from twonn.optimizers import Optimizer, chosen, kernel_of, require_steps
from twonn.problem import (
    LARGEST_COUNT,
    Params,
    Problem,
    Verbatim,
    check_compatible,
    checked_path,
    default_stride,
    direct_limit,
    flag,
    horizon,
    one_of,
    refusal,
    sample_schedule,
    single_run,
    steps_of_log,
    written_steps,
)
from twonn.trajectory import SEGMENT, SLIDE, TRANSITION, Status, Trajectory, times

#: The most steps, or leaps that cost as much, between two looks at the keyboard: some tens of milliseconds
#: where steps cost what they do as a rule.
_CHUNK = 1 << 21

#: The first ones, before it is known what they cost here, by numbers of a point.
_FIRST_CHUNK = 1 << 16

#: Seconds that such a chunk is made to take.
_CHUNK_SECONDS = 0.05

#: Seconds between two looks at where the run is, for the last checkpoint: what has to be done again to go on
#: from the file of a run that has ended.
_LOOK = 1.0

#: How long a run whose horizon cannot be reached by stepping is given to end by itself.
_TRIAL_STEPS = 1 << 20

_ENGINES = {"auto": _core.AUTO, "direct": _core.DIRECT, "leap": _core.LEAP}

_KINDS = {_core.STEPPED: "direct", _core.LEAPT: "leap", _core.AVERAGED: "slide"}

#: Why the kernel could not leap.
_OBSTACLES = {
    _core.LARGE_STEPS: "single steps go on changing a margin by more than 1/256",
    _core.NEAR_KINK: "a unit stays so near its kink that the activation pattern may change every few steps",
    _core.UNRESOLVED: "no long stretch can be solved to rounding accuracy",
}

#: The outcome in the checkpoint of a run that goes on.
_UNDER_WAY = "running"

_OUTCOMES = (_UNDER_WAY, *(status.value for status in Status))

_STATUS = {
    _core.COMPLETED: Status.COMPLETED,
    _core.STATIONARY: Status.STATIONARY,
    _core.DIVERGED: Status.DIVERGED,
    _core.INTERRUPTED: Status.INTERRUPTED,
    _core.OBSTRUCTED: Status.OBSTRUCTED,
    _core.CONVERGED: Status.CONVERGED,
}


def run(
    problem: Problem,
    params: Params,
    steps: int | None = None,
    *,
    log10_steps: float | None = None,
    engine: str = "auto",
    sliding: str = "average",
    samples_per_decade: float | None = None,
    sample_steps: Sequence[int] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: str | int = CHECKPOINT_EVERY,
    progress: bool | Callable[[int, int], None] = False,
    on_block: Callable[[int, Params], object] | None = None,
    max_direct: int = MAX_DIRECT,
    optimizer: str | Optimizer | Mapping[str, Any] = "gd",
) -> Trajectory:
    """Run gradient descent and return the sampled trajectory.

    Parameters
    ----------
    problem : Problem
    params : Params
        The start: one network.
    steps : int
        Number of steps, from 0 to 10^1000000. Exactly one of `steps` and `log10_steps` is given.
    log10_steps : float
        Its decimal logarithm; rounded to the nearest whole number of steps.
    engine : {"auto", "direct", "leap"}
        "direct" takes every step. "auto" leaps over smooth stretches, with errors of the size of rounding,
        and steps where the map is not smooth: in the early phase, around transitions, and at large step
        sizes. "leap" is "auto" that refuses a run which it would have to step through for long (16,777,216
        steps in a row).
    sliding : {"average", "step"}
        Where data pushes a neuron back and forth across its kink at a sample, the activation pattern flips
        every few steps for ever, while the neuron slides along the kink. "average" leaps over that, with the
        mean in place of the sawtooth, as soon as this is accurate to second order in 1/t. "step" takes every
        step of a neuron that slides.
    samples_per_decade : float, optional
        Density of the recorded steps, 10^(k/samples_per_decade) rounded, up to 10,000,000 samples in all.
        Step 0 and the last step are always recorded. By default it is 20, but no more than 20,001 samples
        are recorded: where there would be more (beyond 10^1000 steps), every second, fourth, eighth, … of
        them, evenly in ln t, and the trajectory's ``repr`` says so.
    sample_steps : sequence of int, optional
        Steps to record instead, increasing; step 0 and the last step are added.
    checkpoint : str or path, optional
        File from which `resume` goes on, to the bits of a run that was never interrupted: written at the
        start, every `checkpoint_every`, and at the end. It must not exist yet. The one before the last is
        kept beside it as ``FILE.previous``. If it cannot be written later on, a RuntimeWarning says so, the
        run goes on, and the last one that could be written stays.
    checkpoint_every : str or int
        Time between checkpoints, such as "60s", "10min" or "2h", or a number of steps. It is kept in the
        file, so that `resume` does the same.
    progress : bool or callable
        True shows a progress bar on work that takes over a second; a callable is called between chunks of
        the run with the steps taken and the steps asked for.
    on_block : callable, optional
        Called between chunks of the run, every few tens of milliseconds, with the steps taken and the
        parameters there; the run is interrupted in order if it returns something true.
    max_direct : int
        Steps, >= 1, that "auto" takes one by one, in all, before it gives up: the run then ends as
        ``Status.OBSTRUCTED``, with the samples up to there and the reason. Leaps count as the steps that cost
        as much, so that every run ends, at a step that depends on no clock. The default, 10^10, is a few
        minutes. "direct", "leap" and other optimizers have no such limit.
    optimizer : {"gd", "momentum", "normalized_gd", "adam"}, Optimizer or mapping
        Full-batch gradient descent with constant step size, or another optimizer: its name, an instance of
        `Momentum`, `NormalizedGD` or `Adam`, or a table with ``name`` and options. These are stepped
        directly, whatever the horizon, in the parameters' own coordinates: "auto" does not leap for them, and
        "leap" is refused. With no unit active, momentum and Adam coast on and may wake one; such a run is at
        rest only without velocity.

    Returns
    -------
    Trajectory
        Its ``status`` tells whether all steps were taken, and the parameters converged to a finite minimiser;
        the run came to rest (no unit active on any sample); it diverged; `max_direct` was used up; or it was
        interrupted. The first Ctrl-C or SIGTERM ends it in order, writes a checkpoint and gives what there
        is; a second one stops at once, by KeyboardInterrupt or by death.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    OSError
        If there can be no checkpoint at that place, before anything is run.
    CheckpointError
        If another process writes that checkpoint; it is named by its id.
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
    one_of("engine", engine, ENGINES)
    one_of("sliding", sliding, SLIDING)
    other = chosen(optimizer)
    if other is not None:
        require_steps(other, engine)
    place = None if checkpoint is None else _free_place(checkpoint)
    interval(checkpoint_every)
    _check_watchers(progress, on_block)
    limit = direct_limit(max_direct)
    question = Question(
        problem=problem,
        params=start,
        horizon=asked,
        engine=engine,
        sliding=sliding,
        samples_per_decade=samples_per_decade,
        sample_steps=sample_steps,
        optimizer=other,
        max_direct=limit,
    )
    kernel = _prepared(question)
    if place is None:
        return _carried_out(question, kernel, None, progress, on_block)
    with locked(place) as lock:
        _refuse_existing(place)
        saver = _Saver(place, lock, checkpoint_every, question, kernel, {})
        return _carried_out(question, kernel, saver, progress, on_block)


def resume(
    path: str | os.PathLike[str],
    steps: int | None = None,
    *,
    log10_steps: float | None = None,
    checkpoint_every: str | int | None = None,
    progress: bool | Callable[[int, int], None] = False,
    on_block: Callable[[int, Params], object] | None = None,
    max_direct: int | None = None,
) -> Trajectory:
    """Go on with a run from its checkpoint, and write further ones there.

    Parameters
    ----------
    path : str or path
        What `run` was given as ``checkpoint``.
    steps, log10_steps : int, float
        A new horizon, counted from step 0; the one that the run was asked for by default. It may be longer,
        also for a run that has completed, or shorter, but not within what the file holds. At the default
        density it must not be so much shorter that samples would be recorded more densely than in the file.
    checkpoint_every : str or int, optional
        As of `run`; what the run, or the last `resume`, was given by default.
    progress, on_block
        As of `run`.
    max_direct : int, optional
        As of `run`; the one that the run was given by default. With a larger one a run goes on that is
        OBSTRUCTED. It may be smaller, too, but not within what the file holds.

    Returns
    -------
    Trajectory
        All of it, from step 0: every array has the bits that the run to this horizon, with this `max_direct`,
        would have had without interruption.

    Raises
    ------
    CheckpointError
        If neither the file nor the one kept before it is readable, or another process writes it.
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    OSError
        If no further checkpoint can be written there, before anything is run.

    Warns
    -----
    RuntimeWarning
        If the file is damaged and the run goes on from the one before it.

    Notes
    -----
    The file of a run that has ended holds where it was up to a second before, so that it can be extended;
    what lies between is run again. ``sample_steps``, if the run was given that, stays as it is, but for the
    last step.
    """
    place = _behind_links(checked_path(path))
    if checkpoint_every is not None:
        interval(checkpoint_every)
    _check_watchers(progress, on_block)
    asked = None if steps is None and log10_steps is None else horizon(steps, log10_steps)
    limit = None if max_direct is None else direct_limit(max_direct)
    if not (place.exists() or previous(place).exists()):
        raise CheckpointError(f"{place}: there is no such file.")
    check_place(place)
    with locked(place) as lock:
        kernel, question, values, damage = _opened(place, asked, limit)
        if damage is not None:
            message = (
                f"{damage} Going on from {previous(place)}, at step {written_steps(_steps_taken(kernel))}."
            )
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        every = json.loads(values["checkpoint_every"]) if checkpoint_every is None else checkpoint_every
        saver = _Saver(place, lock, every, question, kernel, values, intact=damage is None)
        return _carried_out(question, kernel, saver, progress, on_block)


def so_far(path: str | os.PathLike[str]) -> tuple[Trajectory, dict[str, Any]]:
    """Return the run in a checkpoint as if it was interrupted there, and all that is in the file.

    Where the run has ended, this is its result.

    Raises
    ------
    CheckpointError
        If neither the file nor the one kept before it is readable.
    """
    place = checked_path(path)
    kernel, question, values, damage = _opened(place)
    if damage is not None:
        warnings.warn(f"{damage} This is {previous(place)}.", RuntimeWarning, stacklevel=2)
    if values["outcome"] not in (_UNDER_WAY, Status.INTERRUPTED.value):
        pace = _Pace(question)
        while kernel.status == _core.RUNNING:
            pace.advance(kernel)
    if kernel.status == _core.RUNNING:
        kernel.interrupt()
    return _trajectory(question, kernel, provenance_of(values["provenance"])), values


# --------------------------------------------------------------------------------------------------
# Arguments


def _check_watchers(progress: object, on_block: object) -> None:
    if not callable(progress):
        flag("progress", progress)
    if on_block is not None and not callable(on_block):
        expected = "a function of the steps taken and the parameters, or None"
        raise TypeError(refusal("on_block", on_block, expected, "Leave it out to watch nothing."))


def _free_place(checkpoint: object) -> Path:
    place = _behind_links(checked_path(checkpoint, "checkpoint"))
    check_place(place)
    _refuse_existing(place)
    return place


def _behind_links(place: Path) -> Path:
    """Return where a file is: a new one is to take its place, not that of a link to it."""
    return place.resolve() if place.is_symlink() else place


def _refuse_existing(place: Path) -> None:
    if place.exists() or previous(place).exists():
        raise ValueError(
            refusal(
                "checkpoint",
                str(place),
                "the name of a file that does not exist",
                "Go on with twonn.resume, or remove it and what is kept beside it as .previous.",
            )
        )


# --------------------------------------------------------------------------------------------------
# From a question, or a file, to a kernel


def _is_stepped(question: Question) -> bool:
    """Whether every step is taken."""
    return question.engine == "direct" or question.optimizer is not None


def _reachable(question: Question) -> int:
    """Return the horizon, or, where every step is taken, the last step that can be counted."""
    return min(question.horizon, LARGEST_COUNT) if _is_stepped(question) else question.horizon


def _prepared(question: Question, values: Mapping[str, Any] | None = None) -> _core.Run:
    """Return a kernel at step 0, or where a file has it."""
    steps, logs = sample_schedule(_reachable(question), question.samples_per_decade, question.sample_steps)
    config.require_sound_arithmetic()
    if question.optimizer is None:
        kernel = _kernel(question, steps, logs)
    else:
        kernel = kernel_of(question.problem, question.params, steps, question.optimizer)
    if values is not None:
        kernel.restore(values)
        counted = steps[: kernel.n_samples]
        late = logs[: kernel.n_samples - len(counted)]
        if not (
            np.array_equal(kernel.sample_steps[: len(counted)], counted)
            and np.array_equal(kernel.sample_logs[len(counted) :], late)
        ):
            raise ValueError("its samples are not those that it asks for")
    return kernel


def _opened(
    place: Path, asked: int | None = None, limit: int | None = None
) -> tuple[_core.Run, Question, dict[str, Any], str | None]:
    """Return a kernel where the file has it, what is asked, the file's values, and what is wrong with it.

    The horizon, and the limit to direct steps, are those `asked` and `limit` where these are given.
    """
    values, damage = read(place)
    try:
        one_of("outcome", values["outcome"], _OUTCOMES)
        question = question_of(values)
        kernel = _prepared(question, values)
    except (KeyError, TypeError, ValueError) as error:  # the checksum is right: not twonn's
        raise CheckpointError(f"{place}: not what a checkpoint has to be ({error}).") from error
    changed = replace(
        question,
        horizon=question.horizon if asked is None else asked,
        max_direct=question.max_direct if limit is None else limit,
    )
    if (changed.horizon, changed.max_direct) != (question.horizon, question.max_direct):
        _check_ahead(changed, question, kernel, values, place)
        kernel = _prepared(changed, _resampled(values, question, changed, place))
        question = changed
    return kernel, question, values, damage


def _check_ahead(
    changed: Question, question: Question, kernel: _core.Run, values: Mapping[str, Any], place: Path
) -> None:
    """Refuse a new horizon or limit at which the run would have ended before it was where the file has it."""
    taken = _steps_taken(kernel)
    if changed.horizon != question.horizon and changed.horizon <= taken:
        expected = f"more than the {written_steps(taken)} steps that {place} holds"
        fix = "Start again with twonn.run for fewer."
        raise ValueError(refusal("steps", Verbatim(written_steps(changed.horizon)), expected, fix))
    limited = question.engine == "auto" and question.optimizer is None
    spent = int(values["spent"]) if limited else 0
    if changed.max_direct < question.max_direct and changed.max_direct <= spent:
        expected = f"more than the {written_steps(spent)} that {place} has used up"
        fix = "Give a larger one, or start again with twonn.run."
        raise ValueError(refusal("max_direct", Verbatim(written_steps(changed.max_direct)), expected, fix))


def _resampled(values: dict[str, Any], before: Question, question: Question, place: Path) -> dict[str, Any]:
    """Return a file's values with those samples only that the run to another horizon has.

    The default density depends on the horizon. The samples of the longer one are among those of the shorter.
    """
    if not question.samples_by_default:
        return values
    held, wanted = (default_stride(_reachable(one)) for one in (before, question))
    if wanted < held:
        expected = f"a horizon at which samples are recorded no more densely than {place} holds them"
        fix = "Start again with twonn.run, or go on to a longer horizon."
        raise ValueError(refusal("steps", Verbatim(written_steps(question.horizon)), expected, fix))
    if wanted == held:  # always so where every step is taken
        return values
    steps, logs = sample_schedule(_reachable(question), None, None)
    kept = np.isin(values["steps"], steps) | ((values["steps"] < 0) & np.isin(values["logs"], logs))
    rows = {name: values[name][kept] for name in PER_SAMPLE}
    return {**values, **rows, "n_samples": int(kept.sum())}


def _kernel(question: Question, steps: np.ndarray, logs: np.ndarray) -> _core.Run:
    problem, params = question.problem, question.params
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
        steps,
        logs,
        _ENGINES[question.engine],
        question.sliding == "average",
        question.max_direct,
    )


def _carried_out(
    question: Question,
    kernel: _core.Run,
    saver: _Saver | None,
    progress: bool | Callable[[int, int], None],
    on_block: Callable[[int, Params], object] | None,
) -> Trajectory:
    """Drive a kernel until the run ends, or is interrupted."""
    reachable = _reachable(question)
    pace = _Pace(question)
    if question.horizon > reachable:
        _try_to_end(kernel, question.horizon, pace)
    if saver is not None:
        saver.begin()
    stopped = False
    with first_signal() as came, _reporting(progress) as report:
        try:
            while kernel.status == _core.RUNNING and not (stopped or came()):
                pace.advance(kernel, _CHUNK if saver is None else saver.steps_to_go(_steps_taken(kernel)))
                if saver is not None and kernel.status == _core.RUNNING:
                    saver.look(kernel)
                report(_steps_taken(kernel), reachable)
                stopped = on_block is not None and bool(on_block(*_present(question, kernel)))
        except BaseException:
            # A second signal is to stop it at once; but for that, what was computed is worth a checkpoint.
            if saver is not None and not came():
                saver.end(kernel)
            raise
    if kernel.status == _core.OBSTRUCTED and question.engine == "leap":
        if saver is not None:
            saver.withdraw()
        raise ValueError(_refused(kernel, question))
    if saver is not None:
        saver.end(kernel)
    if kernel.status == _core.RUNNING:
        kernel.interrupt()
    return _trajectory(question, kernel, _provenance({} if saver is None else saver.opened))


class _Pace:
    """Advances a kernel by what takes some tens of milliseconds, so that signals are noticed in time.

    Steps differ in what they cost: by the dimension where optimizers take them, and a hundredfold where
    numbers are subnormal. Where a run is paused changes none of its bits.
    """

    def __init__(self, question: Question) -> None:
        self._steps = max(1, min(_CHUNK, _FIRST_CHUNK // question.problem.dimension))

    def advance(self, kernel: _core.Run | _core.OptimizerRun, most: int | None = None) -> None:
        """Take the steps of one chunk, at least one and at most `most`, or a block of them."""
        steps = self._steps if most is None else max(1, min(self._steps, most))
        begun = time.perf_counter()
        kernel.advance(steps)
        seconds = time.perf_counter() - begun
        if seconds > 2 * _CHUNK_SECONDS:
            self._steps = max(1, steps // 2)
        elif seconds < _CHUNK_SECONDS and steps == self._steps:
            self._steps = min(2 * steps, _CHUNK)


def _present(question: Question, kernel: _core.Run) -> tuple[int, Params]:
    """Return the steps taken, and the parameters."""
    start, state = question.params, kernel.present[np.newaxis, np.newaxis]
    w, b, v = parameters_of(question.problem, start.w[None], start.b[None], question.optimizer, state)
    return _steps_taken(kernel), Params.of_finite_state(w[0, 0], b[0, 0], v[0, 0])


class _Saver:
    """Writes the checkpoints of a run under way: when they are due, and when it ends.

    Parameters
    ----------
    place : Path
    lock : Lock
    every : str or int
        Time or steps between two of them, as `run` takes it.
    question : Question
    kernel : _core.Run
        At the step where this session begins.
    opened : mapping
        What the file held then; empty for a new run.
    intact : bool
        Whether the file is worth keeping once there is a new one.
    """

    def __init__(
        self,
        place: Path,
        lock: Lock,
        every: str | int,
        question: Question,
        kernel: _core.Run,
        opened: Mapping[str, Any],
        intact: bool = True,
    ) -> None:
        self.opened = opened
        self._place, self._lock = place, lock
        self._seconds, self._steps = interval(every)
        written = json.dumps(every if self._steps is None else min(self._steps, LARGEST_COUNT))
        self._asked = {**fields_of(question), "checkpoint_every": written}
        self._intact = intact
        self._begun = self._written = time.monotonic()
        self._take(kernel)
        self._written_step = self._step

    def begin(self) -> None:
        """Write a new run's first checkpoint, to see whether that is possible."""
        if not self.opened:
            self._save(_UNDER_WAY)

    def steps_to_go(self, taken: int) -> int:
        """Return for how many steps the run may go on until it is to be looked at."""
        if self._steps is None:
            return _CHUNK
        return max(1, min(_CHUNK, self._written_step + self._steps - taken))

    def look(self, kernel: _core.Run) -> None:
        """Write a checkpoint if it is due."""
        now = time.monotonic()
        due = now - self._written >= self._seconds
        if self._steps is not None:
            due = _steps_taken(kernel) - self._written_step >= self._steps
        if due or now - self._taken >= _LOOK:
            self._take(kernel)
        if due:
            self._written, self._written_step = now, self._step
            self._try_to_save(_UNDER_WAY)

    def withdraw(self) -> None:
        """Leave no file of a new run that is refused."""
        if not self.opened:
            for file in (self._place, previous(self._place)):
                file.unlink(missing_ok=True)

    def end(self, kernel: _core.Run) -> None:
        """Write the last checkpoint."""
        if kernel.status == _core.RUNNING:
            self._take(kernel)
            self._try_to_save(Status.INTERRUPTED.value)
        else:
            self._try_to_save(_STATUS[kernel.status].value)

    def _take(self, kernel: _core.Run) -> None:
        """Take down where the run is."""
        self._state, self._step, self._taken = kernel.state(), _steps_taken(kernel), time.monotonic()

    def _try_to_save(self, outcome: str) -> None:
        try:
            self._save(outcome)
        except OSError as error:
            warnings.warn(
                f"checkpoint: {self._place} could not be written at step {written_steps(self._step)}: "
                f"{error.strerror or error}. The one written before is there still.",
                RuntimeWarning,
                stacklevel=5,
            )

    def _save(self, outcome: str) -> None:
        values = {
            **self._asked,
            **self._state,
            "outcome": outcome,
            "seconds": self.opened.get("seconds", 0.0) + time.monotonic() - self._begun,
            "provenance": json.dumps(_provenance(self.opened)),
        }
        write(self._place, values, self._lock, keep=self._intact)
        self._intact = True


def _provenance(opened: Mapping[str, Any]) -> dict[str, str]:
    """Return what computes, and what of that was different when the run was begun or went on."""
    now = config.provenance()
    if not opened:
        return now
    then = provenance_of(opened["provenance"])
    earlier = [then.pop("earlier")] if "earlier" in then else []
    if then != now:
        differing = ", ".join(f"{name} {value}" for name, value in then.items() if now.get(name) != value)
        earlier.append(differing)
    return {**now, **({"earlier": "; ".join(earlier)} if earlier else {})}


def _try_to_end(kernel: _core.Run, asked: int, pace: _Pace) -> None:
    """Step on to see whether the run comes to rest or diverges by itself; else refuse the horizon."""
    end = kernel.step + _TRIAL_STEPS
    while kernel.status == _core.RUNNING and kernel.step < end:
        pace.advance(kernel, end - kernel.step)
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


def _refused(kernel: _core.Run, question: Question) -> str:
    """Say why a run that has to leap could not."""
    taken = written_steps(_steps_taken(kernel))
    argument, got, fix = "engine", "'leap'", 'Use engine="auto".'
    if question.sliding == "step" and kernel.obstacle == _core.NEAR_KINK:
        argument, got, fix = "sliding", "'step'", 'Use sliding="average".'
    expected = f"a run that can be leapt over, but at step {taken} {_OBSTACLES[kernel.obstacle]}"
    return refusal(argument, Verbatim(got), expected, fix)


def _obstacle(kernel: _core.Run, question: Question) -> str:
    """Say why the engine gave up, as a part of a sentence."""
    text = f"max_direct = {written_steps(question.max_direct)} is used up"
    if kernel.obstacle != _core.NONE:
        text += f", and a leap was last not possible because {_OBSTACLES[kernel.obstacle]}"
    if kernel.obstacle == _core.NEAR_KINK and question.sliding == "step":
        text += ' (sliding="step" forbids to average over that)'
    return text


def _steps_taken(kernel: _core.Run) -> int:
    return kernel.step if kernel.step >= 0 else steps_of_log(kernel.log_step)


def _trajectory(question: Question, kernel: _core.Run, provenance: dict[str, str]) -> Trajectory:
    t, log_t = _times(kernel.sample_steps, kernel.sample_logs)
    return Trajectory(
        problem=question.problem,
        params=question.params,
        optimizer=question.optimizer,
        horizon=question.horizon,
        status=_STATUS[kernel.status],
        end_step=_end_step(kernel, question),
        t=t,
        log_t=log_t,
        states=kernel.sample_states,
        pattern=kernel.sample_patterns,
        transitions=_transitions(kernel),
        n_transitions=kernel.n_transitions,
        n_transitions_exact=kernel.counted,
        transition_counts=kernel.transition_counts,
        slides=np.array(kernel.slides, SLIDE),
        unphased=kernel.sample_unphased,
        segments=_segments(kernel),
        error_bound=kernel.error + kernel.averaging_error,
        provenance=provenance,
        obstacle=_obstacle(kernel, question) if kernel.status == _core.OBSTRUCTED else "",
    )


def _end_step(kernel: _core.Run, question: Question) -> int:
    if kernel.status == _core.COMPLETED:
        return question.horizon
    if kernel.status == _core.CONVERGED:
        step = kernel.converged_step
        return step if step >= 0 else steps_of_log(kernel.converged_log)
    # The kernel counts the steps taken; divergence shows in the step after the last finite one.
    return _steps_taken(kernel) + (kernel.status == _core.DIVERGED)


def _times(steps: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return t and ln t of steps that are counted, or, where they are −1, known by their logarithms."""
    t, log_t = times(steps, logs)
    # A logarithm knows its step to some 1e-14 of it: not the order of 2^63 - 1 and 2^63.
    return np.maximum.accumulate(t), log_t


def _transitions(kernel: _core.Run) -> np.ndarray:
    dates = kernel.transition_times
    transitions = np.empty(len(dates), TRANSITION)
    transitions["t"], logs, transitions["t_low"], transitions["t_high"] = dates.T
    far = dates[:, 0] > LARGEST_COUNT
    transitions["log_t"] = np.where(far, logs, np.log(np.where(far, 1.0, dates[:, 0])))
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


class _FirstSignal:
    """A handler that notes the first Ctrl-C or SIGTERM; a second one acts as usual."""

    USUAL: ClassVar[dict[int, Any]] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }

    def __init__(self) -> None:
        self.number = 0
        # Only where nobody else has claimed it.
        self._claimed = [number for number, usual in self.USUAL.items() if signal.getsignal(number) is usual]
        for number in self._claimed:
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        _core.note_signal()
        self.let_go()

    def let_go(self) -> None:
        for number in self._claimed:
            signal.signal(number, self.USUAL[number])


@contextmanager
def first_signal() -> Iterator[Callable[[], int]]:
    """Give a function that returns the number of the first Ctrl-C or SIGTERM, 0 before.

    One within another tells the same. Only the main thread may watch for signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    for number in _FirstSignal.USUAL:
        if isinstance(outer := signal.getsignal(number), _FirstSignal):
            yield lambda: outer.number
            return
    watch = _FirstSignal()
    try:
        yield lambda: watch.number
    finally:
        watch.let_go()


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
