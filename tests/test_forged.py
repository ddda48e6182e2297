"""Forged checkpoints are refused or give a run, and hurt nobody: no crash, no hang, no other error.

``TWONN_FORGERIES`` is the number of random ones for each kind of run; `make sanitize` takes many, with a
kernel that checks every access to memory and all arithmetic.
"""

import itertools
import json
import os
import signal
import warnings

import numpy as np
import pytest
from forging import at_random, every_field, every_size, rewritten

import twonn
from twonn import _core
from twonn.engine import fields, pace
from twonn.engine.checkpoint import read, spec_of
from twonn.engine.fields import RELATIONS
from twonn.engine.kernel import prepared
from twonn.engine.run import so_far
from twonn.files import CheckpointError
from twonn.problem.runspec import RunOptions, RunSpec
from twonn.results.records import VARIABLES

FORGERIES = int(os.environ.get("TWONN_FORGERIES", "300"))

#: Seconds after which a child that hangs is ended by the system: many times what it takes.
PATIENCE = int(os.environ.get("TWONN_PATIENCE", "600"))

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
CHATTER = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
CHATTERING = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.3])
TRAINED = twonn.Problem(x=[-0.3, 0.8], y=[1, -1], step_size=0.05, reduction="sum", train_output=True)
SPACE = twonn.Problem(x=[[-1.0, 0.5], [0.75, -0.5]], y=[-1, 1], step_size=0.05, loss="logistic")
SLIDER = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])

#: Runs of every kind, paused somewhere: problem, start, steps, blocks until the pause, options.
RUNS = {
    "begun": (PAPER, START, 3000, 0, {"engine": "direct"}),
    "stepped": (PAPER, START, 3000, 3, {"engine": "direct", "sample_steps": [5, 700]}),
    "flipping": (CHATTER, CHATTERING, 30_000, 40, {"engine": "direct"}),
    "leapt": (PAPER, START, 10**12, 4, {}),
    "sliding": (CHATTER, CHATTERING, 10**16, 14, {}),
    "trained": (TRAINED, SLIDER, 10**12, 28, {}),
    "beyond counting": (PAPER, START, 10**60, 9, {}),
    "slid by steps": (CHATTER, CHATTERING, 10**6, 90, {"sliding": "step"}),
    "adam": (PAPER, START, 3000, 500, {"optimizer": "adam"}),
    "momentum": (SPACE, twonn.Params(w=[[0.9, 0.1], [-1.4, 0.2]]), 3000, 500, {"optimizer": "momentum"}),
}


@pytest.fixture
def block_by_block(monkeypatch):
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.twonn"


def paused(path, name):
    """What is in the file of one of the runs."""
    problem, params, steps, blocks, options = RUNS[name]
    calls = itertools.count()
    twonn.run(problem, params, steps, checkpoint=path, on_block=lambda *_: next(calls) >= blocks, **options)
    values, damage = read(path)
    assert damage is None and values["outcome"] == "interrupted"
    path.with_name(f"{path.name}.previous").unlink(missing_ok=True)
    return values


def attempt(path) -> str:
    """Look at a file and go on from it for a moment."""
    try:
        so_far(path)
        twonn.resume(path, on_block=lambda *_: True)
    except CheckpointError:
        return "refused"
    except ValueError as error:  # what was asked for may still be refused, by name
        assert str(error).split(":")[0] in ("steps", "engine", "sliding", "samples_per_decade"), error
        return "refused"
    return "run"


def in_child(path, put, forgeries, attempt=attempt) -> dict[str, int]:
    """Try forgeries in a process of its own, whose death is told with the forgery that it died of."""
    notes = path.with_name("notes")
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        warnings.simplefilter("ignore")  # numbers that overflow in a forged state
        counts = {"refused": 0, "run": 0}
        try:
            for changes in forgeries:
                notes.write_text(f"{ {name: str(value)[:300] for name, value in changes.items()} }")
                put(changes)
                counts[attempt(path)] += 1
                path.with_name(f"{path.name}.previous").unlink(missing_ok=True)
            notes.write_text(json.dumps(counts))
            os._exit(0)
        except BaseException as error:
            notes.write_text(f"{type(error).__name__}: {error} from {notes.read_text()}")
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFEXITED(status), f"died of signal {os.WTERMSIG(status)} at {notes.read_text()}"
    assert os.WEXITSTATUS(status) == 0, notes.read_text()
    return json.loads(notes.read_text())


def count_in(fault, counts):
    """Count forgeries that came back, each of which was refused or read."""
    for _ in range(sum(counts.values())):
        fault.holds("it is refused, or read as one; nothing else happens", True)


@pytest.mark.parametrize("name", RUNS)
def test_no_forged_file_hurts(name, path, block_by_block, monkeypatch, faults):
    values = paused(path, name)
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 4096)
    seed = sorted(RUNS).index(name)
    print("seed", seed)
    rng = np.random.default_rng([605, seed])
    random = itertools.chain.from_iterable(
        itertools.islice(at_random(values, rng, most), FORGERIES // 3) for most in (1, 2, 4)
    )
    fault = faults("Checkpoints: forgery", f"a run that is {name}")
    for kind, forgeries in {
        "fields": every_field(values, rng),
        "sizes": every_size(values),
        "random": random,
    }.items():
        counts = in_child(path, lambda changes: path.write_bytes(rewritten(values, **changes)), forgeries)
        print(name, kind, counts)
        assert counts["refused"] > counts["run"] * (kind != "random")
        count_in(fault, counts)


# --------------------------------------------------------------------------------------------------
# What was found once, and every relation by itself

FOUND = {
    "a step that is cut to an int": ("stepped", {"step": np.array(2**63 - 1)}),
    "a step that never ends": ("flipping", {"step": np.array(2**31 - 1)}),
    "provenance that is no object": ("stepped", {"provenance": "[1]"}),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_is_refused(what, path, block_by_block):
    name, changes = FOUND[what]
    values = paused(path, name)

    def put(forged):
        path.write_bytes(rewritten(values, **forged))

    assert in_child(path, put, [{}, changes]) == {"refused": 1, "run": 1}


def changed(values, name, **entries):
    """An array of a file with some entries, by their indices in it, changed."""
    array = np.array(values[name])
    for place, entry in entries.items():
        array[tuple(map(int, place.removeprefix("_").split("_")))] = entry
    return {name: array}


#: Words of each relation -> the run whose file is forged, and how, so that it alone does not hold.
BROKEN = {
    "at most `horizon`": ("stepped", lambda v: {"horizon": hex(int(v["step"]) - 1)}),
    "-1 at step 0 only": ("stepped", lambda v: {"last_pattern": np.array(-1, np.int32)}),
    "`n_transitions` is at most": ("stepped", lambda v: too_many(v)),
    "add up": ("flipping", lambda v: changed(v, "counts", _6_7=v["counts"][6, 7] + 1)),
    "follow on": ("flipping", lambda v: changed(v, "transition_patterns", _3_0=5)),
    "begin with the start": ("sliding", lambda v: changed(v, "states", _0_8=0.5)),
    "`segments` join": ("leapt", lambda v: changed(v, "segments", _1_1=v["segments"][1, 1] + 1)),
    "`walked`": ("leapt", lambda v: {"walked": v["step"] + 1}),
    "`n_slides`": ("sliding", lambda v: {"n_slides": np.array(2**61), **all_rows(v)}),
    "at most one point": ("sliding", lambda v: {"mean_pairs": np.array(3, np.int32)}),
    "`averaged` is 1": ("sliding", lambda v: {"averaged": np.array(0, np.int32)}),
    "`uncounted`": ("sliding", lambda v: {"uncounted": np.array(0, np.int32)}),
    "have a neuron": ("sliding", lambda v: changed(v, "late_slides", _0_0=0.5)),
    "`episode` is a row": ("sliding", lambda v: {"episode": np.array([1, 1])}),
    "`step` and `last_pattern` are": (
        "adam",
        lambda v: {"last_pattern": np.array(-1, np.int32), "step": np.array(0)},
    ),
    "second moments": ("adam", lambda v: changed(v, "moving", _3_0=-1.0)),
}


def too_many(values):
    """More transitions than steps, as many as are counted."""
    many = int(values["step"]) + 1
    patterns = np.array([[6, 7], [7, 6]] * many, np.uint8)[:many]
    counts = np.zeros((16, 16), np.int64)
    np.add.at(counts, (patterns[:, 0], patterns[:, 1]), 1)
    times = np.repeat([[1.0, -np.inf, 1.0, 1.0]], many, 0)
    return {
        "n_transitions": np.array(many),
        "counts": counts,
        "transition_patterns": patterns,
        "transition_times": times,
        "last_pattern": np.array(patterns[-1, 1], np.int32),
    }


def all_rows(values):
    """Room for all the episodes that are recorded, of which only two are open."""
    rows = np.zeros((_core.SLIDES_KEPT, 5))
    rows[: len(values["slides"])] = values["slides"]
    return {"slides": rows}


@pytest.mark.parametrize("words", BROKEN)
def test_every_relation_is_needed(words, path, block_by_block):
    (relation,) = [relation for relation in RELATIONS if words in relation.meaning]
    name, forge = BROKEN[words]
    values = paused(path, name)
    path.write_bytes(rewritten(values, **forge(values)))
    with pytest.raises(CheckpointError) as refused:
        read(path)
    assert f"it does not hold that {relation.meaning}" in str(refused.value)


#: Episodes that are not open though each has a row: what of a sliding run's file is other than it was.
NOT_OPEN = {
    "a late row, but no row is late": {"episode": np.array([_core.SLIDES_KEPT, 1])},
    "the other neuron's late row": {"episode": np.array([_core.SLIDES_KEPT + 1, 1])},
    "a row behind the last": {"episode": np.array([_core.SLIDES_KEPT - 1, 1])},
    "the neuron slides nowhere": {
        "sliding_candidates": np.array(0, np.int32),
        "mean_pairs": np.array(0, np.int32),
    },
}


@pytest.mark.parametrize("case", NOT_OPEN)
def test_an_episode_is_one_that_is_open(case, path, block_by_block):
    values = paused(path, "sliding")
    assert values["episode"].tolist() == [0, 1] and fields._are_open(values)
    assert not fields._are_open({**values, **NOT_OPEN[case]})


def test_an_episode_may_be_in_the_late_row_of_its_neuron(path, block_by_block):
    """Once all other rows are taken."""
    values = paused(path, "sliding")
    late = {
        "episode": np.array([_core.SLIDES_KEPT, 1]),
        "n_slides": np.array(len(values["slides"]) + 1),
        "late_slides": values["slides"][:2],
    }
    assert fields._are_open({**values, **late})


def test_there_is_a_forgery_for_every_relation():
    assert all(sum(words in relation.meaning for words in BROKEN) == 1 for relation in RELATIONS)


SCHEDULED = {
    "a sample too few": ("flipping", lambda v: fewer_samples(v), "its samples are not those"),
    "another sample": ("flipping", lambda v: changed(v, "steps", _3=4), "its samples are not those"),
    "a wild state": ("stepped", lambda v: changed(v, "state", _0=6e299), "state is out of bounds"),
    "wild moments": ("momentum", lambda v: changed(v, "moving", _2_0=1e305), "moving is out of bounds"),
    "a wild logarithm": ("beyond counting", lambda v: far(v), "its step is behind the horizon"),
    "no such outcome": ("stepped", lambda v: {"outcome": "asleep"}, "outcome: got 'asleep'"),
    "a leap with Adam": ("adam", lambda v: {"engine": "leap"}, "engine: got 'leap'"),
}


def fewer_samples(values):
    names = ("steps", "logs", "states", "patterns", "phase_unknown_then")
    return {"n_samples": values["n_samples"] - 1, **{name: values[name][:-1] for name in names}}


def far(values):
    logs = np.array(values["segment_logs"])
    logs[-1, 1] = 1e6
    return {"log_step": np.array(1e6), "segment_logs": logs}


@pytest.mark.parametrize("case", SCHEDULED)
def test_what_only_the_run_itself_can_tell_is_refused(case, path, block_by_block):
    name, forge, words = SCHEDULED[case]
    values = paused(path, name)
    path.write_bytes(rewritten(values, **forge(values)))
    for opening in (so_far, twonn.resume):
        with pytest.raises(CheckpointError, match=rf"not what a checkpoint has to be \(.*{words}"):
            opening(path)


@pytest.mark.parametrize("name", ["sliding", "adam"])
def test_the_kernel_leaves_its_memory_for_no_state(name, path, block_by_block):
    """Without the tables of the format in front of it."""
    values = paused(path, name)
    spec = spec_of(values)
    tried = 0
    for field, (least, most) in _core.LIMITS.items():
        if field not in values:
            continue
        bounds = np.iinfo(values[field].dtype)
        for entry in {least - 1, most + 1} & set(range(-300, 3000)) | {bounds.min, bounds.max} - {
            least,
            most,
        }:
            state = {**values, field: np.full(values[field].shape, entry, values[field].dtype)}
            with pytest.raises(ValueError, match=field if field != "step" or entry < 0 else "horizon"):
                prepared(spec, state)
            tried += 1
    assert tried > 6


# --------------------------------------------------------------------------------------------------
# Saved trajectories


def load_and_look(path) -> str:
    """Read a trajectory and all that follows from it."""
    try:
        traj = twonn.load(path)
    except CheckpointError:
        return "refused"
    assert repr(traj).startswith("Trajectory")
    for name in (
        "w",
        "margins",
        "log_loss",
        "distances",
        "gap",
        "gap_error",
        "sawtooth",
        "boundary",
        "final",
    ):
        try:
            getattr(traj, name)
        except ValueError as error:
            assert name == "boundary" and "of dimension 2" in str(error)
    return "run"


@pytest.mark.parametrize("name", ["sliding", "momentum"])
def test_no_forged_trajectory_hurts(name, path, faults):
    problem, params, steps, _, options = RUNS[name]
    twonn.run(problem, params, steps, **options).save(path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    seed = sorted(RUNS).index(name)
    print("seed", seed)
    rng = np.random.default_rng([606, seed])
    stored = {key: array for key, array in arrays.items() if key not in VARIABLES}
    stored["pattern"] = arrays["pattern"]
    # Fields of rows are forged as arrays of their own, texts as texts.
    flat = {}
    for key, array in stored.items():
        if array.dtype.kind == "U":
            flat[key] = str(array)
        for field in array.dtype.names or ():
            if field != "engine":
                flat[f"{key}.{field}"] = array[field]
        if array.dtype.names is None and array.dtype.kind in "iuf":
            flat[key] = array

    def put(changes):
        forged = dict(arrays)
        for key, value in changes.items():
            whole, _, field = key.partition(".")
            if field and isinstance(value, np.ndarray) and value.shape == arrays[whole].shape:
                forged[whole] = forged[whole].copy()
                forged[whole][field] = value
            elif value is None:
                forged.pop(whole)
            else:
                forged[whole] = np.array(value)
        np.savez(path, **forged)

    random = itertools.islice(at_random(flat, rng, 3), FORGERIES)
    path = path.with_name("run.npz")
    forgeries = itertools.chain(every_field(flat, rng), every_size(flat), random)
    counts = in_child(path, put, forgeries, load_and_look)
    print(name, counts)
    assert counts["refused"] > 200
    count_in(faults("Saved trajectories", f"it is forged: a run that is {name}"), counts)


# --------------------------------------------------------------------------------------------------
# Counters of the kernel at the ends of their ranges


def at_the_end_of_counting(spec, steps_left):
    """A state of a run so many steps before the last that can be counted, with all samples before it."""
    kernel = prepared(spec)
    kernel.advance(1)
    state = kernel.state()
    schedule, _ = spec.options.schedule()
    step = 2**63 - 1 - steps_left
    recorded = schedule[schedule < step]
    n = len(recorded)
    return {
        **state,
        "step": np.array([step]),
        "log_step": np.array([0.0]),
        "n_samples": np.array([n]),
        "steps": recorded,
        "logs": np.zeros(n),
        "states": np.zeros((n, 12)),
        "patterns": np.zeros(n, np.uint8),
        "phase_unknown_then": np.zeros(n, np.uint8),
        "credit": np.array([-(10**9)]),
    }


def test_a_block_over_the_end_of_counting_goes_on_by_logarithms():
    spec = RunSpec(PAPER, START, RunOptions(10**30, samples_per_decade=20.0))
    kernel = prepared(spec, at_the_end_of_counting(spec, 100))
    kernel.advance(1)
    assert kernel.step == -1 and kernel.log_step == pytest.approx(63 * np.log(2), rel=1e-15)


def test_the_last_block_that_can_be_counted_ends_at_the_horizon():
    spec = RunSpec(PAPER, START, RunOptions(2**63 - 1, samples_per_decade=20.0))
    kernel = prepared(spec, at_the_end_of_counting(spec, 100))
    kernel.advance(1)
    assert kernel.status == _core.COMPLETED and kernel.step == 2**63 - 1


def test_blocks_without_a_look_for_slides_are_counted_up_to_a_limit():
    """After half a trillion steps, which are minutes, the counter would have overflowed."""
    spec = RunSpec(PAPER, START, RunOptions(10**9, "direct", samples_per_decade=20.0))
    kernel = prepared(spec)
    kernel.advance(10**6)  # to where no step has to look at the pattern
    most = 2**31 - 1
    other = prepared(spec, {**kernel.state(), "unwatched": np.array([most], np.int32)})
    other.advance(10**5)
    assert other.state()["unwatched"][0] == most
