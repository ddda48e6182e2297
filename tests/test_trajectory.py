"""Derived arrays against their definitions, files, and the forms people look at."""

import builtins
import dataclasses
import io
import json
import math
import os
import pickle
import re
import threading
import zipfile
from pathlib import Path

import mpmath
import numpy as np
import pytest
from cases import BALANCED, BALANCING, CYCLE, CYCLING, difference

import twonn
from twonn.problem.horizon import written_steps
from twonn.problem.runspec import RunSpec
from twonn.results.records import TRANSITION, VARIABLES

PROBLEM = twonn.Problem(x=[[2.0, 0.5], [1.0, -0.25]], y=[1, -1], step_size=0.05, reduction="sum")
START = twonn.Params(w=[[0.6, 0.1], [-0.4, 0.2]], b=[0.3, 0.9], v=[1.0, -1.0])
LINE = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)


@pytest.fixture(scope="module")
def traj():
    return twonn.run(PROBLEM, START, steps=30_000, sliding="step")


def test_the_shapes_are_those_promised(traj):
    n, d = len(traj.t), 2
    shapes = {
        "t": (n,),
        "log_t": (n,),
        "w": (n, 2, d),
        "b": (n, 2),
        "v": (n, 2),
        "margins": (n, 2),
        "log_loss": (n,),
        "loss": (n,),
        "pattern": (n,),
        "distances": (n, 2),
        "robust_margin": (n,),
        "gap": (n,),
        "preactivations": (n, 2, 2),
        "phase_unknown": (n, 2, 2),
        "sawtooth": (n, 2, 2),
    }
    for name, shape in shapes.items():
        array = getattr(traj, name)
        assert array.shape == shape, name
        assert array.dtype == {"pattern": np.uint8, "phase_unknown": np.bool_}.get(name, np.float64), name
    assert traj.transitions.dtype.names == ("t", "log_t", "before", "after", "t_low", "t_high")
    assert traj.slides.dtype.names == ("neuron", "point", "t_enter", "t_exit", "active_fraction")
    assert np.all(traj.slides["neuron"] <= 1) and np.all(traj.slides["point"] <= 1)
    assert traj.error_estimate == 0.0
    assert traj.segments["engine"].tolist() == ["direct"]
    assert traj.segments["t_stop"].tolist() == [30_000.0]


def test_samples_start_at_zero_and_end_at_the_last_step(traj):
    assert traj.t[0] == 0 and traj.log_t[0] == -math.inf
    assert traj.t[-1] == 30_000
    assert np.all(np.diff(traj.t) > 0)
    late = traj.t[(traj.t >= 100) & (traj.t < 10_000)]
    assert len(late) == 40  # 20 a decade
    assert np.array_equal(traj.log_t[1:], np.log(traj.t[1:]))


def test_derived_arrays_follow_from_the_parameters(traj):
    x, y = PROBLEM.x, PROBLEM.y
    for n in range(0, len(traj.t), 7):
        z = np.array([[math.fsum([*(traj.w[n, j] * x[i]), traj.b[n, j]]) for i in (0, 1)] for j in (0, 1)])
        # z comes from the reduced coordinates, w and b are rounded: a few roundings of |w·x| + |b| < 32.
        assert np.allclose(traj.preactivations[n], z, rtol=0, atol=32 * 4e-16)
        z = traj.preactivations[n]
        margins = [y[i] * math.fsum(traj.v[n, j] * max(0.0, z[j, i]) for j in (0, 1)) for i in (0, 1)]
        assert np.allclose(traj.margins[n], margins, rtol=4e-16, atol=0)
        loss = math.fsum(math.exp(-m) for m in margins)
        assert traj.loss[n] == pytest.approx(loss, rel=1e-13)
        here = twonn.Params(w=traj.w[n], b=traj.b[n], v=traj.v[n])
        assert np.allclose(twonn.distances(PROBLEM, here), traj.distances[n], rtol=1e-13, atol=1e-14)
    assert np.array_equal(traj.robust_margin, traj.distances.min(axis=1))
    optimal = twonn.optimal_margin(PROBLEM)
    assert np.allclose(traj.gap, optimal - traj.robust_margin, rtol=0, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_log_loss_keeps_its_digits_where_the_loss_underflows(loss, reduction):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, loss=loss, reduction=reduction)
    with mpmath.workdps(400):
        for margin in (-900.0, -40.0, -1.0, 0.0, 1e-3, 1.0, 30.0, 35.9, 36.1, 40.0, 700.0, 5000.0):
            # Margins (margin, margin + 1); a margin below 0 needs the other sign of v.
            v = [1.0, -1.0] if margin >= 0 else [-1.0, 1.0]
            params = twonn.Params(w=[abs(margin + 1), -abs(margin)], v=v)
            traj = twonn.run(problem, params, steps=0)
            m = [mpmath.mpf(float(entry)) for entry in traj.margins[0]]
            terms = [mpmath.exp(-e) if loss == "exponential" else mpmath.log1p(mpmath.exp(-e)) for e in m]
            exact = mpmath.log(sum(terms) / (2 if reduction == "mean" else 1))
            # Two logarithms and an addition, each within 2 ulp of numbers no larger than 1 + |ln L|.
            assert abs(traj.log_loss[0] - exact) <= 6 * 2.3e-16 * (1 + abs(exact))


def test_equal_points_on_a_line_have_a_boundary_and_planes_do_not(traj):
    line = twonn.run(LINE, twonn.Params(w=[0.5, -1.0]), steps=100)
    assert line.boundary.shape == line.t.shape
    with pytest.raises(ValueError, match="boundary: got a problem of dimension 2"):
        _ = traj.boundary


# --------------------------------------------------------------------------------------------------
# Files


def identical(one: twonn.Trajectory, other: twonn.Trajectory) -> bool:
    arrays = (
        "t",
        "log_t",
        "states",
        "pattern",
        "transitions",
        "transition_counts",
        "slides",
        "segments",
        "w",
        "b",
        "v",
        "margins",
        "distances",
        "gap",
    )
    scalars = (
        "problem",
        "params",
        "spec",
        "horizon",
        "status",
        "end_step",
        "n_transitions",
        "n_transitions_exact",
        "error_bound",
        "provenance",
        "obstacle",
        "message",
    )
    return all(getattr(one, a).tobytes() == getattr(other, a).tobytes() for a in arrays) and all(
        getattr(one, s) == getattr(other, s) for s in scalars
    )


def test_a_saved_trajectory_comes_back_to_the_last_bit(traj, tmp_path):
    path = tmp_path / "run"
    traj.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]  # the name as given, nothing left over
    assert identical(twonn.load(path), traj)
    assert identical(pickle.loads(pickle.dumps(traj)), traj)


def test_every_outcome_can_be_saved(tmp_path):
    dead = twonn.run(LINE, twonn.Params(w=[0.0, 0.0], b=[-1.0, -1.0]), steps=10**400)
    wild = twonn.run(
        twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=30.0, reduction="sum", train_output=True),
        twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[0.7, -0.6]),
        steps=100,
    )
    assert wild.status is twonn.Status.DIVERGED
    given_up = twonn.run(CYCLE, CYCLING, steps=10**400, max_direct=5000)
    assert given_up.status is twonn.Status.OBSTRUCTED and given_up.obstacle
    for one in (dead, wild, given_up):
        one.save(tmp_path / "one.npz")
        assert identical(twonn.load(tmp_path / "one.npz"), one)


def test_a_run_that_has_converged_can_be_saved(tmp_path):
    traj = twonn.run(BALANCED, BALANCING, 10**400, max_direct=10**6)
    assert traj.status is twonn.Status.CONVERGED
    traj.save(tmp_path / "one.npz")
    assert identical(twonn.load(tmp_path / "one.npz"), traj)


def test_files_from_before_a_run_could_give_up_are_read(traj, tmp_path):
    traj.save(tmp_path / "run.npz")
    assert identical(twonn.load(rewritten(tmp_path / "run.npz", obstacle=None)), traj)


def test_the_file_can_be_read_without_the_library(traj, tmp_path):
    traj.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as file:
        for name in VARIABLES.keys() - {"boundary"}:
            assert np.array_equal(file[name], getattr(traj, name)), name
        assert json.loads(str(file["problem"]))["x"] == PROBLEM.x.tolist()
        assert int(str(file["horizon"]), 16) == 30_000


def rewritten(path, **changes):
    """A copy of a trajectory file with some arrays replaced, or left out where None."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files} | changes
    other = path.with_name("changed.npz")
    np.savez(other, **{name: array for name, array in arrays.items() if array is not None})
    return other


def test_a_file_that_is_no_trajectory_is_refused(traj, tmp_path):
    path = tmp_path / "run.npz"
    traj.save(path)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:-200])
    np.save(tmp_path / "array.npy", np.zeros(3))
    broken = [
        tmp_path / "missing.npz",
        tmp_path,
        tmp_path / "text.npz",
        tmp_path / "empty.npz",
        tmp_path / "cut.npz",
        tmp_path / "array.npy",
    ]
    for case in broken:
        with pytest.raises(twonn.CheckpointError, match=case.name):
            twonn.load(case)
    changes = [
        {"format": np.array("twonn trajectory 99")},
        {"states": None},
        {"states": np.zeros((3, 12), dtype=np.float32)},
        {"states": traj.states[:-1]},
        {"states": traj.states[:, :5]},
        {"pattern": traj.pattern[:-1]},
        {"t": traj.t[:, np.newaxis]},
        {"status": np.array("asleep")},
        {"obstacle": np.array("\x1b[2J")},
        {"problem": np.array("{}")},
        {"problem": np.array("[1")},
        {"start_w": np.array([math.nan, 1.0])},
        {"start_w": np.array([0.5, 1.0])},
        {"horizon": np.array("many")},
        {"transition_counts": np.zeros((2, 2), dtype=np.int64)},
    ]
    for change in changes:
        with pytest.raises(twonn.CheckpointError, match=r"changed\.npz"):
            twonn.load(rewritten(path, **change))


def test_arrays_that_no_run_records_are_refused_as_such(traj, tmp_path):
    path = tmp_path / "run.npz"
    traj.save(path)
    for name, value in (("pattern", traj.pattern + 16), ("states", traj.states * math.nan)):
        with pytest.raises(twonn.CheckpointError, match=f"{name} has entries that no run records"):
            twonn.load(rewritten(path, **{name: value}))


def test_arrays_in_another_version_of_npy_are_refused(traj, tmp_path):
    path, other = tmp_path / "run.npz", tmp_path / "other.npz"
    traj.save(path)
    with np.load(path, allow_pickle=False) as file, zipfile.ZipFile(other, "w") as archive:
        for name in file.files:
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, file[name], version=(2, 0))
    with pytest.raises(twonn.CheckpointError, match=r"not of the version that Trajectory\.save writes"):
        twonn.load(other)


def test_damage_anywhere_in_a_file_never_gives_a_wrong_trajectory(tmp_path, faults):
    fault = faults("Saved trajectories", "a byte is inverted")
    one = twonn.run(LINE, twonn.Params(w=[0.5, -1.0]), steps=20, sample_steps=[10])
    path = tmp_path / "run.npz"
    one.save(path)
    whole = path.read_bytes()
    seed = 3
    print("seed", seed)
    for offset in np.random.default_rng(seed).integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[offset] ^= 0xFF
        path.write_bytes(damaged)
        try:
            back = twonn.load(path)
        except twonn.CheckpointError:
            held = True
        else:
            # The byte was in what zip archives say twice, in a time stamp, or in an array for other readers.
            held = identical(back, one)
        fault.holds("it is refused, or the same", held, offset)


def test_a_failed_write_leaves_the_old_file(traj, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    traj.save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        traj.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]
    with pytest.raises(OSError):
        traj.save(tmp_path / "no folder" / "run.npz")


def test_many_threads_may_save_under_one_name(traj, tmp_path):
    path = tmp_path / "run.npz"
    barrier = threading.Barrier(8)
    faults = []

    def work():
        barrier.wait()
        for _ in range(5):
            try:
                traj.save(path)
            except BaseException as error:
                faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert identical(twonn.load(path), traj)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


BOMBS = {
    "an old format": {"format": np.array("twonn trajectory 3")},
    "a format of gigabytes": {"format": np.array("", "U1000000")},
    "a problem of gigabytes": {"problem": np.array("{}", "U1000000")},
    "a status of gigabytes": {"status": np.array("completed", "U1000000")},
    "too many transitions": {"transitions": np.zeros(100_000, TRANSITION)},
    "another dtype": {"states": np.zeros((1_000_000, 12), np.float32)},
    "other samples": {"states": np.zeros((1_000_000, 12))},
    "other dimensions": {"start_w": np.zeros((2, 1_000_000))},
}


@pytest.mark.parametrize("what", BOMBS)
def test_nothing_is_unpacked_before_it_is_judged(what, traj, tmp_path, monkeypatch):
    """What unpacks to megabytes here may do so to any size."""
    traj.save(tmp_path / "run.npz")
    path = rewritten(tmp_path / "run.npz", **BOMBS[what])
    read, genuine = [], zipfile.ZipExtFile.read

    def counting(self, n=-1):
        data = genuine(self, n)
        read.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counting)
    with pytest.raises(twonn.CheckpointError, match=r"changed\.npz"):
        twonn.load(path)
    assert sum(read) < 100_000


def test_an_array_of_another_size_than_it_says_is_refused(traj, tmp_path):
    """A header of a trillion samples with nothing behind it."""
    traj.save(tmp_path / "run.npz")
    header = io.BytesIO()
    huge = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(header, huge)
    with zipfile.ZipFile(tmp_path / "run.npz") as whole, zipfile.ZipFile(tmp_path / "big.npz", "w") as big:
        for name in whole.namelist():
            big.writestr(name, header.getvalue() if name in ("t.npy", "log_t.npy") else whole.read(name))
    with pytest.raises(twonn.CheckpointError, match="does not have the size that it declares"):
        twonn.load(tmp_path / "big.npz")


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(twonn.CheckpointError, match="not a regular file"):
        twonn.load(tmp_path / "pipe")


# --------------------------------------------------------------------------------------------------
# Tables


def test_to_dataframe(traj):
    frame = traj.to_dataframe()
    assert len(frame) == len(traj.t)
    assert np.array_equal(frame["t"], traj.t)
    assert np.array_equal(frame["w_1_0"], traj.w[:, 1, 0])
    assert np.array_equal(frame["margins_1"], traj.margins[:, 1])
    assert "boundary" not in frame
    line = twonn.run(LINE, twonn.Params(w=[0.5, -1.0]), steps=100)
    assert np.array_equal(line.to_dataframe()["w_1"], line.w[:, 1, 0])
    assert np.array_equal(line.to_dataframe()["boundary"], line.boundary, equal_nan=True)


def test_to_xarray(traj):
    data = traj.to_xarray()
    assert dict(data.sizes) == {"sample": len(traj.t), "neuron": 2, "axis": 2, "point": 2}
    for name in VARIABLES.keys() - {"boundary"}:
        assert np.array_equal(data[name], getattr(traj, name))
        assert data[name].attrs["units"] and data[name].attrs["long_name"]
    assert np.array_equal(data.coords["log_t"], traj.log_t)
    assert data.attrs["status"] == "completed"


@pytest.mark.parametrize(("method", "package"), [("to_dataframe", "pandas"), ("to_xarray", "xarray")])
def test_a_missing_optional_package_is_named(traj, method, package, monkeypatch):
    genuine = builtins.__import__

    def without(name, *args, **kwargs):
        if name == package:
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf"{package}; install it with: pip install twonn\[frames\]"):
        getattr(traj, method)()


# --------------------------------------------------------------------------------------------------
# What people see


def test_repr_tells_what_happened(traj):
    text = repr(traj)
    assert "All 30,000 steps were taken." in text
    assert f"{traj.n_transitions:,}" in text
    assert f"{traj.gap[-1]:.6g}" in text
    assert "trained" not in text and "fixed" in text


@pytest.mark.parametrize(("end", "written"), [(4321, "4,321"), (10**30, r"10\^30")])
def test_converged_and_obstructed_runs_have_a_sentence(traj, end, written):
    far = dataclasses.replace(traj.spec, options=dataclasses.replace(traj.spec.options, horizon=10**400))
    ended = {"spec": far, "end_step": end}
    converged = dataclasses.replace(traj, status=twonn.Status.CONVERGED, **ended).message
    assert re.fullmatch(
        rf"All 10\^400 steps .* has converged: from step {written} on .*balance\)\.", converged
    )
    obstacle = "max_direct = 7 is used up"
    given_up = dataclasses.replace(traj, status=twonn.Status.OBSTRUCTED, obstacle=obstacle, **ended).message
    expected = (
        rf"At step {written} of 10\^400 the engine gave up: {obstacle}\. Ask for .* a larger max_direct\."
    )
    assert re.fullmatch(expected, given_up)


def test_only_averaging_is_called_that():
    leapt = twonn.run(LINE, twonn.Params(w=[0.5, -1.0]), steps=10**12)
    passing = dataclasses.replace(leapt, n_transitions_exact=False)
    assert "transitions at least" in repr(passing) and "averaging" not in repr(passing)
    assert "most of it from averaging" in repr(twonn.run(PROBLEM, START, steps=10**12))


def test_repr_html_escapes_and_tells_the_same(traj):
    page = traj._repr_html_()
    assert "<table" in page and "All 30,000 steps were taken." in page


def test_a_trajectory_cannot_be_changed(traj):
    with pytest.raises(AttributeError):
        traj.status = twonn.Status.DIVERGED


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (0, "0"),
        (1_000_000, "1,000,000"),
        (10**15 - 1, "999,999,999,999,999"),
        (10**15, "10^15"),
        (10**400, "10^400"),
        (10**100_000, "10^100000"),
        (123 * 10**50, "1.23e+52"),
        (99_999 * 10**16, "1e+21"),
        (10**400 - 1, "1e+400"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # pytest cannot write 10^100000
)
def test_steps_as_people_write_them(steps, text):
    assert written_steps(steps) == text


def test_files_are_named_by_names(traj):
    for path in (3, None, b"run.npz"):
        with pytest.raises(TypeError, match="path: got"):
            twonn.load(path)
        with pytest.raises(TypeError, match="path: got"):
            traj.save(path)


def test_the_optimal_margin_is_that_of_a_problem():
    with pytest.raises(TypeError, match="problem: got"):
        twonn.optimal_margin([-1, 1])


def test_stored_arrays_are_read_only(traj):
    for name in ("t", "states", "pattern", "transitions"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(traj, name)[0] = 0


#: Written by the first twonn that had each version of the format.
RELEASED = sorted((Path(__file__).parent / "files").glob("trajectory-*.npz"))


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_files_of_every_version_are_read(file):
    held = twonn.load(file)
    traj = twonn.run(held.problem, held.params, held.horizon, samples_per_decade=3)
    # Bits may have changed since then. The numbers have not: 1e-14 is what leaps aim at.
    assert difference(held, traj).norm <= 1e-14
    assert held.phase_unknown.any() and np.array_equal(held.phase_unknown, traj.phase_unknown)
    assert np.array_equal(held.slides[["neuron", "point"]], traj.slides[["neuron", "point"]])
    assert len(held.slides) and np.array_equal(held.sawtooth > 0, held.phase_unknown)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 300, "sample_steps": np.array([7, 50])},
        {"log10_steps": 400.0, "sample_steps": [10**300, 10**399], "max_direct": 10**9},
        {"steps": 1000, "engine": "direct", "samples_per_decade": 3.5},
        {"steps": 50, "optimizer": twonn.Adam(beta1=0.5)},
    ],
    ids=["an array", "long steps", "direct", "adam"],
)
def test_what_was_asked_survives_a_file(options, tmp_path):
    traj = twonn.run(LINE, twonn.Params(w=[0.5, -1.0]), **options)
    traj.save(tmp_path / "run.npz")
    again = twonn.load(tmp_path / "run.npz")
    assert again.spec == traj.spec and again == traj
    assert RunSpec.from_dict(json.loads(json.dumps(traj.spec.to_dict()))) == traj.spec
    asked = traj.spec.options
    assert list(asked.sample_steps or ()) == list(options.get("sample_steps", ()))
    assert (asked.engine, asked.optimizer) == (options.get("engine", "auto"), options.get("optimizer"))
