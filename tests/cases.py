"""Random problems and starts, and how two runs of one are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import gmpy2
import numpy as np
from oracle import Textbook, binary128, textbook

import twonn

INITIALIZERS = (
    "he_normal",
    "he_normal_bias",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "torch_default",
    "small",
    "symmetric",
    "binary",
    "ntk",
    "mean_field",
    "balanced",
    "orthogonal",
)

#: Beyond the stability limit: two states alternate for ever, by steps too large to leap; no transitions.
CYCLE = twonn.Problem(x=[1.0, 2.0], y=[1, -1], step_size=2.0, bias=False, loss="logistic")
CYCLING = twonn.Params(w=[20.0, 20.25])

#: One neuron is active on both points, whose pushes balance: the loss e^w + e^(-2w) is least at w = ln(2)/3.
BALANCED = twonn.Problem(x=[1.0, 2.0], y=[-1, 1], step_size=0.01, bias=False)
BALANCING = twonn.Params(w=[1.0, -1.0])


def random_problem(seed: int, *, sliding: bool = False) -> tuple[twonn.Problem, twonn.Params]:
    """A random problem with G_01 <= 0 (with `sliding`, opposite labels and G_01 > 0) and a start.

    Dimension, data, labels, loss, reduction, biases, output and step size are drawn; the initialization is
    taken in turn.
    """
    print("seed", seed, "sliding" if sliding else "")
    rng = np.random.default_rng([603, seed])
    name = INITIALIZERS[seed % len(INITIALIZERS)]
    dimensions = [2, 3, 10] if name == "orthogonal" else [1, 1, 2, 3, 10]
    d = int(rng.choice(dimensions))
    bias = bool(rng.random() < 0.8)
    if not sliding and d == 1 and rng.random() < 0.3:
        x, bias = np.array([[1.0], [-1.0]]), True  # the paper's, G_01 = 0
    else:
        x = _points(rng, d, bias, sliding)
    y = [-1, 1] if sliding or rng.random() < 0.8 else [1, 1]
    options = {
        "loss": ("exponential", "logistic")[int(rng.integers(2))],
        "reduction": ("mean", "sum")[int(rng.integers(2))],
        "train_output": bool(rng.integers(2)),
        "bias": bias,
    }
    params = twonn.initializers.sample(name, 1, seed, d, bias=bias)[0]
    limit = stability_limit(twonn.Problem(x=x, y=y, step_size=1.0, **options), params)
    step_size = 10 ** rng.uniform(-3, max(np.log10(limit), -2.9))
    return twonn.Problem(x=x, y=y, step_size=float(step_size), **options), params


def _points(rng: np.random.Generator, d: int, bias: bool, sliding: bool) -> np.ndarray:
    while True:
        x = rng.normal(size=(2, d)) * 10 ** rng.uniform(-0.3, 0.5)
        for sign in (1, -1):
            gram = sign * (x[0] @ x[1]) + bias
            if (gram > 0) if sliding else (gram <= 0):
                return np.array([x[0], sign * x[1]])


def stability_limit(problem: twonn.Problem, params: twonn.Params) -> float:
    """2 over the curvature at the start, by Gershgorin's circles."""
    x, y, v = problem.x, problem.y, params.v
    z = x @ params.w.T + params.b
    active = z > 0
    margin = y * (np.maximum(z, 0) @ v)
    slope = np.exp(-margin) if problem.loss == "exponential" else 1 / (1 + np.exp(margin))
    gram = x @ x.T + problem.bias
    tangent = np.einsum("j,ik,ij,kj->ik", v**2, gram, active, active)
    if problem.train_output:
        tangent = tangent + np.maximum(z, 0) @ np.maximum(z, 0).T
    return float(2 / max((np.abs(tangent) @ (slope * problem.point_step)).max(), 1e-3))


def recurrence(
    problem: twonn.Problem, params: twonn.Params, steps: int, samples=(), **arithmetic: object
) -> Textbook:
    """The textbook recurrence; `arithmetic` is what it computes with, plain numbers by default."""
    return textbook(
        problem.x.tolist(),
        problem.y.tolist(),
        params.w.tolist(),
        params.b.tolist(),
        params.v.tolist(),
        step_size=problem.step_size,
        loss=problem.loss,
        reduction=problem.reduction,
        bias=problem.bias,
        train_output=problem.train_output,
        steps=steps,
        samples=samples,
        **arithmetic,
    )


def in_binary128(
    problem: twonn.Problem, params: twonn.Params, steps: int, samples: Iterable[int] = ()
) -> Textbook:
    """The textbook recurrence in binary128."""
    with gmpy2.context(gmpy2.get_context(), precision=113):
        return recurrence(problem, params, steps, samples, number=binary128, exp=gmpy2.exp)


def parameters(traj: twonn.Trajectory) -> np.ndarray:
    """All parameters of every sample, one row each."""
    return np.concatenate([traj.w.reshape(len(traj.t), -1), traj.b, traj.v], axis=1)


@dataclass(frozen=True)
class Difference:
    """How far one run is from another that is taken for true."""

    norm: float  # largest over the samples, relative to the norm of the parameters
    entry: float  # largest of a single parameter, relative to itself
    where: tuple[int, int]  # the sample and the parameter of that


def difference(traj: twonn.Trajectory, truth: twonn.Trajectory) -> Difference:
    assert np.array_equal(traj.t, truth.t)
    got, true = parameters(traj), parameters(truth)
    apart = np.abs(got - true)
    entries = np.divide(apart, np.abs(true), out=np.zeros_like(apart), where=apart > 0)
    return Difference(
        norm=float((np.linalg.norm(apart, axis=1) / np.linalg.norm(true, axis=1)).max()),
        entry=float(entries.max()),
        where=tuple(int(i) for i in np.unravel_index(entries.argmax(), entries.shape)),
    )


def outcome(traj: twonn.Trajectory) -> twonn.Status:
    """How a run ended, as stepping tells it, which does not look for minimisers."""
    return twonn.Status.COMPLETED if traj.status is twonn.Status.CONVERGED else traj.status


def dated(traj: twonn.Trajectory) -> list[tuple[float, int, int]]:
    return [(row["t"], int(row["before"]), int(row["after"])) for row in traj.transitions]
