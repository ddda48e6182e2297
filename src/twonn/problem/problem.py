"""A problem: two data points with labels, the loss, and how a step is taken."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn.arguments import (
    LARGEST_INPUT,
    SMALLEST_INPUT,
    ArgumentTypeError,
    ArgumentValueError,
    Verbatim,
    flag,
    one_of,
    positive_number,
    real_array,
    suggesting,
)
from twonn.problem.losses import LOSS_NAMES, LOSS_SYNONYMS, LossName
from twonn.values import frozen_array, public, set_fields

Reduction = Literal["mean", "sum"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)

_REDUCTION_SYNONYMS = {"average": "mean", "avg": "mean", "total": "sum", "add": "sum"}

#: What other libraries call the arguments of `Problem`.
PROBLEM_SYNONYMS = {
    "lr": "step_size",
    "learning_rate": "step_size",
    "eta": "step_size",
    "step": "step_size",
    "data": "x",
    "inputs": "x",
    "points": "x",
    "labels": "y",
    "targets": "y",
    "criterion": "loss",
    "loss_function": "loss",
    "objective": "loss",
    "biases": "bias",
    "use_bias": "bias",
    "train_v": "train_output",
    "train_outer": "train_output",
}


@public
@suggesting(PROBLEM_SYNONYMS)
@dataclass(frozen=True, eq=False, init=False, repr=False)
class Problem:
    """Two labelled points and the gradient descent that trains on them.

    The network is f(x) = Σ_j v_j max(0, w_j·x + b_j), j = 0, 1. The objective is the mean or the
    sum of ℓ(y_i f(x_i)) over both points. Every step moves all trained parameters at once by
    ``step_size`` times the negative gradient.

    Parameters
    ----------
    x : array_like, shape (2,) or (2, d)
        The two points. A vector of two numbers means two points on the line, d = 1.
    y : array_like, shape (2,)
        Their labels, each −1 or +1. The labels may be equal. Then there is no separator: the optimal
        margin is inf and the gap is nan.
    step_size : float
        η > 0, constant.
    loss : {"exponential", "logistic"}
        ℓ(m) = exp(−m), or ℓ(m) = log(1 + exp(−m)).
    reduction : {"mean", "sum"}
        Objective ½ Σ_i ℓ(m_i), or Σ_i ℓ(m_i).
    bias : bool
        Whether the neurons have biases. With False, b_j = 0 throughout.
    train_output : bool
        Whether the output weights v are trained too. The paper keeps them fixed.

    Attributes
    ----------
    dimension : int
        d.
    point_step : float
        h = η ("sum") or η/2 ("mean"), the factor of each point's gradient.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix. Coincident points with
        opposite labels are refused, because nothing separates them.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64]
    step_size: float
    loss: LossName
    reduction: Reduction
    bias: bool
    train_output: bool

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        step_size: float,
        loss: LossName = "exponential",
        reduction: Reduction = "mean",
        bias: bool = True,
        train_output: bool = False,
    ) -> None:
        points, labels = _points(x), _labels(y)
        if labels[0] != labels[1] and np.array_equal(points[0], points[1]):
            raise ArgumentValueError(
                "x",
                x,
                "two different points where the labels differ",
                "No classifier separates coincident points; move one of them.",
            )
        set_fields(
            self,
            x=frozen_array(points),
            y=frozen_array(labels),
            step_size=_step_size(step_size),
            loss=one_of("loss", loss, LOSS_NAMES, LOSS_SYNONYMS),
            reduction=one_of("reduction", reduction, REDUCTIONS, _REDUCTION_SYNONYMS),
            bias=flag("bias", bias),
            train_output=flag("train_output", train_output),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled or copied arrays come back writeable; the constructor freezes them again.
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @property
    def dimension(self) -> int:
        return int(self.x.shape[1])

    @property
    def point_step(self) -> float:
        return self.step_size if self.reduction == "sum" else self.step_size / 2

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (
            self.x.shape,
            # Adding zero turns -0.0 into 0.0: equal numbers must have equal hashes.
            (self.x + 0.0).tobytes(),
            self.y.tobytes(),
            self.step_size,
            self.loss,
            self.reduction,
            self.bias,
            self.train_output,
        )

    def __repr__(self) -> str:
        x = self.x[:, 0] if self.dimension == 1 else self.x
        return (
            f"Problem(x={reprlib.repr(x.tolist())}, y={self.y.tolist()}, "
            f"step_size={self.step_size!r}, loss={self.loss!r}, reduction={self.reduction!r}, "
            f"bias={self.bias}, train_output={self.train_output})"
        )


def _step_size(value: object) -> float:
    fix = "Choose a step size such as 0.01."
    step_size = positive_number("step_size", value, fix)
    if not SMALLEST_INPUT <= step_size <= LARGEST_INPUT:
        expected = f"a number from {SMALLEST_INPUT:g} to {LARGEST_INPUT:g}"
        raise ArgumentValueError("step_size", value, expected, fix)
    return step_size


def _points(value: ArrayLike) -> NDArray[np.float64]:
    points = real_array("x", value)
    if points.ndim == 1:
        points = points[:, np.newaxis]
    if points.ndim != 2 or points.shape[0] != 2 or points.shape[1] < 1:
        raise ArgumentValueError(
            "x",
            Verbatim(f"shape {np.shape(value)}"),
            "shape (2,) or (2, d) with d >= 1",
            "Give exactly two points, one per row.",
        )
    return points


def _labels(value: ArrayLike) -> NDArray[np.int64]:
    labels = real_array("y", value)
    if labels.shape != (2,):
        raise ArgumentValueError(
            "y",
            Verbatim(f"shape {np.shape(value)}"),
            "shape (2,)",
            "Give one label per point.",
        )
    if not np.all(np.abs(labels) == 1):
        raise ArgumentValueError("y", value, "labels -1 or +1", "Encode the classes as -1 and +1.")
    return labels.astype(np.int64)


def checked_problem(problem: object) -> Problem:
    """Return `problem` if it is one, or refuse."""
    if not isinstance(problem, Problem):
        raise ArgumentTypeError("problem", problem, "a twonn.Problem", "Build one with twonn.Problem(...).")
    return problem


def problem_dict(problem: Problem) -> dict[str, Any]:
    """Return what tells the problem, as JSON has it."""
    values = {field.name: getattr(problem, field.name) for field in fields(problem)}
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()
    }
