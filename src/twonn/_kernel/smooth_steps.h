/* Steps under an activation pattern that is known to hold, for REAL = one number or one vector of runs. Included
   by smooth.h, once for either; NAME tells them apart. Whatever REAL is, a run goes through the same operations
   in the same order, so that they give the same bits.

   Fixed output weights. s_k(t+1) = s_k(t) (1 + e), e = exp(−Δm_k) − 1, for the exponential loss. |Δm| < 2^-10.7, so
   e to degree 4 leaves out less than 2^-60. For the logistic loss, with s_k <= 2^-9 x 1.16 and y = s_k e,
   s_k(t+1) = s_k (1 + e)/(1 + y) = s_k + y (1 − s_k)(1 − y + y² ...), leaving out less than 2^-66 of s_k. */

typedef struct {
    REAL s[2];              /* s_k */
    REAL decay[2][2];       /* −h H_ik: change of ln s_i, to first order, per unit of s_k */
    REAL total[2];          /* Σ s_k */
    REAL total_low[2];      /* what rounding left out of it */
} NAME(FixedSmooth);

static inline void NAME(fixed_steps)(NAME(FixedSmooth) *block, int n, int logistic)
{
    REAL s0 = block->s[0], s1 = block->s[1];
    const REAL d00 = block->decay[0][0], d01 = block->decay[0][1];
    const REAL d10 = block->decay[1][0], d11 = block->decay[1][1];
    /* The halves keep a product off the critical path. */
    const REAL f00 = 0.5 * d00, f01 = 0.5 * d01, f10 = 0.5 * d10, f11 = 0.5 * d11;
    REAL total0 = block->total[0], total1 = block->total[1];
    REAL low0 = block->total_low[0], low1 = block->total_low[1];
    for (int step = 0; step < n; step++) {
        const REAL sum0 = total0 + s0, sum1 = total1 + s1;
        low0 += s0 - (sum0 - total0);
        low1 += s1 - (sum1 - total1);
        total0 = sum0;
        total1 = sum1;
        const REAL q0 = d00 * s0 + d01 * s1, q1 = d10 * s0 + d11 * s1;
        const REAL y0 = (s0 * q0) * ((1.0 + (f00 * s0 + f01 * s1))
            + (q0 * q0) * ((1.0 / 6.0) + (1.0 / 24.0) * q0));
        const REAL y1 = (s1 * q1) * ((1.0 + (f10 * s0 + f11 * s1))
            + (q1 * q1) * ((1.0 / 6.0) + (1.0 / 24.0) * q1));
        if (logistic) {
            s0 += (y0 * (1.0 - s0)) * (1.0 - y0 * (1.0 - y0));
            s1 += (y1 * (1.0 - s1)) * (1.0 - y1 * (1.0 - y1));
        } else {
            s0 += y0;
            s1 += y1;
        }
    }
    block->s[0] = s0, block->s[1] = s1;
    block->total[0] = total0, block->total[1] = total1;
    block->total_low[0] = low0, block->total_low[1] = low1;
}

/* Trained output weights. With Z_ji = y_i z_ji of active units, 0 of others, N^j_ik = y_i y_k G_ik a_ji a_jk and
   S_k = h s_k a step is

       Δv_j = Σ_k S_k Z_jk,   ΔZ_ji = v_j Σ_k N^j_ik S_k,   Δm_i = Σ_j v_j ΔZ_ji + Δv_j (Z_ji + ΔZ_ji).

   v and Z are what they were at the block's start plus a change, so that no small step is lost to rounding. Sums
   that outlive the block are compensated; what a group of steps adds is summed up first, whose rounding is below
   its terms'. The last group of a block may be shorter. e^−Δm is taken as above. */

typedef struct {
    REAL pull[2];           /* S_k */
    REAL v[2], z[2][2];     /* v_j and Z_ji at the start */
    REAL gram[2][3];        /* N^j_00, N^j_01, N^j_11 */
    REAL dv[2], dv_low[2];  /* change of v_j */
    REAL dz[2][2];          /* change of Z_ji */
    REAL impulse[2][2], impulse_low[2][2]; /* Σ v_j S_k */
} NAME(TrainedSmooth);

static inline void NAME(trained_steps)(NAME(TrainedSmooth) *block, int n, double rate, int logistic)
{
    NAME(TrainedSmooth) a = *block;
    const REAL zero = a.v[0] - a.v[0], inverse_rate = 1.0 / rate - zero;
    REAL v0 = a.v[0] + a.dv[0], v1 = a.v[1] + a.dv[1];
    REAL z00 = a.z[0][0] + a.dz[0][0], z01 = a.z[0][1] + a.dz[0][1];
    REAL z10 = a.z[1][0] + a.dz[1][0], z11 = a.z[1][1] + a.dz[1][1];
    for (int step = 0; step < n;) {
        const int end = n - step < GROUP ? n : step + GROUP;
        REAL gain0 = zero, gain1 = zero, push00 = zero, push01 = zero, push10 = zero, push11 = zero;
        for (; step < end; step++) {
            const REAL p0 = a.pull[0], p1 = a.pull[1];
            const REAL dv0 = p0 * z00 + p1 * z01, dv1 = p0 * z10 + p1 * z11;
            const REAL dz00 = v0 * (a.gram[0][0] * p0 + a.gram[0][1] * p1);
            const REAL dz01 = v0 * (a.gram[0][1] * p0 + a.gram[0][2] * p1);
            const REAL dz10 = v1 * (a.gram[1][0] * p0 + a.gram[1][1] * p1);
            const REAL dz11 = v1 * (a.gram[1][1] * p0 + a.gram[1][2] * p1);
            a.dz[0][0] += dz00;
            a.dz[0][1] += dz01;
            a.dz[1][0] += dz10;
            a.dz[1][1] += dz11;
            z00 = a.z[0][0] + a.dz[0][0];
            z01 = a.z[0][1] + a.dz[0][1];
            z10 = a.z[1][0] + a.dz[1][0];
            z11 = a.z[1][1] + a.dz[1][1];
            const REAL d0 = (v0 * dz00 + dv0 * z00) + (v1 * dz10 + dv1 * z10);
            const REAL d1 = (v0 * dz01 + dv0 * z01) + (v1 * dz11 + dv1 * z11);
            push00 += v0 * p0;
            push01 += v0 * p1;
            push10 += v1 * p0;
            push11 += v1 * p1;
            a.pull[0] = NAME(pull_after)(p0, d0, inverse_rate, logistic);
            a.pull[1] = NAME(pull_after)(p1, d1, inverse_rate, logistic);
            gain0 += dv0;
            gain1 += dv1;
            v0 = a.v[0] + (a.dv[0] + gain0);
            v1 = a.v[1] + (a.dv[1] + gain1);
        }
        NAME(add)(&a.dv[0], &a.dv_low[0], gain0);
        NAME(add)(&a.dv[1], &a.dv_low[1], gain1);
        NAME(add)(&a.impulse[0][0], &a.impulse_low[0][0], push00);
        NAME(add)(&a.impulse[0][1], &a.impulse_low[0][1], push01);
        NAME(add)(&a.impulse[1][0], &a.impulse_low[1][0], push10);
        NAME(add)(&a.impulse[1][1], &a.impulse_low[1][1], push11);
    }
    *block = a;
}
