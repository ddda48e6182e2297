"""The samples of a gap that laws are fitted to: windows of them, their noise, and what is refused as no use.

The margin first falls and only then recovers. Before the gap has turned, or soon after, any fit is wrong.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim
from twonn.results.trajectory import Trajectory
from twonn.values import Floats

Window = tuple[float, float]

#: Windows, as parts of the last ln t: what is stated is fitted in the first, and its interval takes in what
#: the others make of it.
WINDOWS: tuple[Window, ...] = ((0.75, 1.0), (0.6, 1.0), (2 / 3, 1.0), (0.85, 1.0), (2 / 3, 0.9))

#: Laws are fitted in the one and compared by what they predict in the other.
LEARNT: Window = (0.7, 0.85)

PREDICTED: Window = (0.85, 1.0)

#: Fewest samples of a window that anything is fitted to, and most that are used, evenly chosen.
LEAST_SAMPLES, MOST_SAMPLES = 6, 120

#: Relative deviations below this are rounding.
ROUNDING = 1e-12

#: How far beyond its turn a gap has to be known, in ln t.
LATE = 2.5

#: The same with trained output weights, where what is left of the start falls like (D/m)² only (theory,
#: eq. 16), and the gap turns once m has grown to the size of D.
LATE_TRAINED = 4.6

#: Before this ln t nothing is settled, and a gap that still rises before that one may be about to turn.
EARLIEST, EARLIEST_RISE = math.log(1e4), math.log(1e6)

#: A gap of a trajectory counts while what rounding and sawtooths do to it is below this part of it.
WORST_GAP_ERROR = 1e-3


# --------------------------------------------------------------------------------------------------
# Windows and noise


def in_window(log_t: Floats, gap: Floats, window: Window) -> tuple[Floats, Floats]:
    """Return the samples of a window, evenly thinned if they are many."""
    within = np.flatnonzero((log_t >= window[0] * log_t[-1]) & (log_t <= window[1] * log_t[-1]))
    if len(within) > MOST_SAMPLES:
        within = within[np.linspace(0, len(within) - 1, MOST_SAMPLES).round().astype(np.intp)]
    return log_t[within], gap[within]


def usable_windows(log_t: Floats) -> list[Window]:
    """Return the windows that have enough samples, the one of the stated numbers first."""
    return [window for window in WINDOWS if len(in_window(log_t, log_t, window)[0]) >= LEAST_SAMPLES]


def white_noise(values: Floats) -> float:
    """Return the standard deviation of white noise, by second differences: they have 6 times its variance."""
    return math.sqrt(float(np.mean(np.diff(values, 2) ** 2)) / 6)


# --------------------------------------------------------------------------------------------------
# What is given


def checked_samples(
    trajectory_or_log_t: Trajectory | ArrayLike, gap: ArrayLike | None
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return copies of ln t and gap, and which gaps are lost in their own error; or refuse."""
    if isinstance(trajectory_or_log_t, Trajectory):
        log_t, gap, lost = _of_trajectory(trajectory_or_log_t, gap)
    else:
        if gap is None:
            raise ArgumentTypeError("gap", gap, "the gap at every log_t", "Write fit_rate(log_t, gap).")
        log_t, gap = _array("log_t", trajectory_or_log_t), _array("gap", gap)
        lost = np.zeros(gap.shape, bool)
    _check_arrays(log_t, gap)
    return log_t, gap, lost


def _of_trajectory(traj: Trajectory, gap: ArrayLike | None) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    if gap is not None:
        raise ArgumentTypeError(
            "gap", gap, "nothing beside a trajectory", "Write fit_rate(traj) or fit_rate(log_t, gap)."
        )
    if traj.problem.y[0] == traj.problem.y[1]:
        raise ArgumentValueError(
            "trajectory", Verbatim("equal labels"), "opposite labels", "Equal ones have no gap."
        )
    # The rest of the error is a bound that is carried on from the steps at which leaps began. It is hardly
    # more than a shift of time, which does not blur a law.
    lost = ~(traj.gap_noise <= WORST_GAP_ERROR * traj.gap)
    return traj.log_t.copy(), traj.gap.copy(), lost


def _array(argument: str, value: ArrayLike) -> Floats:
    """Return a fresh vector of floats, or refuse."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        got = Verbatim(f"dtype {array.dtype}, shape {array.shape}")
        raise ArgumentTypeError(argument, got, "a vector of real numbers", "Give one number per sample.")
    return np.array(array, dtype=np.float64)


def _check_arrays(log_t: Floats, gap: Floats) -> None:
    if log_t.shape != gap.shape:
        shapes = Verbatim(f"shapes {log_t.shape} and {gap.shape}")
        raise ArgumentValueError("gap", shapes, "one gap for every log_t", "Give arrays of equal length.")
    if np.isnan(log_t).any() or np.isposinf(log_t).any() or np.any(log_t[1:] <= log_t[:-1]):
        raise ArgumentValueError(
            "log_t",
            Verbatim("logarithms that are nan, inf or not increasing"),
            "increasing natural logarithms of steps",
            "Sort them and remove repetitions and gaps in the record.",
        )
    if not np.isfinite(gap).all() or np.any(gap < 0):
        raise ArgumentValueError(
            "gap",
            Verbatim(f"{int(np.sum(~(np.isfinite(gap) & (gap >= 0)))):,} that are nan, inf or negative"),
            "numbers >= 0",
            "Leave these samples out; a diverged run has no rate.",
        )


# --------------------------------------------------------------------------------------------------
# What is too few or too early


def check_late_enough(log_t: Floats, gap: Floats, zeros: int, lost: int, trained: bool) -> None:
    """Refuse what would be fitted wrongly.

    Parameters
    ----------
    log_t, gap : ndarray, shape (n,)
        The usable samples.
    zeros, lost : int
        How many others were left out because the gap is 0 or lost in its own error.
    trained : bool
        Whether output weights are known to be trained.
    """
    left_out = f" ({zeros:,} gaps are 0, {lost:,} are lost in their own error)" if zeros or lost else ""
    _check_number(log_t, gap, left_out)
    _check_change(*in_window(log_t, gap, (LEARNT[0], 1.0)))
    _check_turn(log_t, gap, LATE_TRAINED if trained else LATE)


def _refusal(got: str, expected: str, fix: str) -> ValueError:
    return ArgumentValueError("gap", Verbatim(got), expected, fix)


def _check_number(log_t: Floats, gap: Floats, left_out: str) -> None:
    if not len(gap) or log_t[-1] < EARLIEST:
        end = f"usable samples up to ln t = {log_t[-1]:.4g}" if len(gap) else "no usable sample"
        raise _refusal(
            end + left_out,
            f"samples up to ln t = {EARLIEST:.4g} (10^4 steps) at least",
            "Run longer: the margin first falls, and fits to that are wrong.",
        )
    if any(len(in_window(log_t, gap, window)[0]) < LEAST_SAMPLES for window in (LEARNT, PREDICTED)):
        raise _refusal(
            f"{len(gap):,} usable samples{left_out}",
            f"{LEAST_SAMPLES} at least for ln t in each of {LEARNT} and {PREDICTED} of the last",
            "Sample more densely (samples_per_decade) or run longer.",
        )


def _check_change(log_t: Floats, gap: Floats) -> None:
    if _is_level(log_t, gap):
        raise _refusal(
            f"a gap that stays at {np.median(gap):.6g} within {np.ptp(gap):.1g}",
            "one that changes, by more than noise",
            "Nothing converges; see twonn.asymptote.",
        )


def _check_turn(log_t: Floats, gap: Floats, after_turn: float) -> None:
    top = _largest_gap(log_t, gap)
    if gap[-1] >= gap[0] and top == len(gap) - 1 and log_t[-1] < EARLIEST_RISE:
        raise _refusal(
            f"a gap that rises up to ln t = {log_t[-1]:.4g}",
            "one that has turned, or rises beyond 10^6 steps",
            "Run longer: the margin first falls, and only then recovers.",
        )
    if top < len(gap) - 1 and log_t[-1] < after_turn * log_t[top]:
        raise _refusal(
            f"a gap that turned at ln t = {log_t[top]:.4g} only, and ends at {log_t[-1]:.4g}",
            f"an end of {after_turn:g} times the ln t of the turn at least",
            f"Run to 10^{after_turn * log_t[top] / math.log(10):.1f} steps or further: "
            "soon after the turn fits are wrong.",
        )


def _is_level(log_t: Floats, gap: Floats) -> bool:
    """Tell whether a gap stays where it is but for rounding or noise."""
    from scipy import stats

    gap = gap / gap.max()
    if np.ptp(gap) <= ROUNDING:
        return True
    return bool(np.std(gap) < 1.5 * white_noise(gap) and stats.linregress(log_t, gap).pvalue > 0.01)


def _largest_gap(log_t: Floats, gap: Floats) -> int:
    """Return the place of the largest gap, the last one if noise may have made another one the largest."""
    top = int(np.argmax(gap))
    late = in_window(log_t, gap, (LEARNT[0], 1.0))[1] / gap[top]
    # Noise turns at two of three samples, what is smooth at hardly any.
    turns = np.count_nonzero(np.diff(np.sign(np.diff(late))))
    noise = white_noise(late) if turns > len(late) / 3 else 0.0
    return top if late[-1] < 1 - 6 * noise else len(gap) - 1
