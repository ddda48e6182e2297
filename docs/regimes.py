"""A map over data: the final activation, the limit of the boundary, and the law of the gap.

Points x_0, x_1 on a line, labels +1 and −1, v = (1, −1) at the start, both points served by a neuron.
Every run goes to 10^1000 steps, from two starts, with fixed and with trained output weights. The script
writes regimes.png next to this file, in half a minute.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

import twonn

POINTS = np.linspace(-2.0, 2.0, 41)
STARTS = (twonn.Params(w=[0.3, -0.2], b=[1.0, 0.8]), twonn.Params(w=[-0.1, 0.35], b=[0.9, 1.2]))
REGIMES = ("each on its own point", "one slides, one on both", "both slide", "other")
LAWS = (
    "does not vanish",
    "1/√ln t, constant from the start",
    "1/ln t, constant from the start",
    "1/ln t, start slowly forgotten",
    "1/ln t, universal constant",
    "faster",
    "between",
)


class Outcome(NamedTuple):
    """The end of a run."""

    regime: int
    gaps: np.ndarray  # at 10^100 and 10^1000 steps, in units of the optimal margin
    offset: float  # of the boundary from the midpoint at the end, likewise; positive towards x_1


def outcome(problem: twonn.Problem, start: twonn.Params) -> Outcome:
    """Run to 10^1000 steps."""
    traj = twonn.run(problem, start, log10_steps=1000.0, samples_per_decade=0.01)
    optimal = twonn.optimal_margin(problem)
    at = [int(np.argmin(np.abs(traj.log_t - decades * np.log(10)))) for decades in (100, 1000)]
    sliding = int(np.isinf(traj.slides["t_exit"]).sum())
    own = 0b1001  # neuron 0 active on point 0 alone, neuron 1 on point 1 alone
    regime = sliding if sliding else 0 if traj.pattern[-1] == own else 3
    midpoint, direction = problem.x.mean(), np.sign(problem.x[1, 0] - problem.x[0, 0])
    return Outcome(regime, traj.gap[at] / optimal, direction * (traj.boundary[-1] - midpoint) / optimal)


def law(one: Outcome, other: Outcome) -> int:
    """Name the law by the exponent of ln t between 10^100 and 10^1000 steps, and by whether starts matter."""
    early, late = one.gaps
    if not late > 1e-6:
        return LAWS.index("faster")
    exponent = np.log10(early / late)  # ln t grows tenfold
    if exponent < 0.2:
        return LAWS.index("does not vanish")
    if abs(exponent - 0.5) < 0.15:
        return LAWS.index("1/√ln t, constant from the start")
    if abs(exponent - 1) < 0.15:
        apart = np.abs(one.gaps / other.gaps - 1)
        if apart[1] < 1e-3:
            return LAWS.index("1/ln t, universal constant")
        forgotten = apart[1] < 0.9 * apart[0]
        return LAWS.index(f"1/ln t, {'start slowly forgotten' if forgotten else 'constant from the start'}")
    return LAWS.index("faster" if exponent > 1 else "between")


def cell(x0: float, x1: float, train_output: bool) -> tuple[float, float, float]:
    """Return regime, offset of the boundary and law for two points; nan where they nearly coincide."""
    if abs(x0 - x1) < 0.25:
        return np.nan, np.nan, np.nan
    problem = twonn.Problem(x=[x0, x1], y=[1, -1], step_size=0.05, train_output=train_output)
    one, other = (outcome(problem, start) for start in STARTS)
    return one.regime, one.offset, law(one, other)


def maps(train_output: bool) -> np.ndarray:
    """Return the three maps, indexed [map, x_1, x_0]."""
    pairs = [(x0, x1) for x1 in POINTS for x0 in POINTS]
    with ThreadPoolExecutor() as executor:
        cells = list(executor.map(lambda pair: cell(*pair, train_output), pairs))
    return np.moveaxis(np.reshape(cells, (len(POINTS), len(POINTS), 3)), -1, 0)


def draw(figure: Figure, values: dict[str, np.ndarray]) -> None:
    """One row per kind of output weights; one column per map."""
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    for row, (name, (regimes, offsets, laws)) in zip(axes, values.items(), strict=True):
        for ax, codes, names in ((row[0], regimes, REGIMES), (row[2], laws, LAWS)):
            colours = ListedColormap([f"C{n}" for n in range(len(names))])
            norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
            mesh = ax.pcolormesh(POINTS, POINTS, codes, cmap=colours, norm=norm)
            bar = figure.colorbar(mesh, ax=ax, ticks=range(len(names)))
            bar.ax.set_yticklabels(names, fontsize=8)
        mesh = row[1].pcolormesh(POINTS, POINTS, offsets, cmap="RdBu", vmin=-0.25, vmax=0.25)
        figure.colorbar(mesh, ax=row[1])
        row[0].set_ylabel(f"{name} output weights\n$x_1$ (label −1)")
        for ax in row:
            # x_0 x_1 = −1: the lifted points are orthogonal there.
            for branch in (POINTS[POINTS < -0.4], POINTS[POINTS > 0.4]):
                ax.plot(branch, -1 / branch, color="black", linewidth=1)
            ax.set(xlim=(-2.05, 2.05), ylim=(-2.05, 2.05), aspect="equal")
    for ax, title in zip(
        axes[0], ("final activation", "boundary off the midpoint", "law of the gap"), strict=True
    ):
        ax.set_title(title)
    for ax in axes[1]:
        ax.set_xlabel("$x_0$ (label +1)")


def main() -> None:
    """Compute and draw the maps."""
    values = {"fixed": maps(False), "trained": maps(True)}
    for name, (regimes, _, laws) in values.items():
        for names, codes in ((REGIMES, regimes), (LAWS, laws)):
            counts = {label: int(np.sum(codes == n)) for n, label in enumerate(names)}
            print(name, {label: count for label, count in counts.items() if count})
    figure = Figure(figsize=(15, 8), layout="constrained")
    draw(figure, values)
    figure.savefig(Path(__file__).with_name("regimes.png"), dpi=80)


if __name__ == "__main__":
    main()
