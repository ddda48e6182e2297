"""The runs of the experiments: the problem, starts and sweeps they share, and what is read off the runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from twonn import initializers
from twonn.problem.horizon import steps_of_log
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.report.section import Setting, StoppedError
from twonn.sweeps.result import SweepResult
from twonn.sweeps.sweep import sweep
from twonn.values import Floats

__all__ = [
    "FAR",
    "INITIALIZER",
    "LN10",
    "NEAR",
    "PROBLEM",
    "STARTS",
    "curve",
    "final_params",
    "gap_at",
    "parameters",
    "peaks",
    "rate_law",
    "require_no_failure",
    "samples",
    "schedule",
    "successful",
    "successful_starts",
    "swept",
    "swept_far",
]

#: The paper's.
PROBLEM = Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, loss="exponential", reduction="mean")
INITIALIZER: Final = "he_normal"

#: Starts of each scheme or problem, in the experiments around the paper's.
STARTS = 32

#: Their horizon, and how far a plain loop could ever go, as decades.
FAR, NEAR = 1000.0, 16.0

LN10 = math.log(10)


# --------------------------------------------------------------------------------------------------
# Starts and sweeps


def successful_starts(seed: int, runs: int) -> Params:
    """Return the first starts of the paper's scheme with w_0 > 0 > w_1, which succeed."""
    drawn = initializers.sample(INITIALIZER, 64 * runs, seed)
    right = np.flatnonzero((drawn.w[:, 0, 0] > 0) & (drawn.w[:, 1, 0] < 0))
    return drawn[right[:runs]]


def swept_far(setting: Setting, problem: Problem, starts: Params, *also: str) -> SweepResult:
    """Run a sweep to 10^1000 steps, with the gap along every run and what else is named."""
    sampled = schedule(FAR * LN10)
    return swept(setting, problem, starts, log10_steps=FAR, sample_steps=sampled, trajectories=["gap", *also])


def swept(setting: Setting, problem: Problem, starts: Params, *args: Any, **options: Any) -> SweepResult:
    """Run a sweep to its end.

    Raises
    ------
    StoppedError
        If Ctrl-C came before.
    """
    result = sweep(problem, starts, *args, **{"trajectories": ["gap"], **options})
    require_no_failure(result)
    if setting.pressed() or not result.complete:
        raise StoppedError
    return result


def require_no_failure(result: SweepResult) -> None:
    """Raise a RuntimeError with the sweep's own words if a run failed."""
    if result.failures or result.abandoned:
        raise RuntimeError(result.message)


def schedule(last: float) -> list[int]:
    """Return steps up to the ln t `last`: ten a decade up to NEAR decades, then evenly in ln ln t."""
    near = min(last, NEAR * LN10)
    log_t = np.arange(0.0, near + 1e-9, LN10 / 10)
    if last > near:
        log_t = np.concatenate([log_t, np.geomspace(near, last, 200)[:-1]])
    return sorted({0, *(steps_of_log(one) for one in log_t.tolist())})


# --------------------------------------------------------------------------------------------------
# What is read off them


def successful(result: SweepResult) -> list[int]:
    """Return the runs that classify both points at the end."""
    runs: list[int] = np.flatnonzero(result["success"]).tolist()
    return runs


def samples(result: SweepResult, run: int) -> tuple[Floats, Floats]:
    """Return ln t and gap of a run from step 2 on."""
    log_t, gap = result["log_t"][run], result["gap"][run]
    there = np.isfinite(gap) & (log_t > 0)
    return log_t[there], gap[there]


def gap_at(result: SweepResult, run: int, step: int) -> float:
    """Return the gap at a sampled step."""
    return float(result["gap"][run, np.nanargmin(np.abs(result["t"][run] - step))])


def peaks(result: SweepResult) -> tuple[Floats, Floats]:
    """Return the largest sampled gap of every run, and its step."""
    gap = np.where(np.isnan(result["gap"]), -1.0, result["gap"])
    at = gap.argmax(axis=1)[:, None]
    return np.take_along_axis(gap, at, axis=1)[:, 0], np.take_along_axis(result["t"], at, axis=1)[:, 0]


def parameters(result: SweepResult, when: str) -> list[Floats]:
    """Return w_0, w_1, b_0, b_1, v_0, v_1 of every run on the line, at "start" or "final"."""
    w, b, v = (result[f"{when}_{name}"] for name in "wbv")
    return [w[:, 0, 0], w[:, 1, 0], b[:, 0], b[:, 1], v[:, 0], v[:, 1]]


def final_params(result: SweepResult, run: int) -> Params:
    """Return the last state of a run."""
    w, b, v = (result[f"final_{name}"][run] for name in "wbv")
    return Params(w, b, v)


def curve(result: SweepResult, run: int, labels: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return variables along a run, from step 1 on, with labels on every row."""
    there = np.isfinite(result["gap"][run]) & (result["log_t"][run] >= 0)
    rows = int(there.sum())
    return {
        **{name: [value] * rows for name, value in labels.items()},
        "log10_t": (result["log_t"][run] / LN10)[there].tolist(),
        **{name: result[name][run][there].tolist() for name in names},
    }


def rate_law(w_0: float, w_1: float) -> tuple[float, float]:
    """Return c and K of gap = c/(ln t + K) for a start with b = 0 and w_0 > 0 > w_1.

    Each neuron is then active on its own point only, for x = ∓1 from the first step to the last,
    and the margins m_i follow ln(h t/u_i), with h = step size/2 and u_i = 1/2.

    Parameters
    ----------
    w_0, w_1 : float

    Returns
    -------
    c, K : float
        c = |w_0 + w_1|/2 in the units of x, K = ln 2h + (w_0 − w_1)/2.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    return abs(float(w_0) + float(w_1)) / 2, math.log(2 * PROBLEM.point_step) + (float(w_0) - float(w_1)) / 2
