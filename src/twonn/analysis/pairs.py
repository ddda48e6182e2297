"""Arithmetic on what belongs to pairs of neuron j and point i: arrays indexed [run, j, i]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn.problem.gram import ROUNDING, Gram
from twonn.problem.losses import LOSSES
from twonn.problem.problem import Problem
from twonn.values import Floats

Flags = NDArray[np.bool_]


def any_of(flags: Flags, *axes: int) -> Flags:
    """Return whether any flag is set along axes of length 2, for which `ndarray.any` is slow."""
    for axis in sorted(axes, reverse=True):
        first: Any = (*[slice(None)] * axis, 0)
        second: Any = (*[slice(None)] * axis, 1)
        flags = flags[first] | flags[second]
    return flags


def over_neurons(terms: Floats) -> Floats:
    """Return Σ_j."""
    return np.asarray(terms[:, 0] + terms[:, 1])


def over_points(gram: Floats, c: Floats) -> Floats:
    """Return Σ_k G_ik c_jk…, indexed [run, j, i, …]."""
    return np.stack([row[0] * c[:, :, 0] + row[1] * c[:, :, 1] for row in gram], axis=2)


def rounded_sum(terms: Floats) -> Floats:
    """Return the sum along the last axis, of length 2, with 0 for what is rounding of its terms."""
    total = terms[..., 0] + terms[..., 1]
    size = np.abs(terms[..., 0]) + np.abs(terms[..., 1])
    return np.where(np.abs(total) <= ROUNDING * size, 0, total)


def positive_diagonal(gram: Gram) -> Floats:
    """Return G_ii to divide by: 1 for a point that moves nothing."""
    diagonal = np.diag(gram.matrix)
    return np.where(diagonal > 0, diagonal, 1.0)


def loss_slopes(problem: Problem, v: Floats, z: Floats) -> Floats:
    """Return s_i, shape (n, 2)."""
    margins = problem.y * over_neurons(v[:, :, None] * np.maximum(z, 0))
    return LOSSES[problem.loss].slope(margins)


def sawtooth_heights(problem: Problem, gram: Gram, v: Floats, z: Floats) -> Floats:
    """Return by how much point i moves z_ji in one step, shape (n, 2, 2)."""
    push = problem.point_step * loss_slopes(problem, v, z) * np.diag(gram.matrix)
    return np.asarray(np.abs(v)[:, :, None] * push[:, None, :])
