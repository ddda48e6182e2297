"""Quantities over the steps: the gap, its rate, and the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn.analysis.asymptote import asymptote
from twonn.analysis.exponents import exponents_between
from twonn.analysis.laws import Law
from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, real_array
from twonn.geometry.optimal import optimal_margin
from twonn.plot.parts import (
    NEURON_COLOURS,
    checked_axes,
    checked_trajectories,
    checked_trajectory,
    decades,
    legend_above,
    marker_of,
    nearest_sample,
    note,
    number_text,
    power_of_ten,
    step_axis,
    styled,
    value_axis,
)
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A gap below this many times its error has no place among the local exponents. That is its whole error: a
#: line that is drawn has no interval, unlike a law that is fitted.
_CERTAIN = 10.0


@styled
def gap(
    traj: Trajectory,
    ax: Axes | None = None,
    *,
    law: Callable[[Floats], ArrayLike] | str | None = "closed form",
    envelope_from: float | None = None,
) -> Axes:
    """Draw the robustness gap against ln t, both logarithmic, so that c/ln t is a straight line.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.
    law : callable or "closed form", optional
        The gap as a function of an array of ln t; by default that of `twonn.asymptote`, if it is known. It
        is drawn dashed from step 2 on, where it is > 0 and at most the optimal margin.
    envelope_from : int or float, optional
        The shaded band lies between c/ln t for the smallest and the largest gap·ln t from the sample nearest
        to this step on. The default is the square root of the last step. If the band is narrow, the gap looks
        like Θ(1/ln t).

    Returns
    -------
    Axes
        Samples where the gap is 0 or nan, and the steps 0 and 1, where ln t <= 0, have no place on the axes.
        A grey line is the error of the gap, where it comes near.

    Raises
    ------
    TypeError, ValueError
        If `envelope_from` is not a step of the run, or `law` no function.
    """
    checked_trajectory(traj)
    predicted, name = _law(traj, law)
    ax = checked_axes(ax)
    shown = (traj.log_t > 0) & (traj.gap > 0)
    x, values = decades(traj.log_t[shown]), traj.gap[shown]
    if not len(x):
        note(ax, _why_no_gap(traj))
    _draw_envelope(ax, traj, shown, envelope_from)
    ax.plot(x, values, marker=marker_of(x), label="gap", zorder=3)
    if predicted is not None and len(x):
        _draw_law(ax, predicted, name, traj.log_t[shown], optimal_margin(traj.problem))
    error = traj.gap_error[shown]
    if len(x) and np.any(error > values / 10):
        known = error > 0
        ax.plot(x[known], error[known], color="0.6", linewidth=0.8, label="its error")
    if len(x):
        ax.set_yscale("log")
        step_axis(ax, x[-1], logarithmic=True)
        legend_above(ax, columns=2)
    ax.set_ylabel("robustness gap (units of $x$)")
    return ax


@styled
def scaled_gap(
    traj: Trajectory | Sequence[Trajectory],
    ax: Axes | None = None,
    *,
    c: ArrayLike | None = None,
) -> Axes:
    """Draw gap·ln t against the step; a gap that falls like c/ln t tends to the height c.

    Parameters
    ----------
    traj : Trajectory or sequence of Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.
    c : float or array_like, shape (number of trajectories,), optional
        The constants, in the units of x. Each is marked by a dashed line in the colour of its
        trajectory: across the axes for a single trajectory, at the right edge for several.

    Returns
    -------
    Axes
        Samples where the gap is nan and the steps 0 and 1, where ln t <= 0, are left out.

    Raises
    ------
    ValueError
        If there is not one constant for each trajectory.
    """
    ax = checked_axes(ax)
    trajectories = checked_trajectories(traj)
    limits = None if c is None else _one_each(c, trajectories)
    # Coloured by its constant, so that the eye matches each trajectory with its limit.
    colours = _colours(limits, len(trajectories))
    several = len(trajectories) > 1
    width, opacity = (0.7, 0.7) if several else (None, None)
    last = -math.inf
    for one, colour in zip(trajectories, colours, strict=True):
        shown = (one.log_t > 0) & np.isfinite(one.gap)
        if shown.any():
            last = max(last, float(decades(one.log_t[shown][-1])))
        x, scaled = decades(one.log_t[shown]), one.gap[shown] * one.log_t[shown]
        ax.plot(x, scaled, color=colour, linewidth=width, alpha=opacity, marker=marker_of(x))
    ax.set_ylabel(r"gap $\cdot\,\ln t$ (units of $x$)")
    if last == -math.inf:
        note(ax, _why_no_gap(trajectories[0]) if trajectories else "no run")
        return ax
    step_axis(ax, last)
    value_axis(ax.yaxis)
    if limits is not None:
        for limit, colour in zip(limits, colours, strict=True):
            ax.axhline(limit, 0.94 if several else 0.0, 1.0, color=colour, linestyle="--")
        ax.lines[-1].set_label(r"$c$, reached as $t\to\infty$")
        legend_above(ax)
    return ax


@styled
def local_exponent(traj: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw −d ln gap / d ln ln t, the power of 1/ln t by which the gap falls at each step.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        Difference quotients between neighbouring samples, at the mean of their ln ln t. Left out are samples
        whose gap is below ten times its error. Short excursions, and what comes before the largest gap, may
        leave the axis. Dotted lines are the exponents 1 and, where there is room, 1/2.
    """
    checked_trajectory(traj)
    ax = checked_axes(ax)
    known = (traj.log_t > 0) & (traj.gap > 0) & (traj.gap >= _CERTAIN * traj.gap_error)
    log_t, exponents = exponents_between(traj.log_t[known], traj.gap[known])
    ax.set_ylabel(r"$-\,\mathrm{d}\ln\mathrm{gap}\;/\;\mathrm{d}\ln\ln t$")
    if not len(log_t):
        few = "fewer than two samples past step 1 whose gap is above its error"
        note(ax, _why_no_gap(traj) if not np.any(traj.gap > 0) else few)
        return ax
    ax.plot(decades(log_t), exponents, marker=marker_of(log_t))
    step_axis(ax, float(decades(log_t[-1])))
    value_axis(ax.yaxis)
    falling = log_t >= traj.log_t[np.nanargmax(traj.gap)]
    usual = np.quantile(exponents[falling] if falling.any() else exponents, (0.1, 0.9))
    low, high = min(0.0, usual[0]), max(1.2, usual[1])
    low, high = low - 0.1 * (high - low), high + 0.25 * (high - low)
    ax.set_ylim(low, high)
    marked = [(1.0, r"$1/\ln t$"), (0.5, r"$1/\sqrt{\ln t}$")]
    for exponent, rate in marked if high - low < 8 else marked[:1]:
        ax.axhline(exponent, color="black", linestyle=":", linewidth=0.8)
        ax.annotate(
            rate,
            (1.0, exponent),
            (2, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    return ax


@styled
def parameters(traj: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the parameters against the step: one colour per neuron, one line style per kind.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        All trained parameters; for d > 1 one line per component of w. Step 0 is left out.
    """
    checked_trajectory(traj)
    ax = checked_axes(ax)
    problem = traj.problem
    kinds = [("w", traj.w, "-")]
    if problem.bias:
        kinds.append(("b", traj.b[..., np.newaxis], "--"))
    if problem.train_output:
        kinds.append(("v", traj.v[..., np.newaxis], ":"))
    shown = traj.log_t >= 0
    x = decades(traj.log_t[shown])
    for neuron, colour in enumerate(NEURON_COLOURS):
        for name, values, line in kinds:
            curves = ax.plot(x, values[shown, neuron], line, color=colour, marker=marker_of(x))
            curves[0].set_label(f"${name}_{neuron}$")
    ax.set_ylabel(r"parameters ($w$ in 1/[$x$])")
    if shown.any():
        step_axis(ax, x[-1])
        value_axis(ax.yaxis)
        legend_above(ax, columns=2 * len(kinds))
    else:
        note(ax, "no step was taken")
    return ax


# --------------------------------------------------------------------------------------------------
# Parts of the figures


def _draw_envelope(ax: Axes, traj: Trajectory, shown: NDArray[np.bool_], envelope_from: float | None) -> None:
    """Shade between the least and the largest constant C with gap = C/ln t from a step on."""
    if envelope_from is not None:
        first = traj.log_t[nearest_sample("envelope_from", envelope_from, traj)]
    else:
        first = traj.log_t[-1] / 2
    log_t = traj.log_t[shown & (traj.log_t >= first)]
    scaled = traj.gap[shown & (traj.log_t >= first)] * log_t
    if len(log_t) < 2:
        return
    low, high = scaled.min(), scaled.max()
    ends = log_t[[0, -1]]  # the edges are straight lines on these axes
    ax.fill_between(
        decades(ends),
        low / ends,
        high / ends,
        color="C5",
        alpha=0.35,
        linewidth=1.0,
        label=rf"gap$\cdot\ln t$ in $[{number_text(low)},\,{number_text(high)}]$"
        + f"\nfrom step ${power_of_ten(float(decades(log_t[0])))}$",
    )


def _law(traj: Trajectory, law: object) -> tuple[Callable[[Floats], ArrayLike] | None, str]:
    """Return a function of ln t and what to call it."""
    if law is None or callable(law):
        return law, "law"
    if law != "closed form":
        expected = "a function of ln t, 'closed form' or None"
        raise ArgumentTypeError("law", law, expected, "Write e.g. lambda log_t: c / log_t.")
    limit = asymptote(traj.problem, traj)
    return limit.gap, f"closed form,\n{Law(limit.law).label}"


def _draw_law(ax: Axes, law: Callable[[Floats], ArrayLike], name: str, log_t: Floats, largest: float) -> None:
    steps = np.geomspace(log_t[0], log_t[-1], 400)
    with np.errstate(all="ignore"):
        values = np.asarray(law(steps), dtype=np.float64)
    if values.shape != steps.shape:
        raise ArgumentValueError(
            "law",
            Verbatim(f"values of shape {values.shape} for ln t of shape {steps.shape}"),
            "one gap for each ln t",
            "Write it with NumPy functions, as in lambda log_t: c / (log_t + K).",
        )
    drawn = (values > 0) & (values <= largest)
    if drawn.any():
        ax.plot(decades(steps[drawn]), values[drawn], "--", color="C1", label=name, zorder=4)


def _why_no_gap(traj: Trajectory) -> str:
    """Say why there is no gap to be drawn."""
    if traj.problem.y[0] == traj.problem.y[1]:
        return "no gap: the labels are equal, so there is no separator"
    if traj.end_step < 2:
        return "no gap past step 1: fewer than two steps were taken"
    return "no gap > 0 past step 1"


def _one_each(c: ArrayLike, trajectories: Sequence[Trajectory]) -> Floats:
    limits = np.atleast_1d(real_array("c", c))
    if limits.shape != (len(trajectories),):
        raise ArgumentValueError(
            "c",
            Verbatim(f"shape {limits.shape}"),
            f"one constant for each of {len(trajectories)} trajectories",
            "Leave out the constants of trajectories that are not drawn.",
        )
    return limits


def _colours(limits: Floats | None, count: int) -> list[object]:
    """Return a colour per trajectory: that of its constant, if there is something to tell apart."""
    from matplotlib import colormaps, colors

    if limits is None or count < 2:
        return ["C0"] * count
    norm = colors.Normalize(limits.min(), limits.max())
    # The pale end of the map would be lost on white.
    return [colormaps["cividis"](0.9 * norm(limit)) for limit in limits]
