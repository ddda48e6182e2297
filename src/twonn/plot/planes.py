"""The network: its graph, its regions in the plane of the data, and its path through parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, one_of
from twonn.geometry.boundary import boundary_of
from twonn.geometry.optimal import optimal_margin
from twonn.plot.parts import (
    NEURON_COLOURS,
    checked_axes,
    checked_trajectory,
    decades,
    evenly_spaced,
    far_axis,
    legend_above,
    nearest_sample,
    note,
    outlined,
    step_text,
    styled,
    value_axis,
)
from twonn.plot.runs import MOST_COLOURS, Curve, checked_curves, described, placed
from twonn.problem.problem import Problem
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

#: Tints of the classes +1 and −1 and of f = 0, and of the regions active on no point, x_0, x_1, both.
_CLASS_TINTS = {1: "#BFDCEC", -1: "#F5D7BF", 0: "#D0D0D0"}
_REGION_TINTS = ("#FFFFFF", "#E3F1EC", "#F7E6F0", "#E2E2E2")
_REGIONS = ("inactive", "active\non $x_0$", "active\non $x_1$", "active\non both")

#: How many samples `network` shows by default.
_GRAPHS = 5

#: Width of the paths of neuron 1 beside those of other runs.
_THIN = 0.6

#: Paths that go this many times farther than they start are drawn on axes that are logarithmic far out.
_LONG = 30.0


# --------------------------------------------------------------------------------------------------
# The graph of f


@styled
def network(
    traj: Trajectory,
    ax: Axes | None = None,
    *,
    steps: Sequence[float | str] | None = None,
    normalized: bool = True,
) -> Axes:
    """Draw f along the line through the points at chosen steps, with its kinks and boundary.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.
    steps : sequence of int, float or str, optional
        The samples nearest to these steps are drawn; by default five, from the first to the last.
    normalized : bool
        Whether to divide by max_i |f(x_i)|, which grows without bound, so that graphs can be compared.

    Returns
    -------
    Axes
        For d = 1 the line is the axis of x. Otherwise a position is the distance from the midpoint of the
        points, towards x_1. Open circles are kinks. A cross on f = 0 is the boundary, where f changes sign
        between the points. Dotted lines are the points, and the dashed line is the most robust boundary.

    Raises
    ------
    TypeError, ValueError
        If a step is not one of the run.
    """
    checked_trajectory(traj)
    chosen = _chosen_samples(traj, steps)
    ax = checked_axes(ax)
    line = _Line(traj.problem)
    for index, colour in zip(chosen, _sequence(len(chosen)), strict=True):
        w, v, z = line.restricted(traj.w[index]), traj.v[index], traj.preactivations[index]
        x, values, kinks = line.graph(w, v, z)
        height = max(abs(float(line.value(position, w, v, z))) for position in line.points)
        scale = height if normalized and height > 0 else 1.0
        ax.plot(x, values / scale, color=colour, label=f"$t={step_text(traj, index)}$")
        at_kinks = np.array([line.value(kink, w, v, z) for kink in kinks])
        ax.plot(kinks, at_kinks / scale, "o", color=colour, markerfacecolor="white", zorder=4)
        boundary = line.boundary(w, v, z)
        if math.isfinite(boundary):
            ax.plot([boundary], [0.0], "x", color=colour, markersize=6, markeredgewidth=1.5, zorder=5)
    _mark_points(ax, traj.problem, line)
    ax.set_xlim(line.low, line.high)
    value_axis(ax.xaxis)
    value_axis(ax.yaxis)
    ax.set_xlabel("$x$" if traj.problem.dimension == 1 else "position on the line from $x_0$ to $x_1$")
    ax.set_ylabel(r"$f(x)\;/\;\max\;|f(x_i)|$" if normalized else "$f(x)$")
    legend_above(ax)
    return ax


@dataclass(frozen=True)
class _Line:
    """The line through the points, and networks restricted to it."""

    problem: Problem

    @property
    def length(self) -> float:
        """Distance of the points; 1 if they coincide."""
        return math.dist(*self.problem.x.tolist()) or 1.0

    @property
    def middle(self) -> float:
        return float(self.problem.x.mean()) if self.problem.dimension == 1 else 0.0

    @property
    def points(self) -> Floats:
        if self.problem.dimension == 1:
            return self.problem.x[:, 0]
        return np.array([-0.5, 0.5]) * math.dist(*self.problem.x.tolist())

    @property
    def low(self) -> float:
        return self.middle - self.length

    @property
    def high(self) -> float:
        return self.middle + self.length

    def restricted(self, w: Floats) -> Floats:
        """Return the slopes of both pre-activations along the line."""
        if self.problem.dimension == 1:
            return w[:, 0]
        return np.asarray(w @ ((self.problem.x[1] - self.problem.x[0]) / self.length))

    def value(self, position: float, w: Floats, v: Floats, z: Floats) -> Floats:
        active = np.maximum(z.mean(axis=1) + w * (position - self.middle), 0)
        return np.asarray(v @ active)

    def graph(self, w: Floats, v: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the vertices of the piecewise linear graph, and the kinks among them."""
        with np.errstate(all="ignore"):
            zeros = self.middle - z.mean(axis=1) / w
        kinks = np.sort(zeros[(zeros > self.low) & (zeros < self.high) & (w != 0) & (v != 0)])
        x = np.concatenate([[self.low], kinks, [self.high]])
        return x, np.array([self.value(position, w, v, z) for position in x]), kinks

    def boundary(self, w: Floats, v: Floats, z: Floats) -> float:
        problem = self.problem
        if np.array_equal(*self.points):
            return math.nan
        flat = Problem(x=self.points, y=problem.y, step_size=problem.step_size)
        return float(boundary_of(flat, w[:, np.newaxis], v, z))


def _chosen_samples(traj: Trajectory, steps: Sequence[float | str] | None) -> list[int]:
    """Return the samples to draw, in order, each once."""
    if steps is None:
        last = max(float(decades(traj.log_t[-1])), 0.0)
        places = np.maximum(decades(traj.log_t), -1.0)
        found = [int(np.abs(places - decade).argmin()) for decade in evenly_spaced(last, _GRAPHS)[1:-1]]
        return sorted({0, *found, len(places) - 1})
    if isinstance(steps, (str, bytes)) or not isinstance(steps, (Sequence, np.ndarray)) or not len(steps):
        raise ArgumentTypeError("steps", steps, "steps of the run", "Write e.g. steps=[0, 100, 10**6].")
    return sorted({nearest_sample(f"steps[{k}]", step, traj) for k, step in enumerate(steps)})


def _sequence(count: int) -> list[tuple[float, float, float, float]]:
    """Return colours from dark to bright."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.88 * k / max(count - 1, 1)) for k in range(count)]


def _mark_points(ax: Axes, problem: Problem, line: _Line) -> None:
    ax.axhline(0, color="black", linewidth=0.6)
    if math.isfinite(optimal_margin(problem)):
        ax.axvline(line.middle, color="0.5", linestyle="--", linewidth=0.8)
    names = [f"$x_{index}$: ${label:+d}$" for index, label in enumerate(problem.y)]
    if np.array_equal(*line.points):
        names = [f"$x_0 = x_1$: ${problem.y[0]:+d}$"]
    for position, name in zip(line.points, names, strict=False):
        ax.axvline(position, color="0.5", linestyle=":", linewidth=0.8)
        ax.annotate(
            name,
            (position, 0.0),
            (2, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color="0.3",
            fontsize="small",
            path_effects=outlined(),
        )


# --------------------------------------------------------------------------------------------------
# Decision regions


@styled
def decision_regions(traj: Trajectory, ax: Axes | None = None, *, step: float | str | None = None) -> Axes:
    """Draw where f is positive, negative and zero in the plane of the data; for d = 2.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; by default a new figure.
    step : int, float or str, optional
        The sample nearest to this step is drawn; by default the last one.

    Returns
    -------
    Axes
        The regions are exact polygons. Dashed lines are kinks, the dash-dotted one is the most robust
        boundary. Circles show how far each point can be moved before it is misclassified.

    Raises
    ------
    TypeError, ValueError
        If the data are not in the plane, or the step is not one of the run.
    """
    checked_trajectory(traj)
    problem = traj.problem
    if problem.dimension != 2:
        raise ArgumentValueError(
            "traj",
            Verbatim(f"a run with d = {problem.dimension}"),
            "d = 2, where regions can be drawn",
            "Use network, which draws f along the line through the points.",
        )
    index = len(traj.t) - 1 if step is None else nearest_sample("step", step, traj)
    ax = checked_axes(ax)
    middle, reach = problem.x.mean(axis=0), 1.25 * (math.dist(*problem.x.tolist()) or 1.0)
    corners = middle + reach * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    w, v = traj.w[index], traj.v[index]
    at_middle = traj.preactivations[index].mean(axis=1)
    for sign, polygon in _sign_regions(w, v, at_middle, corners - middle):
        ax.fill(*(polygon + middle).T, color=_CLASS_TINTS[sign], linewidth=0)
    for neuron, colour in enumerate(NEURON_COLOURS):
        _draw_line(ax, w[neuron], at_middle[neuron], middle, color=colour, linestyle="--", linewidth=1)
    if math.isfinite(optimal_margin(problem)):
        _draw_line(ax, problem.x[1] - problem.x[0], 0.0, middle, color="0.2", linestyle="-.", linewidth=0.8)
    for i, (point, label, distance) in enumerate(
        zip(problem.x, problem.y, traj.distances[index], strict=True)
    ):
        ax.plot(*point, "P" if label > 0 else "o", color="black", markersize=5, markeredgewidth=0)
        name = f"$x_{i}$: ${label:+d}$"
        look: dict[str, Any] = {"fontsize": "small", "path_effects": outlined()}
        ax.annotate(name, point, (3, 3 - 12 * i), textcoords="offset points", **look)
        if 0 < distance < math.inf:
            _draw_circle(ax, point, distance)
    ax.set(xlim=middle[0] + reach * np.array([-1, 1]), ylim=middle[1] + reach * np.array([-1, 1]))
    ax.set(xlabel="first axis of $x$", ylabel="second axis of $x$")
    ax.set_aspect("equal")
    value_axis(ax.xaxis)
    value_axis(ax.yaxis)
    ax.grid(False)
    _explain_regions(ax, f"step ${step_text(traj, index)}$")
    return ax


def _sign_regions(w: Floats, v: Floats, at_middle: Floats, corners: Floats) -> list[tuple[int, Floats]]:
    """Return the polygons within `corners` where f has one sign, with that sign; relative to the middle."""
    found = []
    for active in ((0, 0), (0, 1), (1, 0), (1, 1)):
        piece = corners
        for neuron in (0, 1):
            side = 1 if active[neuron] else -1
            piece = _clipped(piece, side * w[neuron], side * at_middle[neuron])
        weight = v * active
        gradient, value = weight @ w, float(weight @ at_middle)
        if np.all(weight == 0) or (np.all(gradient == 0) and value == 0):
            found.append((0, piece))
        else:
            found += [(sign, _clipped(piece, sign * gradient, sign * value)) for sign in (1, -1)]
    return [(sign, polygon) for sign, polygon in found if len(polygon) >= 3]


def _clipped(polygon: Floats, gradient: Floats, value: float) -> Floats:
    """Return the part of a convex polygon where value + gradient·p >= 0."""
    if not len(polygon):
        return polygon
    heights = value + polygon @ gradient
    kept = []
    for k in range(len(polygon)):
        here, before = heights[k], heights[k - 1]
        if here * before < 0:
            kept.append(polygon[k - 1] + (polygon[k] - polygon[k - 1]) * (before / (before - here)))
        if here >= 0:
            kept.append(polygon[k])
    return np.array(kept) if len(kept) >= 3 and np.any(heights > 0) else np.empty((0, 2))


def _draw_line(ax: Axes, gradient: Floats, value: float, middle: Floats, **look: Any) -> None:
    """Draw where value + gradient·(p − middle) = 0, if anywhere."""
    square = float(gradient @ gradient)
    if square > 0:
        foot = middle - value / square * gradient
        ax.axline(
            tuple(foot), tuple(foot + np.array([-gradient[1], gradient[0]]) / math.sqrt(square)), **look
        )


def _draw_circle(ax: Axes, point: Floats, radius: float) -> None:
    from matplotlib.patches import Circle

    ax.add_patch(Circle((point[0], point[1]), radius, fill=False, linestyle=":", edgecolor="black"))


def _explain_regions(ax: Axes, step: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[Artist] = [
        Patch(color=_CLASS_TINTS[1], label="$f > 0$"),
        Patch(color=_CLASS_TINTS[-1], label="$f < 0$"),
        Patch(color=_CLASS_TINTS[0], label="$f = 0$"),
        Line2D([], [], color="black", linestyle=":", linewidth=1, label="distances"),
        *(
            Line2D([], [], color=colour, linestyle="--", linewidth=1, label=f"kink of neuron {neuron}")
            for neuron, colour in enumerate(NEURON_COLOURS)
        ),
        Line2D([], [], color="0.2", linestyle="-.", linewidth=0.8, label="most robust"),
        Line2D([], [], linestyle="", label=step),
    ]
    legend_above(ax, keys, columns=4)


# --------------------------------------------------------------------------------------------------
# Phase plane


@styled
def phase_plane(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    ax: Axes | None = None,
    *,
    coordinates: str | None = None,
    **line: Any,
) -> Axes:
    """Draw the paths of both neurons in the plane of (w, b) or of their two pre-activations.

    Parameters
    ----------
    traj : Trajectory, sequence of Trajectory, or mapping of label to Trajectory
        A single run has one colour per neuron. Several, of problems with the same points, have one colour
        each, and neuron 1 has thin lines. More than 7 share one colour and label.
    ax : Axes, optional
        Where to draw; by default a new figure.
    coordinates : {"weights", "preactivations"}, optional
        (w_j, b_j), which is for d = 1 with biases and is the default there, or (z_j0, z_j1), which is for
        every problem.
    **line : Any
        Keywords of Matplotlib's Line2D for the paths, such as `color`, `label` and `alpha`.

    Returns
    -------
    Axes
        All neurons share the plane, because the regions in which they are active on no point, on one, or on
        both are the same. An open square is the start of a path, a dot its end. Small open circles are
        transitions, placed on the path by their ln t. Where a neuron slides, the path is broad and its
        transitions are not marked. For a path that goes far, axes are linear near 0 and logarithmic farther
        out.

    Raises
    ------
    TypeError, ValueError
        If these coordinates are unknown, or not defined for this problem, if the points of several runs
        differ, or if a keyword is not one of Line2D.
    """
    curves = checked_curves(traj, line, "coordinates", most=MOST_COLOURS)
    weights = all(_in_weights(curve.traj, coordinates) for curve in curves)
    x = _common_points(curves)
    ax = checked_axes(ax)
    if x is None:
        note(ax, "no run")
        return ax
    curves, several = placed(ax, curves)
    edges = x[:, 0] if weights else None
    paths = [_paths_of(curve.traj, weights) for curve in curves]
    _set_plane(ax, paths)
    _shade_regions(ax, edges)
    simple = not (several or curves[0].label or "color" in curves[0].given)
    for curve, both in zip(curves, paths, strict=True):
        for neuron, path in enumerate(both):
            _draw_path(ax, curve, neuron, path, simple)
    _name_regions(ax, np.concatenate([both.reshape(-1, 2) for both in paths]), edges)
    names = ("$w_j$ (1/[$x$])", "$b_j$") if weights else ("$z_{j0} = w_j\\cdot x_0 + b_j$", "$z_{j1}$")
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.grid(False)
    _explain_paths(ax, [] if simple else curves, any(len(curve.traj.slides) for curve in curves))
    return ax


def _common_points(curves: Sequence[Curve]) -> Floats | None:
    """Return the points of all problems, None if there is no run; refuse them if they differ."""
    if not curves:
        return None
    x = curves[0].traj.problem.x
    for curve in curves:
        if not np.array_equal(curve.traj.problem.x, x):
            raise ArgumentValueError(
                "traj",
                Verbatim(f"runs with the points {x.tolist()} and {curve.traj.problem.x.tolist()}"),
                "runs with the same points, which bound the regions",
                "Draw them on axes of their own.",
            )
    return x


def _paths_of(traj: Trajectory, weights: bool) -> Floats:
    """Return the paths of both neurons, shape (2, n, 2)."""
    if weights:
        return np.stack([traj.w[..., 0], traj.b], axis=-1).swapaxes(0, 1)
    return traj.preactivations.swapaxes(0, 1)


def _in_weights(traj: Trajectory, coordinates: str | None) -> bool:
    """Return whether to draw (w, b), or refuse."""
    possible = traj.problem.dimension == 1 and traj.problem.bias
    if coordinates is None:
        return possible
    weights = one_of("coordinates", coordinates, ("weights", "preactivations")) == "weights"
    if weights and not possible:
        without = "" if traj.problem.bias else ", no biases"
        raise ArgumentValueError(
            "coordinates",
            Verbatim(f"'weights' for d = {traj.problem.dimension}{without}"),
            "'preactivations', as (w, b) are a plane for d = 1 with biases only",
            'Use coordinates="preactivations".',
        )
    return weights


def _set_plane(ax: Axes, paths: Sequence[Floats]) -> None:
    """Set scales and limits so that the start and the end of the paths can be seen."""
    value_axis(ax.xaxis)
    value_axis(ax.yaxis)
    start = max(float(np.abs(both[:, 0]).max()) for both in paths)
    reach = max(float(np.abs(both).max()) for both in paths)
    if start > 0 and reach > _LONG * start:
        ax.set_xscale("asinh", linear_width=start)
        ax.set_yscale("asinh", linear_width=start)
        far_axis(ax.xaxis)
        far_axis(ax.yaxis)
    across, up = np.concatenate([both.reshape(-1, 2) for both in paths]).T
    for axis, values, limit in ((ax.xaxis, across, ax.set_xlim), (ax.yaxis, up, ax.set_ylim)):
        scale = axis.get_transform()
        shown = scale.transform(np.append(values, np.array([-0.2, 0.2]) * start))
        room = 0.08 * (float(np.ptp(shown)) or 1.0)
        limit(*scale.inverted().transform(np.array([shown.min() - room, shown.max() + room])))


def _thresholds(across: Floats, points: Floats | None, bottom: float, top: float) -> list[Floats]:
    """Return for each point the height above which a neuron is active on it, at positions across the plane.

    In (w, b) it is −w x_i. In (z_j0, z_j1) it is 0 for point 1; on point 0 a neuron is active right of 0.
    """
    if points is not None:
        return [np.clip(-across * point, bottom, top) for point in points]
    return [np.where(across > 0, bottom, top), np.zeros_like(across)]


def _shade_regions(ax: Axes, points: Floats | None) -> None:
    """Shade where a neuron is active on no point, one, or both."""
    bottom, top = ax.get_ylim()
    across = _grid(ax)
    thresholds = _thresholds(across, points, bottom, top)
    for code, tint in enumerate(_REGION_TINTS):
        above = [limit for i, limit in enumerate(thresholds) if code >> i & 1]
        below = [limit for i, limit in enumerate(thresholds) if not code >> i & 1]
        low = np.max([np.full_like(across, bottom), *above], axis=0)
        high = np.min([np.full_like(across, top), *below], axis=0)
        ax.fill_between(across, low, np.maximum(high, low), color=tint, linewidth=0, zorder=0)
    for limit in thresholds:
        ax.plot(across, limit, color="0.6", linewidth=0.6, zorder=1, scalex=False, scaley=False)


def _grid(ax: Axes) -> Floats:
    """Return positions across the axes, evenly spaced to the eye, with both sides of 0."""
    scale = ax.xaxis.get_transform()
    left, right = scale.transform(np.array(ax.get_xlim())).tolist()
    even = scale.inverted().transform(np.linspace(left, right, 401))
    return np.sort(np.concatenate([even[even != 0], [0.0, np.nextafter(0.0, 1.0)]]))


def _draw_path(ax: Axes, curve: Curve, neuron: int, path: Floats, simple: bool) -> None:
    traj = curve.traj
    colour = NEURON_COLOURS[neuron] if simple else curve.look["color"]
    own = {} if simple or neuron == 0 else {"linewidth": _THIN}
    ax.plot(*path.T, **{"color": colour, "zorder": 3, **own, **curve.given})
    decade = np.maximum(decades(traj.log_t), -1.0)  # step 0 has its place before step 1
    changed = (traj.transitions["before"] ^ traj.transitions["after"]) >> (2 * neuron) & 3 != 0
    marked = traj.transitions[changed]
    for slide in traj.slides[traj.slides["neuron"] == neuron]:
        marked = marked[(marked["t"] < slide["t_enter"]) | (marked["t"] > slide["t_exit"])]
        during = (traj.t >= slide["t_enter"]) & (traj.t <= slide["t_exit"])
        ax.plot(*path[during].T, color=colour, linewidth=5, alpha=0.35, zorder=2, solid_capstyle="butt")
    placed = [np.interp(decades(marked["log_t"]), decade, values) for values in path.T]
    ax.plot(*placed, "o", color=colour, markersize=3, markerfacecolor="white", markeredgewidth=0.7, zorder=4)
    ax.plot(*path[0], "s", color=colour, markerfacecolor="white", zorder=5)
    ax.plot(*path[-1], "o", color=colour, zorder=5)


def _name_regions(ax: Axes, paths: Floats, points: Floats | None) -> None:
    """Write into each region what it is, where it is widest and no path goes."""
    scale = ax.transScale + ax.transLimits
    cells = np.stack(np.meshgrid(np.linspace(0.08, 0.92, 43), np.linspace(0.08, 0.92, 43)), -1).reshape(-1, 2)
    where = scale.inverted().transform(cells)
    thresholds = _thresholds(where[:, 0], points, *ax.get_ylim())
    codes = sum((where[:, 1] > limit).astype(int) << i for i, limit in enumerate(thresholds))
    taken = np.unique(scale.transform(paths).round(2), axis=0)
    for code, name in enumerate(_REGIONS):
        inside, avoided = cells[codes == code], np.concatenate([cells[codes != code], taken])
        if not len(inside):
            continue
        # Half the size of the text, with a margin, is 0.09 by 0.08 of the axes.
        room = np.array([np.abs((avoided - cell) / (0.09, 0.08)).max(axis=1).min() for cell in inside])
        at_edge = np.minimum(inside, 1 - inside).min(axis=1) / 0.08
        best = np.minimum(room, at_edge).argmax()
        if room[best] >= 1:
            look: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.35", "fontsize": "small"}
            ax.text(inside[best, 0], inside[best, 1], name, transform=ax.transAxes, **look)


def _explain_paths(ax: Axes, curves: Sequence[Curve], sliding: bool) -> None:
    """Explain the lines of a single run, or those of the runs that are given."""
    from matplotlib.lines import Line2D

    keys: list[Artist] = [
        Line2D([], [], **{**curve.look, "label": described(curve)}) for curve in curves if curve.label
    ]
    neurons: list[dict[str, Any]] = (
        [{"color": "0.3"}, {"color": "0.3", "linewidth": _THIN}]
        if curves
        else [{"color": colour} for colour in NEURON_COLOURS]
    )
    keys += [Line2D([], [], label=f"neuron {neuron}", **look) for neuron, look in enumerate(neurons)]
    for marker, face, size, label in (
        ("s", "white", 4, "start"),
        ("o", "white", 3, "transition"),
        ("o", "0.3", 4, "end"),
    ):
        keys.append(
            Line2D(
                [],
                [],
                color="0.3",
                marker=marker,
                markerfacecolor=face,
                markersize=size,
                linestyle="",
                label=label,
            )
        )
    if sliding:
        keys.append(Line2D([], [], color="0.3", linewidth=5, alpha=0.35, label="slides"))
    legend_above(ax, keys)
