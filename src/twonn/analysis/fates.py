"""What is still to happen for certain: neurons that are driven off a point, or across their kink or v = 0.

These are facts about states of n runs, from which their late motion follows (theory, section 10, lemma 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from twonn.analysis.pairs import Flags, any_of, loss_slopes, positive_diagonal
from twonn.geometry.distances import serving
from twonn.problem.gram import ROUNDING, Gram
from twonn.problem.problem import Problem
from twonn.values import Floats

#: The largest margin that a run can reach: ln of the largest horizon, with room for constants.
FARTHEST = 3e6


# --------------------------------------------------------------------------------------------------
# Orthogonal points, up to rounding


def _reach(problem: Problem, gram: Gram, v: Floats, z: Floats) -> Floats:
    """Return how far |G_01| can move z_ji while point k, the other one, drives neuron j as far as runs go.

    Parameters
    ----------
    problem : Problem
    gram : Gram
    v : ndarray, shape (n, 2)
    z : ndarray, shape (n, 2, 2)

    Returns
    -------
    ndarray, shape (n, 2, 2)
        By neuron j and the point k.
    """
    diagonal = np.diag(gram.matrix)
    size = np.abs(v)[:, :, None]
    with np.errstate(all="ignore"):
        if problem.train_output:
            # z² = (√(D² + 4 G m²) − D)/2 (theory, section 7).
            own = np.sqrt(np.sqrt(diagonal) * FARTHEST + np.abs(diagonal * size**2 - z**2))
        else:
            own = FARTHEST / size
        return np.where(diagonal > 0, abs(gram.cross) / diagonal * own, 0.0)


def near_kinks(problem: Problem, gram: Gram, v: Floats, z: Floats, active: Flags) -> Flags:
    """Return pairs that a G_01 which is 0 up to rounding may carry across their kink, shape (n, 2, 2).

    They belong to neurons that are active only on the point that they serve.
    """
    if not gram.orthogonal or gram.cross == 0:
        return np.zeros(active.shape, bool)
    driven = active & ~active[:, :, ::-1] & serving(problem, v)
    return np.asarray(driven[:, :, ::-1] & (z >= -_reach(problem, gram, v, z)[:, :, ::-1]))


# --------------------------------------------------------------------------------------------------
# Output weights trained: neurons that one point alone drives towards 0


@dataclass(frozen=True, eq=False)
class Fates:
    """What becomes of neurons that are active on one point only and do not serve it; flags of shape (n, 2).

    Attributes
    ----------
    driven : ndarray of bool
        That point drives the output weight or the pre-activation through 0 (lemma 3).
    turns : ndarray of bool
        It is the output weight, and from then on the neuron serves the point.
    leaves : ndarray of bool
        It is the pre-activation, and from then on the neuron is not active on the point.
    dies : ndarray of bool
        So it is, and the neuron is not active on the other point either.
    undecided : ndarray of bool
        Rounding cannot tell which.
    may_turn, may_die : ndarray of bool
        Whether the neuron stays off the other point, if it is the output weight, or the pre-activation.
    """

    driven: Flags
    turns: Flags
    leaves: Flags
    dies: Flags
    undecided: Flags
    may_turn: Flags
    may_die: Flags

    def decided(self, turns: Flags) -> Fates:
        """Return these with those that are undecided decided, by whether they turn."""
        turned = self.undecided & self.may_turn & turns
        left = self.undecided & self.may_turn & ~turns
        return replace(
            self,
            turns=self.turns | turned,
            leaves=self.leaves | left,
            dies=self.dies | (left & self.may_die),
            undecided=np.zeros_like(self.undecided),
        )


def no_fates(n: int) -> Fates:
    """Return those of n runs without such neurons."""
    none = np.zeros((n, 2), bool)
    return Fates(*[none] * 7)


@np.errstate(all="ignore")
def fates(problem: Problem, gram: Gram, v: Floats, z: Floats, active: Flags) -> Fates:
    """Return what becomes of the neurons of n runs with trained output weights and opposite labels.

    Parameters
    ----------
    problem : Problem
    gram : Gram
    v : ndarray, shape (n, 2)
    z : ndarray, shape (n, 2, 2)
    active : ndarray of bool, shape (n, 2, 2)
    """
    diagonal = positive_diagonal(gram)
    step = (problem.point_step * loss_slopes(problem, v, z) * np.sqrt(diagonal))[:, None, :]
    driven = _driven(problem, gram, v, active) & (step < 0.9)
    # By neuron and the point that drives it: v and z in the same unit, and how far the other z may rise.
    size = np.abs(v)[:, :, None] * np.sqrt(diagonal)
    lead = (z - size) / (z + size)
    lift = 0.0 if gram.sign >= 0 else -gram.cross / diagonal
    room = -z[:, :, ::-1]
    log_ratio = -0.5 * np.log(lead) + step
    least = np.sqrt((z - size) * (z + size)) * np.exp(-0.5 * step / (1 - step**2) * log_ratio)
    undecided = driven & (np.abs(lead) <= ROUNDING)
    # Both pre-activations reach 0 together where the points are on one line through the origin. Only a last
    # step that leads beyond it brings the neuron to the other point.
    off = lift * z <= room * (1 + ROUNDING)
    may_turn = driven & (off | (lift * (z - least) <= room * (1 - ROUNDING)))
    may_die = driven & (lift * (z + step * size) <= room * (1 - ROUNDING))
    turns = may_turn & (lead > ROUNDING)
    leaves = driven & (lead < -ROUNDING) & off
    dies = leaves & may_die
    flags = (driven, turns, leaves, dies, undecided, may_turn, may_die)
    return Fates(*(any_of(flag, 2) for flag in flags))


def _driven(problem: Problem, gram: Gram, v: Floats, active: Flags) -> Flags:
    """Return pairs of a neuron and the only point that it is active on, which drives it (lemma 3)."""
    driven = active & ~active[:, :, ::-1] & (problem.y * v[:, :, None] <= 0)
    # Steps must not grow: the margin of the point may not fall by what the other neuron does.
    other = active[:, ::-1]
    driven = driven & ~(other[:, :, 0] & other[:, :, 1])[:, :, None]
    return driven & ~other[:, :, ::-1] if gram.sign > 0 else driven
