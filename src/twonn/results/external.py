"""Trajectories of parameters that twonn has not computed: what is known of them by their samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn import _core, config
from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, finite_array
from twonn.geometry.distances import arrays_of
from twonn.optimizers import Custom
from twonn.problem.params import Params, check_compatible
from twonn.problem.problem import Problem, checked_problem
from twonn.problem.pytorch import read_states
from twonn.problem.runspec import RunOptions, RunSpec
from twonn.results.records import SEGMENT, SLIDE, TRANSITION, Status
from twonn.values import Floats


def fields_of(problem: Problem, t: ArrayLike, params: object, method: str) -> dict[str, Any]:
    """Return the fields of a trajectory with these parameters at these times, checked."""
    checked_problem(problem)
    networks = _networks(params)
    times = _times(t, len(networks))
    check_compatible(problem, networks)
    _check_output(problem, networks)
    pattern = pattern_of(arrays_of(problem, networks)[2])
    transitions = _transitions(times, pattern)
    last = math.ceil(times[-1])
    return {
        "spec": RunSpec(problem, networks[0], RunOptions(last, "direct", optimizer=Custom(method))),
        "status": Status.EXTERNAL,
        "end_step": last,
        **samples(times, networks, pattern),
        "transitions": transitions[: _core.TRANSITIONS_KEPT],
        "n_transitions": len(transitions),
        "n_transitions_exact": False,
        "transition_counts": counts_of(transitions["before"], transitions["after"]),
        "provenance": config.provenance(),
    }


def samples(t: Floats, params: Params, pattern: NDArray[np.uint8]) -> dict[str, Any]:
    """Return those fields of a trajectory that hold its samples, and those that only the kernel fills."""
    numbers = np.concatenate([params.w.reshape(len(t), -1), params.b, params.v], axis=1)
    return {
        "t": t,
        "log_t": np.log(t, out=np.full(len(t), -np.inf), where=t > 0),
        "states": np.concatenate([numbers, np.zeros_like(numbers)], axis=1),  # nothing is compensated
        "pattern": pattern,
        "slides": np.empty(0, SLIDE),
        "phase_unknown": np.zeros((len(t), 2, 2), np.bool_),
        "segments": np.empty(0, SEGMENT),
        "error_bound": 0.0,
    }


def pattern_of(z: Floats) -> NDArray[np.uint8]:
    """Return the activation pattern at pre-activations (..., 2, 2): bit 2j + i for neuron j at point i."""
    return np.asarray((z > 0) @ np.array([1, 2]) @ np.array([1, 4])).astype(np.uint8)


def transitions_at(t: Floats, t_low: Floats, before: ArrayLike, after: ArrayLike) -> NDArray[np.void]:
    """Return transitions that show at `t`, somewhere after `t_low`, or exactly there if these are equal."""
    transitions = np.empty(len(t), TRANSITION)
    transitions["t"] = transitions["t_high"] = t
    transitions["t_low"], transitions["log_t"] = t_low, np.log(t)
    transitions["before"], transitions["after"] = before, after
    return transitions


def counts_of(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how often one pattern was followed by another, shape (16, 16)."""
    counts = np.zeros((16, 16), np.int64)
    np.add.at(counts, (before, after), 1)
    return counts


def _networks(params: object) -> Params:
    """Return the networks along a leading axis."""
    expected = "twonn.Params with a leading axis of samples, or a list of PyTorch state dicts"
    if isinstance(params, Params):
        if params.runs is None:
            raise ArgumentValueError("params", Verbatim("one network"), expected, "Stack them.")
        return params
    if not isinstance(params, Sequence) or isinstance(params, str) or not params:
        raise ArgumentTypeError("params", params, expected, "Stack the parameters along a first axis.")
    for index, state in enumerate(params):
        if not isinstance(state, Mapping):
            raise ArgumentTypeError(f"params[{index}]", state, "a state dict", "Use module.state_dict().")
    states = read_states("params", params)
    return Params(**{name: np.stack([state[name] for state in states]) for name in ("w", "b", "v")})


def _times(t: ArrayLike, n: int) -> Floats:
    times = finite_array("t", t)
    if times.shape != (n,):
        expected = f"shape ({n},), one step or time for each of the parameters"
        raise ArgumentValueError("t", Verbatim(f"shape {times.shape}"), expected, "Give as many as samples.")
    if not n or times[0] < 0 or np.any(np.diff(times) <= 0):
        raise ArgumentValueError("t", t, "numbers >= 0, each larger than the one before", "Sort the samples.")
    return times


def _check_output(problem: Problem, networks: Params) -> None:
    if not problem.train_output and np.any(networks.v != networks.v[0]):
        raise ArgumentValueError(
            "params.v",
            Verbatim("output weights that change"),
            "the same ones at all samples, because the problem has train_output=False",
            "Build the Problem with train_output=True.",
        )


def _transitions(t: Floats, pattern: NDArray[np.uint8]) -> NDArray[np.void]:
    """Return the changes from sample to sample, each somewhere between the two."""
    later = np.flatnonzero(pattern[1:] != pattern[:-1]) + 1
    return transitions_at(t[later], t[later - 1], pattern[later - 1], pattern[later])
