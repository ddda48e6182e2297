"""The adapter to the compiled kernel: the only place that makes its runs, and that reads them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn import _core, config
from twonn.arguments import ArgumentValueError, Verbatim
from twonn.optimizers import Adam, Momentum, NormalizedGD, Optimizer
from twonn.problem.horizon import LARGEST_COUNT, steps_of_log, written_steps
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.problem.runspec import RunOptions, RunSpec
from twonn.results.records import SEGMENT, SLIDE, TRANSITION, Status
from twonn.results.states import pairs_of, parameters_of
from twonn.results.trajectory import Trajectory, times
from twonn.values import Floats

Steps = NDArray[np.int64]
_Dynamics = tuple[Floats, Floats, float, bool, int, bool, Floats, Floats, Floats]

_ENGINES = {"auto": _core.AUTO, "direct": _core.DIRECT, "leap": _core.LEAP}

_OPTIMIZERS = {Momentum: _core.MOMENTUM, NormalizedGD: _core.NORMALIZED, Adam: _core.ADAM}

_KINDS = {_core.STEPPED: "direct", _core.LEAPT: "leap", _core.AVERAGED: "slide"}

#: Why the kernel could not leap.
_OBSTACLES = {
    _core.LARGE_STEPS: "single steps still change a margin by more than 1/256",
    _core.NEAR_KINK: "a neuron stays so near its kink that the activation pattern may change every few steps",
    _core.UNRESOLVED: "no long stretch can be solved to rounding accuracy",
}

STATUS = {
    _core.COMPLETED: Status.COMPLETED,
    _core.STATIONARY: Status.STATIONARY,
    _core.DIVERGED: Status.DIVERGED,
    _core.INTERRUPTED: Status.INTERRUPTED,
    _core.OBSTRUCTED: Status.OBSTRUCTED,
    _core.CONVERGED: Status.CONVERGED,
}


def prepared(spec: RunSpec, values: Mapping[str, Any] | None = None) -> _core.Run | _core.OptimizerRun:
    """Return a kernel at step 0, or where a file has it.

    Raises
    ------
    KeyError, TypeError, ValueError
        If `values` are not those of such a run.
    """
    config.require_sound_arithmetic()
    steps, logs = spec.options.schedule()
    kernel = _kernel(spec, steps, logs)
    if values is not None:
        kernel.restore(values)
        counted = steps[: kernel.n_samples]
        late = logs[: kernel.n_samples - len(counted)]
        if not (
            np.array_equal(kernel.sample_steps[: len(counted)], counted)
            and np.array_equal(kernel.sample_logs[len(counted) :], late)
        ):
            raise ValueError("its samples are not those that it asks for")
    return kernel


def _kernel(spec: RunSpec, steps: Steps, logs: Floats) -> _core.Run | _core.OptimizerRun:
    options = spec.options
    if options.optimizer is not None:
        return optimizer_run(spec.problem, spec.params, steps, options.optimizer)
    return _core.Run(
        *_dynamics(spec.problem, spec.params),
        steps,
        logs,
        _ENGINES[options.engine],
        options.sliding == "average",
        options.max_direct,
    )


def optimizer_run(
    problem: Problem, params: Params, schedule: Steps, optimizer: Optimizer
) -> _core.OptimizerRun:
    """Return the kernel's run of another optimizer from one start, nothing of it taken yet."""
    return _core.OptimizerRun(
        problem.x,
        problem.y.astype(np.float64),
        problem.step_size,
        problem.point_step / problem.step_size,
        problem.bias,
        _core.LOSSES[problem.loss],
        problem.train_output,
        params.w,
        params.b,
        params.v,
        schedule,
        _OPTIMIZERS[type(optimizer)],
        optimizer.options,
    )


def batch_run(
    problem: Problem,
    params: Params,
    schedule: tuple[Steps, Floats],
    options: RunOptions,
    transitions_kept: int,
    slides_kept: int,
) -> _core.Batch:
    """Return the kernel's runs of gradient descent from many starts, nothing of them taken yet."""
    return _core.Batch(
        *_dynamics(problem, params),
        *schedule,
        _ENGINES[options.engine],
        options.sliding == "average",
        transitions_kept,
        slides_kept,
        options.max_direct,
    )


def _dynamics(problem: Problem, params: Params) -> _Dynamics:
    """Return what tells the kernel how a step of gradient descent changes which parameters."""
    return (
        problem.x,
        problem.y.astype(np.float64),
        problem.point_step,
        problem.bias,
        _core.LOSSES[problem.loss],
        problem.train_output,
        params.w,
        params.b,
        params.v,
    )


def present(spec: RunSpec, kernel: _core.Run) -> tuple[int, Params]:
    """Return the steps taken, and the parameters."""
    start, state = spec.params, kernel.present[np.newaxis, np.newaxis]
    w, b, v = parameters_of(spec.problem, start.w[None], start.b[None], spec.options.optimizer, state)
    return steps_taken(kernel), Params.of_finite_state(w[0, 0], b[0, 0], v[0, 0])


def refused(kernel: _core.Run | _core.OptimizerRun, spec: RunSpec) -> ArgumentValueError:
    """Return the error that says why a run that has to leap could not."""
    taken = written_steps(steps_taken(kernel))
    argument, got, fix = "engine", "'leap'", 'Use engine="auto".'
    if spec.options.sliding == "step" and kernel.obstacle == _core.NEAR_KINK:
        argument, got, fix = "sliding", "'step'", 'Use sliding="average".'
    expected = f"a run that can be leapt over, but at step {taken} {_OBSTACLES[kernel.obstacle]}"
    return ArgumentValueError(argument, Verbatim(got), expected, fix)


def _obstacle(kernel: _core.Run, spec: RunSpec) -> str:
    """Say why the engine gave up, as a part of a sentence."""
    text = f"max_direct = {written_steps(spec.options.max_direct)} is used up"
    if kernel.obstacle != _core.NONE:
        text += f", and the last try to leap failed because {_OBSTACLES[kernel.obstacle]}"
    if kernel.obstacle == _core.NEAR_KINK and spec.options.sliding == "step":
        text += ' (sliding="step" forbids averaging over that)'
    return text


def steps_taken(kernel: _core.Run | _core.OptimizerRun) -> int:
    """Return how many steps a kernel has taken."""
    return kernel.step if kernel.step >= 0 else steps_of_log(kernel.log_step)


def trajectory_of(
    spec: RunSpec, kernel: _core.Run | _core.OptimizerRun, provenance: dict[str, str]
) -> Trajectory:
    """Return the result of a run that has ended."""
    t, log_t = _times(kernel.sample_steps, kernel.sample_logs)
    return Trajectory(
        spec=spec,
        status=STATUS[kernel.status],
        end_step=_end_step(kernel, spec),
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
        obstacle=_obstacle(kernel, spec) if kernel.status == _core.OBSTRUCTED else "",
    )


def _end_step(kernel: _core.Run, spec: RunSpec) -> int:
    if kernel.status == _core.COMPLETED:
        return spec.options.horizon
    if kernel.status == _core.CONVERGED:
        step = kernel.converged_step
        return step if step >= 0 else steps_of_log(kernel.converged_log)
    # The kernel counts the steps taken; divergence shows in the step after the last finite one.
    return steps_taken(kernel) + (kernel.status == _core.DIVERGED)


def _times(steps: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return t and ln t of steps that are counted, or, where they are −1, known by their logarithms."""
    t, log_t = times(steps, logs)
    # A logarithm knows its step to some 1e-14 of it: not the order of 2^63 - 1 and 2^63.
    return np.maximum.accumulate(t), log_t


def _transitions(kernel: _core.Run) -> np.ndarray:
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
    segments = np.empty(len(rows), SEGMENT)
    segments["engine"] = [_KINDS[row[0]] for row in rows]
    for name, step in (("start", 1), ("stop", 3)):
        steps = np.array([row[step] for row in rows], dtype=np.int64)
        times = _times(steps, np.array([row[step + 1] for row in rows], dtype=np.float64))
        segments[f"t_{name}"], segments[f"log_t_{name}"] = times
    segments["blocks"] = [row[5] for row in rows]
    segments["iterations"] = [row[6] for row in rows]
    if len(rows) == _core.SEGMENTS_KEPT:  # the last one covers all the rest
        segments["engine"][-1] = "mixed"
    return segments
