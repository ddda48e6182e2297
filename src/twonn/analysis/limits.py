"""Laws, limits and constants of n runs at once, and why they are not known where they are not.

One implementation serves a sweep and, with n = 1, `asymptote`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twonn.analysis.fixed import fixed_motion
from twonn.analysis.gap import gap_series
from twonn.analysis.laws import Law
from twonn.analysis.motion import Motion
from twonn.analysis.pairs import Flags, any_of, positive_diagonal, sawtooth_heights
from twonn.analysis.reasons import Reason
from twonn.analysis.regions import States, states_of
from twonn.analysis.trained import TrainedMotion, trained_motion
from twonn.arguments import ArgumentValueError, Verbatim
from twonn.geometry.distances import serving
from twonn.geometry.optimal import optimal_margin
from twonn.problem.gram import ROUNDING
from twonn.problem.problem import Problem, checked_problem
from twonn.results.states import pairs_of
from twonn.values import Floats

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Limits:
    """Limits and constants of the gap of n runs.

    Attributes
    ----------
    known : ndarray of bool, shape (n,)
    has_coefficients : ndarray of bool, shape (n,)
        Whether the coefficients of the parameters are known. Where only the gap is, they are not.
    law, reason : ndarray of uint8, shape (n,)
        Codes of `Law` and of `Reason`.
    limit, constant, shift, boundary : ndarray, shape (n,)
        As in `Asymptote`.
    """

    known: Flags
    has_coefficients: Flags
    law: Codes
    reason: Codes
    limit: Floats
    constant: Floats
    shift: Floats
    boundary: Floats


def limits_and_constants(
    problem: Problem,
    w: Floats,
    v: Floats,
    z: Floats,
    patterns: NDArray[np.uint8],
    sliding: Flags | None = None,
) -> Limits:
    """Return the asymptotic law of each of n runs of gradient descent from a late state.

    Parameters
    ----------
    problem : Problem
    w : ndarray, shape (n, 2, d)
    v : ndarray, shape (n, 2)
    z : ndarray, shape (n, 2, 2)
        Pre-activations z_ji.
    patterns : ndarray of uint8, shape (n,)
        Activation patterns.
    sliding : ndarray of bool, shape (n, 2, 2), optional
        Pairs of neuron and point that slide.

    Returns
    -------
    Limits
        Runs with numbers that are not finite are unknown.
    """
    problem = checked_problem(problem)
    n = len(patterns)
    for name, array, shape in (
        ("w", w, (n, 2, problem.dimension)),
        ("v", v, (n, 2)),
        ("z", z, (n, 2, 2)),
        ("sliding", z if sliding is None else sliding, (n, 2, 2)),
    ):
        if np.shape(array) != shape:
            got = Verbatim(f"shape {np.shape(array)}")
            raise ArgumentValueError(name, got, f"shape {shape}", "Give one row per run.")
    slides = np.zeros((n, 2, 2), np.bool_) if sliding is None else sliding
    return limits_of(problem, states_of(problem, w, v, z, pairs_of(patterns), slides))[0]


@np.errstate(all="ignore")
def limits_of(problem: Problem, states: States) -> tuple[Limits, Motion]:
    """Return what is known of runs from their states, and the late motion that it follows from."""
    motion = _late_motion(problem, states)
    equal = bool(problem.y[0] == problem.y[1])
    finite = _finite(states)
    stuck = _stays_misclassified(problem, states, motion) & finite
    reason = _reasons(problem, states, motion, stuck)
    reason[~finite] = Reason.DIVERGED
    solved = reason == Reason.NOTHING
    known = solved | stuck | (equal & _is_one_of(reason, Reason.EQUAL_LABELS, Reason.AT_REST))
    law, limit, constant, shift, boundary = _law_of_gap(problem, motion, solved)
    otherwise = np.where(stuck, Law.CONSTANT.code, (Law.NONE if equal else Law.UNKNOWN).code)
    law = np.where(known, np.where(solved, law, otherwise), Law.UNKNOWN.code)
    limit = np.where(stuck, optimal_margin(problem), np.where(solved, limit, np.nan))
    has_limit = solved & ~np.isnan(limit)
    return Limits(
        known=known,
        has_coefficients=_has_coefficients(states, reason),
        law=law.astype(np.uint8),
        reason=reason,
        limit=limit,
        constant=np.where(has_limit, constant, np.nan),
        shift=np.where(has_limit, shift, np.nan),
        boundary=np.where(solved, boundary, np.nan),
    ), motion


def _late_motion(problem: Problem, states: States) -> Motion:
    """Return the late motion of the region, with G_01 = 0 where rounding cannot tell it from that."""
    gram = states.gram.without_cross() if states.gram.orthogonal else states.gram
    if problem.train_output:
        return trained_motion(problem, gram, states, states.slides)
    return fixed_motion(problem, gram, states, states.slides)


def _finite(states: States) -> Flags:
    w, v, z = states.w, states.v, states.z
    finite = np.isfinite(w).all(axis=(1, 2)) & np.isfinite(v).all(axis=1) & np.isfinite(z).all(axis=(1, 2))
    return np.asarray(finite)


def _has_coefficients(states: States, reason: Codes) -> Flags:
    with_them = (Reason.NOTHING, Reason.EQUAL_LABELS, Reason.UNSUPPORTED, Reason.AT_REST, Reason.UNSEEN)
    return _is_one_of(reason, *with_them) & ~any_of(states.fates.dies, 1)


def _is_one_of(reason: Codes, *reasons: Reason) -> Flags:
    """Return where a code is one of these; `numpy.isin` takes ten times as long."""
    chosen = np.zeros(256, np.bool_)
    chosen[list(reasons)] = True
    return chosen[reason]


# --------------------------------------------------------------------------------------------------
# The law of the gap


def _law_of_gap(
    problem: Problem, motion: Motion, solved: Flags
) -> tuple[NDArray[np.int64], Floats, Floats, Floats, Floats]:
    """Return law, limit, constant, shift and limit of the boundary where the motion is the final one."""
    if problem.y[0] == problem.y[1]:
        nan = np.full(len(solved), np.nan)
        return np.full(len(solved), Law.NONE.code), nan, nan, nan, nan
    series, boundary = gap_series(problem, optimal_margin(problem), motion)
    limit, constant, shift = series[:, 0], series[:, 1], -series[:, 2] / series[:, 1]
    to_zero, to_limit = (
        (Law.SHIFTED_ROOT, Law.LIMIT_SHIFTED_ROOT)
        if problem.train_output
        else (Law.SHIFTED_LOG, Law.LIMIT_SHIFTED_LOG)
    )
    law = np.where(limit == 0, to_zero.code, to_limit.code)
    vanishing = solved & (limit == 0) & (constant == 0)
    law = np.where(vanishing, Law.FASTER.code, law)
    if isinstance(motion, TrainedMotion):
        constant, law = _without_root(problem, vanishing, series, motion, law)
        shift = np.where(vanishing, np.nan, shift)
    constant = np.where(law == Law.FASTER.code, np.nan, constant)
    return law, limit, constant, np.where(constant == 0, np.nan, shift), boundary


def _without_root(
    problem: Problem, vanishing: Flags, series: Floats, motion: TrainedMotion, law: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.int64]]:
    """Return constants and laws with those of trained runs whose 1/√ln t term is zero (eqs. 19 and 20)."""
    second = series[:, 2]
    difference = np.abs(np.diff(motion.invariant**2, axis=1)[:, 0])
    cubic = optimal_margin(problem) * difference / (16 * motion.effective[:, 0])
    both = np.sum(motion.slides, axis=(1, 2)) == 2
    constant = np.where(vanishing, np.where(second != 0, second, np.where(both, cubic, 0)), series[:, 1])
    named = np.where(
        second != 0, Law.INVERSE_LOG.code, np.where(both & (cubic > 0), Law.INVERSE_CUBE.code, law)
    )
    return constant, np.where(vanishing, named, law)


# --------------------------------------------------------------------------------------------------
# Points that stay misclassified for ever (section 6 of the theory, lemma 6)


def _stays_misclassified(problem: Problem, states: States, motion: Motion) -> Flags:
    """Return whether a point does, shape (n,)."""
    if problem.y[0] == problem.y[1]:
        return np.zeros(len(states.v), bool)
    if not problem.train_output:
        return np.asarray(any_of(_never_served(problem, states), 1))
    steady = motion.steady
    silent = ~any_of(motion.active, 2)
    owner = steady & motion.serving & ~steady[:, :, ::-1]
    same = any_of(owner[:, 0] & owner[:, 1], 1)
    fates = states.fates
    # A point that its only neuron leaves, while the other neuron keeps to the other point;
    left = fates.leaves[:, :, None] & steady & owner[:, ::-1, ::-1]
    # one that two neurons see, of which one turns to it or dies.
    either = (fates.undecided & fates.may_turn & fates.may_die)[:, :, None] & steady & owner[:, ::-1]
    return np.asarray(any_of(silent, 1) | same | any_of(left | either, 1, 2))


def _never_served(problem: Problem, states: States) -> Flags:
    """Return whether no neuron that serves point i can ever be active on it; output weights fixed, (n, 2)."""
    gram, active, z = states.gram, states.active, states.z
    serves = serving(problem, states.v)
    can_serve = serves & active
    if gram.cross < 0 or gram.orthogonal:
        # The other point, i, lifts z_jk by |G_01|/G_ii of what it takes from z_ji, until z_ji <= 0.
        lift = abs(gram.cross) / positive_diagonal(gram)
        # Both reach 0 together where the points are on one line through the origin.
        highest = z + sawtooth_heights(problem, gram, states.v, z)
        lifted = lift * highest >= -z[:, :, ::-1] * (1 - ROUNDING)
        can_serve |= serves & (active & lifted)[:, :, ::-1]
    return np.asarray(~any_of(can_serve, 1))


# --------------------------------------------------------------------------------------------------
# Reasons


def _reasons(problem: Problem, states: States, motion: Motion, stuck: Flags) -> Codes:
    equal = problem.y[0] == problem.y[1]
    steady = motion.steady
    unserved = ~any_of(motion.serving & steady, 1)
    wrong = steady & ~motion.serving
    unseen = unserved & ~any_of(motion.active, 1)
    seen_wrong = unserved & any_of(motion.slides | wrong, 1)
    silent = ~any_of(motion.active, 2)
    holds = motion.holds != 0
    settled = ~any_of(wrong, 1, 2) if problem.train_output else np.ones(len(stuck), bool)

    reason = motion.reason.copy()
    reason[~holds & (reason == Reason.NOTHING)] = Reason.EARLY
    reason[(reason == Reason.NOTHING) & equal] = Reason.EQUAL_LABELS
    reason[(reason == Reason.NOTHING) & any_of(seen_wrong, 1) & (not equal)] = Reason.EARLY
    reason[_kick_matters(problem, states) & (reason == Reason.NOTHING)] = Reason.LAST_BIT
    reason[any_of(states.fates.undecided, 1)] = Reason.LAST_BIT
    reason[stuck] = Reason.UNSERVED
    reason[stuck & settled & holds & any_of(unseen, 1)] = Reason.UNSEEN
    reason[stuck & settled & any_of(seen_wrong, 1)] = Reason.WRONG_NEURON
    reason[stuck & ~settled & any_of(silent, 1)] = Reason.ONE_NEURON
    reason[~any_of(motion.active, 1, 2)] = Reason.AT_REST
    return reason


def _kick_matters(problem: Problem, states: States) -> Flags:
    """Return whether it matters that a G_01 which may be 0 brings a neuron to its kink, shape (n,)."""
    gram = states.gram
    if not gram.orthogonal or gram.cross == 0 or problem.y[0] == problem.y[1]:
        return np.zeros(len(states.v), bool)
    size = np.abs(states.z).max(axis=(1, 2))[:, None, None]
    return any_of(states.near & (kicks(problem, states) > ROUNDING * size), 1, 2)


def kicks(problem: Problem, states: States) -> Floats:
    """Return how far a neuron is kicked off a kink to which G_01, 0 up to rounding, brings it, (n, 2, 2).

    Until then z_jk rises by G_kk times what z_ji lacks, over G_01, and the pushes fall as its margin grows.
    """
    gram, v, z = states.gram, states.v, states.z
    rise = np.diag(gram.matrix)[::-1] * np.maximum(-z, 0) / abs(gram.cross)
    return np.asarray(sawtooth_heights(problem, gram, v, z) * np.exp(-np.abs(v)[:, :, None] * rise))
