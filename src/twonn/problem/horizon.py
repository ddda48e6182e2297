"""Numbers of steps, beyond what integers of a machine hold: horizons, and which steps to record."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import (
    ArgumentTypeError,
    ArgumentValueError,
    Verbatim,
    brief,
    positive_number,
    real_number,
    whole_number,
)
from twonn.values import frozen_array

#: Decimal logarithm of the longest horizon.
LARGEST_LOG10_STEPS = 1e6

#: Steps are counted exactly up to here, and by their logarithm beyond.
LARGEST_COUNT = 2**63 - 1

#: Samples of every decade by default, and how many there are then at most; a longer horizon has fewer of them
#: in every decade.
DEFAULT_DENSITY, MOST_BY_DEFAULT = 20.0, 20_001

#: Most samples that are recorded at a density that is asked for: some gigabytes.
_MOST_SAMPLES = 10_000_000


# --------------------------------------------------------------------------------------------------
# Numbers of steps


#: Numbers of steps as texts: 10^16, 10**16, 1e16, 1_000_000; of no more digits than Python reads.
_STEPS = re.compile(
    r"(?P<base>[0-9]{1,4000})(\*\*|\^)(?P<power>[0-9]{1,7})|"
    r"(?P<number>[0-9](_?[0-9]){0,3999}(\.[0-9]{1,200})?)([eE]\+?(?P<exponent>[0-9]{1,7}))?"
)

#: Floats up to here are counts. What is larger was hardly meant to the last step.
_LARGEST_FLOAT = 2.0**63


def whole_steps(argument: str, value: object, *, least: int = 0) -> int:
    """Return a number of steps, or refuse.

    Parameters
    ----------
    argument : str
    value : object
        An int; a whole float up to 2^63, which counts at its exact value; or a string such as ``"10^16"``,
        ``"10**16"``, ``"1e16"``, which is read exactly.
    least : int
    """
    expected, fix = f"a whole number >= {least}", 'Write e.g. 1000000, 1e6, 10**6 or "10^6".'
    if isinstance(value, str):
        expected = f"a whole number from {least} to 10^{LARGEST_LOG10_STEPS:.0f}"
        steps = _steps_of_text(value)
    elif isinstance(value, (float, np.floating)):
        size = float(value)
        steps = int(value) if abs(size) <= _LARGEST_FLOAT and int(value) == value else None
        if _LARGEST_FLOAT < size < math.inf:
            expected += ", if it is a float at most 2^63"
            fix = 'Write it as an int or a string, such as 10**20 or "10^20", which are exact.'
    else:
        steps = whole_number(argument, value, least=least, fix=fix)
    if steps is None or steps < least:
        raise ArgumentValueError(argument, value, expected, fix)
    return _not_too_long(argument, steps)


def _steps_of_text(text: str) -> int | None:
    """Return the number of steps that a text says, exactly; None if it says none, or one that is too long."""
    match = _STEPS.fullmatch(text)
    if not match:
        return None
    # A power of too many digits would take for ever to multiply out.
    if match["base"]:
        base, power = int(match["base"]), int(match["power"])
        # Rounding of the product must not let through, or keep out, 10^1000000 itself.
        return base**power if power * math.log10(max(base, 1)) < LARGEST_LOG10_STEPS + 1 else None
    if int(match["exponent"] or 0) > LARGEST_LOG10_STEPS:
        return None
    number = Fraction(match[0])
    return number.numerator if number.denominator == 1 else None


def horizon(steps: object, log10_steps: object, names: tuple[str, str] = ("steps", "log10_steps")) -> int:
    """Return the number of steps asked for as an exact integer; exactly one argument is given.

    ``log10_steps`` is rounded to the nearest whole number of steps. `names` are those of the arguments.
    """
    name, log_name = names
    if (steps is None) == (log10_steps is None):
        raise ArgumentValueError(
            name,
            Verbatim(f"{name}={brief(steps)}, {log_name}={brief(log10_steps)}"),
            f"exactly one of {name} and {log_name}",
            f"Write {name}=10**6 or {log_name}=6.0.",
        )
    if steps is not None:
        return whole_steps(name, steps)
    expected = f"a number from 0 to {LARGEST_LOG10_STEPS:g}"
    exponent = real_number(log_name, log10_steps, expected)
    if not 0 <= exponent <= LARGEST_LOG10_STEPS:
        raise ArgumentValueError(log_name, log10_steps, expected, f"Write e.g. {log_name}=16.0.")
    return power_of_ten(exponent)


def direct_limit(max_direct: object) -> int:
    """Return how many steps may be taken one by one, at most as many as can be counted."""
    return min(whole_steps("max_direct", max_direct, least=1), LARGEST_COUNT)


def _not_too_long(argument: str, steps: int) -> int:
    """Return the steps, or refuse what is beyond the longest horizon."""
    # By its logarithm: to compare with the power takes long, and its digits would take for ever.
    exponent = math.log10(steps) if steps else 0.0
    if exponent > LARGEST_LOG10_STEPS:
        expected = f"a whole number from 0 to 10^{LARGEST_LOG10_STEPS:.0f}"
        got = Verbatim(f"about 10^{exponent:.10g}")
        raise ArgumentValueError(argument, got, expected, "Ask for fewer steps.")
    return steps


def power_of_ten(exponent: float) -> int:
    """Return 10**exponent rounded to the nearest integer, beyond 10^50 to 50 digits.

    Integer exponents give the exact power.
    """
    whole = math.floor(exponent)
    return _scaled(_mantissa(exponent - whole), whole)


@functools.lru_cache(maxsize=1024)
def _mantissa(fraction: float) -> int:
    """Return 10**fraction in units of 10^-50."""
    with localcontext() as context:
        context.prec = 60
        return int((Decimal(10) ** Decimal(fraction)).scaleb(50))


def _scaled(mantissa: int, whole: int) -> int:
    # In integers: decimal arithmetic would round to the digits of the caller's decimal context.
    if whole >= 50:
        return mantissa * int(10 ** (whole - 50))
    unit = int(10 ** (50 - whole))
    return (mantissa + unit // 2) // unit


def sample_schedule(
    steps: int, samples_per_decade: object, sample_steps: object
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps to record, strictly increasing from 0 to `steps`, both included.

    Without an explicit list they are 10^(k/samples_per_decade), rounded, repetitions removed. Steps beyond
    2^63 − 1 are given by their natural logarithms, in the second array. A density of None stands for
    `DEFAULT_DENSITY` with at most `MOST_BY_DEFAULT` samples; see `default_stride`.
    """
    if sample_steps is not None:
        chosen = sorted({0, *listed_steps(sample_steps, steps), steps})
        counted = [step for step in chosen if step <= LARGEST_COUNT]
        return np.array(counted, dtype=np.int64), np.array(
            [math.log(step) for step in chosen[len(counted) :]]
        )
    if samples_per_decade is None:
        return _spaced(steps, DEFAULT_DENSITY, default_stride(steps))
    density = positive_number("samples_per_decade", samples_per_decade, "Write e.g. samples_per_decade=20.")
    if density > 1000:
        raise ArgumentValueError(
            "samples_per_decade",
            samples_per_decade,
            "at most 1000",
            "Give sample_steps to record particular steps.",
        )
    if (number := _n_spaced(steps, density)) > _MOST_SAMPLES:
        raise ArgumentValueError(
            "samples_per_decade",
            samples_per_decade,
            f"no more than {_MOST_SAMPLES:,} samples in all, not {number:,}",
            "Lower samples_per_decade, or give sample_steps.",
        )
    return _spaced(steps, density)


def default_stride(steps: int) -> int:
    """Return how many of the samples at `DEFAULT_DENSITY` there are to each one that is recorded by default.

    It is the least power of two with which they are at most `MOST_BY_DEFAULT`: the samples of a longer
    horizon are then among those of a shorter one, so that a run can be extended.
    """
    stride = 1
    while _n_spaced(steps, DEFAULT_DENSITY, stride) > MOST_BY_DEFAULT:
        stride *= 2
    return stride


def thinned_spacing(steps: int) -> str:
    """Say how far apart samples are where there would be too many at the default density; "" elsewhere."""
    if (stride := default_stride(steps)) == 1:
        return ""
    spacing = f"{stride / DEFAULT_DENSITY:.10g} decades apart"
    return f"{spacing}, thinned to at most {MOST_BY_DEFAULT:,} as no samples_per_decade was given"


def _spaced(steps: int, density: float, stride: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return 0, the steps 10^(k/density) before `steps`, k = 0, stride, 2 stride, …, and `steps`."""
    counted = _counted(steps, density, stride)
    if steps <= LARGEST_COUNT:
        return np.append(counted, np.int64(steps)), np.empty(0)
    late = _late_indices(density, math.log(steps), stride)
    logs = np.arange(late.start, late.stop, late.step) / density * math.log(10)
    return counted, np.append(logs, math.log(steps))


def _n_spaced(steps: int, density: float, stride: int = 1) -> int:
    """Return the number of these samples."""
    late = range(0) if steps <= LARGEST_COUNT else _late_indices(density, math.log(steps), stride)
    return len(_counted(steps, density, stride)) + len(late) + 1


def _counted(steps: int, density: float, stride: int) -> NDArray[np.int64]:
    spaced = _log_spaced(density, stride)
    return spaced[: np.searchsorted(spaced, min(steps, LARGEST_COUNT))]


@functools.lru_cache(maxsize=64)
def _log_spaced(density: float, stride: int) -> NDArray[np.int64]:
    """Return 0 and the steps 10^(k/density), k = 0, stride, …, rounded, up to 2^63 − 1."""
    chosen = {0}
    for index in itertools.count(step=stride):
        whole, rest = divmod(index, density)
        if whole > 19:  # at a density near zero, a power too large to be computed
            break
        step = _scaled(_mantissa(rest / density), int(whole))
        if step > LARGEST_COUNT:
            break
        chosen.add(step)
    return frozen_array(np.array(sorted(chosen), dtype=np.int64))


def _late_indices(density: float, log_steps: float, stride: int) -> range:
    """Return the multiples k of a stride with 10^(k/density) beyond 2^63 − 1 and before e^log_steps."""
    first = math.floor(density * math.log10(LARGEST_COUNT)) + 1
    stop = math.ceil(density * log_steps / math.log(10))
    while stop > first and (stop - 1) / density * math.log(10) >= log_steps:  # by rounding
        stop -= 1
    first += -first % stride
    return range(first, max(stop, first), stride)


def listed_steps(sample_steps: object, steps: int) -> list[int]:
    """Return the steps to record that are asked for, increasing and up to the horizon, or refuse."""
    expected = f"increasing whole numbers from 0 to {brief(steps)}"
    if isinstance(sample_steps, np.ndarray) and sample_steps.ndim == 1:
        sample_steps = sample_steps.tolist()
    if not isinstance(sample_steps, Sequence) or isinstance(sample_steps, (str, bytes)):
        raise ArgumentTypeError("sample_steps", sample_steps, expected, "Give a list of numbers of steps.")
    chosen = [
        # As a rule they are ints within the horizon, of which nothing has to be asked.
        step if type(step) is int and 0 <= step <= steps else whole_steps(f"sample_steps[{i}]", step)
        for i, step in enumerate(sample_steps)
    ]
    for i, step in enumerate(chosen):
        if step > steps or (i > 0 and step <= chosen[i - 1]):
            fix = "Sort them, remove repetitions, and stay within the horizon."
            raise ArgumentValueError(f"sample_steps[{i}]", sample_steps[i], expected, fix)
    return chosen


def written_steps(steps: int) -> str:
    """Return a number of steps as people write it: 1,000,000; 10^400; 3.2e+57."""
    if steps < 10**15:
        return f"{steps:,}"
    # int -> str is quadratic and limited in length; the logarithm is neither.
    exponent = math.floor(math.log10(steps))
    for power in (exponent, exponent + 1):
        if steps == 10**power:
            return f"10^{power}"
    mantissa = f"{10 ** (math.log10(steps) - exponent):.3g}"
    return f"1e+{exponent + 1}" if mantissa == "10" else f"{mantissa}e+{exponent}"


def written_time(t: float, log_t: float) -> str:
    """Return a recorded step or time as people write it: from its logarithm where it is beyond binary64."""
    if math.isfinite(t) and t != int(t):
        return f"{t:.6g}"
    if math.isfinite(t):
        return written_steps(int(t))
    # In a file from a stranger a logarithm may be anything.
    is_possible = log_t <= LARGEST_LOG10_STEPS * math.log(10)
    return written_steps(steps_of_log(log_t)) if is_possible else f"e^{log_t:.6g}"


def steps_of_log(log_steps: float) -> int:
    """Return e**log_steps rounded to an integer, to as many digits as the logarithm tells."""
    with localcontext() as context:
        context.prec = 30
        context.Emax = 10**8
        steps = Decimal(log_steps).exp()
        beyond = max(
            steps.adjusted() - 29, 0
        )  # decimal places; a Decimal of a million takes a minute to convert
        return int(steps.scaleb(-beyond)) * int(10**beyond)
