"""Texts with places for numbers, all of which come from the results.

A place is ``{path}`` or ``{path:format}``. The path leads into the results, as in ``{law.schemes.0.name}``;
in a table, a path that begins with a dot starts at the row. No number gets on the page in another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twonn.report.section import Claim, PageTable

__all__ = [
    "Number",
    "Rendered",
    "Results",
    "has_nothing",
    "looked_up",
    "rendered",
    "rendered_rows",
    "typeset",
    "verdict",
    "written",
]

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
    value : object
        What is there.
    text : str
        As it is written.
    """

    path: str
    value: Any
    text: str


#: What a template becomes: texts and numbers in turn.
Rendered = list[str | Number]


def rendered(template: str, results: Results, row: str = "") -> Rendered:
    """Return a template with its numbers filled in; paths that begin with a dot start at `row`."""
    parts: Rendered = []
    end = 0
    for place in _PLACE.finditer(template):
        path = row + place[1] if place[1].startswith(".") else place[1]
        value = looked_up(results, path)
        parts += [typeset(template[end : place.start()]), Number(path, value, written(value, place[2] or ""))]
        end = place.end()
    parts.append(typeset(template[end:]))
    return _raised([part for part in parts if part != ""])


def rendered_rows(table: PageTable, results: Results) -> Iterator[list[Rendered]]:
    """Give the cells of a table, row by row."""
    for index in range(len(looked_up(results, table.rows))):
        yield [rendered(column.cell, results, f"{table.rows}.{index}") for column in table.columns]


def verdict(claim: Claim, results: Results) -> Rendered:
    """Return whether a claim holds on these data, and the criterion."""
    value = looked_up(results, claim.holds)
    answer = "holds on these data" if value else "does not hold on these data"
    return ["This ", Number(claim.holds, value, answer), f". Criterion: {typeset(claim.criterion)}."]


def has_nothing(claim: Claim, results: Results) -> bool:
    """Return whether there is no successful run of which the claim could speak."""
    return bool(claim.successes) and looked_up(results, claim.successes) == 0


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


def _raised(parts: Rendered) -> Rendered:
    """Write a number after "10^" as an exponent, if it is a whole one."""
    raised: Rendered = []
    for part in parts:
        before = raised[-1] if raised else ""
        if (
            isinstance(part, Number)
            and isinstance(before, str)
            and before.endswith("10^")
            and part.text.isdecimal()
        ):
            raised[-1] = before.removesuffix("^")
            part = Number(part.path, part.value, part.text.translate(_SUPERSCRIPTS))
        raised.append(part)
    return raised
