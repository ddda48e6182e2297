"""Takes the steps of an optimizer that is a Python function."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from twonn import _core, config
from twonn.arguments import ArgumentTypeError, ArgumentValueError, OutOfRangeError
from twonn.engine.pace import CHUNK_SECONDS
from twonn.engine.reach import out_of_reach
from twonn.engine.watching import Watcher, first_signal, reporting
from twonn.geometry.distances import arrays_of
from twonn.geometry.objective import gradient_of
from twonn.problem.params import Params, check_compatible, single_run
from twonn.problem.runspec import RunSpec
from twonn.results.external import pattern_of, samples, transitions_at
from twonn.results.records import Status
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

#: Called with the steps taken, the parameters there, and the gradient there.
Rule = Callable[[int, Params, Params], Params]


def stepped(spec: RunSpec, rule: Rule, watcher: Watcher) -> Trajectory:
    """Take every step by calling `rule`, and return the result.

    Raises
    ------
    TypeError, ValueError
        If the rule returns something else than one network of this problem.
    """
    if not spec.options.is_affordable:
        raise out_of_reach(spec.options, None)  # what a step of it costs only its author knows
    progress = _Steps(spec)
    with first_signal() as came, reporting(watcher.progress is None or watcher.progress) as report:
        status = Status.INTERRUPTED
        while not came():
            ended = progress.advance(rule)
            report(progress.step, spec.options.horizon)
            if ended is not None:
                status = ended
                break
            if watcher.ends(lambda: (progress.step, progress.params)):
                break
    return progress.trajectory(status)


class _Steps:
    """How far it is, and what has been recorded."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec, self.params, self.step = spec, spec.params, 0
        self._schedule = iter(spec.options.schedule()[0].tolist())
        self._due = next(self._schedule)
        self._sampled: list[tuple[int, Params, int]] = []
        self._transitions: list[tuple[int, int, int]] = []
        self._counts = np.zeros((16, 16), np.int64)
        self._look()

    def advance(self, rule: Rule) -> Status | None:
        """Take steps for some tens of milliseconds; return how the run has ended, if it has."""
        until = time.perf_counter() + CHUNK_SECONDS
        while self.step < self.spec.options.horizon:
            try:
                slope = gradient_of(self.spec.problem, self.params.v, self._z)
                self.params = _checked(rule(self.step, self.params, slope), self.spec)
            except OutOfRangeError:
                return Status.DIVERGED
            self.step += 1
            before = self._pattern
            self._look()
            if self._pattern != before:
                self._note(before)
            if time.perf_counter() > until:
                break
        return Status.COMPLETED if self.step == self.spec.options.horizon else None

    def _look(self) -> None:
        """See where the run is, and record that if it is due."""
        self._z: Floats = arrays_of(self.spec.problem, self.params)[2]
        self._pattern = int(pattern_of(self._z))
        if self.step == self._due:
            self._record()
            self._due = next(self._schedule, -1)

    def _record(self) -> None:
        self._sampled.append((self.step, self.params, self._pattern))

    def _note(self, before: int) -> None:
        self._counts[before, self._pattern] += 1
        if len(self._transitions) < _core.TRANSITIONS_KEPT:
            self._transitions.append((self.step, before, self._pattern))

    def trajectory(self, status: Status) -> Trajectory:
        if self._sampled[-1][0] != self.step:  # it ended early: the last sample is where it did
            self._record()
        steps, networks, patterns = zip(*self._sampled, strict=True)
        dates, before, after = np.array(self._transitions, np.int64).reshape(-1, 3).T
        t = dates.astype(np.float64)
        return Trajectory(
            spec=self.spec,
            status=status,
            end_step=self.step + (status is Status.DIVERGED),
            **samples(
                np.array(steps, np.float64),
                Params.of_finite_state(
                    *(np.stack([getattr(one, name) for one in networks]) for name in ("w", "b", "v"))
                ),
                np.array(patterns, np.uint8),
            ),
            transitions=transitions_at(t, t, before, after),
            n_transitions=int(self._counts.sum()),
            n_transitions_exact=True,
            transition_counts=self._counts,
            provenance=config.provenance(),
        )


def _checked(params: Any, spec: RunSpec) -> Params:
    """Return what the rule has returned, if it is parameters of the problem's network."""
    if not isinstance(params, Params):
        fix = "Return the new parameters, such as params - 0.01 * gradient."
        raise ArgumentTypeError("optimizer", params, "a function that returns twonn.Params", fix)
    check_compatible(spec.problem, single_run(params))
    if not spec.problem.train_output and np.any(params.v != spec.params.v):
        expected = "the output weights of the start, because the problem has train_output=False"
        fix = "Leave v as it is, or build the Problem with train_output=True."
        raise ArgumentValueError("optimizer", params.v.tolist(), expected, fix)
    return params
