"""The command: what it does not overwrite, --set, what it says of other files, JSON, completion."""

import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import twonn
from twonn import completion, initializers, summaries
from twonn.cli import PLOTS, app
from twonn.engine.checkpoint import digest, read
from twonn.files import what_it_is

SPEC = """\
[problem]
x = [-1.0, 1.0]
y = [-1, 1]
step_size = 0.01

[initializer]
name = "he_normal"
seed = 42

[run]
steps = 10_000
"""

SWEEP = SPEC.replace("seed = 42", "seed = 42\nruns = 4")

PROBLEM = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = initializers.sample("he_normal", 1, 42)[0]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "sweep.toml").write_text(SWEEP, encoding="utf-8")
    return tmp_path


def command(*arguments):
    return CliRunner().invoke(app, list(arguments))


def done(*arguments):
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments):
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and result.stderr.startswith("twonn: ") and "Traceback" not in result.stderr
    return result.stderr


# --------------------------------------------------------------------------------------------------
# Nothing is overwritten

FREE = "expected the name of a file that does not exist. Replace it with --force, or choose another --output."


def test_run_and_plot_replace_no_file_but_with_force(folder):
    for arguments, output in (
        (("run", "spec.toml"), "spec.npz"),
        (("plot", "spec.npz"), "spec-gap.png"),
        (("run", "spec.toml", "-o", "a.npz"), "a.npz"),
        (("plot", "spec.npz", "-o", "a.pdf"), "a.pdf"),
    ):
        done(*arguments)
        (folder / output).write_bytes(b"of somebody else")
        assert refused(*arguments) == f"twonn: output: got '{output}'; {FREE}\n"
        assert (folder / output).read_bytes() == b"of somebody else"
        done(*arguments, "--force")
        assert (folder / output).read_bytes() != b"of somebody else"
    # A checkpoint is the only way to continue a run.
    done("run", "spec.toml", "-o", "b.npz", "--checkpoint", "b.twonn")
    assert "checkpoint: got 'b.twonn'" in refused("run", "spec.toml", "--checkpoint", "b.twonn", "--force")


def test_what_is_refused_is_refused_before_the_run(folder, monkeypatch):
    monkeypatch.setattr("twonn.spec.run", lambda *_, **__: pytest.fail("it runs"))
    (folder / "spec.npz").touch()
    assert FREE in refused("run", "spec.toml")


def test_resume_replaces_an_earlier_part_of_the_same_run_only(folder):
    """So that a job that is started again and again needs no --force."""
    twonn.run(PROBLEM, START, 10_000, checkpoint="a.twonn").save("a.npz")
    done("resume", "a.twonn", "--steps", "20_000")
    assert twonn.load("a.npz").end_step == 20_000
    done("resume", "a.twonn")
    twonn.run(PROBLEM, START, 20_001).save("a.npz")  # a longer part
    assert FREE in refused("resume", "a.twonn")
    done("resume", "a.twonn", "--steps", "30_000")
    others = (
        twonn.run(PROBLEM, START, 10, samples_per_decade=5),
        twonn.run(PROBLEM, START, 10, engine="direct"),
        twonn.run(PROBLEM, twonn.Params(w=[0.5, -0.5]), 10),
        twonn.run(twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.02), START, 10),
    )
    for other in others:
        other.save("a.npz")
        before = (folder / "a.npz").read_bytes()
        assert FREE in refused("resume", "a.twonn")
        assert (folder / "a.npz").read_bytes() == before
    (folder / "a.npz").write_bytes(b"of somebody else")
    assert FREE in refused("resume", "a.twonn")
    done("resume", "a.twonn", "--force")
    assert twonn.load("a.npz").end_step == 30_000


def test_reproduce_writes_into_a_new_or_empty_folder(folder):
    arguments = ("reproduce", "paper", "--runs", "2", "--steps", "10", "-o", "report")
    (folder / "report").mkdir()
    done(*arguments)
    assert refused(*arguments) == (
        "twonn: output: got 'report'; expected a new or empty folder. "
        "Write into it with --force, or choose another --output.\n"
    )
    done(*arguments, "--force")


def test_a_sweep_continues_its_store_and_no_other(folder):
    arguments = ("sweep", "sweep.toml", "--store", "store")
    assert done(*arguments) == done(*arguments)
    sentence = refused(*arguments, "--set", "problem.step_size=.02")
    assert sentence.startswith("twonn: store: got store, which holds another sweep")  # not a line of the file
    (folder / "other").mkdir()
    (folder / "other" / "file").touch()
    assert "expected a new or empty folder" in refused("sweep", "sweep.toml", "--store", "other")
    options = ("--store", "third", "--executor", "nothing")
    assert refused("sweep", "sweep.toml", *options).startswith("twonn: executor: got 'nothing'; expected")


# --------------------------------------------------------------------------------------------------
# --set


def test_set_replaces_and_adds_entries():
    changes = ("problem.step_size=.05", "run.steps=2_000", 'run.optimizer={name = "adam", beta1 = 0.8}')
    options = [word for change in changes for word in ("--set", change)]
    done("run", "spec.toml", *options, "--set", "problem.x=[-.5, 1.5]", "--set", "run.engine=direct")
    done("run", "spec.toml", "-o", "far.npz", "--set", "run.steps=10^20")
    assert twonn.load("far.npz").horizon == 10**20
    traj = twonn.load("spec.npz")
    assert traj.problem == twonn.Problem(x=[-0.5, 1.5], y=[-1, 1], step_size=0.05)
    assert (traj.horizon, traj.optimizer, traj.spec.options.engine) == (
        2000,
        twonn.Adam(beta1=0.8),
        "direct",
    )


def test_of_two_settings_the_last_one_counts():
    done("run", "spec.toml", "--set", "run.steps=10", "--set", "run.steps=20")
    assert twonn.load("spec.npz").horizon == 20


def test_a_horizon_takes_the_place_of_the_other_kind():
    done("run", "spec.toml", "--set", "run.log10_steps=2.0")
    assert twonn.load("spec.npz").horizon == 100
    done(
        "run",
        "spec.toml",
        "-o",
        "a.npz",
        "--set",
        "run.sample_steps=[7]",
        "--set",
        "run.samples_per_decade=1",
    )
    assert len(twonn.load("a.npz").t) == 6


def test_set_reaches_every_problem_of_a_sweep(folder):
    other = SWEEP.replace(
        "[problem]", "[[problem]]\nx = [-0.5, 0.5]\ny = [-1, 1]\nstep_size = 1.0\n[[problem]]"
    )
    (folder / "two.toml").write_text(other, encoding="utf-8")
    done(
        "sweep", "two.toml", "--store", "store", "--set", "problem.step_size=0.03", "--set", "sweep.retries=1"
    )
    spec = json.loads(done("inspect", "store", "--json"))["spec"]
    assert [problem["step_size"] for problem in spec["problems"]] == [0.03, 0.03]


SETTINGS = {
    "problem.stpe_size=.05": "unknown key in [problem]: 'stpe_size'; expected .* Did you mean 'step_size'?",
    "problem.lr=.05": "unknown key in [problem]: 'lr'; expected .* Did you mean 'step_size'?",
    "run.lr=.05": "unknown key in [run]: 'lr'; expected .* Did you mean 'step_size' in [problem]?",
    "run.epochs=5": "unknown key in [run]: 'epochs'; expected .* Did you mean 'steps'?",
    "run.bias=false": "unknown key in [run]: 'bias'; expected .* Did you mean 'bias' in [problem]?",
    "problm.x=[1, 2]": "unknown table: 'problm'; expected .* Did you mean 'problem'?",
    "problem.step_size=-1": "step_size: got -1; expected",
    "problem.step_size=wide": "step_size: got 'wide'; expected",
    "run.engine=exact": "engine: got 'exact'; expected .* Did you mean 'direct'?",
    "run.optimizer=ngd": "optimizer: got 'ngd'; expected .* Did you mean 'normalized_gd'?",
    'run.optimizer={name = "adam", beta1 = 2}': "beta1: got 2; expected",
    "initializer.name=kaiming_normal": "name: got 'kaiming_normal'; expected .* Did you mean 'he_normal'?",
    "initializer.runs=20": "runs: got 20; expected one start",
    "params.w=[1.0, 2.0]": "got both of [params] and [initializer]",
    "sweep.chunk_size=3": "unknown table: 'sweep'; expected .* call: twonn sweep spec.toml --store DIR",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_error_names_the_setting_and_not_a_line(setting):
    sentence = re.escape(SETTINGS[setting]).replace(r"\ \.\*\ ", ".* ")
    assert re.match(
        f"twonn: --set {re.escape(setting)}: {sentence}", refused("run", "spec.toml", "--set", setting)
    )


def test_an_error_in_the_file_still_names_its_line(folder):
    (folder / "spec.toml").write_text(SPEC.replace("0.01", "-1.0"), encoding="utf-8")
    assert "spec.toml, line 4, [problem]: step_size" in refused("run", "spec.toml", "--set", "run.steps=3")
    assert "Saved" in done("run", "spec.toml", "--set", "problem.step_size=0.01")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("step_size=3", "expected TABLE.KEY=VALUE"),
        ("problem.step_size", "expected TABLE.KEY=VALUE"),
        ("problem..x=3", "expected TABLE.KEY=VALUE"),
        ("=3", "expected TABLE.KEY=VALUE"),
        ("problem.x=[1, 2", "a value after the = as in TOML"),
        ("problem.x=", "a value after the = as in TOML"),
        ("problem.x=1\nproblem.y=2", "a value after the = as in TOML"),
        ("problem.x=" + "[" * 100_000, "a value after the = as in TOML"),
        ("problem.bias=True", "expected true or false. Write true, as in TOML."),
    ],
)
def test_settings_that_are_none(setting, sentence):
    refusal = refused("run", "spec.toml", "--set", setting)
    assert refusal.startswith("twonn: --set: got ") and sentence in refusal


def test_a_setting_within_what_is_no_table(folder):
    (folder / "spec.toml").write_text(SPEC + 'optimizer = "adam"\n', encoding="utf-8")
    setting = "run.optimizer.beta1=0.8"
    assert refused("run", "spec.toml", "--set", setting) == (
        f"twonn: --set {setting}: 'optimizer' is 'adam' and not a table. "
        "Set all of it at once: --set run.optimizer=VALUE.\n"
    )


# --------------------------------------------------------------------------------------------------
# What belongs to another command


def test_several_starts_or_problems_lead_to_sweep(folder):
    way = "call: twonn sweep spec.toml --store DIR\n"
    (folder / "spec.toml").write_text(SPEC.replace("seed = 42", "seed = 42\nruns = 20"), encoding="utf-8")
    refusal = refused("run", "spec.toml")
    assert refusal.startswith("twonn: spec.toml, line 9, [initializer]: runs: got 20; expected one start")
    assert refusal.endswith(way)
    done("run", "spec.toml", "--set", "initializer.run=3")  # one of them
    chosen = initializers.sample("he_normal", 20, 42)[3]
    assert twonn.load("spec.npz").params == chosen
    (folder / "spec.toml").write_text(SPEC.replace("[problem]", "[[problem]]"), encoding="utf-8")
    refusal = refused("run", "spec.toml")
    assert refusal.startswith("twonn: spec.toml, line 1: 'problem' must be a table") and refusal.endswith(way)
    start = '[initializer]\nname = "he_normal"\nseed = 42\n'
    starts = "[params]\nw = [[[1.0], [2.0]], [[1.0], [-1.0]]]\n"
    (folder / "spec.toml").write_text(SPEC.replace(start, starts), encoding="utf-8")
    refusal = refused("run", "spec.toml")
    assert refusal.startswith("twonn: spec.toml, line 7, [params]: w: got 2 starts; expected one")
    assert refusal.endswith(way)
    (folder / "spec.toml").write_text(SPEC + "[sweep]\nretries = 1\n", encoding="utf-8")
    refusal = refused("run", "spec.toml")
    assert "line 12: unknown table: 'sweep'" in refusal and refusal.endswith(way)


@pytest.fixture
def kinds(folder):
    """One file of every kind, by its name."""
    twonn.run(PROBLEM, START, 1000, checkpoint="a.twonn").save("a.npz")
    twonn.sweep(PROBLEM, START, 100, store="store")
    (folder / "text").write_text("nothing of the kind", encoding="utf-8")
    np.savez("numbers.npz", x=np.arange(3))
    (folder / "folder").mkdir()


def test_files_say_what_they_are(kinds, folder):
    assert what_it_is(folder / "a.twonn").startswith("a checkpoint; twonn.resume")
    assert what_it_is(folder / "a.npz").startswith("a saved trajectory, which twonn.load reads")
    assert what_it_is(folder / "store").startswith("the store of a sweep;")
    for name in ("text", "numbers.npz", "folder", "missing", "spec.toml"):
        assert what_it_is(folder / name) == ""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "a.npz",
            "a.npz: a saved trajectory, which twonn.load reads and twonn inspect shows. Only a",
        ),
        (
            "store",
            "store: the store of a sweep; the same call of twonn.sweep, or twonn sweep --store, continues",
        ),
        ("text", "text: not a twonn checkpoint"),
        ("numbers.npz", "numbers.npz: not a twonn checkpoint"),
    ],
)
def test_resume_says_what_else_a_file_is(kinds, folder, name, sentence):
    before = sorted(folder.rglob("*"))
    with pytest.raises(twonn.CheckpointError, match=f"^{re.escape(sentence)}"):
        twonn.resume(name)
    assert refused("resume", name, "-o", "b.npz").startswith(f"twonn: {sentence}")
    if not name.startswith("numbers"):
        assert refused("resume", name).startswith(f"twonn: {sentence}")
    assert sorted(folder.rglob("*")) == before


def test_run_and_load_say_what_else_a_file_is(kinds):
    assert refused("run", "a.twonn") == (
        "twonn: a.twonn: a checkpoint; twonn.resume continues from it and returns the trajectory.\n"
    )
    assert refused("run", "a.npz").startswith("twonn: a.npz: a saved trajectory, which twonn.load reads")
    assert refused("sweep", "store", "--store", "b").startswith("twonn: store: the store of a sweep;")
    with pytest.raises(
        twonn.CheckpointError, match=r"^a\.twonn: a checkpoint; twonn.resume continues from it"
    ):
        twonn.load("a.twonn")


def test_the_generation_before_counts_more_than_what_has_taken_the_place_of_the_last(folder):
    traj = twonn.run(PROBLEM, START, 10**6, engine="direct", checkpoint="a.twonn", checkpoint_every=10**5)
    traj.save("a.twonn")
    with pytest.warns(RuntimeWarning, match="instead, at step"):
        assert np.array_equal(twonn.resume("a.twonn").states, traj.states)


# --------------------------------------------------------------------------------------------------
# JSON


def strict(text: str):
    """Read JSON as a reader does who knows nothing of Python's additions to it."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_of_a_run_and_of_a_trajectory():
    said = strict(done("run", "spec.toml", "--json", "--set", "run.steps=10_000_000_000_000_000"))
    traj = twonn.load("spec.npz")
    assert (said["status"], said["message"]) == ("completed", traj.message)
    assert (said["success"], said["outcome"]) == (True, traj.outcome)
    assert (said["horizon"], said["end_step"], said["log10_end_step"]) == ("1e16", "1e16", 16.0)
    assert said["problem"]["step_size"] == 0.01 and said["options"]["engine"] == "auto"
    assert said["final"]["w"] == traj.final.w.tolist()
    assert said["final"]["gap"] == traj.gap[-1] and said["final"]["margins"] == traj.margins[-1].tolist()
    assert [row["engine"] for row in said["segments"]] == traj.segments["engine"].tolist()
    assert (said["output"], said["checkpoint"], said["continue_with"]) == ("spec.npz", None, None)
    shown = strict(done("inspect", "spec.npz", "--json"))
    assert shown == {name: value for name, value in said.items() if name in shown} | {
        "transitions": [],
        "slides": [],
    }


def test_json_without_what_is_no_number():
    """Equal labels have no gap, and a run that is at rest no step whose logarithm could be taken."""
    settings = ("--set", "problem.y=[1, 1]", "--set", "run.steps=0")
    said = strict(done("run", "spec.toml", "--json", *settings))
    assert said["final"]["gap"] is None and said["optimal_margin"] is None
    assert said["end_step"] == 0 and said["log10_end_step"] is None
    assert [row["log_t_start"] for row in said["segments"]] == [None] * len(said["segments"])


def test_json_of_what_stops_early(folder):
    settings = ("--set", "run.max_direct=10", "--set", "problem.step_size=1e3", "--checkpoint", "a.twonn")
    said = strict(done("run", "spec.toml", "--json", *settings))
    assert said["status"] == "obstructed" and said["obstacle"]
    assert said["continue_with"] == "twonn resume a.twonn --max-direct STEPS"
    again = strict(done("resume", "a.twonn", "--json", "--max-direct", "20"))
    assert again["options"]["max_direct"] == 20 and again["output"] == "a.npz"
    shown = strict(done("inspect", "a.twonn", "--json"))
    values = read(folder / "a.twonn")[0]
    assert shown["checkpoint"]["digest"] == digest(values)
    assert shown["checkpoint"]["outcome"] == "obstructed" and shown["checkpoint"]["max_direct"] == 20


def test_json_of_a_sweep_and_of_its_store(folder):
    said = strict(done("sweep", "sweep.toml", "--store", "store", "--json"))
    assert (said["complete"], said["runs"], said["n_missing"], said["missing"]) == (True, 4, 0, [])
    assert said["statuses"]["completed"] == 4 and sum(said["statuses"].values()) == 4
    assert (said["horizon"], said["store"]) == (10_000, "store")
    shown = strict(done("inspect", "store", "--json"))
    assert (shown["runs"], shown["done"], shown["faults"], shown["format"]) == (4, 4, [], "twonn sweep 3")
    (folder / "store" / "final_gap" / "c" / "0").write_bytes(b"")
    result = command("inspect", "store", "--json")
    assert result.exit_code == 1
    assert strict(result.stdout)["faults"][0]["what"].startswith("final_gap")


def test_json_of_a_part_of_a_sweep():
    options = ("--store", "store", "--set", "sweep.chunk_size=1", "--part", "0/2", "--json")
    said = strict(done("sweep", "sweep.toml", *options))
    assert (said["part"], said["n_missing"], said["complete"]) == ([0, 2], 0, True)
    assert said["statuses"]["missing"] == said["statuses"]["completed"] == 2


def test_runs_that_are_missing_are_stretches():
    runs = np.array([0, 1, 2, 7, 9, 10])
    assert list(summaries.stretches(runs)) == [range(3), range(7, 8), range(9, 11)]
    assert list(summaries.stretches(runs[:0])) == []


def test_json_of_a_fit():
    done("run", "spec.toml", "--set", "run.log10_steps=16.0")
    said = strict(done("fit", "spec.npz", "--json"))
    traj = twonn.load("spec.npz")
    found, closed = twonn.fit_rate(traj), twonn.asymptote(traj)
    assert (said["law"], said["constant"], said["shift"]) == (found.law, found.constant, found.shift)
    assert said["intervals"]["constant"] == list(found.intervals["constant"])
    assert said["power"] is None and math.isnan(found.power)
    assert [one["law"] for one in said["fits"]] == [one.law for one in found.fits]
    assert (said["closed_form"]["law"], said["closed_form"]["constant"]) == (closed.law, closed.constant)


def test_json_of_the_configuration(monkeypatch):
    said = strict(done("config", "--json"))
    assert said["numpy"] == np.__version__ and said["faults"] == []
    monkeypatch.setattr("twonn._core.arithmetic_faults", lambda: ["subnormal numbers are flushed"])
    result = command("config", "--json")
    assert result.exit_code == 1 and strict(result.stdout)["faults"] == ["subnormal numbers are flushed"]


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, 0),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (10**16, "1e16"),
        (2**63 - 1, "9223372036854775807"),
        (123 * 10**20, "123e20"),
        (10**1000, "1e1000"),
        (10**70 + 1, hex(10**70 + 1)),
    ],
)
def test_whole_numbers_are_exact(number, written):
    assert summaries.exact(number) == written


def test_the_longest_horizon_is_exact():
    assert summaries.exact(10**1_000_000) == "1e1000000"


def test_every_number_can_be_read_again():
    seed = 3
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for _ in range(200):
        number = int(rng.integers(1, 2**60)) * 10 ** int(rng.integers(0, 200))
        text = str(summaries.exact(number))
        digits, _, zeros = text.partition("e")
        read_again = int(text, 16) if text.startswith("0x") else int(digits) * 10 ** int(zeros or 0)
        assert read_again == number


def test_json_is_not_mixed_with_a_progress_bar(monkeypatch):
    """Even where the terminal is forced to be one: the bar goes to standard error."""
    environment = {**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    code = "import time; from itertools import count; c = count(0, 10); time.monotonic = lambda: next(c)\n"
    code += "from twonn.cli import main; main()"
    arguments = [sys.executable, "-c", code, "run", "spec.toml", "--json"]
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert strict(ended.stdout)["status"] == "completed"
    assert "steps" in ended.stderr


# --------------------------------------------------------------------------------------------------
# Completion


def completed(line: str) -> list[str]:
    """What bash is given to complete the last word of a line."""
    words = line.split(" ")
    code = "from twonn.cli import app; app(prog_name='twonn')"
    environment = {
        **os.environ,
        "_TWONN_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return ended.stdout.split()


def test_a_shell_completes_commands_options_and_names():
    assert completed("twonn res") == ["resume"]
    assert completed("twonn run spec.toml --checkpoint-") == ["--checkpoint-every"]
    assert completed("twonn plot a.npz --kind sc") == ["scaled_gap"]
    assert completed("twonn plot a.npz --kind ") == [*PLOTS, "constants"]
    assert completed("twonn reproduce float") == ["float32"]
    assert completed("twonn reproduce --engine d") == ["direct"]
    assert completed("twonn run spec.toml --set problem.st") == ["problem.step_size="]


def test_settings_are_completed_with_their_values():
    assert completion.settings("run.s") == [
        "run.steps=",
        "run.sliding=",
        "run.samples_per_decade=",
        "run.sample_steps=",
    ]
    assert completion.settings("run.sl") == ["run.sliding=average", "run.sliding=step"]
    assert completion.settings("run.optimizer=n") == ["run.optimizer=normalized_gd"]
    assert completion.settings("initializer.name=glorot") == [
        "initializer.name=glorot_normal",
        "initializer.name=glorot_uniform",
    ]
    assert completion.settings("problem.loss=") == ["problem.loss=exponential", "problem.loss=logistic"]
    assert completion.settings("run.engine=l") == ["run.engine=leap"]
    assert completion.settings("problem.step_size=") == completion.settings("plop=") == []
    assert {"sweep.chunk_size=", "initializer.run=", "initializer.runs="} <= set(completion.settings(""))


def test_completion_can_be_installed():
    assert "--install-completion" in done("--help")


@pytest.mark.parametrize("name", ["run", "resume", "plot", "reproduce"])
def test_output_has_a_short_form(name):
    assert re.search(r"--output +-o", done(name, "--help"))
