"""Files from which a run goes on to the same bits: the format, and recovery from the one before.

The format is described in docs/format.md. One table, `FIELDS`, declares all that is in a file; writer,
reader, digest, ``twonn inspect`` and that document derive from it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from twonn.arguments import ArgumentError
from twonn.config import provenance_of
from twonn.engine.fields import FORMERLY, RELATIONS, VERSION, Field, Values, fields_for, is_gd, lengths_of
from twonn.files import MAGIC, CheckpointError, Lock, previous, regular, replacing
from twonn.problem.horizon import whole_steps
from twonn.problem.problem import Problem
from twonn.problem.runspec import RunSpec

__all__ = ["digest", "interval", "read", "write"]

#: Magic, version, bytes of the directory, bytes of the file.
_HEAD = struct.Struct("<8sIIQ")

_CHECKSUM = hashlib.sha256().digest_size


_PROBLEM = tuple(field.name for field in dataclasses.fields(Problem))


def values_of(spec: RunSpec) -> dict[str, Any]:
    """Return the fields that say what is asked."""
    problem, params = spec.problem, spec.params
    options = spec.options.to_dict()
    density = options["samples_per_decade"]
    return {
        **{name: getattr(problem, name) for name in _PROBLEM},
        "start_w": params.w,
        "start_b": params.b,
        "start_v": params.v,
        **options,
        "optimizer": json.dumps(options["optimizer"]),
        "samples_per_decade": math.nan if density is None else density,
        "sample_steps": json.dumps(options["sample_steps"]),
    }


def spec_of(values: Values) -> RunSpec:
    """Return what is asked in a file; any error means that it is none that was written."""
    kinds = {"step_size": float, "bias": bool, "train_output": bool}
    density = float(values["samples_per_decade"])
    return RunSpec.from_dict(
        {
            **values,
            "problem": {name: kinds.get(name, lambda value: value)(values[name]) for name in _PROBLEM},
            "start": {name: values[f"start_{name}"] for name in ("w", "b", "v")},
            "optimizer": json.loads(values["optimizer"]),
            "samples_per_decade": None if math.isnan(density) else density,
            "sample_steps": json.loads(values["sample_steps"]),
            "max_direct": int(values["max_direct"]),
        }
    )


def _arrays(values: Values) -> Iterator[tuple[Field, np.ndarray[Any, Any]]]:
    """Go through what is in a file, in its order, as it is there."""
    for field in fields_for(is_gd(values)):
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
        return _checked(_with_later_fields(_renamed(_named(_entries(contents, listed)), version), version))
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


def _renamed(values: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the values of a file of this version by their present names."""
    if version > 2:
        return values
    now = {then: name for name, then in FORMERLY.items()}
    if not values.keys().isdisjoint(FORMERLY):
        raise ValueError("its fields are not those of its version")
    return {now.get(name, name): value for name, value in values.items()}


def _with_later_fields(values: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the values of a file of this version with those that only later ones have."""
    later = [field for field in fields_for(is_gd(values)) if field.since > version]
    if not values.keys().isdisjoint(field.name for field in later):
        raise ValueError("its fields are not those of its version")
    for field in later:
        assert field.before is not None
        value = field.before(values)
        values[field.name] = value if field.dtype == "text" else np.array(value, field.dtype)
    return values


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values if they are what the tables declare, and ask what can be asked."""
    gd = is_gd(values)
    fields = fields_for(gd)
    if values.keys() != {field.name for field in fields}:
        raise ValueError("its fields are not those of its version")
    lengths = lengths_of(values)
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
    spec_of(values)
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


def read(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return what is in a checkpoint, and, if that is the previous generation, why.

    Raises
    ------
    CheckpointError
        If neither is readable.
    """
    try:
        return read_one(path), None
    except CheckpointError as error:
        try:
            return read_one(previous(path)), str(error)
        except CheckpointError:
            raise error from None


def read_one(path: Path) -> dict[str, Any]:
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

_INTERVAL = re.compile(rf"(?P<number>[0-9]+(\.[0-9]+)?)\s*(?P<unit>{'|'.join(_UNITS)})")


def interval(every: object) -> tuple[float, int | None]:
    """Return how many seconds, or how many steps, lie between checkpoints: inf or None for the other one."""
    match = _INTERVAL.fullmatch(every.strip()) if isinstance(every, str) else None
    if match and float(match["number"]) > 0:
        return float(match["number"]) * _UNITS[match["unit"]], None
    try:
        return math.inf, whole_steps("checkpoint_every", every, least=1)
    except ArgumentError as error:
        expected = "a number of steps >= 1, or a time > 0 such as '60s', '10min' or '2h'"
        raise type(error)("checkpoint_every", every, expected, "Write e.g. '60s' or 10**9.") from None
