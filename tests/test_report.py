"""The reproduction report against the plain recurrence and against signs of the starts."""

import csv
import math
import re
from collections import Counter

import pytest
from oracle import textbook
from scipy.integrate import quad
from scipy.optimize import brentq

import twonn
from twonn import initializers, report
from twonn.report import SUCCESS, reproduce

RUNS, STEPS = 20, 2000
FILES = {"runs.csv", "summary.txt", "scaled_gap.png", "scaled_gap.pdf", "constants.png", "constants.pdf"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "new" / "folder"
    result = reproduce(folder, runs=RUNS, steps=STEPS, progress=False)
    assert result.folder == folder
    assert not result.interrupted
    return folder


def read_rows(folder) -> list[dict[str, str]]:
    with open(folder / "runs.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rows(folder):
    return read_rows(folder)


@pytest.fixture(scope="module")
def summary(folder):
    return (folder / "summary.txt").read_text(encoding="utf-8")


def numbers(row: dict[str, str], when: str) -> dict[str, list[float]]:
    return {name: [float(row[f"{name}_{j}_{when}"]) for j in (0, 1)] for name in "wbv"}


def test_all_files_are_there(folder):
    assert {path.name for path in folder.iterdir()} == FILES


def test_the_starts_are_those_of_the_paper_to_the_last_bit(rows):
    starts = initializers.sample("he_normal", RUNS, 42)
    assert len(rows) == RUNS
    for row, start in zip(rows, starts, strict=True):
        assert numbers(row, "start") == {"w": start.w[:, 0].tolist(), "b": [0, 0], "v": [1, -1]}


def misfit(row: dict[str, str]) -> float:
    """Largest difference between a row and the plain float recurrence."""
    start, end = numbers(row, "start"), numbers(row, "end")
    plain = textbook(
        [[-1.0], [1.0]],
        [-1, 1],
        [[w] for w in start["w"]],
        start["b"],
        start["v"],
        step_size=0.01,
        loss="exponential",
        reduction="mean",
        bias=True,
        train_output=False,
        steps=STEPS,
    )
    assert int(row["pattern"]) == plain.pattern[STEPS]
    expected = [*(w for (w,) in plain.w[STEPS]), *plain.b[STEPS], *plain.v[STEPS]]
    got = [*end["w"], *end["b"], *end["v"]]
    return max(abs(a - b) for a, b in zip(got, expected, strict=True))


def test_the_ends_are_those_of_the_plain_recurrence(rows):
    # Parameters stay below 8 in magnitude, so that each of its additions rounds by at most 2^-51.
    assert max(misfit(row) for row in rows) <= STEPS * 2.0**-51


def expected_outcome(w_0: float, w_1: float) -> str:
    """By the signs of the start: biases are 0, so a neuron sees the sample on its side only."""
    if w_0 > 0 > w_1:
        return "success"
    if w_0 < 0 < w_1:
        return "stationary"  # each neuron pushes its only sample away until it no longer sees it
    return f"sample x = {'-1' if w_0 > 0 else '+1'} unseen for ever"


def test_outcomes_follow_from_the_signs_of_the_start(rows):
    expected = [expected_outcome(*numbers(row, "start")["w"]) for row in rows]
    assert [row["outcome"].partition(":")[0] for row in rows] == expected
    assert len(set(expected)) == 4
    assert {row["status"] for row in rows if "stationary" in row["outcome"]} == {"stationary"}


def test_outcomes_are_counted_and_add_up(rows, summary):
    listed = {name: int(count) for count, name in re.findall(r"^ +(\d+)  (.+)$", summary, re.MULTILINE)}
    assert listed.pop("in all") == RUNS
    assert listed == Counter(row["outcome"] for row in rows)
    assert "w_1(0): no exception in 20 runs." in summary


def test_constant_and_gap_of_every_run(rows):
    for row in rows:
        w, b, _ = numbers(row, "end").values()
        if row["outcome"] == SUCCESS:
            start = numbers(row, "start")["w"]
            assert float(row["c"]) == abs(start[0] + start[1]) / 2

            def f(x, w=w, b=b):
                return max(0.0, w[0] * x + b[0]) - max(0.0, w[1] * x + b[1])

            # The root finder's own tolerance; the gap is of order 0.01 to 1.
            assert float(row["gap"]) == pytest.approx(abs(brentq(f, -1, 1)), abs=1e-11)
        else:
            assert row["c"] == ""
            assert float(row["gap"]) == 1.0  # a sample without a margin is at distance 0


def test_summary_is_computed_from_the_runs(rows, summary):
    successes = [row for row in rows if row["outcome"] == SUCCESS]
    c = [float(row["c"]) for row in successes]
    mean = sum(c) / len(c)
    error = math.sqrt(sum((value - mean) ** 2 for value in c) / (len(c) - 1) / len(c))
    assert f"Mean: {mean:.5f} ± {error:.5f}; expected (4 − 2√2)/√(2π) = 0.46739." in summary
    assert f"c >= 1: {sum(v >= 1 for v in c) / len(c):.5f} of them; expected erfc" in summary
    assert f"Successful: {len(c) / RUNS:.4f} of the runs; expected 1/4" in summary
    scaled = sorted(float(row["gap"]) * math.log(STEPS) for row in successes)
    line = re.search(r"^gap·ln t +(\S+) +(\S+) +(\S+)$", summary, re.MULTILINE)
    median = scaled[len(c) // 2]
    assert len(c) % 2 == 1
    assert [*line.groups()] == [f"{value:.5f}" for value in (median, scaled[0], scaled[-1])]
    assert twonn.config.provenance()["compiler"] in summary


def test_expected_values_are_those_of_the_density():
    def density(x):
        return 2 * math.sqrt(2 / math.pi) * math.exp(-x * x / 2) * math.erfc(x / math.sqrt(2))

    # To the precision of the quadrature.
    assert quad(density, 0, 40)[0] == pytest.approx(1, rel=1e-9)
    assert quad(lambda x: x * density(x), 0, 40)[0] == pytest.approx(report.EXPECTED_C, rel=1e-9)
    assert quad(density, 1, 40)[0] == pytest.approx(report.EXPECTED_LARGE_C, rel=1e-9)


def test_rate_law_against_reference_gaps():
    c, K = report.rate_law(twonn.Params(w=[0.4309350268754409, -1.470759627697770]))
    for t, gap in ((1e5, 0.0659552692), (1e6, 0.0511511695), (1e7, 0.0417126512)):
        # The law leaves out relative terms of order ln t/(h t), h = 0.005: 3e-4 at the end.
        assert c / (math.log(t) + K) == pytest.approx(gap, rel=math.log(t) / (0.005 * t))


@pytest.mark.parametrize(("steps", "seed"), [(0, 42), (1, 42), (50, 42), (50, 43)])
def test_a_single_run_of_hardly_any_steps(steps, seed, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_draw", lambda *_: None)  # slow; below
    success = bool((initializers.sample("he_normal", 1, seed).w[0, :, 0] * [1, -1] > 0).all())
    assert success == (seed == 42)
    summary = reproduce(tmp_path, runs=1, steps=steps, seed=seed, progress=False).summary
    assert len(read_rows(tmp_path)) == 1
    assert ("No run succeeded." in summary) == (not success)
    assert ("Too few" in summary) == (not success or steps < 50)


def test_figures_without_a_successful_run(tmp_path):
    reproduce(tmp_path, runs=1, steps=50, seed=43, progress=False)
    assert {path.name for path in tmp_path.iterdir()} == FILES


@pytest.mark.parametrize("how", ["between runs", "inside a run", "at once"])
def test_ctrl_c_reports_what_was_finished(how, tmp_path, monkeypatch):
    done = 0
    finished = 0 if how == "at once" else 3

    def run(*args, **kwargs):
        nonlocal done
        traj = twonn.run(*args, **kwargs)
        if done == finished:
            if how == "between runs":
                raise KeyboardInterrupt
            object.__setattr__(traj, "status", twonn.Status.INTERRUPTED)
        done += 1
        return traj

    monkeypatch.setattr(report, "run", run)
    monkeypatch.setattr(report, "_draw", lambda *_: None)  # slow; above
    result = reproduce(tmp_path, runs=5, steps=100, progress=False)
    assert result.interrupted
    assert len(read_rows(tmp_path)) == finished
    assert f"INTERRUPTED: {finished} of 5 runs finished" in result.summary


def test_nothing_is_made_where_an_argument_is_wrong(tmp_path):
    for wrong in ({"runs": 0}, {"steps": -1}, {"steps": 1e6}, {"seed": -1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
            reproduce(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()
