"""The results of a sweep as an xarray Dataset; data of a store is read and checked when it is used."""

from __future__ import annotations

from typing import Any

import xarray
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from twonn.sweeps.layout import described
from twonn.sweeps.memory import Memory
from twonn.sweeps.store import Store

__all__ = ["dataset_of"]


class _Column(BackendArray):
    """An array of a store, of which slices are read on demand."""

    def __init__(self, store: Store, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self._store, self._name = store, name
        self.shape, self.dtype = shape, dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._basic
        )

    def _basic(self, key: tuple[int | slice, ...]) -> Any:
        runs = range(self.shape[0])[key[0]]
        if isinstance(runs, int):
            return self._store.read(self._name, runs, runs + 1)[(0, *key[1:])]
        if not len(runs):
            return self._store.read(self._name, 0, 0)[key]
        first, last = min(runs[0], runs[-1]), max(runs[0], runs[-1])
        read = self._store.read(self._name, first, last + 1)
        steps = slice(None, None, runs.step) if len(runs) > 1 else slice(None)
        return read[(steps, *key[1:])]


class _Backend(BackendEntrypoint):
    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Any = None) -> xarray.Dataset:
        store: Store = filename_or_obj
        variables = {name: self._variable(store, name) for name in (*store.names, *store.coordinates)}
        attributes = {name: value for name, value in store.attributes.items() if name != "coordinates"}
        data = xarray.Dataset(variables, attrs=attributes)
        return data.set_coords(store.attributes["coordinates"].split())

    def _variable(self, store: Store, name: str) -> xarray.Variable:
        array, metadata = store.array(name), store.arrays[name]
        column = _Column(store, name, array.shape, array.dtype)
        data = indexing.LazilyIndexedArray(column)
        return xarray.Variable(metadata["dimension_names"], data, metadata["attributes"])


def dataset_of(columns: Memory | Store) -> xarray.Dataset:
    """Return all columns with coordinates, units and long names."""
    if isinstance(columns, Store):
        return xarray.open_dataset(columns, engine=_Backend, chunks=None)  # type: ignore[arg-type]
    layout = columns.layout
    variables = {
        name: (("run", *column.dimensions), columns.read(name), described(column))
        for name, column in layout.columns.items()
    }
    return xarray.Dataset(variables, layout.coordinates, layout.attributes).set_coords(layout.auxiliary())
