"""The report as plain text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from twonn.report.opening import NOTHING, TITLE, finished, interruption, introduction, unfinished
from twonn.report.section import Claim, PageTable, Section
from twonn.report.text import Rendered, Results, has_nothing, rendered, rendered_rows, verdict

__all__ = ["summary"]


def summary(results: Results, sections: Sequence[Section]) -> str:
    """Return the report of some sections as a text."""
    lines = _heading(TITLE, "=")
    for paragraph in introduction(results, sections):
        lines += _wrapped(paragraph)
    if broken_off := interruption(results, sections):
        lines += _wrapped(broken_off)
    for section in finished(results, sections):
        lines += ["", *_section(section, results)]
    if missing := unfinished(results, sections):
        lines += ["", *_heading("Not finished", "-"), *(section.title for section in missing)]
    lines += ["", *_heading("Computed by", "-")]
    lines += [f"{name}: {value}" for name, value in results["provenance"].items()]
    return "\n".join(lines) + "\n"


def _section(section: Section, results: Results) -> Iterator[str]:
    yield from _heading(section.title, "-")
    for paragraph in section.introduction:
        yield from _wrapped(rendered(paragraph, results))
    for claim in section.claims:
        if claim.title:
            yield from ("", *_heading(claim.title, "~"))
        yield from _claim(claim, results)


def _claim(claim: Claim, results: Results) -> Iterator[str]:
    yield from _wrapped(rendered(claim.claim, results))
    yield from _wrapped(verdict(claim, results))
    if has_nothing(claim, results):
        yield NOTHING
        return
    for paragraph in claim.paragraphs:
        yield from _wrapped(rendered(paragraph, results))
    if claim.table:
        yield from _table(claim.table, results)


def _heading(title: str, line: str) -> list[str]:
    return [title, line * len(title)]


def _wrapped(parts: Rendered) -> list[str]:
    return textwrap.wrap(_text(parts), 100, subsequent_indent="  ")


def _text(parts: Rendered) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in parts)


def _table(table: PageTable, results: Results) -> list[str]:
    cells = [[column.heading for column in table.columns]]
    cells += [[_text(cell) for cell in row] for row in rendered_rows(table, results)]
    columns = [
        [cell.ljust(width) if column.is_text else cell.rjust(width) for cell in texts]
        for column, texts in zip(table.columns, zip(*cells, strict=True), strict=True)
        for width in [max(map(len, texts))]
    ]
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
