"""
A neuron that slides
====================

For points such as −0.3 and 0.8, one point pushes a neuron across its kink and the other one pushes it back. Every few steps
the activation pattern changes, for ever. Below is the pre-activation of such a neuron, step by step, and its mean.
"""

import matplotlib.pyplot as plt
import numpy as np

import twonn

problem = twonn.Problem(x=[-0.3, 0.8], y=[-1, 1], step_size=0.05)
start = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.4])

first, last = 20_000, 20_060
steps = range(first, last)
exact = twonn.run(problem, start, last, engine="direct", sample_steps=steps)

# %%
# The default engine leaps over this, and reports the mean instead of the sawtooth. It also reports the height of the
# sawtooth: the exact value is within half of it.

averaged = twonn.run(problem, start, last, sample_steps=steps)
print(averaged)
neuron, point = averaged.slides[0]["neuron"], averaged.slides[0]["point"]

fig, ax = plt.subplots()
for traj, style, label in ((exact, ".-", "every step"), (averaged, "-", "averaged")):
    shown = traj.t >= first
    z = traj.preactivations[shown, neuron, point]
    ax.plot(traj.t[shown], z, style, label=label)
half = averaged.sawtooth[shown, neuron, point] / 2
ax.fill_between(averaged.t[shown], z - half, z + half, color="C1", alpha=0.2, label="height of the sawtooth")
ax.set(xlabel="step", ylabel=f"pre-activation of neuron {neuron} on point {point}")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)

# %%
# Where the neuron slides, the data decide the constant of the law, and the start is forgotten: two starts, one gap.

fig, ax = plt.subplots()
for one in (start, twonn.Params(w=[0.1, -0.9], b=[0.5, 0.6])):
    traj = twonn.run(problem, one, log10_steps=100.0)
    shown = traj.log_t > np.log(10)
    ax.plot(traj.log_t[shown], traj.gap[shown] * traj.log_t[shown], label=f"w = {one.w[:, 0]}")
ax.set(xscale="log", xlabel=r"$\ln t$", ylabel=r"gap $\cdot\,\ln t$")
ax.legend()
