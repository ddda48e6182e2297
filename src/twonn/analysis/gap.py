"""From a late motion to the gap, as a series in 1/ln t or 1/√m to the second order (theory, section 2)."""

from __future__ import annotations

import numpy as np

from twonn.analysis.motion import Motion
from twonn.analysis.series import largest, over, root, times
from twonn.problem.gram import ROUNDING
from twonn.problem.problem import Problem
from twonn.values import Floats


def gap_series(problem: Problem, optimal: float, motion: Motion) -> tuple[Floats, Floats]:
    """Return limit, constant and next coefficient of the gap, shape (n, 3), and the limit of the boundary.

    The gap is the largest shortfall of any linear function that bounds where a point is misclassified:
    their sum, or the neuron that serves the point (eq. 9).
    """
    direction = (problem.x[1] - problem.x[0]) / (2 * optimal)
    output, gradient = motion.output_series(problem)
    joint = _shortfall(optimal, direction, output, problem.y.astype(np.float64), gradient)
    weights, z = motion.weight_series(problem), motion.z_series()
    kinks = [
        np.where(
            motion.serving[:, j, :, None],
            _shortfall(optimal, direction, z[:, j], np.ones(2), weights[:, j]),
            -np.inf,
        )
        for j in (0, 1)
    ]
    candidates = np.concatenate([joint, *kinks], axis=1)
    candidates = np.where(np.isnan(candidates[..., :1]), -np.inf, candidates)
    candidates[:, :2] = _without_rounding(joint, output, optimal)
    return largest(candidates, ROUNDING * optimal), _boundary(problem, output)


def _boundary(problem: Problem, output: Floats) -> Floats:
    """Return the limit of the boundary, shape (n,); nan for d > 1."""
    if problem.dimension != 1:
        return np.full(len(output), np.nan)
    # L = 0 at the midpoint plus half the difference of the points times this, from −1 to 1.
    swing = (output[:, 0, 0] + output[:, 1, 0]) / (output[:, 0, 0] - output[:, 1, 0])
    swing = np.where(np.abs(swing) <= ROUNDING, 0, swing)
    low, high = problem.x[:, 0]
    return np.asarray((low + high) / 2 + (high - low) / 2 * swing)


def _shortfall(optimal: float, direction: Floats, values: Floats, sign: Floats, gradient: Floats) -> Floats:
    """Return the series of optimal − distance to {sign_i L ≤ 0} at both points, as `gap_of` has the numbers.

    Parameters
    ----------
    optimal : float
    direction : ndarray, shape (d,)
        Unit vector from point 0 to 1.
    values : ndarray, shape (n, 2, 3)
        A linear function L at the points.
    sign : ndarray, shape (2,)
    gradient : ndarray, shape (n, d, 3)

    Returns
    -------
    ndarray, shape (n, 2, 3)
    """
    here, there = sign[:, None] * values, sign[:, None] * values[:, ::-1]
    # The part along the axis follows from L at the points, without the rounding of w.
    along_axis = np.einsum("nds,d->ns", gradient, direction)
    across = optimal * (gradient - direction[:, None] * along_axis[:, None, :])
    across_square = times(across, across).sum(axis=1)[:, None, :]
    along = (here - there) / 2
    span = root(times(along, along) + across_square)  # optimal ‖g‖
    bracket = np.where(along[..., :1] > 0, over(across_square, span + along), span - along)
    return optimal * over(bracket - (here + there) / 2, span)


def _without_rounding(joint: Floats, output: Floats, optimal: float) -> Floats:
    """Return the series with 0 for coefficients that are rounding of the terms they are made of."""
    size = np.abs(output).max(axis=1)[:, None, :] / np.abs(output[:, :, :1]).max(axis=1)[:, None, :]
    return np.where(np.abs(joint) <= ROUNDING * optimal * np.maximum(size, 1), 0, joint)
