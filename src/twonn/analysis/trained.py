"""The late motion with trained output weights: affine in √m, where every point has a neuron of its own.

It is derived in sections 7 and 8 of the theory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twonn.analysis.motion import Motion, conditions_of
from twonn.analysis.pairs import Flags, any_of, over_neurons, over_points, positive_diagonal
from twonn.analysis.reasons import Reason
from twonn.analysis.regions import States
from twonn.analysis.series import series
from twonn.geometry.distances import gap_of, serving
from twonn.problem.gram import Gram
from twonn.problem.problem import Problem
from twonn.values import Floats


@dataclass(frozen=True, eq=False)
class TrainedMotion(Motion):
    """Motion with every point k seen by one neuron j alone: C_jk = (z_jk − z*_jk)/Ĝ_k (eqs. 14 to 18).

    Attributes
    ----------
    effective, invariant : ndarray, shape (n, 2)
        Ĝ_k and D_k.
    gain, z_gain, z_base : ndarray, shape (n, 2, 2)
        C and z are affine in the pre-activation of the neuron on its own point:
        C_jk = gain z_own + c_offset, z_ji = z_gain z_own + z_base.
    owner : ndarray of bool, shape (n, 2, 2)
        Whether neuron j is the one that sees point k.
    sign : ndarray, shape (n, 2)
        Of v in the end.
    """

    effective: Floats
    invariant: Floats
    gain: Floats
    z_gain: Floats
    z_base: Floats
    owner: Flags
    sign: Floats

    def z_series(self) -> Floats:
        return series(self.z_gain * _own_slope(self.owner, self.effective)[:, :, None], self.z_base)

    def output_series(self, problem: Problem) -> tuple[Floats, Floats]:
        """As `Motion`, to the second order (eq. 17)."""
        off = ~self.active & ~self.slides & any_of(self.owner, 2)[:, :, None]
        excess = 0.5 * np.log(self.effective)  # m_i = m + excess + o(1)
        by_neuron = _by_neuron(self.owner, excess)[:, :, None]
        nu = self.v_slope[:, :, None]
        z_slope = np.where(off, self.z_gain * (nu * _own_slope(self.owner, self.effective)[:, :, None]), 0)
        z_offset = np.where(off, nu * self.z_base, 0)
        output = np.stack(
            [
                problem.y + over_neurons(z_slope),
                over_neurons(z_offset),
                problem.y * excess + over_neurons(z_slope * by_neuron),
            ],
            axis=-1,
        )
        w_slope, w_offset = nu * (self.c_slope @ problem.x), nu * (self.w + self.c_offset @ problem.x)
        w = np.stack([w_slope, w_offset, w_slope * by_neuron], axis=-1)
        return output, w[:, 0] + w[:, 1]

    @np.errstate(all="ignore")
    def gap(self, problem: Problem, log_t: Floats) -> Floats:
        margin = self._margins(log_t[..., None] + math.log(problem.point_step))
        own = self._own_preactivations(margin)
        by_neuron = np.where(self.owner[0], own[..., None, :], 0).sum(axis=-1)
        size = np.where(self.owner[0], (margin / own)[..., None, :], 0).sum(axis=-1)
        v = np.where(self.owner[0].any(axis=1), self.sign[0] * size, self.v[0])
        c = self.gain[0] * by_neuron[..., None] + self.c_offset[0]
        z = self.z_gain[0] * by_neuron[..., None] + self.z_base[0]
        gap = gap_of(problem, self.w[0] + c @ problem.x, v, z)
        return np.where((margin > 1).all(axis=-1), gap, np.nan)

    def _margins(self, log_ht: Floats) -> Floats:
        """Return the margins of a single run at ln(h t), shape (..., 2) (eq. 16)."""
        margin = np.maximum(log_ht, 1.0)
        for _ in range(100):  # a contraction by about 1/m
            margin = np.maximum(log_ht + _log_pace(margin, self.invariant[0], self.effective[0]), 1.0)
        return margin

    def _own_preactivations(self, margin: Floats) -> Floats:
        """Return z* of each point for these margins, shape (..., 2)."""
        invariant, effective = self.invariant[0], self.effective[0]
        spread = np.hypot(invariant, 2 * np.sqrt(effective) * margin)
        square = np.where(
            invariant > 0, 2 * effective * margin**2 / (spread + invariant), (spread - invariant) / 2
        )
        return np.asarray(np.sqrt(square))


def _by_neuron(owner: Flags, by_point: Floats) -> Floats:
    """Return what belongs to the point of each neuron, shape (n, 2); 0 for neurons at rest."""
    return np.asarray(np.where(owner, by_point[:, None, :], 0).sum(axis=2))


def _own_slope(owner: Flags, effective: Floats) -> Floats:
    """Return z_own over √m of each neuron, shape (n, 2); 0 for neurons at rest."""
    return _by_neuron(owner, effective**0.25)


def _log_pace(margin: Floats, invariant: Floats, effective: Floats) -> Floats:
    """Return m − ln(h t) as a function of m, the asymptotic series of eq. 16 to its fourth term."""
    square = invariant**2 + 4 * effective * margin**2
    first = 4 * effective * margin / square  # −φ'/φ, φ = square^(−1/2)
    second = 3 * first**2 - 4 * effective / square  # φ''/φ
    third = 15 * first**3 - 9 * first * 4 * effective / square  # −φ'''/φ
    return np.asarray(0.5 * np.log(square) - np.log1p(first + second + third))


def trained_motion(problem: Problem, gram: Gram, states: States, slides: Flags) -> TrainedMotion:
    """Return the motion after signs have changed and neurons have died as they must (lemma 3)."""
    v, z, y = states.v, states.z, problem.y
    active = states.active & ~states.fates.dies[:, :, None]
    turned = np.where(active, y, 0).sum(axis=2)
    sign = np.where(states.fates.turns, turned, np.sign(v))
    serves = serving(problem, sign)
    slides = slides & serves[:, :, ::-1] & active[:, :, ::-1] & (y[0] != y[1]) & (gram.sign > 0)
    steady = active & ~slides
    owner = steady & serves & ~steady[:, :, ::-1]
    coupled = any_of(steady & ~owner, 1, 2) | any_of(owner[:, 0] & owner[:, 1], 1)
    diagonal = positive_diagonal(gram)
    # By neuron and its own point k: whether it slides at the other point i, and G_ik/G_ii there.
    slides_beside = slides[:, :, ::-1] & owner
    ratio = gram.cross / diagonal[[1, 0]]
    effective = np.where(slides_beside.any(axis=1), gram.effective, np.diag(gram.matrix))
    star = z - np.where(slides_beside, ratio * z[:, :, ::-1], 0)
    start = np.where(owner, star, 0).sum(axis=1)
    size = np.where(owner, np.abs(v)[:, :, None], 0).sum(axis=1)
    gain, base, z_gain, z_base = _affine_in_own(gram, z, star, effective, owner, slides)
    theta = gram.cross / diagonal * np.sqrt(effective / effective[:, ::-1])  # eq. 19
    conditions, offsets, holds = conditions_of(active, slides, theta, z_gain, z_base)
    # Points on one line through the origin leave a neuron that slides nothing to grow by.
    idle = any_of(slides_beside, 1, 2) & gram.dependent
    moves = any_of(owner, 2)
    return TrainedMotion(
        active=active,
        slides=slides,
        serving=serves,
        u=np.full((len(v), 2), np.nan),
        decay=np.full(len(v), np.nan),
        c_slope=gain * _own_slope(owner, effective)[:, :, None],
        c_offset=base,
        w=states.w,
        v=v,
        v_slope=np.where(moves, sign * _by_neuron(owner, effective**-0.25), 0),
        v_offset=np.where(moves, 0.0, v),
        conditions=conditions,
        condition_offsets=offsets,
        holds=holds,
        reason=np.select([idle, coupled], [Reason.SINGULAR, Reason.COUPLED], 0).astype(np.uint8),
        effective=effective,
        invariant=effective * size**2 - start**2,
        gain=gain,
        z_gain=z_gain,
        z_base=z_base,
        owner=owner,
        sign=sign,
    )


def _affine_in_own(
    gram: Gram, z: Floats, star: Floats, effective: Floats, owner: Flags, slides: Flags
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return how C and z depend on the pre-activation of each neuron on its own point (eqs. 10 and 14).

    Returns
    -------
    gain, base, z_gain, z_base : ndarray, shape (n, 2, 2)
        As in `TrainedMotion`; base is its `c_offset`.
    """
    diagonal = positive_diagonal(gram)
    gain = np.where(owner, 1 / effective[:, None, :], 0)
    base = np.where(owner, -star / effective[:, None, :], 0)
    # On the kink, C_ji follows from z_ji = 0.
    gain = gain + np.where(slides, -(gram.cross / diagonal) * gain[:, :, ::-1], 0)
    base = base + np.where(slides, -(gram.cross / diagonal) * base[:, :, ::-1] - z / diagonal, 0)
    # What its own point does to z_own is 1 and 0, which the sum would form with cancellation where it slides.
    z_gain = np.where(owner, 1, np.where(slides, 0, over_points(gram.matrix, gain)))
    z_base = np.where(owner | slides, 0, z + over_points(gram.matrix, base))
    return gain, base, z_gain, z_base
