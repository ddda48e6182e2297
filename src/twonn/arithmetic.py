"""Arithmetic of many networks at once, with twice the precision where terms cancel."""

from __future__ import annotations

import numpy as np

from twonn.values import Floats


def lifted_dot(w: Floats, b: Floats, x: Floats) -> Floats:
    """Return w·x + b along the last axis of w and x, with the bits of the kernel's function of this name."""
    total, correction, plain = np.zeros(()), np.zeros(()), np.zeros(())
    for a in range(w.shape[-1]):
        product, product_error = _two_product(w[..., a], x[..., a])
        total, sum_error = _two_sum(total, product)
        correction = (sum_error + correction) + product_error
        plain = plain + product
    total, sum_error = _two_sum(total, b)
    total = total + (sum_error + correction)
    return np.where(np.isfinite(total), total, plain + b)  # near overflow splitting gives nan


def weighted_sum(v: Floats, terms: Floats) -> Floats:
    """Return v_0 t_0 + v_1 t_1, with the bits of a margin; near overflow a plain sum."""
    total = dot(v, terms)
    return np.where(np.isfinite(total), total, v[..., 0] * terms[..., 0] + v[..., 1] * terms[..., 1])


def dot(a: Floats, b: Floats) -> Floats:
    """Return Σ a b along the last axis as if in twice the working precision, then rounded.

    The sign of a margin decides between distance 0 and a positive one, and close to the maximum
    margin the terms cancel: plain sums would lose both. Ogita, Rump, Oishi (2005), "Accurate sum
    and dot product", SIAM J. Sci. Comput. 26, algorithm Dot2.
    """
    total, correction = np.zeros(()), np.zeros(())
    for k in range(a.shape[-1]):
        product, product_error = _two_product(a[..., k], b[..., k])
        total, sum_error = _two_sum(total, product)
        correction = correction + (sum_error + product_error)
    return total + correction


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return a + b rounded, and its rounding error exactly."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def _two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return a·b rounded, and its rounding error exactly unless it underflows."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, error


def _split(a: Floats) -> tuple[Floats, Floats]:
    """Return a as the sum of two numbers of at most 26 bits each."""
    spread = a * (2.0**27 + 1)
    high = spread - (spread - a)
    return high, a - high
