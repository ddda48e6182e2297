"""Progress bars."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class LateProgress(Progress):
    """A progress bar that shows itself only on work that takes over a second."""

    def __init__(self, *, disable: bool = False) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} %"),
            TimeRemainingColumn(),
            transient=True,
            disable=disable,
            console=Console(stderr=True),  # standard output is for results, which may go into a pipe
        )
        self._shown_from = time.monotonic() + 1.0

    def __enter__(self) -> LateProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.live.is_started:
            self.stop()

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        watched = self.console.is_terminal or self.console.is_jupyter
        if watched and time.monotonic() > self._shown_from:
            self.start()


class RunsBar(LateProgress):
    """A progress bar that says how many runs are done in a second."""

    def __init__(self, *, disable: bool) -> None:
        super().__init__(disable=disable)
        self.columns = (
            TextColumn("{task.completed:,} of {task.total:,} {task.description}"),
            BarColumn(),
            _Speed(),
            TimeRemainingColumn(),
        )


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} runs/s")
