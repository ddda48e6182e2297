"""What a run returns: sampled states, the events in between, and all that follows from them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn import _core
from twonn.arguments import checked_path, required
from twonn.geometry.optimal import optimal_margin
from twonn.optimizers import Optimizer
from twonn.problem.horizon import sample_schedule, thinned_spacing, written_steps
from twonn.problem.params import Params
from twonn.problem.problem import Problem, problem_dict
from twonn.problem.runspec import RunSpec
from twonn.results.archive import encoded, write_archive
from twonn.results.external import fields_of
from twonn.results.outcome import Inactive, LastSample, failures, inactive_since, successes, switches_off
from twonn.results.records import ACCURACY, VARIABLES, Status
from twonn.results.sample import Sample
from twonn.results.states import NetworkStates, pairs_of, parameters_of, preactivations_of
from twonn.values import Floats, Shown, Value, derived, public

if TYPE_CHECKING:
    import pandas
    import xarray


@public
@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Shown, Value, NetworkStates):
    """One run of gradient descent, sampled.

    It is a value: read-only, equal to another by content, and the same after pickling.

    Attributes
    ----------
    spec : RunSpec
        All that was asked: the next four, the engine, and the samples.
    problem, params : Problem, Params
        The problem and the start.
    optimizer : Optimizer or None
        None for gradient descent.
    horizon : int
        Steps asked for.
    status : Status
        How the run ended. ``message`` is a sentence about it.
    success : bool
        Whether both points are classified: every margin at the last sample is > 0. False if the run diverged.
        A margin of exactly 0 is not classified. Labels may be equal.
    outcome : str
        The same as a sentence, with the reason and, if known, the step: "both points are classified" or
        "point 1 is not classified: no neuron has been active on it since step 59".
    end_step : int
        The step at which the run ended: the last one taken, or the first one at which no neuron was active
        any more. If the run diverged, the first step at which parameters, pre-activations or margins were
        not finite; the last sample is then the step before. If it converged, the step from which nothing
        changes at working precision; its samples extend to the horizon.
    obstacle : str
        Why the engine gave up, if it did, as part of a sentence.
    t, log_t : ndarray, shape (n,)
        Sampled steps (exact up to 2^53) and their natural logarithm (−inf at step 0).
    states : ndarray, shape (n, 12) or (n, 4 d + 8)
        Reduced coordinates: C_jk, its compensation, v, its compensation, with
        w_j = w_j(0) + Σ_k C_jk x_k, b_j = b_j(0) + Σ_k C_jk. For other optimizers the parameters themselves,
        (w_0, w_1, b, v), and their compensation.
    pattern : ndarray of uint8, shape (n,)
        Activation pattern; bit 2j + i is set where neuron j is active on point i.
    transitions : structured ndarray, shape (k,)
        The first 10,000 transitions: t, log_t, before, after, t_low, t_high.
    n_transitions, n_transitions_exact : int, bool
        How many transitions there were in all, and whether that number is exact. It is, unless a leap
        averaged over a neuron that slides, or passed a kink that attracts.
    transition_counts : ndarray of int64, shape (16, 16)
        How often pattern [row] was followed by pattern [column].
    slides : structured ndarray, shape (k,)
        The first 1,024 episodes in which a neuron slid along its kink at a point for more than 1,024 steps:
        neuron, point, t_enter, t_exit (inf if it is still sliding), active_fraction (at exit, or at the last
        step).
    phase_unknown : ndarray of bool, shape (n, 2, 2)
        Pairs of neuron j and point i whose z_ji is the mean of a sawtooth because a leap averaged over it,
        or whose phase in the sawtooth has been unknown since such a leap. `pattern` has the sign of that
        mean.
    sawtooth : ndarray, shape (n, 2, 2)
        Height h s_i |v_j| G_ii of that sawtooth, 0 elsewhere. z_ji of the exact run is within
        preactivations ± sawtooth/2, and the parameters differ from the exact ones accordingly.
    segments : structured ndarray, shape (k,)
        Which engine covered which steps: engine, t_start, t_stop, log_t_start, log_t_stop, blocks,
        iterations.
    error_bound : float
        The error that leaping may have added to the parameters (w, b, v), in the Euclidean norm of all of
        them, apart from `sawtooth`; 0 if every step was taken.
    error_estimate : float
        The same relative to the norm of the final parameters.
    provenance : mapping
        Versions, compiler, flags and instruction set with which it was computed.
    w, b, v : ndarray, shapes (n, 2, d), (n, 2), (n, 2)
        Parameters.
    preactivations : ndarray, shape (n, 2, 2)
        z_ji, indexed [sample, neuron j, point i].
    margins, log_loss, loss : ndarray, shapes (n, 2), (n,), (n,)
        m_i = y_i f(x_i), ln L and L. L may underflow to 0; ln L does not.
    distances, robust_margin, gap : ndarray, shapes (n, 2), (n,), (n,)
        See `twonn.distances`; gap = optimal margin − robust margin, formed without cancellation; nan for
        equal labels.
    gap_error : ndarray, shape (n,)
        Bound on the error of the gap. A gap that decays faster than 1/ln t falls below it in the end; then
        none of its digits is right.
    boundary : ndarray, shape (n,)
        The sign change of f between the points, nan where there is none; d = 1 only.
    final : Params
        Parameters of the last sample.
    """

    spec: RunSpec
    status: Status
    end_step: int
    t: Floats
    log_t: Floats
    states: Floats
    pattern: NDArray[np.uint8]
    transitions: NDArray[np.void]
    n_transitions: int
    n_transitions_exact: bool
    transition_counts: NDArray[np.int64]
    slides: NDArray[np.void]
    phase_unknown: NDArray[np.bool_]
    segments: NDArray[np.void]
    error_bound: float
    provenance: Mapping[str, str]
    obstacle: str = ""

    @classmethod
    def from_params(
        cls,
        problem: Problem,
        t: ArrayLike,
        params: Params | Sequence[Mapping[str, Any]],
        *,
        method: str = "computed elsewhere",
    ) -> Trajectory:
        """Return a trajectory of parameters that another program has computed.

        It has margins, distances and the gap, is fitted, drawn and saved like any other. Its status is
        ``Status.EXTERNAL``.

        Parameters
        ----------
        problem : Problem
        t : array_like, shape (n,)
            Steps, or times, of the parameters: numbers >= 0, increasing.
        params : Params or sequence of state dicts
            The parameters with a leading axis of n samples, or n state dicts of a PyTorch module that
            computes v_0 relu(w_0·x + b_0) + v_1 relu(w_1·x + b_1); see `Params.from_torch`.
        method : str
            What to call the method where an optimizer is named.

        Returns
        -------
        Trajectory
            Between two samples nothing is known: `transitions` are the changes from sample to sample, with
            bounds ``t_low`` and ``t_high``, and there may have been more.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was got, what was expected, and the fix.
        """
        return cls(**fields_of(problem, t, params, method))

    # ----------------------------------------------------------------------------------------------
    # What was asked

    @property
    def problem(self) -> Problem:  # type: ignore[override]
        return self.spec.problem

    @property
    def params(self) -> Params:
        return self.spec.params

    @property
    def optimizer(self) -> Optimizer | None:  # type: ignore[override]
        return self.spec.options.optimizer

    @property
    def horizon(self) -> int:
        return self.spec.options.horizon

    # ----------------------------------------------------------------------------------------------
    # Derived arrays

    @derived
    def _weights(self) -> tuple[Floats, Floats]:
        start = self.params
        w, b, _ = parameters_of(self.problem, start.w[None], start.b[None], self.optimizer, self.states[None])
        return w[0], b[0]

    @derived
    def preactivations(self) -> Floats:
        start = self.params
        z = preactivations_of(self.problem, start.w[None], start.b[None], self.optimizer, self.states[None])
        return np.asarray(z[0])

    @property
    def error_estimate(self) -> float:
        if self.error_bound == 0.0:
            return 0.0
        final = self.final
        norm = float(_core.norms(np.concatenate([final.w.ravel(), final.b, final.v])[None])[0])
        return self.error_bound / norm if norm > 0 else math.inf

    @property
    def final(self) -> Params:
        return Params.of_finite_state(self.w[-1], self.b[-1], self.v[-1])

    def at(self, t: int | float | str | None = None, *, log10_t: float | None = None) -> Sample:
        """Return the network at any step of the run, with the bits of a sample of that step.

        Steps between samples are computed: the run is taken again up to there, by the same engine. With
        leaps this takes milliseconds at most; otherwise every step is taken again, which shows a progress bar
        if it takes over a second. Normalized gradient descent begins at a sample shortly before the step,
        everything else at step 0.

        Parameters
        ----------
        t : int, float or str
            The step, in the forms that `twonn.run` takes. Exactly one of `t` and `log10_t` is given.
        log10_t : float
            Its decimal logarithm; the step is rounded to the nearest whole number.

        Returns
        -------
        Sample
            With ``t``, ``params``, ``preactivations``, ``margins``, ``distances``, ``robust_margin``,
            ``gap``, ``boundary`` (d = 1) and ``pattern``, as in the trajectory.

        Raises
        ------
        TypeError, ValueError
            If it is not a step of the run: up to its horizon, or to the step at which it ended before. Also
            if the parameters were computed elsewhere, or by an optimizer that is a function, of which only
            the samples are known.
        RuntimeError
            If the trajectory was computed by another version of twonn whose bits were different.
        """
        # Results come before the engine that makes them; only here one of them needs it.
        from twonn.engine.at import sample_at

        return sample_at(self, t, log10_t)

    # ----------------------------------------------------------------------------------------------
    # What happened, for people

    @property
    def message(self) -> str:
        """A sentence on how the run ended."""
        end, horizon = written_steps(self.end_step), written_steps(self.horizon)
        if self.status is Status.COMPLETED:
            return f"All {horizon} steps were taken."
        if self.status is Status.CONVERGED:
            return (
                f"All {horizon} steps were taken, and the run has converged: from step {end} on the "
                "parameters no longer change at working precision (a finite minimiser, where the gradients "
                "of the two points balance)."
            )
        if self.status is Status.OBSTRUCTED:
            return (
                f"At step {end} of {horizon} the engine gave up: {self.obstacle}. Ask for fewer steps, or "
                "for a larger max_direct."
            )
        if self.status is Status.STATIONARY:
            return (
                f"At step {end} of {horizon} no neuron is active on any point, "
                "so every gradient is zero and nothing can move again."
            )
        if self.status is Status.DIVERGED:
            return (
                f"At step {end} of {horizon} the parameters or the network's values stopped being finite; "
                "the last sample is the step before. A smaller step size may help."
            )
        if self.status is Status.EXTERNAL:
            return f"The parameters were computed elsewhere, up to step {self.t[-1]:.6g}."
        return f"The run was interrupted after {end} of {horizon} steps."

    @property
    def success(self) -> bool:
        return bool(successes(self.margins[-1], self.status is Status.DIVERGED))

    @property
    def outcome(self) -> str:
        end = written_steps(self.end_step)
        if self.status is Status.DIVERGED:
            return f"no point is classified: the run diverged at step {end}"
        margins, v, pattern, sliding = self.margins[-1], self.v[-1], self.pattern[-1], self._is_sliding()
        codes = failures(self.problem, margins, v, pattern, sliding, False)
        active, inactive = pairs_of(pattern), self._inactive_since()
        outcome = LastSample(self.problem, margins, v, active, sliding, codes, inactive).outcome()
        if self.status is Status.INTERRUPTED:
            return f"{outcome} (at step {end}, where the run was interrupted)"
        if self.status is Status.OBSTRUCTED:
            return f"{outcome} (at step {end}, where the engine gave up)"
        return outcome

    def _is_sliding(self) -> NDArray[np.bool_]:
        """Return which neuron slides at which point at the end, shape (2, 2)."""
        sliding: NDArray[np.bool_] = self.phase_unknown[-1].copy()
        is_open = np.isinf(self.slides["t_exit"])
        sliding[self.slides["neuron"][is_open], self.slides["point"][is_open]] = True
        return sliding

    def _inactive_since(self) -> Inactive:
        """Return since when no neuron has been active on each point."""
        before, after = (self.transitions[name] for name in ("before", "after"))
        # Only the first transitions are listed, but all are counted, by their patterns.
        patterns = np.arange(16, dtype=np.uint8)
        is_off = switches_off(patterns[:, None], patterns[None, :])
        counted = np.einsum("ab,abi->i", self.transition_counts, is_off)
        is_complete = (counted == np.sum(switches_off(before, after), axis=0)) & self.n_transitions_exact
        return inactive_since(
            self.t,
            self.log_t,
            self.pattern,
            self.transitions["t"],
            self.transitions["log_t"],
            before,
            after,
            is_complete,
        )

    def _facts(self) -> dict[str, str]:
        problem = self.problem
        facts = {
            "outcome": self.outcome,
            "status": f"{self.status.value}. {self.message}",
            "problem": (
                f"d = {problem.dimension}, step size {problem.step_size:g}, {problem.reduction} "
                f"{problem.loss} loss, output weights {'trained' if problem.train_output else 'fixed'}"
                f"{'' if problem.bias else ', no biases'}"
            ),
            **({} if self.optimizer is None else {"optimizer": str(self.optimizer)}),
            "samples": self._samples(),
            "engines": self._engines(),
            "transitions": f"{'' if self.n_transitions_exact else 'at least '}{self.n_transitions:,}, "
            f"last pattern {int(self.pattern[-1]):04b}",
            "margins": ", ".join(f"{margin:.6g}" for margin in self.margins[-1]),
        }
        if len(self.slides):
            facts["sliding"] = self._sliding()
        if problem.y[0] == problem.y[1]:
            facts["gap"] = "none: the labels are equal, so there is no separator (optimal margin inf)"
        else:
            doubt = f" ± {self.gap_error[-1]:.0e}" if self.gap_error[-1] > 1e-6 * self.gap[-1] else ""
            facts["gap"] = (
                f"{self.gap[-1]:.6g}{doubt} (robust margin {self.robust_margin[-1]:.6g}, "
                f"optimal {optimal_margin(problem):.6g})"
            )
        return facts

    def _samples(self) -> str:
        if self.status is Status.EXTERNAL:
            return f"{len(self.t)}, from {self.t[0]:.6g} to {self.t[-1]:.6g}"
        last = written_steps(int(self.t[-1])) if math.isfinite(self.t[-1]) else f"e^{self.log_t[-1]:.6g}"
        text = f"{len(self.t)}, from step 0 to {last}"
        if len(self.t) > 2 and (spacing := thinned_spacing(self.horizon)):
            steps, logs = sample_schedule(self.horizon, None, None)
            default = times(np.append(steps, np.full(len(logs), -1)), np.append(np.zeros(len(steps)), logs))
            # The last sample of a run that ended early is not among them.
            if np.isin(self.log_t[:-1], default[1]).all():
                text += f", {spacing}"
        return text

    def _engines(self) -> str:
        if self.status is Status.EXTERNAL:
            return "none of twonn"
        leaps = self.segments[self.segments["engine"] != "direct"]
        if not len(leaps):
            return "every step taken"
        text = f"leaps in {leaps['blocks'].sum():,} blocks, relative error estimate {self.error_estimate:.1e}"
        if "slide" in self.segments["engine"] or self.phase_unknown.any():
            text += ", most of it from averaging"
        elif self.error_estimate > ACCURACY:
            text += f", more than the {ACCURACY:g} that leaps aim at"
        return text

    def _sliding(self) -> str:
        still = [
            f"neuron {slide['neuron']} at point {slide['point']} since step {slide['t_enter']:.6g}, "
            f"active fraction {slide['active_fraction']:.6g}"
            for slide in self.slides[np.isinf(self.slides["t_exit"])]
        ]
        past = len(self.slides) - len(still)
        return "; ".join(still + ([f"{past:,} past episodes"] if past else []))

    # ----------------------------------------------------------------------------------------------
    # Other forms

    def _variables(self) -> list[str]:
        return [name for name in VARIABLES if name != "boundary" or self.problem.dimension == 1]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one row per sample: t, log_t, and every array of the trajectory, one column per entry.

        Columns of a vector or matrix carry the indices, as in ``w_0_2`` (neuron 0, third axis); for d = 1
        the axis is left out (``w_0``).

        Raises
        ------
        ImportError
            Without pandas.
        """
        package = required("pandas", "Trajectory.to_dataframe")
        columns: dict[str, NDArray[Any]] = {"t": self.t, "log_t": self.log_t}
        for name in self._variables():
            values = getattr(self, name)
            if name == "w" and self.problem.dimension == 1:
                values = values[..., 0]
            for index in np.ndindex(values.shape[1:]):
                columns["_".join([name, *map(str, index)])] = values[(slice(None), *index)]
        frame: pandas.DataFrame = package.DataFrame(columns)
        return frame

    def to_xarray(self) -> xarray.Dataset:
        """Return a Dataset with dimensions sample, neuron, axis and point, units and long names.

        Raises
        ------
        ImportError
            Without xarray.
        """
        package = required("xarray", "Trajectory.to_xarray")
        variables = {
            name: (
                ("sample", *VARIABLES[name][0]),
                getattr(self, name),
                {"units": VARIABLES[name][1], "long_name": VARIABLES[name][2]},
            )
            for name in self._variables()
        }
        coordinates = {
            "t": ("sample", self.t, {"units": "step", "long_name": "step"}),
            "log_t": (
                "sample",
                self.log_t,
                {"units": "1", "long_name": "natural logarithm of the step"},
            ),
        }
        attributes = {
            "problem": json.dumps(problem_dict(self.problem)),
            "status": self.status.value,
            "message": self.message,
            "outcome": self.outcome,
            **self.provenance,
        }
        data: xarray.Dataset = package.Dataset(variables, coordinates, attributes)
        return data

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trajectory to an ``.npz`` file that `twonn.load` reads back to the last bit.

        The file holds plain arrays only (no pickle) and can be read with `numpy.load` alone: ``format``;
        ``problem``, ``optimizer``, ``options``, ``provenance`` (JSON texts); ``start_w``, ``start_b``,
        ``start_v``; ``horizon``, ``end_step`` (hexadecimal integers as text); ``status``, ``obstacle``
        (texts); the stored arrays under their attribute names; and, for readers without twonn, the derived
        arrays w, b, v, margins, log_loss, loss, distances, robust_margin, gap, and boundary for d = 1.

        The file appears under its name only when it is complete.

        Parameters
        ----------
        path : str or os.PathLike
            Its name. A file of that name is replaced.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        derived = {name: getattr(self, name) for name in self._variables() if name not in fields}
        write_archive(checked_path(path), {**encoded(fields), **derived})


@np.errstate(divide="ignore", over="ignore")
def times(steps: NDArray[np.int64], logs: Floats) -> tuple[Floats, Floats]:
    """Return t and ln t of steps that are counted, or, where they are −1, known by their logarithms."""
    t = steps.astype(np.float64)
    late = steps < 0
    if not late.any():
        return t, np.log(t)
    t = np.where(late, np.exp(logs), t)
    return t, np.where(late, logs, np.log(t))
