"""The figures of the report, drawn from its tables: each in the style of twonn, as .png, .pdf and .svg."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twonn import plot
from twonn.engine.watching import LateProgress
from twonn.plot.parts import STYLE, legend_above, note
from twonn.plot.parts import step_axis as axis_of_steps
from twonn.report.experiments import DATA
from twonn.report.tables import Table, along
from twonn.values import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Tables = Mapping[str, Table]
Drawing = Callable[["Axes", Tables], None]

#: The files of a figure, and nothing of the moment in them: the same numbers give the same bytes.
UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}


def draw(folder: Path, tables: Tables, bar: LateProgress) -> dict[str, str]:
    """Draw what there are tables for; write the files and return the SVG of each figure by its name."""
    drawn = {}
    wanted = {name: draw_one for name, (needs, draw_one) in FIGURES.items() if needs in tables}
    task = bar.add_task("figures", total=len(wanted))
    for name, draw_one in wanted.items():
        drawn[name] = _written(folder, name, draw_one, tables)
        bar.update(task, advance=1)
    return drawn


def _written(folder: Path, name: str, draw_on: Drawing, tables: Tables) -> str:
    """Write one figure to its files and return its SVG."""
    from matplotlib import rc_context, style
    from matplotlib.figure import Figure

    with style.context(STYLE), rc_context({"svg.hashsalt": name}):
        figure = Figure()
        draw_on(figure.subplots(), tables)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # what it has found holds for all files
        content = {kind: io.BytesIO() for kind in UNDATED}
        for kind, metadata in UNDATED.items():
            figure.savefig(content[kind], format=kind, metadata=metadata)
            (folder / f"{name}.{kind}").write_bytes(content[kind].getvalue())
    return content["svg"].getvalue().decode("utf-8")


# --------------------------------------------------------------------------------------------------
# One by one


def _law(ax: Axes, tables: Tables) -> None:
    curves = along(tables["law_gaps"], "scheme", "start") if tables["law_gaps"] else {}
    if not curves:
        return note(ax, "no successful run")
    scaled = [_scaled(curve) / curve["c"] for curve in curves.values()]
    x = next(iter(curves.values()))["log10_t"]
    for one in scaled:
        ax.plot(x, one, color="C5", linewidth=0.5, alpha=0.5)
    ax.plot(x, np.median(scaled, axis=0), color="C0", label="median")
    ax.axhline(1.0, color="black", linestyle="--", linewidth=0.8)
    ax.lines[0].set_label("single runs")
    _step_axis(ax, float(x[-1]))
    ax.set(ylabel=r"gap $\cdot\,\ln t\;/\;c$", ylim=(0, 2.5))
    return legend_above(ax)


def _constants(ax: Axes, tables: Tables) -> None:
    plot.constants([c for c in tables["runs"]["c"] if c is not None], ax)


def _scaled_gap(ax: Axes, tables: Tables) -> None:
    _by_constant(ax, tables["gaps"], logarithmic=False)


def _fall(ax: Axes, tables: Tables) -> None:
    _by_constant(ax, tables["gaps"], logarithmic=True)


def _by_constant(ax: Axes, table: Table, logarithmic: bool) -> None:
    """Draw the gap itself, or gap·ln t with the constants at the edge, in the colour of the constant."""
    from matplotlib import colormaps

    curves = along(table, "run") if table else {}
    last = max((float(curve["log10_t"][-1]) for curve in curves.values()), default=0.0)
    if last <= 0:
        return note(ax, "no successful run of two steps or more")
    largest = max(float(curve["c"][0]) for curve in curves.values())
    for curve in curves.values():
        c = float(curve["c"][0])
        colour = colormaps["cividis"](0.9 * c / largest)
        if logarithmic:
            shown = curve["gap"] > 0
            ax.plot(curve["log10_t"][shown], curve["gap"][shown], color=colour, linewidth=0.7, alpha=0.7)
        else:
            ax.plot(curve["log10_t"], _scaled(curve), color=colour, linewidth=0.7, alpha=0.7)
            ax.axhline(c, 0.94, 1.0, color=colour, linestyle="--")
    _step_axis(ax, last)
    if logarithmic:
        ax.set_yscale("log")
        ax.set_ylabel("gap (units of $x$)")
        return None
    ax.set_ylabel(r"gap $\cdot\,\ln t$ (units of $x$)")
    ax.lines[-1].set_label(r"$c$, reached as $t\to\infty$")
    return legend_above(ax)


def _trained(ax: Axes, tables: Tables) -> None:
    curves = along(tables["trained_gaps"], "start") if tables["trained_gaps"] else {}
    if not curves:
        return note(ax, "no successful run")
    curve = next(iter(curves.values()))
    shown = curve["log10_t"] >= 1
    x, log_t = curve["log10_t"][shown], curve["log10_t"][shown] * math.log(10)
    ax.plot(x, curve["gap"][shown], label="gap")
    ax.plot(x, curve["closed"][shown], "--", color="C1", label="closed form")
    ax.plot(x, curve["c"][shown] / np.sqrt(log_t), ":", color="black", label=r"bare $C/\sqrt{\ln t}$")
    ax.set_yscale("log")
    _step_axis(ax, float(x[-1]), first=1.0, logarithmic=True)
    ax.set_ylabel("gap (units of $x$)")
    return legend_above(ax)


def _boundary(ax: Axes, tables: Tables) -> None:
    curves = along(tables["data_gaps"], "data", "start") if tables["data_gaps"] else {}
    if not curves:
        return note(ax, "no successful run")
    for (kind, start), curve in curves.items():
        (x_0, x_1), name = DATA[kind]
        first = start == min(one for other, one in curves if other == kind)
        shown = np.isfinite(curve["boundary"])
        ax.plot(
            curve["log10_t"][shown],
            (curve["boundary"][shown] - x_0) / (x_1 - x_0),
            color=_COLOURS[kind],
            linewidth=0.7,
            label=f"${name}$".replace("−", "-") if first else None,
        )
    ax.axhline(0.5, color="black", linestyle="--", linewidth=0.8)
    _step_axis(ax, float(curve["log10_t"][-1]))
    ax.set(ylabel="boundary between the samples", ylim=(0, 1))
    return legend_above(ax)


def _forgets(ax: Axes, tables: Tables) -> None:
    curves = along(tables["data_gaps"], "data", "start") if tables["data_gaps"] else {}
    sliding = {key: curve for key, curve in curves.items() if key[0] != next(iter(DATA))}
    if not sliding:
        return note(ax, "no successful run")
    for (kind, start), curve in sliding.items():
        first = start == min(one for other, one in sliding if other == kind)
        label = f"${DATA[kind][1]}$".replace("−", "-") if first else None
        ax.plot(curve["log10_t"], _scaled(curve), color=_COLOURS[kind], linewidth=0.7, label=label)
        if first:
            ax.axhline(float(curve["c"][0]), color=_COLOURS[kind], linestyle="--", linewidth=0.8)
    _step_axis(ax, float(curve["log10_t"][-1]))
    ax.set(ylabel=r"gap $\cdot\,\ln t$ (units of $x$)", ylim=(0, 0.5))
    return legend_above(ax)


_COLOURS = dict(zip(DATA, ("C0", "C1", "C2"), strict=True))


def _optimizers(ax: Axes, tables: Tables) -> None:
    for (name, start), curve in along(tables["optimizer_gaps"], "optimizer", "start").items():
        if start == 0:
            shown = curve["gap"] > 0
            ax.plot(curve["log10_t"][shown], curve["gap"][shown], label=name)
            last = float(curve["log10_t"][-1])
    ax.set_yscale("log")
    _step_axis(ax, last)
    ax.set_ylabel("gap (units of $x$)")
    legend_above(ax, columns=2)


def _float32(ax: Axes, tables: Tables) -> None:
    for (name, start), curve in along(tables["float32_gaps"], "arithmetic", "start").items():
        single = name == "binary32"
        shown = (curve["log10_t"] >= 2) & (curve["gap"] > 0)
        ax.plot(
            curve["log10_t"][shown],
            curve["gap"][shown],
            color="C1" if single else "C0",
            linewidth=1.0 if single else 0.7,
            label=name if start == 0 else None,
        )
    ax.set_yscale("log")
    _step_axis(ax, float(curve["log10_t"][-1]), first=2.0)
    ax.set_ylabel("gap (units of $x$)")
    legend_above(ax)


def _step_axis(ax: Axes, last: float, *, first: float = 0.0, logarithmic: bool = False) -> None:
    axis_of_steps(ax, last, logarithmic=logarithmic)
    ax.set_xlim(first, last)


def _scaled(curve: Mapping[str, Floats]) -> Floats:
    """Return gap·ln t."""
    return curve["gap"] * curve["log10_t"] * math.log(10)


#: By the name of its file: the table that it needs, and how it is drawn.
FIGURES: dict[str, tuple[str, Drawing]] = {
    "law": ("law_gaps", _law),
    "constants": ("runs", _constants),
    "scaled_gap": ("gaps", _scaled_gap),
    "fall": ("gaps", _fall),
    "trained": ("trained_gaps", _trained),
    "boundary": ("data_gaps", _boundary),
    "forgets": ("data_gaps", _forgets),
    "optimizers": ("optimizer_gaps", _optimizers),
    "float32": ("float32_gaps", _float32),
}
