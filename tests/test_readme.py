"""The README's example runs as it stands."""

import math
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
    traj, (w0, w1) = names["traj"], names["start"].w[:, 0]
    assert traj.t[-1] == 10**16
    # gap = c/(ln t + K) with c = |w_0 + w_1|/2 and K = ln 2h + (w_0 − w_1)/2, up to 4e-15 of it
    gap = abs(w0 + w1) / 2 / (math.log(10**16) + math.log(0.01) + (w0 - w1) / 2)
    assert np.isclose(traj.gap[-1], gap, rtol=1e-13, atol=0)
    assert "All 10^16 steps were taken." in capsys.readouterr().out
    assert (tmp_path / "run.npz").exists()


def test_the_spec_example_is_accepted(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "SPEC.toml").write_text(example)
    spec = Spec(tmp_path / "SPEC.toml")
    assert spec.problem == twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    assert spec.params == twonn.initializers.sample("he_normal", runs=1, seed=42)[0]
