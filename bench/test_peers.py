"""What the package costs beside what a user would otherwise write: ours = 1, timed in turns in one session.

No time is asserted. What is asserted, before any time is taken, is that all computed the same thing: what the
direct engine does, which is itself tested against binary128 arithmetic.
"""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import peers
import pytest
from measuring import (
    FLOW_ERROR,
    PAPER_START,
    Exact,
    affordable,
    alternate,
    assert_close,
    flat,
    paired,
    paper,
    rounding,
    size,
)

import twonn
from twonn.engine import batch
from twonn.problem.runspec import RunOptions
from twonn.results.states import parameters_of

SECONDS = size(0.2, 0.005)  # of one call of a peer
PAIRS = size(15, 2)
STEPS = size(1_000_000, 20_000)
RUNS = size(512, 40)

QUESTIONS = {
    "fixed, exponential": {},
    "trained, logistic": {"train_output": True, "loss": "logistic"},
}


def names(peer):
    return peer.name if isinstance(peer, peers.Peer) else None


@pytest.mark.parametrize("case", QUESTIONS)
@pytest.mark.parametrize("peer", peers.ONE_RUN, ids=names)
def test_direct(peer, case, benchmark, present, add_record):
    """A step of one run. Everyone takes as many as suit them, for what a call costs is no step."""
    present(peer)
    problem = paper(**QUESTIONS[case])
    steps = affordable(functools.partial(peer.run, problem, PAPER_START), SECONDS, STEPS)
    truth = peers.twonn_direct(problem, PAPER_START, steps)
    bound = rounding(steps, truth, 5 if problem.train_output else 1)
    error = assert_close(peer.run(problem, PAPER_START, steps), truth, bound)
    ours, other = alternate(
        benchmark,
        lambda: peers.twonn_direct(problem, PAPER_START, STEPS),
        lambda: peer.run(problem, PAPER_START, steps),
        PAIRS,
    )
    add_record("direct, one run", case, peer.name, ours / STEPS, other / steps, errors=(0.0, error))


def many_direct(problem, params, steps, threads=1):
    """Step many runs, every thread its share."""
    schedule = np.array([0, steps]), np.empty(0)

    def share(n):
        return batch.run_batch(
            problem, params[n::threads], RunOptions(int(schedule[0][-1]), "direct"), schedule
        )

    if threads == 1:
        return [share(0)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(share, range(threads)))


def ends(problem, params, parts):
    """Return w, b and v at the ends of runs in the order of `params`, of what `many_direct` returns."""
    whole = tuple(np.empty(np.shape(array)) for array in (params.w, params.b, params.v))
    for n, part in enumerate(parts):
        last = part.states[np.arange(len(part.states)), part.n_samples - 1][:, None]
        start = params[n :: len(parts)]
        for array, values in zip(whole, parameters_of(problem, start.w, start.b, None, last), strict=True):
            array[n :: len(parts)] = values[:, 0]
    return whole


def one_by_one(problem, params, steps):
    """Return the ends of all runs, each by itself."""
    found = [peers.twonn_direct(problem, start, steps) for start in params]
    return tuple(np.stack(parts) for parts in zip(*found, strict=True))


@pytest.mark.parametrize("case", QUESTIONS)
@pytest.mark.parametrize("peer", peers.MANY_RUNS, ids=names)
def test_batch(peer, case, benchmark, present, add_record):
    """A step of one of many runs, on as many threads as the peer uses."""
    present(peer)
    problem, params = paper(**QUESTIONS[case]), twonn.initializers.sample("he_normal", RUNS, seed=3)
    many = STEPS // 5
    steps = affordable(functools.partial(peer.run, problem, params), SECONDS, many)
    truth = one_by_one(problem, params, steps)
    error = assert_close(peer.run(problem, params, steps), truth, rounding(steps, truth, 5))
    ours, other = alternate(
        benchmark,
        lambda: many_direct(problem, params, many, peer.threads),
        lambda: peer.run(problem, params, steps),
        size(7, 2),
    )
    add_record(
        f"direct, {RUNS} runs",
        f"{case}, {peer.threads} thread{'s' * (peer.threads > 1)}",
        peer.name,
        ours / many / RUNS,
        other / steps / RUNS,
        unit="step of a run",
        errors=(0.0, error),
    )


@pytest.mark.parametrize("log10_steps", [6, 16, 300])
@pytest.mark.parametrize("peer", peers.FLOW, ids=names)
def test_leap(peer, log10_steps, benchmark, present, add_record):
    """A whole run by leaps, beside the flow, which is another curve: theirs is held against that one."""
    present(peer)
    problem, steps, exact = paper(), 10**log10_steps, Exact(paper(), PAPER_START)
    if steps > peer.largest:
        pytest.skip(f"{peer.name} fails there")
    truth = exact.descent(steps)
    theirs, ours = (one(problem, PAPER_START, steps) for one in (peer.run, peers.twonn_auto))
    assert exact.error(ours, truth) <= 1e-15
    assert exact.error(theirs, exact.flow(steps)) <= FLOW_ERROR
    errors = exact.error(ours, truth), exact.error(theirs, truth)
    times = alternate(
        benchmark,
        lambda: peers.twonn_auto(problem, PAPER_START, steps),
        lambda: peer.run(problem, PAPER_START, steps),
        size(15, 2),
    )
    add_record(
        "leap", f"to 10^{log10_steps}, fixed, exponential", peer.name, *times, unit="run", errors=errors
    )


@pytest.mark.parametrize("peer", peers.ONE_RUN[:2], ids=names)
def test_sliding(peer, benchmark, present, add_record):
    """A run that slides for ever, beside every one of its steps.

    A peer's end differs from the mean by a tooth; what does not saw agrees to 1e-8, see docs/numerics.md.
    """
    present(peer)
    problem = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
    start, steps = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9]), size(10**7, 10**5)
    trajectory = twonn.run(problem, start, steps, sample_steps=[])
    assert np.isinf(trajectory.slides["t_exit"][-1])
    truth = peers.parameters_of(trajectory)
    allowed = np.nanmax(trajectory.sawtooth[-1]) + size(1e-8, 1e-6) + rounding(steps, truth, 1)
    error = assert_close(peer.run(problem, start, steps), truth, allowed)
    times = alternate(
        benchmark,
        lambda: peers.twonn_auto(problem, start, steps),
        lambda: peer.run(problem, start, steps),
        size(5, 2),
    )
    add_record("sliding", f"to {steps:,} steps", peer.name, *times, unit="run", errors=(0.0, error))


# --------------------------------------------------------------------------------------------------
# Geometry


def robust_networks(d, count):
    """Return a problem in R^d and networks that classify both points, with a finite distance to each."""
    x = np.zeros((2, d))
    x[:, 0] = 1.0, -1.0
    problem = twonn.Problem(x=x, y=[1, -1], step_size=0.01)
    params = twonn.initializers.sample("he_normal_bias", 40 * count, seed=7, d=d)
    far = twonn.distances(problem, params)
    return problem, params[np.all((far > 0) & np.isfinite(far), axis=1)][:count]


@pytest.mark.parametrize("d", [2, 20])
def test_distances(d, benchmark, add_record):
    """The distances of a network, beside the quadratic programmes of its linear regions by SciPy's SLSQP."""
    few = size(20, 4)
    problem, params = robust_networks(d, size(1000, 100))
    ours = twonn.distances(problem, params)
    theirs = np.array([peers.distances_by_slsqp(problem, one) for one in params[:few]])
    # SLSQP stops when ‖δ‖² changes by less than 1e-12: δ is right to 1e-6 where that is flattest.
    difference = np.abs(theirs - ours[:few])
    assert np.all(difference <= 1e-6 * np.maximum(ours[:few], 1))
    mine, other = alternate(
        benchmark,
        lambda: twonn.distances(problem, params),
        lambda: [peers.distances_by_slsqp(problem, one) for one in params[:few]],
        PAIRS,
    )
    errors = 0.0, float((difference / ours[:few]).max())
    add_record(
        "geometry",
        f"distances, d = {d}",
        "SciPy SLSQP",
        mine / len(params),
        other / few,
        unit="network",
        errors=errors,
    )


def test_boundary(benchmark, add_record):
    """The boundary on the line, beside SciPy's brentq."""
    few = size(200, 10)
    problem, params = robust_networks(1, size(2000, 100))
    params = params[np.isfinite(twonn.boundary(problem, params))]
    ours = twonn.boundary(problem, params)
    theirs = np.array([peers.boundary_by_brentq(problem, one) for one in params[:few]])
    # The root is within xtol = 2e-12. f is rounded to 4 U of its largest term, and its slope is 1e-3 of that
    # at least in these networks.
    assert np.all(np.abs(theirs - ours[:few]) <= 4e-12)
    mine, other = alternate(
        benchmark,
        lambda: twonn.boundary(problem, params),
        lambda: [peers.boundary_by_brentq(problem, one) for one in params[:few]],
        PAIRS,
    )
    add_record("geometry", "boundary", "SciPy brentq", mine / len(params), other / few, unit="network")


# --------------------------------------------------------------------------------------------------
# Sweeps, and how cost scales


def test_sweep(benchmark, add_record):
    """A sweep of many runs by leaps, their laws and all, beside a loop over single runs."""
    problem, params = paper(), twonn.initializers.sample("he_normal", size(256, 16), seed=3)
    steps = 10**16

    def swept(executor):
        return twonn.sweep(problem, params, steps, executor=executor)

    singly = [twonn.run(problem, start, steps, sample_steps=[]) for start in params]
    assert np.array_equal(swept("threads:1")["final_gap"], [traj.gap[-1] for traj in singly], equal_nan=True)
    ours, other = alternate(
        benchmark,
        lambda: swept(f"threads:{peers.CORES}"),
        lambda: [twonn.run(problem, start, steps, sample_steps=[]).gap[-1] for start in params],
        PAIRS,
    )
    case = f"{len(params)} runs to 10^16, {peers.CORES} threads"
    add_record("sweep", case, "a loop over run", ours / len(params), other / len(params), unit="run")


def test_threads(benchmark, add_record):
    """Twice as many threads up to as many as there are cores, beside one."""
    problem, params = paper(train_output=True), twonn.initializers.sample("he_normal", RUNS, seed=3)
    stepped = functools.partial(many_direct, problem, params, STEPS // 5)
    truth = flat(ends(problem, params, stepped(1))).tobytes()

    def measure():
        for threads in sorted({min(2**k, peers.CORES) for k in range(peers.CORES.bit_length() + 1)}):
            assert flat(ends(problem, params, stepped(threads))).tobytes() == truth
            times = paired(functools.partial(stepped, threads), functools.partial(stepped, 1), PAIRS)
            add_record("scaling", "a batch", "1 thread", *times, unit="batch", threads=threads)

    benchmark.pedantic(measure)


def test_runs(benchmark, add_record):
    """A step of one of many runs on one thread, beside a run by itself."""
    problem, steps = paper(train_output=True), STEPS // 5
    every = twonn.initializers.sample("he_normal", size(2048, 64), seed=3)
    # Alike, so that a batch of few is not a luckier draw: successful starts only.
    every = every[(every.w[:, 0, 0] > 0) & (every.w[:, 1, 0] < 0)]
    alone = flat(one_by_one(problem, every, steps))

    def measure():
        for runs in (count for count in (1, 4, 16, 64, 256) if count <= len(every)):
            params = every[:runs]
            together = flat(ends(problem, params, many_direct(problem, params, steps)))
            assert together.tobytes() == alone[:runs].tobytes()
            ours, other = paired(
                functools.partial(many_direct, problem, params, steps),
                functools.partial(peers.twonn_direct, problem, every[0], steps),
                PAIRS,
            )
            times = ours / steps / runs, other / steps
            add_record("scaling", "a step of a batch", "1 run", *times, unit="step of a run", runs=runs)

    benchmark.pedantic(measure)


def test_dimensions(benchmark, add_record):
    """A run in R^d, beside one on the line."""
    line = paper()

    def embedded(d):
        # Unit vectors of entries that are powers of two: no bit may change.
        unit = np.zeros(d)
        unit[: 4 ** int(np.log2(d) // 2)] = 2.0 ** -(np.log2(d) // 2)
        problem = twonn.Problem(x=line.x * unit, y=line.y, step_size=line.step_size)
        return problem, twonn.Params(w=PAPER_START.w * unit), unit

    def measure():
        expected = peers.twonn_direct(line, PAPER_START, STEPS)
        for d in (1, 10, 100, 1000, 10_000):
            problem, start, unit = embedded(d)
            w, b, _ = peers.twonn_direct(problem, start, STEPS)
            assert np.array_equal(w, expected[0] * unit) and np.array_equal(b, expected[1])
            ours, other = paired(
                functools.partial(peers.twonn_direct, problem, start, STEPS),
                functools.partial(peers.twonn_direct, line, PAPER_START, STEPS),
                PAIRS,
            )
            add_record("scaling", "a step in R^d", "d = 1", ours / STEPS, other / STEPS, d=d)

    benchmark.pedantic(measure)
