/* The steps of optimizer_steps.h for one run, whose four pre-activations share a register: place 2j + i has that of
   neuron j and point i. Parameters of a neuron are there twice, and numbers of a point, too, so that nothing has to be
   moved to be used. Included by optimizers.h. Every number comes from the same operations in the same order; where two
   of them are added, either order is met, which rounds alike. */

#if defined(__AVX__) && !defined(TWONN_NO_VECTOR_TYPES)
#define TWONN_QUADS
typedef double quad __attribute__((vector_size(32)));
typedef int64_t quad_mask __attribute__((vector_size(32)));
#define REAL quad
#define MASK quad_mask
#define NAME(name) name##_quad
#define WIDTH 4
#define CHAINS 1
#define PATTERNS quad_mask
#include "optimizer_width.h"

/* Exchanges the points, or the neurons. */
static inline quad other_point(quad a) { return (quad)_mm256_permute_pd((__m256d)a, 5); }
static inline quad other_neuron(quad a) { return (quad)_mm256_permute2f128_pd((__m256d)a, (__m256d)a, 1); }
static inline quad of_neurons(double first, double second) { return (quad){first, first, second, second}; }
static inline quad of_points(double first, double second) { return (quad){first, second, first, second}; }

/* The largest and the smallest of the four. */
static inline double largest_of(quad a)
{
    a = max_quad(a, other_neuron(a));
    return max_quad(a, other_point(a))[0];
}

static inline double smallest_of(quad a)
{
    a = min_quad(a, other_neuron(a));
    return min_quad(a, other_point(a))[0];
}

/* −y_i ℓ'(m_i) times the weight of the reduction, but for y_i; or by the loss. */
static ALWAYS_INLINE quad residuals_of_run(
    const OptimizerQuestion *q, Residual_quad *residual, quad m, int kind)
{
    if (kind != NORMALIZED)
        return slope_quad(residual, offset_quad(residual, m, q->weight, q->logistic, 0));
    const quad apart = m - other_point(m);
    if (!q->logistic)
        return slope_quad(residual, offset_quad(residual, apart, q->weight, 1, 0));
    const quad_mask far = min_quad(m, other_point(m)) > FAR_MARGIN;
    const quad r = offset_quad(residual, chosen_quad(far, apart, m), q->weight, 1, 1);
    const quad s = slope_quad(residual, r), losses = log_loss_near_quad(residual, r);
    return chosen_quad(far, s, s / (losses + other_point(losses)));
}

/* A parameter of either neuron. */
#define DESCEND_BOTH(p, place, factor) \
    do { \
        const quad part = outer * (factor), own = part * push, downhill = own + other_point(own); \
        const quad own_scaled = (q->step_size * part) * push; \
        const quad scaled = trained ? q->step_size * downhill : own_scaled + other_point(own_scaled); \
        descend_quad(q, &p[0] place, &p[1] place, &p[2] place, &p[3] place, downhill, scaled, length, inverse_root, kind); \
    } while (0)

static ALWAYS_INLINE void run_stretch(
    const OptimizerQuestion *q, OptimizerGroup_one *group, double *moving, int n, int64_t *patterns, int kind,
    int trained, int d)
{
    const int size = 2 * d + 4;
    const quad label = of_points(q->label[0], q->label[1]);
    const quad ignored = {group->ignored[0][0][0], group->ignored[0][1][0], group->ignored[1][0][0],
                          group->ignored[1][1][0]};
    const quad bias_label = of_points(q->bias_label[0], q->bias_label[1]);
    const quad zero = {0};
    Residual_quad residual;
    quad x[MOST_UNROLLED], signed_x[MOST_UNROLLED], w[4][MOST_UNROLLED], b[4], v[4];
    quad nearest = group->nearest[0] - zero, steepest = zero, largest = zero, largest_output = zero;
    residual.grid = NAN - zero;
    for (int row = 0; row < 4; row++) {
        const double *p = moving + row * size;
        for (int a = 0; a < d; a++)
            w[row][a] = of_neurons(p[a], p[d + a]);
        b[row] = of_neurons(p[2 * d], p[2 * d + 1]);
        v[row] = of_neurons(p[2 * d + 2], p[2 * d + 3]);
    }
    for (int a = 0; a < d; a++) {
        x[a] = of_points(q->x[a], q->x[d + a]);
        signed_x[a] = of_points(q->signed_x[a], q->signed_x[d + a]);
    }
    for (int step = 0; step < n; step++) {
        quad z = w[0][0] * x[0];
        for (int a = 1; a < d; a++)
            z += w[0][a] * x[a];
        z += b[0];
        const quad_mask on = z > 0.0;
        const quad hidden = max_quad(z, zero), output = (label * v[0]) * hidden;
        nearest = min_quad(nearest, magnitude_quad(z) + ignored);
        patterns[step] = _mm256_movemask_pd((__m256d)on);
        const quad s = residuals_of_run(q, &residual, output + other_neuron(output), kind);
        const quad push = where_quad(on, s);
        steepest = max_quad(steepest, s);
        if (trained)
            largest_output = max_quad(largest_output, magnitude_quad(v[0]));
        if (kind == ADAM) {
            correct_one(q, group, 0);
            largest = max_quad(largest, magnitude_quad(b[0]));
            for (int a = 0; a < d; a++)
                largest = max_quad(largest, magnitude_quad(w[0][a]));
        }
        const quad length = group->length[0] - zero, inverse_root = group->inverse_root[0] - zero;
        const quad outer = v[0];
        for (int a = 0; a < d; a++)
            DESCEND_BOTH(w, [a], signed_x[a]);
        DESCEND_BOTH(b, , bias_label);
        if (trained) {
            const quad own = (label * push) * hidden, downhill = own + other_point(own);
            descend_quad(q, &v[0], &v[1], &v[2], &v[3], downhill, q->step_size * downhill, length, inverse_root, kind);
        }
    }
    group->nearest[0] = smallest_of(nearest);
    group->largest[0] = largest_of(largest);
    group->steepest[0] = largest_of(steepest);
    group->largest_output[0] = largest_of(largest_output);
    for (int row = 0; row < 4; row++) {
        double *p = moving + row * size;
        for (int a = 0; a < d; a++)
            p[a] = w[row][a][0], p[d + a] = w[row][a][2];
        p[2 * d] = b[row][0], p[2 * d + 1] = b[row][2];
        p[2 * d + 2] = v[row][0], p[2 * d + 3] = v[row][2];
    }
}
#undef DESCEND_BOTH
#endif
