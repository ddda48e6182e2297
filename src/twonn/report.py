"""The reproduction report: the paper's main experiment, every number computed from the runs."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twonn import config, initializers, plot
from twonn.problem import Params, Problem, horizon, one_of, written_steps
from twonn.run import LateProgress, run
from twonn.trajectory import Status, Trajectory

__all__ = ["Reproduction", "reproduce"]

PROBLEM = Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, loss="exponential", reduction="mean")
INITIALIZER = "he_normal"

ENGINES = ("direct", "auto", "leap")

SUCCESS = "success: both samples are classified correctly"

#: Mean of the density f_B, and P(c >= 1) under it.
EXPECTED_C = (4 - 2 * math.sqrt(2)) / math.sqrt(2 * math.pi)
EXPECTED_LARGE_C = math.erfc(1 / math.sqrt(2)) ** 2

COLUMNS = (
    "run",
    *(f"{name}_{j}_{when}" for when in ("start", "end") for name in "wbv" for j in (0, 1)),
    "status",
    "outcome",
    "steps",
    "pattern",
    "c",
    "gap",
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reproduction:
    """What `reproduce` gives back.

    Attributes
    ----------
    folder : Path
        Where runs.csv, summary.txt and the figures are.
    summary : str
        The text of summary.txt.
    interrupted : bool
        Whether Ctrl-C ended it before all runs were done.
    """

    folder: Path
    summary: str
    interrupted: bool


@dataclass(frozen=True)
class _Experiment:
    """The runs that were finished, and what was asked for."""

    runs: int
    steps: int
    seed: int
    engine: str
    finished: Sequence[Trajectory]

    @cached_property
    def successes(self) -> list[Trajectory]:
        return [traj for traj in self.finished if outcome(traj) == SUCCESS]

    @property
    def interrupted(self) -> bool:
        return len(self.finished) < self.runs


def reproduce(
    folder: str | os.PathLike[str],
    runs: int = 200,
    steps: int = 10**6,
    seed: int = 42,
    progress: bool = True,
    *,
    engine: str = "direct",
) -> Reproduction:
    """Run the paper's main experiment and write a report of it.

    Two samples x = ∓1 with labels ∓1, step size 0.01, mean exponential loss, output weights fixed
    at (+1, −1), biases 0 at the start, starts drawn by ``he_normal``. The paper has 10,000 runs of
    10^7 steps.

    Parameters
    ----------
    folder : str or path
        Made if it does not exist; gets ``runs.csv`` (one row per run), ``summary.txt``, and the
        figures ``scaled_gap`` and ``constants`` as .png and .pdf.
    runs : int
        Number of random starts, at least 1.
    steps : int
        Steps of each run, at least 0.
    seed : int
        Seed of the starts.
    progress : bool
        Whether work that takes over a second shows a progress bar.
    engine : {"direct", "auto", "leap"}
        "direct" takes every step; the others, see `twonn.run`.

    Returns
    -------
    Reproduction
        The first Ctrl-C ends the runs in order and reports those that were finished.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    OSError
        If the folder cannot be written.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    steps = horizon(steps, None)
    one_of("engine", engine, ENGINES)
    starts = initializers.sample(INITIALIZER, runs, seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with LateProgress(disable=not progress) as bar:
        finished = _finished_runs(starts, steps, engine, bar)
        experiment = _Experiment(runs, steps, seed, engine, finished)
        _write_table(folder / "runs.csv", finished)
        _draw(folder, experiment.successes, bar)
    summary = _summary(experiment)
    (folder / "summary.txt").write_text(summary, encoding="utf-8")
    return Reproduction(folder, summary, experiment.interrupted)


def _finished_runs(starts: Params, steps: int, engine: str, bar: LateProgress) -> list[Trajectory]:
    """Take the runs in turn; fewer of them after Ctrl-C."""
    finished: list[Trajectory] = []
    total = starts.runs or 0
    task = bar.add_task("runs", total=total)

    def report(taken: int, asked: int) -> None:
        bar.update(task, completed=len(finished) + taken / max(asked, 1))

    # A run watches for Ctrl-C and ends in order; between two runs it arrives as an exception.
    with contextlib.suppress(KeyboardInterrupt):
        while len(finished) < total:
            start = starts[len(finished)]
            traj = run(PROBLEM, start, steps, engine=engine, progress=report)
            if traj.status is Status.INTERRUPTED:
                break
            finished.append(traj)
    return finished


# --------------------------------------------------------------------------------------------------
# What became of a run


def outcome(traj: Trajectory) -> str:
    """Return in words what became of a run; runs with the same words had the same fate."""
    if traj.status is Status.DIVERGED:
        return "diverged: the parameters stopped being finite"
    if np.all(traj.margins[-1] > 0):
        return SUCCESS
    if traj.status is Status.STATIONARY:
        return "stationary: no unit is active on any sample, nothing can move again"
    unseen = [i for i in (0, 1) if _unseen_for_ever(traj, i)]
    if unseen:
        return f"sample {_named(traj, unseen)} unseen for ever: no unit is active on it"
    wrong = [i for i in (0, 1) if not traj.margins[-1, i] > 0]
    return f"sample {_named(traj, wrong)} misclassified at the last step"


def _unseen_for_ever(traj: Trajectory, sample: int) -> bool:
    """Return whether no neuron is active on the sample, and the other one cannot change that.

    A gradient step on the other sample moves the pre-activations here by a multiple of
    x_0·x_1 + 1, which is 0 for x = ∓1.
    """
    pattern = int(traj.pattern[-1])
    coupled = traj.problem.x[0] @ traj.problem.x[1] + 1 != 0
    return not coupled and not any(pattern >> (2 * j + sample) & 1 for j in (0, 1))


def _named(traj: Trajectory, samples: Sequence[int]) -> str:
    return " and ".join(f"x = {traj.problem.x[i, 0]:+g}" for i in samples)


def rate_law(start: Params) -> tuple[float, float]:
    """Return c and K of gap = c/(ln t + K) for a start with b = 0 and w_0 > 0 > w_1.

    Each neuron is then active on its own sample only, for x = ∓1 from the first step to the last,
    and the margins m_i follow ln(h t/u_i), with h = step size/2 and u_i = 1/2.

    Parameters
    ----------
    start : Params
        One network, d = 1.

    Returns
    -------
    c, K : float
        c = |w_0 + w_1|/2 in the units of x, K = ln 2h + (w_0 − w_1)/2.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    w_0, w_1 = start.w[:, 0].tolist()
    return abs(w_0 + w_1) / 2, math.log(2 * PROBLEM.rate) + (w_0 - w_1) / 2


# --------------------------------------------------------------------------------------------------
# Table and figures


def _write_table(path: Path, finished: Sequence[Trajectory]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(_row(index, traj) for index, traj in enumerate(finished))


def _row(index: int, traj: Trajectory) -> list[object]:
    """Return one row of `COLUMNS`; floats in full precision, c empty where the run has none."""
    success = outcome(traj) == SUCCESS
    return [
        index,
        *_numbers(traj.params),
        *_numbers(traj.final),
        traj.status.value,
        outcome(traj),
        traj.end_step,
        int(traj.pattern[-1]),
        rate_law(traj.params)[0] if success else None,
        float(traj.gap[-1]),
    ]


def _numbers(params: Params) -> list[float]:
    return [*params.w[:, 0].tolist(), *params.b.tolist(), *params.v.tolist()]


def _draw(folder: Path, successes: Sequence[Trajectory], bar: LateProgress) -> None:
    c = [rate_law(traj.params)[0] for traj in successes]
    task = bar.add_task("figures", total=2)
    with plot.written_to(folder / "scaled_gap.png", folder / "scaled_gap.pdf") as ax:
        plot.scaled_gap(successes, ax, c=c)
    bar.update(task, advance=1)
    with plot.written_to(folder / "constants.png", folder / "constants.pdf") as ax:
        plot.constants(c, ax)


# --------------------------------------------------------------------------------------------------
# Summary


def _summary(experiment: _Experiment) -> str:
    finished, successes, steps = experiment.finished, experiment.successes, experiment.steps
    sections = [
        ("What was run", _what_was_run(experiment)),
        ("Outcomes", _outcomes(finished)),
        ("Rate constant c = |w_0(0) + w_1(0)|/2 of the successful runs", _constants(successes)),
        ("Their robustness margin over the steps", _fall_and_recovery(successes)),
        (f"Their gap at step {written_steps(steps)}", _rate(successes, steps)),
        ("Computed by", [f"{name}: {value}" for name, value in config.provenance().items()]),
    ]
    title = "Robustness gap of a two-neuron ReLU network under gradient descent"
    lines = [title, "=" * len(title)]
    for heading, paragraphs in sections:
        lines += ["", heading, "-" * len(heading)]
        for paragraph in paragraphs:
            lines += textwrap.wrap(paragraph, 88, subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def _what_was_run(experiment: _Experiment) -> list[str]:
    taken = "every one of them taken" if experiment.engine == "direct" else "leapt over where they are smooth"
    lines = [
        "The main experiment of Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.",
        repr(PROBLEM),
        f"Starts: {experiment.runs:,} from {INITIALIZER!r}, seed {experiment.seed}; biases 0, "
        "output weights +1 and −1.",
        f"Steps of each run: {written_steps(experiment.steps)}, {taken}.",
    ]
    if experiment.interrupted:
        lines.append(
            f"INTERRUPTED: {len(experiment.finished):,} of {_count(experiment.runs, 'run')} "
            "finished; only what was finished is reported."
        )
    return lines


def _outcomes(finished: Sequence[Trajectory]) -> list[str]:
    if not finished:
        return ["No run was finished."]
    total = len(finished)
    counts = Counter(outcome(traj) for traj in finished)
    exceptions = sum(_starts_right(traj) != (outcome(traj) == SUCCESS) for traj in finished)
    return [
        *(f"{count:>7,}  {name}" for name, count in counts.most_common()),
        f"{total:>7,}  in all",
        "A sample that no unit is active on has f = 0 there: it is not classified correctly, and "
        "the gap stays at the optimal margin, 1.",
        f"Successful: {counts[SUCCESS] / total:.4f} of the runs; expected 1/4 ± "
        f"{math.sqrt(0.25 * 0.75 / total):.4f} (standard error).",
        "A run succeeds if and only if w_0(0) > 0 > w_1(0): "
        f"{_count(exceptions, 'exception') if exceptions else 'no exception'} in "
        f"{_count(total, 'run')}.",
    ]


def _starts_right(traj: Trajectory) -> bool:
    w_0, w_1 = traj.params.w[:, 0]
    return bool(w_0 > 0 > w_1)


def _constants(successes: Sequence[Trajectory]) -> list[str]:
    if not successes:
        return ["No run succeeded."]
    c = np.array([rate_law(traj.params)[0] for traj in successes])
    error = f"± {c.std(ddof=1) / math.sqrt(c.size):.5f}" if c.size > 1 else "of a single run"
    return [
        f"Mean: {c.mean():.5f} {error}; expected (4 − 2√2)/√(2π) = {EXPECTED_C:.5f}.",
        f"c >= 1: {np.mean(c >= 1):.5f} of them; expected erfc(1/√2)² = {EXPECTED_LARGE_C:.5f}.",
    ]


def _fall_and_recovery(successes: Sequence[Trajectory]) -> list[str]:
    """Describe the gap along the runs, as finely as they are sampled."""
    if not successes:
        return ["No run succeeded."]
    total = len(successes)
    peaks = [int(np.argmax(traj.gap)) for traj in successes]
    pairs = list(zip(successes, peaks, strict=True))
    optimal = sum(traj.gap[0] == 0 for traj in successes)
    fallen = sum(traj.gap[peak] > traj.gap[0] for traj, peak in pairs)
    recovering = sum(traj.gap[peak] > max(traj.gap[0], traj.gap[-1]) for traj, peak in pairs)
    height = np.median([traj.gap[peak] for traj, peak in pairs])
    at = np.median([traj.t[peak] for traj, peak in pairs])
    return [
        f"At step 0 it is optimal (gap 0) in {optimal:,} of {_count(total, 'run')}.",
        f"It then falls in {fallen:,} of {_count(total, 'run')}; the largest gap is {height:.4g} "
        f"and comes at about step {at:,.0f} (medians).",
        f"It has begun to recover in {recovering:,} of {_count(total, 'run')}.",
    ]


def _rate(successes: Sequence[Trajectory], steps: int) -> list[str]:
    laws = np.array([rate_law(traj.params) for traj in successes]).reshape(-1, 2)
    c, shifted = laws[:, 0], math.log(max(steps, 1)) + laws[:, 1]
    if not successes or not np.all(shifted > 0):
        return ["Too few successful runs, or too few steps, to compare the gap with its law."]
    gap = np.array([traj.gap[-1] for traj in successes])
    deviation = np.abs(gap * shifted / c - 1)
    rows = {
        "c": c,
        "gap·ln t": gap * math.log(steps),
        "gap·ln t / c": gap * math.log(steps) / c,
        "gap·(ln t + K) / c": gap * shifted / c,
    }
    return [
        "Law: gap = c/(ln t + K), K = ln 2h + (w_0(0) − w_1(0))/2, h half the step size. Both "
        "ratios tend to 1, the last one faster.",
        f"{'':<20}{'median':>10}{'least':>10}{'largest':>10}",
        *(
            f"{name:<20}{np.median(row):>10.5f}{row.min():>10.5f}{row.max():>10.5f}"
            for name, row in rows.items()
        ),
        f"Relative deviation from the law: {np.median(deviation):.2g} in the median run, "
        f"{deviation.max():.2g} in the worst.",
    ]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
