"""Stores of sweeps under several processes, killed processes, full disks and chunks that take long."""

import errno
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import twonn
from twonn.sweeps import chunks, claims, store, writing
from twonn.sweeps.metadata import MARKS
from twonn.sweeps.store import Store

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
SLIDING = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
STARTS = twonn.initializers.sample("balanced", 6, 11)

SMALL = {"problem": [PAPER, SLIDING], "params": STARTS, "steps": 10**6}

SECTION = "Stores of sweeps: processes and disks"
RIGHT, OPENED, ONCE, SAME = (
    "no wrong number is read",
    "every process opens it",
    "no chunk is computed twice",
    "a rerun has the same bits",
)

#: What the programs of this page begin with.
PRELUDE = """
import json, os, signal, sys, time
from pathlib import Path
import twonn
from twonn.sweeps import chunks, claims
from twonn.sweeps.store import Store

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
SLIDING = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
STARTS = twonn.initializers.sample("balanced", 6, 11)
SMALL = {"problem": [PAPER, SLIDING], "params": STARTS, "steps": 10**6}

def wait_for(condition):
    limit = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)
"""


def program(text: str, *arguments: object, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + text, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def output(process: subprocess.Popen, code: int = 0) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out


def columns(result: twonn.SweepResult) -> dict[str, np.ndarray]:
    return {name: result[name] for name in result._columns.readable}


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def all_same(result: twonn.SweepResult, right: dict[str, np.ndarray]) -> bool:
    return result.complete and all(same(result[name], values) for name, values in right.items())


def is_never_wrong(path: Path, right: dict[str, np.ndarray]) -> bool:
    """Whether what is read of a store that is part done is right where it says that it is done."""
    if not path.exists():
        return True
    opened = Store(path)
    done = np.zeros(opened.runs, bool)
    for chunk in opened.complete():
        done[slice(*opened.bounds(chunk))] = True
    return not any(opened.faults()) and all(
        same(opened.read(name)[done], values[done]) for name, values in right.items()
    )


@pytest.fixture(scope="module")
def right() -> dict[str, np.ndarray]:
    return columns(twonn.sweep(**SMALL, executor="threads:1"))


# --------------------------------------------------------------------------------------------------
# Several processes

TOGETHER = """
folder, me, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
write = chunks.write

def noted(store, chunk, arrays, scratch):
    log = store.path.with_suffix(".log")
    with open(log, "a") as file:
        file.write(f"{me} {chunk}\\n")
    # So that each of the three has a part of it.
    wait_for(lambda: len({line.split()[0] for line in log.read_text().splitlines()}) == 3)
    write(store, chunk, arrays, scratch)

chunks.write = noted
for n in range(rounds):
    (folder / f"{n}-{me}.ready").touch()
    wait_for(lambda: len(list(folder.glob(f"{n}-*.ready"))) == 3)
    result = twonn.sweep(**SMALL, store=folder / f"{n}.zarr", chunk_size=1, executor="threads:1")
    print(json.dumps([result.complete, float(result["final_gap"].sum())]))
"""


def test_three_processes_that_start_at_once_share_the_work(tmp_path, right, faults):
    fault, rounds = faults(SECTION, "three processes start the same sweep at once"), 8
    started = [program(TOGETHER, tmp_path, me, rounds) for me in "abc"]
    for process in started:
        out = output(process)
        assert [json.loads(line) for line in out.splitlines()] == [[True, right["final_gap"].sum()]] * rounds
        for _ in range(rounds):
            fault.holds(OPENED, True)
    for n in range(rounds):
        done = [line.split() for line in (tmp_path / f"{n}.log").read_text().splitlines()]
        assert {me for me, _ in done} == set("abc")
        chunk_numbers = [chunk for _, chunk in done]
        for chunk in range(12):
            fault.holds(ONCE, chunk_numbers.count(str(chunk)) == 1, (n, chunk))
        fault.holds(RIGHT, is_never_wrong(tmp_path / f"{n}.zarr", right), n)
        fault.holds(SAME, all_same(twonn.sweep(**SMALL, store=tmp_path / f"{n}.zarr"), right), n)
    assert not list(tmp_path.glob("*.part"))


def test_a_chunk_that_another_has_is_waited_for(tmp_path, right):
    path = tmp_path / "store"
    twonn.sweep(**SMALL, store=path, chunk_size=1, part=(0, 12))
    claim = claims.claimed(path, 3)
    assert claim.__enter__()
    seen = []

    def release(done, runs):
        seen.append(done)
        if done == 11:
            assert Store(path).complete() == set(range(12)) - {3}
            claim.__exit__(None, None, None)

    result = twonn.sweep(**SMALL, store=path, executor="threads:2", progress=release)
    assert seen == [*range(2, 13)]
    assert all_same(result, right)


@pytest.mark.parametrize("work", ["it is computed there", "it is interrupted here"])
def test_what_becomes_of_a_chunk_that_another_has(work, tmp_path, right):
    path, computed = tmp_path / "store", []
    twonn.sweep(**SMALL, store=path, chunk_size=6, part=(0, 2))
    claim = claims.claimed(path, 1)
    assert claim.__enter__()

    def act():
        if work == "it is computed there":
            other = Store(path)
            with claims.scratch(path, 1) as scratch:
                writing.write(other, 1, {name: values[6:] for name, values in right.items()}, scratch)
            computed.append(1)
            claim.__exit__(None, None, None)
        else:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, act)
    timer.start()
    try:
        result = twonn.sweep(**SMALL, store=path)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    if computed:
        assert all_same(result, right)
    else:
        claim.__exit__(None, None, None)
        assert result.interrupted and result.missing.tolist() == [6, 7, 8, 9, 10, 11]


def test_a_lock_goes_with_its_process(tmp_path):
    text = """
with claims.claimed(Path(sys.argv[1]), 0) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""
    process = program(text, tmp_path)
    assert process.stdout.readline() == "True\n"
    with claims.claimed(tmp_path, 0) as mine, claims.claimed(tmp_path, 1) as another:
        assert (mine, another) == (False, True)
    left = tmp_path / MARKS / "under_way" / "0.left.files"
    left.mkdir()
    (left / "1").touch()
    process.kill()
    process.communicate()
    with claims.claimed(tmp_path, 0) as mine:
        assert mine
        assert not left.exists()
    claims.clear(tmp_path)
    assert not (tmp_path / MARKS / "under_way").exists()


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    genuine, calls = os.open, []

    def removing(name, *rest, **options):
        calls.append(name)
        if len(calls) == 1:  # as whoever finds it empty does
            Path(name).parent.rmdir()
        return genuine(name, *rest, **options)

    monkeypatch.setattr(claims.os, "open", removing)
    with claims.claimed(tmp_path, 3) as mine:
        assert mine and calls[0].exists()
    assert len(calls) == 2


def test_a_lock_whose_file_is_removed_meanwhile_is_claimed_again(tmp_path, monkeypatch):
    genuine, lock, calls = fcntl.flock, claims._folder(tmp_path) / "3.lock", []

    def removing(*arguments):
        genuine(*arguments)
        if not calls:  # as its former holder does
            lock.unlink()
        calls.append(1)

    monkeypatch.setattr(fcntl, "flock", removing)
    with claims.claimed(tmp_path, 3) as mine:
        assert mine and lock.exists()
    assert len(calls) == 2


@pytest.mark.parametrize("full", [False, True])
def test_a_chunk_that_is_stopped_saves_what_is_done_if_it_can(full, tmp_path, monkeypatch):
    claims._folder(tmp_path).mkdir(parents=True)
    part, stop = claims.Part(tmp_path, 0, "a chunk"), threading.Event()
    watch = chunks._Watch(part, (math.inf, None), stop)
    watch.look(1, dict)
    assert part.read() is None
    stop.set()
    if full:

        def fails(self, values):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(claims.Part, "write", fails)
    with pytest.raises(chunks.Stopped):
        watch.look(1, lambda: {"steps": np.array(7)})
    assert (part.read() is None) if full else (part.read()["batch_steps"] == 7)


@pytest.mark.parametrize("reason", ["no fcntl", errno.ENOLCK, errno.ENOTSUP])
def test_where_there_are_no_locks_a_chunk_is_computed_twice_with_equal_bits(
    reason, tmp_path, right, monkeypatch
):
    if reason == "no fcntl":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        import fcntl

        def refused(number, operation):
            raise OSError(reason, os.strerror(reason))

        monkeypatch.setattr(fcntl, "flock", refused)
    path, computed = tmp_path / "store", []
    both, write = threading.Barrier(2, timeout=60), chunks.write

    def noted(store, chunk, arrays, scratch):
        computed.append(chunk)
        both.wait()
        write(store, chunk, arrays, scratch)

    monkeypatch.setattr(chunks, "write", noted)
    results = []

    def run():
        results.append(twonn.sweep(**SMALL, store=path, chunk_size=4, executor="threads:1", in_flight=1))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == [0, 0, 1, 1, 2, 2]
    assert all(all_same(result, right) for result in results)
    assert not any(Store(path).faults())


def test_locks_are_not_imported_before_they_are_used():
    for module in (chunks, claims, store, writing, sys.modules["twonn.sweeps.sweep"]):
        assert not hasattr(module, "fcntl")


# --------------------------------------------------------------------------------------------------
# Killed

#: Sweeps in a child that is killed at its n-th change of the file system, for many n.
KILLED = """
folder, deaths = Path(sys.argv[1]), int(sys.argv[2])
import zarr

CHANGES = ("replace", "fsync", "mkdir", "unlink", "rmdir", "open")

def sweep_and_die(path, at):
    calls = 0
    def counting(change):
        def changed(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)
        return changed
    for name in CHANGES:
        setattr(os, name, counting(getattr(os, name)))
    twonn.sweep(**SMALL, store=path, chunk_size=5, executor="threads:1")
    return calls

def child(path, at):
    out, into = os.pipe()
    number = os.fork()
    if number == 0:
        os.write(into, str(sweep_and_die(path, at)).encode())
        os._exit(0)
    os.close(into)
    status = os.waitpid(number, 0)[1]
    return status, os.read(out, 100)

status, calls = child(folder / "whole.zarr", 0)
assert status == 0
for n in range(deaths):
    status, _ = child(folder / f"{n}.zarr", 1 + int(calls) * n // deaths)
    assert status == signal.SIGKILL, (n, status)
print(int(calls))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="for systems with fork")
def test_killed_at_any_change_of_the_file_system(tmp_path, right, faults):
    fault, deaths = faults(SECTION, "the process is killed (SIGKILL) while it writes"), 24
    assert int(output(program(KILLED, tmp_path, deaths))) > 100
    for n in range(deaths):
        path = tmp_path / f"{n}.zarr"
        fault.holds(RIGHT, is_never_wrong(path, right), n)
        result = twonn.sweep(**SMALL, store=path)
        fault.holds(SAME, all_same(result, right) and not any(Store(path).faults()), n)
        assert not (path / MARKS / "under_way").exists()


def test_what_a_mark_tells_of_is_durable_before_it(tmp_path, monkeypatch):
    """Every file before its name, every name before the mark, and then the mark's own name."""
    path, events = tmp_path / "store", []
    durable, replace = writing.make_durable, os.replace
    twonn.sweep(**SMALL, store=path, chunk_size=6, part=(0, 2))

    def noted(place):
        durable(place)
        events.append(("durable", Path(place)))

    def named(old, new):
        replace(old, new)
        events.append(("named", Path(new)))
        assert ("durable", Path(old)) in events

    with monkeypatch.context() as patch:
        patch.setattr(writing, "make_durable", noted)
        patch.setattr(os, "replace", named)
        twonn.sweep(**SMALL, store=path, executor="threads:1")
    mark = path / Store(path).key(MARKS, 1)
    at = events.index(("named", mark))
    chunk = [place for what, place in events if what == "named" and place != mark]
    assert len(chunk) > 30
    for place in chunk:
        assert events.index(("named", place)) < at
        folders = [folder for folder in place.parents if path in folder.parents]
        made = [folder for folder in folders if folder.name == "1" or (folder / "1").is_dir()]
        for folder in {place.parent, *made}:
            assert ("durable", folder) in events[events.index(("named", place)) : at], (place, folder)
    assert {("durable", mark.parents[n]) for n in range(3)} <= set(events[at:])
    assert os.path.relpath(chunk[-1], path).startswith("status")


# --------------------------------------------------------------------------------------------------
# Chunks that take long

LONG = {
    "problem": [PAPER, SLIDING],
    "params": STARTS[:2],
    "steps": 3 * 10**6,
    "engine": "direct",
    "trajectories": ["gap"],
    "chunk_size": 3,
}

#: A job whose time is over after the second look that saves something; a child for each, until one ends.
JOBS = """
path, optimizer = Path(sys.argv[1]), sys.argv[2]
import zarr

LONG = {
    "problem": [PAPER, SLIDING], "params": STARTS[:2], "steps": 3 * 10**6, "engine": "direct",
    "trajectories": ["gap"], "chunk_size": 3, "optimizer": optimizer,
}

def job():
    number = os.fork()
    if number:
        return os.waitpid(number, 0)[1]
    write, saved = claims.Part.write, 0
    def once(self, values):
        nonlocal saved
        write(self, values)
        saved += 1
        if saved == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    claims.Part.write = once
    twonn.sweep(**LONG, store=path, executor="threads:1", checkpoint_every=10**6)
    os._exit(0)

jobs = 1
while status := job():
    assert status == signal.SIGKILL
    jobs += 1
    assert jobs < 50
print(jobs)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="for systems with fork")
@pytest.mark.parametrize("optimizer", ["gd", "momentum"])
def test_chunks_that_are_longer_than_any_job_are_finished(optimizer, tmp_path, faults):
    """Each job is killed when it has saved twice, some 2 of the 9 million steps of the longer chunk."""
    name = {"gd": "gradient descent", "momentum": "another optimizer"}[optimizer]
    fault = faults(SECTION, f"every job is killed in the middle of a chunk ({name})")
    whole = columns(twonn.sweep(**LONG, optimizer=optimizer))
    jobs = int(output(program(JOBS, tmp_path / "store", optimizer)))
    assert jobs > 4
    result = twonn.sweep(**LONG, optimizer=optimizer, store=tmp_path / "store")
    fault.holds(RIGHT, is_never_wrong(tmp_path / "store", whole))
    fault.holds(SAME, all_same(result, whole))
    assert not (tmp_path / "store" / MARKS / "under_way").exists()


#: Hours of stepping.
HOURS = """
signal.signal(signal.SIGINT, signal.default_int_handler)
result = twonn.sweep(
    PAPER, STARTS[:2], 10**13, engine="direct", store=sys.argv[1], chunk_size=1, executor="threads:1"
)
print(json.dumps([result.interrupted, result.missing.tolist(), result.message]))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_first_signal_saves_what_is_done(name, tmp_path):
    path = tmp_path / "store"
    process = program(HOURS, path)
    under_way = path / MARKS / "under_way"
    while not under_way.exists() or not list(under_way.iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(getattr(signal, name))
    interrupted, missing, message = json.loads(output(process))
    assert interrupted and missing == [0, 1]
    assert message.startswith("The sweep was interrupted: 0 of 2 runs are done; runs 0 to 1 are missing.")
    (part,) = under_way.iterdir()
    assert part.name == "0.part"
    identity = f"{Store(path).attributes['spec_sha256']} runs (0, 1)"
    held = claims.Part(path, 0, identity).read()
    assert held["batch_step"][0] > 10**6


@pytest.fixture
def saved(tmp_path) -> tuple[Path, Path]:
    """A store in which a chunk of two problems is under way, in its second one."""

    class KilledError(Exception):
        pass

    path, write, saves = tmp_path / "store", claims.Part.write, []

    def once(self, values):
        write(self, values)
        saves.append(int(values["finished"]))
        if len(saves) == 6:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims.Part, "write", once)
        twonn.sweep(**LONG, store=path, executor="threads:1", checkpoint_every=10**6, retries=0, part=(0, 2))
    assert saves[-1] == 1
    return path, path / MARKS / "under_way" / "0.part"


def test_what_is_saved_of_a_chunk_is_used(saved, monkeypatch):
    path, part = saved
    spent, look = [], chunks._Watch.look

    def counted(self, steps, state):
        spent.append(steps)
        look(self, steps, state)

    monkeypatch.setattr(chunks._Watch, "look", counted)
    whole = columns(twonn.sweep(**LONG, executor="threads:1", part=(0, 2), checkpoint_every=10**6))
    all_of_it = sum(spent)
    spent.clear()
    result = twonn.sweep(**LONG, store=path, executor="threads:1", part=(0, 2), checkpoint_every=10**6)
    assert all_same(result, whole)
    assert all_of_it - sum(spent) == 6 * 10**6
    assert not part.exists()


def test_damage_of_what_is_saved_of_a_chunk(saved, faults):
    """It is begun anew; the steps are few enough here to see that by the bits alone."""
    path, part = saved
    fault = faults(SECTION, "what is saved of a chunk is changed, cut, emptied or another chunk's")
    whole = columns(twonn.sweep(**LONG, part=(0, 2)))
    contents, spec = part.read_bytes(), Store(path).attributes["spec_sha256"]
    identity = f"{spec} runs (0, 3)"
    assert claims.Part(path, 0, identity).read() is not None
    damaged = [contents[:-1], contents[:100], b"", contents + b"x"]
    for n in range(64):
        place = (8 * len(contents) - 1) * n // 63
        changed = bytearray(contents)
        changed[place // 8] ^= 1 << place % 8
        damaged.append(bytes(changed))
    for changed in damaged:
        part.write_bytes(changed)
        fault.holds(RIGHT, claims.Part(path, 0, identity).read() is None)
    assert claims.Part(path, 0, f"{spec} runs (3, 4)").read() is None
    fault.holds(SAME, all_same(twonn.sweep(**LONG, store=path, part=(0, 2)), whole))


def test_forged_files_of_what_is_saved_are_begun_anew(saved):
    """With the right digest: whoever wrote them, it was not this version of twonn."""
    path, _ = saved
    opened = Store(path)
    file = claims.Part(path, 0, f"{opened.attributes['spec_sha256']} runs {opened.bounds(0)}")
    whole, held = columns(twonn.sweep(**LONG, part=(0, 2))), file.read()
    forged = [
        {**held, "batch_episode": np.full_like(held["batch_episode"], 10**9)},
        {**held, "finished": np.array(7)},
        {**held, "column_gap": held["column_gap"][:1]},
        {name: values for name, values in held.items() if name != "column_gap"},
        {name: values for name, values in held.items() if name != "batch_state"},
        {**held, "batch_steps": held["batch_steps"].astype(float)},
        {},
    ]
    for values in forged:
        file.write(values)
        assert all_same(twonn.sweep(**LONG, store=path, part=(0, 2)), whole)
        writing.unmark(opened, 0)


@pytest.mark.parametrize("every", [0, "0s", "soon", 1.5, None])
def test_what_is_no_interval_is_refused(every):
    with pytest.raises((TypeError, ValueError), match="checkpoint_every: got"):
        twonn.sweep(**SMALL, checkpoint_every=every)


# --------------------------------------------------------------------------------------------------
# Disks


@pytest.mark.parametrize(
    ("code", "executor"),
    [
        (errno.ENOSPC, "threads:1"),
        (errno.ENOSPC, "threads:3"),
        (errno.EDQUOT, "threads:1"),
        (errno.EROFS, "threads:1"),
    ],
)
def test_a_full_disk_ends_the_sweep_with_one_sentence(code, executor, tmp_path, right, monkeypatch, faults):
    name = {errno.ENOSPC: "full", errno.EDQUOT: "at its quota", errno.EROFS: "made read-only"}[code]
    fault = faults(SECTION, f"the disk is {name} during the sweep ({executor})")
    write = Path.write_bytes
    for full_at in (0, 1, 5, 10, 11):
        path, tried = tmp_path / str(full_at), []
        twonn.sweep(**SMALL, store=path, chunk_size=1, part=(0, 12))

        def fails(self, contents, tried=tried, full_at=full_at):
            if "under_way" in self.parts and self.name == "1":  # of a column that is in every chunk
                tried.append(self.parent.name.partition(".")[0])
                if len(tried) > full_at:
                    raise OSError(code, os.strerror(code))
            return write(self, contents)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", fails)
            result = twonn.sweep(**SMALL, store=path, executor=executor)
        done = Store(path).complete()
        assert result.missing.tolist() == sorted(set(range(12)) - done)
        if full_at < 11:  # and else it was full when all was done
            assert not result.complete and not result.interrupted and result.failures == {}
            assert result.message.count(os.strerror(code)) == 1
            assert f"The rest was not run: {path}/" in result.message and "/c/" in result.message
            in_flight = 2 * int(executor[-1])
            assert len(tried) <= full_at + in_flight
        fault.holds(ONCE, len(tried) == len(set(tried)), full_at)
        fault.holds(RIGHT, is_never_wrong(path, right), full_at)
        fault.holds(SAME, all_same(twonn.sweep(**SMALL, store=path), right), full_at)


LIMITED = """
import resource
path, size = Path(sys.argv[1]), int(sys.argv[2])
twonn.sweep(**SMALL, store=path, chunk_size=2, part=(0, 6), executor="threads:1")
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
result = twonn.sweep(**SMALL, store=path, executor="threads:1")
print(json.dumps([result.missing.tolist(), result.failures == {}, result.message]))
"""


def test_files_that_may_not_be_so_large(tmp_path, right):
    """The operating system's own refusal: no file over 1,000 bytes, of which a mark is one."""
    pytest.importorskip("resource")
    path = tmp_path / "store"
    missing, nothing_failed, message = json.loads(output(program(LIMITED, path, 1000)))
    assert missing == list(range(2, 12)) and nothing_failed
    assert f"The rest was not run: {path}/{MARKS}/c/1/0/0: File too large." in message
    assert is_never_wrong(path, right)
    assert all_same(twonn.sweep(**SMALL, store=path), right)


def test_a_complete_store_on_a_disk_that_is_read_only(tmp_path, right, monkeypatch):
    path = tmp_path / "store"
    twonn.sweep(**SMALL, store=path)

    def refused(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refused)
    monkeypatch.setattr(os, "replace", refused)
    assert all_same(twonn.sweep(**SMALL, store=path), right)


def test_equal_failures_are_told_as_one(tmp_path, monkeypatch):
    write = chunks.write

    def fails(store, chunk, arrays, scratch):
        if chunk in (1, 2, 3, 7):
            raise OSError(errno.EIO, "Input/output error", f"file {chunk}")
        if chunk == 5:
            raise RuntimeError("another thing")
        write(store, chunk, arrays, scratch)

    monkeypatch.setattr(chunks, "write", fails)
    result = twonn.sweep(**SMALL, store=tmp_path / "store", chunk_size=1, retries=0)
    error = "OSError: [Errno 5] Input/output error: 'file 1'"
    assert result.failures == {
        range(1, 4): error,
        range(5, 6): "RuntimeError: another thing",
        range(7, 8): error,
    }
    assert result.message.count("failed") == 2
    assert (
        f"Runs 1 to 3, 7 to 7 failed: {error}. Runs 5 to 5 failed: RuntimeError: another thing."
        in result.message
    )
