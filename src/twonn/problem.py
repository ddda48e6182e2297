"""The frozen question: data, training rule and start; all arguments are checked here."""

from __future__ import annotations

import copy
import difflib
import functools
import itertools
import math
import numbers
import os
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch

LOSSES = ("exponential", "logistic")
REDUCTIONS = ("mean", "sum")

#: Range of magnitudes of an input number that is not 0. The longest product of inputs in the dynamics,
#: h G_ik v_j² with G_ik quadratic in x, has five factors and fits binary64 with room to spare, so a start
#: inside the range can only overflow by moving, which is divergence, and no activation underflows.
SMALLEST_INPUT, LARGEST_INPUT = 1e-50, 1e50

#: Decimal logarithm of the longest horizon.
LARGEST_LOG10_STEPS = 1e6

#: Steps are counted exactly up to here, and by their logarithm beyond.
LARGEST_COUNT = 2**63 - 1

#: Samples of every decade by default, and how many there are then at most; a longer horizon has fewer of them
#: in every decade.
DEFAULT_DENSITY, MOST_BY_DEFAULT = 20.0, 20_001

#: Most samples that are recorded at a density that is asked for: some gigabytes.
_MOST_SAMPLES = 10_000_000


# --------------------------------------------------------------------------------------------------
# What a refusal says: the argument, what was got, what was expected, how to fix it.


def refusal(argument: str, got: object, expected: str, fix: str) -> str:
    """One sentence per fact about a bad argument; the text of every error raised for one."""
    shown = got if isinstance(got, Verbatim) else brief(got)
    return f"{argument}: got {shown}; expected {expected}. {fix}"


def brief(value: object) -> str:
    """Return a short repr, also of integers beyond the digits that Python agrees to print."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return f"{type(value).__name__} too long to print"


class Verbatim(str):
    """Text that a refusal shows as it is, without quotes (a shape, a count)."""


def real_array(argument: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return a fresh float64 array of finite numbers; refuse what binary64 cannot hold exactly."""
    expected = "finite real numbers"
    if np.ma.is_masked(value):
        raise ValueError(refusal(argument, value, expected, "Fill in the masked entries."))
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged nesting
        raise ValueError(refusal(argument, value, expected, "Give rows of equal length.")) from error
    if array.dtype.kind not in "iuf":
        raise TypeError(
            refusal(
                argument,
                Verbatim(f"{brief(value)} (dtype {array.dtype})"),
                expected,
                "Convert it to a float64 array first.",
            )
        )
    with np.errstate(over="ignore"):
        converted = array.astype(np.float64)
    # A longdouble or a large integer that binary64 cannot hold would silently be a different start.
    if array.dtype.kind == "f":
        lost = np.isfinite(array) & (converted != array)
    else:  # as Python numbers: NumPy would round the integers before comparing them with floats
        lost = array.astype(object) != converted.astype(object)
    if np.any(lost):
        raise ValueError(
            refusal(
                argument,
                value,
                "numbers that binary64 holds exactly",
                "Round them to float64 yourself, so that the start is the one you mean.",
            )
        )
    if not np.all(np.isfinite(converted)):
        raise ValueError(refusal(argument, value, expected, "Remove the NaN or infinite entries."))
    size = np.abs(converted)
    if np.any((size > LARGEST_INPUT) | ((size < SMALLEST_INPUT) & (size > 0))):
        raise ValueError(
            refusal(
                argument,
                value,
                f"zeros and magnitudes from {SMALLEST_INPUT:g} to {LARGEST_INPUT:g}",
                "Rescale the problem: products of such numbers leave the range of binary64.",
            )
        )
    return converted


def real_number(argument: str, value: object, expected: str) -> float:
    """Return a Python float, or refuse with what was expected; booleans are not numbers here."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(refusal(argument, value, expected, "Give a plain real number."))
    if isinstance(value, np.longdouble) and float(value) != value:
        raise ValueError(refusal(argument, value, expected, "Round it to float64 yourself."))
    try:
        return float(value)
    except OverflowError as error:  # an integer or a fraction beyond 1.8e308
        raise ValueError(
            refusal(argument, value, expected, "Give a number that binary64 can hold.")
        ) from error


def positive_number(argument: str, value: object, fix: str) -> float:
    """Return a finite float above zero, or refuse."""
    expected = "a finite number > 0"
    number = real_number(argument, value, expected)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(refusal(argument, value, expected, fix))
    return number


def whole_number(argument: str, value: object, *, least: int, fix: str) -> int:
    """Return a Python int of at least `least`, or refuse; floats are refused even when integral."""
    expected = f"a whole number >= {least}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(refusal(argument, value, expected, fix))
    if value < least:
        raise ValueError(refusal(argument, value, expected, fix))
    return int(value)


def flag(argument: str, value: object) -> bool:
    """Return a bool, or refuse; 0 and 1 are refused so that a misplaced argument is noticed."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(refusal(argument, value, "True or False", "Pass a boolean."))
    return bool(value)


def one_of(argument: str, value: object, names: Sequence[str]) -> str:
    """Return `value` if it is one of `names`, or refuse and name the closest match."""
    expected = "one of " + ", ".join(repr(name) for name in names)
    if not isinstance(value, str):
        raise TypeError(refusal(argument, value, expected, "Give its name as a string."))
    if value not in names:
        raise ValueError(refusal(argument, value, expected, closest(value, names)))
    return value


def closest(value: str, names: Sequence[str]) -> str:
    """Return a hint naming the closest of `names`."""
    match = difflib.get_close_matches(value.lower(), names, n=1, cutoff=0.4)
    return f"Did you mean {match[0]!r}?" if match else "Choose one of these."


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


# --------------------------------------------------------------------------------------------------
# Problem


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Problem:
    """Two labelled points and the gradient descent that trains on them.

    The network is f(x) = Σ_j v_j max(0, w_j·x + b_j), j = 0, 1; the objective is the mean or the
    sum over both samples of ℓ(y_i f(x_i)); every step moves all trained parameters at once by
    ``step_size`` times the negative gradient.

    Parameters
    ----------
    x : array_like, shape (2,) or (2, d)
        The two points. A vector of two numbers is two points on the line, d = 1.
    y : array_like, shape (2,)
        Their labels, each −1 or +1. Equal labels may be run; then there is no separator, the
        optimal margin is inf and the gap is nan.
    step_size : float
        η > 0, constant.
    loss : {"exponential", "logistic"}
        ℓ(m) = exp(−m), or ℓ(m) = log(1 + exp(−m)).
    reduction : {"mean", "sum"}
        Objective ½ Σ_i ℓ(m_i), or Σ_i ℓ(m_i).
    bias : bool
        With False, b_j = 0 throughout.
    train_output : bool
        With True the output weights v are trained too; the paper keeps them fixed.

    Attributes
    ----------
    dimension : int
        d.
    rate : float
        h = η ("sum") or η/2 ("mean"), the factor of each sample's gradient.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix. Coincident points with
        opposite labels are refused: nothing separates them.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64]
    step_size: float
    loss: str
    reduction: str
    bias: bool
    train_output: bool

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        step_size: float,
        loss: str = "exponential",
        reduction: str = "mean",
        bias: bool = True,
        train_output: bool = False,
    ) -> None:
        points, labels = _points(x), _labels(y)
        if labels[0] != labels[1] and np.array_equal(points[0], points[1]):
            raise ValueError(
                refusal(
                    "x",
                    x,
                    "two different points where the labels differ",
                    "No classifier separates coincident points; move one of them.",
                )
            )
        _set(
            self,
            x=_frozen(points),
            y=_frozen(labels),
            step_size=_step_size(step_size),
            loss=one_of("loss", loss, LOSSES),
            reduction=one_of("reduction", reduction, REDUCTIONS),
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
    def rate(self) -> float:
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


def _set(frozen: object, **values: object) -> None:
    """Fill in the fields of a frozen object that is being made."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


def _step_size(value: object) -> float:
    fix = "Choose a step size such as 0.01."
    step_size = positive_number("step_size", value, fix)
    if not SMALLEST_INPUT <= step_size <= LARGEST_INPUT:
        expected = f"a number from {SMALLEST_INPUT:g} to {LARGEST_INPUT:g}"
        raise ValueError(refusal("step_size", value, expected, fix))
    return step_size


def _points(value: ArrayLike) -> NDArray[np.float64]:
    points = real_array("x", value)
    if points.ndim == 1:
        points = points[:, np.newaxis]
    if points.ndim != 2 or points.shape[0] != 2 or points.shape[1] < 1:
        raise ValueError(
            refusal(
                "x",
                Verbatim(f"shape {np.shape(value)}"),
                "shape (2,) or (2, d) with d >= 1",
                "Give exactly two points, one per row.",
            )
        )
    return points


def _labels(value: ArrayLike) -> NDArray[np.int64]:
    labels = real_array("y", value)
    if labels.shape != (2,):
        raise ValueError(
            refusal(
                "y",
                Verbatim(f"shape {np.shape(value)}"),
                "shape (2,)",
                "Give one label per point.",
            )
        )
    if not np.all(np.abs(labels) == 1):
        raise ValueError(refusal("y", value, "labels -1 or +1", "Encode the classes as -1 and +1."))
    return labels.astype(np.int64)


# --------------------------------------------------------------------------------------------------
# Params


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Params:
    """Parameters of one network, or of many along a leading run axis.

    Parameters
    ----------
    w : array_like, shape (2,), (2, d) or (runs, 2, d)
        Input weights, one row per neuron. A vector of two numbers means d = 1.
    b : array_like, shape (2,) or (runs, 2), optional
        Biases; 0 by default.
    v : array_like, shape (2,) or (runs, 2), optional
        Output weights; (+1, −1) by default.

    Attributes
    ----------
    w, b, v : ndarray of float64
        Shapes (2, d), (2,), (2,), each with a leading (runs,) if `w` has one. Read-only.
    dimension : int
        d.
    runs : int or None
        Length of the run axis, None without one. ``params[r]`` is run r; ``len`` and iteration
        follow.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    """

    w: NDArray[np.float64]
    b: NDArray[np.float64]
    v: NDArray[np.float64]

    def __init__(self, w: ArrayLike, b: ArrayLike | None = None, v: ArrayLike | None = None) -> None:
        weights = real_array("w", w)
        if weights.ndim == 1:
            weights = weights[:, np.newaxis]
        if weights.ndim not in (2, 3) or weights.shape[-2] != 2 or weights.shape[-1] < 1:
            raise ValueError(
                refusal(
                    "w",
                    Verbatim(f"shape {np.shape(w)}"),
                    "shape (2,), (2, d) or (runs, 2, d) with d >= 1",
                    "Give one row of input weights per neuron.",
                )
            )
        _set(
            self,
            w=_frozen(weights),
            b=_per_neuron("b", b, (0.0, 0.0), weights.shape[:-1]),
            v=_per_neuron("v", v, (1.0, -1.0), weights.shape[:-1]),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Params.of_finite_state, (self.w, self.b, self.v)

    @classmethod
    def of_finite_state(cls, w: ArrayLike, b: ArrayLike, v: ArrayLike) -> Params:
        """Return the parameters a run has reached, which may be larger than a start may be."""
        params = object.__new__(cls)
        arrays = {"w": w, "b": b, "v": v}
        _set(params, **{name: _frozen(np.array(array)) for name, array in arrays.items()})
        return params

    @classmethod
    def from_torch(cls, module: torch.nn.Module) -> Params:
        """Return the parameters of a two-neuron PyTorch module.

        Parameters
        ----------
        module : torch.nn.Module
            One that computes v_0 relu(w_0·x + b_0) + v_1 relu(w_1·x + b_1) of every row x of its input, such
            as ``Sequential(Linear(d, 2), ReLU(), Linear(2, 1, bias=False))``. Its tensors are told apart by
            their shapes, (2, d), (2,) and (1, 2), whatever their names; biases may be absent, and an output
            bias must be 0.

        Returns
        -------
        Params
            To the last bit; float16, bfloat16 and float32 are binary64 numbers too.

        Raises
        ------
        TypeError, ValueError
            If it is no module, its parameters have other shapes or are not real floating-point numbers, or
            it computes something else. For that a copy of it is evaluated at some points.
        """
        return cls(**_read_from_torch(module))

    def to_torch(self) -> torch.nn.Sequential:
        """Return ``torch.nn.Sequential(Linear(d, 2), ReLU(), Linear(2, 1, bias=False))`` in float64.

        All its parameters require gradients: where they are not to be trained, call ``requires_grad_(False)``
        on the output layer ``module[2]``, or on ``module[0].bias``.

        Raises
        ------
        ImportError
            Without PyTorch.
        ValueError
            If these are the parameters of many networks.
        """
        single_run(self)
        try:
            import torch
        except ImportError as error:
            raise ImportError("Params.to_torch needs PyTorch; install it with: pip install torch") from error
        hidden = torch.nn.Linear(self.dimension, 2, dtype=torch.float64)
        output = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            # As lists: a tensor would share the memory of these read-only arrays.
            hidden.weight.copy_(torch.tensor(self.w.tolist(), dtype=torch.float64))
            hidden.bias.copy_(torch.tensor(self.b.tolist(), dtype=torch.float64))
            output.weight.copy_(torch.tensor([self.v.tolist()], dtype=torch.float64))
        return torch.nn.Sequential(hidden, torch.nn.ReLU(), output)

    @property
    def dimension(self) -> int:
        return int(self.w.shape[-1])

    @property
    def runs(self) -> int | None:
        return int(self.w.shape[0]) if self.w.ndim == 3 else None

    def __len__(self) -> int:
        if self.runs is None:
            raise TypeError("these Params are one network and have no run axis, hence no len()")
        return self.runs

    def __getitem__(self, index: Any) -> Params:
        if self.runs is None:
            raise TypeError("these Params are one network and have no run axis to index")
        # Only the run axis is indexed: w[:, 0] of two runs in d = 2 would pass for one network.
        if not isinstance(index, (numbers.Integral, slice)):
            index = np.arange(self.runs)[index]
        return Params(w=self.w[index], b=self.b[index], v=self.v[index])

    def __iter__(self) -> Iterator[Params]:
        return (self[run] for run in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Params):
            return NotImplemented
        return all(
            np.array_equal(mine, theirs)
            for mine, theirs in zip((self.w, self.b, self.v), (other.w, other.b, other.v), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.runs is not None:
            return f"Params({self.runs} runs, d={self.dimension})"
        w = self.w[:, 0] if self.dimension == 1 else self.w
        shown = reprlib.repr(w.tolist()) if self.dimension > 1 else str(w.tolist())
        return f"Params(w={shown}, b={self.b.tolist()}, v={self.v.tolist()})"


def _per_neuron(
    argument: str, value: ArrayLike | None, default: tuple[float, float], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    array = real_array(argument, default if value is None else value)
    # One pair of numbers may serve all runs; everything else has to have the shape of w's runs.
    if array.shape not in (shape, (2,)):
        raise ValueError(
            refusal(
                argument,
                Verbatim(f"shape {array.shape}"),
                f"shape {shape}, as w has shape {(*shape, 'd')}".replace("'", ""),
                "Give one number per neuron.",
            )
        )
    return _frozen(np.broadcast_to(array, shape).copy())


def checked_problem(problem: object) -> Problem:
    """Return `problem` if it is one, or refuse."""
    if not isinstance(problem, Problem):
        raise TypeError(refusal("problem", problem, "a twonn.Problem", "Build one with twonn.Problem(...)."))
    return problem


def checked_path(path: object, argument: str = "path") -> Path:
    """Return the path of a file, or refuse."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(name := os.fspath(path), str):
        raise TypeError(refusal(argument, path, "a file name", "Give a str or a pathlib.Path."))
    if not name or "\0" in name:
        raise ValueError(refusal(argument, path, "a file name", "Give a name such as 'run.npz'."))
    return Path(name)


def check_compatible(problem: object, params: object) -> None:
    """Refuse a pair of problem and parameters that cannot belong together."""
    problem = checked_problem(problem)
    if not isinstance(params, Params):
        raise TypeError(refusal("params", params, "a twonn.Params", "Build one with twonn.Params(...)."))
    if params.dimension != problem.dimension:
        raise ValueError(
            refusal(
                "params.w",
                Verbatim(f"dimension {params.dimension}"),
                f"dimension {problem.dimension}, that of problem.x",
                "Give weights and points the same dimension.",
            )
        )
    if not problem.bias and np.any(params.b != 0):
        raise ValueError(
            refusal(
                "params.b",
                params.b.tolist(),
                "zeros, because the problem has bias=False",
                "Set b to zero, or build the Problem with bias=True.",
            )
        )


def single_run(params: Params) -> Params:
    """Return `params` if it is one network, or refuse."""
    if params.runs is not None:
        raise ValueError(
            refusal(
                "params",
                Verbatim(f"{params.runs} runs"),
                "one network",
                "Pick one run with params[r], or loop over params.",
            )
        )
    return params


# --------------------------------------------------------------------------------------------------
# PyTorch modules

#: Pre-activations at which a module is asked whether it is the network: an activation that is no ReLU differs
#: from it near its kink (GELU), below it (leaky ReLU), or far above it (ReLU6).
_PROBED = tuple(sign * size for size in (2.0**-20, 1.0, 2.0**20) for sign in (-1.0, 1.0))


def _read_from_torch(module: Any) -> dict[str, NDArray[np.float64]]:
    """Return w, b and v of a PyTorch module that computes f; refuse any other."""
    expected = "a torch.nn.Module such as Sequential(Linear(d, 2), ReLU(), Linear(2, 1, bias=False))"
    if isinstance(module, type) or not (callable(module) and hasattr(module, "state_dict")):
        raise TypeError(refusal("module", module, expected, "Pass the module itself."))
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            raise TypeError(
                refusal(
                    f"module.{name}",
                    Verbatim(f"dtype {tensor.dtype}"),
                    "real floating-point numbers",
                    "Convert the module with module.double() first.",
                )
            )
    # A copy in binary64 on the CPU: nothing is rounded any more, and the module stays as it is.
    module = copy.deepcopy(module).cpu().double()
    found = _by_shape(module.state_dict(), expected)
    if np.any(found.pop("output bias", np.zeros(1)) != 0):
        raise ValueError(
            refusal(
                "module",
                Verbatim("an output bias other than 0"),
                "a network without output bias",
                "Build its last layer with bias=False.",
            )
        )
    params = {"b": np.zeros(2), **found}
    Params(**params)  # refuses what is not finite before it is computed with
    _check_computes(module, **params)
    return params


def _by_shape(state: Any, expected: str) -> dict[str, NDArray[np.float64]]:
    """Return the tensors of a module by what their shapes say they are; w and v are there for certain."""
    found: dict[str, NDArray[np.float64]] = {}
    for name, tensor in state.items():
        shape = tuple(tensor.shape)
        role = {(1, 2): "v", (2,): "b", (1,): "output bias"}.get(shape)
        if role is None and len(shape) == 2 and shape[0] == 2 and shape[1] >= 1:
            role = "w"
        if role is None or role in found:
            what = "one more tensor" if role in found else "a tensor"
            raise ValueError(
                refusal(
                    f"module.{name}",
                    Verbatim(f"{what} of shape {shape}"),
                    "one of shape (2, d), one of shape (1, 2), and for the biases at most one of shape (2,)",
                    f"Build {expected.removeprefix('a ')}.",
                )
            )
        found[role] = tensor.detach().numpy().reshape(2) if role == "v" else tensor.detach().numpy()
    if missing := {"w": "(2, d)", "v": "(1, 2)"}.keys() - found.keys():
        names = " and ".join(f"no tensor for {name}" for name in sorted(missing))
        raise ValueError(
            refusal("module", Verbatim(names), expected, "Give it a hidden and an output layer.")
        )
    return found


def _check_computes(
    module: Any, w: NDArray[np.float64], b: NDArray[np.float64], v: NDArray[np.float64]
) -> None:
    """Refuse a module that is not the network with these parameters, by its values at some points."""
    points = _probes(w, b)
    tensor = next(iter(module.state_dict().values()))
    try:
        got = module(tensor.new_tensor(points.tolist())).detach().numpy()
    except Exception as error:  # whatever a forward function may raise
        raise ValueError(
            refusal(
                "module",
                Verbatim(f"{type(error).__name__} when called ({error})"),
                f"a module of rows of {w.shape[1]} numbers",
                "Let its forward function take a tensor of shape (n, d).",
            )
        ) from error
    f = np.maximum(points @ w.T + b, 0) @ v
    # Two sums of d + 1 products, their two multiples by v and the sum of these: d + 4 roundings by 2^-53 at
    # most on the way to a value, in the module and here, and as much again to spare.
    bound = (np.abs(points) @ np.abs(w).T + np.abs(b)) @ np.abs(v) * (4 * (w.shape[1] + 4)) * 2.0**-53
    if got.size != len(f) or not np.all(np.abs(got.reshape(-1) - f) <= bound):
        raise ValueError(
            refusal(
                "module",
                Verbatim("a module that computes something else"),
                "v_0 relu(w_0·x + b_0) + v_1 relu(w_1·x + b_1), by the parameters it holds",
                "Use ReLU between the two layers, and nothing before or behind them.",
            )
        )


def _probes(w: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points at which every neuron is on both sides of its kink, near and far."""
    points = [np.zeros(w.shape[1]), np.cos(np.arange(1.0, w.shape[1] + 1))]
    for row, bias in zip(w, b, strict=True):
        if np.any(row != 0):
            points += [(z - bias) * row / (row @ row) for z in _PROBED]
    return np.array(points)


# --------------------------------------------------------------------------------------------------
# Numbers of steps


def horizon(steps: object, log10_steps: object) -> int:
    """Return the number of steps asked for as an exact integer; exactly one argument is given.

    ``log10_steps`` is rounded to the nearest whole number of steps.
    """
    if (steps is None) == (log10_steps is None):
        raise ValueError(
            refusal(
                "steps",
                Verbatim(f"steps={brief(steps)}, log10_steps={brief(log10_steps)}"),
                "exactly one of steps and log10_steps",
                "Write steps=10**6 or log10_steps=6.0.",
            )
        )
    if steps is not None:
        return _not_too_long(whole_number("steps", steps, least=0, fix="Write a Python int such as 10**6."))
    expected = f"a number from 0 to {LARGEST_LOG10_STEPS:g}"
    exponent = real_number("log10_steps", log10_steps, expected)
    if not 0 <= exponent <= LARGEST_LOG10_STEPS:
        raise ValueError(refusal("log10_steps", log10_steps, expected, "Write e.g. log10_steps=16.0."))
    return power_of_ten(exponent)


def direct_limit(max_direct: object) -> int:
    """Return how many steps may be taken one by one; more than can be counted are as many as can."""
    fix = "Write a Python int such as 10**10."
    return min(whole_number("max_direct", max_direct, least=1, fix=fix), LARGEST_COUNT)


def _not_too_long(steps: int) -> int:
    """Return the steps, or refuse what is beyond the longest horizon."""
    # By its logarithm: to compare with the power takes long, and its digits would take for ever.
    exponent = math.log10(steps) if steps else 0.0
    if exponent > LARGEST_LOG10_STEPS:
        expected = f"a whole number from 0 to 10^{LARGEST_LOG10_STEPS:.0f}"
        got = Verbatim(f"about 10^{exponent:.10g}")
        raise ValueError(refusal("steps", got, expected, "Ask for fewer steps."))
    return steps


def power_of_ten(exponent: float) -> int:
    """Return 10**exponent rounded to the nearest integer, beyond 10^50 to 50 digits.

    Integer exponents give the exact power.
    """
    whole = math.floor(exponent)
    return _scaled(_mantissa(exponent - whole), whole)


@functools.lru_cache(maxsize=1024)
def _mantissa(fraction: float) -> int:
    """Return 10**fraction in units of 10^-50."""
    with localcontext() as context:
        context.prec = 60
        return int((Decimal(10) ** Decimal(fraction)).scaleb(50))


def _scaled(mantissa: int, whole: int) -> int:
    # In integers: decimal arithmetic would round to the digits of the caller's decimal context.
    if whole >= 50:
        return mantissa * int(10 ** (whole - 50))
    unit = int(10 ** (50 - whole))
    return (mantissa + unit // 2) // unit


def sample_schedule(
    steps: int, samples_per_decade: object, sample_steps: object
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps to record, strictly increasing from 0 to `steps`, both included.

    Without an explicit list they are 10^(k/samples_per_decade), rounded, repetitions removed. Steps beyond
    2^63 − 1 are given by their natural logarithms, in the second array. A density of None stands for
    `DEFAULT_DENSITY` with at most `MOST_BY_DEFAULT` samples; see `default_stride`.
    """
    if sample_steps is not None:
        chosen = sorted({0, *_explicit_samples(sample_steps, steps), steps})
        counted = [step for step in chosen if step <= LARGEST_COUNT]
        return np.array(counted, dtype=np.int64), np.array(
            [math.log(step) for step in chosen[len(counted) :]]
        )
    if samples_per_decade is None:
        return _spaced(steps, DEFAULT_DENSITY, default_stride(steps))
    density = positive_number("samples_per_decade", samples_per_decade, "Write e.g. samples_per_decade=20.")
    if density > 1000:
        raise ValueError(
            refusal(
                "samples_per_decade",
                samples_per_decade,
                "at most 1000",
                "Give sample_steps to record particular steps.",
            )
        )
    if (number := _n_spaced(steps, density)) > _MOST_SAMPLES:
        raise ValueError(
            refusal(
                "samples_per_decade",
                samples_per_decade,
                f"no more than {_MOST_SAMPLES:,} samples in all, not {number:,}",
                "Lower samples_per_decade, or give sample_steps.",
            )
        )
    return _spaced(steps, density)


def default_stride(steps: int) -> int:
    """Return how many of the samples at `DEFAULT_DENSITY` there are to each one that is recorded by default.

    It is the least power of two with which they are at most `MOST_BY_DEFAULT`: the samples of a longer
    horizon are then among those of a shorter one, so that a run can be extended.
    """
    stride = 1
    while _n_spaced(steps, DEFAULT_DENSITY, stride) > MOST_BY_DEFAULT:
        stride *= 2
    return stride


def thinned_spacing(steps: int) -> str:
    """Say how far apart samples are where there would be too many at the default density; "" elsewhere."""
    if (stride := default_stride(steps)) == 1:
        return ""
    spacing = f"{stride / DEFAULT_DENSITY:.10g} decades apart"
    return f"{spacing}, thinned to at most {MOST_BY_DEFAULT:,} as no samples_per_decade was given"


def _spaced(steps: int, density: float, stride: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return 0, the steps 10^(k/density) before `steps`, k = 0, stride, 2 stride, …, and `steps`."""
    counted = _counted(steps, density, stride)
    if steps <= LARGEST_COUNT:
        return np.append(counted, np.int64(steps)), np.empty(0)
    late = _late_indices(density, math.log(steps), stride)
    logs = np.arange(late.start, late.stop, late.step) / density * math.log(10)
    return counted, np.append(logs, math.log(steps))


def _n_spaced(steps: int, density: float, stride: int = 1) -> int:
    """Return the number of these samples."""
    late = range(0) if steps <= LARGEST_COUNT else _late_indices(density, math.log(steps), stride)
    return len(_counted(steps, density, stride)) + len(late) + 1


def _counted(steps: int, density: float, stride: int) -> NDArray[np.int64]:
    spaced = _log_spaced(density, stride)
    return spaced[: np.searchsorted(spaced, min(steps, LARGEST_COUNT))]


@functools.lru_cache(maxsize=64)
def _log_spaced(density: float, stride: int) -> NDArray[np.int64]:
    """Return 0 and the steps 10^(k/density), k = 0, stride, …, rounded, up to 2^63 − 1."""
    chosen = {0}
    for index in itertools.count(step=stride):
        whole, rest = divmod(index, density)
        if whole > 19:  # at a density near zero, a power too large to be computed
            break
        step = _scaled(_mantissa(rest / density), int(whole))
        if step > LARGEST_COUNT:
            break
        chosen.add(step)
    return _frozen(np.array(sorted(chosen), dtype=np.int64))


def _late_indices(density: float, log_steps: float, stride: int) -> range:
    """Return the multiples k of a stride with 10^(k/density) beyond 2^63 − 1 and before e^log_steps."""
    first = math.floor(density * math.log10(LARGEST_COUNT)) + 1
    stop = math.ceil(density * log_steps / math.log(10))
    while stop > first and (stop - 1) / density * math.log(10) >= log_steps:  # by rounding
        stop -= 1
    first += -first % stride
    return range(first, max(stop, first), stride)


def _explicit_samples(sample_steps: object, steps: int) -> list[int]:
    expected = f"increasing whole numbers from 0 to {brief(steps)}"
    fix = "Sort them, remove repetitions, and stay within the horizon."
    if isinstance(sample_steps, np.ndarray) and sample_steps.ndim == 1:
        sample_steps = sample_steps.tolist()
    if not isinstance(sample_steps, Sequence) or isinstance(sample_steps, (str, bytes)):
        raise TypeError(refusal("sample_steps", sample_steps, expected, "Give a list of integers."))
    chosen = [
        whole_number(f"sample_steps[{i}]", step, least=0, fix="Write whole numbers of steps.")
        for i, step in enumerate(sample_steps)
    ]
    for i, step in enumerate(chosen):
        if step > steps or (i > 0 and step <= chosen[i - 1]):
            raise ValueError(refusal(f"sample_steps[{i}]", step, expected, fix))
    return chosen


def written_steps(steps: int) -> str:
    """Return a number of steps as people write it: 1,000,000; 10^400; 3.2e+57."""
    if steps < 10**15:
        return f"{steps:,}"
    # int -> str is quadratic and limited in length; the logarithm is neither.
    exponent = math.floor(math.log10(steps))
    for power in (exponent, exponent + 1):
        if steps == 10**power:
            return f"10^{power}"
    mantissa = f"{10 ** (math.log10(steps) - exponent):.3g}"
    return f"1e+{exponent + 1}" if mantissa == "10" else f"{mantissa}e+{exponent}"


def steps_of_log(log_steps: float) -> int:
    """Return e**log_steps rounded to an integer, to as many digits as the logarithm tells."""
    with localcontext() as context:
        context.prec = 30
        context.Emax = 10**8
        steps = Decimal(log_steps).exp()
        beyond = max(
            steps.adjusted() - 29, 0
        )  # decimal places; a Decimal of a million takes a minute to convert
        return int(steps.scaleb(-beyond)) * int(10**beyond)
