"""Results as JSON, which ``--json`` prints: for other programs to read.

The text is valid JSON. What is not a finite number is null. A whole number beyond 2^53, which not every
reader holds exactly, is a string: its digits, or digits and a power of ten such as "1e1000", or, where these
would be too many, a hexadecimal number. The decimal logarithm of every number of steps is there, too.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twonn.analysis.asymptote import Asymptote
from twonn.analysis.fit_rate import RateFit
from twonn.geometry.optimal import optimal_margin
from twonn.optimizers import optimizer_dict
from twonn.problem.params import Params
from twonn.problem.problem import problem_dict
from twonn.results.trajectory import Trajectory
from twonn.sweeps.axes import stretches
from twonn.sweeps.result import SweepResult
from twonn.sweeps.summary import STATUSES

__all__ = ["as_json", "exact", "of_asymptote", "of_fit", "of_sweep", "of_trajectory", "steps"]

#: Whole numbers up to here are exact in readers that have binary64 only.
_LARGEST_EXACT = 2**53

#: Of a longer number, at most so many digits are written out, with a power of ten after them.
_DIGITS = 60


def as_json(value: Mapping[str, Any]) -> str:
    """Return the JSON text of a mapping of numbers, texts, arrays, and mappings and sequences of them.

    It has one line for each entry.
    """
    lines = (f"  {json.dumps({name: _plain(one)}, allow_nan=False)[1:-1]}" for name, one in value.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.names is not None:
        return [{name: _plain(row[name]) for name in value.dtype.names} for row in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return exact(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def exact(number: int) -> int | str:
    """Return a whole number >= 0 as JSON has it without loss: itself, or, beyond 2^53, a text."""
    if abs(number) <= _LARGEST_EXACT:
        return number
    # Digits without a power are for numbers of moderate length: the conversion takes quadratic time.
    places = max(math.floor(math.log10(abs(number))) - _DIGITS, 0)
    digits, rest = divmod(number, 10**places)
    if rest:
        return hex(number)
    text = str(digits)
    zeros = places + len(text) - len(text.rstrip("0"))
    return f"{text.rstrip('0')}e{zeros}" if zeros > 3 else str(number)


def steps(name: str, number: int) -> dict[str, Any]:
    """Return a number of steps under its name, and its decimal logarithm."""
    return {name: number, f"log10_{name}": math.log10(number) if number else None}


def of_trajectory(traj: Trajectory) -> dict[str, Any]:
    """Return what happened, how it was computed, and where it ended."""
    options = traj.spec.options
    return {
        "status": traj.status,
        "success": traj.success,
        "outcome": traj.outcome,
        "message": traj.message,
        "obstacle": traj.obstacle,
        **steps("horizon", traj.horizon),
        **steps("end_step", traj.end_step),
        "problem": problem_dict(traj.problem),
        "start": _params(traj.params),
        "options": {
            "engine": options.engine,
            "sliding": options.sliding,
            "samples_per_decade": options.samples_per_decade,
            "sample_steps": options.sample_steps,
            "max_direct": options.max_direct,
            "optimizer": optimizer_dict(options.optimizer),
        },
        "samples": len(traj.t),
        "final": {
            **_params(traj.final),
            "pattern": int(traj.pattern[-1]),
            **{name: getattr(traj, name)[-1] for name in ("margins", "log_loss", "loss", "distances")},
            **{name: getattr(traj, name)[-1] for name in ("robust_margin", "gap", "gap_error")},
        },
        "optimal_margin": optimal_margin(traj.problem),
        "n_transitions": traj.n_transitions,
        "n_transitions_exact": traj.n_transitions_exact,
        "n_slides": len(traj.slides),
        "error_estimate": traj.error_estimate,
        "segments": traj.segments,
        "provenance": traj.provenance,
    }


def _params(params: Params) -> dict[str, Any]:
    return {"w": params.w, "b": params.b, "v": params.v}


def of_sweep(result: SweepResult) -> dict[str, Any]:
    """Return how many runs are done, which are missing, and how they ended."""
    counts = np.bincount(result["status"], minlength=len(STATUSES))
    return {
        "message": result.message,
        "complete": result.complete,
        "interrupted": result.interrupted,
        "abandoned": result.abandoned,
        "runs": result.runs,
        "part": result.part,
        "n_missing": len(result.missing),
        "missing": [{"first": runs.start, "stop": runs.stop} for runs in stretches(result.missing)],
        "failures": [
            {"first": runs.start, "stop": runs.stop, "error": why} for runs, why in result.failures.items()
        ],
        "successes": int(result["success"].sum()),
        "statuses": dict(zip(STATUSES, counts, strict=True)),
        **steps("horizon", result.horizon),
        "problems": [problem_dict(problem) for problem in result.problems],
        "starts": len(result.params),
        "optimizers": [optimizer_dict(optimizer) for optimizer in result.optimizers],
        "dimensions": result.dimensions,
        "store": result.store,
    }


def of_fit(fit: RateFit) -> dict[str, Any]:
    """Return the law that was found, its numbers with their intervals, and how the laws compare."""
    names = ("law", "alternatives", "exponent", "power", "constant", "shift", "limit", "intervals", "noise")
    return {
        **{name: getattr(fit, name) for name in names},
        "samples": len(fit.log_t),
        "n_zeros": fit.n_zeros,
        "n_lost": fit.n_lost,
        "fits": [
            {
                "law": one.law,
                "size": one.size,
                "numbers": one.numbers,
                "deviation": one.deviation,
                "prediction_error": one.prediction_error,
            }
            for one in fit.fits
        ],
    }


def of_asymptote(closed: Asymptote) -> dict[str, Any]:
    """Return the law in closed form, and what is known of the region whose law it is."""
    names = ("known", "reason", "law", "constant", "shift", "limit", "boundary")
    region = ("pattern", "sliding", "is_final", "conditions", "u", "decay", "variable")
    lines = (f"{name}_{part}" for name in "wbv" for part in ("slope", "offset"))
    return {
        **{name: getattr(closed, name) for name in (*names, *region, *lines)},
        "alternatives": [of_asymptote(other) for other in closed.alternatives],
    }
