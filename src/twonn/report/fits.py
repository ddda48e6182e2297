"""Fits of the gap of runs, beside the closed form, and their extremes over several runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twonn.analysis.fit_rate import RateFit, fit_rate
from twonn.analysis.laws import STORED
from twonn.report.runs import LN10, NEAR, parameters, samples
from twonn.sweeps.result import SweepResult
from twonn.values import Floats

__all__ = ["extremes", "fitted", "fitted_law", "is_within", "least", "most"]

_PARAMETERS = ("w_0", "w_1", "b_0", "b_1", "v_0", "v_1")
_FITTED = ("c", "constant", "constant_near", "exponent", "scaled_least", "scaled_most", "last_transition")


def fitted_law(log_t: Floats, gap: Floats, decades: float = math.inf) -> RateFit | None:
    """Return the law of a gap up to some decade, None if it is not late enough to tell."""
    early = log_t <= decades * LN10 + 1e-9
    try:
        return fit_rate(log_t[early], gap[early])
    except ValueError:
        return None


def fitted(result: SweepResult, run: int) -> dict[str, Any]:
    """Return what closed form and fits say of a run."""
    log_t, gap = samples(result, run)
    far, near = fitted_law(log_t, gap), fitted_law(log_t, gap, NEAR)
    c = float(result["asymptote_constant"][run])
    low, high = far.envelope() if far else (math.nan, math.nan)
    return {
        "start": run,
        **dict(zip(_PARAMETERS, (float(one[run]) for one in parameters(result, "start")), strict=True)),
        "law": STORED[result["asymptote_law"][run]].formula,
        "c": c,
        "kappa": float(result["asymptote_shift"][run]),
        "exponent": far.exponent if far else math.nan,
        "constant": far.constant if far else math.nan,
        "limit": far.limit if far else math.nan,
        "constant_near": near.constant if near else math.nan,
        "scaled_least": low,
        "scaled_most": high,
        "last_transition": float(np.nanmax(result["transition_t"][run], initial=0.0)),
    }


def extremes(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the extremes of what was fitted to several runs; None where nothing was."""
    column = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in _FITTED}
    deviation = np.abs(column["constant"] / column["c"] - 1)
    near = np.abs(column["constant_near"] / column["c"] - 1)
    return {
        "successes": len(rows),
        "refused": np.sum(np.isnan(column["constant"])),
        "refused_near": np.sum(np.isnan(column["constant_near"])),
        "exponent_least": least(column["exponent"]),
        "exponent_most": most(column["exponent"]),
        "exponent_off": most(np.abs(column["exponent"] - 1)),
        "scaled_least": least(column["scaled_least"] / column["c"]),
        "scaled_most": most(column["scaled_most"] / column["c"]),
        "c_least": least(column["c"]),
        "c_most": most(column["c"]),
        "deviation": most(deviation),
        "deviation_near_median": float(np.nanmedian(near)) if np.isfinite(near).any() else None,
        "deviation_near": most(near),
        "last_transition": most(column["last_transition"]),
    }


def is_within(value: float | None, bound: float) -> bool:
    """Return whether there is a number, and it is no larger than a bound."""
    return value is not None and value <= bound


def least(values: Floats) -> float | None:
    """Return the smallest finite number; None if there is none."""
    known = values[np.isfinite(values)]
    return float(known.min()) if len(known) else None


def most(values: Floats) -> float | None:
    """Return the largest finite number; None if there is none."""
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else None
