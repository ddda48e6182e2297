"""Random problems of every kind, by seed and as hypothesis strategies, so that a failure shrinks."""

from __future__ import annotations

import random
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
from cases import INITIALIZERS, random_problem, stability_limit

import twonn

KINDS = ("free", "side", "ray", "near", "opposed")


class Case(NamedTuple):
    kind: str
    problem: twonn.Problem
    params: twonn.Params


def random_case(seed: int, kinds: tuple[str, ...] = KINDS, **fixed: object) -> Case:
    """A random problem of one of these kinds; `fixed` are options of Problem that are not drawn."""
    return _case(random.Random(seed), kinds, fixed)


def cases(kinds: tuple[str, ...] = KINDS, **fixed: object) -> st.SearchStrategy[Case]:
    """What `random_case` gives, drawn and shrunk by hypothesis."""
    return st.randoms(use_true_random=False).map(lambda rng: _case(rng, kinds, fixed))


def old_case(seed: int, *, sliding: bool = False) -> Case:
    """A problem of the tests of leaps."""
    return Case("old", *random_problem(seed, sliding=sliding))


def _case(rng: random.Random, kinds: tuple[str, ...], fixed: dict[str, object]) -> Case:
    """Draw all that a run depends on; step sizes go from 1e-4 of the stability limit to a third of it.

    free
        Points and labels of any kind.
    side
        No biases, opposite labels, points on the same side of 0: G_01 > 0.
    ray
        No biases, opposite labels, points on one ray: without more, no network separates them. They are
        multiples by powers of two, so that they are on it to the last bit.
    near
        Points 10^-8 to 10^-0.5 apart.
    opposed
        Equal labels, no biases, d = 1, one point on either side of 0.
    """
    kind = rng.choice(kinds)
    d = 1 if kind == "opposed" else rng.choice([1, 1, 2, 3, 10])
    x = _points(rng, kind, d)
    options = {
        "loss": rng.choice(["exponential", "logistic"]),
        "reduction": rng.choice(["mean", "sum"]),
        "train_output": rng.choice([False, True]),
        "bias": kind in ("free", "near") and rng.choice([True, True, False]),
        **fixed,
    }
    y = [1, -1]
    if kind == "opposed" or (kind in ("free", "near") and rng.choice([False, False, False, True])):
        y = [1, 1]
    if rng.choice([False, True]):
        y = [-label for label in y]
    params = _start(rng, d, bool(options["bias"]))
    limit = stability_limit(twonn.Problem(x=x, y=y, step_size=1.0, **options), params)
    step_size = limit * 10 ** rng.uniform(-4.0, -0.48)
    return Case(kind, twonn.Problem(x=x, y=y, step_size=step_size, **options), params)


def _points(rng: random.Random, kind: str, d: int) -> np.ndarray:
    scale = 10 ** rng.uniform(-0.3, 0.5)
    first = np.array([_coordinate(rng) for _ in range(d)]) * scale
    if kind == "ray":
        return np.array([first, first * 2.0 ** rng.choice([-3, -2, -1, 1, 2, 3])])
    if kind == "near":
        apart = 10 ** rng.uniform(-8.0, -0.5)
        return np.array([first, first + apart * np.array([_coordinate(rng) for _ in range(d)])])
    second = np.array([_coordinate(rng) for _ in range(d)]) * scale
    if (kind == "side" and first @ second < 0) or (kind == "opposed" and first @ second > 0):
        second = -second
    if np.array_equal(first, second):  # what shrinking likes best, and Problem refuses
        second = 2 * second
    return np.array([first, second])


def _coordinate(rng: random.Random) -> float:
    """Of either sign, and not so small that a point is lost beside the other one."""
    return rng.choice([1.0, -1.0]) * rng.uniform(0.05, 2.0)


def _start(rng: random.Random, d: int, bias: bool) -> twonn.Params:
    names = [name for name in INITIALIZERS if not (name == "orthogonal" and d == 1)]
    params = twonn.initializers.sample(rng.choice(names), 1, rng.randrange(2**32), d, bias=bias)[0]
    if rng.choice([False, True]):
        return params
    v = [rng.choice([1.0, -1.0]) * 10 ** rng.uniform(-1.0, 0.5) for _ in range(2)]
    return twonn.Params(w=params.w, b=params.b, v=v)
