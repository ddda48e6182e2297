from .curves import gap, local_exponent, parameters, scaled_gap
from .histograms import constants
from .parts import written_to
from .planes import decision_regions, network, phase_plane
from .ribbons import pattern, slides

__all__ = [
    "constants",
    "decision_regions",
    "gap",
    "local_exponent",
    "network",
    "parameters",
    "pattern",
    "phase_plane",
    "scaled_gap",
    "slides",
    "written_to",
]
