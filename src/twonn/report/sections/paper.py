"""The paper's experiment: which runs succeed, the constants of their rate, and the fall of the margin."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn import _core, plot
from twonn.plot.parts import legend_above, note
from twonn.problem.horizon import written_steps
from twonn.report.figures import scaled_gap, step_axis
from twonn.report.runs import (
    INITIALIZER,
    PROBLEM,
    curve,
    parameters,
    peaks,
    rate_law,
    require_no_failure,
)
from twonn.report.section import Claim, Column, ExperimentResult, Figure, PageTable, Section, Setting
from twonn.report.tables import Table, along, joined, plain
from twonn.sweeps.result import SweepResult
from twonn.sweeps.summary import STATUSES
from twonn.sweeps.sweep import sweep
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SECTION"]

SUCCESS = "success: both points are classified correctly"

#: Mean of the density f_B, and P(c >= 1) under it.
EXPECTED_C = (4 - 2 * math.sqrt(2)) / math.sqrt(2 * math.pi)
EXPECTED_LARGE_C = math.erfc(1 / math.sqrt(2)) ** 2

#: Runs whose gaps are written down and drawn.
SHOWN = 48

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

_FATE = ("status", "final_margins", "final_pattern")


# --------------------------------------------------------------------------------------------------
# What is run


def experiment(setting: Setting) -> ExperimentResult:
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
    require_no_failure(result)
    done = np.setdiff1d(np.arange(result.runs), result.missing)
    outcomes = [outcome(*row) for row in zip(*(result[name][done] for name in _FATE), strict=True)]
    success = done[np.array([one == SUCCESS for one in outcomes], dtype=bool)]
    highest = peaks(result)
    c = np.array([rate_law(*w)[0] for w in result["start_w"][success, :, 0]])
    numbers = {
        **_outcomes(result, done, outcomes, success),
        "constants": _constants(c),
        "fall": _fall(result, success, highest),
        "rate": _rate(result, success, setting.steps),
    }
    tables = {"runs": _runs(result, done, outcomes, highest), "gaps": _shown_gaps(result, success, c)}
    return ExperimentResult(plain(numbers), tables, _asked(setting), len(done) == result.runs)


def _asked(setting: Setting) -> dict[str, Any]:
    return {
        "runs": setting.starts.runs,
        "steps": written_steps(setting.steps),
        "log10_steps": math.log10(max(setting.steps, 1)),
        "engine": setting.engine,
        "initializer": INITIALIZER,
    }


def _outcomes(
    result: SweepResult, done: NDArray[np.int64], outcomes: Sequence[str], success: NDArray[np.int64]
) -> dict[str, Any]:
    """Count what became of the runs, and the exceptions to the rule that tells it from the start."""
    total = len(done)
    starts_right = (result["start_w"][done, 0, 0] > 0) & (result["start_w"][done, 1, 0] < 0)
    exceptions = int(np.sum(starts_right != np.isin(done, success)))
    return {
        "finished": total,
        "outcomes": [{"name": name, "count": count} for name, count in Counter(outcomes).most_common()],
        "successes": len(success),
        "success_fraction": len(success) / total if total else None,
        "success_fraction_expected": 0.25,
        "success_fraction_error": math.sqrt(0.25 * 0.75 / total) if total else None,
        "exceptions": exceptions,
        "holds": total > 0 and exceptions == 0,
    }


def outcome(status: int, margins: Floats, pattern: int) -> str:
    """Return in words what became of a run; runs with the same words had the same fate.

    A gradient step on one point moves the pre-activations on the other by a multiple of x_0·x_1 + 1, which
    is 0 for x = ∓1, so that a point that no neuron is active on stays so.
    """
    if status == _core.DIVERGED:
        return "diverged: the parameters stopped being finite"
    if status == _core.OBSTRUCTED:
        return "obstructed: the engine gave up"
    if np.all(margins > 0):
        return SUCCESS
    if status == _core.STATIONARY:
        return "stationary: no neuron is active on any point, nothing can move again"
    unseen = [i for i in (0, 1) if not any(int(pattern) >> (2 * j + i) & 1 for j in (0, 1))]
    if unseen:
        return f"point {_named(unseen)} not classified: no neuron will ever be active on it"
    return f"point {_named([i for i in (0, 1) if not margins[i] > 0])} misclassified at the last step"


def _named(points: Sequence[int]) -> str:
    return " and ".join(f"x = {PROBLEM.x[i, 0]:+g}" for i in points)


def _runs(
    result: SweepResult, done: NDArray[np.int64], outcomes: Sequence[str], highest: tuple[Floats, Floats]
) -> dict[str, Any]:
    """Return one row per run; c is empty where the run has none."""
    parts = [parameters(result, when) for when in ("start", "final")]
    columns: list[Sequence[Any] | NDArray[Any]] = [done, *(column[done] for part in parts for column in part)]
    c = [
        rate_law(*w)[0] if one == SUCCESS else None
        for one, w in zip(outcomes, result["start_w"][done, :, 0], strict=True)
    ]
    ends = [int(t) if math.isfinite(t) else None for t in result["t_end"][done].tolist()]
    status = [STATUSES[code] for code in result["status"][done]]
    columns += [status, outcomes, ends, result["final_pattern"][done], c, result["final_gap"][done]]
    columns += [highest[0][done], highest[1][done]]
    return dict(zip(COLUMNS, columns, strict=True))


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


def _fall(result: SweepResult, success: NDArray[np.int64], highest: tuple[Floats, Floats]) -> dict[str, Any]:
    """Describe the gap along the successful runs, as finely as they are sampled."""
    first, last = result["gap"][success, 0], result["final_gap"][success]
    height, at = highest[0][success], highest[1][success]
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
    return joined([curve(result, success[n], {"run": success[n], "c": c[n]}, "gap") for n in order])


# --------------------------------------------------------------------------------------------------
# What is drawn


def _draw_constants(ax: Axes, runs: Table) -> None:
    plot.constants([c for c in runs["c"] if c is not None], ax)


def _draw_scaled_gap(ax: Axes, gaps: Table) -> None:
    """Draw gap·ln t, and the constants at the right edge."""
    curves, last = _sampled(gaps)
    if not curves:
        return note(ax, "no successful run of two steps or more")
    for one, colour in zip(curves, _by_constant(curves), strict=True):
        ax.plot(one["log10_t"], scaled_gap(one), color=colour, linewidth=0.7, alpha=0.7)
        ax.axhline(float(one["c"][0]), 0.94, 1.0, color=colour, linestyle="--")
    step_axis(ax, last)
    ax.set_ylabel(r"gap $\cdot\,\ln t$ (units of $x$)")
    ax.lines[-1].set_label(r"$c$, reached as $t\to\infty$")
    return legend_above(ax)


def _draw_fall(ax: Axes, gaps: Table) -> None:
    """Draw the gap itself."""
    curves, last = _sampled(gaps)
    if not curves:
        return note(ax, "no successful run of two steps or more")
    for one, colour in zip(curves, _by_constant(curves), strict=True):
        shown = one["gap"] > 0
        ax.plot(one["log10_t"][shown], one["gap"][shown], color=colour, linewidth=0.7, alpha=0.7)
    step_axis(ax, last)
    ax.set_yscale("log")
    ax.set_ylabel("gap (units of $x$)")
    return None


def _sampled(gaps: Table) -> tuple[list[dict[str, Floats]], float]:
    """Return the curves and their last decade; no curves where all of them end at step 1."""
    curves = list(along(gaps, "run").values()) if gaps else []
    last = max((float(one["log10_t"][-1]) for one in curves), default=0.0)
    return (curves if last > 0 else []), last


def _by_constant(curves: Sequence[dict[str, Floats]]) -> list[tuple[float, ...]]:
    """Return a colour for each curve: the lighter, the larger its constant."""
    from matplotlib import colormaps

    constants = [float(one["c"][0]) for one in curves]
    return [colormaps["cividis"](0.9 * c / max(constants)) for c in constants]


# --------------------------------------------------------------------------------------------------
# What is said

_OUTCOMES = Claim(
    id="outcomes",
    title="Which runs succeed",
    claim="A run succeeds if and only if w₀(0) > 0 > w₁(0). One start in four is like that.",
    criterion="no exception",
    holds="main.holds",
    paragraphs=(
        "Successful: {main.success_fraction:.4f} of the runs; expected {main.success_fraction_expected} "
        "± {main.success_fraction_error:.4f} (standard error). Exceptions to the rule: "
        "{main.exceptions:,} in {main.finished:,} runs.",
        "If no neuron is active on a point, f = 0 there. The point is not classified correctly, and the "
        "gap stays at the optimal margin, 1.",
    ),
    table=PageTable("main.outcomes", (Column("runs", "{.count:,}"), Column("outcome", "{.name}", True))),
)

_CONSTANTS = Claim(
    id="constants",
    title="The rate constant c and its density",
    claim="The constant of a successful run is c = |w₀(0) + w₁(0)|/2, with the density f_B over random "
    "starts.",
    criterion="p > 0.001",
    holds="main.constants.holds",
    successes="main.successes",
    paragraphs=(
        "Mean: {main.constants.mean:.5f} ± {main.constants.error:.5f} over {main.successes:,} runs; "
        "expected (4 − 2√2)/√(2π) = {main.constants.expected:.5f}.",
        "Fraction with c ≥ 1: {main.constants.large:.5f}; expected erfc(1/√2)² = "
        "{main.constants.large_expected:.5f}.",
        "Kolmogorov–Smirnov distance from f_B: {main.constants.distance:.4f}, p = {main.constants.p:.3f}.",
        "At the last step the gap differs from c/(ln t + K) by {main.rate.deviation:.2g} of itself in the "
        "median run and by {main.rate.worst:.2g} in the worst. Here K = ln 2h + (w₀(0) − w₁(0))/2, and h "
        "is half the step size. Both ratios in the table tend to 1, the last one faster.",
    ),
    table=PageTable(
        "main.rate.rows",
        (
            Column("", "{.name}", True),
            Column("median", "{.median:.5f}"),
            Column("least", "{.least:.5f}"),
            Column("largest", "{.largest:.5f}"),
        ),
    ),
    figures=(
        Figure(
            "constants",
            "runs",
            _draw_constants,
            "Histogram of the rate constants of the successful runs, with the density f_B.",
            "Constants of {main.successes:,} successful runs, and f_B(x) = 2√(2/π) exp(−x²/2) erfc(x/√2).",
        ),
        Figure(
            "scaled_gap",
            "gaps",
            _draw_scaled_gap,
            "Gap times ln t against the step for successful runs, each tending to its constant, which is "
            "marked at the right edge.",
            "gap·ln t of successful runs over the first {asked.steps} steps. The dashes at the right edge "
            "are their constants c.",
        ),
    ),
)

_FALL = Claim(
    id="fall",
    title="The margin falls before it recovers",
    claim="The margin is optimal at the start. It falls, and only then recovers, slowly.",
    criterion="every successful run has a larger gap in between than at the start and at the end",
    holds="main.fall.holds",
    successes="main.successes",
    paragraphs=(
        "At step 0 the margin is optimal (gap 0) in {main.fall.optimal_at_start:,} of "
        "{main.successes:,} successful runs. It then falls in {main.fall.fallen:,} of "
        "{main.successes:,}. The largest gap is {main.fall.largest:.4g}, at about step "
        "{main.fall.step:,.0f} (medians). Over all runs that step lies between "
        "{main.fall.step_first:,.0f} and {main.fall.step_last:,.0f}.",
        "By the last step the margin has begun to recover in {main.fall.recovering:,} of "
        "{main.successes:,} runs. {main.fall.left:.1%} of the largest gap is left in the median run.",
    ),
    figures=(
        Figure(
            "fall",
            "gaps",
            _draw_fall,
            "Gap against the step, both logarithmic: it rises from zero, turns near a thousand steps, and "
            "falls ever more slowly.",
            "The gap of successful runs. It rises for some hundred steps; the rest of the run brings it "
            "down again.",
        ),
    ),
)

SECTION = Section(
    name="paper",
    title="The paper's experiment",
    description="Which of the paper's random starts succeed, and what their gaps do.",
    key="main",
    experiment=experiment,
    tables=("runs", "gaps"),
    introduction=(
        "{asked.runs:,} starts from {asked.initializer}, seed {asked.seed}. Biases are 0 at the start, "
        "and the output weights are fixed at +1 and −1. Steps of each run: {asked.steps}, engine "
        "{asked.engine}.",
    ),
    finished="{main.finished:,} of {asked.runs:,} runs of the paper's experiment finished",
    claims=(_OUTCOMES, _CONSTANTS, _FALL),
)
