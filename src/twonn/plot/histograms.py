"""Constants of many runs with their distribution."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from twonn.arguments import ArgumentValueError, Verbatim, real_array
from twonn.plot.parts import checked_axes, styled
from twonn.sweeps.result import SweepResult
from twonn.values import Floats

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


@styled
def constants(c: ArrayLike | SweepResult | xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the rate constants with their density for random starts.

    Parameters
    ----------
    c : array_like, shape (runs,), SweepResult or xarray.Dataset
        c = |w_0(0) + w_1(0)|/2 of runs that start with b = 0 and w_0(0) > 0 > w_1(0), in the units
        of x. Or a sweep, as `twonn.sweep` returns it, or as `twonn.load` or `xarray.open_zarr` opens its
        store: then c of its successful runs of gradient descent.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        The density is that for w_j(0) ~ N(0, 2), the He initialization of one input:
        f_B(x) = 2√(2/π) exp(−x²/2) erfc(x/√2).

    Raises
    ------
    TypeError, ValueError
        If these are not numbers >= 0, or if c of the sweep is not |w_0(0) + w_1(0)|/2. It is for opposite
        labels at x = ±a, a >= 1, biases 0 at the start, and output weights fixed at +1 and −1.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    from scipy.special import erfc

    if isinstance(c, SweepResult):
        c = c.to_xarray()
    if isinstance(c, Mapping):  # as Datasets are
        c = _constants_of(c)
    values = real_array("c", c).ravel()
    if np.any(values < 0):
        raise ArgumentValueError("c", c, "numbers >= 0", "Give |w_0(0) + w_1(0)|/2 of each run.")
    ax = checked_axes(ax)
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


def _constants_of(sweep: Any) -> Floats:
    """Return c of the successful runs of a sweep, or refuse one of another setting."""
    names = ("final_margins", "start_w", "start_b", "start_v")
    if any(name not in sweep for name in names) or "spec" not in getattr(sweep, "attrs", {}):
        expected = "the dataset of a twonn sweep"
        raise ArgumentValueError("c", Verbatim("another dataset"), expected, "Open the store of a sweep.")
    margins, w, b, v = (sweep[name] for name in names)
    problems = json.loads(sweep.attrs["spec"])["problems"]
    successful = (margins > 0).all("point") & _is_descent(sweep)
    if not all(_as_in_the_paper(one) for one in problems):
        expected = "opposite labels at x = ±a on the line, a >= 1, and fixed output weights"
        raise ArgumentValueError("c", Verbatim("a sweep of other problems"), expected, _FIX)
    usual = (b == 0).all("neuron") & (v.isel(neuron=0) == 1) & (v.isel(neuron=1) == -1)
    if not bool((usual | ~successful).all()):
        expected = "biases 0 and output weights (+1, −1) at the start"
        raise ArgumentValueError("c", Verbatim("a sweep from other starts"), expected, _FIX)
    c = np.abs(w.sum(("neuron", "axis"))) / 2
    return np.asarray(np.asarray(c)[np.asarray(successful.transpose(*c.dims))])


def _is_descent(sweep: Any) -> Any:
    """Return which runs are those of gradient descent, or refuse a sweep without any."""
    if "optimizer" in sweep:
        optimizer = sweep["optimizer"]
        codes = optimizer.attrs.get("flag_meanings", "").split()  # in a store they are numbers
        is_descent = optimizer == (codes.index("gd") if "gd" in codes else "gd")
    else:  # a store of an earlier format
        is_descent = np.array(json.loads(sweep.attrs["spec"])["optimizer"]["name"] == "gd")
    if not is_descent.any():
        expected = "runs of gradient descent"
        raise ArgumentValueError("c", Verbatim("a sweep of other optimizers"), expected, _FIX)
    return is_descent


def _as_in_the_paper(problem: Mapping[str, Any]) -> bool:
    """Return whether c is |w_0 + w_1|/2: each neuron stays active on its own point only."""
    first, second = problem["x"]
    opposite = problem["y"][0] != problem["y"][1]
    on_the_line = len(first) == 1 and first[0] == -second[0] and abs(first[0]) >= 1
    return on_the_line and opposite and problem["bias"] and not problem["train_output"]


_FIX = "Here c is not |w_0(0) + w_1(0)|/2; give the constants themselves, as an array."
