"""The bit contract across the builds of the kernel: each in a process of its own, every bit compared."""

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from cases import random_problem

import twonn
from twonn import _core
from twonn.engine.batch import run_batch
from twonn.geometry.boundary import boundary_of
from twonn.geometry.distances import distances_of, functional_margins, gap_error_of, gap_of
from twonn.problem.runspec import RunOptions

#: In ascending order, the narrowest first; one for each that this processor has.
USABLE = import_module("twonn._core_baseline").usable_instruction_sets()


def random_runs(seed: int):
    """Yield runs of every engine: random data, starts, losses, dimensions, some of which slide or diverge."""
    rng = np.random.default_rng(seed)
    for sliding in (False, True):
        for n in range(12):
            problem, params = random_problem(int(rng.integers(1 << 30)), sliding=sliding)
            for steps in (1_000, 30_000, 10**16):
                engine = "direct" if steps < 10**6 else "auto"
                if engine == "direct" or n < 4:
                    yield engine, problem, params, steps
    wild = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=30.0, reduction="sum", train_output=True)
    yield "direct", wild, twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9], v=[0.7, -0.6]), 1000
    slides = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
    yield "auto", slides, twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9]), 10**400


def batches():
    """Yield many runs of a problem, for lanes: neurons apart and not, fast and slow, all spans."""
    for x, train_output, loss, step_size in itertools.product(
        ((-1.0, 1.0), (-1.0, 3.0), (2.0, 1.0)), (False, True), ("exponential", "logistic"), (0.02, 1e-8)
    ):
        problem = twonn.Problem(x=x, y=[-1, 1], step_size=step_size, loss=loss, train_output=train_output)
        yield problem, twonn.initializers.sample("he_normal_bias", 37, seed=7)


def geometry():
    """Yield margins, distances, gaps, their errors and boundaries of networks of all sizes."""
    rng = np.random.default_rng(20261127)
    for d, label, exponent in itertools.product((1, 2, 19, 200), (-1, 1), (1, 60, 1020)):
        problem = twonn.Problem(x=rng.normal(size=(2, d)), y=[label, 1], step_size=0.1)
        w, v, z = (
            np.ldexp(rng.normal(size=shape), rng.integers(-exponent, exponent, shape))
            for shape in ((300, 2, d), (300, 2), (300, 2, 2))
        )
        yield functional_margins(problem, v, z)
        yield distances_of(problem, w, v, z)
        yield gap_of(problem, w, v, z)
        yield gap_error_of(problem, w, v, z, np.abs(z).min(axis=(1, 2)))
        if d == 1:
            yield boundary_of(problem, w, v, z)


def digest() -> tuple[str, list[str]]:
    """Return a digest of all that runs give, and the kinds of stretches that were among them."""
    sha = hashlib.sha256()
    kinds = set()
    for engine, problem, params, steps in random_runs(20261126):
        traj = twonn.run(problem, params, steps, engine=engine, samples_per_decade=3)
        for name in ("t", "log_t", "states", "pattern", "phase_unknown", "transitions", "slides", "w", "gap"):
            sha.update(getattr(traj, name).tobytes())
        sha.update(repr((traj.status, traj.end_step, traj.error_bound)).encode())
        kinds |= {*traj.segments["engine"].tolist(), traj.status.value}
    for problem, starts in batches():
        schedule = np.array([0, 777, 60_000]), np.empty(0)
        batch = run_batch(problem, starts, RunOptions(int(schedule[0][-1]), "direct"), schedule)
        for array in (batch.status, batch.states, batch.n_transitions, batch.transition_times):
            sha.update(array.tobytes())
    for numbers in geometry():
        # Which of the many nan it is, and nothing else, differs between processors.
        sha.update(np.where(np.isnan(numbers), np.nan, numbers).tobytes())
    points = np.concatenate([np.geomspace(1e-300, 1e300, 500), np.linspace(0, 700, 500)])
    for function in (_core.exp, _core.log, _core.log1p, _core.expm1):
        sha.update(function(points).tobytes())
    sha.update(_core.norms(points.reshape(-1, 4)).tobytes())
    return sha.hexdigest(), sorted(kinds)


def in_a_process(instruction_set: str, program: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "TWONN_ISA": instruction_set,
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
    }
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("instruction_set", USABLE)
def test_bits_do_not_depend_on_the_instruction_set(instruction_set):
    program = """
import sys, test_instruction_sets, twonn
found = test_instruction_sets.digest()
print(twonn._core.ISA, sys.modules["twonn.engine.execution"]._core.ISA)
print(twonn._core.__name__, "-mavx512f" in twonn._core.FLAGS, "-mavx2" in twonn._core.FLAGS)
print(found)
"""
    done = in_a_process(instruction_set, program)
    assert done.returncode == 0, done.stderr
    *_, used, build, found = done.stdout.splitlines()
    assert used == f"{instruction_set} {instruction_set}"  # the one that is named, really
    flags = {"avx2": "False True", "avx512": "True False"}.get(instruction_set, "False False")
    name = instruction_set if instruction_set in ("avx2", "avx512") else "baseline"
    assert build == f"twonn._core_{name} {flags}"
    assert found == repr(digest())
    assert all(kind in found for kind in ("'direct'", "'leap'", "'slide'", "'completed'", "'diverged'"))


def test_the_widest_is_used_unless_another_is_named():
    done = in_a_process("", "from twonn import _core; print(_core.ISA)")
    assert done.stdout.strip() == USABLE[-1]


def test_an_instruction_set_that_is_not_there_is_refused():
    done = in_a_process("avx1024", "import twonn; twonn.run")
    assert done.returncode != 0
    *_, sentence = done.stderr.strip().splitlines()
    expected = ", ".join(map(repr, USABLE))
    assert sentence.startswith(f"ImportError: TWONN_ISA: got 'avx1024', expected one of {expected}")
    assert "Set TWONN_ISA to one of them" in sentence


@pytest.mark.skipif(len(USABLE) < 2, reason="there is one build only")
@pytest.mark.parametrize("fault", ["missing", "broken"])
def test_a_missing_build_is_one_warning_and_the_next_narrower_one(fault, tmp_path):
    """As where an installation was cut short: the file of the widest build is missing, or is none."""
    package = tmp_path / "twonn"
    shutil.copytree(
        Path(twonn.__file__).parent, package, ignore=shutil.ignore_patterns("tests", "*.c", "__pycache__")
    )
    (file,) = package.glob(f"_core_{USABLE[-1]}.*.so")
    file.unlink()
    if fault == "broken":
        file.write_bytes(b"no library")
    program = "import twonn, sys; from twonn import _core; print(_core.ISA, twonn.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("TWONN_ISA", None)
    for options, warned in ((environment, True), ({**environment, "TWONN_ISA": USABLE[0]}, False)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=options,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [USABLE[-2] if warned else USABLE[0], str(package / "__init__.py")]
        assert done.stderr.count("RuntimeWarning") == warned
        assert (f"the kernel for {USABLE[-1]} is missing or cannot be loaded" in done.stderr) == warned
