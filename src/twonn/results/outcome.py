"""Whether runs have learned to classify their points; if not, why, and since when.

The functions take arrays with any leading axes ``...``, so that they judge one run or all runs of a batch:
`margins` and `v` have shape (..., 2), `pattern` has shape (...). `sliding` (..., 2, 2) tells which neuron j
slides along its kink at point i: in an open episode, or in an unknown phase because leaps averaged over it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twonn.geometry.distances import serving
from twonn.problem.horizon import written_time
from twonn.problem.problem import Problem
from twonn.results.states import pairs_of
from twonn.values import Floats


class Failure(enum.IntEnum):
    """Why a point is not classified at the last sample. Stores may hold the codes: new ones come last."""

    #: It is classified.
    NONE = 0
    #: The run diverged.
    DIVERGED = 1
    #: No neuron is active on it, so that the network is 0 there, and no gradient comes from it.
    INACTIVE = 2
    #: Only neurons whose output weights have the wrong sign are active on it.
    WRONG_SIGN = 3
    #: A neuron that serves it is active on it, but another neuron outweighs that one.
    OUTWEIGHED = 4
    #: Its margin is exactly 0 with a neuron active on it.
    ZERO_MARGIN = 5
    #: Only neurons that slide along their kinks there are active on it, every few steps.
    SLIDING = 6
    #: There is no last sample to judge by.
    UNKNOWN = 7


@dataclass(frozen=True)
class Inactive:
    """Since when no neuron has been active on a point.

    Attributes
    ----------
    t, log_t : ndarray, shape (..., 2)
        The step, 0 if none ever was, and its natural logarithm; nan where a neuron is active at the end.
    is_dated : ndarray of bool, shape (..., 2)
        Whether the step is that of the transition. Otherwise, if it is not nan, it is the first sample from
        which on no sample shows an active neuron; one may have been active later, between samples.
    """

    t: Floats
    log_t: Floats
    is_dated: NDArray[np.bool_]


# --------------------------------------------------------------------------------------------------
# Judged by the last sample


def successes(margins: Floats, diverged: NDArray[np.bool_] | bool) -> NDArray[np.bool_]:
    """Return whether every point is classified, shape (...)."""
    return np.asarray(np.all(margins > 0, axis=-1) & ~np.asarray(diverged))


def failures(
    problem: Problem,
    margins: Floats,
    v: Floats,
    pattern: NDArray[np.uint8],
    sliding: NDArray[np.bool_],
    diverged: NDArray[np.bool_] | bool,
) -> NDArray[np.uint8]:
    """Return the code of `Failure` of each point, shape (..., 2)."""
    active = pairs_of(pattern)
    steadily = np.any(active & ~sliding, axis=-2)
    serves = np.any(active & serving(problem, v), axis=-2)
    cases = [
        (np.broadcast_to(np.asarray(diverged)[..., None], margins.shape), Failure.DIVERGED),
        (margins > 0, Failure.NONE),
        (np.isnan(margins), Failure.UNKNOWN),
        (~steadily & np.any(sliding, axis=-2), Failure.SLIDING),
        (~steadily, Failure.INACTIVE),
        (margins == 0, Failure.ZERO_MARGIN),
        (serves, Failure.OUTWEIGHED),
    ]
    conditions, codes = zip(*cases, strict=True)
    return np.asarray(np.select(conditions, codes, Failure.WRONG_SIGN), np.uint8)


# --------------------------------------------------------------------------------------------------
# Judged by the course of the run


def switches_off(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return after which transitions no neuron is active on a point that one was active on before.

    Patterns of any shape (...) give shape (..., 2). What is no pattern, such as 255, switches nothing off.
    """
    return _any_active(before) & ~_any_active(after)


def inactive_since(
    t: Floats,
    log_t: Floats,
    pattern: NDArray[np.uint8],
    transition_t: Floats,
    transition_log_t: Floats,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    is_complete: NDArray[np.bool_],
) -> Inactive:
    """Return since when no neuron has been active on each point.

    Parameters
    ----------
    t, log_t, pattern : ndarray, shape (..., n)
        All samples, from step 0 on. After the last one the pattern may be 255, which is none.
    transition_t, transition_log_t, before, after : ndarray, shape (..., k)
        The first transitions, in order. After the last one both patterns may be 255.
    is_complete : ndarray of bool, shape (..., 2)
        Whether these include all that have switched off the last neuron on a point.
    """
    shown = _any_active(pattern)
    last_sample = np.sum(pattern < 16, axis=-1, keepdims=True) - 1
    last_shown = _last(shown)
    at_end = last_shown == last_sample
    unseen = np.where(at_end, last_sample, last_shown + 1)
    last_off = _last(switches_off(before, after))

    def since(dates: Floats, sampled: Floats) -> Floats:
        # With sample 0 in front: that is where a point is on which no neuron ever was active.
        dates = np.concatenate([sampled[..., :1], dates], axis=-1)
        known = np.take_along_axis(dates, last_off + 1, axis=-1)
        step = np.where(is_complete, known, np.take_along_axis(sampled, unseen, axis=-1))
        return np.where(at_end, np.nan, step)

    is_dated = np.asarray(is_complete) & ~at_end
    return Inactive(since(transition_t, t), since(transition_log_t, log_t), is_dated)


def _any_active(pattern: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether any neuron is active on each point, shape (..., 2)."""
    is_pattern = (pattern < 16)[..., None]
    return np.asarray(np.any(pairs_of(pattern), axis=-2) & is_pattern)


def _last(shown: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the last index along the last axis but one where it is so, −1 where it nowhere is."""
    n = shown.shape[-2]
    indices = np.arange(n)[:, None]
    return np.asarray(np.max(np.where(shown, indices, -1), axis=-2, initial=-1))


# --------------------------------------------------------------------------------------------------
# In words


@dataclass(frozen=True)
class LastSample:
    """One run that has not diverged, at its last sample.

    Attributes
    ----------
    problem : Problem
    margins, v : ndarray, shape (2,)
    active : ndarray of bool, shape (2, 2)
        Which neuron is active on which point, as the pattern says.
    sliding : ndarray of bool, shape (2, 2)
    failures : ndarray, shape (2,)
        Codes of `Failure`.
    inactive : Inactive
    """

    problem: Problem
    margins: Floats
    v: Floats
    active: NDArray[np.bool_]
    sliding: NDArray[np.bool_]
    failures: NDArray[np.uint8]
    inactive: Inactive

    def outcome(self) -> str:
        """Say which points are classified, and why the others are not."""
        if np.all(self.failures == Failure.NONE):
            return "both points are classified"
        if np.all(self.failures == Failure.INACTIVE) and self._inactive(0) == self._inactive(1):
            return f"neither point is classified: {self._inactive(0, 'either of them')}"
        lost = [i for i in (0, 1) if self.failures[i] != Failure.NONE]
        return "; ".join(f"point {i} is not classified: {self._reason(i)}" for i in lost)

    def _reason(self, i: int) -> str:
        failure = self.failures[i]
        if failure == Failure.INACTIVE:
            return self._inactive(i)
        if failure == Failure.SLIDING:
            sliding = np.flatnonzero(self.sliding[:, i])
            kinks = "its kink" if len(sliding) == 1 else "their kinks"
            return f"it is only reached by {_named(sliding)}, sliding along {kinks} there"
        if failure == Failure.ZERO_MARGIN:
            return f"its margin is exactly 0, with {_named(np.flatnonzero(self.active[:, i]))} active on it"
        if failure == Failure.UNKNOWN:
            return "its margin is beyond the range of binary64"
        margin = f"its margin is {self.margins[i]:.6g}"
        for_it = self.problem.y[i] * self.v
        wrong = np.flatnonzero(self.active[:, i] & (for_it < 0))
        if not len(wrong):  # the pattern in a file may not be that of the network
            return margin
        if failure == Failure.OUTWEIGHED:
            right = _named(np.flatnonzero(self.active[:, i] & (for_it > 0)))
            return f"{margin}, because {_named(wrong)} outweighs {right}"
        only = "only neurons with output weights of the wrong sign are active on it"
        return f"{margin}, because {only}: {_named(wrong)}"

    def _inactive(self, i: int, it: str = "it") -> str:
        t, log_t = self.inactive.t[i], self.inactive.log_t[i]
        if not self.inactive.is_dated[i]:
            return f"no sample from step {written_time(t, log_t)} on has a neuron active on {it}"
        if t == 0:
            return f"no neuron was ever active on {it}"
        return f"no neuron has been active on {it} since step {written_time(t, log_t)}"


def _named(neurons: NDArray[np.intp]) -> str:
    return "neurons 0 and 1" if len(neurons) == 2 else f"neuron {neurons[0]}"
