"""The results of a sweep: columns over all runs, and which runs are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import one_of, required
from twonn.files import CheckpointError
from twonn.problem.horizon import sample_schedule, thinned_spacing, written_steps
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.sweeps.memory import Memory
from twonn.sweeps.plan import length
from twonn.sweeps.store import Store
from twonn.sweeps.summary import STATUSES
from twonn.values import Shown, Value, frozen, number_of, public

if TYPE_CHECKING:
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
        The starts, with a run axis.
    horizon : int
        Steps asked for.
    runs : int
        Number of problems times number of starts. Run r has problem r // starts and start r % starts.
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
    all columns with coordinates, units and long names. Everything read from a store is compared with the
    digests of what was computed, and a difference is a CheckpointError. A result can be pickled. With a
    store, it is a reference to the store that is pickled and compared.
    """

    problems: tuple[Problem, ...]
    params: Params
    horizon: int
    part: tuple[int, int]
    store: Path | None
    interrupted: bool
    failures: Mapping[range, str]
    abandoned: str
    missing: NDArray[np.int64]
    _columns: Memory | Store

    @property
    def runs(self) -> int:
        return self._columns.runs

    @property
    def complete(self) -> bool:
        return len(self.missing) == 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = frozen(self._columns.read(one_of("name", name, self._columns.names)))
        return column

    def to_xarray(self) -> xarray.Dataset:
        """Return a Dataset with dimensions run, neuron, axis, point, transition, slide and sample.

        With a store, data is read and checked when it is used.

        Raises
        ------
        ImportError
            Without xarray.
        """
        required("xarray", "SweepResult.to_xarray", "sweep")
        from twonn.sweeps.backend import dataset_of

        return dataset_of(self._columns)

    @property
    def message(self) -> str:
        columns, (i, n) = self._columns, self.part
        asked = sum(length(columns, chunk) for chunk in range(i, columns.chunks, n))
        runs = number_of(asked, "run") + ("" if n == 1 else f" of part {i}/{n}")
        if self.complete:
            return f"All {runs} are done."
        how = "The sweep was interrupted: " if self.interrupted else ""
        done = f"{asked - len(self.missing):,} of {runs} are done"
        sentences = [f"{how}{done}; runs {_listed(self.missing)} are missing."]
        for error in dict.fromkeys(self.failures.values()):
            failed = [np.array(runs) for runs, why in self.failures.items() if why == error]
            sentences.append(f"Runs {_listed(np.concatenate(failed))} failed: {error}.")
        if self.abandoned:
            sentences.append(f"The rest was not run: {self.abandoned}.")
        if self.store is not None:
            sentences.append("The same sweep with the same store continues from there.")
        return " ".join(sentences)

    def _facts(self) -> dict[str, str]:
        return {
            "outcome": self.message,
            "runs": f"{number_of(len(self.problems), 'problem')} × {number_of(len(self.params), 'start')}",
            "steps": written_steps(self.horizon),
            **self._samples(),
            "status": self._outcomes(),
            "kept": "in memory" if self.store is None else f"in {self.store}",
        }

    def _samples(self) -> dict[str, str]:
        number, spacing = self._columns.samples, thinned_spacing(self.horizon)
        if not (spacing and number):
            return {}
        counted, late = sample_schedule(self.horizon, None, None)
        by_default = number == len(counted) + len(late)
        return {"samples": f"{number:,} of each run, {spacing}"} if by_default else {}

    def _outcomes(self) -> str:
        try:
            counts = np.bincount(self["status"], minlength=len(STATUSES))
        except CheckpointError as error:
            return str(error)
        return ", ".join(f"{count:,} {name}" for name, count in zip(STATUSES, counts, strict=True) if count)


def _listed(missing: NDArray[np.int64]) -> str:
    """Return ranges of runs: 0 to 99, 300 to 399."""
    breaks = np.flatnonzero(np.diff(missing) > 1) + 1
    stretches = np.split(missing, breaks)
    shown = [f"{stretch[0]} to {stretch[-1]}" for stretch in stretches[:_STRETCHES_SHOWN]]
    more = len(stretches) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more stretches" if more else "")
