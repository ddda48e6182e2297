"""Sweeps and their stores as the object of analysis: fits of their runs, bands of their gaps, the command."""

import json
import re

import numpy as np
import pytest
import xarray
from matplotlib import pyplot
from matplotlib.collections import FillBetweenPolyCollection
from typer.testing import CliRunner

import twonn
from twonn import plot
from twonn.cli import app
from twonn.plot.parts import decades

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
FASTER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.05)
TRAINED = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.05, train_output=True)
STARTS = twonn.initializers.sample("he_normal", 24, 42)
STEPS = 10**8


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("analysis") / "store"
    twonn.sweep([PAPER, TRAINED], STARTS, STEPS, trajectories=["gap", "gap_error"], chunk_size=9, store=path)
    return path


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    path = tmp_path_factory.mktemp("bare") / "store"
    twonn.sweep(PAPER, STARTS, 1000, store=path)
    return path


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


# --------------------------------------------------------------------------------------------------
# Fits


def test_fits_of_a_sweep_are_those_of_its_runs(store):
    result, seen = twonn.load(store), []
    runs = [*np.flatnonzero(result["success"][:24])[:2], *(24 + np.flatnonzero(result["success"][24:])[:3])]
    table = result.fit_rates(runs, progress=lambda *done: seen.append(done))
    assert seen == [(n + 1, 5) for n in range(5)]
    assert table.run.tolist() == runs and set(table.optimizer) == {"gd"}
    assert table.problem.tolist() == [0, 0, 1, 1, 1]
    refused = []
    for row in table.itertuples():
        traj = twonn.run([PAPER, TRAINED][row.problem], STARTS[row.start], STEPS)
        try:
            fit = twonn.fit_rate(traj)
        except ValueError as error:
            refused.append(row.refused)
            assert row.refused == str(error) and row.law == "" and np.isnan(row.exponent)
            continue
        assert row.refused == "" and row.law == fit.law
        for name in ("exponent", "power", "constant", "shift", "limit"):
            numbers = [getattr(row, f"{name}{end}") for end in ("", "_low", "_high")]
            assert np.array_equal(numbers, [getattr(fit, name), *fit.intervals[name]], equal_nan=True)
    # With trained output weights a gap has to be known further beyond its turn.
    assert 0 < len(refused) < 5 and any("expected an end of 4.6 times" in one for one in refused)


def test_samples_that_are_lost_in_their_own_error_are_not_fitted():
    start = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
    options = {"trajectories": ["gap", "gap_error"], "steps": 10**8}
    result = twonn.sweep(PAPER, start, **options)
    late = slice(120, 130)
    result._columns._arrays["gap"][0, late] *= np.linspace(0.2, 5.0, 10)  # as if they were noise
    spoilt = result.fit_rates([0])
    result._columns._arrays["gap_error"][0, late] = 1.0
    told = result.fit_rates([0])
    kept = np.delete(np.arange(result["gap"].shape[1]), late)
    fit = twonn.fit_rate(result["log_t"][0, kept], result["gap"][0, kept])
    assert told.law[0] == fit.law and told.exponent[0] == fit.exponent
    assert spoilt.exponent[0] != fit.exponent


def test_by_default_the_runs_that_succeeded_are_fitted():
    result = twonn.sweep(FASTER, STARTS[:12], 10**6, trajectories=["gap"])
    table = result.fit_rates()
    assert table.run.tolist() == np.flatnonzero(result["success"]).tolist() and len(table) > 1
    none = twonn.sweep(FASTER, STARTS[:12], 10**6, trajectories=["gap"]).fit_rates([])
    assert len(none) == 0 and none.columns.tolist() == table.columns.tolist()


@pytest.mark.parametrize(
    ("runs", "error"), [([48], ValueError), ([-1], ValueError), ([0.5], TypeError), (3, TypeError)]
)
def test_runs_that_a_sweep_does_not_have_are_refused(runs, error, store):
    with pytest.raises(error, match=r"runs: got .*; expected numbers of runs from 0 to 47"):
        twonn.load(store).fit_rates(runs)


def test_fits_need_the_gap(bare):
    sentence = (
        r"trajectories: got a sweep without the gap; .* into another store, with trajectories=\[\"gap\"\]"
    )
    with pytest.raises(ValueError, match=sentence):
        twonn.load(bare).fit_rates()
    with pytest.raises(ValueError, match=sentence):
        plot.gap_bands(twonn.load(bare))


def test_the_command_fits_a_store(command, store):
    result = command("fit", store, "--runs", "2")
    assert result.exit_code == 0, result.output
    loaded = twonn.load(store)
    success = loaded["success"].reshape(2, 24)
    assert f"laws of 4 runs, of {success.sum()} runs that succeeded" in result.stdout
    runs = np.concatenate([24 * p + np.flatnonzero(success[p])[:2] for p in (0, 1)])
    table = loaded.fit_rates(runs)
    rows = [re.split(r" *│ *", line)[1:-1] for line in result.stdout.splitlines() if line.startswith("│")]
    for (problem, law), members in table.groupby(["problem", "law"]):
        (row,) = (row for row in rows if row[0] == str(problem) and row[2] == (law or "no fit"))
        assert row[1] == "gd" and row[3] == str(len(members))
        if law:
            assert row[4].startswith(f"{members.exponent.median():.5g}")
            assert row[5].startswith(f"{members.constant.median():.5g}")
    if (refused := table[table.refused != ""]).size:
        assert f"run {refused.run.iloc[0]}: {refused.refused.iloc[0]}" in result.stdout


def test_the_command_says_it_as_json(command, store):
    loaded = twonn.load(store)
    fits = json.loads(command("fit", store, "--runs", "1", "--json").stdout)
    assert fits["succeeded"] == loaded["success"].sum()
    table = loaded.fit_rates([row["run"] for row in fits["fits"]])
    assert [row["law"] for row in fits["fits"]] == table.law.tolist() and len(table) == 2
    held = json.loads(command("inspect", store, "--json").stdout)
    assert held["format"] == "twonn sweep 3" and held["spec"]["optimizers"] == [{"name": "gd"}]


def test_the_command_says_what_a_store_lacks(command, bare, tmp_path):
    for arguments in (("fit", bare), ("plot", bare), ("plot", bare, "--kind", "scaled_gap")):
        result = command(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("twonn: trajectories: got a sweep without the gap; expected")
    result = command("plot", bare, "--kind", "network")
    assert result.exit_code == 2
    assert "kind: got 'network'; expected one of gap, scaled_gap, constants for the store" in result.stderr
    (tmp_path / "folder").mkdir()
    for name in ("fit", "plot", "inspect"):
        assert "folder: not the readable store of a sweep" in command(name, "folder").stderr
    assert not list(tmp_path.glob("*.png"))


# --------------------------------------------------------------------------------------------------
# Loading


def test_load_opens_what_is_there(store, tmp_path):
    traj = twonn.run(PAPER, STARTS[0], 100)
    traj.save(tmp_path / "traj.npz")
    assert twonn.load(tmp_path / "traj.npz") == traj
    assert twonn.load(str(store)) == twonn.load(store)
    with pytest.raises(twonn.CheckpointError, match="not the readable store of a sweep"):
        twonn.load(tmp_path)
    with pytest.raises(twonn.CheckpointError, match="there is no such file"):
        twonn.load(tmp_path / "nothing")


def test_a_store_is_read_when_it_is_used(store, monkeypatch):
    from twonn.sweeps.store import Store

    read = []
    decoded = Store._decoded

    def noted(self, name, first, stop):
        read.append((name, first))
        return decoded(self, name, first, stop)

    monkeypatch.setattr(Store, "_decoded", noted)
    data = twonn.load(store).to_xarray()
    assert not read
    part = data.final_gap.sel(problem=1, start=[3, 4, 20]).compute()
    assert sorted(read) == [("final_gap", 27), ("final_gap", 36)]  # runs 27, 28 and 44 of chunks of 9
    assert np.array_equal(part, twonn.load(store)["final_gap"][[27, 28, 44]], equal_nan=True)
    assert data.success.mean("start").shape == (2,)


# --------------------------------------------------------------------------------------------------
# Figures


def bands(ax) -> list[FillBetweenPolyCollection]:
    return [one for one in ax.collections if isinstance(one, FillBetweenPolyCollection)]


@pytest.mark.parametrize("scaled", [False, True])
def test_bands_are_the_quantiles_of_the_successful_runs(scaled, store):
    result = twonn.load(store)
    ax = plot.gap_bands(result, scaled=scaled)
    data = result.to_xarray().compute()
    assert len(ax.lines) == len(bands(ax)) == 2
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    for problem, (line, band) in enumerate(zip(ax.lines, bands(ax), strict=True)):
        one = data.sel(problem=problem)
        one = one.isel(start=one.success.values)
        log_t = one.log_t.values[0, 2:]
        gap = one.gap.values[:, 2:] * (log_t if scaled else 1)
        low, middle, high = np.quantile(gap, (0.05, 0.5, 0.95), axis=0)
        assert np.array_equal(line.get_xdata(), decades(log_t))
        np.testing.assert_allclose(line.get_ydata(), middle, rtol=1e-15)
        drawn = band.get_paths()[0].vertices[:, 1]
        assert drawn.max() == pytest.approx(high.max(), rel=1e-15)
        assert {*low.round(12)} <= {*drawn.round(12)}
        name = ["0.01", "0.05"][problem]
        assert texts[problem] == rf"$\eta={name}$: {len(one.start)} of 24 runs"


def test_bands_by_optimizer_and_of_pairs():
    options = {"trajectories": ["gap"], "optimizer": ["gd", "adam"]}
    ax = plot.gap_bands(twonn.sweep(PAPER, STARTS, 200, **options))
    texts = [text.get_text().partition(":")[0] for text in ax.get_legend().get_texts()]
    assert texts == ["gd", "adam"]
    result = twonn.sweep([PAPER] * 24, STARTS, 200, paired=True, trajectories=["gap"])
    ax = plot.gap_bands(result)
    (text,) = ax.get_legend().get_texts()
    assert text.get_text() == f"{result['success'].sum()} of 24 runs"


def test_bands_of_failures_say_so():
    failing = STARTS[~twonn.sweep(PAPER, STARTS, 100)["success"]]
    ax = plot.gap_bands(twonn.sweep(PAPER, failing, 100, trajectories=["gap"]))
    assert [text.get_text() for text in ax.texts] == [f"no gap to draw: 0 of {len(failing)} runs succeeded"]
    with pytest.raises(TypeError, match=r"sweep: got .*; expected a twonn.SweepResult"):
        plot.gap_bands(PAPER)


@pytest.mark.parametrize("kind", ["gap", "scaled_gap", "constants"])
def test_the_command_draws_a_store(kind, command, tmp_path):
    twonn.sweep(FASTER, STARTS, 100, trajectories=["gap"], store=tmp_path / "store")
    result = command("plot", "store", "--kind", kind)
    assert result.exit_code == 0, result.output
    assert (tmp_path / f"store-{kind}.png").read_bytes().startswith(b"\x89PNG")


def test_constants_are_those_of_gradient_descent(tmp_path):
    result = twonn.sweep(PAPER, STARTS, 100, optimizer=["adam", "gd"], store=tmp_path / "store")
    alone = plot.constants(twonn.sweep(PAPER, STARTS, 100))
    for one in (result, result.to_xarray(), xarray.open_zarr(tmp_path / "store", chunks=None)):
        ax = plot.constants(one)
        assert [bar.get_height() for bar in ax.patches] == [bar.get_height() for bar in alone.patches]
    with pytest.raises(ValueError, match="c: got a sweep of other optimizers; expected runs of gradient"):
        plot.constants(twonn.sweep(PAPER, STARTS, 100, optimizer="adam"))
