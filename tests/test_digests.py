"""The bits of 500 runs of every kind, as they were when tests/files/digests.json was written.

Whoever changes the last bit of a result on purpose raises ``BITS`` in `twonn.engine.batch`, names the change
in the changelog, and writes the file again: ``TWONN_DIGESTS=write pytest tests/test_digests.py``.
"""

import hashlib
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from strategies import random_case

import twonn

# All of them, in every environment.
pytestmark = pytest.mark.core

FILE = Path(__file__).parent / "files" / "digests.json"

GROUPS, RUNS, BATCHES = 20, 500, 12

#: No step is taken for more than some tens of milliseconds.
LIMIT = 10**6

HORIZONS = {
    "auto": (0, 1, 300, 10**4, 10**6, 10**9, 2**63 - 1, 2**63, 10**16, 10**16, 10**100, 10**1000),
    "direct": (0, 1, 255, 256, 1000, 10**4, 10**5, 3 * 10**5),
    "leap": (10**16, 10**300),
}

OPTIMIZERS = ({"name": "momentum"}, {"name": "normalized_gd"}, {"name": "adam"})


@pytest.fixture(scope="session")
def held():
    """What was written; with TWONN_DIGESTS=write, what is to be."""
    if os.environ.get("TWONN_DIGESTS") != "write":
        yield json.loads(FILE.read_text())
        return
    new: dict[str, str] = {}
    yield new
    FILE.write_text(json.dumps(new, indent=0, sort_keys=True) + "\n")


def rounded(values):
    """Keep 36 binary digits, so that neither the last bit of a mathematical function nor of BLAS matters."""
    significand, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(significand, 36)), exponent - 36)


def drawn(seed):
    """Return a problem, a start, and options of `run` for a few milliseconds."""
    rng = random.Random(f"digests {seed}")
    case = random_case(seed)
    old, start = case.problem, case.params
    x = rounded(old.x)
    problem = twonn.Problem(
        x=x if old.dimension > 1 else x[:, 0],
        y=old.y,
        step_size=float(rounded(old.step_size)),
        **{name: getattr(old, name) for name in ("loss", "reduction", "bias", "train_output")},
    )
    params = twonn.Params(w=rounded(start.w), b=rounded(start.b), v=rounded(start.v))
    engine = rng.choice(["auto", "auto", "auto", "auto", "direct", "direct", "leap"])
    options = {"engine": engine, "sliding": rng.choice(["average", "average", "average", "step"])}
    if engine == "direct" and rng.random() < 0.5:
        options["optimizer"] = rng.choice(OPTIMIZERS)
    if engine == "auto":
        options["max_direct"] = LIMIT
    options["steps"] = rng.choice(HORIZONS[engine])
    options["samples_per_decade"] = rng.choice([1, 5, 20])
    return problem, params, options


def digest_of(traj):
    """Return a digest of all that comes from the kernel, and of nothing that NumPy has made of it."""
    counted = [traj.t[traj.t <= 2.0**53], traj.log_t[traj.t > 2.0**53]]
    dates = [traj.transitions[name] for name in ("before", "after", "t", "t_low", "t_high")]
    slides = [traj.slides[name] for name in traj.slides.dtype.names]
    stretches = [traj.segments["blocks"], traj.segments["iterations"]]
    unknown = (traj.phase_unknown.reshape(-1, 4) @ [1, 2, 4, 8]).astype(np.uint8)
    arrays = [traj.states, traj.pattern, unknown, traj.transition_counts]
    text = f"{traj.status.name} {traj.end_step} {traj.n_transitions} {traj.n_transitions_exact}"
    text += f" {traj.error_bound.hex()} {list(traj.segments['engine'])}"
    return _sha256(text, [*counted, *dates, *slides, *stretches, *arrays])


def _sha256(text, arrays):
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        little = np.where(np.isnan(little), np.nan, little) if little.dtype.kind == "f" else little
        digest.update(f"{little.dtype.str} {little.shape}\n".encode() + little.tobytes())
    return digest.hexdigest()[:32]


def check(held, name, digest):
    if os.environ.get("TWONN_DIGESTS") == "write":
        held[name] = digest
    assert held[name] == digest, name


def outcome_of(seed, **more):
    problem, params, options = drawn(seed)
    try:
        return digest_of(twonn.run(problem, params, **options, **more))
    except ValueError as error:
        return f"refused: {str(error).partition(':')[0]}"


@pytest.mark.parametrize("group", range(GROUPS))
def test_runs_have_the_bits_that_they_had(held, group):
    for seed in range(group, RUNS, GROUPS):
        check(held, f"run {seed}", outcome_of(seed))


def test_interrupted_runs_have_the_bits_that_they_had(held, tmp_path):
    resumed = 0
    for seed in range(0, RUNS, 3):
        problem, params, options = drawn(seed)
        path = tmp_path / f"{seed}.twonn"
        try:
            first = twonn.run(problem, params, **options, checkpoint=path, on_block=lambda *now: True)
            while first.status is twonn.Status.INTERRUPTED:
                resumed += 1
                first = twonn.resume(path)
        except ValueError:
            continue
        check(held, f"run {seed}", digest_of(first))
    assert resumed >= 20  # so many take more than one block


@pytest.mark.parametrize("batch", range(BATCHES))
def test_batches_have_the_bits_that_they_had(held, batch):
    problem, _, options = drawn(1000 + batch)
    options.pop("samples_per_decade")
    options["engine"] = "direct" if "optimizer" in options else "auto"
    if options["engine"] == "direct":
        options["steps"] = min(options["steps"], 10**4)
    starts = twonn.initializers.sample("binary", 40, batch, problem.dimension, bias=problem.bias)
    starts = twonn.Params(w=rounded(starts.w), b=rounded(starts.b), v=rounded(starts.v))
    result = twonn.sweep(
        problem, starts, **{**options, "max_direct": 10**5}, chunk_size=16, executor="threads:1"
    )
    names = ("status", "n_transitions", "n_transitions_exact", "transition_t", "n_slides", "slide_neuron")
    names += ("slide_t_enter", "final_v", "final_pattern")
    check(held, f"batch {batch}", _sha256("", [result[name] for name in names]))
