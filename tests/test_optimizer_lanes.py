"""Other optimizers: blocks of steps, and runs in lanes, against steps and runs one by one, with ==."""

import itertools

import numpy as np
import pytest
from cases import random_problem

import twonn
from twonn import _core
from twonn.engine.batch import TRANSITIONS_KEPT, Stopped, run_batch
from twonn.engine.kernel import optimizer_batch, optimizer_run
from twonn.problem.runspec import RunOptions

OPTIMIZERS = (
    twonn.Momentum(beta=0.8),
    twonn.Momentum(beta=0.0),
    twonn.NormalizedGD(),
    twonn.Adam(),
    twonn.Adam(beta1=0.5, beta2=0.9, epsilon=1e-3),
)


def drawn(seed, runs):
    """Return a problem, so many starts, an optimizer and a schedule."""
    rng = np.random.default_rng(seed)
    problem, _ = random_problem(seed, sliding=seed % 3 == 0)
    d = problem.dimension
    w = rng.normal(size=(runs, 2, d)) * rng.choice([0.1, 1.0, 4.0], size=(runs, 1, 1))
    b = rng.normal(size=(runs, 2)) if problem.bias else np.zeros((runs, 2))
    v = rng.choice([-1.0, 1.0], size=(runs, 2)) * rng.uniform(0.3, 2.0, size=(runs, 2))
    if runs > 3:
        w[0], b[0] = 0.0, 0.0  # at rest, on all kinks
        w[3, 0], b[3, 0] = 0.0, 0.0
    optimizer = OPTIMIZERS[seed % len(OPTIMIZERS)]
    steps = int(rng.choice([1, 3, 300, 1500, 4000, 4000]))
    samples = np.unique(np.concatenate([[0, steps], rng.integers(0, steps + 1, size=rng.integers(0, 30))]))
    scale = rng.choice([0.2, 2.0, 20.0, 1e40], p=[0.3, 0.4, 0.2, 0.1])
    problem = twonn.Problem(
        x=problem.x,
        y=problem.y,
        step_size=float(problem.step_size * scale),
        **{name: getattr(problem, name) for name in ("loss", "reduction", "bias", "train_output")},
    )
    return problem, twonn.Params(w=w, b=b, v=v), optimizer, samples


def one_by_one(problem, params, schedule, optimizer, steps=1):
    """Return a run that has ended, having been asked for so many steps at a time."""
    kernel = optimizer_run(problem, params, schedule, optimizer)
    while kernel.status == _core.RUNNING:
        kernel.advance(steps)
    return kernel


def assert_same(batch, r, kernel):
    """Assert that row r of a batch has what a run by itself has."""
    n, kept = kernel.n_samples, min(kernel.n_transitions, TRANSITIONS_KEPT)
    assert batch.status[r] == kernel.status
    assert batch.end_step[r] == kernel.step
    assert batch.n_samples[r] == n
    assert batch.n_transitions[r] == kernel.n_transitions
    assert batch.states[r, :n].tobytes() == kernel.sample_states.tobytes()
    assert np.all(np.isnan(batch.states[r, n:]))
    assert np.array_equal(batch.sample_steps[r, :n], kernel.sample_steps)
    assert np.array_equal(batch.patterns[r, :n], kernel.sample_patterns)
    assert batch.transition_times[r, :kept].tobytes() == kernel.transition_times[:kept].tobytes()
    assert np.array_equal(batch.transition_patterns[r, :kept, 0], kernel.transition_before[:kept])
    assert np.array_equal(batch.transition_patterns[r, :kept, 1], kernel.transition_after[:kept])
    assert np.all(np.isnan(batch.transition_times[r, kept:]))


def batch_of(problem, params, optimizer, schedule, **options):
    asked = RunOptions(int(schedule[-1]), "direct", optimizer=optimizer)
    return run_batch(problem, params, asked, (schedule, np.empty(0)), **options)


@pytest.mark.parametrize("seed", range(60))
def test_lanes_give_the_bits_of_runs_alone(seed):
    print("seed", seed)
    runs = (1, 2, 3, 7, 21)[seed // 5 % 5]
    problem, params, optimizer, schedule = drawn(seed, runs)
    batch = batch_of(problem, params, optimizer, schedule)
    for r in range(runs):
        assert_same(batch, r, one_by_one(problem, params[r], schedule, optimizer, steps=10**6))


def test_the_random_questions_are_of_every_kind():
    met, chatter, early = set(), 0, set()
    for seed in range(60):
        runs = (1, 2, 3, 7, 21)[seed // 5 % 5]
        problem, params, optimizer, schedule = drawn(seed, runs)
        batch = batch_of(problem, params, optimizer, schedule)
        met.add((optimizer.name, problem.loss, problem.train_output))
        chatter += int(np.sum(batch.n_transitions > 50))
        early.update((optimizer.name, status) for status in batch.status.tolist())
    assert len(met) == 12
    assert chatter >= 10
    ends = (_core.COMPLETED, _core.STATIONARY, _core.DIVERGED)
    assert early >= set(itertools.product(("momentum", "normalized_gd", "adam"), ends[:2]))
    assert {status for _, status in early} == set(ends)


@pytest.mark.parametrize("seed", range(60, 100))
def test_blocks_give_the_bits_of_steps_one_by_one(seed):
    """A step by itself looks at everything; a block looks afterwards, and does it again if it has to."""
    print("seed", seed)
    problem, params, optimizer, schedule = drawn(seed, 4)
    for r in range(4):
        whole = one_by_one(problem, params[r], schedule, optimizer, steps=10**6)
        for steps in (1, 7):
            parts = one_by_one(problem, params[r], schedule, optimizer, steps)
            assert (whole.status, whole.step, whole.n_transitions) == (
                parts.status,
                parts.step,
                parts.n_transitions,
            )
            assert whole.sample_states.tobytes() == parts.sample_states.tobytes()
            assert whole.transition_times.tobytes() == parts.transition_times.tobytes()
            assert np.array_equal(whole.transition_counts, parts.transition_counts)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_preactivation_that_rounding_hides_is_looked_at_closely(optimizer):
    """3 · 0.1 less its rounding is not 0, but all that a double has of it is 0."""
    problem = twonn.Problem(x=[0.1, -1.0], y=[1, -1], step_size=1e-3)
    params = twonn.Params(w=[3.0, -1.0], b=[-(3 * 0.1), 0.5])
    schedule = np.array([0, 1000])
    for start in (params, twonn.Params(w=[-3.0, -1.0], b=[3 * 0.1, 0.5])):
        exact = _core.preactivations(start.w[None], start.b[None], problem.x)[0, 0, 0]
        assert 0 < abs(exact) < 2.0**-53
        one = one_by_one(problem, start, schedule, optimizer, steps=1)
        whole = one_by_one(problem, start, schedule, optimizer, steps=1000)
        assert bool(whole.sample_patterns[0] & 1) == (exact > 0)
        assert whole.sample_states.tobytes() == one.sample_states.tobytes()
        assert np.array_equal(whole.transition_counts, one.transition_counts)


class Interrupting:
    """Stops a batch at its first look, with its state."""

    def __init__(self, steps):
        self.steps, self.state = steps, None

    def look(self, spent, state):
        self.state = state()
        raise Stopped


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_interrupted_batches_give_the_same_bits(seed):
    print("seed", seed)
    problem, params, optimizer, schedule = drawn(seed, 11)
    whole = batch_of(problem, params, optimizer, schedule)
    state, rounds = None, 0
    while True:
        watch = Interrupting(1 + 977 * (seed + rounds))
        try:
            batch = batch_of(problem, params, optimizer, schedule, watch=watch, state=state)
            break
        except Stopped:
            state, rounds = {name: values.copy() for name, values in watch.state.items()}, rounds + 1
    for name, values in vars(whole).items():
        assert values.tobytes() == getattr(batch, name).tobytes(), name


def test_forged_states_are_refused():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    size = np.linspace(0.3, 2.0, 9)
    w = np.stack([size, -size[::-1]], 1)[:, :, np.newaxis]
    params = twonn.Params(w=w, b=np.zeros((9, 2)), v=np.tile([1.0, -1.0], (9, 1)))
    schedule = np.array([0, 10, 3000, 4001])
    batch = optimizer_batch(problem, params, schedule, twonn.Adam(), TRANSITIONS_KEPT)
    assert batch.advance(2000) == 9
    state = batch.state()
    for name, forgeries in {
        "n_samples": (-1, 4, 1 << 40),
        "n_transitions": (-1,),
        "last_pattern": (-1, 16),
        "step": (-1, 3001),
        "status": (-1, 7),
        "moving": (np.inf, 1e305),
    }.items():
        for value in forgeries:
            forged = state[name].copy()
            forged.reshape(9, -1)[4, 0] = value
            with pytest.raises(ValueError, match=r"out of bounds|its samples|its step"):
                batch.restore({**state, name: forged})
    with pytest.raises(ValueError, match="moving: expected float64 of shape"):
        batch.restore({**state, "moving": state["moving"][:8]})
    batch.restore(state)


def test_no_runs_and_no_steps():
    problem, params, optimizer, _ = drawn(2, 5)
    assert len(batch_of(problem, params[:0], optimizer, np.array([0, 100])).status) == 0
    none = batch_of(problem, params, optimizer, np.array([0]))
    assert np.all(none.n_samples == 1) and np.all(none.end_step == 0)
