"""Several lines of each run, such as its parameters: told apart by colour or, beside other runs, by style."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from twonn.plot.parts import decades, far_axis, far_scale, ink, legend_above, marker_of, step_axis, value_axis
from twonn.plot.runs import (
    Curve,
    described,
    joined_by_others,
    leave_diverged_out_of_view,
    note_divergence,
    note_until_joined,
    passing,
    register,
    restyled,
)
from twonn.results.records import Status
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


#: Where one run goes this many times farther from 0 than another, the axis is logarithmic far from 0.
_FAR = 30.0

#: Dotted lines across.
_marks: WeakSet[Artist] = WeakSet()

#: How far runs go from 0, by their first lines.
_reach: WeakKeyDictionary[Artist, float] = WeakKeyDictionary()


@dataclass(frozen=True)
class Member:
    """One of the quantities of a run.

    Attributes
    ----------
    name : str
        For the legend.
    values : ndarray, shape (n,) or (n, c)
        At all samples; several columns look alike.
    style : dict
        Keywords of Line2D that tell it from the others, whatever its colour.
    alone : dict
        The same for a single run, whose lines need not share a colour, if that differs.
    """

    name: str
    values: Floats
    style: dict[str, Any]
    alone: dict[str, Any] = field(default_factory=dict)


def draw_families(
    ax: Axes,
    curves: Sequence[Curve],
    several: bool,
    members_of: Callable[[Trajectory], list[Member]],
    marks: Iterable[float] = (),
    name_of_marks: str = "_nolegend_",
) -> None:
    """Draw all members of all runs over the steps from 1 on, and dotted lines across, with a legend."""
    ends: list[float] = []
    keys: dict[str, Member] = {}
    for curve in curves:
        members = members_of(curve.traj)
        # A single run without a colour or name of its own is explained by the lines themselves.
        simple = not (several or curve.label or "color" in curve.given)
        ends += _draw_family(ax, curve, members, simple)
        keys |= {} if simple else {member.name: member for member in members}
    if ends:
        for height in marks:
            _mark(ax, height, name_of_marks)
        leave_diverged_out_of_view(ax)
        step_axis(ax, max(ends))
        _scale(ax)
    elif curves:
        note_until_joined(ax, "no step was taken")
    for member in keys.values():
        (key,) = ax.plot([], [], color=ink(ax, 0.65), label=member.name, **member.style)
        passing(key)
    if ends or several:
        handles = sorted(ax.get_legend_handles_labels()[0], key=_marks.__contains__)
        legend_above(ax, handles, columns=3 if keys else 6)


def _mark(ax: Axes, height: float, label: str) -> None:
    """Draw a dotted line across, unless there is one, and explain such lines once."""
    drawn = [line for line in ax.lines if line in _marks]
    if any(np.array_equal(line.get_ydata(), [height, height]) for line in drawn):
        return
    line = ax.axhline(height, color=ink(ax), linestyle=":", linewidth=0.8)
    _marks.add(line)
    if not drawn:
        line.set_label(label)


def _draw_family(ax: Axes, curve: Curve, members: list[Member], simple: bool) -> list[float]:
    """Draw the lines of one run, and return log10 of its last step, if it has taken any."""
    shown = curve.traj.log_t >= 0
    x = decades(curve.traj.log_t[shown])
    for index, member in enumerate(members):
        values = np.where(np.isfinite(member.values), member.values, np.nan)[shown]
        own = (member.alone if simple else {}) or member.style
        look = {"marker": marker_of(x), "color": curve.look["color"], **own, **curve.given}
        lines = ax.plot(x, values, **look)
        note_divergence(lines, curve)
        label = member.name if simple else described(curve) if index == 0 else ""
        if label:
            lines[0].set_label(label)
        if index == 0:
            register(lines[0], curve)
            _reach[lines[0]] = _reach_of(curve.traj, members)
        if simple:
            beside_others = {"color": curve.look["color"], **member.style, **curve.given}
            for column, line in enumerate(lines):
                name = "run 0" if index == column == 0 else "_nolegend_"
                joined_by_others(line, partial(restyled, {**beside_others, "label": name}))
    return [float(x[-1])] if len(x) else []


def _reach_of(traj: Trajectory, members: list[Member]) -> float:
    """Return how far from 0 a run goes, 0 if it diverged."""
    if traj.status is Status.DIVERGED:
        return 0.0
    values = np.concatenate([np.abs(member.values).ravel() for member in members])
    return float(values.max(where=np.isfinite(values), initial=0.0))


def _scale(ax: Axes) -> None:
    """Scale the axis of y so that all runs on it can be seen."""
    reach = [_reach[line] for line in ax.lines if _reach.get(line)]
    if reach and max(reach) > _FAR * min(reach):
        far_scale(ax, min(reach))
        far_axis(ax.yaxis)
    else:
        value_axis(ax.yaxis)
