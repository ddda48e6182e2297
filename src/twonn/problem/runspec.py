"""What a run is asked for, in one object: everything that its result depends on.

It is made and checked once. The kernel's adapter, checkpoints and sweeps read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import ArgumentValueError, Verbatim, one_of, positive_number, whole_number
from twonn.optimizers import (
    STEP_SIZE_SYNONYMS,
    Custom,
    Optimizer,
    chosen,
    optimizer_dict,
    recorded,
    require_steps,
)
from twonn.problem.horizon import (
    LARGEST_COUNT,
    direct_limit,
    horizon,
    listed_steps,
    sample_schedule,
)
from twonn.problem.params import Params, check_compatible, single_run
from twonn.problem.problem import Problem, problem_dict

#: Steps that the engine "auto" takes one by one by default before it gives up.
MAX_DIRECT = 10**10

Engine = Literal["auto", "direct", "leap"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

ENGINE_SYNONYMS = {
    "default": "auto",
    "automatic": "auto",
    "best": "auto",
    "exact": "direct",
    "step": "direct",
    "stepping": "direct",
    "loop": "direct",
    "jump": "leap",
    "leapfrog": "leap",
    "skip": "leap",
}

Sliding = Literal["average", "step"]
SLIDING: tuple[Sliding, ...] = get_args(Sliding)

_SLIDING_SYNONYMS = {"mean": "average", "direct": "step", "exact": "step"}

#: What other libraries call the arguments of `run` and `sweep`.
RUN_SYNONYMS = {
    "n_steps": "steps",
    "num_steps": "steps",
    "max_steps": "steps",
    "horizon": "steps",
    "iterations": "steps",
    "n_iter": "steps",
    "max_iter": "steps",
    "epochs": "steps",
    "log_steps": "log10_steps",
    "method": "engine",
    "solver": "engine",
    "backend": "engine",
    "optim": "optimizer",
    "optimiser": "optimizer",
    "callback": "on_block",
    "verbose": "progress",
    "init": "params",
    "start": "params",
    "starts": "params",
    **STEP_SIZE_SYNONYMS,
}

#: Steps to record, and logarithms of those that are too many to be counted.
Schedule = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class RunOptions:
    """How a problem is run from a start: the same for one run, and for all runs of a sweep.

    Attributes
    ----------
    horizon : int
        Steps asked for.
    engine, sliding : str
        As in `twonn.run`.
    samples_per_decade, sample_steps
        As in `twonn.run`; None is the default density.
    optimizer : Optimizer or None
        None for gradient descent.
    max_direct : int
        As in `twonn.run`.

    Raises
    ------
    TypeError, ValueError
        If `engine` or `sliding` is unknown, or the optimizer does not have that engine.
    """

    horizon: int
    engine: Engine = "auto"
    sliding: Sliding = "average"
    samples_per_decade: float | None = None
    sample_steps: Sequence[int] | None = None
    optimizer: Optimizer | None = None
    max_direct: int = MAX_DIRECT

    def __post_init__(self) -> None:
        if self.sample_steps is not None:
            # As ints in a tuple, so that options are compared, and stay as they are.
            steps = tuple(listed_steps(self.sample_steps, self.horizon))
            object.__setattr__(self, "sample_steps", steps)
        one_of("engine", self.engine, ENGINES, ENGINE_SYNONYMS)
        one_of("sliding", self.sliding, SLIDING, _SLIDING_SYNONYMS)
        if self.optimizer is not None:
            require_steps(self.optimizer, self.engine)

    @classmethod
    def of_arguments(
        cls,
        steps: object,
        log10_steps: object,
        *,
        optimizer: object,
        max_direct: object,
        **others: Any,
    ) -> RunOptions:
        """Return the options that a call of `twonn.run` or `twonn.sweep` asks for, checked."""
        return cls(
            horizon(steps, log10_steps),
            optimizer=chosen(optimizer),
            max_direct=direct_limit(max_direct),
            **others,
        )

    @property
    def is_stepped(self) -> bool:
        """Whether every step is taken."""
        return self.engine == "direct" or self.optimizer is not None

    @property
    def reachable_steps(self) -> int:
        """The horizon, or, where every step is taken, the last step that can be counted."""
        return min(self.horizon, LARGEST_COUNT) if self.is_stepped else self.horizon

    @property
    def most_steps(self) -> int:
        """The most steps that are taken one by one where every step is: what counts, or `max_direct`."""
        return LARGEST_COUNT if self.engine == "direct" else self.max_direct

    @property
    def is_affordable(self) -> bool:
        """Whether the horizon is one that stepping may reach, where every step is taken."""
        return not self.is_stepped or self.horizon <= self.most_steps

    @property
    def samples_by_default(self) -> bool:
        return self.samples_per_decade is None and self.sample_steps is None

    def schedule(self) -> Schedule:
        """Return which steps to record."""
        return sample_schedule(self.reachable_steps, self.samples_per_decade, self.sample_steps)

    def require_kernel(self) -> None:
        """Refuse an optimizer that the kernel does not have."""
        if isinstance(self.optimizer, Custom):
            expected = "one of twonn's optimizers where many runs are computed together"
            fix = "Call twonn.run in a loop, with your function as its optimizer."
            raise ArgumentValueError("optimizer", Verbatim(f"the function {self.optimizer}"), expected, fix)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON has them; numbers of steps that may be large are hexadecimal texts."""
        listed = self.sample_steps
        return {
            "horizon": hex(self.horizon),
            "engine": self.engine,
            "sliding": self.sliding,
            "samples_per_decade": None if listed is not None else self.samples_per_decade,
            "sample_steps": None if listed is None else [hex(step) for step in listed],
            "optimizer": optimizer_dict(self.optimizer),
            "max_direct": self.max_direct,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunOptions:
        """Return the options that `to_dict` has written; any error means that it has not."""
        listed = values["sample_steps"]
        if listed is not None and not isinstance(listed, list):
            raise ValueError("sample_steps is not a list")
        density = values["samples_per_decade"]
        if density is not None:
            density = positive_number("samples_per_decade", density, "Ask for more.")
        return cls(
            horizon=read_steps("horizon", values["horizon"]),
            engine=values["engine"],
            sliding=values["sliding"],
            samples_per_decade=density,
            sample_steps=None if listed is None else [read_steps("sample_steps", step) for step in listed],
            optimizer=recorded(values["optimizer"]),
            max_direct=whole_number("max_direct", values["max_direct"], least=1, fix="Write a number."),
        )


@dataclass(frozen=True)
class RunSpec:
    """A run: a problem, a start, and how it is run.

    Attributes
    ----------
    problem : Problem
    params : Params
        The start: one network.
    options : RunOptions

    Raises
    ------
    TypeError, ValueError
        If problem and start do not go together, or there are several starts.
    """

    problem: Problem
    params: Params
    options: RunOptions

    def __post_init__(self) -> None:
        check_compatible(self.problem, self.params)
        single_run(self.params)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        start = {name: getattr(self.params, name).tolist() for name in ("w", "b", "v")}
        return {"problem": problem_dict(self.problem), "start": start, **self.options.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSpec:
        """Return what `to_dict` has written; any error means that it has not."""
        return cls(Problem(**values["problem"]), Params(**values["start"]), RunOptions.from_dict(values))


def are_same_run(one: RunSpec, other: RunSpec) -> bool:
    """Whether two runs have the same steps and samples, as far as both go."""
    asked = [spec.to_dict() for spec in (one, other)]
    for values in asked:
        del values["horizon"], values["max_direct"]
    return asked[0] == asked[1]


_STEPS = re.compile("0x(0|[1-9a-f][0-9a-f]*)")


def read_steps(name: str, steps: object) -> int:
    """Return the number of steps that a text says, as `hex` writes it and in no other way."""
    if not isinstance(steps, str) or not _STEPS.fullmatch(steps):
        raise ValueError(f"{name} is not a hexadecimal number of steps")
    return int(steps, 16)
