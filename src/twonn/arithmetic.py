"""Arithmetic of many networks at once, with twice the precision where terms cancel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twonn.values import Floats


def norm(vectors: Floats) -> Floats:
    """Return the Euclidean norm along the last axis; the squares cannot over- or underflow."""
    _, exponent = np.frexp(np.abs(vectors).max(axis=-1))
    scaled = np.ldexp(vectors, -exponent[..., None])
    return np.asarray(np.ldexp(np.sqrt(inner(scaled, scaled)), exponent))


def inner(a: Floats, b: Floats) -> Floats:
    """Return Σ a b along the last axis."""
    # With order="C" NumPy adds in the same order for one network and for a batch, in any layout.
    return np.asarray(np.multiply(a, b, order="C").sum(axis=-1))


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
    """Return v_0 t_0 + v_1 t_1, with the bits of `combined`; near overflow a plain sum."""
    total = dot(v, terms)
    return np.where(np.isfinite(total), total, v[..., 0] * terms[..., 0] + v[..., 1] * terms[..., 1])


def combined(v: Floats, terms: Floats) -> Floats:
    """Return v_0 t_0 + v_1 t_1 for `terms` (..., 2, n), shape (..., n)."""
    return dot(v[..., None, :], np.swapaxes(terms, -1, -2))


def combined_middle(v: Floats, z: Floats) -> Floats:
    """Return v_0 z_0 + v_1 z_1 at the midpoint of the points, shape (...)."""
    return dot(np.repeat(v, 2, axis=-1), z.reshape(*z.shape[:-2], 4)) / 2


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


def within_range(w: Floats, v: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
    """Scale huge networks down, as those of diverging runs, whose products would overflow.

    Neither a common factor of v nor one of w and z moves the sets that f = 0 bounds; a power of two
    changes no rounding.
    """
    inner = -_excess(np.maximum(np.abs(w).max(axis=(-2, -1)), np.abs(z).max(axis=(-2, -1))))[..., None, None]
    return np.ldexp(w, inner), np.ldexp(v, -_excess(np.abs(v).max(axis=-1))[..., None]), np.ldexp(z, inner)


def _excess(size: Floats) -> NDArray[np.int_]:
    """Return by how many powers of two a size is above 2^400, or 0."""
    return np.asarray(np.maximum(np.frexp(size)[1] - 400, 0))


def finite_network(w: Floats, v: Floats, z: Floats) -> NDArray[np.bool_]:
    """Return whether all numbers of a network are finite, shape (...)."""
    return finite(w, 2) & finite(v, 1) & finite(z, 2)


def finite(array: Floats, axes: int) -> NDArray[np.bool_]:
    """Return whether all numbers along the last `axes` axes are finite."""
    return np.asarray(np.isfinite(array).all(axis=tuple(range(-axes, 0))))
