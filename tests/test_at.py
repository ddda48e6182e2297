"""The network at any step of a run, against the run that has this step among its samples: bit for bit."""

import dataclasses
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from cases import BALANCED, BALANCING, CYCLE, CYCLING, random_problem

import twonn
from twonn.engine import at
from twonn.engine.execution import Execution

FILES = Path(__file__).parent / "files"

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
CHATTER = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.01)
CHATTERING = twonn.Params(w=[-0.5, 0.5], b=[0.6, 0.6])
TRAINED = twonn.Problem(x=[-0.3, 0.8], y=[-1, 1], step_size=0.05, reduction="sum", train_output=True)
PLANE = twonn.Problem(x=[[2.0, 0.5], [1.0, -0.25]], y=[1, -1], step_size=0.05, reduction="sum")
IN_PLANE = twonn.Params(w=[[0.6, 0.1], [-0.4, 0.2]], b=[0.3, 0.9])
DIVERGING = twonn.Problem(x=[1.6, -1.2], y=[1, -1], step_size=0.63, reduction="sum", train_output=True)
LEFT = twonn.Problem(x=[-1.0, 1.0], y=[-1, -1], step_size=1.0)

#: Runs of every kind and with every end: problem, start, steps, options.
RUNS = {
    "leaps": (PAPER, START, 10**16, {}),
    "only leaps": (PAPER, START, 10**12, {"engine": "leap"}),
    "beyond counting": (PAPER, START, 10**400, {}),
    "every step": (PAPER, START, 30_000, {"engine": "direct"}),
    "two neurons slide": (CHATTER, CHATTERING, 10**12, {}),
    "sliding is stepped": (CHATTER, CHATTERING, 10**5, {"sliding": "step"}),
    "trained and sliding": (TRAINED, CHATTERING, 10**10, {}),
    "in the plane": (PLANE, IN_PLANE, 10**8, {}),
    "listed samples": (PAPER, START, 10**10, {"sample_steps": [7, 300, 10**9]}),
    "no samples": (PAPER, START, 10**10, {"sample_steps": []}),
    "diverges": (DIVERGING, twonn.Params(w=[-0.4, 0.8], b=[-0.8, 0.4], v=[-1.3, -0.7]), 10**6, {}),
    "comes to rest": (LEFT, twonn.Params(w=[1.0, 0.0], b=[1e-3 - 1, -1.0], v=[1e-9, 1e-9]), 10**12, {}),
    "comes to rest soon": (PAPER, twonn.Params(w=[-0.43, 1.47]), 10**12, {}),
    "gives up": (CYCLE, CYCLING, 10**400, {"max_direct": 50_000}),
    "converges": (BALANCED, BALANCING, 10**30, {}),
    "momentum": (PAPER, START, 5000, {"optimizer": "momentum"}),
    "adam": (PAPER, START, 5000, {"optimizer": "adam"}),
    "normalized": (PAPER, START, 5000, {"optimizer": "normalized_gd"}),
    "normalized and erratic": (CHATTER, CHATTERING, 5000, {"optimizer": "normalized_gd"}),
    "normalized in the plane": (PLANE, IN_PLANE, 5000, {"optimizer": "normalized_gd"}),
}

ENDS = {
    "diverges": twonn.Status.DIVERGED,
    "comes to rest": twonn.Status.STATIONARY,
    "comes to rest soon": twonn.Status.STATIONARY,
    "gives up": twonn.Status.OBSTRUCTED,
    "converges": twonn.Status.CONVERGED,
}


def last_of(traj):
    if traj.status in (twonn.Status.COMPLETED, twonn.Status.CONVERGED):
        return traj.horizon
    return traj.end_step - (traj.status is twonn.Status.DIVERGED)


def steps_within(last, seed):
    """Steps at all scales, the first and last ones, and those around the limits of counting."""
    rng = np.random.default_rng(seed)
    logs = rng.uniform(0, math.log10(max(last, 1)), 12)
    steps = {0, 1, 2, 3, last // 2, last - 1 if last < 2**63 else last, last}
    steps |= {round(10**log) if log < 15 else 10 ** int(log) * 37 // 10 for log in logs}
    steps |= {2**53 - 1, 2**53 + 1, 2**60 + 1, 2**63 - 1, 2**63, 2**63 + 12345}
    return sorted(step for step in steps if 0 <= step <= last)


def assert_same(sample, traj, index):
    """All that a sample says has the bits of that entry of a trajectory."""
    assert np.array_equal(sample.params.w, traj.w[index])
    assert np.array_equal(sample.params.b, traj.b[index])
    assert np.array_equal(sample.params.v, traj.v[index])
    assert np.array_equal(sample.preactivations, traj.preactivations[index])
    assert np.array_equal(sample.margins, traj.margins[index])
    assert np.array_equal(sample.distances, traj.distances[index])
    assert sample.pattern == traj.pattern[index]
    scalars = ["robust_margin", "gap"] + (["boundary"] if traj.problem.dimension == 1 else [])
    for name in scalars:
        assert np.array_equal(getattr(sample, name), getattr(traj, name)[index], equal_nan=True), name
        assert type(getattr(sample, name)) is float


@pytest.mark.parametrize("name", RUNS)
def test_the_bits_are_those_of_a_run_with_that_sample(name):
    problem, params, steps, options = RUNS[name]
    traj = twonn.run(problem, params, steps, **options)
    print(name, traj.status)
    assert name not in ENDS or traj.status is ENDS[name]
    chosen = steps_within(last_of(traj), 1)
    others = {key: value for key, value in options.items() if key != "sample_steps"}
    # Samples are between blocks or inside them: one run for each step, and one for all.
    together = twonn.run(problem, params, steps, **others, sample_steps=chosen)
    for index, step in enumerate(chosen):
        sample = traj.at(step)
        assert sample.t == step
        assert_same(sample, together, index)
    for step in chosen[2:-1:4]:
        alone = twonn.run(problem, params, steps, **others, sample_steps=[step])
        assert_same(traj.at(step), alone, 1)


def test_random_runs_have_the_bits_of_their_samples():
    for seed in range(40):
        problem, params = random_problem(seed, sliding=seed % 2 == 0)
        traj = twonn.run(problem, params, 10**9)
        step = int(10 ** np.random.default_rng(seed).uniform(0, 9))
        if step > last_of(traj):
            continue
        assert_same(traj.at(step), twonn.run(problem, params, 10**9, sample_steps=[step]), 1)


def test_every_form_of_a_step_is_taken():
    traj = twonn.run(PAPER, START, 10**6, sample_steps=[1000])
    whole = [traj.at(form) for form in (1000, 1e3, "10^3", "10**3", "1e3", np.int64(1000))]
    assert all(sample == whole[0] for sample in [*whole, traj.at(log10_t=3), traj.at(log10_t=3.0)])
    assert traj.at(log10_t=4.5).t == 31623


@pytest.fixture
def noted(monkeypatch):
    """The steps at which runs were begun that were taken again."""
    steps = []

    class Noted(Execution):
        def __init__(self, spec, values=None):
            super().__init__(spec, values)
            steps.append(self.steps_taken)

    monkeypatch.setattr(at, "Execution", Noted)
    return steps


def test_a_sample_is_taken_from_the_trajectory(noted):
    traj = twonn.run(PAPER, START, 10**400)
    for index in (0, 1, 40, 200, 300, len(traj.t) - 2):
        log10 = traj.log_t[index] / math.log(10) if index else None
        step = int(traj.t[index]) if traj.t[index] < 2**53 else 10 ** round(log10)
        if traj.t[index] >= 2**63 and math.log(step) != traj.log_t[index]:
            continue
        assert_same(traj.at(step), traj, index)
    assert_same(traj.at(10**400), traj, -1)
    assert not noted


def test_steps_that_binary64_does_not_tell_apart_are_told_apart(noted):
    near, last = 2**60 + 1, 2**61 + 1
    traj = twonn.run(PAPER, START, last, sample_steps=[2**60])
    assert float(near) == float(2**60) and float(last) == float(2**61)
    assert_same(traj.at(2**60), traj, 1)
    assert_same(traj.at(last), traj, 2)
    assert not noted
    exact = twonn.run(PAPER, START, last, sample_steps=[near])
    assert_same(traj.at(near), exact, 1)
    traj.at(2**61)
    assert len(noted) == 2


def test_the_step_of_rest_is_known_beyond_binary64(noted):
    problem = dataclasses.replace(PAPER, step_size=1e-18)
    traj = twonn.run(problem, twonn.Params(w=[-0.43, 1.47]), 10**18)
    assert traj.status is twonn.Status.STATIONARY and 2**53 < traj.end_step < 2**63
    assert_same(traj.at(traj.end_step), traj, -1)
    assert not noted


def test_samples_that_the_options_do_not_tell_are_taken_from_no_other_step():
    """Files of the former format do not say how samples were chosen."""
    traj = twonn.run(PAPER, START, 10**18, samples_per_decade=40)
    options = dataclasses.replace(traj.spec.options, samples_per_decade=None)
    untold = dataclasses.replace(traj, spec=dataclasses.replace(traj.spec, options=options))
    assert untold.at(10**17) == traj.at(10**17)


def test_normalized_gradient_descent_begins_at_a_sample_shortly_before_the_step(noted):
    twonn.run(PAPER, START, 10**6, optimizer="normalized_gd").at(123_456)
    assert 0.7 * 123_456 < noted[0] < 123_456
    twonn.run(PAPER, START, 10**4, optimizer="adam").at(5001)
    twonn.run(PAPER, START, 10**4, engine="direct").at(5001)
    assert noted[1:] == [0, 0]


# --------------------------------------------------------------------------------------------------
# Ends, files


def test_an_interrupted_run_goes_to_its_last_step():
    traj = twonn.run(PAPER, START, 10**9, engine="direct", on_block=lambda step, _: step > 10**5)
    assert traj.status is twonn.Status.INTERRUPTED
    last = traj.end_step
    asked = [last // 2, last - 1, last]
    longer = twonn.run(PAPER, START, last + 10, engine="direct", sample_steps=asked)
    for index, step in enumerate(asked):
        assert_same(traj.at(step), longer, index + 1)
    with pytest.raises(
        ValueError, match=rf"t: got {last + 1}; expected a step from 0 to {last:,}, the last "
    ):
        traj.at(last + 1)


def test_an_obstructed_run_goes_to_its_last_step():
    problem, params, steps, options = RUNS["gives up"]
    traj = twonn.run(problem, params, steps, **options)
    assert traj.status is twonn.Status.OBSTRUCTED
    assert_same(traj.at(traj.end_step), traj, -1)
    with pytest.raises(ValueError, match=r"the last one of the run\. At step .* the engine gave up"):
        traj.at(traj.end_step + 1)


@pytest.mark.parametrize("name", ["comes to rest soon", "diverges", "leaps", "beyond counting", "adam"])
def test_steps_behind_the_end_are_refused(name):
    problem, params, steps, options = RUNS[name]
    traj = twonn.run(problem, params, steps, **options)
    with pytest.raises(
        ValueError, match=r"t: got .*; expected a step from 0 to .*, the last one of the run\. "
    ):
        traj.at(last_of(traj) + 1)
    with pytest.raises(ValueError, match=r"log10_t: got 500\.0; expected a step"):
        traj.at(log10_t=500.0)
    assert_same(traj.at(last_of(traj)), traj, -1)


def test_a_run_that_has_converged_goes_to_its_horizon():
    traj = twonn.run(BALANCED, BALANCING, 10**30)
    assert traj.status is twonn.Status.CONVERGED and traj.end_step < 10**29
    assert np.array_equal(traj.at(10**29 + 7).params.w, traj.final.w)
    assert traj.at(10**30).params == traj.final


@pytest.mark.parametrize("name", ["leaps", "normalized", "two neurons slide", "listed samples"])
def test_a_loaded_trajectory_gives_the_same(name, tmp_path):
    problem, params, steps, options = RUNS[name]
    traj = twonn.run(problem, params, steps, **options)
    traj.save(tmp_path / "run.npz")
    loaded = twonn.load(tmp_path / "run.npz")
    for step in (0, 777, 4321, steps):
        assert loaded.at(step) == traj.at(step)


@pytest.mark.parametrize("format_", [4, 5])
def test_files_of_earlier_formats_answer_or_say_why_not(format_):
    """The bits may have changed since they were written; what is given is never from another run."""
    traj = twonn.load(FILES / f"trajectory-{format_}.npz")
    assert_same(traj.at(0), traj, 0)
    assert_same(traj.at(int(traj.t[5])), traj, 5)
    between = int(traj.t[-1]) - 1 if traj.t[-1] < 2**53 else 12_345
    try:
        sample = traj.at(between)
    except RuntimeError as error:
        assert "its bits are not those of the trajectory" in str(error)
    else:
        options = dataclasses.replace(traj.spec.options, horizon=between, sample_steps=[between])
        again = twonn.run(
            traj.problem,
            traj.params,
            between,
            engine=options.engine,
            optimizer="gd" if options.optimizer is None else options.optimizer,
        )
        assert_same(sample, again, -1)


def test_what_twonn_has_not_computed_is_not_taken_again():
    t = [0, 1, 5]
    networks = twonn.Params(w=np.ones((3, 2, 1)))
    elsewhere = twonn.Trajectory.from_params(PAPER, t, networks)
    for step in (0, 3, 10**6):
        with pytest.raises(ValueError, match=rf"t: got {step}; expected a trajectory whose steps twonn has"):
            elsewhere.at(step)

    def plain(step, params, gradient):
        return params - 0.01 * gradient

    own = twonn.run(PAPER, START, 100, optimizer=plain, sample_steps=[50])
    assert_same(own.at(50), own, 1)
    with pytest.raises(
        ValueError, match=r"t: got 51; expected a sample, because the function plain is not kept"
    ):
        own.at(51)


def test_a_trajectory_of_another_run_is_noticed():
    traj = twonn.run(PAPER, START, 10**6)
    states = traj.states.copy()
    states[:, 0] = np.nextafter(states[:, 0], 1.0)
    with pytest.raises(RuntimeError, match=r"at step 112,202 its bits are not those .*, which twonn .* has"):
        dataclasses.replace(traj, states=states).at(123_456)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({}, ValueError, "t: got t=None, log10_t=None; expected exactly one of t and log10_t"),
        ({"t": 1, "log10_t": 1.0}, ValueError, "exactly one of t and log10_t"),
        ({"t": -1}, ValueError, "t: got -1; expected a whole number >= 0"),
        ({"t": 1.5}, ValueError, "t: got 1.5"),
        ({"t": "10^1.5"}, ValueError, "t: got '10^1.5'"),
        ({"t": True}, TypeError, "t: got True"),
        ({"log10_t": "3"}, TypeError, "log10_t: got '3'"),
        ({"log10_t": -1.0}, ValueError, "log10_t: got -1.0"),
    ],
)
def test_what_is_no_step_is_refused(asked, error, message):
    with pytest.raises(error) as refusal:
        twonn.run(PAPER, START, 100).at(**asked)
    assert message in str(refusal.value)


def test_a_sample_is_a_value_that_shows_itself():
    traj = twonn.run(PAPER, START, 10**6)
    sample = traj.at("10^5")
    assert pickle.loads(pickle.dumps(sample)) == sample != traj.at(10**4)
    assert not sample.margins.flags.writeable and not sample.distances.flags.writeable
    for line in ("step        100,000", "pattern     0110", f"gap         {sample.gap:.6g}", "boundary    "):
        assert f"  {line}" in repr(sample)
    assert "<td style='text-align:left'>100,000</td>" in sample._repr_html_()
    plane = twonn.run(PLANE, IN_PLANE, 100).at(50)
    assert "boundary" not in repr(plane)
    with pytest.raises(ValueError, match="boundary: got a problem of dimension 2"):
        _ = plane.boundary


def test_a_long_computation_shows_a_bar(monkeypatch):
    updates = []

    class Bar(at.LateProgress):
        def update(self, *arguments, **values):
            updates.append((self.tasks[0].description, values["completed"]))

    monkeypatch.setattr(at, "LateProgress", Bar)
    twonn.run(PAPER, START, 10**7, engine="direct").at(9_999_999)
    assert {description for description, _ in updates} == {"taking the steps to 9,999,999"}
    fractions = [fraction for _, fraction in updates]
    assert len(fractions) > 2 and fractions == sorted(fractions) and fractions[-1] == 1.0
