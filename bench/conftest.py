"""The C loops as fixtures, and the table at the end of a benchmark run."""

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROWS = pytest.StashKey[list]()
TIMES = pytest.StashKey[list]()
NOTES = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[ROWS] = []
    config.stash[TIMES] = []
    config.stash[NOTES] = []


def compiled(tmp_path_factory, name, flags=(), libraries=()):
    """Compile a C file beside this one with gcc, or with what the environment variable CC names."""
    compiler = shlex.split(os.environ.get("CC", "")) or ["gcc"]
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no C compiler: {compiler[0]} was not found; name one in CC")
    source = Path(__file__).with_name(f"{name}.c")
    built, library = (tmp_path_factory.mktemp(name) / f"{name}{suffix}" for suffix in (".o", ".so"))
    compilation = ["-O3", "-march=native", "-fPIC", *flags, "-c", "-o", built, source]
    subprocess.run([*compiler, *compilation], check=True)
    subprocess.run([*compiler, "-shared", "-o", library, built, *libraries, "-lm"], check=True)
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="session")
def plain_loop(tmp_path_factory):
    """Return run(problem, params, steps) -> (transitions, w, b, v) in plain C, each array (2,)."""
    functions = compiled(tmp_path_factory, "plain_loop")
    doubles = np.ctypeslib.ndpointer(np.float64, ndim=1, flags="C_CONTIGUOUS")

    def run(problem, params, steps):
        output = "trained" if problem.train_output else "fixed"
        function = getattr(functions, f"plain_{problem.loss}_{output}")
        function.restype = ctypes.c_longlong
        function.argtypes = [doubles, doubles, ctypes.c_double, doubles, doubles, doubles]
        function.argtypes += [ctypes.c_longlong]
        arrays = (problem.x, problem.y, params.w, params.b, params.v)
        x, y, w, b, v = (np.array(array, dtype=np.float64).ravel() for array in arrays)
        return function(x, y, problem.rate, w, b, v, steps), w, b, v

    return run


@pytest.fixture(scope="session")
def simd_loop(tmp_path_factory):
    """Return run(problem, params, steps) -> (w, b, v), each (runs, 2), as simd_loop.c has them."""
    # The library is linked without -ffast-math, which would flush subnormal numbers in the whole process.
    functions = compiled(tmp_path_factory, "simd_loop", ["-ffast-math", "-fopenmp-simd"], ["-lmvec"])
    doubles = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")

    def run(problem, params, steps):
        output = "trained" if problem.train_output else "fixed"
        function = getattr(functions, f"simd_{problem.loss}_{output}")
        function.restype = None
        function.argtypes = [doubles, doubles, ctypes.c_double, doubles, doubles, doubles]
        function.argtypes += [ctypes.c_longlong, ctypes.c_longlong]
        x, y = (np.array(array, dtype=np.float64).ravel() for array in (problem.x, problem.y))
        w, b, v = (np.array(array.T, order="C") for array in (params.w[:, :, 0], params.b, params.v))
        function(x, y, problem.rate, w, b, v, steps, w.shape[1])
        return w.T, b.T, v.T

    return run


@pytest.fixture
def add_row(request):
    """Add a line to the table: case, seconds per step of each pair of runs, target of the ratio."""

    def add(case, ours, other, target=None):
        request.config.stash[ROWS].append((case, ours, other, target))

    return add


@pytest.fixture
def add_time(request):
    """Add a line to the table: case, seconds of each run, seconds of a direct step beside it, target."""

    def add(case, seconds, step, target):
        request.config.stash[TIMES].append((case, seconds, step, target))

    return add


@pytest.fixture
def add_note(request):
    """Add a sentence below the table."""
    return request.config.stash[NOTES].append


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    write = terminalreporter.write_line
    rows, times, notes = config.stash[ROWS], config.stash[TIMES], config.stash[NOTES]
    if rows or times or notes:
        terminalreporter.section("twonn")
    if rows:
        write(f"{'ns per step':<36} twonn  other  ratio  quartiles    min .. max      target")
    for case, ours, other, target in rows:
        low, first, median, third, high = np.percentile(ours / other, [0, 25, 50, 75, 100])
        write(
            f"{case:<36} {np.median(ours) * 1e9:5.2f}  {np.median(other) * 1e9:5.2f}  "
            f"{median:5.3f}  {first:.3f} {third:.3f}  {low:.3f} .. {high:.3f}"
            + (f"  {target:.2f} {'met' if median <= target else 'MISSED'}" if target else "")
        )
    if times:
        write(f"{'leaps':<44} {'µs':>7}  quartiles        costs as much as  target")
    for case, seconds, step, target in times:
        first, median, third = np.percentile(seconds * 1e6, [25, 50, 75])
        write(
            f"{case:<44} {median:7.1f}  {first:7.1f} {third:7.1f}  {np.median(seconds / step):8,.0f} steps  "
            f"{target * 1e6:6.0f} {'met' if median <= target * 1e6 else 'MISSED'}"
        )
    for note in notes:
        write(note)
