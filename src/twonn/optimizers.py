"""Optimizers other than gradient descent: their names and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import (
    ArgumentTypeError,
    ArgumentValueError,
    Verbatim,
    closest,
    one_of,
    positive_number,
    real_number,
    suggesting,
)
from twonn.values import public

__all__ = ["Adam", "Momentum", "NormalizedGD", "Optimizer"]

OptimizerName = Literal["gd", "momentum", "normalized_gd", "adam"]
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)

_NO_NESTEROV = "Nesterov's method is not built in: give a function, or take 'momentum', the heavy ball."

_SYNONYMS = {
    "sgd": "gd",
    "gradient_descent": "gd",
    "full_batch": "gd",
    "vanilla": "gd",
    "heavy_ball": "momentum",
    "heavyball": "momentum",
    "polyak": "momentum",
    "sgdm": "momentum",
    "ngd": "normalized_gd",
    "normgd": "normalized_gd",
    "normalized": "normalized_gd",
    "normalised": "normalized_gd",
    "normalised_gd": "normalized_gd",
    "normalized_gradient_descent": "normalized_gd",
    "nesterov": _NO_NESTEROV,
    "nag": _NO_NESTEROV,
    "adamw": "Weight decay is not built in: give a function, or take 'adam', which has none.",
}

#: Where the step size is asked for, but is not.
STEP_SIZE_SYNONYMS = dict.fromkeys(
    ("lr", "learning_rate", "eta", "step_size"), "The step size is an argument of twonn.Problem: step_size."
)

#: What other libraries call the options.
_OPTION_SYNONYMS = {
    **STEP_SIZE_SYNONYMS,
    "momentum": "beta",
    "mu": "beta",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "betas": "The two are beta1 and beta2.",
    "eps": "epsilon",
}


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers have in common: a name, and options that are plain numbers."""

    name: ClassVar[str]

    @property
    def options(self) -> NDArray[np.float64]:
        """The options as the kernel takes them: three numbers, 0 where there is no option."""
        values = [getattr(self, field.name) for field in fields(self)]
        return np.array(values + [0.0] * (3 - len(values)))

    def described(self) -> dict[str, Any]:
        """Return name and options, as `run` takes them."""
        return {"name": self.name, **asdict(self)}

    def __str__(self) -> str:
        options = ", ".join(f"{name} = {value:g}" for name, value in asdict(self).items())
        return f"{self.name} ({options})" if options else self.name


@public
@suggesting(_OPTION_SYNONYMS)
@dataclass(frozen=True)
class Momentum(Optimizer):
    """Heavy ball: u ← β u + ∇L, p ← p − η u (PyTorch's SGD with momentum and without dampening).

    Parameters
    ----------
    beta : float
        In [0, 1).

    References
    ----------
    Polyak (1964), USSR Comput. Math. Math. Phys. 4(5).
    """

    name: ClassVar[str] = "momentum"

    beta: float = 0.9

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", _fraction("beta", self.beta))


@public
@suggesting(_OPTION_SYNONYMS)
@dataclass(frozen=True)
class NormalizedGD(Optimizer):
    """Gradient descent whose step is divided by the loss: p ← p − η ∇L/L.

    So its steps do not shrink with the loss.

    References
    ----------
    Nacson et al. (2019), AISTATS, "Convergence of gradient descent on separable data".
    """

    name: ClassVar[str] = "normalized_gd"


@public
@suggesting(_OPTION_SYNONYMS)
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, elementwise on w, b and trained v, with bias correction.

    m ← β₁ m + (1 − β₁) ∇L,  s ← β₂ s + (1 − β₂) (∇L)²,  p ← p − η/(1 − β₁ᵗ) · m/(√s/√(1 − β₂ᵗ) + ε) in the
    t-th step: PyTorch's order of operations. Once gradients are far below ε, the parameters hardly move.

    Parameters
    ----------
    beta1, beta2 : float
        In [0, 1).
    epsilon : float
        Positive.

    References
    ----------
    Kingma, Ba (2015), ICLR.
    """

    name: ClassVar[str] = "adam"

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta1", _fraction("beta1", self.beta1))
        object.__setattr__(self, "beta2", _fraction("beta2", self.beta2))
        epsilon = positive_number("epsilon", self.epsilon, "Write e.g. epsilon=1e-8.")
        object.__setattr__(self, "epsilon", epsilon)


@dataclass(frozen=True)
class Custom(Optimizer):
    """A method that twonn does not have: a function given to `run`, or whatever made parameters elsewhere.

    Parameters
    ----------
    method : str
        What to call it.
    """

    name: ClassVar[str] = "custom"

    method: str

    def __post_init__(self) -> None:
        if not (isinstance(self.method, str) and self.method.isprintable()):
            raise ArgumentTypeError("method", self.method, "a printable text", "Give it a short name.")

    def __str__(self) -> str:
        return self.method


_KINDS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (Adam, Momentum, NormalizedGD)}


def chosen(optimizer: object) -> Optimizer | None:
    """Return the optimizer that is meant, None for gradient descent.

    Raises
    ------
    TypeError, ValueError
        If it is neither a name, nor an optimizer, nor a table with ``name`` and options, nor a function.
    """
    if isinstance(optimizer, Optimizer) and not isinstance(optimizer, Custom):
        return optimizer
    if callable(optimizer) and not isinstance(optimizer, type):
        return Custom(getattr(optimizer, "__name__", type(optimizer).__name__))
    options: dict[str, Any] = {}
    if isinstance(optimizer, Mapping):
        options = dict(optimizer)
        optimizer = options.pop("name", "")
    name = one_of("optimizer", optimizer, OPTIMIZERS, _SYNONYMS)
    known = [] if name == "gd" else [field.name for field in fields(_KINDS[name])]
    for option in options:
        if option not in known:
            expected = f"options of {name}: {', '.join(known) or 'none'}"
            fix = STEP_SIZE_SYNONYMS.get(option, "Leave it out.")
            if known:
                fix = closest(str(option), known, _OPTION_SYNONYMS)
            raise ArgumentValueError("optimizer", Verbatim(f"the option {option!r}"), expected, fix)
    return None if name == "gd" else _KINDS[name](**options)


def recorded(optimizer: Mapping[str, Any]) -> Optimizer | None:
    """Return the optimizer that `optimizer_dict` has described; any error means that it has not."""
    if optimizer["name"] == Custom.name:
        return Custom(**{name: value for name, value in optimizer.items() if name != "name"})
    return chosen(optimizer)


def require_steps(optimizer: Optimizer, engine: str) -> None:
    """Refuse an engine that would leap."""
    if engine == "leap":
        expected = f"'auto' or 'direct' for the optimizer {optimizer.name}, whose steps are all taken"
        raise ArgumentValueError("engine", engine, expected, 'Use engine="direct".')


def _fraction(name: str, value: float) -> float:
    expected = "a number in [0, 1)"
    number = real_number(name, value, expected)
    if not 0 <= number < 1:
        raise ArgumentValueError(name, value, expected, f"Write e.g. {name}=0.9.")
    return number


def optimizer_dict(optimizer: Optimizer | None) -> dict[str, Any]:
    """Return name and options, as `run` takes them."""
    return {"name": "gd"} if optimizer is None else optimizer.described()


def label(optimizer: Optimizer | None) -> str:
    """Return what tells an optimizer from others, without spaces: adam, or adam(beta1=0.5)."""
    if optimizer is None:
        return "gd"
    changed = {
        field.name: value
        for field in fields(optimizer)
        if (value := getattr(optimizer, field.name)) != field.default
    }
    options = ",".join(f"{name}={value!r}" for name, value in changed.items())
    return f"{optimizer.name}({options})" if options else optimizer.name


def __dir__() -> list[str]:
    return [*__all__]
