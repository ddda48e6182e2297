"""Times in turns, sizes for a full and a quick session, and what a result is checked against."""

import functools
import sys
import time
from pathlib import Path

import mpmath
import numpy as np
import peers

import twonn

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from oracle import Decoupled

#: Set by --quick and --cap, before the benchmarks are collected.
OPTIONS = {"quick": False, "cap": 3.0}

#: Half a unit in the last place of 1.
U = 2.0**-53

#: How far a peer may be from the exact flow, relative to the norm. Each of its steps may be wrong by its
#: tolerance, relative and absolute. What that does to a margin dies off as 1/t, and steps grow with t, by a
#: tenth of it at least: then what is left of all the errors is no more than those of 11 steps.
FLOW_ERROR = 11 * 2 * peers.FLOW_TOLERANCE

PAPER_START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])


def size(full, quick):
    """Return a size for this session."""
    return quick if OPTIONS["quick"] else full


def paper(**options):
    return twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, **options)


def seconds_of(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def paired(ours, other, pairs):
    """Time two functions in turns, either one first, so that what slows the machine down slows both.

    Returns
    -------
    ours, other : ndarray, shape (pairs,)
        Seconds.
    """
    seconds = np.empty((2, pairs))
    for n in range(pairs):
        for which in (0, 1)[:: 1 if n % 2 else -1]:
            seconds[which, n] = seconds_of((ours, other)[which])
    return seconds[0], seconds[1]


def alternate(benchmark, ours, other, pairs):
    """Do so under pytest-benchmark.

    `ours` goes into its own statistics, `other` and the ratios into its extra_info.

    Returns
    -------
    ours, other : ndarray, shape (pairs,)
        Seconds. One pair only with --benchmark-disable.
    """
    seconds = {"ours": [], "other": []}
    benchmark.pedantic(
        lambda: seconds["ours"].append(seconds_of(ours)),
        setup=lambda: seconds["other"].append(seconds_of(other)),
        rounds=pairs,
    )
    a, b = np.array(seconds["ours"]), np.array(seconds["other"])
    benchmark.extra_info["other_seconds"] = b.tolist()
    benchmark.extra_info["ratios"] = (a / b).tolist()
    benchmark.extra_info["ratio_min_quartiles_max"] = np.percentile(a / b, [0, 25, 50, 75, 100]).tolist()
    return a, b


def affordable(function, seconds, most):
    """Return how many steps, a power of two, function(steps) takes in about so long."""
    function(2)  # the first call may compile
    steps = 2
    while steps < most:
        taken = seconds_of(functools.partial(function, steps))
        if taken >= seconds / 2:
            break
        # A call that is too short to tell anything of a step leads 16 times further, no more.
        steps *= min(16, 2 ** int(np.log2(seconds / taken)))
    return min(steps, most)


# --------------------------------------------------------------------------------------------------
# What is true


def flat(parameters):
    """Return w, b and v of every run one after the other, shape (..., 2 d + 4)."""
    w, b, v = (np.asarray(array) for array in parameters)
    return np.concatenate([w.reshape(*b.shape[:-1], -1), b, v], axis=-1)


def rounding(steps, parameters, spread):
    """Return how far an uncompensated loop may end from the truth, for every run.

    It rounds every parameter at every step by up to U of it, always the same way at worst: `steps` U ‖p‖ in
    all, twice that with room for the rounding of the increments. With fixed output weights and a constant
    pattern the loss is convex and a step brings two trajectories no further apart, so this is also the error
    at the end. With trained ones perturbed starts came out up to 7 times as far apart: `spread` is 5 there, 1
    else. Networks smaller than 1 count as 1, for their pre-activations are sums of larger terms.
    """
    return 2 * spread * (steps + 2) * U * np.maximum(np.linalg.norm(flat(parameters), axis=-1), 1.0)


def assert_close(theirs, ours, bound):
    """Assert that two results agree to a bound for every run, and return the largest relative difference."""
    theirs, ours = flat(theirs), flat(ours)
    difference = np.abs(theirs - ours).max(axis=-1)
    assert np.all(difference <= bound), f"{difference.max():g} apart; {np.min(bound):g} is allowed"
    return float((difference / np.linalg.norm(ours, axis=-1)).max())


class Exact:
    """The paper's first run in closed form: the samples do not interact, nor do its neurons change sides.

    Parameters
    ----------
    step_size : float
    """

    def __init__(self, problem, params):
        assert problem == paper() and params == PAPER_START, "no closed form"
        self.w, self.rate = params.w[:, 0].tolist(), problem.point_step
        self.samples = [Decoupled(m, 2, self.rate) for m in (-self.w[1], self.w[0])]

    def descent(self, steps):
        """Return w_0, w_1, b_0, b_1 after so many steps."""
        return self._moved(*(sample.accumulated(steps) for sample in self.samples))

    def flow(self, steps):
        """Return them at that time of the gradient flow, where dA/dt = h e^−m and m = m(0) + 2 A."""
        return self._moved(
            *(
                (mpmath.log(2 * self.rate * mpmath.mpf(steps) + mpmath.exp(m)) - m) / 2
                for m in (sample.start for sample in self.samples)
            )
        )

    def _moved(self, first, second):
        return [self.w[0] + second, self.w[1] - first, second, first]

    @staticmethod
    def error(parameters, exact):
        """Return the largest error of a parameter, relative to the norm of all."""
        got = flat(parameters)[:4].tolist()
        size = mpmath.norm([*exact, 1, -1])
        return float(max(abs(a - b) for a, b in zip(got, exact, strict=True)) / size)
