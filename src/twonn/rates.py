"""Which law a gap follows in ln t: fits, local exponents, and comparison by prediction.

The data are deterministic and strongly correlated, so that statistics of independent noise would mean
nothing. Laws are compared by what they predict outside of the window they were fitted in, and what is stated
as uncertainty is how much a number depends on that window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn import geometry
from twonn.problem import Verbatim, refusal
from twonn.trajectory import Trajectory, required
from twonn.values import Value

if TYPE_CHECKING:
    import pandas

Floats = NDArray[np.float64]
Window = tuple[float, float]

#: Windows, as parts of the last ln t: what is stated is fitted in the first, and its interval is what the
#: others make of it.
WINDOWS: tuple[Window, ...] = ((0.75, 1.0), (0.6, 1.0), (2 / 3, 1.0), (0.85, 1.0), (2 / 3, 0.9))

#: Laws are fitted in the one and compared by what they predict in the other.
LEARNT: Window = (0.7, 0.85)
PREDICTED: Window = (0.85, 1.0)

#: Fewest samples of a window that anything is fitted to, and most that are used, evenly chosen.
LEAST_SAMPLES, MOST_SAMPLES = 6, 120

#: A law is as good as the best one if its error of prediction is within this factor of it, or is rounding.
AS_GOOD, ROUNDING = 10.0, 1e-12

#: A limit is one if it is not below this part of the last gap, and depends on the window by no more than that
#: part of itself.
SMALLEST_LIMIT, SURE_LIMIT = 0.01, 0.3

#: Relative error of prediction beyond which not even the best law says anything.
WORST_PREDICTION = 0.005

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
# Laws: each is a linear least-squares problem in relative deviations, those in m but for one number

Numbers = dict[str, float]


@dataclass(frozen=True)
class Law:
    """One law of the gap.

    Attributes
    ----------
    name : str
    size : int
        Number of free parameters.
    fit : callable
        From ln t and gap to its numbers by name: "constant", "shift", "exponent", "limit", "offset".
    predict : callable
        From ln t and these to the gap.
    time : callable
        From ln t and these to what stands for ln t in the law, ln t itself or m.
    root : bool
        Whether the law has the root of that.
    """

    name: str
    size: int
    fit: Callable[[Floats, Floats], Numbers]
    predict: Callable[[Floats, Numbers], Floats]
    time: Callable[[Floats, Numbers], Floats] = lambda log_t, numbers: log_t
    root: bool = False


def _solved(target: Floats, *columns: Floats) -> list[float]:
    """Return the least-squares coefficients of columns, scaled so that rounding treats them alike."""
    matrix = np.stack(np.broadcast_arrays(*columns), axis=1)
    scale = np.abs(matrix).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return [float(number) for number in np.linalg.lstsq(matrix / scale, target, rcond=None)[0] / scale]


def _fit_hyperbola(r: Floats, gap: Floats, shifted: bool, limited: bool) -> Numbers:
    """Fit limit + C/(r + κ), or without limit or κ, so that deviations are relative ones (theory, eq. 22)."""
    one = np.ones_like(r)
    if shifted and limited:
        # (gap − limit)(r + κ) = C over gap·r is linear in limit, C + limit κ and κ.
        limit, combined, shift = _solved(one, 1 / gap, 1 / (gap * r), -1 / r)
        return {"constant": combined - limit * shift, "shift": shift, "limit": limit}
    if limited:
        limit, constant = _solved(one, 1 / gap, 1 / (gap * r))
        return {"constant": constant, "limit": limit}
    if shifted:
        slope, offset = _solved(one, gap * r, gap)  # 1/gap = slope r + offset
        return {"constant": 1 / slope, "shift": offset / slope} if slope else {"constant": math.inf}
    return {"constant": 1 / _solved(one, gap * r)[0]}


def _hyperbola(r: Floats, numbers: Numbers) -> Floats:
    return numbers.get("limit", 0.0) + numbers["constant"] / (r + numbers.get("shift", 0.0))


def _hyperbolic(root: bool, shifted: bool, limited: bool) -> Law:
    """Return limit + C/(r + κ), or without limit or κ, with r = ln t or √(ln t)."""

    def r(log_t: Floats) -> Floats:
        return np.sqrt(log_t) if root else log_t

    return Law(
        _name("√(ln t)" if root else "ln t", shifted, limited),
        1 + shifted + limited,
        lambda log_t, gap: _fit_hyperbola(r(log_t), gap, shifted, limited),
        lambda log_t, numbers: _hyperbola(r(log_t), numbers),
        root=root,
    )


def _homogeneous(power: float, shifted: bool, limited: bool) -> Law:
    """Return the same with r = m^power, m the margin of a 2-homogeneous network at t e^offset (eq. 21)."""

    def r(log_t: Floats, offset: float) -> Floats:
        return margin(log_t + offset) ** power

    def fit(log_t: Floats, gap: Floats) -> Numbers:
        def deviation(offset: float) -> float:
            there = r(log_t, offset)
            fitted = _hyperbola(there, _fit_hyperbola(there, gap, shifted, limited))
            return float(np.log(np.mean((fitted / gap - 1) ** 2) + 1e-32))

        from scipy import optimize  # takes longer to load than most commands to run

        bounds = (-float(log_t[0]) / 2, 20.0)
        offset = float(optimize.minimize_scalar(deviation, bounds=bounds, options={"xatol": 1e-9}).x)
        return {**_fit_hyperbola(r(log_t, offset), gap, shifted, limited), "offset": offset}

    return Law(
        _name({0.5: "√m", 1: "m", 3: "m^3"}[power], shifted, limited),
        2 + shifted + limited,
        fit,
        lambda log_t, numbers: _hyperbola(r(log_t, numbers["offset"]), numbers),
        lambda log_t, numbers: margin(log_t + numbers["offset"]),
        power == 0.5,
    )


def _name(variable: str, shifted: bool, limited: bool) -> str:
    fraction = f"C/({variable} + κ)" if shifted else f"C/{variable}"
    return f"limit + {fraction}" if limited else fraction


def margin(log_time: Floats) -> Floats:
    """Return m with ∫ e^m/m dm = e^log_time, by the integral's asymptotic series; at least 2 (eq. 21)."""
    m = np.maximum(log_time, 2.0)
    for _ in range(6):  # Newton's method, with the derivative of m − ln m
        defect = m - np.log(m) + np.log1p(1 / m + 2 / m**2 + 6 / m**3) - log_time
        m = np.maximum(m - defect / (1 - 1 / m), 2.0)
    return m


def _fit_power(variable: Floats, gap: Floats) -> Numbers:
    slope, offset = _solved(np.log(gap), variable, np.ones_like(gap))
    return {"constant": float(np.exp(offset)), "exponent": -slope}


#: All laws, C/√(ln t) for instance; those in m are for trained output weights, where m = ln t + ln ln t + …
LAWS = (
    _hyperbolic(root=False, shifted=False, limited=False),
    _hyperbolic(root=True, shifted=False, limited=False),
    Law(
        "C/(t ln t)",
        1,
        lambda log_t, gap: {"constant": float(np.exp(np.mean(np.log(gap) + log_t + np.log(log_t))))},
        lambda log_t, numbers: numbers["constant"] * np.exp(-log_t) / log_t,
    ),
    _hyperbolic(root=False, shifted=True, limited=False),
    _hyperbolic(root=True, shifted=True, limited=False),
    Law(
        "C/(ln t)^α",
        2,
        lambda log_t, gap: _fit_power(np.log(log_t), gap),
        lambda log_t, numbers: numbers["constant"] * log_t ** -numbers["exponent"],
    ),
    Law(
        "C·t^−α",
        2,
        _fit_power,
        lambda log_t, numbers: numbers["constant"] * np.exp(-numbers["exponent"] * log_t),
    ),
    _hyperbolic(root=False, shifted=False, limited=True),
    _hyperbolic(root=False, shifted=True, limited=True),
    _hyperbolic(root=True, shifted=True, limited=True),
    _homogeneous(1, shifted=False, limited=False),
    _homogeneous(3, shifted=False, limited=False),
    _homogeneous(0.5, shifted=True, limited=False),
    _homogeneous(0.5, shifted=True, limited=True),
)

#: Laws in t itself, beside which every power of ln t is nothing.
_IN_T = ("C/(t ln t)", "C·t^−α")


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
        Its "constant", "shift", "exponent", "limit", "offset", as far as it has them.
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


@dataclass(frozen=True, eq=False, repr=False)
class RateFit(Value):
    """Which law a gap follows, and with which numbers.

    Attributes
    ----------
    law : str
        Name of the simplest law among those that predict as well as the best one.
    best : LawFit
        That law, fitted.
    exponent : float
        Of ln t: the local exponents extrapolated to ln t → ∞; inf for laws in t itself. If the law has a
        limit, of gap − limit.
    constant, shift, limit : float
        C, κ and limit of the law; nan where it has no C or κ, 0 where it has no limit.
    intervals : mapping
        For each of "exponent", "constant", "shift" and "limit" its value give or take the largest difference
        that another window makes. This is no confidence interval: there is no noise.
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
    exponent: float
    constant: float
    shift: float
    limit: float
    intervals: Mapping[str, tuple[float, float]]
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
            raise ValueError(refusal("log_t_from", log_t_from, expected, "Choose an earlier step."))
        scaled = self.gap[late] * self.log_t[late]
        return float(scaled.min()), float(scaled.max())

    def predict(self, log_t: ArrayLike) -> Floats:
        """Return the gap that the law gives at natural logarithms of steps."""
        log_t = np.asarray(log_t, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.asarray(_BY_NAME[self.law].predict(log_t, dict(self.best.numbers)))

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
            }
            for fit in self.fits
        ]
        frame: pandas.DataFrame = required("pandas", "RateFit.table").DataFrame(rows)
        return frame

    def report(self) -> str:
        """Return all there is to say, for people."""
        low, high = self.envelope()
        lines = [
            "[[Rate]]",
            f"    law          {self.law}",
            f"    samples      {len(self.gap):,} from ln t = {self.log_t[0]:.6g} to {self.log_t[-1]:.6g}; "
            f"left out: {self.n_zeros:,} with gap 0, {self.n_lost:,} lost in their own error",
            f"    gap·ln t     from {low:.6g} to {high:.6g} since ln t = {self.log_t[-1] / 2:.6g}",
            f"    last exponent −d ln gap/d ln ln t = {self.local_exponents[-1]:.6g}",
            "[[Numbers]] (give or take what another window makes of them)",
        ]
        for name in ("exponent", "constant", "shift", "limit"):
            value, (least, most) = getattr(self, name), self.intervals[name]
            if not math.isnan(value):
                lines.append(f"    {name:<12} {value:.12g}  ({least:.12g} to {most:.12g})")
        lines += [
            f"[[Laws]] fitted for ln t from {LEARNT[0]:g} to {LEARNT[1]:g} of the last, "
            f"compared by their relative error from {PREDICTED[0]:g} on",
            f"    {'law':<26}{'prediction':>12}  numbers",
        ]
        for fit in self.fits:
            numbers = ", ".join(f"{name} {value:.6g}" for name, value in fit.numbers.items())
            mark = "*" if fit.law == self.law else " "
            lines.append(f"  {mark} {fit.law:<26}{fit.prediction_error:>12.2e}  {numbers}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.report()


_COLUMNS = ("constant", "shift", "exponent", "limit", "offset")
_BY_NAME = {law.name: law for law in LAWS}


# --------------------------------------------------------------------------------------------------
# Fitting


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
        fits = sorted((_compared(law, log_t, gap) for law in LAWS), key=lambda fit: fit.prediction_error)
        if not fits[0].prediction_error <= WORST_PREDICTION:
            raise ValueError(
                refusal(
                    "gap",
                    Verbatim(f"values that the best law, {fits[0].law}, misses by {_worst(fits[0])}"),
                    f"a gap that a law fitted for ln t < {LEARNT[1] * log_t[-1]:.6g} predicts further on",
                    "Run longer, so that the motion settles.",
                )
            )
        best = _simplest(fits, log_t, gap)
        limit = best.numbers.get("limit", 0.0)
        numbers = [_BY_NAME[best.law].fit(*_window(log_t, gap, window)) for window in _usable(log_t)]
        exponents = _local_exponents(log_t, gap - limit)
        extrapolated = [_extrapolated(log_t, gap - limit, best, window) for window in _usable(log_t)]
        if best.law in _IN_T:
            extrapolated = [math.inf] * len(extrapolated)
    stated = {
        "exponent": extrapolated,
        "constant": [one.get("constant", math.nan) for one in numbers],
        "shift": [one.get("shift", math.nan) for one in numbers],
        "limit": [one.get("limit", 0.0) for one in numbers],
    }
    return RateFit(
        law=best.law,
        best=best,
        **{name: values[0] for name, values in stated.items()},
        intervals={name: _interval(values) for name, values in stated.items()},
        fits=tuple(fits),
        log_t=log_t,
        gap=gap,
        local_exponents=exponents,
        n_zeros=zeros,
        n_lost=n_lost,
    )


def _interval(values: list[float]) -> tuple[float, float]:
    """Return the first value give or take what the others are off by: errors all have the same sign."""
    if math.isinf(values[0]):
        return values[0], values[0]
    spread = max(abs(value - values[0]) for value in values)
    return values[0] - spread, values[0] + spread


def _worst(fit: LawFit) -> str:
    return f"{fit.prediction_error:.1%}" if math.isfinite(fit.prediction_error) else "any amount"


def _compared(law: Law, log_t: Floats, gap: Floats) -> LawFit:
    """Fit a law where numbers are stated, and where it has to predict what comes later."""

    def deviation(numbers: Numbers, there: Floats, true: Floats) -> float:
        error = float(np.sqrt(np.mean((law.predict(there, numbers) / true - 1) ** 2)))
        return error if math.isfinite(error) else math.inf

    here, later = _window(log_t, gap, WINDOWS[0]), _window(log_t, gap, PREDICTED)
    numbers = law.fit(*here)
    learnt = law.fit(*_window(log_t, gap, LEARNT))
    return LawFit(law.name, law.size, numbers, deviation(numbers, *here), deviation(learnt, *later))


def _simplest(fits: list[LawFit], log_t: Floats, gap: Floats) -> LawFit:
    """Return the law with the fewest parameters of those that are as good as the best.

    The fits come in the order of their errors of prediction.
    A law does not count if its limit is far below the last gap, or depends on the window: it then stands for
    something else that has not died out.
    """
    for_sure = (fit for fit in fits if "limit" not in fit.numbers or _has_limit(fit, log_t, gap))
    best = next(for_sure)
    enough = max(AS_GOOD * best.prediction_error, ROUNDING)
    good = [best, *(fit for fit in for_sure if fit.prediction_error <= enough)]
    return min(good, key=lambda fit: fit.size)


def _has_limit(fit: LawFit, log_t: Floats, gap: Floats) -> bool:
    law = _BY_NAME[fit.law]
    limits = [law.fit(*_window(log_t, gap, window))["limit"] for window in _usable(log_t)]
    large = abs(limits[0]) >= SMALLEST_LIMIT * gap[-1]
    return large and max(limits) - min(limits) <= SURE_LIMIT * abs(limits[0])


def _window(log_t: Floats, gap: Floats, window: Window) -> tuple[Floats, Floats]:
    """Return the samples of a window, evenly thinned if they are many."""
    within = np.flatnonzero((log_t >= window[0] * log_t[-1]) & (log_t <= window[1] * log_t[-1]))
    if len(within) > MOST_SAMPLES:
        within = within[np.linspace(0, len(within) - 1, MOST_SAMPLES).round().astype(np.intp)]
    return log_t[within], gap[within]


def _usable(log_t: Floats) -> list[Window]:
    """Return the windows that have enough samples, the one of the stated numbers first."""
    return [window for window in WINDOWS if len(_window(log_t, log_t, window)[0]) >= LEAST_SAMPLES]


def _local_exponents(time: Floats, gap: Floats) -> Floats:
    """Return −d ln gap/d ln time, through the derivative of 1/gap, which is constant for C/(time + κ)."""
    return np.asarray(time * gap * np.gradient(1 / gap, time, edge_order=2))


def _extrapolated(log_t: Floats, gap: Floats, best: LawFit, window: Window) -> float:
    """Return the local exponent as ln t → ∞.

    Its reciprocal is 1 + κ/ln t for C/(ln t + κ), and 2 + 2κ/√(ln t) for C/(√(ln t) + κ) (theory, eq. 23); if
    the law is one in m, which grows like ln t, it is followed in m.
    """
    law = _BY_NAME[best.law]
    time = law.time(log_t, dict(best.numbers))
    exponents = _local_exponents(time, gap)
    within = np.isin(log_t, _window(log_t, gap, window)[0])
    there = time[within]
    terms = (np.ones_like(there), 1 / there, *((1 / np.sqrt(there),) if law.root else ()))
    return 1 / _solved(1 / exponents[within], *terms)[0]


# --------------------------------------------------------------------------------------------------
# What is refused


def _samples(
    trajectory_or_log_t: Trajectory | ArrayLike, gap: ArrayLike | None
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return copies of ln t and gap, and which gaps are lost in their own error."""
    if isinstance(trajectory_or_log_t, Trajectory):
        traj = trajectory_or_log_t
        if gap is not None:
            raise TypeError(
                refusal(
                    "gap", gap, "nothing beside a trajectory", "Write fit_rate(traj) or fit_rate(log_t, gap)."
                )
            )
        if traj.problem.y[0] == traj.problem.y[1]:
            raise ValueError(
                refusal("trajectory", Verbatim("equal labels"), "opposite labels", "Equal ones have no gap.")
            )
        log_t, gap = traj.log_t.copy(), traj.gap.copy()
        lost = ~(_gap_noise(traj) <= WORST_GAP_ERROR * gap)
    else:
        if gap is None:
            raise TypeError(refusal("gap", gap, "the gap at every log_t", "Write fit_rate(log_t, gap)."))
        log_t, gap = _array("log_t", trajectory_or_log_t), _array("gap", gap)
        lost = np.zeros(gap.shape, bool)
    if log_t.shape != gap.shape:
        shapes = Verbatim(f"shapes {log_t.shape} and {gap.shape}")
        raise ValueError(refusal("gap", shapes, "one gap for every log_t", "Give arrays of equal length."))
    if np.isnan(log_t).any() or np.isposinf(log_t).any() or np.any(log_t[1:] <= log_t[:-1]):
        raise ValueError(
            refusal(
                "log_t",
                Verbatim("logarithms that are nan, inf or not increasing"),
                "increasing natural logarithms of steps",
                "Sort them and remove repetitions and gaps in the record.",
            )
        )
    if not np.isfinite(gap).all() or np.any(gap < 0):
        raise ValueError(
            refusal(
                "gap",
                Verbatim(f"{int(np.sum(~(np.isfinite(gap) & (gap >= 0)))):,} that are nan, inf or negative"),
                "numbers >= 0",
                "Leave these samples out; a diverged run has no rate.",
            )
        )
    return log_t, gap, lost


def _gap_noise(traj: Trajectory) -> Floats:
    """Return the error of the gap from rounding and teeth.

    The rest of `Trajectory.gap_error`, a bound that is carried on from the steps at which leaps began, is
    hardly more than a shift of time, which does not blur a law.
    """
    reach = np.sqrt(np.sum(traj.problem.x**2, axis=1) + traj.problem.bias)
    teeth = (traj.teeth / (2 * np.where(reach > 0, reach, 1.0))).sum(axis=(1, 2))
    return geometry.gap_error_of(traj.problem, traj.w, traj.v, traj.preactivations, teeth)


def _array(argument: str, value: ArrayLike) -> Floats:
    """Return a fresh vector of floats, or refuse."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        got = Verbatim(f"dtype {array.dtype}, shape {array.shape}")
        raise TypeError(refusal(argument, got, "a vector of real numbers", "Give one number per sample."))
    return np.array(array, dtype=np.float64)


def _check_late_enough(log_t: Floats, gap: Floats, zeros: int, lost: int, after_turn: float) -> None:
    """Refuse what would be fitted wrongly."""

    def too_early(got: str, expected: str, fix: str) -> ValueError:
        return ValueError(refusal("gap", Verbatim(got), expected, fix))

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
    late = _window(log_t, gap, (LEARNT[0], 1.0))[1]
    if np.ptp(late) <= 1e-12 * late.max():
        raise too_early(
            f"a gap that stays at {late[-1]:.6g}",
            "one that changes",
            "Nothing converges; see twonn.asymptote.",
        )
    top = int(np.argmax(gap))
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
