"""Other optimizers: against the textbook recurrences in 40 digits, at their limits, and what is refused."""

import itertools

import mpmath
import numpy as np
import pytest

import twonn
from twonn import _core
from twonn.spec import Spec

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
OPTIMIZERS = {
    "momentum": twonn.Momentum(beta=0.8),
    "normalized_gd": twonn.NormalizedGD(),
    "adam": twonn.Adam(beta1=0.85, beta2=0.99, epsilon=1e-6),
}


def textbook(problem, params, optimizer, steps):
    """Return (w, b, v) after the recurrences as they are written down, for any number of steps."""
    number = mpmath.mpf
    x = [[number(a) for a in row] for row in problem.x.tolist()]
    y = [number(label) for label in problem.y.tolist()]
    d, weight = problem.dimension, number(1) if problem.reduction == "sum" else number(1) / 2
    p = [number(a) for a in [*params.w.ravel().tolist(), *params.b.tolist(), *params.v.tolist()]]
    free = [True] * (2 * d) + [problem.bias] * 2 + [problem.train_output] * 2
    first, second = [number(0)] * len(p), [number(0)] * len(p)
    for t in range(1, steps + 1):
        z = [
            [sum(p[j * d + a] * x[i][a] for a in range(d)) + p[2 * d + j] for i in range(2)] for j in range(2)
        ]
        v = p[2 * d + 2 :]
        m = [y[i] * sum(v[j] * max(z[j][i], 0) for j in range(2)) for i in range(2)]
        if problem.loss == "exponential":
            losses = slopes = [mpmath.exp(-m[i]) for i in range(2)]
        else:
            losses = [mpmath.log1p(mpmath.exp(-m[i])) for i in range(2)]
            slopes = [1 / (1 + mpmath.exp(m[i])) for i in range(2)]
        gradient = [number(0)] * len(p)
        for i, j in itertools.product(range(2), range(2)):
            if z[j][i] > 0:
                push = -weight * slopes[i] * y[i]
                for a in range(d):
                    gradient[j * d + a] += push * v[j] * x[i][a]
                gradient[2 * d + j] += push * v[j]
                gradient[2 * d + 2 + j] += push * z[j][i]
        for n in range(len(p)):
            if not free[n]:
                continue
            eta = number(problem.step_size)
            if isinstance(optimizer, twonn.Momentum):
                first[n] = number(optimizer.beta) * first[n] + gradient[n]
                p[n] -= eta * first[n]
            elif isinstance(optimizer, twonn.NormalizedGD):
                p[n] -= eta * gradient[n] / (weight * sum(losses))
            else:
                beta1, beta2 = number(optimizer.beta1), number(optimizer.beta2)
                first[n] = beta1 * first[n] + (1 - beta1) * gradient[n]
                second[n] = beta2 * second[n] + (1 - beta2) * gradient[n] ** 2
                corrected = mpmath.sqrt(second[n] / (1 - beta2**t))
                p[n] -= eta * first[n] / (1 - beta1**t) / (corrected + number(optimizer.epsilon))
    return p


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize(("loss", "reduction"), [("exponential", "mean"), ("logistic", "sum")])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_textbook_recurrence(name, loss, reduction, train_output, bias, d):
    seed = 17
    print("seed", seed)
    rng = np.random.default_rng(seed)
    problem = twonn.Problem(
        x=rng.normal(size=(2, d)), y=[1, -1], loss=loss, reduction=reduction,
        # Normalized steps of trained weights grow with them, until they jump between the samples.
        step_size=0.001 if name == "normalized_gd" else 0.01,
        bias=bias, train_output=train_output,
    )  # fmt: skip
    params = twonn.Params(
        w=np.stack([problem.x[0], problem.x[1]]) + 0.2 * rng.normal(size=(2, d)),
        b=0.1 * rng.normal(size=2) if bias else [0.0, 0.0],
        v=[1.1, -0.9],
    )
    steps = 300
    traj = twonn.run(problem, params, steps, optimizer=OPTIMIZERS[name], sample_steps=[])
    with mpmath.workdps(40):
        truth = np.array([float(a) for a in textbook(problem, params, OPTIMIZERS[name], steps)])
    got = np.concatenate([traj.w[-1].ravel(), traj.b[-1], traj.v[-1]])
    assert (
        np.abs(truth - np.concatenate([params.w.ravel(), params.b, params.v])).max() > 0.015
    )  # it has moved
    # A step's move is right to some 20 roundings of itself, and their sum is compensated: 300 moves of up to
    # 6 η are 18, and trained weights amplify an error less than tenfold.
    assert np.abs(got - truth).max() < 20 * 2.0**-53 * 18 * 10


@pytest.mark.parametrize("margin", [-30.0, 5.0, 39.9, 700.0, 2000.0])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_normalized_steps_at_every_margin(loss, margin):
    """Where losses are large, where two formulas for the logistic loss meet, where losses underflow."""
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, loss=loss)
    v = [1.0, -1.0] if margin > 0 else [-1.0, 1.0]
    start = twonn.Params(w=[abs(margin), -abs(margin) - 0.3], v=v)
    steps = 200
    traj = twonn.run(problem, start, steps, optimizer="normalized_gd", sample_steps=[])
    with mpmath.workdps(40):
        truth = np.array([float(a) for a in textbook(problem, start, twonn.NormalizedGD(), steps)])
    got = np.concatenate([traj.w[-1].ravel(), traj.b[-1], traj.v[-1]])
    assert np.abs(got[:2] - start.w.ravel()).max() > 0.03
    # A margin is rounded, and so is the difference of two; a slope is wrong by as much of itself. Of either
    # point's 200 moves of up to η, and of the rounding of the result itself.
    assert np.abs(got - truth).max() < 2.0**-53 * (4 * (abs(margin) + 5) * steps * 0.01 + abs(margin) + 1)


def test_adam_with_a_tiny_epsilon_where_gradients_are_tiny():
    """Squares of gradients are below 2^-900, the gradients are not, and a step is their quotient."""
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    start, optimizer, steps = twonn.Params(w=[313.0, -313.3]), twonn.Adam(epsilon=1e-200), 600
    traj = twonn.run(problem, start, steps, optimizer=optimizer, sample_steps=[])
    with mpmath.workdps(40):
        truth = np.array([float(a) for a in textbook(problem, start, optimizer, steps)])
    got = np.concatenate([traj.w[-1].ravel(), traj.b[-1], traj.v[-1]])
    assert np.abs(got[:2] - start.w.ravel()).max() > 0.5
    # A gradient is wrong by the rounding of its margin, and a move of up to η = 0.01 by as much of itself.
    # The result is rounded, too.
    assert np.abs(got - truth).max() < 2.0**-53 * (4 * (313 + 5) * steps * 0.01 + 313 + 1)


def test_a_network_that_coasts_comes_to_rest():
    """Once no neuron is active, u falls by β a step; a geometric series takes p to where it stays."""
    problem = twonn.Problem(x=[1.0, 2.0], y=[-1, -1], step_size=0.5, bias=False)
    params = twonn.Params(w=[0.5, -1.0])
    short = twonn.run(problem, params, 50, optimizer=twonn.Momentum(beta=0.8), sample_steps=range(51))
    traj = twonn.run(problem, params, 10**5, optimizer=twonn.Momentum(beta=0.8))
    assert traj.status is twonn.Status.STATIONARY
    # β^n = 2^-900 of the first u at most, and until the next of the steps at which that is looked at.
    assert 2700 < traj.end_step < 2900 + 256 and traj.end_step % 256 == 0
    last, before = short.w[-1, 0, 0], short.w[-2, 0, 0]
    assert traj.w[-1, 0, 0] == pytest.approx(last + (last - before) * 0.8 / (1 - 0.8), rel=1e-13)
    assert np.array_equal(traj.w[-1, 1], params.w[1])


def test_the_first_step_of_adam_is_the_step_size():
    traj = twonn.run(PAPER, START, 1, optimizer="adam")
    # Gradients: active are neuron 1 at -1 and neuron 0 at +1; |g|/(|g| + 1e-8) is within 1e-7 of 1.
    moves = np.concatenate([traj.w[-1, :, 0] - START.w[:, 0], traj.b[-1]])
    assert np.abs(moves) == pytest.approx(0.01, rel=1e-7)
    assert np.array_equal(np.sign(moves), [1, -1, 1, 1 if moves[3] > 0 else -1])
    assert np.array_equal(traj.v[-1], START.v)


def test_normalized_steps_do_not_shrink_where_the_loss_underflows():
    start = twonn.Params(w=[2000.0, -2000.0])
    traj = twonn.run(PAPER, start, 1000, optimizer="normalized_gd")
    assert traj.loss[0] == 0.0 and traj.log_loss[0] == pytest.approx(-2000.0)
    # Each margin rises by η/2 (1 + x²) a step: a sample's share of the loss is one half.
    assert traj.margins[-1] == pytest.approx(2010.0, rel=1e-12)


def test_momentum_without_momentum_is_gradient_descent():
    problem = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, train_output=True)
    start = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])
    one = twonn.run(problem, start, 2000, optimizer=twonn.Momentum(beta=0.0))
    other = twonn.run(problem, start, 2000, engine="direct")
    # Two ways to sum the same steps: rounding, not bits.
    assert np.allclose(one.w, other.w, rtol=0, atol=1e-13)
    assert np.allclose(one.v, other.v, rtol=0, atol=1e-13)
    assert one.n_transitions == other.n_transitions > 10
    assert np.array_equal(one.transitions["t"], other.transitions["t"])
    assert np.array_equal(one.transition_counts, other.transition_counts)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bits_do_not_depend_on_horizon_sampling_or_watching(name):
    whole = twonn.run(PAPER, START, 5000, optimizer=name, sample_steps=[17, 1000, 4999])
    for row, step in enumerate([0, 17, 1000, 4999, 5000]):
        alone = twonn.run(PAPER, START, step, optimizer=name, progress=lambda done, asked: None)
        assert alone.states[-1].tobytes() == whole.states[row].tobytes()
    assert whole.t.tolist() == [0, 17, 1000, 4999, 5000]
    assert whole.segments["engine"].tolist() == ["direct"] and whole.error_bound == 0.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_derived_arrays_and_files(name, tmp_path):
    problem = twonn.Problem(x=[[1.0, 0.5, 0.0], [-1.0, 0.2, 0.3]], y=[1, -1], step_size=0.05)
    params = twonn.Params(w=[[1.0, 0.0, 0.5], [-0.5, 0.1, 0.0]], b=[0.1, 0.2])
    traj = twonn.run(problem, params, 3000, optimizer=OPTIMIZERS[name])
    z = np.einsum("njd,id->nji", traj.w, problem.x) + traj.b[:, :, None]
    assert traj.preactivations == pytest.approx(z, rel=1e-12, abs=1e-12)
    assert traj.gap[-1] == pytest.approx(twonn.gap(problem, traj.final), rel=1e-12)
    traj.save(tmp_path / "run.npz")
    again = twonn.load(tmp_path / "run.npz")
    assert again.optimizer == OPTIMIZERS[name] and name in repr(again)
    assert again.states.tobytes() == traj.states.tobytes()
    assert np.array_equal(again.margins, traj.margins)


def test_outcomes():
    dead = twonn.Params(w=[0.0, 0.0], b=[-1.0, -1.0])
    for name in OPTIMIZERS:
        traj = twonn.run(PAPER, dead, 100, optimizer=name)
        assert traj.status is twonn.Status.STATIONARY and traj.end_step == 0
        assert len(twonn.run(PAPER, START, 0, optimizer=name).t) == 1
    wild = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=30.0, reduction="sum", train_output=True)
    start = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[0.7, -0.6])
    traj = twonn.run(wild, start, 10**4, optimizer="momentum")
    assert traj.status is twonn.Status.DIVERGED
    assert traj.t[-1] == traj.end_step - 1 and np.all(np.isfinite(traj.states))


def test_momentum_coasts_on_without_a_gradient():
    # One big step against the only active unit switches it off; the velocity carries it on.
    problem = twonn.Problem(x=[1.0, 2.0], y=[-1, -1], step_size=0.5, bias=False)
    params = twonn.Params(w=[0.5, -1.0])
    traj = twonn.run(problem, params, 50, optimizer="momentum")
    gone = np.flatnonzero(traj.pattern == 0)
    assert traj.status is twonn.Status.COMPLETED and len(gone) > 2
    assert np.all(np.diff(traj.w[gone, 0, 0]) < 0)
    plain = twonn.run(problem, params, 50)
    assert plain.status is twonn.Status.STATIONARY


def test_what_is_refused():
    with pytest.raises(
        ValueError, match=r"engine: got 'leap'; expected 'auto' or 'direct' for the optimizer adam"
    ):
        twonn.run(PAPER, START, 10, optimizer="adam", engine="leap")
    with pytest.raises(ValueError, match=r"steps: .*at most 2\^63 - 1 with the optimizer adam"):
        twonn.run(PAPER, START, 10**400, optimizer="adam", engine="direct")
    with pytest.raises(ValueError, match=r"optimizer: got 'adan'.*'adam'"):
        twonn.run(PAPER, START, 10, optimizer="adan")
    with pytest.raises(ValueError, match="optimizer: got the option 'beta'; expected options of adam: beta1"):
        twonn.run(PAPER, START, 10, optimizer={"name": "adam", "beta": 0.5})
    with pytest.raises(TypeError, match="optimizer"):
        twonn.run(PAPER, START, 10, optimizer=3)
    for bad in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"beta: got .*; expected a number in \[0, 1\)"):
            twonn.Momentum(beta=bad)
    with pytest.raises(ValueError, match="epsilon: got 0"):
        twonn.Adam(epsilon=0.0)
    with pytest.raises(TypeError, match="beta1"):
        twonn.Adam(beta1="0.9")


def test_a_table_means_the_same():
    table = {"name": "adam", "beta1": 0.5}
    one = twonn.run(PAPER, START, 100, optimizer=table)
    other = twonn.run(PAPER, START, 100, optimizer=twonn.Adam(beta1=0.5))
    assert one.states.tobytes() == other.states.tobytes() and one.optimizer == other.optimizer
    assert twonn.run(PAPER, START, 100, optimizer={"name": "gd"}).optimizer is None


def test_spec_files_have_it_too(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(
        "[problem]\nx = [-1.0, 1.0]\ny = [-1, 1]\nstep_size = 0.01\n"
        "[params]\nw = [0.4309350268754409, -1.470759627697770]\n"
        '[run]\nsteps = 100\noptimizer = { name = "adam", beta1 = 0.5 }\n'
    )
    traj = Spec(path).run()
    assert traj.optimizer == twonn.Adam(beta1=0.5)
    path.write_text(path.read_text().replace("beta1", "beta7"))
    with pytest.raises(ValueError, match=r"spec.toml, line 9, \[run\]: optimizer: got the option 'beta7'"):
        Spec(path).run()


def test_the_kernel_refuses_what_is_no_optimizer_and_no_record_of_one():
    x, labels, steps = np.array([[-1.0], [1.0]]), np.array([-1.0, 1.0]), np.array([0, 1])
    start = np.ones((2, 1)), np.zeros(2), np.ones(2)
    for kind in (-1, 99):
        with pytest.raises(ValueError, match="kind: expected MOMENTUM, NORMALIZED or ADAM"):
            _core.OptimizerRun(x, labels, 0.1, 1.0, True, 0, False, *start, steps, kind, np.zeros(3))
    for points, size in ((x, 11), (x[:1], 12)):
        with pytest.raises(ValueError, match=r"x, states: expected shapes \(2, d\), \(n, 4 d \+ 8\)"):
            _core.own_preactivations(points, np.zeros((5, size)))
    assert _core.own_preactivations(x, np.zeros((5, 12))).shape == (5, 2, 2)
