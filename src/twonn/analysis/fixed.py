"""The late motion with fixed output weights: affine in ln t, from H u = 1 (theory, sections 1 to 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twonn.analysis.motion import Motion, conditions_of
from twonn.analysis.pairs import Flags, any_of, over_neurons, over_points, positive_diagonal, rounded_sum
from twonn.analysis.reasons import Reason
from twonn.analysis.regions import States
from twonn.analysis.series import series
from twonn.geometry.distances import gap_of, serving
from twonn.problem.gram import ROUNDING, Gram
from twonn.problem.problem import Problem
from twonn.values import Floats


@dataclass(frozen=True, eq=False)
class FixedMotion(Motion):
    """Affine motion in ln t.

    Attributes
    ----------
    z_slope, z_offset : ndarray, shape (n, 2, 2)
        z_ji = z_slope ln t + z_offset.
    margin_offset : ndarray, shape (n, 2)
        m_i − ln t.
    """

    z_slope: Floats
    z_offset: Floats
    margin_offset: Floats

    def z_series(self) -> Floats:
        return series(self.z_slope, self.z_offset)

    def output_series(self, problem: Problem) -> tuple[Floats, Floats]:
        # What is active on point i adds up to y_i m_i, known without cancellation.
        off = ~self.active & ~self.slides
        slope = problem.y + over_neurons(self.v[:, :, None] * np.where(off, self.z_slope, 0))
        offset = problem.y * self.margin_offset + over_neurons(
            self.v[:, :, None] * np.where(off, self.z_offset, 0)
        )
        w = self.v[:, :, None, None] * self.weight_series(problem)
        return series(slope, offset), w[:, 0] + w[:, 1]

    @np.errstate(all="ignore")
    def gap(self, problem: Problem, log_t: Floats) -> Floats:
        times = log_t[..., None, None]
        c = self.c_slope[0] * times + self.c_offset[0]
        z = self.z_slope[0] * times + self.z_offset[0]
        v = np.broadcast_to(self.v[0], (*log_t.shape, 2))
        gap = gap_of(problem, self.w[0] + c @ problem.x, v, z)
        positive = (log_t[..., None] + self.margin_offset[0] > 0).all(axis=-1)
        return np.where(positive, gap, np.nan)


def fixed_motion(
    problem: Problem, gram: Gram, states: States, slides: Flags, *, follow: bool = True
) -> FixedMotion:
    """Solve H u = 1 (eqs. 3 to 7, 11) in a region, with `follow` in the final one (eq. 12)."""
    v, z, active = states.v, states.z, states.active
    serves = serving(problem, v)
    may_slide = serves[:, :, ::-1] & active[:, :, ::-1]
    slides = slides & may_slide
    for _ in range(3):
        push, c_start, z_push, z_start = _pushes(gram, problem.y, v, z, active, slides)
        steady = active & ~slides
        m_start = over_neurons(problem.y * np.where(steady, v[:, :, None], 0) * z_start)
        u, e, determinant, reason = _shares(problem, gram, v, steady, slides, m_start)
        z_slope = rounded_sum(z_push * u[:, None, None, :])
        out_of_place = np.where(active, z_slope < 0, z_slope > 0)
        sliding_candidates = out_of_place & ~slides & may_slide & ~serves
        if not (follow and gram.sign > 0 and problem.y[0] != problem.y[1] and sliding_candidates.any()):
            break
        slides = slides | sliding_candidates
    z_offset = z_start + _pushed(z_push, e)
    theta = u[:, ::-1] * gram.cross / (u * positive_diagonal(gram))  # eq. 11
    conditions, offsets, holds = conditions_of(active, slides, theta, z_slope, z_offset)
    return FixedMotion(
        active=active,
        slides=slides,
        serving=serves,
        u=u,
        decay=u[:, 0] * u[:, 1] * determinant,
        c_slope=_pushed(push, u),
        c_offset=c_start + _pushed(push, e),
        z_slope=z_slope,
        z_offset=z_offset,
        w=states.w,
        v=v,
        v_slope=np.zeros_like(v),
        v_offset=v,
        margin_offset=math.log(problem.point_step) - np.log(u),
        conditions=conditions,
        condition_offsets=offsets,
        holds=holds,
        reason=reason,
    )


def _pushes(
    gram: Gram, y: NDArray[np.int64], v: Floats, z: Floats, active: Flags, slides: Flags
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return how C_jk and z_ji depend on the accumulated A_l, and where they start (eqs. 1, 2 and 10).

    Returns
    -------
    push, c_start : ndarray, shapes (n, 2, 2, 2) and (n, 2, 2)
        C_jk = Σ_l push_jkl A_l + c_start_jk.
    z_push, z_start : ndarray, likewise
        z_ji = Σ_l z_push_jil A_l + z_start_ji.
    """
    yv = y * v[:, :, None]
    own = np.where(active & ~slides, yv, 0)
    push = own[..., None] * np.eye(2)
    diagonal = positive_diagonal(gram)
    back = gram.cross / diagonal  # by the point i that the pair slides at
    k = (1, 0)
    push[:, :, (0, 1), k] = np.where(slides, -back * own[:, :, k], push[:, :, (0, 1), k])
    c_start = np.where(slides, -z / diagonal, 0)
    z_push = over_points(gram.matrix, push)
    # On the other point such a pair leaves Ĝ_k, which the sum would form with cancellation.
    reduced = gram.effective * own
    z_push[:, :, (0, 1), (0, 1)] = np.where(slides[:, :, ::-1], reduced, z_push[:, :, (0, 1), (0, 1)])
    z_start = z + over_points(gram.matrix, c_start)
    return push, c_start, np.where(slides[..., None], 0, z_push), np.where(slides, 0, z_start)


def _shares(
    problem: Problem, gram: Gram, v: Floats, steady: Flags, slides: Flags, m_start: Floats
) -> tuple[Floats, Floats, Floats, NDArray[np.uint8]]:
    """Return u and e of A_k = u_k ln t + e_k (eqs. 5 and 6), det H, and where they are not determined.

    A point without a row in H has u = 0 and e = 0. Where u_i <= 0, point i does not support, and e_i is
    nan (section 5 of the theory).
    """
    diagonal, cross, determinant, numerator = _matrix_of_margins(problem, gram, v, steady, slides)
    seen = diagonal > 0
    singular = ~any_of(~seen, 1) & (determinant <= ROUNDING**2 * diagonal[:, 0] * diagonal[:, 1])
    singular |= any_of(slides, 1, 2) & gram.dependent
    u = numerator / determinant[:, None]
    both = ~any_of(~seen, 1) & ~singular
    supporting = np.where(both[:, None], numerator > ROUNDING * diagonal[:, ::-1], seen)
    single = any_of(~supporting, 1)
    u = np.where(single[:, None], np.where(supporting, 1 / diagonal, 0), u)
    right = math.log(problem.point_step) - np.log(u) - m_start
    inverse = diagonal[:, ::-1] * right - cross[:, None] * right[:, ::-1]
    e = np.where(
        single[:, None],
        np.where(supporting, right / diagonal, np.where(seen, np.nan, 0)),
        inverse / determinant[:, None],
    )
    reason = np.full(len(v), Reason.NOTHING, np.uint8)
    reason[any_of(seen & ~supporting, 1)] = Reason.UNSUPPORTED
    reason[singular] = Reason.SINGULAR
    return u, e, determinant, reason


def _matrix_of_margins(
    problem: Problem, gram: Gram, v: Floats, steady: Flags, slides: Flags
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return H_00 and H_11, H_01, det H, and H_11 − H_01 and H_00 − H_01, none of which cancels (eq. 3).

    All of them are sums of terms >= 0, but for H_01 itself, and G_kk − G_01 for equal labels.
    """
    square = (v * v)[:, :, None]
    whole = np.where(steady & ~slides[:, :, ::-1], square, 0)  # v_j² where the neuron brings G_kk,
    part = np.where(steady & slides[:, :, ::-1], square, 0)  # and where it brings Ĝ_k
    shared = np.where(steady[:, :, 0] & steady[:, :, 1], v * v, 0)
    g = np.diag(gram.matrix)
    own, common = over_neurons(whole), shared[:, 0] + shared[:, 1]
    rest = over_neurons(np.where(any_of(~steady, 2)[:, :, None], whole, 0))
    sliding = gram.effective * over_neurons(part)
    diagonal = g * own + sliding
    sign = float(problem.y[0] * problem.y[1])
    # Σ_jl v_j² v_l² (a_j0 a_l1 − a_j0 a_j1 a_l0 a_l1), term by term.
    crossing = whole[:, :, None, 0] * whole[:, None, :, 1]
    distinct = crossing * ~(steady[:, :, None, 1] & steady[:, None, :, 0])
    determinant = (
        common**2 * gram.determinant
        + g[0] * g[1] * distinct.sum(axis=(1, 2))
        + g[0] * own[:, 0] * sliding[:, 1]
        + sliding[:, 0] * diagonal[:, 1]
    )
    if sign > 0:
        numerator = gram.excess[::-1] * common[:, None] + (g * rest)[:, ::-1] + sliding[:, ::-1]
    else:
        numerator = diagonal[:, ::-1] + gram.cross * common[:, None]
    return diagonal, sign * gram.cross * common, determinant, numerator


def _pushed(push: Floats, accumulated: Floats) -> Floats:
    """Return Σ_l push_l a_l, not nan where an unknown a_l pushes nothing."""
    terms = np.where(push == 0, 0, push * accumulated[:, None, None, :])
    return np.asarray(terms[..., 0] + terms[..., 1])
