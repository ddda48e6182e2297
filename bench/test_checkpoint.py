"""What a checkpoint costs: taking down where the run is, and a durable file."""

import time

import numpy as np
import pytest
from measuring import size

import twonn
from twonn.engine import checkpoint
from twonn.engine.kernel import prepared
from twonn.engine.run import so_far
from twonn.files import locked
from twonn.problem.runspec import RunOptions, RunSpec

MINUTE = 60.0
ROUNDS = size(30, 3)


@pytest.mark.parametrize(("case", "steps"), [("small", 1000), ("with 10,000 transitions", 10**6)])
def test_a_checkpoint_a_minute(case, steps, tmp_path, add_note, add_record):
    problem = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
    params = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.3])
    path = tmp_path / "run.twonn"
    twonn.run(
        problem, params, 10**9, engine="direct", checkpoint=path, checkpoint_every=1, on_block=lambda *_: True
    )
    values, _ = checkpoint.read(path)
    assert so_far(path)[0].status is twonn.Status.INTERRUPTED
    kernel = prepared(RunSpec(problem, params, RunOptions(10**9, "direct", samples_per_decade=20.0)))
    kernel.advance(steps)
    states, files, others = np.empty(ROUNDS), np.empty(ROUNDS), np.empty(ROUNDS)
    with locked(path) as lock:
        for n in range(ROUNDS):
            begun = time.perf_counter()
            state = kernel.state()
            states[n] = time.perf_counter() - begun
            begun = time.perf_counter()
            checkpoint.write(path, {**values, **state}, lock)
            files[n] = time.perf_counter() - begun
            begun = time.perf_counter()
            np.savez(tmp_path / "run.npz", **{**values, **state})
            others[n] = time.perf_counter() - begun
    back, damage = checkpoint.read(path)
    assert damage is None and back["step"] == kernel.step
    add_record("checkpoint", f"{case}, durable", "numpy.savez, not durable", files, others, unit="file")
    # Where the run is, is taken down every second, for the file at the end.
    share = (np.median(files) + MINUTE * np.median(states)) / MINUTE
    add_note(
        f"checkpoint, {case}, {path.stat().st_size:,} bytes: state {np.median(states) * 1e6:.0f} µs, "
        f"file {np.median(files) * 1e3:.2f} ms (up to {files.max() * 1e3:.1f}), "
        f"one a minute {100 * share:.3f} % of the run  0.1 {'met' if share < 1e-3 else 'MISSED'}"
    )
