"""
The law does not depend on the initialization
=============================================

On the paper's data, x = ±1, the gap falls like c/ln t for every successful start with fixed output weights, whatever its
initialization. The figure shows one successful start of each of several schemes, to 10^100 steps.
"""

import matplotlib.pyplot as plt

import twonn

problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)

fig, ax = plt.subplots()
for name in ("he_normal", "glorot_uniform", "torch_default", "lecun_normal", "small", "binary"):
    starts = twonn.initializers.sample(name, runs=50, seed=1)
    trajectories = (twonn.run(problem, start, log10_steps=100.0) for start in starts)
    traj = next(traj for traj in trajectories if traj.success)
    ax.plot(traj.log_t[1:], traj.gap[1:], label=name)
log_t = traj.log_t[traj.log_t > 5]
ax.plot(log_t, 1 / log_t, "k:", label=r"$1/\ln t$")
ax.set(xscale="log", yscale="log", xlim=(1, None), xlabel=r"$\ln t$", ylabel="gap")
ax.legend()

# %%
# Against ln t on doubly logarithmic axes, 1/ln t is a straight line of slope −1; it is dotted here. The starts differ in
# their constants, and in how long it takes until the law is visible.
