"""Figures of trajectories: functions that take and return Matplotlib axes.

Without `ax` they draw on a new pyplot figure, which a notebook shows. The look comes from
``twonn.mplstyle`` and holds inside each call only: Matplotlib's global settings stay as they are.

Steps are placed at log10 t on axes that label them as powers of ten, because t itself leaves the range of
binary64 at 10^308. Whoever adds to such axes does the same: ``ax.axvline(np.log10(1e6))``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
