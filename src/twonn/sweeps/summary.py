"""What a sweep keeps of every run: a table of columns, each with dimensions, unit, meaning and formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn import _core
from twonn.analysis.laws import STORED
from twonn.analysis.limits import Limits, limits_and_constants
from twonn.engine.batch import SLIDES_KEPT, TRANSITIONS_KEPT, Batch
from twonn.geometry.optimal import optimal_margin
from twonn.optimizers import Optimizer
from twonn.problem.horizon import LARGEST_COUNT, steps_of_log
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.results.outcome import Failure, failures, inactive_since, successes
from twonn.results.records import VARIABLES
from twonn.results.states import NetworkStates, parameters_of, preactivations_of
from twonn.results.trajectory import times
from twonn.sweeps.outcomes import FAILURES
from twonn.values import Floats

#: Codes of `status`: their meanings, in order. What no worker has computed yet is "missing"; "obstructed" is
#: a run that its engine gave up, so that it has no final state. Stores have the codes: new ones come last.
STATUSES = ("missing", "completed", "stationary", "diverged", "interrupted", "obstructed", "converged")


assert (_core.COMPLETED, _core.DIVERGED, _core.OBSTRUCTED, _core.CONVERGED) == (1, 3, 5, 6)


#: Fixed lengths of dimensions; d, the runs and the samples are those of the sweep.
SIZES = {"neuron": 2, "point": 2, "transition": TRANSITIONS_KEPT, "slide": SLIDES_KEPT}

#: The fitted exponent is that of samples at these parts of the last ln t, the first of them late enough.
EXPONENT_AT = (0.512, 0.64, 0.8)

_EARLIEST_EXPONENT = 1000

#: What stands for an activation pattern or another code where there is none.
NO_CODE = 255


@dataclass(frozen=True, eq=False)
class _Ensemble(NetworkStates):
    """Networks with axes (run, sample), each run with a start of its own."""

    problem: Problem
    params: Params
    optimizer: Optimizer | None
    states: Floats
    pattern: NDArray[np.uint8]
    phase_unknown: NDArray[np.bool_]
    error_bound: Floats

    @cached_property
    def _weights(self) -> tuple[Floats, Floats]:
        start = self.params
        return parameters_of(self.problem, start.w, start.b, self.optimizer, self.states)[:2]

    @cached_property
    def preactivations(self) -> Floats:
        start = self.params
        return preactivations_of(self.problem, start.w, start.b, self.optimizer, self.states)


@dataclass(frozen=True, eq=False)
class BatchResult:
    """Runs of one problem that have ended, and what follows from their batch.

    Attributes
    ----------
    problem, params, batch, optimizer : Problem, Params, Batch, Optimizer or None
        What was run and what the kernel knows of it; None is gradient descent.
    last : NetworkStates
        Networks with axes (run, 1): the last samples.
    final : NetworkStates
        The same; nan for runs without a final state.
    sliding : ndarray of bool, shape (n, 2, 2)
        Which neuron slides at which point at the end.
    failures : ndarray of uint8, shape (n, 2)
        Codes of `Failure` of the points at the last sample.
    failure_dates : (ndarray, ndarray), each of shape (n, 2)
        The step at which that came about, and its logarithm; nan where it is not known.
    sampled : NetworkStates
        Networks with axes (run, sample).
    bound : ndarray, shape (n, 1)
        What leaping and averaging may have added to the error of the parameters.
    """

    problem: Problem
    params: Params
    batch: Batch
    optimizer: Optimizer | None = None

    @cached_property
    def bound(self) -> Floats:
        return (self.batch.error + self.batch.averaging_error)[:, None]

    @cached_property
    def last(self) -> _Ensemble:
        runs = np.arange(len(self.batch.status))
        return self.sampled_at(runs, self.batch.n_samples[:, None] - 1)

    @cached_property
    def final(self) -> _Ensemble:
        lost, last = self.batch.status == _core.OBSTRUCTED, self.last
        if not lost.any():
            return last
        return replace(
            last,
            states=np.where(lost[:, None, None], np.nan, last.states),
            pattern=np.where(lost[:, None], NO_CODE, last.pattern).astype(np.uint8),
            phase_unknown=last.phase_unknown & ~lost[:, None, None, None],
        )

    @cached_property
    def sampled(self) -> _Ensemble:
        runs, samples = self.batch.patterns.shape
        return self.sampled_at(np.arange(runs), np.arange(samples)[None])

    def sampled_at(self, runs: NDArray[np.intp], samples: NDArray[np.intp]) -> _Ensemble:
        """Return networks with axes (run, sample): these samples, shape (k, m) or (1, m), of these k runs."""
        batch, at = self.batch, (runs[:, None], samples)
        return _Ensemble(
            self.problem,
            self.params[runs],
            self.optimizer,
            batch.states[at],
            batch.patterns[at],
            batch.phase_unknown[at],
            self.bound[runs],
        )

    @cached_property
    def limits(self) -> Limits:
        """What follows from the final state in closed form; of other optimizers nothing does."""
        final, status = self.final, self.batch.status
        lost = (status == _core.DIVERGED) | (status == _core.OBSTRUCTED) | (self.optimizer is not None)
        w = np.where(lost[:, None, None], np.nan, final.w[:, 0])
        return limits_and_constants(
            self.problem, w, final.v[:, 0], final.preactivations[:, 0], final.pattern[:, 0], self.sliding
        )

    @cached_property
    def sliding(self) -> NDArray[np.bool_]:
        slides = self.batch.open_slides
        sliding: NDArray[np.bool_] = self.last.phase_unknown[:, 0].copy()
        runs, neurons = np.nonzero(np.isinf(slides[..., 3]))
        sliding[runs, neurons, slides[runs, neurons, 1].astype(np.intp)] = True
        return sliding

    @property
    def diverged(self) -> NDArray[np.bool_]:
        return np.asarray(self.batch.status == _core.DIVERGED)

    @cached_property
    def failures(self) -> NDArray[np.uint8]:
        last = self.last
        margins, v, pattern = last.margins[:, 0], last.v[:, 0], last.pattern[:, 0]
        return failures(self.problem, margins, v, pattern, self.sliding, self.diverged)

    @cached_property
    def failure_dates(self) -> tuple[Floats, Floats]:
        batch = self.batch
        is_complete = (batch.n_transitions <= TRANSITIONS_KEPT) & batch.counted
        t, log_t = _sample_times(self)
        off = inactive_since(
            t,
            log_t,
            batch.patterns,
            _transition_time(0, self),
            _transition_time(1, self),
            batch.transition_patterns[..., 0],
            batch.transition_patterns[..., 1],
            np.repeat(is_complete[:, None], 2, axis=1),
        )
        # A date that depends on where there are samples is none.
        is_off = off.is_dated & (self.failures == Failure.INACTIVE)
        end, log_end = (np.where(self.diverged, end, np.nan)[:, None] for end in self.ends)
        return np.where(is_off, off.t, end), np.where(is_off, off.log_t, log_end)

    @cached_property
    def ends(self) -> tuple[Floats, Floats]:
        """The steps at which the runs ended, as `Trajectory.end_step`, and their logarithms."""
        batch = self.batch
        # The kernel counts the steps taken; divergence shows in the step after the last finite one.
        late = (batch.status == _core.DIVERGED) & (batch.end_step >= 0)
        converged = batch.status == _core.CONVERGED
        return times(
            np.where(converged, batch.converged_step, batch.end_step + late),
            np.where(converged, batch.converged_log, batch.end_log),
        )


# --------------------------------------------------------------------------------------------------
# Columns


_FLOAT = np.dtype(np.float64)


@dataclass(frozen=True)
class Column:
    """One array along the runs.

    Attributes
    ----------
    dimensions : tuple of str
        Those after the run.
    units, meaning : str
    of : callable
        Computes it for runs that have ended.
    dtype : dtype
    fill : number
        What stands where a run has no such number, or was not computed yet.
    attributes : mapping
        More to say about it.
    """

    dimensions: tuple[str, ...]
    units: str
    meaning: str
    of: Callable[[BatchResult], NDArray[Any]]
    dtype: np.dtype[Any] = _FLOAT
    fill: float = np.nan
    attributes: Mapping[str, Any] = field(default_factory=dict)


_CODE: dict[str, Any] = {"dtype": np.dtype(np.uint8), "fill": NO_CODE}

_COUNT: dict[str, Any] = {"dtype": np.dtype(np.int64), "fill": -1}


# Formulas are functions of this module, or parts of them, so that a column can be pickled.


def _start(name: str) -> Column:
    dimensions, units, meaning = VARIABLES[name]
    return Column(dimensions, units, f"{meaning} at step 0", partial(_at_start, name))


def _at_start(name: str, ended: BatchResult) -> NDArray[Any]:
    return np.asarray(getattr(ended.params, name))


def _final(name: str) -> Column:
    dimensions, units, meaning = VARIABLES[name]
    code = _CODE if name == "pattern" else {}
    return Column(dimensions, units, f"{meaning}, at the end", partial(_at_end, name), **code)


def _at_end(name: str, ended: BatchResult) -> NDArray[Any]:
    return np.asarray(getattr(ended.final, name)[:, 0])


def _of_batch(name: str, ended: BatchResult) -> NDArray[Any]:
    return np.asarray(getattr(ended.batch, name))


def _of_limits(name: str, ended: BatchResult) -> NDArray[Any]:
    return np.asarray(getattr(ended.limits, name))


def _of_end(part: int, ended: BatchResult) -> NDArray[Any]:
    return ended.ends[part]


def _success(ended: BatchResult) -> NDArray[np.bool_]:
    return successes(ended.last.margins[:, 0], ended.diverged)


def _failure(ended: BatchResult) -> NDArray[np.uint8]:
    return ended.failures


def _failure_date(part: int, units: str, meaning: str) -> Column:
    meaning = f"{meaning}; nan where it is not known"
    return Column(("point",), units, meaning, partial(_of_failure_dates, part))


def _of_failure_dates(part: int, ended: BatchResult) -> Floats:
    return ended.failure_dates[part]


def _pattern_of_transition(part: int, ended: BatchResult) -> NDArray[np.uint8]:
    return ended.batch.transition_patterns[..., part]


def _transition(part: int, units: str, meaning: str) -> Column:
    return Column(("transition",), units, meaning, partial(_transition_time, part))


def _transition_time(part: int, ended: BatchResult) -> Floats:
    """Return t, ln t or an end of the bracket of the first transitions."""
    given = ended.batch.transition_times
    if part != 1:
        return given[..., part]
    t = given[..., 0]
    counted = ~(t > LARGEST_COUNT)  # nan counts as counted, and stays nan
    return np.where(counted, np.log(np.where(counted, t, 1.0)), given[..., 1])


def _slide(part: int, units: str, meaning: str, **code: Any) -> Column:
    return Column(("slide",), units, meaning, partial(_of_slide, part, bool(code)), **code)


def _of_slide(part: int, coded: bool, ended: BatchResult) -> NDArray[Any]:
    values = ended.batch.slides[..., part]
    return np.where(np.isnan(values), NO_CODE, values).astype(np.uint8) if coded else values


def _active_fraction(ended: BatchResult) -> Floats:
    """Return θ of the pairs that slide at the end, shape (n, 2, 2)."""
    fraction = np.full((len(ended.batch.status), 2, 2), np.nan)
    runs, neurons = np.nonzero(np.isfinite(ended.batch.open_slides[..., 4]))
    episodes = ended.batch.open_slides[runs, neurons]
    fraction[runs, neurons, episodes[:, 1].astype(np.intp)] = episodes[:, 4]
    return fraction


def _error_estimate(ended: BatchResult) -> Floats:
    """Return the error bound relative to the norm of the final parameters, as `Trajectory.error_estimate`."""
    bound = ended.bound[:, 0]
    numbers = [getattr(ended.final, name).reshape(len(bound), -1) for name in "wbv"]
    norms = _core.norms(np.concatenate(numbers, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bound == 0, 0.0, np.where(norms > 0, bound / norms, np.inf))


def exponent_steps(horizon: int) -> list[int]:
    """Return the steps to sample for the fitted exponent; none if they would be too early."""
    last = math.log(horizon) if horizon > 0 else 0.0
    steps = [steps_of_log(part * last) for part in EXPONENT_AT]
    return steps if steps[0] >= _EARLIEST_EXPONENT else []


def _exponent(ended: BatchResult) -> Floats:
    """Return −d ln gap/d ln ln t, extrapolated to ln t → ∞ from the samples nearest to `EXPONENT_AT`.

    For a gap C/(ln t + κ) that is 1 − κ q between ln t = a and b, q = (1/a − 1/b)/ln(b/a), up to (κ/ln t)²:
    the parabola in q through three of them, at q = 0, leaves (κ/ln t)³.
    """
    exponent, last = np.full(len(ended.batch.status), np.nan), ended.final.gap[:, 0]
    goes_on = (ended.batch.status == _core.COMPLETED) & (last > 0) & np.isfinite(last)
    runs = np.flatnonzero(goes_on & (last < optimal_margin(ended.problem)))
    log_t = _sample_times(ended)[1][runs]
    end = ended.batch.n_samples[runs] - 1
    wanted = np.take_along_axis(log_t, end[:, None], axis=1) * np.array([*EXPONENT_AT, 1.0])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        away = np.abs(log_t[:, None, :] - wanted[:, :, None])
        at = np.where(np.isnan(away), np.inf, away).argmin(axis=2)
        time = np.take_along_axis(log_t, at, axis=1)
        late = (time[:, 0] >= math.log(_EARLIEST_EXPONENT) - 1e-9) & (np.diff(time, axis=1) > 0).all(axis=1)
        runs, at, time = runs[late], at[late], time[late]
        ratio = np.log(time[:, 1:] / time[:, :-1])
        slope = -np.diff(np.log(ended.sampled_at(runs, at).gap), axis=1) / ratio
        q = (1 / time[:, :-1] - 1 / time[:, 1:]) / ratio
        # Lagrange's formula at 0.
        exponent[runs] = sum(
            slope[:, m] * np.prod([q[:, n] / (q[:, n] - q[:, m]) for n in range(3) if n != m], axis=0)
            for m in range(3)
        )
    return np.where(np.isfinite(exponent), exponent, np.nan)


#: What is kept of every run, from its start, its end and its events.
SUMMARY: dict[str, Column] = {
    "status": Column(
        (),
        "1",
        "how the run ended",
        partial(_of_batch, "status"),
        np.dtype(np.uint8),
        0,
        {"flag_values": list(range(len(STATUSES))), "flag_meanings": " ".join(STATUSES)},
    ),
    "success": Column(
        (),
        "1",
        "whether both points are classified: every margin at the last sample is > 0",
        _success,
        np.dtype(np.bool_),
        False,
    ),
    "failure": Column(
        ("point",),
        "1",
        "why the point is not classified at the last sample",
        _failure,
        **_CODE,
        attributes={
            "flag_values": [int(one) for one in FAILURES],
            "flag_meanings": " ".join(FAILURES.values()),
        },
    ),
    "failure_t": _failure_date(0, "step", "step since which no neuron is active on it, or of divergence"),
    "failure_log_t": _failure_date(1, "1", "natural logarithm of that step"),
    "t_end": Column(
        (), "step", "step at which the run ended, or from which it had converged", partial(_of_end, 0)
    ),
    "log_t_end": Column((), "1", "natural logarithm of that step", partial(_of_end, 1)),
    **{f"start_{name}": _start(name) for name in "wbv"},
    **{f"final_{name}": _final(name) for name in VARIABLES},
    "error_estimate": Column(
        (), "1", "relative error that leaping may have added to the final parameters", _error_estimate
    ),
    "n_transitions": Column(
        (),
        "1",
        "number of activation-pattern transitions, a lower bound if not exact",
        partial(_of_batch, "n_transitions"),
        **_COUNT,
    ),
    "n_transitions_exact": Column(
        (),
        "1",
        "whether every transition was counted",
        partial(_of_batch, "counted"),
        np.dtype(np.bool_),
        False,
    ),
    "transition_t": _transition(0, "step", "step that first shows the new pattern, of the first transitions"),
    "transition_log_t": _transition(1, "1", "natural logarithm of that step"),
    "transition_t_low": _transition(2, "step", "where rounding leaves doubt, the earliest it may be"),
    "transition_t_high": _transition(3, "step", "where rounding leaves doubt, the latest it may be"),
    "transition_before": Column(
        ("transition",),
        "1",
        "activation pattern before the transition",
        partial(_pattern_of_transition, 0),
        **_CODE,
    ),
    "transition_after": Column(
        ("transition",),
        "1",
        "activation pattern after the transition",
        partial(_pattern_of_transition, 1),
        **_CODE,
    ),
    "n_slides": Column(
        (), "1", "number of sliding episodes, at most 1,024", partial(_of_batch, "n_slides"), **_COUNT
    ),
    "slide_neuron": _slide(0, "1", "neuron of the first sliding episodes", **_CODE),
    "slide_point": _slide(1, "1", "sample at whose kink it slid", **_CODE),
    "slide_t_enter": _slide(2, "step", "step at which it began"),
    "slide_t_exit": _slide(3, "step", "step at which it ended, inf if it slides still"),
    "slide_active_fraction": _slide(4, "1", "active fraction at exit, or at the end"),
    "final_active_fraction": Column(
        ("neuron", "point"),
        "1",
        "active fraction of the pairs of neuron and point that slide at the end",
        _active_fraction,
    ),
    "asymptote_law": Column(
        (),
        "1",
        "law of the gap as t goes to infinity, in closed form from the final state",
        partial(_of_limits, "law"),
        np.dtype(np.uint8),
        0,
        {
            "flag_values": [law.code for law in STORED],
            "flag_meanings": " ".join(law.formula.replace(" ", "_") for law in STORED),
        },
    ),
    "asymptote_limit": Column((), "[x]", "limit of the gap in that law", partial(_of_limits, "limit")),
    "asymptote_constant": Column((), "[x]", "its constant C", partial(_of_limits, "constant")),
    "asymptote_shift": Column((), "1", "its shift κ", partial(_of_limits, "shift")),
    "asymptote_boundary": Column((), "[x]", "limit of the boundary", partial(_of_limits, "boundary")),
    "fitted_exponent": Column(
        (),
        "1",
        "−d ln gap/d ln ln t along the run, extrapolated to infinite ln t; nan if there is no decay yet",
        _exponent,
    ),
}


def _of_samples(part: int, ended: BatchResult) -> Floats:
    return _sample_times(ended)[part]


def _sample_times(ended: BatchResult) -> tuple[Floats, Floats]:
    batch = ended.batch
    t, log_t = times(batch.sample_steps, batch.sample_logs)
    beyond = np.arange(t.shape[1]) >= batch.n_samples[:, None]
    # As in a trajectory: a logarithm does not know the order of 2^63 - 1 and 2^63.
    t = np.maximum.accumulate(np.where(beyond, -np.inf, t), axis=1)
    return np.where(beyond, np.nan, t), np.where(beyond, np.nan, log_t)


#: Sampled along every run, with the dimension "sample" first; chosen by name.
SAMPLED: dict[str, Column] = {
    "t": Column(("sample",), "step", "step", partial(_of_samples, 0)),
    "log_t": Column(("sample",), "1", "natural logarithm of the step", partial(_of_samples, 1)),
}


def _along(name: str) -> Column:
    dimensions, units, meaning = VARIABLES[name]
    code = _CODE if name == "pattern" else {}
    return Column(("sample", *dimensions), units, meaning, partial(_values_along, name), **code)


def _values_along(name: str, ended: BatchResult) -> NDArray[Any]:
    values: NDArray[Any] = getattr(ended.sampled, name)
    if name == "pattern":
        return values
    beyond = np.arange(values.shape[1]) >= ended.batch.n_samples[:, None]
    return np.where(beyond.reshape(*beyond.shape, *[1] * (values.ndim - 2)), np.nan, values)


SAMPLED.update({name: _along(name) for name in VARIABLES})


def columns_of(dimension: int, sampled: Sequence[str]) -> dict[str, Column]:
    """Return the columns of a sweep in this dimension that samples these variables along its runs."""
    along = ("t", "log_t", *sampled) if sampled else ()
    columns = {**SUMMARY, **{name: SAMPLED[name] for name in along}}
    if dimension != 1:
        columns = {name: one for name, one in columns.items() if not name.endswith("boundary")}
    return columns
