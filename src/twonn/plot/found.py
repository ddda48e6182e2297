"""The law that the gap of a run was found to follow, and the band between two of its constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from twonn.analysis.asymptote import asymptote
from twonn.analysis.fit_rate import fit_rate
from twonn.analysis.laws import Law
from twonn.arguments import ArgumentValueError
from twonn.plot.parts import decades, number_text, power_of_ten
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

#: Points along the edges of a band, which are straight for some laws only.
_POINTS = 200


@dataclass(frozen=True)
class FoundLaw:
    """A law of the gap of one run.

    Attributes
    ----------
    law : Law
    source : str
        How it was found, for people.
    numbers : dict
        Its limit, and the numbers of its shape.
    gap : callable
        The gap that it gives, as a function of an array of ln t.
    """

    law: Law
    source: str
    numbers: dict[str, float]
    gap: Callable[[Floats], ArrayLike]

    @property
    def label(self) -> str:
        """How it was found, and its formula, on two lines."""
        return f"{self.source},\n{self.law.label}"

    @property
    def has_band(self) -> bool:
        """Whether the gap has a constant of this law: "faster than C/ln t" has none."""
        return self.law is Law.CONSTANT or self.law.shape is not None


@dataclass(frozen=True)
class Laws:
    """What is known of the law of one run; a fit takes a while, and is made when it is first asked for."""

    traj: Trajectory

    @cached_property
    def closed_form(self) -> FoundLaw | None:
        """The closed form, None where it is not known."""
        limit = asymptote(self.traj)
        law = Law(limit.law)
        if not limit.known or law in (Law.UNKNOWN, Law.NONE):
            return None
        return FoundLaw(law, "closed form", {"limit": limit.limit}, limit.gap)

    @cached_property
    def fitted(self) -> FoundLaw | None:
        """The law that is fitted, None where no fit is to be had: the run is too short, say."""
        try:
            rate = fit_rate(self.traj)
        except ArgumentValueError:
            return None
        return FoundLaw(Law(rate.law), "fitted law", dict(rate.best.numbers), rate.predict)

    @property
    def found(self) -> FoundLaw | None:
        """The closed form, or else the fitted law, or None."""
        return self.closed_form or self.fitted

    @property
    def of_band(self) -> FoundLaw | None:
        """The one whose constants bound a band, or None."""
        closed = self.closed_form
        if closed is not None and closed.has_band:
            return closed
        return self.fitted


def draw_band(ax: Axes, found: FoundLaw, log_t: Floats, gap: Floats, **look: Any) -> PolyCollection | None:
    """Shade between the least and the largest constant C with which the law gives one of these gaps.

    Where C means the same without the shift κ, the law is taken without it. So the band says how close the
    gap is to Θ of the law.
    """
    leading = found.law.leading
    limit = found.numbers.get("limit", 0.0) if found.law.limited and found.law is not Law.CONSTANT else 0.0
    with np.errstate(all="ignore"):
        constants = (gap - limit) / _shape(leading, found, log_t)
    usable = np.isfinite(constants)
    if np.count_nonzero(usable) < 2:
        return None
    low, high = float(constants[usable].min()), float(constants[usable].max())
    ends = np.geomspace(log_t[usable][0], log_t[usable][-1], _POINTS)
    shape = _shape(leading, found, ends)
    name = _scaled(leading, found, limit)
    start = power_of_ten(float(decades(log_t[usable])[0]))
    label = f"{name} {_between(low, high)}\nfrom step ${start}$"
    return ax.fill_between(
        decades(ends), limit + low * shape, limit + high * shape, **{"label": label, **look}
    )


def brief_label(label: str) -> str:
    """Return the label of a band without the step where it begins."""
    return label.partition("\n")[0]


def _shape(law: Law, found: FoundLaw, log_t: Floats) -> Floats:
    """Return what C is multiplied with in a law."""
    if law is Law.CONSTANT:
        return np.ones_like(log_t)
    return law.form.function(log_t, *(found.numbers[name] for name in law.form.own))


def _scaled(law: Law, found: FoundLaw, limit: float) -> str:
    """Return C of a law in terms of the gap, for a legend."""
    gap = f"(gap $-\\,{number_text(limit)}$)" if limit else "gap"
    if law is Law.CONSTANT:
        return gap
    label = _with_numbers(law, found.numbers)
    if law is Law.POWER_OF_STEP:
        return rf"{gap}$\cdot t^{{{number_text(found.numbers['power'])}}}$"
    if not label.startswith("C/"):
        return f"$C$ of ${label}$"
    return rf"{gap}$\cdot{label.removeprefix('C/')}$"


def _with_numbers(law: Law, numbers: dict[str, float]) -> str:
    """Return the TeX of a law with numbers in place of the letters of its shape."""
    label = law.form.label
    if "shift" in law.form.own:
        shift = numbers["shift"]
        label = label.replace(r"+ \kappa", f"{'+-'[shift < 0]} {number_text(abs(shift))}")
    if "exponent" in law.form.own:
        label = label.replace(r"\alpha", f"{{{number_text(numbers['exponent'])}}}")
    return label


def _between(low: float, high: float) -> str:
    ends = number_text(low), number_text(high)
    if ends[0] == ends[1]:
        return rf"$\approx {ends[0]}$"
    return rf"in $[{ends[0]},\,{{{ends[1]}}}]$"  # in braces a minus stays a sign
