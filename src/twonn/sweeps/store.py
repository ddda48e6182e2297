"""Where the columns of a sweep are kept: in memory, or in a Zarr store that several workers fill at once.

A store is one Zarr group. Arrays have the runs along their first axis, cut into chunks of runs. A worker that
has finished a chunk writes it to every array and, once that is durable, its mark: its entry of the array
``chunk_digest``, with a digest of what it holds of every array. Whatever is read is compared with that, so
that nothing but what was computed is ever read: not what a disk has lost, nor what was moved, nor what is
half written. docs/format.md describes the store.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import ArgumentValueError, Verbatim, checked_path
from twonn.files import CheckpointError, make_durable, naming
from twonn.problem.horizon import written_steps
from twonn.sweeps.summary import Column
from twonn.values import are_same

if TYPE_CHECKING:
    import xarray


Arrays = Mapping[str, NDArray[Any]]

#: The format, as the attribute ``format`` of a store, and the one before it, which is read only.
FORMAT, FORMER = "twonn sweep 2", "twonn sweep 1"

#: The array of the marks, and that of the former format.
MARKS, _FORMER_MARKS = "chunk_digest", "chunk_complete"

#: Attributes: of a store, the digest of its metadata; of the marks, the arrays that they tell of, in order,
#: and the digests of what is known beforehand.
_SEAL, _NAMES, _COORDINATES = "metadata_sha256", "arrays", "coordinates_sha256"

_DIGEST_SIZE = hashlib.sha256().digest_size


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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Memory):
            return NotImplemented
        return are_same(self._arrays, other._arrays)

    __hash__ = None  # type: ignore[assignment]

    def put(self, chunk: int, arrays: Arrays) -> None:
        first, stop = self.layout.bounds(chunk)
        for name, values in arrays.items():
            self._arrays[name][first:stop] = values
        self._complete.add(chunk)

    def complete(self) -> set[int]:
        return set(self._complete)

    def read(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    @property
    def runs(self) -> int:
        return self.layout.runs

    @property
    def chunks(self) -> int:
        return self.layout.chunks

    def bounds(self, chunk: int) -> tuple[int, int]:
        return self.layout.bounds(chunk)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.layout.columns)

    @property
    def samples(self) -> int:
        """How many samples each run has, if they are kept."""
        return self.layout.sizes["sample"] if "log_t" in self.layout.columns else 0

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
        False for a store of the former format, which has no digests.

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
        root = _root_of(path)
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
        self.checked = self.attributes["format"] == FORMAT
        self.chunk_size = int(self.attributes["chunk_size"])
        self.runs = int(self.arrays["run"]["shape"][0])
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
            self.names, self.coordinates = tuple(marks[_NAMES]), tuple(marks[_COORDINATES])
        else:
            known = {"run", *self.attributes["coordinates"].split()} - {"t", "log_t"}
            self.coordinates = tuple(name for name in self.arrays if name in known)
            self.names = tuple(name for name in self.arrays if name not in known | {_FORMER_MARKS})
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
        name = MARKS if self.checked else _FORMER_MARKS
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
        if name in self.coordinates:
            return self._coordinate(name)[first:stop]
        if not self.checked:
            return self._decoded(name, first, stop)
        listed, array = self._listed(), self.array(name)
        self._take_marks(listed)
        result = np.full((stop - first, *array.shape[1:]), array.fill_value, array.dtype)
        for chunk in range(first // self.chunk_size, -(-stop // self.chunk_size)):
            low, high = self.bounds(chunk)
            if chunk in self._marks:
                values = self._chunk(name, chunk, self._marks[chunk])
                begin, end = max(first, low), min(stop, high)
                result[begin - first : end - first] = values[begin - low : end - low]
            elif chunk in listed:
                raise self._damage(name, low, high, "its mark cannot be read")
        return result

    def _chunk(self, name: str, chunk: int, mark: NDArray[np.uint8]) -> NDArray[Any]:
        """Return what a chunk that is complete holds of a column."""
        first, stop = self.bounds(chunk)
        values = self._decoded(name, first, stop)
        if self._digest(name, first, values) != mark[self.names.index(name)].tobytes():
            raise self._damage(name, first, stop, "it is not what was computed")
        return values

    def _coordinate(self, name: str) -> NDArray[Any]:
        values = self._decoded(name, 0, self.runs)
        if self.checked:
            digest = self.arrays[MARKS]["attributes"][_COORDINATES][name]
            if self._digest(name, 0, values).hex() != digest:
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

    def _digest(self, name: str, first: int, values: NDArray[Any]) -> bytes:
        return _digest(self.attributes["spec_sha256"], name, first, values)

    def dataset(self) -> xarray.Dataset:
        """Return all of it with coordinates, units and long names; what is used is read, and checked, then.

        Raises
        ------
        ImportError
            Without xarray.
        """
        required("xarray", "SweepResult.to_xarray")
        from twonn.sweeps.backend import dataset_of

        return dataset_of(self)

    # ----------------------------------------------------------------------------------------------
    # Checking

    def is_sound(self, chunk: int) -> bool:
        """Whether a chunk is complete and has what was computed."""
        if not self.checked:
            return chunk in self.complete()
        self._marks.pop(chunk, None)
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
            if _json(self.path / name / "zarr.json") != metadata:
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

    # ----------------------------------------------------------------------------------------------
    # Writing

    def key(self, name: str, chunk: int) -> str:
        """Return where, in the store, a chunk of an array is."""
        return "/".join([name, "c", str(chunk), *["0"] * (len(self.arrays[name]["shape"]) - 1)])

    def write(self, chunk: int, arrays: Arrays, scratch: Path) -> None:
        """Write the columns of one chunk and, once they are durable, mark it as complete.

        Idempotent: a chunk has the same bits whoever computes it, so that it may be written twice.

        Parameters
        ----------
        chunk : int
        arrays : mapping of ndarray
        scratch : Path
            A folder in the same file system.

        Raises
        ------
        OSError
            With the file's name.
        """
        encoder = _Encoder(self)
        first = self.bounds(chunk)[0]
        mark = np.zeros((len(self.names), _DIGEST_SIZE), np.uint8)
        for index, name in enumerate(self.names):
            values = np.asarray(arrays[name], self.array(name).dtype)
            mark[index] = np.frombuffer(self._digest(name, first, values), np.uint8)
            encoder.put(name, slice(first, first + len(values)), values)
        # Who reads a run's status before the mark is there may be sure of the rest.
        for names in ([name for name in self.names if name != "status"], ["status"]):
            self._settle({self.key(name, chunk): encoder.contents(name, chunk) for name in names}, scratch)
        encoder.put(MARKS, chunk, mark)
        self._settle({self.key(MARKS, chunk): encoder.contents(MARKS, chunk)}, scratch)

    def unmark(self, chunk: int) -> None:
        """Have a chunk count as missing."""
        mark = self.path / self.key(MARKS, chunk)
        if mark.exists():
            mark.unlink(missing_ok=True)
            make_durable(mark.parent)
        self._marks.pop(chunk, None)

    def _settle(self, files: Mapping[str, bytes | None], scratch: Path) -> None:
        """Put files in their places, durably. None is no file, which stands for fill values."""
        written = {key: scratch / str(index) for index, key in enumerate(files) if files[key] is not None}
        for key, file in written.items():
            with naming(self.path / key):
                file.write_bytes(files[key] or b"")
        for key, file in written.items():
            with naming(self.path / key):
                make_durable(file)
        changed: set[Path] = set()
        for key in files:
            place = self.path / key
            with naming(place):
                changed.add(_there(place.parent, changed))
                if key in written:
                    os.replace(written[key], place)
                else:
                    place.unlink(missing_ok=True)
        for folder in changed:
            make_durable(folder)


def _there(folder: Path, changed: set[Path]) -> Path:
    """Make a folder if need be, and add those in which there is a new one."""
    if not folder.is_dir():
        changed.add(_there(folder.parent, changed))
        folder.mkdir(exist_ok=True)
    return folder


class _Encoder:
    """Makes the files of a chunk, in memory: so it is known which one cannot be written."""

    def __init__(self, store: Store) -> None:
        zarr = required("zarr", "A sweep with a store", "sweep")
        from zarr.buffer.cpu import Buffer

        self._store = store
        self._files = {"zarr.json": Buffer.from_bytes((store.path / "zarr.json").read_bytes())}
        self._group = zarr.open_group(zarr.storage.MemoryStore(self._files), mode="r+")

    def put(self, name: str, place: int | slice, values: NDArray[Any]) -> None:
        self._group[name][place] = values

    def contents(self, name: str, chunk: int) -> bytes | None:
        """Return what is to be in a file; None if Zarr has none for fill values alone."""
        file = self._files.get(self._store.key(name, chunk))
        return None if file is None else bytes(file.to_bytes())


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


def _digest(spec: str, name: str, first: int, values: NDArray[Any]) -> bytes:
    """Return the SHA-256 of numbers and of where they belong: the sweep, the column, the first run."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    said = f"{spec} {name} {first} {little.dtype.str} {little.shape}\n"
    return hashlib.sha256(said.encode() + little.tobytes()).digest()


def _json(path: Path) -> Any:
    """Return what is in a file; None if there is none, or it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, PermissionError):
            raise
        return None


def _root_of(path: Path) -> dict[str, Any] | None:
    """Return the metadata of a store, if it is that, and not damaged."""
    root = _json(path / "zarr.json")
    try:
        attributes = root["attributes"]
        if attributes["format"] == FORMAT and attributes[_SEAL] == seal(root):
            return dict(root)
        if attributes["format"] == FORMER and _SEAL not in attributes:
            return dict(root)
    except (KeyError, TypeError, AttributeError):
        pass
    return None


def seal(root: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a store's metadata, the digest itself left out."""
    attributes = {name: value for name, value in root["attributes"].items() if name != _SEAL}
    text = json.dumps([attributes, root["consolidated_metadata"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def opened(path: Path, mode: str = "r") -> Any:
    """Open a Zarr group."""
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
# Opening, making and mending


def open_store(path: Path, layout: Layout, chunk_size: int | None = None) -> Store:
    """Open the store at `path`, or make one there; any number of processes may do so at once.

    Parameters
    ----------
    path : Path
    layout : Layout
        Of a new one. One that is there keeps its own chunk size.
    chunk_size : int, optional
        What was asked for.

    Raises
    ------
    ValueError
        If something else is there: another kind of file, the store of another sweep, one with other chunks.
    OSError
        If it cannot be written.

    Warns
    -----
    RuntimeWarning
        If its metadata was damaged, and has been written again.
    """
    held = _held(path)
    while held is None:
        _create(path, layout)
        held = _held(path)
    spec, size = held["spec"], int(held["chunk_size"])
    if spec != layout.attributes["spec"]:
        raise _difference(path, json.loads(spec), json.loads(layout.attributes["spec"]))
    if chunk_size is not None and min(chunk_size, layout.runs) != size:
        expected = f"{size}, the chunk size of the store"
        raise ArgumentValueError("chunk_size", chunk_size, expected, "Leave it out, or give another folder.")
    if _root_of(path) is not None:
        store = Store(path)
        _check_columns(store, layout)
        if not store.checked:
            return _complete(store)
        if not any(store.faults_beforehand()):
            return store
    _mend(path, replace(layout, chunk_size=size))
    return Store(path)


def _check_columns(store: Store, layout: Layout) -> None:
    """Refuse what another version has begun, which kept more of a run, or less."""
    if different := sorted(set(store.names) ^ set(layout.columns)):
        got = Verbatim(f"{store.path}, of another version of twonn")
        expected = f"a store with the same columns, and not one that differs in {', '.join(different)}"
        raise ArgumentValueError("store", got, expected, "Give another folder; this one can still be read.")


def _complete(store: Store) -> Store:
    """Return a store of the former format, unless something is missing in it."""
    if len(store.complete()) < store.chunks:
        got = Verbatim(f"{store.path}, of the former format ({FORMER!r}), in which runs are missing")
        expected = f"a new or empty folder, or a store of this version ({FORMAT!r})"
        raise ArgumentValueError("store", got, expected, "Give another folder; this one can still be read.")
    return store


def _held(path: Path) -> Mapping[str, Any] | None:
    """Return format, spec and chunk size of the store at `path`; None where there is nothing yet.

    Raises
    ------
    ValueError
        If something else is there.
    """
    checked_path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    root = _root_of(path)
    if root is not None:
        return dict(root["attributes"])
    try:  # the second copy
        held = _json(path / MARKS / "zarr.json")["attributes"]
        if held["format"] == FORMAT and _sha256(held["spec"]) == held["spec_sha256"]:
            return {"spec": held["spec"], "chunk_size": int(held["chunk_size"])}
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    expected = f"a new or empty folder, or a store of this version ({FORMAT!r})"
    raise ArgumentValueError("store", str(path), expected, "Give another folder.")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _create(path: Path, layout: Layout) -> None:
    """Make an empty store; it appears under its name only when it is whole, once, whoever makes it."""
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    place.parent.mkdir(parents=True, exist_ok=True)
    with _made(place, layout) as made:
        try:
            os.replace(made, place)
        except OSError:
            if not (place.is_dir() and any(place.iterdir())):
                raise
            return  # another process was faster
    make_durable(place.parent)


def _mend(path: Path, layout: Layout) -> None:
    """Write the metadata and the coordinates again."""
    warnings.warn(
        f"{path}: its metadata or its coordinates were damaged, and are written again.",
        RuntimeWarning,
        stacklevel=4,
    )
    with _made(path, layout) as made:
        # The second copy last, so that one of the two is there always.
        files = sorted(made.rglob("*"), key=lambda file: MARKS in file.parts)
        for file in (file for file in files if file.is_file()):
            place = path / file.relative_to(made)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, place)
            make_durable(place.parent)


@contextmanager
def _made(path: Path, layout: Layout) -> Iterator[Path]:
    """Give an empty store beside `path`, durable, which is removed in the end if it is there still."""
    zarr = required("zarr", "A sweep with a store", "sweep")
    made = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with naming(path):
            _make(zarr, made, layout)
            for one in (made, *made.rglob("*")):
                make_durable(one)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _make(zarr: Any, path: Path, layout: Layout) -> None:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    codecs = [ZstdCodec(), Crc32cCodec()]
    held = {
        "format": FORMAT,
        "spec": layout.attributes["spec"],
        "spec_sha256": layout.attributes["spec_sha256"],
        "chunk_size": layout.chunk_size,
    }
    coordinates = " ".join(layout.auxiliary())  # as the CF conventions have it
    group = zarr.create_group(path, attributes={**layout.attributes, **held, "coordinates": coordinates})
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
            compressors=codecs,
        )
    digests = {}
    for name, (dimensions, values, named) in layout.coordinates.items():
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype=values.dtype,
            fill_value=np.nan if values.dtype.kind == "f" else -1,  # no number that could be one of them
            dimension_names=dimensions,
            attributes=named,
            compressors=codecs,
        )
        array[...] = values
        digests[name] = _digest(held["spec_sha256"], name, 0, values).hex()
    group.create_array(
        MARKS,
        shape=(layout.chunks, len(layout.columns), _DIGEST_SIZE),
        chunks=(1, len(layout.columns), _DIGEST_SIZE),
        dtype=np.uint8,
        fill_value=0,
        dimension_names=("chunk", "array", "byte"),
        attributes={
            "units": "1",
            "long_name": "SHA-256 of what a chunk of runs holds of each array; 0 while it is not complete",
            **held,
            _NAMES: list(layout.columns),
            _COORDINATES: digests,
        },
        compressors=codecs[1:],
    )
    root = json.loads((path / "zarr.json").read_bytes())
    names = (*layout.columns, *layout.coordinates, MARKS)
    root["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {name: json.loads((path / name / "zarr.json").read_bytes()) for name in names},
    }
    root["attributes"][_SEAL] = seal(root)
    (path / "zarr.json").write_text(json.dumps(root, indent=2), encoding="utf-8")


# --------------------------------------------------------------------------------------------------
# Two specs


def _difference(path: Path, held: Mapping[str, Any], asked: Mapping[str, Any]) -> ArgumentValueError:
    """Return the error that names what a store holds and what was asked for instead."""
    name = next(key for key in (*asked, *held) if held.get(key) != asked.get(key))
    theirs, ours = held.get(name), asked.get(name)
    if name == "problems" and isinstance(theirs, Sequence) and isinstance(ours, Sequence):
        theirs, ours = _first_difference(theirs, ours)
    return ArgumentValueError(
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
