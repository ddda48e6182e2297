"""The losses: for each the functions of a margin m = y f(x) that are needed of it outside the kernel.

The kernel has its own, in arithmetic that gives the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from twonn.values import Floats

__all__ = ["LOSSES", "LOSS_NAMES", "LOSS_SYNONYMS", "Loss", "LossName"]

LossName = Literal["exponential", "logistic"]
LOSS_NAMES: tuple[LossName, ...] = get_args(LossName)

_Function = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Loss:
    """A loss ℓ(m) with an exponential tail; functions of arrays, by entry.

    Attributes
    ----------
    log_value : callable
        ln ℓ(m), also where ℓ underflows.
    slope : callable
        s(m) = −ℓ'(m), with which gradient descent pushes. It may under- and overflow.
    tail : callable
        s(m) e^m, which grows to 1 as m does.
    """

    log_value: _Function
    slope: _Function
    tail: _Function


def _log_of_logistic(margins: Floats) -> Floats:
    # log(log(1 + e^-m)): past m = 36 the inner logarithm is e^-m (1 - e^-m/2) to the last bit and would
    # underflow at m = 745; before, log1p is accurate.
    far = margins > 36
    near = np.where(far, 0.0, margins)
    with np.errstate(over="ignore"):
        return np.where(far, -margins - np.exp(-np.abs(margins)) / 2, np.log(np.logaddexp(0.0, -near)))


_EXPONENTIAL = Loss(
    log_value=lambda margins: -margins,
    slope=lambda margins: np.exp(-margins),
    tail=lambda margins: np.ones_like(margins),
)

_LOGISTIC = Loss(
    log_value=_log_of_logistic,
    slope=lambda margins: 1 / (1 + np.exp(margins)),
    tail=lambda margins: 1 / (1 + np.exp(-margins)),
)

#: All of them, by name. CONTRIBUTING.md says what else a new one needs.
LOSSES: dict[LossName, Loss] = {"exponential": _EXPONENTIAL, "logistic": _LOGISTIC}

LOSS_SYNONYMS = {
    "exp": "exponential",
    "bce": "logistic",
    "bce_with_logits": "logistic",
    "binary_cross_entropy": "logistic",
    "binary_crossentropy": "logistic",
    "cross_entropy": "logistic",
    "crossentropy": "logistic",
    "deviance": "logistic",
    "log": "logistic",
    "log_loss": "logistic",
    "logloss": "logistic",
    "nll": "logistic",
    "softplus": "logistic",
}
