"""Writes chunks into a store: their files, and, once these are durable, the marks that tell of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import required
from twonn.files import make_durable, naming
from twonn.sweeps.layout import Arrays
from twonn.sweeps.metadata import DIGEST_SIZE, MARKS
from twonn.sweeps.store import Store


def write(store: Store, chunk: int, arrays: Arrays, scratch: Path) -> None:
    """Write the columns of one chunk and, once they are durable, mark it as complete.

    Idempotent: a chunk has the same bits whoever computes it, so that it may be written twice.

    Parameters
    ----------
    store : Store
    chunk : int
    arrays : mapping of ndarray
    scratch : Path
        A folder in the same file system.

    Raises
    ------
    OSError
        With the file's name.
    """
    encoder = _Encoder(store)
    first = store.bounds(chunk)[0]
    mark = np.zeros((len(store.names), DIGEST_SIZE), np.uint8)
    for index, name in enumerate(store.names):
        values = np.asarray(arrays[name], store.array(name).dtype)
        mark[index] = np.frombuffer(store.digest(name, first, values), np.uint8)
        encoder.put(name, slice(first, first + len(values)), values)
    # Who reads a run's status before the mark is there may be sure of the rest.
    for names in ([name for name in store.names if name != "status"], ["status"]):
        _settle(store, {store.key(name, chunk): encoder.contents(name, chunk) for name in names}, scratch)
    encoder.put(MARKS, chunk, mark)
    _settle(store, {store.key(MARKS, chunk): encoder.contents(MARKS, chunk)}, scratch)


def unmark(store: Store, chunk: int) -> None:
    """Have a chunk count as missing."""
    mark = store.path / store.key(MARKS, chunk)
    if mark.exists():
        mark.unlink(missing_ok=True)
        make_durable(mark.parent)
    store.forget(chunk)


def _settle(store: Store, files: Mapping[str, bytes | None], scratch: Path) -> None:
    """Put files in their places, durably. None is no file, which stands for fill values."""
    written = {key: scratch / str(index) for index, key in enumerate(files) if files[key] is not None}
    for key, file in written.items():
        with naming(store.path / key):
            file.write_bytes(files[key] or b"")
    for key, file in written.items():
        with naming(store.path / key):
            make_durable(file)
    changed: set[Path] = set()
    for key in files:
        place = store.path / key
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
