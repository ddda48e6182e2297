"""The textbook recurrence, written from the formulas in plain Python for any number type.

It works in the parameters themselves (no reduced coordinates, no compensation, no blocks) and shares no
code with the package. With gmpy2 numbers of 113 bits it is a run in binary128 arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gmpy2


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
