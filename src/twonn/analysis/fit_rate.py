"""Fitting a law to a gap: `fit_rate`, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn.analysis.comparison import ComparedLaw, choose, compare_all
from twonn.analysis.exponents import local_exponents
from twonn.analysis.fitting import Fits
from twonn.analysis.intervals import Choice
from twonn.analysis.laws import Law
from twonn.analysis.samples import LEARNT, PREDICTED, check_late_enough, checked_samples, in_window
from twonn.analysis.shapes import solved
from twonn.arguments import ArgumentValueError, required
from twonn.results.trajectory import Trajectory
from twonn.values import Floats, Value, public

if TYPE_CHECKING:
    import pandas


@public
def fit_rate(trajectory_or_log_t: Trajectory | ArrayLike, gap: ArrayLike | None = None) -> RateFit:
    """Find the law that a gap follows, and its numbers.

    Parameters
    ----------
    trajectory_or_log_t : Trajectory or array_like, shape (n,)
        A run; or natural logarithms of steps, increasing. Step 0 (−inf) is left out, and so is ln t <= 0.
    gap : array_like, shape (n,), optional
        With logarithms: the gap there, >= 0. Zeros are left out and counted.

    Returns
    -------
    RateFit

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix. Also if the run is too short or
        too early to tell: the margin first falls and only then recovers, and before the gap has turned,
        or soon after, any fit is wrong.
    """
    log_t, gap, lost = checked_samples(trajectory_or_log_t, gap)
    trained = isinstance(trajectory_or_log_t, Trajectory) and trajectory_or_log_t.problem.train_output
    return _fit_checked(log_t, gap, lost, trained)


def fit_samples(log_t: Floats, gap: Floats, lost: NDArray[np.bool_], trained: bool) -> RateFit:
    """Find the law of a gap, given which samples are lost and whether output weights are trained.

    Raises
    ------
    TypeError, ValueError
        As `fit_rate`.
    """
    log_t, gap, _ = checked_samples(log_t, gap)
    return _fit_checked(log_t, gap, lost, trained)


def _fit_checked(log_t: Floats, gap: Floats, lost: NDArray[np.bool_], trained: bool) -> RateFit:
    """Fit samples that have been checked."""
    n_zeros, n_lost = int(np.sum(gap == 0)), int(np.sum(lost & (gap > 0)))
    used = (log_t > 0) & (gap > 0) & ~lost
    log_t, gap = log_t[used], gap[used]
    check_late_enough(log_t, gap, n_zeros, n_lost, trained)
    with np.errstate(all="ignore"):
        fits = Fits(log_t, gap)
        compared, noise = compare_all(fits)
        choice = Choice(fits, *choose(compared, noise, float(log_t[-1])), noise)
        return _result(choice, compared, n_zeros, n_lost)


def _result(choice: Choice, compared: list[ComparedLaw], n_zeros: int, n_lost: int) -> RateFit:
    """Return what is stated of the law that is chosen."""
    law, numbers = choice.chosen.law.formula, choice.chosen.stated.numbers
    exponent, exponents = choice.exponent()
    power, powers = choice.power()
    intervals = {name: choice.interval(name) for name in ("constant", "shift", "limit")}
    by_prediction = sorted(compared, key=lambda one: one.prediction_error)
    laws = {one.law.formula: _described(one) for one in by_prediction}
    # With the limit 0 a law is the same without one.
    others = {one.law.formula for one in choice.laws if one.stated.numbers.get("limit") != 0}
    log_t, gap = choice.fits.log_t, choice.fits.gap
    return RateFit(
        law=law,
        best=laws[law],
        alternatives=tuple(name for name in laws if name in others and name != law),
        exponent=exponent,
        power=power,
        constant=numbers["constant"],
        shift=numbers.get("shift", math.nan),
        limit=numbers.get("limit", 0.0),
        intervals={"exponent": exponents, "power": powers, **intervals},
        noise=choice.noise,
        fits=tuple(laws.values()),
        log_t=log_t,
        gap=gap,
        local_exponents=local_exponents(log_t, gap - numbers.get("limit", 0.0)),
        n_zeros=n_zeros,
        n_lost=n_lost,
    )


def _described(one: ComparedLaw) -> LawFit:
    stated = one.stated
    return LawFit(one.law.formula, one.law.size, stated.numbers, stated.deviation, one.prediction_error)


# --------------------------------------------------------------------------------------------------
# What it gives back


@dataclass(frozen=True, eq=False)
class LawFit(Value):
    """One law, fitted.

    Attributes
    ----------
    law : str
    size : int
        Number of free parameters.
    numbers : mapping
        Its "constant", "shift", "exponent" (of ln t), "power" (of t), "offset", "limit", as far as it has
        them.
    deviation : float
        Root mean square of its relative deviation in the window in which it was fitted.
    prediction_error : float
        The same in the later window, for the law fitted in the earlier one; inf if there it is no number.
    """

    law: str
    size: int
    numbers: Mapping[str, float]
    deviation: float
    prediction_error: float


@public
@dataclass(frozen=True, eq=False, repr=False)
class RateFit(Value):
    """Which law a gap follows, and with which numbers.

    Attributes
    ----------
    law : str
        Name of the simplest law among those that predict as well as the best one, to a factor of 2.
    best : LawFit
        That law, fitted.
    alternatives : tuple of str
        Other laws that are not excluded: they predict as well to a factor of 10, or as well as noise lets
        them, and have at most two parameters more.
    exponent : float
        Of ln t: the local exponents extrapolated to ln t → ∞, or that of the law where noise does not let
        them be told; inf for laws in t itself. If the law has a limit, of gap − limit.
    power : float
        Of t, in the same way; nan for laws in ln t.
    constant, shift, limit : float
        C, κ and limit >= 0 of the law; nan where it has no κ, 0 where it has no limit.
    intervals : mapping
        An interval for each of "exponent", "power", "constant", "shift" and "limit". It takes in 2.6 standard
        errors, ten times what other windows make of the number beyond that, and what the alternatives say of
        it: of C and κ those that mean the same by it.
    noise : float
        Relative size of what changes from sample to sample; 0 if it is rounding.
    fits : tuple of LawFit
        All laws, the best predictor first.
    log_t, gap : ndarray, shape (n,)
        The samples used.
    local_exponents : ndarray, shape (n,)
        −d ln gap/d ln ln t there, of gap − limit if the law has one.
    n_zeros : int
        Samples left out because the gap is 0.
    n_lost : int
        Samples of a trajectory left out because the gap is not known to better than a thousandth.
    """

    law: str
    best: LawFit
    alternatives: tuple[str, ...]
    exponent: float
    power: float
    constant: float
    shift: float
    limit: float
    intervals: Mapping[str, tuple[float, float]]
    noise: float
    fits: tuple[LawFit, ...]
    log_t: Floats
    gap: Floats
    local_exponents: Floats
    n_zeros: int
    n_lost: int

    def envelope(self, log_t_from: float | None = None) -> tuple[float, float]:
        """Return [inf, sup] of gap·ln t over the samples from a step on: the constants of Θ(1/ln t).

        Parameters
        ----------
        log_t_from : float, optional
            Natural logarithm of that step; half the last one by default.

        Returns
        -------
        tuple of float

        Raises
        ------
        ValueError
            If no sample is so late.
        """
        first = self.log_t[-1] / 2 if log_t_from is None else log_t_from
        late = self.log_t >= first
        if not late.any():
            expected = f"at most {self.log_t[-1]:.6g}, the last ln t"
            raise ArgumentValueError("log_t_from", log_t_from, expected, "Choose an earlier step.")
        scaled = self.gap[late] * self.log_t[late]
        return float(scaled.min()), float(scaled.max())

    def predict(self, log_t: ArrayLike) -> Floats:
        """Return the gap that the law gives.

        Parameters
        ----------
        log_t : array_like
            Natural logarithms of steps.
        """
        log_t = np.asarray(log_t, dtype=np.float64)
        with np.errstate(all="ignore"):
            return Law(self.law).predict(log_t, self.best.numbers)

    @property
    def table(self) -> pandas.DataFrame:
        """All laws as a DataFrame, the best predictor first.

        Raises
        ------
        ImportError
            Without pandas.
        """
        rows = [
            {
                "law": fit.law,
                **{name: fit.numbers.get(name, math.nan) for name in _COLUMNS},
                "parameters": fit.size,
                "deviation": fit.deviation,
                "prediction_error": fit.prediction_error,
                "excluded": fit.law not in (self.law, *self.alternatives),
            }
            for fit in self.fits
        ]
        frame: pandas.DataFrame = required("pandas", "RateFit.table").DataFrame(rows)
        return frame

    def report(self) -> str:
        """Return all there is to say, for people."""
        low, high = self.envelope()
        noise = f"{self.noise:.1g} of the gap" if self.noise else "none beyond rounding"
        lines = [
            "[[Rate]]",
            f"    law          {self.law}",
            f"    not excluded {', '.join(self.alternatives) or 'no other'}",
            f"    samples      {len(self.gap):,} from ln t = {self.log_t[0]:.6g} to {self.log_t[-1]:.6g}; "
            f"left out: {self.n_zeros:,} with gap 0, {self.n_lost:,} lost in their own error",
            f"    noise        {noise}",
            f"    gap·ln t     from {low:.6g} to {high:.6g} since ln t = {self.log_t[-1] / 2:.6g}",
            f"    falls like   {self._late_powers()} since ln t = {PREDICTED[0] * self.log_t[-1]:.6g}",
            "[[Numbers]] (and what noise, the window and the laws that are not excluded leave open)",
        ]
        return "\n".join([*lines, *self._numbers_with_intervals(), *self._all_laws()])

    def _numbers_with_intervals(self) -> Iterator[str]:
        for name, meaning in _MEANINGS.items():
            value, (least, most) = getattr(self, name), self.intervals[name]
            # Every power of ln t is nothing beside one of t.
            if not (math.isnan(value) or (name == "exponent" and least == math.inf)):
                yield f"    {name:<12} {value:.12g}  ({least:.12g} to {most:.12g}){meaning}"

    def _all_laws(self) -> Iterator[str]:
        yield (
            f"[[Laws]] fitted for ln t from {LEARNT[0]:g} to {LEARNT[1]:g} of the last, "
            f"compared by their relative error from {PREDICTED[0]:g} on"
        )
        yield f"    {'law':<29}{'prediction':>12}  numbers"
        for fit in self.fits:
            numbers = ", ".join(f"{name} {value:.6g}" for name, value in fit.numbers.items())
            mark = "*" if fit.law == self.law else "+" if fit.law in self.alternatives else " "
            yield f"  {mark} {fit.law:<29}{fit.prediction_error:>12.2e}  {numbers}"

    def _late_powers(self) -> str:
        """Say how the gap falls where the laws predict, by straight lines in logarithms."""
        log_t, gap = in_window(self.log_t, self.gap, PREDICTED)
        powers = [-solved(np.log(gap), x - x.mean(), np.ones_like(x))[0] for x in (np.log(log_t), log_t)]
        return f"(ln t)^−{powers[0]:.4g} or t^−{powers[1]:.4g}".replace("−-", "")

    def __repr__(self) -> str:
        return self.report()


_COLUMNS = ("constant", "shift", "exponent", "power", "limit", "offset")

#: What is stated, and what to add to it for people.
_MEANINGS = {
    "exponent": "  of ln t",
    "power": "  of t",
    "constant": "",
    "shift": "",
    "limit": "",
}
