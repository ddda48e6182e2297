"""How the kernel evaluates the geometry of many networks; test_geometry.py tests what comes out of it."""

import math
import sys
import threading

import numpy as np
import pytest

import twonn
from twonn import _core
from twonn.geometry.boundary import boundary_of
from twonn.geometry.distances import distances_of, functional_margins, gap_error_of, gap_of

EPS = float(np.finfo(np.float64).eps)

KINDS = ["ordinary", "wide", "huge", "tiny", "degenerate"]


def drawn(rng, kind, shape):
    """Numbers of either sign, 0 among the degenerate ones."""
    if kind == "degenerate":
        return rng.integers(-1, 2, shape).astype(float)
    low, high = {"ordinary": (0, 1), "wide": (-60, 60), "huge": (390, 1020), "tiny": (-1074, -390)}[kind]
    return np.ldexp(
        rng.uniform(0.5, 1, shape) * rng.choice([-1.0, 1.0], shape), rng.integers(low, high, shape)
    )


def networks(rng, kind, n, d):
    w, v, z = (drawn(rng, kind, shape) for shape in ((n, 2, d), (n, 2), (n, 2, 2)))
    w[::3, 1] = -2 * w[::3, 0]  # antiparallel
    return w, v, z


def functions(problem, errors):
    """All that is evaluated of networks, as functions of (w, v, z), one network after the other."""
    yield lambda w, v, z: functional_margins(problem, v, z)
    yield lambda w, v, z: distances_of(problem, w, v, z)
    if problem.y[0] != problem.y[1]:
        yield lambda w, v, z: gap_of(problem, w, v, z)
        yield lambda w, v, z: gap_error_of(problem, w, v, z, errors[: len(v)])
    if problem.dimension == 1:
        yield lambda w, v, z: boundary_of(problem, w, v, z)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 9, 300])
def test_bits_do_not_depend_on_the_neighbours(d, kind):
    """One network after the other, each in the room of the one before, and the huge ones scaled."""
    seed = 100 + d
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for y in ([-1, 1], [1, 1]):
        problem = twonn.Problem(x=rng.normal(size=(2, d)), y=y, step_size=0.1)
        arrays = networks(rng, kind, 12, d)
        for other in KINDS:  # between any others
            arrays = [np.concatenate(pair) for pair in zip(arrays, networks(rng, other, 1, d), strict=True)]
        n = len(arrays[0])
        for function in functions(problem, np.full(n, 1e-9)):
            together = function(*arrays)
            for r in range(n):
                alone = function(*(array[r : r + 1] for array in arrays))
                assert alone.tobytes() == together[r : r + 1].tobytes()


def test_norms_of_many_numbers_are_right_to_a_few_roundings():
    """Sums of n squares in one chain would err by up to n/2 roundings, pairwise sums by log2(n)/2."""
    seed = 110
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for d in (1, 7, 8, 9, 127, 128, 129, 255, 1000, 5000):
        problem = twonn.Problem(x=rng.normal(size=(2, d)), y=[1, -1], step_size=0.1)
        w = np.exp(rng.normal(size=(1, 2, d)))
        for scale in (1.0, 2.0**-600, 2.0**600):
            # Only neuron 0 has an output, and its half-space is what both points are compared with.
            got = distances_of(problem, w * scale, np.array([[1.0, 0.0]]), np.full((1, 2, 2), scale))
            exact = 1 / math.sqrt(math.fsum(w[0, 0] ** 2))
            # Chains of at most 19 sums: 8 of 16 numbers each, three levels, 7 left over; then log2(d/128)
            # levels. A norm errs by half of that; square, root and quotient are rounded, too.
            roundings = (19 + max(0.0, math.log2(d / 64))) / 2 + 3
            assert abs(got[0, 0] - exact) <= roundings * EPS / 2 * exact + EPS * exact
            assert got[0, 1] == 0


@pytest.mark.parametrize("train_output", [False, True])
@pytest.mark.parametrize("d", [1, 3])
def test_error_of_the_gap_bounds_what_errors_of_the_parameters_do(d, train_output):
    """Random changes of the parameters by 10^-8, of which the worst comes near the bound."""
    seed = 120 + d
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    size, largest = 1e-8, 0.0
    for _ in range(60):
        problem = twonn.Problem(
            x=rng.normal(size=(2, d)), y=[-1, 1], step_size=0.1, train_output=train_output
        )
        w, b, v = rng.normal(size=(2, d)), rng.normal(size=2), np.array([-1.0, 1.0])
        v *= rng.uniform(0.5, 2, 2)
        z = w @ problem.x.T + b[:, None]
        bound = gap_error_of(problem, w, v, z, size)
        changes = rng.normal(size=(400, 2 * d + 4))
        changes[:, 2 * d + 2 :] *= train_output
        changes *= size / np.linalg.norm(changes, axis=1)[:, None]
        moved = twonn.Params(
            w=w + changes[:, : 2 * d].reshape(-1, 2, d),
            b=b + changes[:, 2 * d : 2 * d + 2],
            v=v + changes[:, 2 * d + 2 :],
        )
        change = np.abs(twonn.gap(problem, moved) - gap_of(problem, w, v, z)).max()
        # The second order is some size/‖g‖ of the first.
        assert change <= bound * (1 + 1e-4) + 1e-15
        largest = max(largest, change / bound)
    # The bound adds up errors of which only the sum of squares is given, and allows for every kink.
    assert largest > 0.2


def test_error_of_the_gap_by_hand():
    # f = 2 x on [−1, 1], both neurons active there with z = 2 ± x. A parameter error e moves z_j at a point
    # by up to e √(1 + 1), f by twice that, and the gap, which is 0, by half of that. z is rounded by EPS 3.
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.1)
    w, v, z = np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]), np.array([[1.0, 3.0], [3.0, 1.0]])
    error = 1e-6
    moved = 2 * (error * math.sqrt(2) + 3 * EPS)
    # The kinks, at a distance of 3 from the points, count as if they decided, with what the gap is.
    kink = error * math.sqrt(2) + 3 * EPS
    expected = max(moved / 2, kink)
    assert math.isclose(gap_error_of(problem, w, v, z, error), expected, rel_tol=4 * EPS)
    trained = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.1, train_output=True)
    moved += 2 * 3 * error  # v_j multiplies z_j up to 3
    assert math.isclose(gap_error_of(trained, w, v, z, error), moved / 2, rel_tol=4 * EPS)


def test_arrays_that_do_not_belong_together_are_refused():
    labels, direction = np.array([-1.0, 1.0]), np.array([1.0])
    w, v, z, errors = np.ones((3, 2, 1)), np.ones((3, 2)), np.ones((3, 2, 2)), np.ones(3)
    wrong = [
        lambda: _core.margins(labels, v[:2], z),
        lambda: _core.margins(labels, v, z[:, :1].copy()),
        lambda: _core.distances(labels[:1], w, v, z),
        lambda: _core.distances(labels, w[:2], v, z),
        lambda: _core.distances(labels, w[..., :0].copy(), v, z),
        lambda: _core.gaps(labels, 1.0, direction, w, v[:2], z),
        lambda: _core.gaps(labels, 1.0, np.ones(2), w, v, z),
        lambda: _core.gap_errors(labels, 1.0, np.ones(2), w, v, z, 1.0, False, errors),
        lambda: _core.gap_errors(labels, 1.0, direction, w, v, z, 1.0, False, errors[:2]),
        lambda: _core.boundaries(-1.0, 1.0, w[:2], v, z),
        lambda: _core.boundaries(-1.0, 1.0, np.ones((3, 2, 2)), v, z),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match="expected shape"):
            call()


def test_other_threads_go_on_meanwhile():
    """Nobody takes the interpreter's lock away from a thread here; it has to give it up by itself."""
    n = 300_000
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.1)
    rng = np.random.default_rng(130)
    arrays = networks(rng, "ordinary", n, 1)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        for function in functions(problem, np.full(n, 1e-9)):
            # A thread that is woken late on a busy machine proves nothing.
            assert any(_goes_on(function, arrays) for _ in range(20))
    finally:
        sys.setswitchinterval(before)


def _goes_on(function, arrays) -> bool:
    """Whether this thread did something while another one was in the kernel."""
    events = []

    def work():
        events.append("in")
        function(*arrays)
        events.append("out")

    thread = threading.Thread(target=work)
    thread.start()  # waits until the thread has begun, and gives it the lock
    while not events:
        pass
    events.append("meanwhile")
    thread.join()
    return events == ["in", "meanwhile", "out"]
