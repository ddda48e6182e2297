from typing import Final

from numpy import float64, int64, uint8
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

class DirectRun:
    step: int
    status: int
    n_samples: int
    n_transitions: int
    def __init__(
        self,
        x: NDArray[float64],
        labels: NDArray[float64],
        rate: float,
        bias: bool,
        logistic: bool,
        trained: bool,
        w: NDArray[float64],
        b: NDArray[float64],
        v: NDArray[float64],
        schedule: NDArray[int64],
    ) -> None: ...
    @property
    def sample_steps(self) -> NDArray[int64]: ...
    @property
    def sample_states(self) -> NDArray[float64]: ...
    @property
    def sample_patterns(self) -> NDArray[uint8]: ...
    @property
    def transition_steps(self) -> NDArray[int64]: ...
    @property
    def transition_before(self) -> NDArray[uint8]: ...
    @property
    def transition_after(self) -> NDArray[uint8]: ...
    @property
    def transition_counts(self) -> NDArray[int64]: ...
    def advance(self, steps: int) -> None: ...
    def interrupt(self) -> None: ...

def arithmetic_faults() -> list[str]: ...
def exp(x: NDArray[float64]) -> NDArray[float64]: ...
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
