"""
Points in the plane
===================

The robustness margin has a closed form in every dimension. Here are two points in the plane, the network that gradient
descent has found after 10^3 and after 10^16 steps, and around each point the largest disk whose points are all classified
like it. Where f = 0, nothing is coloured.
"""

import matplotlib.pyplot as plt
import numpy as np

import twonn

problem = twonn.Problem(x=[[-1.0, 0.2], [0.9, -0.4]], y=[-1, 1], step_size=0.05)
start = twonn.initializers.sample("small", runs=1, seed=9, d=2)[0]
traj = twonn.run(problem, start, steps=10**16)
optimal = twonn.optimal_margin(problem)

side = np.linspace(-2.2, 2.2, 300)
points = np.stack(np.meshgrid(side, side), axis=-1)

fig, axes = plt.subplots(1, 2, figsize=(9, 4.5), sharex=True, sharey=True)
for ax, step in zip(axes, (10**3, 10**16), strict=True):
    there = traj.at(step)
    f = there.params(points)
    ax.contourf(
        side, side, np.sign(f), levels=[-1.5, -0.5, 0.5, 1.5], colors=["C0", "white", "C1"], alpha=0.3
    )
    for point, label, distance in zip(problem.x, problem.y, there.distances, strict=True):
        colour = "C1" if label > 0 else "C0"
        ax.plot(*point, "o", color=colour)
        ax.add_patch(plt.Circle(point, distance, fill=False, color=colour))
    ax.set(
        aspect="equal",
        title=f"margin {there.robust_margin:.4f} of {optimal:.4f} at step {there.t:.0e}",
    )
