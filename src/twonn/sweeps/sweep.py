"""Problems × starts: gives chunks of runs to workers, and gathers their results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twonn import config
from twonn.arguments import ArgumentTypeError, flag, suggesting, whole_number
from twonn.engine.watching import Progressing, first_signal, reporting_runs
from twonn.optimizers import Optimizer, OptimizerName, chosen
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.problem.runspec import RUN_SYNONYMS, Engine, RunOptions, Sliding
from twonn.sweeps.axes import runs_of
from twonn.sweeps.chunks import Chunk, Report
from twonn.sweeps.claims import clear
from twonn.sweeps.executors import Abandoned, Choice, Pool, carried_out, opened, said
from twonn.sweeps.layout import Layout
from twonn.sweeps.memory import Memory
from twonn.sweeps.opening import open_store
from twonn.sweeps.plan import Chunking, Plan, planned
from twonn.sweeps.result import SweepResult
from twonn.sweeps.store import Store
from twonn.values import public

__all__ = ["sweep"]

#: As `twonn.run` takes it.
_OneOptimizer = OptimizerName | Optimizer | Mapping[str, Any]

#: For each run. It is less than for a single run, because a sweep has many and lasts as long as its longest.
_MAX_DIRECT = 10**8


@public
@suggesting(RUN_SYNONYMS)
def sweep(
    problem: Problem | Sequence[Problem],
    params: Params,
    steps: int | float | str | None = None,
    *,
    log10_steps: float | None = None,
    store: str | os.PathLike[str] | None = None,
    executor: Choice = None,
    engine: Engine = "auto",
    sliding: Sliding = "average",
    trajectories: bool | Sequence[str] = False,
    samples_per_decade: float | None = None,
    sample_steps: Sequence[int | float | str] | None = None,
    chunk_size: int | None = None,
    retries: int = 3,
    in_flight: int | None = None,
    part: tuple[int, int] = (0, 1),
    checkpoint_every: str | int | float = "60s",
    verify: bool = True,
    progress: bool | Progressing = False,
    max_direct: int | float | str = _MAX_DIRECT,
    optimizer: _OneOptimizer | Sequence[_OneOptimizer] = "gd",
    paired: bool = False,
) -> SweepResult:
    """Run every problem from every start with every optimizer, in chunks, on many workers.

    Parameters
    ----------
    problem : Problem or sequence of Problem
        All of the same dimension d.
    params : Params
        The starts: one network or many along a run axis.
    steps, log10_steps, engine, sliding, samples_per_decade, sample_steps
        As in `twonn.run`. Samples are recorded only with `trajectories`.
    store : str or path, optional
        A folder for the results: a Zarr store, which `xarray.open_zarr` opens. If it already holds part of
        the same sweep, only the missing and the damaged runs are computed. Several processes may fill one
        store at once and share the work. Without a store, results are kept in memory.
    executor : str, Executor or callable, optional
        Where to run: ``"threads:N"`` (the default, with one thread for each core this process may use),
        ``"processes:N"``, ``"dask:ADDRESS"`` with the address of a scheduler, or any
        `concurrent.futures.Executor`, such as ``dask.distributed.Client(...).get_executor()`` or
        ``mpi4py.futures.MPIPoolExecutor()``. A process pool breaks when one of its workers dies. If a
        function that makes an executor is given, a broken pool is replaced.
    trajectories : bool or sequence of str
        Whether to keep the sampled trajectory of every run, or a list of the variables to keep, such as
        ``["gap"]``.
    chunk_size : int, optional
        Number of runs in a task, and in a chunk of the store. By default it is chosen by cost. It does not
        change any result.
    retries : int
        How often a chunk is run again after its worker was lost or failed.
    in_flight : int, optional
        How many chunks are submitted at a time, which bounds the memory. The default is twice the number of
        workers, or 64 if `executor` is an Executor.
    part : (int, int)
        (i, n) runs only part i of n of the chunks, counted from 0, as one of n jobs of an array.
    checkpoint_every : str, int or float
        With a store: how often the progress within a chunk is saved there. A time such as "60s", "10min" or
        "2h", or a number of steps of all its runs together. A chunk whose worker was lost continues from
        there.
    verify : bool
        Whether to compare everything in the store with its digests first, and to compute again what is
        damaged. Everything that is read later is compared in any case.
    progress : bool or callable
        True shows a progress bar if the sweep takes over a second. A callable is called after every chunk
        with the number of runs done and the number of all runs.
    max_direct : int, float or str
        As in `twonn.run`, for every run. The default, 10^8, takes a second or two. With another optimizer a
        longer horizon is refused at once.
    optimizer : str, Optimizer, mapping, or sequence of these
        As in `twonn.run`; or several, such as ``["gd", "adam"]``.
    paired : bool
        False runs the product of problems, starts and optimizers. True pairs them instead: run r has number r
        of everything that is given as a sequence, and these have the same length.

    Returns
    -------
    SweepResult
        It has a dimension for each of problem, start and optimizer that is given as a sequence, even of one
        (params with a run axis are one), and none for the others. If they are paired, it has the one
        dimension run.

        The first Ctrl-C ends the sweep in order, and the results so far are returned: threads with a store
        save the progress within their chunks, and all other workers finish their chunks. A second one raises
        KeyboardInterrupt at once. In both cases the store stays whole, and the same call continues with it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix. Also if the store holds another
        sweep. Then the message names the difference.
    CheckpointError
        If the store claims to be one of twonn, but twonn has not written it.
    ImportError
        If a package for the store or the executor is not installed.
    OSError
        If the store cannot be written.

    Notes
    -----
    The bits of a run are those of `twonn.run`, whatever its neighbours, chunk, worker and executor. If the
    engine refuses a run or gives it up, that is not an error: its status is "obstructed", its samples end
    there, and the variables of its end are nan. A chunk that fails after all retries is left out, and listed
    in the result. When the disk is full or the quota is used up, the sweep ends, and the result reports it.

    While a chunk is computed, a lock of the operating system keeps other processes away from it. The lock
    ends with its process. On file systems without locks a chunk may be computed twice, with the same bits.

    References
    ----------
    Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
    """
    workers = _checked_workers(retries, in_flight)
    flag("verify", verify)
    if not callable(progress):
        flag("progress", progress)
    chunking = Chunking.of_arguments(chunk_size, part, store, checkpoint_every)
    flag("paired", paired)
    optimizers, is_single = _checked_optimizers(optimizer)
    options = RunOptions.of_arguments(
        steps,
        log10_steps,
        engine=engine,
        sliding=sliding,
        samples_per_decade=samples_per_decade,
        sample_steps=sample_steps,
        optimizer=optimizers[0],
        max_direct=max_direct,
    )
    each = [replace(options, optimizer=chosen(one)) for one in optimizers]
    plan = planned(problem, params, each, is_single, paired, trajectories, chunking)
    config.require_sound_arithmetic()
    with opened(executor) as pool:
        kept: Memory | Store = Memory(plan.layout)
        if chunking.store is not None:
            kept = open_store(chunking.store, plan.layout, chunking.chunk_size)
            plan = replace(plan, layout=replace(plan.layout, chunk_size=kept.chunk_size))
        return _carry_out(plan, kept, pool, workers, verify, progress)


@dataclass(frozen=True)
class _Workers:
    """How chunks are given to workers."""

    retries: int
    in_flight: int | None


def _checked_workers(retries: object, in_flight: object) -> _Workers:
    retries = whole_number("retries", retries, least=0, fix="Write e.g. retries=3.")
    if in_flight is not None:
        in_flight = whole_number("in_flight", in_flight, least=1, fix="Write e.g. in_flight=16.")
    return _Workers(retries, in_flight)


def _checked_optimizers(optimizer: object) -> tuple[Sequence[object], bool]:
    """Return the optimizers, and whether there is one that was not given as a sequence."""
    if isinstance(optimizer, str) or not isinstance(optimizer, Sequence):
        return [optimizer], True
    if not optimizer:
        expected = "a name, an optimizer, or a sequence of these"
        raise ArgumentTypeError("optimizer", optimizer, expected, 'Write e.g. optimizer=["gd", "adam"].')
    return optimizer, False


def _carry_out(
    plan: Plan,
    kept: Memory | Store,
    pool: Pool,
    workers: _Workers,
    verify: bool,
    progress: bool | Progressing,
) -> SweepResult:
    layout = plan.layout
    marked = kept.complete()
    wanted = [chunk for chunk in plan.chunks if chunk not in marked or verify]
    failures: dict[int, BaseException] = {}
    abandoned = ""
    asked = len(runs_of(layout, plan.chunks))
    done = len(runs_of(layout, (chunk for chunk in plan.chunks if chunk in marked)))
    with first_signal() as pressed, reporting_runs(progress, done, asked) as report:

        def interrupted() -> bool:
            if pressed() and plan.chunking.store is not None and pool.stop is not None:
                pool.stop.set()  # what is done is saved
            return bool(pressed())

        try:
            for outcome in carried_out(
                Chunk.run,
                plan.tasks(wanted),
                pool,
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
                done += 0 if chunk in marked else len(runs_of(layout, [chunk]))
                report(done, asked)
        except Abandoned as error:
            abandoned = str(error)
        there = kept.complete()
        missing = runs_of(layout, (chunk for chunk in plan.chunks if chunk not in there))
        if plan.chunking.store is not None and len(there) == layout.chunks:
            clear(plan.chunking.store)
        return SweepResult(
            problems=plan.problems,
            optimizers=tuple(one.optimizer for one in plan.options),
            horizon=plan.options[0].horizon,
            part=plan.chunking.part,
            store=plan.chunking.store,
            interrupted=bool(pressed() and len(missing)),
            failures=_merged(layout, failures),
            abandoned=abandoned,
            missing=missing,
            _axes=plan.axes,
            _columns=kept,
            _starts=plan.starts,
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
