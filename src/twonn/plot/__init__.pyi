from .bands import gap_bands
from .classification import distances, loss, margins
from .comparison import compare
from .curves import gap, local_exponent, parameters, scaled_gap
from .histograms import constants
from .parts import written_to
from .planes import decision_regions, network, phase_plane
from .ribbons import pattern, slides

__all__ = [
    "compare",
    "constants",
    "decision_regions",
    "distances",
    "gap",
    "gap_bands",
    "local_exponent",
    "loss",
    "margins",
    "network",
    "parameters",
    "pattern",
    "phase_plane",
    "scaled_gap",
    "slides",
    "written_to",
]
