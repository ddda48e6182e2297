"""Continues from a checkpoint: from the file that is readable, to the horizon that is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twonn.arguments import ArgumentValueError, Verbatim, one_of
from twonn.engine.checkpoint import read, spec_of
from twonn.engine.execution import Execution
from twonn.engine.fields import PER_SAMPLE
from twonn.engine.saver import OUTCOMES
from twonn.files import CheckpointError, previous
from twonn.problem.horizon import default_stride, written_steps
from twonn.problem.runspec import RunOptions, RunSpec


@dataclass(frozen=True)
class Reopened:
    """A run where its file has it.

    Attributes
    ----------
    run : Execution
    values : mapping
        All that is in the file.
    intact : bool
        Whether that is the file itself, and not the previous generation.
    """

    run: Execution
    values: Mapping[str, Any]
    intact: bool


def spec_in(place: Path) -> RunSpec:
    """Return which run is in a file.

    Raises
    ------
    CheckpointError
        If there is no readable file.
    """
    values, _ = read(place)
    try:
        return spec_of(values)
    except (KeyError, TypeError, ValueError) as error:  # the checksum is right: not twonn's
        raise CheckpointError(f"{place}: not what a checkpoint has to be ({error}).") from error


def reopened(place: Path, asked: int | None = None, limit: int | None = None) -> Reopened:
    """Return the run in a file, with another horizon and limit to direct steps where these are given.

    Raises
    ------
    CheckpointError
        If there is no readable file.
    ValueError
        If the run would have ended before it is where the file has it.

    Warns
    -----
    RuntimeWarning
        If the file is damaged, and this is the run in the previous one.
    """
    values, damage = read(place)
    try:
        one_of("outcome", values["outcome"], OUTCOMES)
        run = Execution(spec_of(values), values)
    except (KeyError, TypeError, ValueError) as error:  # the checksum is right: not twonn's
        raise CheckpointError(f"{place}: not what a checkpoint has to be ({error}).") from error
    options = run.spec.options
    changed = replace(
        options,
        horizon=options.horizon if asked is None else asked,
        max_direct=options.max_direct if limit is None else limit,
    )
    if (changed.horizon, changed.max_direct) != (options.horizon, options.max_direct):
        _check_ahead(changed, options, run.steps_taken, values, place)
        run = Execution(replace(run.spec, options=changed), _resampled(values, options, changed, place))
    if damage is not None:
        message = f"{damage} Using {previous(place)} instead, at step {written_steps(run.steps_taken)}."
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    return Reopened(run, values, damage is None)


def _check_ahead(
    changed: RunOptions, options: RunOptions, taken: int, values: Mapping[str, Any], place: Path
) -> None:
    """Refuse a new horizon or limit at which the run would have ended before it was where the file has it."""
    if changed.horizon != options.horizon and changed.horizon <= taken:
        expected = f"more than the {written_steps(taken)} steps in {place}"
        fix = "Start again with twonn.run to take fewer steps."
        raise ArgumentValueError("steps", Verbatim(written_steps(changed.horizon)), expected, fix)
    limited = options.engine == "auto" and options.optimizer is None
    spent = int(values["spent"]) if limited else 0
    if changed.max_direct < options.max_direct and changed.max_direct <= spent:
        expected = f"more than the {written_steps(spent)} that the run in {place} has used up"
        fix = "Give a larger one, or start again with twonn.run."
        raise ArgumentValueError("max_direct", Verbatim(written_steps(changed.max_direct)), expected, fix)


def _resampled(
    values: dict[str, Any], before: RunOptions, options: RunOptions, place: Path
) -> dict[str, Any]:
    """Return a file's values with those samples only that the run to another horizon has.

    The default density depends on the horizon. The samples of the longer one are among those of the shorter.
    """
    if not options.samples_by_default:
        return values
    held, wanted = (default_stride(one.reachable_steps) for one in (before, options))
    if wanted < held:
        expected = f"a horizon at which samples are no denser than those in {place}"
        fix = "Start again with twonn.run, or continue to a longer horizon."
        raise ArgumentValueError("steps", Verbatim(written_steps(options.horizon)), expected, fix)
    if wanted == held:  # always so where every step is taken
        return values
    steps, logs = options.schedule()
    kept = np.isin(values["steps"], steps) | ((values["steps"] < 0) & np.isin(values["logs"], logs))
    rows = {name: values[name][kept] for name in PER_SAMPLE}
    return {**values, **rows, "n_samples": int(kept.sum())}
