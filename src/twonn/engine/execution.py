"""A run under way: what is asked, how far it is, and, in the end, its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from twonn import _core
from twonn.arguments import ArgumentValueError, Verbatim
from twonn.engine.kernel import prepared
from twonn.engine.pace import Pace
from twonn.engine.reach import out_of_reach
from twonn.problem.horizon import LARGEST_COUNT, steps_of_log, written_steps
from twonn.problem.params import Params
from twonn.problem.runspec import RunSpec
from twonn.results.records import SEGMENT, SLIDE, TRANSITION, Status
from twonn.results.states import pairs_of, parameters_of
from twonn.results.trajectory import Trajectory, times
from twonn.values import frozen_array

_KINDS = {_core.STEPPED: "direct", _core.LEAPT: "leap", _core.AVERAGED: "slide"}

#: Why the kernel could not leap.
_OBSTACLES = {
    _core.LARGE_STEPS: "single steps still change a margin by more than 1/256",
    _core.NEAR_KINK: "a neuron stays so near its kink that the activation pattern may change every few steps",
    _core.UNRESOLVED: "no long stretch can be solved to rounding accuracy",
}

_STATUS = {
    _core.COMPLETED: Status.COMPLETED,
    _core.STATIONARY: Status.STATIONARY,
    _core.DIVERGED: Status.DIVERGED,
    _core.INTERRUPTED: Status.INTERRUPTED,
    _core.OBSTRUCTED: Status.OBSTRUCTED,
    _core.CONVERGED: Status.CONVERGED,
}

_NO_TRANSITIONS = frozen_array(np.empty(0, TRANSITION))

#: How long a run whose horizon cannot be reached by stepping is given to end by itself.
TRIAL_STEPS = 1 << 20


class Execution:
    """A run under way.

    Parameters
    ----------
    spec : RunSpec
    values : mapping, optional
        Where a file has the run. Without, it is at step 0.

    Attributes
    ----------
    spec : RunSpec

    Raises
    ------
    KeyError, TypeError, ValueError
        If `values` are not those of such a run.
    """

    def __init__(self, spec: RunSpec, values: Mapping[str, Any] | None = None) -> None:
        self.spec = spec
        self._kernel = prepared(spec, values)
        self._pace = Pace(spec)

    @property
    def status(self) -> Status | None:
        """How the run ended; None while it is under way."""
        return _STATUS.get(self._kernel.status)

    @property
    def steps_taken(self) -> int:
        return self._kernel.step if self._kernel.step >= 0 else steps_of_log(self._kernel.log_step)

    def advance(self, most: int | None = None) -> None:
        """Go on for some tens of milliseconds, by `most` steps at most."""
        self._pace.advance(self._kernel, most)

    def try_to_end(self) -> None:
        """Refuse a horizon that stepping cannot reach, unless the run comes to rest or diverges by itself."""
        cost = self._cost_of_trial()
        if self.status is None:
            raise out_of_reach(
                self.spec.options, cost, f", unless the run ends by itself within {self._trial:,} steps"
            )

    def refusal_of_horizon(self) -> ArgumentValueError:
        """Return the error that refuses the horizon of many runs like this one; some steps are tried."""
        return out_of_reach(self.spec.options, self._cost_of_trial())

    @property
    def _trial(self) -> int:
        """How many steps are tried: fewer where one costs more, and no more than may be taken."""
        options, dimension = self.spec.options, self.spec.problem.dimension
        steps = TRIAL_STEPS if options.optimizer is None else TRIAL_STEPS // dimension
        return max(1, min(steps, options.most_steps))

    def _cost_of_trial(self) -> float | None:
        """Try some steps; return the seconds that one took, None if there were none."""
        first, begun = self._kernel.step, time.perf_counter()
        end = min(first + self._trial, self.spec.options.horizon - 1)
        while self.status is None and self._kernel.step < end:
            self.advance(end - self._kernel.step)
        taken = self._kernel.step - first
        return (time.perf_counter() - begun) / taken if taken else None

    def interrupt(self) -> None:
        """End a run that is under way."""
        if self.status is None:
            self._kernel.interrupt()

    def state(self) -> dict[str, Any]:
        """Return what a file has to hold so that the run can go on from here."""
        return self._kernel.state()

    def present(self) -> tuple[int, Params]:
        """Return the steps taken, and the parameters."""
        spec, start = self.spec, self.spec.params
        state = self._kernel.present[np.newaxis, np.newaxis]
        w, b, v = parameters_of(spec.problem, start.w[None], start.b[None], spec.options.optimizer, state)
        return self.steps_taken, Params.of_finite_state(w[0, 0], b[0, 0], v[0, 0])

    def refusal(self) -> ArgumentValueError:
        """Return the error that says why a run that has to leap could not."""
        taken = written_steps(self.steps_taken)
        argument, got, fix = "engine", "'leap'", 'Use engine="auto".'
        if self.spec.options.sliding == "step" and self._kernel.obstacle == _core.NEAR_KINK:
            argument, got, fix = "sliding", "'step'", 'Use sliding="average".'
        expected = f"a run that can be leapt over, but at step {taken} {_OBSTACLES[self._kernel.obstacle]}"
        return ArgumentValueError(argument, Verbatim(got), expected, fix)

    def trajectory(self, provenance: Mapping[str, str]) -> Trajectory:
        """Return the result of a run that has ended."""
        kernel, status = self._kernel, self.status
        assert status is not None
        t, log_t = _times(kernel.sample_steps, kernel.sample_logs)
        return Trajectory(
            spec=self.spec,
            status=status,
            end_step=self._end_step(),
            t=t,
            log_t=log_t,
            states=kernel.sample_states,
            pattern=kernel.sample_patterns,
            transitions=_transitions(kernel),
            n_transitions=kernel.n_transitions,
            n_transitions_exact=kernel.counted,
            transition_counts=kernel.transition_counts,
            slides=np.array(kernel.slides, SLIDE),
            phase_unknown=pairs_of(kernel.sample_phase_unknown),
            segments=_segments(kernel),
            error_bound=kernel.error + kernel.averaging_error,
            provenance=provenance,
            obstacle=self._obstacle() if status is Status.OBSTRUCTED else "",
        )

    def _end_step(self) -> int:
        if self.status is Status.COMPLETED:
            return self.spec.options.horizon
        if self.status is Status.CONVERGED:
            step = self._kernel.converged_step
            return step if step >= 0 else steps_of_log(self._kernel.converged_log)
        # The kernel counts the steps taken; divergence shows in the step after the last finite one.
        return self.steps_taken + (self.status is Status.DIVERGED)

    def _obstacle(self) -> str:
        """Say why the engine gave up, as a part of a sentence."""
        options, obstacle = self.spec.options, self._kernel.obstacle
        text = f"max_direct = {written_steps(options.max_direct)} is used up"
        if obstacle != _core.NONE:
            text += f", and the last try to leap failed because {_OBSTACLES[obstacle]}"
        if obstacle == _core.NEAR_KINK and options.sliding == "step":
            text += ' (sliding="step" forbids averaging over that)'
        return text


# --------------------------------------------------------------------------------------------------
# What the kernel has noted


def _times(steps: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return t and ln t of steps that are counted, or, where they are −1, known by their logarithms."""
    t, log_t = times(steps, logs)
    if len(steps) and steps[-1] < 0:
        # A logarithm knows its step to some 1e-14 of it: not the order of 2^63 - 1 and 2^63.
        t = np.maximum.accumulate(t)
    return t, log_t


def _transitions(kernel: _core.Run) -> np.ndarray:
    if not kernel.n_transitions:
        return _NO_TRANSITIONS
    dates = kernel.transition_times
    transitions = np.empty(len(dates), TRANSITION)
    transitions["t"], logs, transitions["t_low"], transitions["t_high"] = dates.T
    far = dates[:, 0] > LARGEST_COUNT
    transitions["log_t"] = np.where(far, logs, np.log(np.where(far, 1.0, dates[:, 0])))
    transitions["before"] = kernel.transition_before
    transitions["after"] = kernel.transition_after
    return transitions


def _segments(kernel: _core.Run) -> np.ndarray:
    rows = kernel.segments
    steps = np.array([step for row in rows for step in (row[1], row[3])], dtype=np.int64)
    t, log_t = _times(steps, np.array([log for row in rows for log in (row[2], row[4])]))
    ends = zip(t[::2].tolist(), t[1::2].tolist(), log_t[::2].tolist(), log_t[1::2].tolist(), strict=True)
    segments = np.array(
        [(_KINDS[row[0]], *span, row[5], row[6]) for row, span in zip(rows, ends, strict=True)], SEGMENT
    )
    if len(rows) == _core.SEGMENTS_KEPT:  # the last one covers all the rest
        segments["engine"][-1] = "mixed"
    return segments
