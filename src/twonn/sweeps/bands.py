"""The gap of the successful runs of a sweep: its median and its quantiles at every sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twonn.arguments import ArgumentValueError, Verbatim
from twonn.optimizers import label
from twonn.sweeps.memory import Memory
from twonn.sweeps.store import Store
from twonn.values import Floats

#: Between these quantiles a band lies.
LEVELS = (0.05, 0.5, 0.95)


@dataclass(frozen=True, eq=False)
class Band:
    """The gap of successful runs of one problem and one optimizer.

    Attributes
    ----------
    problem : int or None
        None where there is but one, or several are paired.
    optimizer : str
        "" where there is but one, or several are paired.
    successes, runs : int
        How many runs succeeded, and how many there are.
    log_t : ndarray, shape (n,)
        Natural logarithms of the samples after step 1.
    quantiles : ndarray, shape (3, n)
        Of the gap, at `LEVELS`.
    """

    problem: int | None
    optimizer: str
    successes: int
    runs: int
    log_t: Floats
    quantiles: Floats


def require_gaps(columns: Memory | Store) -> None:
    """Refuse a sweep that does not keep the gap along its runs."""
    if "gap" not in columns.readable:
        raise ArgumentValueError(
            "trajectories",
            Verbatim("a sweep without the gap"),
            "a sweep that keeps the gap along its runs",
            'Run it again, into another store, with trajectories=["gap"] (in a spec file under [sweep]).',
        )


def bands_of(columns: Memory | Store) -> Iterator[Band]:
    """Give the bands of a sweep, problem by problem and optimizer by optimizer.

    Raises
    ------
    ValueError
        If the sweep does not keep the gap.
    """
    require_gaps(columns)
    labels = [label(one) for one in columns.asked.optimizers]
    for runs in columns.axes.groups():
        index = {name: int(values[0]) for name, values in columns.axes.indices(np.array(runs[:1])).items()}
        several_problems = columns.axes.problems > 1 and not columns.axes.is_paired
        several_optimizers = columns.axes.optimizers > 1 and not columns.axes.is_paired
        done = columns.read("status", runs.start, runs.stop) > 0
        success = columns.read("success", runs.start, runs.stop) & done
        log_t, gap = (columns.read(name, runs.start, runs.stop)[success] for name in ("log_t", "gap"))
        whole = np.isfinite(log_t[:, -1])  # the others have samples at steps of their own, their last ones
        yield Band(
            index["problem"] if several_problems else None,
            labels[index["optimizer"]] if several_optimizers else "",
            int(success.sum()),
            int(done.sum()),
            *_quantiles(log_t[whole], gap[whole]),
        )


def _quantiles(log_t: Floats, gap: Floats) -> tuple[Floats, Floats]:
    """Return the samples after step 1 and the quantiles of the gap there, of runs with the same samples."""
    if not len(gap):
        return np.empty(0), np.empty((len(LEVELS), 0))
    shown = (log_t[0] > 0) & np.isfinite(gap).all(axis=0)
    return log_t[0, shown], np.asarray(np.quantile(gap[:, shown], LEVELS, axis=0))
