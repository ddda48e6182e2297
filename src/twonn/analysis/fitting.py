"""One law fitted to the samples of one window: its numbers, their covariance, and what it leaves over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from twonn.analysis.laws import Law
from twonn.analysis.samples import ROUNDING, Window, in_window, white_noise
from twonn.analysis.shapes import Numbers, inside
from twonn.values import Floats

#: Second differences that are below this part of deviations say that these are smooth.
SMOOTH = 0.05


@dataclass(frozen=True, eq=False)
class FittedLaw:
    """One law, fitted in one window.

    Attributes
    ----------
    law : Law
    numbers : dict
        With a limit >= 0.
    covariance : ndarray, shape (size, size)
        Of the parameters, where the limit is free, for noise of relative size 1.
    deviations : ndarray, shape (n,)
        Relative ones.
    free_limit : float
        The limit if it may be negative; nan without one.
    end : float
        The gap at the end of the window by the law.
    """

    law: Law
    numbers: Numbers
    covariance: Floats
    deviations: Floats
    free_limit: float
    end: float

    @property
    def deviation(self) -> float:
        return root_mean_square(self.deviations)

    @property
    def scatter(self) -> float:
        """The deviation that is to be expected where nothing is fitted."""
        n = len(self.deviations)
        return self.deviation * math.sqrt(n / max(n - self.law.size, 1))

    @property
    def noise(self) -> float:
        """The relative size of white noise, as second differences of the deviations show it.

        It is 0 if it is rounding, or so small beside the deviations that these are smooth.
        """
        n = len(self.deviations)
        size = white_noise(self.deviations) * math.sqrt(n / max(n - self.law.size, 1))
        return size if size > max(ROUNDING, SMOOTH * self.scatter) else 0.0

    def sensitivity(self, name: str) -> float:
        """Return the standard error of a number for noise of relative size 1."""
        place = self.law.parameters.index(name)
        return math.sqrt(max(self.covariance[place, place], 0.0))

    def error(self, name: str) -> float:
        """Return the standard error of a number.

        Noise changes its sign every other time. Deviations that keep it for longer count as so many fewer.
        """
        signs = np.sign(self.deviations)
        runs = 1 + np.count_nonzero(signs[1:] != signs[:-1])
        return self.scatter * math.sqrt(max(len(signs) / (2 * runs), 1.0)) * self.sensitivity(name)


class Fits:
    """The fits of laws to one gap, in any window, each made once."""

    def __init__(self, log_t: Floats, gap: Floats) -> None:
        self.log_t, self.gap = log_t, gap
        self._made: dict[tuple[Law, Window], FittedLaw] = {}

    def __call__(self, law: Law, window: Window) -> FittedLaw:
        key = law, window
        if key not in self._made:
            self._made[key] = self._fitted(law, window)
        return self._made[key]

    def _fitted(self, law: Law, window: Window) -> FittedLaw:
        log_t, gap = in_window(self.log_t, self.gap, window)
        numbers = closest_numbers(law, log_t, gap)
        covariance = covariance_of(jacobian(law, log_t, gap, numbers))
        predicted = law.predict(log_t, numbers)
        limit = numbers.get("limit", math.nan)
        fitted = FittedLaw(law, numbers, covariance, predicted / gap - 1, limit, float(predicted[-1]))
        # Least squares within the bound: if they are least at a negative limit, they grow from there to 0.
        return self.without_limit(fitted, window) if limit < 0 else fitted

    def without_limit(self, fitted: FittedLaw, window: Window) -> FittedLaw:
        """Return the fit with the limit 0."""
        plain = self(fitted.law.without_limit, window)
        return replace(
            fitted, numbers={**plain.numbers, "limit": 0.0}, deviations=plain.deviations, end=plain.end
        )


def closest_numbers(law: Law, log_t: Floats, gap: Floats) -> Numbers:
    """Return the numbers of a law that make the relative deviations least squares; the limit may be negative.

    C and the limit are linear and always at their best; the search is for the numbers of the shape.
    """

    def deviations(own: Sequence[float]) -> Floats:
        away = law.predict(log_t, law.complete(log_t, gap, own)) / gap - 1
        return away if np.isfinite(away).all() else np.full_like(gap, 1e9)

    def square(own: Sequence[float]) -> float:
        return float(np.sum(deviations(own) ** 2))

    from scipy import optimize  # takes longer to load than most commands to run

    bounds = law.form.bounds(log_t)
    starts = [inside(start, bounds) for start in law.form.starts(log_t, gap, law.limited)]
    if not starts:
        return dict.fromkeys(law.parameters, math.nan)
    best = min(starts, key=square)
    # What is exact already would only be blurred by rounding, and what is far off is no law of this gap.
    if law.form.own and 1e-26 < square(best) / len(gap) < 1e4:
        found = optimize.least_squares(
            deviations,
            best,
            bounds=tuple(zip(*bounds, strict=True)),
            x_scale=[max(abs(number), 1e-3) for number in best],
            **dict.fromkeys(("xtol", "ftol", "gtol"), 1e-14),
            max_nfev=60,
        )
        best = min(best, tuple(float(number) for number in found.x), key=square)
    return law.complete(log_t, gap, best)


def jacobian(law: Law, log_t: Floats, gap: Floats, numbers: Mapping[str, float]) -> Floats:
    """Return the derivatives of the predicted gap by the parameters, relative to the gap."""
    steps = dict.fromkeys(("constant", "limit"), 1.0)  # the gap is linear in these
    for name, (least, _) in zip(law.form.own, law.form.bounds(log_t), strict=True):
        size = numbers[name] - least if math.isfinite(least) else abs(numbers[name])
        steps[name] = 1e-6 * max(size, 1e-3)
    columns = []
    for name in law.parameters:
        above, below = ({**numbers, name: numbers[name] + side * steps[name]} for side in (0.5, -0.5))
        change = law.predict(log_t, above) - law.predict(log_t, below)
        columns.append(change / (steps[name] * gap))
    return np.stack(columns, axis=1)


def covariance_of(jacobian: Floats) -> Floats:
    """Return the covariance of the parameters for noise of relative size 1; inf if there is no such fit."""
    size = jacobian.shape[1]
    if not np.isfinite(jacobian).all():
        return np.full((size, size), math.inf)
    scale = np.abs(jacobian).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    _, sizes, directions = np.linalg.svd(jacobian / scale, full_matrices=False)
    return np.asarray((directions.T / np.maximum(sizes, 1e-100) ** 2) @ directions / np.outer(scale, scale))


def root_mean_square(deviations: Floats) -> float:
    """Return it; inf if a deviation is not finite."""
    size = float(np.sqrt(np.mean(deviations**2)))
    return size if math.isfinite(size) else math.inf
