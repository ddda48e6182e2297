"""Why there is no closed form of a run, or not all of it: one enumeration, with the sentences."""

from __future__ import annotations

import enum


class Reason(enum.IntEnum):
    """A reason. Arrays hold its number.

    Attributes
    ----------
    sentence : str
        Empty where there is nothing to say.
    """

    sentence: str

    def __new__(cls, code: int, sentence: str = "") -> Reason:
        """Make a member of its number and its sentence."""
        reason = int.__new__(cls, code)
        reason._value_, reason.sentence = code, sentence
        return reason

    NOTHING = 0
    EQUAL_LABELS = (
        1,
        "The labels are equal, so there is no separator and no gap; the parameters follow their "
        "coefficients.",
    )
    EARLY = (
        2,
        "The activation pattern is not the final one: a pre-activation is on its way to its kink, and what "
        "happens there is not a matter of coefficients. Give a later state.",
    )
    WRONG_NEURON = (
        3,
        "A point that only a wrong neuron sees stays misclassified, and its gradient does not decay.",
    )
    UNSUPPORTED = (
        4,
        "Only one of the points supports the growth: the accumulated slopes of the other tend to a number, "
        "or grow like ln ln t with one, that has no closed form.",
    )
    SINGULAR = (
        5,
        "The points act on the margins in the same way, so that their accumulated slopes are not determined.",
    )
    COUPLED = (
        6,
        "With trained output weights a closed form is known only where every point is seen by one neuron, "
        "which serves it and is not active on the other one.",
    )
    AT_REST = 7, "No unit is active on any point, so nothing moves."
    UNSEEN = 8, "A point is seen by no neuron: f = 0 there for ever."
    DIVERGED = 9, "The run diverged."
    OTHER_OPTIMIZER = 10, "Closed forms are known for gradient descent only."
    ONE_NEURON = (
        11,
        "One neuron is active on no point for ever, and f has the sign of the other one's output weight: one "
        "of the points stays misclassified.",
    )
    UNSERVED = 12, "No neuron that serves a point can be active on it again, so that it stays misclassified."
    LAST_BIT = 13, "The last bit of the data decides between several ends."
