"""The law Θ(1/ln t), from every initialization, to 10^1000 steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twonn import initializers
from twonn.initializers import InitializerName
from twonn.plot.parts import legend_above, note
from twonn.report.figures import NO_SUCCESS, scaled_gap, step_axis
from twonn.report.fits import extremes, fitted, is_within
from twonn.report.runs import FAR, NEAR, PROBLEM, STARTS, curve, successful, swept_far
from twonn.report.section import Claim, Column, ExperimentResult, Figure, PageTable, Section, Setting
from twonn.report.tables import Table, along, columns, joined, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SECTION"]

#: Every scheme that there is on the line.
SCHEMES = tuple(name for name in initializers.NAMES if name != "orthogonal")


# --------------------------------------------------------------------------------------------------
# What is run


def experiment(
    setting: Setting, *, schemes: Sequence[InitializerName] = SCHEMES, starts: int = STARTS
) -> ExperimentResult:
    """Run every initializer to 10^1000 steps and fit the law of each successful run."""
    rows: list[dict[str, Any]] = []
    curves: list[Table] = []
    by_scheme = []
    for name in schemes:
        result = swept_far(setting, PROBLEM, initializers.sample(name, starts, setting.seed))
        there = [{"scheme": name, **fitted(result, run)} for run in successful(result)]
        rows += there
        curves += [
            curve(result, row["start"], {key: row[key] for key in ("scheme", "start", "c")}, "gap")
            for row in there
        ]
        by_scheme.append({"name": name, "starts": starts, **extremes(there)})
    overall = extremes(rows)
    numbers = {
        "starts": starts,
        "decades": FAR,
        "near_decades": NEAR,
        "schemes": by_scheme,
        **overall,
        "holds": _holds(overall, rows),
    }
    return ExperimentResult(plain(numbers), {"law": columns(rows), "law_gaps": joined(curves)})


def _holds(overall: dict[str, Any], rows: Sequence[dict[str, Any]]) -> bool:
    return (
        bool(rows)
        and is_within(overall["exponent_off"], 1e-3)
        and is_within(overall["deviation"], 1e-6)
        and bool(overall["refused"] == 0)
        and all(row["law"] == "C/(ln t + κ)" for row in rows)
    )


# --------------------------------------------------------------------------------------------------
# What is drawn


def _draw(ax: Axes, gaps: Table) -> None:
    curves = along(gaps, "scheme", "start") if gaps else {}
    if not curves:
        return note(ax, NO_SUCCESS)
    scaled = [scaled_gap(one) / one["c"] for one in curves.values()]
    x = next(iter(curves.values()))["log10_t"]
    for one in scaled:
        ax.plot(x, one, color="C5", linewidth=0.5, alpha=0.5)
    ax.plot(x, np.median(scaled, axis=0), color="C0", label="median")
    ax.axhline(1.0, color="black", linestyle="--", linewidth=0.8)
    ax.lines[0].set_label("single runs")
    step_axis(ax, float(x[-1]))
    ax.set(ylabel=r"gap $\cdot\,\ln t\;/\;c$", ylim=(0, 2.5))
    return legend_above(ax)


# --------------------------------------------------------------------------------------------------
# What is said

_CLAIM = Claim(
    id="law",
    title="",
    claim="Whatever the initialization, the gap of a run that classifies both points falls like c/ln t.",
    criterion="exponents within 0.001 of 1, law C/(ln t + κ), constants within 10⁻⁶ of the closed form, in "
    "every run",
    holds="law.holds",
    successes="law.successes",
    paragraphs=(
        "There are {law.starts} starts of each scheme. {law.successes:,} runs were successful and were "
        "followed to 10^{law.decades:.0f} steps. The fitted exponent of 1/ln t differs from 1 by at most "
        "{law.exponent_off:.1e}. The fitted constant differs from that of the closed form by at most "
        "{law.deviation:.1e} of itself.",
        "Over the later half of ln t, gap·ln t stays between {law.scaled_least:.6f} and "
        "{law.scaled_most:.6f} times c. This is what Θ(1/ln t) means. The constants c lie between "
        "{law.c_least:.4g} and {law.c_most:.4g}.",
        "Fitted to the first 10^{law.near_decades:.0f} steps alone, the constant differs from the closed "
        "form by {law.deviation_near_median:.1e} in the median run and by {law.deviation_near:.1e} in the "
        "worst. Fits that were refused because it was too early to tell: {law.refused_near} up to there, "
        "{law.refused} to the end. The last change of an activation pattern in any run came at step "
        "{law.last_transition:,.0f}; the law of that run begins only then.",
    ),
    table=PageTable(
        "law.schemes",
        (
            Column("scheme", "{.name}", True),
            Column("successful", "{.successes}"),
            Column("exponent, off by", "{.exponent_off:.1e}"),
            Column("gap·ln t/c, least", "{.scaled_least:.5f}"),
            Column("most", "{.scaled_most:.5f}"),
            Column("c fitted, off by", "{.deviation:.1e}"),
            Column("to 10¹⁶, median", "{.deviation_near_median:.1e}"),
            Column("worst", "{.deviation_near:.1e}"),
        ),
    ),
    figures=(
        Figure(
            "law",
            "law_gaps",
            _draw,
            "Gap times ln t, divided by the closed-form constant, against the step up to 10^1000 for all "
            "successful runs; every curve tends to one.",
            "gap·ln t/c of {law.successes:,} runs, one line each, and their median. Late steps are spaced "
            "by ln ln t.",
        ),
    ),
)

SECTION = Section(
    name="law",
    title="The law: Θ(1/ln t)",
    description="The law Θ(1/ln t), from every initialization, to 10^1000 steps.",
    key="law",
    experiment=experiment,
    tables=("law", "law_gaps"),
    claims=(_CLAIM,),
)
