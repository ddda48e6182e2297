"""What the report computes: each experiment gives numbers and tables, nothing else.

The numbers become a part of results.json, the tables become files and figures. Whether a claim holds on these
data is decided here too, by a criterion that the page states.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn import _core, initializers
from twonn.analysis.asymptotics import LAWS, Asymptote, asymptote
from twonn.analysis.rates import RateFit, fit_rate
from twonn.engine.watching import LateProgress
from twonn.geometry.distances import gap
from twonn.optimizers import Adam, Momentum
from twonn.problem.horizon import steps_of_log
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.report.tables import Table, joined, plain
from twonn.sweeps.result import SweepResult
from twonn.sweeps.summary import STATUSES
from twonn.sweeps.sweep import sweep
from twonn.values import Floats

PROBLEM = Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, loss="exponential", reduction="mean")
INITIALIZER = "he_normal"

#: Every scheme that there is on the line.
SCHEMES = tuple(name for name in initializers.NAMES if name != "orthogonal")

SUCCESS = "success: both samples are classified correctly"

#: Mean of the density f_B, and P(c >= 1) under it.
EXPECTED_C = (4 - 2 * math.sqrt(2)) / math.sqrt(2 * math.pi)
EXPECTED_LARGE_C = math.erfc(1 / math.sqrt(2)) ** 2

#: Starts of the smaller experiments, of each scheme or problem.
STARTS = 32

#: Horizon of the smaller experiments, and how far a plain loop could ever go, as decades.
FAR, NEAR = 1000.0, 16.0

#: Runs whose gaps are written down and drawn.
SHOWN = 48

#: Steps with the other optimizers, all of which are taken, and the runs of each.
OPTIMIZER_STEPS, OPTIMIZER_RUNS = 10**6, 4

#: Steps in binary32, until which every run has stopped moving, and the runs.
FLOAT32_STEPS, FLOAT32_RUNS = 10**8, 10

DATA = {
    "no sliding": ((-1.0, 3.0), "x = (−1, 3)"),
    "one neuron slides": ((2.0, 1.0), "x = (2, 1)"),
    "both neurons slide": ((-0.3, 0.8), "x = (−0.3, 0.8)"),
}

_LN10 = math.log(10)


@dataclass(frozen=True)
class Setting:
    """What was asked for.

    Attributes
    ----------
    starts : Params
        Of the main experiment, with a run axis.
    steps, seed, engine : int, int, str
    bar : LateProgress
    pressed : callable
        Returns whether Ctrl-C came.
    """

    starts: Params
    steps: int
    seed: int
    engine: str
    bar: LateProgress
    pressed: Callable[[], int]


@dataclass(frozen=True)
class Found:
    """What an experiment has found: numbers as JSON has them, and tables by the names of their files."""

    numbers: dict[str, Any]
    tables: dict[str, Table] = field(default_factory=dict)


class StoppedError(Exception):
    """Ctrl-C came before the experiment was finished."""


# --------------------------------------------------------------------------------------------------
# The paper's main experiment


COLUMNS = (
    "run",
    *(f"{name}_{j}_{when}" for when in ("start", "end") for name in "wbv" for j in (0, 1)),
    "status",
    "outcome",
    "steps",
    "pattern",
    "c",
    "gap",
    "largest_gap",
    "largest_gap_step",
)


def main(setting: Setting) -> Found:
    """Take the runs of the paper, as many as were finished."""
    task = setting.bar.add_task("runs", total=setting.starts.runs)
    result = sweep(
        PROBLEM,
        setting.starts,
        setting.steps,
        engine=setting.engine,
        trajectories=["gap"],
        progress=lambda done, runs: setting.bar.update(task, completed=done),
    )
    _require_no_failure(result)
    done = np.setdiff1d(np.arange(result.runs), result.missing)
    outcomes = [outcome(*row) for row in zip(*(result[name][done] for name in _FATE), strict=True)]
    success = done[np.array([one == SUCCESS for one in outcomes], dtype=bool)]
    peaks = _peaks(result)
    table = _runs(result, done, outcomes, peaks)
    c = np.array([rate_law(*w)[0] for w in result["start_w"][success, :, 0]])
    starts_right = (result["start_w"][done, 0, 0] > 0) & (result["start_w"][done, 1, 0] < 0)
    counts = Counter(outcomes)
    total = len(done)
    exceptions = int(np.sum(starts_right != np.isin(done, success)))
    numbers = {
        "finished": total,
        "outcomes": [{"name": name, "count": count} for name, count in counts.most_common()],
        "successes": len(success),
        "success_fraction": len(success) / total if total else None,
        "success_fraction_expected": 0.25,
        "success_fraction_error": math.sqrt(0.25 * 0.75 / total) if total else None,
        "exceptions": exceptions,
        "holds": total > 0 and exceptions == 0,
        "constants": _constants(c),
        "fall": _fall(result, success, peaks),
        "rate": _rate(result, success, setting.steps),
    }
    return Found(plain(numbers), {"runs": table, "gaps": _shown_gaps(result, success, c)})


_FATE = ("status", "final_margins", "final_pattern")


def outcome(status: int, margins: Floats, pattern: int) -> str:
    """Return in words what became of a run; runs with the same words had the same fate.

    A gradient step on one sample moves the pre-activations on the other by a multiple of x_0·x_1 + 1, which
    is 0 for x = ∓1, so that a sample that no neuron is active on stays so.
    """
    if status == _core.DIVERGED:
        return "diverged: the parameters stopped being finite"
    if status == _core.OBSTRUCTED:
        return "obstructed: the engine gave up"
    if np.all(margins > 0):
        return SUCCESS
    if status == _core.STATIONARY:
        return "stationary: no unit is active on any sample, nothing can move again"
    unseen = [i for i in (0, 1) if not any(int(pattern) >> (2 * j + i) & 1 for j in (0, 1))]
    if unseen:
        return f"sample {_named(unseen)} unseen for ever: no unit is active on it"
    return f"sample {_named([i for i in (0, 1) if not margins[i] > 0])} misclassified at the last step"


def _named(samples: Sequence[int]) -> str:
    return " and ".join(f"x = {PROBLEM.x[i, 0]:+g}" for i in samples)


def rate_law(w_0: float, w_1: float) -> tuple[float, float]:
    """Return c and K of gap = c/(ln t + K) for a start with b = 0 and w_0 > 0 > w_1.

    Each neuron is then active on its own sample only, for x = ∓1 from the first step to the last,
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
    return abs(float(w_0) + float(w_1)) / 2, math.log(2 * PROBLEM.rate) + (float(w_0) - float(w_1)) / 2


def _peaks(result: SweepResult) -> tuple[Floats, Floats]:
    """Return the largest sampled gap of every run, and its step."""
    gap = np.where(np.isnan(result["gap"]), -1.0, result["gap"])
    at = gap.argmax(axis=1)[:, None]
    return np.take_along_axis(gap, at, axis=1)[:, 0], np.take_along_axis(result["t"], at, axis=1)[:, 0]


def _runs(
    result: SweepResult, done: NDArray[np.int64], outcomes: Sequence[str], peaks: tuple[Floats, Floats]
) -> dict[str, Any]:
    """Return one row per run; c is empty where the run has none."""
    parts = [_parameters(result, when) for when in ("start", "final")]
    columns: list[Sequence[Any] | NDArray[Any]] = [done, *(column[done] for part in parts for column in part)]
    c = [
        rate_law(*w)[0] if one == SUCCESS else None
        for one, w in zip(outcomes, result["start_w"][done, :, 0], strict=True)
    ]
    ends = [int(t) if math.isfinite(t) else None for t in result["t_end"][done].tolist()]
    status = [STATUSES[code] for code in result["status"][done]]
    columns += [status, outcomes, ends, result["final_pattern"][done], c, result["final_gap"][done]]
    columns += [peaks[0][done], peaks[1][done]]
    return dict(zip(COLUMNS, columns, strict=True))


def _parameters(result: SweepResult, when: str) -> list[Floats]:
    """Return w_0, w_1, b_0, b_1, v_0, v_1 of every run on the line."""
    w, b, v = (result[f"{when}_{name}"] for name in "wbv")
    return [w[:, 0, 0], w[:, 1, 0], b[:, 0], b[:, 1], v[:, 0], v[:, 1]]


def _constants(c: Floats) -> dict[str, Any]:
    """Compare the constants with the density f_B, whose survival function is erfc(x/√2)²."""
    from scipy.special import erfc
    from scipy.stats import kstest

    numbers: dict[str, Any] = {"expected": EXPECTED_C, "large_expected": EXPECTED_LARGE_C, "holds": False}
    if not len(c):
        return {**numbers, "mean": None, "error": None, "large": None, "distance": None, "p": None}
    test = kstest(c, lambda x: 1 - erfc(x / math.sqrt(2)) ** 2)
    return {
        **numbers,
        "mean": c.mean(),
        "error": c.std(ddof=1) / math.sqrt(c.size) if c.size > 1 else None,
        "large": np.mean(c >= 1),
        "distance": test.statistic,
        "p": test.pvalue,
        "holds": test.pvalue > 0.001,
    }


def _fall(result: SweepResult, success: NDArray[np.int64], peaks: tuple[Floats, Floats]) -> dict[str, Any]:
    """Describe the gap along the successful runs, as finely as they are sampled."""
    first, last = result["gap"][success, 0], result["final_gap"][success]
    height, at = peaks[0][success], peaks[1][success]
    fallen, recovering = height > first, height > np.maximum(first, last)
    some = bool(len(success))
    return {
        "optimal_at_start": np.sum(first == 0),
        "fallen": np.sum(fallen),
        "recovering": np.sum(recovering),
        "largest": np.median(height) if some else None,
        "step": np.median(at) if some else None,
        "step_first": at.min() if some else None,
        "step_last": at.max() if some else None,
        "left": np.median(last / height) if some and np.all(height > 0) else None,
        "holds": some and bool(recovering.all()),
    }


def _rate(result: SweepResult, success: NDArray[np.int64], steps: int) -> dict[str, Any]:
    """Compare the last gaps with their law."""
    laws = np.array([rate_law(*w) for w in result["start_w"][success, :, 0]]).reshape(-1, 2)
    c, shifted = laws[:, 0], math.log(max(steps, 1)) + laws[:, 1]
    gap = result["final_gap"][success]
    if not len(success) or not np.all(shifted > 0):
        return {"rows": [], "deviation": None, "worst": None}
    rows = {
        "c": c,
        "gap·ln t": gap * math.log(steps),
        "gap·ln t / c": gap * math.log(steps) / c,
        "gap·(ln t + K) / c": gap * shifted / c,
    }
    deviation = np.abs(gap * shifted / c - 1)
    return {
        "rows": [
            {"name": name, "median": np.median(row), "least": row.min(), "largest": row.max()}
            for name, row in rows.items()
        ],
        "deviation": np.median(deviation),
        "worst": deviation.max(),
    }


def _shown_gaps(result: SweepResult, success: NDArray[np.int64], c: Floats) -> Table:
    """Return the gaps of some successful runs, evenly chosen by their constants."""
    order = np.argsort(c, kind="stable")
    if len(order) > SHOWN:
        order = order[np.linspace(0, len(order) - 1, SHOWN).round().astype(np.intp)]
    return joined([_curve(result, success[n], {"run": success[n], "c": c[n]}, "gap") for n in order])


# --------------------------------------------------------------------------------------------------
# The law, far out


def law(setting: Setting) -> Found:
    """Run every initializer to 10^1000 steps and fit the law of each successful run."""
    rows: list[dict[str, Any]] = []
    curves: list[Table] = []
    schemes = []
    for name in SCHEMES:
        result = _far(setting, PROBLEM, initializers.sample(name, STARTS, setting.seed))
        there = [_fitted(result, run) for run in _successful(result)]
        rows += [{"scheme": name, **row} for row in there]
        curves += [
            _curve(result, row["start"], {"scheme": name, "start": row["start"], "c": row["c"]}, "gap")
            for row in there
        ]
        schemes.append({"name": name, "starts": STARTS, **_of_fits(there)})
    overall = _of_fits(rows)
    holds = (
        bool(rows)
        and _within(overall["exponent_off"], 1e-3)
        and _within(overall["deviation"], 1e-6)
        and overall["refused"] == 0
        and all(row["law"] == "C/(ln t + κ)" for row in rows)
    )
    numbers = {
        "starts": STARTS,
        "decades": FAR,
        "near_decades": NEAR,
        "schemes": schemes,
        **overall,
        "holds": holds,
    }
    return Found(plain(numbers), {"law": _columns(rows), "law_gaps": joined(curves)})


def _fitted(result: SweepResult, run: int) -> dict[str, Any]:
    """Return what closed form and fits say of a run."""
    log_t, gap = _samples(result, run)
    far, near = _fit(log_t, gap), _fit(log_t, gap, NEAR)
    c = float(result["asymptote_constant"][run])
    low, high = far.envelope() if far else (math.nan, math.nan)
    return {
        "start": run,
        **dict(zip(_PARAMETERS, (float(one[run]) for one in _parameters(result, "start")), strict=True)),
        "law": LAWS[result["asymptote_law"][run]],
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


_PARAMETERS = ("w_0", "w_1", "b_0", "b_1", "v_0", "v_1")


def _of_fits(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the extremes of what was fitted to several runs; None where nothing was."""
    column = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in _FITTED}
    deviation = np.abs(column["constant"] / column["c"] - 1)
    near = np.abs(column["constant_near"] / column["c"] - 1)
    return {
        "successes": len(rows),
        "refused": np.sum(np.isnan(column["constant"])),
        "refused_near": np.sum(np.isnan(column["constant_near"])),
        "exponent_least": _least(column["exponent"]),
        "exponent_most": _most(column["exponent"]),
        "exponent_off": _most(np.abs(column["exponent"] - 1)),
        "scaled_least": _least(column["scaled_least"] / column["c"]),
        "scaled_most": _most(column["scaled_most"] / column["c"]),
        "c_least": _least(column["c"]),
        "c_most": _most(column["c"]),
        "deviation": _most(deviation),
        "deviation_near_median": float(np.nanmedian(near)) if np.isfinite(near).any() else None,
        "deviation_near": _most(near),
        "last_transition": _most(column["last_transition"]),
    }


_FITTED = ("c", "constant", "constant_near", "exponent", "scaled_least", "scaled_most", "last_transition")


# --------------------------------------------------------------------------------------------------
# Trained output weights


def trained(setting: Setting) -> Found:
    """Train the output weights too."""
    problem = Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=True)
    result = _far(setting, problem, initializers.sample(INITIALIZER, STARTS, setting.seed))
    rows, curves = [], []
    for run in _successful(result):
        log_t, gap = _samples(result, run)
        fit, closed = _fit(log_t, gap), _closed(problem, result, run)
        near = int(np.argmin(np.abs(log_t - NEAR * _LN10)))
        c, root = closed.constant, np.sqrt(log_t)
        local = np.diff(np.log(gap[[near - 1, near, -2, -1]])) / np.diff(
            np.log(log_t[[near - 1, near, -2, -1]])
        )
        rows.append(
            {
                "start": run,
                "c": c,
                "kappa": closed.shift,
                "exponent": fit.exponent if fit else math.nan,
                "constant": fit.constant if fit else math.nan,
                "fitted_law": fit.law if fit else None,
                "local_near": -local[0],
                "local_far": -local[2],
                "bare_near": gap[near] * root[near] / c,
                "bare_far": gap[-1] * root[-1] / c,
                "closed_near": gap[near] / closed.gap(log_t[near]),
                "closed_far": gap[-1] / closed.gap(log_t[-1]),
            }
        )
        labels = {"start": run, "c": c}
        curve = dict(_curve(result, run, labels, "gap"))
        curves.append({**curve, "closed": closed.gap(np.array(curve["log10_t"]) * _LN10)})
    numbers: dict[str, Any] = {"starts": STARTS, "successes": len(rows), "decades": FAR, "near_decades": NEAR}
    for name in ("exponent", "kappa", "local_near", "local_far", "bare_near", "bare_far", "c"):
        column = np.array([row[name] for row in rows], dtype=np.float64)
        numbers |= {f"{name}_least": _least(column), f"{name}_most": _most(column)}
    for name in ("closed_near", "closed_far"):
        numbers[name] = _most(np.abs(np.array([row[name] for row in rows], dtype=np.float64) - 1))
    numbers["refused"] = sum(math.isnan(row["exponent"]) for row in rows)
    numbers["deviation"] = _most(np.abs(np.array([row["constant"] / row["c"] for row in rows]) - 1))
    off = [abs(row["exponent"] - 0.5) for row in rows]
    numbers["exponent_off"] = _most(np.array(off))
    numbers["holds"] = bool(rows) and all(one <= 0.01 for one in off) and _within(numbers["deviation"], 0.01)
    return Found(plain(numbers), {"trained": _columns(rows), "trained_gaps": joined(curves)})


# --------------------------------------------------------------------------------------------------
# Other data


def data(setting: Setting) -> Found:
    """Run asymmetric data, two of which make neurons slide."""
    sets, rows, curves = [], [], []
    for kind, ((x_0, x_1), name) in DATA.items():
        problem = Problem(x=[x_0, x_1], y=[-1, 1], step_size=0.01)
        result = _far(
            setting, problem, initializers.sample("he_normal_bias", STARTS, setting.seed), "boundary"
        )
        there = [
            {
                "data": kind,
                **_fitted(result, run),
                "boundary": float(result["final_boundary"][run]),
                "boundary_limit": float(result["asymptote_boundary"][run]),
                "gap_limit": float(result["asymptote_limit"][run]),
                "slides": int(result["n_slides"][run]),
            }
            for run in _successful(result)
        ]
        rows += there
        curves += [
            _curve(
                result, row["start"], {"data": kind, "start": row["start"], "c": row["c"]}, "gap", "boundary"
            )
            for row in there
        ]
        limits = np.array([row["boundary_limit"] for row in there])
        ends = np.array([row["boundary"] for row in there])
        constants, fitted = (np.array([row[name] for row in there]) for name in ("constant", "limit"))
        middle = float(np.median(constants)) if there else None
        sets.append(
            {
                "kind": kind,
                "name": name,
                "coupling": x_0 * x_1 + 1,
                "starts": STARTS,
                "midpoint": (x_0 + x_1) / 2,
                "limit": float(np.median(limits)) if len(limits) else None,
                "boundary_least": _least(ends),
                "boundary_most": _most(ends),
                "fitted_limit": float(np.median(fitted)) if there else None,
                "fitted_limit_off": _most(np.abs(fitted - np.array([row["gap_limit"] for row in there]))),
                "constant_median": middle,
                "relative_spread": _most(np.abs(constants / middle - 1)) if middle else None,
                "slides": max((row["slides"] for row in there), default=None),
                **_of_fits(there),
            }
        )
    apart, *sliding = sets
    holds = (
        all(one["successes"] for one in sets)
        and abs(apart["limit"] - 0.5) < 1e-12
        and abs(apart["fitted_limit"] - 0.5) < 1e-6
        and _within(apart["fitted_limit_off"], 1e-6)
        and all(abs(one["limit"] - one["midpoint"]) < 1e-12 for one in sliding)
        and all(_within(one["relative_spread"], 1e-6) and _within(one["deviation"], 1e-6) for one in sliding)
    )
    numbers = {"decades": FAR, "sets": sets, "holds": holds}
    return Found(plain(numbers), {"data": _columns(rows), "data_gaps": joined(curves)})


# --------------------------------------------------------------------------------------------------
# Other optimizers


def optimizers(setting: Setting) -> Found:
    """Run other optimizers from starts that succeed."""
    starts = _promising(setting.seed, OPTIMIZER_RUNS)
    momentum, adam = Momentum(), Adam()
    speed = 1 / (1 - momentum.beta)
    results = {
        "gradient descent": _swept(setting, PROBLEM, starts, OPTIMIZER_STEPS),
        "momentum": _swept(setting, PROBLEM, starts, OPTIMIZER_STEPS, optimizer=momentum),
        "normalized": _swept(setting, PROBLEM, starts, OPTIMIZER_STEPS, optimizer="normalized_gd"),
        "Adam": _swept(setting, PROBLEM, starts, OPTIMIZER_STEPS, optimizer=adam),
    }
    longer = _swept(setting, PROBLEM, starts, round(OPTIMIZER_STEPS * speed))
    late = Problem(x=PROBLEM.x, y=PROBLEM.y, step_size=PROBLEM.step_size / adam.epsilon)
    rows, curves = [], []
    for run in range(OPTIMIZER_RUNS):
        c = rate_law(*starts.w[run, :, 0])[0]
        gaps = {name: float(result["final_gap"][run]) for name, result in results.items()}
        peak_gap, peak_step = (float(one[run]) for one in _peaks(results["Adam"]))
        rows.append(
            {
                "start": run,
                "w_0": float(starts.w[run, 0, 0]),
                "w_1": float(starts.w[run, 1, 0]),
                "c": c,
                **{f"gap_{name.replace(' ', '_').lower()}": gap for name, gap in gaps.items()},
                "momentum_as_gd": gaps["momentum"] / float(longer["final_gap"][run]) - 1,
                "normalized_scaled": gaps["normalized"] * PROBLEM.step_size * OPTIMIZER_STEPS / c,
                "adam_largest": peak_gap,
                "adam_largest_step": peak_step,
                "adam_early": float(_at(results["Adam"], run, 10**4)),
                "gd_early": float(_at(results["gradient descent"], run, 10**4)),
                "adam_as_gd": gaps["Adam"] / _late_gap(late, results["Adam"], run) - 1,
            }
        )
        curves += [
            _curve(result, run, {"optimizer": name, "start": run}, "gap") for name, result in results.items()
        ]
    numbers: dict[str, Any] = {
        "steps": OPTIMIZER_STEPS,
        "starts": OPTIMIZER_RUNS,
        "momentum_speed": speed,
        "momentum": str(momentum),
        "adam": str(adam),
        "adam_rate": late.step_size,
        "early": 10**4,
        "step_size": PROBLEM.step_size,
    }
    for name in rows[0]:
        column = np.array([row[name] for row in rows], dtype=np.float64)
        numbers |= {f"{name}_least": _least(column), f"{name}_most": _most(column)}
    for name in ("momentum_as_gd", "adam_as_gd"):
        numbers[name] = max(abs(row[name]) for row in rows)
    numbers["holds"] = (
        numbers["momentum_as_gd"] < 1e-3
        and 0.8 < numbers["normalized_scaled_least"] <= numbers["normalized_scaled_most"] < 1.25
        and numbers["adam_as_gd"] < 0.01
    )
    return Found(plain(numbers), {"optimizers": _columns(rows), "optimizer_gaps": joined(curves)})


def _late_gap(problem: Problem, result: SweepResult, run: int) -> float:
    """Return the gap of the last step by the closed form of gradient descent from the last state."""
    closed = asymptote(problem, _final(result, run))
    return float(closed.gap(result["log_t_end"][run]))


# --------------------------------------------------------------------------------------------------
# binary32


def float32(setting: Setting) -> Found:
    """Take plain steps in binary32 until nothing moves any more."""
    starts = _promising(setting.seed, FLOAT32_RUNS)
    steps = [t for t in _schedule(math.log(FLOAT32_STEPS)) if t <= FLOAT32_STEPS]
    exact = _swept(setting, PROBLEM, starts, FLOAT32_STEPS, sample_steps=steps)
    schedule = np.array(sorted({0, *steps, FLOAT32_STEPS}), dtype=np.int64)
    x, y = PROBLEM.x[:, 0].astype(np.float32), PROBLEM.y.astype(np.float32)
    rows: list[dict[str, Any]] = []
    curves: list[Table] = []
    for run in range(FLOAT32_RUNS):
        w, b, v = (one[run].ravel().astype(np.float32) for one in (starts.w, starts.b, starts.v))
        states, frozen = _core.descend_in_float32(x, y, w, b, v, PROBLEM.step_size, schedule)
        reached = states.astype(np.float64)
        output = np.broadcast_to(starts.v[run], (len(reached), 2))
        gaps = gap(PROBLEM, Params(reached[:, :2, None], reached[:, 2:], output))
        right = _at(exact, run, FLOAT32_STEPS)
        apart = np.abs(gaps[1:] / np.array([_at(exact, run, t) for t in schedule[1:]]) - 1)
        wrong = schedule[1:][(apart > 0.01) & (schedule[1:] >= 100)]
        rows.append(
            {
                "start": run,
                "w_0": float(starts.w[run, 0, 0]),
                "w_1": float(starts.w[run, 1, 0]),
                "frozen": frozen if frozen >= 0 else None,
                "gap_frozen": float(gaps[-1]),
                "gap_binary64": float(right),
                "ratio": float(gaps[-1] / right),
                "first_wrong": int(wrong[0]) if len(wrong) else None,
            }
        )
        later = schedule > 0
        curve = {"log10_t": np.log10(schedule[later]).tolist(), "gap": gaps[later].tolist()}
        curves.append({"arithmetic": ["binary32"] * later.sum(), "start": [run] * later.sum(), **curve})
        curves.append(_curve(exact, run, {"arithmetic": "binary64", "start": run}, "gap"))
    stops = np.array([row["frozen"] for row in rows], dtype=np.float64)
    wrongs = np.array([row["first_wrong"] for row in rows], dtype=np.float64)
    summed: dict[str, Any] = {
        "starts": FLOAT32_RUNS,
        "steps": FLOAT32_STEPS,
        "frozen_runs": np.sum(np.isfinite(stops)),
        "frozen_first": rows[0]["frozen"],
        "frozen_least": _least(stops),
        "frozen_most": _most(stops),
        "wrong_least": _least(wrongs),
        "wrong_most": _most(wrongs),
        "ratio_least": min(row["ratio"] for row in rows),
        "ratio_most": max(row["ratio"] for row in rows),
        "holds": bool(np.isfinite(stops).all()),
    }
    return Found(plain(summed), {"float32": _columns(rows), "float32_gaps": joined(curves)})


# --------------------------------------------------------------------------------------------------
# What they share


def _promising(seed: int, runs: int) -> Params:
    """Return the first starts of the main experiment's scheme with w_0 > 0 > w_1, which succeed."""
    drawn = initializers.sample(INITIALIZER, 64 * runs, seed)
    right = np.flatnonzero((drawn.w[:, 0, 0] > 0) & (drawn.w[:, 1, 0] < 0))
    return drawn[right[:runs]]


def _far(setting: Setting, problem: Problem, starts: Params, *also: str) -> SweepResult:
    sampled = _schedule(FAR * _LN10)
    return _swept(
        setting, problem, starts, log10_steps=FAR, sample_steps=sampled, trajectories=["gap", *also]
    )


def _swept(setting: Setting, problem: Problem, starts: Params, *args: Any, **options: Any) -> SweepResult:
    """Run a sweep to its end."""
    result = sweep(problem, starts, *args, **{"trajectories": ["gap"], **options})
    _require_no_failure(result)
    if setting.pressed() or not result.complete:
        raise StoppedError
    return result


def _require_no_failure(result: SweepResult) -> None:
    if result.failures or result.abandoned:
        raise RuntimeError(result.message)


def _schedule(last: float) -> list[int]:
    """Return steps up to that ln t: ten a decade as far as a loop could go, then evenly in ln ln t."""
    near = min(last, NEAR * _LN10)
    log_t = np.arange(0.0, near + 1e-9, _LN10 / 10)
    if last > near:
        log_t = np.concatenate([log_t, np.geomspace(near, last, 200)[:-1]])
    return sorted({0, *(steps_of_log(one) for one in log_t.tolist())})


def _successful(result: SweepResult) -> list[int]:
    """Return the runs that classify both samples correctly at the end."""
    runs: list[int] = np.flatnonzero((result["final_margins"] > 0).all(axis=1)).tolist()
    return runs


def _samples(result: SweepResult, run: int) -> tuple[Floats, Floats]:
    """Return ln t and gap of a run from step 2 on."""
    log_t, gap = result["log_t"][run], result["gap"][run]
    there = np.isfinite(gap) & (log_t > 0)
    return log_t[there], gap[there]


def _at(result: SweepResult, run: int, step: int) -> float:
    """Return the gap at a sampled step."""
    return float(result["gap"][run, np.nanargmin(np.abs(result["t"][run] - step))])


def _fit(log_t: Floats, gap: Floats, decades: float = math.inf) -> RateFit | None:
    """Return the law of a gap up to some decade, None if it is not late enough to tell."""
    early = log_t <= decades * _LN10 + 1e-9
    try:
        return fit_rate(log_t[early], gap[early])
    except ValueError:
        return None


def _final(result: SweepResult, run: int) -> Params:
    w, b, v = (result[f"final_{name}"][run] for name in "wbv")
    return Params(w, b, v)


def _closed(problem: Problem, result: SweepResult, run: int) -> Asymptote:
    return asymptote(problem, _final(result, run))


def _curve(result: SweepResult, run: int, labels: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return variables along a run, from step 1 on, with labels on every row."""
    there = np.isfinite(result["gap"][run]) & (result["log_t"][run] >= 0)
    rows = int(there.sum())
    return {
        **{name: [value] * rows for name, value in labels.items()},
        "log10_t": (result["log_t"][run] / _LN10)[there].tolist(),
        **{name: result[name][run][there].tolist() for name in names},
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _within(value: float | None, bound: float) -> bool:
    return value is not None and value <= bound


def _least(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.min()) if len(known) else None


def _most(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else None
