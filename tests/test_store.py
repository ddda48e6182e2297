"""Stores of sweeps: whatever becomes of their files, disks and processes, no wrong number is ever read."""

import contextlib
import copy
import dataclasses
import errno
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

import twonn
from twonn.sweeps import chunks, plan, summary, writing
from twonn.sweeps.backend import dataset_of
from twonn.sweeps.metadata import MARKS, SEAL, json_in, seal
from twonn.sweeps.store import Store

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
SLIDING = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
STARTS = twonn.initializers.sample("balanced", 6, 11)

#: Three chunks, the second with runs of both problems.
SMALL = {
    "problem": [PAPER, SLIDING],
    "params": STARTS,
    "steps": 10**6,
    "trajectories": ["gap"],
    "chunk_size": 5,
    "executor": "threads:1",
}
CHUNKS, RUNS = 3, 12

SECTION = "Stores of sweeps: files"

#: What must hold, as the page has it.
RIGHT, NAMED, MENDED = "no wrong number is read", "`twonn inspect` names it", "a rerun has the same bits"

#: Of how many files one is checked for that: it takes as long as reading the whole store.
EVERY = 8

#: And what is not promised: what a reader sees who does not use twonn.
CHECKSUM = "plain Zarr notices"


@pytest.fixture(scope="module")
def right() -> dict[str, np.ndarray]:
    result = twonn.sweep(**SMALL)
    return {name: result[name] for name in result._columns.readable}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "store"
    assert twonn.sweep(**SMALL, store=path).complete
    return path


@pytest.fixture
def held(pristine, tmp_path) -> Path:
    """A store of one's own."""
    return Path(shutil.copytree(pristine, tmp_path / "store"))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def assert_same(result: twonn.SweepResult, right: dict[str, np.ndarray]) -> None:
    assert set(result._columns.readable) == set(right)
    for name, values in right.items():
        assert same(result[name], values), name


def is_never_wrong(path: Path, right: dict[str, np.ndarray], names=None) -> bool:
    """Whether what is read is what was computed, said to be missing, or an error."""
    try:
        opened = Store(path)
        done = np.zeros(RUNS, bool)
        for chunk in opened.complete():
            done[slice(*opened.bounds(chunk))] = True
    except twonn.CheckpointError:
        return True
    for name in names or opened.names:
        with contextlib.suppress(twonn.CheckpointError):
            values = opened.read(name)
            if not same(values[done], right[name][done]):
                return False
            if name == "status" and values[~done].any():
                return False
    for name in () if names else opened.coordinates:
        with contextlib.suppress(twonn.CheckpointError):
            if not same(opened.read(name), expected_coordinates()[name]):
                return False
    return True


def expected_coordinates() -> dict[str, np.ndarray]:
    return {
        "run": np.arange(RUNS),
        "problem": np.arange(RUNS) // 6,
        "start": np.arange(RUNS) % 6,
        "optimizer": np.zeros(RUNS, np.int64),
        "step_size": np.array([0.01] * 6 + [0.05] * 6),
    }


def is_named(path: Path) -> bool:
    """Whether a check of all of it finds something."""
    try:
        return any(Store(path).faults())
    except twonn.CheckpointError:
        return True


def is_mended(path: Path, right: dict[str, np.ndarray]) -> bool:
    """Whether the same sweep ends with a store that is whole."""
    result = twonn.sweep(**SMALL, store=path)
    mended = Store(path)
    return (
        result.complete
        and all(same(mended.read(name), values) for name, values in right.items())
        and not is_named(path)
        and not (path / MARKS / "under_way").exists()
    )


def is_right(opened: Store, name: str, values: np.ndarray) -> bool:
    """Whether reading an array of a store that has been opened before is an error, or right."""
    try:
        return same(opened.read(name), values)
    except twonn.CheckpointError:
        return True


def zarr_notices(array: zarr.Array, values: np.ndarray) -> bool:
    """Whether reading an array with Zarr alone is an error, or right."""
    try:
        return same(array[...], values)
    except Exception:
        return True


def chunk_files(path: Path) -> list[tuple[str, int, Path]]:
    """Return the files of all chunks: array, chunk, path."""
    opened = Store(path)
    keys = [(name, chunk, path / opened.key(name, chunk)) for name in opened.names for chunk in range(CHUNKS)]
    return [entry for entry in keys if entry[2].exists()]


def flipped(contents: bytes, bits: int):
    """Give the contents with one bit turned, at so many places evenly spread over them."""
    for n in range(bits):
        place = (8 * len(contents) - 1) * n // (bits - 1)
        changed = bytearray(contents)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


# --------------------------------------------------------------------------------------------------
# Files


def test_bits_of_chunks(held, right, faults):
    fault = faults(SECTION, "a bit of a chunk's file is turned")
    opened, plain = Store(held), zarr.open_group(held, mode="r")
    for number, (name, _, file) in enumerate(chunk_files(held)):
        contents, array = file.read_bytes(), plain[name]
        for changed in flipped(contents, 16):
            file.write_bytes(changed)
            fault.holds(RIGHT, is_right(opened, name, right[name]), file)
            fault.tells(CHECKSUM, zarr_notices(array, right[name]))
        if number % EVERY == 0:
            fault.holds(NAMED, is_named(held), file)
        file.write_bytes(contents)
    for _, _, file in chunk_files(held):
        file.write_bytes(next(flipped(file.read_bytes(), 2)))
    fault.holds(MENDED, is_mended(held, right))


def other_chunk(path: Path, name: str, chunk: int) -> bytes | None:
    """Return what the next chunk of an array has, if that is something else."""
    opened = Store(path)
    mine, other = (path / opened.key(name, one % CHUNKS) for one in (chunk, chunk + 1))
    contents = other.read_bytes() if other.exists() else None
    return None if contents == mine.read_bytes() else contents


#: What becomes of a chunk's file, by name: its new contents from the old ones, or None if it is removed.
WHOLE = {
    "a chunk's file is removed": lambda contents: None,
    "a chunk's file is emptied": lambda contents: b"",
    "a chunk's file is cut to a half": lambda contents: contents[: len(contents) // 2],
    "a chunk's file lacks its last byte": lambda contents: contents[:-1],
    "a chunk's file has another byte at its end": lambda contents: contents + b"\0",
    "a chunk's file is filled with zeros": lambda contents: bytes(len(contents)),
}


def put(file: Path, contents: bytes | None) -> None:
    if contents is None:
        file.unlink()
    else:
        file.write_bytes(contents)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_of_chunks(name, held, right, faults):
    fault, change = faults(SECTION, name), WHOLE[name]
    plain = zarr.open_group(held, mode="r")
    for number, (array, _, file) in enumerate(chunk_files(held)):
        contents = file.read_bytes()
        put(file, change(contents))
        fault.holds(RIGHT, is_never_wrong(held, right, [array]), file)
        if number % EVERY == 0:
            fault.holds(NAMED, is_named(held), file)
        fault.tells(CHECKSUM, zarr_notices(plain[array], right[array]))
        file.write_bytes(contents)
    for _, _, file in chunk_files(held):
        put(file, change(file.read_bytes()))
    fault.holds(MENDED, is_mended(held, right))


def test_chunks_in_each_others_places(held, right, faults):
    fault = faults(SECTION, "a chunk's file is that of another chunk")
    plain = zarr.open_group(held, mode="r")
    for array, chunk, file in chunk_files(held):
        contents, other = file.read_bytes(), other_chunk(held, array, chunk)
        if other is None:
            continue
        file.write_bytes(other)
        fault.holds(RIGHT, is_never_wrong(held, right, [array]), file)
        # What is read may be the same: a chunk of fewer runs is filled up.
        if array.startswith("final") and not same(plain[array][...], right[array]):
            fault.holds(NAMED, is_named(held), file)
        fault.tells(CHECKSUM, zarr_notices(plain[array], right[array]))
        file.write_bytes(contents)
    # All arrays alike, and the marks with them.
    for folder in [one / "c" for one in held.iterdir() if (one / "c" / "1").exists()]:
        (folder / "0").rename(folder / "x")
        (folder / "1").rename(folder / "0")
        (folder / "x").rename(folder / "1")
    fault.holds(RIGHT, is_never_wrong(held, right))
    fault.holds(NAMED, is_named(held))
    fault.holds(MENDED, is_mended(held, right))


def test_chunks_of_another_sweep(held, right, faults, tmp_path):
    fault = faults(SECTION, "a chunk's file is that of another sweep")
    others = twonn.initializers.sample("balanced", 6, 12)
    twonn.sweep(**{**SMALL, "params": others}, store=tmp_path / "other")
    files = {file.relative_to(tmp_path / "other"): file for *_, file in chunk_files(tmp_path / "other")}
    plain = zarr.open_group(held, mode="r")
    for array, _, file in chunk_files(held):
        contents, other = file.read_bytes(), files.get(file.relative_to(held))
        if other is None or other.read_bytes() == contents:
            continue
        file.write_bytes(other.read_bytes())
        fault.holds(RIGHT, is_never_wrong(held, right, [array]), file)
        # What is read may be the same: a chunk of fewer runs is filled up.
        if array.startswith("final") and not same(plain[array][...], right[array]):
            fault.holds(NAMED, is_named(held), file)
        fault.tells(CHECKSUM, zarr_notices(plain[array], right[array]))
        file.write_bytes(contents)
    for name, file in files.items():
        shutil.copyfile(file, held / name)
    for chunk in range(CHUNKS):  # with their marks
        shutil.copyfile(tmp_path / "other" / MARKS / "c" / str(chunk) / "0" / "0", mark_of(held, chunk))
    fault.holds(RIGHT, is_never_wrong(held, right))
    fault.holds(NAMED, is_named(held))
    fault.holds(MENDED, is_mended(held, right))


def mark_of(path: Path, chunk: int) -> Path:
    return path / MARKS / "c" / str(chunk) / "0" / "0"


def test_marks(held, right, faults):
    fault = faults(SECTION, "a chunk's mark is changed, cut, emptied or removed")
    for chunk in range(CHUNKS):
        mark = mark_of(held, chunk)
        contents = mark.read_bytes()
        changes = [
            *flipped(contents, 32),
            contents[:-1],
            b"",
            mark_of(held, (chunk + 1) % CHUNKS).read_bytes(),
        ]
        for changed in changes:
            put(mark, changed)
            fault.holds(RIGHT, is_never_wrong(held, right, ["status", "final_gap", "n_transitions"]), chunk)
            mark.write_bytes(contents)
        for changed in changes[::EVERY]:
            put(mark, changed)
            fault.holds(NAMED, is_named(held), chunk)
            mark.write_bytes(contents)
        mark.unlink()  # which is as if it had never been computed
        fault.holds(RIGHT, is_never_wrong(held, right), chunk)
        fault.holds(MENDED, is_mended(held, right), chunk)
    for chunk in range(CHUNKS):
        put(mark_of(held, chunk), b"")
    fault.holds(MENDED, is_mended(held, right))


@contextlib.contextmanager
def metadata_is_mended():
    with pytest.warns(
        RuntimeWarning, match="its metadata or its coordinates were damaged, and are written"
    ) as caught:
        yield
    assert {warning.filename for warning in caught} == {__file__}  # the caller's line


def test_arrays_that_are_removed(held, pristine, right, faults):
    fault = faults(SECTION, "an array is removed")
    arrays = sorted(one.name for one in held.iterdir() if one.is_dir())
    for number, array in enumerate(arrays):
        shutil.rmtree(held / array)
        fault.holds(RIGHT, is_never_wrong(held, right, [array] if array in right else None), array)
        if number % EVERY == 0:
            fault.holds(NAMED, is_named(held), array)
        if array in ("final_gap", "gap", "status", "step_size", MARKS):
            with metadata_is_mended():
                fault.holds(MENDED, is_mended(held, right), array)
        else:
            shutil.copytree(pristine / array, held / array)
    for array in arrays:
        if array != "status":
            shutil.rmtree(held / array)
    with metadata_is_mended():
        fault.holds(MENDED, is_mended(held, right))


@pytest.mark.parametrize("array", ["", "final_gap", "run", MARKS])
def test_metadata(array, held, right, faults):
    what = f"of {'a column' if array == 'final_gap' else 'a coordinate' if array == 'run' else 'the marks'}"
    fault = faults(SECTION, f"the metadata {what if array else 'of the whole'} is changed, cut or removed")
    file = held / array / "zarr.json"
    contents = file.read_bytes()
    parsed = json.loads(contents)
    changes = [*flipped(contents, 64), contents[: len(contents) // 2], b"", b"{}", b"[]", None]
    mended = {0, 21, 42, *range(64, len(changes))}  # it takes a while
    for number, changed in enumerate(changes):
        put(file, changed)
        fault.holds(RIGHT, is_never_wrong(held, right, ["status", "final_gap"]), number)
        with contextlib.suppress(ValueError):
            if changed is not None and json.loads(changed) == parsed:  # white space
                continue
        fault.holds(NAMED, is_named(held), number)
        if number in mended:
            with metadata_is_mended():
                fault.holds(MENDED, is_mended(held, right), number)
        file.write_bytes(contents)


def test_metadata_of_nothing_known(held, right):
    """With both copies of what a store holds gone, it is left alone: it might be another sweep's."""
    for file in (held / "zarr.json", held / MARKS / "zarr.json"):
        file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"store: got .*; expected a new or empty folder"):
        twonn.sweep(**SMALL, store=held)


def test_coordinates(held, right, faults):
    fault = faults(SECTION, "a coordinate's file is changed, emptied or removed")
    for name in expected_coordinates():
        file = held / name / "c" / "0"
        contents = file.read_bytes()
        for number, changed in enumerate([*flipped(contents, 64), b"", None]):
            put(file, changed)
            fault.holds(RIGHT, is_right(Store(held), name, expected_coordinates()[name]), name)
            if number % EVERY == 0 or not changed:
                fault.holds(NAMED, is_named(held), name)
            if not changed:
                with metadata_is_mended():
                    fault.holds(MENDED, is_mended(held, right), name)
            file.write_bytes(contents)


def test_what_is_damaged_and_cannot_be_computed_again_is_missing(held, right, monkeypatch):
    (held / "final_gap" / "c" / "1").write_bytes(b"")

    def fails(*_, **__):
        raise RuntimeError("not today")

    with monkeypatch.context() as patch:
        patch.setattr(chunks, "run_batch", fails)
        result = twonn.sweep(**SMALL, store=held, retries=0)
    assert result.missing.tolist() == [5, 6, 7, 8, 9]
    assert result.failures == {range(5, 10): "RuntimeError: not today"}
    done = np.isin(np.arange(RUNS), result.missing, invert=True)
    assert same(result["final_gap"][done], right["final_gap"][done])
    assert np.isnan(result["final_gap"][~done]).all() and not result["status"][~done].any()
    assert is_mended(held, right)


def test_without_verification_only_what_is_missing_is_run(held, right):
    (held / "final_gap" / "c" / "1").write_bytes(b"")
    mark_of(held, 2).unlink()
    result = twonn.sweep(**SMALL, store=held, verify=False)
    assert result.complete
    assert same(result["status"], right["status"])
    with pytest.raises(twonn.CheckpointError, match="final_gap of runs 5 to 9 is damaged"):
        result["final_gap"]


def test_every_nan_has_the_same_bits(tmp_path, monkeypatch):
    """On x86 those that arithmetic makes have their sign set, and others, such as a fill value, have not."""
    column = summary.SUMMARY["asymptote_shift"]
    signed = dataclasses.replace(
        column, of=lambda ended: np.copysign(np.full(len(ended.params), np.nan), -1.0)
    )
    monkeypatch.setitem(summary.SUMMARY, "asymptote_shift", signed)
    for result in (twonn.sweep(**SMALL), twonn.sweep(**SMALL, store=tmp_path / "store")):
        for name in result._columns.readable:
            values = result[name]
            if values.dtype.kind == "f":
                assert not np.signbit(values[np.isnan(values)]).any(), name
    assert not any(Store(tmp_path / "store").faults())


def test_every_way_of_reading_is_checked(held, right):
    result = twonn.sweep(**SMALL, store=held)
    data = result.to_xarray()
    assert same(data.final_gap.values, right["final_gap"].reshape(2, 6))
    last = data.final_gap.isel(problem=1, start=slice(4, 6))
    file = held / "final_gap" / "c" / "1"
    file.write_bytes((held / "final_gap" / "c" / "0").read_bytes())
    sentence = (
        rf"{held}: final_gap of runs 5 to 9 is damaged \(it is not what was computed\). "
        "The same sweep with this store computes again what is missing."
    )
    with pytest.raises(twonn.CheckpointError, match=sentence):
        result["final_gap"]
    for damaged in (result.to_xarray().final_gap, dataset_of(Store(held)).final_gap):
        for part in (slice(None), slice(1, 3), slice(None, None, -1), [0, 1], 1):
            with pytest.raises(twonn.CheckpointError, match=sentence):
                damaged.isel(start=part).compute()
        assert same(damaged[0, :5].values, right["final_gap"][:5])
    assert same(last.values, right["final_gap"][10:])
    assert same(result["n_transitions"], right["n_transitions"])
    mark_of(held, 0).unlink()
    assert same(result["n_transitions"], right["n_transitions"])  # it was complete, and is what it was
    (held / "status" / "c" / "2").unlink()
    assert "status of runs 10 to 11 is damaged" in repr(result)


def test_parts_of_a_dataset(held, right):
    data = dataset_of(Store(held))
    gap = right["gap"].reshape(2, 6, -1)
    for key in (3, -1, slice(1, 5, 2), slice(5, 1, -3), slice(4, 4), [5, 2, 2], [2, 0, 1], np.arange(6) > 3):
        assert same(data.gap.isel(start=key).values, gap[:, key]), key
        assert same(data.gap.isel(start=key, sample=4).values, gap[:, key, 4]), key
        assert same(data.gap.isel(problem=[1, 0], start=key).values, gap[[1, 0]][:, key]), key
    assert data.gap.sel(problem=1, start=1, sample=slice(2, 5)).dims == ("sample",)
    for runs in (np.array([7, 2, 2, 11, 0, 1]), np.array([], np.int64)):
        assert same(Store(held).take("gap", runs), right["gap"][runs])
        assert same(Store(held).take("step_size", runs), expected_coordinates()["step_size"][runs])
    assert data.start_w.transpose(..., "problem").values.shape == (6, 2, 1, 2)


# --------------------------------------------------------------------------------------------------
# Formats


def test_a_store_that_a_stranger_has_made(held):
    """Sealed as it should be, but with names and codecs that no sweep has."""
    file = held / "zarr.json"
    written = json.loads(file.read_bytes())

    def forged(change) -> None:
        root = json.loads(json.dumps(written))
        change(root, root["consolidated_metadata"]["metadata"])
        root["attributes"][SEAL] = seal(root)
        file.write_text(json.dumps(root))
        with pytest.raises(twonn.CheckpointError, match="not the readable store of a sweep"):
            Store(held)

    forged(lambda root, arrays: arrays.update({"../outside": arrays["status"]}))
    forged(lambda root, arrays: arrays["status"]["codecs"].append({"name": "numcodecs.bz2"}))
    forged(lambda root, arrays: arrays.pop("final_gap"))
    forged(lambda root, arrays: root["attributes"].update(chunk_size=0))
    forged(lambda root, arrays: root["attributes"].update(chunk_size="x"))
    forged(lambda root, arrays: root["attributes"].update(spec=[]))
    forged(lambda root, arrays: arrays["run"].update(shape=[]))
    forged(lambda root, arrays: arrays[MARKS]["attributes"].pop("arrays"))
    forged(lambda root, arrays: root.update(consolidated_metadata=None))


def test_a_reader_written_from_the_documentation(held, right):
    """Of docs/format_store.md alone: the metadata, the digests, and what they are of."""
    root = json.loads((held / "zarr.json").read_bytes())
    attributes = root["attributes"]
    assert attributes["format"] == "twonn sweep 3"
    spec, sealed = attributes["spec_sha256"], attributes.pop("metadata_sha256")
    assert hashlib.sha256(attributes["spec"].encode()).hexdigest() == spec
    text = json.dumps([attributes, root["consolidated_metadata"]], sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == sealed
    marks = zarr.open_array(held / "chunk_digest", mode="r")
    for name in ("format", "spec", "spec_sha256", "chunk_size"):
        assert marks.attrs[name] == attributes[name]
    size, names = attributes["chunk_size"], marks.attrs["arrays"]
    assert marks.shape == (CHUNKS, len(names), 32)
    assert set(names) == set(right)
    for name in names:
        array = zarr.open_array(held / name, mode="r")
        for chunk in range(CHUNKS):
            numbers = array[chunk * size : (chunk + 1) * size]
            said = f"{spec} {name} {chunk * size} {numbers.dtype.str} {numbers.shape}\n"
            digest = hashlib.sha256(said.encode() + numbers.tobytes()).digest()
            assert digest == marks[chunk, names.index(name)].tobytes()
    for name, digest in marks.attrs["coordinates_sha256"].items():
        numbers = zarr.open_array(held / name, mode="r")[...]
        said = f"{spec} {name} 0 {numbers.dtype.str} {numbers.shape}\n"
        assert hashlib.sha256(said.encode() + numbers.tobytes()).hexdigest() == digest


def test_a_store_with_other_columns_is_refused(held, monkeypatch):
    columns = summary.columns_of

    def fewer(*arguments):
        return {name: one for name, one in columns(*arguments).items() if name != "t_end"}

    monkeypatch.setattr(plan, "columns_of", fewer)
    with pytest.raises(ValueError, match=r"store: got .*, of another version of twonn; .* differs in t_end"):
        twonn.sweep(**SMALL, store=held)


def unpacked(name: str, folder: Path) -> Path:
    """Return a store that an earlier version has written."""
    with zipfile.ZipFile(Path(__file__).parent / "files" / f"{name}.zip") as packed:
        packed.extractall(folder)
    return folder / name


@pytest.fixture
def first_format(tmp_path) -> Path:
    """PAPER and SLIDING, 3 starts, 10,000 steps, with the gap sampled; two chunks."""
    return unpacked("sweep-1", tmp_path)


@pytest.fixture
def second_format(tmp_path) -> Path:
    """PAPER and SLIDING from STARTS, 10,000 steps, with the gap at 100, 1000 and 5000 steps; two chunks."""
    return unpacked("sweep-2", tmp_path)


def assert_is_read_as(result: twonn.SweepResult, path: Path, marks: str) -> None:
    """A store of an earlier format has the dimensions problem and start, and the numbers of its files."""
    data = result.to_xarray()
    assert result.dimensions == ("problem", "start") and result.optimizers == (None,)
    assert (data.sizes["problem"], data.sizes["start"]) == (2, len(result.params))
    assert data.optimizer == "gd" and data.step_size.values.tolist() == [0.01, 0.05]
    with xarray.open_zarr(path, chunks=None) as plain:
        for name in set(plain.data_vars) - {marks}:
            folded = plain[name].values.reshape(2, -1, *plain[name].shape[1:])
            assert same(data[name].values, folded), name
            assert data[name].attrs == plain[name].attrs
            assert same(result[name], plain[name].values)


def test_the_first_format_can_be_read(first_format):
    opened = Store(first_format)
    assert not opened.checked
    assert (opened.runs, opened.chunk_size, opened.complete()) == (6, 4, {0, 1})
    result = twonn.load(first_format)
    assert_is_read_as(result, first_format, "chunk_complete")
    problem, start = result.problems[1], result.params[2]
    traj = twonn.run(problem, start, 10_000)
    # That version rounded the factor that it carried from step to step.
    np.testing.assert_allclose(result["final_w"][5], traj.w[-1], rtol=1e-10)
    assert same(result["success"], np.all(result["final_margins"] > 0, axis=1))
    assert result["success"][5] == traj.success
    assert "success" in repr(result) and "failed" not in repr(result)
    assert not list(opened.faults())
    (first_format / "gap" / "c" / "1" / "0").write_bytes(b"no frame")
    assert [what for what, _ in opened.faults()] == ["gap of runs 4 to 5"]


def test_the_second_format_can_be_read(second_format):
    opened = Store(second_format)
    assert opened.checked and not list(opened.faults())
    result = twonn.load(second_format)
    assert result.problems == (PAPER, SLIDING) and result.params == STARTS and result.horizon == 10_000
    assert_is_read_as(result, second_format, MARKS)
    now = twonn.sweep([PAPER, SLIDING], STARTS, 10_000)
    assert same(result["success"], now["success"]) and now["success"].any()
    assert same(result.to_xarray().success.values, now.to_xarray().success.values)
    assert same(result["final_w"], now["final_w"])
    for name in ("failure", "failure_t"):
        assert name not in result.to_xarray()
        with pytest.raises(ValueError, match="name: got 'failure"):
            result[name]
    (second_format / "final_margins" / "c" / "1" / "0").unlink()
    with pytest.raises(twonn.CheckpointError, match="final_margins of runs 8 to 11 is damaged"):
        result["success"]
    assert "final_margins of runs 8 to 11 is damaged" in repr(result)
    mark_of(second_format, 1).unlink()
    lacking = twonn.load(second_format)
    assert lacking.missing.tolist() == [8, 9, 10, 11]
    assert lacking.message == "8 of 12 runs are done; runs 8 to 11 are missing."


@pytest.mark.parametrize("name", ["sweep-1", "sweep-2"])
def test_no_sweep_continues_in_an_earlier_format(name, tmp_path):
    path = unpacked(name, tmp_path)
    with pytest.raises(ValueError) as refused:
        twonn.sweep([PAPER, SLIDING], STARTS, 10_000, store=path)
    assert str(refused.value) == (
        f"store: got {path}, of an earlier format ('twonn sweep {name[-1]}'), in which no sweep continues; "
        "expected a new or empty folder, or a store of this version ('twonn sweep 3'). Give another folder; "
        "twonn.load still opens this one."
    )


# --------------------------------------------------------------------------------------------------
# Results


@pytest.mark.parametrize("kept", ["in memory", "in a store"])
def test_results_can_be_pickled(kept, held, right):
    result = twonn.sweep(**SMALL, store=held if kept == "in a store" else None)
    assert len(result.to_xarray().final_gap.values)  # whatever has been opened
    again = pickle.loads(pickle.dumps(result))
    assert_same(again, right)
    assert repr(again) == repr(result)
    assert again == result == copy.deepcopy(result)
    xarray.testing.assert_identical(again.to_xarray().compute(), result.to_xarray().compute())


@pytest.mark.parametrize("error", [PermissionError, MemoryError, ImportError])
def test_what_is_no_damage_is_not_called_damage(error, held, monkeypatch):
    """The file may be read elsewhere, or later."""
    opened = Store(held)

    def failing(*_):
        raise error("not for what is in the file")

    monkeypatch.setattr(zarr.Array, "__getitem__", failing)
    for reading in (opened.complete, lambda: opened._decoded("gap", 0, 5)):
        with pytest.raises(error, match="not for what is in the file"):
            reading()
    monkeypatch.setattr(zarr.Group, "__getitem__", failing)
    with pytest.raises(error, match="not for what is in the file"):
        opened.array("gap")


def test_an_array_that_zarr_does_not_have_is_damaged(held):
    with pytest.raises(twonn.CheckpointError, match=f"nothing of runs 0 to {RUNS - 1} is damaged .KeyError"):
        Store(held).array("nothing")


def test_metadata_that_may_not_be_read_is_not_missing(tmp_path, monkeypatch):
    def refusing(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    assert json_in(tmp_path / "nothing") is None
    monkeypatch.setattr(Path, "read_bytes", refusing)
    with pytest.raises(PermissionError):
        json_in(tmp_path / "nothing")


def test_a_store_that_cannot_be_put_in_its_place_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    genuine, tried = os.replace, []

    def failing(source, target):
        if Path(target) != tmp_path / "store" or tried:
            return genuine(source, target)
        tried.append(target)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="Input/output error"):
        twonn.sweep(**SMALL, store=tmp_path / "store")
    assert len(tried) == 1
    assert not list(tmp_path.iterdir())


def test_a_store_is_no_other_object(held):
    columns = twonn.sweep(PAPER, STARTS, 10)._columns
    assert Store(held) == Store(held) and (Store(held) == "store") is False
    assert columns == columns and (columns == Store(held)) is False


def test_a_chunk_that_was_finished_before_it_was_claimed_is_not_computed_again(
    held, pristine, right, monkeypatch
):
    writing.unmark(Store(held), 1)
    genuine = chunks.claimed

    @contextlib.contextmanager
    def late(*arguments):
        shutil.copytree(pristine, held, dirs_exist_ok=True)  # as another process does
        with genuine(*arguments) as mine:
            yield mine

    def ran(*_, **__):
        raise AssertionError("it is computed again")

    monkeypatch.setattr(chunks, "claimed", late)
    monkeypatch.setattr(chunks, "run_batch", ran)
    assert_same(twonn.sweep(**SMALL, store=held), right)


def test_what_fails_without_anything_saved_is_not_tried_again_from_there(monkeypatch):
    tried = []

    def failing(*_, **__):
        tried.append(1)
        raise ValueError("a fault of the program")

    monkeypatch.setattr(chunks, "run_batch", failing)
    result = twonn.sweep(PAPER, STARTS, 10, chunk_size=6, executor="threads:1", retries=0)
    assert result.failures == {range(6): "ValueError: a fault of the program"}
    assert len(tried) == 1


def test_results_are_values(held):
    in_memory, again = twonn.sweep(**SMALL), twonn.sweep(**SMALL)
    in_store = twonn.sweep(**SMALL, store=held)
    assert in_memory == again and in_memory != in_store == twonn.sweep(**SMALL, store=held)
    assert in_memory != twonn.sweep(**{**SMALL, "steps": SMALL["steps"] + 1})
    for result in (in_memory, in_store, pickle.loads(pickle.dumps(in_memory))):
        for array in (result["final_gap"], result.missing):
            assert not array.flags.writeable
        with pytest.raises(TypeError):
            result.failures[range(2)] = "no"
    with pytest.raises(TypeError, match="unhashable"):
        hash(in_memory)


def test_parts(tmp_path, right):
    path = tmp_path / "store"
    result = twonn.sweep(**SMALL, store=path, part=(1, 2))
    assert result.complete and result.part == (1, 2)
    assert result.message == "All 5 runs of part 1/2 are done."
    assert np.flatnonzero(result["status"]).tolist() == [5, 6, 7, 8, 9]
    seen = []
    result = twonn.sweep(**SMALL, store=path, part=(0, 2), progress=lambda *done: seen.append(done))
    assert seen == [(5, 7), (7, 7)]
    assert_same(result, right)
    assert twonn.sweep(**SMALL, store=path, part=(3, 4)).complete  # of three chunks
    alone = twonn.sweep(**SMALL, part=(0, 3))
    assert same(alone["final_gap"][:5], right["final_gap"][:5]) and not alone["status"][5:].any()


def test_parts_have_chunks_for_everybody():
    for n in (1, 3, 40):
        result = twonn.sweep(PAPER, twonn.initializers.sample("he_normal", 300, 1), 10, part=(0, n))
        assert result._columns.chunks >= min(4 * n, 300 // 2)


@pytest.mark.parametrize("part", [(2, 2), (-1, 2), (0, 0), (0.5, 2), (1,), "0/2", 3, (0, 1, 2)])
def test_what_is_no_part_is_refused(part):
    with pytest.raises((TypeError, ValueError), match=r"part: got .*; expected a pair \(i, n\)"):
        twonn.sweep(**SMALL, part=part)
