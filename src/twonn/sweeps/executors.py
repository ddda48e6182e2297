"""Tasks through an executor: submitted as others finish, resubmitted when a worker is lost with them."""

from __future__ import annotations

import errno
import itertools
import os
import queue
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from types import FrameType
from typing import Any

from twonn.arguments import ArgumentTypeError, ArgumentValueError

#: What `opened` accepts.
Choice = None | str | Executor | Callable[[], Executor]

#: Seconds between two looks at the keyboard.
_LOOK = 0.1

#: Seconds until a task is tried again that another process has.
_LATER = 0.2

#: A file system that says so to one task says so to all.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)

#: Tasks in flight for each worker, so that none waits for its next one; and where it is not known how many
#: workers there are.
_PER_WORKER, _UNKNOWN = 2, 64

#: A task that was in flight when this many pools broke is run alone: the next break tells whether it is to
#: blame.
_SUSPICIOUS = 2

#: After so many broken pools, and no task finished in between, it is not the tasks.
_MOST_BREAKS = 16

_EXPECTED = (
    "None, 'threads:N', 'processes:N', 'dask:ADDRESS', a concurrent.futures.Executor, or a function "
    "that makes one"
)


@dataclass
class Pool:
    """An executor, and how to replace it when it breaks.

    Attributes
    ----------
    executor : Executor
    make : callable or None
        Makes another one; None for an executor that belongs to the caller.
    in_flight : int
        How many tasks to have submitted at a time.
    stop : threading.Event or None
        Tells tasks that run in threads of this process to give up; None if tasks run elsewhere.
    """

    executor: Executor
    make: Callable[[], Executor] | None
    in_flight: int
    stop: threading.Event | None = None

    def replace(self) -> bool:
        """Put another executor in place of a broken one; return whether that is possible."""
        if self.make is None:
            return False
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.executor = self.make()
        return True


@contextmanager
def opened(executor: Choice) -> Iterator[Pool]:
    """Give the pool for an executor, its name or a function that makes one; end what was begun here.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.
    """
    if isinstance(executor, Executor):
        yield Pool(executor, None, _UNKNOWN)
        return
    if isinstance(executor, str) and executor.startswith("dask:"):
        with _dask(executor) as pool:
            yield pool
        return
    pool = _own(executor)
    in_order = False
    try:
        yield pool
        in_order = True
    finally:
        if pool.stop is not None:
            pool.stop.set()
        pool.executor.shutdown(wait=in_order, cancel_futures=True)


def _own(executor: str | Callable[[], Executor] | None) -> Pool:
    if callable(executor):
        made = executor()
        if not isinstance(made, Executor):
            raise ArgumentTypeError("executor", made, _EXPECTED, "Let the function return an Executor.")
        return Pool(made, executor, _UNKNOWN)
    if executor is not None and not isinstance(executor, str):
        raise ArgumentTypeError("executor", executor, _EXPECTED, "Leave it out for threads.")
    kind, _, number = (executor or "threads").partition(":")
    makers = {"threads": _threads, "processes": _processes}
    if kind not in makers or (number and not (number.isdecimal() and int(number) > 0)):
        raise ArgumentValueError("executor", executor, _EXPECTED, "Write e.g. 'processes:4'.")
    workers = int(number) if number else len(os.sched_getaffinity(0)) if _AFFINITY else os.cpu_count() or 1
    return makers[kind](workers)


_AFFINITY = hasattr(os, "sched_getaffinity")


def _threads(workers: int) -> Pool:
    def make() -> Executor:
        return ThreadPoolExecutor(workers, "twonn")

    return Pool(make(), make, _PER_WORKER * workers, threading.Event())


def _processes(workers: int) -> Pool:
    def make() -> Executor:
        # A forked child would inherit locks that threads of this process hold.
        return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_let_one_ctrl_c_pass)

    return Pool(make(), make, _PER_WORKER * workers)


def _let_one_ctrl_c_pass() -> None:
    """In a worker: the first Ctrl-C, which a terminal sends to all, is the parent's; the second ends it."""

    def passed(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, passed)


@contextmanager
def _dask(executor: str) -> Iterator[Pool]:
    try:
        import dask.distributed
    except ImportError as error:
        raise ImportError(
            f"executor={executor!r} needs dask.distributed; install it with: pip install 'dask[distributed]'"
        ) from error
    address = executor.removeprefix("dask:")
    if not address:
        raise ArgumentValueError("executor", executor, _EXPECTED, "Write e.g. 'dask:tcp://127.0.0.1:8786'.")
    with dask.distributed.Client(address, set_as_default=False) as client:
        workers = sum(client.nthreads().values())
        yield Pool(client.get_executor(pure=False), None, max(_PER_WORKER * workers, _UNKNOWN))


# --------------------------------------------------------------------------------------------------
# Carrying out


@dataclass(frozen=True)
class Outcome:
    """What became of one task: its result, or the last error after all retries."""

    task: Any
    result: Any = None
    error: BaseException | None = None


class Abandoned(Exception):  # noqa: N818 - the message of an outcome
    """No worker is left that could take further tasks; the message says why."""


def carried_out(
    function: Callable[..., Any],
    tasks: Iterator[Any],
    pool: Pool,
    *,
    retries: int,
    in_flight: int | None,
    interrupted: Callable[[], bool],
    again: Callable[[Any], bool] = lambda result: False,
) -> Iterator[Outcome]:
    """Call `function` with every task, in workers; give the outcomes as they come.

    Parameters
    ----------
    function : callable
        Of one task, and of `Pool.stop` if there is one; idempotent.
    tasks : iterator
        Taken from as workers become free.
    pool : Pool
    retries : int
        How often a task is submitted again after an error, its own or a lost worker's.
    in_flight : int or None
        How many tasks to have submitted at a time, if not what the pool says.
    interrupted : callable
        Asked now and then. Once it says so, nothing is submitted any more, and what runs is waited for.
    again : callable
        Tells of a result whether its task is to be tried again, after all others and a moment.

    Raises
    ------
    Abandoned
        After the outcomes of all that was submitted, if tasks are left that no worker can be given to, or
        whose results the file system does not take. Then `stop` of the pool is set, and the tasks that met
        with that have no outcome.

    Notes
    -----
    When a worker process dies, its pool breaks: all tasks in flight fail, and a new pool takes them. A task
    that breaks every pool would take the others with it; so, one that was there at two breaks waits until
    it can run alone.
    """
    pending = _TaskQueue(function, tasks, pool, retries, in_flight or pool.in_flight, again)
    while True:
        if interrupted():
            pending.cancel()
        else:
            pending.submit()
        if not (pending.running or pending.waits):
            break
        outcome = pending.next_outcome()
        if outcome is not None:
            yield outcome
    if pending.closed is not None and not interrupted():
        raise Abandoned(pending.closed)


class _TaskQueue:
    """The tasks of one sweep: waiting, running, and to be tried again."""

    def __init__(
        self,
        function: Callable[..., Any],
        tasks: Iterator[Any],
        pool: Pool,
        retries: int,
        room: int,
        later: Callable[[Any], bool],
    ) -> None:
        self.pool = pool
        self.running: dict[Future[Any], tuple[Any, int]] = {}  # the task, and the generation of the pool
        self.closed: str | None = None  # why nothing can be submitted any more
        self._function = function
        self._stop = () if pool.stop is None else (pool.stop,)
        self._tasks = tasks
        self._again: deque[Any] = deque()
        self._alone: deque[Any] = deque()
        self._is_later = later
        self._later: deque[tuple[float, Any]] = deque()  # from when on to try again
        self._retries = retries
        self._room = room
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._failures: Counter[Any] = Counter()
        self._breaks: Counter[Any] = Counter()
        self._lone: Future[Any] | None = None
        self._generation = 0
        self._in_a_row = 0  # pools that broke since a task was last finished

    @property
    def waits(self) -> bool:
        """Whether there are tasks to be tried again later."""
        return bool(self._later) and self.closed is None

    def cancel(self) -> None:
        """Take back what has not begun yet."""
        self._later.clear()
        for future in list(self.running):
            future.cancel()

    def submit(self) -> None:
        """Fill the pool."""
        while self.closed is None and len(self.running) < self._room and self._lone not in self.running:
            queued, lone = self._again, bool(self._alone)
            if lone:
                if self.running:
                    return
                queued = self._alone
            elif not queued:
                queued.extend(itertools.islice(self._tasks, 1))
                if not queued and self._later and self._later[0][0] <= time.monotonic():
                    queued.append(self._later.popleft()[1])
            if not queued:
                return
            try:
                future = self.pool.executor.submit(self._function, queued[0], *self._stop)
            except BrokenExecutor as error:
                self._mend(self._generation, error)
                continue
            except Exception as error:  # shut down by its owner, or its cluster is gone
                self.closed = f"the executor takes no more tasks ({said(error)})"
                return
            self.running[future] = queued.popleft(), self._generation
            self._lone = future if lone else None
            future.add_done_callback(self._done.put)

    def next_outcome(self) -> Outcome | None:
        """Wait a moment for a task to end; return what became of it if that is final."""
        try:
            future = self._done.get(timeout=_LOOK)
        except queue.Empty:
            return None
        task, generation = self.running.pop(future)
        if future.cancelled():
            return None
        error = future.exception()
        if error is None:
            self._in_a_row = 0
            if self._is_later(future.result()):
                self._later.append((time.monotonic() + _LATER, task))
                return None
            return Outcome(task, future.result())
        if isinstance(error, OSError) and error.errno in _FULL:
            self._give_up(error)
            return None
        if isinstance(error, BrokenExecutor):
            self._breaks[task] += 1
            self._mend(generation, error)
        self._failures[task] += 1
        if self._failures[task] > self._retries:
            return Outcome(task, error=error)
        suspicious = self._breaks[task] >= min(_SUSPICIOUS, self._retries)
        (self._alone if suspicious else self._again).append(task)
        return None

    def _give_up(self, error: OSError) -> None:
        """End all of it: what other tasks find could not be kept either."""
        if self.closed is None:
            named = f"{error.filename}: " if error.filename else ""
            self.closed = f"{named}{error.strerror or said(error)}"
        if self.pool.stop is not None:
            self.pool.stop.set()
        self.cancel()

    def _mend(self, generation: int, error: BaseException) -> None:
        """Replace a broken pool, once however many of its tasks report that it broke."""
        if generation != self._generation or self.closed is not None:
            return
        self._generation += 1
        self._in_a_row += 1
        if self._in_a_row > _MOST_BREAKS:
            self.closed = f"one worker after another died ({said(error)})"
        elif not self.pool.replace():
            self.closed = (
                f"the executor is broken ({said(error)}); a function that makes one, given as executor, "
                "would have replaced it"
            )


def said(error: BaseException) -> str:
    """Return an error in short."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
