"""Whole-file writes and locks: the ground that checkpoints, saved trajectories and stores stand on."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from twonn.arguments import checked_path
from twonn.values import public

__all__ = [
    "MAGIC",
    "CheckpointError",
    "Lock",
    "check_place",
    "is_checkpoint",
    "is_store",
    "is_trajectory",
    "locked",
    "make_durable",
    "naming",
    "place_of",
    "previous",
    "regular",
    "replacing",
    "what_it_is",
]


#: What a checkpoint begins with.
MAGIC = b"TWONN\r\n\x1a"


@public
class CheckpointError(Exception):
    """A file that cannot be read as what it should be, or is in use; the message says why."""


def place_of(path: object, argument: str = "path") -> Path:
    """Return where a file is to be written: behind a link, whose place no new file is to take.

    Raises
    ------
    TypeError, ValueError
        If `path` is no path; the message names the argument.
    OSError
        If no file can be there.
    """
    place = checked_path(path, argument)
    place = place.resolve() if place.is_symlink() else place
    check_place(place)
    return place


def check_place(path: Path) -> None:
    """Refuse before a long run what could only fail after it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file", str(path))


def previous(path: Path) -> Path:
    """Return where the generation before the last is kept."""
    return path.with_name(f"{path.name}.previous")


def regular(path: Path) -> BinaryIO:
    """Open a file to read, unless it is a pipe or the like, which might never end."""
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a regular file.")
    return open(path, "rb")


# --------------------------------------------------------------------------------------------------
# What is in a file


def is_checkpoint(path: Path) -> bool:
    """Whether a file begins like a checkpoint."""
    try:
        with regular(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, CheckpointError):
        return False


def is_trajectory(path: Path) -> bool:
    """Whether a file looks like a saved trajectory."""
    try:
        with regular(path) as file, zipfile.ZipFile(file) as archive:
            return {"format.npy", "start_w.npy"} <= set(archive.namelist())
    except (OSError, CheckpointError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def is_store(path: Path) -> bool:
    """Whether a folder looks like the store of a sweep."""
    try:
        held = json.loads((path / "zarr.json").read_bytes())
        return str(held["attributes"]["format"]).startswith("twonn sweep ")
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return False


def what_it_is(path: Path) -> str:
    """Say which kind of file of twonn this is and what it is for; "" for anything else."""
    if is_checkpoint(path):
        return "a checkpoint; twonn.resume continues from it and returns the trajectory."
    if is_trajectory(path):
        return (
            "a saved trajectory, which twonn.load reads and twonn inspect shows. Only a checkpoint can be "
            "continued; twonn.run(…, checkpoint=FILE) writes one, and so does twonn run --checkpoint FILE."
        )
    if is_store(path):
        return "the store of a sweep; the same call of twonn.sweep, or twonn sweep --store, continues it."
    return ""


# --------------------------------------------------------------------------------------------------
# Writing


@contextmanager
def replacing(path: Path, lock: Lock | None = None, keep: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of `path` once it is complete and durable.

    Until then there is the old one, under its name; with `keep`, there is afterwards too, as `previous`.
    Whoever holds the `lock` of `path` holds the new file, too; everybody else writes under a name of his own.
    """
    part = path.with_name(f"{path.name}.part" if lock is not None else f"{path.name}.{uuid.uuid4().hex}.part")
    number = None
    try:
        with open(part, "wb") as file:
            if lock is not None:
                number = lock.on(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists():
            _keep(path)
        os.replace(part, path)
        if lock is not None and number is not None:
            lock.replace(number, keep)
            number = None
        make_durable(path.parent)
    finally:
        if number is not None:
            os.close(number)
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _keep(path: Path) -> None:
    previous(path).unlink(missing_ok=True)
    try:
        os.link(path, previous(path))
    except OSError:  # a file system without links
        os.replace(path, previous(path))


def make_durable(path: Path) -> None:
    """Have the disk keep what is in a file, or the names that are in a folder."""
    try:
        number = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():  # Windows opens none, and nobody one that he may write to but not read
            return
        raise
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an error of the operating system that does not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


# --------------------------------------------------------------------------------------------------
# Locks


class Lock:
    """What a process holds of a file that nobody else may write: its name, and the file under whatever name.

    The name is held by a lock on a file beside it, which stays while the file itself is replaced again and
    again. A second, hard link to the file has another name; so its last two generations, the older of which
    is `previous`, are locked as well.

    Parameters
    ----------
    number : int
        Descriptor of the file beside it, locked.
    """

    def __init__(self, number: int) -> None:
        self._name = number
        self._last: int | None = None
        self._previous: int | None = None

    def claim(self, path: Path) -> bool:
        """Lock both generations, as far as they are there; tell whether nobody else has."""
        self._last = _opened(path)
        if self._last is None or not _are_one(path, previous(path)):
            self._previous = _opened(previous(path))
        for number in (self._last, self._previous):
            if number is not None:
                try:
                    _lock(number)
                except BlockingIOError:
                    return False
                except OSError:  # as of network file systems that lock only what is open for writing
                    pass
        return True

    def on(self, number: int) -> int:
        """Lock a file that is open to be written; return a descriptor that holds it after it is closed."""
        number = os.dup(number)
        with suppress(OSError):
            _lock(number)
        return number

    def replace(self, number: int, keep: bool) -> None:
        """Hold a new file in the place of the last one, which with `keep` is the previous one now."""
        ousted = self._last
        if keep and self._last is not None:
            ousted, self._previous = self._previous, self._last
        if ousted is not None:
            os.close(ousted)
        self._last = number

    def release(self) -> None:
        """Let go of everything."""
        for number in (self._name, self._last, self._previous):
            if number is not None:
                os.close(number)


def _are_one(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so as not to wait where it is a pipe
    except OSError:
        return None


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Let nobody else write a file meanwhile.

    The lock belongs to the process and goes with it, however it ends: only the file that carries it may stay.

    Raises
    ------
    CheckpointError
        With the id of the process that holds the lock; or where there are no such locks.
    """
    carrier = path.with_name(f"{path.name}.lock")
    number = _claimed(carrier, path)
    lock = Lock(number)
    try:
        if not lock.claim(path):
            raise CheckpointError(
                f"{path}: another process is writing this file under another name, a hard link to it. "
                "Wait until it ends, or continue with a copy."
            )
        os.ftruncate(number, 0)
        os.pwrite(number, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield lock
    finally:
        with suppress(OSError):
            carrier.unlink()
        lock.release()


def _claimed(carrier: Path, path: Path) -> int:
    """Return the descriptor of the file that carries the lock, with the lock."""
    _locks(path)
    while True:
        number = os.open(carrier, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(number)
            # Its former holder may have removed the file after it was opened here.
            if carrier.exists() and os.path.samestat(os.fstat(number), carrier.stat()):
                return number
        except BlockingIOError as error:
            holder = _holder(number)
            os.close(number)
            raise CheckpointError(
                f"{path}: process {holder} is writing this checkpoint. "
                "Wait until it ends, or stop it; then continue with twonn.resume."
            ) from error
        except BaseException:
            os.close(number)
            raise
        os.close(number)


def _locks(path: Path) -> ModuleType:
    """Return the module that locks files, which only POSIX systems have."""
    try:
        import fcntl
    except ImportError as error:
        raise CheckpointError(
            f"{path}: this system has no POSIX file locks, without which two processes could write one "
            "checkpoint. Run without checkpoint=, or on Linux or macOS."
        ) from error
    return fcntl


def _lock(number: int) -> None:
    """Lock an open file for this process alone; BlockingIOError if another one has."""
    import fcntl

    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(number: int) -> str:
    for _ in range(100):  # it writes its id just after it has the lock
        if text := os.pread(number, 200, 0).decode(errors="replace").strip():
            return text
        time.sleep(0.01)
    return "of unknown id"
