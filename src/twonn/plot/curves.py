"""Quantities over the steps: the gap, its rate, and the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from twonn.analysis.exponents import exponents_between
from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, flag, real_array
from twonn.geometry.optimal import optimal_margin
from twonn.plot.families import Member, draw_families
from twonn.plot.found import Laws, brief_label, draw_band
from twonn.plot.parts import (
    NEURON_COLOURS,
    checked_axes,
    decades,
    ink,
    legend_above,
    nearest_sample,
    remark,
    step_axis,
    styled,
    value_axis,
)
from twonn.plot.runs import (
    MOST_COLOURS,
    Curve,
    are_group,
    begun,
    checked_curves,
    draw_curve,
    joined_by_others,
    note_until_joined,
    passing,
    placed,
    renamed,
    restyled,
)
from twonn.results.records import Status
from twonn.results.trajectory import Trajectory
from twonn.values import Floats, number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: A gap below this many times its error has no place among the local exponents. That is its whole error: a
#: line that is drawn has no interval, unlike a law that is fitted.
_CERTAIN = 10.0

#: Where most local exponents of a line are, once its gap falls.
_usual: WeakKeyDictionary[Line2D, Floats] = WeakKeyDictionary()

#: What `law` of `gap` may be beside a function.
_LAWS = ("auto", "found", "closed form")


@styled
def gap(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    *,
    law: Callable[[Floats], ArrayLike] | str | None = "auto",
    envelope: bool | None = None,
    envelope_from: float | None = None,
    **line: Any,
) -> Axes:
    """Draw the robustness gap against ln t, both logarithmic, so that c/ln t is a straight line.

    Parameters
    ----------
    traj : Trajectory, sequence of Trajectory, or mapping of label to Trajectory
        Several are told apart by colours and labels. More than 14 share one of each.
    ax : Axes, optional
        Where to draw; by default a new figure. Calls on the same axes add up to one comparison.
    law : {"auto", "found", "closed form"} or callable, optional
        A law to draw dashed from step 2 on, where it is > 0 and at most the optimal margin. "closed form" is
        that of `twonn.asymptote`, if it is known. "found" is the closed form, or else the law of
        `twonn.fit_rate`, if there is one. "auto", the default, is "found" for a single run and nothing for
        several. Or the gap as a function of an array of ln t.
    envelope : bool, optional
        Whether to shade a band between C φ for the least and the largest C, where the law that was found is
        C φ, such as C/ln t, or the same with a limit. If the band is narrow, the gap looks like Θ(φ). By
        default for a single run, and where `envelope_from` is given.
    envelope_from : int or float, optional
        The band begins at the sample nearest to this step. The default is the square root of the last step.
    **line : Any
        Keywords of Matplotlib's Line2D, such as `color`, `label` and `linestyle`. A label for several runs
        stands for all of them, and a sequence of labels has one for each.

    Returns
    -------
    Axes
        Samples where the gap is 0 or nan, and the steps 0 and 1, where ln t <= 0, have no place on the axes.
        A thin line, grey for a single run and dotted for several, is the error of the gap, where it comes
        near.

    Raises
    ------
    TypeError, ValueError
        If `envelope_from` is not a step of the run, `law` is no function, or a keyword is not one of Line2D.
    """
    curves = checked_curves(traj, line, "law", "envelope", "envelope_from")
    _check_law(law)
    banded = envelope_from is not None if envelope is None else flag("envelope", envelope)
    starts = [_envelope_start(curve.traj, envelope_from) for curve in curves]
    ax = checked_axes(ax)
    curves, several = placed(ax, curves)
    by_default = envelope is None and envelope_from is None
    bands = starts if banded or (by_default and not several) else []
    laws = [Laws(curve.traj) for curve in curves]
    draw_gaps(ax, curves, several, list(zip(laws, bands, strict=False)), by_default)
    _draw_laws(ax, curves, laws, law, several)
    _draw_errors(ax, curves, several)
    if several or any(len(_positive_gap(curve.traj)[0]) for curve in curves):
        _explain_gaps(ax, several)
    return ax


@styled
def scaled_gap(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    *,
    c: ArrayLike | None = None,
    **line: Any,
) -> Axes:
    """Draw gap·ln t against the step; a gap that falls like c/ln t tends to the height c.

    Parameters
    ----------
    traj : Trajectory, sequence of Trajectory, or mapping of label to Trajectory
        Several are told apart by colours and labels. More than 14 share one of each. Of several those are
        left out that failed: at their last sample a point is not classified correctly, or they diverged. The
        legend has their number.
    ax : Axes, optional
        Where to draw; by default a new figure. Calls on the same axes add up to one comparison.
    c : float or array_like, shape (number of trajectories,), optional
        The constants, in the units of x, also of runs that are left out. Each is marked by a dashed line in
        the colour of its trajectory: across the axes for a single trajectory, at the right edge for several,
        whose colours are then those of their constants.
    **line : Any
        Keywords of Matplotlib's Line2D, such as `color`, `label` and `linestyle`. A label for several runs
        stands for all of them, and a sequence of labels has one for each.

    Returns
    -------
    Axes
        Samples where the gap is nan and the steps 0 and 1, where ln t <= 0, are left out.

    Raises
    ------
    TypeError, ValueError
        If there is not one constant for each trajectory, or a keyword is not one of Line2D.
    """
    curves = checked_curves(traj, line)
    limits = None if c is None else _one_each(c, len(curves))
    ax = checked_axes(ax)
    if limits is not None and len(curves) > 1:
        curves = _coloured(curves, limits, named=isinstance(traj, Mapping) or "label" in line)
    curves, _ = placed(ax, curves)
    drawn, left_out = successes(curves)
    draw_scaled_gaps(ax, drawn, left_out)
    if limits is not None:
        shown = [not left_out or curve.traj.success for curve in curves]
        _draw_limits(ax, drawn, limits[shown], len(curves) > 1)
    if left_out:
        remark(ax, left_out)
        _keep_places(ax, curves)
    legend_above(ax)
    return ax


@styled
def local_exponent(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw −d ln gap / d ln ln t, the power of 1/ln t by which the gap falls at each step.

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
        Difference quotients between neighbouring samples, at the mean of their ln ln t. Left out are samples
        whose gap is below ten times its error. Short excursions, and what comes before the largest gap, may
        leave the axis. Dotted lines are the exponents 1 and, where there is room, 1/2.

    Raises
    ------
    TypeError, ValueError
        If a keyword is not one of Line2D.
    """
    ax, curves, _ = begun(traj, ax, line)
    draw_local_exponents(ax, curves)
    legend_above(ax)
    return ax


@styled
def parameters(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw the parameters against the step: one colour per neuron or run, one line style per kind.

    Parameters
    ----------
    traj : Trajectory, sequence of Trajectory, or mapping of label to Trajectory
        A single run has one colour per neuron. Several have one colour each, and neuron 1 has thin lines.
        More than 7 share one colour and label.
    ax : Axes, optional
        Where to draw; by default a new figure. Calls on the same axes add up to one comparison.
    **line : Any
        Keywords of Matplotlib's Line2D, such as `color`, `label` and `alpha`. A label for several runs stands
        for all of them, and a sequence of labels has one for each.

    Returns
    -------
    Axes
        All trained parameters; for d > 1 one line per component of w. Step 0 is left out. If one run goes far
        beyond another, the axis is linear near 0 and logarithmic farther out.

    Raises
    ------
    TypeError, ValueError
        If a keyword is not one of Line2D.
    """
    ax, curves, several = begun(traj, ax, line, MOST_COLOURS)
    ax.set_ylabel(r"parameters ($w$ in 1/[$x$])")
    draw_families(ax, curves, several, _parameters_of)
    return ax


def _parameters_of(traj: Trajectory) -> list[Member]:
    problem = traj.problem
    kinds: list[tuple[str, Floats, str]] = [("w", traj.w, "-")]
    if problem.bias:
        kinds.append(("b", traj.b[..., np.newaxis], "--"))
    if problem.train_output:
        kinds.append(("v", traj.v[..., np.newaxis], ":"))
    members = []
    for neuron, colour in enumerate(NEURON_COLOURS):
        for name, values, style in kinds:
            look = {"linestyle": style, **({"linewidth": 0.6} if neuron else {})}
            alone = {"color": colour, "linestyle": style}
            members.append(Member(f"${name}_{neuron}$", values[:, neuron], look, alone))
    return members


# --------------------------------------------------------------------------------------------------
# The gap


def draw_gaps(
    ax: Axes,
    curves: Sequence[Curve],
    several: bool,
    bands: Sequence[tuple[Laws, float]] = (),
    by_default: bool = False,
) -> None:
    """Draw the gaps of runs, each with a band of its law from the ln t that `bands` has for it, if any."""
    ends: list[float] = []
    for index, curve in enumerate(curves):
        log_t, gaps = _positive_gap(curve.traj)
        if len(bands):
            _draw_envelope(ax, curve, *bands[index], several, by_default)
        x = decades(log_t)
        draw_curve(ax, x, gaps, curve, alone="gap", lacking=_lack_of_gap(curve.traj), zorder=3)
        ends += [float(x[-1])] if len(x) else []
    if ends:
        ax.set_yscale("log")
        step_axis(ax, max(ends), logarithmic=True)
    else:
        note_until_joined(ax, _why_no_gap(curves))
    ax.set_ylabel("robustness gap (units of $x$)")


def _positive_gap(traj: Trajectory) -> tuple[Floats, Floats]:
    """Return ln t and the gap where both are > 0, as logarithmic axes need them."""
    shown = (traj.log_t > 0) & (traj.gap > 0)
    return traj.log_t[shown], traj.gap[shown]


def _envelope_start(traj: Trajectory, envelope_from: float | None) -> float:
    """Return ln of the step where the band of a run begins."""
    if envelope_from is None:
        return float(traj.log_t[-1] / 2)
    return float(traj.log_t[nearest_sample("envelope_from", envelope_from, traj)])


def _draw_envelope(ax: Axes, curve: Curve, laws: Laws, start: float, several: bool, by_default: bool) -> None:
    """Shade between the least and the largest constant C of the law that the gap was found to follow."""
    log_t, gaps = _positive_gap(curve.traj)
    late = log_t >= start
    found = laws.of_band if np.count_nonzero(late) >= 2 else None
    if found is None:
        return
    in_several = {"color": curve.look["color"], "alpha": 0.2, "linewidth": 0.0}
    look = in_several if several else {"color": "C5", "alpha": 0.35, "linewidth": 1.0}
    band = draw_band(ax, found, log_t[late], gaps[late], **look)
    if band is None:
        return
    name = str(band.get_label())
    if several:
        band.set_label(brief_label(name))
    elif by_default:
        passing(band)
    else:
        joined_by_others(band, partial(restyled, {**in_several, "label": brief_label(name)}))


def _check_law(law: object) -> None:
    if law is not None and not callable(law) and law not in _LAWS:
        expected = "a function of ln t, " + ", ".join(map(repr, _LAWS)) + " or None"
        raise ArgumentTypeError("law", law, expected, "Write e.g. lambda log_t: c / log_t.")


def _draw_laws(
    ax: Axes,
    curves: Sequence[Curve],
    laws: Sequence[Laws],
    law: Callable[[Floats], ArrayLike] | str | None,
    several: bool,
) -> None:
    """Draw the laws of runs, or one law that was given."""
    in_several = {"color": ink(ax), "linewidth": 0.9}
    look = in_several if several else {"color": "C1"}
    shown = [(one, _positive_gap(curve.traj)[0]) for curve, one in zip(curves, laws, strict=True)]
    shown = [(one, log_t) for one, log_t in shown if len(log_t)]
    if law is None or (law == "auto" and several) or not shown:
        return
    if callable(law):
        steps = np.concatenate([log_t for _, log_t in shown])
        largest = max(optimal_margin(one.traj.problem) for one, _ in shown)
        drawn = _draw_law(ax, law, "law", np.sort(steps), largest, look)
        if drawn is not None:
            joined_by_others(drawn, partial(restyled, in_several))
        return
    for one, log_t in shown:
        found = one.closed_form if law == "closed form" else one.found
        if found is not None:
            name = found.law.label if several else found.label
            drawn = _draw_law(ax, found.gap, name, log_t, optimal_margin(one.traj.problem), look)
            if drawn is None or several:
                continue
            if law == "auto":
                passing(drawn)
            else:
                joined_by_others(drawn, partial(restyled, {**in_several, "label": found.law.label}))


def _draw_law(
    ax: Axes,
    law: Callable[[Floats], ArrayLike],
    name: str,
    log_t: Floats,
    largest: float,
    look: Mapping[str, Any],
) -> Line2D | None:
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
    if not drawn.any():
        return None
    # The same law of several runs is explained once.
    label = "_nolegend_" if name in [line.get_label() for line in ax.lines] else name
    return ax.plot(decades(steps[drawn]), values[drawn], "--", label=label, zorder=4, **look)[0]


def _draw_errors(ax: Axes, curves: Sequence[Curve], several: bool) -> None:
    """Draw the errors of gaps where they come near."""
    for curve in curves:
        log_t, gaps = _positive_gap(curve.traj)
        traj = curve.traj
        error = traj.gap_error[(traj.log_t > 0) & (traj.gap > 0)]
        if not np.any(error > gaps / 10):
            continue
        known = error > 0
        (line,) = ax.plot(decades(log_t[known]), error[known], color="0.6", linewidth=0.8, label="its error")
        in_several = partial(_draw_as_one_of_several_errors, curve.look["color"])
        if several:
            in_several(line)
        else:
            joined_by_others(line, in_several)


def _draw_as_one_of_several_errors(colour: Any, line: Line2D) -> None:
    name = "error of the gap"
    known = line.axes is not None and name in [other.get_label() for other in line.axes.lines]
    line.set(color=colour, linestyle=":", label="_nolegend_" if known else name)


def _explain_gaps(ax: Axes, several: bool) -> None:
    from matplotlib.lines import Line2D

    handles = ax.get_legend_handles_labels()[0]
    if several:  # bands last: their texts are long, and so share a column
        handles = sorted(handles, key=lambda handle: not isinstance(handle, Line2D))
    legend_above(ax, handles, columns=3 if several else 2)


def _why_no_gap(curves: Sequence[Curve]) -> str:
    """Say why there is no gap to be drawn."""
    if not curves:
        return "no run"
    if all(curve.traj.problem.y[0] == curve.traj.problem.y[1] for curve in curves):
        return "no gap: the labels are equal, so there is no separator"
    if all(curve.traj.end_step < 2 for curve in curves):
        return "no gap past step 1: fewer than two steps were taken"
    return "no gap > 0 past step 1"


def _lack_of_gap(traj: Trajectory) -> str:
    """Say the same of a run among others."""
    return "equal labels, no gap" if traj.problem.y[0] == traj.problem.y[1] else "no gap > 0"


# --------------------------------------------------------------------------------------------------
# The scaled gap


def draw_scaled_gaps(ax: Axes, curves: Sequence[Curve], left_out: str, *, logarithmic: bool = False) -> None:
    """Draw gap·ln t of runs, or say what is left out if nothing else is there.

    The axis of steps is logarithmic in ln t or not.
    """
    ends: list[float] = []
    for curve in curves:
        traj = curve.traj
        shown = (traj.log_t > 0) & np.isfinite(traj.gap)
        x, scaled = decades(traj.log_t[shown]), traj.gap[shown] * traj.log_t[shown]
        draw_curve(ax, x, scaled, curve, lacking=_lack_of_gap(traj))
        ends += [float(x[-1])] if len(x) else []
    ax.set_ylabel(r"gap $\cdot\,\ln t$ (units of $x$)")
    if ends:
        step_axis(ax, max(ends), logarithmic=logarithmic)
        value_axis(ax.yaxis)
    else:
        note_until_joined(ax, left_out or _why_no_gap(curves))


def successes(curves: Sequence[Curve]) -> tuple[list[Curve], str]:
    """Return the curves of several runs that succeeded, and a sentence on the others if there are any."""
    kept = [curve for curve in curves if curve.traj.success]
    failed = [curve for curve in curves if not curve.traj.success]
    if len(curves) < 2 or not failed:
        return list(curves), ""
    whose = ""
    if are_group(curves):
        label = curves[0].label
        counted = label == number_of(len(curves), "run")
        whose = "" if counted or label.startswith("_") else f" of {label}"
        if kept:  # the first one has the entry of the legend for all of them
            kept[0] = replace(kept[0], label=number_of(len(kept), "run") if counted else label, leads=True)
    diverged = sum(curve.traj.status is Status.DIVERGED for curve in failed)
    reason = "not both points are classified" + (f" ({diverged:,} diverged)" if diverged else "")
    verb = "is" if len(failed) == 1 else "are"
    return kept, (
        f"{len(failed):,} of {number_of(len(curves), 'run')}{whose} {verb} not shown: "
        f"{'diverged' if diverged == len(failed) else reason}"
    )


def _coloured(curves: Sequence[Curve], limits: Floats, named: bool) -> list[Curve]:
    """Colour each run by its constant, so that the eye matches it with its limit."""
    from matplotlib import colormaps, colors

    shown = np.array([curve.traj.success for curve in curves])
    norm = colors.Normalize()
    norm.autoscale(limits[shown] if shown.any() else limits)
    found = []
    for curve, limit in zip(curves, limits, strict=True):
        # The pale end of the map would be lost on white.
        look = {"color": colormaps["cividis"](0.9 * norm(limit)), "linestyle": "-"}
        given = {**look, "linewidth": 0.7, "alpha": 0.7, **curve.given}
        found.append(replace(curve, given=given, label=curve.label if named else "_nolegend_"))
    return found


def _draw_limits(ax: Axes, curves: Sequence[Curve], limits: Floats, at_edge: bool) -> None:
    """Mark constants in the colours of their runs."""
    for curve, limit in zip(curves, limits, strict=True):
        look = {"color": curve.look["color"], "linestyle": "--"}
        line = ax.axhline(limit, 0.94 if at_edge else 0.0, 1.0, **look)
    if len(limits):
        line.set_label(r"$c$, reached as $t\to\infty$")
        joined_by_others(line, partial(renamed, "_nolegend_"))


def _keep_places(ax: Axes, curves: Sequence[Curve]) -> None:
    """Have runs that are left out keep their colours and their numbers, for others that join."""
    for curve in curves:
        if curve.leads and not curve.traj.success and not are_group(curves):
            draw_curve(ax, np.empty(0), np.empty(0), replace(curve, label="_nolegend_"))


def _one_each(c: ArrayLike, count: int) -> Floats:
    limits = np.atleast_1d(real_array("c", c))
    if limits.shape != (count,):
        raise ArgumentValueError(
            "c",
            Verbatim(f"shape {limits.shape}"),
            f"one constant for each of {count} trajectories",
            "Give the constants of all of them, also of those that are left out because they failed.",
        )
    return limits


# --------------------------------------------------------------------------------------------------
# The local exponent


def draw_local_exponents(ax: Axes, curves: Sequence[Curve], *, logarithmic: bool = False) -> None:
    """Draw the local exponents of runs, over an axis of steps that is logarithmic in ln t or not."""
    ends: list[float] = []
    for curve in curves:
        traj = curve.traj
        known = (traj.log_t > 0) & (traj.gap > 0) & (traj.gap >= _CERTAIN * traj.gap_error)
        log_t, exponents = exponents_between(traj.log_t[known], traj.gap[known])
        lacking = "gap below its error" if np.any(traj.gap > 0) else _lack_of_gap(traj)
        drawn = draw_curve(ax, decades(log_t), exponents, curve, lacking=lacking)
        if len(log_t):
            falling = log_t >= traj.log_t[np.nanargmax(traj.gap)]
            _usual[drawn] = np.quantile(exponents[falling] if falling.any() else exponents, (0.1, 0.9))
            ends.append(float(decades(log_t[-1])))
    ax.set_ylabel(r"$-\,\mathrm{d}\ln\mathrm{gap}\;/\;\mathrm{d}\ln\ln t$")
    usual = [_usual[line] for line in ax.lines if line in _usual]  # also of earlier calls
    if not usual:
        few = "fewer than two samples past step 1 whose gap is above its error"
        has_gap = any(np.any(curve.traj.gap > 0) for curve in curves)
        note_until_joined(ax, few if has_gap else _why_no_gap(curves))
        return
    step_axis(ax, max(ends, default=0.0), logarithmic=logarithmic)
    value_axis(ax.yaxis)
    low, high = min(0.0, *(one[0] for one in usual)), max(1.2, *(one[1] for one in usual))
    low, high = low - 0.1 * (high - low), high + 0.25 * (high - low)
    ax.set_ylim(low, high)
    _mark_exponents(ax, high - low)


def _mark_exponents(ax: Axes, height: float) -> None:
    marked = [(1.0, r"$1/\ln t$"), (0.5, r"$1/\sqrt{\ln t}$")]
    for exponent, rate in marked if height < 8 else marked[:1]:
        passing(ax.axhline(exponent, color=ink(ax), linestyle=":", linewidth=0.8))
        passing(
            ax.annotate(
                rate,
                (1.0, exponent),
                (2, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize="small",
            )
        )
