"""How the runs of a sweep are numbered, and the dimensions that their numbers unfold into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: The dimension of runs that are listed one by one.
RUN = "run"

#: What a sweep may be a product of, in the order of its dimensions.
PRODUCT = ("problem", "start", "optimizer")

Indices = NDArray[np.int64]


class Chunked(Protocol):
    """What has its runs in chunks."""

    def bounds(self, chunk: int) -> tuple[int, int]:
        """Return the first run of a chunk, and the one after its last."""
        ...


def runs_of(columns: Chunked, chunks: Iterable[int]) -> Indices:
    """Return the runs of some chunks."""
    return np.concatenate([np.empty(0, np.int64), *(np.arange(*columns.bounds(chunk)) for chunk in chunks)])


def stretches(runs: Indices) -> list[range]:
    """Return the stretches that increasing numbers of runs consist of."""
    parts = np.split(runs, np.flatnonzero(np.diff(runs) > 1) + 1)
    return [range(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]


@dataclass(frozen=True)
class Axes:
    """Problems, starts and optimizers of a sweep, and which of them every run has.

    Attributes
    ----------
    problems, starts, optimizers : int
        How many there are.
    given : tuple of str
        Those of `PRODUCT` that were given as sequences. Of the others there is one.
    is_paired : bool
        Whether run r has number r of everything that was given as a sequence. Otherwise the runs are the
        product of all.

    Notes
    -----
    The runs of a product are numbered problem by problem, within a problem optimizer by optimizer, and within
    an optimizer start by start. So those of one problem and one optimizer, which the kernel takes together,
    are neighbours.
    """

    problems: int
    starts: int
    optimizers: int
    given: tuple[str, ...]
    is_paired: bool

    @property
    def dimensions(self) -> tuple[str, ...]:
        return (RUN,) if self.is_paired else self.given

    @property
    def runs(self) -> int:
        if self.is_paired:
            return max(self.problems, self.starts, self.optimizers)
        return self.problems * self.starts * self.optimizers

    def indices(self, runs: Indices) -> dict[str, Indices]:
        """Return which problem, which start and which optimizer runs have."""
        if self.is_paired:
            return {name: runs if name in self.given else np.zeros_like(runs) for name in PRODUCT}
        group, start = np.divmod(runs, self.starts)
        problem, optimizer = np.divmod(group, self.optimizers)
        return {"problem": problem, "start": start, "optimizer": optimizer}

    def groups(self) -> list[range]:
        """Return the runs of each problem and optimizer; paired ones are one group."""
        size = self.runs if self.is_paired else self.starts
        return [range(first, first + size) for first in range(0, self.runs, size)]

    def unfolded(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a view of an array along the runs that has the dimensions of the sweep in their place."""
        if self.is_paired:
            return values
        folded = values.reshape((self.problems, self.optimizers, self.starts, *values.shape[1:]))
        there = tuple(slice(None) if name in self.given else 0 for name in PRODUCT)
        return np.asarray(folded.swapaxes(1, 2)[there])

    @classmethod
    def of_store(cls, attributes: Mapping[str, Any], spec: Mapping[str, Any], runs: int) -> Axes:
        """Return the axes of a sweep with so many runs from what its store says.

        Raises
        ------
        AttributeError, KeyError, TypeError, ValueError
            If these are not the attributes and the spec of such a store.
        """
        problems, optimizers = len(spec["problems"]), len(spec.get("optimizers", [None]))
        if paired := spec.get("paired"):
            axes = cls(problems, runs if "start" in paired else 1, optimizers, tuple(paired), True)
        else:
            # Earlier formats do not tell one problem from a sequence of one, nor one start.
            several = "problem start" if problems > 1 else "start"
            given = tuple(attributes.get("dimensions", several).split())
            axes = cls(problems, runs // (problems * optimizers), optimizers, given, False)
        lengths = dict(zip(PRODUCT, (axes.problems, axes.starts, axes.optimizers), strict=True))
        ordered = tuple(name for name in PRODUCT if name in axes.given)
        alone = all(lengths[name] == 1 for name in PRODUCT if name not in axes.given)
        if axes.runs != runs or axes.given != ordered or not alone:
            raise ValueError("not the dimensions of a sweep")
        return axes
