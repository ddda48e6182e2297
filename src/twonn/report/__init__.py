"""The reproduction report: sections → results and tables → claims → a page, and nothing the other way."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twonn import config, initializers
from twonn.arguments import ArgumentValueError, one_of
from twonn.engine.bars import LateProgress
from twonn.engine.watching import first_signal
from twonn.problem.horizon import horizon
from twonn.problem.problem import problem_dict
from twonn.problem.runspec import ENGINE_SYNONYMS, ENGINES, Engine
from twonn.report import figures
from twonn.report.page import page
from twonn.report.runs import INITIALIZER, PROBLEM
from twonn.report.section import ExperimentResult, Section, Setting, StoppedError
from twonn.report.sections import SECTIONS, chosen
from twonn.report.summary import summary
from twonn.report.tables import write_table

__all__ = ["SECTIONS", "Reproduction", "make", "reproduce"]


@dataclass(frozen=True)
class Size:
    """Runs, steps and engine of the paper's experiment."""

    runs: int
    steps: int
    engine: Engine


#: A part of the paper's experiment with every step taken, and all of it.
PART, FULL = Size(200, 10**6, "direct"), Size(10_000, 10**7, "auto")


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
    sections: Iterable[str] = (),
    *,
    full: bool = False,
    runs: int | None = None,
    steps: int | float | str | None = None,
    engine: Engine | None = None,
    seed: int = 42,
    progress: bool = True,
) -> Reproduction:
    """Run the paper's experiment, and those around it, and write a report of them.

    Two points x = ∓1 with labels ∓1, step size 0.01, mean exponential loss, output weights fixed
    at (+1, −1), biases 0 at the start, starts drawn by ``he_normal``. The paper has 10,000 runs of
    10^7 steps. Around it: all initializers to 10^1000 steps, trained output weights, other data, other
    optimizers, and arithmetic in binary32.

    Parameters
    ----------
    folder : str or path
        Made if it does not exist; gets ``index.html``, a page that needs nothing else; ``results.json``
        with every number on it; ``summary.txt``, its text; one .csv for each table; and the figures as
        .png, .pdf and .svg.
    sections : iterable of str
        Names of sections; all by default. Those that they need are made, too.
    full : bool
        Whether the paper's experiment has the size of the paper: 10,000 runs of 10^7 steps, with leaps. By
        default it has 200 runs of 10^6 steps, every one of which is taken.
    runs : int, optional
        Number of random starts of the paper's experiment, at least 1. Only with the section "paper", as
        `steps` and `engine`.
    steps : int, float or str, optional
        Steps of each of its runs, at least 0.
    engine : {"direct", "auto", "leap"}, optional
        Of its runs: "direct" takes every step; the others, see `twonn.run`.
    seed : int
        Seed of all starts.
    progress : bool
        Whether work that takes over a second shows a progress bar.

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
    wanted = chosen(sections)
    size = _size(wanted, full, runs=runs, steps=steps, engine=engine)
    starts = initializers.sample(INITIALIZER, size.runs, seed)
    with LateProgress(disable=not progress) as bar, first_signal() as pressed:
        setting = Setting(starts, size.steps, size.engine, seed, bar, pressed)
        return make(Path(folder), wanted, setting)


def _size(sections: Sequence[Section], full: bool, **given: Any) -> Size:
    """Return the size of the paper's experiment; refuse what is given of it where it is not made."""
    given = {name: value for name, value in given.items() if value is not None}
    if given and SECTIONS["paper"] not in sections:
        name, value = next(iter(given.items()))
        expected = "none without the section 'paper', the only one it is for"
        fix = f"Leave {name} out, or make the section paper, too."
        raise ArgumentValueError(name, value, expected, fix)
    size = replace(FULL if full else PART, **given)
    one_of("engine", size.engine, ENGINES, ENGINE_SYNONYMS)
    return replace(size, steps=horizon(size.steps, None))


def make(
    folder: Path, sections: Sequence[Section], setting: Setting, kinds: Sequence[str] = tuple(figures.KINDS)
) -> Reproduction:
    """Make the report of some sections, in their order; `kinds` are those of the figures' files."""
    folder.mkdir(parents=True, exist_ok=True)
    found = _found(sections, setting)
    results = json.loads(json.dumps(_results(sections, setting, found), allow_nan=False))
    tables = {name: table for one in found.values() for name, table in one.tables.items()}
    for name, table in tables.items():
        write_table(folder / f"{name}.csv", table)
    written = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "results.json").write_text(written + "\n", encoding="utf-8")
    drawn = figures.draw_figures(folder, sections, tables, setting.bar, kinds)
    text = summary(results, sections)
    (folder / "summary.txt").write_text(text, encoding="utf-8")
    (folder / "index.html").write_text(page(results, sections, drawn), encoding="utf-8")
    return Reproduction(folder, text, results["interrupted"])


def _found(sections: Sequence[Section], setting: Setting) -> dict[str, ExperimentResult]:
    """Carry out the experiments; after Ctrl-C, return those that were finished, and a part of one."""
    found: dict[str, ExperimentResult] = {}
    task = setting.bar.add_task("experiments", total=len(sections))
    for section in sections:
        try:
            found[section.name] = section.experiment(setting, *(found[name] for name in section.needs))
        except StoppedError:
            break
        if setting.pressed():
            break
        setting.bar.update(task, advance=1)
    return found


def _results(
    sections: Sequence[Section], setting: Setting, found: Mapping[str, ExperimentResult]
) -> dict[str, Any]:
    """Return all numbers under the keys of their sections, what was asked for, and what computed it."""
    asked: dict[str, Any] = {
        "seed": setting.seed,
        "problem": problem_dict(PROBLEM),
        "problem_text": repr(PROBLEM),
    }
    for one in found.values():
        asked |= one.asked
    return {
        "asked": asked,
        "interrupted": len(found) < len(sections) or not all(one.is_complete for one in found.values()),
        "provenance": dict(config.provenance()),
        **{section.key: found[section.name].numbers for section in sections if section.name in found},
    }
