"""Which law a gap follows in ln t: fits, local exponents, and comparison by prediction.

Laws are compared by what they predict outside of the window they were fitted in. A law is as good as the
best one if its error is not much larger, or no larger than noise makes it; of those the simplest is chosen.
What is stated as uncertainty has three parts: noise, how much a number depends on the window, and what the
other laws that are as good make of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, required
from twonn.results.trajectory import Trajectory
from twonn.values import Floats, Value, public

if TYPE_CHECKING:
    import pandas


Window = tuple[float, float]

Interval = tuple[float, float]

Numbers = dict[str, float]

#: Windows, as parts of the last ln t: what is stated is fitted in the first, and its interval takes in what
#: the others make of it.
WINDOWS: tuple[Window, ...] = ((0.75, 1.0), (0.6, 1.0), (2 / 3, 1.0), (0.85, 1.0), (2 / 3, 0.9))

#: Laws are fitted in the one and compared by what they predict in the other.
LEARNT: Window = (0.7, 0.85)

PREDICTED: Window = (0.85, 1.0)

#: Fewest samples of a window that anything is fitted to, and most that are used, evenly chosen.
LEAST_SAMPLES, MOST_SAMPLES = 6, 120

#: Second differences that are below this part of deviations say that these are smooth.
SMOOTH = 0.05

#: A law is as good as the best one if its error of prediction is within this factor of it, or is rounding.
AS_GOOD, ROUNDING = 2.0, 1e-12

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

#: What remains of a law falls like 1/ln t or faster. Then a number is off by at most this many times what it
#: differs by between two windows whose centres are 1.1 : 1 apart, as the first two are.
DRIFT = 10.0

#: A limit is one if no window differs from it by more than this part of it, noise apart. Where it is below
#: that part of the last gap, they must agree the better, in proportion. Else it stands for something that has
#: not died out.
SURE_LIMIT, SMALL_LIMIT = 0.3, 0.01

#: Relative error of prediction beyond which, noise apart, not even the best law says anything.
WORST_PREDICTION = 0.005

#: An extrapolated exponent is stated if its standard error is below this, and else that of the law.
SURE_EXPONENT = 1e-3

#: Largest offset of m: far beyond, it makes no difference to the law but what κ undoes.
MOST_OFFSET = 20.0

#: How far beyond its turn a gap has to be known, in ln t.
LATE = 2.5

#: The same with trained output weights, where what is left of the start falls like (D/m)² only (theory,
#: eq. 16), and the gap turns once m has grown to the size of D.
LATE_TRAINED = 4.6

#: Before this ln t nothing is settled, and a gap that still rises before that one may be about to turn.
EARLIEST, EARLIEST_RISE = math.log(1e4), math.log(1e6)

#: A gap of a trajectory counts while what rounding and the teeth of sliding neurons do to it is below this
#: part of it.
WORST_GAP_ERROR = 1e-3


# --------------------------------------------------------------------------------------------------
# Laws: C φ or limit + C φ, with a shape φ of ln t that has none, one or two numbers of its own


@dataclass(frozen=True)
class Law:
    """One law of the gap.

    Attributes
    ----------
    name : str
    shape : callable
        φ > 0, from ln t and its own numbers.
    own : tuple of str
        Their names: "shift", "exponent", "power", "offset".
    starts : callable
        From ln t, gap and whether there is a limit to guesses of these.
    bounds : callable
        From ln t to their least and their largest values.
    exponent, power : float
        Of ln t and of t as t → ∞, where they are not fitted: of ln t inf for laws in t, of t nan for others.
    constant_of : str
        What C is the constant of: laws with the same mean the same by C.
    limited : bool
    time : callable or None
        From ln t and all numbers to what stands for ln t in the law, ln t itself or m; None if the local
        exponents do not tend to that of the law like 1/ln t.
    root : bool
        Whether the law has the root of that.
    """

    name: str
    shape: Callable[..., Floats]
    own: tuple[str, ...]
    starts: Callable[[Floats, Floats, bool], Iterable[tuple[float, ...]]]
    bounds: Callable[[Floats], Sequence[Interval]]
    exponent: float
    power: float = math.nan
    constant_of: str = ""
    limited: bool = False
    time: Callable[[Floats, Mapping[str, float]], Floats] | None = lambda log_t, numbers: log_t
    root: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        return ("constant", *self.own, *(("limit",) if self.limited else ()))

    @property
    def size(self) -> int:
        return len(self.parameters)

    @property
    def in_t(self) -> bool:
        """Whether it is a law in t itself, beside which every power of ln t is nothing."""
        return math.isinf(self.exponent)

    def predict(self, log_t: Floats, numbers: Mapping[str, float]) -> Floats:
        """Return the gap at natural logarithms of steps."""
        shape = self.shape(log_t, *(numbers[name] for name in self.own))
        return np.asarray(numbers["constant"] * shape + numbers.get("limit", 0.0))

    def fit(self, log_t: Floats, gap: Floats) -> Numbers:
        """Return the numbers that make the relative deviations least squares; the limit may be negative.

        C and the limit are linear and always at their best; the search is for the numbers of the shape.
        """
        from scipy import optimize  # takes longer to load than most commands to run

        def deviations(own: Sequence[float]) -> Floats:
            away = self.predict(log_t, self._completed(log_t, gap, own)) / gap - 1
            return away if np.isfinite(away).all() else np.full_like(gap, 1e9)

        def square(own: Sequence[float]) -> float:
            return float(np.sum(deviations(own) ** 2))

        bounds = self.bounds(log_t)
        starts = [_inside(start, bounds) for start in self.starts(log_t, gap, self.limited)]
        if not starts:
            return dict.fromkeys(self.parameters, math.nan)
        best = min(starts, key=square)
        # What is exact already would only be blurred by rounding, and what is far off is no law of this gap.
        if self.own and 1e-26 < square(best) / len(gap) < 1e4:
            found = optimize.least_squares(
                deviations,
                best,
                bounds=tuple(zip(*bounds, strict=True)),
                x_scale=[max(abs(number), 1e-3) for number in best],
                **dict.fromkeys(("xtol", "ftol", "gtol"), 1e-14),
                max_nfev=60,
            )
            best = min(best, tuple(float(number) for number in found.x), key=square)
        return self._completed(log_t, gap, best)

    def _completed(self, log_t: Floats, gap: Floats, own: Sequence[float]) -> Numbers:
        """Return all numbers for those of the shape."""
        shape = self.shape(log_t, *own) / gap
        numbers = dict.fromkeys(self.parameters, math.nan) | dict(zip(self.own, own, strict=True))
        if np.isfinite(shape).all() and (shape > 0).all():
            columns = (shape, 1 / gap) if self.limited else (shape,)
            linear = ("constant", "limit") if self.limited else ("constant",)
            numbers.update(zip(linear, _solved(np.ones_like(gap), *columns), strict=True))
        return numbers

    def jacobian(self, log_t: Floats, gap: Floats, numbers: Mapping[str, float]) -> Floats:
        """Return the derivatives of the predicted gap by the `parameters`, relative to the gap."""
        steps = dict.fromkeys(("constant", "limit"), 1.0)  # the gap is linear in these
        for name, (least, _) in zip(self.own, self.bounds(log_t), strict=True):
            size = numbers[name] - least if math.isfinite(least) else abs(numbers[name])
            steps[name] = 1e-6 * max(size, 1e-3)
        columns = []
        for name in self.parameters:
            above, below = ({**numbers, name: numbers[name] + side * steps[name]} for side in (0.5, -0.5))
            change = self.predict(log_t, above) - self.predict(log_t, below)
            columns.append(change / (steps[name] * gap))
        return np.stack(columns, axis=1)


def _inside(start: Sequence[float], bounds: Sequence[Interval]) -> tuple[float, ...]:
    """Return a guess with its numbers moved to between their bounds, which solvers want strictly."""
    inside = []
    for number, (least, most) in zip(start, bounds, strict=True):
        margins = (1e-6 * max(abs(bound), 1e-3) if math.isfinite(bound) else 0.0 for bound in (least, most))
        low, high = least + next(margins), most - next(margins)
        inside.append(min(max(number, low), high))
    return tuple(inside)


def _solved(target: Floats, *columns: Floats) -> list[float]:
    """Return the least-squares coefficients of columns, scaled so that rounding treats them alike."""
    matrix = np.stack(np.broadcast_arrays(*columns), axis=1)
    scale = np.abs(matrix).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return [float(number) for number in np.linalg.lstsq(matrix / scale, target, rcond=None)[0] / scale]


def _shifts(r: Floats, gap: Floats, limited: bool) -> list[tuple[float, ...]]:
    """Guess κ of C/(r + κ); without deviations it is exact (theory, eq. 22)."""
    one = np.ones_like(r)
    if not np.isfinite(gap * r).all():
        return []
    slope, offset = _solved(one, gap * r, gap)  # 1/gap = slope r + offset
    shifts = [0.0, offset / slope if slope else 0.0]
    if limited:
        # (gap − limit)(r + κ) = C over gap·r is linear in limit, C + limit κ and κ.
        shifts.append(_solved(one, 1 / gap, 1 / (gap * r), -1 / r)[2])
    return [(shift,) for shift in shifts]


def _shift_bounds(r: Floats) -> Interval:
    """Return bounds of κ: r + κ > 0, and not so far beyond r that the run is no part of the law."""
    return -float(r[0]), float(r[-1])


def _slopes(variable: Floats, gap: Floats, limited: bool) -> list[tuple[float, ...]]:
    """Guess α of C e^(−α variable); without limit and deviations it is exact."""
    if limited:
        return [(number / float(np.ptp(variable)),) for number in (0.05, 0.2, 0.5, 1, 2, 4, 8, 16, 32)]
    return [(-_solved(np.log(gap), variable, np.ones_like(gap))[0],)]


def _named(shape: str, limited: bool) -> str:
    return f"limit + {shape}" if limited else shape


def _hyperbolic(variable: str, shifted: bool = False, limited: bool = False) -> Law:
    """Return limit + C/(r + κ), or without limit or κ, for one of the variables r below."""
    function, exponent, power, root = _VARIABLES[variable]

    def shape(log_t: Floats, shift: float = 0.0) -> Floats:
        return 1 / (function(log_t) + shift)

    return Law(
        _named(f"C/({variable} + κ)" if shifted else f"C/{variable}", limited),
        shape,
        ("shift",) if shifted else (),
        lambda log_t, gap, limited: _shifts(function(log_t), gap, limited) if shifted else [()],
        lambda log_t: [_shift_bounds(function(log_t))] if shifted else [],
        exponent=exponent,
        power=power,
        constant_of=f"C/{variable}",
        limited=limited,
        time=None if variable == "ln ln t" else lambda log_t, numbers: log_t,
        root=root,
    )


#: Variables of hyperbolas: the function of ln t, its exponents of ln t and t, whether it is a root.
_VARIABLES: dict[str, tuple[Callable[[Floats], Floats], float, float, bool]] = {
    "ln t": (lambda log_t: log_t, 1.0, math.nan, False),
    "√(ln t)": (np.sqrt, 0.5, math.nan, True),
    "ln ln t": (np.log, 0.0, math.nan, False),
    "t": (np.exp, math.inf, 1.0, False),
}


def _homogeneous(power: float, shifted: bool = False, limited: bool = False) -> Law:
    """Return the same with r = m^power, m the margin of a 2-homogeneous network at t e^offset (eq. 21)."""
    variable = {0.5: "√m", 1: "m", 3: "m^3"}[power]

    def shape(log_t: Floats, offset: float, shift: float = 0.0) -> Floats:
        return 1 / (margin(log_t + offset) ** power + shift)

    def offsets(log_t: Floats) -> Interval:
        return -float(log_t[0]) / 2, MOST_OFFSET

    def bounds(log_t: Floats) -> list[Interval]:
        # m is at least 2, and about ln t + offset at most.
        return [offsets(log_t), (-(2.0**power), float(log_t[-1] + MOST_OFFSET) ** power)][: 1 + shifted]

    def starts(log_t: Floats, gap: Floats, limited: bool) -> list[tuple[float, ...]]:
        from scipy import optimize

        def guess(offset: float) -> tuple[float, ...]:
            r = margin(log_t + offset) ** power
            return (offset, *_shifts(r, gap, limited)[-1]) if shifted else (offset,)

        def deviation(offset: float) -> float:
            numbers = law._completed(log_t, gap, _inside(guess(offset), bounds(log_t)))
            away = float(np.mean((law.predict(log_t, numbers) / gap - 1) ** 2))
            return math.log(away + 1e-32) if math.isfinite(away) else math.inf

        found = optimize.minimize_scalar(deviation, bounds=offsets(log_t), options={"xatol": 1e-9})
        return [guess(float(found.x))]

    law = Law(
        _named(f"C/({variable} + κ)" if shifted else f"C/{variable}", limited),
        shape,
        ("offset", "shift") if shifted else ("offset",),
        starts,
        bounds,
        exponent=power,
        constant_of={0.5: "C/√(ln t)", 1: "C/ln t", 3: "C/m^3"}[power],
        limited=limited,
        time=lambda log_t, numbers: margin(log_t + numbers["offset"]),
        root=power == 0.5,
    )
    return law


def margin(log_time: Floats) -> Floats:
    """Return m with ∫ e^m/m dm = e^log_time, by the integral's asymptotic series; at least 2 (eq. 21)."""
    m = np.maximum(log_time, 2.0)
    for _ in range(6):  # Newton's method, with the derivative of m − ln m
        defect = m - np.log(m) + np.log1p(1 / m + 2 / m**2 + 6 / m**3) - log_time
        m = np.maximum(m - defect / (1 - 1 / m), 2.0)
    return m


#: Bounds of an exponent: a gap is bounded by the optimal margin, and one that rises does so to a limit.
_FALLING = 0.0, math.inf


def _power_of_log(limited: bool = False) -> Law:
    return Law(
        _named("C/(ln t)^α", limited),
        lambda log_t, exponent: log_t**-exponent,
        ("exponent",),
        lambda log_t, gap, limited: _slopes(np.log(log_t), gap, limited),
        lambda _: [_FALLING],
        exponent=math.nan,
        constant_of="C/(ln t)^α",
        limited=limited,
    )


def _power_of_t(limited: bool = False) -> Law:
    return Law(
        _named("C·t^−α", limited),
        lambda log_t, power: np.exp(-power * log_t),
        ("power",),
        _slopes,
        lambda _: [_FALLING],
        exponent=math.inf,
        constant_of="C·t^−α",
        limited=limited,
    )


def _with_logarithm(name: str, shape: Callable[[Floats], Floats]) -> Law:
    """Return C times a function of ln t + κ that contains ln(ln t + κ)."""

    def starts(log_t: Floats, gap: Floats, limited: bool) -> list[tuple[float, ...]]:
        return [(part * float(log_t[0]),) for part in (-0.5, 0.0, 0.5)]

    return Law(
        name,
        lambda log_t, shift: shape(log_t + shift),
        ("shift",),
        starts,
        lambda log_t: [(math.e - float(log_t[0]), float(log_t[-1]))],  # both fall from e on
        exponent=1.0,
        constant_of=name,
        time=None,
    )


#: All laws, C/√(ln t) for instance; of equally simple ones that are as good the first is chosen. Those in m
#: are for trained output weights, where m = ln t + ln ln t + …, and those in t for other optimizers. Those
#: with ln ln t keep the others from reading a limit into a slow logarithm.
LAWS = (
    _hyperbolic("ln t"),
    _hyperbolic("√(ln t)"),
    Law(
        "C/(t ln t)",
        lambda log_t: np.exp(-log_t) / log_t,
        (),
        lambda *_: [()],
        lambda _: [],
        exponent=math.inf,
        power=1.0,
        constant_of="C/(t ln t)",
    ),
    _hyperbolic("ln t", shifted=True),
    _hyperbolic("ln t", limited=True),
    _hyperbolic("√(ln t)", shifted=True),
    _homogeneous(1),
    _power_of_log(),
    _power_of_t(),
    _hyperbolic("t", shifted=True),
    _homogeneous(3),
    _with_logarithm("C ln(ln t + κ)/(ln t + κ)", lambda r: np.log(r) / r),
    _with_logarithm("C/((ln t + κ) ln(ln t + κ))", lambda r: 1 / (r * np.log(r))),
    _hyperbolic("ln ln t", shifted=True),
    _hyperbolic("ln t", shifted=True, limited=True),
    _hyperbolic("√(ln t)", shifted=True, limited=True),
    _homogeneous(0.5, shifted=True),
    _power_of_log(limited=True),
    _power_of_t(limited=True),
    _homogeneous(0.5, shifted=True, limited=True),
)

_BY_NAME = {law.name: law for law in LAWS}


def _without_limit(law: Law) -> Law:
    return _BY_NAME[law.name.removeprefix("limit + ")]


# --------------------------------------------------------------------------------------------------
# What fit_rate gives back


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
            return np.asarray(_BY_NAME[self.law].predict(log_t, self.best.numbers))

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
        for name, meaning in _MEANINGS.items():
            value, (least, most) = getattr(self, name), self.intervals[name]
            # Every power of ln t is nothing beside one of t.
            if not (math.isnan(value) or (name == "exponent" and least == math.inf)):
                lines.append(f"    {name:<12} {value:.12g}  ({least:.12g} to {most:.12g}){meaning}")
        lines += [
            f"[[Laws]] fitted for ln t from {LEARNT[0]:g} to {LEARNT[1]:g} of the last, "
            f"compared by their relative error from {PREDICTED[0]:g} on",
            f"    {'law':<29}{'prediction':>12}  numbers",
        ]
        for fit in self.fits:
            numbers = ", ".join(f"{name} {value:.6g}" for name, value in fit.numbers.items())
            mark = "*" if fit.law == self.law else "+" if fit.law in self.alternatives else " "
            lines.append(f"  {mark} {fit.law:<29}{fit.prediction_error:>12.2e}  {numbers}")
        return "\n".join(lines)

    def _late_powers(self) -> str:
        """Say how the gap falls where the laws predict, by straight lines in logarithms."""
        log_t, gap = _window(self.log_t, self.gap, PREDICTED)
        powers = [-_solved(np.log(gap), x - x.mean(), np.ones_like(x))[0] for x in (np.log(log_t), log_t)]
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


# --------------------------------------------------------------------------------------------------
# Fitting


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
    log_t, gap, lost = _samples(trajectory_or_log_t, gap)
    zeros = int(np.sum(gap == 0))
    used = (log_t > 0) & (gap > 0) & ~lost
    n_lost = int(np.sum(lost & (gap > 0)))
    log_t, gap = log_t[used], gap[used]
    trained = isinstance(trajectory_or_log_t, Trajectory) and trajectory_or_log_t.problem.train_output
    _check_late_enough(log_t, gap, zeros, n_lost, LATE_TRAINED if trained else LATE)
    with np.errstate(all="ignore"):
        fits = _Fits(log_t, gap)
        compared, noise = _all_compared(fits)
        choice = _Choice(fits, *_chosen(compared, noise, float(log_t[-1])), noise)
        law, numbers = choice.chosen.law.name, choice.chosen.stated.numbers
        exponent, exponents = choice.exponent()
        power, powers = choice.power()
        intervals = {name: choice.interval(name) for name in ("constant", "shift", "limit")}
        local_exponents = _local_exponents(log_t, gap - numbers.get("limit", 0.0))
    local_exponents.flags.writeable = False
    laws = {one.law.name: one.described() for one in sorted(compared, key=lambda one: one.prediction_error)}
    # With the limit 0 a law is the same without one.
    others = {one.law.name for one in choice.laws if one.stated.numbers.get("limit") != 0}
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
        noise=noise,
        fits=tuple(laws.values()),
        log_t=log_t,
        gap=gap,
        local_exponents=local_exponents,
        n_zeros=zeros,
        n_lost=n_lost,
    )


def _window(log_t: Floats, gap: Floats, window: Window) -> tuple[Floats, Floats]:
    """Return the samples of a window, evenly thinned if they are many."""
    within = np.flatnonzero((log_t >= window[0] * log_t[-1]) & (log_t <= window[1] * log_t[-1]))
    if len(within) > MOST_SAMPLES:
        within = within[np.linspace(0, len(within) - 1, MOST_SAMPLES).round().astype(np.intp)]
    return log_t[within], gap[within]


def _usable(log_t: Floats) -> list[Window]:
    """Return the windows that have enough samples, the one of the stated numbers first."""
    return [window for window in WINDOWS if len(_window(log_t, log_t, window)[0]) >= LEAST_SAMPLES]


# --------------------------------------------------------------------------------------------------
# One law in one window


@dataclass(frozen=True, eq=False)
class _Fitted:
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
        return _root_mean_square(self.deviations)

    @property
    def scatter(self) -> float:
        """The deviation that is to be expected where nothing is fitted."""
        n = len(self.deviations)
        return self.deviation * math.sqrt(n / max(n - self.law.size, 1))

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


class _Fits:
    """The fits of laws to one gap, in any window, each made once."""

    def __init__(self, log_t: Floats, gap: Floats) -> None:
        self.log_t, self.gap = log_t, gap
        self._made: dict[tuple[str, Window], _Fitted] = {}

    def __call__(self, law: Law, window: Window) -> _Fitted:
        key = law.name, window
        if key not in self._made:
            self._made[key] = self._fitted(law, window)
        return self._made[key]

    def _fitted(self, law: Law, window: Window) -> _Fitted:
        log_t, gap = _window(self.log_t, self.gap, window)
        numbers = law.fit(log_t, gap)
        covariance = _covariance(law.jacobian(log_t, gap, numbers))
        predicted = law.predict(log_t, numbers)
        limit = numbers.get("limit", math.nan)
        fitted = _Fitted(law, numbers, covariance, predicted / gap - 1, limit, float(predicted[-1]))
        # Least squares within the bound: if they are least at a negative limit, they grow from there to 0.
        return self.without_limit(fitted, window) if limit < 0 else fitted

    def without_limit(self, fitted: _Fitted, window: Window) -> _Fitted:
        """Return the fit with the limit 0."""
        plain = self(_without_limit(fitted.law), window)
        return replace(
            fitted, numbers={**plain.numbers, "limit": 0.0}, deviations=plain.deviations, end=plain.end
        )


def _covariance(jacobian: Floats) -> Floats:
    """Return the covariance of the parameters for noise of relative size 1; inf if there is no such fit."""
    size = jacobian.shape[1]
    if not np.isfinite(jacobian).all():
        return np.full((size, size), math.inf)
    scale = np.abs(jacobian).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    _, sizes, directions = np.linalg.svd(jacobian / scale, full_matrices=False)
    return np.asarray((directions.T / np.maximum(sizes, 1e-100) ** 2) @ directions / np.outer(scale, scale))


def _root_mean_square(deviations: Floats) -> float:
    size = float(np.sqrt(np.mean(deviations**2)))
    return size if math.isfinite(size) else math.inf


def _noise(fitted: _Fitted) -> float:
    """Return the relative size of white noise.

    It is 0 if it is rounding, or so small beside the deviations that these are smooth, and it is what second
    differences leave of them.
    """
    n = len(fitted.deviations)
    size = _scatter(fitted.deviations) * math.sqrt(n / max(n - fitted.law.size, 1))
    return size if size > max(ROUNDING, SMOOTH * fitted.scatter) else 0.0


# --------------------------------------------------------------------------------------------------
# Laws beside each other


@dataclass(frozen=True, eq=False)
class _Compared:
    """One law as it is stated, and what it predicts.

    Attributes
    ----------
    stated : _Fitted
        In the first of the windows.
    prediction_error : float
        Root mean square of the relative error in the later window, for the law fitted in the earlier one.
    prediction_noise : float
        What it is to be expected for noise of relative size 1.
    """

    stated: _Fitted
    prediction_error: float
    prediction_noise: float

    @property
    def law(self) -> Law:
        return self.stated.law

    def described(self) -> LawFit:
        stated = self.stated
        return LawFit(self.law.name, self.law.size, stated.numbers, stated.deviation, self.prediction_error)


def _compared(stated: _Fitted, learnt: _Fitted, log_t: Floats, gap: Floats) -> _Compared:
    later = _window(log_t, gap, PREDICTED)
    deviations = learnt.law.predict(later[0], learnt.numbers) / later[1] - 1
    jacobian = learnt.law.jacobian(*later, learnt.numbers)
    # Noise in the later window, and that of the numbers, which comes from the earlier one.
    variance = 1 + float(np.mean(np.einsum("ni,ij,nj->n", jacobian, learnt.covariance, jacobian)))
    return _Compared(
        stated, _root_mean_square(deviations), math.sqrt(variance) if variance >= 1 else math.inf
    )


def _all_compared(fits: _Fits) -> tuple[list[_Compared], float]:
    """Return all laws, and the noise; limits that are none are 0."""
    stated = [fits(law, WINDOWS[0]) for law in LAWS]
    learnt = [fits(law, LEARNT) for law in LAWS]
    noise = _noise(_closest(stated))
    for place, fitted in enumerate(stated):
        if fitted.free_limit > 0 and not _has_limit(fits, fitted, noise):
            stated[place] = replace(fits.without_limit(fitted, WINDOWS[0]), free_limit=0.0)
        if stated[place].numbers.get("limit") == 0:
            learnt[place] = fits.without_limit(learnt[place], LEARNT)
    pairs = zip(stated, learnt, strict=True)
    return [_compared(*pair, fits.log_t, fits.gap) for pair in pairs], _noise(_closest(stated))


def _closest(stated: Iterable[_Fitted]) -> _Fitted:
    return min(stated, key=lambda fitted: fitted.scatter)


def _has_limit(fits: _Fits, stated: _Fitted, noise: float) -> bool:
    """Tell whether all windows agree about the limit of a law."""
    limit = stated.numbers["limit"]
    sure = SURE_LIMIT * limit * min(1.0, limit / (SMALL_LIMIT * fits.gap[-1]))
    for window in _usable(fits.log_t)[1:]:
        other = fits(stated.law, window)
        by_noise = noise * math.hypot(other.sensitivity("limit"), stated.sensitivity("limit"))
        if not abs(other.numbers["limit"] - limit) <= sure + STANDARD_ERRORS * by_noise:
            return False
    return True


def _chosen(compared: list[_Compared], noise: float, log_t_end: float) -> tuple[_Compared, list[_Compared]]:
    """Return the simplest law of those that are as good as the best one, and all that are not excluded."""
    fitting = _fitting(compared, noise)
    best = min(fitting, key=lambda one: one.prediction_error)

    def by_noise(one: _Compared) -> float:
        return NOISE_FACTOR * noise * one.prediction_noise if noise else 0.0

    def errs_by_at_most(one: _Compared, *errors: float) -> bool:
        return one.prediction_error <= max(errors)

    as_good = [
        one
        for one in fitting
        if errs_by_at_most(one, AS_GOOD * best.prediction_error, ROUNDING)
        and errs_by_at_most(one, WORST_PREDICTION, by_noise(one))
    ]
    if not as_good:
        raise ArgumentValueError(
            "gap",
            Verbatim(f"values that the best law, {best.law.name}, misses by {_worst(best)}"),
            f"a gap that a law fitted for ln t < {LEARNT[1] * log_t_end:.6g} predicts further on",
            "Run longer, so that the motion settles.",
        )
    simplest = min(as_good, key=lambda one: one.law.size)
    return simplest, [
        one
        for one in fitting
        if errs_by_at_most(one, NOT_EXCLUDED * best.prediction_error, ROUNDING, by_noise(one))
        and one.law.size <= simplest.law.size + MOST_EXTRA
    ]


def _fitting(compared: list[_Compared], noise: float) -> list[_Compared]:
    """Return the laws that noise does not tell from the closest one in the window where they are stated."""
    if not noise:
        return compared
    closest = _closest(one.stated for one in compared)
    least = closest.deviation**2
    # Deviations of the closest law that are not all noise say the less of the others.
    more = WORSE_BY / len(closest.deviations) * max(least, least**2 / noise**2)
    return [one for one in compared if one.stated.deviation**2 <= least + more]


def _worst(one: _Compared) -> str:
    error = one.prediction_error
    return f"{error:.1%}" if math.isfinite(error) else "any amount"


# --------------------------------------------------------------------------------------------------
# Numbers and their intervals


@dataclass(frozen=True, eq=False)
class _Choice:
    """The law that is chosen, and what is to be stated of it.

    Attributes
    ----------
    fits : _Fits
    chosen : _Compared
    laws : list of _Compared
        All laws that are not excluded, this one among them.
    noise : float
    """

    fits: _Fits
    chosen: _Compared
    laws: list[_Compared]
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
        if name == "shift" and "shift" not in law.own and all(one == (0.0, 0.0) for one in intervals):
            return math.nan, math.nan  # not even another law has one
        return _hull(intervals)

    def _means_the_same(self, law: Law, name: str) -> bool:
        if name == "shift" and "offset" in law.own + self.chosen.law.own:
            return False  # beside an offset κ is another number
        return name == "limit" or law.constant_of == self.chosen.law.constant_of

    def exponent(self) -> tuple[float, Interval]:
        """Return the exponent of ln t, and its interval.

        It is what the local exponents tend to, as far as noise lets them be told, and else that of the law.
        """
        stated, law = self.chosen.stated, self.chosen.law
        of_law = stated.numbers.get("exponent", law.exponent)
        of_laws = [self._of_law(one, "exponent") for one in self.laws]
        if law.time is None:
            return of_law, _hull(of_laws)
        (value, error), *others = (
            _extrapolated(self.fits, stated, window) for window in _usable(self.fits.log_t)
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
        return self.chosen.stated.numbers.get("power", law.power), _hull(intervals)

    def _of_law(self, one: _Compared, name: str) -> Interval:
        """Return the interval of an exponent by one law; most laws know it."""
        if name not in one.law.own:
            value: float = getattr(one.law, name)
            return value, value
        return self._of_chosen(name) if one is self.chosen else self._by_noise(one.stated, name)

    def _by_noise(self, stated: _Fitted, name: str, away: float = 0.0) -> Interval:
        """Return what noise leaves open of a number, and as much more on either side as is to be added."""
        value, error = stated.numbers[name], STANDARD_ERRORS * stated.error(name)
        if name == "limit" and value == 0:  # at its bound, beyond which it would be without
            error = STANDARD_ERRORS * self.noise * stated.sensitivity(name) if self.noise else 0.0
            value = stated.free_limit
        least, most = self._possible(stated, name)
        low, high = max(value - error - away, least), min(value + error + away, most)
        # Noise may have put the value itself beyond what is possible.
        return min(low, stated.numbers[name]), max(high, stated.numbers[name])

    def _possible(self, stated: _Fitted, name: str) -> Interval:
        """Return the bounds of a number: exponents are >= 0, a limit is below what falls to it."""
        if name in ("constant", "shift", "offset"):
            return -math.inf, math.inf
        if name != "limit":
            return _FALLING
        by_noise = STANDARD_ERRORS * self.noise * stated.end
        if stated.numbers["constant"] > 0:
            return 0.0, stated.end + by_noise
        return max(stated.end - by_noise, 0.0), math.inf

    def _of_chosen(self, name: str) -> Interval:
        """Return the same for the law that is chosen, with what differs between windows beyond noise."""
        stated = self.chosen.stated
        others = [self.fits(stated.law, window) for window in _usable(self.fits.log_t)[1:]]
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


def _local_exponents(time: Floats, gap: Floats) -> Floats:
    """Return −d ln gap/d ln time, through the derivative of 1/gap, which is constant for C/(time + κ)."""
    return np.asarray(time * gap * np.gradient(1 / gap, time, edge_order=2))


def _extrapolated(fits: _Fits, stated: _Fitted, window: Window) -> tuple[float, float]:
    """Return the local exponent as ln t → ∞, and its standard error.

    Its reciprocal is 1 + κ/ln t for C/(ln t + κ), and 2 + 2κ/√(ln t) for C/(√(ln t) + κ) (theory, eq. 23); if
    the law is one in m, which grows like ln t, it is followed in m.
    """
    assert stated.law.time is not None
    time = stated.law.time(fits.log_t, stated.numbers)
    exponents = _local_exponents(time, fits.gap - stated.numbers.get("limit", 0.0))
    within = np.isin(fits.log_t, _window(fits.log_t, fits.gap, window)[0])
    there, target = time[within], 1 / exponents[within]
    terms = (np.ones_like(there), 1 / there, *((1 / np.sqrt(there),) if stated.law.root else ()))
    if not np.isfinite(target).all():
        return math.nan, math.inf
    numbers = _solved(target, *terms)
    away = target - np.stack(terms, axis=1) @ numbers
    spread = float(np.sum(away**2)) / max(len(away) - len(terms), 1)
    variance = spread * _covariance(np.stack(terms, axis=1))[0, 0]
    # The exponent is the reciprocal of what is extrapolated.
    return 1 / numbers[0], math.sqrt(variance) / numbers[0] ** 2


# --------------------------------------------------------------------------------------------------
# What is refused


def _samples(
    trajectory_or_log_t: Trajectory | ArrayLike, gap: ArrayLike | None
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return copies of ln t and gap, and which gaps are lost in their own error."""
    if isinstance(trajectory_or_log_t, Trajectory):
        traj = trajectory_or_log_t
        if gap is not None:
            raise ArgumentTypeError(
                "gap", gap, "nothing beside a trajectory", "Write fit_rate(traj) or fit_rate(log_t, gap)."
            )
        if traj.problem.y[0] == traj.problem.y[1]:
            raise ArgumentValueError(
                "trajectory", Verbatim("equal labels"), "opposite labels", "Equal ones have no gap."
            )
        log_t, gap = traj.log_t.copy(), traj.gap.copy()
        # The rest of the error, a bound that is carried on from the steps at which leaps began, is hardly
        # more than a shift of time, which does not blur a law.
        lost = ~(traj.gap_noise <= WORST_GAP_ERROR * gap)
    else:
        if gap is None:
            raise ArgumentTypeError("gap", gap, "the gap at every log_t", "Write fit_rate(log_t, gap).")
        log_t, gap = _array("log_t", trajectory_or_log_t), _array("gap", gap)
        lost = np.zeros(gap.shape, bool)
    if log_t.shape != gap.shape:
        shapes = Verbatim(f"shapes {log_t.shape} and {gap.shape}")
        raise ArgumentValueError("gap", shapes, "one gap for every log_t", "Give arrays of equal length.")
    if np.isnan(log_t).any() or np.isposinf(log_t).any() or np.any(log_t[1:] <= log_t[:-1]):
        raise ArgumentValueError(
            "log_t",
            Verbatim("logarithms that are nan, inf or not increasing"),
            "increasing natural logarithms of steps",
            "Sort them and remove repetitions and gaps in the record.",
        )
    if not np.isfinite(gap).all() or np.any(gap < 0):
        raise ArgumentValueError(
            "gap",
            Verbatim(f"{int(np.sum(~(np.isfinite(gap) & (gap >= 0)))):,} that are nan, inf or negative"),
            "numbers >= 0",
            "Leave these samples out; a diverged run has no rate.",
        )
    return log_t, gap, lost


def _array(argument: str, value: ArrayLike) -> Floats:
    """Return a fresh vector of floats, or refuse."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        got = Verbatim(f"dtype {array.dtype}, shape {array.shape}")
        raise ArgumentTypeError(argument, got, "a vector of real numbers", "Give one number per sample.")
    return np.array(array, dtype=np.float64)


def _is_level(log_t: Floats, gap: Floats) -> bool:
    """Tell whether a gap stays where it is but for rounding or noise."""
    from scipy import stats

    gap = gap / gap.max()
    if np.ptp(gap) <= ROUNDING:
        return True
    return bool(np.std(gap) < 1.5 * _scatter(gap) and stats.linregress(log_t, gap).pvalue > 0.01)


def _scatter(values: Floats) -> float:
    """Return the standard deviation of white noise, by second differences: they have 6 times its variance."""
    return math.sqrt(float(np.mean(np.diff(values, 2) ** 2)) / 6)


def _top(log_t: Floats, gap: Floats) -> int:
    """Return the place of the largest gap, the last one if noise may have made another one the largest."""
    top = int(np.argmax(gap))
    late = _window(log_t, gap, (LEARNT[0], 1.0))[1] / gap[top]
    # Noise turns at two of three samples, what is smooth at hardly any.
    turns = np.count_nonzero(np.diff(np.sign(np.diff(late))))
    noise = _scatter(late) if turns > len(late) / 3 else 0.0
    return top if late[-1] < 1 - 6 * noise else len(gap) - 1


def _check_late_enough(log_t: Floats, gap: Floats, zeros: int, lost: int, after_turn: float) -> None:
    """Refuse what would be fitted wrongly."""

    def too_early(got: str, expected: str, fix: str) -> ValueError:
        return ArgumentValueError("gap", Verbatim(got), expected, fix)

    left_out = f" ({zeros:,} gaps are 0, {lost:,} are lost in their own error)" if zeros or lost else ""
    if not len(gap) or log_t[-1] < EARLIEST:
        end = f"usable samples up to ln t = {log_t[-1]:.4g}" if len(gap) else "no usable sample"
        raise too_early(
            end + left_out,
            f"samples up to ln t = {EARLIEST:.4g} (10^4 steps) at least",
            "Run longer: the margin first falls, and fits to that are wrong.",
        )
    few = [w for w in (LEARNT, PREDICTED) if len(_window(log_t, gap, w)[0]) < LEAST_SAMPLES]
    if few:
        raise too_early(
            f"{len(gap):,} usable samples{left_out}",
            f"{LEAST_SAMPLES} at least for ln t in each of {LEARNT} and {PREDICTED} of the last",
            "Sample more densely (samples_per_decade) or run longer.",
        )
    late = _window(log_t, gap, (LEARNT[0], 1.0))
    if _is_level(*late):
        raise too_early(
            f"a gap that stays at {np.median(late[1]):.6g} within {np.ptp(late[1]):.1g}",
            "one that changes, by more than noise",
            "Nothing converges; see twonn.asymptote.",
        )
    top = _top(log_t, gap)
    if gap[-1] >= gap[0] and top == len(gap) - 1 and log_t[-1] < EARLIEST_RISE:
        raise too_early(
            f"a gap that rises up to ln t = {log_t[-1]:.4g}",
            "one that has turned, or rises beyond 10^6 steps",
            "Run longer: the margin first falls, and only then recovers.",
        )
    if top < len(gap) - 1 and log_t[-1] < after_turn * log_t[top]:
        raise too_early(
            f"a gap that turned at ln t = {log_t[top]:.4g} only, and ends at {log_t[-1]:.4g}",
            f"an end of {after_turn:g} times the ln t of the turn at least",
            f"Run to 10^{after_turn * log_t[top] / math.log(10):.1f} steps or further: "
            "soon after the turn fits are wrong.",
        )
