"""The activation pattern over the steps, and episodes of sliding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twonn.plot.parts import (
    NEURON_COLOURS,
    checked_axes,
    checked_trajectory,
    decades,
    legend_above,
    note,
    step_axis,
    styled,
)
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

#: One row or line per pair of neuron and point, in the order of the bits of a pattern.
PAIRS = tuple((neuron, point) for neuron in (0, 1) for point in (0, 1))


@styled
def pattern(traj: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the activation pattern as a ribbon over the steps, one row per neuron and point.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        A row is filled in the colour of its neuron where that neuron is active on that point. A pattern
        holds from its transition to the next; after the last recorded transition, from one sampled step to
        the next. A row is hatched where the neuron slides along its kink at that point: there it is active in
        some of the steps, and flips every few of them. Step 0 is not on the axis.
    """
    from matplotlib.patches import Patch

    checked_trajectory(traj)
    ax = checked_axes(ax)
    known_to = _recorded_to(traj)
    edges, codes = _ribbon(traj, known_to)
    if not len(codes):
        note(ax, "fewer than two steps were taken")
        return ax
    episodes = list(_episodes(traj))
    for row, (neuron, _) in enumerate(PAIRS):
        active = (codes >> row) & 1
        for _, start, stop in (one for one in episodes if one[0] == row):
            active[(edges[:-1] >= start) & (edges[1:] <= stop)] = 0  # thousands of bars, covered below
        bars = [(edges[i], edges[j] - edges[i]) for i, j in _stretches(active)]
        ax.broken_barh(bars, (row - 0.35, 0.7), facecolors=NEURON_COLOURS[neuron], linewidth=0)
    for row, start, stop in episodes:
        ax.broken_barh(
            [(start, stop - start)],
            (row - 0.35, 0.7),
            facecolors="white",
            edgecolors=NEURON_COLOURS[row // 2],
            linewidth=0.6,
            hatch="//////",
        )
    ax.set_ylim(3.6, -0.6)
    ax.set_yticks(range(4), [f"neuron {neuron} on $x_{point}$" for neuron, point in PAIRS])
    ax.grid(False, axis="y")
    step_axis(ax, edges[-1])
    ax.set_xlim(edges[0], edges[-1])
    keys: list[Artist] = [
        Patch(color=colour, label=f"neuron {neuron} active") for neuron, colour in enumerate(NEURON_COLOURS)
    ]
    if len(traj.slides):
        keys.append(Patch(facecolor="white", edgecolor="0.3", hatch="//////", label="slides"))
    if known_to < traj.log_t[-1]:
        line = ax.axvline(known_to / math.log(10), color="black", linestyle=":")
        line.set_label("samples only from here")
        keys.append(line)
    legend_above(ax, keys, columns=3 if len(keys) < 4 else 2)
    return ax


@styled
def slides(traj: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the episodes in which a neuron slides along its kink, as its active fraction over the steps.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        One colour per neuron, one line style per point. With gradient descent the fraction at a sampled step
        is θ = s_k G_ik/(s_i G_ii), where k is the point that the neuron serves. Other optimizers have a level
        line at the recorded fraction. A bar marks where an episode begins. A dot marks the recorded fraction
        where it ends, or at the last step.
    """
    checked_trajectory(traj)
    ax = checked_axes(ax)
    ax.set_ylabel("active fraction")
    if not len(traj.slides):
        note(ax, "no neuron slid along its kink for more than 1,024 steps")
        return ax
    labelled: set[int] = set()
    for slide, (row, start, stop) in zip(traj.slides, _episodes(traj), strict=True):
        colour, line = NEURON_COLOURS[row // 2], "--" if row % 2 else "-"
        x, fraction = _active_fraction(traj, slide, start, stop)
        (curve,) = ax.plot(x, fraction, line, color=colour)
        if row not in labelled:
            curve.set_label(f"neuron {row // 2} on $x_{row % 2}$")
            labelled.add(row)
        ax.plot(x[:1], fraction[:1], "|", color=colour, markersize=8)
        ax.plot(x[-1:], [slide["active_fraction"]], "o", color=colour, clip_on=False)
    last = float(decades(traj.log_t[-1]))
    ax.set_ylim(0, 1.05)
    step_axis(ax, last)
    ax.set_xlim(0, last)
    legend_above(ax, columns=2)
    return ax


# --------------------------------------------------------------------------------------------------
# Parts


def _recorded_to(traj: Trajectory) -> float:
    """Return ln of the step up to which every transition is on record."""
    complete = len(traj.transitions) == traj.n_transitions
    return float(traj.log_t[-1] if complete else traj.transitions["log_t"][-1])


def _ribbon(traj: Trajectory, known_to: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Return edges in decades from step 1 on, and the pattern between each two of them."""
    recorded, later = traj.transitions, traj.log_t > known_to
    starts = np.concatenate([[-np.inf], recorded["log_t"], traj.log_t[later], traj.log_t[-1:]])
    codes = np.concatenate([traj.pattern[:1], recorded["after"], traj.pattern[later]])
    edges = decades(np.maximum(starts, 0.0))
    lasting = edges[1:] > edges[:-1]
    return np.append(edges[:-1][lasting], edges[-1:]), codes[lasting]


def _stretches(active: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return pairs (i, j) such that active[i:j] is a maximal stretch of ones."""
    flips = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0))
    return flips.reshape(-1, 2)


def _episodes(traj: Trajectory) -> Iterator[tuple[int, float, float]]:
    """Give the row of every sliding episode, and the decades at which it begins and ends."""
    last = float(decades(traj.log_t[-1]))
    for slide in traj.slides:
        # Steps beyond binary64 are inf, as are ends to come: both are at the end of the axis.
        start, stop = (
            min(math.log10(step), last) if step > 0 else 0.0
            for step in (float(slide["t_enter"]), float(slide["t_exit"]))
        )
        yield 2 * int(slide["neuron"]) + int(slide["point"]), start, stop


def _active_fraction(traj: Trajectory, slide: np.void, start: float, stop: float) -> tuple[Floats, Floats]:
    """Return decades and active fractions along an episode."""
    x = decades(traj.log_t)
    within = (x >= start) & (x <= stop)
    if traj.optimizer is not None or not within.any():
        return np.array([start, stop]), np.full(2, slide["active_fraction"])
    wrong = int(slide["point"])
    points = traj.problem.x
    own = points[wrong] @ points[wrong] + traj.problem.bias
    shared = points[0] @ points[1] + traj.problem.bias
    margins = traj.margins[within]
    log_slopes = -margins if traj.problem.loss == "exponential" else -np.logaddexp(0.0, margins)
    fraction = np.exp(log_slopes[:, 1 - wrong] - log_slopes[:, wrong]) * shared / own
    return x[within], fraction
