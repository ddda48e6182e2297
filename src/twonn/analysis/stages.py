"""The motions through which a run comes to its final one: neurons reach their kinks one by one (eq. 12)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twonn.analysis.fixed import FixedMotion, fixed_motion
from twonn.analysis.motion import Motion
from twonn.analysis.pairs import sawtooth_heights
from twonn.analysis.regions import States
from twonn.problem.problem import Problem
from twonn.values import Value


@dataclass(frozen=True, eq=False)
class Stage(Value):
    """A motion, and the ln t from which it holds; None where none is known."""

    since: float
    motion: Motion | None


@np.errstate(all="ignore")
def stages_of(problem: Problem, states: States, motion: Motion) -> tuple[Stage, ...]:
    """Return the stages of a single run that comes to this motion."""
    if not isinstance(motion, FixedMotion):
        return (Stage(-math.inf, motion),)
    slides, since = states.slides & motion.slides, -math.inf
    stages: list[Stage] = []
    while True:
        # With G_01 as it is, also where that is rounding.
        now = fixed_motion(problem, states.gram, states, slides, follow=False)
        stages.append(Stage(since, now))
        yet = motion.slides & ~slides
        if not yet.any():
            return tuple(stages)
        arrival = np.where(yet, -now.z_offset / now.z_slope, np.inf)
        j, i = divmod(int(np.nanargmin(arrival)), 2)
        since = max(since, float(arrival[0, j, i]))
        back = since + _absence(problem, states, now, since, j, i)
        if back > since:
            stages.append(Stage(since, None))
            since = back
        slides = slides.copy()
        slides[0, j, i] = True


def _absence(problem: Problem, states: States, now: FixedMotion, log_t: float, j: int, i: int) -> float:
    """Return for how long, in ln t, neuron j is left behind a kink that it has reached; 0 if negligible.

    Point i pushes it off by up to the height of a sawtooth. Point k leads it back by θ times that in a step,
    which takes 1/(θ t) in ln t.
    """
    gram, size = states.gram, abs(float(states.v[0, j]))
    late = math.exp(min(-log_t, 0.0)) * float(now.u[0, i]) * size * float(gram.matrix[i, i])
    height = min(late, float(sawtooth_heights(problem, gram, states.v, states.z)[0, j, i]))
    absence = height / (gram.cross * size * float(now.u[0, 1 - i]))
    negligible = height <= 1e-10 * float(np.abs(states.z).max())
    return absence if absence > 1 and not negligible else 0.0
