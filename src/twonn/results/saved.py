"""Reads saved trajectories."""

from __future__ import annotations

import os

from twonn.arguments import checked_path
from twonn.results.archive import read_archive
from twonn.results.trajectory import Trajectory
from twonn.values import public


@public
def load(path: str | os.PathLike[str]) -> Trajectory:
    """Read a trajectory written by `Trajectory.save`.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a trajectory.
    """
    return Trajectory(**read_archive(checked_path(path)))
