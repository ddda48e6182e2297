"""The gap of many runs at once: bands between quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twonn.arguments import ArgumentTypeError
from twonn.plot.parts import (
    checked_axes,
    decades,
    legend_above,
    marker_of,
    note,
    number_text,
    step_axis,
    styled,
    value_axis,
)
from twonn.problem.problem import Problem
from twonn.sweeps.bands import Band
from twonn.sweeps.result import SweepResult, gap_bands_of
from twonn.values import number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def gap_bands(sweep: SweepResult, ax: Axes | None = None, *, scaled: bool = False) -> Axes:
    """Draw the gap of the successful runs of a sweep: its median, and a band with nine of ten runs.

    Parameters
    ----------
    sweep : SweepResult
        One that keeps the gap (trajectories=["gap"]), as `twonn.sweep` returns it or `twonn.load` opens it.
    ax : Axes, optional
        Where to draw; by default a new figure.
    scaled : bool
        False draws the gap, on logarithmic axes on which c/ln t is a straight line. True draws gap·ln t,
        which tends to a constant where the gap falls like 1/ln t.

    Returns
    -------
    Axes
        A line and a band from the 5 % to the 95 % quantile for each problem and optimizer. The legend says
        how many of its runs succeeded; the others have no place in the figure. Steps 0 and 1 are left out.

    Raises
    ------
    TypeError, ValueError
        If it is not a sweep, or does not keep the gap.
    """
    if not isinstance(sweep, SweepResult):
        expected = "a twonn.SweepResult"
        raise ArgumentTypeError("sweep", sweep, expected, "Give what twonn.sweep or twonn.load returns.")
    bands = list(gap_bands_of(sweep))
    ax = checked_axes(ax)
    drawn = [band for band in bands if np.any(band.quantiles > 0)]
    ax.set_ylabel(r"gap $\cdot\,\ln t$ (units of $x$)" if scaled else "robustness gap (units of $x$)")
    if not drawn:
        runs = number_of(sum(band.runs for band in bands), "run")
        note(ax, f"no gap to draw: {sum(band.successes for band in bands):,} of {runs} succeeded")
        return ax
    for index, band in enumerate(drawn):
        _draw(ax, band, f"C{index % 10}", scaled, _named(band, sweep.problems))
    step_axis(ax, max(float(decades(band.log_t[-1:])[0]) for band in drawn), logarithmic=not scaled)
    if scaled:
        value_axis(ax.yaxis)
        ax.set_ylim(bottom=0)
    else:
        ax.set_yscale("log")
    _put_legend(ax, len(drawn))
    return ax


def _put_legend(ax: Axes, lines: int) -> None:
    """Put the legend above the axes, in smaller letters if it has many lines."""
    legend_above(ax, columns=1 if lines < 4 else 2)
    if lines > 3 and (legend := ax.get_legend()) is not None:
        for text in legend.get_texts():
            text.set_fontsize("xx-small")


def _draw(ax: Axes, band: Band, colour: str, scaled: bool, name: str) -> None:
    low, middle, high = band.quantiles * (band.log_t if scaled else 1.0)
    x = decades(band.log_t)
    if not scaled:  # zeros have no place on the axis
        low, middle, high = (np.where(values > 0, values, np.nan) for values in (low, middle, high))
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=colour, marker=marker_of(x), label=name)


def _named(band: Band, problems: tuple[Problem, ...]) -> str:
    """Say which runs these are, and how many of them succeeded."""
    names = [band.optimizer] if band.optimizer else []
    if band.problem is not None:
        tells = len({one.step_size for one in problems}) == len(problems)
        step_size = problems[band.problem].step_size
        names.insert(0, f"$\\eta={number_text(step_size)}$" if tells else f"problem {band.problem}")
    counted = f"{band.successes:,} of {number_of(band.runs, 'run')}"
    return f"{', '.join(names)}: {counted}" if names else counted
