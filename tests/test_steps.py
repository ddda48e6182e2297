"""Numbers of steps: an int, a whole float or a string, read exactly, wherever steps are asked for."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from typer.testing import CliRunner

import twonn
from twonn import plot
from twonn.cli import app
from twonn.engine.checkpoint import interval
from twonn.problem.horizon import direct_limit, horizon, whole_steps
from twonn.report import reproduce
from twonn.spec import Spec, SweepSpec

PROBLEM = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.43, -1.47])

#: The same number in all its forms.
TEN_THOUSAND = [
    10**4,
    1e4,
    np.float32(1e4),
    np.int32(10**4),
    "10^4",
    "10**4",
    "1e4",
    "1E+4",
    "10_000",
    "1.0e4",
]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("0", 0),
        ("1000000", 10**6),
        ("1_000_000", 10**6),
        ("10**6", 10**6),
        ("10^6", 10**6),
        ("2^63", 2**63),
        ("1e6", 10**6),
        ("1E+6", 10**6),
        ("1.5e3", 1500),
        ("9007199254740993", 2**53 + 1),
        ("1e23", 10**23),  # not a binary64 number
        ("0^7", 0),
        ("1^9999999", 1),
        ("9" * 4000, 10**4000 - 1),
    ],
)
def test_texts_are_read_exactly(text, steps):
    assert whole_steps("steps", text) == steps


@pytest.mark.parametrize(
    ("number", "steps"),
    [
        (1e16, 10**16),
        (0.0, 0),
        (-0.0, 0),
        (2.0**53 + 2, 2**53 + 2),
        (2.0**63, 2**63),
        (9.2e18, 9_200_000_000_000_000_000),
        (np.float32(16777216.0), 2**24),
        (np.longdouble(2) ** 63, 2**63),
        (np.float64(1e15), 10**15),
    ],
)
def test_whole_floats_count_at_their_exact_value(number, steps):
    taken = whole_steps("steps", number)
    assert taken == steps and type(taken) is int


def test_numbers_of_steps_up_to_the_longest_horizon():
    for exponent in (600_000, 1_000_000):
        texts = (f"10^{exponent}", f"10**{exponent}", f"1e{exponent}", f"100^{exponent // 2}")
        assert all(whole_steps("steps", text) == 10**exponent for text in texts)


TEXTS = (
    "",
    "-1",
    "1.5",
    "1e-3",
    "ten",
    "10**-1",
    "1.5^2",
    "10^6^2",
    "10^16.5",
    "1e9999999",
    "10^1000001",
    "2^3321929",  # a little more than 10^1000000
    "10^1043000",
    "10^99999999",
    "99999999^99999999",
    "1" * 5000,
    "1" * 10**6,
    "inf",
    "nan",
    "1_",
    "1__0",
    " 10",
    "10 ^ 6",
    "１０",  # digits, but not ours
    "0x10",
    "1,000",
)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_other_texts_are_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"steps: got .* expected a whole number from 0 to 10\^1000000\. \w"):
        whole_steps("steps", text)


@pytest.mark.parametrize("number", [0.5, 1e6 + 0.5, -1.0, math.nan, math.inf, -math.inf, np.float32(0.1)])
def test_floats_that_count_nothing_are_refused_in_a_sentence(number):
    with pytest.raises(ValueError, match=r'steps: got .*; expected a whole number >= 0\. .*"10\^6"\.$'):
        whole_steps("steps", number)


@pytest.mark.parametrize("number", [math.nextafter(2.0**63, math.inf), 1e20, 1e308])
def test_floats_that_are_too_large_to_be_meant_are_refused(number):
    with pytest.raises(ValueError, match=r'if it is a float at most 2\^63\. .*"10\^20", which are exact\.$'):
        whole_steps("steps", number)
    with pytest.raises(ValueError, match="at most 2"):
        twonn.run(PROBLEM, START, steps=number)


def test_a_longdouble_is_whole_in_its_own_precision():
    number = np.longdouble(2) ** 62 + np.longdouble(0.5)
    if number == np.longdouble(2) ** 62:
        pytest.skip("longdouble is binary64 here")
    with pytest.raises(ValueError, match="steps: got"):
        whole_steps("steps", number)


@pytest.mark.parametrize("value", [True, np.bool_(1), None, [10], b"10", 1j])
def test_what_is_no_number_is_refused_by_its_type(value):
    with pytest.raises(TypeError, match="steps: got"):
        whole_steps("steps", value)


# --------------------------------------------------------------------------------------------------
# Wherever steps are asked for


@pytest.mark.parametrize("steps", TEN_THOUSAND, ids=repr)
def test_every_form_is_the_same_question(steps, tmp_path):
    expected = twonn.run(PROBLEM, START, 10**4, sample_steps=[10, 10**3], max_direct=10**4)
    samples = [type(steps)(10) if isinstance(steps, (float, np.generic)) else "10^1", "10**3"]
    file = tmp_path / "run.ckpt"
    traj = twonn.run(
        PROBLEM, START, steps, sample_steps=samples, max_direct=steps, checkpoint=file, checkpoint_every=steps
    )
    assert traj.spec.options == expected.spec.options
    # Apart from provenance, which a checkpoint may extend.
    assert traj == expected
    longer = twonn.resume(file, "10^5", max_direct="1e6", checkpoint_every="10^5")
    assert longer.horizon == 10**5 and longer.spec.options.max_direct == 10**6


@pytest.mark.parametrize("steps", TEN_THOUSAND, ids=repr)
def test_sweeps_take_them(steps):
    starts = twonn.initializers.sample("he_normal", 5, 1)
    asked = {"sample_steps": [10, 100], "trajectories": True}
    expected = twonn.sweep(PROBLEM, starts, 10**4, max_direct=10**4, **asked)
    result = twonn.sweep(PROBLEM, starts, steps, max_direct=steps, checkpoint_every=steps, **asked)
    assert result.horizon == expected.horizon == 10**4
    assert np.array_equal(result["final_gap"], expected["final_gap"], equal_nan=True)


def test_intervals_and_limits_take_them():
    for steps in TEN_THOUSAND:
        assert interval(steps) == (math.inf, 10**4)
        assert direct_limit(steps) == horizon(steps, None) == 10**4
    assert interval("10s") == (10.0, None) and interval("10") == (math.inf, 10)
    assert direct_limit("10^100") == 2**63 - 1
    for every in ("0s", "0", 0, 0.5, "10^16.5", "tomorrow", -1, True, math.nan):
        with pytest.raises(
            (ValueError, TypeError), match=r"checkpoint_every: got .* or a time > 0 such as '60s'"
        ):
            interval(every)


SPEC = """
[problem]
x = [-1.0, 1.0]
y = [-1, 1]
step_size = 0.01
[{start}]
{params}
[run]
steps = {steps}
max_direct = {steps}
"""


@pytest.mark.parametrize("steps", ["10_000", "1e4", '"10^4"', '"10**4"', '"1e4"'])
def test_spec_files_take_them(steps, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(SPEC.format(start="params", params="w = [0.43, -1.47]", steps=steps))
    assert Spec(file).run() == twonn.run(PROBLEM, START, 10**4, max_direct=10**4)
    drawn = 'name = "he_normal"\nseed = 1\nruns = 3'
    file.write_text(SPEC.format(start="initializer", params=drawn, steps=steps))
    assert SweepSpec(file).sweep().horizon == 10**4


@pytest.mark.parametrize("steps", ["10000.5", '"10^16.5"', '"-1"', "1e20", "nan", "inf", "-1", "true"])
def test_the_line_of_a_spec_file_is_named(steps, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(SPEC.format(start="params", params="w = [0.43, -1.47]", steps=steps))
    with pytest.raises((ValueError, TypeError), match=r"run.toml, line 9, \[run\]: steps: got"):
        Spec(file).run()


def test_the_command_takes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(
        SPEC.format(start="params", params="w = [0.43, -1.47]", steps='"10^4"')
    )

    def twonn_(*arguments):
        return CliRunner().invoke(app, arguments)

    every, limit = ("--checkpoint-every", "1e3"), ("--max-direct", "10^4")
    assert twonn_("run", "run.toml", "--checkpoint", "run.ckpt", *every, *limit).exit_code == 0
    done = twonn_(
        "resume", "run.ckpt", "--steps", "10**5", "--max-direct", "1E+6", "--checkpoint-every", "10^4"
    )
    assert done.exit_code == 0, done.stderr
    assert twonn.load("run.npz").horizon == 10**5
    drawn = twonn_("plot", "run.npz", "--kind", "network", "--step", "10^2", "--step", "1e4")
    assert drawn.exit_code == 0, drawn.stderr
    refusals = {
        ("resume", "run.ckpt", "--steps", "10^16.5"): "steps: got '10^16.5'",
        ("resume", "run.ckpt", "--steps", "10^99999999"): "steps: got '10^99999999'",
        ("resume", "run.ckpt", "--max-direct", "-1"): "max_direct: got '-1'",
        ("resume", "run.ckpt", "--checkpoint-every", "soon"): "checkpoint_every: got 'soon'",
        (
            "plot",
            "run.npz",
            "-o",
            "x.png",
            "--kind",
            "network",
            "--step",
            "10^16.5",
        ): "steps[0]: got '10^16.5'",
        ("reproduce", "paper", "--steps", "1.5"): "steps: got '1.5'",
    }
    for arguments, said in refusals.items():
        refused = twonn_(*arguments)
        assert refused.exit_code == 2 and said in refused.stderr, arguments
        assert len(refused.stderr.splitlines()) == 1


def test_figures_and_reports_take_them(tmp_path):
    traj = twonn.run(PROBLEM, START, 10**4)
    for steps in TEN_THOUSAND:
        plot.network(traj, steps=[0, steps])
        plt.close("all")
    with pytest.raises(ValueError, match="steps: got 'many'"):
        reproduce(tmp_path / "report", ["paper"], steps="many")
    assert not any(tmp_path.iterdir())
