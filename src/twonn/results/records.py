"""What is recorded of a run in addition to its samples, and how a run may end."""

from __future__ import annotations

import enum

import numpy as np

from twonn.values import public

#: One activation-pattern transition, dated to the step that shows the new pattern. Where rounding leaves
#: doubt, the true step lies in [t_low, t_high].
TRANSITION = np.dtype(
    [
        ("t", np.float64),
        ("log_t", np.float64),
        ("before", np.uint8),
        ("after", np.uint8),
        ("t_low", np.float64),
        ("t_high", np.float64),
    ]
)

#: One sliding episode of a neuron along its kink at a point. t_exit is inf where it is still sliding.
SLIDE = np.dtype(
    [
        ("neuron", np.uint8),
        ("point", np.uint8),
        ("t_enter", np.float64),
        ("t_exit", np.float64),
        ("active_fraction", np.float64),
    ]
)

#: One stretch of steps and the engine that covered it: "direct", "leap", "slide" where leaps averaged over
#: the sawtooth of neurons that slide, or "mixed" for all that follows the first 1,023 stretches.
#: Blocks are the parts that were handled at once; iterations are those of leaps.
SEGMENT = np.dtype(
    [
        ("engine", "U8"),
        ("t_start", np.float64),
        ("t_stop", np.float64),
        ("log_t_start", np.float64),
        ("log_t_stop", np.float64),
        ("blocks", np.int64),
        ("iterations", np.int64),
    ]
)

#: Every array along the samples: name -> (dimensions after the sample, unit, meaning).
VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "w": (("neuron", "axis"), "1/[x]", "input weights"),
    "b": (("neuron",), "1", "biases"),
    "v": (("neuron",), "1", "output weights"),
    "margins": (("point",), "1", "functional margins y_i f(x_i)"),
    "log_loss": ((), "1", "natural logarithm of the objective"),
    "loss": ((), "1", "objective"),
    "pattern": ((), "1", "activation pattern, bit 2j+i: neuron j active on point i"),
    "distances": (
        ("point",),
        "[x]",
        "how far each point can be moved before it is misclassified",
    ),
    "robust_margin": ((), "[x]", "smallest of the distances"),
    "gap": ((), "[x]", "optimal margin minus robust margin"),
    "gap_error": ((), "[x]", "error of the gap, from rounding and leaping"),
    "boundary": ((), "[x]", "sign change of f between the points"),
}

#: Relative error of the parameters that leaps aim to stay below.
ACCURACY = 1e-14


@public
class Status(enum.Enum):
    """How a run ended.

    Either all steps were taken (COMPLETED), possibly with parameters that reached a finite minimiser to
    rounding (CONVERGED; only leaps look for that). Or the run ended earlier: no neuron was active on any
    point (STATIONARY), a number stopped being finite (DIVERGED), the run was stopped (INTERRUPTED), or the
    engine gave up (OBSTRUCTED). Parameters that were computed elsewhere are EXTERNAL.
    """

    COMPLETED = "completed"
    STATIONARY = "stationary"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    OBSTRUCTED = "obstructed"
    CONVERGED = "converged"
    EXTERNAL = "external"
