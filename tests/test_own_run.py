"""One's own runs: loss and gradient, optimizers that are functions, and parameters computed elsewhere."""

import itertools
import os
import signal

import gmpy2
import matplotlib.pyplot as plt
import mpmath
import numpy as np
import pytest
from cases import random_problem
from oracle import binary128, textbook

import twonn

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
CHATTER = twonn.Problem(x=[1.0, 0.5], y=[-1, 1], step_size=0.1)
CHATTERING = twonn.Params(w=[1.0, 0.7], b=[-0.2, 0.1])

UNIT = 2.0**-53


def descend(step, params, gradient):
    return params - 0.01 * gradient


# --------------------------------------------------------------------------------------------------
# Loss and gradient


def exact(problem, params):
    """The loss, every term of every entry of its gradient, and a bound on the error of a margin."""
    number = mpmath.mpf
    d, weight = problem.dimension, number(1) / (2 if problem.reduction == "mean" else 1)
    x, w = problem.x.tolist(), params.w.tolist()
    b, v = params.b.tolist(), params.v.tolist()
    z = [[sum(number(w[j][a]) * x[i][a] for a in range(d)) + b[j] for i in (0, 1)] for j in (0, 1)]
    m = [problem.y[i] * sum(v[j] * max(z[j][i], 0) for j in (0, 1)) for i in (0, 1)]
    if problem.loss == "exponential":
        losses = slopes = [mpmath.exp(-m[i]) for i in (0, 1)]
    else:
        losses = [mpmath.log1p(mpmath.exp(-m[i])) for i in (0, 1)]
        slopes = [1 / (1 + mpmath.exp(m[i])) for i in (0, 1)]
    terms = {name: {} for name in ("w", "b", "v")}
    for j, i in itertools.product((0, 1), (0, 1)):
        push = -weight * slopes[i] * int(problem.y[i]) if z[j][i] > 0 else number(0)
        for a in range(d):
            terms["w"].setdefault((j, a), []).append(push * v[j] * x[i][a])
        terms["b"].setdefault((j,), []).append(push * v[j] if problem.bias else number(0))
        terms["v"].setdefault((j,), []).append(push * z[j][i] if problem.train_output else number(0))
    size = max(
        sum(abs(v[j]) * (sum(abs(w[j][a] * x[i][a]) for a in range(d)) + abs(b[j])) for j in (0, 1))
        for i in (0, 1)
    )
    return weight * sum(losses), terms, (d + 4) * UNIT * size


@pytest.mark.parametrize("seed", range(60))
def test_loss_and_gradient_are_those_of_40_digits(seed):
    problem, params = random_problem(seed)
    with mpmath.workdps(40):
        value, terms, error = exact(problem, params)
        # A margin is off by d + 1 roundings of the terms of z, their products with v and their sum. So is a
        # slope, and a loss, whose derivatives are at most themselves, with some roundings of their own; ln L,
        # from which L comes, has one of its size.
        log_loss = abs(mpmath.log(value))
        assert abs(twonn.loss(problem, params) / value - 1) <= error + (8 + 4 * float(log_loss)) * UNIT
        gradient = twonn.gradient(problem, params)
        for name, entries in terms.items():
            got = getattr(gradient, name)
            for index, summands in entries.items():
                bound = (error + 16 * UNIT) * sum(abs(summand) for summand in summands)
                assert abs(mpmath.mpf(float(got[index])) - sum(summands)) <= bound


def test_many_networks_have_the_bits_of_each():
    problem = twonn.Problem(x=[[-1.0, 0.5], [1.0, 2.0]], y=[-1, 1], step_size=0.1, train_output=True)
    many = twonn.initializers.sample("he_normal_bias", 20, seed=3, d=2)
    together = twonn.gradient(problem, many)
    assert together.runs == 20
    assert [twonn.gradient(problem, one) for one in many] == list(together)
    assert twonn.loss(problem, many).tolist() == [twonn.loss(problem, one) for one in many]


def test_the_loss_is_that_of_a_trajectory():
    traj = twonn.Trajectory.from_params(PAPER, [0.0], twonn.Params(w=START.w[None]))
    assert twonn.loss(PAPER, START) == traj.loss[0]


def test_a_neuron_at_its_kink_has_no_gradient():
    at_kink = twonn.Params(w=[0.0, 0.0], v=[1.0, 1.0])
    assert twonn.gradient(PAPER, at_kink) == twonn.Params(w=[0.0, 0.0], v=[0.0, 0.0])


def test_what_is_not_trained_has_no_gradient():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, bias=False)
    gradient = twonn.gradient(problem, START)
    assert np.any(gradient.w) and not np.any(gradient.b) and not np.any(gradient.v)


def test_an_inactive_neuron_has_no_gradient_where_the_loss_overflows():
    """The slope of point 1 is infinite; no neuron is active there."""
    problem = twonn.Problem(x=[-1.0, 1.0], y=[1, 1], step_size=0.01, bias=False)
    assert (
        twonn.gradient(problem, twonn.Params(w=[-1.0, -1.0], v=[1.0, 1.0])).w[:, 0].tolist()
        == [pytest.approx(np.exp(-2) / 2)] * 2
    )
    lost = twonn.Params(w=[-1e3, -1.0], v=[-1.0, 1.0])
    assert twonn.loss(problem, lost) == np.inf
    with pytest.raises(ValueError, match=r"params: got margins down to -999; expected a network whose grad"):
        twonn.gradient(problem, lost)


# --------------------------------------------------------------------------------------------------
# Arithmetic of parameters


def test_arithmetic_is_by_entry():
    one = twonn.Params(w=[1.0, 2.0], b=[3.0, 4.0], v=[5.0, 6.0])
    other = twonn.Params(w=[0.5, 0.25], b=[1.0, 1.0], v=[2.0, 4.0])
    assert one + other == twonn.Params(w=[1.5, 2.25], b=[4.0, 5.0], v=[7.0, 10.0])
    assert one - other == twonn.Params(w=[0.5, 1.75], b=[2.0, 3.0], v=[3.0, 2.0])
    assert 2 * one == one * 2 == one * np.float64(2) == np.float64(2) * one == one + one
    assert one / 2 == 0.5 * one and -one == one * -1
    many = twonn.Params(w=np.ones((3, 2, 1)))
    assert list(many + one) == [many[0] + one] * 3 == list(one + many)


@pytest.mark.parametrize(
    "operation", [lambda p: p + 1, lambda p: p - [1, 2], lambda p: p * p, lambda p: 1 / p]
)
def test_what_makes_no_sense_is_a_type_error(operation):
    with pytest.raises(TypeError, match="unsupported operand"):
        operation(START)


def test_parameters_of_different_networks_cannot_be_added():
    with pytest.raises(ValueError, match=r"w of shapes \(2, 1\) and \(2, 3\); expected the same dimension"):
        START + twonn.Params(w=np.ones((2, 3)))
    with pytest.raises(ValueError, match="the same number of runs"):
        twonn.Params(w=np.ones((3, 2, 1))) + twonn.Params(w=np.ones((4, 2, 1)))


def test_what_is_not_finite_is_refused():
    for operation in (lambda: START * 1e309, lambda: START / 0.0, lambda: 1e300 * (1e300 * START)):
        with pytest.raises(ValueError, match=r"[wbv]: got .* expected finite numbers"):
            operation()


# --------------------------------------------------------------------------------------------------
# Functions as optimizers


@pytest.mark.parametrize("seed", range(8))
def test_descent_in_python_is_the_recurrence(seed):
    problem, params = random_problem(seed)
    steps, samples = 300, (0, 7, 100)

    def rule(step, params, gradient):
        return params - problem.step_size * gradient

    traj = twonn.run(problem, params, steps, optimizer=rule, sample_steps=samples)
    reference = textbook(
        problem.x.tolist(),
        problem.y.tolist(),
        params.w.tolist(),
        params.b.tolist(),
        params.v.tolist(),
        **{
            name: getattr(problem, name)
            for name in ("loss", "reduction", "bias", "train_output", "step_size")
        },
        steps=steps,
        samples=samples,
        number=binary128,
        exp=gmpy2.exp,
    )
    assert traj.t.tolist() == [*samples, steps]
    rows = [(int(row["t"]), int(row["before"]), int(row["after"])) for row in traj.transitions]
    assert rows == reference.transitions
    largest = np.abs(np.concatenate([traj.w.ravel(), traj.b.ravel(), traj.v.ravel()])).max()
    # Each step rounds the parameters, and a gradient whose error is some roundings of the margins (|m| <= 50
    # here) times a change of at most the parameters; in 300 steps this grows little.
    bound = steps * 64 * UNIT * largest
    for row, step in enumerate(traj.t.astype(int)):
        assert np.abs(traj.w[row] - np.array(reference.w[step], float)).max() <= bound
        assert np.abs(traj.v[row] - np.array(reference.v[step], float)).max() <= bound


def test_adam_in_python_is_adam():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=True)
    moments = {}

    def adam(step, params, gradient):
        arrays = {}
        for name in ("w", "b", "v"):
            g = getattr(gradient, name)
            m, s = moments.get(name, (0.0, 0.0))
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
            moments[name] = m, s
            scaled = m / (1 - 0.9 ** (step + 1)) / (np.sqrt(s / (1 - 0.999 ** (step + 1))) + 1e-8)
            arrays[name] = getattr(params, name) - 0.01 * scaled
        return twonn.Params(**arrays)

    mine = twonn.run(problem, START, 2000, optimizer=adam)
    theirs = twonn.run(problem, START, 2000, optimizer="adam")
    # Steps are 0.01 at most. Each of the 2,000 rounds the quotient and the parameters (up to 20) a few times.
    assert np.abs(mine.states[:, :6] - theirs.states[:, :6]).max() <= 2000 * 8 * UNIT * 20
    assert (mine.transitions == theirs.transitions).all()
    assert str(mine.optimizer) == "adam"
    assert "adam" in repr(mine)


def test_every_transition_is_dated():
    mine = twonn.run(CHATTER, CHATTERING, 3000, optimizer=lambda t, p, g: p - 0.1 * g)
    theirs = twonn.run(CHATTER, CHATTERING, 3000, engine="direct")
    assert mine.n_transitions > 100
    assert (mine.n_transitions, mine.n_transitions_exact) == (theirs.n_transitions, True)
    assert (mine.transitions == theirs.transitions).all()
    assert (mine.transition_counts == theirs.transition_counts).all()
    assert (mine.pattern == theirs.pattern).all()


def test_the_function_is_told_the_step_the_parameters_and_the_gradient_there():
    calls = []

    def rule(step, params, gradient):
        calls.append((step, params, gradient))
        return params - gradient

    traj = twonn.run(PAPER, START, 3, optimizer=rule)
    assert [step for step, _, _ in calls] == [0, 1, 2]
    assert [one for _, one, _ in calls] == [
        twonn.Params(traj.w[row], traj.b[row], traj.v[row]) for row in range(3)
    ]
    assert all(slope == twonn.gradient(PAPER, one) for _, one, slope in calls)
    assert traj.final == calls[-1][1] - calls[-1][2]
    assert (traj.status, traj.end_step) == (twonn.Status.COMPLETED, 3)


def test_no_steps_are_none():
    traj = twonn.run(PAPER, START, 0, optimizer=lambda *_: pytest.fail("called"))
    assert traj.t.tolist() == [0] and traj.status is twonn.Status.COMPLETED


@pytest.mark.parametrize(
    "rule",
    [
        lambda t, p, g: p - (1e200 if t == 6 else 0) * (1e200 * g),
        lambda t, p, g: twonn.Params(p.w * (1e60 if t == 6 else 1)),
        lambda t, p, g: twonn.Params(p.w * (np.inf if t == 6 else 1)),
        lambda t, p, g: twonn.Params(p.w * (np.nan if t == 6 else 1)),
    ],
)
def test_numbers_that_are_not_finite_are_a_divergence(rule):
    traj = twonn.run(PAPER, START, 10, optimizer=rule)
    assert (traj.status, traj.end_step, traj.t[-1]) == (twonn.Status.DIVERGED, 7, 6)
    assert np.isfinite(traj.w).all()


def test_watchers_are_told():
    told, blocks = [], []

    def on_block(step, params):
        blocks.append((step, params))
        return step >= 1000

    traj = twonn.run(
        PAPER, START, 10**6, optimizer=descend, progress=lambda *at: told.append(at), on_block=on_block
    )
    assert traj.status is twonn.Status.INTERRUPTED
    assert (traj.end_step, traj.final) == blocks[-1]
    assert told[-1] == (traj.end_step, 10**6) and len(told) == len(blocks)


def test_a_signal_ends_it_in_order():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

    def rule(step, params, gradient):
        if step == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return params - gradient

    try:
        traj = twonn.run(PAPER, START, 50_000, optimizer=rule)
    finally:
        signal.signal(signal.SIGINT, before)
    assert traj.status is twonn.Status.INTERRUPTED
    assert traj.end_step >= 21 and traj.t[-1] == traj.end_step


def test_what_a_function_raises_is_passed_on():
    with pytest.raises(ZeroDivisionError):
        twonn.run(PAPER, START, 5, optimizer=lambda *_: 1 / 0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"optimizer": lambda *_: None},
            "optimizer: got None; expected a function that returns twonn.Params",
        ),
        ({"optimizer": lambda t, p, g: twonn.Params(w=[[1.0, 2.0], [3.0, 4.0]])}, "dimension 2"),
        ({"optimizer": lambda t, p, g: twonn.Params(w=np.ones((3, 2, 1)))}, "3 runs"),
        ({"optimizer": lambda t, p, g: twonn.Params(p.w, p.b, 2 * p.v)}, "train_output=False"),
        ({"optimizer": descend, "engine": "leap"}, "engine: got 'leap'; expected 'auto' or 'direct'"),
        ({"optimizer": descend, "checkpoint": "run.twonn"}, "checkpoint: got 'run.twonn'; expected None"),
        ({"optimizer": twonn.Adam}, "optimizer: got .*Adam.*; expected one of"),
    ],
)
def test_what_cannot_be_is_refused(options, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=match):
        twonn.run(PAPER, START, 5, **options)
    assert not list(tmp_path.iterdir())


def test_a_sweep_refuses_a_function():
    with pytest.raises(ValueError, match="optimizer: got the function descend; expected one of twonn's"):
        twonn.sweep(PAPER, START, 10, optimizer=descend)


# --------------------------------------------------------------------------------------------------
# Parameters computed elsewhere


def elsewhere(problem, traj):
    return twonn.Trajectory.from_params(problem, traj.t, twonn.Params(traj.w, traj.b, traj.v))


def test_external_parameters_are_measured():
    run = twonn.run(PAPER, START, 10**10)
    traj = elsewhere(PAPER, run)
    assert traj.status is twonn.Status.EXTERNAL
    assert (traj.t == run.t).all() and (traj.log_t == run.log_t).all()
    networks = twonn.Params(run.w, run.b, run.v)
    assert (traj.w == run.w).all() and (traj.b == run.b).all() and (traj.v == run.v).all()
    assert (traj.distances == twonn.distances(PAPER, networks)).all()
    assert (traj.gap == twonn.gap(PAPER, networks)).all()
    assert (traj.loss == twonn.loss(PAPER, networks)).all()
    assert (traj.pattern == run.pattern).all()
    assert traj.final == networks[len(run.t) - 1]
    assert traj.params == networks[0]
    # The run's own parameters are rounded once to be shown: the gap is off by that.
    mine, theirs = twonn.fit_rate(traj), twonn.fit_rate(run)
    assert mine.law == theirs.law
    assert mine.constant == pytest.approx(theirs.constant, rel=1e-6)
    assert not twonn.asymptote(traj).known


def test_changes_between_samples_are_bracketed():
    run = twonn.run(CHATTER, CHATTERING, 3000, engine="direct", sample_steps=range(0, 3000, 7))
    traj = elsewhere(CHATTER, run)
    assert 0 < traj.n_transitions < run.n_transitions and not traj.n_transitions_exact
    assert "at least" in repr(traj)
    for row in traj.transitions:
        at = np.searchsorted(traj.t, row["t"])
        assert (row["t_low"], row["t_high"]) == (traj.t[at - 1], row["t"])
        assert (row["before"], row["after"]) == (run.pattern[at - 1], run.pattern[at])
        # and the run has at least one transition there
        assert np.any((run.transitions["t"] > row["t_low"]) & (run.transitions["t"] <= row["t_high"]))
    assert traj.transition_counts.sum() == traj.n_transitions


def test_times_need_not_be_steps(tmp_path):
    t = [0.5, 1.25, 1e300]
    traj = twonn.Trajectory.from_params(PAPER, t, twonn.Params(w=np.ones((3, 2, 1))), method="flow")
    assert traj.t.tolist() == t and traj.log_t.tolist() == np.log(t).tolist()
    assert "3, from 0.5 to 1e+300" in repr(traj) and "flow" in repr(traj)
    traj.save(tmp_path / "flow.npz")
    assert twonn.load(tmp_path / "flow.npz") == traj


def test_they_are_saved_and_shown(tmp_path):
    run = twonn.run(PAPER, START, 10**4)
    traj = elsewhere(PAPER, run)
    traj.save(tmp_path / "own.npz")
    assert twonn.load(tmp_path / "own.npz") == traj
    assert len(traj.to_dataframe()) == len(run.t)
    assert traj.to_xarray().attrs["status"] == "external"
    for kind in (twonn.plot.gap, twonn.plot.parameters, twonn.plot.pattern, twonn.plot.local_exponent):
        kind(traj)
    plt.close("all")
    own = twonn.run(PAPER, START, 50, optimizer=descend)
    own.save(tmp_path / "descend.npz")
    assert twonn.load(tmp_path / "descend.npz") == own


def test_a_file_of_a_run_begins_at_0(tmp_path):
    """Only parameters computed elsewhere may begin later."""
    traj = twonn.Trajectory.from_params(PAPER, [3.0], twonn.Params(w=START.w[None]))
    traj.save(tmp_path / "own.npz")
    fields = dict(np.load(tmp_path / "own.npz"))
    fields["status"] = np.array("completed")
    np.savez_compressed(tmp_path / "forged.npz", **fields)
    with pytest.raises(twonn.CheckpointError, match="entries that no run records"):
        twonn.load(tmp_path / "forged.npz")


@pytest.mark.parametrize(
    ("t", "params", "match"),
    [
        ([0, 1], START, "params: got one network; expected twonn.Params with a leading axis"),
        ([0, 1], twonn.Params(w=np.ones((3, 2, 1))), r"t: got shape \(2,\); expected shape \(3,\)"),
        ([1, 0], twonn.Params(w=np.ones((2, 2, 1))), "numbers >= 0, each larger"),
        ([1, 1], twonn.Params(w=np.ones((2, 2, 1))), "numbers >= 0, each larger"),
        ([-1, 1], twonn.Params(w=np.ones((2, 2, 1))), "numbers >= 0, each larger"),
        ([0, np.nan], twonn.Params(w=np.ones((2, 2, 1))), "t: got .* expected finite"),
        ([], twonn.Params(w=np.ones((0, 2, 1))), "numbers >= 0"),
        ([0, 1], twonn.Params(w=np.ones((2, 2, 3))), "dimension 3"),
        ([0, 1], twonn.Params(w=np.ones((2, 2, 1)), v=[[1, -1], [2, -1]]), "train_output=False"),
        ([0, 1], [np.ones((2, 1))] * 2, r"params\[0\]: got .* expected a state dict"),
        ([0, 1], [{"weight": np.ones((2, 1))}] * 2, r"params\[0\]\.weight: got .* expected a tensor"),
        ([0, 1], "run.npz", "params: got 'run.npz'"),
    ],
)
def test_parameters_that_cannot_be_are_refused(t, params, match):
    with pytest.raises((TypeError, ValueError), match=match):
        twonn.Trajectory.from_params(PAPER, t, params)


@pytest.mark.parametrize("method", [None, 3, "two\nlines"])
def test_the_name_of_a_method_is_printable(method):
    with pytest.raises(TypeError, match="method: got"):
        twonn.Trajectory.from_params(PAPER, [0.0], twonn.Params(w=START.w[None]), method=method)
