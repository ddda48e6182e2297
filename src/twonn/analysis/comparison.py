"""Which law a gap follows: laws are compared by what they predict outside of the window they were fitted in.

A law is as good as the best one if its error is not much larger, or no larger than noise makes it. Of those
the simplest is chosen. Others that are not excluded have their say in the intervals of the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from twonn.analysis.fitting import Fits, FittedLaw, jacobian, root_mean_square
from twonn.analysis.laws import FITTED, Law
from twonn.analysis.samples import LEARNT, PREDICTED, ROUNDING, WINDOWS, in_window, usable_windows
from twonn.arguments import ArgumentValueError, Verbatim
from twonn.values import Floats

#: A law is as good as the best one if its error of prediction is within this factor of it, or is rounding.
AS_GOOD = 2.0

#: It is not excluded as long as its error is within this factor, or within that of what noise alone makes of
#: it: what the laws leave out may be that much larger for the true one.
NOT_EXCLUDED, NOISE_FACTOR = 10.0, 3.0

#: It does not fit if its squared deviations exceed those of the closest law by more than this many times the
#: noise: a likelihood ratio that a true law exceeds with a probability below 0.01 for up to three parameters.
WORSE_BY = 12.0

#: A law counts beside a simpler one if it has no more than so many parameters more.
MOST_EXTRA = 2

#: Standard errors in an interval: 99 % of a normal distribution.
STANDARD_ERRORS = 2.6

#: A limit is one if no window differs from it by more than this part of it, noise apart. Where it is below
#: that part of the last gap, they must agree the better, in proportion. Else it stands for something that has
#: not died out.
SURE_LIMIT, SMALL_LIMIT = 0.3, 0.01

#: Relative error of prediction beyond which, noise apart, not even the best law says anything.
WORST_PREDICTION = 0.005


@dataclass(frozen=True, eq=False)
class ComparedLaw:
    """One law as it is stated, and what it predicts.

    Attributes
    ----------
    stated : FittedLaw
        In the first of the windows.
    prediction_error : float
        Root mean square of the relative error in the later window, for the law fitted in the earlier one.
    prediction_noise : float
        What it is to be expected for noise of relative size 1.
    """

    stated: FittedLaw
    prediction_error: float
    prediction_noise: float

    @property
    def law(self) -> Law:
        return self.stated.law


def compare_all(fits: Fits) -> tuple[list[ComparedLaw], float]:
    """Return all laws, and the noise; limits that are none are 0."""
    stated = [fits(law, WINDOWS[0]) for law in FITTED]
    learnt = [fits(law, LEARNT) for law in FITTED]
    noise = _closest(stated).noise
    for place, fitted in enumerate(stated):
        if fitted.free_limit > 0 and not _has_limit(fits, fitted, noise):
            stated[place] = replace(fits.without_limit(fitted, WINDOWS[0]), free_limit=0.0)
        if stated[place].numbers.get("limit") == 0:
            learnt[place] = fits.without_limit(learnt[place], LEARNT)
    pairs = zip(stated, learnt, strict=True)
    return [_compared(*pair, fits.log_t, fits.gap) for pair in pairs], _closest(stated).noise


def _compared(stated: FittedLaw, learnt: FittedLaw, log_t: Floats, gap: Floats) -> ComparedLaw:
    later = in_window(log_t, gap, PREDICTED)
    deviations = learnt.law.predict(later[0], learnt.numbers) / later[1] - 1
    by_numbers = jacobian(learnt.law, *later, learnt.numbers)
    # Noise in the later window, and that of the numbers, which comes from the earlier one.
    variance = 1 + float(np.mean(np.einsum("ni,ij,nj->n", by_numbers, learnt.covariance, by_numbers)))
    return ComparedLaw(
        stated, root_mean_square(deviations), math.sqrt(variance) if variance >= 1 else math.inf
    )


def _closest(stated: Iterable[FittedLaw]) -> FittedLaw:
    return min(stated, key=lambda fitted: fitted.scatter)


def _has_limit(fits: Fits, stated: FittedLaw, noise: float) -> bool:
    """Tell whether all windows agree about the limit of a law."""
    limit = stated.numbers["limit"]
    sure = SURE_LIMIT * limit * min(1.0, limit / (SMALL_LIMIT * fits.gap[-1]))
    for window in usable_windows(fits.log_t)[1:]:
        other = fits(stated.law, window)
        by_noise = noise * math.hypot(other.sensitivity("limit"), stated.sensitivity("limit"))
        if not abs(other.numbers["limit"] - limit) <= sure + STANDARD_ERRORS * by_noise:
            return False
    return True


def choose(
    compared: list[ComparedLaw], noise: float, log_t_end: float
) -> tuple[ComparedLaw, list[ComparedLaw]]:
    """Return the simplest law of those that are as good as the best one, and all that are not excluded."""
    fitting = _fitting(compared, noise)
    best = min(fitting, key=lambda one: one.prediction_error)

    def by_noise(one: ComparedLaw) -> float:
        return NOISE_FACTOR * noise * one.prediction_noise if noise else 0.0

    def errs_by_at_most(one: ComparedLaw, *errors: float) -> bool:
        return one.prediction_error <= max(errors)

    as_good = [
        one
        for one in fitting
        if errs_by_at_most(one, AS_GOOD * best.prediction_error, ROUNDING)
        and errs_by_at_most(one, WORST_PREDICTION, by_noise(one))
    ]
    if not as_good:
        raise _no_law(best, log_t_end)
    simplest = min(as_good, key=lambda one: one.law.size)
    return simplest, [
        one
        for one in fitting
        if errs_by_at_most(one, NOT_EXCLUDED * best.prediction_error, ROUNDING, by_noise(one))
        and one.law.size <= simplest.law.size + MOST_EXTRA
    ]


def _fitting(compared: list[ComparedLaw], noise: float) -> list[ComparedLaw]:
    """Return the laws that noise does not tell from the closest one in the window where they are stated."""
    if not noise:
        return compared
    closest = _closest(one.stated for one in compared)
    least = closest.deviation**2
    # Deviations of the closest law that are not all noise say the less of the others.
    more = WORSE_BY / len(closest.deviations) * max(least, least**2 / noise**2)
    return [one for one in compared if one.stated.deviation**2 <= least + more]


def _no_law(best: ComparedLaw, log_t_end: float) -> ValueError:
    error = best.prediction_error
    missed_by = f"{error:.1%}" if math.isfinite(error) else "any amount"
    return ArgumentValueError(
        "gap",
        Verbatim(f"values that the best law, {best.law.formula}, misses by {missed_by}"),
        f"a gap that a law fitted for ln t < {LEARNT[1] * log_t_end:.6g} predicts further on",
        "Run longer, so that the motion settles.",
    )
