"""Named random starts: the initialization schemes in common use, for two hidden neurons.

>>> from twonn import initializers
>>> starts = initializers.sample("he_normal", runs=10_000, seed=42)
>>> starts[0]
Params(w=[0.4309350268754409, -1.4707596276977706], b=[0.0, 0.0], v=[1.0, -1.0])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator

from twonn.arguments import ArgumentValueError, flag, one_of, positive_number, suggesting, whole_number
from twonn.problem.params import Params
from twonn.values import Floats

__all__ = ["NAMES", "sample"]

InitializerName = Literal[
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
]

#: The names that `sample` knows.
NAMES: tuple[InitializerName, ...] = get_args(InitializerName)

_NOT_LECUN_UNIFORM = "Of LeCun's there is 'lecun_normal'; uniform are 'he_uniform' and 'torch_default'."

_SYNONYMS = {
    "he": "he_normal",
    "kaiming": "he_normal",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "glorot": "glorot_normal",
    "xavier": "glorot_normal",
    "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
    "lecun": "lecun_normal",
    "lecun_uniform": _NOT_LECUN_UNIFORM,
    "default": "torch_default",
    "pytorch": "torch_default",
    "torch": "torch_default",
    "linear": "torch_default",
    "rademacher": "binary",
    "signs": "binary",
    "standard_normal": "ntk",
    "neural_tangent_kernel": "ntk",
    "meanfield": "mean_field",
    "mf": "mean_field",
    "haar": "orthogonal",
    "orthonormal": "orthogonal",
}

#: What other libraries call the arguments of `sample`.
SAMPLE_SYNONYMS = {
    "n": "runs",
    "size": "runs",
    "n_runs": "runs",
    "samples": "runs",
    "random_state": "seed",
    "rng": "seed",
    "dim": "d",
    "dimension": "d",
    "std": "scale",
    "gain": "scale",
    "scheme": "name",
    "initializer": "name",
}

#: Hidden neurons: the fan-out of the input layer and the fan-in of the output layer.
_NEURONS = 2

#: More numbers than this would not fit into memory.
_LARGEST_DRAW = 10**9

# --------------------------------------------------------------------------------------------------
# Distributions: functions of the generator and the shape to fill

Distribution = Callable[[Generator, tuple[int, ...]], Floats]


def _normal(std: float) -> Distribution:
    """N(0, std²), independently for every entry."""
    return lambda rng, shape: std * rng.standard_normal(shape)


def _uniform(bound: float) -> Distribution:
    """U(−bound, bound), independently for every entry."""
    return lambda rng, shape: rng.uniform(-bound, bound, shape)


def _fair_signs(rng: Generator, shape: tuple[int, ...]) -> Floats:
    """±1 with equal probability, independently for every entry."""
    return rng.choice(np.array([-1.0, 1.0]), shape)


def _orthonormal_rows(rng: Generator, shape: tuple[int, ...]) -> Floats:
    """Rows of each matrix orthonormal, distributed uniformly (Haar) over all such matrices."""
    gaussian = rng.standard_normal(shape)
    q, r = np.linalg.qr(np.swapaxes(gaussian, -1, -2))
    # QR is unique, and with it the law of Q rotation invariant, only for a positive diagonal of R.
    signs = np.copysign(1.0, np.diagonal(r, axis1=-2, axis2=-1))
    return np.swapaxes(q * signs[..., np.newaxis, :], -1, -2)


# --------------------------------------------------------------------------------------------------
# Output weights: functions of the generator and the w and b already drawn

OutputWeights = Callable[[Generator, Floats, Floats], Floats]


def _opposite(rng: Generator, w: Floats, b: Floats) -> Floats:
    return np.broadcast_to([1.0, -1.0], b.shape)


def _signed(magnitude: float) -> OutputWeights:
    return lambda rng, w, b: magnitude * _fair_signs(rng, b.shape)


def _signed_norms(rng: Generator, w: Floats, b: Floats) -> Floats:
    # Draws are of order one, so that their squares neither overflow nor underflow.
    norms: Floats = np.sqrt(np.sum(w * w, axis=-1) + b * b)
    return norms * _fair_signs(rng, b.shape)


# --------------------------------------------------------------------------------------------------
# Schemes


@dataclass(frozen=True)
class _Scheme:
    """How w, b (None: zero) and v are drawn."""

    w: Distribution
    b: Distribution | None = None
    v: OutputWeights = _opposite


def _he_normal(d: int) -> _Scheme:
    return _Scheme(w=_normal(math.sqrt(2 / d)))


def _he_normal_bias(d: int) -> _Scheme:
    std = math.sqrt(2 / d)
    return _Scheme(w=_normal(std), b=_normal(std))


def _he_uniform(d: int) -> _Scheme:
    return _Scheme(w=_uniform(math.sqrt(6 / d)))


def _glorot_normal(d: int) -> _Scheme:
    return _Scheme(w=_normal(math.sqrt(2 / (d + _NEURONS))))


def _glorot_uniform(d: int) -> _Scheme:
    return _Scheme(w=_uniform(math.sqrt(6 / (d + _NEURONS))))


def _lecun_normal(d: int) -> _Scheme:
    return _Scheme(w=_normal(math.sqrt(1 / d)))


def _torch_default(d: int) -> _Scheme:
    bound = math.sqrt(1 / d)
    return _Scheme(w=_uniform(bound), b=_uniform(bound))


def _small(d: int, scale: float = 0.5) -> _Scheme:
    return _Scheme(w=_normal(scale), b=_normal(scale))


def _symmetric(d: int) -> _Scheme:
    return _Scheme(w=_normal(0.1), b=_normal(0.1))


def _binary(d: int) -> _Scheme:
    return _Scheme(w=_fair_signs, b=_normal(0.1))


def _ntk(d: int) -> _Scheme:
    return _Scheme(w=_normal(1.0), v=_signed(math.sqrt(1 / _NEURONS)))


def _mean_field(d: int) -> _Scheme:
    return _Scheme(w=_normal(1.0), v=_signed(1 / _NEURONS))


def _balanced(d: int) -> _Scheme:
    std = math.sqrt(1 / 2)
    return _Scheme(w=_normal(std), b=_normal(std), v=_signed_norms)


def _orthogonal(d: int) -> _Scheme:
    if d < _NEURONS:
        raise ArgumentValueError(
            "d",
            d,
            "d >= 2 for 'orthogonal'",
            "Two weights on the line cannot be orthogonal; choose another scheme, such as 'he_normal'.",
        )
    return _Scheme(w=_orthonormal_rows)


_SCHEMES: dict[InitializerName, Callable[..., _Scheme]] = {
    "he_normal": _he_normal,
    "he_normal_bias": _he_normal_bias,
    "he_uniform": _he_uniform,
    "glorot_normal": _glorot_normal,
    "glorot_uniform": _glorot_uniform,
    "lecun_normal": _lecun_normal,
    "torch_default": _torch_default,
    "small": _small,
    "symmetric": _symmetric,
    "binary": _binary,
    "ntk": _ntk,
    "mean_field": _mean_field,
    "balanced": _balanced,
    "orthogonal": _orthogonal,
}


@suggesting(SAMPLE_SYNONYMS)
def sample(
    name: InitializerName,
    runs: int,
    seed: int,
    d: int = 1,
    *,
    bias: bool = True,
    scale: float | None = None,
) -> Params:
    """Draw the starts of many runs from a named initialization scheme.

    Parameters
    ----------
    name : str
        One of `NAMES`; the formulas are below.
    runs : int
        How many starts, at least 1.
    seed : int
        Seed of ``numpy.random.default_rng``, at least 0. It is required, so that every start can be drawn
        again.
    d : int
        Dimension of the points.
    bias : bool
        With False, b = 0 in every scheme, as a ``Problem(bias=False)`` requires.
    scale : float, optional
        Standard deviation for ``"small"``, 0.5 by default; refused for the other schemes.

    Returns
    -------
    Params
        With a leading run axis: w (runs, 2, d), b (runs, 2), v (runs, 2).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.

    Notes
    -----
    Fan-in is d, fan-out is 2, the number of neurons. N(0, s) has variance s. The biases are 0 and
    the output weights v = (+1, −1), unless the formula says otherwise; ± is a fair random sign,
    independent for every neuron of every run.

    ================== ============================================================== =======
    name               formula                                                        source
    ================== ============================================================== =======
    ``he_normal``      w ~ N(0, 2/d)                                                  [1]_ [2]_
    ``he_normal_bias`` w, b ~ N(0, 2/d)                                               [1]_
    ``he_uniform``     w ~ U(−√(6/d), √(6/d))                                         [1]_
    ``glorot_normal``  w ~ N(0, 2/(d + 2))                                            [3]_
    ``glorot_uniform`` w ~ U(−√(6/(d + 2)), √(6/(d + 2)))                             [3]_
    ``lecun_normal``   w ~ N(0, 1/d), not truncated                                   [4]_
    ``torch_default``  w, b ~ U(−1/√d, 1/√d)                                          [5]_
    ``small``          w, b ~ scale·N(0, 1)
    ``symmetric``      w, b ~ 0.1·N(0, 1)
    ``binary``         w = ±1 in every component, b ~ 0.1·N(0, 1)
    ``ntk``            w ~ N(0, 1), v = ±1/√2                                         [6]_
    ``mean_field``     w ~ N(0, 1), v = ±1/2                                          [7]_ [8]_
    ``balanced``       w, b ~ N(0, 1/2), v_j = ±‖(w_j, b_j)‖                          [9]_
    ``orthogonal``     rows of w orthonormal, uniformly (Haar) distributed; d ≥ 2     [10]_
    ================== ============================================================== =======

    ``he_normal`` is the scheme of the robustness paper [2]_, which sets the biases to 0;
    ``he_normal_bias`` draws them with the variance of the weights. ``small``, ``symmetric`` and
    ``binary`` are plain conventions without a source.

    The generator fills w first, then b, then v, each array whole and in run-major order. An array that
    is not random takes no draws, and neither does b with ``bias=False``. Hence for k < n the first k of
    n runs have exactly the w of ``sample(name, k, seed)``. They have the same b and v only where these
    are not random, because a random b or v starts where the preceding array ends. Likewise ``bias``
    never changes w, but it changes the random signs of ``balanced``. The last digits of ``orthogonal``
    depend on the LAPACK that NumPy uses.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun (2015), Delving deep into rectifiers: surpassing human-level
       performance on ImageNet classification, arXiv 1502.01852.
    .. [2] Smorodinsky, Gimpleson, Safran (2026), On the rate of convergence of GD in non-linear
       neural networks: an adversarial robustness perspective, arXiv 2603.02095.
    .. [3] Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural
       networks, AISTATS.
    .. [4] LeCun, Bottou, Orr, Müller (1998), Efficient BackProp, in Neural Networks: Tricks of the
       Trade; second edition 2012.
    .. [5] PyTorch, default initialization of ``torch.nn.Linear``.
    .. [6] Jacot, Gabriel, Hongler (2018), Neural tangent kernel: convergence and generalization in
       neural networks, arXiv 1806.07572.
    .. [7] Mei, Montanari, Nguyen (2018), A mean field view of the landscape of two-layer neural
       networks, arXiv 1804.06561.
    .. [8] Chizat, Bach (2018), On the global convergence of gradient descent for over-parameterized
       models using optimal transport, arXiv 1805.09545.
    .. [9] Du, Hu, Lee (2018), Algorithmic regularization in learning deep homogeneous models:
       layers are automatically balanced, arXiv 1806.00900.
    .. [10] Saxe, McClelland, Ganguli (2014), Exact solutions to the nonlinear dynamics of learning
       in deep linear neural networks, arXiv 1312.6120.

    Examples
    --------
    >>> sample("mean_field", runs=3, seed=7, d=2)
    Params(3 runs, d=2)
    """
    d = whole_number("d", d, least=1, fix="Write e.g. d=1.")
    runs = whole_number("runs", runs, least=1, fix="Write e.g. runs=1000.")
    if runs * d > _LARGEST_DRAW:
        raise ArgumentValueError(
            "runs", runs, f"runs * d of at most {_LARGEST_DRAW:,}", "Draw fewer runs at a time."
        )
    seed = whole_number("seed", seed, least=0, fix="Write e.g. seed=42; twonn never chooses a seed.")
    scheme = _scheme(name, d, scale)
    draw_bias = scheme.b if flag("bias", bias) else None
    rng = np.random.default_rng(seed)
    w = scheme.w(rng, (runs, _NEURONS, d))
    b = draw_bias(rng, (runs, _NEURONS)) if draw_bias else np.zeros((runs, _NEURONS))
    return Params(w=w, b=b, v=scheme.v(rng, w, b))


def _scheme(name: InitializerName, d: int, scale: float | None) -> _Scheme:
    scheme = _SCHEMES[one_of("name", name, NAMES, _SYNONYMS)]
    if scale is None:
        return scheme(d)
    if name != "small":
        raise ArgumentValueError(
            "scale",
            scale,
            f"None, because {name!r} has no scale to choose",
            "Leave it out, or use the scheme 'small'.",
        )
    return scheme(d, positive_number("scale", scale, "Write e.g. scale=0.5."))


def __dir__() -> list[str]:
    return [*__all__]
