"""How fast a run is driven: chunks of steps, short enough that signals and progress are looked at in time."""

from __future__ import annotations

import time

from twonn import _core
from twonn.problem.runspec import RunSpec

#: The most steps, or leaps that cost as much, between two looks at the keyboard: some tens of milliseconds
#: where steps cost what they do as a rule.
LONGEST_CHUNK = 1 << 21

#: The first ones, before it is known what they cost here, by numbers of a point.
_FIRST_CHUNK = 1 << 16

#: Seconds that such a chunk is made to take.
CHUNK_SECONDS = 0.05


class Pace:
    """Advances a kernel by what takes some tens of milliseconds, so that signals are noticed in time.

    Steps differ in what they cost: by the dimension where optimizers take them, and a hundredfold where
    numbers are subnormal. Where a run is paused changes none of its bits.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._steps = max(1, min(LONGEST_CHUNK, _FIRST_CHUNK // spec.problem.dimension))

    def advance(self, kernel: _core.Run | _core.OptimizerRun, most: int | None = None) -> None:
        """Take the steps of one chunk, at least one and at most `most`, or a block of them."""
        steps = self._steps if most is None else max(1, min(self._steps, most))
        begun = time.perf_counter()
        kernel.advance(steps)
        seconds = time.perf_counter() - begun
        if seconds > 2 * CHUNK_SECONDS:
            self._steps = max(1, steps // 2)
        elif seconds < CHUNK_SECONDS and steps == self._steps:
            self._steps = min(2 * steps, LONGEST_CHUNK)
