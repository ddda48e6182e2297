/* Steps of trained output weights while each neuron is active on one sample at most and no two on the same: either
   goes its own way. Included by smooth.h, for REAL = both neurons of one run (CHAINS = 1), and for a register of
   runs (CHAINS = 4: either neuron of two registers' worth, which hides how long an operation takes). NAME tells
   them apart.

   With the numbers of smooth_steps.h that are not zero, a step is

       Δv = S Z,   ΔZ = N v S,   Δm = v ΔZ + Δv (Z + ΔZ).

   Within a group of steps v and Z gather rounding; then they are what they were at the start plus a change again.
   If cubic, e^−Δm is taken to degree 3: over the longest span |Δm| < 2^-14.7, which leaves out less than 2^-51 of S
   in all. */

typedef struct {
    REAL pull[CHAINS];      /* S */
    REAL v[CHAINS], z[CHAINS]; /* at the start; Z of its own sample */
    REAL gram[CHAINS];      /* N */
    REAL dv[CHAINS], dv_low[CHAINS]; /* change of v */
    REAL impulse[CHAINS], impulse_low[CHAINS]; /* Σ v S */
} NAME(ApartSmooth);

#define EACH_CHAIN _Pragma("GCC unroll 4") for (int c = 0; c < CHAINS; c++)

static inline __attribute__((always_inline)) void NAME(apart_stretch)(NAME(ApartSmooth) *block, int n, double rate,
                                                                      int logistic, int cubic)
{
    const REAL zero = block->v[0] - block->v[0], inverse_rate = 1.0 / rate - zero;
    REAL pull[CHAINS], gram[CHAINS];
    EACH_CHAIN pull[c] = block->pull[c], gram[c] = block->gram[c];
    for (int step = 0; step < n;) {
        const int end = n - step < GROUP ? n : step + GROUP;
        REAL v[CHAINS], z[CHAINS], gain[CHAINS], push[CHAINS];
        EACH_CHAIN {
            v[c] = block->v[c] + block->dv[c];
            z[c] = block->z[c] + gram[c] * block->impulse[c];
            gain[c] = push[c] = zero;
        }
        for (; step < end; step++) {
            EACH_CHAIN {
                const REAL p = pull[c], dv = p * z[c], vp = v[c] * p, dz = gram[c] * vp;
                z[c] += dz;
                const REAL d = v[c] * dz + dv * z[c];
                v[c] += dv;
                gain[c] += dv;
                push[c] += vp;
                if (cubic)
                    pull[c] = p - (p * d) * (1.0 - d * (0.5 - d * (1.0 / 6.0)));
                else
                    pull[c] = NAME(pull_after)(p, d, inverse_rate, logistic);
            }
        }
        EACH_CHAIN {
            NAME(add)(&block->dv[c], &block->dv_low[c], gain[c]);
            NAME(add)(&block->impulse[c], &block->impulse_low[c], push[c]);
        }
    }
    EACH_CHAIN block->pull[c] = pull[c];
}

static inline void NAME(apart_steps)(NAME(ApartSmooth) *block, int n, double rate, int logistic, int cubic)
{
    if (cubic)
        NAME(apart_stretch)(block, n, rate, 0, 1);
    else if (logistic)
        NAME(apart_stretch)(block, n, rate, 1, 0);
    else
        NAME(apart_stretch)(block, n, rate, 0, 0);
}

#undef EACH_CHAIN
