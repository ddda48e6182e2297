"""Many runs driven together by the kernel: every one of them with the bits that it has alone."""

import mpmath
import numpy as np
import pytest
from cases import random_problem
from oracle import Decoupled

import twonn
from twonn import _core
from twonn.engine.batch import Stopped, run_batch
from twonn.optimizers import chosen
from twonn.problem.runspec import RunOptions

KEPT = 40


def starts(problem: twonn.Problem, runs: int, seed: int) -> twonn.Params:
    """Random starts of very different courses: dead ones, ones that slide, fast and slow ones."""
    print("seed", seed)
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-1, 0.7, size=(runs, 1, 1))
    b = rng.normal(size=(runs, 2)) if problem.bias else np.zeros((runs, 2))
    v = np.array([1.0, -1.0]) * rng.uniform(0.3, 1.5, size=(runs, 2))
    v *= np.where(rng.random((runs, 2)) < 0.05, 0.0, rng.choice([-1.0, 1.0], size=(runs, 2), p=[0.2, 0.8]))
    return twonn.Params(w=scale * rng.normal(size=(runs, 2, problem.dimension)), b=b, v=v)


def question(problem: twonn.Problem) -> tuple:
    return (
        problem.x,
        problem.y.astype(float),
        problem.point_step,
        problem.bias,
        _core.LOSSES[problem.loss],
        problem.train_output,
    )


def begun(problem, params, schedule, late=(), engine=_core.AUTO) -> _core.Batch:
    return _core.Batch(
        *question(problem), params.w, params.b, params.v, np.array(schedule),
        np.array(late, dtype=float), engine, transitions_kept=KEPT, slides_kept=3,
    )  # fmt: skip


def batch_of(problem, params, schedule, late=(), engine=_core.AUTO, *, budget=1 << 62) -> _core.Batch:
    batch = begun(problem, params, schedule, late, engine)
    while batch.advance(budget):
        pass
    return batch


def alone(problem, params, r, schedule, late=(), engine=_core.AUTO) -> _core.Run:
    run = _core.Run(
        *question(problem), params.w[r], params.b[r], params.v[r], np.array(schedule),
        np.array(late, dtype=float), engine,
    )  # fmt: skip
    run.advance(1 << 62)
    return run


def assert_same(batch: _core.Batch, r: int, run: _core.Run) -> None:
    n, kept = run.n_samples, min(run.n_transitions, KEPT)
    for name in ("status", "n_samples", "n_transitions", "error", "averaging_error", "averaged", "counted"):
        assert getattr(batch, name)[r] == getattr(run, name), name
    assert batch.last_step[r] == run.step and batch.last_log[r] == run.log_step
    assert batch.converged_step[r] == run.converged_step and batch.converged_log[r] == run.converged_log
    for name in ("steps", "logs", "states", "patterns", "phase_unknown"):
        mine = np.ascontiguousarray(getattr(batch, f"sample_{name}")[r, :n])
        assert mine.tobytes() == getattr(run, f"sample_{name}").tobytes(), name
    assert np.array_equal(batch.transition_times[r, :kept], run.transition_times[:kept])
    assert np.array_equal(batch.transition_patterns[r, :kept, 0], run.transition_before[:kept])
    assert np.array_equal(batch.transition_patterns[r, :kept, 1], run.transition_after[:kept])
    slides = run.slides
    assert batch.n_slides[r] == len(slides)  # none has 1,024
    assert batch.slides[r, : len(slides)].tolist() == [list(row) for row in slides[:3]]


@pytest.mark.parametrize("engine", [_core.DIRECT, _core.AUTO], ids=["direct", "auto"])
@pytest.mark.parametrize("seed", range(12))
def test_runs_together_are_the_runs_alone(seed, engine):
    problem, _ = random_problem(seed, sliding=seed % 2 == 1)
    params = starts(problem, 37, seed)
    schedule = [0, 1, 300, 5000, 5001, 20_000, 40_001]
    batch = batch_of(problem, params, schedule, engine=engine)
    for r in range(37):
        assert_same(batch, r, alone(problem, params, r, schedule, engine=engine))


@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("x", [(-1.0, 1.0), (2.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("step_size", [0.02, 1e-8])
def test_long_runs_together_are_the_runs_alone(step_size, x, loss, train_output):
    problem = twonn.Problem(x=x, y=[-1, 1], step_size=step_size, loss=loss, train_output=train_output)
    params = starts(problem, 21, seed=5)
    schedule = [0, 77_777, 300_000]
    batch = batch_of(problem, params, schedule, engine=_core.DIRECT)
    for r in range(21):
        assert_same(batch, r, alone(problem, params, r, schedule, engine=_core.DIRECT))


def test_slow_runs_together_are_at_the_exact_solution():
    seed = 44
    print("seed", seed)
    v = 10 ** np.random.default_rng(seed).uniform(-8, -5, 40)
    problem = twonn.Problem(x=[1.0, -1.0], y=[1, -1], step_size=100.0, reduction="sum")
    w, b = np.tile([[0.5], [-0.5]], (40, 1, 1)), np.full((40, 2), 0.1)
    params = twonn.Params(w=w, b=b, v=np.stack([v, -v], axis=1))
    steps = 50_000
    batch = batch_of(problem, params, [0, steps], engine=_core.DIRECT)
    with mpmath.workdps(40):
        for r in range(40):
            # Each neuron is pushed by its own point: m = v z, and z rises by v (x² + 1) A.
            margin = mpmath.mpf(v[r]) * (mpmath.mpf(0.5) + mpmath.mpf(0.1))
            moved = Decoupled(margin, 2 * mpmath.mpf(v[r]) ** 2, 100).accumulated(steps) * mpmath.mpf(v[r])
            for place in (0, 3):  # C_00 and C_11, with what rounding left out
                state = batch.sample_states[r, 1]
                got = mpmath.mpf(state[place]) + mpmath.mpf(state[4 + place])
                # Two roundings: see MOTION_ERROR in test_direct.py.
                assert abs(abs(got) - moved) <= 2 * 2.0**-53 * moved


def test_beyond_counting():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.02)
    params = starts(problem, 9, seed=6)
    late = np.log(10.0) * np.array([100.0, 1000.0])
    batch = batch_of(problem, params, [0, 10**6], late)
    for r in range(9):
        assert_same(batch, r, alone(problem, params, r, [0, 10**6], late))


def test_bits_do_not_depend_on_company_or_pauses():
    problem, _ = random_problem(3)
    params = starts(problem, 30, seed=7)
    schedule = [0, 50_000]
    whole = batch_of(problem, params, schedule, engine=_core.DIRECT)
    paused = batch_of(problem, params, schedule, engine=_core.DIRECT, budget=1000)
    order = np.random.default_rng(8).permutation(30)[:17]
    shuffled = twonn.Params(w=params.w[order], b=params.b[order], v=params.v[order])
    some = batch_of(problem, shuffled, schedule, engine=_core.DIRECT)
    assert whole.sample_states.tobytes() == paused.sample_states.tobytes()
    assert whole.sample_states[order].tobytes() == some.sample_states.tobytes()


def test_an_interrupted_batch_keeps_what_there_is():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.02)
    params = twonn.initializers.sample("he_normal", 40, 1)
    batch = _core.Batch(
        *question(problem), params.w, params.b, params.v, np.array([0, 10**6]), np.empty(0), _core.DIRECT
    )
    assert batch.advance(3 * 10**6) > 0
    batch.interrupt()
    assert batch.advance(1) == 0
    assert np.all(np.isin(batch.status, [_core.COMPLETED, _core.STATIONARY, _core.INTERRUPTED]))
    assert np.sum(batch.status == _core.INTERRUPTED) > 0
    assert np.all(batch.sample_steps[np.arange(40), batch.n_samples - 1] == batch.last_step)


def test_a_state_that_is_out_of_bounds_is_not_restored():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.02)
    params = twonn.Params(w=[[[1.0], [-2.0]], [[0.5], [-0.25]]])
    batch, other = (begun(problem, params, [0, 10], engine=_core.DIRECT) for _ in range(2))
    batch.advance(3)
    state = batch.state()
    other.restore(state)
    wild = np.array(state["state"])
    wild[1, 0] = 6e299
    with pytest.raises(ValueError, match="state is out of bounds"):
        other.restore({**state, "state": wild})


def test_no_runs_and_wrong_shapes():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.02)
    none = twonn.Params(w=np.zeros((1, 2, 1)), b=np.zeros((1, 2)), v=np.ones((1, 2)))
    schedule, late = np.array([0, 10]), np.empty(0)
    w, b, v = none.w, none.b, none.v
    empty = _core.Batch(*question(problem), w[:0], b[:0], v[:0], schedule, late, _core.AUTO)
    assert empty.advance(1) == 0 and empty.status.shape == (0,)
    with pytest.raises(ValueError, match="expected shapes"):
        _core.Batch(*question(problem), w, b[:0], v, schedule, late, _core.AUTO)
    with pytest.raises(ValueError, match="numbers >= 0"):
        _core.Batch(*question(problem), w, b, v, schedule, late, _core.AUTO, transitions_kept=-1)
    with pytest.raises(ValueError, match="schedule"):
        _core.Batch(*question(problem), w, b, v, np.array([1, 10]), late, _core.AUTO)


# --------------------------------------------------------------------------------------------------
# States

ATTRIBUTES = (
    "status", "obstacle", "last_step", "last_log", "error", "averaging_error", "averaged", "n_samples",
    "n_transitions", "n_slides", "sample_steps", "sample_logs", "sample_states", "sample_patterns",
    "sample_phase_unknown", "transition_times", "transition_patterns", "slides", "open_slides", "counted",
    "converged_step", "converged_log",
)  # fmt: skip


@pytest.mark.parametrize("engine", [_core.DIRECT, _core.AUTO], ids=["direct", "auto"])
@pytest.mark.parametrize("seed", range(12))
def test_a_batch_that_goes_on_from_its_states_has_the_same_bits(seed, engine):
    """Taken down after every few thousand steps, and gone on with by another batch."""
    problem, _ = random_problem(seed, sliding=seed % 2 == 1)
    params = starts(problem, 37, seed)
    schedule = [0, 1, 300, 5000, 5001, 20_000, 40_001]
    whole = batch_of(problem, params, schedule, engine=engine)
    batch, others = begun(problem, params, schedule, engine=engine), 0
    while batch.advance(5000):
        state = batch.state()
        batch = begun(problem, params, schedule, engine=engine)
        batch.restore(state)
        others += 1
    assert others > 10
    for name in ATTRIBUTES:
        assert getattr(whole, name).tobytes() == getattr(batch, name).tobytes(), name


def test_a_state_is_not_changed_by_what_follows():
    problem, _ = random_problem(3)
    params = starts(problem, 30, seed=7)
    batch = begun(problem, params, [0, 50_000], engine=_core.DIRECT)
    batch.advance(100_000)
    state = batch.state()
    before = {name: values.tobytes() for name, values in state.items()}
    while batch.advance(1 << 62):
        pass
    assert before == {name: values.tobytes() for name, values in state.items()}


#: What no run has between blocks, by field.
FORGED = {
    "n_samples": [-1, 9, 1 << 40],
    "n_transitions": [-1],
    "n_segments": [-1, 1025],
    "n_slides": [-1],
    "length_index": [-1, 66],
    "last_pattern": [-2, 16],
    "mean_pairs": [16, -1],
    "phase_unknown": [16],
    "sliding_candidates": [16],
    "episode": [-2, 1 << 20],
    "step": [-2, 40_002, 1 << 62],
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_states_are_refused(name):
    problem, _ = random_problem(1, sliding=True)
    params = starts(problem, 5, 1)
    schedule = [0, 1, 300, 5000, 5001, 20_000, 40_001]
    batch = begun(problem, params, schedule, engine=_core.DIRECT)
    assert batch.advance(30_000) > 1
    r = int(np.flatnonzero(batch.status == _core.RUNNING)[0])
    run = _core.Run(
        *question(problem), params.w[r], params.b[r], params.v[r],
        np.array(schedule), np.empty(0), _core.DIRECT,
    )  # fmt: skip
    run.advance(10_000)
    for held, row in ((batch, r), (run, ...)):
        state = held.state()
        held.restore(state)
        for value in FORGED[name]:
            forged = state[name].copy()
            forged[row] = value
            with pytest.raises(ValueError):
                held.restore({**state, name: forged})


def test_a_state_of_another_batch_is_refused():
    problem, _ = random_problem(3)
    params = starts(problem, 5, seed=7)
    batch = begun(problem, params, [0, 50_000])
    state = begun(problem, params[:4], [0, 50_000]).state()
    with pytest.raises(ValueError, match="expected int64 of shape"):
        batch.restore(state)
    state = batch.state()
    with pytest.raises(ValueError, match="status: expected int32"):
        batch.restore({**state, "status": state["status"].astype(float)})
    with pytest.raises(ValueError, match="its samples are not those"):
        batch.restore({**state, "status": state["status"] + _core.COMPLETED})  # without a sample
    del state["date_error"]
    with pytest.raises(KeyError, match="date_error"):
        batch.restore(state)


class Interrupting:
    """Stops a batch at its n-th look, with its state."""

    steps = 1000

    def __init__(self, looks: int) -> None:
        self.looks, self.state = looks, None

    def look(self, spent, state):
        assert spent == 1000
        self.looks -= 1
        if self.looks == 0:
            self.state = state()
            raise Stopped


@pytest.mark.parametrize("optimizer", [None, "adam", "momentum"])
def test_run_batch_goes_on_from_its_states(optimizer):
    problem, _ = random_problem(3)
    params = starts(problem, 6, seed=9)
    other = chosen("gd" if optimizer is None else optimizer)
    schedule = np.array([0, 10, 3000, 4001]), np.empty(0)
    asked = problem, params, RunOptions(4001, "direct", optimizer=other), schedule
    whole = run_batch(*asked)
    state, rounds = None, 0
    while True:
        watch = Interrupting(2)
        try:
            batch = run_batch(*asked, watch=watch, state=state)
            break
        except Stopped:
            state, rounds = watch.state, rounds + 1
    assert rounds >= 3
    for name, values in vars(whole).items():
        assert values.tobytes() == getattr(batch, name).tobytes(), name
