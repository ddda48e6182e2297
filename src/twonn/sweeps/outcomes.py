"""What became of the runs of a sweep, counted: how many succeeded, and why the others did not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twonn.results.outcome import Failure

__all__ = ["FAILURES", "counted"]

#: Codes of the column `failure`, with their names in a store. It is what a store holds: new ones come last.
FAILURES = {
    Failure.NONE: "classified",
    Failure.DIVERGED: "diverged",
    Failure.INACTIVE: "inactive",
    Failure.WRONG_SIGN: "wrong_sign",
    Failure.OUTWEIGHED: "outweighed",
    Failure.ZERO_MARGIN: "zero_margin",
    Failure.SLIDING: "sliding",
    Failure.UNKNOWN: "unknown",
}

#: Why a run failed, in words that follow a number of runs.
_WHY = {
    Failure.DIVERGED: "diverged",
    Failure.INACTIVE: "with no neuron active on a point",
    Failure.WRONG_SIGN: "with only neurons of the wrong sign active on a point",
    Failure.OUTWEIGHED: "with a point where the wrong neuron outweighs the right one",
    Failure.ZERO_MARGIN: "with a margin of exactly 0",
    Failure.SLIDING: "with a point reached only by neurons that slide",
    Failure.UNKNOWN: "without numbers to judge by",
}


def counted(success: NDArray[np.bool_], failure: NDArray[np.uint8] | None, done: NDArray[np.bool_]) -> str:
    """Say how many runs succeeded, and why the others did not.

    Parameters
    ----------
    success : ndarray of bool, shape (runs,)
    failure : ndarray of uint8, shape (runs, 2), optional
        Codes of `Failure`. A run whose points fail for different reasons counts for the first of them.
    done : ndarray of bool, shape (runs,)
        Which runs to count.
    """
    text = f"{np.sum(success & done):,} of {np.sum(done):,}"
    if failure is None:
        return text
    lost = failure[done & ~success]
    first = np.where(lost == Failure.NONE, np.uint8(255), lost).min(axis=1, initial=255)
    counts = ((np.sum(first == code), why) for code, why in _WHY.items())
    reasons = ", ".join(f"{count:,} {why}" for count, why in counts if count)
    return f"{text}; failed: {reasons}" if reasons else text
