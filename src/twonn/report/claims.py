"""What the report says: texts with places for numbers, all of which come from the results.

A place is ``{path}`` or ``{path:format}``, where the path leads into the results, as in
``{law.schemes.0.name}``; in a table a path that begins with a dot starts at the row. No number gets on the
page in another way.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]

_PLACE = re.compile(r"\{([\w.]+)(?::([^{}]*))?\}")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True)
class Number:
    """A number, or a word, of the results.

    Attributes
    ----------
    path : str
        Where in the results it is.
    text : str
        As it is written.
    """

    path: str
    text: str


#: What a template becomes: texts and numbers in turn.
Said = list[str | Number]


@dataclass(frozen=True)
class Table:
    """Rows of the results: headings with the templates of their cells."""

    columns: Sequence[tuple[str, str]]
    rows: str


@dataclass(frozen=True)
class Figure:
    """A figure: its file's name, what is to be seen on it, and the text below it."""

    name: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A claim, what was computed for it, and by what criterion it holds.

    Attributes
    ----------
    id, title : str
    needs : str
        The part of the results it is about, whose "holds" says whether the claim holds.
    claim, criterion : str
    paragraphs : sequence of str
        Templates.
    table : Table or None
    figures : sequence of Figure
    holds : str
        Path of the verdict in the results; empty where the section claims nothing.
    """

    id: str
    title: str
    needs: str
    claim: str
    paragraphs: Sequence[str]
    figures: Sequence[Figure] = ()
    table: Table | None = None
    criterion: str = ""
    holds: str = ""


TITLE = "How slowly does gradient descent find the robust classifier?"

INTRODUCTION = (
    "Smorodinsky, Gimpleson and Safran (2026, arXiv 2603.02095) prove that on a two-neuron ReLU network "
    "with two training points the decision boundary of gradient descent does reach the maximum-margin "
    "separator, but only at rate Θ(1/ln t). This report runs their experiment, and those around it. The gap "
    "is the distance that robustness still lacks: the optimal margin minus the robustness margin, in the "
    "units of x.",
    "{asked.problem_text}",
    "Starts of the main experiment: {asked.runs:,} from {asked.initializer}, seed {asked.seed}; biases 0, "
    "output weights fixed at +1 and −1. Steps of each run: {asked.steps}, engine {asked.engine}.",
)

INTERRUPTED = (
    "INTERRUPTED: {main.finished:,} of {asked.runs:,} runs finished; only what was finished is reported."
)

NOTHING = "No run succeeded."

SECTIONS = (
    Section(
        "law",
        "The law: Θ(1/ln t)",
        "law",
        "From every natural initialization, a run that classifies both samples has a gap that falls like "
        "c/ln t.",
        (
            "{law.successes:,} successful runs, of {law.starts} starts of each scheme, followed to "
            "10^{law.decades:.0f} steps: the fitted exponent of 1/ln t differs from 1 by "
            "{law.exponent_off:.1e}, and the fitted constant from that of the closed form by "
            "{law.deviation:.1e} of itself, at most.",
            "Over the later half of ln t, gap·ln t stays between {law.scaled_least:.6f} and "
            "{law.scaled_most:.6f} times c: that is what Θ(1/ln t) means. The constants c lie between "
            "{law.c_least:.4g} and {law.c_most:.4g}.",
            "From the first 10^{law.near_decades:.0f} steps alone, the fitted constant differs from the "
            "closed form by {law.deviation_near_median:.1e} in the median run and by "
            "{law.deviation_near:.1e} in the worst. Fits that were refused as too early to tell: "
            "{law.refused_near} up to there, {law.refused} to the end. The last change of an activation "
            "pattern in any run came at step {law.last_transition:,.0f}; its law begins only then.",
        ),
        (
            Figure(
                "law",
                "Gap times ln t, divided by the closed-form constant, against the step up to 10^1000 for all "
                "successful runs; every curve tends to one.",
                "gap·ln t/c of {law.successes:,} runs, one line each, and their median. Late steps are "
                "spaced by ln ln t.",
            ),
        ),
        Table(
            (
                ("scheme", "{.name}"),
                ("successful", "{.successes}"),
                ("exponent, off by", "{.exponent_off:.1e}"),
                ("gap·ln t/c, least", "{.scaled_least:.5f}"),
                ("most", "{.scaled_most:.5f}"),
                ("c fitted, off by", "{.deviation:.1e}"),
                ("to 10¹⁶, median", "{.deviation_near_median:.1e}"),
                ("worst", "{.deviation_near:.1e}"),
            ),
            "law.schemes",
        ),
        "exponents within 0.001 of 1, law C/(ln t + κ), constants within 10⁻⁶ of the closed form, in every "
        "run",
        "law.holds",
    ),
    Section(
        "outcomes",
        "The paper's runs: which succeed",
        "main",
        "A run succeeds if and only if w₀(0) > 0 > w₁(0), hence one in four does.",
        (
            "Successful: {main.success_fraction:.4f} of the runs; expected {main.success_fraction_expected} "
            "± {main.success_fraction_error:.4f} (standard error). Exceptions to the rule: "
            "{main.exceptions:,} in {main.finished:,} runs.",
            "A sample that no unit is active on has f = 0 there: it is not classified correctly, and the "
            "gap stays at the optimal margin, 1.",
        ),
        (),
        Table((("runs", "{.count:,}"), ("outcome", "{.name}")), "main.outcomes"),
        "no exception",
        "main.holds",
    ),
    Section(
        "constants",
        "The rate constant c and its density",
        "main",
        "The constant of a successful run is c = |w₀(0) + w₁(0)|/2, with the density f_B over random starts.",
        (
            "Mean: {main.constants.mean:.5f} ± {main.constants.error:.5f} over {main.successes:,} runs; "
            "expected (4 − 2√2)/√(2π) = {main.constants.expected:.5f}.",
            "c ≥ 1: {main.constants.large:.5f} of them; expected erfc(1/√2)² = "
            "{main.constants.large_expected:.5f}.",
            "Kolmogorov–Smirnov distance from f_B: {main.constants.distance:.4f}, p = "
            "{main.constants.p:.3f}.",
            "At the last step the gap differs from c/(ln t + K), K = ln 2h + (w₀(0) − w₁(0))/2 with h half "
            "the step size, by {main.rate.deviation:.2g} of itself in the median run, {main.rate.worst:.2g} "
            "in the worst. The two ratios below tend to 1, the last one faster.",
        ),
        (
            Figure(
                "constants",
                "Histogram of the rate constants of the successful runs beside the density f_B.",
                "Constants of {main.successes:,} successful runs, and f_B(x) = 2√(2/π) exp(−x²/2) "
                "erfc(x/√2).",
            ),
            Figure(
                "scaled_gap",
                "Gap times ln t against the step for successful runs, each tending to its constant, which is "
                "marked at the right edge.",
                "gap·ln t of successful runs over the first {asked.steps} steps; at the right edge their "
                "constants c.",
            ),
        ),
        Table(
            (
                ("", "{.name}"),
                ("median", "{.median:.5f}"),
                ("least", "{.least:.5f}"),
                ("largest", "{.largest:.5f}"),
            ),
            "main.rate.rows",
        ),
        "p > 0.001",
        "main.constants.holds",
    ),
    Section(
        "fall",
        "The margin falls before it recovers",
        "main",
        "The margin is optimal at the start, falls, and only then recovers, slowly.",
        (
            "At step 0 it is optimal (gap 0) in {main.fall.optimal_at_start:,} of {main.successes:,} "
            "successful runs. It then falls in {main.fall.fallen:,} of {main.successes:,}; the largest gap "
            "is {main.fall.largest:.4g} and comes at about step {main.fall.step:,.0f} (medians), between "
            "steps {main.fall.step_first:,.0f} and {main.fall.step_last:,.0f}.",
            "It has begun to recover in {main.fall.recovering:,} of {main.successes:,}. At the last step "
            "{main.fall.left:.1%} of the largest gap are left in the median run.",
        ),
        (
            Figure(
                "fall",
                "Gap against the step, both logarithmic: it rises from zero, turns near a thousand steps, "
                "and falls ever more slowly.",
                "The gap of successful runs: it rises for some hundred steps, and takes the rest to fall.",
            ),
        ),
        criterion="every successful run has a larger gap in between than at the start and at the end",
        holds="main.fall.holds",
    ),
    Section(
        "trained",
        "Trained output weights: 1/√ln t",
        "trained",
        "If the output weights are trained too, the gap falls even more slowly, like C/√ln t, with a large "
        "shift.",
        (
            "{trained.successes:,} successful runs of {trained.starts} starts, to 10^{trained.decades:.0f} "
            "steps. The exponent of 1/ln t, extrapolated, lies between {trained.exponent_least:.4f} and "
            "{trained.exponent_most:.4f}; the fitted constant differs from the closed form by "
            "{trained.deviation:.1e} of itself at most.",
            "A bare power law is visibly wrong at every reachable step. The local exponent −d ln gap/d ln "
            "ln t at 10^{trained.near_decades:.0f} steps is still {trained.local_near_least:.3f} to "
            "{trained.local_near_most:.3f}, and at 10^{trained.decades:.0f} {trained.local_far_least:.3f} "
            "to {trained.local_far_most:.3f}. gap·√ln t is {trained.bare_near_least:.3f} to "
            "{trained.bare_near_most:.3f} of C at 10^{trained.near_decades:.0f} steps, and "
            "{trained.bare_far_least:.4f} to {trained.bare_far_most:.4f} at 10^{trained.decades:.0f}. The "
            "reason is the shift: the law is C/(√ln t + κ) with κ from {trained.kappa_least:.3f} to "
            "{trained.kappa_most:.3f}, and in it the margin m = ln t + ln ln t + … stands for ln t.",
            "The gap of the closed form differs from that of the runs by {trained.closed_near:.1e} of "
            "itself at 10^{trained.near_decades:.0f} steps, and by {trained.closed_far:.1e} at the end, at "
            "most.",
        ),
        (
            Figure(
                "trained",
                "Gap against the step, both logarithmic, for a run with trained output weights, with the "
                "bare law C over root ln t above it and the closed form upon it.",
                "A run with trained output weights. The bare law C/√ln t with the same constant lies beside "
                "the gap everywhere; the closed form with its shift lies on it.",
            ),
        ),
        criterion="exponents within 0.01 of 0.5, constants within 1 % of the closed form, in every run",
        holds="trained.holds",
    ),
    Section(
        "data",
        "Other data: a wrong limit, or a constant that forgets the start",
        "data",
        "Asymmetric data whose neurons do not slide converge to a boundary that is not the midpoint; where "
        "neurons slide along a kink, the boundary tends to the midpoint, with a constant that is the same "
        "for all starts.",
        (
            "For {data.sets.0.name} the boundary tends to {data.sets.0.limit:.4f}, while the midpoint is "
            "{data.sets.0.midpoint:.4f}. At 10^{data.decades:.0f} steps it lies between "
            "{data.sets.0.boundary_least:.6f} and {data.sets.0.boundary_most:.6f} in "
            "{data.sets.0.successes} successful runs, still under way like 1/ln t: fitted to them, the gap "
            "has the limit {data.sets.0.fitted_limit:.9f}, off by {data.sets.0.fitted_limit_off:.1e} at "
            "most, and the rest has the exponent 1, off by {data.sets.0.exponent_off:.1e} at most.",
            "For {data.sets.1.name} it lies between {data.sets.1.boundary_least:.6f} and "
            "{data.sets.1.boundary_most:.6f}, the midpoint being {data.sets.1.midpoint:.4f}; for "
            "{data.sets.2.name} between {data.sets.2.boundary_least:.6f} and "
            "{data.sets.2.boundary_most:.6f}, the midpoint being {data.sets.2.midpoint:.4f}. The constants "
            "of gap ~ C/ln t, fitted to the runs, are {data.sets.1.constant_median:.9f} and "
            "{data.sets.2.constant_median:.9f}, the same for all starts to "
            "{data.sets.1.relative_spread:.1e} and {data.sets.2.relative_spread:.1e} of themselves, and "
            "those of the closed form to {data.sets.1.deviation:.1e} and {data.sets.2.deviation:.1e}. "
            "Fitted to 10¹⁶ steps only, they are so to {data.sets.1.deviation_near:.1e} and "
            "{data.sets.2.deviation_near:.1e}.",
        ),
        (
            Figure(
                "boundary",
                "Position of the boundary between the samples against the step, up to 10^1000, for three "
                "data sets: two tend to the midpoint, one to three eighths of the way.",
                "Where the boundary is on the way from one sample to the other: 0 is x₀, 1 is x₁, and the "
                "dashed line the midpoint.",
            ),
            Figure(
                "forgets",
                "Gap times ln t against the step for the two data sets whose neurons slide; the curves of "
                "all starts join and tend to one constant for each data set.",
                "gap·ln t of the data whose neurons slide, one line for each start: all tend to the "
                "constant of their data.",
            ),
        ),
        Table(
            (
                ("data", "{.name}"),
                ("", "{.kind}"),
                ("x₀x₁ + 1", "{.coupling:.4g}"),
                ("successful", "{.successes}"),
                ("midpoint", "{.midpoint:.4g}"),
                ("limit", "{.limit:.4g}"),
                ("c, least", "{.c_least:.6f}"),
                ("most", "{.c_most:.6f}"),
                ("exponent, off by", "{.exponent_off:.1e}"),
            ),
            "data.sets",
        ),
        "closed-form limits of the boundary are 0.5 and the midpoints, the fitted limit of the gap is 0.5 "
        "to 10⁻⁶, the sliding constants agree to 10⁻⁶ among starts and with the closed form",
        "data.holds",
    ),
    Section(
        "optimizers",
        "Momentum, normalized gradient descent, and Adam",
        "optimizers",
        "Momentum only hurries along the same path. Normalized gradient descent gets there like 1/t. Adam "
        "keeps the boundary in its place until its gradients have shrunk to ε, and is then slow gradient "
        "descent again.",
        (
            "{optimizers.starts} starts with w₀(0) > 0 > w₁(0), {optimizers.steps:,} steps, step size "
            "{optimizers.step_size}.",
            "With {optimizers.momentum} the last gap is that of plain gradient descent after "
            "{optimizers.momentum_speed:.0f} times as many steps, to {optimizers.momentum_as_gd:.1e} of "
            "itself.",
            "Normalized gradient descent, whose step is divided by the loss: the gap is c/(η t) to a factor "
            "of {optimizers.normalized_scaled_least:.4f} to {optimizers.normalized_scaled_most:.4f}; it "
            "ends between {optimizers.gap_normalized_least:.2e} and {optimizers.gap_normalized_most:.2e}, "
            "where gradient descent has {optimizers.gap_gradient_descent_least:.2e} to "
            "{optimizers.gap_gradient_descent_most:.2e}.",
            "With {optimizers.adam} the gap after {optimizers.early:,} steps is "
            "{optimizers.adam_early_least:.1e} to {optimizers.adam_early_most:.1e}, that of gradient "
            "descent {optimizers.gd_early_least:.1e} to {optimizers.gd_early_most:.1e}: all weights move "
            "alike, so that the boundary stays where the start had it, which for these starts is the "
            "midpoint. When the gradients come near ε the gap rises, to {optimizers.adam_largest_least:.2e} "
            "to {optimizers.adam_largest_most:.2e} near step {optimizers.adam_largest_step_most:,.0f}, and "
            "from there on it falls as slowly as that of gradient descent with the step size η/ε = "
            "{optimizers.adam_rate:.0e}, whose closed form gives the last gap to "
            "{optimizers.adam_as_gd:.1e} of itself.",
        ),
        (
            Figure(
                "optimizers",
                "Gap against the step, both logarithmic, for gradient descent, momentum, normalized gradient "
                "descent and Adam from the same start.",
                "The same start with four optimizers.",
            ),
        ),
        criterion="momentum agrees to 0.1 % with what is said, Adam to 1 %, normalized gradient descent to a "
        "factor of 1.25",
        holds="optimizers.holds",
    ),
    Section(
        "float32",
        "What binary32 does",
        "float32",
        "In binary32, the usual arithmetic of training, it stops altogether: the increments shrink like 1/t, "
        "and once they are below half a unit in the last place nothing moves any more.",
        (
            "{float32.frozen_runs} of {float32.starts} runs had stopped by {float32.steps:,} steps, between "
            "steps {float32.frozen_least:,.0f} and {float32.frozen_most:,.0f}; the first one at "
            "step {float32.frozen_first:,}. The gap then stays, and after {float32.steps:,} steps is "
            "{float32.ratio_least:.3f} to {float32.ratio_most:.3f} times that of the exact recurrence.",
            "The gap is first off by more than 1 % at step {float32.wrong_least:,.0f} in the run where that "
            "is earliest, and at step {float32.wrong_most:,.0f} in the one where it is latest (of the "
            "sampled steps from 100 on).",
        ),
        (
            Figure(
                "float32",
                "Gap against the step, both logarithmic, in binary32 and binary64: the curves part and "
                "those in binary32 become flat.",
                "Plain gradient descent in binary32, and the exact recurrence, from the same starts.",
            ),
        ),
        criterion="nothing moves any more at the last step, in every run",
        holds="float32.holds",
    ),
)


# --------------------------------------------------------------------------------------------------
# From templates to texts


def said(template: str, results: Results, row: str = "") -> Said:
    """Return a template with its numbers filled in; paths that begin with a dot start at `row`."""
    parts: Said = []
    end = 0
    for place in _PLACE.finditer(template):
        path = row + place[1] if place[1].startswith(".") else place[1]
        number = Number(path, written(looked_up(results, path), place[2] or ""))
        parts += [typeset(template[end : place.start()]), number]
        end = place.end()
    parts.append(typeset(template[end:]))
    return _raised([part for part in parts if part != ""])


def looked_up(results: Results, path: str) -> Any:
    """Return what is at a path such as ``law.schemes.0.name``."""
    found: Any = results
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def written(value: Any, form: str) -> str:
    """Return a value as the page writes it; — where there is none."""
    if value is None:
        return "—"
    if isinstance(value, str):
        return typeset(value)
    text = format(value, form)
    mantissa, letter, exponent = text.partition("e")
    if letter and value == 0:
        text = "0"
    elif letter:
        power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
        text = power if mantissa == "1" else f"{mantissa}·{power}"
    return text.replace("-", "−")


def typeset(text: str) -> str:
    """Raise powers of ten, and keep a per cent sign with its number."""
    text = text.replace(" %", "\u00a0%")
    return re.sub(r"10\^(\d+)", lambda power: "10" + power[1].translate(_SUPERSCRIPTS), text)


def _raised(parts: Said) -> Said:
    """Write a number after "10^" as an exponent, if it is a whole one."""
    raised: Said = []
    for part in parts:
        before = raised[-1] if raised else ""
        if (
            isinstance(part, Number)
            and isinstance(before, str)
            and before.endswith("10^")
            and part.text.isdecimal()
        ):
            raised[-1] = str(before).removesuffix("^")
            part = Number(part.path, part.text.translate(_SUPERSCRIPTS))
        raised.append(part)
    return raised


def sections(results: Results) -> list[Section]:
    """Return those sections whose experiment was finished."""
    return [section for section in SECTIONS if section.needs in results]


def unfinished(results: Results) -> list[Section]:
    """Return the others."""
    return [section for section in SECTIONS if section.needs not in results]


def verdict(section: Section, results: Results) -> str:
    """Return whether a claim holds on these data; empty where that is not asked."""
    if not section.holds:
        return ""
    return "holds on these data" if looked_up(results, section.holds) else "does not hold on these data"


def rows(table: Table, results: Results) -> Iterator[list[Said]]:
    """Give the cells of a table, row by row."""
    for index in range(len(looked_up(results, table.rows))):
        yield [said(cell, results, f"{table.rows}.{index}") for _, cell in table.columns]


def has_nothing(section: Section, results: Results) -> bool:
    """Return whether there is no successful run to say something about."""
    part = results[section.needs]
    return section.id != "outcomes" and part.get("successes", 1) == 0


# --------------------------------------------------------------------------------------------------
# As plain text


def plain_text(parts: Said) -> str:
    """Return texts and numbers as one text."""
    return "".join(part if isinstance(part, str) else part.text for part in parts)


def summary(results: Results, sections: Sequence[Section]) -> str:
    """Return the report as a text for a terminal."""
    lines = [TITLE, "=" * len(TITLE)]
    opening = [*INTRODUCTION, *([INTERRUPTED] if results["interrupted"] else [])]
    for paragraph in opening:
        lines += _wrapped(plain_text(said(paragraph, results)))
    for section in sections:
        lines += ["", section.title, "-" * len(section.title)]
        lines += _wrapped(typeset(section.claim))
        if answer := verdict(section, results):
            lines += _wrapped(f"This {answer}. Criterion: {typeset(section.criterion)}.")
        if has_nothing(section, results):
            lines.append(NOTHING)
            continue
        for paragraph in section.paragraphs:
            lines += _wrapped(plain_text(said(paragraph, results)))
        if section.table:
            lines += _text_table(section.table, results)
    lines += ["", "Computed by", "-----------"]
    lines += [f"{name}: {value}" for name, value in results["provenance"].items()]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, subsequent_indent="  ")


def _text_table(table: Table, results: Results) -> list[str]:
    cells = [[heading for heading, _ in table.columns]]
    cells += [[plain_text(cell) for cell in row] for row in rows(table, results)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)).rstrip() for row in cells]
