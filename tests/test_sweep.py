"""Sweeps: the bits of single runs, whoever computes them; stores that go on; workers that are lost."""

import errno
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr
from cases import BALANCED, BALANCING, CYCLE
from strategies import random_case

import twonn
from twonn.analysis.laws import STORED
from twonn.engine import batch
from twonn.results.records import VARIABLES
from twonn.sweeps import chunks, executors, plan, summary
from twonn.sweeps.metadata import seal

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
SLIDING = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
TRAINED = twonn.Problem(
    x=[2.0, -0.7], y=[1, -1], step_size=0.05, loss="logistic", reduction="sum", train_output=True
)
WILD = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e3, train_output=True)
FLAT = twonn.Problem(x=[[1.0, 0.3], [-0.2, 2.0]], y=[1, -1], step_size=0.1)

DRAWN = twonn.initializers.sample("balanced", 6, 11)

#: The last one diverges in WILD.
STARTS = twonn.Params(w=[*DRAWN.w, [[2.0], [-2.0]]], b=[*DRAWN.b, [3.0, 3.0]], v=[*DRAWN.v, [-3.0, -3.0]])


def columns(result: twonn.SweepResult) -> dict[str, np.ndarray]:
    return {name: result[name] for name in result.to_xarray().data_vars}


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name


# --------------------------------------------------------------------------------------------------
# Against single runs


def assert_is_judged_alike(data: xarray.Dataset, traj: twonn.Trajectory) -> None:
    """A sweep and a trajectory agree on success, and on the reason and the step of a failure."""
    assert bool(data.success) == traj.success
    meanings = data.failure.attrs["flag_meanings"].split()
    for point in (0, 1):
        failure, t = meanings[int(data.failure[point])], float(data.failure_t[point])
        assert (failure == "classified") == (traj.margins[-1, point] > 0 and failure != "diverged")
        if failure == "diverged":
            assert traj.outcome == f"no point is classified: the run diverged at step {int(t):,}"
        elif failure == "inactive" and t == 0:
            assert "no neuron was ever active on" in traj.outcome
        elif failure == "inactive" and t == t:
            assert f"since step {int(t):,}" in traj.outcome
        else:
            assert t != t
        words = {"sliding": "sliding along", "outweighed": " outweighs ", "wrong_sign": "the wrong sign"}
        assert words.get(failure, "") in traj.outcome
        assert float(data.failure_log_t[point]) == pytest.approx(
            math.log(t) if t > 0 else -math.inf if t == 0 else math.nan, rel=1e-15, nan_ok=True
        )


def assert_is_the_run(data: xarray.Dataset, traj: twonn.Trajectory) -> None:
    """One run of a sweep with trajectories has exactly the numbers of the trajectory.

    Of a run that was given up the columns of the end are nan.
    """
    given_up = traj.status is twonn.Status.OBSTRUCTED
    meanings = data.status.attrs["flag_meanings"].split()
    assert meanings[int(data.status)] == traj.status.value
    if traj.end_step < 2**63:
        with np.errstate(divide="ignore"):
            assert data.log_t_end == np.log(float(traj.end_step))
        assert data.t_end == float(traj.end_step)
    else:
        assert (data.t_end, data.log_t_end) == (traj.t[-1], traj.log_t[-1])
    assert_is_judged_alike(data, traj)
    for name in "wbv":
        assert np.array_equal(data[f"start_{name}"], getattr(traj.params, name))
    count = len(traj.t)
    assert np.array_equal(data.t[:count], traj.t)
    assert np.array_equal(data.log_t[:count], traj.log_t)
    assert np.isnan(data.t[count:]).all()
    for name in VARIABLES:
        if name in data:
            values, final = getattr(traj, name), data[f"final_{name}"]
            assert np.array_equal(data[name][:count], values, equal_nan=True), name
            if given_up and (name != "b" or traj.problem.bias):
                assert (final == summary.NO_CODE) if name == "pattern" else np.isnan(final).all()
            else:
                assert np.array_equal(final, values[-1], equal_nan=True), name
            after = data[name][count:]
            assert (after == summary.NO_CODE).all() if name == "pattern" else np.isnan(after).all()
    assert given_up or data.error_estimate == traj.error_estimate
    assert data.n_transitions == traj.n_transitions
    assert data.n_transitions_exact == traj.n_transitions_exact
    kept = min(len(traj.transitions), batch.TRANSITIONS_KEPT)
    for name in traj.transitions.dtype.names:
        found = data[f"transition_{name}"]
        assert np.array_equal(found[:kept], traj.transitions[name][:kept])
        after = found[kept:]
        assert (after == summary.NO_CODE).all() if after.dtype == np.uint8 else np.isnan(after).all()
    assert data.n_slides == len(traj.slides)
    kept = min(len(traj.slides), batch.SLIDES_KEPT)
    for name in traj.slides.dtype.names:
        found = data[f"slide_{name}"]
        assert np.array_equal(found[:kept], traj.slides[name][:kept], equal_nan=True)
    fraction = np.full((2, 2), np.nan)
    for slide in traj.slides[np.isinf(traj.slides["t_exit"])]:
        fraction[slide["neuron"], slide["point"]] = slide["active_fraction"]
    assert np.array_equal(data.final_active_fraction, fraction, equal_nan=True)
    if given_up:
        assert STORED[int(data.asymptote_law)].formula == "unknown" and np.isnan(data.asymptote_limit)
        return
    asymptote = twonn.asymptote(traj.problem, traj)
    assert STORED[int(data.asymptote_law)].formula == asymptote.law
    for name in ("limit", "constant", "shift", "boundary"):
        if name != "boundary" or "boundary" in data:
            assert np.array_equal(data[f"asymptote_{name}"], getattr(asymptote, name), equal_nan=True), name


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"engine": "direct"}, 5000),
        ({"engine": "auto", "max_direct": 10**6}, 10**12),
        ({"engine": "auto", "max_direct": 10**6, "samples_per_decade": 3}, 10**100),
        ({"engine": "auto", "sliding": "step", "sample_steps": [3, 500]}, 2000),
        ({}, 0),
        ({"optimizer": "adam"}, 0),
        ({"optimizer": {"name": "adam", "beta1": 0.5}}, 700),
        ({"optimizer": "momentum", "engine": "direct"}, 300),
        ({"optimizer": "normalized_gd", "sample_steps": [7]}, 300),
    ],
)
def test_every_run_is_the_run_that_run_does(options, steps):
    problems = [PAPER, SLIDING, TRAINED, WILD]
    result = twonn.sweep(problems, STARTS, steps, trajectories=True, chunk_size=3, **options)
    assert result.complete
    data = result.to_xarray()
    for run in range(result.runs):
        problem, start = problems[run // len(STARTS)], STARTS[run % len(STARTS)]
        one = data.isel(problem=run // len(STARTS), start=run % len(STARTS))
        assert one.run == run and one.step_size == problem.step_size
        assert_is_the_run(one, twonn.run(problem, start, steps, **options))
    if steps == 5000:  # that the cases tell something
        assert set(result["failure"].ravel().tolist()) >= {0, 1, 2, 6}
        assert np.isfinite(result["failure_t"]).any() and result["success"].any()
        assert {1, 2, 3} <= set(result["status"].tolist())
        assert (result["n_transitions"] > batch.TRANSITIONS_KEPT).any()
    if steps == 10**12:
        assert np.isfinite(result["final_active_fraction"]).any()
        assert not result["n_transitions_exact"].all()


@pytest.mark.parametrize("group", range(2))
def test_sweeps_and_trajectories_agree_on_success(group):
    seen = set()
    for seed in range(group, 80, 2):
        case = random_case(seed)
        traj = twonn.run(case.problem, case.params, 3000)
        data = twonn.sweep(case.problem, case.params, 3000).to_xarray()
        assert_is_judged_alike(data, traj)
        seen |= {(int(code), bool(t == t)) for code, t in zip(data.failure, data.failure_t, strict=True)}
    assert {(0, False), (2, True), (3, False), (4, False), (6, False)} <= seen


def test_runs_that_are_given_up_are_judged_by_their_last_samples():
    starts = twonn.Params(w=[[[0.43], [-1.47]], [[0.43], [1.47]]])
    result = twonn.sweep(PAPER, starts, 10**40, max_direct=100)
    data = result.to_xarray()
    assert (data.status == 5).all() and np.isnan(data.final_margins).all()
    for run in range(2):
        traj = twonn.run(PAPER, starts[run], 10**40, max_direct=100)
        assert_is_judged_alike(data.isel(start=run), traj)
    assert data.success.values.tolist() == [True, False]


def test_a_failure_whose_step_is_not_kept_has_no_step():
    """Of so many transitions a sweep does not keep the one that matters; samples are no substitute."""
    problem = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=1.0, train_output=True)
    starts = twonn.initializers.sample("balanced", 300, 3)
    result = twonn.sweep(problem, starts, 3000, engine="direct", trajectories=["gap"])
    many = (result["failure"] == 2) & (result["n_transitions"] > batch.TRANSITIONS_KEPT)[:, None]
    assert many.any() and np.isnan(result["failure_t"][many]).all()


def test_the_outcomes_are_summed_up():
    result = twonn.sweep([PAPER, SLIDING, WILD], STARTS, 5000)
    success, failure = result["success"], result["failure"]
    lines = repr(result).splitlines()
    (line,) = (line.split(None, 1)[1] for line in lines if line.startswith("  success"))
    head, reasons = line.split("; failed: ")
    assert head == f"{success.sum()} of 21"
    parts = dict(reversed(part.split(" ", 1)) for part in reasons.split(", "))
    assert sum(map(int, parts.values())) == (~success).sum()
    diverged = (failure == 1).all(axis=1)
    assert int(parts["diverged"]) == diverged.sum() > 0
    inactive = (failure == 2).any(axis=1) & ~diverged
    assert int(parts["with no neuron active on a point"]) == inactive.sum() > 0
    part = twonn.sweep(PAPER, STARTS, 5000, part=(0, 7), chunk_size=1)  # of the others nothing is known
    assert f"success     {part['success'].sum()} of 1" in repr(part)


OPTIMIZERS = ["gd", twonn.Adam(beta1=0.5), {"name": "momentum"}, "adam"]

LABELS = ["gd", "adam(beta1=0.5)", "momentum", "adam"]


@pytest.mark.parametrize("chunk_size", [1, 5, 1000])
def test_a_sweep_is_the_product_of_problems_optimizers_and_starts(chunk_size, tmp_path):
    options = {"optimizer": OPTIMIZERS, "trajectories": ["gap"], "chunk_size": chunk_size}
    result = twonn.sweep([PAPER, TRAINED], STARTS, 400, store=tmp_path / "store", **options)
    in_memory = twonn.sweep([PAPER, TRAINED], STARTS, 400, **options)
    assert_same(columns(result), columns(in_memory))
    assert result.dimensions == ("problem", "start", "optimizer")
    assert result.runs == 2 * 4 * 7 and "2 problems × 7 starts × 4 optimizers" in repr(result)
    assert result.optimizers == (None, twonn.Adam(beta1=0.5), twonn.Momentum(), twonn.Adam())
    data = result.to_xarray()
    xarray.testing.assert_equal(data, in_memory.to_xarray())
    assert data.gap.dims == ("problem", "start", "optimizer", "sample")
    assert data.optimizer.values.tolist() == LABELS
    assert data.step_size.dims == ("problem",) and data.success.mean("start").shape == (2, 4)
    for (p, s, o), run in np.ndenumerate(data.run.values):
        problem, start = result.problems[p], result.params[s]
        traj = twonn.run(problem, start, 400, optimizer=OPTIMIZERS[o])
        one = data.isel(problem=p, start=s).sel(optimizer=LABELS[o])
        assert_is_the_run(one.drop_vars("gap"), traj)
        assert np.array_equal(one.gap[: len(traj.t)], traj.gap)
        assert result["final_gap"][run] == traj.gap[-1]
    plain = xarray.open_zarr(tmp_path / "store", chunks=None)
    names = np.array(plain.optimizer.attrs["flag_meanings"].split())[plain.optimizer.values]
    assert names.tolist() == np.tile(np.repeat(LABELS, 7), 2).tolist()


@pytest.mark.parametrize(
    ("problem", "params", "optimizer", "dimensions", "shape"),
    [
        (PAPER, STARTS[0], "gd", (), ()),
        (PAPER, STARTS[:1], "gd", ("start",), (1,)),
        ([PAPER], STARTS[0], "gd", ("problem",), (1,)),
        (PAPER, STARTS[0], ["adam"], ("optimizer",), (1,)),
        ([PAPER, WILD], STARTS[0], ("gd", "adam"), ("problem", "optimizer"), (2, 2)),
        (PAPER, STARTS, ["gd", "adam"], ("start", "optimizer"), (7, 2)),
    ],
)
def test_what_is_given_as_a_sequence_is_a_dimension(problem, params, optimizer, dimensions, shape, tmp_path):
    options = {"steps": 50, "optimizer": optimizer, "store": tmp_path / "store"}
    result = twonn.sweep(problem, params, **options)
    opened = twonn.load(tmp_path / "store")
    for one in (result, opened):
        data = one.to_xarray()
        assert one.dimensions == data.final_gap.dims == dimensions
        assert data.final_gap.shape == data.run.shape == shape
        assert {"problem", "start", "optimizer", "step_size"} <= set(data.coords)
        assert data.start_w.dims == (*dimensions, "neuron", "axis")
    assert opened == result and opened.params == result.params
    assert opened.message == result.message and repr(opened) == repr(result)


def test_the_same_runs_in_other_dimensions_continue_in_a_store(tmp_path):
    twonn.sweep(PAPER, STARTS, 50, store=tmp_path / "store")
    again = twonn.sweep([PAPER], STARTS, 50, optimizer=["gd"], store=tmp_path / "store")
    assert again.to_xarray().success.shape == (1, 7, 1)
    assert twonn.load(tmp_path / "store").to_xarray().success.shape == (7,)


def test_runs_may_be_paired(tmp_path):
    problems, optimizers = [PAPER, TRAINED, PAPER, PAPER], ["adam", "gd", "gd", "adam"]
    options = {"optimizer": optimizers, "paired": True, "chunk_size": 3, "trajectories": True}
    result = twonn.sweep(problems, STARTS[:4], 300, store=tmp_path / "store", **options)
    assert result.dimensions == ("run",) and result.runs == 4
    assert "4 runs: 4 problems, 4 starts, 4 optimizers, paired" in repr(result)
    opened = twonn.load(tmp_path / "store")
    assert opened == result and opened.params == result.params
    data = opened.to_xarray()
    assert data.optimizer.values.tolist() == optimizers
    assert data.problem.values.tolist() == data.start.values.tolist() == [0, 1, 2, 3]
    assert data.step_size.values.tolist() == [0.01, 0.05, 0.01, 0.01]
    for run in range(4):
        traj = twonn.run(problems[run], STARTS[run], 300, optimizer=optimizers[run])
        assert_is_the_run(data.isel(run=run), traj)


def test_what_is_not_a_sequence_serves_all_pairs(tmp_path):
    result = twonn.sweep([PAPER, SLIDING], STARTS[3], 300, paired=True, store=tmp_path / "store")
    data = twonn.load(tmp_path / "store").to_xarray()
    assert data.start.values.tolist() == [0, 0] and data.problem.values.tolist() == [0, 1]
    assert result.params.runs == twonn.load(tmp_path / "store").params.runs == 1
    for run, problem in enumerate([PAPER, SLIDING]):
        assert data.final_gap[run] == twonn.run(problem, STARTS[3], 300).gap[-1]


def test_pairs_of_one_problem_are_one_batch(monkeypatch):
    sizes, batch_of = [], chunks.run_batch

    def counted(problem, params, *arguments, **options):
        sizes.append(len(params))
        return batch_of(problem, params, *arguments, **options)

    monkeypatch.setattr(chunks, "run_batch", counted)
    twonn.sweep([PAPER] * 7, STARTS, 10, paired=True, chunk_size=4, executor="threads:1")
    assert sizes == [4, 3]


def test_sampled_far_horizons_say_how_far_apart_the_samples_are():
    starts = STARTS[:1]
    result = twonn.sweep(PAPER, starts, 10**1500, trajectories=["gap"])
    assert result["gap"].shape[1] == len(twonn.run(PAPER, starts[0], 10**1500).t) <= 20_001
    assert "0.1 decades apart, thinned to at most 20,001" in repr(result)
    assert "thinned" not in repr(twonn.sweep(PAPER, starts, 10**1500))
    dense = twonn.sweep(PAPER, starts, 10**1500, trajectories=["gap"], samples_per_decade=20)
    assert "thinned" not in repr(dense) and dense["gap"].shape[1] > 29_000


def test_fitted_exponents():
    """Against the parabola through three local exponents, solved for with its own matrix.

    The numerator of the gap, c, is the difference of parameters of size 20 that are known to 2^-50 of it:
    to 6e-12 of c >= 0.003. A local exponent over a factor 0.8 of ln t has 5 times the errors of two gaps,
    and the parabola, in q from 0.030 to 0.048, weights of up to 14: below 1e-9.
    """
    starts = twonn.initializers.sample("he_normal", 30, 9)
    result = twonn.sweep(PAPER, starts, 10**16)
    fitted = result["fitted_exponent"]
    right = (starts.w[:, 0, 0] > 0) & (starts.w[:, 1, 0] < 0)
    assert np.array_equal(np.isfinite(fitted), right) and np.sum(right) > 3
    last = np.log(1e16)
    steps = [int(np.exp(part * last).round()) for part in (0.512, 0.64, 0.8)]
    for r in np.flatnonzero(right):
        traj = twonn.run(PAPER, starts[r], 10**16, sample_steps=steps)
        log_t, gap = traj.log_t[1:], traj.gap[1:]
        local = -np.diff(np.log(gap)) / np.diff(np.log(log_t))
        q = -np.diff(1 / log_t) / np.diff(np.log(log_t))
        assert abs(starts.w[r].sum()) / 2 > 0.003
        assert abs(fitted[r] - np.polynomial.Polynomial.fit(q, local, 2)(0)) < 1e-9
        assert abs(fitted[r] - 1) < 0.02  # (κ/ln t)³, |κ| <= 10
    later = twonn.sweep(PAPER, starts, log10_steps=1000)["fitted_exponent"]
    assert np.all(np.abs(later[right] - 1) < 1e-7)
    early = twonn.sweep(PAPER, starts, 10**5)["fitted_exponent"]
    assert np.isnan(early).all()


def test_without_trajectories_the_ends_are_the_same():
    problems = [PAPER, SLIDING]
    full = twonn.sweep(problems, STARTS, 10**8, trajectories=True)
    short = twonn.sweep(problems, STARTS, 10**8)
    ends = {name: values for name, values in columns(full).items() if name in summary.SUMMARY}
    alone = columns(short)
    # With trajectories the exponent is that of their samples, which are up to 1/40 of a decade off.
    sampled, aimed = ends.pop("fitted_exponent"), alone.pop("fitted_exponent")
    assert np.array_equal(np.isnan(sampled), np.isnan(aimed))
    assert np.nanmax(np.abs(sampled - aimed)) < 0.05
    assert_same(alone, ends)
    assert "t" not in short.to_xarray()


def test_points_of_any_dimension_and_a_single_start():
    start = twonn.Params(w=[[0.6, -0.4], [0.2, 0.3]], b=[0.3, 0.9])
    data = twonn.sweep(FLAT, start, log10_steps=5.0, trajectories=["gap", "w", "gap"]).to_xarray()
    traj = twonn.run(FLAT, start, 10**5)
    assert "boundary" not in data
    assert "final_boundary" not in data
    assert "loss" not in data
    assert data.w.dims == ("sample", "neuron", "axis")
    assert_is_the_run(data, traj)


def test_a_run_that_its_engine_refuses_is_an_outcome():
    start = twonn.Params(w=[0.43, -1.47])
    steep = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
    with pytest.raises(ValueError, match="expected a run that can be leapt over"):
        twonn.run(steep, start, 10**8, engine="leap", sliding="step")
    result = twonn.sweep(steep, start, 10**8, engine="leap", sliding="step")
    data = result.to_xarray()
    assert summary.STATUSES[int(data.status)] == "obstructed"
    assert 0 < data.t_end < 10**8
    assert np.isnan(data.final_gap)
    assert data.final_pattern == summary.NO_CODE
    assert np.isnan(data.final_w).all()
    assert "1 obstructed" in repr(result)


def test_runs_that_cannot_end_are_given_up():
    starts = twonn.Params(w=[[[20.0], [20.0 + part / 16]] for part in range(1, 10)])
    result = twonn.sweep(CYCLE, starts, 10**40, trajectories=True, max_direct=50_000, chunk_size=2)
    data = result.to_xarray()
    assert (data.status == 5).all() and "9 obstructed" in repr(result)
    for run in range(9):
        traj = twonn.run(CYCLE, starts[run], 10**40, max_direct=50_000)
        assert 40_000 < traj.end_step < 50_000
        assert_is_the_run(data.isel(start=run), traj)


def test_runs_at_a_finite_minimiser_have_converged():
    options = {"trajectories": True, "max_direct": 10**6}
    result = twonn.sweep(BALANCED, BALANCING, 10**400, **options)
    data = result.to_xarray()
    traj = twonn.run(BALANCED, BALANCING, 10**400, max_direct=10**6)
    assert data.status == 6 and "1 converged" in repr(result)
    assert data.t_end == traj.end_step < 10**6
    assert_is_the_run(data, traj)
    assert np.isnan(data.fitted_exponent)


def test_the_default_limit_is_that_of_a_second():
    spec = json.loads(twonn.sweep(PAPER, STARTS[:1], 10).to_xarray().attrs["spec"])
    assert spec["max_direct"] == 10**8
    for stepped in ({"engine": "direct"}, {"engine": "leap"}, {"optimizer": "adam"}):
        spec = json.loads(twonn.sweep(PAPER, STARTS[:1], 10, **stepped).to_xarray().attrs["spec"])
        assert spec["max_direct"] is None


# --------------------------------------------------------------------------------------------------
# Chunks, workers, stores


@pytest.fixture(scope="module")
def serial():
    return columns(twonn.sweep([PAPER, SLIDING], STARTS, 10**7, executor="threads:1"))


@pytest.mark.parametrize("chunk_size", [1, 4, 14, 1000])
@pytest.mark.parametrize("executor", ["threads:1", "threads:3"])
def test_bits_do_not_depend_on_chunks_and_threads(chunk_size, executor, serial, tmp_path):
    store = tmp_path / "store"
    options = {"chunk_size": chunk_size, "executor": executor}
    assert_same(columns(twonn.sweep([PAPER, SLIDING], STARTS, 10**7, **options)), serial)
    result = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, store=store, **options)
    assert result.store == store
    assert_same(columns(result), serial)


def test_processes(serial, tmp_path):
    options = {"executor": "processes:2", "chunk_size": 2}
    stored = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, store=tmp_path / "new" / "store", **options)
    assert_same(columns(stored), serial)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert_same(columns(twonn.sweep([PAPER, SLIDING], STARTS, 10**7, executor=pool)), serial)
        assert pool.submit(abs, -3).result() == 3  # it is its owner's to end


def test_a_store_opens_with_xarray_and_says_what_it_holds(tmp_path):
    options = {"trajectories": ["gap"], "chunk_size": 3}
    memory = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, **options).to_xarray()
    result = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, store=tmp_path / "store", **options)
    plain = xarray.open_zarr(tmp_path / "store", chunks=None).drop_vars("chunk_digest")
    xarray.testing.assert_identical(
        plain, xarray.open_zarr(tmp_path / "store", consolidated=False).drop_vars("chunk_digest").compute()
    )
    assert plain.gap.dims == ("run", "sample")
    assert plain.optimizer.attrs["flag_meanings"] == "gd" and not plain.optimizer.any()
    runs = plain.set_index(run=["problem", "start"]).drop_vars(["optimizer", "step_size"]).unstack("run")
    for data in (runs, result.to_xarray(), twonn.load(tmp_path / "store").to_xarray()):
        assert {"problem", "start", "t", "log_t"} <= set(data.coords)
        for name in memory.data_vars:
            xarray.testing.assert_equal(
                data[name].variable.transpose(*memory[name].dims), memory[name].variable
            )
            assert data[name].attrs == memory[name].attrs
            assert data[name].attrs["units"] and data[name].attrs["long_name"]
    for data in (result.to_xarray(), twonn.load(tmp_path / "store").to_xarray()):
        xarray.testing.assert_equal(data, memory)
        assert set(data.coords) == {"run", "problem", "start", "optimizer", "step_size", "t", "log_t"}
    spec = json.loads(data.attrs["spec"])
    assert int(spec["steps"], 16) == 10**7
    assert twonn.Problem(**spec["problems"][1]) == SLIDING
    assert len(data.attrs["spec_sha256"]) == 64
    group = zarr.open_group(tmp_path / "store", mode="r")
    assert group.metadata.zarr_format == 3
    assert group["gap"].chunks[0] == 3


def test_a_rerun_fills_only_what_is_missing(serial, tmp_path):
    store = tmp_path / "store"
    options = {"store": store, "chunk_size": 3}
    twonn.sweep([PAPER, SLIDING], STARTS, 10**7, **options)
    done = []
    twonn.sweep([PAPER, SLIDING], STARTS, 10**7, store=store, progress=lambda n, all: done.append(n))
    assert done == []
    # As a worker leaves it that was killed before it could say that its chunk is whole.
    (store / "chunk_digest" / "c" / "2" / "0" / "0").unlink()
    (store / "final_gap" / "c" / "2").write_bytes(b"")
    (store / "final_w" / "c" / "2" / "0" / "0").unlink()
    result = twonn.sweep(
        [PAPER, SLIDING], STARTS, 10**7, store=store, progress=lambda n, all: done.append((n, all))
    )
    assert done == [(14, 14)]
    assert_same(columns(result), serial)


DIFFERENT = {
    "steps": ({"steps": 10**8}, r"steps = 10,000,000; expected .* steps = 100,000,000"),
    "engine": ({"engine": "direct"}, r"engine = auto; expected .* engine = direct"),
    "start": ({"params": STARTS[::-1]}, r"starts = 7 starts with digest \w+; expected"),
    "fewer": ({"params": STARTS[:5]}, r"starts = 7 starts .* starts = 5 starts"),
    "problems": ({"problem": [PAPER]}, "problems = 2 problems; expected .* problems = 1 problems"),
    "problem": (
        {"problem": [PAPER, twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.06)]},
        r"problems = \{'step_size': 0.05\}; expected .* problems = \{'step_size': 0.06\}",
    ),
    "limit": ({"max_direct": 10**7}, r"max_direct = 100000000; expected .* max_direct = 10000000\."),
    "sampling": ({"trajectories": ["gap"]}, r"trajectories = \[\]; expected .* \['gap'\]"),
    "chunks": ({"chunk_size": 5}, r"chunk_size: got 5; expected 3, the chunk size of the store"),
}


def test_another_sweep_is_refused_with_the_difference(tmp_path, monkeypatch):
    same = {"problem": [PAPER, SLIDING], "params": STARTS, "steps": 10**7, "store": tmp_path / "store"}
    twonn.sweep(**same, chunk_size=3)
    for different, sentence in DIFFERENT.values():
        with pytest.raises(ValueError, match=sentence):
            twonn.sweep(**{**same, **different})
    monkeypatch.setattr(plan, "BITS", -1)
    with pytest.raises(ValueError, match="bits = "):
        twonn.sweep(**same)


def test_a_store_of_an_earlier_twonn_opens_but_does_not_go_on(tmp_path):
    """The first ones had no limit, and no run that had converged."""
    store = tmp_path / "store"
    twonn.sweep(PAPER, STARTS, 10**7, store=store)
    gaps = xarray.open_zarr(store, chunks=None).final_gap.values
    head = json.loads((store / "zarr.json").read_bytes())
    spec = json.loads(head["attributes"]["spec"])
    del spec["max_direct"]
    head["attributes"]["spec"] = json.dumps({**spec, "bits": 3})
    head["attributes"]["metadata_sha256"] = seal(head)
    (store / "zarr.json").write_text(json.dumps(head))
    assert np.array_equal(xarray.open_zarr(store, chunks=None).final_gap, gaps, equal_nan=True)
    with pytest.raises(
        ValueError, match=r"holds another sweep, with bits = 3; expected .* bits = \d+\. Give"
    ):
        twonn.sweep(PAPER, STARTS, 10**7, store=store)


def test_a_limit_that_does_not_matter_makes_no_other_sweep(tmp_path):
    for limit in (5, 10**9):
        options = {"engine": "direct", "max_direct": limit, "store": tmp_path / "store"}
        assert twonn.sweep(PAPER, STARTS, 1000, **options).complete


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    zarr.create_group(tmp_path / "other")
    for name in ("file", "folder", "other"):
        with pytest.raises(ValueError, match=rf"store: got .*{name}.*; expected a new or empty folder"):
            twonn.sweep(PAPER, STARTS, 10, store=tmp_path / name)
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert twonn.sweep(PAPER, STARTS, 10, store=tmp_path / "empty").complete
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(OSError):
        twonn.sweep(PAPER, STARTS, 10, store=tmp_path / "file" / "below")


# --------------------------------------------------------------------------------------------------
# Workers that are lost


class Unreliable(ThreadPoolExecutor):
    """Loses the first so many submissions of every task; `broken` breaks for good with the first loss."""

    def __init__(self, losses: int, error: type[Exception] = MemoryError) -> None:
        super().__init__(1)
        self.losses, self.error, self.submitted = losses, error, []

    def submit(self, function, task, *arguments):
        self.submitted.append(task.index)
        if self.submitted.count(task.index) <= self.losses:
            lost: Future = Future()
            lost.set_exception(self.error("lost"))
            return lost
        return super().submit(function, task, *arguments)


def test_a_lost_chunk_is_submitted_again(serial):
    pool = Unreliable(losses=2)
    result = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, executor=pool, chunk_size=4, retries=2)
    assert_same(columns(result), serial)
    assert sorted(pool.submitted) == sorted([0, 1, 2, 3] * 3)


def test_a_chunk_that_fails_for_ever_is_named(serial, tmp_path, monkeypatch):
    write = chunks.write

    def broken(store, chunk, arrays, scratch):
        if chunk == 1:
            raise OSError(errno.EIO, "Input/output error")
        write(store, chunk, arrays, scratch)

    store = tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "write", broken)
        result = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, store=store, chunk_size=4, retries=1)
    assert not result.complete
    assert not result.interrupted
    assert result.missing.tolist() == [4, 5, 6, 7]
    assert result.failures == {range(4, 8): "OSError: [Errno 5] Input/output error"}
    assert "10 of 14 runs are done; runs 4 to 7 are missing. Runs 4 to 7 failed: OSError" in repr(result)
    assert "4 missing" in repr(result)
    assert_same(columns(twonn.sweep([PAPER, SLIDING], STARTS, 10**7, store=store)), serial)


def test_an_executor_that_breaks_for_good_ends_the_sweep():
    pool = Unreliable(losses=1, error=BrokenExecutor)
    result = twonn.sweep(PAPER, STARTS, 100, executor=pool, chunk_size=2, in_flight=2)
    assert result.missing.tolist() == list(range(7))
    assert "the executor is broken" in result.message
    assert "a function that makes one" in result.message
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    result = twonn.sweep(PAPER, STARTS, 100, executor=pool)
    assert "the executor takes no more tasks" in result.message


class Dead(ThreadPoolExecutor):
    """Takes no task at all, as a pool does whose worker died while nothing ran."""

    def submit(self, *_, **__):
        raise BrokenExecutor("dead")


def test_an_executor_that_is_found_broken_is_replaced(serial):
    made = []

    def make():
        made.append((ThreadPoolExecutor if made else Dead)(1))
        return made[-1]

    assert_same(columns(twonn.sweep([PAPER, SLIDING], STARTS, 10**7, executor=make)), serial)
    assert len(made) == 2


def test_without_dask_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'dask\[distributed\]'"):
        twonn.sweep(PAPER, STARTS, 10, executor="dask:tcp://127.0.0.1:8786")


def test_a_worker_lets_one_ctrl_c_pass():
    before = signal.getsignal(signal.SIGINT)
    try:
        executors._let_one_ctrl_c_pass()
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_function_that_makes_executors_has_them_replaced(serial):
    made = []

    def make():
        made.append(Unreliable(losses=len(made) < 2, error=BrokenExecutor))
        return made[-1]

    result = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, executor=make, chunk_size=4)
    assert_same(columns(result), serial)
    assert len(made) == 3


def test_executors_that_all_break_end_the_sweep():
    made = []

    def make():
        made.append(Unreliable(losses=10**6, error=BrokenExecutor))
        return made[-1]

    result = twonn.sweep(PAPER, STARTS, 100, executor=make, chunk_size=1, in_flight=2, retries=50)
    assert len(result.missing) == 7
    assert "one worker after another died (BrokenExecutor: lost)" in result.message
    assert len(made) < 30


class Deadly:
    """A task that kills its worker process, for ever or, with a file, once."""

    def __init__(self, index: int, folder: Path) -> None:
        self.index, self.folder = index, folder


def _work(task: Deadly) -> int:
    if task.index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    (task.folder / f"{task.index}-{time.monotonic_ns()}").touch()
    return task.index


def test_a_task_that_kills_every_worker_costs_itself_alone(tmp_path):
    tasks = [Deadly(index, tmp_path) for index in range(8)]
    with executors.opened("processes:2") as pool:
        outcomes = list(
            executors.carried_out(
                _work, iter(tasks), pool, retries=2, in_flight=None, interrupted=lambda: False
            )
        )
    lost = [outcome.task.index for outcome in outcomes if outcome.error is not None]
    assert lost == [3]
    assert sorted(outcome.result for outcome in outcomes if outcome.error is None) == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("executor", "error"),
    [
        ("threads:0", ValueError),
        ("threads:x", ValueError),
        ("fibres:2", ValueError),
        ("dask:", ValueError),
        (3, TypeError),
        (lambda: 3, TypeError),
    ],
)
def test_what_is_no_executor_is_refused(executor, error):
    with pytest.raises(error, match=r"executor: got .* expected None, 'threads:N'"):
        twonn.sweep(PAPER, STARTS, 10, executor=executor)


# --------------------------------------------------------------------------------------------------
# A cluster


def test_a_cluster_that_loses_a_worker(tmp_path):
    from dask.distributed import Client, LocalCluster

    starts = twonn.initializers.sample("he_normal", 24, 5)
    store = tmp_path / "store"
    options = {"steps": 2 * 10**7, "engine": "direct", "chunk_size": 2}
    expected = columns(twonn.sweep(PAPER, starts, **options, executor="threads:1"))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        killed = []

        def kill(done, runs):
            if not killed:
                killed.append(done)
                os.kill(victim, signal.SIGKILL)

        result = twonn.sweep(
            [PAPER],
            starts,
            **options,
            store=store,
            executor=f"dask:{cluster.scheduler_address}",
            progress=kill,
        )
        assert killed
        assert killed[0] < len(starts)
        assert victim not in client.run(os.getpid).values()
        with client.get_executor(pure=False) as pool:  # in memory, through an executor of the caller
            remote = twonn.sweep(PAPER, starts, 1000, executor=pool)
        assert_same(columns(remote), columns(twonn.sweep(PAPER, starts, 1000)))
    assert result.complete
    assert_same(columns(result), expected)


# --------------------------------------------------------------------------------------------------
# Ctrl-C and progress


@pytest.fixture
def ctrl_c():
    """Have Ctrl-C do what it does in a terminal; a program in the background is started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_in_order_and_the_store_goes_on(serial, tmp_path):
    store = tmp_path / "store"
    before = signal.getsignal(signal.SIGINT)

    def press(done, runs):
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    options = {"store": store, "chunk_size": 1, "executor": "threads:1", "in_flight": 2}
    result = twonn.sweep([PAPER, SLIDING], STARTS, 10**7, **options, progress=press)
    assert result.interrupted
    assert 4 <= 14 - len(result.missing) <= 6
    assert "The sweep was interrupted" in result.message
    assert signal.getsignal(signal.SIGINT) is before
    assert_same(columns(twonn.sweep([PAPER, SLIDING], STARTS, 10**7, store=store)), serial)


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_ends_at_once():
    def press(done, runs):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    # The first run comes to rest at once; the second would take hours.
    starts = twonn.Params(w=[[[-0.43], [1.47]], [[0.43], [-1.47]]])
    with pytest.raises(KeyboardInterrupt):
        twonn.sweep(PAPER, starts, 10**13, engine="direct", chunk_size=1, progress=press)
    deadline = time.monotonic() + 30
    while workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not workers()  # the threads have given up, too


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("twonn")]


def test_progress_is_reported():
    seen = []
    twonn.sweep(PAPER, STARTS, 10, chunk_size=3, progress=lambda done, runs: seen.append((done, runs)))
    assert [runs for _, runs in seen] == [7, 7, 7]
    assert seen[-1] == (7, 7)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"problem": []}, TypeError, "problem: got"),
        ({"problem": [PAPER, FLAT]}, ValueError, r"params.w: got dimension 1; expected dimension 2"),
        ({"params": STARTS[:0]}, ValueError, "params: got 0 runs; expected at least one"),
        ({"params": [1.0]}, TypeError, "params: got"),
        ({"steps": None}, ValueError, "exactly one of steps"),
        ({"steps": 2**63, "engine": "direct"}, ValueError, r"steps: got .*; expected at most 2\^63 - 1"),
        ({"engine": "lep"}, ValueError, "Did you mean 'leap'"),
        ({"sliding": "no"}, ValueError, "sliding: got 'no'"),
        ({"optimizer": "adm"}, ValueError, "optimizer: got 'adm'.* Did you mean 'adam'"),
        ({"optimizer": "adam", "engine": "leap"}, ValueError, "engine: got 'leap'.* steps are all taken"),
        (
            {"optimizer": "adam", "steps": 2**63, "max_direct": 2**64},
            ValueError,
            r"steps: got .*; expected at most 2\^63 - 1",
        ),
        ({"optimizer": "adam", "steps": 10**9}, ValueError, r"at most 100,000,000 \(max_direct\)"),
        ({"optimizer": []}, TypeError, r"optimizer: got \[\]; expected a name, an optimizer, or a seq"),
        ({"optimizer": ["gd", "adm"]}, ValueError, "optimizer: got 'adm'.* Did you mean 'adam'"),
        (
            {"optimizer": ["adam", "gd", twonn.Adam()]},
            ValueError,
            "optimizer: got adam 2 times; expected optimizers that differ. Leave out the repetition.",
        ),
        (
            {"optimizer": ["gd", "adam"], "steps": 10**9},
            ValueError,
            r"at most 100,000,000 \(max_direct\)",
        ),
        ({"optimizer": ["gd", "adam"], "engine": "leap"}, ValueError, "engine: got 'leap'"),
        ({"paired": 1}, TypeError, "paired: got 1"),
        (
            {"paired": True, "problem": [PAPER] * 3},
            ValueError,
            r"paired: got True with 3 problems, 7 starts; expected sequences of the same length: run r has "
            "number r of each. Give as many of each, or leave out paired for their product.",
        ),
        (
            {"paired": True, "optimizer": ["gd", "adam"]},
            ValueError,
            "paired: got True with 7 starts, 2 optimizers; expected sequences of the same length",
        ),
        (
            {"paired": True, "params": STARTS[0]},
            ValueError,
            "paired: got True with one problem and one start",
        ),
        ({"trajectories": "gap"}, TypeError, "trajectories: got 'gap'"),
        ({"trajectories": ["gup"]}, ValueError, "Did you mean 'gap'"),
        ({"sample_steps": [3]}, ValueError, "sample_steps: got .* Add trajectories=True"),
        ({"samples_per_decade": 0}, ValueError, "samples_per_decade: got 0"),
        ({"chunk_size": 0}, ValueError, "chunk_size: got 0"),
        ({"retries": -1}, ValueError, "retries: got -1"),
        ({"in_flight": 0}, ValueError, "in_flight: got 0"),
        ({"progress": 1}, TypeError, "progress: got 1"),
        ({"max_direct": 0}, ValueError, "max_direct: got 0; expected a whole number >= 1"),
        ({"max_direct": "ten"}, ValueError, "max_direct: got 'ten'"),
        ({"store": 3}, TypeError, "path: got 3"),
    ],
)
def test_bad_arguments_are_refused_with_a_sentence(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        twonn.sweep(**{"problem": PAPER, "params": STARTS, "steps": 10, **arguments})


def test_unsound_arithmetic_is_refused(monkeypatch):
    monkeypatch.setattr(twonn._core, "arithmetic_faults", lambda: ["subnormal numbers are flushed"])
    with pytest.raises(RuntimeError, match="not IEEE binary64"):
        twonn.sweep(PAPER, STARTS, 10)


def test_zarr_and_dask_are_loaded_when_they_are_used():
    code = "import sys, twonn; print(sorted({'zarr', 'xarray', 'dask'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
