"""Local exponents −d ln gap/d ln t', in two forms: to be extrapolated, and to be drawn.

To be extrapolated they are taken through the derivative of 1/gap. Finite differences give that exactly for
C/(time + κ), but they carry the error of three samples to each of them. To be drawn they are difference
quotients between neighbouring samples, which show what each pair of samples says and nothing else.
"""

from __future__ import annotations

import numpy as np

from twonn.values import Floats


def local_exponents(time: Floats, gap: Floats) -> Floats:
    """Return −d ln gap/d ln time, through the derivative of 1/gap, which is constant for C/(time + κ)."""
    return np.asarray(time * gap * np.gradient(1 / gap, time, edge_order=2))


def exponents_between(time: Floats, gap: Floats) -> tuple[Floats, Floats]:
    """Return −Δ ln gap/Δ ln time between neighbouring samples, and the times halfway in ln time.

    Returns
    -------
    middle, exponents : ndarray
        Steps so late that the logarithms of their times agree have no quotient and are left out.
    """
    log_time, log_gap = np.log(time), np.log(gap)
    apart = np.diff(log_time) > 0
    middle = np.exp((log_time[1:] + log_time[:-1]) / 2)
    return middle[apart], -np.diff(log_gap)[apart] / np.diff(log_time)[apart]
