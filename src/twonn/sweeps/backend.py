"""The results of a sweep as an xarray Dataset; data of a store is read and checked when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray
from numpy.typing import NDArray
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from twonn.optimizers import label
from twonn.sweeps.asked import MEANINGS
from twonn.sweeps.axes import RUN, Axes, Indices
from twonn.sweeps.layout import described
from twonn.sweeps.memory import Memory
from twonn.sweeps.store import Store

__all__ = ["dataset_of"]


class _Column(BackendArray):
    """An array of a store, of which parts are read on demand.

    Parameters
    ----------
    store : Store
    name : str
    numbers : ndarray
        The run of every entry: its axes take the place of the axis of the runs.
    shape, dtype
        Those that the array has along each run.
    """

    def __init__(
        self, store: Store, name: str, numbers: Indices, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._store, self._name, self._numbers = store, name, numbers
        self.shape, self.dtype = (*numbers.shape, *shape), dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._outer
        )

    def _outer(self, key: tuple[int | slice | Indices, ...]) -> Any:
        axes = self._numbers.ndim
        runs = _indexed(self._numbers, key[:axes], 0)
        read = self._store.take(self._name, runs.ravel())
        return _indexed(read.reshape((*runs.shape, *self.shape[axes:])), key[axes:], runs.ndim)


def _indexed(values: NDArray[Any], key: tuple[int | slice | Indices, ...], first: int) -> NDArray[Any]:
    """Index every axis from the first on by itself."""
    for axis in reversed(range(len(key))):
        values = np.asarray(values[(*[slice(None)] * (first + axis), key[axis])])
    return values


class _Backend(BackendEntrypoint):
    """Opens a store, its runs along these axes."""

    def open_dataset(
        self, filename_or_obj: Any, *, drop_variables: Any = None, axes: Axes | None = None
    ) -> xarray.Dataset:
        store: Store = filename_or_obj
        axes = store.axes if axes is None else axes
        numbers = _numbers(axes)
        variables = {}
        for name in store.readable:
            inner, shape, dtype, attributes = store.described(name)
            column = indexing.LazilyIndexedArray(_Column(store, name, numbers, shape, dtype))
            variables[name] = xarray.Variable((*axes.dimensions, *inner), column, attributes)
        return xarray.Dataset(variables)


def _numbers(axes: Axes) -> Indices:
    """Return the number of the run at every place of the dimensions."""
    return axes.unfolded(np.arange(axes.runs))


def dataset_of(columns: Memory | Store, axes: Axes | None = None) -> xarray.Dataset:
    """Return all columns with coordinates, units and long names.

    Parameters
    ----------
    columns : Memory or Store
    axes : Axes, optional
        What the runs unfold into, if not into that of the store.
    """
    axes = columns.axes if axes is None else axes
    dimensions = axes.dimensions
    if isinstance(columns, Store):
        data = xarray.open_dataset(columns, engine=_Backend, chunks=None, axes=axes)  # type: ignore[arg-type]
    else:
        data = xarray.Dataset(
            {
                name: (
                    (*dimensions, *column.dimensions),
                    axes.unfolded(columns.read(name)),
                    described(column),
                )
                for name, column in columns.layout.columns.items()
            }
        )
    known = {name: value for name, value in columns.attributes.items() if name != "coordinates"}
    data = data.assign_attrs({**known, "dimensions": " ".join(dimensions)})
    along = [name for name in ("t", "log_t") if name in data]
    return data.assign_coords(_coordinates(columns, axes)).set_coords(along)


def _coordinates(columns: Memory | Store, axes: Axes) -> Mapping[str, xarray.Variable]:
    """Return what tells the runs apart, each along its own dimension, or along paired runs."""
    asked = columns.asked
    known = {
        "problem": ("problem", np.arange(axes.problems)),
        "start": ("start", np.arange(axes.starts)),
        "optimizer": ("optimizer", np.array([label(one) for one in asked.optimizers])),
        "step_size": ("problem", np.array([one.step_size for one in asked.problems])),
    }
    numbers = _numbers(axes)
    variables = {RUN: xarray.Variable(axes.dimensions, numbers, _attributes(RUN))}
    for name, (dimension, values) in known.items():
        along: tuple[str, ...] = (dimension,) if dimension in axes.given else ()
        if axes.is_paired:
            along, values = (RUN,), values[axes.indices(numbers)[dimension]]
        variables[name] = xarray.Variable(along, values if along else values[0], _attributes(name))
    return variables


def _attributes(name: str) -> dict[str, str]:
    return {"units": "1", "long_name": MEANINGS[name]}
