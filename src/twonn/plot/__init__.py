"""Figures of trajectories: functions that take and return Matplotlib axes.

Without `ax` they draw on a new pyplot figure, which a notebook shows. The look comes from
``twonn.mplstyle`` and holds inside each call only: Matplotlib's global settings stay as they are.

Steps are placed at log10 t on axes that label them as powers of ten, because t itself leaves the range of
binary64 at 10^308. Whoever adds to such axes does the same: ``ax.axvline(np.log10(1e6))``.
"""

from twonn.plot.curves import gap, local_exponent, parameters, scaled_gap
from twonn.plot.histograms import constants
from twonn.plot.parts import written_to
from twonn.plot.planes import decision_regions, network, phase_plane
from twonn.plot.ribbons import pattern, slides

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
