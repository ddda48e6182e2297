/* Steps of another optimizer, for one run in each place of a REAL. Included by optimizers.h, for one run (CHAINS = 1),
   and for a register of runs (CHAINS = 2: a step is a long chain of operations, and two of them keep the units busy).
   NAME tells them apart. Whatever REAL is, a run goes through the same operations in the same order, which
   optimizer_quads.h shares.

   A step looks neither at what could go wrong nor at the last bit of a pre-activation. It keeps bounds of what it has
   met, from which optimizers.pxi sees whether all is well; if not, the steps are taken again, one at a time. */

typedef struct {
    NAME(Residual) residual[2][CHAINS];   /* of either point */
    REAL power[2][CHAINS];                /* β₁ᵗ, β₂ᵗ */
    REAL length[CHAINS], inverse_root[CHAINS]; /* of Adam's step: η/(1 − β₁ᵗ), 1/√(1 − β₂ᵗ) */
    REAL ignored[2][2][CHAINS];           /* inf for a pair that is not looked at, else 0 */
    int ignoring;                         /* whether there is one */
    REAL nearest[CHAINS];                 /* what was met: the smallest |z_ji|, */
    REAL steepest[CHAINS];                /* the largest push, */
    REAL largest[CHAINS];                 /* if it is Adam, the largest of |w| and |b|, */
    REAL largest_output[CHAINS];          /* and, if they are trained, of |v| */
} NAME(OptimizerGroup);

static inline void NAME(begin)(const OptimizerQuestion *q, NAME(OptimizerGroup) *group)
{
    const REAL zero = {0};
    EACH_CHAIN {
        group->residual[0][c].grid = group->residual[1][c].grid = NAN + zero;
        group->length[c] = q->step_size + zero;
        group->inverse_root[c] = 1.0 + zero;
        group->nearest[c] = 0x1p1000 + zero;
        group->steepest[c] = group->largest[c] = group->largest_output[c] = zero;
    }
}

/* One parameter downhill: p and its low part, and the moments. `scaled` is η times `downhill`, which Adam does not need.
   What is added last is what is known last. */
static ALWAYS_INLINE void NAME(descend)(
    const OptimizerQuestion *q, REAL *p, REAL *low, REAL *first, REAL *second, REAL downhill, REAL scaled, REAL length,
    REAL inverse_root, int kind)
{
    REAL sum, moved;
    if (kind == MOMENTUM) {
        sum = (*low + q->carried * *first) + scaled;
        *first = q->options[0] * *first + downhill;
    } else if (kind == NORMALIZED) {
        sum = *low + scaled;
    } else {
        *first = q->options[0] * *first + q->rest[0] * downhill;
        *second = q->options[1] * *second + q->rest[1] * (downhill * downhill);
        sum = *low + (length * *first) / (NAME(root)(*second) * inverse_root + q->options[2]);
    }
    /* Where a parameter is smaller than its change, what this costs is one rounding of that. */
    moved = *p + sum;
    *low = sum - (moved - *p);
    *p = moved;
}

/* −y_i ℓ'(m_i) times the weight of the reduction, but for y_i; or by the loss. */
static ALWAYS_INLINE void NAME(residuals)(
    const OptimizerQuestion *q, NAME(OptimizerGroup) *group, int c, REAL m0, REAL m1, REAL s[2], int kind)
{
    if (kind != NORMALIZED || q->logistic) {
        const int loss = kind == NORMALIZED;
        REAL a0 = m0, a1 = m1;
        MASK far = m0 > FAR_MARGIN;
        if (kind == NORMALIZED) { /* where either loss is e^−m to the last bit, the difference is all that counts */
            far = NAME(min)(m0, m1) > FAR_MARGIN;
            a0 = NAME(chosen)(far, m0 - m1, m0);
            a1 = NAME(chosen)(far, m1 - m0, m1);
        }
        const REAL r0 = NAME(offset)(&group->residual[0][c], a0, q->weight, q->logistic, loss);
        const REAL r1 = NAME(offset)(&group->residual[1][c], a1, q->weight, q->logistic, loss);
        s[0] = NAME(slope)(&group->residual[0][c], r0);
        s[1] = NAME(slope)(&group->residual[1][c], r1);
        if (kind == NORMALIZED) {
            const REAL total = NAME(log_loss_near)(&group->residual[0][c], r0)
                + NAME(log_loss_near)(&group->residual[1][c], r1);
            s[0] = NAME(chosen)(far, s[0], s[0] / total);
            s[1] = NAME(chosen)(far, s[1], s[1] / total);
        }
    } else { /* e^−m_0/(e^−m_0 + e^−m_1) = 1/(1 + e^(m_0 − m_1)) */
        const REAL r0 = NAME(offset)(&group->residual[0][c], m0 - m1, q->weight, 1, 0);
        const REAL r1 = NAME(offset)(&group->residual[1][c], m1 - m0, q->weight, 1, 0);
        s[0] = NAME(slope)(&group->residual[0][c], r0);
        s[1] = NAME(slope)(&group->residual[1][c], r1);
    }
}

/* Adam's bias corrections, until they are 1 to the last bit. */
static ALWAYS_INLINE void NAME(correct)(
    const OptimizerQuestion *q, NAME(OptimizerGroup) *group, int c)
{
    const MASK passed = (group->power[0][c] < NO_POWER) & (group->power[1][c] < NO_POWER);
    if (UNLIKELY(!NAME(all)(passed))) {
        /* A power that no longer counts stays as it is, lest it become subnormal. */
        for (int n = 0; n < 2; n++)
            group->power[n][c] = NAME(chosen)(group->power[n][c] < NO_POWER, group->power[n][c],
                                              q->options[n] * group->power[n][c]);
        group->length[c] = q->step_size / (1.0 - group->power[0][c]);
        group->inverse_root[c] = 1.0 / NAME(root)(1.0 - group->power[1][c]);
    }
}

/* Takes notice of a pre-activation. */
static ALWAYS_INLINE void NAME(meet)(NAME(OptimizerGroup) *group, int c, REAL z, int j, int i)
{
    REAL distance = NAME(magnitude)(z);
    if (group->ignoring)
        distance += group->ignored[j][i][c];
    group->nearest[c] = NAME(min)(group->nearest[c], distance);
}

/* A parameter of neuron j that enters its pre-activations with factors, which have the signs of the labels here. What
   does not change with fixed output weights is formed first. */
#define DESCEND(k, factor0, factor1) \
    do { \
        const REAL part0 = v[j] * (factor0), part1 = v[j] * (factor1); \
        const REAL downhill = part0 * push[j][0] + part1 * push[j][1]; \
        const REAL scaled = trained ? q->step_size * downhill \
                                    : (q->step_size * part0) * push[j][0] + (q->step_size * part1) * push[j][1]; \
        NAME(descend)(q, &p[(k) * CHAINS], &low[(k) * CHAINS], &first[(k) * CHAINS], &second[(k) * CHAINS], downhill, \
                      scaled, length, inverse_root, kind); \
    } while (0)

/* Takes n steps. `moving` are p, its low part, first and second moments, parameter by parameter. `patterns` are those
   before each step, by the signs of z_ji without the low parts. If `given` is not −1, the pattern is that instead. */
static ALWAYS_INLINE void NAME(optimizer_stretch)(
    const OptimizerQuestion *q, NAME(OptimizerGroup) *group, REAL *moving, int n, PATTERNS *patterns, int given,
    int kind, int trained, int d)
{
    const int size = 2 * d + 4;
    const REAL zero = {0};
    for (int step = 0; step < n; step++) {
        EACH_CHAIN {
            REAL *const p = moving + c, *const low = p + size * CHAINS;
            REAL *const first = low + size * CHAINS, *const second = first + size * CHAINS;
            REAL z[2][2], hidden[2][2], s[2], push[2][2], m[2];
            MASK on[2][2];
            for (int j = 0; j < 2; j++)
                for (int i = 0; i < 2; i++) {
                    REAL dot = p[j * d * CHAINS] * q->x[i * d];
                    for (int a = 1; a < d; a++)
                        dot += p[(j * d + a) * CHAINS] * q->x[i * d + a];
                    z[j][i] = dot + p[(2 * d + j) * CHAINS];
                    on[j][i] = given < 0 ? z[j][i] > 0.0 : NAME(given_on)(given, 2 * j + i);
                    hidden[j][i] = given < 0 ? NAME(max)(z[j][i], zero) : NAME(where)(on[j][i], z[j][i]);
                    NAME(meet)(group, c, z[j][i], j, i);
                }
            patterns[step * CHAINS + c] =
                NAME(coded)(on[0][0], 1) | NAME(coded)(on[0][1], 2) | NAME(coded)(on[1][0], 4) | NAME(coded)(on[1][1], 8);
            const REAL v[2] = {p[(2 * d + 2) * CHAINS], p[(2 * d + 3) * CHAINS]};
            for (int i = 0; i < 2; i++)
                m[i] = (q->label[i] * v[0]) * hidden[0][i] + (q->label[i] * v[1]) * hidden[1][i];
            NAME(residuals)(q, group, c, m[0], m[1], s, kind);
            group->steepest[c] = NAME(max)(group->steepest[c], NAME(max)(s[0], s[1]));
            if (trained)
                group->largest_output[c] = NAME(max)(
                    group->largest_output[c], NAME(max)(NAME(magnitude)(v[0]), NAME(magnitude)(v[1])));
            if (kind == ADAM) {
                NAME(correct)(q, group, c);
                for (int k = 0; k < 2 * d + 2; k++)
                    group->largest[c] = NAME(max)(group->largest[c], NAME(magnitude)(p[k * CHAINS]));
            }
            const REAL length = group->length[c], inverse_root = group->inverse_root[c];
            for (int j = 0; j < 2; j++) {
                push[j][0] = NAME(where)(on[j][0], s[0]);
                push[j][1] = NAME(where)(on[j][1], s[1]);
                for (int a = 0; a < d; a++)
                    DESCEND(j * d + a, q->signed_x[a], q->signed_x[d + a]);
                DESCEND(2 * d + j, q->bias_label[0], q->bias_label[1]);
                if (trained) {
                    const int k = 2 * d + 2 + j;
                    const REAL downhill = (q->label[0] * push[j][0]) * hidden[j][0]
                        + (q->label[1] * push[j][1]) * hidden[j][1];
                    NAME(descend)(q, &p[k * CHAINS], &low[k * CHAINS], &first[k * CHAINS], &second[k * CHAINS], downhill,
                                  q->step_size * downhill, length, inverse_root, kind);
                }
            }
        }
    }
}
#undef DESCEND
