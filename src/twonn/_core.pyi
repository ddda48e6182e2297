from collections.abc import Mapping
from typing import Any, Final

from numpy import bool_, dtype, float32, float64, int64, uint8
from numpy.typing import NDArray

COMPILER: Final[str]
FLAGS: Final[str]
ISA: Final[str]
STATE_SIZE: Final[int]
TRANSITIONS_KEPT: Final[int]
RUNNING: Final[int]
COMPLETED: Final[int]
STATIONARY: Final[int]
DIVERGED: Final[int]
INTERRUPTED: Final[int]
OBSTRUCTED: Final[int]
CONVERGED: Final[int]
DIRECT: Final[int]
AUTO: Final[int]
LEAP: Final[int]
NONE: Final[int]
LARGE_STEPS: Final[int]
NEAR_KINK: Final[int]
UNRESOLVED: Final[int]
SEGMENTS_KEPT: Final[int]
SLIDES_KEPT: Final[int]
STEPPED: Final[int]
LEAPT: Final[int]
AVERAGED: Final[int]
PATIENCE: Final[int]
LOSSES: Final[dict[str, int]]
LIMITS: Final[dict[str, tuple[int, int]]]
STATE_DTYPES: Final[dict[str, dtype[Any]]]

def note_signal() -> None: ...

class Run:
    step: int
    log_step: float
    status: int
    obstacle: int
    converged_step: int
    converged_log: float
    error: float
    averaged: bool
    counted: bool
    averaging_error: float
    n_samples: int
    n_transitions: int
    def __init__(
        self,
        x: NDArray[float64],
        labels: NDArray[float64],
        point_step: float,
        bias: bool,
        loss: int,
        trained: bool,
        w: NDArray[float64],
        b: NDArray[float64],
        v: NDArray[float64],
        schedule: NDArray[int64],
        late_schedule: NDArray[float64],
        engine: int,
        average: bool = True,
        max_direct: int = ...,
    ) -> None: ...
    @property
    def sample_steps(self) -> NDArray[int64]: ...
    @property
    def sample_logs(self) -> NDArray[float64]: ...
    @property
    def sample_states(self) -> NDArray[float64]: ...
    @property
    def sample_patterns(self) -> NDArray[uint8]: ...
    @property
    def sample_phase_unknown(self) -> NDArray[uint8]: ...
    @property
    def slides(self) -> list[tuple[float, float, float, float, float]]: ...
    @property
    def transition_times(self) -> NDArray[float64]: ...
    @property
    def transition_before(self) -> NDArray[uint8]: ...
    @property
    def transition_after(self) -> NDArray[uint8]: ...
    @property
    def transition_counts(self) -> NDArray[int64]: ...
    @property
    def segments(self) -> list[tuple[int, int, float, int, float, int, int]]: ...
    def advance(self, steps: int) -> None: ...
    def interrupt(self) -> None: ...
    @property
    def present(self) -> NDArray[float64]: ...
    def state(self) -> dict[str, NDArray[Any]]: ...
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None: ...

class Batch:
    sample_steps: NDArray[int64]
    sample_logs: NDArray[float64]
    sample_states: NDArray[float64]
    sample_patterns: NDArray[uint8]
    sample_phase_unknown: NDArray[uint8]
    transition_times: NDArray[float64]
    transition_patterns: NDArray[uint8]
    slides: NDArray[float64]
    open_slides: NDArray[float64]
    status: NDArray[uint8]
    obstacle: NDArray[uint8]
    last_step: NDArray[int64]
    last_log: NDArray[float64]
    converged_step: NDArray[int64]
    converged_log: NDArray[float64]
    error: NDArray[float64]
    averaging_error: NDArray[float64]
    averaged: NDArray[bool_]
    counted: NDArray[bool_]
    n_samples: NDArray[int64]
    n_transitions: NDArray[int64]
    n_slides: NDArray[int64]
    def __init__(
        self,
        x: NDArray[float64],
        labels: NDArray[float64],
        point_step: float,
        bias: bool,
        loss: int,
        trained: bool,
        w: NDArray[float64],
        b: NDArray[float64],
        v: NDArray[float64],
        schedule: NDArray[int64],
        late_schedule: NDArray[float64],
        engine: int,
        average: bool = True,
        transitions_kept: int = 16,
        slides_kept: int = 4,
        max_direct: int = ...,
    ) -> None: ...
    def advance(self, steps: int) -> int: ...
    def interrupt(self) -> None: ...
    def state(self) -> dict[str, NDArray[Any]]: ...
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None: ...

MOMENTUM: Final[int]
NORMALIZED: Final[int]
ADAM: Final[int]

class OptimizerRun(Run):
    def __init__(
        self,
        x: NDArray[float64],
        labels: NDArray[float64],
        step_size: float,
        weight: float,
        bias: bool,
        loss: int,
        trained: bool,
        w: NDArray[float64],
        b: NDArray[float64],
        v: NDArray[float64],
        schedule: NDArray[int64],
        kind: int,
        options: NDArray[float64],
    ) -> None: ...

class OptimizerBatch:
    status: NDArray[uint8]
    last_step: NDArray[int64]
    n_samples: NDArray[int64]
    n_transitions: NDArray[int64]
    sample_steps: NDArray[int64]
    sample_states: NDArray[float64]
    sample_patterns: NDArray[uint8]
    transition_times: NDArray[float64]
    transition_patterns: NDArray[uint8]
    def __init__(
        self,
        x: NDArray[float64],
        labels: NDArray[float64],
        step_size: float,
        weight: float,
        bias: bool,
        loss: int,
        trained: bool,
        w: NDArray[float64],
        b: NDArray[float64],
        v: NDArray[float64],
        schedule: NDArray[int64],
        kind: int,
        options: NDArray[float64],
        transitions_kept: int = 16,
    ) -> None: ...
    def advance(self, steps: int) -> int: ...
    def state(self) -> dict[str, NDArray[Any]]: ...
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None: ...

def own_preactivations(x: NDArray[float64], states: NDArray[float64]) -> NDArray[float64]: ...
def descend_in_float32(
    x: NDArray[float32],
    y: NDArray[float32],
    w: NDArray[float32],
    b: NDArray[float32],
    v: NDArray[float32],
    step_size: float,
    schedule: NDArray[int64],
) -> tuple[NDArray[float32], int]: ...
def usable_instruction_sets() -> list[str]: ...
def arithmetic_faults() -> list[str]: ...
def exp(x: NDArray[float64]) -> NDArray[float64]: ...
def log(x: NDArray[float64]) -> NDArray[float64]: ...
def log1p(x: NDArray[float64]) -> NDArray[float64]: ...
def expm1(x: NDArray[float64]) -> NDArray[float64]: ...
def preactivations(w: NDArray[float64], b: NDArray[float64], x: NDArray[float64]) -> NDArray[float64]: ...
def state_preactivations(
    x: NDArray[float64],
    bias: bool,
    w: NDArray[float64],
    b: NDArray[float64],
    states: NDArray[float64],
) -> NDArray[float64]: ...
def state_weights(
    x: NDArray[float64],
    bias: bool,
    w: NDArray[float64],
    b: NDArray[float64],
    states: NDArray[float64],
) -> tuple[NDArray[float64], NDArray[float64]]: ...
def values(
    w: NDArray[float64], b: NDArray[float64], v: NDArray[float64], x: NDArray[float64]
) -> NDArray[float64]: ...
def margins(labels: NDArray[float64], v: NDArray[float64], z: NDArray[float64]) -> NDArray[float64]: ...
def distances(
    labels: NDArray[float64], w: NDArray[float64], v: NDArray[float64], z: NDArray[float64]
) -> NDArray[float64]: ...
def gaps(
    labels: NDArray[float64],
    optimal: float,
    direction: NDArray[float64],
    w: NDArray[float64],
    v: NDArray[float64],
    z: NDArray[float64],
) -> NDArray[float64]: ...
def gap_errors(
    labels: NDArray[float64],
    optimal: float,
    direction: NDArray[float64],
    w: NDArray[float64],
    v: NDArray[float64],
    z: NDArray[float64],
    reach: float,
    trained: bool,
    errors: NDArray[float64],
) -> NDArray[float64]: ...
def boundaries(
    low: float, high: float, w: NDArray[float64], v: NDArray[float64], z: NDArray[float64]
) -> NDArray[float64]: ...
def norms(rows: NDArray[float64]) -> NDArray[float64]: ...
