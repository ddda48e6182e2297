"""Plans a sweep: which runs, what is kept of them, and how they are cut into chunks."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn import config
from twonn.arguments import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    Verbatim,
    checked_path,
    one_of,
    whole_number,
)
from twonn.engine.batch import BITS
from twonn.engine.checkpoint import interval
from twonn.engine.execution import Execution
from twonn.optimizers import label, optimizer_dict
from twonn.problem.horizon import LARGEST_COUNT
from twonn.problem.params import Params, check_compatible
from twonn.problem.problem import Problem, problem_dict
from twonn.problem.runspec import RunOptions, RunSpec, Schedule
from twonn.results.records import VARIABLES
from twonn.sweeps.asked import MEANINGS
from twonn.sweeps.axes import PRODUCT, RUN, Axes
from twonn.sweeps.chunks import Chunk, Group
from twonn.sweeps.layout import Layout
from twonn.sweeps.summary import SIZES, columns_of, exponent_steps
from twonn.values import number_of

#: What a chunk should take: long enough that planning, moving and writing it hardly count, short enough that
#: Ctrl-C is soon over and a lost worker costs little.
_CHUNK_SECONDS = 2.0

#: Rough costs, for choosing the size of chunks: of a step, and of a run that is leapt over.
_STEP_SECONDS, _LEAP_SECONDS = 1e-8, 2e-4

#: A chunk is no longer than this, takes no more memory than this, and is a small part of the whole.
_LARGEST_CHUNK, _CHUNK_BYTES, _FEWEST_CHUNKS = 8192, 1 << 25, 16


@dataclass(frozen=True)
class Chunking:
    """How runs are cut into chunks, which of these are wanted, and where they are kept.

    Attributes
    ----------
    chunk_size : int or None
        None is a size by cost.
    part : (int, int)
        (i, n) is the i-th of n parts of the chunks.
    store : Path or None
        None keeps them in memory.
    every : (float, int or None)
        Seconds, or steps, between two times that a chunk under way is saved.
    """

    chunk_size: int | None
    part: tuple[int, int]
    store: Path | None
    every: tuple[float, int | None]

    @classmethod
    def of_arguments(
        cls, chunk_size: object, part: object, store: object, checkpoint_every: object
    ) -> Chunking:
        """Return what a call of `twonn.sweep` asks for, checked."""
        every = interval(checkpoint_every)
        part = _checked_part(part)
        if chunk_size is not None:
            chunk_size = whole_number("chunk_size", chunk_size, least=1, fix="Write e.g. chunk_size=1000.")
        return cls(chunk_size, part, None if store is None else checked_path(store), every)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be run, checked, and cut into chunks.

    Attributes
    ----------
    problems : tuple of Problem
    starts : Params
        With a run axis.
    options : tuple of RunOptions
        One for each optimizer, which differ in that alone.
    axes : Axes
    schedule : Schedule
    sampled : tuple of str
        Variables to keep along the runs.
    chunking : Chunking
    layout : Layout
    """

    problems: tuple[Problem, ...]
    starts: Params
    options: tuple[RunOptions, ...]
    axes: Axes
    schedule: Schedule
    sampled: tuple[str, ...]
    chunking: Chunking
    layout: Layout

    @property
    def chunks(self) -> range:
        """Those of this part."""
        first, parts = self.chunking.part
        return range(first, self.layout.chunks, parts)

    def tasks(self, chunks: Sequence[int]) -> Iterator[Chunk]:
        for chunk in chunks:
            yield Chunk(
                chunk,
                tuple(self._groups(*self.layout.bounds(chunk))),
                self.schedule,
                self.sampled,
                self.chunking.store,
                self.chunking.every,
            )

    def _groups(self, first: int, stop: int) -> Iterator[Group]:
        """Give the runs from `first` up to `stop`, those of the same problem and optimizer together."""
        index = self.axes.indices(np.arange(first, stop))
        pairs = zip(index["problem"], index["optimizer"], strict=True)
        wanted = [(self.problems[problem], self.options[optimizer]) for problem, optimizer in pairs]
        begin = 0
        for (problem, options), same in itertools.groupby(wanted):
            end = begin + len(list(same))
            starts = index["start"][begin:end]
            # A slice takes no time that grows with the number of all starts.
            one_after_another = slice(starts[0], starts[-1] + 1) if len(self.starts) > 1 else starts
            yield Group(problem, self.starts[one_after_another], options)
            begin = end


def planned(
    problem: Problem | Sequence[Problem],
    params: Params,
    options: Sequence[RunOptions],
    is_single: bool,
    paired: bool,
    trajectories: bool | Sequence[str],
    chunking: Chunking,
) -> Plan:
    """Check what is asked of a sweep, and plan it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was got, what was expected, and the fix.
    """
    problems, starts = _checked(problem, params)
    for one in options:
        one.require_kernel()
        if not one.is_affordable:
            raise Execution(RunSpec(problems[0], starts[0], one)).refusal_of_horizon()
    single = (isinstance(problem, Problem), params.runs is None, is_single)
    given = tuple(name for name, alone in zip(PRODUCT, single, strict=True) if not alone)
    axes = Axes(len(problems), len(starts), len(options), given, paired)
    _check_axes(axes, options)
    sampled = _chosen(trajectories, starts.dimension)
    schedule = _schedule(options, bool(sampled))
    sizes = {**SIZES, "axis": starts.dimension, "sample": len(schedule[0]) + len(schedule[1])}
    columns = columns_of(starts.dimension, sampled)
    written = json.dumps(_spec(problems, starts, options, axes, schedule, sampled))
    layout = Layout(
        axes=axes,
        chunk_size=_chunk_size(chunking, axes.runs, *_cost(options, sizes, len(columns))),
        sizes=sizes,
        columns=columns,
        coordinates=_coordinates(problems, options, axes),
        attributes={
            "spec": written,
            "spec_sha256": hashlib.sha256(written.encode()).hexdigest(),
            "dimensions": " ".join(axes.dimensions),
            **config.provenance(),
        },
    )
    return Plan(problems, starts, tuple(options), axes, schedule, sampled, chunking, layout)


def _schedule(options: Sequence[RunOptions], is_sampled: bool) -> Schedule:
    """Return which steps to record, the same for every optimizer."""
    first = options[0]
    if is_sampled:
        return first.schedule()
    if first.sample_steps is not None:
        expected = "None without trajectories"
        raise ArgumentValueError("sample_steps", first.sample_steps, expected, "Add trajectories=True.")
    first.schedule()  # checks the density
    return replace(first, sample_steps=exponent_steps(first.horizon)).schedule()


def _spec(
    problems: Sequence[Problem],
    starts: Params,
    options: Sequence[RunOptions],
    axes: Axes,
    schedule: Schedule,
    sampled: Sequence[str],
) -> dict[str, Any]:
    """Return all that the results depend on; two sweeps with the same have the same results."""
    first = options[0]
    asked = first.to_dict()
    limited = first.engine != "leap" and not all(one.is_stepped for one in options)
    return {
        "bits": BITS,
        "steps": asked["horizon"],
        "engine": asked["engine"],
        "sliding": asked["sliding"],
        "max_direct": first.max_direct if limited else None,
        "optimizers": [optimizer_dict(one.optimizer) for one in options],
        "paired": list(axes.given) if axes.is_paired else None,
        "trajectories": list(sampled),
        "samples": _digest(*schedule),
        "problems": [problem_dict(one) for one in problems],
        "starts": f"{len(starts)} starts with digest {_digest(starts.w, starts.b, starts.v)}",
    }


def _cost(options: Sequence[RunOptions], sizes: Mapping[str, int], columns: int) -> tuple[float, float]:
    """Return roughly how many bytes, and seconds, a run takes."""
    seconds = min(options[0].horizon, LARGEST_COUNT) * _STEP_SECONDS
    if not any(one.is_stepped for one in options):
        seconds = min(seconds, _LEAP_SECONDS)
    return 8 * (sizes["sample"] * (32 + 4 * sizes["axis"]) + columns), seconds


def _checked(problem: Problem | Sequence[Problem], params: Params) -> tuple[tuple[Problem, ...], Params]:
    """Return the problems, and the starts with a run axis."""
    problems = (problem,) if isinstance(problem, Problem) else problem
    if not isinstance(problems, Sequence) or isinstance(problems, str) or not problems:
        expected = "a twonn.Problem or a sequence of them"
        raise ArgumentTypeError("problem", problem, expected, "Build one with twonn.Problem(...).")
    for one in problems:
        check_compatible(one, params)
    if params.runs is None:
        params = Params(params.w[None], params.b[None], params.v[None])
    if not len(params):
        raise ArgumentValueError("params", Verbatim("0 runs"), "at least one start", "Draw some starts.")
    return tuple(problems), params


def _check_axes(axes: Axes, options: Sequence[RunOptions]) -> None:
    """Refuse what cannot be paired, and an optimizer that is there twice in a product."""
    labels = [label(one.optimizer) for one in options]
    if not axes.is_paired:
        if twice := next((one for one in labels if labels.count(one) > 1), None):
            got = Verbatim(f"{twice} {labels.count(twice)} times")
            raise ArgumentValueError("optimizer", got, "optimizers that differ", "Leave out the repetition.")
        return
    lengths = {"problem": axes.problems, "start": axes.starts, "optimizer": axes.optimizers}
    counts = ", ".join(number_of(lengths[name], name) for name in axes.given) or "one problem and one start"
    expected = "sequences of the same length: run r has number r of each"
    if len({lengths[name] for name in axes.given}) != 1:
        fix = "Give as many of each, or leave out paired for their product."
        raise ArgumentValueError("paired", Verbatim(f"True with {counts}"), expected, fix)


def _chosen(trajectories: bool | Sequence[str], dimension: int) -> tuple[str, ...]:
    """Return the variables to sample along the runs."""
    names = tuple(name for name in VARIABLES if name != "boundary" or dimension == 1)
    if isinstance(trajectories, (bool, np.bool_)):
        return names if trajectories else ()
    if isinstance(trajectories, str) or not isinstance(trajectories, Sequence):
        expected = "True, False or a list of names of variables"
        raise ArgumentTypeError("trajectories", trajectories, expected, 'Write e.g. trajectories=["gap"].')
    return tuple(dict.fromkeys(one_of("trajectories", name, names) for name in trajectories))


def _chunk_size(chunking: Chunking, runs: int, bytes_per_run: float, seconds_per_run: float) -> int:
    """Return the chunk size asked for, or one by cost that leaves some chunks for each of the jobs."""
    if chunking.chunk_size is not None:
        return min(chunking.chunk_size, runs)
    jobs = chunking.part[1]
    affordable = min(_CHUNK_SECONDS / max(seconds_per_run, 1e-9), _CHUNK_BYTES / bytes_per_run)
    return max(1, min(int(affordable), _LARGEST_CHUNK, -(-runs // (_FEWEST_CHUNKS * jobs))))


def _checked_part(part: object) -> tuple[int, int]:
    expected = "a pair (i, n) with 0 <= i < n: part i of n, counted from 0"
    fix = "Write e.g. part=(0, 4) for the first of four."
    if not isinstance(part, Sequence) or isinstance(part, str) or len(part) != 2:
        raise ArgumentTypeError("part", part, expected, fix)
    try:
        i, n = (whole_number("part", number, least=0, fix=fix) for number in part)
    except ArgumentError as error:
        raise type(error)("part", part, expected, fix) from None
    if i >= n:
        raise ArgumentValueError("part", part, expected, fix)
    return i, n


def _coordinates(
    problems: Sequence[Problem], options: Sequence[RunOptions], axes: Axes
) -> dict[str, tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]]:
    """Return the run, its problem, start and optimizer, and what tells the problems apart."""
    runs = np.arange(axes.runs)
    index = axes.indices(runs)
    labels = [label(one.optimizer) for one in options]
    known = list(dict.fromkeys(labels))
    codes = np.array([known.index(one) for one in labels])[index["optimizer"]]
    steps = np.array([one.step_size for one in problems])[index["problem"]]
    flags = {"flag_values": list(range(len(known))), "flag_meanings": " ".join(known)}

    def along_runs(name: str, values: NDArray[Any], **more: Any) -> Any:
        return (RUN,), values, {"units": "1", "long_name": MEANINGS[name], **more}

    return {
        "run": along_runs("run", runs),
        "problem": along_runs("problem", index["problem"]),
        "start": along_runs("start", index["start"]),
        "optimizer": along_runs("optimizer", codes, **flags),
        "step_size": along_runs("step_size", steps),
    }


def _digest(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 of the shapes and the numbers."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
