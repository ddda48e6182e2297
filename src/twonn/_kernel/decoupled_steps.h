/* Steps of trained output weights while each neuron is active on one point at most and no two on the same: either
   goes its own way. Included by smooth.h, for REAL = both neurons of one run (CHAINS = 1), and for a register of
   runs (CHAINS = 4: either neuron of two registers' worth, which hides how long an operation takes). NAME tells
   them apart.

   With the numbers of smooth_steps.h that are not zero, a step is

       Δv = S Z,   ΔZ = N v S,   Δm = (v + Δv) ΔZ + Δv Z.

   v and Z are what they were at the group's start plus what the group has added. */

typedef struct {
    REAL pull[CHAINS];      /* S at the start */
    REAL dpull[CHAINS];     /* its change, from its rounding at the start on */
    REAL now[CHAINS];       /* S */
    REAL v[CHAINS], z[CHAINS]; /* at the start; Z of its own point */
    REAL gram[CHAINS];      /* N */
    REAL dv[CHAINS], dv_low[CHAINS]; /* change of v */
    REAL impulse[CHAINS], impulse_low[CHAINS]; /* Σ v S */
} NAME(DecoupledSmooth);

static ALWAYS_INLINE void NAME(decoupled_stretch)(
    NAME(DecoupledSmooth) *block, int n, double h, int loss, int cubic)
{
    const REAL zero = block->v[0] - block->v[0], inverse_step = 1.0 / h - zero;
    REAL now[CHAINS], pull[CHAINS], dpull[CHAINS], gram[CHAINS];
    EACH_CHAIN {
        now[c] = block->now[c], pull[c] = block->pull[c], dpull[c] = block->dpull[c];
        gram[c] = block->gram[c];
    }
    for (int step = 0; step < n;) {
        const int end = n - step < GROUP ? n : step + GROUP;
        REAL v[CHAINS], z[CHAINS], begin_v[CHAINS], begin_z[CHAINS], gain[CHAINS], push[CHAINS];
        EACH_CHAIN {
            v[c] = begin_v[c] = block->v[c] + block->dv[c];
            z[c] = begin_z[c] = block->z[c] + gram[c] * block->impulse[c];
            gain[c] = push[c] = zero;
        }
        for (; step < end; step++) {
            EACH_CHAIN {
                const REAL p = now[c], dv = p * z[c], vp = v[c] * p, dz = gram[c] * vp;
                gain[c] += dv;
                push[c] += vp;
                v[c] = begin_v[c] + gain[c];
                const REAL d = v[c] * dz + dv * z[c];
                z[c] = begin_z[c] + gram[c] * push[c];
                NAME(lower)(&now[c], pull[c], &dpull[c], NAME(fall)(p, p * inverse_step, d, loss, cubic));
            }
        }
        EACH_CHAIN {
            NAME(add)(&block->dv[c], &block->dv_low[c], gain[c]);
            NAME(add)(&block->impulse[c], &block->impulse_low[c], push[c]);
        }
    }
    EACH_CHAIN block->now[c] = now[c], block->dpull[c] = dpull[c];
}

static inline void NAME(decoupled_steps)(NAME(DecoupledSmooth) *block, int n, double h, int loss, int cubic)
{
    FOR_LOSS(loss, cubic, NAME(decoupled_stretch), block, n, h);
}
