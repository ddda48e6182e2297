"""The shapes φ of the laws C φ and limit + C φ: functions of ln t with none, one or two numbers of their own.

A shape also knows where a search for its numbers starts, between which bounds, and what its exponents are.
Where the numbers of a shape are given, C and the limit follow by linear least squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twonn.values import Floats

Interval = tuple[float, float]

Numbers = dict[str, float]

#: Largest offset of m. Far beyond it, the offset makes no difference to the law but what κ undoes.
MOST_OFFSET = 20.0

#: Bounds of an exponent: a gap is bounded by the optimal margin, and one that rises does so to a limit.
FALLING = 0.0, math.inf


@dataclass(frozen=True)
class Shape:
    """A shape φ > 0 of laws.

    Attributes
    ----------
    formula : str
        Of C φ.
    label : str
        The same for plots, in TeX without dollar signs.
    function : callable
        φ, from ln t and its own numbers.
    own : tuple of str
        Their names: "shift", "exponent", "power", "offset".
    starts : callable
        From ln t, gap and whether there is a limit to guesses of these.
    bounds : callable
        From ln t to their least and their largest values.
    exponent, power : float
        Of ln t and of t as t → ∞, where they are not fitted. That of ln t is inf for laws in t; that of t is
        nan for all others.
    constant_of : str
        What C is the constant of. Laws with the same text mean the same by C.
    time : callable or None
        From ln t and all numbers to what stands for ln t in the law, ln t itself or m. None if the local
        exponents do not tend to that of the law like 1/ln t.
    root : bool
        Whether the law has the root of that.
    """

    formula: str
    label: str
    function: Callable[..., Floats]
    own: tuple[str, ...]
    starts: Callable[[Floats, Floats, bool], Iterable[tuple[float, ...]]]
    bounds: Callable[[Floats], Sequence[Interval]]
    exponent: float
    power: float = math.nan
    constant_of: str = ""
    time: Callable[[Floats, Mapping[str, float]], Floats] | None = lambda log_t, numbers: log_t
    root: bool = False

    def parameters(self, limited: bool) -> tuple[str, ...]:
        """Return the names of all numbers of the law."""
        return ("constant", *self.own, *(("limit",) if limited else ()))

    def predict(self, log_t: Floats, numbers: Mapping[str, float]) -> Floats:
        """Return limit + C φ at natural logarithms of steps."""
        shape = self.function(log_t, *(numbers[name] for name in self.own))
        return np.asarray(numbers["constant"] * shape + numbers.get("limit", 0.0))

    def complete(self, log_t: Floats, gap: Floats, own: Sequence[float], limited: bool) -> Numbers:
        """Return all numbers of the law for those of the shape, with relative deviations of least squares.

        The limit may be negative. Where the shape is not finite and positive, C and the limit are nan.
        """
        shape = self.function(log_t, *own) / gap
        numbers = dict.fromkeys(self.parameters(limited), math.nan) | dict(zip(self.own, own, strict=True))
        if np.isfinite(shape).all() and (shape > 0).all():
            columns = (shape, 1 / gap) if limited else (shape,)
            linear = ("constant", "limit") if limited else ("constant",)
            numbers.update(zip(linear, solved(np.ones_like(gap), *columns), strict=True))
        return numbers


def solved(target: Floats, *columns: Floats) -> list[float]:
    """Return the least-squares coefficients of columns, scaled so that rounding treats them alike."""
    matrix = np.stack(np.broadcast_arrays(*columns), axis=1)
    scale = np.abs(matrix).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return [float(number) for number in np.linalg.lstsq(matrix / scale, target, rcond=None)[0] / scale]


def inside(start: Sequence[float], bounds: Sequence[Interval]) -> tuple[float, ...]:
    """Return a guess with its numbers moved to between their bounds, which solvers want strictly."""
    moved = []
    for number, (least, most) in zip(start, bounds, strict=True):
        margins = (1e-6 * max(abs(bound), 1e-3) if math.isfinite(bound) else 0.0 for bound in (least, most))
        low, high = least + next(margins), most - next(margins)
        moved.append(min(max(number, low), high))
    return tuple(moved)


# --------------------------------------------------------------------------------------------------
# Hyperbolas


@dataclass(frozen=True)
class _Variable:
    """The variable r of a hyperbola 1/r or 1/(r + κ): a function of ln t, and the exponents of 1/r."""

    text: str
    label: str
    of: Callable[[Floats], Floats]
    exponent: float
    power: float = math.nan
    root: bool = False
    has_local_exponents: bool = True


_LOG = _Variable("ln t", r"\ln t", lambda log_t: log_t, 1.0)

_ROOT = _Variable("√(ln t)", r"\sqrt{\ln t}", np.sqrt, 0.5, root=True)

_CUBE = _Variable("(ln t)^3", r"(\ln t)^3", lambda log_t: log_t**3, 3.0)

_LOG_LOG = _Variable("ln ln t", r"\ln\ln t", np.log, 0.0, has_local_exponents=False)

_STEP = _Variable("t", "t", np.exp, math.inf, 1.0)


def _inverse(variable: _Variable) -> Shape:
    """Return 1/r."""
    return Shape(
        f"C/{variable.text}",
        f"C/{variable.label}",
        lambda log_t: 1 / variable.of(log_t),
        (),
        lambda log_t, gap, limited: [()],
        lambda log_t: [],
        exponent=variable.exponent,
        power=variable.power,
        constant_of=f"C/{variable.text}",
        root=variable.root,
    )


def _hyperbola(variable: _Variable) -> Shape:
    """Return 1/(r + κ)."""

    def time(log_t: Floats, numbers: Mapping[str, float]) -> Floats:
        return log_t

    return Shape(
        f"C/({variable.text} + κ)",
        rf"C/({variable.label} + \kappa)",
        lambda log_t, shift: 1 / (variable.of(log_t) + shift),
        ("shift",),
        lambda log_t, gap, limited: [(shift,) for shift in _shifts(variable.of(log_t), gap, limited)],
        lambda log_t: [_shift_bounds(variable.of(log_t))],
        exponent=variable.exponent,
        power=variable.power,
        constant_of=f"C/{variable.text}",
        time=time if variable.has_local_exponents else None,
        root=variable.root,
    )


def _shifts(r: Floats, gap: Floats, limited: bool) -> list[float]:
    """Guess κ of C/(r + κ); without deviations it is exact (theory, eq. 22)."""
    one = np.ones_like(r)
    if not np.isfinite(gap * r).all():
        return []
    slope, offset = solved(one, gap * r, gap)  # 1/gap = slope r + offset
    shifts = [0.0, offset / slope if slope else 0.0]
    if limited:
        # (gap − limit)(r + κ) = C over gap·r is linear in limit, C + limit κ and κ.
        shifts.append(solved(one, 1 / gap, 1 / (gap * r), -1 / r)[2])
    return shifts


def _shift_bounds(r: Floats) -> Interval:
    """Return bounds of κ: r + κ > 0, and not so far beyond r that the run is no part of the law."""
    return -float(r[0]), float(r[-1])


# --------------------------------------------------------------------------------------------------
# The same in the margin of a 2-homogeneous network


def margin(log_time: Floats) -> Floats:
    """Return m with ∫ e^m/m dm = e^log_time, by the integral's asymptotic series; at least 2 (eq. 21)."""
    m = np.maximum(log_time, 2.0)
    for _ in range(6):  # Newton's method, with the derivative of m − ln m
        defect = m - np.log(m) + np.log1p(1 / m + 2 / m**2 + 6 / m**3) - log_time
        m = np.maximum(m - defect / (1 - 1 / m), 2.0)
    return m


def _in_margin(formula: str, label: str, power: float, constant_of: str, shifted: bool = False) -> Shape:
    """Return 1/r or 1/(r + κ) with r = m^power, m the margin at t e^offset (eq. 21)."""

    def function(log_t: Floats, offset: float, shift: float = 0.0) -> Floats:
        return 1 / (margin(log_t + offset) ** power + shift)

    def offsets(log_t: Floats) -> Interval:
        return -float(log_t[0]) / 2, MOST_OFFSET

    def bounds(log_t: Floats) -> list[Interval]:
        # m is at least 2, and about ln t + offset at most.
        return [offsets(log_t), (-(2.0**power), float(log_t[-1] + MOST_OFFSET) ** power)][: 1 + shifted]

    def starts(log_t: Floats, gap: Floats, limited: bool) -> list[tuple[float, ...]]:
        from scipy import optimize  # takes longer to load than most commands to run

        def guess(offset: float) -> tuple[float, ...]:
            r = margin(log_t + offset) ** power
            return (offset, _shifts(r, gap, limited)[-1]) if shifted else (offset,)

        def deviation(offset: float) -> float:
            numbers = shape.complete(log_t, gap, inside(guess(offset), bounds(log_t)), limited)
            away = float(np.mean((shape.predict(log_t, numbers) / gap - 1) ** 2))
            return math.log(away + 1e-32) if math.isfinite(away) else math.inf

        found = optimize.minimize_scalar(deviation, bounds=offsets(log_t), options={"xatol": 1e-9})
        return [guess(float(found.x))]

    shape = Shape(
        formula,
        label,
        function,
        ("offset", "shift") if shifted else ("offset",),
        starts,
        bounds,
        exponent=power,
        constant_of=constant_of,
        time=lambda log_t, numbers: margin(log_t + numbers["offset"]),
        root=power == 0.5,
    )
    return shape


# --------------------------------------------------------------------------------------------------
# Powers, and shapes with ln ln t


def _slopes(variable: Floats, gap: Floats, limited: bool) -> list[tuple[float, ...]]:
    """Guess α of C e^(−α variable); without limit and deviations it is exact."""
    if limited:
        return [(number / float(np.ptp(variable)),) for number in (0.05, 0.2, 0.5, 1, 2, 4, 8, 16, 32)]
    return [(-solved(np.log(gap), variable, np.ones_like(gap))[0],)]


def _with_logarithm(formula: str, label: str, function: Callable[[Floats], Floats]) -> Shape:
    """Return a function of ln t + κ that contains ln(ln t + κ)."""

    def starts(log_t: Floats, gap: Floats, limited: bool) -> list[tuple[float, ...]]:
        return [(part * float(log_t[0]),) for part in (-0.5, 0.0, 0.5)]

    return Shape(
        formula,
        label,
        lambda log_t, shift: function(log_t + shift),
        ("shift",),
        starts,
        lambda log_t: [(math.e - float(log_t[0]), float(log_t[-1]))],  # both fall from e on
        exponent=1.0,
        constant_of=formula,
        time=None,
    )


# --------------------------------------------------------------------------------------------------
# All shapes

INVERSE_LOG = _inverse(_LOG)

INVERSE_ROOT = _inverse(_ROOT)

INVERSE_CUBE = _inverse(_CUBE)

SHIFTED_LOG = _hyperbola(_LOG)

SHIFTED_ROOT = _hyperbola(_ROOT)

SHIFTED_LOG_LOG = _hyperbola(_LOG_LOG)

SHIFTED_STEP = _hyperbola(_STEP)

INVERSE_MARGIN = _in_margin("C/m", "C/m", 1, "C/ln t")

INVERSE_MARGIN_CUBE = _in_margin("C/m^3", "C/m^3", 3, "C/m^3")

SHIFTED_MARGIN_ROOT = _in_margin("C/(√m + κ)", r"C/(\sqrt{m} + \kappa)", 0.5, "C/√(ln t)", shifted=True)

POWER_OF_LOG = Shape(
    "C/(ln t)^α",
    r"C/(\ln t)^\alpha",
    lambda log_t, exponent: log_t**-exponent,
    ("exponent",),
    lambda log_t, gap, limited: _slopes(np.log(log_t), gap, limited),
    lambda log_t: [FALLING],
    exponent=math.nan,
    constant_of="C/(ln t)^α",
)

POWER_OF_STEP = Shape(
    "C·t^−α",
    r"C\,t^{-\alpha}",
    lambda log_t, power: np.exp(-power * log_t),
    ("power",),
    _slopes,
    lambda log_t: [FALLING],
    exponent=math.inf,
    constant_of="C·t^−α",
)

INVERSE_STEP_LOG = Shape(
    "C/(t ln t)",
    r"C/(t \ln t)",
    lambda log_t: np.exp(-log_t) / log_t,
    (),
    lambda log_t, gap, limited: [()],
    lambda log_t: [],
    exponent=math.inf,
    power=1.0,
    constant_of="C/(t ln t)",
)

LOG_LOG_OVER_LOG = _with_logarithm(
    "C ln(ln t + κ)/(ln t + κ)",
    r"C\,\ln(\ln t + \kappa)/(\ln t + \kappa)",
    lambda r: np.log(r) / r,
)

INVERSE_LOG_LOG_LOG = _with_logarithm(
    "C/((ln t + κ) ln(ln t + κ))",
    r"C/((\ln t + \kappa)\,\ln(\ln t + \kappa))",
    lambda r: 1 / (r * np.log(r)),
)
