"""Other data: a limit that is not the midpoint without sliding, a constant that forgets the start with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twonn import initializers
from twonn.plot.parts import legend_above, note
from twonn.problem.problem import Problem
from twonn.report.figures import NO_SUCCESS, scaled_gap, step_axis
from twonn.report.fits import extremes, fitted, is_within, least, most
from twonn.report.runs import FAR, STARTS, curve, successful, swept_far
from twonn.report.section import Claim, Column, ExperimentResult, Figure, PageTable, Section, Setting
from twonn.report.tables import Table, along, columns, joined, plain
from twonn.sweeps.result import SweepResult
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SECTION"]

#: The points of each data set, and what it is called. Without sliding first.
DATA = {
    "no sliding": ((-1.0, 3.0), "x = (−1, 3)"),
    "one neuron slides": ((2.0, 1.0), "x = (2, 1)"),
    "both neurons slide": ((-0.3, 0.8), "x = (−0.3, 0.8)"),
}

_COLOURS = dict(zip(DATA, ("C0", "C1", "C2"), strict=True))

Curves = dict[tuple[Any, ...], dict[str, Any]]


# --------------------------------------------------------------------------------------------------
# What is run


def experiment(setting: Setting, *, starts: int = STARTS) -> ExperimentResult:
    """Run asymmetric data; two of the three data sets make neurons slide."""
    sets, rows, curves = [], [], []
    for kind, (x, _) in DATA.items():
        problem = Problem(x=list(x), y=[-1, 1], step_size=0.01)
        drawn = initializers.sample("he_normal_bias", starts, setting.seed)
        result = swept_far(setting, problem, drawn, "boundary")
        there = [_row(result, run, kind) for run in successful(result)]
        rows += there
        curves += [
            curve(result, row["start"], {key: row[key] for key in ("data", "start", "c")}, "gap", "boundary")
            for row in there
        ]
        sets.append(_summarized(kind, starts, there))
    numbers = {"decades": FAR, "sets": sets, "holds": _holds(*sets)}
    return ExperimentResult(plain(numbers), {"data": columns(rows), "data_gaps": joined(curves)})


def _row(result: SweepResult, run: int, kind: str) -> dict[str, Any]:
    """Return what is known of a run: fit, closed form and boundary."""
    return {
        "data": kind,
        **fitted(result, run),
        "boundary": float(result["final_boundary"][run]),
        "boundary_limit": float(result["asymptote_boundary"][run]),
        "gap_limit": float(result["asymptote_limit"][run]),
        "slides": int(result["n_slides"][run]),
    }


def _summarized(kind: str, starts: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the runs of a data set have in common, and how far they differ."""
    (x_0, x_1), name = DATA[kind]
    limits, ends, constants, fitted_limits, gap_limits = (
        np.array([row[column] for row in rows])
        for column in ("boundary_limit", "boundary", "constant", "limit", "gap_limit")
    )
    middle = float(np.median(constants)) if rows else None
    return {
        "kind": kind,
        "name": name,
        "coupling": x_0 * x_1 + 1,
        "starts": starts,
        "midpoint": (x_0 + x_1) / 2,
        "limit": float(np.median(limits)) if rows else None,
        "boundary_least": least(ends),
        "boundary_most": most(ends),
        "fitted_limit": float(np.median(fitted_limits)) if rows else None,
        "fitted_limit_off": most(np.abs(fitted_limits - gap_limits)),
        "constant_median": middle,
        "relative_spread": most(np.abs(constants / middle - 1)) if middle else None,
        "slides": max((row["slides"] for row in rows), default=None),
        **extremes(rows),
    }


def _holds(apart: dict[str, Any], *sliding: dict[str, Any]) -> bool:
    """Return whether the data set without sliding, and those with it, do as they should."""
    return bool(
        all(one["successes"] for one in (apart, *sliding))
        and abs(apart["limit"] - 0.5) < 1e-12
        and abs(apart["fitted_limit"] - 0.5) < 1e-6
        and is_within(apart["fitted_limit_off"], 1e-6)
        and all(abs(one["limit"] - one["midpoint"]) < 1e-12 for one in sliding)
        and all(
            is_within(one["relative_spread"], 1e-6) and is_within(one["deviation"], 1e-6) for one in sliding
        )
    )


# --------------------------------------------------------------------------------------------------
# What is drawn


def _draw_boundary(ax: Axes, gaps: Table) -> None:
    curves = _by_data(gaps)
    if not curves:
        return note(ax, NO_SUCCESS)
    for (kind, start), one in curves.items():
        x_0, x_1 = DATA[kind][0]
        shown = np.isfinite(one["boundary"])
        ax.plot(
            one["log10_t"][shown],
            (one["boundary"][shown] - x_0) / (x_1 - x_0),
            color=_COLOURS[kind],
            linewidth=0.7,
            label=_label(kind) if _is_first(kind, start, curves) else None,
        )
    ax.axhline(0.5, color="black", linestyle="--", linewidth=0.8)
    step_axis(ax, _last_decade(curves))
    ax.set(ylabel="boundary between the points", ylim=(0, 1))
    return legend_above(ax)


def _draw_constants(ax: Axes, gaps: Table) -> None:
    sliding = {key: one for key, one in _by_data(gaps).items() if key[0] != next(iter(DATA))}
    if not sliding:
        return note(ax, NO_SUCCESS)
    for (kind, start), one in sliding.items():
        first = _is_first(kind, start, sliding)
        label = _label(kind) if first else None
        ax.plot(one["log10_t"], scaled_gap(one), color=_COLOURS[kind], linewidth=0.7, label=label)
        if first:
            ax.axhline(float(one["c"][0]), color=_COLOURS[kind], linestyle="--", linewidth=0.8)
    step_axis(ax, _last_decade(sliding))
    ax.set(ylabel=r"gap $\cdot\,\ln t$ (units of $x$)", ylim=(0, 0.5))
    return legend_above(ax)


def _by_data(gaps: Table) -> Curves:
    return along(gaps, "data", "start") if gaps else {}


def _is_first(kind: str, start: int, curves: Curves) -> bool:
    return bool(start == min(first for other, first in curves if other == kind))


def _label(kind: str) -> str:
    return f"${DATA[kind][1]}$".replace("−", "-")


def _last_decade(curves: dict[Any, dict[str, Floats]]) -> float:
    return float(list(curves.values())[-1]["log10_t"][-1])


# --------------------------------------------------------------------------------------------------
# What is said

_CLAIM = Claim(
    id="data",
    title="",
    claim="If the data are asymmetric and no neuron slides, the boundary converges, but not to the midpoint. "
    "If neurons slide along a kink, the boundary tends to the midpoint, with a constant that is the same for "
    "all starts.",
    criterion="closed-form limits of the boundary are 0.5 and the midpoints, the fitted limit of the gap is "
    "0.5 to 10⁻⁶, the sliding constants agree to 10⁻⁶ among starts and with the closed form",
    holds="data.holds",
    paragraphs=(
        "For {data.sets.0.name} the boundary tends to {data.sets.0.limit:.4f}, while the midpoint is "
        "{data.sets.0.midpoint:.4f}. At 10^{data.decades:.0f} steps it lies between "
        "{data.sets.0.boundary_least:.6f} and {data.sets.0.boundary_most:.6f} in "
        "{data.sets.0.successes} successful runs; it approaches its limit only like 1/ln t. The fitted "
        "limit of the gap is {data.sets.0.fitted_limit:.9f}, off by at most "
        "{data.sets.0.fitted_limit_off:.1e}. The rest of the gap has the exponent 1, off by at most "
        "{data.sets.0.exponent_off:.1e}.",
        "For {data.sets.1.name} the boundary lies between {data.sets.1.boundary_least:.6f} and "
        "{data.sets.1.boundary_most:.6f}, and the midpoint is {data.sets.1.midpoint:.4f}. For "
        "{data.sets.2.name} it lies between {data.sets.2.boundary_least:.6f} and "
        "{data.sets.2.boundary_most:.6f}, and the midpoint is {data.sets.2.midpoint:.4f}.",
        "With sliding, the constants of gap ~ C/ln t, fitted to the runs, are "
        "{data.sets.1.constant_median:.9f} and {data.sets.2.constant_median:.9f}. They are the same for "
        "all starts to {data.sets.1.relative_spread:.1e} and {data.sets.2.relative_spread:.1e} of "
        "themselves, and agree with the closed form to {data.sets.1.deviation:.1e} and "
        "{data.sets.2.deviation:.1e}. Fitted to 10¹⁶ steps only, they agree with it to "
        "{data.sets.1.deviation_near:.1e} and {data.sets.2.deviation_near:.1e}.",
    ),
    table=PageTable(
        "data.sets",
        (
            Column("data", "{.name}", True),
            Column("", "{.kind}", True),
            Column("x₀x₁\u00a0+\u00a01", "{.coupling:.4g}"),
            Column("successful", "{.successes}"),
            Column("midpoint", "{.midpoint:.4g}"),
            Column("limit", "{.limit:.4g}"),
            Column("c, least", "{.c_least:.6f}"),
            Column("most", "{.c_most:.6f}"),
            Column("exponent, off by", "{.exponent_off:.1e}"),
        ),
    ),
    figures=(
        Figure(
            "boundary",
            "data_gaps",
            _draw_boundary,
            "Position of the boundary between the points against the step, up to 10^1000, for three "
            "data sets: two tend to the midpoint, one to three eighths of the way.",
            "Where the boundary is on the way from one point to the other: 0 is x₀, 1 is x₁, and the "
            "dashed line is the midpoint.",
        ),
        Figure(
            "forgets",
            "data_gaps",
            _draw_constants,
            "Gap times ln t against the step for the two data sets whose neurons slide; the curves of "
            "all starts join and tend to one constant for each data set.",
            "gap·ln t where neurons slide, one line for each start. All starts of a data set tend to the "
            "same constant.",
        ),
    ),
)

SECTION = Section(
    name="data",
    title="Other data: a wrong limit, or a constant that forgets the start",
    description="Asymmetric data, with and without neurons that slide along a kink.",
    key="data",
    experiment=experiment,
    tables=("data", "data_gaps"),
    claims=(_CLAIM,),
)
