"""Opposite labels that no network separates, or hardly: leaps where pushes balance, and finite minimisers."""

import functools
import math
from collections import Counter

import mpmath
import numpy as np
import pytest
from cases import BALANCED, BALANCING, in_binary128, parameters
from strategies import Case, random_case

import twonn
from twonn.engine import pace

UNEQUAL = {"y": [1, -1], "step_size": 0.0054, "bias": False}
UNEQUAL_START = twonn.Params(w=[1.0, -0.5], v=[2.4, 0.2])
EXAMPLES = {
    "far apart": (twonn.Problem(x=[0.97, 0.04], **UNEQUAL), UNEQUAL_START),
    "once diverged": (twonn.Problem(x=[0.3128, 0.0369], **UNEQUAL), UNEQUAL_START),
    "equal output": (BALANCED, BALANCING),
    "logistic": (twonn.Problem(x=[0.97, 0.04], loss="logistic", **UNEQUAL), UNEQUAL_START),
    "trained": (twonn.Problem(x=[0.97, 0.04], train_output=True, **UNEQUAL), UNEQUAL_START),
}
FIXED = [name for name, (problem, _) in EXAMPLES.items() if not problem.train_output]

#: A limit to the steps, so that a run that does not leap fails instead of lasting.
LIMIT = 10**7


def far(
    problem: twonn.Problem, params: twonn.Params, log10_steps: float = 16.0, **options
) -> twonn.Trajectory:
    options = {"samples_per_decade": 3 if log10_steps < 100 else 0.03, "max_direct": LIMIT, **options}
    return twonn.run(problem, params, log10_steps=log10_steps, **options)


def minimiser(problem: twonn.Problem, params: twonn.Params) -> tuple[float, float]:
    """Return w_0 where the gradient vanishes, for d = 1, fixed output, and neuron 0 active alone.

    There x_0 s(v x_0 w) = x_1 s(−v x_1 w), with s = e^−m or 1/(1 + e^m). The second number is how fast the
    logarithms of the two sides part with w.
    """
    with mpmath.workdps(40):
        (x0,), (x1,) = ([mpmath.mpf(float(c)) for c in point] for point in problem.x)
        v, y = mpmath.mpf(float(params.v[0])), int(problem.y[0])

        def log_slope(m):
            return -mpmath.log(1 + mpmath.exp(m)) if problem.loss == "logistic" else -m

        def parted(w):
            return mpmath.log(x1 / x0) + log_slope(-y * v * x1 * w) - log_slope(y * v * x0 * w)

        root = mpmath.findroot(parted, mpmath.mpf(float(params.w[0, 0])))
        return root, abs(mpmath.diff(parted, root))


# --------------------------------------------------------------------------------------------------
# One neuron, one coordinate: the minimiser is a root


def test_the_fixed_point_of_the_first_example():
    assert float(minimiser(*EXAMPLES["far apart"])[0]) == pytest.approx(1.31535339, abs=5e-9)


@pytest.mark.parametrize("log10_steps", [16.0, 1000.0])
@pytest.mark.parametrize("name", FIXED)
def test_a_run_ends_at_the_minimiser(name, log10_steps):
    problem, params = EXAMPLES[name]
    traj = far(problem, params, log10_steps)
    assert traj.status is twonn.Status.CONVERGED
    root, parting = minimiser(problem, params)
    # A margin in ulps moves the logarithm of its push by as much; where two such pushes balance is off by the
    # sum of both over the parting of their logarithms. And w has its own rounding.
    margins = np.abs(traj.margins[-1]).sum()
    room = 2.0**-52 * (1 + margins) / float(parting) + 2.0**-53 * abs(float(root))
    assert abs(traj.w[-1, 0, 0] - float(root)) <= room
    assert np.all(traj.w[:, 1] == params.w[1])
    assert np.array_equal(traj.v[-1], params.v)


@pytest.mark.parametrize("name", FIXED)
def test_from_the_end_step_on_nothing_changes_and_before_it_does(name):
    problem, params = EXAMPLES[name]
    end = far(problem, params).end_step
    before = end - end // 10
    truth = in_binary128(problem, params, end + end // 10, [before, end])
    limit = minimiser(problem, params)[0]
    with mpmath.workdps(40):
        off = {step: float(abs(mpmath.mpf(str(w[0][0])) / limit - 1)) for step, w in truth.w.items()}
    # What is left of the way is below the working precision, and was not.
    assert off[end] <= 2.0**-52 and off[end + end // 10] <= 2.0**-52
    assert off[before] > 2.0**-52


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_sample_behind_the_end_step_differs_by_a_bit(name):
    problem, params = EXAMPLES[name]
    traj = far(problem, params, 1000.0)
    assert traj.status is twonn.Status.CONVERGED
    assert_still(traj)


def assert_still(traj: twonn.Trajectory) -> None:
    behind = traj.log_t >= math.log(traj.end_step)
    assert behind[-1]
    assert np.all(traj.states[behind] == traj.states[-1])
    assert np.all(traj.pattern[behind] == traj.pattern[-1])


# --------------------------------------------------------------------------------------------------
# Random problems on a ray


@functools.cache
def on_a_ray(seed: int) -> tuple[Case, twonn.Trajectory]:
    print("seed", seed)
    case = random_case(seed, ("ray",))
    # Step sizes that a steep start asks for may be far too small for 10^16 steps to lead anywhere.
    return case, far(case.problem, case.params, 60.0, samples_per_decade=1)


SEEDS = range(120)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_on_a_ray_dies_or_converges(seed):
    _, traj = on_a_ray(seed)
    if traj.status is twonn.Status.STATIONARY:
        assert traj.pattern[-1] == 0
        return
    assert traj.status is twonn.Status.CONVERGED
    assert imbalance(traj) <= 1.0
    assert_still(traj)


def imbalance(traj: twonn.Trajectory) -> float:
    """Logarithm of how the two pushes along the ray compare, relative to what rounding leaves of it.

    The margins have the rounding of f: of |v_j z_ji|, a unit in the last place of each and one of their sum.
    """
    problem = traj.problem
    with mpmath.workdps(40):
        norms = [float(np.linalg.norm(point)) for point in problem.x]
        logs, noise = [], 0.0
        for i in (0, 1):
            z = np.maximum(traj.preactivations[-1, :, i], 0.0)
            m = mpmath.mpf(0)
            for j in (0, 1):
                m += int(problem.y[i]) * mpmath.mpf(float(traj.v[-1, j])) * mpmath.mpf(float(z[j]))
                noise += 4 * 2.0**-53 * abs(traj.v[-1, j] * z[j])
            logs.append(-mpmath.log(1 + mpmath.exp(m)) if problem.loss == "logistic" else -m)
        parted = mpmath.log(norms[1] / norms[0]) + logs[1] - logs[0]
        return float(abs(parted)) / (noise + 2.0**-52)


def test_the_runs_on_a_ray_are_of_all_kinds():
    runs = [on_a_ray(seed)[1] for seed in SEEDS]
    converged = [traj.problem for traj in runs if traj.status is twonn.Status.CONVERGED]
    kinds = Counter((p.loss, p.train_output) for p in converged)
    assert len(kinds) == 4 and min(kinds.values()) >= 4, kinds
    assert {p.dimension for p in converged} == {1, 2, 3, 10}
    # Minimisers are leapt to, not stepped to.
    assert sum("leap" in traj.segments["engine"] for traj in runs) >= len(converged)


@functools.cache
def slow_to_converge(train_output: bool) -> list[Case]:
    """On the way for more than 10^4 steps, so that there is something to compare at 2·10^4."""
    found = [on_a_ray(seed) for seed in SEEDS]
    wanted = [
        case
        for case, traj in found
        if traj.status is twonn.Status.CONVERGED
        and case.problem.train_output == train_output
        and case.problem.dimension < 10
        and traj.end_step > 10**4
    ]
    return wanted[:4]


@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
def test_the_way_there_is_that_of_binary128(train_output):
    found = slow_to_converge(train_output)
    assert len(found) >= 3
    for _, problem, params in found:
        steps = [5000, 20_000]
        truth = in_binary128(problem, params, steps[-1], steps)
        traj = twonn.run(problem, params, steps[-1], sample_steps=steps)
        for row, step in enumerate(steps, start=1):
            true = [*(e for w in truth.w[step] for e in w), *truth.b[step], *truth.v[step]]
            true = np.array([float(e) for e in true])
            off = np.linalg.norm(parameters(traj)[row] - true)
            assert off <= 1e-14 * np.linalg.norm(true) + traj.error_bound, (problem, step)


# --------------------------------------------------------------------------------------------------
# Bits


WATCHED = ["far apart", "trained", "logistic"]


@pytest.mark.parametrize("name", WATCHED)
def test_an_interrupted_run_has_the_same_bits(name, tmp_path, monkeypatch):
    problem, params = EXAMPLES[name]
    whole = far(problem, params)
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 1)
    place = tmp_path / "run.twonn"
    calls = iter(range(10**6))
    watch = {"on_block": lambda *_: next(calls) % 2 == 1}
    traj = far(problem, params, checkpoint=place, **watch)
    interruptions = 0
    while traj.status is twonn.Status.INTERRUPTED:
        interruptions += 1
        traj = twonn.resume(place, **watch)
    assert interruptions > 1
    assert_same_bits(traj, whole)
    longer = twonn.resume(place, log10_steps=40.0)
    assert_same_bits(longer, far(problem, params, 40.0))


def assert_same_bits(one: twonn.Trajectory, other: twonn.Trajectory) -> None:
    assert one.status is other.status and one.end_step == other.end_step
    for name in ("t", "states", "pattern", "transitions", "segments"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.parametrize("name", WATCHED)
def test_a_run_in_a_sweep_has_the_same_bits(name):
    problem, params = EXAMPLES[name]
    starts = twonn.Params(w=np.array([params.w, 1.25 * params.w]), v=np.array([params.v, params.v]))
    result = twonn.sweep(problem, starts, 10**16, max_direct=LIMIT).to_xarray()
    for run in range(2):
        traj = far(problem, starts[run], max_direct=LIMIT)
        data = result.isel(start=run)
        assert data.status == 6 and traj.status is twonn.Status.CONVERGED
        assert data.t_end == traj.end_step
        assert np.all(data.final_w.values == traj.w[-1]) and np.all(data.final_v.values == traj.v[-1])


# --------------------------------------------------------------------------------------------------
# Nearly coincident points


@functools.cache
def nearby(seed: int) -> tuple[twonn.Trajectory, twonn.Trajectory]:
    print("seed", seed)
    _, problem, params = random_case(seed, ("near",), train_output=False)
    samples = [1000, 10**4, 10**5]
    return tuple(
        twonn.run(problem, params, 10**6, sample_steps=samples, engine=engine, sliding="step")
        for engine in ("direct", "auto")
    )


@pytest.mark.parametrize("seed", range(60))
def test_nearly_coincident_points_agree_with_stepping(seed):
    truth, traj = nearby(seed)
    got, true = parameters(traj), parameters(truth)
    assert got.shape == true.shape
    apart = np.linalg.norm(got - true, axis=1)
    assert np.all(apart <= (1e-14 + traj.error_estimate) * np.linalg.norm(true, axis=1))


def test_the_nearly_coincident_points_are_leapt_over():
    runs = [nearby(seed)[1] for seed in range(60)]
    balanced = [t for t in runs if t.problem.y[0] != t.problem.y[1] and t.pattern[-1] in (3, 12, 15)]
    assert len(balanced) >= 5
    shares = [t.segments["t_stop"][t.segments["engine"] == "leap"].max(initial=0) / 1e6 for t in balanced]
    assert np.median(shares) == 1.0
