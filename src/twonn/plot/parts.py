"""What the figures share: their style, their axis of steps, and the checks of their arguments."""

from __future__ import annotations

import functools
import math
import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, brief
from twonn.problem.horizon import whole_steps, written_steps
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

if TYPE_CHECKING:  # Matplotlib is imported when something is drawn: it takes longer than most runs
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.patheffects import AbstractPathEffect
    from matplotlib.text import Text
    from matplotlib.ticker import Locator

STYLE = Path(__file__).parent.with_name("twonn.mplstyle")

#: One colour per neuron, as positions in the style's cycle.
NEURON_COLOURS = ("C0", "C1")

STEP = "step $t$"

#: Farther than this many decades, an axis that is linear in ln t squeezes all that happens early.
_FAR = 50.0

#: Around this decade the axis of a far horizon turns from linear in ln t to logarithmic.
_NEAR = 5.0

#: What the label of a tick takes of the length of its axis.
_TICK_ROOM = 0.09

#: Numbers of characters at which the entries of a legend that is too wide are wrapped, in turn.
_WRAPPED = (48, 36, 24)

#: The same for a sentence above the legend, before those.
_LONG = (72, 64, 56)

#: What a legend may take of the width that its axes have in their figure.
_LEGEND_WIDTH = 0.95

Colour: TypeAlias = tuple[float, float, float]

_WHITE: Colour = (1.0, 1.0, 1.0)

#: What it may take of the height of a figure, before the figure is made higher.
_LEGEND_HEIGHT = 0.3

P = ParamSpec("P")
R = TypeVar("R")

#: Sentences for the legend, each with an artist that shows nothing but stays on the axes.
_remarks: WeakKeyDictionary[Artist, str] = WeakKeyDictionary()

#: The heights that figures were made with.
_heights: WeakKeyDictionary[Figure, float] = WeakKeyDictionary()

#: Axes of figures that were made here, and so have the style of twonn for good.
_own_axes: WeakSet[Axes] = WeakSet()


# --------------------------------------------------------------------------------------------------
# Style and files


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw in the style of twonn."""

    @functools.wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib
        from matplotlib import style

        with style.context(STYLE):
            _fit_to_background()
            drawn = draw(*args, **kwargs)
            for ax in np.atleast_1d(np.asarray(drawn, dtype=object)):
                if ax in _own_axes:
                    _keep_colours(ax)
            interactive = matplotlib.is_interactive()
        # A backend of a notebook that was loaded for this figure has switched interactive mode on for good.
        matplotlib.interactive(interactive)
        return drawn

    return draw_in_style


def _fit_to_background() -> None:
    """Change what is dark on light in the style where the user has chosen a dark background."""
    import matplotlib
    from cycler import cycler
    from matplotlib.colors import to_hex, to_rgb

    chosen = matplotlib.rcParams
    ground = _covered(chosen["axes.facecolor"], _covered(chosen["figure.facecolor"], _WHITE))
    if not _is_dark(ground):
        return
    light = to_hex(chosen["text.color"])
    colours = chosen["axes.prop_cycle"].by_key()["color"]
    colours = [light if max(to_rgb(colour)) < 0.1 else colour for colour in colours]
    chosen.update({"axes.prop_cycle": cycler("color", colours), "grid.color": "0.25"})


def _keep_colours(ax: Axes) -> None:
    """Make colours of the cycle final: a line looks up "C1" when it is drawn, in the style of that time."""
    from matplotlib.colors import to_rgba

    legend = ax.get_legend()
    for line in (*ax.lines, *(legend.get_lines() if legend else [])):
        line.set_color(to_rgba(line.get_color()))


def ink(ax: Axes, strength: float = 1.0) -> Colour:
    """Return the colour of the labels of axes, or paler, mixed with their background."""
    from matplotlib.colors import to_rgb

    text = to_rgb(ax.xaxis.label.get_color())
    # What is behind transparent axes is not known, but that the labels are legible on it.
    behind = _WHITE if _is_dark(text) else (0.0, 0.0, 0.0)
    return _covered((*text, strength), _covered(ax.get_facecolor(), behind))


def _covered(colour: Any, ground: Colour) -> Colour:
    """Return what is seen of a colour, which may be transparent, on a ground."""
    from matplotlib.colors import to_rgba

    *front, alpha = to_rgba(colour)
    red, green, blue = (alpha * one + (1 - alpha) * other for one, other in zip(front, ground, strict=True))
    return red, green, blue


def _is_dark(colour: Colour) -> bool:
    """Return whether light text is legible on a colour."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


@contextmanager
def written_to(*paths: str | os.PathLike[str]) -> Iterator[Axes]:
    """Give the axes of a new figure and write it to `paths` at the end.

    Needs neither a display nor pyplot, so it also serves in batch jobs.

    Parameters
    ----------
    *paths : str or path
        Files to write; the suffix sets the format (.png, .pdf, .svg, …).

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
        _fit_to_background()
        figure = Figure()
        ax = figure.subplots()
        has_own_style(ax)
        yield ax
        for path in paths:
            figure.savefig(path)


# --------------------------------------------------------------------------------------------------
# Arguments


def checked_axes(ax: object) -> Axes:
    """Return `ax`, or new axes where it is None; refuse anything else."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots()[1]
        has_own_style(ax)
        return ax
    return given_axes("ax", ax)


def given_axes(argument: str, ax: object) -> Axes:
    """Return axes, or refuse what are none."""
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise ArgumentTypeError(argument, ax, "Matplotlib Axes or None", "Pick one, as in ax=axes[0].")
    return ax


def checked_trajectory(traj: object, argument: str = "traj") -> Trajectory:
    """Return `traj` if it is one, or refuse."""
    if not isinstance(traj, Trajectory):
        raise ArgumentTypeError(argument, traj, "a twonn.Trajectory", "Get one from twonn.run or twonn.load.")
    return traj


def nearest_sample(argument: str, step: object, traj: Trajectory) -> int:
    """Return the index of the sample nearest to a step, in ln t; refuse steps the run did not reach."""
    if isinstance(step, str):
        step = whole_steps(argument, step)
    if isinstance(step, (bool, np.bool_)) or not isinstance(step, (int, float, np.integer, np.floating)):
        raise ArgumentTypeError(argument, step, "a number of steps", 'Write e.g. 10**6 or "10^6".')
    if step == 0:
        return 0
    log_step = math.log(step) if step > 0 else math.nan  # also of integers beyond binary64
    # The logarithm of the last step is known to a rounding or two.
    if not log_step <= traj.log_t[-1] + 1e-12 * abs(traj.log_t[-1]):
        last = written_steps(traj.end_step) if len(traj.t) > 1 else "0"
        expected = f"a step from 0 to {last}, the last one of the run"
        raise ArgumentValueError(argument, Verbatim(brief(step)), expected, "Choose a step within the run.")
    return int(np.abs(np.maximum(traj.log_t, -1.0) - log_step).argmin())


def has_own_style(ax: Axes) -> None:
    """Have axes keep the style of twonn that they were made in."""
    _own_axes.add(ax)


# --------------------------------------------------------------------------------------------------
# The axis of steps


def decades(log_t: NDArray[np.floating]) -> Floats:
    """Return log10 t, where steps have their place; −inf for step 0."""
    return np.asarray(log_t / math.log(10))


def evenly_spaced(last: float, count: int) -> Floats:
    """Return whole decades up to `last`, evenly spaced on an axis of steps with a far horizon."""
    return np.rint(_NEAR * np.sinh(np.linspace(0, math.asinh(last / _NEAR), count)))


def step_axis(ax: Axes, last: float, *, logarithmic: bool = False) -> None:
    """Make the axis of x one of steps, placed at log10 t and labelled as powers of ten.

    It is linear in ln t. If it goes beyond 50 decades it is so only early, up to some 10^5, and then turns
    smoothly to logarithmic in ln t.

    Parameters
    ----------
    ax : Axes
    last : float
        log10 of the last step on it.
    logarithmic : bool
        Whether it is logarithmic in ln t throughout, so that powers of ln t are straight lines.
    """
    from matplotlib.ticker import FuncFormatter, NullLocator

    shown = ax.dataLim.intervalx[1]
    farthest = max(last, shown) if math.isfinite(shown) else last
    far = farthest > _FAR
    if logarithmic:
        ax.set_xscale("log")
        ax.set_xlabel(rf"{STEP} (spaced by $\ln \ln t$)")
    elif far:
        ax.set_xscale("asinh", linear_width=_NEAR)
        ax.autoscale_view(scaley=False)  # margins to the limits are those of the new scale
        ax.set_xlabel(rf"{STEP} (late ones spaced by $\ln \ln t$)")
    else:
        ax.set_xlabel(STEP)
    spaced = partial(round_decades, logarithmic=logarithmic or far)
    ax.xaxis.set_major_locator(roomy_locator(ax.xaxis, spaced))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda decade, _: f"${power_of_ten(decade)}$"))


def value_axis(axis: Axis) -> None:
    """Have an axis write its numbers in full, not with a factor above the axes, where legends are."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"${number_text(value, 5)}$"))


def far_scale(ax: Axes, width: float) -> None:
    """Make the axis of y linear within a width of 0 and logarithmic farther out."""
    ax.set_yscale("asinh", linear_width=width)
    ax.autoscale_view(scalex=False)  # margins to the limits are those of the new scale


def far_axis(axis: Axis) -> None:
    """Label an axis that is linear near 0 and logarithmic farther out with powers of ten and their signs."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis.set_major_locator(roomy_locator(axis, _signed_powers))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _signed_power(value)))


def _signed_powers(low: float, high: float) -> Floats:
    powers = 10.0 ** np.arange(-50, math.ceil(math.log10(max(abs(low), abs(high)))) + 1)
    return np.concatenate([-powers, [0.0], powers])


def _signed_power(value: float) -> str:
    sign = "-" if value < 0 else ""
    return "0" if value == 0 else f"${sign}{power_of_ten(math.log10(abs(value)))}$"


def roomy_locator(axis: Axis, candidates: Callable[[float, float], Floats]) -> Locator:
    """Return a locator of those ticks among the candidates between two limits that have room on the axis."""
    from matplotlib.ticker import Locator

    class Roomy(Locator):
        def __call__(self) -> Sequence[float]:
            return self.tick_values(*axis.get_view_interval())

        def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
            low, high = sorted((vmin, vmax))
            scale = axis.get_transform()
            room = _TICK_ROOM * float(np.ptp(scale.transform(np.array([low, high]))))
            kept: list[float] = []
            # 0 first, then from the farthest on, as late steps are what a far horizon is for.
            for tick in sorted(candidates(low, high).tolist(), key=lambda tick: (tick != 0, -abs(tick))):
                place = scale.transform(np.array([tick, *kept]))
                if low - 1e-9 <= tick <= high + 1e-9 and np.all(np.abs(place[1:] - place[0]) >= room):
                    kept.append(tick)
            return sorted(kept)

    return Roomy()


def round_decades(low: float, high: float, logarithmic: bool) -> Floats:
    """Return where to label an axis from the decade `low` to `high`, itself logarithmic or not.

    Whole decades; within one or two of them, also 2 and 5 times a power of ten.
    """
    from matplotlib.ticker import MaxNLocator

    if high <= 1.7:
        ticks = np.log10([1, 2, 5, 10, 20, 50])
    elif logarithmic:
        finer = (1, 2, 5) if high < 100 else (1, 3)
        powers = 10.0 ** np.arange(math.floor(math.log10(high)) + 1)
        ticks = np.append(np.outer(powers, finer), 0.0)
    else:
        ticks = np.asarray(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True).tick_values(low, high))
    return np.unique(ticks[(ticks >= max(low, 0.0) - 1e-9) & (ticks <= high + 1e-9)])


def power_of_ten(decade: float) -> str:
    """Return 10^decade in mathematical notation: 0.3 is 2, 6 is 10^{6}, 1000.5 is 3.2·10^{1000}."""
    if abs(decade - round(decade)) < 1e-9:
        return f"10^{{{round(decade)}}}"
    if decade < 4:
        return f"{10**decade:.4g}"
    whole = math.floor(decade)
    mantissa = f"{10 ** (decade - whole):.2g}"
    if mantissa == "10":
        return f"10^{{{whole + 1}}}"
    return rf"{mantissa}\cdot 10^{{{whole}}}"


def number_text(value: float, digits: int = 3) -> str:
    """Return a number with so many digits in mathematical notation."""
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def step_text(traj: Trajectory, sample: int) -> str:
    """Return the step of a sample in mathematical notation."""
    t = traj.t[sample]
    return f"{t:.0f}" if t < 1000 else power_of_ten(float(decades(traj.log_t[sample])))


# --------------------------------------------------------------------------------------------------
# Texts


def note(ax: Axes, text: str) -> None:
    """Say in the middle of axes why there is nothing to see, unless there is."""
    written_note(ax, text)


def written_note(ax: Axes, text: str) -> Text | None:
    """Do the same, and return the text if it was written."""
    if np.isfinite(ax.dataLim.get_points()).all():
        return None
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([], minor=False)
    ax.grid(False)
    wrapped = textwrap.fill(text, 42)
    look: dict[str, Any] = {"ha": "center", "va": "center", "color": ink(ax, 0.65)}
    return ax.text(0.5, 0.5, wrapped, transform=ax.transAxes, **look)


def marker_of(points: Floats) -> str:
    """Return the marker of a curve: none, unless it is a single point, which no line would show."""
    return "o" if len(points) == 1 else ""


def outlined() -> list[AbstractPathEffect]:
    """Return what keeps a text legible on top of lines."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=1.5, foreground="white")]


def remark(ax: Axes, text: str) -> None:
    """Add a sentence to the legend, above its entries."""
    # With a colour of its own, so that it takes none of the cycle.
    (carrier,) = ax.plot([], [], color="none", label="_nolegend_")
    _remarks[carrier] = text


def legend_above(ax: Axes, handles: list[Artist] | None = None, columns: int = 3) -> None:
    """Put the legend above the axes, where it hides nothing, in as many columns as there is room for."""
    from matplotlib import rcParams

    if handles is None:
        handles = ax.get_legend_handles_labels()[0]
    if not handles:
        return
    look: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    remarks = [_remarks[artist] for artist in ax.get_children() if artist in _remarks]
    if remarks:
        look["title"] = _wrapped_title(ax, remarks)
        look["title_fontsize"] = rcParams["legend.fontsize"]
    for number in range(min(columns, len(handles)), 0, -1):
        legend = ax.legend(handles=handles, ncols=number, **look)
        if _fits(ax, legend):
            break
    else:
        _wrap(ax, legend)
    if ax in _own_axes:
        _make_room(ax, legend)


def _wrap(ax: Axes, legend: Legend) -> None:
    """Wrap the entries of a legend as little as there is room for."""
    for width in _WRAPPED:
        for text in legend.get_texts():
            if "$" not in text.get_text():
                text.set_text(textwrap.fill(text.get_text(), width))
        if _fits(ax, legend):
            return


def _make_room(ax: Axes, legend: Legend) -> None:
    """Make a figure higher by what its legend takes too much of it."""
    figure: Any = ax.get_figure(root=True)
    height = _heights.setdefault(figure, figure.get_figheight())
    excess = legend.get_window_extent().height / figure.dpi - _LEGEND_HEIGHT * height
    figure.set_figheight(height + max(excess, 0.0))


def _wrapped_title(ax: Axes, remarks: Sequence[str]) -> str:
    """Return sentences wrapped as little as there is room for."""
    from matplotlib import rcParams

    for width in (*_LONG, *_WRAPPED):
        title = "\n".join(textwrap.fill(text, width) for text in remarks)
        if _fits(ax, ax.legend(handles=[], title=title, title_fontsize=rcParams["legend.fontsize"])):
            break
    return title


def _fits(ax: Axes, legend: Legend) -> bool:
    """Return whether a legend is no wider than the part of the figure that its axes have."""
    place = ax.get_subplotspec()
    figure: Any = ax.get_figure(root=False)
    share = ax.get_position().width
    if place is not None:
        margins = figure.subplotpars
        share = place.get_position(figure).width / (margins.right - margins.left)
    return bool(legend.get_window_extent().width <= _LEGEND_WIDTH * share * figure.bbox.width)
