"""Figures of trajectories: functions that take and return Matplotlib axes.

Without `ax` they draw on a new pyplot figure, which a notebook shows. The look comes from
``twonn.mplstyle`` and holds inside each call only: Matplotlib's global settings stay as they are.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn.problem import Verbatim, real_array, refusal
from twonn.trajectory import Trajectory

if TYPE_CHECKING:  # Matplotlib is imported when something is drawn: it takes longer than most runs
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["constants", "gap", "parameters", "pattern", "scaled_gap", "written_to"]

STYLE = Path(__file__).with_name("twonn.mplstyle")

#: One colour per neuron, as positions in the style's cycle.
_NEURON_COLOURS = ("C0", "C1")

#: Steps beyond are left out: margins and ticks of an axis that reaches farther leave the range of binary64.
_LAST_STEP = 1e200

_STEP = "step $t$"

Floats = NDArray[np.float64]
P = ParamSpec("P")


def _styled(draw: Callable[P, Axes]) -> Callable[P, Axes]:
    @functools.wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> Axes:
        from matplotlib import style

        with style.context(STYLE):
            return draw(*args, **kwargs)

    return draw_in_style


@contextmanager
def written_to(*paths: str | os.PathLike[str]) -> Iterator[Axes]:
    """Give the axes of a new figure and write it to `paths` at the end.

    Needs neither a display nor pyplot, so it also serves in batch jobs.

    Parameters
    ----------
    *paths : str or path
        Files to write; the suffix tells the format (.png, .pdf, .svg, …).

    Yields
    ------
    Axes

    Raises
    ------
    ValueError
        If Matplotlib does not know the format.
    OSError
        If a file cannot be written.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(STYLE):
        figure = Figure()
        yield figure.subplots()
        for path in paths:
            figure.savefig(path)


@_styled
def gap(traj: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the robustness gap against the step, both on logarithmic axes.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        Samples where the gap is 0 or nan, step 0, and steps beyond 10^200 have no place on the axes.
    """
    _checked_trajectory(traj)
    ax = _checked_axes(ax)
    shown = _on_axis(traj) & (traj.gap > 0)
    ax.plot(traj.t[shown], traj.gap[shown])
    ax.set(xscale="log", yscale="log", xlabel=_STEP, ylabel="robustness gap (units of $x$)")
    if not shown.any():
        _note(ax, "no step at which there is a gap > 0")
    return ax


@_styled
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
        Where to draw; a new figure without it.
    c : float or array_like, shape (number of trajectories,), optional
        The constants, in the units of x. Each is marked by a dashed line in the colour of its
        trajectory: across the axes for a single one, at the right edge for several.

    Returns
    -------
    Axes
        Samples where the gap is nan, the steps 0 and 1, where ln t <= 0, and those beyond 10^200 are left
        out.

    Raises
    ------
    ValueError
        If there is not one constant for each trajectory.
    """
    ax = _checked_axes(ax)
    trajectories = _checked_trajectories(traj)
    limits = None if c is None else _one_each(c, trajectories)
    # By its constant, so that the eye matches each trajectory with its limit.
    colours = _colours(limits, len(trajectories))
    several = len(trajectories) > 1
    width, opacity = (0.9, 0.7) if several else (None, None)
    drawn = False
    for one, colour in zip(trajectories, colours, strict=True):
        shown = _on_axis(one) & (one.t > 1) & np.isfinite(one.gap)
        drawn |= bool(shown.any())
        scaled = one.gap[shown] * one.log_t[shown]
        ax.plot(one.t[shown], scaled, color=colour, linewidth=width, alpha=opacity)
    ax.set(xscale="log", xlabel=_STEP, ylabel=r"gap $\cdot\,\ln t$ (units of $x$)")
    if limits is not None and drawn:
        for limit, colour in zip(limits, colours, strict=True):
            ax.axhline(limit, 0.94 if several else 0.0, 1.0, color=colour, linestyle="--")
        ax.lines[-1].set_label(r"$c$, reached as $t\to\infty$")
        ax.legend()
    if not drawn:
        _note(ax, "no run with a gap past step 1")
    return ax


@_styled
def parameters(traj: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the parameters against the step: one colour per neuron, one line style per kind.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        All trained parameters; for d > 1 one line per component of w. Step 0 is left out.
    """
    _checked_trajectory(traj)
    ax = _checked_axes(ax)
    problem = traj.problem
    kinds = [("w", traj.w, "-")]
    if problem.bias:
        kinds.append(("b", traj.b[..., np.newaxis], "--"))
    if problem.train_output:
        kinds.append(("v", traj.v[..., np.newaxis], ":"))
    shown = _on_axis(traj)
    for neuron, colour in enumerate(_NEURON_COLOURS):
        for name, values, line in kinds:
            curves = ax.plot(traj.t[shown], values[shown, neuron], line, color=colour)
            curves[0].set_label(f"${name}_{neuron}$")
    ax.set(xscale="log", xlabel=_STEP, ylabel=r"parameters ($w$ in 1/[$x$])")
    if shown.any():
        ax.legend(ncols=2)
    else:
        _note(ax, "no step was taken")
    return ax


@_styled
def pattern(traj: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the activation pattern as a ribbon over the steps, one row per neuron and sample.

    Parameters
    ----------
    traj : Trajectory
    ax : Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        A row is filled in the colour of its neuron where that neuron is active on that sample. A
        pattern holds from its transition to the next; past the last transition on record, from
        one sampled step to the next. Step 0 has no place on the logarithmic axis.
    """
    from matplotlib.patches import Patch

    _checked_trajectory(traj)
    ax = _checked_axes(ax)
    known_to = _recorded_to(traj)
    edges, codes = _ribbon(traj, known_to)
    if not len(codes):
        _note(ax, "fewer than two steps were taken")
    rows = [(neuron, sample) for neuron in (0, 1) for sample in (0, 1)]
    for row, (neuron, sample) in enumerate(rows):
        active = (codes >> (2 * neuron + sample)) & 1
        bars = [(edges[i], edges[j] - edges[i]) for i, j in _stretches(active)]
        ax.broken_barh(bars, (row - 0.35, 0.7), facecolors=_NEURON_COLOURS[neuron], linewidth=0)
    ax.set(xscale="log", xlabel=_STEP, ylim=(3.6, -0.6))
    ax.set_yticks(range(4), [f"neuron {neuron} on $x_{sample}$" for neuron, sample in rows])
    ax.grid(False, axis="y")
    if len(codes):
        ax.set_xlim(edges[0], edges[-1])
        keys: list[Artist] = [
            Patch(color=colour, label=f"neuron {neuron} active")
            for neuron, colour in enumerate(_NEURON_COLOURS)
        ]
        if known_to < traj.t[-1]:
            keys.append(ax.axvline(known_to, color="black", linestyle=":"))
            keys[-1].set_label("samples only from here")
        ax.legend(handles=keys, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax


@_styled
def constants(c: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the rate constants beside their density for random starts.

    Parameters
    ----------
    c : array_like, shape (runs,)
        c = |w_0(0) + w_1(0)|/2 of runs that start with b = 0 and w_0(0) > 0 > w_1(0), in the units
        of x.
    ax : Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        The density is that for w_j(0) ~ N(0, 2), the He initialization of one input:
        f_B(x) = 2√(2/π) exp(−x²/2) erfc(x/√2).

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    from scipy.special import erfc

    ax = _checked_axes(ax)
    values = real_array("c", c).ravel()
    if np.any(values < 0):
        raise ValueError(refusal("c", c, "numbers >= 0", "Give |w_0(0) + w_1(0)|/2 of each run."))
    top = float(values.max(initial=3.0))
    if len(values):
        # Rice's rule: bins narrow with the cube root of the number of runs.
        bins = np.linspace(0, values.max() or top, math.ceil(2 * len(values) ** (1 / 3)) + 1)
        runs = f"{len(values):,} run{'s' * (len(values) != 1)}"
        ax.hist(values, bins.tolist(), density=True, color="C5", edgecolor="white", label=runs)
    else:
        ax.set_title("no successful run")
    x = np.linspace(0, top, 400)
    density = 2 * math.sqrt(2 / math.pi) * np.exp(-(x**2) / 2) * erfc(x / math.sqrt(2))
    ax.plot(x, density, color="C1", label="density $f_B$")
    ax.set(xlabel="rate constant $c$ (units of $x$)", ylabel="probability density", xlim=(0, top))
    ax.legend()
    return ax


# --------------------------------------------------------------------------------------------------
# Parts


def _checked_axes(ax: object) -> Axes:
    """Return `ax`, or new axes where it is None; refuse anything else."""
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        return pyplot.subplots()[1]
    if not isinstance(ax, Axes):
        raise TypeError(refusal("ax", ax, "Matplotlib Axes or None", "Pick one, as in ax=axes[0]."))
    return ax


def _checked_trajectory(traj: object) -> Trajectory:
    if not isinstance(traj, Trajectory):
        raise TypeError(refusal("traj", traj, "a twonn.Trajectory", "Get one from twonn.run or twonn.load."))
    return traj


def _checked_trajectories(traj: Trajectory | Iterable[Trajectory]) -> list[Trajectory]:
    several = traj if isinstance(traj, Iterable) else [traj]
    return [_checked_trajectory(one) for one in several]


def _note(ax: Axes, text: str) -> None:
    """Say in the middle of empty axes why there is nothing to see."""
    if np.isfinite(ax.dataLim.get_points()).all():
        return  # the caller's axes show something else
    ax.set(xlim=(1, 10), ylim=(1, 10))  # logarithmic axes cannot be drawn without limits > 0
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.35")


def _one_each(c: ArrayLike, trajectories: Sequence[Trajectory]) -> Floats:
    limits = np.atleast_1d(real_array("c", c))
    if limits.shape != (len(trajectories),):
        raise ValueError(
            refusal(
                "c",
                Verbatim(f"shape {limits.shape}"),
                f"one constant for each of {len(trajectories)} trajectories",
                "Leave out the constants of trajectories that are not drawn.",
            )
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


def _on_axis(traj: Trajectory) -> NDArray[np.bool_]:
    """Return which samples have a place on a logarithmic axis of steps."""
    return (traj.t > 0) & (traj.t <= _LAST_STEP)


def _recorded_to(traj: Trajectory) -> float:
    """Return the step up to which every transition is on record."""
    complete = len(traj.transitions) == traj.n_transitions
    return float(traj.t[-1] if complete else traj.transitions["t"][-1])


def _ribbon(traj: Trajectory, known_to: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Return edges t_0 < t_1 < … in steps >= 1, and the pattern in [t_k, t_k+1)."""
    recorded, later = traj.transitions, traj.t > known_to
    starts = np.concatenate([[0.0], recorded["t"], traj.t[later], traj.t[-1:]])
    codes = np.concatenate([traj.pattern[:1], recorded["after"], traj.pattern[later]])
    edges = np.clip(starts, 1.0, _LAST_STEP)
    lasting = edges[1:] > edges[:-1]
    return np.append(edges[:-1][lasting], edges[-1:]), codes[lasting]


def _stretches(active: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return pairs (i, j) such that active[i:j] is a maximal stretch of ones."""
    flips = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0))
    return flips.reshape(-1, 2)
