"""The benchmarks run and check what they measure, with small sizes; and their sessions can be compared.

No time is looked at but for being one.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pytest_benchmark")

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"

#: What is measured, by the names of groups in the results.
GROUPS = {"direct, one run", "direct, 40 runs", "a step", "leap", "leaping", "sliding", "geometry"}
GROUPS |= {"checkpoint", "sweep", "cost", "scaling"}


@pytest.fixture
def bench(monkeypatch):
    """Return a function that imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def test_every_benchmark_runs_and_finds_its_results_right(tmp_path):
    # Without the options of this session, such as its workers.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "bench", "--quick", "--results", str(tmp_path)]
    done = subprocess.run(
        [*command, "-q", "-p", "no:cacheprovider"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    whole = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert whole["quick"] is True
    assert {line["group"] for line in whole["records"]} >= GROUPS
    for line in whole["records"]:
        for name in ("ours", "theirs", "ratio"):
            low, median, high = line[name]
            assert 0 < low <= median <= high < np.inf, line
    peers = {line["peer"] for line in whole["records"]}
    assert {"pure Python", "NumPy", "SciPy DOP853 (flow)"} <= peers
    # Who is not installed is named, and nobody is both.
    assert not peers & set(whole["missing"])
    everyone = {"Numba", "JAX fori_loop", "PyTorch eager", "Diffrax Dopri8 (flow)", "heyoka (flow)"}
    assert everyone <= peers | set(whole["missing"])
    for name in ("cost.png", "accuracy.png", "scaling.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_published_tables_are_those_of_the_published_records(bench):
    whole = json.loads((BENCH / "results" / "results.json").read_text(encoding="utf-8"))
    assert whole["schema"] == bench("results").SCHEMA == bench("compare").SCHEMA
    assert whole["quick"] is False and whole["missing"] == []
    assert bench("results").tables(whole) == (BENCH / "results" / "tables.md").read_text(encoding="utf-8")


def test_a_result_that_is_off_is_refused(bench):
    measuring = bench("measuring")
    start = measuring.PAPER_START
    ours = start.w, start.b, start.v
    bound = measuring.rounding(1000, ours, 1)
    # 2 · 1002 U ‖p‖, by hand
    assert np.isclose(bound, 2004 * 2.0**-53 * np.sqrt(0.4309350268754409**2 + 1.470759627697770**2 + 2))
    for factor, right in ((0.9, True), (1.1, False)):
        theirs = start.w + factor * bound * np.array([[1.0], [0.0]]), start.b, start.v
        if right:
            assert measuring.assert_close(theirs, ours, bound) > 0
        else:
            with pytest.raises(AssertionError, match="apart"):
                measuring.assert_close(theirs, ours, bound)


def test_the_exact_descent_is_that_of_the_reference_table(bench):
    measuring = bench("measuring")
    exact = measuring.Exact(measuring.paper(), measuring.PAPER_START)
    expected = (3.670130085669336020, -4.191442547162370812, 3.239195058793895120, 2.720682919464600812)
    for got, true in zip(exact.descent(10**5), expected, strict=True):
        assert abs(float(got) - true) <= 4 * np.spacing(abs(true))


# --------------------------------------------------------------------------------------------------
# Comparing two sessions


def session(pairs=9, **ratios):
    """Return a session with one line for each of these names, with these quartiles of its ratio."""
    records = [
        {"group": "direct", "case": name, "peer": "C", "at": {"d": 1}, "pairs": pairs, "ratio": quartiles}
        for name, quartiles in ratios.items()
    ]
    return {"schema": 1, "machine": {"cores": 2, "load": 1.0}, "versions": {"twonn": "1"}, "records": records}


OLD = session(
    slower=[1.95, 2.0, 2.05],
    faster=[1.9, 2.0, 2.1],
    touching=[1.5, 2.0, 2.5],
    noisy=[1.5, 2.0, 2.5],
    little=[1.99, 2.0, 2.01],
    gone=[1, 2, 3],
)
NEW = session(
    slower=[0.95, 1.0, 1.05],  # the ratio to the peer has halved: twice the cost
    faster=[3.9, 4.0, 4.1],
    touching=[0.8, 1.0, 1.6],  # its upper quartile is above the old lower one
    noisy=[1.0, 1.2, 1.4],  # apart, but 2/1.2 − 1 is less than 1/2 + 0.4/1.2
    little=[1.95, 1.96, 1.97],  # beyond the noise, but by 2 % only
    come=[1, 2, 3],
)


def test_compare_lists_what_is_slower_beyond_the_noise(bench):
    slower, faster, only_old, only_new = bench("compare").compared(OLD, NEW)
    assert slower == [("direct | slower | C | d=1", 1.0)]
    assert faster == [("direct | faster | C | d=1", -0.5)]
    assert only_old == ["direct | gone | C | d=1"]
    assert only_new == ["direct | come | C | d=1"]
    assert [name for name, _ in bench("compare").compared(OLD, NEW, tolerance=0.01)[0]] == [
        "direct | slower | C | d=1",
        "direct | little | C | d=1",
    ]


def test_compare_leaves_out_what_tells_nothing_of_its_noise(bench):
    few = session(pairs=4, slower=[0.9, 1.0, 1.1])
    assert bench("compare").compared(OLD, few)[0] == []
    cost = session(slower=[0.9, 1.0, 1.1])
    cost["records"][0]["group"] = "cost"
    assert bench("compare").compared(cost, cost) == ([], [], [], [])


def compare(*arguments):
    command = [sys.executable, BENCH / "compare.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def test_compare_as_a_command(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(OLD), encoding="utf-8")
    new.write_text(json.dumps(NEW | {"versions": {"twonn": "2"}}), encoding="utf-8")
    done = compare(old, new)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "twonn: 1 before, 2 now",
        "slower: direct | slower | C | d=1: +100 %",
        "faster: direct | faster | C | d=1: -50 %",
        "no longer measured: direct | gone | C | d=1",
        "new: direct | come | C | d=1",
        "1 slower, 1 faster, of 5 compared",
    ]
    assert compare(old, old).returncode == 0


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"schema": 0}'])
def test_compare_refuses_what_is_no_session_with_a_sentence(text, tmp_path):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    done = compare(path, path)
    assert done.returncode == 1 and str(path) in done.stderr and "Traceback" not in done.stderr
