"""Everything that is in a checkpoint, field by field, and what has to hold between the fields."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twonn import _core
from twonn.problem.horizon import LARGEST_COUNT
from twonn.problem.runspec import MAX_DIRECT

#: Of the format. A file of any earlier one is read too.
VERSION = 3

#: Time between checkpoints, if nothing else is asked.
CHECKPOINT_EVERY = "60s"

#: What a file holds, by name: numbers as arrays, and texts.
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """One piece of a file.

    Attributes
    ----------
    name : str
    dtype : str
        As NumPy writes it, little-endian, or "text" for UTF-8.
    shape : tuple of int or str
        A letter is a length that other fields tell: see `lengths_of`.
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


def _state(name: str, meaning: str, least: Bound = None, most: Bound = None, of: str = "gd") -> Field:
    """Return a field of what the kernel declares to be the state of a run: type, shape and, often, bounds."""
    declared: np.dtype[Any] = _core.STATE_DTYPES["gd" if of == "all" else of][name]
    if name in _core.LIMITS:
        least, most = _core.LIMITS[name]
    dtype = declared.base.newbyteorder("<").str
    return Field(name, dtype, declared.shape, meaning, of, True, least, most)


def _since(version: int, field: Field, before: Callable[[Values], Any]) -> Field:
    return replace(field, since=version, before=before)


#: What binary64 arithmetic with twice its precision needs the parameters to be below, as the kernel sees to.
_LARGEST = math.nextafter(2.0**996, 0.0)

#: More than can ever be counted.
_MANY = 2**62

_INF = math.inf


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
    _state("step", "steps taken; -1 beyond 2^63 - 1", of="all"),
    _state("log_step", "their natural logarithm, kept up only beyond", -_INF),
    _state(
        "state",
        "C_jk (2 x 2), what rounding left out of it (2 x 2), v (2), its rounding (2)",
        -_LARGEST,
        _LARGEST,
    ),
    _state("obstacle", "why a leap was last not possible", 0, 3),
    _state("error", "bound on what leaping without averaging added to the parameters", 0, _INF),
    _state("averaging_error", "what averaging may have added", 0, _INF),
    _state("averaged", "1 if a leap averaged over a sawtooth", 0, 1),
    _since(
        2,
        _state("uncounted", "1 if transitions were left out of the count", 0, 1),
        lambda values: values["averaged"],
    ),
    _since(
        2,
        _state("converged_step", "step from which nothing changes; -1 beyond 2^63 - 1 or if none", -1),
        lambda values: -1,
    ),
    _since(
        2,
        _state("converged_log", "its natural logarithm, meant only beyond; -inf if there is none", -_INF),
        lambda values: -math.inf,
    ),
    _state("length_index", "entry of the table of leap lengths to try next"),
    _state("credit", "what tries of a leap may cost in vain, in steps", -_MANY, _MANY),
    _state("walked", "steps taken since the last leap", 0, _MANY),
    _since(
        2,
        _state("spent", "steps taken one by one, and what leaps cost in such steps", 0, _MANY),
        lambda values: 0,
    ),
    _state(
        "settled_since", "logarithm of the step since when the pushes have been near their limits", 0, _INF
    ),
    _state("width", "bracket of the present block's transitions, in steps", 0, _INF),
    _state("dated_by_leap", "1 if the last leap ended behind a transition", 0, 1),
    _state("leap_date", "its step, the logarithm, and the bounds of the step", -_INF, _INF),
    _state("date_error", "steps by which the run may be too early, too late"),
    _state("mean_pairs", "pairs that slide and whose pre-activation is a mean, coded like a pattern"),
    _state("phase_unknown", "those whose phase in the sawtooth is unknown since"),
    _state("unwatched", "blocks since the last look for slides", 0),
    _state("sliding_candidates", "pairs that slid at the last look"),
    _state("episode", "row of each neuron's episode of sliding; -1 if none"),
    _state("entered", "when that began", 0, _INF),
    _state("first_flip", "first flip of its units since the last look; -1 if none", -1, _INF),
    _state("last_flip", "the last", -1, _INF),
    Field(
        "moving",
        "<f8",
        (4, "p"),
        "parameters, their rounding, first and second moments",
        "other",
        least=-_INF,
        most=_INF,
    ),
    _state("powers", "beta1^t and beta2^t, as long as they count beside 1", 0, 1, of="other"),
    _state("last_pattern", "activation pattern last noted; -1 before the first", of="all"),
    # what is recorded
    _state("n_samples", "n: number of samples", of="all"),
    _state("n_transitions", "number of transitions, of which k are recorded", of="all"),
    _state("n_segments", "m: number of segments by engine"),
    _state("n_slides", "number of episodes of sliding, of which e are recorded"),
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
    _gd("phase_unknown_then", "u1", ("n",), "like phase_unknown", most=15),
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
    _gd("slides", "<f8", ("e", 5), "neuron, point, step entered, step left, active fraction", *_EPISODE),
    _gd("late_slides", "<f8", (2, 5), "place for each neuron's episode once 1,024 are recorded", *_EPISODE),
)

#: What fields were called up to version 2.
FORMERLY = {
    "length_index": "length",
    "settled_since": "calm",
    "dated_by_leap": "crossed",
    "leap_date": "crossing",
    "date_error": "lag",
    "mean_pairs": "held",
    "phase_unknown": "unphased",
    "sliding_candidates": "caught",
    "phase_unknown_then": "unphased_then",
}


#: What there is one row of for every sample.
PER_SAMPLE = {field.name for field in FIELDS if field.shape[:1] == ("n",)}


def fields_for(gd: bool) -> list[Field]:
    """Return the fields in files of gradient descent, or of other optimizers."""
    return [field for field in FIELDS if field.of in ("all", "gd" if gd else "other")]


def lengths_of(values: Values) -> dict[str, int]:
    """Return the lengths that letters stand for in the shapes of the table."""
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
    if is_gd(values):
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
    codes = (int(values[name]) for name in ("mean_pairs", "sliding_candidates"))
    return not any(code & code >> 1 & 5 for code in codes)


def _is_averaged(values: Values) -> bool:
    pairs = values["mean_pairs"] or values["phase_unknown"]
    return bool(values["averaged"] or not (pairs or np.any(values["segments"][:, 0] == _core.AVERAGED)))


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
        whose, point, _, left, _ = rows[place].tolist()
        if whose != neuron or left != math.inf:
            return False
        if not int(values["sliding_candidates"]) >> (2 * neuron + int(point)) & 1:
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
    Relation(
        "gd",
        "`mean_pairs` and `sliding_candidates` have at most one point for each neuron",
        _are_codes_of_slides,
    ),
    Relation(
        "gd",
        "`averaged` is 1 if a segment is averaged or `mean_pairs` or `phase_unknown` is not 0",
        _is_averaged,
    ),
    Relation(
        "gd",
        "`uncounted` is 1 if `averaged` is",
        lambda values: bool(values["uncounted"] >= values["averaged"]),
    ),
    Relation("gd", "`slides` and `late_slides` have a neuron, a point, and steps", _are_of_neurons),
    Relation(
        "gd",
        "`episode` is a row of the neuron, not left yet, at the point that `sliding_candidates` has for it",
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


def is_gd(values: Values) -> bool:
    """Whether it is a run of gradient descent."""
    return bool(json.loads(values["optimizer"])["name"] == "gd")


def described(field: Field) -> tuple[str, ...]:
    """Return the row of a field in docs/format.md."""
    shape = ", ".join(map(str, field.shape))
    runs = {"all": "all", "gd": "gd", "other": "other optimizers"}[field.of]
    hashed = "yes" if field.hashed else "no"
    formerly = f"`{FORMERLY[field.name]}`" if field.name in FORMERLY else ""
    return (field.name, field.dtype, f"({shape})", runs, str(field.since), formerly, hashed, field.meaning)
