"""The states that closed forms are made from: those of n runs, and that of one run with its region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twonn.analysis.fates import Fates, fates, near_kinks, no_fates
from twonn.analysis.pairs import Flags
from twonn.problem.gram import Gram, gram_of
from twonn.problem.problem import Problem
from twonn.values import Floats


@dataclass(frozen=True, eq=False)
class States:
    """States of n runs, and what decides about them.

    Attributes
    ----------
    gram : Gram
    w, v, z : ndarray, shapes (n, 2, d), (n, 2), (n, 2, 2)
    active, slides : ndarray of bool, shape (n, 2, 2)
    fates : Fates
    near : ndarray of bool, shape (n, 2, 2)
        As `near_kinks`.
    doubtful : ndarray of bool, shape (n, 2, 2)
        Pairs whose z is rounding of the parameters.
    """

    gram: Gram
    w: Floats
    v: Floats
    z: Floats
    active: Flags
    slides: Flags
    fates: Fates
    near: Flags
    doubtful: Flags


def states_of(problem: Problem, w: Floats, v: Floats, z: Floats, active: Flags, slides: Flags) -> States:
    """Return states, none of whose pre-activations is doubtful."""
    gram = gram_of(problem)
    opposite = problem.y[0] != problem.y[1]
    if not opposite or gram.sign <= 0:
        # What a run averages over there is at its kink, or has been left behind it.
        active, z = active & ~slides, np.where(slides, np.minimum(z, 0), z)
        slides = np.zeros_like(slides)
    driven = opposite and problem.train_output
    what_becomes = fates(problem, gram, v, z, active) if driven else no_fates(len(v))
    near = near_kinks(problem, gram, v, z, active)
    return States(gram, w, v, z, active, slides, what_becomes, near, np.zeros_like(near))


@dataclass(frozen=True, eq=False)
class Region:
    """A state, and the region in which it is taken to move.

    Attributes
    ----------
    problem : Problem
    gram : Gram
    v : ndarray, shape (2,)
    z, active : ndarray, shape (2, 2)
    slides : ndarray of bool, shape (2, 2)
        Pairs that slide, now or in the end.
    near : ndarray of bool, shape (2, 2)
        As `near_kinks`.
    doubtful : ndarray of bool, shape (2, 2)
        Pairs whose z is rounding of the parameters.
    """

    problem: Problem
    gram: Gram
    v: Floats
    z: Floats
    active: Flags
    slides: Flags
    near: Flags
    doubtful: Flags

    @property
    def opposite(self) -> bool:
        """Whether the labels are."""
        return bool(self.problem.y[0] != self.problem.y[1])

    def serves(self, j: int, k: int) -> bool:
        return bool(self.problem.y[k] * self.v[j] > 0)
