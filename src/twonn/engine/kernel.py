"""Makes the runs of the compiled kernel; the only place that does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn import _core, config
from twonn.optimizers import Adam, Momentum, NormalizedGD, Optimizer
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.problem.runspec import RunOptions, RunSpec
from twonn.values import Floats

Steps = NDArray[np.int64]
_Dynamics = tuple[Floats, Floats, float, bool, int, bool, Floats, Floats, Floats]
_OptimizedDynamics = tuple[Floats, Floats, float, float, bool, int, bool, Floats, Floats, Floats]

_ENGINES = {"auto": _core.AUTO, "direct": _core.DIRECT, "leap": _core.LEAP}

_OPTIMIZERS = {Momentum: _core.MOMENTUM, NormalizedGD: _core.NORMALIZED, Adam: _core.ADAM}


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
        *_optimized_dynamics(problem, params), schedule, _OPTIMIZERS[type(optimizer)], optimizer.options
    )


def optimizer_batch(
    problem: Problem, params: Params, schedule: Steps, optimizer: Optimizer, transitions_kept: int
) -> _core.OptimizerBatch:
    """Return the kernel's runs of another optimizer from many starts, nothing of them taken yet."""
    return _core.OptimizerBatch(
        *_optimized_dynamics(problem, params),
        schedule,
        _OPTIMIZERS[type(optimizer)],
        optimizer.options,
        transitions_kept,
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


def _optimized_dynamics(problem: Problem, params: Params) -> _OptimizedDynamics:
    """Return likewise what tells it how a step of another optimizer does."""
    return (
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
    )
