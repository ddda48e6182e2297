"""What stepping cannot reach: how long it would take, for horizons that are refused before they begin."""

from __future__ import annotations

import math

from twonn.arguments import ArgumentValueError, Verbatim
from twonn.optimizers import Custom
from twonn.problem.horizon import LARGEST_COUNT, written_steps
from twonn.problem.runspec import RunOptions

#: Units of time, each with its seconds, and from how many of it on it is used.
_UNITS = (
    ("year", 31_557_600, 1),
    ("day", 86_400, 2),
    ("hour", 3600, 2),
    ("minute", 60, 2),
    ("second", 1, 1),
    ("ms", 1e-3, 1),
    ("µs", 1e-6, 1),
    ("ns", 1e-9, 0),
)


def out_of_reach(options: RunOptions, cost: float | None, unless: str = "") -> ArgumentValueError:
    """Return the error that refuses a horizon.

    Parameters
    ----------
    options : RunOptions
    cost : float or None
        Seconds that a step takes, if that is known.
    unless : str
        What would make it possible, as a part of a sentence.
    """
    got, most = written_steps(options.horizon), written_steps(options.most_steps)
    if cost is not None:
        seconds = math.log10(options.horizon) + math.log10(cost)
        got += f" steps, which would take about {duration(seconds)} at {duration(math.log10(cost))} a step"
    most = "2^63 - 1" if options.most_steps == LARGEST_COUNT else f"{most} (max_direct)"
    fix = "Ask for fewer steps"
    if options.optimizer is None:
        fix += ', or use engine="auto", which leaps'
    elif options.horizon <= LARGEST_COUNT:
        fix += ", or for a larger max_direct if you want to wait so long"
    expected = f"at most {most} with the {_who(options)}, which takes every step{unless}"
    return ArgumentValueError("steps", Verbatim(got), expected, f"{fix}.")


def _who(options: RunOptions) -> str:
    if options.optimizer is None:
        return "engine direct"
    custom = isinstance(options.optimizer, Custom)
    return f"optimizer {options.optimizer if custom else options.optimizer.name}"


def duration(log10_seconds: float) -> str:
    """Return a time, given by its decimal logarithm, to two digits: 280 ns, 3.5 hours, 10^975 years."""
    for unit, size, least in _UNITS:
        exponent = log10_seconds - math.log10(size)
        if exponent >= 6:
            return f"10^{round(exponent)} {unit}s"
        if (number := 10**exponent) >= least:
            break
    rounded = round(number, 1 - math.floor(math.log10(number)))
    return f"{rounded:,g} {unit}{'' if rounded == 1 or size < 1 else 's'}"
