"""The arrays of a sweep: what there is of every run, and of what length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from twonn.sweeps.axes import RUN, Axes
from twonn.sweeps.summary import Column

#: Columns by name, the runs first.
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """The arrays of a sweep.

    Attributes
    ----------
    axes : Axes
        Which problem, start and optimizer every run has.
    chunk_size : int
        Number of runs in a chunk.
    sizes : mapping
        Lengths of all other dimensions.
    columns : mapping of Column
        What workers compute.
    coordinates : mapping of (dimensions, values, attributes)
        What is known beforehand.
    attributes : mapping
        What to say about the whole, as JSON has it.
    """

    axes: Axes
    chunk_size: int
    sizes: Mapping[str, int]
    columns: Mapping[str, Column]
    coordinates: Mapping[str, tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]]
    attributes: Mapping[str, Any]

    @property
    def runs(self) -> int:
        return self.axes.runs

    @property
    def chunks(self) -> int:
        return -(-self.runs // self.chunk_size)

    def bounds(self, chunk: int) -> tuple[int, int]:
        """Return the first run of a chunk, and the one after its last."""
        return chunk * self.chunk_size, min((chunk + 1) * self.chunk_size, self.runs)

    def auxiliary(self) -> list[str]:
        """Return the names of the coordinates, but for those that are dimensions."""
        along = [name for name in ("t", "log_t") if name in self.columns]
        return [name for name in self.coordinates if name != RUN] + along

    def shape(self, column: Column) -> tuple[int, ...]:
        return (self.runs, *(self.sizes[name] for name in column.dimensions))


def described(column: Column) -> dict[str, Any]:
    """Return the attributes of an array."""
    return {"units": column.units, "long_name": column.meaning, **column.attributes}
