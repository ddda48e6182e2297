"""Files from which a run goes on to the same bits: the format, and recovery from the one before.

The format is described in docs/format.md. One table, `FIELDS`, declares all that is in a file; writer,
reader, digest, ``twonn inspect`` and that document derive from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twonn import _core
from twonn.files import CheckpointError, Lock, previous, regular, replacing
from twonn.optimizers import Optimizer, chosen, require_steps
from twonn.problem import LARGEST_COUNT, Params, Problem, check_compatible, one_of, refusal, whole_number

__all__ = [
    "CHECKPOINT_EVERY",
    "ENGINES",
    "FIELDS",
    "MAGIC",
    "MAX_DIRECT",
    "RELATIONS",
    "SLIDING",
    "VERSION",
    "Field",
    "Question",
    "Relation",
    "digest",
    "fields_of",
    "interval",
    "is_checkpoint",
    "provenance_of",
    "question_of",
    "read",
    "write",
    "written",
]

MAGIC = b"TWONN\r\n\x1a"

#: Of the format. A file of any earlier one is read too.
VERSION = 2

#: Steps that the engine "auto" takes one by one, if nothing else is asked, before it gives up.
MAX_DIRECT = 10**10

#: Time between checkpoints, if nothing else is asked.
CHECKPOINT_EVERY = "60s"

#: Magic, version, bytes of the directory, bytes of the file.
_HEAD = struct.Struct("<8sIIQ")
_CHECKSUM = hashlib.sha256().digest_size

#: What a file holds, by name: numbers as arrays, and texts.
Values = Mapping[str, Any]


# --------------------------------------------------------------------------------------------------
# The table


@dataclass(frozen=True)
class Field:
    """One piece of a file.

    Attributes
    ----------
    name : str
    dtype : str
        As NumPy writes it, little-endian, or "text" for UTF-8.
    shape : tuple of int or str
        A letter is a length that other fields tell: see `_lengths`.
    meaning : str
    of : {"all", "gd", "other"}
        Runs it belongs to: every one, gradient descent, other optimizers.
    hashed : bool
        Whether it is part of the digest: decided by what is run and how far, not by where or until when.
    least, most : number or tuple of numbers, optional
        Bounds; a tuple has one for each entry of the last axis. Floating-point numbers without are finite.
    nan : bool
        Whether NaN, which is within no bounds, may stand for a missing number.
    since : int
        First version of the format that has it.
    before : callable, optional
        What it is, given the values of a file of an earlier version.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str
    of: str = "all"
    hashed: bool = True
    least: Bound = None
    most: Bound = None
    nan: bool = False
    since: int = 1
    before: Callable[[Values], Any] | None = None


#: Of a number, or of each entry along the last axis.
Bound = float | tuple[float, ...] | None


def _gd(
    name: str,
    dtype: str,
    shape: tuple[int | str, ...],
    meaning: str,
    least: Bound = None,
    most: Bound = None,
    nan: bool = False,
) -> Field:
    return Field(name, dtype, shape, meaning, "gd", True, least, most, nan)


def _since(version: int, field: Field, before: Callable[[Values], Any]) -> Field:
    return replace(field, since=version, before=before)


#: What binary64 arithmetic with twice its precision needs the parameters to be below, as the kernel sees to.
_LARGEST = math.nextafter(2.0**996, 0.0)

#: More than can ever be counted.
_MANY = 2**62

_INF = math.inf
_LIMITS = _core.LIMITS
_EPISODE = ((0, 0, 0, 0, 0), (1, 1, _INF, _INF, 1), True)


#: Everything that is in a file, in its order.
FIELDS = (
    # what is asked
    Field("x", "<f8", (2, "d"), "the points"),
    Field("y", "<i8", (2,), "their labels", least=-1, most=1),
    Field("step_size", "<f8", (), "step size of the optimizer"),
    Field("loss", "text", (), "exponential or logistic"),
    Field("reduction", "text", (), "mean or sum"),
    Field("bias", "u1", (), "1 with biases", least=0, most=1),
    Field("train_output", "u1", (), "1 if output weights are trained", least=0, most=1),
    Field("start_w", "<f8", (2, "d"), "input weights at step 0"),
    Field("start_b", "<f8", (2,), "biases at step 0"),
    Field("start_v", "<f8", (2,), "output weights at step 0"),
    Field("optimizer", "text", (), "JSON object: name, and options"),
    Field("engine", "text", (), "auto, direct or leap"),
    Field("sliding", "text", (), "average or step"),
    Field(
        "samples_per_decade",
        "<f8",
        (),
        "density of the samples; nan where they are listed, or by default",
        least=0,
        nan=True,
    ),
    Field("sample_steps", "text", (), "JSON: the steps to record as hexadecimal texts, or null"),
    Field("horizon", "text", (), "steps asked for, hexadecimal", hashed=False),
    _since(
        2,
        Field("max_direct", "<i8", (), "for auto: what `spent` has to stay below", hashed=False, least=1),
        lambda values: MAX_DIRECT,
    ),
    # circumstances
    _since(
        2,
        Field(
            "checkpoint_every",
            "text",
            (),
            'JSON: time between checkpoints, such as "60s", or a number of steps',
            hashed=False,
        ),
        lambda values: json.dumps(CHECKPOINT_EVERY),
    ),
    Field("outcome", "text", (), "running, or how the run ended, a little later than here", hashed=False),
    Field("seconds", "<f8", (), "spent on the run so far, in all sessions", hashed=False, least=0),
    Field(
        "provenance", "text", (), "JSON object: the build that wrote the file, and earlier ones", hashed=False
    ),
    # where the run is
    Field("step", "<i8", (), "steps taken; -1 beyond 2^63 - 1", least=-1),
    _gd("log_step", "<f8", (), "their natural logarithm, kept up only beyond", -_INF),
    _gd(
        "state",
        "<f8",
        (12,),
        "C_jk (2 x 2), what rounding left out of it (2 x 2), v (2), its rounding (2)",
        -_LARGEST,
        _LARGEST,
    ),
    _gd("obstacle", "<i4", (), "why a leap was last not possible", 0, 3),
    _gd("error", "<f8", (), "bound on what leaping without averaging added to the parameters", 0, _INF),
    _gd("averaging_error", "<f8", (), "what averaging may have added", 0, _INF),
    _gd("averaged", "<i4", (), "1 if a leap averaged over teeth", 0, 1),
    _since(
        2,
        _gd("uncounted", "<i4", (), "1 if transitions were left out of the count", 0, 1),
        lambda values: values["averaged"],
    ),
    _since(
        2,
        _gd(
            "converged_step", "<i8", (), "step from which nothing changes; -1 beyond 2^63 - 1 or if none", -1
        ),
        lambda values: -1,
    ),
    _since(
        2,
        _gd(
            "converged_log",
            "<f8",
            (),
            "its natural logarithm, meant only beyond; -inf if there is none",
            -_INF,
        ),
        lambda values: -math.inf,
    ),
    _gd("length", "<i4", (), "entry of the table of leap lengths to try next", *_LIMITS["length"]),
    _gd("credit", "<i8", (), "what tries of a leap may cost in vain, in steps", -_MANY, _MANY),
    _gd("walked", "<i8", (), "steps taken since the last leap", 0, _MANY),
    _since(
        2,
        _gd("spent", "<i8", (), "steps taken one by one, and what leaps cost in such steps", 0, _MANY),
        lambda values: 0,
    ),
    _gd(
        "calm", "<f8", (), "logarithm of the step since when the pushes have been near their limits", 0, _INF
    ),
    _gd("width", "<f8", (), "bracket of the present block's transitions, in steps", 0, _INF),
    _gd("crossed", "<i4", (), "1 if the last leap ended behind a transition", 0, 1),
    _gd("crossing", "<f8", (4,), "its step, the logarithm, and the bounds of the step", -_INF, _INF),
    _gd("lag", "<f8", (2,), "steps by which the run may be too early, too late"),
    _gd(
        "held", "<i4", (), "pairs that slide and whose pre-activation is a mean, coded like a pattern", 0, 15
    ),
    _gd("unphased", "<i4", (), "those whose place in a tooth is unknown since", 0, 15),
    _gd("unwatched", "<i4", (), "blocks since the last look for slides", 0),
    _gd("caught", "<i4", (), "pairs that slid at the last look", 0, 15),
    _gd("episode", "<i8", (2,), "row of each neuron's episode of sliding; -1 if none", *_LIMITS["episode"]),
    _gd("entered", "<f8", (2,), "when that began", 0, _INF),
    _gd("first_flip", "<f8", (2,), "first flip of its units since the last look; -1 if none", -1, _INF),
    _gd("last_flip", "<f8", (2,), "the last", -1, _INF),
    Field(
        "moving",
        "<f8",
        (4, "p"),
        "parameters, their rounding, first and second moments",
        "other",
        least=-_INF,
        most=_INF,
    ),
    Field("powers", "<f8", (2,), "beta1^t and beta2^t", "other", least=0, most=1),
    Field("last_pattern", "<i4", (), "activation pattern last noted; -1 before the first", least=-1, most=15),
    # what is recorded
    Field("n_samples", "<i8", (), "n: number of samples", least=0),
    Field("n_transitions", "<i8", (), "number of transitions, of which k are recorded", least=0, most=_MANY),
    _gd("n_segments", "<i8", (), "m: number of stretches by engine", 0, _core.SEGMENTS_KEPT),
    _gd("n_slides", "<i8", (), "number of episodes of sliding, of which e are recorded", 0, _MANY),
    Field("steps", "<i8", ("n",), "step of every sample; -1 beyond 2^63 - 1", least=-1),
    _gd("logs", "<f8", ("n",), "their logarithms, meant only where the step is -1", -_INF),
    _gd("states", "<f8", ("n", 12), "like state", -_LARGEST, _LARGEST),
    Field(
        "states",
        "<f8",
        ("n", "q"),
        "parameters and their rounding",
        "other",
        least=-_LARGEST,
        most=_LARGEST,
    ),
    Field("patterns", "u1", ("n",), "activation patterns", most=15),
    _gd("unphased_then", "u1", ("n",), "like unphased", most=15),
    Field(
        "transition_times",
        "<f8",
        ("k", 4),
        "step, its logarithm, and the bounds of the step",
        least=(1, -_INF, 0, 1),
        most=_INF,
    ),
    Field("transition_patterns", "u1", ("k", 2), "before, after", most=15),
    Field(
        "counts", "<i8", (16, 16), "how often each pattern (row) was followed by each other (column)", least=0
    ),
    _gd(
        "segments",
        "<i8",
        ("m", 5),
        "kind (0 stepped, 1 leapt, 2 averaged), first and last step, blocks, iterations",
        (0, -1, -1, 1, 0),
        (2, LARGEST_COUNT, LARGEST_COUNT, _MANY, _MANY),
    ),
    _gd("segment_logs", "<f8", ("m", 2), "logarithms of first and last step", -_INF),
    _gd("slides", "<f8", ("e", 5), "neuron, sample, step entered, step left, active fraction", *_EPISODE),
    _gd("late_slides", "<f8", (2, 5), "place for each neuron's episode once 1,024 are recorded", *_EPISODE),
)


#: What there is one row of for every sample.
PER_SAMPLE = {field.name for field in FIELDS if field.shape[:1] == ("n",)}


def _fields_for(gd: bool) -> list[Field]:
    return [field for field in FIELDS if field.of in ("all", "gd" if gd else "other")]


def _lengths(values: Values) -> dict[str, int]:
    d = np.shape(values["x"])[-1]
    return {
        "d": d,
        "p": 2 * d + 4,
        "q": 4 * d + 8,
        "n": int(values["n_samples"]),
        "k": min(int(values["n_transitions"]), _core.TRANSITIONS_KEPT),
        "m": int(values.get("n_segments", 0)),
        "e": min(int(values.get("n_slides", 0)), _core.SLIDES_KEPT),
    }


# --------------------------------------------------------------------------------------------------
# What has to hold between the fields


@dataclass(frozen=True)
class Relation:
    """What holds between the fields of every file that a run has written.

    Attributes
    ----------
    of : {"all", "gd", "other"}
        As of a `Field`.
    meaning : str
        What it says, for docs/format.md and for refusals.
    holds : callable
        Whether it does, for the values of a file whose fields each are as the table declares.
    """

    of: str
    meaning: str
    holds: Callable[[Values], bool]


def _is_before_horizon(values: Values) -> bool:
    step, horizon = int(values["step"]), int(values["horizon"], 16)
    return step <= horizon if step >= 0 else horizon > LARGEST_COUNT


def _is_within_steps(name: str) -> Callable[[Values], bool]:
    """Whether there are no more of something than steps, where these are counted."""
    return lambda values: values["step"] < 0 or bool(values[name] <= values["step"])


def _is_noted(values: Values) -> bool:
    return bool(values["last_pattern"] >= 0 or (values["step"] == 0 and values["n_transitions"] == 0))


def _begin_at_start(values: Values) -> bool:
    """Whether the first sample, if there is one yet, is the start."""
    first = values["states"][:1]
    parameters = [values[name].ravel() for name in ("start_w", "start_b", "start_v")]
    if _is_gd(values):
        parameters = [np.zeros(8), parameters[-1], np.zeros(2)]
    start = np.concatenate(parameters)
    start = np.concatenate([start, np.zeros(first.shape[1] - len(start))])
    return len(first) == 0 or np.array_equal(first[0], start)


def _are_counted(values: Values) -> bool:
    counts = values["counts"]
    return sum(counts.ravel().tolist()) == values["n_transitions"] and not np.any(np.diag(counts))


def _follow_on_each_other(values: Values) -> bool:
    patterns = values["transition_patterns"]
    before, after = patterns[:, 0], patterns[:, 1]
    recorded = np.zeros((16, 16), np.int64)
    np.add.at(recorded, (before, after), 1)
    if not (np.array_equal(before[1:], after[:-1]) and np.all(recorded <= values["counts"])):
        return False
    return not 0 < len(patterns) == values["n_transitions"] or bool(after[-1] == values["last_pattern"])


def _join(values: Values) -> bool:
    """Whether the segments lead from step 0 to the present one."""
    now, before = (0, -math.inf), -1
    rows = zip(values["segments"].tolist(), values["segment_logs"].tolist(), strict=True)
    for (kind, first, last, _, _), (first_log, last_log) in rows:
        begin, end = (first, first_log), (last, last_log)
        if kind == before or not (_are_same(now, begin) and _is_later(begin, end)):
            return False
        now, before = end, kind
    return _are_same(now, (int(values["step"]), float(values["log_step"])))


def _are_same(one: tuple[int, float], other: tuple[int, float]) -> bool:
    """Whether two times are the same: steps, or, where they are -1, logarithms."""
    return one[0] == other[0] and (one[0] >= 0 or one[1] == other[1])


def _is_later(one: tuple[int, float], other: tuple[int, float]) -> bool:
    """Whether a time is later than one before, or, counted by their logarithms, the same."""
    if other[0] >= 0:
        return 0 <= one[0] < other[0]
    return one[0] >= 0 or one[1] <= other[1]


def _are_codes_of_slides(values: Values) -> bool:
    return not any((code := int(values[name])) & code >> 1 & 5 for name in ("held", "caught"))


def _is_averaged(values: Values) -> bool:
    sliding = np.any(values["segments"][:, 0] == _core.AVERAGED) or values["held"] or values["unphased"]
    return bool(values["averaged"] or not sliding)


def _are_open(values: Values) -> bool:
    """Whether each neuron's episode is one that it has entered at the kink where it was last seen."""
    for neuron, row in enumerate(values["episode"].tolist()):
        if row < 0:
            continue
        if row < _core.SLIDES_KEPT:
            rows, place = values["slides"], row
        else:
            rows, place = values["late_slides"], row - _core.SLIDES_KEPT
        late = row >= _core.SLIDES_KEPT
        if place >= len(rows) or (
            late and not (place == neuron and values["n_slides"] > len(values["slides"]))
        ):
            return False
        whose, sample, _, left, _ = rows[place].tolist()
        if not (
            whose == neuron and left == math.inf and int(values["caught"]) >> (2 * neuron + int(sample)) & 1
        ):
            return False
    return True


def _are_of_neurons(values: Values) -> bool:
    who = np.concatenate([values["slides"][:, :2], values["late_slides"][:, :2]])
    dated = np.concatenate([values["slides"][:, 2:4], values["late_slides"][:, 2:4]])
    return bool(np.all((who == 0) | (who == 1)) and not np.any(np.isnan(dated)))


RELATIONS = (
    Relation(
        "all", "`step` is at most `horizon`, and -1 only if that is beyond 2^63 - 1", _is_before_horizon
    ),
    Relation("all", "`last_pattern` is -1 at step 0 only, before any transition", _is_noted),
    Relation("all", "`n_transitions` is at most `step`", _is_within_steps("n_transitions")),
    Relation("all", "`counts` add up to `n_transitions`, with none on the diagonal", _are_counted),
    Relation(
        "all",
        "`transition_patterns` follow on each other, are among `counts`, and, if they are all, end with "
        "`last_pattern`",
        _follow_on_each_other,
    ),
    Relation(
        "gd", "`segments` join, each longer than 0, from step 0 to `step`, no two of a kind in a row", _join
    ),
    Relation("all", "`states` begin with the start", _begin_at_start),
    Relation("gd", "`walked` is at most `step`", _is_within_steps("walked")),
    Relation("gd", "`n_slides` is at most `step`", _is_within_steps("n_slides")),
    Relation("gd", "`held` and `caught` have at most one sample for each neuron", _are_codes_of_slides),
    Relation("gd", "`averaged` is 1 if a segment is averaged or `held` or `unphased` is not 0", _is_averaged),
    Relation(
        "gd",
        "`uncounted` is 1 if `averaged` is",
        lambda values: bool(values["uncounted"] >= values["averaged"]),
    ),
    Relation("gd", "`slides` and `late_slides` have a neuron, a sample, and steps", _are_of_neurons),
    Relation(
        "gd",
        "`episode` is a row of the neuron, not left yet, at the sample that `caught` has for it",
        _are_open,
    ),
    Relation(
        "other",
        "`step` and `last_pattern` are not negative",
        lambda values: bool(values["step"] >= 0 and values["last_pattern"] >= 0),
    ),
    Relation(
        "other", "second moments are not negative", lambda values: bool(np.all(values["moving"][3] >= 0))
    ),
)


# --------------------------------------------------------------------------------------------------
# What is asked

ENGINES = ("auto", "direct", "leap")
SLIDING = ("average", "step")


@dataclass(frozen=True)
class Question:
    """What a run is asked: everything that its result depends on."""

    problem: Problem
    params: Params
    horizon: int
    engine: str
    sliding: str
    samples_per_decade: float | None
    sample_steps: Sequence[int] | None
    optimizer: Optimizer | None
    max_direct: int = MAX_DIRECT

    @property
    def samples_by_default(self) -> bool:
        return self.samples_per_decade is None and self.sample_steps is None


def fields_of(question: Question) -> dict[str, Any]:
    """Return the fields that say what is asked."""
    problem, params, listed = question.problem, question.params, question.sample_steps
    density = question.samples_per_decade if listed is None else None
    return {
        **{name: getattr(problem, name) for name in _PROBLEM},
        "start_w": params.w,
        "start_b": params.b,
        "start_v": params.v,
        "optimizer": json.dumps(
            {"name": "gd"} if question.optimizer is None else question.optimizer.described()
        ),
        "engine": question.engine,
        "sliding": question.sliding,
        "samples_per_decade": math.nan if density is None else density,
        "sample_steps": json.dumps(None if listed is None else [hex(step) for step in listed]),
        "horizon": hex(question.horizon),
        "max_direct": question.max_direct,
    }


_PROBLEM = ("x", "y", "step_size", "loss", "reduction", "bias", "train_output")


_STEPS = re.compile("0x(0|[1-9a-f][0-9a-f]*)")


def written(name: str, steps: object) -> int:
    """Return the number of steps that a text says, as `hex` writes it and in no other way."""
    if not isinstance(steps, str) or not _STEPS.fullmatch(steps):
        raise ValueError(f"{name} is no hexadecimal number of steps")
    return int(steps, 16)


def _listed(text: str) -> list[int] | None:
    steps = json.loads(text)
    if steps is None:
        return None
    if not isinstance(steps, list):
        raise ValueError("sample_steps is no list")
    return [written("sample_steps", step) for step in steps]


def provenance_of(text: str) -> dict[str, str]:
    """Return what a JSON text says of the builds that computed a result, if it says that."""
    said = json.loads(text)
    if not isinstance(said, dict) or not all(
        isinstance(value, str) and value.isprintable() and name.isprintable() for name, value in said.items()
    ):
        raise ValueError("provenance is no object of printable texts")
    return said


def question_of(values: Values) -> Question:
    """Return what is asked in a file; any error means that it is none that was written."""
    given = {name: values[name] for name in _PROBLEM}
    for name, kind in (("step_size", float), ("bias", bool), ("train_output", bool)):
        given[name] = kind(given[name])
    problem = Problem(**given)
    params = Params(values["start_w"], values["start_b"], values["start_v"])
    check_compatible(problem, params)
    density = float(values["samples_per_decade"])
    optimizer = chosen(json.loads(values["optimizer"]))
    if optimizer is not None:
        require_steps(optimizer, values["engine"])
    return Question(
        problem=problem,
        params=params,
        horizon=written("horizon", values["horizon"]),
        engine=one_of("engine", values["engine"], ENGINES),
        sliding=one_of("sliding", values["sliding"], SLIDING),
        samples_per_decade=None if math.isnan(density) else density,
        sample_steps=_listed(values["sample_steps"]),
        optimizer=optimizer,
        max_direct=int(values["max_direct"]),
    )


# --------------------------------------------------------------------------------------------------
# Bytes


def _is_gd(values: Values) -> bool:
    return bool(json.loads(values["optimizer"])["name"] == "gd")


def _arrays(values: Values) -> Iterator[tuple[Field, np.ndarray[Any, Any]]]:
    """Go through what is in a file, in its order, as it is there."""
    for field in _fields_for(_is_gd(values)):
        value = values[field.name]
        if field.dtype == "text":
            yield field, np.frombuffer(value.encode(), np.uint8)
        else:
            array = np.asarray(value, field.dtype)
            yield field, np.ascontiguousarray(array).reshape(array.shape if field.shape else ())


def _pieces(values: Values) -> Iterator[bytes]:
    """Give the contents of a file piece by piece."""
    entries = list(_arrays(values))
    listed = [
        {"name": field.name, "dtype": field.dtype, "shape": list(array.shape)} for field, array in entries
    ]
    directory = json.dumps(listed, separators=(",", ":")).encode()
    size = _HEAD.size + len(directory) + sum(array.nbytes for _, array in entries) + _CHECKSUM
    checksum = hashlib.sha256()
    pieces: list[Any] = [_HEAD.pack(MAGIC, VERSION, len(directory), size), directory]
    pieces += [array.reshape(-1).view(np.uint8).data for _, array in entries]
    for piece in pieces:
        checksum.update(piece)
        yield piece
    yield checksum.digest()


def digest(values: Values) -> str:
    """Return 64 hexadecimal digits, the same for two files if and only if their runs are at the same point.

    Horizon, machine, number of sessions and the like do not count.
    """
    checksum = hashlib.sha256()
    for field, array in _arrays(values):
        if field.hashed:
            checksum.update(f"{field.name} {field.dtype} {array.shape}\n".encode())
            checksum.update(array.tobytes())
    return checksum.hexdigest()


def _decoded(contents: bytes) -> dict[str, Any]:
    """Return the values in a file, or say what is wrong with it."""
    if not contents.startswith(MAGIC) or len(contents) < _HEAD.size + _CHECKSUM:
        raise CheckpointError("not a twonn checkpoint, or only the beginning of one.")
    _, version, listed, size = _HEAD.unpack_from(contents)
    if size != len(contents):
        raise CheckpointError(f"damaged: it has {len(contents):,} bytes and should have {size:,}.")
    if hashlib.sha256(memoryview(contents)[:-_CHECKSUM]).digest() != contents[-_CHECKSUM:]:
        raise CheckpointError("damaged: its contents do not have its checksum.")
    if version > VERSION:
        raise CheckpointError(
            f"of format version {version}, while this twonn reads versions up to {VERSION}. "
            "Use the twonn that wrote it, or a newer one."
        )
    try:
        return _checked(_with_later_fields(_named(_entries(contents, listed)), version))
    except Exception as error:  # the checksum is right: whoever wrote this was not twonn
        raise CheckpointError(f"not what a checkpoint has to be ({error}).") from error


def _entries(contents: bytes, listed: int) -> Iterator[tuple[str, Any]]:
    at, end = _HEAD.size + listed, len(contents) - _CHECKSUM
    for entry in json.loads(contents[_HEAD.size : at]):
        text = entry["dtype"] == "text"
        dtype = np.dtype(np.uint8 if text else entry["dtype"])
        count = math.prod(entry["shape"])
        if dtype.hasobject or not 0 <= count * dtype.itemsize <= end - at:
            raise ValueError(f"{entry['name']} does not fit")
        array = np.frombuffer(contents, dtype, count, at).reshape(entry["shape"])
        at += array.nbytes
        yield entry["name"], array.tobytes().decode() if text else array
    if at != end:
        raise ValueError(f"{end - at} bytes too many")


def _named(entries: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in entries:
        if name in values:
            raise ValueError(f"{name} is there twice")
        values[name] = value
    return values


def _with_later_fields(values: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the values of a file of this version with those that only later ones have."""
    later = [field for field in _fields_for(_is_gd(values)) if field.since > version]
    if not values.keys().isdisjoint(field.name for field in later):
        raise ValueError("its fields are not those of its version")
    for field in later:
        assert field.before is not None
        value = field.before(values)
        values[field.name] = value if field.dtype == "text" else np.array(value, field.dtype)
    return values


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values if they are what the tables declare, and ask what can be asked."""
    gd = _is_gd(values)
    fields = _fields_for(gd)
    if values.keys() != {field.name for field in fields}:
        raise ValueError("its fields are not those of its version")
    lengths = _lengths(values)
    for field in fields:
        value = values[field.name]
        if field.dtype == "text":
            if not isinstance(value, str):
                raise ValueError(f"{field.name} is no text")
            continue
        shape = tuple(lengths[size] if isinstance(size, str) else size for size in field.shape)
        if isinstance(value, str) or value.dtype != np.dtype(field.dtype) or value.shape != shape:
            raise ValueError(f"{field.name} has another type or shape")
        if not _is_within(field, value):
            raise ValueError(f"{field.name} is out of bounds")
    question_of(values)
    provenance_of(values["provenance"])
    interval(json.loads(values["checkpoint_every"]))
    for relation in RELATIONS:
        if relation.of in ("all", "gd" if gd else "other") and not relation.holds(values):
            raise ValueError(f"it does not hold that {relation.meaning}")
    return values


def _is_within(field: Field, value: np.ndarray[Any, Any]) -> bool:
    least, most = field.least, field.most
    if value.dtype.kind == "f":
        least = -sys.float_info.max if least is None else least
        most = sys.float_info.max if most is None else most
    inside = np.ones(value.shape, bool)
    if least is not None:
        inside &= value >= np.asarray(least)
    if most is not None:
        inside &= value <= np.asarray(most)
    if field.nan:
        inside |= np.isnan(value)
    return bool(inside.all())


# --------------------------------------------------------------------------------------------------
# Files


def is_checkpoint(path: Path) -> bool:
    """Whether a file begins like a checkpoint."""
    try:
        with regular(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, CheckpointError):
        return False


def read(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return what is in a checkpoint, and, if that is the previous generation, why.

    Raises
    ------
    CheckpointError
        If neither is readable.
    """
    try:
        return _read_one(path), None
    except CheckpointError as error:
        try:
            return _read_one(previous(path)), str(error)
        except CheckpointError:
            raise error from None


def _read_one(path: Path) -> dict[str, Any]:
    try:
        with regular(path) as file:
            contents = file.read(len(MAGIC))
            if contents == MAGIC:  # and else not all of it, however large
                contents += file.read()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    try:
        return _decoded(contents)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def write(path: Path, values: Values, lock: Lock, *, keep: bool = True) -> None:
    """Write a checkpoint whose lock is held; the one before is kept beside it, unless it is not worth that.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is there still.
    """
    with replacing(path, lock, keep) as file:
        for piece in _pieces(values):
            file.write(piece)


# --------------------------------------------------------------------------------------------------
# How often


_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_INTERVAL = re.compile(rf"(?P<number>\d+(\.\d+)?)\s*(?P<unit>{'|'.join(_UNITS)})")


def interval(every: object) -> tuple[float, int | None]:
    """Return how many seconds, or how many steps, lie between checkpoints: inf or None for the other one."""
    expected = "a number of steps >= 1, or a time > 0 such as '60s', '10min' or '2h'"
    if not isinstance(every, str):
        try:
            return math.inf, whole_number("checkpoint_every", every, least=1, fix="")
        except (TypeError, ValueError) as error:
            raise type(error)(refusal("checkpoint_every", every, expected, "Write e.g. '60s'.")) from None
    match = _INTERVAL.fullmatch(every.strip())
    if not match or float(match["number"]) == 0:
        raise ValueError(refusal("checkpoint_every", every, expected, "Write e.g. '60s'."))
    return float(match["number"]) * _UNITS[match["unit"]], None


def described(field: Field) -> tuple[str, ...]:
    """Return the row of a field in docs/format.md."""
    shape = ", ".join(map(str, field.shape))
    runs = {"all": "all", "gd": "gd", "other": "other optimizers"}[field.of]
    hashed = "yes" if field.hashed else "no"
    return (field.name, field.dtype, f"({shape})", runs, str(field.since), hashed, field.meaning)
