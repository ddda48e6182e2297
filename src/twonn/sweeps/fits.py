"""Laws of the gap, fitted to the runs of a sweep that keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twonn.analysis.fit_rate import RateFit, fit_samples
from twonn.analysis.samples import WORST_GAP_ERROR
from twonn.arguments import ArgumentTypeError, ArgumentValueError
from twonn.engine.watching import Progressing, reporting_runs
from twonn.optimizers import label
from twonn.problem.problem import Problem
from twonn.sweeps.axes import Indices
from twonn.sweeps.bands import require_gaps
from twonn.sweeps.memory import Memory
from twonn.sweeps.store import Store

__all__ = ["Fitted", "chosen_runs", "first_successes", "fitted_runs", "medians"]

#: Numbers of a fit that have an interval.
_WITH_INTERVAL = ("exponent", "power", "constant", "shift", "limit")


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was fitted to a run.

    Attributes
    ----------
    run : int
    problem, start : int
    optimizer : str
    fit : RateFit or None
    refused : str
        Why there is no fit; otherwise "".
    """

    run: int
    problem: int
    start: int
    optimizer: str
    fit: RateFit | None
    refused: str

    def row(self) -> dict[str, Any]:
        """Return it as a row of a table."""
        row: dict[str, Any] = {name: getattr(self, name) for name in ("run", "problem", "start", "optimizer")}
        row["law"] = "" if self.fit is None else self.fit.law
        for name in _WITH_INTERVAL:
            low, high = (np.nan, np.nan) if self.fit is None else self.fit.intervals[name]
            row[name] = np.nan if self.fit is None else getattr(self.fit, name)
            row |= {f"{name}_low": low, f"{name}_high": high}
        return {**row, "noise": np.nan if self.fit is None else self.fit.noise, "refused": self.refused}


def chosen_runs(columns: Memory | Store, runs: Sequence[int] | None) -> Indices:
    """Return the runs to fit: those asked for, or all that succeeded.

    Raises
    ------
    TypeError, ValueError
        If these are not runs of the sweep, or it does not keep their gaps.
    """
    require_gaps(columns)
    if runs is None:
        return np.flatnonzero(columns.read("success"))
    given, expected = np.asarray(runs), f"numbers of runs from 0 to {columns.runs - 1}"
    fix = "Write e.g. runs=[0, 1]."
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ArgumentTypeError("runs", runs, expected, fix)
    if given.size and not (given.min() >= 0 and given.max() < columns.runs):
        raise ArgumentValueError("runs", runs, expected, fix)
    return given.astype(np.int64)


def fitted_runs(
    columns: Memory | Store, runs: Indices, progress: bool | Progressing = False
) -> Iterator[Fitted]:
    """Fit the law of the gap of every run, one after another."""
    asked = columns.asked
    index = columns.axes.indices(runs)
    labels = [label(one) for one in asked.optimizers]
    with reporting_runs(progress, 0, len(runs)) as report:
        for done, run in enumerate(runs.tolist()):
            problem = int(index["problem"][done])
            fit, refused = _fit(columns, run, asked.problems[problem])
            optimizer = labels[index["optimizer"][done]]
            yield Fitted(run, problem, int(index["start"][done]), optimizer, fit, refused)
            report(done + 1, len(runs))


def _fit(columns: Memory | Store, run: int, problem: Problem) -> tuple[RateFit | None, str]:
    """Return the fit of a run, or why there is none."""
    log_t, gap = (columns.read(name, run, run + 1)[0] for name in ("log_t", "gap"))
    lost = np.zeros(gap.shape, bool)
    if "gap_error" in columns.readable:
        lost = ~(columns.read("gap_error", run, run + 1)[0] <= WORST_GAP_ERROR * gap)
    there = ~np.isnan(log_t)
    try:
        return fit_samples(log_t[there], gap[there], lost[there], problem.train_output), ""
    except ValueError as error:
        return None, str(error)


def first_successes(columns: Memory | Store, most: int) -> Indices:
    """Return the first runs of each problem and optimizer that succeeded, at most so many of each."""
    require_gaps(columns)
    groups = columns.axes.groups()
    firsts = [
        one.start + np.flatnonzero(columns.read("success", one.start, one.stop))[:most] for one in groups
    ]
    return np.concatenate(firsts)


def medians(fits: Iterable[Fitted], name: str) -> str:
    """Return the median of a number of these fits, and where nine of ten lie."""
    values = np.array([getattr(one.fit, name) for one in fits if one.fit is not None])
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{middle:.5g}" if len(values) == 1 else f"{middle:.5g} ({low:.4g} to {high:.4g})"
