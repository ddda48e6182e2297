"""Writes the checkpoints of a run under way: when they are due, and when it ends."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twonn import config
from twonn.config import provenance_of
from twonn.engine.checkpoint import interval, values_of, write
from twonn.engine.execution import Execution
from twonn.files import Lock, previous
from twonn.problem.horizon import LARGEST_COUNT, written_steps
from twonn.results.records import Status

#: Seconds between two looks at where the run is, for the last checkpoint: what has to be done again to go on
#: from the file of a run that has ended.
LOOK_SECONDS = 1.0

#: The outcome in the checkpoint of a run that goes on.
UNDER_WAY = "running"

OUTCOMES = (UNDER_WAY, *(status.value for status in Status if status is not Status.EXTERNAL))


class Saver:
    """Writes the checkpoints of a run under way: when they are due, and when it ends.

    Parameters
    ----------
    place : Path
    lock : Lock
    every : str, int or float
        Time or steps between two of them, as `run` takes it.
    run : Execution
        At the step where this session begins.
    opened : mapping
        What the file held then; empty for a new run.
    intact : bool
        Whether the file is worth keeping once there is a new one.
    """

    def __init__(
        self,
        place: Path,
        lock: Lock,
        every: str | int | float,
        run: Execution,
        opened: Mapping[str, Any],
        intact: bool = True,
    ) -> None:
        self.opened = opened
        self._run = run
        self._place, self._lock = place, lock
        self._seconds, self._steps = interval(every)
        written = json.dumps(every if self._steps is None else min(self._steps, LARGEST_COUNT))
        self._asked = {**values_of(run.spec), "checkpoint_every": written}
        self._intact = intact
        self._begun = self._written = time.monotonic()
        self._take()
        self._written_step = self._step

    def begin(self) -> None:
        """Write a new run's first checkpoint, to see whether that is possible."""
        if not self.opened:
            self._save(UNDER_WAY)

    def steps_to_go(self) -> int | None:
        """Return for how many steps the run may go on until it is to be looked at, if that matters."""
        return None if self._steps is None else self._written_step + self._steps - self._run.steps_taken

    def look(self) -> None:
        """Write a checkpoint if it is due."""
        now = time.monotonic()
        due = now - self._written >= self._seconds
        if self._steps is not None:
            due = self._run.steps_taken - self._written_step >= self._steps
        if due or now - self._taken >= LOOK_SECONDS:
            self._take()
        if due:
            self._written, self._written_step = now, self._step
            self._try_to_save(UNDER_WAY)

    def withdraw(self) -> None:
        """Leave no file of a new run that is refused."""
        if not self.opened:
            for file in (self._place, previous(self._place)):
                file.unlink(missing_ok=True)

    def end(self) -> None:
        """Write the last checkpoint."""
        if self._run.status is None:
            self._take()
        self._try_to_save((self._run.status or Status.INTERRUPTED).value)

    def _take(self) -> None:
        """Take down where the run is."""
        self._state, self._step = self._run.state(), self._run.steps_taken
        self._taken = time.monotonic()

    def _try_to_save(self, outcome: str) -> None:
        try:
            self._save(outcome)
        except OSError as error:
            warnings.warn(
                f"checkpoint: {self._place} could not be written at step {written_steps(self._step)}: "
                f"{error.strerror or error}. The previous checkpoint is still there.",
                RuntimeWarning,
                stacklevel=6,
            )

    def _save(self, outcome: str) -> None:
        values = {
            **self._asked,
            **self._state,
            "outcome": outcome,
            "seconds": self.opened.get("seconds", 0.0) + time.monotonic() - self._begun,
            "provenance": json.dumps(dict(provenance_since(self.opened))),
        }
        write(self._place, values, self._lock, keep=self._intact)
        self._intact = True


def provenance_since(opened: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what computes, and what of that was different when the run was begun or went on."""
    now = config.provenance()
    if not opened:
        return now
    then = provenance_of(opened["provenance"])
    earlier = [then.pop("earlier")] if "earlier" in then else []
    if then != now:
        differing = ", ".join(f"{name} {value}" for name, value in then.items() if now.get(name) != value)
        earlier.append(differing)
    return {**now, **({"earlier": "; ".join(earlier)} if earlier else {})}
