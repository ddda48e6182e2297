"""Reads saved trajectories."""

from __future__ import annotations

from pathlib import Path

from twonn.results.archive import read_archive
from twonn.results.trajectory import Trajectory


def load_trajectory(path: Path) -> Trajectory:
    """Read a trajectory written by `Trajectory.save`.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a trajectory.
    """
    return Trajectory(**read_archive(path))
