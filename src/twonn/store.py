"""Where the columns of a sweep are kept: in memory, or in a Zarr store that several workers fill at once.

A store is one Zarr group. Arrays have the runs along their first axis, cut into chunks of runs; a worker that
has finished a chunk writes it to every array and then, last, its entry of the array ``chunk_complete``.
Every file appears under its name only when it is whole, so that a chunk whose entry is there is whole too,
whenever and however a worker was killed. No two workers write one file, hence nothing is locked.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn.problem import Verbatim, checked_path, refusal, written_steps
from twonn.summary import Column

if TYPE_CHECKING:
    import xarray

Arrays = Mapping[str, NDArray[Any]]

#: The format, as the attribute ``format`` of a store.
FORMAT = "twonn sweep 1"

_COMPLETE = "chunk_complete"


@dataclass(frozen=True)
class Layout:
    """The arrays of a sweep.

    Attributes
    ----------
    runs, chunk_size : int
        Length of the run axis, and of a chunk of it.
    sizes : mapping
        Lengths of all other dimensions.
    columns : mapping of Column
        What workers compute.
    coordinates : mapping of (dimensions, values, attributes)
        What is known beforehand.
    attributes : mapping
        What to say about the whole, as JSON has it.
    """

    runs: int
    chunk_size: int
    sizes: Mapping[str, int]
    columns: Mapping[str, Column]
    coordinates: Mapping[str, tuple[tuple[str, ...], NDArray[Any], dict[str, str]]]
    attributes: Mapping[str, Any]

    @property
    def chunks(self) -> int:
        return -(-self.runs // self.chunk_size)

    def bounds(self, chunk: int) -> tuple[int, int]:
        """Return the first run of a chunk, and the one after its last."""
        return chunk * self.chunk_size, min((chunk + 1) * self.chunk_size, self.runs)

    def auxiliary(self) -> list[str]:
        """Return the names of the coordinates, but for those that are dimensions."""
        along = [name for name in ("t", "log_t") if name in self.columns]
        return [name for name in self.coordinates if name != "run"] + along

    def shape(self, column: Column) -> tuple[int, ...]:
        return (self.runs, *(self.sizes[name] for name in column.dimensions))


def described(column: Column) -> dict[str, Any]:
    """Return the attributes of an array."""
    return {"units": column.units, "long_name": column.meaning, **column.attributes}


# --------------------------------------------------------------------------------------------------
# In memory


class Memory:
    """Columns in memory; the results of tasks are put in by whoever collects them."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._complete: set[int] = set()
        self._arrays = {
            name: np.full(layout.shape(column), column.fill, dtype=column.dtype)
            for name, column in layout.columns.items()
        }

    def put(self, chunk: int, arrays: Arrays) -> None:
        first, stop = self.layout.bounds(chunk)
        for name, values in arrays.items():
            self._arrays[name][first:stop] = values
        self._complete.add(chunk)

    def complete(self) -> set[int]:
        return set(self._complete)

    def read(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def dataset(self) -> xarray.Dataset:
        package = required("xarray", "SweepResult.to_xarray")
        layout = self.layout
        variables = {
            name: (("run", *column.dimensions), self._arrays[name], described(column))
            for name, column in layout.columns.items()
        }
        data: xarray.Dataset = package.Dataset(variables, layout.coordinates, layout.attributes)
        return data.set_coords(layout.auxiliary())


# --------------------------------------------------------------------------------------------------
# In a Zarr store


class Store:
    """Columns in a Zarr store at a path; workers write their chunks themselves, with `write_chunk`."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.layout = layout

    def complete(self) -> set[int]:
        """Return the chunks that are whole; their entries are files of their own, one chunk each."""
        try:
            names = os.listdir(self.path / _COMPLETE / "c")
        except FileNotFoundError:
            return set()
        return {int(name) for name in names if name.isdecimal()}

    def read(self, name: str) -> NDArray[Any]:
        return np.asarray(_opened(self.path)[name][...])

    def dataset(self) -> xarray.Dataset:
        package = required("xarray", "SweepResult.to_xarray")
        data: xarray.Dataset = package.open_zarr(self.path, chunks=None)
        return data


def chunk_size_of(path: Path) -> int | None:
    """Return the chunk size of the store at `path`; None where there is nothing yet."""
    attributes = _attributes(path)
    return None if attributes is None else int(attributes["chunk_size"])


def open_store(path: Path, layout: Layout) -> Store:
    """Open the store at `path`, or make one there.

    Raises
    ------
    ValueError
        If something else is there: another kind of file, or the store of another sweep.
    OSError
        If it cannot be written.
    """
    held = _attributes(path)
    if held is None:
        _create(path, layout)
    elif held["spec"] != layout.attributes["spec"]:
        raise ValueError(_difference(path, json.loads(held["spec"]), json.loads(layout.attributes["spec"])))
    return Store(path, layout)


def _attributes(path: Path) -> dict[str, Any] | None:
    """Return the attributes of the store at `path`; None where there is nothing yet.

    Raises
    ------
    ValueError
        If something else is there.
    """
    checked_path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    try:
        attributes: dict[str, Any] = json.loads((path / "zarr.json").read_bytes())["attributes"]
        if attributes["format"] != FORMAT:
            raise ValueError("another format")
        return attributes
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            refusal(
                "store",
                str(path),
                f"a new or empty folder, or a store of this version ({FORMAT!r})",
                "Give another folder.",
            )
        ) from error


def _create(path: Path, layout: Layout) -> None:
    """Make an empty store; it appears under its name only when it is whole."""
    zarr = required("zarr", "A sweep with a store", "sweep")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        attributes = {
            **layout.attributes,
            "chunk_size": layout.chunk_size,
            "coordinates": " ".join(layout.auxiliary()),  # as the CF conventions have it
        }
        group = zarr.create_group(temporary, attributes=attributes)
        for name, column in layout.columns.items():
            shape = layout.shape(column)
            group.create_array(
                name,
                shape=shape,
                chunks=(min(layout.chunk_size, layout.runs), *shape[1:]),
                dtype=column.dtype,
                fill_value=column.fill,
                dimension_names=("run", *column.dimensions),
                attributes=described(column),
            )
        for name, (dimensions, values, named) in layout.coordinates.items():
            array = group.create_array(
                name,
                shape=values.shape,
                chunks=values.shape,
                dtype=values.dtype,
                dimension_names=dimensions,
                attributes=named,
            )
            array[...] = values
        group.create_array(
            _COMPLETE,
            shape=(layout.chunks,),
            chunks=(1,),
            dtype=bool,
            fill_value=False,
            dimension_names=("chunk",),
            attributes={"units": "1", "long_name": "whether every run of the chunk is there"},
            compressors=None,
        )
        with warnings.catch_warnings():  # that other software than zarr-python may not read it
            warnings.filterwarnings("ignore", "Consolidated metadata")
            zarr.consolidate_metadata(temporary)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_chunk(path: Path, chunk: int, first: int, arrays: Arrays) -> None:
    """Write the columns of one chunk, which begins at run `first`, and mark it as complete.

    Idempotent: a chunk has the same bits whoever computes it, so that it may be written twice.
    """
    group = _opened(path, "r+")
    for name, values in arrays.items():
        group[name][first : first + len(values)] = values
    group[_COMPLETE][chunk] = True


def _opened(path: Path, mode: str = "r") -> Any:
    return required("zarr", "A sweep with a store", "sweep").open_group(path, mode=mode)


def required(package: str, purpose: str, extra: str = "sweep") -> Any:
    """Import an optional package, or say how to install it."""
    try:
        return __import__(package)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {package}; install it with: pip install twonn[{extra}]"
        ) from error


# --------------------------------------------------------------------------------------------------
# Two specs


def _difference(path: Path, held: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Name what a store holds and what was asked for instead."""
    name = next(key for key in (*asked, *held) if held.get(key) != asked.get(key))
    theirs, ours = held.get(name), asked.get(name)
    if name == "problems" and isinstance(theirs, Sequence) and isinstance(ours, Sequence):
        theirs, ours = _first_difference(theirs, ours)
    return refusal(
        "store",
        Verbatim(f"{path}, which holds another sweep, with {name} = {_shown(name, theirs)}"),
        f"a store of this one, with {name} = {_shown(name, ours)}",
        "Give another folder, or ask for what this one holds.",
    )


def _first_difference(theirs: Sequence[Any], ours: Sequence[Any]) -> tuple[Any, Any]:
    if len(theirs) != len(ours):
        return f"{len(theirs)} problems", f"{len(ours)} problems"
    pair = next((one, other) for one, other in zip(theirs, ours, strict=True) if one != other)
    keys = [key for key in pair[1] if pair[0].get(key) != pair[1][key]]
    return tuple({key: one.get(key) for key in keys} for one in pair)  # type: ignore[return-value]


def _shown(name: str, value: Any) -> str:
    return written_steps(int(value, 16)) if name == "steps" and value is not None else str(value)
