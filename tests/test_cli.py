"""The command: what it prints, what it writes, how it refuses and with which exit code."""

import errno
import json
import re
import signal
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray
from typer.testing import CliRunner

import twonn
from twonn import _core, cli, initializers, report, spec
from twonn.cli import PLOTS, app

SPEC = """\
# The paper's first run.
[problem]
x = [-1.0, 1.0]
y = [
    -1,  # left
    1,
]
step_size = 0.01

[initializer]
name = "he_normal"
seed = 42

[run]
steps = 10_000
samples_per_decade = 5
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def refused(command):
    """Run a command that must be refused, and give its sentence."""

    def refusal(*arguments: str) -> str:
        result = command(*arguments)
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit)
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert result.stderr.startswith("twonn: ")
        return result.stderr

    return refusal


def write(tmp_path, text: str, name: str = "spec.toml") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return name


def test_warnings_are_shown_to_those_whom_they_are_for(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = cli._warn
        warnings.warn("a package of a package has a new name for something", DeprecationWarning, stacklevel=1)
        warnings.warn("the disk is full", RuntimeWarning, stacklevel=1)
    assert capsys.readouterr() == ("", "twonn: the disk is full\n")


def process(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, **options)


# --------------------------------------------------------------------------------------------------
# run


def same(a: twonn.Trajectory, b: twonn.Trajectory) -> bool:
    return a.problem == b.problem and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("t", "w", "b", "v")
    )


def test_run_is_the_run_that_python_does(command, tmp_path):
    result = command("run", write(tmp_path, SPEC))
    assert result.exit_code == 0, result.output
    assert "Saved in spec.npz" in result.stdout
    assert "outcome     both points are classified" in result.stdout
    assert "All 10,000 steps were taken." in result.stdout
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    start = initializers.sample("he_normal", 1, 42)[0]
    expected = twonn.run(problem, start, steps=10_000, samples_per_decade=5)
    assert same(twonn.load(tmp_path / "spec.npz"), expected)


def test_run_takes_every_option(command, tmp_path):
    text = """
        problem = {x = [[2.0, 1.0], [0.0, 1.0]], y = [1, -1], step_size = 0.05, loss = "logistic",
                   reduction = "sum", bias = true, train_output = true}
        [params]
        w = [[0.6, -0.4], [0.2, 0.3]]
        b = [0.3, 0.9]
        v = [1.0, -0.5]
        [run]
        log10_steps = 2.0
        engine = "direct"
        sliding = "step"
        sample_steps = [7, 50]
        optimizer = "gd"
    """.replace("\n                   ", " ")
    result = command("run", write(tmp_path, text), "--output", "here.npz")
    assert result.exit_code == 0, result.output
    problem = twonn.Problem(
        x=[[2.0, 1.0], [0.0, 1.0]],
        y=[1, -1],
        step_size=0.05,
        loss="logistic",
        reduction="sum",
        train_output=True,
    )
    start = twonn.Params(w=[[0.6, -0.4], [0.2, 0.3]], b=[0.3, 0.9], v=[1.0, -0.5])
    expected = twonn.run(problem, start, steps=100, sample_steps=[7, 50])
    assert same(twonn.load(tmp_path / "here.npz"), expected)


def test_a_start_is_picked_from_a_sample(tmp_path):
    text = SPEC.replace('"he_normal"', '"small"').replace(
        "seed = 42", "seed = 7\nrun = 2\nruns = 5\nscale = 0.3"
    )
    params = spec.Spec(tmp_path / write(tmp_path, text)).params
    expected = initializers.sample("small", 5, 7, scale=0.3)[2]
    assert params.w.tolist() == expected.w.tolist()
    assert params.b.tolist() == expected.b.tolist()


def test_divergence_is_an_outcome(command, tmp_path):
    text = """
        [problem]
        x = [-1.0, 1.0]
        y = [-1, 1]
        step_size = 1e3
        train_output = true
        [params]
        w = [2.0, -2.0]
        b = [3.0, 3.0]
        v = [-3.0, -3.0]
        [run]
        steps = 100
    """
    result = command("run", write(tmp_path, text))
    assert result.exit_code == 0, result.output
    assert "stopped being finite" in result.stdout
    assert twonn.load(tmp_path / "spec.npz").status is twonn.Status.DIVERGED


ENDLESS = """\
[problem]
x = [1.0, 2.0]
y = [1, -1]
step_size = 2.0
bias = false
loss = "logistic"

[params]
w = [20.0, 20.25]

[run]
log10_steps = 400.0
max_direct = 30_000
"""


def test_giving_up_is_an_outcome(command, tmp_path):
    """Like divergence: the sentence, and exit code 0."""
    result = command("run", write(tmp_path, ENDLESS), "--checkpoint", "a.twonn")
    assert result.exit_code == 0, result.output
    assert "max_direct = 30,000 is used up" in result.stdout and "a larger max_direct" in result.stdout
    assert result.stdout.endswith("Continue with: twonn resume a.twonn --max-direct STEPS\n")
    assert twonn.load(tmp_path / "spec.npz").status is twonn.Status.OBSTRUCTED
    shown = command("inspect", "a.twonn")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"max_direct +│ 30000 ", shown.stdout)
    assert re.search(r"outcome +│ obstructed ", shown.stdout)
    assert "max_direct = 30,000 is used up" in shown.stdout
    result = command("resume", "a.twonn", "--max-direct", "10^5")
    assert result.exit_code == 0, result.output
    assert "max_direct = 100,000 is used up" in result.stdout
    again = command("run", "spec.toml", "--max-direct", "1e5", "--output", "b.npz")
    assert again.exit_code == 0 and "Continue" not in again.stdout
    assert same(twonn.load(tmp_path / "a.npz"), twonn.load(tmp_path / "b.npz"))
    result = command("resume", "a.twonn", "--steps", "95_000", "--max-direct", "10**6")
    assert "All 95,000 steps were taken." in result.stdout and "Continue" not in result.stdout


def test_limits_that_cannot_be_used(refused, command, tmp_path):
    text = ENDLESS.replace("max_direct = 30_000", "max_direct = 0")
    sentence = r"line 13, \[run\]: max_direct: got 0; expected a whole number >= 1"
    assert re.search(sentence, refused("run", write(tmp_path, text)))
    name = write(tmp_path, ENDLESS)
    assert refused("run", name, "--max-direct", "0").startswith("twonn: max_direct: got '0'; expected")
    assert refused("run", name, "--max-direct", "some").startswith("twonn: max_direct: got 'some'; expected")
    assert command("run", name, "--checkpoint", "a.twonn").exit_code == 0
    assert "max_direct: got '1.5'" in refused("resume", "a.twonn", "--max-direct", "1.5")
    sweep = SWEEP.replace('engine = "direct"', "max_direct = -3")
    sentence = r"line 18, \[run\]: max_direct: got -3"
    assert re.search(sentence, refused("sweep", write(tmp_path, sweep), "--store", "s"))


BAD_SPECS = {
    "unknown key": (
        "step_size",
        "stpe_size",
        r"line 8: unknown key in \[problem\]: 'stpe_size'.*'step_size'",
    ),
    "unknown key after a list": ("y = [", "labels = [", r"line 4: unknown key in \[problem\]: 'labels'"),
    "unknown table": (
        "[initializer]",
        "[initialiser]",
        r"line 10: unknown table: 'initialiser'.*Did you mean 'initializer'",
    ),
    "unknown option": (
        "samples_per_decade",
        "sample_per_decade",
        r"line 16: unknown key in \[run\].*Did you mean 'samples_per_decade'",
    ),
    "the command's own option": (
        "steps =",
        "progress = true\nsteps =",
        r"line 15: unknown key in \[run\]: 'progress'",
    ),
    "the command's own place": (
        "steps =",
        'checkpoint = "a"\nsteps =',
        r"line 15: unknown key in \[run\]: 'checkpoint'",
    ),
    "dotted": ("[initializer]", "run.plop = 1\n[initializer]", r"line 10: unknown key in \[problem\]: 'run'"),
    "missing key": ("step_size = 0.01", "", r"line 2: \[problem\] lacks 'step_size'"),
    "missing table": (
        "[run]\nsteps = 10_000\nsamples_per_decade = 5\n",
        "",
        r"spec.toml: the table \[run\] is missing",
    ),
    "not a table": (SPEC, "problem = 3", r"line 1: 'problem' must be a table"),
    "no start": (
        '[initializer]\nname = "he_normal"\nseed = 42\n',
        "",
        r"got neither of \[params\] and \[init",
    ),
    "two starts": ("[run]", "[params]\nw = [1.0, 2.0]\n[run]", "got both"),
    "bad value": (
        "step_size = 0.01",
        "step_size = -1.0",
        r"line 8, \[problem\]: step_size: got -1.0; expected",
    ),
    "bad value in lines": ("-1,  # left", "-2,", r"line 4, \[problem\]: y: got"),
    "bad name": (
        "he_normal",
        "he_norml",
        r"line 11, \[initializer\]: name: got 'he_norml'.*Did you mean 'he_normal'",
    ),
    "bad run": ("seed = 42", "seed = 42\nrun = 3\nruns = 3", r"line 14, \[initializer\]: runs: got 3"),
    "bad steps": ("10_000", "1.5", r"line 15, \[run\]: steps: got 1.5"),
    "no steps": ("steps = 10_000", "", r"line 14, \[run\]: steps: got steps=None"),
    "bad dimension": (
        '[initializer]\nname = "he_normal"\nseed = 42\n',
        "[params]\nw = [[1.0, 2.0], [3.0, 4.0]]\n",
        r"line 10, \[params\]: params.w: got dimension 2",
    ),
    "not TOML": ("seed = 42", "seed == 42", r"spec.toml: not valid TOML: .*line 12"),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_a_bad_spec_is_refused_with_its_line(case, refused, tmp_path):
    old, new, pattern = BAD_SPECS[case]
    assert SPEC.count(old) == 1
    name = write(tmp_path, SPEC.replace(old, new))
    sentence = refused("run", name)
    assert re.search(pattern, sentence), sentence
    assert not (tmp_path / "spec.npz").exists()


def test_the_line_is_right_in_windows_files_and_quoted_keys(refused, tmp_path):
    text = 'problem.x = [0.0, 1.0]\nproblem.y = """\n[run]\n"""\n\n# run\n"run"."what is" = 1\n'
    (tmp_path / "spec.toml").write_bytes(text.replace("\n", "\r\n").encode())
    assert "line 1: [problem] lacks 'step_size'" in refused("run", "spec.toml")
    text = "problem.step_size = 1.0\n" + text
    (tmp_path / "spec.toml").write_bytes(text.replace("\n", "\r\n").encode())
    assert "line 8: unknown key in [run]: 'what is'" in refused("run", "spec.toml")


def test_files_that_cannot_be_used(refused, tmp_path):
    assert refused("run", "missing.toml") == "twonn: missing.toml: No such file or directory.\n"
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "not a UTF-8 text" in refused("run", "binary.toml")
    name = write(tmp_path, SPEC.replace("10_000", "1_000_000_000_000"))
    # Before the run, not after it.
    assert "there is no such folder" in refused("run", name, "--output", "nowhere/out.npz")
    assert "this is a folder" in refused("run", name, "--output", ".")
    assert "missing.npz: there is no such file" in refused("inspect", "missing.npz")
    assert "not an .npz file" in refused("inspect", name)
    assert "not an .npz file" in refused("plot", name)


# --------------------------------------------------------------------------------------------------
# inspect, fit, plot, config


@pytest.fixture
def saved(tmp_path):
    problem = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
    traj = twonn.run(problem, twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9]), steps=1000)
    traj.save(tmp_path / "traj.npz")
    return traj


def test_inspect(command, saved):
    result = command("inspect", "traj.npz")
    assert result.exit_code == 0, result.output
    assert repr(saved) in result.stdout
    assert f"first 10 of {saved.n_transitions} transitions" in result.stdout
    assert re.search(r"direct +│ 0 +│ 1,000 +│ 4 +│ 0", result.stdout)
    first = saved.transitions[0]
    row = rf"{int(first['t'])} +│ {first['before']:04b} +│ {first['after']:04b}"
    assert re.search(row, result.stdout)
    for name, value in saved.provenance.items():
        words = r"[\s│]+".join(map(re.escape, value.split()))  # long ones go on in the next line
        assert re.search(rf"{re.escape(name)} +│ {words}", result.stdout)


def test_inspect_shows_what_was_leapt_over(command, tmp_path):
    write(tmp_path, SPEC.replace("steps = 10_000", "log10_steps = 1000.0"))
    assert command("run", "spec.toml").exit_code == 0
    result = command("inspect", "spec.npz")
    traj = twonn.load(tmp_path / "spec.npz")
    blocks, iterations = traj.segments[-1]["blocks"], traj.segments[-1]["iterations"]
    assert re.search(rf"leap +│ \d+ +│ (10\^1000|1e\+1000) +│ {blocks} +│ {iterations} ", result.stdout)
    assert f"leaps in {blocks} blocks" in result.stdout


@pytest.fixture
def in_the_plane(tmp_path):
    problem = twonn.Problem(x=[[2.0, 1.0], [-0.5, -1.0]], y=[1, -1], step_size=0.05)
    traj = twonn.run(problem, twonn.Params(w=[[0.6, 0.4], [-0.3, 0.5]], b=[0.3, 0.9]), steps=1000)
    traj.save(tmp_path / "plane.npz")


def test_fit(command, tmp_path):
    write(tmp_path, SPEC.replace("steps = 10_000", "log10_steps = 16.0"))
    assert command("run", "spec.toml").exit_code == 0
    result = command("fit", "spec.npz")
    assert result.exit_code == 0, result.output
    traj = twonn.load(tmp_path / "spec.npz")
    assert twonn.fit_rate(traj).report() in result.stdout
    assert twonn.asymptote(traj.problem, traj).report() in result.stdout
    assert "C/(ln t + κ)" in result.stdout


def test_fit_refuses_what_is_too_early(refused, saved):
    assert "usable samples up to ln t" in refused("fit", "traj.npz")


@pytest.mark.parametrize("kind", PLOTS)
def test_plot(command, in_the_plane, tmp_path, kind):
    result = command("plot", "plane.npz", "--kind", kind)
    assert result.exit_code == 0, result.output
    assert f"Saved in plane-{kind}.png" in result.stdout
    assert (tmp_path / f"plane-{kind}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("suffix", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_plot_formats(command, saved, tmp_path, suffix, magic):
    result = command("plot", "traj.npz", "--output", f"figure.{suffix}")
    assert result.exit_code == 0, result.output
    assert (tmp_path / f"figure.{suffix}").read_bytes().startswith(magic)


def test_plot_takes_steps(command, in_the_plane, monkeypatch):
    asked = []
    for kind in ("network", "decision_regions"):
        monkeypatch.setattr(twonn.plot, kind, lambda traj, ax, **options: asked.append(options))
    arguments = ("plot", "plane.npz", "--force", "--kind")
    assert command(*arguments, "network", "--step", "0", "--step", "10^3").exit_code == 0
    assert command(*arguments, "decision_regions", "--step", "1e2").exit_code == 0
    assert command(*arguments, "decision_regions").exit_code == 0
    assert asked == [{"steps": ["0", "10^3"]}, {"step": "1e2"}, {}]


def test_plot_of_a_sweep(command, tmp_path):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    twonn.sweep(problem, initializers.sample("he_normal", 20, 42), 1000, store=tmp_path / "store")
    result = command("plot", "store", "--kind", "constants")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "store-constants.png").read_bytes().startswith(b"\x89PNG")


def test_plot_refuses(refused, saved, tmp_path):
    assert "Did you mean 'pattern'?" in refused("plot", "traj.npz", "--kind", "patern")
    assert "not supported" in refused("plot", "traj.npz", "--output", "figure.plop")
    assert "no such folder" in refused("plot", "traj.npz", "--output", "nowhere/figure.png")
    assert "expected d = 2" in refused("plot", "traj.npz", "--kind", "decision_regions")
    assert "a step from 0 to 1,000" in refused("plot", "traj.npz", "--kind", "network", "--step", "1e9")
    assert "steps[0]: got '-1'" in refused("plot", "traj.npz", "--kind", "network", "--step=-1")
    assert "no step for the kind 'gap'" in refused("plot", "traj.npz", "--step", "5")
    both = ("--step", "5", "--step", "6")
    assert "step: got 5, 6; expected one step" in refused("plot", "f", "--kind", "decision_regions", *both)
    assert "store of a sweep" in refused("plot", "traj.npz", "--kind", "constants")
    (tmp_path / "folder").mkdir()
    assert "not the readable store of a sweep" in refused("plot", "folder", "--kind", "constants")
    assert "not the readable store of a sweep" in refused("plot", "folder")
    assert not list(tmp_path.glob("*.png"))


def test_config(command, monkeypatch):
    result = command("config")
    assert result.exit_code == 0
    assert _core.ISA in result.stdout
    assert "IEEE binary64" in result.stdout
    monkeypatch.setattr(_core, "arithmetic_faults", lambda: ["subnormal numbers are flushed"])
    result = command("config")
    assert result.exit_code == 1
    assert "subnormal numbers are flushed" in result.stdout


def test_unsound_arithmetic_is_refused(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(_core, "arithmetic_faults", lambda: ["subnormal numbers are flushed"])
    assert "not IEEE binary64" in refused("run", write(tmp_path, SPEC))


def test_version(command):
    result = command("--version")
    assert result.exit_code == 0
    assert result.stdout == f"twonn {twonn.config.provenance()['twonn']}\n"


# --------------------------------------------------------------------------------------------------
# reproduce


def test_reproduce(command, tmp_path):
    result = command("reproduce", "paper", "--runs", "2", "--steps", "1e2", "--output", "a/b")
    assert result.exit_code == 0, result.output
    summary = (tmp_path / "a" / "b" / "summary.txt").read_text(encoding="utf-8")
    assert "Steps of each run: 100," in summary
    assert result.stdout == f"{summary}\nReport in a/b\n"


def test_reproduce_in_full(command, monkeypatch):
    made = []

    def make(folder, sections, setting):
        names = " ".join(section.name for section in sections)
        made.append((names, setting.starts.runs, setting.steps, setting.engine, setting.seed))
        return report.Reproduction(folder, "", False)

    monkeypatch.setattr(report, "make", make)
    full = ("--full", "--engine", "direct", "--runs", "7")
    for arguments in ((), ("--full",), full, ("float32", "law", "--seed", "7")):
        assert command("reproduce", *arguments).exit_code == 0
    all_of_them = " ".join(report.SECTIONS)
    assert made == [
        (all_of_them, 200, 10**6, "direct", 42),
        (all_of_them, 10_000, 10**7, "auto", 42),
        (all_of_them, 7, 10**7, "direct", 42),
        ("law float32", 200, 10**6, "direct", 7),
    ]


def test_reproduce_lists_its_sections(command, tmp_path):
    result = command("reproduce", "--list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(report.SECTIONS)
    for line, section in zip(lines, report.SECTIONS.values(), strict=True):
        assert line.partition("  ")[2].strip() == section.description
    assert not any(tmp_path.iterdir())


def test_reproduce_refuses(refused, tmp_path):
    assert re.match(
        "twonn: section: got 'lwa'; expected one of 'paper', ", refused("reproduce", "law", "lwa")
    )
    assert "Did you mean 'law'?" in refused("reproduce", "lwa")
    assert "steps: got '100'; expected none without the" in refused("reproduce", "law", "--steps", "100")
    assert not any(tmp_path.iterdir())
    assert "runs: got 0" in refused("reproduce", "--runs", "0")
    assert "steps: got '1.5'" in refused("reproduce", "--steps", "1.5")
    assert "seed: got -1" in refused("reproduce", "--seed", "-1")
    (tmp_path / "file").touch()
    assert "file: " in refused("reproduce", "--output", "file")


# --------------------------------------------------------------------------------------------------
# As a process


def test_faults_of_the_program_are_not_hidden(command, saved, monkeypatch):
    def broken(*_):
        raise AssertionError("a fault")

    monkeypatch.setattr("twonn.cli.load_trajectory", broken)
    assert isinstance(command("inspect", "traj.npz").exception, AssertionError)


def test_the_process_refuses_without_a_traceback(tmp_path):
    result = process("-m", "twonn", "run", "missing.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == "twonn: missing.toml: No such file or directory.\n"
    assert result.stdout == ""


def test_start_up_does_not_wait_for_figures():
    code = "import sys, twonn.cli, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(process("-c", code).stdout)
    assert "twonn.cli" in loaded
    assert not {"matplotlib", "scipy", "pandas", "xarray"} & set(loaded)


#: The command, with Ctrl-C pressed, or another signal sent, for certain while the kernel is at work: after so
#: many advances, as often as it is named.
PRESSING = """
import signal, sys
from twonn import _core
from twonn.cli import main

presses, _, names = sys.argv.pop(1).partition(":")
presses = int(presses)

signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent may ignore it

class Pressing:
    def advance(self, steps):
        global presses
        left = super().advance(steps)
        presses -= 1
        if presses == 0:
            for name in (names or "SIGINT").split(","):
                signal.raise_signal(getattr(signal, name))
        return left

_core.Run = type("Run", (Pressing, _core.Run), {})
_core.Batch = type("Batch", (Pressing, _core.Batch), {})
main()
"""


def test_ctrl_c_saves_the_run_and_exits_130(tmp_path):
    write(tmp_path, SPEC.replace("steps = 10_000", 'steps = 1_000_000_000_000\nengine = "direct"'))
    result = process("-c", PRESSING, "3", "run", "spec.toml", cwd=tmp_path)
    assert result.returncode == 130, result.stderr
    assert result.stderr == ""
    assert "interrupted after" in result.stdout
    traj = twonn.load(tmp_path / "spec.npz")
    assert traj.status is twonn.Status.INTERRUPTED
    assert 0 < traj.end_step < 10**12


LONG = SPEC.replace("steps = 10_000", 'steps = 1_000_000_000_000\nengine = "direct"')


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_leaves_a_checkpoint_from_which_resume_goes_on(name, code, command, tmp_path):
    arguments = ("run", write(tmp_path, LONG), "--checkpoint", "a.twonn", "--checkpoint-every", "10^6")
    result = process("-c", PRESSING, f"3:{name}", *arguments, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert result.stderr == ""
    assert result.stdout.endswith("Saved in spec.npz\nContinue with: twonn resume a.twonn\n")
    result = process("-c", PRESSING, f"2:{name}", "resume", "a.twonn", cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert result.stdout.endswith("Saved in a.npz\nContinue with: twonn resume a.twonn\n")
    end = twonn.load(tmp_path / "a.npz").end_step
    assert end > twonn.load(tmp_path / "spec.npz").end_step > 10**5
    result = command("resume", "a.twonn", "--steps", "10^7", "--output", "b.npz")
    assert result.exit_code == 0, result.output
    assert "Continue" not in result.stdout
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    start = initializers.sample("he_normal", 1, 42)[0]
    whole = twonn.run(problem, start, steps=10**7, samples_per_decade=5, engine="direct")
    assert same(twonn.load(tmp_path / "b.npz"), whole)


@pytest.mark.parametrize(("names", "code"), [("SIGINT,SIGINT", 130), ("SIGTERM,SIGTERM", -15)])
def test_a_second_signal_stops_at_once(names, code, tmp_path):
    arguments = ("run", write(tmp_path, LONG), "--checkpoint", "a.twonn")
    result = process("-c", PRESSING, f"3:{names}", *arguments, cwd=tmp_path)
    assert result.returncode == code
    assert result.stderr == ("Interrupted.\n" if code == 130 else "")
    assert not (tmp_path / "spec.npz").exists()
    assert (tmp_path / "a.twonn").exists()


def test_sigterm_ends_a_reproduction_in_order(tmp_path):
    arguments = ("reproduce", "--runs", "50", "--steps", "10^7")
    result = process("-c", PRESSING, "7:SIGTERM", *arguments, cwd=tmp_path)
    assert result.returncode == 143, result.stderr
    assert "INTERRUPTED" in result.stdout


def test_a_checkpoint_is_inspected_and_drawn(command, tmp_path):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    start = initializers.sample("he_normal", 1, 42)[0]
    traj = twonn.run(problem, start, 10**6, checkpoint=tmp_path / "a.twonn")
    result = command("inspect", "a.twonn")
    assert result.exit_code == 0, result.output
    assert repr(traj) in result.stdout
    assert re.search("checkpoint, digest [0-9a-f]{16}", result.stdout)
    for name, value in (("engine", "auto"), ("horizon", "0xf4240"), ("outcome", "completed")):
        assert re.search(rf"{name} +│ {value} ", result.stdout)
    assert command("plot", "a.twonn").exit_code == 0
    assert (tmp_path / "a-gap.png").exists()


def test_checkpoints_that_cannot_be_used(refused, command, tmp_path):
    name = write(tmp_path, SPEC)
    refusal = refused("run", name, "--checkpoint", "a.twonn", "--checkpoint-every", "often")
    assert refusal.startswith("twonn: checkpoint_every: got 'often'")
    assert "output: got 'spec.npz'" in refused("run", name, "--checkpoint", "spec.npz")
    assert "output: got 'a.npz'" in refused("resume", "a.npz")
    assert "there is no such folder" in refused("run", name, "--checkpoint", "nowhere/a.twonn")
    assert command("run", name, "--checkpoint", "a.twonn").exit_code == 0
    refusal = refused("run", name, "--checkpoint", "a.twonn", "--force")  # that is for the trajectory
    assert re.match(r"twonn: checkpoint: got 'a\.twonn'; expected .* a file that does not exist", refusal)
    assert "missing: there is no such file" in refused("resume", "missing")
    assert "not a twonn checkpoint" in refused("resume", name)
    assert "steps: got 'x'" in refused("resume", "a.twonn", "--steps", "x")
    # A damaged file: the one before, and one line on it.
    (tmp_path / "a.twonn").write_bytes((tmp_path / "a.twonn").read_bytes()[:-1])
    result = process("-m", "twonn", "resume", "a.twonn", cwd=tmp_path)
    assert result.returncode == 0
    assert re.fullmatch(r"twonn: a\.twonn: damaged: .* Using a\.twonn\.previous instead.*\n", result.stderr)
    assert same(twonn.load(tmp_path / "a.npz"), twonn.load(tmp_path / "spec.npz"))


def test_ctrl_c_reports_the_finished_runs_and_exits_130(tmp_path):
    arguments = ("reproduce", "--runs", "50", "--steps", "10^7")
    result = process("-c", PRESSING, "7", *arguments, cwd=tmp_path)
    assert result.returncode == 130, result.stderr
    assert result.stderr == ""
    match = re.search(r"INTERRUPTED: (\d+) of 50 runs of the paper's experiment finished", result.stdout)
    rows = (tmp_path / "reproduction" / "runs.csv").read_text(encoding="utf-8").splitlines()
    # The runs that were under way are finished: some chunks of a few.
    assert 0 < int(match[1]) == len(rows) - 1 < 40


def test_a_reader_who_has_left_is_told_nothing(command, monkeypatch, tmp_path):
    def left(*_):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(spec.Spec, "run", left)
    result = command("run", write(tmp_path, SPEC))
    assert result.exit_code == 1
    assert result.stderr == ""


def test_the_exit_code_after_a_signal_is_that_of_a_shell():
    assert [cli._exit_code(number) for number in (0, signal.SIGINT, signal.SIGTERM)] == [130, 130, 143]


def test_ctrl_c_anywhere_else_exits_130(command, monkeypatch, tmp_path):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(spec.Spec, "run", pressed)
    result = command("run", write(tmp_path, SPEC))
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


@pytest.mark.parametrize("steps", ["12345678912345678912345^999999", "7**999999999", "1.5", "-1", "x", ""])
def test_steps_that_are_no_reachable_number_are_refused(refused, steps):
    assert "steps: got" in refused("reproduce", f"--steps={steps}")


def test_a_spec_nested_without_end_is_refused(refused, tmp_path):
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    assert "deep.toml: " in refused("run", "deep.toml")


# --------------------------------------------------------------------------------------------------
# sweep

SWEEP = """\
[[problem]]
x = [-1.0, 1.0]
y = [-1, 1]
step_size = 0.01

[[problem]]
x = [-0.5, 0.5]
y = [-1, 1]
step_size = 0.05

[initializer]
name = "he_normal"
seed = 42
runs = 5

[run]
steps = 10_000
engine = "direct"

[sweep]
chunk_size = 2
trajectories = ["gap"]
"""


def test_sweep_is_the_sweep_that_python_does(command, tmp_path):
    arguments = ("sweep", write(tmp_path, SWEEP), "--store", "store", "--executor", "threads:1")
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    assert "All 10 runs are done." in result.stdout
    asked = spec.SweepSpec(tmp_path / "spec.toml")
    assert [problem.step_size for problem in asked.problems] == [0.01, 0.05]
    starts = initializers.sample("he_normal", 5, 42)
    expected = twonn.sweep(asked.problems, starts, 10_000, engine="direct", trajectories=["gap"])
    data = twonn.load(tmp_path / "store").to_xarray()
    xarray.testing.assert_equal(data, expected.to_xarray())
    assert f"success     {expected['success'].sum()} of 10; failed: " in result.stdout
    assert command(*arguments).stdout == result.stdout


def test_a_sweep_of_one_problem_and_of_several_optimizers(command, tmp_path):
    one = SWEEP.replace("[[problem]]", "[problem]", 1).partition("[[problem]]")
    text = one[0] + "[initializer]" + one[2].partition("[initializer]")[2]
    many = text.replace('engine = "direct"', 'optimizer = ["gd", {name = "adam", beta1 = 0.5}]')
    assert many != text
    result = command("sweep", write(tmp_path, many), "--store", "store")
    assert result.exit_code == 0, result.output
    data = twonn.load(tmp_path / "store").to_xarray()
    assert data.success.dims == ("start", "optimizer") and data.success.shape == (5, 2)
    assert "gd; adam (beta1 = 0.5" in command("inspect", "store").stdout
    paired = text.replace("runs = 5", "runs = 2") + "paired = true\n"
    paired = paired.replace('engine = "direct"', 'optimizer = ["gd", "adam"]')
    assert command("sweep", write(tmp_path, paired), "--store", "paired").exit_code == 0
    assert twonn.load(tmp_path / "paired").to_xarray().optimizer.values.tolist() == ["gd", "adam"]


def test_a_sweep_of_listed_starts(command, tmp_path):
    text = (
        SWEEP.partition("[initializer]")[0]
        + "[params]\nw = [[[1.0], [-2.0]], [[0.5], [-0.25]]]\n[run]\nsteps = 100\n"
    )
    assert command("sweep", write(tmp_path, text), "--store", "store").exit_code == 0
    result = twonn.load(tmp_path / "store")
    assert result.params == twonn.Params(w=[[[1.0], [-2.0]], [[0.5], [-0.25]]])
    assert len(result["success"]) == 4


def test_sweep_takes_a_limit(command, tmp_path):
    name = write(
        tmp_path, SWEEP.replace("10_000", "100_000").replace('engine = "direct"', "max_direct = 500")
    )
    for store, more, limit in (("a", (), 500), ("b", ("--max-direct", "10^3"), 1000)):
        result = command("sweep", name, "--store", store, *more)
        assert result.exit_code == 0, result.output
        assert "obstructed" in result.stdout
        with xarray.open_zarr(tmp_path / store, chunks=None) as data:
            assert json.loads(data.attrs["spec"])["max_direct"] == limit


BAD_SWEEPS = {
    "unknown key in the second problem": (
        "x = [-0.5, 0.5]",
        "x = [-0.5, 0.5]\nstp = 1",
        r"line 8: unknown key in \[problem\]: 'stp'",
    ),
    "bad value in the second problem": ("0.05", "-1.0", r"line 9, \[problem\]: step_size: got -1.0"),
    "one start of many": ("runs = 5", "run = 5", r"line 14: unknown key in \[initializer\]: 'run'"),
    "no runs": ("runs = 5\n", "", r"line 11: \[initializer\] lacks 'runs'"),
    "bad option of the run": ('"direct"', '"dirct"', r"line 18, \[run\]: engine: got 'dirct'"),
    "bad option of the sweep": ("chunk_size = 2", "chunk_size = 0", r"line 21, \[sweep\]: chunk_size: got 0"),
    "the command's own option": (
        "chunk_size",
        'store = "a"\nchunk_size',
        r"line 21: unknown key in \[sweep\]",
    ),
}


@pytest.mark.parametrize("case", BAD_SWEEPS)
def test_a_bad_sweep_is_refused_with_its_line(case, refused, tmp_path):
    old, new, pattern = BAD_SWEEPS[case]
    assert SWEEP.count(old) == 1
    sentence = refused("sweep", write(tmp_path, SWEEP.replace(old, new)), "--store", "store")
    assert re.search(pattern, sentence), sentence
    assert not (tmp_path / "store").exists()


def test_ctrl_c_leaves_a_store_that_goes_on_and_exits_130(command, tmp_path):
    write(tmp_path, SWEEP.replace("10_000", "1_000_000"))
    arguments = ("sweep", "spec.toml", "--store", "store")
    result = process("-c", PRESSING, "1", *arguments, cwd=tmp_path)
    assert result.returncode == 130, result.stderr
    assert result.stderr == ""
    assert "The sweep was interrupted" in result.stdout
    assert "All 10 runs are done." in command(*arguments).stdout


def test_parts_of_a_sweep_and_its_checkpoints(command, refused, tmp_path):
    arguments = ("sweep", write(tmp_path, SWEEP), "--store", "store", "--checkpoint-every", "10^6")
    first = command(*arguments, "--part", "0/2")
    assert first.exit_code == 0, first.output
    assert "All 6 runs of part 0/2 are done." in first.stdout
    assert "All 4 runs of part 1/2 are done." in command(*arguments, "--part", "1/2").stdout
    assert "All 10 runs are done." in command(*arguments).stdout
    assert "part: got '2'; expected i/n with 0 <= i < n" in refused(*arguments, "--part", "2")
    assert "part: got (2, 2); expected a pair" in refused(*arguments, "--part", "2/2")
    assert "checkpoint_every: got 'soon'" in refused(*arguments, "--checkpoint-every", "soon")
    write(tmp_path, SWEEP + "part = [0, 2]\n")
    assert "unknown key in [sweep]: 'part'" in refused(*arguments)
    write(tmp_path, SWEEP + "verify = false\n")
    assert command(*arguments).exit_code == 0


def test_inspect_checks_a_store(command, refused, tmp_path):
    command("sweep", write(tmp_path, SWEEP), "--store", "store")
    whole = command("inspect", "store")
    assert whole.exit_code == 0, whole.output
    assert "10 of 10 are done" in whole.stdout and "5 of 5, with 2 runs each" in whole.stdout
    assert "nothing is damaged" in whole.stdout and "twonn sweep 3" in whole.stdout
    result = twonn.load(tmp_path / "store")
    words = " ".join(whole.stdout.split())
    assert f"success │ {result['success'].sum()} of 10; failed: " in words
    assert "dimensions │ problem, start" in words
    (tmp_path / "store" / "gap" / "c" / "3" / "0").unlink()
    (tmp_path / "store" / "chunk_digest" / "c" / "1" / "0" / "0").write_bytes(b"")
    damaged = command("inspect", "store")
    assert damaged.exit_code == 1
    assert "8 of 10 are done" in damaged.stdout and "2 faults" in damaged.stdout
    assert "gap of runs 6 to 7" in damaged.stdout and "the mark of runs 2 to 3" in damaged.stdout
    assert command("sweep", "spec.toml", "--store", "store").exit_code == 0
    assert command("inspect", "store").stdout == whole.stdout
    (tmp_path / "store" / "zarr.json").write_text("{}")
    assert "store: not the readable store of a sweep" in refused("inspect", "store")


def test_inspect_says_what_the_former_format_lacks(command, tmp_path):
    with zipfile.ZipFile(Path(__file__).parent / "files" / "sweep-1.zip") as former:
        former.extractall(tmp_path)
    result = command("inspect", "sweep-1")
    assert result.exit_code == 0, result.output
    assert "this format has no digests" in " ".join(result.stdout.split())
