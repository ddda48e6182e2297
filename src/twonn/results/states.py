"""Everything that follows from the recorded states of a network, along any axes of samples and runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twonn import _core
from twonn.arguments import ArgumentValueError, Verbatim
from twonn.geometry.boundary import boundary_of
from twonn.geometry.distances import distances_of, functional_margins, gap_error_of, gap_of
from twonn.geometry.objective import log_loss_of
from twonn.optimizers import Optimizer
from twonn.problem.losses import LOSSES
from twonn.problem.problem import Problem
from twonn.values import Floats, derived


class NetworkStates:
    """Networks along axes ``...``, whose derived arrays are computed when first asked for.

    Attributes
    ----------
    problem : Problem
    optimizer : Optimizer or None
        None for gradient descent.
    states : ndarray, shape (..., 12) or (..., 4 d + 8)
        Reduced coordinates; of other optimizers the parameters themselves.
    phase_unknown : ndarray of bool, shape (..., 2, 2)
        Pairs of neuron j and point i whose z_ji is known up to the height of a sawtooth only.
    error_bound : float or ndarray
        Bound on the error of the parameters; broadcast against ``...``.
    preactivations : ndarray, shape (..., 2, 2)
        z_ji, indexed [..., neuron j, point i].
    """

    problem: Problem
    optimizer: Optimizer | None
    states: Floats
    phase_unknown: NDArray[np.bool_]
    error_bound: float | Floats

    @property
    def _weights(self) -> tuple[Floats, Floats]:
        raise NotImplementedError

    @property
    def preactivations(self) -> Floats:
        raise NotImplementedError

    @property
    def w(self) -> Floats:
        return self._weights[0]

    @property
    def b(self) -> Floats:
        return self._weights[1]

    @property
    def v(self) -> Floats:
        return _output_weights(self.problem, self.optimizer, self.states)

    @property
    def _gram_diagonal(self) -> Floats:
        squares: Floats = np.einsum("id,id->i", self.problem.x, self.problem.x)
        return squares + self.problem.bias

    @derived
    def sawtooth(self) -> Floats:
        with np.errstate(over="ignore", under="ignore"):
            slopes = LOSSES[self.problem.loss].slope(self.margins)
            push = self.problem.point_step * slopes * self._gram_diagonal
            height = np.abs(self.v)[..., :, None] * push[..., None, :]
        return np.where(self.phase_unknown, height, 0.0)

    @property
    def _sawtooth_error(self) -> Floats:
        """How far the parameters may be from the mean of all sawtooths, in the Euclidean norm."""
        if not self.phase_unknown.any():  # as a rule, and the rest takes longer than the gap
            return np.zeros(self.phase_unknown.shape[:-2])
        reach = np.sqrt(self._gram_diagonal)
        reach = np.where(reach > 0, reach, 1.0)  # what moves nothing has no sawtooth either
        return np.asarray((self.sawtooth / (2 * reach)).sum(axis=(-2, -1)))

    @derived
    def margins(self) -> Floats:
        return functional_margins(self.problem, self.v, self.preactivations)

    @derived
    def log_loss(self) -> Floats:
        return log_loss_of(self.problem, self.margins)

    @derived
    def loss(self) -> Floats:
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(self.log_loss)

    @derived
    def distances(self) -> Floats:
        return distances_of(self.problem, self.w, self.v, self.preactivations)

    @derived
    def robust_margin(self) -> Floats:
        return np.minimum(self.distances[..., 0], self.distances[..., 1])

    @derived
    def gap(self) -> Floats:
        return gap_of(self.problem, self.w, self.v, self.preactivations)

    @derived
    def gap_error(self) -> Floats:
        return self._gap_error_for(self.error_bound + self._sawtooth_error)

    @derived
    def gap_noise(self) -> Floats:
        """The part of `gap_error` that differs from sample to sample: rounding, and the sawtooth."""
        return self._gap_error_for(self._sawtooth_error)

    def _gap_error_for(self, error: float | Floats) -> Floats:
        return gap_error_of(self.problem, self.w, self.v, self.preactivations, error)

    @derived
    def boundary(self) -> Floats:
        require_line(self.problem)
        return boundary_of(self.problem, self.w, self.v, self.preactivations)


def require_line(problem: Problem) -> None:
    """Refuse to give the boundary of a problem whose points are not on a line."""
    if problem.dimension != 1:
        raise ArgumentValueError(
            "boundary",
            Verbatim(f"a problem of dimension {problem.dimension}"),
            "d = 1, where the boundary is one point",
            "Use distances, robust_margin and gap, which are defined for every d.",
        )


def pairs_of(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for every neuron j and point i whether its bit is set, shape (..., 2, 2)."""
    if not codes.any():  # as a rule none slides, and this takes a tenth of the time
        return np.zeros((*codes.shape, 2, 2), np.bool_)
    bits = np.unpackbits(codes[..., None], axis=-1, count=4, bitorder="little")
    return bits.view(np.bool_).reshape(*codes.shape, 2, 2)


def parameters_of(
    problem: Problem, start_w: Floats, start_b: Floats, optimizer: Optimizer | None, states: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return w, b and v, (n, m, 2, d), (n, m, 2), (n, m, 2), of m recorded states of each of n runs."""
    v = _output_weights(problem, optimizer, states)
    if optimizer is not None:
        d = problem.dimension
        return states[..., : 2 * d].reshape(*v.shape, d), states[..., 2 * d : 2 * d + 2], v
    states = np.ascontiguousarray(states)
    return *_core.state_weights(problem.x, problem.bias, start_w, start_b, states), v


def preactivations_of(
    problem: Problem, start_w: Floats, start_b: Floats, optimizer: Optimizer | None, states: Floats
) -> Floats:
    """Return z_ji, shape (n, m, 2, 2), of m recorded states of each of n runs."""
    states = np.ascontiguousarray(states)
    if optimizer is None:
        return _core.state_preactivations(problem.x, problem.bias, start_w, start_b, states)
    z = _core.own_preactivations(problem.x, states.reshape(-1, states.shape[-1]))
    return z.reshape(*states.shape[:2], 2, 2)


def _output_weights(problem: Problem, optimizer: Optimizer | None, states: Floats) -> Floats:
    first = 8 if optimizer is None else 2 * problem.dimension + 2
    return states[..., first : first + 2]
