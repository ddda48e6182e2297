"""Where a run ends up as t → ∞, in closed form: final region, boundary, law, and parameters in ln t.

`asymptote` takes a single run. What it says is derived, with the numbers of the equations and lemmas that
this package cites, in docs/theory.md.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twonn import _core
from twonn.analysis import finality
from twonn.analysis.laws import STORED, Law
from twonn.analysis.limits import Limits, kicks, limits_of
from twonn.analysis.motion import Motion
from twonn.analysis.pairs import Flags
from twonn.analysis.reasons import Reason
from twonn.analysis.regions import Region, States, states_of
from twonn.analysis.stages import Stage, stages_of
from twonn.arguments import ArgumentValueError
from twonn.problem.gram import ROUNDING
from twonn.problem.params import Params, check_compatible, single_run
from twonn.problem.problem import Problem, checked_problem
from twonn.results.records import Status
from twonn.results.states import pairs_of
from twonn.results.trajectory import Trajectory
from twonn.values import Floats, Value, public


@public
@dataclass(frozen=True, eq=False, repr=False)
class Asymptote(Value):
    """What becomes of a run as t → ∞.

    Attributes
    ----------
    known : bool
        Whether the law of the gap, or for equal labels that of the parameters, is known in closed form.
    reason : str
        Why it is not, what is special about the run, and why the region is not shown to be final. Empty if
        all is known.
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
        "C/(ln t + κ)" or "C/(√(ln t) + κ)", the same with "limit + " before it, "C/ln t", "C/(ln t)^3",
        "faster than C/ln t", "constant", "none" for equal labels, or "unknown".
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
    _stages: tuple[Stage, ...] = field(repr=False)

    def gap(self, log_t: ArrayLike) -> Floats:
        """Return the predicted gap at given natural logarithms of the step.

        This is the gap of the network with the predicted parameters, which is better than the law alone. With
        fixed output weights its error is O(t^−min(1, λ) ln t) (eq. 8). With trained ones its margins are
        wrong by 24/m⁴ (eq. 18). Both hold once ln t is larger than the margins of the given state.

        Where G_01 is small, a neuron may take very long to reach the kink along which it slides in the end.
        Until then the prediction is that of the motion off the kink. At the kink the neuron is pushed back by
        up to the height of a sawtooth. If its return takes long, nothing is predicted until then.

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
        if self.law == Law.CONSTANT.formula:
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
        A state; or a run, of which the last sample counts. With fixed output weights all states of the final
        region give the same answer, also those from which neurons have yet to reach the kinks along which
        they will slide (eq. 12). With trained ones, signs may have yet to change (lemma 3). From an earlier
        state the law is unknown.

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
    return _single(problem, params, z, z > 0, np.zeros((1, 2, 2), bool), doubtful, Reason.NOTHING)


def _of_trajectory(problem: Problem, traj: Trajectory) -> Asymptote:
    if traj.problem != problem:
        raise ArgumentValueError(
            "problem", problem, f"that of the trajectory, {traj.problem!r}", "Pass traj.problem."
        )
    slides = traj.phase_unknown[-1].copy()
    for episode in traj.slides[np.isinf(traj.slides["t_exit"])]:
        slides[episode["neuron"], episode["point"]] = True
    active = pairs_of(traj.pattern[-1])
    if traj.status is Status.DIVERGED:
        fault = Reason.DIVERGED
    else:
        fault = Reason.NOTHING if traj.optimizer is None else Reason.OTHER_OPTIMIZER
    # A run knows its pre-activations better than its parameters, once these are rounded, tell them.
    doubtful = np.zeros((1, 2, 2), bool)
    return _single(problem, traj.final, traj.preactivations[-1:], active[None], slides[None], doubtful, fault)


def _single(
    problem: Problem, params: Params, z: Floats, active: Flags, slides: Flags, doubtful: Flags, fault: Reason
) -> Asymptote:
    states = states_of(problem, params.w[None], params.v[None], z, active, slides)
    states = replace(states, doubtful=doubtful)
    got = _of_state(problem, params, states, fault)
    if got.reason != Reason.LAST_BIT.sentence:
        return got
    ends = _alternatives(problem, params, states)
    if len(ends) == 1:
        return replace(ends[0], is_final=got.is_final)
    return replace(got, alternatives=ends)


@np.errstate(all="ignore")
def _of_state(problem: Problem, params: Params, states: States, fault: Reason) -> Asymptote:
    """Return what follows from a state, and nothing if there is a fault."""
    limits, motion = limits_of(problem, states)
    reason = fault or Reason(int(limits.reason[0]))
    known = not fault and bool(limits.known[0])
    has_coefficients = not fault and bool(limits.has_coefficients[0])
    is_final, why = (None, "") if fault else _is_final(problem, states, motion, reason)
    steady = motion.steady[0]
    return Asymptote(
        known=known,
        reason=" ".join(sentence for sentence in (reason.sentence, why) if sentence),
        alternatives=(),
        pattern=int(sum(1 << (2 * j + i) for j, i in np.argwhere(steady))),
        sliding=tuple((int(j), int(i)) for j, i in np.argwhere(motion.slides[0])),
        is_final=is_final,
        conditions=motion.conditions[0],
        condition_offsets=motion.condition_offsets[0],
        law=(Law.UNKNOWN if fault else STORED[limits.law[0]]).formula,
        **_numbers(limits, bool(fault)),
        variable="√(ln t)" if problem.train_output else "ln t",
        **_coefficients(problem, params, motion, has_coefficients),
        _problem=problem,
        _stages=stages_of(problem, states, motion) if known and has_coefficients else (),
    )


def _numbers(limits: Limits, fault: bool) -> dict[str, Any]:
    names = ("limit", "boundary", "constant", "shift")
    return {name: math.nan if fault else float(getattr(limits, name)[0]) for name in names}


def _coefficients(problem: Problem, params: Params, motion: Motion, known: bool) -> dict[str, Any]:
    """Return those of the parameters, nan if they are not known."""
    nan = np.full(2, np.nan)
    c_slope, c_offset = (
        (motion.c_slope[0], motion.c_offset[0]) if known else (np.full((2, 2), np.nan) for _ in range(2))
    )
    bias = float(problem.bias)
    return {
        "u": motion.u[0] if known else nan,
        "decay": float(motion.decay[0]) if known else math.nan,
        "w_slope": c_slope @ problem.x,
        "w_offset": params.w + c_offset @ problem.x,
        "b_slope": bias * c_slope.sum(axis=1),
        "b_offset": (params.b if problem.bias else np.zeros(2)) + bias * c_offset.sum(axis=1),
        "v_slope": motion.v_slope[0] if known else nan,
        "v_offset": motion.v_offset[0] if known else nan,
    }


def _is_final(problem: Problem, states: States, motion: Motion, reason: Reason) -> tuple[bool | None, str]:
    """Return whether the region is final, and why that is not so or not shown."""
    region = Region(
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
    unsolved = reason in (Reason.COUPLED, Reason.SINGULAR, Reason.LAST_BIT)
    leaves = not unsolved and bool((motion.conditions[0] < 0).any())
    verdict = finality.judge(region, leaves, bool(motion.holds[0] < 0), states.fates)
    return verdict.is_final, "" if reason is Reason.LAST_BIT else verdict.sentence


def _alternatives(problem: Problem, params: Params, states: States) -> tuple[Asymptote, ...]:
    """Return the ends between which the last bit decides, each once."""
    if states.fates.undecided.any():
        ways = np.array(list(itertools.product((True, False), repeat=2)))[:, None, :]
        several = [replace(states, fates=states.fates.decided(turns)) for turns in ways]
    else:
        kicked_by, near = kicks(problem, states), np.argwhere(states.near)
        ways = np.array(list(itertools.product((False, True), repeat=len(near))))
        several = []
        for kicked in ways:
            z, pairs = states.z.copy(), tuple(near[kicked].T)
            z[pairs] -= kicked_by[pairs]
            several.append(replace(states, near=np.zeros_like(states.near), z=z))
    ends = (_of_state(problem, params, end, Reason.NOTHING) for end in several)
    return tuple({end._summary(): end for end in ends}.values())
