"""Figures of trajectories: functions that take and return Matplotlib axes.

Without `ax` they draw on a new pyplot figure, which a notebook shows. Their style comes from
``twonn.mplstyle`` and applies only inside each call: Matplotlib's global settings stay as they are.

Step t is placed at log10 t, on an axis that is labelled with powers of ten, because t itself leaves the range
of binary64 at 10^308. To add something to such an axis, do the same: ``ax.axvline(np.log10(1e6))``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
