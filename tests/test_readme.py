"""The README's example runs as it stands."""

import re
from pathlib import Path

import matplotlib
import numpy as np

import twonn
from twonn.spec import Spec

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(example, str(README), "exec"), names)
    assert names["traj"].t[-1] == 10**7
    assert np.isclose(names["traj"].gap[-1], 0.0417126512, rtol=0, atol=5e-11)
    assert "All 10,000,000 steps were taken." in capsys.readouterr().out
    assert (tmp_path / "run.npz").exists()


def test_the_spec_example_is_accepted(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "SPEC.toml").write_text(example)
    spec = Spec(tmp_path / "SPEC.toml")
    assert spec.problem == twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    assert spec.params == twonn.initializers.sample("he_normal", runs=1, seed=42)[0]
