"""The network at one step of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twonn.geometry.boundary import boundary_of
from twonn.geometry.distances import distances_of, functional_margins, gap_of
from twonn.problem.horizon import written_steps
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.results.states import require_line
from twonn.values import Floats, Shown, Value, derived


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Shown, Value):
    """The network at one step of a run, with the bits that a trajectory has in its sample of that step.

    It is a value: read-only, equal to another by content, and the same after pickling.

    Attributes
    ----------
    problem : Problem
    t : int
        The step.
    params : Params
    preactivations : ndarray, shape (2, 2)
        z_ji, indexed [neuron j, point i].
    pattern : int
        Activation pattern; bit 2j + i is set where neuron j is active on point i.
    margins, distances : ndarray, shape (2,)
        As in `Trajectory`.
    robust_margin, gap, boundary : float
        As in `Trajectory`; the boundary for d = 1 only.
    """

    problem: Problem
    t: int
    params: Params
    preactivations: Floats
    pattern: int

    @derived
    def margins(self) -> Floats:
        return functional_margins(self.problem, self.params.v, self.preactivations)

    @derived
    def distances(self) -> Floats:
        return distances_of(self.problem, self.params.w, self.params.v, self.preactivations)

    @property
    def robust_margin(self) -> float:
        return float(np.min(self.distances))

    @derived
    def gap(self) -> float:
        return float(gap_of(self.problem, self.params.w, self.params.v, self.preactivations))

    @derived
    def boundary(self) -> float:
        require_line(self.problem)
        return float(boundary_of(self.problem, self.params.w, self.params.v, self.preactivations))

    def _facts(self) -> dict[str, str]:
        facts = {
            "step": written_steps(self.t),
            "params": repr(self.params),
            "pattern": f"{self.pattern:04b}",
            "margins": ", ".join(f"{margin:.6g}" for margin in self.margins),
            "distances": ", ".join(f"{distance:.6g}" for distance in self.distances),
            "gap": f"{self.gap:.6g}",
        }
        if self.problem.dimension == 1:
            facts["boundary"] = f"{self.boundary:.6g}"
        return facts
