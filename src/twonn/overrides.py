"""Entries of a spec file that are given on the command line: ``--set problem.step_size=.05``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twonn.arguments import ArgumentValueError, brief

__all__ = ["Override", "apply", "parsed"]

#: Keys of a table of which only one counts: who sets one does not want the other one of the file.
_INSTEAD_OF: dict[tuple[str, ...], str] = {
    ("run", "steps"): "log10_steps",
    ("run", "log10_steps"): "steps",
    ("run", "sample_steps"): "samples_per_decade",
    ("run", "samples_per_decade"): "sample_steps",
}

_KEY = re.compile(r"[A-Za-z0-9_-]+")

#: What may be given without quotes though TOML wants them: names, files and numbers of steps such as 10^16.
_WORD = re.compile(r"[A-Za-z0-9_^*+-][A-Za-z0-9_.^*+-]*")

#: The dot of a number that begins with it, as in .05 and [-.5, .5], which TOML wants to begin with 0.
_LEADING_DOT = re.compile(r"(?<![\w.])\.(?=\d)")


@dataclass(frozen=True)
class Override:
    """One of them.

    Attributes
    ----------
    text : str
        As it was given.
    keys : tuple of str
        Names of the table, perhaps of tables in it, and of the entry.
    value : object
        As TOML has it.
    """

    text: str
    keys: tuple[str, ...]
    value: Any

    def __str__(self) -> str:
        return f"--set {self.text}"

    def names(self, argument: str) -> bool:
        """Whether it sets an entry of this name, or a table that has one."""
        return self.keys[-1] == argument or (isinstance(self.value, dict) and argument in self.value)

    def concerns(self, keys: Sequence[str | int]) -> bool:
        """Whether it sets an entry of the file, all of it or a part; `keys` may have the index of a table."""
        names = tuple(key for key in keys if isinstance(key, str))
        common = min(len(names), len(self.keys))
        return len(names) > 1 and names[:common] == self.keys[:common]


def parsed(text: str) -> Override:
    """Return what ``--set`` is given, a path and a value.

    Raises
    ------
    ValueError
        If it is not of the form TABLE.KEY=VALUE, with a value that TOML has, or a single word.
    """
    path, equals, value = text.partition("=")
    keys = tuple(key.strip() for key in path.split("."))
    if not equals or len(keys) < 2 or not all(map(_KEY.fullmatch, keys)):
        fix = "Write e.g. --set problem.step_size=0.05."
        raise ArgumentValueError("--set", text, "TABLE.KEY=VALUE", fix)
    return Override(text, keys, _value(text, value.strip()))


def _value(text: str, value: str) -> Any:
    written = value if '"' in value or "'" in value else _LEADING_DOT.sub("0.", value)
    try:
        read = tomllib.loads(f"value = {written}")
        if len(read) == 1:
            return read["value"]
    except (ValueError, RecursionError):
        if _WORD.fullmatch(value):
            return _word(text, value)
    expected = "a value after the = as in TOML, or a single word"
    fix = "Write e.g. 0.05, true, leap, 10^16 or '[-1.0, 1.0]', with quotes that keep the shell from it."
    raise ArgumentValueError("--set", text, expected, fix)


def _word(text: str, word: str) -> str:
    if word.lower() in ("true", "false"):
        fix = f"Write {word.lower()}, as in TOML."
        raise ArgumentValueError("--set", text, "true or false", fix)
    return word


def apply(overrides: Sequence[Override], tables: dict[str, Any]) -> None:
    """Set entries of the tables of a spec file; of a table that is there several times, in each.

    Raises
    ------
    ValueError
        If there is something else in the place of a table.
    """
    for override in overrides:
        *parents, key = override.keys
        for table in _reached(override, parents, tables):
            table.pop(_INSTEAD_OF.get(override.keys, ""), None)
            table[key] = override.value


def _reached(override: Override, parents: Sequence[str], tables: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the tables at a path; they are made where there is nothing yet."""
    if not parents:
        yield tables
        return
    there = tables.setdefault(parents[0], {})
    for table in there if isinstance(there, list) else [there]:
        if not isinstance(table, dict):
            raise ValueError(
                f"{override}: {parents[0]!r} is {brief(there)} and not a table. "
                f"Set all of it at once: --set {'.'.join(override.keys[:-1])}=VALUE."
            )
        yield from _reached(override, parents[1:], table)
