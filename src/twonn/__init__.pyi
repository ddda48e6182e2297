from . import initializers, optimizers, plot
from .analysis.asymptote import Asymptote, asymptote
from .analysis.fit_rate import RateFit, fit_rate
from .config import show_config
from .engine.run import resume, run
from .files import CheckpointError
from .geometry.boundary import boundary
from .geometry.distances import distances, gap, robust_margin
from .geometry.objective import gradient, loss
from .geometry.optimal import optimal_margin
from .optimizers import Adam, Momentum, NormalizedGD
from .problem.params import Params
from .problem.problem import Problem
from .results.records import Status
from .results.trajectory import Trajectory
from .sweeps.loading import load
from .sweeps.result import SweepResult
from .sweeps.sweep import sweep

__all__ = [
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
