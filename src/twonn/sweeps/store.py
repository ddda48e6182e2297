"""Where the columns of a sweep are kept: in memory, or in a Zarr store that several workers fill at once.

A store is one Zarr group. Arrays have the runs along their first axis, cut into chunks of runs. A worker that
has finished a chunk writes it to every array and, once that is durable, its mark: its entry of the array
``chunk_digest``, with a digest of what it holds of every array. Whatever is read is compared with that, so
that nothing but what was computed is ever read: not what a disk has lost, nor what was moved, nor what is
half written. docs/format_store.md describes the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn import _core
from twonn.files import CheckpointError
from twonn.results.outcome import successes
from twonn.sweeps.asked import Asked
from twonn.sweeps.axes import RUN, Axes, Indices
from twonn.sweeps.layout import described
from twonn.sweeps.metadata import (
    COORDINATES,
    FIRST,
    FIRST_MARKS,
    FORMAT,
    MARKS,
    NAMES,
    digest_of,
    json_in,
    opened,
    root_of,
)
from twonn.sweeps.summary import SUMMARY

#: What `described` returns: dimensions and shape of a column after the run, its type and its attributes.
Description = tuple[tuple[str, ...], tuple[int, ...], np.dtype[Any], dict[str, Any]]

#: The column that can be derived where a store does not have it.
SUCCESS = "success"


class DamageError(CheckpointError):
    """Something in a store is not what was written; `why` is said of it."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message, why)
        self.why = why

    def __str__(self) -> str:
        return str(self.args[0])


class Store:
    """A Zarr store at a path. What is read of it is what was computed, or else an error.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    runs, chunk_size, chunks : int
        Length of the run axis, of a chunk of it, and their number.
    names : tuple of str
        The columns, in the order of their digests.
    coordinates : tuple of str
        What is known beforehand.
    attributes : mapping
        Of the whole.
    checked : bool
        False for a store of the first format, which has no digests.

    Raises
    ------
    CheckpointError
        If there is no store, or its metadata is damaged.

    Notes
    -----
    Nothing is kept open, so that it can be pickled.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marks: dict[int, NDArray[np.uint8]] = {}
        root = root_of(path)
        try:
            if root is None:
                raise ValueError("its metadata is none")
            self._take(root)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"{path}: not the readable store of a sweep. If it was one, its metadata is damaged; the "
                "same sweep with this store writes that again."
            ) from error

    def _take(self, root: dict[str, Any]) -> None:
        """Take what is used from the metadata; any error means that twonn has not written it."""
        self.attributes: dict[str, Any] = root["attributes"]
        self.arrays: dict[str, dict[str, Any]] = root["consolidated_metadata"]["metadata"]
        self.checked = self.attributes["format"] != FIRST
        self.chunk_size = int(self.attributes["chunk_size"])
        self.runs = int(self.arrays[RUN]["shape"][0])
        if self.chunk_size < 1 or not isinstance(self.attributes["spec"], str):
            raise ValueError("not a layout")
        for name, array in self.arrays.items():
            # Of a name a path is made; a codec may be any that is installed.
            codecs = [codec["name"] for codec in array["codecs"]]
            if not name.isidentifier() or not {"bytes", "zstd", "crc32c"}.issuperset(codecs):
                raise ValueError("not an array of a sweep")
        self.chunks = -(-self.runs // self.chunk_size)
        if self.checked:
            marks = self.arrays[MARKS]["attributes"]
            self.names, self.coordinates = tuple(marks[NAMES]), tuple(marks[COORDINATES])
        else:
            known = {RUN, *self.attributes["coordinates"].split()} - {"t", "log_t"}
            self.coordinates = tuple(name for name in self.arrays if name in known)
            self.names = tuple(name for name in self.arrays if name not in known | {FIRST_MARKS})
        if not self.arrays.keys() >= {*self.names, *self.coordinates}:
            raise ValueError("an array is missing")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Store):
            return NotImplemented
        return (self.path, self.attributes["spec"]) == (other.path, other.attributes["spec"])

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "_group"}
        return {**state, "_marks": {}}

    @cached_property
    def _group(self) -> Any:
        return opened(self.path)

    @cached_property
    def asked(self) -> Asked:
        """What the sweep was asked for.

        Raises
        ------
        CheckpointError
            If twonn has not written that.
        """
        try:
            return Asked.read(self.attributes, self.runs)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise CheckpointError(f"{self.path}: its spec is not that of a sweep ({error!r}).") from error

    @property
    def axes(self) -> Axes:
        return self.asked.axes

    @property
    def is_present(self) -> bool:
        """Whether it has the present format, so that a sweep continues in it."""
        return bool(self.attributes["format"] == FORMAT)

    @property
    def readable(self) -> tuple[str, ...]:
        """The columns that can be read: those that it has, and `success`, which follows from earlier ones."""
        is_derived = SUCCESS not in self.names and {"status", "final_margins"} <= set(self.names)
        return (*self.names, SUCCESS) if is_derived else self.names

    def described(self, name: str) -> Description:
        """Return dimensions and shape of a column after the run, its type, and what is said of it."""
        if name not in self.arrays:
            return (), (), SUMMARY[name].dtype, described(SUMMARY[name])
        array, metadata = self.array(name), self.arrays[name]
        return tuple(metadata["dimension_names"][1:]), array.shape[1:], array.dtype, metadata["attributes"]

    def array(self, name: str) -> Any:
        """Return an array as Zarr has it, unchecked.

        Raises
        ------
        CheckpointError
            If Zarr does not have it.
        """
        try:
            return self._group[name]
        except Exception as error:
            if _is_no_damage(error):
                raise
            raise self._damage(name, 0, self.runs, f"{type(error).__name__}: {error}") from error

    @property
    def samples(self) -> int:
        """How many samples each run has, if they are kept."""
        return int(self.arrays["log_t"]["shape"][1]) if "log_t" in self.names else 0

    def bounds(self, chunk: int) -> tuple[int, int]:
        """Return the first run of a chunk, and the one after its last."""
        return chunk * self.chunk_size, min((chunk + 1) * self.chunk_size, self.runs)

    # ----------------------------------------------------------------------------------------------
    # Marks

    def forget(self, chunk: int) -> None:
        """Have the mark of a chunk read anew."""
        self._marks.pop(chunk, None)

    def complete(self) -> set[int]:
        """Return the chunks that are marked as complete, with a mark that can be read."""
        listed = self._listed()
        if not self.checked:
            return listed
        self._marks = {chunk: mark for chunk, mark in self._marks.items() if chunk in listed}
        self._take_marks(listed)
        return set(self._marks)

    def _listed(self) -> set[int]:
        """Return the chunks that have a mark, readable or not."""
        name = MARKS if self.checked else FIRST_MARKS
        try:
            listed = os.listdir(self.path / name / "c")
        except (FileNotFoundError, NotADirectoryError):
            return set()
        chunks = {int(one) for one in listed if one.isdecimal() and int(one) < self.chunks}
        # Of a mark that was removed its folder may stay.
        return {chunk for chunk in chunks if (self.path / self.key(name, chunk)).is_file()}

    def _take_marks(self, chunks: Iterable[int]) -> None:
        """Take those marks that can be read. One that was read once counts, whatever becomes of its file."""
        fresh = sorted(chunk for chunk in chunks if chunk not in self._marks)
        if not fresh:
            return
        array, first = self.array(MARKS), fresh[0]
        try:  # at once: so it takes a quarter of the time
            read = array[first : fresh[-1] + 1]
            marks = {chunk: read[chunk - first] for chunk in fresh}
        except Exception as error:
            if _is_no_damage(error):
                raise
            marks = {}
            for chunk in fresh:
                with suppress(Exception):  # a mark that cannot be read is none
                    marks[chunk] = array[chunk]
        self._marks.update({chunk: mark for chunk, mark in marks.items() if mark.any()})

    # ----------------------------------------------------------------------------------------------
    # Reading

    def read(self, name: str, first: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return an array for the runs from `first` up to `stop`; what is not complete has the fill value.

        Raises
        ------
        CheckpointError
            If any of it is damaged.
        """
        stop = self.runs if stop is None else stop
        if name == SUCCESS and name not in self.arrays:
            return self._success(partial(self.read, first=first, stop=stop))
        if name in self.coordinates:
            return self._coordinate(name)[first:stop]
        result = self._filled(name, stop - first)
        for chunk, values in self._held(name, range(first // self.chunk_size, -(-stop // self.chunk_size))):
            low, high = self.bounds(chunk)
            begin, end = max(first, low), min(stop, high)
            result[begin - first : end - first] = values[begin - low : end - low]
        return result

    def take(self, name: str, runs: Indices) -> NDArray[Any]:
        """Return an array for these runs; only the chunks that have them are read.

        Raises
        ------
        CheckpointError
            If any of these chunks is damaged.
        """
        if name == SUCCESS and name not in self.arrays:
            return self._success(partial(self.take, runs=runs))
        if name in self.coordinates:
            return np.asarray(self._coordinate(name)[runs])
        result = self._filled(name, len(runs))
        order = np.argsort(runs, kind="stable")
        chunks, begins = np.unique(runs[order] // self.chunk_size, return_index=True)
        # Of no runs there are no chunks, and one part.
        places = dict(zip(chunks.tolist(), np.split(order, begins[1:]), strict=False))
        for chunk, values in self._held(name, places):
            at = places[chunk]
            result[at] = values[runs[at] - self.bounds(chunk)[0]]
        return result

    def _success(self, read: Callable[[str], NDArray[Any]]) -> NDArray[np.bool_]:
        """Return the column success, which earlier formats do not have, from others."""
        return successes(read("final_margins"), read("status") == _core.DIVERGED)

    def _filled(self, name: str, runs: int) -> NDArray[Any]:
        array = self.array(name)
        return np.full((runs, *array.shape[1:]), array.fill_value, array.dtype)

    def _held(self, name: str, chunks: Iterable[int]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Give what those of these chunks hold of a column that are complete."""
        if not self.checked:
            yield from ((chunk, self._decoded(name, *self.bounds(chunk))) for chunk in chunks)
            return
        listed = self._listed()
        self._take_marks(listed)
        for chunk in chunks:
            if chunk in self._marks:
                yield chunk, self._chunk(name, chunk, self._marks[chunk])
            elif chunk in listed:
                raise self._damage(name, *self.bounds(chunk), "its mark cannot be read")

    def _chunk(self, name: str, chunk: int, mark: NDArray[np.uint8]) -> NDArray[Any]:
        """Return what a chunk that is complete holds of a column."""
        first, stop = self.bounds(chunk)
        values = self._decoded(name, first, stop)
        if self.digest(name, first, values) != mark[self.names.index(name)].tobytes():
            raise self._damage(name, first, stop, "it is not what was computed")
        return values

    def _coordinate(self, name: str) -> NDArray[Any]:
        values = self._decoded(name, 0, self.runs)
        if self.checked:
            digest = self.arrays[MARKS]["attributes"][COORDINATES][name]
            if self.digest(name, 0, values).hex() != digest:
                raise self._damage(name, 0, self.runs, "it is not what was written")
        return values

    def _decoded(self, name: str, first: int, stop: int) -> NDArray[Any]:
        try:
            return np.asarray(self._group[name][first:stop])
        except Exception as error:  # whatever the many layers make of damaged bytes, it is damage
            if _is_no_damage(error):
                raise
            raise self._damage(name, first, stop, f"{type(error).__name__}: {error}") from error

    def _damage(self, name: str, first: int, stop: int, why: str) -> DamageError:
        message = f"{self.path}: {name} of runs {first} to {stop - 1} is damaged ({why}). {_REMEDY}"
        return DamageError(message, why)

    def digest(self, name: str, first: int, values: NDArray[Any]) -> bytes:
        """Return the digest of what the runs from `first` on hold of a column."""
        return digest_of(self.attributes["spec_sha256"], name, first, values)

    # ----------------------------------------------------------------------------------------------
    # Checking

    def is_sound(self, chunk: int) -> bool:
        """Whether a chunk of a store of the present format is complete and has what was computed."""
        self.forget(chunk)
        if (self.path / self.key(MARKS, chunk)).exists():
            self._take_marks([chunk])
        return chunk in self._marks and not self._faults(chunk, stop_at_first=True)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Check everything that is complete; give what is damaged, and how."""
        yield from self.faults_beforehand()
        complete = self.complete()
        for chunk in sorted(self._listed()):
            first, stop = self.bounds(chunk)
            if chunk not in complete:
                yield f"the mark of runs {first} to {stop - 1}", "it cannot be read"
                continue
            for name, why in self._faults(chunk):
                yield f"{name} of runs {first} to {stop - 1}", why

    def faults_beforehand(self) -> Iterator[tuple[str, str]]:
        """Check what is known beforehand: the metadata, and the coordinates."""
        for name, metadata in self.arrays.items():
            if json_in(self.path / name / "zarr.json") != metadata:
                yield f"the metadata of {name}", "it is not what was written"
        for name in self.coordinates:
            with _noted() as found:
                self._coordinate(name)
            yield from ((name, why) for why in found)

    def _faults(self, chunk: int, stop_at_first: bool = False) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for name in self.names:
            with _noted() as noted:
                if self.checked:
                    self._chunk(name, chunk, self._marks[chunk])
                else:
                    self._decoded(name, *self.bounds(chunk))
            found += [(name, why) for why in noted]
            if found and stop_at_first:
                break
        return found

    def key(self, name: str, chunk: int) -> str:
        """Return where, in the store, a chunk of an array is."""
        return "/".join([name, "c", str(chunk), *["0"] * (len(self.arrays[name]["shape"]) - 1)])


_REMEDY = "The same sweep with this store computes again what is missing."


def _is_no_damage(error: Exception) -> bool:
    """Whether it is not for what is in a file that it could not be read."""
    return isinstance(error, (PermissionError, MemoryError, ImportError))


@contextmanager
def _noted() -> Iterator[list[str]]:
    """Take note of damage, and go on."""
    found: list[str] = []
    try:
        yield found
    except DamageError as error:
        found.append(error.why)
