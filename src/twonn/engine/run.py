"""Runs a problem: drives the kernel chunk by chunk, with progress, checkpoints and signals in between."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twonn.arguments import ArgumentValueError, checked_path, suggesting
from twonn.config import provenance_of
from twonn.engine.checkpoint import interval
from twonn.engine.execution import Execution
from twonn.engine.fields import CHECKPOINT_EVERY
from twonn.engine.reopen import reopened
from twonn.engine.saver import UNDER_WAY, Saver, provenance_since
from twonn.engine.stepping import Rule, stepped
from twonn.engine.watching import Watcher, first_signal, reporting
from twonn.files import (
    CheckpointError,
    is_store,
    is_trajectory,
    locked,
    place_of,
    previous,
    what_it_is,
)
from twonn.optimizers import Optimizer, OptimizerName
from twonn.problem.horizon import direct_limit, horizon
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.problem.runspec import MAX_DIRECT, RUN_SYNONYMS, Engine, RunOptions, RunSpec, Sliding
from twonn.results.records import Status
from twonn.results.trajectory import Trajectory
from twonn.values import public


@public
@suggesting(RUN_SYNONYMS)
def run(
    problem: Problem,
    params: Params,
    steps: int | float | str | None = None,
    *,
    log10_steps: float | None = None,
    engine: Engine = "auto",
    sliding: Sliding = "average",
    samples_per_decade: float | None = None,
    sample_steps: Sequence[int | float | str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: str | int | float = CHECKPOINT_EVERY,
    progress: bool | Callable[[int, int], None] | None = None,
    on_block: Callable[[int, Params], object] | None = None,
    max_direct: int | float | str = MAX_DIRECT,
    optimizer: OptimizerName | Optimizer | Mapping[str, Any] | Rule = "gd",
) -> Trajectory:
    """Run gradient descent and return the sampled trajectory.

    Parameters
    ----------
    problem : Problem
    params : Params
        The start: one network.
    steps : int, float or str
        Number of steps, from 0 to 10^1000000: an int, a whole float up to 2^63 (``1e16``), or a string
        (``"10^16"``, ``"10**16"``, ``"1e16"``), which is read exactly. Exactly one of `steps` and
        `log10_steps` is given. All other numbers of steps are taken in these forms, too.
    log10_steps : float
        Decimal logarithm of the number of steps, which is rounded to the nearest whole number.
    engine : {"auto", "direct", "leap"}
        "direct" takes every step. "auto" leaps over smooth stretches, with errors of the size of rounding. It
        takes single steps where the map is not smooth: in the early phase, around transitions, and at large
        step sizes. "leap" is like "auto", but refuses a run that needs more than 16,777,216 single steps in a
        row.
    sliding : {"average", "step"}
        Where the data push a neuron back and forth across its kink at a point, the activation pattern flips
        every few steps for ever, while the neuron slides along the kink. "average" leaps over that, and
        replaces the sawtooth by its mean as soon as this is accurate to second order in 1/t. "step" takes
        every step of a neuron that slides.
    samples_per_decade : float, optional
        Density of the recorded steps, 10^(k/samples_per_decade) rounded, up to 10,000,000 samples in all.
        Step 0 and the last step are always recorded. The default is 20, with at most 20,001 samples. Where
        there would be more (beyond 10^1000 steps), every second, fourth, eighth, … of them is recorded,
        evenly in ln t, and the trajectory's ``repr`` reports it.
    sample_steps : sequence of int, float or str, optional
        Steps to record instead, increasing; step 0 and the last step are added.
    checkpoint : str or path, optional
        File from which `resume` continues, to the bits of a run that was never interrupted. It is written at
        the start, every `checkpoint_every`, and at the end, and must not exist yet. The previous checkpoint
        is kept as ``FILE.previous``. If a later checkpoint cannot be written, there is a RuntimeWarning, the
        run continues, and the last good checkpoint stays.
    checkpoint_every : str, int or float
        Time between checkpoints, such as "60s", "10min" or "2h", or a number of steps. It is stored in the
        file, so that `resume` does the same.
    progress : bool or callable
        True shows a progress bar if the run takes over a second. A callable is called between chunks of the
        run with the steps taken and the steps asked for. By default there is a bar only if `optimizer` is a
        function.
    on_block : callable, optional
        Called between chunks of the run, every few tens of milliseconds, with the steps taken and the
        parameters there. If it returns something true, the run ends in order, as interrupted.
    max_direct : int, float or str
        Total number of steps, >= 1, that "auto" takes one by one before it gives up. The run then ends as
        ``Status.OBSTRUCTED``, with the samples so far and the reason. A leap counts as the number of steps
        that cost as much. So every run ends, at a step that does not depend on a clock. The default, 10^10,
        takes a few minutes. With another optimizer "auto" takes every step, so a longer horizon is refused at
        once, unless the run ends by itself within about a million steps. "direct" and "leap" have no such
        limit.
    optimizer : {"gd", "momentum", "normalized_gd", "adam"}, Optimizer, mapping or callable
        Full-batch gradient descent with constant step size, or another optimizer: its name, an instance of
        `Momentum`, `NormalizedGD` or `Adam`, a table with ``name`` and options, or a function. Every step of
        another optimizer is taken: "auto" does not leap, and "leap" is refused. With momentum or Adam the
        parameters keep moving after all neurons have become inactive, and a neuron may become active again.
        Such a run is at rest only once its velocity is 0.

        A function is called as ``optimizer(step, params, gradient)`` with the steps taken so far, the
        parameters there and the gradient of the objective there (both `Params`). It returns the parameters
        one step later, such as ``params - 0.01 * gradient``. Its steps are taken in Python, some 10,000 in a
        second, with a progress bar and without checkpoints. If it returns numbers that are not finite, the
        run has diverged.

    Returns
    -------
    Trajectory
        Its ``status`` tells whether all steps were taken, the parameters converged to a finite minimiser, the
        run came to rest (no neuron active on any point), it diverged, `max_direct` was used up, or it was
        interrupted. The first Ctrl-C or SIGTERM ends the run in order: a checkpoint is written, and the
        trajectory so far is returned. A second one stops at once: Ctrl-C by a KeyboardInterrupt, SIGTERM by
        ending the process.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    OSError
        If no checkpoint can be written at that place. This is checked before anything is run.
    CheckpointError
        If another process writes that checkpoint. The message has its process id.
    RuntimeError
        If the floating-point arithmetic of this thread is not IEEE binary64.

    Notes
    -----
    The bits of a run depend on problem, start and engine alone. They do not depend on its horizon, on where
    it is sampled, or on how it is watched. ``segments`` of the result lists which engine covered which steps,
    and ``error_estimate`` bounds the error that leaping has added. Steps are counted exactly up to 2^63, and
    by their logarithm beyond.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    spec = RunSpec(
        problem,
        params,
        RunOptions.of_arguments(
            steps,
            log10_steps,
            engine=engine,
            sliding=sliding,
            samples_per_decade=samples_per_decade,
            sample_steps=sample_steps,
            optimizer=optimizer,
            max_direct=max_direct,
        ),
    )
    place = None if checkpoint is None else place_of(checkpoint, "checkpoint")
    if place is not None:
        _refuse_existing(place)
    interval(checkpoint_every)
    watcher = Watcher(progress, on_block)
    if callable(optimizer):
        if place is not None:
            expected = "None with an optimizer of your own, of which no file can hold the state"
            raise ArgumentValueError("checkpoint", str(place), expected, "Leave it out.")
        return stepped(spec, optimizer, watcher)
    execution = Execution(spec)
    if place is None:
        return _carried_out(execution, None, watcher)
    with locked(place) as lock:
        _refuse_existing(place)
        return _carried_out(execution, Saver(place, lock, checkpoint_every, execution, {}), watcher)


@public
@suggesting(RUN_SYNONYMS)
def resume(
    path: str | os.PathLike[str],
    steps: int | float | str | None = None,
    *,
    log10_steps: float | None = None,
    checkpoint_every: str | int | float | None = None,
    progress: bool | Callable[[int, int], None] = False,
    on_block: Callable[[int, Params], object] | None = None,
    max_direct: int | float | str | None = None,
) -> Trajectory:
    """Continue a run from its checkpoint, and write further checkpoints there.

    Parameters
    ----------
    path : str or path
        The file that `run` was given as ``checkpoint``.
    steps, log10_steps : int, float or str
        As in `run`: a new horizon, counted from step 0; by default that of the run. It may be longer, even if
        the run has completed. It may be shorter, but not shorter than the steps already in the file. At the
        default density it must not be so short that samples would have to be denser than those in the file.
    checkpoint_every : str, int or float, optional
        As in `run`; by default that of the run, or of the last `resume`.
    progress, on_block
        As in `run`.
    max_direct : int, float or str, optional
        As in `run`; by default that of the run. A larger one lets an OBSTRUCTED run continue. It may also be
        smaller, but not smaller than the number already used up.

    Returns
    -------
    Trajectory
        The whole run, from step 0. Every array has the bits that a run to this horizon, with this
        `max_direct`, would have had without interruption.

    Raises
    ------
    CheckpointError
        If neither the file nor the previous one is readable, or if another process writes it.
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    OSError
        If no further checkpoint can be written there. This is checked before anything is run.

    Warns
    -----
    RuntimeWarning
        If the file is damaged and the run continues from the previous one.

    Notes
    -----
    The file of a run that has ended holds its state up to a second before the end, so that the run can be
    extended. The steps in between are run again. If the run was given ``sample_steps``, these stay as they
    are, except that the last step is the new one.
    """
    require_checkpoint(checked_path(path))
    place = place_of(path)
    if checkpoint_every is not None:
        interval(checkpoint_every)
    watcher = Watcher(progress, on_block)
    asked = None if steps is None and log10_steps is None else horizon(steps, log10_steps)
    limit = None if max_direct is None else direct_limit(max_direct)
    if not (place.exists() or previous(place).exists()):
        raise CheckpointError(f"{place}: there is no such file.")
    with locked(place) as lock:
        held = reopened(place, asked, limit)
        every = checkpoint_every
        if every is None:
            every = json.loads(held.values["checkpoint_every"])
        saver = Saver(place, lock, every, held.run, held.values, intact=held.intact)
        return _carried_out(held.run, saver, watcher)


def so_far(path: str | os.PathLike[str]) -> tuple[Trajectory, dict[str, Any]]:
    """Return the run in a checkpoint as if it had been interrupted there, and everything in the file.

    If the run has ended, this is its result.

    Raises
    ------
    CheckpointError
        If neither the file nor the previous one is readable.
    """
    held = reopened(checked_path(path))
    run, values = held.run, held.values
    if values["outcome"] not in (UNDER_WAY, Status.INTERRUPTED.value):
        while run.status is None:
            run.advance()
    run.interrupt()
    return run.trajectory(provenance_of(values["provenance"])), dict(values)


def require_checkpoint(path: Path) -> None:
    """Refuse what twonn has written for another purpose, unless there is a checkpoint as well."""
    if (is_trajectory(path) or is_store(path)) and not previous(path).exists():
        raise CheckpointError(f"{path}: {what_it_is(path)}")


def _refuse_existing(place: Path) -> None:
    if place.exists() or previous(place).exists():
        raise ArgumentValueError(
            "checkpoint",
            str(place),
            "the name of a file that does not exist",
            "Continue with twonn.resume, or remove the file and its .previous.",
        )


def _carried_out(run: Execution, saver: Saver | None, watcher: Watcher) -> Trajectory:
    """Drive a run until it ends, or is interrupted."""
    reachable = run.spec.options.reachable_steps
    if not run.spec.options.is_affordable:
        run.try_to_end()
    if saver is not None:
        saver.begin()
    if saver is None and watcher.is_silent:
        run.advance()  # most runs end at once, and need nobody to watch them
    if run.status is None:
        _watched(run, saver, watcher, reachable)
    if run.status is Status.OBSTRUCTED and run.spec.options.engine == "leap":
        if saver is not None:
            saver.withdraw()
        raise run.refusal()
    if saver is not None:
        saver.end()
    run.interrupt()
    return run.trajectory(provenance_since({} if saver is None else saver.opened))


def _watched(run: Execution, saver: Saver | None, watcher: Watcher, reachable: int) -> None:
    """Drive a run until it ends, or a signal or `on_block` ends it."""
    stopped = False
    with first_signal() as came, reporting(watcher.progress) as report:
        try:
            while run.status is None and not (stopped or came()):
                run.advance(None if saver is None else saver.steps_to_go())
                if saver is not None and run.status is None:
                    saver.look()
                report(run.steps_taken, reachable)
                stopped = watcher.ends(run.present)
        except BaseException:
            # A second signal is to stop it at once; but for that, what was computed is worth a checkpoint.
            if saver is not None and not came():
                saver.end()
            raise
