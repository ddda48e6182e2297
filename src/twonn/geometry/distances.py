"""How far the points are from being misclassified: exact distances, margins, gap and boundary.

With p_j = y_i v_j and z_j = w_j·x + b_j, the set of x that are not classified as y_i, {y_i f ≤ 0}, is
bounded by few hyperplanes. So no quadratic program is needed, whatever the dimension:

- no p_j > 0: every point;
- p_j > 0 ≥ p_k: {z_j ≤ 0} ∪ {p_j z_j + p_k z_k ≤ 0}, because p_k max(0, z_k) = min(0, p_k z_k)
  turns p_j z_j + p_k max(0, z_k) ≤ 0 into "one of two half-spaces";
- both p_j > 0: {z_0 ≤ 0} ∩ {z_1 ≤ 0}, where f vanishes.

The functions ending in ``_of`` work on arrays with any leading axes ``...``: `w` (..., 2, d) and
`v` (..., 2) are the weights, `z` (..., 2, 2) the pre-activations, z[j, i] of neuron j at point i.
They take z as given because a run carries it more accurately than w·x + b, and they need no b.
Where an input is not finite, so that the network has diverged, they return nan. The kernel
evaluates them (_kernel/geometry.pxi), network by network, without the interpreter's lock.

The robustness margin is that of Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twonn import _core
from twonn.geometry.optimal import optimal_margin
from twonn.problem.params import Params, check_compatible
from twonn.problem.problem import Problem
from twonn.values import Floats, public


@public
def distances(problem: Problem, params: Params) -> Floats:
    """Return how far each point can be moved before the network misclassifies it.

    Parameters
    ----------
    problem : Problem
    params : Params
        One network, or many along a leading run axis.

    Returns
    -------
    ndarray, shape (2,) or (runs, 2)
        The smallest ‖δ‖₂ with y_i f(x_i + δ) ≤ 0, in the units of x; 0 if point i is
        misclassified, inf if no such δ exists. A region where f ≡ 0 counts as wrong.

    Raises
    ------
    TypeError, ValueError
        If problem and parameters cannot belong together.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    return distances_of(problem, *arrays_of(problem, params))


@public
def robust_margin(problem: Problem, params: Params) -> Floats:
    """Return the robustness margin, the smaller of the two `distances`.

    Parameters
    ----------
    problem : Problem
    params : Params
        One network, or many along a leading run axis.

    Returns
    -------
    float64 or ndarray, shape (runs,)
        In the units of x.

    Raises
    ------
    TypeError, ValueError
        If problem and parameters cannot belong together.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    both = distances(problem, params)
    return np.minimum(both[..., 0], both[..., 1])


@public
def gap(problem: Problem, params: Params) -> Floats:
    """Return the optimal margin minus the robustness margin, without cancellation.

    Parameters
    ----------
    problem : Problem
    params : Params
        One network, or many along a leading run axis.

    Returns
    -------
    float64 or ndarray, shape (runs,)
        In the units of x, between 0 and the optimal margin; nan for equal labels.

    Raises
    ------
    TypeError, ValueError
        If problem and parameters cannot belong together.
    """
    return gap_of(problem, *arrays_of(problem, params))[()]


def arrays_of(problem: Problem, params: Params) -> tuple[Floats, Floats, Floats]:
    """Return w, v and z with or without a run axis, or refuse arguments that do not fit."""
    check_compatible(problem, params)
    w = params.w.reshape(-1, 2, params.dimension)
    z: Floats = _core.preactivations(w, params.b.reshape(-1, 2), problem.x)
    return params.w, params.v, z.reshape(*params.v.shape, 2)


# --------------------------------------------------------------------------------------------------
# Arrays of networks


def serving(problem: Problem, v: Floats) -> NDArray[np.bool_]:
    """Return whether neuron j serves point i, y_i v_j > 0; v (..., 2) gives shape (..., 2, 2)."""
    return np.asarray(np.multiply(problem.y, v[..., :, None]) > 0)


def functional_margins(problem: Problem, v: Floats, z: Floats) -> Floats:
    """Return m_i = y_i f(x_i).

    Parameters
    ----------
    problem : Problem
    v : ndarray, shape (..., 2)
    z : ndarray, shape (..., 2, 2)

    Returns
    -------
    ndarray, shape (..., 2)
        In the units of f; nan where an input is not finite.
    """
    return _core.margins(_labels(problem), rows(v, 2), rows(z, 2, 2)).reshape(v.shape)


def distances_of(problem: Problem, w: Floats, v: Floats, z: Floats) -> Floats:
    """Return how far each point can be moved before the network misclassifies it.

    Parameters
    ----------
    problem : Problem
    w : ndarray, shape (..., 2, d)
    v : ndarray, shape (..., 2)
    z : ndarray, shape (..., 2, 2)

    Returns
    -------
    ndarray, shape (..., 2)
        As `distances`; nan where an input is not finite.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095, define the margin; the closed form is
    derived at the head of this module.
    """
    return _core.distances(_labels(problem), *networks(problem, w, v, z)).reshape(v.shape)


def gap_of(problem: Problem, w: Floats, v: Floats, z: Floats) -> Floats:
    """Return the optimal margin minus the robustness margin, without cancellation.

    With z correct to working precision, so is the gap, down to gaps far below the rounding error of
    the margin: each distance is compared with the optimal margin before it is rounded.

    Parameters
    ----------
    problem : Problem
    w : ndarray, shape (..., 2, d)
    v : ndarray, shape (..., 2)
    z : ndarray, shape (..., 2, 2)

    Returns
    -------
    ndarray, shape (...)
        As `gap`; nan where an input is not finite, and everywhere for equal labels.
    """
    separation, shape = _separation(problem), v.shape[:-1]
    if separation is None:
        return np.full(shape, np.nan)
    labels, optimal, direction = separation
    w, v, z = networks(problem, w, v, z)
    return _core.gaps(labels, optimal, direction, w, v, z).reshape(shape)


def gap_error_of(problem: Problem, w: Floats, v: Floats, z: Floats, error: float | Floats) -> Floats:
    """Return how wrong the gap may be, to first order in the errors of a network.

    Where a linear function L with gradient g decides, the gap is |L(midpoint)|/‖g‖ plus, off the line, a
    term quadratic in the part of g across x_1 − x_0; their errors are those of L and of g.

    Parameters
    ----------
    problem : Problem
    w : ndarray, shape (..., 2, d)
    v : ndarray, shape (..., 2)
    z : ndarray, shape (..., 2, 2)
    error : float or ndarray, shape (...)
        Bound on the error of all parameters together, in the Euclidean norm; z is taken to be rounded once.

    Returns
    -------
    ndarray, shape (...)
        In the units of x; nan where an input is not finite, and everywhere for equal labels.
    """
    separation, shape = _separation(problem), v.shape[:-1]
    if separation is None:
        return np.full(shape, np.nan)
    labels, optimal, direction = separation
    reach = math.sqrt(max(float(point @ point) for point in problem.x) + problem.bias)
    errors = rows(np.broadcast_to(error, shape))
    w, v, z = networks(problem, w, v, z)
    result = _core.gap_errors(labels, optimal, direction, w, v, z, reach, problem.train_output, errors)
    return result.reshape(shape)


# --------------------------------------------------------------------------------------------------
# As the kernel takes them


def networks(problem: Problem, w: Floats, v: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the numbers of networks one after the other: w (n, 2, d), v (n, 2), z (n, 2, 2)."""
    return rows(w, 2, problem.dimension), rows(v, 2), rows(z, 2, 2)


def rows(array: Floats, *shape: int) -> Floats:
    """Return an array in C order whose last axes have this shape, with one axis before them."""
    return np.ascontiguousarray(array, dtype=np.float64).reshape(-1, *shape)


def _labels(problem: Problem) -> Floats:
    return problem.y.astype(np.float64)


def _separation(problem: Problem) -> tuple[Floats, float, Floats] | None:
    """Return labels, optimal margin D/2 and direction (x_1 − x_0)/D; None if nothing has to be separated."""
    optimal = optimal_margin(problem)
    if math.isinf(optimal):
        return None
    return _labels(problem), optimal, (problem.x[1] - problem.x[0]) / (2 * optimal)
