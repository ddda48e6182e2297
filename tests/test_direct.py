"""The direct engine against the textbook recurrence in binary128, and its own promises about bits."""

import functools
import math
from dataclasses import dataclass

import gmpy2
import mpmath
import numpy as np
import pytest
from cases import in_binary128, recurrence
from oracle import Decoupled, Textbook

import twonn
from twonn import _core
from twonn.engine import pace

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
PAPER_START = twonn.Params(w=[0.4309350268754409, -1.470759627697770], b=[0.0, 0.0], v=[1.0, -1.0])
CHATTER = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
CHATTER_START = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[1.0, -1.0])


def variant(problem: twonn.Problem, **changes: object) -> twonn.Problem:
    fields = ("x", "y", "step_size", "loss", "reduction", "bias", "train_output")
    return twonn.Problem(**({name: getattr(problem, name) for name in fields} | changes))


def direct(problem: twonn.Problem, params: twonn.Params, **options: object) -> twonn.Trajectory:
    return twonn.run(problem, params, engine="direct", **options)


#: Bits with which moves of 1e-20 a step are summed up to more digits than a double has.
MANY = 200


def in_many_bits(problem: twonn.Problem, params: twonn.Params, steps: int) -> Textbook:
    with gmpy2.context(gmpy2.get_context(), precision=MANY):
        return recurrence(problem, params, steps, number=lambda value: gmpy2.mpfr(value, MANY), exp=gmpy2.exp)


def relative_errors(parameters, reference: Textbook, step: int) -> list[float]:
    """Of every parameter, in units of itself; a parameter that is exactly 0 has to be met exactly."""
    w, b, v = parameters
    pairs = [
        *((w[j][a], reference.w[step][j][a]) for j in (0, 1) for a in range(len(w[0]))),
        *zip(b, reference.b[step], strict=False),
        *zip(v, reference.v[step], strict=False),
    ]
    with gmpy2.context(gmpy2.get_context(), precision=113):
        return [
            float(abs(gmpy2.mpfr(got) - exact) / abs(exact)) if exact else float(got != 0)
            for got, exact in pairs
        ]


@dataclass(frozen=True)
class Comparison:
    problem: twonn.Problem
    errors: list[float]
    plain_errors: list[float]
    transitions: list[tuple[int, int, int]]
    expected_transitions: list[tuple[int, int, int]]


def random_case(seed: int) -> tuple[twonn.Problem, twonn.Params]:
    """A random problem; both losses, fixed and trained output are taken in turn."""
    rng = np.random.default_rng([2603, seed])
    d = int(rng.integers(1, 4))
    problem = twonn.Problem(
        x=rng.normal(size=(2, d)),
        y=[-1, 1] if rng.random() < 0.8 else [1, 1],
        step_size=10 ** rng.uniform(-2.5, -0.3),
        loss=("exponential", "logistic")[seed % 2],
        train_output=bool(seed // 2 % 2),
        reduction=("mean", "sum")[seed // 4 % 2],
        bias=seed % 7 != 3,
    )
    b = rng.normal(size=2) / 2 if problem.bias else np.zeros(2)
    v = rng.normal(size=2) if rng.random() < 0.5 else np.array([1.0, -1.0])
    return problem, twonn.Params(w=rng.normal(size=(2, d)), b=b, v=v)


STEPS = 100_000


@functools.cache
def compare(seed: int) -> Comparison:
    print("seed", seed)
    problem, params = random_case(seed)
    reference = in_binary128(problem, params, STEPS)
    plain = recurrence(problem, params, STEPS)
    traj = direct(problem, params, steps=STEPS)
    final = traj.final
    return Comparison(
        problem=problem,
        errors=relative_errors((final.w, final.b, final.v), reference, STEPS),
        plain_errors=relative_errors((plain.w[STEPS], plain.b[STEPS], plain.v[STEPS]), reference, STEPS),
        transitions=[(int(row["t"]), int(row["before"]), int(row["after"])) for row in traj.transitions],
        expected_transitions=reference.transitions[:10_000],
    )


SEEDS = range(16)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_runs_agree_with_binary128(seed):
    case = compare(seed)
    assert max(case.errors) <= 1e-13  # some trajectories amplify rounding
    assert case.transitions == case.expected_transitions


def test_the_typical_error_is_one_rounding():
    errors = [error for seed in SEEDS for error in compare(seed).errors]
    plain = [error for seed in SEEDS for error in compare(seed).plain_errors]
    moved = [(e, p) for e, p in zip(errors, plain, strict=True) if p > 0]
    assert len(moved) > 40
    median, plain_median = np.median(moved, axis=0)
    assert median <= 2e-15
    # The same recurrence without compensation, which is what the accumulators' low parts are for.
    assert plain_median >= 10 * median


@pytest.mark.parametrize("train_output", [False, True])
def test_the_first_steps_are_right_to_the_final_rounding(train_output):
    """Inside a block too the sums are compensated; without, the medians triple."""
    errors = []
    for seed in range(40):
        rng = np.random.default_rng([99, seed])
        print("seed", [99, seed])
        problem = twonn.Problem(
            x=rng.normal(size=(2, 2)),
            y=[-1, 1],
            step_size=10 ** rng.uniform(-2.5, -1),
            train_output=train_output,
        )
        params = twonn.Params(w=rng.normal(size=(2, 2)), b=rng.normal(size=2) / 2, v=rng.normal(size=2))
        traj = direct(problem, params, steps=1000)
        reference = in_binary128(problem, params, traj.end_step)
        final = traj.final
        trained = (np.zeros((2, 0)), (), final.v) if train_output else (final.w, final.b, ())
        errors += relative_errors(trained, reference, traj.end_step)
    # Rounding a number that is known exactly errs by a quarter of a unit in the median, which is 2.8e-17
    # to 5.6e-17 of it; the rest is for the slopes, each rounded once.
    assert np.median([error for error in errors if error > 0]) < 9e-17


@pytest.mark.parametrize(
    ("x", "w", "b", "step_size"),
    [
        ([-0.0024, 0.0024], [0.0887, 0.0], [0.0, 0.0], 0.0999),
        ([0.01, 0.02], [1.0, -0.5], [0.3, 0.2], 0.5),
    ],
)
def test_samples_that_push_against_each_other_lose_no_digits(x, w, b, step_size):
    # Each sample has moved b by hundreds, in opposite directions; what is left is a few hundredths.
    problem = twonn.Problem(x=x, y=[-1, 1], step_size=step_size, loss="logistic")
    params = twonn.Params(w=w, b=b)
    steps = 30_000
    traj = direct(problem, params, steps=steps)
    assert np.abs(traj.states[-1, :4]).max() > 300
    reference = in_binary128(problem, params, steps)
    final = traj.final
    # Five roundings. Moves formed from each sample's total, where they cancel, err by twenty.
    assert max(relative_errors((final.w, final.b, final.v), reference, steps)) < 1e-15


def test_the_papers_run_to_every_digit_a_double_holds():
    # binary128 arithmetic, 19 digits
    expected = {
        10**3: (
            "1.438757554371179473",
            "-2.067551240018745747",
            "1.007822527495738573",
            "0.596791612320975757",
        ),
        10**5: (
            "3.670130085669336020",
            "-4.191442547162370812",
            "3.239195058793895120",
            "2.720682919464600812",
        ),
    }
    traj = direct(PAPER, PAPER_START, steps=10**5, sample_steps=[10**3])
    for row, step in ((1, 10**3), (2, 10**5)):
        assert traj.t[row] == step
        got = (*traj.w[row, :, 0], *traj.b[row])
        assert got == tuple(float(digits) for digits in expected[step])


def test_the_gap_first_grows_and_then_falls():
    expected = {
        2: 0.0653131873,
        3: 0.1172261028,
        4: 0.0906463215,
        5: 0.0659552692,
        6: 0.0511511695,
        7: 0.0417126512,
    }
    traj = direct(PAPER, PAPER_START, steps=10**7)
    for decade, gap in expected.items():
        (row,) = np.flatnonzero(traj.t == 10.0**decade)
        assert traj.gap[row] == pytest.approx(gap, abs=5e-11)  # ten decimals are given
    assert traj.gap[0] == 0.0


# --------------------------------------------------------------------------------------------------
# Slow motion: what one step rounds, thousands of steps may round the same way


def slow_start(
    rng: np.random.Generator, change: float, *, loss: str, train_output: bool, apart: bool
) -> tuple[twonn.Problem, twonn.Params]:
    """A problem and a start whose margins, of up to 30, change by about `change` in the first step.

    Neurons are apart if each sees one point at most and no two the same. Trained output weights then take
    steps of another kind.
    """
    while True:
        x, w, b, v = rng.normal(size=(4, 2))
        z = np.maximum(np.outer(w, x) + b[:, None], 0)
        seen = z > 0
        most = max(seen.sum(axis=0).max(), seen.sum(axis=1).max())
        margins = np.abs(v @ z)[seen.any(axis=0)]
        if (most == 1 if apart else most == 2) and margins.min() > 0.3 * margins.max():
            break
    # Most margins above 0; and all those that are beyond 6.2, where the logistic s is small.
    y = np.where(rng.random(2) < 0.9, np.where(v @ z < 0, -1, 1), 1)
    size = (rng.choice([0.3, 3.0, 30.0]) / margins.max()) ** 0.5
    w, b, v, z = size * w, size * b, size * v, size * z
    fall = np.exp(-y * (v @ z))
    slopes = fall if loss == "exponential" else fall / (1 + fall)
    tangent = np.einsum("j,ji,jk,ik->ik", v**2, seen, seen, np.abs(np.outer(x, x) + 1))
    if train_output:
        tangent = tangent + z.T @ z
    problem = twonn.Problem(
        x=x, y=y, loss=loss, reduction="sum", train_output=train_output,
        step_size=change / (tangent @ slopes).max(),
    )  # fmt: skip
    return problem, twonn.Params(w=w, b=b, v=v)


def motion_errors(problem: twonn.Problem, params: twonn.Params, steps: int) -> list[float]:
    """Of what every parameter has moved by, in units of what either point has moved it by, signs apart.

    A State has these moves to more than the digits of a double, so that the rounding of the parameters
    themselves hides nothing.
    """
    traj = direct(problem, params, steps=steps)
    steps = traj.end_step  # a fast one may come to rest before
    reference = in_many_bits(problem, params, steps)
    x = problem.x[:, 0].tolist()
    result = []
    with gmpy2.context(gmpy2.get_context(), precision=MANY):
        state = [gmpy2.mpfr(entry) for entry in traj.states[-1].tolist()]
        for j, (w, b, v) in enumerate(
            zip(params.w[:, 0].tolist(), params.b.tolist(), params.v.tolist(), strict=True)
        ):
            c = [state[2 * j + k] + state[4 + 2 * j + k] for k in (0, 1)]
            z = np.abs(traj.preactivations[[0, -1], j]).max(axis=0).tolist()
            moves = [
                (
                    w + c[0] * x[0] + c[1] * x[1] - reference.w[steps][j][0],
                    abs(c[0] * x[0]) + abs(c[1] * x[1]),
                ),
                (b + c[0] + c[1] - reference.b[steps][j], abs(c[0]) + abs(c[1])),
            ]
            if problem.train_output:  # v and z change by little, so that h z Σ s is about z C/v
                size = abs(c[0] / v) * z[0] + abs(c[1] / v) * z[1]
                moves.append((state[8 + j] + state[10 + j] - reference.v[steps][j], size))
            result += [float(abs(error) / size) if size else float(error != 0) for error, size in moves]
    return result


#: One rounding is at most this part of what it rounds.
U = 2.0**-53

# For fixed output weights the sum of s is that of its value at a span's start, right to U/4, and of its
# changes since. A change is wrong by up to 6 U of itself, which are the operations that make an
# increment, and by the rounding of the s that these start from, 2 U; it is at most an eighth of s. So
# the sum is right to 1.25 U. With trained output weights the terms are products, S v and S z. S is
# rounded up to twice, v and z up to twice, the product once; the seven additions within a group take
# 2.75 U of what they add up to. That makes 7.75 U, if all of it goes one way.
MOTION_ERROR = {False: 2 * U, True: 8 * U}


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "not apart"])
@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_the_sum_of_steps_is_right_to_a_rounding_however_small_they_are(loss, train_output, apart):
    seed = [43, loss == "logistic", train_output, apart]
    print("seed", seed)
    rng = np.random.default_rng(seed)
    errors = []
    for n in (3, 5, 7, 8, 9, 10, 11, 12, 13, 14):
        problem, params = slow_start(rng, 10.0**-n, loss=loss, train_output=train_output, apart=apart)
        errors.append(max(motion_errors(problem, params, 2 * 4096 + 100)))  # two of the longest spans
        print(f"{10.0**-n:.0e} {errors[-1]:.1e}")
    assert max(errors) <= MOTION_ERROR[train_output]


@pytest.mark.parametrize("train_output", [False, True], ids=["fixed", "trained"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("step_size", [1e-5, 1e-9, 1e-12])
def test_so_it_is_where_every_step_looks_at_the_pattern(step_size, loss, train_output):
    problem = variant(CHATTER, x=[0.5, -0.5], step_size=step_size, loss=loss, train_output=train_output)
    params = twonn.Params(w=[0.6, -0.7], b=[0.3, 0.35], v=[1.1, -0.9])  # on its kinks
    assert max(motion_errors(problem, params, 4096)) <= MOTION_ERROR[train_output]
    assert direct(problem, params, steps=4096).n_transitions > 3000


@pytest.mark.parametrize(
    ("v", "step_size", "steps"),
    [(1e-8, 1e3, 10**5), (1e-6, 1.0, 10**6), (1e-4, 1e-2, 10**7), (3.0, 1e-4, 10**7)],
)
def test_slow_runs_end_at_the_exact_solution(v, step_size, steps):
    problem = twonn.Problem(x=[1.0, -1.0], y=[1, -1], step_size=step_size, reduction="sum")
    params = twonn.Params(w=[0.5, -0.5], b=[0.1, 0.1], v=[v, -v])
    final = direct(problem, params, steps=steps).final
    with mpmath.workdps(50):
        # Both points alike, and each neuron is pushed by its own: m = v z, and z rises by v (x² + 1) A.
        number = mpmath.mpf
        z = number(0.5) + number(0.1)
        moved = number(v) * Decoupled(number(v) * z, 2 * number(v) ** 2, step_size).accumulated(steps)
        exact = (number(0.5) + moved, number(0.1) + moved)
        for got, parameter in (
            (final.w[0, 0], exact[0]),
            (-final.w[1, 0], exact[0]),
            (final.b[0], exact[1]),
            (final.b[1], exact[1]),
        ):
            # The rounding of what is returned, and of the sum.
            assert abs(number(got) - parameter) <= U * parameter + MOTION_ERROR[False] * moved


# --------------------------------------------------------------------------------------------------
# Transitions


@pytest.mark.parametrize("train_output", [False, True])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_chattering_transitions_are_dated_as_in_binary128(loss, train_output):
    problem = variant(CHATTER, loss=loss, train_output=train_output)
    steps = 20_000
    reference = in_binary128(problem, CHATTER_START, steps)
    traj = direct(problem, CHATTER_START, steps=steps)
    assert len(reference.transitions) > 1_000  # it does chatter
    assert traj.n_transitions == len(reference.transitions)
    assert traj.n_transitions_exact
    got = [(int(row["t"]), int(row["before"]), int(row["after"])) for row in traj.transitions]
    assert got == reference.transitions[:10_000]
    for name in ("t_low", "t_high"):
        assert np.array_equal(traj.transitions[name], traj.transitions["t"])
    assert np.array_equal(traj.transitions["log_t"], np.log(traj.transitions["t"]))
    counts = np.zeros((16, 16), dtype=int)
    for _, before, after in reference.transitions:
        counts[before, after] += 1
    assert np.array_equal(traj.transition_counts, counts)


def test_transitions_past_ten_thousand_are_counted_and_not_kept():
    problem = variant(CHATTER, x=[-0.5, 0.5], y=[-1, 1])
    plain = recurrence(problem, CHATTER_START, 60_000)
    traj = direct(problem, CHATTER_START, steps=60_000)
    assert len(traj.transitions) == 10_000
    assert traj.n_transitions == traj.transition_counts.sum() > 20_000
    # Uncompensated doubles may date single flips differently, not lose a share of them.
    assert traj.n_transitions == pytest.approx(len(plain.transitions), rel=1e-3)
    assert np.all(np.diff(traj.transitions["t"]) >= 1)
    assert np.array_equal(traj.transitions["before"][1:], traj.transitions["after"][:-1])
    assert np.trace(traj.transition_counts) == 0


def test_a_late_transition_is_dated_exactly():
    # Neuron 1 starts active on sample −1, which neuron 0 already classifies: z = 3, m_0 = 1.
    problem = variant(PAPER, reduction="sum")
    params = twonn.Params(w=[-1.0, -1.0], b=[1.0, 1.0], v=[-1.0, 1.0])
    reference = recurrence(problem, params, 60_000)
    traj = direct(problem, params, steps=60_000)
    got = [(int(row["t"]), int(row["before"]), int(row["after"])) for row in traj.transitions]
    assert got == reference.transitions
    assert got  # there is one


def test_a_start_on_the_kink_counts_as_inactive():
    # max(0, ·) has derivative 0 at 0.
    params = twonn.Params(w=[1.0, -1.0], b=[1.0, 0.0], v=[1.0, -1.0])  # z_00 = 0
    traj = direct(PAPER, params, steps=1000)
    assert traj.preactivations[0, 0, 0] == 0.0
    assert traj.pattern[0] == 0b0110
    assert traj.pattern[0] == recurrence(PAPER, params, 0).pattern[0]


# --------------------------------------------------------------------------------------------------
# Bits


def assert_same_run(one: twonn.Trajectory, other: twonn.Trajectory, steps: list[int]) -> None:
    """The samples both hold at `steps`, bit for bit."""
    for step in steps:
        (i,) = np.flatnonzero(one.t == step)
        (j,) = np.flatnonzero(other.t == step)
        assert one.states[i].tobytes() == other.states[j].tobytes(), step
        assert one.pattern[i] == other.pattern[j]


KINDS = {
    "smooth": (PAPER, PAPER_START),
    "smooth logistic": (variant(PAPER, loss="logistic", step_size=0.5), PAPER_START),
    "trained": (variant(PAPER, train_output=True), PAPER_START),
    "slow": (variant(PAPER, step_size=1e-9), PAPER_START),
    "slow logistic": (variant(PAPER, loss="logistic", step_size=1e-9), PAPER_START),
    "slow, trained": (variant(PAPER, train_output=True, step_size=1e-9), PAPER_START),
    "slow, trained, both neurons on a point": (
        variant(PAPER, x=[-1.0, 3.0], train_output=True, step_size=1e-9),
        twonn.Params(w=[0.5, 0.4], b=[0.1, 0.2]),
    ),
    "chatter": (CHATTER, CHATTER_START),
    "chatter logistic, trained": (
        variant(CHATTER, loss="logistic", train_output=True),
        CHATTER_START,
    ),
    "transitions": (
        variant(PAPER, reduction="sum"),
        twonn.Params(w=[-1.0, -1.0], b=[1.0, 1.0], v=[-1.0, 1.0]),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_where_a_run_is_sampled_or_ended(kind):
    problem, params = KINDS[kind]
    seed = 5
    print("seed", seed)
    rng = np.random.default_rng(seed)
    last = 60_000
    # Block boundaries and their neighbours, and steps anywhere.
    steps = sorted({1, 255, 256, 257, 511, 512, 59_904, *rng.integers(2, last, 40).tolist(), last})
    one = direct(problem, params, steps=last, sample_steps=steps)
    assert list(one.t) == [0, *steps]
    for step in steps:
        alone = direct(problem, params, steps=step)
        assert_same_run(one, alone, [step])
        kept = one.transitions[one.transitions["t"] <= step]
        assert np.array_equal(alone.transitions, kept[:10_000])


@pytest.mark.parametrize("kind", ["smooth", "chatter"])
def test_bits_do_not_depend_on_how_a_run_is_watched(kind, monkeypatch):
    problem, params = KINDS[kind]
    whole = direct(problem, params, steps=100_000)
    seen = []
    monkeypatch.setattr(pace, "LONGEST_CHUNK", 1000)
    watched = direct(
        problem, params, steps=100_000, progress=lambda taken, asked: seen.append((taken, asked))
    )
    longest = 4096 if kind == "smooth" else 1024  # blocks at once
    assert len(seen) >= 100_000 // longest and seen[-1] == (100_000, 100_000)
    assert whole.states.tobytes() == watched.states.tobytes()
    assert np.array_equal(whole.transitions, watched.transitions)
    assert whole.n_transitions == watched.n_transitions


@pytest.mark.parametrize("kind", KINDS)
def test_extra_dimensions_that_are_zero_change_no_bit(kind):
    problem, params = KINDS[kind]
    x = np.zeros((2, 1000))
    x[:, :1] = problem.x
    w = np.zeros((2, 1000))
    w[:, :1] = params.w
    wide = direct(variant(problem, x=x), twonn.Params(w=w, b=params.b, v=params.v), steps=20_000)
    narrow = direct(problem, params, steps=20_000)
    assert wide.states.tobytes() == narrow.states.tobytes()
    assert np.array_equal(wide.w[:, :, 0], narrow.w[:, :, 0])
    assert np.all(wide.w[:, :, 1:] == 0)
    assert np.array_equal(wide.gap, narrow.gap)


def test_every_step_can_be_sampled():
    traj = direct(CHATTER, CHATTER_START, steps=3000, sample_steps=range(3001))
    reference = recurrence(CHATTER, CHATTER_START, 3000, samples=range(3001))
    assert traj.pattern.tolist() == [reference.pattern[step] for step in range(3001)]
    changes = np.flatnonzero(np.diff(traj.pattern)) + 1
    assert traj.n_transitions == len(changes)
    assert np.array_equal(traj.transitions["t"], changes)


# --------------------------------------------------------------------------------------------------
# Outcomes


def test_a_dead_start_is_stationary_at_once_however_long_the_horizon():
    dead = twonn.Params(w=[0.0, 0.0], b=[-1.0, -2.0])
    for steps in (0, 1, 10**6, 2**63 - 1, 2**63, 10**400):
        traj = direct(PAPER, dead, steps=steps)
        assert traj.status is twonn.Status.STATIONARY
        assert traj.end_step == 0
        assert traj.horizon == steps
        assert list(traj.t) == [0]
        assert "no neuron is active" in traj.message
    assert direct(PAPER, dead, log10_steps=1e5).end_step == 0


@pytest.mark.parametrize("steps", [10**5, 10**400])
def test_a_network_that_dies_is_stationary_at_that_step(steps):
    # Both neurons on the wrong side: each is pushed off its only sample.
    params = twonn.Params(w=[-1.0, 1.0])
    reference = recurrence(PAPER, params, 1000)
    ((died, _, last),) = [entry for entry in reference.transitions if entry[2] == 0]
    traj = direct(PAPER, params, steps=steps)
    assert traj.status is twonn.Status.STATIONARY
    assert (traj.end_step, last) == (died, 0)
    assert traj.t[-1] == died
    assert traj.pattern[-1] == 0
    assert traj.transitions[-1]["t"] == died
    assert str(died) in traj.message


def test_underflow_is_not_rest():
    # The margins are so large that every slope underflows to 0; the units stay active.
    params = twonn.Params(w=[2000.0, -2000.0])
    traj = direct(PAPER, params, steps=10_000)
    assert traj.status is twonn.Status.COMPLETED
    assert traj.loss[-1] == 0.0
    assert traj.log_loss[-1] == -2000.0
    assert np.array_equal(traj.w[-1], params.w)


def test_divergence_is_dated_and_the_last_sample_is_finite():
    problem = variant(CHATTER, train_output=True, step_size=30.0)
    params = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[0.7, -0.6])
    traj = direct(problem, params, steps=10**6)
    assert traj.status is twonn.Status.DIVERGED
    assert traj.end_step == 2
    # binary128 has the exponents to say what happened: the first state that binary64 cannot hold.
    reference = in_binary128(problem, params, traj.end_step, samples=range(10))
    assert largest(problem, reference, traj.end_step - 1) < LIMIT
    assert largest(problem, reference, traj.end_step) > LIMIT
    assert traj.t[-1] == traj.end_step - 1
    assert np.all(np.isfinite(traj.states))
    assert str(traj.end_step) in traj.message
    assert isinstance(traj.final, twonn.Params)
    shorter = direct(problem, params, steps=traj.end_step - 1)
    assert shorter.status is twonn.Status.COMPLETED
    assert shorter.states[-1].tobytes() == traj.states[-1].tobytes()


#: Numbers have to stay below this, so that compensated arithmetic can split them.
LIMIT = 2.0**996


def largest(problem: twonn.Problem, reference: Textbook, step: int) -> gmpy2.mpfr:
    """The largest number that has to be below LIMIT: parameters, and terms of z_ji and m_i."""
    w, b, v = reference.w[step], reference.b[step], reference.v[step]
    terms = [abs(entry) for entry in (*w[0], *w[1], *b, *v)]
    for j in (0, 1):
        for point in problem.x.tolist():
            parts = [*(weight * entry for weight, entry in zip(w[j], point, strict=True)), b[j]]
            terms += [sum(map(abs, parts)), abs(v[j]) * max(0, sum(parts))]
    return max(terms)


def test_random_divergences_are_dated_as_in_binary128():
    seed = 11
    print("seed", seed)
    rng = np.random.default_rng(seed)
    dates = []
    for _ in range(400):
        problem = twonn.Problem(
            x=rng.normal(size=2), y=[1, -1], step_size=5.0, train_output=bool(rng.integers(2))
        )
        params = twonn.Params(w=2 * rng.normal(size=2), b=rng.normal(size=2), v=2 * rng.normal(size=2))
        traj = direct(problem, params, steps=3000)
        if traj.status is twonn.Status.DIVERGED:
            end = traj.end_step
            reference = in_binary128(problem, params, end, samples=range(end))
            assert largest(problem, reference, end - 1) < LIMIT
            assert largest(problem, reference, end) > LIMIT
            dates.append(end)
    assert len(dates) > 20 and max(dates) > 2


def test_output_weights_that_leap_by_far_keep_the_margin_right():
    # The first step throws v_0 to -1e154 and switches its unit off; the margin that is left, +90 for
    # -349 before, is a sum in which v_0 must not leave a trace.
    problem = twonn.Problem(
        x=[
            [114.18210033004985, 108.1573795693738, -165.90281824280146, 237.10299937015188, -273.13638],
            [-160.85234183885078, 189.41476397993694, 152.0780549473764, 438.17054475189366, -89.283995],
        ],
        y=[1, -1],
        step_size=1.0,
        reduction="sum",
        bias=False,
        train_output=True,
    )
    params = twonn.Params(
        w=[
            [-0.6085824860782707, -0.28283556622491335, 0.6073541288860139, 0.28947942051155, -0.95684722],
            [-0.26139285442371035, -0.18688685021718712, -1.792981010177919, -0.3929542497317031, 0.23427],
        ]
    )
    traj = direct(problem, params, steps=600)
    reference = in_binary128(problem, params, 2, samples=range(2))
    assert [reference.pattern[step] for step in range(3)] == [7, 4, 0]
    assert traj.status is twonn.Status.STATIONARY
    assert traj.end_step == 2
    assert traj.pattern.tolist() == [7, 4, 0]
    assert np.abs(traj.v[-1]).max() > 1e150
    assert traj.robust_margin[-1] == 0 and traj.gap[-1] == twonn.optimal_margin(problem)


def test_slopes_near_overflow_are_steps_and_no_divergence():
    # Σ s is 1e301, where Dekker's splitting overflows, but h Σ s is not.
    params = twonn.Params(w=[-694.0, 0.3])
    problem = variant(PAPER, step_size=2e-50)
    traj = direct(problem, params, steps=1)
    reference = in_binary128(problem, params, 1)
    assert max(relative_errors((traj.w[1], traj.b[1], traj.v[1]), reference, 1)) < 1e-13


@pytest.mark.parametrize("scale", [1e-45, 1e-20, 1e20, 1e45])
@pytest.mark.parametrize("train_output", [False, True])
def test_extreme_inputs_have_the_outcome_of_the_recurrence(scale, train_output):
    seed = 170
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for _ in range(100):
        x, w, v, step_size = np.where(rng.integers(2, size=4), scale, 1.0)
        problem = twonn.Problem(
            x=rng.uniform(0.1, 1, size=2) * x * [1, -1],
            y=[1, -1],
            step_size=step_size,
            bias=bool(rng.integers(2)),
            train_output=train_output,
        )
        params = twonn.Params(w=rng.uniform(-1, 1, size=2) * w, v=rng.uniform(-1, 1, size=2) * v)
        traj = direct(problem, params, steps=5)
        reference = in_binary128(problem, params, traj.end_step, samples=range(6))
        if traj.status is twonn.Status.DIVERGED:
            assert largest(problem, reference, traj.end_step) > LIMIT
            assert largest(problem, reference, traj.end_step - 1) < LIMIT
        else:
            assert largest(problem, reference, traj.end_step) < LIMIT
            assert (traj.status is twonn.Status.STATIONARY) == (reference.pattern[traj.end_step] == 0)
            assert not np.any(np.isnan(traj.margins)) and not np.any(np.isnan(traj.distances))


@pytest.mark.parametrize("step_size", [1e-12, 1.0, 30.0, 1e3, 1e9, 1e50])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("train_output", [False, True])
def test_any_step_size_has_a_defined_answer(step_size, loss, train_output):
    problem = variant(PAPER, step_size=step_size, loss=loss, train_output=train_output)
    traj = direct(problem, PAPER_START, steps=5000)
    assert traj.status in (twonn.Status.COMPLETED, twonn.Status.STATIONARY, twonn.Status.DIVERGED)
    assert np.all(np.isfinite(traj.states))
    assert np.all(np.isfinite(traj.w)) and not np.any(np.isnan(traj.gap))


@pytest.mark.parametrize("step_size", [0.5, 4.0, 20.0, 60.0])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("train_output", [False, True])
def test_large_steps_follow_the_recurrence(step_size, loss, train_output):
    # Few steps: at these step sizes trajectories may be chaotic and amplify any rounding.
    problem = variant(CHATTER, step_size=step_size / 2, loss=loss, train_output=train_output)
    params = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[0.7, -0.6])
    steps = 12
    traj = direct(problem, params, steps=steps)
    reference = in_binary128(problem, params, traj.end_step)
    if traj.status is twonn.Status.DIVERGED:
        assert largest(problem, reference, traj.end_step) > LIMIT
        return
    final = traj.final
    errors = relative_errors((final.w, final.b, final.v), reference, traj.end_step)
    # Rounding is amplified by at most the product of the step's derivatives, below 10^3 here.
    assert max(errors) < 1e-12


def test_zero_steps():
    traj = direct(PAPER, PAPER_START, steps=0)
    assert traj.status is twonn.Status.COMPLETED
    assert list(traj.t) == [0] and traj.log_t[0] == -math.inf
    assert traj.final == PAPER_START
    assert len(traj.transitions) == traj.n_transitions == 0


def test_a_horizon_that_stepping_cannot_reach_is_refused():
    with pytest.raises(ValueError, match=r"steps: got 10\^400 steps.*at most 2\^63 - 1.*engine=.auto"):
        direct(PAPER, PAPER_START, steps=10**400)


@pytest.mark.parametrize("labels", [[1, 1], [-1, -1]])
def test_equal_labels_run_and_have_no_gap(labels):
    problem = variant(PAPER, y=labels)
    traj = direct(problem, PAPER_START, steps=2000)
    reference = in_binary128(problem, PAPER_START, int(traj.t[-1]))
    final = traj.final
    assert max(relative_errors((final.w, final.b, final.v), reference, int(traj.t[-1]))) < 1e-14
    assert np.all(np.isnan(traj.gap))
    assert "no separator" in repr(traj)


def test_coincident_points_with_equal_labels_run():
    problem = twonn.Problem(x=[1.0, 1.0], y=[1, 1], step_size=0.1)
    traj = direct(problem, PAPER_START, steps=1000)
    assert np.array_equal(traj.margins[:, 0], traj.margins[:, 1])


# --------------------------------------------------------------------------------------------------
# The kernel looks at what it is given before it looks without bounds


def kernel(**changes: object) -> _core.Run:
    arguments = {
        "x": np.array([[-1.0], [1.0]]),
        "labels": np.array([-1.0, 1.0]),
        "point_step": 0.005,
        "bias": True,
        "loss": _core.LOSSES["exponential"],
        "trained": False,
        "w": np.array([[0.4], [-1.4]]),
        "b": np.zeros(2),
        "v": np.array([1.0, -1.0]),
        "schedule": np.array([0, 1000]),
        "late_schedule": np.empty(0),
        "engine": _core.DIRECT,
    } | changes
    return _core.Run(**arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"x": np.zeros((1, 1))},
        {"x": np.zeros((2, 3))},
        {"w": np.zeros((1, 1))},
        {"b": np.zeros(1)},
        {"v": np.zeros(3)},
        {"labels": np.ones(1)},
        {"schedule": np.array([], dtype=np.int64)},
        {"schedule": np.array([0, 10, 5])},
        {"schedule": np.array([5, 10])},
        {"late_schedule": np.array([100.0])},
        {"late_schedule": np.array([100.0, 50.0]), "engine": _core.AUTO},
        {"late_schedule": np.array([10.0]), "engine": _core.AUTO},
        {"late_schedule": np.array([math.nan]), "engine": _core.AUTO},
        {"late_schedule": np.array([1e9]), "engine": _core.LEAP},
        {"engine": 7},
        {"loss": 2},
    ],
)
def test_the_kernel_refuses_what_it_cannot_hold(change):
    with pytest.raises(ValueError, match="expected"):
        kernel(**change)


def test_a_run_ends_once():
    run = kernel()
    run.advance(300)
    run.interrupt()
    assert run.status == _core.INTERRUPTED
    assert run.sample_steps.tolist() == [0, 512]
    with pytest.raises(ValueError, match="ended already"):
        run.interrupt()
    run.advance(10**6)
    assert run.sample_steps.tolist() == [0, 512]


def test_states_have_to_have_their_size():
    x, w, b = np.zeros((2, 1)), np.zeros((4, 2, 1)), np.zeros((4, 2))
    for function in (_core.state_weights, _core.state_preactivations):
        for states in (np.zeros((4, 3, 11)), np.zeros((3, 3, 12))):
            with pytest.raises(ValueError, match=r"\(runs, n, 12\)"):
                function(x, True, w, b, states)
    with pytest.raises(ValueError, match="expected"):
        _core.preactivations(np.zeros((1, 2, 2)), np.zeros((1, 2)), x)
