"""Public names: the whole list, where they say that they are, and that each is loaded on use."""

import os
import pickle
import subprocess
import sys

import pytest

import twonn
from twonn.arguments import ArgumentError, Verbatim, whole_number

NAMES = [
    "Adam",
    "Asymptote",
    "CheckpointError",
    "Momentum",
    "NormalizedGD",
    "Params",
    "Problem",
    "RateFit",
    "Status",
    "SweepResult",
    "Trajectory",
    "asymptote",
    "boundary",
    "distances",
    "fit_rate",
    "gap",
    "gradient",
    "initializers",
    "load",
    "loss",
    "optimal_margin",
    "optimizers",
    "plot",
    "resume",
    "robust_margin",
    "run",
    "show_config",
    "sweep",
]

NAMESPACES = {
    "initializers": ["NAMES", "sample"],
    "optimizers": ["Adam", "Momentum", "NormalizedGD", "Optimizer"],
    "plot": [
        "compare",
        "constants",
        "decision_regions",
        "distances",
        "gap",
        "gap_bands",
        "local_exponent",
        "loss",
        "margins",
        "network",
        "parameters",
        "pattern",
        "phase_plane",
        "scaled_gap",
        "slides",
        "written_to",
    ],
}


def test_the_public_names():
    assert sorted(twonn.__all__) == dir(twonn) == NAMES
    for name, names in NAMESPACES.items():
        assert dir(getattr(twonn, name)) == names
        assert sorted(getattr(twonn, name).__all__) == names


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NAMESPACES])
def test_public_objects_are_of_twonn(name):
    thing = getattr(twonn, name)
    assert (thing.__module__, thing.__name__) == ("twonn", name)
    assert pickle.loads(pickle.dumps(thing)) is thing


def test_there_is_no_other_name():
    with pytest.raises(AttributeError, match="Trajectories"):
        twonn.Trajectories  # noqa: B018 - it is asked for


def loaded(program: str, **variables: str) -> set[str]:
    """The modules that a program loads in an interpreter of its own."""
    environment = {**os.environ, **variables}
    if not variables:
        environment.pop("EAGER_IMPORT", None)
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_names_are_loaded_on_use():
    nothing = loaded("import twonn")
    assert "numpy" not in nothing and not any(name.startswith("twonn.") for name in nothing)
    a_run = loaded("import twonn; twonn.run")
    assert "twonn.engine.run" in a_run and not a_run & {"matplotlib", "scipy", "zarr", "twonn.sweeps.sweep"}
    assert "twonn.plot.curves" in loaded("import twonn", EAGER_IMPORT="1")


def test_a_refused_argument_has_its_facts_as_fields():
    with pytest.raises(ArgumentError) as caught:
        whole_number("runs", 0, least=1, fix="Write e.g. runs=1000.")
    error = caught.value
    assert isinstance(error, ValueError)
    assert (error.argument, error.got, error.expected) == ("runs", "0", "a whole number >= 1")
    assert str(error) == "runs: got 0; expected a whole number >= 1. Write e.g. runs=1000."
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and again.fix == "Write e.g. runs=1000."
    with pytest.raises(TypeError) as caught:
        whole_number("runs", "two", least=1, fix="")
    assert caught.value.got == "'two'"
    assert str(ArgumentError("w", Verbatim("shape (3,)"), "shape (2,)", "Give two.")) == (
        "w: got shape (3,); expected shape (2,). Give two."
    )
