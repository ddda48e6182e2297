"""Spec files: a run or a sweep in TOML, with the same names as in Python."""

from __future__ import annotations

import bisect
import inspect
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from twonn import initializers
from twonn.arguments import (
    ArgumentError,
    ArgumentValueError,
    Synonyms,
    Verbatim,
    closest,
    listed,
    whole_number,
)
from twonn.engine.fields import CHECKPOINT_EVERY
from twonn.engine.run import run
from twonn.files import what_it_is
from twonn.initializers import SAMPLE_SYNONYMS, InitializerName
from twonn.overrides import Override, apply, parsed
from twonn.problem.horizon import direct_limit
from twonn.problem.params import Params, check_compatible
from twonn.problem.problem import PROBLEM_SYNONYMS, Problem
from twonn.problem.runspec import RUN_SYNONYMS
from twonn.results.trajectory import Trajectory
from twonn.sweeps.result import SweepResult
from twonn.sweeps.sweep import sweep

__all__ = ["TABLES", "Spec", "SweepSpec"]

#: Arguments of `run` and of `sweep` that no table sets.
_NOT_OPTIONS = {
    "problem",
    "params",
    "checkpoint",
    "checkpoint_every",
    "progress",
    "on_block",
    "store",
    "executor",
    "part",
}

#: Arguments of the caller, not of the file: an error in them has no line.
_CALLERS = {"checkpoint", "checkpoint_every", "store", "executor", "part"}

#: The keys of every table: those that must be there, and those that may.
_Keys = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]

_KEYS: _Keys = {
    "problem": (("x", "y", "step_size"), tuple(field.name for field in fields(Problem))[3:]),
    "params": (("w",), ("b", "v")),
    "initializer": (("name", "seed"), ("run", "runs", "scale")),
    "run": ((), tuple(key for key in inspect.signature(run).parameters if key not in _NOT_OPTIONS)),
}

_SWEEP_KEYS: _Keys = {
    **_KEYS,
    "initializer": (("name", "seed", "runs"), ("scale",)),
    "sweep": (
        (),
        tuple(
            key
            for key in inspect.signature(sweep).parameters
            if key not in _NOT_OPTIONS and key not in inspect.signature(run).parameters
        ),
    ),
}

#: All that a spec file of either kind may have.
TABLES: _Keys = {**_SWEEP_KEYS, **_KEYS}

#: What else people call the keys of a table.
_SYNONYMS: Mapping[str, Synonyms] = {
    "problem": PROBLEM_SYNONYMS,
    "initializer": SAMPLE_SYNONYMS,
    "run": RUN_SYNONYMS,
    "sweep": RUN_SYNONYMS,
}


class _Tables:
    """The tables of a spec file, with names checked against `keys`, and where each entry is.

    Parameters
    ----------
    path : str or path
    keys : mapping
        The tables that it may have, and their keys.
    several : sequence of str
        Tables that may be there more than once.
    settings : sequence of str
        What replaces entries of the file, each like ``problem.step_size=0.05``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        keys: _Keys,
        several: Sequence[str] = (),
        settings: Sequence[str] = (),
    ) -> None:
        self._path = Path(path)
        self._keys = keys
        self._several = several
        self._overrides: list[Override] = [parsed(setting) for setting in settings]
        self._text, self._tables = _parsed(self._path)
        self._in_file = frozenset(self._tables)
        apply(self._overrides, self._tables)
        self._check_names()

    # ----------------------------------------------------------------------------------------------
    # Names and lines

    def _check_names(self) -> None:
        """Refuse unknown and missing tables and keys."""
        self._check_known("table", self._tables, tuple(self._keys))
        for name, table in self._tables.items():
            if name in self._several and isinstance(table, list) and table:
                for index, one in enumerate(table):
                    self._check_table(one, name, index)
            else:
                self._check_table(table, name)
        for name in ("problem", "run"):
            if name not in self._tables:
                raise ValueError(f"{self._path}: the table [{name}] is missing.")
        if ("params" in self._tables) == ("initializer" in self._tables):
            got = "both" if "params" in self._tables else "neither"
            raise ValueError(
                f"{self._either()}: got {got} of [params] and [initializer]; expected exactly one. "
                "[params] gives the start, [initializer] draws it."
            )

    def _either(self) -> Path | Override:
        """Return which override has brought a second way to start, or the file."""
        added = (one for one in self._overrides if one.keys[0] in ("params", "initializer"))
        return next((one for one in added if one.keys[0] not in self._in_file), self._path)

    def _check_table(self, table: object, name: str, *index: int) -> None:
        if not isinstance(table, dict):
            several = name == "problem" and isinstance(table, list)
            hint = f" To run several problems, {self._way_to_sweep()}" if several else ""
            raise ValueError(f"{self._place(name)}: {name!r} must be a table, [{name}].{hint}")
        required, optional = self._keys[name]
        self._check_known(f"key in [{name}]", table, required + optional, name, *index)
        for key in required:
            if key not in table:
                raise ValueError(f"{self._place(name, *index)}: [{name}] lacks {key!r}.")

    def _check_known(
        self, kind: str, table: dict[str, Any], known: Sequence[str], *parents: str | int
    ) -> None:
        for key in table:
            if key not in known:
                hint = self._hint(key, known, str(parents[0]) if parents else "")
                raise ValueError(
                    f"{self._place(*parents, key)}: unknown {kind}: {key!r}; expected {listed(known)}. {hint}"
                )

    def _hint(self, key: str, known: Sequence[str], table: str) -> str:
        """Return what may be meant by an unknown key of a table, or by an unknown table."""
        synonyms = _SYNONYMS.get(table, {})
        if table and synonyms.get(key) not in known:
            for other, keys in self._keys.items():
                meant = _SYNONYMS.get(other, {}).get(key, key)
                if other != table and meant in (*keys[0], *keys[1]):
                    return f"Did you mean {meant!r} in [{other}]?"
        if not table and key in _SWEEP_KEYS:
            return f"It is for sweeps. To run one, {self._way_to_sweep()}"
        return closest(key, known, synonyms)

    def _way_to_sweep(self) -> str:
        return f"call: twonn sweep {self._path} --store DIR"

    @contextmanager
    def _located(self, table: str, *index: int, also: str | None = None) -> Iterator[None]:
        """Put the file and the line before the message about a value."""
        try:
            yield
        except ArgumentError as error:
            argument = error.argument
            if argument in _CALLERS:
                raise
            if also is not None and argument in self._tables[also]:
                table = also
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{self._place_of(argument, table, *index)}: {error}") from error

    def _place_of(self, argument: str, table: str, *index: int) -> str:
        """Return where an argument is given, with the table if that is in the file."""
        held = self._tables[table]
        for one in index:
            held = held[one]
        if argument not in held:  # an option of an optimizer; or it is not given
            for override in self._overrides:
                if override.keys[0] == table and override.names(argument):
                    return str(override)
        place = self._place(table, *index, *([argument] if argument in held else []))
        return place if place.startswith("--set") else f"{place}, [{table}]"

    def _place(self, *keys: str | int) -> str:
        """Return the line of the file, or the override, that has an entry or a table."""
        for override in reversed(self._overrides):
            if override.concerns(keys) or (override.keys[0] == keys[0] and keys[0] not in self._in_file):
                return str(override)
        return f"{self._path}, line {_line(self._text, keys)}"


class Spec(_Tables):
    """One run, read from a spec file.

    The file has the tables ``[problem]`` with the arguments of `Problem`; ``[params]`` with those
    of `Params`, or ``[initializer]`` with ``name``, ``seed`` and ``scale`` of
    `initializers.sample` and ``run``, the index (0 by default) of the start among ``runs``
    (run + 1 by default); and ``[run]`` with the options of `run`.

    Parameters
    ----------
    path : str or path
    settings : sequence of str
        What replaces entries of the file, each like ``problem.step_size=0.05``.

    Attributes
    ----------
    problem : Problem
    params : Params
        One network.

    Raises
    ------
    TypeError, ValueError
        Naming the file and the line, or the setting, that has the entry that is unknown, missing or refused.
    OSError
        If the file cannot be read.

    Notes
    -----
    Where a scheme draws b or v at random, these depend on ``runs``; see `initializers.sample`.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Sequence[str] = ()) -> None:
        super().__init__(path, _KEYS, settings=settings)
        with self._located("problem"):
            self.problem = Problem(**self._tables["problem"])
        start = "params" if "params" in self._tables else "initializer"
        with self._located(start):
            keys = self._tables[start]
            self.params = self._given(**keys) if start == "params" else self._drawn(**keys)
            check_compatible(self.problem, self.params)

    def _given(self, **keys: Any) -> Params:
        params = Params(**keys)
        if params.runs is not None:
            got, expected = Verbatim(f"{params.runs} starts"), "one, w of shape (2,) or (2, d)"
            raise ArgumentValueError("w", got, expected, f"To run them all, {self._way_to_sweep()}")
        return params

    def _drawn(
        self,
        name: InitializerName,
        seed: int,
        run: int | None = None,
        runs: int | None = None,
        scale: float | None = None,
    ) -> Params:
        if run is None and runs is not None and whole_number("runs", runs, least=1, fix="Leave it out.") > 1:
            expected = "one start, or with run = i, counted from 0, one of so many"
            fix = f"To run them all, {self._way_to_sweep()}"
            raise ArgumentValueError("runs", runs, expected, fix)
        run = whole_number("run", 0 if run is None else run, least=0, fix="Give the index of one start.")
        fix = "Give a number of runs larger than the index of the start."
        runs = whole_number("runs", run + 1 if runs is None else runs, least=run + 1, fix=fix)
        bias, dimension = self.problem.bias, self.problem.dimension
        return initializers.sample(name, runs, seed, dimension, bias=bias, scale=scale)[run]

    def run(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: str | int | float = CHECKPOINT_EVERY,
        max_direct: int | float | str | None = None,
    ) -> Trajectory:
        """Run it, with a progress bar.

        Parameters
        ----------
        checkpoint, checkpoint_every
            As in `run`.
        max_direct : int, float or str, optional
            As in `run`, instead of the number in the file.

        Returns
        -------
        Trajectory

        Raises
        ------
        TypeError, ValueError
            Naming the file, and the line of the option that is refused.
        """
        options = {**self._tables["run"], **_replaced(max_direct)}
        with self._located("run"):
            return run(
                self.problem,
                self.params,
                **options,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                progress=True,
            )


class SweepSpec(_Tables):
    """A sweep, read from a spec file.

    The file has the table ``[problem]`` with the arguments of `Problem`, or a sequence of them, each headed
    ``[[problem]]``; ``[initializer]`` with ``name``, ``seed``, ``runs`` and ``scale`` of
    `initializers.sample`, or ``[params]`` with the arguments of `Params`; ``[run]`` with the options of
    `run`, where ``optimizer`` may be a sequence; and optionally ``[sweep]`` with the further options of
    `sweep`.

    Parameters
    ----------
    path : str or path
    settings : sequence of str
        What replaces entries of the file, each like ``problem.step_size=0.05``; if there are several
        problems, of each.

    Attributes
    ----------
    problems : list of Problem
    params : Params
        The starts. Every problem is run from each of them.

    Raises
    ------
    TypeError, ValueError
        Naming the file and the line, or the setting, that has the entry that is unknown, missing or refused.
    OSError
        If the file cannot be read.

    Notes
    -----
    Biases are drawn only if all problems have them.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Sequence[str] = ()) -> None:
        super().__init__(path, _SWEEP_KEYS, several=("problem",), settings=settings)
        tables = self._tables["problem"]
        self.problems: list[Problem] = []
        for index, table in enumerate(tables if isinstance(tables, list) else [tables]):
            with self._located("problem", *([index] if isinstance(tables, list) else [])):
                self.problems.append(Problem(**table))
        start = "params" if "params" in self._tables else "initializer"
        with self._located(start):
            keys = self._tables[start]
            bias = all(problem.bias for problem in self.problems)
            dimension = self.problems[0].dimension
            if start == "params":
                self.params = Params(**keys)
            else:
                self.params = initializers.sample(**keys, d=dimension, bias=bias)
            for problem in self.problems:
                check_compatible(problem, self.params)

    def sweep(
        self,
        store: str | os.PathLike[str] | None = None,
        executor: str | None = None,
        part: tuple[int, int] = (0, 1),
        checkpoint_every: str | int | float = "60s",
        max_direct: int | float | str | None = None,
    ) -> SweepResult:
        """Run what the store does not hold yet, with a progress bar.

        Parameters
        ----------
        store, executor, part, checkpoint_every
            As in `sweep`.
        max_direct : int, float or str, optional
            As in `sweep`, instead of the number in the file.

        Returns
        -------
        SweepResult

        Raises
        ------
        TypeError, ValueError
            Naming the file, and the line of the option that is refused.
        """
        options = {**self._tables["run"], **self._tables.get("sweep", {}), **_replaced(max_direct)}
        with self._located("sweep" if "sweep" in self._tables else "run", also="run"):
            return sweep(
                self.problems if isinstance(self._tables["problem"], list) else self.problems[0],
                self.params,
                **options,
                store=store,
                executor=executor,
                part=part,
                checkpoint_every=checkpoint_every,
                progress=True,
            )


def _replaced(max_direct: int | float | str | None) -> dict[str, int]:
    """Return the option that takes the place of the file's; what is wrong with it is not the file's fault."""
    return {} if max_direct is None else {"max_direct": direct_limit(max_direct)}


def _parsed(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_bytes().decode()
        return text, tomllib.loads(text)
    except (IsADirectoryError, UnicodeDecodeError) as error:
        why = what_it_is(path) or "not a UTF-8 text, so not a spec file."
        raise ValueError(f"{path}: {why}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply for a spec file.") from error
    except ValueError as error:  # its message has the line
        raise ValueError(f"{path}: not valid TOML: {error}.") from error


#: What a TOML text consists of, as far as it matters for where an item ends.
_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|""?(?!"))*"{3,5}'  # a quotation mark or two may stand before the last three
    r"|'''(?:[^']|''?(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[{]|[\]}]|\n",
    re.DOTALL,
)


def _ends(text: str) -> list[int]:
    """Return where the items of a valid TOML text end: lines, or several within brackets or a string."""
    depth, ends = 0, []
    for token in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if token[0] == "\n" and depth == 0:
            ends.append(token.end())
    return [*ends, len(text)]


def _has(text: str, keys: Sequence[str | int]) -> bool:
    item: Any = tomllib.loads(text)
    for key in keys:
        if isinstance(key, int):
            item = item[key] if isinstance(item, list) and key < len(item) else None
        else:
            item = item.get(key) if isinstance(item, dict) else None
    return item is not None


def _line(text: str, keys: Sequence[str | int]) -> int:
    """Return the line, from 1, on which a key of a valid TOML text begins.

    The parser does not tell. But the text up to the end of any item is itself valid TOML, and the item of the
    key is the first one with which it has the key.
    """
    text = text.replace("\r\n", "\n")
    ends = _ends(text)
    item = bisect.bisect_left(ends, True, key=lambda end: _has(text[:end], keys))
    return 1 + text.count("\n", 0, ends[item - 1] if item else 0)
