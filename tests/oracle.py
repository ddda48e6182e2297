"""What the package is tested against; none of it shares code with the package.

The textbook recurrence, written from the formulas in plain Python for any number type: it works in the
parameters themselves (no reduced coordinates, no compensation, no blocks), and with gmpy2 numbers of 113 bits
it is a run in binary128 arithmetic. And, where the samples do not interact, its exact solution after any
number of steps.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import gmpy2
import mpmath


@dataclass
class Textbook:
    """What the recurrence gives: parameters at the asked steps, patterns, transitions."""

    w: dict[int, list[list[Any]]] = field(default_factory=dict)
    b: dict[int, list[Any]] = field(default_factory=dict)
    v: dict[int, list[Any]] = field(default_factory=dict)
    pattern: dict[int, int] = field(default_factory=dict)
    transitions: list[tuple[int, int, int]] = field(default_factory=list)


def binary128(value: float) -> gmpy2.mpfr:
    """A number with the 113-bit significand of IEEE binary128."""
    return gmpy2.mpfr(value, 113)


def textbook(
    x: Sequence[Sequence[float]],
    y: Sequence[int],
    w: Sequence[Sequence[float]],
    b: Sequence[float],
    v: Sequence[float],
    *,
    step_size: float,
    loss: str,
    reduction: str,
    bias: bool,
    train_output: bool,
    steps: int,
    samples: Sequence[int] = (),
    number: Callable[[float], Any] = float,
    exp: Callable[[Any], Any] = math.exp,
) -> Textbook:
    """Take `steps` steps of gradient descent and record the parameters at `samples` and at the end."""
    x = [[number(entry) for entry in point] for point in x]
    w = [[number(entry) for entry in row] for row in w]
    b = [number(entry) for entry in b]
    v = [number(entry) for entry in v]
    axes = range(len(x[0]))
    rate = number(step_size)
    if reduction == "mean":
        rate = rate / 2
    wanted = {*samples, steps}
    result = Textbook()
    before = None
    for t in range(steps + 1):
        z = [[sum(w[j][a] * x[i][a] for a in axes) + b[j] for i in (0, 1)] for j in (0, 1)]
        pattern = sum(1 << (2 * j + i) for j in (0, 1) for i in (0, 1) if z[j][i] > 0)
        if before is not None and pattern != before:
            result.transitions.append((t, before, pattern))
        before = pattern
        if t in wanted:
            result.w[t] = [list(row) for row in w]
            result.b[t] = list(b)
            result.v[t] = list(v)
            result.pattern[t] = pattern
        if t == steps:
            return result
        relu = [[entry if entry > 0 else 0 * entry for entry in row] for row in z]
        pull = []  # h s_i y_i
        for i in (0, 1):
            e = exp(-y[i] * (v[0] * relu[0][i] + v[1] * relu[1][i]))
            pull.append(rate * y[i] * (e if loss == "exponential" else e / (1 + e)))
        old_v = list(v)
        for j in (0, 1):
            for i in (0, 1):
                if z[j][i] > 0:
                    gain = pull[i] * old_v[j]
                    for a in axes:
                        w[j][a] += gain * x[i][a]
                    if bias:
                        b[j] += gain
                    if train_output:
                        v[j] += pull[i] * relu[j][i]
    raise AssertionError("unreachable")


# --------------------------------------------------------------------------------------------------
# Any number of steps, exactly, where each sample moves by itself


class Decoupled:
    """The accumulated slopes of one sample under the exponential loss, after any number of steps.

    Where no other sample enters its margin, m' = m + K h e^−m. With u = e^m/(K h) that is u' = u e^(1/u),
    whatever K and h. Its Fatou coordinate Φ(u) = u − ln(u)/2 + Σ c_k u^−k, defined by Φ(u') = Φ(u) + 1,
    counts steps; the c_k follow from that equation order by order, and the series is asymptotic, so it is
    used from u = 400 on and the steps before are taken one by one. All in mpmath's precision.

    Parameters
    ----------
    margin : number
        m at step 0.
    coupling : number
        K = dm/dA.
    rate : number
        h.
    """

    TERMS = 24  # the first one left out is below 1e-35 of a step at u = 400

    def __init__(self, margin: Any, coupling: Any, rate: Any) -> None:
        self.coupling = mpmath.mpf(coupling)
        self.start = mpmath.mpf(margin)
        self.scale = self.coupling * mpmath.mpf(rate)
        u = mpmath.exp(self.start) / self.scale
        self.early = [u]
        while self.early[-1] < 400:
            self.early.append(self.early[-1] * mpmath.exp(1 / self.early[-1]))
        self.offset = self._phi(self.early[-1]) - (len(self.early) - 1)

    def accumulated(self, steps: Any) -> Any:
        """A = (m − m(0))/K after a number of steps, whole or not once the series is in use."""
        return (self.margin(steps) - self.start) / self.coupling

    def margin(self, steps: Any) -> Any:
        if steps < len(self.early):
            return mpmath.log(self.early[int(steps)] * self.scale)
        count = mpmath.mpf(steps) + self.offset
        u = count
        for _ in range(200):  # Φ' is close to 1
            change = self._phi(u) - count
            u -= change
            if abs(change) <= abs(u) * mpmath.eps * 8:
                break
        return mpmath.log(u) + mpmath.log(self.scale)

    def steps(self, accumulated: Any) -> Any:
        """The number of steps, a real one, after which A has this value; A must not be reached early."""
        u = mpmath.exp(self.start + self.coupling * mpmath.mpf(accumulated)) / self.scale
        assert u >= self.early[-1]
        return self._phi(u) - self.offset

    def _phi(self, u: Any) -> Any:
        return u - mpmath.log(u) / 2 + sum(c * u ** -(k + 1) for k, c in enumerate(_fatou_coefficients()))


@functools.cache
def _fatou_coefficients() -> list[Any]:
    """c_1, c_2, ... from (e^x − 1)/x − x/2 + Σ c_k x^k (e^(−kx) − 1) = 1, x = 1/u."""
    coefficients: list[Fraction] = []
    for n in range(2, Decoupled.TERMS + 2):
        known = Fraction(1, math.factorial(n + 1))
        for k, c in enumerate(coefficients, start=1):
            known += c * Fraction((-k) ** (n - k), math.factorial(n - k))
        coefficients.append(known / (n - 1))
    return [mpmath.mpf(c.numerator) / c.denominator for c in coefficients]
