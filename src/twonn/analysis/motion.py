"""What the late motions of both kinds, with fixed and with trained output weights, have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twonn.analysis.pairs import Flags, any_of
from twonn.analysis.series import series
from twonn.problem.gram import ROUNDING
from twonn.problem.problem import Problem
from twonn.values import Floats, Value


@dataclass(frozen=True, eq=False)
class Motion(Value):
    """The motion of n runs in a region.

    It is affine in x = ln t; with trained output weights in x = √m, which grows like √(ln t).

    Attributes
    ----------
    active, slides : ndarray of bool, shape (n, 2, 2)
        The region.
    serving : ndarray of bool, shape (n, 2, 2)
        Whether neuron j serves point i.
    u : ndarray, shape (n, 2)
        h s_i ~ u_i/t.
    decay : ndarray, shape (n,)
        λ (theory, eq. 7).
    c_slope, c_offset : ndarray, shape (n, 2, 2)
        C_jk = c_slope x + c_offset, from the state that the motion was made from.
    w : ndarray, shape (n, 2, d)
        Of that state.
    v, v_slope, v_offset : ndarray, shape (n, 2)
        The output weights of that state, and v_slope x + v_offset.
    conditions, condition_offsets : ndarray, shape (n, 2, 2)
        As in `Asymptote`.
    holds : ndarray of int8, shape (n,)
        Whether the conditions of the region hold: 1, 0, or −1 where θ = 1 up to rounding.
    reason : ndarray of uint8, shape (n,)
        A `Reason` why the motion is not determined.
    """

    active: Flags
    slides: Flags
    serving: Flags
    u: Floats
    decay: Floats
    c_slope: Floats
    c_offset: Floats
    w: Floats
    v: Floats
    v_slope: Floats
    v_offset: Floats
    conditions: Floats
    condition_offsets: Floats
    holds: NDArray[np.int8]
    reason: NDArray[np.uint8]

    @property
    def steady(self) -> Flags:
        """Pairs that are active all the time: they do not slide."""
        return self.active & ~self.slides

    def weight_series(self, problem: Problem) -> Floats:
        """Return w over x, shape (n, 2, d, 3)."""
        return series(self.c_slope @ problem.x, self.w + self.c_offset @ problem.x)

    @abstractmethod
    def z_series(self) -> Floats:
        """Return z over x, shape (n, 2, 2, 3)."""

    @abstractmethod
    def output_series(self, problem: Problem) -> tuple[Floats, Floats]:
        """Return v_0 z_0 + v_1 z_1 at the points, shape (n, 2, 3), and Σ_j v_j w_j, shape (n, d, 3).

        Over ln t, or over m in 1/√m.
        """

    @abstractmethod
    def gap(self, problem: Problem, log_t: Floats) -> Floats:
        """Return the gap of a single run at these times."""


def conditions_of(
    active: Flags, slides: Flags, theta: Floats, slope: Floats, offset: Floats
) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """Return the conditions of a region, their offsets, and whether they hold: 1, 0, or −1 where θ = 1.

    Parameters
    ----------
    active, slides : ndarray of bool, shape (n, 2, 2)
    theta : ndarray, shape (n, 2)
        Active fraction of a neuron that slides at point i.
    slope, offset : ndarray, shape (n, 2, 2)
        Of z_ji, up to a positive factor.
    """
    sign = np.where(active, 1.0, -1.0)
    conditions = np.where(slides, 1 - theta[:, None, :], sign * slope)
    offsets = np.where(slides, 0.0, sign * offset)
    frozen = (conditions == 0) & np.where(active, offsets > 0, offsets >= 0)
    marginal = slides & (np.abs(conditions) <= ROUNDING)
    all_hold = ~any_of(~((conditions > 0) | frozen | marginal), 1, 2)
    holds = np.where(all_hold, np.where(any_of(marginal, 1, 2), -1, 1), 0).astype(np.int8)
    return conditions, offsets, holds
