"""Faults: what is done to files, disks and processes, and what held then, counted for docs/faults.md.

A test takes the fixture `faults`, names a fault of a section of that page, and counts, for every promise (a
column of the table there), how often it was tried and how often it held. At its end every promise must have
held every time, and the page must have these numbers. To write them there instead: TWONN_FAULTS=write pytest
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Where the page is in a checkout; there is none beside an installed package.
PAGE = Path(__file__).resolve().parents[1] / "docs" / "faults.md"


class Fault:
    """One fault, a row of the page: how often each promise was tried, and how often it held."""

    def __init__(self, section: str, name: str) -> None:
        self.section, self.name = section, name
        self.counts: dict[str, list[int]] = {}
        self.broken: list[str] = []

    def holds(self, promise: str, held: bool, case: object = "") -> None:
        """Count one trial; it must have held."""
        self.tells(promise, held)
        if not held:
            self.broken.append(f"{self.name}: {promise} did not hold {case}")

    def tells(self, column: str, held: bool) -> None:
        """Count one trial of what is not promised, for comparison."""
        count = self.counts.setdefault(column, [0, 0])
        count[0] += bool(held)
        count[1] += 1

    @property
    def cells(self) -> dict[str, str]:
        return {column: f"{held:,} of {tried:,}" for column, (held, tried) in self.counts.items()}


@pytest.fixture
def faults() -> Iterator[object]:
    """Give a function of section and name that makes a fault to count for."""
    counted: list[Fault] = []

    def begin(section: str, name: str) -> Fault:
        counted.append(Fault(section, name))
        return counted[-1]

    yield begin
    broken = [sentence for fault in counted for sentence in fault.broken]
    assert not broken, "\n".join(broken[:20])
    for fault in counted if PAGE.exists() else []:
        if os.environ.get("TWONN_FAULTS") == "write":
            PAGE.write_text(with_row(PAGE.read_text(encoding="utf-8"), fault), encoding="utf-8")
        else:
            row = rows(PAGE.read_text(encoding="utf-8"))[fault.section].get(fault.name)
            assert row == fault.cells, f"docs/faults.md has {row}; counted {fault.cells}"


def rows(page: str) -> dict[str, dict[str, dict[str, str]]]:
    """Return what the page says: section, fault, column, cell; cells that are empty are left out."""
    return {
        section: {
            cells[0]: {column: cell for column, cell in zip(head[1:], cells[1:], strict=True) if cell}
            for cells in table
        }
        for section, head, table in _tables(page)
    }


def with_row(page: str, fault: Fault) -> str:
    """Return the page with the numbers of a fault."""
    for section, head, table in _tables(page):
        if section != fault.section:
            continue
        unknown = set(fault.counts) - set(head)
        assert not unknown, f"docs/faults.md has no column {unknown}"
        row = _written([fault.name, *(fault.cells.get(column, "") for column in head[1:])])
        old = [_written(cells) for cells in table if cells[0] == fault.name]
        if old:
            return page.replace(old[0], row)
        last = _written(table[-1]) if table else "|".join(["", *[" --- "] * len(head), ""])
        begin = page.index(f"## {section}\n")
        end = page.index(last, begin) + len(last)
        return f"{page[:end]}\n{row}{page[end:]}"
    raise AssertionError(f"docs/faults.md has no section {fault.section!r}")


def _tables(page: str) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Give heading, head and rows of every table."""
    for part in re.split(r"^## ", page, flags=re.M)[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        if lines:
            cells = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines]
            yield part.partition("\n")[0], cells[0], cells[2:]


def _written(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
