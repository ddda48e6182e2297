"""Runs beside one another at a glance: several quantities over the same steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, one_of
from twonn.plot.classification import draw_losses
from twonn.plot.curves import draw_gaps, draw_local_exponents, draw_scaled_gaps, successes
from twonn.plot.parts import given_axes, has_own_style, legend_above, styled
from twonn.plot.runs import Curve, are_group, checked_curves, placed
from twonn.results.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches that each quantity adds to the height of a figure, and what legend and labels take.
_HEIGHT, _REST = 1.55, 0.75


@styled
def compare(
    traj: Trajectory | Iterable[Trajectory] | Mapping[Any, Trajectory],
    axes: Sequence[Axes] | NDArray[Any] | None = None,
    *,
    kinds: Sequence[str] = ("gap", "scaled_gap", "loss"),
    **line: Any,
) -> NDArray[Any]:
    """Draw the gap, gap·ln t and the loss of several runs above one another, over the same steps.

    This function draws on several axes. Steps are spaced by ln ln t on all of them, as in `gap`.

    Parameters
    ----------
    traj : mapping of label to Trajectory, sequence of Trajectory, or Trajectory
        Runs are told apart by colours and labels. More than 14 share one of each.
    axes : sequence of Axes, optional
        One for each kind; by default those of a new figure. Calls on the same axes add up to one comparison.
    kinds : sequence of {"gap", "scaled_gap", "local_exponent", "loss"}
        What to draw, from the top down.
    **line : Any
        Keywords of Matplotlib's Line2D, such as `color`, `label` and `linestyle`. A label for several runs
        stands for all of them, and a sequence of labels has one for each.

    Returns
    -------
    ndarray of Axes, shape (number of kinds,)
        The first has the legend of all. A run that failed is marked there: at its last sample a point is not
        classified correctly, or it diverged. It is left out of gap·ln t. `Trajectory.outcome` has the reason.

    Raises
    ------
    TypeError, ValueError
        If a kind is unknown, if there is not one of the axes for each, or a keyword is not one of Line2D.
    """
    curves = checked_curves(traj, line, "axes", "kinds")
    kinds = _checked_kinds(kinds)
    axes, is_new = _checked_all_axes(axes, len(kinds))
    curves, several = placed(axes[0], curves)
    for ax in axes[1:]:
        placed(ax, [])
    curves = [replace(curve, remarks=_failures(curve, curves)) for curve in curves]
    for ax, kind in zip(axes, kinds, strict=True):
        _KINDS[kind](ax, curves, several)
    if several or any(curve.label for curve in curves):
        legend_above(axes[0])
    if is_new:
        for ax in axes:
            ax.label_outer()
    return axes


def _checked_kinds(kinds: Sequence[str]) -> list[str]:
    if isinstance(kinds, str) or not isinstance(kinds, Sequence) or not kinds:
        fix = 'Write e.g. kinds=["gap", "loss"].'
        raise ArgumentTypeError("kinds", kinds, "a sequence of kinds, not empty", fix)
    return [one_of(f"kinds[{index}]", kind, tuple(_KINDS)) for index, kind in enumerate(kinds)]


def _checked_all_axes(axes: object, count: int) -> tuple[NDArray[Any], bool]:
    """Return the axes as an array, and whether they are those of a new figure; or refuse."""
    if axes is None:
        from matplotlib import pyplot

        width = pyplot.rcParams["figure.figsize"][0]
        size = (width, _REST + _HEIGHT * count)
        found = pyplot.subplots(count, sharex=True, squeeze=False, figsize=size)[1][:, 0]
        for ax in found:
            has_own_style(ax)
        return found, True
    given = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(given) != count:
        fix = f"Make them with plt.subplots({count}, sharex=True)."
        raise ArgumentValueError("axes", Verbatim(f"{len(given)}"), f"one for each of {count} kinds", fix)
    return np.array([given_axes(f"axes[{index}]", ax) for index, ax in enumerate(given)], object), False


def _failures(curve: Curve, curves: Sequence[Curve]) -> tuple[str, ...]:
    """Return what to say of the runs that a curve stands for, if some of them failed."""
    if are_group(curves):
        failed = sum(not one.traj.success for one in curves)
        return (f"{failed:,} failed",) if failed else ()
    return curve.remarks or (() if curve.traj.success else ("failed",))


def _draw_gaps(ax: Axes, curves: Sequence[Curve], several: bool) -> None:
    draw_gaps(ax, curves, several)
    ax.set_ylabel("gap (units of $x$)")  # there is less room than in a figure of its own


def _draw_scaled_gaps(ax: Axes, curves: Sequence[Curve], several: bool) -> None:
    draw_scaled_gaps(ax, *successes(curves), logarithmic=True)


def _draw_local_exponents(ax: Axes, curves: Sequence[Curve], several: bool) -> None:
    draw_local_exponents(ax, curves, logarithmic=True)


def _draw_losses(ax: Axes, curves: Sequence[Curve], several: bool) -> None:
    draw_losses(ax, curves, logarithmic=True)


_KINDS: dict[str, Callable[[Axes, Sequence[Curve], bool], None]] = {
    "gap": _draw_gaps,
    "scaled_gap": _draw_scaled_gaps,
    "local_exponent": _draw_local_exponents,
    "loss": _draw_losses,
}
