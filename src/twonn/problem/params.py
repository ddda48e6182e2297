"""Parameters: one network or many, from NumPy or from PyTorch."""

from __future__ import annotations

import numbers
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn import _core
from twonn.arguments import (
    ArgumentTypeError,
    ArgumentValueError,
    OutOfRangeError,
    Verbatim,
    finite_array,
    real_array,
)
from twonn.problem.problem import checked_problem
from twonn.problem.pytorch import module_of, read_from_torch
from twonn.values import frozen_array, public, set_fields

if TYPE_CHECKING:
    import torch


@public
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
        Length of the run axis, None without one. ``params[r]`` is run r; ``len(params)`` and
        ``for one in params`` go along the same axis.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.

    Notes
    -----
    Sums, differences and multiples by numbers are Params again, by entry, so that a step can be written as
    ``params - 0.01 * twonn.gradient(problem, params)``.
    """

    w: NDArray[np.float64]
    b: NDArray[np.float64]
    v: NDArray[np.float64]

    def __init__(self, w: ArrayLike, b: ArrayLike | None = None, v: ArrayLike | None = None) -> None:
        weights = real_array("w", w)
        if weights.ndim == 1:
            weights = weights[:, np.newaxis]
        if weights.ndim not in (2, 3) or weights.shape[-2] != 2 or weights.shape[-1] < 1:
            raise ArgumentValueError(
                "w",
                Verbatim(f"shape {np.shape(w)}"),
                "shape (2,), (2, d) or (runs, 2, d) with d >= 1",
                "Give one row of input weights per neuron.",
            )
        set_fields(
            self,
            w=frozen_array(weights),
            b=_per_neuron("b", b, (0.0, 0.0), weights.shape[:-1]),
            v=_per_neuron("v", v, (1.0, -1.0), weights.shape[:-1]),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Params.of_finite_state, (self.w, self.b, self.v)

    @classmethod
    def of_finite_state(cls, w: ArrayLike, b: ArrayLike, v: ArrayLike) -> Params:
        """Return the parameters a run has reached, which may be larger than a start may be.

        Parameters
        ----------
        w, b, v : array_like
            Of the shapes (2, d), (2,) and (2,). They are not checked.
        """
        params = object.__new__(cls)
        arrays = {"w": w, "b": b, "v": v}
        set_fields(params, **{name: frozen_array(np.array(array)) for name, array in arrays.items()})
        return params

    @classmethod
    def from_torch(cls, module: torch.nn.Module) -> Params:
        """Return the parameters of a two-neuron PyTorch module.

        Parameters
        ----------
        module : torch.nn.Module
            A module that computes v_0 relu(w_0·x + b_0) + v_1 relu(w_1·x + b_1) for every row x of its input,
            such as ``Sequential(Linear(d, 2), ReLU(), Linear(2, 1, bias=False))``. Its tensors are recognised
            by their shapes, (2, d), (2,) and (1, 2), not by their names. Biases may be absent, and an output
            bias must be 0.

        Returns
        -------
        Params
            Exactly the numbers of the module: binary64 holds float16, bfloat16 and float32.

        Raises
        ------
        TypeError, ValueError
            If it is not a module, if its parameters have other shapes or are not real floating-point numbers,
            or if it computes something else. A copy of it is evaluated at some points to check that.
        """
        return cls(**read_from_torch(module))

    def to_torch(self) -> torch.nn.Sequential:
        """Return ``torch.nn.Sequential(Linear(d, 2), ReLU(), Linear(2, 1, bias=False))`` in float64.

        All its parameters require gradients. To keep the output weights or the biases fixed, call
        ``requires_grad_(False)`` on ``module[2].weight`` or on ``module[0].bias``.

        Raises
        ------
        ImportError
            Without PyTorch.
        ValueError
            If these are the parameters of many networks.
        """
        single_run(self)
        return module_of(self.w, self.b, self.v)

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return f(x) = v_0 max(0, w_0·x + b_0) + v_1 max(0, w_1·x + b_1).

        Sums have twice the working precision. At the points of a problem y_i f(x_i) is the margin of a run
        that starts with these parameters, to the last bit.

        Parameters
        ----------
        x : array_like, shape (..., d)
            Points; any number of axes, also none, may come before that of their coordinates. For d = 1 the
            latter may be left out: a number, a vector, or an array whose last axis is longer than 1 consists
            of points.

        Returns
        -------
        float64 or ndarray, shape (...) or (runs, ...)
            inf or nan where f is beyond the range of binary64.

        Raises
        ------
        TypeError, ValueError
            If `x` does not have the shape of such points, or is not made of finite real numbers.
        """
        points = _points(x, self.dimension)
        w, b, v = self.w.reshape(-1, 2, self.dimension), self.b.reshape(-1, 2), self.v.reshape(-1, 2)
        values = _core.values(w, b, v, np.ascontiguousarray(points.reshape(-1, self.dimension)))
        return values.reshape(self.w.shape[:-2] + points.shape[:-1])[()]

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

    def __bool__(self) -> bool:  # of one network, too, which has no length
        return self.runs != 0

    def __getitem__(self, index: Any) -> Params:
        if self.runs is None:
            raise TypeError("these Params are one network and have no run axis to index")
        # Only the run axis is indexed: w[:, 0] of two runs in d = 2 would pass for one network.
        if not isinstance(index, (numbers.Integral, slice)):
            index = np.arange(self.runs)[index]
        return Params(w=self.w[index], b=self.b[index], v=self.v[index])

    def __iter__(self) -> Iterator[Params]:
        return (self[run] for run in range(len(self)))

    # NumPy's numbers are to leave arithmetic with Params to these.
    __array_ufunc__ = None

    def __add__(self, other: Params) -> Params:
        return self._with(np.add, other) if isinstance(other, Params) else NotImplemented

    def __sub__(self, other: Params) -> Params:
        return self._with(np.subtract, other) if isinstance(other, Params) else NotImplemented

    def __mul__(self, factor: object) -> Params:
        if not isinstance(factor, numbers.Real):
            return NotImplemented
        return self._with(np.multiply, float(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: object) -> Params:
        if not isinstance(divisor, numbers.Real):
            return NotImplemented
        return self._with(np.divide, float(divisor))

    def __neg__(self) -> Params:
        return -1.0 * self

    def _with(self, operation: np.ufunc, other: Params | float) -> Params:
        """Return the result of an operation on w, b and v, with those of other Params or with a number."""
        if isinstance(other, Params):
            _check_alike(self, other)
        result = {}
        for name in ("w", "b", "v"):
            theirs = getattr(other, name) if isinstance(other, Params) else other
            with np.errstate(all="ignore"):
                array = operation(getattr(self, name), theirs)
            if not np.isfinite(array).all():
                raise OutOfRangeError(name, array, "finite numbers", "The result is too large for binary64.")
            result[name] = array
        return Params.of_finite_state(**result)

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


def _check_alike(one: Params, other: Params) -> None:
    """Refuse to add parameters of different networks, or of different numbers of them."""
    alike = one.dimension == other.dimension and (one.runs == other.runs or None in (one.runs, other.runs))
    if not alike:
        raise ArgumentValueError(
            "params",
            Verbatim(f"w of shapes {one.w.shape} and {other.w.shape}"),
            "the same dimension, and the same number of runs or one network",
            "Only parameters of the same networks can be added.",
        )


def _points(x: ArrayLike, dimension: int) -> NDArray[np.float64]:
    """Return points, shape (..., d), or refuse."""
    points = finite_array("x", x)
    if dimension == 1 and (points.ndim < 2 or points.shape[-1] != 1):
        return points[..., np.newaxis]
    if points.ndim == 0 or points.shape[-1] != dimension:
        raise ArgumentValueError(
            "x",
            Verbatim(f"shape {points.shape}"),
            f"shape (..., {dimension}), as the weights are those of points of dimension {dimension}",
            "Let the last axis be that of the coordinates.",
        )
    return points


def _per_neuron(
    argument: str, value: ArrayLike | None, default: tuple[float, float], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    array = real_array(argument, default if value is None else value)
    # One pair of numbers may serve all runs; everything else has to have the shape of w's runs.
    if array.shape not in (shape, (2,)):
        raise ArgumentValueError(
            argument,
            Verbatim(f"shape {array.shape}"),
            f"shape {shape}, as w has shape {(*shape, 'd')}".replace("'", ""),
            "Give one number per neuron.",
        )
    return frozen_array(np.broadcast_to(array, shape).copy())


def check_compatible(problem: object, params: object) -> None:
    """Refuse a pair of problem and parameters that cannot belong together."""
    problem = checked_problem(problem)
    if not isinstance(params, Params):
        raise ArgumentTypeError("params", params, "a twonn.Params", "Build one with twonn.Params(...).")
    if params.dimension != problem.dimension:
        raise ArgumentValueError(
            "params.w",
            Verbatim(f"dimension {params.dimension}"),
            f"dimension {problem.dimension}, that of problem.x",
            "Give weights and points the same dimension.",
        )
    if not problem.bias and np.any(params.b != 0):
        raise ArgumentValueError(
            "params.b",
            params.b.tolist(),
            "zeros, because the problem has bias=False",
            "Set b to zero, or build the Problem with bias=True.",
        )


def single_run(params: Params) -> Params:
    """Return `params` if it is one network, or refuse."""
    if params.runs is not None:
        raise ArgumentValueError(
            "params",
            Verbatim(f"{params.runs} runs"),
            "one network",
            "Pick one run with params[r], or loop over params.",
        )
    return params
