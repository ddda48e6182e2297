"""Where a run ends up as t → ∞, in closed form: final region, boundary, rate law, parameters in ln t.

The functions on arrays take runs along a first axis, so that one implementation serves a single run and a
sweep. Their results are derived, with the numbers of the equations cited here, in docs/theory.md.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn import _core
from twonn.analysis import finality
from twonn.arguments import ArgumentValueError, Verbatim
from twonn.geometry.distances import gap_of
from twonn.geometry.optimal import optimal_margin
from twonn.problem.gram import ROUNDING, Gram, gram_of
from twonn.problem.losses import LOSSES
from twonn.problem.params import Params, check_compatible, single_run
from twonn.problem.problem import Problem, checked_problem
from twonn.results.records import Status
from twonn.results.states import pairs_of
from twonn.results.trajectory import Trajectory
from twonn.values import Floats, Value, public

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
    "A point that only a wrong neuron sees stays misclassified, and its gradient does not decay.",
    "Only one of the points supports the growth: the accumulated slopes of the other tend to a number, or "
    "grow like ln ln t with one, that has no closed form.",
    "The points act on the margins in the same way, so that their accumulated slopes are not determined.",
    "With trained output weights a closed form is known only where every point is seen by one neuron, which "
    "serves it and is not active on the other one.",
    "No unit is active on any point, so nothing moves.",
    "A point is seen by no neuron: f = 0 there for ever.",
    "The run diverged.",
    "Closed forms are known for gradient descent only.",
    "One neuron is active on no point for ever, and f has the sign of the other one's output weight: one of "
    "the points stays misclassified.",
    "No neuron that serves a point can be active on it again, so that it stays misclassified.",
    "The last bit of the data decides between several ends.",
)

_EQUAL, _EARLY, _WRONG, _UNSUPPORTED, _SINGULAR = range(1, 6)

_COUPLED, _RESTING, _UNSEEN, _DIVERGED, _OPTIMIZER = range(6, 11)

_ONE_NEURON, _UNSERVED, _LAST_BIT = range(11, 14)


# --------------------------------------------------------------------------------------------------
# One run


@public
@dataclass(frozen=True, eq=False, repr=False)
class Asymptote(Value):
    """What becomes of a run as t → ∞.

    Attributes
    ----------
    known : bool
        Whether the law of the gap, or for equal labels that of the parameters, is known in closed form.
    reason : str
        Why it is not, what is special, and why the region is not shown to be final; empty if all is known.
    alternatives : tuple of Asymptote
        Where the last bit of the data decides between several ends, these are they, and `known` is False.
        Empty otherwise.
    pattern : int
        Activation pattern of the region whose law this is, bit 2j + i; 0 for pairs that slide.
    sliding : tuple of (int, int)
        Pairs (neuron, point) that slide along the kink in it.
    is_final : bool or None
        True if it is proved that neither the activation pattern, but for pairs that slide, nor the sign of an
        output weight changes any more, at any step that a run can reach. False if one of them does change.
        None if neither is shown; `reason` tells why.
    conditions : ndarray, shape (2, 2)
        Margins of the conditions of activity as t → ∞, indexed [neuron, point], positive where they hold:
        the coefficient of ln t (or √ln t) in z_ji where the neuron is active, its negative where it is not,
        and 1 − θ for a pair that slides with active fraction θ.
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
        Share of each point: h s_i ~ u_i/t (theory, eq. 5); for trained output weights nan.
    decay : float
        λ: deviations decay like t^−min(1, λ) ln t (eq. 8); nan where it is not known.
    variable : str
        "ln t" or "√(ln t)", in which the parameters are affine.
    w_slope, w_offset, b_slope, b_offset, v_slope, v_offset : ndarray, shapes (2, d), (2,), (2,)
        Coefficients of the parameters in that variable; nan where they are unknown.
    """

    known: bool
    reason: str
    alternatives: tuple[Asymptote, ...]
    pattern: int
    sliding: tuple[tuple[int, int], ...]
    is_final: bool | None
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
    _stages: tuple[_Stage, ...] = field(repr=False)

    def gap(self, log_t: ArrayLike) -> Floats:
        """Return the predicted gap at given natural logarithms of the step.

        It is that of the network with the predicted parameters, hence better than the law alone: for fixed
        output weights wrong by O(t^−min(1, λ) ln t) only (eq. 8); for trained ones its margins are wrong by
        24/m⁴ (eq. 18). It takes ln t larger than the margins of the state that it was made from.

        Before a neuron reaches a kink along which it slides in the end, which may take very long where G_01
        is small, the motion is the one with that neuron off its kink. At the kink it is pushed back by up to
        a tooth. Where its return takes many times as long, nothing is predicted until then.

        Parameters
        ----------
        log_t : array_like

        Returns
        -------
        ndarray
            Of the shape of `log_t`; nan where nothing is predicted, where ln t is so small that a predicted
            margin is not positive, and everywhere if the law is unknown.
        """
        log_t = np.asarray(log_t, dtype=np.float64)
        if self.law == "constant":
            return np.where(np.isnan(log_t), np.nan, self.limit)
        gap = np.full(log_t.shape, np.nan)
        finite = np.where(np.isfinite(log_t), log_t, np.nan)
        for stage in self._stages if self.known else ():
            value = np.nan if stage.motion is None else stage.motion.gap(self._problem, finite)
            gap = np.where(log_t >= stage.since, value, gap)
        return gap

    def report(self) -> str:
        """Return what is known, one fact per line, for people."""
        final = {True: "; final", False: "; not final", None: "; not shown to be final"}[self.is_final]
        facts = [
            ("law", self.law if self.known else "not known"),
            *self._numbers(),
            *(("alternative", other._summary()) for other in self.alternatives),
            (
                "region",
                f"{self.pattern:04b}"
                + "".join(f", neuron {j} slides at point {i}" for j, i in self.sliding)
                + final,
            ),
            ("reason", self.reason),
        ]
        return "\n".join(f"    {name:<12} {text}" for name, text in facts if text not in ("nan", ""))

    def _summary(self) -> str:
        """Return the law with its numbers in one line."""
        numbers = ", ".join(f"{name} {text}" for name, text in self._numbers() if text != "nan")
        law = self.law if self.known else "not known"
        return f"{law}: {numbers}" if numbers else law

    def _numbers(self) -> list[tuple[str, str]]:
        names = ("constant", "shift", "limit", "boundary")
        return [(name, f"{getattr(self, name):.12g}") for name in names]

    def __repr__(self) -> str:
        return f"Asymptote\n{self.report()}"


@public
def asymptote(
    problem: Problem | Trajectory, params_or_trajectory: Params | Trajectory | None = None
) -> Asymptote:
    """Return where gradient descent ends up from a state, in closed form.

    Parameters
    ----------
    problem : Problem or Trajectory
        A trajectory alone brings its problem with it.
    params_or_trajectory : Params or Trajectory
        A state, or a run, whose last sample is taken. Any state of the final region gives the same answer
        (output weights fixed), also one from which neurons have yet to reach the kinks along which they will
        slide (eq. 12), and with trained output weights one whose signs have yet to change (lemma 3); from an
        earlier one the law is unknown.

    Returns
    -------
    Asymptote

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.

    Notes
    -----
    The law is that of a region whose conditions of activity hold as t → ∞. Whether the run stays in it from
    the state on is `is_final`. G_01 is taken for 0 where rounding of the points cannot tell it from 0: a
    neuron that a larger G_01 would bring to a kink does not get there within the steps that a run can take.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095; docs/theory.md.
    """
    if params_or_trajectory is None and isinstance(problem, Trajectory):
        return _of_trajectory(problem.problem, problem)
    problem = checked_problem(problem)
    if isinstance(params_or_trajectory, Trajectory):
        return _of_trajectory(problem, params_or_trajectory)
    check_compatible(problem, params_or_trajectory)
    assert isinstance(params_or_trajectory, Params)
    params = single_run(params_or_trajectory)
    z = _core.preactivations(params.w[None], params.b[None], problem.x)
    size = np.abs(params.w) @ np.abs(problem.x.T) + np.abs(params.b)[:, None]
    doubtful = (z != 0) & (np.abs(z) <= ROUNDING * size)
    return _single(problem, params, z, z > 0, np.zeros((1, 2, 2), bool), doubtful, 0)


def _of_trajectory(problem: Problem, traj: Trajectory) -> Asymptote:
    if traj.problem != problem:
        raise ArgumentValueError(
            "problem", problem, f"that of the trajectory, {traj.problem!r}", "Pass traj.problem."
        )
    slides = traj.phase_unknown[-1].copy()
    for episode in traj.slides[np.isinf(traj.slides["t_exit"])]:
        slides[episode["neuron"], episode["point"]] = True
    active = pairs_of(traj.pattern[-1])
    fault = _DIVERGED if traj.status is Status.DIVERGED else _OPTIMIZER if traj.optimizer is not None else 0
    # A run knows its pre-activations better than its parameters, once these are rounded, tell them.
    doubtful = np.zeros((1, 2, 2), bool)
    return _single(problem, traj.final, traj.preactivations[-1:], active[None], slides[None], doubtful, fault)


def _single(
    problem: Problem, params: Params, z: Floats, active: Flags, slides: Flags, doubtful: Flags, fault: int
) -> Asymptote:
    states = _states(problem, params.w[None], params.v[None], z, active, slides)
    states = replace(states, doubtful=doubtful)
    got = _of_state(problem, params, states, fault)
    if got.reason != REASONS[_LAST_BIT]:
        return got
    ends = _alternatives(problem, params, states)
    if len(ends) == 1:
        return replace(ends[0], is_final=got.is_final)
    return replace(got, alternatives=ends)


@np.errstate(all="ignore")
def _of_state(problem: Problem, params: Params, states: _States, fault: int) -> Asymptote:
    limits, motion = _limits(problem, states)
    reason = fault or int(limits.reason[0])
    known = not fault and bool(limits.known[0])
    nan = np.full(2, np.nan)
    # Where only the gap is known, the coefficients are not.
    told = not fault and bool(limits.told[0])
    slope = motion.pushed[0] if told else np.full((2, 2), np.nan)
    offset = motion.held[0] if told else np.full((2, 2), np.nan)
    last = motion.active[0] & ~motion.slides[0]
    b = params.b if problem.bias else np.zeros(2)
    bias = float(problem.bias)
    is_final, why = (None, "") if fault else _is_final(problem, states, motion, reason)
    if reason == _LAST_BIT:
        why = ""
    return Asymptote(
        known=known,
        reason=" ".join(sentence for sentence in (REASONS[reason], why) if sentence),
        alternatives=(),
        pattern=int(sum(1 << (2 * j + i) for j, i in np.argwhere(last))),
        sliding=tuple((int(j), int(i)) for j, i in np.argwhere(motion.slides[0])),
        is_final=is_final,
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
        _stages=_stages(problem, states, motion) if known and told else (),
    )


def _is_final(
    problem: Problem, states: _States, motion: _Fixed | _Trained, reason: int
) -> tuple[bool | None, str]:
    """Return whether the region is final, and why that is not shown."""
    region = finality.Region(
        problem=problem,
        gram=states.gram,
        v=states.v[0],
        z=states.z[0],
        active=states.active[0],
        slides=motion.slides[0],
        near=states.near[0],
        doubtful=states.doubtful[0],
    )
    # What is not solved has no motion that could lead anywhere.
    leaves = reason not in (_COUPLED, _SINGULAR, _LAST_BIT) and bool((motion.conditions[0] < 0).any())
    return finality.judge(region, leaves, motion.holds[0] < 0, states.fates)


def _alternatives(problem: Problem, params: Params, states: _States) -> tuple[Asymptote, ...]:
    """Return the ends between which the last bit decides, each once."""
    if states.fates.undecided.any():
        ways = np.array(list(itertools.product((True, False), repeat=2)))[:, None, :]
        several = [replace(states, fates=states.fates.decided(turns)) for turns in ways]
    else:
        kicks, near = _kicks(problem, states), np.argwhere(states.near)
        ways = np.array(list(itertools.product((False, True), repeat=len(near))))
        several = []
        for kicked in ways:
            z = states.z.copy()
            z[tuple(near[kicked].T)] -= kicks[tuple(near[kicked].T)]
            several.append(replace(states, near=np.zeros_like(states.near), z=z))
    ends = (_of_state(problem, params, end, 0) for end in several)
    return tuple({end._summary(): end for end in ends}.values())


@dataclass(frozen=True, eq=False)
class _Stage(Value):
    """A motion, and the ln t from which it holds; None where none is known."""

    since: float
    motion: _Fixed | _Trained | None


@np.errstate(all="ignore")
def _stages(problem: Problem, states: _States, motion: _Fixed | _Trained) -> tuple[_Stage, ...]:
    """Return the motions through which a run comes to the final one: neurons reach their kinks one by one."""
    if isinstance(motion, _Trained):
        return (_Stage(-math.inf, motion),)
    slides, since = states.slides & motion.slides, -math.inf
    stages: list[_Stage] = []
    while True:
        # With G_01 as it is, also where that is rounding.
        now = _fixed(problem, states.gram, states, slides, follow=False)
        stages.append(_Stage(since, now))
        yet = motion.slides & ~slides
        if not yet.any():
            return tuple(stages)
        arrival = np.where(yet, -now.z_offset / now.z_slope, np.inf)
        j, i = divmod(int(np.nanargmin(arrival)), 2)
        since = max(since, float(arrival[0, j, i]))
        back = since + _absence(problem, states, now, since, j, i)
        if back > since:
            stages.append(_Stage(since, None))
            since = back
        slides = slides.copy()
        slides[0, j, i] = True


def _absence(problem: Problem, states: _States, now: _Fixed, log_t: float, j: int, i: int) -> float:
    """Return for how long, in ln t, neuron j is left behind a kink that it has reached; 0 if negligible.

    Point i pushes it off by up to one tooth, and point k leads it back by θ teeth in a step: 1/(θ t) in ln t.
    """
    gram, size = states.gram, abs(float(states.v[0, j]))
    late = math.exp(min(-log_t, 0.0)) * float(now.u[0, i]) * size * float(gram.matrix[i, i])
    tooth = min(late, float(_teeth(problem, states)[0, j, i]))
    absence = tooth / (gram.cross * size * float(now.u[0, 1 - i]))
    negligible = tooth <= 1e-10 * float(np.abs(states.z).max())
    return absence if absence > 1 and not negligible else 0.0


# --------------------------------------------------------------------------------------------------
# Many runs


@dataclass(frozen=True)
class Limits:
    """Limits and constants of the gap of n runs.

    Attributes
    ----------
    known : ndarray of bool, shape (n,)
    told : ndarray of bool, shape (n,)
        Whether the coefficients of the parameters are known, too.
    law, reason : ndarray of uint8, shape (n,)
        Indices of `LAWS` and `REASONS`.
    limit, constant, shift, boundary : ndarray, shape (n,)
        As in `Asymptote`.
    """

    known: Flags
    told: Flags
    law: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    limit: Floats
    constant: Floats
    shift: Floats
    boundary: Floats


@dataclass(frozen=True, eq=False)
class _States:
    """States of n runs, and what decides about them.

    Attributes
    ----------
    gram : Gram
    w, v, z : ndarray, shapes (n, 2, d), (n, 2), (n, 2, 2)
    active, slides : ndarray of bool, shape (n, 2, 2)
    fates : finality.Fates
    near : ndarray of bool, shape (n, 2, 2)
        As `finality.near_kinks`.
    doubtful : ndarray of bool, shape (n, 2, 2)
        Pairs whose z is rounding of the parameters.
    """

    gram: Gram
    w: Floats
    v: Floats
    z: Floats
    active: Flags
    slides: Flags
    fates: finality.Fates
    near: Flags
    doubtful: Flags


def _states(problem: Problem, w: Floats, v: Floats, z: Floats, active: Flags, slides: Flags) -> _States:
    gram = gram_of(problem)
    opposite = problem.y[0] != problem.y[1]
    if not opposite or gram.sign <= 0:
        # What a run averages over there is at its kink, or has been left behind it.
        active, z = active & ~slides, np.where(slides, np.minimum(z, 0), z)
        slides = np.zeros_like(slides)
    driven = opposite and problem.train_output
    fates = finality.fates(problem, gram, v, z, active) if driven else finality.no_fates(len(v))
    near = finality.near_kinks(problem, gram, v, z, active)
    return _States(gram, w, v, z, active, slides, fates, near, np.zeros_like(near))


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
    return _limits(problem, _states(problem, w, v, z, pairs_of(patterns), slides))[0]


@np.errstate(all="ignore")
def _limits(problem: Problem, states: _States) -> tuple[Limits, _Fixed | _Trained]:
    motion = _motion(problem, states)
    equal = bool(problem.y[0] == problem.y[1])
    optimal = optimal_margin(problem)
    w, v, z = states.w, states.v, states.z
    finite = np.isfinite(w).all(axis=(1, 2)) & np.isfinite(v).all(axis=1) & np.isfinite(z).all(axis=(1, 2))
    stuck = _stuck(problem, states, motion) & finite
    reason = _reasons(problem, states, motion, stuck)
    reason[~finite] = _DIVERGED
    solved = reason == 0
    known = solved | stuck | (((reason == _EQUAL) | (reason == _RESTING)) & equal)
    told = np.isin(reason, (0, _EQUAL, _UNSUPPORTED, _RESTING, _UNSEEN)) & ~_any(states.fates.dies, 1)
    serving = motion.serving
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
    limit = np.where(stuck, optimal, np.where(solved, limit, np.nan))
    law = np.where(solved, law, np.where(stuck, _LAW["constant"], _LAW["none"] if equal else 0))
    law = np.where(known, law, 0)
    return Limits(
        known=known,
        told=told,
        law=law.astype(np.uint8),
        reason=reason,
        limit=limit,
        constant=np.where(solved & ~np.isnan(limit), constant, np.nan),
        shift=np.where(solved & ~np.isnan(limit), shift, np.nan),
        boundary=np.where(solved, boundary, np.nan),
    ), motion


def _motion(problem: Problem, states: _States) -> _Fixed | _Trained:
    """Return the late motion of the region, with G_01 = 0 where rounding cannot tell it from that."""
    gram = states.gram.without_cross() if states.gram.orthogonal else states.gram
    return (_trained if problem.train_output else _fixed)(problem, gram, states, states.slides)


def _stuck(problem: Problem, states: _States, motion: _Fixed | _Trained) -> Flags:
    """Return whether a point stays misclassified for ever (section 6 of the theory)."""
    if problem.y[0] == problem.y[1]:
        return np.zeros(len(states.v), bool)
    if not problem.train_output:
        return np.asarray(_any(_hopeless(problem, states), 1))
    mute = ~_any(motion.active, 2)
    lit = motion.active & ~motion.slides
    owner = lit & motion.serving & ~lit[:, :, ::-1]
    same = _any(owner[:, 0] & owner[:, 1], 1)
    fates = states.fates
    # A point that its only neuron leaves, while the other neuron keeps to the other point;
    left = fates.leaves[:, :, None] & lit & owner[:, ::-1, ::-1]
    # one that two neurons see, of which one turns to it or dies.
    either = (fates.undecided & fates.may_turn & fates.may_die)[:, :, None] & lit & owner[:, ::-1]
    return np.asarray(_any(mute, 1) | same | _any(left | either, 1, 2))


def _hopeless(problem: Problem, states: _States) -> Flags:
    """Return whether no neuron that serves point i can ever be active on it; output weights fixed, (n, 2)."""
    gram, active, z = states.gram, states.active, states.z
    serving = _serving(problem, states.v)
    can_serve = serving & active
    if gram.cross < 0 or gram.orthogonal:
        # The other point, i, lifts z_jk by |G_01|/G_ii of what it takes from z_ji, until z_ji <= 0.
        lift = abs(gram.cross) / np.where(np.diag(gram.matrix) > 0, np.diag(gram.matrix), 1.0)
        # Both reach 0 together where the points are on one line through the origin.
        lifted = lift * (z + _teeth(problem, states)) >= -z[:, :, ::-1] * (1 - ROUNDING)
        can_serve |= serving & (active & lifted)[:, :, ::-1]
    return np.asarray(~_any(can_serve, 1))


def _slopes(problem: Problem, states: _States) -> Floats:
    """Return s_i, shape (n, 2)."""
    margins = problem.y * _over_neurons(states.v[:, :, None] * np.maximum(states.z, 0))
    return LOSSES[problem.loss].slope(margins)


def _teeth(problem: Problem, states: _States) -> Floats:
    """Return by how much point i moves z_ji in one step, shape (n, 2, 2)."""
    push = problem.rate * _slopes(problem, states) * np.diag(states.gram.matrix)
    return np.asarray(np.abs(states.v)[:, :, None] * push[:, None, :])


def _kicks(problem: Problem, states: _States) -> Floats:
    """Return how far a neuron is kicked off a kink to which G_01, 0 up to rounding, brings it, (n, 2, 2).

    Until then z_jk rises by G_kk times what z_ji lacks, over G_01, and the pushes fall as its margin grows.
    """
    rise = np.diag(states.gram.matrix)[::-1] * np.maximum(-states.z, 0) / abs(states.gram.cross)
    return np.asarray(_teeth(problem, states) * np.exp(-np.abs(states.v)[:, :, None] * rise))


def _reasons(problem: Problem, states: _States, motion: _Fixed | _Trained, stuck: Flags) -> NDArray[np.uint8]:
    equal = problem.y[0] == problem.y[1]
    lit = motion.active & ~motion.slides
    unserved = ~_any(motion.serving & lit, 1)
    wrong = lit & ~motion.serving
    unseen = unserved & ~_any(motion.active, 1)
    seen_wrong = unserved & _any(motion.slides | wrong, 1)
    mute = ~_any(motion.active, 2)
    holds = motion.holds != 0
    settled = ~_any(wrong, 1, 2) if problem.train_output else np.ones(len(stuck), bool)

    reason = motion.reason.copy()
    reason[~holds & (reason == 0)] = _EARLY
    reason[(reason == 0) & equal] = _EQUAL
    reason[(reason == 0) & _any(seen_wrong, 1) & (not equal)] = _EARLY
    if states.gram.orthogonal and states.gram.cross != 0 and not equal:
        size = np.abs(states.z).max(axis=(1, 2))[:, None, None]
        matters = states.near & (_kicks(problem, states) > ROUNDING * size)
        reason[_any(matters, 1, 2) & (reason == 0)] = _LAST_BIT
    reason[_any(states.fates.undecided, 1)] = _LAST_BIT
    reason[stuck] = _UNSERVED
    reason[stuck & settled & holds & _any(unseen, 1)] = _UNSEEN
    reason[stuck & settled & _any(seen_wrong, 1)] = _WRONG
    reason[stuck & ~settled & _any(mute, 1)] = _ONE_NEURON
    reason[~_any(motion.active, 1, 2)] = _RESTING
    return reason


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
    serving: Flags
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
    holds: NDArray[np.int8]
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
        gap = gap_of(problem, self.w[0] + c @ problem.x, v, z)
        positive = (log_t[..., None] + self.margin_offset[0] > 0).all(axis=-1)
        return np.where(positive, gap, np.nan)


def _fixed(problem: Problem, gram: Gram, states: _States, slides: Flags, *, follow: bool = True) -> _Fixed:
    """Solve H u = 1 (eqs. 3 to 7, 11) in a region, with `follow` the final one (eq. 12)."""
    y, v, z, active = problem.y, states.v, states.z, states.active
    serving = _serving(problem, v)
    slides = slides & serving[:, :, ::-1] & active[:, :, ::-1]
    for _ in range(3):
        push, held, z_push, z_star = _pushes(gram, y, v, z, active, slides)
        lit = active & ~slides
        m_star = _over_neurons(y * np.where(lit, v[:, :, None], 0) * z_star)
        u, accumulated, determinant, reason = _shares(problem, gram, v, lit, slides, m_star)
        z_slope = _rounded_sum(z_push * u[:, None, None, :])
        out_of_place = np.where(active, z_slope < 0, z_slope > 0)
        caught = out_of_place & ~slides & serving[:, :, ::-1] & ~serving & active[:, :, ::-1]
        if not (follow and gram.sign > 0 and y[0] != y[1] and caught.any()):
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
        serving=serving,
        u=u,
        decay=u[:, 0] * u[:, 1] * determinant,
        pushed=_pushed(push, u),
        held=held + _pushed(push, accumulated),
        z_slope=z_slope,
        z_offset=z_offset,
        w=states.w,
        v=v,
        margin_offset=math.log(problem.rate) - np.log(u),
        conditions=conditions,
        condition_offsets=offsets,
        holds=_holds(active, slides, conditions, offsets),
        reason=reason,
    )


def _pushes(
    gram: Gram, y: NDArray[np.int64], v: Floats, z: Floats, active: Flags, slides: Flags
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
    diagonal = np.where(np.diag(gram.matrix) > 0, np.diag(gram.matrix), 1.0)
    back = gram.cross / diagonal  # by the point i that the pair slides at
    k = (1, 0)
    push[:, :, (0, 1), k] = np.where(slides, -back * own[:, :, k], push[:, :, (0, 1), k])
    held = np.where(slides, -z / diagonal, 0)
    z_push = _through(gram.matrix, push)
    # On the other point such a pair leaves Ĝ_k, which the sum would form with cancellation.
    reduced = gram.effective * own
    z_push[:, :, (0, 1), (0, 1)] = np.where(slides[:, :, ::-1], reduced, z_push[:, :, (0, 1), (0, 1)])
    z_star = z + _through(gram.matrix, held)
    return push, held, np.where(slides[..., None], 0, z_push), np.where(slides, 0, z_star)


def _shares(
    problem: Problem, gram: Gram, v: Floats, lit: Flags, slides: Flags, m_star: Floats
) -> tuple[Floats, Floats, Floats, NDArray[np.uint8]]:
    """Return u and e of A_k = u_k ln t + e_k (eqs. 5 and 6), det H, and where they are not determined.

    A point without a row in H has u = 0 and e = 0. Where u_i <= 0, point i does not support, and e_i is
    nan (section 5 of the theory).
    """
    diagonal, cross, determinant, numerator = _slopes_of_margins(problem, gram, v, lit, slides)
    seen = diagonal > 0
    singular = ~_any(~seen, 1) & (determinant <= ROUNDING**2 * diagonal[:, 0] * diagonal[:, 1])
    singular |= _any(slides, 1, 2) & gram.dependent
    u = numerator / determinant[:, None]
    both = ~_any(~seen, 1) & ~singular
    supporting = np.where(both[:, None], numerator > ROUNDING * diagonal[:, ::-1], seen)
    alone = _any(~supporting, 1)
    u = np.where(alone[:, None], np.where(supporting, 1 / diagonal, 0), u)
    right = math.log(problem.rate) - np.log(u) - m_star
    inverse = diagonal[:, ::-1] * right - cross[:, None] * right[:, ::-1]
    offset = np.where(
        alone[:, None],
        np.where(supporting, right / diagonal, np.where(seen, np.nan, 0)),
        inverse / determinant[:, None],
    )
    reason = np.zeros(len(v), np.uint8)
    reason[_any(seen & ~supporting, 1)] = _UNSUPPORTED
    reason[singular] = _SINGULAR
    return u, offset, determinant, reason


def _slopes_of_margins(
    problem: Problem, gram: Gram, v: Floats, lit: Flags, slides: Flags
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return H_00 and H_11, H_01, det H, and H_11 − H_01 and H_00 − H_01, none of which cancels (eq. 3).

    All of them are sums of terms >= 0, but for H_01 itself, and G_kk − G_01 for equal labels.
    """
    square = (v * v)[:, :, None]
    whole = np.where(lit & ~slides[:, :, ::-1], square, 0)  # v_j² where the neuron brings G_kk,
    part = np.where(lit & slides[:, :, ::-1], square, 0)  # and where it brings Ĝ_k
    shared = np.where(lit[:, :, 0] & lit[:, :, 1], v * v, 0)
    g = np.diag(gram.matrix)
    own, common = _over_neurons(whole), shared[:, 0] + shared[:, 1]
    rest = _over_neurons(np.where(_any(~lit, 2)[:, :, None], whole, 0))
    sliding = gram.effective * _over_neurons(part)
    diagonal = g * own + sliding
    sign = float(problem.y[0] * problem.y[1])
    # Σ_jl v_j² v_l² (a_j0 a_l1 − a_j0 a_j1 a_l0 a_l1), term by term.
    crossing = whole[:, :, None, 0] * whole[:, None, :, 1]
    distinct = crossing * ~(lit[:, :, None, 1] & lit[:, None, :, 0])
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
    """Return Σ_l push_l e_l, not nan where an unknown e_l pushes nothing."""
    terms = np.where(push == 0, 0, push * accumulated[:, None, None, :])
    return np.asarray(terms[..., 0] + terms[..., 1])


def _theta(gram: Gram, u: Floats) -> Floats:
    """Return the active fraction of a neuron that slides at point i, shape (n, 2) (eq. 11)."""
    diagonal = np.where(np.diag(gram.matrix) > 0, np.diag(gram.matrix), 1.0)
    return np.asarray(u[:, ::-1] * gram.cross / (u * diagonal))


def _holds(active: Flags, slides: Flags, conditions: Floats, offsets: Floats) -> NDArray[np.int8]:
    """Return whether the conditions hold: 1, 0, or −1 where θ = 1 up to rounding."""
    frozen = (conditions == 0) & np.where(active, offsets > 0, offsets >= 0)
    marginal = slides & (np.abs(conditions) <= ROUNDING)
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
    serving: Flags
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
    sign: Floats  # of v in the end
    conditions: Floats
    condition_offsets: Floats
    holds: NDArray[np.int8]
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
        slope = self.sign * self._by_neuron(self.effective**-0.25)
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
        v = np.where(self.owner[0].any(axis=1), self.sign[0] * size, self.v[0])
        c = self.gain[0] * by_neuron[..., None] + self.base[0]
        z = self.z_gain[0] * by_neuron[..., None] + self.z_base[0]
        gap = gap_of(problem, self.w[0] + c @ problem.x, v, z)
        return np.where((margin > 1).all(axis=-1), gap, np.nan)


def _log_pace(margin: Floats, invariant: Floats, effective: Floats) -> Floats:
    """Return m − ln(h t) as a function of m, the asymptotic series of eq. 16 to its fourth term."""
    square = invariant**2 + 4 * effective * margin**2
    first = 4 * effective * margin / square  # −φ'/φ, φ = square^(−1/2)
    second = 3 * first**2 - 4 * effective / square  # φ''/φ
    third = 15 * first**3 - 9 * first * 4 * effective / square  # −φ'''/φ
    return np.asarray(0.5 * np.log(square) - np.log1p(first + second + third))


def _trained(problem: Problem, gram: Gram, states: _States, slides: Flags) -> _Trained:
    """Return the motion after signs have changed and neurons have died as they must (lemma 3)."""
    v, z, y, g = states.v, states.z, problem.y, gram.matrix
    other = (1, 0)
    active = states.active & ~states.fates.dies[:, :, None]
    turned = np.where(active, y, 0).sum(axis=2)
    sign = np.where(states.fates.turns, turned, np.sign(v))
    serving = _serving(problem, sign)
    slides = slides & serving[:, :, ::-1] & active[:, :, ::-1] & (y[0] != y[1]) & (gram.sign > 0)
    lit = active & ~slides
    owner = lit & serving & ~lit[:, :, ::-1]
    coupled = _any(lit & ~owner, 1, 2) | _any(owner[:, 0] & owner[:, 1], 1)
    diagonal = np.where(np.diag(g) > 0, np.diag(g), 1.0)
    # By neuron and its own point k: whether it slides at the other point i, and G_ik/G_ii there.
    caught = slides[:, :, ::-1] & owner
    ratio = gram.cross / diagonal[list(other)]
    effective = np.where(caught.any(axis=1), gram.effective, np.diag(g))
    star = z - np.where(caught, ratio * z[:, :, ::-1], 0)
    start = np.where(owner, star, 0).sum(axis=1)
    size = np.where(owner, np.abs(v)[:, :, None], 0).sum(axis=1)
    gain = np.where(owner, 1 / effective[:, None, :], 0)
    base = np.where(owner, -star / effective[:, None, :], 0)
    # On the kink, C_ji follows from z_ji = 0 (eq. 10).
    gain = gain + np.where(slides, -(gram.cross / diagonal) * gain[:, :, ::-1], 0)
    base = base + np.where(slides, -(gram.cross / diagonal) * base[:, :, ::-1] - z / diagonal, 0)
    # What its own point does to z_own is 1 and 0, which the sum would form with cancellation where it slides.
    z_gain = np.where(owner, 1, np.where(slides, 0, _through(g, gain)))
    z_base = np.where(owner | slides, 0, z + _through(g, base))
    theta = gram.cross / diagonal * np.sqrt(effective / effective[:, ::-1])  # eq. 19
    toward = np.where(active, 1.0, -1.0)
    conditions = np.where(slides, 1 - theta[:, None, :], toward * z_gain)
    offsets = np.where(slides, 0.0, toward * z_base)
    # Points on one line through the origin leave a neuron that slides nothing to grow by.
    idle = _any(caught, 1, 2) & gram.dependent
    reason = np.select([idle, coupled], [_SINGULAR, _COUPLED], 0).astype(np.uint8)
    return _Trained(
        active=active,
        slides=slides,
        serving=serving,
        effective=effective,
        invariant=effective * size**2 - start**2,
        start=start,
        gain=gain,
        base=base,
        z_gain=z_gain,
        z_base=z_base,
        owner=owner,
        w=states.w,
        v=v,
        sign=sign,
        conditions=conditions,
        condition_offsets=offsets,
        holds=_holds(active, slides, conditions, offsets),
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
    best = _largest(candidates, ROUNDING * optimal)
    # L = 0 at the midpoint plus half the difference of the samples times this, from −1 to 1.
    swing = (output[:, 0, 0] + output[:, 1, 0]) / (output[:, 0, 0] - output[:, 1, 0])
    boundary = np.full(len(best), np.nan)
    if problem.dimension == 1:
        swing = np.where(np.abs(swing) <= ROUNDING, 0, swing)
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
    return np.where(np.abs(joint) <= ROUNDING * optimal * np.maximum(size, 1), 0, joint)


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
    """Return the series of optimal − distance to {sign_i L ≤ 0} at both samples, as `gap_of`.

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
    return np.where(np.abs(total) <= ROUNDING * size, 0, total)
