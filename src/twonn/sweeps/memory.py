"""The columns of a sweep in memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn.sweeps.asked import Asked
from twonn.sweeps.axes import Axes
from twonn.sweeps.layout import Arrays, Layout
from twonn.values import are_same


class Memory:
    """Columns in memory; the results of tasks are put in by whoever collects them."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._complete: set[int] = set()
        self._arrays = {
            name: np.full(layout.shape(column), column.fill, dtype=column.dtype)
            for name, column in layout.columns.items()
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Memory):
            return NotImplemented
        same_asked = self.attributes["spec"] == other.attributes["spec"]
        return same_asked and are_same(self._arrays, other._arrays)

    __hash__ = None  # type: ignore[assignment]

    def put(self, chunk: int, arrays: Arrays) -> None:
        first, stop = self.layout.bounds(chunk)
        for name, values in arrays.items():
            self._arrays[name][first:stop] = values
        self._complete.add(chunk)

    def complete(self) -> set[int]:
        return set(self._complete)

    def read(self, name: str, first: int = 0, stop: int | None = None) -> NDArray[Any]:
        return self._arrays[name] if (first, stop) == (0, None) else self._arrays[name][first:stop]

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self.layout.attributes

    @cached_property
    def asked(self) -> Asked:
        """What the sweep was asked for."""
        return Asked.read(self.attributes, self.runs)

    @property
    def axes(self) -> Axes:
        return self.layout.axes

    @property
    def runs(self) -> int:
        return self.layout.runs

    @property
    def chunks(self) -> int:
        return self.layout.chunks

    def bounds(self, chunk: int) -> tuple[int, int]:
        return self.layout.bounds(chunk)

    @property
    def readable(self) -> tuple[str, ...]:
        return tuple(self.layout.columns)

    @property
    def samples(self) -> int:
        """How many samples each run has, if they are kept."""
        return self.layout.sizes["sample"] if "log_t" in self.layout.columns else 0
