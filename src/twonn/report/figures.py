"""The files of the figures, as .png, .pdf and .svg in the style of twonn, and what the drawings share."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twonn.engine.bars import LateProgress
from twonn.plot.parts import STYLE
from twonn.plot.parts import step_axis as axis_of_steps
from twonn.report.section import Figure, Section
from twonn.report.tables import Table
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KINDS", "NO_SUCCESS", "draw_figures", "scaled_gap", "step_axis"]

#: The kinds of files, each with metadata without dates: the same numbers give the same bytes.
KINDS: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}

#: What a figure says instead of curves.
NO_SUCCESS = "no successful run"


def draw_figures(
    folder: Path,
    sections: Sequence[Section],
    tables: Mapping[str, Table],
    bar: LateProgress,
    kinds: Sequence[str] = tuple(KINDS),
) -> dict[str, str]:
    """Draw the figures for which there are tables; write the files, return the SVG of each by its name."""
    figures = [figure for section in sections for figure in section.figures if figure.table in tables]
    task = bar.add_task("figures", total=len(figures))
    drawn = {}
    for figure in figures:
        drawn[figure.name] = _drawn(folder, figure, tables[figure.table], kinds)
        bar.update(task, advance=1)
    return drawn


def _drawn(folder: Path, figure: Figure, table: Table, kinds: Sequence[str]) -> str:
    """Write one figure to its files and return its SVG."""
    from matplotlib import figure as canvas
    from matplotlib import rc_context, style

    with style.context(STYLE), rc_context({"svg.hashsalt": figure.name}):
        drawing = canvas.Figure()
        figure.draw(drawing.subplots(), table)
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")  # what it has found holds for all files
        content = {kind: io.BytesIO() for kind in kinds}
        for kind in kinds:
            drawing.savefig(content[kind], format=kind, metadata=KINDS[kind])
            (folder / f"{figure.name}.{kind}").write_bytes(content[kind].getvalue())
    return content["svg"].getvalue().decode("utf-8")


def step_axis(ax: Axes, last: float, *, first: float = 0.0, logarithmic: bool = False) -> None:
    """Make the horizontal axis one of steps, between two decades."""
    axis_of_steps(ax, last, logarithmic=logarithmic)
    ax.set_xlim(first, last)


def scaled_gap(curve: Mapping[str, Floats]) -> Floats:
    """Return gap·ln t along a curve."""
    return curve["gap"] * curve["log10_t"] * math.log(10)
