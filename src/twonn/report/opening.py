"""What the report says before its sections, and what it says of sections that were not finished."""

from __future__ import annotations

from collections.abc import Sequence

from twonn.report.section import Section
from twonn.report.sections import SECTIONS
from twonn.report.text import Rendered, Results, rendered

__all__ = ["NOTHING", "TITLE", "finished", "interruption", "introduction", "unfinished"]

TITLE = "How slowly does gradient descent find the robust classifier?"

#: What a claim about successful runs says if there is none.
NOTHING = "No run succeeded."

_INTRODUCTION = (
    "Smorodinsky, Gimpleson and Safran (2026, arXiv 2603.02095) prove that on a two-neuron ReLU network "
    "with two training points the decision boundary of gradient descent does reach the maximum-margin "
    "separator, but only at rate Θ(1/ln t). This report checks the law, and what surrounds it, on computed "
    "runs. The gap is the optimal margin minus the robustness margin, in the units of x.",
    "Unless a section says otherwise, the problem is {asked.problem_text}. All starts are drawn with the "
    "seed {asked.seed}.",
)

_SELECTION = "This page has {count} of the {total} sections of the report; twonn reproduce makes all of them."


def introduction(results: Results, sections: Sequence[Section]) -> list[Rendered]:
    """Return the first paragraphs of a report of some sections."""
    paragraphs = [rendered(paragraph, results) for paragraph in _INTRODUCTION]
    if len(sections) < len(SECTIONS):
        paragraphs.append([_SELECTION.format(count=len(sections), total=len(SECTIONS))])
    return paragraphs


def interruption(results: Results, sections: Sequence[Section]) -> Rendered:
    """Return what is to be said if Ctrl-C ended the work; nothing otherwise."""
    if not results["interrupted"]:
        return []
    parts = [section.finished for section in finished(results, sections) if section.finished]
    parts.append("only what was finished is reported")
    return rendered(f"INTERRUPTED: {'; '.join(parts)}.", results)


def finished(results: Results, sections: Sequence[Section]) -> list[Section]:
    """Return those sections of which there are results."""
    return [section for section in sections if section.key in results]


def unfinished(results: Results, sections: Sequence[Section]) -> list[Section]:
    """Return the others."""
    return [section for section in sections if section.key not in results]
