"""Chunks of runs as tasks: each is found in the store or computed, and saved while it is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn.engine.batch import State, Stopped, run_batch
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.problem.runspec import RunOptions, Schedule
from twonn.sweeps.claims import Part, claimed, scratch
from twonn.sweeps.store import Store
from twonn.sweeps.summary import BatchResult, Column, columns_of
from twonn.sweeps.writing import unmark, write

Arrays = dict[str, NDArray[Any]]


class Report(Enum):
    """What a task has to say of a chunk that goes to a store."""

    FOUND = "the store has it already"
    COMPUTED = "it has been computed and written"
    BUSY = "another process computes it"
    STOPPED = "it was given up; what is done of it is kept"


@dataclass(frozen=True, eq=False)
class Group:
    """Runs next to each other that have the same problem and the same optimizer: a batch of the kernel.

    Attributes
    ----------
    problem : Problem
    params : Params
        Their starts, with a run axis.
    options : RunOptions
    """

    problem: Problem
    params: Params
    options: RunOptions


@dataclass(frozen=True, eq=False)
class Chunk:
    """One task: runs next to each other, in one group or in several. Idempotent.

    Attributes
    ----------
    index : int
    groups : tuple of Group
        The runs.
    schedule
        As of `run_batch`.
    sampled : tuple of str
        Variables to keep along the runs.
    store : Path or None
        Where the results go; None returns them.
    every : (float, int or None)
        Seconds and steps between two times that what is done is saved in the store.
    """

    index: int
    groups: tuple[Group, ...]
    schedule: Schedule
    sampled: tuple[str, ...]
    store: Path | None
    every: tuple[float, int | None]

    def run(self, stop: threading.Event | None = None) -> Arrays | Report:
        """Run it; write what it finds to the store, or give it back."""
        try:
            if self.store is None:
                return self._computed(_Watch(None, self.every, stop))
            return self._in_store(Store(self.store), stop)
        except Stopped:
            return Report.STOPPED

    def _in_store(self, store: Store, stop: threading.Event | None) -> Report:
        if store.is_sound(self.index):
            return Report.FOUND
        with claimed(store.path, self.index) as mine:
            if not mine:
                return Report.BUSY
            if store.is_sound(self.index):  # meanwhile
                return Report.FOUND
            unmark(store, self.index)
            identity = f"{store.attributes['spec_sha256']} runs {store.bounds(self.index)}"
            part = Part(store.path, self.index, identity)
            arrays = self._computed(_Watch(part, self.every, stop))
            with scratch(store.path, self.index) as folder:
                write(store, self.index, arrays, folder)
            part.remove()
            return Report.COMPUTED

    def _computed(self, watch: _Watch) -> Arrays:
        columns = columns_of(self.groups[0].problem.dimension, self.sampled)
        try:
            return self._gone_on(watch, columns, watch.take_up(columns))
        except (KeyError, TypeError, ValueError):
            if not watch.took_up:
                raise
            watch.forget()  # its digest is right: this version of twonn has not written it
            return self._gone_on(watch, columns, None)

    def _gone_on(self, watch: _Watch, columns: Mapping[str, Column], state: State | None) -> Arrays:
        for group in self.groups[watch.finished :]:
            batch = run_batch(
                group.problem,
                group.params,
                group.options,
                self.schedule,
                watch=watch,
                state=state,
            )
            ended, state = BatchResult(group.problem, group.params, batch, group.options.optimizer), None
            watch.finish({name: _with_one_nan(column.of(ended)) for name, column in columns.items()})
        runs = sum(len(group.params) for group in self.groups)
        if any(len(values) != runs for values in watch.arrays.values()):
            raise ValueError("not the runs of this chunk")
        return watch.arrays


def _with_one_nan(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values with the same bits for every nan: which ones it has differs between processors."""
    return np.where(np.isnan(values), np.nan, values) if values.dtype.kind == "f" else values


class _Watch:
    """Gathers what is done of a chunk; saves it when that is due, and when the chunk is given up.

    Attributes
    ----------
    finished : int
        Groups whose runs have all ended.
    arrays : dict
        The columns of these runs.
    took_up : bool
        Whether it goes on from what was saved.
    steps : int or None
        The most steps between two looks.
    """

    def __init__(
        self, part: Part | None, every: tuple[float, int | None], stop: threading.Event | None
    ) -> None:
        self._part = part
        self._seconds, self.steps = every
        self._stop = stop
        self._saved = time.monotonic()
        self._spent = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.finished = 0
        self.arrays: Arrays = {}
        self.took_up = False

    def take_up(self, columns: Mapping[str, Column]) -> State | None:
        """Go on from what was saved, if anything was; return where the batch under way is.

        Raises
        ------
        KeyError, TypeError, ValueError
            If that is not what is saved of such a chunk.
        """
        held = None if self._part is None else self._part.read()
        if held is None:
            return None
        self.took_up = True
        self.finished = int(held["finished"])
        if self.finished:
            self.arrays = {name: held[f"column_{name}"] for name in columns}
        return {
            name.removeprefix("batch_"): values for name, values in held.items() if name.startswith("batch_")
        }

    def finish(self, arrays: Arrays) -> None:
        """Add the columns of a group whose runs have all ended."""
        before = self.arrays
        self.arrays = {
            name: np.concatenate([before[name], values]) if before else values
            for name, values in arrays.items()
        }
        self.finished += 1

    def look(self, spent: int, state: Callable[[], State]) -> None:
        """Save what is done if that is due; raise Stopped if that is wanted."""
        stopped = self._stop is not None and self._stop.is_set()
        if self._part is not None:
            self._spent += spent
            due = time.monotonic() - self._saved >= self._seconds
            if self.steps is not None:
                due = self._spent >= self.steps
            if stopped:
                with suppress(OSError):  # then what was saved before is there still
                    self._save(self._part, state())
            elif due:
                self._save(self._part, state())
        if stopped:
            raise Stopped

    def _save(self, part: Part, state: State) -> None:
        part.write(
            {
                "finished": np.array(self.finished),
                **{f"column_{name}": values for name, values in self.arrays.items()},
                **{f"batch_{name}": values for name, values in state.items()},
            }
        )
        self._saved, self._spent = time.monotonic(), 0
