"""The registry of the report's sections: one file each, and one entry here."""

from __future__ import annotations

from collections.abc import Iterable

from twonn.arguments import one_of
from twonn.report.section import Section
from twonn.report.sections import data, float32, law, optimizers, paper, trained

__all__ = ["SECTIONS", "chosen"]

#: By name, in the order in which they are made and shown. A section comes after those that it needs.
SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        paper.SECTION,
        law.SECTION,
        trained.SECTION,
        data.SECTION,
        optimizers.SECTION,
        float32.SECTION,
    )
}


def chosen(names: Iterable[str]) -> list[Section]:
    """Return the sections of these names and those that they need, or all sections if there is no name.

    Raises
    ------
    ValueError
        If there is no section of a name.
    """
    wanted = {one_of("section", name, tuple(SECTIONS)) for name in names} or {*SECTIONS}
    for section in reversed(SECTIONS.values()):
        if section.name in wanted:
            wanted |= {*section.needs}
    return [section for section in SECTIONS.values() if section.name in wanted]
