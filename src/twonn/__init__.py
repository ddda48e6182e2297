"""Gradient descent on a two-neuron ReLU network with two training points, stepped exactly.

The instrument for one question: how slowly does gradient descent find the robust classifier? See
Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
"""

from twonn import initializers, plot
from twonn.asymptotics import Asymptote, asymptote
from twonn.config import show_config
from twonn.files import CheckpointError
from twonn.geometry import boundary, distances, gap, optimal_margin, robust_margin
from twonn.optimizers import Adam, Momentum, NormalizedGD
from twonn.problem import Params, Problem
from twonn.rates import RateFit, fit_rate
from twonn.run import resume, run
from twonn.sweep import SweepResult, sweep
from twonn.trajectory import Status, Trajectory, load

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
    "initializers",
    "load",
    "optimal_margin",
    "plot",
    "resume",
    "robust_margin",
    "run",
    "show_config",
    "sweep",
]
