/* Steps under an activation pattern that is known to hold. Included by smooth.h, for REAL = one number (CHAINS = 1),
   and for a register of runs (CHAINS = 2: a step is a long chain of operations, and two of them keep the units
   busy). NAME tells them apart. Whatever REAL is, a run goes through the same operations in the same order, so that
   they give the same bits. Sums are taken by groups of steps, the last group of a block may be shorter.

   Fixed output weights: Δm_i = Σ_k h H_ik s_k. Σ s_k is the number of steps times s_k at the start, and the sum of
   its changes, so that what rounds s_k to be used does not enter it. */

typedef struct {
    REAL s[2][CHAINS];      /* s_k at the start */
    REAL ds[2][CHAINS];     /* its change, from its rounding at the start on */
    REAL now[2][CHAINS];    /* s_k */
    REAL coupling[2][2][CHAINS]; /* h H_ik: change of m_i, per unit of s_k */
    REAL steps[CHAINS];     /* since the start */
    REAL sum[2][CHAINS], sum_low[2][CHAINS]; /* Σ ds_k */
} NAME(FixedSmooth);

static ALWAYS_INLINE void NAME(fixed_stretch)(
    NAME(FixedSmooth) *block, int n, int loss, int cubic)
{
    const REAL zero = {0};
    NAME(FixedSmooth) a = *block;
    for (int step = 0; step < n;) {
        const int end = n - step < GROUP ? n : step + GROUP;
        REAL gain0[CHAINS], gain1[CHAINS];
        EACH_CHAIN gain0[c] = gain1[c] = zero;
        for (; step < end; step++) {
            EACH_CHAIN {
                const REAL s0 = a.now[0][c], s1 = a.now[1][c];
                const REAL d0 = a.coupling[0][0][c] * s0 + a.coupling[0][1][c] * s1;
                const REAL d1 = a.coupling[1][0][c] * s0 + a.coupling[1][1][c] * s1;
                gain0[c] += a.ds[0][c];
                gain1[c] += a.ds[1][c];
                NAME(lower)(&a.now[0][c], a.s[0][c], &a.ds[0][c], NAME(fall)(s0, s0, d0, loss, cubic));
                NAME(lower)(&a.now[1][c], a.s[1][c], &a.ds[1][c], NAME(fall)(s1, s1, d1, loss, cubic));
            }
        }
        EACH_CHAIN {
            NAME(add)(&a.sum[0][c], &a.sum_low[0][c], gain0[c]);
            NAME(add)(&a.sum[1][c], &a.sum_low[1][c], gain1[c]);
        }
    }
    EACH_CHAIN a.steps[c] += (double)n;
    *block = a;
}

static inline void NAME(fixed_steps)(NAME(FixedSmooth) *block, int n, int loss, int cubic)
{
    FOR_LOSS(loss, cubic, NAME(fixed_stretch), block, n);
}

/* Trained output weights. With Z_ji = y_i z_ji of active units, 0 of others, N^j_ik = y_i y_k G_ik a_ji a_jk and
   S_k = h s_k a step is

       Δv_j = Σ_k S_k Z_jk,   ΔZ_ji = v_j Σ_k N^j_ik S_k,   Δm_i = Σ_j (v_j + Δv_j) ΔZ_ji + Δv_j Z_ji.

   v, Z and S are what they were at the start, v at that of the group, plus a change, so that no small step is lost to
   rounding. Sums that outlive the block are compensated; what a group of steps adds is summed up first. */

typedef struct {
    REAL pull[2][CHAINS];   /* S_k at the start */
    REAL dpull[2][CHAINS];  /* its change, from its rounding at the start on */
    REAL now[2][CHAINS];    /* S_k */
    REAL v[2][CHAINS], z[2][2][CHAINS]; /* v_j and Z_ji at the start */
    REAL gram[2][3][CHAINS]; /* N^j_00, N^j_01, N^j_11 */
    REAL dv[2][CHAINS], dv_low[2][CHAINS]; /* change of v_j */
    REAL dz[2][2][CHAINS];  /* change of Z_ji */
    REAL impulse[2][2][CHAINS], impulse_low[2][2][CHAINS]; /* Σ v_j S_k */
} NAME(TrainedSmooth);

static ALWAYS_INLINE void NAME(trained_stretch)(
    NAME(TrainedSmooth) *block, int n, double h, int loss, int cubic)
{
    NAME(TrainedSmooth) a = *block;
    const REAL zero = {0}, inverse_step = 1.0 / h - zero;
    REAL z00[CHAINS], z01[CHAINS], z10[CHAINS], z11[CHAINS];
    EACH_CHAIN {
        z00[c] = a.z[0][0][c] + a.dz[0][0][c], z01[c] = a.z[0][1][c] + a.dz[0][1][c];
        z10[c] = a.z[1][0][c] + a.dz[1][0][c], z11[c] = a.z[1][1][c] + a.dz[1][1][c];
    }
    for (int step = 0; step < n;) {
        const int end = n - step < GROUP ? n : step + GROUP;
        REAL begin0[CHAINS], begin1[CHAINS], v0[CHAINS], v1[CHAINS], gain0[CHAINS], gain1[CHAINS];
        REAL push00[CHAINS], push01[CHAINS], push10[CHAINS], push11[CHAINS];
        EACH_CHAIN {
            v0[c] = begin0[c] = a.v[0][c] + a.dv[0][c];
            v1[c] = begin1[c] = a.v[1][c] + a.dv[1][c];
            gain0[c] = gain1[c] = push00[c] = push01[c] = push10[c] = push11[c] = zero;
        }
        for (; step < end; step++) {
            EACH_CHAIN {
                const REAL p0 = a.now[0][c], p1 = a.now[1][c];
                const REAL dv0 = p0 * z00[c] + p1 * z01[c], dv1 = p0 * z10[c] + p1 * z11[c];
                const REAL dz00 = v0[c] * (a.gram[0][0][c] * p0 + a.gram[0][1][c] * p1);
                const REAL dz01 = v0[c] * (a.gram[0][1][c] * p0 + a.gram[0][2][c] * p1);
                const REAL dz10 = v1[c] * (a.gram[1][0][c] * p0 + a.gram[1][1][c] * p1);
                const REAL dz11 = v1[c] * (a.gram[1][1][c] * p0 + a.gram[1][2][c] * p1);
                push00[c] += v0[c] * p0;
                push01[c] += v0[c] * p1;
                push10[c] += v1[c] * p0;
                push11[c] += v1[c] * p1;
                gain0[c] += dv0;
                gain1[c] += dv1;
                v0[c] = begin0[c] + gain0[c];
                v1[c] = begin1[c] + gain1[c];
                const REAL d0 = (v0[c] * dz00 + dv0 * z00[c]) + (v1[c] * dz10 + dv1 * z10[c]);
                const REAL d1 = (v0[c] * dz01 + dv0 * z01[c]) + (v1[c] * dz11 + dv1 * z11[c]);
                a.dz[0][0][c] += dz00;
                a.dz[0][1][c] += dz01;
                a.dz[1][0][c] += dz10;
                a.dz[1][1][c] += dz11;
                z00[c] = a.z[0][0][c] + a.dz[0][0][c];
                z01[c] = a.z[0][1][c] + a.dz[0][1][c];
                z10[c] = a.z[1][0][c] + a.dz[1][0][c];
                z11[c] = a.z[1][1][c] + a.dz[1][1][c];
                const REAL fall0 = NAME(fall)(p0, p0 * inverse_step, d0, loss, cubic);
                const REAL fall1 = NAME(fall)(p1, p1 * inverse_step, d1, loss, cubic);
                NAME(lower)(&a.now[0][c], a.pull[0][c], &a.dpull[0][c], fall0);
                NAME(lower)(&a.now[1][c], a.pull[1][c], &a.dpull[1][c], fall1);
            }
        }
        EACH_CHAIN {
            NAME(add)(&a.dv[0][c], &a.dv_low[0][c], gain0[c]);
            NAME(add)(&a.dv[1][c], &a.dv_low[1][c], gain1[c]);
            NAME(add)(&a.impulse[0][0][c], &a.impulse_low[0][0][c], push00[c]);
            NAME(add)(&a.impulse[0][1][c], &a.impulse_low[0][1][c], push01[c]);
            NAME(add)(&a.impulse[1][0][c], &a.impulse_low[1][0][c], push10[c]);
            NAME(add)(&a.impulse[1][1][c], &a.impulse_low[1][1][c], push11[c]);
        }
    }
    *block = a;
}

static inline void NAME(trained_steps)(NAME(TrainedSmooth) *block, int n, double h, int loss, int cubic)
{
    FOR_LOSS(loss, cubic, NAME(trained_stretch), block, n, h);
}
