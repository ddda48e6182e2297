"""The reproduction report: experiments → results and tables → claims → a page, and nothing the other way."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twonn import config, initializers
from twonn.arguments import one_of
from twonn.engine.watching import LateProgress, first_signal
from twonn.problem.horizon import horizon, written_steps
from twonn.problem.problem import problem_dict
from twonn.report import claims, experiments, figures, page
from twonn.report.experiments import Found, Setting, StoppedError
from twonn.report.tables import write_table

__all__ = ["Reproduction", "reproduce"]

ENGINES = ("direct", "auto", "leap")

#: By the name of their part of the results; the main one, which is as long as one asks for, comes first.
EXPERIMENTS: dict[str, Callable[[Setting], Found]] = {
    "main": experiments.main,
    "law": experiments.law,
    "trained": experiments.trained,
    "data": experiments.data,
    "optimizers": experiments.optimizers,
    "float32": experiments.float32,
}


@dataclass(frozen=True)
class Reproduction:
    """What `reproduce` gives back.

    Attributes
    ----------
    folder : Path
        Where index.html, results.json, summary.txt, the tables and the figures are.
    summary : str
        The text of summary.txt.
    interrupted : bool
        Whether Ctrl-C ended it before all was done.
    """

    folder: Path
    summary: str
    interrupted: bool


def reproduce(
    folder: str | os.PathLike[str],
    runs: int = 200,
    steps: int = 10**6,
    seed: int = 42,
    progress: bool = True,
    *,
    engine: str = "direct",
) -> Reproduction:
    """Run the paper's main experiment, and those around it, and write a report of them.

    Two samples x = ∓1 with labels ∓1, step size 0.01, mean exponential loss, output weights fixed
    at (+1, −1), biases 0 at the start, starts drawn by ``he_normal``. The paper has 10,000 runs of
    10^7 steps. Around it: all initializers to 10^1000 steps, trained output weights, other data, other
    optimizers, and arithmetic in binary32.

    Parameters
    ----------
    folder : str or path
        Made if it does not exist; gets ``index.html``, a page that needs nothing else; ``results.json``
        with every number on it; ``summary.txt``, its text; one .csv for each table; and the figures as
        .png, .pdf and .svg.
    runs : int
        Number of random starts of the main experiment, at least 1.
    steps : int
        Steps of each run of it, at least 0.
    seed : int
        Seed of all starts.
    progress : bool
        Whether work that takes over a second shows a progress bar.
    engine : {"direct", "auto", "leap"}
        Of the main experiment: "direct" takes every step; the others, see `twonn.run`.

    Returns
    -------
    Reproduction
        The first Ctrl-C ends the work in order and reports what was finished.

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
    starts = initializers.sample(experiments.INITIALIZER, runs, seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with LateProgress(disable=not progress) as bar, first_signal() as pressed:
        setting = Setting(starts, steps, seed, engine, bar, pressed)
        found = _found(setting)
        results = json.loads(json.dumps(_results(setting, found), allow_nan=False))
        tables = {name: table for one in found.values() for name, table in one.tables.items()}
        for name, table in tables.items():
            write_table(folder / f"{name}.csv", table)
        written = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "results.json").write_text(written + "\n", encoding="utf-8")
        drawn = figures.draw(folder, tables, bar)
    sections = claims.sections(results)
    summary = claims.summary(results, sections)
    (folder / "summary.txt").write_text(summary, encoding="utf-8")
    (folder / "index.html").write_text(page.page(results, sections, drawn), encoding="utf-8")
    return Reproduction(folder, summary, results["interrupted"])


def _found(setting: Setting) -> dict[str, Found]:
    """Carry the experiments out; after Ctrl-C, those that were finished and a part of the main one."""
    found: dict[str, Found] = {}
    task = setting.bar.add_task("experiments", total=len(EXPERIMENTS))
    for name, experiment in EXPERIMENTS.items():
        try:
            found[name] = experiment(setting)
        except StoppedError:
            break
        if setting.pressed():
            break
        setting.bar.update(task, advance=1)
    return found


def _results(setting: Setting, found: dict[str, Found]) -> dict[str, object]:
    """Return all numbers under the names of their experiments, what was asked for, and what computed it."""
    problem = experiments.PROBLEM
    interrupted = len(found) < len(EXPERIMENTS) or found["main"].numbers["finished"] < setting.starts.runs
    return {
        "asked": {
            "runs": setting.starts.runs,
            "steps": written_steps(setting.steps),
            "log10_steps": math.log10(max(setting.steps, 1)),
            "seed": setting.seed,
            "engine": setting.engine,
            "initializer": experiments.INITIALIZER,
            "problem": problem_dict(problem),
            "problem_text": repr(problem),
        },
        "interrupted": interrupted,
        "provenance": config.provenance(),
        **{name: one.numbers for name, one in found.items()},
    }
