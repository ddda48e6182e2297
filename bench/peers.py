"""What a user would otherwise write: the same recurrence, and the gradient flow, by other means.

Every peer is a function (problem, params, steps) -> (w, b, v), arrays like those of `params`; those that take
many runs at once are given parameters with a run axis. Peers of the flow go to the time of so many steps. All
compile what they have to at their first call, and import nothing before.
"""

import ctypes
import functools
import importlib.util
import math
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import twonn

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

#: A compiler, and what it has to make: the arguments of `compiled`.
LIBRARIES = {
    "a C compiler (which CC may name)": ("plain_loop",),
    # Linked without -ffast-math, which would flush subnormal numbers in the whole process.
    "gcc with OpenMP and libmvec": ("simd_loop", ("-ffast-math", "-fopenmp"), ("-lmvec", "-fopenmp")),
}
PLAIN, VECTOR = LIBRARIES

COMPILER = shlex.split(os.environ.get("CC", "")) or ["gcc"]

#: Tolerances of the adaptive integrators, relative and absolute, of each step.
FLOW_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Peer:
    """A way to the same result.

    Attributes
    ----------
    name : str
    run : callable
        (problem, params, steps) -> (w, b, v).
    needs : str
        The module it is made of, or the compiler, as in LIBRARIES.
    threads : int
        How many threads it is told to use.
    largest : int
        The largest number of steps it can be asked for, whatever the time.
    """

    name: str
    run: Callable
    needs: str = "numpy"
    threads: int = 1
    largest: int = 2**63 - 1

    @property
    def missing(self) -> bool:
        """Whether what it needs is not installed."""
        if self.needs in LIBRARIES:
            return not compiles(*LIBRARIES[self.needs])
        return importlib.util.find_spec(self.needs) is None


# --------------------------------------------------------------------------------------------------
# Python, number by number: on the line only, like the loops in C


def line_slopes(w0, w1, b0, b1, v0, v1, x0, x1, y0, y1, rate, logistic, trained):
    """Return what one step adds to each of the six parameters."""
    z00, z01, z10, z11 = w0 * x0 + b0, w0 * x1 + b0, w1 * x0 + b1, w1 * x1 + b1
    r00, r01, r10, r11 = max(z00, 0.0), max(z01, 0.0), max(z10, 0.0), max(z11, 0.0)
    e0, e1 = math.exp(-y0 * (v0 * r00 + v1 * r10)), math.exp(-y1 * (v0 * r01 + v1 * r11))
    if logistic:
        e0, e1 = e0 / (1.0 + e0), e1 / (1.0 + e1)
    g0, g1 = rate * y0 * e0, rate * y1 * e1
    g00, g01 = g0 if z00 > 0.0 else 0.0, g1 if z01 > 0.0 else 0.0
    g10, g11 = g0 if z10 > 0.0 else 0.0, g1 if z11 > 0.0 else 0.0
    dv0, dv1 = (g0 * r00 + g1 * r01, g0 * r10 + g1 * r11) if trained else (0.0, 0.0)
    dw0, dw1 = v0 * (g00 * x0 + g01 * x1), v1 * (g10 * x0 + g11 * x1)
    return dw0, dw1, v0 * (g00 + g01), v1 * (g10 + g11), dv0, dv1


def line_loop(slopes, start, question, steps):
    """Take the steps of one run; `start` and `question` are what `slopes` takes, in two tuples."""
    w0, w1, b0, b1, v0, v1 = start
    for _ in range(steps):
        dw0, dw1, db0, db1, dv0, dv1 = slopes(w0, w1, b0, b1, v0, v1, *question)
        w0, w1, b0, b1, v0, v1 = w0 + dw0, w1 + dw1, b0 + db0, b1 + db1, v0 + dv0, v1 + dv1
    return w0, w1, b0, b1, v0, v1


def line_question(problem):
    """Return the trailing arguments of `line_slopes`."""
    (x0, x1), (y0, y1) = problem.x[:, 0].tolist(), problem.y.astype(float).tolist()
    return x0, x1, y0, y1, problem.point_step, problem.loss == "logistic", problem.train_output


def line_start(params):
    """Return the six parameters of every run, shape (..., 6)."""
    return np.concatenate([params.w[..., 0], params.b, params.v], axis=-1)


def from_line(six):
    """Return w, b and v of parameters of shape (..., 6)."""
    six = np.asarray(six)
    return six[..., 0:2, np.newaxis], six[..., 2:4], six[..., 4:6]


def pure_python(problem, params, steps):
    start = line_start(params).tolist()
    return from_line(line_loop(line_slopes, start, line_question(problem), steps))


@functools.cache
def compiled_by_numba():
    """Return the loops over the steps of one run, and over those of many on threads."""
    import numba

    slopes = numba.njit(line_slopes)

    one = numba.njit(line_loop)

    @numba.njit(parallel=True)
    def many(starts, question, steps):
        ends = np.empty_like(starts)
        for r in numba.prange(len(starts)):
            p = starts[r]
            ends[r] = np.array(one(slopes, (p[0], p[1], p[2], p[3], p[4], p[5]), question, steps))
        return ends

    return functools.partial(one, slopes), many


def numba_loop(problem, params, steps):
    one, _ = compiled_by_numba()
    return from_line(one(tuple(line_start(params).tolist()), line_question(problem), steps))


def numba_prange(problem, params, steps):
    _, many = compiled_by_numba()
    return from_line(many(line_start(params), line_question(problem), steps))


# --------------------------------------------------------------------------------------------------
# Arrays: in every dimension, for one run or many


def numpy_loop(problem, params, steps):
    """Step one run or many, by the formulas of the gradient."""
    x, y, rate = problem.x, problem.y, problem.point_step
    w, b, v = (np.array(array) for array in (params.w, params.b, params.v))
    for _ in range(steps):
        z = w @ x.T + b[..., np.newaxis]
        hidden = np.maximum(z, 0)
        e = np.exp(-y * (v[..., np.newaxis] * hidden).sum(axis=-2))
        pull = rate * y * (e / (1 + e) if problem.loss == "logistic" else e)
        gain = pull[..., np.newaxis, :] * (z > 0)
        change = (gain * hidden).sum(axis=-1)
        gain *= v[..., np.newaxis]
        w += gain @ x
        b += gain.sum(axis=-1)
        if problem.train_output:
            v += change
    return w, b, v


def torch_eager(problem, params, steps):
    """Let autograd differentiate, and torch.optim.SGD descend; the losses of many runs are added up."""
    import torch

    def tensor(array):
        return torch.tensor(np.array(array, dtype=np.float64))

    x, y = tensor(problem.x), tensor(problem.y)
    w, b, v = (tensor(array).requires_grad_() for array in (params.w, params.b, params.v))
    v.requires_grad_(problem.train_output)
    loss = torch.nn.functional.softplus if problem.loss == "logistic" else torch.exp
    descent = torch.optim.SGD([p for p in (w, b, v) if p.requires_grad], lr=problem.point_step)
    for _ in range(steps):
        descent.zero_grad()
        hidden = torch.relu(w @ x.T + b[..., None])
        loss(-y * (v[..., None] * hidden).sum(dim=-2)).sum().backward()
        descent.step()
    return tuple(p.detach().numpy() for p in (w, b, v))


@functools.cache
def slopes_by_jax(loss, train_output):
    """Return the function (x, y, rate, (w, b, v)) -> what a step adds to w, b and v."""
    import jax

    jax.config.update("jax_enable_x64", True)
    losses = jax.nn.softplus if loss == "logistic" else jax.numpy.exp

    def objective(parameters, x, y):
        w, b, v = parameters
        hidden = jax.nn.relu(w @ x.T + b[..., None])
        return losses(-y * (v[..., None] * hidden).sum(axis=-2)).sum()

    def slopes(x, y, rate, parameters):
        gradient = jax.grad(objective)(parameters, x, y)
        dw, db, dv = (-rate * part for part in gradient)
        return dw, db, dv if train_output else 0 * dv

    return slopes


@functools.cache
def loop_by_jax(loss, train_output):
    import jax

    slopes = slopes_by_jax(loss, train_output)

    @jax.jit
    def loop(x, y, rate, parameters, steps):
        def step(_, now):
            return tuple(p + dp for p, dp in zip(now, slopes(x, y, rate, now), strict=True))

        return jax.lax.fori_loop(0, steps, step, parameters)

    return loop


def jax_loop(problem, params, steps):
    """Step one run or many in jax.lax.fori_loop, in binary64."""
    loop = loop_by_jax(problem.loss, problem.train_output)
    start = (np.array(params.w), np.array(params.b), np.array(params.v))
    return tuple(np.asarray(p) for p in loop(problem.x, 1.0 * problem.y, problem.point_step, start, steps))


# --------------------------------------------------------------------------------------------------
# C


@functools.cache
def compiled(name, flags=(), libraries=()):
    """Compile a C file beside this one with gcc, or with what the environment variable CC names."""
    source = Path(__file__).with_name(f"{name}.c")
    with tempfile.TemporaryDirectory() as folder:
        built, library = (Path(folder) / f"{name}{suffix}" for suffix in (".o", ".so"))
        compilation = ["-O3", "-march=native", "-fPIC", *flags, "-c", "-o", built, source]
        subprocess.run([*COMPILER, *compilation], check=True)
        subprocess.run([*COMPILER, "-shared", "-o", library, built, *libraries, "-lm"], check=True)
        return ctypes.CDLL(str(library))


def compiles(*library):
    """Return whether `compiled` can make a library."""
    try:
        compiled(*library)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def compiled_loop(library, prefix, problem):
    """Return the function of a C file for this loss and output."""
    function = getattr(library, f"{prefix}_{problem.loss}_{'trained' if problem.train_output else 'fixed'}")
    doubles = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
    function.argtypes = [doubles, doubles, ctypes.c_double, doubles, doubles, doubles, ctypes.c_longlong]
    return function


def counting_loop(problem, params, steps):
    """Step one run in plain C; returns (transitions, w, b, v), −1 transitions if it diverged."""
    function = compiled_loop(compiled(*LIBRARIES[PLAIN]), "plain", problem)
    function.restype = ctypes.c_longlong
    arrays = (problem.x, problem.y, params.w, params.b, params.v)
    x, y, w, b, v = (np.array(array, dtype=np.float64).ravel() for array in arrays)
    return function(x, y, problem.point_step, w, b, v, steps), w[:, np.newaxis], b, v


def plain_optimizer(problem, params, optimizer, steps):
    """Step one run of another optimizer in plain C, for d = 1 or 2; returns what `counting_loop` does."""
    library = compiled("plain_optimizers")
    output = "trained" if problem.train_output else "fixed"
    function = getattr(library, f"{optimizer.name}_{problem.dimension}_{problem.loss}_{output}")
    doubles = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
    function.restype = ctypes.c_longlong
    function.argtypes = [doubles, doubles, *2 * [ctypes.c_double], doubles, doubles, ctypes.c_longlong]
    x, y = np.array(problem.x).ravel(), problem.y.astype(np.float64)
    p = np.concatenate([params.w.ravel(), params.b, params.v])
    weight = problem.point_step / problem.step_size
    transitions = function(x, y, problem.step_size, weight, optimizer.options, p, steps)
    return transitions, p[:-4].reshape(params.w.shape), p[-4:-2], p[-2:]


def plain_c(problem, params, steps):
    return counting_loop(problem, params, steps)[1:]


def vector_c(problem, params, steps, threads=1):
    """Step many runs in C, vectorised by OpenMP with -ffast-math, on OpenMP's threads."""
    function = compiled_loop(compiled(*LIBRARIES[VECTOR]), "simd", problem)
    function.restype = None
    function.argtypes += [ctypes.c_longlong, ctypes.c_int]
    x, y = (np.array(array, dtype=np.float64).ravel() for array in (problem.x, problem.y))
    w, b, v = (np.array(array.T, order="C") for array in (params.w[:, :, 0], params.b, params.v))
    function(x, y, problem.point_step, w, b, v, steps, w.shape[1], threads)
    return w.T[:, :, np.newaxis], b.T, v.T


# --------------------------------------------------------------------------------------------------
# The gradient flow: one step's slopes as a velocity


def scipy_flow(problem, params, steps):
    """Integrate with SciPy's DOP853, which looks for the zeros of every pre-activation meanwhile."""
    from scipy.integrate import solve_ivp

    question = line_question(problem)
    zeros = [
        lambda t, p, j=j, point=point: p[j] * point + p[2 + j]
        for j in (0, 1)
        for point in problem.x[:, 0].tolist()
    ]
    solution = solve_ivp(
        lambda t, p: line_slopes(*p.tolist(), *question),
        (0.0, float(steps)),
        line_start(params),
        method="DOP853",
        t_eval=[float(steps)],
        events=zeros,
        rtol=FLOW_TOLERANCE,
        atol=FLOW_TOLERANCE,
    )
    assert solution.success, solution.message
    return from_line(solution.y[:, -1])


@functools.cache
def flow_by_diffrax(loss, train_output):
    import diffrax
    import jax

    slopes = slopes_by_jax(loss, train_output)
    term = diffrax.ODETerm(lambda t, parameters, question: slopes(*question, parameters))
    control = diffrax.PIDController(rtol=FLOW_TOLERANCE, atol=FLOW_TOLERANCE)

    @jax.jit
    def flow(x, y, rate, parameters, time):
        return diffrax.diffeqsolve(
            term,
            diffrax.Dopri8(),
            0.0,
            time,
            1.0,
            parameters,
            args=(x, y, rate),
            stepsize_controller=control,
            max_steps=None,
        ).ys

    return flow


def diffrax_flow(problem, params, steps):
    """Integrate with Diffrax's Dopri8."""
    flow = flow_by_diffrax(problem.loss, problem.train_output)
    start = (np.array(params.w), np.array(params.b), np.array(params.v))
    ends = flow(problem.x, 1.0 * problem.y, problem.point_step, start, float(steps))
    return tuple(np.asarray(p)[0] for p in ends)


@functools.cache
def flow_by_heyoka(problem):
    """Return an integrator that looks for the zeros of every pre-activation."""
    import heyoka as hy

    names = hy.make_vars("w0", "w1", "b0", "b1", "v0", "v1")
    w, b, v = names[0:2], names[2:4], names[4:6]
    x, y = problem.x[:, 0].tolist(), problem.y.tolist()
    z = [[w[j] * x[i] + b[j] for i in (0, 1)] for j in (0, 1)]
    pull = []
    for i in (0, 1):
        e = hy.exp(-y[i] * (v[0] * hy.relu(z[0][i]) + v[1] * hy.relu(z[1][i])))
        pull.append(problem.point_step * y[i] * (e / (1.0 + e) if problem.loss == "logistic" else e))
    gain = [[pull[i] * v[j] * hy.relup(z[j][i]) for i in (0, 1)] for j in (0, 1)]
    velocity = [gain[j][0] * x[0] + gain[j][1] * x[1] for j in (0, 1)]
    velocity += [gain[j][0] + gain[j][1] for j in (0, 1)]
    for j in (0, 1):
        change = pull[0] * hy.relu(z[j][0]) + pull[1] * hy.relu(z[j][1])
        velocity.append(change if problem.train_output else 0.0 * v[j])
    events = [hy.nt_event(z[j][i], lambda *_: None) for j in (0, 1) for i in (0, 1)]
    return hy.taylor_adaptive(list(zip(names, velocity, strict=True)), [0.0] * 6, nt_events=events)


def heyoka_flow(problem, params, steps):
    """Integrate with heyoka's Taylor method, whose tolerance is the rounding unit."""
    import heyoka as hy

    integrator = flow_by_heyoka(problem)
    integrator.time = 0.0
    integrator.state[:] = line_start(params)
    outcome, *_ = integrator.propagate_until(float(steps))
    assert outcome == hy.taylor_outcome.time_limit, outcome
    return from_line(integrator.state.copy())


# --------------------------------------------------------------------------------------------------
# Geometry, of one network


def distances_by_slsqp(problem, params):
    """Return how far either sample is from a wrong point, by a quadratic programme for every region.

    Where neuron j is active or not, and f is wrong, are half-spaces of δ: rows of A δ + c >= 0.
    """
    from scipy.optimize import minimize

    w, v = params.w, params.v
    z = w @ problem.x.T + params.b[:, np.newaxis]
    found = np.full(2, np.inf)
    for i, y in enumerate(problem.y):
        for active in ((0, 0), (0, 1), (1, 0), (1, 1)):
            signs, gain = 2.0 * np.array(active) - 1, -y * v * active
            a = np.concatenate([signs[:, np.newaxis] * w, [gain @ w]])
            c = np.append(signs * z[:, i], gain @ z[:, i])
            nearest = minimize(
                lambda delta: delta @ delta,
                np.zeros(problem.dimension),
                jac=lambda delta: 2 * delta,
                constraints={
                    "type": "ineq",
                    "fun": lambda delta, a=a, c=c: a @ delta + c,
                    "jac": lambda _, a=a: a,
                },
                method="SLSQP",
                options={"ftol": 1e-12},
            )
            if nearest.success:
                found[i] = min(found[i], np.sqrt(nearest.fun))
    return found


def boundary_by_brentq(problem, params):
    """Return a zero of f between the two points on the line."""
    from scipy.optimize import brentq

    (w0, w1), (b0, b1), (v0, v1) = params.w[:, 0].tolist(), params.b.tolist(), params.v.tolist()

    def f(x):
        return v0 * max(0.0, w0 * x + b0) + v1 * max(0.0, w1 * x + b1)

    return brentq(f, *problem.x[:, 0].tolist())


# --------------------------------------------------------------------------------------------------
# The package itself, in the same form


def parameters_of(trajectory):
    return trajectory.w[-1], trajectory.b[-1], trajectory.v[-1]


def twonn_direct(problem, params, steps):
    return parameters_of(twonn.run(problem, params, steps, engine="direct", sample_steps=[]))


def twonn_auto(problem, params, steps):
    return parameters_of(twonn.run(problem, params, steps, sample_steps=[]))


# --------------------------------------------------------------------------------------------------

PLAIN_C = Peer("plain C", plain_c, PLAIN)
VECTOR_C = Peer("vectorised C, one thread", vector_c, VECTOR)

#: Step by step, one run.
ONE_RUN = (
    PLAIN_C,
    Peer("Numba", numba_loop, "numba"),
    Peer("JAX fori_loop", jax_loop, "jax"),
    Peer("pure Python", pure_python),
    Peer("NumPy", numpy_loop),
    Peer("PyTorch eager", torch_eager, "torch"),
)

#: Step by step, many runs at once.
MANY_RUNS = (
    VECTOR_C,
    Peer("vectorised C, OpenMP", functools.partial(vector_c, threads=CORES), VECTOR, threads=CORES),
    Peer("Numba prange", numba_prange, "numba", threads=CORES),
    Peer("JAX fori_loop", jax_loop, "jax", threads=CORES),
    Peer("NumPy", numpy_loop),
    Peer("PyTorch eager", torch_eager, "torch", threads=CORES),
)

#: The gradient flow, one run. Beyond `largest` they fail: heyoka's Taylor coefficients, which fall like
#: t^-20, underflow (to wrong numbers, with the outcome of success); SciPy's norm of an error becomes 0/0; and
#: at last the time itself overflows.
FLOW = (
    Peer("SciPy DOP853 (flow)", scipy_flow, "scipy", largest=10**150),
    Peer("Diffrax Dopri8 (flow)", diffrax_flow, "diffrax", largest=10**300),
    Peer("heyoka (flow)", heyoka_flow, "heyoka", largest=10**16),
)

#: The package, one run.
OURS = (
    Peer("twonn, every step", twonn_direct, "twonn"),
    Peer("twonn, leaping", twonn_auto, "twonn", largest=10**1000),
)
