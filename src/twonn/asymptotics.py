"""Where a run ends up as t → ∞, in closed form: final region, boundary, rate law, parameters in ln t.

The functions on arrays take runs along a first axis, so that one implementation serves a single run and a
sweep. Their results are derived, with the numbers of the equations cited here, in docs/theory.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn import _core, geometry
from twonn.problem import Params, Problem, Verbatim, check_compatible, checked_problem, refusal, single_run
from twonn.trajectory import Status, Trajectory
from twonn.values import Value

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Names of the laws of the gap; where one begins with "limit", that limit is not 0.
LAWS = (
    "unknown",
    "constant",
    "C/(ln t + κ)",
    "limit + C/(ln t + κ)",
    "C/(√(ln t) + κ)",
    "limit + C/(√(ln t) + κ)",
    "C/ln t",
    "C/(ln t)^3",
    "faster than C/ln t",
    "none",
)
_LAW = {name: code for code, name in enumerate(LAWS)}

#: Why there is no closed form, or not all of it; the first says nothing.
REASONS = (
    "",
    "The labels are equal, so there is no separator and no gap; the parameters follow their coefficients.",
    "The activation pattern is not the final one: a pre-activation is on its way to its kink, and what "
    "happens there is not a matter of coefficients. Give a later state.",
    "A sample that only a wrong neuron sees stays misclassified, and its gradient does not decay.",
    "Only one of the samples supports the growth: the accumulated slopes of the other tend to a number, or "
    "grow like ln ln t with one, that has no closed form.",
    "The samples act on the margins in the same way, so that their accumulated slopes are not determined.",
    "With trained output weights a closed form is known only where every sample is seen by one neuron, which "
    "is not active on the other one.",
    "No unit is active on any sample, so nothing moves.",
    "A sample is seen by no neuron: f = 0 there for ever.",
    "The run diverged.",
    "Closed forms are known for gradient descent only.",
)
_EQUAL, _EARLY, _WRONG, _UNSUPPORTED, _SINGULAR = range(1, 6)
_COUPLED, _RESTING, _UNSEEN, _DIVERGED, _OPTIMIZER = range(6, 11)

#: A slope, a limit or a constant below this part of what it is the difference of is zero: it is rounding.
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


# --------------------------------------------------------------------------------------------------
# One run


@dataclass(frozen=True, eq=False, repr=False)
class Asymptote(Value):
    """What becomes of a run as t → ∞.

    Attributes
    ----------
    known : bool
        Whether the law of the gap, or for equal labels that of the parameters, is known in closed form.
    reason : str
        Why it is not, or what is special; empty otherwise.
    pattern : int
        Activation pattern of the final region, bit 2j + i; 0 for pairs that slide.
    sliding : tuple of (int, int)
        Pairs (neuron, sample) that slide along the kink in it.
    final : bool or None
        Whether its activation conditions hold as t → ∞; None where one of them is exactly marginal.
    conditions : ndarray, shape (2, 2)
        Margins of these conditions, indexed [neuron, sample], positive where they hold: the coefficient of
        ln t (or √ln t) in z_ji where the neuron is active, its negative where it is not, and 1 − θ for a
        pair that slides with active fraction θ.
    condition_offsets : ndarray, shape (2, 2)
        Constant term of the same; it decides where `conditions` is 0.
    limit : float
        Of the gap, in the units of x; nan if unknown.
    boundary : float
        Limit of the boundary; nan if unknown, and for d > 1.
    law : str
        One of `LAWS`.
    constant, shift : float
        C and κ of the law; nan where it has none.
    u : ndarray, shape (2,)
        Share of each sample: h s_i ~ u_i/t (theory, eq. 5); for trained output weights nan.
    decay : float
        λ: deviations decay like t^−min(1, λ) ln t (eq. 8); nan where it is not known.
    variable : str
        "ln t" or "√(ln t)", in which the parameters are affine.
    w_slope, w_offset, b_slope, b_offset, v_slope, v_offset : ndarray, shapes (2, d), (2,), (2,)
        Coefficients of the parameters in that variable; nan where they are unknown.
    """

    known: bool
    reason: str
    pattern: int
    sliding: tuple[tuple[int, int], ...]
    final: bool | None
    conditions: Floats
    condition_offsets: Floats
    limit: float
    boundary: float
    law: str
    constant: float
    shift: float
    u: Floats
    decay: float
    variable: str
    w_slope: Floats
    w_offset: Floats
    b_slope: Floats
    b_offset: Floats
    v_slope: Floats
    v_offset: Floats
    _problem: Problem = field(repr=False)
    _motion: _Fixed | _Trained | None = field(repr=False)

    def gap(self, log_t: ArrayLike) -> Floats:
        """Return the predicted gap at given natural logarithms of the step.

        It is that of the network with the predicted parameters, hence better than the law alone: for fixed
        output weights wrong by O(t^−min(1, λ) ln t) only (eq. 8); for trained ones its margins are wrong by
        24/m⁴ (eq. 18).

        Parameters
        ----------
        log_t : array_like

        Returns
        -------
        ndarray
            Of the shape of `log_t`; nan where ln t is so small that a predicted margin is not positive, and
            everywhere if the law is unknown.
        """
        log_t = np.asarray(log_t, dtype=np.float64)
        if self.law == "constant":
            return np.where(np.isnan(log_t), np.nan, self.limit)
        if not self.known or self._motion is None:
            return np.full(log_t.shape, np.nan)
        return self._motion.gap(self._problem, np.where(np.isfinite(log_t), log_t, np.nan))

    def report(self) -> str:
        """Return what is known, one fact per line, for people."""
        facts = {
            "law": self.law,
            "constant": f"{self.constant:.12g}",
            "shift": f"{self.shift:.12g}",
            "limit": f"{self.limit:.12g}",
            "boundary": f"{self.boundary:.12g}",
            "region": f"{self.pattern:04b}"
            + "".join(f", neuron {j} slides at sample {i}" for j, i in self.sliding)
            + {True: "; final", False: "; not final", None: "; not known to be final"}[self.final],
            "reason": self.reason,
        }
        return "\n".join(f"    {name:<12} {text}" for name, text in facts.items() if text not in ("nan", ""))

    def __repr__(self) -> str:
        return f"Asymptote\n{self.report()}"


def asymptote(problem: Problem, params_or_trajectory: Params | Trajectory) -> Asymptote:
    """Return where gradient descent ends up from a state, in closed form.

    Parameters
    ----------
    problem : Problem
    params_or_trajectory : Params or Trajectory
        A state, or a run, whose last sample is taken. Any state of the final region gives the same answer
        (output weights fixed), also one from which neurons have yet to reach the kinks along which they will
        slide (eq. 12); from an earlier one the law is unknown.

    Returns
    -------
    Asymptote

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.

    Notes
    -----
    "Final" means that the activation conditions hold as t → ∞. That no other transition happens between the
    state and then follows for an inactive pair that recedes, and is otherwise not examined.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095; docs/theory.md.
    """
    problem = checked_problem(problem)
    if isinstance(params_or_trajectory, Trajectory):
        return _of_trajectory(problem, params_or_trajectory)
    check_compatible(problem, params_or_trajectory)
    params = single_run(params_or_trajectory)
    z = _core.preactivations(params.w[None], params.b[None], problem.x)
    return _single(problem, params, z, z > 0, np.zeros((1, 2, 2), bool), 0)


def _of_trajectory(problem: Problem, traj: Trajectory) -> Asymptote:
    if traj.problem != problem:
        raise ValueError(
            refusal("problem", problem, f"that of the trajectory, {traj.problem!r}", "Pass traj.problem.")
        )
    bits = np.arange(4, dtype=np.uint8).reshape(2, 2)
    slides = (traj.unphased[-1] >> bits & 1).astype(bool)
    for episode in traj.slides[np.isinf(traj.slides["t_exit"])]:
        slides[episode["neuron"], episode["sample"]] = True
    active = (traj.pattern[-1] >> bits & 1).astype(bool)
    fault = _DIVERGED if traj.status is Status.DIVERGED else _OPTIMIZER if traj.optimizer is not None else 0
    return _single(problem, traj.final, traj.preactivations[-1:], active[None], slides[None], fault)


@np.errstate(all="ignore")
def _single(
    problem: Problem, params: Params, z: Floats, active: Flags, slides: Flags, fault: int
) -> Asymptote:
    limits, motion = _limits(problem, params.w[None], params.v[None], z, active, slides)
    reason = fault or int(limits.reason[0])
    known = not fault and bool(limits.known[0])
    nan = np.full(2, np.nan)
    # Where only the gap is known, the coefficients are not.
    told = not fault and reason in (0, _EQUAL, _UNSUPPORTED, _RESTING, _UNSEEN)
    slope = motion.pushed[0] if told else np.full((2, 2), np.nan)
    offset = motion.held[0] if told else np.full((2, 2), np.nan)
    last = motion.active[0] & ~motion.slides[0]
    b = params.b if problem.bias else np.zeros(2)
    bias = float(problem.bias)
    return Asymptote(
        known=known,
        reason=REASONS[reason],
        pattern=int(sum(1 << (2 * j + i) for j, i in np.argwhere(last))),
        sliding=tuple((int(j), int(i)) for j, i in np.argwhere(motion.slides[0])),
        final=None if fault or limits.final[0] < 0 else bool(limits.final[0]),
        conditions=motion.conditions[0],
        condition_offsets=motion.condition_offsets[0],
        limit=math.nan if fault else float(limits.limit[0]),
        boundary=math.nan if fault else float(limits.boundary[0]),
        law=LAWS[limits.law[0]] if not fault else "unknown",
        constant=math.nan if fault else float(limits.constant[0]),
        shift=math.nan if fault else float(limits.shift[0]),
        u=motion.u[0] if told else nan,
        decay=float(motion.decay[0]) if told else math.nan,
        variable="√(ln t)" if problem.train_output else "ln t",
        w_slope=slope @ problem.x,
        w_offset=params.w + offset @ problem.x,
        b_slope=bias * slope.sum(axis=1),
        b_offset=b + bias * offset.sum(axis=1),
        v_slope=motion.v_slope[0] if told else nan,
        v_offset=motion.v_offset[0] if told else nan,
        _problem=problem,
        _motion=motion if known and told else None,
    )


# --------------------------------------------------------------------------------------------------
# Many runs


@dataclass(frozen=True)
class Limits:
    """Limits and constants of the gap of n runs.

    Attributes
    ----------
    known : ndarray of bool, shape (n,)
    final : ndarray of int8, shape (n,)
        1 if the activation conditions hold as t → ∞, 0 if not, −1 if one is exactly marginal.
    law, reason : ndarray of uint8, shape (n,)
        Indices of `LAWS` and `REASONS`.
    limit, constant, shift, boundary : ndarray, shape (n,)
        As in `Asymptote`.
    """

    known: Flags
    final: NDArray[np.int8]
    law: NDArray[np.uint8]
    reason: NDArray[np.uint8]
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
    sliding: NDArray[np.uint8] | None = None,
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
    sliding : ndarray of uint8, shape (n,), optional
        Pairs that slide, coded like a pattern, as `Trajectory.unphased`.

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
        ("sliding", patterns if sliding is None else sliding, (n,)),
    ):
        if np.shape(array) != shape:
            got = Verbatim(f"shape {np.shape(array)}")
            raise ValueError(refusal(name, got, f"shape {shape}", "Give one row per run."))
    bits = np.arange(4, dtype=np.uint8).reshape(2, 2)
    slides = np.zeros(n, np.uint8) if sliding is None else sliding
    lit, caught = ((codes[:, None, None] >> bits & 1).astype(bool) for codes in (patterns, slides))
    return _limits(problem, w, v, z, lit, caught)[0]


@np.errstate(all="ignore")
def _limits(
    problem: Problem, w: Floats, v: Floats, z: Floats, active: Flags, slides: Flags
) -> tuple[Limits, _Fixed | _Trained]:
    motion = (_trained if problem.train_output else _fixed)(problem, w, v, z, active, slides)
    equal = problem.y[0] == problem.y[1]
    optimal = geometry.optimal_margin(problem)
    final, holds = motion.final, np.asarray(motion.final != 0)
    # A sample that no active neuron serves is misclassified; it stays so if no serving one can move again
    # or if everything is settled (section 6 of the theory).
    serving = _serving(problem, v)
    lit = motion.active & ~motion.slides
    unserved = ~_any(serving & lit, 1)
    seen_wrong = _any(motion.slides | (lit & ~serving), 1) & unserved
    unseen = ~_any(motion.active, 1)
    hopeless = unserved & ~_any(serving & _any(motion.active, 2)[:, :, None], 1)
    stuck = _any(hopeless | (unserved & unseen & holds[:, None]), 1) & (not equal)
    resting = ~_any(motion.active, 1, 2)

    reason = motion.reason.copy()
    reason[~holds & (reason == 0)] = _EARLY
    reason[(reason == 0) & equal] = _EQUAL
    reason[(reason == 0) & _any(unseen, 1) & stuck] = _UNSEEN
    reason[_any(seen_wrong, 1) & (not equal) & ((reason == 0) | stuck)] = _WRONG
    reason[resting] = _RESTING
    finite = np.isfinite(w).all(axis=(1, 2)) & np.isfinite(v).all(axis=1) & np.isfinite(z).all(axis=(1, 2))
    reason[~finite] = _DIVERGED
    solved = reason == 0
    known = solved | ((stuck | ((reason == _EQUAL) | (reason == _RESTING)) & equal) & finite)

    if equal:
        series = np.full((len(w), 3), np.nan)
        boundary = np.full(len(w), np.nan)
    else:
        series, boundary = _gap_series(problem, optimal, motion, serving)
    limit, constant, shift = series[:, 0], series[:, 1], -series[:, 2] / series[:, 1]
    law = np.where(limit == 0, 2, 3) + (2 if problem.train_output else 0)
    vanishing = solved & (limit == 0) & (constant == 0)
    law = np.where(vanishing, _LAW["faster than C/ln t"], law)
    if problem.train_output:
        constant, law = _without_root(vanishing, series, motion, optimal, law)
        shift = np.where(vanishing, np.nan, shift)
    constant = np.where(law == _LAW["faster than C/ln t"], np.nan, constant)
    shift = np.where(constant == 0, np.nan, shift)
    limit = np.where(stuck & finite, optimal, np.where(solved, limit, np.nan))
    law = np.where(solved, law, np.where(stuck & finite, _LAW["constant"], _LAW["none"] if equal else 0))
    law = np.where(known, law, 0)
    return Limits(
        known=known,
        final=final,
        law=law.astype(np.uint8),
        reason=reason,
        limit=limit,
        constant=np.where(solved & ~np.isnan(limit), constant, np.nan),
        shift=np.where(solved & ~np.isnan(limit), shift, np.nan),
        boundary=np.where(solved, boundary, np.nan),
    ), motion


def _without_root(
    vanishing: Flags, series: Floats, motion: _Fixed | _Trained, optimal: float, law: Any
) -> tuple[Floats, Any]:
    """Return constants and laws with those of trained runs whose 1/√ln t term is zero (eqs. 19 and 20)."""
    assert isinstance(motion, _Trained)
    second = series[:, 2]
    cubic = optimal * np.abs(np.diff(motion.invariant**2, axis=1)[:, 0]) / (16 * motion.effective[:, 0])
    both = np.sum(motion.slides, axis=(1, 2)) == 2
    constant = np.where(vanishing, np.where(second != 0, second, np.where(both, cubic, 0)), series[:, 1])
    named = np.where(second != 0, _LAW["C/ln t"], np.where(both & (cubic > 0), _LAW["C/(ln t)^3"], law))
    return constant, np.where(vanishing, named, law)


# --------------------------------------------------------------------------------------------------
# Output weights fixed


@dataclass(frozen=True, eq=False)
class _Fixed(Value):
    """Affine motion in ln t: C_jk = pushed ln t + held, from the state that it was made from."""

    active: Flags
    slides: Flags
    u: Floats
    decay: Floats
    pushed: Floats
    held: Floats
    z_slope: Floats
    z_offset: Floats
    w: Floats
    v: Floats
    margin_offset: Floats  # m_i − ln t
    conditions: Floats
    condition_offsets: Floats
    final: NDArray[np.int8]
    reason: NDArray[np.uint8]

    @property
    def v_slope(self) -> Floats:
        return np.zeros_like(self.v)

    @property
    def v_offset(self) -> Floats:
        return self.v

    def output_series(self, problem: Problem) -> tuple[Floats, Floats]:
        """Return v_0 z_0 + v_1 z_1 at the samples (n, 2, 3), and Σ_j v_j w_j (n, d, 3), over ln t.

        What is active on sample i adds up to y_i m_i, known without cancellation.
        """
        off = ~self.active & ~self.slides
        slope = problem.y + _over_neurons(self.v[:, :, None] * np.where(off, self.z_slope, 0))
        offset = problem.y * self.margin_offset + _over_neurons(
            self.v[:, :, None] * np.where(off, self.z_offset, 0)
        )
        w = self.v[:, :, None, None] * self.weight_series(problem)
        return _series(slope, offset), w[:, 0] + w[:, 1]

    def weight_series(self, problem: Problem) -> Floats:
        """Return w over ln t, shape (n, 2, d, 3)."""
        return _series(self.pushed @ problem.x, self.w + self.held @ problem.x)

    @np.errstate(all="ignore")
    def gap(self, problem: Problem, log_t: Floats) -> Floats:
        """Return the gap of a single run at these times."""
        times = log_t[..., None, None]
        c = self.pushed[0] * times + self.held[0]
        z = self.z_slope[0] * times + self.z_offset[0]
        v = np.broadcast_to(self.v[0], (*log_t.shape, 2))
        gap = geometry.gap_of(problem, self.w[0] + c @ problem.x, v, z)
        positive = (log_t[..., None] + self.margin_offset[0] > 0).all(axis=-1)
        return np.where(positive, gap, np.nan)


def _fixed(problem: Problem, w: Floats, v: Floats, z: Floats, active: Flags, slides: Flags) -> _Fixed:
    """Solve H u = 1 (eqs. 3 to 7, 11) in the final region, into which sliding pairs are followed (eq. 12)."""
    gram, y = _gram(problem), problem.y
    serving = _serving(problem, v)
    slides = slides & serving[:, :, ::-1] & active[:, :, ::-1]
    for _ in range(3):
        push, held, z_push, z_star = _pushes(gram, y, v, z, active, slides)
        lit = active & ~slides
        weights = y * np.where(lit, v[:, :, None], 0)  # y_i v_j a_ji
        h = _over_neurons(weights[..., None] * z_push)
        m_star = _over_neurons(weights * z_star)
        u, accumulated, reason = _shares(h, m_star, math.log(problem.rate))
        z_slope = _rounded_sum(z_push * u[:, None, None, :])
        out_of_place = np.where(active, z_slope < 0, z_slope > 0)
        caught = out_of_place & ~slides & serving[:, :, ::-1] & ~serving & active[:, :, ::-1]
        if not (gram[0, 1] > 0 and y[0] != y[1] and caught.any()):
            break
        slides = slides | caught
    z_offset = z_star + _pushed(z_push, accumulated)
    theta = _theta(gram, u)
    sign = np.where(active, 1.0, -1.0)
    conditions = np.where(slides, 1 - theta[:, None, :], sign * z_slope)
    offsets = np.where(slides, 0.0, sign * z_offset)
    return _Fixed(
        active=active,
        slides=slides,
        u=u,
        decay=u[:, 0] * u[:, 1] * (h[:, 0, 0] * h[:, 1, 1] - h[:, 0, 1] * h[:, 1, 0]),
        pushed=_pushed(push, u),
        held=held + _pushed(push, accumulated),
        z_slope=z_slope,
        z_offset=z_offset,
        w=w,
        v=v,
        margin_offset=math.log(problem.rate) - np.log(u),
        conditions=conditions,
        condition_offsets=offsets,
        final=_final(active, slides, conditions, offsets),
        reason=reason,
    )


def _pushes(
    gram: Floats, y: NDArray[np.int64], v: Floats, z: Floats, active: Flags, slides: Flags
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return how C_jk and z_ji depend on the accumulated A_l, and where they start (eqs. 1, 2 and 10).

    Returns
    -------
    push, held : ndarray, shapes (n, 2, 2, 2) and (n, 2, 2)
        C_jk = Σ_l push_jkl A_l + held_jk.
    z_push, z_star : ndarray, likewise
        z_ji = Σ_l z_push_jil A_l + z_star_ji.
    """
    yv = y * v[:, :, None]
    own = np.where(active & ~slides, yv, 0)
    push = own[..., None] * np.eye(2)
    diagonal = np.where(np.diag(gram) > 0, np.diag(gram), 1.0)
    back = gram[0, 1] / diagonal  # by sample i that the pair slides at
    k = (1, 0)
    push[:, :, (0, 1), k] = np.where(slides, -back * own[:, :, k], push[:, :, (0, 1), k])
    held = np.where(slides, -z / diagonal, 0)
    z_push = _through(gram, push)
    z_star = z + _through(gram, held)
    return push, held, np.where(slides[..., None], 0, z_push), np.where(slides, 0, z_star)


def _shares(h: Floats, m_star: Floats, log_rate: float) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """Return u and e of A_k = u_k ln t + e_k (eqs. 5 and 6), and where they are not determined.

    A sample without a row in H has u = 0 and e = 0. Where u_i <= 0, sample i does not support, and e_i is
    nan (section 5 of the theory).
    """
    diagonal = np.stack([h[:, 0, 0], h[:, 1, 1]], axis=1)
    seen = diagonal > 0
    determinant = h[:, 0, 0] * h[:, 1, 1] - h[:, 0, 1] * h[:, 1, 0]
    singular = ~_any(~seen, 1) & (np.abs(determinant) <= _ROUNDING * diagonal[:, 0] * diagonal[:, 1])
    u = np.stack([h[:, 1, 1] - h[:, 0, 1], h[:, 0, 0] - h[:, 1, 0]], axis=1) / determinant[:, None]
    both = ~_any(~seen, 1) & ~singular
    supporting = np.where(both[:, None], u * diagonal > _ROUNDING, seen)
    alone = _any(~supporting, 1)
    u = np.where(alone[:, None], np.where(supporting, 1 / diagonal, 0), u)
    right = log_rate - np.log(u) - m_star
    inverse = np.stack(
        [
            h[:, 1, 1] * right[:, 0] - h[:, 0, 1] * right[:, 1],
            h[:, 0, 0] * right[:, 1] - h[:, 1, 0] * right[:, 0],
        ],
        axis=1,
    )
    offset = np.where(
        alone[:, None],
        np.where(supporting, right / diagonal, np.where(seen, np.nan, 0)),
        inverse / determinant[:, None],
    )
    reason = np.zeros(len(h), np.uint8)
    reason[_any(seen & ~supporting, 1)] = _UNSUPPORTED
    reason[singular] = _SINGULAR
    return u, offset, reason


def _pushed(push: Floats, accumulated: Floats) -> Floats:
    """Return Σ_l push_l e_l, not nan where an unknown e_l pushes nothing."""
    terms = np.where(push == 0, 0, push * accumulated[:, None, None, :])
    return np.asarray(terms[..., 0] + terms[..., 1])


def _theta(gram: Floats, u: Floats) -> Floats:
    """Return the active fraction of a neuron that slides at sample i, shape (n, 2) (eq. 11)."""
    diagonal = np.where(np.diag(gram) > 0, np.diag(gram), 1.0)
    return np.asarray(u[:, ::-1] * gram[0, 1] / (u * diagonal))


def _final(active: Flags, slides: Flags, conditions: Floats, offsets: Floats) -> NDArray[np.int8]:
    """Return whether the conditions hold: 1, 0, or −1 where θ = 1 up to rounding."""
    frozen = (conditions == 0) & np.where(active, offsets > 0, offsets >= 0)
    marginal = slides & (np.abs(conditions) <= _ROUNDING)
    holds = ~_any(~((conditions > 0) | frozen | marginal), 1, 2)
    return np.where(holds, np.where(_any(marginal, 1, 2), -1, 1), 0).astype(np.int8)


# --------------------------------------------------------------------------------------------------
# Output weights trained


@dataclass(frozen=True, eq=False)
class _Trained(Value):
    """Motion with every sample k seen by one neuron j alone: C_jk = (z_jk − z*_jk)/Ĝ_k (eqs. 14 to 18).

    Arrays by sample have shape (n, 2); those of C in √m_k have shape (n, 2, 2) as for fixed output weights.
    """

    active: Flags
    slides: Flags
    effective: Floats  # Ĝ_k
    invariant: Floats  # D_k
    start: Floats  # z*_jk by sample
    gain: Floats  # dC_jk/dz_own, dC_ji/dz_own: shape (n, 2, 2)
    base: Floats  # C where z_own = 0
    z_gain: Floats
    z_base: Floats
    owner: Flags  # [j, k]
    w: Floats
    v: Floats
    conditions: Floats
    condition_offsets: Floats
    final: NDArray[np.int8]
    reason: NDArray[np.uint8]

    @property
    def u(self) -> Floats:
        return np.full((len(self.v), 2), np.nan)

    @property
    def decay(self) -> Floats:
        return np.full(len(self.v), np.nan)

    def _by_neuron(self, by_sample: Floats) -> Floats:
        """Return what belongs to the neuron of each sample, shape (n, 2); 0 for neurons at rest."""
        return np.asarray(np.where(self.owner, by_sample[:, None, :], 0).sum(axis=2))

    @property
    def _own_slope(self) -> Floats:
        """z_own over √m of each neuron, shape (n, 2); 0 for neurons at rest."""
        return self._by_neuron(self.effective**0.25)

    @property
    def pushed(self) -> Floats:
        return self.gain * self._own_slope[:, :, None]

    @property
    def held(self) -> Floats:
        return self.base

    @property
    def v_slope(self) -> Floats:
        slope = np.sign(self.v) * self._by_neuron(self.effective**-0.25)
        return np.where(_any(self.owner, 2), slope, 0)

    @property
    def v_offset(self) -> Floats:
        return np.where(_any(self.owner, 2), 0.0, self.v)

    def output_series(self, problem: Problem) -> tuple[Floats, Floats]:
        """Return v_0 z_0 + v_1 z_1 and Σ_j v_j w_j as for fixed output weights, over m in 1/√m (eq. 17)."""
        off = ~self.active & ~self.slides & _any(self.owner, 2)[:, :, None]
        excess = 0.5 * np.log(self.effective)  # m_i = m + excess + o(1)
        by_neuron = self._by_neuron(excess)[:, :, None]
        nu = self.v_slope[:, :, None]
        z_slope = np.where(off, self.z_gain * (nu * self._own_slope[:, :, None]), 0)
        z_offset = np.where(off, nu * self.z_base, 0)
        output = np.stack(
            [
                problem.y + _over_neurons(z_slope),
                _over_neurons(z_offset),
                problem.y * excess + _over_neurons(z_slope * by_neuron),
            ],
            axis=-1,
        )
        w_slope, w_offset = nu * (self.pushed @ problem.x), nu * (self.w + self.base @ problem.x)
        w = np.stack([w_slope, w_offset, w_slope * by_neuron], axis=-1)
        return output, w[:, 0] + w[:, 1]

    def weight_series(self, problem: Problem) -> Floats:
        """Return w over √m, shape (n, 2, d, 3)."""
        return _series(self.pushed @ problem.x, self.w + self.base @ problem.x)

    @np.errstate(all="ignore")
    def gap(self, problem: Problem, log_t: Floats) -> Floats:
        """Return the gap of a single run at these times."""
        invariant, effective = self.invariant[0], self.effective[0]
        log_ht = log_t[..., None] + math.log(problem.rate)
        with np.errstate(all="ignore"):
            margin = np.maximum(log_ht, 1.0)
            for _ in range(100):  # a contraction by about 1/m
                margin = np.maximum(log_ht + _log_pace(margin, invariant, effective), 1.0)
            spread = np.hypot(invariant, 2 * np.sqrt(effective) * margin)
            own = np.sqrt(
                np.where(
                    invariant > 0,
                    2 * effective * margin**2 / (spread + invariant),
                    (spread - invariant) / 2,
                )
            )
        by_neuron = np.where(self.owner[0], own[..., None, :], 0).sum(axis=-1)
        size = np.where(self.owner[0], (margin / own)[..., None, :], 0).sum(axis=-1)
        v = np.where(self.owner[0].any(axis=1), np.sign(self.v[0]) * size, self.v[0])
        c = self.gain[0] * by_neuron[..., None] + self.base[0]
        z = self.z_gain[0] * by_neuron[..., None] + self.z_base[0]
        gap = geometry.gap_of(problem, self.w[0] + c @ problem.x, v, z)
        return np.where((margin > 1).all(axis=-1), gap, np.nan)


def _log_pace(margin: Floats, invariant: Floats, effective: Floats) -> Floats:
    """Return m − ln(h t) as a function of m, the asymptotic series of eq. 16 to its fourth term."""
    square = invariant**2 + 4 * effective * margin**2
    first = 4 * effective * margin / square  # −φ'/φ, φ = square^(−1/2)
    second = 3 * first**2 - 4 * effective / square  # φ''/φ
    third = 15 * first**3 - 9 * first * 4 * effective / square  # −φ'''/φ
    return np.asarray(0.5 * np.log(square) - np.log1p(first + second + third))


def _trained(problem: Problem, w: Floats, v: Floats, z: Floats, active: Flags, slides: Flags) -> _Trained:
    gram, y = _gram(problem), problem.y
    other = (1, 0)
    serving = _serving(problem, v)
    slides = slides & serving[:, :, ::-1] & active[:, :, ::-1] & (y[0] != y[1]) & (gram[0, 1] > 0)
    lit = active & ~slides
    owner = lit & serving & ~lit[:, :, ::-1]
    coupled = _any(lit & ~owner, 1, 2) | _any(owner[:, 0] & owner[:, 1], 1)
    diagonal = np.where(np.diag(gram) > 0, np.diag(gram), 1.0)
    # By neuron and its own sample k: whether it slides at the other sample i, and G_ik/G_ii there.
    caught = slides[:, :, ::-1] & owner
    ratio = gram[0, 1] / diagonal[list(other)]
    effective = np.diag(gram) - np.where(caught.any(axis=1), gram[0, 1] * ratio, 0)
    star = z - np.where(caught, ratio * z[:, :, ::-1], 0)
    start = np.where(owner, star, 0).sum(axis=1)
    size = np.where(owner, np.abs(v)[:, :, None], 0).sum(axis=1)
    gain = np.where(owner, 1 / effective[:, None, :], 0)
    base = np.where(owner, -star / effective[:, None, :], 0)
    # On the kink, C_ji follows from z_ji = 0 (eq. 10).
    gain = gain + np.where(slides, -(gram[0, 1] / diagonal) * gain[:, :, ::-1], 0)
    base = base + np.where(slides, -(gram[0, 1] / diagonal) * base[:, :, ::-1] - z / diagonal, 0)
    z_gain = np.where(slides, 0, _through(gram, gain))
    z_base = np.where(slides, 0, z + _through(gram, base))
    z_base = np.where(owner, 0, z_base)
    theta = gram[0, 1] / diagonal * np.sqrt(effective / effective[:, ::-1])  # eq. 19
    sign = np.where(active, 1.0, -1.0)
    conditions = np.where(slides, 1 - theta[:, None, :], sign * z_gain)
    offsets = np.where(slides, 0.0, sign * z_base)
    # Points on one line through the origin leave a neuron that slides nothing to grow by.
    idle = _any(owner & (effective <= _ROUNDING * np.diag(gram))[:, None, :], 1, 2)
    reason = np.select([idle, coupled], [_SINGULAR, _COUPLED], 0).astype(np.uint8)
    return _Trained(
        active=active,
        slides=slides,
        effective=effective,
        invariant=effective * size**2 - start**2,
        start=start,
        gain=gain,
        base=base,
        z_gain=z_gain,
        z_base=z_base,
        owner=owner,
        w=w,
        v=v,
        conditions=conditions,
        condition_offsets=offsets,
        final=_final(active, slides, conditions, offsets),
        reason=reason,
    )


# --------------------------------------------------------------------------------------------------
# From the motion to the gap: series in the reciprocal of ln t, or of √m, to the second order


def _gap_series(
    problem: Problem, optimal: float, motion: _Fixed | _Trained, serving: Flags
) -> tuple[Floats, Floats]:
    """Return limit, constant and next coefficient of the gap, shape (n, 3), and the limit of the boundary.

    The gap is the largest shortfall of any linear function that bounds where a sample is misclassified:
    their sum, or the neuron that serves the sample (eq. 9).
    """
    direction = (problem.x[1] - problem.x[0]) / (2 * optimal)
    output, gradient = motion.output_series(problem)
    joint = _shortfall(optimal, direction, output, problem.y.astype(np.float64), gradient)
    weights, z = motion.weight_series(problem), _z_series(motion)
    kinks = [
        np.where(
            serving[:, j, :, None],
            _shortfall(optimal, direction, z[:, j], np.ones(2), weights[:, j]),
            -np.inf,
        )
        for j in (0, 1)
    ]
    candidates = np.concatenate([joint, *kinks], axis=1)
    candidates = np.where(np.isnan(candidates[..., :1]), -np.inf, candidates)
    candidates[:, :2] = _without_rounding(joint, output, optimal)
    best = _largest(candidates, _ROUNDING * optimal)
    # L = 0 at the midpoint plus half the difference of the samples times this, from −1 to 1.
    swing = (output[:, 0, 0] + output[:, 1, 0]) / (output[:, 0, 0] - output[:, 1, 0])
    boundary = np.full(len(best), np.nan)
    if problem.dimension == 1:
        swing = np.where(np.abs(swing) <= _ROUNDING, 0, swing)
        low, high = problem.x[:, 0]
        boundary = (low + high) / 2 + (high - low) / 2 * swing
    return best, boundary


def _z_series(motion: _Fixed | _Trained) -> Floats:
    if isinstance(motion, _Fixed):
        return _series(motion.z_slope, motion.z_offset)
    own = motion._own_slope[:, :, None]
    return _series(motion.z_gain * own, motion.z_base)


def _without_rounding(joint: Floats, output: Floats, optimal: float) -> Floats:
    """Return the series with 0 for coefficients that are rounding of the terms they are made of."""
    size = np.abs(output).max(axis=1)[:, None, :] / np.abs(output[:, :, :1]).max(axis=1)[:, None, :]
    return np.where(np.abs(joint) <= _ROUNDING * optimal * np.maximum(size, 1), 0, joint)


def _largest(candidates: Floats, tolerance: float) -> Floats:
    """Return the series that is largest in the end, shape (n, 3), of those along the second axis."""
    for order in range(3):
        top = candidates[..., order].max(axis=1, keepdims=True)
        scale = tolerance * np.maximum(1, np.abs(np.where(np.isfinite(top), top, 0)))
        behind = candidates[..., order] < top - scale
        candidates = np.where(behind[..., None], -np.inf, candidates)
    best = candidates[..., 0].argmax(axis=1)
    return np.asarray(candidates[np.arange(len(candidates)), best])


def _shortfall(optimal: float, direction: Floats, values: Floats, sign: Floats, gradient: Floats) -> Floats:
    """Return the series of optimal − distance to {sign_i L ≤ 0} at both samples, as `geometry.gap_of`.

    Parameters
    ----------
    optimal : float
    direction : ndarray, shape (d,)
        Unit vector from sample 0 to 1.
    values : ndarray, shape (n, 2, 3)
        A linear function L at the samples.
    sign : ndarray, shape (2,)
    gradient : ndarray, shape (n, d, 3)

    Returns
    -------
    ndarray, shape (n, 2, 3)
    """
    here, there = sign[:, None] * values, sign[:, None] * values[:, ::-1]
    # The part along the axis follows from L at the samples, without the rounding of w.
    along_axis = np.einsum("nds,d->ns", gradient, direction)
    across = optimal * (gradient - direction[:, None] * along_axis[:, None, :])
    across_square = _times(across, across).sum(axis=1)[:, None, :]
    along = (here - there) / 2
    span = _root(_times(along, along) + across_square)  # optimal ‖g‖
    bracket = np.where(along[..., :1] > 0, _over(across_square, span + along), span - along)
    return optimal * _over(bracket - (here + there) / 2, span)


def _series(slope: Floats, offset: Floats) -> Floats:
    return np.stack(np.broadcast_arrays(slope, offset, np.zeros(())), axis=-1)


def _times(a: Floats, b: Floats) -> Floats:
    a0, a1, a2 = np.moveaxis(a, -1, 0)
    b0, b1, b2 = np.moveaxis(b, -1, 0)
    return np.stack([a0 * b0, a0 * b1 + a1 * b0, a0 * b2 + a1 * b1 + a2 * b0], axis=-1)


def _over(a: Floats, b: Floats) -> Floats:
    a0, a1, a2 = np.moveaxis(a, -1, 0)
    b0, b1, b2 = np.moveaxis(b, -1, 0)
    q0 = a0 / b0
    q1 = (a1 - q0 * b1) / b0
    return np.stack([q0, q1, (a2 - q0 * b2 - q1 * b1) / b0], axis=-1)


def _root(a: Floats) -> Floats:
    a0, a1, a2 = np.moveaxis(a, -1, 0)
    r0 = np.sqrt(a0)
    r1 = a1 / (2 * r0)
    return np.stack([r0, r1, (a2 - r1**2) / (2 * r0)], axis=-1)


# --------------------------------------------------------------------------------------------------
# Arithmetic


def _gram(problem: Problem) -> Floats:
    """Return G_ik = x_i·x_k + 1 (without biases x_i·x_k), each entry rounded once, as in the kernel."""
    points: Sequence[Sequence[Fraction]] = [[Fraction(a) for a in point] for point in problem.x.tolist()]
    return np.array(
        [
            [float(sum((a * b for a, b in zip(p, q, strict=True)), Fraction(problem.bias))) for q in points]
            for p in points
        ]
    )


def _serving(problem: Problem, v: Floats) -> Flags:
    """Return whether y_i v_j > 0, indexed [run, j, i]."""
    return np.asarray(np.multiply(problem.y, v[:, :, None]) > 0)


def _any(flags: Flags, *axes: int) -> Flags:
    """Return whether any flag is set along axes of length 2, for which `ndarray.any` is slow."""
    for axis in sorted(axes, reverse=True):
        flags = np.take(flags, 0, axis) | np.take(flags, 1, axis)
    return flags


def _through(gram: Floats, c: Floats) -> Floats:
    """Return Σ_k G_ik c_jk…, indexed [run, j, i, …]."""
    return np.stack([row[0] * c[:, :, 0] + row[1] * c[:, :, 1] for row in gram], axis=2)


def _over_neurons(terms: Floats) -> Floats:
    return np.asarray(terms[:, 0] + terms[:, 1])


def _rounded_sum(terms: Floats) -> Floats:
    """Return the sum along the last axis, of length 2, with 0 for what is rounding of its terms."""
    total = terms[..., 0] + terms[..., 1]
    size = np.abs(terms[..., 0]) + np.abs(terms[..., 1])
    return np.where(np.abs(total) <= _ROUNDING * size, 0, total)
