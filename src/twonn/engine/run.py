"""Runs a problem: drives the kernel chunk by chunk, with progress, checkpoints and signals in between."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twonn import _core
from twonn.arguments import ArgumentTypeError, ArgumentValueError, checked_path, flag
from twonn.config import provenance_of
from twonn.engine.checkpoint import interval
from twonn.engine.fields import CHECKPOINT_EVERY
from twonn.engine.kernel import (
    prepared,
    present,
    refused,
    steps_taken,
    trajectory_of,
)
from twonn.engine.pace import Pace, try_to_end
from twonn.engine.reopen import reopened
from twonn.engine.saver import UNDER_WAY, Saver, provenance_since
from twonn.engine.watching import first_signal, reporting
from twonn.files import CheckpointError, check_place, locked, previous
from twonn.optimizers import Optimizer
from twonn.problem.horizon import direct_limit, horizon, written_steps
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.problem.runspec import MAX_DIRECT, RunOptions, RunSpec
from twonn.results.records import Status
from twonn.results.trajectory import Trajectory
from twonn.values import public


@public
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
    place = None if checkpoint is None else _free_place(checkpoint)
    interval(checkpoint_every)
    _check_watchers(progress, on_block)
    kernel = prepared(spec)
    if place is None:
        return _carried_out(spec, kernel, None, progress, on_block)
    with locked(place) as lock:
        _refuse_existing(place)
        saver = Saver(place, lock, checkpoint_every, spec, kernel, {})
        return _carried_out(spec, kernel, saver, progress, on_block)


@public
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
        held = reopened(place, asked, limit)
        if held.damage is not None:
            message = (
                f"{held.damage} Going on from {previous(place)}, "
                f"at step {written_steps(steps_taken(held.kernel))}."
            )
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        every = checkpoint_every
        if every is None:
            every = json.loads(held.values["checkpoint_every"])
        saver = Saver(place, lock, every, held.spec, held.kernel, held.values, intact=held.damage is None)
        return _carried_out(held.spec, held.kernel, saver, progress, on_block)


def so_far(path: str | os.PathLike[str]) -> tuple[Trajectory, dict[str, Any]]:
    """Return the run in a checkpoint as if it was interrupted there, and all that is in the file.

    Where the run has ended, this is its result.

    Raises
    ------
    CheckpointError
        If neither the file nor the one kept before it is readable.
    """
    place = checked_path(path)
    held = reopened(place)
    kernel, values = held.kernel, held.values
    if held.damage is not None:
        warnings.warn(f"{held.damage} This is {previous(place)}.", RuntimeWarning, stacklevel=2)
    if values["outcome"] not in (UNDER_WAY, Status.INTERRUPTED.value):
        pace = Pace(held.spec)
        while kernel.status == _core.RUNNING:
            pace.advance(kernel)
    if kernel.status == _core.RUNNING:
        kernel.interrupt()
    return trajectory_of(held.spec, kernel, provenance_of(values["provenance"])), dict(values)


# --------------------------------------------------------------------------------------------------
# Arguments


def _check_watchers(progress: object, on_block: object) -> None:
    if not callable(progress):
        flag("progress", progress)
    if on_block is not None and not callable(on_block):
        expected = "a function of the steps taken and the parameters, or None"
        raise ArgumentTypeError("on_block", on_block, expected, "Leave it out to watch nothing.")


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
        raise ArgumentValueError(
            "checkpoint",
            str(place),
            "the name of a file that does not exist",
            "Go on with twonn.resume, or remove it and what is kept beside it as .previous.",
        )


def _carried_out(
    spec: RunSpec,
    kernel: _core.Run,
    saver: Saver | None,
    progress: bool | Callable[[int, int], None],
    on_block: Callable[[int, Params], object] | None,
) -> Trajectory:
    """Drive a kernel until the run ends, or is interrupted."""
    reachable = spec.options.reachable_steps
    pace = Pace(spec)
    if spec.options.horizon > reachable:
        try_to_end(kernel, spec.options.horizon, pace)
    if saver is not None:
        saver.begin()
    stopped = False
    with first_signal() as came, reporting(progress) as report:
        try:
            while kernel.status == _core.RUNNING and not (stopped or came()):
                pace.advance(kernel, None if saver is None else saver.steps_to_go(steps_taken(kernel)))
                if saver is not None and kernel.status == _core.RUNNING:
                    saver.look(kernel)
                report(steps_taken(kernel), reachable)
                stopped = on_block is not None and bool(on_block(*present(spec, kernel)))
        except BaseException:
            # A second signal is to stop it at once; but for that, what was computed is worth a checkpoint.
            if saver is not None and not came():
                saver.end(kernel)
            raise
    if kernel.status == _core.OBSTRUCTED and spec.options.engine == "leap":
        if saver is not None:
            saver.withdraw()
        raise refused(kernel, spec)
    if saver is not None:
        saver.end(kernel)
    if kernel.status == _core.RUNNING:
        kernel.interrupt()
    return trajectory_of(spec, kernel, provenance_since({} if saver is None else saver.opened))
