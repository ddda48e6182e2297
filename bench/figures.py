"""The figures of a session: cost and accuracy against the number of steps, and how cost scales."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from records import YARDSTICK, YARDSTICK_STEPS, curves

#: Errors of 0 are drawn here, below the rounding unit.
FLOOR = 2e-17

STYLE = {"marker": "o", "ms": 4, "lw": 1.2, "capsize": 2}

TICKS = (2, 4, 8, 16, 100, 1000)


def draw(folder, whole):
    """Write cost.png, accuracy.png and scaling.png for what has been measured."""
    folder, records = Path(folder), whole["records"]
    lines = curves([r for r in records if r["group"] == "cost"])
    if lines:
        save(cost(lines, whole["cap"]), folder / "cost.png")
        save(accuracy(lines), folder / "accuracy.png")
    scaling = {}
    for line in records:
        if line["group"] == "scaling":
            scaling.setdefault(line["case"], []).append(line)
    if scaling:
        leaps = [line for line in records if line["peer"] == YARDSTICK]
        save(scale(scaling, leaps), folder / "scaling.png")


def save(figure, path):
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def drawn(axes, lines, of):
    """Draw every line, the package's thick, with a dot where it ends; `of` makes x and y of a point."""
    colours = plt.colormaps["tab20"].colors
    for n, (name, points) in enumerate(sorted(lines.items(), key=lambda item: "twonn" not in item[0])):
        x, y = zip(*map(of, points), strict=True)
        ours = "twonn" in name
        style = {"lw": 2.5 if ours else 1.2, "ls": "--" if "flow" in name else "-"}
        axes.plot(x, y, color=colours[n], label=name, **style)
        axes.plot(x[-1:], y[-1:], "o", color=colours[n], ms=5)
    axes.grid(alpha=0.3)


def cost(lines, cap):
    """Return the figure of seconds against steps. Nothing is extrapolated."""
    figure = Figure((8.5, 5.2), layout="constrained")
    axes = figure.subplots()
    drawn(axes, lines, lambda point: point[:2])
    axes.axhline(cap, color="0.5", lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(TICKS, [f"$10^{{{tick}}}$" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlabel("gradient-descent steps t (as $\\log_{10} t$, on a logarithmic axis)")
    axes.set_ylabel("seconds")
    axes.set_title(
        f"One run. A line ends where the next point is expected to take over {cap:g} s, or fails", fontsize=10
    )
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def accuracy(lines):
    """Return the figure of the relative error of the parameters against seconds."""
    figure = Figure((8.5, 5.2), layout="constrained")
    axes = figure.subplots()
    drawn(axes, lines, lambda point: (point[1], max(point[2], FLOOR)))
    # Leaps take the same time for whatever number of steps: a line would only be a tangle.
    axes.lines[0].set(linestyle="none", marker="o", markersize=5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(2.0**-53, color="0.5", lw=0.8, ls=":")
    axes.set_xlabel("seconds of a run; lines start at $10^2$ steps and end where those of the cost do")
    axes.set_ylabel("relative error of the parameters")
    axes.set_title("Against the exact solution. The flow is another curve than the descent", fontsize=10)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def scale(scaling, leaps):
    """Return the figure of how cost changes with threads, runs, dimension and ln t."""
    figure = Figure((10, 3), layout="constrained")
    panels = figure.subplots(1, len(scaling) + 1)
    for axes, (case, records) in zip(panels, scaling.items(), strict=False):
        (name,) = {name for line in records for name in line["at"]}
        x = [line["at"][name] for line in records]
        middle = [line["ratio"][1] for line in records]
        spread = [[abs(line["ratio"][end] - line["ratio"][1]) for line in records] for end in (0, 2)]
        axes.errorbar(x, middle, spread, **STYLE)
        axes.set(xscale="log", ylim=(0, None), xlabel=name, title=case)
        axes.set_xticks(x, x)
        axes.minorticks_off()
        axes.set_ylabel(f"speed relative to {records[0]['peer']}", fontsize=8)
    log_t = [np.log(10) * line["at"]["log10_steps"] for line in leaps]
    steps = YARDSTICK_STEPS / np.array([line["ratio"] for line in leaps])
    panels[-1].errorbar(log_t, steps[:, 1], abs(steps[:, [0, 2]].T - steps[:, 1]), **STYLE)
    panels[-1].set(xscale="log", ylim=(0, None), xlabel="ln t", title="a run by leaps")
    panels[-1].set_ylabel("cost, in direct steps", fontsize=8)
    for axes in panels:
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
    return figure
