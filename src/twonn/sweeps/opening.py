"""Opens the store of a sweep, or makes it; mends what is damaged of it, or says what else is there."""

from __future__ import annotations

import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twonn.arguments import ArgumentValueError, Verbatim, checked_path, required
from twonn.files import make_durable, naming
from twonn.problem.horizon import written_steps
from twonn.sweeps.layout import Layout, described
from twonn.sweeps.metadata import (
    COORDINATES,
    DIGEST_SIZE,
    FORMAT,
    MARKS,
    NAMES,
    SEAL,
    digest_of,
    json_in,
    root_of,
    seal,
    sha256_of,
)
from twonn.sweeps.store import Store


def open_store(path: Path, layout: Layout, chunk_size: int | None = None) -> Store:
    """Open the store at `path`, or make one there; any number of processes may do so at once.

    Parameters
    ----------
    path : Path
    layout : Layout
        Of a new one. One that is there keeps its own chunk size.
    chunk_size : int, optional
        What was asked for.

    Raises
    ------
    ValueError
        If something else is there: another kind of file, the store of another sweep, one with other chunks.
    OSError
        If it cannot be written.

    Warns
    -----
    RuntimeWarning
        If its metadata was damaged, and has been written again.
    """
    held = _held(path)
    while held is None:
        _create(path, layout)
        held = _held(path)
    if held.get("format", FORMAT) != FORMAT:
        raise _earlier(path, held["format"])
    spec, size = held["spec"], int(held["chunk_size"])
    if spec != layout.attributes["spec"]:
        raise _difference(path, json.loads(spec), json.loads(layout.attributes["spec"]))
    if chunk_size is not None and min(chunk_size, layout.runs) != size:
        expected = f"{size}, the chunk size of the store"
        raise ArgumentValueError("chunk_size", chunk_size, expected, "Leave it out, or give another folder.")
    if root_of(path) is not None:
        store = Store(path)
        _check_columns(store, layout)
        if not any(store.faults_beforehand()):
            return store
    _mend(path, replace(layout, chunk_size=size))
    return Store(path)


def _check_columns(store: Store, layout: Layout) -> None:
    """Refuse what another version has begun, which kept more of a run, or less."""
    if different := sorted(set(store.names) ^ set(layout.columns)):
        got = Verbatim(f"{store.path}, of another version of twonn")
        expected = f"a store with the same columns, and not one that differs in {', '.join(different)}"
        raise ArgumentValueError("store", got, expected, "Give another folder; this one can still be read.")


def _earlier(path: Path, held: str) -> ArgumentValueError:
    """Return the error that refuses a store of an earlier format, which is read only."""
    return ArgumentValueError(
        "store",
        Verbatim(f"{path}, of an earlier format ({held!r}), in which no sweep continues"),
        f"a new or empty folder, or a store of this version ({FORMAT!r})",
        "Give another folder; twonn.load still opens this one.",
    )


def _held(path: Path) -> Mapping[str, Any] | None:
    """Return format, spec and chunk size of the store at `path`; None where there is nothing yet.

    Raises
    ------
    ValueError
        If something else is there.
    """
    checked_path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    root = root_of(path)
    if root is not None:
        return dict(root["attributes"])
    try:  # the second copy
        held = json_in(path / MARKS / "zarr.json")["attributes"]
        if held["format"] == FORMAT and sha256_of(held["spec"]) == held["spec_sha256"]:
            return {"spec": held["spec"], "chunk_size": int(held["chunk_size"])}
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    expected = f"a new or empty folder, or a store of this version ({FORMAT!r})"
    raise ArgumentValueError("store", str(path), expected, "Give another folder.")


def _create(path: Path, layout: Layout) -> None:
    """Make an empty store; it appears under its name only when it is whole, once, whoever makes it."""
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    place.parent.mkdir(parents=True, exist_ok=True)
    with _made(place, layout) as made:
        try:
            os.replace(made, place)
        except OSError:
            if not (place.is_dir() and any(place.iterdir())):
                raise
            return  # another process was faster
    make_durable(place.parent)


def _mend(path: Path, layout: Layout) -> None:
    """Write the metadata and the coordinates again."""
    warnings.warn(
        f"{path}: its metadata or its coordinates were damaged, and are written again.",
        RuntimeWarning,
        stacklevel=5,
    )
    with _made(path, layout) as made:
        # The second copy last, so that one of the two is there always.
        files = sorted(made.rglob("*"), key=lambda file: MARKS in file.parts)
        for file in (file for file in files if file.is_file()):
            place = path / file.relative_to(made)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, place)
            make_durable(place.parent)


@contextmanager
def _made(path: Path, layout: Layout) -> Iterator[Path]:
    """Give an empty store beside `path`, durable, which is removed in the end if it is there still."""
    zarr = required("zarr", "A sweep with a store", "sweep")
    made = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with naming(path):
            _make(zarr, made, layout)
            for one in (made, *made.rglob("*")):
                make_durable(one)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _make(zarr: Any, path: Path, layout: Layout) -> None:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    codecs = [ZstdCodec(), Crc32cCodec()]
    held = {
        "format": FORMAT,
        "spec": layout.attributes["spec"],
        "spec_sha256": layout.attributes["spec_sha256"],
        "chunk_size": layout.chunk_size,
    }
    coordinates = " ".join(layout.auxiliary())  # as the CF conventions have it
    group = zarr.create_group(path, attributes={**layout.attributes, **held, "coordinates": coordinates})
    for name, column in layout.columns.items():
        shape = layout.shape(column)
        group.create_array(
            name,
            shape=shape,
            chunks=(min(layout.chunk_size, layout.runs), *shape[1:]),
            dtype=column.dtype,
            fill_value=column.fill,
            dimension_names=("run", *column.dimensions),
            attributes=described(column),
            compressors=codecs,
        )
    digests = {}
    for name, (dimensions, values, named) in layout.coordinates.items():
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype=values.dtype,
            fill_value=np.nan if values.dtype.kind == "f" else -1,  # no number that could be one of them
            dimension_names=dimensions,
            attributes=named,
            compressors=codecs,
        )
        array[...] = values
        digests[name] = digest_of(held["spec_sha256"], name, 0, values).hex()
    group.create_array(
        MARKS,
        shape=(layout.chunks, len(layout.columns), DIGEST_SIZE),
        chunks=(1, len(layout.columns), DIGEST_SIZE),
        dtype=np.uint8,
        fill_value=0,
        dimension_names=("chunk", "array", "byte"),
        attributes={
            "units": "1",
            "long_name": "SHA-256 of what a chunk of runs holds of each array; 0 while it is not complete",
            **held,
            NAMES: list(layout.columns),
            COORDINATES: digests,
        },
        compressors=codecs[1:],
    )
    root = json.loads((path / "zarr.json").read_bytes())
    names = (*layout.columns, *layout.coordinates, MARKS)
    root["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {name: json.loads((path / name / "zarr.json").read_bytes()) for name in names},
    }
    root["attributes"][SEAL] = seal(root)
    (path / "zarr.json").write_text(json.dumps(root, indent=2), encoding="utf-8")


# --------------------------------------------------------------------------------------------------
# Two specs


def _difference(path: Path, held: Mapping[str, Any], asked: Mapping[str, Any]) -> ArgumentValueError:
    """Return the error that names what a store holds and what was asked for instead."""
    name = next(key for key in (*asked, *held) if held.get(key) != asked.get(key))
    theirs, ours = held.get(name), asked.get(name)
    if name == "problems" and isinstance(theirs, Sequence) and isinstance(ours, Sequence):
        theirs, ours = _first_difference(theirs, ours)
    return ArgumentValueError(
        "store",
        Verbatim(f"{path}, which holds another sweep, with {name} = {_shown(name, theirs)}"),
        f"a store of this one, with {name} = {_shown(name, ours)}",
        "Give another folder, or ask for what this one holds.",
    )


def _first_difference(theirs: Sequence[Any], ours: Sequence[Any]) -> tuple[Any, Any]:
    if len(theirs) != len(ours):
        return f"{len(theirs)} problems", f"{len(ours)} problems"
    pair = next((one, other) for one, other in zip(theirs, ours, strict=True) if one != other)
    keys = [key for key in pair[1] if pair[0].get(key) != pair[1][key]]
    return tuple({key: one.get(key) for key in keys} for one in pair)  # type: ignore[return-value]


def _shown(name: str, value: Any) -> str:
    return written_steps(int(value, 16)) if name == "steps" and value is not None else str(value)
