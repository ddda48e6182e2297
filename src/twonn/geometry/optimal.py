"""The largest robustness margin that any classifier of the points has."""

from __future__ import annotations

import math

from twonn.problem.problem import Problem, checked_problem
from twonn.values import public


@public
def optimal_margin(problem: Problem) -> float:
    """Return the largest robustness margin that any classifier of these points has.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    float
        ‖x_0 − x_1‖/2, in the units of x; inf for equal labels, which nothing has to separate.
    """
    problem = checked_problem(problem)
    if problem.y[0] == problem.y[1]:
        return math.inf
    return math.dist(problem.x[0].tolist(), problem.x[1].tolist()) / 2
