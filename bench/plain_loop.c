/* The loop a user would write: the textbook recurrence on the line (d = 1), in plain doubles with
   libm's exp, counting activation-pattern transitions. Divergence is looked for once, at the end:
   a test at every step would make this loop about a tenth slower, and the comparison kinder. */
#include <math.h>

/* Takes `steps` steps in place; returns the number of transitions, or -1 if the run diverged. */
#define PLAIN_LOOP(NAME, LOGISTIC, TRAINED)                                                        \
    long long NAME(const double *x, const double *y, double rate, double *w, double *b, double *v, \
                   long long steps)                                                                \
    {                                                                                              \
        double w0 = w[0], w1 = w[1], b0 = b[0], b1 = b[1], v0 = v[0], v1 = v[1];                   \
        const double x0 = x[0], x1 = x[1], y0 = y[0], y1 = y[1];                                   \
        long long transitions = 0;                                                                 \
        int before = -1;                                                                           \
        for (long long t = 0; t <= steps; t++) {                                                   \
            double z00 = w0 * x0 + b0, z01 = w0 * x1 + b0;                                         \
            double z10 = w1 * x0 + b1, z11 = w1 * x1 + b1;                                         \
            int pattern = (z00 > 0) | (z01 > 0) << 1 | (z10 > 0) << 2 | (z11 > 0) << 3;            \
            transitions += before >= 0 && pattern != before;                                       \
            before = pattern;                                                                      \
            if (t == steps)                                                                        \
                break;                                                                             \
            double r00 = z00 > 0 ? z00 : 0, r01 = z01 > 0 ? z01 : 0;                               \
            double r10 = z10 > 0 ? z10 : 0, r11 = z11 > 0 ? z11 : 0;                               \
            double e0 = exp(-y0 * (v0 * r00 + v1 * r10)), e1 = exp(-y1 * (v0 * r01 + v1 * r11));   \
            double g0 = rate * y0 * (LOGISTIC ? e0 / (1 + e0) : e0);                               \
            double g1 = rate * y1 * (LOGISTIC ? e1 / (1 + e1) : e1);                               \
            double g00 = z00 > 0 ? g0 : 0, g01 = z01 > 0 ? g1 : 0;                                 \
            double g10 = z10 > 0 ? g0 : 0, g11 = z11 > 0 ? g1 : 0;                                 \
            w0 += v0 * (g00 * x0 + g01 * x1);                                                      \
            b0 += v0 * (g00 + g01);                                                                \
            w1 += v1 * (g10 * x0 + g11 * x1);                                                      \
            b1 += v1 * (g10 + g11);                                                                \
            if (TRAINED) {                                                                         \
                v0 += g0 * r00 + g1 * r01;                                                         \
                v1 += g0 * r10 + g1 * r11;                                                         \
            }                                                                                      \
        }                                                                                          \
        w[0] = w0, w[1] = w1, b[0] = b0, b[1] = b1, v[0] = v0, v[1] = v1;                          \
        return isfinite(w0 + w1 + b0 + b1 + v0 + v1) ? transitions : -1;                           \
    }

PLAIN_LOOP(plain_exponential_fixed, 0, 0)
PLAIN_LOOP(plain_exponential_trained, 0, 1)
PLAIN_LOOP(plain_logistic_fixed, 1, 0)
PLAIN_LOOP(plain_logistic_trained, 1, 1)
