"""What binary32 does: gradient descent stops altogether."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn import _core
from twonn.geometry.distances import gap as gap_of
from twonn.plot.parts import legend_above
from twonn.problem.params import Params
from twonn.report.figures import step_axis
from twonn.report.fits import least, most
from twonn.report.runs import PROBLEM, curve, gap_at, schedule, successful_starts, swept
from twonn.report.section import Claim, ExperimentResult, Figure, Section, Setting
from twonn.report.tables import Table, along, columns, joined, plain
from twonn.sweeps.result import SweepResult
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SECTION"]

#: By then every run has stopped.
STEPS, RUNS = 10**8, 10


# --------------------------------------------------------------------------------------------------
# What is run


def experiment(setting: Setting, *, steps: int = STEPS, runs: int = RUNS) -> ExperimentResult:
    """Take plain steps in binary32 until nothing moves any more."""
    starts = successful_starts(setting.seed, runs)
    sampled = [t for t in schedule(math.log(steps)) if t <= steps]
    exact = swept(setting, PROBLEM, starts, steps, sample_steps=sampled)
    at = np.array(sorted({0, *sampled, steps}), dtype=np.int64)
    rows: list[dict[str, Any]] = []
    curves: list[Table] = []
    for run, start in enumerate(starts):
        gap, frozen = _descended(start, at)
        rows.append({"start": run, **_row(start, at, gap, frozen, exact, run)})
        later = at > 0
        rounded = {"log10_t": np.log10(at[later]).tolist(), "gap": gap[later].tolist()}
        curves.append({"arithmetic": ["binary32"] * later.sum(), "start": [run] * later.sum(), **rounded})
        curves.append(curve(exact, run, {"arithmetic": "binary64", "start": run}, "gap"))
    numbers = {"starts": runs, "steps": steps, **_summarized(rows)}
    return ExperimentResult(plain(numbers), {"float32": columns(rows), "float32_gaps": joined(curves)})


def _descended(start: Params, at: NDArray[np.int64]) -> tuple[Floats, int]:
    """Return the gaps of a run in binary32 at some steps, and the step after which it has stopped (or −1)."""
    x, y = PROBLEM.x[:, 0].astype(np.float32), PROBLEM.y.astype(np.float32)
    w, b, v = (one.ravel().astype(np.float32) for one in (start.w, start.b, start.v))
    states, frozen = _core.descend_in_float32(x, y, w, b, v, PROBLEM.step_size, at)
    reached = states.astype(np.float64)
    output = np.broadcast_to(start.v, (len(reached), 2))
    return gap_of(PROBLEM, Params(reached[:, :2, None], reached[:, 2:], output)), frozen


def _row(
    start: Params, at: NDArray[np.int64], gap: Floats, frozen: int, exact: SweepResult, run: int
) -> dict[str, Any]:
    """Compare a run in binary32 with the exact recurrence."""
    right = gap_at(exact, run, int(at[-1]))
    apart = np.abs(gap[1:] / np.array([gap_at(exact, run, t) for t in at[1:]]) - 1)
    wrong = at[1:][(apart > 0.01) & (at[1:] >= 100)]
    return {
        "w_0": float(start.w[0, 0]),
        "w_1": float(start.w[1, 0]),
        "frozen": frozen if frozen >= 0 else None,
        "gap_frozen": float(gap[-1]),
        "gap_binary64": right,
        "ratio": float(gap[-1] / right),
        "first_wrong": int(wrong[0]) if len(wrong) else None,
    }


def _summarized(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the extremes over the runs, and whether the claim holds."""
    stops = np.array([row["frozen"] for row in rows], dtype=np.float64)
    wrongs = np.array([row["first_wrong"] for row in rows], dtype=np.float64)
    return {
        "frozen_runs": np.sum(np.isfinite(stops)),
        "frozen_first": rows[0]["frozen"],
        "frozen_least": least(stops),
        "frozen_most": most(stops),
        "wrong_least": least(wrongs),
        "wrong_most": most(wrongs),
        "ratio_least": min(row["ratio"] for row in rows),
        "ratio_most": max(row["ratio"] for row in rows),
        "holds": bool(np.isfinite(stops).all()),
    }


# --------------------------------------------------------------------------------------------------
# What is drawn


def _draw(ax: Axes, gaps: Table) -> None:
    for (name, start), one in along(gaps, "arithmetic", "start").items():
        single = name == "binary32"
        shown = (one["log10_t"] >= 2) & (one["gap"] > 0)
        ax.plot(
            one["log10_t"][shown],
            one["gap"][shown],
            color="C1" if single else "C0",
            linewidth=1.0 if single else 0.7,
            label=name if start == 0 else None,
        )
    ax.set_yscale("log")
    step_axis(ax, float(one["log10_t"][-1]), first=2.0)
    ax.set_ylabel("gap (units of $x$)")
    legend_above(ax)


# --------------------------------------------------------------------------------------------------
# What is said

_CLAIM = Claim(
    id="float32",
    title="",
    claim="In binary32, the usual arithmetic of training, gradient descent stops altogether. The increments "
    "shrink like 1/t. Once they are below half a unit in the last place, nothing moves any more.",
    criterion="nothing moves any more at the last step, in every run",
    holds="float32.holds",
    paragraphs=(
        "{float32.frozen_runs} of {float32.starts} runs had stopped by {float32.steps:,} steps, between "
        "steps {float32.frozen_least:,.0f} and {float32.frozen_most:,.0f}. The first run stopped at step "
        "{float32.frozen_first:,}. The gap then stays as it is. After {float32.steps:,} steps it is "
        "{float32.ratio_least:.3f} to {float32.ratio_most:.3f} times that of the exact recurrence.",
        "The gap is first off by more than 1 % at step {float32.wrong_least:,.0f} in the run where that "
        "happens earliest, and at step {float32.wrong_most:,.0f} in the run where it happens latest (of "
        "the sampled steps from 100 on).",
    ),
    figures=(
        Figure(
            "float32",
            "float32_gaps",
            _draw,
            "Gap against the step, both logarithmic, in binary32 and binary64: the curves part and "
            "those in binary32 become flat.",
            "Plain gradient descent in binary32, and the exact recurrence, from the same starts.",
        ),
    ),
)

SECTION = Section(
    name="float32",
    title="What binary32 does",
    description="Gradient descent in binary32, which stops altogether.",
    key="float32",
    experiment=experiment,
    tables=("float32", "float32_gaps"),
    claims=(_CLAIM,),
)
