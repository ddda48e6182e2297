"""
Four methods side by side
=========================

Gradient descent, momentum, normalized gradient descent and Adam from the same start on the paper's data. Which of them
escapes the law 1/ln t?
"""

import twonn

problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
start = twonn.Params(w=[0.43, -1.47])
runs = {
    name: twonn.run(problem, start, steps=10**6, optimizer=optimizer)
    for name, optimizer in {
        "gradient descent": "gd",
        "momentum": "momentum",
        "normalized GD": "normalized_gd",
        "Adam": "adam",
    }.items()
}

# %%
# `twonn.plot.compare` draws the gap, gap·ln t and the loss over the same steps. A curve of the middle panel that becomes
# level is a gap that falls like 1/ln t.

axes = twonn.plot.compare(runs)

# %%
# Momentum is gradient descent, ten times as fast. With normalized gradient descent the gap falls like 1/t. Adam keeps the
# boundary where it started until the gradients have shrunk to its ε; from there on it is slow gradient descent again. The
# margins of the points tell the same: those of normalized gradient descent grow like t, the others like ln t.

ax = twonn.plot.margins(runs)

# %%
# All functions that draw lines take such a mapping, a sequence of trajectories, or one trajectory. Calls on the same axes add
# up, and keywords such as `label`, `color` and `linestyle` are those of Matplotlib. For a single run, `twonn.plot.gap` draws
# the law that the gap was found to follow, and a band between its extreme constants. For several runs it does so if asked.

ax = twonn.plot.gap(runs["gradient descent"], label="gradient descent", law="found", envelope=True)
ax = twonn.plot.gap(runs["normalized GD"], ax, label="normalized GD", law="found", envelope=True)

# %%
# Of many runs, `twonn.plot.scaled_gap` leaves out those that failed, and says how many they are. A label for all of them makes
# them one entry of the legend.

starts = twonn.initializers.sample("he_normal", runs=40, seed=1)
several = [twonn.run(problem, start, log10_steps=20.0) for start in starts]
ax = twonn.plot.scaled_gap(several, label="He initialization")
