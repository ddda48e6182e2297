"""Gradient descent on a two-neuron ReLU network with two training points, stepped exactly.

The instrument for one question: how slowly does gradient descent find the robust classifier? See
Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.
"""

from twonn import initializers, plot
from twonn.analysis.asymptotics import Asymptote, asymptote
from twonn.analysis.rates import RateFit, fit_rate
from twonn.config import show_config
from twonn.engine.run import resume, run
from twonn.files import CheckpointError
from twonn.geometry.boundary import boundary
from twonn.geometry.distances import distances, gap, robust_margin
from twonn.geometry.optimal import optimal_margin
from twonn.optimizers import Adam, Momentum, NormalizedGD
from twonn.problem.params import Params
from twonn.problem.problem import Problem
from twonn.results.saved import load
from twonn.results.trajectory import Status, Trajectory
from twonn.sweeps.result import SweepResult
from twonn.sweeps.sweep import sweep

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
