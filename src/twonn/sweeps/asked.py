"""What a sweep was asked for, read back from the attributes that its results carry, in any format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twonn.optimizers import Optimizer, chosen
from twonn.problem.problem import Problem
from twonn.problem.runspec import read_steps
from twonn.sweeps.axes import Axes

#: Meanings of the coordinates, by name.
MEANINGS = {
    "run": "run",
    "problem": "index of the problem, in the attribute spec",
    "start": "index of the start",
    "optimizer": "optimizer, with the options that are not its defaults",
    "step_size": "step size of the problem",
}


@dataclass(frozen=True)
class Asked:
    """What a sweep was asked for, but for its starts, of which the spec has a digest only.

    Attributes
    ----------
    problems : tuple of Problem
    optimizers : tuple of (Optimizer or None)
        None for gradient descent.
    axes : Axes
    horizon : int
        Steps asked for.
    engine, sliding, starts : str
        As the spec has them.
    max_direct : int or None
        None where it does not matter.
    trajectories : tuple of str
        Variables kept along the runs.
    """

    problems: tuple[Problem, ...]
    optimizers: tuple[Optimizer | None, ...]
    axes: Axes
    horizon: int
    engine: str
    sliding: str
    starts: str
    max_direct: int | None
    trajectories: tuple[str, ...]

    @classmethod
    def read(cls, attributes: Mapping[str, Any], runs: int) -> Asked:
        """Return what the attributes of a sweep with so many runs say.

        Raises
        ------
        AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError
            If they are not those of a sweep.
        """
        spec = json.loads(attributes["spec"])
        optimizers = spec["optimizers"] if "optimizers" in spec else [spec["optimizer"]]
        return cls(
            problems=tuple(Problem(**one) for one in spec["problems"]),
            optimizers=tuple(chosen(one) for one in optimizers),
            axes=Axes.of_store(attributes, spec, runs),
            horizon=read_steps("steps", spec["steps"]),
            engine=spec["engine"],
            sliding=spec["sliding"],
            starts=spec["starts"],
            max_direct=spec.get("max_direct"),
            trajectories=tuple(spec["trajectories"]),
        )
