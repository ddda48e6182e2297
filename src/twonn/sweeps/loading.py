"""Opens what was saved: trajectories, and the stores of sweeps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from twonn.arguments import checked_path
from twonn.results.saved import load_trajectory
from twonn.results.trajectory import Trajectory
from twonn.values import public

if TYPE_CHECKING:
    from twonn.sweeps.result import SweepResult


@public
def load(path: str | os.PathLike[str]) -> Trajectory | SweepResult:
    """Open a trajectory written by `Trajectory.save`, or the store of a sweep.

    Parameters
    ----------
    path : str or os.PathLike
        The file of a trajectory, or the folder of a store, of any format so far.

    Returns
    -------
    Trajectory or SweepResult
        Of a store only the metadata is read at once, and the data when it is used. It may still be filled:
        what is missing is what was missing when it was opened. Stores of earlier formats do not tell one
        problem from a sequence of one; they have the dimensions start and, with several problems, problem.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a trajectory, or the folder is not a store.
    ImportError
        For a store, if zarr is not installed.
    """
    path = checked_path(path)
    return open_result(path) if path.is_dir() else load_trajectory(path)


def open_result(path: Path) -> SweepResult:
    """Return the results in a store.

    Raises
    ------
    CheckpointError
        If it is none, or its metadata is damaged.
    """
    from twonn.sweeps.axes import runs_of  # a trajectory is opened without all that sweeps need
    from twonn.sweeps.result import SweepResult
    from twonn.sweeps.store import Store

    store = Store(path)
    asked, complete = store.asked, store.complete()
    return SweepResult(
        problems=asked.problems,
        optimizers=asked.optimizers,
        horizon=asked.horizon,
        part=(0, 1),
        store=path,
        interrupted=False,
        failures={},
        abandoned="",
        missing=runs_of(store, (chunk for chunk in range(store.chunks) if chunk not in complete)),
        _axes=asked.axes,
        _columns=store,
    )
