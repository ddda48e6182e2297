"""Momentum, normalized gradient descent and Adam beside gradient descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twonn.analysis.asymptote import asymptote
from twonn.optimizers import Adam, Momentum
from twonn.plot.parts import legend_above
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.report.figures import step_axis
from twonn.report.fits import least, most
from twonn.report.runs import PROBLEM, curve, final_params, gap_at, peaks, rate_law, successful_starts, swept
from twonn.report.section import Claim, ExperimentResult, Figure, Section, Setting
from twonn.report.tables import Table, along, columns, joined, plain
from twonn.sweeps.result import SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SECTION"]

#: All steps are taken one by one.
STEPS, RUNS = 10**6, 4

#: A step at which Adam's gradients are still far above its ε.
EARLY = 10**4


# --------------------------------------------------------------------------------------------------
# What is run


def experiment(setting: Setting, *, steps: int = STEPS, runs: int = RUNS) -> ExperimentResult:
    """Run other optimizers from starts that succeed."""
    starts = successful_starts(setting.seed, runs)
    momentum, adam = Momentum(), Adam()
    speed = 1 / (1 - momentum.beta)
    results = {
        "gradient descent": swept(setting, PROBLEM, starts, steps),
        "momentum": swept(setting, PROBLEM, starts, steps, optimizer=momentum),
        "normalized": swept(setting, PROBLEM, starts, steps, optimizer="normalized_gd"),
        "Adam": swept(setting, PROBLEM, starts, steps, optimizer=adam),
    }
    longer = swept(setting, PROBLEM, starts, round(steps * speed))
    late = Problem(x=PROBLEM.x, y=PROBLEM.y, step_size=PROBLEM.step_size / adam.epsilon)
    rows = [_row(starts, run, steps, results, longer, late) for run in range(runs)]
    curves = [
        curve(result, run, {"optimizer": name, "start": run}, "gap")
        for run in range(runs)
        for name, result in results.items()
    ]
    numbers = {
        "steps": steps,
        "starts": runs,
        "momentum_speed": speed,
        "momentum": str(momentum),
        "adam": str(adam),
        "adam_rate": late.step_size,
        "early": EARLY,
        "step_size": PROBLEM.step_size,
        **_summarized(rows),
    }
    return ExperimentResult(plain(numbers), {"optimizers": columns(rows), "optimizer_gaps": joined(curves)})


def _row(
    starts: Params,
    run: int,
    steps: int,
    results: Mapping[str, SweepResult],
    longer: SweepResult,
    late: Problem,
) -> dict[str, Any]:
    """Compare a run of each optimizer with what is claimed of it.

    `longer` is gradient descent with the steps that momentum is worth; `late` is the problem of gradient
    descent that Adam becomes.
    """
    c = rate_law(*starts.w[run, :, 0])[0]
    gaps = {name: float(result["final_gap"][run]) for name, result in results.items()}
    adam = results["Adam"]
    peak_gap, peak_step = (float(one[run]) for one in peaks(adam))
    closed = asymptote(late, final_params(adam, run))
    return {
        "start": run,
        "w_0": float(starts.w[run, 0, 0]),
        "w_1": float(starts.w[run, 1, 0]),
        "c": c,
        **{f"gap_{name.replace(' ', '_').lower()}": gap for name, gap in gaps.items()},
        "momentum_as_gd": gaps["momentum"] / float(longer["final_gap"][run]) - 1,
        "normalized_scaled": gaps["normalized"] * PROBLEM.step_size * steps / c,
        "adam_largest": peak_gap,
        "adam_largest_step": peak_step,
        "adam_early": gap_at(adam, run, EARLY),
        "gd_early": gap_at(results["gradient descent"], run, EARLY),
        "adam_as_gd": gaps["Adam"] / float(closed.gap(adam["log_t_end"][run])) - 1,
    }


def _summarized(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the extremes over the runs, and whether the claim holds."""
    numbers: dict[str, Any] = {}
    for name in rows[0]:
        column = np.array([row[name] for row in rows], dtype=np.float64)
        numbers |= {f"{name}_least": least(column), f"{name}_most": most(column)}
    for name in ("momentum_as_gd", "adam_as_gd"):
        numbers[name] = max(abs(row[name]) for row in rows)
    numbers["holds"] = (
        numbers["momentum_as_gd"] < 1e-3
        and 0.8 < numbers["normalized_scaled_least"] <= numbers["normalized_scaled_most"] < 1.25
        and numbers["adam_as_gd"] < 0.01
    )
    return numbers


# --------------------------------------------------------------------------------------------------
# What is drawn


def _draw(ax: Axes, gaps: Table) -> None:
    """Draw the first start."""
    for (name, start), one in along(gaps, "optimizer", "start").items():
        if start == 0:
            shown = one["gap"] > 0
            ax.plot(one["log10_t"][shown], one["gap"][shown], label=name)
            last = float(one["log10_t"][-1])
    ax.set_yscale("log")
    step_axis(ax, last)
    ax.set_ylabel("gap (units of $x$)")
    legend_above(ax, columns=2)


# --------------------------------------------------------------------------------------------------
# What is said

_CLAIM = Claim(
    id="optimizers",
    title="",
    claim="Momentum follows the path of gradient descent, only faster. With normalized gradient descent the "
    "gap falls like 1/t. Adam leaves the boundary where it started until the gradients have shrunk to ε; "
    "from then on it is slow gradient descent again.",
    criterion="the stated laws give the last gap to 0.1 % for momentum, to 1 % for Adam, and to a factor of "
    "1.25 for normalized gradient descent",
    holds="optimizers.holds",
    paragraphs=(
        "{optimizers.starts} starts with w₀(0) > 0 > w₁(0), {optimizers.steps:,} steps, step size "
        "{optimizers.step_size}.",
        "With {optimizers.momentum} the last gap is that of plain gradient descent after "
        "{optimizers.momentum_speed:.0f} times as many steps, to {optimizers.momentum_as_gd:.1e} of "
        "itself.",
        "Normalized gradient descent divides each step by the loss. Its gap is c/(η t), up to a factor "
        "between {optimizers.normalized_scaled_least:.4f} and {optimizers.normalized_scaled_most:.4f}. "
        "The last gap is {optimizers.gap_normalized_least:.2e} to "
        "{optimizers.gap_normalized_most:.2e}, that of gradient descent "
        "{optimizers.gap_gradient_descent_least:.2e} to {optimizers.gap_gradient_descent_most:.2e}.",
        "With {optimizers.adam} the gap after {optimizers.early:,} steps is "
        "{optimizers.adam_early_least:.1e} to {optimizers.adam_early_most:.1e}, that of gradient "
        "descent {optimizers.gd_early_least:.1e} to {optimizers.gd_early_most:.1e}. All weights move at "
        "the same speed, so the boundary stays where it started, which for these starts is the "
        "midpoint. When the gradients come near ε, the gap rises to {optimizers.adam_largest_least:.2e} "
        "to {optimizers.adam_largest_most:.2e} near step {optimizers.adam_largest_step_most:,.0f}. From "
        "there on it falls as slowly as that of gradient descent with the step size η/ε = "
        "{optimizers.adam_rate:.0e}, whose closed form gives the last gap to "
        "{optimizers.adam_as_gd:.1e} of itself.",
    ),
    figures=(
        Figure(
            "optimizers",
            "optimizer_gaps",
            _draw,
            "Gap against the step, both logarithmic, for gradient descent, momentum, normalized gradient "
            "descent and Adam from the same start.",
            "The same start with four optimizers.",
        ),
    ),
)

SECTION = Section(
    name="optimizers",
    title="Momentum, normalized gradient descent, and Adam",
    description="Momentum, normalized gradient descent and Adam.",
    key="optimizers",
    experiment=experiment,
    tables=("optimizers", "optimizer_gaps"),
    claims=(_CLAIM,),
)
