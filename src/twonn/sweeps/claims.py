"""Chunks of a store that are being computed: who computes one, and what of it is done.

All of this is in one folder, ``under_way`` of the array of marks, where readers of Zarr do not look. For
chunk 17 there are ``17.lock``, which carries the lock of whoever computes it, ``17.part`` with what is done
of it, and folders ``17.….files`` from which its files are moved to their places. What a process that was
killed has left there is taken over, or removed, by the next one that claims the chunk.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn.files import naming, replacing
from twonn.sweeps.metadata import MARKS

__all__ = ["Part", "claimed", "clear", "scratch"]

#: Of a file system that somebody else's lock is in the way; anything else says that it has no locks.
_HELD = (errno.EAGAIN, errno.EACCES)

#: What stands for a lock where there are none.
_NO_LOCK = -1

_DIGEST_SIZE = hashlib.sha256().digest_size


def _folder(store: Path) -> Path:
    return store / MARKS / "under_way"


@contextmanager
def claimed(store: Path, chunk: int) -> Iterator[bool]:
    """Tell whether a chunk may be computed here: nobody else does so, until this ends, or the process does.

    The lock is the operating system's: it goes with the process that has it, however that ends. Where there
    are no locks, everybody may; then a chunk may be computed twice, to equal bits.

    Raises
    ------
    OSError
        If nothing can be written there.
    """
    lock = _folder(store) / f"{chunk}.lock"
    number = _lock(lock)
    if number is None:
        yield False
        return
    try:
        if number != _NO_LOCK:
            kept = {lock.name, f"{chunk}.part"}
            _remove(one for one in lock.parent.glob(f"{chunk}.*") if one.name not in kept)
        yield True
    finally:
        if number != _NO_LOCK:
            with suppress(OSError):
                lock.unlink()
            os.close(number)


def _lock(lock: Path) -> int | None:
    """Return the descriptor of a file, with its lock; None if somebody else has that."""
    try:
        import fcntl
    except ImportError:  # as on Windows
        lock.parent.mkdir(parents=True, exist_ok=True)
        return _NO_LOCK
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # somebody has removed the empty folder meanwhile
            continue
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(number)
            if error.errno in _HELD:
                return None
            lock.unlink(missing_ok=True)
            return _NO_LOCK
        # Its former holder may have removed the file after it was opened here.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(number), os.stat(lock)):
                return number
        os.close(number)


@contextmanager
def scratch(store: Path, chunk: int) -> Iterator[Path]:
    """Give an empty folder in the file system of a store, which is removed in the end."""
    folder = _folder(store) / f"{chunk}.{uuid.uuid4().hex}.files"
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove(left: Iterable[Path]) -> None:
    for one in left:
        shutil.rmtree(one, ignore_errors=True)
        with suppress(OSError):
            one.unlink()


def clear(store: Path) -> None:
    """Remove what is left of chunks that are complete, all of them, where nobody is at work any more."""
    folder = _folder(store)
    for chunk in {int(one.name.partition(".")[0]) for one in folder.glob("[0-9]*.*")}:
        with claimed(store, chunk) as mine:
            if mine:
                _remove(folder.glob(f"{chunk}.part"))
    with suppress(OSError):
        folder.rmdir()


class Part:
    """What is done of a chunk, in a file.

    Parameters
    ----------
    store : Path
    chunk : int
    identity : str
        What the chunk is; the file of another one is not read.

    Notes
    -----
    The file is a SHA-256 of the identity and of the rest, which is the number of bytes of a directory
    (8 bytes), the directory (JSON: name, dtype and shape of every array) and the arrays.
    """

    def __init__(self, store: Path, chunk: int, identity: str) -> None:
        self.path = _folder(store) / f"{chunk}.part"
        self._identity = identity.encode()

    def read(self) -> dict[str, NDArray[Any]] | None:
        """Return what was written; None if nothing was, or it is damaged, or of another chunk."""
        try:
            contents = self.path.read_bytes()
        except FileNotFoundError:
            return None
        digest, rest = contents[:_DIGEST_SIZE], contents[_DIGEST_SIZE:]
        if hashlib.sha256(self._identity + rest).digest() != digest:
            return None
        return dict(_unpacked(rest))

    def write(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Put it in the place of what was written before, durably.

        Raises
        ------
        OSError
            With the file's name; what was there before is there still.
        """
        rest = _packed(values)
        with naming(self.path), replacing(self.path) as file:
            file.write(hashlib.sha256(self._identity + rest).digest())
            file.write(rest)

    def remove(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)


def _packed(values: Mapping[str, NDArray[Any]]) -> bytes:
    listed = [(name, array.dtype.str, array.shape) for name, array in values.items()]
    directory = json.dumps(listed).encode()
    return b"".join(
        [len(directory).to_bytes(8, "little"), directory, *(array.tobytes() for array in values.values())]
    )


def _unpacked(contents: bytes) -> Iterator[tuple[str, NDArray[Any]]]:
    at = 8 + int.from_bytes(contents[:8], "little")
    for name, dtype, shape in json.loads(contents[8:at]):
        array = np.frombuffer(contents, dtype, math.prod(shape), at).reshape(shape)
        at += array.nbytes
        yield name, array
