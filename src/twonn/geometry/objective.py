"""The objective that gradient descent minimises, and its gradient."""

from __future__ import annotations

import math

import numpy as np

from twonn.arguments import OutOfRangeError, Verbatim
from twonn.geometry.distances import arrays_of, functional_margins
from twonn.problem.losses import LOSSES
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.values import Floats, public


@public
def loss(problem: Problem, params: Params) -> Floats:
    """Return the objective L, the mean or the sum of ℓ(y_i f(x_i)), as `problem` says.

    Parameters
    ----------
    problem : Problem
    params : Params
        One network, or many along a leading run axis.

    Returns
    -------
    float64 or ndarray, shape (runs,)
        It may under- or overflow, to 0 or inf.

    Raises
    ------
    TypeError, ValueError
        If problem and parameters cannot belong together.
    """
    _, v, z = arrays_of(problem, params)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(log_loss_of(problem, functional_margins(problem, v, z))))[()]


@public
def gradient(problem: Problem, params: Params) -> Params:
    """Return the gradient of `loss` with respect to the parameters, with ReLU'(0) = 0.

    Parameters
    ----------
    problem : Problem
    params : Params
        One network, or many along a leading run axis.

    Returns
    -------
    Params
        ∂L/∂w, ∂L/∂b and ∂L/∂v as ``w``, ``b`` and ``v``, of the same shapes. What the problem does not train
        has the gradient 0: b with ``bias=False``, v with ``train_output=False``.

    Raises
    ------
    TypeError, ValueError
        If problem and parameters cannot belong together, or if the gradient is too large for binary64.

    Notes
    -----
    One step of gradient descent is ``params - problem.step_size * twonn.gradient(problem, params)``.
    """
    _, v, z = arrays_of(problem, params)
    return gradient_of(problem, v, z)


def log_loss_of(problem: Problem, margins: Floats) -> Floats:
    """Return ln L, shape (...), at margins (..., 2)."""
    with np.errstate(invalid="ignore"):  # nan where a run has no sample
        total = np.logaddexp(*np.moveaxis(LOSSES[problem.loss].log_value(margins), -1, 0))
    return np.asarray(total - math.log(2) if problem.reduction == "mean" else total)


def gradient_of(problem: Problem, v: Floats, z: Floats) -> Params:
    """Return the gradient at output weights (..., 2) and pre-activations (..., 2, 2)."""
    margins = functional_margins(problem, v, z)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        weight = problem.point_step / problem.step_size  # 1, or 1/2 in a mean
        slope = -weight * LOSSES[problem.loss].slope(margins) * problem.y
        # With respect to z_ji; an infinite slope is none of an inactive neuron.
        at_unit = np.where(z > 0, slope[..., None, :] * v[..., :, None], 0.0)
        w = at_unit[..., 0, None] * problem.x[0] + at_unit[..., 1, None] * problem.x[1]
        b = at_unit.sum(axis=-1) if problem.bias else np.zeros(v.shape)
        trained = np.zeros(v.shape)
        if problem.train_output:
            trained = np.where(z > 0, slope[..., None, :] * z, 0.0).sum(axis=-1)
    if not (np.isfinite(w).all() and np.isfinite(b).all() and np.isfinite(trained).all()):
        raise OutOfRangeError(
            "params",
            Verbatim(f"margins down to {np.min(margins):.6g}"),
            "a network whose gradient binary64 can hold",
            "Start nearer to 0, or use a smaller step size.",
        )
    return Params.of_finite_state(w, b, trained)
