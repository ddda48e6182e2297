"""Trajectories in files: what a file holds, and checks that it holds nothing else."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from twonn import _core
from twonn.config import provenance_of
from twonn.files import CheckpointError, is_checkpoint, regular, replacing, what_it_is
from twonn.problem.params import Params
from twonn.problem.problem import Problem, problem_dict
from twonn.problem.runspec import MAX_DIRECT, RunOptions, RunSpec, read_steps
from twonn.results.records import SEGMENT, SLIDE, TRANSITION, Status
from twonn.results.states import pairs_of
from twonn.values import Floats

#: The format, and the one before it, which is read too.
_FORMAT, _FORMER = "twonn trajectory 5", "twonn trajectory 4"


@dataclass(frozen=True)
class _Stored:
    """An attribute that is stored as it is.

    A letter in the shape is a length: n samples, of q numbers each. A list has so many rows at most.
    `sound` tells whether the contents can be an attribute's. In files of the former format it may be `called`
    something else, and `made` into the attribute.
    """

    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]
    sound: Callable[[NDArray[Any]], Any]
    called: str | None = None
    made: Callable[[NDArray[Any]], NDArray[Any]] | None = None


def _are_dates(values: Floats) -> bool:
    return not np.any(np.isnan(values)) and bool(np.all(values[1:] >= values[:-1]))


def _are_patterns(values: NDArray[np.uint8]) -> bool:
    return bool(np.all(values < 16))


def _are_transitions(rows: NDArray[np.void]) -> bool:
    return (
        _are_patterns(rows["before"])
        and _are_patterns(rows["after"])
        and not any(np.any(np.isnan(rows[name])) for name in ("t", "log_t", "t_low", "t_high"))
    )


def _are_slides(rows: NDArray[np.void]) -> bool:
    neuron, point, t_enter, t_exit = (rows[name] for name in (rows.dtype.names or ())[:4])
    return bool(np.all((neuron < 2) & (point < 2) & (t_enter <= t_exit)))


def _are_segments(rows: NDArray[np.void]) -> bool:
    return bool(np.all(np.isin(rows["engine"], ("direct", "leap", "slide", "mixed")) & (rows["blocks"] > 0)))


_STORED: dict[str, _Stored] = {
    "t": _Stored(np.dtype(np.float64), ("n",), lambda t: t[0] >= 0 and _are_dates(t)),
    "log_t": _Stored(np.dtype(np.float64), ("n",), _are_dates),
    "states": _Stored(np.dtype(np.float64), ("n", "q"), lambda states: np.all(np.isfinite(states))),
    "pattern": _Stored(np.dtype(np.uint8), ("n",), _are_patterns),
    "transitions": _Stored(TRANSITION, (_core.TRANSITIONS_KEPT,), _are_transitions),
    "n_transitions": _Stored(np.dtype(np.int64), (), lambda number: number >= 0),
    "n_transitions_exact": _Stored(np.dtype(np.bool_), (), lambda exact: True),
    "transition_counts": _Stored(np.dtype(np.int64), (16, 16), lambda counts: np.all(counts >= 0)),
    "slides": _Stored(SLIDE, (_core.SLIDES_KEPT,), _are_slides),
    "phase_unknown": _Stored(np.dtype(np.bool_), ("n", 2, 2), lambda unknown: True),
    "segments": _Stored(SEGMENT, (_core.SEGMENTS_KEPT,), _are_segments),
    "error_bound": _Stored(np.dtype(np.float64), (), lambda bound: bound >= 0),
}


#: The same of the former format: a point was a "sample" in slides, and the pairs were coded like a pattern.
_STORED_BEFORE = {
    **_STORED,
    "slides": _Stored(
        np.dtype([("sample" if name == "point" else name, SLIDE[name]) for name in SLIDE.names or ()]),
        (_core.SLIDES_KEPT,),
        _are_slides,
        made=lambda rows: rows.view(SLIDE),
    ),
    "phase_unknown": _Stored(
        np.dtype(np.uint8), ("n",), _are_patterns, called="unphased", made=lambda codes: pairs_of(codes)
    ),
}


def write_archive(path: Path, values: Mapping[str, Any]) -> None:
    """Write the fields of a trajectory, and whatever else is to be in the file.

    Raises
    ------
    OSError
        If it cannot be written; it appears under its name only when it is complete.
    """
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **values)


def encoded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays that the fields of a trajectory are in a file."""
    spec: RunSpec = fields["spec"]
    options = spec.options.to_dict()
    horizon, optimizer = options.pop("horizon"), options.pop("optimizer")
    return {
        "format": np.array(_FORMAT),
        "problem": np.array(json.dumps(problem_dict(spec.problem))),
        "optimizer": np.array(json.dumps(optimizer)),
        "options": np.array(json.dumps(options)),
        "provenance": np.array(json.dumps(dict(fields["provenance"]))),
        "start_w": spec.params.w,
        "start_b": spec.params.b,
        "start_v": spec.params.v,
        "horizon": np.array(horizon),
        "end_step": np.array(hex(fields["end_step"])),
        "status": np.array(fields["status"].value),
        "obstacle": np.array(fields["obstacle"]),
        **{name: np.asarray(fields[name]) for name in _STORED},
    }


def read_archive(path: Path) -> dict[str, Any]:
    """Return the fields of a trajectory that are in a file.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a trajectory.
    """
    try:
        with regular(path) as raw:
            return _read(path, raw)
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file.") from error
    except Exception as error:  # whatever the many layers make of damaged bytes, it is damage
        raise CheckpointError(f"{path}: not a readable twonn trajectory ({error}).") from error


class _Archive:
    """The arrays of an .npz file, of which none is unpacked before what it says it is has been judged.

    Some kilobytes may unpack to gigabytes: only what has the type and the size that is expected is let.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._file = zipfile.ZipFile(raw)

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._file.namelist()

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return the shape and the dtype of an array, once its size is seen to be what they make."""
        with self._file.open(f"{name}.npy") as member:
            shape, dtype, begins = _header(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or self._file.getinfo(f"{name}.npy").file_size != begins + size:
            raise ValueError(f"{name} does not have the size that it declares")
        return shape, dtype

    def array(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an array of this dtype and shape."""
        if self.header(name) != (shape, dtype):
            got = self.header(name)
            raise ValueError(f"{name} has shape {got[0]} and dtype {got[1]}")
        with self._file.open(f"{name}.npy") as member:
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            member.read()  # up to its end, where its checksum is compared
        return np.asarray(array, order="C")

    def text(self, name: str, most: int) -> str:
        """Return a text of at most so many characters."""
        _, dtype = self.header(name)
        if dtype.kind != "U" or dtype.itemsize > 4 * most:
            raise ValueError(f"{name} is not a text of at most {most:,} characters")
        return str(self.array(name, dtype, ()))


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape and dtype of an .npy file, and where its contents begin."""
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("the arrays are not of the version that Trajectory.save writes")
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    return shape, dtype, member.tell()


#: Characters that the longest text may have; a million digits of the steps, and names, options and versions.
_LONGEST_STEPS, _LONGEST_TEXT = 1_000_000, 100_000


def _read(path: Path, raw: BinaryIO) -> dict[str, Any]:
    if is_checkpoint(path):
        raise CheckpointError(f"{path}: {what_it_is(path)}")
    if not zipfile.is_zipfile(raw):
        raise CheckpointError(f"{path}: not an .npz file that Trajectory.save has written.")
    raw.seek(0)
    file = _Archive(raw)
    written_as = file.text("format", _LONGEST_TEXT)
    if written_as not in (_FORMAT, _FORMER):
        raise CheckpointError(
            f"{path}: format {written_as[:80]!r} is not {_FORMAT!r} or {_FORMER!r}, which this version reads."
        )
    table = _STORED if written_as == _FORMAT else _STORED_BEFORE
    dimension = file.header("start_w")[0][-1]
    optimizer = json.loads(file.text("optimizer", _LONGEST_TEXT))
    lengths = {
        "n": file.header("t")[0][0],
        "q": _core.STATE_SIZE if optimizer["name"] == "gd" else 4 * dimension + 8,
    }
    shapes = {
        name: _expected_shape(file, stored.called or name, stored, lengths) for name, stored in table.items()
    }
    # A number has up to 24 characters, beside a comma and a space.
    problem = Problem(**json.loads(file.text("problem", _LONGEST_TEXT + 2 * 26 * dimension)))
    if dimension != problem.dimension:
        raise ValueError(f"start_w has shape {file.header('start_w')[0]}")
    real = np.dtype(np.float64)
    params = Params(
        w=file.array("start_w", real, (2, dimension)),
        b=file.array("start_b", real, (2,)),
        v=file.array("start_v", real, (2,)),
    )
    obstacle = file.text("obstacle", _LONGEST_TEXT) if "obstacle" in file else ""  # earlier files have none
    if not obstacle.isprintable():
        raise ValueError("obstacle is not printable")
    horizon = file.text("horizon", _LONGEST_STEPS)
    texts = {
        "end_step": read_steps("end_step", file.text("end_step", _LONGEST_STEPS)),
        "status": Status(file.text("status", _LONGEST_TEXT)),
        "provenance": provenance_of(file.text("provenance", _LONGEST_TEXT)),
        "obstacle": obstacle,
    }
    stored = {name: _read_one(file, name, table[name], shape) for name, shape in shapes.items()}
    if stored["t"][0] != 0 and texts["status"] is not Status.EXTERNAL:
        raise ValueError("t has entries that no run records")
    options = _former_options(stored) if written_as == _FORMER else _options(file, stored["log_t"])
    options |= {"optimizer": optimizer, "horizon": horizon}
    return {"spec": RunSpec(problem, params, RunOptions.from_dict(options)), **texts, **stored}


def _options(file: _Archive, log_t: Floats) -> dict[str, Any]:
    """Return how it was run, apart from the optimizer and the horizon."""
    # The steps that were asked for are among those recorded; each is a hexadecimal number in quotes.
    digits = np.sum(np.maximum(log_t, 0) / math.log(16) + 10)
    return dict(json.loads(file.text("options", _LONGEST_TEXT + int(digits))))


def _former_options(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be told of that in a file of the former format, which does not say it."""
    stepped = np.all(stored["segments"]["engine"] == "direct")
    return {
        "engine": "direct" if stepped else "auto",
        "sliding": "average",
        "samples_per_decade": None,
        "sample_steps": None,
        "max_direct": MAX_DIRECT,
    }


def _expected_shape(
    file: _Archive, name: str, stored: _Stored, lengths: Mapping[str, int]
) -> tuple[int, ...]:
    """Return the shape that an array should have, judged by what it says before it is unpacked."""
    shape = tuple(lengths[size] if isinstance(size, str) else size for size in stored.shape)
    got, dtype = file.header(name)
    if len(shape) == 1 and isinstance(stored.shape[0], int) and len(got) == 1:
        shape = (min(got[0], shape[0]),)
    if lengths["n"] == 0 or (got, dtype) != (shape, stored.dtype):
        raise ValueError(f"{name} has shape {got} and dtype {dtype}")
    return shape


def _read_one(file: _Archive, name: str, stored: _Stored, shape: tuple[int, ...]) -> Any:
    array = file.array(stored.called or name, stored.dtype, shape)
    if not stored.sound(array):
        raise ValueError(f"{name} has entries that no run records")
    if stored.made is not None:
        array = stored.made(array)
    return array if shape else array.item()
