"""The runs that a figure shows: one, several or many, and how the line of each looks.

Calls on the same axes add up: what is drawn one after the other looks like what is drawn at once. So some
artists change when other runs join them. A line that needed no name gets one, and what is drawn by default
for a single run only, is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, closest
from twonn.plot.parts import checked_axes, checked_trajectory, marker_of, written_note
from twonn.results.records import Status
from twonn.results.trajectory import Trajectory
from twonn.values import Floats, number_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

#: What a function that draws lines takes.
Runs: TypeAlias = Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory]

#: More runs than this share one colour and one entry of the legend: they could not be told apart.
MOST_TOLD_APART = 14

#: The same where line styles tell the quantities of each run apart, so that only colours are left.
MOST_COLOURS = 7

#: For runs beyond the colours of the cycle, in turn.
_LINE_STYLES = ("-", "--", "-.", ":")

#: Not to be set, because the figure sets them.
_TAKEN = ("data", "xdata", "ydata", "figure", "transform", "axes")

#: Lines of runs that are on some axes, and whether each is the first one of its colour.
_drawn: WeakKeyDictionary[Artist, bool] = WeakKeyDictionary()

#: Those of runs that diverged.
_diverged: WeakSet[Artist] = WeakSet()

#: What is to be done with an artist when other runs join it on its axes.
_when_joined: WeakKeyDictionary[Artist, Callable[[Any], object]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Curve:
    """One run and the look of its line.

    Attributes
    ----------
    traj : Trajectory
    label : str
        Its entry in the legend; "" if it has none of its own.
    leads : bool
        Whether it gets a colour of its own. Otherwise it has that of the curve before.
    given : dict
        Keywords of Line2D that were given.
    look : dict
        The same with its colour and line style; empty until it is placed on axes.
    remarks : tuple of str
        What to add to its label.
    """

    traj: Trajectory
    label: str
    leads: bool
    given: dict[str, Any]
    look: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


# --------------------------------------------------------------------------------------------------
# What is given


def checked_curves(
    runs: Runs, line: Mapping[str, Any], *own: str, most: int = MOST_TOLD_APART
) -> list[Curve]:
    """Return the curves to draw, at most so many told apart, or refuse runs or keywords.

    `own` are other keywords of the function, one of which may have been meant.
    """
    look = checked_look(line, own)
    label = look.pop("label", None)
    if isinstance(runs, Mapping) and label is not None:
        fix = "Leave out label, or pass a sequence of trajectories."
        raise ArgumentValueError("label", label, "no label beside a mapping, whose keys are the labels", fix)
    trajectories = checked_trajectories(runs)
    labels = [str(key) for key in runs] if isinstance(runs, Mapping) else _labels(label, len(trajectories))
    one_look = isinstance(label, str) or ("color" in look and not any(labels))
    if len(trajectories) > (1 if one_look else most):
        # Together they are one entry of the legend.
        labels = [label if isinstance(label, str) else number_of(len(trajectories), "run")]
        labels += [""] * (len(trajectories) - 1)
        look = {"linewidth": 0.7, "alpha": 0.7, **look}
        leads = [True] + [False] * (len(trajectories) - 1)
    else:
        leads = [True] * len(trajectories)
    return [
        Curve(traj, name, first, look) for traj, name, first in zip(trajectories, labels, leads, strict=True)
    ]


def begun(
    runs: Runs, ax: Axes | None, line: Mapping[str, Any], most: int = MOST_TOLD_APART
) -> tuple[Axes, list[Curve], bool]:
    """Return the axes, the curves that are about to be drawn there, and whether there are several."""
    curves = checked_curves(runs, line, most=most)
    ax = checked_axes(ax)
    return ax, *placed(ax, curves)


def checked_trajectories(runs: Runs) -> list[Trajectory]:
    """Return one trajectory or several as a list, or refuse."""
    if isinstance(runs, Trajectory):
        return [runs]
    if isinstance(runs, Mapping):
        return [checked_trajectory(one, f"traj[{key!r}]") for key, one in runs.items()]
    if isinstance(runs, (str, bytes)) or not isinstance(runs, Iterable):
        expected = "a twonn.Trajectory, a sequence of them, or a mapping from labels to them"
        raise ArgumentTypeError("traj", runs, expected, "Get one from twonn.run or twonn.load.")
    return [checked_trajectory(one, f"traj[{index}]") for index, one in enumerate(runs)]


def checked_look(line: Mapping[str, Any], own: Sequence[str]) -> dict[str, Any]:
    """Return keywords of Line2D by their full names, or refuse."""
    from matplotlib.artist import ArtistInspector
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    inspector = ArtistInspector(Line2D)
    aliases = {alias for names in inspector.aliasd.values() for alias in names}
    known = sorted({*inspector.get_setters(), *aliases} - set(_TAKEN))
    for name, value in line.items():
        if name not in known:
            expected = "a keyword of this function or of Matplotlib's Line2D"
            raise ArgumentTypeError(name, value, expected, closest(name, [*own, *known]))
        try:
            Line2D([], [], **{name: value})
        except (AttributeError, TypeError, ValueError) as error:
            fix = "Pass one value, for all lines; the cycle of the axes gives each run its own colour."
            expected = f"what Line2D takes ({_first_sentence(error)})"
            raise ArgumentValueError(name, value, expected, fix) from error
    try:
        return dict(normalize_kwargs(dict(line), Line2D))
    except TypeError as error:  # two names of the same keyword
        got = Verbatim(" and ".join(line))
        raise ArgumentTypeError(next(iter(line)), got, "each keyword once", f"{error}.") from error


def _first_sentence(error: Exception) -> str:
    return str(error).splitlines()[0].split("; ")[0].split(": supported")[0].rstrip(".")


def _labels(label: object, count: int) -> list[str]:
    """Return one label for each run, "" where it has none."""
    if label is None:
        return [""] * count
    if isinstance(label, Sequence) and not isinstance(label, (str, bytes)):
        if len(label) != count:
            got = Verbatim(number_of(len(label), "label"))
            expected = f"one label for each of {number_of(count, 'run')}"
            raise ArgumentValueError("label", got, expected, "Or pass one label, for all of them together.")
        return [str(one) for one in label]
    return [str(label)] * count


def are_group(curves: Sequence[Curve]) -> bool:
    """Return whether curves share one colour and one entry of the legend."""
    return len(curves) > 1 and not curves[1].leads


# --------------------------------------------------------------------------------------------------
# What is on the axes


def placed(ax: Axes, curves: Sequence[Curve]) -> tuple[list[Curve], bool]:
    """Give curves that are about to be drawn their colours, and their labels if there are several.

    Returns
    -------
    curves : list of Curve
        With `color` and `linestyle` in their looks.
    several : bool
        Whether there are several runs on the axes, those of earlier calls included.
    """
    earlier = [artist for artist in ax.get_children() if artist in _drawn]
    several = len(curves) > 1 or bool(earlier)
    if earlier:
        _join(ax)
    taken = {_look_of(artist) for artist in earlier}
    index = sum(_drawn[artist] for artist in earlier)
    found: list[Curve] = []
    for curve in curves:
        if curve.leads:
            look = _free_look(ax, curve.given, taken)
            taken.add(_key(look["color"], look["linestyle"]))
            label = curve.label or (f"run {index}" if several else "")
            index += 1
        else:
            look, label = {**found[-1].look, **curve.given}, ""
        diverged = several and curve.traj.status is Status.DIVERGED and not are_group(curves)
        remarks = ("diverged",) if diverged else ()
        found.append(replace(curve, look=look, label=label, remarks=remarks))
    return found, several


def draw_curve(
    ax: Axes,
    x: Floats,
    y: Floats,
    curve: Curve,
    *,
    alone: str = "",
    lacking: str = "",
    **defaults: Any,
) -> Line2D:
    """Draw the line of a run.

    Parameters
    ----------
    ax : Axes
    x, y : ndarray
    curve : Curve
        From `placed`.
    alone : str
        Its label if it is the only run and has none.
    lacking : str
        What to add to its label if it has no point: why.
    **defaults : Any
        Keywords of Line2D that its look may override.
    """
    look = {"marker": marker_of(x), **defaults, **curve.look}
    remarks = () if len(x) else (lacking,)
    label = described(curve, remarks) or (alone if curve.leads else "")
    if label:
        look["label"] = label
    (line,) = ax.plot(x, y, **look)
    register(line, curve)
    if not curve.label and curve.leads:
        joined_by_others(line, partial(renamed, described(replace(curve, label="run 0"), remarks)))
    return line


def described(curve: Curve, lacking: tuple[str, ...] = ()) -> str:
    """Return the label of a curve with its remarks."""
    remarks = [remark for remark in (*curve.remarks, *lacking) if remark]
    return f"{curve.label} ({', '.join(remarks)})" if curve.label and remarks else curve.label


def register(line: Line2D, curve: Curve) -> None:
    """Have a line count as that of a run on its axes."""
    _drawn[line] = curve.leads
    note_divergence([line], curve)


def note_divergence(lines: Iterable[Line2D], curve: Curve) -> None:
    """Keep in mind of which lines the run diverged."""
    if curve.traj.status is Status.DIVERGED:
        _diverged.update(lines)


def leave_diverged_out_of_view(ax: Axes) -> None:
    """Choose the limits of axes by runs that have not diverged, where there are such."""
    diverged = [line for line in ax.lines if line in _diverged]
    if diverged and any(line in _drawn and line not in _diverged for line in ax.lines):
        for line in diverged:
            line.set_visible(False)
        ax.relim(visible_only=True)
        ax.autoscale_view()
        for line in diverged:
            line.set_visible(True)


def joined_by_others(artist: Artist, change: Callable[[Any], object]) -> None:
    """Have an artist changed when other runs join it on its axes. The change must not hold the artist."""
    _when_joined[artist] = change


def passing(artist: Artist) -> None:
    """Have an artist removed when other runs join it: it is drawn for a single run only, or drawn anew."""
    joined_by_others(artist, _remove)


def note_until_joined(ax: Axes, text: str) -> bool:
    """Say in the middle of empty axes why there is nothing to see, until there is; return whether said."""
    written = written_note(ax, text)
    if written is not None:
        joined_by_others(written, _lift_note)
    return written is not None


def _join(ax: Axes) -> None:
    for artist in ax.get_children():
        change = _when_joined.pop(artist, None)
        if change is not None:
            change(artist)
    if not ax.collections and not ax.images:  # which would be forgotten
        ax.relim()  # the limits are not those of what was removed


def renamed(label: str, artist: Artist) -> None:
    """Give an artist a label; a change for `joined_by_others`."""
    artist.set_label(label)


def restyled(look: Mapping[str, Any], artist: Artist) -> None:
    """Give an artist another look; a change for `joined_by_others`."""
    artist.set(**look)


def _remove(artist: Artist) -> None:
    artist.remove()


def _lift_note(written: Text) -> None:
    from matplotlib.ticker import AutoLocator

    ax = written.axes
    assert ax is not None
    written.remove()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(AutoLocator())
    ax.grid(True)


def _free_look(ax: Axes, look: Mapping[str, Any], taken: set[tuple[str, str]]) -> dict[str, Any]:
    """Return a look whose colour and line style together are those of no other run, if there are such."""
    colour: Any = look.get("color")
    style: Any = "-"
    if colour is None:
        # Only a line that is drawn gets the next look of the cycle.
        (scout,) = ax.plot([], [], **look)
        colour, style = scout.get_color(), scout.get_linestyle()
        scout.remove()
    styles = tuple(dict.fromkeys((style, *_LINE_STYLES)))
    free = (other for other in styles if _key(colour, other) not in taken)
    return {"color": colour, "linestyle": next(free, style), **look}


def _look_of(artist: Artist) -> tuple[str, str]:
    from matplotlib.lines import Line2D

    assert isinstance(artist, Line2D)
    return _key(artist.get_color(), artist.get_linestyle())


def _key(colour: Any, style: Any) -> tuple[str, str]:
    """Return what is equal for looks that cannot be told apart."""
    from matplotlib.colors import to_hex

    return to_hex(colour, keep_alpha=True), str(style)
