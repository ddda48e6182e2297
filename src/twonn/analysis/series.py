"""Arithmetic on power series, cut off after the second order. Coefficients are along the last axis."""

from __future__ import annotations

import numpy as np

from twonn.values import Floats


def series(slope: Floats, offset: Floats) -> Floats:
    """Return (slope x + offset)/x as a series in 1/x."""
    return np.stack(np.broadcast_arrays(slope, offset, np.zeros(())), axis=-1)


def times(a: Floats, b: Floats) -> Floats:
    """Return a b."""
    a0, a1, a2 = np.moveaxis(a, -1, 0)
    b0, b1, b2 = np.moveaxis(b, -1, 0)
    return np.stack([a0 * b0, a0 * b1 + a1 * b0, a0 * b2 + a1 * b1 + a2 * b0], axis=-1)


def over(a: Floats, b: Floats) -> Floats:
    """Return a/b."""
    a0, a1, a2 = np.moveaxis(a, -1, 0)
    b0, b1, b2 = np.moveaxis(b, -1, 0)
    q0 = a0 / b0
    q1 = (a1 - q0 * b1) / b0
    return np.stack([q0, q1, (a2 - q0 * b2 - q1 * b1) / b0], axis=-1)


def root(a: Floats) -> Floats:
    """Return √a."""
    a0, a1, a2 = np.moveaxis(a, -1, 0)
    r0 = np.sqrt(a0)
    r1 = a1 / (2 * r0)
    return np.stack([r0, r1, (a2 - r1**2) / (2 * r0)], axis=-1)


def largest(candidates: Floats, tolerance: float) -> Floats:
    """Return the series that is largest in the end, shape (n, 3), of those along the second axis."""
    for order in range(3):
        top = candidates[..., order].max(axis=1, keepdims=True)
        scale = tolerance * np.maximum(1, np.abs(np.where(np.isfinite(top), top, 0)))
        behind = candidates[..., order] < top - scale
        candidates = np.where(behind[..., None], -np.inf, candidates)
    best = candidates[..., 0].argmax(axis=1)
    return np.asarray(candidates[np.arange(len(candidates)), best])
