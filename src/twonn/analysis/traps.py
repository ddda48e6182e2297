"""Traps of sliding neurons, output weights fixed: bands that they never leave (theory, lemmas 4 and 5)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twonn.analysis.regions import Region
from twonn.problem.losses import LOSSES

#: Bounds σ on what sliding adds to a margin, of which one has to make a trap.
_LOOSENESS = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.2, 0.4)

#: Pre-activations are known to this part of the largest.
_NOISE = 1e-14


@dataclass(frozen=True)
class _Neuron:
    """A neuron that serves point k and slides at the other one, i."""

    k: int
    nu: float  # |v|
    own: float  # z_jk
    wrong: float  # z_ji
    q: float  # z_jk − (G_ik/G_ii) z_ji
    ratio: float  # G_ik/G_ii


def _sliding_neurons(region: Region) -> Iterator[tuple[int, _Neuron]]:
    matrix = region.gram.matrix
    for j, i in np.argwhere(region.slides).tolist():
        k = 1 - i
        own, wrong = float(region.z[j, k]), float(region.z[j, i])
        ratio = float(matrix[0, 1] / matrix[i, i])
        yield j, _Neuron(k, abs(float(region.v[j])), own, wrong, own - ratio * wrong, ratio)


def both_slide(region: Region) -> bool:
    """Whether both neurons slide for ever (lemma 4)."""
    neurons = {n.k: n for _, n in _sliding_neurons(region)}
    return len(neurons) == 2 and any(_both_within(region, neurons, looseness) for looseness in _LOOSENESS)


def one_slides(region: Region) -> bool:
    """Whether one neuron slides for ever and the other one stays active on both points (lemma 5)."""
    sliding = list(_sliding_neurons(region))
    if len(sliding) != 1:
        return False
    j, neuron = sliding[0]
    other = 1 - j
    stays = region.active[other].all() and region.serves(other, 1 - neuron.k)
    return bool(stays) and any(_one_within(region, neuron, other, looseness) for looseness in _LOOSENESS)


def _both_within(region: Region, neurons: dict[int, _Neuron], looseness: float) -> bool:
    h, gram = region.problem.point_step, region.gram
    up, down = math.exp(looseness), math.exp(-looseness)
    margin = (neurons[0].nu * neurons[0].q, neurons[1].nu * neurons[1].q)
    doubt = 4 * _noise(region) * (neurons[0].nu + neurons[1].nu)
    if not _are_comparable(margin, doubt):
        return False
    push = [math.exp(-m + doubt) for m in margin]
    least = _least_slope(region, looseness, min(margin) - doubt)
    kappa = [h * neurons[k].nu ** 2 * float(gram.effective[k]) for k in (0, 1)]
    growth = [kappa[k] * up * push[k] for k in (0, 1)]
    if not max(growth) < 1:
        return False
    # E_1/E_0 stays between these (eq. 25).
    ratio, limit = math.exp(margin[1] - margin[0]), kappa[1] / kappa[0]
    high = max(ratio * math.exp(doubt), limit * up**2 / least * math.exp(growth[1]))
    low = min(ratio * math.exp(-doubt), limit * down**2 * least * math.exp(-growth[0]))
    bounds = ((1 / high, 1 / low), (low, high))
    bands = [_band(region, neurons[k], looseness, kappa[k], push[k], bounds[k], least) for k in (0, 1)]
    first, second = bands
    if first is None or second is None:
        return False
    above = (first[1], second[1])
    return all(
        neurons[k].nu * neurons[k].ratio * max(band) + neurons[1 - k].nu * above[1 - k] < looseness
        for k, band in enumerate((first, second))
    )


def _one_within(region: Region, n: _Neuron, other: int, looseness: float) -> bool:
    h, gram = region.problem.point_step, region.gram
    k, i, g, noise = n.k, 1 - n.k, gram.cross, _noise(region)
    first, second = float(gram.matrix[k, k]), float(gram.matrix[i, i])
    up, down = math.exp(looseness), math.exp(-looseness)
    mu = abs(float(region.v[other]))
    margin = (n.nu * n.q - mu * float(region.z[other, k]), mu * float(region.z[other, i]))
    doubt = 4 * noise * (n.nu + mu)
    if not _are_comparable(margin, doubt):
        return False
    push = math.exp(-margin[0] + doubt)
    least = _least_slope(region, looseness, min(margin) - doubt)
    a = n.nu**2 * float(gram.effective[k]) + mu**2 * first
    b, c = mu**2 * second, mu**2 * g
    # E_k/E_i stays between these (eq. 27).
    ratio, limit = math.exp(margin[0] - margin[1]), (a + c) / (b + c)
    high = max(ratio * math.exp(doubt), limit * up**2 / least * math.exp(h * push * (a + c) * up))
    low = min(ratio * math.exp(-doubt), limit * down**2 * least * math.exp(-h * push * (b + c) * high * up))
    grows = a * least * down > c * high * up and g * low * least > first * up
    if not (h * a * up * push < 1 and grows and float(region.z[other].min()) > noise):
        return False
    band = _band(region, n, looseness, h * a, push, (low, high), least)
    return band is not None and n.nu * max(n.ratio * max(band), band[1]) < looseness


def _band(
    region: Region,
    n: _Neuron,
    looseness: float,
    kappa: float,
    push: float,
    bounds: tuple[float, float],
    least: float,
) -> tuple[float, float] | None:
    """Return how far below and above its kink a neuron stays, at least what the state needs (eq. 26).

    Parameters
    ----------
    region : Region
    n : _Neuron
    looseness : float
        σ.
    kappa : float
        By how much M_k grows with s_k.
    push : float
        1/E_k.
    bounds : tuple of float
        Of E_k/E_i.
    least : float
        λ.

    Returns
    -------
    tuple of float or None
        α and β; None if it may leave the band between them.
    """
    g, noise, step = region.gram.cross, _noise(region), n.nu * region.problem.point_step
    diagonal = float(region.gram.matrix[1 - n.k, 1 - n.k])
    up, down = math.exp(looseness), math.exp(-looseness)
    small, large = bounds
    factor = math.exp(kappa * up * push)
    below = max(factor * step * (diagonal * large * up - g * down * least) * push, noise - n.wrong)
    above = max(factor * step * g * up * push, noise + n.wrong)
    falls = step * (diagonal * small * down * least - g * up)
    stays = (
        above * kappa * up < falls
        and below * kappa * up < step * g * down * least
        and n.own > noise
        and n.q - noise > n.ratio * below
    )
    return (below, above) if stays else None


def _noise(region: Region) -> float:
    return _NOISE * float(np.abs(region.z).max())


def _are_comparable(margin: tuple[float, float], doubt: float) -> bool:
    """Whether both margins are surely positive, and their exponentials within the range of numbers."""
    return min(margin) > doubt and not abs(margin[1] - margin[0]) + doubt > 600


def _least_slope(region: Region, looseness: float, margin: float) -> float:
    """Return by what s may be less than e^−m, where margins are at least `margin` − `looseness`."""
    return float(LOSSES[region.problem.loss].tail(np.asarray(margin - looseness)))
