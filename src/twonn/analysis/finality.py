"""What can be proved of a region of gradient descent: whether its pattern and the signs of v are final.

Proofs are in docs/theory.md, section 10, which the numbers of lemmas cited here refer to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twonn.problem.gram import ROUNDING, Gram
from twonn.problem.losses import LOSSES
from twonn.problem.problem import Problem
from twonn.values import Floats

Flags = NDArray[np.bool_]

#: The largest margin that a run can reach: ln of the largest horizon, with room for constants.
FARTHEST = 3e6

#: Bounds on what sliding adds to a margin, of which one has to make a trap.
_LOOSENESS = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.2, 0.4)

#: Pre-activations are known to this part of the largest.
_NOISE = 1e-14

_DRIVEN_OFF = "A neuron is active on a point that it does not serve, which drives it off."

_RISES = "A pre-activation is on its way to its kink."

_TURNS = "The output weight of a neuron passes through 0: it is driven by a point that it does not serve yet."

_DIES = "A point that a neuron does not serve drives it off, and then it is active on no point."

_DRIVEN = (
    "A neuron is active on a point that it does not serve, which drives its output weight or its "
    "pre-activation through 0."
)

_UNSHOWN_SLIDE = (
    "It is not shown that the neurons reach the kinks along which they slide and stay there. A later state "
    "may show it."
)

_MARGINAL = (
    "The active fraction of a sliding neuron tends to 1 up to rounding: whether it slides for ever is not "
    "shown."
)

_UNSHOWN_TRAINED = (
    "With trained output weights it is not shown that a neuron which slides, or is active on both points, "
    "keeps its pattern and the sign of its output weight."
)

_NEAR_KINK = "G_01 and a pre-activation are 0 up to rounding, so that the last bit of the data decides."

_AT_KINK = "A pre-activation is 0 up to rounding of the parameters."

_BALANCED = (
    "A neuron is driven to 0 by a point that it does not serve, and the last bit of the data decides whether "
    "its output weight or its pre-activation gets there first."
)

_UNSHOWN = "It is not shown that the activation pattern does not change any more."


# --------------------------------------------------------------------------------------------------
# Orthogonal points, up to rounding


def reach(problem: Problem, gram: Gram, v: Floats, z: Floats) -> Floats:
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

    They belong to neurons that are active on the point that they serve alone.
    """
    if not gram.orthogonal or gram.cross == 0:
        return np.zeros(active.shape, bool)
    driven = active & ~active[:, :, ::-1] & (problem.y * v[:, :, None] > 0)
    return np.asarray(driven[:, :, ::-1] & (z >= -reach(problem, gram, v, z)[:, :, ::-1]))


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
    diagonal = np.where(np.diag(gram.matrix) > 0, np.diag(gram.matrix), 1.0)
    driven = active & ~active[:, :, ::-1] & (problem.y * v[:, :, None] <= 0)
    # Steps must not grow: the margin of the point may not fall by what the other neuron does.
    other = active[:, ::-1]
    driven &= ~(other[:, :, 0] & other[:, :, 1])[:, :, None]
    if gram.sign > 0:
        driven &= ~other[:, :, ::-1]
    margins = problem.y * np.sum(v[:, :, None] * np.maximum(z, 0), axis=1)
    step = (problem.rate * LOSSES[problem.loss].slope(margins) * np.sqrt(diagonal))[:, None, :]
    driven &= step < 0.9
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
    return Fates(*(flag[:, :, 0] | flag[:, :, 1] for flag in flags))


# --------------------------------------------------------------------------------------------------
# One state


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
        return bool(self.problem.y[0] != self.problem.y[1])

    def serves(self, j: int, k: int) -> bool:
        return bool(self.problem.y[k] * self.v[j] > 0)


def judge(region: Region, leaves: bool, marginal: bool, fate: Fates) -> tuple[bool | None, str]:
    """Return whether the pattern and the signs of the output weights are final, and why that is not shown.

    Parameters
    ----------
    region : Region
    leaves : bool
        Whether the motion in the region, in closed form, leads out of it.
    marginal : bool
        Whether an active fraction tends to 1 up to rounding.
    fate : Fates
        Of a single run.

    Returns
    -------
    bool or None
        True with a proof; False if they change; None if neither is shown.
    str
        Empty if True.
    """
    if (region.doubtful & ~region.slides).any():
        return None, _AT_KINK
    if all(_is_kept(region, j) for j in (0, 1)):
        return True, ""
    if region.near.any():
        return None, _NEAR_KINK
    if fate.undecided.any():
        return None, _BALANCED
    if fate.driven.any():
        return False, _TURNS if fate.turns.any() else _DIES if fate.dies.any() else _DRIVEN
    if (
        region.opposite
        and not region.problem.train_output
        and region.gram.sign <= 0
        and _is_driven_off(region)
    ):
        return False, _DRIVEN_OFF
    if region.opposite and region.problem.train_output and _rises(region):
        return False, _RISES
    if leaves:
        return False, _RISES
    return _in_trap(region, marginal)


def _in_trap(region: Region, marginal: bool) -> tuple[bool | None, str]:
    if not region.opposite:
        return None, _UNSHOWN
    if region.problem.train_output:
        return None, _UNSHOWN_TRAINED
    if marginal:
        return None, _MARGINAL
    if not region.slides.any():
        return None, _UNSHOWN
    if region.gram.sign > 0 and (_both_slide(region) or _one_slides(region)):
        return True, ""
    return None, _UNSHOWN_SLIDE


def _is_kept(region: Region, j: int) -> bool:
    """Whether neuron j keeps its pattern and sign whatever the other one does (lemmas 1 and 2)."""
    active = region.active[j]
    if not active.any() or (region.v[j] == 0 and not region.problem.train_output):
        return True
    if active.all():
        return not region.opposite and region.serves(j, 0) and region.gram.cross >= 0
    k = 0 if active[0] else 1
    if not region.serves(j, k):
        return False
    return region.gram.cross <= 0 or (region.gram.orthogonal and not bool(region.near[j, 1 - k]))


def _is_driven_off(region: Region) -> bool:
    """Whether a neuron with fixed v is active on a point that it does not serve, G_01 <= 0 (lemma 1)."""
    if not region.opposite or region.problem.train_output or region.gram.sign > 0:
        return False
    return any(region.v[j] != 0 and not region.serves(j, i) for j, i in np.argwhere(region.active))


def _rises(region: Region) -> bool:
    """Whether G_01 > 0 carries a neuron that is active on its own point only to its other kink (lemma 2)."""
    if not (region.opposite and region.problem.train_output and region.gram.sign > 0):
        return False
    alone = region.active & ~region.active[:, ::-1] & ~region.slides[:, ::-1]
    return any(region.serves(j, k) for j, k in np.argwhere(alone))


# --------------------------------------------------------------------------------------------------
# Traps of sliding, output weights fixed


@dataclass(frozen=True)
class _Neuron:
    """A neuron that serves point k and slides at the other one, i."""

    k: int
    nu: float  # |v|
    own: float  # z_jk
    wrong: float  # z_ji
    q: float  # z_jk − (G_ik/G_ii) z_ji
    ratio: float  # G_ik/G_ii


def _sliding_neurons(region: Region) -> Iterator[tuple[int, _Neuron]]:
    matrix = region.gram.matrix
    for j, i in np.argwhere(region.slides).tolist():
        k = 1 - i
        own, wrong = float(region.z[j, k]), float(region.z[j, i])
        ratio = float(matrix[0, 1] / matrix[i, i])
        yield j, _Neuron(k, abs(float(region.v[j])), own, wrong, own - ratio * wrong, ratio)


def _noise(region: Region) -> float:
    return _NOISE * float(np.abs(region.z).max())


def _both_slide(region: Region) -> bool:
    """Whether both neurons slide for ever (lemma 4)."""
    neurons = {n.k: n for _, n in _sliding_neurons(region)}
    return len(neurons) == 2 and any(_both_within(region, neurons, looseness) for looseness in _LOOSENESS)


def _both_within(region: Region, neurons: dict[int, _Neuron], looseness: float) -> bool:
    h, gram = region.problem.rate, region.gram
    g, noise = gram.cross, _noise(region)
    up, down = math.exp(looseness), math.exp(-looseness)
    margin = [neurons[k].nu * neurons[k].q for k in (0, 1)]
    doubt = 4 * noise * (neurons[0].nu + neurons[1].nu)
    if not min(margin) > doubt or abs(margin[1] - margin[0]) + doubt > 600:
        return False
    push = [math.exp(-m + doubt) for m in margin]
    least = _least_slope(region, looseness, min(margin) - doubt)
    kappa = [h * neurons[k].nu ** 2 * float(gram.effective[k]) for k in (0, 1)]
    growth = [kappa[k] * up * push[k] for k in (0, 1)]
    if not max(growth) < 1:
        return False
    # E_1/E_0 stays between these.
    ratio, limit = math.exp(margin[1] - margin[0]), kappa[1] / kappa[0]
    high = max(ratio * math.exp(doubt), limit * up**2 / least * math.exp(growth[1]))
    low = min(ratio * math.exp(-doubt), limit * down**2 * least * math.exp(-growth[0]))
    above, below = [], []
    for k, (small, large) in enumerate(((1 / high, 1 / low), (low, high))):
        n, diagonal = neurons[k], float(gram.matrix[1 - k, 1 - k])
        step, factor = n.nu * h, math.exp(growth[k])
        a = max(factor * step * (diagonal * large * up - g * down * least) * push[k], noise - n.wrong)
        b = max(factor * step * g * up * push[k], noise + n.wrong)
        falls = step * (diagonal * small * down * least - g * up)
        if not (b * kappa[k] * up < falls and a * kappa[k] * up < step * g * down * least):
            return False
        if not (n.own > noise and n.q - noise > n.ratio * a):
            return False
        above.append(b)
        below.append(a)
    return all(
        neurons[k].nu * neurons[k].ratio * max(above[k], below[k]) + neurons[1 - k].nu * above[1 - k]
        < looseness
        for k in (0, 1)
    )


def _least_slope(region: Region, looseness: float, margin: float) -> float:
    """Return by what s may be less than e^−m, where margins are at least `margin` − `looseness`."""
    return float(LOSSES[region.problem.loss].tail(np.asarray(margin - looseness)))


def _one_slides(region: Region) -> bool:
    """Whether one neuron slides for ever and the other one stays active on both points (lemma 5)."""
    sliding = list(_sliding_neurons(region))
    if len(sliding) != 1:
        return False
    j, neuron = sliding[0]
    other = 1 - j
    stays = region.active[other].all() and region.serves(other, 1 - neuron.k)
    return bool(stays) and any(_one_within(region, neuron, other, looseness) for looseness in _LOOSENESS)


def _one_within(region: Region, n: _Neuron, other: int, looseness: float) -> bool:
    h, gram = region.problem.rate, region.gram
    k, i, g, noise = n.k, 1 - n.k, gram.cross, _noise(region)
    first, second = float(gram.matrix[k, k]), float(gram.matrix[i, i])
    up, down = math.exp(looseness), math.exp(-looseness)
    mu = abs(float(region.v[other]))
    margin = (n.nu * n.q - mu * float(region.z[other, k]), mu * float(region.z[other, i]))
    doubt = 4 * noise * (n.nu + mu)
    if not min(margin) > doubt or abs(margin[1] - margin[0]) + doubt > 600:
        return False
    push = math.exp(-margin[0] + doubt)
    least = _least_slope(region, looseness, min(margin) - doubt)
    a = n.nu**2 * float(gram.effective[k]) + mu**2 * first
    b, c = mu**2 * second, mu**2 * g
    # E_k/E_i stays between these.
    ratio, limit = math.exp(margin[0] - margin[1]), (a + c) / (b + c)
    high = max(ratio * math.exp(doubt), limit * up**2 / least * math.exp(h * push * (a + c) * up))
    low = min(ratio * math.exp(-doubt), limit * down**2 * least * math.exp(-h * push * (b + c) * high * up))
    growth = h * a * up * push
    if not (growth < 1 and a * least * down > c * high * up and g * low * least > first * up):
        return False
    step = n.nu * h
    factor = math.exp(growth)
    under = max(factor * step * (second * high * up - g * down * least) * push, noise - n.wrong)
    over = max(factor * step * g * up * push, noise + n.wrong)
    falls = step * (second * low * down * least - g * up)
    return (
        over * h * a * up < falls
        and under * h * a * up < step * g * down * least
        and n.own > noise
        and n.q - noise > n.ratio * under
        and float(region.z[other].min()) > noise
        and n.nu * max(n.ratio * max(under, over), over) < looseness
    )
