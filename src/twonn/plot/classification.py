"""How well the points are classified over the steps: the loss, the margins, and the distances."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twonn.geometry.optimal import optimal_margin
from twonn.plot.families import Member, draw_families
from twonn.plot.parts import (
    decades,
    far_scale,
    legend_above,
    number_text,
    power_of_ten,
    roomy_locator,
    step_axis,
    styled,
)
from twonn.plot.runs import (
    MOST_COLOURS,
    Curve,
    begun,
    draw_curve,
    leave_diverged_out_of_view,
    note_until_joined,
)
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A loss that falls by more decades than this is drawn on an axis that is squeezed far down.
_FAR_DECADES = 50.0


@styled
def loss(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw the loss against the step, on a logarithmic axis.

    Parameters
    ----------
    traj : Trajectory, sequence of Trajectory, or mapping of label to Trajectory
        Several are told apart by colours and labels. More than 14 share one of each.
    ax : Axes, optional
        Where to draw; by default a new figure. Calls on the same axes add up to one comparison.
    **line : Any
        Keywords of Matplotlib's Line2D, such as `color`, `label` and `linestyle`. A label for several runs
        stands for all of them, and a sequence of labels has one for each.

    Returns
    -------
    Axes
        The loss has its place at log10 L, because L itself may be below the range of binary64. Step 0 is left
        out.

    Raises
    ------
    TypeError, ValueError
        If a keyword is not one of Line2D.
    """
    ax, curves, _ = begun(traj, ax, line)
    draw_losses(ax, curves)
    legend_above(ax)
    return ax


@styled
def margins(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw the functional margins y_i f(x_i) against the step: solid for x_0, dashed for x_1.

    Parameters
    ----------
    traj : Trajectory, sequence of Trajectory, or mapping of label to Trajectory
        Several are told apart by colours and labels. More than 7 share one of each.
    ax : Axes, optional
        Where to draw; by default a new figure. Calls on the same axes add up to one comparison.
    **line : Any
        Keywords of Matplotlib's Line2D, such as `color`, `label` and `alpha`. A label for several runs stands
        for all of them, and a sequence of labels has one for each.

    Returns
    -------
    Axes
        A point is classified where its margin is above the dotted line at 0. Step 0 is left out. If one run
        goes far beyond another, the axis is linear near 0 and logarithmic farther out.

    Raises
    ------
    TypeError, ValueError
        If a keyword is not one of Line2D.
    """
    ax, curves, several = begun(traj, ax, line, MOST_COLOURS)
    ax.set_ylabel("margins $y_i f(x_i)$")
    draw_families(ax, curves, several, lambda one: _of_points(one.margins), [0.0])
    return ax


@styled
def distances(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw how far each point is from being misclassified: solid for x_0, dashed for x_1.

    Parameters
    ----------
    traj : Trajectory, sequence of Trajectory, or mapping of label to Trajectory
        Several are told apart by colours and labels. More than 7 share one of each.
    ax : Axes, optional
        Where to draw; by default a new figure. Calls on the same axes add up to one comparison.
    **line : Any
        Keywords of Matplotlib's Line2D, such as `color`, `label` and `alpha`. A label for several runs stands
        for all of them, and a sequence of labels has one for each.

    Returns
    -------
    Axes
        The lower line of a run is its robust margin, and the dotted line is the optimal one. A distance is 0
        where the point is misclassified. Infinite ones and step 0 are left out.

    Raises
    ------
    TypeError, ValueError
        If a keyword is not one of Line2D.
    """
    ax, curves, several = begun(traj, ax, line, MOST_COLOURS)
    ax.set_ylabel("distances (units of $x$)")
    optimal = sorted({optimal_margin(curve.traj.problem) for curve in curves} - {math.inf})
    draw_families(ax, curves, several, lambda one: _of_points(one.distances), optimal, "optimal margin")
    return ax


def draw_losses(ax: Axes, curves: Sequence[Curve], *, logarithmic: bool = False) -> None:
    """Draw the losses of runs, over an axis of steps that is logarithmic in ln t or not."""
    ends: list[float] = []
    for curve in curves:
        traj = curve.traj
        shown = ((traj.log_t > 0) if logarithmic else (traj.log_t >= 0)) & np.isfinite(traj.log_loss)
        x = decades(traj.log_t[shown])
        draw_curve(ax, x, decades(traj.log_loss[shown]), curve, lacking="no finite loss")
        ends += [float(x[-1])] if len(x) else []
    ax.set_ylabel("loss $L$")
    if not ends:
        note_until_joined(ax, "no step was taken" if curves else "no run")
        return
    leave_diverged_out_of_view(ax)
    step_axis(ax, max(ends), logarithmic=logarithmic)
    _loss_axis(ax)


def _loss_axis(ax: Axes) -> None:
    """Label the axis of y, on which log10 L has its place, with powers of ten."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    if float(np.ptp(ax.dataLim.intervaly)) > _FAR_DECADES:
        far_scale(ax, 5.0)
    ax.yaxis.set_major_locator(roomy_locator(ax.yaxis, _round_losses))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda decade, _: f"${_loss_text(decade)}$"))


def _round_losses(low: float, high: float) -> Floats:
    """Return where to label log10 L: at whole decades, or within few of them at round numbers."""
    from matplotlib.ticker import MaxNLocator

    if high - low > _FAR_DECADES:
        powers = 10.0 ** np.arange(math.ceil(math.log10(max(abs(low), abs(high)))) + 1)
        return np.concatenate([-powers, [0.0], powers])
    if high - low > 1.7:
        return np.asarray(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True).tick_values(low, high))
    if high - low > 0.8:
        whole = np.arange(math.floor(low), math.ceil(high) + 1)
        return np.add.outer(whole, np.log10([1, 2, 5])).ravel()
    # Relative to a power of ten, as the loss itself may be beyond binary64.
    base = math.floor(low)
    ticks = np.asarray(MaxNLocator(6).tick_values(10 ** (low - base), 10 ** (high - base)))
    return np.asarray(base + np.log10(ticks[ticks > 0]))


def _loss_text(decade: float) -> str:
    """Return 10^decade in mathematical notation."""
    whole = round(decade)
    if abs(decade - whole) < 1e-9:
        return power_of_ten(whole)
    if abs(decade) < 4:
        return number_text(10**decade, 4)
    below = math.floor(decade)
    return rf"{number_text(10 ** (decade - below), 4)}\cdot 10^{{{below}}}"


def _of_points(values: Floats) -> list[Member]:
    return [
        Member(f"$x_{point}$", values[:, point], {"linestyle": style})
        for point, style in enumerate(("-", "--"))
    ]
