"""Problems × starts: plans chunks of runs, gives them to workers, gathers what they find."""

from __future__ import annotations

import hashlib
import html
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from twonn import config
from twonn.batch import BITS, Schedule
from twonn.checkpoint import interval
from twonn.chunks import Chunk, Report
from twonn.claims import clear
from twonn.executors import Abandoned, Choice, Pool, carried_out, opened, said
from twonn.files import CheckpointError
from twonn.optimizers import Optimizer, chosen, require_steps
from twonn.problem import (
    LARGEST_COUNT,
    Params,
    Problem,
    Verbatim,
    check_compatible,
    checked_path,
    direct_limit,
    flag,
    horizon,
    one_of,
    refusal,
    sample_schedule,
    thinned_spacing,
    whole_number,
    written_steps,
)
from twonn.run import _ENGINES, LateProgress, first_signal
from twonn.store import Layout, Memory, Store, open_store
from twonn.summary import SIZES, STATUSES, columns_of, exponent_steps
from twonn.trajectory import VARIABLES, _described
from twonn.values import Value, frozen

if TYPE_CHECKING:
    import xarray

__all__ = ["SweepResult", "sweep"]

#: What a chunk should take: long enough that planning, moving and writing it hardly count, short enough that
#: Ctrl-C is soon over and a lost worker costs little.
_CHUNK_SECONDS = 2.0

#: Rough costs, for choosing the size of chunks: of a step, and of a run that is leapt over.
_STEP_SECONDS, _LEAP_SECONDS = 1e-8, 2e-4

#: A chunk is no longer than this, takes no more memory than this, and is a small part of the whole.
_LARGEST_CHUNK, _CHUNK_BYTES, _FEWEST_CHUNKS = 8192, 1 << 25, 16

_STRETCHES_SHOWN = 8

#: Of a run; fewer than alone, since a sweep has many and lasts as long as its longest.
_MAX_DIRECT = 10**8

Progressing = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SweepResult(Value):
    """What a sweep has found. A value: read-only, and equal to another by content.

    Attributes
    ----------
    problems : tuple of Problem
    params : Params
        The starts, with a run axis.
    horizon : int
        Steps asked for.
    runs : int
        Problems times starts. Run r is of problem r // starts, start r % starts.
    part : (int, int)
        Which part was asked for, of how many; (0, 1) is all.
    store : Path or None
        Where the results are, if not in memory.
    interrupted : bool
        Whether Ctrl-C ended it before all runs were done.
    failures : mapping of range to str
        Runs that were tried and failed after all retries, with the last error.
    abandoned : str
        Why the rest was not run: no worker was left, or no room for results; "" if that did not happen.
    missing : ndarray of int64
        Runs of this part that are not done.
    complete : bool
        Whether none is missing.
    message : str
        All this in a sentence or two.

    Notes
    -----
    ``result["final_gap"]`` is one column as an array with the runs first; `to_xarray` has all of them with
    coordinates, units and long names. What is read from a store is compared with the digests of what was
    computed; if it is something else, that is a CheckpointError. It can be pickled; with a store, what is
    pickled or compared is a reference to it.
    """

    problems: tuple[Problem, ...]
    params: Params
    horizon: int
    part: tuple[int, int]
    store: Path | None
    interrupted: bool
    failures: Mapping[range, str]
    abandoned: str
    missing: NDArray[np.int64]
    _columns: Memory | Store

    @property
    def runs(self) -> int:
        return self._columns.runs

    @property
    def complete(self) -> bool:
        return len(self.missing) == 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = frozen(self._columns.read(one_of("name", name, self._columns.names)))
        return column

    def to_xarray(self) -> xarray.Dataset:
        """Return a Dataset with dimensions run, neuron, axis, point, transition, slide and sample.

        That of a store reads what is used when it is used, and checks it then.

        Raises
        ------
        ImportError
            Without xarray.
        """
        return self._columns.dataset()

    @property
    def message(self) -> str:
        columns, (i, n) = self._columns, self.part
        asked = sum(_length(columns, chunk) for chunk in range(i, columns.chunks, n))
        runs = _count(asked, "run") + ("" if n == 1 else f" of part {i}/{n}")
        if self.complete:
            return f"All {runs} are done."
        how = "The sweep was interrupted: " if self.interrupted else ""
        done = f"{asked - len(self.missing):,} of {runs} are done"
        sentences = [f"{how}{done}; missing are runs {_listed(self.missing)}."]
        for error in dict.fromkeys(self.failures.values()):
            failed = [np.array(runs) for runs, why in self.failures.items() if why == error]
            sentences.append(f"Runs {_listed(np.concatenate(failed))} failed: {error}.")
        if self.abandoned:
            sentences.append(f"The rest was not run: {self.abandoned}.")
        if self.store is not None:
            sentences.append("The same sweep with the same store goes on from there.")
        return " ".join(sentences)

    def _facts(self) -> dict[str, str]:
        return {
            "outcome": self.message,
            "runs": f"{_count(len(self.problems), 'problem')} × {_count(len(self.params), 'start')}",
            "steps": written_steps(self.horizon),
            **self._samples(),
            "status": self._outcomes(),
            "kept": "in memory" if self.store is None else f"in {self.store}",
        }

    def _samples(self) -> dict[str, str]:
        number, spacing = self._columns.samples, thinned_spacing(self.horizon)
        if not (spacing and number):
            return {}
        counted, late = sample_schedule(self.horizon, None, None)
        by_default = number == len(counted) + len(late)
        return {"samples": f"{number:,} of each run, {spacing}"} if by_default else {}

    def _outcomes(self) -> str:
        try:
            counts = np.bincount(self["status"], minlength=len(STATUSES))
        except CheckpointError as error:
            return str(error)
        return ", ".join(f"{count:,} {name}" for name, count in zip(STATUSES, counts, strict=True) if count)

    def __repr__(self) -> str:
        return "SweepResult\n" + "\n".join(f"  {name:<12}{text}" for name, text in self._facts().items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._facts().items()
        )
        return f"<table><caption>SweepResult</caption><tbody>{rows}</tbody></table>"


def sweep(
    problem: Problem | Sequence[Problem],
    params: Params,
    steps: int | None = None,
    *,
    log10_steps: float | None = None,
    store: str | os.PathLike[str] | None = None,
    executor: Choice = None,
    engine: str = "auto",
    sliding: str = "average",
    trajectories: bool | Sequence[str] = False,
    samples_per_decade: float | None = None,
    sample_steps: Sequence[int] | None = None,
    chunk_size: int | None = None,
    retries: int = 3,
    in_flight: int | None = None,
    part: tuple[int, int] = (0, 1),
    checkpoint_every: str | int = "60s",
    verify: bool = True,
    progress: bool | Progressing = False,
    max_direct: int = _MAX_DIRECT,
    optimizer: str | Optimizer | Mapping[str, Any] = "gd",
) -> SweepResult:
    """Run every problem from every start, in chunks, on many workers.

    Parameters
    ----------
    problem : Problem or sequence of Problem
        Of one dimension d.
    params : Params
        The starts: one network or many along a run axis.
    steps, log10_steps, engine, sliding, samples_per_decade, sample_steps, optimizer
        As of `twonn.run`. Samples are taken with `trajectories` only.
    store : str or path, optional
        A folder for the results: a Zarr store, which `xarray.open_zarr` opens. If it holds part of the same
        sweep already, only what is missing or damaged is run. Several processes may fill one store at once,
        and share the work. Without it, results are kept in memory.
    executor : str, Executor or callable, optional
        Who works: ``"threads:N"`` (the default, with one thread for each core this process may use),
        ``"processes:N"``, ``"dask:ADDRESS"`` of a scheduler, or any `concurrent.futures.Executor`, such as
        ``dask.distributed.Client(...).get_executor()`` or ``mpi4py.futures.MPIPoolExecutor()``. A process
        pool breaks when one of its workers dies; a function that makes an executor lets it be replaced.
    trajectories : bool or sequence of str
        Whether to keep the sampled trajectory of every run, or which of its variables, such as ``["gap"]``.
    chunk_size : int, optional
        Runs of one task, and of one chunk of the store. Chosen by cost if not given; it changes no result.
    retries : int
        How often a chunk is run again whose worker was lost or failed.
    in_flight : int, optional
        How many chunks to have submitted at a time, which bounds the memory; twice the number of workers,
        or 64 for an executor that is given as such.
    part : (int, int)
        (i, n) runs the i-th, from 0, of n parts of the chunks only, as one of n jobs of an array does.
    checkpoint_every : str or int
        With a store: the time after which what is done of a chunk is saved there, such as "60s", "10min" or
        "2h", or a number of steps, of all its runs together. A chunk whose worker was lost goes on from that.
    verify : bool
        Whether to compare all that the store holds with its digests beforehand, and to run again what is
        damaged. Whatever is read later on is compared in any case.
    progress : bool or callable
        True shows a progress bar on work that takes over a second; a callable is called after every chunk
        with the runs done and the runs in all.
    max_direct : int
        As of `twonn.run`, for every run: a second or two by default.

    Returns
    -------
    SweepResult
        The first Ctrl-C ends it in order, and gives what there is: threads with a store save what is done of
        their chunks; all others finish them. The second one raises KeyboardInterrupt at once. A store is
        whole in either case, and goes on with the same call.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix. Also if the store holds another
        sweep: then the sentence names the difference.
    CheckpointError
        If the store is none that twonn has written, although it says so.
    ImportError
        If a package for the store or the executor is not installed.
    OSError
        If the store cannot be written.

    Notes
    -----
    The bits of a run are those of `twonn.run`, whatever its neighbours, chunk, worker and executor. A run
    that its engine refuses or gives up is no error: its status is "obstructed", its samples end there, and
    what is kept of its end is nan. A chunk that fails after all retries is left out, and named in the result.
    When the disk is full, or the quota used up, the sweep ends, and the result says so.

    While a chunk is computed, a lock of the operating system keeps other processes from it; it goes with the
    process. On file systems without locks a chunk may be computed twice, to equal bits.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    retries = whole_number("retries", retries, least=0, fix="Write e.g. retries=3.")
    if in_flight is not None:
        in_flight = whole_number("in_flight", in_flight, least=1, fix="Write e.g. in_flight=16.")
    every = interval(checkpoint_every)
    part = _checked_part(part)
    flag("verify", verify)
    if not callable(progress):
        flag("progress", progress)
    if chunk_size is not None:
        chunk_size = whole_number("chunk_size", chunk_size, least=1, fix="Write e.g. chunk_size=1000.")
    plan = _plan(
        problem,
        params,
        horizon(steps, log10_steps),
        None if store is None else checked_path(store),
        engine=engine,
        sliding=sliding,
        optimizer=chosen(optimizer),
        trajectories=trajectories,
        samples_per_decade=samples_per_decade,
        sample_steps=sample_steps,
        chunk_size=chunk_size,
        max_direct=direct_limit(max_direct),
        part=part,
        every=every,
    )
    config.require_sound_arithmetic()
    with opened(executor) as pool:
        kept: Memory | Store = Memory(plan.layout)
        if plan.store is not None:
            kept = open_store(plan.store, plan.layout, chunk_size)
            plan = replace(plan, layout=replace(plan.layout, chunk_size=kept.chunk_size))
        workers = _Workers(pool, retries, in_flight)
        return _carry_out(plan, kept, workers, verify, progress)


# --------------------------------------------------------------------------------------------------
# The plan


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be run, checked, and cut into chunks."""

    problems: tuple[Problem, ...]
    starts: Params
    asked: int
    schedule: Schedule
    engine: int
    average: bool
    max_direct: int
    optimizer: Optimizer | None
    sampled: tuple[str, ...]
    store: Path | None
    layout: Layout
    part: tuple[int, int]
    every: tuple[float, int | None]

    @property
    def chunks(self) -> range:
        """Those of this part."""
        return range(self.part[0], self.layout.chunks, self.part[1])

    def tasks(self, chunks: Sequence[int]) -> Iterator[Chunk]:
        for chunk in chunks:
            yield Chunk(
                chunk,
                tuple(self._parts(*self.layout.bounds(chunk))),
                self.schedule,
                self.engine,
                self.average,
                self.optimizer,
                self.max_direct,
                self.sampled,
                self.store,
                self.every,
            )

    def _parts(self, first: int, stop: int) -> Iterator[tuple[Problem, Params]]:
        """Give the runs from `first` up to `stop`, problem by problem."""
        starts = len(self.starts)
        for index in range(first // starts, (stop - 1) // starts + 1):
            offset = index * starts
            runs = slice(max(first - offset, 0), min(stop - offset, starts))
            yield self.problems[index], self.starts[runs]


def _plan(
    problem: Problem | Sequence[Problem],
    params: Params,
    asked: int,
    store: Path | None,
    *,
    engine: str,
    sliding: str,
    optimizer: Optimizer | None,
    trajectories: bool | Sequence[str],
    samples_per_decade: float | None,
    sample_steps: Sequence[int] | None,
    chunk_size: int | None,
    max_direct: int,
    part: tuple[int, int],
    every: tuple[float, int | None],
) -> _Plan:
    problems, starts = _crossed(problem, params)
    one_of("engine", engine, tuple(_ENGINES))
    one_of("sliding", sliding, ("average", "step"))
    if optimizer is not None:
        require_steps(optimizer, engine)
    stepped = engine == "direct" or optimizer is not None
    if stepped and asked > LARGEST_COUNT:
        expected = "at most 2^63 - 1 steps where every one is taken"
        fix = 'Ask for fewer steps, or use engine="auto".'
        raise ValueError(refusal("steps", Verbatim(written_steps(asked)), expected, fix))
    sampled = _chosen(trajectories, starts.dimension)
    schedule = sample_schedule(asked, samples_per_decade, sample_steps)
    if not sampled:
        if sample_steps is not None:
            expected = "None without trajectories"
            raise ValueError(refusal("sample_steps", sample_steps, expected, "Add trajectories=True."))
        schedule = sample_schedule(asked, samples_per_decade, exponent_steps(asked))
    sizes = {**SIZES, "axis": starts.dimension, "sample": len(schedule[0]) + len(schedule[1])}
    columns = columns_of(starts.dimension, sampled)
    runs = len(problems) * len(starts)
    bytes_per_run = 8 * (sizes["sample"] * (32 + 4 * starts.dimension) + len(columns))
    seconds_per_run = min(asked, LARGEST_COUNT) * _STEP_SECONDS
    if not stepped:
        seconds_per_run = min(seconds_per_run, _LEAP_SECONDS)
    spec = {
        "bits": BITS,
        "steps": hex(asked),
        "engine": engine,
        "sliding": sliding,
        "max_direct": None if stepped or engine == "leap" else max_direct,
        "optimizer": {"name": "gd"} if optimizer is None else optimizer.described(),
        "trajectories": list(sampled),
        "samples": _digest(*schedule),
        "problems": [_described(one) for one in problems],
        "starts": f"{len(starts)} starts with digest {_digest(starts.w, starts.b, starts.v)}",
    }
    written = json.dumps(spec)
    layout = Layout(
        runs=runs,
        chunk_size=_chunk_size(chunk_size, runs, part[1], bytes_per_run, seconds_per_run),
        sizes=sizes,
        columns=columns,
        coordinates=_coordinates(problems, starts),
        attributes={
            "spec": written,
            "spec_sha256": hashlib.sha256(written.encode()).hexdigest(),
            **config.provenance(),
        },
    )
    return _Plan(
        problems,
        starts,
        asked,
        schedule,
        _ENGINES[engine],
        sliding == "average",
        max_direct,
        optimizer,
        sampled,
        store,
        layout,
        part,
        every,
    )


def _crossed(problem: Problem | Sequence[Problem], params: Params) -> tuple[tuple[Problem, ...], Params]:
    """Return the problems and the starts, each problem to be run from each start."""
    problems = (problem,) if isinstance(problem, Problem) else problem
    if not isinstance(problems, Sequence) or isinstance(problems, str) or not problems:
        expected = "a twonn.Problem or a sequence of them"
        raise TypeError(refusal("problem", problem, expected, "Build one with twonn.Problem(...)."))
    for one in problems:
        check_compatible(one, params)
    if params.runs is None:
        params = Params(params.w[None], params.b[None], params.v[None])
    if not len(params):
        raise ValueError(refusal("params", Verbatim("0 runs"), "at least one start", "Draw some starts."))
    return tuple(problems), params


def _chosen(trajectories: bool | Sequence[str], dimension: int) -> tuple[str, ...]:
    """Return the variables to sample along the runs."""
    names = tuple(name for name in VARIABLES if name != "boundary" or dimension == 1)
    if isinstance(trajectories, (bool, np.bool_)):
        return names if trajectories else ()
    if isinstance(trajectories, str) or not isinstance(trajectories, Sequence):
        expected = "True, False or a list of names of variables"
        raise TypeError(refusal("trajectories", trajectories, expected, 'Write e.g. trajectories=["gap"].'))
    return tuple(dict.fromkeys(one_of("trajectories", name, names) for name in trajectories))


def _chunk_size(given: int | None, runs: int, jobs: int, bytes_per_run: int, seconds_per_run: float) -> int:
    """Return the chunk size asked for, or one by cost that leaves some chunks for each of the jobs."""
    if given is not None:
        return min(given, runs)
    affordable = min(_CHUNK_SECONDS / max(seconds_per_run, 1e-9), _CHUNK_BYTES / bytes_per_run)
    return max(1, min(int(affordable), _LARGEST_CHUNK, -(-runs // (_FEWEST_CHUNKS * jobs))))


def _checked_part(part: object) -> tuple[int, int]:
    expected = "a pair (i, n) with 0 <= i < n: the i-th, from 0, of n parts"
    fix = "Write e.g. part=(0, 4) for the first of four."
    if not isinstance(part, Sequence) or isinstance(part, str) or len(part) != 2:
        raise TypeError(refusal("part", part, expected, fix))
    try:
        i, n = (whole_number("part", number, least=0, fix=fix) for number in part)
    except (TypeError, ValueError) as error:
        raise type(error)(refusal("part", part, expected, fix)) from None
    if i >= n:
        raise ValueError(refusal("part", part, expected, fix))
    return i, n


def _coordinates(
    problems: Sequence[Problem], starts: Params
) -> dict[str, tuple[tuple[str, ...], NDArray[Any], dict[str, str]]]:
    """Return the run, its problem and its start, and what tells the problems apart."""
    runs = np.arange(len(problems) * len(starts))
    index = runs // len(starts)

    def along_runs(values: NDArray[Any], units: str, meaning: str, *dimensions: str) -> Any:
        return ("run", *dimensions), values, {"units": units, "long_name": meaning}

    return {
        "run": along_runs(runs, "1", "run"),
        "problem": along_runs(index, "1", "index of the problem, in the attribute spec"),
        "start": along_runs(runs % len(starts), "1", "index of the start"),
        "step_size": along_runs(
            np.array([one.step_size for one in problems])[index], "1", "step size of gradient descent"
        ),
    }


def _digest(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 of the shapes and the numbers."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# --------------------------------------------------------------------------------------------------
# Carrying it out


@dataclass(frozen=True)
class _Workers:
    """Who carries out a sweep, and how."""

    pool: Pool
    retries: int
    in_flight: int | None


def _carry_out(
    plan: _Plan, kept: Memory | Store, workers: _Workers, verify: bool, progress: bool | Progressing
) -> SweepResult:
    layout = plan.layout
    marked = kept.complete()
    wanted = [chunk for chunk in plan.chunks if chunk not in marked or verify]
    failures: dict[int, BaseException] = {}
    abandoned = ""
    asked = sum(_length(layout, chunk) for chunk in plan.chunks)
    done = sum(_length(layout, chunk) for chunk in plan.chunks if chunk in marked)
    with first_signal() as pressed, _reporting(progress, done, asked) as report:

        def interrupted() -> bool:
            if pressed() and plan.store is not None and workers.pool.stop is not None:
                workers.pool.stop.set()  # what is done is saved
            return bool(pressed())

        try:
            for outcome in carried_out(
                Chunk.run,
                plan.tasks(wanted),
                workers.pool,
                retries=workers.retries,
                in_flight=workers.in_flight,
                interrupted=interrupted,
                again=lambda result: result is Report.BUSY,
            ):
                chunk = outcome.task.index
                if outcome.error is not None:
                    failures[chunk] = outcome.error
                    continue
                if isinstance(kept, Memory) and isinstance(outcome.result, dict):
                    kept.put(chunk, outcome.result)
                if outcome.result is Report.STOPPED or (outcome.result is Report.FOUND and chunk in marked):
                    continue
                done += 0 if chunk in marked else _length(layout, chunk)
                report(done, asked)
        except Abandoned as error:
            abandoned = str(error)
        there = kept.complete()
        lost = [np.arange(*layout.bounds(chunk)) for chunk in plan.chunks if chunk not in there]
        missing = np.concatenate([np.empty(0, dtype=np.int64), *lost])
        if plan.store is not None and len(there) == layout.chunks:
            clear(plan.store)
        return SweepResult(
            problems=plan.problems,
            params=plan.starts,
            horizon=plan.asked,
            part=plan.part,
            store=plan.store,
            interrupted=bool(pressed() and len(missing)),
            failures=_merged(layout, failures),
            abandoned=abandoned,
            missing=missing,
            _columns=kept,
        )


def _merged(layout: Layout, failures: Mapping[int, BaseException]) -> dict[range, str]:
    """Return which runs failed, and why: neighbours that failed alike as one range."""
    told: dict[object, str] = {}
    merged: dict[range, str] = {}
    for chunk in sorted(failures):
        error, (first, stop) = failures[chunk], layout.bounds(chunk)
        # The name of the file is another one for every chunk.
        same = type(error), error.errno if isinstance(error, OSError) else said(error)
        why = told.setdefault(same, said(error))
        last = next(reversed(merged), None)
        if last is not None and last.stop == first and merged[last] == why:
            del merged[last]
            first = last.start
        merged[range(first, stop)] = why
    return merged


def _length(layout: Layout | Memory | Store, chunk: int) -> int:
    first, stop = layout.bounds(chunk)
    return stop - first


@contextmanager
def _reporting(progress: bool | Progressing, done: int, runs: int) -> Iterator[Progressing]:
    if callable(progress):
        yield progress
        return
    with _Bar(disable=not progress) as bar:
        task = bar.add_task("runs", total=runs, completed=done)
        yield lambda done, runs: bar.update(task, completed=done)


class _Bar(LateProgress):
    """A progress bar that says how many runs are done in a second."""

    def __init__(self, *, disable: bool) -> None:
        super().__init__(disable=disable)
        self.columns = (
            TextColumn("{task.completed:,} of {task.total:,} {task.description}"),
            BarColumn(),
            _Speed(),
            TimeRemainingColumn(),
        )


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} runs/s")


def _listed(missing: NDArray[np.int64]) -> str:
    """Return ranges of runs: 0 to 99, 300 to 399."""
    breaks = np.flatnonzero(np.diff(missing) > 1) + 1
    stretches = np.split(missing, breaks)
    shown = [f"{stretch[0]} to {stretch[-1]}" for stretch in stretches[:_STRETCHES_SHOWN]]
    more = len(stretches) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more stretches" if more else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
