"""The lifted Gram matrix of the two points, and what of it rounding cannot tell from 0.

Differences of its entries are formed exactly, as rational numbers of the given points, and rounded once.
Points that almost coincide or are almost orthogonal lose no digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from twonn.problem.problem import Problem
from twonn.values import Floats, frozen_array

#: What is below this part of the terms that it is the sum of is zero: it is rounding of the data, or of a few
#: steps in which the data were computed.
ROUNDING = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Gram:
    """G_ik = x_i·x_k + 1 (without biases x_i·x_k), each entry rounded once, as in the kernel.

    Attributes
    ----------
    matrix : ndarray, shape (2, 2)
    orthogonal : bool
        Whether G_01 is 0 up to rounding of the points: |G_01| is below `ROUNDING` (Σ_a |x_0a x_1a| + 1).
    effective : ndarray, shape (2,)
        Ĝ_k = G_kk − G_01²/G_ii, i the other point.
    excess : ndarray, shape (2,)
        G_kk − G_01.
    determinant : float
    dependent : bool
        Whether the points, lifted, are parallel up to rounding: the sine of their angle is below `ROUNDING`.
    """

    matrix: Floats
    orthogonal: bool
    effective: Floats
    excess: Floats
    determinant: float
    dependent: bool

    @property
    def cross(self) -> float:
        """G_01, rounded once."""
        return float(self.matrix[0, 1])

    @property
    def sign(self) -> int:
        """Sign of G_01, 0 if rounding cannot tell it from 0."""
        return 0 if self.orthogonal else int(np.sign(self.cross))

    def without_cross(self) -> Gram:
        """Return the same points with G_01 = 0."""
        matrix = np.diag(np.diag(self.matrix))
        product = float(matrix[0, 0] * matrix[1, 1])
        return Gram(matrix, True, np.diag(matrix), np.diag(matrix), product, self.dependent)


@lru_cache(maxsize=16)  # each chunk of a sweep asks for it
def gram_of(problem: Problem) -> Gram:
    """Return the lifted Gram matrix of a problem."""
    points: Sequence[Sequence[Fraction]] = [[Fraction(a) for a in point] for point in problem.x.tolist()]
    bias = Fraction(problem.bias)

    def products(p: Sequence[Fraction], q: Sequence[Fraction]) -> list[Fraction]:
        return [a * b for a, b in zip(p, q, strict=True)]

    g = [[sum(products(p, q), bias) for q in points] for p in points]
    cross, first, second = g[0][1], g[0][0], g[1][1]
    size = sum(map(abs, products(*points)), bias)
    determinant = first * second - cross * cross
    diagonal = (first, second)
    reduced = [determinant / diagonal[1 - k] if diagonal[1 - k] else diagonal[k] for k in (0, 1)]
    return Gram(
        matrix=frozen_array(np.array([[float(entry) for entry in row] for row in g])),
        orthogonal=abs(cross) <= Fraction(ROUNDING) * size,
        effective=frozen_array(np.array([float(entry) for entry in reduced])),
        excess=frozen_array(np.array([float(entry - cross) for entry in diagonal])),
        determinant=float(determinant),
        dependent=determinant <= Fraction(ROUNDING) ** 2 * first * second,
    )
