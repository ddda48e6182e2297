"""Watches over long work: the first signal, and whom to tell how far it is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

from twonn import _core
from twonn.arguments import ArgumentTypeError, flag
from twonn.problem.params import Params

#: Called with what is done, and what there is in all.
Progressing = Callable[[int, int], None]


@dataclass(frozen=True)
class Watcher:
    """What is told of a run between its chunks: the `progress` and `on_block` of `twonn.run`."""

    progress: bool | Progressing | None
    on_block: Callable[[int, Params], object] | None

    def __post_init__(self) -> None:
        if self.progress is not None and not callable(self.progress):
            flag("progress", self.progress)
        if self.on_block is not None and not callable(self.on_block):
            expected = "a function of the steps taken and the parameters, or None"
            fix = "Leave it out if you do not need it."
            raise ArgumentTypeError("on_block", self.on_block, expected, fix)

    @property
    def is_silent(self) -> bool:
        """Whether nobody is told anything."""
        return self.on_block is None and not self.progress

    def ends(self, present: Callable[[], tuple[int, Params]]) -> bool:
        """Tell `on_block` where the run is; return whether it wants the run to end."""
        return self.on_block is not None and bool(self.on_block(*present()))


class _FirstSignal:
    """A handler that notes the first Ctrl-C or SIGTERM; a second one acts as usual."""

    USUAL: ClassVar[dict[int, Any]] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }

    def __init__(self) -> None:
        self.number = 0
        # Only where nobody else has claimed it.
        self._claimed = [number for number, usual in self.USUAL.items() if signal.getsignal(number) is usual]
        for number in self._claimed:
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        _core.note_signal()
        self.let_go()

    def let_go(self) -> None:
        for number in self._claimed:
            signal.signal(number, self.USUAL[number])


@contextmanager
def first_signal() -> Iterator[Callable[[], int]]:
    """Give a function that returns the number of the first Ctrl-C or SIGTERM, 0 before.

    One within another tells the same. Only the main thread may watch for signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    for number in _FirstSignal.USUAL:
        if isinstance(outer := signal.getsignal(number), _FirstSignal):
            yield lambda: outer.number
            return
    watch = _FirstSignal()
    try:
        yield lambda: watch.number
    finally:
        watch.let_go()


@contextmanager
def reporting(progress: bool | Progressing | None) -> Iterator[Progressing]:
    """Give what is to be called with the steps taken and asked for: the user's, a bar's, or nothing."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda taken, asked: None
    else:
        from twonn.engine.bars import LateProgress  # takes as long to import as all the rest

        with LateProgress() as bar:
            task = bar.add_task("steps", total=1.0)
            yield lambda taken, asked: bar.update(task, completed=taken / max(asked, 1))


@contextmanager
def reporting_runs(progress: bool | Progressing, done: int, runs: int) -> Iterator[Progressing]:
    """Give what is to be called with the runs done and the runs in all."""
    if callable(progress):
        yield progress
        return
    from twonn.engine.bars import RunsBar

    with RunsBar(disable=not progress) as bar:
        task = bar.add_task("runs", total=runs, completed=done)
        yield lambda done, runs: bar.update(task, completed=done)
