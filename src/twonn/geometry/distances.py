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
Where an input is not finite, so that the network has diverged, they return nan.

The robustness margin is that of Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twonn import _core
from twonn.arithmetic import (
    combined,
    combined_middle,
    finite,
    finite_network,
    inner,
    norm,
    within_range,
)
from twonn.geometry.optimal import RANK_TOLERANCE, optimal_margin
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
    return np.asarray(distances(problem, params).min(axis=-1))[()]


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


@np.errstate(all="ignore")
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
    margins = problem.y * combined(v, np.maximum(z, 0))
    return np.where(finite(v, 1)[..., None] & finite(z, 2)[..., None], margins, np.nan)


@np.errstate(all="ignore")
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
    w, v, z = within_range(w, v, z)
    serves = serving(problem, v)
    servants = serves.sum(axis=-2)
    kink = _to_half_space(z, norm(w)[..., None])
    own = np.where(serves, kink, 0).max(axis=-2)
    joint = _to_half_space(problem.y * combined(v, z), norm(combined(v, w))[..., None])
    result = np.select([servants == 0, servants == 1], [0.0, np.minimum(own, joint)], _to_dead_region(w, z))
    return np.where(finite_network(w, v, z)[..., None], result, np.nan)


@np.errstate(all="ignore")
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
    optimal = optimal_margin(problem)
    finite = finite_network(w, v, z)
    if math.isinf(optimal):
        return np.full(finite.shape, np.nan)
    direction = (problem.x[1] - problem.x[0]) / (2 * optimal)
    w, v, z = within_range(w, v, z)
    serves = serving(problem, v)
    servants = serves.sum(axis=-2)
    kink = _shortfall(optimal, direction, w, z, z[..., ::-1], z.sum(axis=-1, keepdims=True) / 2)
    own = np.where(serves, kink, -np.inf).max(axis=-2)
    output = combined(v, z)
    joint = _shortfall(
        optimal,
        direction,
        combined(v, w),
        problem.y * output,
        problem.y * output[..., ::-1],
        problem.y * combined_middle(v, z)[..., None],
    )
    # Two neurons serving one point leave the other one unserved: misclassified, distance 0.
    by_point = np.where(servants == 1, np.maximum(own, joint), optimal)
    # 0 <= gap, as f has the wrong sign (or none) for one of the points at their midpoint, and
    # gap <= optimal, as distances are >= 0: only rounding can leave these bounds.
    return np.where(finite, np.clip(by_point.max(axis=-1), 0, optimal), np.nan)


@np.errstate(all="ignore")
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
    optimal = optimal_margin(problem)
    if math.isinf(optimal):
        return np.full(v.shape[:-1], np.nan)
    direction = (problem.x[1] - problem.x[0]) / (2 * optimal)
    gap = gap_of(problem, w, v, z)
    reach = math.sqrt(max(float(point @ point) for point in problem.x) + problem.bias)
    rounding = float(np.finfo(np.float64).eps) * np.abs(z).max(axis=-1)
    errors = np.broadcast_to(error, v.shape[:-1])[..., None]
    v_error = errors if problem.train_output else np.zeros_like(errors)

    def relative(gradient: Floats, value_error: Floats, gradient_error: Floats) -> Floats:
        steepness = norm(gradient)
        tilt = norm(_across(gradient, direction)) / steepness
        return (value_error + (gap + optimal * tilt) * gradient_error) / steepness

    size = np.abs(v)
    moved = size * (errors * reach + rounding) + np.abs(z).max(axis=-1) * v_error
    turned = size * errors + norm(w) * v_error
    joint = relative(combined(v, w), moved.sum(axis=-1), turned.sum(axis=-1))
    serves = np.asarray(serving(problem, v).any(axis=-1))
    kinks = [
        np.where(
            serves[..., j],
            relative(w[..., j, :], errors[..., 0] * reach + rounding[..., j], errors[..., 0]),
            0,
        )
        for j in (0, 1)
    ]
    return np.maximum(joint, np.maximum(*kinks))


# --------------------------------------------------------------------------------------------------
# Half-spaces


def _to_half_space(value: Floats, steepness: Floats) -> Floats:
    """Return the distance to {L ≤ 0} from a point with L = `value`, for a gradient of this norm."""
    return np.where(value <= 0, 0.0, value / steepness)


def _to_dead_region(w: Floats, z: Floats) -> Floats:
    """Return the distance of each point to {z_0 ≤ 0} ∩ {z_1 ≤ 0}, shape (..., 2).

    It is that to the farther half-space if the projection on it lies in the nearer one, else that
    to the edge. With unit normals u_j and signed distances r_j = z_j/‖w_j‖ the latter is
    ‖δ‖² = (r_0 + r_1)²/‖u_0 + u_1‖² + (r_0 − r_1)²/‖u_0 − u_1‖², since u_0 ± u_1 are orthogonal;
    unlike the inverse Gram matrix this does not cancel for nearly parallel rows.
    """
    length = norm(w)[..., None]
    # Without weights the half-space is everything or nothing.
    signed = np.where(length > 0, z / length, np.where(z > 0, np.inf, 0.0))
    near, far = signed.min(axis=-2), signed.max(axis=-2)
    unit = np.where(length > 0, w / length, 0.0)
    together = norm(unit[..., 0, :] + unit[..., 1, :])[..., None]
    apart = norm(unit[..., 0, :] - unit[..., 1, :])[..., None]
    # near − far·cos, what the projection on the far one has left, written so as not to cancel when
    # cos is close to 1 or −1.
    left = np.where(together >= apart, near - far + far * apart**2 / 2, near + far - far * together**2 / 2)
    antiparallel = together <= RANK_TOLERANCE
    projected = (far <= 0) | (left <= np.where(antiparallel, RANK_TOLERANCE * far, 0.0))
    edge = np.hypot((near + far) / together, (far - near) / apart)
    edge = np.where(antiparallel, np.inf, edge)
    return np.where(projected, np.maximum(far, 0.0), edge)


def _shortfall(
    optimal: float,
    direction: Floats,
    gradient: Floats,
    here: Floats,
    there: Floats,
    middle: Floats,
) -> Floats:
    """Return the optimal margin minus the distance of each point to {L ≤ 0}, for a linear L.

    With D = ‖x_0 − x_1‖ and q half the difference of L between the two points,
    D/2 − L/‖g‖ = ([D‖g‖/2 − q] − L(midpoint))/‖g‖. For q > 0 the bracket cancels as it stands; it
    equals (D/2)²‖g_⊥‖²/(D‖g‖/2 + q), where g_⊥ is g without its component along x_1 − x_0, 0 on the
    line.

    Parameters
    ----------
    optimal : float
        D/2.
    direction : ndarray, shape (d,)
        (x_1 − x_0)/D.
    gradient : ndarray, shape (..., d)
        g, or −g, of which only the norms matter.
    here, there, middle : ndarray, shape (..., 2), middle also (..., 1)
        L at the point, at the other one, and at their midpoint.

    Returns
    -------
    ndarray, shape (..., 2)
        -inf where {L ≤ 0} is empty.
    """
    steepness = norm(gradient)[..., None]
    across = optimal * norm(_across(gradient, direction))[..., None]
    along = (here - there) / 2
    span = optimal * steepness
    bracket = np.where(along > 0, across * (across / (span + along)), span - along)
    shortfall = np.where(steepness > 0, (bracket - middle) / steepness, -np.inf)
    return np.where(here <= 0, optimal, shortfall)


def _across(gradient: Floats, direction: Floats) -> Floats:
    """Return `gradient` without its component along the unit vector `direction`."""
    # One pass is enough: rounding leaves about EPS‖g‖ along `direction`, but the norm adds that in
    # quadrature, where it is nothing beside the same error across, which no second pass removes.
    return gradient - inner(gradient, direction)[..., None] * direction
