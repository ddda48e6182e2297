"""The results of a sweep: columns over all runs, and which runs are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import one_of, required
from twonn.engine.watching import Progressing
from twonn.files import CheckpointError
from twonn.optimizers import Optimizer
from twonn.problem.horizon import sample_schedule, thinned_spacing, written_steps
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.sweeps.axes import PRODUCT, Axes, runs_of, stretches
from twonn.sweeps.bands import Band, bands_of
from twonn.sweeps.fits import Fitted, chosen_runs, fitted_runs
from twonn.sweeps.memory import Memory
from twonn.sweeps.outcomes import counted
from twonn.sweeps.store import Store
from twonn.sweeps.summary import STATUSES
from twonn.values import Shown, Value, derived, frozen, number_of, public

if TYPE_CHECKING:
    import pandas
    import xarray

#: How many ranges of missing runs a message names.
_STRETCHES_SHOWN = 8


@public
@dataclass(frozen=True, eq=False, repr=False)
class SweepResult(Shown, Value):
    """The results of a sweep. A value: read-only, and equal to another by content.

    Attributes
    ----------
    problems : tuple of Problem
    params : Params
        The starts, with a run axis. From a store that `twonn.load` has opened they are read when they are
        used, and nan where the first run from a start is not done.
    optimizers : tuple of (Optimizer or None)
        None for gradient descent.
    dimensions : tuple of str
        Those of "problem", "start" and "optimizer" that were given as sequences, or "run" if these are
        paired.
    horizon : int
        Steps asked for.
    runs : int
        How many there are: the product of the numbers of problems, optimizers and starts. They are numbered
        in this order, the starts fastest. With one optimizer, run r has problem r // starts and start
        r % starts. If they are paired, run r has number r of each.
    part : (int, int)
        (i, n): the sweep was asked for part i of n. (0, 1) is all of it.
    store : Path or None
        Where the results are, if not in memory.
    interrupted : bool
        Whether Ctrl-C ended the sweep before all runs were done.
    failures : mapping of range to str
        Runs that failed after all retries, with the last error.
    abandoned : str
        Why the remaining runs were not tried: no worker was left, or no room for results. Otherwise "".
    missing : ndarray of int64
        Runs of this part that are not done.
    complete : bool
        Whether no run is missing.
    message : str
        A summary in a sentence or two.

    Notes
    -----
    ``result["final_gap"]`` is one column, an array with the runs along its first axis. `to_xarray` returns
    all columns along `dimensions`, with coordinates, units and long names. Everything read from a store is
    compared with the digests of what was computed, and a difference is a CheckpointError. A result can be
    pickled. With a store, it is a reference to the store that is pickled and compared.
    """

    problems: tuple[Problem, ...]
    optimizers: tuple[Optimizer | None, ...]
    horizon: int
    part: tuple[int, int]
    store: Path | None
    interrupted: bool
    failures: Mapping[range, str]
    abandoned: str
    missing: NDArray[np.int64]
    _axes: Axes
    _columns: Memory | Store
    _starts: Params | None = field(default=None, compare=False)  # the spec in the columns tells of them

    @derived
    def params(self) -> Params:
        if self._starts is not None:
            return self._starts
        w, b, v = (self._columns.read(f"start_{name}", 0, self._axes.starts) for name in "wbv")
        return Params.of_finite_state(w, b, v)

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self._axes.dimensions

    @property
    def runs(self) -> int:
        return self._columns.runs

    @property
    def complete(self) -> bool:
        return len(self.missing) == 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = frozen(self._columns.read(one_of("name", name, self._columns.readable)))
        return column

    def to_xarray(self) -> xarray.Dataset:
        """Return a Dataset of all columns.

        Returns
        -------
        xarray.Dataset
            Its dimensions are those of `dimensions`, then neuron, axis, point, transition, slide and sample.
            Along them are the coordinates problem, start, optimizer (names) and step_size; run has the number
            of each run. What was not given as a sequence is a coordinate without a dimension. With a store,
            data is read and checked when it is used.

        Raises
        ------
        ImportError
            Without xarray.

        Examples
        --------
        >>> data = result.to_xarray()  # doctest: +SKIP
        >>> data.success.mean("start")  # doctest: +SKIP
        >>> data.final_gap.sel(optimizer="adam")  # doctest: +SKIP
        """
        required("xarray", "SweepResult.to_xarray", "sweep")
        from twonn.sweeps.backend import dataset_of

        return dataset_of(self._columns, self._axes)

    def fit_rates(
        self, runs: Sequence[int] | None = None, *, progress: bool | Progressing = False
    ) -> pandas.DataFrame:
        """Fit the law of the gap of every run, as `twonn.fit_rate` does for one.

        Parameters
        ----------
        runs : sequence of int, optional
            Numbers of runs; by default all that succeeded.
        progress : bool or callable
            True shows a progress bar: a fit takes about a tenth of a second. A callable is called with the
            number of fits done and of all.

        Returns
        -------
        pandas.DataFrame
            A row for each run: run, problem, start, optimizer; law; exponent, power, constant, shift and
            limit with the ends of their intervals (exponent_low, exponent_high, …); noise; and refused, which
            is "" or says why the run cannot be fitted. Samples whose error is more than a thousandth of the
            gap are left out if the sweep keeps gap_error.

        Raises
        ------
        TypeError, ValueError
            If the sweep does not keep the gap (trajectories=["gap"]), or has no such runs.
        ImportError
            Without pandas.
        """
        package = required("pandas", "SweepResult.fit_rates")
        chosen = chosen_runs(self._columns, runs)
        rows = [one.row() for one in fitted_runs(self._columns, chosen, progress)]
        columns = list(Fitted(0, 0, 0, "", None, "").row())
        frame: pandas.DataFrame = package.DataFrame(rows, columns=columns)
        return frame

    @property
    def message(self) -> str:
        columns, (i, n) = self._columns, self.part
        asked = len(runs_of(columns, range(i, columns.chunks, n)))
        runs = number_of(asked, "run") + ("" if n == 1 else f" of part {i}/{n}")
        if self.complete:
            return f"The {runs.removeprefix('1 ')} is done." if asked == 1 else f"All {runs} are done."
        how = "The sweep was interrupted: " if self.interrupted else ""
        done = f"{asked - len(self.missing):,} of {runs} are done"
        sentences = [f"{how}{done}; runs {_listed(self.missing)} are missing."]
        for error in dict.fromkeys(self.failures.values()):
            failed = [np.array(runs) for runs, why in self.failures.items() if why == error]
            sentences.append(f"Runs {_listed(np.concatenate(failed))} failed: {error}.")
        if self.abandoned:
            sentences.append(f"The rest was not run: {self.abandoned}.")
        if isinstance(columns, Store) and columns.is_present:
            sentences.append("The same sweep with the same store continues from there.")
        return " ".join(sentences)

    def _facts(self) -> dict[str, str]:
        return {
            "outcome": self.message,
            "runs": self._counted(),
            "steps": written_steps(self.horizon),
            **self._samples(),
            **outcomes_of(self._columns),
            "kept": "in memory" if self.store is None else f"in {self.store}",
        }

    def _counted(self) -> str:
        """Say what the runs are the product of, or pairs of."""
        axes = self._axes
        lengths = dict(zip(PRODUCT, (axes.problems, axes.starts, axes.optimizers), strict=True))
        counts = [number_of(n, name) for name, n in lengths.items() if name != "optimizer" or n > 1]
        if not axes.is_paired:
            return " × ".join(counts)
        return f"{number_of(axes.runs, 'run')}: {', '.join(counts)}, paired"

    def _samples(self) -> dict[str, str]:
        number, spacing = self._columns.samples, thinned_spacing(self.horizon)
        if not (spacing and number):
            return {}
        counted, late = sample_schedule(self.horizon, None, None)
        by_default = number == len(counted) + len(late)
        return {"samples": f"{number:,} of each run, {spacing}"} if by_default else {}


def gap_bands_of(result: SweepResult) -> Iterator[Band]:
    """Give the median gap of the successful runs and its quantiles, by problem and optimizer.

    Raises
    ------
    ValueError
        If the sweep does not keep the gap.
    """
    return bands_of(result._columns)


def outcomes_of(columns: Memory | Store) -> dict[str, str]:
    """Say how many runs succeeded, why the others did not, and how they ended; or what is damaged of that."""
    try:
        status = columns.read("status")
        failure = columns.read("failure") if "failure" in columns.readable else None
        said = {}
        if "success" in columns.readable:
            said["success"] = counted(columns.read("success"), failure, status > 0)
    except CheckpointError as error:
        return {"status": str(error)}
    counts = zip(STATUSES, np.bincount(status, minlength=len(STATUSES)), strict=True)
    return {**said, "status": ", ".join(f"{count:,} {name}" for name, count in counts if count)}


def _listed(missing: NDArray[np.int64]) -> str:
    """Return ranges of runs: 0 to 99, 300 to 399."""
    found = stretches(missing)
    shown = [f"{one[0]} to {one[-1]}" for one in found[:_STRETCHES_SHOWN]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more stretches" if more else "")
