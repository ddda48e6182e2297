"""The decision boundary of a network on the line."""

from __future__ import annotations

import numpy as np

from twonn import _core
from twonn.arguments import ArgumentValueError, Verbatim
from twonn.geometry.distances import arrays_of, networks
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.values import Floats, public


@public
def boundary(problem: Problem, params: Params) -> Floats:
    """Return where f changes sign between the two points; for points on the line only.

    Parameters
    ----------
    problem : Problem
        Of dimension 1.
    params : Params
        One network, or many along a leading run axis.

    Returns
    -------
    float64 or ndarray, shape (runs,)
        A position on the line, in the units of x. nan if f does not change sign between the
        points, or if a zone with f ≡ 0 separates the signs; then `distances` lead to its edges.

    Raises
    ------
    TypeError, ValueError
        If problem and parameters cannot belong together, or if the dimension is not 1.
    """
    arrays = arrays_of(problem, params)
    if problem.dimension != 1:
        raise ArgumentValueError(
            "problem",
            Verbatim(f"dimension {problem.dimension}"),
            "dimension 1, where the decision boundary is a point",
            "Use distances or gap, which are defined in every dimension.",
        )
    return boundary_of(problem, *arrays)[()]


def boundary_of(problem: Problem, w: Floats, v: Floats, z: Floats) -> Floats:
    """Return where f changes sign between the two points; for points on the line only.

    There is at most one such place, whatever the labels: f needs output weights of opposite sign to
    change sign at all, and then {f > 0} and {f < 0} are both intervals, being intersections of two
    half-lines. Where they meet, both pre-activations are >= 0, hence L = v_0 z_0 + v_1 z_1 is zero.
    That zero of L is the boundary if it lies between the points and either both neurons are active
    there, or it is the kink of both and they open to opposite sides. Otherwise one sign is missing,
    or a zone with f ≡ 0 separates the two. A point with f = 0 is unclassified but no boundary: f
    has to take both signs strictly between the points.

    Parameters
    ----------
    problem : Problem
        Of dimension 1.
    w : ndarray, shape (..., 2, 1)
    v : ndarray, shape (..., 2)
    z : ndarray, shape (..., 2, 2)

    Returns
    -------
    ndarray, shape (...)
        As `boundary`; nan where an input is not finite.
    """
    low, high = np.sort(problem.x[:, 0]).tolist()
    return _core.boundaries(low, high, *networks(problem, w, v, z)).reshape(v.shape[:-1])
