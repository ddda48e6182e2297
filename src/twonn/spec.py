"""Spec files: one run written down in TOML, under the names that Python uses."""

from __future__ import annotations

import inspect
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from twonn import initializers
from twonn.problem import Params, Problem, check_compatible, closest, whole_number
from twonn.run import run
from twonn.trajectory import Trajectory

__all__ = ["Spec"]

#: Arguments of `run` that no table sets.
_NOT_OPTIONS = {"problem", "params", "checkpoint", "progress"}

#: The keys of every table: those that must be there, and those that may.
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "problem": (("x", "y", "step_size"), tuple(field.name for field in fields(Problem))[3:]),
    "params": (("w",), ("b", "v")),
    "initializer": (("name", "seed"), ("run", "runs", "scale")),
    "run": ((), tuple(key for key in inspect.signature(run).parameters if key not in _NOT_OPTIONS)),
}


class Spec:
    """One run, as a spec file asks for it.

    The file has the tables ``[problem]`` with the arguments of `Problem`; ``[params]`` with those
    of `Params`, or ``[initializer]`` with ``name``, ``seed`` and ``scale`` of
    `initializers.sample` and ``run``, the index (0 by default) of the start among ``runs``
    (run + 1 by default); and ``[run]`` with the options of `run`.

    Parameters
    ----------
    path : str or path

    Attributes
    ----------
    problem : Problem
    params : Params
        One network.

    Raises
    ------
    TypeError, ValueError
        Naming the file, and the line of whatever is unknown, missing or refused.
    OSError
        If the file cannot be read.

    Notes
    -----
    Where a scheme draws b or v at random, these depend on ``runs``; see `initializers.sample`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._text, self._tables = _parsed(self._path)
        self._check_names()
        with self._located("problem"):
            self.problem = Problem(**self._tables["problem"])
        start = "params" if "params" in self._tables else "initializer"
        with self._located(start):
            keys = self._tables[start]
            self.params = Params(**keys) if start == "params" else _drawn(self.problem, **keys)
            check_compatible(self.problem, self.params)

    def run(self) -> Trajectory:
        """Run it, with a progress bar.

        Returns
        -------
        Trajectory

        Raises
        ------
        TypeError, ValueError
            Naming the file, and the line of the option that is refused.
        """
        with self._located("run"):
            return run(self.problem, self.params, **self._tables["run"], progress=True)

    # ----------------------------------------------------------------------------------------------
    # Names and lines

    def _check_names(self) -> None:
        """Refuse unknown and missing tables and keys."""
        self._check_known("table", self._tables, tuple(_KEYS))
        for name, table in self._tables.items():
            if not isinstance(table, dict):
                raise ValueError(f"{self._place(name)}: {name!r} must be a table, [{name}].")
            required, optional = _KEYS[name]
            self._check_known(f"key in [{name}]", table, required + optional, name)
            for key in required:
                if key not in table:
                    raise ValueError(f"{self._place(name)}: [{name}] lacks {key!r}.")
        for name in ("problem", "run"):
            if name not in self._tables:
                raise ValueError(f"{self._path}: the table [{name}] is missing.")
        if ("params" in self._tables) == ("initializer" in self._tables):
            got = "both" if "params" in self._tables else "neither"
            raise ValueError(
                f"{self._path}: got {got} of [params] and [initializer]; expected exactly one. "
                "[params] gives the start, [initializer] draws it."
            )

    def _check_known(self, kind: str, table: dict[str, Any], known: Sequence[str], *parents: str) -> None:
        for key in table:
            if key not in known:
                raise ValueError(
                    f"{self._place(*parents, key)}: unknown {kind}: {key!r}; expected one of "
                    f"{', '.join(map(repr, known))}. {closest(key, known)}"
                )

    @contextmanager
    def _located(self, table: str) -> Iterator[None]:
        """Put the file and the line in front of what is wrong with a value."""
        try:
            yield
        except (TypeError, ValueError) as error:
            argument = re.split(r"\W", str(error), maxsplit=1)[0]  # that every refusal begins with
            keys = (table, argument) if argument in self._tables[table] else (table,)
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{self._place(*keys)}, [{table}]: {error}") from error

    def _place(self, *keys: str) -> str:
        return f"{self._path}, line {_line(self._text, keys)}"


def _parsed(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_bytes().decode()
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text in UTF-8, so not a spec file.") from error
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply for a spec file.") from error
    except ValueError as error:  # its message has the line
        raise ValueError(f"{path}: not valid TOML: {error}.") from error


def _drawn(
    problem: Problem,
    name: str,
    seed: int,
    run: int = 0,
    runs: int | None = None,
    scale: float | None = None,
) -> Params:
    run = whole_number("run", run, least=0, fix="Give the index of one start.")
    fix = "Give more runs than the index of the one that is wanted."
    runs = whole_number("runs", run + 1 if runs is None else runs, least=run + 1, fix=fix)
    starts = initializers.sample(name, runs, seed, problem.dimension, bias=problem.bias, scale=scale)
    return starts[run]


def _line(text: str, keys: Sequence[str]) -> int:
    """Return the line, from 1, on which a key of a valid TOML text begins.

    The parser does not tell. But the text up to the end of that item is itself valid TOML, the
    shortest that has the key, and what is valid without it ends where the item begins.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    begins = 1
    for count in range(1, len(lines) + 1):
        try:
            item: Any = tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue  # inside an item of several lines
        for key in keys:
            item = item.get(key) if isinstance(item, dict) else None
        if item is not None:
            return begins
        begins = count + 1
    return begins
