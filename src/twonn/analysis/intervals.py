"""The numbers of the law that is chosen, and an interval for each.

An interval has three parts: noise, how much the number depends on the window, and what the other laws that
are not excluded make of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from twonn.analysis.comparison import STANDARD_ERRORS, ComparedLaw
from twonn.analysis.exponents import local_exponents
from twonn.analysis.fitting import Fits, FittedLaw, covariance_of
from twonn.analysis.laws import Law
from twonn.analysis.samples import Window, in_window, usable_windows
from twonn.analysis.shapes import FALLING, Interval, solved

#: What remains of a law falls like 1/ln t or faster. Then a number is off by at most this many times what it
#: differs by between two windows whose centres are 1.1 : 1 apart, as the first two are.
DRIFT = 10.0

#: An extrapolated exponent is stated if its standard error is below this, and else that of the law.
SURE_EXPONENT = 1e-3


@dataclass(frozen=True, eq=False)
class Choice:
    """The law that is chosen, and what is to be stated of it.

    Attributes
    ----------
    fits : Fits
    chosen : ComparedLaw
    laws : list of ComparedLaw
        All laws that are not excluded, this one among them.
    noise : float
    """

    fits: Fits
    chosen: ComparedLaw
    laws: list[ComparedLaw]
    noise: float

    def interval(self, name: str) -> Interval:
        """Return that of "constant", "shift" or "limit", with what the other laws make of it.

        All laws mean the same by the limit, some by C, and those of them without an offset by κ. Where a law
        has no limit or κ, it is 0.
        """
        law = self.chosen.law
        intervals = [self._of_chosen(name)] if name in law.parameters else []
        for one in self.laws:
            if one is not self.chosen and self._means_the_same(one.law, name):
                has = name in one.law.parameters
                intervals.append(self._by_noise(one.stated, name) if has else (0.0, 0.0))
        if name not in law.parameters and self._means_the_same(law, name):
            intervals.append((0.0, 0.0))
        if name == "shift" and "shift" not in law.form.own and all(one == (0.0, 0.0) for one in intervals):
            return math.nan, math.nan  # not even another law has one
        return _hull(intervals)

    def _means_the_same(self, law: Law, name: str) -> bool:
        chosen = self.chosen.law.form
        if name == "shift" and "offset" in law.form.own + chosen.own:
            return False  # beside an offset κ is another number
        return name == "limit" or law.form.constant_of == chosen.constant_of

    def exponent(self) -> tuple[float, Interval]:
        """Return the exponent of ln t, and its interval.

        It is what the local exponents tend to, as far as noise lets them be told, and else that of the law.
        """
        stated, shape = self.chosen.stated, self.chosen.law.form
        of_law = stated.numbers.get("exponent", shape.exponent)
        of_laws = [self._of_law(one, "exponent") for one in self.laws]
        if shape.time is None:
            return of_law, _hull(of_laws)
        (value, error), *others = (
            _extrapolated(self.fits, stated, window) for window in usable_windows(self.fits.log_t)
        )
        if not error <= SURE_EXPONENT * max(abs(value), 1.0):
            return of_law, _hull(of_laws)
        away = DRIFT * _beyond_noise(value, error, others) + STANDARD_ERRORS * error
        return value, _hull([(value - away, value + away), *of_laws])

    def power(self) -> tuple[float, Interval]:
        """Return the exponent of t, and its interval; nan for laws in ln t."""
        law = self.chosen.law
        if not law.in_t:
            return math.nan, (math.nan, math.nan)
        intervals = [self._of_law(one, "power") for one in self.laws if one.law.in_t]
        return self.chosen.stated.numbers.get("power", law.form.power), _hull(intervals)

    def _of_law(self, one: ComparedLaw, name: str) -> Interval:
        """Return the interval of an exponent by one law; most laws know it."""
        if name not in one.law.form.own:
            value: float = getattr(one.law.form, name)
            return value, value
        return self._of_chosen(name) if one is self.chosen else self._by_noise(one.stated, name)

    def _by_noise(self, stated: FittedLaw, name: str, away: float = 0.0) -> Interval:
        """Return what noise leaves open of a number, and as much more on either side as is to be added."""
        value, error = stated.numbers[name], STANDARD_ERRORS * stated.error(name)
        if name == "limit" and value == 0:  # at its bound, beyond which it would be without
            error = STANDARD_ERRORS * self.noise * stated.sensitivity(name) if self.noise else 0.0
            value = stated.free_limit
        least, most = self._possible(stated, name)
        low, high = max(value - error - away, least), min(value + error + away, most)
        # Noise may have put the value itself beyond what is possible.
        return min(low, stated.numbers[name]), max(high, stated.numbers[name])

    def _possible(self, stated: FittedLaw, name: str) -> Interval:
        """Return the bounds of a number: exponents are >= 0, a limit is below what falls to it."""
        if name in ("constant", "shift", "offset"):
            return -math.inf, math.inf
        if name != "limit":
            return FALLING
        by_noise = STANDARD_ERRORS * self.noise * stated.end
        if stated.numbers["constant"] > 0:
            return 0.0, stated.end + by_noise
        return max(stated.end - by_noise, 0.0), math.inf

    def _of_chosen(self, name: str) -> Interval:
        """Return the same for the law that is chosen, with what differs between windows beyond noise."""
        stated = self.chosen.stated
        others = [self.fits(stated.law, window) for window in usable_windows(self.fits.log_t)[1:]]
        pairs = [(other.numbers[name], other.error(name)) for other in others]
        differs = _beyond_noise(stated.numbers[name], stated.error(name), pairs)
        return self._by_noise(stated, name, DRIFT * differs)


def _beyond_noise(value: float, error: float, others: Iterable[tuple[float, float]]) -> float:
    """Return by how much other values differ from one, beyond what their standard errors explain."""
    away = [abs(other - value) - STANDARD_ERRORS * math.hypot(error, its) for other, its in others]
    return max([0.0, *(one for one in away if one > 0)])


def _hull(intervals: Iterable[Interval]) -> Interval:
    """Return the least interval that holds these; nan if there is none."""
    known = [(low, high) for low, high in intervals if not (math.isnan(low) or math.isnan(high))]
    if not known:
        return math.nan, math.nan
    return min(low for low, _ in known), max(high for _, high in known)


def _extrapolated(fits: Fits, stated: FittedLaw, window: Window) -> tuple[float, float]:
    """Return the local exponent as ln t → ∞, and its standard error.

    Its reciprocal is 1 + κ/ln t for C/(ln t + κ), and 2 + 2κ/√(ln t) for C/(√(ln t) + κ) (theory, eq. 23). If
    the law is one in m, which grows like ln t, it is followed in m.
    """
    shape = stated.law.form
    assert shape.time is not None
    time = shape.time(fits.log_t, stated.numbers)
    exponents = local_exponents(time, fits.gap - stated.numbers.get("limit", 0.0))
    within = np.isin(fits.log_t, in_window(fits.log_t, fits.gap, window)[0])
    there, target = time[within], 1 / exponents[within]
    terms = (np.ones_like(there), 1 / there, *((1 / np.sqrt(there),) if shape.root else ()))
    if not np.isfinite(target).all():
        return math.nan, math.inf
    numbers = solved(target, *terms)
    away = target - np.stack(terms, axis=1) @ numbers
    spread = float(np.sum(away**2)) / max(len(away) - len(terms), 1)
    variance = spread * covariance_of(np.stack(terms, axis=1))[0, 0]
    # The exponent is the reciprocal of what is extrapolated.
    return 1 / numbers[0], math.sqrt(variance) / numbers[0] ** 2
